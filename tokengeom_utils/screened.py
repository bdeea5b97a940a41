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

import numpy as np
import torch
from numba import njit

from . import neighbors
from .cosine import CosineSimilarity
from .layer import Layer
from .threads import KEPT, each, scratch

ROWS = 128  # a thread takes at least so many at once
SPARE = 32  # neighbors beyond those wanted that are sorted too, as they may be no further
TILE = 16  # divides neighbors.STRIP
TIE = 1e-13  # squared distances this close, relatively, are equal


def screened_layer(cloud, ranks, k):
    """For clouds on the CPU, what :func:`tokengeom_utils.layer.exact_layer` gives for the same arguments.

    A token at the origin raises nothing; its squared length is zero.
    """
    *batch, n, d = cloud.shape
    parts = list(zip(*(_layer(one, ranks.numpy(), k) for one in cloud.detach().reshape(-1, n, d))))
    *arrays, moments = map(np.stack, parts) if batch else (part[0] for part in parts)
    arrays = (torch.from_numpy(array).reshape(*batch, *array.shape[bool(batch) :]) for array in arrays)
    return Layer(*arrays, CosineSimilarity(*torch.from_numpy(np.transpose(moments)).reshape(3, *batch)))


def screened_radii(cloud, ranks):
    """For clouds on the CPU, what :func:`tokengeom_utils.layer.exact_radii` gives."""
    *batch, n, d = cloud.shape
    radii = [_layer(one, ranks.numpy(), 1)[0] for one in cloud.reshape(-1, n, d)]
    return torch.from_numpy(np.stack(radii)).reshape(*batch, n, len(ranks))


def screened_table(cloud, k):
    """Distances, indices and duplicates of the ``k`` nearest of one cloud (token, feature), N >= 3, as arrays."""
    distances, indices, is_duplicate, *_ = _screen(cloud, np.arange(1, k + 1), k)
    return distances, indices.astype(np.int64), is_duplicate


def _layer(cloud, ranks, k):
    """The parts of a Layer for one cloud, as arrays."""
    radii, indices, is_duplicate, is_tied, angle, norm2, moments = _screen(cloud, ranks, k, leave_out=True)
    radii = _distinct_radii(cloud, ranks, radii, is_duplicate)
    return radii, indices, is_duplicate, is_tied, angle, norm2, moments


def _distinct_radii(cloud, ranks, radii, is_duplicate):
    """``radii`` with the duplicates left out."""
    if radii.shape[1] < len(ranks) or is_duplicate.any():
        radii = np.full((len(radii), len(ranks)), np.nan)
        kept = np.flatnonzero(~is_duplicate)
        left = ranks[ranks < len(kept)]
        if len(left) > 1:
            radii[kept, : len(left)] = _screen(cloud[torch.from_numpy(kept)], left, 1)[0]
    return radii


