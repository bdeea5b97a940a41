"""The cells of an exercise sheet: what each is for, what a student gets, and what nbgrader gets."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from .exercises import Exercise
from .text import Book, exercise_text, introduction

#: What every notebook imports in its first cell.
SETUP = "import numpy as np\nimport torch\n\nimport tokengeom_utils as tg"
#: In place of the line with the name of the student.
STUDENT = "{student}"
#: In place of an answer in words.
EMPTY = "*Your answer*"
#: Points of the result of a student's own numbers.
OWN_POINTS = 1
#: The kinds of cells: Markdown, those that a student fills in, and those that give points.
MARKDOWN, ANSWERS, GRADED = ("title", "text", "task", "essay"), ("answer", "own", "essay"), ("check", "result", "essay")
INSTALL = """# Install the project where it is missing, as on Colab.
import importlib.util

if importlib.util.find_spec("tokengeom_utils") is None:
    {install}"""
HIDDEN = """### BEGIN HIDDEN TESTS
import sys
from pathlib import Path

for _name in [_name for _name in sys.modules if _name.split(".")[0] == "tokengeom_utils"]:
    del sys.modules[_name]
import tokengeom_utils as tg

{code}
### END HIDDEN TESTS"""


@dataclass(frozen=True)
class Part:
    """One cell. Cells that are not filled in are locked."""

    id: str  #: the grade_id of nbgrader
    kind: str
    exercise: str  #: the label of the exercise; empty for cells at the top
    source: str  #: what a student gets; empty if it depends on the student
    points: float = 0.0
    solved: str = ""  #: the source with its solution, between the marks of nbgrader

    @property
    def is_code(self) -> bool:
        """Whether it is a cell with code."""
        return self.kind not in MARKDOWN

    @property
    def is_answer(self) -> bool:
        """Whether a student fills it in."""
        return self.kind in ANSWERS

    @property
    def is_graded(self) -> bool:
        """Whether it gives points."""
        return self.kind in GRADED

    @property
    def metadata(self) -> dict[str, Any]:
        """The metadata of the cell, with those of nbgrader, version 3."""
        about = {
            "grade": self.is_graded,
            "grade_id": self.id,
            "locked": not self.is_answer,
            "schema_version": 3,
            "solution": self.is_answer,
            "task": False,
        }
        more: dict[str, Any] = {"deletable": False}
        if not self.is_answer:
            more["editable"] = False
            if self.is_graded:
                more["tags"] = ["raises-exception"]  # Jupyter goes on after a wrong answer when it runs all cells
        return {**more, "nbgrader": {**about, **({"points": self.points} if self.is_graded else {})}}


def install_code(address: str) -> str:
    """Return the code of a cell that installs the project from an address that pip understands, if it is missing."""
    if not address:
        step = 'raise ModuleNotFoundError("tokengeom_utils is not installed: ask your teacher for the address")'
    else:
        step = f'%pip install --quiet "{address}"'
    return INSTALL.format(install=step)


def sheet(chapter: str, exercises: Iterable[Exercise], book: Book, address: str) -> list[Part]:
    """Make the cells of the exercises of a chapter.

    Parameters
    ----------
    chapter : str
        The name of its file.
    exercises : iterable of Exercise
        Of all chapters.
    book : Book
    address : str
        From where pip can install the project; empty if it is not known.

    Returns
    -------
    list of Part
    """
    own = [exercise for exercise in exercises if exercise.chapter == chapter]
    title = (
        f"# {book.titles[chapter]}\n\n{STUDENT}"
        f"{len(own)} exercises, {sum(exercise.points for exercise in own)} points, "
        f"about {sum(exercise.minutes for exercise in own)} minutes.\n\n"
        "Write your answers in place of the dots, and run the cell below each: it shows a hint or the points.\n"
        "Add cells of your own wherever you like; the other cells cannot be changed.\n"
        "At the end restart the kernel, run all cells, save the notebook, and return it."
    )
    above = introduction(chapter, book)
    parts = [
        Part("title", "title", "", f"{title}\n\n{above}".strip()),
        Part("install", "install", "", install_code(address)),
        Part("setup", "setup", "", SETUP),
    ]
    return parts + [part for exercise in own for part in _parts(exercise, book)]


def _parts(exercise: Exercise, book: Book) -> list[Part]:
    """The cells of one exercise."""
    label, function, result = exercise.id, exercise.function, exercise.result
    head = f"## {exercise.title}\n\n*{exercise.level}, about {exercise.minutes} minutes, {exercise.points} points.*"
    text = Part(f"{label}-text", "text", label, f"{head}\n\n{exercise_text(exercise, book)}")
    if not exercise.own:
        solved = f"### BEGIN SOLUTION\n{exercise.solution}\n### END SOLUTION"
        return [text, Part(label, "essay", label, EMPTY, exercise.points, solved)]
    main = exercise.points - OWN_POINTS
    ask = f"**With your own numbers** (1 point): compute {exercise.own.ask}.\nStore it as `{result}`."
    filled = f"{result} = (\n    ### BEGIN SOLUTION\n    {exercise.own.wanted}\n    ### END SOLUTION\n)"
    return [
        text,
        Part(label, "answer", label, exercise.stub, solved=_solved(exercise)),
        Part(f"{label}-check", "check", label, f"tg.check.{exercise.checker}({function}, points={main})", main),
        Part(f"{label}-task", "task", label, ask),
        Part(f"{label}-given", "given", label, ""),
        Part(f"{label}-own", "own", label, f"{result} = (\n    ...\n)", solved=filled),
        Part(f"{label}-result", "result", label, f"tg.check.value({result}, points={OWN_POINTS})", OWN_POINTS),
    ]


def _solved(exercise: Exercise) -> str:
    """The stub of an exercise with the body of its solution between the marks of nbgrader."""
    before, head, body = exercise.answer.partition(f"def {exercise.function}(")
    signature, _, body = body.partition("\n")
    imports = [line for line in before.strip().splitlines() if line not in exercise.stub]
    lines = ["### BEGIN SOLUTION", *imports]
    region = "\n".join(f"    {line}" for line in lines) + f"\n{body.rstrip()}\n    ### END SOLUTION"
    if f"{head}{signature}\n" not in exercise.stub or not exercise.stub.endswith("\n    ..."):
        raise ValueError(f"{exercise.id}: the stub and the solution do not begin alike")
    return exercise.stub.removesuffix("    ...") + region


def hidden(code: str) -> str:
    """Return the part of a test that nbgrader keeps from students; it uses a fresh copy of the package."""
    return HIDDEN.format(code=code)
