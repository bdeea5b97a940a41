"""Pages of the built site in a real browser: Chromium as the system has it, driven by playwright, judged by axe-core.

axe-core 4.12 is the file that the package axe-playwright-python brings along. Nothing is downloaded.
"""

import shutil
import threading
from collections import defaultdict
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from importlib import resources
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tokengeom_utils.site.pdf import BROWSERS

INSPECTION = (Path(__file__).parent / "inspection.js").read_text(encoding="utf-8")
OPEN_ALL = "() => document.querySelectorAll('main details').forEach((fold) => { fold.open = true; })"
SETTLED = """async () => {
  await (window.MathJax && MathJax.startup ? MathJax.startup.promise : null);
  await document.fonts.ready;
  await new Promise((done) => setTimeout(done, %d));
}"""
AXE = """async () => {
  // Without preloading, which looks for style sheets of its own and only serves a rule about rotated screens. The rule
  // about labels is off by default, as it is still called experimental.
  const rules = { "label-content-name-mismatch": { enabled: true } };
  const found = await axe.run(document, { rules, resultTypes: ["violations"], iframes: false, preload: false });
  return found.violations.filter(({ impact }) => ["serious", "critical"].includes(impact)).flatMap(({ id, nodes }) =>
    nodes.map(({ html, any: [why] }) => `${id}: ${html.slice(0, 110)} ${why ? why.message : ""}`));
}"""
# At every height of the page, the contents beside it mark a section.
SCROLLED = """async () => {
  const column = document.querySelector("#pst-page-toc-nav");
  if (!column || !column.querySelector("a")) return [];
  const heights = [0, 0.03, 0.1, 0.25, 0.4, 0.5, 0.6, 0.75, 0.9, 0.97, 1];
  const missed = [];
  for (const share of heights) {
    window.scrollTo(0, share * (document.documentElement.scrollHeight - window.innerHeight));
    await new Promise((done) => setTimeout(done, 60));
    const marked = column.querySelectorAll("a[aria-current]").length;
    if (marked !== 1) missed.push(`${marked} sections are marked at ${100 * share}% of the page`);
  }
  return missed;
}"""
# Code that a reader selects, or copies with the button, is the code that ran; the prompts of an example are left out.
COPIED = """() => [...document.querySelectorAll("main div.highlight pre")].flatMap((pre) => {
  const selection = getSelection();
  selection.selectAllChildren(pre);
  const text = selection.toString();
  selection.removeAllRanges();
  const code = pre.cloneNode(true);
  code.querySelectorAll(".gp").forEach((prompt) => prompt.remove());
  const same = text.trimEnd() === code.textContent.trimEnd();
  return same ? [] : [`"${pre.textContent.slice(0, 40)}" is copied as "${text.slice(0, 40)}"`];
})"""
# On paper: no fold of code, no closed fold, no button, no code that is cut, no figure parted from its caption,
# and no term parted from what it means.
PRINTED = """() => {
  const shown = (selector) => [...document.querySelectorAll(selector)].filter((one) => one.getClientRects().length);
  const style = (one) => getComputedStyle(one);
  return [
    ...shown("details.code, details.reproduce, details:not([open]), .copybtn, .bd-sidebar"),
    ...shown("main pre").filter((pre) => pre.scrollWidth > pre.clientWidth + 1),
    ...shown("div.highlight, div[class*='highlight-'], div.cell_input, main pre, main, body").filter((box) =>
      style(box).breakInside !== "auto" || style(box).display !== "block"),
    ...shown("main figure").filter((figure) => style(figure).breakInside !== "avoid"),
    ...shown("main .admonition").filter((box) => style(box).boxShadow !== "none"),
    ...shown("main dt").filter((term) => style(term).breakAfter !== "avoid"),
  ].map((one) => `${one.tagName} ${one.className} "${one.textContent.trim().slice(0, 50)}"`);
}"""
DESKTOP, PHONE, PAPER = {"width": 1280, "height": 900}, {"width": 390, "height": 844}, {"width": 680, "height": 1000}


class Quiet(SimpleHTTPRequestHandler):
    """Serves files and prints nothing."""

    def log_message(self, *_):
        pass


def pages(site):
    """The pages of a site, as paths in it; without the one that only leads on to the first page."""
    found = (page for page in Path(site).rglob("*.html") if "_static" not in page.parts)
    return sorted(p.relative_to(site).as_posix() for p in found if 'http-equiv="refresh"' not in p.read_text()[:600])


