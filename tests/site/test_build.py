"""The whole way on two prompts with the real model: survey, papermill, jupyter-book."""

import hashlib
import html
import io
import os
import re
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import nbformat
import numpy as np
import pandas as pd
import pytest
import yaml
from conftest import PROJECT, TINY
from tokengeom_utils.site.build import build_book, chapters
from tokengeom_utils.errors import BuildError, InputError

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


def figure_names(out, stem):
    notebook = nbformat.read(out / "chapters" / f"{stem}.ipynb", 4)
    return [cell.metadata["mystnb"]["figure"]["name"] for cell in notebook.cells
            if any("image/svg+xml" in output.get("data", {}) for output in cell.get("outputs", []))]


def downloads(out, stem):
    """{file name: path} of everything that a page offers for download."""
    links = re.findall(r'download="" href="(\.\./_downloads/[^"]+)"', pages(out)[stem])
    return {Path(link).name: (out / "html" / "notebooks" / link).resolve() for link in links}


@pytest.mark.parametrize("source", SOURCES, ids=lambda s: s.stem)
def test_under_each_figure_a_box_tells_how_to_make_it_again(book, source):
    project, out = book
    names, page = figure_names(out, source.stem), pages(out)[source.stem]
    boxes = [html.unescape(re.sub("<[^>]+>", "", box))
             for box in re.findall(r'<details class="[^"]*reproduce">.*?</details>', page, re.S)]
    assert len(boxes) == len(names)
    files = downloads(out, source.stem)
    about = nbformat.read(out / "chapters" / f"{source.stem}.ipynb", 4).metadata["tokengeom"]
    for name, box in zip(names, boxes):
        table = files[f"{name}.csv"].read_bytes()
        assert hashlib.sha256(table).hexdigest()[:16] in box and f"{name}.csv" in box
        assert hashlib.sha256((project / "notebooks" / source.name).read_bytes()).hexdigest()[:16] in box
        for part in ("package", "survey", "data"):
            assert about["key"][part][:16] in box
        given = re.search(r"papermill \S+\.ipynb executed\.ipynb -k python3 -y '(\{.*\})'", box)
        assert yaml.safe_load(given[1]) == about["parameters"]
        assert f"{about['seconds']:.0f} s" in box and ("seed" not in about["parameters"] or "seed 42" in box)


@pytest.mark.parametrize("source", SOURCES, ids=lambda s: s.stem)
def test_the_data_of_every_figure_can_be_downloaded(book, source):
    _, out = book
    files = downloads(out, source.stem)
    for name in figure_names(out, source.stem):
        table = pd.read_csv(files[f"{name}.csv"])
        if table.empty and name in ("fig-loss-bootstrap", "fig-loss-map"):
            continue  # two prompts have no correlation: the figure says so in words
        numbers = table.select_dtypes("number").drop(columns=["panel", "series", "part"], errors="ignore")
        assert len(table) and {"panel", "kind"} <= set(table) and numbers.size
        assert np.isfinite(numbers.to_numpy(float)).any(axis=1).mean() > 0.5
    if figure_names(out, source.stem):
        notebook = nbformat.read(files[f"{source.stem}.ipynb"], 4)
        nbformat.validate(notebook)
        assert all("text/csv" not in output.get("data", {}) for c in notebook.cells for output in c.get("outputs", []))


def test_the_data_of_a_figure_are_the_numbers_of_the_survey(book):
    from tokengeom_utils.surveys.results import open_results

    _, out = book
    survey = open_results(out / "survey.zarr").sel(shuffle=0)
    table = pd.read_csv(downloads(out, "cosine_similarity")["fig-cosine-depth.csv"])
    curve = table[table.label == f"mean of {survey.sizes['prompt']} prompts"]
    np.testing.assert_array_equal(curve.y, survey.cosine_similarity.mean("prompt"))
    np.testing.assert_array_equal(curve.x, survey.layer / survey.layer.max())
    table = pd.read_csv(downloads(out, "intrinsic_dimension")["fig-id-depth.csv"])
    curve = table[table.label == f"mean of {survey.sizes['prompt']} prompts"]
    np.testing.assert_allclose(curve.y, survey.intrinsic_dimension.sel(scale=2).mean("prompt")[1:], rtol=1e-12)


