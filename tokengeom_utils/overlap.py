"""Neighborhood overlap: how many of a token's neighbors stay its neighbors in another layer.

>>> import torch, tokengeom_utils as tg
>>> cloud = torch.randn(100, 8, generator=torch.Generator().manual_seed(0))
>>> indices = tg.nearest_neighbors(cloud, 5).indices
>>> tg.neighborhood_overlap(indices, indices, 5)
tensor([1., 1., 1., 1., 1.], dtype=torch.float64)
"""

import torch

from .errors import InputError

BLOCK = 2**22  # entries of the table of ranks held at once


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
    a, b = torch.broadcast_tensors(a[..., :k_max].long(), b[..., :k_max].long())
    batch = a.shape[:-2]
    a, b = a.reshape(-1, n, k_max), b.reshape(-1, n, k_max)
    rank = torch.arange(k_max, device=a.device, dtype=torch.int16 if k_max < 2**15 else torch.int32)
    # A common neighbor of ranks r and s counts for every k above both. Those of no use count for none.
    counts = torch.zeros(len(a), k_max + 1, dtype=torch.int64, device=a.device)
    for a, b in zip(*(t.split(max(1, BLOCK // (n * len(a))), 1) for t in (a, b))):
        rank_in_b = torch.full((*b.shape[:2], n + 1), k_max, dtype=rank.dtype, device=b.device)
        rank_in_b.scatter_(-1, b.where(b >= 0, n), rank.expand_as(b))  # -1, an empty place, goes to a column of its own
        above = torch.maximum(rank_in_b.gather(-1, a.clamp(min=0)), rank).where(a >= 0, k_max).flatten(1)
        counts.scatter_add_(1, above.long(), torch.ones_like(above, dtype=torch.int64))
    shared = counts[:, :k_max].cumsum(-1).reshape(*batch, k_max)
    return shared / (n * (rank.double() + 1))
