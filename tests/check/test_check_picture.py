"""Checkers of the part "The picture": common mistakes get their hints, and other right answers pass."""

from collections import Counter
from math import comb

import numpy as np
import pytest
import torch
from scipy import optimize, special, stats
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


def up_to_third_moments(a, b):
    if a.shape[1] != b.shape[1]:
        return False
    second, third = (
        [np.einsum(how, *[cloud] * power) / len(cloud) for cloud in (a, b)]
        for how, power in (("ni,nj->ij", 2), ("ni,nj,nk->ijk", 3))
    )
    return np.allclose(*second) and np.allclose(*third)


def cross_multiplied(a, b):
    """Compare the masses of all places in whole numbers."""
    first, second = Counter(map(tuple, a)), Counter(map(tuple, b))
    return all(first[row] * len(b) == second[row] * len(a) for row in first | second)


def moments(cloud):
    return np.vstack([cloud.mean(0), np.cov(cloud.T, bias=True)])


def all_found(a, b):
    return {*map(tuple, a)} <= {*map(tuple, b)} and len(a) <= len(b)


def matched(a, b):
    cost = (a[:, None] - b) ** 2
    return np.sqrt(cost[optimize.linear_sum_assignment(cost)].mean())


def one_by_one(x, beta):
    rows = []
    for token in x:
        pull = special.softmax([beta * token @ other for other in x]) @ x
        rows.append(pull - (pull @ token) * token)
    return rows


def without_itself(w):
    w = w - np.diag(np.diag(w))
    return w / w.sum(1, keepdims=True)


def recursive(n, d):
    """Half the cuts leave the last point free: P(n, d) = (P(n - 1, d) + P(n - 1, d - 1)) / 2."""
    return 1 if n <= d else 0 if d == 0 else (recursive(n - 1, d) + recursive(n - 1, d - 1)) / 2


def uphill(beta):
    k = 1
    while (k + 1) ** 2 * special.ive(k + 1, beta) > k**2 * special.ive(k, beta):
        k += 1
    return k


def by_distance(x, beta):
    return len(x) ** 2 / sum(np.exp(-beta / 2 * np.sum((a - b) ** 2)) for a in x for b in x)


def by_difference(x, move, beta, step=1e-5):
    def energy(t):
        y = x + t * move
        y = y / np.linalg.norm(y, axis=1, keepdims=True)
        return np.exp(beta * y @ y.T).mean() / (2 * beta)

    return (energy(step) - energy(-step)) / (2 * step)


