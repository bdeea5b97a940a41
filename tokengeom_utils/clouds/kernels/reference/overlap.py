"""Neighbors that two tables share, counted with tensors of any device."""

import torch

BLOCK = 2**22  # entries of the table of ranks held at once


def count_shared(a, b):
    """Count the neighbors that two tables share at ranks up to 1, ..., k.

    Parameters
    ----------
    a, b : torch.Tensor of int, shape (cloud, token, k)
        Entries below the number of tokens; negative ones are empty places.

    Returns
    -------
    torch.Tensor of int, shape (cloud, k)
    """
    a, b = a.long(), b.long()
    clouds, n, k = a.shape
    rank = torch.arange(k, device=a.device, dtype=torch.int16 if k < 2**15 else torch.int32)
    shared = torch.zeros(clouds, k, dtype=torch.int64, device=a.device)
    # A common neighbor of ranks r and s counts for every k above both. Empty places go to a column of their own.
    size = max(1, BLOCK // (n * clouds))
    for some_a, some_b in zip(a.split(size, 1), b.split(size, 1), strict=True):
        rank_in_b = torch.full((*some_b.shape[:2], n + 1), k, dtype=rank.dtype, device=some_b.device)
        rank_in_b.scatter_(-1, some_b.where(some_b >= 0, n), rank.expand_as(some_b))
        above = torch.maximum(rank_in_b.gather(-1, some_a.clamp(min=0)), rank).where(some_a >= 0, k).long()
        counts = torch.zeros(*above.shape[:2], k + 1, dtype=torch.int32, device=some_a.device)
        # One count per token: atomic additions to a single place would queue.
        counts.scatter_add_(-1, above, torch.ones_like(above, dtype=torch.int32))
        shared += counts.sum(1)[:, :k].cumsum(-1)
    return shared
