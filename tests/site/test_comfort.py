"""Figures in the dark, previews of links, sentences of the search, and notebooks to take along."""

import colorsys
import json
import re
import sys

import browsing
import nbformat
import numpy as np
import pytest
from bs4 import BeautifulSoup
from conftest import PROJECT
from docutils import nodes
from docutils.utils import new_document
from IPython.core.interactiveshell import InteractiveShell
from matplotlib import pyplot as plt
from test_pages import SOURCES, extension

from tokengeom_utils.site.figures import color_labels

sys.path.insert(0, str(PROJECT / "book" / "extensions"))  # one of them imports another, as Sphinx lets it
dark, excerpts, previews, take_along = map(extension, ("dark", "excerpts", "previews", "take_along"))


# --- figures in the dark ---


def contrast(one, other):
    """The contrast of two colors (WCAG 2.1)."""

    def luminance(color):
        parts = [int(color[place : place + 2], 16) / 255 for place in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    low, high = sorted(map(luminance, (one, other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("color", ["#000000", "#262626", "#0173b2", "#de8f05", "#029e73", "#d55e00", "#014b74"])
def test_what_can_be_read_on_white_can_be_read_in_the_dark(color):
    assert contrast(dark.dark(color), dark.GROUND) >= 4.5


def test_colors_keep_their_order_in_the_dark():
    ramp = [plt.get_cmap("viridis")(place) for place in (0, 0.2, 0.4, 0.6, 0.8, 1.0)]
    shown = [dark.dark("#" + "".join(f"{round(255 * part):02x}" for part in color[:3])) for color in ramp]
    lightness = [contrast(color, "#000000") for color in shown]
    assert lightness == sorted(lightness) and len(set(shown)) == len(shown)


@pytest.fixture
def figure(tmp_path):
    """A figure with a line, a heat map with a word on it, and points colored by a quantity, as SVG."""
    fig, (left, middle, right) = plt.subplots(1, 3, figsize=(9, 3))
    left.plot([0, 1], [0, 1], color="#0173b2")
    left.text(0.2, 0.8, "word", color="#262626")
    middle.imshow([[0, 1], [1, 0]])
    middle.text(0.5, 0.5, "on the map", color="#262626")
    middle.set_title("above the map", color="#262626")
    right.scatter(range(20), range(20), c=range(20))
    fig.savefig(tmp_path / "a.svg")
    plt.close(fig)
    return (tmp_path / "a.svg").read_text(encoding="utf-8")


def treated(draw, path):
    """A figure as it is for the dark."""
    fig, axes = plt.subplots(1, 2, squeeze=False)
    draw(*axes[0])
    fig.savefig(path)
    plt.close(fig)
    return BeautifulSoup(dark.for_the_dark(path.read_text(encoding="utf-8")), "html.parser")


def test_a_map_keeps_its_colors_and_what_is_written_on_it(tmp_path):
    def draw(left, right):
        left.plot([0, 1], [0, 1], color="#0173b2")
        left.text(0.2, 0.8, "word", color="#262626")
        right.imshow([[0, 1], [1, 0]])
        right.text(0.5, 0.5, "on the map", color="#262626")
        right.set_title("above the map", color="#262626")

    made = treated(draw, tmp_path / "a.svg")
    assert made.select_one("image").find_parent(class_="kept")
    assert len(made.select('g.kept[id^="text"]')) == 1  # on the map; not its title, nor the word beside the line
    assert len(made.select(".kept")) == 2
    rules = made.style.text
    assert '[style*="stroke: #0173b2"]' in rules and rules.startswith("@media (prefers-color-scheme: dark)")


def test_points_get_lighter_with_their_color_bar(tmp_path):
    def draw(left, right):
        left.figure.colorbar(left.scatter(range(20), range(20), c=range(20)))
        right.scatter(range(20), range(20), c=range(20), rasterized=True)
        right.text(3, 3, "beside a point", color="#262626")

    made = treated(draw, tmp_path / "a.svg")
    assert made.select_one('[id^="PathCollection"]')["class"] == ["lifted"]
    assert len(made.select(".lifted")) == 3 and not made.select(".kept, .turned")


@pytest.mark.parametrize("kind", ["pixels", "cells"])
def test_white_on_a_map_becomes_the_ground(tmp_path, kind):
    def draw(left, right):
        left.pcolormesh([[-1, 0, 1]], cmap="RdBu_r", rasterized=kind == "pixels")
        right.pcolormesh([[0, 1, 2]])  # in the same figure, so that one color bar can serve both
        left.text(1.5, 0.5, "white here", color="#262626")

    made = treated(draw, tmp_path / "a.svg")
    assert len(made.select(".turned")) == 2 and not made.select(".kept, .lifted")


def test_labels_on_a_map_have_contrast_in_the_light_and_in_the_dark(tmp_path):
    cells = np.linspace(-1, 1, 21)[None]
    colors = [plt.get_cmap("RdBu_r")(one) for one in np.linspace(0, 1, 21)]

    def draw(left, right):
        left.imshow(cells, cmap="RdBu_r")
        for column in range(21):
            left.text(column, 0, "a")
        color_labels(left)

    made = treated(draw, tmp_path / "a.svg")
    rows = np.array(dark.FILTERS["turned"].split(), float).reshape(4, 5)
    rules = dict(re.findall(r"#(on-\w+-\d+) \* { fill: (black|white) !important", made.style.text))
    assert len(rules) == 21 == len(made.select('g[id^="on-"]'))
    for group in made.select('g[id^="on-"]'):
        color = colors[int(group["id"].split("-")[2])]
        light, turned = (
            "#" + "".join(f"{round(255 * part):02x}" for part in one[:3])
            for one in (color, (rows @ [*color, 1]).clip(0, 1))
        )
        written = re.search(r"fill: (#\w+)", str(group))
        assert contrast(light, written[1] if written else "#000000") >= 4.5, light
        assert contrast(turned, {"black": "#000000", "white": "#ffffff"}[rules[group["id"]]]) >= 4.5, turned


@pytest.mark.parametrize("origin", ["upper", "lower"])
def test_a_label_has_the_color_for_its_own_cell(origin):
    fig, ax = plt.subplots()
    ax.imshow([[0.0, np.nan], [1.0, 1.0]], cmap="Blues", origin=origin)
    labels = [ax.text(column, row, "a") for row in (0, 1) for column in (0, 1)]
    color_labels(ax)
    plt.close(fig)
    assert [label.get_color() for label in labels] == ["black", "black", "white", "white"]


@pytest.mark.parametrize(
    ("name", "light", "shown"),
    [("turned", "#ffffff", "#121212"), ("turned", "#000000", "#b0b0b0"), ("lifted", "#000000", "#666666")],
)
def test_filters_for_the_dark(name, light, shown):
    rows = np.array(dark.FILTERS[name].split(), float).reshape(4, 5)
    color = [int(light[place : place + 2], 16) / 255 for place in (1, 3, 5)] + [1, 1]
    found = "#" + "".join(f"{round(255 * min(max(part, 0), 1)):02x}" for part in rows @ color)
    assert found == shown + "ff"


def test_an_interactive_map_has_the_colors_of_its_figure_in_the_dark():
    script = (PROJECT / "book" / "_static" / "form_map.js").read_text(encoding="utf-8")
    light, shown = (
        [
            bytes.fromhex(color)
            for color in re.findall(r"#(\w{6})", re.search(rf"const {name} = \[(.*?)\];", script, re.S)[1])
        ]
        for name in ("TWO_SIDES", "TWO_SIDES_DARK")
    )
    rows = np.array(dark.FILTERS["turned"].split(), float).reshape(4, 5)[:3]
    turned = [(rows[:, :3] @ np.divide([*color], 255) + rows[:, 4]).clip(0, 1) * 255 for color in light]
    assert len(light) == len(shown) == 11 and np.abs(np.array(turned) - [[*color] for color in shown]).max() <= 0.5


@pytest.mark.parametrize("name", ["lifted", "turned"])
def test_filters_keep_the_hue(name):
    rows = np.array(dark.FILTERS[name].split(), float).reshape(4, 5)
    for color in ("#67001f", "#053061", "#440154", "#21918c"):
        parts = np.array([int(color[place : place + 2], 16) / 255 for place in (1, 3, 5)])
        shown = (rows @ [*parts, 1, 1])[:3].clip(0, 1)
        hues = [colorsys.rgb_to_hls(*one)[0] for one in (parts, shown)]
        assert abs((hues[0] - hues[1] + 0.5) % 1 - 0.5) < 0.07, color


@pytest.mark.parametrize("rasterized", [True, False], ids=["pixels", "cells"])
def test_what_is_drawn_on_a_map_keeps_its_colors(tmp_path, rasterized):
    fig, ax = plt.subplots()
    ax.pcolormesh([0, 1, 2], [0, 1, 2], [[0, 1], [1, 0]], rasterized=rasterized)
    ax.plot([0, 2], [0, 2], color="white")
    ax.plot([0, 1], [1, 2], "x", color="#333333")
    fig.savefig(tmp_path / "a.svg")
    plt.close(fig)
    made = BeautifulSoup(dark.for_the_dark((tmp_path / "a.svg").read_text(encoding="utf-8")), "html.parser")
    line, marks = (made.select_one(f'[style*="stroke: {color}"]') for color in ("#ffffff; stroke-width", "#333333"))
    assert line.find_parent(class_="kept") and marks.find_parent(class_="kept")
    # A browser draws copies of a mark, to which only its own class belongs.
    shapes = {use["xlink:href"][1:] for use in made.select("g.kept use")}
    assert shapes and all(made.find(id=name)["class"] == ["kept-mark"] for name in shapes)
    assert made.style.text.count("{") - 5 == made.style.text.count(", .kept-mark)")


def test_a_figure_in_the_light_is_as_it_was(figure):
    made = re.sub(r"<(ns\d:)?style>@media.*?</(ns\d:)?style>", "", dark.for_the_dark(figure), flags=re.S)
    before, after = (re.findall(r'(?: d|style|transform)="([^"]*)"', text) for text in (figure, made))
    assert [" ".join(part.split()) for part in before] == [" ".join(part.split()) for part in after]


def test_every_figure_of_the_site_has_colors_for_the_dark(book):
    figures = sorted((book[1] / "html" / "_images").glob("*.svg"))
    assert len(figures) > 60
    assert all("prefers-color-scheme: dark" in path.read_text(encoding="utf-8") for path in figures)


# --- previews ---


def test_a_term_comes_with_its_meaning_and_a_function_with_its_first_sentence():
    page = BeautifulSoup(
        '<dl class="glossary"><dt id="term-a">A<a class="headerlink" href="#term-a">#</a></dt><dd><p>B</p></dd></dl>'
        '<dl><dt class="sig" id="tg.f">f(x)</dt><dd><p>Does it.</p><p>And more.</p></dd></dl>',
        "html.parser",
    )
    found = previews.fragments(page)
    assert "A</p>" in found["term-a"] and "B" in found["term-a"] and "#" not in found["term-a"]
    assert "Does it." in found["tg.f"] and "more" not in found["tg.f"]


def test_what_chapters_link_to_can_be_previewed(book):
    site = book[1] / "html"
    texts = {}
    for path in (site / "_static" / "previews").rglob("*.js"):
        page, cards = re.fullmatch(r'window\.tokengeomPreviews\("(.*?)", (.*)\);\n', path.read_text("utf-8")).groups()
        texts[page] = json.loads(cards)
    soup = BeautifulSoup((site / "notebooks" / "mean_field.html").read_text(encoding="utf-8"), "html.parser")
    wanted = previews.targets(soup.article, "notebooks/mean_field")
    assert len(wanted) > 20
    missed = {(page, label) for page, label in wanted if label not in texts.get(page, {})}
    assert len(missed) < 0.2 * len(wanted), missed  # a section, which is no card
    assert not [label for page, label in missed if label.startswith(("prop-", "def-", "thm-", "fig-", "id", "term-"))]
    assert all(" id=" not in html for cards in texts.values() for html in cards.values())


# --- the search ---


def test_a_sentence_has_no_code_and_no_long_formula():
    node = nodes.paragraph("", "", nodes.Text("Let "), nodes.math("", r"\frac{1}{2}"), nodes.Text(" be "))
    node += nodes.math("", "x")
    assert excerpts.sentence(node) == "Let … be x"


def test_answers_to_choose_from_are_no_sentences_of_the_book():
    asked = nodes.admonition("", nodes.paragraph("", "", nodes.Text("Perhaps.")), classes=["question"])
    page = nodes.section("", nodes.paragraph("", "", nodes.Text("Surely.")), asked, ids=["a"])
    assert excerpts.sections(page) == [(["a"], "Surely.")]


def test_the_sentences_on_a_term_begin_with_it():
    item = nodes.definition_list_item()
    item += nodes.term("", "loss", ids=["term-loss"])
    item += nodes.definition("", nodes.paragraph("", "A number."))
    page = new_document("a.md")
    page += nodes.definition_list("", item)
    assert excerpts.sections(page) == [(["term-loss"], "loss: A number.")]


def test_sentences_belong_to_their_sections():
    inner = nodes.section("", nodes.paragraph("", "", nodes.Text("Inside.")), ids=["in"])
    outer = nodes.section(
        "",
        nodes.paragraph("", "", nodes.Text("Before.")),
        nodes.literal_block("", "code"),
        nodes.entry("", nodes.paragraph("", "", nodes.Text("a cell of a table"))),
        ids=["a"],
    )
    outer += inner
    assert excerpts.sections(outer) == [(["a"], "Before."), (["in"], "Inside.")]


# --- notebooks to take along ---


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.stem)
def test_a_notebook_to_take_along_needs_no_extension(book, source):
    folder = book[1] / "html" / take_along.FOLDER
    both = [nbformat.read(folder / f"{source.stem}{end}.ipynb", 4) for end in ("", "-exercises")]
    texts = ["\n".join(cell.source for cell in one.cells if cell.cell_type == "markdown") for one in both]
    assert texts[0].count("**Solution**") == source.read_text(encoding="utf-8").count("```{solution}")
    assert "**Solution**" not in texts[1] and texts[1].count("**Exercise. ") == texts[0].count("**Exercise. ")
    assert [text.count("**Question. ") for text in texts] == [3, 3]
    assert [text.count("**Answers**") for text in texts] == [3, 0]
    for text in texts:
        assert not re.findall(r"\{[a-z:]+\}`|^`{3,}\{(?:exercise|solution|admonition|prf|dropdown)", text, re.M)
        assert "Reproduce this figure" not in text and "Rerun this chapter" not in text and "../book/" not in text
    for one in both:
        nbformat.validate(one)
        code = "\n".join(cell.source for cell in one.cells if cell.cell_type == "code")
        assert not re.search(r"^results = .*zarr", code, re.M)
        assert not any(cell.get("outputs") for cell in one.cells)


def test_a_question_without_solutions_has_no_answers():
    box = (
        "````{admonition} Half\n:class: question\n\nWhich?\n\n1. This.\n2. That.\n\n"
        "```{admonition} Answers\n:class: dropdown\n\n1. **Right.** So.\n2. **Wrong.** Not so.\n```\n````\n"
    )
    asked = "**Question. Half**\n\nWhich?\n\n1. This.\n2. That."
    assert take_along.plain(box, False, {}) == asked
    assert take_along.plain(box, True, {}) == f"{asked}\n\n**Answers**\n\n1. **Right.** So.\n2. **Wrong.** Not so."


def test_an_address_gives_an_install_cell_and_a_link_to_binder():
    page = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("A")])
    made = take_along.notebook_to_take(page, True, {}, "https://example.org/a/b.git")
    assert "git clone --quiet https://example.org/a/b.git" in made.cells[0].source
    assert len(take_along.notebook_to_take(page, True, {}, "").cells) == 1
    assert len(take_along.links("x", "https://example.org/a/b.git")) == 2
    assert take_along.links("x", "https://github.com/a/b.git", solutions=False) == [
        ("Notebook", f"{take_along.FOLDER}/x-exercises.ipynb")
    ]
    for origin in ("https://github.com/some/one.git", "git@github.com:some/one"):
        assert take_along.links("x", origin)[2][1].startswith("https://mybinder.org/v2/gh/some/one/HEAD?")


@pytest.mark.parametrize(
    "path, name",
    [("/home/a book/survey.zarr", "standard"), ("../data/results/standard.zarr", "standard"), ("short", "short")],
)
def test_a_notebook_names_a_survey_that_is_found_from_everywhere(path, name):
    page = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(f'# Parameters\nresults = "{path}"\nseed = 1')])
    made = take_along.notebook_to_take(page, True, {}, "")
    assert made.cells[0].source == f'# Parameters\nresults = "{name}"\nseed = 1'


