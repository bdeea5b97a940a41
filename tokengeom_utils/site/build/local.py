"""Paths of this machine: whole where a kernel needs them, and no more than a last name on a page."""

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from ...models.bundled import BUNDLED
from ...models.untrained import split_twin

#: Parameters that may name a file or a folder, and the values that never do.
PLACES = {"model": (BUNDLED,), "prompts": ("pocket", "pile-10k")}


def whole_paths(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Make the paths in a profile's parameters absolute: the chapters run in another folder.

    Parameters
    ----------
    parameters : mapping

    Returns
    -------
    dict
    """
    return {name: _whole(value, PLACES[name]) if name in PLACES else value for name, value in parameters.items()}


def _whole(value, known):
    """An absolute path for the name of a file or a folder; anything else as it is."""
    prefix, name = _split(str(value))
    path = Path(name).expanduser()
    return value if name in known or not path.exists() else prefix + str(path.resolve())


def _split(value):
    """A model's name, behind its prefix."""
    name, _ = split_twin(value)
    return value[: len(value) - len(name)], name


def shown(value: Any, hidden: Mapping[str, str]) -> Any:
    """Replace paths in all texts of a value, but not a short path inside a longer one or inside an address.

    Parameters
    ----------
    value : JSON value
    hidden : mapping
        From :func:`hidden_paths`.

    Returns
    -------
    JSON value
        Of the same type.
    """
    if isinstance(value, str):
        paths = "|".join(re.escape(path) + ("" if path.endswith(("/", "\\")) else r"(?![\w-])") for path in hidden)
        return re.sub(rf"(?:(?<![\w.~/\\-])|(?<=file://))(?:{paths})", lambda found: hidden[found[0]], value)
    if isinstance(value, dict):
        for key in value:
            value[key] = shown(value[key], hidden)
    elif isinstance(value, list):
        value[:] = [shown(one, hidden) for one in value]
    return value


def hidden_paths(given: Mapping[str, Any], *folders: Path) -> dict[str, str]:
    """Find what must not appear on a page.

    Parameters
    ----------
    given : mapping
        The values of a chapter's parameters.
    *folders : path
        Of the build: what lies in them is shown relative to them.

    Returns
    -------
    dict of str to str
        Replacements by path, the longest first: a file or folder by its last name. Paths are also there as they stand
        in a source, with doubled backslashes.
    """
    values = [one for value in given.values() for one in (value if isinstance(value, list) else [value])]
    names = [_split(value)[1] for value in values if isinstance(value, str)]
    found = {name: Path(name).name for name in names if os.path.isabs(name) and Path(name).name}
    for folder in folders:
        found |= {f"{folder}{os.sep}": "", str(folder): folder.name}
    results = str(given.get("results", ""))
    if any(str(folder) in results for folder in folders):  # relative, but by way of the root
        found[results] = "/".join(PurePosixPath(results).parts[-2:])
    found |= {json.dumps(path)[1:-1]: name for path, name in found.items()}
    return {path: found[path] for path in sorted(found, key=len, reverse=True)}
