"""Numbers and sentences as the ledger writes them."""

from collections.abc import Iterable


def runs(layers: Iterable[int]) -> str:
    """Write layer numbers as text, with consecutive ones joined.

    Parameters
    ----------
    layers : iterable of int
        In ascending order.

    Returns
    -------
    str
        ``"none"`` if there are no layers.

    See Also
    --------
    sentence : completes a sentence.

    Notes
    -----
    Used in the chapters *The shuffle control* and *The reproduction report*.

    Examples
    --------
    >>> import tokengeom_utils as tg
    >>> tg.claims.runs([3, 6, 12, 13, 14])
    '3, 6, 12\N{EN DASH}14'
    """
    spans: list[list[int]] = []
    for layer in map(int, layers):
        if spans and layer == spans[-1][1] + 1:
            spans[-1][1] = layer
        else:
            spans.append([layer, layer])
    return ", ".join(f"{a}" if a == b else f"{a}\N{EN DASH}{b}" for a, b in spans) or "none"


def sentence(text: str, start: str = "upper") -> str:
    """Complete a sentence: a capital letter at the start and one period at the end.

    Parameters
    ----------
    text : str
        Not empty. A text that starts with the symbol k keeps its first letter.
    start : str
        ``"upper"`` for a capital letter; ``""`` keeps the first letter as it is.

    Returns
    -------
    str

    See Also
    --------
    cards : the ledger in such sentences.

    Notes
    -----
    Used in the chapters *The shuffle control* and *The reproduction report*.

    Examples
    --------
    >>> import tokengeom_utils as tg
    >>> tg.claims.sentence("not seen here"), tg.claims.sentence("k = 2: 0.83 ordered.")
    ('Not seen here.', 'k = 2: 0.83 ordered.')
    """
    first = text[0] if not start or text.startswith("k ") else text[0].upper()
    return f"{first}{text[1:].rstrip('.')}."


def listed(values: Iterable[float], digits: int = 2) -> str:
    """Write numbers as text, separated by commas."""
    return ", ".join(f"{value:.{digits}f}" for value in values)


def between(low: float, high: float, digits: int = 2) -> str:
    """Write the range of some numbers as text: one number if both ends read alike."""
    ends = [f"{value:z.{digits}f}" for value in (low, high)]
    return ends[0] if ends[0] == ends[1] else " to ".join(ends)
