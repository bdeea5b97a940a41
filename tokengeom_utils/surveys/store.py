"""The store of a survey: a Zarr group, and a journal beside it that never loses a finished prompt.

A finished prompt is appended to the journal and synced to the disk. When all are there, they are moved into the chunks
of the arrays, of which each is put in place as a whole and ends with its CRC-32C checksum; that of the array ``run``,
the number of the run that measured each prompt (-1: not measured), comes last, and then the journal is removed.
Whenever the writer stops, a prompt is either complete or absent.

Only one process writes a store at a time; a lock beside it keeps others out.
"""

import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import InputError
from ..paths import local_path
from ..prompts.load import Prompt
from ..schema import OBSERVABLES
from .checks import in_chunks, measured, read
from .chunks import chunk_name, each_chunk, every_chunk, write_chunk
from .files import remove, sweep, sync_tree
from .fit import check_same, misfits
from .journal import NAME, Journal, append, identity, mend
from .layout import UNIFORM, create
from .lock import StoreLock
from .metadata import attributes, exists, observed, open_arrays, open_group, runs, set_attribute, variables
from .request import Request, coordinates

if TYPE_CHECKING:
    import zarr


class Store:
    """A survey on disk, open for writing by this process only.

    Parameters
    ----------
    path : path
        If nothing is there, the first :meth:`write` makes the store.
    request : dict
        From :func:`tokengeom_utils.surveys.request.make_request`. A store made for another request is refused.
    prompts : sequence of Prompt
        In the order of the store.

    Raises
    ------
    InputError
        If ``path`` holds something else, or another process is writing to it.

    See Also
    --------
    tokengeom_utils.survey : measures prompts into a store.
    tokengeom_utils.open_results : reads one.

    Notes
    -----
    Explained in the chapter *What a survey costs*.
    """

    def __init__(self, path: str | Path, request: Request, prompts: Sequence[Prompt]):
        self.path = Path(os.path.realpath(local_path(path, "--out")))  # one lock, whichever link leads here
        self.request, self.prompts = request, prompts
        self._group: zarr.Group | None = None
        self._runs: list[dict[str, Any]] = []
        self._identity = 0
        self._arrays: dict[str, Any] = {}
        check_same(self.path, request)
        with ExitStack() as exits:
            self._lock(exits)
            check_same(self.path, request)  # another run may have made it in between
            if exists(self.path):
                self._open()
            self._exit = exits.pop_all()

    def _open(self):
        """Open the arrays, and check that they fit the request."""
        self._group, self._arrays = open_arrays(self.path, "r+")
        self._runs, self._identity = runs(self._group), identity(self._group)
        if wrong := next(misfits(self._arrays, self.request), None):
            raise InputError(
                f"the metadata of {self.path} are damaged: {wrong.name} has shape {wrong.found}, not {wrong.wanted}; "
                "delete the store or choose another --out"
            )
        for name, array in observed(self._arrays).items():
            if array.chunks != (self._arrays["run"].chunks[0], *array.shape[1:]):
                raise InputError(f"{self.path} cannot be resumed: the chunks of {name} are cut differently")

    def _lock(self, exits):
        """Keep other writers out until the exit, and remove what a killed writer left behind."""
        lock = StoreLock(self.path)
        exits.callback(lambda: lock.release(keep=exists(self.path)))  # if nothing was written, leave nothing behind
        sweep(self.path)

    def __enter__(self) -> "Store":
        return self

    def __exit__(self, *_: object) -> None:
        self._exit.close()

    @property
    def variables(self) -> tuple[str, ...]:
        """The observables that the store holds; empty before it is made."""
        return variables(self._group) if self._group is not None else ()

    @property
    def batch(self) -> int | None:
        """Measurements per forward pass of the runs so far; None if not recorded."""
        return self._recorded("batch")

    def _recorded(self, name):
        """An attribute of the store; None if there is none."""
        return attributes(self._group).get(name) if self._group is not None else None

    def done(self) -> np.ndarray:
        """Return which prompts are complete, as an array of bool, shape (prompt,)."""
        return measured(open_group(self.path)) if self._group is not None else np.zeros(len(self.prompts), bool)

    def forget(self, prompts: Iterable[int]) -> None:
        """Mark the prompts at these places as not measured, and with them the others in their chunks."""
        run = self._arrays["run"]
        for number in {i // run.chunks[0] for i in prompts}:
            remove(self.path / "run" / chunk_name(number, run))

    def mend_journal(self) -> None:
        """Leave damaged records out of the journal; their prompts are not measured."""
        mend(open_group(self.path))

    def mend(self, name: str) -> None:
        """Rewrite a coordinate; all of them follow from the request and the prompts."""
        values = coordinates(self.request, [p.domain for p in self.prompts], self._arrays["layer"].shape[0])[name][1]
        with every_chunk():
            self._arrays[name][:] = values
        sync_tree(self.path / name)

    def match(self, provenance: dict[str, Any]) -> None:
        """Raise ``InputError`` if a run with this provenance would differ from the rest of the store."""
        for name in UNIFORM:
            kept = self._recorded(name)  # older stores lack the batch
            if provenance.get(name) is not None and kept not in (None, provenance[name]):
                raise InputError(
                    f"{self.path} was made with {name} {kept}, not {provenance[name]}: delete it or "
                    "choose another --out"
                )

    def check_measurable(self) -> None:
        """Raise ``InputError`` if the store holds observables that this version cannot measure."""
        if unknown := [name for name in self.variables if name not in OBSERVABLES]:
            raise InputError(
                f"{self.path} was begun by a newer version and holds {', '.join(unknown)}, which this "
                "version cannot measure: upgrade tokengeom-utils, or choose another --out"
            )

    def write(self, i: int, row: Mapping[str, np.ndarray], provenance: dict[str, Any]) -> None:
        """Write one prompt; when this returns, it is on the disk.

        A store that was begun by an older version keeps the observables it holds; others in ``row`` are left out.

        Parameters
        ----------
        i : int
            Place of the prompt.
        row : mapping of str to numpy.ndarray
            Its observables by name, with the dimensions (shuffle, ...) of :data:`tokengeom_utils.schema.OBSERVABLES`;
            NaN where nothing was measured.
        provenance : dict
            How they were made; the entries in :data:`~tokengeom_utils.surveys.layout.UNIFORM` must be those of the
            whole store.

        Raises
        ------
        InputError
            If they are not.
        """
        if self._group is None:
            create(self.path, row, self.request, self.prompts, provenance)
            self._open()
        self.match(provenance)
        run = self._run(provenance)
        values = np.concatenate([np.asarray(row[name], float).ravel() for name in self.variables])
        append(self.path, i, run, values, self._identity)

    def fold(self, moved: Callable[[int], object] = lambda prompts: None) -> bool:
        """Move the prompts of the journal into the chunks, if all are there; stopped anywhere, it can be repeated.

        Parameters
        ----------
        moved : callable
            Called with the number of prompts that are in chunks so far.

        Returns
        -------
        bool
            Whether all prompts are in chunks now.
        """
        if not self.done().all():
            return False
        arrays = observed(self._arrays)
        group = open_group(self.path)
        with Journal(group) as journal:
            held = in_chunks(group) & (journal.runs < 0)
            for _, prompts in each_chunk(arrays["run"]):
                if (journal.runs[prompts] >= 0).any():
                    for name, values in read(journal, arrays, prompts, held).items():  # run last
                        write_chunk(self.path, arrays[name], prompts.start, values)
                    moved(prompts.stop)
        remove(self.path / NAME)
        return True

    def _run(self, provenance):
        """Return the number of the run with this provenance; record the run if it is new."""
        if provenance not in self._runs:
            listed = [*self._runs, provenance]
            set_attribute(self.path, "runs", json.dumps(listed))
            self._runs = listed
        return self._runs.index(provenance)


def count(path: str | Path) -> int:
    """Return the number of prompts in a store that is being written."""
    return int(measured(open_arrays(path)[0]).sum()) if exists(path) else 0
