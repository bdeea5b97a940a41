r"""Distances between the empirical measures of clouds, whose tokens have places but no names.

The Wasserstein distance is the root-mean-square path of the tokens under the cheapest way to carry
one cloud onto the other. :func:`wasserstein` finds it exactly; :func:`sliced_wasserstein` replaces
the search by sorting the shadows of the clouds on random lines, which is much cheaper and sees less.

>>> from tokengeom_utils.theory.transport import wasserstein
>>> wasserstein([[0.0], [1.0]], [[1.0], [0.0]]).distance  # the same measure
0.0
>>> wasserstein([[0.0], [1.0]], [[4.0], [3.0]])
Transport(distance=3.0, pairing=tensor([1, 0]))

References
----------
Peyré, Cuturi, *Computational optimal transport*, Foundations and Trends in Machine Learning 11
(2019), doi:10.1561/2200000073; Bonneel, Rabin, Peyré, Pfister, *Sliced and Radon Wasserstein
barycenters of measures*, Journal of Mathematical Imaging and Vision 51 (2015),
doi:10.1007/s10851-014-0506-3.
"""

from typing import NamedTuple

import numpy as np
import torch

from ..errors import InputError


class Transport(NamedTuple):
    """The Wasserstein distance, and for each token of the first cloud where most of its mass goes."""

    distance: float
    pairing: torch.Tensor


class Sliced(NamedTuple):
    """The sliced distance, shape (...), and the standard error that is due to the random directions."""

    distance: torch.Tensor
    standard_error: torch.Tensor


def radius(cloud):
    """Root-mean-square distance of the tokens from their mean.

    Parameters
    ----------
    cloud : array_like, shape (..., token, feature)

    Returns
    -------
    torch.Tensor, shape (...), float64, in the units of the cloud

    Examples
    --------
    >>> radius([[0.0, 0.0], [2.0, 0.0]])
    tensor(1., dtype=torch.float64)
    """
    x = _cloud(cloud)
    return (x - x.mean(-2, keepdim=True)).square().sum(-1).mean(-1).sqrt()


def standardize(cloud):
    """The cloud moved to mean zero and scaled to radius one: what is left is its shape.

    Parameters
    ----------
    cloud : array_like, shape (..., token, feature)

    Returns
    -------
    torch.Tensor, shape (..., token, feature), float64

    Raises
    ------
    InputError
        If all tokens of a cloud are in one place.

    Examples
    --------
    >>> standardize([[3.0], [7.0]])
    tensor([[-1.],
            [ 1.]], dtype=torch.float64)
    """
    x = _cloud(cloud)
    size = radius(x)
    if not (size > 0).all():
        raise InputError("a cloud whose tokens are all in one place has no shape")
    return (x - x.mean(-2, keepdim=True)) / size[..., None, None]


def wasserstein(cloud_a, cloud_b):
    r"""Exact Wasserstein distance between two empirical measures, by linear programming.

    .. math:: W_2^2(\mu, \nu) = \min_\pi \sum_{i,j} \pi_{ij} \|x_i - y_j\|^2 ,

    over all ways :math:`\pi` to carry the mass of one onto the other: :math:`\pi_{ij} \ge 0`, with
    row sums :math:`1/n` and column sums :math:`1/m`. Takes about :math:`n^3` operations at worst.

    Parameters
    ----------
    cloud_a, cloud_b : array_like, shapes (token, feature)
        Their numbers of tokens may differ.

    Returns
    -------
    Transport
        ``distance``, in the units of the clouds, and ``pairing``, shape (token,), int64: the token
        of ``cloud_b`` to which each token of ``cloud_a`` sends most of its mass. If both have
        equally many tokens it is a permutation.

    Raises
    ------
    InputError
        If the clouds do not live in one space.

    References
    ----------
    Peyré and Cuturi (2019), Section 3; the solver is that of POT, Flamary et al., Journal of Machine
    Learning Research 22 (2021).

    Examples
    --------
    >>> round(wasserstein([[0.0, 0.0]], [[3.0, 0.0], [0.0, 4.0]]).distance ** 2, 9)
    12.5
    """
    import ot

    x, y = _same_space(cloud_a, cloud_b)
    if x.ndim != 2:
        raise InputError("wasserstein compares two clouds of shape (token, feature)")
    center = (x.mean(0) + y.mean(0)) / 2  # one shift for both, so that the product below loses few digits
    u, v = x - center, y - center
    cost = (u.square().sum(-1)[:, None] + v.square().sum(-1) - 2 * u @ v.T).clamp(min=0)
    cost /= cost.max().clamp(min=torch.finfo(cost.dtype).tiny)
    plan = ot.emd([], [], cost.cpu().numpy(), numItermax=10**7)
    i, j = np.nonzero(plan)
    paths = (x[i] - y[j]).square().sum(-1).cpu().numpy()  # from differences: exact where tokens coincide
    return Transport(float(np.sqrt(plan[i, j] @ paths)), torch.from_numpy(plan.argmax(1)))


