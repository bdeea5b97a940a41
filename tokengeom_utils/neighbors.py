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

from functools import partial
from importlib.util import find_spec
from math import isfinite
from typing import NamedTuple

import numpy as np
import torch

from .errors import InputError
from .threads import each

# Pairs closer than this fraction of their squared norms lose digits to cancellation in
# |x|^2 + |y|^2 - 2 x.y, so their distance is computed from the difference instead.
CANCELLATION = 1e-4
# Two tokens this close, relative to the root-mean-square radius of the cloud, are the same point.
DUPLICATE = 1e-8
# Clouds larger than this or smaller than its inverse have squared distances beyond float64.
EXTREME = 1e151
# Squared distances worked on at once: 64 MiB of float64, eight clouds of N = 1024.
BLOCK = 2**23
# Where at most one token in this many is kept, screening in float32 is faster than the whole table in float64.
FEW = 16
# Up to this many entries (2 GiB, N = 16384) the Gram matrix is held whole and only half of it computed.
WHOLE = 2**28
# Columns of it that a core computes at once.
STRIP = 128
# With fewer features, mirroring one half of it would take longer than multiplying.
WIDE = 256
# Up to this many tokens a program on a GPU holds a row.
ROW = 4096


class Neighbors(NamedTuple):
    """Sorted neighbor table of a cloud, or of a stack of clouds."""

    distances: torch.Tensor  #: (..., token, k) float64, ascending
    indices: torch.Tensor  #: (..., token, k) int64, ties broken by the lower index
    is_duplicate: torch.Tensor  #: (..., token) bool: an earlier token sits at the same point


def as_clouds(cloud, leading="layer", wait=True):
    """``cloud`` as a finite tensor ``(..., token, feature)``, or an InputError saying why not.

    To know that it is finite one must wait for the device that computes it; ``wait=False`` leaves that to the caller.
    """
    cloud = torch.as_tensor(np.asarray(cloud) if not torch.is_tensor(cloud) else cloud)
    if cloud.ndim < 2 or 0 in cloud.shape:
        raise InputError(f"a token cloud has shape (..., token, feature), got {tuple(cloud.shape)}")
    if not cloud.is_floating_point():
        cloud = cloud.double()
    if wait and not isfinite(cloud.sum().item()):  # (a finite cloud whose sum overflows is still a cloud)
        refuse_infinite(torch.isfinite(cloud).all(-1), leading)
    if cloud.dtype == torch.float64 and (size := cloud.abs().max()) > 0 and not 1 / EXTREME < size < EXTREME:
        raise InputError(f"the largest entry of the cloud is {size:.0e}, whose square is out of range: rescale it")
    return cloud


def refuse_infinite(is_finite, leading):
    """Raise ``InputError`` if a token (..., token) is not finite."""
    bad = (~is_finite).nonzero()
    if len(bad):
        *batch, token = bad[0].tolist()
        where = f"{leading} {batch[-1]}, token {token}" if batch else f"token {token}"
        raise InputError(f"the cloud holds NaN or infinity at {where} ({len(bad)} tokens in all)")


