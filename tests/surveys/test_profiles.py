"""Profiles are checked as a whole before a model loads, and what they leave out has a default."""

import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import tiny_survey
import yaml
from conftest import PROJECT, TINY, UNMEASURED

import tokengeom_utils as tg
from tokengeom_utils.surveys.parameters import PARAMETERS
from tokengeom_utils.surveys.profiles import load_profile

BUNDLED = sorted((PROJECT / "notebooks" / "profiles").glob("*.yml"))
QUICK = yaml.safe_load((PROJECT / "notebooks" / "profiles" / "quick.yml").read_text(encoding="utf-8"))


def write(folder, content):
    path = folder / "mine.yml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize("path", [*BUNDLED, TINY], ids=lambda path: path.stem)
def test_the_bundled_profiles_are_sound_and_read_as_they_are(path):
    assert load_profile(path) == {"profile": path.stem, **QUICK, **yaml.safe_load(path.read_text(encoding="utf-8"))}


@pytest.mark.parametrize(
    "text, words",
    [
        ("n_promts: 5", "unknown parameter n_promts (did you mean n_prompts?)"),
        ("N_TOKENS: 5", "unknown parameter N_TOKENS (did you mean n_tokens?)"),
        ("1: 5", "unknown parameter 1: known are model, prompts, "),
        ("n_prompts: -3", "n_prompts must be a whole number of at least 1, not -3"),
        ("n_shuffled: -1", "n_shuffled must be a whole number of at least 0, not -1"),
        ("n_tokens: 1e3", "n_tokens must be a whole number of at least 4, not '1e3'"),
        ("n_tokens: 512.0", "n_tokens must be a whole number of at least 4, not 512.0"),
        ("seed: true", "seed must be a whole number of at least 0, not True"),
        ("k_max:", "k_max must be a whole number of at least 1, not None"),
        ("scale_max: 1", "scale_max must be a whole number of at least 2, not 1"),
        ("n_bootstrap: 0", "n_bootstrap must be a whole number of at least 1, not 0"),
        ("shuffles: [0, one]", "shuffles must be a list of degrees, whole numbers of at least 0, not [0, 'one']"),
        ("shuffles: [0, -1]", "shuffles must be a list of degrees"),
        ("shuffles: [0, true]", "shuffles must be a list of degrees"),
        ("shuffles: []", "shuffles must be a list of degrees"),
        ("shuffles: 3", "shuffles must be a list of degrees"),
        ("model: 5", "model must be a text, or a list of texts, not 5"),
        ("model: [a, 5]", "model must be a text, or a list of texts, not ['a', 5]"),
        ("model: ''", "model must be a text, or a list of texts, not ''"),
        ("prompts: [a]", "prompts must be a text, not ['a']"),
        ("tokenizers: a", "tokenizers must be a list of texts, not 'a'"),
        ("batch: 0", "batch must be a whole number of at least 1, not 0"),
        ("bos: sometimes", "bos must be one of never, auto, always, not 'sometimes'"),
        ("seed: 1\nseed: 2", "line 1 is not valid YAML: seed is there twice"),
        ("seed: [1", "line 1 is not valid YAML: "),
        ("a: b\nseed: 1: 2", "line 2 is not valid YAML: mapping values are not allowed here"),
        ("seed: 2024-13-45", "is not valid YAML: "),
        ("[" * 5000, "is not valid YAML: "),
        ("seed: \x01", "is not valid YAML: "),
        ("", "must hold lines such as  n_tokens: 1024"),
        ("- seed", "must hold lines such as  n_tokens: 1024"),
        (b"seed: 1\nmodel: caf\xe9\n", "line 2: the byte 0xe9 is not UTF-8: save the file as UTF-8"),
        ("seed: 1".encode("utf-16"), "line 1: the byte 0xff is not UTF-8"),
    ],
)
def test_a_profile_that_cannot_be_right_is_refused_in_one_line(tmp_path, text, words):
    path = write(tmp_path, text)
    with pytest.raises(tg.InputError) as error:
        load_profile(path)
    said = str(error.value)
    assert said.startswith(str(path)) and words in said and "\n" not in said


def test_every_parameter_has_a_rule_that_refuses_something():
    assert set(QUICK) < set(PARAMETERS)
    for rule in PARAMETERS.values():
        assert not rule.holds({}) and not rule.holds(None) and not rule.holds([None])


