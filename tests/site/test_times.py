"""The times in the first box of each chapter follow from its source by the stated rule."""

import pytest
import times
from conftest import PROJECT

from tokengeom_utils.site.build.contents import chapters


@pytest.mark.parametrize("path", chapters(PROJECT), ids=lambda path: path.stem)
def test_the_box_states_the_times_of_the_rule(path):
    assert times.BOX.findall(path.read_text(encoding="utf-8")) == [times.box(path)], "renew it: tests/times.py"
    assert times.minutes(path)[0] <= 60


@pytest.mark.parametrize("path", chapters(PROJECT), ids=lambda path: path.stem)
def test_every_exercise_says_how_hard_and_how_long_it_is(path):
    found = times.exercises(path.read_text(encoding="utf-8"))
    assert len(found) >= 3
    assert [said for _, _, said, _ in found] == [counted for _, _, _, counted in found], "renew it: tests/times.py"
    ranks = [list(times.EXERCISE).index(level) for _, level, _, _ in found]
    assert ranks == sorted(ranks), "easier ones come first"


def test_the_rule_is_stated():
    text = (PROJECT / "book" / "index.md").read_text(encoding="utf-8")
    for part in (
        f"{1 / times.WORD:.0f} words a minute",
        f"{60 * times.FORMULA:.0f} seconds for a displayed formula",
        f"{60 * times.FIGURE:.0f} for a figure",
        f"{60 * times.LINE:.0f} for a line of open code",
        f"{times.QUESTION} minutes for a question",
        "{Easy}, {Medium}, or {Hard} minutes for an easy, a medium, or a hard exercise".format(**times.EXERCISE),
    ):
        assert part in text, part
