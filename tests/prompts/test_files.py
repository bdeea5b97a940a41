"""Texts and tables of the user's own."""

import json
import sys

import pytest

import tokengeom_utils as tg


def test_texts_and_folders_of_texts(tmp_path):
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "one.txt").write_text("  The first. \n")
    (tmp_path / "letters" / "two.md").write_text("The second, naïve.", encoding="utf-8")
    (tmp_path / "letters" / "picture.png").write_bytes(b"\x89PNG\xff")
    with pytest.warns(UserWarning, match=r"left out of .*letters: 1 not text \(picture.png\)"):
        folder = tg.load_prompts(tmp_path / "letters")
    assert [(p.id, p.domain, p.text) for p in folder] == [
        ("one", "letters", "The first."),
        ("two", "letters", "The second, naïve."),
    ]
    assert tg.load_prompts(tmp_path / "letters" / "one.txt")[0].text == "The first."

    lines = [{"text": "a b"}, {"id": "x", "domain": "poem", "text": "c"}]
    (tmp_path / "some.jsonl").write_text("\n".join(map(json.dumps, lines)) + "\n\n")
    assert [(p.id, p.domain) for p in tg.load_prompts(tmp_path / "some.jsonl")] == [
        ("some-00000", "some"),
        ("x", "poem"),
    ]


def test_tables_in_parquet(tmp_path):
    pytest.importorskip("pyarrow")
    import pandas

    pandas.DataFrame({"text": ["a", "b"]}).to_parquet(tmp_path / "some.parquet")
    assert [p.text for p in tg.load_prompts(tmp_path / "some.parquet", n=2)] == ["a", "b"]
    metas = [{"pile_set_name": "ArXiv"}, None]
    pandas.DataFrame({"text": ["a", "b"], "meta": metas}).to_parquet(tmp_path / "pile.parquet")
    assert [p.domain for p in tg.load_prompts(tmp_path / "pile.parquet")] == ["ArXiv", "pile"]
    (tmp_path / "bad.parquet").write_bytes(b"PAR1")
    with pytest.raises(tg.InputError, match="bad.parquet is not Parquet"):
        tg.load_prompts(tmp_path / "bad.parquet")


def test_tables_in_json_and_csv(tmp_path):
    (tmp_path / "plain.json").write_text(json.dumps(["a", {"text": " b ", "domain": "poem"}]))
    assert [(p.id, p.domain, p.text) for p in tg.load_prompts(tmp_path / "plain.json")] == [
        ("plain-00000", "plain", "a"),
        ("plain-00001", "poem", "b"),
    ]
    sheet = 'id,text,domain\nx,"two\nlines, one text",\ny,plain,poem\n'
    (tmp_path / "sheet.csv").write_text(sheet, encoding="utf-8-sig")  # as Excel writes it
    assert [(p.id, p.domain, p.text) for p in tg.load_prompts(tmp_path / "sheet.csv")] == [
        ("x", "sheet", "two\nlines, one text"),
        ("y", "poem", "plain"),
    ]
    (tmp_path / "lines.jsonl").write_text('{"text": "one\u2028line"}\n', encoding="utf-8")
    assert tg.load_prompts(tmp_path / "lines.jsonl")[0].text == "one\u2028line"


def test_a_folder_of_many_kinds(tmp_path):
    (tmp_path / "deep").mkdir()
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "hidden.md").write_text("not a prompt")
    (tmp_path / "deep" / "one.txt").write_text("1")
    (tmp_path / "deep" / "one.md").write_text("2")
    (tmp_path / "deep" / "two.jsonl").write_text('{"text": "3"}\n{"text": "4", "id": "four"}\n')
    found = [(p.id, p.text) for p in tg.load_prompts(tmp_path)]
    assert found == [("deep/one.md", "2"), ("deep/one.txt", "1"), ("deep/two-00000", "3"), ("four", "4")]
    (tmp_path / "program.py").write_text("x = 1\n")
    assert [(p.id, p.domain, p.text) for p in tg.load_prompts(tmp_path / "program.py")] == [("program", "py", "x = 1")]


@pytest.mark.parametrize(
    "name, content, words",
    [
        ("bad.jsonl", b'{"text": "a"}\n\n{oops\n', r"bad\.jsonl, line 3: not JSON"),
        ("latin.txt", "na\u00efve".encode("latin-1"), r"latin\.txt is not UTF-8"),
    ],
)
def test_files_that_cannot_be_read_are_refused(tmp_path, name, content, words):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(tg.InputError, match=words):
        tg.load_prompts(tmp_path / name)


def test_parquet_without_pyarrow_names_the_remedy(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    (tmp_path / "some.parquet").touch()
    with pytest.raises(tg.InputError, match="pip install pyarrow"):
        tg.load_prompts(tmp_path / "some.parquet")


def test_an_empty_folder_is_refused(tmp_path):
    with pytest.raises(tg.InputError, match="no texts in .*: add some"):
        tg.load_prompts(tmp_path)
