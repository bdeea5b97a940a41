"""A returned notebook put in order: every cell of the sheet once and in its place, with the student's answers in it.

Cells are matched by their grade_id. Of an answer that occurs several times the last one counts; locked cells are those
that were handed out, whatever was returned; and cells that a student has added stay behind the cell that they followed.
"""

from typing import Any, NamedTuple

import nbformat

from .key import Key
from .sheet import Part


class Step(NamedTuple):
    """One cell of a notebook in order; without a part, one that the student has added."""

    part: Part | None
    source: str
    is_code: bool


def arrange(notebook: Any, key: Key, chapter: str, student: str) -> list[Step]:
    """Put the cells of a returned notebook in order.

    Parameters
    ----------
    notebook : nbformat.NotebookNode
    key : Key
    chapter : str
    student : str

    Returns
    -------
    list of Step
    """
    parts, sources = {part.id: part for part in key.sheets[chapter]}, key.sources(chapter, student)
    last = {name: number for number, cell in enumerate(notebook.cells) if (name := grade_id(cell)) in parts}
    behind: dict[str | None, list[Step]] = {}
    answers: dict[str, str] = {}
    place = None
    for number, cell in enumerate(notebook.cells):
        name = grade_id(cell)
        if last.get(name) == number:
            place = name
            if parts[name].is_answer:
                answers[name] = cell.source
        elif name not in parts or parts[name].is_answer:  # an own cell, or an answer that a later one replaces
            behind.setdefault(place, []).append(Step(None, cell.source, cell.cell_type == "code"))
    steps = behind.get(None, [])
    for name, part in parts.items():
        steps.append(Step(part, answers.get(name, sources[name]), part.is_code))
        steps += behind.get(name, [])
    return steps


def grade_id(cell: Any) -> str:
    """Return the id of a cell, or an empty text if it has none."""
    about = cell.metadata.get("nbgrader")
    name = about.get("grade_id") if isinstance(about, dict) else None
    return name if isinstance(name, str) else ""


def arranged_notebook(steps: list[Step]) -> Any:
    """Return a notebook of some steps, as nbgrader takes it."""
    cells = []
    for number, step in enumerate(steps):
        new = nbformat.v4.new_code_cell if step.is_code else nbformat.v4.new_markdown_cell
        about = {"id": step.part.id[:64], "metadata": step.part.metadata} if step.part else {"id": f"own-{number}"}
        cells.append(new(step.source, **about))
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel, "language_info": {"name": "python"}})
