"""The peaks of the profiles at several degrees of shuffling, where other kinds of text place them."""

from collections.abc import Callable, Sequence

import numpy as np

from ..theory.statistics.deals import Deals, Dealt

CLEARLY = 3.0  #: standard errors by which a degree's own peak must be higher than the common one


class Peaks:
    """Heights of the peaks, in every deal of the kinds into halves.

    Parameters
    ----------
    values : numpy.ndarray, shape (prompt, shuffle, layer)
    by_kind : callable
        Averages values (prompt, ...) over the prompts of each kind, (kind, ...).
    deals : Deals
        Of the kinds.
    """

    def __init__(self, values: np.ndarray, by_kind: Callable[[np.ndarray], np.ndarray], deals: Deals):
        self._values, self._by_kind, self._deals = values, by_kind, deals
        self._profiles = by_kind(values)

    def layers(self, degrees: list[int]) -> np.ndarray:
        """Return for each half, (half, degree), the layer at which its kinds would read the peak of each degree.

        All degrees, given by their positions, are read at one layer, where their mean peaks; a degree is read at its
        own peak only if that is higher by :data:`CLEARLY` standard errors. Otherwise noise would choose among layers of
        nearly equal height, and shift all kinds that are judged there alike.
        """
        profiles = self._profiles[:, degrees]

        def choose(means: np.ndarray, members: np.ndarray) -> np.ndarray:
            common, own = means.sum(1).argmax(-1), means.argmax(-1)
            layers = np.repeat(common[:, None], len(degrees), 1)
            for degree in range(len(degrees)):
                halves = np.flatnonzero(own[:, degree] != common)
                profile, mine = profiles[:, degree], own[halves, degree]
                clear = _clearly(profile[:, mine] - profile[:, common[halves]], members[halves].T)
                layers[halves[clear], degree] = mine[clear]
            return layers

        return self._deals.chosen(profiles, choose)

    def judged(self, degrees: Sequence[int], scores: Callable[[np.ndarray], np.ndarray]) -> Dealt:
        """Return the scores of the kinds, made from the heights of their prompts where other kinds peak.

        ``scores`` takes heights (prompt, option, degree) and returns one number for each prompt, (prompt, option).
        """
        degrees = list(degrees)
        return self._deals.judged(
            self.layers(degrees), lambda layers: self._by_kind(scores(self._values[:, degrees, layers]))
        )

    def rise(self, low: int, high: int) -> Dealt:
        """Return by how much the peak is higher at one degree than at another, both given by their positions."""
        return self.judged([low, high], lambda heights: heights[..., 1] - heights[..., 0])


def _clearly(gains, members):
    """Whether the gains (kind, half) of the members (kind, half) are positive by many standard errors."""
    members = members & np.isfinite(gains)
    count = np.maximum(members.sum(0), 1)
    gains = np.where(members, gains, 0)
    gain = gains.sum(0) / count
    squares = np.where(members, gains - gain, 0) ** 2
    return (count > 1) & (gain > CLEARLY * np.sqrt(squares.sum(0) / np.maximum(count - 1, 1) / count))
