"""The surveys in the repository are complete, sound, small, and reproduced here."""

import json
import random

import numpy as np
import pytest

import tokengeom_utils as tg
from tokengeom_utils.paths import data_path
from tokengeom_utils.surveys.doctor import examine
from tokengeom_utils.surveys.results import COMMITTED
from tokengeom_utils.surveys.twins import columns

#: What five of 1024 tokens can change by having another nearest neighbor, where two are almost equally far.
OTHER_NEIGHBORS = {"neighborhood_overlap": 5 / 1024, "tied_tokens": 5, "neighbor_angle": 5 * 90 / 1024}


@pytest.mark.parametrize("name, n_prompts, n_shuffled", [("standard", 300, 45), ("untrained", 30, 30)])
def test_what_it_holds(name, n_prompts, n_shuffled):
    (report,) = examine(data_path("results", f"{name}.zarr"))
    assert report.is_sound and not report.missing
    results = tg.open_results(name)
    assert results.sizes["prompt"] == n_prompts and results.sizes["layer"] == 31
    assert list(results.prompt.values) == [p.id for p in tg.load_prompts("pocket", n=n_prompts)]
    if n_shuffled:
        assert tg.results.shuffled_prompts(results).sizes["prompt"] == n_shuffled and results.sizes["shuffle"] == 6
    (run,) = json.loads(results.attrs["runs"])
    assert len(run["commit"]) == 40  # of a checkout without changes


def test_they_are_small():
    files = [p for name in COMMITTED for p in data_path("results", f"{name}.zarr").rglob("*") if p.is_file()]
    assert len(files) < 150 and sum(p.stat().st_size for p in files) < 8e6


def test_other_twins_stand_beside_the_first():
    twins, first = tg.open_twins(), tg.open_results("untrained")
    assert twins.twin.values.tolist() == [0, 1, 2, 3] and twins["shuffle"].values.tolist() == [0, 5]
    assert [name.split("-")[0] for name in twins.prompt.values] == list(dict.fromkeys(first.domain.values))
    assert twins.layer.values.tolist() == list(range(1, 31)) and data_path("results", "twins.csv").stat().st_size < 2e5
    for name in ("intrinsic_dimension", "neighborhood_overlap", "cosine_similarity", "neighbor_angle"):
        found = twins[name].sel(layer=slice(1, 29))  # no overlap starts in the last
        assert found.notnull().all(), name
        same = first[name].sel({axis: found[axis].values for axis in found.dims if axis != "twin"})
        np.testing.assert_array_equal(found.sel(twin=0), same.transpose(*found.dims[1:]))
        means = found.mean(["prompt", "shuffle"])
        assert len(np.unique(found.sel(shuffle=0, layer=15).values.reshape(4, -1)[:, 0])) == 4  # other weights
        np.testing.assert_allclose(means, means.sel(twin=0).broadcast_like(means), rtol=0.3, atol=0.02)


def test_the_table_of_twins_has_what_a_survey_has():
    results = tg.open_results("untrained")
    table = columns(results)
    at = {"prompt": "news-00", "shuffle": 5, "layer": 7}
    assert float(table.dimension_8.sel(at)) == float(results.intrinsic_dimension.sel(at | {"scale": 8}))
    assert float(table.overlap_2.sel(at)) == float(results.neighborhood_overlap.sel(at | {"k": 2}))
    assert table.sizes == {"prompt": 30, "shuffle": 6, "layer": 30}


def test_three_random_prompts_measured_again(model):
    """Within tolerances: another machine rounds the 30 layers of the float32 forward pass differently."""
    results, prompts = tg.open_results("standard"), tg.load_prompts("pocket")
    generator = random.Random(42)
    for place in generator.sample(range(45), 3):
        degree = generator.choice(results.shuffle.values.tolist())
        kept = results.isel(prompt=place).sel(shuffle=degree)
        found = tg.measure(model, prompts[place], degree)
        for name in results.data_vars.keys() - {"run"}:
            np.testing.assert_allclose(
                found[name],
                kept[name],
                rtol=2e-4,
                atol=OTHER_NEIGHBORS.get(name, 0),
                err_msg=f"{name} of {prompts[place].id} at degree {degree}",
            )


def test_the_twin_has_learned_nothing():
    twin, trained = tg.open_results("untrained"), tg.open_results("standard")
    assert twin.attrs["model_fingerprint"] != trained.attrs["model_fingerprint"]
    np.testing.assert_allclose(twin.loss, np.log(49152), rtol=0.1)
    assert (trained.loss.sel(shuffle=0, prompt=twin.prompt) < twin.loss.sel(shuffle=0)).all()
