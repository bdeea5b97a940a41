"""Neighbors that two tables share, counted on a CPU by compiled code."""

import numpy as np
from numba import njit

from .screened import PLAIN
from .threads import each


def count_shared(a, b):
    """How many neighbors two tables (cloud, token, k) share at ranks up to 1, ..., k: an array (cloud, k) of int64.

    The tables are arrays of int32 with entries below the number of tokens; negative ones are empty places.
    """
    clouds, _, k = a.shape
    counts = np.zeros((clouds, k), np.int64)

    def count(cloud):
        _count(a[cloud], b[cloud], counts[cloud])

    if clouds == 1:
        count(0)  # sooner done than handed to another thread
    else:
        each(count, range(clouds))
    return counts.cumsum(-1)


@njit("(i4[:, :], i4[:, :], i8[:])", **PLAIN)
def _count(a, b, counts):
    """Adds up, by the larger of its two ranks, each neighbor that a row of ``a`` shares with that of ``b``."""
    n, k = a.shape
    rank = np.full(n, k)
    found = np.zeros(k + 1, np.int64)  # the last is of no use
    for i in range(n):
        for s in range(k):
            if b[i, s] >= 0:
                rank[b[i, s]] = s
        for r in range(k):
            if a[i, r] >= 0:
                found[max(r, rank[a[i, r]])] += 1  # without a branch, which would often be mispredicted
        for s in range(k):
            if b[i, s] >= 0:
                rank[b[i, s]] = k
    counts += found[:k]
