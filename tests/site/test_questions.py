"""The questions of the chapters: what they are held to, what becomes of them on a page, and how a reader answers."""

import json
import re
import subprocess
import sys
from collections import Counter

import browsing
import pytest
from bs4 import BeautifulSoup
from conftest import PROJECT
from docutils.core import publish_doctree
from docutils.nodes import Admonition
from myst_parser.parsers.docutils_ import Parser
from test_pages import SOURCES, extension

sys.path.insert(0, str(PROJECT / "book" / "extensions"))  # one of them imports another, as Sphinx lets it
questions = extension("questions")

BOX = re.compile(r"^(`{4,})\{admonition\} ([^\n]+)\n:class: question\n\n(.*?)^\1$", re.M | re.S)
PART = re.compile(r"(.*?)\n\n(1\. .*?)\n\n```\{admonition\} Answers\n:class: dropdown\n\n(.*?)\n```\n", re.S)
LINK = re.compile(r"\{(?:prf:ref|numref|ref|doc|term|cite:[pt])\}`")


def entries(numbered):
    """The entries of a numbered list."""
    return [entry.strip() for entry in re.split(r"^\d\. ", numbered, flags=re.M)[1:]]


def asked(source):
    """(title, text, answers, explanations) of every question of a chapter."""
    for _, title, body in BOX.findall(source.read_text(encoding="utf-8")):
        text, answers, explanations = PART.fullmatch(body).groups()
        yield title, text, entries(answers), entries(explanations)


EVERY = [question for source in SOURCES for question in asked(source)]
each_chapter = pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.stem)


# --- what the chapters ask ---


@each_chapter
def test_a_chapter_asks_three_questions(source):
    found = list(asked(source))
    assert len(found) == source.read_text(encoding="utf-8").count(":class: question") == 3
    for title, text, answers, explanations in found:
        assert 3 <= len(answers) == len(explanations) <= 5, title
        right = [one.startswith("**Right.**") for one in explanations]
        assert all(is_right or one.startswith("**Wrong.**") for is_right, one in zip(right, explanations, strict=True))
        assert 1 <= sum(right) < len(right), title
        assert (sum(right) > 1) == text.endswith(questions.SEVERAL), title


@each_chapter
def test_answers_are_alike_in_form_and_every_one_is_explained(source):
    for title, _, answers, explanations in asked(source):
        lengths = [len(answer.split()) for answer in answers]
        assert max(lengths) <= 1.7 * min(lengths), f"{title}: answers of {lengths} words"
        assert len({answer[-1] for answer in answers}) == 1 and not LINK.search(" ".join(answers)), title
        for number, one in enumerate(explanations, 1):
            assert LINK.search(one), f"{title}: explanation {number} leads nowhere"
            assert len(one.split()) >= 12, f"{title}: explanation {number} explains little"


@each_chapter
def test_questions_hold_in_every_run(source):
    """No value of a run is in them, since the answers were written for all models and profiles."""
    assert not [title for title, *parts in asked(source) if "{eval}" in str(parts)]


def test_the_right_answer_cannot_be_guessed():
    """Neither its place nor its length gives it away; nor do several right answers always stand in the same places."""
    places, several, longest, shortest, count = Counter(), set(), 0, 0, 0
    for _, _, answers, explanations in EVERY:
        right = [place for place, one in enumerate(explanations) if one.startswith("**Right.**")]
        if len(right) > 1:
            several.add(tuple(right))
            continue
        length = [len(answer) for answer in answers]
        others = length[: right[0]] + length[right[0] + 1 :]
        places[right[0]] += 1
        longest += length[right[0]] > max(others)
        shortest += length[right[0]] < min(others)
        count += 1
    assert count > 35 and len(several) > 2 and len({title for title, *_ in EVERY}) == len(EVERY)
    assert all(0.25 * count <= places[place] <= 0.42 * count for place in range(3)), places
    assert longest <= 0.42 * count and shortest <= 0.42 * count, (longest, shortest, count)


# --- what cannot be asked ---

