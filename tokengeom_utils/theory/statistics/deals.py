"""Scores at a place that other units choose, over every deal of the units into two halves.

A place found by searching, such as the layer of a peak, must not be judged on the units that chose it. So the units are
dealt into two halves, and each half is judged where the other one chooses. A verdict by one deal is a lottery, so all
deals are made, and the median of their statistics counts.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import combinations

import numpy as np

#: units up to which every deal is made: C(16, 8) / 2 = 6,435 of them
ALL_UP_TO = 16
CHUNK = 1024  #: halves at a time
N_RANDOM = 2001  #: deals of more units, drawn at random; odd, so that the median is one of them


@lru_cache(maxsize=8)
def deals(n: int) -> np.ndarray:
    """Return the deals of ``n`` units into two halves, (deal, unit): True for the units of the first half.

    An odd unit goes to the second half. Up to :data:`ALL_UP_TO` units these are all deals, so that no order or name of
    the units matters; beyond, they are :data:`N_RANDOM` random ones, always the same.
    """
    if n > ALL_UP_TO:
        places = np.random.default_rng(n).random((N_RANDOM, n)).argsort(1)[:, : n // 2]
    else:
        both = n > 0 and n % 2 == 0  # the two halves of an even number would change places
        places = np.array([one for one in combinations(range(n), n // 2) if not both or one[0] == 0], int)
    first = np.zeros((len(places), n), bool)
    np.put_along_axis(first, places, True, 1)
    first.flags.writeable = False
    return first


@dataclass(frozen=True)
class Dealt:
    r"""The scores of a test whose place other units choose, in every deal of the units into two halves.

    Parameters
    ----------
    each : numpy.ndarray, shape (deal, unit)
        NaN where a unit has no score.

    See Also
    --------
    scores_elsewhere : makes them.
    joint_p_values : tests them.

    Notes
    -----
    Introduced in the chapter *The reproduction report*.

    The statistic is the median over deals of :math:`T = \sum_g s_g / \sqrt{\sum_g s_g^2}`. It is compared with the
    flips of the mean scores, which comes near the median of the p-values of the deals; a median beyond all of them
    counts as the farthest. In noise the deals disagree about the place, their statistics partly cancel, and the test
    is conservative; where they agree, it is the test of one deal. The mean scores alone, tested as any others, would
    decide too often: since each unit takes part in choosing for all others, their sum scatters more than its flips.

    References
    ----------
    Van de Wiel, Berkhof and van Wieringen, *Testing the prediction error difference between 2 predictors*,
    Biostatistics 10 (2009), for the median over splits. Meinshausen, Meier and Bühlmann, *p-values for high-dimensional
    regression*, Journal of the American Statistical Association 104 (2009).

    Examples
    --------
    >>> import numpy as np, tokengeom_utils as tg
    >>> same = tg.statistics.Dealt(np.ones((3, 4)))
    >>> same.scores.tolist(), same.statistic
    ([1.0, 1.0, 1.0, 1.0], 2.0)
    """

    each: np.ndarray

    @cached_property
    def scores(self) -> np.ndarray:
        """The mean over deals of each unit's scores, (unit,); NaN where fewer than half of the deals give one."""
        missing = np.isnan(self.each)
        if not missing.any():
            return np.asarray(self.each.mean(0))
        have = len(self.each) - missing.sum(0)
        means = np.where(missing, 0, self.each).sum(0) / np.maximum(have, 1)
        return np.where(2 * have >= len(self.each), means, np.nan)

    @cached_property
    def statistic(self) -> float:
        """The median over deals of T."""
        filled = np.nan_to_num(self.each)
        size = np.sqrt(np.einsum("du,du->d", filled, filled))
        return float(np.median(filled.sum(1) / np.where(size > 0, size, 1)))

    def minus(self, other: "Dealt") -> "Dealt":
        """Return the difference of the scores, deal by deal."""
        return Dealt(self.each - other.each)


