"""The notebooks that came back: whose each is, and of which chapter."""

import os
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import InputError
from .handout import RETURNED, STUDENTS, TEACHER
from .key import EVERYONE, NAME, Key
from .marks import clean

#: Bytes of a notebook.
LONGEST = 30 * 2**20
#: Endings of files in which a notebook may be hidden from :func:`collect`.
ARCHIVES = (".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".7z", ".rar")


@dataclass
class Returned:
    """One returned notebook."""

    path: Path
    student: str
    chapter: str
    notebook: Any = field(default=None, repr=False)
    trouble: str = ""  #: why it cannot be graded
    remark: str = ""  #: what a teacher should know about it


def find_returned(folder: Path, key: Key) -> tuple[list[Returned], list[str]]:
    """Read all notebooks in a folder and in those below.

    The name of a folder that is the id of a student decides whose a notebook is, as in nbgrader; otherwise the notebook
    itself says so. Of several for one student and chapter the one that was changed last counts.

    Parameters
    ----------
    folder : path
        That of the handout, whose ``returned`` is read, or any other.
    key : Key

    Returns
    -------
    list of Returned
    list of str
        A line about each file that was left out although it is, or may hold, a notebook.

    Raises
    ------
    InputError
        If there is no such folder, or no notebook in it.
    """
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder: name the one with the returned notebooks")
    if (folder / TEACHER).is_dir() and (folder / RETURNED).is_dir():
        folder = folder / RETURNED
    found: dict[tuple[str, str], Returned] = {}
    left_out: list[str] = []
    for path in _files(folder):
        shown = path.relative_to(folder)
        if why := _unread(path):
            left_out.append(clean(f"{shown}: {why}"))
        if why or path.suffix.lower() != ".ipynb":
            continue
        one = _read(path, folder, key)
        if not one.student or not one.chapter:
            why = one.trouble or "not of this handout, or of a student who is not in the roster"
            left_out.append(clean(f"{shown}: {why}"))
            continue
        before = found.get((one.student, one.chapter))
        if before is not None:
            older, newer = sorted((before, one), key=lambda each: each.path.stat().st_mtime)
            one, one.remark = newer, f"several notebooks were returned; {newer.path.relative_to(folder)} is the newest"
            left_out.append(clean(f"{older.path.relative_to(folder)}: {newer.path.relative_to(folder)} is newer"))
        found[one.student, one.chapter] = one
    if not found:
        hint = f"; left out: {left_out[0]}" if left_out else ""
        raise InputError(f"{folder} has no notebook of this handout{hint}")
    return sorted(found.values(), key=lambda one: (one.student, list(key.sheets).index(one.chapter))), left_out


def _files(folder: Path) -> Iterator[Path]:
    """The files below a folder, without copies that Jupyter keeps, and what was handed out."""
    for place, folders, files in os.walk(folder):
        handed_out = (STUDENTS, TEACHER) if Path(place, TEACHER, NAME).is_file() else ()
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name not in handed_out)
        for name in sorted(files):
            if not name.startswith("."):
                yield Path(place, name)


def _unread(path: Path) -> str:
    """Why a file is not read although a student may mean it; of other kinds of files there is nothing to say."""
    ending = path.suffix.lower()
    if ending in ARCHIVES:
        return "an archive: unpack it here"
    if ".ipynb" in path.name.lower() and ending != ".ipynb":
        return "it does not end in .ipynb: rename it if it is a notebook"
    if ending == ".ipynb" and path.is_symlink():
        return "a link: put the notebook itself here"
    if ending == ".ipynb" and not path.is_file():  # such as a pipe, at which reading would wait forever
        return "not a regular file"
    return ""


def _read(path: Path, folder: Path, key: Key) -> Returned:
    """Read one notebook; whatever is wrong with it becomes words."""
    import nbformat

    notebook, trouble, about = None, "", None
    try:
        if path.stat().st_size > LONGEST:
            raise ValueError(f"it is larger than {LONGEST // 2**20} MB: clear its outputs")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # such as cells with one id
            notebook = nbformat.read(path, as_version=4)
        notebook.cells = [_whole(cell) for cell in notebook.cells]
        about = notebook.metadata.get("tokengeom")
    except Exception as error:  # it may be anything
        notebook, trouble = None, f"the notebook cannot be read: {type(error).__name__}: {str(error)[:200]}"
    about = about if isinstance(about, dict) else {}
    if about and about.get("handout") != key.handout:
        return Returned(path, "", "", trouble="it belongs to another handout")
    student, remark = _student(path.relative_to(folder), str(about.get("student", "")), key)
    chapter = str(about.get("chapter", ""))
    if chapter not in key.sheets:
        chapter = next((name for name in sorted(key.sheets, key=len)[::-1] if name in path.stem), "")
    return Returned(path, student, chapter, notebook, trouble, remark)


def _whole(cell: Any) -> Any:
    """A cell with what every cell must have."""
    cell.source = "".join(cell.source) if isinstance(cell.source, list) else str(cell.source)
    if not isinstance(cell.metadata, dict):
        raise ValueError("a cell has no metadata")
    cell.cell_type = str(cell.cell_type)
    return cell


def _student(path: Path, said: str, key: Key) -> tuple[str, str]:
    """Whose a notebook is, by its folders or by itself, and a remark if the two differ."""
    if not key.roster:
        stem = path.stem if len(path.parts) == 1 else path.parts[0]
        return "".join(mark if mark.isprintable() else "?" for mark in stem), ""
    ids = {student.lower(): student for student in key.students}
    placed = next((ids[part.lower()] for part in path.parts[:-1] if part.lower() in ids), "")
    remark = (
        f"the notebook in the folder of {placed} was handed out to {said[:60]}" if placed and said != placed else ""
    )
    if said in ("", EVERYONE):
        remark = ""
    return placed or ids.get(said.lower(), ""), remark
