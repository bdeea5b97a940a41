"""Decks of slides with reveal.js: one page for each chapter, beside the scripts and pictures that they share."""

import html
import json
import re
import shutil
import tempfile
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import unquote

from ...console import say
from ...errors import InputError
from .selection import Slide, slides_of

#: Files of reveal.js that a deck loads, of the package sphinx-revealjs, and their license.
REVEAL = ("dist/reset.css", "dist/reveal.css", "dist/reveal.js", "LICENSE")
HERE = Path(__file__).parent
OWN = ("deck.css", "deck.js")
MATHJAX = re.compile(r"<script>window\.MathJax = (\{.*?\})</script>", re.S)
IMAGE = re.compile(r'(<img\b[^>]*\bsrc=")([^"]+)(")')
PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<link rel="stylesheet" href="shared/reset.css">
<link rel="stylesheet" href="shared/reveal.css">
<link rel="stylesheet" href="shared/deck.css">
<script>window.MathJax = {mathjax};</script>
<script defer src="shared/mathjax/startup.js"></script>
<script defer src="shared/reveal.js"></script>
<script defer src="shared/deck.js"></script>
</head>
<body>
<div class="reveal"><div class="slides">
{slides}
</div></div>
</body>
</html>
"""


def write_slides(site: str | Path, out: str | Path, names: Sequence[str] = ()) -> list[Path]:
    """Write slides of chapters from the pages of a built book.

    Parameters
    ----------
    site : path
        The folder ``html`` of a build.
    out : path
        The folder to write to; files of earlier decks in it are replaced.
    names : sequence of str, optional
        Chapters, by the names of their files; all of the book by default.

    Returns
    -------
    list of pathlib.Path
        One page for each chapter.

    Raises
    ------
    InputError
        If there is no site, or no chapter of such a name in it, or reveal.js is not installed.

    Examples
    --------
    >>> write_slides("_build/quick/html", "slides", ["intrinsic_dimension"])  # doctest: +SKIP
    """
    site, out = Path(site), Path(out)
    pages = _pages(site, names)
    reveal = _reveal()
    if out.exists() and not out.is_dir():
        raise InputError(f"{out} is a file: name a folder for the slides with --out")
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent) as scratch:
        draft = Path(scratch) / "draft"
        (draft / "shared").mkdir(parents=True)
        for source in [*(reveal / name for name in REVEAL), *(HERE / name for name in OWN)]:
            shutil.copyfile(source, draft / "shared" / source.name)
        shutil.copytree(site / "_static" / "mathjax", draft / "shared" / "mathjax")
        counts = [_write_deck(page, draft) for page in pages]
        shutil.copytree(draft, out, dirs_exist_ok=True)
    for page, count in zip(pages, counts, strict=True):
        say(f"{out / page.name}: {count} slides")
    return [out / page.name for page in pages]


def _pages(site, names):
    """The pages of the chapters, all of them found before anything is written."""
    known = {page.stem: page for page in sorted((site / "notebooks").glob("*.html"))}
    if not known:
        raise InputError(
            f"no built book at {site}: build one with  tokengeom book, or name the folder html of another build"
        )
    if unknown := [name for name in names if name not in known]:
        raise InputError(f"no chapter {', '.join(unknown)} in {site}: choose from {', '.join(known)}")
    return [known[name] for name in dict.fromkeys(names)] or list(known.values())


def _reveal():
    """The folder of reveal.js in the package that brings it along."""
    found = find_spec("sphinx_revealjs")
    if not found or not found.submodule_search_locations:
        raise InputError("slides need reveal.js: install it with  pip install sphinx-revealjs")
    return Path(found.submodule_search_locations[0]) / "_static" / "revealjs"


def _write_deck(page: Path, draft: Path) -> int:
    """Write the slides of one page with the pictures that they show; return their number."""
    text = page.read_text(encoding="utf-8")
    slides, pictures = slides_of(text), draft / "images"
    pictures.mkdir(exist_ok=True)

    def picture(found: re.Match[str]) -> str:
        source = page.parent / unquote(html.unescape(found[2]))
        try:
            shutil.copyfile(source, pictures / source.name)
        except FileNotFoundError:
            raise InputError(f"{page} shows {found[2]}, which does not exist: build the book again") from None
        return f"{found[1]}images/{source.name}{found[3]}"

    body = IMAGE.sub(picture, "\n".join(_section(slide) for slide in slides))
    mathjax = MATHJAX.search(text)
    title = html.escape(re.sub(r"<[^>]*>", "", slides[0].title))
    (draft / page.name).write_text(
        PAGE.format(title=title, slides=body, mathjax=_mathjax(json.loads(mathjax[1]) if mathjax else {})),
        encoding="utf-8",
    )
    return len(slides)


def _mathjax(settings):
    """The settings of MathJax as of the page; deck.js starts it, since slides must not be hidden when it measures."""
    return json.dumps(settings | {"startup": {"typeset": False}})


def _section(slide: Slide) -> str:
    """A slide in the markup of reveal.js."""
    level = "h1" if slide.kind == "title" else "h2"
    return (
        f'<section class="{slide.kind}"><div class="fit"><{level}>{slide.title}</{level}>\n{slide.body}</div></section>'
    )
