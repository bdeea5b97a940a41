"""An end-to-end build on two prompts with the real model: survey, papermill, Jupyter Book."""

import hashlib
import html
import io
import os
import re
import subprocess
import sys
from contextlib import contextmanager, redirect_stdout
from pathlib import Path

import nbformat
import numpy as np
import pandas as pd
import pytest
from conftest import PROJECT, TINY

from tokengeom_utils.errors import BuildError, InputError
from tokengeom_utils.site.build import build_book, chapters
from tokengeom_utils.site.build import kernels as kernels_module
from tokengeom_utils.site.build.contents import read_chapter
from tokengeom_utils.site.build.execute import Run, execute_chapter
from tokengeom_utils.site.build.rerun import rerun_commands

SOURCES = chapters(PROJECT)


def chapter_with(figure):
    """The name of the chapter that draws a figure, so that no test depends on file names."""
    (found,) = [path.stem for path in SOURCES if re.search(rf"^ +name: {figure}$", path.read_text(), re.M)]
    return found


COSINE = chapter_with("fig-cosine-depth")


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
    return [
        cell.metadata["mystnb"]["figure"]["name"]
        for cell in notebook.cells
        if any("image/svg+xml" in output.get("data", {}) for output in cell.get("outputs", []))
    ]


def downloads(out, stem):
    """{file name: path} of everything that a page offers for download."""
    links = re.findall(r'download="" href="(\.\./_downloads/[^"]+)"', pages(out)[stem])
    return {Path(link).name: (out / "html" / "notebooks" / link).resolve() for link in links}


@pytest.mark.parametrize("source", SOURCES, ids=lambda s: s.stem)
def test_a_box_under_each_figure_shows_how_to_reproduce_it(book, source):
    project, out = book
    names, page = figure_names(out, source.stem), pages(out)[source.stem]
    boxes = [
        html.unescape(re.sub("<[^>]+>", "", box)).replace("\u00a0", " ")
        for box in re.findall(r'<details class="[^"]*reproduce">.*?</details>', page, re.S)
    ]
    assert len(boxes) == len(names)
    files = downloads(out, source.stem)
    about = nbformat.read(out / "chapters" / f"{source.stem}.ipynb", 4).metadata["tokengeom"]
    for name, box in zip(names, boxes, strict=True):
        table = files[f"{name}.csv"].read_bytes()
        assert hashlib.sha256(table).hexdigest()[:16] in box and f"{name}.csv" in box
        assert hashlib.sha256((project / "notebooks" / source.name).read_bytes()).hexdigest()[:16] in box
        assert {"package", "versions", *read_chapter(source).inputs} <= set(about["key"])
        for part, value in about["key"].items():
            assert f"{part} {value[:16]}" in box
        assert all(line in box for line in rerun_commands(source.stem, about["parameters"]).splitlines())
        assert f"{about['seconds']:.0f} s" in box and ("seed" not in about["parameters"] or "seed 42" in box)


@pytest.mark.parametrize("source", SOURCES, ids=lambda s: s.stem)
def test_every_figure_offers_its_data(book, source):
    _, out = book
    files = downloads(out, source.stem)
    for name in figure_names(out, source.stem):
        table = pd.read_csv(files[f"{name}.csv"])
        if table.empty and name in ("fig-loss-bootstrap", "fig-loss-domain-depth", "fig-loss-map"):
            continue  # two prompts have no correlation: the figure holds only text
        numbers = table.select_dtypes("number").drop(columns=["panel", "series", "part"], errors="ignore")
        assert len(table) and {"panel", "kind"} <= set(table) and numbers.size
        assert np.isfinite(numbers.to_numpy(float)).any(axis=1).mean() > 0.5
    if figure_names(out, source.stem):
        notebook = nbformat.read(files[f"{source.stem}.ipynb"], 4)
        nbformat.validate(notebook)
        assert all("text/csv" not in output.get("data", {}) for c in notebook.cells for output in c.get("outputs", []))


def test_the_data_of_a_figure_equal_the_survey(book):
    from tokengeom_utils.surveys.results import open_results

    _, out = book
    survey = open_results(out / "survey.zarr").sel(shuffle=0)
    table = pd.read_csv(downloads(out, COSINE)["fig-cosine-depth.csv"])
    curve = table[table.label == f"mean of {survey.sizes['prompt']} prompts"]
    np.testing.assert_array_equal(curve.y, survey.cosine_similarity.mean("prompt"))
    np.testing.assert_array_equal(curve.x, survey.layer / survey.layer.max())
    table = pd.read_csv(downloads(out, chapter_with("fig-id-depth"))["fig-id-depth.csv"])
    curve = table[table.label == f"mean of {survey.sizes['prompt']} prompts"]
    np.testing.assert_allclose(curve.y, survey.intrinsic_dimension.sel(scale=2).mean("prompt")[1:], rtol=1e-12)


