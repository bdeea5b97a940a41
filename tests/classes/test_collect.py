"""Returned notebooks: put in order, run apart, and graded so that no code in them decides about points."""

import csv
import os
import shutil

import nbformat
import pytest
import students
from conftest import PROJECT

from tokengeom_utils.classes import collect as collecting
from tokengeom_utils.classes.arrange import arrange, arranged_notebook, grade_id
from tokengeom_utils.classes.collect import arrange_for_nbgrader, collect, rows, totals
from tokengeom_utils.classes.handout import hand_out
from tokengeom_utils.classes.key import find_key, read_key
from tokengeom_utils.classes.refused import can_refuse
from tokengeom_utils.classes.returned import find_returned
from tokengeom_utils.classes.sandbox import has_namespaces, landlock_version
from tokengeom_utils.errors import InputError

#: who is graded here; `make nbgrader-test` grades all thirty
SOME = ("emmy", "iris", "mallory", "trent", "walter", "yves", "zoe")


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    """A handout of two chapters for all students, and what they return of one of them."""
    folder = tmp_path_factory.mktemp("course")
    (folder / "roster.csv").write_text(students.roster(), encoding="utf-8")
    key = hand_out("6,8", folder / "out", folder / "roster.csv", PROJECT, seed=3)
    chosen = [student for student in students.STUDENTS if student.id in SOME]
    students.return_notebooks(folder / "out", key, chosen)
    return folder / "out", key


@pytest.fixture(scope="module")
def collected(course):
    table, found = collect(course[0], jobs=2)
    with open(table, encoding="utf-8-sig", newline="") as file:
        return found, list(csv.DictReader(file))


def test_there_are_thirty_students_of_five_kinds():
    assert len(students.STUDENTS) == 30 and len({student.id for student in students.STUDENTS}) == 30
    kinds = [student.kind for student in students.STUDENTS]
    assert {*kinds} == {"right", "wrong", "partial", "malicious", "broken"}
    assert all(kinds.count(kind) >= 5 for kind in kinds)


@pytest.mark.parametrize("name", SOME)
def test_every_cell_of_a_student_gets_the_points_it_is_worth(collected, name):
    student = next(one for one in students.STUDENTS if one.id == name)
    for chapter in student.chapters:
        marks = collected[0].marks[name, chapter]
        assert {mark.cell: mark.points for mark in marks} == {
            mark.cell: student.expected(mark.cell) for mark in marks
        }, {mark.cell: mark.comment for mark in marks}
        assert all(mark.comment for mark in marks if mark.points != mark.most)
        assert not any(mark.comment for mark in marks if mark.points == mark.most)


def test_the_table_has_a_row_for_every_student_and_exercise(collected, course):
    _, table = collected
    assert [*table[0]] == list(collecting.HEADER)
    assert len(table) == 30 * len(students.EXERCISES)
    by = {(row["student"], row["exercise"]): row for row in table}
    assert by["emmy", "ex-gride"]["points"] == by["emmy", "ex-gride"]["of"] == "5"
    assert by["iris", "ex-gride"]["points"] == "1" and "scale 2 is right" in by["iris", "ex-gride"]["comment"]
    assert by["ada", "ex-two-nn"]["points"] == "0" and by["ada", "ex-two-nn"]["comment"] == "not returned"
    assert "its cell was stopped by the end of its process" in by["trent", "ex-volume-fraction"]["comment"]
    assert "cannot be read" in by["zoe", "ex-two-nn"]["comment"]
    assert by["emmy", "ex-zeta"]["comment"] == "no answer" and by["emmy", "ex-two-nn"]["name"] == "Emmy"
    sums = {(student, chapter): points for student, chapter, points, *_ in totals(collected[0])}
    assert sums["emmy", "intrinsic_dimension"] == 14 and sums["mallory", "intrinsic_dimension"] == 0


def test_a_table_with_points_is_not_overwritten(course, collected):
    with pytest.raises(InputError, match="marks.csv exists, and may hold points"):
        collect(course[0])


def test_a_failure_of_the_grader_costs_no_points_and_no_other_notebook(course, tmp_path, monkeypatch):
    from tokengeom_utils.classes import grade

    def fails(*args):
        raise RuntimeError("no process\ncan be started")

    monkeypatch.setattr(grade, "Process", fails)
    table, found = collect(course[0], out=tmp_path / "marks.csv")
    assert all(mark.points is None for mark in found.marks["emmy", "intrinsic_dimension"])
    assert all(mark.points == 0 for mark in found.marks["zoe", "intrinsic_dimension"])
    assert "could not be graded here: RuntimeError: no process can be started" in table.read_text(encoding="utf-8-sig")


