"""The list of a class: a good one is read, and a bad one is one line."""

import re

import pytest

from tokengeom_utils.classes.roster import Student, read_roster
from tokengeom_utils.errors import InputError


@pytest.fixture
def write(tmp_path):
    def write(content):
        path = tmp_path / "roster.csv"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


@pytest.mark.parametrize(
    "content, students",
    [
        ("id,name\nada,Ada Lovelace\nemmy,Emmy Noether\n", [("ada", "Ada Lovelace"), ("emmy", "Emmy Noether")]),
        ("id\nada\n", [("ada", "ada")]),
        ("id,name,,\nada,Ada,,\n", [("ada", "Ada")]),  # columns that a spreadsheet left behind
        ("ID , Name\r\n ada , Ada \r\n\r\n", [("ada", "Ada")]),
        (b"\xef\xbb\xbfid,name\nada,Ada\n", [("ada", "Ada")]),  # as Excel writes CSV UTF-8
        ("id,first_name,last_name,email\na.b@uni.edu,A,B,x\n", [("a.b@uni.edu", "A B")]),
        ('name,id\n"Noether, Emmy",e-n_1\n', [("e-n_1", "Noether, Emmy")]),
        ("id,name\nada,Ада Лавлейс 李\n", [("ada", "Ада Лавлейс 李")]),
        ("id,name\nconrad,C\ncom10,D\n007,E\n", [("conrad", "C"), ("com10", "D"), ("007", "E")]),
    ],
)
def test_a_good_roster_is_read(write, content, students):
    assert read_roster(write(content)) == [Student(*one) for one in students]


BAD = [
    ("", "is empty"),
    ("\n\n", "is empty"),
    (b"\xef\xbb\xbf", "is empty"),
    ("id,name\n", "lists no student"),
    ("name\nAda\n", "has no column id: its header is 'name'"),
    ("ada,Ada\nemmy,Emmy\n", "has no column id: its header is 'ada,Ada'"),
    ("id,id\na,b\n", "two columns of one name"),
    ("id;name\nada;Ada\n", "separated by semicolons: save it with commas"),
    ("id\tname\nada\tAda\n", "separated by tabs"),
    ("id,name\nada,Ada\nada,Other\n", "line 3: the id ada repeats that of line 2"),
    ("id,name\nada,Ada\nAda,Other\n", "line 3: the id Ada differs only in capital letters from that of line 2"),
    ("id,name\n,Ada\n", "line 2 has no id"),
    ("id,name\nada\n", "line 2 has 1 columns, the header has 2"),
    ("id,name\nada,Ada,more\n", "line 2 has 3 columns, the header has 2"),
    ('id,name\n"ada,Ada\n', "is no table with commas"),
    ("id,name\nada,A\x07da\n", "characters that cannot be shown"),
    ("id,name\nada,A\u202eda\n", "characters that cannot be shown"),
    ("id,name\nada," + "A" * 300 + "\n", "too long"),
    ("id,name\n\0\n", "is no text"),
    ("id,name\nada,Ad\xe9\n".encode("latin-1"), "is not in UTF-8"),
    ("id,name\nada,Ada\n".encode("utf-16"), "is not in UTF-8"),
    ("id\n" + "a\n" * 600_000, "larger than a megabyte"),
    *(
        (f'id,name\n"{bad}",Ada\n', "must consist of at most 60")
        for bad in (
            "../ada", "..", ".", "a/b", "a\\b", "/etc", "~", "C:x", "ada lovelace", "a..b", "ada.", "-ada", "ad\u00e4",
            "a*", "a?", "<a>", "a|b", "=1+1", "a\nb", "a" * 61, "$HOME", "a;b", "a'b", "%41",
        )
    ),
    *((f"id\n{bad}\n", "names a device on Windows") for bad in ("CON", "nul", "Com1", "aux.txt", "lpt9.a.b")),
]  # fmt: skip


@pytest.mark.parametrize("content, words", BAD)
def test_a_bad_roster_is_one_line(write, content, words):
    with pytest.raises(InputError, match=re.escape(words)) as error:
        read_roster(write(content))
    assert "\n" not in str(error.value) and str(error.value).startswith("roster.csv")


def test_a_roster_that_is_no_file_is_named(tmp_path):
    with pytest.raises(InputError, match="there is no file"):
        read_roster(tmp_path / "none.csv")
    with pytest.raises(InputError, match="is a folder"):
        read_roster(tmp_path)
