"""Results: what a survey stores, how to open it, and the paper's own numbers beside it."""

import json
from pathlib import Path

from .errors import InputError
from .paths import data_path

SCHEMA = 2
_PER_LAYER = ("layer",)
#: name: (dimensions of one measurement, attributes); a store adds (prompt, shuffle) in front
VARIABLES = {
    "intrinsic_dimension": (
        ("layer", "scale"), {"long_name": "intrinsic dimension (GRIDE)", "units": "1"}),
    "intrinsic_dimension_error": (
        ("layer", "scale"), {"long_name": "standard error of the intrinsic dimension", "units": "1"}),
    "duplicate_tokens": (
        _PER_LAYER, {"long_name": "tokens that coincide with an earlier one", "units": "1"}),
    "tied_tokens": (
        _PER_LAYER, {"long_name": "tokens with equally distant neighbors among the first k_max + 1", "units": "1"}),
    "neighborhood_overlap": (
        ("layer", "k"), {"long_name": "neighborhood overlap of layer and layer + 1", "units": "1"}),
    "cosine_similarity": (
        _PER_LAYER, {"long_name": "mean cosine similarity, self-pairs included", "units": "1"}),
    "cosine_similarity_std": (
        _PER_LAYER, {"long_name": "standard deviation of the cosine similarity", "units": "1"}),
    "cosine_similarity_distinct": (
        _PER_LAYER, {"long_name": "mean cosine similarity of distinct tokens", "units": "1"}),
    "neighbor_angle": (
        _PER_LAYER, {"long_name": "mean angle between first and second neighbor", "units": "degree"}),
    "loss": ((), {"long_name": "mean next-token loss", "units": "nat"}),
    "distinct_tokens": ((), {"long_name": "distinct tokens in the prompt", "units": "1"}),
}
DIMENSIONS = ("prompt", "shuffle", "layer", "scale", "k")
#: defaults: the largest range scaling, and the most neighbors of the overlap
SCALE_MAX, K_MAX = 256, 31


def check_scales(n_points, scale_max, k_max):
    """Raise ``InputError`` if clouds of ``n_points`` tokens are too small for what is asked of them."""
    for name, value, least in (("scale", scale_max, 2), ("k_max", k_max, 1)):
        if value < least:
            raise InputError(f"{name} {value} is too small: the smallest is {least}")
        if value > n_points - 1:
            raise InputError(f"{name} {value} exceeds N - 1 = {n_points - 1}: use more tokens or a lower one")


def open_results(path="standard"):
    """Open a survey.

    Parameters
    ----------
    path : path or "standard"
        A store written by :func:`survey`, or ``"standard"`` for the results in this repository.

    Returns
    -------
    xarray.Dataset
        In memory. Dimensions ``prompt, shuffle, layer, scale, k``; only complete prompts.

    Raises
    ------
    InputError
        If there is no such store, or it is not a survey of a schema this version reads.
    """
    import xarray as xr

    path = data_path("results", "standard.zarr") if str(path) == "standard" else Path(path)
    if not (path / "zarr.json").exists():
        raise InputError(f"no survey at {path}: run  tokengeom survey --out {path}")
    results = xr.open_zarr(path, consolidated=False).load()
    if results.attrs.get("schema") != SCHEMA:
        raise InputError(f"{path} has schema {results.attrs.get('schema')}, this version reads schema {SCHEMA}")
    missing = [name for name in (*VARIABLES, "complete") if name not in results]
    if missing or set(results.dims) != set(DIMENSIONS):
        raise InputError(f"{path} is not a complete survey: it lacks {', '.join(missing) or 'dimensions'}")
    return results.isel(prompt=results.complete.values.astype(bool)).drop_vars("complete")


def shuffled_prompts(results):
    """The prompts of a survey that were measured at every shuffle degree it holds."""
    return results.isel(prompt=results.loss.notnull().all("shuffle").values)


def relative_depth(layer, n_layers):
    """Depth of a layer between 0 (embeddings) and 1 (after the final norm), to compare models."""
    return layer / n_layers


PAPER_TABLES = ("profiles", "loss_correlation_50", "loss_correlation_2244", "structured_cosine_2244")
PAPER_LAYERS = 32


def open_paper(table="profiles"):
    """The paper's own numbers for Llama-3-8B, Mistral-7B and Pythia-6.9B.

    Parameters
    ----------
    table : str
        ``"profiles"``: mean and standard deviation over 50 prompts of every observable;
        ``"loss_correlation_50"`` and ``"loss_correlation_2244"``: Pearson r of intrinsic dimension
        and loss; ``"structured_cosine_2244"``. See ``data/paper/README.md``.

    Returns
    -------
    pandas.DataFrame
        With a column ``depth``, the layer over 32.
    """
    import pandas

    if table not in PAPER_TABLES:
        raise InputError(f"no table {table!r} of the paper: choose from {', '.join(PAPER_TABLES)}")
    frame = pandas.read_csv(data_path("paper", f"paper_{table}.csv"))
    return frame.assign(depth=relative_depth(frame.layer, PAPER_LAYERS))


def provenance(results):
    """The attributes of a survey that say how it was made, as a flat dictionary of strings."""
    keep = ("model", "model_fingerprint", "profile", "n_tokens", "seed", "dtype", "device")
    return {**{name: str(results.attrs[name]) for name in keep}, **json.loads(results.attrs["versions"])}
