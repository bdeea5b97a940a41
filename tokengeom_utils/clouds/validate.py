"""Checks of token clouds, which raise one-line errors that name the layer and the token."""

from math import isfinite

import numpy as np
import torch

from ..errors import InputError

# Clouds larger than this or smaller than its inverse have squared distances beyond float64.
EXTREME = 1e151


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


def refuse_origin(norm):
    """Raise ``InputError`` if a token (..., token) has no length."""
    if (norm == 0).any():
        token = (norm == 0).nonzero()[0, -1]
        raise InputError(f"token {token} lies at the origin and has no direction: its cosine similarity is undefined")


def check_neighbors(k, n):
    if not 1 <= k <= n - 1:
        raise InputError(f"k = {k} neighbors asked of N = {n} tokens: k must lie in 1..N-1 = {n - 1}")
