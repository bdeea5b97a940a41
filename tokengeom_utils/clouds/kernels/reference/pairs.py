r"""All pairs of a token cloud in float64, on any device: the specification of the faster paths.

Distances come from the Gram matrix, except for pairs so close that cancellation would cost digits: those come from the
difference of the two vectors. Rounding never orders neighbors that are equally far: tokens with equal coordinates
(*copies*) are at exactly one distance from every other token, and equal distances are ordered by index.
"""

from functools import partial, reduce

import numpy as np
import torch

from ...records import CosineSimilarity, Layer, Neighbors
from ...threads import each
from ...validate import check_neighbors, refuse_origin
from ..limits import CANCELLATION, DUPLICATE
from ..products import WHOLE, blocks, gram

# Squared distances worked on at once: 64 MiB of float64, eight clouds of N = 1024.
BLOCK = 2**23
# Any number that keeps coordinates of similar size apart in a sum.
WEIGHT = 1.6180339887


def layer(cloud, ranks, k):
    """Neighbors, angles and cosine similarity of a cloud.

    Parameters
    ----------
    cloud : torch.Tensor, shape (..., token, feature)
        Finite, as :func:`tokengeom_utils.clouds.validate.as_clouds` returns it.
    ranks : torch.Tensor of int, shape (rank,)
        Ascending, beginning with 1, 2; at most N - 1.
    k : int
        At most N - 1.

    Returns
    -------
    Layer

    Raises
    ------
    InputError
        If a token lies at the origin.
    """
    cosine, neighbors = cosine_and_table(cloud, min(max(int(ranks[-1]), k + 1), cloud.shape[-2] - 1))
    near = neighbors.distances[..., : k + 1]
    return Layer(
        radii=without_duplicates(cloud, neighbors).distances[..., ranks.to(cloud.device) - 1],
        indices=neighbors.indices[..., :k].int(),
        is_duplicate=neighbors.is_duplicate,
        is_tied=(near[..., 1:] == near[..., :-1]).any(-1),
        angle=angles(cloud, neighbors),
        norm2=squared_norms(cloud),
        cosine=cosine,
    )


def radii(cloud, ranks):
    """Return the ``radii`` of :func:`layer` alone; tokens may lie at the origin."""
    neighbors = without_duplicates(cloud, table(cloud, int(ranks[-1])))
    return neighbors.distances[..., ranks.to(cloud.device) - 1]


def squared_norms(cloud):
    """Return |x|^2 of the tokens of a tensor (..., token, feature), in float64."""
    return torch.linalg.vector_norm(cloud, dim=-1, dtype=torch.float64).square()


def pair_means(total, n):
    """Return the mean cosine over all pairs and over distinct tokens, from |sum of the directions|^2."""
    return total / n**2, (total - n) / max(n * (n - 1), 1)


