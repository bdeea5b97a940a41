"""Percentiles, nearest kinds, and lines: against direct computations, and where nothing may be said."""

import numpy as np
import pytest

from tokengeom_utils.reports.placing import ENOUGH, expected, nearest_kind, share_below

RNG = np.random.default_rng(0)


def test_a_share_counts_smaller_ones_and_half_of_the_equal_ones():
    others = np.array([1.0] * 3 + [2.0] * 4 + [3.0] * 5)
    assert [share_below(x, others).below for x in (0, 1, 2, 2.5, 4)] == [0, 1.5 / 12, 5 / 12, 7 / 12, 1]


def test_the_interval_of_independent_prompts_is_that_of_clopper_and_pearson():
    """For 3 of 20 the exact interval is known: 3.2% to 37.9%."""
    found = share_below(2.5, np.arange(20.0))
    assert (found.low, found.high) == pytest.approx((0.0321, 0.3789), abs=1e-4) and not found.by_kinds
    assert share_below(-1, np.arange(20.0)).low == 0 and share_below(99, np.arange(20.0)).high == 1


def test_kinds_that_are_alike_make_the_interval_wide():
    kinds = np.repeat(list("abcdef"), 20)
    others = np.repeat(np.arange(6.0), 20) + RNG.normal(0, 0.01, 120)
    by_kind, by_prompt = share_below(2.5, others, kinds), share_below(2.5, others)
    assert by_kind.by_kinds and by_kind.high - by_kind.low > 2 * (by_prompt.high - by_prompt.low)
    assert not share_below(2.5, others, ["one"] * 120).by_kinds


def test_among_few_prompts_or_without_a_number_there_is_no_share():
    assert share_below(1.0, np.arange(ENOUGH - 1.0)) is None and share_below(np.nan, np.arange(50.0)) is None
    with_gaps = np.where(np.arange(12) < 3, np.nan, np.arange(12))
    assert share_below(5.0, with_gaps) is None  # nine are defined
    assert share_below(5.0, np.append(with_gaps, [1.0, 2.0]), ["a"] * 14).n == 11


def test_the_nearest_kind_does_not_depend_on_units():
    kinds = np.repeat(["prose", "code", "lists"], 10)
    prompts = np.array([np.repeat([3.0, 2.0, 1.0], 10), np.repeat([400.0, 250.0, 90.0], 10)])
    prompts += RNG.normal(0, [[0.1], [10]], prompts.shape)
    for scale in (1.0, 1e6):
        found = nearest_kind([1.9, 240 * scale], prompts * [[1], [scale]], kinds)
        assert found.kind == "code" and found.members.sum() == 10 and found.found == 1
    mixed = nearest_kind([1.9, 240], prompts, RNG.permutation(kinds))
    assert mixed.found < 0.7


def test_one_kind_is_not_the_nearest_of_any():
    assert nearest_kind([1.0], np.ones((1, 5)), np.array(["a"] * 5)) is None
    assert nearest_kind([np.nan], np.ones((1, 4)), np.array(["a", "b"] * 2)) is None
    alike = nearest_kind([1.0], np.ones((1, 4)), np.array(["a", "b"] * 2))
    assert alike.kind == "a"  # no spread, no division by zero


def test_a_line_is_that_of_least_squares_and_its_yardstick_leaves_kinds_out():
    kinds = np.repeat(list("abcd"), 10)
    loss = RNG.uniform(1, 4, 40)
    offset = np.repeat([-1.0, -0.3, 0.3, 1.0], 10)
    dimension = 2 * loss + 1 + offset
    found = expected([2.0], 5.5, loss[None], dimension, kinds)
    slope, intercept = np.polyfit(loss, dimension, 1)
    assert found.value == pytest.approx(2 * slope + intercept) and found.above == pytest.approx(5.5 - found.value)
    away = []
    for kind in "abcd":
        line = np.polyfit(loss[kinds != kind], dimension[kinds != kind], 1)
        away += list(np.abs(dimension[kinds == kind] - np.polyval(line, loss[kinds == kind])))
    assert found.half == pytest.approx(np.sort(away)[38]) and found.closer == pytest.approx(
        np.mean(np.array(away) < abs(found.above))
    )
    assert expected([2.0], found.value + 0.9 * found.half, loss[None], dimension, kinds).is_ordinary
    assert not expected([2.0], found.value - 1.1 * found.half, loss[None], dimension, kinds).is_ordinary
    of_one_kind = expected([2.0], 5.5, loss[None], dimension, np.array(["a"] * 40))
    assert of_one_kind.half < found.half  # each prompt is left out by itself


def test_two_quantities_make_a_plane():
    prompts = RNG.normal(size=(2, 60))
    found = expected([0.5, -1.0], 0.0, prompts, 3 + prompts[0] - 2 * prompts[1], np.array(["a", "b", "c"] * 20))
    assert found.value == pytest.approx(5.5) and found.half == pytest.approx(0, abs=1e-12)


def test_without_numbers_there_is_no_line():
    prompts, others, kinds = RNG.normal(size=(1, 12)), RNG.normal(size=12), np.array(["a", "b"] * 6)
    assert expected([np.nan], 1.0, prompts, others, kinds) is None
    assert expected([1.0], np.nan, prompts, others, kinds) is None
    assert expected([1.0], 1.0, prompts[:, :8], others[:8], kinds[:8]) is None
