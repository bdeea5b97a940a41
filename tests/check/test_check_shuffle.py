"""The checkers of the chapters on the shuffle and the verdicts: a hint for each of the usual mistakes."""

from collections import Counter
from itertools import product

import numpy as np
import pytest

from tokengeom_utils import check
from tokengeom_utils.claims.judging import sign_flip_p_value
from tokengeom_utils.prompts.shuffle import bleu
from tokengeom_utils.theory.statistics import holm


def blocks(ids, degree, rng, pieces=None, inside=False, tokens=None):
    pieces = pieces(degree) if pieces else len(ids) // tokens(degree) if tokens else 4**degree
    cut = np.asarray(ids).reshape(max(pieces, 1), -1)
    return (rng.permuted(cut, axis=1) if inside else cut[rng.permutation(len(cut))]).reshape(-1)


def runs(ids, n):
    return [tuple(ids[i : i + n]) for i in range(len(ids) - n + 1)]


def precision(ids, reference, n):
    a, b = runs(ids, n), runs(reference, n)
    return (Counter(a) & Counter(b)).total() / len(a)


def flips(differences, extreme):
    seen = np.mean(differences)
    means = [np.mean(np.multiply(signs, differences)) for signs in product((1, -1), repeat=len(differences))]
    return extreme(np.array(means), seen)


def stepwise(p, running=True, back=True, clip=True):
    order = np.argsort(p)
    steps = np.arange(len(p), 0, -1) * p[order]
    steps = np.maximum.accumulate(steps) if running else steps
    steps = np.minimum(1, steps) if clip else steps
    out = np.empty(len(p))
    out[order if back else np.arange(len(p))] = steps
    return out


def first(enough):
    return next(n for n in range(1, 99) if enough(n))


RIGHT = [
    (check.relative_peak, lambda profile: (1 + np.argmax(profile[1:])) / (len(profile) - 1)),
    (check.align, lambda cloud: cloud + 100),
    (check.align, lambda cloud: (cloud + 1000).numpy()),
    (check.shuffle_blocks, blocks),
    (check.ngram_precision, precision),
    (check.sign_flip, sign_flip_p_value),
    (check.sign_flip, lambda d: flips(d, lambda m, seen: np.mean(np.abs(m) >= abs(seen) - 1e-12))),
    (check.holm, holm),
    (check.holm, stepwise),
    (check.prompts_needed, lambda tests, level: int(np.floor(np.log2(2 * tests / level))) + 1),
]

WRONG = [
    (check.relative_peak, lambda profile: np.argmax(profile), "embeddings"),
    (check.relative_peak, lambda profile: 1 + np.argmax(profile[1:]), "divide it"),
    (check.relative_peak, lambda profile: np.argmax(profile[1:]) / (len(profile) - 1), "position 0"),
    (check.relative_peak, lambda profile: (1 + np.argmax(profile[1:])) / len(profile), "one entry more"),
    (check.align, lambda cloud: cloud * 50, "one factor"),
    (check.align, lambda cloud: cloud / cloud.norm(dim=1, keepdim=True), "distances between the tokens"),
    (check.align, lambda cloud: cloud + 0.1, "far away"),
    (check.align, lambda cloud: cloud[:5], "same tokens"),
    (check.shuffle_blocks, lambda ids, degree, rng: rng.choice(ids, len(ids)), "drops or repeats"),
    (check.shuffle_blocks, lambda ids, degree, rng: rng.permutation(ids), "degree 0"),
    (check.shuffle_blocks, lambda *a: blocks(*a, inside=True) if a[1] else a[0], "keep their order: permute"),
    (check.shuffle_blocks, lambda *a: blocks(*a, pieces=lambda s: s), "nothing moves"),
    (check.shuffle_blocks, lambda *a: blocks(*a, pieces=lambda s: 2**s), "32 tokens"),
    (check.shuffle_blocks, lambda *a: blocks(*a, tokens=lambda s: 4**s) if a[1] else a[0], "4 tokens"),
    (check.shuffle_blocks, lambda ids, degree, rng: blocks(ids, degree, np.random.default_rng(2)), "every generator"),
    (check.ngram_precision, lambda a, b, n: (Counter(runs(a, n)) & Counter(runs(b, n))).total(), "divide"),
    (check.ngram_precision, lambda a, b, n: np.mean([r in runs(b, n) for r in runs(a, n)]), "only two"),
    (check.ngram_precision, lambda a, b, n: len({*runs(a, n)} & {*runs(b, n)}) / len({*runs(a, n)}), "a set forgets"),
    (check.ngram_precision, lambda a, b, n: precision(a, b, n) * (9 - n) / 8, "8 - n + 1"),
    (check.ngram_precision, lambda a, b, n: np.mean([x == y for x, y in zip(runs(a, n), runs(b, n))]), "wherever"),
    (check.ngram_precision, lambda a, b, n: bleu(a, b), "Counter"),
    (check.sign_flip, lambda d: flips(d, lambda m, seen: np.mean(m >= seen - 1e-12)), "one side"),
    (check.sign_flip, lambda d: flips(d, lambda m, seen: np.mean(np.abs(m) > abs(seen) + 1e-12)), "never zero"),
    (check.sign_flip, lambda d: flips(d, lambda m, seen: np.sum(np.abs(m) >= abs(seen) - 1e-12)), "2**n"),
    (check.sign_flip, lambda d: 0.5, "patterns of signs"),
    (check.holm, lambda p: len(p) * p, "at most 1"),
    (check.holm, lambda p: stepwise(p, clip=False), "at most 1"),
    (check.holm, lambda p: np.minimum(1, len(p) * p), "Bonferroni"),
    (check.holm, lambda p: stepwise(p, running=False), "carry"),
    (check.holm, lambda p: stepwise(p, back=False), "back in its place"),
    (check.holm, lambda p: p.min(), "one adjusted"),
    (check.holm, lambda p: p, "sort"),
    (check.prompts_needed, lambda tests, level: first(lambda n: tests / 2**n < level), "one-sided"),
    (check.prompts_needed, lambda tests, level: 6, "number of tests"),
    (check.prompts_needed, lambda tests, level: 1 + first(lambda n: 2 * tests / 2**n < level), "off by one"),
    (check.prompts_needed, lambda tests, level: np.log2(2 * tests / level), "round up"),
    (check.prompts_needed, lambda tests, level: 20, "2 / 2"),
]


@pytest.mark.parametrize("checker, attempt", RIGHT, ids=lambda x: getattr(x, "__name__", None))
def test_right_answers_pass(checker, attempt):
    assert checker(attempt) == check.Answer(True)


@pytest.mark.parametrize("checker, attempt, hint", WRONG, ids=lambda x: getattr(x, "__name__", None))
def test_each_mistake_gets_its_hint(checker, attempt, hint):
    answer = checker(attempt)
    assert not answer.passed
    assert hint in answer.hint
