"""Every exercise of the book in one place: what its chapter says, and points, idea, and numbers of its own."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import BuildError
from ..paths import data_path
from ..site.build.contents import chapters
from ..site.plain import FENCE, SOLUTION

LEVEL = re.compile(r"^\*(Easy|Medium|Hard), about (\d+) minutes\.\*\n+", re.M)
CODE = re.compile(r"^~~~python\n(.*?)^~~~$\n?", re.M | re.S)
CALL = re.compile(r"^tg\.check\.(\w+)\((\w+)\)$", re.M)


@dataclass(frozen=True)
class Own:
    """The numbers of one student: an input of the function of an exercise, and what to compute from it."""

    draw: Mapping[str, Sequence[int]]  #: what each number is drawn from
    given: str  #: code that makes the input from the numbers
    ask: str  #: what to compute, in words
    wanted: str  #: the same as an expression


@dataclass(frozen=True)
class Exercise:
    """One exercise. Those without code have no stub, checker, function, nor numbers of their own."""

    id: str  #: its label in the chapter
    chapter: str  #: the name of the chapter's file
    title: str
    level: str  #: Easy, Medium, or Hard
    minutes: int
    points: int
    idea: str  #: what it trains
    text: str  #: MyST, without the level and the code
    solution: str  #: MyST, without the code
    stub: str  #: the function to be written
    answer: str  #: the function of the solution
    checker: str
    function: str
    own: Own | None

    @property
    def result(self) -> str:
        """The name for the result of the student's own numbers."""
        return f"{self.function}_result"


def read_exercises(project: Path) -> list[Exercise]:
    """Read the exercises of all chapters, in the order of the book.

    Parameters
    ----------
    project : path
        The checkout.

    Returns
    -------
    list of Exercise

    Raises
    ------
    BuildError
        If a chapter and ``data/exercises.yml`` do not list the same exercises.

    Examples
    --------
    >>> exercises = read_exercises(Path("."))  # doctest: +SKIP
    >>> exercises[0].id, exercises[0].minutes, exercises[0].points  # doctest: +SKIP
    ('ex-relative-peak', 5, 3)
    """
    import yaml

    about = yaml.safe_load(data_path("exercises.yml").read_text(encoding="utf-8"))
    rest = dict(about["exercises"])
    found = []
    for path in chapters(project):
        for block in _blocks(path.read_text(encoding="utf-8")):
            if block["id"] not in rest:
                raise BuildError(f"{path.name}: the exercise {block['id']} is missing in data/exercises.yml")
            more = rest.pop(block["id"])
            own = _own(more["own"]) if "own" in more else None
            if bool(own) != bool(block["checker"]):
                raise BuildError(
                    f"{path.name}: {block['id']} needs either a checker and numbers of its own, or neither"
                )
            points = about["points"][block["level"]]
            found.append(Exercise(chapter=path.stem, points=points, idea=more["idea"], own=own, **block))
    if rest:
        raise BuildError(f"data/exercises.yml: no chapter has the exercises {', '.join(rest)}")
    return found


def _blocks(source: str) -> list[dict[str, Any]]:
    """What a chapter says about its exercises."""
    boxes = [box.groups() for box in FENCE.finditer(source)]
    solutions = {title.strip(): body for _, kind, title, _, body in boxes if kind == SOLUTION}
    found = []
    for _, kind, title, options, body in boxes:
        if kind != "exercise":
            continue
        (label,) = re.findall(r"^:label: (\S+)$", options, re.M)
        ((level, minutes),) = LEVEL.findall(body)
        code, answer = ("".join(CODE.findall(text)).strip() for text in (body, solutions[label]))
        call = CALL.search(code)
        found.append(
            {
                "id": label,
                "title": title.strip(),
                "level": level,
                "minutes": int(minutes),
                "text": CODE.sub("", LEVEL.sub("", body)).strip(),
                "solution": (CODE.sub("", solutions[label]) if call else solutions[label]).strip(),
                "stub": CALL.sub("", code).strip() if call else "",
                "answer": answer if call else "",
                "checker": call[1] if call else "",
                "function": call[2] if call else "",
            }
        )
    return found


def _own(given: Mapping[str, Any]) -> Own:
    """What is drawn for a student, with ranges such as ``3-6`` as their numbers."""
    draw: dict[str, Sequence[int]] = {}
    for name, choice in given["draw"].items():
        first, _, last = str(choice).partition("-")
        draw[name] = choice if isinstance(choice, list) else range(int(first), int(last) + 1)
    return Own(draw, given.get("given", "").rstrip(), given["ask"], given["wanted"])
