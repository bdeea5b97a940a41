r"""Distances between the empirical measures of clouds, in which tokens have positions but no names.

The Wasserstein distance is the root-mean-square path of the tokens under the cheapest way to move one cloud onto the
other. :func:`wasserstein` computes it exactly. :func:`sliced_wasserstein` replaces the search by sorting the
projections of the clouds onto random lines, which is much cheaper but resolves less.

>>> import tokengeom_utils as tg
>>> tg.transport.wasserstein([[0.0], [1.0]], [[1.0], [0.0]]).distance  # the same measure
0.0
>>> tg.transport.wasserstein([[0.0], [1.0]], [[4.0], [3.0]])
Transport(distance=3.0, pairing=tensor([1, 0]))

References
----------
Peyré, Cuturi, *Computational optimal transport*, Foundations and Trends in Machine Learning 11 (2019),
doi:10.1561/2200000073; Bonneel, Rabin, Peyré, Pfister, *Sliced and Radon Wasserstein barycenters of measures*, Journal
of Mathematical Imaging and Vision 51 (2015), doi:10.1007/s10851-014-0506-3.
"""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike

from ..clouds.validate import as_clouds
from ..errors import InputError


class Transport(NamedTuple):
    """An exact Wasserstein distance with its optimal pairing.

    See Also
    --------
    wasserstein : computes it.

    Notes
    -----
    Introduced in the chapter *Empirical measures*.

    Examples
    --------
    >>> import tokengeom_utils as tg
    >>> tg.transport.wasserstein([[0.0], [1.0]], [[4.0], [3.0]]).pairing
    tensor([1, 0])
    """

    distance: float  #: in the units of the clouds
    pairing: torch.Tensor  #: (token,) int64: for each token of the first cloud, where most of its mass goes


class Sliced(NamedTuple):
    """A sliced Wasserstein distance with its sampling error.

    See Also
    --------
    sliced_wasserstein : computes it.

    Notes
    -----
    Introduced in the chapter *Empirical measures*.

    Examples
    --------
    >>> import tokengeom_utils as tg
    >>> found = tg.transport.sliced_wasserstein([[0.0], [1.0]], [[4.0], [3.0]])
    >>> round(found.distance.item(), 9), found.standard_error.item() < 1e-9  # on a line there is one direction
    (3.0, True)
    """

    distance: torch.Tensor  #: (...) float64, in the units of the clouds
    standard_error: torch.Tensor  #: (...) float64: the error due to the random directions


def radius(cloud: ArrayLike | torch.Tensor) -> torch.Tensor:
    r"""Compute the root-mean-square distance of the tokens from their mean.

    .. math:: R = \Big( \frac1n \sum_i \|x_i - \bar x\|^2 \Big)^{1/2}

    Parameters
    ----------
    cloud : array_like, shape (..., token, feature)

    Returns
    -------
    torch.Tensor, shape (...), float64, in the units of the cloud

    Raises
    ------
    InputError
        If the cloud is not finite.

    See Also
    --------
    standardize : scales the radius to one.

    Notes
    -----
    Introduced in the chapter *Empirical measures*.

    Examples
    --------
    >>> import tokengeom_utils as tg
    >>> tg.transport.radius([[0.0, 0.0], [2.0, 0.0]])
    tensor(1., dtype=torch.float64)
    """
    x = _cloud(cloud)
    return (x - x.mean(-2, keepdim=True)).square().sum(-1).mean(-1).sqrt()


def standardize(cloud: ArrayLike | torch.Tensor) -> torch.Tensor:
    """Shift a cloud to mean zero and scale it to radius one: what remains is its shape.

    Parameters
    ----------
    cloud : array_like, shape (..., token, feature)

    Returns
    -------
    torch.Tensor, shape (..., token, feature), float64

    Raises
    ------
    InputError
        If the cloud is not finite, or all its tokens coincide.

    See Also
    --------
    radius : the scale that is divided out.

    Notes
    -----
    Introduced in the chapter *Empirical measures*.

    Examples
    --------
    >>> import tokengeom_utils as tg
    >>> tg.transport.standardize([[3.0], [7.0]])
    tensor([[-1.],
            [ 1.]], dtype=torch.float64)
    """
    x = _cloud(cloud)
    size = radius(x)
    if not (size > 0).all():
        raise InputError("all tokens of a cloud coincide, so it has no shape: leave this cloud out")
    return (x - x.mean(-2, keepdim=True)) / size[..., None, None]


