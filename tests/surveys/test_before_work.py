"""What is refused, said, or done before the work of a survey, an export, or a measurement begins."""

import os
import re
import subprocess
import sys

import numpy as np
import pytest
import tiny_survey
import torch

import tokengeom_utils as tg
from tokengeom_utils import cli, paths
from tokengeom_utils.surveys import complete, lock
from tokengeom_utils.surveys.doctor import examine
from tokengeom_utils.surveys.export import check_export
from tokengeom_utils.surveys.run import run_profile


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny_survey.save_model(tmp_path_factory.mktemp("model"))


@pytest.fixture
def run(monkeypatch, capsys, tmp_path):
    """Call the command line in a folder of its own; returns (exit code, standard output, standard error)."""

    def call(*words):
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "argv", ["tokengeom", *map(str, words)])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        captured = capsys.readouterr()
        return stop.value.code or 0, captured.out, captured.err

    return call


def closed(path, mode):
    """Permission to read and none to write, for root too, who may write everywhere."""
    return not mode & os.W_OK


def parameters(folder, **changes):
    """The parameters of a survey of one prompt."""
    return {
        **{"shuffles": [0], "n_shuffled": 0, "n_tokens": 64, "seed": 0, "scale_max": 16, "k_max": 8},
        **{"profile": "", "model": str(folder), "prompts": "pocket", "n_prompts": 1},
        **changes,
    }


@pytest.mark.parametrize("ending", [".csv", ".parquet", ".nc", ".zarr"])
def test_an_export_into_a_closed_folder_is_refused_before_the_survey_is_opened(run, monkeypatch, tmp_path, ending):
    monkeypatch.setattr("tokengeom_utils.surveys.results.open_results", pytest.fail)
    monkeypatch.setattr(os, "access", closed)
    code, _, err = run("export", "untrained", tmp_path / "new" / f"survey{ending}")
    assert code == 2 and err.count("\n") == 1
    assert f"no permission to write in the folder {tmp_path}): choose another folder" in err
    assert not list(tmp_path.iterdir())


def test_a_measurement_for_a_closed_folder_is_refused_before_the_model_loads(run, monkeypatch, tmp_path):
    (tmp_path / "a.txt").write_text("word " * 50)
    monkeypatch.setattr("tokengeom_utils.models.load.load_model", pytest.fail)
    monkeypatch.setattr(os, "access", closed)
    code, said, err = run("measure", "a.txt", "--out", tmp_path / "a.csv")
    assert (code, said) == (2, "") and "no permission to write in the folder" in err and "another --out" in err


@pytest.mark.parametrize("words", [("export", "untrained"), ("measure", "a.txt", "--n-tokens", "32", "--out")])
def test_a_missing_folder_above_a_table_is_made(run, folder, tmp_path, words):
    (tmp_path / "a.txt").write_text("the river turns past the mill and the old road follows it down")
    model = () if words[0] == "export" else ("--model", str(folder))
    code, _, err = run(*words, tmp_path / "new" / "deep" / "table.csv", *model)
    assert (code, err) == (0, "") and (tmp_path / "new" / "deep" / "table.csv").is_file()


def test_a_file_system_that_takes_no_files_is_named(monkeypatch, tmp_path):
    """As /proc, where root has every permission and can make nothing."""

    def refuse(**_):
        raise FileNotFoundError(2, "No such file or directory")

    monkeypatch.setattr(lock.tempfile, "TemporaryFile", refuse)
    for use in (lambda: lock.check_writable(tmp_path / "x.zarr"), lambda: check_export(tmp_path / "x.nc")):
        with pytest.raises(tg.InputError, match="x.* cannot be written .*takes no new files.*choose another"):
            use()


def test_the_check_leaves_nothing_behind(tmp_path):
    lock.check_writable(tmp_path / "new" / "x.zarr")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"dtype": "float8"}, "unknown dtype 'float8': use auto, float64"),
        ({"device": "abacus"}, "unknown device 'abacus'"),
        pytest.param(
            {"device": "cuda"},
            "torch finds no CUDA device",
            marks=pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU"),
        ),
    ],
)
def test_device_and_dtype_are_checked_before_anything_is_fetched_or_said(
    folder, monkeypatch, tmp_path, capsys, changes, words
):
    monkeypatch.setattr("tokengeom_utils.surveys.run.fetch_model", pytest.fail)
    with pytest.raises(tg.InputError, match=words):
        run_profile(parameters(folder, **changes), tmp_path / "x.zarr")
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    "words, expected",
    [
        (("--dtype", "float8"), "dtype must be one of auto, float64, float32, bfloat16, float16, not 'float8'"),
        (("--device", "gpu"), "device must be auto, cpu, cuda, or cuda:1, not 'gpu'"),
    ],
)
def test_an_option_that_names_no_device_or_dtype_is_refused(run, words, expected):
    code, said, err = run("survey", "--out", "x.zarr", *words)
    assert (code, said) == (2, "") and expected in err and err.count("\n") == 1


