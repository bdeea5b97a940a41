"""The rule of judging: verdicts, Holm's correction, and the error rates of the tests of a part."""

import numpy as np
import pytest

from tokengeom_utils.claims import Part, after_holm, judging, verdict


def part(outcome):
    return Part("x", 0.5, 0.5, outcome)


@pytest.mark.parametrize(
    "outcomes, expected",
    [
        (["holds", "holds"], "reproduced"),
        (["holds", "untested"], "partly"),
        (["holds", "opposite"], "partly"),
        (["undecided"], "not testable here"),
        (["opposite", "untested"], "not at this scale"),
        (["opposite", "undecided"], "not at this scale"),
        (["untested", "untested"], "not testable here"),
    ],
)
def test_verdict_follows_from_the_outcomes(outcomes, expected):
    assert verdict([part(outcome) for outcome in outcomes]) == expected


@pytest.mark.parametrize(
    "parts, expected",
    [
        ([("holds", 0.04)], "not testable here"),  # 0.04 * 3 tests
        ([("holds", 0.001), ("holds", np.nan)], "reproduced"),
        ([("holds", 0.04), ("holds", np.nan)], "not testable here"),  # a count cannot carry a verdict alone
        ([("holds", 0.001), ("untested", np.nan)], "partly"),
        ([("holds", 0.001), ("opposite", 0.04)], "partly"),
        ([("untested", np.nan)], "not testable here"),
    ],
)
def test_verdict_after_holm(parts, expected):
    others = [[part("undecided")._replace(p_value=0.5)], [part("holds")._replace(p_value=0.0001)]]
    group = [Part("x", 0.9, p, outcome) for outcome, p in parts]
    assert after_holm([group, *others])[0] == expected


def test_tests_of_pure_noise_reject_at_their_level():
    rng = np.random.default_rng(3)
    found = {"paired": 0, "correlated": 0, "resampled": 0}
    for _ in range(300):
        x, y = rng.normal(size=(2, 20))
        draws = rng.normal(rng.normal(), 1, 200)  # resamples of an estimate whose true value is 0
        judged = {
            "paired": judging.paired("", x, 1),
            "correlated": judging.correlated("", x, y, 1, 50),
            "resampled": judging.resampled("", draws, 20),
        }
        for name, result in judged.items():
            found[name] += result.outcome in ("holds", "opposite")
            assert (result.p_value < 0.07) or result.outcome == "undecided"
    assert all(0.02 < hits / 300 < 0.09 for hits in found.values()), found
