"""Surveys joined into one: every number and its origin are kept, what differs is named, and nothing is half-written."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import tiny_survey
import zarr
from conftest import PATIENCE, PROJECT, UNMEASURED
from run_chapter import run_chapter
from test_variables import NEWER, change, make_old

import tokengeom_utils as tg
from tokengeom_utils import cli
from tokengeom_utils.surveys import merge as merging
from tokengeom_utils.surveys.chunks import every_chunk
from tokengeom_utils.surveys.complete import complete
from tokengeom_utils.surveys.doctor import examine
from tokengeom_utils.surveys.merge import merge
from tokengeom_utils.surveys.plan import Plan
from tokengeom_utils.surveys.request import make_request

DEGREES, SIZES = (0, 2), {"n_tokens": 64, "scale_max": 16, "k_max": 8}
PROMPTS = tiny_survey.prompts()
STUDENTS = {"ann": PROMPTS[:3], "ben": PROMPTS[3:4], "eve": PROMPTS[4:]}


@pytest.fixture(scope="module")
def whole(tiny, tmp_path_factory):
    """All prompts in one survey."""
    out = tmp_path_factory.mktemp("whole") / "survey.zarr"
    return tg.survey(tiny_survey.named(tiny), PROMPTS, DEGREES, out, **SIZES)


@pytest.fixture(scope="module")
def stores(tiny, tmp_path_factory):
    """A folder with the stores of three students."""
    folder = tmp_path_factory.mktemp("class")
    for name, prompts in STUDENTS.items():
        tg.survey(tiny_survey.named(tiny), prompts, DEGREES, folder / f"{name}.zarr", **SIZES)
    return [folder / f"{name}.zarr" for name in STUDENTS]


def made(tiny, out, prompts=PROMPTS[:1], degrees=DEGREES, **options):
    """A store of its own."""
    tg.survey(tiny_survey.named(tiny), prompts, degrees, out, **{**SIZES, **options})
    return out


def is_sound(path):
    (report,) = examine(path)
    return report.is_sound and not report.missing


def test_joined_they_are_the_survey_of_all_prompts(stores, whole, tmp_path):
    merged = merge(stores, tmp_path / "class.zarr")
    assert merged.prompt.values.tolist() == [p.id for p in PROMPTS] and is_sound(tmp_path / "class.zarr")
    for name in whole.data_vars.keys() - {"run"}:
        np.testing.assert_array_equal(merged[name], whole[name], err_msg=name)
    for name in ("domain", "sha256"):
        assert merged[name].values.tolist() == whole[name].values.tolist()
    kept, wanted = (json.loads(results.attrs["request"]) for results in (merged, whole))
    assert kept == wanted and merged.attrs["model_fingerprint"] == whole.attrs["model_fingerprint"]


def test_each_prompt_keeps_its_origin_and_the_provenance_of_its_run(stores, tmp_path):
    merged = merge(stores, tmp_path / "class.zarr")
    wanted = {p.id: f"{name}.zarr" for name, prompts in STUDENTS.items() for p in prompts}
    assert tg.results.origins(merged) == wanted
    runs = json.loads(merged.attrs["runs"])
    (first,) = json.loads(tg.open_results(stores[0]).attrs["runs"])
    assert len(runs) == 3 and runs[0] == {"origin": "ann.zarr", **first}
    again = merge([tmp_path / "class.zarr", made_elsewhere(stores[0], tmp_path)], tmp_path / "all.zarr")
    assert tg.results.origins(again) == {**wanted, "elsewhere": "other.zarr"}  # not class.zarr


def made_elsewhere(store, folder):
    """A copy of a store with one prompt, under another name and id."""
    results = tg.open_results(store).isel(prompt=[0])
    request = json.loads(results.attrs["request"])
    request |= {"prompts": [["elsewhere", "0" * 64]], "n_shuffled": 1}
    results = results.assign_coords(
        prompt=np.array(["elsewhere"], np.dtypes.StringDType()),
        sha256=("prompt", np.array(["0" * 64], np.dtypes.StringDType())),
    ).assign_attrs(request=json.dumps(request))
    tg.export(results, folder / "other.zarr")
    return folder / "other.zarr"


def test_the_order_of_the_stores_decides_only_the_order_of_the_prompts(stores, whole, tmp_path):
    merged = merge(stores[::-1], tmp_path / "class.zarr")
    assert merged.prompt.values.tolist() == [p.id for name in ("eve", "ben", "ann") for p in STUDENTS[name]]
    np.testing.assert_array_equal(merged.loss.sel(prompt=whole.prompt.values), whole.loss)


def test_prompts_with_shuffles_come_first(tiny, stores, tmp_path):
    plain = made(tiny, tmp_path / "plain.zarr", [tg.Prompt("in-order", "letters", PROMPTS[0].text[::-1])], (0,))
    merged = merge([plain, stores[1]], tmp_path / "class.zarr")
    assert merged.prompt.values.tolist() == ["text-3", "in-order"] and is_sound(tmp_path / "class.zarr")
    assert merged.shuffle.values.tolist() == [0, 2] and np.isnan(merged.loss.sel(prompt="in-order", shuffle=2))
    assert json.loads(merged.attrs["request"])["n_shuffled"] == 1
    assert tg.results.shuffled_prompts(merged).sizes["prompt"] == 1


def test_a_prompt_that_two_measured_alike_is_taken_from_the_first(tiny, stores, tmp_path):
    other, said = made(tiny, tmp_path / "other.zarr", PROMPTS[2:4]), []
    merged = merge([stores[0], other], tmp_path / "class.zarr", say=said.append)
    assert merged.prompt.values.tolist() == ["text-0", "text-1", "text-2", "text-3"]
    assert tg.results.origins(merged) == {
        **dict.fromkeys(["text-0", "text-1", "text-2"], "ann.zarr"),
        "text-3": "other.zarr",
    }
    assert said == ["prompt text-2 is in ann.zarr and in other.zarr, with the same values: taken from ann.zarr"]


def test_unfinished_prompts_are_left_out_and_said(tiny, stores, tmp_path):
    def interrupt(done, total, seconds):
        if done == 3:
            raise KeyboardInterrupt

    request = make_request("tiny", PROMPTS[4:], DEGREES, seed=42, **SIZES)
    with pytest.raises(KeyboardInterrupt):
        complete(Plan(tiny_survey.named(tiny), PROMPTS[4:], request), tmp_path / "half.zarr", progress=interrupt)
    said = []
    merged = merge([stores[0], tmp_path / "half.zarr"], tmp_path / "class.zarr", say=said.append)
    assert merged.sizes["prompt"] == 4 and is_sound(tmp_path / "class.zarr")
    assert said == [f"left out of {tmp_path / 'half.zarr'}: 3 of 4 prompts, which are not measured yet"]


def test_observables_that_one_survey_lacks_are_left_out_and_said(stores, tmp_path):
    old, said = make_old(shutil.copytree(stores[1], tmp_path / "old.zarr")), []
    merged = merge([stores[0], old], tmp_path / "class.zarr", say=said.append)
    assert not set(NEWER) & set(merged.data_vars) and is_sound(tmp_path / "class.zarr")
    assert said == [f"left out of ann.zarr: {', '.join(NEWER)}, which not all of the surveys hold"]


# --- what differs ---


@pytest.mark.parametrize(
    "options, words",
    [
        ({"n_tokens": 32}, "its n_tokens is 32, not 64"),
        ({"seed": 7}, "its seed is 7, not 42"),
        ({"scale_max": 8}, "its scale_max is 8, not 16"),
        ({"k_max": 4}, "its k_max is 4, not 8"),
        ({"degrees": (0, 1)}, r"its shuffles are \[0, 1\], not \[0, 2\]"),
    ],
)
def test_a_survey_of_another_request_is_refused_by_name(tiny, stores, tmp_path, options, words):
    other = made(tiny, tmp_path / "other.zarr", PROMPTS[5:6], **options)
    with pytest.raises(
        tg.InputError, match=f"^other.zarr cannot be merged with ann.zarr: {words}; measure its prompts"
    ):
        merge([stores[0], other], tmp_path / "class.zarr")
    assert not (tmp_path / "class.zarr").exists()


def test_a_survey_of_another_model_is_refused_by_name(stores, tmp_path):
    other = tg.tiny_model()
    tg.survey(other, PROMPTS[:1], DEGREES, tmp_path / "other.zarr", **SIZES)
    found = rf"its model is tiny \({other.fingerprint}\), not tiny \(sha256:\w+\)"
    with pytest.raises(tg.InputError, match=f"^other.zarr cannot be merged with ann.zarr: {found}; measure"):
        merge([stores[0], tmp_path / "other.zarr"], tmp_path / "class.zarr")


@pytest.mark.parametrize("name, value", [("dtype", "torch.bfloat16"), ("bos", "always")])
def test_another_precision_or_beginning_is_refused_by_name(stores, tmp_path, name, value):
    other = shutil.copytree(stores[1], tmp_path / "other.zarr")

    def edit(attributes):
        attributes[name] = value
        attributes["request"] = json.dumps(json.loads(attributes["request"]) | ({name: value} if name == "bos" else {}))

    change(other, edit)
    with pytest.raises(tg.InputError, match=f"its {name} is {value}, not "):
        merge([stores[0], other], tmp_path / "class.zarr")


def test_other_batches_are_merged_and_none_is_recorded(stores, tmp_path):
    other = shutil.copytree(stores[1], tmp_path / "other.zarr")
    change(other, lambda attributes: attributes.update(batch=16))
    merged = merge([stores[0], other], tmp_path / "class.zarr")
    assert "batch" not in merged.attrs and [run["batch"] for run in json.loads(merged.attrs["runs"])] == [1, 1]


@pytest.mark.parametrize("name, factor", [("loss", 1.1), ("intrinsic_dimension", 1.5), ("entropy", np.nan)])
def test_one_prompt_with_two_values_is_a_conflict(stores, tmp_path, name, factor):
    other = shutil.copytree(stores[0], tmp_path / "other.zarr")
    with every_chunk():
        array = zarr.open_group(other, mode="r+")[name]
        array[1] = array[1] * factor
    words = (
        rf"prompt text-1 has different values in ann.zarr and other.zarr: {name} is [\d.]+ and ([\d.]+|nan); find out"
    )
    with pytest.raises(tg.InputError, match=words):
        merge([stores[0], other], tmp_path / "class.zarr")


def test_rounding_of_another_computer_is_no_conflict(stores, tmp_path):
    other = shutil.copytree(stores[0], tmp_path / "other.zarr")
    group = zarr.open_group(other, mode="r+")
    for name, change_ in (("loss", 1 + 1e-4), ("cosine_similarity", 1 + 1e-6)):
        group[name][:] = group[name][:] * change_
    assert merge([stores[0], other], tmp_path / "class.zarr").sizes["prompt"] == 3


def test_texts_that_share_a_name_are_told_apart_by_their_stores(tiny, tmp_path):
    for i, name in enumerate(("ann", "ben")):
        made(tiny, tmp_path / f"{name}.zarr", [tg.Prompt("essay", "letters", PROMPTS[i].text)])
    both = [tmp_path / "ann.zarr", tmp_path / "ben.zarr"]
    with pytest.raises(
        tg.InputError, match="prompt essay is one text in ann.zarr and another in ben.zarr: merge with --prefix"
    ):
        merge(both, tmp_path / "class.zarr")
    merged = merge(both, tmp_path / "class.zarr", prefix=True)
    assert merged.prompt.values.tolist() == ["ann/essay", "ben/essay"] and is_sound(tmp_path / "class.zarr")
    shutil.copytree(both[0], tmp_path / "ann.survey")
    with pytest.raises(tg.InputError, match="two stores are named ann: rename one"):
        merge([*both, tmp_path / "ann.survey"], tmp_path / "again.zarr", prefix=True)


def test_stores_of_one_name_are_told_apart_by_their_folders(stores, tmp_path):
    """A class returns thirty folders with a survey.zarr in each."""
    given = []
    for store, student in zip(stores, ("ann", "ben", "eve"), strict=True):
        given.append(shutil.copytree(store, tmp_path / "class" / student / "survey.zarr"))
    merged = merge(given, tmp_path / "class.zarr")
    assert tg.results.origins(merged)[PROMPTS[0].id] == "ann/survey.zarr"
    assert len({*tg.results.origins(merged).values()}) == 3
    merged = merge(given, tmp_path / "again.zarr", prefix=True)
    assert merged.prompt.values.tolist()[0] == f"ann/{PROMPTS[0].id}"
    twice, said = [stores[0], shutil.copytree(stores[0], tmp_path / "more" / "ann.zarr")], []
    merge(twice, tmp_path / "twice.zarr", say=said.append)
    assert f"is in {stores[0].parent.name}/ann.zarr and in more/ann.zarr, with the same values" in said[0]


# --- nothing is half-written ---


def test_what_is_there_stays_there(stores, tmp_path):
    (tmp_path / "file").write_text("mine")
    merge(stores[:2], tmp_path / "class.zarr")
    before = tiny_survey.files(tmp_path / "class.zarr")
    for out in (tmp_path / "class.zarr", stores[0]):
        with pytest.raises(tg.InputError, match="exists: delete it or choose another --out"):
            merge(stores, out)
    with pytest.raises(tg.InputError, match="is not a survey store"):
        merge(stores, tmp_path / "file")
    with pytest.raises(tg.InputError, match="needs at least two surveys"):
        merge([stores[0], stores[0]], tmp_path / "new.zarr")
    assert tiny_survey.files(tmp_path / "class.zarr") == before
    assert sorted(p.name for p in tmp_path.iterdir() if not p.name.endswith(".lock")) == ["class.zarr", "file"]


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(28, "No space left on device")])
def test_an_interrupted_merge_leaves_nothing(stores, tmp_path, monkeypatch, error):
    """The disk is full, or the user stops, when half of the arrays are written."""
    written = []

    def half(results, path):
        real(results.isel(prompt=slice(0, 2)), path)
        written.append(path)
        raise error

    real = merging.pack
    monkeypatch.setattr(merging, "pack", half)
    expected = KeyboardInterrupt if isinstance(error, KeyboardInterrupt) else tg.InputError
    with pytest.raises(expected):
        merge(stores, tmp_path / "class.zarr")
    assert written and not any(tmp_path.iterdir())
    monkeypatch.undo()
    assert merge(stores, tmp_path / "class.zarr").sizes["prompt"] == 8


KILLED = """import sys, time
from tokengeom_utils.surveys import merge as merging
real = merging.put_in_place
def slow(aside, out):
    print("written", flush=True)
    time.sleep(600)
