"""Checkers of the part "The picture": common mistakes get their hints, and other right answers pass."""

from math import comb

import numpy as np
import pytest
from scipy.special import iv

from tokengeom_utils import check


def as_measure(cloud):
    rows = sorted(map(tuple, cloud))
    return {row: rows.count(row) / len(rows) for row in rows}


def normal(m1, s1, m2, s2, power=1):
    return np.sqrt(((m1 - m2) ** 2 + (s1**power - s2**power) ** 2).sum())


def rows_sum_to_one(w):
    return w / w.sum(1, keepdims=True)


def sa(x, beta, projected=True, weigh=rows_sum_to_one):
    pull = weigh(np.exp(beta * x @ x.T)) @ x
    return pull - projected * (pull * x).sum(1, keepdims=True) * x


def speed(g, n, beta, factor=2):
    return factor * (1 - g) * ((n - 1) * g + 1) / (np.exp(beta * (1 - g)) + n - 1)


def wendel(n, d, more=0, of=1, half=1):
    return sum(comb(n - of, k) for k in range(d + more)) / 2 ** (n - half)


def crests(beta, power=2, first=1):
    k = np.arange(1, 40)
    return k[np.argmax(k.astype(float) ** power * iv(k, beta))] - 1 + first


def groups(x, beta, shift=1):
    return 1 / np.exp(beta * (x @ x.T - shift)).mean()


def without_self_pairs(x, beta):
    n = len(x)
    return n * (n - 1) / (n**2 / groups(x, beta) - n)


def climb(x, move, beta, factor=1, tangent=True):
    move = move - tangent * (move * x).sum(1, keepdims=True) * x
    return factor * ((np.exp(beta * x @ x.T) @ x) * move).sum() / len(x) ** 2


RIGHT = [
    ("relative_peak", lambda profile: (1 + np.argmax(profile[1:])) / (len(profile) - 1)),
    ("align", lambda cloud: cloud + 100),
    ("align", lambda cloud: (cloud + 1000).numpy()),
    ("same_measure", lambda a, b: as_measure(a) == as_measure(b)),
    ("w2_line", lambda a, b: np.sqrt(np.mean((np.sort(a) - np.sort(b)) ** 2))),
    ("w2_gaussians", normal),
    ("sa_velocity", sa),
    ("cosine_speed", speed),
    ("hemisphere", wendel),
    ("fastest_wave", crests),
    ("effective_groups", groups),
    ("energy_change", climb),
]

WRONG = [
    ("relative_peak", lambda profile: np.argmax(profile), "leave out layer 0"),
    ("relative_peak", lambda profile: 1 + np.argmax(profile[1:]), "divide it"),
    ("relative_peak", lambda profile: np.argmax(profile[1:]) / (len(profile) - 1), "position 0"),
    ("relative_peak", lambda profile: (1 + np.argmax(profile[1:])) / len(profile), "one more entry"),
    ("align", lambda cloud: cloud * 50, "the same factor"),
    ("align", lambda cloud: cloud / cloud.norm(dim=1, keepdim=True), "you changed the distances"),
    ("align", lambda cloud: cloud + 0.1, "far away"),
    ("align", lambda cloud: cloud - cloud[0], "far away"),
    ("align", lambda cloud: cloud[:5], "same tokens"),
    ("same_measure", lambda a, b: a.shape == b.shape and np.allclose(a, b), "another order"),
    ("same_measure", lambda a, b: True, "no token in common"),
    ("same_measure", lambda a, b: a.shape == b.shape and np.allclose(np.sort(a, 0), np.sort(b, 0)), "rows whole"),
    ("same_measure", lambda a, b: set(map(tuple, a)) == set(map(tuple, b)), "not their masses"),
    ("same_measure", lambda a, b: sorted(map(tuple, a)) == sorted(map(tuple, b)), "half the mass"),
    ("w2_line", lambda a, b: np.sqrt(np.mean((a - b) ** 2)), "pair the tokens by name"),
    ("w2_line", lambda a, b: np.mean((np.sort(a) - np.sort(b)) ** 2), "square of the distance"),
    ("w2_line", lambda a, b: np.linalg.norm(np.sort(a) - np.sort(b)), "mean, not the sum"),
    ("w2_line", lambda a, b: np.abs(np.sort(a) - np.sort(b)).mean(), "W1"),
    ("w2_gaussians", lambda m1, s1, m2, s2: np.hypot(m1 - m2, s1 - s2), "a single distance"),
    ("w2_gaussians", lambda *laws: normal(*laws) ** 2, "square of the distance"),
    ("w2_gaussians", lambda m1, s1, m2, s2: normal(m1, s1, m2, s1), "different widths"),
    ("w2_gaussians", lambda *laws: normal(*laws, power=2), "not the variances"),
    ("sa_velocity", lambda x, beta: sa(x, beta).sum(0), "for every token"),
    ("sa_velocity", lambda x, beta: sa(x, beta, projected=False), "off the sphere"),
    ("sa_velocity", lambda x, beta: sa(x, beta, weigh=lambda w: w / len(w)), "this is USA"),
    ("sa_velocity", lambda x, beta: sa(x, beta, weigh=lambda w: w), "divide by Z_i"),
    ("sa_velocity", lambda x, beta: sa(x, beta, weigh=lambda w: w / w.sum(0)), "wrong index"),
    ("sa_velocity", lambda x, beta: sa(x, 0), "attention is missing"),
    ("sa_velocity", lambda x, beta: sa(x, 2 * beta), "softmax over j"),
    ("cosine_speed", lambda *given: speed(*given, factor=1), "twice as fast"),
    ("cosine_speed", lambda g, n, b: speed(g, n, 0) * np.exp(b * g), "this is USA"),
    ("cosine_speed", lambda g, n, b: speed(g, n, 0), "at beta = 0"),
    ("hemisphere", lambda n, d: wendel(n, d, half=n), "at most 1"),
    ("hemisphere", lambda n, d: wendel(n, d, more=1), "ends at k = d - 1"),
    ("hemisphere", lambda n, d: wendel(n, d, of=0, half=0), "n - 1"),
    ("hemisphere", lambda n, d: wendel(n, d) if n > d else 0, "certain"),
    ("fastest_wave", lambda beta: crests(beta, first=0), "from k = 1"),
    ("fastest_wave", lambda beta: crests(beta, power=0), "factor k^2 is missing"),
    ("fastest_wave", lambda beta: crests(beta, power=1), "k enters twice"),
    ("effective_groups", lambda x, beta: 1 / groups(x, beta), "upside down"),
    ("effective_groups", lambda x, beta: groups(x, beta, shift=0), "the same place"),
    ("effective_groups", without_self_pairs, "with itself"),
    ("effective_groups", lambda x, beta: groups(x, 2 * beta), "n^2 pairs"),
    ("energy_change", lambda *given: climb(*given, tangent=False), "stay on the sphere"),
    ("energy_change", lambda *given: climb(*given, factor=0.5), "both tokens of a pair"),
    ("energy_change", lambda x, move, beta: climb(x, move, beta, factor=beta), "brings down a beta"),
    ("energy_change", lambda x, move, beta: climb(x, move, beta, factor=len(x) ** 2), "n^2 pairs"),
]


@pytest.mark.parametrize("name, attempt", RIGHT)
def test_another_right_answer_passes(name, attempt):
    assert getattr(check, name)(attempt) == check.Answer(True)


@pytest.mark.parametrize("name, attempt, hint", WRONG)
def test_a_common_mistake_gets_its_hint(name, attempt, hint):
    answer = getattr(check, name)(attempt)
    assert not answer.passed and hint in answer.hint, answer
