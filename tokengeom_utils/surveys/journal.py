"""The journal of a store: one file to which finished prompts are appended, with one sync to the disk each.

A record holds the place of a prompt, the number of its run, and its values. Its checksums depend on the request of the
store, so that a record of another store counts as damaged. One that is cut off, as its writer was stopped, is none. A
damaged one costs its prompt alone: the next is found by its mark. Of two records of one prompt, the later counts.
"""

import io
import json
import os
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, cast

import google_crc32c
import numpy as np
from numcodecs import Zstd

from ..errors import InputError
from .chunks import seal
from .files import sync, write_parts
from .metadata import attributes, folder, runs

if TYPE_CHECKING:
    import zarr

NAME = "run/journal"  #: below the store, in the folder of an array: elsewhere Zarr warns of files it does not know
LEVEL = 3  #: compression level
MARK = b"\x89prompt\n"  #: how each record begins
HEAD = struct.Struct("<8sIhI")  #: mark, place, run, bytes of the values; a checksum follows, the values, and another
CRC = 4  #: bytes of a checksum
FIRST = HEAD.size + CRC  #: where the values begin
BLOCK = 2**20  #: bytes that are searched at once
#: attributes of a store on which the meaning of its records depends
IDENTITY = ("request", "variables", "model_fingerprint", "dtype")


def identity(group: "zarr.Group") -> int:
    """Return the number with which the checksums of a store's records begin."""
    made = attributes(group)
    return google_crc32c.value(json.dumps([made.get(name) for name in IDENTITY]).encode())


def append(path: Path, place: int, run: int, values: np.ndarray, store: int) -> None:
    """Append a finished prompt to the journal of the store at ``path``, and wait until it is on the disk.

    Parameters
    ----------
    path : pathlib.Path
    place : int
    run : int
    values : numpy.ndarray of float
        All values of the prompt, in the order of the store.
    store : int
        From :func:`identity`.
    """
    data = seal(bytes(Zstd(LEVEL).encode(np.ascontiguousarray(values, "<f8"))), store)
    record = seal(HEAD.pack(MARK, place, run, len(data) - CRC), store) + data
    with open(path / NAME, "ab", buffering=0) as file:
        is_new = not file.tell()
        while record:  # a disk that is nearly full takes a part, and then raises
            record = record[file.write(record) :]
        os.fsync(file.fileno())
    if is_new:
        sync((path / NAME).parent)  # which holds the name


def mend(group: "zarr.Group") -> None:
    """Rewrite the journal of a store with its intact records only."""
    with Journal(group) as journal:
        write_parts(folder(group) / NAME, journal.intact())


class Journal:
    """The records of a store's journal as they are now; where there is no journal, none.

    Parameters
    ----------
    group : zarr.Group
        The store.

    Attributes
    ----------
    runs : numpy.ndarray of int, shape (prompt,)
        The run that measured each prompt; -1: not in the journal.
    damaged : int
        Damaged parts, of one record or more.
    """

    def __init__(self, group: "zarr.Group"):
        file, n_runs = folder(group) / NAME, len(runs(group))
        self._name, self._store = file, identity(group)
        self.runs, self._starts = np.full((2, *cast(Any, group["run"]).shape), -1)
        self.damaged = 0
        self._file: BinaryIO
        try:
            self._file = open(file, "rb")  # noqa: SIM115 (closed at the exit)
        except FileNotFoundError:
            self._file = io.BytesIO()
        except OSError as error:
            raise InputError(f"{file} cannot be read: {error.strerror}") from None
        self._length = self._file.seek(0, os.SEEK_END)
        end = 0
        while (start := self._find(end)) is not None:
            self.damaged += not self._is_cut_off(end, start)
            place, run, data = self._record(start)
            end = start + FIRST + len(data) + CRC
            if place < len(self.runs) and 0 <= run < n_runs:
                self.runs[place], self._starts[place] = run, start
        self.damaged += not self._is_cut_off(end, self._length)

    def __enter__(self) -> "Journal":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def intact(self) -> Iterator[bytes]:
        """Yield the record of each prompt, in their order in the file."""
        for start in np.sort(self._starts[self.runs >= 0]).tolist():
            if record := self._record(start):
                yield self._read(start, FIRST + len(record[2]) + CRC)

    def fill(self, place: int, arrays: Sequence[np.ndarray]) -> None:
        """Put the values of a prompt into its arrays, which are in the order of the store."""
        if not (record := self._record(int(self._starts[place]))):  # it was intact a moment ago
            raise InputError(f"{self._name} cannot be read any more: run  tokengeom doctor {self._name.parents[1]}")
        values = np.frombuffer(Zstd().decode(record[2]), "<f8")
        parts = np.split(values, np.cumsum([array.size for array in arrays]))
        for array, part in zip(arrays, parts[:-1], strict=True):
            array[...] = part.reshape(array.shape)

    def _read(self, start, size):
        """Some bytes, fewer at the end of the file; where the disk cannot be read, others.

        What a writer appends meanwhile is left out.
        """
        size = max(0, min(size, self._length - start))
        try:
            self._file.seek(start)
            return self._file.read(size)
        except OSError:
            return b"?" * size

    def _head(self, start):
        """The place, the run, and the bytes of the values of a record that begins here; None if none does."""
        head = self._read(start, FIRST)
        is_one = len(head) == FIRST and head.startswith(MARK) and seal(head[:-CRC], self._store) == head
        return HEAD.unpack(head[:-CRC])[1:] if is_one else None

    def _record(self, start):
        """The place, the run, and the values of the intact record that begins here; None if none does."""
        if head := self._head(start):
            data = self._read(start + FIRST, head[2] + CRC)
            if len(data) == head[2] + CRC and seal(data[:-CRC], self._store) == data:
                return (*head[:2], data[:-CRC])
        return None

    def _find(self, start):
        """Where the next intact record begins; None if there is none."""
        if self._record(start):
            return start
        while len(block := self._read(start, BLOCK)) >= len(MARK):
            at = block.find(MARK)
            while at >= 0:
                if self._record(start + at):
                    return start + at
                at = block.find(MARK, at + 1)
            start += len(block) - len(MARK) + 1
        return None

    def _is_cut_off(self, start, end):
        """Whether only zeros and beginnings of records lie here, between two records; anything else is damage."""
        first, *others = self._read(start, end - start).split(MARK)
        if not MARK.startswith(first.strip(b"\0")):
            return False
        for part in others:
            head = self._head(start := start + len(first))
            if head[2] + CRC + FIRST <= len(MARK + part) if head else len(MARK + part.rstrip(b"\0")) >= FIRST:
                return False
            first = MARK + part
        return True
