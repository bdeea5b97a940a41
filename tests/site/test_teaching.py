"""The teacher's page: its numbers are those of the chapters, its rubrics fit the exercises, and its commands exist."""

import json
import re
from itertools import pairwise

import pytest
import teaching
import times
import typer
import yaml
from conftest import PROJECT

from tokengeom_utils.cli import app
from tokengeom_utils.site.build.contents import chapters

PAGE = teaching.PAGE.read_text(encoding="utf-8")
SOURCES = {path.stem: path.read_text(encoding="utf-8") for path in chapters(PROJECT)}
LEVELS = {label: level for text in SOURCES.values() for label, level, *_ in times.exercises(text)}
POINTS = {"Easy": 3, "Medium": 5, "Hard": 8}
BOX = re.compile(r"^(`{3,})\{exercise\}[^\n]*\n:label: (\S+)\n(.*?)^\1$", re.M | re.S)
CHECKED = {label for text in SOURCES.values() for _, label, body in BOX.findall(text) if "tg.check." in body}
RUBRICS = dict(re.findall(r"^```\{solution\} (\S+)\n(.*?)^```$", PAGE, re.M | re.S))


def test_the_tables_are_current():
    assert teaching.renewed(PAGE) == PAGE, "renew it: tests/teaching.py"


@pytest.mark.parametrize("rows, total", [(teaching.SESSION, 90), (teaching.DAY, 480)])
def test_the_minutes_of_a_plan_add_up_and_leave_time_to_talk(rows, total):
    minutes = [minutes for minutes, _ in teaching.timed(rows, total, teaching.stated())]
    assert sum(minutes) == total
    assert minutes[-1] >= 10 and min(minutes) > 0, (
        f"{minutes[-1]} minutes are left for the discussion: shorten the plan"
    )


def test_home_work_of_a_week_is_an_evening_or_three():
    known = teaching.stated()
    for about, read, solve in teaching.WEEKS:
        minutes = sum(known["read", name] for name in read) + sum(known["solve", label] for label in solve)
        assert 60 <= minutes <= 4 * 60, about


def test_the_map_has_every_chapter_after_those_that_it_needs():
    order = list(SOURCES)
    assert list(teaching.NEEDS) == order
    for name, needs in teaching.NEEDS.items():
        assert all(order.index(one) < order.index(name) for one in needs), name


def closure(name):
    """The chapters that one needs, and theirs."""
    return {one for need in teaching.NEEDS[name] for one in (need, *closure(need))}


@pytest.mark.parametrize(
    "read",
    [
        [name for _, read, _ in teaching.WEEKS for name in read],
        [what[1] for what, _ in teaching.DAY if isinstance(what, tuple) and what[0] == teaching.READ],
    ],
    ids=["weeks", "day"],
)
def test_a_plan_reads_no_chapter_before_those_that_it_needs(read):
    assert len(set(read)) == len(read)
    for place, name in enumerate(read):
        assert closure(name) <= set(read[:place]), name


def test_exercises_to_hand_in_belong_to_the_chapters_of_their_week():
    for about, read, solve in teaching.WEEKS:
        there = {label for name in read for label, *_ in times.exercises(SOURCES[name])}
        assert set(solve) <= there, about


# --- measured ---


MEASURED = json.loads(teaching.MEASURED.read_text())


def test_every_chapter_is_measured_at_the_quick_profile():
    assert MEASURED["profile"] == "quick"
    assert list(MEASURED["chapters"]) == list(SOURCES)


def test_a_chapter_leaves_memory_for_a_browser_on_a_machine_with_4_gb():
    """Without the file of the model, which is mapped: the system gives it back when memory is short."""
    assert max(one["bytes"] for one in MEASURED["chapters"].values()) - 0.7e9 < 3e9


# --- rubrics ---


def test_there_is_a_rubric_for_every_exercise_without_a_checker():
    assert len(CHECKED) > 40
    assert list(RUBRICS) == [label for label in LEVELS if label in RUBRICS], "in the order of the book"
    assert set(RUBRICS) == set(LEVELS) - CHECKED


@pytest.mark.parametrize("label", RUBRICS)
def test_a_rubric_gives_the_points_of_its_level(label):
    points = re.findall(r"^- (\d+) points?: ", RUBRICS[label], re.M)
    assert sum(map(int, points)) == POINTS[LEVELS[label]]
    assert "\nHalf an answer: " in RUBRICS[label]
    assert len(re.findall(r"^- ", RUBRICS[label], re.M)) == len(points)


def test_the_points_are_those_that_the_page_states_and_the_notebooks_give():
    assert "An easy exercise has {Easy} points, a medium one {Medium}, and a hard one {Hard}".format(**POINTS) in PAGE
    graded = PROJECT / "data" / "exercises.yml"
    assert not graded.is_file() or yaml.safe_load(graded.read_text(encoding="utf-8"))["points"] == POINTS


# --- mistakes ---


def test_the_hints_are_those_of_the_checkers():
    source = "\n".join(path.read_text(encoding="utf-8") for path in (PROJECT / "tokengeom_utils/check").glob("*.py"))
    rows = re.findall(r"^\| (.+?) \| (.+?) \| (.+?) \|$", PAGE.split("## Common mistakes")[1].split("(where")[0], re.M)[
        2:
    ]
    quoted = [hint for _, hints, _ in rows for hint in re.findall(r'"(.+?)"', hints)]
    assert len(quoted) > 10
    assert [hint for hint in quoted if hint not in source] == []


# --- commands ---


def test_commands_named_without_arguments_exist():
    known = typer.main.get_command(app).commands
    assert [name for name in re.findall(r"`tokengeom ([a-z-]+)`", PAGE) if name not in known] == []


def test_links_within_the_page_lead_to_labels():
    labels = set(re.findall(r"^\(([\w-]+)\)=$", PAGE, re.M))
    links = re.findall(r"\]\(#([\w-]+)\)", PAGE)
    assert links and set(links) <= labels


def test_a_row_begins_when_the_one_before_ends():
    for name in ("session", "day"):
        rows = re.findall(r"^\| (\d+):(\d+) \| (\d+) ", "\n".join(teaching.tables()[name]), re.M)
        starts = [60 * int(hour) + int(minute) for hour, minute, _ in rows]
        assert all(b - a == int(row[2]) for (a, b), row in zip(pairwise(starts), rows, strict=False))
