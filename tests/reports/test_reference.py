"""A text is compared only with prompts of the same model, at the same length, behind the same beginning."""

import pytest
import surveyed

import tokengeom_utils as tg
from tokengeom_utils.reports.reference import (
    as_reference,
    average_dimension,
    bundled,
    check_model,
    common_sizes,
    open_reference,
)
from tokengeom_utils.surveys.results import COMMITTED


@pytest.fixture(scope="module")
def made():
    return surveyed.make()


@pytest.mark.parametrize(
    "lengths, n",
    [([1024], 1024), ([99999], 1024), ([1023], 256), ([256], 256), ([5000, 300], 256), ([1024, 2000], 1024)],
)
def test_texts_have_the_largest_power_of_four_that_all_of_them_fill(lengths, n):
    sizes = common_sizes(lengths, [f"{i}.txt" for i in range(len(lengths))], None)
    assert sizes == {"n_tokens": n, "scale_max": n // 4 if n > 256 else 128, "k_max": 31}


def test_a_model_with_few_positions_takes_less_of_a_text():
    assert [common_sizes([5000], ["a.txt"], None, limit)["n_tokens"] for limit in (1024, 1023, 100)] == [1024, 256, 256]


def test_the_shortest_text_is_named_if_it_is_too_short():
    with pytest.raises(tg.InputError, match=r"^b.txt has 255 tokens, but a report needs 256: use a longer text$"):
        common_sizes([900, 255, 300], ["a.txt", "b.txt", "c.txt"], None)


def test_with_a_survey_its_sizes_count(made):
    results = tg.open_results(made[1])
    assert common_sizes([5000], ["a.txt"], results) == surveyed.SIZES
    with pytest.raises(tg.InputError, match="^a.txt has 255 tokens, but the survey was measured with 256"):
        common_sizes([255], ["a.txt"], results)


@pytest.mark.parametrize("n, name", [(1024, "standard"), (256, "short")])
def test_the_bundled_surveys_belong_to_the_bundled_model(model, n, name):
    reference = bundled(model, n)
    assert reference.name == f"the bundled survey {name}" and reference.n_prompts == 300
    assert reference.prompts.attrs["n_tokens"] == n and len(set(reference.kinds)) == 15
    assert reference.shuffled.sizes["prompt"] == 45
    assert bundled(model, 512) is None and bundled(model.with_bos("auto"), n) is None


def test_no_other_model_has_a_bundled_survey(made):
    assert [bundled(made[0], n) for n in (1024, 256)] == [None, None]
    assert set(COMMITTED) == {"standard", "short", "untrained"}


def test_a_survey_of_another_model_is_refused(made, model):
    model_of, path = made
    check_model(model_of, *open_reference(path))
    with pytest.raises(tg.InputError, match="^the survey standard was made with the model smollm2-135m, not with tiny"):
        check_model(model_of, *open_reference("standard"))
    with pytest.raises(tg.InputError, match="was made with bos = never, not with smollm2-135m and bos = auto"):
        check_model(model.with_bos("auto"), *open_reference("standard"))


def test_a_reference_holds_complete_prompts(made):
    results = tg.open_results(made[1])
    reference = as_reference(results)
    assert reference.n_prompts == 24 and reference.shuffled.sizes["prompt"] == 12 and reference.n_layers == 2
    assert reference.peak == 1 and len(average_dimension(reference.prompts)) == 3
    assert as_reference(results.sel(shuffle=0)).shuffled is None
    assert as_reference(results.sel(shuffle=[0])).shuffled is None


def test_the_peak_is_before_the_last_layer_and_after_the_embeddings():
    reference = as_reference(tg.open_results("standard"))
    average = average_dimension(reference.prompts)
    assert 0 < reference.peak < 30 and average[reference.peak] == average[1:30].max()