def test_a_link_to_another_page_becomes_its_title():
    text = "See {doc}`../book/rerun` or {doc}`/notebooks/mean_field`."
    assert take_along.plain(text, True, {"rerun": "Run it", "mean_field": "A field"}) == "See Run it or A field."


@pytest.mark.parametrize("origin", ["https://github.com/some/one.git", "git@github.com:some/one.git"])
def test_the_first_cell_does_nothing_outside_colab(origin):
    first = take_along.notebook_to_take(nbformat.v4.new_notebook(), True, {}, origin).cells[0].source
    assert "git clone --quiet https://github.com/some/one token-geometry" in first
    assert InteractiveShell().run_cell(first).success


def test_a_box_in_a_box_and_a_title_become_text():
    nested = "````{admonition} Outer\n:class: tip\n\n```{prf:proof}\nWell.\n```\n````\n"
    assert take_along.plain(nested, True, {}) == "**Outer**\n\n**Proof**\n\nWell."
    assert take_along.plain("Once.\nAs a file: {download}`a.csv`.\nTwice.", True, {}) == "Once.\nTwice."
    assert take_along.plain("{doc}`the end <x>` by {cite:t}`a` {cite:p}`a,b`", True, {"a": "A, 1", "b": "B, 2"}) == (
        "the end by A, 1 (A, 1; B, 2)"
    )


