"""Stores that hold other observables than this version measures: older stores lack some, newer ones may have more."""

import json
import pickle
import shutil
from itertools import pairwise

import dask
import numpy as np
import pytest
import tiny_survey
import xarray as xr

import tokengeom_utils as tg
from tokengeom_utils.paths import data_path
from tokengeom_utils.schema import OBSERVABLES, UNRECORDED
from tokengeom_utils.surveys.dataset import MissingVariable, SurveyDataset
from tokengeom_utils.surveys.doctor import examine

NEWER = sorted(set(OBSERVABLES) - set(UNRECORDED))


@pytest.fixture(scope="module")
def whole(tiny, tmp_path_factory):
    """A store with one prompt in a chunk, as older versions made it."""
    out = tmp_path_factory.mktemp("whole") / "survey.zarr"
    tiny_survey.run(tiny, out, group=1)
    return out


@pytest.fixture
def copy(whole, tmp_path):
    return shutil.copytree(whole, tmp_path / "survey.zarr")


def change(store, edit):
    """Edit the attributes of a store in place."""
    file = store / "zarr.json"
    document = json.loads(file.read_text())
    edit(document["attributes"])
    file.write_text(json.dumps(document, indent=2))


def make_old(store):
    """Turn a store into one of the first version: without newer observables, and without the record of them."""
    for name in NEWER:
        shutil.rmtree(store / name)

    def edit(attributes):
        del attributes["variables"]
        attributes["runs"] = attributes["runs"].replace('"tokengeom-utils": "0.2', '"tokengeom-utils": "0.1')

    change(store, edit)
    return store


def make_newer(store):
    """Turn a store into one of a newer version, with one more observable."""
    shutil.copytree(store / "neighbor_angle", store / "novelty")
    change(store, lambda attributes: attributes["variables"].append("novelty"))
    return store


def lines(path):
    return [line for report in examine(path) for line in report.lines()]


def plain_dataset(results):
    return xr.Dataset(results.data_vars, results.coords, results.attrs)


@pytest.fixture(params=["tiny", "standard", "untrained"])
def old(request, whole, tmp_path):
    """A store of the first version: a small one, and packed ones of the surveys in the repository."""
    store = whole if request.param == "tiny" else data_path("results", f"{request.param}.zarr")
    return make_old(shutil.copytree(store, tmp_path / "old.zarr"))


def test_an_old_store_opens_and_is_sound(old, recwarn):
    before = tiny_survey.files(old)
    results = tg.open_results(old)
    assert set(results.data_vars) == {*UNRECORDED, "run"} and results.loss.notnull().any()
    (report,) = examine(old)
    assert report.is_sound and not report.missing and not report.unknown
    text = "\n".join(lines(old))
    assert len(lines(old)) == 2 and not any(name in text for name in (*NEWER, "damaged", "delete", "unknown"))
    assert not recwarn.list and tiny_survey.files(old) == before


def test_the_error_for_an_observable_that_an_old_store_lacks(old):
    results = tg.open_results(old)
    for name in NEWER:
        row = OBSERVABLES[name]
        for request in (
            lambda name=name: getattr(results, name),
            lambda name=name: results[name],
            lambda name=name: results[["loss", name]],
            lambda name=name: results.isel(prompt=0)[name],
        ):
            for kind in (tg.InputError, AttributeError, KeyError, MissingVariable):
                with pytest.raises(kind) as caught:
                    request()
            message = str(caught.value)
            assert message.startswith(f"{old} does not hold {name}: ")
            assert f"the store was made before version {row.since} added it" in message
            assert "measure the prompts again with `tokengeom survey`" in message and "\n" not in message
            assert message.endswith(f"compute it with tokengeom_utils.{row.function}")
        assert name not in results and not hasattr(results, name)
        assert results.get(name) is None and getattr(results, name, 1) == 1
        assert name not in dir(results)


def test_other_names_behave_as_in_xarray(old):
    results = tg.open_results(old)
    plain = plain_dataset(results)
    assert isinstance(results, xr.Dataset) and results.identical(plain)
    for name in ("nonsense", "__nonsense__", "los", ("loss", "nonsense"), 3):
        with pytest.raises(KeyError) as ours:
            results[name]
        with pytest.raises(KeyError) as theirs:
            plain[name]
        assert str(ours.value) == str(theirs.value) and not isinstance(ours.value, MissingVariable)
    with pytest.raises(AttributeError, match="no attribute 'nonsense'") as caught:
        _ = results.nonsense
    assert not isinstance(caught.value, MissingVariable)
    assert results["loss"].identical(plain["loss"]) and results[["loss"]].identical(plain[["loss"]])