GOOD = """````{admonition} A title
:class: question

Which of them? $\\bar a$

1. One.
2. Two $\\bar b$.
3. Three.

```{admonition} Answers
:class: dropdown

1. **Wrong.** Not one.
2. **Right.** See [elsewhere](https://example.org), $x$.
3. **Wrong.** Not three.
```
````
"""
SEVERAL = (
    GOOD.replace("A title", "Another title")
    .replace("Which of them? $\\bar a$", questions.SEVERAL)
    .replace("1. **Wrong.** Not one.", "1. **Right.** One too.")
)


def box(text):
    """The box of a question, as Sphinx hands it to the extension."""
    doctree = publish_doctree(text, parser=Parser(), settings_overrides={"myst_enable_extensions": ["dollarmath"]})
    return next(iter(doctree.findall(Admonition)))


def test_a_question_has_a_text_answers_and_as_many_explanations():
    text, answers, explanations = questions.parts(box(GOOD))
    assert [part.astext() for part in answers] == ["One.", r"Two \bar b.", "Three."] and len(text) == 1
    assert [questions.verdict(one) for one in explanations] == ["wrong", "right", "wrong"]


@pytest.mark.parametrize(
    "old, new, message",
    [
        ("Which of them? $\\bar a$\n\n", "", r"it needs a text, a numbered list of answers, and a box \*Answers\*"),
        ("1. One.\n2. Two $\\bar b$.\n3. Three.\n", "- One.\n- Two.\n- Three.\n", r"a numbered list of answers"),
        ("} Answers", "} Solutions", r"3 answers need a box \*Answers\* with as many explanations, not 3"),
        ("3. **Wrong.** Not three.\n", "", r"3 answers need a box \*Answers\* with as many explanations, not 2"),
        ("2. Two $\\bar b$.\n", "2. Two $\\bar b$.\n\n   More.\n", r"answer 2 is more than one paragraph"),
        ("3. Three.", "3. Three, [see](https://example.org).", r"answer 3 holds a link"),
        ("**Wrong.** Not three", "Not three", r"explanation 3 begins with neither Right\. nor Wrong\."),
        ("**Wrong.** Not three", "Not **Wrong.** three", r"explanation 3 begins with neither Right\. nor Wrong\."),
        ("**Right.**", "**Wrong.**", r"every answer is wrong"),
        ("Which of them?", questions.SEVERAL, r'"Choose every right answer\." belongs to .*: 1 here'),
        ("3. **Wrong.**", "3. **Right.**", r'"Choose every right answer\." belongs to .*: 2 here'),
    ],
)
def test_a_mistake_is_named_in_one_line(old, new, message):
    assert old in GOOD
    with pytest.raises(ValueError, match=message) as error:
        questions.parts(box(GOOD.replace(old, new)))
    assert "\n" not in str(error.value)


def test_two_answers_are_too_few():
    few = GOOD.replace("3. Three.\n", "").replace("3. **Wrong.** Not three.\n", "")
    with pytest.raises(ValueError, match="2 answers are too few: give at least 3"):
        questions.parts(box(few))


# --- on a page ---

