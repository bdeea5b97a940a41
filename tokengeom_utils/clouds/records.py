"""The named tuples that the measurements return; leading dimensions are a batch."""

from typing import NamedTuple

import torch


class Neighbors(NamedTuple):
    """Sorted neighbor table of a cloud, or of a stack of clouds."""

    distances: torch.Tensor  #: (..., token, k) float64, ascending
    indices: torch.Tensor  #: (..., token, k) int64, ties broken by the lower index
    is_duplicate: torch.Tensor  #: (..., token) bool: an earlier token sits at the same point


class Dimension(NamedTuple):
    """An intrinsic-dimension estimate, of one cloud or of a stack."""

    dimension: torch.Tensor  #: (...) float64
    standard_error: torch.Tensor  #: (...) float64, from the observed Fisher information
    n_points: torch.Tensor  #: (...) int64, tokens that entered the estimate


class LocalDimension(NamedTuple):
    """An intrinsic-dimension estimate of every token, from its own neighbors."""

    dimension: torch.Tensor  #: (..., token) float64
    standard_error: torch.Tensor  #: (..., token) float64, under the local Poisson model


class DimensionScales(NamedTuple):
    """Intrinsic dimension at every range scaling; the scale is the last axis."""

    dimension: torch.Tensor  #: (..., scale)
    standard_error: torch.Tensor  #: (..., scale)
    n_points: torch.Tensor  #: (..., scale)
    scales: torch.Tensor  #: (scale,) int64: n2 = 2, 4, 8, ...


class CosineSimilarity(NamedTuple):
    """Moments of the cosine similarity over the pairs of a cloud, each of shape (...), float64."""

    mean: torch.Tensor  #: over all N^2 pairs, self included, as in the paper
    std: torch.Tensor  #: over the same pairs
    mean_distinct: torch.Tensor  #: over the N (N - 1) pairs of distinct tokens


class Layer(NamedTuple):
    """Neighbors, angles and cosine similarity of a cloud, or of a batch of them."""

    radii: torch.Tensor  #: (..., token, rank) float64: distances of some ranks, coinciding tokens left out (NaN)
    indices: torch.Tensor  #: (..., token, k) int32: the k nearest tokens
    is_duplicate: torch.Tensor  #: (..., token) bool: an earlier token sits at the same point
    is_tied: torch.Tensor  #: (..., token) bool: two of the first k + 1 neighbors are equally distant
    angle: torch.Tensor  #: (..., token) float64, degrees between the first two neighbors; NaN beside a copy
    norm2: torch.Tensor  #: (..., token) float64: squared lengths
    cosine: CosineSimilarity  #: (...)
    participation: torch.Tensor | None = None  #: (...) float64: effective rank, where the products give it on the way
