"""Neighbors that two tables share, counted on a GPU."""

import torch
import triton
import triton.language as tl


def count_shared(a, b):
    """Return what :func:`tokengeom_utils.clouds.kernels.reference.overlap.count_shared` returns."""
    a, b = a.int().contiguous(), b.int().contiguous()
    clouds, n, k = a.shape
    counts = torch.zeros(clouds, k, dtype=torch.int32, device=a.device)
    _count[(n, clouds)](a, b, counts, n, K=k, WIDTH=triton.next_power_of_2(k), num_warps=1)
    return counts


@triton.jit
def _count(a, b, counts, n, K: tl.constexpr, WIDTH: tl.constexpr):
    """Add, for every rank, the number of neighbors that a row of ``a`` and one of ``b`` share up to there."""
    row = tl.program_id(1).to(tl.int64) * n + tl.program_id(0)
    r = tl.arange(0, WIDTH)
    x = tl.load(a + row * K + r, mask=r < K, other=-1)
    y = tl.load(b + row * K + r, mask=r < K, other=-1)
    same = (x[:, None] == y[None, :]) & (x >= 0)[:, None]
    rank_in_b = tl.min(tl.where(same, r[None, :], WIDTH), 1)
    above = tl.maximum(rank_in_b, r)
    shared = tl.sum((above[:, None] <= r[None, :]).to(tl.int32), 0)
    tl.atomic_add(counts + tl.program_id(1) * K + r, shared, mask=r < K)  # integers: in any order the same
