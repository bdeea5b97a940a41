"""Checkers of the part "The findings": common mistakes get their hints, and other right answers pass."""

from collections import Counter
from itertools import product

import numpy as np
import pytest
import torch
from scipy.special import digamma
from scipy.stats import norm

from tokengeom_utils import check
from tokengeom_utils.claims.judging import sign_flip_p_value
from tokengeom_utils.prompts.shuffle import bleu
from tokengeom_utils.theory import statistics


def blocks(ids, degree, rng, pieces=None, inside=False):
    cut = np.asarray(ids).reshape(pieces or 4**degree, -1)
    return (rng.permuted(cut, axis=1) if inside else cut[rng.permutation(len(cut))]).reshape(-1)


def runs(ids, n):
    return [tuple(ids[i : i + n]) for i in range(len(ids) - n + 1)]


def precision(ids, reference, n):
    a, b = runs(ids, n), runs(reference, n)
    return (Counter(a) & Counter(b)).total() / len(a)


def flips(differences, extreme):
    means = [np.mean(np.multiply(signs, differences)) for signs in product((1, -1), repeat=len(differences))]
    return extreme(np.array(means), np.mean(differences))


def fisher(r, n, k=0, level=0.95, less=3):
    z, half = np.arctanh(r), norm.ppf((1 + level) / 2) / np.sqrt(n - less - k)
    return np.tanh(z - half), np.tanh(z + half)


def symmetric(r, n, *rest):
    half = 1.96 * (1 - r**2) / np.sqrt(n)
    return r - half, r + half


def left(v, columns):
    design = np.column_stack(columns)
    return v - design @ np.linalg.lstsq(design, v, rcond=None)[0]


def in_turn(x, y, controls):
    for c in controls:
        x, y = (left(v, [np.ones(len(v)), c]) for v in (x, y))
    return np.corrcoef(x, y)[0, 1]


def by_precision(x, y, controls):
    """Read the partial correlation off the inverse of the matrix of covariances."""
    inverse = np.linalg.inv(np.cov(np.stack([x, y, *controls])))
    return -inverse[0, 1] / np.sqrt(inverse[0, 0] * inverse[1, 1])


def one_mean(x, y, counts):
    return counts @ (x * y) / np.sqrt((counts @ x**2) * (counts @ y**2))


def one_by_one(x, y, counts):
    return np.array([np.corrcoef(np.repeat(x, c), np.repeat(y, c))[0, 1] for c in counts])


def resampled_size(x, y, counts):
    return np.array([np.repeat(x, c).std() * np.repeat(y, c).std() for c in counts])


def frequency(ids, n, own=False, add=1, smooth=True):
    counts = np.stack([np.bincount(row, minlength=n) for row in ids])
    counts = np.broadcast_to(counts.sum(0) - (0 if own else counts), (len(ids), n))
    f = (counts + add) / (counts.sum(1, keepdims=True) + (n if smooth else 0))
    return np.take_along_axis(np.log(f), ids, 1).mean(1)


def dirichlet(d, entries=1):
    return digamma(np.asarray(d) + entries + 1) - digamma(2)


def box(n, L, sign=1, log_n=1):
    share = 1 - np.exp(-L)
    return log_n * np.log(n) + sign * (L + np.log(share / L) - (L / share - 1))


def box_as_written(n, L):
    return np.log(n) + np.log((np.exp(L) - 1) / L) - (L * np.exp(L) / (np.exp(L) - 1) - 1)


RIGHT = [
    ("shuffle_blocks", blocks),
    ("ngram_precision", precision),
    ("sign_flip", sign_flip_p_value),
    ("sign_flip", lambda d: flips(d, lambda m, seen: np.mean(np.abs(m) >= abs(seen) - 1e-12))),
    ("fisher_interval", fisher),
    ("partial_correlation", by_precision),
    ("resampled_correlations", one_by_one),
    ("mean_log_frequency", frequency),
    ("logit_factor", lambda w: torch.linalg.cholesky(w.T @ w).T),
    ("dirichlet_entropy_of", dirichlet),
    ("box_entropy", box),
]

