"""Executed chapters as pages: the values of the parameters, how to run it all again, and a box under each figure."""

import textwrap
from pathlib import Path
from typing import Any

from ...errors import BuildError
from ..plain import without_solutions
from ..words import typeset
from .contents import Chapter
from .rerun import ACTIVATE, RERUN, needs_survey, rerun_commands
from .staleness import combine, sha256


def executed_page(notebook: Any, chapter: Chapter, given: dict[str, Any], key: dict[str, str], seconds: float) -> Any:
    """Turn papermill's output into a page: one parameters cell, and a box with the command that runs it again.

    Parameters
    ----------
    notebook : nbformat.NotebookNode
        As executed; it is changed.
    chapter : Chapter
    given : dict
        The values of the parameters.
    key : dict
        From :func:`.staleness.chapter_key`.
    seconds : float
        Time that the execution took.

    Returns
    -------
    nbformat.NotebookNode
        With ``given``, ``key`` and ``seconds`` in its metadata, under ``tokengeom``.
    """
    import nbformat

    cells = []
    for cell in notebook.cells:
        tags = cell.metadata.get("tags", [])
        if "parameters" in tags and given:
            continue  # the injected cell right after it holds the values that counted
        if "injected-parameters" in tags:
            cell.metadata["tags"] = [*tags, "hide-input"]
        for name in ("papermill", "execution"):
            cell.metadata.pop(name, None)
        for output in cell.get("outputs", []):
            if text := output.get("data", {}).get("text/markdown"):
                output.data["text/markdown"] = typeset(text)
        cells.append(cell)
    rerun = (
        f"```{{admonition}} Rerun this chapter\n:class: dropdown\n\n"
        f"Executed with profile `{given.get('profile', '')}` in {seconds:.0f} s.\n"
        f"{ACTIVATE}\n"
        f"Then two commands execute the chapter into `{RERUN}/{chapter.name}.ipynb`{needs_survey(given)}; change any "
        f"value:\n\n~~~bash\n{rerun_commands(chapter.name, given)}\n~~~\n```\n"
    )
    cells.append(nbformat.v4.new_markdown_cell(rerun, id=combine(chapter.name, "rerun")[:12]))
    notebook.cells = cells
    notebook.metadata.pop("papermill", None)
    notebook.metadata["tokengeom"] = {"key": key, "parameters": given, "seconds": round(seconds, 1)}
    return notebook


def page_files(path: Path, solutions: bool = True) -> dict[str, bytes]:
    """Turn an executed chapter into files of the site: its notebook with a box under each figure, and its tables.

    Parameters
    ----------
    path : path
        A notebook that :func:`executed_page` made.
    solutions : bool
        Whether to keep the solutions of the exercises.

    Returns
    -------
    dict of str to bytes
        By file name; a figure's table is named after the figure, any other by its cell.

    Raises
    ------
    BuildError
        If a cell draws several figures, or one without a name, or if a table has no name of its own.
    """
    import nbformat

    notebook = nbformat.read(path, 4)
    about = notebook.metadata["tokengeom"]
    cells, tables = [], {}
    for cell in notebook.cells:
        cells.append(cell)
        if cell.cell_type == "markdown" and not solutions:
            cell.source = without_solutions(cell.source)
        found = [
            output.data.pop("text/csv") for output in cell.get("outputs", []) if "text/csv" in output.get("data", {})
        ]
        if not found:
            continue
        figure = cell.metadata.get("mystnb", {}).get("figure", {}).get("name")
        name = figure or cell.metadata.get("tokengeom", {}).get("table")
        if not name or len(found) > 1:
            raise BuildError(f"{path.stem}: a cell that draws must draw one figure, with a name:\n{cell.source[:200]}")
        if f"{name}.csv" in tables:
            raise BuildError(f"{path.stem}: two tables are named {name}")
        tables[f"{name}.csv"] = table = found[0].encode()
        if figure:
            box = _figure_box(path.stem, f"{name}.csv", table, about)
            cells.append(nbformat.v4.new_markdown_cell(box, id=combine(name, "box")[:12]))
        else:
            cell.outputs = []  # a file, and nothing to see
    notebook.cells = cells
    return {path.name: nbformat.writes(notebook).encode(), **tables}


def _figure_box(stem, name, table, about):
    """Where a figure comes from, and how to make it again."""
    given = about["parameters"]
    seed = f"seed {given['seed']}" if "seed" in given else "no seed of its own"
    hashes = ", ".join(f"{part}\u00a0`{value[:16]}`" for part, value in about["key"].items())
    return (
        f"````{{dropdown}} Reproduce this figure\n:class-container: reproduce\n\n"
        f"- Its data: {{download}}`{name}`, {table.count(bytes([10])) - 1:,} rows, sha256 `{sha256(table)[:16]}`.\n"
        f"- The notebook as executed: {{download}}`{stem}.ipynb`. Profile `{given.get('profile', '')}`, {seed}; "
        f"the whole chapter took {about['seconds']:.0f} s.\n"
        "- To make it again, in the folder of the checkout and in its environment, which the box at the end of this "
        f"page activates{needs_survey(given)}:\n\n"
        + textwrap.indent(f"~~~bash\n{rerun_commands(stem, given)}\n~~~\n\n", "  ")
        + f"- The hashes (sha256) of everything it depends on: {hashes}.\n````\n"
    )
