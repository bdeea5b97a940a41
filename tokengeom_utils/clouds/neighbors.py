"""Nearest neighbors of every token of a cloud, accurate to float64.

Every estimator of the package reads the same table: the ``k`` smallest distances of each token
to the *other* tokens, in ascending order, and which tokens these neighbors are. The token itself is
excluded by its index, never by "column 0": with duplicate tokens column 0 is ambiguous.

>>> import torch, tokengeom_utils as tg
>>> line = torch.tensor([[0.0], [1.0], [3.0]])
>>> tg.nearest_neighbors(line, k=2).distances
tensor([[1., 3.],
        [1., 2.],
        [2., 3.]], dtype=torch.float64)
"""

import torch
from numpy.typing import ArrayLike

from ..errors import InputError
from . import kernels
from .kernels.reference.pairs import angles
from .records import Neighbors
from .validate import as_clouds, check_neighbors


def nearest_neighbors(cloud: ArrayLike | torch.Tensor, k: int, drop_duplicates: bool = False) -> Neighbors:
    r"""Find the ``k`` nearest other tokens of every token, by Euclidean distance.

    The distance :math:`r_{ij} = |x_i - x_j|` of two tokens follows from their scalar product in float64, or from the
    difference of the two vectors where cancellation would cost digits. Rounding never decides between neighbors that
    are equally far: tokens with equal coordinates are at exactly one distance from every other token, and equal
    distances are ordered by index. Memory is bounded: large clouds are processed in blocks, and a stack one cloud
    at a time.

    Parameters
    ----------
    cloud : array_like, shape (..., token, feature)
        Any float dtype, any device; leading dimensions are a batch, such as layers.
    k : int
        Number of neighbors, ``1 <= k <= N - 1``.
    drop_duplicates : bool
        Keep one token of every set of coinciding ones. The others get rows of NaN and -1 and
        are nobody's neighbor; columns that no longer exist are NaN and -1 too.

    Returns
    -------
    Neighbors
        ``.distances`` (..., token, k) float64 in the units of the cloud, ``.indices``
        (..., token, k) int64, ``.is_duplicate`` (..., token) bool.

    Raises
    ------
    InputError
        If the cloud is not finite (names layer and token) or ``k`` is out of range.

    See Also
    --------
    gride, neighborhood_overlap : the functions that use the table.

    Notes
    -----
    Introduced in the chapter *Intrinsic dimension: how many directions does a cloud have?*

    Examples
    --------
    >>> import torch, tokengeom_utils as tg
    >>> corners = torch.tensor([[0.0, 0.0], [0.0, 1.0], [2.0, 0.0]])
    >>> tg.nearest_neighbors(corners, k=1).indices[:, 0]
    tensor([1, 0, 0])
    """
    cloud = as_clouds(cloud)
    check_neighbors(k, cloud.shape[-2])
    return (kernels.distinct_table if drop_duplicates else kernels.table)(cloud, k)


def neighbor_angles(cloud: ArrayLike | torch.Tensor, table: Neighbors) -> torch.Tensor:
    r"""Measure the angle at each token between the directions to its first and its second neighbor.

    By the law of cosines, from the distances :math:`r_1, r_2` to the two and the distance :math:`r_{12}` between them,

    .. math:: \cos\theta = \frac{r_1^2 + r_2^2 - r_{12}^2}{2\, r_1 r_2} .

    Parameters
    ----------
    cloud : array_like, shape (..., token, feature)
    table : Neighbors
        Of the same cloud, from :func:`nearest_neighbors` with ``k >= 2``.

    Returns
    -------
    torch.Tensor, shape (..., token), float64, degrees in [0, 180]
        NaN where a neighbor coincides with the token or is missing.

    Raises
    ------
    InputError
        If the table holds fewer than two neighbors per token.

    See Also
    --------
    nearest_neighbors

    Notes
    -----
    Introduced in the chapter *Cosine similarity: do the tokens point one way?*

    Examples
    --------
    >>> import torch, tokengeom_utils as tg
    >>> corner = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 2.0]])
    >>> tg.neighbor_angles(corner, tg.nearest_neighbors(corner, 2))[0].round()
    tensor(90., dtype=torch.float64)
    """
    if table.indices.shape[-1] < 2:
        raise InputError("the angle needs two neighbors per token: call nearest_neighbors with k >= 2")
    return angles(as_clouds(cloud), table)