def test_the_command_in_a_box_reproduces_the_figure(book):
    project, out = book
    stem = SOURCES[0].stem
    name = figure_names(out, stem)[0]
    staged = nbformat.read(downloads(out, stem)[f"{stem}.ipynb"], 4)
    box = next(cell.source for cell in staged.cells if f"{name}.csv" in cell.source)
    command = re.search(r"~~~bash\n(.*?)~~~", box, re.S)[1]
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    subprocess.run(
        ["sh", "-ec", command],
        cwd=project,
        check=True,
        capture_output=True,
        env=os.environ | {"PATH": path},
    )
    made = nbformat.read(project / "_build" / "rerun" / f"{stem}.ipynb", 4)
    tables = [
        output.data["text/csv"]
        for cell in made.cells
        for output in cell.get("outputs", [])
        if "text/csv" in output.get("data", {})
    ]
    assert not list((project / "notebooks").glob("*.ipynb"))
    pd.testing.assert_frame_equal(
        pd.read_csv(io.StringIO(tables[0])), pd.read_csv(downloads(out, stem)[f"{name}.csv"]), rtol=1e-9
    )


def test_the_parameters_of_the_profile_reach_the_pages(book):
    page = pages(book[1])[chapter_with("fig-token-norms")]
    assert "256" in page and "Rerun this chapter" in page


def test_figures_statements_and_exercises_are_numbered_by_chapter(book):
    project, out = book
    for number, source in enumerate(chapters(project), 1):
        page = pages(out)[source.stem]
        found = re.findall(
            r'<span class="caption-number">\s*(?:Fig\.|Exercise|Definition|Proposition|Theorem) ([\d.]+)', page
        )
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
    assert (book[1] / "html" / "_static" / "mathjax" / "startup.js").is_file()


@contextmanager
def changed(path, text):
    """A source file with other text, for a while."""
    before = path.read_text()
    path.write_text(text)
    try:
        yield
    finally:
        path.write_text(before)


def with_cell(path, code):
    """The text of a chapter with one more cell at its end."""
    return f"{path.read_text()}\n```{{code-cell}} ipython3\n{code}\n```\n"


def test_a_second_build_changes_nothing(book, capsys):
    project, out = book
    before = snapshot(out)
    build_book(TINY, project, out)
    output = capsys.readouterr().out
    assert "chapters: up to date" in output and "site: up to date" in output
    assert snapshot(out) == before


@pytest.fixture(scope="module")
def edited(book):
    """The book after edits of a chapter, of an input, and of the order: (output, executed chapters)."""
    project, out = book
    made = {path.stem: path.stat().st_mtime_ns for path in (out / "chapters").glob("*.ipynb")}
    for path in (project / "notebooks" / f"{COSINE}.md", project / "README.md"):
        path.write_text(path.read_text() + "\nA sentence that was not there before.\n")
    toc = project / "_toc.yml"
    first, second = (f"      - file: notebooks/{path.stem}\n" for path in SOURCES[1:3])
    toc.write_text(toc.read_text().replace(first + second, second + first))
    with redirect_stdout(io.StringIO()) as output:
        build_book(TINY, project, out)
    again = {path.stem for path in (out / "chapters").glob("*.ipynb") if made[path.stem] != path.stat().st_mtime_ns}
    return output.getvalue(), again


def test_only_a_changed_chapter_and_readers_of_a_changed_input_run_again(book, edited):
    output, again = edited
    (reader,) = [path.stem for path in SOURCES if "README.md" in read_chapter(path).inputs]
    assert again == {COSINE, reader}
    assert re.search(rf"^  {COSINE} \d+ s \(changed: source\)$", output, re.M)
    assert re.search(rf"^  {reader} \d+ s \(changed: README.md\)$", output, re.M)
    assert "A sentence that was not there before." in pages(book[1])[COSINE]


def test_a_moved_chapter_has_a_new_number_and_does_not_run_again(book, edited):
    project, _ = book
    assert [path.stem for path in chapters(project)[1:3]] == [SOURCES[2].stem, SOURCES[1].stem]
    assert not edited[1] & {path.stem for path in SOURCES[1:3]}
    test_figures_statements_and_exercises_are_numbered_by_chapter(book)


def test_a_build_reports_where_the_time_goes(edited):
    output, again = edited
    slowest = re.search(r"^  slowest: (\w+) (\d+) s, (\w+) (\d+) s$", output, re.M)
    assert {slowest[1], slowest[3]} == again and int(slowest[2]) >= int(slowest[4])
    assert re.search(r"^survey \d+ s  explorer \d+ s  chapters \d+ s  site \d+ s  total \d+ s$", output, re.M)


