"""The numbers of a report on one text: what was measured, and where it lies among the prompts."""

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from .measuring import MeasuredText
from .placing import ENOUGH, Expected, Nearest, Share, expected, nearest_kind, share_below
from .reference import Reference

if TYPE_CHECKING:
    import xarray as xr

SCALE, K = 2, 2  #: range scaling of the dimension, and number of neighbors of the overlap
COSTLIEST = 0.1  #: share of the tokens that count as the costliest
PERCENT = 5  #: of the prompts below the band, and as many above it


class Placed(NamedTuple):
    """A number of the text and where it lies."""

    label: str
    unit: str
    value: float
    error: float  #: standard error of the estimate; NaN where there is none
    median: float  #: of the prompts; NaN without them
    share: Share | None  #: among all prompts
    share_of_kind: Share | None  #: among those of the nearest kind


class Change(NamedTuple):
    """What a shuffle changes in one number."""

    before: float
    after: float
    error: float  #: of the difference, from the standard errors of both; NaN where there is none
    usual: float  #: the average change of the prompts; NaN without them
    share: Share | None  #: of the prompts that change by less


class Curve(NamedTuple):
    """An observable over the layers, of the text and of the prompts."""

    name: str
    layers: np.ndarray  #: (layer,)
    text: np.ndarray  #: (layer,)
    error: np.ndarray  #: (layer,) standard error; NaN where there is none
    shuffled: np.ndarray | None  #: (layer,)
    low: np.ndarray | None  #: (layer,) lower end of the prompts' band
    median: np.ndarray | None  #: (layer,) of the prompts
    high: np.ndarray | None  #: (layer,) upper end
    of_kind: np.ndarray | None  #: (layer,) median of the nearest kind

    @property
    def outside(self) -> np.ndarray | None:
        """The layers in which the text lies outside the band; None without a band, or if no layer is defined."""
        if self.low is None or self.high is None or not np.isfinite(self.text).any():
            return None
        return self.layers[(self.text < self.low) | (self.text > self.high)]


class Findings(NamedTuple):
    """All numbers of the report on one text."""

    text: MeasuredText
    layer: int  #: at which the geometry is compared
    n_layers: int
    vocabulary: int  #: tokens that the model can predict
    n_prompts: int  #: 0 without a reference
    n_kinds: int
    nearest: Nearest | None
    placed: dict[str, Placed]  #: by name
    curves: tuple[Curve, ...]
    by_loss: Expected | None  #: the dimension that the loss leads to expect
    by_both: Expected | None  #: and that the loss and the number of distinct tokens lead to expect
    ranges: dict[str, tuple[float, float]]  #: of the loss and of the distinct tokens of the prompts; empty without them
    changes: dict[str, Change]  #: by name; empty without a shuffle
    costliest: float  #: share of the loss in the costliest tenth of the tokens

    @property
    def name(self) -> str:
        """Name of the text."""
        return self.text.name

    @property
    def chance(self) -> float:
        """Loss in nats if all tokens of the vocabulary were equally likely."""
        return math.log(self.vocabulary)


def dimension(found: "xr.Dataset", layer: int, scale: int = SCALE) -> Any:
    """Return the dimension at a layer."""
    return found.intrinsic_dimension.sel(scale=scale, layer=layer)


def _views(layer: int, scales: np.ndarray) -> "dict[str, tuple[str, str, Callable[[xr.Dataset], Any]]]":
    """The quantities that are compared: label, unit, and how a measurement gives it."""
    further = {"dimension_8": (f"intrinsic dimension, layer {layer}, scaling 8", "", lambda s: dimension(s, layer, 8))}
    return {
        "loss": ("loss per token", "nat", lambda s: s.loss),
        "entropy": ("entropy, the loss that the model expects", "nat", lambda s: s.entropy),
        "distinct": ("distinct tokens", "", lambda s: s.distinct_tokens),
        "dimension": (f"intrinsic dimension, layer {layer}, scaling {SCALE}", "", lambda s: dimension(s, layer)),
        **(further if 8 in scales else {}),
        "overlap": (
            f"overlap of layers {layer} and {layer + 1}, k = {K}",
            "",
            lambda s: s.neighborhood_overlap.sel(k=K, layer=layer),
        ),
        "cosine": (f"cosine similarity, layer {layer}", "", lambda s: s.cosine_similarity.sel(layer=layer)),
    }


