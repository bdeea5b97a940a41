"""The rows of a table of texts, each with its place in the file."""

import csv
import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..errors import InputError
from .pile import part_of_pile
from .prompt import Prompt
from .raw import ending, read_bytes, read_text

TABLES = (".jsonl", ".ndjson", ".json", ".csv", ".tsv", ".parquet")  #: a file of these holds a prompt per row
COLUMNS = ("text", "id", "domain", "meta")
LONGEST_FIELD = 2**31 - 1  # characters; a long of C on every system
SHOWN = 8  # names of columns in a message


def read_table(path: Path, name: str, domain: str) -> Iterator[tuple[str, Prompt]]:
    """Read the prompts of a table.

    Parameters
    ----------
    path : pathlib.Path
        JSON lines and a list in JSON are told apart by their first character, not by the ending.
    name : str
        A row without an id gets its number after this name.
    domain : str
        The domain of a row without one.

    Yields
    ------
    where : str
        The file and the row.
    prompt : Prompt

    Raises
    ------
    InputError
        If there are no rows, or one cannot be read; the message has its place.
    """
    i = -1
    for i, (where, row) in enumerate(_rows(path)):
        try:
            prompt = Prompt(
                _label(row, "id") or f"{name}-{i:05d}",
                _label(row, "domain") or part_of_pile(row.get("meta")) or domain,
                _text(row).strip(),
            )
        except InputError as error:
            raise InputError(f"{where}: {error}") from None
        yield where, prompt
    if i < 0:
        raise InputError(f"{path} has no rows: add some, each with a 'text' field")


def _rows(path):
    """The rows of a table with their places."""
    kind = ending(path)
    if kind == ".parquet":
        return _parquet(path)
    return _sheet(path, kind) if kind in (".csv", ".tsv") else _json_rows(path)


def _text(row):
    """The text of a row."""
    if "text" not in row:
        raise InputError(f"there is no 'text' field, only {_listed(row)}: add or rename it")
    if not isinstance(row["text"], str):
        raise InputError(f"its 'text' is {_kind(row['text'])}, not a string: change it, or leave the row out")
    return row["text"]


def _label(row, name):
    """The id or the domain of a row; None if it has none, or an empty one."""
    value = row.get(name)
    if value is None or value != value:  # NaN stands for a missing number
        return None
    if isinstance(value, bool | list | dict | bytes):
        raise InputError(f"its '{name}' is {_kind(value)}, not a string or a number: change it")
    return str(value) if str(value).strip() else None


def _kind(value: Any) -> str:
    """What JSON calls a value."""
    names = {type(None): "null", bool: "true or false", list: "a list", dict: "an object", bytes: "binary"}
    return names.get(type(value), "a number")


def _listed(names):
    """The first few names of columns."""
    names = [str(name) for name in names]
    return (", ".join(names[:SHOWN]) + (", ..." if len(names) > SHOWN else "")) or "nothing"


def _json_rows(path):
    """Rows of a list in JSON, of JSON lines, or of one object, whatever the ending."""
    text = read_text(path)
    start = text.lstrip()[:1]
    if start == "[":
        return [(f"{path}, row {i}", _object(row, f"{path}, row {i}")) for i, row in enumerate(_json(text, path), 1)]
    if start == "{" and "\n" in text.strip():  # one object may be spread over lines
        try:
            return [(str(path), _object(json.loads(text), path))]
        except (ValueError, RecursionError):
            pass  # lines, or wrong: the line with the error is named below
    lines = [(number, line) for number, line in enumerate(text.split("\n"), 1) if line.strip()]
    return [
        (f"{path}, line {number}", _object(_json(line, path, number), f"{path}, line {number}"))
        for number, line in lines
    ]


def _json(text, path, line=None):
    """A value in JSON, of a file or of one of its lines."""
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise InputError(f"{path}, line {line or error.lineno}: not JSON: {error.msg} (column {error.colno})") from None
    except RecursionError:
        where = f"{path}, line {line}" if line else path
        raise InputError(f"{where}: nested too deeply: leave out all fields but {', '.join(COLUMNS)}") from None
    except ValueError:  # more digits than Python converts
        long = max(re.finditer(r"\d+", text), key=lambda found: len(found[0]))
        where = f"{path}, line {line or text.count(chr(10), 0, long.start()) + 1}"
        raise InputError(f"{where}: a number of {len(long[0])} digits: put it in quotes, or leave it out") from None


def _object(row, where):
    """A row as a mapping; a string is a text without an id."""
    if isinstance(row, str):
        return {"text": row}
    if not isinstance(row, dict):
        raise InputError(f"{where}: it is {_kind(row)}, but each row must be an object with a 'text' field")
    return row


def _sheet(path, kind):
    """Rows of comma-separated values (or of values separated by semicolons, as where the comma is decimal), or tabs."""
    csv.field_size_limit(LONGEST_FIELD)
    text = read_text(path).lstrip("\n")
    options = [
        csv.reader(io.StringIO(text), delimiter=mark, strict=True) for mark in ("\t" if kind == ".tsv" else ",;\t")
    ]
    try:
        headers = [[name.strip() for name in next(option, [])] for option in options]
    except csv.Error as error:
        raise InputError(f"{path}, line 1: {error}") from None
    found = [(header, option) for header, option in zip(headers, options, strict=True) if "text" in header]
    if not found:
        raise InputError(f"{path}, line 1: there is no column 'text', only {_listed(headers[0])}: add or rename it")
    header, reader = found[0]
    if twice := {name for name in header if header.count(name) > 1} & set(COLUMNS):
        raise InputError(f"{path}, line 1: two columns are called {min(twice)!r}: rename one")
    return _lines(path, header, reader)


def _lines(path, header, reader):
    """The rows of a sheet below its header."""
    rows = []
    while True:
        where = f"{path}, line {reader.line_num + 1}"
        try:
            row = next(reader, None)
        except csv.Error as error:
            raise InputError(f"{where}: {error}; double the quotes inside a quoted text") from None
        if row is None:
            return rows
        if len(row) > len(header):  # a text with a comma, without quotes: its end would be lost
            raise InputError(
                f"{where}: it has {len(row)} fields, but the header has {len(header)}: put texts in double quotes"
            )
        if row:
            rows.append((where, dict(zip(header, row, strict=False))))


def _parquet(path):
    """Rows of a Parquet file."""
    try:
        import pyarrow.parquet
    except ImportError:
        raise InputError(f"reading {path} needs the package pyarrow: pip install pyarrow") from None
    data = io.BytesIO(read_bytes(path))
    try:
        file = pyarrow.parquet.ParquetFile(data)
        names = file.schema_arrow.names
        rows = file.read([name for name in COLUMNS if name in names]).to_pylist()
    except (OSError, ValueError, NotImplementedError) as error:
        raise InputError(f"{path} is not Parquet: {str(error).splitlines()[0]}") from None
    if "text" not in names:
        raise InputError(f"{path}: there is no column 'text', only {_listed(names)}: add or rename it")
    return [(f"{path}, row {i}", row) for i, row in enumerate(rows, 1)]
