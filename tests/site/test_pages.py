"""The extensions in book/extensions, and what they make of the built pages."""

import html
import importlib.util
import json
import re
import subprocess
import sys
from urllib.parse import urlsplit

import nbformat
import pytest
from bs4 import BeautifulSoup
from conftest import PROJECT
from docutils import nodes
from docutils.utils import new_document
from pybtex.database import Entry, Person, parse_file

from tokengeom_utils.site.build import chapters
from tokengeom_utils.surveys.provenance import ADDRESS

SOURCES = chapters(PROJECT)
#: hosts that a page may name; nothing is loaded from any of them
HOSTS = {
    "arxiv.org",
    "doi.org",
    "jmlr.org",
    "openreview.net",
    "www.jstor.org",
    "www.inference.org.uk",
    "sqlite.org",
}
LABELS = re.compile(
    r"Imports and parameters|Imports|Parameters|Code of the numbers below|Rerun this chapter|Reproduce this figure"
    r"|Code of (?:figure [\d.]+|this (?:table|list|paragraph|output)|these paragraphs)"
    r"|Solution to Exercise [\d.]+ \(.+\)|Explanation of answer \d"
)


def extension(name):
    """One of the Sphinx extensions of the book."""
    spec = importlib.util.spec_from_file_location(name, PROJECT / "book" / "extensions" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "dont_write_bytecode", True)  # everything in the folder becomes part of the site
        spec.loader.exec_module(module)
    return module


folds, markup, lean, references = map(extension, ("folds", "markup", "lean", "references"))


# --- code ---


def text_of(markup):
    return html.unescape(re.sub("<[^>]*>", "", markup))


@pytest.mark.parametrize("source", ["a = 1", "", "if a:\n    b = 2\n\n\nc = 3", '"""One\n  two"""\n'])
def test_lines_with_a_hanging_indent_have_the_same_text(source):
    page = f'<div class="highlight"><pre>{source}</pre></div><pre>not\nthis</pre>'
    made = markup.hang(page)
    assert text_of(made) == text_of(page) and made.endswith("<pre>not\nthis</pre>")
    assert made.count('class="line"') == len(source.splitlines())


def test_a_line_that_continues_below_itself_does_so_behind_its_indent():
    made = markup.hang('<div class="highlight"><pre><span class="k">if</span> a:\n    <span>b</span>\n</pre></div>')
    assert '<span class="line"><span class="k">if</span> a:\n</span>' in made
    assert '<span class="line" style="--indent:4">    <span>b</span>\n</span>' in made


def test_a_long_line_of_code_breaks_behind_a_bracket_or_a_comma_rather_than_in_a_name():
    made = markup.hang('<div class="highlight"><pre>f(a, <a title="g(x)">g</a>[1,2])\n</pre></div>')
    assert '>f(<wbr/>a, <a title="g(x)">g</a>[<wbr/>1,<wbr/>2])\n<' in made


def test_a_long_line_of_code_breaks_before_a_dot_but_not_in_an_option_or_a_number():
    code = '<span class="n">a</span><span class="o">.</span><span class="n">b</span>.c 1.5 --max-size x-y'
    made = markup.hang(f'<div class="highlight"><pre>{code}\n</pre></div>')
    assert (
        '<span class="o"><wbr/>.</span><span class="n">b</span><wbr/>.c 1.5 <span class="keep">--max-size</span> x-y'
        in made
    )


def test_an_element_that_goes_over_several_lines_is_left_alone():
    page = '<div class="highlight"><pre><a href="x">one\ntwo</a>\nthree</pre></div>'
    assert markup.hang(page) == page.replace("three", '<span class="line">three</span>')


# --- tables ---

PANDAS = """<div><style scoped>.dataframe { color: red }</style><table border="1" class="dataframe"><thead>
<tr style="text-align: right;"><th></th><th>dimension</th><th>kind</th></tr><tr><th>layer</th><th></th><th></th></tr>
</thead><tbody><tr><th>0</th><td>-1.5</td><td>a</td></tr><tr><th>1</th><td>&lt; 0.001</td><td>2</td></tr></tbody>
</table></div>"""


