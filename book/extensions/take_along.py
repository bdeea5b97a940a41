"""Sphinx extension: each chapter as a notebook to take along, with solutions and without.

The notebooks hold the text of the page, its numbers in place, and the code without its output. They need no extension
of Jupyter: boxes become paragraphs. Where git knows an address of the project, they begin with a cell that installs it
on Colab, and the page has a link that opens the chapter on Binder. A site that hides the solutions offers the notebook
without them alone, and no Binder, where the chapter is as in the repository.
"""

import html
import re
from pathlib import Path

import nbformat
from landing import GITHUB, published_at

from tokengeom_utils.site.plain import plain, short_names
from tokengeom_utils.surveys.provenance import address

FOLDER = "_downloads/notebooks"
LINK = re.compile(r'<a class="[^"]*\binternal\b[^"]*" href="([^"]+)"[^>]*>(.*?)</a>', re.S)
PAGE = re.compile(r"\]\(\.\./book/(\w+)\.md(#[^)\s]*)?\)")
#: a survey that exists only where the book was built, or is found only from the folder of the chapters
SURVEY = re.compile(r'^results = "(?:.*survey|.*\bdata/results/(\w+))\.zarr"$', re.M)
COLAB = """# Colab: fetch and install the project. Elsewhere this cell does nothing.
import sys

if "google.colab" in sys.modules:
    !git clone --quiet {address} token-geometry
    %cd token-geometry
    %pip install --quiet --constraint constraints.txt --editable ".[book]"
    %cd notebooks"""


def shown(body):
    """What the links of a page are called, by the label that they lead to; by the page if they lead to a whole one.

    Parameters
    ----------
    body : str
        HTML.

    Returns
    -------
    dict of str to str

    Examples
    --------
    >>> shown('<a class="reference internal" href="b.html#fig-a"><span>Fig. 5.1</span></a>')
    {'fig-a': 'Fig. 5.1'}
    """
    found = {}
    for to, text in LINK.findall(body):
        page, _, label = to.partition("#")
        found.setdefault(label or Path(page).stem, html.unescape(re.sub("<[^>]*>", "", text)))
    return found


def outward(text, base):
    """Let the links to pages that are no chapters, such as a laboratory, lead to the published book.

    Parameters
    ----------
    text : str
        Markdown, one sentence per line.
    base : str
        The address of the book; without one, the sentences with such links are left out.

    Returns
    -------
    str

    Examples
    --------
    >>> text = "Groups form.\\n[See it](../book/lab.md#n=2)."
    >>> outward(text, "https://example.org/")
    'Groups form.\\n[See it](https://example.org/book/lab.html#n=2).'
    >>> outward(text, "")
    'Groups form.\\n'
    """
    if base:
        return PAGE.sub(lambda link: f"]({base}book/{link[1]}.html{link[2] or ''})", text)
    return "".join(line for line in text.splitlines(keepends=True) if not PAGE.search(line))


def notebook_to_take(page, solutions, names, where):
    """Make the notebook of a chapter.

    Parameters
    ----------
    page : nbformat.NotebookNode
        The chapter as executed.
    solutions : bool
    names : dict of str to str
        What to call what a role refers to, by its label.
    where : str
        The address of the project; empty if it is not known.

    Returns
    -------
    nbformat.NotebookNode
    """
    cells = []
    if where:  # Colab has no key for an address such as git@github.com:some/book
        on_github = GITHUB.fullmatch(where)
        open_to_all = f"https://github.com/{on_github[1]}/{on_github[2]}" if on_github else where
        cells.append(nbformat.v4.new_code_cell(COLAB.format(address=open_to_all), id="colab"))
    for cell in page.cells:
        if cell.cell_type == "markdown":
            if text := plain(outward(cell.source, published_at(where)), solutions, names):
                cells.append(nbformat.v4.new_markdown_cell(text, id=cell.id))
        else:
            source = SURVEY.sub(lambda found: f'results = "{found[1] or "standard"}"', cell.source)
            cells.append(nbformat.v4.new_code_cell(source, id=cell.id))
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel})


def links(name, where, solutions=True):
    """What the buttons at the head of a chapter lead to.

    Parameters
    ----------
    name : str
        Of the chapter.
    where : str
        The address of the project; empty if it is not known.
    solutions : bool
        Whether the site shows the solutions.

    Returns
    -------
    list of (str, str)
        The text of a button, and an address, which is relative to the root of the site unless it is on Binder.
    """
    if not solutions:
        return [("Notebook", f"{FOLDER}/{name}-exercises.ipynb")]
    found = [
        ("Notebook with solutions", f"{FOLDER}/{name}.ipynb"),
        ("Notebook without solutions", f"{FOLDER}/{name}-exercises.ipynb"),
    ]
    if on_github := GITHUB.fullmatch(where):
        path = "/".join(on_github.groups())
        found.append(("Open on Binder", f"https://mybinder.org/v2/gh/{path}/HEAD?urlpath=lab/tree/notebooks/{name}.md"))
    return found


def has_solutions(path):
    """Whether the executed notebook behind a page holds solutions; every chapter does that has exercises."""
    return any("{solution}" in cell.source for cell in nbformat.read(path, 4).cells)


def chapter(app, page):
    """The path of the executed notebook behind a page, or None."""
    path = Path(app.srcdir, f"{page}.ipynb")
    return path if Path(page).parent.name == "notebooks" and path.exists() else None


def offer(app, page, template, context, doctree):
    """Put the notebooks among the downloads of a chapter, instead of the one with the marks of the build."""
    path = chapter(app, page)
    if not path:
        return
    app.env.shown = {**getattr(app.env, "shown", {}), page: shown(context["body"])}
    for group in context.get("header_buttons", ()):
        if group.get("label") == "download-buttons":
            kept = [button for button in group["buttons"] if button.get("label") == "download-pdf-button"]
            group["buttons"] = [
                {
                    "type": "link",
                    "url": to if "://" in to else context["pathto"](to, 1),
                    "text": text,
                    "icon": "fas fa-code",
                    "label": "take-along",
                }
                for text, to in links(path.stem, address(), has_solutions(path))
            ] + kept


def write(app, exception):
    """Write the notebooks."""
    if exception or app.builder.format != "html":
        return
    folder, where = Path(app.outdir, FOLDER), address()
    folder.mkdir(parents=True, exist_ok=True)
    works = app.env.get_domain("cite").bibdata.data.entries
    cited = {key: f"{short_names(entry)}, {entry.fields['year']}" for key, entry in works.items()}
    for page, labels in app.env.__dict__.pop("shown", {}).items():
        path = chapter(app, page)
        executed = nbformat.read(path, 4)
        both = ((path.stem, True), (f"{path.stem}-exercises", False))
        for name, solutions in both if has_solutions(path) else both[1:]:
            made = notebook_to_take(executed, solutions, {**labels, **cited}, where)
            nbformat.write(made, folder / f"{name}.ipynb")


def setup(app):
    """Register the handlers; the buttons are changed when the theme has made them."""
    app.connect("html-page-context", offer, priority=700)
    app.connect("build-finished", write)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
