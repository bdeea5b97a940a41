"""The list of a class: a CSV file with an id for each student."""

import csv
import io
import re
from pathlib import Path
from typing import NamedTuple

from ..errors import InputError
from ..paths import local_path

#: An id names folders and files, on every system.
ID = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._@+-]{0,58}[A-Za-z0-9])?")
#: What Windows keeps for devices, with any ending.
RESERVED = {"con", "prn", "aux", "nul", *(f"{port}{number}" for port in ("com", "lpt") for number in range(10))}
LONGEST = 1_000_000  #: bytes of a file


class Student(NamedTuple):
    """One line of a roster."""

    id: str
    name: str


def read_roster(path: str | Path) -> list[Student]:
    """Read the list of a class.

    Parameters
    ----------
    path : path
        A CSV file in UTF-8 with a header. The column ``id`` is required; ``name``, or ``first_name`` and ``last_name``
        as in nbgrader's lists, are optional, and other columns are ignored.

    Returns
    -------
    list of Student
        In the order of the file.

    Raises
    ------
    InputError
        If the file cannot be read as such a table, or an id is missing, repeated, or cannot name a file.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp(), "roster.csv")
    >>> _ = path.write_text("id,name\\nada,Ada Lovelace\\nemmy,Emmy Noether\\n")
    >>> [student.id for student in read_roster(path)]
    ['ada', 'emmy']
    """
    path = local_path(path, "the roster")
    header, rows = _table(path)
    students: dict[str, tuple[int, Student]] = {}
    for line, row in rows:
        where = f"{path.name}, line {line}"
        if len(row) != len(header):
            raise InputError(f"{where} has {len(row)} columns, the header has {len(header)}")
        cells = dict(zip(header, row, strict=True))
        student = Student(_checked_id(cells["id"], where), _name(cells, where))
        if (known := students.get(student.id.lower())) is not None:
            again = "repeats" if known[1].id == student.id else "differs only in capital letters from"
            raise InputError(f"{where}: the id {student.id} {again} that of line {known[0]}")
        students[student.id.lower()] = line, student
    if not students:
        raise InputError(f"{path.name} lists no student: it needs a line for each below the header")
    return [student for _, student in students.values()]


def _table(path: Path) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """The header of a roster, and its rows with the numbers of their lines."""
    if not path.is_file():
        raise InputError(f"{path} is a folder: name a CSV file" if path.is_dir() else f"there is no file {path}")
    if path.stat().st_size > LONGEST:
        raise InputError(f"{path.name} is no roster: it is larger than a megabyte")
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InputError(f"{path.name} is not in UTF-8: save it as CSV UTF-8") from None
    if "\0" in text:
        raise InputError(f"{path.name} is no text: save it as CSV UTF-8")
    first = text.lstrip().partition("\n")[0]
    for mark, name in ((";", "semicolons"), ("\t", "tabs")):
        if mark in first and "," not in first:
            raise InputError(f"{path.name}: the columns are separated by {name}: save it with commas")
    try:
        reader = csv.reader(io.StringIO(text, newline=""), strict=True)
        lines = [(reader.line_num, [cell.strip() for cell in row]) for row in reader if any(map(str.strip, row))]
    except csv.Error as error:
        raise InputError(f"{path.name} is no table with commas: {error}") from None
    if not lines:
        raise InputError(f"{path.name} is empty: the header  id,name  and a line for each student are needed")
    header = [name.lower() for name in lines[0][1]]
    if "id" not in header:
        raise InputError(f"{path.name} has no column id: its header is {','.join(lines[0][1])[:60]!r}")
    named = [name for name in header if name]  # spreadsheets leave empty columns behind
    if len(set(named)) < len(named):
        raise InputError(f"{path.name} has two columns of one name")
    return header, lines[1:]


def _checked_id(text: str, where: str) -> str:
    """An id that can name a folder."""
    if not text:
        raise InputError(f"{where} has no id")
    if not ID.fullmatch(text) or ".." in text:
        raise InputError(
            f"{where}: the id {text[:70]!r} must consist of at most 60 letters, digits, and . _ @ + - between them"
        )
    if text.lower().partition(".")[0] in RESERVED:
        raise InputError(f"{where}: the id {text} names a device on Windows, where no file can have this name")
    return text


def _name(cells: dict[str, str], where: str) -> str:
    """The name that is shown; the id if there is none."""
    name = cells.get("name") or " ".join(filter(None, (cells.get("first_name"), cells.get("last_name"))))
    if not name.isprintable() or len(name) > 200:
        raise InputError(f"{where}: the name {name[:40]!r} has characters that cannot be shown, or is too long")
    return name or cells["id"]
