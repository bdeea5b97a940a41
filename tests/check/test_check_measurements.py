"""Checkers of the part "The measurements": common mistakes get their hints, and other right answers pass."""

from fractions import Fraction
from math import acos, degrees, log

import numpy as np
import pytest
import torch
from scipy import optimize, spatial, stats

import tokengeom_utils as tg
from tokengeom_utils import check


def surprise(logits, ids, shift=1):
    n = len(ids) - shift
    return -torch.log_softmax(logits, -1)[torch.arange(n), ids[shift:]]


def chunks(states, ids, head, chunk):
    pairs = zip(states[:-1].split(chunk), ids[1:].split(chunk), strict=True)
    return torch.cat([-torch.log_softmax(head(s), -1)[torch.arange(len(s)), t] for s, t in pairs])


def hooked(network, x, before=True, remove=True):
    seen = []
    handles = [
        block.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
        if before
        else block.register_forward_hook(lambda _, args, out: seen.append(out))
        for block in network
    ]
    network(x)
    if remove:
        for handle in handles:
            handle.remove()
    return seen


def unit(cloud):
    return cloud / cloud.norm(dim=-1, keepdim=True)


def mean_pairs(u):
    return (u.sum(0) ** 2).sum() / len(u) ** 2


def without_each(u):
    return ((u.sum(0) - u) ** 2).sum(1)


def cosine_law(a, b, c):
    return (a**2 + b**2 - c**2) / (2 * a * b)