OPERATIONS = {
    "isel": lambda results: results.isel(prompt=[0, 1]),
    "sel": lambda results: results.sel(shuffle=0),
    "dict": lambda results: results[{"prompt": 0}],
    "mean": lambda results: results.mean("prompt"),
    "arithmetic": lambda results: results * 2 + 1,
    "numpy": np.abs,
    "assign": lambda results: results.assign(twice=2.0),
    "drop": lambda results: results.drop_vars("loss"),
    "no attributes": lambda results: results.drop_attrs(),
    "groups": lambda results: results.groupby("domain").mean(...),
    "quantile": lambda results: results.quantile(0.5),
    "deep copy": lambda results: results.copy(deep=True),
    "pickle": lambda results: pickle.loads(pickle.dumps(results)),
    "concat": lambda results: xr.concat([results.isel(prompt=[i]) for i in (0, 1)], "prompt"),
    "merge": lambda results: xr.merge([results[["loss"]], results[["entropy"]]]),
    "where": lambda results: results.where(results.loss > 0),
    "chunk": lambda results: results.chunk(prompt=1).load(),
    "dask": lambda results: dask.compute(results.chunk(prompt=1).mean("prompt"))[0],
    "stack": lambda results: results.stack(both=("prompt", "shuffle")),
    "map": lambda results: results.map(np.sqrt),
    "to_array": lambda results: results[["loss", "entropy"]].to_array(),
}
FORGET = {"to_array", "merge", "where", "map", "numpy"}  # these make a plain Dataset, or another object


@pytest.mark.filterwarnings("ignore:invalid value")
@pytest.mark.parametrize("name", OPERATIONS)
def test_operations_give_what_they_give_on_a_plain_dataset(old, name):
    results = tg.open_results(old)
    ours, theirs = OPERATIONS[name](results), OPERATIONS[name](plain_dataset(results))
    assert ours.identical(theirs)
    for missing in NEWER:
        assert not hasattr(ours, missing)
        with pytest.raises(AttributeError) as caught:
            getattr(ours, missing)
        assert isinstance(caught.value, MissingVariable) or name in FORGET


def test_the_observable_can_be_added(old):
    results = tg.open_results(old)
    added = results.assign(effective_rank=results.cosine_similarity + 5)
    assert added.effective_rank.min() > 1 and "effective_rank" in added and hasattr(added, "effective_rank")


def test_a_dataset_without_anything_missing_is_a_plain_one(whole, recwarn):
    assert type(tg.open_results(whole)) is xr.Dataset
    assert SurveyDataset.__slots__ == () and not hasattr(SurveyDataset(), "__dict__") and not recwarn.list


@pytest.mark.parametrize("ending", [".zarr", ".nc", ".parquet", ".csv"])
def test_an_old_store_is_exported(old, tmp_path, ending):
    import pandas

    results, path = tg.open_results(old), tmp_path / f"exported{ending}"
    tg.export(results, path)
    if ending == ".zarr":
        (report,) = examine(path)
        assert report.is_sound
        found = tg.open_results(path)
        assert found.drop_attrs().identical(results.drop_attrs())
        with pytest.raises(MissingVariable, match="exported.zarr does not hold effective_rank: .* was made before"):
            _ = found.effective_rank
    elif ending == ".nc":
        with xr.open_dataset(path, engine="h5netcdf") as read:
            assert set(read.data_vars) == set(results.data_vars)
    else:
        table = pandas.read_csv(path) if ending == ".csv" else pandas.read_parquet(path)
        assert set(table.variable) == set(UNRECORDED)


def test_a_selection_of_variables_is_exported_as_one(copy, tmp_path):
    results = tg.open_results(copy)
    tg.export(results.drop_vars("entropy"), tmp_path / "part.zarr")
    (report,) = examine(tmp_path / "part.zarr")
    assert report.is_sound
    with pytest.raises(MissingVariable, match="part.zarr does not hold entropy: the store was written without it"):
        _ = tg.open_results(tmp_path / "part.zarr").entropy


