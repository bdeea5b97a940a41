"""Interactive forms of figures: they show what the shipped tables hold, and everybody can use them.

The pages are stand-ins for three chapters: their own cells draw the figures from the bundled survey, and Sphinx builds
them with the extensions of the book. They are opened from files and over http.
"""

import ast
import csv
import io
import re
import subprocess
import sys
import zlib
from base64 import b64decode
from urllib.parse import parse_qs

import browsing
import jupytext
import matplotlib
import matplotlib.pyplot as plt
import nbformat
import numpy as np
import pandas as pd
import pytest
from bs4 import BeautifulSoup
from conftest import PROJECT
from matplotlib.colors import to_hex
from test_comfort import contrast
from test_pages import extension

import tokengeom_utils as tg
from tokengeom_utils.errors import BuildError
from tokengeom_utils.site.build.pages import page_files
from tokengeom_utils.site.plotted import figure_csv
from tokengeom_utils.site.values import with_values

forms = extension("forms")
STEMS = ("shuffle_control", "intrinsic_dimension", "reproduction_report")
MEAN, MAP, SCALES, CLAIMS = "fig-shuffle-mean", "fig-shuffle-map", "fig-id-scales", "claims"
PAGE = {MEAN: STEMS[0], MAP: STEMS[0], SCALES: STEMS[1], CLAIMS: STEMS[2]}
#: what the cells that are run have in them; they need no model
RUN = {
    "shuffle_control": ("def published(", MEAN, "inner = shuffled", "fig-shuffle-order", MAP),
    "intrinsic_dimension": ("def plateau(", SCALES),
    "reproduction_report": ("VERDICTS = tg", "claims = tg.evaluate", "parts = tg.claims.parts_table", "ShippedTable"),
}
SHOWN = "## The claims, one by one"  #: the cell with the cards
ABOUT = {
    "tokengeom": {"key": {}, "parameters": {"profile": "standard"}, "seconds": 1.0},
    "language_info": {"name": "python", "pygments_lexer": "ipython3"},
}


def figure_of(cell):
    """The name of the figure that a cell draws."""
    return cell.metadata.get("mystnb", {}).get("figure", {}).get("name")


def run(cell, names):
    """Execute a cell, and return the outputs that a kernel would give."""
    code = ast.parse(cell.source)
    last = ast.Expression(code.body.pop().value) if isinstance(code.body[-1], ast.Expr) else None
    exec(compile(code, "cell", "exec"), names)
    value = eval(compile(last, "cell", "eval"), names) if last else None
    if figure_of(cell):
        picture = io.StringIO()
        plt.gcf().savefig(picture, format="svg")
        data = {"image/svg+xml": picture.getvalue(), "text/csv": figure_csv(plt.gcf())}
    elif isinstance(value, tg.figures.ShippedTable):
        data = {"text/plain": repr(value), "text/csv": value._repr_csv_()}
    else:
        return []
    return [nbformat.v4.new_output("execute_result", data)]


def stand_in(stem):
    """The cells of a chapter that draw figures with forms, as executed, and the names that they define."""
    chapter = jupytext.read(PROJECT / "notebooks" / f"{stem}.md", fmt="md:myst").cells
    wanted = [
        cell
        for cell in chapter
        if cell.cell_type == "code" and any(part in cell.source or part == figure_of(cell) for part in RUN[stem])
    ]
    names = {"survey": tg.open_results("standard")}
    names["L"] = int(names["survey"].layer.max())
    exec(next(cell.source for cell in chapter if "parameters" in cell.metadata.get("tags", ())), names)
    imports = [
        node
        for cell in chapter[:4]
        if cell.cell_type == "code"
        for node in ast.parse(cell.source).body
        if isinstance(node, ast.Import | ast.ImportFrom)
    ]
    exec(compile(ast.Module(imports, []), stem, "exec"), names)
    names |= {name: getattr(tg.figures, name) for name in ("OURS", "ACCENT", "NEUTRAL")}
    made = [nbformat.v4.new_markdown_cell(f"# {stem.replace('_', ' ')}\n\nA sentence.")]
    for cell in wanted:
        outputs = run(cell, names)
        if "tokengeom" in cell.metadata:
            if "table" in cell.metadata["tokengeom"]:
                made.append(nbformat.v4.new_markdown_cell(SHOWN))
            made.append(nbformat.v4.new_code_cell(cell.source, metadata=cell.metadata, outputs=outputs))
    plt.close("all")
    if stem == "reproduction_report":
        cards = next(cell.source for cell in chapter if "tg.claims.cards" in cell.source)
        text = with_values(
            cards[cards.index("{eval}`tg.claims.cards") :], lambda all_of: [str(eval(one, names)) for one in all_of]
        )
        made.append(nbformat.v4.new_markdown_cell(text))
    return nbformat.v4.new_notebook(cells=made, metadata=ABOUT), names


