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

Nothing depends on luck: where the bound says little, as among duplicates, more pairs are computed.
"""

import numpy as np
import torch
from numba import njit

from . import neighbors
from .cosine import CosineSimilarity, refuse_origin
from .layer import Layer
from .threads import each

ROWS = 128  # rows that a thread takes at once
SAMPLE, BINS = 32, 1024
TIE = 1e-13  # squared distances this close, relatively, are equal


def screened_layer(cloud, ranks, k):
    """For clouds on the CPU, what :func:`tokengeom_utils.layer.exact_layer` gives for the same arguments."""
    *batch, n, d = cloud.shape
    *arrays, moments = zip(*(_layer(one, ranks.numpy(), k) for one in cloud.detach().reshape(-1, n, d)))
    arrays = [torch.from_numpy(np.stack(array)).reshape(*batch, *array[0].shape) for array in arrays]
    return Layer(*arrays, CosineSimilarity(*torch.tensor(moments, dtype=torch.float64).T.reshape(3, *batch)))


def screened_radii(cloud, ranks):
    """For clouds on the CPU, what :func:`tokengeom_utils.layer.exact_radii` gives."""
    *batch, n, d = cloud.shape
    ranks, radii = ranks.numpy(), []
    for one in cloud.reshape(-1, n, d):
        found, _, is_duplicate, *_ = _screen(one, ranks, 1)
        radii.append(_distinct_radii(one, ranks, found, is_duplicate))
    return torch.from_numpy(np.stack(radii)).reshape(*batch, n, len(ranks))


def screened_table(cloud, k):
    """Distances, indices and duplicates of the ``k`` nearest of one cloud (token, feature), N >= 3, as arrays."""
    distances, indices, is_duplicate, *_ = _screen(cloud, np.arange(1, k + 1), k)
    return distances, indices.astype(np.int64), is_duplicate


def _layer(cloud, ranks, k):
    """The parts of a Layer for one cloud, as arrays."""
    radii, indices, is_duplicate, is_tied, angle, norm2, moments = _screen(cloud, ranks, k)
    refuse_origin(torch.from_numpy(norm2))
    radii = _distinct_radii(cloud, ranks, radii, is_duplicate)
    return radii, indices, is_duplicate, is_tied, angle, norm2, moments


def _distinct_radii(cloud, ranks, radii, is_duplicate):
    """``radii`` with the duplicates left out."""
    if is_duplicate.any():
        radii[:] = np.nan
        kept = np.flatnonzero(~is_duplicate)
        left = ranks[ranks < len(kept)]
        if len(left) > 1:
            radii[kept, : len(left)] = _screen(cloud[torch.from_numpy(kept)], left, 1)[0]
    return radii


def _screen(cloud, ranks, k):
    wide = cloud.dtype in (torch.float32, torch.float64)
    x = np.ascontiguousarray((cloud if wide else cloud.float()).numpy())
    n, d = x.shape
    norm2, size = _shape(x)
    inverse = np.divide(1, np.sqrt(norm2), out=np.zeros(n), where=norm2 > 0)  # a token at the origin has no direction
    directions = _weighted_sum(x, inverse)
    total = np.square(directions).sum()
    mean = total / n**2

    # Any center will do. With weights 1 / |x| one massive token does not drag it away from all the others, and the
    # rounding of the cosines is that of |y_i| |y_j| / |x_i| |x_j|, 4 at most on average.
    center = directions / (inverse.sum() or 1)
    unit = 2.0 ** -np.round(np.log2(size)) if size > 0 else 1.0  # brings the cloud within float32's range
    y = torch.empty(n, d, dtype=torch.float32)
    y2, along = _center(x, center, unit, y.numpy())
    inverse /= unit
    u = 2.0**-24
    bound = d * u / (2 * (1 - d * u)) + 3 * u
    coincide = neighbors.DUPLICATE**2 * size**2
    gram = neighbors.gram(y[None])[0] if n * n <= 2 * neighbors.WHOLE else None
    radii, indices, angle, spread = np.empty((n, len(ranks))), np.empty((n, k), np.int32), np.empty(n), np.empty(n)
    is_duplicate, is_tied = np.zeros(n, bool), np.zeros(n, bool)

    def measure(start):
        g = y[start : start + ROWS] @ y.T if gram is None else gram[start : start + ROWS]
        _rows(g.numpy(), start, x, y2, along, inverse, mean, bound, coincide, ranks,
              radii, indices, is_duplicate, is_tied, angle, spread)  # fmt: skip

    each(measure, range(0, n, ROWS))
    moments = mean, np.sqrt(spread.sum()) / n, (total - n) / (n * (n - 1))
    return radii, indices, is_duplicate, is_tied, angle, norm2, moments


PLAIN = {"nogil": True, "cache": True, "error_model": "numpy"}
# Lets the compiler add in any order, so in vectors. What compiled code calls of this kind is forced into its caller:
# of a copy on its own, the process that compiles takes one and those that find the code in the cache another.
SUMS = PLAIN | {"fastmath": {"reassoc", "contract", "nsz"}}


@njit(**SUMS)
def _shape(x):
    """Squared lengths of the tokens, and the root-mean-square radius of the cloud about its mean."""
    n, d = x.shape
    norm2, mean = np.empty(n), np.zeros(d)
    for i in range(n):
        s = 0.0
        for f in range(d):
            v = np.float64(x[i, f])
            mean[f] += v
            s += v * v
        norm2[i] = s
    mean /= n
    s = 0.0
    for i in range(n):
        for f in range(d):
            s += (np.float64(x[i, f]) - mean[f]) ** 2
    return norm2, np.sqrt(s / n)


@njit(**SUMS)
def _weighted_sum(x, weights):
    s = np.zeros(x.shape[1])
    for i in range(x.shape[0]):
        for f in range(x.shape[1]):
            s[f] += np.float64(x[i, f]) * weights[i]
    return s


@njit(**SUMS)
def _center(x, center, unit, y):
    """Fills ``y`` with the cloud about its center c, in units of 1 / unit; returns |y|^2 and c.y + |c|^2 / 2."""
    y2, along = np.empty(x.shape[0]), np.empty(x.shape[0])
    for i in range(x.shape[0]):
        s = c = 0.0
        for f in range(x.shape[1]):
            v = np.float32((np.float64(x[i, f]) - center[f]) * unit)
            y[i, f] = v
            s += np.float64(v) * np.float64(v)
            c += (np.float64(v) + 0.5 * center[f] * unit) * center[f] * unit
        y2[i], along[i] = s, c
    return y2, along


@njit(**SUMS, forceinline=True)
def _distance2(x, i, j):
    s = 0.0
    for f in range(x.shape[1]):
        v = np.float64(x[i, f]) - np.float64(x[j, f])
        s += v * v
    return s


@njit(**SUMS, forceinline=True)
def _screened(g, i, y2, along, inverse, mean, a):
    """Screened squared distances of a row; returns the sum of (cosine - mean)^2."""
    spread = 0.0
    for j in range(g.size):
        a[j] = max(0.0, y2[i] + y2[j] - 2 * np.float64(g[j]))
        cosine = (np.float64(g[j]) + along[i] + along[j]) * inverse[i] * inverse[j] - mean
        spread += cosine * cosine
    return spread


@njit(**PLAIN)
def _candidates(a, near, ranks, length, bound, count, found, value, index):
    """Puts into ``value`` and ``index`` what matters to the k smallest of a row, in bins in ascending order.

    Sorted are the first, as far as any can be among the ``near`` nearest, and what is within 2 E of each rank.
    Returns how many there are in all, how many of the first are sorted, and E.
    """
    n, k = a.size, max(near, ranks[-1])
    # The k-th smallest is guessed from a sample, generously, and doubled where that was too low.
    step = max(1, n // SAMPLE)
    taken = 0
    for j in range(0, n, step):
        value[taken] = a[j]
        taken += a[j] < np.inf
    high = 0.0
    for p in range(taken):
        less = 0
        for q in range(taken):
            less += value[q] < value[p]
        if less <= taken * k // n + 6:
            high = max(high, value[p])
    m = _below(a, high, n, found)
    while m < k:
        high = 2 * high if high > 0 else 1e-30
        m = _below(a, high, n, found)
    # A bin holds about one entry, so the bins in order are nearly sorted, and one of them ends behind the k-th.
    scale = BINS / high if high > 0 else 0.0
    count[:] = 0
    for p in range(m):
        count[int(min(a[found[p]] * scale, BINS - 1.0))] += 1
    before, bins = 0, 0
    while before < k:
        here = count[bins]
        count[bins] = before  # where the entries of this bin begin
        before += here
        bins += 1
    top = bins / scale if 0 < bins < BINS and high > 0 else high
    limit = top + 4 * bound * (2 * length + np.sqrt(top)) ** 2
    error = bound * (2 * length + np.sqrt(limit)) ** 2
    limit = top + 2 * error
    m = _below(a, limit, n, found) if limit > high else _below(a, limit, -m, found)
    for p in range(m):
        j = found[p]
        place = int(min(a[j] * scale, BINS - 1.0))
        if place < bins and a[j] <= high:  # what lies above was not counted
            q = count[place]
            count[place] += 1
        else:
            q = before
            before += 1
        value[q], index[q] = a[j], j
    # By now a bin's count is where it ends. What is within 2 E lies in bins at most this far away.
    reach = 1 + int(min(2 * error * scale, BINS))
    bin = int(min(value[near - 1] * scale, BINS - 1.0)) + reach
    close = count[bin] if bin < bins else m
    _sort(value, index, 0, close)
    for rank in ranks:
        if rank > near:
            bin = int(min(value[rank - 1] * scale, BINS - 1.0))
            low, high = min(bin - reach, bins) - 1, bin + reach
            _sort(value, index, count[low] if low >= 0 else 0, count[high] if high < bins else m)
    return m, close, error


@njit(**PLAIN)
def _below(a, limit, n, found):
    """Fills ``found`` with the columns, of all n or the -n already there, whose entries are at most ``limit``."""
    m = 0
    for p in range(abs(n)):  # without a branch, which would often be mispredicted
        j = p if n > 0 else found[p]
        found[m] = j
        m += a[j] <= limit
    return m


@njit(**PLAIN)
def _sort(value, index, start, stop):
    """Insertion sort by value, then index, for what is nearly sorted or short."""
    for p in range(start + 1, stop):
        v, j = value[p], index[p]
        q = p - 1
        while q >= start and (value[q] > v or (value[q] == v and index[q] > j)):
            value[q + 1], index[q + 1] = value[q], index[q]
            q -= 1
        value[q + 1], index[q + 1] = v, j


@njit(**PLAIN)
def _rows(g, start, x, y2, along, inverse, mean, bound, coincide, ranks,
          radii, indices, is_duplicate, is_tied, angle, spread):  # fmt: skip
    """Measures the tokens ``start``, ``start + 1``, ... from their rows ``g`` of the Gram matrix."""
    n = x.shape[0]
    k = indices.shape[1]
    near = min(k + 1, n - 1)
    a, value, exact = np.empty(n), np.empty(n), np.empty(n)
    index, order, found = np.empty(n, np.int32), np.empty(n, np.int32), np.empty(n, np.int32)
    count = np.empty(BINS, np.int32)
    for row in range(g.shape[0]):
        i = start + row
        spread[i] = _screened(g[row], i, y2, along, inverse, mean, a)
        a[i] = np.inf
        m, close, error = _candidates(a, near, ranks, np.sqrt(y2[i]), bound, count, found, value, index)

        # The nearest: runs of neighbors that the screening cannot tell apart are computed and sorted.
        rank, p = 0, 0
        while p < near:
            q = p + 1
            while q < close and value[q] - value[q - 1] <= 2 * error:
                q += 1
            while rank < ranks.size and ranks[rank] <= p:
                rank += 1
            if q > p + 1 or (rank < ranks.size and ranks[rank] == p + 1):
                for t in range(p, q):
                    exact[t], order[t] = _distance2(x, i, index[t]), index[t]
                    if exact[t] <= coincide and index[t] < i:
                        is_duplicate[i] = True
                if q - p > 16:
                    sorted_run = np.argsort(exact[p:q])
                    exact[p:q], order[p:q] = exact[p:q][sorted_run], order[p:q][sorted_run]
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
            while first > 0 and value[first - 1] >= value[place] - 2 * error:
                first -= 1
            while last < m and value[last] <= value[place] + 2 * error:
                last += 1
            for t in range(first, last):
                a[t], found[t] = _distance2(x, i, index[t]), index[t]
            _sort(a, found, first, last)
            radii[i, r] = np.sqrt(a[place])