merging.put_in_place = slow
merging.merge(sys.argv[2:], sys.argv[1])
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="kills a process")
def test_a_killed_merge_leaves_no_store_and_the_next_one_is_whole(stores, tmp_path):
    out = tmp_path / "class.zarr"
    command = [sys.executable, "-c", KILLED, str(out), *map(str, stores)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env={**UNMEASURED, "PYTHONPATH": str(PROJECT)}
    ) as child:
        started = time.perf_counter()
        assert child.stdout.readline() == "written\n" and time.perf_counter() - started < PATIENCE
        with pytest.raises(tg.InputError, match="another run is writing to"):
            merge(stores, out)
        os.kill(child.pid, signal.SIGKILL)
    assert not out.exists()
    merge(stores, out)
    assert is_sound(out) and [p.name for p in tmp_path.iterdir() if ".making-" in p.name] == []


# --- the command and the chapters ---


@pytest.fixture
def run(monkeypatch, capsys):
    """Run the command line; returns (exit code, standard output, standard error)."""

    def call(*words):
        monkeypatch.setattr(sys, "argv", ["tokengeom", *map(str, words)])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        captured = capsys.readouterr()
        return stop.value.code or 0, captured.out, captured.err

    return call


def test_the_command_merges_and_the_doctor_finds_the_store_sound(run, stores, tmp_path):
    code, said, err = run("merge", *stores, "--out", tmp_path / "class.zarr")
    assert code == 0 and not err and said.endswith(f"8 prompts of 3 surveys in {tmp_path / 'class.zarr'}\n")
    code, said, _ = run("doctor", tmp_path / "class.zarr")
    assert code == 0 and "measured: 8 of 8 prompts" in said


