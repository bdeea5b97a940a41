"""Sphinx extension: markup that every reader can use, whatever the width of the screen and whoever reads it aloud."""

import re
from html import escape
from unicodedata import lookup

from bs4 import BeautifulSoup
from docutils import nodes
from sphinx.transforms.post_transforms import SphinxPostTransform

from tokengeom_utils.site.words import typeset

#: ids that sphinx-proof and sphinx-exercise give to every statement of a page
REPEATED = ("proof", "proof-content", "exercise-content", "solution-content")
NUMBER = re.compile(
    r"[<>~≈]?\s?[-+\u2212]?[\d,]*\.?\d+(e[-+]?\d+|\s\u00d7\s10[⁻⁰¹²³⁴-⁹]+)?(\s?(%|\u00d7|[a-zµ]{1,3}|[kMGT]i?B))?"
    r"|-?nan|inf|[\u2014\u2013]?",
    re.I,
)
COUNT = re.compile(r"\A[1-9]\d{3,}(?=(\.\d+)?\Z)")  #: a cell that is a number of thousands
CODE = re.compile(r'(<div class="highlight"><pre>)(.*?)(</pre>)', re.S)
TABLE = re.compile(r'<table class="(?!dataframe)[^"]*\btable\b[^"]*">.*?</table>', re.S)
CARDS = 5  #: columns of a table that a phone shows as cards
MANY = 7  #: columns of a table that is set in smaller type
SHORT_NAME = 24  #: letters in the name of a row that stays on one line
NAME = re.compile(r"(?<=[A-Za-z])([._])(?=[A-Za-z])")  #: where a name of code may break
GREEK = re.compile(r"\\(alpha|beta|lambda|rho|sigma)\b")
SHORT = re.compile(rf"\\\(((?:[A-Za-z\d\s=<>.+-]|{GREEK.pattern})+)\\\)")  #: a formula that text can write
#: where a long line of code may break, and where not: a tag, an option, a dot before a name, a bracket, a comma
MARKS = re.compile(
    r"(?P<tag><[^>]*>)|(?P<option>(?<![\w-])--?[a-z][\w-]*)"
    r'|(?P<dot>(?<![\d\s])\.(?=[A-Za-z_]|</span><span class="n))|[(\[{,](?=\S)'
)
OPTION = re.compile(r'<span class="pre">(?=--?[a-z])')
TAG = re.compile(r"<(/?)(\w+)[^>]*>")
FIGURE = re.compile(r'(<figure\b[^>]*>\s*)(<img\b[^>]*\bsrc="([^"]+\.svg)"[^>]*>)')
POINT = re.compile(r"^[.,;:!?)\]\u2019\u201d]+")
OPENING = re.compile(r"[(\[\u2018\u201c]+$")
#: a sign and a number behind a formula
VALUE = re.compile(r"^ [=<>≤≥≈][ \u00a0][+\u2212]?\d[\d,.]*\d?(?:\u2013\d[\d,.]*)?%?")
#: where no line may end: in a power of ten, between a letter, a sign, and a number, before a unit, inside a count or a
#: range, and behind the kind of a number
TIES = (
    (re.compile(r"(\d) \u00d7 (?=10[⁻⁰¹²³⁴-⁹])"), "\\1\u00a0\u00d7\u00a0"),
    (re.compile(r"\b([A-Za-z\u03b1-\u03c9]) ([=<>≤≥≈]) (?=[+\u2212]?\d)"), "\\1\u00a0\\2\u00a0"),
    (re.compile(r"(\d) (?=(?:[kKMG]i?B|TB|[mµ]?s|px|nats?|bits?|degrees|radii|min|GPUs?)\b)"), "\\1\u00a0"),
    (re.compile(r"([<>≤≥≈]) (?=[+\u2212]?\d)"), "\\1\u00a0"),
    (re.compile(r"(\[\d[\d.]*,) (?=\d)"), "\\1\u00a0"),
    (re.compile(r"(?<=[a-z])'(?=[a-z]\b)"), "\u2019"),  # in titles that Sphinx makes after it has set apostrophes
    (re.compile(r"(\d%?) (of|to|\u00b1) (?=[+\u2212]?\d)"), "\\1\u00a0\\2\u00a0"),
    (
        re.compile(
            r"\b(layer|scaling|degree|Figs?\.|Tables?|Chapters?|Definition|Proposition|Theorem|Lemma|Exercise) (?=\d)"
        ),
        "\\1\u00a0",
    ),
)
#: what has hyphens or dashes where a line could end: the name of a model, a range of numbers
WHOLE = re.compile(r"\b[A-Za-z]\w*(?:-\d[\w.]*\w|-\d)+\b|(?<![\d\u2013,])\d[\d.,]*\u2013\d(?:[\d.,]*\d)?(?![\d\u2013])")
#: what has its own spaces
KEPT = (nodes.literal, nodes.FixedTextElement, nodes.math, nodes.math_block, nodes.raw)


