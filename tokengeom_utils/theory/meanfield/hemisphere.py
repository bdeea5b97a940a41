"""Starts within one hemisphere: their probability, and the margin by which a cloud fits into one."""

import numpy as np
import torch
from numpy.typing import ArrayLike
from scipy.optimize import nnls
from scipy.stats import binom

from .sphere import to_sphere


def hemisphere_probability(n_tokens: ArrayLike, n_features: ArrayLike) -> np.ndarray:
    r"""Compute the probability that independent uniform tokens all lie in one open hemisphere.

    .. math:: P = 2^{-(n-1)} \sum_{k=0}^{d-1} \binom{n-1}{k}

    Such a start ends in one cluster, exponentially fast. For :math:`n \le d` it is certain.

    Parameters
    ----------
    n_tokens, n_features : array_like of int
        They broadcast.

    Returns
    -------
    numpy.ndarray, of the broadcast shape, float64, in [0, 1]

    See Also
    --------
    hemisphere_margin : whether a given cloud lies in a hemisphere.
    uniform_tokens : such tokens.

    Notes
    -----
    Introduced in the chapter *The mean-field picture*.

    References
    ----------
    Wendel, *A problem in geometric probability*, Mathematica Scandinavica 11 (1962); Geshkovski et al.,
    arXiv:2312.10794, Section 6.

    Examples
    --------
    >>> import tokengeom_utils as tg
    >>> float(tg.meanfield.hemisphere_probability(3, 2))  # three points on a circle
    0.75
    """
    return binom.cdf(np.asarray(n_features) - 1, np.asarray(n_tokens) - 1, 0.5)


def hemisphere_margin(tokens: ArrayLike | torch.Tensor) -> float:
    r"""Compute the largest margin with which the tokens lie in one hemisphere.

    .. math:: \max_{|w| = 1} \min_i \langle w, x_i \rangle ,

    or 0 if that is not positive. Where positive, it is the distance from the origin to the convex hull of the tokens.
    Non-negative least squares either proves that the origin lies in the hull or finds w.

    Parameters
    ----------
    tokens : array_like, shape (token, feature)
        Projected to the unit sphere.

    Returns
    -------
    float, in [0, 1]
        0 if no open hemisphere holds all tokens, or the margin is below 1e-9 and may be rounding.

    Raises
    ------
    InputError
        If a token lies at the origin.

    See Also
    --------
    hemisphere_probability : how often a random cloud lies in a hemisphere.

    Notes
    -----
    Introduced in the chapter *The mean-field picture*.

    References
    ----------
    Lawson and Hanson, *Solving least squares problems* (1974), Chapter 23: least-distance programming.

    Examples
    --------
    >>> import tokengeom_utils as tg
    >>> round(tg.meanfield.hemisphere_margin([[1.0, 0.0], [0.0, 1.0]]), 4)
    0.7071
    >>> tg.meanfield.hemisphere_margin([[1.0, 0.0], [-1.0, 1.0], [-1.0, -1.0]])
    0.0
    """
    x = to_sphere(tokens).cpu().numpy()
    a = np.vstack([x.T, np.ones(len(x))])
    weights, _ = nnls(a, np.eye(len(a))[-1], maxiter=30 * len(x))
    rest = np.eye(len(a))[-1] - a @ weights  # points to the side that no mixture of tokens reaches
    length = np.linalg.norm(rest[:-1])
    margin = rest[-1] / length if length > 1e-9 else 0.0
    return float(margin) if margin > 1e-9 else 0.0