def test_an_interrupt_while_a_model_loads_is_one_line(run, folder, monkeypatch, tmp_path):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("tokengeom_utils.models.load.read_network", interrupt)
    (tmp_path / "a.txt").write_text("word " * 50)
    (tmp_path / "texts.jsonl").write_text('{"id": "a", "text": "' + "the river turns " * 10 + '"}')
    sizes = ("--n-tokens", 64, "--scale-max", 16, "--k-max", 8, "--shuffles", "0")
    for words in (
        ("measure", "a.txt", "--model", folder),
        ("survey", "--model", folder, "--prompts", "texts.jsonl", "--out", "x.zarr", "--quiet", *sizes),
    ):
        assert run(*words)[::2] == (130, "tokengeom: stopped by Ctrl-C\n")
    assert not (tmp_path / "x.zarr").exists()
    assert "130" in run("survey", "--help")[1]


def test_the_doctor_says_what_is_there_instead_of_a_survey(tmp_path):
    import zarr

    zarr.create_array(tmp_path / "array.zarr", shape=(2,), dtype="float64")
    zarr.create_group(tmp_path / "group.zarr")
    zarr.create_group(tmp_path / "old.zarr", zarr_format=2)
    np.save(tmp_path / "array.npy", np.zeros(2))
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "a.txt").touch()
    (tmp_path / "empty").mkdir()
    for name, what in {
        "array.zarr": "a Zarr array, not a survey",
        "group.zarr": "a Zarr group, but not a survey",
        "old.zarr": "a Zarr store of version 2, not a survey",
        "array.npy": "a file, not a survey",
        "folder": "a folder without zarr.json, not a survey",
        "empty": "an empty folder, not a survey",
    }.items():
        with pytest.raises(tg.InputError, match=re.escape(f"{name} is {what}: check the path")):
            examine(tmp_path / name)
    with pytest.raises(tg.InputError, match="array.npy is a file, not a survey"):
        tg.open_results(tmp_path / "array.npy")
    with pytest.raises(tg.InputError, match="no survey at .*none: check the path"):
        examine(tmp_path / "none")


def test_a_token_without_a_direction_names_the_prompt(folder):
    model = tg.load_model(folder)
    with torch.no_grad():
        model.network.get_input_embeddings().weight[0] = 0
    prompt = tg.Prompt("essay-7", "letters", "the cat sat on the mat and the dog looked on " * 3)
    with pytest.raises(tg.InputError, match="^prompt essay-7: layer 0: token .* lies at the origin"):
        tg.measure(model, prompt, n_tokens=64, scale_max=16, k_max=8)


def test_a_cache_that_is_full_or_closed_is_worded_once():
    import errno

    from tokengeom_utils.models.hub import _explain

    full, closed = OSError(errno.ENOSPC, "full"), PermissionError(errno.EACCES, "denied", "/c")
    assert _explain(full, "o/n", "model", None).endswith("or set HF_HOME to a folder on another disk")
    assert _explain(closed, "o/n", "model", None) == paths.unwritable("the model o/n", "/c", closed, "HF_HOME")
    assert paths.unwritable("x", "/c", closed) == (
        "x cannot be written to /c (denied): set TOKENGEOM_CACHE to a folder of your own"
    )


def test_the_loops_are_compiled_before_the_clock_starts(folder, monkeypatch, tmp_path):
    order = []
    monkeypatch.setattr(complete, "warm_up", lambda model: order.append("compiled"))
    tiny_survey.run(folder, tmp_path / "x.zarr", progress=lambda done, *_: order.append(done))
    assert order[:2] == ["compiled", 0]


def test_nothing_is_left_to_compile_after_the_warm_up():
    """In a process of its own: in this one other tests have compiled the loops already."""
    code = """
import tokengeom_utils as tg
from numba.core.dispatcher import Dispatcher
from tokengeom_utils.surveys.measure import warm_up
model = tg.tiny_model()
warm_up(model)
from tokengeom_utils.clouds.kernels.cpu import compiled, gride, overlap, pairs

def versions():
    modules = (compiled, gride, overlap, pairs)
    return [len(f.signatures) for m in modules for f in vars(m).values() if isinstance(f, Dispatcher)]

before = versions()
tg.measure(model, "The river turns past the mill. " * 30, n_tokens=512, scale_max=64, k_max=31)
assert versions() == before and sum(before), (before, versions())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