def hang(html):
    """Make every line of the code of a page an element of its own, so that a long one wraps with a hanging indent.

    Parameters
    ----------
    html : str

    Returns
    -------
    str
        The text of the code is the same.

    Examples
    --------
    >>> hang('<div class="highlight"><pre>if x:\\n  y\\n</pre>')  # doctest: +ELLIPSIS
    '<div class="highlight"><pre><span class="line">if x:\\n</span><span class="line" style="--indent:2">...'
    """
    return CODE.sub(lambda code: code[1] + "".join(map(_line, code[2].splitlines(keepends=True))) + code[3], html)


def tie(text):
    """Let no line end inside a number, or between a number and what it belongs to.

    Parameters
    ----------
    text : str

    Returns
    -------
    str
        With no-break spaces.

    Examples
    --------
    >>> tie("5 × 10⁻⁷ of the 9 KiB in 3 of 4 (Fig. 2.1)").replace("\\u00a0", "_")
    '5_×_10⁻⁷ of the 9_KiB in 3_of_4 (Fig._2.1)'
    """
    for pattern, tied in TIES:
        text = pattern.sub(tied, text)
    return text


def _line(line):
    """One line of code as an element, unless a tag goes on in the next line."""
    opened = [name for closing, name in TAG.findall(line) if not closing]
    if len(opened) * 2 != len(TAG.findall(line)):
        return line
    indent = len(text := TAG.sub("", line)) - len(text.lstrip(" "))
    style = f' style="--indent:{indent}"' if indent else ""
    return f'<span class="line"{style}>{MARKS.sub(_breakable, line)}</span>'


def _breakable(mark):
    """A mark of code, with a place to break before or behind it; an option has none inside."""
    if mark["option"]:
        return f'<span class="keep">{mark[0]}</span>'
    return mark[0] if mark["tag"] else f"<wbr/>{mark[0]}" if mark["dot"] else f"{mark[0]}<wbr/>"


def table_html(html):
    """Set a table of pandas as the other tables of the book.

    Parameters
    ----------
    html : str
        As pandas writes it.

    Returns
    -------
    str
        Without its own style and empty head cells; columns of numbers have the class ``number``.

    Examples
    --------
    >>> table_html('<table class="dataframe"><tr><th></th><th>d</th></tr><tr><th>a</th><td>-1</td></tr></table>')
    ... # doctest: +ELLIPSIS
    '<div class="pst-scrollable-table-container"><table class="dataframe table"><tr><td></td><th class="number"...'
    """
    soup = BeautifulSoup(html, "html.parser")
    for style in soup("style"):
        style.decompose()
    for table in soup("table", "dataframe"):
        for tag in (table, *table("tr")):
            del tag["border"], tag["style"]
        table["class"] = ["dataframe", "table"]
        _merge_heads(table)
        _typeset(table)
        _mark_numbers(table)
        if _width(table) >= MANY:
            table["class"].append("many")
        _scopes(soup, table)
        table.wrap(soup.new_tag("div", attrs={"class": "pst-scrollable-table-container"}))
    return str(soup)


def _heads(table):
    """The rows of the head of a table."""
    return table.thead("tr") if table.thead else [row for row in table("tr") if not row("td")]


