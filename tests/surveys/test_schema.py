"""The table of observables: complete, consistent with real measurements and with stores; the cost of a new row."""

import ast
import importlib
import inspect
import re

import numpy as np
import pytest
import tiny_survey
from conftest import PROJECT

import tokengeom_utils as tg
from tokengeom_utils.schema import OBSERVABLES, SCHEMA, UNRECORDED
from tokengeom_utils.surveys.doctor import examine
from tokengeom_utils.version import __version__

PACKAGE = PROJECT / "tokengeom_utils"
ROWS = pytest.mark.parametrize("row", OBSERVABLES.values(), ids=lambda row: row.name)


@pytest.fixture(scope="module")
def measured(model, tmp_path_factory):
    """Two prompts measured by the bundled model: (store, results)."""
    out = tmp_path_factory.mktemp("measured") / "survey.zarr"
    return out, tg.survey(model, tg.load_prompts("pocket", n=2), (0, 2), out, n_tokens=64, scale_max=16, k_max=8)


@pytest.fixture(scope="module")
def table(measured, tmp_path_factory):
    """The same as a table."""
    pandas = pytest.importorskip("pandas")
    path = tmp_path_factory.mktemp("table") / "survey.parquet"
    tg.export(measured[1], path)
    return pandas.read_parquet(path)


@ROWS
def test_the_function_of_a_row_is_documented(row):
    module, name = row.function.rsplit(".", 1)
    function = getattr(importlib.import_module(f"{PACKAGE.name}.{module}"), name)
    assert callable(function) and len(inspect.getdoc(function)) > 100
    assert row.long_name and row.units and set(row.dims) <= {"layer", "scale", "k"}


@ROWS
def test_real_measurements_lie_in_the_range_of_a_row(measured, row):
    values = measured[1][row.name]
    assert values.dims == ("prompt", "shuffle", *row.dims) and values.attrs == row.attributes
    finite = values.values[np.isfinite(values)]
    assert finite.size and row.low <= finite.min() and finite.max() <= row.high
    assert finite.min() < finite.max() or row.name in ("tied_tokens", "bleu"), "a constant does not test the range"


@ROWS
def test_stores_and_exports_carry_a_row(measured, table, row, tmp_path):
    store, results = measured
    wanted = results[row.name]
    assert (store / row.name / "zarr.json").is_file()
    rows = table.query("variable == @row.name")
    assert len(rows) == wanted.notnull().sum() and rows.value.sum() == pytest.approx(wanted.sum().item())
    for ending in (".zarr", ".nc"):
        tg.export(results, tmp_path / f"survey{ending}")
    assert tg.open_results(tmp_path / "survey.zarr")[row.name].identical(wanted)
    import xarray as xr

    with xr.open_dataset(tmp_path / "survey.nc", engine="h5netcdf") as read:
        np.testing.assert_array_equal(read[row.name], wanted)


@ROWS
def test_the_doctor_checks_the_range_of_a_row(measured, row, tmp_path):
    path = tmp_path / "survey.zarr"
    beyond = row.high + 1 if row.high < np.inf else row.low - 1
    tg.export(measured[1].assign({row.name: measured[1][row.name].where(False, beyond)}), path)
    (report,) = examine(path)
    assert not report.is_sound and not report.faults
    start = f"{row.name} of prompt speech-00 at degree 0 is outside {row.low} to {row.high}"
    assert any(oddity.startswith(start) for oddity in report.oddities)


def test_the_versions_of_the_rows():
    assert set(UNRECORDED) < set(OBSERVABLES) and all(OBSERVABLES[name].since == "0.1" for name in UNRECORDED)
    for row in OBSERVABLES.values():
        assert re.fullmatch(r"\d+\.\d+", row.since)
        assert tuple(map(int, row.since.split("."))) <= tuple(map(int, __version__.split(".")[:2])), row.name


def code(path):
    """The code of a module without its comments and docstrings."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)) and ast.get_docstring(node) is not None:
            del node.body[0]
    return ast.unparse(tree)


@pytest.mark.parametrize("name", ["effective_rank"])
def test_a_new_observable_needs_three_files(name):
    """Its row, its function, and its public name; tests and documentation apart."""
    files = {
        str(path.relative_to(PACKAGE))
        for ending in ("*.py", "*.pyi")
        for path in PACKAGE.rglob(ending)
        if re.search(rf"\b{name}\b", code(path))
    }
    module = OBSERVABLES[name].function.rsplit(".", 1)[0].replace(".", "/") + ".py"
    assert files <= {"schema.py", module, "__init__.pyi"} and len(files) == 3


def test_an_observable_added_to_the_table_is_measured_stored_and_checked(tmp_path, monkeypatch):
    """The rest follows from the row: here a second row for the same function."""
    from tokengeom_utils.clouds.observer import _per_cloud

    model = tg.load_model(tiny_survey.save_model(tmp_path / "model"))
    row = OBSERVABLES["effective_rank"]._replace(
        name="novelty", long_name="a new observable", high=1.5, of_layer="", since="9.9"
    )
    monkeypatch.setitem(OBSERVABLES, "novelty", row)
    _per_cloud.cache_clear()
    try:
        results = tiny_survey.run(model, tmp_path / "survey.zarr")
    finally:
        monkeypatch.undo()
        _per_cloud.cache_clear()
    assert "novelty" in results.attrs["variables"]
    np.testing.assert_allclose(results["novelty"], results["effective_rank"], rtol=1e-6)
    assert SCHEMA == 3, "a new observable changes no layout"
