"""Loading prompts: the bundled pocket set, the paper's Pile-10k, or the user's own texts.

>>> import tokengeom_utils as tg
>>> [prompt.id for prompt in tg.load_prompts("pocket", n=3)]
['speech-00', 'scripture-00', 'news-00']
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..paths import local_path
from . import pile
from .files import load_path
from .lengths import long_enough
from .pocket import load_pocket
from .prompt import Prompt

SHOWN = 200  # characters of an unknown source in the error


def load_prompts(
    source: str | Path = "pocket",
    n: int | None = None,
    n_tokens: int = 1024,
    tokenizers: Sequence[Any] = (),
    seed: int = 42,
    say: Callable[[str], object] | None = None,
) -> list[Prompt]:
    """Load a list of prompts.

    Parameters
    ----------
    source : str or path
        ``"pocket"``, the bundled set; ``"pile-10k"``, the paper's (requires the ``datasets`` package, and the Hub or
        its cache); or a path: a text file (one prompt); a table of texts in ``.jsonl``, ``.json``, ``.csv``,
        ``.tsv``, or ``.parquet`` with a column ``text`` and optionally ``id`` and ``domain``; or a folder of texts and
        such tables. Texts are UTF-8, or UTF-16 with its mark; ``.gz`` may follow any ending.
    n : int, optional
        Load only the first ``n``. The pocket set is ordered so that its domains alternate; Pile-10k so that the first
        50 are those that the paper shuffles.
    n_tokens : int
        Number of tokens to be measured. The manifest of the pocket set lists the lengths of its texts; a larger number
        is an error.
    tokenizers : sequence
        Keep only texts of at least ``n_tokens`` tokens under every one of them, which is the paper's rule. Each is a
        model, a tokenizer from :func:`load_tokenizer`, or a function from a text to token ids. For the paper's three
        tokenizers and 1024 tokens, the number of texts kept from Pile-10k is compared with the paper's 2244.
    seed : int
        Seed of the order of Pile-10k; the paper's is 42.
    say : callable, optional
        Called with a line of text occasionally, while thousands of texts are tokenized.

    Returns
    -------
    list of Prompt

    Raises
    ------
    InputError
        If the source is unknown, a package is missing, the hash of a text differs, there are too few prompts, or
        Pile-10k differs from the paper's.

    See Also
    --------
    read_pocket_manifest : describes the pocket set without loading it.
    load_tokenizer : loads a tokenizer without its model.
    survey : measures many prompts.

    Notes
    -----
    Introduced in the chapter *From text to token clouds*; texts of one's own in *Your own text*.

    Examples
    --------
    >>> import tokengeom_utils as tg
    >>> prompts = tg.load_prompts("pocket", n=5)
    >>> [prompt.domain for prompt in prompts]
    ['speech', 'scripture', 'news', 'drama', 'license']
    """
    if n is not None and n < 1:
        raise InputError(f"n = {n} prompts requested, but at least one is needed: use a larger n")
    if source == "pocket":
        prompts = load_pocket(None if tokenizers else n, n_tokens)
    elif source == "pile-10k":
        prompts = pile.read_pile()
    else:
        prompts = load_path(_existing(source), say)
    prompts, counts = long_enough(prompts, n_tokens, tokenizers, say)
    if source == "pile-10k":
        pile.check_count(counts, n, n_tokens, tokenizers, say)
        prompts = pile.paper_order(prompts, seed)
    if not prompts and counts[0]:
        raise InputError(f"no text of {str(source)!r} has {n_tokens} tokens: use a smaller n_tokens or longer texts")
    bundled = source == "pile-10k" or (source == "pocket" and n is not None)
    if say and not bundled and (short := counts[0] - counts[-1]):
        say(f"left out: {short} of {counts[0]} texts, which are shorter than {n_tokens} tokens")
    if n is not None and n > len(prompts):
        shorter = f" of at least {n_tokens} tokens" if counts[-1] < counts[0] else ""
        raise InputError(f"{n} prompts requested, but {str(source)!r} has {len(prompts)}{shorter}: use a smaller n")
    return prompts[:n]


def _existing(source):
    """The path of the user's own texts."""
    path = local_path(source, "--prompts")
    try:
        found = bool(str(source)) and path.exists()
    except (OSError, ValueError):  # a whole text, say, is no name of a file
        found = False
    if not found:
        shown = repr(str(source)) if len(str(source)) <= SHOWN else f"{str(source)[:SHOWN]!r} ..."
        raise InputError(f"unknown prompt set {shown}: use 'pocket', 'pile-10k', or a path that exists")
    return path
