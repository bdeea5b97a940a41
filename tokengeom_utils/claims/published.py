"""The figures of the paper that the claims quote, from the authors' arrays."""

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ..surveys.paper import PAPER_LAYERS, open_paper

if TYPE_CHECKING:
    import pandas as pd

MODELS = ("Llama-3-8B", "Mistral-7B", "Pythia-6.9B")
ARRAYS = "the authors' arrays, 50 prompts"  #: the source of these figures, as the ledger cites it


class Peak(NamedTuple):
    """The highest mean intrinsic dimension of a model, and its layer."""

    height: float
    layer: int


@cache
def profile(observable: str, scale: int | None = None, shuffle: int = 0) -> "pd.DataFrame":
    """Return the mean profile of an observable: layers by models. ``scale`` is a range scaling or a k."""
    table = _profiles()
    rows = table[(table.observable == observable) & (table.shuffle == shuffle)]
    rows = rows if scale is None else rows[rows.scale == scale]
    return rows.pivot(index="layer", columns="model", values="mean")[list(MODELS)]


@cache
def _profiles():
    """The table of profiles, read once."""
    return open_paper("profiles")


@cache
def correlations(scale: int = 2) -> "pd.DataFrame":
    """Return the correlation of dimension and loss over 2,244 prompts: layers by models."""
    table = open_paper("loss_correlation_2244")
    return table[table.scale == scale].pivot(index="layer", columns="model", values="pearson")[list(MODELS)]


#: correlations in the last layer at scalings 4 and 8, read off the authors' figure; those at 2 are in the table
LAST_BEYOND_2 = {"Llama-3-8B": (0.46, 0.50), "Mistral-7B": (0.62, 0.63), "Pythia-6.9B": (0.36, 0.40)}


def last_correlations() -> dict[str, tuple[float, ...]]:
    """Return for each model the correlation of dimension and loss in the last layer, at scalings 2, 4, and 8."""
    at_2 = correlations().loc[PAPER_LAYERS]
    return {model: (float(at_2[model]), *LAST_BEYOND_2[model]) for model in MODELS}


@cache
def losses() -> tuple[float, ...]:
    """Return the mean loss of Llama-3-8B at each degree of shuffling."""
    table = _profiles()
    rows = table[(table.observable == "loss") & (table.model == MODELS[0])]
    return tuple(rows.sort_values("shuffle")["mean"])


@cache
def peaks(scale: int = 2, shuffle: int = 0) -> dict[str, Peak]:
    """Return for each model the peak of its mean intrinsic dimension."""
    table = profile("intrinsic_dimension", scale, shuffle)
    return {model: Peak(table[model].max(), int(table[model].idxmax())) for model in MODELS}


def rise(scale: int, low: int = 0, high: int = 5) -> float:
    """Return by how much the peak is higher at one degree of shuffling than at another, mean over models."""
    first, last = peaks(scale, low), peaks(scale, high)
    return float(np.mean([last[model].height - first[model].height for model in MODELS]))


def each(text: Callable[[str], str]) -> str:
    """Write the same sentence fragment for each model: ``text(model)``."""
    return "; ".join(f"{model} {text(model)}" for model in MODELS)