def examine(text: MeasuredText, layer: int, vocabulary: int, reference: Reference | None, seed: int) -> Findings:
    """Place a measured text among the prompts of a reference.

    Parameters
    ----------
    text : MeasuredText
    layer : int
        At which the geometry is compared; the same for all texts of a report.
    vocabulary : int
        Tokens that the model can predict.
    reference : Reference or None
        Measured with the same model at the same length.
    seed : int
        Of the bootstrap.

    Returns
    -------
    Findings
    """
    views = _views(layer, text.found.scale.values)
    values = {name: float(view(text.found)) for name, (_, _, view) in views.items()}
    kinds = reference.kinds if reference else np.array([])
    others = {name: _of_prompts(view(reference.prompts)) for name, (_, _, view) in views.items()} if reference else {}
    nearest = by_loss = by_both = None
    if reference:
        alike = ("loss", "entropy", "distinct")  # not the geometry, whose place among them is asked for
        nearest = nearest_kind([values[name] for name in alike], np.stack([others[name] for name in alike]), kinds)
        by_loss, by_both = (
            expected(
                [values[name] for name in names],
                values["dimension"],
                np.stack([others[name] for name in names]),
                others["dimension"],
                kinds,
            )
            for names in (("loss",), ("loss", "distinct"))
        )
    errors = {"dimension": _error(text.found, layer), "dimension_8": _error(text.found, layer, 8)}
    placed = {}
    for name, (label, unit, _) in views.items():
        among = others.get(name, np.array([]))
        placed[name] = Placed(
            label,
            unit,
            values[name],
            errors.get(name, math.nan),
            float(np.median(among)) if len(among) else math.nan,
            share_below(values[name], among, kinds, seed),
            share_below(values[name], among[nearest.members]) if nearest else None,
        )
    loss = text.tokens.surprisal[1:]
    return Findings(
        text,
        layer,
        int(text.found.layer.max()),
        vocabulary,
        reference.n_prompts if reference else 0,
        len(set(kinds)),
        nearest,
        placed,
        tuple(_curves(text, reference, nearest)),
        by_loss,
        by_both,
        {
            name: (float(others[name].min()), float(others[name].max()))
            for name in ("loss", "distinct")
            if name in others
        },
        _changes(text, layer, reference, views),
        float(np.sort(loss)[::-1][: max(1, int(COSTLIEST * len(loss)))].sum() / loss.sum()),
    )


def _of_prompts(values):
    """The numbers of some prompts, as an array of float."""
    return np.asarray(values.values, float)


def _error(found, layer, scale=SCALE):
    """Standard error of the dimension; NaN at a scale that is not measured."""
    if scale not in found.scale:
        return math.nan
    return float(found.intrinsic_dimension_error.sel(scale=scale, layer=layer))


def _curves(text, reference, nearest):
    """Yield the three curves over the layers."""
    n_layers = int(text.found.layer.max())
    rows = (
        ("intrinsic dimension", n_layers, lambda s: s.intrinsic_dimension.sel(scale=SCALE)),
        ("neighborhood overlap", n_layers - 1, lambda s: s.neighborhood_overlap.sel(k=K)),  # the last layer has none
        ("cosine similarity", n_layers, lambda s: s.cosine_similarity),
    )
    for name, last, view in rows:
        layers = np.arange(1, last + 1)

        def at(found, view=view, layers=layers):
            return view(found).sel(layer=layers)

        low = median = high = of_kind = None
        if reference:
            values = at(reference.prompts).transpose("layer", "prompt").values
            ends = [PERCENT, 50, 100 - PERCENT] if reference.n_prompts >= ENOUGH else [0, 50, 100]
            low, median, high = np.nanpercentile(values, ends, axis=1)
            of_kind = np.nanmedian(values[:, nearest.members], axis=1) if nearest else None
        error = np.full(len(layers), np.nan)
        if name == "intrinsic dimension":
            error = text.found.intrinsic_dimension_error.sel(scale=SCALE, layer=layers).values
        shuffled = None if text.shuffled is None else at(text.shuffled).values
        yield Curve(name, layers, at(text.found).values, error, shuffled, low, median, high, of_kind)


def _changes(text, layer, reference, views):
    """What the shuffle changes in the loss and in the dimension."""
    if text.shuffled is None:
        return {}
    prompts = reference.shuffled if reference else None
    if prompts is not None and text.degree not in prompts.shuffle:
        prompts = None
    found = {}
    for name in ("loss", "dimension"):
        view = views[name][2]
        before, after = float(view(text.found)), float(view(text.shuffled))
        error = math.hypot(_error(text.found, layer), _error(text.shuffled, layer)) if name == "dimension" else math.nan
        usual, share = math.nan, None
        if prompts is not None:
            moved = _of_prompts(view(prompts.sel(shuffle=text.degree))) - _of_prompts(view(prompts.sel(shuffle=0)))
            usual, share = float(np.nanmean(moved)), share_below(after - before, moved)
        found[name] = Change(before, after, error, usual, share)
    return found