def cosine_and_table(cloud, k):
    r"""Cosine similarity and neighbor table from one pass over the pairs.

    The cosine of a pair follows from its distance,
    :math:`\cos_{ij} = (|x_i|^2 + |x_j|^2 - r_{ij}^2) / 2 |x_i| |x_j|`.

    Parameters
    ----------
    cloud : torch.Tensor, shape (..., token, feature)
        Finite, as :func:`tokengeom_utils.clouds.validate.as_clouds` returns it.
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
    unit = norm2.amax(-1, keepdim=True)  # keeps every square within the range of float64
    part = norm2 / unit
    inverse = part.rsqrt()
    directions = (norm2.rsqrt()[:, None] @ cloud.reshape(-1, n, d).double())[:, 0]  # their sum
    total = directions.square().sum(-1)
    square = torch.zeros_like(total)

    def add_squares(clouds, rows, d2):
        twice = torch.addcmul(part[clouds, None], d2, 1 / unit[clouds, None], value=-1)
        twice += part[clouds, rows, None]  # 2 x_i . x_j
        i, j = inverse[clouds, rows], inverse[clouds, :, None]
        square[clouds] += torch.linalg.vecdot((twice.square_() @ j.square())[..., 0], i.square()) / 4

    neighbors = table(cloud, k, add_squares)
    mean, distinct = pair_means(total, n)
    std = (square / n**2 - mean**2).clamp(min=0).sqrt()
    return CosineSimilarity(*(part.reshape(cloud.shape[:-2]) for part in (mean, std, distinct))), neighbors


def table(cloud, k, visit=None):
    """Return the neighbor table of a cloud.

    Forming the pairs is the expensive part of every observable, so a caller may look at them in the same pass.

    Parameters
    ----------
    cloud : torch.Tensor, shape (..., token, feature)
        Finite, as :func:`tokengeom_utils.clouds.validate.as_clouds` returns it.
    k : int
    visit : callable, optional
        Called as ``visit(clouds, rows, d2)`` for each block: ``d2`` (cloud, row, token) float64 holds the
        squared distances of the tokens ``rows`` to all tokens, in the clouds ``clouds`` of the flattened
        batch; both are slices. It must not change ``d2``.

    Returns
    -------
    Neighbors
    """
    cloud = cloud.detach()
    *batch, n, d = cloud.shape
    check_neighbors(k, n)
    flat = cloud.reshape(-1, n, d)
    # A GPU takes as many clouds at once as fill a block, a CPU one at a time.
    at_once = 1 if flat.device.type == "cpu" else max(1, BLOCK // n**2)
    parts = [_table(flat[clouds], k, visit and partial(visit, clouds)) for clouds in blocks(len(flat), at_once)]
    whole = (torch.cat(part) if len(parts) > 1 else part[0] for part in zip(*parts, strict=True))
    return Neighbors(*(part.reshape(*batch, *part.shape[1:]) for part in whole))


def _table(cloud, k, visit):
    """Neighbor tables of a few clouds (cloud, token, feature) at once."""
    x = cloud.to(torch.float64, copy=True)
    first = first_copies(x)
    x -= x.mean(-2, keepdim=True)
    clouds, n, _ = x.shape
    norm = torch.linalg.vecdot(x, x)
    distances = torch.empty(clouds, n, k, dtype=torch.float64, device=x.device)
    indices = torch.empty(clouds, n, k, dtype=torch.int64, device=x.device)
    duplicate = torch.zeros(clouds, n, dtype=torch.bool, device=x.device)
    products = gram(x) if n * n <= WHOLE else None
    for rows in blocks(n, BLOCK // (clouds * n)):
        d2 = x[:, rows] @ x.mT if products is None else products[:, rows]
        torch.sub(norm[:, None], d2, alpha=2, out=d2).add_(norm[:, rows, None])
        itself = d2.diagonal(rows.start, -2, -1)
        itself.fill_(torch.inf)
        _mend(d2, cloud, norm, rows, first, duplicate)
        if first is not None:  # every copy takes over the distance of the first one
            itself.zero_()
            d2.copy_(d2.gather(-1, first[:, None].expand_as(d2)))
        if visit:
            itself.zero_()
            visit(rows, d2)
        itself.fill_(torch.inf)
        _smallest(d2, distances[:, rows], indices[:, rows])
    return distances, indices, duplicate


def first_copies(cloud):
    """Return the index of the first token with the same coordinates as each token, or None if all differ.

    Parameters
    ----------
    cloud : torch.Tensor, shape (cloud, token, feature)

    Returns
    -------
    torch.Tensor of int64, shape (cloud, token), or None
    """
    n = cloud.shape[-2]
    # A few coordinates mostly suffice to tell. Element by element, equal ones round to the same key.
    key = reduce(lambda key, coordinate: key * WEIGHT + coordinate, cloud[..., :8].unbind(-1))
    if all(len(one.unique()) == n for one in key):
        return None
    point = torch.stack([torch.unique(one, dim=0, return_inverse=True)[1] for one in cloud])
    token = torch.arange(n, device=cloud.device).expand_as(point)
    return torch.full_like(point, n).scatter_reduce_(-1, point, token, "amin").gather(-1, point)


def _mend(d2, cloud, norm, rows, first, duplicate):
    """Replace the entries of ``d2`` that lost digits to cancellation; mark the rows that have an earlier duplicate.

    Affected are pairs with d2 <= CANCELLATION (norm_i + norm_j). The two norms are then within a few
    percent of each other, so the smallest entry of a row shows whether the row holds such a pair.
    """
    suspect = (d2.amin(-1) <= 4 * CANCELLATION * norm[:, rows]).nonzero()
    if not len(suspect):
        return
    c, i = suspect.T
    spoiled, j = (d2[c, i] <= CANCELLATION * (norm[c, rows.start + i, None] + norm[c])).nonzero().T
    c, i = c[spoiled], rows.start + i[spoiled]
    # Most of them are copies of one another, such as equal tokens in layer 0, and need no difference.
    exact = torch.zeros(len(j), dtype=d2.dtype, device=d2.device)
    differs = torch.ones_like(exact, dtype=torch.bool) if first is None else first[c, i] != first[c, j]
    for part in differs.nonzero()[:, 0].split(max(1, BLOCK // (8 * cloud.shape[-1]))):
        apart = cloud[c[part], i[part]].double() - cloud[c[part], j[part]].double()
        exact[part] = torch.linalg.vecdot(apart, apart)
    d2[c, i - rows.start, j] = exact
    same = (j < i) & (exact <= DUPLICATE**2 * norm.mean(-1)[c])
    duplicate[c[same], i[same]] = True


def _smallest(d2, distances, indices):
    """Fill in the square roots of the k smallest entries of each row, ascending, and their columns.

    A non-negative float64 orders like its own bit pattern, so the column number can ride in the
    lowest bits of the mantissa (ceil(log2 N) of them: 2e-13 relative at N = 1024). One selection of
    plain integers, which is several times faster than an argpartition, then yields both.
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

    # numpy releases the interpreter lock, so each thread takes a part of the rows.
    workers = min(torch.get_num_threads(), d2.shape[-2])
    parts = (np.array_split(array[0].numpy(), workers) for array in (packed, distances, indices))
    each(lambda part: select(*part), zip(*parts, strict=True))


