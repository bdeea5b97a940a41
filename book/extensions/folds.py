"""Sphinx extension: folds whose labels say what they hold.

MyST-NB folds hidden code under one word, the same for every fold, and sphinx-togglebutton folds boxes with a script.
Here both become ``<details>``, which open by keyboard, without a script, and when a browser finds a word in them.
Hidden cells that follow each other and show nothing share the fold of the first cell that does.
"""

import re

from docutils import nodes
from sphinx.transforms.post_transforms import SphinxPostTransform

IMPORT = re.compile(r"^(?:import|from) \w", re.M)
TABLE = "Code of this table"
OTHER = "Code of the numbers below"  # a hidden cell that shows nothing computes what the text takes in


class Fold(nodes.Element):
    """Something that a reader can open; its first child is its label."""


class FoldLabel(nodes.TextElement):
    """The label of a fold."""


def fold(label, content, **attributes):
    """Put nodes into a fold.

    Parameters
    ----------
    label : str or list of docutils.nodes.Node
    content : list of docutils.nodes.Node
    **attributes
        Of the fold, such as ``classes``.

    Returns
    -------
    Fold
    """
    text = [nodes.Text(label)] if isinstance(label, str) else label
    return Fold("", FoldLabel("", "", *text), *content, **attributes)


def part(cell, kind):
    """Return the source or the output of a cell, or None."""
    return next((child for child in cell.children if child.get("nb_element") == f"cell_code_{kind}"), None)


def is_setup(cell):
    """Whether a cell holds the parameters of the run, or imports."""
    return "tag_injected-parameters" in cell["classes"] or bool(IMPORT.search(part(cell, "source").astext()))


def setup_label(cells):
    """Name a fold of parameters and imports."""
    parameters = any("tag_injected-parameters" in cell["classes"] for cell in cells)
    imports = any(IMPORT.search(part(cell, "source").astext()) for cell in cells)
    return "Imports and parameters" if parameters and imports else "Parameters" if parameters else "Imports"


def output_label(output, numbers):
    """Name the code behind an output by what a reader sees below it.

    Parameters
    ----------
    output : docutils.nodes.Node
    numbers : dict
        The number of every figure of the page, by its id.

    Returns
    -------
    str
    """
    for figure in output.findall(nodes.figure):
        number = numbers.get(figure["ids"][0]) if figure["ids"] else None
        return f"Code of figure {'.'.join(map(str, number))}" if number else "Code of this figure"
    html = "".join(raw.astext() for raw in output.findall(nodes.raw))
    if next(iter(output.findall(nodes.table)), None) is not None or "<table" in html:
        return TABLE
    for kind, name in ((nodes.definition_list, "list"), (nodes.bullet_list, "list"), (nodes.paragraph, "paragraph")):
        found = list(output.findall(kind))
        if found:
            return f"Code of this {name}" if name == "list" or len(found) == 1 else "Code of these paragraphs"
    return "Code of this output"


def stands_before_a_table(cell):
    """Whether the text below a cell begins with a table, whose numbers it computes."""
    place = cell.parent.index(cell) + 1
    return place < len(cell.parent) and isinstance(cell.parent[place], nodes.table)


def join(cells, label):
    """Move the sources of some cells into one fold, above the output of the last cell."""
    *others, last = cells
    sources = [part(cell, "source") for cell in cells]
    for cell in others:
        cell.parent.remove(cell)
    output = part(last, "output")
    last.children = []
    last += fold(label, sources, classes=["code"])
    if output is not None:
        last += output
    last["hide_mode"] = ""  # for MyST-NB there is nothing left to do


def hidden_runs(document):
    """List the hidden cells of a page, those together that follow each other directly."""
    runs = []
    for cell in document.findall(nodes.container):
        if cell.get("nb_element") == "cell_code" and cell.get("hide_mode") == "input" and part(cell, "source"):
            before = runs[-1][-1] if runs else None
            if before and before.parent is cell.parent and cell.parent.index(cell) == cell.parent.index(before) + 1:
                runs[-1].append(cell)
            else:
                runs.append([cell])
    return runs


class LabelFolds(SphinxPostTransform):
    """Fold hidden code and dropdowns; after MyST-NB has chosen the outputs, and before it folds them itself."""

    default_priority = 190
    formats = ("html",)

    def run(self, **_):
        numbers = self.env.toc_fignumbers.get(self.env.docname, {}).get("figure", {})
        for run in hidden_runs(self.document):
            self.fold_code(run, numbers)
        for box in list(
            self.document.findall(lambda node: "dropdown" in getattr(node, "attributes", {}).get("classes", ()))
        ):
            if isinstance(box, nodes.Admonition):
                self.fold_box(box)

    def fold_code(self, cells, numbers):
        """Fold hidden cells that follow each other."""
        waiting = []
        for cell in cells:
            output = part(cell, "output")
            if waiting and is_setup(waiting[-1]) and not is_setup(cell):
                join(waiting, setup_label(waiting))
                waiting = []
            waiting.append(cell)
            if output is not None and output.children:
                join(waiting, output_label(output, numbers))
                waiting = []
        if waiting:
            label = (
                setup_label(waiting) if is_setup(waiting[0]) else TABLE if stands_before_a_table(waiting[-1]) else OTHER
            )
            join(waiting, label)

    def fold_box(self, box):
        """Fold an admonition; its title becomes the label."""
        title, *content = box.children
        for link in list(title.findall(nodes.reference)):  # a label that is clicked holds no link
            link.replace_self(link.children)
        classes = [name for name in box["classes"] if name not in ("dropdown", "toggle")]
        box.replace_self(fold(title.children, content, classes=[*classes, "admonition"], ids=box["ids"]))


def visit_fold(translator, node):
    """Open a fold."""
    translator.body.append(translator.starttag(node, "details", CLASS="fold"))


def depart_fold(translator, _):
    """Close a fold."""
    translator.body.append("</details>\n")


def visit_label(translator, node):
    """Open a label."""
    title = "admonition-title" if "admonition" in node.parent["classes"] else "fold-label"
    translator.body.append(translator.starttag(node, "summary", "", CLASS=title))


def depart_label(translator, _):
    """Close a label."""
    translator.body.append("</summary>\n")


def setup(app):
    """Register the nodes and the transform."""
    app.add_node(Fold, html=(visit_fold, depart_fold))
    app.add_node(FoldLabel, html=(visit_label, depart_label))
    app.add_post_transform(LabelFolds)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