def wasserstein(cloud_a: ArrayLike | torch.Tensor, cloud_b: ArrayLike | torch.Tensor) -> Transport:
    r"""Compute the exact Wasserstein distance between two empirical measures, by linear programming.

    .. math:: W_2^2(\mu, \nu) = \min_\pi \sum_{i,j} \pi_{ij} \|x_i - y_j\|^2 ,

    over all ways :math:`\pi` to carry the mass of one onto the other: :math:`\pi_{ij} \ge 0`, with row sums
    :math:`1/n` and column sums :math:`1/m`. Takes about :math:`n^3` operations at worst.

    Parameters
    ----------
    cloud_a, cloud_b : array_like, shape (token, feature)
        Their numbers of tokens may differ.

    Returns
    -------
    Transport
        ``distance``, in the units of the clouds, and ``pairing``, shape (token,), int64: the token of ``cloud_b`` to
        which each token of ``cloud_a`` sends most of its mass. It is a permutation if both have equally many tokens.

    Raises
    ------
    InputError
        If a cloud is not finite or not of shape (token, feature), or their numbers of features differ.

    See Also
    --------
    sliced_wasserstein : a cheaper distance.

    Notes
    -----
    Introduced in the chapter *Empirical measures*.

    References
    ----------
    Peyré and Cuturi (2019), Section 3; the solver is that of POT, Flamary et al., Journal of Machine Learning Research
    22 (2021).

    Examples
    --------
    >>> import tokengeom_utils as tg
    >>> round(tg.transport.wasserstein([[0.0, 0.0]], [[3.0, 0.0], [0.0, 4.0]]).distance ** 2, 9)
    12.5
    """
    import ot

    x, y = _same_space(cloud_a, cloud_b)
    if x.ndim != 2 or y.ndim != 2:
        raise InputError(
            f"wasserstein compares two clouds of shape (token, feature), got {tuple(x.shape)} and "
            f"{tuple(y.shape)}: call it once for each pair"
        )
    center = (x.mean(0) + y.mean(0)) / 2  # one shift for both, so that little cancels in the product below
    u, v = x - center, y - center
    cost = (u.square().sum(-1)[:, None] + v.square().sum(-1) - 2 * u @ v.T).clamp(min=0)
    cost /= cost.max().clamp(min=torch.finfo(cost.dtype).tiny)
    plan = ot.emd([], [], cost.cpu().numpy(), numItermax=10**7)
    i, j = np.nonzero(plan)
    paths = (x[i] - y[j]).square().sum(-1).cpu().numpy()  # from differences: exact where tokens coincide
    return Transport(float(np.sqrt(plan[i, j] @ paths)), torch.from_numpy(plan.argmax(1)))