def test_what_a_profile_leaves_out_is_as_in_quick(tmp_path):
    assert load_profile(write(tmp_path, "seed: 7")) == {"profile": "mine", **QUICK, "seed": 7}
    assert load_profile() == {"profile": "", **QUICK}
    with_mark = load_profile(write(tmp_path, b"\xef\xbb\xbfseed: 8"))
    assert with_mark["seed"] == 8


def test_own_prompts_count_as_a_whole_unless_their_number_is_given(tmp_path):
    assert load_profile(write(tmp_path, "prompts: essays"))["n_prompts"] is None
    assert load_profile(write(tmp_path, "prompts: essays\nn_prompts: 3"))["n_prompts"] == 3
    assert load_profile("standard", prompts="essays")["n_prompts"] is None
    assert load_profile("standard", prompts="essays", n_prompts=3)["n_prompts"] == 3
    assert load_profile("standard", n_prompts=3)["n_prompts"] == 3


def test_options_obey_the_same_rules():
    with pytest.raises(tg.InputError, match="^the options: n_tokens must be a whole number of at least 4, not -1$"):
        load_profile("quick", n_tokens=-1)


def test_a_name_that_does_not_exist(tmp_path):
    with pytest.raises(tg.InputError, match=r"'quik' \(did you mean quick\?\): choose from paper, quick, standard,"):
        load_profile("quik")
    with pytest.raises(tg.InputError, match=r"there is no profile .*gone\.yml: check the path"):
        load_profile(tmp_path / "gone.yml")
    assert load_profile("quick", tmp_path)["n_prompts"] == 30  # outside a checkout: the installed one
    (tmp_path / "notebooks" / "profiles").mkdir(parents=True)
    (tmp_path / "notebooks" / "profiles" / "class.yml").write_text("seed: 3")
    assert load_profile("class", tmp_path)["seed"] == 3


@pytest.fixture
def installed(tmp_path):
    """The files of the wheel, as pyproject.toml lists them, in a folder of their own."""
    target = tomllib.loads((PROJECT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    leave_out = shutil.ignore_patterns("__pycache__", "*.zarr")
    included = {name: name for name in target["packages"]} | target["force-include"]
    for source, place in included.items():
        shutil.copytree(PROJECT / source, tmp_path / "site" / place, ignore=leave_out, dirs_exist_ok=True)
    return tmp_path / "site"


@pytest.mark.parametrize(
    "words",
    [
        pytest.param((), id="no profile"),
        pytest.param(("--profile", "standard", "--n-shuffled", "2"), id="standard", marks=pytest.mark.long),
    ],
)
def test_an_installed_package_surveys_a_folder_without_a_checkout(installed, tmp_path, words):
    home, essays = tmp_path / "empty", tmp_path / "empty" / "essays"
    essays.mkdir(parents=True)
    for prompt in tiny_survey.prompts(2):
        (essays / f"{prompt.id}.txt").write_text(prompt.text)
    model = tiny_survey.save_model(tmp_path / "model")
    sizes = ("--n-tokens", "64", "--scale-max", "16", "--k-max", "8", "--shuffles", "0,1")
    words = ("survey", "--prompts", "essays", "--model", model, "--out", "x.zarr", *sizes, *words)
    run = [sys.executable, "-m", "tokengeom_utils.cli", *map(str, words)]
    done = subprocess.run(run, cwd=home, capture_output=True, text=True, env=run_env(installed))
    assert done.returncode == 0, done.stderr
    assert "quick" not in done.stdout + done.stderr
    results = tg.open_results(home / "x.zarr")
    assert results.sizes["prompt"] == 2 and results.attrs["seed"] == 42
    assert results.attrs["profile"] == ("standard" if "standard" in words else "")
    where = "import tokengeom_utils; print(tokengeom_utils.__file__)"
    seen = subprocess.run(
        [sys.executable, "-c", where], cwd=home, capture_output=True, text=True, env=run_env(installed)
    )
    assert Path(seen.stdout).is_relative_to(installed)  # not the checkout of these tests


def run_env(installed):
    return UNMEASURED | {"PYTHONPATH": str(installed)}


def test_a_folder_is_no_profile(tmp_path):
    with pytest.raises(tg.InputError, match="is a folder: name a profile, or the path of a .yml file"):
        load_profile(tmp_path)
