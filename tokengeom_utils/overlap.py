"""Neighborhood overlap: how many of a token's neighbors stay its neighbors in another layer.

>>> import torch, tokengeom_utils as tg
>>> cloud = torch.randn(100, 8, generator=torch.Generator().manual_seed(0))
>>> indices = tg.nearest_neighbors(cloud, 5).indices
>>> tg.neighborhood_overlap(indices, indices, 5)
tensor([1., 1., 1., 1., 1.], dtype=torch.float64)
"""

import torch

from .errors import InputError


def neighborhood_overlap(indices_a, indices_b, k_max=None):
    r"""Neighborhood overlap :math:`\chi_1, \dots, \chi_{k_\max}` of two neighbor tables.

    .. math:: \chi_k(l, m) = \frac1N \sum_i \frac{|\mathcal N^l_k(i) \cap \mathcal N^m_k(i)|}{k}

    All ``k`` at once: a neighbor common to both lists at ranks ``a`` and ``b`` counts for every
    ``k >= max(a, b)``. Two unrelated clouds give ``k / (N - 1)``.

    Parameters
    ----------
    indices_a, indices_b : array_like of int, shape (..., token, k)
        From :func:`nearest_neighbors`; the leading dimensions broadcast.
    k_max : int, optional
        Largest ``k``; all the columns unless given.

    Returns
    -------
    torch.Tensor, shape (..., k_max), float64, values in [0, 1]

    Raises
    ------
    InputError
        If the tables are of different numbers of tokens or hold fewer than ``k_max`` columns.

    References
    ----------
    Doimo et al., *Hierarchical nucleation in deep neural networks*, 2020; the paper, Section 3.
    """
    a, b = torch.as_tensor(indices_a), torch.as_tensor(indices_b)
    k_max = min(a.shape[-1], b.shape[-1]) if k_max is None else k_max
    if a.shape[-2] != b.shape[-2]:
        raise InputError(f"overlap of {a.shape[-2]} tokens with {b.shape[-2]}: the clouds must match")
    if not 1 <= k_max <= min(a.shape[-1], b.shape[-1]):
        raise InputError(
            f"k_max = {k_max}, but the tables hold {a.shape[-1]} and {b.shape[-1]} neighbors"
        )
    n = a.shape[-2]
    batch = torch.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    a = a[..., :k_max].expand(*batch, n, k_max).reshape(-1, n, k_max).int()
    b = b[..., :k_max].expand(*batch, n, k_max).reshape(-1, n, k_max).int()
    b = torch.where(b < 0, -2, b)  # an empty place, -1 in both tables, is no common neighbor
    shared = torch.zeros(len(a), k_max, dtype=torch.int64, device=a.device)
    for rank in range(k_max):  # neighbor of rank `rank` in one list, at or above it in the other
        shared[:, rank] += (a[..., rank, None] == b[..., : rank + 1]).sum((-1, -2))
        shared[:, rank] += (b[..., rank, None] == a[..., :rank]).sum((-1, -2))
    k = torch.arange(1, k_max + 1, device=a.device)
    return (shared.cumsum(-1) / (n * k).double()).reshape(*batch, k_max)
