r"""The pairs of a layer on a GPU: each row of the Gram matrix is read once, by one program.

What :func:`tokengeom_utils.layer.exact_layer` does in many passes over the squared distances, a program does for its
row while it holds it: it replaces what cancellation has spoiled, adds up the cosines, sorts the nearest, and writes
what is asked for. Nothing here waits for the device, so the model's next block is queued meanwhile.

Compiled by Triton, which comes with torch for CUDA.
"""

import torch
import triton
import triton.language as tl

from .cosine import CosineSimilarity
from .layer import Layer
from .neighbors import CANCELLATION, DUPLICATE, gram


def fused_layer(cloud, ranks, k):
    """For clouds on a GPU, what :func:`tokengeom_utils.layer.exact_layer` gives for ranks 1, 2, 4, ... .

    Nothing is refused here: where a token is not finite or lies at the origin, ``norm2`` of the result says so.
    """
    *batch, n, d = cloud.shape
    flat = cloud.detach().reshape(-1, n, d).contiguous()
    clouds = len(flat)

    def empty(*shape, dtype=torch.float64):
        return torch.empty(clouds, n, *shape, dtype=dtype, device=flat.device)

    y, norm2, sums, angle = empty(d), empty(), empty(2), empty()
    radii, indices = empty(len(ranks)), empty(k, dtype=torch.int32)
    is_duplicate, is_tied = empty(dtype=torch.int8), empty(dtype=torch.int8)
    moments = torch.empty(3, clouds, dtype=torch.float64, device=flat.device)
    width, features, grid = triton.next_power_of_2(n), triton.next_power_of_2(min(d, 1024)), (n, clouds)
    sizes = {
        "D": d, "FEATURES": features, "RANKS": len(ranks), "CANCELLATION": CANCELLATION, "WIDTH": width,
        "NEAR": min(width, triton.next_power_of_2(max(2 ** (len(ranks) - 1), k + 1))),
    }  # fmt: skip
    # Any center will do: it is there to keep the products, and with them their rounding, small.
    center = flat.mean(-2, dtype=torch.promote_types(flat.dtype, torch.float32))
    _center[grid](flat, center, y, norm2, n, D=d, FEATURES=features)
    products = gram(y)
    y2 = products.diagonal(0, -2, -1).contiguous()
    _measure[grid](flat, products, y2, norm2, radii, indices, angle, is_duplicate, is_tied, sums, n, K=k, DUPLICATE=DUPLICATE,
                   **sizes)  # fmt: skip
    _measure_distinct[grid](flat, products, y2, is_duplicate, radii, n, **sizes)
    _sum_up[(clouds,)](sums, moments, n, clouds, WIDTH=width)
    parts = radii, indices, is_duplicate.bool(), is_tied.bool(), angle.arccos_().rad2deg_(), norm2
    cosine = CosineSimilarity(*moments.reshape(3, *batch))
    return Layer(*(part.reshape(*batch, *part.shape[1:]) for part in parts), cosine)


def count_shared(a, b):
    """As :func:`tokengeom_utils.shared.count_shared`, for tensors of int32 on a GPU."""
    clouds, n, k = a.shape
    counts = torch.zeros(clouds, k, dtype=torch.int32, device=a.device)
    _count[(n, clouds)](a.contiguous(), b.contiguous(), counts, n, K=k, WIDTH=triton.next_power_of_2(k), num_warps=1)
    return counts


@triton.jit
def _count(a, b, counts, n, K: tl.constexpr, WIDTH: tl.constexpr):
    """Adds, for every rank, what a row of ``a`` and one of ``b`` share up to there."""
    row = tl.program_id(1).to(tl.int64) * n + tl.program_id(0)
    r = tl.arange(0, WIDTH)
    x = tl.load(a + row * K + r, mask=r < K, other=-1)
    y = tl.load(b + row * K + r, mask=r < K, other=-1)
    same = (x[:, None] == y[None, :]) & (x >= 0)[:, None]
    rank_in_b = tl.min(tl.where(same, r[None, :], WIDTH), 1)
    above = tl.maximum(rank_in_b, r)
    shared = tl.sum((above[:, None] <= r[None, :]).to(tl.int32), 0)
    tl.atomic_add(counts + tl.program_id(1) * K + r, shared, mask=r < K)  # integers: in any order the same


