"""Profiles: the parameters shared by a survey and all chapters."""

from pathlib import Path
from typing import Any

import yaml

from ..errors import InputError

PROFILES = Path("notebooks", "profiles")  #: their folder in a checkout
_KINDS = {
    "model": (str, list),
    "prompts": str,
    "n_prompts": int,
    "n_shuffled": int,
    "shuffles": list,
    "n_tokens": int,
    "scale_max": int,
    "k_max": int,
    "seed": int,
    "n_bootstrap": int,
}
_OPTIONAL = {"tokenizers": list, "device": str, "dtype": str, "batch": int}


def load_profile(name: str | Path, project: str | Path = ".", **overrides: Any) -> dict[str, Any]:
    """Read a profile by its name, or from a YAML file, and check it.

    Parameters
    ----------
    name : str or path
        ``"quick"``, ``"standard"``, ``"paper"``, or the path of a file like theirs.
    project : path
        Folder that contains ``notebooks/profiles``.
    **overrides
        Values that replace the profile's; None changes nothing.

    Returns
    -------
    dict
        The parameters, and the name of the profile as ``profile``.

    Raises
    ------
    InputError
        If there is no such profile, or a parameter is unknown, missing, or of the wrong kind.

    Notes
    -----
    The page *Rerun it* describes the profiles.

    Examples
    --------
    >>> import tempfile
    >>> from tokengeom_utils.paths import data_path
    >>> load_profile("quick", data_path().parent, n_tokens=256)["n_tokens"]
    256
    """
    path = _find(name, Path(project, PROFILES))
    try:
        parameters = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise InputError(f"{path} is not valid YAML: {str(error).splitlines()[0]}") from None
    if not isinstance(parameters, dict):
        raise InputError(f"{path} must hold a list of  name: value")
    parameters |= {key: value for key, value in overrides.items() if value is not None}
    _check(parameters, path)
    return {"profile": path.stem, **parameters}


def _find(name, folder):
    """The file of a profile."""
    path = folder / f"{name}.yml"
    if path.is_file():
        return path
    path = Path(name)
    if path.suffix not in (".yml", ".yaml") or not path.is_file():
        known = ", ".join(sorted(p.stem for p in folder.glob("*.yml")))
        where = f"choose from {known}" if known else f"profiles lie in {PROFILES} of a checkout, run the command there"
        raise InputError(f"unknown profile {str(name)!r}: {where}, or give the path of a .yml file")
    return path


def _check(parameters, path):
    """Raise ``InputError`` for a parameter that is unknown, missing, or of the wrong kind."""
    kinds = {**_KINDS, **_OPTIONAL}
    for key in [*_KINDS, *parameters]:
        if key not in parameters:
            raise InputError(f"{path} lacks the parameter {key}")
        if key not in kinds:
            raise InputError(f"{path} has an unknown parameter {key}: known are {', '.join(kinds)}")
        if not isinstance(parameters[key], kinds[key]) or isinstance(parameters[key], bool):
            kind = getattr(kinds[key], "__name__", "str or list")
            raise InputError(f"{path}: {key} must be a {kind}, not {parameters[key]!r}")