@pytest.fixture(scope="module")
def chapters(tmp_path_factory):
    """The stand-ins by chapter: the files of each page, and the names that its cells define."""
    matplotlib.use("agg")
    folder, found = tmp_path_factory.mktemp("chapters"), {}
    for stem in STEMS:
        notebook, names = stand_in(stem)
        nbformat.write(notebook, folder / f"{stem}.ipynb")
        found[stem] = page_files(folder / f"{stem}.ipynb"), names
    return found


@pytest.fixture(scope="module")
def tables(chapters):
    """The text of every CSV file, by name."""
    return {
        name.removesuffix(".csv"): text.decode()
        for files, _ in chapters.values()
        for name, text in files.items()
        if name.endswith(".csv")
    }


@pytest.fixture(scope="module")
def site(chapters, tmp_path_factory):
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("site")
    (source / "notebooks").mkdir()
    for files, _ in chapters.values():
        for name, content in files.items():
            (source / "notebooks" / name).write_bytes(content)
    (source / "index.md").write_text("# Index\n\n```{toctree}\n:glob:\n\nnotebooks/*\n```\n")
    (source / "conf.py").write_text(
        f"import sys\nsys.path.insert(0, {str(PROJECT / 'book' / 'extensions')!r})\nsys.dont_write_bytecode = True\n"
        "extensions = ['myst_nb', 'sphinx_design', 'forms', 'folds', 'markup', 'dark', 'lean']\n"
        "nb_execution_mode = 'off'\nmyst_enable_extensions = ['deflist', 'dollarmath']\n"
        f"html_favicon = {str(PROJECT / 'book' / '_static' / 'favicon.svg')!r}\n"
        "numfig = True\nhtml_theme = 'sphinx_book_theme'\nhtml_title = 'Book'\n"
        f"templates_path = [{str(PROJECT / 'book' / 'templates')!r}]\n"
        f"html_static_path = [{str(PROJECT / 'book' / '_static')!r}]\nhtml_css_files = ['book.css']\n"
        "html_js_files = [['book.js', {'defer': 'defer'}]]\nhtml_context = {'default_mode': 'auto'}\n"
    )
    command = [sys.executable, "-m", "sphinx", "-q", "-W", str(source), str(out)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return out


@pytest.fixture(scope="module")
def started():
    with browsing.browser() as found:
        yield found


@pytest.fixture(scope="module")
def base(site):
    with browsing.served(site) as address:
        yield address


@pytest.fixture
def opened(site, started, base):
    """Opens the page of a form, from its file unless told otherwise; the address may ask for settings of the form."""
    visits = []

    def visit(form, settings="", *, http=False, **options):
        context = started.new_context(**{"viewport": browsing.DESKTOP, "reduced_motion": "reduce", **options})
        name = f"notebooks/{PAGE[form]}.html" + (f"#{form}&{settings}" if settings else "")
        visits.append(browsing.Visit(context, base if http else site.resolve().as_uri(), name))
        return visits[-1]

    yield visit
    for one in visits:
        one.page.context.close()
        assert not one.findings, one.findings


def form_in(page, name):
    return page.locator(f".figure-form[data-table='{name}']")


def unfolded(visit, name):
    """A form, opened by a click."""
    form = form_in(visit.page, name)
    form.locator("summary").click()
    form.locator("svg").first.wait_for()
    return form


def asked(page):
    """The form that the address names, and its settings."""
    name, _, settings = page.evaluate("() => window.location.hash.slice(1)").partition("&")
    return name, {key: value[0] for key, value in parse_qs(settings).items()}


def digits(value):
    """A number as a form writes it."""
    return f"{float(value):#.3g}".rstrip(".").replace("-", "\N{MINUS SIGN}")


def frame(text):
    return pd.read_csv(io.StringIO(text))


# --- tables ---


def test_the_table_of_the_means_is_that_of_the_survey(tables):
    table, survey = frame(tables[MEAN]), tg.results.shuffled_prompts(tg.open_results("standard"))
    assert set(table.n) == {survey.sizes["prompt"]}
    for (panel, degree), line in table[table.kind == "line"].groupby(["panel", "label"]):
        values = survey.intrinsic_dimension.sel(
            scale=(2, 8, 64)[panel - 1], shuffle=int(degree[-1]), layer=slice(1, None)
        )
        mean, low, high = tg.statistics.mean_interval(values.transpose("layer", "prompt").values)
        band = table[(table.kind == "band") & (table.panel == panel) & (table.label == degree)]
        for found, wanted in ((line.y, mean), (band.y_low, low), (band.y_high, high)):
            np.testing.assert_array_equal(found, wanted)
    assert len(table) == 2 * 3 * survey.sizes["shuffle"] * (survey.sizes["layer"] - 1)


def test_the_table_of_the_scales_has_every_layer_of_the_survey(tables):
    table, survey = frame(tables[SCALES]), tg.open_results("standard").sel(shuffle=0)
    table = table[table.panel == 2]
    assert set(table.n) == {survey.sizes["prompt"]}
    for layer in range(1, int(survey.layer.max()) + 1):
        rows = table[table.label == f"layer {layer}"]
        mean, low, high = tg.statistics.mean_interval(
            survey.intrinsic_dimension.sel(layer=layer).transpose("scale", "prompt").values
        )
        np.testing.assert_array_equal(rows.y[rows.kind == "line"], mean)
        np.testing.assert_array_equal(rows[["y_low", "y_high"]][rows.kind == "band"], np.stack([low, high], 1))


def test_the_table_of_the_claims_has_every_part_of_the_ledger(tables, chapters):
    ledger, table = chapters["reproduction_report"][1]["claims"], frame(tables[CLAIMS])
    for claim in ledger:
        rows = table[table.claim == claim.number]
        assert set(rows.claim_verdict) == {claim.verdict} and set(rows.claim_twin) == {claim.twin}
        assert list(rows.part.dropna()) == [part.name for part in claim.parts]
        assert list(rows.outcome.dropna()) == [part.outcome for part in claim.parts]
        np.testing.assert_array_equal(rows.adjusted[rows.part.notna()], [part.adjusted for part in claim.parts])
    assert not table.subject.isin(["other"]).any() and table.subject.nunique() > 2


def test_a_page_loads_the_text_of_the_file_that_it_ships(site, tables):
    for name in PAGE:
        script = (site / "_static" / "tables" / f"{name}.js").read_text(encoding="utf-8")
        given, packed = re.fullmatch(r'window\.tokengeomTable\("(.*?)", "(.*)"\);\n', script).groups()
        text = zlib.decompress(b64decode(packed)).decode()
        assert given == name and text == tables[name]
        if name != CLAIMS:  # which a sentence of the chapter offers
            (shipped,) = (site / "_downloads").rglob(f"{name}.csv")
            assert shipped.read_text(encoding="utf-8") == text


def test_a_form_reads_every_field_of_a_table(opened, tables):
    page = opened(MEAN).page
    for name in PAGE:
        assert page.evaluate("(name) => Forms.load(name)", name) == list(csv.DictReader(io.StringIO(tables[name])))
    odd = 'a,"b, c",d\n1.0,"say ""no"", or\nnothing",\n,"",x\n'
    assert page.evaluate("(text) => Forms.parse(text)", odd) == list(csv.DictReader(io.StringIO(odd)))


def test_only_pages_with_forms_load_their_scripts(site):
    pages = {
        path.stem: path.read_text(encoding="utf-8") for path in [*site.glob("*.html"), *site.glob("notebooks/*.html")]
    }
    found = {stem: set(re.findall(r"(form\w*\.(?:js|css))", text)) for stem, text in pages.items()}
    assert {stem for stem, loaded in found.items() if loaded} == set(STEMS)
    assert found["shuffle_control"] == {"forms.js", "forms.css", "form_map.js"}
    assert not [stem for stem, text in pages.items() if "_static/tables/" in text]  # loaded when a form is opened
    place = BeautifulSoup(pages["shuffle_control"], "html.parser").find(attrs={"data-table": MEAN})
    assert place.has_attr("hidden") and not place.contents
    assert place.find_previous("figure")["id"] == MEAN and place.find_next("details")["class"][-1] == "reproduce"


def test_the_whole_book_has_the_forms(book):
    site, found = book[1] / "html", {}
    for path in sorted((site / "notebooks").glob("*.html")):
        for place in BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser").select(".figure-form"):
            found[place["data-table"]] = path.stem
            script = (site / "_static" / "tables" / f"{place['data-table']}.js").read_text(encoding="utf-8")
            (shipped,) = (site / "_downloads").rglob(f"{place['data-table']}.csv")
            assert script == forms.table_script(place["data-table"], shipped.read_bytes())
    assert found == PAGE


# --- the build ---


def test_a_form_without_a_table_or_a_script_stops_the_build(tmp_path):
    cells = [
        nbformat.v4.new_markdown_cell("# A page\n\nA sentence."),
        nbformat.v4.new_code_cell("1", metadata={"tokengeom": {"form": {"kind": "none"}, "table": "missing"}}),
    ]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), tmp_path / "index.ipynb")
    (tmp_path / "conf.py").write_text(
        f"import sys\nsys.path.insert(0, {str(PROJECT / 'book' / 'extensions')!r})\nsys.dont_write_bytecode = True\n"
        "extensions = ['myst_nb', 'forms']\nnb_execution_mode = 'off'\nhtml_theme = 'basic'\n"
    )
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", str(tmp_path), str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1
    assert "the form of missing has no table: missing.csv" in done.stderr
    assert "a form without a script: form_none.js" in done.stderr


