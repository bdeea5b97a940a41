"""Rules for the outputs of an executed chapter: nothing on stderr, and a picture with its table for every figure."""

from typing import Any

from ...errors import BuildError


def check_outputs(notebook: Any, name: str) -> None:
    """Check the outputs of a chapter before it counts as executed.

    Parameters
    ----------
    notebook : nbformat.NotebookNode
        As executed.
    name : str
        File name of the chapter, for the message.

    Raises
    ------
    BuildError
        If a cell writes to stderr, or a cell that names a figure has drawn none.
    """
    for cell in notebook.cells:
        outputs = cell.get("outputs", [])
        for output in outputs:
            if output.get("name") == "stderr":
                raise BuildError(f"{name}, cell {cell.execution_count} wrote to stderr:\n{output.text.strip()}")
        figure = cell.metadata.get("mystnb", {}).get("figure", {}).get("name")
        if figure and not any(map(_is_figure, outputs)):
            raise BuildError(
                f"{name}, cell {cell.get('execution_count')} draws no figure, although it names {figure}: "
                "a chapter calls tg.figures.set_theme() at its top, and the cell ends with plt.show()"
            )


def _is_figure(output):
    """Whether an output is a picture with the table behind it, which the site offers for download."""
    kinds = output.get("data", {})
    return "text/csv" in kinds and any(kind.startswith("image/") for kind in kinds)
