"""Neighborhood overlap and reciprocity: which neighbors a token keeps in another layer, and which return the link.

>>> import torch, tokengeom_utils as tg
>>> cloud = torch.randn(100, 8, generator=torch.Generator().manual_seed(0))
>>> indices = tg.nearest_neighbors(cloud, 5).indices
>>> tg.neighborhood_overlap(indices, indices, 5)
tensor([1., 1., 1., 1., 1.], dtype=torch.float64)
>>> tg.overlap.reciprocity(torch.tensor([[1], [0], [1]]))  # 0 and 1 are mutual neighbors, 2 and 1 are not
tensor([0.6667], dtype=torch.float64)
"""

import numpy as np
import torch
from numpy.typing import ArrayLike

from ..errors import InputError
from .kernels import count_shared


def neighborhood_overlap(
    indices_a: ArrayLike | torch.Tensor, indices_b: ArrayLike | torch.Tensor, k_max: int | None = None
) -> torch.Tensor:
    r"""Measure the neighborhood overlap :math:`\chi_1, \dots, \chi_{k_\max}` of two neighbor tables.

    .. math:: \chi_k(l, m) = \frac1N \sum_i \frac{|\mathcal N^l_k(i) \cap \mathcal N^m_k(i)|}{k}

    All ``k`` are counted at once: a neighbor common to both lists at ranks ``a`` and ``b`` counts for every
    ``k >= max(a, b)``. Two unrelated clouds give ``k / (N - 1)`` on average.

    Parameters
    ----------
    indices_a, indices_b : array_like of int, shape (..., token, k)
        From :func:`nearest_neighbors`, each neighbor once per row; -1 marks an empty place. The leading dimensions
        broadcast.
    k_max : int, optional
        Largest ``k``; all the columns unless given.

    Returns
    -------
    torch.Tensor, shape (..., k_max), float64, values in [0, 1]

    Raises
    ------
    InputError
        If the tables differ in the number of tokens, hold fewer than ``k_max`` columns, or contain indices out of
        range.

    See Also
    --------
    nearest_neighbors : makes the tables.
    reciprocity : overlap of a table with its own reversed links.

    Notes
    -----
    Introduced in the chapter *Neighborhood overlap: does a token keep its neighbors?*

    References
    ----------
    Doimo et al., *Hierarchical nucleation in deep neural networks*, 2020; the paper, Section 3.

    Examples
    --------
    >>> import tokengeom_utils as tg
    >>> tg.neighborhood_overlap([[1, 2], [0, 2], [0, 1]], [[2, 1], [0, 2], [1, 0]])
    tensor([0.3333, 1.0000], dtype=torch.float64)
    """
    a, b = torch.as_tensor(indices_a), torch.as_tensor(indices_b)
    for table in (a, b):
        if table.is_floating_point() or table.is_complex() or table.ndim < 2:
            raise InputError("a neighbor table holds whole numbers in shape (..., token, k): pass Neighbors.indices")
    k_max = min(a.shape[-1], b.shape[-1]) if k_max is None else k_max
    if not 1 <= k_max <= min(a.shape[-1], b.shape[-1]):
        raise InputError(f"k_max = {k_max}, but the tables hold {a.shape[-1]} and {b.shape[-1]} neighbors")
    for table in (a, b):
        if table.numel() and not -1 <= table.min() <= table.max() < table.shape[-2]:
            raise InputError(
                f"the table of {table.shape[-2]} tokens contains indices from {int(table.min())} to {int(table.max())}"
            )
    return common_neighbors(a[..., :k_max], b[..., :k_max])


