"""Values inside the sentences of a chapter: ``{eval}`expression` `` in Markdown.

The same role shows values in JupyterLab, where jupyterlab-myst evaluates it.

>>> expressions("At layer {eval}`layer` it is {eval}`` f'{`x`}' ``.")
['layer', "f'{`x`}'"]
"""

import re
from collections.abc import Callable, Iterable

from .words import typeset

_ROLE = re.compile(r"\{eval\}(`+)(?!`)(.+?)(?<!`)\1(?!`)", re.S)


def expressions(text: str) -> list[str]:
    """Return the expressions in a Markdown text, in its order."""
    return [found[2].strip() for found in _ROLE.finditer(text)]


def with_values(text: str, evaluate: Callable[[list[str]], Iterable[str]]) -> str:
    """Put values into a Markdown text.

    Parameters
    ----------
    text : str
    evaluate : callable
        Called with the expressions, each in parentheses, so that it may take several lines; returns their values.

    Returns
    -------
    str

    Examples
    --------
    >>> with_values("It is {eval}`x`.", lambda wanted: ["-1e-07"])
    'It is −1 × 10⁻⁷.'
    """
    wanted = [f"(\n{expression}\n)" for expression in expressions(text)]
    values = iter(evaluate(wanted) if wanted else ())
    return _ROLE.sub(lambda _: typeset(next(values)), text)