def sliced_wasserstein(
    cloud_a: ArrayLike | torch.Tensor, cloud_b: ArrayLike | torch.Tensor, n_directions: int = 128, seed: int = 0
) -> Sliced:
    r"""Estimate the sliced Wasserstein distance of two clouds with equally many tokens, times :math:`\sqrt D`.

    .. math:: D \cdot SW^2 = \|\bar x - \bar y\|^2
              + D\, \mathbb{E}_\theta \frac1n \sum_i \big( a_{(i)} - b_{(i)} \big)^2

    with the sorted projections :math:`a_i = \langle \theta, x_i - \bar x \rangle` and
    :math:`b_i = \langle \theta, y_i - \bar y \rangle`, and :math:`\theta` uniform on the unit sphere of the D features.
    The factor D makes it comparable with :math:`W_2`, which it equals for a pure shift. The shift of the mean is exact;
    the rest is an average over random directions.

    Parameters
    ----------
    cloud_a, cloud_b : array_like, shape (..., token, feature)
        Leading dimensions broadcast.
    n_directions : int
        Number of random directions.
    seed : int

    Returns
    -------
    Sliced
        ``distance`` and ``standard_error``, shapes (...), float64, in the units of the clouds.

    Raises
    ------
    InputError
        If a cloud is not finite, or their numbers of tokens or features differ.

    See Also
    --------
    sliced_distances : all pairs of a stack of clouds.
    wasserstein : the exact distance.

    Notes
    -----
    Introduced in the chapter *Empirical measures*.

    References
    ----------
    Bonneel et al. (2015).

    Examples
    --------
    >>> import torch, tokengeom_utils as tg
    >>> cloud = torch.randn(50, 3, generator=torch.Generator().manual_seed(0))
    >>> tg.transport.sliced_wasserstein(cloud, cloud + torch.tensor([0.0, 3.0, 4.0])).distance.round(decimals=6)
    tensor(5., dtype=torch.float64)
    """
    x, y = _same_space(cloud_a, cloud_b)
    if x.shape[-2] != y.shape[-2]:
        raise InputError(
            f"the clouds have {x.shape[-2]} and {y.shape[-2]} tokens: the sliced distance pairs sorted "
            "projections, so it needs equally many; use wasserstein instead"
        )
    (mean_x, a), (mean_y, b) = (_projections(z, n_directions, seed) for z in (x, y))
    each = x.shape[-1] * (a - b).square().mean(-2)  # (..., direction)
    squared = (mean_x - mean_y).square().sum(-1) + each.mean(-1)
    distance = squared.sqrt()
    error = each.std(-1) / n_directions**0.5 / (2 * distance).clamp(min=torch.finfo(distance.dtype).tiny)
    return Sliced(distance, error)


def sliced_distances(clouds: ArrayLike | torch.Tensor, n_directions: int = 128, seed: int = 0) -> torch.Tensor:
    r"""Estimate the sliced Wasserstein distances, times :math:`\sqrt D`, between all clouds of a stack.

    The sorted projections of a cloud are the coordinates of a point, and the distance between two such points is the
    sliced distance of the clouds. So the sliced distance is Euclidean: a map with enough dimensions shows the clouds
    without distortion.

    Parameters
    ----------
    clouds : array_like, shape (cloud, token, feature)
    n_directions : int
        Number of random directions.
    seed : int

    Returns
    -------
    torch.Tensor, shape (cloud, cloud), float64, in the units of the clouds

    Raises
    ------
    InputError
        If a cloud is not finite.

    See Also
    --------
    sliced_wasserstein : one pair, with a standard error, and the equation.

    Notes
    -----
    Introduced in the chapter *Empirical measures*.

    References
    ----------
    Bonneel et al. (2015).

    Examples
    --------
    >>> import torch, tokengeom_utils as tg
    >>> line = torch.tensor([[[0.0], [1.0]], [[2.0], [3.0]], [[2.0], [4.0]]])
    >>> tg.transport.sliced_distances(line)[0].round(decimals=4)
    tensor([0.0000, 2.0000, 2.5495], dtype=torch.float64)
    """
    x = _cloud(clouds)
    mean, projections = _projections(x, n_directions, seed)
    scale = (x.shape[-1] / (x.shape[-2] * n_directions)) ** 0.5
    points = torch.cat([mean, scale * projections.flatten(-2)], -1)
    return torch.cdist(points, points, compute_mode="donot_use_mm_for_euclid_dist")


def _projections(x, n_directions, seed):
    """Return the means (..., feature) of the clouds, and the sorted projections (..., token, direction) of the rest."""
    generator = torch.Generator().manual_seed(seed)
    theta = torch.randn(x.shape[-1], n_directions, generator=generator, dtype=torch.float64).to(x.device)
    mean = x.mean(-2, keepdim=True)
    return mean[..., 0, :], ((x - mean) @ (theta / theta.norm(dim=0))).sort(dim=-2).values


def _cloud(cloud):
    """Return a cloud, or a stack of clouds, as a finite tensor of float64."""
    return as_clouds(cloud, leading="cloud").double()


def _same_space(cloud_a, cloud_b):
    """Return two clouds as tensors, or raise ``InputError`` if their numbers of features differ."""
    x, y = _cloud(cloud_a), _cloud(cloud_b)
    if x.shape[-1] != y.shape[-1]:
        raise InputError(f"the clouds have {x.shape[-1]} and {y.shape[-1]} features: both must come from one space")
    return x, y