# --- the order of the cells ---


def sheet_of(course, student, chapter="intrinsic_dimension"):
    folder, key = course
    notebook = nbformat.read(folder / "students" / student / f"{chapter}.ipynb", as_version=4)
    return students.Sheet(notebook, student, key)


def names(steps):
    return [step.part.id if step.part else step.source for step in steps]


def ordered(course, sheet, chapter="intrinsic_dimension"):
    return arrange(sheet.notebook, course[1], chapter, sheet.student)


def test_a_notebook_as_handed_out_is_in_order(course):
    sheet = sheet_of(course, "ada")
    steps = ordered(course, sheet)
    assert [step.source for step in steps] == [cell.source for cell in sheet.notebook.cells]
    assert names(steps) == [grade_id(cell) for cell in sheet.notebook.cells]


def test_own_cells_stay_behind_the_cell_that_they_follow(course):
    sheet = sheet_of(course, "ada")
    sheet.notebook.cells.insert(0, nbformat.v4.new_code_cell("first = 1"))
    sheet.add("behind the text", "ex-two-nn-text", after=True)
    sheet.add("behind the answer", "ex-two-nn", after=True)
    sheet.drop("ex-two-nn-check")
    sheet.notebook.cells.append(nbformat.v4.new_markdown_cell("the end"))
    steps = ordered(course, sheet)
    found = names(steps)
    assert found[0] == "first = 1" and found[-1] == "the end"
    at = found.index("ex-two-nn")
    assert found[at - 2 : at + 3] == [
        "ex-two-nn-text",
        "behind the text",
        "ex-two-nn",
        "behind the answer",
        "ex-two-nn-check",
    ]
    assert [step.is_code for step in steps if step.source in ("first = 1", "the end")] == [True, False]


def test_of_several_answers_the_last_counts_and_the_others_are_own_cells(course):
    sheet = sheet_of(course, "ada")
    for number in range(3):
        sheet.add(f"attempt = {number}", "ex-two-nn")
        sheet.notebook.cells[sheet.at("ex-two-nn") - 1].metadata = sheet.cell("ex-two-nn").metadata
    sheet.notebook.cells[
        -1 - sheet.notebook.cells[::-1].index(sheet.notebook.cells[sheet.at("ex-two-nn")])
    ].source = "x"
    found = names(ordered(course, sheet))
    assert found.count("ex-two-nn") == 1 and [name for name in found if name.startswith("attempt")]
    assert len(found) == len(sheet.notebook.cells)


def test_locked_cells_are_those_that_were_handed_out(course):
    sheet = sheet_of(course, "ada")
    handed = {grade_id(cell): cell.source for cell in sheet.notebook.cells}
    for cell in sheet.notebook.cells:
        cell.source = "changed"
    for step in ordered(course, sheet):
        assert step.source == ("changed" if step.part.is_answer else handed[step.part.id])


@pytest.mark.parametrize("change", ["reverse", "delete", "rename", "retype", "strip"])
def test_whatever_happened_to_the_cells_every_cell_of_the_sheet_is_there_once(course, change):
    sheet = sheet_of(course, "emmy")
    cells = sheet.notebook.cells
    if change == "reverse":
        sheet.notebook.cells = cells[::-1]
    for number, cell in enumerate(cells):
        if change == "rename" and number % 2:
            cell.metadata.nbgrader.grade_id = f"other-{number}"
        if change == "retype":
            cell.cell_type = "markdown" if cell.cell_type == "code" else "code"
        if change == "strip":
            cell.metadata = nbformat.NotebookNode({"nbgrader": [None, "x", {}][number % 3]})
    if change == "delete":
        sheet.notebook.cells = []
    steps = ordered(course, sheet)
    wanted = [part.id for part in course[1].sheets["intrinsic_dimension"]]
    assert [step.part.id for step in steps if step.part] == wanted
    notebook = arranged_notebook(steps)
    nbformat.validate(notebook)
    assert [step.part.is_code for step in steps if step.part] == [
        cell.cell_type == "code" for cell in notebook.cells if "nbgrader" in cell.metadata
    ]


# --- whose notebook it is ---


def place(course, path, student="ada", chapter="intrinsic_dimension", metadata=()):
    path.parent.mkdir(parents=True, exist_ok=True)
    notebook = sheet_of(course, student, chapter).notebook
    notebook.metadata.tokengeom.update(metadata)
    nbformat.write(notebook, path)
    return path


