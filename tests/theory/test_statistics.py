"""Statistics against scipy, against their definitions, and on a survey with a known answer."""

import numpy as np
import pytest
import scipy.stats
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

import tokengeom_utils as tg
from tokengeom_utils.theory.statistics import (
    bootstrap,
    bootstrap_correlations,
    bootstrap_draws,
    bootstrap_interval,
    correlation_interval,
    correlation_p_value,
    fisher_interval,
    holm,
    loss_correlation,
    mean_interval,
    mean_log_frequency,
    p_text,
    partial_correlation,
    pearson,
    sign_flip_p_value,
    spearman,
)

RNG = np.random.default_rng(0)
X, Y, Z = RNG.normal(size=(3, 40))
Y = Y + 0.7 * X + 0.5 * Z


def test_pearson_and_spearman_agree_with_scipy():
    assert pearson(X, Y) == pytest.approx(scipy.stats.pearsonr(X, Y)[0], rel=1e-12)
    ties = np.round(X), np.round(Y)
    assert spearman(*ties) == pytest.approx(scipy.stats.spearmanr(*ties)[0], rel=1e-12)
    assert correlation_p_value(pearson(X, Y), 40) == pytest.approx(scipy.stats.pearsonr(X, Y)[1], rel=1e-9)


def test_correlations_work_on_a_batch_and_broadcast():
    stack = RNG.normal(size=(3, 2, 40))
    expected = [[scipy.stats.pearsonr(row, Y)[0] for row in block] for block in stack]
    np.testing.assert_allclose(pearson(stack, Y), expected, rtol=1e-12)


@pytest.mark.parametrize("value", [0, 1, 0.1, 1e9])
def test_a_constant_has_no_correlation(value):
    assert np.isnan(pearson(np.full(7, value), np.arange(7.0)))


def test_nan_affects_only_its_own_row():
    stack = np.stack([X, np.where(np.arange(40) == 3, np.nan, X)])
    for r in (pearson(stack, Y), spearman(stack, Y), partial_correlation(stack, Y, Z)):
        assert np.isfinite(r[0]) and np.isnan(r[1])
    for options in ({}, {"rank": True}):
        draws = bootstrap_correlations(stack, Y, n_bootstrap=20, **options)
        assert np.isfinite(draws[:, 0]).all() and np.isnan(draws[:, 1]).all()


@pytest.mark.parametrize("slope, shift", [(3.0, -7.0), (-0.1, 1e6)])
def test_pearson_is_invariant_to_units(slope, shift):
    assert pearson(slope * X + shift, Y) == pytest.approx(np.sign(slope) * pearson(X, Y), rel=1e-8)


def residual(v, *controls):
    design = np.stack([np.ones_like(v), *controls], 1)
    return v - design @ np.linalg.lstsq(design, v, rcond=None)[0]


def test_partial_correlation_is_the_correlation_of_the_residuals():
    rxy, rxz, ryz = pearson(X, Y), pearson(X, Z), pearson(Y, Z)
    formula = (rxy - rxz * ryz) / np.sqrt((1 - rxz**2) * (1 - ryz**2))
    assert partial_correlation(X, Y, Z) == pytest.approx(formula, rel=1e-10)
    expected = [pearson(residual(x, Z, Z**2), residual(Y, Z, Z**2)) for x in (X, X + Z)]
    np.testing.assert_allclose(partial_correlation(np.stack([X, X + Z]), Y, Z, Z**2), expected, rtol=1e-10)


def test_partial_correlation_with_two_controls_follows_the_recursion():
    w = RNG.normal(size=40) + X
    rxy, rxw, ryw = (partial_correlation(a, b, Z) for a, b in ((X, Y), (X, w), (Y, w)))
    wanted = (rxy - rxw * ryw) / np.sqrt((1 - rxw**2) * (1 - ryw**2))
    assert partial_correlation(X, Y, Z, w) == pytest.approx(wanted, rel=1e-10)


def test_redundant_controls_count_once():
    assert partial_correlation(X, Y, Z, 3 * Z - 1, np.ones(40)) == pytest.approx(partial_correlation(X, Y, Z), rel=1e-9)
    assert np.isnan(partial_correlation(2 * Z + 1, Y, Z))


def test_group_dummies_subtract_the_means_of_the_groups():
    group = np.arange(40) % 4

    def inside(v):
        return v - np.array([v[group == g].mean() for g in group])

    dummies = [(group == g).astype(float) for g in range(4)]
    assert partial_correlation(X, Y, *dummies) == pytest.approx(pearson(inside(X), inside(Y)), rel=1e-10)


