"""Checks of a store on disk: which prompts are complete, and what is missing or damaged."""

import os
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import numpy as np

from . import journal
from .chunks import each_chunk, fault
from .journal import Journal
from .metadata import COORDINATES, open_arrays, runs

if TYPE_CHECKING:
    import zarr


class Fault(NamedTuple):
    """A missing or damaged chunk, or a journal with damaged records."""

    file: str  #: below the store
    prompts: list[int] | None  #: places of the prompts that are lost with it, where they are known; None: of all
    what: str  #: "missing", "damaged", or why it is unreadable


def open_journal(path: str | Path, n_prompts: int, check: bool = True) -> Journal:
    """Read the journal of the store at ``path``; see :class:`~tokengeom_utils.surveys.journal.Journal`."""
    return Journal(Path(path, journal.NAME), n_prompts, check)


def measured(group: "zarr.Group") -> np.ndarray:
    """Return which prompts of a store are complete: those in its chunks, and those in its journal.

    A damaged entry of ``run`` counts as none, and so does one of a run that is not listed.

    Parameters
    ----------
    group : zarr.Group
        In a folder of this machine.

    Returns
    -------
    numpy.ndarray of bool, shape (prompt,)
    """
    with open_journal(_path(group), cast(Any, group["run"]).shape[0]) as found:  # first: it may become chunks
        return listed(found.runs, group) | in_chunks(group)


def _path(group):
    """The folder of a store."""
    return Path(cast(Any, group.store).root, group.path)


def listed(run: np.ndarray, group: "zarr.Group") -> np.ndarray:
    """Return which numbers are those of a run of the store."""
    return (run >= 0) & (run < len(runs(group)))


def in_chunks(group: "zarr.Group") -> np.ndarray:
    """Return which prompts are complete in the chunks, as :func:`measured`."""
    run, folder = cast(Any, group["run"]), _path(group) / "run"
    values = np.full(run.shape, -1)
    sound = [prompts for chunk, prompts in each_chunk(run) if fault(folder / chunk) in (None, "missing")]
    for prompts in [slice(None)] if len(sound) == run.nchunks else sound:  # all at once where all are sound
        values[prompts] = run[prompts]
    return listed(values, group)


def read(
    found: Journal, arrays: Mapping[str, Any], prompts: slice, damaged: Collection[str] = ()
) -> dict[str, np.ndarray]:
    """Return the values of some prompts: those in the chunks, and over them those in the journal.

    Parameters
    ----------
    found : Journal
    arrays : mapping of str to zarr.Array
        The observables in the order of the store, and last ``run``.
    prompts : slice
        Their places.
    damaged : collection of str
        Names of arrays whose chunks cannot be read, and are not.

    Returns
    -------
    dict of str to numpy.ndarray
    """
    journaled = found.runs[prompts] >= 0
    values = {
        name: array[prompts]
        if not (journaled.all() or name in damaged)
        else np.full((len(journaled), *array.shape[1:]), array.fill_value, array.dtype)
        for name, array in arrays.items()
    }
    *observables, run = values.values()
    for row in np.flatnonzero(journaled).tolist():
        found.fill(prompts.start + row, [array[row] for array in observables])
    run[journaled] = found.runs[prompts][journaled]
    return values


def faults(path: str | Path) -> list[Fault]:
    """Find every missing or damaged chunk of the measured prompts, and damaged records of the journal.

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
    with open_journal(path, arrays["run"].shape[0]) as records:
        journaled, damaged = listed(records.runs, group), records.damaged
    held = in_chunks(group)
    found = []
    if damaged:
        gone = {part.place for part in damaged if part.place is not None and not (journaled | held)[part.place]}
        found.append(Fault(journal.NAME, sorted(gone), "damaged"))
    for name, array in sorted(arrays.items()):
        for chunk, prompts in each_chunk(array):
            is_shared = name in COORDINATES
            is_mark = name == "run" and (path / name / chunk).exists()
            if not is_shared and not (held & ~journaled)[prompts].any() and not is_mark:
                continue
            if what := fault(path / name / chunk):
                lost = prompts.start + np.flatnonzero(~journaled[prompts])
                found.append(Fault(f"{name}/{chunk}", None if is_shared else lost.tolist(), what))
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
