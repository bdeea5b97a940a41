"""Surveys in the formats of other programs: CSV, Parquet, NetCDF, or one compact Zarr store."""

import os
import shutil
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import InputError
from ..paths import local_path
from .files import scratch
from .layout import held_variables, pack
from .lock import check_writable

if TYPE_CHECKING:
    import pandas
    import xarray as xr

TABLES = (".csv", ".parquet")  #: endings of a tidy table
FORMATS = {".csv": "pandas", ".parquet": "pyarrow", ".nc": "h5netcdf", ".zarr": "zarr"}  #: packages that write them


def check_export(path: str | Path, endings: Sequence[str] = tuple(FORMATS), name: str = "") -> Path:
    """Check, before any work, that a file can be written in the format of its ending.

    Parameters
    ----------
    path : path
    endings : sequence of str
        The formats to choose from.
    name : str
        The option in the error.

    Returns
    -------
    pathlib.Path
        With ``~`` expanded.

    Raises
    ------
    InputError
        If the ending is another, the package that writes the format is not installed, or nothing can be written there.

    Examples
    --------
    >>> check_export("survey.CSV").name
    'survey.CSV'
    """
    path = local_path(path, name or "the file")
    ending = path.suffix.lower()
    if ending not in endings:
        listed = f"{', '.join(endings[:-1])} or {endings[-1]}"
        raise InputError(f"{name or 'cannot export to'} {path}: its name must end in {listed}")
    if find_spec(FORMATS[ending]) is None:
        raise InputError(f"{ending} files need the package {FORMATS[ending]}: pip install {FORMATS[ending]}")
    check_writable(path, f"choose another {name or 'folder'}", path.parent)
    return path


def export(results: "xr.Dataset", path: str | Path, replace: bool = False) -> None:
    """Write a survey for other programs; the ending of ``path`` selects the format.

    Parameters
    ----------
    results : xarray.Dataset
        From :func:`tokengeom_utils.open_results`; any selection of its prompts.
    path : path
        ``.csv`` or ``.parquet``: a tidy table, one value per row, with the columns variable, prompt, domain, shuffle,
        layer, scale, k and value; values that were not measured are left out. ``.nc``: NetCDF 4. ``.zarr``: a store of
        few files, compressed as a whole, that :func:`tokengeom_utils.open_results` reads. Missing folders above it are
        made.
    replace : bool
        Replace the file at ``path``, once the new one is whole.

    Raises
    ------
    InputError
        If the ending is another, something exists at ``path`` or nothing can be written there, nothing is measured, or
        the package that writes the format is not installed.

    See Also
    --------
    open_results : opens a survey.
    survey : measures one.

    Notes
    -----
    Introduced in the chapter *What a survey costs*.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import tokengeom_utils as tg
    >>> path = Path(tempfile.mkdtemp(), "part.zarr")
    >>> tg.export(tg.open_results("untrained").isel(prompt=slice(3)), path)
    >>> tg.open_results(path).sizes["prompt"]
    3
    """
    path = check_export(path)
    writers = {".csv": _to_csv, ".parquet": _to_parquet, ".nc": _to_netcdf, ".zarr": pack}
    if path.exists() and not (replace and path.is_file()):
        raise InputError(f"{path} exists: delete it or choose another name")
    if not results.sizes["prompt"]:
        raise InputError("there is nothing to export: no prompt of the survey is complete")
    aside = scratch(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        writers[path.suffix.lower()](results, aside)
        os.replace(aside, path)
    except OSError as error:
        raise InputError(f"{path} cannot be written ({error.strerror or error}): choose another folder") from error
    finally:
        if aside.is_dir():
            shutil.rmtree(aside)
        elif aside.exists():
            aside.unlink()


def _to_csv(results, path):
    """Write the tidy table as text, in UTF-8."""
    tidy(results).to_csv(path, index=False, encoding="utf-8", lineterminator="\n")


def _to_parquet(results, path):
    """Write the tidy table."""
    tidy(results).to_parquet(path, index=False)


def _to_netcdf(results, path):
    """Write NetCDF, with texts in a type that it supports."""
    text = {name: results[name].astype(object) for name in ("prompt", "domain", "sha256")}
    encoding = {name: {"zlib": True, "shuffle": True, "complevel": 9} for name in results.data_vars}
    results.assign_coords(text).to_netcdf(path, engine="h5netcdf", encoding=encoding)


def tidy(results: "xr.Dataset") -> "pandas.DataFrame":
    """Return a survey as a table with one value per row.

    Parameters
    ----------
    results : xarray.Dataset
        From :func:`tokengeom_utils.open_results`.

    Returns
    -------
    pandas.DataFrame
        The columns of :func:`export`.

    Examples
    --------
    >>> import tokengeom_utils as tg
    >>> table = tidy(tg.open_results("untrained").isel(prompt=slice(2)))
    >>> table.query("variable == 'loss'")[["prompt", "shuffle"]].head(2).values.tolist()
    [['speech-00', 0], ['speech-00', 1]]
    """
    import pandas

    frames = []
    for name in held_variables(results):
        frame = results[name].to_dataframe(name="value").dropna(subset="value").reset_index()
        frames.append(frame.assign(variable=name))
    table = pandas.concat(frames, ignore_index=True)
    for name in ("layer", "scale", "k"):
        table[name] = table[name].astype("Int32")
    for name in ("variable", "prompt", "domain"):
        table[name] = table[name].astype(str).astype("category")
    # dimensions that a newer version added
    more = [name for name in results.dims if name not in ("prompt", "shuffle", "layer", "scale", "k")]
    return table[["variable", "prompt", "domain", "shuffle", "layer", "scale", "k", *more, "value"]]
