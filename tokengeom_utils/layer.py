"""What the observables need from the pairs of one layer's token cloud, on any device.

:mod:`tokengeom_utils.screened` gives the same in less time on a CPU, :mod:`tokengeom_utils.fused` on a GPU.
"""

from typing import NamedTuple

import torch

from .cosine import CosineSimilarity, cosine_and_neighbors, squared_norms
from .neighbors import nearest_neighbors, neighbor_angles, without_duplicates


class Layer(NamedTuple):
    """Neighbors, angles and cosine similarity of a cloud, or of a batch of them."""

    radii: torch.Tensor  #: (..., token, rank) float64: distances of some ranks, coinciding tokens left out (NaN)
    indices: torch.Tensor  #: (..., token, k) int32: the k nearest tokens
    is_duplicate: torch.Tensor  #: (..., token) bool: an earlier token sits at the same point
    is_tied: torch.Tensor  #: (..., token) bool: two of the first k + 1 neighbors are equally distant
    angle: torch.Tensor  #: (..., token) float64, degrees between the first two neighbors; NaN beside a copy
    norm2: torch.Tensor  #: (..., token) float64: squared lengths
    cosine: CosineSimilarity  #: (...)


def exact_layer(cloud, ranks, k):
    """Everything from the neighbor table in float64.

    Parameters
    ----------
    cloud : torch.Tensor, shape (..., token, feature)
        Finite, as :func:`tokengeom_utils.neighbors.as_clouds` returns it.
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
    cosine, table = cosine_and_neighbors(cloud, min(max(int(ranks[-1]), k + 1), cloud.shape[-2] - 1))
    near = table.distances[..., : k + 1]
    return Layer(
        without_duplicates(cloud, table).distances[..., ranks.to(cloud.device) - 1],
        table.indices[..., :k].int(),
        table.is_duplicate,
        (near[..., 1:] == near[..., :-1]).any(-1),
        neighbor_angles(cloud, table),
        squared_norms(cloud),
        cosine,
    )


def exact_radii(cloud, ranks):
    """The ``radii`` of the Layer alone, of a cloud that may have tokens at the origin."""
    table = nearest_neighbors(cloud, int(ranks[-1]), drop_duplicates=True)
    return table.distances[..., ranks.to(cloud.device) - 1]
