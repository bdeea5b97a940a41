"""The times in the first box of each chapter follow from its source by the stated rule."""

import pytest
import times
from conftest import PROJECT

from tokengeom_utils.site.build.contents import chapters


@pytest.mark.parametrize("path", chapters(PROJECT), ids=lambda path: path.stem)
def test_the_box_states_the_times_of_the_rule(path):
    assert times.BOX.findall(path.read_text(encoding="utf-8")) == [times.box(path)], "renew it: tests/times.py"
    assert times.minutes(path)[0] <= 60


def test_the_rule_is_stated():
    text = (PROJECT / "book" / "index.md").read_text(encoding="utf-8")
    for part in (
        f"{1 / times.WORD:.0f} words a minute",
        f"{60 * times.FORMULA:.0f} seconds for a displayed formula",
        f"{60 * times.FIGURE:.0f} for a figure",
        f"{60 * times.LINE:.0f} for a line of open code",
        f"{times.EXERCISE} minutes for an exercise",
    ):
        assert part in text, part
