"""Statistics against scipy, against their definitions, and on a survey whose answer is known."""

import numpy as np
import pytest
import scipy.stats
import tokengeom_utils as tg
import xarray as xr
from tokengeom_utils.statistics import (
    bootstrap_interval,
    correlation_p_value,
    loss_correlation,
    mean_interval,
    partial_correlation,
    pearson,
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


def test_a_constant_has_no_correlation():
    assert np.isnan(pearson(np.ones(5), np.arange(5.0)))


@pytest.mark.parametrize("slope, shift", [(3.0, -7.0), (-0.1, 1e6)])
def test_pearson_is_invariant_to_units(slope, shift):
    assert pearson(slope * X + shift, Y) == pytest.approx(np.sign(slope) * pearson(X, Y), rel=1e-8)


def test_partial_correlation_is_that_of_the_residuals():
    def residual(v):
        return v - np.polyval(np.polyfit(Z, v, 1), Z)

    assert partial_correlation(X, Y, Z) == pytest.approx(pearson(residual(X), residual(Y)), rel=1e-10)


def test_p_values_are_uniform_without_a_relation():
    draws = np.random.default_rng(1).normal(size=(2, 4000, 12))
    p = correlation_p_value(pearson(*draws), 12)
    assert scipy.stats.kstest(p, "uniform").pvalue > 0.001


def test_intervals_cover_as_often_as_they_say():
    rng = np.random.default_rng(2)
    samples = rng.normal(size=(300, 30)) + 5
    _, low, high = mean_interval(samples)
    assert np.mean((low < 5) & (5 < high)) == pytest.approx(0.95, abs=0.04)
    low, high = bootstrap_interval(lambda x: x.mean(-1), samples, n_bootstrap=300)
    assert np.mean((low < 5) & (5 < high)) == pytest.approx(0.94, abs=0.05)


def test_bootstrap_is_repeatable_and_resamples_together():
    first = bootstrap_interval(pearson, X, Y, n_bootstrap=200, seed=3)
    assert first == bootstrap_interval(pearson, X, Y, n_bootstrap=200, seed=3)
    assert first != bootstrap_interval(pearson, X, Y, n_bootstrap=200, seed=4)
    np.testing.assert_allclose(bootstrap_interval(pearson, X, 2 * X, n_bootstrap=50), 1)


def survey(n):
    """Layer 1 follows the loss, layer 2 is its opposite, layer 3 is noise; tokens confound layer 1."""
    rng = np.random.default_rng(5)
    loss = rng.normal(3, 0.5, n)
    dimension = np.stack([loss * 2, -loss, rng.normal(size=n)], 1)[:, None, :, None] + rng.normal(0, 0.1, (n, 1, 3, 2))
    return xr.Dataset(
        {"intrinsic_dimension": (("prompt", "shuffle", "layer", "scale"), dimension),
         "loss": (("prompt", "shuffle"), loss[:, None]),
         "distinct_tokens": (("prompt", "shuffle"), (loss + rng.normal(0, 0.01, n))[:, None])},
        coords={"shuffle": [0], "layer": [1, 2, 3], "scale": [2, 4]},
    )


def test_loss_correlation_finds_what_is_there():
    data = survey(60)
    data.loss[7] = np.nan  # a prompt that was not measured
    found = loss_correlation(data, n_bootstrap=300).sel(scale=2)
    assert found.attrs["n_prompts"] == 59
    assert (found.pearson.values[:2].round(1) == [1, -1]).all() and abs(found.pearson.values[2]) < 0.4
    assert (found.pearson_low <= found.pearson).all() and (found.pearson <= found.pearson_high).all()
    assert found.p_value[0] < 1e-10 < found.p_value[2]
    assert abs(found.partial[0]) < 0.5 < found.spearman[0]  # the confounder explains layer 1 away
    assert "partial" not in loss_correlation(data, control=None, n_bootstrap=10)


def test_too_few_prompts_are_refused():
    with pytest.raises(tg.InputError, match="at least 4 prompts, the survey holds 3"):
        loss_correlation(survey(3))
