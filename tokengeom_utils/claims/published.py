"""The figures of the paper that the claims quote, from the authors' arrays."""

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

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
    table = open_paper("profiles")
    rows = table[(table.observable == observable) & (table.shuffle == shuffle)]
    rows = rows if scale is None else rows[rows.scale == scale]
    return rows.pivot(index="layer", columns="model", values="mean")[list(MODELS)]


def peaks(scale: int = 2, shuffle: int = 0) -> dict[str, Peak]:
    """Return for each model the peak of its mean intrinsic dimension."""
    table = profile("intrinsic_dimension", scale, shuffle)
    return {model: Peak(table[model].max(), int(table[model].idxmax())) for model in MODELS}


def each(text: Callable[[str], str]) -> str:
    """Write the same sentence fragment for each model: ``text(model)``."""
    return "; ".join(f"{model} {text(model)}" for model in MODELS)