def shipping(folder, *metadata):
    """A page whose cells ship a table each."""
    output = nbformat.v4.new_output("execute_result", {"text/csv": "x\n1\n", "text/plain": "A table"})
    cells = [nbformat.v4.new_code_cell("table", metadata=about, outputs=[output]) for about in metadata]
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=ABOUT), folder / "a.ipynb")
    return page_files(folder / "a.ipynb")


def test_a_table_that_ships_is_a_file_and_nothing_to_see(tmp_path):
    files = shipping(tmp_path, {"tokengeom": {"table": "mine"}})
    (cell,) = nbformat.reads(files["a.ipynb"].decode(), 4).cells
    assert files["mine.csv"] == b"x\n1\n" and cell.outputs == []
    with pytest.raises(BuildError, match="with a name"):
        shipping(tmp_path, {})
    with pytest.raises(BuildError, match="two tables are named mine"):
        shipping(tmp_path, *[{"tokengeom": {"table": "mine"}}] * 2)


# --- the heat map ---


def test_the_cells_of_the_map_are_those_of_the_table(opened, tables):
    visit, table = opened(MEAN), frame(tables[MEAN])
    form = unfolded(visit, MEAN)
    scaling = form.get_by_label("Range scaling")
    assert scaling.locator("option").all_inner_texts() == ["2", "8", "64"]
    for panel in (1, 2, 3):
        scaling.select_option(index=panel - 1)
        rows = table[table.panel == panel]
        lines, bands = (rows[rows.kind == kind] for kind in ("line", "band"))
        both = lines.merge(bands[["label", "x", "y_low", "y_high"]], on=["label", "x"], suffixes=("_none", ""))
        wanted = {
            f"{one.label}, layer {round(30 * one.x)}: {digits(one.y)}, "
            f"95% band {digits(one.y_low)} to {digits(one.y_high)}"
            for one in both.itertuples()
        }
        found = form.get_by_role("gridcell").evaluate_all(
            "cells => cells.map((cell) => cell.getAttribute('aria-label'))"
        )
        assert len(found) == len(wanted) == 180 and set(found) == wanted


