"""Numbers, counts and lists as a sentence needs them.

>>> number(0.0623, error=0.011), number(9e-7, digits=1), number(-12345.6)
('0.062', '9 × 10⁻⁷', '−12,346')
"""

import math
import re
from collections.abc import Iterable

from ..claims.wording import between

__all__ = ["count", "listed", "number", "spread", "typeset"]

MINUS = "\N{MINUS SIGN}"
LONG = 7  #: characters of a factor; a longer one is rounded
_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
_POWER = re.compile(r"(?<![\w.])([-\u2212]?\d+(?:\.\d+)?)e([-+]?\d+)(?!\w)")
_NEGATIVE = re.compile(r"(?<![\w.,)\]}$`'\"/-])-(?=\.?\d)")
#: Parts of a Markdown text that are no prose: code, formulas, roles with their targets, addresses, and tags.
_KEPT = re.compile(
    r"(^(`{3,}|~{3,}).*?^\2[`~]*$|\$\$.*?\$\$|(?:\{[\w:+-]+\})?(`+)(?!`).+?(?<!`)\3(?!`)|(?<!\\)\$[^$\n]+\$|"
    r"\]\([^)]*\)|https?://\S+|<[^<>\n]+>)",
    re.S | re.M,
)


def number(value: float, error: float | None = None, digits: int = 2) -> str:
    """Write a number with the digits that mean something.

    Parameters
    ----------
    value : float
    error : float, optional
        Its uncertainty, of which two digits count. Without it, ``digits`` digits of the value count.
    digits : int, default: 2

    Returns
    -------
    str
        With a minus sign, commas between thousands, and a power of ten below 0.001 and from a million on. Digits
        before the decimal point are never rounded away. ``undefined`` for NaN.

    See Also
    --------
    tokengeom_utils.statistics.p_text : p-values.

    Notes
    -----
    First used in the chapter *The mean-field picture*.

    Examples
    --------
    >>> import tokengeom_utils as tg
    >>> tg.words.number(-0.0712), tg.words.number(3.14159, error=0.1), tg.words.number(0)
    ('−0.071', '3.14', '0')
    """
    if not math.isfinite(value):
        return "undefined" if math.isnan(value) else f"{MINUS if value < 0 else ''}infinity"
    if value == 0:
        return "0"
    if error:
        digits = max(1, math.floor(math.log10(abs(value))) - math.floor(math.log10(error)) + 2)
    size = int(f"{value:.{digits - 1}e}".split("e")[1])
    if not -3 <= size < 6:
        return typeset(f"{value:.{digits - 1}e}")
    return typeset(f"{value:,.{max(0, digits - 1 - size)}f}")


def typeset(text: str) -> str:
    """Set the numbers of a text: a minus sign for a hyphen, and powers of ten for ``1e-07``.

    Code, formulas, roles, addresses, and tags stay as they are.

    Parameters
    ----------
    text : str
        Markdown.

    Returns
    -------
    str

    Examples
    --------
    >>> import tokengeom_utils as tg
    >>> tg.words.typeset("GPT-2 falls by -0.3 (-1e-07 to 2e+03), and `x = -1e-07` is code")
    'GPT-2 falls by −0.3 (−1 × 10⁻⁷ to 2 × 10³), and `x = -1e-07` is code'
    """
    kept, at, parts = _KEPT, 0, []
    for found in kept.finditer(text):
        parts += [_set(text[at : found.start()]), found[0]]
        at = found.end()
    return "".join([*parts, _set(text[at:])])


def _set(prose):
    """The same for a text without code and formulas."""
    return _NEGATIVE.sub(MINUS, _POWER.sub(_power, prose))


def _power(found):
    """A number as Python writes it, with its power of ten."""
    factor, exponent = found[1].replace("-", MINUS), int(found[2])
    if len(factor) > LONG:  # a float as Python writes it, with all its digits
        factor = f"{float(found[1].replace(MINUS, '-')):.2f}".replace("-", MINUS)
    if not factor.strip(f"{MINUS}0."):
        return "0"
    return factor if exponent == 0 else f"{factor} × 10{str(exponent).translate(_RAISED)}"


def listed(items: Iterable[object], none: str = "none") -> str:
    """Join items as a sentence does.

    Parameters
    ----------
    items : iterable
    none : str, default: "none"
        What stands for no item.

    Returns
    -------
    str

    Examples
    --------
    >>> import tokengeom_utils as tg
    >>> tg.words.listed(["a", "b", "c"]), tg.words.listed("ab"), tg.words.listed([])
    ('a, b, and c', 'a and b', 'none')
    """
    words = [str(item) for item in items]
    if len(words) < 3:
        return " and ".join(words) or none
    return f"{', '.join(words[:-1])}, and {words[-1]}"


def count(n: int, one: str, many: str | None = None) -> str:
    """Write how many of something there are.

    Parameters
    ----------
    n : int
    one, many : str
        The noun for one, and for any other number; by default with an s.

    Returns
    -------
    str

    Examples
    --------
    >>> import tokengeom_utils as tg
    >>> tg.words.count(1, "layer"), tg.words.count(1024, "token"), tg.words.count(0, "copy", "copies")
    ('1 layer', '1,024 tokens', '0 copies')
    """
    return f"{n:,} {one if n == 1 else many or one + 's'}"


def spread(low: float, high: float, digits: int = 2) -> str:
    """Write a range with a fixed number of decimals; one number if both ends look alike.

    Parameters
    ----------
    low, high : float
    digits : int, default: 2
        Decimals.

    Returns
    -------
    str

    Examples
    --------
    >>> import tokengeom_utils as tg
    >>> tg.words.spread(0.314, 0.627), tg.words.spread(0.314, 0.3141), tg.words.spread(-0.001, 1)
    ('0.31 to 0.63', '0.31', '0.00 to 1.00')
    """
    return typeset(between(low, high, digits))
