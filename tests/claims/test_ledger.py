"""The ledger on synthetic surveys with a known answer, in both directions, and on the committed survey."""

import doctest
import inspect

import numpy as np
import pytest
import synthetic
import xarray as xr
from synthetic import World

from tokengeom_utils import claims, open_results
from tokengeom_utils.claims import CLAIMS, MIN_UNITS, VERDICTS, cards, count, evaluate, parts_table, table
from tokengeom_utils.errors import InputError
from tokengeom_utils.surveys.results import relative_depth, shuffled_prompts
from tokengeom_utils.theory.statistics import pearson

DEPTH = np.linspace(0, 1, 13)
SCALES = np.array([2, 4, 8, 16, 32, 64])


def survey(n=24, like_paper=True, degrees=(0, 1, 2, 3), n_tokens=64, seed=0, kinds=12):
    """Make a survey that behaves as the paper reports, or in each respect the other way."""
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
    if like_paper and len(degrees) > 1:  # the order of the degrees breaks at scale 16 and beyond
        dimension[:, -1, :, 3:] -= 4
    overlap = 0.6 + sign * (0.3 * DEPTH[None, None] - 0.1 * strength[None, :, None])
    overlap = np.repeat(overlap, n, 0)
    overlap[..., -2] -= sign * 0.2
    overlap[..., -1] = np.nan

    def noise(*shape):
        return rng.normal(0, 0.01, shape)

    by_degree = (n, len(degrees))
    values = {
        "intrinsic_dimension": dimension + noise(*dimension.shape),
        "neighborhood_overlap": (overlap + noise(*overlap.shape))[..., None].repeat(3, -1),
        "cosine_similarity": 0.3 + sign * 0.3 * strength[None, :, None] + noise(*by_degree, 13),
        "neighbor_angle": 66 - sign * 5 * strength[None, :, None] + noise(*by_degree, 13),
        "loss": loss[:, None] + sign * 4 * strength + noise(*by_degree),
        "distinct_tokens": np.repeat(rng.normal(400, 50, n)[:, None], len(degrees), 1),
    }
    surprise = values["loss"]
    wide = noise(*by_degree, 1) + 0.05 * np.log2(SCALES)
    last = values["intrinsic_dimension"][:, :, -1] if like_paper else rng.normal(7, 1, (*by_degree, 1))
    values |= {
        "logit_dimension": wide + last,
        "entropy": surprise + noise(*by_degree) if like_paper else 0.5 * rng.uniform(1, 9, by_degree),
        "top_mass": 0.5 + sign * (0.3 + noise(*by_degree)),
        "top_width": 20 + noise(*by_degree),
        "bleu": 0.5 - sign * 0.4 * strength + noise(*by_degree),
    }
    values["top_width"] -= sign * values["entropy"]
    values["top_entropy"] = (0.5 - sign * 0.1) * values["entropy"]
    if like_paper:  # the last cloud of an ordered prompt follows its loss
        values["intrinsic_dimension"][:, 0, -1] += (loss - 3)[:, None]
        values["logit_dimension"][:, 0] += (loss - 3)[:, None]
    return xr.Dataset(
        {name: (("prompt", "shuffle", *synthetic.INNER.get(name, ())), value) for name, value in values.items()},
        coords={
            "domain": ("prompt", [f"kind-{i % kinds}" for i in range(n)]),
            "shuffle": degrees,
            "layer": np.arange(13),
            "scale": SCALES,
            "k": [1, 2, 3],
        },
        attrs={"n_tokens": n_tokens, "model": "synthetic"},
    )


def verdicts(results):
    return {claim.number: claim.verdict for claim in evaluate(results)}


TESTED = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 14, 15]


@pytest.fixture(scope="module")
def both():
    """Verdicts on a survey like the paper's, and on its opposite."""
    return verdicts(survey()), verdicts(survey(like_paper=False))


@pytest.mark.parametrize("number", [1, 2, 3, 4, 5, 6, 7, 8, 9, 13, 14, 15])
def test_a_survey_like_the_paper_reproduces_its_claims(both, number):
    assert both[0][number] == "reproduced"


@pytest.mark.parametrize("number", [2, 3, 4, 6, 7, 8, 9, 14, 15])
def test_the_opposite_survey_reproduces_none(both, number):
    assert both[1][number] == "not seen here"