WRONG = [
    ("shuffle_blocks", lambda ids, degree, rng: rng.choice(ids, len(ids)), "drops or repeats"),
    ("shuffle_blocks", lambda ids, degree, rng: rng.permutation(ids), "degree 0"),
    ("shuffle_blocks", lambda *a: blocks(*a, inside=True) if a[1] else a[0], "keep their order: permute"),
    ("shuffle_blocks", lambda *a: blocks(*a, pieces=a[1]), "nothing at degree 1"),
    ("shuffle_blocks", lambda *a: blocks(*a, pieces=2 ** a[1]), "32 tokens"),
    ("shuffle_blocks", lambda *a: blocks(*a, pieces=64 // 4 ** a[1]) if a[1] else a[0], "4 tokens"),
    ("shuffle_blocks", lambda ids, degree, rng: blocks(ids, degree, np.random.default_rng(2)), "every generator"),
    ("ngram_precision", lambda a, b, n: precision(a, b, n) * (9 - n), "divide"),
    ("ngram_precision", lambda a, b, n: np.mean([r in runs(b, n) for r in runs(a, n)]), "only two"),
    ("ngram_precision", lambda a, b, n: len({*runs(a, n)} & {*runs(b, n)}) / len({*runs(a, n)}), "a set"),
    ("ngram_precision", lambda a, b, n: precision(a, b, n) * (9 - n) / 8, "8 - n + 1"),
    ("ngram_precision", lambda a, b, n: np.equal(runs(a, n), runs(b, n)).all(1).mean(), "wherever"),
    ("ngram_precision", lambda a, b, n: bleu(a, b), "Counter"),
    ("sign_flip", lambda d: flips(d, lambda m, seen: np.mean(m >= seen - 1e-12)), "one side"),
    ("sign_flip", lambda d: flips(d, lambda m, seen: np.mean(np.abs(m) > abs(seen) + 1e-12)), "no p-value is zero"),
    ("sign_flip", lambda d: flips(d, lambda m, seen: np.sum(np.abs(m) >= abs(seen) - 1e-12)), "2**n"),
    ("sign_flip", lambda d: 0.5, "patterns of signs"),
    ("fisher_interval", lambda *a: fisher(*a)[0], "two numbers"),
    ("fisher_interval", lambda *a: np.arctanh(fisher(*a)), "back to r with tanh"),
    ("fisher_interval", symmetric, "symmetric around r"),
    ("fisher_interval", lambda *a: fisher(*a, less=0), "not 1 / n"),
    ("fisher_interval", lambda r, n, *rest: fisher(r, n, 0, 0.9), "2.5%"),
    ("fisher_interval", lambda r, n, k=0, level=0.95: fisher(r, n), "held fixed takes one more"),
    ("fisher_interval", lambda r, n, k=0, level=0.95: fisher(r, n, k), "other levels"),
    ("partial_correlation", lambda x, y, c: np.corrcoef(x, y)[0, 1], "take the controls out of both first"),
    ("partial_correlation", lambda x, y, c: by_precision(x, y, c[:1]), "only the first control"),
    ("partial_correlation", lambda x, y, c: np.corrcoef(left(x, c), left(y, c))[0, 1], "column of ones"),
    ("partial_correlation", in_turn, "one after the other"),
    ("partial_correlation", lambda x, y, c: np.corrcoef(x, left(y, [np.ones(len(y)), *c]))[0, 1], "both x and y"),
    ("resampled_correlations", lambda x, y, c: np.corrcoef(x, y)[0, 1], "each row of counts"),
    ("resampled_correlations", lambda x, y, c: statistics.pearson(c * x, c * y), "repeats the prompt"),
    ("resampled_correlations", one_mean, "products of the means"),
    ("resampled_correlations", lambda x, y, c: one_mean(x - x.mean(), y - y.mean(), c), "means of each resample"),
    ("resampled_correlations", lambda *a: one_by_one(*a) / resampled_size(*a), "root is missing"),
    ("resampled_correlations", lambda x, y, counts: np.zeros(len(counts)), "you need it for"),
    ("mean_log_frequency", lambda ids, n: frequency(ids, n).mean(), "one number for each prompt"),
    ("mean_log_frequency", lambda ids, n: frequency(ids, n, add=0, smooth=False), "minus infinity"),
    ("mean_log_frequency", lambda ids, n: frequency(ids, n, own=True), "subtract its counts"),
    ("mean_log_frequency", lambda ids, n: frequency(ids, n, smooth=False), "sum to one"),
    ("logit_factor", lambda w: torch.linalg.qr(w).Q, "orthonormal columns"),
    ("logit_factor", lambda w: w.T @ w, "take a root"),
    ("logit_factor", lambda w: torch.linalg.cholesky(w.T @ w), "transpose"),
    ("logit_factor", lambda w: w[:5], "R'R = W'W"),
    ("dirichlet_entropy_of", lambda d: dirichlet(d, entries=0), "sum to one"),
    ("dirichlet_entropy_of", lambda d: np.log(d + 1) + np.euler_gamma - 1, "limit for many"),
    ("dirichlet_entropy_of", lambda d: dirichlet(d) / np.log(2), "bits"),
    ("box_entropy", lambda n, L: box(n, L, log_n=0), "number of tokens is missing"),
    ("box_entropy", lambda n, L: box(n, L, sign=-1), "sign of the deficit"),
    ("box_entropy", lambda n, L: box(n, L) - 1, "the one is added"),
    ("box_entropy", box_as_written, "only e^-L is left"),
    ("box_entropy", lambda n, L: box(n, min(L, 50)), "wrong for L = 1000"),
]


@pytest.mark.parametrize("name, attempt", RIGHT)
def test_another_right_answer_passes(name, attempt):
    assert getattr(check, name)(attempt) == check.Answer(True)


@pytest.mark.parametrize("name, attempt, hint", WRONG)
def test_a_common_mistake_gets_its_hint(name, attempt, hint):
    answer = getattr(check, name)(attempt)
    assert not answer.passed and hint in answer.hint, answer
