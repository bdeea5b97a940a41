"""Neighbors that two tables share, counted on a CPU by compiled code."""

import numpy as np
import torch
from numba import njit

from ...threads import each
from .compiled import PLAIN


def count_shared(a, b):
    """Return what :func:`tokengeom_utils.clouds.kernels.reference.overlap.count_shared` returns."""
    a, b = a.int().numpy(), b.int().numpy()
    clouds, _, k = a.shape
    counts = np.zeros((clouds, k), np.int64)

    def count(cloud):
        _count(a[cloud], b[cloud], counts[cloud])

    if clouds == 1:
        count(0)  # quicker than handing it to another thread
    else:
        each(count, range(clouds))
    return torch.from_numpy(counts.cumsum(-1))


@njit("(i4[:, :], i4[:, :], i8[:])", **PLAIN)
def _count(a, b, counts):
    """Count, by the larger of its two ranks, each neighbor that a row of ``a`` shares with that of ``b``."""
    n, k = a.shape
    rank = np.full(n, k)
    found = np.zeros(k + 1, np.int64)  # the last place collects what is not shared
    for i in range(n):
        for s in range(k):
            if b[i, s] >= 0:
                rank[b[i, s]] = s
        for r in range(k):
            if a[i, r] >= 0:
                found[max(r, rank[a[i, r]])] += 1  # no branch, which would often be mispredicted
        for s in range(k):
            if b[i, s] >= 0:
                rank[b[i, s]] = k
    counts += found[:k]
