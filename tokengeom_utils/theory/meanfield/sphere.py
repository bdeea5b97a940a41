"""Tokens on the unit sphere."""

import numpy as np
import torch
from numpy.typing import ArrayLike

from ...clouds.cosine import directions


def to_sphere(cloud: ArrayLike | torch.Tensor) -> torch.Tensor:
    r"""Project every token radially to the unit sphere, :math:`x_i \mapsto x_i / \|x_i\|`.

    Parameters
    ----------
    cloud : array_like, shape (..., token, feature)

    Returns
    -------
    torch.Tensor, shape (..., token, feature), float64

    Raises
    ------
    InputError
        If the cloud is not finite or a token lies at the origin.

    See Also
    --------
    uniform_tokens : random tokens on the sphere.

    Notes
    -----
    Introduced in the chapter *The mean-field picture in a real model*.

    Examples
    --------
    >>> import tokengeom_utils as tg
    >>> tg.meanfield.to_sphere([[3.0, 4.0]])
    tensor([[0.6000, 0.8000]], dtype=torch.float64)
    """
    return directions(cloud)


def uniform_tokens(n_tokens: int, n_features: int, batch: tuple[int, ...] = (), seed: int = 0) -> torch.Tensor:
    """Draw independent tokens, uniform on the unit sphere.

    Parameters
    ----------
    n_tokens : int
    n_features : int
        Number of dimensions of the space around the sphere.
    batch : tuple of int
        Leading dimensions: independent clouds.
    seed : int

    Returns
    -------
    torch.Tensor, shape (\\*batch, n_tokens, n_features), float64

    See Also
    --------
    simulate : the dynamics that such a start follows.
    tokengeom_utils.shapes.sphere : the same law, by the dimension of the surface.

    Notes
    -----
    Introduced in the chapter *The mean-field picture*.

    Examples
    --------
    >>> import torch, tokengeom_utils as tg
    >>> tokens = tg.meanfield.uniform_tokens(5, 3, batch=(2,))
    >>> tokens.norm(dim=-1).allclose(torch.ones(2, 5, dtype=torch.float64))
    True
    """
    generator = np.random.default_rng(seed)
    return to_sphere(generator.standard_normal((*batch, n_tokens, n_features)))