@pytest.mark.parametrize("panel, layers", [(1, 30), (2, 32)])
def test_the_cells_of_the_effect_are_ratios(opened, tables, panel, layers):
    table = frame(tables[MAP])
    form = unfolded(opened(MAP), MAP)
    form.get_by_label("Model").select_option(index=panel - 1)
    rows = table[(table.panel == panel) & (table.kind == "image")]
    wanted = {
        f"Range scaling {one.y:.0f}, layer {round(layers * one.x + 0.5)}: {digits(2**one.value)}"
        for one in rows.itertuples()
    }
    found = form.get_by_role("gridcell").evaluate_all("cells => cells.map((cell) => cell.getAttribute('aria-label'))")
    assert set(found) == wanted and len(found) == 8 * layers


@pytest.mark.parametrize("name, colors", [(MEAN, "viridis"), (MAP, "RdBu_r")])
def test_the_colors_of_the_map_are_those_of_the_figures(opened, tables, name, colors):
    table = frame(tables[name])
    rows = table[(table.panel == 1) & table.kind.isin(["line", "image"])]
    values = (rows.value if name == MAP else rows.y).to_numpy().reshape(-1, 30)
    low, high = (-1, 1) if name == MAP else (values.min(), values.max())
    wanted = plt.get_cmap(colors)(np.clip((values - low) / (high - low), 0, 1))[
        ::-1, :, :3
    ]  # the first row is the lowest
    form = unfolded(opened(name), name)
    found = form.get_by_role("gridcell").evaluate_all(
        "cells => cells.map((cell) => getComputedStyle(cell).backgroundColor)"
    )
    shown = np.array([[int(part) / 255 for part in re.findall(r"\d+", color)] for color in found]).reshape(wanted.shape)
    assert np.abs(shown - wanted).max() < 0.03


def reading(form):
    """What the form says of a cell: its place, and its facts."""
    facts = dict(zip(form.locator("dt").all_inner_texts(), form.locator("dd").all_inner_texts(), strict=True))
    return form.locator(".map-where").inner_text(), facts


def cell(form, row, layer):
    """The place of a cell on the screen."""
    box = form.get_by_role("gridcell", name=re.compile(rf"^{re.escape(row)}, layer {layer}:")).bounding_box()
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


@pytest.mark.parametrize("http", [False, True], ids=["file", "http"])
def test_a_mouse_looks_at_cells_and_chooses_one(opened, tables, http):
    visit, table = opened(MEAN, http=http), frame(tables[MEAN])
    page, form = visit.page, unfolded(visit, MEAN)
    before = reading(form)
    assert before[0] == "S = 5, layer 20 of 30" and asked(page) == ("", {})
    form.get_by_role("grid").scroll_into_view_if_needed()
    page.mouse.move(*cell(form, "S = 2", 7))
    where, facts = reading(form)
    (mean,) = table.y[
        (table.panel == 1) & (table.label == "S = 2") & (table.kind == "line") & np.isclose(table.x * 30, 7)
    ]
    (start,) = table.y[
        (table.panel == 1) & (table.label == "S = 0") & (table.kind == "line") & np.isclose(table.x * 30, 7)
    ]
    assert where == "S = 2, layer 7 of 30" and facts["dimension"] == digits(mean)
    assert facts["prompts"] == f"{table.n[0]}"
    assert facts["at S = 0"] == digits(start) and facts["difference"] == f"+{digits(mean - start)}"
    page.mouse.move(2, 2)
    assert reading(form) == before  # a look changes nothing
    page.mouse.click(*cell(form, "S = 3", 11))
    page.mouse.move(2, 2)
    assert reading(form)[0] == "S = 3, layer 11 of 30"
    assert asked(page) == (MEAN, {"panel": "1", "row": "3", "layer": "11"})
    assert form.get_by_label("Layer", exact=True).input_value() == "11"


