"""P-values: of a correlation, of paired differences, and of a whole family of tests."""

import numpy as np
from numpy.typing import ArrayLike


def correlation_p_value(r: ArrayLike, n: int, n_controls: int = 0) -> np.ndarray:
    r"""Return the two-sided p-value of a correlation, by Student's t distribution.

    If x and y are normal and unrelated,

    .. math:: t = r \sqrt{\frac{n - 2 - c}{1 - r^2}}

    follows Student's t distribution with :math:`n - 2 - c` degrees of freedom, where c is the number of controls.

    Parameters
    ----------
    r : array_like, shape (...)
        Correlation: :func:`pearson`, :func:`partial_correlation` or, approximately, :func:`spearman`.
    n : int
        Number of pairs.
    n_controls : int
        Number of variables held fixed.

    Returns
    -------
    numpy.ndarray, shape (...), float64, in [0, 1]
        NaN where r is NaN or no degree of freedom is left.

    See Also
    --------
    fisher_interval : an interval instead of a p-value.
    holm : correction for many tests.

    Notes
    -----
    Introduced in the chapter *Intrinsic dimension and loss*.

    Examples
    --------
    >>> import tokengeom_utils as tg
    >>> tg.statistics.correlation_p_value([0.5, 0.0], n=20).round(4).tolist()
    [0.0248, 1.0]
    """
    from scipy.stats import t as student

    free = n - 2 - n_controls
    with np.errstate(divide="ignore"):
        statistic = np.abs(r) * np.sqrt(max(free, 0) / np.maximum(1 - np.asarray(r) ** 2, 1e-300))
    return 2 * student.sf(statistic, free)


def sign_flip_p_value(differences: ArrayLike, seed: int = 42, n_random: int = 9999) -> float:
    r"""Test whether paired differences are symmetric about zero; return the two-sided p-value.

    The mean difference is compared with the means after every pattern of sign flips, or, for more than 15
    differences, after the identity and ``n_random`` random patterns. The p-value is the share of patterns whose mean
    is at least as far from zero.

    Parameters
    ----------
    differences : array_like, shape (prompt,)
    seed : int
        Seed of the random patterns.
    n_random : int
        Number of random patterns.

    Returns
    -------
    float
        At least ``2 / 2**n`` for n differences; at least ``1 / (n_random + 1)`` if the patterns are random.

    See Also
    --------
    holm : correction for many tests.
    mean_interval : a confidence interval for the mean difference.

    Notes
    -----
    Introduced in the chapter *The shuffle control*.

    References
    ----------
    Fisher, *The design of experiments* (1935), Section 21.

    Examples
    --------
    >>> import tokengeom_utils as tg
    >>> tg.statistics.sign_flip_p_value([1.0, 2.0, 1.5, 0.5, 1.0, 3.0])
    0.03125
    """
    differences = np.asarray(differences, float)
    n = len(differences)
    if n <= 15:
        signs = 1 - 2 * ((np.arange(2**n)[:, None] >> np.arange(n)) & 1)
    else:
        signs = 2 * np.random.default_rng(seed).integers(0, 2, (n_random + 1, n), dtype=np.int8) - 1
        signs[0] = 1
    means = np.abs(signs @ differences)
    return float(np.mean(means >= means[0] * (1 - 1e-12)))


def holm(p: ArrayLike) -> np.ndarray:
    r"""Adjust p-values for the number of tests, by Holm's step-down rule.

    With the m p-values of a family in ascending order, the i-th becomes

    .. math:: \tilde p_{(i)} = \max_{j \le i} \min\big(1, (m - j + 1)\, p_{(j)}\big) .

    Rejecting every hypothesis whose adjusted p-value is below a level keeps the probability of even one false
    rejection below that level, however the tests depend on each other.

    Parameters
    ----------
    p : array_like, any shape
        All values form one family; NaN is not counted and stays NaN.

    Returns
    -------
    numpy.ndarray, the shape of ``p``, float64, in [0, 1]

    See Also
    --------
    correlation_p_value, sign_flip_p_value : p-values to adjust.

    Notes
    -----
    Introduced in the chapter *Intrinsic dimension and loss*.

    References
    ----------
    Holm, *A simple sequentially rejective multiple test procedure*, Scandinavian Journal of Statistics 6 (1979).

    Examples
    --------
    >>> import tokengeom_utils as tg
    >>> tg.statistics.holm([0.01, 0.04, 0.02]).tolist()
    [0.03, 0.04, 0.04]
    """
    p = np.array(p, float)
    tested = np.isfinite(p)
    family = p[tested]
    order = np.argsort(family)
    steps = np.arange(len(family), 0, -1) * family[order]
    family[order] = np.minimum(np.maximum.accumulate(steps), 1)
    p[tested] = family
    return p


def p_text(p: float) -> str:
    """Format a p-value for a sentence: two significant digits, or ``p < 0.001``.

    Parameters
    ----------
    p : float, in [0, 1]

    Returns
    -------
    str

    See Also
    --------
    correlation_p_value, sign_flip_p_value : p-values to format.

    Notes
    -----
    First used in the chapter *The shuffle control*.

    Examples
    --------
    >>> import tokengeom_utils as tg
    >>> tg.statistics.p_text(0.0234), tg.statistics.p_text(1e-9)
    ('p = 0.023', 'p < 0.001')
    """
    return "p < 0.001" if p < 0.001 else f"p = {p:.2g}"
