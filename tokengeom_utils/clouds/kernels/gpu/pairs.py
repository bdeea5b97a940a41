r"""The pairs of a layer on a GPU: each row of the Gram matrix is read once, by one program.

Where :mod:`tokengeom_utils.clouds.kernels.reference.pairs` passes over the squared distances many times, a program here
holds one row and does everything for it: it replaces the entries that lost digits to cancellation, adds up the cosines,
sorts the nearest and writes the results. Nothing waits for the device, so the model's next block is queued meanwhile.

Copies of a point are at exactly one distance: a row reads the entry of the first copy in place of its own.
"""

import torch
import triton
import triton.language as tl

from ...records import CosineSimilarity, Layer
from ..limits import CANCELLATION, DUPLICATE
from ..participation import POINT
from ..products import gram


def radii(cloud, ranks):
    """Return what :func:`tokengeom_utils.clouds.kernels.reference.pairs.radii` returns for ranks 1, 2, 4, ..."""
    return layer(cloud, ranks, 1).radii


def layer(cloud, ranks, k):
    """Return what :func:`tokengeom_utils.clouds.kernels.reference.pairs.layer` returns for ranks 1, 2, 4, ...

    Nothing is refused: a token that is not finite or lies at the origin shows in ``norm2``.
    """
    *batch, n, d = cloud.shape
    flat = cloud.detach().reshape(-1, n, d).contiguous()
    clouds = len(flat)

    def empty(*shape, dtype=torch.float64):
        return torch.empty(clouds, n, *shape, dtype=dtype, device=flat.device)

    y, norm2, sums, angle = empty(d), empty(), empty(4), empty()
    key, copy = empty(dtype=torch.int64), empty(dtype=torch.int32)
    radii, indices = empty(len(ranks)), empty(k, dtype=torch.int32)
    is_duplicate, is_tied = empty(dtype=torch.int8), empty(dtype=torch.int8)
    moments = torch.empty(4, clouds, dtype=torch.float64, device=flat.device)
    width, features, grid = triton.next_power_of_2(n), triton.next_power_of_2(min(d, 1024)), (n, clouds)
    sizes = {
        "D": d, "FEATURES": features, "RANKS": len(ranks), "CANCELLATION": CANCELLATION, "WIDTH": width,
        "NEAR": min(width, triton.next_power_of_2(max(2 ** (len(ranks) - 1), k + 1))),
    }  # fmt: skip
    # Any center will do: it keeps the products, and with them their rounding, small.
    center = flat.mean(-2, dtype=torch.promote_types(flat.dtype, torch.float32))
    _center[grid](flat, center, y, norm2, key, n, D=d, FEATURES=features)
    _first_copy[grid](key, copy, n, WIDTH=width)
    products = gram(y)
    y2 = products.diagonal(0, -2, -1).contiguous()
    outputs = radii, indices, angle, is_duplicate, is_tied, sums
    _measure[grid](flat, products, y2, copy, norm2, *outputs, n, K=k, DUPLICATE=DUPLICATE, **sizes)
    _measure_distinct[grid](flat, products, y2, copy, is_duplicate, radii, n, **sizes)
    _sum_up[(clouds,)](sums, y2, norm2, moments, n, clouds, WIDTH=width, POINT=POINT)

    moments = moments.reshape(4, *batch)

    def unflatten(part):
        return part.reshape(*batch, *part.shape[1:])

    return Layer(
        radii=unflatten(radii),
        indices=unflatten(indices),
        is_duplicate=unflatten(is_duplicate.bool()),
        is_tied=unflatten(is_tied.bool()),
        angle=unflatten(angle.arccos_().rad2deg_()),
        norm2=unflatten(norm2),
        cosine=CosineSimilarity(*moments[:3]),
        participation=moments[3],
    )


@triton.jit
def _center(cloud, center, y, norm2, key, n, D: tl.constexpr, FEATURES: tl.constexpr):
    """The token about the center, its squared length about the origin, and a key that only its copies share.

    The key adds up the scrambled bits of the coordinates in integers, which do not round. Two points that differ get
    the same one with probability 2^-64.
    """
    row = tl.program_id(1).to(tl.int64) * n + tl.program_id(0)
    f = tl.arange(0, FEATURES)
    total = tl.zeros([FEATURES], tl.float64)
    scrambled = tl.zeros([FEATURES], tl.int64)
    for start in range(0, D, FEATURES):
        inside = start + f < D
        x = tl.load(cloud + row * D + start + f, mask=inside, other=0.0).to(tl.float64)
        c = tl.load(center + tl.program_id(1) * D + start + f, mask=inside, other=0.0).to(tl.float64)
        tl.store(y + row * D + start + f, x - c, mask=inside)
        total += x * x
        bits = (x + 0.0).to(tl.int64, bitcast=True) ^ ((start + f + 1).to(tl.int64) * 0x1E3779B97F4A7C15)  # -0.0 is 0.0
        bits *= 0x3F58476D1CE4E5B9
        bits ^= bits >> 32
        bits *= 0x14D049BB133111EB
        bits ^= bits >> 29
        scrambled += tl.where(inside, bits, 0)
    tl.store(norm2 + row, tl.sum(total))
    tl.store(key + row, tl.sum(scrambled))


