"""Every wording that a survey can bring about can be rendered."""

import ast

import branches
import pytest
import run_chapter
from conftest import PROJECT

from tokengeom_utils.site.build.contents import chapters


def render(source, monkeypatch, tmp_path):
    """The branches of a chapter made of one cell."""
    (tmp_path / "notebooks").mkdir(exist_ok=True)
    page = f"---\njupytext:\n  text_representation:\n    format_name: myst\n---\n\n```{{code-cell}}\n{source}\n```\n"
    (tmp_path / "notebooks" / "one.md").write_text(page)
    monkeypatch.setattr(run_chapter, "PROJECT", tmp_path)
    return branches.branches("one")


def test_the_wording_that_is_not_taken_is_rendered(monkeypatch, tmp_path):
    (found,) = render("x = 3\nsaid = f'it is {x}' if x > 2 else f'{x} only'", monkeypatch, tmp_path)
    assert found[1:] == ("it is 3", "3 only")


def test_a_choice_in_a_function_and_in_a_loop_is_seen(monkeypatch, tmp_path):
    source = "def say(n):\n    return 'one' if n == 1 else f'{n} of them'\nsaid = [say(n) for n in (2, 3)]"
    (found,) = render(source, monkeypatch, tmp_path)
    assert found[1:] == ("2 of them", "one")
    assert render(source.replace("3", "1"), monkeypatch, tmp_path) == []  # both were said


def test_a_wording_that_cannot_be_rendered_is_reported(monkeypatch, tmp_path):
    (found,) = render("said = 'fine' if True else f'{absent} is not'", monkeypatch, tmp_path)
    assert isinstance(found.text, NameError)
    (found,) = render("said = 'none' if not [] else f'{[][0]}'", monkeypatch, tmp_path)
    assert isinstance(found.text, branches.GUARDED)


def test_numbers_are_no_wording(monkeypatch, tmp_path):
    assert render("x = 1 if True else 1 / 0\ny = (z := 'a') if True else 'b'", monkeypatch, tmp_path) == []
    assert branches.is_text(ast.parse("f'{1}' + x", mode="eval").body)


@pytest.mark.long
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("path", chapters(PROJECT), ids=lambda path: path.stem)
def test_every_wording_of_a_chapter_can_be_rendered(path):
    found = branches.branches(path.stem)
    failed = [branch for branch in found if isinstance(branch.text, Exception)]
    assert not [branch for branch in failed if not isinstance(branch.text, branches.GUARDED)]
    assert len(failed) <= 0.1 * len(found)