def test_a_mistake_is_one_line(run, stores, tmp_path):
    for words, expected in (
        ((stores[0], "--out", tmp_path / "x.zarr"), "needs at least two surveys"),
        ((*stores, "--out", stores[0]), "exists: delete it"),
        ((stores[0], tmp_path / "none.zarr", "--out", tmp_path / "x.zarr"), "no survey at"),
        (
            (stores[0], "untrained", "--out", tmp_path / "x.zarr"),
            "untrained cannot be merged with ann.zarr: its model is",
        ),
    ):
        code, _, err = run("merge", *words)
        assert code == 2 and err.count("\n") == 1 and err.startswith("tokengeom: ") and expected in err, err
    assert not any(p.name == "x.zarr" for p in tmp_path.iterdir())


def test_a_chapter_runs_on_the_merged_survey(tiny, stores, tmp_path, monkeypatch):
    import matplotlib.pyplot as plt

    plt.switch_backend("Agg")
    monkeypatch.setattr(plt, "show", lambda: plt.close("all"))
    merge(stores, tmp_path / "class.zarr")
    rows = [json.dumps({"id": p.id, "domain": p.domain, "text": p.text}) for p in PROMPTS]
    (tmp_path / "texts.jsonl").write_text("\n".join(rows))
    (tmp_path / "mine.txt").write_text(PROMPTS[0].text[::-1])
    given = {"model": tiny.name, "results": str(tmp_path / "class.zarr"), "prompts": str(tmp_path / "texts.jsonl")}
    given |= {"n_tokens": 64, "scale_max": 16, "k_max": 8, "files": str(tmp_path / "mine.txt")}
    names, _ = run_chapter("your_own_text", **given)
    assert names["survey"].sizes["prompt"] == 8
