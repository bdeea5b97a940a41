"""A survey as the claims read it: means over kinds, and layers that other kinds choose."""

import numpy as np
import pytest
import synthetic
from synthetic import World

from tokengeom_utils import claims
from tokengeom_utils.claims.view import SurveyView
from tokengeom_utils.theory.statistics import joint_p_values, pearson


@pytest.fixture(scope="module")
def view():
    return SurveyView(synthetic.survey(World(kinds=7, prompts=3, shuffled=2), 1))


def test_kinds_are_means_over_their_own_prompts(view):
    loss = view.ordered("loss")
    assert view.by_kind(loss) == pytest.approx(loss.reshape(7, 3).mean(1))
    every = view.by_degree("cosine_similarity")
    assert every.shape[:2] == (14, 6) and view.by_kind(every) == pytest.approx(every.reshape(7, 2, 6, 30).mean(1))
    some = np.where(np.arange(21) < 3, np.nan, loss)
    assert np.isnan(view.by_kind(some)[0]) and view.by_kind(some)[1:] == pytest.approx(view.by_kind(loss)[1:])


def test_a_kind_that_is_missing_at_the_degrees_has_no_score(view):
    results = view.every.copy(deep=True)
    results.loss[:3, 1:] = np.nan
    fewer = SurveyView(results)
    scores = fewer.by_kind(fewer.contrast("cosine_similarity")[:, 0])
    assert np.isnan(scores[0]) and np.isfinite(scores[1:]).all() and fewer.n_kinds == 7


def test_contributions_add_up_to_the_correlation(view):
    x, y = view.ordered("entropy"), view.ordered("loss")
    assert view.covariances(x, y).sum() == pytest.approx(float(pearson(x, y)))


def test_no_kind_chooses_its_own_layer(view):
    profile = np.zeros((7, 30))
    profile[view.halves == 0, 4] = 1
    profile[view.halves == 1, 9] = 1
    assert view.highest_elsewhere(profile).tolist() == [9 if half == 0 else 4 for half in view.halves]
    among = np.arange(30) > 6
    assert set(view.highest_elsewhere(profile, among)[view.halves == 0]) == {9}


def test_a_peak_that_is_clearly_elsewhere_is_found():
    results = synthetic.survey(World(prompts=3, shuffled=3), 1)
    view = SurveyView(results)
    values = view.by_degree("intrinsic_dimension", scale=2)[:, [0, 5]].copy()
    values[:, 0, 8] += 20
    values[:, 1, 22] += 25
    ordered, shuffled = view.heights(values).T
    assert ordered == pytest.approx(values[:, 0, 8]) and shuffled == pytest.approx(values[:, 1, 22])
    flat = view.by_degree("intrinsic_dimension", scale=2)[:, [0, 5]].copy()
    flat[:, :, 8] += 20
    flat[:, 1, 9] += 20.2  # a little higher than layer 8, by chance as likely as not
    assert view.heights(flat)[:, 1] == pytest.approx(flat[:, 1, 8])


def test_a_profile_that_all_share_is_not_raised():
    alone = [claims.shuffle_raises_peak(synthetic.survey(World(profile=1), seed)).parts for seed in range(60)]
    decided = [part.uncorrected != "undecided" for parts in alone for part in parts]
    assert np.mean(decided) < 0.12


def test_halves_are_nearly_level_where_leaving_one_out_is_not():
    """The height of a peak against the last layer, in noise: as a test alone, 5% would be right."""
    rng, n, decided = np.random.default_rng(2), 12, np.zeros(2)
    for _ in range(150):
        noise = rng.normal(size=(n, 30))
        elsewhere = (noise.sum(0) - noise).argmax(1)
        halves = np.arange(n) % 2
        across = np.array([noise[halves != half].mean(0).argmax() for half in (0, 1)])[halves]
        for which, layers in enumerate((elsewhere, across)):
            heights = noise[np.arange(n), layers] - noise[:, -1]
            decided[which] += joint_p_values([heights])[0][0] < 0.05
    assert decided[0] / 150 > 0.12 and decided[1] / 150 < 0.12
