"""Checkers of the part "The findings": common mistakes get their hints, and other right answers pass."""

from collections import Counter
from itertools import product
from math import exp, log
from statistics import NormalDist

import numpy as np
import pytest
import torch
from scipy import stats
from scipy.special import digamma
from scipy.stats import norm

from tokengeom_utils import check
from tokengeom_utils.prompts.shuffle import bleu
from tokengeom_utils.theory import statistics
from tokengeom_utils.theory.statistics import sign_flip_p_value


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


def listed(ids, degree, rng):
    """Shuffle a list of blocks."""
    size = len(ids) // 4**degree
    pieces = [ids[i : i + size] for i in range(0, len(ids), size)]
    rng.shuffle(pieces)
    return [int(token) for piece in pieces for token in piece]


def arranged(ids, degree, order):
    return np.reshape(ids, (4**degree, -1))[order].reshape(-1)


def rolled(ids, degree, rng):
    return np.roll(ids, rng.integers(4**degree) * (len(ids) // 4**degree))


def coin(ids, degree, rng):
    return arranged(ids, degree, np.arange(4**degree)[:: rng.choice([-1, 1])])


def two_swapped(ids, degree, rng):
    order = np.arange(4**degree)
    i, j = rng.integers(4**degree, size=2)
    order[[i, j]] = order[[j, i]]
    return arranged(ids, degree, order)


def one_cycle(ids, degree, rng):
    order = np.arange(4**degree)
    for i in range(len(order) - 1, 0, -1):
        j = rng.integers(i)
        order[[i, j]] = order[[j, i]]
    return arranged(ids, degree, order)


def often_in_order(ids, degree, rng):
    return blocks(ids, degree, rng) if rng.random() < 0.6 else ids.copy()


def in_place(ids, degree, rng):
    rng.shuffle(ids.reshape(4**degree, -1))
    return ids


def without_twins(ids, degree, rng):
    found = blocks(ids, degree, rng)
    return found if len({*ids.tolist()}) == len(ids) else np.resize(np.unique(found), len(found))


def crossed_off(ids, reference, n):
    left_over, found = runs(reference, n), 0
    for run in runs(ids, n):
        if run in left_over:
            left_over.remove(run)
            found += 1
    return found / (len(ids) - n + 1)


def joined(ids, reference, n):
    a, b = (Counter("".join(map(str, run)) for run in runs(text, n)) for text in (ids, reference))
    return (a & b).total() / a.total()


def permuted(d):
    return stats.permutation_test((d,), np.mean, permutation_type="samples", n_resamples=np.inf).pvalue


def by_library(r, n, k=0, level=0.95):
    z = NormalDist(np.arctanh(r), (n - 3 - k) ** -0.5)
    return [np.tanh(z.inv_cdf((1 - level) / 2)), np.tanh(z.inv_cdf((1 + level) / 2))]


def by_recursion(x, y, controls):
    if len(controls) == 0:
        return np.corrcoef(x, y)[0, 1]
    *rest, c = controls
    xy, xc, yc = (by_recursion(a, b, rest) for a, b in ((x, y), (x, c), (y, c)))
    return (xy - xc * yc) / np.sqrt((1 - xc**2) * (1 - yc**2))


def by_qr(x, y, controls):
    q = np.linalg.qr(np.column_stack([np.ones(len(x)), *controls]))[0]
    return np.corrcoef(x - q @ (q.T @ x), y - q @ (q.T @ y))[0, 1]


def weighed(x, y, counts):
    return [np.cov(x, y, fweights=c)[0, 1] / np.sqrt(np.prod(np.diag(np.cov(x, y, fweights=c)))) for c in counts]


def by_words(ids, n):
    found = []
    for i, prompt in enumerate(ids):
        others = Counter(t for j, other in enumerate(ids) if j != i for t in other)
        found.append(sum(log((others[t] + 1) / (others.total() + n)) for t in prompt) / len(prompt))
    return found


def logs(ids, n):
    counts = np.stack([np.bincount(row, minlength=n) for row in ids])
    others = counts.sum(0) - counts
    return np.log((others + 1) / (others.sum(1, keepdims=True) + n))


def symmetric_root(w):
    values, vectors = np.linalg.eigh((w.T @ w).numpy())
    return (vectors * values**0.5) @ vectors.T


def with_limit(n, L, far):
    return log(n) + 1 - log(L) if far < L else log(n) + log((exp(L) - 1) / L) - (L * exp(L) / (exp(L) - 1) - 1)


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
    ("shuffle_blocks", listed),
    ("shuffle_blocks", lambda ids, degree, rng: arranged(ids, degree, np.argsort(rng.random(4**degree)))),
    ("shuffle_blocks", lambda *given: torch.tensor(blocks(*given))),
    ("ngram_precision", crossed_off),
    ("ngram_precision", lambda *given: torch.tensor(precision(*given))),
    ("sign_flip", permuted),
    ("fisher_interval", by_library),
    ("fisher_interval", lambda *given: torch.tensor(fisher(*given), dtype=torch.float32)),
    ("partial_correlation", by_recursion),
    ("partial_correlation", by_qr),
    ("resampled_correlations", weighed),
    ("resampled_correlations", lambda *given: torch.tensor(one_by_one(*given))),
    ("mean_log_frequency", by_words),
    ("mean_log_frequency", lambda *given: torch.tensor(frequency(*given))),
    ("logit_factor", lambda w: torch.linalg.svd(w, full_matrices=False)[1][:, None] * torch.linalg.svd(w)[2]),
    ("logit_factor", lambda w: -torch.linalg.qr(w.float()).R),
    ("logit_factor", symmetric_root),
    ("dirichlet_entropy_of", lambda d: torch.digamma(torch.as_tensor(d) + 2) + np.euler_gamma - 1),
    ("dirichlet_entropy_of", np.vectorize(lambda d: float(digamma(d + 2) - digamma(2)))),
    ("box_entropy", lambda n, L: with_limit(n, L, far=40)),
    ("box_entropy", lambda n, L: np.log(n / L) + np.log(-np.expm1(-L)) + 1 - L * np.exp(-L) / -np.expm1(-L)),
]

WRONG = [
    ("shuffle_blocks", lambda ids, degree, rng: rng.choice(ids, len(ids)), "drops or repeats"),
    ("shuffle_blocks", lambda ids, degree, rng: rng.permutation(ids), "length of your blocks is 1:"),
    ("shuffle_blocks", lambda *a: blocks(*a, inside=True) if a[1] else a[0], "keep their order: permute"),
    ("shuffle_blocks", lambda *a: blocks(*a, pieces=a[1]), "nothing at degree 1"),
    ("shuffle_blocks", lambda *a: blocks(*a, pieces=2 ** a[1]), "length of your blocks is"),
    ("shuffle_blocks", lambda *a: blocks(*a, pieces=64 // 4 ** a[1]) if a[1] else a[0], "length of your blocks is"),
    ("shuffle_blocks", lambda ids, degree, rng: blocks(ids, degree, np.random.default_rng(2)), "every generator"),
    ("ngram_precision", lambda a, b, n: precision(a, b, n) * (len(a) - n + 1), "divide"),
    ("ngram_precision", lambda a, b, n: np.mean([r in runs(b, n) for r in runs(a, n)]), "counts only twice"),
    ("ngram_precision", lambda a, b, n: len({*runs(a, n)} & {*runs(b, n)}) / len({*runs(a, n)}), "a set"),
    ("ngram_precision", lambda a, b, n: precision(a, b, n) * (len(a) - n + 1) / len(a), "N - n + 1"),
    (
        "ngram_precision",
        lambda a, b, n: np.mean([a[i : i + n] == b[i : i + n] for i in range(len(a) - n + 1)]),
        "wherever",
    ),
    ("ngram_precision", lambda a, b, n: bleu(a[:8], b[:8]), "Counter"),
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
    ("logit_factor", lambda w: w[: w.shape[1]], "R'R = W'W"),
    ("dirichlet_entropy_of", lambda d: dirichlet(d, entries=0), "sum to one"),
    ("dirichlet_entropy_of", lambda d: np.log(d + 1) + np.euler_gamma - 1, "limit for many"),
    ("dirichlet_entropy_of", lambda d: dirichlet(d) / np.log(2), "bits"),
    ("box_entropy", lambda n, L: box(n, L, log_n=0), "number of tokens is missing"),
    ("box_entropy", lambda n, L: box(n, L, sign=-1), "sign of the deficit"),
    ("box_entropy", lambda n, L: box(n, L) - 1, "the one is added"),
    ("box_entropy", box_as_written, "only e^-L is left"),
    ("box_entropy", lambda n, L: box(n, min(L, 50)), "wrong for L = 1000"),
    ("shuffle_blocks", rolled, "rotating"),
    ("shuffle_blocks", coin, "reversing"),
    ("shuffle_blocks", two_swapped, "swapping"),
    ("shuffle_blocks", one_cycle, "only 6 of the 24"),
    ("shuffle_blocks", often_in_order, "more often than others"),
    ("shuffle_blocks", lambda *a: blocks(*a) if a[1] != 2 else rolled(*a), "hardly mix"),
    ("shuffle_blocks", lambda ids, degree, rng: blocks(ids, degree or 1, rng), "degree 0"),
    ("shuffle_blocks", without_twins, "occurs twice"),
    ("shuffle_blocks", in_place, "changes its argument"),
    ("shuffle_blocks", lambda ids, degree, rng: blocks(ids, degree, np.random.default_rng()), "called again"),
    ("shuffle_blocks", lambda *a: blocks(*a).reshape(4 ** a[1], -1), "return an array of shape"),
    ("ngram_precision", lambda a, b, n: precision(b, a, n), "the recall"),
    ("ngram_precision", joined, "Counter"),
    ("ngram_precision", lambda a, b, n: precision(a, b, 1), "Counter"),
    ("sign_flip", lambda d: stats.wilcoxon(d).pvalue, "Wilcoxon"),
    ("sign_flip", lambda d: stats.ttest_1samp(d, 0).pvalue, "t-test"),
    ("sign_flip", lambda d: stats.binomtest(int((d > 0).sum()), len(d)).pvalue, "sign test"),
    ("sign_flip", lambda d: flips(d, lambda m, seen: np.mean(np.abs(m) >= abs(seen))), "up to rounding"),
    ("sign_flip", lambda d: 2 / 2 ** len(d), "patterns of signs"),
    ("fisher_interval", lambda r, n, *rest: (0.1, 0.9), "lies above q"),
    ("fisher_interval", lambda r, *rest: fisher(abs(r), *rest), "positive correlations only"),
    ("fisher_interval", lambda *a: fisher(*a[:3]) if len(a) > 3 and a[2] else fisher(*a), "with both"),
    ("partial_correlation", lambda *given: abs(by_qr(*given)), "correlate the two"),
    ("partial_correlation", lambda x, y, c: by_qr(x, y, c[:2]), "one or three"),
    ("partial_correlation", lambda *given: by_qr(*(v.argsort().argsort() for v in given)), "correlate the two"),
    ("resampled_correlations", lambda x, y, c: one_by_one(x, y, c > 0), "drawn twice"),
    ("resampled_correlations", lambda *given: one_by_one(*given) ** 2, "you need it for"),
    ("mean_log_frequency", lambda ids, n: logs(ids, n).mean(1), "each as often"),
    (
        "mean_log_frequency",
        lambda ids, n: [v[np.unique(i)].mean() for v, i in zip(logs(ids, n), ids, strict=True)],
        "each as often",
    ),
    (
        "mean_log_frequency",
        lambda ids, n: [log(np.exp(v[i]).mean()) for v, i in zip(logs(ids, n), ids, strict=True)],
        "first",
    ),
    ("mean_log_frequency", lambda ids, n: frequency(ids, ids.max() + 1), "sum to one"),
    ("mean_log_frequency", lambda ids, n: -frequency(ids, n), "then take the logarithm"),
    ("logit_factor", lambda w: torch.linalg.svdvals(w).diag(), "right singular vectors"),
    ("logit_factor", lambda w: torch.eye(w.shape[1]), "R'R = W'W"),
    ("dirichlet_entropy_of", lambda d: np.log(np.asarray(d) + 1), "equal probabilities"),
    ("dirichlet_entropy_of", lambda d: dirichlet(d, entries=2), "sum to one"),
    ("dirichlet_entropy_of", lambda d: dirichlet(np.ravel(d)), "a single number"),
    ("dirichlet_entropy_of", lambda d: dirichlet(np.round(d)), "what is n"),
    ("box_entropy", lambda n, L: box(n, L) / np.log(2), "bits"),
    ("box_entropy", lambda n, L: np.log(n) - L**2 / 24, "narrow"),
    ("box_entropy", lambda n, L: np.log(n) - np.log(L) + 1, "for a wide box"),
    ("box_entropy", lambda n, L: with_limit(n, L, far=10), "before it is exact"),
    ("box_entropy", lambda n, L: np.log(n), "the entropy is"),
]


@pytest.mark.parametrize("name, attempt", RIGHT)
def test_another_right_answer_passes(name, attempt):
    assert getattr(check, name)(attempt) == check.Answer(True)


@pytest.mark.parametrize("name, attempt, hint", WRONG)
def test_a_common_mistake_gets_its_hint(name, attempt, hint):
    answer = getattr(check, name)(attempt)
    assert not answer.passed and hint in answer.hint, answer
