"""The commands that rerun a chapter work as printed, and a chapter runs right after installation."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import nbformat
import papermill.cli
import pytest
import yaml
from click.testing import CliRunner
from conftest import PROJECT

from tokengeom_utils.errors import BuildError
from tokengeom_utils.site.build import chapters
from tokengeom_utils.site.build.contents import read_chapter
from tokengeom_utils.site.build.pages import executed_page, page_files
from tokengeom_utils.site.build.rerun import needs_survey, rerun_commands

STANDARD = yaml.safe_load((PROJECT / "notebooks" / "profiles" / "standard.yml").read_text(encoding="utf-8"))
VALUES = {
    "model": "my models/one",
    "results": "../_build/quick/survey.zarr",
    "name": "None",
    "number": "1024",
    "layer": None,
    "n_tokens": 256,
    "share": -0.5,
    "switch": True,
    "shuffles": [0, 1, 5],
    "models": ["a/b", "it's"],
    "odd": '50% of $HOME\\`x`"!',
}


def test_papermill_gets_every_value_as_it_is(monkeypatch):
    got = {}
    monkeypatch.setattr(papermill.cli, "execute_notebook", lambda **given: got.update(given))
    options = shlex.split(rerun_commands("extraction", VALUES).splitlines()[1])[1:]
    done = CliRunner().invoke(papermill.cli.papermill, options)
    assert done.exit_code == 0, done.output
    assert got["parameters"] == VALUES
    assert got["input_path"] == got["output_path"] == "_build/rerun/extraction.ipynb"


def test_values_of_a_profile_need_no_quotes_that_windows_breaks():
    """cmd and PowerShell pass double quotes on, single quotes not always; both expand other characters."""
    values = {**STANDARD, "files": ["../README.md", "../my notes.md"]}
    commands = rerun_commands("x", {**values, "results": "../_build/quick/survey.zarr", "model": "C:/my models/one"})
    assert "'" not in commands and not re.search(r"[$`%!\\]", commands)
    assert commands.count("\n") == 1  # each shell continues lines in its own way


@pytest.mark.parametrize("source", chapters(PROJECT), ids=lambda s: s.stem)
def test_the_defaults_of_a_chapter_are_those_of_the_survey_that_ships(source):
    given = read_chapter(source).parameters
    own = {"prompt_number": 0, "layer": None, "per_kind": 2}
    defaults = {"profile": "standard", "results": "standard", **own, **STANDARD}
    defaults["files"] = ["../README.md"]
    assert given == {name: defaults[name] for name in given}


def test_a_book_passes_the_defaults_of_readers_on_and_the_values_of_the_profile():
    (source,) = [path for path in chapters(PROJECT) if path.stem == "cosine_similarity"]
    profile = {**STANDARD, "profile": "mine", "n_tokens": 256, "results": PROJECT / "_build" / "mine" / "survey.zarr"}
    given = read_chapter(source).values(profile)
    assert given["n_tokens"] == 256 and given["results"] == "../_build/mine/survey.zarr"
    assert (given["prompt_number"], given["layer"]) == (0, None)


def test_a_parameter_without_a_plain_value_is_refused(tmp_path):
    path = tmp_path / "chapter.md"
    path.write_text("# One\n\n```{code-cell} ipython3\n:tags: [parameters]\n\nlayer = len([1])\n```\n")
    with pytest.raises(BuildError, match=r"^chapter\.md: the cell of parameters must assign plain values"):
        read_chapter(path)


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """A fresh checkout, without any build."""
    project = tmp_path_factory.mktemp("checkout")
    shutil.copy(PROJECT / "pyproject.toml", project)
    for name in ("notebooks", "benchmarks/results", "data/paper"):
        shutil.copytree(PROJECT / name, project / name, ignore=shutil.ignore_patterns("*.ipynb", ".ipynb_checkpoints"))
    return project


def shell(commands, project):
    """Run commands in an activated environment; returns the files that are new or changed."""
    before = {path: path.read_bytes() for path in project.rglob("*") if path.is_file()}
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    done = subprocess.run(
        ["sh", "-ec", commands], cwd=project, capture_output=True, text=True, env=os.environ | {"PATH": path}
    )
    assert done.returncode == 0, done.stderr[-2000:]
    after = [path for path in project.rglob("*") if path.is_file()]
    return sorted(p.relative_to(project).as_posix() for p in after if before.get(p) != p.read_bytes())


@pytest.fixture(scope="module")
def executed(checkout):
    """A function that runs a chapter with its own defaults, once, and returns the notebook."""

    @cache
    def run(stem):
        written = f"_build/rerun/{stem}.ipynb"
        assert shell(rerun_commands(stem, {}), checkout) == [written]
        return nbformat.read(checkout / written, 4)

    return run


@pytest.mark.parametrize("stem", ["what_a_survey_costs", "the_paper_in_one_page"])
def test_a_chapter_runs_right_after_installation(stem, executed):
    outputs = [output for cell in executed(stem).cells for output in cell.get("outputs", [])]
    assert sum("image/svg+xml" in output.get("data", {}) for output in outputs) >= 1
    assert not [output for output in outputs if output.output_type == "error" or output.get("name") == "stderr"]


def test_the_command_in_both_boxes_of_a_page_works_as_printed(checkout, executed, tmp_path):
    chapter = read_chapter(checkout / "notebooks" / "what_a_survey_costs.md")
    given = {"profile": "standard", "results": "standard", "n_tokens": 1024}
    made = executed(chapter.name)
    page = tmp_path / f"{chapter.name}.ipynb"
    nbformat.write(executed_page(made, chapter, given, {"source": "0" * 64}, 1.0), page)
    cells = nbformat.reads(page_files(page)[page.name].decode(), 4).cells
    boxes = [cell.source for cell in cells if "~~~bash" in cell.source and "papermill" in cell.source]
    assert len(boxes) >= 2 and "Reproduce this figure" in boxes[0] and "Rerun this chapter" in boxes[-1]
    assert "folder of the checkout" in boxes[0] and "Activate.ps1" in boxes[-1]
    commands = {
        "\n".join(map(str.strip, re.search(r"~~~bash\n(.*?)~~~", box, re.S)[1].strip().splitlines())) for box in boxes
    }
    assert commands == {rerun_commands(chapter.name, given)}
    assert shell(commands.pop(), checkout) == [f"_build/rerun/{chapter.name}.ipynb"]  # over its earlier output


def test_a_box_names_the_survey_that_it_needs():
    assert "tokengeom book" in needs_survey({"results": "../_build/quick/survey.zarr"})
    assert not needs_survey({"results": "standard"}) and not needs_survey({"n_tokens": 256})
