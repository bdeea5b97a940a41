"""What is handed out: valid notebooks without solutions, and for the teacher a key and a source for nbgrader."""

import ast
import csv
import json
import os
import re

import nbformat
import pytest
from conftest import PROJECT

from tokengeom_utils import check
from tokengeom_utils.classes.exercises import read_exercises
from tokengeom_utils.classes.handout import _pip_address, choose_chapters, hand_out
from tokengeom_utils.classes.key import find_key, read_key, write_key
from tokengeom_utils.classes.sheet import SETUP, _solved
from tokengeom_utils.errors import InputError

ROSTER = "id,name\nada,Ada *Lovelace*\nemmy,Emmy <b>Noether</b>\nmaryam,Maryam Mirzakhani\n"
CHAPTERS = ("extraction", "intrinsic_dimension", "what_a_survey_costs")
EXERCISES = [exercise for exercise in read_exercises(PROJECT) if exercise.chapter in CHAPTERS]


@pytest.fixture(scope="module")
def handed(tmp_path_factory):
    """A handout of three chapters for three students."""
    folder = tmp_path_factory.mktemp("class")
    (folder / "roster.csv").write_text(ROSTER, encoding="utf-8")
    hand_out("6,8,16", folder / "out", folder / "roster.csv", PROJECT, seed=5, install="tokengeom-utils==1")
    return folder / "out"


@pytest.fixture(scope="module")
def for_all(tmp_path_factory):
    """A handout of one chapter without a roster."""
    out = tmp_path_factory.mktemp("class") / "out"
    hand_out("intrinsic_dimension", out, project=PROJECT, seed=5)
    return out