@pytest.mark.parametrize("number", TESTED)
def test_no_claim_has_the_same_verdict_on_both_surveys(both, number):
    if number != 11:  # its difference of correlations is constructed the same way in both
        assert both[0][number] != both[1][number]


def test_claims_beyond_any_survey_are_not_testable(both):
    assert all(found[number] == "not testable here" for found in both for number in (12, 16))


def test_severity_is_judged_by_the_loss_and_not_by_bleu(both):
    severity = claims.shuffle_severity(survey())
    assert both[0][15] == severity.verdict == "reproduced"
    assert all(part.remark for part in severity.parts) and "BLEU" in severity.ours


def test_the_order_of_the_degrees_is_judged_at_the_scaling_of_the_paper():
    broken = claims.range_scaling(survey())
    assert "from degree 2 to 3 at scaling 16" in broken.ours and "scaling 8" not in broken.ours.split("falls")[1]
    assert broken.parts[-1].outcome == "holds"
    results = survey()
    results.intrinsic_dimension[:, -1, :, 3:] += 8  # undoes the break
    mended = claims.range_scaling(results)
    assert mended.parts[-1].outcome == "opposite" and "at no step" in mended.ours


def test_flat_means_nothing_without_a_rise():
    results = survey()
    noise = np.random.default_rng(0).normal(0, 0.1, results.intrinsic_dimension.shape)
    results["intrinsic_dimension"] = results.intrinsic_dimension.dims, 8 + noise
    assert [part.outcome for part in claims.range_scaling(results).parts[:2]] == ["undecided", "untested"]


def correlated(sign=1, falling=True, n=120, seed=1):
    """A survey whose dimension correlates with the loss in every layer, most of all in the first half or the last."""
    results = survey(n=n)
    weight = 0.3 + 1.2 * (DEPTH if falling else DEPTH[::-1])[:, None] + np.zeros(len(SCALES))
    weight[-1] = 1.6 / np.arange(1, len(SCALES) + 1)
    draws = np.random.default_rng(seed).normal(size=(n, 13, len(SCALES)))
    loss = results.loss.values[:, 0, None, None]
    results.intrinsic_dimension[:, 0] = sign * (loss - 3) + 0.5 * weight * draws
    return results


@pytest.mark.parametrize(
    "sign, falling, verdict, place",
    [
        (1, True, "reproduced", "holds"),
        (1, False, "partly", "opposite"),
        (-1, True, "not seen here", "untested"),  # an inverted effect has no place to hold
        (-1, False, "not seen here", "untested"),
    ],
)
def test_sign_and_place_of_the_strongest_correlation(sign, falling, verdict, place):
    judged = claims.correlates_with_loss(correlated(sign, falling))
    assert (judged.verdict, judged.parts[2].outcome) == (verdict, place)


def test_larger_scales_correlate_more():
    assert claims.larger_scales_correlate(correlated()).verdict == "reproduced"
    results = correlated()
    results.intrinsic_dimension[:, :, -1] = results.intrinsic_dimension[:, :, -1, ::-1].values
    assert claims.larger_scales_correlate(results).verdict == "not seen here"


def test_the_papers_correlations_in_the_last_layer_are_the_same_in_both_claims():
    results = survey()
    strongest, larger = claims.correlates_with_loss(results), claims.larger_scales_correlate(results)
    at_last = [part.split("at the last")[0].split()[-1] for part in strongest.paper.split("; p <")[0].split(";")]
    at_two = [part.split()[1].rstrip(",") for part in larger.paper.split(": ")[1].split(";")]
    assert at_last == at_two == ["0.22", "0.40", "0.03"]


def test_true_correlations_are_never_called_the_opposite():
    for seed in range(20):
        found = claims.correlates_with_loss(synthetic.survey(World(prompts=2, r=0.3), seed))
        assert found.verdict in ("undecided", "partly", "reproduced")


def test_a_peak_is_not_raised_by_scatter_alone():
    results = synthetic.survey(World(scatter=3, smooth=4), 1)
    highest = results.intrinsic_dimension.sel(scale=2, layer=slice(1, None)).max("layer")
    rises = (highest.sel(shuffle=5) > highest.sel(shuffle=0)).where(highest.sel(shuffle=5).notnull()).mean()
    assert rises > 0.95  # the trap: a maximum over layers grows with the scatter
    assert claims.shuffle_raises_peak(results).uncorrected == "undecided"


