"""The paper's prompts: texts of Pile-10k that are long enough under the tokenizers of all its models.

>>> import tokengeom_utils as tg
>>> three = [tg.load_tokenizer(name) for name in PAPER_TOKENIZERS]   # doctest: +SKIP
>>> prompts = tg.load_prompts("pile-10k", tokenizers=three)          # doctest: +SKIP
>>> len(prompts), prompts[0].id                                      # doctest: +SKIP
(2244, 'pile-03218')
"""

import ast
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ..errors import InputError
from .prompt import Prompt

PILE = "NeelNanda/pile-10k"
FILE = "data/train-00000-of-00001-4746b8785c874cc7.parquet"  # the name includes the fingerprint of its rows
PAPER_TOKENIZERS = ("meta-llama/Meta-Llama-3-8B", "mistralai/Mistral-7B-v0.1", "EleutherAI/pythia-6.9b")
PAPER_TOKENS, PAPER_COUNT, PAPER_ROW = 1024, 2244, 3218


def read_pile() -> list[Prompt]:
    """Read all texts of Pile-10k in the order of its rows, from the Hub or its cache.

    Returns
    -------
    list of Prompt
        The id contains the row: ``pile-03218`` is the prompt that the paper displays. The domain is the part of the
        Pile.

    Raises
    ------
    InputError
        If the package ``datasets`` is not installed, or the file is neither in the cache nor available from the Hub.

    Examples
    --------
    >>> read_pile()[0].id  # doctest: +SKIP
    'pile-00000'
    """
    from ..models.hub import fetch

    # Given the repository's name, datasets would contact the Hub first, and without a network find only what it had
    # converted before. A file with a full name is in the Hub's cache or not, and no second file can shift the rows.
    path = fetch(PILE, [FILE], kind="dataset") / FILE
    rows = read_table(path)
    if "text" not in rows:
        raise InputError(f"{path} has no column text, only {', '.join(rows)}: delete it and run this again")
    metas = rows.get("meta") or [None] * len(rows["text"])
    return [
        Prompt(f"pile-{row:05d}", part_of_pile(meta) or "pile", text.strip())
        for row, (text, meta) in enumerate(zip(rows["text"], metas, strict=True))
    ]


def read_table(path: Path) -> dict[str, list[Any]]:
    """Read a Parquet file with the package ``datasets``.

    Parameters
    ----------
    path : pathlib.Path

    Returns
    -------
    dict of str to list
        The columns.

    Raises
    ------
    InputError
        If ``datasets`` is not installed or the file cannot be read.
    """
    try:
        import datasets
    except ImportError:
        raise InputError("the prompts pile-10k need the package datasets: pip install datasets") from None
    bars, logger = datasets.utils.is_progress_bar_enabled(), logging.getLogger("datasets")
    level = logger.level
    datasets.disable_progress_bars()
    logger.setLevel(logging.ERROR)
    try:
        return datasets.load_dataset("parquet", data_files=str(path), split="train").to_dict()
    except Exception as error:  # of several libraries
        raise InputError(f"{path} could not be read ({type(error).__name__}): delete it and run this again") from error
    finally:
        logger.setLevel(level)
        if bars:
            datasets.enable_progress_bars()


def part_of_pile(meta: Any) -> str | None:
    """Return the ``pile_set_name`` in the metadata of a row.

    Parameters
    ----------
    meta : object
        A mapping, or one written as text.

    Returns
    -------
    str or None

    Examples
    --------
    >>> part_of_pile("{'pile_set_name': 'ArXiv'}")
    'ArXiv'
    """
    if isinstance(meta, str):
        try:
            meta = ast.literal_eval(meta)  # JSON of one string is such a literal as well
        except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
            return None
    part = meta.get("pile_set_name") if isinstance(meta, dict) else None
    return part if isinstance(part, str) else None


def paper_order(prompts: list[Prompt], seed: int = 42) -> list[Prompt]:
    """Put prompts in an order in which the first 50 are the 50 that the paper shuffles.

    Parameters
    ----------
    prompts : list of Prompt
    seed : int

    Returns
    -------
    list of Prompt

    Notes
    -----
    The paper gives the seed, 42, but not the generator. Its displayed prompt is row 3218 of Pile-10k, row 686 of the
    2244, and row 14 of the 50. Of the common generators (numpy's old and new one, those of Python and of torch) only
    one puts it there: ``sorted(numpy.random.RandomState(42).choice(2244, 50, replace=False))[14]`` is 686. That
    generator orders all the prompts here, so any first n are a random sample. Only the displayed prompt is then moved
    to the front, where the chapters take their example.

    Examples
    --------
    >>> prompts = [Prompt(f"pile-{row:05d}", "x", "") for row in (1, 2, 3218)]
    >>> paper_order(prompts)[0].id
    'pile-03218'
    """
    import numpy as np

    order = np.random.RandomState(seed).permutation(len(prompts))
    ordered = [prompts[i] for i in order]
    return sorted(ordered, key=lambda prompt: prompt.id != f"pile-{PAPER_ROW:05d}")  # stable


def check_count(
    counts: Sequence[int],
    n: int | None,
    n_tokens: int,
    tokenizers: Sequence[Any],
    say: Callable[[str], object] | None,
) -> None:
    """Compare the number of prompts that the paper's rule leaves with the paper's 2244.

    Parameters
    ----------
    counts : sequence of int
        The number of texts, then of those left after each tokenizer.
    n : int or None
        Number of prompts wanted.
    n_tokens : int
    tokenizers : sequence
        Nothing is compared unless their names and ``n_tokens`` are the paper's.
    say : callable or None
        Called with the difference if ``n`` is neither None nor the paper's number.

    Raises
    ------
    InputError
        If the numbers differ and ``n`` is None or the paper's number.

    Examples
    --------
    >>> check_count([10000, 9, 9, 9], None, 512, [], None)  # not the paper's rule
    """
    names = [getattr(tokenizer, "name", "").partition("@")[0] for tokenizer in tokenizers]
    if n_tokens != PAPER_TOKENS or sorted(names) != sorted(PAPER_TOKENIZERS) or counts[-1] == PAPER_COUNT:
        return
    steps = ", then ".join(f"{count} under {name}" for count, name in zip(counts[1:], names, strict=True))
    difference = (
        f"Pile-10k has {counts[-1]} prompts of at least {n_tokens} tokens, but the paper has {PAPER_COUNT}: "
        f"of {counts[0]} texts (10000 in the paper), {steps} remain; a tokenizer or the file differs"
    )
    if n in (None, PAPER_COUNT):
        raise InputError(f"{difference}; to continue with these, use n_prompts = {counts[-1]}")
    if say:
        say(difference)