def _merge_heads(table):
    """Move the names of the index, which pandas writes in a row of their own, into the empty cells above them."""
    if len(heads := _heads(table)) < 2:
        return
    names, above = heads[-1](["th", "td"]), heads[-2](["th", "td"])
    named = [cell for cell in names if cell.get_text(strip=True)]
    width = len(named)
    if len(names) != len(above) or named != names[:width]:
        return
    texts = [[cell.get_text(strip=True) for cell in row[:width]] for row in (above, named)]
    if not any(texts[0]) or texts[0] == texts[1]:  # a table of a quantity against itself names it once
        for cell, name in zip(above, texts[1], strict=False):
            cell.string = name
        heads[-1].decompose()


def _typeset(table):
    """Give numbers in cells their minus signs, powers of ten, and thousands, and an empty cell a dash."""
    for cell in table(["th", "td"]):
        if cell.string and not cell.find(True):
            cell.string = tie(COUNT.sub(lambda count: f"{int(count[0]):,}", typeset(cell.string)))
            if WHOLE.fullmatch(cell.string):
                cell["class"] = [*cell.get("class", []), "keep"]
            if cell.name == "th" and cell.parent.find("td") and len(cell.string) <= SHORT_NAME:
                cell["class"] = [*cell.get("class", []), "short"]
        elif cell.name == "td" and not cell.contents:
            cell.string = "\u2013"


def _width(table):
    """The number of columns of a table."""
    return max((len(row(["th", "td"])) for row in table("tr")), default=0)


def _mark_numbers(table):
    """Give columns that hold only numbers a class."""
    rows = [row("td") for row in table("tr") if row("td")]
    count = min((len(row) for row in rows), default=0)
    heads = _heads(table)[-1:]
    for place in range(-count, 0):
        cells = [row[place] for row in rows]
        texts = [cell.get_text(strip=True) for cell in cells]
        if not any(texts) or not all(NUMBER.fullmatch(text) for text in texts):
            continue
        for cell in (*cells, *(head(["th", "td"])[place] for head in heads)):
            cell["class"] = [*cell.get("class", []), "number"]


def _scopes(soup, table):
    """Say which cells a head cell belongs to; an empty one is no head."""
    heads = {id(row) for row in _heads(table)}
    for row in table("tr"):
        for cell in row("th"):
            if not cell.get_text(strip=True):
                cell.name = "td"
            elif id(row) in heads:
                cell["scope"] = "colgroup" if cell.get("colspan") else "col"
            else:
                cell["scope"] = "rowgroup" if cell.get("rowspan") else "row"


def card_html(html):
    """Let a table of many columns become a list of cards on a phone, where each cell is named by its column.

    Parameters
    ----------
    html : str
        A table as Sphinx writes it.

    Returns
    -------
    str
        The same table; without empty head cells. With the class ``cards``, and the heads in ``data-head``, if it has
        five columns or more whose heads are text. Names of code break at their dots and underscores.
    """
    soup = BeautifulSoup(html, "html.parser")
    heads = soup.thead("th") if soup.thead else []
    texts = [spoken(head.get_text(" ", strip=True)) for head in heads]
    if len(heads) >= MANY:
        soup.table["class"].append("many")
    if len(heads) >= CARDS and not any("\\" in text for text in texts):
        soup.table["class"].append("cards")
        for row in soup.tbody("tr"):
            for cell, text in zip(row("td", recursive=False), texts, strict=False):
                cell["data-head"] = text
    for code in soup("code"):
        for text in code.find_all(string=NAME):
            text.replace_with(BeautifulSoup(NAME.sub(r"\1<wbr/>", escape(text)), "html.parser"))
    if heads and not any(texts):  # a list of pairs, which Markdown cannot write without a head
        soup.thead.decompose()
        return str(soup)
    for head, text in zip(heads, texts, strict=True):
        if not text:
            head.name = "td"
            del head["class"]
    return str(soup)


def spoken(text):
    r"""Write the short formulas of a text as text, such as ``β = 4``; a longer one stays a formula.

    Parameters
    ----------
    text : str
        With formulas between ``\(`` and ``\)``.

    Returns
    -------
    str

    Examples
    --------
    >>> spoken(r"loss at \(\beta = 4\)")
    'loss at β = 4'
    >>> print(spoken(r"\(\bar x\)"))
    \(\bar x\)
    """
    return SHORT.sub(lambda found: GREEK.sub(lambda name: lookup(f"GREEK SMALL LETTER {name[1]}"), found[1]), text)


