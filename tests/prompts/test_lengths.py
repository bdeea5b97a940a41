"""Texts selected by their length under some tokenizers."""

import json

import tokengeom_utils as tg
from tokengeom_utils import Prompt
from tokengeom_utils.prompts import lengths
from tokengeom_utils.prompts.lengths import long_enough


def test_pocket_prompts_are_filtered_before_the_first_n_are_taken():
    def refuse_speeches(text):
        return [] if text in speeches else range(2000)

    prompts = tg.load_prompts("pocket")
    speeches = {p.text for p in prompts if p.domain == "speech"}
    expected = [p.id for p in prompts if p.domain != "speech"][:5]
    assert [p.id for p in tg.load_prompts("pocket", n=5, tokenizers=[refuse_speeches])] == expected


def test_the_tokens_of_many_texts_are_counted_once(tmp_path, monkeypatch):
    class Letters:
        name, fingerprint, counted = "letters", "1", 0

        def tokenize(self, text):
            return list(text)

        def lengths(self, texts):
            self.counted += len(texts)
            return list(map(len, texts))

    monkeypatch.setenv("TOKENGEOM_CACHE", str(tmp_path))
    monkeypatch.setattr(lengths, "WORTH_KEEPING", 600)
    prompts = [Prompt(str(i), "x", "a" * (i % 7)) for i in range(600)]
    expected = [p for p in prompts if len(p.text) >= 5], [600, 170]
    letters = Letters()
    assert long_enough(prompts, 5, [letters]) == expected and letters.counted == 600
    assert long_enough(prompts, 5, [letters.tokenize]) == expected and letters.counted == 600
    (kept,) = (tmp_path / "lengths").iterdir()
    kept.write_text("{")  # damaged: counted again
    assert long_enough(prompts, 5, [letters]) == expected and letters.counted == 1200
    letters.fingerprint = "2"
    long_enough(prompts, 5, [letters])
    long_enough(prompts, 4, [letters])
    long_enough([*prompts[:-1], Prompt("599", "x", "other")], 5, [letters])
    assert letters.counted == 3000
    # The second tokenizer counts only the texts that the first one leaves; a plain function has no fingerprint.
    assert long_enough(prompts, 5, [letters, str.split])[1] == [600, 170, 0]


def test_only_texts_long_enough_under_every_tokenizer_are_kept(tmp_path):
    (tmp_path / "some.jsonl").write_text("\n".join(json.dumps({"text": t}) for t in ("a b c", "a b", "aaa bbb ccc")))
    words, letters = str.split, lambda text: list(text.replace(" ", ""))
    kept = tg.load_prompts(tmp_path / "some.jsonl", n_tokens=3, tokenizers=[words, letters])
    assert [p.text for p in kept] == ["a b c", "aaa bbb ccc"]
    assert [p.text for p in tg.load_prompts(tmp_path / "some.jsonl", n_tokens=4, tokenizers=[letters])] == [
        "aaa bbb ccc"
    ]


def test_progress_is_reported_while_many_texts_are_counted(tmp_path, monkeypatch):
    class Words:
        name, fingerprint = "words", "1"

        def lengths(self, texts):
            return [len(text.split()) for text in texts]

    monkeypatch.setenv("TOKENGEOM_CACHE", str(tmp_path))
    monkeypatch.setattr(lengths, "WORTH_KEEPING", 600)
    monkeypatch.setattr(lengths, "QUIET_FOR", 0.0)
    said = []
    long_enough([Prompt(str(i), "x", "a b") for i in range(600)], 2, [Words()], said.append)
    assert said == ["counting the tokens of 600 texts under words ...", "... 256 of 600", "... 512 of 600"]
