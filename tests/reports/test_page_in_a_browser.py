"""The page of a report in a real browser: a text of HTML and script stays text, and everybody can read the numbers."""

import re
import sys

import pytest
import surveyed
from conftest import PROJECT

import tokengeom_utils as tg

sys.path.insert(0, str(PROJECT / "tests" / "site"))
import browsing

EVIL = (
    '<script>document.title="taken"; fetch("https://example.org/")</script><img src="https://example.org/x.png" '
    'onerror="document.title=1"></script></style>--><!-- <b>bold</b> & &amp; <svg onload=alert(1)> '
    "<iframe src=javascript:alert(1)></iframe> \u202enaïve\u202c 東京 👩\n\n\tend "
)
STILL = {"reduced_motion": "reduce"}
# Contrast of letters on each color of the legend, as WCAG computes it.
CONTRAST = """() => [...document.querySelectorAll(".legend .t")].map((one) => {
  const light = (color) => color.match(/[\\d.]+/g).slice(0, 3).map((v) => v / 255)
    .map((v) => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const style = getComputedStyle(one);
  const ground = style.backgroundColor === "rgba(0, 0, 0, 0)"
    ? getComputedStyle(document.body).backgroundColor : style.backgroundColor;
  const [a, b] = [light(style.color), light(ground)].sort((x, y) => y - x);
  return { ratio: (a + 0.05) / (b + 0.05), ground: light(ground), of: one.closest("ul").dataset.of };
})"""


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder with the report on a text of HTML and on a plain one, and that report."""
    folder = tmp_path_factory.mktemp("reported")
    model, path = surveyed.make()
    texts = [tg.Prompt("evil.html", "letters", EVIL * 2), tg.Prompt("plain", "words", surveyed.prose(1, 150))]
    report = tg.report(texts, model, path)
    report.save(folder / "report.html")
    frame = report._repr_html_()
    (folder / "framed.html").write_text(f"<!DOCTYPE html><title>Notebook</title><body>{frame}</body>", encoding="utf-8")
    return folder, report


@pytest.fixture(scope="module")
def started():
    with browsing.browser() as found:
        yield found


@pytest.fixture
def opened(made, started):
    """Opens a page, on a desktop in the light unless told otherwise; every finding fails the test."""
    visits = []

    def visit(name="report.html", **options):
        context = started.new_context(**{"viewport": browsing.DESKTOP, **STILL, **options})
        visits.append(browsing.Visit(context, made[0].resolve().as_uri(), name))
        return visits[-1]

    yield visit
    for one in visits:
        one.page.context.close()
        # Wide tables of a report scroll in their boxes, also by keyboard.
        found = {topic: some for topic, some in one.findings.items() if topic != "tables"}
        assert not found, found


def readout(page, place=0):
    return page.inner_text(f"#readout-{place}")


def test_a_text_of_html_and_script_stays_text(opened, made):
    """Not one element, request, or message comes of it; the browser shows its characters."""
    page = opened().page
    shown = page.evaluate("() => document.querySelector('.tokens').textContent")
    assert shown == EVIL.encode()[:256].decode(errors="ignore")
    assert page.title() == "Report on evil.html and plain"
    assert page.evaluate("() => [...document.querySelectorAll('.tokens *')].every((one) => one.matches('span.t'))")
    assert page.locator("script").count() == 2 and page.locator("iframe, img, b").count() == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("viewport", [browsing.DESKTOP, browsing.PHONE], ids=["desktop", "phone"])
def test_axe_finds_nothing_and_nothing_is_cut(opened, scheme, viewport):
    visit = opened(color_scheme=scheme, viewport=viewport)
    visit.page.evaluate(browsing.OPEN_ALL)
    for quantity in ("surprisal", "dimension"):
        visit.page.check(f"input[value={quantity}]")
        visit.inspect(quantity)
        visit.axe(f"{scheme}, {quantity}")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_letters_stand_out_on_every_color_and_colors_differ_without_hue(opened, scheme):
    page = opened(color_scheme=scheme).page
    found = page.evaluate(CONTRAST)
    assert len(found) == 14 and min(one["ratio"] for one in found) >= 4.5
    for quantity in ("surprisal", "dimension"):
        grounds = [one["ground"] for one in found if one["of"] == quantity][:6]
        assert grounds == sorted(grounds, reverse=scheme == "light") and len(set(grounds)) == 6


def test_a_text_is_one_stop_of_the_keyboard_and_arrows_lead_through_its_tokens(opened, made):
    page = opened().page
    page.focus("input[value=surprisal]")
    stops = 0
    while page.evaluate("() => document.activeElement.id") != "tokens-0":
        page.keyboard.press("Tab")
        stops += 1
        assert stops < 4
    tokens = made[1].findings[0].text.tokens
    assert "token < 1 of 256" in readout(page) and "nothing predicts the first token" in readout(page)
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    assert "token c 3 of 256" in readout(page) and f"surprisal {tokens.surprisal[2]:.2f} nats" in readout(page)
    active = page.get_attribute("#tokens-0", "aria-activedescendant")
    assert active == "t0-2" and page.get_attribute(f"#{active}", "aria-selected") == "true"
    page.keyboard.press("ArrowLeft")
    assert "token s 2 of 256" in readout(page)
    for key, place in (("End", 256), ("ArrowRight", 256), ("PageUp", 206), ("Home", 1), ("ArrowLeft", 1)):
        page.keyboard.press(key)
        assert f" {place} of 256" in readout(page), key
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    assert page.evaluate("() => document.activeElement.id") == "tokens-1"


def test_arrows_up_and_down_go_to_the_nearest_token_of_the_next_line(opened):
    page = opened().page
    page.focus("#tokens-1")
    box = "() => document.querySelector('#tokens-1 .here').getBoundingClientRect().toJSON()"
    for _ in range(9):
        page.keyboard.press("ArrowRight")
    before = page.evaluate(box)
    page.keyboard.press("ArrowDown")
    after = page.evaluate(box)
    assert after["top"] > before["top"] and abs(after["left"] - before["left"]) < 30
    page.keyboard.press("ArrowUp")
    assert page.evaluate(box)["top"] == before["top"]


def test_pointing_or_tapping_shows_the_same_numbers(opened, made):
    page = opened().page
    page.hover("#t1-5")
    tokens = made[1].findings[1].text.tokens
    p = tokens.likeliest[5][1]
    assert f"surprisal {tokens.surprisal[5]:.2f} nats" in readout(page, 1) and " 6 of 256" in readout(page, 1)
    assert f"{100 * p:.0f}%" in readout(page, 1) or f"{100 * p:.2g}%" in readout(page, 1)
    phone = opened(viewport=browsing.PHONE, has_touch=True).page
    phone.tap("#t1-5")
    assert readout(phone, 1) == readout(page, 1)


def test_the_layer_moves_the_colors_and_the_numbers(opened, made):
    page = opened().page
    local = made[1].findings[1].text.tokens.local
    page.hover("#t1-5")
    assert page.is_disabled("input[type=range]")
    page.check("input[value=dimension]")
    classes = "() => [...document.querySelectorAll('#tokens-1 .t')].map((one) => one.className.match(/b(\\d)|u/)[1])"
    for layer in (1, 2):
        page.fill("input[type=range]", str(layer))
        wanted = [str(sum(x >= edge for edge in (2, 4, 8, 16, 32))) for x in local[layer].round(1)]
        assert page.evaluate(classes) == wanted
        assert f"local dimension at layer {layer}: {local[layer][5]:.1f} ±" in readout(page, 1)
        assert page.inner_text("output") == str(layer)
    assert page.is_visible(".legend.dimension[data-of]") and not page.is_visible(".legend.surprisal[data-of]")


def test_on_paper_there_are_no_controls_and_the_whole_text(opened):
    visit = opened()
    visit.page.check("input[value=dimension]")
    visit.page.emulate_media(media="print")
    visit.page.set_viewport_size(browsing.PAPER)
    for hidden in (".controls", ".readout", "details", ".alone"):
        assert not visit.page.locator(hidden).first.is_visible(), hidden
    assert visit.page.evaluate(
        "() => [...document.querySelectorAll('.tokens')].every((one) => one.scrollHeight <= one.clientHeight + 1)"
    )
    assert visit.page.evaluate("() => document.documentElement.scrollWidth <= window.innerWidth")


def test_without_scripts_the_text_and_every_table_are_there(made, started):
    context = started.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto((made[0] / "report.html").resolve().as_uri())
    assert page.is_visible("#tokens-0") and not page.is_visible(".controls") and not page.is_visible("#readout-0")
    assert "Without scripts" in page.inner_text("main")
    context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_inside_a_notebook_its_colors_are_those_of_the_notebook(opened, scheme):
    """The book has a switch of its own, which counts more than the system's setting."""
    visit = opened("framed.html", color_scheme=scheme)
    ground = {"light": "rgb(255, 255, 255)", "dark": "rgb(18, 18, 18)"}
    for chosen in ("dark", "light", "dark"):
        visit.page.evaluate("scheme => { document.documentElement.style.colorScheme = scheme; }", chosen)
        visit.settle(50)
        assert visit.page.frames[1].evaluate("() => getComputedStyle(document.body).backgroundColor") == ground[chosen]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_inside_a_notebook_it_works_and_opens_by_itself(opened, scheme):
    visit = opened("framed.html", color_scheme=scheme)
    frame = visit.page.frames[1]
    frame.hover("#t1-5")
    assert " 6 of 256" in frame.inner_text("#readout-1")
    with visit.page.context.expect_page() as alone:
        frame.click("text=Open this report by itself")
    alone.value.wait_for_load_state()
    assert alone.value.title() == "Report on evil.html and plain"
    assert not alone.value.is_visible(".alone")
    alone.value.hover("#t1-7")
    assert re.search(r" 8 of 256", alone.value.inner_text("#readout-1"))
