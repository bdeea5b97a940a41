"""The journal of a store: one file to which finished prompts are appended, with one sync to the disk each.

A record holds the place of a prompt, the number of its run, and its values, with checksums. One that is cut off, as its
writer was stopped, is none. A damaged one costs its prompt alone: the next is found by its mark. Of two records of one
prompt, the later counts.
"""

import io
import os
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, cast

import google_crc32c
import numpy as np
from numcodecs import Zstd

from ..errors import InputError
from .files import sync
from .metadata import folder, runs

if TYPE_CHECKING:
    import zarr

NAME = "run/journal"  #: below the store, in the folder of an array: elsewhere Zarr warns of files it does not know
LEVEL = 3  #: compression level
MARK = b"\x89prompt\n"  #: how each record begins
HEAD = struct.Struct("<8sIhI")  #: mark, place, run, bytes of the values; a checksum follows, the values, and another
CRC = 4  #: bytes of a checksum
FIRST = HEAD.size + CRC  #: where the values begin
BLOCK = 2**20  #: bytes that are searched at once


def _seal(data):
    """Bytes with their checksum."""
    return data + google_crc32c.value(data).to_bytes(CRC, "little")


def append(path: Path, place: int, run: int, values: np.ndarray) -> None:
    """Append a finished prompt to the journal of the store at ``path``, and wait until it is on the disk."""
    data = _seal(bytes(Zstd(LEVEL).encode(np.ascontiguousarray(values, "<f8"))))
    record = _seal(HEAD.pack(MARK, place, run, len(data) - CRC)) + data
    with open(path / NAME, "ab", buffering=0) as file:
        is_new = not file.tell()
        while record:  # a disk that is nearly full takes a part, and then raises
            record = record[file.write(record) :]
        os.fsync(file.fileno())
    if is_new:
        sync((path / NAME).parent)  # which holds the name


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
            if place < len(self.runs) and run < n_runs:
                self.runs[place], self._starts[place] = run, start
        self.damaged += not self._is_cut_off(end, self._length)

    def __enter__(self) -> "Journal":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def fill(self, place: int, arrays: Sequence[np.ndarray]) -> None:
        """Put the values of a prompt into its arrays, which are in the order of the store."""
        values = np.frombuffer(Zstd().decode(self._record(int(self._starts[place]))[2]), "<f8")
        parts = np.split(values, np.cumsum([array.size for array in arrays]))
        for array, part in zip(arrays, parts[:-1], strict=True):
            array[...] = part.reshape(array.shape)

    def _read(self, start, size):
        """Some bytes, fewer at the end of the file; where the disk cannot be read, others."""
        try:
            self._file.seek(start)
            return self._file.read(size)
        except OSError:
            return b"?" * max(0, min(size, self._length - start))

    def _head(self, start):
        """The place, the run, and the bytes of the values of a record that begins here; None if none does."""
        head = self._read(start, FIRST)
        is_one = len(head) == FIRST and head.startswith(MARK) and _seal(head[:-CRC]) == head
        return HEAD.unpack(head[:-CRC])[1:] if is_one else None

    def _record(self, start):
        """The place, the run, and the values of the intact record that begins here; None if none does."""
        if head := self._head(start):
            data = self._read(start + FIRST, head[2] + CRC)
            return (*head[:2], data[:-CRC]) if len(data) == head[2] + CRC and _seal(data[:-CRC]) == data else None
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
        """Whether what lies here between records is nothing, zeros, or the beginning of one; else it is damage."""
        if head := self._head(start):
            return start + FIRST + head[2] + CRC > end
        rest = self._read(start, end - start)
        return not rest.strip(b"\0") or (len(rest) < FIRST and rest[: len(MARK)] == MARK[: len(rest)])
