"""A short version of `make stress`: what the ledger decides on surveys whose truth is known."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import stress
import synthetic
from scipy.stats import binomtest
from synthetic import World

from tokengeom_utils.claims import LEVEL, evaluate, stress_table

ROWS = {row.name: row for row in stress.worlds()}
N = 20


def counts(world, n=N, *claims, part=""):
    """The shares of ``n`` surveys of 12 kinds, which have fewer deals and flips than the 15 of the table."""
    return stress.shares(stress.Row("", partial(synthetic.survey, replace(world, kinds=12)), claims, part), n)


@pytest.mark.parametrize("kind_effect", [0, 1])
def test_a_null_is_rarely_decided(kind_effect):
    counted = counts(World(smooth=8, kind_effect=kind_effect))
    assert counted["reproduced"] == 0 and counted["any part holds"] + counted["any part opposite"] <= 4 / N


def test_a_layer_of_the_other_sign_decides_nothing():
    counted = counts(World(prompts=20, r=0.5, first_r=-0.45), N, 10, part="strongest in the first half")
    assert counted["any part holds"] + counted["any part opposite"] <= 3 / N


def test_what_is_real_is_found():
    counted = counts(World(smooth=8, raised=0.25), 10, 2, 6)
    assert counted["reproduced"] >= 0.8 and counted["not seen here"] == 0


def test_the_committed_table_meets_its_targets():
    table = stress_table()
    nulls = table[table.null]
    assert len(nulls) >= 8 and (table.n == stress.SURVEYS).all() and set(ROWS) <= set(table.index)
    assert (nulls[["reproduced", "not seen here"]] <= LEVEL).all(axis=None)
    for either in (["reproduced", "not seen here"], ["any part holds", "any part opposite"]):
        wrong, n = (nulls[either].sum(axis=1) * nulls.n).round().astype(int), nulls.n
        rates = [binomtest(*map(int, row)).proportion_ci() for row in zip(wrong, n, strict=True)]
        assert max(rate.low for rate in rates) <= LEVEL  # no row is certainly beyond the level,
        assert binomtest(int(wrong.sum()), int(n.sum())).proportion_ci().high <= LEVEL  # and all together are within it
    real = table.loc["true r = 0.5, kind effects"]
    assert real["any part holds"] > 0.75 and real["any part opposite"] == 0
    found = table[
        (table.part != "") & ~table.null
    ]  # a search over layers, for which Holm's rule counts what the flips show
    assert (found["any part holds"] > found["any part holds, by Holm"]).all()
    assert max(table.attrs["twins"][word] for word in ("more", "less")) <= LEVEL


def test_the_median_over_all_deals_is_level_and_loses_nothing():
    choosing = stress_table().attrs["choosing"]
    noise, found = choosing["noise"], choosing["found"]
    median, one_deal = (f"the other half, {how}" for how in ("median statistic over all deals", "in one deal"))
    assert noise[median] <= LEVEL < min(share for name, share in noise.items() if name != median)
    assert found[median] >= found[one_deal] > 0.5
    few = stress.choosing(60)
    assert few["noise"][median] <= 5 / 60 < few["noise"]["all other kinds"] and few["found"][median] > 0.8


def test_synthetic_surveys_are_what_they_claim():
    quiet, loud = (synthetic.survey(World(scatter=s), 1).intrinsic_dimension.std("prompt") for s in (1, 2))
    assert float((loud / quiet).sel(shuffle=5).mean()) == pytest.approx(2, rel=0.05)
    assert float((loud / quiet).sel(shuffle=0).mean()) == pytest.approx(1)
    kinds = synthetic.survey(World(kind_effect=2, prompts=20), 1).loss.sel(shuffle=0).groupby("domain")
    assert 1.4 < float(kinds.mean().std() / kinds.std().mean()) < 2.6
    smooth = (
        synthetic.survey(World(smooth=8), 1).intrinsic_dimension.sel(shuffle=0, scale=2).transpose("prompt", "layer")
    )
    assert np.corrcoef(smooth[:, 10], smooth[:, 11])[0, 1] > 0.75 and float(smooth.std()) == pytest.approx(1, abs=0.1)
    real = synthetic.survey(World(r=0.5, prompts=40), 1)
    values = real.intrinsic_dimension.sel(shuffle=0, scale=2, layer=5), real.loss.sel(shuffle=0)
    assert np.corrcoef(*values)[0, 1] == pytest.approx(0.5, abs=0.1)


def test_alterations_of_a_survey_change_what_they_claim():
    results = synthetic.survey(World(raised=1, prompts=4, shuffled=3), 2)
    assert evaluate(results)[1].verdict == "reproduced"
    assert evaluate(synthetic.reversed_degrees(results, 1))[1].verdict == "not seen here"
    assert evaluate(synthetic.permuted_degrees(results, 1))[1].verdict in ("undecided", "partly")
    mirrored = synthetic.mirrored_loss(synthetic.survey(World(r=0.8, prompts=10), 3), 1)
    assert evaluate(mirrored)[9].verdict == "not seen here"
    drawn = synthetic.resampled(results, 1)
    assert len(set(drawn.prompt.values)) < drawn.sizes["prompt"] == 60
    assert (np.unique(drawn.domain, return_counts=True)[1] == 4).all()