def test_no_verdict_depends_on_the_names_of_the_kinds():
    """Kinds are dealt into halves in every way, so no deal is special, and neither is the order of names or prompts."""
    results = synthetic.survey(World(kinds=9, smooth=4, profile=0.5, raised=0.1, kind_effect=1), 5)
    rng = np.random.default_rng(0)
    names, number = np.unique(results.domain.values, return_inverse=True)
    others = rng.permutation([f"other-{i}" for i in range(len(names))])
    renamed = results.assign_coords(domain=("prompt", others[number]))
    one, other = (parts_table(evaluate(each)) for each in (results, renamed.isel(prompt=rng.permutation(72))))
    assert (one.outcome == other.outcome).all() and (one.kinds == other.kinds).all()
    for column in ("p_value", "adjusted", "size"):
        assert other[column].values == pytest.approx(one[column].values, nan_ok=True, abs=1e-9), column
    assert 0 < (one.adjusted < 0.05).sum() < len(one)


@pytest.mark.parametrize("falling", [True, False])
def test_no_layer_is_compared_with_itself(falling):
    """A profile that falls from the first layer on has no rise, and one that rises to the last has no fall."""
    results = survey()
    slope = np.linspace(6, 0, 12) if falling else np.linspace(0, 6, 12)
    noise = np.random.default_rng(1).normal(0, 0.1, results.intrinsic_dimension.shape)
    results["intrinsic_dimension"] = results.intrinsic_dimension.dims, 8 + noise
    results.intrinsic_dimension[:, :, 1:] += slope[:, None]
    found = {part.name: part.outcome for part in claims.early_peak(results).parts}
    falls = {found[f"higher than in {name}"] for name in ("the last layer", "the layer before it")}
    assert found["higher than in the first layer"] == ("opposite" if falling else "holds")
    assert falls == {"holds" if falling else "opposite"}
    assert found["peak in the first half"] == ("holds" if falling else "opposite")


def test_the_peak_beside_which_pairs_are_judged_lies_before_the_final_norm():
    results = survey()
    results.intrinsic_dimension[:, :, -1] += 100  # after the norm
    assert [part.outcome for part in claims.overlap_lower(results).parts] == ["holds"] * 3
    results.intrinsic_dimension[:, :, -2] += 50  # where only the pair before it ends before the norm
    judged = claims.overlap_lower(results)
    assert [part.outcome for part in judged.parts] == ["holds", "untested", "untested"]
    assert "peaks at layer 11 of 12" in judged.parts[1].test and "kinds" not in judged.parts[1].test
    results.intrinsic_dimension[:, :, 1] += 200
    assert [part.outcome for part in claims.overlap_lower(results).parts] == ["untested", "holds", "holds"]


def test_a_small_angle_is_not_the_papers():
    results = survey()
    results["neighbor_angle"] = 66 + (results.neighbor_angle - 66) / 6  # 0.8 degrees in place of 5
    small = claims.neighbor_angle(results)
    assert small.verdict == "partly" and [part.outcome for part in small.parts] == ["holds", "opposite"]
    assert small.parts[0].size == pytest.approx(0.14, abs=0.01) and np.isnan(small.parts[1].size)


def test_pairs_of_layers_are_judged_separately():
    results = survey()
    after = results.neighborhood_overlap.sel(shuffle=0)
    at = int(results.intrinsic_dimension.sel(shuffle=0, scale=2).mean("prompt").argmax("layer"))
    results.neighborhood_overlap[:, -1, at + 1] = after[:, at + 1].values + 0.05
    judged = claims.overlap_lower(results)
    assert [part.outcome for part in judged.parts] == ["holds", "holds", "opposite"] and judged.verdict == "partly"
    assert f"higher for pairs that begin at layers {at + 1}" in judged.note


@pytest.mark.parametrize(
    "make, numbers, words",
    [
        (lambda: survey(n=2), TESTED, "prompts|2 kinds"),
        (lambda: survey(kinds=MIN_UNITS - 1), TESTED, "5 kinds, at least 6 are needed"),
        (lambda: survey(degrees=(0,)), [2, 3, 4, 6, 7, 9, 15], "degree|shuffle"),
        (lambda: survey(n_tokens=256), [2, 4, 6, 7, 9], "no full shuffle"),
        (lambda: survey().sel(layer=slice(0, 4)), [1, 8], "at least 8 layers"),
        (lambda: survey().sel(scale=[4, 8]), [1, 3, 10, 11], "no range scaling 2"),
    ],
)
def test_too_small_a_survey_is_reported_with_the_reason(make, numbers, words):
    for claim in evaluate(make()):
        if claim.number in numbers:
            assert claim.verdict == "not testable here"
            assert any(word in claim.reason + claim.test for word in words.split("|")), claim