def test_a_table_of_pandas_has_one_head_row_whose_cells_say_what_they_head():
    table = BeautifulSoup(markup.table_html(PANDAS), "html.parser").table
    assert [cell.text for cell in table.thead("th")] == ["layer", "dimension", "kind"]
    assert {cell["scope"] for cell in table.thead("th")} == {"col"} and table.tbody.th["scope"] == "row"
    assert table.parent["class"] == ["pst-scrollable-table-container"]
    assert "style" not in markup.table_html(PANDAS) and "border" not in table.attrs


def test_columns_of_numbers_are_marked_and_have_true_minus_signs():
    table = BeautifulSoup(markup.table_html(PANDAS), "html.parser").table
    assert [cell.text for cell in table(class_="number")] == ["dimension", "\N{MINUS SIGN}1.5", "<\u00a00.001"]
    for text in ("1,399", "9.5e-07", "85%", "+0.1%", "nan", "", "12 s", "1.5\N{MULTIPLICATION SIGN}"):
        assert markup.NUMBER.fullmatch(text), text
    for text in ("layer 3", "pass", "1 of 2", "2501.10573v1"):
        assert not markup.NUMBER.fullmatch(text), text


def test_a_table_without_names_keeps_its_heads_and_has_no_empty_one():
    page = '<table class="dataframe"><thead><tr><th></th><th>d</th></tr></thead><tr><th>a</th><td>x</td></tr></table>'
    table = BeautifulSoup(markup.table_html(page), "html.parser").table
    assert [cell.text for cell in table("th")] == ["d", "a"] and table.td.text == ""


def test_a_table_of_many_columns_names_its_cells():
    columns = "abcde"
    page = '<table class="table"><thead><tr>{}</tr></thead><tbody><tr>{}</tr></tbody></table>'.format(
        "".join(f'<th class="head">{name}</th>' for name in columns), "<td>1</td>" * len(columns)
    )
    table = BeautifulSoup(markup.card_html(page), "html.parser").table
    assert table["class"] == ["table", "cards"] and [cell["data-head"] for cell in table("td")] == list(columns)
    formula = page.replace(">e<", r'><span class="math">\(\beta\)</span><')
    assert 'data-head="β"' in markup.card_html(formula)
    assert "cards" not in markup.card_html(formula.replace(r"\beta", r"\bar x"))
    few = page.replace('<th class="head">e</th>', "")
    assert "cards" not in markup.card_html(few)
    assert "<td></td>" in markup.card_html(page.replace('<th class="head">a</th>', '<th class="head"></th>'))


def test_counts_of_thousands_have_a_comma_and_nothing_else_does():
    texts = ("1024", "120000", "999", "0123", "1024 tokens", "22286.0", "p-2048")
    cells = "".join(f"<td>{text}</td>" for text in texts)
    table = BeautifulSoup(markup.table_html(f'<table class="dataframe"><tr>{cells}</tr></table>'), "html.parser")
    assert [cell.text for cell in table("td")] == ["1,024", "120,000", *texts[2:5], "22,286.0", "p-2048"]
    assert [cell.text for cell in table(class_="keep")] == ["p-2048"]


def test_an_empty_cell_has_a_dash_and_an_empty_head_none():
    page = '<table class="dataframe"><thead><tr><th></th><th>a</th></tr></thead><tr><th>x</th><td></td></tr></table>'
    table = BeautifulSoup(markup.table_html(page), "html.parser").table
    assert [cell.text for cell in table.tr(["th", "td"])] == ["", "a"]
    assert [cell.text for cell in table("tr")[1](["th", "td"])] == ["x", "\N{EN DASH}"]


def test_a_column_of_powers_of_ten_is_one_of_numbers():
    for text in ("5.2 × 10⁻⁵", "−1 × 10⁻¹²", "3.2 × 10²"):
        assert markup.NUMBER.fullmatch(text) and markup.NUMBER.fullmatch(markup.tie(text)), text


