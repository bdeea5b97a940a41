"""Where the project's data lie, and where downloaded models are kept."""

import os
from pathlib import Path

_PACKAGE = Path(__file__).parent


def data_path(*parts):
    """A file of the project's ``data`` folder, in a checkout or in an installed package."""
    installed = _PACKAGE / "data"
    return (installed if installed.exists() else _PACKAGE.parent / "data").joinpath(*parts)


def cache_path(*parts):
    """A place in the user's cache: $TOKENGEOM_CACHE, else $XDG_CACHE_HOME/tokengeom, else ~/.cache/tokengeom."""
    base = os.environ.get("TOKENGEOM_CACHE")
    if not base:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tokengeom"
    return Path(base).joinpath(*parts)
