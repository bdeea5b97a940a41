"""Sphinx extension: the search shows sentences of the book, not its code, also where pages are opened as files.

Sphinx fetches each page that it found and cuts its text, code and formulas included; a page opened as a file may not
fetch. Here the sentences of all pages are in one script, which only the page of the search loads.
"""

import json
from pathlib import Path

from docutils import nodes

FILE = "excerpts.js"
PROSE = (nodes.paragraph, nodes.caption)
PARTS = (nodes.section, nodes.document, nodes.definition_list_item)  #: what a result may link to; a term holds the id
SYMBOL = 12  #: a formula of at most so many characters stays in a sentence, if it has no command of TeX


def sentence(node):
    """The text of a paragraph, as a reader sees it; a long formula becomes an ellipsis.

    Parameters
    ----------
    node : docutils.nodes.Node

    Returns
    -------
    str

    Examples
    --------
    >>> sentence(nodes.paragraph("", "", nodes.Text("At layer "), nodes.math("", "l = 3"), nodes.Text(".")))
    'At layer l = 3.'
    """
    if isinstance(node, nodes.Text):
        return node.astext()
    if isinstance(node, nodes.math | nodes.math_block):
        formula = node.astext()
        return formula if len(formula) <= SYMBOL and "\\" not in formula else "…"
    return "".join(map(sentence, node.children))


def is_question(node):
    """Whether a node holds answers to choose from, which are no statements of the book, and some of them wrong."""
    return isinstance(node, nodes.Element) and "question" in node["classes"]


def sections(doctree):
    """The prose of a page, by section and term; without its questions.

    Parameters
    ----------
    doctree : docutils.nodes.document

    Returns
    -------
    list of (list of str, str)
        The ids of a section or a term, and its text without that of the sections in it.
    """
    found = {}
    for paragraph in doctree.findall(lambda node: isinstance(node, PROSE) and not isinstance(node.parent, nodes.entry)):
        part = paragraph.parent
        while not isinstance(part, PARTS) and not is_question(part):
            part = part.parent
        if is_question(part):
            continue
        is_term = isinstance(part, nodes.definition_list_item)
        holder = part.children[0] if is_term else part
        texts = found.setdefault(tuple(holder["ids"]), [f"{holder.astext()}:"] if is_term else [])
        texts.append(" ".join(sentence(paragraph).split()))
    return [(list(ids), " ".join(filter(None, texts))) for ids, texts in found.items()]


def collect(app, name, template, context, doctree):
    """Remember the prose of a page, and give the page of the search its scripts."""
    if name == "search":
        for script in (FILE, "search.js"):
            app.add_js_file(script, defer="defer")
    elif doctree is not None:
        app.env.excerpts = {**getattr(app.env, "excerpts", {}), name: sections(doctree)}


def write(app, exception):
    """Write the script."""
    if not exception and app.builder.format == "html":
        data = json.dumps(app.env.__dict__.pop("excerpts", {}), ensure_ascii=False, sort_keys=True)
        Path(app.outdir, "_static", FILE).write_text(f"window.EXCERPTS = {data};\n", encoding="utf-8")


def setup(app):
    """Register the handlers; ``lean`` chooses the scripts of a page after them."""
    app.connect("html-page-context", collect, priority=800)
    app.connect("build-finished", write)
    return {"parallel_read_safe": True, "parallel_write_safe": False}
