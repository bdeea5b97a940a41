"""Prompts from the user's own files: texts, tables of texts, and folders of both."""

import csv
import io
import json
import sys
from pathlib import Path

from ..errors import InputError
from .pile import part_of_pile
from .prompt import Prompt

TEXTS = (".txt", ".md")  #: a file of these is one prompt
TABLES = (".jsonl", ".json", ".csv", ".parquet")  #: a file of these holds a prompt per row


def load_path(path: Path) -> list[Prompt]:
    """Load prompts from a text, a table of texts, or a folder.

    Parameters
    ----------
    path : pathlib.Path
        A table is a file that ends in one of :data:`TABLES`; any other file is one text. A folder is searched, with its
        subfolders but without hidden files, for files that end in one of :data:`TEXTS` or :data:`TABLES`.

    Returns
    -------
    list of Prompt
        A text is named after its file, and its domain is its folder or its suffix.

    Raises
    ------
    InputError
        If a file cannot be read, a row has no text, or a folder has no texts.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp(prefix="letters"))
    >>> size = (folder / "first.txt").write_text("Dear reader, ...")
    >>> load_path(folder)[0].id, load_path(folder / "first.txt")[0].domain
    ('first', 'txt')
    """
    if not path.is_dir():
        if path.suffix in TABLES:
            return _from_table(path, path.stem)
        return [Prompt(path.stem, path.suffix[1:] or "text", _read(path).strip())]
    files = [file for file in sorted(path.rglob("*")) if file.suffix in TEXTS + TABLES and file.is_file()]
    files = [file for file in files if not any(part.startswith(".") for part in file.relative_to(path).parts)]
    if not files:
        raise InputError(f"no {', '.join(TEXTS + TABLES)} files in {path}: add some, or use another folder")
    names = [file.relative_to(path).with_suffix("").as_posix() for file in files]
    names = [
        file.relative_to(path).as_posix() if names.count(name) > 1 else name
        for file, name in zip(files, names, strict=True)
    ]
    prompts = []
    for file, name in zip(files, names, strict=True):
        if file.suffix in TABLES:
            prompts += _from_table(file, name)
        else:
            prompts.append(Prompt(name, file.parent.name, _read(file).strip()))
    return prompts


def _from_table(path, name):
    """Prompts from the rows of a file; rows without an id are numbered after ``name``."""
    rows = _rows(path)
    if not rows or not all(isinstance(row, dict) and isinstance(row.get("text"), str) for row in rows):
        raise InputError(f"{path} must have a 'text' field in every row: add or rename it")
    return [
        Prompt(
            str(row.get("id", f"{name}-{i:05d}")),
            str(row.get("domain") or part_of_pile(row.get("meta")) or path.stem),
            row["text"].strip(),
        )
        for i, row in enumerate(rows)
    ]


def _rows(path):
    """The rows of a table, not yet checked."""
    if path.suffix == ".parquet":
        return _parquet(path)
    if path.suffix == ".csv":
        csv.field_size_limit(sys.maxsize)
        return list(csv.DictReader(io.StringIO(_read(path), newline="")))
    if path.suffix == ".json":
        rows = _json(_read(path), path)
        return [{"text": row} if isinstance(row, str) else row for row in rows] if isinstance(rows, list) else []
    lines = enumerate(_read(path).split("\n"), 1)
    return [_json(line, f"{path}, line {number},") for number, line in lines if line.strip()]


def _parquet(path):
    """The rows of a Parquet file."""
    import pandas as pd

    try:
        return pd.read_parquet(path).to_dict("records")
    except ImportError:
        raise InputError(f"reading {path} needs the package pyarrow: pip install pyarrow") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{path} is not Parquet: {str(error).splitlines()[0]}") from None


def _json(text, where):
    """A value in JSON."""
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise InputError(f"{where} is not JSON: {error.msg}") from None


def _read(path):
    """The text of a file."""
    try:
        return path.read_text(encoding="utf-8-sig")  # editors on Windows begin a file with a byte-order mark
    except UnicodeDecodeError:
        raise InputError(f"{path} is not UTF-8 text: convert it, or choose another file") from None
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from None
