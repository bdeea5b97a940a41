"""Checkers of the part "The measurements": common mistakes get their hints, and other right answers pass."""

import numpy as np
import pytest
import torch

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


RIGHT = [
    ("block_inputs", hooked),
    ("next_token_loss", surprise),
    ("loss_in_chunks", chunks),
    ("mean_cosine", lambda x: mean_pairs(unit(x))),
    ("leave_one_out", lambda x: without_each(unit(x)) / (len(x) - 1) ** 2),
    ("neighbor_angle", lambda a, b, c: np.degrees(np.arccos(cosine_law(a, b, c)))),
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
]

WRONG = [
    ("block_inputs", lambda net, x: hooked(net, x, remove=False), "remove"),
    ("block_inputs", lambda net, x: hooked(net, x, before=False), "outputs"),
    ("block_inputs", lambda net, x: hooked(net, x)[:3], "4 inputs, but you return 3"),
    ("block_inputs", lambda net, x: [x] * 4, "called with"),
    ("next_token_loss", lambda x, i: surprise(x, i).mean(), "not their mean"),
    ("next_token_loss", lambda x, i: surprise(x, i, 0), "but token i + 1"),
    ("next_token_loss", lambda x, i: surprise(x, i, 0)[:-1], "but token i + 1"),
    ("next_token_loss", lambda x, i: torch.nn.functional.pad(surprise(x, i), (0, 1)), "5 losses"),
    ("next_token_loss", lambda x, i: -surprise(x, i), "minus the logarithm"),
    ("next_token_loss", lambda x, i: surprise(x, i) / np.log(2), "bits"),
    ("loss_in_chunks", lambda s, i, head, c: surprise(head(s), i), "11 positions at once, but chunk is 4"),
    ("loss_in_chunks", lambda s, i, head, c: torch.cat([head(x)[:, 0] for x in s.split(c)]), "cut it off"),
    ("loss_in_chunks", lambda s, i, head, c: chunks(s, i, head, c)[:8], "last two are lost"),
    ("loss_in_chunks", lambda s, i, head, c: chunks(s, i.flip(0), head, c), "in the same way"),
    ("mean_cosine", lambda x: (unit(x) @ unit(x).T).mean(), "all pairs"),
    ("mean_cosine", lambda x: unit(x).mean(0).norm(), "square it"),
    ("mean_cosine", lambda x: mean_pairs(x), "divide each token"),
    ("mean_cosine", lambda x: tg.mean_cosine_similarity(x, False), "with itself"),
    ("mean_cosine", lambda x: 0.5, "squared length"),
    ("leave_one_out", lambda x: mean_pairs(unit(x)), "12 tokens"),
    ("leave_one_out", lambda x: without_each(unit(x)) / 144, "11 x 11"),
    ("leave_one_out", lambda x: without_each(x) / 121, "divide each"),
    ("leave_one_out", lambda x: torch.zeros(12), "subtract"),
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
    ("gride_one_scale", lambda r, scale: solved(r, 2) + (scale > 2) * 1e-3, "changes sign"),
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
    ("overlap", lambda a, b, k: shared(a, b, 5), "first k columns"),
    ("overlap", lambda a, b, k: k / 8, "for every token"),
    ("reciprocity", links, "number of all links"),
    ("reciprocity", lambda t, k: returned(t, k) / 2, "two links"),
    ("reciprocity", lambda t, k: links(t, k, 5) / (len(t) * k), "both must be near"),
    ("reciprocity", lambda t, k: k / 8, "a link goes"),
]


@pytest.mark.parametrize("name, attempt", RIGHT)
def test_another_right_answer_passes(name, attempt):
    assert getattr(check, name)(attempt) == check.Answer(True)


@pytest.mark.parametrize("name, attempt, hint", WRONG)
def test_a_common_mistake_gets_its_hint(name, attempt, hint):
    answer = getattr(check, name)(attempt)
    assert not answer.passed and hint in answer.hint, answer
