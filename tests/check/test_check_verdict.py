"""Checkers of the part "The verdict": common mistakes get their hints, and other right answers pass."""

import numpy as np
import pytest

from tokengeom_utils import check
from tokengeom_utils.theory import statistics


def stepwise(p, running=True, back=True, clip=True):
    order = np.argsort(p)
    steps = np.arange(len(p), 0, -1) * p[order]
    steps = np.maximum.accumulate(steps) if running else steps
    steps = np.minimum(1, steps) if clip else steps
    out = np.empty(len(p))
    out[order if back else np.arange(len(p))] = steps
    return out


def fewest(tests, level, sides=2):
    return int(np.floor(np.log2(sides * tests / level))) + 1


def joint(t, at_least=np.greater_equal):
    return at_least(t.max(axis=1)[:, None], t[0]).mean(axis=0)


RIGHT = [
    ("holm", statistics.holm),
    ("holm", stepwise),
    ("kinds_needed", fewest),
    ("kinds_needed", lambda tests, level: next(n for n in range(99) if 2 ** (n - 1) > tests / level)),
    ("joint_p_values", joint),
    ("joint_p_values", lambda t: [sum(max(row) >= own for row in t) / len(t) for own in t[0]]),
]

WRONG = [
    ("holm", lambda p: p.min(), "one adjusted"),
    ("holm", lambda p: len(p) * p, "at most 1"),
    ("holm", lambda p: stepwise(p, clip=False), "at most 1"),
    ("holm", lambda p: np.minimum(1, len(p) * p), "Bonferroni"),
    ("holm", lambda p: stepwise(p, running=False), "carry"),
    ("holm", lambda p: stepwise(p, back=False), "back in its place"),
    ("holm", lambda p: p, "sort"),
    ("kinds_needed", lambda tests, level: fewest(tests, level, sides=1), "one-sided"),
    ("kinds_needed", lambda tests, level: 6, "number of tests"),
    ("kinds_needed", lambda tests, level: 1 + fewest(tests, level), "off by one"),
    ("kinds_needed", lambda tests, level: np.log2(2 * tests / level), "round up"),
    ("kinds_needed", lambda tests, level: 20, "2 / 2**n"),
    ("kinds_needed", lambda tests, level: int(np.ceil(np.log2(2 * tests / level))), "one more is needed"),
    ("kinds_needed", lambda tests, level: fewest(tests, 0.05), "2 / 2**n"),
    ("joint_p_values", lambda t: (t >= t[0]).mean(0), "each test alone"),
    ("joint_p_values", lambda t: np.minimum(1, t.shape[1] * (t >= t[0]).mean(0)), "Bonferroni"),
    ("joint_p_values", lambda t: joint(t, np.greater), "equal, too"),
    ("joint_p_values", lambda t: (t[1:].max(1)[:, None] >= t[0]).mean(0), "leave the first row in"),
    ("joint_p_values", lambda t: len(t) * joint(t), "divide"),
    ("joint_p_values", lambda t: statistics.holm((t >= t[0]).mean(0)), "largest statistic of each row"),
    ("joint_p_values", lambda t: (t.mean(1)[:, None] >= t[0]).mean(0), "largest statistic of each row"),
    ("joint_p_values", lambda t: joint(t).max(), "return an array"),
]


@pytest.mark.parametrize("name, attempt", RIGHT)
def test_another_right_answer_passes(name, attempt):
    assert getattr(check, name)(attempt) == check.Answer(True)


@pytest.mark.parametrize("name, attempt, hint", WRONG)
def test_a_common_mistake_gets_its_hint(name, attempt, hint):
    answer = getattr(check, name)(attempt)
    assert not answer.passed and hint in answer.hint, answer
