"""Handing out exercises: a notebook for each student and chapter, and for the teacher the key."""

import csv
import os
import random
import secrets
import shutil
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from ..console import track
from ..errors import InputError
from ..paths import local_path
from ..site.build.contents import chapters as chapters_of
from ..surveys.provenance import address as origin
from ..version import __version__
from .exercises import Exercise, read_exercises
from .key import EVERYONE, Key, Own, Tested, rows, write_key
from .notebook import for_nbgrader, of_student
from .roster import Student, read_roster
from .sheet import sheet
from .text import read_book

STUDENTS, TEACHER, RETURNED = "students", "teacher", "returned"
CONFIG = """# Settings of nbgrader for this handout: run its commands in this folder.
c = get_config()
c.CourseDirectory.course_id = "{course}"
c.ClearSolutions.code_stub = {{"python": "..."}}
c.ClearSolutions.text_stub = "*Your answer*"
c.OverwriteCells.add_missing_cells = True
c.Execute.timeout = 60  # a check stops an attempt after 10 seconds, and a cell may hold two
"""


def hand_out(
    chapters: str,
    out: str | Path,
    roster: str | Path | None = None,
    project: str | Path = ".",
    seed: int | None = None,
    install: str | None = None,
) -> Key:
    """Write the exercises of some chapters as notebooks for a class.

    Parameters
    ----------
    chapters : str
        Numbers and names of chapters, such as ``"6,7"``, or ``"all"``.
    out : path
        The folder to make: ``students`` holds what is handed out, ``teacher`` the key and the source for nbgrader,
        and ``returned`` is for what comes back.
    roster : path, optional
        A list of the class, from :func:`.roster.read_roster`; without one there is one set for all.
    project : path
        A checkout of the book.
    seed : int, optional
        From which all numbers are drawn; a random one if not given. It is part of the key.
    install : str, optional
        From where pip can install the project; if not given, from where git fetched the checkout.

    Returns
    -------
    Key

    Raises
    ------
    InputError
        For invalid input, before anything is written.
    """
    project = Path(project).resolve()
    if not (project / "_toc.yml").is_file():
        raise InputError(f"{project} is not a checkout of the book, which holds the exercises: run this in one")
    out = _new_folder(out)
    students = read_roster(roster) if roster is not None else []
    chosen = choose_chapters(chapters, [path.stem for path in chapters_of(project)])
    address = _pip_address(origin()) if install is None else _checked_address(install)
    key = make_key(project, chosen, students, secrets.randbits(48) if seed is None else seed, address)
    _write(key, [exercise for exercise in read_exercises(project) if exercise.chapter in chosen], out)
    return key


def choose_chapters(text: str, names: Sequence[str]) -> list[str]:
    """Return the chapters that a list of numbers and names chooses, in the order of the book.

    Parameters
    ----------
    text : str
        Such as ``"6,intrinsic_dimension"`` or ``"all"``.
    names : sequence of str
        All chapters, in their order; the first has the number 1.

    Returns
    -------
    list of str

    Raises
    ------
    InputError
        If there is no such chapter, or one is listed twice.

    Examples
    --------
    >>> choose_chapters("3, first", ["first", "second", "third"])
    ['first', 'third']
    """
    if text.strip() == "all":
        return list(names)
    chosen: list[str] = []
    for word in text.split(","):
        word = word.strip()
        numbered = word.isdecimal() and 1 <= int(word) <= len(names)
        name = names[int(word) - 1] if numbered else word
        if name not in names:
            raise InputError(
                f"--chapters {text}: there is no chapter {word!r}: give numbers from 1 to {len(names)}, or names of "
                "files in notebooks without their ending"
            )
        if name in chosen:
            raise InputError(f"--chapters {text}: {name} is chapter {names.index(name) + 1}, and is listed twice")
        chosen.append(name)
    return sorted(chosen, key=names.index)