def test_cells_of_words_have_true_minus_signs_too():
    cells = "<th>range</th><td>0.03 (-0.29 to 0.30)</td><td><code>-1</code></td><td>GPT-2, speech-00</td>"
    table = BeautifulSoup(markup.table_html(f'<table class="dataframe"><tr>{cells}</tr></table>'), "html.parser")
    shown = [cell.text for cell in table("td")]
    assert shown == ["0.03 (\N{MINUS SIGN}0.29\u00a0to\u00a00.30)", "-1", "GPT-2, speech-00"]


def test_a_table_of_a_quantity_against_itself_names_it_once():
    head = "<tr><th>scale</th><th>2</th></tr><tr><th>scale</th><th></th></tr>"
    page = f'<table class="dataframe"><thead>{head}</thead><tbody><tr><th>2</th><td>1.0</td></tr></tbody></table>'
    table = BeautifulSoup(markup.table_html(page), "html.parser").table
    assert [cell.text for cell in table.thead("th")] == ["scale", "2"] and len(table.thead("tr")) == 1
    assert table.thead("th")[1]["class"] == table.td["class"] == ["number"]
    other = BeautifulSoup(
        markup.table_html(page.replace("<th>scale</th><th></th>", "<th>k</th><th></th>")), "html.parser"
    )
    assert len(other.thead("tr")) == 2


def test_names_of_code_in_a_table_break_at_dots_and_underscores():
    cells = '<td><code><span class="pre">tg.nearest_neighbors</span></code></td><td>a_b.c</td>'
    made = markup.card_html(f'<table class="table"><tbody><tr>{cells}</tr></tbody></table>')
    assert "tg.<wbr/>nearest_<wbr/>neighbors" in made and "<td>a_b.c</td>" in made


def test_a_table_without_any_head_has_no_empty_row():
    head = "<thead><tr><th></th><th></th></tr></thead>"
    page = f'<table class="table">{head}<tbody><tr><td>a</td><td>1</td></tr></tbody></table>'
    table = BeautifulSoup(markup.card_html(page), "html.parser").table
    assert not table.thead and [cell.text for cell in table("td")] == ["a", "1"]


# --- formulas and numbers in a line ---


def shown(*parts):
    """What a paragraph of these parts becomes; a formula is written as ``$x$``."""
    made = nodes.paragraph()
    for part in parts:
        made += nodes.math("", part.strip("$")) if part.startswith("$") else nodes.Text(part)
    document = new_document("a.md")
    document += made
    markup.Markup(document).run()
    return made


def test_a_mark_stays_with_its_own_formula():
    """Also where an earlier text of the line is the same: the mark that follows a word stays there."""
    made = nodes.paragraph("", "", nodes.emphasis("", "cloud"), nodes.Text("."), nodes.math("", "x"), nodes.Text("."))
    document = new_document("a.md")
    document += made
    markup.Markup(document).run()
    assert made.astext() == "cloud.x."
    assert [type(part).__name__ for part in made][:2] == ["emphasis", "Text"] and made[1] == "."
    assert made[2]["classes"] == ["keep"] and made[2].astext() == "x."


def test_a_formula_keeps_the_bracket_before_it_and_the_value_behind_it():
    for value in (" < 0.001.", " ≈ 5", " = 5\N{EN DASH}7."):
        (kept,) = shown("so ", "$p$", value)[1:2]
        assert kept["classes"] == ["keep"] and kept.astext() == "p" + value.replace(" ", "\u00a0")
    made = shown("the sign (", "$p$", " = 0.02, corrected) or ", "$q$", " alone")
    assert made.astext() == "the sign (p\u00a0=\u00a00.02, corrected) or q alone"
    assert [part.astext() for part in made if isinstance(part, nodes.inline)] == ["(p\u00a0=\u00a00.02,"]