def log_mu(r, scale=2):
    return np.log(r[:, scale - 1] / r[:, scale // 2 - 1])


def solved(r, scale, more=0):
    """Solve the equation of GRIDE with ``more`` added to N - 1, by Newton's method from below."""
    n1, x = scale // 2, log_mu(r, scale)
    d = 1e-3
    for _ in range(200):
        score = (len(r) - 1 + more) / d + (n1 - 1) * (x / (1 - np.exp(-d * x))).sum() - (scale - 1) * x.sum()
        d += score / information(d, x, scale)
    return d


def information(d, x, scale):
    y = np.exp(-d * x)
    return len(x) / d**2 + (scale // 2 - 1) * (x**2 * y / (1 - y) ** 2).sum()


def distances(cloud, itself=False):
    table = np.linalg.norm(cloud[:, None] - cloud, axis=-1)
    return table.ravel() if itself else table[np.triu_indices(len(cloud), 1)]


def growth(found, r1, r2):
    return np.log((found < r2).sum() / (found < r1).sum()) / np.log(r2 / r1)


def ratio(values):
    return values.sum() ** 2 / (values**2).sum()


def variances(cloud):
    return np.linalg.eigvalsh(np.cov(cloud.T))


def averages(m, k, factor=lambda k: (k - 2) / (k - 1)):
    return (1 / m).mean(), (1 / m).mean() * factor(k), 1 / m.mean()


def shared(a, b, k):
    return np.mean([len({*x[:k]} & {*y[:k]}) / k for x, y in zip(a.tolist(), b.tolist(), strict=True)])


def links(table, k, columns=None):
    return sum(i in table[j, : columns or k] for i in range(len(table)) for j in table[i, :k])


def returned(table, k):
    return links(table, k) / (len(table) * k)


def by_arguments(network, x):
    """Collect the inputs by hooks that run after the blocks."""
    seen = []
    handles = [block.register_forward_hook(lambda _, args, out: seen.append(args[0].clone())) for block in network]
    with torch.no_grad():
        network(x)
    for handle in handles:
        handle.remove()
    return tuple(seen)


def chained(network, x):
    seen = []
    for block in network:
        seen.append(x)
        x = block(x)
    return seen


def for_evaluation(network, x):
    network.eval()
    return hooked(network, x)


def one_position(states, ids, head, chunk):
    return [-torch.log_softmax(head(states[i : i + 1])[0], -1)[ids[i + 1]].item() for i in range(len(ids) - 1)]


def summed(cloud):
    total = 0
    for token in cloud:
        total = total + token / token.norm()
    return float((total @ total) / len(cloud) ** 2)


def row_by_row(cloud):
    u = unit(cloud)
    return sum((u @ v).sum() for v in u) / len(u) ** 2


def in_numpy(cloud):
    u = unit(cloud).numpy()
    return (u @ u.T).mean()


def toward_mean(cloud):
    return (unit(cloud) @ unit(cloud.mean(0))).mean()


def half_angle(a, b, c):
    near, far = np.maximum(c**2 - (a - b) ** 2, 0), np.maximum((a + b) ** 2 - c**2, 0)
    return np.degrees(2 * np.arctan2(np.sqrt(near), np.sqrt(far)))


def unclipped(a, b, c):
    with np.errstate(invalid="ignore"):
        return np.degrees(np.arccos(cosine_law(a, b, c)))


def bracketed(r, scale):
    x, n1 = log_mu(r, scale), scale // 2

    def score(d):
        return (len(r) - 1) / d + (n1 - 1) * (x / -np.expm1(-d * x)).sum() - (scale - 1) * x.sum()

    return optimize.bisect(score, 0.01, 100)


def by_sinh(d, x, scale):
    return (len(x) / d**2 + (scale / 2 - 1) * ((x / 2 / np.sinh(d * x / 2)) ** 2).sum()) ** -0.5


def entropy_rank(v):
    p = v / v.sum()
    return np.exp(-(p * np.log(p)).sum())


def squares(cloud):
    c = np.cov(cloud.T)
    return np.trace(c) ** 2 / (c**2).sum()


def matrix(table, k):
    linked = np.zeros((len(table),) * 2, bool)
    np.put_along_axis(linked, table[:, :k], True, axis=1)
    return linked


RIGHT = [
    ("block_inputs", hooked),
    ("next_token_loss", surprise),
    ("loss_in_chunks", chunks),
    ("mean_cosine", lambda x: mean_pairs(unit(x))),
    ("leave_one_out", lambda x: without_each(unit(x)) / (len(x) - 1) ** 2),
    ("neighbor_angle", lambda a, b, c: np.degrees(np.arccos(np.clip(cosine_law(a, b, c), -1, 1)))),
    ("volume_fraction", lambda r, n1, n2, d: (r[:, n1 - 1] / r[:, n2 - 1]) ** d),
    ("two_nn", lambda r: (len(r) - 1) / log_mu(r).sum()),
    ("gride_one_scale", solved),
    ("gride_error", lambda d, x, scale: information(d, x, scale) ** -0.5),
    ("correlation_dimension", lambda x, r1, r2: growth(distances(x), r1, r2)),
    ("participation_ratio", lambda x: ratio(variances(x))),
    ("three_averages", averages),
    ("chance_overlap", lambda k, n: k / (n - 1)),
    ("overlap", shared),
    ("reciprocity", returned),
    ("block_inputs", by_arguments),
    ("block_inputs", lambda net, x: np.stack([state.detach().numpy() for state in hooked(net, x)])),
    ("next_token_loss", lambda x, i: torch.nn.functional.cross_entropy(x[:-1], i[1:], reduction="none")),
    ("next_token_loss", lambda x, i: [log(row.exp().sum()) - row[t].item() for row, t in zip(x, i[1:], strict=False)]),
    ("loss_in_chunks", one_position),
    ("loss_in_chunks", lambda *given: chunks(*given).float()),
    ("mean_cosine", summed),
    ("mean_cosine", lambda x: np.linalg.norm(np.mean(unit(x).numpy(), axis=0)) ** 2),
    ("leave_one_out", lambda x: [mean_pairs(unit(torch.cat([x[:i], x[i + 1 :]]))).item() for i in range(len(x))]),
    ("leave_one_out", lambda x: np.array([in_numpy(x[torch.arange(len(x)) != i]) for i in range(len(x))])),
    ("neighbor_angle", half_angle),
    (
        "neighbor_angle",
        lambda *sides: [degrees(acos(max(-1, min(1, cosine_law(*s))))) for s in zip(*sides, strict=True)],
    ),
    ("volume_fraction", lambda r, n1, n2, d: [float(row[n1 - 1] / row[n2 - 1]) ** d for row in r]),
    ("volume_fraction", lambda r, n1, n2, d: torch.tensor(np.exp(d * (np.log(r[:, n1 - 1]) - np.log(r[:, n2 - 1]))))),
    ("two_nn", lambda r: (len(r) - 1) / sum(log(row[1] / row[0]) for row in r)),
    ("two_nn", lambda r: (len(r) - 1) / len(r) / stats.expon.fit(log_mu(r), floc=0)[1]),
    ("gride_one_scale", bracketed),
    ("gride_one_scale", lambda r, scale: torch.tensor(bracketed(r, scale))),
    ("gride_error", by_sinh),
    ("gride_error", lambda d, x, s: 1 / np.sqrt(sum(information(d, np.array([one]), s) for one in x))),
    ("correlation_dimension", lambda x, r1, r2: growth(spatial.distance.pdist(x), r1, r2)),
    ("correlation_dimension", lambda x, r1, r2: growth(torch.pdist(torch.tensor(x)).numpy(), r1, r2)),
    ("participation_ratio", squares),
    ("participation_ratio", lambda x: 1 / ((variances(x) / variances(x).sum()) ** 2).sum()),
    ("three_averages", lambda m, k: torch.tensor(averages(m, k))),
    ("three_averages", lambda m, k: [sum(1 / m) / len(m), sum(1 / m) / len(m) * (1 - 1 / (k - 1)), len(m) / sum(m)]),
    ("chance_overlap", lambda k, n: Fraction(k, n - 1)),
    ("chance_overlap", lambda k, n: stats.hypergeom.pmf(range(k + 1), n - 1, k, k) @ range(k + 1) / k),
    ("overlap", lambda a, b, k: (a[:, :k, None] == b[:, None, :k]).any(2).mean()),
    ("overlap", lambda a, b, k: torch.tensor(shared(a, b, k))),
    ("reciprocity", lambda t, k: (matrix(t, k) & matrix(t, k).T).sum() / matrix(t, k).sum()),
    ("reciprocity", lambda t, k: torch.tensor(returned(t, k))),
]

WRONG = [
    ("block_inputs", lambda net, x: hooked(net, x, remove=False), "remove"),
    ("block_inputs", lambda net, x: hooked(net, x, before=False), "outputs"),
    ("block_inputs", lambda net, x: hooked(net, x)[:3], "inputs, but you return"),
    ("block_inputs", lambda net, x: [x] * len(net), "called with"),
    ("next_token_loss", lambda x, i: surprise(x, i).mean(), "not their mean"),
    ("next_token_loss", lambda x, i: surprise(x, i, 0), "but token i + 1"),
    ("next_token_loss", lambda x, i: surprise(x, i, 0)[:-1], "but token i + 1"),
    ("next_token_loss", lambda x, i: torch.nn.functional.pad(surprise(x, i), (0, 1)), "beyond the end"),
    ("next_token_loss", lambda x, i: -surprise(x, i), "minus the logarithm"),
    ("next_token_loss", lambda x, i: surprise(x, i) / np.log(2), "bits"),
    ("loss_in_chunks", lambda s, i, head, c: surprise(head(s), i), "11 positions at once, but chunk is 4"),
    ("loss_in_chunks", lambda s, i, head, c: torch.cat([head(x)[:, 0] for x in s.split(c)]), "cut it off"),
    ("loss_in_chunks", lambda s, i, head, c: chunks(s, i, head, c)[:8], "last ones are lost"),
    ("loss_in_chunks", lambda s, i, head, c: chunks(s, i.flip(0), head, c), "in the same way"),
    ("mean_cosine", lambda x: (unit(x) @ unit(x).T).mean(), "all pairs"),
    ("mean_cosine", lambda x: unit(x).mean(0).norm(), "square it"),
    ("mean_cosine", lambda x: mean_pairs(x), "divide each token"),
    ("mean_cosine", lambda x: tg.mean_cosine_similarity(x, False), "with itself"),
    ("mean_cosine", lambda x: 0.5, "squared length"),
    ("leave_one_out", lambda x: mean_pairs(unit(x)), "tokens to leave out"),
    ("leave_one_out", lambda x: without_each(unit(x)) / len(x) ** 2, "are left"),
    ("leave_one_out", lambda x: without_each(x) / (len(x) - 1) ** 2, "divide each"),
    ("leave_one_out", lambda x: torch.zeros(len(x)), "subtract"),
    ("neighbor_angle", lambda a, b, c: np.arccos(cosine_law(a, b, c)), "radians"),
    ("neighbor_angle", cosine_law, "arccos"),
    ("neighbor_angle", lambda a, b, c: a, "law of cosines"),
    ("volume_fraction", lambda r, n1, n2, d: (r[:, n2 - 1] / r[:, n1 - 1]) ** d, "wrong way"),
    ("volume_fraction", lambda r, n1, n2, d: r[:, n1 - 1] / r[:, n2 - 1], "d-th power"),
    ("volume_fraction", lambda r, n1, n2, d: (r[:, n1 - 2] / r[:, n2 - 2]) ** d, "column n - 1"),
    ("two_nn", lambda r: len(r) / log_mu(r).sum(), "N / (N - 1)"),
    ("two_nn", lambda r: log_mu(r).mean(), "estimates 1 / d"),
    ("two_nn", lambda r: -(len(r) - 1) / log_mu(r).sum(), "the sign"),
    ("two_nn", lambda r: 2.0, "exponential"),
    ("gride_one_scale", lambda r, scale: solved(r, scale, 1), "N / (N - 1)"),
    ("gride_one_scale", lambda r, scale: solved(r, 4), "the same number for every scale"),
    ("gride_one_scale", lambda r, scale: scale, "at scale 2"),
    ("gride_one_scale", lambda r, scale: solved(r, 2) + (scale > 2), "changes sign"),
    ("gride_error", information, "square root"),
    ("gride_error", lambda d, x, s: d / len(x) ** 0.5, "larger scales"),
    ("gride_error", lambda d, x, s: (information(d, x, s) / len(x)) ** -0.5, "one token"),
    ("gride_error", lambda d, x, s: d, "(n2 - n1 - 1)"),
    ("correlation_dimension", lambda x, r1, r2: growth(distances(x, itself=True), r1, r2), "itself"),
    ("correlation_dimension", lambda x, r1, r2: growth(distances(x), r1, r2) * np.log(r2 / r1), "divide it"),
    ("correlation_dimension", lambda x, r1, r2: 1 / growth(distances(x), r1, r2), "wrong places"),
    ("participation_ratio", lambda x: ratio(np.linalg.eigvalsh(x.T @ x)), "mean of the cloud"),
    ("participation_ratio", lambda x: ratio(variances(x) ** 0.5), "squares of the singular values"),
    ("participation_ratio", lambda x: 1 / ratio(variances(x)), "upside down"),
    ("three_averages", lambda m, k: 1 / m.mean(), "three numbers"),
    ("three_averages", lambda m, k: averages(m, k, lambda k: (k - 1) / (k - 2)), "smaller"),
    ("three_averages", lambda m, k: averages(m, k, lambda k: 1), "times too high"),
    ("three_averages", lambda m, k: (*averages(m, k)[:2], (1 / m).mean()), "comes first"),
    ("three_averages", lambda m, k: (*averages(m, k)[:2], 2), "of the table"),
    ("chance_overlap", lambda k, n: k / n, "n - 1 others"),
    ("chance_overlap", lambda k, n: 1 / (n - 1), "what is the chance"),
    ("overlap", lambda a, b, k: (a[:, :k] == b[:, :k]).mean(), "rank by rank"),
    ("overlap", lambda a, b, k: shared(a, b, k) * k, "share of k"),
    ("overlap", lambda a, b, k: shared(a, b, 7), "first k columns"),
    ("overlap", lambda a, b, k: k / 8, "for every token"),
    ("reciprocity", links, "number of all links"),
    ("reciprocity", lambda t, k: returned(t, k) / 2, "two links"),
    ("reciprocity", lambda t, k: links(t, k, 5) / (len(t) * k), "both must be near"),
    ("reciprocity", lambda t, k: k / 8, "a link goes"),
    ("block_inputs", chained, "adds each output"),
    ("block_inputs", for_evaluation, "as you found it"),
    ("block_inputs", lambda net, x: hooked(net, x)[::-1], "called with"),
    ("next_token_loss", lambda x, i: torch.exp(-surprise(x, i)), "the probability"),
    ("next_token_loss", lambda x, i: surprise(x, i, 0)[1:], "but token i + 1"),
    ("next_token_loss", lambda x, i: surprise(x - x.max(0).values, i), "each row of logits"),
    ("loss_in_chunks", lambda *given: chunks(*given).mean(), "not their mean"),
    ("loss_in_chunks", lambda s, i, head, c: chunks(s, i, head, 4), "but chunk is"),
    ("mean_cosine", in_numpy, "all pairs"),
    ("mean_cosine", row_by_row, "all pairs"),
    ("mean_cosine", lambda x: torch.nn.functional.cosine_similarity(x[:, None], x[None], dim=-1).mean(), "all pairs"),
    ("mean_cosine", lambda x: mean_pairs(x) / x.square().sum(1).mean(), "divide each token"),
    ("mean_cosine", toward_mean, "mean of the cloud"),
    ("leave_one_out", lambda x: (without_each(unit(x)) - len(x) + 1) / ((len(x) - 1) * (len(x) - 2)), "with itself"),
    ("leave_one_out", lambda x: (unit(x) @ unit(x).T).mean(1), "each token with the others"),
    ("neighbor_angle", unclipped, "clip"),
    ("neighbor_angle", lambda *sides: np.nan_to_num(unclipped(*sides)), "opposite sides"),
    ("neighbor_angle", lambda a, b, c: np.degrees(np.arccos(cosine_law(a, c, b))), "at a neighbor"),
    ("volume_fraction", lambda r, n1, n2, d: 1 - (r[:, n1 - 1] / r[:, n2 - 1]) ** d, "between the two"),
    ("volume_fraction", lambda r, n1, n2, d: (r[:, n1 - 1] / r[:, n2 - 1]) ** 3, "proportional"),
    ("volume_fraction", lambda r, n1, n2, d: (r[:, n1] / r[:, n2]) ** d, "column n - 1"),
    ("two_nn", lambda r: (len(r) - 1) / np.log(r[:, -1] / r[:, 0]).sum(), "first two columns"),
    ("two_nn", lambda r: (len(r) - 1) / np.log(r[:, 2] / r[:, 1]).sum(), "first two columns"),
    ("two_nn", lambda r: np.log(2) / np.median(log_mu(r)), "exponential"),
    ("gride_one_scale", lambda r, scale: round(solved(r, scale), 2), "nearly right"),
    ("gride_one_scale", lambda r, scale: solved(r, scale) + 1e-3, "nearly right"),
    ("gride_error", lambda *given: 1 / information(*given), "is its square root"),
    ("gride_error", lambda d, x, s: information(d, x, 8) ** -0.5, "n2 - n1 - 1"),
    (
        "correlation_dimension",
        lambda x, r1, r2: np.log2(2 ** np.log2(r2 / r1) * growth(distances(x), r1, r2)),
        "count the",
    ),
    ("correlation_dimension", lambda x, r1, r2: growth(distances(x), r1, r2) * np.log2(r2 / r1), "divide it"),
    (
        "correlation_dimension",
        lambda x, r1, r2: np.diff([(distances(x) < r).sum() for r in (r1, r2)])[0] / (r2 - r1),
        "exp",
    ),
    ("participation_ratio", lambda x: ratio(x.var(0)), "variances of the features"),
    ("participation_ratio", lambda x: entropy_rank(variances(x)), "another effective rank"),
    ("participation_ratio", lambda x: x.shape[1], "center the cloud"),
    ("three_averages", lambda m, k: averages(m, k, lambda k: (k - 1) / k), "not of k"),
    ("three_averages", lambda m, k: averages(1 / m, k), "invert each entry"),
    ("chance_overlap", lambda k, n: k**2 / (n - 1), "number of neighbors"),
    ("chance_overlap", lambda k, n: k / (2 * (n - 1) - k), "union"),
    (
        "overlap",
        lambda a, b, k: np.mean(
            [len({*x[:k]} & {*y[:k]}) / len({*x[:k]} | {*y[:k]}) for x, y in zip(a, b, strict=True)]
        ),
        "union",
    ),
    ("overlap", lambda a, b, k: np.isin(a[:, :k], b[:, :k]).mean(), "any token"),
    ("overlap", lambda a, b, k: [shared(a[i : i + 1], b[i : i + 1], k) for i in range(len(a))], "a single number"),
    (
        "reciprocity",
        lambda t, k: (matrix(t, k) & matrix(t, k).T).sum() / (matrix(t, k) | matrix(t, k).T).sum(),
        "mutual",
    ),
    ("reciprocity", lambda t, k: returned(t[:, ::-1], k), "a link goes"),
]


@pytest.mark.parametrize("name, attempt", RIGHT)
def test_another_right_answer_passes(name, attempt):
    assert getattr(check, name)(attempt) == check.Answer(True)


@pytest.mark.parametrize("name, attempt, hint", WRONG)
def test_a_common_mistake_gets_its_hint(name, attempt, hint):
    answer = getattr(check, name)(attempt)
    assert not answer.passed and hint in answer.hint, answer
