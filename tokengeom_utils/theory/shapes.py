r"""Clouds of known dimension: where an estimator can be checked before it is trusted.

Each function draws ``n`` points of a ``d``-dimensional shape; leading dimensions are independent repetitions.
:func:`embed` turns a shape into a random direction of a larger space, which changes no distance.

>>> from tokengeom_utils import shapes
>>> shapes.sphere(5, 2).shape  # the surface of a ball has one dimension less than the space around it
torch.Size([5, 3])
>>> shapes.embed(shapes.ball(100, 3, batch=(4,)), 50).shape
torch.Size([4, 100, 50])
"""

import numpy as np
import torch

from ..errors import InputError


def _checked(n, d, batch):
    if n < 1 or d < 1:
        raise InputError(f"a shape of {n} points in {d} dimensions: both must be at least 1")
    return (*batch, n, d)


def cube(n, d, batch=(), seed=0):
    """Points spread evenly in the unit cube.

    Parameters
    ----------
    n, d : int
        Number of points; dimension of the shape.
    batch : tuple of int
        Leading dimensions: independent repetitions.
    seed : int, sequence of int or numpy Generator
        As for :func:`numpy.random.default_rng`. A Generator is used on, so two calls differ.

    Returns
    -------
    torch.Tensor, shape (*batch, n, d), float64

    Raises
    ------
    InputError
        If ``n`` or ``d`` is below 1.

    Examples
    --------
    >>> points = cube(1000, 2)
    >>> bool((points >= 0).all() and (points < 1).all())
    True
    """
    return torch.from_numpy(np.random.default_rng(seed).random(_checked(n, d, batch)))


def gaussian(n, d, batch=(), seed=0):
    """Points of the normal law with unit variance in every coordinate: parameters and result as in :func:`cube`."""
    return torch.from_numpy(np.random.default_rng(seed).standard_normal(_checked(n, d, batch)))


def sphere(n, d, batch=(), seed=0):
    """Points spread evenly on the ``d``-dimensional surface of a ball of radius 1.

    Parameters as in :func:`cube`.

    Returns
    -------
    torch.Tensor, shape (*batch, n, d + 1), float64
    """
    *_, n, d = _checked(n, d, batch)
    x = np.random.default_rng(seed).standard_normal((*batch, n, d + 1))
    return torch.from_numpy(x / np.linalg.norm(x, axis=-1, keepdims=True))


def ball(n, d, batch=(), seed=0):
    r"""Points spread evenly in a ball of radius 1: parameters and result as in :func:`cube`.

    A direction, and a radius with :math:`P(r \le t) = t^d`.
    """
    rng = np.random.default_rng(seed)
    x = rng.standard_normal(_checked(n, d, batch))
    radius = rng.random((*batch, n, 1)) ** (1 / d)
    return torch.from_numpy(x / np.linalg.norm(x, axis=-1, keepdims=True) * radius)


def torus(n, d, batch=(), seed=0):
    """Points spread evenly on the product of ``d`` circles of radius 1: a shape without a border.

    Parameters as in :func:`cube`.

    Returns
    -------
    torch.Tensor, shape (*batch, n, 2 d), float64
        Every circle takes two coordinates. Locally the shape is flat.
    """
    angle = 2 * np.pi * np.random.default_rng(seed).random(_checked(n, d, batch))
    return torch.from_numpy(np.concatenate([np.cos(angle), np.sin(angle)], -1))


def swiss_roll(n, batch=(), seed=0):
    """Points on a rolled-up sheet in space, spread evenly to within 2%: flat from near, solid from afar.

    Parameters
    ----------
    n, batch, seed
        As in :func:`cube`.

    Returns
    -------
    torch.Tensor, shape (*batch, n, 3), float64
        The spiral makes three turns; its windings are 1 apart, and the sheet is 3 wide.
    """
    u = np.random.default_rng(seed).random(_checked(n, 2, batch))
    # Radius t / 2 pi at angle t. Far from the center the length of a piece of the spiral grows as t^2.
    low, high = 2 * np.pi, 8 * np.pi
    angle = np.sqrt(low**2 + u[..., 0] * (high**2 - low**2))
    radius = angle / (2 * np.pi)
    return torch.from_numpy(np.stack([radius * np.cos(angle), radius * np.sin(angle), 3 * u[..., 1]], -1))


def with_noise(cloud, size, n_features=0, seed=0):
    """A cloud with normal noise in ``n_features`` more coordinates: flat from afar, rough from near.

    Parameters
    ----------
    cloud : array_like, shape (..., token, feature)
    size : float
        Standard deviation of the noise in each added coordinate, in the units of the cloud.
    n_features : int
        How many coordinates are added.
    seed
        As in :func:`cube`.

    Returns
    -------
    torch.Tensor, shape (..., token, feature + n_features), float64
    """
    cloud = torch.as_tensor(cloud, dtype=torch.float64)
    noise = np.random.default_rng(seed).standard_normal((*cloud.shape[:-1], n_features))
    return torch.cat([cloud, size * torch.from_numpy(noise)], -1)


def embed(cloud, n_features, seed=0):
    """A cloud turned into a random direction of a space of ``n_features``; all distances stay.

    Parameters
    ----------
    cloud : array_like, shape (..., token, feature)
    n_features : int
        At least as many as the cloud has.
    seed
        As in :func:`cube`.

    Returns
    -------
    torch.Tensor, shape (..., token, n_features), float64

    Raises
    ------
    InputError
        If the larger space is the smaller one.
    """
    cloud = torch.as_tensor(cloud, dtype=torch.float64)
    d = cloud.shape[-1]
    if d > n_features:
        raise InputError(f"a cloud of {d} features does not fit into {n_features}")
    axes = np.linalg.qr(np.random.default_rng(seed).standard_normal((n_features, d)))[0]
    return cloud @ torch.from_numpy(axes).T


def poisson_radii(n, d, ranks, batch=(), seed=0):
    r"""Distances from ``n`` independent observers to their neighbors, each in a Poisson process of its own.

    This is the world in which the derivation of GRIDE holds exactly: the volume :math:`r^d` enclosed by the neighbor of
    rank :math:`n` is a sum of :math:`n` independent exponential numbers. No two observers share a neighbor.

    Parameters
    ----------
    n, d, batch, seed
        As in :func:`cube`.
    ranks : array_like of int, shape (rank,)
        Ascending, at least 1.

    Returns
    -------
    torch.Tensor, shape (*batch, n, rank), float64
        In units in which one neighbor is expected within distance 1.

    Raises
    ------
    InputError
        If the ranks do not ascend from at least 1.

    Examples
    --------
    >>> import tokengeom_utils as tg
    >>> radii = poisson_radii(100_000, 7, [1, 2])
    >>> bool(abs(tg.gride(radii, 2).dimension - 7) < 0.1)
    True
    """
    steps = np.diff(ranks, prepend=0)
    if len(steps) == 0 or (steps < 1).any():
        raise InputError(f"ranks {list(ranks)} must ascend from at least 1")
    volumes = np.random.default_rng(seed).standard_gamma(steps, (*_checked(n, d, batch)[:-1], len(steps)))
    return torch.from_numpy(volumes.cumsum(-1) ** (1 / d))
