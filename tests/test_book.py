"""The whole way on two prompts with the real model: survey, papermill, jupyter-book."""

import re
from contextlib import contextmanager

import nbformat
import pytest
from conftest import PROJECT, TINY
from tokengeom_utils.book import build_book, chapters
from tokengeom_utils.errors import BuildError

SOURCES = chapters(PROJECT)


def pages(out):
    return {path.stem: path.read_text() for path in (out / "html" / "notebooks").glob("*.html")}


def snapshot(out):
    return {p.relative_to(out): p.stat().st_mtime_ns for p in (out / "html").rglob("*") if p.is_file()}


def test_every_chapter_has_its_page(book):
    _, out = book
    assert set(pages(out)) == {s.stem for s in SOURCES} and len(SOURCES) >= 10
    assert (out / "html" / "index.html").is_file()


@pytest.mark.parametrize("source", SOURCES, ids=lambda s: s.stem)
def test_executed_chapter_is_clean(book, source):
    _, out = book
    notebook = nbformat.read(out / "chapters" / f"{source.stem}.ipynb", 4)
    outputs = [o for cell in notebook.cells for o in cell.get("outputs", [])]
    assert outputs
    for output in outputs:
        assert output.output_type != "error" and output.get("name") != "stderr"
        assert "it/s]" not in output.get("text", "") and "Warning" not in output.get("text", "")
    tags = [tag for cell in notebook.cells for tag in cell.metadata.get("tags", [])]
    assert tags.count("injected-parameters") == 1 and "parameters" not in tags
    assert str(out) not in nbformat.writes(notebook) and str(PROJECT) not in nbformat.writes(notebook)
    nbformat.validate(notebook)


@pytest.mark.parametrize("source", SOURCES, ids=lambda s: s.stem)
def test_page_shows_its_figures_with_alternative_texts(book, source):
    page = pages(book[1])[source.stem]
    figures = re.findall(r"<figure.*?</figure>", page, re.S)
    for figure in figures:
        assert re.search(r'alt="(?!\.\./)[^"]{20,}"', figure), figure[:300]
        assert "<figcaption>" in figure
    for name in re.findall(r'src="(\.\./_images/[^"]+)"', page):
        assert (book[1] / "html" / "notebooks" / name).resolve().is_file()


def test_the_parameters_of_the_profile_reached_the_pages(book):
    page = pages(book[1])["04_extraction"]
    assert "256" in page and "Rerun this chapter" in page


def test_formulas_need_no_network(book):
    for page in pages(book[1]).values():
        scripts = re.findall(r'<script[^>]+src="([^"]+)"', page)
        assert not [s for s in scripts if s.startswith(("http:", "https:", "//"))]
        if 'class="math' in page:
            assert any(s.startswith("../_static/mathjax/") for s in scripts)
    assert (book[1] / "html" / "_static" / "mathjax" / "tex-chtml.js").is_file()


def test_a_second_build_changes_nothing(book, capsys):
    project, out = book
    before = snapshot(out)
    build_book(TINY, project, out)
    said = capsys.readouterr().out
    assert "chapters: nothing has changed" in said and "site: nothing has changed" in said
    assert snapshot(out) == before


def test_a_changed_chapter_is_the_only_one_that_runs_again(book, capsys):
    project, out = book
    made = {p.name: p.stat().st_mtime_ns for p in (out / "chapters").glob("*.ipynb")}
    source = project / "notebooks" / "05_cosine_similarity.md"
    source.write_text(source.read_text() + "\nA sentence that was not there before.\n")
    build_book(TINY, project, out)
    assert "05_cosine_similarity (source)" in capsys.readouterr().out
    changed = {p.name for p in (out / "chapters").glob("*.ipynb") if made[p.name] != p.stat().st_mtime_ns}
    assert changed == {"05_cosine_similarity.ipynb"}
    assert "A sentence that was not there before." in pages(out)["05_cosine_similarity"]


@contextmanager
def changed(source, text):
    """A source file with other text, for a while."""
    before = source.read_text()
    source.write_text(text)
    try:
        yield
    finally:
        source.write_text(before)


def test_a_failing_cell_stops_the_build_and_leaves_the_site(book, capsys):
    project, out = book
    source = project / "notebooks" / "05_cosine_similarity.md"
    before = snapshot(out)
    broken = source.read_text() + '\n```{code-cell} ipython3\nraise KeyError("a broken cell")\n```\n'
    with changed(source, broken), pytest.raises(BuildError) as error:
        build_book(TINY, project, out)
    message = str(error.value)
    assert "05_cosine_similarity.md, cell" in message and "KeyError" in message and "a broken cell" in message
    assert snapshot(out) == before
    build_book(TINY, project, out)  # mended: nothing of the failure is left
    assert "chapters: nothing has changed" in capsys.readouterr().out
    assert snapshot(out) == before


def test_a_cell_that_writes_to_stderr_is_named(book):
    project, out = book
    source = project / "notebooks" / "05_cosine_similarity.md"
    noisy = source.read_text() + '\n```{code-cell} ipython3\nimport warnings\nwarnings.warn("a noise")\n```\n'
    with changed(source, noisy), pytest.raises(BuildError, match="(?s)05_cosine_similarity.md.*stderr.*a noise"):
        build_book(TINY, project, out)


def test_a_warning_of_sphinx_stops_the_build_and_leaves_the_site(book):
    project, out = book
    before = snapshot(out)
    with changed(project / "book" / "rerun.md", "# Broken\n\n{doc}`no-such-page`\n"):
        with pytest.raises(BuildError, match="no-such-page"):
            build_book(TINY, project, out)
    assert snapshot(out) == before
