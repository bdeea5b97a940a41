"""A text to measure."""

import hashlib
from dataclasses import dataclass


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

    @property
    def sha256(self) -> str:
        """SHA-256 hash of the text in UTF-8, in hexadecimal."""
        return hashlib.sha256(self.text.encode()).hexdigest()