def nearest_neighbors(cloud, k, drop_duplicates=False):
    """The ``k`` nearest other tokens of every token, by Euclidean distance.

    Distances come from the Gram matrix in float64, except for pairs so close that cancellation
    would cost digits: those are taken from the difference of the two vectors. On a CPU, where few
    of the tokens are kept, all of them are such differences, of pairs that
    :mod:`tokengeom_utils.screened` finds. Works block by block, so memory stays bounded for large
    clouds, and one cloud at a time for a stack.

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
    _check(k, cloud.shape[-2])
    table = _screened(cloud, k) if can_screen(cloud) and FEW * k <= cloud.shape[-2] > 2 else visit_pairs(cloud, k)
    return without_duplicates(cloud, table) if drop_duplicates else table


def _check(k, n):
    if not 1 <= k <= n - 1:
        raise InputError(f"k = {k} neighbors asked of N = {n} tokens: k must lie in 1..N-1 = {n - 1}")


def can_screen(cloud):
    """Whether :mod:`tokengeom_utils.screened` is for this cloud.

    Its products must be float32 in earnest: other settings of torch let them be bfloat16.
    """
    return cloud.device.type == "cpu" and torch.get_float32_matmul_precision() == "highest"


def can_fuse(cloud):
    """Whether :mod:`tokengeom_utils.fused` is for this cloud: on a GPU, where a program holds a row of its pairs."""
    return can_compile(cloud) and cloud.shape[-2] <= ROW


def can_compile(tensor):
    """Whether there is a compiler for the GPU that holds this."""
    return tensor.is_cuda and find_spec("triton") is not None


def _screened(cloud, k):
    from .screened import screened_table  # compiled code, not needed on a GPU

    *batch, n, d = cloud.shape
    parts = zip(*(screened_table(one, k) for one in cloud.detach().reshape(-1, n, d)))
    return Neighbors(*(torch.from_numpy(np.stack(part)).reshape(*batch, *part[0].shape) for part in parts))


def visit_pairs(cloud, k, visit=None):
    """The neighbor table, in a pass over all pairs that others may watch.

    All pairs of a cloud are the costly part of every observable, so they are formed once.

    Parameters
    ----------
    cloud : torch.Tensor, shape (..., token, feature)
        Finite, as :func:`as_clouds` returns it.
    k : int
    visit : callable, optional
        Called as ``visit(clouds, rows, d2)`` for each block: ``d2`` (cloud, row, token) float64 are the
        squared distances of the tokens ``rows`` to all, in the clouds ``clouds`` of the flattened
        batch; both are slices. It must leave ``d2`` as it is.

    Returns
    -------
    Neighbors
    """
    cloud = cloud.detach()
    *batch, n, d = cloud.shape
    _check(k, n)
    flat = cloud.reshape(-1, n, d)
    # A GPU takes as many clouds at once as fill a block, a CPU one at a time.
    at_once = 1 if flat.device.type == "cpu" else max(1, BLOCK // n**2)
    parts = [
        _table(flat[clouds], k, visit and partial(visit, clouds)) for clouds in _blocks(len(flat), at_once)
    ]
    table = (torch.cat(part) if len(parts) > 1 else part[0] for part in zip(*parts))
    return Neighbors(*(part.reshape(*batch, *part.shape[1:]) for part in table))


def _table(cloud, k, visit):
    """Neighbor tables of a few clouds (cloud, token, feature) at once."""
    x = cloud.to(torch.float64, copy=True)
    x -= x.mean(-2, keepdim=True)
    clouds, n, _ = x.shape
    norm = torch.linalg.vecdot(x, x)
    distances = torch.empty(clouds, n, k, dtype=torch.float64, device=x.device)
    indices = torch.empty(clouds, n, k, dtype=torch.int64, device=x.device)
    duplicate = torch.zeros(clouds, n, dtype=torch.bool, device=x.device)
    products = gram(x) if n * n <= WHOLE else None
    for rows in _blocks(n, BLOCK // (clouds * n)):
        d2 = x[:, rows] @ x.mT if products is None else products[:, rows]
        torch.sub(norm[:, None], d2, alpha=2, out=d2).add_(norm[:, rows, None])
        itself = d2.diagonal(rows.start, -2, -1)
        itself.fill_(torch.inf)
        _mend(d2, cloud, norm, rows, duplicate)
        if visit:
            itself.zero_()
            visit(rows, d2)
            itself.fill_(torch.inf)
        _smallest(d2, distances[:, rows], indices[:, rows])
    return distances, indices, duplicate


def _blocks(n, size):
    size = max(1, size)
    return [slice(start, min(start + size, n)) for start in range(0, n, size)]


def gram(x, out=None):
    """x x^T of clouds (cloud, token, feature), into ``out`` on a CPU: one half is computed, strip by strip, and mirrored."""
    clouds, n, d = x.shape
    if d < WIDE:
        return torch.matmul(x, x.mT, out=out)
    products = torch.empty(clouds, n, n, dtype=x.dtype, device=x.device) if out is None else out
    if x.device.type != "cpu":
        for rows in _blocks(n, max(256, n // 8)):
            torch.matmul(x[:, rows], x[:, rows.start :].mT, out=products[:, rows, rows.start :])
            products[:, rows.stop :, rows] = products[:, rows, rows.stop :].mT
        return products
    from .screened import mirror  # compiled code, not needed on a GPU

    arrays = products.numpy()

    @torch.inference_mode()  # each thread has a mode of its own, and what was made in this one may be written in no other
    def fill(strips):
        for columns in strips:
            for i in range(clouds):
                torch.mm(x[i, : columns.stop], x[i, columns].T, out=products[i, : columns.stop, columns])
                mirror(arrays[i], columns.start, columns.stop)

    # The longer a strip, the more work: each thread gets some from both ends.
    strips, n_threads = _blocks(n, STRIP), torch.get_num_threads()
    each(fill, [strips[i :: 2 * n_threads] + strips[2 * n_threads - 1 - i :: 2 * n_threads] for i in range(n_threads)])
    return products


def _mend(d2, cloud, norm, rows, duplicate):
    """Replace in ``d2`` what cancellation has spoiled, and mark the rows that have an earlier duplicate.

    Spoiled are pairs with d2 <= CANCELLATION (norm_i + norm_j). The two norms are then within a few
    percent of each other, so the smallest entry of a row tells whether the row holds such a pair.
    """
    suspect = (d2.amin(-1) <= 4 * CANCELLATION * norm[:, rows]).nonzero()
    if not len(suspect):
        return
    c, i = suspect.T
    spoiled, j = (d2[c, i] <= CANCELLATION * (norm[c, rows.start + i, None] + norm[c])).nonzero().T
    c, i = c[spoiled], rows.start + i[spoiled]
    # Most are copies of one another, such as equal tokens in layer 0: no difference of these is taken.
    group = _copies(cloud, norm)
    exact = torch.zeros(len(j), dtype=d2.dtype, device=d2.device)
    rest = (group[c, i] != group[c, j]).nonzero()[:, 0]
    for part in rest.split(max(1, BLOCK // (8 * cloud.shape[-1]))):
        apart = cloud[c[part], i[part]].double() - cloud[c[part], j[part]].double()
        exact[part] = torch.linalg.vecdot(apart, apart)
    d2[c, i - rows.start, j] = exact
    same = (j < i) & (exact <= DUPLICATE**2 * norm.mean(-1)[c])
    duplicate[c[same], i[same]] = True


def _copies(cloud, norm):
    """A number for every token of clouds (cloud, token, feature) that only tokens equal to it share."""
    order = norm.argsort(-1)  # brings equal tokens together, as a rule
    ordered = _rows(cloud, order)
    differs = (ordered[:, 1:] != ordered[:, :-1]).any(-1)
    number = torch.nn.functional.pad(differs.cumsum(-1), (1, 0))
    return torch.empty_like(number).scatter_(-1, order, number)


def _smallest(d2, distances, indices):
    """Fill in the square roots of the k smallest entries of each row, ascending, and their columns.

    A non-negative float64 orders like its own bit pattern, so the column number can ride in the
    lowest bits of the mantissa (ceil(log2 N) of them: 2e-13 relative at N = 1024) and one
    selection of plain integers, which is several times faster than an argpartition, yields both.
    Overwrites ``d2``.
    """
    n, k = d2.shape[-1], distances.shape[-1]
    column = (1 << max(1, (n - 1).bit_length())) - 1  # the bits that hold it
    packed = d2.view(torch.int64).bitwise_and_(~column).bitwise_or_(torch.arange(n, device=d2.device))
    if packed.device.type != "cpu":
        packed = packed.topk(k, largest=False, sorted=True).values
        torch.bitwise_and(packed, column, out=indices)
        torch.sqrt((packed & ~column).view(torch.float64), out=distances)
        return

    def select(packed, distances, indices):
        packed.partition(k - 1, axis=1)
        packed = np.sort(packed[:, :k], axis=1)
        np.bitwise_and(packed, column, out=indices)
        np.sqrt((packed & ~column).view(np.float64), out=distances)

    # numpy lets go of the interpreter lock, so each thread takes a part of the rows.
    workers = min(torch.get_num_threads(), d2.shape[-2])
    parts = (np.array_split(array[0].numpy(), workers) for array in (packed, distances, indices))
    each(lambda part: select(*part), zip(*parts))


def without_duplicates(cloud, table):
    """``table`` with every coinciding token but the first left out, as if it were not in the cloud.

    Parameters
    ----------
    cloud : array_like, shape (..., token, feature)
    table : Neighbors
        Of this cloud, from :func:`nearest_neighbors`.

    Returns
    -------
    Neighbors
        The rows of the tokens left out, and columns that no longer exist, are NaN and -1.
    """
    *batch, n, k = table.distances.shape
    is_duplicate = table.is_duplicate.reshape(-1, n)
    affected = is_duplicate.any(-1).nonzero()[:, 0].tolist()
    if not affected:
        return table
    cloud = as_clouds(cloud)
    flat = cloud.reshape(-1, *cloud.shape[-2:])
    distances, indices = table.distances.reshape(-1, n, k).clone(), table.indices.reshape(-1, n, k).clone()
    for i in affected:
        distances[i], indices[i] = torch.nan, -1
        kept = (~is_duplicate[i]).nonzero()[:, 0]
        k_kept = min(k, len(kept) - 1)
        if k_kept >= 1:
            unique = nearest_neighbors(flat[i, kept], k_kept)
            distances[i, kept, :k_kept] = unique.distances
            indices[i, kept, :k_kept] = kept[unique.indices]
    return Neighbors(distances.reshape(*batch, n, k), indices.reshape(*batch, n, k), table.is_duplicate)


def neighbor_angles(cloud, table):
    r"""Angle at each token between the directions to its first and its second neighbor.

    By the law of cosines, from the distances :math:`r_1, r_2` to the two and the distance between them.

    Parameters
    ----------
    cloud : array_like, shape (..., token, feature)
    table : Neighbors
        Of the same cloud, from :func:`nearest_neighbors` with ``k >= 2``.

    Returns
    -------
    torch.Tensor, shape (..., token), float64, degrees in [0, 180]
        NaN where a neighbor coincides with the token or is missing.

    Examples
    --------
    >>> import torch, tokengeom_utils as tg
    >>> corner = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 2.0]])
    >>> tg.neighbor_angles(corner, tg.nearest_neighbors(corner, 2))[0].round()
    tensor(90., dtype=torch.float64)
    """
    cloud = cloud if torch.is_tensor(cloud) else as_clouds(cloud)
    if table.indices.shape[-1] < 2:
        raise InputError("the angle needs two neighbors per token: call nearest_neighbors with k >= 2")
    first, second = table.indices[..., :2].clamp(min=0).unbind(-1)
    # The second neighbor is as a rule among those of the first, so that their distance is in the table.
    k = table.indices.shape[-1]
    listed = torch.take_along_dim(table.indices, first[..., None], -2) == second[..., None]
    place = first * k + listed.byte().argmax(-1)
    between = torch.take_along_dim(table.distances.double().flatten(-2), place, -1).square()
    missing = (~listed.any(-1)).nonzero(as_tuple=True)
    apart = cloud[(*missing[:-1], first[missing])].double() - cloud[(*missing[:-1], second[missing])].double()
    between[missing] = torch.linalg.vecdot(apart, apart)
    r1, r2 = table.distances[..., :2].unbind(-1)
    cosine = torch.where(r1 > 0, (r1.square() + r2.square() - between) / (2 * r1 * r2), torch.nan)
    return torch.rad2deg(torch.arccos(cosine.clamp(-1, 1)))


def _rows(cloud, index):
    """The tokens ``index`` (..., token) of clouds (..., token, feature)."""
    n, d = cloud.shape[-2:]
    start = torch.arange(index[..., 0].numel(), device=index.device).reshape(*index.shape[:-1], 1) * n
    return cloud.reshape(-1, d).index_select(0, (index + start).flatten()).reshape(cloud.shape)
