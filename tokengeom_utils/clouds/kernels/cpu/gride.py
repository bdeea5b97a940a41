r"""GRIDE on a CPU, in compiled code, one cloud after the other.

It avoids what takes the time in :mod:`tokengeom_utils.clouds.kernels.reference.gride`:

- The ratios are not sorted. Counting usually shows that the cut for outliers removes none.
- No exponential is taken. Up to :math:`y = 1`, :math:`c(y) = y \coth y` is a fraction of two polynomials, the ninth
  convergent of Lambert's continued fraction, within :math:`3 \cdot 10^{-17}`; beyond,
  :math:`c(2 y) = c(y) + y^2 / c(y)`.

The compiler may choose the order of the sums, which is then the same in every run; all terms are positive, so no order
is bad. Each cloud belongs to one thread, so the number of threads changes nothing.
"""

import numpy as np
import torch
from numba import njit

from ...records import Dimension
from ...threads import each
from ..limits import DUPLICATE, TIED
from .compiled import PLAIN, SUMS


def fit(r, near, far, n2):
    """Return what :func:`tokengeom_utils.clouds.kernels.reference.gride.fit` returns."""
    *batch, n, k = r.shape
    r = r.reshape(-1, n, k).numpy()
    clouds = len(r)
    dimension, error = np.empty((2, clouds, len(n2)))
    count = np.empty((clouds, len(n2)), np.int64)

    def estimate(some):
        mu = np.ones((len(n2), n))
        for i in some:
            _ratios(r[i], near, far, mu, count[i])
            _solve(np.log(mu), count[i], n2, dimension[i], error[i])  # numpy's logarithm is vectorized

    each(estimate, np.array_split(np.arange(clouds), torch.get_num_threads()))
    return Dimension(*(torch.from_numpy(part).reshape(*batch, len(n2)) for part in (dimension, error, count)))


@njit(**PLAIN)
def _select(a, k):
    """Return the entry ``a[k]`` of sorted ``a`` by Hoare's method; numba's own takes 7 s to compile. Moves entries."""
    low, high = 0, a.size - 1
    while low < high:
        pivot, i, j = a[k], low, high
        while i <= j:
            while a[i] < pivot:
                i += 1
            while a[j] > pivot:
                j -= 1
            if i <= j:
                a[i], a[j] = a[j], a[i]
                i, j = i + 1, j - 1
        low, high = (i if j < k else low), (j if i > k else high)
    return a[k]


@njit(**PLAIN)
def _quantile(a, q):
    """Interpolate linearly, as numpy.percentile does."""
    position = q * (a.size - 1)
    below = int(position)
    low, high = _select(a, below), _select(a, min(below + 1, a.size - 1))
    return low + (position - below) * (high - low)


@njit(**SUMS, forceinline=True)
def _without_outliers(mu):
    """Move the ratios below the cut to the front of ``mu``, and return their number."""
    n = mu.size
    total = top = 0.0
    for i in range(n):
        total += mu[i]
        top = max(top, mu[i])
    # If q50 <= a and q95 >= b, the cut q50 + 20 (q95 - q50) is at least a + 20 (b - a) = top + (top - a) / 19. Any a
    # would do; a little above the mean is above the median of ratios that follow the law. NaN fails the test.
    a = total / n + (total / n - 1) / 20
    b = a + (top - a) / 19
    up_to_a = from_b = 0
    for i in range(n):
        up_to_a += mu[i] <= a
        from_b += mu[i] >= b
    if up_to_a > n // 2 and from_b >= n - int(0.95 * (n - 1)) and top - a > 1e-9 * top:
        return n
    ratios = mu[mu == mu]
    if ratios.size == 0:
        return 0
    q50 = _quantile(ratios, 0.5)
    cut = q50 + 20 * (_quantile(ratios, 0.95) - q50)
    m = 0
    for i in range(n):
        ratio = mu[i]
        mu[m] = ratio
        m += ratio < cut
    return m


@njit("(f8[:, :], i8[:], i8[:], f8[:, ::1], i8[:])", **PLAIN)  # compiled once for tables of any strides
def _ratios(r, near, far, mu, count):
    """Fill in the ratios that enter at each scale, at the front of a row of ``mu``, and their number."""
    first, zero = r[:, 0], 0.0
    known = first[first == first]
    if known.size and known.min() <= DUPLICATE * known.max():  # otherwise none is that far below the median
        zero = DUPLICATE * _select(known, (known.size - 1) // 2)
    tokens = np.flatnonzero(first > zero)
    for s in range(len(near)):
        for p in range(tokens.size):
            ratio = r[tokens[p], far[s]] / r[tokens[p], near[s]]
            mu[s, p] = ratio if ratio != 1 else TIED
        count[s] = _without_outliers(mu[s, : tokens.size])


@njit(**SUMS, forceinline=True)
def _sums(x):
    """Sum, sum of squares, largest."""
    total = squares = top = 0.0
    for v in x:
        total += v
        squares += v * v
        top = max(top, v)
    return total, squares, top


@njit(**SUMS, forceinline=True)
def _terms(x, d, top, c, y2):
    """Sums of c(y) and of c(y)^2 - y^2 for y = d x / 2; ``top`` is the largest x, ``c`` and ``y2`` are work space."""
    halvings, unit = 0, d / 2
    while 1 < unit * top < np.inf:
        halvings, unit = halvings + 1, unit / 2
    for i in range(x.size):
        z = (unit * x[i]) ** 2
        above = (((45 * z + 13860) * z + 945945) * z + 16216200) * z + 34459425
        y2[i], c[i] = z, above / ((((z + 990) * z + 135135) * z + 4729725) * z + 34459425)
    for _ in range(halvings):
        for i in range(x.size):
            c[i] += y2[i] / c[i]
            y2[i] *= 4
    a = b = 0.0
    for i in range(x.size):
        a += c[i]
        b += c[i] * c[i] - y2[i]
    return a, b


@njit("(f8[:, ::1], i8[:], i8[:], f8[:], f8[:])", **PLAIN)
def _solve(log_mu, count, n2, dimension, error):
    """Dimension and standard error at each scale, in the notation of ``reference.gride.fit``."""
    c, y2 = np.empty(log_mu.shape[1]), np.empty(log_mu.shape[1])
    for s in range(len(n2)):
        n, w = count[s], n2[s] / 2 - 1
        total, squares, top = _sums(log_mu[s, :n])
        start, fall = n - 1 + w * n, (1 + 1.5 * w) * total
        d = 2 * start / (fall + np.sqrt(max(0.0, fall**2 - w * start * squares / 3)))
        for _ in range(100):
            a, b = _terms(log_mu[s, :n], d, top, c, y2)
            before, d = d, d * (n - 1 + w * b) / (d * fall + w * (b - a))
            if abs(d - before) <= 1e-12 * d:
                break
        dimension[s], error[s] = d, d / np.sqrt(n + w * b)
