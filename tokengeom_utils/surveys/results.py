"""Results of a survey: how to open a store, and what it holds."""

import json
from pathlib import Path

from ..errors import InputError
from ..paths import data_path
from ..schema import SCHEMA
from .store import absent, open_arrays, open_group

COMMITTED = ("standard", "untrained")


def open_results(path="standard"):
    """Open a survey.

    Parameters
    ----------
    path : path, "standard" or "untrained"
        A store written by :func:`survey`, or the name of one in this repository: the bundled model on all the
        pocket prompts, or its untrained twin on some of them.

    Returns
    -------
    xarray.Dataset
        In memory. Dimensions ``prompt, shuffle, layer, scale, k``; only complete prompts.

    Raises
    ------
    InputError
        If there is no such store, it is damaged, or it is not a survey of a schema this version reads.
    """
    import xarray as xr

    path = data_path("results", f"{path}.zarr") if str(path) in COMMITTED else Path(path)
    if not (path / "zarr.json").exists():
        raise InputError(f"no survey at {path}: run  tokengeom survey --out {path}")
    attributes = open_group(path).attrs
    if "schema" not in attributes and (models := [p.parent.name for p in sorted(path.glob("[!.]*/zarr.json"))]):
        raise InputError(f"{path} holds a survey of each of several models: open one of "
                         + ", ".join(str(path / model) for model in models))
    if attributes.get("schema") != SCHEMA:
        raise InputError(f"{path} has schema {attributes.get('schema')}, this version reads schema {SCHEMA}")
    arrays = open_arrays(path)[1]
    try:
        results = xr.open_zarr(path, consolidated=False, chunks=None)
        run = results.run.load()  # before the values: a writer enters a prompt there when all its values are in place
        done = ((run >= 0) & (run < len(json.loads(results.attrs["runs"])))).values
        results = (results if done.all() else results.isel(prompt=done)).load()
    except Exception as error:  # zarr raises what its codecs raise
        raise InputError(f"{path} is damaged ({error}): run  tokengeom doctor {path}") from error
    if chunk := absent(path, arrays, done):  # which zarr reads as NaN
        raise InputError(f"{path} is damaged ({chunk} is missing): run  tokengeom doctor {path}")
    return results


def shuffled_prompts(results):
    """The prompts of a survey that were measured at every shuffle degree it holds."""
    return results.isel(prompt=results.loss.notnull().all("shuffle").values)


def relative_depth(layer, n_layers):
    """Depth of a layer between 0 (embeddings) and 1 (after the final norm), to compare models."""
    return layer / n_layers


def provenance(results):
    """How a survey was made, by its last run if there were several, as a flat dictionary of strings."""
    made = {name: str(results.attrs[name])
            for name in ("model", "model_fingerprint", "profile", "n_tokens", "seed", "dtype")}
    last = json.loads(results.attrs["runs"])[-1]
    return {**made, "device": last["device"], "commit": last["commit"], **last["versions"]}
