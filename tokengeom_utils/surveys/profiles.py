"""Profiles: the parameters that a survey and all the chapters share."""

from pathlib import Path

import yaml

from ..errors import InputError

PROFILES = Path("notebooks", "profiles")
_KINDS = {
    "model": (str, list), "prompts": str, "n_prompts": int, "n_shuffled": int, "shuffles": list, "n_tokens": int,
    "scale_max": int, "k_max": int, "seed": int, "n_bootstrap": int,
}
_OPTIONAL = {"tokenizers": list, "device": str, "dtype": str, "batch": int}


def load_profile(name, project=".", **overrides):
    """Read a profile by name, or from a YAML file, and check it.

    Parameters
    ----------
    name : str or path
        ``"quick"``, ``"standard"``, ``"paper"``, or the path of a file like theirs.
    project : path
        Folder that holds ``notebooks/profiles``.
    **overrides
        Values that replace the profile's; None changes nothing.

    Returns
    -------
    dict
        With ``profile``, its name, beside the parameters.

    Raises
    ------
    InputError
        For an unknown profile, and for parameters that are unknown, missing or of the wrong kind.
    """
    folder = Path(project, PROFILES)
    path = folder / f"{name}.yml"
    if not path.is_file():
        path = Path(name)
        if path.suffix not in (".yml", ".yaml") or not path.is_file():
            known = ", ".join(sorted(p.stem for p in folder.glob("*.yml")))
            where = f"choose from {known}" if known else f"profiles lie in {PROFILES} of a checkout, run this in one"
            raise InputError(f"unknown profile {str(name)!r}: {where}, or give the path of a .yml file")
    try:
        parameters = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise InputError(f"{path} is not valid YAML: {str(error).splitlines()[0]}") from None
    if not isinstance(parameters, dict):
        raise InputError(f"{path} must hold a list of  name: value")
    parameters |= {key: value for key, value in overrides.items() if value is not None}
    for key in [*_KINDS, *parameters]:
        if key not in parameters:
            raise InputError(f"{path} lacks the parameter {key}")
        kinds = {**_KINDS, **_OPTIONAL}
        if key not in kinds:
            raise InputError(f"{path} has an unknown parameter {key}: known are {', '.join(kinds)}")
        if not isinstance(parameters[key], kinds[key]) or isinstance(parameters[key], bool):
            kind = getattr(kinds[key], "__name__", "str or list")
            raise InputError(f"{path}: {key} must be a {kind}, not {parameters[key]!r}")
    return {"profile": path.stem, **parameters}
