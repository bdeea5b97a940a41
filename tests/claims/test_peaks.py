"""Peaks of several degrees, where other kinds of text place them."""

import numpy as np
import pytest
import synthetic
from synthetic import World

from tokengeom_utils import claims
from tokengeom_utils.claims.peaks import Peaks
from tokengeom_utils.claims.view import SurveyView


def peaks_of(view, values):
    return Peaks(values, view.by_kind, view.deals)


def test_a_peak_that_is_clearly_elsewhere_is_found():
    view = SurveyView(synthetic.survey(World(prompts=3, shuffled=3), 1))
    values = view.by_degree("intrinsic_dimension", scale=2)[:, [0, 5]]
    high = values.copy()
    high[:, 0, 8] += 20
    high[:, 1, 22] += 25
    peaks = peaks_of(view, high)
    assert set(map(tuple, peaks.layers([0, 1]))) == {(8, 22)} and set(map(tuple, peaks.layers([1, 0]))) == {(22, 8)}
    rise = view.by_kind(high[:, 1, 22] - high[:, 0, 8])
    assert peaks.rise(0, 1).scores == pytest.approx(rise) and np.ptp(peaks.rise(0, 1).each, 0).max() == 0
    flat = values.copy()
    flat[:, :, 8] += 20
    flat[:, 1, 9] += 20.2  # a little higher than layer 8, by chance as likely as not
    assert np.mean(peaks_of(view, flat).layers([0, 1]) == 8) > 0.9


def test_a_degree_is_read_at_its_own_peak_only_if_that_is_clearly_higher():
    """Against the definition, half by half."""
    results = synthetic.survey(World(kinds=7, prompts=2, shuffled=2, smooth=3), 4)
    results.intrinsic_dimension[:, :, 9] += 1.2 * results.shuffle / 5
    results.loss[:2, 1:] = np.nan  # a kind without values
    view = SurveyView(results)
    profiles, degrees, wanted = view.by_kind(view.by_degree("intrinsic_dimension", scale=2)), [0, 2, 5], []
    for members in view.deals.members:
        mine = profiles[members & np.isfinite(profiles[:, 0, 0])][:, degrees]
        average = mine.mean(0)
        common, layers = average.mean(0).argmax(), []
        for degree, own in enumerate(average.argmax(-1)):
            gain = mine[:, degree, own] - mine[:, degree, common]
            layers.append(own if gain.mean() > 3 * gain.std(ddof=1) / len(gain) ** 0.5 else common)
        wanted.append(layers)
    found = view.peaks("intrinsic_dimension", scale=2).layers(degrees)
    assert found.tolist() == np.array(wanted).tolist() and 0.02 < (found != found[:, :1]).mean() < 0.98


def test_no_kind_is_read_where_it_peaks_alone():
    """A kind that is alone in being high at a layer is never read there, in any deal."""
    view = SurveyView(synthetic.survey(World(kinds=8, prompts=2, shuffled=2), 1))
    values = np.zeros((16, 2, 30))
    values[:, :, 4] = 1
    values[:2, 1, 9] = 50  # enough for every half it belongs to
    scores = peaks_of(view, values).rise(0, 1).each
    assert set(scores[:, 0]) == {0.0} and 0.3 < (scores[:, 1] == 0).mean() < 0.7


def test_scores_are_made_from_the_heights_of_prompts():
    view = SurveyView(synthetic.survey(World(prompts=3, shuffled=3), 2))
    peaks = view.peaks("intrinsic_dimension", scale=4)
    assert peaks is view.peaks("intrinsic_dimension", scale=4) and peaks is not view.peaks("cosine_similarity")
    spread = peaks.judged(range(6), lambda heights: heights.std(-1))
    assert spread.each.shape == (6435, 15) and (spread.each > 0).all()


def test_a_profile_that_all_share_is_not_raised():
    drawn = (synthetic.survey(World(kinds=12, profile=1), seed) for seed in range(60))
    alone = [claims.shuffle_raises_peak(results).parts for results in drawn]
    decided = [part.uncorrected != "undecided" for parts in alone for part in parts]
    assert np.mean(decided) < 0.12