def found_in(course, folder):
    found, left_out = find_returned(folder, course[1])
    return {(one.student, one.chapter): one for one in found}, left_out


def test_a_notebook_says_whose_it_is_wherever_it_lies(course, tmp_path):
    place(course, tmp_path / "mails" / "homework (1).ipynb", "ada")
    place(course, tmp_path / "submitted" / "EMMY" / "extraction" / "extraction.ipynb", "emmy", "extraction")
    found, left_out = found_in(course, tmp_path)
    assert [*found] == [("ada", "intrinsic_dimension"), ("emmy", "extraction")] and not left_out
    assert not any(one.trouble or one.remark for one in found.values())


def test_the_folder_of_a_student_decides(course, tmp_path):
    place(course, tmp_path / "bob" / "a.ipynb", "ada")
    found, _ = found_in(course, tmp_path)
    assert found["bob", "intrinsic_dimension"].remark == "the notebook in the folder of bob was handed out to ada"


def test_the_newest_of_several_counts(course, tmp_path):
    old = place(course, tmp_path / "ada" / "b.ipynb")
    new = place(course, tmp_path / "ada" / "a.ipynb")
    os.utime(old, (1, 1))
    found, left_out = found_in(course, tmp_path)
    one = found["ada", "intrinsic_dimension"]
    assert one.path == new and "a.ipynb is the newest" in one.remark
    assert left_out == ["ada/b.ipynb: ada/a.ipynb is newer".replace("/", os.sep)]


def test_what_belongs_elsewhere_is_left_out_and_named(course, tmp_path):
    place(course, tmp_path / "ada" / "old.ipynb", metadata={"handout": "another"})
    place(course, tmp_path / "x.ipynb", metadata={"student": "nobody"})
    place(course, tmp_path / ".ipynb_checkpoints" / "y.ipynb")
    place(course, tmp_path / "real.ipynb")
    (tmp_path / "link.ipynb").symlink_to(tmp_path / "real.ipynb")
    (tmp_path / "emmy").mkdir()
    for name in ("homework.ZIP", "week1.tar.gz", "x.ipynb.txt", "essay.pdf"):
        (tmp_path / "emmy" / name).write_bytes(b"PK")
    found, left_out = found_in(course, tmp_path)
    assert [*found] == [("ada", "intrinsic_dimension")]
    assert sorted(line.replace(os.sep, "/") for line in left_out) == [
        "ada/old.ipynb: it belongs to another handout",
        "emmy/homework.ZIP: an archive: unpack it here",
        "emmy/week1.tar.gz: an archive: unpack it here",
        "emmy/x.ipynb.txt: it does not end in .ipynb: rename it if it is a notebook",
        "link.ipynb: a link: put the notebook itself here",
        "x.ipynb: not of this handout, or of a student who is not in the roster",
    ]


def test_an_ending_in_capital_letters_is_one(course, tmp_path):
    place(course, tmp_path / "ada.ipynb").rename(tmp_path / "ADA.IPYNB")
    assert [*found_in(course, tmp_path)[0]] == [("ada", "intrinsic_dimension")]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_is_not_waited_for(course, tmp_path):
    place(course, tmp_path / "ada.ipynb")
    os.mkfifo(tmp_path / "emmy.ipynb")
    assert found_in(course, tmp_path)[1] == ["emmy.ipynb: not a regular file"]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such names")
def test_a_name_cannot_write_over_the_lines_of_a_terminal(course, tmp_path):
    (tmp_path / "ada").mkdir()
    for number in range(2):
        place(course, tmp_path / "ada" / f"x{number}\x1b[1A\nall is well.ipynb")
    (tmp_path / "y\x1b[1A.zip").touch()
    _, left_out = found_in(course, tmp_path)
    assert len(left_out) == 2 and all(line.isprintable() for line in left_out)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"\x00\xff",
        b"[]",
        b"null",
        b'{"cells": 3}',
        b"<<<<<<< HEAD\n{}",
        b'{"nbformat": 4, "cells": [1]}',
        b"[" * 100_000,
    ],
)
def test_what_is_no_notebook_gets_a_comment(course, tmp_path, content):
    path = tmp_path / "ada" / "intrinsic_dimension.ipynb"
    path.parent.mkdir()
    path.write_bytes(content)
    found, _ = found_in(course, tmp_path)
    assert "the notebook cannot be read" in found["ada", "intrinsic_dimension"].trouble


