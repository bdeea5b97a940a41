"""The built site as one PDF: in the order of its contents, with an outline, and with links that stay inside."""

import pytest
from browsing import browser

from tokengeom_utils import InputError
from tokengeom_utils.site.pdf import pages_in_order, write_pdf

PAGE = """<!DOCTYPE html><html><head><title>{title}</title></head><body><nav class="bd-links">
<a class="reference internal" href="{up}book/index.html">The Geometry of Tokens</a>
<a class="reference internal" href="{up}notebooks/second.html">Second</a>
<a class="reference internal" href="{up}notebooks/first.html">First</a>
<a class="reference external" href="https://arxiv.org">elsewhere</a></nav>
<main><h1>{title}</h1><h2>A section of {title}</h2><a href="first.html#part">a link</a> <a href="first.csv">a file</a>
<a href="https://arxiv.org">the paper</a>
<details class="solution"><summary>Solution</summary><p>the answer of {title}</p></details></main></body></html>"""


@pytest.fixture
def site(tmp_path):
    for name, title in (("book/index", "Start"), ("notebooks/first", "First"), ("notebooks/second", "Second")):
        path = tmp_path / "html" / f"{name}.html"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(PAGE.format(title=title, up="" if name == "book/index" else "../").replace('"book/', '"'))
    start = tmp_path / "html" / "book" / "index.html"
    start.write_text(start.read_text().replace('href="notebooks', 'href="../notebooks'))
    return tmp_path / "html"


def test_the_order_is_that_of_the_contents(site):
    assert [name for name, _ in pages_in_order(site)] == [
        "book/index.html",
        "notebooks/second.html",
        "notebooks/first.html",
    ]


def test_a_folder_without_a_book_is_named(tmp_path):
    with pytest.raises(InputError, match=r"no built book at .*: build one with"):
        write_pdf(tmp_path, tmp_path / "book.pdf")


def test_one_file_with_an_outline_and_links_inside(site, tmp_path):
    pypdf = pytest.importorskip("pypdf", reason="no PDF: pypdf is not installed")
    with browser():  # skips without one
        pass
    out = tmp_path / "made" / "book.pdf"
    assert write_pdf(site, out) == 3 and [p.name for p in out.parent.iterdir()] == ["book.pdf"]
    (plain := tmp_path / "plain").touch()
    assert out.stat().st_mode == plain.stat().st_mode  # others may read it as any file
    book = pypdf.PdfReader(out)
    titles = [one.title for one in book.outline if not isinstance(one, list)]
    assert titles == ["The Geometry of Tokens", "Second", "First"]
    nested = [one.title for part in book.outline if isinstance(part, list) for one in part if not isinstance(one, list)]
    assert "Second" in nested
    assert "answer" not in "".join(page.extract_text() for page in book.pages)
    assert b"file:" not in out.read_bytes()
    links = [note.get_object() for note in book.pages[1]["/Annots"]]
    inside = [note for note in links if "/Dest" in note]
    assert [book.get_page_number(note["/Dest"][0].get_object()) for note in inside] == [0, 1, 2, 2]
    assert any("arxiv.org" in str(note.get("/A", {}).get("/URI", "")) for note in links)
    write_pdf(site, out, solutions=True)
    assert "the answer of First" in pypdf.PdfReader(out).pages[2].extract_text()
