"""Surveys in the formats of other programs: Parquet, NetCDF, or one compact Zarr store."""

import os
import shutil
from importlib.util import find_spec
from pathlib import Path

from ..errors import InputError
from ..schema import OBSERVABLES
from .store import pack


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
    for name in results.data_vars.keys() & OBSERVABLES.keys():
        frame = results[name].to_dataframe(name="value").dropna(subset="value").reset_index()
        frames.append(frame.assign(variable=name))
    table = pandas.concat(frames, ignore_index=True)
    for name in ("layer", "scale", "k"):
        table[name] = table[name].astype("Int32")
    for name in ("variable", "prompt", "domain"):
        table[name] = table[name].astype(str).astype("category")
    return table[["variable", "prompt", "domain", "shuffle", "layer", "scale", "k", "value"]]
