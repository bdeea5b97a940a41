"""Requests for prompts, whatever their source."""

import pytest

import tokengeom_utils as tg


@pytest.mark.parametrize(
    "call, words",
    [
        ({"source": "no-such-set"}, "unknown prompt set 'no-such-set'"),
        ({"source": ""}, "unknown prompt set ''"),
        ({"source": "A text, not a path. " * 500}, r"unknown prompt set 'A text, not a path\..* \.\.\.: use"),
        ({"source": "s3://bucket/texts"}, "s3://bucket/texts is an address"),
        ({"n": 0}, "n = 0 prompts requested"),
        ({"n": -1}, "n = -1 prompts requested"),
        ({"n": 301}, "301 prompts requested, but 'pocket' has 300"),
        ({"n": 3, "n_tokens": 1300}, "pocket prompt speech-00 has 1275 tokens"),
    ],
)
def test_impossible_requests_are_refused(call, words):
    with pytest.raises(tg.InputError, match=words):
        tg.load_prompts(**call)


def test_more_prompts_than_there_are_is_refused(tmp_path):
    (tmp_path / "some.jsonl").write_text('{"text": "a b c"}\n{"text": "a b"}\n')
    with pytest.raises(tg.InputError, match=r"2 prompts requested, but .* has 1 of at least 3 tokens"):
        tg.load_prompts(tmp_path / "some.jsonl", n=2, n_tokens=3, tokenizers=[str.split])
    with pytest.raises(tg.InputError, match=r"no text of .* has 4 tokens: use a smaller n_tokens or longer texts"):
        tg.load_prompts(tmp_path / "some.jsonl", n_tokens=4, tokenizers=[str.split])


def test_texts_left_out_are_reported(tmp_path):
    (tmp_path / "some.jsonl").write_text('{"text": "a b c"}\n{"text": "a b"}\n')
    said = []
    tg.load_prompts(tmp_path / "some.jsonl", n_tokens=3, tokenizers=[str.split], say=said.append)
    tg.load_prompts(tmp_path / "some.jsonl", n=1, n_tokens=3, tokenizers=[str.split], say=said.append)
    assert said == ["left out: 1 of 2 texts, which are shorter than 3 tokens"] * 2


def test_a_path_may_begin_in_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    (tmp_path / "essay.txt").write_text("a")
    assert tg.load_prompts("~/essay.txt")[0].id == "essay"
