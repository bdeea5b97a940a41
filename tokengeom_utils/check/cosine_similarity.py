"""Checkers for the chapter "Cosine similarity: do the tokens point one way?"."""

import threading
import tracemalloc
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch.nn.functional import normalize

from .answer import Attempt, checker, close, expect, reached, shaped


class Work(torch.overrides.TorchFunctionMode):
    """A context that records how many numbers torch makes at once and in all, and how many NumPy keeps at once."""

    open = threading.local()  #: its ``work`` is the open context of this thread

    def __init__(self) -> None:
        super().__init__()
        self.largest = self.total = 0

    def add(self, largest: int, total: int) -> None:
        """Add what was recorded elsewhere."""
        self.largest, self.total = max(self.largest, largest), self.total + total

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        value = func(*args, **(kwargs or {}))
        made = value.numel() if torch.is_tensor(value) else 0
        self.add(made, made)
        return value

    def __enter__(self) -> "Work":
        self.open.work = self
        self.traced = tracemalloc.is_tracing()
        if not self.traced:
            tracemalloc.start()
        tracemalloc.reset_peak()
        self.before = tracemalloc.get_traced_memory()[0]
        super().__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)
        self.open.work = None
        self.largest = max(self.largest, (tracemalloc.get_traced_memory()[1] - self.before) // 8)
        if not self.traced:
            tracemalloc.stop()


@checker
def mean_cosine(attempt: Attempt, rng: np.random.Generator) -> None:
    """Check ``mean_cosine(cloud)``: the mean cosine similarity over all pairs, self-pairs included.

    ``cloud`` is a torch tensor of shape (token, feature); returns a float or a torch tensor of shape (). No pair may be
    formed.
    """
    n, d = int(rng.integers(1000, 1100)), int(rng.integers(3, 6))
    cloud = torch.tensor(rng.normal(rng.uniform(0.5, 1), 1, size=(n, d)) * rng.uniform(0.5, 2, (n, 1)))
    u = normalize(cloud, dim=1)
    wanted = u.mean(0).square().sum()
    attempt(cloud[:5])  # what it imports is then not counted
    with Work() as work:
        found = attempt(cloud)
    # The attempt runs twice and is handed a copy each time; a loop over the tokens makes about 5 d numbers for each.
    expect(
        work.largest < n * n / 3 and work.total < n * n,
        "you form all pairs, a million numbers for 1,024 tokens: sum first, square afterwards",
    )
    found = shaped(found)
    expect(not close(found, wanted**0.5), "this is the length of the mean direction: square it")
    raw = cloud.mean(0).square().sum()
    expect(
        not close(found, raw) and not close(found, raw / cloud.square().sum(1).mean()),
        "a cosine is a product of directions: divide each token by its length first",
    )
    expect(
        not close(found, (n * wanted - 1) / (n - 1)),
        "the paper also counts the pairs of a token with itself",
    )
    expect(
        not close(found, (u @ normalize(cloud.mean(0), dim=0)).mean()),
        "this is the mean cosine with the mean of the cloud, not with the other tokens",
    )
    expect(close(found, wanted), "average the directions of the tokens, then take the squared length")


@checker
def leave_one_out(attempt: Attempt, rng: np.random.Generator) -> None:
    """Check ``leave_one_out(cloud)``: the mean cosine similarity with each token left out in turn.

    ``cloud`` is a torch tensor of shape (token, feature); returns a torch tensor of shape (token,).
    """
    n = int(rng.integers(9, 15))
    cloud = torch.tensor(rng.normal(1, 1, size=(n, rng.integers(3, 6))) * rng.uniform(0.5, 2, (n, 1)))
    u = normalize(cloud, dim=1)
    without, raw = (((v.sum(0) - v) ** 2).sum(1) for v in (u, cloud))
    found = attempt(cloud)
    expect(np.shape(found) == (n,), f"there are {n} tokens to leave out: return one mean for each")
    expect(
        not close(found, without / n**2),
        f"without one token, {n - 1} are left, so there are {n - 1} x {n - 1} pairs",
    )
    expect(not close(found, raw / (n - 1) ** 2), "divide each token by its length first")
    expect(
        not close(found, (without - (n - 1)) / ((n - 1) * (n - 2))),
        "the paper also counts the pairs of a token with itself",
    )
    expect(
        not close(found, (u @ u.T).mean(1)) and not close(found, ((u @ u.T).sum(1) - 1) / (n - 1)),
        "this is the mean cosine of each token with the others: leave the token out of all pairs instead",
    )
    expect(
        close(found, without / (n - 1) ** 2),
        "add up all directions, subtract each in turn, and take the squared lengths",
    )


@checker
def neighbor_angle(attempt: Attempt, rng: np.random.Generator) -> None:
    """Check ``neighbor_angle(r1, r2, between)``: the angle at a token between two neighbors, from three distances.

    The distances to the neighbors and the one between them are numpy arrays of one shape; returns degrees, a numpy
    array of that shape.
    """
    r1, r2 = np.hstack([np.array([[3.0], [4.0]]), rng.uniform(0.5, 2, (2, 20))])
    angle = np.append(np.pi / 2, rng.uniform(0.2, 3, 20))
    between = np.sqrt(r1**2 + r2**2 - 2 * r1 * r2 * np.cos(angle))
    found, wanted = shaped(attempt(r1, r2, between), 21), np.degrees(angle)
    expect(not close(found, np.radians(wanted)), "this is in radians: the book gives angles in degrees")
    expect(not close(found, np.cos(np.radians(wanted))), "this is the cosine: the angle is its arccos")
    corners = (np.degrees(np.arccos((a**2 + between**2 - b**2) / (2 * a * between))) for a, b in ((r1, r2), (r2, r1)))
    expect(
        not any(close(found, corner) for corner in corners), "this is the angle at a neighbor: return that at the token"
    )
    expect(
        close(found, wanted),
        "by the law of cosines, between^2 = r1^2 + r2^2 - 2 r1 r2 cos(angle): the sides 3, 4, and 5 make a right angle "
        "at the token",
    )
    reached(0.5)
    near, far = np.sort(rng.uniform(0.5, 2, (2, 200)), axis=0)
    flat = np.stack([attempt(far, near, far + near), attempt(far, near, far - near)])
    expect(
        np.isfinite(flat).all(),
        "right, but for flat triangles you return NaN: rounding brings some cosines above 1, so clip them",
    )
    expect(
        close(flat, np.broadcast_to([[180.0], [0.0]], flat.shape), 0, 0.1),
        "right, but wrong for flat triangles: neighbors on opposite sides make 180 degrees, on the same side 0",
    )