def test_no_line_ends_in_a_count_a_range_or_the_name_of_a_model():
    made = shown(
        "In 3 of 5 texts (Fig. 4.2) Llama-3-8B moves by 0.65 to 0.87 ± 0.1, pages 53\N{EN DASH}72 of one to two."
    )
    assert made.astext().replace("\u00a0", "_") == (
        "In 3_of_5 texts (Fig._4.2) Llama-3-8B moves by 0.65_to_0.87_±_0.1, pages 53\N{EN DASH}72 of one to two."
    )
    kept = [part.astext() for part in made if isinstance(part, nodes.inline) and part["classes"] == ["keep"]]
    assert kept == ["Llama-3-8B", "53\N{EN DASH}72"]
    for text in ("two-dimensional", "well-known", "−0.3"):
        assert not markup.WHOLE.search(text), text


def test_no_line_ends_in_a_number():
    made = shown("at most -5 × 10⁻¹⁶ (n = 32, p < 0.001) of 9 KiB, and a = b")
    held = ["-5 × 10⁻¹⁶", "(n = 32,", "p < 0.001)", "9 KiB,"]
    assert [part for part in made.astext().split(" ") if "\u00a0" in part] == [
        part.replace(" ", "\u00a0") for part in held
    ]
    assert made.astext().endswith("and a = b")
    code = nodes.literal("", "n = 32")
    document = new_document("a.md")
    document += nodes.paragraph("", "", code)
    markup.Markup(document).run()
    assert document.astext() == "n = 32"


# --- bibliography ---


def entry(*authors, year="2020", title="A"):
    return Entry("misc", fields={"year": year, "title": title}, persons={"author": [Person(name) for name in authors]})


def test_works_are_named_as_the_text_cites_them():
    names = references.short_names
    assert names(entry("Lovelace, Ada")) == "Lovelace"
    assert names(entry("van der Maaten, L.", "P{\\'o}lya, G.")) == "van der Maaten and Pólya"
    assert names(entry("A, B", "C, D", "E, F")) == names(entry("A, B", "others")) == "A et al."


def test_works_of_the_same_authors_and_year_get_letters():
    same, other = ("A, B", "C, D", "E, F"), ("A, B", "others")
    works = [entry(*same, title="Second"), entry(*other, title="First"), entry("A, B"), entry(*same, year="2021")]
    for _ in range(2):
        references.tell_apart(works)
        assert [work.fields["year"] for work in works] == ["2020b", "2020a", "2020", "2021"]


def test_works_stand_in_the_order_of_their_labels():
    works = [entry("Zed, Z"), entry("{\\'A}lvarez, B", "x, y", "z, z", year="2026"), entry("Amari, S"), entry("Bo, C")]
    works += [entry("Bo, C", "A, B", "D, E", year="2026"), entry("Bo, C", "X, Y", "D, E", year="2024")]
    labels = references.Labels().format_labels(references.Order().sort(works))
    assert labels == [
        "Álvarez et al., 2026", "Amari, 2020", "Bo, 2020", "Bo et al., 2024", "Bo et al., 2026", "Zed, 2020"
    ]  # fmt: skip


def test_others_are_no_author_and_arxiv_is_linked_once():
    work = entry("Lovelace, Ada", "others")
    work.fields.update({"eprint": "2501.10573", "archiveprefix": "arXiv", "doi": "10.48550/arXiv.2501.10573"})
    references.tell_apart([work])
    style = references.AuthorYear(label_style=references.Labels, sorting_style=references.Order)
    (made,) = style.format_entries([work])
    text = str(made.text)
    assert made.label == "Lovelace et al., 2020" and text.startswith("Ada Lovelace et al.<newblock>")
    assert text.count("2501.10573") == 1


def test_the_labels_of_the_bibliography_differ():
    entries = list(parse_file(PROJECT / "book" / "references.bib").entries.values())
    references.tell_apart(entries)
    labels = references.Labels().format_labels(entries)
    assert len(set(labels)) == len(labels) and all(re.search(r", \d{4}[a-h]?$", label) for label in labels)


# --- built pages ---


@pytest.fixture(scope="module")
def site(book):
    return book[1] / "html"


@pytest.fixture(scope="module")
def soups(site):
    pages = [path for path in site.rglob("*.html") if "_static" not in path.parts]
    return {path.relative_to(site).as_posix(): BeautifulSoup(path.read_text(), "html.parser") for path in pages}


