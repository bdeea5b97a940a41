"""Selecting texts by their length in tokens, under one tokenizer or several."""

import hashlib
import json
import os
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from importlib import metadata
from typing import Any, Protocol

from ..paths import cache_path
from .prompt import Prompt

BATCH = 256  # texts tokenized at once, between two chances to report progress
WORTH_KEEPING = 1000  # texts; counting the tokens of fewer takes a second or two
RULE = "special tokens are plain characters"  # how texts are tokenized; counts made otherwise are counted again
QUIET_FOR = 10.0  # seconds between two reports of progress


class Counter(Protocol):
    """An object that counts the tokens of many texts, such as a model or a tokenizer."""

    @property
    def name(self) -> str:
        """What reports call it."""

    @property
    def fingerprint(self) -> str | None:
        """Identifies the tokenizer; None if nothing does."""

    def lengths(self, texts: list[str]) -> list[int]:
        """Return the number of tokens of each text."""


class FunctionCounter:
    """A counter made from a function that maps a text to token ids."""

    name = "a tokenizer of your own"
    fingerprint = None

    def __init__(self, tokenize: Callable[[str], Sequence[int]]) -> None:
        self.tokenize = tokenize

    def lengths(self, texts: list[str]) -> list[int]:
        """Return the number of tokens of each text."""
        return [len(self.tokenize(text)) for text in texts]


def long_enough(
    prompts: list[Prompt], n_tokens: int, tokenizers: Sequence[Any], say: Callable[[str], object] | None = None
) -> tuple[list[Prompt], list[int]]:
    """Select the prompts that have at least a number of tokens under every tokenizer.

    For a thousand texts or more the result is kept in the user's cache, under a hash of the texts and the fingerprints
    of the tokenizers, and found there the next time.

    Parameters
    ----------
    prompts : list of Prompt
    n_tokens : int
        The least number of tokens.
    tokenizers : sequence
        Each a :class:`Counter`, its method ``tokenize``, or a function from a text to token ids.
    say : callable, optional
        Called with a line of text occasionally, if there are a thousand texts or more.

    Returns
    -------
    kept : list of Prompt
    counts : list of int
        The number of prompts, then of those left after the first tokenizer, the second, ...

    Examples
    --------
    >>> prompts = [Prompt("a", "x", "one two"), Prompt("b", "x", "one two three")]
    >>> kept, counts = long_enough(prompts, 3, [str.split])
    >>> [prompt.id for prompt in kept], counts
    (['b'], [2, 1])
    """
    counters = [_counter(tokenizer) for tokenizer in tokenizers]
    fingerprints = [counter.fingerprint for counter in counters]
    kept = None
    if len(prompts) >= WORTH_KEEPING and counters and all(fingerprints):
        versions = [metadata.version(name) for name in ("transformers", "tokenizers")]
        key = json.dumps([RULE, n_tokens, fingerprints, versions, [p.sha256 for p in prompts]])
        kept = cache_path("lengths", hashlib.sha256(key.encode()).hexdigest() + ".json")
        with suppress(OSError, ValueError, KeyError, TypeError):
            found = json.loads(kept.read_text())
            return [prompts[i] for i in found["places"]], found["counts"]
    places = list(range(len(prompts)))
    counts = [len(places)]
    for counter in counters:
        places = _select(prompts, places, n_tokens, counter, say if kept else None)
        counts.append(len(places))
    if kept:
        with suppress(OSError):  # a cache that cannot be written costs time, nothing else
            kept.parent.mkdir(parents=True, exist_ok=True)
            temporary = kept.with_name(f"{kept.name}.{os.getpid()}")
            temporary.write_text(json.dumps({"places": places, "counts": counts}))
            temporary.rename(kept)
    return [prompts[i] for i in places], counts


def _counter(tokenizer: Any) -> Counter:
    """The counter that a tokenizer, a method of one, or a function stands for."""
    owner = getattr(tokenizer, "__self__", tokenizer)
    return owner if hasattr(owner, "lengths") else FunctionCounter(tokenizer)


def _select(prompts, places, n_tokens, counter, say):
    """The places of the prompts that are long enough under one counter."""
    left, reported = [], time.monotonic()
    if say:
        say(f"counting the tokens of {len(places)} texts under {counter.name} ...")
    for start in range(0, len(places), BATCH):
        some = places[start : start + BATCH]
        lengths = counter.lengths([prompts[i].text for i in some])
        left += [i for i, length in zip(some, lengths, strict=True) if length >= n_tokens]
        if say and start + BATCH < len(places) and time.monotonic() - reported > QUIET_FOR:
            reported = time.monotonic()
            say(f"... {start + len(some)} of {len(places)}")
    return left