def test_p_values_are_uniform_for_unrelated_variables():
    draws = np.random.default_rng(1).normal(size=(2, 4000, 12))
    p = correlation_p_value(pearson(*draws), 12)
    assert scipy.stats.kstest(p, "uniform").pvalue > 0.001


def test_intervals_of_a_mean_cover_at_their_level():
    rng = np.random.default_rng(2)
    samples = rng.normal(size=(300, 30)) + 5
    _, low, high = mean_interval(samples)
    assert np.mean((low < 5) & (high > 5)) == pytest.approx(0.95, abs=0.04)
    low, high = bootstrap_interval(lambda x: x.mean(-1), samples, n_bootstrap=300)
    assert np.mean((low < 5) & (high > 5)) == pytest.approx(0.94, abs=0.05)


def test_bootstrap_is_repeatable_and_resamples_arrays_together():
    first = bootstrap_interval(pearson, X, Y, n_bootstrap=200, seed=3)
    assert first == bootstrap_interval(pearson, X, Y, n_bootstrap=200, seed=3)
    assert first != bootstrap_interval(pearson, X, Y, n_bootstrap=200, seed=4)
    np.testing.assert_allclose(bootstrap_interval(pearson, X, 2 * X, n_bootstrap=50), 1)


def test_the_bootstrap_of_any_statistic_draws_the_groups_that_the_one_of_correlations_draws():
    groups = np.random.default_rng(1).permutation(np.repeat(list("abcdefg"), [3, 9, 2, 5, 8, 6, 7]))
    draws = bootstrap_draws(pearson, X, Y, n_bootstrap=300, seed=3, groups=groups)
    np.testing.assert_allclose(draws, bootstrap_correlations(X, Y, n_bootstrap=300, seed=3, groups=groups), atol=1e-12)
    whole = bootstrap_draws(lambda x: len(x), X, n_bootstrap=50, groups=["all"] * 40)
    assert (whole == 40).all()
    with pytest.raises(tg.InputError, match="39 groups for 40 prompts"):
        bootstrap_interval(pearson, X, Y, groups=groups[1:])


def test_an_interval_of_groups_is_wide_where_prompts_of_a_group_are_alike():
    level = np.repeat(np.random.default_rng(2).normal(size=12), 10)
    groups, values = np.repeat(np.arange(12), 10), level + 0.1 * np.random.default_rng(3).normal(size=120)
    by_prompt, by_group = (
        np.subtract(*bootstrap_interval(lambda x: x.mean(-1), values, groups=each)[::-1]) for each in (None, groups)
    )
    assert 2 < by_group / by_prompt < 4  # about the root of 10


def test_fisher_interval_agrees_with_scipy_and_at_its_limits():
    r = scipy.stats.pearsonr(X, Y)
    for level in (0.9, 0.95):
        assert fisher_interval(r.statistic, 40, level=level) == pytest.approx(r.confidence_interval(level), rel=1e-9)
    np.testing.assert_allclose(fisher_interval([0.3, 0.3], 42, n_controls=2), fisher_interval([0.3, 0.3], 40))
    assert np.array_equal(fisher_interval(0.9, 3), (-1, 1)) and np.array_equal(fisher_interval(0.9, 5, 2), (-1, 1))
    assert np.array_equal(fisher_interval(1.0, 9), (1, 1)) and np.isnan(fisher_interval(np.nan, 9)).all()


@pytest.mark.parametrize("rho", [0.0, 0.7])
def test_intervals_of_a_correlation_cover_at_their_level(rho):
    x, noise = np.random.default_rng(6).normal(size=(2, 1500, 40))
    y = rho * x + np.sqrt(1 - rho**2) * noise
    low, high = fisher_interval(pearson(x, y), 40)
    assert np.mean((low < rho) & (rho < high)) == pytest.approx(0.95, abs=0.02)
    covered = []
    for i in range(200):
        low, high = correlation_interval(x[i], y[i], n_bootstrap=300, seed=i)
        covered.append(low < rho < high)
    assert np.mean(covered) == pytest.approx(0.93, abs=0.05)  # percentile intervals are slightly too short


def test_holm_agrees_with_its_definition():
    p = np.array([[0.01, 0.04, np.nan], [0.03, 0.005, 0.8]])
    wanted = [[0.04, 0.09, np.nan], [0.09, 0.025, 0.8]]
    np.testing.assert_allclose(holm(p), wanted)
    assert holm(0.3) == 0.3 and holm([]).shape == (0,)
    assert holm([0.4, 0.6, 0.9]).tolist() == [1, 1, 1]


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_holm_lies_between_raw_and_bonferroni_and_preserves_the_order(p):
    p = np.array(p)
    adjusted = holm(p)
    assert (adjusted >= p).all() and (adjusted <= np.minimum(1, p * len(p)) + 1e-15).all()
    assert (np.diff(adjusted[np.argsort(p, kind="stable")]) >= 0).all()


