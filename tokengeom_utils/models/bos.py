"""The tokens in front of a prompt: whether a beginning-of-sequence token precedes it, by which rule.

The paper adds no special tokens. Some families, such as Gemma, were trained with such a token before every text and
predict poorly without it. It is put in front of the prompt but belongs neither to its clouds nor to its losses.
"""

from typing import Any

from ..errors import InputError

RULES = ("never", "auto", "always")


def check_rule(rule: Any) -> None:
    """Raise ``InputError`` unless this is a rule for the tokens in front."""
    if rule not in RULES:
        raise InputError(f"bos = {rule!r} is not a rule for beginning-of-sequence tokens: use {', '.join(RULES)}")


def usual_prefix(tokenizer: Any) -> tuple[int, ...]:
    """Return the ids that a tokenizer itself puts in front of a text; none for many models.

    Parameters
    ----------
    tokenizer : transformers.PreTrainedTokenizerBase or None

    Returns
    -------
    tuple of int
    """
    if tokenizer is None:
        return ()
    plain, full = (tokenizer("a", add_special_tokens=add)["input_ids"] for add in (False, True))
    for start in range(len(full) - len(plain) + 1):
        if full[start : start + len(plain)] == plain:
            return tuple(full[:start])
    return ()


def find_prefix(tokenizer: Any, rule: str, name: str) -> tuple[int, ...]:
    """Return the ids to put in front of every prompt.

    Parameters
    ----------
    tokenizer : transformers.PreTrainedTokenizerBase or None
    rule : {"never", "auto", "always"}
        None; those that the tokenizer itself would add; or always the beginning-of-sequence token.
    name : str
        What an error calls the model.

    Returns
    -------
    tuple of int

    Raises
    ------
    InputError
        If there must always be such a token and the tokenizer has none.
    """
    check_rule(rule)
    if rule == "never":
        return ()
    usual = usual_prefix(tokenizer)
    if rule == "auto" or usual:
        return usual
    first = getattr(tokenizer, "bos_token_id", None)
    if first is None:
        raise InputError(f"{name} has no beginning-of-sequence token: use bos = never or auto")
    return (first,)
