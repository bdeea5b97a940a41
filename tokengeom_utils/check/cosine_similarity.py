"""Checkers for the chapter "Cosine similarity: do the tokens point one way?"."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch.nn.functional import normalize

from .answer import Attempt, checker, close, expect


class _NoPairs(torch.overrides.TorchFunctionMode):
    """A context in which torch makes no tensor of more than ``limit`` numbers."""

    def __init__(self, limit: int) -> None:
        super().__init__()
        self.limit = limit

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        value = func(*args, **(kwargs or {}))
        expect(
            not torch.is_tensor(value) or value.numel() <= self.limit,
            "you form all pairs, a million numbers for 1,024 tokens: sum first, square afterwards",
        )
        return value


@checker
def mean_cosine(attempt: Attempt) -> None:
    """Check ``mean_cosine(cloud)``: the mean cosine similarity over all pairs, self-pairs included.

    ``cloud`` is a tensor of shape (token, feature); returns a float or a tensor of shape (). No pair may be formed.
    """
    cloud = torch.tensor(np.random.default_rng(3).normal(1, 1, size=(40, 3)))
    u = normalize(cloud, dim=1)
    cosines = u @ u.T
    with _NoPairs(40 * 3):
        found = attempt(cloud)
    expect(not close(found, cosines.mean() ** 0.5), "this is the length of the mean direction: square it")
    expect(
        not close(found, (cloud @ cloud.T).mean()),
        "a cosine is a product of directions: divide each token by its length first",
    )
    expect(
        not close(found, (cosines.sum() - 40) / (40 * 39)),
        "the paper also counts the pairs of a token with itself",
    )
    expect(close(found, cosines.mean()), "average the directions of the tokens, then take the squared length")


@checker
def leave_one_out(attempt: Attempt) -> None:
    """Check ``leave_one_out(cloud)``: the mean cosine similarity with each token left out in turn.

    ``cloud`` is a tensor of shape (token, feature); returns a tensor of shape (token,).
    """
    cloud = torch.tensor(np.random.default_rng(4).normal(1, 1, size=(12, 3)))
    u = normalize(cloud, dim=1)
    without, raw = (((v.sum(0) - v) ** 2).sum(1) for v in (u, cloud))
    found = attempt(cloud)
    expect(np.shape(found) == (12,), "there are 12 tokens to leave out: return one mean for each")
    expect(not close(found, without / 12**2), "without one token, 11 are left, so there are 11 x 11 pairs")
    expect(not close(found, raw / 11**2), "divide each token by its length first")
    expect(close(found, without / 11**2), "add up all directions, subtract each in turn, and take the squared lengths")


@checker
def neighbor_angle(attempt: Attempt) -> None:
    """Check ``neighbor_angle(r1, r2, between)``: the angle at a token between two neighbors, from three distances.

    The distances to the neighbors and the one between them are arrays of one shape; returns degrees, an array of that
    shape.
    """
    wanted = np.array([90.0, 60.0, 180.0])
    found = attempt(np.array([3.0, 1.0, 1.0]), np.array([4.0, 1.0, 2.0]), np.array([5.0, 1.0, 3.0]))
    expect(not close(found, np.radians(wanted)), "this is in radians: the book gives angles in degrees")
    expect(not close(found, np.cos(np.radians(wanted))), "this is the cosine: the angle is its arccos")
    expect(
        close(found, wanted),
        "by the law of cosines, between^2 = r1^2 + r2^2 - 2 r1 r2 cos(angle): the sides 3, 4, and 5 make a right angle "
        "at the token",
    )
