"""nbgrader grades the thirty simulated students, and gives every mark that `tokengeom collect` gives.

It runs in an environment of its own: `make nbgrader-test` makes it and runs these tests, which `make test` leaves out.
"""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
import students
from conftest import PROJECT, UNMEASURED

from tokengeom_utils.classes.collect import arrange_for_nbgrader, collect
from tokengeom_utils.classes.handout import hand_out

pytestmark = pytest.mark.nbgrader

BIN = Path(os.environ.get("TOKENGEOM_NBGRADER", PROJECT / ".venv-nbgrader" / "bin"))
#: Seconds for a cell; a check takes up to ten.
SECONDS = 30
#: What nbgrader stores about graded cells, as JSON; printed by its own Python.
GRADES = """
import json, sys
from nbgrader.api import Gradebook, MissingEntry
found = {}
with Gradebook("sqlite:///gradebook.db") as book:
    for chapter in sys.argv[1:]:
        for submission in book.assignment_submissions(chapter):
            for notebook in submission.notebooks:
                for grade in notebook.grades:
                    score = None if grade.needs_manual_grade and grade.auto_score is None else grade.auto_score
                    found[f"{submission.student.id}/{chapter}/{grade.name}"] = score
print(json.dumps(found))
"""
VALIDATE = """
import sys
from nbgrader.nbgraderformat import read
for path in sys.argv[1:]:
    read(path, as_version=4)
"""


def run(*words, folder, **more):
    """Run a program of the environment of nbgrader."""
    environment = UNMEASURED | {
        "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(PROJECT),
        "OMP_NUM_THREADS": "1",
    }
    command = [str(BIN / words[0]), *map(str, words[1:])]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=7200, **more)


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    """A handout for the thirty, and what they return."""
    folder = tmp_path_factory.mktemp("course")
    (folder / "roster.csv").write_text(students.roster(), encoding="utf-8")
    key = hand_out("6,8", folder / "out", folder / "roster.csv", PROJECT, seed=3)
    students.return_notebooks(folder / "out", key)
    return folder / "out", key


@pytest.fixture(scope="module")
def collected(course):
    """All marks of `tokengeom collect`, by student, chapter, and cell."""
    _, found = collect(course[0], seconds=SECONDS, jobs=2)
    return {
        f"{student}/{chapter}/{mark.cell}": mark.points
        for (student, chapter), marks in found.marks.items()
        for mark in marks
    }


def graded(course, name, fill):
    """All marks of nbgrader in a course of its own, whose submissions ``fill`` writes, and its messages."""
    folder = course[0].parent / name
    shutil.copytree(course[0] / "teacher" / "nbgrader", folder)
    config = folder / "nbgrader_config.py"
    config.write_text(config.read_text().replace("timeout = 60", f"timeout = {SECONDS}"))
    fill(folder / "submitted")
    said = ""
    for chapter in students.CHAPTERS:
        done = run("nbgrader", "generate_assignment", chapter, folder=folder)
        assert done.returncode == 0, done.stderr
        said += run("nbgrader", "autograde", chapter, folder=folder).stderr
    done = run("python", "-c", GRADES, *students.CHAPTERS, folder=folder, check=True)
    return json.loads(done.stdout), said


@pytest.fixture(scope="module")
def in_order(course):
    """Marks of nbgrader for the notebooks in order, as `tokengeom collect --nbgrader` writes them."""
    return graded(course, "in_order", lambda folder: arrange_for_nbgrader(course[0], folder))


@pytest.fixture(scope="module")
def as_returned(course):
    """Marks of nbgrader for the notebooks just as they came back."""

    def fill(folder):
        for path in (course[0] / "returned").rglob("*.ipynb"):
            place = folder / path.parent.name / path.stem
            place.mkdir(parents=True)
            shutil.copy(path, place)

    return graded(course, "as_returned", fill)


def test_its_validator_accepts_all_notebooks(course):
    paths = [*(course[0] / "students").rglob("*.ipynb"), *(course[0] / "teacher").rglob("*.ipynb")]
    assert len(paths) == 62
    done = run("python", "-c", VALIDATE, *paths, folder=course[0])
    assert done.returncode == 0, done.stderr


def test_its_release_is_what_students_without_a_roster_get(tmp_path):
    hand_out("all", tmp_path / "out", project=PROJECT, seed=4)
    folder = tmp_path / "out" / "teacher" / "nbgrader"
    for path in sorted((tmp_path / "out" / "students").glob("*.ipynb")):
        done = run("nbgrader", "generate_assignment", path.stem, folder=folder)
        assert done.returncode == 0, done.stderr
        release = json.loads((folder / "release" / path.stem / path.name).read_text(encoding="utf-8"))
        handed = json.loads(path.read_text(encoding="utf-8"))
        assert [(cell["id"], cell["source"]) for cell in release["cells"]] == [
            (cell["id"], cell["source"]) for cell in handed["cells"]
        ]


def test_collect_gives_every_mark_that_a_student_is_worth(collected):
    by = {student.id: student for student in students.STUDENTS}
    wrong = {name: points for name, points in collected.items() if points != _expected(by, name)}
    assert not wrong and len(collected) > 300


def _expected(by, name):
    student, _, cell = name.split("/")
    return by[student].expected(cell)


def test_nbgrader_and_collect_agree_on_every_mark(collected, in_order):
    """A notebook that cannot be read, or that ends its own kernel, has no mark in nbgrader, and 0 here."""
    marks, _ = in_order
    unknown = {name for name in collected if name not in marks or marks[name] is None} - {
        name for name, points in collected.items() if points is None
    }
    assert {name.split("/")[0] for name in unknown} <= {"zoe", "trent"}
    assert all(collected[name] == 0 for name in unknown)
    differ = {
        name: (collected[name], marks[name]) for name in collected.keys() - unknown if collected[name] != marks[name]
    }
    assert not differ
    print(f"{len(collected)} marks, {len(unknown)} of them without one in nbgrader")


def test_nbgrader_agrees_also_on_notebooks_as_they_came_back(collected, as_returned):
    """Apart from those whose cells are torn, in another order, or doubled tests, at which nbgrader gives up."""
    marks, _ = as_returned
    known = {name for name in collected if marks.get(name) is not None}
    differ = {name.split("/")[0] for name in known if collected[name] != marks[name]}
    assert differ <= {"xena", "yves"}
    without = {name.split("/")[0] for name in collected.keys() - known if collected[name] is not None}
    assert without <= {"zoe", "trent", "walter", "xena", "yves"}
    print(f"{len(known)} of {len(collected)} marks as returned; differing: {differ}; without a mark: {without}")


def test_its_validation_tells_a_student_what_is_wrong(course, tmp_path):
    for name, words in (("ada", "Success! Your notebook passes all the tests."), ("carl", "not yet: ")):
        path = course[0] / "returned" / name / "intrinsic_dimension.ipynb"
        done = run("nbgrader", "validate", path, folder=tmp_path)
        assert words in done.stdout, done.stdout + done.stderr