def test_holm_controls_the_family_wise_error_rate():
    rng = np.random.default_rng(8)
    p = rng.random((4000, 10))
    p[:, :3] *= 1e-3  # three hypotheses are false
    false = [(holm(row)[3:] < 0.05).any() for row in p]
    assert np.mean(false) == pytest.approx(0.05, abs=0.012)


@pytest.mark.parametrize("differences, patterns", [(np.ones(6), 2), (-np.ones(6), 2), ([1, -1, 1, -1, 1, -1], 2**6)])
def test_sign_flip_p_value_counts_all_patterns(differences, patterns):
    assert sign_flip_p_value(differences) == patterns / 2**6


def test_sign_flip_p_value_with_random_patterns_rejects_at_its_level():
    many = np.random.default_rng(0).normal(size=(200, 20))
    p = [sign_flip_p_value(row, seed=1, n_random=499) for row in many]
    assert np.mean(np.array(p) < 0.05) == pytest.approx(0.05, abs=0.04)


def test_p_values_as_text():
    assert [p_text(p) for p in (0.0002, 0.001, 0.0234, 1.0)] == ["p < 0.001", "p = 0.001", "p = 0.023", "p = 1"]


def test_mean_log_frequency_counts_only_the_other_prompts():
    ids = np.array([[0, 0, 1], [1, 1, 2], [3, 0, 1]])
    expected = []
    for i, row in enumerate(ids):
        rest = np.delete(ids, i, 0).ravel()
        expected.append(np.mean([np.log(((rest == token).sum() + 1) / (6 + 5)) for token in row]))
    np.testing.assert_allclose(mean_log_frequency(ids, 5), expected, rtol=1e-12)
    np.testing.assert_allclose(mean_log_frequency(ids[:1], 5), -np.log(5))


@pytest.mark.parametrize("chunk", [bootstrap.CHUNK, 500])
def test_resamples_in_one_product_equal_a_loop(chunk, monkeypatch):
    monkeypatch.setattr(bootstrap, "CHUNK", chunk)
    x = RNG.normal(size=(2, 3, 40)) + Y
    w = RNG.normal(size=40)
    for controls in ((), (Z,), (Z, w)):
        loop = bootstrap_draws(partial_correlation, x, Y, *controls, n_bootstrap=30, seed=4)
        np.testing.assert_allclose(bootstrap_correlations(x, Y, *controls, n_bootstrap=30, seed=4), loop, atol=1e-12)
    ties = np.round(x), np.round(Y)
    np.testing.assert_allclose(
        bootstrap_correlations(*ties, rank=True, n_bootstrap=30, seed=4),
        bootstrap_draws(spearman, *ties, n_bootstrap=30, seed=4),
        atol=1e-12,
    )


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**31), st.integers(4, 9), st.floats(-1e3, 1e3), st.floats(1e-3, 1e3))
def test_resampled_correlations_do_not_depend_on_units(seed, n, shift, slope):
    x, y = np.random.default_rng(seed).normal(size=(2, n))
    for options in ({}, {"rank": True}):
        first = bootstrap_correlations(x, y, n_bootstrap=10, seed=1, **options)
        second = bootstrap_correlations(slope * x + shift, y, n_bootstrap=10, seed=1, **options)
        np.testing.assert_allclose(first, second, atol=1e-6)
        assert np.nanmax(np.abs(first), initial=0) <= 1


def test_a_resample_of_one_prompt_has_no_correlation():
    draws = bootstrap_correlations([0.0, 1], [0.0, 1], n_bootstrap=200)
    assert set(draws[np.isfinite(draws)].round(9)) == {1.0} and 0.3 < np.isnan(draws).mean() < 0.7
    low, high = correlation_interval(np.ones(6), np.arange(6.0), n_bootstrap=20)
    assert np.isnan(low) and np.isnan(high)


def test_a_resample_of_groups_holds_whole_groups():
    x, y, w = RNG.normal(size=(3, 12))
    groups = np.repeat(["a", "b", "c"], [2, 4, 6])
    pick = np.random.default_rng(3).integers(0, 3, (20, 3))
    members = [np.concatenate([np.flatnonzero(groups == "abc"[unit]) for unit in row]) for row in pick]
    for options, one in (({}, pearson), ({"rank": True}, spearman)):
        draws = bootstrap_correlations(x, y, n_bootstrap=20, seed=3, groups=groups, **options)
        np.testing.assert_allclose(draws, [one(x[m], y[m]) for m in members], atol=1e-12)
    draws = bootstrap_correlations(x, y, w, n_bootstrap=20, seed=3, groups=groups)
    whole = [len(set(row)) > 1 for row in pick]  # two prompts of one group leave no degree of freedom
    expected = [partial_correlation(x[m], y[m], w[m]) for m in members]
    np.testing.assert_allclose(draws[whole], np.array(expected)[whole], atol=1e-9)