# --- in a browser ---


@pytest.fixture(scope="module")
def started():
    with browsing.browser() as found:
        yield found


@pytest.fixture
def local(book, started):
    """Opens a page of the site from its file, for a mouse in the light unless told otherwise."""
    contexts = []

    def visit(name, **options):
        contexts.append(started.new_context(**{"viewport": browsing.DESKTOP, **options}))
        return browsing.Visit(contexts[-1], (book[1] / "html").resolve().as_uri(), name)

    yield visit
    for context in contexts:
        context.close()


def test_a_pause_at_a_link_shows_where_it_leads_and_escape_ends_it(local):
    visit = local("notebooks/mean_field_in_a_real_model.html")
    card = visit.page.locator(".popover.preview")
    for label, words in (("#prop-cosine", "One equation for all"), ("bibliography.html#", "In ")):
        link = visit.page.locator(f"article p a[href*='{label}']").first
        link.scroll_into_view_if_needed()
        link.hover()
        card.wait_for()
        assert words in card.inner_text() and "\\" not in card.inner_text()
        card.hover()  # a card that is read stays
        visit.page.wait_for_timeout(400)
        assert card.count() == 1
        visit.page.keyboard.press("Escape")
        assert card.count() == 0
    assert not visit.findings


def test_the_keyboard_shows_previews_too(local):
    visit = local("notebooks/mean_field_in_a_real_model.html")
    visit.page.locator("article p a[href*='#prop-cosine']").first.focus()
    visit.page.keyboard.press("Shift+Tab")
    visit.page.keyboard.press("Tab")
    visit.page.locator(".popover.preview").wait_for()


