"""New stores: coordinates, attributes and empty arrays, prepared aside and put in place at once.

A new store has chunks of 128 prompts, so that a damaged one costs as many, and a million prompts need 8,000 files per
array. A packed store has one chunk per array. Older stores have one per prompt.
"""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..errors import InputError
from ..prompts.load import Prompt
from ..schema import OBSERVABLES, SCHEMA
from .chunks import KEYS, PROMPTS, codecs, every_chunk
from .files import put_in_place, scratch, sync_tree
from .fit import check_free, misfits
from .metadata import COORDINATES, attributes, exists, open_group, set_attribute
from .request import Request, coordinates

if TYPE_CHECKING:
    import xarray as xr

#: entries of a run's provenance that all runs of a store share
UNIFORM = ("model_fingerprint", "dtype", "batch")


class _Array(NamedTuple):
    """The layout of one array, without the dimension of prompts in front."""

    dims: tuple
    shape: tuple
    attributes: dict


def create(
    path: Path, row: Mapping[str, np.ndarray], request: Request, prompts: Sequence[Prompt], provenance: dict[str, Any]
) -> None:
    """Make an empty store of the full size.

    Parameters
    ----------
    path : pathlib.Path
        Must not exist.
    row : mapping of str to numpy.ndarray
        The observables of one prompt by name, as for :meth:`~tokengeom_utils.surveys.store.Store.write`; they decide
        which the store holds.
    request : dict
        From :func:`tokengeom_utils.surveys.request.make_request`.
    prompts : sequence of Prompt
    provenance : dict
        From :func:`tokengeom_utils.surveys.provenance.provenance`, for the first run.
    """
    import xarray as xr

    made: dict[str, Any] = {
        "title": "Token geometry survey",
        "Conventions": "CF-1.11",
        "schema": SCHEMA,
        "references": "arXiv:2501.10573",
        "request": json.dumps(request),
        **{name: request[name] for name in ("model", "n_tokens", "seed", "bos")},
        **{name: provenance[name] for name in (*UNIFORM, "profile")},
        "runs": "[]",
        "variables": [name for name in OBSERVABLES if name in row],
    }
    arrays = {
        name: _Array(("shuffle", *OBSERVABLES[name].dims), row[name].shape, OBSERVABLES[name].attributes)
        for name in made["variables"]
    }
    n_layers = next(row[name].shape[1] for name in row if OBSERVABLES[name].dims[:1] == ("layer",))
    arrays["run"] = _Array((), (), {"long_name": "which of the runs measured the prompt; -1: none", "units": "1"})
    values = coordinates(request, [prompt.domain for prompt in prompts], n_layers)
    labels = xr.Dataset(coords={name: (*pair, COORDINATES[name]) for name, pair in values.items()}, attrs=made)
    fresh = scratch(path)
    _lay_out(fresh, labels, arrays, prompts_in_chunk=min(PROMPTS, len(prompts)))
    put_in_place(fresh, path)


def pack(results: "xr.Dataset", path: str | Path) -> None:
    """Write a survey as a packed store.

    Parameters
    ----------
    results : xarray.Dataset
        From :func:`tokengeom_utils.open_results`.
    path : path
        Must not exist; :func:`tokengeom_utils.export` checks that.

    Raises
    ------
    InputError
        If ``results`` is a selection of anything but prompts and variables.
    """
    import xarray as xr

    path = Path(path)
    if "request" not in results.attrs or (gone := [name for name in COORDINATES if name not in results.coords]):
        what = "attributes" if "request" not in results.attrs else f"coordinates {', '.join(gone)}"
        raise InputError(
            f"a store cannot be made of a survey without its {what}: select only prompts, "
            "and leave out variables with drop_vars"
        )
    request = json.loads(results.attrs["request"])
    wanted = {name: i for i, (name, _) in enumerate(request["prompts"])}
    places = [wanted[name] for name in results.prompt.values]
    request |= {
        "prompts": [request["prompts"][i] for i in places],  # the prompts it holds, not all that were requested
        "n_shuffled": sum(i < request["n_shuffled"] for i in places),
    }
    if wrong := next(misfits(results.variables, request), None):
        raise InputError(
            f"a store cannot be made of this selection: {wrong.name} has shape {wrong.found}, not "
            f"{wrong.wanted}; select only prompts"
        )
    held = held_variables(results)
    arrays = {
        name: _Array(results[name].dims[1:], results[name].shape[1:], results[name].attrs) for name in (*held, "run")
    }
    made = {**results.attrs, "request": json.dumps(request), "variables": held}
    group = _lay_out(path, xr.Dataset(coords=results.coords, attrs=made), arrays, prompts_in_chunk=len(places))
    with every_chunk():
        for name in arrays:
            group[name][:] = results[name].values
    sync_tree(path)


def held_variables(results: "xr.Dataset") -> list[str]:
    """Return the observables in a survey: in the order of the table, then those a newer version recorded."""
    recorded = results.attrs.get("variables", ())
    return [name for name in dict.fromkeys((*OBSERVABLES, *recorded)) if name in results]


def _lay_out(path, labels, arrays, prompts_in_chunk):
    """Write coordinates, attributes, and empty arrays; return the Zarr group."""
    import zarr

    with every_chunk():
        labels.to_zarr(
            path,
            mode="w",
            consolidated=False,
            zarr_format=3,
            encoding={name: {"compressors": codecs()} for name in labels.coords},
        )
    group = zarr.open_group(path, mode="r+")
    n_prompts = labels.sizes["prompt"]
    for name, array in arrays.items():
        group.create_array(
            name,
            shape=(n_prompts, *array.shape),
            chunks=(prompts_in_chunk, *array.shape),
            dimension_names=("prompt", *array.dims),
            compressors=codecs(),
            chunk_key_encoding=KEYS,
            attributes=array.attributes,
            dtype="int16" if name == "run" else "float64",
            fill_value=-1 if name == "run" else np.nan,
        )
    return group


def create_group(path: str | Path, models: Sequence[str]) -> None:
    """Make a Zarr group for the surveys of several models, or add models to an existing one.

    Parameters
    ----------
    path : path
    models : sequence of str
        Recorded in the group's attributes.

    Raises
    ------
    InputError
        If ``path`` holds something else.
    """
    import zarr

    path = Path(os.path.realpath(path))
    check_free(path)
    if not exists(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        title = "Token geometry surveys, one group for each model"
        zarr.create_group(scratch(path), attributes={"title": title, "models": list(models)})
        put_in_place(scratch(path), path)
        return
    there = attributes(open_group(path))
    if "request" in there:
        raise InputError(f"{path} holds the survey of one model, but several are requested: choose another --out")
    known = there.get("models", [])
    if more := [model for model in models if model not in known]:
        set_attribute(path, "models", known + more)