def test_the_charts_are_the_row_and_the_column(opened, tables):
    form = form_in(opened(MEAN, "panel=2&row=4&layer=9").page, MEAN)
    form.locator("svg").first.wait_for()
    table = frame(tables[MEAN])
    rows = table[(table.panel == 2) & (table.kind == "line")]
    across, down = (form.locator("svg").nth(place) for place in (0, 1))

    def heights(chart, kind):
        """The values of a curve, from its path and the ticks of the axis."""
        path = chart.locator(f".form-curve.{kind}").get_attribute("d")
        grid = [float(re.search(r" ([\d.]+)H", one.get_attribute("d"))[1]) for one in chart.locator(".form-grid").all()]
        ticks = [float(one) for one in chart.locator(".form-end").all_text_contents()]
        slope, start = np.polyfit(grid, ticks, 1)
        return slope * np.array([float(y) for y in re.findall(r"[ML][\d.]+ ([\d.]+)", path)]) + start

    np.testing.assert_allclose(heights(across, "mine"), rows.y[rows.label == "S = 4"], atol=0.02)
    np.testing.assert_allclose(heights(across, "other"), rows.y[rows.label == "S = 0"], atol=0.02)
    np.testing.assert_allclose(heights(down, "mine"), rows.y[np.isclose(rows.x * 30, 9)], atol=0.02)
    assert "S = 4" in across.get_attribute("aria-label") and "layer 9" in down.get_attribute("aria-label")


def test_a_press_on_a_chart_chooses_its_layer_or_its_row(opened):
    visit = opened(MEAN)
    form = unfolded(visit, MEAN)
    for place, tick, name in ((0, "5", "layer 5 of"), (1, "2", "S = 2,")):
        chart = form.locator("svg").nth(place)
        chart.scroll_into_view_if_needed()
        box = chart.locator(".form-middle", has_text=re.compile(f"^{tick}$")).bounding_box()
        visit.page.mouse.click(box["x"] + box["width"] / 2, box["y"] - 60)
        assert name in reading(form)[0]
    assert asked(visit.page)[1] == {"panel": "1", "row": "2", "layer": "5"}


def test_the_keyboard_reaches_everything_in_order(opened):
    page = (visit := opened(MEAN)).page
    form = form_in(page, MEAN)
    form.locator("summary").focus()
    page.keyboard.press("Enter")
    form.locator("svg").first.wait_for()
    seen = []
    for _ in range(4):
        page.keyboard.press("Tab")
        seen.append(
            page.evaluate(
                "() => document.activeElement.getAttribute('role') || document.activeElement.labels[0].textContent"
            )
        )
    assert seen == ["Range scaling", "Shuffle degree", "Layer", "gridcell"]
    focused = "() => document.activeElement.getAttribute('aria-label').split(':')[0]"
    for key, wanted in (
        ("ArrowLeft", "S = 5, layer 19"),
        ("ArrowDown", "S = 4, layer 19"),
        ("ArrowRight", "S = 4, layer 20"),
        ("Home", "S = 4, layer 1"),
        ("ArrowLeft", "S = 4, layer 1"),
        ("PageDown", "S = 0, layer 1"),
        ("End", "S = 0, layer 30"),
        ("ArrowDown", "S = 0, layer 30"),
        ("PageUp", "S = 5, layer 30"),
        ("ArrowUp", "S = 5, layer 30"),
    ):
        page.keyboard.press(key)
        assert page.evaluate(focused) == wanted and reading(form)[0] == f"{wanted} of 30"
    assert (
        form.locator("[aria-selected='true']").count() == form.locator("[role='gridcell'][tabindex='0']").count() == 1
    )
    assert form.get_by_role("status").inner_text() == ""  # a cell with the focus is read out anyway
    page.keyboard.press("Tab")
    assert not form.evaluate("(form) => form.contains(document.activeElement)")
    form.get_by_label("Layer", exact=True).press("ArrowLeft")
    visit.settle(700)
    said = form.get_by_role("status").inner_text()
    assert re.fullmatch(
        r"dimension, scaling 2\. S = 5, layer 29: dimension [\d.]+, 95% band .*, prompts 45, .*\.", said
    )


