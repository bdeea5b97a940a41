"""A site for a class: no file of it holds a solution, and everything else is there."""

import html
import re
import shutil
import zlib

import nbformat
import pytest
from bs4 import BeautifulSoup
from conftest import PROJECT

from tokengeom_utils.classes.exercises import read_exercises
from tokengeom_utils.site.build.pages import page_files
from tokengeom_utils.site.build.website import build_site
from tokengeom_utils.site.plain import FENCE, SOLUTION, without_solutions

SOURCES = {path.stem: path.read_text(encoding="utf-8") for path in (PROJECT / "notebooks").glob("*.md")}
EXERCISES = read_exercises(PROJECT)


def words(text):
    """The words of a text, one space apart; marks are none."""
    return " ".join(re.findall(r"\w+", html.unescape(text)))


#: everything that a site is made of but the solutions
OTHERS = [*(PROJECT / "book").rglob("*.md"), *(PROJECT / "tokengeom_utils").rglob("*.py")]
REST = words(" ".join([*map(without_solutions, SOURCES.values()), *(path.read_text("utf-8") for path in OTHERS)]))


def of_exercises(page):
    """The solutions on a page; the explanations of a question's answers are folds of the same class."""
    return [solution for solution in page.select(".solution") if not solution.find_parent(class_="question")]


def fragments(exercise):
    """Parts of a solution that occur nowhere else: lines of code, and words between formulas."""
    prose = re.split(r"\$[^$]*\$|\{[\w:-]+\}`[^`]*`|[`*\n]|~~~|[.:;,()]", exercise.solution)
    found = {words(part) for part in [*exercise.answer.splitlines(), *prose]}
    return {part for part in found if len(part) > 24 and len(part.split()) > 3 and part not in REST}


SECRETS = {exercise.id: fragments(exercise) for exercise in EXERCISES}


def contents(folder):
    """The words of every file below a folder, whatever its kind; with tags, and once more without."""
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            data = path.read_bytes()
            if path.name == "objects.inv":
                data = zlib.decompress(data.split(b"zlib.\n")[1])
            text = data.decode("utf-8", errors="replace").replace("\\n", "\n").replace('\\"', '"')
            yield path.relative_to(folder), words(text) + " | " + words(re.sub(r"<[^<>]*>", "", text))


@pytest.fixture(scope="module")
def hidden(book, tmp_path_factory):
    """The site for a class, made of the chapters of the tiny book."""
    project, out = book
    place = tmp_path_factory.mktemp("class")
    shutil.copytree(out / "chapters", place / "chapters")
    build_site(project, place, solutions=False)
    return place / "html"


def test_nearly_every_exercise_has_something_to_look_for():
    assert sum(bool(parts) for parts in SECRETS.values()) > 0.9 * len(EXERCISES)
    assert sum(map(len, SECRETS.values())) > 3 * len(EXERCISES)


def test_the_site_of_a_teacher_has_every_solution(book):
    """Else the search of the next test would find nothing anywhere."""
    site = book[1] / "html"
    pages = dict(contents(site / "notebooks"))
    sources = dict(contents(site / "_sources"))
    for exercise in EXERCISES:
        for found, name in ((pages, f"{exercise.chapter}.html"), (sources, f"notebooks/{exercise.chapter}.ipynb")):
            text = next(text for path, text in found.items() if path.as_posix() == name)
            lost = {part for part in SECRETS[exercise.id] if part not in text}
            assert len(lost) <= 0.2 * len(SECRETS[exercise.id]), (exercise.id, lost)


def test_no_file_of_the_site_holds_a_solution(hidden):
    secrets = {part for parts in SECRETS.values() for part in parts}
    leaks = {(str(path), part) for path, text in contents(hidden) for part in secrets if part in text}
    assert not leaks
    assert len(list(hidden.rglob("*.ipynb"))) >= 3 * len(SOURCES)  # page, source, and download


def test_everything_else_is_there(book, hidden):
    for name, source in SOURCES.items():
        page = BeautifulSoup((hidden / "notebooks" / f"{name}.html").read_text(encoding="utf-8"), "html.parser")
        before = (book[1] / "html" / "notebooks" / f"{name}.html").read_text(encoding="utf-8")
        before = BeautifulSoup(before, "html.parser")
        for kind in ("h1, h2, h3", "figure", ".exercise", ".definition, .proposition, .proof, .theorem"):
            assert len(page.select(kind)) == len(before.select(kind)), (name, kind)
        assert of_exercises(before) and not of_exercises(page)
        assert len(page.select(".exercise")) == source.count("{exercise}")
        buttons = {link.get_text(strip=True) for link in page.select(".dropdown-download-buttons a")}
        assert "Notebook" in buttons and not any("solutions" in text or "Binder" in text for text in buttons)
        assert not (hidden / "_downloads" / "notebooks" / f"{name}.ipynb").exists()
        nbformat.validate(nbformat.read(hidden / "_downloads" / "notebooks" / f"{name}-exercises.ipynb", 4))


@pytest.mark.parametrize("name", SOURCES)
def test_only_solutions_are_taken_out_of_a_source(name):
    kept = without_solutions(SOURCES[name])
    boxes = [box[2] for box in FENCE.finditer(SOURCES[name])]
    assert [box[2] for box in FENCE.finditer(kept)] == [kind for kind in boxes if kind != SOLUTION]
    assert SOLUTION in boxes and "{solution}" not in kept
    assert len(kept.splitlines()) < len(SOURCES[name].splitlines())


def test_the_notebook_of_a_page_is_the_same_but_for_its_solutions(book):
    path = book[1] / "chapters" / "intrinsic_dimension.ipynb"
    full, less = (nbformat.reads(page_files(path, keep)[path.name].decode(), 4) for keep in (True, False))
    assert len(full.cells) == len(less.cells)
    changed = [old for old, new in zip(full.cells, less.cells, strict=True) if old.source != new.source]
    assert changed and all("{solution}" in cell.source for cell in changed)
