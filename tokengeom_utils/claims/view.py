"""A survey as the claims read it: arrays over prompts, layers and degrees, reduced to kinds of text."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from ..surveys.results import relative_depth
from ..theory.statistics import unit_covariances
from ..theory.statistics.deals import Deals, Dealt
from .judging import MIN_CORRELATED, Question, mean, question
from .peaks import Peaks

if TYPE_CHECKING:
    import xarray as xr


ELSEWHERE = "height of each kind where other kinds peak, over all deals into halves"  #: how a peak is measured


class NotTestable(Exception):
    """The survey, or every survey, lacks what a claim needs; the message gives the reason."""


class SurveyView:
    """A survey without its embeddings layer, and the arrays that the claims take from it.

    Parameters
    ----------
    results : xarray.Dataset
        From :func:`tokengeom_utils.open_results`.
    """

    def __init__(self, results: "xr.Dataset"):
        self.last = int(results.layer.max())
        self.n_tokens = results.attrs.get("n_tokens")
        self.every = results.isel(layer=results.layer.values >= 1)
        self.layers: np.ndarray = self.every.layer.values  #: numbers of the layers, from 1
        self.degrees: np.ndarray = self.every.shuffle.values
        self._arrays: dict[tuple[Any, ...], np.ndarray] = {}
        loss = results.loss.transpose("prompt", "shuffle").values
        self.measured_in_order: np.ndarray = np.isfinite(loss[:, self.at(0)])
        self._all = np.isfinite(loss).all(1)
        names = [str(name) for name in results.domain.values] if "domain" in results.coords else []
        single = len(set(names)) < 2
        #: the units of inference: kinds of text, or prompts where all are of one kind
        self.unit = "prompts" if single else "kinds"
        self.kind = np.arange(len(loss)) if single else np.unique(names, return_inverse=True)[1]
        self.n_kinds = int(self.kind.max()) + 1
        self.deals = Deals(self.n_kinds)
        self._peaks: dict[tuple[Any, ...], Peaks] = {}

    @property
    def depth(self) -> np.ndarray:
        """Relative depth of the layers."""
        return relative_depth(self.layers, self.last)

    @property
    def full(self) -> int:
        """The degree at which every block is one token."""
        degree = int(self.degrees.max())
        if degree == 0:
            raise NotTestable("the survey holds no shuffled prompts")
        if self.n_tokens != 4**degree:
            block = f"{self.n_tokens // 4**degree} tokens" if self.n_tokens else "unknown length"
            raise NotTestable(
                f"the survey has no full shuffle: its strongest, degree {degree}, keeps blocks of {block}"
            )
        return degree

    def at(self, degree: int) -> int:
        """Return the position of a degree in ``degrees``."""
        return list(self.degrees).index(degree)

    def nearest(self, depth: float) -> int:
        """Return the position in ``layers`` of the layer nearest to a relative depth."""
        return int(np.argmin(np.abs(self.depth - depth)))

    # What a claim needs: each raises NotTestable with the reason.

    def need_depth(self, n: int = 8) -> None:
        """Require a model of at least ``n`` layers."""
        if self.last < n:
            raise NotTestable(f"a profile over depth needs at least {n} layers, the model has {self.last}")

    def need_scale(self, scale: int) -> None:
        """Require a range scaling."""
        if scale not in self.every.scale.values:
            raise NotTestable(f"the survey holds no range scaling {scale}")

    def need_degrees(self, n: int = 3) -> None:
        """Require enough degrees of shuffling for them to have an order."""
        if len(self.degrees) < n:
            raise NotTestable("an order of degrees needs at least three of them")

    def need_correlated(self) -> None:
        """Require enough ordered prompts for a correlation over them."""
        n = int(self.measured_in_order.sum())
        if n < MIN_CORRELATED:
            raise NotTestable(f"the survey holds {n} prompts, a correlation over prompts needs {MIN_CORRELATED}")

    # The values over prompts, and over kinds.

    def ordered(self, variable: str, **select: int) -> np.ndarray:
        """Return a variable at degree 0, (prompt, ...), over every prompt."""
        return self._values(variable, select)[self.measured_in_order, self.at(0)]

    def by_degree(self, variable: str, **select: int) -> np.ndarray:
        """Return a variable, (prompt, shuffle, ...), over the prompts that were measured at every degree."""
        if not self._all.any():
            raise NotTestable("no prompts were measured at every degree")
        return self._values(variable, select)[self._all]

    def contrast(self, variable: str, **select: int) -> np.ndarray:
        """Return the full shuffle minus the ordered prompt, (prompt, ...)."""
        full = self.full
        values = self.by_degree(variable, **select)
        return values[:, self.at(full)] - values[:, self.at(0)]

    def _values(self, variable, select):
        """Return a variable at a coordinate, (prompt, shuffle, ...), for all prompts."""
        key = (variable, *select.items())
        if key not in self._arrays:
            self._arrays[key] = self.every[variable].sel(select).transpose("prompt", "shuffle", ...).values
        return self._arrays[key]

    def by_kind(self, values: ArrayLike) -> np.ndarray:
        """Average values (prompt, ...) over the prompts of each kind, (kind, ...).

        The prompts are all ordered ones, or those at every degree, as their number says. NaN where a kind has none.
        """
        values = np.asarray(values, float)
        members = (self.kind[self._chosen(len(values))] == np.arange(self.n_kinds)[:, None]).astype(float)
        flat = values.reshape(len(values), -1)
        have = np.isfinite(flat)
        with np.errstate(invalid="ignore"):
            means = (members @ np.where(have, flat, 0)) / (members @ have)
        return means.reshape(self.n_kinds, *values.shape[1:])

    def _chosen(self, n):
        """Return the mask of the prompts to which an array of n rows belongs."""
        return self.measured_in_order if n == self.measured_in_order.sum() else self._all

    def covariances(self, x: ArrayLike, y: ArrayLike) -> np.ndarray:
        """Return the contribution of each kind to the correlation of x (..., prompt) with y, over ordered prompts."""
        found = unit_covariances(x, y, np.unique(self.kind[self.measured_in_order], return_inverse=True)[1])
        every = np.full((*found.shape[:-1], self.n_kinds), np.nan)
        every[..., np.unique(self.kind[self.measured_in_order])] = found
        return every

    # Places: half of the kinds choose a layer, and the other half are judged at it, in every deal into two halves.

    def highest(self, profile: np.ndarray, among: np.ndarray | None = None) -> np.ndarray:
        """Return for each half the layer, a position, that is highest in the mean profile of its kinds.

        ``profile`` is (kind, layer); ``among`` may restrict the layers.
        """
        allowed = np.arange(profile.shape[1]) if among is None else np.flatnonzero(among)
        return np.asarray(allowed[self.deals.highest(profile[:, allowed])])

    def peak(self, scale: int = 2, among: np.ndarray | None = None) -> int:
        """Return the position in ``layers`` of the maximum of the mean profile of the ordered prompts.

        ``among`` may restrict the layers. It is for descriptions: no part is judged at it.
        """
        self.need_depth()
        self.need_scale(scale)
        profile = self.ordered("intrinsic_dimension", scale=scale)
        average = np.where(True if among is None else among, mean(profile, 0), np.nan)
        if not np.isfinite(average).any():
            raise NotTestable("the intrinsic dimension is undefined at every layer")
        return int(np.nanargmax(average))

    def peaks(self, variable: str, **select: int) -> Peaks:
        """Return the peaks of a variable at every degree, over the prompts that were measured at all of them."""
        key = (variable, *select.items())
        if key not in self._peaks:
            self._peaks[key] = Peaks(self.by_degree(variable, **select), self.by_kind, self.deals)
        return self._peaks[key]

    def elsewhere(self, places: np.ndarray, scores: Callable[[np.ndarray], np.ndarray]) -> Dealt:
        """Return the scores of the kinds where other kinds choose the place, in every deal into halves.

        ``places`` (half, ...) has the choice of each half, as :meth:`highest` returns it. ``scores`` returns
        (kind, option) for an array of distinct places (option, ...).
        """
        return self.deals.judged(places, scores)

    # Parts.

    def paired(self, name: str, differences: ArrayLike, **about: Any) -> Question:
        """Return a part from one difference per prompt, positive on the paper's side."""
        return question(name, self.by_kind(differences), unit=self.unit, **about)

    def scored(self, name: str, *scores: np.ndarray | Dealt, **about: Any) -> Question:
        """Return a part from scores of kinds, one for each test."""
        return question(name, *scores, unit=self.unit, **about)