class Markup(SphinxPostTransform):
    """Tables of pandas, formulas that keep the marks around them, and numbers that stay on one line."""

    default_priority = 195
    formats = ("html",)

    def run(self, **_):
        for raw in list(self.document.findall(nodes.raw)):
            if 'class="dataframe"' in raw.astext():
                raw.replace_self(nodes.raw("", table_html(raw.astext()), format="html"))
        for text in list(self.document.findall(nodes.Text)):
            if not isinstance(text.parent, KEPT) and (tied := tie(text)) != text:
                _put(text, nodes.Text(tied))
        for math in list(self.document.findall(nodes.math)):
            _keep(math)
        for text in list(self.document.findall(nodes.Text)):
            if not isinstance(text.parent, KEPT) and WHOLE.search(text):
                _put(text, *_pieces(text))


def _put(old, *new):
    """Replace a text by its place: docutils finds it by what it says, and an earlier one may say the same."""
    parent = old.parent
    place = next(place for place, node in enumerate(parent) if node is old)
    parent[place : place + 1] = new


def _pieces(text):
    """The pieces of a text, with an element around each name or range that stays on one line."""
    start = 0
    for found in WHOLE.finditer(text):
        if start < found.start():
            yield nodes.Text(text[start : found.start()])
        yield nodes.inline("", found[0], classes=["keep"])
        start = found.end()
    if start < len(text):
        yield nodes.Text(text[start:])


def _keep(math):
    """Keep a formula, the bracket before it, and the mark or the value behind it on one line."""
    parent = math.parent
    place = parent.index(math)
    before = parent[place - 1] if place else None
    after = parent[place + 1] if place + 1 < len(parent) else None
    opening = OPENING.search(before) if isinstance(before, nodes.Text) else None
    behind = (VALUE.match(after) or POINT.match(after)) if isinstance(after, nodes.Text) else None
    if not (opening or behind):
        return
    kept = nodes.inline("", "", classes=["keep"])
    parent[place] = kept
    if opening:
        parent[place - 1] = nodes.Text(before[: opening.start()])
        kept += nodes.Text(opening[0])
    kept += math
    if behind:
        parent[place + 1] = nodes.Text(after[behind.end() :])
        kept += nodes.Text(behind[0].replace(" ", "\u00a0"))


def describe(doctree):
    """Take the description of a page from its first paragraph: whole sentences, at most 300 characters."""
    for paragraph in doctree.findall(nodes.paragraph):
        if isinstance(paragraph.parent, nodes.section):
            text = " ".join(paragraph.astext().split())
            return text if len(text) <= 300 else text[: text[:300].rfind(". ") + 1]
    return ""


def page(app, name, template, context, doctree):
    """Finish the HTML of a page."""
    if doctree is not None and (text := escape(describe(doctree))):
        title, site = escape(BeautifulSoup(context["title"], "html.parser").text), escape(app.config.html_title)
        context["metatags"] += (
            f'<meta name="description" content="{text}">\n<meta property="og:title" content="{title}">\n'
            f'<meta property="og:site_name" content="{site}">\n<meta property="og:description" content="{text}">\n'
            '<meta property="og:type" content="article">\n'
        )
    if body := context.get("body"):
        for repeated in REPEATED:
            body = body.replace(f' id="{repeated}"', f' data-kind="{repeated}"')
        body = TABLE.sub(lambda table: card_html(table[0]), body)
        body = OPTION.sub('<span class="pre keep">', body)
        body = FIGURE.sub(r'\1<a class="enlarge" href="\3" title="Enlarge">\2</a>', body)
        # A list whose entries have another role than its items is not a list to a screen reader.
        context["body"] = hang(body.replace(' role="doc-biblioentry"', ' role="listitem"'))


def setup(app):
    """Register the transform; the page is finished after sphinx-codeautolink has put its links into the code."""
    app.add_post_transform(Markup)
    app.connect("html-page-context", page, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
