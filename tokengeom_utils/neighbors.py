"""Nearest neighbors of every token of a cloud, accurate to float64.

Every estimator of the package reads the same table: the ``k`` smallest distances of each token
to the *other* tokens, in ascending order, and who those neighbors are. The token itself is
excluded by its index, never by "column 0": with duplicate tokens column 0 is ambiguous.

>>> import torch, tokengeom_utils as tg
>>> line = torch.tensor([[0.0], [1.0], [3.0]])
>>> tg.nearest_neighbors(line, k=2).distances
tensor([[1., 3.],
        [1., 2.],
        [2., 3.]], dtype=torch.float64)
"""

from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import torch

from .errors import InputError

# Pairs closer than this fraction of their squared norms lose digits to cancellation in
# |x|^2 + |y|^2 - 2 x.y, so their distance is computed from the difference instead.
CANCELLATION = 1e-6
# Two tokens this close, relative to the root-mean-square radius of the cloud, are the same point.
DUPLICATE = 1e-8
# Entries of a block of the squared-distance matrix: 64 MiB of float64.
BLOCK = 2**23


class Neighbors(NamedTuple):
    """Sorted neighbor table of a cloud, or of a stack of clouds."""

    distances: torch.Tensor  #: (..., token, k) float64, ascending
    indices: torch.Tensor  #: (..., token, k) int64, ties broken by the lower index
    is_duplicate: torch.Tensor  #: (..., token) bool: an earlier token sits at the same point


def as_clouds(cloud):
    """``cloud`` as a finite tensor ``(..., token, feature)``, or an InputError saying why not."""
    cloud = torch.as_tensor(np.asarray(cloud) if not torch.is_tensor(cloud) else cloud)
    if cloud.ndim < 2 or 0 in cloud.shape:
        raise InputError(f"a token cloud has shape (..., token, feature), got {tuple(cloud.shape)}")
    if not cloud.is_floating_point():
        cloud = cloud.double()
    if not torch.isfinite(cloud.sum()):
        bad = (~torch.isfinite(cloud)).any(-1).nonzero()
        if len(bad):  # (a finite cloud whose sum overflows is still a cloud)
            *batch, token = bad[0].tolist()
            where = f"layer {batch[-1]}, token {token}" if batch else f"token {token}"
            raise InputError(f"the cloud holds NaN or infinity at {where} ({len(bad)} tokens in all)")
    return cloud


def nearest_neighbors(cloud, k, drop_duplicates=False):
    """The ``k`` nearest other tokens of every token, by Euclidean distance.

    Distances come from the Gram matrix in float64, except for pairs so close that cancellation
    would cost digits: those are taken from the difference of the two vectors. Works block by
    block, so memory stays bounded for large clouds, and one cloud at a time for a stack.

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
    """
    cloud = as_clouds(cloud)
    *batch, n, _ = cloud.shape
    if not 1 <= k <= n - 1:
        raise InputError(f"k = {k} neighbors asked of N = {n} tokens: k must lie in 1..N-1 = {n - 1}")
    tables = [_table(c, k) for c in cloud.reshape(-1, *cloud.shape[-2:])]
    if drop_duplicates:
        tables = [
            _table_of_unique(c, k, t.is_duplicate) if t.is_duplicate.any() else t
            for c, t in zip(cloud.reshape(-1, *cloud.shape[-2:]), tables)
        ]
    return Neighbors(*(torch.stack(part).reshape(*batch, *part[0].shape) for part in zip(*tables)))


