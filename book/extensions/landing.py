"""Sphinx extension: what the first page and the foot of every page say of this build.

``{{ verdicts }}`` is the count of verdicts, from the chapter that judges the claims; ``{{ cite }}`` is a BibTeX entry
made of CITATION.cff; ``{{ get }}`` is the command that fetches the project, where git knows its address.
"""

from datetime import UTC, datetime
from html import escape
from pathlib import Path

import nbformat
import yaml

import tokengeom_utils as tg
from tokengeom_utils.surveys.provenance import address, commit

REPORT = Path("notebooks", "reproduction_report.ipynb")
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
    config.myst_substitutions = {**(config.myst_substitutions or {}), **values}
    config.html_theme_options = {**config.html_theme_options, "extra_footer": footer(profile, datetime.now(UTC))}


def setup(app):
    """Register the extension."""
    app.connect("config-inited", describe)
    return {"parallel_read_safe": True}
