"""The ledger on surveys made so that the answer is known, in both directions."""

import numpy as np
import pytest
import xarray as xr
from tokengeom_utils import claims
from tokengeom_utils.claims import VERDICTS, Part, cards, count, evaluate, sign_flip_p_value, table, verdict

DEPTH = np.linspace(0, 1, 13)
SCALES = np.array([2, 4, 8, 16, 32, 64])


def survey(n=16, like_paper=True, degrees=(0, 1, 2, 3), n_tokens=64, seed=0):
    """A survey that behaves as the paper says, or in each respect the other way."""
    rng = np.random.default_rng(seed)
    sign = 1 if like_paper else -1
    degrees = np.array(degrees)
    strength = degrees / max(degrees.max(), 1)
    loss = rng.normal(3, 0.5, n)
    center, width = (0.35, 0.2) if like_paper else (0.58, 0.08)
    profile = 3 + 6 * np.exp(-(((DEPTH - center) / width) ** 2))
    growth = np.where(SCALES > 8, (SCALES / 8.0) ** (0.4 * sign), 1) if like_paper else SCALES / 2.0
    late = np.where(DEPTH > 0.6, -1, 1)
    dimension = profile[None, None, :, None] * growth + sign * (
        2 * strength[None, :, None, None] * late[None, None, :, None]
        + 1.5 * (loss - 3)[:, None, None, None] * (1 - 0.5 * DEPTH)[None, None, :, None] * np.log2(SCALES)
    )
    if like_paper and len(degrees) > 1:  # at scale 16 and beyond the order of the degrees breaks
        dimension[:, -1, :, 3:] -= 4
    overlap = 0.6 + sign * (0.3 * DEPTH[None, None] - 0.1 * strength[None, :, None])
    overlap = np.repeat(overlap, n, 0)
    overlap[..., -2] -= sign * 0.2
    overlap[..., -1] = np.nan
    noise = lambda *shape: rng.normal(0, 0.01, shape)  # noqa: E731
    by_degree = (n, len(degrees))
    values = {
        "intrinsic_dimension": dimension + noise(*dimension.shape),
        "neighborhood_overlap": (overlap + noise(*overlap.shape))[..., None].repeat(3, -1),
        "cosine_similarity": 0.3 + sign * 0.3 * strength[None, :, None] + noise(*by_degree, 13),
        "neighbor_angle": 66 - sign * 5 * strength[None, :, None] + noise(*by_degree, 13),
        "loss": loss[:, None] + sign * 4 * strength + noise(*by_degree),
        "distinct_tokens": np.repeat(rng.normal(400, 50, n)[:, None], len(degrees), 1),
    }
    dims = {"intrinsic_dimension": ("layer", "scale"), "neighborhood_overlap": ("layer", "k"),
            "cosine_similarity": ("layer",), "neighbor_angle": ("layer",)}
    return xr.Dataset(
        {name: (("prompt", "shuffle", *dims.get(name, ())), value) for name, value in values.items()},
        coords={"shuffle": degrees, "layer": np.arange(13), "scale": SCALES, "k": [1, 2, 3]},
        attrs={"n_tokens": n_tokens, "model": "made up"},
    )


def verdicts(results):
    return {claim.number: claim.verdict for claim in evaluate(results, n_bootstrap=200)}


TESTED = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 15]


@pytest.fixture(scope="module")
def both():
    return verdicts(survey()), verdicts(survey(like_paper=False))


@pytest.mark.parametrize("number", [1, 2, 3, 4, 5, 6, 7, 8, 9])
def test_a_survey_like_the_paper_reproduces_its_claims(both, number):
    assert both[0][number] == "reproduced"


@pytest.mark.parametrize("number", [2, 3, 4, 6, 7, 8, 9, 10])
def test_the_opposite_pattern_does_not(both, number):
    assert both[1][number] == "not at this scale"


@pytest.mark.parametrize("number", TESTED)
def test_no_claim_gets_the_same_verdict_from_both(both, number):
    if number != 11:  # its difference of correlations is built the same way in both
        assert both[0][number] != both[1][number]


def test_what_a_survey_cannot_hold_is_not_tested(both):
    assert all(found[number] == "not testable here" for found in both for number in (12, 13, 14, 16))


