"""Every sentence of a report follows the numbers: each branch, with the numbers that lead to it."""

import itertools

import numpy as np
import pytest
from made_up import ALONE, NEAREST, NONE, N, curve, findings, page_of, placed, share, text

from tokengeom_utils.reports import sentences
from tokengeom_utils.reports.findings import Change
from tokengeom_utils.reports.measuring import FirstToken
from tokengeom_utils.reports.placing import Expected
from tokengeom_utils.reports.sentences import LIMITS, comparison, paragraphs, perplexity

NAN = np.nan


def said(**changes):
    return " ".join(sentence for part in paragraphs(findings(**changes)) for sentence in part.sentences)


def changed(loss, dimension, error=0.4, usual=NAN, below=None):
    among = None if below is None else share(below, 45)
    return {
        "loss": Change(*loss, NAN, usual, among),
        "dimension": Change(*dimension, error, usual, among),
    }


def expected(above, half=1.0):
    return Expected(5.0 - above, half, above, 0.4)


CASES = [
    # how hard it is
    (
        {},
        "The model pays 3.00 nats per token, a perplexity of 20: as if each token were one of 20 equally likely ones",
    ),
    (
        {"placed": {"loss": placed(10.79, 0.99)}},
        "no better than taking all 49,152 tokens of its vocabulary as equally likely (10.80 nats)",
    ),
    ({"placed": {"entropy": placed(3.19)}}, "it expected to pay about as much, 3.19 nats."),
    ({"placed": {"entropy": placed(2.5)}}, "it expected to pay less, 2.50 nats."),
    ({"placed": {"entropy": placed(3.5)}}, "it expected to pay more, 3.50 nats."),
    (ALONE, "No survey of this model at this length is at hand, so nothing here shows whether that is much."),
    (
        {},
        "The loss is higher than that of 60% of the 300 prompts (95% interval 50% to 70%, drawing kinds of text).",
    ),
    (
        {"placed": {"loss": placed(3.0, 0.6)._replace(share=share(0.6, by_kinds=False))}},
        "(95% interval 50% to 70%, for independent prompts).",
    ),
    (
        {"nearest": NEAREST, "placed": {"loss": placed(3.0, 0.6, of_kind=0.2)}},
        ", and higher than that of 20% of the 20 of the nearest kind, news (10% to 30%).",
    ),
    ({"placed": {"loss": placed(0.1, 0.0)}}, "The loss is lower than that of each of the 300 prompts (95% interval 0%"),
    ({"placed": {"loss": placed(9.0, 1.0)}}, "The loss is higher than that of each of the 300 prompts"),
    ({"placed": {"loss": placed(9.0, 0.999)}}, "higher than that of more than 99% of the 300 prompts"),
    ({"placed": {"loss": placed(9.0, 0.001)}}, "higher than that of less than 1% of the 300 prompts"),
    (
        {"n_prompts": 2, "placed": {"loss": placed(3.0)}},
        "The loss has no percentile: 2 prompts are too few to place it.",
    ),
    ({"costliest": 0.3}, "The costliest tenth of the tokens makes up 30% of the loss. At layer"),
    ({"costliest": 0.45}, "makes up 45% of the loss. So the mean says little about most tokens."),
    # how many dimensions it has
    ({}, "At layer 2 of 3, where the average dimension of the prompts is highest before the last layer, the cloud has"),
    (ALONE, "At layer 2 of 3, halfway through the model, the cloud has dimension 5.00 ± 0.60 (two standard errors)."),
    ({"placed": {"dimension": placed(NAN)}}, "the dimension of the cloud is not defined: too few of its tokens"),
    ({}, "The dimension is higher than that of 50% of the 300 prompts"),
    ({}, "In every layer the dimension lies within the middle 90% of the prompts."),
    ({"n_prompts": 4}, "In every layer the dimension lies within the range of the 4 prompts."),
    ({"curves": (curve((True, True, False)),)}, "lies outside the middle 90% of the prompts in layer 3; neighboring"),
    ({"curves": (curve((False, True, False)),)}, "of the prompts in layers 1 and 3; neighboring layers"),
    ({"curves": (curve((False, False, True)),)}, "of the prompts in layers 1 to 2; neighboring layers"),
    # unusual for its difficulty?
    (
        {},
        "A line through the prompts predicts dimension 5.20 at this loss; 95% of the prompts lie within 1.00 of the "
        "line of the other kinds of text. With 5.00, the text lies 0.20 below, farther than 30% of the prompts: an "
        "ordinary dimension for a text of its difficulty.",
    ),
    ({"n_kinds": 1}, "within 1.00 of the line of the other prompts."),
    ({"by_loss": expected(1.5)}, "1.50 above, farther than 40% of the prompts: many dimensions for a text of its diff"),
    ({"by_loss": expected(-1.5)}, "1.50 below, farther than 40% of the prompts: few dimensions for a text of its diff"),
    ({}, "With the number of distinct tokens held fixed too, 5.10 is expected, give or take 1.00: still ordinary."),
    ({"by_loss": expected(1.5)}, "give or take 1.00: ordinary, so its number of distinct tokens is enough to account"),
    ({"by_both": expected(1.5)}, "give or take 1.00: many dimensions for its repetitions, which its loss alone does"),
    ({"by_both": expected(-1.5)}, "give or take 1.00: few dimensions for its repetitions, which its loss alone does"),
    (
        {"by_loss": expected(1.5), "by_both": expected(1.4)},
        "still many. About one text in twenty lies this far away by chance, and with 15 kinds of text this share is",
    ),
    ({"by_loss": expected(-1.5), "by_both": expected(-1.4)}, "give or take 1.00: still few. About one text in twenty"),
    ({"ranges": {"loss": (3.5, 4)}}, "No prompt has so low a loss, so no prompt supports these predictions."),
    ({"ranges": {"loss": (1, 2)}}, "No prompt has so high a loss, so no prompt"),
    ({"ranges": {"loss": (1, 2), "distinct": (50, 60)}}, "No prompt has so high a loss or so few distinct tokens, so"),
    ({"ranges": {"distinct": (5, 6)}}, "No prompt has so many distinct tokens, so no prompt"),
    # what the order of its tokens does
    ({}, "With its tokens in random order, the loss rises from 3.00 to 6.00 nats. At layer 2 the dimension rises from"),
    ({"text": text(degree=2)}, "With blocks of 4 tokens in random order, the loss rises"),
    ({"changes": {}}, "Its number of tokens allows no shuffle."),
    ({"changes": changed((3.0, 3.03), (5, 8))}, "the loss stays at 3.00 nats: the model makes no use of their order"),
    ({"changes": changed((3.0, 2.0), (5, 4))}, "the loss falls from 3.00 to 2.00 nats. At layer 2 the dimension falls"),
    (
        {"changes": changed((3, 6), (5, 8), usual=4.5, below=0.25)},
        "3.00 to 6.00 nats (for the 45 shuffled prompts it moves by +4.50 on average; 25% of them move by less).",
    ),
    ({"changes": changed((3, 6), (5, 8), usual=-0.5)}, "(for the shuffled prompts it moves by −0.50 on average)."),
    (
        {"changes": changed((3, 6), (5.001, 5.002))},
        "the dimension stays at 5.00. The tokens are the same",
    ),
    ({"changes": changed((3, 6), (5, 5.7))}, "rises from 5.00 to 5.70, by less than twice the standard error of the"),
    ({}, "only their order differs: both numbers depend on it."),
    ({"changes": changed((3, 6), (5, 5.1))}, "differs: the loss depends on it, and this dimension hardly does."),
    ({"changes": changed((3, 3), (5, 8))}, "differs: this dimension depends on it, although the loss does not."),
    ({"changes": changed((3, 3), (5, 5.1))}, "only their order differs: neither number depends on it."),
    # what else could explain these numbers
    ({}, "Of its 64 tokens, 40 are distinct. This number is higher than that of 30% of the 300 prompts"),
    (ALONE, "Of its 64 tokens, 40 are distinct. Fewer distinct tokens often mean a lower loss"),
    ({"placed": {"distinct": placed(1.0, 0.0)}}, "Of its 64 tokens, 1 is distinct. This number is lower than that"),
    (
        {},
        "The first token's vector has an ordinary length; without it, at layer 2, the dimension hardly changes and the",
    ),
    (
        {"text": text(first=FirstToken(114.2, 5.5, 0.2))},
        "is 114 times as long as the median one; without it, at layer 2, the dimension changes by 10% and the cosine "
        "similarity goes from 0.50 to 0.20. It is kept, as in the paper and in the survey.",
    ),
    (ALONE, "the cosine similarity hardly changes. It is kept, as in the paper."),
    ({"text": text(first=FirstToken(1, NAN, 0.5))}, "without it, at layer 2, the cosine similarity hardly changes."),
    ({}, "There are no 64 tokens more, so nothing shows how much one page of this text differs from the next."),
    (
        {"text": text(next_page=page_of(2.0, 7.0, 0.4))},
        "Its next 64 tokens have a loss of 2.00 nats and dimension 7.00: the two pages differ by 4.0 standard errors "
        "of the difference, more than chance within a cloud allows",
    ),
    ({"text": text(next_page=page_of(2.0, 5.5, 0.4))}, "the two pages agree within 1.0 standard errors"),
    ({"text": text(next_page=page_of(2.0, NAN))}, "Its next 64 tokens have a loss of 2.00 nats."),
    ({}, "The first 64 of 200 tokens are measured. A text cut shorter"),
    ({"text": text(n_available=N)}, "All 64 tokens are measured. A text cut shorter"),
]


