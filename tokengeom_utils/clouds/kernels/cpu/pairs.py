r"""Nearest neighbors on a CPU: all pairs screened in float32, what is kept computed in float64.

The observables need few exact distances: those of the neighbors of rank 1, 2, 4, ..., and the order of the
nearest few. So the Gram matrix of the centered cloud is formed in float32, at half the cost, and gives every
squared distance :math:`v` as :math:`a` with a proven error. With :math:`Y = |y_i|`, :math:`D` features and
:math:`u = 2^{-24}`, rounding the cloud and the :math:`D`-term products in any order gives

.. math:: |a - v| \le c\,(|y_i| + |y_j|)^2 \le c\,(2 Y + \sqrt v)^2, \qquad c = \frac{D u}{2 (1 - D u)} + 3 u .

Let :math:`U` be at least the :math:`k`-th smallest :math:`a` of a row, :math:`T = U + 4 c (2 Y + \sqrt U)^2` and
:math:`E = c (2 Y + \sqrt T)^2`. Then the :math:`k` smallest :math:`v` are at most :math:`T`, each is within
:math:`E` of its :math:`a`, and whatever has :math:`v > T` has :math:`a > U`. Hence

- two neighbors whose :math:`a` differ by more than :math:`2 E` are in their true order; runs of closer ones are
  computed in float64, from differences, and sorted;
- the distance of rank :math:`r` is among those whose :math:`a` is within :math:`2 E` of the :math:`r`-th.

The smallest :math:`a` of a row are found by sorting integers, which numpy does in vectors: each is the place of a token
in the row, below :math:`a` in units small beside :math:`E`, rounded down. Two such numbers of units that differ by more
than :math:`2 E` and one unit belong to :math:`a` that differ by more than :math:`2 E`.

Nothing depends on luck: where the bound says little, as among duplicates, more pairs are computed.
"""

from typing import NamedTuple

import numpy as np
import torch
from numba import njit

from ...records import CosineSimilarity, Layer, Neighbors
from ...threads import KEPT, each, scratch
from ..limits import DUPLICATE
from ..participation import POINT
from ..products import WHOLE, WIDE, gram
from .compiled import PLAIN, SUMS

ROWS = 128  # a thread takes at least this many rows at once
SPARE = 32  # neighbors sorted beyond those wanted, because they may be no further
TIE = 1e-13  # squared distances this close, relatively, are equal


def layer(cloud, ranks, k):
    """Return what :func:`tokengeom_utils.clouds.kernels.reference.pairs.layer` returns.

    A token at the origin raises nothing; its squared length is zero.
    """
    *batch, n, d = cloud.shape
    parts = [_layer(one, ranks.numpy(), k) for one in cloud.detach().reshape(-1, n, d)]

    def stack(arrays):
        array = np.stack(arrays)
        return torch.from_numpy(array).reshape((*batch, *array.shape[1:]))

    *fields, cosine, participation = zip(*parts, strict=True)
    return Layer(*map(stack, fields), CosineSimilarity(*map(stack, zip(*cosine, strict=True))), stack(participation))


def radii(cloud, ranks):
    """Return what :func:`tokengeom_utils.clouds.kernels.reference.pairs.radii` returns."""
    *batch, n, d = cloud.shape
    found = [_layer(one, ranks.numpy(), 1).radii for one in cloud.detach().reshape(-1, n, d)]
    return torch.from_numpy(np.stack(found)).reshape(*batch, n, len(ranks))


def table(cloud, k):
    """Return what :func:`tokengeom_utils.clouds.kernels.reference.pairs.table` returns, for at least three tokens."""
    *batch, n, d = cloud.shape
    found = [_screen(one, np.arange(1, k + 1), k) for one in cloud.detach().reshape(-1, n, d)]
    distances, indices, is_duplicate = (
        torch.from_numpy(np.stack([getattr(one, name) for one in found]))
        for name in ("radii", "indices", "is_duplicate")
    )
    return Neighbors(
        distances.reshape(*batch, n, k), indices.long().reshape(*batch, n, k), is_duplicate.reshape(*batch, n)
    )


def _layer(cloud, ranks, k):
    """The Layer of one cloud, as arrays."""
    found = _screen(cloud, ranks, k, leave_out=True)
    if found.radii.shape[1] == len(ranks) and not found.is_duplicate.any():
        return found
    radii = np.full((len(cloud), len(ranks)), np.nan)
    kept = np.flatnonzero(~found.is_duplicate)
    left = ranks[ranks < len(kept)]
    if len(left) > 1:
        radii[kept, : len(left)] = _screen(cloud[torch.from_numpy(kept)], left, 1).radii
    return found._replace(radii=radii)


