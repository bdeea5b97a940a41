"""Checkers for the chapter "The reproduction report"."""

import numpy as np

from ..theory import statistics
from .answer import Attempt, checker, close, expect


@checker
def holm(attempt: Attempt) -> None:
    """Check ``holm(p_values)``: p-values adjusted for the number of tests by Holm's rule.

    ``p_values`` is an array of shape (test,); returns an array of the same shape, in the same order.
    """
    p = np.array([0.035, 0.001, 0.03, 0.9, 0.012, 0.6])
    found, m, order = attempt(p), len(p), np.argsort(p)
    steps = np.empty(m)
    steps[order] = np.arange(m, 0, -1) * p[order]
    rising = np.maximum.accumulate(steps[order])
    expect(np.shape(found) == (m,), f"return one adjusted p-value for each of the {m} p-values")
    expect(not (np.asarray(found) > 1).any(), "a p-value is at most 1: replace larger values by 1")
    expect(
        not close(found, np.minimum(1, m * p)),
        "this is Bonferroni's rule, which multiplies every p-value by m: Holm's factor falls from m for the smallest "
        "to 1 for the largest",
    )
    expect(
        not close(found, np.minimum(1, rising)),
        "the values are right, but in rising order: put each back in its place",
    )
    expect(
        not close(found, np.minimum(1, steps)),
        "a larger p-value must not get a smaller adjusted one: go through them in rising order and carry the largest "
        "so far along",
    )
    expect(
        close(found, statistics.holm(p)),
        "sort; multiply the smallest by m, the next by m - 1, and so on; take the running maximum, at most 1; restore "
        "the original order",
    )


@checker
def prompts_needed(attempt: Attempt) -> None:
    """Check ``prompts_needed(n_tests, level)``: the fewest prompts with which a sign-flip test survives a correction.

    All prompts agree; the p-value times ``n_tests``, an int, has to be below ``level``, a float. Returns an int.
    """
    found = [attempt(tests, 0.05) for tests in (1, 8, 40)]
    expect(
        not close(found, [5, 8, 10]),
        "this is for one-sided tests: seen from both sides, two of the 2**n patterns have all signs alike",
    )
    expect(
        not close(found, [6, 6, 6]),
        "you leave out the number of tests: the smallest p-value is multiplied by it",
    )
    expect(not close(found, [7, 10, 12]), "off by one: return the first n that is enough")
    expect(
        not close(found, [np.log2(40), np.log2(320), np.log2(1600)], 1e-3),
        "prompts come in whole numbers: round up",
    )
    expect(
        close(found, [6, 9, 11]),
        "the smallest p-value of n prompts is 2 / 2**n: times the number of tests, it has to be below the level",
    )
