"""Metadata of a store: its Zarr group, its arrays, its attributes, and the observables that it holds."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from ..errors import InputError
from ..schema import UNRECORDED
from .files import write

if TYPE_CHECKING:
    import zarr

COORDINATES = {
    "shuffle": {"long_name": "shuffle degree", "units": "1"},
    "layer": {"long_name": "layer; 0 the embeddings, the last after the final norm", "units": "1"},
    "scale": {"long_name": "range scaling n2 = 2 n1", "units": "1"},
    "k": {"long_name": "number of neighbors of the overlap", "units": "1"},
    "prompt": {"long_name": "prompt"},
    "domain": {"long_name": "domain"},
    "sha256": {"long_name": "SHA-256 of the text"},
}  #: the coordinates of every store, with their attributes


def exists(path: str | Path) -> bool:
    """Return whether there is a Zarr group at ``path``."""
    return (Path(path) / "zarr.json").is_file()


def what_is(path: str | Path) -> str:
    """Describe what lies at a path that holds no survey; empty if nothing does.

    Parameters
    ----------
    path : path

    Returns
    -------
    str

    Examples
    --------
    >>> import tempfile
    >>> what_is(tempfile.mkdtemp())
    'an empty folder'
    """
    path = Path(path)
    if not path.exists():
        return ""
    if not path.is_dir():
        return "a file"
    if not any(path.iterdir()):
        return "an empty folder"
    if (path / ".zarray").is_file() or (path / ".zgroup").is_file():
        return "a Zarr store of version 2"
    if not exists(path):
        return "a folder without zarr.json"
    try:
        document = json.loads((path / "zarr.json").read_text(encoding="utf-8"))
        return f"a Zarr {document['node_type']}"
    except (ValueError, KeyError, TypeError):
        return "a Zarr store with damaged metadata"


def check_is_group(path: Path) -> None:
    """Raise ``InputError`` if there is anything but a Zarr group at a path; nothing may be there."""
    found = what_is(path)
    if found not in ("", "a Zarr group", "a Zarr store with damaged metadata"):
        raise InputError(f"{path} is {found}, not a survey: check the path")


def open_group(path: str | Path, mode: Literal["r", "r+"] = "r") -> "zarr.Group":
    """Open the Zarr group at ``path``.

    Raises
    ------
    InputError
        If its metadata are damaged.
    """
    import zarr

    try:
        return zarr.open_group(path, mode=mode, use_consolidated=False)
    except PermissionError as error:
        raise InputError(f"{error.filename or path} cannot be read: {error.strerror}") from None
    except (ValueError, KeyError, json.JSONDecodeError) as error:
        raise InputError(f"the metadata of {path} are damaged: {str(error).splitlines()[0]}") from None


def observed(arrays: Mapping[str, Any]) -> dict[str, Any]:
    """Return those of a store's arrays that are written prompt by prompt, ``run`` last."""
    return {name: array for name, array in arrays.items() if name not in COORDINATES}


def folder(group: "zarr.Group") -> Path:
    """Return the folder of a store on this machine."""
    return Path(cast(Any, group.store).root, group.path)


def attributes(group: "zarr.Group") -> dict[str, Any]:
    """Return the attributes of a group, JSON values by name."""
    return dict(group.attrs)


def variables(group: "zarr.Group") -> tuple[str, ...]:
    """Return the names of the observables that a store holds: those it records, else those of the first version."""
    return tuple(attributes(group).get("variables", UNRECORDED))


def runs(group: "zarr.Group") -> list[dict[str, Any]]:
    """Return the provenance of each run that wrote to a store."""
    return json.loads(attributes(group)["runs"])


def open_arrays(path: str | Path, mode: Literal["r", "r+"] = "r") -> "tuple[zarr.Group, dict[str, Any]]":
    """Open the Zarr group at ``path`` and all its arrays: the coordinates, the observables it holds, and ``run``.

    Raises
    ------
    InputError
        If the metadata of the group or of an array are damaged or missing.
    """
    group = open_group(path, mode)
    arrays: dict[str, Any] = {}
    for name in (*COORDINATES, *variables(group), "run"):
        try:
            arrays[name] = group[name]
        except PermissionError as error:
            raise InputError(f"{error.filename or path} cannot be read: {error.strerror}") from None
        except Exception as error:  # zarr raises whatever its parsers raise
            what = "missing" if isinstance(error, KeyError) else "damaged"
            raise InputError(
                f"the metadata of {path} are damaged: {name}/zarr.json is {what}; restore that file from "
                "a copy of the store, or delete the store"
            ) from None
    return group, arrays


def set_attribute(path: Path, name: str, value: Any) -> None:
    """Set an attribute of the group at ``path``, and wait until it is on the disk; Zarr would not wait."""
    file = path / "zarr.json"
    document = json.loads(file.read_text(encoding="utf-8"))
    document["attributes"][name] = value
    write(file, json.dumps(document, indent=2).encode())