@contextmanager
def served(site):
    """The address at which a folder is served."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(site))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@contextmanager
def browser():
    """A headless browser; the test is skipped, with the reason, where there is none."""
    playwright = pytest.importorskip("playwright.sync_api", reason="no browser test: playwright is not installed")
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    if not path:
        pytest.skip(f"no browser test: none of {', '.join(BROWSERS)} is installed (Debian: apt-get install chromium)")
    with playwright.sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu", "--no-first-run"])
        yield started
        started.close()


class Visit:
    """One page of the site, open in a browser, and what is wrong with it.

    Parameters
    ----------
    context : playwright BrowserContext
    base : str
        The address of the site: of a server, or ``file://`` and a path.
    name : str
        The path of the page in the site.
    """

    def __init__(self, context, base, name):
        self.findings = defaultdict(list)
        self.sizes = defaultdict(int)  # bytes loaded, by kind of resource
        self.name = name
        self._own = urlsplit(base).netloc
        self.page = context.new_page()
        self.page.on("request", self._on_request)
        self.page.on("response", self._on_response)
        self.page.on("requestfailed", lambda request: self.note("missing", request.url))
        self.page.on("pageerror", lambda error: self.note("errors", str(error)))
        self.page.on("console", lambda said: self.note("errors", said.text) if said.type == "error" else None)
        self.page.goto(f"{base}/{name}", wait_until="load")
        self.settle()

    def note(self, topic, finding):
        """Remember a finding."""
        self.findings[topic].append(f"{self.name}: {finding}")

    def _on_request(self, request):
        address = urlsplit(request.url)
        if address.scheme not in ("data", "blob", "file", "about") and address.netloc != self._own:
            self.note("outside", request.url)

    def _on_response(self, response):
        if response.status >= 400:
            self.note("missing", f"{response.status} {response.url}")
        elif urlsplit(response.url).scheme == "http":
            self.sizes[response.request.resource_type] += int(response.headers.get("content-length", 0))

    def settle(self, milliseconds=200):
        """Wait until formulas and fonts are there."""
        self.page.evaluate(SETTLED % milliseconds)

    def inspect(self, about):
        """Note what a reader would miss; ``about`` says how the page is shown."""
        for topic, found in self.page.evaluate(INSPECTION).items():
            for finding in found:
                self.note(topic, f"{about}: {finding}")

    def use(self):
        """Note what scrolling and copying do wrong."""
        for topic, script in (("contents", SCROLLED), ("copying", COPIED)):
            for finding in self.page.evaluate(script):
                self.note(topic, finding)

    def print(self):
        """Note what would be wrong on paper."""
        self.page.set_viewport_size(PAPER)
        self.page.emulate_media(media="print", color_scheme="light")
        for finding in self.page.evaluate(PRINTED):
            self.note("paper", finding)

    def axe(self, about):
        """Note serious and critical violations of WCAG."""
        if not self.page.evaluate("() => Boolean(window.axe)"):
            self.page.evaluate((resources.files("axe_playwright_python") / "axe.min.js").read_text(encoding="utf-8"))
        for finding in self.page.evaluate(AXE):
            self.note("axe", f"{about}: {finding}")


def examine(started, base, folder, name):
    """Look at a page over http and from a file, on a desktop and on a phone, in light and in dark.

    Parameters
    ----------
    started : playwright Browser
    base : str
        Where the site is served.
    folder : path
        Of the site.
    name : str
        Path of the page in the site.

    Returns
    -------
    dict of str to list of str
        Findings by topic.
    dict of str to int
        Bytes loaded over http, by kind of resource.
    """
    context = started.new_context(viewport=DESKTOP, reduced_motion="reduce", color_scheme="light")
    try:
        visit = Visit(context, base, name)
        visit.page.evaluate(OPEN_ALL)
        visit.settle(500)
        visit.inspect("1280 px")
        visit.use()
        visit.axe("light")
        visit.page.emulate_media(color_scheme="dark")
        visit.settle(100)
        visit.axe("dark")
        visit.page.set_viewport_size(PHONE)
        visit.settle(700)
        visit.inspect("390 px")
        visit.print()
        visit.page.close()
        local = Visit(context, folder.resolve().as_uri(), name)
        local.page.evaluate(OPEN_ALL)
        local.inspect("file")
        local.page.close()
    finally:
        context.close()
    for topic in ("display", "tables"):  # what is wide may scroll on a phone
        visit.findings[topic] = [found for found in visit.findings[topic] if ": 390 px" not in found]
    for topic, found in local.findings.items():
        visit.findings[topic] += found
    return dict(visit.findings), dict(visit.sizes)
