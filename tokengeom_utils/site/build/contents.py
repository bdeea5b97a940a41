"""The chapters of the book: their order, and what each one declares.

``_toc.yml`` holds the order. A chapter declares the parameters it takes in its cell tagged ``parameters``, and the
project files it reads in its YAML front matter::

    tokengeom:
      inputs: [README.md, data/paper]
"""

import ast
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...errors import BuildError

#: Parameters that no profile sets, for readers: a chapter's own defaults count.
READERS = ("prompt_number", "layer", "files", "per_kind")


@dataclass(frozen=True)
class Chapter:
    """A chapter's source and its declarations."""

    path: Path
    notebook: Any = field(repr=False)  #: as jupytext reads it
    parameters: Mapping[str, Any]  #: names and defaults of the parameters that it takes
    inputs: tuple[str, ...]  #: project files and folders that it reads, apart from the survey and the package

    @property
    def name(self) -> str:
        """The file name without its extension."""
        return self.path.stem

    def values(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """What the chapter gets of a profile's parameters.

        Parameters
        ----------
        parameters : dict
            Those of the profile, and ``results``, the path of the survey.

        Returns
        -------
        dict
            Its own defaults where only readers choose. ``results`` is relative to the chapter's folder, so that no page
            shows where it was built.

        Raises
        ------
        BuildError
            If the chapter declares a parameter that does not exist.
        """
        known = {name: self.parameters[name] for name in READERS if name in self.parameters} | dict(parameters)
        if unknown := [name for name in self.parameters if name not in known]:
            raise BuildError(f"{self.path.name} declares unknown parameters: {', '.join(unknown)}")
        given = {name: known[name] for name in self.parameters}
        if "results" in given:
            given["results"] = Path(os.path.relpath(given["results"], self.path.parent)).as_posix()
        return given


def chapters(project: Path) -> list[Path]:
    """List the notebooks of the table of contents, in order.

    Parameters
    ----------
    project : path
        The checkout.

    Returns
    -------
    list of pathlib.Path

    See Also
    --------
    build_book : builds them.

    Examples
    --------
    >>> import tempfile
    >>> project = Path(tempfile.mkdtemp())
    >>> _ = (project / "_toc.yml").write_text("root: book/index\\nchapters: [{file: notebooks/extraction}]")
    >>> [path.name for path in chapters(project)]
    ['extraction.md']
    """
    import yaml

    def entries(node):
        if isinstance(node, dict):
            yield from [node["file"]] if "file" in node else []
            node = list(node.values())
        for child in node if isinstance(node, list) else []:
            yield from entries(child)

    toc = yaml.safe_load((project / "_toc.yml").read_text(encoding="utf-8"))
    return [project / f"{name}.md" for name in entries(toc) if name.startswith("notebooks/")]


def read_chapter(path: Path) -> Chapter:
    """Read a chapter's source.

    Parameters
    ----------
    path : path
        A notebook in MyST Markdown.

    Returns
    -------
    Chapter

    Raises
    ------
    BuildError
        If the file is missing, its declarations are malformed, or it does not have exactly one cell tagged
        ``parameters``.
    """
    import jupytext

    if not path.is_file():
        raise BuildError(f"_toc.yml lists {path.stem}, but there is no file {path.name}")
    notebook = jupytext.read(path)
    tagged = [cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", [])]
    if len(tagged) != 1:
        raise BuildError(f"{path.name} must have exactly one cell tagged parameters, but has {len(tagged)}")
    parameters = _literals(path, tagged[0].source)
    inputs = notebook.metadata.get("tokengeom", {}).get("inputs", [])
    if not isinstance(inputs, list) or not all(isinstance(name, str) for name in inputs):
        raise BuildError(f"{path.name}: tokengeom: inputs must be a list of file names, not {inputs!r}")
    return Chapter(path, notebook, parameters, tuple(inputs))


def _literals(path, source):
    """Names and values that a cell of parameters assigns."""
    assigned = [node for node in ast.parse(source).body if isinstance(node, ast.Assign)]
    try:
        return {
            target.id: ast.literal_eval(node.value)
            for node in assigned
            for target in node.targets
            if isinstance(target, ast.Name)
        }
    except ValueError:
        raise BuildError(f"{path.name}: the cell of parameters must assign plain values, such as numbers") from None
