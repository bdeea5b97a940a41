"""What makes a chapter stale, and which files it may read."""

import ast
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from conftest import PROJECT
from rooms import PACKAGE, imports, modules

from tokengeom_utils.errors import BuildError
from tokengeom_utils.paths import data_path
from tokengeom_utils.site.build.contents import chapters, read_chapter
from tokengeom_utils.site.build.inputs import undeclared
from tokengeom_utils.site.build.staleness import package_files, remove_leftovers, stale_runs
from tokengeom_utils.site.build.website import STATIC

CHAPTER = """---
kernelspec:
  name: python3
  language: python
  display_name: Python 3
{front}---

# A chapter

```{{code-cell}} ipython3
:tags: [parameters]

{parameters}
```
"""


@pytest.fixture
def project(tmp_path):
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "constraints.txt").write_text("numpy==2.1\n")
    (tmp_path / "README.md").write_text("read me\n")
    (tmp_path / "table.csv").write_text("1,2\n")
    return tmp_path


def chapter(project, parameters="seed = 1", front=""):
    path = project / "notebooks" / "chapter.md"
    path.write_text(CHAPTER.format(parameters=parameters, front=front))
    return read_chapter(path)


INPUTS = "tokengeom:\n  inputs: [README.md, tables]\n"


def stale(project, parameters="seed = 1", front=INPUTS, values=None):
    """The reason why a chapter is to be executed, or None; it counts as executed from then on."""
    (project / "tables").mkdir(exist_ok=True)
    (project / "survey.zarr").mkdir(exist_ok=True)
    made = chapter(project, parameters, front)
    values = {"seed": 1, "results": project / "survey.zarr"} | (values or {})
    for run in stale_runs([made], project, project / "executed", values):
        notebook = nbformat.v4.new_notebook(metadata={"tokengeom": {"key": run.key, "seconds": 12.0}})
        run.target.parent.mkdir(exist_ok=True)
        nbformat.write(notebook, run.target)
        return run.reason
    return None


def test_the_reason_names_what_changed(project):
    assert stale(project) == "not run yet"
    assert stale(project) is None
    (project / "README.md").write_text("read me again\n")
    assert stale(project) == "changed: README.md"
    (project / "tables" / "new.csv").write_text("3\n")
    (project / "constraints.txt").write_text("numpy==2.2\n")
    assert stale(project) == "changed: tables, versions"
    assert stale(project, values={"seed": 2}) == "changed: parameters"
    assert stale(project, front="", values={"seed": 2}) == "changed: source, README.md, tables"
    assert stale(project, front="", values={"seed": 2}) is None


def test_what_a_chapter_does_not_take_does_not_make_it_stale(project):
    stale(project)
    (project / "table.csv").write_text("another\n")
    (project / "survey.zarr" / "c").write_text("another\n")
    assert stale(project, values={"n_prompts": 2}) is None


def test_the_survey_counts_for_a_chapter_that_takes_it(project):
    taken = 'seed = 1\nresults = ""'
    assert stale(project, taken) == "not run yet"
    (project / "survey.zarr" / "c").write_text("another\n")
    assert stale(project, taken) == "changed: survey"


def test_the_time_of_the_last_run_is_known(project):
    stale(project)
    (project / "README.md").write_text("read me again\n")
    (run,) = stale_runs([chapter(project, front=INPUTS)], project, project / "executed", {"seed": 1})
    assert run.expected == 12.0


def test_executed_chapters_that_left_the_book_are_removed(project):
    stale(project)
    (project / "executed" / "former.ipynb").write_text("")
    remove_leftovers([chapter(project)], project / "executed")
    assert [path.name for path in (project / "executed").iterdir()] == ["chapter.ipynb"]


