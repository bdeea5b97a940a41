"""Grading a whole class: every returned notebook, and one table with points and a comment for each exercise."""

import csv
import re
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

from ..console import say, track
from ..errors import InputError
from ..paths import local_path
from ..version import __version__
from .arrange import arrange, arranged_notebook
from .key import Key, find_key, read_key
from .marks import Mark, clean
from .returned import Returned, find_returned
from .roster import ID
from .sandbox import closed

TABLE = "marks.csv"
HEADER = ("student", "name", "chapter", "exercise", "points", "of", "comment")
#: Where a spreadsheet finds a formula: at the start of a cell, and behind a semicolon where this separates the cells.
FORMULA = re.compile(r"(^|;)([\s\"]*)(?=[=+\-@\uff1d\uff0b\uff0d\uff20])")


class Collected(NamedTuple):
    """The grades of a class."""

    key: Key
    returned: list[Returned]
    marks: dict[tuple[str, str], list[Mark]]  #: by student and chapter
    left_out: list[str]  #: a line for each file that was not graded


def collect(
    folder: str | Path,
    key: str | Path | None = None,
    out: str | Path | None = None,
    memory: float = 2.0,
    seconds: float = 60.0,
    jobs: int = 1,
) -> tuple[Path, Collected]:
    """Grade the notebooks of a class, and write a table of the points.

    Parameters
    ----------
    folder : path
        That of the handout, whose ``returned`` is read, or any folder with returned notebooks.
    key : path, optional
        ``key.json`` of the handout; if not given, it is looked for at the folder and above it.
    out : path, optional
        The table, a CSV file that must not exist; ``marks.csv`` in the folder if not given.
    memory : float
        GiB that a notebook may take.
    seconds : float
        For one cell.
    jobs : int
        How many notebooks are graded at once.

    Returns
    -------
    pathlib.Path
        The table.
    Collected

    Raises
    ------
    InputError
        For invalid input, before anything is run or written.
    """
    folder = local_path(folder, "the folder").absolute()
    found = _key_of(folder, key)
    table = _new_table(local_path(out, "--out").absolute() if out else folder / TABLE)
    returned, left_out = find_returned(folder, found)
    if found.version != __version__:
        say(f"the key was made with version {found.version}, this is {__version__}: checkers may differ")
    limit = int(memory * 2**30)
    say(closed(limit, seconds))
    marks: dict[tuple[str, str], list[Mark]] = {}
    with track("grading notebooks", len(returned)) as advance:
        advance(0)
        for done, (one, graded) in enumerate(_graded(returned, found, limit, seconds, jobs), 1):
            marks[one.student, one.chapter] = graded
            advance(done, f"{one.student}, {one.chapter}")
    collected = Collected(found, returned, marks, left_out)
    with open(table, "x", newline="", encoding="utf-8-sig") as file:
        csv.writer(file).writerows([HEADER, *rows(collected)])
    return table, collected


def _key_of(folder: Path, key: str | Path | None) -> Key:
    """The key that is named, or the one that belongs to a folder."""
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder: name the one with the returned notebooks")
    if key is None:
        return read_key(find_key(folder))
    path = local_path(key, "--key").absolute()
    if not path.is_file():
        raise InputError(f"there is no file {path}: give --key the key.json of the handout")
    return read_key(path)


def _new_table(path: Path) -> Path:
    """A path at which a table can be written, and nothing is lost."""
    if path.suffix != ".csv":
        raise InputError(f"{path} must end in .csv")
    if path.exists():
        raise InputError(f"{path} exists, and may hold points that were given by hand: name another file with --out")
    if not path.parent.is_dir():
        raise InputError(f"{path}: there is no folder {path.parent}")
    return path


def _graded(
    returned: Sequence[Returned], key: Key, memory: int, seconds: float, jobs: int
) -> Iterator[tuple[Returned, list[Mark]]]:
    """Grade some notebooks, in any order."""
    if jobs == 1:
        yield from ((one, _marks(one, key, memory, seconds)) for one in returned)
        return
    # In processes: a checker that measures the memory of an attempt sees all threads of its own.
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        running = {pool.submit(_marks, one, key, memory, seconds): one for one in returned}
        yield from ((running[each], each.result()) for each in as_completed(running))


