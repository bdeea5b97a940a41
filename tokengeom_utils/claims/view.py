"""A survey as the claims read it: arrays over prompts, layers and degrees, or the reason why there are none."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from ..surveys.results import relative_depth, shuffled_prompts
from ..theory.statistics import bootstrap_correlations, bootstrap_draws
from .judging import MIN_CORRELATED, MIN_PAIRED, Part, correlated, paired

if TYPE_CHECKING:
    import xarray as xr


class NotTestable(Exception):
    """The survey, or every survey, lacks what a claim needs; the message gives the reason."""


class SurveyView:
    """A survey without its embeddings layer, and the arrays that the claims take from it.

    Parameters
    ----------
    results : xarray.Dataset
        From :func:`tokengeom_utils.open_results`.
    n_bootstrap : int
        Number of resamples of the prompts.
    seed : int
        Seed of everything random.
    """

    def __init__(self, results: "xr.Dataset", n_bootstrap: int, seed: int):
        self.last = int(results.layer.max())
        self.n_tokens = results.attrs.get("n_tokens")
        self.every = results.isel(layer=results.layer.values >= 1)
        self.n_bootstrap, self.seed = n_bootstrap, seed

    @property
    def layers(self) -> np.ndarray:
        """Numbers of the layers, from 1."""
        return self.every.layer.values

    @property
    def depth(self) -> np.ndarray:
        """Relative depth of the layers."""
        return relative_depth(self.layers, self.last)

    @property
    def degrees(self) -> np.ndarray:
        """Degrees of shuffling."""
        return self.every.shuffle.values

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

    def need_paired(self, n: int) -> None:
        """Require enough prompts for a test of paired differences."""
        if n < MIN_PAIRED:
            raise NotTestable(f"the survey holds {n} prompts, the test needs {MIN_PAIRED}")

    def need_correlated(self, n: int) -> None:
        """Require enough prompts for a correlation over prompts."""
        if n < MIN_CORRELATED:
            raise NotTestable(f"the survey holds {n} prompts, a correlation over prompts needs {MIN_CORRELATED}")

    # The values themselves.

    def ordered(self, variable: str, **select: int) -> np.ndarray:
        """Return a variable at degree 0, (prompt, ...), over every prompt."""
        chosen = self.every.sel(shuffle=0)
        chosen = chosen.isel(prompt=chosen.loss.notnull().values)
        values = chosen[variable].sel(select)
        return values.transpose("prompt", ...).values

    def by_degree(self, variable: str, **select: int) -> np.ndarray:
        """Return a variable, (prompt, shuffle, ...), over the prompts that were measured at every degree."""
        chosen = shuffled_prompts(self.every)
        n = chosen.sizes["prompt"]
        if n < MIN_PAIRED:
            raise NotTestable(f"{n} prompts were measured at every degree, the test needs {MIN_PAIRED}")
        return chosen[variable].sel(select).transpose("prompt", "shuffle", ...).values

    def contrast(self, variable: str, **select: int) -> np.ndarray:
        """Return the full shuffle minus the ordered prompt, (prompt, layer)."""
        full = self.full
        values = self.by_degree(variable, **select)
        return values[:, self.at(full)] - values[:, self.at(0)]

    def peak(self, scale: int = 2) -> int:
        """Return the position in ``layers`` of the maximum of the mean profile of the ordered prompts."""
        self.need_depth()
        self.need_scale(scale)
        profile = self.ordered("intrinsic_dimension", scale=scale)
        self.need_paired(len(profile))
        mean = profile.mean(0)
        if not np.isfinite(mean).any():
            raise NotTestable("the intrinsic dimension is undefined at every layer")
        return int(np.nanargmax(mean))

    def peaks(self, scale: int) -> np.ndarray:
        """Return each prompt's highest intrinsic dimension, (prompt, shuffle); undefined layers are skipped."""
        return np.fmax.reduce(self.by_degree("intrinsic_dimension", scale=scale), axis=-1)

    def losses_and_dimensions(self, scales: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
        """Return loss (prompt,) and intrinsic dimension (scale, layer, prompt) of the ordered prompts."""
        for scale in scales:
            self.need_scale(scale)
        loss = self.ordered("loss")
        self.need_correlated(len(loss))
        return loss, np.stack([self.ordered("intrinsic_dimension", scale=scale).T for scale in scales])

    # Resamples and parts, with the seed and the number of resamples of this view.

    def draws(self, statistic: Callable[..., ArrayLike], *samples: ArrayLike) -> np.ndarray:
        """Return bootstrap draws of a statistic."""
        return bootstrap_draws(statistic, *samples, n_bootstrap=self.n_bootstrap, seed=self.seed)

    def correlations(self, x: ArrayLike, y: ArrayLike) -> np.ndarray:
        """Return bootstrap draws of a correlation."""
        return bootstrap_correlations(x, y, n_bootstrap=self.n_bootstrap, seed=self.seed)

    def paired(self, name: str, differences: ArrayLike) -> Part:
        """Judge a part from one difference per prompt."""
        return paired(name, differences, self.seed)

    def correlated(self, name: str, x: np.ndarray, y: np.ndarray, sign: int = 1) -> Part:
        """Judge a part from a rank correlation over prompts."""
        return correlated(name, x, y, sign, self.n_bootstrap, self.seed)
