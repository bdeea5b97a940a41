r"""The limit of many tokens: how fast two clouds can part, and how well a random part stands in for the whole."""

import numpy as np
from numpy.typing import ArrayLike

from .dynamics import Kind, check_kind


def stability_rate(beta: ArrayLike, kind: Kind = "SA") -> np.ndarray:
    r"""Compute a rate at which the distance between two moving measures grows at most.

    .. math:: W_2(\mu_t, \nu_t) \le e^{Ct}\, W_2(\mu_0, \nu_0) , \\
              C = 1 + \beta + (1 + 2\beta) e^\beta \ \text{(SA)} , \qquad 2 (1 + \beta) e^\beta \ \text{(USA)}

    The bound holds for all measures on the sphere, in every dimension.

    Parameters
    ----------
    beta : array_like
        Inverse temperature, not negative.
    kind : {"SA", "USA"}

    Returns
    -------
    numpy.ndarray, of the shape of ``beta``, float64, per unit of time

    Raises
    ------
    InputError
        If ``kind`` is unknown.

    See Also
    --------
    part_error : the bound for a random part of a cloud that follows from this rate.
    wave_rate : rates that distances do reach.

    Notes
    -----
    Introduced in the chapter *Lasting groups*.

    References
    ----------
    Dobrushin, *Vlasov equations*, Functional Analysis and Its Applications 13 (1979), for the method; the constant is
    derived in the chapter.

    Examples
    --------
    >>> import tokengeom_utils as tg
    >>> tg.meanfield.stability_rate([0.0, 1.0]).round(2).tolist()
    [2.0, 10.15]
    """
    check_kind(kind)
    beta = np.asarray(beta, dtype=float)
    if kind == "SA":
        return 1 + beta + (1 + 2 * beta) * np.exp(beta)
    return 2 * (1 + beta) * np.exp(beta)


def part_error(times: ArrayLike, n_part: ArrayLike, beta: ArrayLike, kind: Kind = "SA") -> np.ndarray:
    r"""Compute a bound on the error made by letting a random part of a cloud move by itself.

    .. math:: \Big( \mathbb{E}\, \frac1m \sum_i \|x_i(t) - y_i(t)\|^2 \Big)^{1/2}
              \le \frac{G}{\sqrt m} \cdot \frac{e^{Ct} - 1}{C} , \\
              G = 2 e^{2\beta} \ \text{(SA)} , \qquad e^\beta \ \text{(USA)}

    Here :math:`x_i` are m tokens that are drawn at random and see only each other, :math:`y_i` are the same tokens in
    the whole cloud, and C is :func:`stability_rate`. Neither the size of the cloud nor the dimension occurs.

    Parameters
    ----------
    times : array_like
    n_part : array_like of int
        Number of tokens in the part.
    beta : array_like
        Inverse temperature, not negative. The three arrays broadcast.
    kind : {"SA", "USA"}

    Returns
    -------
    numpy.ndarray, of the broadcast shape, float64, in radii of the sphere

    Raises
    ------
    InputError
        If ``kind`` is unknown.

    See Also
    --------
    simulate : moves the part and the whole.

    Notes
    -----
    Introduced in the chapter *Lasting groups*.

    References
    ----------
    Chen, Lin, Liu, Rigollet, *Propagation of chaos in contextual flow maps*, arXiv:2605.16747, for transformers in
    general; the constant is derived in the chapter.

    Examples
    --------
    >>> import tokengeom_utils as tg
    >>> tg.meanfield.part_error(0.1, [100, 400], beta=1.0, kind="USA").round(3).tolist()
    [0.049, 0.025]
    """
    rate, beta = stability_rate(beta, kind), np.asarray(beta, dtype=float)
    pull = 2 * np.exp(2 * beta) if kind == "SA" else np.exp(beta)
    return pull / np.sqrt(n_part) * np.expm1(rate * np.asarray(times, dtype=float)) / rate