def test_in_a_single_kind_the_prompts_are_the_units():
    one, none = (evaluate(results) for results in (survey(kinds=1), survey().drop_vars("domain")))
    assert {c.number: c.verdict for c in one} == {c.number: c.verdict for c in none} == verdicts(survey(kinds=24))
    assert "24 of 24 prompts agree" in one[1].test and not any("kind" in claim.test for claim in one)
    assert "each prompt where other prompts peak" in one[1].test
    assert "12 of 12 kinds agree" in evaluate(survey())[1].test


def test_missing_values_are_tolerated():
    results = survey()
    results.intrinsic_dimension[3, :, 5] = np.nan
    results.loss[4, 1:] = np.nan
    assert len(evaluate(results)) == 16


def test_ledger_is_complete_and_readable():
    ledger = evaluate(survey(), survey(seed=1))
    assert [claim.number for claim in ledger] == list(range(1, 17))
    frame = table(ledger)
    assert list(frame.index) == list(range(1, 17)) and set(frame.verdict) | set(frame.twin) <= set(VERDICTS)
    assert not frame.isna().any().any() and (frame.paper.str.len() > 20).all()
    parts = parts_table(ledger)
    assert len(parts) == sum(len(claim.parts) for claim in ledger) and (parts.kinds == "12 of 12").any()
    assert sum(count(ledger).values()) == 16
    text = cards(ledger)
    for claim in ledger:
        assert claim.statement in text
    assert "nan" not in text and ".." not in text and "The untrained twin: *reproduced*" in text


def test_ledger_is_repeatable():
    assert str(evaluate(survey(kinds=24), seed=1)) == str(evaluate(survey(kinds=24), seed=1))


def test_correction_only_weakens_decisions():
    for n in (7, 24):
        ledger = evaluate(survey(n=n, kinds=n))
        for part in (part for claim in ledger for part in claim.parts if part.outcome != "untested"):
            assert part.outcome in (part.uncorrected, "undecided") and part.adjusted >= part.p_value


# --- the untrained twin ---


def test_the_twin_stands_beside_the_model_and_is_compared_prompt_by_prompt():
    def judged(twin):
        return {(c.number, p.name): p.beyond for c in evaluate(survey(), twin) for p in c.parts}

    same = survey(seed=0)
    noise = np.random.default_rng(5).normal(0, 0.01, same.cosine_similarity.shape)
    same["cosine_similarity"] = same.cosine_similarity + noise
    assert judged(same)[6, "last layer"] == "undecided"
    flat, more = survey(seed=0), survey(seed=0)
    flat["cosine_similarity"] = 0.3 + 0 * flat.cosine_similarity + noise
    more["cosine_similarity"] = more.cosine_similarity + 0.1 * more.shuffle / 3 + noise
    assert judged(flat)[6, "last layer"] == "more" and judged(more)[6, "last layer"] == "less"


@pytest.mark.parametrize("keep", [slice(0, 0), slice(0, 3), slice(0, 20)])
def test_a_twin_of_few_prompts_is_no_error(keep):
    ledger = evaluate(survey(), survey().isel(prompt=keep) if keep.stop else survey(seed=3).isel(prompt=[0]))
    assert len(ledger) == 16 and all(claim.twin in VERDICTS for claim in ledger)
    beyond = {part.beyond for claim in ledger for part in claim.parts}
    assert beyond <= {"", "more", "less", "undecided"} and (keep.stop == 20) == (len(beyond) > 1)


def test_reproduced_claims_are_sorted_by_what_they_say():
    twin = survey(seed=0)
    noise = np.random.default_rng(5).normal(0, 0.01, twin.cosine_similarity.shape)
    twin["cosine_similarity"] = 0.3 + 0 * twin.cosine_similarity + noise
    found = claims.worth(evaluate(survey(), twin))
    assert found["little severity"] == [] and 6 in found["beyond the twin"] and 8 in found["random weights too"]
    alone = claims.worth(evaluate(survey()))
    assert {14, 15} == set(alone["little severity"]) and 6 in alone["not compared"] and not alone["beyond the twin"]
    assert sum(map(len, alone.values())) == count(evaluate(survey()))["reproduced"]