def test_a_correlation_that_is_there_is_found_and_its_sign_counts():
    like = claims.correlates_with_loss(survey(), 200)
    opposite = claims.correlates_with_loss(survey(like_paper=False), 200)
    assert like.parts[0].outcome == "holds" and opposite.parts[0].outcome != "holds"


@pytest.mark.parametrize("like_paper, expected", [(True, "reproduced"), (False, "partly")])
def test_where_the_correlation_is_strongest_and_at_which_scale(like_paper, expected):
    results = survey(n=60)
    noise = np.repeat(0.1 + 0.7 * (DEPTH if like_paper else DEPTH[::-1])[:, None], len(SCALES), 1)
    noise[-1] = (0.9, 0.4, 0.3, 0.3, 0.3, 0.3) if like_paper else (0.1, 0.4, 0.6, 0.6, 0.6, 0.6)
    draws = np.random.default_rng(1).normal(size=(60, 13, len(SCALES)))
    results.intrinsic_dimension[:, 0] = results.loss.values[:, 0, None, None] + noise * draws
    place = claims.correlates_with_loss(results, 200)
    assert place.verdict == expected
    assert place.parts[2].outcome == ("holds" if like_paper else "opposite")
    scales = claims.larger_scales_correlate(results, 200)
    assert scales.verdict == ("reproduced" if like_paper else "not at this scale")


@pytest.mark.parametrize(
    "make, numbers, words",
    [
        (lambda: survey(n=2), TESTED, "prompts"),
        (lambda: survey(degrees=(0,)), [2, 3, 4, 6, 7, 9, 15], "degree|shuffle"),
        (lambda: survey(n_tokens=256), [2, 4, 6, 7, 9], "no full shuffle"),
        (lambda: survey().sel(layer=slice(0, 4)), [1, 8], "at least 8 layers"),
        (lambda: survey().sel(scale=[4, 8]), [1, 3, 10, 11], "no range scaling 2"),
    ],
)
def test_too_little_data_is_said_and_not_hidden(make, numbers, words):
    for claim in evaluate(make(), n_bootstrap=20):
        if claim.number in numbers:
            assert claim.verdict == "not testable here"
            assert any(word in claim.reason + claim.test for word in words.split("|")), claim


def test_missing_values_do_not_break_the_ledger():
    results = survey()
    results.intrinsic_dimension[3, :, 5] = np.nan
    results.loss[4, 1:] = np.nan
    assert len(evaluate(results, n_bootstrap=50)) == 16


def part(outcome):
    return Part("x", 0.5, 0.5, outcome)


@pytest.mark.parametrize(
    "outcomes, expected",
    [
        (["holds", "holds"], "reproduced"), (["holds", "untested"], "partly"), (["holds", "opposite"], "partly"),
        (["undecided"], "not at this scale"), (["opposite", "untested"], "not at this scale"),
        (["untested", "untested"], "not testable here"),
    ],
)
def test_the_rule(outcomes, expected):
    assert verdict([part(o) for o in outcomes]) == expected


def test_sign_flips():
    assert sign_flip_p_value(np.ones(6)) == 2 / 2**6
    assert sign_flip_p_value(-np.ones(6)) == 2 / 2**6
    assert sign_flip_p_value([1, -1, 1, -1]) == 1
    rng = np.random.default_rng(0)
    many = rng.normal(size=(200, 20))
    p = [sign_flip_p_value(row, seed=1, n_random=499) for row in many]
    assert np.mean(np.array(p) < 0.05) == pytest.approx(0.05, abs=0.04)


def test_the_ledger_is_complete_and_reads_well():
    ledger = evaluate(survey(), n_bootstrap=50)
    assert [claim.number for claim in ledger] == list(range(1, 17))
    frame = table(ledger)
    assert list(frame.index) == list(range(1, 17)) and set(frame.verdict) <= set(VERDICTS)
    assert not frame.isna().any().any() and (frame.paper.str.len() > 20).all()
    assert sum(count(ledger).values()) == 16
    text = cards(ledger)
    for claim in ledger:
        assert claim.statement in text
    assert "nan" not in text and ".." not in text


def test_the_ledger_is_repeatable():
    assert evaluate(survey(), 50, seed=1) == evaluate(survey(), 50, seed=1)
