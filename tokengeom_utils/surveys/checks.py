"""Checks of a store on disk: which prompts are complete, and which chunks and records are missing or damaged."""

import os
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import numpy as np

from ..errors import InputError
from .chunks import each_chunk, fault
from .journal import NAME, Journal
from .metadata import COORDINATES, folder, open_arrays, runs

if TYPE_CHECKING:
    import zarr


class Fault(NamedTuple):
    """A missing or damaged chunk, or a journal with damaged records."""

    file: str  #: below the store
    prompts: list[int] | None  #: places of the prompts that are known to be lost with it; None: of all
    what: str  #: "missing", "damaged", or why it is unreadable


def measured(group: "zarr.Group") -> np.ndarray:
    """Return which prompts of a store are complete: those in its journal, and those in its chunks.

    A damaged mark counts as none, and so does one of a run that is not listed.

    Parameters
    ----------
    group : zarr.Group
        In a folder of this machine.

    Returns
    -------
    numpy.ndarray of bool, shape (prompt,)
    """
    with Journal(group) as journal:  # first: it may become chunks meanwhile
        return (journal.runs >= 0) | in_chunks(group)


def in_chunks(group: "zarr.Group") -> np.ndarray:
    """Return which prompts are complete in the chunks, as :func:`measured`."""
    run = cast(Any, group["run"])
    values = np.full(run.shape, -1)
    sound = [prompts for chunk, prompts in each_chunk(run) if fault(folder(group) / "run" / chunk) in (None, "missing")]
    for prompts in [slice(None)] if len(sound) == run.nchunks else sound:  # all at once where all are sound
        values[prompts] = run[prompts]
    return (values >= 0) & (values < len(runs(group)))


def read(
    journal: Journal, arrays: Mapping[str, Any], prompts: slice, held: np.ndarray, damaged: Collection[str] = ()
) -> dict[str, np.ndarray]:
    """Return the values of some prompts: those in the chunks, and over them those in the journal.

    Chunks of other prompts are not read: a survey that measures the prompts of a damaged chunk again leaves it there
    until all are measured.

    Parameters
    ----------
    journal : Journal
    arrays : mapping of str to zarr.Array
        The observables in the order of the store, and last ``run``.
    prompts : slice
        Their places, in whole chunks.
    held : array of bool, shape (prompt,)
        Which prompts of the store are to be read from the chunks.
    damaged : collection of str
        Names of arrays that cannot be read.

    Returns
    -------
    dict of str to numpy.ndarray
        The fill value where a prompt is in neither.

    Raises
    ------
    InputError
        If a chunk cannot be read.
    """
    run, step = journal.runs[prompts], arrays["run"].chunks[0]
    starts = np.unique((prompts.start + np.flatnonzero(held[prompts])) // step * step).tolist()
    parts = [slice(start, min(start + step, prompts.stop)) for start in starts]
    if len(parts) * step >= prompts.stop - prompts.start:
        parts = [prompts]  # all at once
    values = {name: np.full((len(run), *a.shape[1:]), a.fill_value, a.dtype) for name, a in arrays.items()}
    for name in arrays.keys() - set(damaged):
        for part in parts if name != "run" else [prompts] * bool((run < 0).any()):
            try:
                values[name][part.start - prompts.start : part.stop - prompts.start] = arrays[name][part]
            except Exception as error:  # zarr raises whatever its codecs raise
                raise InputError(f"{name} was damaged on the disk meanwhile ({error}): run  tokengeom doctor") from None
    for row in np.flatnonzero(run >= 0).tolist():
        journal.fill(prompts.start + row, [values[name][row] for name in arrays if name != "run"])
    values["run"] = np.where(run >= 0, run, values["run"])
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
    with Journal(group) as journal:
        journaled = journal.runs >= 0
    found = [Fault(NAME, [], "damaged")] if journal.damaged else []
    done = in_chunks(group) & ~journaled
    for name, array in sorted(arrays.items()):
        for chunk, prompts in each_chunk(array):
            is_shared = name in COORDINATES
            if not is_shared and not done[prompts].any() and not (name == "run" and (path / name / chunk).exists()):
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
        with os.scandir(folder) as entries:  # fast where there are thousands
            there = {entry.name for entry in entries if entry.is_file()}  # no link to a file that is not there
        for chunk in chunks:
            if chunk not in there and not (folder / chunk).is_file():  # chunks of coordinates are in subfolders
                return f"{name}/{chunk}"
    return None