def test_the_search_shows_sentences_also_from_files(local):
    visit = local("search.html?q=shuffle+degree")
    visit.page.locator("#search-results p.context").nth(3).wait_for()
    texts = visit.page.locator("#search-results p.context").all_inner_texts()
    assert sum("shuffle" in text.lower() for text in texts) >= 4
    assert not [text for text in texts if "import " in text or "\\" in text]
    assert visit.page.locator("#search-results mark").count() >= 4 and not visit.findings


def test_a_figure_can_be_enlarged_on_a_phone(local):
    visit = local("notebooks/cosine_similarity.html", viewport=browsing.PHONE, is_mobile=True, has_touch=True)
    link = visit.page.locator("a.enlarge").first
    before = link.locator("img").bounding_box()["width"]
    link.tap()
    picture = visit.page.locator("dialog[open] img")
    picture.wait_for()
    visit.settle()
    assert picture.bounding_box()["width"] > 1.5 * before
    visit.page.locator("dialog[open] button").tap()
    assert visit.page.locator("dialog[open]").count() == 0 and not visit.findings


def test_the_index_is_as_wide_as_a_phone(local):
    visit = local("genindex.html", viewport=browsing.PHONE, is_mobile=True, has_touch=True)
    cells = visit.page.locator("table.indextable td").all()
    assert cells and all(cell.bounding_box()["width"] > 0.8 * browsing.PHONE["width"] for cell in cells)


def test_cells_of_cards_have_room_for_their_names(local):
    visit = local("notebooks/reproduction_report.html", viewport=browsing.PHONE, is_mobile=True, has_touch=True)
    rooms = visit.page.evaluate(
        """() => [...document.querySelectorAll("table.cards tbody td[data-head]:not([data-head=''])")]
            .filter((cell) => cell.getClientRects().length)
            .map((cell) => parseFloat(getComputedStyle(cell).paddingLeft)
                - parseFloat(getComputedStyle(cell, "::before").width))"""
    )
    assert len(rooms) > 20 and min(rooms) > 0


def test_figures_are_dark_on_a_dark_page_whatever_the_system(local, tmp_path):
    from matplotlib.image import imread

    visit = local("notebooks/cosine_similarity.html", color_scheme="light")
    corners = {}
    for mode in ("light", "dark"):
        visit.page.evaluate("mode => { document.documentElement.dataset.theme = mode; }", mode)
        visit.settle(300)
        visit.page.locator("a.enlarge img").first.screenshot(path=tmp_path / "a.png")
        corners[mode] = imread(tmp_path / "a.png")[3, 3, :3].max()
    assert corners["light"] > 0.97 and corners["dark"] < 0.15
