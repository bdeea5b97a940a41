"""The doctor of the machine: each thing that matters has a line, a verdict, and a remedy that can be followed."""

import os
import shutil
import sys
from pathlib import Path

import pytest

from tokengeom_utils import cli
from tokengeom_utils.site import machine
from tokengeom_utils.site.machine import CHANGE, GB, MISSING, NOTE, OK, Check, worst


@pytest.mark.parametrize(
    "version, verdict", [((3, 10, 9), MISSING), ((3, 11, 0), OK), ((3, 13, 5), OK), ((3, 14, 0), CHANGE)]
)
def test_the_tested_versions_of_python_are_fine(version, verdict):
    assert machine.check_python(version).verdict == verdict


@pytest.mark.parametrize(
    "system, processor, verdict",
    [("linux", "x86_64", OK), ("darwin", "arm64", OK), ("darwin", "x86_64", MISSING), ("win32", "AMD64", OK)],
)
def test_systems_are_those_of_the_readme(system, processor, verdict):
    assert machine.check_system(system, processor).verdict == verdict


@pytest.mark.parametrize(
    "free, verdict, words",
    [
        (16 * GB, OK, "16.0 GB"),
        (4 * GB, CHANGE, "4.0 GB: chapters run one at a time below 5 GB"),
        (2 * GB, MISSING, "2.0 GB: a chapter needs up to 2.4 GB: close other programs"),
        (None, CHANGE, "not known"),
    ],
)
def test_free_memory_decides_what_runs(free, verdict, words):
    check = machine.check_memory(free)
    assert check.verdict == verdict and words in check.line()


def test_one_core_is_slow():
    assert machine.check_cores(1).verdict == CHANGE and machine.check_cores(2).verdict == OK
    assert machine.available_cores() >= 1


def test_the_requirements_are_those_of_the_project():
    wanted = machine.requirements()
    assert any(line.startswith("torch>=") for line in wanted[""])
    assert any(line.startswith("papermill") for line in wanted["book"])
    assert not set(wanted[""]) & set(wanted["book"]) and not any(line.startswith("pytest") for line in wanted["book"])
    assert [check.verdict for check in machine.check_packages(wanted, machine.installed)] == [OK, OK]


def test_packages_that_are_missing_or_old_are_named_with_the_command():
    versions = {"torch": "1.0", "zarr": "3.2.0"}
    wanted = {"": ["torch>=2.6", "zarr>=3.1"], "book": ["papermill>=2.6"]}
    library, book = machine.check_packages(wanted, versions.get)
    assert library.verdict == MISSING and library.found == "torch is 1.0, not >=2.6" and '-e "."' in library.remedy
    assert book.verdict == CHANGE and book.found == "papermill is missing" and '-e ".[book]"' in book.remedy
    (check,) = machine.check_packages(None, versions.get)
    assert check.verdict == CHANGE and "not installed" in check.found


def test_a_cache_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    check = machine.check_cache(tmp_path / "file" / "cache")
    assert check.verdict == MISSING and "TOKENGEOM_CACHE" in check.line()
    assert machine.check_cache(tmp_path / "new").verdict == OK


@pytest.mark.parametrize("cache, here, verdict", [(9, 9, OK), (9, 2, CHANGE), (0.5, 9, MISSING)])
def test_disks_are_told_apart(tmp_path, monkeypatch, cache, here, verdict):
    sizes = {tmp_path: cache, Path.cwd(): here}
    monkeypatch.setattr(shutil, "disk_usage", lambda place: type("Usage", (), {"free": int(sizes[Path(place)] * GB)}))
    assert machine.check_space(tmp_path / "not" / "there").verdict == verdict


def test_an_empty_cache_says_what_to_fetch(tmp_path, monkeypatch):
    monkeypatch.setenv("TOKENGEOM_CACHE", str(tmp_path))
    model, texts = machine.check_model(), machine.check_texts()
    assert model.verdict == texts.verdict == CHANGE
    assert model.line().endswith("run  tokengeom fetch-model") and texts.line().endswith("run  tokengeom fetch-texts")


@pytest.mark.skipif(os.name == "nt", reason="runs a script of the shell")
def test_fonts_of_other_scripts_are_asked_of_fontconfig(tmp_path):
    assert list(machine.check_scripts(None)) == []
    for words, verdict in (("", NOTE), ("Noto", OK)):
        program = tmp_path / "fc-list"
        program.write_text(f"#!/bin/sh\necho {words}\n")
        program.chmod(0o755)
        (check,) = machine.check_scripts(str(program))
        assert check.verdict == verdict


def test_the_worst_verdict_is_the_exit_code():
    ok, note, change, missing = (Check("a", verdict, "") for verdict in (OK, NOTE, CHANGE, MISSING))
    assert [worst(some) for some in ([], [ok, note], [ok, change], [change, missing, ok])] == [0, 0, 3, 1]


def call(monkeypatch, capsys, *words):
    monkeypatch.setattr(sys, "argv", ["tokengeom", "doctor", *words])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    captured = capsys.readouterr()
    return stop.value.code or 0, captured.out, captured.err


def test_the_command_prints_a_line_for_each_check(monkeypatch, capsys, model):
    code, out, err = call(monkeypatch, capsys, "--machine")
    lines = out.splitlines()
    verdicts = {line.split()[0] for line in lines}
    assert verdicts <= {OK, NOTE, CHANGE, MISSING} and not err
    assert code == (1 if MISSING in verdicts else 3 if CHANGE in verdicts else 0)
    topics = [line[9:].split(":")[0] for line in lines]
    for topic in ("Python", "system", "cores", "free memory", "packages", "cache", "disk", "model", "texts", "figures"):
        assert topics.count(topic) == 1
    assert f"{OK:8} model: smollm2-135m is in the cache and whole" in lines


@pytest.mark.parametrize("words", [(), ("standard", "--machine")])
def test_it_examines_a_survey_or_the_machine(monkeypatch, capsys, words):
    code, out, err = call(monkeypatch, capsys, *words)
    assert code == 2 and not out and "either a survey or this machine" in err
