"""Results of a survey: opening a store, and properties of its contents."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import InputError
from ..models.bundled import BUNDLED, WEIGHTS
from ..paths import data_path, local_path
from ..schema import OBSERVABLES, SCHEMA
from .checks import absent
from .journal import Journal
from .metadata import check_is_group, exists, open_arrays, open_group, runs, variables
from .request import UNRECORDED

if TYPE_CHECKING:
    import xarray as xr
    import zarr

COMMITTED = ("standard", "short", "untrained")  #: names of the surveys in this repository


def survey_path(name: str | Path) -> Path:
    """Return the path of a survey, given as a path or as the name of a bundled one."""
    return data_path("results", f"{name}.zarr") if str(name) in COMMITTED else local_path(name, "the survey")


def open_results(path: str | Path = "standard") -> "xr.Dataset":
    """Open a survey.

    Parameters
    ----------
    path : path, "standard", "short" or "untrained"
        A store written by :func:`tokengeom_utils.survey`; or the name of a survey in this repository: the bundled
        model on all pocket prompts, the same on their first 256 tokens, or its untrained twin on some of them.

    Returns
    -------
    xarray.Dataset
        In memory, float64, complete prompts only. Dimensions ``prompt, shuffle, layer, scale, k``; the variables of
        :data:`tokengeom_utils.schema.OBSERVABLES` that the store holds, with units and long names, and ``run``, the
        number of the run that measured the prompt. NaN where a prompt was not measured at a degree of shuffling.
        Coordinates ``domain`` and ``sha256`` describe each prompt. Attributes record how the survey was made: the
        request, and each run with its versions, commit and device. A store made by an older version may lack newer
        observables; requesting one of them raises an error that states what to do.

    Raises
    ------
    InputError
        If there is no such store, it is damaged, or this version does not read its schema. Also, on access, for an
        observable that the store does not hold (then an AttributeError and a KeyError as well).

    See Also
    --------
    survey : measures prompts into a store.
    export : writes the results for other programs.
    tokengeom_utils.surveys.doctor.examine : lists everything missing or damaged in a store.

    Notes
    -----
    Introduced in the chapter *The paper in one page*; the store in *What a survey costs*.

    Examples
    --------
    >>> import tokengeom_utils as tg
    >>> results = tg.open_results("standard")
    >>> results.sizes["prompt"], results.sizes["layer"]
    (300, 31)
    >>> results.intrinsic_dimension.sel(shuffle=0, scale=2).mean("prompt").dims
    ('layer',)
    >>> results.loss.attrs
    {'long_name': 'mean next-token loss', 'units': 'nat'}
    """
    import xarray as xr

    path = survey_path(path)
    group = _open_checked(path)
    arrays = open_arrays(path)[1]
    with Journal(group) as journal:  # first: it may become chunks meanwhile
        try:
            results = xr.open_zarr(path, consolidated=False, chunks=None)
            run = results.run.load()  # before the values: a writer marks a prompt when all its values are in place
            held = ((run >= 0) & (run < len(runs(group)))).values & (journal.runs < 0)
            results = _with_journal(results, held, journal, variables(group))
        except Exception as error:  # zarr raises whatever its codecs raise
            raise InputError(f"{path} is damaged ({error}): run  tokengeom doctor {path}") from error
    if chunk := absent(path, arrays, held):  # zarr would read it as NaN
        raise InputError(f"{path} is damaged ({chunk} is missing): run  tokengeom doctor {path}")
    if set(OBSERVABLES) <= set(variables(group)):
        return results
    from .dataset import explained, lacking

    return explained(results, lacking(path, variables(group), _made_with(results)))


def _with_journal(opened, held, journal, names):
    """The prompts that are held by the chunks, and those of the journal, in memory.

    No other chunk is read: a survey that measures the prompts of a damaged chunk again leaves it there until all are
    measured.
    """
    chunked = opened.isel(prompt=held).load()
    found = held | (journal.runs >= 0)
    if (held == found).all():
        return chunked
    joined, arrays = opened.isel(prompt=found), {}
    for name in (*names, "run"):
        arrays[name] = np.empty(joined[name].shape, joined[name].dtype)
        arrays[name][held[found]] = chunked[name].values
    for row, place in enumerate(np.flatnonzero(found).tolist()):
        if not held[place]:
            journal.fill(place, [arrays[name][row] for name in names])
            arrays["run"][row] = journal.runs[place]
    return joined.assign(
        {name: (joined[name].dims, values, joined[name].attrs) for name, values in arrays.items()}
    ).load()


def _open_checked(path: Path) -> "zarr.Group":
    """Open the group of a store, and check that it is one survey of the schema that this version reads."""
    check_is_group(path)
    if not exists(path):
        raise InputError(
            f"no survey at {path}: run  tokengeom survey --out {path}, or open a bundled one, {' or '.join(COMMITTED)}"
        )
    group = open_group(path)
    attributes = group.attrs
    if "schema" not in attributes and (models := [p.parent.name for p in sorted(path.glob("[!.]*/zarr.json"))]):
        raise InputError(
            f"{path} holds the surveys of several models: open one of "
            + ", ".join(str(path / model) for model in models)
        )
    if attributes.get("schema") != SCHEMA:
        raise InputError(
            f"{path} has schema {attributes.get('schema')}, but this version reads schema {SCHEMA}: "
            "measure the prompts again, or use the version that made it"
        )
    return group


def _made_with(results):
    """The version of this package that began a survey."""
    runs = json.loads(results.attrs["runs"])
    return runs[0]["versions"]["tokengeom-utils"] if "variables" in results.attrs and runs else "0.1"


def shuffled_prompts(results: "xr.Dataset") -> "xr.Dataset":
    """Return the prompts of a survey that were measured at every degree of shuffling it holds.

    Parameters
    ----------
    results : xarray.Dataset
        From :func:`tokengeom_utils.open_results`.

    Returns
    -------
    xarray.Dataset

    Notes
    -----
    Introduced in the chapter *The paper in one page*.

    Examples
    --------
    >>> import tokengeom_utils as tg
    >>> tg.results.shuffled_prompts(tg.open_results("standard")).sizes["prompt"]
    45
    """
    return results.isel(prompt=results.loss.notnull().all("shuffle").values)


def relative_depth(layer: Any, n_layers: int) -> Any:
    """Return the depth of a layer between 0 (embeddings) and 1 (after the final norm), to compare models.

    Parameters
    ----------
    layer : int or array_like of int
        0, ..., L.
    n_layers : int
        L, the number of transformer blocks.

    Returns
    -------
    float or array_like of float
        layer / L.

    Notes
    -----
    Introduced in the chapter *Cosine similarity: do the tokens point one way?*

    Examples
    --------
    >>> import tokengeom_utils as tg
    >>> tg.results.relative_depth(8, n_layers=32)
    0.25
    """
    return layer / n_layers


def origins(results: "xr.Dataset") -> dict[str, str]:
    """Return where each prompt of a merged survey was measured.

    Parameters
    ----------
    results : xarray.Dataset
        From :func:`tokengeom_utils.open_results`, for a store that ``tokengeom merge`` has written.

    Returns
    -------
    dict of str to str
        The name of the store that held each prompt before; empty for a survey that was not merged. The attribute
        ``runs`` lists the device, the commit, and the versions of each run, and ``results.run`` the run of each prompt.

    Notes
    -----
    Introduced in the chapter *What a survey costs*.

    Examples
    --------
    >>> import tokengeom_utils as tg
    >>> set(tg.results.origins(tg.open_results("untrained")).values())
    {''}
    """
    runs = json.loads(results.attrs["runs"])
    return {
        str(name): runs[run].get("origin", "")
        for name, run in zip(results.prompt.values, results.run.values, strict=True)
    }


def provenance(results: "xr.Dataset") -> dict[str, str]:
    """Return how a survey was made; of several runs, the last one.

    Parameters
    ----------
    results : xarray.Dataset
        From :func:`tokengeom_utils.open_results`.

    Returns
    -------
    dict of str to str
        Model, fingerprint, profile, tokens, seed, dtype, rule for beginning-of-sequence tokens, device, commit, and
        versions; for the bundled model also which weights it has and how they were rounded, which dtype hides.

    Examples
    --------
    >>> import tokengeom_utils as tg
    >>> tg.results.provenance(tg.open_results("standard"))["model"]
    'smollm2-135m'
    >>> tg.results.provenance(tg.open_results("standard"))["weights_rounded_to"]
    '4 bits (Q4_1)'
    """
    made = {
        name: str(results.attrs[name])
        for name in ("model", "model_fingerprint", "profile", "n_tokens", "seed", "dtype")
    }
    made |= WEIGHTS if made["model"] == BUNDLED else {}
    made["bos"] = str(results.attrs.get("bos", UNRECORDED["bos"]))
    last = json.loads(results.attrs["runs"])[-1]
    return {**made, "device": last["device"], "commit": last["commit"], **last["versions"]}
