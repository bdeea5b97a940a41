"""A token cloud in three dimensions, so that the pictures of successive layers can be compared.

Layers differ in size by orders of magnitude, and a few tokens may lie a hundred times as far out as all others. So each
layer is seen from the center of its ordinary tokens, along the three directions in which these vary most, enlarged to
one size, and turned to resemble the layer before.
"""

from typing import NamedTuple

import numpy as np
import torch
from scipy.linalg import orthogonal_procrustes

from ...clouds.neighbors import nearest_neighbors
from ...clouds.overlap import neighborhood_overlap
from ...clouds.records import Neighbors

FAR = 4  #: a token is far away if it lies this many times as far from the middle as the median token


class Picture(NamedTuple):
    """A cloud in three dimensions.

    Attributes
    ----------
    points : numpy.ndarray of shape (token, 3)
        The root mean square distance of the ordinary tokens from their center, in these three dimensions, is 1.
    distance : numpy.ndarray of shape (token,)
        Distance from that center in all dimensions, divided by its root mean square over the ordinary tokens.
    is_far : numpy.ndarray of bool, shape (token,)
        Tokens that take no part in center, directions, and size; the others are ordinary.
    share : float
        Part of the variance of the ordinary tokens that the three directions hold; NaN if all are one point.
    """

    points: np.ndarray
    distance: np.ndarray
    is_far: np.ndarray
    share: float


def project(cloud: torch.Tensor, before: Picture | None = None) -> Picture:
    """Show a cloud in the three directions in which its ordinary tokens vary most.

    Parameters
    ----------
    cloud : torch.Tensor of shape (token, feature)
        Any float dtype.
    before : Picture, optional
        The picture of the layer before, with the same tokens; the new one is turned, or mirrored, to be as close to it
        as possible (orthogonal Procrustes).

    Returns
    -------
    Picture

    Examples
    --------
    A disk in a space of ten dimensions, and one token far away:

    >>> disk = torch.nn.functional.pad(torch.randn(200, 2, generator=torch.Generator().manual_seed(0)), (0, 8))
    >>> disk[0] = 1000.0
    >>> seen = project(disk)
    >>> round(seen.share, 6), int(seen.is_far.sum()), bool(np.allclose(seen.points[1:, 2], 0))
    (1.0, 1, True)
    """
    x = cloud.detach().cpu().double().numpy()
    from_middle = np.linalg.norm(x - np.median(x, axis=0), axis=1)
    is_far = from_middle > FAR * np.median(from_middle)
    x = x - x[~is_far].mean(0)
    size = _size(x[~is_far])
    x = x / (size or 1.0)
    directions, share = _main_directions(x[~is_far]) if size else (np.eye(x.shape[1], 3), np.nan)
    points = x @ directions
    points = points / (_size(points[~is_far]) or 1.0)
    if before is not None:
        both = ~(is_far | before.is_far)
        points = points @ orthogonal_procrustes(points[both], before.points[both])[0]
    return Picture(points, np.linalg.norm(x, axis=1), is_far, share)


def _size(x):
    """The root mean square length of vectors (token, feature)."""
    return np.sqrt(np.mean(np.sum(x**2, axis=1)))


def _main_directions(x):
    """The first three principal directions (feature, 3) of a centered cloud, and their share of its variance."""
    tokens, features = x.shape
    # The smaller of the two matrices of products has the same leading eigenvalues.
    values, vectors = np.linalg.eigh(x.T @ x if features <= tokens else x @ x.T)
    values, vectors = values[:-4:-1], vectors[:, :-4:-1]
    if features > tokens:
        vectors = x.T @ vectors / np.sqrt(np.maximum(values, np.finfo(float).tiny))
    # An eigenvector has no sign of its own: its largest entry is positive.
    largest = vectors[np.abs(vectors).argmax(0), np.arange(vectors.shape[1])]
    vectors = np.pad(vectors * np.sign(largest), ((0, 0), (0, 3 - vectors.shape[1])))
    return vectors, float(values.sum() / np.sum(x**2))


def neighbors_kept(points: np.ndarray, cloud: torch.Tensor, table: Neighbors, k: int = 8) -> float:
    """Count how many of the nearest neighbors in a picture are nearest neighbors in the cloud as well.

    Parameters
    ----------
    points : numpy.ndarray of shape (token, 3)
    cloud : torch.Tensor of shape (token, feature)
    table : Neighbors
        At least ``k`` neighbors in the cloud. Equal tokens count as one: which of them is nearest would be arbitrary.
    k : int
        Number of neighbors.

    Returns
    -------
    float
        Between 0 and 1; a random picture gives k / (N - 1). NaN with fewer than k + 1 different tokens.

    Examples
    --------
    >>> line = torch.outer(torch.arange(9.0) ** 2, torch.tensor([1.0, 0, 0]))
    >>> neighbors_kept(line.numpy(), line, nearest_neighbors(line, 2), k=2)
    1.0
    """
    is_first = ~table.is_duplicate.cpu()
    if is_first.sum() <= k:
        return np.nan
    in_cloud = table.indices[..., :k] if is_first.all() else nearest_neighbors(cloud[is_first], k).indices
    in_picture = nearest_neighbors(torch.as_tensor(points)[is_first], k).indices
    return neighborhood_overlap(in_picture, in_cloud.cpu(), k)[..., -1].item()
