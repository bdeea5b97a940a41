"""A text to measure."""

import hashlib
from dataclasses import dataclass

from ..errors import InputError


@dataclass(frozen=True)
class Prompt:
    """A text to measure, and where it comes from.

    Attributes
    ----------
    id : str
        Unique in a set of prompts; a survey stores results and draws shuffles by it.
    domain : str
        The kind of text.
    text : str

    Raises
    ------
    InputError
        If one of them is not a text, or holds half of a surrogate pair, which no encoding can write.

    See Also
    --------
    load_prompts : loads prompts.
    measure : measures one.

    Notes
    -----
    Introduced in the chapter *From text to token clouds*.

    Examples
    --------
    >>> import tokengeom_utils as tg
    >>> prompt = tg.Prompt("note", "letters", "Tokens move.")
    >>> prompt.sha256[:8]
    '18f266ae'
    """

    id: str
    domain: str
    text: str

    def __post_init__(self) -> None:
        """Check what a survey could not store and no tokenizer could read."""
        for name in ("id", "domain", "text"):
            value = getattr(self, name)
            if not isinstance(value, str):
                raise InputError(f"the {name} of a prompt must be a text, not {type(value).__name__}: convert it")
            try:
                value.encode()
            except UnicodeEncodeError as error:
                half = f"\\u{ord(value[error.start]):04x}"
                raise InputError(
                    f"the {name} has half of a surrogate pair, {half}, as character {error.start + 1}: "
                    "remove it, or write the whole character"
                ) from None

    @property
    def sha256(self) -> str:
        """SHA-256 hash of the text in UTF-8, in hexadecimal."""
        return hashlib.sha256(self.text.encode()).hexdigest()
