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

#: What five tokens can change, in units of 1 / N, by having another nearest neighbor, where two are almost equally far.
OTHER_NEIGHBORS = {"neighborhood_overlap": 5, "neighbor_angle": 5 * 90}


@pytest.mark.parametrize(
    "name, n_prompts, n_shuffled, n_degrees",
    [("standard", 300, 45, 6), ("short", 300, 45, 2), ("untrained", 30, 30, 6)],
)
def test_what_it_holds(name, n_prompts, n_shuffled, n_degrees):
    (report,) = examine(data_path("results", f"{name}.zarr"))
    assert report.is_sound and not report.missing
    results = tg.open_results(name)
    assert results.sizes["prompt"] == n_prompts and results.sizes["layer"] == 31
    assert list(results.prompt.values) == [p.id for p in tg.load_prompts("pocket", n=n_prompts)]
    shuffled = tg.results.shuffled_prompts(results)
    assert shuffled.sizes["prompt"] == n_shuffled and results.sizes["shuffle"] == n_degrees
    (run,) = json.loads(results.attrs["runs"])
    assert len(run["commit"]) == 40  # of a checkout without changes


def test_they_are_small():
    files = [p for name in COMMITTED for p in data_path("results", f"{name}.zarr").rglob("*") if p.is_file()]
    assert len(files) < 200 and sum(p.stat().st_size for p in files) < 9e6


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


@pytest.mark.parametrize("name", ["standard", "short"])
def test_three_random_prompts_measured_again(model, name):
    """Within tolerances: another machine rounds the 30 layers of the float32 forward pass differently."""
    results, prompts = tg.open_results(name), tg.load_prompts("pocket")
    sizes = {size: json.loads(results.attrs["request"])[size] for size in ("n_tokens", "scale_max", "k_max")}
    tolerances = {"tied_tokens": 5} | {variable: most / sizes["n_tokens"] for variable, most in OTHER_NEIGHBORS.items()}
    generator = random.Random(42)
    for place in generator.sample(range(45), 3):
        degree = generator.choice(results.shuffle.values.tolist())
        kept = results.isel(prompt=place).sel(shuffle=degree)
        found = tg.measure(model, prompts[place], degree, **sizes)
        for variable in results.data_vars.keys() - {"run"}:
            np.testing.assert_allclose(
                found[variable],
                kept[variable],
                rtol=2e-4,
                atol=tolerances.get(variable, 0),
                err_msg=f"{variable} of {prompts[place].id} at degree {degree}",
            )


def test_the_twin_has_learned_nothing():
    twin, trained = tg.open_results("untrained"), tg.open_results("standard")
    assert twin.attrs["model_fingerprint"] != trained.attrs["model_fingerprint"]
    np.testing.assert_allclose(twin.loss, np.log(49152), rtol=0.1)
    assert (trained.loss.sel(shuffle=0, prompt=twin.prompt) < twin.loss.sel(shuffle=0)).all()
