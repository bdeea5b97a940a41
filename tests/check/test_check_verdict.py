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


RIGHT = [
    ("holm", statistics.holm),
    ("holm", stepwise),
    ("prompts_needed", fewest),
]

WRONG = [
    ("holm", lambda p: p.min(), "one adjusted"),
    ("holm", lambda p: len(p) * p, "at most 1"),
    ("holm", lambda p: stepwise(p, clip=False), "at most 1"),
    ("holm", lambda p: np.minimum(1, len(p) * p), "Bonferroni"),
    ("holm", lambda p: stepwise(p, running=False), "carry"),
    ("holm", lambda p: stepwise(p, back=False), "back in its place"),
    ("holm", lambda p: p, "sort"),
    ("prompts_needed", lambda tests, level: fewest(tests, level, sides=1), "one-sided"),
    ("prompts_needed", lambda tests, level: 6, "number of tests"),
    ("prompts_needed", lambda tests, level: 1 + fewest(tests, level), "off by one"),
    ("prompts_needed", lambda tests, level: np.log2(2 * tests / level), "round up"),
    ("prompts_needed", lambda tests, level: 20, "2 / 2**n"),
]


@pytest.mark.parametrize("name, attempt", RIGHT)
def test_another_right_answer_passes(name, attempt):
    assert getattr(check, name)(attempt) == check.Answer(True)


@pytest.mark.parametrize("name, attempt, hint", WRONG)
def test_a_common_mistake_gets_its_hint(name, attempt, hint):
    answer = getattr(check, name)(attempt)
    assert not answer.passed and hint in answer.hint, answer
