"""A survey as the claims read it: means over kinds, and layers that other kinds choose."""

import numpy as np
import pytest
import synthetic
from synthetic import World

from tokengeom_utils import claims
from tokengeom_utils.claims.view import SurveyView
from tokengeom_utils.theory.statistics import pearson


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
    """A kind that is alone in being high at a layer is never read there, in any deal."""
    profile = np.zeros((7, 30))
    profile[:, 4] = 1
    profile[3, 9] = 50  # enough for every half it belongs to
    scores = view.elsewhere(view.highest(profile), lambda places: profile[:, places]).each
    assert set(scores[:, 3]) == {1.0} and 0.3 < (scores[:, 0] == 1).mean() < 0.7
    below = np.arange(30) < 9
    assert set(view.highest(profile, below)) == {4} and set(view.highest(profile, ~below)) >= {9}


def test_a_peak_that_is_clearly_elsewhere_is_found():
    results = synthetic.survey(World(prompts=3, shuffled=3), 1)
    view = SurveyView(results)
    values = view.by_degree("intrinsic_dimension", scale=2)[:, [0, 5]].copy()
    values[:, 0, 8] += 20
    values[:, 1, 22] += 25
    assert set(map(tuple, view.peaks(values))) == {(8, 22)}
    rise = view.by_kind(values[:, 1, 22] - values[:, 0, 8])
    assert view.rise(values).scores == pytest.approx(rise) and np.ptp(view.rise(values).each, 0).max() == 0
    flat = view.by_degree("intrinsic_dimension", scale=2)[:, [0, 5]].copy()
    flat[:, :, 8] += 20
    flat[:, 1, 9] += 20.2  # a little higher than layer 8, by chance as likely as not
    assert np.mean(view.peaks(flat) == 8) > 0.9


def test_a_degree_is_read_at_its_own_peak_only_if_that_is_clearly_higher():
    """Against the definition, half by half."""
    results = synthetic.survey(World(kinds=7, prompts=2, shuffled=2, smooth=3), 4)
    results.intrinsic_dimension[:, :, 9] += 1.2 * results.shuffle / 5
    results.loss[:2, 1:] = np.nan  # a kind without values
    view = SurveyView(results)
    values = view.by_degree("intrinsic_dimension", scale=2)
    profiles, wanted = view.by_kind(values), []
    for members in view.deals.members:
        mine = profiles[members & np.isfinite(profiles[:, 0, 0])]
        average = mine.mean(0)
        common, layers = average.mean(0).argmax(), []
        for degree, own in enumerate(average.argmax(-1)):
            gain = mine[:, degree, own] - mine[:, degree, common]
            layers.append(own if gain.mean() > 3 * gain.std(ddof=1) / len(gain) ** 0.5 else common)
        wanted.append(layers)
    found = view.peaks(values)
    assert found.tolist() == np.array(wanted).tolist() and 0.02 < (found != found[:, :1]).mean() < 0.98


def test_a_profile_that_all_share_is_not_raised():
    alone = [claims.shuffle_raises_peak(synthetic.survey(World(profile=1), seed)).parts for seed in range(60)]
    decided = [part.uncorrected != "undecided" for parts in alone for part in parts]
    assert np.mean(decided) < 0.12
