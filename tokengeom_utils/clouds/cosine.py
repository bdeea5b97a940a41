"""Cosine similarity between the tokens of a cloud.

>>> import torch, tokengeom_utils as tg
>>> tg.mean_cosine_similarity(torch.eye(4))  # four orthogonal tokens: 4 of the 16 pairs are self-pairs
tensor(0.2500, dtype=torch.float64)
>>> tg.mean_cosine_similarity(torch.eye(4), include_self=False)
tensor(0., dtype=torch.float64)
"""

import torch
from numpy.typing import ArrayLike

from .kernels.reference.pairs import pair_means
from .records import CosineSimilarity
from .validate import as_clouds, refuse_origin


def directions(cloud: ArrayLike | torch.Tensor) -> torch.Tensor:
    """Return the tokens (..., token, feature) scaled to length 1, in float64."""
    cloud = as_clouds(cloud).double()
    norm = cloud.norm(dim=-1, keepdim=True)
    refuse_origin(norm[..., 0])
    return cloud / norm


def mean_cosine_similarity(cloud: ArrayLike | torch.Tensor, include_self: bool = True) -> torch.Tensor:
    r"""Measure the mean cosine similarity over all pairs of tokens.

    With directions :math:`u_i = x_i / \|x_i\|` the mean over all :math:`N^2` pairs is
    :math:`\|\sum_i u_i\|^2 / N^2`, so no pair needs to be formed.

    Parameters
    ----------
    cloud : array_like, shape (..., token, feature)
        Any float dtype, any device.
    include_self : bool
        The paper averages over all :math:`N^2` pairs, including each token with itself, which adds
        about :math:`1/N`. False gives the mean over the :math:`N (N - 1)` pairs of distinct tokens.

    Returns
    -------
    torch.Tensor, shape (...), float64, in [-1, 1]

    Raises
    ------
    InputError
        If the cloud is not finite, or a token lies at the origin.

    See Also
    --------
    cosine_similarity : with the standard deviation.

    Notes
    -----
    Introduced in the chapter *Cosine similarity: do the tokens point one way?*

    References
    ----------
    The paper, Section 3.

    Examples
    --------
    >>> import torch, tokengeom_utils as tg
    >>> tg.mean_cosine_similarity(torch.tensor([[1.0, 0.0], [1.0, 1.0]]), include_self=False)
    tensor(0.7071, dtype=torch.float64)
    """
    u = directions(cloud)
    everything, distinct = pair_means(u.sum(-2).square().sum(-1), u.shape[-2])
    return everything if include_self else distinct


def cosine_similarity(cloud: ArrayLike | torch.Tensor) -> CosineSimilarity:
    r"""Measure the mean and standard deviation of the cosine similarity over the pairs of a cloud.

    The mean square over all pairs is :math:`\|U U^\top\|_F^2 / N^2 = \|U^\top U\|_F^2 / N^2`, computed
    from the smaller of the two products.

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
        If the cloud is not finite, or a token lies at the origin.

    See Also
    --------
    mean_cosine_similarity

    Notes
    -----
    Introduced in the chapter *Cosine similarity: do the tokens point one way?*

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
