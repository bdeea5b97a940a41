"""Chapters as Markdown that needs no extension of Jupyter: boxes become paragraphs, and references names."""

import re
from collections.abc import Callable, Mapping
from typing import Any

#: A directive with a fence of backticks: fence, name, title, options, body.
FENCE = re.compile(r"^(`{3,})\{([\w:-]+)\}([^\n]*)\n((?::\w[^\n]*\n)*)(.*?)^\1[ \t]*$\n?", re.S | re.M)
LABEL = re.compile(r"^\([\w:-]+\)=\n", re.M)
ROLE = re.compile(r"\{([\w:-]+)\}(`+)(?!`)(.+?)(?<!`)\2(?!`)", re.S)
TITLED = re.compile(r"(.+?)\s*<[^<>]+>", re.S)
SOLUTION = "solution"
#: boxes whose name is said in front of their title
NAMED = ("exercise", SOLUTION, "definition", "proposition", "theorem", "lemma", "corollary", "proof", "remark")
#: boxes of a page that a notebook does without
DROPPED = ("Rerun this chapter", "Reproduce this figure")
DOWNLOAD = re.compile(r"^.*\{download\}`.*\n?", re.M)  # a sentence that offers a file of the page
QUESTION, ANSWERS = "question", "Answers"  #: class of a box that asks, and the title of the box with its answers
OTHERS = "others"  # BibTeX: ``and others``


def plain(text: str, solutions: bool, names: Mapping[str, str]) -> str:
    """Turn MyST into Markdown that needs no extension of Jupyter.

    Parameters
    ----------
    text : str
        MyST.
    solutions : bool
        Whether to keep the solutions of exercises, and the answers to questions.
    names : dict of str to str
        What to call what a role refers to, by its label.

    Returns
    -------
    str

    Examples
    --------
    >>> box = "(here)=\\n```{exercise} Count\\n:label: a\\n\\nHow many in {numref}`b`?\\n```\\n"
    >>> print(plain(box, True, {"b": "Fig. 1"}))
    **Exercise. Count**
    <BLANKLINE>
    How many in Fig. 1?
    """

    def box(match):
        _, kind, title, options, body = match.groups()
        kind, title = kind.rpartition(":")[2], title.strip()
        if title in DROPPED or (not solutions and (kind == SOLUTION or title == ANSWERS)):
            return ""
        if kind not in (*NAMED, "admonition", "note", "tip", "warning", "dropdown"):
            return match[0]
        if kind == SOLUTION:
            title = ""
        asked = f":class: {QUESTION}\n" in options
        name = kind.capitalize() if kind in NAMED else QUESTION.capitalize() if asked else ""
        head = ". ".join(filter(None, (name, title)))
        return (f"**{head}**\n\n" if head else "") + FENCE.sub(box, body).strip("\n") + "\n"

    return ROLE.sub(_role(names), DOWNLOAD.sub("", LABEL.sub("", FENCE.sub(box, text)))).strip("\n")


def _role(names: Mapping[str, str]) -> Callable[[re.Match[str]], str]:
    """Return what turns a role into text."""

    def role(match: re.Match[str]) -> str:
        kind, _, content = match.groups()
        if titled := TITLED.fullmatch(content):
            return titled[1]
        if kind.startswith("cite"):
            works = "; ".join(names.get(key.strip(), key) for key in content.split(","))
            return works if kind == "cite:t" else f"({works})"
        return names.get(content.rpartition("/")[2] if kind == "doc" else content, content)

    return role


def without_solutions(text: str) -> str:
    """Remove the solutions of exercises from MyST, and leave the rest as it is.

    Parameters
    ----------
    text : str

    Returns
    -------
    str

    Examples
    --------
    >>> without_solutions("Before.\\n\\n```{solution} ex-a\\n:class: dropdown\\n\\n42\\n```\\n\\nAfter.\\n")
    'Before.\\n\\nAfter.\\n'
    """
    return re.sub(rf"(?:{FENCE.pattern})\n?", lambda box: "" if box[2] == SOLUTION else box[0], text, flags=FENCE.flags)


def short_names(entry: Any) -> str:
    """Name the authors of an entry of a bibliography as citations do: one, two, or the first.

    Parameters
    ----------
    entry : pybtex.database.Entry

    Returns
    -------
    str

    Examples
    --------
    >>> from pybtex.database import Entry, Person
    >>> short_names(Entry("misc", persons={"author": [Person("Lovelace, Ada"), Person("others")]}))
    'Lovelace et al.'
    """
    persons = entry.persons["author"]
    names = [" ".join(map(str, person.rich_prelast_names + person.rich_last_names)) for person in persons]
    return " and ".join(names) if len(names) < 3 and OTHERS not in names else f"{names[0]} et al."
