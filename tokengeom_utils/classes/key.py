"""The key of a handout: its cells, the hidden draws, and every student's numbers and results; for the teacher alone."""

import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ..errors import InputError
from .sheet import STUDENT, Part

FORMAT = 1
NAME = "key.json"
#: The id that stands for every student where there is no roster.
EVERYONE = "everyone"
#: Characters of a name that Markdown would read.
MARKUP = re.compile(r"[^\w\s.,'-]")
#: Largest relative and absolute difference from an expected result.
RTOL, ATOL = 1e-4, 1e-6


@dataclass(frozen=True)
class Own:
    """The numbers of one student for one exercise."""

    numbers: dict[str, int]
    given: str  #: the code with these numbers
    expected: Any  #: a number, or a nested list of numbers
    rtol: float = RTOL
    atol: float = ATOL


@dataclass(frozen=True)
class Tested:
    """What is called to grade the function of one exercise."""

    checker: str
    function: str
    result: str  #: the name for the result of the student's own numbers
    seed: int  #: of the draws that students do not see


@dataclass(frozen=True)
class Key:
    """Everything that grading a handout takes."""

    handout: str  #: an id, which the notebooks hold too
    version: str  #: of the package
    seed: int
    roster: bool  #: whether each student has numbers of their own
    students: dict[str, str]  #: names by id
    titles: dict[str, str]  #: of the chapters
    sheets: dict[str, list[Part]]  #: the cells, by chapter
    tests: dict[str, Tested]  #: by exercise
    own: dict[str, dict[str, Own]] = field(repr=False)  #: by student and exercise

    def sources(self, chapter: str, student: str) -> dict[str, str]:
        """Return what a student got in each cell of a sheet, by its id."""
        own, name = self.own[student if self.roster else EVERYONE], self.students.get(student, "")
        found = {part.id: part.source for part in self.sheets[chapter]}
        found |= {part.id: own[part.exercise].given for part in self.sheets[chapter] if part.kind == "given"}
        escaped = MARKUP.sub(r"\\\g<0>", name)
        shown = f"For {escaped}.\n\n" if name else ""
        return found | {"title": found["title"].replace(STUDENT, shown)}


def write_key(key: Key, folder: Path) -> None:
    """Write a key into a folder."""
    text = json.dumps({"format": FORMAT, **asdict(key)}, indent=1)
    (folder / NAME).write_text(text + "\n", encoding="utf-8")


def read_key(path: Path) -> Key:
    """Read the key of a handout.

    Parameters
    ----------
    path : path

    Returns
    -------
    Key

    Raises
    ------
    InputError
        If the file is no key, or one of another version of this format.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        if found.pop("format") != FORMAT:
            raise InputError(f"{path} was written by another version: hand out again, or grade with that version")
        found["sheets"] = {chapter: [Part(**part) for part in parts] for chapter, parts in found["sheets"].items()}
        found["tests"] = {name: Tested(**test) for name, test in found["tests"].items()}
        found["own"] = {
            student: {name: Own(**own) for name, own in exercises.items()}
            for student, exercises in found["own"].items()
        }
        return Key(**found)
    except InputError:
        raise
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path} is no key of a handout: {error}") from None


def find_key(folder: Path) -> Path:
    """Return the key that belongs to a folder of returned notebooks: that of the folder, or of one above it.

    Parameters
    ----------
    folder : path

    Returns
    -------
    pathlib.Path

    Raises
    ------
    InputError
        If there is none.
    """
    for place in (folder, *folder.parents):
        for path in (place / NAME, place / "teacher" / NAME):
            if path.is_file():
                return path
    raise InputError(f"there is no {NAME} at or above {folder}: name the one of the handout with --key")


def rows(key: Key) -> Sequence[Sequence[Any]]:
    """Return the results of all students as a table with a header."""
    lines: list[Sequence[Any]] = [("student", "chapter", "exercise", "numbers", "expected", "rtol", "atol")]
    for student, exercises in key.own.items():
        for chapter, parts in key.sheets.items():
            for part in parts:
                if part.kind == "given":
                    own = exercises[part.exercise]
                    numbers = ", ".join(f"{name} = {value}" for name, value in own.numbers.items())
                    lines.append((student, chapter, part.exercise, numbers, own.expected, own.rtol, own.atol))
    return lines
