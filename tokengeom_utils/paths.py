"""Locations of the project's data and of downloaded models."""

import errno
import os
import re
from pathlib import Path

from .errors import InputError

_PACKAGE = Path(__file__).parent
#: s3://bucket, gs://bucket, https://host; a Path keeps one slash, or on Windows one backslash; one letter is a drive
_ADDRESS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):[/\\]+")


def local_path(path: str | os.PathLike[str], name: str = "the path") -> Path:
    """Return a path on this machine, with ``~`` expanded; refuse addresses.

    Parameters
    ----------
    path : str or path
    name : str
        The option or the kind of file in the error.

    Returns
    -------
    pathlib.Path

    Raises
    ------
    InputError
        If it is an address, such as ``s3://bucket/survey.zarr``, or its ``~`` names no home folder.

    Examples
    --------
    >>> local_path("~/survey.zarr") == Path.home() / "survey.zarr"
    True
    >>> local_path("s3://bucket/survey.zarr", "--out")
    Traceback (most recent call last):
    ...
    tokengeom_utils.errors.InputError: --out s3://bucket/survey.zarr is an address: use a file or folder on this machine
    """
    text = os.fspath(path)
    if address := _ADDRESS.match(text):
        whole = f"{address[1]}://{text[address.end() :]}"
        raise InputError(f"{name} {whole} is an address: use a file or folder on this machine")
    expanded = os.path.expanduser(text)
    if expanded.startswith("~") and not os.path.exists(expanded):
        start = re.split(r"[/\\]", text)[0]
        raise InputError(f"{name} {text} begins with {start}, which is no home folder here: write the whole path")
    return Path(expanded)


def data_path(*parts: str) -> Path:
    """Return the path of a file in the project's ``data`` folder, in a checkout or in an installed package.

    Parameters
    ----------
    *parts : str
        Path components below ``data``.

    Returns
    -------
    pathlib.Path

    Examples
    --------
    >>> data_path("pocket.csv").is_file()
    True
    """
    installed = _PACKAGE / "data"
    return (installed if installed.exists() else _PACKAGE.parent / "data").joinpath(*parts)


def cache_path(*parts: str) -> Path:
    """Return a path in the user's cache; it need not exist.

    The cache is ``$TOKENGEOM_CACHE``, else ``$XDG_CACHE_HOME/tokengeom``, else ``~/.cache/tokengeom``, on Windows too.

    Parameters
    ----------
    *parts : str
        Path components below the cache.

    Returns
    -------
    pathlib.Path

    Examples
    --------
    >>> cache_path("models", "smollm2-135m").name
    'smollm2-135m'
    """
    own, shared = os.environ.get("TOKENGEOM_CACHE"), os.environ.get("XDG_CACHE_HOME")
    base = (
        local_path(own, "TOKENGEOM_CACHE") if own else local_path(shared or "~/.cache", "XDG_CACHE_HOME") / "tokengeom"
    )
    return base.joinpath(*parts)


def unwritable(what: str, folder: str | Path, error: OSError, variable: str = "TOKENGEOM_CACHE") -> str:
    """Explain in one line why something cannot be written to a cache, and what to do.

    Parameters
    ----------
    what : str
        What was to be written.
    folder : path
        The cache.
    error : OSError
        The failure.
    variable : str
        The environment variable that moves the cache.

    Returns
    -------
    str

    Examples
    --------
    >>> unwritable("the model", "/cache", OSError(errno.ENOSPC, "No space left on device"))
    'no space left for the model in /cache: free some, or set TOKENGEOM_CACHE to a folder on another disk'
    """
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"no space left for {what} in {folder}: free some, or set {variable} to a folder on another disk"
    return f"{what} cannot be written to {folder} ({error.strerror or error}): set {variable} to a folder of your own"


def make_folder(folder: Path) -> Path:
    """Make a folder of the user's cache, with those above it.

    Parameters
    ----------
    folder : pathlib.Path
        From :func:`cache_path`.

    Returns
    -------
    pathlib.Path

    Raises
    ------
    InputError
        If it cannot be made or written; the message states the folder that is in the way.

    Examples
    --------
    >>> import tempfile
    >>> make_folder(Path(tempfile.mkdtemp(), "models")).is_dir()
    True
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        in_the_way = next((place for place in (folder, *folder.parents) if os.path.lexists(place)), folder)
        why = "is a file" if isinstance(error, FileExistsError | NotADirectoryError) else error.strerror
        raise InputError(unwritable("cached files", folder, OSError(error.errno, f"{in_the_way}: {why}"))) from None
    if not os.access(folder, os.W_OK | os.X_OK):
        raise InputError(unwritable("cached files", folder, OSError(errno.EACCES, "no permission")))
    return folder
