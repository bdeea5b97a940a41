"""Many tests with few independent units: sign flips of whole units, with one correction for all tests."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from ...errors import InputError
from .deals import Dealt, rows

ALL_UP_TO = 15  #: units up to which every pattern of signs is tried: 2**14 of them, as one sign may stay as it is


def unit_covariances(x: ArrayLike, y: ArrayLike, unit: Sequence[int] | np.ndarray) -> np.ndarray:
    r"""Divide a correlation among units, such as kinds of text: the contribution of each unit to Pearson's r.

    .. math:: s_g = \frac1n \sum_{p \in g} \frac{x_p - \bar x}{\sigma_x} \, \frac{y_p - \bar y}{\sigma_y},
              \qquad \sum_g s_g = r_{xy} .

    Prompts of one kind resemble each other, so that they are not independent draws; the kinds are. If x and y are
    unrelated, each :math:`s_g` is as likely positive as negative, which :func:`joint_p_values` tests. Flipping its
    sign is the score form of the wild cluster bootstrap.

    Parameters
    ----------
    x : array_like, shape (..., prompt)
    y : array_like, shape (prompt,)
    unit : array_like of int, shape (prompt,)
        The number of each prompt's unit, from 0.

    Returns
    -------
    numpy.ndarray, shape (..., unit), float64
        NaN where x or y is constant or holds NaN.

    See Also
    --------
    joint_p_values : tests them.
    pearson : their sum; ranks give :func:`spearman`.

    Notes
    -----
    Used in the chapter *The reproduction report*.

    References
    ----------
    Cameron, Gelbach and Miller, *Bootstrap-based improvements for inference with clustered errors*, The Review of
    Economics and Statistics 90 (2008).

    Examples
    --------
    >>> import tokengeom_utils as tg
    >>> parts = tg.statistics.unit_covariances([1, 2, 3, 4], [1, 3, 2, 4], [0, 0, 1, 1])
    >>> parts.round(2).tolist(), float(parts.sum().round(2))
    ([0.4, 0.4], 0.8)
    """
    unit = np.asarray(unit)
    product = standardized(x) * standardized(y) / len(unit)
    return product @ (unit[:, None] == np.arange(unit.max() + 1))


def standardized(x: ArrayLike) -> np.ndarray:
    """Return x (..., prompt) with mean 0 and mean square 1 over prompts; NaN where it is constant."""
    x = np.asarray(x, float)
    left = x - x.mean(-1, keepdims=True)
    scale = np.sqrt((left**2).mean(-1, keepdims=True))
    largest = np.abs(x).max(-1, keepdims=True)
    return left / np.where(scale > 1e-12 * largest, scale, np.nan)


def joint_p_values(
    tests: "Sequence[ArrayLike | Dealt]", n_random: int = 2**14, seed: int = 42
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    r"""Test many hypotheses on the same few units by sign flips, singly and all together.

    A test has one score :math:`s_g` per unit g, positive on one side, with mean zero under its hypothesis. Its
    statistic

    .. math:: T = \frac{\sum_g s_g}{\sqrt{\sum_g s_g^2}}

    is compared with its values after flips of the signs of units. The denominator does not change under a flip. A
    test that searches over several options, such as layers, takes the largest :math:`|T|` among them, before and
    after each flip. Its p-value is the share of flips whose statistic is at least as large.

    All tests share the flips, so the flips also show how often *some* test reaches a large statistic by chance. With
    the tests in falling order of :math:`|T|`, and :math:`|T_j(b)|` the statistic of test j after flip b, the step-down
    rule of Westfall and Young gives

    .. math:: \tilde p_{(i)} = \max_{h \le i} \Pr_b \Big( \max_{j \ge h} |T_{(j)}(b)| \ge |T_{(h)}| \Big) .

    It keeps the chance of even one false rejection below the level, as Holm's rule does, and does not charge twice for
    tests that depend on each other. No p-value is multiplied, so that few units can carry many tests: the smallest
    p-value of n units, ``2 / 2**n``, may survive as it is.

    Parameters
    ----------
    tests : sequence of array_like, shape (unit,) or (option, unit), or of Dealt
        The scores of each test. NaN stands for a unit that says nothing, and counts as 0.
    n_random : int
        Number of patterns of signs, if there are more than 15 units; with fewer, all are tried.
    seed : int
        Seed of the random patterns.

    Returns
    -------
    p, adjusted : numpy.ndarray, shape (test,), float64, in (0, 1]
        The two-sided p-value of each test alone, and after the correction for all of them.
    sign : numpy.ndarray, shape (test,), int
        The side of the largest statistic: 1, -1, or 0 if all scores are zero.

    Raises
    ------
    InputError
        If the tests do not have the same number of units.

    See Also
    --------
    sign_flip_p_value : one test.
    scores_elsewhere : scores at a place that other units choose.
    holm : the correction from p-values alone.

    Notes
    -----
    Introduced in the chapter *The reproduction report*. Statistics are compared across tests, and not p-values, whose
    few possible values tie. In the stress test of the ledger this finds more than the rule of the smallest p-value.

    References
    ----------
    Westfall and Young, *Resampling-based multiple testing* (1993). Romano and Wolf, *Exact and approximate stepdown
    methods for multiple hypothesis testing*, Journal of the American Statistical Association 100 (2005). Canay, Romano
    and Shaikh, *Randomization tests under an approximate symmetry assumption*, Econometrica 85 (2017), for sign flips
    of few units.

    Examples
    --------
    >>> import tokengeom_utils as tg
    >>> first, second = [1.0, 2.0, 1.5, 0.5, 1.0, 3.0], [5.0, 1.0, 1.5, 2.5, 1.0, 2.0]
    >>> p, adjusted, sign = tg.statistics.joint_p_values([first, second])
    >>> p.tolist(), adjusted.tolist(), sign.tolist()
    ([0.03125, 0.03125], [0.03125, 0.03125], [1, 1])
    """
    statistics, sign = flip_statistics(tests, n_random, seed)
    return own_p_values(statistics), step_down(statistics), sign


def flip_statistics(
    tests: "Sequence[ArrayLike | Dealt]", n_random: int = 2**14, seed: int = 42
) -> tuple[np.ndarray, np.ndarray]:
    """Return the statistic of each test after each flip.

    Parameters
    ----------
    tests, n_random, seed
        As in :func:`joint_p_values`. Of a test whose place other units choose, the statistic of the data is the median
        over all deals, but not beyond what flips can reach, and the mean scores are flipped.

    Returns
    -------
    statistics : numpy.ndarray, shape (test, flip)
        The largest :math:`|T|` over the options. The first flip is none: the data as they are. Rounded, so that what is
        equal up to rounding compares as equal.
    sign : numpy.ndarray, shape (test,), int
        The side of the largest statistic.
    """
    scores = [np.nan_to_num(rows(test)) for test in tests]  # type: ignore[arg-type]
    if not scores:
        return np.empty((0, 1)), np.empty(0, int)
    if len({one.shape[-1] for one in scores}) > 1:
        raise InputError(
            "joint_p_values: the tests have different numbers of units: give NaN where a unit says nothing"
        )
    start = np.cumsum([0, *(len(one) for one in scores[:-1])])
    every = np.concatenate(scores)
    size = np.sqrt((every**2).sum(1, keepdims=True))
    every = every / np.where(size > 0, size, 1)
    observed = every.sum(1)
    best = [i + int(np.argmax(np.abs(observed[i : i + len(one)]))) for i, one in zip(start, scores, strict=True)]
    signed = np.array(
        [test.statistic if isinstance(test, Dealt) else observed[at] for test, at in zip(tests, best, strict=True)]
    )
    # The median over deals can lie a little above all flips of the mean scores. It counts as the farthest that they
    # can reach: else few units with one sign would have the p-value of one flip among all those of the family.
    farthest = np.abs(every).sum(1)[best]
    signed = np.clip(signed, -farthest, farthest)
    each = np.abs(every @ sign_patterns(every.shape[1], n_random, seed).T)
    statistics = np.maximum.reduceat(each, start, axis=0)
    statistics[:, 0] = np.abs(signed)
    return np.round(statistics, 9), np.sign(np.round(signed, 9)).astype(int)


def sign_patterns(n: int, n_random: int = 2**14, seed: int = 42) -> np.ndarray:
    """Return patterns of signs (pattern, unit), the identity first: all, up to a common sign, or random ones."""
    if n <= ALL_UP_TO:
        codes = np.arange(2 ** max(n - 1, 0))[:, None] >> np.arange(max(n - 1, 0))
        return np.concatenate([np.ones((len(codes), 1)), 1.0 - 2.0 * (codes & 1)], axis=1)[:, :n]
    patterns = 2.0 * np.random.default_rng(seed).integers(0, 2, (n_random, n)) - 1
    patterns[0] = 1
    return patterns


def own_p_values(statistics: np.ndarray) -> np.ndarray:
    """Return the p-value of each test alone from its statistics (test, flip), the data being the first flip."""
    return (statistics >= statistics[:, :1]).mean(1)


def step_down(statistics: np.ndarray) -> np.ndarray:
    """Return the p-values corrected for all tests from statistics (test, flip), the data being the first flip."""
    observed = statistics[:, 0]
    order = np.argsort(-observed, kind="stable")
    largest = np.maximum.accumulate(statistics[order[::-1]], axis=0)[::-1]  # of this test and all smaller ones
    adjusted = np.empty(len(order))
    adjusted[order] = np.maximum.accumulate((largest >= observed[order, None]).mean(1))
    return adjusted