def test_groups_of_one_are_prompts():
    x, y = RNG.normal(size=(2, 15))
    draws = bootstrap_correlations(x, y, n_bootstrap=10, groups=[f"{i:02}" for i in range(15)])
    np.testing.assert_array_equal(draws, bootstrap_correlations(x, y, n_bootstrap=10))


def test_an_interval_by_groups_covers_where_the_one_by_prompts_does_not():
    rng, covered = np.random.default_rng(0), np.zeros(2)
    groups = np.repeat(np.arange(15), 8)
    for i in range(60):  # two unrelated variables that depend on the group alone, nearly
        x, y = rng.normal(size=(2, 15))[:, groups] + 0.1 * rng.normal(size=(2, 120))
        for j, drawn in enumerate((None, groups)):
            low, high = correlation_interval(x, y, n_bootstrap=200, seed=i, groups=drawn)
            covered[j] += low < 0 < high
    assert covered[0] < 36 and covered[1] > 50


def test_one_group_for_each_prompt():
    with pytest.raises(tg.InputError, match="3 groups for 4 prompts"):
        bootstrap_correlations(np.arange(4.0), np.arange(4.0), groups=["a", "b", "c"])


def test_rank_correlations_with_controls_raise():
    with pytest.raises(tg.InputError, match="rank correlation"):
        bootstrap_correlations(X, Y, Z, rank=True)


def survey(n):
    """Make a survey: layer 1 follows the loss, layer 2 its negative, layer 3 is noise; tokens confound layer 1."""
    rng = np.random.default_rng(5)
    loss = rng.normal(3, 0.5, n)
    dimension = np.stack([loss * 2, -loss, rng.normal(size=n)], 1)[:, None, :, None] + rng.normal(0, 0.1, (n, 1, 3, 2))
    return xr.Dataset(
        {
            "intrinsic_dimension": (("prompt", "shuffle", "layer", "scale"), dimension),
            "loss": (("prompt", "shuffle"), loss[:, None]),
            "distinct_tokens": (("prompt", "shuffle"), (loss + rng.normal(0, 0.01, n))[:, None]),
        },
        coords={"shuffle": [0], "layer": [1, 2, 3], "scale": [2, 4]},
    )


def test_loss_correlation_on_a_survey_with_a_known_answer():
    data = survey(60)
    data.loss[7] = np.nan  # a prompt that was not measured
    found = loss_correlation(data, n_bootstrap=300).sel(scale=2)
    assert found.attrs["n_prompts"] == 59
    assert (found.pearson.values[:2].round(1) == [1, -1]).all() and abs(found.pearson.values[2]) < 0.4
    assert (found.pearson_low <= found.pearson).all() and (found.pearson <= found.pearson_high).all()
    assert found.p_value[0] < 1e-10 < found.p_value[2]
    assert abs(found.partial[0]) < 0.5 < found.spearman[0]  # the confounder explains layer 1 away
    assert "partial" not in loss_correlation(data, control=None, n_bootstrap=10)
    np.testing.assert_allclose([found.fisher_low, found.fisher_high], fisher_interval(found.pearson, 59))


def test_loss_correlation_corrects_the_given_layers_and_holds_several_variables_fixed():
    data = survey(60).assign(noise=("prompt", np.random.default_rng(9).normal(size=60)))
    found = loss_correlation(data, control=("distinct_tokens", "noise"), n_bootstrap=100, rank_interval=True)
    np.testing.assert_allclose(found.p_holm, holm(found.p_value.values))
    chosen = data.sel(shuffle=0)
    x = chosen.intrinsic_dimension.sel(layer=3, scale=4)
    wanted = partial_correlation(x, chosen.loss, chosen.distinct_tokens, chosen.noise)
    at = found.sel(layer=3, scale=4)
    assert float(at.partial) == pytest.approx(wanted) and at.partial_low < at.partial < at.partial_high
    assert float(at.partial_p_value) == pytest.approx(correlation_p_value(wanted, 60, 2))
    assert at.spearman_low < at.spearman < at.spearman_high
    assert found.attrs["control"] == "distinct_tokens, noise"


def test_too_few_prompts_raise():
    with pytest.raises(tg.InputError, match="at least 4 prompts, the survey holds 3"):
        loss_correlation(survey(3))
