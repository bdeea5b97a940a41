"""Surveys of the bundled model on real prompts of 64 tokens."""

import numpy as np
import pytest
import xarray as xr

import tokengeom_utils as tg
from tokengeom_utils.schema import OBSERVABLES
from tokengeom_utils.surveys.paper import PAPER_TABLES

SMALL = {"n_tokens": 64, "scale_max": 16, "k_max": 8}


@pytest.fixture(scope="module")
def prompts():
    return tg.load_prompts("pocket", n=3)


@pytest.fixture(scope="module")
def whole(model, prompts, tmp_path_factory):
    out = tmp_path_factory.mktemp("whole") / "survey.zarr"
    return out, tg.survey(model, prompts, (0, 1, 2), out, n_shuffled=2, **SMALL)


def test_measure_gives_every_observable_of_every_layer(model, prompts):
    found = tg.measure(model, prompts[0], **SMALL)
    assert set(found.data_vars) == set(OBSERVABLES)
    for name, row in OBSERVABLES.items():
        assert found[name].dims == row.dims, name
    assert found.sizes == {"layer": model.n_layers + 1, "scale": 4, "k": 8}
    inner = found.isel(layer=slice(1, -1))
    for name in OBSERVABLES:
        assert np.isfinite(inner[name]).all(), name
    assert found.neighborhood_overlap.isel(layer=-1).isnull().all()  # the last layer has no next one


def test_measure_is_the_sum_of_its_parts(model, prompts):
    ids = tg.shuffle_blocks(model.tokenize(prompts[0].text, 64), 2, tg.prompt_seed(42, prompts[0].id, 2))
    clouds = tg.token_clouds(model, ids)
    table = tg.nearest_neighbors(clouds.hidden[5], 16)
    found = tg.measure(model, prompts[0], shuffle=2, **SMALL).sel(layer=5)
    np.testing.assert_allclose(found.intrinsic_dimension, tg.gride_scales(table.distances, 16).dimension, rtol=1e-12)
    np.testing.assert_allclose(found.cosine_similarity, tg.mean_cosine_similarity(clouds.hidden[5]), rtol=1e-12)
    assert found.loss.item() == pytest.approx(clouds.loss.mean().item(), rel=1e-6)


def test_skip_leaves_the_first_token_out(model, prompts):
    clouds = tg.token_clouds(model, model.tokenize(prompts[0].text, 64))
    expected = tg.observables(clouds.hidden[:, 1:], 16, 8)
    found = tg.measure(model, prompts[0], skip=1, **SMALL)
    xr.testing.assert_allclose(found[list(expected)], expected)


def test_survey_holds_what_was_measured(whole, model, prompts):
    _, results = whole
    assert list(results.prompt.values) == [p.id for p in prompts]
    assert list(results.domain.values) == [p.domain for p in prompts]
    assert results.loss.notnull().sum("shuffle").values.tolist() == [3, 3, 1]
    one = tg.measure(model, prompts[1], shuffle=1, **SMALL)
    np.testing.assert_array_equal(
        results.intrinsic_dimension.sel(prompt=prompts[1].id, shuffle=1), one.intrinsic_dimension
    )
    assert results.attrs["model_fingerprint"] == model.fingerprint


def test_several_prompts_at_once_give_the_same_survey(whole, model, prompts, tmp_path):
    steps = []
    results = tg.survey(
        model,
        prompts,
        (0, 1, 2),
        tmp_path / "survey.zarr",
        n_shuffled=2,
        batch=2,
        progress=lambda *step: steps.append(step[0]),
        **SMALL,
    )
    assert steps == [0, 2, 4, 6, 7]
    xr.testing.assert_allclose(results, whole[1], rtol=1e-4)  # the forward pass itself is float32


@pytest.mark.parametrize("stop_after", [1, 4])
def test_an_interrupted_survey_resumes_and_ends_the_same(whole, model, prompts, tmp_path, stop_after):
    def interrupt(done, total, seconds):
        if done == stop_after:
            raise KeyboardInterrupt

    out = tmp_path / "survey.zarr"
    with pytest.raises(KeyboardInterrupt):
        tg.survey(model, prompts, (0, 1, 2), out, n_shuffled=2, progress=interrupt, **SMALL)
    steps = []
    results = tg.survey(
        model, prompts, (0, 1, 2), out, n_shuffled=2, progress=lambda *step: steps.append(step[:2]), **SMALL
    )
    assert steps[-1] == ((7, 7) if stop_after < 3 else (4, 4))  # whole prompts are kept, the rest redone
    xr.testing.assert_identical(results, whole[1])