def read(path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    return notebook


def notebooks(folder):
    return [(path, read(path)) for path in sorted(folder.rglob("*.ipynb"))]


def cells(notebook):
    return {cell.metadata.nbgrader["grade_id"]: cell for cell in notebook.cells}


def test_every_student_gets_every_chapter_and_nothing_else_is_in_the_folder(handed):
    files = {str(path.relative_to(handed)) for path in handed.rglob("*") if path.is_file()}
    assert files == {
        *(f"students/{student}/{chapter}.ipynb" for student in ("ada", "emmy", "maryam") for chapter in CHAPTERS),
        *(f"teacher/nbgrader/source/{chapter}/{chapter}.ipynb" for chapter in CHAPTERS),
        "teacher/nbgrader/nbgrader_config.py",
        *(f"teacher/{name}" for name in ("key.json", "key.csv", "exercises.csv")),
    }
    assert (handed / "returned").is_dir() and not list(handed.parent.glob(".out*"))


@pytest.mark.skipif(os.name != "posix", reason="permissions of POSIX")
def test_nobody_else_on_a_server_reads_the_key(handed):
    assert (handed / "teacher").stat().st_mode & 0o077 == 0


def test_metadata_are_those_of_nbgrader_3(handed):
    """Its validator is run by `make nbgrader-test`; the rules are repeated here."""
    for path, notebook in notebooks(handed):
        about = [cell.metadata.nbgrader for cell in notebook.cells]
        assert len({one["grade_id"] for one in about}) == len(about), path
        assert len({cell.id for cell in notebook.cells}) == len(about)
        for cell, one in zip(notebook.cells, about, strict=True):
            assert re.fullmatch(r"[\w-]+", one["grade_id"]) and one["schema_version"] == 3
            assert {*one} - {"points"} == {"grade", "grade_id", "locked", "schema_version", "solution", "task"}
            assert ("points" in one) == one["grade"] and one["locked"] == (not one["solution"])
            assert one["task"] is False and cell.metadata.deletable is False
            assert cell.metadata.get("editable", True) == one["solution"]
            if cell.cell_type == "markdown":
                assert one["grade"] == one["solution"]
            elif one["grade"]:
                assert not one["solution"]
                ast.parse(cell.source)


def test_points_add_up(handed):
    for _, notebook in notebooks(handed):
        graded = cells(notebook)
        for exercise in EXERCISES:
            if exercise.id in graded:
                parts = [
                    one.metadata.nbgrader["points"]
                    for name, one in graded.items()
                    if name in (exercise.id, f"{exercise.id}-check", f"{exercise.id}-result")
                    and one.metadata.nbgrader["grade"]
                ]
                assert sum(parts) == exercise.points and len(parts) == (2 if exercise.own else 1)


def solution_lines(exercise):
    """Lines of a solution that are not in what a student sees anyway."""
    return {line.strip() for line in (exercise.answer or exercise.solution).splitlines()} - {
        line.strip() for line in exercise.stub.splitlines()
    }


def test_no_student_gets_a_solution_or_a_hidden_test(handed):
    secret = [line for exercise in EXERCISES for line in solution_lines(exercise) if len(line) > 12]
    secret += [sentence for exercise in EXERCISES for sentence in exercise.solution.split("\n") if len(sentence) > 30]
    assert len(secret) > 40
    for path in (handed / "students").rglob("*.ipynb"):
        text = json.loads(path.read_text(encoding="utf-8"))
        text = "\n".join(["".join(cell["source"]) for cell in text["cells"]] + [json.dumps(text["metadata"])])
        assert not [line for line in secret if line in text], path
        assert not re.search(r"SOLUTION|HIDDEN|seed=|expected|wanted", text)


def test_the_source_for_nbgrader_has_all_solutions_and_hidden_tests(handed):
    for chapter in CHAPTERS:
        found = cells(read(handed / "teacher" / "nbgrader" / "source" / chapter / f"{chapter}.ipynb"))
        for exercise in EXERCISES:
            if exercise.chapter == chapter:
                source = found[exercise.id].source
                assert source.count("### BEGIN SOLUTION") == source.count("### END SOLUTION") == 1
                assert all(line in source for line in solution_lines(exercise))
                if exercise.own:
                    ast.parse(source)
                    for part in ("check", "result"):
                        assert found[f"{exercise.id}-{part}"].source.count("### BEGIN HIDDEN TESTS") == 1


@pytest.mark.parametrize("exercise", [e for e in read_exercises(PROJECT) if e.own], ids=lambda e: e.id)
def test_a_stub_with_the_region_of_its_solution_is_right(exercise):
    names = {}
    exec(f"{SETUP}\n{_solved(exercise)}", names)
    assert getattr(check, exercise.checker)(names[exercise.function], seed=11).passed
    cleared = re.sub(r" *### BEGIN.*?END SOLUTION", "    ...", _solved(exercise), flags=re.S)
    assert cleared == exercise.stub


def test_students_have_numbers_of_their_own_and_the_key_has_them(handed):
    key = read_key(handed / "teacher" / "key.json")
    rows = list(csv.DictReader((handed / "teacher" / "key.csv").read_text(encoding="utf-8-sig").splitlines()))
    coded = [exercise for exercise in EXERCISES if exercise.own]
    assert len(rows) == 3 * len(coded)
    for exercise in coded:
        given = [
            cells(read(handed / "students" / student / f"{exercise.chapter}.ipynb"))[f"{exercise.id}-given"].source
            for student in key.students
        ]
        assert len({text.splitlines()[0] for text in given}) == 3
        assert len({text.partition("\n")[2] for text in given}) == 1  # equal difficulty: the same code
        for student, text in zip(key.students, given, strict=True):
            own = key.own[student][exercise.id]
            assert own.given == text and own.rtol > 0
            names = {}
            exec(f"import numpy as np\nimport torch\nimport tokengeom_utils as tg\n{exercise.answer}\n{text}", names)
            assert str(own.expected) in next(
                row["expected"] for row in rows if (row["student"], row["exercise"]) == (student, exercise.id)
            )
            assert check.value(eval(exercise.own.wanted, names), own.expected, points=1) == 1


def test_another_seed_gives_other_numbers_and_hidden_draws_and_the_same_seed_the_same(handed, tmp_path):
    (tmp_path / "roster.csv").write_text(ROSTER, encoding="utf-8")
    keys = [hand_out("6", tmp_path / f"out{i}", tmp_path / "roster.csv", PROJECT, seed=s) for i, s in enumerate((5, 6))]
    first = read_key(handed / "teacher" / "key.json")
    assert keys[0].own["ada"]["ex-block-inputs"] == first.own["ada"]["ex-block-inputs"]
    assert keys[1].own["ada"]["ex-block-inputs"] != first.own["ada"]["ex-block-inputs"]
    assert {one.seed for one in keys[0].tests.values()}.isdisjoint(one.seed for one in keys[1].tests.values())
    assert keys[0].handout != keys[1].handout
    assert hand_out("6", tmp_path / "a", project=PROJECT).seed != hand_out("6", tmp_path / "b", project=PROJECT).seed


def test_text_needs_no_extension_and_quotes_what_it_refers_to(handed):
    for _, notebook in notebooks(handed / "students"):
        for cell in notebook.cells:
            if cell.cell_type == "markdown":
                assert not re.search(r"\{[a-z:]+\}`|^`{3,}|^:::|\{student\}", cell.source, re.M), cell.source
    found = cells(read(handed / "students" / "emmy" / "intrinsic_dimension.ipynb"))
    assert r"For Emmy \<b\>Noether\<\/b\>." in found["title"].source
    assert "5 exercises, 22 points, about 55 minutes." in found["title"].source
    assert "*Easy, about 5 minutes, 3 points.*" in found["ex-volume-fraction-text"].source
    assert 'of Proposition "The Beta law" for every token' in found["ex-volume-fraction-text"].source
    assert "**Proposition. The Beta law**" in found["ex-volume-fraction-text"].source
    assert "`distances` is a row-sorted numpy array" in found["title"].source


def test_without_a_roster_there_is_one_set_for_all(for_all):
    assert [path.name for path in (for_all / "students").iterdir()] == ["intrinsic_dimension.ipynb"]
    student = cells(read(for_all / "students" / "intrinsic_dimension.ipynb"))
    source = cells(
        read(for_all / "teacher" / "nbgrader" / "source" / "intrinsic_dimension" / "intrinsic_dimension.ipynb")
    )
    assert student["ex-two-nn-given"].source == source["ex-two-nn-given"].source
    assert "cwd" not in source["ex-two-nn-result"].source and "For " not in student["title"].source
    key = read_key(for_all / "teacher" / "key.json")
    assert key.students == {} and not key.roster and list(key.own) == ["everyone"]


def test_the_install_cell_is_for_pip_and_does_nothing_where_the_project_is(handed, for_all):
    cell = cells(read(handed / "students" / "ada" / "extraction.ipynb"))["install"]
    assert '%pip install --quiet "tokengeom-utils==1"' in cell.source
    names = {}
    exec(cell.source.replace("%pip", "pip = 0  # "), names)
    assert "pip" not in names
    cell = cells(read(for_all / "students" / "intrinsic_dimension.ipynb"))["install"]
    assert re.search(r"%pip install --quiet \"tokengeom-utils @ git\+https://|ask your teacher", cell.source)


@pytest.mark.parametrize(
    "origin, address",
    [
        ("", ""),
        ("https://github.com/a/b.git", "tokengeom-utils @ git+https://github.com/a/b.git"),
        ("git@github.com:a/b.git", "tokengeom-utils @ git+https://github.com/a/b.git"),
        ("ssh://git@host.org/a/b", "tokengeom-utils @ git+https://host.org/a/b"),
    ],
)
def test_an_address_of_git_becomes_one_of_pip(origin, address):
    assert _pip_address(origin) == address


@pytest.mark.parametrize(
    "text, words",
    [
        ("0", "there is no chapter '0': give numbers from 1 to 3"),
        ("4", "no chapter '4'"),
        ("a,b,", "no chapter ''"),
        ("../a", "no chapter '../a'"),
        ("a,1", "a is chapter 1, and is listed twice"),
        ("-1", "no chapter '-1'"),
        ("1-2", "no chapter '1-2'"),
        ("²", "no chapter '²'"),
    ],
)
def test_chapters_that_do_not_exist_are_named(text, words):
    with pytest.raises(InputError, match=re.escape(words)):
        choose_chapters(text, ["a", "b", "c"])


def test_chapters_come_in_the_order_of_the_book():
    assert choose_chapters(" 3, a", ["a", "b", "c"]) == ["a", "c"] and choose_chapters("all", ["a", "b"]) == ["a", "b"]


def test_bad_input_is_one_line_and_writes_nothing(tmp_path):
    (tmp_path / "roster.csv").write_text(ROSTER, encoding="utf-8")
    (tmp_path / "bad.csv").write_text("id\n../ada\n", encoding="utf-8")
    full = tmp_path / "full"
    full.mkdir()
    (full / "mine.txt").write_text("mine")
    before = sorted(tmp_path.rglob("*"))
    good = {"chapters": "6", "out": tmp_path / "out", "roster": tmp_path / "roster.csv", "project": PROJECT}
    for change, words in (
        ({"roster": tmp_path / "bad.csv"}, "must consist of"),
        ({"roster": tmp_path / "none.csv"}, "there is no file"),
        ({"chapters": "99"}, "there is no chapter '99'"),
        ({"out": full}, "full exists: name a new folder"),
        ({"out": tmp_path / "roster.csv"}, "exists"),
        ({"out": tmp_path / "no" / "out"}, "there is no folder"),
        ({"out": "s3://bucket/x"}, "is an address"),
        ({"project": tmp_path}, "is not a checkout of the book"),
        ({"install": 'x"; import os'}, "give what follows"),
    ):
        with pytest.raises(InputError, match=words) as error:
            hand_out(**{**good, **change})
        assert "\n" not in str(error.value)
        assert sorted(tmp_path.rglob("*")) == before


def test_an_empty_folder_is_taken(tmp_path):
    (tmp_path / "out").mkdir()
    hand_out("16", tmp_path / "out", project=PROJECT, seed=1)
    assert (tmp_path / "out" / "teacher" / "key.json").is_file()


def test_a_key_is_found_from_below_and_a_broken_one_is_named(handed, tmp_path):
    assert find_key(handed) == find_key(handed / "returned") == handed / "teacher" / "key.json"
    with pytest.raises(InputError, match="no key.json at or above"):
        find_key(tmp_path)
    for text in ("", "[]", "{}", '{"format": 1}', '{"format": 0}', "\0"):
        (tmp_path / "key.json").write_text(text)
        with pytest.raises(InputError, match="is no key of a handout|another version"):
            read_key(tmp_path / "key.json")


def test_a_key_is_read_as_it_was_written(handed):
    key = read_key(handed / "teacher" / "key.json")
    write_key(key, handed.parent)
    assert read_key(handed.parent / "key.json") == key
