"""Cosine similarity between the tokens of a cloud.

>>> import torch, tokengeom_utils as tg
>>> tg.mean_cosine_similarity(torch.eye(4))  # four orthogonal tokens: 4 of the 16 pairs are self-pairs
tensor(0.2500, dtype=torch.float64)
>>> tg.mean_cosine_similarity(torch.eye(4), include_self=False)
tensor(0., dtype=torch.float64)
"""

import torch

from .kernels.reference.pairs import pair_means
from .records import CosineSimilarity
from .validate import as_clouds, refuse_origin


def directions(cloud):
    """Return the tokens (..., token, feature) scaled to length 1, in float64."""
    cloud = as_clouds(cloud).double()
    norm = cloud.norm(dim=-1, keepdim=True)
    refuse_origin(norm[..., 0])
    return cloud / norm


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
    u = directions(cloud)
    everything, distinct = pair_means(u.sum(-2).square().sum(-1), u.shape[-2])
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
    u = directions(cloud)
    n, d = u.shape[-2:]
    mean, distinct = pair_means(u.sum(-2).square().sum(-1), n)
    gram = u.mT @ u if d < n else u @ u.mT
    mean_square = torch.linalg.vector_norm(gram, dim=(-1, -2)).square() / n**2
    return CosineSimilarity(mean, (mean_square - mean**2).clamp(min=0).sqrt(), distinct)


