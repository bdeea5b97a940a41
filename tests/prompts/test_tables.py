"""Tables of texts as people have them: read as what they are, or refused with file and row."""

import gzip
import json

import pytest

import tokengeom_utils as tg

ROWS = [{"text": "one"}, {"text": "two", "id": "x", "domain": "poem"}]
LINES = "".join(json.dumps(row) + "\n" for row in ROWS)


def write(folder, name, content):
    """Write a file, compressed if its name says so; returns its path."""
    data = content if isinstance(content, bytes) else content.encode()
    (folder / name).write_bytes(gzip.compress(data) if name.lower().endswith(".gz") else data)
    return folder / name


@pytest.mark.parametrize(
    "name, content",
    [
        ("t.jsonl", LINES),
        ("t.json", LINES),  # as datasets writes it
        ("t.ndjson", LINES.replace("\n", "\r\n")),
        ("t.JSONL", LINES),
        ("t.jsonl.gz", LINES),
        ("t.JSON.GZ", LINES),
        ("t.json", json.dumps(ROWS)),
        ("t.jsonl", json.dumps(ROWS, indent=2)),  # a list, whatever the ending
        ("t.jsonl", LINES.encode("utf-16")),
        ("t.csv", 'text,id,domain\n"one"\n"two","x","poem"\n'),
        ("t.CSV", "\n\ntext,id,domain\none,,\n\ntwo,x,poem\n"),
        ("t.csv", "domain;id;text\n;;one\npoem;x;two\n"),  # as Excel writes it where the comma is decimal
        ("t.csv.gz", "text,id,domain\none,,\ntwo,x,poem\n"),
        ("t.tsv", "text\tid\tdomain\none\t\t\ntwo\tx\tpoem\n"),
    ],
)
def test_one_table_in_many_forms(tmp_path, name, content):
    found = [(p.id, p.domain, p.text) for p in tg.load_prompts(write(tmp_path, name, content))]
    assert found == [("t-00000", "t", "one"), ("x", "poem", "two")]


@pytest.mark.parametrize("content", ['{"text": "one"}', '{\n  "text": "one"\n}', '"one"', '["one"]'])
def test_a_single_text_in_json(tmp_path, content):
    assert [(p.id, p.text) for p in tg.load_prompts(write(tmp_path, "t.json", content))] == [("t-00000", "one")]


@pytest.mark.parametrize("missing", [None, "", "  ", float("nan")])
def test_an_id_or_a_domain_that_is_missing_is_made(tmp_path, missing):
    rows = [{"text": text, "id": missing, "domain": missing} for text in "ab"]
    path = write(tmp_path, "t.jsonl", "\n".join(map(json.dumps, rows)))
    assert [(p.id, p.domain) for p in tg.load_prompts(path)] == [("t-00000", "t"), ("t-00001", "t")]