def common_neighbors(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Return :func:`neighborhood_overlap` of whole tables (..., token, k), tensors of int whose indices are valid."""
    if a.shape[-2] != b.shape[-2]:
        raise InputError(f"overlap of {a.shape[-2]} tokens with {b.shape[-2]}: the clouds must match")
    n, k = a.shape[-2:]
    a, b = torch.broadcast_tensors(a, b)
    batch = a.shape[:-2]
    a, b = a.reshape(-1, n, k), b.reshape(-1, n, k)
    shared = count_shared(a, b)
    return shared.reshape(*batch, k) / (n * torch.arange(1, k + 1, device=a.device, dtype=torch.float64))


def reciprocity(indices: ArrayLike | torch.Tensor, k_max: int | None = None) -> torch.Tensor:
    r"""Measure the reciprocity :math:`\rho_1, \dots, \rho_{k_\max}` of a neighbor table: the share of mutual links.

    .. math:: \rho_k = \frac{\#\{(i, j) : j \in \mathcal N_k(i),\ i \in \mathcal N_k(j)\}}
                           {\#\{(i, j) : j \in \mathcal N_k(i)\}}

    All ``k`` are counted at once: a mutual pair of ranks ``a`` and ``b`` counts for every
    ``k >= max(a, b)``. Links drawn at random would be mutual with probability ``k / (N - 1)``.

    Parameters
    ----------
    indices : array_like of int, shape (..., token, k)
        From :func:`nearest_neighbors`. Empty places (-1) hold no link.
    k_max : int, optional
        Largest ``k``; all the columns unless given.

    Returns
    -------
    torch.Tensor, shape (..., k_max), float64, values in [0, 1]
        NaN where there is no link.

    Raises
    ------
    InputError
        If the table holds fewer than ``k_max`` columns.

    See Also
    --------
    poisson_reciprocity : its value for points spread evenly.
    neighborhood_overlap

    Notes
    -----
    Introduced in the chapter *Neighborhood overlap: does a token keep its neighbors?*

    Examples
    --------
    >>> reciprocity([[1, 2], [0, 2], [1, 3], [2, 1]])  # 0-1 and 2-3; 1-2 at k = 2, 0-2 and 1-3 never
    tensor([0.5000, 0.7500], dtype=torch.float64)
    """
    table = torch.as_tensor(indices)
    k_max = table.shape[-1] if k_max is None else k_max
    if not 1 <= k_max <= table.shape[-1]:
        raise InputError(f"k_max = {k_max}, but the table holds {table.shape[-1]} neighbors")
    *batch, n, _ = table.shape
    target = table[..., :k_max].long().reshape(-1, n * k_max)
    place = torch.arange(n * k_max, device=table.device)
    source, rank = place // k_max, place % k_max
    linked = target >= 0
    # Every link is a number, source and target in one. A link is returned if its reverse is among them.
    links = torch.where(linked, source * n + target, -1)
    reverse = torch.where(linked, target * n + source, -2)
    ordered, order = links.sort(-1)
    found = torch.searchsorted(ordered, reverse).clamp(max=n * k_max - 1)
    returned = ordered.gather(-1, found) == reverse
    later = torch.maximum(rank.expand_as(target), rank[order.gather(-1, found)])

    def up_to_k(which, rank):
        counts = torch.zeros(len(target), k_max, dtype=torch.int64, device=table.device)
        return counts.scatter_add_(1, rank.expand_as(target), which.long()).cumsum(-1)

    return (up_to_k(returned, later) / up_to_k(linked, rank).double()).reshape(*batch, k_max)


def poisson_reciprocity(dimension: ArrayLike) -> float | np.ndarray:
    r"""Return the reciprocity of nearest neighbors (:math:`k = 1`) among points spread evenly in :math:`\mathbb R^d`.

    .. math:: \rho_1 = \frac{1}{2 - I_{3/4}\left(\frac{d + 1}{2}, \frac12\right)}

    with the regularized incomplete beta function :math:`I`: here the share of a ball that is covered by a second ball
    of the same size, centered on the surface of the first. It falls from 2/3 on a line toward 1/2 in many dimensions.

    Parameters
    ----------
    dimension : float or array_like
        Positive; any real number.

    Returns
    -------
    float or numpy.ndarray
        Between 1/2 and 2/3 for a dimension of at least 1.

    See Also
    --------
    reciprocity

    Notes
    -----
    Let the nearest neighbor of a point be at distance r. The link is mutual if the two balls of radius r about
    the two points hold no other point. Their joint volume is 2 - I times that of one, so the exponential law of the
    volume up to the nearest neighbor, integrated over r, gives 1 / (2 - I). Introduced in the chapter *Neighborhood
    overlap: does a token keep its neighbors?*

    Examples
    --------
    >>> [round(float(poisson_reciprocity(d)), 4) for d in (1, 2, 3)]
    [0.6667, 0.6215, 0.5926]
    """
    from scipy.special import betainc

    return 1 / (2 - betainc((np.asarray(dimension) + 1) / 2, 0.5, 0.75))