@pytest.mark.parametrize("changes, expected", CASES, ids=[words[:40] for _, words in CASES])
def test_the_sentence_follows_the_numbers(changes, expected):
    assert expected in said(**changes)


def test_without_prompts_nothing_is_compared():
    alone = said(**ALONE)
    for words in ("prompts", "percentile", "A line through", "%) of", "survey,"):
        assert words not in alone
    assert [part.heading for part in paragraphs(findings(**ALONE))] == [
        "How hard it is",
        "How many dimensions it has",
        "What the order of its tokens does",
        "What else could explain these numbers",
    ]


def test_a_cloud_without_a_dimension_has_no_sentence_about_one():
    undefined = {
        "placed": {"dimension": placed(NAN)},
        "by_loss": None,
        "by_both": None,
        "changes": changed((3, 6), (NAN, NAN)),
        "curves": (curve()._replace(text=NONE),),
        "text": text(first=FirstToken(1, NAN, 0.5)),
    }
    words = said(**undefined)
    assert "middle 90%" not in words
    assert "is not defined" in words and "nan" not in words and "undefined" not in words
    assert "the dimension rises" not in words and "only their order differs" not in words


def test_every_combination_reads_as_sentences():
    """No word is missing, whatever comes together: each sentence starts with a capital and ends with a period."""
    parts = [
        ({}, {"nearest": NEAREST, "placed": {"loss": placed(3.0, 0.6, of_kind=0.2)}}, ALONE),
        ({}, {"changes": {}}, {"changes": changed((3, 3), (5, 5.1), usual=1.0, below=0.5)}),
        ({}, {"text": text(degree=2, next_page=page_of(2.0, 9.0))}, {"text": text(first=FirstToken(50, NAN, 0.1))}),
    ]
    for some in itertools.product(*parts):
        merged = {name: value for one in some for name, value in one.items()}
        for part in paragraphs(findings(**merged)):
            for sentence in part.sentences:
                assert sentence[0].isupper() and sentence.endswith(".") and "  " not in sentence, sentence
                assert "nan" not in sentence.split() and " ." not in sentence, sentence


