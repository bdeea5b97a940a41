"""Results: what a survey stores, how to open it, and the paper's own numbers beside it."""

import json
import os
import shutil
from importlib.util import find_spec
from pathlib import Path

from .errors import InputError
from .paths import data_path

SCHEMA = 3
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
    "logit_dimension": (
        ("scale",), {"long_name": "intrinsic dimension of the logits (GRIDE)", "units": "1"}),
    "logit_dimension_error": (
        ("scale",), {"long_name": "standard error of the intrinsic dimension of the logits", "units": "1"}),
    "loss": ((), {"long_name": "mean next-token loss", "units": "nat"}),
    "entropy": ((), {"long_name": "mean entropy of the next-token distribution", "units": "nat"}),
    "top_mass": ((), {"long_name": "mean probability of the seven likeliest next tokens together", "units": "1"}),
    "top_entropy": ((), {"long_name": "mean part of the entropy from the seven likeliest next tokens", "units": "nat"}),
    "top_width": (
        (), {"long_name": "mean difference between the first and the seventh largest logit", "units": "1"}),
    "distinct_tokens": ((), {"long_name": "distinct tokens in the prompt", "units": "1"}),
    "bleu": ((), {"long_name": "BLEU score of the prompt against itself in order", "units": "1"}),
}
COMMITTED = ("standard", "untrained")
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

    from .store import absent, open_arrays, open_group

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


def export(results, path):
    """Write a survey for other programs, by the ending of ``path``.

    Parameters
    ----------
    results : xarray.Dataset
        From :func:`open_results`.
    path : path
        ``.parquet``: a tidy table, one value a row, with the columns variable, prompt, domain, shuffle, layer, scale,
        k and value; what was not measured is left out. ``.nc``: NetCDF 4. ``.zarr``: a store of few files,
        compressed as a whole, that :func:`open_results` reads.

    Raises
    ------
    InputError
        For another ending, if something exists at ``path``, or if the package that writes it is not installed.
    """
    from .store import pack

    path = Path(path)
    writers = {".parquet": (_to_parquet, "pyarrow"), ".nc": (_to_netcdf, "h5netcdf"), ".zarr": (pack, "zarr")}
    if path.suffix not in writers:
        raise InputError(f"cannot export to {path}: its name must end in .parquet, .nc or .zarr")
    write, package = writers[path.suffix]
    if find_spec(package) is None:
        raise InputError(f"{path.suffix} files need the package {package}: pip install {package}")
    if path.exists():
        raise InputError(f"{path} exists: delete it or choose another name")
    if not results.sizes["prompt"]:
        raise InputError("there is nothing to export: no prompt of the survey is complete")
    aside = path.with_name(f".{path.name}.making-{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write(results, aside)
        os.replace(aside, path)
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror or error}") from error
    finally:
        if aside.is_dir():
            shutil.rmtree(aside)
        elif aside.exists():
            aside.unlink()


def _to_parquet(results, path):
    tidy(results).to_parquet(path, index=False)


def _to_netcdf(results, path):
    text = {name: results[name].astype(object) for name in ("prompt", "domain", "sha256")}
    encoding = {name: {"zlib": True, "shuffle": True, "complevel": 9} for name in results.data_vars}
    results.assign_coords(text).to_netcdf(path, engine="h5netcdf", encoding=encoding)


def tidy(results):
    """A survey as a pandas.DataFrame with one value a row: see :func:`export`."""
    import pandas

    frames = []
    for name in VARIABLES:
        frame = results[name].to_dataframe(name="value").dropna(subset="value").reset_index()
        frames.append(frame.assign(variable=name))
    table = pandas.concat(frames, ignore_index=True)
    for name in ("layer", "scale", "k"):
        table[name] = table[name].astype("Int32")
    for name in ("variable", "prompt", "domain"):
        table[name] = table[name].astype(str).astype("category")
    return table[["variable", "prompt", "domain", "shuffle", "layer", "scale", "k", "value"]]


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
    """How a survey was made, by its last run if there were several, as a flat dictionary of strings."""
    made = {name: str(results.attrs[name])
            for name in ("model", "model_fingerprint", "profile", "n_tokens", "seed", "dtype")}
    last = json.loads(results.attrs["runs"])[-1]
    return {**made, "device": last["device"], "commit": last["commit"], **last["versions"]}
