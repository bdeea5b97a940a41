"""Checks of a store on disk: which prompts are complete, and which chunks are missing or damaged."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import numpy as np

from .chunks import each_chunk, fault
from .metadata import COORDINATES, open_arrays, runs

if TYPE_CHECKING:
    import zarr


class Fault(NamedTuple):
    """A missing or damaged chunk."""

    file: str  #: below the store
    prompts: slice | None  #: places of the prompts that it holds; None: of all
    what: str  #: "missing", "damaged", or why it is unreadable


def measured(group: "zarr.Group") -> np.ndarray:
    """Return which prompts of a store are complete.

    A damaged mark counts as none, and so does one of a run that is not listed.

    Parameters
    ----------
    group : zarr.Group
        In a folder of this machine.

    Returns
    -------
    numpy.ndarray of bool, shape (prompt,)
    """
    run, folder = cast(Any, group["run"]), Path(cast(Any, group.store).root, group.path, "run")
    values = np.full(run.shape, -1)
    sound = [prompts for chunk, prompts in each_chunk(run) if fault(folder / chunk) in (None, "missing")]
    for prompts in [slice(None)] if len(sound) == run.nchunks else sound:  # all at once where all are sound
        values[prompts] = run[prompts]
    return (values >= 0) & (values < len(runs(group)))


def faults(path: str | Path) -> list[Fault]:
    """Find every missing or damaged chunk of the measured prompts.

    Parameters
    ----------
    path : path
        A store.

    Returns
    -------
    list of Fault
    """
    path = Path(path)
    group, arrays = open_arrays(path)
    done = measured(group)
    found = []
    for name, array in sorted(arrays.items()):
        for chunk, prompts in each_chunk(array):
            is_shared = name in COORDINATES
            if not is_shared and not done[prompts].any() and not (name == "run" and (path / name / chunk).exists()):
                continue
            if what := fault(path / name / chunk):
                found.append(Fault(f"{name}/{chunk}", None if is_shared else prompts, what))
    return found


def absent(path: str | Path, arrays: Mapping[str, Any], done: np.ndarray) -> str | None:
    """Find a chunk of a measured prompt that has no file, by listing the folders only.

    Parameters
    ----------
    path : path
        A store.
    arrays : mapping of str to zarr.Array
        Its arrays by name.
    done : array of bool, shape (prompt,)
        Which prompts are measured.

    Returns
    -------
    str or None
        The first such file, below the store.
    """
    for name, array in arrays.items():
        folder = Path(path, name)
        chunks = [chunk for chunk, prompts in each_chunk(array) if name in COORDINATES or done[prompts].any()]
        there = set(os.listdir(folder))  # fast where there are thousands
        for chunk in chunks:
            if chunk not in there and not (folder / chunk).is_file():  # chunks of coordinates are in subfolders
                return f"{name}/{chunk}"
    return None