def test_no_function_of_a_sentence_is_left_out():
    private = [name for name in vars(sentences) if name.startswith("_") and not name.startswith("__")]
    assert len(private) > 20  # the table above covers them; coverage of the module shows it line by line
    assert all(one.endswith(".") for one in LIMITS)


def test_perplexity_is_written_with_about_two_digits():
    assert [perplexity(x) for x in (0, 2.2, 3.2, 9.0, 15.0)] == ["1.0", "9.0", "25", "8,103", "3.3 × 10⁶"]


# --- several texts ---


def two(first, second, error=0.3):
    """Two texts with these losses and dimensions."""
    return [
        findings(
            text=text(name=name),
            placed={"loss": placed(loss, 0.5), "dimension": placed(cloud, 0.5, error=error)},
        )
        for name, (loss, cloud) in (("a.txt", first), ("b.txt", second))
    ]


def test_texts_are_ranked_by_loss_and_by_dimension():
    words = comparison(two((3.0, 7.0), (2.0, 5.0)))
    assert words[0] == "From the lowest to the highest loss: b.txt (2.00 nats) and a.txt (3.00)."
    assert words[1] == "By their dimension at layer 2: b.txt (5.00) and a.txt (7.00)."
    assert words[2].startswith("The two orders agree; 2 texts are too few to show a link")
    assert words[3].startswith("Their dimensions differ by 4.7 standard errors of the difference, which chance within")
    words = comparison(two((3.0, 5.0), (2.0, 5.3)))
    assert words[2].startswith("The two orders differ;")
    assert words[3] == "Their dimensions differ by 0.7 standard errors of the difference: they cannot be told apart."


def test_of_three_texts_no_pair_is_singled_out_and_of_one_nothing_is_said():
    assert comparison([findings()]) == []
    words = comparison([*two((3.0, 7.0), (2.0, 5.0)), findings(text=text(name="c.txt"))])
    assert len(words) == 3 and "b.txt (2.00 nats), a.txt (3.00), and c.txt (3.00)" in words[0]


def test_a_text_without_a_dimension_leaves_only_the_losses():
    assert len(comparison(two((3.0, NAN), (2.0, 5.0)))) == 1