def test_a_finger_chooses_cells_and_scrolls_the_page(opened):
    page = (visit := opened(MEAN, viewport=browsing.PHONE, has_touch=True, is_mobile=True)).page
    form = form_in(page, MEAN)
    form.locator("summary").tap()
    form.locator("svg").first.wait_for()
    form.get_by_role("grid").scroll_into_view_if_needed()
    page.touchscreen.tap(*cell(form, "S = 1", 12))
    assert reading(form)[0] == "S = 1, layer 12 of 30"
    touch = page.context.new_cdp_session(page)

    def swipe(start, across, down):
        for part in range(10):
            point = {"x": start[0] + across * part / 9, "y": start[1] + down * part / 9}
            touch.send(
                "Input.dispatchTouchEvent", {"type": "touchMove" if part else "touchStart", "touchPoints": [point]}
            )
        touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
        visit.settle(300)

    before = page.evaluate("() => window.scrollY")
    start, end = cell(form, "S = 1", 4), cell(form, "S = 1", 22)
    swipe(start, end[0] - start[0], 0)
    assert asked(page)[1]["layer"] == "22" and page.evaluate("() => window.scrollY") == before
    swipe(cell(form, "S = 1", 22), 0, -150)
    assert page.evaluate("() => window.scrollY") > before + 50


def test_panels_with_other_layers_and_rows_keep_what_they_can(opened):
    form = unfolded(opened(MAP), MAP)
    form.get_by_label("Model").select_option("Llama-3-8B (paper), S = 5")
    form.get_by_label("Layer", exact=True).fill("32")
    assert reading(form)[0] == "Range scaling 2, layer 32 of 32"
    form.get_by_label("Model").select_option("ours, S = 5")
    assert reading(form)[0] == "Range scaling 2, layer 30 of 30"
    assert form.get_by_label("Layer", exact=True).input_value() == "30"
    assert form.locator(".form-curve.other").count() == 3


# --- curves against the range scaling ---


def test_plateaus_are_those_of_the_chapter(opened, chapters):
    names = chapters["intrinsic_dimension"][1]
    page = opened(SCALES).page
    means = names["survey"].intrinsic_dimension.mean("prompt")
    scales = names["survey"].scale.values
    steps = [means.sel(layer=layer).values for layer in means.layer.values]
    steps += [
        np.array(values)
        for values in ([1, 1.05, 1.2, 1.2, 1.25, 1.3], [1, 2, 4, 8], [3, 3, 3, 9, 5, 5, 5], [1, 1.1, 1.1])
    ]
    kinds = set()
    for values in steps:
        found = page.evaluate("(values) => Forms.plateau(values.map((value) => ({ value })))", values.tolist())
        wanted = names["plateau"](scales[: len(values)], values)
        assert bool(found) == bool(wanted)
        if wanted:
            assert (scales[found["start"]], scales[found["end"]]) == wanted[:2] and found["level"] == pytest.approx(
                wanted[2]
            )
        kinds.add(bool(wanted))
    assert kinds == {True, False}


@pytest.mark.parametrize("http", [False, True], ids=["file", "http"])
def test_a_layer_is_chosen_and_another_one_pinned(opened, tables, http):
    page = (visit := opened(SCALES, http=http)).page
    form, table = unfolded(visit, SCALES), frame(tables[SCALES])
    table = table[table.panel == 2]
    form.get_by_label("Layer", exact=True).fill("7")
    form.get_by_role("button", name="Pin layer 7").click()
    assert form.get_by_role("button", name="Unpin layer 7").is_visible()
    assert form.locator(".form-curve.pinned").count() == 0  # it is the chosen one
    form.get_by_label("Layer", exact=True).press("ArrowRight")
    assert asked(page) == (SCALES, {"layer": "8", "pin": "7"})
    assert form.locator(".form-curve.rest").count() == 28
    assert [one.strip() for one in form.locator("thead th").all_inner_texts()] == ["scaling", "layer 8", "layer 7"]
    for line in form.locator("tbody tr").all():
        scale, *shown = line.locator("th, td").all_inner_texts()
        for text, layer in zip(shown, (8, 7), strict=True):
            rows = table[(table.label == f"layer {layer}") & (table.x == float(scale))]
            (mean,), (low,), (high,) = rows.y.dropna(), rows.y_low.dropna(), rows.y_high.dropna()
            assert text.split() == [digits(mean), digits(low), "to", digits(high)]
    words = form.locator(".scales-words").inner_text()
    assert (
        re.search(r"Layer 8: (plateau from scaling \d+ to \d+, at [\d.]+|no plateau)\.", words) and "Layer 7:" in words
    )
    assert form.locator(".form-plateau").count() == words.count("plateau from")
    visit.settle(700)
    assert form.get_by_role("status").inner_text().split("\n") == [" ".join(words.split())]
    form.get_by_label("Compare with").select_option("no other layer")
    assert form.locator("thead th").count() == 2
    assert f"over {table.n.iloc[0]:.0f} prompts" in form.locator("figcaption").inner_text()


