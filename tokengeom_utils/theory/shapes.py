r"""Clouds of known dimension, on which to check an estimator before trusting it.

Each function draws ``n`` points of a ``d``-dimensional shape; leading dimensions are independent repetitions.
:func:`embed` rotates a shape into a space of more dimensions, which changes no distance.

>>> import tokengeom_utils as tg
>>> tg.shapes.sphere(5, 2).shape  # the surface of a ball has one dimension less than the space around it
torch.Size([5, 3])
>>> tg.shapes.embed(tg.shapes.ball(100, 3, batch=(4,)), 50).shape
torch.Size([4, 100, 50])
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import ArrayLike

from ..errors import InputError

Seed = int | Sequence[int] | np.random.Generator


def cube(n: int, d: int, batch: tuple[int, ...] = (), seed: Seed = 0) -> torch.Tensor:
    """Draw points uniformly from the unit cube.

    Parameters
    ----------
    n : int
        Number of points.
    d : int
        Dimension of the shape.
    batch : tuple of int
        Leading dimensions: independent repetitions.
    seed : int, sequence of int or numpy Generator
        As for :func:`numpy.random.default_rng`. A Generator continues its stream, so two calls differ.

    Returns
    -------
    torch.Tensor, shape (\\*batch, n, d), float64, in [0, 1)

    Raises
    ------
    InputError
        If ``n`` or ``d`` is below 1.

    See Also
    --------
    ball, gaussian, sphere, torus : other shapes.
    tokengeom_utils.two_nn, tokengeom_utils.gride : estimators to check.

    Notes
    -----
    First used in the chapter *Empirical measures*.

    Examples
    --------
    >>> import tokengeom_utils as tg
    >>> points = tg.shapes.cube(1000, 2)
    >>> points.shape, bool((points >= 0).all() and (points < 1).all())
    (torch.Size([1000, 2]), True)
    """
    return torch.from_numpy(np.random.default_rng(seed).random(_shape(n, d, batch)))


def gaussian(n: int, d: int, batch: tuple[int, ...] = (), seed: Seed = 0) -> torch.Tensor:
    """Draw points from the normal law with unit variance in every coordinate.

    Parameters
    ----------
    n : int
        Number of points.
    d : int
        Dimension of the shape.
    batch : tuple of int
        Leading dimensions: independent repetitions.
    seed : int, sequence of int or numpy Generator
        As in :func:`cube`.

    Returns
    -------
    torch.Tensor, shape (\\*batch, n, d), float64

    Raises
    ------
    InputError
        If ``n`` or ``d`` is below 1.

    See Also
    --------
    cube, ball, sphere, torus : other shapes.

    Notes
    -----
    First used in the chapter *Cosine similarity: do the tokens point one way?*

    Examples
    --------
    >>> import tokengeom_utils as tg
    >>> points = tg.shapes.gaussian(1000, 3)
    >>> points.shape, bool(abs(points.std() - 1) < 0.05)
    (torch.Size([1000, 3]), True)
    """
    return torch.from_numpy(np.random.default_rng(seed).standard_normal(_shape(n, d, batch)))


def sphere(n: int, d: int, batch: tuple[int, ...] = (), seed: Seed = 0) -> torch.Tensor:
    """Draw points uniformly from the ``d``-dimensional surface of a ball of radius 1.

    Parameters
    ----------
    n : int
        Number of points.
    d : int
        Dimension of the surface.
    batch : tuple of int
        Leading dimensions: independent repetitions.
    seed : int, sequence of int or numpy Generator
        As in :func:`cube`.

    Returns
    -------
    torch.Tensor, shape (\\*batch, n, d + 1), float64

    Raises
    ------
    InputError
        If ``n`` or ``d`` is below 1.

    See Also
    --------
    ball : the solid shape.
    torus : another surface without a border.
    tokengeom_utils.meanfield.uniform_tokens : the same law, by the dimension of the space around.

    Notes
    -----
    Introduced in the chapter *Intrinsic dimension: how many directions does a cloud have?*

    Examples
    --------
    >>> import tokengeom_utils as tg
    >>> points = tg.shapes.sphere(1000, 2)
    >>> points.shape, bool((points.norm(dim=-1) - 1).abs().max() < 1e-9)
    (torch.Size([1000, 3]), True)
    """
    x = np.random.default_rng(seed).standard_normal((*_shape(n, d, batch)[:-1], d + 1))
    return torch.from_numpy(x / np.linalg.norm(x, axis=-1, keepdims=True))


def ball(n: int, d: int, batch: tuple[int, ...] = (), seed: Seed = 0) -> torch.Tensor:
    r"""Draw points uniformly from a ball of radius 1.

    Each point has a uniform direction and a radius r with :math:`P(r \le t) = t^d`.

    Parameters
    ----------
    n : int
        Number of points.
    d : int
        Dimension of the shape.
    batch : tuple of int
        Leading dimensions: independent repetitions.
    seed : int, sequence of int or numpy Generator
        As in :func:`cube`.

    Returns
    -------
    torch.Tensor, shape (\*batch, n, d), float64

    Raises
    ------
    InputError
        If ``n`` or ``d`` is below 1.

    See Also
    --------
    sphere : its surface.
    cube, gaussian, torus : other shapes.

    Notes
    -----
    Introduced in the chapter *Intrinsic dimension: how many directions does a cloud have?*

    Examples
    --------
    >>> import tokengeom_utils as tg
    >>> points = tg.shapes.ball(1000, 3)
    >>> points.shape, bool(points.norm(dim=-1).max() <= 1)
    (torch.Size([1000, 3]), True)
    """
    rng = np.random.default_rng(seed)
    x = rng.standard_normal(_shape(n, d, batch))
    radius = rng.random((*batch, n, 1)) ** (1 / d)
    return torch.from_numpy(x / np.linalg.norm(x, axis=-1, keepdims=True) * radius)


def torus(n: int, d: int, batch: tuple[int, ...] = (), seed: Seed = 0) -> torch.Tensor:
    """Draw points uniformly from the product of ``d`` circles of radius 1: a shape without a border.

    Parameters
    ----------
    n : int
        Number of points.
    d : int
        Dimension of the shape.
    batch : tuple of int
        Leading dimensions: independent repetitions.
    seed : int, sequence of int or numpy Generator
        As in :func:`cube`.

    Returns
    -------
    torch.Tensor, shape (\\*batch, n, 2 d), float64
        Each circle takes two coordinates. Locally the shape is flat.

    Raises
    ------
    InputError
        If ``n`` or ``d`` is below 1.

    See Also
    --------
    sphere : another surface without a border.
    cube : a flat shape with a border.

    Notes
    -----
    Introduced in the chapter *Intrinsic dimension: how many directions does a cloud have?*

    Examples
    --------
    >>> import tokengeom_utils as tg
    >>> points = tg.shapes.torus(1000, 2)
    >>> points.shape, bool((points.norm(dim=-1) - 2**0.5).abs().max() < 1e-9)
    (torch.Size([1000, 4]), True)
    """
    angle = 2 * np.pi * np.random.default_rng(seed).random(_shape(n, d, batch))
    return torch.from_numpy(np.concatenate([np.cos(angle), np.sin(angle)], -1))


def swiss_roll(n: int, batch: tuple[int, ...] = (), seed: Seed = 0) -> torch.Tensor:
    r"""Draw points from a rolled-up sheet in three dimensions: flat at small scales, solid at large ones.

    At angle t from :math:`2\pi` to :math:`8\pi` the spiral has the radius :math:`t / 2\pi`. The density on the sheet
    is uniform to within 2%.

    Parameters
    ----------
    n : int
        Number of points.
    batch : tuple of int
        Leading dimensions: independent repetitions.
    seed : int, sequence of int or numpy Generator
        As in :func:`cube`.

    Returns
    -------
    torch.Tensor, shape (\*batch, n, 3), float64
        The spiral makes three turns, which are 1 apart; the sheet is 3 wide.

    Raises
    ------
    InputError
        If ``n`` is below 1.

    See Also
    --------
    with_noise : the opposite, a shape that is rough at small scales.

    Notes
    -----
    Introduced in the chapter *Intrinsic dimension: how many directions does a cloud have?*

    Examples
    --------
    >>> import tokengeom_utils as tg
    >>> points = tg.shapes.swiss_roll(1000)
    >>> radius = points[:, :2].norm(dim=-1)
    >>> points.shape, bool(radius.min() >= 1 and radius.max() <= 4)
    (torch.Size([1000, 3]), True)
    """
    u = np.random.default_rng(seed).random(_shape(n, 2, batch))
    # Far from the center the length of a piece of the spiral grows as t^2.
    low, high = 2 * np.pi, 8 * np.pi
    angle = np.sqrt(low**2 + u[..., 0] * (high**2 - low**2))
    radius = angle / (2 * np.pi)
    return torch.from_numpy(np.stack([radius * np.cos(angle), radius * np.sin(angle), 3 * u[..., 1]], -1))


def with_noise(cloud: ArrayLike | torch.Tensor, size: float, n_features: int = 0, seed: Seed = 0) -> torch.Tensor:
    """Append coordinates of normal noise to a cloud: it becomes rough at small scales and stays flat at large ones.

    Parameters
    ----------
    cloud : array_like, shape (..., token, feature)
    size : float
        Standard deviation of the noise in each added coordinate, in the units of the cloud.
    n_features : int
        Number of coordinates to add.
    seed : int, sequence of int or numpy Generator
        As in :func:`cube`.

    Returns
    -------
    torch.Tensor, shape (..., token, feature + n_features), float64

    See Also
    --------
    embed : appends dimensions without noise.

    Notes
    -----
    Introduced in the chapter *Intrinsic dimension: how many directions does a cloud have?*

    Examples
    --------
    >>> import tokengeom_utils as tg
    >>> tg.shapes.with_noise(tg.shapes.cube(1000, 2), 0.01, n_features=20).shape
    torch.Size([1000, 22])
    """
    cloud = torch.as_tensor(cloud, dtype=torch.float64)
    noise = np.random.default_rng(seed).standard_normal((*cloud.shape[:-1], n_features))
    return torch.cat([cloud, size * torch.from_numpy(noise)], -1)


def embed(cloud: ArrayLike | torch.Tensor, n_features: int, seed: Seed = 0) -> torch.Tensor:
    """Rotate a cloud at random into a space of ``n_features`` dimensions; all distances are preserved.

    Parameters
    ----------
    cloud : array_like, shape (..., token, feature)
    n_features : int
        At least the number of features of the cloud.
    seed : int, sequence of int or numpy Generator
        As in :func:`cube`.

    Returns
    -------
    torch.Tensor, shape (..., token, n_features), float64, in the units of the cloud

    Raises
    ------
    InputError
        If ``n_features`` is smaller than the number of features of the cloud.

    See Also
    --------
    with_noise : appends dimensions with noise.

    Notes
    -----
    Introduced in the chapter *Intrinsic dimension: how many directions does a cloud have?*

    Examples
    --------
    >>> import torch, tokengeom_utils as tg
    >>> square = tg.shapes.cube(50, 2)
    >>> turned = tg.shapes.embed(square, 576)
    >>> turned.shape, torch.allclose(torch.cdist(turned, turned), torch.cdist(square, square), atol=1e-6)
    (torch.Size([50, 576]), True)
    """
    cloud = torch.as_tensor(cloud, dtype=torch.float64)
    d = cloud.shape[-1]
    if d > n_features:
        raise InputError(f"a cloud of {d} features does not fit into {n_features}: choose n_features >= {d}")
    axes = np.linalg.qr(np.random.default_rng(seed).standard_normal((n_features, d)))[0]
    return cloud @ torch.from_numpy(axes).T


def poisson_radii(n: int, d: int, ranks: ArrayLike, batch: tuple[int, ...] = (), seed: Seed = 0) -> torch.Tensor:
    r"""Draw the distances from ``n`` independent observers to their neighbors, each in a Poisson process of its own.

    Here the derivation of GRIDE is exact: the volume :math:`r^d` enclosed by the neighbor of rank k is a sum of k
    independent exponential variables, and no two observers share a neighbor.

    Parameters
    ----------
    n : int
        Number of observers.
    d : int
        Dimension of the space.
    ranks : array_like of int, shape (rank,)
        Strictly ascending, at least 1.
    batch : tuple of int
        Leading dimensions: independent repetitions.
    seed : int, sequence of int or numpy Generator
        As in :func:`cube`.

    Returns
    -------
    torch.Tensor, shape (\*batch, n, rank), float64
        In units in which one neighbor is expected within distance 1.

    Raises
    ------
    InputError
        If ``n`` or ``d`` is below 1, or the ranks do not ascend from at least 1.

    See Also
    --------
    tokengeom_utils.gride : the estimator derived for this process.
    tokengeom_utils.poisson_reciprocity : another property of Poisson neighbors.

    Notes
    -----
    Introduced in the chapter *Intrinsic dimension: how many directions does a cloud have?*

    References
    ----------
    Denti et al., *The generalized ratios intrinsic dimension estimator*, Scientific Reports 12 (2022).

    Examples
    --------
    >>> import tokengeom_utils as tg
    >>> radii = tg.shapes.poisson_radii(100_000, 7, [1, 2])
    >>> bool(abs(tg.gride(radii, 2).dimension - 7) < 0.1)
    True
    """
    steps = np.diff(ranks, prepend=0)
    if len(steps) == 0 or (steps < 1).any():
        raise InputError(f"the ranks must ascend from at least 1, got {np.asarray(ranks).tolist()}")
    volumes = np.random.default_rng(seed).standard_gamma(steps, (*_shape(n, d, batch)[:-1], len(steps)))
    return torch.from_numpy(volumes.cumsum(-1) ** (1 / d))


def _shape(n, d, batch):
    """Return the shape of the array to draw, or raise ``InputError`` if it would be empty."""
    if n < 1 or d < 1:
        raise InputError(f"a shape of {n} points in {d} dimensions is empty: both numbers must be at least 1")
    return (*batch, n, d)
