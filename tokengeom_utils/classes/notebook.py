"""Exercise sheets as notebooks: one of a student, and the source for nbgrader, with solutions and hidden tests."""

from collections.abc import Callable
from typing import Any

import nbformat

from .key import EVERYONE, Key
from .sheet import Part, hidden

KERNEL = {"name": "python3", "display_name": "Python 3", "language": "python"}
#: Where nbgrader runs a notebook, the folder above is named after the student.
WHOSE = "Path.cwd().parent.name"


def of_student(key: Key, chapter: str, student: str) -> nbformat.NotebookNode:
    """Make the notebook that a student gets.

    Parameters
    ----------
    key : Key
    chapter : str
    student : str
        The id; :data:`.key.EVERYONE` without a roster.

    Returns
    -------
    nbformat.NotebookNode
        With the ids of handout, student, and chapter in its metadata, under ``tokengeom``.
    """
    sources = key.sources(chapter, student)
    return _notebook(key, chapter, student, lambda part: sources[part.id])


def for_nbgrader(key: Key, chapter: str) -> nbformat.NotebookNode:
    """Make the notebook from which nbgrader makes its release, and with which it restores the cells of a submission.

    Parameters
    ----------
    key : Key
    chapter : str

    Returns
    -------
    nbformat.NotebookNode
        With solutions, hidden tests, and the numbers of all students.
    """
    sources = key.sources(chapter, EVERYONE) if not key.roster else {}

    def source(part: Part) -> str:
        if part.solved:
            return part.solved
        if part.kind == "given":
            return _given(key, part) if key.roster else sources[part.id]
        if part.kind == "check":
            return f"{part.source}\n{hidden(_check(key, part))}"
        if part.kind == "result":
            return f"{part.source}\n{hidden(_result(key, part))}"
        return sources.get(part.id, part.source.replace("{student}", ""))

    return _notebook(key, chapter, EVERYONE, source)


def _notebook(key: Key, chapter: str, student: str, source: Callable[[Part], str]) -> nbformat.NotebookNode:
    """A notebook of the cells of a chapter."""
    cells = []
    for part in key.sheets[chapter]:
        new = nbformat.v4.new_code_cell if part.is_code else nbformat.v4.new_markdown_cell
        cells.append(new(source(part), id=part.id[:64], metadata=part.metadata))
    about = {"handout": key.handout, "student": student, "chapter": chapter}
    metadata = {"kernelspec": KERNEL, "language_info": {"name": "python"}, "tokengeom": about}
    notebook = nbformat.v4.new_notebook(cells=cells, metadata=metadata)
    nbformat.validate(notebook)
    return notebook


def _given(key: Key, part: Part) -> str:
    """The code of a cell that takes the numbers of the student whose notebook nbgrader runs."""
    own = {student: exercises[part.exercise] for student, exercises in key.own.items()}
    first, _, rest = next(iter(own.values())).given.partition("\n")
    names = first.partition(" = ")[0]
    table = "".join(f'    "{student}": {_tuple(one.numbers.values())},\n' for student, one in own.items())
    return f"from pathlib import Path\n\n{names} = {{\n{table}}}[{WHOSE}]\n{rest}".rstrip()


def _tuple(values: Any) -> str:
    """Several values, or one, as they stand behind an equals sign."""
    return ", ".join(map(str, values)) if len(values) == 1 else f"({', '.join(map(str, values))})"


def _check(key: Key, part: Part) -> str:
    """The call of a checker with draws that students do not see."""
    tested = key.tests[part.exercise]
    return f"tg.check.{tested.checker}({tested.function}, points={part.points:g}, seed={tested.seed})"


def _result(key: Key, part: Part) -> str:
    """The comparison of a result with that of the student whose notebook nbgrader runs."""
    own = {student: exercises[part.exercise] for student, exercises in key.own.items()}
    name, some = key.tests[part.exercise].result, next(iter(own.values()))
    how = f"points={part.points:g}, rtol={some.rtol}, atol={some.atol}"
    if not key.roster:
        return f"tg.check.value({name}, {some.expected}, {how})"
    table = "".join(f'    "{student}": {one.expected},\n' for student, one in own.items())
    return f"_expected = {{\n{table}}}[{WHOSE}]\ntg.check.value({name}, _expected, {how})"
