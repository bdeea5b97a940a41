"""A chapter executed in the process of a test, with the values in its sentences."""

import ast
import contextlib

import jupytext
import papermill  # noqa: F401  (before inline, which it loads as one of its engines)
from conftest import PROJECT

from tokengeom_utils.site.inline import _ROLE
from tokengeom_utils.site.words import typeset


def run_chapter(stem, **parameters):
    """Execute a chapter; return its names, and the text of what its code cells show and its Markdown cells say."""
    names, said = {}, []
    for cell in jupytext.read(PROJECT / "notebooks" / f"{stem}.md", fmt="md:myst").cells:
        if cell.cell_type != "code":
            said.append(_ROLE.sub(lambda role: typeset(str(eval(f"(\n{role[2].strip()}\n)", names))), cell.source))
            continue
        code = ast.parse(cell.source)
        last = ast.Expression(code.body.pop().value) if isinstance(code.body[-1], ast.Expr) else None
        exec(compile(code, stem, "exec"), names)
        value = eval(compile(last, stem, "eval"), names) if last else None
        with contextlib.suppress(AttributeError):
            value = value.data if hasattr(value, "_repr_markdown_") else value.to_string()
        said.append(str(value))
        if "parameters" in cell.metadata.get("tags", ()):
            names.update(parameters)
    return names, "\n".join(said)
