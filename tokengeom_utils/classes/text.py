"""The text of an exercise outside its chapter: references become names, and what it builds on is quoted."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from ..site.build.contents import chapters
from ..site.plain import FENCE, ROLE, plain, short_names
from .exercises import Exercise

EQUATION = re.compile(r"^\$\$\n((?:(?!\$\$).)*)^\$\$ \(([\w-]+)\)$", re.M | re.S)
FIGURE = re.compile(r"^ +name: (fig-[\w-]+)$", re.M)
TITLE = re.compile(r"^# (.+)$", re.M)
INTRODUCTION = re.compile(r"^## Exercises\n(.*?)(?=^`{3,}\{exercise\})", re.M | re.S)


class Book(NamedTuple):
    """What the exercises refer to."""

    titles: dict[str, str]  #: of chapters, by the names of their files
    introductions: dict[str, str]  #: what stands above the exercises of a chapter
    names: dict[str, str]  #: what to call what a label belongs to
    quotes: dict[str, str]  #: definitions, statements, and equations, by their labels


def read_book(project: Path) -> Book:
    """Read the titles, statements, equations, and figures of all chapters, and the bibliography.

    Parameters
    ----------
    project : path
        The checkout.

    Returns
    -------
    Book
    """
    from pybtex.database import parse_file

    book = Book({}, {}, {}, {})
    for number, path in enumerate(chapters(project), 1):
        source = path.read_text(encoding="utf-8")
        (book.titles[path.stem],) = TITLE.findall(source)[:1]
        book.introductions[path.stem] = "".join(INTRODUCTION.findall(source)).strip()
        book.names[path.stem] = f'the chapter "{book.titles[path.stem]}"'
        for _, kind, title, options, body in (box.groups() for box in FENCE.finditer(source)):
            for label in re.findall(r"^:label: (\S+)$", options, re.M):
                name, title = kind.removeprefix("prf:").capitalize(), title.strip()
                book.names[label] = f'{name} "{title}"' if title else name
                if kind.startswith("prf:"):
                    book.quotes[label] = f"**{name}{f'. {title}' if title else ''}**\n\n{body.strip()}"
        for formula, label in EQUATION.findall(source):
            book.names[label] = "the equation that is quoted below"
            book.quotes[label] = f"$$\n{formula}$$"
        book.names.update({label: f"Fig. {number}.{i}" for i, label in enumerate(FIGURE.findall(source), 1)})
    entries = parse_file(project / "book" / "references.bib").entries
    book.names.update({key: f"{short_names(entry)}, {entry.fields['year']}" for key, entry in entries.items()})
    return book


def introduction(chapter: str, book: Book) -> str:
    """Return what stands above the exercises of a chapter, as Markdown; a notebook of them imports the same modules."""
    return plain(book.introductions[chapter].replace(" from the first cell", ""), False, book.names)


def exercise_text(exercise: Exercise, book: Book) -> str:
    """Return the text of an exercise as Markdown, followed by what it refers to.

    Parameters
    ----------
    exercise : Exercise
    book : Book

    Returns
    -------
    str
    """
    quoted = [
        plain(book.quotes[label], False, book.names) for label in _referred(exercise.text) if label in book.quotes
    ]
    return "\n\n".join([plain(exercise.text, False, book.names), *(["From the chapter:", *quoted] if quoted else [])])


def _referred(text: str) -> Iterable[str]:
    """The labels in the roles of a text, each once."""
    return dict.fromkeys(match[3] for match in ROLE.finditer(text))