@triton.jit
def _center(cloud, center, y, norm2, n, D: tl.constexpr, FEATURES: tl.constexpr):
    """The token about the center, and its squared length about the origin."""
    row = tl.program_id(1).to(tl.int64) * n + tl.program_id(0)
    f = tl.arange(0, FEATURES)
    total = tl.zeros([FEATURES], tl.float64)
    for start in range(0, D, FEATURES):
        inside = start + f < D
        x = tl.load(cloud + row * D + start + f, mask=inside, other=0.0).to(tl.float64)
        c = tl.load(center + tl.program_id(1) * D + start + f, mask=inside, other=0.0).to(tl.float64)
        tl.store(y + row * D + start + f, x - c, mask=inside)
        total += x * x
    tl.store(norm2 + row, tl.sum(total))


@triton.jit
def _measure(cloud, gram, y2, norm2, radii, indices, angle, is_duplicate, is_tied, sums, n, K: tl.constexpr,
             D: tl.constexpr, FEATURES: tl.constexpr, RANKS: tl.constexpr, CANCELLATION: tl.constexpr,
             DUPLICATE: tl.constexpr, WIDTH: tl.constexpr, NEAR: tl.constexpr):  # fmt: skip
    """Everything of one token."""
    i, first = tl.program_id(0), tl.program_id(1).to(tl.int64) * n  # first token of the cloud
    j = tl.arange(0, WIDTH)
    allowed = (j < n) & (j != i)
    d2, spoiled = _distances2(gram, y2, i, first, n, j, allowed, CANCELLATION)
    coincide = DUPLICATE * DUPLICATE * tl.sum(tl.load(y2 + first + j, mask=j < n, other=0.0)) / n
    left, is_copy = tl.sum(spoiled.to(tl.int32)), 0
    while left > 0:
        s = tl.min(tl.where(spoiled, j, WIDTH))
        exact = _distance2(cloud, first + i, first + s, D, FEATURES)
        d2 = tl.where(j == s, exact, d2)
        is_copy = tl.where((s < i) & (exact <= coincide), 1, is_copy)
        spoiled = spoiled & (j != s)
        left -= 1
    tl.store(is_duplicate + first + i, is_copy)

    x2, x2i = tl.load(norm2 + first + j, mask=j < n, other=1.0), tl.load(norm2 + first + i)
    cosine = tl.where(allowed, (x2i + x2 - d2) / (2 * tl.sqrt(x2i) * tl.sqrt(x2)), 0.0)
    tl.store(sums + 2 * (first + i), tl.sum(cosine))
    tl.store(sums + 2 * (first + i) + 1, tl.sum(cosine * cosine))

    d2, column = _smallest(d2, allowed, j, WIDTH, NEAR)
    _store_radii(radii + (first + i) * RANKS, d2, n - 1, RANKS, NEAR)
    p = tl.arange(0, NEAR)
    tl.store(indices + (first + i) * K + p, column, mask=p < K)
    follows = tl.gather(d2, tl.minimum(p + 1, NEAR - 1), 0)
    tl.store(is_tied + first + i, tl.max(((d2 == follows) & (p < K) & (p + 1 < n - 1)).to(tl.int32)))

    # The angle between the first two, by the law of cosines.
    a, b = tl.sum(tl.where(p == 0, column, 0)), tl.sum(tl.where(p == 1, column, 0))
    a2, b2 = tl.sum(tl.where(p == 0, d2, 0.0)), tl.sum(tl.where(p == 1, d2, 0.0))
    size = tl.load(y2 + first + a) + tl.load(y2 + first + b)
    between = size - 2 * tl.load(gram + (first + a) * n + b)
    if between <= CANCELLATION * size:
        between = _distance2(cloud, first + a, first + b, D, FEATURES)
    cosine_of_angle = tl.minimum(tl.maximum((a2 + b2 - between) / (2 * tl.sqrt(a2) * tl.sqrt(b2)), -1.0), 1.0)
    tl.store(angle + first + i, tl.where(a2 > 0, cosine_of_angle, float("nan")))


