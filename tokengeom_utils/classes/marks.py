"""Points and comments, as grading gives them."""

from dataclasses import dataclass

#: Characters of a comment.
LONGEST = 400


@dataclass(frozen=True)
class Mark:
    """The points of one graded cell; None where a teacher has to read the answer."""

    cell: str
    exercise: str
    points: float | None
    most: float
    comment: str


def clean(text: str) -> str:
    """Return a comment on one line; a student may have written a part of it.

    Examples
    --------
    >>> clean("stops with\\n  a\\x07 bell")
    'stops with a bell'
    """
    shown = "".join(mark if mark.isprintable() else " " for mark in text)
    return " ".join(shown.split())[:LONGEST]
