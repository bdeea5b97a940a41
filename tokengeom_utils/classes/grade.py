"""The points of one returned notebook: its cells run in a process of their own; its functions are tried from here."""

import time
from collections.abc import Callable
from functools import partial
from typing import TypeVar

import numpy as np

from .. import check
from ..check import answer as checking
from .arrange import Step, arrange
from .key import Key
from .marks import Mark, clean
from .process import Process
from .returned import Returned
from .sheet import EMPTY, Part
from .wire import Broken

#: How often a notebook may end its own process before the rest of it is not run.
RESTARTS = 3
#: The time for all cells of a notebook together, in limits of one cell.
IN_ALL = 10
T = TypeVar("T")


def grade(returned: Returned, key: Key, memory: int, seconds: float) -> list[Mark]:
    """Grade a returned notebook.

    Parameters
    ----------
    returned : Returned
    key : Key
    memory : int
        Bytes that its process may take.
    seconds : float
        For one cell.

    Returns
    -------
    list of Mark
        For each graded cell of the chapter.
    """
    graded = [part for part in key.sheets[returned.chapter] if part.is_graded]
    if returned.trouble:
        return [Mark(part.id, part.exercise, 0.0, part.points, clean(returned.trouble)) for part in graded]
    run = _Run(arrange(returned.notebook, key, returned.chapter, returned.student), memory, seconds)
    marks = []
    try:
        for number, step in enumerate(run.steps):
            if step.part is not None and step.part.is_graded:
                points, comment = _points(run, number, step.part, key, returned.student)
                marks.append(Mark(step.part.id, step.part.exercise, points, step.part.points, clean(comment)))
            elif run.is_run(step):
                run.attempt(number, partial(run.cell, step))
    finally:
        run.process.close()
    return marks


class _Run:
    """A notebook being run."""

    def __init__(self, steps: list[Step], memory: int, seconds: float) -> None:
        self.steps, self.memory, self.seconds = steps, memory, seconds
        self.left = IN_ALL * seconds  #: for all cells that are still to come
        self.deaths: set[int] = set()  #: steps that have ended the process
        self.stopped: dict[str, str] = {}  #: what stopped the cells of an exercise
        self.process = Process(memory)

    def is_run(self, step: Step) -> bool:
        """Whether a step is code that runs here; the project is installed, and tests are run by the grader."""
        return step.is_code and (step.part is None or not (step.part.is_graded or step.part.kind == "install"))

    @property
    def is_given_up(self) -> bool:
        """Whether the notebook has ended its process too often."""
        return len(self.deaths) > RESTARTS

    def cell(self, step: Step) -> None:
        """Run a cell within the time that is left, and note what stops it."""
        started, why = time.monotonic(), "the end of the time for the whole notebook"
        if self.left > 0:
            why = self.process.run(step.source, min(self.seconds, self.left))
        self.left -= time.monotonic() - started
        if step.part is not None and why:
            self.stopped.setdefault(step.part.exercise, why)

    def attempt(self, number: int, action: Callable[[], T]) -> T | None:
        """Do something for a step; if that ends the process, go on in a new one, and return None."""
        if self.is_given_up:
            return None
        try:
            return action()
        except Broken:
            part = self.steps[number].part
            if part is not None and not part.is_graded:
                self.stopped[part.exercise] = "the end of its process"
            self._restart(number)
            return None

    def _restart(self, number: int) -> None:
        """Start a new process, and run the cells before a step again, apart from those that have ended one."""
        self.deaths.add(number)
        while not self.is_given_up:
            self.process.close()
            self.process = Process(self.memory)
            for before in range(number):
                if before in self.deaths or not self.is_run(self.steps[before]):
                    continue
                try:
                    self.cell(self.steps[before])
                except Broken:
                    self.deaths.add(before)
                    break
            else:
                return


def _points(run: _Run, number: int, part: Part, key: Key, student: str) -> tuple[float | None, str]:
    """The points of a graded cell, and a comment."""
    if part.kind == "essay":
        empty = run.steps[number].source.strip() in ("", EMPTY)
        return (0.0, "no answer") if empty else (None, "to be read")
    if run.is_given_up:
        return 0.0, "not run, since the notebook has ended its process several times"
    test = _check if part.kind == "check" else _result
    found = run.attempt(number, partial(test, run, part, key, student))
    if found is None:
        return 0.0, "the notebook has ended its process, or used up its memory"
    points, comment = found
    why = run.stopped.get(part.exercise, "")
    return points, f"{comment}; its cell was stopped by {why}" if why and not points else comment


def _check(run: _Run, part: Part, key: Key, student: str) -> tuple[float, str]:
    """Try the function of an exercise as the student did, and then with draws of which no student knows."""
    tested = key.tests[part.exercise]
    checker = getattr(check, tested.checker)
    seen = checker(run.process.function(tested.function))
    if not seen.passed and not seen.share:
        return 0.0, seen.hint
    answer = checker(run.process.function(tested.function), seed=tested.seed)
    return part.points * (1.0 if answer.passed else answer.share), answer.hint


def _result(run: _Run, part: Part, key: Key, student: str) -> tuple[float, str]:
    """Compare the result of a student's own numbers with the key."""
    name = key.tests[part.exercise].result
    own = key.own[student if key.roster else next(iter(key.own))][part.exercise]
    found = run.process.get(name, run.seconds)
    if found.get("missing"):
        return 0.0, f"{name} is not defined"
    if found.get("dots"):
        return 0.0, "no result in place of the dots"
    if not isinstance(found.get("value"), np.ndarray):
        return 0.0, f"{name} is no number and no array of numbers, but a {found.get('type')}"
    wrong = checking.difference(found["value"], own.expected, own.rtol, own.atol)
    return (0.0, wrong) if wrong else (part.points, "")
