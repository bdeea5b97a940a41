"""The prompts that a text is compared with: measured with the same model at the same length, or none at all."""

import json
from collections.abc import Sequence
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..errors import InputError
from ..models.language_model import LanguageModel
from ..schema import K_MAX, SCALE_MAX
from ..surveys.results import COMMITTED, open_results
from ..surveys.single import differences, fit_sizes

if TYPE_CHECKING:
    import xarray as xr

LENGTHS = (1024, 256)  #: tokens: powers of four, so that a shuffle can leave single tokens


class Reference(NamedTuple):
    """The prompts of a survey, in order, and those that are also shuffled."""

    name: str  #: as the page calls the survey
    prompts: "xr.Dataset"  #: one row per prompt
    shuffled: "xr.Dataset | None"  #: prompts at every degree of the survey, if there are any

    @property
    def n_prompts(self) -> int:
        """Number of prompts."""
        return self.prompts.sizes["prompt"]

    @property
    def n_layers(self) -> int:
        """Number of transformer blocks."""
        return int(self.prompts.layer.max())

    @property
    def kinds(self) -> np.ndarray:
        """The kind of text of each prompt, an array of str."""
        return np.array([str(kind) for kind in self.prompts.domain.values])

    @property
    def peak(self) -> int:
        """The layer before the last where the prompts' average dimension (range scaling 2) is highest."""
        average = average_dimension(self.prompts)[1 : max(2, self.n_layers)]
        return 1 + int(np.nanargmax(average)) if np.isfinite(average).any() else halfway(self.n_layers)


def average_dimension(prompts: "xr.Dataset") -> np.ndarray:
    """Return the average dimension (range scaling 2) of some prompts, shape (layer,)."""
    return prompts.intrinsic_dimension.sel(scale=2).mean("prompt").values


def halfway(n_layers: int) -> int:
    """Return the layer in the middle of a model, which no measurement chooses."""
    return max(1, n_layers // 2)


def as_reference(results: "xr.Dataset", name: str = "the survey") -> Reference:
    """Return the complete prompts of a survey as a reference.

    Parameters
    ----------
    results : xarray.Dataset
        From :func:`tokengeom_utils.open_results` or :func:`tokengeom_utils.comparable`.
    name : str

    Returns
    -------
    Reference
    """
    if "shuffle" not in results.dims:
        return Reference(name, results, None)
    in_order = results.sel(shuffle=0)
    whole = results.isel(prompt=results.loss.notnull().all("shuffle").values)
    shuffled = whole if results.sizes["shuffle"] > 1 and whole.sizes["prompt"] else None
    return Reference(name, in_order.isel(prompt=in_order.loss.notnull().values), shuffled)


def bundled(model: LanguageModel, n_tokens: int) -> Reference | None:
    """Find the bundled survey of a model at a length.

    Parameters
    ----------
    model : LanguageModel
    n_tokens : int

    Returns
    -------
    Reference or None
        None if no bundled survey was made with these weights, at this length, and behind the same beginning.

    Examples
    --------
    >>> import tokengeom_utils as tg
    >>> bundled(tg.tiny_model(), 1024) is None
    True
    """
    for name in COMMITTED:
        results = open_results(name)
        if not differences(model, results, {"n_tokens": n_tokens}):
            return as_reference(results, f"the bundled survey {name}")
    return None


def check_model(model: LanguageModel, results: "xr.Dataset", name: str) -> None:
    """Raise ``InputError`` if a survey was made with another model, or behind another beginning of a sequence."""
    if found := differences(model, results, {"n_tokens": results.attrs["n_tokens"]}):
        raise InputError(
            f"{name} was made {' and '.join(found)}, not with {model.name} and bos = {model.bos}: numbers of different "
            "models cannot be compared; give a survey of this model, or leave it out"
        )


def sizes_of(results: "xr.Dataset") -> dict[str, int]:
    """Return the sizes at which a survey was measured.

    Parameters
    ----------
    results : xarray.Dataset

    Returns
    -------
    dict of str to int
        As :func:`tokengeom_utils.fit_sizes` returns them.
    """
    return {
        "n_tokens": int(results.attrs["n_tokens"]),
        "scale_max": int(results.scale.max()),
        "k_max": int(results.k.max()),
    }


def common_sizes(
    lengths: Sequence[int], names: Sequence[str], results: "xr.Dataset | None", limit: float = inf
) -> dict[str, int]:
    """Return the sizes at which texts are measured: the same for all, as clouds of different sizes cannot be compared.

    Parameters
    ----------
    lengths : sequence of int
        The tokens of each text.
    names : sequence of str
        Of the texts, for the error.
    results : xarray.Dataset or None
        A survey, whose sizes count; without one, the largest of :data:`LENGTHS` that every text fills.
    limit : float
        Tokens that the model has positions for.

    Returns
    -------
    dict of str to int

    Raises
    ------
    InputError
        If the shortest text is too short; it is named.

    Examples
    --------
    >>> common_sizes([5000, 300], ["essay.txt", "note.txt"], None)
    {'n_tokens': 256, 'scale_max': 128, 'k_max': 31}
    """
    shortest = int(np.argmin(lengths))
    if results is not None:
        sizes = sizes_of(results)
        least, why = sizes["n_tokens"], "the survey was measured with"
    else:
        n = next((n for n in LENGTHS if n <= min(lengths[shortest], limit)), LENGTHS[-1])
        sizes = fit_sizes(n, n, SCALE_MAX, K_MAX)
        least, why = LENGTHS[-1], "a report needs"
    if lengths[shortest] < least:
        raise InputError(f"{names[shortest]} has {lengths[shortest]:,} tokens, but {why} {least:,}: use a longer text")
    return sizes


def open_reference(path: str | Path) -> "tuple[xr.Dataset, str]":
    """Open the survey that a user names; return it, and how the page calls it: by its last name."""
    results = open_results(path)
    if not results.sizes["prompt"]:
        raise InputError(f"no prompt of {path} is measured yet: finish the survey first")
    return results, f"the survey {Path(path).name}"


def made_of(reference: Reference) -> dict[str, Any]:
    """Return how the survey of a reference was made: dtype, commit, and version, where they are recorded."""
    held = reference.prompts.attrs
    runs = json.loads(held.get("runs", "[]"))
    last: dict[str, Any] = runs[-1] if runs else {}
    return {
        "dtype": held.get("dtype", "").removeprefix("torch."),
        "commit": last.get("commit", ""),
        "version": last.get("versions", {}).get("tokengeom-utils", ""),
    }