def test_a_press_on_a_curve_chooses_its_layer(opened, tables):
    visit, table = opened(SCALES), frame(tables[SCALES])
    form = unfolded(visit, SCALES)
    means = table[(table.panel == 2) & (table.kind == "line") & (table.x == 2)].sort_values("y")
    lowest = means.label.iloc[0]
    chart = form.locator("svg")
    chart.scroll_into_view_if_needed()
    box = chart.locator(".form-middle", has_text=re.compile("^2$")).bounding_box()
    visit.page.mouse.click(box["x"] + box["width"] / 2, box["y"] - 20)
    assert f"Layer {lowest.split()[1]}:" in form.locator(".scales-words").inner_text()


# --- the cards of the claims ---


def cards(page):
    """The numbers of the claims whose cards can be seen."""
    return [int(text.split(".")[0]) for text in page.locator(".claim:visible dt").all_inner_texts()]


@pytest.mark.parametrize("http", [False, True], ids=["file", "http"])
def test_claims_are_chosen_by_verdict_model_and_kind(opened, chapters, http):
    claims = chapters["reproduction_report"][1]["claims"]
    page = opened(CLAIMS, http=http).page
    form, count = form_in(page, CLAIMS), page.get_by_role("status")
    assert cards(page) == [claim.number for claim in claims]
    assert count.inner_text() == f"{len(claims)} of {len(claims)} claims shown."
    for verdict in {claim.verdict for claim in claims}:
        form.locator("label", has_text=re.compile(f"^{verdict}")).click()
        wanted = [claim.number for claim in claims if claim.verdict == verdict]
        assert cards(page) == wanted and count.inner_text() == f"{len(wanted)} of {len(claims)} claims shown."
        assert form.locator("label:has(:checked) b").inner_text() == str(len(wanted))
    form.get_by_role("button", name="Show all").click()
    assert len(cards(page)) == len(claims) and form.get_by_role("button", name="Show all").is_hidden()
    for verdict in {claim.twin for claim in claims}:
        form.get_by_label("Untrained twin").select_option(verdict)
        assert cards(page) == [claim.number for claim in claims if claim.twin == verdict]
    form.get_by_label("Untrained twin").select_option("any")
    shows = {
        "certainly more than in the twin": lambda part: part.beyond == "more" and not part.remark,
        "all kinds of text agree": lambda part: part.kinds and part.agree == part.kinds,
        "the opposite in some part": lambda part: part.outcome == "opposite",
        "of little severity in some part": lambda part: bool(part.remark),
    }
    found = {text: [claim.number for claim in claims if any(map(test, claim.parts))] for text, test in shows.items()}
    offered = form.get_by_label("Evidence").locator("option").all_inner_texts()
    assert offered == ["any", *(text for text, numbers in found.items() if numbers)] and len(offered) > 2
    for text in offered[1:]:
        form.get_by_label("Evidence").select_option(text)
        assert cards(page) == found[text]
    form.get_by_label("Evidence").select_option("any")
    form.get_by_label("Subject").select_option("shuffling")
    wanted = [
        claim for claim, judge in zip(claims, tg.claims.CLAIMS, strict=True) if judge.__module__.endswith(".shuffle")
    ]
    assert cards(page) == [claim.number for claim in wanted] and len(wanted) > 3
    form.locator("label", has_text="partly").click()
    form.get_by_label("Untrained twin").select_option("not testable here")
    wanted = [claim.number for claim in wanted if (claim.verdict, claim.twin) == ("partly", "not testable here")]
    assert cards(page) == wanted and count.inner_text() == f"{len(wanted)} of {len(claims)} claims shown."


def test_a_link_shows_the_claims_that_were_chosen(opened, tables):
    page, table = opened(CLAIMS).page, frame(tables[CLAIMS])
    form = form_in(page, CLAIMS)
    first = form.get_by_role("radio").first
    first.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    form.get_by_label("Subject").select_option("curves over depth and scale")
    name, settings = asked(page)
    assert name == CLAIMS and settings["verdict"] == "partly" and settings["subject"] == "curves over depth and scale"
    wanted = table[(table.claim_verdict == "partly") & (table.subject == settings["subject"])].claim.unique().tolist()
    assert cards(page) == wanted
    page.reload()
    assert cards(page) == wanted and form.get_by_role("radio", name="partly").is_checked()
    page.evaluate("() => { window.location.hash = '#claims&verdict=no-such&twin=reproduced'; }")
    page.wait_for_function("() => document.querySelectorAll('.claim.left-out').length > 0")
    assert cards(page) == table[table.claim_twin == "reproduced"].claim.unique().tolist()
    assert form.get_by_role("radio", name="all").is_checked()


def test_without_a_twin_there_is_nothing_to_choose_about_it(opened, tables):
    page = opened(CLAIMS, http=True).page
    table = frame(tables[CLAIMS])
    table[["claim_twin", "twin", "beyond", "outcome", "remark", "kinds"]] = ""
    script = forms.table_script(CLAIMS, table.to_csv(index=False).encode())
    page.route("**/tables/claims.js", lambda route: route.fulfill(body=script, content_type="text/javascript"))
    page.reload()
    page.get_by_label("Subject").wait_for()
    assert page.get_by_label("Untrained twin").count() == page.get_by_label("Evidence").count() == 0


