"""The parameters of a survey and a book: which values each may have."""

import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from ..models.bos import RULES as BOS
from ..models.load import DTYPES


class Rule(NamedTuple):
    """What a value must be, in words and as a test."""

    words: str
    holds: Callable[[Any], bool]


def problem(name: str, value: Any) -> str:
    """Say what is wrong with the value of a parameter; empty if nothing is.

    Parameters
    ----------
    name : str
        A key of :data:`PARAMETERS`.
    value : object

    Returns
    -------
    str

    Examples
    --------
    >>> problem("n_tokens", -5)
    'n_tokens must be a whole number of at least 4, not -5'
    >>> problem("n_tokens", 1024)
    ''
    """
    rule = PARAMETERS[name]
    return "" if rule.holds(value) else f"{name} must be {rule.words}, not {value!r}"


def _whole(least):
    """A whole number; true and false are none."""
    return Rule(f"a whole number of at least {least}", lambda value: _is_whole(value) and value >= least)


def _is_whole(value):
    return isinstance(value, int) and not isinstance(value, bool)


def _is_text(value):
    return isinstance(value, str) and bool(value.strip())


def _list_of(holds):
    """The test for a list whose elements pass a test."""
    return lambda value: isinstance(value, (list, tuple)) and bool(value) and all(map(holds, value))


_TEXT = Rule("a text", _is_text)

#: By name, in the order of the bundled profiles.
PARAMETERS: Mapping[str, Rule] = {
    "model": Rule("a text, or a list of texts", lambda value: _is_text(value) or _list_of(_is_text)(value)),
    "prompts": _TEXT,
    "n_prompts": _whole(1),
    "n_shuffled": _whole(0),
    "shuffles": Rule(
        "a list of degrees, whole numbers of at least 0", _list_of(lambda degree: _is_whole(degree) and degree >= 0)
    ),
    "n_tokens": _whole(4),
    "scale_max": _whole(2),
    "k_max": _whole(1),
    "seed": _whole(0),
    "n_bootstrap": _whole(1),
    "tokenizers": Rule("a list of texts", _list_of(_is_text)),
    "device": Rule(
        "auto, cpu, cuda, or cuda:1",
        lambda value: _is_text(value) and bool(re.fullmatch(r"auto|(cpu|cuda)(:\d+)?", value)),
    ),
    "dtype": Rule(f"one of {', '.join(DTYPES)}", lambda value: value in DTYPES),
    "batch": _whole(1),
    "bos": Rule(f"one of {', '.join(BOS)}", lambda value: value in BOS),
}