def test_the_command_in_a_box_makes_the_same_figure(book):
    project, out = book
    stem, name = "the_paper_in_one_page", figure_names(out, "the_paper_in_one_page")[0]
    staged = nbformat.read(downloads(out, stem)[f"{stem}.ipynb"], 4)
    box = next(cell.source for cell in staged.cells if f"{name}.csv" in cell.source)
    command = re.search(r"~~~bash\n(.*?)~~~", box, re.S)[1]
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    subprocess.run(["bash", "-ec", command], cwd=project / "notebooks", check=True, capture_output=True,
                   env=os.environ | {"PATH": path})
    made = nbformat.read(project / "notebooks" / "executed.ipynb", 4)
    tables = [output.data["text/csv"] for cell in made.cells for output in cell.get("outputs", [])
              if "text/csv" in output.get("data", {})]
    for file in (f"{stem}.ipynb", "executed.ipynb"):
        (project / "notebooks" / file).unlink()
    pd.testing.assert_frame_equal(pd.read_csv(io.StringIO(tables[0])),
                                  pd.read_csv(downloads(out, stem)[f"{name}.csv"]), rtol=1e-9)


def test_the_parameters_of_the_profile_reached_the_pages(book):
    page = pages(book[1])["extraction"]
    assert "256" in page and "Rerun this chapter" in page


def test_figures_statements_and_exercises_are_numbered_by_chapter(book):
    made = pages(book[1])
    for number, source in enumerate(chapters(PROJECT), 1):
        page = made[source.stem]
        found = re.findall(r'<span class="caption-number">\s*(?:Fig\.|Exercise|Definition|Proposition|Theorem) ([\d.]+)', page)
        assert {int(one.split(".")[0]) for one in found} <= {number}
        assert re.search(rf'<h1><span class="section-number">{number}\.', page)


def test_pages_need_no_network(book):
    for path in (book[1] / "html").rglob("*.html"):
        page = path.read_text()
        loaded = re.findall(r'<(?:script|img|iframe|source)[^>]+src="([^"]+)"', page)
        loaded += re.findall(r'<link[^>]+rel="(?:stylesheet|preload|icon)"[^>]*href="([^"]+)"', page)
        assert not [address for address in loaded if address.startswith(("http:", "https:", "//"))], path


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
    source = project / "notebooks" / "cosine_similarity.md"
    source.write_text(source.read_text() + "\nA sentence that was not there before.\n")
    build_book(TINY, project, out)
    assert "cosine_similarity (source)" in capsys.readouterr().out
    changed = {p.name for p in (out / "chapters").glob("*.ipynb") if made[p.name] != p.stat().st_mtime_ns}
    assert changed == {"cosine_similarity.ipynb"}
    assert "A sentence that was not there before." in pages(out)["cosine_similarity"]


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
    source = project / "notebooks" / "cosine_similarity.md"
    before = snapshot(out)
    broken = source.read_text() + '\n```{code-cell} ipython3\nraise KeyError("a broken cell")\n```\n'
    with changed(source, broken), pytest.raises(BuildError) as error:
        build_book(TINY, project, out)
    message = str(error.value)
    assert "cosine_similarity.md, cell" in message and "KeyError" in message and "a broken cell" in message
    assert snapshot(out) == before
    build_book(TINY, project, out)  # mended: nothing of the failure is left
    assert "chapters: nothing has changed" in capsys.readouterr().out
    assert snapshot(out) == before


def test_a_cell_that_writes_to_stderr_is_named(book):
    project, out = book
    source = project / "notebooks" / "cosine_similarity.md"
    noisy = source.read_text() + '\n```{code-cell} ipython3\nimport warnings\nwarnings.warn("a noise")\n```\n'
    with changed(source, noisy), pytest.raises(BuildError, match="(?s)cosine_similarity.md.*stderr.*a noise"):
        build_book(TINY, project, out)


def test_a_warning_of_sphinx_stops_the_build_and_leaves_the_site(book):
    project, out = book
    before = snapshot(out)
    with changed(project / "book" / "rerun.md", "# Broken\n\n{doc}`no-such-page`\n"):
        with pytest.raises(BuildError, match="no-such-page"):
            build_book(TINY, project, out)
    assert snapshot(out) == before


def test_what_cannot_be_shown_is_refused_before_anything_is_measured(tmp_path):
    with pytest.raises(InputError, match="several: choose by --model one of meta-llama"):
        build_book("paper", PROJECT, tmp_path / "out")
    with pytest.raises(InputError, match="has n_tokens 1024, the profile tiny 256"):
        build_book(TINY, PROJECT, tmp_path / "out", results="standard")
    assert not (tmp_path / "out").exists()
