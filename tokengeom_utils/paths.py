"""Locations of the project's data and of downloaded models."""

import os
from pathlib import Path

_PACKAGE = Path(__file__).parent


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

    The cache is ``$TOKENGEOM_CACHE``, else ``$XDG_CACHE_HOME/tokengeom``, else ``~/.cache/tokengeom``.

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
    base = Path(own) if own else Path(shared or Path.home() / ".cache") / "tokengeom"
    return base.joinpath(*parts)