def make_key(project: Path, chapters: Sequence[str], students: Sequence[Student], seed: int, address: str) -> Key:
    """Compute the key of a handout; every student's results come from the solutions in the chapters.

    Parameters
    ----------
    project : path
    chapters : sequence of str
    students : sequence of Student
        Empty for one set for all.
    seed : int
    address : str
        From where pip can install the project; empty if it is not known.

    Returns
    -------
    Key
    """
    from .numbers import hidden_seed  # imports torch

    book = read_book(project)
    exercises = [exercise for exercise in read_exercises(project) if exercise.chapter in chapters]
    coded = [exercise for exercise in exercises if exercise.own]
    drawing = random.Random(f"{seed}/tests")
    tests: dict[str, Tested] = {}
    own: dict[str, dict[str, Own]] = {student: {} for student in [one.id for one in students] or [EVERYONE]}
    with track("computing the key", len(coded)) as advance:
        for done, exercise in enumerate(coded):
            advance(done)
            _add_own(exercise, own, seed)
            hidden = hidden_seed(exercise, drawing)
            tests[exercise.id] = Tested(exercise.checker, exercise.function, exercise.result, hidden)
        advance(len(coded))
    return Key(
        handout=f"{drawing.randrange(2**64):016x}",
        version=__version__,
        seed=seed,
        roster=bool(students),
        students={student.id: student.name for student in students},
        titles={chapter: book.titles[chapter] for chapter in chapters},
        sheets={chapter: sheet(chapter, exercises, book, address) for chapter in chapters},
        tests=tests,
        own=own,
    )


def _add_own(exercise: Exercise, own: dict[str, dict[str, Own]], seed: int) -> None:
    """Add the numbers of every student for an exercise, and their results, to ``own``."""
    from .numbers import drawn, given_code, result

    assert exercise.own
    taken: set[tuple[int, ...]] = set()
    for student, found in own.items():
        numbers = drawn(exercise, student, seed, taken)
        found[exercise.id] = Own(numbers, given_code(exercise.own, numbers), result(exercise, numbers))


def _new_folder(out: str | Path) -> Path:
    """A path where nothing is yet, in a folder that exists and can be written."""
    out = local_path(out, "--out").absolute()
    if os.path.lexists(out) and not (out.is_dir() and not any(out.iterdir())):
        raise InputError(f"{out} exists: name a new folder with --out, or remove it")
    if not out.parent.is_dir():
        raise InputError(f"--out {out}: there is no folder {out.parent}")
    return out


def _pip_address(text: str) -> str:
    """An address of git as pip reads it; ssh, which students may lack, becomes https."""
    if not text:
        return ""
    host, _, path = text.removeprefix("git@").partition(":")
    url = f"https://{host}/{path}" if text.startswith("git@") else text.replace("ssh://git@", "https://", 1)
    return f"tokengeom-utils @ git+{url}"


def _checked_address(text: str) -> str:
    """An address that fits between the quotes of a command."""
    if not text.isprintable() or any(mark in text for mark in "\"'`$;&|\\{}"):
        raise InputError(f"--install {text!r}: give what follows  pip install , without quotes")
    return text


def _write(key: Key, exercises: Sequence[Exercise], out: Path) -> None:
    """Write everything into a folder beside the wanted one, and rename that."""
    scratch = Path(tempfile.mkdtemp(prefix=f".{out.name}-", dir=out.parent))
    try:
        readers = list(key.students) or [EVERYONE]
        with track("writing notebooks", len(readers)) as advance:
            for done, student in enumerate(readers):
                advance(done)
                folder = scratch / STUDENTS / student if key.roster else scratch / STUDENTS
                folder.mkdir(parents=True)
                for chapter in key.sheets:
                    _write_notebook(of_student(key, chapter, student), folder / f"{chapter}.ipynb")
            advance(len(readers))
        (scratch / RETURNED).mkdir()
        teacher = scratch / TEACHER
        for chapter in key.sheets:
            folder = teacher / "nbgrader" / "source" / chapter
            folder.mkdir(parents=True)
            _write_notebook(for_nbgrader(key, chapter), folder / f"{chapter}.ipynb")
        config = CONFIG.format(course=f"tokengeom-{key.handout}")
        (teacher / "nbgrader" / "nbgrader_config.py").write_text(config, encoding="utf-8")
        write_key(key, teacher)
        _write_table(rows(key), teacher / "key.csv")
        names = ("id", "chapter", "title", "level", "minutes", "points", "idea")
        _write_table([names, *([getattr(one, name) for name in names] for one in exercises)], teacher / "exercises.csv")
        scratch.chmod(0o755)
        teacher.chmod(0o700)  # on a server of the class, students have accounts
        if out.is_dir():
            out.rmdir()
        scratch.rename(out)
    except OSError as error:
        raise InputError(f"{out} cannot be written: {error.strerror or error}") from None
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _write_notebook(notebook: Any, path: Path) -> None:
    import nbformat

    path.write_text(nbformat.writes(notebook), encoding="utf-8")


def _write_table(lines: Iterable[Sequence[Any]], path: Path) -> None:
    """Write rows as CSV, which spreadsheets open as UTF-8 because of its first bytes."""
    with open(path, "w", newline="", encoding="utf-8-sig") as file:
        csv.writer(file).writerows(lines)
