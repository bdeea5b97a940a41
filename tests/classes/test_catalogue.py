"""Every exercise of the book with its points, its idea, and numbers of its own."""

import re

import pytest
from conftest import PROJECT

from tokengeom_utils import check
from tokengeom_utils.classes import exercises as catalogue
from tokengeom_utils.errors import BuildError

EXERCISES = catalogue.read_exercises(PROJECT)
SOURCES = {path.stem: path.read_text(encoding="utf-8") for path in (PROJECT / "notebooks").glob("*.md")}
CODED = [exercise for exercise in EXERCISES if exercise.own]


def test_all_exercises_of_the_book_are_listed_in_its_order():
    from tokengeom_utils.site.build import chapters

    wanted = []
    for path in chapters(PROJECT):
        wanted += re.findall(r"\{exercise\} [^\n]*\n:label: (\S+)", path.read_text(encoding="utf-8"))
    assert [exercise.id for exercise in EXERCISES] == wanted and len(set(wanted)) == len(wanted)


@pytest.mark.parametrize("exercise", EXERCISES, ids=lambda exercise: exercise.id)
def test_an_exercise_has_what_a_teacher_needs(exercise):
    assert f"{{exercise}} {exercise.title}\n:label: {exercise.id}" in SOURCES[exercise.chapter]
    assert f"*{exercise.level}, about {exercise.minutes} minutes.*" in SOURCES[exercise.chapter]
    assert exercise.points > 1 and exercise.solution and exercise.text
    assert not re.search(r"~~~python|about \d+ minutes|:label:", exercise.text)
    assert exercise.idea.endswith(".") and len(exercise.idea.split()) >= 6 and exercise.idea[0].isupper()
    assert exercise.idea not in SOURCES[exercise.chapter]


def test_harder_exercises_give_more_points():
    (easy,), (medium,), (hard,) = (
        {exercise.points for exercise in EXERCISES if exercise.level == level} for level in ("Easy", "Medium", "Hard")
    )
    assert easy < medium < hard


def test_ideas_are_all_different():
    assert len({exercise.idea for exercise in EXERCISES}) == len(EXERCISES)


@pytest.mark.parametrize("exercise", CODED, ids=lambda exercise: exercise.id)
def test_an_exercise_with_code_has_a_stub_an_answer_and_a_checker(exercise):
    assert hasattr(check, exercise.checker)
    for code in (exercise.stub, exercise.answer):
        assert f"def {exercise.function}(" in code and "tg.check" not in code
        compile(code, exercise.id, "exec")
    assert exercise.result.isidentifier()
    compile(exercise.own.given, exercise.id, "exec")
    compile(exercise.own.wanted, exercise.id, "eval")
    assert not exercise.own.ask.endswith(".") and not exercise.own.ask[0].isupper()
    assert all(len(line) <= 92 for line in exercise.own.given.splitlines())


def test_a_list_that_lacks_an_exercise_or_has_one_too_many_is_refused(tmp_path, monkeypatch):
    text = (PROJECT / "data" / "exercises.yml").read_text(encoding="utf-8")
    monkeypatch.setattr(catalogue, "data_path", lambda name: tmp_path / name)
    for change, words in (
        (("ex-align:", "ex-other:"), "the exercise ex-align is missing in data/exercises.yml"),
        (("  ex-align:", "  ex-more:\n    idea: More.\n  ex-align:"), "no chapter has the exercises ex-more"),
        (("ex-bound:\n", "ex-bound:\n    own: {draw: {}, ask: '', wanted: ''}\n"), "or neither"),
    ):
        (tmp_path / "exercises.yml").write_text(text.replace(*change), encoding="utf-8")
        with pytest.raises(BuildError, match=words):
            catalogue.read_exercises(PROJECT)
