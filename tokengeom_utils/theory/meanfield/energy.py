"""The interaction energy of a cloud, and the same number expressed as a number of groups."""

import torch
from numpy.typing import ArrayLike

from ...errors import InputError
from .dynamics import per_pair
from .sphere import to_sphere


def interaction_energy(tokens: ArrayLike | torch.Tensor, beta: ArrayLike | torch.Tensor) -> torch.Tensor:
    r"""Compute the interaction energy of a cloud of unit vectors.

    .. math:: E_\beta[\mu] = \frac1{2\beta} \iint e^{\beta \langle x, y \rangle} d\mu(x)\, d\mu(y)
              = \frac1{2 \beta n^2} \sum_{i,j} e^{\beta \langle x_i, x_j \rangle}

    It never decreases along SA or USA without a mask. The uniform measure has the least energy, a single point the
    most, :math:`e^\beta / 2 \beta`.

    Parameters
    ----------
    tokens : array_like, shape (..., token, feature)
        Projected to the unit sphere.
    beta : float or array_like, shape (...)
        Inverse temperature, positive.

    Returns
    -------
    torch.Tensor, shape (...), float64

    Raises
    ------
    InputError
        If ``beta`` is not positive or a token lies at the origin.

    See Also
    --------
    effective_groups : the same number in other units, which does not overflow.
    simulate : the dynamics along which it grows.

    Notes
    -----
    Introduced in the chapter *The mean-field picture*.

    References
    ----------
    Geshkovski et al., arXiv:2312.10794, the section on the interaction energy.

    Examples
    --------
    >>> import tokengeom_utils as tg
    >>> tg.meanfield.interaction_energy([[0.0, 2.0], [0.0, 1.0]], beta=1.0)  # one point: e / 2
    tensor(1.3591, dtype=torch.float64)
    """
    mean, inverse_temperature = _mean_over_pairs(tokens, beta, 0, "the interaction energy")
    return mean / (2 * inverse_temperature)


def effective_groups(tokens: ArrayLike | torch.Tensor, beta: ArrayLike | torch.Tensor) -> torch.Tensor:
    r"""Compute the effective number of groups of a cloud of unit vectors, at resolution :math:`1 / \sqrt\beta`.

    .. math:: G_\beta[\mu] = \Big( \iint e^{\beta (\langle x, y \rangle - 1)} d\mu(x)\, d\mu(y) \Big)^{-1}
              = \frac{e^\beta}{2 \beta E_\beta[\mu]}

    It is 1 if all tokens coincide, m for m equal groups that are far apart on the scale of the resolution, and at most
    the number of tokens. It is the interaction energy :math:`E_\beta` in other units: where the energy grows, this
    number falls.

    Parameters
    ----------
    tokens : array_like, shape (..., token, feature)
        Projected to the unit sphere.
    beta : float or array_like, shape (...)
        Inverse temperature, positive.

    Returns
    -------
    torch.Tensor, shape (...), float64, between 1 and the number of tokens

    Raises
    ------
    InputError
        If ``beta`` is not positive or a token lies at the origin.

    See Also
    --------
    interaction_energy : the energy itself.
    count_clusters : a count by a threshold instead.

    Notes
    -----
    Introduced in the chapter *The mean-field picture in a real model*.

    References
    ----------
    The diversity of order 2 of Leinster and Cobbold, *Measuring diversity: the importance of species similarity*,
    Ecology 93 (2012), with the similarity :math:`e^{\beta (\langle x, y \rangle - 1)}`.

    Examples
    --------
    >>> import tokengeom_utils as tg
    >>> tg.meanfield.effective_groups([[1.0, 0.0], [-1.0, 0.0], [-1.0, 0.0], [1.0, 0.0]], beta=50.0)
    tensor(2., dtype=torch.float64)
    """
    # Computed without the energy: e^beta overflows for a beta at which this number does not.
    return 1 / _mean_over_pairs(tokens, beta, 1, "the effective number of groups")[0]


def _mean_over_pairs(tokens, beta, shift, name):
    """Return the mean of exp(beta (<x, y> - shift)) over all pairs, shape (...), and ``beta`` as a tensor."""
    x = to_sphere(tokens)
    beta = torch.as_tensor(beta, dtype=torch.float64, device=x.device)
    if not (beta > 0).all():
        raise InputError(f"{name} needs beta > 0, got a smallest beta of {beta.min().item():g}")
    return (per_pair(beta) * (x @ x.mT - shift)).exp_().mean((-1, -2)), beta
