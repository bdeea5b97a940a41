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

    y, norm2, moments, angle = empty(d), empty(), empty(2), empty()
    radii, indices, near = empty(len(ranks)), empty(k, dtype=torch.int32), empty(k + 1)
    is_duplicate = empty(dtype=torch.int8)
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
    coincide = DUPLICATE**2 * y2.mean(-1)
    _measure[grid](flat, products, y2, norm2, coincide, radii, indices, near, angle, is_duplicate, moments, n, K=k, **sizes)
    kept = n - is_duplicate.sum(-1, dtype=torch.int32)
    _measure_distinct[grid](flat, products, y2, is_duplicate, kept, radii, n, **sizes)

    cosines, squares = moments.sum(1).unbind(-1)  # of the pairs of distinct tokens
    mean = (cosines + n) / n**2
    std = ((squares + n) / n**2 - mean**2).clamp(min=0).sqrt()
    near = near[..., : n - 1]
    parts = (
        radii, indices, is_duplicate.bool(), (near[..., 1:] == near[..., :-1]).any(-1),
        torch.where(near[..., 0] > 0, torch.rad2deg(torch.arccos(angle.clamp(-1, 1))), torch.nan), norm2,
    )  # fmt: skip
    cosine = CosineSimilarity(*(value.reshape(batch) for value in (mean, std, cosines / (n * (n - 1)))))
    return Layer(*(part.reshape(*batch, *part.shape[1:]) for part in parts), cosine)


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
def _measure(cloud, gram, y2, norm2, coincide, radii, indices, near, angle, is_duplicate, moments, n, K: tl.constexpr,
             D: tl.constexpr, FEATURES: tl.constexpr, RANKS: tl.constexpr, CANCELLATION: tl.constexpr,
             WIDTH: tl.constexpr, NEAR: tl.constexpr):  # fmt: skip
    """Everything of one token."""
    i, first = tl.program_id(0), tl.program_id(1).to(tl.int64) * n  # first token of the cloud
    j = tl.arange(0, WIDTH)
    allowed = (j < n) & (j != i)
    d2, spoiled = _distances2(gram, y2, i, first, n, j, allowed, CANCELLATION)
    limit = tl.load(coincide + tl.program_id(1))
    left, is_copy = tl.sum(spoiled.to(tl.int32)), 0
    while left > 0:
        s = tl.min(tl.where(spoiled, j, WIDTH))
        exact = _distance2(cloud, first + i, first + s, D, FEATURES)
        d2 = tl.where(j == s, exact, d2)
        is_copy = tl.where((s < i) & (exact <= limit), 1, is_copy)
        spoiled = spoiled & (j != s)
        left -= 1
    tl.store(is_duplicate + first + i, is_copy)

    x2, x2i = tl.load(norm2 + first + j, mask=j < n, other=1.0), tl.load(norm2 + first + i)
    cosine = tl.where(allowed, (x2i + x2 - d2) / (2 * tl.sqrt(x2i) * tl.sqrt(x2)), 0.0)
    tl.store(moments + 2 * (first + i), tl.sum(cosine))
    tl.store(moments + 2 * (first + i) + 1, tl.sum(cosine * cosine))

    d2, column = _smallest(d2, allowed, j, WIDTH, NEAR)
    _store_radii(radii + (first + i) * RANKS, d2, n - 1, RANKS, NEAR)
    p = tl.arange(0, NEAR)
    tl.store(indices + (first + i) * K + p, column, mask=p < K)
    tl.store(near + (first + i) * (K + 1) + p, d2, mask=p < K + 1)

    # The angle between the first two, by the law of cosines.
    a, b = tl.sum(tl.where(p == 0, column, 0)), tl.sum(tl.where(p == 1, column, 0))
    a2, b2 = tl.sum(tl.where(p == 0, d2, 0.0)), tl.sum(tl.where(p == 1, d2, 0.0))
    size = tl.load(y2 + first + a) + tl.load(y2 + first + b)
    between = size - 2 * tl.load(gram + (first + a) * n + b)
    if between <= CANCELLATION * size:
        between = _distance2(cloud, first + a, first + b, D, FEATURES)
    tl.store(angle + first + i, (a2 + b2 - between) / (2 * tl.sqrt(a2) * tl.sqrt(b2)))


@triton.jit
def _measure_distinct(cloud, gram, y2, is_duplicate, kept, radii, n, D: tl.constexpr, FEATURES: tl.constexpr,
                      RANKS: tl.constexpr, CANCELLATION: tl.constexpr, WIDTH: tl.constexpr, NEAR: tl.constexpr):  # fmt: skip
    """The radii of one token again, without duplicates, if its cloud has any."""
    i, first = tl.program_id(0), tl.program_id(1).to(tl.int64) * n
    distinct = tl.load(kept + tl.program_id(1))
    if distinct < n:
        j = tl.arange(0, WIDTH)
        allowed = (tl.load(is_duplicate + first + j, mask=j < n, other=1) == 0) & (j != i)
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
