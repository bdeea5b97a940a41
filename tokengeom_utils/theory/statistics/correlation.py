"""Correlation coefficients over the last axis: Pearson's, Spearman's, and partial."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike


def pearson(x: ArrayLike, y: ArrayLike) -> np.ndarray:
    r"""Correlate x and y over the last axis by Pearson's coefficient.

    .. math:: r_{xy} = \frac{\sum_p (x_p - \bar x)(y_p - \bar y)}
              {\sqrt{\sum_p (x_p - \bar x)^2 \sum_p (y_p - \bar y)^2}}

    Parameters
    ----------
    x, y : array_like, shape (..., prompt)
        The leading axes broadcast.

    Returns
    -------
    numpy.ndarray, shape (...), float64, in [-1, 1]
        NaN where x or y is constant or holds NaN.

    See Also
    --------
    spearman : the same for ranks.
    partial_correlation : the same with other variables held fixed.
    correlation_interval, fisher_interval : its uncertainty.

    Notes
    -----
    Introduced in the chapter *Intrinsic dimension and loss*.

    Examples
    --------
    >>> import tokengeom_utils as tg
    >>> tg.statistics.pearson([[1, 2, 3], [1, 3, 2]], [2, 4, 6]).round(3).tolist()
    [1.0, 0.5]
    """
    return partial_correlation(x, y)


def spearman(x: ArrayLike, y: ArrayLike) -> np.ndarray:
    r"""Correlate the ranks of x and y over the last axis; tied values share their mean rank.

    Parameters
    ----------
    x, y : array_like, shape (..., prompt)
        The leading axes broadcast.

    Returns
    -------
    numpy.ndarray, shape (...), float64, in [-1, 1]
        NaN where x or y is constant or holds NaN.

    See Also
    --------
    pearson : the same without ranks.
    bootstrap_correlations : its resamples, with ``rank=True``.

    Notes
    -----
    Introduced in the chapter *Intrinsic dimension and loss*.

    Examples
    --------
    >>> import tokengeom_utils as tg
    >>> float(tg.statistics.spearman([1, 2, 3, 4], [1, 10, 100, 1000]).round(9))  # increasing, but not linear
    1.0
    """
    from scipy.stats import rankdata

    return pearson(rankdata(x, axis=-1), rankdata(y, axis=-1))


def partial_correlation(x: ArrayLike, y: ArrayLike, *controls: ArrayLike) -> np.ndarray:
    r"""Correlate x and y with the controls held fixed.

    A linear function of the controls is subtracted from x and from y by least squares, and the residuals are
    correlated by Pearson's coefficient. With one control c this is

    .. math:: r_{xy \cdot c} = \frac{r_{xy} - r_{xc}\, r_{yc}}{\sqrt{(1 - r_{xc}^2)(1 - r_{yc}^2)}} ,

    and without controls it is :func:`pearson`. Controls that repeat each other, up to a linear map, count once.

    Parameters
    ----------
    x, y : array_like, shape (..., prompt)
        The leading axes broadcast.
    *controls : array_like, shape (prompt,)

    Returns
    -------
    numpy.ndarray, shape (...), float64, in [-1, 1]
        NaN where the residual of x or y is zero up to rounding, or either holds NaN.

    See Also
    --------
    pearson : the same without controls.
    correlation_p_value, fisher_interval : significance and interval, with ``n_controls``.
    loss_correlation : the partial correlation of intrinsic dimension and loss.

    Notes
    -----
    Introduced in the chapter *Intrinsic dimension and loss*.

    References
    ----------
    Fisher, *The distribution of the partial correlation coefficient*, Metron 3 (1924).

    Examples
    --------
    The control hides the relation of two variables that it drives:

    >>> import numpy as np, tokengeom_utils as tg
    >>> c, noise = np.random.default_rng(0).normal(size=(2, 1000))
    >>> x, y = c + noise, c - noise
    >>> bool(abs(tg.statistics.pearson(x, y)) < 0.1)
    True
    >>> float(tg.statistics.partial_correlation(x, y, c).round(6))
    -1.0
    """
    return np.clip((residual(x, controls) * residual(y, controls)).sum(-1), -1, 1)


def residual(x: ArrayLike, controls: Sequence[ArrayLike]) -> np.ndarray:
    """Return x (..., prompt) minus its mean and its linear fit to the controls, scaled to length 1."""
    x = np.asarray(x, float)
    left = x - x.mean(-1, keepdims=True)
    if controls:
        design = np.stack([np.asarray(c, float) for c in controls])
        design = design - design.mean(-1, keepdims=True)
        design /= np.maximum(np.linalg.norm(design, axis=-1, keepdims=True), 1e-300)
        basis, size, _ = np.linalg.svd(design.T, full_matrices=False)
        basis = basis[:, size > 1e-10 * max(size.max(), 1e-300)]
        left = left - left @ basis @ basis.T
    length = np.linalg.norm(left, axis=-1, keepdims=True)
    return left / np.where(length > 1e-12 * np.linalg.norm(x, axis=-1, keepdims=True), length, np.nan)
