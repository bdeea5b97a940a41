"""Checkers for the chapter "Neighborhood overlap: does a token keep its neighbors?"."""

import numpy as np

from ..clouds.overlap import reciprocity as reciprocity_of
from .answer import Attempt, checker, close, expect


def _neighbor_table(rng: np.random.Generator) -> np.ndarray:
    """Return the first 5 neighbors of 9 tokens in a random order, shape (9, 5)."""
    return np.array([rng.permutation([j for j in range(9) if j != i])[:5] for i in range(9)])


@checker
def chance_overlap(attempt: Attempt) -> None:
    """Check ``chance_overlap(k, n)``: the expected overlap of two clouds with unrelated neighborhoods.

    ``k`` neighbors of each of ``n`` tokens, both ints; returns a float.
    """
    expect(
        not close(attempt(2, 1024), 2 / 1024),
        "a token is never its own neighbor, so its k neighbors are drawn from n - 1 others, not from n",
    )
    expect(
        close(attempt(2, 1024), 2 / 1023) and close(attempt(5, 11), 0.5),
        "a given neighbor in one cloud is one of n - 1 tokens, of which k are neighbors in the other: what is the "
        "chance that it is among them?",
    )


@checker
def overlap(attempt: Attempt) -> None:
    """Check ``overlap(a, b, k)``: the share of the k nearest neighbors that two clouds have in common.

    ``a`` and ``b`` are integer arrays of shape (token, columns), neighbors in the order of their distance, with at
    least ``k`` columns; returns a float, the mean over the tokens.
    """
    rng = np.random.default_rng(6)
    a, b, ks = _neighbor_table(rng), _neighbor_table(rng), (1, 3, 5)
    rows = [*zip(a.tolist(), b.tolist(), strict=True)]
    shared = {k: np.mean([len({*x[:k]} & {*y[:k]}) for x, y in rows]) for k in ks}
    found = [attempt(a, b, k) for k in ks]
    expect(
        not close(found, [(a[:, :k] == b[:, :k]).mean() for k in ks]),
        "you compare rank by rank: a neighbor that changes its rank within the first k is still a neighbor",
    )
    expect(
        not close(found, [shared[k] for k in ks]),
        "this is the number of neighbors in common: the overlap is a share of k",
    )
    expect(
        not close(found, [shared[5] / 5] * 3),
        "only the first k columns count, however many the table has",
    )
    expect(
        close(found, [shared[k] / k for k in ks]),
        "for every token, how many of the first k entries of its row in one table are among the first k in the other?",
    )


@checker
def reciprocity(attempt: Attempt) -> None:
    """Check ``reciprocity(table, k)``: the share of the links to the k nearest neighbors that are returned.

    ``table`` is an integer array of shape (token, columns), neighbors in the order of their distance, with at least
    ``k`` columns; returns a float.
    """
    table, ks = _neighbor_table(np.random.default_rng(7)), (1, 3, 5)
    found, wanted = [attempt(table, k) for k in ks], reciprocity_of(table)[[0, 2, 4]].numpy()
    expect(
        not close(found, wanted * [9, 27, 45]),
        "this is the number of returned links: divide it by the number of all links, k N",
    )
    expect(not close(found, wanted / 2), "a mutual pair makes two links, one each way, and both are returned")
    loose = [np.mean([i in table[j] for i in range(9) for j in table[i, :k]]) for k in ks[:2]]
    expect(
        not close(found[:2], loose),
        "both must be near: i has to be among the first k of j, not just anywhere in its row",
    )
    expect(
        close(found, wanted),
        "a link goes from i to each of its first k neighbors j; it is returned if i is among the first k of j",
    )
