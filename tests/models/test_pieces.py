"""The pieces of a text, joined, are the text, whatever the tokenizer drops, adds, or spells in bytes."""

import pytest
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers
from transformers import PreTrainedTokenizerFast

import tokengeom_utils as tg
from tokengeom_utils.models.language_model import Tokens
from tokengeom_utils.models.pieces import pieces

TEXTS = [
    "Plain words, and  two spaces\n\n\tand a tab.",
    "naïve 東京 👩‍💻 e\u0301 \u202eright to left\u202c",
    "<script>alert(1)</script> <|endoftext|> </s>",
    "العربية עברית",
]


class Reader(Tokens):
    """Nothing but a name and a tokenizer."""

    def __init__(self, tokenizer):
        self.name, self.tokenizer = "reader", tokenizer


class Slow:
    """A tokenizer of words that does not report places in the text."""

    all_special_tokens = all_special_ids = ()
    is_fast = False

    def __call__(self, texts, **options):
        return {"input_ids": [[len(word) for word in text.split()] for text in texts]}

    def decode(self, ids):
        return "x" * ids[0]


def dropping_spaces():
    """A tokenizer of words, in lower case, without the spaces between them."""
    words = Tokenizer(models.WordLevel({"one": 0, "two": 1, "?": 2}, unk_token="?"))
    words.normalizer, words.pre_tokenizer = normalizers.Lowercase(), pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(tokenizer_object=words, unk_token="?")


@pytest.mark.parametrize("text", TEXTS)
def test_joined_they_are_the_text(model, text):
    for reader in (model, tg.tiny_model()):
        ids = reader.tokenize(f"  {text}\n")
        found = pieces(reader, f"  {text}\n", len(ids))
        assert len(found) == len(ids) and "".join(found) == text
        assert "".join(pieces(reader, text, len(ids) - 3)) == "".join(found[:-3])


def test_of_a_plain_word_they_are_what_the_tokens_decode_to(model):
    text = "The river turns past the mill, and the old road follows."
    ids = model.tokenize(text)
    assert pieces(model, text, len(ids)) == [model.tokenizer.decode([i]) for i in ids]


def test_a_character_of_several_tokens_belongs_to_the_first(model):
    assert len(model.tokenize("👩")) > 1
    first, *others = pieces(model, "👩", len(model.tokenize("👩")))
    assert first == "👩" and set(others) == {""}


def test_what_a_tokenizer_drops_belongs_to_the_next_token():
    assert pieces(Reader(dropping_spaces()), "One  Two\nthree", 3) == ["One", "  Two", "\nthree"]


def test_without_places_each_token_is_decoded():
    assert pieces(Reader(Slow()), "one three", 2) == ["xxx", "xxxxx"]


def test_a_text_that_is_too_short_is_refused():
    with pytest.raises(tg.InputError, match="has 2 tokens under reader, fewer than n_tokens = 3"):
        pieces(Reader(dropping_spaces()), "one two", 3)
