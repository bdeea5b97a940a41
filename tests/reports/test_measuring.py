"""What is measured of a text is what the public functions measure, token by token and layer by layer."""

import numpy as np
import pytest
import surveyed

import tokengeom_utils as tg
from tokengeom_utils.reports.measuring import full_shuffle, measure_text

TEXT = tg.Prompt("note.txt", "letters", surveyed.prose(3, 200))
SIZES = tg.fit_sizes(256, scale_max=32, k_max=8)
LAYER = 1


@pytest.fixture(scope="module")
def tiny():
    return tg.tiny_model()


@pytest.fixture(scope="module")
def found(tiny):
    return measure_text(tiny, TEXT, SIZES, LAYER, seed=7)


def test_each_token_has_the_loss_that_the_model_pays_for_it(tiny, found):
    clouds = tg.token_clouds(tiny, tiny.tokenize(TEXT.text, 256))
    assert np.isnan(found.tokens.surprisal[0])
    np.testing.assert_allclose(found.tokens.surprisal[1:], clouds.loss, rtol=1e-5)
    assert found.found.loss.item() == pytest.approx(np.nanmean(found.tokens.surprisal))


def test_each_token_has_the_dimension_of_its_neighborhood_in_each_layer(tiny, found):
    clouds = tg.token_clouds(tiny, tiny.tokenize(TEXT.text, 256))
    wanted = tg.local_dimension(tg.nearest_neighbors(clouds.hidden, 20).distances).dimension.numpy()
    defined = np.isfinite(wanted)
    np.testing.assert_array_equal(np.isfinite(found.tokens.local), defined)
    np.testing.assert_allclose(found.tokens.local[defined], wanted[defined], rtol=1e-5)
    assert not defined[0].all() and defined[1:].all()  # equal letters coincide in the embeddings only


def test_the_likeliest_token_is_the_one_of_the_highest_probability(tiny, found):
    with_probabilities = []
    tg.stream_clouds(tiny, tiny.tokenize(TEXT.text, 256), lambda cloud: None, with_probabilities.append)
    log_p = np.concatenate([np.asarray(chunk) for chunk in with_probabilities])
    letters, probabilities = zip(*found.tokens.likeliest, strict=True)
    assert letters[0] == "" and np.isnan(probabilities[0])
    np.testing.assert_allclose(probabilities[1:], np.exp(log_p.max(1)), rtol=1e-6)
    assert letters[1:] == tuple(tiny.tokenizer.decode([i]) for i in log_p.argmax(1))


def test_the_clouds_the_shuffle_and_the_next_page_are_those_of_the_package(tiny, found):
    ids = tiny.tokenize(TEXT.text)
    assert found.n_available == len(ids) >= 512 and found.degree == 4
    assert found.found.identical(tg.measure(tiny, TEXT, **SIZES))
    assert found.shuffled.identical(tg.measure(tiny, TEXT, 4, seed=7, **SIZES))
    assert found.next_page.identical(tg.measure_tokens(tiny, ids[256:512], 32, 8))
    assert "".join(found.tokens.pieces) == TEXT.text[:256]


def test_the_first_token_is_left_out_of_one_layer(tiny, found):
    cloud = tg.token_clouds(tiny, tiny.tokenize(TEXT.text, 256)).hidden[LAYER]
    without = tg.measure(tiny, TEXT, skip=1, **SIZES).sel(layer=LAYER)
    assert found.first.dimension == pytest.approx(without.intrinsic_dimension.sel(scale=2).item())
    assert found.first.cosine == pytest.approx(without.cosine_similarity.item())
    assert found.first.length == pytest.approx((cloud[0].norm() / cloud.norm(dim=-1).median()).item(), rel=1e-5)


@pytest.mark.parametrize("n, degree", [(256, 4), (100, 1), (96, 2), (97, 0)])
def test_the_strongest_shuffle_that_fits_is_measured(tiny, n, degree):
    text = tg.Prompt("short", "letters", TEXT.text.replace(" ", "-")[:n])
    found = measure_text(tiny, text, tg.fit_sizes(n, scale_max=16, k_max=4), LAYER, seed=7)
    assert full_shuffle(n) == degree == found.degree and (found.shuffled is None) == (degree == 0)
    assert found.next_page is None and found.n_available == n


def test_one_letter_over_and_over_leaves_undefined_what_has_no_value(recwarn):
    """A small model cannot tell such tokens apart, and nothing warns of it: the page says so."""
    found = measure_text(tg.tiny_model(), tg.Prompt("a", "a", "a" * 256), SIZES, LAYER, seed=7)
    assert np.isnan(found.found.intrinsic_dimension.sel(scale=2, layer=0)) and np.isnan(found.tokens.local[0]).all()
    assert not [warning for warning in recwarn if "NaN" in str(warning.message)]
