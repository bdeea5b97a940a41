"""A chapter executed in the process of a test, with the values in its sentences."""

import ast
import contextlib

import jupytext
import matplotlib
import matplotlib.pyplot as plt
from conftest import PROJECT

from tokengeom_utils.site.values import with_values


def run_chapter(stem, change=lambda tree: tree, extra=None, **parameters):
    """Execute a chapter; return its names, and the text of what its code cells show and its Markdown cells say.

    ``change`` is applied to the syntax trees of its code and of the values in its sentences, which see ``extra`` too.
    """
    matplotlib.use("agg")
    said = []

    def show(value):
        with contextlib.suppress(AttributeError):
            value = value.data if hasattr(value, "_repr_markdown_") else value.to_string()
        said.append(str(value))

    def evaluate(source):
        return eval(compile(change(ast.parse(source, mode="eval")), stem, "eval"), names)

    names = {"display": show, **(extra or {})}
    with contextlib.chdir(PROJECT / "notebooks"):
        for cell in jupytext.read(PROJECT / "notebooks" / f"{stem}.md", fmt="md:myst").cells:
            if cell.cell_type != "code":
                said.append(with_values(cell.source, lambda wanted: [str(evaluate(one)) for one in wanted]))
                continue
            code = change(ast.parse(cell.source))
            last = ast.Expression(code.body.pop().value) if isinstance(code.body[-1], ast.Expr) else None
            exec(compile(code, stem, "exec"), names)
            show(eval(compile(last, stem, "eval"), names) if last else None)
            if "parameters" in cell.metadata.get("tags", ()):
                names.update(parameters)
    plt.close("all")
    return names, "\n".join(said)