# --- the address ---


@pytest.mark.parametrize("http", [False, True], ids=["file", "http"])
def test_a_link_opens_one_form_as_set_and_leaves_the_other(opened, http):
    page = opened(MAP, "panel=3&row=16&layer=24", http=http).page
    mean, effect = form_in(page, MEAN), form_in(page, MAP)
    effect.locator("svg").first.wait_for()
    assert reading(effect)[0] == "Range scaling 16, layer 24 of 32"
    assert not mean.locator("details").evaluate("(fold) => fold.open") and mean.locator("svg").count() == 0
    assert effect.evaluate("(form) => Math.abs(form.getBoundingClientRect().top) < 200")
    mean.locator("summary").click()
    mean.get_by_label("Layer", exact=True).fill("3")
    assert asked(page) == (MEAN, {"panel": "1", "row": "5", "layer": "3"})
    assert reading(effect)[0] == "Range scaling 16, layer 24 of 32"
    effect.get_by_label("Layer", exact=True).press("ArrowLeft")
    assert asked(page) == (MAP, {"panel": "3", "row": "16", "layer": "23"}) and "layer 3 of" in reading(mean)[0]
    page.evaluate(f"() => {{ window.location.hash = '#{MEAN}'; }}")  # the figure, not its form
    page.evaluate(f"() => {{ window.location.hash = '#{MEAN}&row=1&layer=99&panel=x'; }}")
    page.wait_for_function("() => document.querySelector('.map-where').textContent.includes('S = 1')")
    assert reading(mean)[0] == "S = 1, layer 30 of 30" and "layer 23 of" in reading(effect)[0]


# --- everyone ---


@pytest.mark.parametrize("name", [MEAN, MAP, SCALES, CLAIMS])
def test_a_form_can_be_read_by_everyone(opened, name):
    visit = opened(name, "pin=4&verdict=partly")
    form_in(visit.page, name).locator("form").wait_for()
    visit.settle(300)
    visit.inspect("1280 px")
    visit.axe("light")
    visit.page.emulate_media(color_scheme="dark")
    visit.settle(200)
    visit.axe("dark")
    visit.page.set_viewport_size(browsing.PHONE)
    visit.settle(700)
    visit.axe("phone")
    visit.inspect("390 px")


def test_colors_can_be_told_from_their_ground():
    style = (PROJECT / "book" / "_static" / "forms.css").read_text(encoding="utf-8")
    light, dark = (dict(re.findall(r"--(\w+): (#\w{6})", part)) for part in style.split("html[data-theme=", 1))
    for colors, ground in ((light, "#ffffff"), (dark, "#121212")):
        for name in ("mine", "pinned", "other"):
            assert contrast(colors[name], ground) >= 4.5, name
    shades = (tg.figures.DOMAIN_COLORS[2], tg.figures.DOMAIN_COLORS[0], "0.55", tg.figures.DOMAIN_COLORS[1], "0.8")
    for name, shade in zip(
        ("reproduced", "partly", "undecided", "not seen here", "not testable here"), shades, strict=True
    ):
        assert f'[data-value="{name}"] {{\n  --dot: {to_hex(shade)};' in style  # as in the figure of all verdicts


@pytest.mark.parametrize("name", [MEAN, CLAIMS])
def test_paper_shows_the_figure_and_every_claim(opened, name):
    visit = opened(name, "verdict=partly&row=2")
    form_in(visit.page, name).locator("form").wait_for()
    claims = visit.page.locator(".claim:visible").count()
    visit.print()
    assert form_in(visit.page, name).is_hidden()
    if name == MEAN:
        assert visit.page.locator(f"#{MEAN} img").is_visible()
    else:
        assert claims < visit.page.locator(".claim:visible").count() == len(tg.claims.CLAIMS)


def test_without_scripts_there_are_the_figures_and_the_cards(site, started):
    context = started.new_context(java_script_enabled=False)
    page = context.new_page()
    for name, stem in PAGE.items():
        page.goto(f"{site.resolve().as_uri()}/notebooks/{stem}.html")
        assert form_in(page, name).is_hidden()
        if name == CLAIMS:
            assert page.locator("dl dt:visible").count() == len(tg.claims.CLAIMS)
        else:
            assert page.locator(f"#{name} img").is_visible()
    context.close()


def test_a_table_that_is_missing_is_said_to_be(site, started, base):
    context = started.new_context()
    page = context.new_page()
    page.route("**/tables/*.js", lambda route: route.abort())
    page.goto(f"{base}/notebooks/shuffle_control.html")
    form = form_in(page, MEAN)
    form.locator("summary").click()
    form.get_by_text(f"The table {MEAN} could not be loaded.").wait_for()
    context.close()
