"""Checkers for the chapter "The shuffle control"."""

from collections import Counter

import numpy as np

from .answer import Attempt, checker, close, expect, reached, shaped


def _orders(attempt: Attempt, ids: np.ndarray, degree: int, seeds: np.ndarray) -> np.ndarray:
    """Return from where each token came, for many generators, shape (seed, token)."""
    found = np.array([shaped(attempt(ids, degree, np.random.default_rng(seed)), len(ids)) for seed in seeds])
    expect(
        (np.sort(found) == np.sort(ids)).all(),
        "a shuffle returns the same tokens, each once: yours drops or repeats some",
    )
    place = np.argsort(ids)
    return place[np.searchsorted(ids[place], found)]


def _evenly_random(attempt: Attempt, ids: np.ndarray, seeds: np.ndarray) -> None:
    """Check that four blocks come in their 24 orders about equally often, and that 16 blocks mix."""
    order = _orders(attempt, ids, 1, seeds)[:, :: len(ids) // 4] // (len(ids) // 4)
    seen = Counter(map(tuple, order.tolist()))
    expect(
        len(seen) > 18,  # 200 uniform permutations have fewer different ones less than once in 10^19 tries
        f"in {len(order)} shuffles of four blocks only {len(seen)} of the 24 orders occur: rotating, reversing, or "
        "swapping is not enough, draw a random permutation",
    )
    expect(  # in a million tries with uniform permutations, chi-squared stayed below 84
        sum((count - len(seeds) / 24) ** 2 for count in seen.values()) < 110 * len(seeds) / 24,
        "all orders of four blocks occur, but some much more often than others: draw one uniform permutation",
    )
    order = _orders(attempt, ids, 2, seeds[:40])[:, :: len(ids) // 16] // (len(ids) // 16)
    expect(
        (np.diff(order) == 1).mean() < 0.15 and len({*order[:, 0].tolist()}) > 8,
        "right for four blocks, but 16 blocks hardly mix: permute all 4**degree of them",
    )


@checker
def shuffle_blocks(attempt: Attempt, rng: np.random.Generator) -> None:
    """Check ``shuffle_blocks(token_ids, degree, rng)``: Algorithm 1, the 4**degree blocks in a random order.

    ``token_ids`` is a numpy array of ints, of shape (token,), ``degree`` an int, ``rng`` a ``numpy.random.Generator``;
    returns a numpy array of shape (token,).
    """
    n = 64 * int(rng.integers(1, 4))
    ids, seeds = rng.choice(50_000, n, replace=False), rng.integers(2**31, size=200)
    for degree in (1, 2, 3):
        order, length = _orders(attempt, ids, degree, seeds[:6]), n // 4**degree
        expect(
            (order != np.arange(n)).any(),
            f"your shuffle moves nothing at degree {degree}: there are 4**degree blocks",
        )
        expect((order != order[0]).any(), "your order is the same for every generator: draw it from rng")
        whole = np.ptp(order.reshape(6, -1, length) // length, axis=-1).max() == 0
        apart = np.nonzero(np.diff(order) != 1)[1] + 1
        size = int(np.gcd.reduce(np.append(apart, n)))  # the length of the attempt's blocks
        expect(not (whole and size < length), "the tokens inside a block keep their order: permute whole blocks")
        expect(
            size == length,
            f"at degree {degree} the length of your blocks is {size}: {n} tokens in 4**{degree} blocks make {length} "
            "each",
        )
    reached(0.5)
    expect(
        (_orders(attempt, ids, 0, seeds[:3]) == np.arange(n)).all(),
        "degree 0 is a single block, since 4**0 = 1: nothing moves",
    )
    _evenly_random(attempt, ids[:64], seeds)
    again = rng.integers(0, 9, 16)
    expect(
        np.array_equal(np.sort(shaped(attempt(again, 1, rng), 16)), np.sort(again)),
        "right for distinct tokens, but a token that occurs twice has to occur twice in the shuffle, too",
    )


@checker
def ngram_precision(attempt: Attempt, rng: np.random.Generator) -> None:
    """Check ``ngram_precision(token_ids, reference, n)``: the share of runs of n tokens that the reference has too.

    ``token_ids`` and ``reference`` are sequences of ints; each run counts at most as often as it occurs in the
    reference. Returns a float between 0 and 1.
    """
    words = np.array([1, 2, 12, 21, 112])  # joined without spaces, different runs of these would look the same
    texts = [[1, 2, 1, 2, 1, 2, 12, 21], [1, 2, 3, 1, 2, 4, 12, 21]], words[rng.integers(0, 5, (2, 30))].tolist()
    uneven = [words[rng.integers(0, 4, size)].tolist() for size in (12, 25)]
    cases = [(*pair, n) for pair in (*texts, uneven) for n in (1, 2, 3)]
    runs = [[[tuple(x[i : i + n]) for i in range(len(x) - n + 1)] for x in (ids, other)] for ids, other, n in cases]
    common = np.array([(Counter(a) & Counter(b)).total() for a, b in runs])
    found, sizes = [shaped(attempt(*case)) for case in cases], np.array([len(a) for a, _ in runs])
    expect(
        not close(found, common),
        "this is the number of runs found: divide it by the number of runs",
    )
    expect(
        not close(found, [np.mean([run in b for run in a]) for a, b in runs]),
        "a run that occurs three times in token_ids and twice in the reference counts only twice",
    )
    expect(
        not close(found, [len({*a} & {*b}) / len({*a}) for a, b in runs])
        and not close(found, [len({*a} & {*b}) / len(a) for a, b in runs]),
        "a set does not keep how often a run occurs: count with collections.Counter",
    )
    expect(
        not close(found, common / (sizes + np.array([n - 1 for *_, n in cases]))),
        "N tokens hold N - n + 1 runs of n, not N",
    )
    expect(
        not close(found, common / [len(b) for _, b in runs]),
        "this is the share of the runs of the reference, the recall: divide by the number of runs in token_ids",
    )
    expect(
        not close(found, [sum(map(tuple.__eq__, a, b)) / len(a) for a, b in runs]),
        "a run counts wherever it occurs in the reference, not only at the same position",
    )
    expect(
        close(found, common / sizes) and close(attempt([1, 2, 3], [0, 1, 2, 3], 3), 1),
        "list the runs of n in both texts, count each, and keep the smaller of its two counts: Counter(a) & Counter(b) "
        "does this",
    )


@checker
def sign_flip(attempt: Attempt, rng: np.random.Generator) -> None:
    """Check ``sign_flip(differences)``: the p-value of the exact two-sided sign-flip test.

    ``differences`` is a numpy array of shape (prompt,) with at most a dozen entries; returns a float.
    """
    from scipy import stats

    from ..theory.statistics import sign_flip_p_value

    ranked = wanted = np.zeros(5)
    while close(wanted, ranked):  # with few differences, two tests may give the same p-values
        cases = [rng.normal(mean, 1, n) for n, mean in ((3, 0), (5, 0.4), (6, -0.5), (8, 0.5), (8, -1))]
        ranked = np.array([stats.wilcoxon(d).pvalue for d in cases])
        wanted = np.array([sign_flip_p_value(d) for d in cases])
    cases += [np.array([-2.0, -1, -0.5, -3]), np.array([0.1, 0.2, -0.3, 0.4]), np.array([1.0, -1.0])]
    found, wanted = [shaped(attempt(d)) for d in cases], np.array([sign_flip_p_value(d) for d in cases])
    patterns = [1 - 2 * ((np.arange(2 ** len(d))[:, None] >> np.arange(len(d))) & 1) for d in cases]
    sums = [(p @ d, d.sum()) for p, d in zip(patterns, cases, strict=True)]
    expect(
        not close(found, [np.mean(s >= t - 1e-9) for s, t in sums])
        and not close(found, [np.mean(s <= t + 1e-9) for s, t in sums]),
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
        not close(found[:5], ranked),
        "this is Wilcoxon's signed-rank test: here the differences count themselves, not their ranks",
    )
    signs = [stats.binomtest(int((d > 0).sum()), len(d)).pvalue for d in cases]
    expect(
        not close(found[:5], signs[:5]) and not close(found[:5], [stats.ttest_1samp(d, 0).pvalue for d in cases[:5]]),
        "this is the sign test or the t-test: here every pattern of signs is tried, and the means are compared",
    )
    expect(
        not close(found[:6], wanted[:6]) or close(found, wanted),
        "right, but not where means are equal up to rounding: allow a difference of 1e-12",
        share=0.5,
    )
    expect(
        close(found, wanted),
        "for each of the 2**n patterns of signs, take the mean of signs * differences: what share of these means is "
        "at least as far from zero as the observed mean? (Rounding: allow a difference of 1e-12)",
    )
