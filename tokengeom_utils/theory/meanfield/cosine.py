"""The orthogonal start, where one equation for the common cosine describes all tokens."""

import numpy as np
from numpy.typing import ArrayLike
from scipy.integrate import solve_ivp

from .dynamics import Kind, check_kind


def cosine_speed(gamma: ArrayLike, n_tokens: ArrayLike, beta: ArrayLike, kind: Kind = "SA") -> np.ndarray:
    r"""Compute the time derivative of the common cosine of tokens that all make the same angle with each other.

    .. math:: \dot\gamma_{SA} = \frac{2 (1 - \gamma) ((n-1) \gamma + 1)}{e^{\beta (1 - \gamma)} + n - 1} ,
              \qquad
              \dot\gamma_{USA} = \frac2n e^{\beta\gamma} (1 - \gamma) ((n-1) \gamma + 1)

    Parameters
    ----------
    gamma : array_like
        Common cosine; broadcasts with the next two.
    n_tokens : array_like of int
    beta : array_like
        Inverse temperature.
    kind : {"SA", "USA"}

    Returns
    -------
    numpy.ndarray, of the broadcast shape, float64, per unit of time

    Raises
    ------
    InputError
        If ``kind`` is unknown.

    See Also
    --------
    cosine_ode : the cosine as a function of time.
    velocity : the velocity of every token, for any start.

    Notes
    -----
    Introduced in the chapter *The mean-field picture*.

    References
    ----------
    Geshkovski et al., arXiv:2312.10794, Section 6 (orthogonal start).

    Examples
    --------
    >>> import tokengeom_utils as tg
    >>> float(tg.meanfield.cosine_speed(0.0, n_tokens=2, beta=0.0))  # two orthogonal tokens
    1.0
    """
    gamma = np.asarray(gamma, dtype=float)
    return (1 - gamma) * _log_gap_speed(gamma, n_tokens, beta, kind)


def cosine_ode(times: ArrayLike, n_tokens: int, beta: ArrayLike, kind: Kind = "SA", start: float = 0.0) -> np.ndarray:
    r"""Integrate :func:`cosine_speed`: the common cosine :math:`\gamma(t)` of an orthogonal start.

    By symmetry, tokens that start orthogonal keep one common cosine, so this equation describes the whole system. It
    is solved for :math:`-\log(1 - \gamma)`, which grows without becoming stiff.

    Parameters
    ----------
    times : array_like, shape (time,)
        In ascending order, from 0 or later.
    n_tokens : int
    beta : float or array_like, shape (...)
        Inverse temperature.
    kind : {"SA", "USA"}
    start : float
        :math:`\gamma(0)`; 0 for an orthogonal start.

    Returns
    -------
    numpy.ndarray, shape (..., time), float64

    Raises
    ------
    InputError
        If ``kind`` is unknown.

    See Also
    --------
    clustering_time : the time at which the cosine reaches a level.
    simulate : the path of every token, for any start.

    Notes
    -----
    Introduced in the chapter *The mean-field picture*.

    References
    ----------
    Geshkovski et al., arXiv:2312.10794, Section 6 (orthogonal start).

    Examples
    --------
    >>> import tokengeom_utils as tg
    >>> tg.meanfield.cosine_ode([0, 5, 10], n_tokens=32, beta=1.0).round(3).tolist()
    [0.0, 0.998, 1.0]
    """
    times = np.atleast_1d(np.asarray(times, dtype=float))
    beta = np.asarray(beta, dtype=float)

    def slope(_: float, u: np.ndarray) -> np.ndarray:
        return _log_gap_speed(-np.expm1(-u), n_tokens, beta.ravel(), kind)

    u = np.full(beta.size, -np.log1p(-start))
    solution = solve_ivp(slope, (0, max(times[-1], 1e-12)), u, t_eval=times, rtol=1e-9, atol=1e-10)
    return -np.expm1(-solution.y.reshape(*beta.shape, len(times)))


def clustering_time(
    n_tokens: int, beta: ArrayLike, kind: Kind = "SA", level: float = 0.999, start: float = 0.0
) -> np.ndarray:
    r"""Compute the time until the common cosine of an orthogonal start reaches ``level``.

    .. math:: T = \int_{\gamma(0)}^{\text{level}} \frac{d\gamma}{\dot\gamma(\gamma)} ,

    by quadrature in :math:`u = -\log(1 - \gamma)`, in which the integrand is smooth.

    Parameters
    ----------
    n_tokens : int
    beta : float or array_like, shape (...)
        Inverse temperature.
    kind : {"SA", "USA"}
    level, start : float
        Cosines, ``start < level < 1``.

    Returns
    -------
    numpy.ndarray, shape (...), float64, in units of time

    Raises
    ------
    InputError
        If ``kind`` is unknown.

    See Also
    --------
    cosine_ode : the cosine as a function of time.

    Notes
    -----
    Introduced in the chapter *The mean-field picture*.

    References
    ----------
    Geshkovski et al., arXiv:2312.10794, Section 6 (orthogonal start).

    Examples
    --------
    >>> import tokengeom_utils as tg
    >>> tg.meanfield.clustering_time(32, [1.0, 9.0], "SA").round(1).tolist()
    [5.3, 178.7]
    >>> tg.meanfield.clustering_time(32, [1.0, 9.0], "USA").round(1).tolist()
    [2.9, 0.7]
    """
    nodes, weights = np.polynomial.legendre.leggauss(400)
    low, high = -np.log1p(-start), -np.log1p(-level)
    u = (low + high) / 2 + (high - low) / 2 * nodes
    beta = np.asarray(beta, dtype=float)[..., None]
    return (weights / _log_gap_speed(-np.expm1(-u), n_tokens, beta, kind)).sum(-1) * (high - low) / 2


def _log_gap_speed(gamma, n, beta, kind):
    """Return d/dt of -log(1 - gamma): the speed of the cosine over 1 - gamma."""
    check_kind(kind)
    n, beta = np.asarray(n, dtype=float), np.asarray(beta, dtype=float)
    spread = (n - 1) * gamma + 1
    if kind == "SA":
        return 2 * spread / (np.exp(beta * (1 - gamma)) + n - 1)
    return 2 * spread * np.exp(beta * gamma) / n
