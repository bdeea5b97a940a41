"""What makes the chapters a textbook: goals, figures, statements, notation, glossary, bibliography."""

import ast
import importlib.util
import re
import subprocess
import sys
from operator import attrgetter

import jupytext
import nbformat
import pytest
from conftest import PROJECT
from jupytext.config import load_jupytext_config
from pybtex.database import parse_file

import tokengeom_utils as tg
from tokengeom_utils.site.build import chapters

SOURCES = {path.stem: path.read_text(encoding="utf-8") for path in chapters(PROJECT)}
PAGES = {path.stem: path.read_text(encoding="utf-8") for path in (PROJECT / "book").glob("*.md")}
EVERYTHING = "\n".join([*SOURCES.values(), *PAGES.values()])
COLUMN = 76  #: characters of a line of code that is read on a page
HUES = re.compile(r"\b(red|orange|vermilion|yellow|green|blue|purple|violet|pink|brown)\b", re.I)
LATIN = re.compile(r"\b(e\.g\.|i\.e\.|etc\.)")

each_chapter = pytest.mark.parametrize("stem", SOURCES)


def figures(stem):
    """(name, caption, alternative text, source) of every figure of a chapter."""
    for cell in jupytext.reads(SOURCES[stem], fmt="md:myst").cells:
        about = cell.metadata.get("mystnb", {})
        if "figure" in about:
            yield about["figure"]["name"], about["figure"]["caption"], about["image"]["alt"], cell.source


def statements(stem):
    """(kind, title, options and text, what follows) of the definitions, propositions, ... of a chapter."""
    block = re.compile(r"^(`{3,})\{prf:(\w+)\} *([^\n]*)\n(.*?)^\1$", re.M | re.S)
    for found in block.finditer(SOURCES[stem]):
        yield found[2], found[3], found[4], SOURCES[stem][found.end() :].lstrip()


# --- chapters ---


@each_chapter
def test_a_chapter_says_what_one_learns_and_how_long_it_takes(stem):
    text = SOURCES[stem]
    box = re.search(r"^```\{admonition\} In this chapter\n:class: tip\n(.*?)^```$", text, re.M | re.S)
    assert box, "no box 'In this chapter'"
    code = re.search(r"^```\{code-cell\}", text, re.M)
    assert text.index("\n# ") < box.start() < code.start()
    goals = re.findall(r"^- (.*)", box[1], re.M)
    assert 3 <= len(goals) <= 5 and len(set(goals)) == len(goals)
    assert re.search(r"\b\d+ minutes?\b", box[1])


@each_chapter
def test_a_chapter_ends_with_questions_exercises_its_summary_and_the_way_on(stem):
    headings = re.findall(r"^## (.*)", SOURCES[stem], re.M)
    assert headings[-1] == "What to take away"
    assert headings[-3:-1] == ["Check yourself", "Exercises"]
    if stem != list(SOURCES)[-1]:
        assert "{doc}" in SOURCES[stem].split("## What to take away")[1]


@each_chapter
def test_links_lead_to_pages_that_exist(stem):
    for target in re.findall(r"\{doc\}`(?:[^`<]*<)?([^`>]+)>?`", SOURCES[stem]):
        assert target in SOURCES or target.removeprefix("../book/") in PAGES, target


@each_chapter
@pytest.mark.parametrize("used", [False, True], ids=["opened", "executed"])
def test_saving_a_chapter_in_jupyterlab_changes_no_byte(stem, used):
    """It writes what it was given, plus whatever a kernel and its extensions have added."""
    path = PROJECT / "notebooks" / f"{stem}.md"
    config, source = load_jupytext_config(str(path)), path.read_bytes().decode()
    notebook = nbformat.reads(nbformat.writes(jupytext.reads(source, "md:myst", config=config)), 4)
    if used:  # in the order of JupyterLab 4.6
        notebook.metadata["kernelspec"] = {"name": "mine", "display_name": "My kernel", "language": "python"}
        about = {"name": "python", "version": "3.13", "pygments_lexer": "ipython3", "file_extension": ".py"}
        notebook.metadata["language_info"] = about
        for cell in notebook.cells:
            cell.metadata |= {"trusted": True, "editable": True, "user_expressions": []}
            if cell.cell_type == "code":
                cell.metadata["execution"] = {"iopub.status.idle": "now"}
                cell.outputs = [nbformat.v4.new_output("stream", text="1")]
    saved = jupytext.writes(notebook, "md:myst", config=config)
    assert saved == source, f"normalize it once:  .venv/bin/jupytext --to md:myst notebooks/{stem}.md"


