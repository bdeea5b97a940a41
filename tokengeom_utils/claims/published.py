"""The figures of the paper that the claims quote, from the authors' arrays."""

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ..surveys.paper import open_paper

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