@pytest.mark.parametrize("select, words", [
    (lambda results: results[["loss", "run"]], "without its coordinates layer, scale, k"),
    (lambda results: results.drop_attrs(), "without its attributes"),
    (lambda results: results.sel(k=[1]), r"shape \(1,\), not \(8,\)"),
    (lambda results: results.sel(shuffle=[0, 1]), r"shape \(2,\), not \(3,\); select only prompts"),
])  # fmt: skip
def test_a_selection_that_is_not_a_survey_makes_no_store(copy, tmp_path, select, words):
    with pytest.raises(tg.InputError, match=words):
        tg.export(select(tg.open_results(copy)), tmp_path / "part.zarr")
    assert not (tmp_path / "part.zarr").exists()


def test_an_interrupted_survey_of_an_older_version_resumes_with_the_variables_it_holds(tiny, whole, copy, tmp_path):
    out = make_old(tiny_survey.begun_before(shutil.copytree(whole, tmp_path / "interrupted.zarr"), range(2, 8)))
    assert examine(out)[0].is_sound and 0 < len(examine(out)[0].missing) < tiny_survey.PROMPTS
    runs = json.loads((copy / "zarr.json").read_text())["attributes"]["runs"]  # both stores by the same versions
    change(out, lambda attributes: attributes.update(runs=runs))
    results = tiny_survey.run(tiny, out)
    assert set(results.data_vars) == {*UNRECORDED, "run"} and results.sizes["prompt"] == tiny_survey.PROMPTS
    with pytest.raises(MissingVariable, match="was made before version 0.2 added it"):
        _ = results.effective_rank
    change(make_old(copy), lambda attributes: attributes.update(runs=runs))
    assert tiny_survey.files(out) == tiny_survey.files(copy)


def test_an_old_store_is_mended_with_the_variables_it_holds(tiny, copy):
    make_old(copy)
    undisturbed = tiny_survey.files(copy)
    next((copy / "loss").glob("c.3.*")).unlink()
    with pytest.warns(UserWarning, match="text-3 is measured again"):
        tiny_survey.run(tiny, copy)
    changed = {name for name, data in tiny_survey.files(copy).items() if undisturbed[name] != data}
    assert changed == {"zarr.json", "run/c.3"}  # the second run, by another version


def test_a_recorded_variable_that_is_gone_is_damage(copy):
    shutil.rmtree(copy / "effective_rank")
    for use in (examine, tg.open_results):
        with pytest.raises(tg.InputError, match="effective_rank/zarr.json is missing"):
            use(copy)


def test_a_store_of_a_newer_version_opens_and_the_doctor_lists_its_unknown_variable(copy):
    before = lines(copy)
    (report,) = examine(make_newer(copy))
    assert report.is_sound and report.unknown == ("novelty",)
    assert lines(copy) == [*before, "  unknown to this version, not checked: novelty"]
    results = tg.open_results(copy)
    np.testing.assert_array_equal(results.novelty, results.neighbor_angle)


def test_a_store_of_a_newer_version_is_exported_whole(copy, tmp_path):
    results = tg.open_results(make_newer(copy))
    tg.export(results, tmp_path / "packed.zarr")
    assert examine(tmp_path / "packed.zarr")[0].unknown == ("novelty",)
    assert tg.open_results(tmp_path / "packed.zarr").identical(results)
    from tokengeom_utils.surveys.export import tidy

    table = tidy(results)
    assert set(table.variable) == {*OBSERVABLES, "novelty"}
    places = {name: place for place, name in enumerate([*OBSERVABLES, "novelty"])}
    assert all(a <= b for a, b in pairwise(table.variable.map(places).tolist()))


def test_a_survey_begun_by_a_newer_version_is_not_resumed_but_opened(tiny, copy):
    make_newer(copy)
    assert tiny_survey.run(tiny, copy).sizes["prompt"] == tiny_survey.PROMPTS  # complete: nothing to measure
    (copy / "run" / "c.3").unlink()
    before = tiny_survey.files(copy)
    with pytest.raises(tg.InputError, match="begun by a newer version and holds novelty, which this version cannot"):
        tiny_survey.run(tiny, copy)
    assert tiny_survey.files(copy) == before
