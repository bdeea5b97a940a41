"""The paper's prompts: texts of Pile-10k that are long enough under the tokenizers of all its models.

    >>> from tokengeom_utils.models.load import load_tokenizer                      # doctest: +SKIP
    >>> three = [load_tokenizer(name) for name in pile.PAPER_TOKENIZERS]        # doctest: +SKIP
    >>> prompts = tg.load_prompts("pile-10k", tokenizers=three)                 # doctest: +SKIP
    >>> len(prompts), prompts[0].id                                             # doctest: +SKIP
    (2244, 'pile-03218')
"""

import ast
import logging

from ..errors import InputError

PILE = "NeelNanda/pile-10k"
FILE = "data/train-00000-of-00001-4746b8785c874cc7.parquet"  # the name carries the fingerprint of its rows
PAPER_TOKENIZERS = ("meta-llama/Meta-Llama-3-8B", "mistralai/Mistral-7B-v0.1", "EleutherAI/pythia-6.9b")
PAPER_TOKENS, PAPER_COUNT, PAPER_ROW = 1024, 2244, 3218


def read_pile():
    """All the texts of Pile-10k in the order of its rows, from the Hub or its cache, by the ``datasets`` package.

    Returns
    -------
    list of (str, str, str)
        Id, domain and stripped text. The id carries the row: ``pile-03218`` is the one that the paper displays. The
        domain is the part of the Pile.

    Raises
    ------
    InputError
        If ``datasets`` is not installed, or the file can neither be found nor fetched.
    """
    from ..models.hub import fetch

    # Given the repository, datasets would ask the Hub first, and without a network know only what it had converted
    # before. A file by its name is in the Hub's cache or not, and no second file can shift the rows.
    path = fetch(PILE, [FILE], kind="dataset") / FILE
    rows = read_table(path)
    if "text" not in rows:
        raise InputError(f"{path} has no column text, only {', '.join(rows)}")
    metas = rows.get("meta") or [None] * len(rows["text"])
    return [(f"pile-{row:05d}", part_of_pile(meta) or "pile", text.strip())
            for row, (text, meta) in enumerate(zip(rows["text"], metas))]


def read_table(path):
    """The columns of a Parquet file as lists, by the ``datasets`` package."""
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


def part_of_pile(meta):
    """The ``pile_set_name`` of a row's ``meta``, which is a mapping, or one written as text; None without any."""
    if isinstance(meta, str):
        try:
            meta = ast.literal_eval(meta)  # JSON of one string is such a literal as well
        except (ValueError, SyntaxError):
            return None
    return meta.get("pile_set_name") if isinstance(meta, dict) else None


def paper_order(prompts, seed=42):
    """Prompts in the order in which the first 50 are the 50 that the paper shuffles.

    The paper gives the seed, 42, and not the generator. Its displayed prompt is row 3218 of Pile-10k, row 686 of the
    2,244 and row 14 of the 50. Of the generators in common use (numpy's old and new one, those of Python and torch)
    one puts it there: ``sorted(numpy.random.RandomState(42).choice(2244, 50, replace=False))[14]`` is 686. So this
    generator orders the prompts, all of them: any first n are a random sample. Only the displayed prompt is then moved
    to the front, where the chapters take their example.

    Parameters
    ----------
    prompts : list of Prompt
    seed : int

    Returns
    -------
    list of Prompt
    """
    import numpy as np

    order = np.random.RandomState(seed).permutation(len(prompts))
    ordered = [prompts[i] for i in order]
    return sorted(ordered, key=lambda prompt: prompt.id != f"pile-{PAPER_ROW:05d}")  # stable


def check_count(counts, n, n_tokens, tokenizers, say):
    """Compare how many prompts the paper's rule leaves with the paper's 2,244.

    Parameters
    ----------
    counts : list of int
        The number of texts, and how many are left after each tokenizer.
    n : int or None
        How many prompts are wanted.
    n_tokens : int
    tokenizers : sequence
        Those with other names than the paper's, or another ``n_tokens``, need not agree and are not compared.
    say : callable or None
        Hears of a difference if ``n`` prompts other than the paper's number are wanted; otherwise it is an error.
    """
    names = [getattr(t, "name", "").partition("@")[0] for t in tokenizers]
    if n_tokens != PAPER_TOKENS or sorted(names) != sorted(PAPER_TOKENIZERS) or counts[-1] == PAPER_COUNT:
        return
    steps = ", then ".join(f"{count} under {name}" for count, name in zip(counts[1:], names))
    difference = (f"Pile-10k has {counts[-1]} prompts of at least {n_tokens} tokens, the paper {PAPER_COUNT}: "
                  f"of {counts[0]} texts (10000 in the paper) there remain {steps}; a tokenizer differs, or the file")
    if n in (None, PAPER_COUNT):
        raise InputError(f"{difference}; to go on with these, ask for n_prompts = {counts[-1]}")
    if say:
        say(difference)
