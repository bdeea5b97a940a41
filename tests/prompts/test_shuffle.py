"""The block shuffle, Algorithm 1 of the paper."""

import numpy as np
import pytest
import torch

from tokengeom_utils import InputError, prompt_seed, shuffle_blocks
from tokengeom_utils.prompts.shuffle import DEGREES, bleu, check_divisible

IDS = np.random.default_rng(0).integers(0, 300, 1024)  # ids repeat, as in a text
PLACES = np.arange(1024)


def test_degree_zero_is_the_prompt_itself():
    for seed in range(3):
        np.testing.assert_array_equal(shuffle_blocks(IDS, 0, seed), IDS)


@pytest.mark.parametrize("degree", DEGREES)
def test_blocks_stay_whole_and_in_order(degree):
    blocks = shuffle_blocks(PLACES, degree, seed=1).reshape(4**degree, -1)
    length = 1024 // 4**degree
    assert (np.diff(blocks, axis=1) == 1).all()
    assert (blocks[:, 0] % length == 0).all()
    assert sorted(blocks[:, 0]) == list(range(0, 1024, length))


@pytest.mark.parametrize("degree", DEGREES)
def test_the_tokens_stay_the_same(degree):
    shuffled = shuffle_blocks(IDS, degree, seed=3)
    assert shuffled.dtype == np.int64 and shuffled.shape == (1024,)
    np.testing.assert_array_equal(np.sort(shuffled), np.sort(IDS))
    np.testing.assert_array_equal(shuffled, IDS[shuffle_blocks(PLACES, degree, seed=3)])


def test_degree_five_of_1024_moves_single_tokens():
    places = shuffle_blocks(PLACES, 5, seed=0)
    assert (places == PLACES).sum() < 10  # one is expected
    assert (np.diff(places) == 1).sum() < 10  # so is one
    assert abs(np.corrcoef(places, PLACES)[0, 1]) < 5 / 32


def test_every_order_of_four_blocks_is_equally_frequent():
    orders = [tuple(shuffle_blocks(range(4), 1, seed)) for seed in range(1200)]
    counts = np.unique(orders, axis=0, return_counts=True)[1]
    assert len(counts) == 24
    assert ((counts - 50) ** 2 / 50).sum() < 50  # chi squared with 23 degrees of freedom: p = 0.001


@pytest.mark.parametrize("degree", DEGREES[1:])
def test_the_seed_determines_the_order(degree):
    first = shuffle_blocks(PLACES, degree, seed=7)
    np.testing.assert_array_equal(first, shuffle_blocks(PLACES, degree, seed=7))
    others = [shuffle_blocks(PLACES, degree, seed) for seed in range(20)]
    assert sum(np.array_equal(first, other) for other in others) < 5
    np.testing.assert_array_equal(shuffle_blocks(PLACES, degree), shuffle_blocks(PLACES, degree, seed=0))


def test_a_seed_may_be_a_sequence_and_the_global_state_is_unchanged():
    np.random.seed(0)
    before = np.random.get_state()[1].copy()
    assert not np.array_equal(shuffle_blocks(PLACES, 5, [1, 2]), shuffle_blocks(PLACES, 5, [2, 1]))
    np.testing.assert_array_equal(np.random.get_state()[1], before)


def test_golden_permutation():
    # Measured with numpy 2.4.6; numpy keeps the stream of default_rng(seed).permutation stable, and
    # stored surveys rely on it.
    assert shuffle_blocks(range(16), 2, seed=7).tolist() == [3, 10, 6, 8, 1, 14, 0, 7, 4, 13, 15, 2, 12, 5, 9, 11]


@pytest.mark.parametrize("convert", [list, tuple, torch.tensor])
def test_any_sequence_of_ids_is_accepted(convert):
    ids = IDS[:64].tolist()
    kept = list(ids)
    np.testing.assert_array_equal(shuffle_blocks(convert(ids), 2, 5), shuffle_blocks(np.array(ids), 2, 5))
    assert ids == kept


@pytest.mark.parametrize("n, degree", [(1000, 5), (1023, 1), (64, 4), (1, 1)])
def test_a_length_that_is_not_divisible_is_refused(n, degree):
    for check in (lambda: shuffle_blocks(np.arange(n), degree), lambda: check_divisible(n, degree)):
        with pytest.raises(InputError, match=rf"{n} .*4\^{degree} = {4**degree}\b"):
            check()


@pytest.mark.parametrize("degree", [-1, 1.5])
def test_a_degree_that_is_not_a_whole_number_is_refused(degree):
    with pytest.raises(InputError, match=f"shuffle degree {degree} is not a whole number"):
        shuffle_blocks(PLACES, degree)


def test_prompt_seed_never_changes():
    # sha256 of "42/speech-00/5", the first 8 bytes, little-endian. A change would orphan stored surveys.
    assert prompt_seed(42, "speech-00", 5) == 14173419711066129044


def test_prompt_seeds_differ_between_prompts_degrees_and_seeds():
    seeds = {prompt_seed(s, p, d) for s in (1, 2) for p in ("a-00", "a-01", "b") for d in DEGREES}
    assert len(seeds) == 2 * 3 * 6
    assert all(0 <= seed < 2**64 for seed in seeds)


def test_bleu_counts_each_run_at_most_as_often_as_the_reference():
    # Runs of one: 2 of 3 (a second 1 is not in the reference); runs of two: (1, 2) of (1, 1), (1, 2).
    assert bleu([1, 1, 2], [1, 2, 3], n_max=2) == pytest.approx((2 / 3 * 1 / 2) ** 0.5)
    assert bleu(IDS, IDS) == 1 and 0 < bleu(shuffle_blocks(IDS, 1), IDS) < 1


@pytest.mark.parametrize("ids, reference", [([1, 2, 3, 4], [1, 2, 3, 4, 5]), ([1, 2, 3], [1, 2, 3])])
def test_bleu_refuses_texts_of_different_or_too_short_length(ids, reference):
    with pytest.raises(InputError, match=f"these have {len(ids)} and {len(reference)}"):
        bleu(ids, reference)