def test_the_package_counts_as_far_as_chapters_reach_it():
    """Everything that the public names and the chapters import, and everything that these import."""
    stub = PACKAGE / "__init__.pyi"
    found, todo = set(), {"tokengeom_utils"}
    public = [node for node in ast.walk(ast.parse(stub.read_text())) if isinstance(node, ast.ImportFrom)]
    todo |= {f"tokengeom_utils.{node.module or ''}".rstrip(".") for node in public}
    todo |= {f"tokengeom_utils.{node.module}.{alias.name}" for node in public for alias in node.names}
    for path in chapters(PROJECT):
        code = "\n".join(cell.source for cell in read_chapter(path).notebook.cells if cell.cell_type == "code")
        todo |= imports("tokengeom_utils", code)
    while todo:
        name = todo.pop()
        if name in modules() and name not in found:
            found.add(name)
            todo |= imports(name) | {name.rpartition(".")[0]}
    hashed = set(package_files())
    assert len(found) > 30 and stub in hashed
    assert {modules()[name] for name in found} <= hashed
    assert not {path for path in hashed if path.name == "cli.py" or "build" in path.parts}


@pytest.mark.parametrize(
    "front, message",
    [
        ("tokengeom:\n  inputs: README.md\n", "inputs must be a list of file names, not 'README.md'"),
        ("tokengeom:\n  inputs: [1]\n", r"inputs must be a list of file names, not \[1\]"),
        ("tokengeom:\n  inputs: [nowhere.csv]\n", "declares the input nowhere.csv, which does not exist"),
    ],
)
def test_a_wrong_declaration_is_refused(project, front, message):
    with pytest.raises(BuildError, match=f"chapter.md.*{message}"):
        stale(project, front=front)


def test_a_wrong_chapter_is_refused(project):
    with pytest.raises(BuildError, match="chapter.md declares unknown parameters: colour, speed"):
        chapter(project, "seed = 1\ncolour = speed = 2").values({"seed": 1})
    path = project / "notebooks" / "none.md"
    path.write_text("# No cell\n")
    with pytest.raises(BuildError, match="none.md must have exactly one cell tagged parameters, but has 0"):
        read_chapter(path)
    with pytest.raises(BuildError, match="_toc.yml lists missing, but there is no file missing.md"):
        read_chapter(project / "notebooks" / "missing.md")


def test_files_that_are_read_without_a_declaration_are_found(project):
    out, survey = project / "site", project / "site" / "survey.zarr"
    for path in (
        "tables/a.csv",
        "other.zarr/c/0",
        "site/survey.zarr/c/0",
        "site/log",
        "_build/x",
        ".venv/y",
        "tables/.hidden",
        "tokengeom_utils/module.py",
    ):
        (project / path).parent.mkdir(parents=True, exist_ok=True)
        (project / path).write_text("")
    chapter(project)
    (project / "link.csv").symlink_to(project / "table.csv")
    opened = [str(path) for path in project.rglob("*")] + [
        __file__,
        "/proc/self/stat",
        str(project / "deleted"),
        str(data_path("pocket.csv")),
    ]

    def found(parameters="seed = 1", front=""):
        return undeclared(opened, chapter(project, parameters, front), project, out, survey)

    rest = ["constraints.txt", "data/pocket.csv", "notebooks/chapter.md", "other.zarr", "table.csv"]
    assert found() == sorted([*rest, "README.md", "tables/a.csv", "the survey"])
    assert found("seed = 1", INPUTS) == sorted([*rest, "the survey"])
    assert found('results = ""', INPUTS) == rest
    assert "data/pocket.csv" not in found(front="tokengeom:\n  inputs: [data]\n")
    survey = data_path("pocket.csv")  # a bundled survey, and an input of the chapter at the same time
    assert not {"data/pocket.csv", "the survey"} & set(found(front="tokengeom:\n  inputs: [data]\n"))
    assert "the survey" in found()


def test_a_process_records_the_files_it_reads(tmp_path):
    code = """
import os, sys
from tokengeom_utils.site.build.server import record_opened
record_opened("log")
open("written", "w").close()
for _ in range(2):
    open("written").close()
os.chdir("folder")
open("inner", "a+").close()
os.close(os.open(b"../raw", os.O_RDONLY))
"""
    (tmp_path / "folder").mkdir()
    (tmp_path / "raw").write_text("")
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)
    names = (tmp_path / "log").read_text().splitlines()
    assert [name for name in names if Path(name).is_relative_to(tmp_path)] == [
        str(tmp_path / name) for name in ("written", "folder/inner", "raw")
    ]


def test_prose_pages_make_no_chapter_stale():
    declared = {name for path in chapters(PROJECT) for name in read_chapter(path).inputs}
    assert not declared & set(STATIC)
