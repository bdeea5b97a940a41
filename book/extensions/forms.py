"""Sphinx extension: interactive forms of figures, fed from the tables that the site ships.

A cell says in its metadata which form it gets, and what the form should know::

    tokengeom:
      form: {kind: map, rows: Shuffle degree}

The form takes the table of the cell: that of its figure, or the one that the cell names (``tokengeom: {table: NAME}``).
Here a page gets an empty place for it, and the scripts that fill the place: ``forms.js`` and ``form_KIND.js``. A page
that is opened as a file may load scripts but fetch nothing. So the CSV file is written once more, compressed, as a
script, ``_static/tables/NAME.js``, which the page loads when a reader opens the form. Without scripts, and on paper,
there is only the figure.
"""

import json
import zlib
from base64 import b64encode
from pathlib import Path

from docutils import nodes
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util import logging

LOGGER = logging.getLogger(__name__)
FOLDER = "tables"
STYLES = ("laboratory.css", "forms.css")
SCRIPTS = ("laboratory.js", "forms.js")


class Form(nodes.Element):
    """The place of a form, with its ``kind``, the name of its ``table``, and its ``options``."""


def form_of(metadata):
    """What the metadata of a cell say of its form.

    Parameters
    ----------
    metadata : dict

    Returns
    -------
    dict or None
        The attributes of a :class:`Form`; None for a cell without one.

    Examples
    --------
    >>> form_of({"mystnb": {"figure": {"name": "fig-a"}}, "tokengeom": {"form": {"kind": "map", "rows": "degree"}}})
    {'kind': 'map', 'table': 'fig-a', 'options': {'rows': 'degree'}}
    >>> form_of({"tags": ["hide-input"]})
    """
    own = metadata.get("tokengeom", {})
    if "form" not in own:
        return None
    options = dict(own["form"])
    figure = metadata.get("mystnb", {}).get("figure", {}).get("name")
    return {"kind": options.pop("kind"), "table": figure or own["table"], "options": options}


class PlaceForms(SphinxPostTransform):
    """Put the place of a form behind its cell; before hidden cells share a fold (``folds.py``)."""

    default_priority = 180
    formats = ("html",)

    def run(self, **_):
        for cell in list(self.document.findall(nodes.container)):
            if form := form_of(cell.get("cell_metadata", {})):
                cell.parent.insert(cell.parent.index(cell) + 1, Form("", **form))


def table_script(name, table):
    """The script that hands a table to its form.

    Parameters
    ----------
    name : str
    table : bytes
        The CSV file.

    Returns
    -------
    str
        A call with the file in it, compressed by zlib and written in base 64.

    Examples
    --------
    >>> table_script("fig-a", b"x,y\\n1.0,0.1\\n").startswith('window.tokengeomTable("fig-a", "eN')
    True
    """
    packed = b64encode(zlib.compress(table, 9)).decode()
    return f"window.tokengeomTable({json.dumps(name)}, {json.dumps(packed)});\n"


def load(app, name, template, context, doctree):
    """Give a page with forms their scripts, and write their tables."""
    forms = list(doctree.findall(Form)) if doctree is not None else []
    if not forms:
        return
    kinds = dict.fromkeys(f"form_{form['kind']}.js" for form in forms)
    static = [Path(app.confdir, folder) for folder in app.config.html_static_path]
    for script in kinds:
        if not any((folder / script).exists() for folder in static):
            LOGGER.warning("a form without a script: %s", script, location=name)
    for style in STYLES:
        app.add_css_file(style)
    for script in (*SCRIPTS, *kinds):
        app.add_js_file(script, defer="defer")
    for form in forms:
        source = Path(app.env.doc2path(name)).parent / f"{form['table']}.csv"
        if not source.exists():
            LOGGER.warning("the form of %s has no table: %s", form["table"], source.name, location=name)
            continue
        path = Path(app.outdir, "_static", FOLDER, f"{form['table']}.js")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(table_script(form["table"], source.read_bytes()), encoding="utf-8")


def visit_form(translator, node):
    """Write the place of a form, which only its script shows."""
    data = {"form": node["kind"], "table": node["table"], "options": json.dumps(node["options"])}
    attributes = {f"data-{key}": value for key, value in data.items()}
    translator.body.append(translator.starttag(node, "div", "", CLASS="figure-form", hidden="hidden", **attributes))
    translator.body.append("</div>\n")
    raise nodes.SkipNode


def setup(app):
    """Register the node, the transform, and the handler; ``lean`` chooses the scripts of a page after it."""
    app.add_node(Form, html=(visit_form, None))
    app.add_post_transform(PlaceForms)
    app.connect("html-page-context", load, priority=800)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