@triton.jit
def _measure_distinct(cloud, gram, y2, is_duplicate, radii, n, D: tl.constexpr, FEATURES: tl.constexpr,
                      RANKS: tl.constexpr, CANCELLATION: tl.constexpr, WIDTH: tl.constexpr, NEAR: tl.constexpr):  # fmt: skip
    """The radii of one token again, without duplicates, if its cloud has any."""
    i, first = tl.program_id(0), tl.program_id(1).to(tl.int64) * n
    j = tl.arange(0, WIDTH)
    is_distinct = tl.load(is_duplicate + first + j, mask=j < n, other=1) == 0
    distinct = tl.sum(is_distinct.to(tl.int32))
    if distinct < n:
        allowed = is_distinct & (j != i)
        d2, spoiled = _distances2(gram, y2, i, first, n, j, allowed, CANCELLATION)
        known = (distinct - 1) * (tl.load(is_duplicate + first + i) == 0)
        left = tl.sum(spoiled.to(tl.int32)) * (known > 0)
        while left > 0:
            s = tl.min(tl.where(spoiled, j, WIDTH))
            d2 = tl.where(j == s, _distance2(cloud, first + i, first + s, D, FEATURES), d2)
            spoiled = spoiled & (j != s)
            left -= 1
        d2, _ = _smallest(d2, allowed, j, WIDTH, NEAR)
        _store_radii(radii + (first + i) * RANKS, d2, known, RANKS, NEAR)


@triton.jit
def _sum_up(sums, moments, n, clouds, WIDTH: tl.constexpr):
    """Mean and deviation of the cosines of all pairs, and the mean of those of distinct tokens, of one cloud."""
    c = tl.program_id(0)
    j = tl.arange(0, WIDTH)
    rows = sums + 2 * (c.to(tl.int64) * n + j)
    cosines = tl.sum(tl.load(rows, mask=j < n, other=0.0))
    squares = tl.sum(tl.load(rows + 1, mask=j < n, other=0.0))
    pairs = n.to(tl.float64) * n
    mean = (cosines + n) / pairs
    tl.store(moments + c, mean)
    tl.store(moments + clouds + c, tl.sqrt(tl.maximum((squares + n) / pairs - mean * mean, 0.0)))
    tl.store(moments + 2 * clouds + c, cosines / (pairs - n))


@triton.jit
def _distances2(gram, y2, i, first, n, j, allowed, CANCELLATION: tl.constexpr):
    """Squared distances of token i to all, and which of them cancellation has spoiled."""
    g = tl.load(gram + (first + i) * n + j, mask=j < n, other=0.0)
    size = tl.load(y2 + first + i) + tl.load(y2 + first + j, mask=j < n, other=0.0)
    d2 = tl.maximum(size - 2 * g, 0.0)
    return d2, allowed & (d2 <= CANCELLATION * size)


@triton.jit
def _distance2(cloud, a, b, D: tl.constexpr, FEATURES: tl.constexpr):
    """The squared distance of two tokens, from their difference."""
    f = tl.arange(0, FEATURES)
    total = tl.zeros([FEATURES], tl.float64)
    for start in range(0, D, FEATURES):
        inside = start + f < D
        x = tl.load(cloud + a * D + start + f, mask=inside, other=0.0).to(tl.float64)
        y = tl.load(cloud + b * D + start + f, mask=inside, other=0.0).to(tl.float64)
        total += (x - y) * (x - y)
    return tl.sum(total)


@triton.jit
def _smallest(d2, allowed, j, WIDTH: tl.constexpr, NEAR: tl.constexpr):
    """The NEAR smallest of the allowed entries, ascending, and their columns.

    As in :func:`tokengeom_utils.neighbors._smallest`, the column number rides in the lowest bits.
    """
    key = (d2.to(tl.int64, bitcast=True) & -WIDTH) | j
    key = tl.where(allowed, key, 0x7FFFFFFFFFFFFFFF)
    key = -1 - tl.topk(-1 - key, NEAR)  # it selects the largest
    return (key & -WIDTH).to(tl.float64, bitcast=True), (key & (WIDTH - 1)).to(tl.int32)


@triton.jit
def _store_radii(radii, d2, known, RANKS: tl.constexpr, NEAR: tl.constexpr):
    """The roots of the sorted d2 at the ranks 1, 2, 4, ...; NaN beyond the first ``known``."""
    rank = tl.arange(0, NEAR) + 1
    column = tl.zeros([NEAR], tl.int32)
    for power in tl.static_range(1, RANKS):
        column += (rank >= 2**power).to(tl.int32)
    r = tl.where(rank <= known, tl.sqrt(d2), float("nan"))
    tl.store(radii + column, r, mask=((rank & (rank - 1)) == 0) & (rank < 2**RANKS))
