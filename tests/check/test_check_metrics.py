"""The checkers of the chapters on measurements: a hint for each of the usual mistakes, and the right answer passes."""

import re

import numpy as np
import pytest
import torch

import tokengeom_utils as tg
from tokengeom_utils import check


def surprise(logits, ids, shift=1):
    n = len(ids) - shift
    return -torch.log_softmax(logits, -1)[torch.arange(n), ids[shift:]]


def unit(cloud):
    return cloud / cloud.norm(dim=-1, keepdim=True)


def hooked(network, x, before=True, remove=True):
    seen = []
    handles = [
        b.register_forward_pre_hook(lambda _, args: seen.append(args[0])) if before
        else b.register_forward_hook(lambda _, args, out: seen.append(out))
        for b in network
    ]
    network(x)
    if remove:
        for handle in handles:
            handle.remove()
    return seen


def chunks(states, ids, head, chunk, cut=True):
    states = states[:-1] if cut else states
    return torch.cat([-torch.log_softmax(head(s), -1)[torch.arange(len(s)), t]
                      for s, t in zip(states.split(chunk), ids[1:].split(chunk))])


def solved(r, scale, plain=0):
    """GRIDE by Newton from below; ``plain`` adds to N - 1."""
    n1, log_mu = scale // 2, np.log(r[:, scale - 1] / r[:, scale // 2 - 1])
    d = 1e-3
    for _ in range(200):
        term = (log_mu / (1 - np.exp(-d * log_mu))).sum()
        score = (len(r) - 1 + plain) / d + (n1 - 1) * term - (scale - 1) * log_mu.sum()
        slope = len(r) / d**2 + (n1 - 1) * (log_mu**2 * np.exp(-d * log_mu) / (1 - np.exp(-d * log_mu)) ** 2).sum()
        d += score / slope
    return d


