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
from .neighbors import as_clouds


class CosineSimilarity(NamedTuple):
    """Moments of the cosine similarity over the pairs of a cloud, each of shape (...), float64."""

    mean: torch.Tensor  #: over all N^2 pairs, self included, as in the paper
    std: torch.Tensor  #: over the same pairs
    mean_distinct: torch.Tensor  #: over the N (N - 1) pairs of distinct tokens


def _directions(cloud):
    cloud = as_clouds(cloud).double()
    norm = cloud.norm(dim=-1, keepdim=True)
    if (norm == 0).any():
        raise InputError("a token at the origin has no direction: its cosine similarity is undefined")
    return cloud / norm


def _means(u):
    """Mean over all pairs, and over the distinct ones."""
    n = u.shape[-2]
    total = u.sum(-2).square().sum(-1)
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
    everything, distinct = _means(_directions(cloud))
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
    mean, distinct = _means(u)
    gram = u.mT @ u if d < n else u @ u.mT
    mean_square = torch.linalg.vector_norm(gram, dim=(-1, -2)).square() / n**2
    return CosineSimilarity(mean, (mean_square - mean**2).clamp(min=0).sqrt(), distinct)
