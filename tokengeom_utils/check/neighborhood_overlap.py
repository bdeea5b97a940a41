"""Checkers for the chapter "Neighborhood overlap: does a token keep its neighbors?"."""

import numpy as np

from ..clouds.overlap import reciprocity as reciprocity_of
from .answer import Attempt, checker, close, expect, shaped


def _neighbor_table(n: int, columns: int, rng: np.random.Generator) -> np.ndarray:
    """Return the first neighbors of n tokens in a random order, shape (n, columns)."""
    return np.array([rng.permutation([j for j in range(n) if j != i])[:columns] for i in range(n)])


@checker
def chance_overlap(attempt: Attempt, rng: np.random.Generator) -> None:
    """Check ``chance_overlap(k, n)``: the expected overlap of two clouds with unrelated neighborhoods.

    ``k`` neighbors of each of ``n`` tokens, both ints; returns a float.
    """
    n = rng.integers(10, 40, 5)
    k = rng.integers(1, n - 2)
    k[0] = n[0] - 1  # all the others
    found = [shaped(attempt(int(a), int(b))) for a, b in zip(k, n, strict=True)]
    expect(
        not close(found, k / n),
        "a token is never its own neighbor, so its k neighbors are drawn from n - 1 others, not from n",
    )
    expect(
        not close(found, k**2 / (n - 1)),
        "this is the expected number of neighbors in common: the overlap is a share of k",
    )
    expect(
        not close(found, k / (2 * (n - 1) - k)),
        "this divides by the union of the neighborhoods: the overlap is a share of k",
    )
    expect(
        close(found, k / (n - 1)),
        "a given neighbor in one cloud is one of n - 1 tokens, of which k are neighbors in the other: what is the "
        "chance that it is among them?",
    )


@checker
def overlap(attempt: Attempt, rng: np.random.Generator) -> None:
    """Check ``overlap(a, b, k)``: the share of the k nearest neighbors that two clouds have in common.

    ``a`` and ``b`` are numpy arrays of ints, of shape (token, columns), neighbors in the order of their distance, with
    at least ``k`` columns; returns a float, the mean over the tokens.
    """
    n, columns = int(rng.integers(10, 16)), 6
    a, b = _neighbor_table(n, columns, rng), _neighbor_table(n, columns + 1, rng)
    ks = (1, 2, 4, columns)
    rows = [*zip(a.tolist(), b.tolist(), strict=True)]
    shared = {k: np.array([len({*x[:k]} & {*y[:k]}) for x, y in rows]) for k in ks}
    found = [shaped(attempt(a, b, k)) for k in ks]
    expect(
        not close(found, [(a[:, :k] == b[:, :k]).mean() for k in ks]),
        "you compare rank by rank: a neighbor that changes its rank within the first k is still a neighbor",
    )
    expect(
        not close(found, [shared[k].mean() for k in ks]) and not close(found, [shared[k].sum() for k in ks]),
        "this is the number of neighbors in common: the overlap is a share of k",
    )
    all_columns = np.mean([len({*x} & {*y}) for x, y in rows])
    expect(
        not any(close(found, [all_columns / c for c in over]) for over in (ks, [columns] * 4, [columns + 1] * 4)),
        "only the first k columns count, however many the table has",
    )
    expect(
        not close(found, [(shared[k] / (2 * k - shared[k])).mean() for k in ks]),
        "this divides by the union of the neighborhoods: the overlap is a share of k",
    )
    expect(
        not close(found, [np.isin(a[:, :k], b[:, :k]).mean() for k in ks]),
        "compare the rows of each token with each other: here a neighbor of any token counts",
    )
    expect(
        close(found, [shared[k].mean() / k for k in ks]),
        "for every token, how many of the first k entries of its row in one table are among the first k in the other?",
    )


@checker
def reciprocity(attempt: Attempt, rng: np.random.Generator) -> None:
    """Check ``reciprocity(table, k)``: the share of the links to the k nearest neighbors that are returned.

    ``table`` is a numpy array of ints, of shape (token, columns), neighbors in the order of their distance, with at
    least ``k`` columns; returns a float.
    """
    n, ks = int(rng.integers(9, 14)), np.array([1, 3, 5])
    table = _neighbor_table(n, 5, rng)
    table[:2, 0] = 1, 0  # the first two tokens are each other's nearest neighbor
    table[:2, 1:] = [rng.permutation(np.arange(2, n))[:4] for _ in range(2)]
    found, wanted = [shaped(attempt(table, int(k))) for k in ks], reciprocity_of(table)[ks - 1].numpy()
    expect(
        not close(found, wanted * ks * n) and not close(found, wanted * ks * n / 2),
        "this is the number of returned links: divide it by the number of all links, k N",
    )
    expect(not close(found, wanted / 2), "a mutual pair makes two links, one each way, and both are returned")
    expect(
        not close(found, wanted / (2 - wanted)),
        "this is the share of the linked pairs that are mutual: a mutual pair has two links, another pair one",
    )
    loose = [np.mean([i in table[j] for i in range(n) for j in table[i, :k]]) for k in ks[:2]]
    expect(
        not close(found[:2], loose),
        "both must be near: i has to be among the first k of j, not just anywhere in its row",
    )
    expect(
        close(found, wanted),
        "a link goes from i to each of its first k neighbors j; it is returned if i is among the first k of j",
    )
