"""Places in a page: who follows a link into it, or comes back, stays at the place; no button covers what is used."""

import browsing
import pytest
from conftest import PROJECT

SCRIPT = (PROJECT / "book" / "_static" / "book.js").as_uri()
#: Formulas and forms above a place take their room late, and the form of the claims puts each into a box. Not every
#: browser moves the page along with its content.
PAGE = """<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>A page</title><style>
html { overflow-anchor: %s; } p { height: 80px; margin: 0; } .late { height: 0; }
#pst-back-to-top { position: fixed; top: 90vh; } .out-of-the-way { display: none; }
mjx-container { display: inline-block; width: 500px; }
</style></head><body><main><article><p><span class="math"><mjx-container></mjx-container></span></p>
<div class="figure-form"></div><div class="late"></div>%s
<div id="laboratory" style="height: 500px"></div>%s</article></main>
<button id="pst-back-to-top">Back to top</button><script src="%s"></script><script>
addEventListener("load", () => setTimeout(() => {
  document.querySelector(".late").style.height = "286px";
  document.querySelectorAll("article > p").forEach((block) => {
    const box = document.createElement("div");
    block.before(box);
    box.append(block);
  });
}, 300));
</script></body></html>"""
TOP = "(id) => document.getElementById(id).getBoundingClientRect().top"


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A folder with a long page, and one to which it leads."""
    folder = tmp_path_factory.mktemp("site")
    halves = [
        "".join(f'<p id="p{k}"><a href="b.html">{k}</a></p>' for k in range(*ends)) for ends in ((0, 60), (60, 99))
    ]
    for name, anchoring in {"a": "none", "anchored": "auto"}.items():
        (folder / f"{name}.html").write_text(PAGE % (anchoring, *halves, SCRIPT), encoding="utf-8")
    (folder / "b.html").write_text("<!DOCTYPE html><title>B</title>", encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def started():
    """A browser."""
    with browsing.browser() as chromium:
        yield chromium


def test_a_link_into_a_page_leads_to_its_place(started, site):
    page = started.new_page()
    page.goto(f"{(site / 'a.html').as_uri()}#p40")
    page.wait_for_timeout(900)
    assert abs(page.evaluate(TOP, "p40")) < 2


def test_a_reader_who_moves_on_is_let_go(started, site):
    page = started.new_page()
    page.goto(f"{(site / 'a.html').as_uri()}#p40")
    page.mouse.wheel(0, -400)
    page.wait_for_timeout(900)
    assert abs(page.evaluate(TOP, "p40")) > 300


@pytest.mark.parametrize("name", ["a", "anchored"])
def test_who_comes_back_finds_the_place(started, site, name):
    page = started.new_page()
    page.goto((site / f"{name}.html").as_uri())
    page.wait_for_timeout(900)
    page.evaluate("() => window.scrollTo(0, 2345)")
    before = page.evaluate(TOP, "p30")
    page.goto((site / "b.html").as_uri())
    page.go_back()
    page.wait_for_timeout(900)
    assert abs(page.evaluate(TOP, "p30") - before) < 2


def test_the_button_to_the_top_does_not_cover_what_is_used(started, site):
    page = started.new_page(viewport={"width": 390, "height": 844})
    page.goto((site / "a.html").as_uri())
    page.wait_for_timeout(900)
    seen = []
    for place in ("p20", "laboratory", "p90"):
        page.evaluate("(id) => document.getElementById(id).scrollIntoView({ block: 'end' })", place)
        page.wait_for_timeout(200)
        seen.append(page.locator("#pst-back-to-top").is_visible())
    assert seen == [True, False, True]


def test_a_formula_wider_than_its_line_scrolls_until_the_line_is_longer(started, site):
    page = started.new_page(viewport={"width": 390, "height": 844})
    page.goto((site / "a.html").as_uri())
    found = []
    for width in (390, 1280, 390):
        page.set_viewport_size({"width": width, "height": 844})
        page.wait_for_timeout(700)
        found.append(page.locator(".math.wide").count())
    assert found == [1, 0, 1]
