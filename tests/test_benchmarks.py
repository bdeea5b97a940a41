"""The comparisons of tools and of stores: what their pages show, and that each tool and store does what is timed."""

import argparse
import importlib
import json
import subprocess
import sys

import numpy as np
import pytest
from conftest import PROJECT, UNMEASURED

BENCHMARKS = PROJECT / "benchmarks"
RESULTS = BENCHMARKS / "results"
NAMES = ("tools", "one_tool", "plain", "stores", "candidates")


@pytest.fixture(scope="module")
def scripts():
    """Import the scripts by name, as they import one another."""
    sys.path.insert(0, str(BENCHMARKS))
    yield argparse.Namespace(**{name: importlib.import_module(name) for name in NAMES})
    sys.path.remove(str(BENCHMARKS))


@pytest.fixture(scope="module")
def committed():
    return json.loads((RESULTS / "tools.json").read_text())


@pytest.mark.parametrize("name", ["tools", "stores"])
def test_the_page_shows_the_numbers_of_the_json_file(scripts, name):
    page = (RESULTS / f"{name}.md").read_text()
    lines = [line for line in page.splitlines() if line.startswith("|") and not line.startswith("| ---")]
    tables = getattr(scripts, name).tables(json.loads((RESULTS / f"{name}.json").read_text()))
    assert lines == ["| " + " | ".join(row) + " |" for _, headings, rows in tables for row in [headings, *rows]]


def test_every_tool_is_in_the_table_with_every_estimator_that_it_has(scripts, committed):
    assert {row["tool"] for row in committed["rows"]} == set(scripts.one_tool.TOOLS)
    assert committed["shape"] == [31, 1024, 576]
    has = {}
    for row in committed["rows"]:
        has.setdefault(row["tool"], set()).add(scripts.tools.definition(row["estimator"]))
        for dtype in scripts.one_tool.DTYPES:
            assert len(row[dtype]["seconds of each round"]) == scripts.tools.ROUNDS
    ours = {"GRIDE", "TwoNN, maximum likelihood", "TwoNN, line", "Levina-Bickel", "overlap"}
    assert has["tokengeom-utils"] == ours
    assert has["scikit-dimension"] == ours - {"overlap"}
    assert has["DADApy"] == ours - {"Levina-Bickel"}
    assert has["torchid"] == {"TwoNN, line from F = 0", "Levina-Bickel"}


def test_our_results_are_those_of_the_plain_definitions(committed):
    for row in committed["rows"]:
        if row["tool"] == "tokengeom-utils":
            assert row["float32"]["difference"] < 1e-12 and row["float64"]["difference"] < 1e-12


@pytest.mark.parametrize("tool", ["tokengeom-utils", "scikit-dimension"])
def test_a_tool_in_its_own_process(scripts, tool, tmp_path):
    """Without copies, both tools estimate what the plain definitions do."""
    stack = np.random.default_rng(0).normal(size=(2, 200, 8)).astype(np.float32)
    for dtype in scripts.one_tool.DTYPES:
        np.save(tmp_path / f"{dtype}.npy", stack.astype(dtype))
    command = [sys.executable, BENCHMARKS / "one_tool.py", tool, tmp_path, "--scale-max", 64]
    done = subprocess.run(
        list(map(str, command)),
        input=json.dumps(["GRIDE", "float32"]) + "\n",
        capture_output=True,
        text=True,
        check=True,
        env=UNMEASURED,
    )
    about, seconds = map(json.loads, done.stdout.splitlines())
    assert seconds > 0 and about["versions"][tool]

    plainly, found = scripts.tools.references(stack, 64), np.load(tmp_path / f"{tool}.npz")
    for name in about["estimators"]:
        for dtype, limit in (("float32", 1e-6), ("float64", 1e-11)):
            values = found[f"{name}/{dtype}/values"]
            assert values.shape == plainly[name][0].shape
            np.testing.assert_allclose(values, plainly[name][0], rtol=limit)


def test_a_layer_where_a_tool_fails_is_nan(scripts):
    def estimate(cloud):
        if not cloud.any():
            raise ValueError("all tokens coincide")
        return cloud.sum(0), None

    with pytest.warns(UserWarning, match="fails: all tokens coincide"):
        values, errors = scripts.one_tool.per_layer(estimate)(np.array([np.zeros((3, 2)), np.ones((3, 2))]))
    np.testing.assert_array_equal(values, [[np.nan, np.nan], [3, 3]])
    assert errors is None


STORES = ("ChunkFiles", "PromptFiles", "Shards", "Sqlite", "SqliteAhead", "Surveys")


@pytest.mark.parametrize("kind", STORES)
def test_a_store_returns_what_was_written_also_when_it_is_opened_again(scripts, kind, tmp_path):
    table = scripts.stores.rows()[:2]
    store = scripts.candidates.CANDIDATES[kind](tmp_path, 3, table[0])
    for i in (0, 1):
        store.write(i, table[i])
    store.close()
    store = scripts.candidates.CANDIDATES[kind](tmp_path, 3, table[0])
    for expected in (2, 3):
        found = store.read()
        assert sorted(found) == list(range(expected))
        assert all(scripts.stores.same(found[i], table[i % 2]) for i in found)
        if expected == 2:
            store.write(2, table[0])
            store.finish()
    store.close()


def test_harm_is_counted(scripts, tmp_path):
    """One file per prompt: a flipped bit or a lost file costs exactly one."""
    found = scripts.stores.harm("PromptFiles", tmp_path / "store", scripts.stores.rows()[:2], 3, 4, trials=3)
    assert found["flipped bit"] == found["lost file"] == {"lost": [1, 1, 1], "wrong": 0}


def test_a_rehearsal_and_the_line_through_two(scripts, tmp_path):
    found = scripts.stores.rehearse(tmp_path, 140)
    assert found["prompts"] == 140 and found["files"] > 36 and found["gigabytes of the journal"] > 0
    growth = scripts.stores.growth(
        [{"prompts": 10, "degrees": 1, "files": 3}, {"prompts": 20, "degrees": 1, "files": 5}]
    )
    assert growth["files"]["at a million"] == pytest.approx(200_001)