RIGHT = [
    ("relative_peak", lambda profile: (1 + np.argmax(profile[1:])) / (len(profile) - 1)),
    ("align", lambda cloud: cloud + 100 * cloud.norm(dim=1).max()),
    ("align", lambda cloud: (cloud.numpy() - 500 * np.ptp(cloud.numpy())).tolist()),
    ("same_measure", lambda a, b: as_measure(a) == as_measure(b)),
    ("w2_line", lambda a, b: np.sqrt(np.mean((np.sort(a) - np.sort(b)) ** 2))),
    ("w2_gaussians", normal),
    ("sa_velocity", sa),
    ("cosine_speed", speed),
    ("hemisphere", wendel),
    ("fastest_wave", crests),
    ("effective_groups", groups),
    ("energy_change", climb),
    ("relative_peak", lambda p: max(range(1, len(p)), key=lambda layer: p[layer]) / (len(p) - 1)),
    ("relative_peak", lambda p: (torch.tensor(p)[1:].argmax() + 1) / (len(p) - 1)),
    ("same_measure", cross_multiplied),
    ("same_measure", lambda a, b: torch.tensor(cross_multiplied(a, b))),
    ("w2_line", matched),
    ("w2_line", lambda a, b: (torch.tensor(a).sort().values - torch.tensor(b).sort().values).square().mean().sqrt()),
    ("w2_gaussians", lambda m, s, n, t: np.linalg.norm([*(m - n), *(s - t)])),
    (
        "w2_gaussians",
        lambda m, s, n, t: (
            sum((a - c) ** 2 + b**2 + d**2 - 2 * b * d for a, b, c, d in zip(m, s, n, t, strict=True)) ** 0.5
        ),
    ),
    ("sa_velocity", one_by_one),
    ("sa_velocity", lambda x, beta: torch.tensor(sa(x, beta))),
    (
        "cosine_speed",
        lambda g, n, b: 2 * np.exp(b * g) * (1 - g) * (1 + (n - 1) * g) / (np.exp(b) + (n - 1) * np.exp(b * g)),
    ),
    ("cosine_speed", lambda g, n, b: torch.tensor(speed(g, n, b))),
    ("hemisphere", recursive),
    ("hemisphere", lambda n, d: stats.binom.cdf(d - 1, n - 1, 0.5)),
    ("fastest_wave", uphill),
    ("fastest_wave", lambda beta: max(range(1, 60), key=lambda k: k**2 * special.ive(k, beta))),
    ("effective_groups", by_distance),
    ("effective_groups", lambda x, beta: 1 / np.mean([np.exp(beta * (a @ b - 1)) for a in x for b in x])),
    ("energy_change", by_difference),
    (
        "energy_change",
        lambda x, v, b: np.einsum("ij,id,jd->", np.exp(b * x @ x.T), v - (x * v).sum(1)[:, None] * x, x) / len(x) ** 2,
    ),
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
    ("same_measure", lambda a, b: sorted(map(tuple, a)) == sorted(map(tuple, b)), "the same share"),
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
    ("relative_peak", lambda p: (1 + np.argmax(p[1:-1])) / (len(p) - 1), "first or at the last"),
    ("relative_peak", lambda p: np.argmax(np.append(0, p[1:])) / (len(p) - 1), "negative"),
    ("relative_peak", lambda p: (1 + np.argmax(np.abs(p[1:]))) / (len(p) - 1), "negative"),
    ("relative_peak", lambda p: 0.75, "five entries"),
    ("align", lambda cloud: cloud + 100, "of size"),
    ("align", lambda cloud: cloud, "far away"),
    ("align", lambda cloud: torch.ones_like(cloud), "changed the distances"),
    (
        "same_measure",
        lambda a, b: a.shape[1] == b.shape[1] and np.allclose(moments(a), moments(b)),
        "compare the tokens",
    ),
    ("same_measure", lambda a, b: np.allclose(a.T @ a / len(a), b.T @ b / len(b)), "compare the tokens"),
    ("same_measure", up_to_third_moments, "up to the third"),
    ("same_measure", lambda a, b: all_found(a, b) or all_found(b, a), "not their masses"),
    ("same_measure", lambda a, b: cross_multiplied(a, b) or cross_multiplied(a[:-1], b), "differs or is missing"),
    ("same_measure", lambda a, b: abs(a.mean() - b.mean()) + 0.5, "True or False"),
    ("same_measure", lambda a, b: a == b if a.shape == b.shape else False, "True or False"),
    ("w2_line", lambda a, b: abs(a.mean() - b.mean()), "normal laws"),
    ("w2_line", lambda a, b: np.hypot(a.mean() - b.mean(), a.std() - b.std()), "normal laws"),
    ("w2_line", stats.wasserstein_distance, "W1"),
    ("w2_line", stats.energy_distance, "sort both sets"),
    ("w2_line", lambda a, b: (a.sort(), b.sort(), np.sqrt(np.mean((a - b) ** 2)))[2], "changes its argument"),
    ("w2_gaussians", lambda *laws: normal(*laws) / len(laws[0]) ** 0.5, "take no mean"),
    ("w2_gaussians", lambda m1, s1, m2, s2: np.hypot(m1 - m2, s1 - s2).sum(), "take no mean"),
    ("w2_gaussians", lambda m1, s1, m2, s2: normal(m1, s1, m2, -s2), "m1 - m2"),
    ("sa_velocity", lambda x, beta: sa(x, beta, weigh=without_itself), "attends to itself"),
    ("sa_velocity", lambda x, beta: -sa(x, beta), "softmax over j"),
    ("cosine_speed", lambda g, n, b: speed(g, n + 1, b), "separately"),
    ("cosine_speed", lambda g, n, b: speed(g, n, b) if g > 0 else 0, "separately"),
    ("hemisphere", lambda n, d: wendel(n, d, more=-1), "three points"),
    ("hemisphere", lambda n, d: 1.0, "three points"),
    ("hemisphere", lambda n, d: wendel(n, max(d, 2)), "d = 1"),
    ("fastest_wave", lambda beta: max(1, round(np.sqrt(2 * beta))), "root of 2 beta"),
    ("fastest_wave", lambda beta: np.sqrt(2 * beta), "root of 2 beta"),
    ("fastest_wave", lambda beta: 1 + np.argmax(np.arange(1, 10) ** 2 * iv(np.arange(1, 10), beta)), "enough k"),
    ("fastest_wave", lambda beta: crests(beta, power=3), "largest value"),
    ("effective_groups", lambda x, beta: np.mean([1 / np.exp(beta * (x @ a - 1)).mean() for a in x]), "invert last"),
    ("effective_groups", lambda x, beta: len(np.unique(x, axis=0)), "n^2 pairs"),
    ("effective_groups", lambda x, beta: len(x), "five tokens"),
    ("energy_change", lambda *given: -climb(*given), "the sign"),
    ("energy_change", lambda x, move, beta: climb(x, move, 0), "along the tangent part"),
]


@pytest.mark.parametrize("name, attempt", RIGHT)
def test_another_right_answer_passes(name, attempt):
    assert getattr(check, name)(attempt) == check.Answer(True)


@pytest.mark.parametrize("name, attempt, hint", WRONG)
def test_a_common_mistake_gets_its_hint(name, attempt, hint):
    answer = getattr(check, name)(attempt)
    assert not answer.passed and hint in answer.hint, answer
