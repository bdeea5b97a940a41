"""Cosine similarity between the tokens of a cloud.

>>> import torch, tokengeom_utils as tg
>>> tg.mean_cosine_similarity(torch.eye(4))  # four orthogonal tokens: 4 of the 16 pairs are self-pairs
tensor(0.2500, dtype=torch.float64)
>>> tg.mean_cosine_similarity(torch.eye(4), include_self=False)
tensor(0., dtype=torch.float64)
"""

from typing import NamedTuple

import torch

from .errors import InputError
from .neighbors import as_clouds, visit_pairs


class CosineSimilarity(NamedTuple):
    """Moments of the cosine similarity over the pairs of a cloud, each of shape (...), float64."""

    mean: torch.Tensor  #: over all N^2 pairs, self included, as in the paper
    std: torch.Tensor  #: over the same pairs
    mean_distinct: torch.Tensor  #: over the N (N - 1) pairs of distinct tokens


def _directions(cloud):
    cloud = as_clouds(cloud).double()
    norm = cloud.norm(dim=-1, keepdim=True)
    refuse_origin(norm[..., 0])
    return cloud / norm


def refuse_origin(norm):
    """Raise ``InputError`` if a token (..., token) has no length."""
    if (norm == 0).any():
        token = (norm == 0).nonzero()[0, -1]
        raise InputError(f"token {token} lies at the origin and has no direction: its cosine similarity is undefined")


def squared_norms(cloud):
    """|x|^2 of the tokens of a tensor (..., token, feature), in float64."""
    return torch.linalg.vector_norm(cloud, dim=-1, dtype=torch.float64).square()


def _means(total, n):
    """Mean over all pairs, and over the distinct ones, from |sum of the directions|^2."""
    return total / n**2, (total - n) / max(n * (n - 1), 1)


def mean_cosine_similarity(cloud, include_self=True):
    r"""Mean cosine similarity over all pairs of tokens.

    With directions :math:`u_i = x_i / \|x_i\|` the mean over all :math:`N^2` pairs is
    :math:`\|\sum_i u_i\|^2 / N^2`, so no pair is ever formed.

    Parameters
    ----------
    cloud : array_like, shape (..., token, feature)
    include_self : bool
        The paper averages over all :math:`N^2` pairs, each token with itself included, which adds
        about :math:`1/N`. False gives the mean over the :math:`N (N - 1)` pairs of distinct tokens.

    Returns
    -------
    torch.Tensor, shape (...), float64, in [-1, 1]

    Raises
    ------
    InputError
        If a token lies at the origin.
    """
    u = _directions(cloud)
    everything, distinct = _means(u.sum(-2).square().sum(-1), u.shape[-2])
    return everything if include_self else distinct


def cosine_similarity(cloud):
    r"""Mean and standard deviation of the cosine similarity over the pairs of a cloud.

    The mean square over all pairs is :math:`\|U U^\top\|_F^2 / N^2 = \|U^\top U\|_F^2 / N^2`, taken on the
    smaller side.

    Parameters
    ----------
    cloud : array_like, shape (..., token, feature)

    Returns
    -------
    CosineSimilarity
        ``.mean``, ``.std`` and ``.mean_distinct``, each of shape (...), float64.

    Raises
    ------
    InputError
        If a token lies at the origin.

    Examples
    --------
    >>> import torch, tokengeom_utils as tg
    >>> tg.cosine_similarity(torch.tensor([[1.0, 0.0], [-1.0, 0.0]])).std
    tensor(1., dtype=torch.float64)
    """
    u = _directions(cloud)
    n, d = u.shape[-2:]
    mean, distinct = _means(u.sum(-2).square().sum(-1), n)
    gram = u.mT @ u if d < n else u @ u.mT
    mean_square = torch.linalg.vector_norm(gram, dim=(-1, -2)).square() / n**2
    return CosineSimilarity(mean, (mean_square - mean**2).clamp(min=0).sqrt(), distinct)


def cosine_and_neighbors(cloud, k):
    r"""What :func:`cosine_similarity` and :func:`nearest_neighbors` give, from one pass over the pairs.

    The cosine of a pair follows from its distance,
    :math:`\cos_{ij} = (|x_i|^2 + |x_j|^2 - r_{ij}^2) / 2 |x_i| |x_j|`.

    Parameters
    ----------
    cloud : torch.Tensor, shape (..., token, feature)
        Finite, as :func:`tokengeom_utils.neighbors.as_clouds` returns it.
    k : int

    Returns
    -------
    CosineSimilarity
    Neighbors

    Raises
    ------
    InputError
        If a token lies at the origin, or ``k`` is out of range.
    """
    n, d = cloud.shape[-2:]
    norm2 = squared_norms(cloud.reshape(-1, n, d))
    refuse_origin(norm2)
    unit = norm2.amax(-1, keepdim=True)  # so that no square leaves the range of float64
    part = norm2 / unit
    inverse = part.rsqrt()
    directions = (norm2.rsqrt()[:, None] @ cloud.reshape(-1, n, d).double())[:, 0]  # their sum
    total = directions.square().sum(-1)
    square = torch.zeros_like(total)

    def visit(clouds, rows, d2):
        twice = torch.addcmul(part[clouds, None], d2, 1 / unit[clouds, None], value=-1)
        twice += part[clouds, rows, None]  # 2 x_i . x_j
        i, j = inverse[clouds, rows], inverse[clouds, :, None]
        square[clouds] += torch.linalg.vecdot((twice.square_() @ j.square())[..., 0], i.square()) / 4

    table = visit_pairs(cloud, k, visit)
    mean, distinct = _means(total, n)
    std = (square / n**2 - mean**2).clamp(min=0).sqrt()
    return CosineSimilarity(*(part.reshape(cloud.shape[:-2]) for part in (mean, std, distinct))), table