def information(d, log_mu, scale):
    y = np.exp(-d * log_mu)
    return len(log_mu) / d**2 + (scale // 2 - 1) * (log_mu**2 * y / (1 - y) ** 2).sum()


def links(table, k, rows=None):
    return sum(i in table[j, :rows or k] for i in range(len(table)) for j in table[i, :k])


def mean_pairs(u):
    return (u.sum(0) ** 2).sum() / len(u) ** 2


RIGHT = {
    "next_token_loss": surprise,
    "loss_in_chunks": chunks,
    "block_inputs": hooked,
    "mean_cosine": lambda x: mean_pairs(unit(x)),
    "leave_one_out": lambda x: ((unit(x).sum(0) - unit(x)) ** 2).sum(1) / (len(x) - 1) ** 2,
    "neighbor_angle": lambda a, b, c: np.degrees(np.arccos((a**2 + b**2 - c**2) / (2 * a * b))),
    "volume_fraction": lambda r, n1, n2, d: (r[:, n1 - 1] / r[:, n2 - 1]) ** d,
    "two_nn": lambda r: (len(r) - 1) / np.log(r[:, 1] / r[:, 0]).sum(),
    "gride_one_scale": solved,
    "gride_error": lambda d, log_mu, scale: information(d, log_mu, scale) ** -0.5,
    "chance_overlap": lambda k, n: k / (n - 1),
    "overlap": lambda a, b, k: np.mean([len({*x[:k]} & {*y[:k]}) / k for x, y in zip(a.tolist(), b.tolist())]),
    "reciprocity": lambda t, k: links(t, k) / (len(t) * k),
}

WRONG = [
    ("next_token_loss", lambda x, i: surprise(x, i).mean(), "not their mean"),
    ("next_token_loss", lambda x, i: surprise(x, i, 0), "token i \\+ 1"),
    ("next_token_loss", lambda x, i: surprise(x, i, 0)[:-1], "token i \\+ 1"),
    ("next_token_loss", lambda x, i: torch.nn.functional.pad(surprise(x, i), (0, 1)), "5 losses"),
    ("next_token_loss", lambda x, i: -surprise(x, i), "minus the logarithm"),
    ("next_token_loss", lambda x, i: surprise(x, i) / np.log(2), "bits"),
    ("loss_in_chunks", lambda s, i, head, c: surprise(head(s), i), "11 positions at once"),
    ("loss_in_chunks", lambda s, i, head, c: torch.cat([head(x)[:, 0] for x in s.split(c)]), "cut it off"),
    ("loss_in_chunks", lambda s, i, head, c: chunks(s, i, head, c)[:8], "last two are lost"),
    ("loss_in_chunks", lambda s, i, head, c: chunks(s, i.flip(0), head, c), "split both alike"),
    ("block_inputs", lambda net, x: hooked(net, x, remove=False), "remove"),
    ("block_inputs", lambda net, x: hooked(net, x, before=False), "outputs"),
    ("block_inputs", lambda net, x: hooked(net, x)[:3], "4 inputs"),
    ("block_inputs", lambda net, x: [x] * 4, "called with"),
    ("mean_cosine", lambda x: (unit(x) @ unit(x).T).mean(), "all pairs"),
    ("mean_cosine", lambda x: unit(x).mean(0).norm(), "square it"),
    ("mean_cosine", lambda x: mean_pairs(x), "divide each token"),
    ("mean_cosine", lambda x: tg.mean_cosine_similarity(x, False), "itself too"),
    ("mean_cosine", lambda x: 0.5, "squared length"),
    ("leave_one_out", lambda x: mean_pairs(unit(x)), "12 ways"),
    ("leave_one_out", lambda x: ((unit(x).sum(0) - unit(x)) ** 2).sum(1) / 144, "11 x 11"),
    ("leave_one_out", lambda x: ((x.sum(0) - x) ** 2).sum(1) / 121, "divide each"),
    ("leave_one_out", lambda x: torch.zeros(12), "subtract"),
    ("neighbor_angle", lambda a, b, c: np.arccos((a**2 + b**2 - c**2) / (2 * a * b)), "radians"),
    ("neighbor_angle", lambda a, b, c: (a**2 + b**2 - c**2) / (2 * a * b), "arccos"),
    ("neighbor_angle", lambda a, b, c: a, "law of cosines"),
    ("volume_fraction", lambda r, n1, n2, d: (r[:, n2 - 1] / r[:, n1 - 1]) ** d, "wrong way"),
    ("volume_fraction", lambda r, n1, n2, d: r[:, n1 - 1] / r[:, n2 - 1], "d-th power"),
    ("volume_fraction", lambda r, n1, n2, d: (r[:, n1 - 2] / r[:, n2 - 2]) ** d, "column n - 1"),
    ("two_nn", lambda r: len(r) / np.log(r[:, 1] / r[:, 0]).sum(), r"N / \(N - 1\)"),
    ("two_nn", lambda r: np.log(r[:, 1] / r[:, 0]).mean(), "1 / d"),
    ("two_nn", lambda r: (len(r) - 1) / np.log(r[:, 0] / r[:, 1]).sum(), "the sign"),
    ("two_nn", lambda r: 2.0, "exponential"),
    ("gride_one_scale", lambda r, scale: solved(r, scale, 1), r"N / \(N - 1\)"),
    ("gride_one_scale", lambda r, scale: solved(r, 4), "one number for every scale"),
    ("gride_one_scale", lambda r, scale: scale, "at scale 2"),
    ("gride_one_scale", lambda r, scale: solved(r, 2) + (scale > 2) * 1e-3, "sign"),
    ("gride_error", lambda d, x, s: information(d, x, s), "square root"),
    ("gride_error", lambda d, x, s: d / len(x) ** 0.5, "larger scales"),
    ("gride_error", lambda d, x, s: (information(d, x, s) / len(x)) ** -0.5, "one token"),
    ("gride_error", lambda d, x, s: d, r"\(n2 - n1 - 1\)"),
    ("chance_overlap", lambda k, n: k / n, "n - 1"),
    ("chance_overlap", lambda k, n: 1 / (n - 1), "what is the chance"),
    ("overlap", lambda a, b, k: (a[:, :k] == b[:, :k]).mean(), "place by place"),
    ("overlap", lambda a, b, k: RIGHT["overlap"](a, b, k) * k, "share of k"),
    ("overlap", lambda a, b, k: RIGHT["overlap"](a, b, 5), "first k columns"),
    ("overlap", lambda a, b, k: k / 8, "for every token"),
    ("reciprocity", lambda t, k: links(t, k), "divide by all"),
    ("reciprocity", lambda t, k: RIGHT["reciprocity"](t, k) / 2, "two links"),
    ("reciprocity", lambda t, k: links(t, k, 5) / (len(t) * k), "both must be near"),
    ("reciprocity", lambda t, k: k / 8, "a link goes"),
]


@pytest.mark.parametrize("name", RIGHT)
def test_the_right_answer_passes(name):
    assert repr(getattr(check, name)(RIGHT[name])) == "correct"


@pytest.mark.parametrize("name, attempt, hint", WRONG)
def test_a_usual_mistake_is_recognized(name, attempt, hint):
    answer = getattr(check, name)(attempt)
    assert not answer.passed
    assert re.search(hint, answer.hint), answer.hint
