"""A survey as the claims read it: means over kinds, and layers that other kinds choose."""

import numpy as np
import pytest
import synthetic
from synthetic import World

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
