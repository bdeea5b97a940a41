"""The participation ratio of a cloud: the specification of what the fast paths add up beside the pairs."""

import torch

from .products import STRIP, blocks

#: A cloud whose extent is below this fraction of its distance from the origin is a single point, up to rounding.
POINT = 64 * torch.finfo(torch.float64).eps


def participation(cloud: torch.Tensor) -> torch.Tensor:
    """Return (sum of eigenvalues)^2 / sum of their squares of the covariance of clouds (..., token, feature)."""
    x = cloud.double()
    y = x - x.mean(-2, keepdim=True)
    size = _norm(y, keepdim=True)
    size = torch.where(size > POINT * _norm(x, keepdim=True), size, torch.nan)
    y /= size  # so that no square overflows
    if y.shape[-1] > y.shape[-2]:
        y = y.mT  # the products of tokens have the same eigenvalues as those of features
    squares = 0
    for columns in blocks(y.shape[-1], STRIP):  # the matrix of products is symmetric: half of it suffices
        part = y[..., columns].mT @ y[..., columns.start :]
        squares += 2 * _norm(part).square() - _norm(part[..., : columns.stop - columns.start]).square()
    return (_norm(y).square().square() / squares).clamp(min=1)


def _norm(x, keepdim=False):
    return torch.linalg.vector_norm(x, dim=(-1, -2), keepdim=keepdim, dtype=torch.float64)