def test_links_lead_only_to_hosts_that_are_meant(soups):
    """A file name that ends like a domain is no address."""
    found = {}
    for name, soup in soups.items():
        for link in soup(["a", "link", "script", "img"]):
            if host := urlsplit(link.get("href") or link.get("src") or "").netloc:
                found.setdefault(host, name)
    assert found.keys() <= HOSTS, {host: name for host, name in found.items() if host not in HOSTS}


def test_every_fold_says_what_it_holds(soups):
    for name, soup in soups.items():
        for summary in soup("summary"):
            if summary.parent.find_parent(class_="bd-sidebar"):
                continue
            label = " ".join(summary.get_text(" ", strip=True).split())
            assert LABELS.fullmatch(label), f"{name}: {label}"
            assert not summary.get("aria-label") and not summary("a")


def test_the_code_of_a_figure_is_above_that_figure(soups):
    seen = 0
    for name, soup in soups.items():
        for summary in soup("summary", string=re.compile("Code of figure")):
            cell = summary.find_parent(class_="cell")
            number = cell.find("figcaption").find(class_="caption-number").text
            assert re.search(r"[\d.]+\d", number)[0] == summary.text.rsplit(" ", 1)[1], f"{name}: {summary.text}"
            seen += 1
    assert seen > 40


def test_the_questions_of_a_chapter_can_be_answered(soups):
    for source in SOURCES:
        section = soups[f"notebooks/{source.stem}.html"].find(id="check-yourself")
        assert len(section.select("div.question > fieldset")) == 3 and not section(class_="dropdown"), source.stem


def test_imports_and_parameters_are_in_one_fold_above_all_other_code(soups):
    for source in SOURCES:
        labels = [summary.text.strip() for summary in soups[f"notebooks/{source.stem}.html"].main("summary")]
        assert labels[0] in ("Imports and parameters", "Parameters") and labels.count("Parameters") <= 1
        assert sum("arameters" in label for label in labels) == 1


@pytest.mark.parametrize("source", SOURCES, ids=lambda s: s.stem)
def test_a_page_shows_the_code_that_ran(book, soups, source):
    """Wrapping, links and folds leave every character where it was, in the same order."""
    notebook = nbformat.read(book[1] / "chapters" / f"{source.stem}.ipynb", 4)
    ran = [cell.source.strip() for cell in notebook.cells if cell.cell_type == "code" and cell.source.strip()]
    soup = soups[f"notebooks/{source.stem}.html"]
    shown = [pre.text.strip() for pre in soup.select(".cell_input div.highlight pre")]
    assert [re.sub(r"^%%.*\n", "", code) for code in shown] == [re.sub(r"^%%.*\n", "", code) for code in ran]


def test_tables_have_no_empty_heads(soups):
    for name, soup in soups.items():
        assert not [head for head in soup("th") if not head.get_text(strip=True) and not head("img")], name
        assert not soup.select("table.dataframe style, table[border]"), name


def test_ids_are_unique(soups):
    for name, soup in soups.items():
        ids = [element["id"] for element in soup.select("[id]")]
        assert len(set(ids)) == len(ids), f"{name}: {sorted({one for one in ids if ids.count(one) > 1})}"


def test_pages_have_one_first_level_heading(soups):
    assert not {name: soup("h1") for name, soup in soups.items() if len(soup("h1")) > 1}


def test_citations_name_an_entry_of_the_bibliography(soups):
    labels = {
        citation["id"]: citation.find(class_="label").text.strip("[]")
        for citation in soups["book/bibliography.html"](class_="citation")
    }
    year = re.compile(r"\d{4}[a-h]?$")
    assert len(labels) > 40
    for name, soup in soups.items():
        for link in soup.select("a[href*='bibliography.html#']"):
            label = labels[link["href"].split("#")[1]]
            assert year.search(label)[0] == year.search(link.text.strip("[]"))[0], (name, label, link.text)


# --- weight ---


def test_pages_load_no_script_that_they_do_not_use(site):
    for path in [*site.glob("*.html"), *site.glob("book/*.html"), *site.glob("notebooks/*.html")]:
        page = re.sub(r"<main.*</main>", "", path.read_text(), flags=re.S)
        for word in ("thebe", "togglebutton", "unpkg", "fontawesome.js", "tex-chtml"):
            assert word not in page, f"{path.name}: {word}"


