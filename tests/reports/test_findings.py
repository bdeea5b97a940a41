"""The numbers of a report, recomputed from the survey."""

import numpy as np
import pytest
import surveyed

import tokengeom_utils as tg
from tokengeom_utils.reports.findings import examine
from tokengeom_utils.reports.measuring import measure_text
from tokengeom_utils.reports.reference import as_reference

TEXT = tg.Prompt("note.txt", "letters", surveyed.prose(30, 200))
LAYER = 1


@pytest.fixture(scope="module")
def made():
    model, path = surveyed.make()
    return model, tg.open_results(path), measure_text(model, TEXT, surveyed.SIZES, LAYER, seed=42)


@pytest.fixture(scope="module")
def found(made):
    return examine(made[2], LAYER, 256, as_reference(made[1]), seed=0)


def below(x, others):
    return ((others < x) + (others == x) / 2).mean()


def test_every_number_has_its_share_among_all_prompts_and_among_those_of_the_nearest_kind(made, found):
    results = made[1].sel(shuffle=0)
    columns = {
        "loss": results.loss,
        "entropy": results.entropy,
        "distinct": results.distinct_tokens,
        "dimension": results.intrinsic_dimension.sel(layer=LAYER, scale=2),
        "dimension_8": results.intrinsic_dimension.sel(layer=LAYER, scale=8),
        "overlap": results.neighborhood_overlap.sel(layer=LAYER, k=2),
        "cosine": results.cosine_similarity.sel(layer=LAYER),
    }
    assert set(found.placed) == set(columns)
    of_kind = results.domain.values == found.nearest.kind
    for name, others in columns.items():
        placed = found.placed[name]
        assert placed.share.below == pytest.approx(below(placed.value, others.values)), name
        assert placed.share_of_kind.below == pytest.approx(below(placed.value, others.values[of_kind])), name
        assert placed.median == pytest.approx(np.median(others)) and placed.share_of_kind.n == 12
    assert found.placed["loss"].value == made[2].found.loss.item()
    assert np.isfinite(found.placed["dimension"].error) and np.isnan(found.placed["loss"].error)


def test_the_nearest_kind_is_found_without_the_geometry(made, found):
    text, reference = made[2], as_reference(made[1])
    assert found.nearest.kind == "plain" and found.nearest.found > 0.8
    moved = text.found.assign(
        intrinsic_dimension=text.found.intrinsic_dimension * 9, cosine_similarity=-text.found.cosine_similarity
    )
    assert examine(text._replace(found=moved), LAYER, 256, reference, 0).nearest.kind == "plain"


def test_the_curves_run_inside_the_quantiles_of_the_prompts(made, found):
    results = made[1].sel(shuffle=0)
    dimension, overlap, cosine = found.curves
    assert list(dimension.layers) == [1, 2] == list(cosine.layers) and list(overlap.layers) == [1]
    values = results.cosine_similarity.sel(layer=[1, 2]).transpose("layer", "prompt").values
    for curve, q in ((cosine.low, 5), (cosine.median, 50), (cosine.high, 95)):
        np.testing.assert_allclose(curve, np.percentile(values, q, axis=1))
    np.testing.assert_array_equal(cosine.text, made[2].found.cosine_similarity[1:])
    np.testing.assert_array_equal(cosine.shuffled, made[2].shuffled.cosine_similarity[1:])
    assert list(dimension.outside) == [
        layer
        for layer, x, a, b in zip(dimension.layers, dimension.text, dimension.low, dimension.high, strict=True)
        if not a <= x <= b
    ]


def test_among_few_prompts_the_band_is_their_range(made):
    few = examine(made[2], LAYER, 256, as_reference(made[1].isel(prompt=slice(4))), 0)
    values = made[1].sel(shuffle=0).isel(prompt=slice(4)).cosine_similarity.sel(layer=[1, 2]).values
    np.testing.assert_allclose(few.curves[2].low, values.min(0))
    np.testing.assert_allclose(few.curves[2].high, values.max(0))
    assert few.placed["loss"].share is None and few.by_loss is None and few.n_prompts == 4


def test_a_shuffle_is_compared_with_the_prompts_that_are_shuffled_too(made, found):
    both = made[1].isel(prompt=made[1].loss.notnull().all("shuffle").values)
    rise = (both.loss.sel(shuffle=4) - both.loss.sel(shuffle=0)).values
    change = found.changes["loss"]
    assert (change.before, change.after) == (made[2].found.loss.item(), made[2].shuffled.loss.item())
    assert change.usual == pytest.approx(rise.mean()) and change.share.n == 12
    assert change.share.below == pytest.approx(below(change.after - change.before, rise))
    errors = [m.intrinsic_dimension_error.sel(layer=LAYER, scale=2).item() for m in (made[2].found, made[2].shuffled)]
    assert found.changes["dimension"].error == pytest.approx(np.hypot(*errors))


def test_of_another_degree_no_shuffled_prompt_counts(made):
    found = examine(made[2]._replace(degree=3), LAYER, 256, as_reference(made[1]), 0)
    assert np.isnan(found.changes["loss"].usual) and found.changes["loss"].share is None
    assert examine(made[2]._replace(shuffled=None), LAYER, 256, as_reference(made[1]), 0).changes == {}


def test_without_prompts_there_are_numbers_and_no_places(made):
    found = examine(made[2], LAYER, 256, None, 0)
    assert found.n_prompts == 0 and found.nearest is None and found.by_loss is None and found.ranges == {}
    assert all(p.share is None and np.isnan(p.median) for p in found.placed.values())
    assert all(curve.low is None and curve.outside is None for curve in found.curves)
    assert found.chance == pytest.approx(np.log(256))


def test_the_costliest_tenth_is_a_share_of_the_loss(made, found):
    loss = np.sort(made[2].tokens.surprisal[1:])
    assert found.costliest == pytest.approx(loss[-25:].sum() / loss.sum())
    assert found.ranges["loss"] == (made[1].loss.sel(shuffle=0).min(), made[1].loss.sel(shuffle=0).max())