def _table(cloud, k):
    """Neighbor table of one cloud (token, feature)."""
    x = cloud.double()
    x = x - x.mean(0)
    n = len(x)
    norm = (x * x).sum(-1)
    radius2 = norm.mean()
    duplicate = torch.zeros(n, dtype=torch.bool, device=x.device)
    rows_per_block = max(1, BLOCK // n)
    distances, indices = [], []
    for start in range(0, n, rows_per_block):
        rows = slice(start, min(start + rows_per_block, n))
        scale = norm[rows, None] + norm
        d2 = torch.addmm(scale, x[rows], x.T, alpha=-2)
        near = torch.nonzero(d2 <= CANCELLATION * scale)
        for pairs in near.split(max(1, BLOCK // x.shape[1])):  # differences are (pair, feature)
            i, j = pairs[:, 0], pairs[:, 1]
            d2[i, j] = ((x[rows][i] - x[j]) ** 2).sum(-1)
        d2.clamp_(min=0)
        i = near[:, 0] + start
        same = (near[:, 1] < i) & (d2[near[:, 0], near[:, 1]] <= DUPLICATE**2 * radius2)
        duplicate[i[same]] = True
        d2[:, rows].fill_diagonal_(torch.inf)
        d2, index = _smallest(d2, k)
        distances.append(d2.sqrt_())
        indices.append(index)
    return Neighbors(torch.cat(distances), torch.cat(indices), duplicate)


def _smallest(d2, k):
    """The k smallest entries of each row, ascending, and their columns.

    A non-negative float64 orders like its own bit pattern, so the column number can ride in the
    lowest bits of the mantissa (ceil(log2 N) of them: 2e-13 relative at N = 1024) and one
    selection of plain integers, which is several times faster than an argpartition, yields both.
    """
    n_columns = d2.shape[1]
    bits = max(1, (n_columns - 1).bit_length())
    packed = d2.view(torch.int64)
    packed = packed.bitwise_and_(~((1 << bits) - 1)).bitwise_or_(
        torch.arange(n_columns, device=d2.device)
    )
    if packed.is_cuda:
        packed = packed.topk(k, largest=False, sorted=True).values
    else:
        packed = torch.from_numpy(_partition(packed.numpy(), k))
    index = packed & ((1 << bits) - 1)
    return (packed & ~((1 << bits) - 1)).view(torch.float64), index


def _partition(a, k):
    """Sorted k smallest per row; numpy lets go of the interpreter lock, so rows go to threads."""

    def select(rows):
        rows.partition(k - 1, axis=1)
        return np.sort(rows[:, :k], axis=1)

    workers = min(torch.get_num_threads(), len(a))
    with ThreadPoolExecutor(workers) as pool:
        return np.concatenate(list(pool.map(select, np.array_split(a, workers))))


def _table_of_unique(cloud, k, is_duplicate):
    """Neighbor table with duplicates left out: NaN and -1 where nothing is."""
    n = len(cloud)
    distances = torch.full((n, k), torch.nan, dtype=torch.float64, device=cloud.device)
    indices = torch.full((n, k), -1, dtype=torch.int64, device=cloud.device)
    kept = torch.nonzero(~is_duplicate)[:, 0]
    k_kept = min(k, len(kept) - 1)
    if k_kept >= 1:
        table = _table(cloud[kept], k_kept)
        distances[kept, :k_kept] = table.distances
        indices[kept, :k_kept] = kept[table.indices]
    return Neighbors(distances, indices, is_duplicate)


def neighbor_angles(cloud, indices):
    """Angle at each token between the directions to its first and its second neighbor.

    Parameters
    ----------
    cloud : array_like, shape (..., token, feature)
    indices : array_like of int, shape (..., token, k >= 2)
        From :func:`nearest_neighbors` on the same cloud; -1 gives NaN.

    Returns
    -------
    torch.Tensor, shape (..., token), float64, degrees in [0, 180]
        NaN where a neighbor coincides with the token.

    Examples
    --------
    >>> import torch, tokengeom_utils as tg
    >>> corner = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 2.0]])
    >>> tg.neighbor_angles(corner, tg.nearest_neighbors(corner, 2).indices)[0].round()
    tensor(90., dtype=torch.float64)
    """
    cloud, indices = as_clouds(cloud), torch.as_tensor(indices)
    if indices.shape[-1] < 2:
        raise InputError("the angle needs two neighbors per token: call nearest_neighbors with k >= 2")
    flat = cloud.reshape(-1, *cloud.shape[-2:])
    angles = []
    for x, pair in zip(flat, indices[..., :2].reshape(len(flat), -1, 2)):
        first, second = pair.unbind(-1)
        x = x.double()
        u, v = x[first.clamp(min=0)] - x, x[second.clamp(min=0)] - x
        cosine = (u * v).sum(-1) / (u.norm(dim=-1) * v.norm(dim=-1))
        angle = torch.rad2deg(torch.arccos(cosine.clamp(-1, 1)))
        angles.append(torch.where(second >= 0, angle, torch.nan))
    return torch.stack(angles).reshape(indices.shape[:-1])