def without_duplicates(cloud, neighbors, measure=table):
    """Drop every duplicate but the first from a neighbor table, as if it were not in the cloud.

    Parameters
    ----------
    cloud : torch.Tensor, shape (..., token, feature)
    neighbors : Neighbors
        The table of this cloud.
    measure : callable
        Called as ``measure(cloud, k)`` for the table of what is left of a cloud.

    Returns
    -------
    Neighbors
        NaN and -1 in the rows of the dropped tokens, and in columns that no longer exist.
    """
    *batch, n, k = neighbors.distances.shape
    is_duplicate = neighbors.is_duplicate.reshape(-1, n)
    affected = is_duplicate.any(-1).nonzero()[:, 0].tolist()
    if not affected:
        return neighbors
    flat = cloud.reshape(-1, *cloud.shape[-2:])
    distances, indices = neighbors.distances.reshape(-1, n, k).clone(), neighbors.indices.reshape(-1, n, k).clone()
    for i in affected:
        distances[i], indices[i] = torch.nan, -1
        kept = (~is_duplicate[i]).nonzero()[:, 0]
        k_kept = min(k, len(kept) - 1)
        if k_kept >= 1:
            unique = measure(flat[i, kept], k_kept)
            distances[i, kept, :k_kept] = unique.distances
            indices[i, kept, :k_kept] = kept[unique.indices]
    return Neighbors(distances.reshape(*batch, n, k), indices.reshape(*batch, n, k), neighbors.is_duplicate)


def angles(cloud, neighbors):
    """Angle (..., token) in degrees at each token between the directions to its first and second neighbor."""
    first, second = neighbors.indices[..., :2].clamp(min=0).unbind(-1)
    # The second neighbor is usually among those of the first, so that their distance is in the table.
    k = neighbors.indices.shape[-1]
    listed = torch.take_along_dim(neighbors.indices, first[..., None], -2) == second[..., None]
    place = first * k + listed.byte().argmax(-1)
    between = torch.take_along_dim(neighbors.distances.double().flatten(-2), place, -1).square()
    missing = (~listed.any(-1)).nonzero(as_tuple=True)
    apart = cloud[(*missing[:-1], first[missing])].double() - cloud[(*missing[:-1], second[missing])].double()
    between[missing] = torch.linalg.vecdot(apart, apart)
    r1, r2 = neighbors.distances[..., :2].unbind(-1)
    cosine = torch.where(r1 > 0, (r1.square() + r2.square() - between) / (2 * r1 * r2), torch.nan)
    return torch.rad2deg(torch.arccos(cosine.clamp(-1, 1)))
