"""Deals of units into halves, and tests at a place that the other half chooses."""

from itertools import combinations
from math import comb

import numpy as np
import pytest

from tokengeom_utils.theory.statistics import joint_p_values
from tokengeom_utils.theory.statistics.deals import ALL_UP_TO, CHUNK, N_RANDOM, Deals, Dealt, deals, rows
from tokengeom_utils.theory.statistics.joint import flip_statistics, own_p_values


@pytest.mark.parametrize("n, number", [(0, 1), (1, 1), (2, 1), (3, 3), (6, 10), (7, 35), (15, 6435), (16, 6435)])
def test_all_deals_of_few_units_are_made_once(n, number):
    found = deals(n)
    assert found.shape == (number, n) and (found.sum(1) == n // 2).all()
    halves = {frozenset([one.tobytes(), (~one).tobytes()]) for one in found}
    assert len(halves) == number == max(1, comb(n, n // 2) // (2 if n and n % 2 == 0 else 1))


def test_many_units_are_dealt_at_random_and_always_alike():
    n = ALL_UP_TO + 9
    found = deals(n)
    assert found.shape == (N_RANDOM, n) and (found.sum(1) == n // 2).all() and found is deals(n)
    assert np.abs(found.mean(0) - 0.48).max() < 0.05 and len(np.unique(found, axis=0)) > 0.99 * N_RANDOM


def test_halves_average_what_they_have():
    values = np.random.default_rng(0).normal(size=(6, 2, 4))
    values[1, 0, 2], values[:, 1, 3] = np.nan, np.nan
    dealt = Deals(6)
    members, found = (np.concatenate(both) for both in zip(*chosen_with(dealt, values), strict=True))
    assert (members == dealt.members).all() and len(members) == 20
    for half, mean in zip(members, found, strict=True):
        rest = values[half]
        assert mean[0] == pytest.approx(np.nanmean(rest[:, 0], 0))
        assert mean[1, :3] == pytest.approx(rest[:, 1, :3].mean(0)) and mean[1, 3] == -np.inf


def chosen_with(dealt, values):
    """The members and the means that the halves see when they choose, as they come."""
    seen = []
    dealt.chosen(values, lambda means, members: seen.append((members, means)) or np.zeros(len(means)))
    return seen


def test_many_halves_choose_as_few_do():
    values = np.random.default_rng(8).normal(size=(15, 30))
    dealt = Deals(15)
    assert len(dealt.members) > 3 * CHUNK and len(chosen_with(dealt, values)) > 3
    means = dealt.members @ values / dealt.members.sum(1, keepdims=True)
    assert (dealt.highest(values) == means.argmax(1)).all()


def test_each_unit_is_judged_where_the_other_half_chooses():
    """Against the definition, half by half."""
    values = np.random.default_rng(1).normal(size=(7, 5))
    dealt = Deals(7)
    found = dealt.judged(dealt.highest(values), lambda places: values[:, places])
    wanted = []
    for first in combinations(range(7), 3):
        half = np.isin(np.arange(7), first)
        of_first, of_second = (values[members].mean(0).argmax() for members in (half, ~half))
        wanted.append(np.where(half, values[:, of_second], values[:, of_first]))
    assert sorted(map(tuple, found.each)) == sorted(map(tuple, wanted))
    statistics = [one.sum() / np.linalg.norm(one) for one in wanted]
    assert found.statistic == pytest.approx(np.median(statistics))
    assert found.scores == pytest.approx(np.mean(wanted, 0))


def test_places_of_several_numbers():
    values = np.random.default_rng(2).normal(size=(6, 3, 8))
    dealt = Deals(6)
    places = dealt.chosen(values, lambda means, _: means.argmax(2))  # one for each of three curves
    found = dealt.judged(places, lambda at: values[:, np.arange(3), at].sum(-1))
    first = dealt.members[: len(dealt.members) // 2][0]
    by_second = places[len(places) // 2]
    at_second = values[:, np.arange(3), by_second].sum(-1)
    assert found.each[0][first] == pytest.approx(at_second[first])


def test_the_order_of_the_units_does_not_matter():
    rng = np.random.default_rng(3)
    values, order = rng.normal(size=(9, 12)), rng.permutation(9)

    def judged(values):
        dealt = Deals(9)
        return dealt.judged(dealt.highest(values), lambda places: values[:, places] - values[:, [-1]])

    one, other = judged(values), judged(values[order])
    assert other.scores == pytest.approx(one.scores[order]) and other.statistic == pytest.approx(one.statistic)
    assert joint_p_values([one.scores])[0] == pytest.approx(joint_p_values([other.scores])[0])


def test_units_that_seldom_have_a_score_have_none():
    each = np.ones((10, 4))
    each[:6, 0], each[:5, 1], each[:, 2] = np.nan, np.nan, np.nan
    found = Dealt(each)
    assert np.isnan(found.scores).tolist() == [True, False, True, False] and found.scores[1] == 1
    assert found.statistic == pytest.approx(np.median([*[1.0] * 5, np.sqrt(2), *[np.sqrt(3)] * 4]))
    assert rows(found).shape == (1, 4) and rows([1, 2]).shape == (1, 2) and rows(np.ones((3, 2))).shape == (3, 2)


def test_deals_that_agree_give_the_test_of_one():
    scores = np.random.default_rng(4).normal(0.8, 1, 8)
    same = Dealt(np.tile(scores, (35, 1)))
    statistics, sign = flip_statistics([same, scores, -scores, same.minus(same)])
    assert (statistics[0] == statistics[1]).all() and sign.tolist() == [1, 1, -1, 0]
    assert own_p_values(statistics)[3] == 1


def test_no_p_value_is_below_that_of_units_which_all_agree():
    """The median over deals may lie above what flips of the mean scores reach; its p-value may not."""
    n, each = 6, np.ones((10, 12))
    each[0, 0], each[:, n:] = 20, np.nan  # one deal makes the mean scores unequal, and six units have none
    some = Dealt(each)
    others = np.random.default_rng(3).normal(size=(4, 12))
    p, adjusted, sign = joint_p_values([some, Dealt(-each), *others])
    assert some.statistic > np.nansum(some.scores) / np.sqrt(np.nansum(some.scores**2))
    assert (p[:2] == 2 / 2**n).all() and (adjusted[:2] >= 2 / 2**n).all() and sign[:2].tolist() == [1, -1]


def test_only_the_median_is_level_in_noise():
    """Is the peak higher than the last layer? In noise, as a test alone, 5% would be right."""
    rng, n, names = np.random.default_rng(5), 12, ("same", "all others", "mean score", "median")
    dealt, decided = Deals(n), dict.fromkeys(names, 0)
    for _ in range(200):
        noise = rng.normal(size=(n, 30))
        rise = noise - noise[:, -1:]
        elsewhere = (noise.sum(0) - noise)[:, :-1].argmax(1)
        over_deals = dealt.judged(dealt.highest(noise[:, :-1]), lambda places, rise=rise: rise[:, places])
        tests = rise[:, noise.mean(0)[:-1].argmax()], rise[np.arange(n), elsewhere], over_deals.scores, over_deals
        for name, p in zip(names, own_p_values(flip_statistics(tests)[0]), strict=True):
            decided[name] += p < 0.05
    assert min(decided["same"], decided["all others"]) > 0.12 * 200
    assert decided["median"] < 0.05 * 200 and decided["median"] < decided["mean score"]


def test_a_real_peak_is_found_at_least_as_often_as_by_one_deal():
    rng, n, found = np.random.default_rng(6), 12, np.zeros(2)
    dealt, halves = Deals(n), np.arange(n) % 2
    for _ in range(150):
        profile = rng.normal(size=(n, 30))
        profile[:, 12] += 1.5
        rise = profile - profile[:, -1:]
        one = np.array([profile[halves != half].mean(0).argmax() for half in (0, 1)])[halves]
        every = dealt.judged(dealt.highest(profile), lambda places, rise=rise: rise[:, places])
        found += own_p_values(flip_statistics([rise[np.arange(n), one], every])[0]) < 0.05
    assert found[1] >= found[0] > 0.6 * 150
