"""Sphinx extension: what a link leads to, shown beside the link.

What pages link to (terms, statements, formulas, figures, works cited, and functions) is written into one script per
page, ``_static/previews/PAGE.js``. ``book.js`` loads it when a reader stops at a link; a page that is opened as a file
may load scripts, but not fetch other pages.
"""

import json
from pathlib import Path
from posixpath import dirname, join, normpath
from urllib.parse import unquote

from bs4 import BeautifulSoup

FOLDER = "previews"
#: what can be shown, and for each how to take it out of its page
WHOLE = "figure[id], div.proof[id], div.exercise[id], div.math[id], div.citation[id]"
TERMS = "dl.glossary > dt[id], dt.sig[id]"
#: parts of it that a preview does without
DROPPED = ".headerlink, .viewcode-link, details, .backrefs, script"


def fragments(body):
    """Take out of a page what a link may lead to.

    Parameters
    ----------
    body : bs4.BeautifulSoup

    Returns
    -------
    dict of str to str
        HTML by id. A term comes with its definition, a function with the sentence that says what it does.

    Examples
    --------
    >>> fragments(BeautifulSoup('<div class="proof" id="a">B<a class="headerlink">#</a></div>', "html.parser"))
    {'a': '<div class="proof">B</div>'}
    """
    found = {}
    for element in body.select(WHOLE):
        found[element["id"]] = _clean(str(element))
    for term in body.select(TERMS):
        meaning = term.find_next_sibling("dd")
        inner = meaning.find("p") if "sig" in term.get("class", ()) and meaning else meaning
        html = inner.decode_contents() if inner else ""
        name = term.decode_contents()
        found[term["id"]] = _clean(f'<p class="preview-name">{name}</p><div>{html}</div>')
    return found


def _clean(html):
    """A fragment without its own links to itself, and without ids, which a page may hold once."""
    soup = BeautifulSoup(html, "html.parser")
    for part in soup.select(DROPPED):
        part.decompose()
    for part in soup.find_all(id=True):
        del part["id"]
    return str(soup)


def targets(body, page):
    """List what a page links to inside the site.

    Parameters
    ----------
    body : bs4.BeautifulSoup
    page : str
        Its name, such as ``"notebooks/mean_field"``.

    Returns
    -------
    set of (str, str)
        Page and id.

    Examples
    --------
    >>> targets(BeautifulSoup('<a class="internal" href="../book/glossary.html#x">x</a>', "html.parser"), "a/b")
    {('book/glossary', 'x')}
    """
    found = set()
    for link in body.select("a.internal[href], a.sphinx-codeautolink-a[href]"):
        address, _, anchor = link["href"].partition("#")
        if anchor and "://" not in address:
            to = normpath(join(dirname(page), address)).removesuffix(".html") if address else page
            found.add((to, unquote(anchor)))
    return found


def collect(app, name, template, context, doctree):
    """Remember what a page offers and what it links to."""
    if doctree is None or not context.get("body"):
        return
    body = BeautifulSoup(context["body"], "html.parser")
    app.env.previews = getattr(app.env, "previews", {})
    app.env.previews[name] = fragments(body), targets(body, name)


def write(app, exception):
    """Write one script per page."""
    if exception or app.builder.format != "html":
        return
    pages = app.env.__dict__.pop("previews", {})
    linked = set().union(*(links for _, links in pages.values()))
    for page, (offered, _) in pages.items():
        shown = {anchor: html for anchor, html in offered.items() if (page, anchor) in linked}
        path = Path(app.outdir, "_static", FOLDER, f"{page}.js")
        path.parent.mkdir(parents=True, exist_ok=True)
        data = json.dumps(shown, ensure_ascii=False, sort_keys=True)
        path.write_text(f"window.tokengeomPreviews({json.dumps(page)}, {data});\n", encoding="utf-8")


def setup(app):
    """Register the handlers; a page is read when the other extensions have finished it."""
    app.connect("html-page-context", collect, priority=950)
    app.connect("build-finished", write, priority=890)
    return {"parallel_read_safe": True, "parallel_write_safe": False}