@triton.jit
def _first_copy(key, copy, n, WIDTH: tl.constexpr):
    """The first token with the same coordinates."""
    i, first = tl.program_id(0), tl.program_id(1).to(tl.int64) * n
    j = tl.arange(0, WIDTH)
    same = (tl.load(key + first + j, mask=j < n, other=0) == tl.load(key + first + i)) & (j < n)
    tl.store(copy + first + i, tl.min(tl.where(same, j, WIDTH)))


@triton.jit
def _measure(cloud, gram, y2, copy, norm2, radii, indices, angle, is_duplicate, is_tied, sums, n, K: tl.constexpr,
             D: tl.constexpr, FEATURES: tl.constexpr, RANKS: tl.constexpr, CANCELLATION: tl.constexpr,
             DUPLICATE: tl.constexpr, WIDTH: tl.constexpr, NEAR: tl.constexpr):  # fmt: skip
    """Everything of one token."""
    i, first = tl.program_id(0), tl.program_id(1).to(tl.int64) * n  # first token of the cloud
    j = tl.arange(0, WIDTH)
    allowed = (j < n) & (j != i)
    g, d2, spoiled = _distances2(gram, y2, copy, i, first, n, j, allowed, CANCELLATION)
    tl.store(sums + 4 * (first + i) + 2, tl.sum(g))
    tl.store(sums + 4 * (first + i) + 3, tl.sum(g * g))
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
    tl.store(sums + 4 * (first + i), tl.sum(cosine))
    tl.store(sums + 4 * (first + i) + 1, tl.sum(cosine * cosine))

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
def _measure_distinct(cloud, gram, y2, copy, is_duplicate, radii, n, D: tl.constexpr, FEATURES: tl.constexpr,
                      RANKS: tl.constexpr, CANCELLATION: tl.constexpr, WIDTH: tl.constexpr,
                      NEAR: tl.constexpr):  # fmt: skip
    """The radii of one token again, without duplicates, if its cloud has any."""
    i, first = tl.program_id(0), tl.program_id(1).to(tl.int64) * n
    j = tl.arange(0, WIDTH)
    is_distinct = tl.load(is_duplicate + first + j, mask=j < n, other=1) == 0
    distinct = tl.sum(is_distinct.to(tl.int32))
    if distinct < n:
        allowed = is_distinct & (j != i)
        _, d2, spoiled = _distances2(gram, y2, copy, i, first, n, j, allowed, CANCELLATION)
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
def _sum_up(sums, y2, norm2, moments, n, clouds, WIDTH: tl.constexpr, POINT: tl.constexpr):
    """Of one cloud: mean and deviation of the cosines of all pairs, mean of those of distinct tokens, participation."""
    c = tl.program_id(0)
    j = tl.arange(0, WIDTH)
    tokens = c.to(tl.int64) * n + j
    rows = sums + 4 * tokens
    cosines = tl.sum(tl.load(rows, mask=j < n, other=0.0))
    squares = tl.sum(tl.load(rows + 1, mask=j < n, other=0.0))
    pairs = n.to(tl.float64) * n
    mean = (cosines + n) / pairs
    tl.store(moments + c, mean)
    tl.store(moments + clouds + c, tl.sqrt(tl.maximum((squares + n) / pairs - mean * mean, 0.0)))
    tl.store(moments + 2 * clouds + c, cosines / (pairs - n))

    # The products are about a center near the mean; see `cpu.pairs._participation`.
    products = tl.load(rows + 2, mask=j < n, other=0.0)
    total = tl.sum(products) / n
    trace = tl.sum(tl.load(y2 + tokens, mask=j < n, other=0.0)) - total
    squares = tl.sum(tl.load(rows + 3, mask=j < n, other=0.0)) - 2 * tl.sum(products * products) / n + total * total
    extent = POINT * POINT * tl.sum(tl.load(norm2 + tokens, mask=j < n, other=0.0))
    tl.store(moments + 3 * clouds + c, tl.where(trace > extent, tl.maximum(trace * trace / squares, 1.0), float("nan")))


@triton.jit
def _distances2(gram, y2, copy, i, first, n, j, allowed, CANCELLATION: tl.constexpr):
    """Products of token i with all, its squared distances, and which of these lost digits to cancellation."""
    c = tl.load(copy + first + j, mask=j < n, other=0)  # copies take over the distance of the first one
    g = tl.load(gram + (first + i) * n + c, mask=j < n, other=0.0)
    size = tl.load(y2 + first + i) + tl.load(y2 + first + c, mask=j < n, other=0.0)
    d2 = tl.maximum(size - 2 * g, 0.0)
    return g, d2, allowed & (d2 <= CANCELLATION * size)


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

    As in ``reference.pairs._smallest``, the column number rides in the lowest bits.
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
