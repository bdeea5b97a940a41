"""Sphinx extension: what the first page and the foot of every page say of this build.

Where git knows an address on GitHub, pages say where they are published, and the site has a map.
``{{ verdicts }}`` is the count of verdicts, from the chapter that judges the claims; ``{{ cite }}`` is a BibTeX entry
made of CITATION.cff; ``{{ get }}`` is the command that fetches the project, where git knows its address.
"""

import re
from datetime import UTC, datetime
from html import escape
from pathlib import Path

import nbformat
import yaml

import tokengeom_utils as tg
from tokengeom_utils.surveys.provenance import address, commit

REPORT = Path("notebooks", "reproduction_report.ipynb")
GITHUB = re.compile(r"(?:https://github\.com/|(?:ssh://)?git@github\.com[:/])([\w.-]+)/([\w.-]+?)(?:\.git)?/?")
CARD = "card.png"  #: that book/card.py draws
TAG = "verdicts"  #: of the cell in the report that counts them


def verdicts(source):
    """The sentence that counts the verdicts, and the profile behind it; empty where there is no report.

    Parameters
    ----------
    source : path
        The folder of the sources, with executed chapters.

    Returns
    -------
    tuple of str
    """
    if not (path := source / REPORT).exists():
        return "", ""
    notebook = nbformat.read(path, 4)
    text = next((cell.source for cell in notebook.cells if TAG in cell.metadata.get("tags", ())), "")
    return text, notebook.metadata.get("tokengeom", {}).get("parameters", {}).get("profile", "")


def bibtex(citation):
    """A BibTeX entry for this book.

    Parameters
    ----------
    citation : dict
        CITATION.cff.

    Returns
    -------
    str
    """
    released = str(citation["date-released"])
    fields = {
        "author": " and ".join("{" + one["name"] + "}" for one in citation["authors"]),
        "title": "{" + citation["title"] + "}",
        "year": released[:4],
        "version": citation["version"],
        "note": f"Released {released}; a companion to arXiv:2501.10573",
    }
    return "@software{tokengeometry,\n" + "".join(f"  {name} = {{{value}}},\n" for name, value in fields.items()) + "}"


def published_at(where):
    """The address at which GitHub publishes a project's pages.

    Parameters
    ----------
    where : str
        The address of the project.

    Returns
    -------
    str
        Empty if it is not on GitHub.

    Examples
    --------
    >>> published_at("git@github.com:some/book.git"), published_at("https://example.org/some/book")
    ('https://some.github.io/book/', '')
    """
    found = GITHUB.fullmatch(where)
    return f"https://{found[1].lower()}.github.io/{found[2]}/" if found else ""


def footer(profile, today):
    """The line at the foot of every page."""
    of = f", commit {commit()[:12]}" if commit() else ""
    by = f", profile {escape(profile)}" if profile else ""
    return f"<p>Token Geometry {tg.__version__}{of}{by}, built on {today:%Y-%m-%d}</p>"


def describe(app, config):
    """Set the substitutions and the footer."""
    source = Path(app.srcdir)
    text, profile = verdicts(source)
    values = {"verdicts": text, "cite": "", "get": ""}
    if (path := source / "CITATION.cff").exists():
        values["cite"] = f"```bibtex\n{bibtex(yaml.safe_load(path.read_text(encoding='utf-8')))}\n```"
    if where := address():
        values["get"] = f"```bash\ngit clone {where}\n```"
        config.html_baseurl = published_at(where)
    config.myst_substitutions = {**(config.myst_substitutions or {}), **values}
    config.html_theme_options = {**config.html_theme_options, "extra_footer": footer(profile, datetime.now(UTC))}


def card(app, name, template, context, doctree):
    """Tell sites that show links where the page is, and which picture to show."""
    if (base := app.config.html_baseurl) and doctree is not None:
        context["metatags"] += (
            f'<meta property="og:url" content="{base}{name}.html">\n'
            f'<meta property="og:image" content="{base}_static/{CARD}">\n'
            '<meta name="twitter:card" content="summary_large_image">\n'
        )


def site_map(app, exception):
    """List the pages for search engines."""
    if (base := app.config.html_baseurl) and not exception and app.builder.format == "html":
        pages = "".join(
            f"<url><loc>{escape(f'{base}{name}.html')}</loc></url>\n" for name in sorted(app.env.found_docs)
        )
        head = '<?xml version="1.0" encoding="utf-8"?>\n<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">\n'
        Path(app.outdir, "sitemap.xml").write_text(f"{head}{pages}</urlset>\n", encoding="utf-8")


def setup(app):
    """Register the extension."""
    app.connect("config-inited", describe)
    app.connect("html-page-context", card)
    app.connect("build-finished", site_map)
    return {"parallel_read_safe": True}
