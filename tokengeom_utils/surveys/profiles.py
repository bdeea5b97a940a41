"""Profiles: the parameters shared by a survey and all chapters."""

from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import yaml

from ..errors import InputError
from .parameters import PARAMETERS, problem

PROFILES = Path("notebooks", "profiles")  #: their folder in a checkout
_PACKAGE = Path(__file__).parents[1]
#: Where they lie for a command outside a checkout: in a wheel, or in the checkout that is installed.
_INSTALLED = (_PACKAGE / "profiles", _PACKAGE.parent / PROFILES)
DEFAULTS = "quick"  #: the profile whose values count for whatever another one leaves out


def load_profile(name: str | Path | None = None, project: str | Path = ".", **overrides: Any) -> dict[str, Any]:
    """Read a profile by its name, or from a YAML file, and check it.

    Parameters
    ----------
    name : str or path, optional
        ``"quick"``, ``"standard"``, ``"paper"``, or the path of a file like theirs. None: no profile, only defaults.
    project : path
        Folder that contains ``notebooks/profiles``; outside a checkout, the profiles that were installed count.
    **overrides
        Values that replace the profile's; None changes nothing.

    Returns
    -------
    dict
        The parameters, and the name of the profile as ``profile``. What a profile leaves out is as in ``quick``; but if
        it has prompts of its own and no number of them, ``n_prompts`` is None: all of them.

    Raises
    ------
    InputError
        If there is no such profile, it cannot be read, or a parameter is unknown or has an impossible value.

    Notes
    -----
    The page *Rerun it* describes the profiles.

    Examples
    --------
    >>> load_profile("quick", n_tokens=256)["n_tokens"]
    256
    >>> load_profile(prompts="my-essays")["n_prompts"] is None
    True
    """
    folders = [Path(project, PROFILES), *_INSTALLED]
    defaults = _read(_find(DEFAULTS, folders))
    path = None if name is None else _find(name, folders)
    own = {} if path is None else _read(path)
    given = {key: value for key, value in overrides.items() if value is not None}
    _check(given, "the options")
    parameters = dict(defaults)
    for values in (own, given):
        if "prompts" in values:
            parameters["n_prompts"] = None  # the number so far was that of other prompts
        parameters |= values
    return {"profile": path.stem if path else "", **parameters}


def _find(name, folders):
    """The file of a profile."""
    named = [folder / f"{name}.yml" for folder in folders]
    path = next((path for path in named if path.is_file()), Path(name).expanduser())
    if path.is_dir():
        raise InputError(f"{path} is a folder: name a profile, or the path of a .yml file")
    if path.suffix not in (".yml", ".yaml"):
        known = sorted({path.stem for folder in folders for path in folder.glob("*.yml")})
        choice = f"{_meant(str(name), known)}: choose from {', '.join(known)}, or give the path of a .yml file"
        raise InputError(f"unknown profile {str(name)!r}{choice}")
    if not path.is_file():
        raise InputError(f"there is no profile {path}: check the path")
    return path


def _read(path):
    """The parameters in a file, checked."""
    try:
        parameters = yaml.load(path.read_bytes().decode("utf-8-sig"), _Loader)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from None
    except UnicodeDecodeError as error:
        line = 1 + error.object[: error.start].count(b"\n")
        raise InputError(
            f"{path}, line {line}: the byte 0x{error.object[error.start]:02x} is not UTF-8: save the file as UTF-8"
        ) from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        why = getattr(error, "problem", None) or str(error) or type(error).__name__
        raise InputError(f"{path}{where} is not valid YAML: {' '.join(why.split())}") from None
    if not isinstance(parameters, dict):
        raise InputError(f"{path} must hold lines such as  n_tokens: 1024")
    _check(parameters, str(path))
    return parameters


def _check(parameters: Mapping[Any, Any], where: str) -> None:
    """Raise ``InputError`` for a parameter that is unknown or has an impossible value."""
    for key, value in parameters.items():
        if key not in PARAMETERS:
            meant = _meant(str(key), PARAMETERS)
            raise InputError(f"{where}: unknown parameter {key}{meant or ': known are ' + ', '.join(PARAMETERS)}")
        if wrong := problem(key, value):
            raise InputError(f"{where}: {wrong}")


def _meant(name, known):
    """The known name that a wrong one resembles, as a question."""
    near = get_close_matches(name.lower(), known, 1)
    return f" (did you mean {near[0]}?)" if near else ""


class _Loader(yaml.SafeLoader):
    """A YAML reader that refuses a name given twice, of which YAML would silently take the last."""

    def construct_mapping(self, node, deep=False):
        names = [self.construct_object(key, deep=True) for key, _ in node.value]
        for name in names:
            if names.count(name) > 1:
                raise yaml.constructor.ConstructorError(None, None, f"{name} is there twice", node.start_mark)
        return super().construct_mapping(node, deep)
