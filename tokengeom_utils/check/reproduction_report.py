"""Checkers for the chapter "The reproduction report"."""

import numpy as np

from ..theory import statistics
from .answer import Attempt, checker, close, expect, shaped


@checker
def kinds_needed(attempt: Attempt, rng: np.random.Generator) -> None:
    """Check ``kinds_needed(n_tests, level)``: the fewest kinds with which a sign-flip test survives a correction.

    All kinds agree; the p-value times ``n_tests``, an int, has to be below ``level``, a float. Returns an int.
    """
    cases = [(1, 0.05), (8, 0.05), (40, 0.05), (int(rng.integers(5, 30)), 0.01), (int(rng.integers(50, 90)), 0.1)]
    cases.append((1, 2.0 ** -int(rng.integers(3, 6))))  # a level that the p-value reaches exactly, and must not
    found = [shaped(attempt(*case)) for case in cases]

    def fewest(sides: int, tests: int, level: float) -> int:
        return next(n for n in range(1, 99) if sides * tests / 2**n < level)

    right = [fewest(2, *case) for case in cases]
    expect(
        not close(found, [fewest(1, *case) for case in cases]),
        "this is for one-sided tests: seen from both sides, two of the 2**n patterns have all signs alike",
    )
    expect(
        not close(found[:3], [6, 6, 6]),
        "you leave out the number of tests: the smallest p-value is multiplied by it",
    )
    expect(not close(found, [n + 1 for n in right]), "off by one: return the first n that is enough")
    expect(
        not close(found, [np.log2(2 * tests / level) for tests, level in cases], 1e-3),
        "kinds come in whole numbers: round up",
    )
    expect(
        not close(found[:5], right[:5]) or close(found, right),
        "the product has to be below the level: where it equals the level, one more is needed",
        share=0.5,
    )
    expect(
        close(found, right),
        "the smallest p-value of n kinds is 2 / 2**n: times the number of tests, it has to be below the level",
    )


@checker
def joint_p_values(attempt: Attempt, rng: np.random.Generator) -> None:
    """Check ``joint_p_values(statistics)``: p-values corrected for all tests by the largest statistic of each flip.

    ``statistics`` is a numpy array of shape (flip, test) of non-negative numbers, the data in the first row; returns a
    numpy array of shape (test,).
    """
    cases = [np.abs(rng.normal(size=shape)) for shape in ((64, 4), (33, 6), (20, 1))]
    cases.append(rng.integers(0, 4, (40, 3)).astype(float))  # with ties
    for case in cases:
        case[0] += rng.uniform(0, 1.5) if case is not cases[-1] else 0
    cases[-1][0] = 1, 3, 2
    found = [shaped(attempt(case), case.shape[1]) for case in cases]
    largest = [case.max(axis=1, keepdims=True) for case in cases]
    pairs = list(zip(cases, largest, strict=True))
    expect(
        not _alike(found, [(case >= case[0]).mean(0) for case in cases]),
        "these are the p-values of each test alone: compare with the largest statistic of each flip",
    )
    single = [np.minimum(1, case.shape[1] * (case >= case[0]).mean(0)) for case in cases]
    expect(not _alike(found, single), "this is Bonferroni's rule: the flips show what all tests find together")
    expect(
        not _alike(found, [(big > case[0]).mean(0) for case, big in pairs]),
        "count the flips whose largest statistic is equal, too: the data are one of the flips, so no p-value is zero",
    )
    expect(
        not _alike(found, [(big[1:] >= case[0]).mean(0) for case, big in pairs]),
        "the data count as one of the flips: leave the first row in",
    )
    expect(
        not _alike(found, [(big >= case[0]).sum(0) for case, big in pairs]),
        "this is a number of flips: divide it by the number of all flips",
    )
    expect(
        _alike(found, [(big >= case[0]).mean(0) for case, big in pairs]),
        "take the largest statistic of each row; for each test, return the share of rows in which this largest is at "
        "least the test's own statistic in the first row",
    )


@checker
def holm(attempt: Attempt, rng: np.random.Generator) -> None:
    """Check ``holm(p_values)``: p-values adjusted for the number of tests by Holm's rule.

    ``p_values`` is a numpy array of shape (test,); returns a numpy array of the same shape, in the same order.
    """
    # In each case a smaller p-value has the larger step, some products exceed 1, and the order is not rising.
    start = [np.array([0.035, 0.001, 0.03, 0.9, 0.012, 0.6]), np.array([0.7, 0.02, 0.019, 0.4])]
    cases = [rng.permutation(p * rng.uniform(0.9, 1.05)) for p in start]
    cases += [rng.permutation(np.append(rng.uniform(0.2, 0.9, 3), 0.001)), np.array([rng.uniform(0.1, 0.6)])]
    cases = [p if len(p) == 1 or p[0] > p.min() else np.roll(p, 1) for p in cases]
    found = [attempt(p) for p in cases]
    steps = [_holm_steps(p) for p in cases]
    expect(
        all(np.shape(mine) == p.shape for mine, p in zip(found, cases, strict=True)),
        "return one adjusted p-value for each of the p-values, in one array",
    )
    expect(
        not any((np.asarray(mine) > 1).any() for mine in found), "a p-value is at most 1: replace larger values by 1"
    )
    expect(
        not _alike(found, [np.minimum(1, len(p) * p) for p in cases]),
        "this is Bonferroni's rule, which multiplies every p-value by m: Holm's factor falls from m for the smallest "
        "to 1 for the largest",
    )
    expect(
        not _alike(found, [np.sort(statistics.holm(p)) for p in cases]),
        "the values are right, but in rising order: put each back in its place",
        share=0.5,
    )
    expect(
        not _alike(found, [np.minimum(1, step) for step in steps]),
        "a larger p-value must not get a smaller adjusted one: go through them in rising order and carry the largest "
        "so far along",
        share=0.5,
    )
    expect(
        _alike(found, [statistics.holm(p) for p in cases]),
        "sort; multiply the smallest by m, the next by m - 1, and so on; take the running maximum, at most 1; restore "
        "the original order",
    )


def _holm_steps(p):
    """Return each p-value times its factor, in place, without the running maximum."""
    steps = np.empty(len(p))
    order = np.argsort(p)
    steps[order] = np.arange(len(p), 0, -1) * p[order]
    return steps


def _alike(found, wanted):
    """Whether all results are close."""
    return all(close(a, b) for a, b in zip(found, wanted, strict=True))