def test_the_site_holds_the_clouds_of_the_explorer(book):
    """Two prompts at three degrees, each with all its layers; a later build writes none of them again."""
    shipped = {path.name for path in (book[1] / "html" / "_static" / "explorer").iterdir()}
    assert shipped == {"index.js", *(f"{prompt}-{degree}.js" for prompt in (0, 1) for degree in (0, 1, 2))}
    assert '"layers":31' in (book[1] / "html" / "_static" / "explorer" / "index.js").read_text(encoding="utf-8")


def test_a_failing_cell_stops_the_build_and_leaves_the_site(book, capsys):
    project, out = book
    source = project / "notebooks" / f"{COSINE}.md"
    before = snapshot(out)
    with changed(source, with_cell(source, 'raise KeyError("a broken cell")')), pytest.raises(BuildError) as error:
        build_book(TINY, project, out)
    message = str(error.value)
    assert f"{COSINE}.md, cell" in message and "KeyError" in message and "a broken cell" in message
    assert snapshot(out) == before
    build_book(TINY, project, out)  # once repaired, nothing of the failure is left
    assert "chapters: up to date" in capsys.readouterr().out
    assert snapshot(out) == before


def test_a_cell_that_writes_to_stderr_is_named(book):
    project, out = book
    source = project / "notebooks" / f"{COSINE}.md"
    noisy = with_cell(source, 'import warnings\nwarnings.warn("a noise")')
    with changed(source, noisy), pytest.raises(BuildError, match=f"(?s){COSINE}.md.*stderr.*a noise"):
        build_book(TINY, project, out)


@pytest.mark.parametrize("forks", [True, pytest.param(False, marks=pytest.mark.long)])
def test_a_chapter_must_declare_what_it_reads(book, forks, monkeypatch):
    """With the kernels of either kind, whichever this system uses."""
    monkeypatch.setattr(kernels_module, "FORKS", forks and kernels_module.FORKS)
    project, out = book
    source = project / "notebooks" / f"{COSINE}.md"
    curious = with_cell(
        source, 'from pathlib import Path\nlen(Path("../README.md").read_text()), open("../CONTRIBUTING.md")'
    )
    missing = f"^{COSINE}.md reads CONTRIBUTING.md, README.md without declaring it"
    with changed(source, curious), pytest.raises(BuildError, match=missing):
        build_book(TINY, project, out)
    declared = source.read_text().replace("  inputs: [", "  inputs: [no_such_file.md, ")
    missing = f"^{COSINE}.md declares the input no_such_file.md, which does not exist"
    with changed(source, declared), pytest.raises(BuildError, match=missing):
        build_book(TINY, project, out)


def test_a_forked_kernel_computes_the_same(book, tmp_path, monkeypatch):
    """A chapter in a kernel that imported everything itself has the same outputs."""
    monkeypatch.setattr(kernels_module, "FORKS", False)
    project, out = book
    source, target = project / "notebooks" / f"{COSINE}.md", tmp_path / "cold.ipynb"
    warm = nbformat.read(out / "chapters" / f"{COSINE}.ipynb", 4)
    given = warm.metadata["tokengeom"]["parameters"]
    run = Run(read_chapter(source), given, {}, target, "", 0.0)
    with kernels_module.Kernels() as kernels:
        execute_chapter(run, kernels, project, tmp_path, out / "survey.zarr")
    cold = nbformat.read(target, 4)
    outputs = [[output for cell in made.cells for output in cell.get("outputs", [])] for made in (warm, cold)]
    assert len(outputs[0]) == len(outputs[1]) > 5
    for ours, theirs in zip(*outputs, strict=True):
        for kind in ("text/csv", "text/plain", "text/markdown"):
            assert ours.get("data", {}).get(kind) == theirs.get("data", {}).get(kind)


@pytest.mark.long
def test_a_sphinx_warning_stops_the_build_and_leaves_the_site(book):
    project, out = book
    before = snapshot(out)
    page = project / "book" / "rerun.md"
    broken = "# Broken\n\n{doc}`no-such-page`\n"
    with changed(page, broken), pytest.raises(BuildError, match="no-such-page"):
        build_book(TINY, project, out)
    assert snapshot(out) == before


def test_bad_input_is_refused_before_anything_is_measured(tmp_path):
    with pytest.raises(InputError, match="several: choose one with --model, out of meta-llama"):
        build_book("paper", PROJECT, tmp_path / "out")
    with pytest.raises(InputError, match="has n_tokens 1024, the profile tiny has 256"):
        build_book(TINY, PROJECT, tmp_path / "out", results="standard")
    assert not (tmp_path / "out").exists()
