"""Slides of chapters: what becomes a slide, and decks that open from a folder in a browser, without a network."""

import pytest
from browsing import browser
from bs4 import BeautifulSoup

from tokengeom_utils import InputError
from tokengeom_utils.site.slides.deck import write_slides
from tokengeom_utils.site.slides.selection import slides_of

CHAPTER = """<html><body><article><section id="top"><h1>7. Clouds<a class="headerlink" href="#top">#</a></h1>
<p>What are they, <a href="other.html#x">elsewhere</a>?</p>
<div class="tip admonition"><p>In this chapter</p><ul><li>You count.</li></ul></div>
<figure id="fig-first"><img src="../_images/a.svg"></figure>
<section id="law"><h2>The law<a class="headerlink" href="#law">#</a></h2>
<div class="proof definition admonition" id="def-a"><p class="admonition-title">Definition 7.1 (Cloud)</p>
<section class="definition-content"><p>A set.</p>
<div class="math notranslate" id="equation-in">\\[a\\]</div></section></div>
<p>Then</p><div class="math notranslate" id="equation-b">\\[b\\]</div>
<div class="math notranslate">\\[c\\]</div>
<div class="cell"><details class="code fold"><summary class="fold-label">Code</summary>
<pre>secret_code()</pre></details>
<figure id="fig-a"><img src="../_images/a.svg" alt="A line."><figcaption><span class="caption-number">Fig. 7.1</span>
<span class="caption-text">Points.</span></figcaption></figure></div>
<details class="proof"><summary>Proof</summary><figure id="fig-b"><img src="../_images/a.svg"></figure></details>
<div class="proof admonition" id="proof"><p>It follows.</p></div></section>
<section id="exercises"><h2>Exercises</h2><div class="math" id="equation-d">\\[d\\]</div>
<details class="solution"><summary>Solution</summary><p>answer</p></details></section>
<section id="check-yourself"><h2>Check yourself</h2><figure id="fig-c"><img src="../_images/a.svg"></figure></section>
<section id="what-to-take-away"><h2>What to take away</h2><ul><li>One thing.</li></ul></section>
</section></article></body></html>"""


def test_one_idea_is_one_slide_in_the_order_of_the_page():
    found = slides_of(CHAPTER)
    assert [(slide.kind, slide.title) for slide in found] == [
        ("title", "7. Clouds"),
        ("goals", "In this chapter"),
        ("figure", "7. Clouds"),
        ("statement", "Definition 7.1 (Cloud)"),
        ("formula", "The law"),
        ("figure", "The law"),
        ("summary", "What to take away"),
    ]
    assert found[0].body == "<p>What are they, elsewhere?</p>"
    assert "\\[b\\]" in found[4].body and "Then" in found[4].body and "Points." in found[5].body


def test_no_code_no_solution_and_no_place_to_link_to():
    text = "".join(slide.body for slide in slides_of(CHAPTER))
    for left_out in ("secret_code", "answer", "It follows", "Fig. 7.1", " id=", "href"):
        assert left_out not in text


def test_a_page_that_is_no_chapter_has_no_slides():
    assert slides_of("<html><body><p>Search</p></body></html>") == []


def test_what_is_missing_is_named_before_anything_is_written(tmp_path):
    with pytest.raises(InputError, match=r"no built book at .*: build one with  tokengeom book"):
        write_slides(tmp_path, tmp_path / "slides")
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "notebooks" / "clouds.html").write_text(CHAPTER)
    with pytest.raises(InputError, match="no chapter cluods in .*: choose from clouds"):
        write_slides(tmp_path, tmp_path / "slides", ["cluods"])
    assert not (tmp_path / "slides").exists()


def test_a_deck_without_a_picture_of_its_page_is_not_begun(tmp_path):
    """A site that is being written lacks files: the folder of an earlier deck stays as it was."""
    site, out = tmp_path / "site", tmp_path / "slides"
    (site / "notebooks").mkdir(parents=True)
    (site / "_static" / "mathjax").mkdir(parents=True)
    (site / "notebooks" / "clouds.html").write_text(CHAPTER)
    out.mkdir()
    with pytest.raises(InputError, match=r"a\.svg"):
        write_slides(site, out)
    assert not list(out.iterdir())


DECK = """() => [...document.querySelectorAll(".slides > section")].map((section) => {
  const box = section.querySelector(".fit");
  return {
    kind: section.className.split(" ")[0],
    high: box.scrollHeight, wide: box.scrollWidth - box.clientWidth,
    formulas: section.querySelectorAll(".math").length, set: section.querySelectorAll("mjx-container").length,
    source: /\\\\[([]/.test(box.innerText),
    drawn: [...section.querySelectorAll("img")].every((image) => image.naturalWidth > 0),
  };
})"""


@pytest.fixture(scope="module")
def decks(book, tmp_path_factory):
    """All decks of a book, in a folder, as (folder, pages)."""
    out = tmp_path_factory.mktemp("slides")
    return out, write_slides(book[1] / "html", out)


def test_decks_fit_their_slides_and_ask_no_server(decks):
    _, pages = decks
    with browser() as started:
        for page in pages:
            tab, asked, errors = started.new_page(viewport={"width": 1280, "height": 720}), [], []
            tab.on("request", lambda request, asked=asked: asked.append(request.url))
            tab.on("requestfailed", lambda request, errors=errors: errors.append(request.url))
            tab.on("pageerror", lambda error, errors=errors: errors.append(str(error)))
            tab.goto(page.as_uri())
            tab.wait_for_function("document.documentElement.dataset.ready === 'yes'")
            slides = tab.evaluate(DECK)
            assert not errors and [url for url in asked if not url.startswith(("file:", "data:"))] == [], page.name
            assert slides[0]["kind"] == "title" and slides[-1]["kind"] == "summary" and len(slides) >= 4, page.name
            for number, slide in enumerate(slides, 1):
                assert slide["high"] <= 720 and slide["wide"] <= 1, f"{page.name}, slide {number} is too large"
                assert slide["set"] >= slide["formulas"] and not slide["source"], f"{page.name}, slide {number}"
                assert slide["drawn"], f"{page.name}, slide {number}: no picture"
            tab.close()


def test_a_key_turns_the_slide(decks):
    out, _ = decks
    with browser() as started:
        tab = started.new_page()
        tab.goto((out / "cosine_similarity.html").as_uri())
        tab.wait_for_function("document.documentElement.dataset.ready === 'yes'")
        tab.keyboard.press("ArrowRight")
        tab.wait_for_function("location.hash === '#/1'")
        assert tab.locator("section.present h2").inner_text() == "In this chapter"


def test_every_figure_outside_a_fold_is_on_a_slide(book, decks):
    _, pages = decks
    for page in pages:
        article = BeautifulSoup((book[1] / "html/notebooks" / page.name).read_text(), "html.parser").article
        wanted = {
            figure.img["src"].rpartition("/")[2]
            for figure in article.select("figure[id]")
            if not figure.find_parent("details") and not figure.find_parent("section", id="exercises")
        }
        deck = BeautifulSoup(page.read_text(), "html.parser")
        assert wanted <= {image["src"].rpartition("/")[2] for image in deck.select("img")}, page.name
        assert not deck.select("details, pre, .solution")
