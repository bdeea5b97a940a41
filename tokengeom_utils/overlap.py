"""Neighborhood overlap: how many of a token's neighbors stay its neighbors in another layer.

>>> import torch, tokengeom_utils as tg
>>> cloud = torch.randn(100, 8, generator=torch.Generator().manual_seed(0))
>>> indices = tg.nearest_neighbors(cloud, 5).indices
>>> tg.neighborhood_overlap(indices, indices, 5)
tensor([1., 1., 1., 1., 1.], dtype=torch.float64)
"""

import torch

from .errors import InputError

BLOCK = 2**24  # equalities tested at once, a byte each


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
    a, b = torch.broadcast_tensors(a[..., :k_max].int(), b[..., :k_max].int())
    b = torch.where(b < 0, -2, b)  # an empty place, -1 in both tables, is no common neighbor
    # common[r, s]: tokens whose neighbor of rank r in one table has rank s in the other
    common = torch.zeros(*a.shape[:-2], k_max, k_max, dtype=torch.int64, device=a.device)
    tokens = max(1, BLOCK // max(1, common.numel()))
    for a_part, b_part in zip(a.split(tokens, -2), b.split(tokens, -2)):
        common += (a_part[..., :, None] == b_part[..., None, :]).sum(-3, dtype=torch.int32)
    shared = common.cumsum(-1).cumsum(-2).diagonal(dim1=-2, dim2=-1)
    return shared / (n * torch.arange(1, k_max + 1, device=a.device)).double()
