"""Whether a store fits a request: the same survey, with arrays of the right sizes."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from ..errors import InputError
from ..schema import OBSERVABLES
from .metadata import attributes, exists, open_group
from .request import UNRECORDED, Request


class Misfit(NamedTuple):
    """An array whose shape differs from the one that follows from the request."""

    name: str
    found: tuple[int, ...]
    wanted: tuple[int, ...]


def misfits(arrays: Mapping[Any, Any], request: Request) -> Iterator[Misfit]:
    """Yield the arrays whose shapes do not follow from the request; observables not in the table are skipped.

    Parameters
    ----------
    arrays : mapping of str to array
        The arrays of a store by name.
    request : dict
        From :func:`tokengeom_utils.surveys.request.make_request`.

    Yields
    ------
    Misfit
    """
    sizes = {
        "prompt": len(request["prompts"]),
        "shuffle": len(request["shuffles"]),
        "k": request["k_max"],
        "scale": request["scale_max"].bit_length() - 1,
        "layer": arrays["layer"].size,
    }
    all_dims = {
        **{name: (name,) for name in sizes},
        "domain": ("prompt",),
        "sha256": ("prompt",),
        "run": ("prompt",),
        **{name: ("prompt", "shuffle", *row.dims) for name, row in OBSERVABLES.items()},
    }
    for name, dims in all_dims.items():
        wanted = tuple(sizes[dim] for dim in dims)
        if name in arrays and arrays[name].shape != wanted:
            yield Misfit(name, arrays[name].shape, wanted)


def check_free(path: Path) -> None:
    """Raise ``InputError`` if there is no store at ``path`` and none can be made there."""
    if exists(path):
        return
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise InputError(f"{path} exists and is not a survey store: choose another --out")
    here = Path.cwd()
    if path.resolve() in (here, *here.parents):
        raise InputError(f"{path} is the current folder or contains it: name a new store, such as survey.zarr")


def check_same(path: str | Path, request: Request) -> None:
    """Raise ``InputError`` if ``path`` holds anything but a survey made for this request.

    Parameters
    ----------
    path : path
    request : dict
        From :func:`tokengeom_utils.surveys.request.make_request`.

    Raises
    ------
    InputError
        Names the first difference.
    """
    path = Path(path)
    check_free(path)
    if not exists(path):
        return
    found_there = attributes(open_group(path))
    if "request" not in found_there:
        raise InputError(f"{path} exists and is not a survey store: choose another --out")
    made = json.loads(found_there["request"])
    for name, wanted in request.items():
        if (found := made.get(name, UNRECORDED.get(name))) != wanted:
            verb = "are" if isinstance(wanted, list) else "is"
            found, wanted = _difference(found, wanted)
            raise InputError(
                f"{path} holds another survey: its {name} {verb} {found}, not {wanted}; delete it or choose another "
                "--out"
            )


def _difference(found, wanted):
    """Describe two values; of long lists, only the first difference."""
    if not isinstance(wanted, list) or not isinstance(found, list) or len(str(wanted)) < 80:
        return found, wanted
    if len(found) != len(wanted):
        return f"{len(found)}", f"the {len(wanted)} requested"
    number, a, b = next((i, a, b) for i, (a, b) in enumerate(zip(found, wanted, strict=True)) if a != b)
    return f"others (number {number + 1} is {a[0]} with hash {a[1][:8]})", f"those requested ({b[0]}, {b[1][:8]})"