def test_missing_ids_in_parquet(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    import pyarrow.parquet as parquet

    table = {
        "text": pyarrow.array(["a", "b"]).dictionary_encode(),
        "id": pyarrow.array([None, 2]),
        "domain": [None, "x"],
    }
    parquet.write_table(pyarrow.table(table), tmp_path / "t.parquet")
    found = [(p.id, p.domain, p.text) for p in tg.load_prompts(tmp_path / "t.parquet")]
    assert found == [("t-00000", "t", "a"), ("2", "x", "b")]  # not "nan" and "2.0"
    parquet.write_table(pyarrow.table({"text": ["a", None]}), tmp_path / "t.parquet")
    with pytest.raises(tg.InputError, match=r"t\.parquet, row 2: its 'text' is null"):
        tg.load_prompts(tmp_path / "t.parquet")
    parquet.write_table(pyarrow.table({"words": ["a"]}), tmp_path / "t.parquet")
    with pytest.raises(tg.InputError, match=r"t\.parquet: there is no column 'text', only words"):
        tg.load_prompts(tmp_path / "t.parquet")


@pytest.mark.parametrize(
    "name, content, words",
    [
        ("t.jsonl", '{"text": "a"}\n\n{"text": "word \\ud83d"}\n', "line 3: the text has half of a surrogate pair"),
        ("t.json", '[{"text": "a", "id": "\\udc00"}]', "row 1: the id has half of a surrogate pair"),
        ("t.jsonl", '{"text": "a", "domain": "\\ud83d"}', "line 1: the domain has half"),
        ("t.jsonl", '{"text": "a"}\n{"words": "a"}\n', "line 2: there is no 'text' field, only words"),
        ("t.jsonl", '{"text": null}\n', "line 1: its 'text' is null"),
        ("t.json", '{"text": {"0": "a"}}', "line 1: its 'text' is an object"),  # as pandas writes it
        ("t.jsonl", "3\n", "line 1: it is a number, but each row must be an object with a 'text'"),
        ("t.json", "[1]", "row 1: it is a number"),
        ("t.jsonl", '{"text": "a", "id": ["x"]}', "line 1: its 'id' is a list"),
        ("t.jsonl", '{"text": "a", "domain": true}', "line 1: its 'domain' is true or false"),
        ("t.jsonl", '{"text": "a"}\n{"text": "b", "id": ' + "9" * 5000 + "}", "line 2: a number of 5000 digits"),
        ("t.json", '[{"text": "b",\n"id": ' + "9" * 5000 + "}]", "line 2: a number of 5000 digits"),
        ("t.jsonl", '{"text": "a", "id": ' + "[" * 99999 + "]" * 99999 + "}", "line 1: nested too deeply"),
        ("t.json", "[" * 99999 + "]" * 99999, r"t\.json: nested too deeply"),
        ("t.json", '[{"text": "a"},\n{"text": "b"]', "line 2: not JSON"),
        ("t.jsonl", '{"text": "a"}\n{"text": "b"', "line 2: not JSON"),
        ("t.json", '{"text":\n"a"', "line 1: not JSON"),
        ("t.json", "[]", "has no rows"),
        ("t.jsonl", "\n", "has no rows"),
        ("t.csv", "text\n", "has no rows"),
        ("t.csv", "", "line 1: there is no column 'text', only nothing"),
        ("t.csv", "Id,Text\na,b\n", "line 1: there is no column 'text', only Id, Text"),
        ("t.csv", "text,id,text\na,b,c\n", "line 1: two columns are called 'text'"),
        ("t.csv", "text\none\nTo be, or not\n", "line 3: it has 2 fields, but the header has 1: put texts in double"),
        ("t.csv", 'text,id\n"one\nlong",x\n"never closed,y\nlost,z\n', "line 4: unexpected end of data"),
        ("t.csv", 'id,text\n"a"\n', "line 2: its 'text' is|line 2: there is no 'text' field"),
        ("t.tsv", "text,id\na,b\n", "line 1: there is no column 'text', only text,id"),
        ("t.jsonl", '{"text": "a", "id": "x"}\n{"text": "b", "id": "x"}\n', "line 2: its id 'x' is also that of .*1"),
    ],
)  # fmt: skip
def test_a_row_that_cannot_be_read_is_refused_with_its_place(tmp_path, name, content, words):
    with pytest.raises(tg.InputError, match=words) as error:
        tg.load_prompts(write(tmp_path, name, content))
    assert name in str(error.value) and "\n" not in str(error.value) and len(str(error.value)) < 300


def test_a_column_of_long_texts_fits_on_every_system(tmp_path):
    long = "word " * 100_000  # Python's own limit is 131072 characters
    assert tg.load_prompts(write(tmp_path, "t.csv", f"text\n{long}\n"))[0].text == long.strip()


def test_metadata_of_any_nesting_is_no_error(tmp_path):
    rows = [
        {"text": "a", "meta": "[" * 5000 + "]" * 5000},
        {"text": "b", "meta": "{[]: 1}"},
        {"text": "c", "meta": {"pile_set_name": 3}},
    ]
    path = write(tmp_path, "t.jsonl", "\n".join(map(json.dumps, rows)))
    assert [p.domain for p in tg.load_prompts(path)] == ["t"] * 3