CONF = f"""import sys
sys.dont_write_bytecode = True
sys.path.insert(0, {str(PROJECT / "book" / "extensions")!r})
extensions = ["myst_parser", "sphinx-mathjax-offline", "folds", "questions", "markup", "lean", "excerpts"]
myst_enable_extensions = ["dollarmath"]
templates_path = [{str(PROJECT / "book" / "templates")!r}]
html_context = {{"default_mode": "auto"}}
html_theme = "sphinx_book_theme"
html_title = "A book"
html_static_path = [{str(PROJECT / "book" / "_static")!r}]
html_css_files = ["book.css"]
html_js_files = [["book.js", {{"defer": "defer"}}]]
"""


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A site of three pages: one with questions, one without, one with a mistake; and what Sphinx said."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("site")
    (source / "conf.py").write_text(CONF)
    toc = "```{toctree}\nother\nbroken\n```\n"
    (source / "index.md").write_text(f"# A page\n\n{toc}\nIt says so.\n\n## Check yourself\n\n{GOOD}\n{SEVERAL}\n")
    (source / "other.md").write_text("# Another page\n\nNothing is asked.\n")
    (source / "broken.md").write_text("# A mistake\n\n" + GOOD.replace("**Right.**", "**Wrong.**"))
    command = [sys.executable, "-m", "sphinx", "-q", "-b", "html", str(source), str(out)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return out, done.stderr.strip()


def soup(built, name):
    return BeautifulSoup((built[0] / f"{name}.html").read_text(encoding="utf-8"), "html.parser")


def test_a_build_with_a_mistake_says_where_in_one_line(built):
    assert built[1].count("\n") == 0
    assert re.search(r'broken\.md:3: WARNING: question "A title": every answer is wrong$', built[1])


def test_a_question_is_a_group_of_native_controls_with_names(built):
    page = soup(built, "index")
    one, several = page.select("div.question")
    for number, (question, title) in enumerate(((one, "A title"), (several, "Another title")), 1):
        assert question.fieldset.legend.get_text(strip=True) == f"Question {number}. {title}"
        text = page.find(id=question.fieldset["aria-describedby"])
        assert text.get_text(strip=True)
        assert len({box["name"] for box in question("input")}) == 1
        for place, answer in enumerate(question("input"), 1):
            label = question.find("label", attrs={"for": answer["id"]})
            fold = answer.find_parent("li").details
            assert label.get_text(strip=True) and not label("a")
            assert fold.summary.text.strip() == f"Explanation of answer {place}" and not fold.has_attr("open")
            assert fold.parent["aria-live"] == "polite"
            word = fold.find(class_="verdict").text
            assert word == ("Right." if answer.has_attr("data-right") else "Wrong.")
        assert question.find(role="status") and question.select_one("div.actions").has_attr("hidden")
    assert {box["type"] for box in one("input")} == {"radio"}
    assert {box["type"] for box in several("input")} == {"checkbox"}


def test_only_pages_with_questions_load_what_serves_them(built):
    for name, count in (("index", 1), ("other", 0), ("broken", 0)):
        page = str(soup(built, name).head) + str(soup(built, name)("script"))
        assert page.count("questions.css") == count and (page.count("questions.js") > 0) == bool(count), name


def test_the_search_shows_no_answer_as_a_sentence(built):
    text = (built[0] / "_static" / "excerpts.js").read_text(encoding="utf-8")
    shown = json.loads(text.removeprefix("window.EXCERPTS = ").removesuffix(";\n"))
    assert shown["index"][0][1].endswith("It says so.") and "One" not in str(shown)


# --- in a browser ---


@pytest.fixture(scope="module")
def started():
    with browsing.browser() as found:
        yield found


@pytest.fixture
def open_page(built, started):
    """Opens the page with questions from its file."""
    contexts = []

    def visit(**options):
        contexts.append(started.new_context(**{"viewport": browsing.DESKTOP, "reduced_motion": "reduce", **options}))
        return browsing.Visit(contexts[-1], built[0].resolve().as_uri(), "index.html")

    yield visit
    for context in contexts:
        context.close()


def visible(question):
    """The explanations that a reader of a question sees."""
    found = question.locator(".feedback > details > p").all()
    return [one.inner_text().strip() for one in found if one.is_visible()]


def test_a_mouse_chooses_checks_and_tries_again(open_page):
    visit = open_page()
    one = visit.page.locator("div.question").first
    status, check = one.locator("[role=status]"), one.get_by_role("button", name="Check")
    assert visible(one) == [] and not one.locator("summary").first.is_visible()
    check.click()
    assert status.inner_text() == "Choose an answer first." and visible(one) == []
    one.get_by_text("Three.", exact=True).click()  # a label chooses
    check.click()
    assert visible(one) == ["Wrong. Not three."] and status.inner_text().startswith("Not yet.")
    one.get_by_role("radio").nth(1).check()
    assert status.inner_text() == ""  # the old result is not the new answer's
    check.click()
    assert [text.split()[0] for text in visible(one)] == ["Right.", "Wrong."] and status.inner_text() == "Right."
    assert one.locator(".verdict").nth(1).evaluate("e => getComputedStyle(e, '::before').content").startswith('"\u2713')
    assert not visit.findings


def test_several_right_answers_are_all_wanted(open_page):
    several = open_page().page.locator("div.question").nth(1)
    status, check = several.locator("[role=status]"), several.get_by_role("button", name="Check")
    boxes = several.get_by_role("checkbox")
    boxes.nth(0).check()
    check.click()
    assert "not complete" in status.inner_text() and len(visible(several)) == 1
    boxes.nth(2).check()
    check.click()
    assert status.inner_text().startswith("Not yet.")
    boxes.nth(2).uncheck()
    boxes.nth(1).check()
    check.click()
    assert status.inner_text() == "Right: these are all."


def test_the_keyboard_alone_is_enough(open_page):
    """Tab, arrows, Space, and Enter; what has the focus is visible, and read with its question."""
    page = open_page().page
    one, several = page.locator("div.question").all()
    focused = "() => document.activeElement.id || document.activeElement.className"

    def press(*keys):
        for key in keys:
            page.keyboard.press(key)
        return page.evaluate(focused)

    one.get_by_role("radio").first.focus()
    assert press("ArrowDown", "ArrowDown") == "question-1-3"
    assert press("Enter") == "question-1-3" and visible(one) == ["Wrong. Not three."]
    assert press("ArrowUp", "Tab") == "check"
    style = "() => getComputedStyle(document.activeElement).outlineStyle"
    assert page.evaluate(style) != "none"
    press("Space")
    assert one.locator("[role=status]").inner_text() == "Right."
    assert press("Tab") == "show" and page.evaluate("() => document.activeElement.ariaExpanded") == "false"
    press("Enter")
    assert len(visible(one)) == 3 and page.evaluate("() => document.activeElement.ariaExpanded") == "true"
    assert press("Enter") == "show" and visible(one) == []
    assert press("Tab") == "question-2-1"
    press("Space", "Tab", "Space", "Tab", "Tab", "Enter")
    assert several.locator("[role=status]").inner_text() == "Right: these are all."


def test_screen_readers_hear_the_chosen_explanation_and_nothing_else(open_page):
    page = open_page().page
    one = page.locator("div.question").first
    assert one.get_by_role("group", name="Question 1. A title").count() == 1
    places = one.locator(".feedback")
    assert places.evaluate_all("all => all.map((one) => one.ariaLive)") == ["polite"] * 3
    one.get_by_role("button", name="Show all explanations").click()
    assert places.evaluate_all("all => all.map((one) => one.ariaLive)") == ["off"] * 3
    page.wait_for_timeout(700)
    assert places.evaluate_all("all => all.map((one) => one.ariaLive)") == ["polite"] * 3


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("viewport", [browsing.DESKTOP, browsing.PHONE], ids=["1280", "390"])
def test_everyone_can_read_the_questions(open_page, scheme, viewport):
    visit = open_page(color_scheme=scheme, viewport=viewport)
    for button in visit.page.get_by_role("button", name="Check").all():
        button.click()  # the result, too, is read
    visit.axe(f"{scheme}, closed")
    for number in range(2):
        visit.page.locator("button.show").nth(number).click()
    visit.settle()
    visit.inspect(scheme)
    visit.axe(f"{scheme}, open")
    assert not visit.findings


def test_without_a_script_the_explanations_are_in_folds(built, started):
    page = started.new_page(java_script_enabled=False)
    page.goto((built[0] / "index.html").as_uri())
    one = page.locator("div.question").first
    assert one.get_by_role("radio").count() == 3 and one.get_by_role("button").count() == 0
    assert visible(one) == []
    one.locator("summary").nth(1).click()
    assert [text.split()[0] for text in visible(one)] == ["Right."]
    page.close()


def test_paper_has_the_questions_and_the_explanations_that_are_open(open_page):
    page = open_page().page
    page.emulate_media(media="print")
    one, several = page.locator("div.question").all()
    assert one.get_by_text("Three.", exact=True).is_visible() and visible(one) == []
    assert not one.locator("button").first.is_visible() and not one.locator("[role=status]").is_visible()
    page.evaluate("() => document.querySelectorAll('details.solution').forEach((fold) => { fold.open = true; })")
    assert len(visible(several)) == 3 and not several.locator("summary").first.is_visible()
