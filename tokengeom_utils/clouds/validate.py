"""Checks of token clouds, which raise one-line errors that name the layer and the token."""

from math import isfinite
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike

from ..errors import InputError

# Clouds larger than this or smaller than its inverse have squared distances beyond float64.
EXTREME = 1e151


def as_clouds(values: ArrayLike | torch.Tensor, leading: str = "layer", wait: bool = True) -> torch.Tensor:
    """Return ``values`` as a finite tensor ``(..., token, feature)``.

    The check that all is finite waits for the device; ``wait=False`` leaves it to the caller.

    Raises
    ------
    InputError
        If the shape is wrong, a value is not finite (names ``leading`` and token), or squares would overflow.
    """
    cloud = values if isinstance(values, torch.Tensor) else _as_tensor(values)
    if cloud.is_complex():
        raise InputError("a token cloud holds real numbers, got complex ones")
    if cloud.ndim < 2 or 0 in cloud.shape:
        raise InputError(
            "a token cloud has shape (..., token, feature) with at least one token and one feature, "
            f"got {tuple(cloud.shape)}"
        )
    if not cloud.is_floating_point():
        cloud = cloud.double()
    if wait and not isfinite(cloud.sum().item()):  # (a finite cloud whose sum overflows is still a cloud)
        refuse_infinite(torch.isfinite(cloud).all(-1), leading)
    if cloud.dtype == torch.float64 and (size := cloud.abs().max()) > 0 and not 1 / EXTREME < size < EXTREME:
        raise InputError(f"the largest entry of the cloud is {size:.0e}, whose square is out of range: rescale it")
    return cloud


def _as_tensor(values):
    """A tensor of an array or nested lists, also of those that torch does not take as they are."""
    try:
        array = np.asarray(values)
        if array.dtype.kind not in "biufc":
            raise TypeError
        if array.dtype.kind == "f" and array.dtype.itemsize > 8:
            array = array.astype(np.float64)
        if not array.dtype.isnative or any(stride < 0 for stride in array.strides) or not array.flags.writeable:
            array = array.astype(array.dtype.newbyteorder("="))  # a copy
        return torch.as_tensor(array)
    except (TypeError, ValueError):
        raise InputError(f"a token cloud is an array of numbers, got {type(values).__name__}") from None


def refuse_infinite(is_finite: torch.Tensor, leading: str) -> None:
    """Raise ``InputError`` if a token (..., token) is not finite."""
    bad = (~is_finite).nonzero()
    if len(bad):
        *batch, token = bad[0].tolist()
        where = f"{leading} {batch[-1]}, token {token}" if batch else f"token {token}"
        raise InputError(f"the cloud holds NaN or infinity at {where} ({len(bad)} such tokens)")


def refuse_origin(norm: torch.Tensor) -> None:
    """Raise ``InputError`` if a token (..., token) has no length."""
    if (norm == 0).any():
        token = (norm == 0).nonzero()[0, -1]
        raise InputError(f"token {token} lies at the origin and has no direction: its cosine similarity is undefined")


def check_neighbors(k: Any, n: int) -> None:
    """Raise ``InputError`` unless ``n`` tokens have ``k`` neighbors each."""
    if isinstance(k, bool) or not isinstance(k, (int, np.integer)):
        raise InputError(f"k = {k!r} is not a whole number")
    if not 1 <= k <= n - 1:
        raise InputError(f"k = {k} is out of range for N = {n} tokens: it must lie in 1..N-1 = {n - 1}")