def sliced_wasserstein(cloud_a, cloud_b, n_directions=128, seed=0):
    r"""Sliced Wasserstein distance of two clouds with equally many tokens, times :math:`\sqrt D`.

    .. math:: D \cdot SW^2 = \|\bar x - \bar y\|^2
              + D\, \mathbb{E}_\theta \frac1n \sum_i \big( a_{(i)} - b_{(i)} \big)^2

    with the sorted shadows :math:`a_i = \langle \theta, x_i - \bar x \rangle` and
    :math:`b_i = \langle \theta, y_i - \bar y \rangle`, and :math:`\theta` uniform on the unit sphere.
    The factor D makes it comparable with :math:`W_2`, from which it differs by nothing for a shift.
    The shift of the mean is exact; the rest is a mean over random directions.

    Parameters
    ----------
    cloud_a, cloud_b : array_like, shapes (..., token, feature)
        Leading dimensions broadcast.
    n_directions, seed : int

    Returns
    -------
    Sliced
        ``distance`` and ``standard_error``, shapes (...), float64, in the units of the clouds.

    Raises
    ------
    InputError
        If the numbers of tokens or of features differ.

    References
    ----------
    Bonneel et al. (2015).

    Examples
    --------
    >>> cloud = torch.randn(50, 3, generator=torch.Generator().manual_seed(0))
    >>> sliced_wasserstein(cloud, cloud + torch.tensor([0.0, 3.0, 4.0])).distance.round(decimals=6)
    tensor(5., dtype=torch.float64)
    """
    x, y = _same_space(cloud_a, cloud_b)
    if x.shape[-2] != y.shape[-2]:
        raise InputError(f"{x.shape[-2]} tokens against {y.shape[-2]}: the sliced distance sorts, so it needs as many")
    (mean_x, a), (mean_y, b) = (_shadows(z, n_directions, seed) for z in (x, y))
    each = x.shape[-1] * (a - b).square().mean(-2)  # (..., direction)
    squared = (mean_x - mean_y).square().sum(-1) + each.mean(-1)
    distance = squared.sqrt()
    error = each.std(-1) / n_directions**0.5 / (2 * distance).clamp(min=torch.finfo(distance.dtype).tiny)
    return Sliced(distance, error)


def sliced_distances(clouds, n_directions=128, seed=0):
    """Sliced Wasserstein distances (times the root of D) between all clouds of a stack.

    The sorted shadows of a cloud are the coordinates of a point, and the distance between two such
    points is the sliced distance of the clouds. So the sliced distance is Euclidean: the clouds can
    be drawn on a map without distortion, if the map may have many dimensions.

    Parameters
    ----------
    clouds : array_like, shape (cloud, token, feature)
    n_directions, seed : int

    Returns
    -------
    torch.Tensor, shape (cloud, cloud), float64, in the units of the clouds

    Examples
    --------
    >>> line = torch.tensor([[[0.0], [1.0]], [[2.0], [3.0]], [[2.0], [4.0]]])
    >>> sliced_distances(line)[0].round(decimals=4)
    tensor([0.0000, 2.0000, 2.5495], dtype=torch.float64)
    """
    x = _cloud(clouds)
    mean, shadow = _shadows(x, n_directions, seed)
    scale = (x.shape[-1] / (x.shape[-2] * n_directions)) ** 0.5
    points = torch.cat([mean, scale * shadow.flatten(-2)], -1)
    return torch.cdist(points, points, compute_mode="donot_use_mm_for_euclid_dist")


def _shadows(x, n_directions, seed):
    """Means (..., feature) of the clouds, and sorted shadows (..., token, direction) of what remains."""
    generator = torch.Generator().manual_seed(seed)
    theta = torch.randn(x.shape[-1], n_directions, generator=generator, dtype=torch.float64).to(x.device)
    mean = x.mean(-2, keepdim=True)
    return mean[..., 0, :], ((x - mean) @ (theta / theta.norm(dim=0))).sort(dim=-2).values


def _cloud(cloud):
    return torch.as_tensor(np.asarray(cloud) if isinstance(cloud, list) else cloud).double()


def _same_space(cloud_a, cloud_b):
    x, y = _cloud(cloud_a), _cloud(cloud_b)
    if x.shape[-1] != y.shape[-1]:
        raise InputError(f"{x.shape[-1]} features against {y.shape[-1]}: the clouds do not live in one space")
    return x, y
