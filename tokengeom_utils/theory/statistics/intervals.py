"""Confidence intervals in closed form: of a mean, and of a correlation."""

import numpy as np
from numpy.typing import ArrayLike


def mean_interval(values: ArrayLike, level: float = 0.95) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    r"""Average over the last axis, with Student's confidence interval.

    .. math:: \bar x \pm t_{n-1}\, s / \sqrt n

    with the sample standard deviation s and the quantile of Student's t distribution.

    Parameters
    ----------
    values : array_like, shape (..., prompt)
    level : float
        Confidence level.

    Returns
    -------
    mean, low, high : numpy.ndarray, shape (...), float64, in the units of ``values``
        ``low`` and ``high`` are NaN for a single prompt.

    See Also
    --------
    bootstrap_interval : intervals for other statistics.

    Notes
    -----
    First used in the chapter *Cosine similarity: do the tokens point one way?*

    Examples
    --------
    >>> import tokengeom_utils as tg
    >>> [round(float(x), 2) for x in tg.statistics.mean_interval([1, 2, 3, 4])]
    [2.5, 0.45, 4.55]
    """
    from scipy.stats import t as student

    values = np.asarray(values, float)
    n = values.shape[-1]
    mean = values.mean(-1)
    half = student.ppf((1 + level) / 2, max(n - 1, 1)) * values.std(-1, ddof=1) / np.sqrt(n) if n > 1 else np.nan
    return mean, mean - half, mean + half


def fisher_interval(r: ArrayLike, n: int, n_controls: int = 0, level: float = 0.95) -> tuple[np.ndarray, np.ndarray]:
    r"""Return the confidence interval of a correlation, by Fisher's transformation.

    .. math:: \tanh\Big(\operatorname{artanh} r \pm \frac{q}{\sqrt{n - 3 - c}}\Big)

    with the normal quantile q and the number c of controls. It assumes that x and y are jointly normal.

    Parameters
    ----------
    r : array_like, shape (...)
        Correlation: :func:`pearson` or :func:`partial_correlation`.
    n : int
        Number of pairs.
    n_controls : int
        Number of variables held fixed.
    level : float
        Confidence level.

    Returns
    -------
    low, high : numpy.ndarray, shape (...), float64, in [-1, 1]
        -1 and 1 if n - 3 - n_controls is not positive: so few pairs carry no information. NaN where r is NaN.

    See Also
    --------
    correlation_interval : by the bootstrap, which does not assume normal variables.
    correlation_p_value : a p-value instead of an interval.

    Notes
    -----
    Introduced in the chapter *Intrinsic dimension and loss*.

    References
    ----------
    Fisher, *On the "probable error" of a coefficient of correlation deduced from a small sample*, Metron 1 (1921);
    *The distribution of the partial correlation coefficient*, Metron 3 (1924).

    Examples
    --------
    >>> import tokengeom_utils as tg
    >>> [round(float(end), 3) for end in tg.statistics.fisher_interval(0.5, 28)]
    [0.156, 0.736]
    """
    from scipy.stats import norm

    r = np.asarray(r, float)
    free = n - 3 - n_controls
    if free <= 0:
        return np.where(np.isnan(r), np.nan, -1.0), np.where(np.isnan(r), np.nan, 1.0)
    with np.errstate(divide="ignore"):
        z, half = np.arctanh(r), norm.ppf((1 + level) / 2) / np.sqrt(free)
    return np.tanh(z - half), np.tanh(z + half)