class _Cloud(NamedTuple):
    """A cloud (token, feature), and what the screening needs to know of it."""

    x: np.ndarray  #: the coordinates as given
    y2: np.ndarray  #: |y|^2 of the tokens about the center, scaled
    length: np.ndarray  #: |y|
    along: np.ndarray  #: c.y + |c|^2 / 2 with the center c
    inverse: np.ndarray  #: 1 / |x|, scaled
    mean: float  #: of the cosines of all pairs
    bound: float  #: c of the error bound
    farthest: float  #: the ``far``-th smallest length
    far: int  #: rank of the farthest neighbor wanted
    coincide: float  #: squared distance up to which two tokens are duplicates


class _Found(NamedTuple):
    """The parts of a Layer that are found row by row."""

    radii: np.ndarray
    indices: np.ndarray
    is_duplicate: np.ndarray
    is_tied: np.ndarray
    angle: np.ndarray


def _screen(cloud, ranks, k, leave_out=False):
    """Measure one cloud, as a Layer of arrays; of the radii only the first two ranks if it has copies to leave out."""
    wide = cloud.dtype in (torch.float32, torch.float64)
    x = np.ascontiguousarray((cloud if wide else cloud.float()).numpy())
    n, d = x.shape
    norm2, inverse, directions, size = _shape(x)
    if leave_out and len(np.unique(norm2)) < n:
        ranks = ranks[:2]
    total = np.square(directions).sum()

    # Any center will do. With weights 1 / |x| one massive token does not drag it away from all the others, and the
    # rounding of the cosines is that of |y_i| |y_j| / |x_i| |x_j|, 4 at most on average.
    center = directions / (inverse.sum() or 1)
    scale = 2.0 ** -np.round(np.log2(size)) if size > 0 else 1.0  # brings the cloud within float32's range
    # Holding all products at once halves their number, which pays where memory is quick to get or features are many.
    is_held = d >= (WIDE if n * n <= KEPT else 4 * WIDE) and n * n <= 2 * WHOLE
    y, products = scratch((n, d), (n, n) if is_held else (0,))
    y2, along = _center(x, center, scale, y.numpy())
    u, far, length = 2.0**-24, int(max(min(k + 1, n - 1), ranks[-1])), np.sqrt(y2)
    about = _Cloud(
        x, y2, length, along, inverse / scale, mean=total / n**2, bound=d * u / (2 * (1 - d * u)) + 3 * u,
        farthest=np.partition(length, far)[far],  # each token has at least `far` others of this length or less
        far=far, coincide=DUPLICATE**2 * size**2,
    )  # fmt: skip
    if is_held:
        gram(y[None], products[None])
    found = _Found(np.empty((n, len(ranks))), np.empty((n, k), np.int32), np.zeros(n, bool), np.zeros(n, bool),
                   np.empty(n))  # fmt: skip
    sums = np.empty((n, 3))
    # Few parts, since the threads wait for each other in between, but none so large that it matters.
    rows = max(ROWS, min(-(-n // torch.get_num_threads()), KEPT // n))

    def measure(start):
        some = slice(start, start + rows)
        g = (products[some] if is_held else y[some] @ y.T).numpy()
        _measure_rows(g, start, about, ranks, found, sums)

    each(measure, range(0, n, rows))
    spread, row_sums, row_squares = sums.T
    moments = CosineSimilarity(about.mean, np.sqrt(spread.sum()) / n, (total - n) / (n * (n - 1)))
    is_point = size * np.sqrt(n) <= POINT * np.sqrt(norm2.sum())
    ratio = np.nan if is_point else _participation(y2.sum(), row_sums, row_squares.sum())
    return Layer(*found, norm2=norm2, cosine=moments, participation=ratio)


def _participation(trace, row_sums, squares):
    r"""Return the participation ratio about the mean from products :math:`g_{ij}` about another center.

    The mean as center takes :math:`s / N` from their trace and turns the sum of their squares :math:`q` into
    :math:`q - 2 \sum_i r_i^2 / N + (s / N)^2`, with the sums :math:`r_i` of their rows and :math:`s` of all. However
    far the center, little is lost to cancellation: what is centered are the products as rounded, in float64.
    """
    total = row_sums.sum() / len(row_sums)
    return max(1.0, (trace - total) ** 2 / (squares - 2 * np.square(row_sums).sum() / len(row_sums) + total**2))


def _measure_rows(g, start, cloud, ranks, found, sums):
    """Measure the tokens from ``start`` on, whose products with all others are ``g``; overwrites ``g``."""
    n = len(cloud.x)
    keys, unit = g.view(np.int32), np.empty(len(g))  # each key takes the place of the product it is made of
    _keys(g, start, cloud, keys, unit, sums)
    m = min(cloud.far + SPARE, n - 1)
    keys.partition(m, axis=1)
    keys[:, :m].sort(axis=1)
    left = _rows(np.arange(len(g)), keys, unit, start, m, cloud, ranks, found)
    if left.size:
        keys[left] = np.sort(keys[left], axis=1)
        _rows(left, keys, unit, start, n - 1, cloud, ranks, found)


@njit(**SUMS)
def _shape(x):
    """|x|^2 and 1 / |x| of the tokens, the sum of their directions, and the root-mean-square radius about the mean."""
    n, d = x.shape
    norm2, inverse, mean, directions = np.empty(n), np.zeros(n), np.zeros(d), np.zeros(d)
    for i in range(n):
        s = 0.0
        for f in range(d):
            s += np.float64(x[i, f]) ** 2
        norm2[i] = s
        if s > 0:  # a token at the origin has no direction
            inverse[i] = 1 / np.sqrt(s)
        for f in range(d):
            mean[f] += np.float64(x[i, f])
            directions[f] += np.float64(x[i, f]) * inverse[i]
    mean /= n
    s = 0.0
    for i in range(n):
        for f in range(d):
            s += (np.float64(x[i, f]) - mean[f]) ** 2
    return norm2, inverse, directions, np.sqrt(s / n)


@njit(**SUMS)
def _center(x, center, scale, y):
    """Fills ``y`` with the cloud about its center c, both times ``scale``; returns |y|^2 and c.y + |c|^2 / 2."""
    y2, along = np.empty(x.shape[0]), np.empty(x.shape[0])
    for i in range(x.shape[0]):
        s = c = 0.0
        for f in range(x.shape[1]):
            v = np.float32((np.float64(x[i, f]) - center[f]) * scale)
            y[i, f] = v
            s += np.float64(v) * np.float64(v)
            c += (np.float64(v) + 0.5 * center[f] * scale) * center[f] * scale
        y2[i], along[i] = s, c
    return y2, along


@njit(**SUMS, forceinline=True)
def _distance2(x, i, j):
    s = 0.0
    for f in range(x.shape[1]):
        v = np.float64(x[i, f]) - np.float64(x[j, f])
        s += v * v
    return s


@njit(**PLAIN)
def _limits(u, length, bound):
    """T and E for an upper bound U of the k-th smallest entry of a row."""
    t = u + 4 * bound * (2 * length + np.sqrt(u)) ** 2
    return t, bound * (2 * length + np.sqrt(t)) ** 2


@njit(**SUMS)
def _keys(g, start, cloud, keys, unit, sums):
    """Fill in the keys of the rows ``g``, their units, and per row the sums of (cosine - mean)^2, g, and g^2."""
    y2, along, inverse, mean, bound = cloud.y2, cloud.along, cloud.inverse, cloud.mean, cloud.bound
    n = y2.size
    bits = _bits(n)
    most = 2.0 ** (31 - bits) - 1
    a = np.empty(n)
    for row in range(g.shape[0]):
        i = start + row
        # The k-th smallest distance is at most |y_i| + farthest, and its square, screened, less than T for that; so
        # nothing of use lies above what follows for such an entry in turn.
        length = np.sqrt(y2[i])
        t, error = _limits((length + cloud.farthest) ** 2, length, bound)
        t, error = _limits(t, length, bound)
        unit[row] = (t + 2 * error) / (most - 1)
        scale = 1 / unit[row] if t > 0 else 0.0
        s = 0.0
        for j in range(n):
            a[j] = min(max(0.0, y2[i] + y2[j] - 2 * np.float64(g[row, j])) * scale, most)
            cosine = (np.float64(g[row, j]) + along[i] + along[j]) * inverse[i] * inverse[j] - mean
            s += cosine * cosine
        r = q = 0.0
        for j in range(n):
            r += np.float64(g[row, j])
            q += np.float64(g[row, j]) ** 2
        sums[i, 0], sums[i, 1], sums[i, 2] = s, r, q
        for j in range(n):
            keys[row, j] = (np.int32(a[j]) << bits) | np.int32(j)
        keys[row, i] = 2**31 - 1  # the token itself comes last


@njit(**PLAIN)
def _bits(n):
    """How many bits hold the place of a token."""
    bits = 1
    while n > 1 << bits:
        bits += 1
    return bits


@njit(**PLAIN)
def _sort(value, index, start, stop):
    """Sorts by value, then index."""
    if stop - start > 16:  # insertion is for what is short or nearly sorted
        order = start + np.argsort(value[start:stop])
        value[start:stop], index[start:stop] = value[order], index[order]
    for p in range(start + 1, stop):
        v, j = value[p], index[p]
        q = p - 1
        while q >= start and (value[q] > v or (value[q] == v and index[q] > j)):
            value[q + 1], index[q + 1] = value[q], index[q]
            q -= 1
        value[q + 1], index[q + 1] = v, j


@njit(**PLAIN)
def _rows(rows, keys, unit, start, m, cloud, ranks, found):
    """Measure the tokens ``start + row`` from their ``m`` smallest keys, in order; return the rows that need more."""
    n, k = cloud.x.shape[0], found.indices.shape[1]
    near = min(k + 1, n - 1)
    bits = _bits(n)
    value, index, order = np.empty(m, np.int64), np.empty(m, np.int64), np.empty(m, np.int64)
    exact = np.empty(m)
    left = np.empty_like(rows)
    n_left = 0
    for row in rows:
        i = start + row
        for p in range(m):
            value[p], index[p] = keys[row, p] >> bits, keys[row, p] & ((1 << bits) - 1)
        gap = 1.0  # entries further apart than this many units are in their true order
        if unit[row] > 0:
            t = (value[cloud.far - 1] + 1) * unit[row]
            gap += 2 * _limits(t, cloud.length[i], cloud.bound)[1] / unit[row]
        if m < n - 1 and value[m - 1] <= value[cloud.far - 1] + gap:
            left[n_left] = row
            n_left += 1
            continue
        _nearest(i, near, gap, value, index, exact, order, cloud, ranks, found)
        for t in range(k):
            found.indices[i, t] = order[t]
        found.angle[i] = np.nan
        if exact[0] > 0:
            between = _distance2(cloud.x, order[0], order[1])
            cosine = (exact[0] + exact[1] - between) / (2 * np.sqrt(exact[0]) * np.sqrt(exact[1]))
            found.angle[i] = np.degrees(np.arccos(min(1.0, max(-1.0, cosine))))
        _radii(i, near, gap, value, index, exact, order, cloud, ranks, found)
    return left[:n_left]


@njit(**PLAIN)
def _nearest(i, near, gap, value, index, exact, order, cloud, ranks, found):
    """Order the ``near`` nearest of token i: neighbors that the screening cannot tell apart are computed and sorted."""
    close = near
    while close < value.size and value[close] <= value[near - 1] + gap:
        close += 1
    rank, p = 0, 0
    while p < near:
        q = p + 1
        while q < close and value[q] - value[q - 1] <= gap:
            q += 1
        while rank < ranks.size and ranks[rank] <= p:
            rank += 1
        if q > p + 1 or (rank < ranks.size and ranks[rank] == p + 1):
            for t in range(p, q):
                exact[t], order[t] = _distance2(cloud.x, i, index[t]), index[t]
                if exact[t] <= cloud.coincide and index[t] < i:
                    found.is_duplicate[i] = True
            _sort(exact, order, p, q)
            for t in range(p + 1, min(q, near)):
                if exact[t] - exact[t - 1] <= TIE * exact[t]:
                    found.is_tied[i] = True
        else:
            exact[p], order[p] = np.nan, index[p]
        p = q


@njit(**PLAIN)
def _radii(i, near, gap, value, index, exact, order, cloud, ranks, found):
    """Compute the distances of the ranks: known among the nearest, else found among those within 2 E."""
    for r in range(ranks.size):
        place = ranks[r] - 1
        if place < near:
            found.radii[i, r] = np.sqrt(exact[place])
            continue
        first, last = place, place + 1
        while first > 0 and value[first - 1] >= value[place] - gap:
            first -= 1
        while last < value.size and value[last] <= value[place] + gap:
            last += 1
        for t in range(first, last):
            exact[t], order[t] = _distance2(cloud.x, i, index[t]), index[t]
        _sort(exact, order, first, last)
        found.radii[i, r] = np.sqrt(exact[place])
