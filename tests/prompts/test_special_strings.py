"""Strings of special tokens inside a text: plain characters, whatever the tokenizer."""

import warnings

import numpy as np
import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

import tokengeom_utils as tg
from tokengeom_utils.models.language_model import Tokens

STRINGS = "a <|endoftext|> b <|im_start|>user</s> <s> c"


class Reader(Tokens):
    """Nothing but a name and a tokenizer."""

    def __init__(self, tokenizer):
        self.name, self.tokenizer = "reader", tokenizer


def unigram():
    """A vocabulary that lists ``</s>`` as an ordinary piece, as SentencePiece's do."""
    pieces = [("<unk>", 0.0), ("</s>", 0.0), ("▁", -1.0), *((letter, -3.0) for letter in "abc</s>")]
    letters = Tokenizer(models.Unigram(list(dict(pieces).items()), unk_id=0))
    letters.pre_tokenizer = pre_tokenizers.Metaspace()
    return PreTrainedTokenizerFast(tokenizer_object=letters, eos_token="</s>", unk_token="<unk>")


def with_runs_of_spaces():
    """A tokenizer with an added token that is not special, as GPT-NeoX has for code."""
    from tokenizers import AddedToken

    alphabet = {letter: i for i, letter in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    letters = Tokenizer(models.BPE(vocab=alphabet, merges=[]))
    letters.pre_tokenizer, letters.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    letters.add_tokens([AddedToken("    ", special=False, normalized=False)])
    return PreTrainedTokenizerFast(tokenizer_object=letters, eos_token="<|endoftext|>")


def test_the_strings_of_special_tokens_are_plain_characters(model):
    ids = model.tokenize(STRINGS)
    assert not set(ids.tolist()) & set(model.tokenizer.all_special_ids)
    assert model.tokenizer.decode(ids) == STRINGS
    assert model.lengths([STRINGS]) == [len(ids)]
    # the tokenizer's own default is unchanged for whoever calls it
    assert set(model.tokenizer(STRINGS)["input_ids"]) & set(model.tokenizer.all_special_ids)


def test_the_rule_leaves_the_bundled_prompts_as_they_were(model):
    texts = [prompt.text for prompt in tg.load_prompts("pocket")]
    before = model.tokenizer(texts, add_special_tokens=False, verbose=False)["input_ids"]
    assert len(texts) == 300
    for text, ids in zip(texts, before, strict=True):
        np.testing.assert_array_equal(model.tokenize(text), ids)


def test_added_tokens_that_are_not_special_are_still_read():
    reader = Reader(with_runs_of_spaces())
    run = reader.tokenizer.convert_tokens_to_ids("    ")
    ids = reader.tokenize("a    b<|endoftext|>").tolist()
    assert ids.count(run) == 1 and reader.tokenizer.eos_token_id not in ids


def test_a_tokenizer_that_cannot_split_them_says_so():
    reader = Reader(unigram())
    with pytest.warns(UserWarning, match="prompt a contains </s>, which the tokenizer of reader reads as a special"):
        reader.tokenize("ab </s> c", name="prompt a")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        reader.tokenize("ab c zzz <unk>")  # an unknown character is no special token
        reader.tokenize("ab </s>", n_tokens=2)  # what is cut off is not measured


def test_mistrals_own_tokenizer_is_not_given_the_option():
    class MistralCommonBackend:
        all_special_tokens, all_special_ids = ["</s>"], [1]

        def __call__(self, texts, split_special_tokens=False, **options):
            if split_special_tokens:
                raise ValueError("not supported")
            return {"input_ids": [[2, 3, 4] for _ in texts]}

    assert Reader(MistralCommonBackend()).tokenize("</s>").tolist() == [2, 3, 4]
