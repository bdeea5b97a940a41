"""The joint sign-flip test of many hypotheses: against brute force, and its error rate."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tokengeom_utils.errors import InputError
from tokengeom_utils.theory.statistics import (
    joint_p_values,
    pearson,
    sign_flip_p_value,
    spearman,
    unit_covariances,
)
from tokengeom_utils.theory.statistics.joint import ALL_UP_TO, sign_patterns


def statistic(test, signs):
    """Return the largest |T| of a test over its options, after flips."""
    return max(abs(np.dot(row, signs)) / np.linalg.norm(row) for row in np.atleast_2d(test))


def brute_force(tests):
    """P-values and step-down adjusted p-values by their definition, over all 2**n patterns."""
    flips = list(itertools.product([1, -1], repeat=np.shape(tests[0])[-1]))
    table = np.array([[statistic(test, np.array(signs)) for test in tests] for signs in flips])  # (flip, test)
    observed = table[flips.index((1,) * len(flips[0]))]
    adjusted, largest = np.empty(len(tests)), 0.0
    order = sorted(range(len(tests)), key=lambda j: -observed[j])
    for place, j in enumerate(order):
        some = table[:, order[place:]].max(axis=1)
        largest = max(largest, float(np.mean(some >= observed[j] - 1e-8)))
        adjusted[j] = largest
    return np.array([np.mean(table[:, j] >= observed[j] - 1e-8) for j in range(len(tests))]), adjusted


@pytest.mark.parametrize("seed", range(5))
def test_it_agrees_with_brute_force(seed):
    rng = np.random.default_rng(seed)
    tests = [rng.normal(0.4, 1, 7), rng.normal(size=(3, 7)), rng.normal(-1, 1, (1, 7)), rng.integers(-2, 3, 7) + 0.0]
    p, adjusted, sign = joint_p_values(tests)
    wanted, corrected = brute_force(tests)
    assert p == pytest.approx(wanted) and adjusted == pytest.approx(corrected)
    assert sign[0] == np.sign(tests[0].sum()) and sign[2] == np.sign(tests[2].sum())


def test_one_test_is_the_sign_flip_test():
    differences = np.random.default_rng(1).normal(0.5, 1, 11)
    p, adjusted, sign = joint_p_values([differences])
    assert p[0] == adjusted[0] == pytest.approx(sign_flip_p_value(differences)) and sign[0] == 1


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 6), st.integers(2, 9))
def test_the_correction_is_monotone(seed, n_tests, n_units):
    scores = np.random.default_rng(seed).normal(0.5, 1, (n_tests, n_units))
    p, adjusted, _ = joint_p_values(list(scores))
    assert (adjusted >= p - 1e-12).all() and (adjusted <= 1).all()
    more = joint_p_values([*scores, np.random.default_rng(seed + 1).normal(size=n_units)])[1]
    assert (more[:-1] >= adjusted - 1e-12).all()  # another test makes no p-value smaller


def test_repeating_a_test_costs_nothing():
    scores = np.random.default_rng(2).normal(1, 1, 10)
    _, once, _ = joint_p_values([scores])
    _, often, _ = joint_p_values([scores * scale for scale in (1, 2, 0.1, 5)])
    assert often == pytest.approx(once[0])


def test_the_smallest_p_value_is_not_multiplied_where_all_units_agree():
    scores = np.random.default_rng(3).uniform(1, 1.4, (30, 8))
    _, adjusted, _ = joint_p_values(list(scores))
    assert adjusted == pytest.approx(2 / 2**8)


def test_units_without_a_score_and_tests_without_any():
    p, _, sign = joint_p_values([[1, 2, np.nan, 3, 4, 5, 6], [0.0] * 7])
    assert p.tolist() == [2 / 2**6, 1.0] and sign.tolist() == [1, 0]
    assert [len(values) for values in joint_p_values([])] == [0, 0, 0]
    with pytest.raises(InputError, match="different numbers of units"):
        joint_p_values([[1, 2], [1, 2, 3]])


def test_patterns_are_all_or_random_and_begin_with_none():
    for n in (1, 2, 5, ALL_UP_TO):
        patterns = sign_patterns(n)
        assert len({tuple(row) for row in patterns}) == 2 ** (n - 1) and (patterns[:, 0] == 1).all()
    patterns = sign_patterns(ALL_UP_TO + 5, 300, seed=1)
    assert patterns.shape == (300, 20) and (patterns[0] == 1).all() and set(np.unique(patterns)) == {-1, 1}
    assert abs(patterns[1:].mean()) < 0.05 and not np.array_equal(patterns, sign_patterns(20, 300, seed=2))


def test_errors_in_a_family_are_rare_and_real_effects_are_found():
    rng = np.random.default_rng(4)
    wrong = found = 0
    for _ in range(300):
        common = rng.normal(size=10)
        scores = 0.7 * common + rng.normal(size=(12, 10))  # tests of the same units depend on each other
        scores[0] += 3
        _, adjusted, _ = joint_p_values(list(scores))
        found += adjusted[0] < 0.05
        wrong += (adjusted[1:] < 0.05).any()
    assert wrong / 300 < 0.08 and found / 300 > 0.9


def test_contributions_add_up_to_the_correlation():
    rng = np.random.default_rng(5)
    x, y, unit = rng.normal(size=(3, 20)), rng.normal(size=20), np.arange(20) % 6
    assert unit_covariances(x, y, unit).sum(-1) == pytest.approx(pearson(x, y))
    ranks = [np.argsort(np.argsort(values)) for values in (x[0], y)]
    assert unit_covariances(*ranks, unit).sum() == pytest.approx(float(spearman(x[0], y)))
    by_hand = [((x[0] - x[0].mean()) * (y - y.mean()))[unit == g].sum() / (20 * x[0].std() * y.std()) for g in range(6)]
    assert unit_covariances(x[0], y, unit) == pytest.approx(by_hand)
    assert np.isnan(unit_covariances(np.ones(20), y, unit)).all()


def test_kinds_that_carry_both_quantities_do_not_pass_for_evidence():
    """With effects of the kind in x and in y, prompts as units would reject far too often."""
    rng, kind = np.random.default_rng(6), np.repeat(np.arange(12), 10)
    by_kind, by_prompt = 0, 0
    for _ in range(200):
        x, y = (rng.normal(size=12)[kind] + rng.normal(size=120) for _ in range(2))
        by_kind += joint_p_values([unit_covariances(x, y, kind)])[0][0] < 0.05
        by_prompt += joint_p_values([unit_covariances(x, y, np.arange(120))], n_random=400)[0][0] < 0.05
    assert by_kind / 200 < 0.09 < 0.25 < by_prompt / 200