# --- code ---

SHORT = {"stats": "statistics", "mf": "meanfield"}  # the modules that a chapter may give a short name


def code_cells(stem):
    """Source of every code cell of a chapter."""
    return [cell.source for cell in jupytext.reads(SOURCES[stem], fmt="md:myst").cells if cell.cell_type == "code"]


def imports(stem):
    """(module, name or None, alias) of everything that the code of a chapter imports."""
    for node in ast.walk(ast.parse("\n".join(code_cells(stem)))):
        if isinstance(node, ast.Import):
            yield from ((alias.name, None, alias.asname or alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from ((node.module, alias.name, alias.asname or alias.name) for alias in node.names)


def package_names(stem):
    """Dotted names below ``tg`` in the code and the exercises of a chapter, with short names written out."""
    blocks = re.findall(r"^~~~python\n(.*?)^~~~$", SOURCES[stem], re.M | re.S)
    code = "\n".join([*code_cells(stem), *blocks])
    for short, module in SHORT.items():
        code = re.sub(rf"(?<![\w.]){short}\.(?=[a-z])", f"tg.{module}.", code)
    return set(re.findall(r"(?<![\w.])tg\.((?:[A-Za-z_]\w*\.?)+)", code))


@each_chapter
def test_a_chapter_imports_nothing_from_inside_the_package(stem):
    for module, name, alias in imports(stem):
        assert module.split(".")[0] != tg.__name__ or (module, name, alias) == (tg.__name__, None, "tg"), module
    assert "tokengeom_utils." not in "".join(re.findall(r"^~~~python\n(.*?)^~~~$", SOURCES[stem], re.M | re.S))


@each_chapter
def test_code_that_readers_see_fits_the_column(stem):
    hidden = {"hide-input", "remove-input", "remove-cell"}
    seen = [
        cell.source
        for cell in jupytext.reads(SOURCES[stem], fmt="md:myst").cells
        if cell.cell_type == "code" and not hidden & set(cell.metadata.get("tags", ()))
    ]
    seen += [body for _, body in re.findall(r"^(~{3,}|`{3,})python\n(.*?)^\1$", SOURCES[stem], re.M | re.S)]
    long = [line for code in seen for line in code.splitlines() if len(line) > COLUMN]
    assert len(seen) > 3 and not long, "\n".join(long)


@each_chapter
def test_chapters_have_one_name_for_one_thing(stem):
    usual = {"matplotlib.pyplot": "plt", "numpy": "np", "pandas": "pd", "seaborn": "sns", "torch": "torch"}
    for module, name, alias in imports(stem):
        assert name or alias == usual.get(module, alias), f"{module} as {alias}"
        assert alias not in usual.values() or usual.get(module) == alias, f"{alias} is {module}.{name}"
    for node in ast.walk(ast.parse("\n".join(code_cells(stem)))):
        if not isinstance(node, ast.Assign):
            continue
        targets = [ast.unparse(target) for target in node.targets]
        call = ast.unparse(node.value)
        if re.fullmatch(r"tg\.[a-z]+", call):
            assert SHORT.get(targets[0]) == call.removeprefix("tg."), f"{targets[0]} for {call}"
        if re.fullmatch(r"tg\.token_clouds\([^()]*\)", call):
            assert targets == ["clouds"], f"{targets[0]} for the clouds of a prompt"
        if call == "tg.load_model(model)":
            assert targets == ["lm"], f"{targets[0]} for the model"


def test_the_names_that_chapters_use_exist_in_a_fresh_process():
    names = sorted(set().union(*map(package_names, SOURCES)))
    assert len(names) >= 100 and {
        "results.relative_depth",
        "statistics.holm",
        "transport.wasserstein",
        "logits.softmax_entropy",
        "extract.CHUNK",
    } <= set(names)
    code = (
        f"import tokengeom_utils as tg\nfrom operator import attrgetter\nmissing = []\nfor name in {names!r}:\n"
        "    try:\n        attrgetter(name)(tg)\n    except AttributeError:\n        missing.append(name)\n"
        "assert not missing, missing"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr.strip().split("\n")[-1]


# --- API reference ---


@pytest.fixture(scope="module")
def reference():
    """The extension that generates the pages of the API reference."""
    spec = importlib.util.spec_from_file_location("public_api", PROJECT / "book" / "api" / "public_api.py")
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "dont_write_bytecode", True)  # everything in the folder becomes part of the site
        spec.loader.exec_module(module)
    return module


def test_every_public_name_is_on_a_page_of_the_reference(reference):
    pages = "\n".join(path.read_text(encoding="utf-8") for path in (PROJECT / "book" / "api").glob("*.md"))
    rooms, modules = (re.findall(rf"^```\{{{kind}\}} (\w+)$", pages, re.M) for kind in ("public", "public-module"))
    documented = [name for room in rooms for name in reference.public_objects(room)]
    assert len(set(documented)) == len(documented)
    assert sorted(modules) == sorted(reference.public_modules())
    functions = {name for name in reference.public_names() if not name.startswith("_")} - set(modules)
    assert set(documented) == {f"{tg.__name__}.{name}" for name in functions}


def test_the_reference_documents_what_chapters_use(reference):
    rooms = {module.split(".")[0] for module in reference.public_names().values()}
    modules = reference.public_modules()
    found = [*map(reference.public_objects, rooms), *map(reference.module_objects, modules)]
    documented = {name.removeprefix(f"{tg.__name__}.") for objects in found for name in objects} | modules.keys()
    used = set().union(*map(package_names, SOURCES))
    missing = sorted(
        name
        for name in used - documented  # or an attribute of something documented
        if name.rpartition(".")[0] not in documented - modules.keys()
    )
    assert not missing, f"not in the reference: {missing}"


def test_the_reference_names_things_as_users_call_them(reference):
    functions = reference.module_objects("statistics")
    assert "tokengeom_utils.statistics.holm" in functions
    assert "tokengeom_utils.statistics.loss_correlation" not in functions  # it is tg.loss_correlation
    assert reference.module_objects("extract")["tokengeom_utils.extract.CHUNK"]
    for name in reference.public_modules():
        for path, value in reference.module_objects(name).items():
            found = attrgetter(path.removeprefix("tokengeom_utils."))(tg)
            assert found is value or (isinstance(value, str) and not callable(found))


def test_ranges_of_observables_have_minus_signs(reference):
    table = "\n".join(reference.Observables.lines(None))
    assert "\N{MINUS SIGN}1 to 1 |" in table and "0 to ∞ |" in table and not re.search(r"\| -\d", table)


def test_the_pages_of_the_reference_are_in_the_table_of_contents():
    contents = (PROJECT / "_toc.yml").read_text(encoding="utf-8")
    for path in (PROJECT / "book" / "api").glob("*.md"):
        assert re.search(rf"file: book/api/{path.stem}$", contents, re.M), path.name


# --- figures ---


@each_chapter
def test_figures_can_stand_alone(stem):
    for name, caption, alt, _ in figures(stem):
        assert re.fullmatch(r"fig-[a-z0-9-]+", name)
        for text, least in ((caption, 60), (alt, 60)):
            assert len(text.strip()) >= least and text.strip().endswith("."), f"{name}: {text}"
        assert caption.strip() != alt.strip() and not re.match(r"(figure|plot|image|picture) of", alt, re.I), name
        assert "$" not in alt and "{" not in alt, f"{name}: the alternative text is read aloud"


@each_chapter
def test_figures_need_no_eye_for_colors(stem):
    for name, caption, alt, source in figures(stem):
        named = HUES.findall(f"{caption} {alt}")
        assert not named or "RdBu" in source, f"{name} names a mark by its color: {named}"
        if "RdBu" in source:  # its two ends are equally dark
            assert "annot=" in source or re.search(r"\bdot\b", caption, re.I), f"{name} shows a sign by color alone"


def test_figures_are_many_and_their_names_unique():
    names = [figure[0] for stem in SOURCES for figure in figures(stem)]
    assert len(set(names)) == len(names) >= 40


@each_chapter
def test_every_figure_is_referred_to(stem):
    missing = [name for name, *_ in figures(stem) if not re.search(rf"numref}}+`(?:[^`<]*<)?{name}>?`", EVERYTHING)]
    assert not missing, f"no sentence refers to {missing}"


def test_references_to_figures_find_one():
    names = {figure[0] for stem in SOURCES for figure in figures(stem)}
    assert set(re.findall(r"numref}+`(?:[^`<]*<)?(fig-[\w-]+)>?`", EVERYTHING)) <= names


# --- statements ---


@each_chapter
def test_statements_are_named_and_proved_or_cited(stem):
    for kind, title, text, after in statements(stem):
        if kind == "proof":
            continue
        assert title, f"a {kind} without a name: {text[:80]}"
        assert re.search(r"^:label: \w+-[\w-]+$", text, re.M) or kind in ("remark", "example"), f"{title} has no label"
        if kind in ("theorem", "proposition", "lemma", "corollary"):
            cited = "{cite" in title + text
            assert cited or re.match(r"`{3,}\{prf:proof\}", after), f"{title}: neither proof nor source"
        assert "{code-cell}" not in text


def test_references_to_statements_find_one():
    labels = re.findall(r"^:label: ([\w-]+)$", EVERYTHING, re.M)
    assert len(set(labels)) == len(labels)
    assert set(re.findall(r"\{prf:ref\}`(?:[^`<]*<)?([\w-]+)>?`", EVERYTHING)) <= set(labels)


# --- notation ---


def rows(page):
    """The rows of all tables of a page, cell by cell, without the heads."""
    for table in re.findall(r"(?:^\|.*\n)+", PAGES[page], re.M):
        for line in table.strip().split("\n")[2:]:
            yield [cell.strip() for cell in line.strip("|").split(" | ")]


NOTATION = list(rows("notation"))


def test_every_symbol_of_the_notation_has_one_meaning():
    assert len(NOTATION) >= 30 and all(len(row) == 5 for row in NOTATION)
    symbols = [symbol for row in NOTATION for symbol in re.findall(r"\$[^$]+\$", row[0])]
    assert len(set(symbols)) == len(symbols)
    assert all(len(row[1].split()) >= 3 for row in NOTATION)


@pytest.mark.parametrize("row", NOTATION, ids=lambda row: row[0])
def test_the_notation_names_functions_that_exist(row):
    names = re.findall(r"`([^`]+)`", row[3])
    assert names
    for name in names:
        value = attrgetter(name)(tg)
        assert callable(value) and value.__doc__


@pytest.mark.parametrize("row", NOTATION, ids=lambda row: row[0])
def test_the_notation_names_the_chapter_that_uses_the_symbol(row):
    stem = re.fullmatch(r"\{doc\}`../notebooks/(\w+)`", row[4])[1]
    assert stem in SOURCES
    formulas = [re.sub(r"\s|\\,|[{}]", "", formula) for formula in math_of(SOURCES[stem])]
    for symbol in re.findall(r"\$([^$]+)\$", row[0]):
        head = re.match(r"[^_(\[]+[_(\[]?", re.sub(r"\s|\\,|[{}]", "", symbol))[0]
        # a letter by itself: not inside a word or a command
        pattern = re.compile(r"(?<![A-Za-z\\])" + re.escape(head) + (r"(?![A-Za-z])" if head[-1].isalpha() else ""))
        assert any(pattern.search(formula) for formula in formulas), f"{symbol} is in no formula of {stem}"


def math_of(source):
    """The formulas of a chapter, without its code."""
    prose = re.sub(r"^(`{3,}|~{3,})(?:\{code-cell\}|python|bash).*?^\1$", "", source, flags=re.M | re.S)
    return re.findall(r"\$\$(.+?)\$\$", prose, re.S) + re.findall(r"(?<!\$)\$([^$]+?)\$(?!\$)", prose)


# --- glossary ---

TERMS = dict(
    re.findall(
        r"^(\S[^\n]*)\n((?:  [^\n]+\n?)+)",
        re.search(r"\{glossary\}\n(.*?)^```", PAGES["glossary"], re.M | re.S)[1],
        re.M,
    )
)


def test_the_glossary_explains_in_sentences_and_links_to_chapters():
    assert 30 <= len(TERMS) <= 60
    assert list(TERMS) == sorted(TERMS, key=str.lower)
    for term, text in TERMS.items():
        links = re.findall(r"\{doc\}`(?:[^`<]*<)?([^`>]+)>?`", text)
        assert links and all(link.removeprefix("../notebooks/") in SOURCES or link in PAGES for link in links), term
        assert 10 <= len(text.split()) <= 70 and text.strip().endswith("."), term
        assert not LATIN.search(text)


def test_terms_that_are_linked_are_in_the_glossary():
    used = re.findall(r"\{term\}`(?:[^`<]*<)?([^`>]+)>?`", EVERYTHING)
    assert used and {" ".join(term.split()).lower() for term in used} <= {term.lower() for term in TERMS}


# --- bibliography ---

ENTRIES = parse_file(PROJECT / "book" / "references.bib").entries
CITED = {key.strip() for keys in re.findall(r"\{cite:[pt]s?\}+`([^`]+)`", EVERYTHING) for key in keys.split(",")}


@pytest.mark.parametrize("key", ENTRIES)
def test_an_entry_of_the_bibliography_is_whole(key):
    entry = ENTRIES[key]
    fields = {name.lower(): value for name, value in entry.fields.items()}
    assert entry.persons.get("author") and fields["title"]
    assert re.fullmatch(r"(19|20)\d\d", fields["year"]) and key.endswith(fields["year"])
    assert {"doi", "eprint", "url", "pages"} & fields.keys(), f"{key} cannot be found"
    if "doi" in fields:
        assert re.fullmatch(r"10\.\d{4,9}/[-._;()/:A-Za-z0-9]+", fields["doi"])
    if "eprint" in fields:
        assert re.fullmatch(r"\d{4}\.\d{4,5}|[a-z-]+/\d{7}", fields["eprint"]) and fields["archiveprefix"] == "arXiv"
        year, month = 2000 + int(fields["eprint"][:2]), int(fields["eprint"][2:4])
        assert 1 <= month <= 12 and year <= int(fields["year"]) + 1
    assert "arXiv" not in fields.get("note", ""), f"{key}: the number belongs into eprint"


def test_works_have_a_doi_and_those_of_arxiv_their_own():
    with_doi = [entry.fields for entry in ENTRIES.values() if "doi" in entry.fields]
    assert len(with_doi) >= 40
    for fields in with_doi:
        if fields["doi"].startswith("10.48550/"):
            assert fields["doi"] == f"10.48550/arXiv.{fields['eprint']}"


def test_the_bibliography_is_what_the_book_cites():
    assert len(ENTRIES) >= 25 and list(ENTRIES) == sorted(ENTRIES)
    assert set(ENTRIES) >= CITED, CITED - set(ENTRIES)
    assert set(ENTRIES) <= CITED, f"cited nowhere: {set(ENTRIES) - CITED}"
