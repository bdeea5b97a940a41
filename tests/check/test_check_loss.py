"""The checkers of the chapters on the loss: a hint for each of the usual mistakes, and another right answer passes."""

import re

import numpy as np
import pytest
import torch
from scipy.special import digamma
from scipy.stats import norm
from tokengeom_utils import check
from tokengeom_utils.theory import statistics


def fisher(r, n, k=0, level=0.95, less=3):
    z, half = np.arctanh(r), norm.ppf((1 + level) / 2) / np.sqrt(n - less - k)
    return np.tanh(z - half), np.tanh(z + half)


def symmetric(r, n):
    half = 1.96 * (1 - r**2) / np.sqrt(n)
    return r - half, r + half


def left(v, columns):
    design = np.column_stack(columns)
    return v - design @ np.linalg.lstsq(design, v, rcond=None)[0]


def in_turn(x, y, controls):
    for c in controls:
        x, y = (left(v, [np.ones(len(v)), c]) for v in (x, y))
    return np.corrcoef(x, y)[0, 1]


def by_hand(x, y, controls):
    """From the inverse of the matrix of covariances."""
    precision = np.linalg.inv(np.cov(np.stack([x, y, *controls])))
    return -precision[0, 1] / np.sqrt(precision[0, 0] * precision[1, 1])


def one_mean(x, y, counts):
    return counts @ (x * y) / np.sqrt((counts @ x**2) * (counts @ y**2))


def one_by_one(x, y, counts):
    return np.array([np.corrcoef(np.repeat(x, c), np.repeat(y, c))[0, 1] for c in counts])


def resampled_size(x, y, counts):
    return np.array([np.repeat(x, c).std() * np.repeat(y, c).std() for c in counts])


def frequency(ids, n, own=False, add=1, smooth=True):
    counts = np.stack([np.bincount(row, minlength=n) for row in ids])
    counts = counts.sum(0) - (0 if own else counts)
    counts = np.broadcast_to(counts, (len(ids), n))
    f = (counts + add) / (counts.sum(1, keepdims=True) + (n if smooth else 0))
    return np.take_along_axis(np.log(f), ids, 1).mean(1)


def box(n, L, sign=1, log_n=1):
    share = 1 - np.exp(-L)
    return log_n * np.log(n) + sign * (L + np.log(share / L) - (L / share - 1))


WRONG = [
    (check.fisher_interval, lambda r, n, *rest: fisher(r, n, 0, 0.9), "2.5%"),
    (check.resampled_correlations, lambda x, y, counts: np.zeros(len(counts)), "you need it for"),
    (check.fisher_interval, lambda r, n, k=0, level=0.95: fisher(r, n)[0], "two numbers"),
    (check.fisher_interval, lambda r, n, k=0, level=0.95: np.arctanh(fisher(r, n)), "back to r with tanh"),
    (check.fisher_interval, lambda r, n, k=0, level=0.95: symmetric(r, n), "symmetric around r"),
    (check.fisher_interval, lambda r, n, k=0, level=0.95: fisher(r, n, less=0), "not 1 / n"),
    (check.fisher_interval, lambda r, n, k=0, level=0.95: fisher(r, n), "held fixed takes one more"),
    (check.fisher_interval, lambda r, n, k=0, level=0.95: fisher(r, n, k), "other levels"),
    (check.partial_correlation, lambda x, y, c: np.corrcoef(x, y)[0, 1], "take the controls out of both first"),
    (check.partial_correlation, lambda x, y, c: by_hand(x, y, c[:1]), "only the first control"),
    (check.partial_correlation, lambda x, y, c: np.corrcoef(left(x, c), left(y, c))[0, 1], "column of ones"),
    (check.partial_correlation, in_turn, "one after the other"),
    (check.partial_correlation, lambda x, y, c: np.corrcoef(x, left(y, [np.ones(len(y)), *c]))[0, 1], "both x and y"),
    (check.resampled_correlations, lambda x, y, c: np.corrcoef(x, y)[0, 1], "each row of the counts"),
    (check.resampled_correlations, lambda x, y, c: statistics.pearson(c * x, c * y), "repeats the prompt"),
    (check.resampled_correlations, one_mean, "products of the means"),
    (check.resampled_correlations, lambda x, y, c: one_mean(x - x.mean(), y - y.mean(), c), "those of each resample"),
    (check.resampled_correlations, lambda x, y, c: one_by_one(x, y, c) / resampled_size(x, y, c), "root is missing"),
    (check.mean_log_frequency, lambda ids, n: frequency(ids, n, add=0, smooth=False), "minus infinity"),
    (check.mean_log_frequency, lambda ids, n: frequency(ids, n, own=True), "take its counts off"),
    (check.mean_log_frequency, lambda ids, n: frequency(ids, n, smooth=False), "sum to one"),
    (check.mean_log_frequency, lambda ids, n: frequency(ids, n).mean(), "one number for each prompt"),
    (check.logit_factor, lambda w: torch.linalg.qr(w).Q, "orthonormal columns"),
    (check.logit_factor, lambda w: w.T @ w, "take a root"),
    (check.logit_factor, lambda w: torch.linalg.cholesky(w.T @ w), "transpose"),
    (check.logit_factor, lambda w: w[:5], "R'R = W'W"),
    (check.dirichlet_entropy_of, lambda d: digamma(np.asarray(d) + 1) - digamma(2), "sum to one"),
    (check.dirichlet_entropy_of, lambda d: np.log(d + 1) + np.euler_gamma - 1, "limit for many"),
    (check.dirichlet_entropy_of, lambda d: (digamma(d + 2) - digamma(2)) / np.log(2), "bits"),
    (check.box_entropy, lambda n, L: box(n, L, log_n=0), "number of tokens is missing"),
    (check.box_entropy, lambda n, L: box(n, L, sign=-1), "sign of the deficit"),
    (check.box_entropy, lambda n, L: box(n, L) - 1, "subtracted twice"),
    (check.box_entropy, lambda n, L: np.log(n) + np.log((np.exp(L) - 1) / L) - (L * np.exp(L) / (np.exp(L) - 1) - 1),
     "only e^-L is left"),
    (check.box_entropy, lambda n, L: box(n, min(L, 50)), "wrong for L = 1000"),
]


@pytest.mark.filterwarnings("ignore:overflow encountered", "ignore:invalid value encountered")
@pytest.mark.parametrize("checker, attempt, hint", WRONG, ids=[f"{m[0].__name__}: {m[2]}" for m in WRONG])
def test_a_mistake_gets_its_hint(checker, attempt, hint):
    verdict = checker(attempt)
    assert not verdict.passed and re.search(re.escape(hint), verdict.hint), verdict


@pytest.mark.parametrize("checker, attempt", [
    (check.fisher_interval, fisher), (check.partial_correlation, by_hand), (check.resampled_correlations, one_by_one),
    (check.mean_log_frequency, frequency), (check.logit_factor, lambda w: torch.linalg.cholesky(w.T @ w).T),
    (check.dirichlet_entropy_of, lambda d: digamma(np.asarray(d) + 2) - digamma(2)), (check.box_entropy, box),
])
def test_another_right_answer_passes(checker, attempt):
    assert checker(attempt).passed
