"""The rule of judging: from scores of kinds to outcomes, and from outcomes to a verdict."""

import numpy as np
import pytest

from tokengeom_utils.claims import MIN_UNITS, Part, judging, verdict
from tokengeom_utils.claims.judging import judge, mean, question, untested

UP = np.arange(1.0, 11)  #: ten kinds that agree
MIXED = np.array([1.0, -1, 2, -2, 3, -3, 4, -4, 5, -5.5])


def outcomes(*questions):
    (parts,) = judge([questions])
    return [part.outcome for part in parts]


@pytest.mark.parametrize(
    "parts, expected",
    [
        (["holds", "holds"], "reproduced"),
        (["holds", "untested"], "partly"),
        (["holds", "opposite"], "partly"),
        (["holds", "undecided"], "partly"),
        (["undecided"], "undecided"),
        (["undecided", "untested"], "undecided"),
        (["opposite", "untested"], "not seen here"),
        (["opposite", "undecided"], "not seen here"),
        (["untested", "untested"], "not testable here"),
        ([], "not testable here"),
    ],
)
def test_verdict_follows_from_the_outcomes(parts, expected):
    assert verdict(parts) == expected


def test_a_single_test_has_three_outcomes():
    assert outcomes(question("a", UP), question("b", -UP), question("c", MIXED)) == ["holds", "opposite", "undecided"]


def test_too_few_kinds_are_untested_with_the_reason():
    few = np.where(np.arange(10) < MIN_UNITS - 1, UP, np.nan)
    asked = question("a", few)
    assert outcomes(asked) == ["untested"] and "5 kinds, at least 6 are needed" in asked.why
    assert outcomes(question("a", np.where(np.arange(10) < MIN_UNITS, UP, np.nan))) == ["holds"]
    assert "5 prompts" in question("a", few, unit="prompts").why
    assert question("a", np.full(10, np.nan)).why == "no kinds have a value"
    assert question("a", few, without="the peak is the last layer").why == "the peak is the last layer"


def test_a_part_of_several_tests_needs_its_share_of_them():
    all_up, one_off = [UP, 2 * UP, UP[::-1]], [UP, 2 * UP, MIXED]
    assert outcomes(question("all", *all_up)) == ["holds"]
    assert outcomes(question("all", *one_off)) == ["undecided"]
    assert outcomes(question("two of three", *one_off, needed=0.6)) == ["holds"]
    assert outcomes(question("all", *(-s for s in all_up))) == ["opposite"]
    assert outcomes(question("all", *(-s for s in one_off))) == ["undecided"]


def test_absence_of_positive_layers_is_not_the_opposite():
    layers = [MIXED] * 30
    assert outcomes(question("nine of ten", *layers, needed=0.9)) == ["undecided"]
    some_negative = [-UP] * 20 + [MIXED] * 10
    assert outcomes(question("nine of ten", *some_negative, needed=0.9)) == ["undecided"]
    assert outcomes(question("nine of ten", *[-UP] * 27, *[MIXED] * 3, needed=0.9)) == ["opposite"]


def test_a_search_pays_and_looks_at_both_signs():
    rng = np.random.default_rng(0)
    options = rng.normal(size=(30, 10))
    options[3] = -UP
    ((part,),) = judge([[question("strongest", options)]])
    assert part.outcome == "opposite" and part.agreement == "0 of 10"
    strong = rng.normal(0.75, 1, 10)
    ((alone, searched),) = judge([[question("one", strong), question("many", np.vstack([strong, options[4:]]))]])
    assert alone.p_value < searched.p_value


def test_equivalence_needs_both_sides():
    ratio = np.linspace(0.95, 1.05, 10)
    inside, above, wide = (question("within", r - 0.8, 1.25 - r, against=1) for r in (ratio, ratio + 0.5, 1 + MIXED))
    assert outcomes(inside, above, wide) == ["holds", "opposite", "undecided"]


def test_a_condition_is_needed():
    def pair(first):
        return outcomes(question("sign", first), question("place", UP, given="sign"))

    assert pair(UP) == ["holds", "holds"] and pair(MIXED) == ["undecided", "untested"]
    ((_, place),) = judge([[question("sign", -UP), question("place", UP, given="sign")]])
    assert place.outcome == place.uncorrected == "untested" and np.isnan([place.p_value, place.adjusted]).all()


def test_the_correction_covers_all_claims():
    rng = np.random.default_rng(1)
    weak = np.array([2.0, 1, 1, 1.5, 0.3, 1, 0.7, -1, 1.2, -0.6])
    ((alone,),) = judge([[question("weak", weak)]])
    (among,), *_ = judge([[question("weak", weak)], *([question("noise", rng.normal(size=10))] for _ in range(20))])
    assert alone.outcome == among.uncorrected == "holds" and among.outcome == "undecided"
    assert alone.p_value == among.p_value < among.adjusted


def test_sizes_and_agreement():
    asked = question("rise", np.append(UP, np.nan), theirs=11.0)
    assert asked.size == pytest.approx(0.5)
    ((part,),) = judge([[asked._replace(remark="easy")]])
    assert (part.size, part.remark, part.agreement) == (asked.size, "easy", "10 of 10")
    assert np.isnan(question("rise", UP).size) and question("r", UP, theirs=0.5, effect=0.25).size == 0.5
    ((part,),) = judge([[question("mixed", MIXED)]])
    assert part.agreement == "5 of 10" and "5 of 10 kinds agree" in part.test


def test_nothing_to_judge():
    assert judge([]) == [] and judge([[], [untested("a", "no data")]])[0] == ()
    assert Part("a", "untested", "untested").agreement == ""
    assert np.isnan(mean(np.full(3, np.nan))) and mean(np.array([[1.0, np.nan], [3.0, 4.0]]), 0).tolist() == [2.0, 4.0]


@pytest.mark.parametrize("kind", ["single", "search", "several"])
def test_tests_of_pure_noise_reject_at_their_level(kind):
    rng = np.random.default_rng(3)
    decided = 0
    for _ in range(300):
        noise = rng.normal(size=(6, 9))
        asked = {"single": [noise[0]], "search": [noise], "several": list(noise[:2])}[kind]
        ((part,),) = judge([[question("x", *asked)]])
        decided += part.outcome in ("holds", "opposite")
        assert part.adjusted == part.p_value and (part.outcome == "undecided") == (part.p_value >= judging.LEVEL)
    assert decided / 300 < 0.08 and (kind == "several" or decided / 300 > 0.02)
