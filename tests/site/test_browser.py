"""The built site in a real browser: two pages in every run of the tests, all pages by ``make browser-test``.

``make browser-test`` looks at the site of the last build, or at the one in the variable ``SITE``.
"""

import os
from collections import defaultdict
from pathlib import Path

import browsing
import pytest
from conftest import PROJECT

TOPICS = {
    "outside": "a page asks another server for something",
    "missing": "a file is not there",
    "errors": "a script fails, or complains",
    "images": "a picture is not shown",
    "formulas": "a formula is shown as its source",
    "wide": "the page scrolls sideways",
    "code": "code is cut at the right",
    "clipped": "a formula is cut and cannot be scrolled",
    "display": "a formula is wider than the column of the desktop",
    "tables": "a column of a table is out of sight on a desktop",
    "unreachable": "something scrolls that the keyboard cannot reach",
    "anchors": "a link leads nowhere in its page, or two places have one id",
    "contents": "the contents do not mark the section that is read",
    "copying": "code that is selected is not the code that ran",
    "labels": "a button or a fold has no name",
    "stops": "the tab key stops at a formula",
    "paper": "a fold, a button, or cut code is printed, or a figure can be parted from its caption",
    "axe": "a serious or critical violation of WCAG, found by axe-core",
}
SITE = Path(os.environ.get("TOKENGEOM_SITE") or PROJECT / "_build" / "quick" / "html")
#: kilobytes that a page may load at most, by kind
LIMITS = {"script": 1000, "stylesheet": 700, "font": 450, "document": 2500, "image": 3000}
#: pages with limits of their own: plotly weighs 4.8 MB, and each cloud one
OWN_LIMITS = {"book/explorer.html": {"script": 6500}}


def report(findings):
    """The findings on a topic as a message, the first of each page first."""
    return f"{len(findings)} findings:\n" + "\n".join(findings[:40])


def too_heavy(name, sizes):
    """What a page loads beyond the limits."""
    limits = LIMITS | OWN_LIMITS.get(name, {})
    found = [(kind, sizes.get(kind, 0) / 1000, limit) for kind, limit in limits.items()]
    return [f"{name}: {size:.0f} kB of {kind}, more than {limit}" for kind, size, limit in found if size > limit]


# --- a sample ---


@pytest.fixture(scope="module")
def sample(book):
    """The findings on the table of notation and on the shortest chapter that has formulas, code, and exercises."""
    site = book[1] / "html"
    names = ["book/notation.html", "notebooks/cosine_similarity.html"]
    found = defaultdict(list)
    with browsing.served(site) as base, browsing.browser() as started:
        for name in names:
            findings, sizes = browsing.examine(started, base, site, name)
            findings["heavy"] = too_heavy(name, sizes)
            for topic, some in findings.items():
                found[topic] += some
    return found


@pytest.mark.parametrize("topic", [*TOPICS, "heavy"])
def test_two_pages_can_be_read_by_everyone(sample, topic):
    assert not sample[topic], report(sample[topic])


# --- all pages ---


def pytest_generate_tests(metafunc):
    """One test for each page of a built site, so that a run shows how far it is, and a limit on time is one page's."""
    if "page" in metafunc.fixturenames:
        metafunc.parametrize("page", browsing.pages(SITE) or [None])


@pytest.fixture(scope="module")
def opened():
    """A browser, and the address of the built site."""
    with browsing.browser() as started, browsing.served(SITE) as base:
        yield started, base


@pytest.mark.browser
def test_every_page_can_be_read_by_everyone(page, request):
    assert page, f"there is no site in {SITE}: build it with make book, or name another with make browser-test SITE="
    findings, sizes = browsing.examine(*request.getfixturevalue("opened"), SITE, page)
    findings["heavy"] = too_heavy(page, sizes)
    assert not any(findings.values()), "\n".join(
        f"{TOPICS.get(topic, 'a page weighs too much')}: {report(some)}" for topic, some in findings.items() if some
    )