def test_what_was_handed_out_was_not_returned(course, tmp_path):
    """Where the whole folder of a handout lies in the one that is read; a student may be called like its parts."""
    shutil.copytree(course[0] / "students", tmp_path / "class" / "students")
    shutil.copytree(course[0] / "teacher", tmp_path / "class" / "teacher")
    place(course, tmp_path / "teacher" / "ada.ipynb")
    found, left_out = found_in(course, tmp_path)
    assert [*found] == [("ada", "intrinsic_dimension")] and not left_out


def test_a_notebook_without_its_metadata_is_known_by_folder_and_name(course, tmp_path):
    path = place(course, tmp_path / "ada" / "intrinsic_dimension-final.ipynb")
    notebook = nbformat.read(path, as_version=4)
    notebook.metadata = nbformat.NotebookNode()
    nbformat.write(notebook, path)
    assert [*found_in(course, tmp_path)[0]] == [("ada", "intrinsic_dimension")]


def test_a_folder_without_notebooks_or_without_a_key_is_one_line(course, tmp_path):
    with pytest.raises(InputError, match="no key.json at or above"):
        collect(tmp_path)
    shutil.copy(find_key(course[0]), tmp_path)
    (tmp_path / "all.zip").touch()
    for change, words in (
        ({}, "has no notebook of this handout; left out: all.zip: an archive"),
        ({"folder": tmp_path / "none"}, "is not a folder"),
        ({"key": tmp_path / "none.json"}, "there is no file"),
        ({"out": tmp_path / "a.txt"}, "must end in .csv"),
        ({"out": tmp_path / "no" / "a.csv"}, "there is no folder"),
    ):
        with pytest.raises(InputError, match=words):
            collect(**{"folder": tmp_path, **change})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["all.zip", "key.json"]


# --- for nbgrader ---


def test_notebooks_in_order_lie_where_nbgrader_looks(course, tmp_path):
    found = arrange_for_nbgrader(course[0], tmp_path / "submitted")
    written = {str(path.relative_to(tmp_path / "submitted").as_posix()) for path in tmp_path.rglob("*.ipynb")}
    assert written == {f"{name}/intrinsic_dimension/intrinsic_dimension.ipynb" for name in SOME if name != "zoe"}
    assert any("zoe" in line and "cannot be read" in line for line in found.left_out)
    with pytest.raises(InputError, match="exists"):
        arrange_for_nbgrader(course[0], tmp_path / "submitted")


# --- without a roster ---


def test_without_a_roster_folders_and_files_name_the_students(tmp_path):
    key = hand_out("16", tmp_path / "out", project=PROJECT, seed=1)
    handed = tmp_path / "out" / "students" / "what_a_survey_costs.ipynb"
    (tmp_path / "out" / "returned" / "Ada L").mkdir()
    shutil.copy(handed, tmp_path / "out" / "returned" / "Ada L" / "x.ipynb")
    shutil.copy(handed, tmp_path / "out" / "returned" / "=1+1.ipynb")
    found, _ = find_returned(tmp_path / "out", key)
    assert [one.student for one in found] == ["=1+1", "Ada L"]
    marks = {(one.student, one.chapter): [] for one in found}
    table = rows(collecting.Collected(key, found, marks, []))
    assert {row[0] for row in table} == {"'=1+1", "Ada L"}  # no formula
    assert read_key(find_key(tmp_path / "out")) == key


@pytest.mark.parametrize(
    "text, written",
    [
        ("=1+1", "'=1+1"),
        ("-1", "'-1"),
        ("stops with x;=cmd|' /C calc'!A0", "stops with x;'=cmd|' /C calc'!A0"),  # where semicolons separate cells
        ('stops with x; "@SUM(1)"', 'stops with x; "\'@SUM(1)"'),
        ("\uff1d1", "'\uff1d1"),
        ("a - b; c = d", "a - b; c = d"),
    ],
)
def test_no_spreadsheet_finds_a_formula(text, written):
    assert collecting._cell(text) == written


def test_the_name_of_a_folder_is_no_markup(capsys):
    from tokengeom_utils.cli import _totals
    from tokengeom_utils.console import Console

    Console(width=80).print(_totals([("[b] x", "extraction", 1, 2, 0)]))
    assert "[b] x" in capsys.readouterr().out


def test_the_system_is_described_as_it_is():
    text = collecting.closed(2 * 2**30, 60)
    assert ("no network" in text) == (has_namespaces() or can_refuse()) and ("no files of others" in text) == (
        landlock_version() > 0
    )
    assert "at most 2 GiB, 60 s for a cell" in text