def _marks(one: Returned, key: Key, memory: int, seconds: float) -> list[Mark]:
    """Grade a notebook; a failure of the grader itself leaves its points to the teacher."""
    from .grade import grade  # imports torch

    try:
        return grade(one, key, memory, seconds)
    except Exception as error:
        why = clean(f"could not be graded here: {type(error).__name__}: {error}")
        parts = [part for part in key.sheets[one.chapter] if part.is_graded]
        return [Mark(part.id, part.exercise, None, part.points, why) for part in parts]


def rows(collected: Collected) -> list[tuple[object, ...]]:
    """Return the table: a row for each student and exercise, also for what was not returned.

    Parameters
    ----------
    collected : Collected

    Returns
    -------
    list of tuple
        In the columns of :data:`HEADER`. Points that a teacher has to give are empty.
    """
    key, found = collected.key, {(one.student, one.chapter): one for one in collected.returned}
    students = list(key.students) if key.roster else list(dict.fromkeys(one.student for one in collected.returned))
    lines: list[tuple[object, ...]] = []
    for student in students:
        for chapter, parts in key.sheets.items():
            of: dict[str, float] = {}
            for part in parts:
                if part.is_graded:
                    of[part.exercise] = of.get(part.exercise, 0.0) + part.points
            one = found.get((student, chapter))
            for exercise, most in of.items():
                points, comment = "0", "not returned"
                if one is not None:
                    marks = [mark for mark in collected.marks[student, chapter] if mark.exercise == exercise]
                    points, comment = _joined(marks, one.remark)
                name = clean(key.students.get(student, ""))
                lines.append((_cell(student), _cell(name), chapter, exercise, points, f"{most:g}", _cell(comment)))
    return lines


def _joined(marks: Sequence[Mark], remark: str) -> tuple[str, str]:
    """The points of all cells of an exercise, and their comments."""
    given = [mark.points for mark in marks]
    points = "" if None in given else f"{sum(one for one in given if one is not None):g}"
    comments = [
        f"with your own numbers: {mark.comment}" if mark.cell.endswith("-result") else mark.comment
        for mark in marks
        if mark.comment
    ]
    return points, "; ".join([*comments, *([clean(remark)] if remark else [])])


def _cell(text: str) -> str:
    """A text that no spreadsheet takes for a formula."""
    return FORMULA.sub(r"\1\2'", text)


def totals(collected: Collected) -> list[tuple[str, str, float, float, int]]:
    """Return for each student and chapter the points, their maximum, and how many answers a teacher has to read."""
    found = []
    for (student, chapter), marks in sorted(collected.marks.items()):
        to_read = [mark for mark in marks if mark.points is None]
        points = sum(mark.points for mark in marks if mark.points is not None)
        found.append((student, chapter, points, sum(mark.most for mark in marks), len(to_read)))
    return found


def arrange_for_nbgrader(folder: str | Path, out: str | Path, key: str | Path | None = None) -> Collected:
    """Write the returned notebooks as nbgrader takes them: in order, with all cells, in folders by student and chapter.

    Parameters
    ----------
    folder, key : path
        As in :func:`collect`.
    out : path
        The folder ``submitted`` of a course; what is in it stays.

    Returns
    -------
    Collected
        Without marks.

    Raises
    ------
    InputError
        For invalid input, and if one of the notebooks is there already.
    """
    import nbformat

    folder = local_path(folder, "the folder").absolute()
    found = _key_of(folder, key)
    out = local_path(out, "--nbgrader").absolute()
    if not out.parent.is_dir():
        raise InputError(f"--nbgrader {out}: there is no folder {out.parent}")
    returned, left_out = find_returned(folder, found)
    paths = {}
    for one in returned:
        place = out / one.student / one.chapter
        if one.trouble or not ID.fullmatch(one.student):
            left_out.append(clean(f"{one.path.relative_to(folder)}: {one.trouble or 'no name for a folder'}"))
        elif place.exists():
            raise InputError(f"{place} exists: remove it, or name another folder")
        else:
            paths[place / f"{one.chapter}.ipynb"] = one
    for path, one in paths.items():
        path.parent.mkdir(parents=True)
        notebook = arranged_notebook(arrange(one.notebook, found, one.chapter, one.student))
        path.write_text(nbformat.writes(notebook), encoding="utf-8")
    return Collected(found, returned, {}, left_out)