def test_a_complete_survey_needs_no_model(whole, prompts, monkeypatch):
    def never(*_):
        raise AssertionError("the model was loaded")

    monkeypatch.setattr("tokengeom_utils.surveys.plan.load_model", never)
    out, results = whole
    again = tg.survey("smollm2-135m", prompts, (0, 1, 2), out, n_shuffled=2, **SMALL)
    xr.testing.assert_identical(again, results)


@pytest.mark.parametrize("change", [{"seed": 7}, {"scale_max": 8}, {"model": "other"}, {"n_shuffled": 1}])
def test_the_error_for_a_store_of_another_survey_names_the_difference(whole, model, prompts, change):
    request = {"model": model, "n_shuffled": 2, **SMALL, **change}
    with pytest.raises(tg.InputError, match=f"its {next(iter(change))} is"):
        tg.survey(prompts=prompts, shuffles=(0, 1, 2), out=whole[0], **request)


@pytest.mark.parametrize("wrong, words", [
    ({"out": None}, "needs a store: pass its path"), ({"model": len}, "the name of one, not builtin_function"),
])  # fmt: skip
def test_a_survey_without_a_store_or_a_model(model, prompts, tmp_path, wrong, words):
    with pytest.raises(tg.InputError, match=words):
        tg.survey(**{"model": model, "prompts": prompts, "out": tmp_path / "survey.zarr", **wrong})


@pytest.mark.parametrize(
    "request_, words",
    [
        ({"n_tokens": 66}, "4\\^1"),
        ({"scale_max": 64}, "N - 1 = 63"),
        ({"k_max": 64}, "N - 1 = 63"),
        ({"n_tokens": 8000}, "tokens under"),
        ({"prompts": []}, "at least one"),
    ],
)
def test_bad_requests_write_nothing(model, prompts, tmp_path, request_, words):
    request = {**SMALL, **request_}
    out = tmp_path / "survey.zarr"
    with pytest.raises(tg.InputError, match=words):
        tg.survey(model, request.pop("prompts", prompts), (0, 1), out, **request)
    assert not list(tmp_path.iterdir())


def test_the_errors_of_open_results(tmp_path, whole):
    with pytest.raises(tg.InputError, match="no survey at"):
        tg.open_results(tmp_path / "nothing.zarr")
    xr.Dataset({"x": ("t", [1.0])}, attrs={"schema": 99}).to_zarr(tmp_path / "other.zarr", consolidated=False)
    with pytest.raises(tg.InputError, match="schema 99"):
        tg.open_results(tmp_path / "other.zarr")


@pytest.mark.parametrize("table", PAPER_TABLES)
def test_the_papers_tables_are_on_relative_depth(table):
    frame = tg.open_paper(table)
    assert set(frame.model) == {"Llama-3-8B", "Mistral-7B", "Pythia-6.9B"}
    assert frame.depth.dropna().between(0, 1).all() and frame.depth.max() == 1


def test_the_papers_headline_numbers():
    """Claims 1 and 2: the peaks over layers of the mean profiles at scale 2, as the paper's arrays give them."""
    frame = tg.open_paper().query("observable == 'intrinsic_dimension' and scale == 2")
    peaks = frame.groupby(["model", "shuffle"])["mean"].max().round(2)
    assert peaks["Llama-3-8B", 0] == 9.55 and peaks["Pythia-6.9B", 0] == 8.25
    assert peaks["Llama-3-8B", 5] == pytest.approx(13.9, abs=0.05)
    with pytest.raises(tg.InputError, match="no table"):
        tg.open_paper("nonsense")


@pytest.mark.parametrize(
    "wrong, words",
    [
        ({"n_shuffled": -1}, "n_shuffled = -1"),
        ({"seed": 1.5}, "seed = 1.5"),
        ({"seed": None}, "seed = None"),
        ({"batch": 0}, "batch = 0"),
        ({"n_tokens": 64.0}, "n_tokens = 64.0"),
        ({"shuffles": "0,5"}, "sequence of degrees"),
        ({"shuffles": 5}, "sequence of degrees"),
        ({"prompts": "pocket"}, "list of Prompt"),
        ({"prompts": []}, "at least one prompt"),
    ],
)
def test_odd_arguments_are_refused_before_anything_is_written(tmp_path, wrong, words):
    arguments = {"prompts": [tg.Prompt("a", "essay", "text")], "n_tokens": 64, "scale_max": 16, "k_max": 8, **wrong}
    with pytest.raises(tg.InputError, match=words):
        tg.survey(tg.tiny_model(), out=tmp_path / "out.zarr", **arguments)
    assert not list(tmp_path.iterdir())