def _screen(cloud, ranks, k, leave_out=False):
    """Everything about one cloud; radii of the first two ranks alone if equal tokens are to be left out of the rest."""
    wide = cloud.dtype in (torch.float32, torch.float64)
    x = np.ascontiguousarray((cloud if wide else cloud.float()).numpy())
    n, d = x.shape
    norm2, inverse, directions, size = _shape(x)
    if leave_out and len(np.unique(norm2)) < n:
        ranks = ranks[:2]
    total = np.square(directions).sum()
    mean = total / n**2

    # Any center will do. With weights 1 / |x| one massive token does not drag it away from all the others, and the
    # rounding of the cosines is that of |y_i| |y_j| / |x_i| |x_j|, 4 at most on average.
    center = directions / (inverse.sum() or 1)
    scale = 2.0 ** -np.round(np.log2(size)) if size > 0 else 1.0  # brings the cloud within float32's range
    # Held at once, only half of the products need be computed, which makes up for memory that is not at hand in time.
    is_held = d >= (neighbors.WIDE if n * n <= KEPT else 4 * neighbors.WIDE) and n * n <= 2 * neighbors.WHOLE
    y, products = scratch((n, d), (n, n) if is_held else (0,))
    y2, along = _center(x, center, scale, y.numpy())
    inverse /= scale
    u = 2.0**-24
    bound = d * u / (2 * (1 - d * u)) + 3 * u
    coincide = neighbors.DUPLICATE**2 * size**2
    far = max(min(k + 1, n - 1), ranks[-1])
    length = np.sqrt(y2)
    farthest = np.partition(length, far)[far]  # of this length and below are at least `far` others, whoever is asked
    if is_held:
        neighbors.gram(y[None], products[None])
    radii, indices, angle, spread = np.empty((n, len(ranks))), np.empty((n, k), np.int32), np.empty(n), np.empty(n)
    is_duplicate, is_tied = np.zeros(n, bool), np.zeros(n, bool)

    # Few parts, since the threads wait for each other in between, but none so large that it matters.
    rows = max(ROWS, min(-(-n // torch.get_num_threads()), KEPT // n))

    def measure(start):
        some = slice(start, start + rows)
        g = (products[some] if is_held else y[some] @ y.T).numpy()
        keys, unit = g.view(np.int32), np.empty(len(g))  # each key takes the place of the product it is made of
        _keys(g, start, y2, along, inverse, mean, bound, farthest, keys, unit, spread)

        def take(rows, m):
            return _rows(rows, keys, unit, start, m, far, x, length, bound, coincide, ranks,
                         radii, indices, is_duplicate, is_tied, angle)  # fmt: skip

        m = min(far + SPARE, n - 1)
        keys.partition(m, axis=1)
        keys[:, :m].sort(axis=1)
        left = take(np.arange(len(g)), m)
        if left.size:
            keys[left] = np.sort(keys[left], axis=1)
            take(left, n - 1)

    each(measure, range(0, n, rows))
    moments = mean, np.sqrt(spread.sum()) / n, (total - n) / (n * (n - 1))
    return radii, indices, is_duplicate, is_tied, angle, norm2, moments


PLAIN = {"nogil": True, "cache": True, "error_model": "numpy"}
# Lets the compiler add in any order, so in vectors. What compiled code calls of this kind is forced into its caller:
# of a copy on its own, the process that compiles takes one and those that find the code in the cache another.
SUMS = PLAIN | {"fastmath": {"reassoc", "contract", "nsz"}}


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
def mirror(g, start, stop):
    """Fills in the rows ``start`` to ``stop`` of a symmetric matrix, up to column ``start``, from its columns."""
    for first in range(0, start, TILE):  # tile by tile, which stay in the cache
        for i in range(start, stop):
            for j in range(first, first + TILE):
                g[i, j] = g[j, i]


@njit(**PLAIN)
def _limits(u, length, bound):
    """T and E for an upper bound U of the k-th smallest entry of a row."""
    t = u + 4 * bound * (2 * length + np.sqrt(u)) ** 2
    return t, bound * (2 * length + np.sqrt(t)) ** 2


@njit(**SUMS)
def _keys(g, start, y2, along, inverse, mean, bound, farthest, keys, unit, spread):
    """Fills in the keys of the rows ``g``, their units, and the sums of (cosine - mean)^2."""
    n = y2.size
    bits = _bits(n)
    most = 2.0 ** (31 - bits) - 1
    a = np.empty(n)
    for row in range(g.shape[0]):
        i = start + row
        # The k-th smallest distance is at most |y_i| + farthest, and its square, screened, less than T for that; so
        # nothing of use lies above what follows for such an entry in turn.
        length = np.sqrt(y2[i])
        t, error = _limits((length + farthest) ** 2, length, bound)
        t, error = _limits(t, length, bound)
        unit[row] = (t + 2 * error) / (most - 1)
        scale = 1 / unit[row] if t > 0 else 0.0
        s = 0.0
        for j in range(n):
            a[j] = min(max(0.0, y2[i] + y2[j] - 2 * np.float64(g[row, j])) * scale, most)
            cosine = (np.float64(g[row, j]) + along[i] + along[j]) * inverse[i] * inverse[j] - mean
            s += cosine * cosine
        spread[i] = s
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
def _rows(rows, keys, unit, start, m, far, x, length, bound, coincide, ranks,
          radii, indices, is_duplicate, is_tied, angle):  # fmt: skip
    """Measures the tokens ``start + row`` from their ``m`` smallest keys, in order; returns the rows that need more."""
    n, k = x.shape[0], indices.shape[1]
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
            gap += 2 * _limits((value[far - 1] + 1) * unit[row], length[i], bound)[1] / unit[row]
        if m < n - 1 and value[m - 1] <= value[far - 1] + gap:
            left[n_left] = row
            n_left += 1
            continue
        close = near
        while close < m and value[close] <= value[near - 1] + gap:
            close += 1

        # The nearest: runs of neighbors that the screening cannot tell apart are computed and sorted.
        rank, p = 0, 0
        while p < near:
            q = p + 1
            while q < close and value[q] - value[q - 1] <= gap:
                q += 1
            while rank < ranks.size and ranks[rank] <= p:
                rank += 1
            if q > p + 1 or (rank < ranks.size and ranks[rank] == p + 1):
                for t in range(p, q):
                    exact[t], order[t] = _distance2(x, i, index[t]), index[t]
                    if exact[t] <= coincide and index[t] < i:
                        is_duplicate[i] = True
                _sort(exact, order, p, q)
                for t in range(p + 1, min(q, near)):
                    if exact[t] - exact[t - 1] <= TIE * exact[t]:
                        is_tied[i] = True
            else:
                exact[p], order[p] = np.nan, index[p]
            p = q
        for t in range(k):
            indices[i, t] = order[t]
        between = _distance2(x, order[0], order[1])
        cosine = (exact[0] + exact[1] - between) / (2 * np.sqrt(exact[0]) * np.sqrt(exact[1])) if exact[0] > 0 else 0.0
        angle[i] = np.degrees(np.arccos(min(1.0, max(-1.0, cosine)))) if exact[0] > 0 else np.nan

        # The ranks: among the nearest, or among those within 2 E.
        for r in range(ranks.size):
            place = ranks[r] - 1
            if place < near:
                radii[i, r] = np.sqrt(exact[place])
                continue
            first, last = place, place + 1
            while first > 0 and value[first - 1] >= value[place] - gap:
                first -= 1
            while last < m and value[last] <= value[place] + gap:
                last += 1
            for t in range(first, last):
                exact[t], order[t] = _distance2(x, i, index[t]), index[t]
            _sort(exact, order, first, last)
            radii[i, r] = np.sqrt(exact[place])
    return left[:n_left]
