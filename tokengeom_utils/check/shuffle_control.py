"""Checkers for the chapter "The shuffle control"."""

from collections import Counter

import numpy as np

from .answer import Attempt, checker, close, expect


@checker
def shuffle_blocks(attempt: Attempt) -> None:
    """Check ``shuffle_blocks(token_ids, degree, rng)``: Algorithm 1, the 4**degree blocks in a random order.

    ``token_ids`` is an integer array of shape (token,), ``degree`` an int, ``rng`` a ``numpy.random.Generator``;
    returns an array of shape (token,).
    """
    ids = 100 + np.arange(64)

    def shuffled(degree: int) -> list[np.ndarray]:
        found = [np.asarray(attempt(ids.copy(), degree, np.random.default_rng(seed))) for seed in range(6)]
        expect(
            all(np.array_equal(np.sort(x), ids) for x in found),
            "a shuffle returns the same tokens, each once: yours drops or repeats some",
        )
        return found

    expect(
        all(np.array_equal(x, ids) for x in shuffled(0)),
        "degree 0 is a single block, since 4**0 = 1: nothing moves",
    )
    for degree, length in ((1, 16), (2, 4), (3, 1)):
        found = shuffled(degree)
        expect(
            any((x != ids).any() for x in found),
            f"your shuffle moves nothing at degree {degree}: there are 4**degree blocks",
        )
        expect(
            any((x != found[0]).any() for x in found),
            "your order is the same for every generator: draw it from rng",
        )
        whole = all(np.ptp((x.reshape(-1, length) - 100) // length, axis=1).max() == 0 for x in found)
        apart = np.concatenate([np.flatnonzero(np.diff(x) != 1) + 1 for x in found])
        size = int(np.gcd.reduce(np.append(apart, 64)))  # the length of the attempt's blocks
        expect(not (whole and size < length), "the tokens inside a block keep their order: permute whole blocks")
        expect(
            size == length,
            f"at degree {degree} your blocks have {size} tokens: 64 tokens in 4**{degree} blocks make {length} each",
        )


@checker
def ngram_precision(attempt: Attempt) -> None:
    """Check ``ngram_precision(token_ids, reference, n)``: the share of runs of n tokens that the reference has too.

    ``token_ids`` and ``reference`` are sequences of ints; each run counts at most as often as it occurs in the
    reference. Returns a float between 0 and 1.
    """
    ids, reference = [1, 2, 1, 2, 1, 2, 5, 6], [1, 2, 3, 1, 2, 4, 5, 6]
    runs = {n: [[tuple(x[i : i + n]) for i in range(8 - n + 1)] for x in (ids, reference)] for n in (1, 2, 3)}
    common = {n: (Counter(a) & Counter(b)).total() for n, (a, b) in runs.items()}
    found = [attempt(ids, reference, n) for n in runs]
    expect(
        not close(found, list(common.values())),
        "this is the number of runs found: divide it by the number of runs",
    )
    expect(
        not close(found, [np.mean([run in b for run in a]) for a, b in runs.values()]),
        "the run 1 2 occurs three times in token_ids and twice in the reference: only two of them count",
    )
    expect(
        not close(found, [len({*a} & {*b}) / len({*a}) for a, b in runs.values()]),
        "a set does not keep how often a run occurs: count with collections.Counter",
    )
    expect(not close(found, [c / 8 for c in common.values()]), "8 tokens hold 8 - n + 1 runs of n, not 8")
    expect(
        not close(found, [np.mean([x == y for x, y in zip(a, b, strict=True)]) for a, b in runs.values()]),
        "a run counts wherever it occurs in the reference, not only at the same position",
    )
    expect(
        close(found, [common[n] / len(a) for n, (a, b) in runs.items()]),
        "list the runs of n in both texts, count each, and keep the smaller of its two counts: Counter(a) & Counter(b) "
        "does this",
    )


@checker
def sign_flip(attempt: Attempt) -> None:
    """Check ``sign_flip(differences)``: the p-value of the exact two-sided sign-flip test.

    ``differences`` is an array of shape (prompt,) with at most a dozen entries; returns a float.
    """
    from ..claims.judging import sign_flip_p_value

    cases = [np.array(d) for d in ([1, 2, 1.5, 0.5, 1, 3], [-1, -0.4, 0.3, -2], [0.2, 1.1, -0.5, 0.9, 0.3])]
    found, wanted = [attempt(d) for d in cases], [sign_flip_p_value(d) for d in cases]
    patterns = [1 - 2 * ((np.arange(2 ** len(d))[:, None] >> np.arange(len(d))) & 1) for d in cases]
    sums = [(p @ d, d.sum()) for p, d in zip(patterns, cases, strict=True)]
    expect(
        not close(found, [np.mean(s >= t - 1e-9) for s, t in sums]),
        "this counts the patterns on one side: a mean as far on the other side of zero would be as surprising, so "
        "compare absolute values",
    )
    expect(
        not close(found, [np.mean(np.abs(s) > abs(t) + 1e-9) for s, t in sums]),
        "count the patterns that are exactly as extreme, too: the observed one is among them, so no p-value is zero",
    )
    expect(
        not close(found, [np.sum(np.abs(s) >= abs(t) - 1e-9) for s, t in sums]),
        "this is a number of patterns: divide it by the number of all patterns, 2**n",
    )
    expect(
        close(found, wanted),
        "for each of the 2**n patterns of signs, take the mean of signs * differences: what share of these means is "
        "at least as far from zero as the observed mean? (Rounding: allow a difference of 1e-12)",
    )
