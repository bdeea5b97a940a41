"""``tokengeom measure``: it fits the text, says so, and writes the tidy table of an export."""

import gzip
import re
import sys

import numpy as np
import pandas
import pytest
import tiny_survey

import tokengeom_utils as tg
from tokengeom_utils import cli
from tokengeom_utils.surveys.single import check_options, fit_options

LETTERS = "The river turns past the mill and the old road follows it down to the town. "


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """The folder of a model that reads a letter a token."""
    return tiny_survey.save_model(tmp_path_factory.mktemp("tiny") / "model")


@pytest.fixture
def measure(monkeypatch, capsys, tmp_path, tiny):
    """Measure a file in a folder of its own; returns (exit code, standard output, standard error)."""

    def call(*words):
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "argv", ["tokengeom", "measure", *map(str, words), "--model", str(tiny)])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        captured = capsys.readouterr()
        return stop.value.code or 0, captured.out, captured.err

    return call


@pytest.mark.parametrize(
    "n, options, sizes",
    [
        (408, {}, (408, 256, 31)),
        (257, {}, (257, 256, 31)),
        (256, {}, (256, 128, 31)),
        (5000, {}, (1024, 256, 31)),
        (20, {}, (20, 16, 19)),
        (4, {}, (4, 2, 3)),
        (5000, {"n_tokens": 2048}, (2048, 256, 31)),
        (100, {"shuffle": 2}, (96, 64, 31)),
        (100, {"scale_max": 20}, (100, 16, 31)),
    ],
)
def test_the_sizes_are_the_largest_that_fit(n, options, sizes):
    assert tuple(tg.fit_sizes(n, **options).values()) == sizes


@pytest.mark.parametrize(
    "n, n_tokens, scale_max, shuffle, words",
    [
        (100, 101, None, 0, "--n-tokens 101: a.txt has only 100 tokens: leave the option out"),
        (100, None, 100, 0, "--scale-max 100 exceeds N - 1 = 99"),
        (100, 50, 64, 0, "--scale-max 64 exceeds N - 1 = 49"),
        (3, None, None, 0, "a.txt has 3 tokens, but at least 4 are needed"),
        (1000, None, None, 5, "a.txt has 1,000 tokens, but shuffling of degree 5 needs 1,024"),
        (9999, None, None, 6, "--shuffle 6: 1024 tokens cannot be cut into 4.6"),
        (9999, 50, None, 2, "--shuffle 2: 50 tokens .* give --n-tokens a multiple of 16"),
    ],
)
def test_an_option_that_does_not_fit_is_named(n, n_tokens, scale_max, shuffle, words):
    with pytest.raises(tg.InputError, match=words):
        check_options(n_tokens, scale_max, shuffle)
        fit_options(n, n_tokens, scale_max, shuffle, "a.txt")


def test_a_short_text_is_measured_whole_and_the_console_says_so(measure, tmp_path):
    (tmp_path / "short.txt").write_text(LETTERS)
    code, said, err = measure("short.txt")
    assert code == 0 and not err
    assert "short.txt: all 75 tokens, scales up to 64, up to 31 neighbors" in said
    rows = [line.split("│") for line in said.splitlines() if "°" in line]
    assert len(rows) == 3 and rows[-1][3].strip() == "-" and float(rows[0][3]) >= 0
    assert "± one standard error" in said and "the last layer has none" in said and "nan" not in said


@pytest.mark.filterwarnings("ignore:.*NaN:RuntimeWarning")
def test_a_dimension_that_is_not_defined_has_its_reason(measure, tmp_path):
    (tmp_path / "same.txt").write_text("a" * 40)
    code, said, _ = measure("same.txt")
    assert code == 0 and "nan" not in said and "a dimension or an angle needs more distinct tokens" in said


@pytest.mark.parametrize("ending", [".csv", ".parquet", ".CSV"])
def test_the_table_is_that_of_an_export(measure, tmp_path, tiny, ending):
    (tmp_path / "letters.txt.gz").write_bytes(gzip.compress(LETTERS.encode() * 20))
    out = tmp_path / f"table{ending}"
    out.write_text("of an earlier text")
    code, said, _ = measure("letters.txt.gz", "--n-tokens", 64, "--shuffle", 1, "--out", out)
    assert code == 0 and f"all observables are in {out}" in said and "the first 64 of 1,519 tokens" in said
    table = pandas.read_parquet(out) if ending == ".parquet" else pandas.read_csv(out)
    assert table.columns.tolist() == ["variable", "prompt", "domain", "shuffle", "layer", "scale", "k", "value"]
    assert set(table.prompt) == {"letters"} and set(table.domain) == {"txt"} and set(table.shuffle) == {1}
    prompt = tg.load_prompts(tmp_path / "letters.txt.gz")[0]
    found = tg.measure(tg.load_model(str(tiny)), prompt, 1, **tg.fit_sizes(64))
    assert set(table.variable) == {name for name in found.data_vars if found[name].notnull().any()}
    for name in ("loss", "intrinsic_dimension"):
        values = table[table.variable == name].value.to_numpy()
        np.testing.assert_array_equal(values, found[name].values[found[name].notnull().values].ravel())
    assert len(table) == sum(int(found[name].notnull().sum()) for name in found.data_vars)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["letters.txt.gz", out.name]


@pytest.mark.parametrize(
    "words, expected",
    [
        (("none.txt",), "there is no file none.txt: check the path"),
        (("folder",), "folder is not a text file but a folder: .*tokengeom survey --prompts folder --out"),
        (("rows.TSV",), "rows.TSV is not a text file but a table"),
        (("rows.jsonl.gz",), "rows.jsonl.gz is not a text file but a table"),
        (("a.txt", "--out", "a.txt"), "--out a.txt: its name must end in .csv or .parquet"),
        (("a.txt", "--out", "a.zarr"), "--out a.zarr: its name must end in .csv or .parquet"),
        (("a.txt", "--out", "folder.csv"), "--out folder.csv is a folder"),
        (("a.txt", "--out", "s3://bucket/a.csv"), "--out s3://bucket/a.csv is an address"),
        (("half.txt",), "half.txt has a NUL character"),
        (("a.txt", "--n-tokens", "100"), "--n-tokens 100: a.txt has only 75 tokens"),
    ],
)
def test_what_cannot_be_measured_is_refused_before_the_model_loads(measure, monkeypatch, tmp_path, words, expected):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder.csv").mkdir()
    for name in ("a.txt", "rows.TSV", "rows.jsonl.gz"):
        (tmp_path / name).write_text(LETTERS)
    (tmp_path / "half.txt").write_bytes("word".encode("utf-16-le"))
    before = sorted(tmp_path.rglob("*"))
    if "--n-tokens" not in words:  # to count tokens takes the tokenizer
        monkeypatch.setattr("tokengeom_utils.models.load.load_model", lambda name: pytest.fail("loaded"))
    code, said, err = measure(*words)
    assert code == 2 and err.startswith("tokengeom: ") and err.count("\n") == 1 and not said
    assert re.search(expected, err)
    assert sorted(tmp_path.rglob("*")) == before
    assert (tmp_path / "a.txt").read_text() == LETTERS
