"""What of a chapter's page becomes a slide: goals, statements, numbered formulas, figures, and what to take away."""

from collections.abc import Iterator
from copy import copy
from typing import NamedTuple

from bs4 import BeautifulSoup
from bs4.element import Tag

#: Sections without slides: tasks with their answers, which a class gets elsewhere.
LEFT_OUT = ("check-yourself", "exercises")
#: A list of sentences in one section becomes slides only at the end of a chapter.
SUMMARY = "what-to-take-away"
STATEMENTS = ("definition", "proposition", "theorem", "lemma", "corollary")
#: In document order: a figure, a statement, a numbered formula.
WANTED = "figure[id], div.proof.admonition, div.math[id]"
#: What only makes sense on a page.
PAGE_ONLY = "a.headerlink, .fold-label, button, script, details, nav"


class Slide(NamedTuple):
    """One slide."""

    kind: str  #: title, goals, statement, formula, figure, or summary
    title: str  #: HTML
    body: str  #: HTML


def slides_of(page: str) -> list[Slide]:
    """List the slides of a chapter.

    Parameters
    ----------
    page : str
        The HTML of its page.

    Returns
    -------
    list of Slide
        In the order of the page; the first is the title. Empty if the page is no chapter.

    Examples
    --------
    >>> page = '<article><section><h1>Clouds</h1><p>What are they?</p></section></article>'
    >>> slides_of(page)
    [Slide(kind='title', title='Clouds', body='<p>What are they?</p>')]
    """
    article = BeautifulSoup(page, "html.parser").select_one("article")
    if not article or not (heading := article.find("h1")):
        return []
    for link in article.select("a.headerlink"):
        link.decompose()
    first = heading.find_next_sibling("p")
    found = [Slide("title", _inner(heading), _outer(first) if first else "")]
    if goals := article.select_one("div.tip.admonition ul"):
        found.append(Slide("goals", "In this chapter", _outer(goals)))
    found += _of_section(article, _inner(heading), within=None)  # what stands before the first section
    for section in article.select("section > section"):
        name = section.find("h2", recursive=False)
        if name and section.get("id") not in LEFT_OUT:
            found += _of_section(section, _inner(name), within=section)
    return found


def _of_section(section: Tag, title: str, within: Tag | None) -> Iterator[Slide]:
    """The slides of one section; of an article those of its parts that are in no section below its heading."""
    if section.get("id") == SUMMARY:
        for item in section.find_all("ul", recursive=False):
            yield Slide("summary", title, _outer(item))
        return
    for part in section.select(WANTED):
        if part.find_parent("details") or (within is None and _section_of(part)):
            continue
        if part.name == "figure":
            yield Slide("figure", title, _figure(part))
        elif "math" in _classes(part):
            if not part.find_parent("div", class_="admonition"):
                before = part.find_previous_sibling()
                said = _outer(before) if before is not None and before.name == "p" else ""
                yield Slide("formula", title, said + _outer(part))
        elif set(STATEMENTS) & set(_classes(part)):
            yield _statement(part)


def _section_of(part: Tag) -> Tag | None:
    """The section with a heading of the second level that a part is in."""
    return next((one for one in part.find_parents("section") if one.find("h2", recursive=False)), None)


def _statement(part: Tag) -> Slide:
    """A definition or a proposition, under its own name."""
    name = part.select_one("p.admonition-title")
    content = part.select_one("section")
    return Slide("statement", _inner(name) if name else "", _inner(content) if content else "")


def _figure(part: Tag) -> str:
    """A picture and its caption."""
    picture, caption = part.find("img"), part.select_one(".caption-text")
    said = f"<figcaption>{_inner(caption)}</figcaption>" if caption else ""
    return f"<figure>{_outer(picture) if picture else ''}{said}</figure>"


def _classes(part: Tag) -> list[str]:
    return list(part.get("class") or [])


def _outer(part: Tag) -> str:
    """HTML without what only makes sense on a page: links lead nowhere from a deck, so that their words are left."""
    part = copy(part)
    for found in part.select(PAGE_ONLY):
        found.decompose()
    for link in part.select("a"):
        link.unwrap()
    for found in [part, *part.find_all(True)]:
        found.attrs.pop("id", None)  # references would be doubled
        found.attrs.pop("title", None)
    return str(part)


def _inner(part: Tag) -> str:
    """The HTML inside an element."""
    text = _outer(part)
    return text[text.index(">") + 1 : text.rindex("<")].strip()
