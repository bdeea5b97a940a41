"""The built site as one PDF: each page as a browser prints it, in the order of the contents, with an outline."""

import io
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from ..console import say, track
from ..errors import InputError
from ..version import __version__

if TYPE_CHECKING:
    from playwright.sync_api import Browser

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "msedge")
MARGIN, SCALE = "16mm", 0.8
#: Solutions and hints are folded on the pages; everything else that is folded stays out of a printed page.
OPEN_SOLUTIONS = "() => document.querySelectorAll('details.solution').forEach((fold) => { fold.open = true; })"
SETTLED = """async () => {
  document.querySelectorAll("img[loading=lazy]").forEach((image) => { image.loading = "eager"; });
  await (window.MathJax && MathJax.startup ? MathJax.startup.promise : null);
  await document.fonts.ready;
}"""


def pages_in_order(site: Path) -> list[tuple[str, str]]:
    """Return the pages of a site as (path in it, title), the first page first, as its contents list them.

    Raises
    ------
    InputError
        If the folder holds no book.
    """
    from bs4 import BeautifulSoup

    start = site / "book" / "index.html"
    if not start.is_file():
        raise InputError(
            f"no built book at {site}: build one with  tokengeom book, or name the folder html of another build"
        )
    found: dict[str, str] = {}
    for link in BeautifulSoup(start.read_text(encoding="utf-8"), "html.parser").select("nav.bd-links a.internal"):
        address = urlsplit(str(link.get("href")))
        page = (start.parent / unquote(address.path)).resolve() if address.path else start.resolve()
        found.setdefault(page.relative_to(site.resolve()).as_posix(), link.get_text(" ", strip=True))
    return list({"book/index.html": "The Geometry of Tokens", **found}.items())


def write_pdf(site: str | Path, out: str | Path, solutions: bool = False) -> int:
    """Write a built site as one PDF.

    Parameters
    ----------
    site : path
        The folder ``html`` of a build.
    out : path
        The file to write.
    solutions : bool, default: False
        Also print the solutions of the exercises.

    Returns
    -------
    int
        Number of sheets.

    Raises
    ------
    InputError
        If there is no site, or no browser.
    """
    from pypdf import PdfReader, PdfWriter

    site, out = Path(site).resolve(), Path(out)
    order, writer, starts = pages_in_order(site), PdfWriter(), {}
    with _browser() as browser, track("pages", len(order)) as advance:
        for number, (name, title) in enumerate(order, 1):
            starts[name] = len(writer.pages)
            writer.append(PdfReader(io.BytesIO(_print(browser, site / name, solutions))), outline_item=title)
            advance(number)
    _link(writer, site, starts)
    writer.add_metadata({"/Title": "The Geometry of Tokens", "/Creator": f"Token Geometry {__version__}"})
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent) as scratch:  # a temporary file is readable by its owner alone
        writer.write(made := Path(scratch, out.name))
        made.replace(out)
    say(f"{out}: {len(writer.pages)} pages, {out.stat().st_size / 1e6:.1f} MB")
    return len(writer.pages)


@contextmanager
def _browser() -> "Iterator[Browser]":
    """A headless browser of this machine."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        raise InputError("a PDF needs playwright and pypdf: install them with  pip install playwright pypdf") from None
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    if not path:
        raise InputError("a PDF needs Chromium or Chrome, and none is installed (Debian: apt-get install chromium)")
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu", "--no-first-run"])
        yield browser
        browser.close()


def _print(browser, page, solutions):
    """One page of the site as a PDF."""
    tab = browser.new_page(color_scheme="light", reduced_motion="reduce")
    try:
        tab.goto(page.as_uri(), wait_until="load")
        tab.evaluate(SETTLED)
        if solutions:
            tab.evaluate(OPEN_SOLUTIONS)
        margin = dict.fromkeys(("top", "bottom", "left", "right"), MARGIN)
        return tab.pdf(format="A4", margin=margin, scale=SCALE, outline=True, tagged=True, print_background=True)
    finally:
        tab.close()


def _link(writer: Any, site: Path, starts: dict[str, int]) -> None:
    """Let links between the pages of the site lead to their place in the PDF, and drop those to other files."""
    from pypdf.generic import ArrayObject, NameObject

    for sheet in writer.pages:
        kept = ArrayObject()
        for reference in sheet.get("/Annots", ()):
            note = reference.get_object()
            address = urlsplit(str(note.get("/A", {}).get("/URI", "")))
            if address.scheme == "file":
                target = Path(unquote(address.path))
                name = target.relative_to(site).as_posix() if target.is_relative_to(site) else ""
                if name not in starts:
                    continue
                first = writer.pages[starts[name]].indirect_reference
                del note["/A"]
                note[NameObject("/Dest")] = ArrayObject([first, NameObject("/Fit")])
            kept.append(reference)
        if "/Annots" in sheet:
            sheet[NameObject("/Annots")] = kept