class Deals:
    """All deals of some units, and what their halves choose.

    Parameters
    ----------
    n : int
        Number of units.
    """

    def __init__(self, n: int):
        self._first = deals(n)
        #: the members of each half, (half, unit): first the first halves of all deals, then the second halves
        self.members: np.ndarray = np.concatenate([self._first, ~self._first])

    def chosen(self, values: np.ndarray, choose: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> np.ndarray:
        """Return the places that the halves choose, (half, ...).

        Parameters
        ----------
        values : numpy.ndarray, shape (unit, ...)
        choose : callable
            Takes the means of some halves (half, ...), minus infinity where a half has no values, and their members
            (half, unit); returns the places they choose. Few halves at a time, which stay in the processor's cache.
        """
        missing = np.isnan(values).reshape(len(values), -1)
        flat = np.where(missing, 0, np.asarray(values, float).reshape(missing.shape))
        found = []
        for start in range(0, len(self.members), CHUNK):
            members = self.members[start : start + CHUNK]
            weights = members.astype(float)
            counts = weights @ ~missing if missing.any() else np.maximum(weights.sum(1, keepdims=True), 1)
            means = np.where(counts > 0, weights @ flat / np.maximum(counts, 1), -np.inf)
            found.append(choose(means.reshape(-1, *values.shape[1:]), members))
        return np.concatenate(found)

    def highest(self, profiles: np.ndarray) -> np.ndarray:
        """Return for each half the place, (half,), where the mean of profiles (unit, place) is highest."""
        return self.chosen(profiles, lambda means, _: means.argmax(1))

    def judged(self, places: np.ndarray, scores: Callable[[np.ndarray], np.ndarray]) -> Dealt:
        """Return the scores of each half at the places that the other half of its deal chooses.

        Parameters
        ----------
        places : numpy.ndarray of int, shape (half, ...)
            One place for each half, or several, such as one for each degree of shuffling; not negative.
        scores : callable
            Takes distinct places (option, ...) and returns the scores of all units at each of them, (unit, option).
        """
        flat = places.reshape(len(places), -1)
        base = int(flat.max(initial=0)) + 1
        code = flat @ base ** np.arange(flat.shape[1], dtype=np.int64)
        _, where, option = np.unique(code, return_index=True, return_inverse=True)
        table = np.ascontiguousarray(scores(places[where]).T)
        at_first, at_second = (table[chosen] for chosen in option.reshape(2, -1))
        return Dealt(np.where(self._first, at_second, at_first))


def scores_elsewhere(profiles: np.ndarray, scores: Callable[[np.ndarray], np.ndarray] | None = None) -> Dealt:
    """Score each unit at the place where other units have the highest mean, over every deal of them into two halves.

    Parameters
    ----------
    profiles : numpy.ndarray, shape (unit, place)
        Such as the mean intrinsic dimension of each kind of text in each layer. Half of the units choose the place
        where their mean is highest, and the other half are judged there.
    scores : callable, optional
        Takes distinct places, an array of int of shape (option,), and returns the scores of all units at each,
        (unit, option). By default the profiles themselves.

    Returns
    -------
    Dealt

    See Also
    --------
    joint_p_values : tests the scores.

    Notes
    -----
    Introduced in the chapter *The reproduction report*. Up to 16 units, all deals are made, so that neither the order
    nor the names of the units matter; beyond, 2,001 random ones, always the same.

    Examples
    --------
    Is the highest layer higher than the last, in kinds of text that did not choose it?

    >>> import numpy as np, tokengeom_utils as tg
    >>> profiles = np.random.default_rng(0).normal(size=(8, 30)) + 2 * (np.arange(30) == 12)
    >>> rise = tg.statistics.scores_elsewhere(profiles, lambda layers: profiles[:, layers] - profiles[:, [-1]])
    >>> rise.each.shape, tg.statistics.joint_p_values([rise])[0].round(2).tolist()
    ((35, 8), [0.02])
    """
    dealt = Deals(len(profiles))
    return dealt.judged(dealt.highest(profiles), scores or (lambda places: profiles[:, places]))


def rows(test: "np.ndarray | Dealt | Sequence[float]") -> np.ndarray:
    """Return the scores of a test, (option, unit): one option if it does not search."""
    return np.atleast_2d(np.asarray(test.scores if isinstance(test, Dealt) else test, float))