def test_prompts_with_other_texts_are_not_compared():
    results, twin = (synthetic.survey(World(prompts=2, shuffled=2), seed) for seed in (0, 1))
    hashes = [f"{i:03}" for i in range(30)]
    with_texts = [one.assign_coords(sha256=("prompt", hashes)) for one in (results, twin)]
    assert any(part.beyond for claim in evaluate(*with_texts) for part in claim.parts)
    other = with_texts[1].assign_coords(sha256=("prompt", hashes[::-1]))
    longer = with_texts[1].assign_attrs(n_tokens=4096)
    for unlike in (other, longer):
        assert not any(part.beyond for claim in evaluate(with_texts[0], unlike) for part in claim.parts)


# --- the committed survey -----------------------------------------------------------------------

#: The verdicts on data/results/standard.zarr. A change of model, rule, or estimator that alters one must alter it here.
COMMITTED = {
    1: "partly",
    2: "reproduced",
    3: "partly",
    4: "not seen here",
    5: "partly",
    6: "reproduced",
    7: "partly",
    8: "reproduced",
    9: "undecided",
    10: "partly",
    11: "undecided",
    12: "not testable here",
    13: "reproduced",
    14: "reproduced",
    15: "reproduced",
    16: "not testable here",
}


@pytest.fixture(scope="module")
def committed():
    try:
        return open_results("standard")
    except InputError as missing:
        pytest.skip(str(missing))


def test_verdicts_on_the_committed_survey(committed):
    ledger = evaluate(committed)
    assert {claim.number: claim.verdict for claim in ledger} == COMMITTED


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.__name__)
def test_docstring_and_example_of_each_claim(claim, committed):
    """Pytest does not collect the examples, since the decorator defines the functions in another module."""
    assert list(inspect.signature(claim).parameters) == ["results", "seed"]
    examples = doctest.DocTestParser().get_doctest(claim.__doc__, {}, claim.__name__, None, None)
    assert len(examples.examples) == 4
    assert doctest.DocTestRunner().run(examples).failed == 0


def test_numbers_behind_the_verdicts(committed):
    """The tolerances allow for another machine, its rounding, and its number of threads, and no more."""
    last = int(committed.layer.max())
    ordered, shuffled = committed.sel(shuffle=0), shuffled_prompts(committed)
    inner = ordered.intrinsic_dimension.sel(scale=2, layer=slice(1, None)).transpose("prompt", "layer")
    mean = inner.mean("prompt")
    assert (committed.sizes["prompt"], shuffled.sizes["prompt"], last) == (300, 45, 30)
    assert float(mean.max()) == pytest.approx(6.65, rel=0.02)
    assert relative_depth(int(mean.idxmax()), last) == pytest.approx(20 / 30, abs=1.5 / 30)
    peaks = shuffled.intrinsic_dimension.sel(scale=2, layer=slice(1, None)).mean("prompt").max("layer")
    assert peaks.values == pytest.approx([6.68, 6.79, 7.30, 8.22, 9.60, 10.51], rel=0.02)
    r = pearson(inner.values.T, ordered.loss.values)
    assert r.max() == pytest.approx(0.62, abs=0.02) and r[-1] == pytest.approx(0.52, abs=0.03)
    cosine = shuffled.cosine_similarity.mean("prompt").sel(shuffle=[0, 5])
    assert cosine.sel(layer=15).values == pytest.approx([0.50, 0.53], abs=0.01)
    assert cosine.sel(layer=last).values == pytest.approx([0.57, 0.92], abs=0.01)
    overlap = shuffled.neighborhood_overlap.sel(k=2, layer=[19, 20, 21]).mean(["prompt", "layer"]).sel(shuffle=[0, 5])
    assert overlap.values == pytest.approx([0.83, 0.77], abs=0.01)
    assert shuffled.loss.mean("prompt").values == pytest.approx([2.34, 2.44, 2.86, 3.81, 5.51, 7.30], abs=0.02)
    assert shuffled.bleu.mean("prompt").values == pytest.approx([1, 0.997, 0.98, 0.91, 0.57, 0.01], abs=0.01)
    assert [float(ordered[name].mean()) for name in ("entropy", "top_mass", "top_width")] == pytest.approx(
        [2.21, 0.785, 4.69], rel=0.01
    )