def test_scripts_and_their_parts_exist_and_are_small(site):
    page = (site / "notebooks" / f"{SOURCES[2].stem}.html").read_text()
    scripts = {
        (site / "notebooks" / name.split("?")[0]).resolve() for name in re.findall(r'<script[^>]+src="([^"]+)"', page)
    }
    parts = json.loads(re.search(r"window\.MathJax = (\{.*?\})</script>", page)[1])["loader"]["load"]
    scripts |= {(site / "_static" / "mathjax" / f"{name}.js").resolve() for name in [*parts, "core"]}
    assert sum(path.stat().st_size for path in scripts) < 1_000_000
    assert not list(site.rglob("*.map"))
    assert sum(path.stat().st_size for path in (site / "_static").rglob("*") if path.is_file()) < 12_000_000


def test_the_first_page_quotes_the_verdicts_and_says_how_to_cite(site):
    page = BeautifulSoup((site / "book" / "index.html").read_text(encoding="utf-8"), "html.parser")
    text = " ".join(page.main.get_text().replace("\N{RIGHT SINGLE QUOTATION MARK}", "'").split())
    report = nbformat.read(site.parent / "chapters" / "reproduction_report.ipynb", 4)
    (counted,) = [cell.source for cell in report.cells if "verdicts" in cell.metadata.get("tags", ())]
    assert " ".join(counted.replace("**", "").split()) in text
    assert "@software{tokengeometry," in text and "@misc{viswanathan2025," in text
    (foot,) = page.find_all(string=re.compile(r"^Token Geometry \d"))
    assert re.search(r", profile tiny, built on \d{4}-\d\d-\d\d$", foot)


def test_the_entry_to_cite_is_that_of_the_citation_file():
    landing = extension("landing")
    released = {
        "title": "A title",
        "version": "1.2.0",
        "date-released": "2026-01-02",
        "authors": [{"name": "Some people"}],
    }
    entry = landing.bibtex(released)
    for field in ("author = {{Some people}}", "title = {{A title}}", "year = {2026}", "version = {1.2.0}"):
        assert field in entry
    assert landing.verdicts(PROJECT / "data") == ("", "")


@pytest.mark.parametrize(
    "origin, shown",
    [
        ("https://example.org/a/b.git", True),
        ("git@example.org:a/b.git", True),
        ("/home/someone/b", False),
        ("../b", False),
        ("file:///b", False),
        ("https://user:secret@example.org/b", False),
    ],
)
def test_only_an_address_that_others_can_use_is_shown(origin, shown):
    assert bool(ADDRESS.fullmatch(origin)) == shown


def test_pages_say_where_they_are_published_only_if_git_knows(tmp_path):
    """A checkout from GitHub gives pages an address, a card, and a map of the site; one without an address, none."""
    for where in ("https://github.com/some/book.git", ""):
        source, out = tmp_path / "source", tmp_path / f"out{len(where)}"
        source.mkdir(exist_ok=True)
        (source / "index.md").write_text("# A page\n\nWith a sentence.\n")
        (source / "conf.py").write_text(
            "import sys, tokengeom_utils.surveys.provenance as provenance\n"
            f"sys.path.insert(0, {str(PROJECT / 'book' / 'extensions')!r})\n"
            f"sys.dont_write_bytecode = True\nprovenance.address = lambda: {where!r}\n"
            "extensions = ['myst_parser', 'landing', 'markup']\n"
        )
        command = [sys.executable, "-m", "sphinx", "-q", str(source), str(out)]
        subprocess.run(command, check=True, capture_output=True)
        page, mapped = (out / "index.html").read_text(encoding="utf-8"), out / "sitemap.xml"
        assert ('content="https://some.github.io/book/_static/card.png"' in page) == bool(where)
        assert ('rel="canonical" href="https://some.github.io/book/index.html"' in page) == bool(where)
        assert mapped.exists() == bool(where) and "github" not in page * (not where)
