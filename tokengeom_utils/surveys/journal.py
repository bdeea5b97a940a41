"""The journal of a store: one file to which finished prompts are appended, with one sync to the disk each.

A record holds the place of a prompt, the number of its run, and its values, with checksums. A record that is cut off at
the end of the file is none, and zeros are skipped. A damaged record costs its prompt alone: the next one is found by
its mark. Of two records of one prompt, the later counts.

>>> import tempfile
>>> file = Path(tempfile.mkdtemp()) / "journal"
>>> append(file, 3, 0, np.arange(5.0))
>>> with Journal(file, n_prompts=8) as found:
...     found.runs.tolist(), found.values(3).tolist()
([-1, -1, -1, 0, -1, -1, -1, -1], [0.0, 1.0, 2.0, 3.0, 4.0])
"""

import io
import os
import struct
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO, NamedTuple

import google_crc32c
import numpy as np
from numcodecs import Zstd

from .files import sync

NAME = "run/journal"  #: below the store; Zarr and xarray warn of files that they do not know, but not in an array
LEVEL = 3  #: compression level
MARK = b"\x89prompt\n"  #: how each record begins
HEAD = struct.Struct("<8sIhI")  #: mark, place, run, bytes of the values; a checksum follows, the values, and another
CRC = 4  #: bytes of a checksum
BLOCK = 2**20  #: bytes that are searched at once


class Damage(NamedTuple):
    """A damaged part of a journal."""

    start: int
    end: int
    place: int | None  #: of the prompt, if it is known


def _sum(data):
    """The checksum of bytes, as bytes."""
    return google_crc32c.value(data).to_bytes(CRC, "little")


def append(file: Path, place: int, run: int, values: np.ndarray) -> None:
    """Append a finished prompt, and wait until it is on the disk.

    If that fails, the journal is left as it was.
    """
    data = bytes(Zstd(LEVEL).encode(np.ascontiguousarray(values, "<f8")))
    head = HEAD.pack(MARK, place, run, len(data))
    record = b"".join((head, _sum(head), data, _sum(data)))
    with open(file, "ab", buffering=0) as out:
        before = out.tell()
        try:
            while record:  # a disk that is nearly full takes a part, and then raises
                record = record[out.write(record) :]
            os.fsync(out.fileno())
        except BaseException:
            out.truncate(before)
            raise
    if not before:
        sync(file.parent)  # which holds the name


class Journal:
    """The records of a journal, as they were when it was opened; a file that is not there holds none.

    Parameters
    ----------
    file : path
    n_prompts : int
        Prompts of the store.
    check : bool
        Whether to read all values and compare them with their checksums.

    Attributes
    ----------
    runs : numpy.ndarray of int, shape (prompt,)
        The run that measured each prompt; -1: not in the journal.
    damaged : list of Damage
    end : int
        Bytes up to the end of the last record; a cut-off one may follow.
    """

    def __init__(self, file: Path, n_prompts: int, check: bool = True):
        self._offsets = np.full(n_prompts, -1, np.int64)
        self.runs = np.full(n_prompts, -1, np.int16)
        self.damaged: list[Damage] = []
        self.end = 0
        self._file: BinaryIO
        try:
            self._file = open(file, "rb")  # noqa: SIM115 (closed at the exit)
        except FileNotFoundError:
            self._file = io.BytesIO()
        self._length = self._file.seek(0, os.SEEK_END)
        self._scan(check)

    def __enter__(self) -> "Journal":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def values(self, place: int) -> np.ndarray:
        """Return the values of a prompt: all its arrays, one after the other."""
        start = int(self._offsets[place])
        _, _, size = self._head(start)
        return np.frombuffer(Zstd().decode(self._read(start + HEAD.size + CRC, size)), "<f8")

    def fill(self, place: int, arrays: Iterable[np.ndarray]) -> None:
        """Put the values of a prompt into its arrays, in the order of the store."""
        arrays = list(arrays)
        parts = np.split(self.values(place), np.cumsum([array.size for array in arrays]))
        for array, part in zip(arrays, parts[:-1], strict=True):
            array[...] = part.reshape(array.shape)

    def _read(self, start, size):
        """Some bytes, fewer at the end of the file."""
        self._file.seek(start)
        return self._file.read(size)

    def _head(self, start):
        """The place, run, and bytes of values of the record that begins here; None if none does."""
        head = self._read(start, HEAD.size + CRC)
        is_one = len(head) == HEAD.size + CRC and head.startswith(MARK) and _sum(head[:-CRC]) == head[-CRC:]
        return HEAD.unpack(head[:-CRC])[1:] if is_one else None

    def _find(self, start):
        """Where the next intact head begins; None if there is none."""
        if self._head(start):
            return start
        while len(block := self._read(start, BLOCK)) >= len(MARK):
            at = block.find(MARK)
            while at >= 0:
                if self._head(start + at):
                    return start + at
                at = block.find(MARK, at + 1)
            start += len(block) - len(MARK) + 1
        return None

    def _scan(self, check):
        """Find the records, and what is damaged."""
        search = 0
        while (start := self._find(search)) is not None:
            place, run, size = self._head(start)
            first = start + HEAD.size + CRC
            end = first + size + CRC
            data = self._read(first, size + CRC) if check else b""
            if place >= len(self.runs) or end > self._length or (check and _sum(data[:-CRC]) != data[-CRC:]):
                search = start + len(MARK)
                continue
            self._skip(start)
            self._offsets[place], self.runs[place] = start, run
            self.end = search = end
        if not self._is_cut_off():
            self._skip(self._length)

    def _is_cut_off(self):
        """Whether the end of the file can be the beginning of a record."""
        begun = self._read(self.end, HEAD.size + CRC)
        if len(begun) < HEAD.size + CRC:
            return begun[: len(MARK)] == MARK[: len(begun)]
        head = self._head(self.end)
        return head is not None and self.end + len(begun) + head[2] + CRC > self._length

    def _skip(self, start):
        """Note what lies between the last record and ``start`` as damaged, unless it is zeros or nothing."""
        if self._read(self.end, start - self.end).strip(b"\0"):
            head = self._head(self.end)
            self.damaged.append(Damage(self.end, start, head[0] if head and head[0] < len(self.runs) else None))
            self.end = start


def trim(file: Path, end: int) -> None:
    """Cut off a record whose writing was stopped; only the holder of the store's lock may."""
    if file.exists() and end < file.stat().st_size:
        os.truncate(file, end)
        sync(file)


def erase(file: Path, damaged: Iterable[Damage]) -> None:
    """Overwrite damaged parts with zeros, so that they are not reported again."""
    with open(file, "r+b") as out:
        for start, end, _ in damaged:
            out.seek(start)
            out.write(bytes(end - start))
        out.flush()
        os.fsync(out.fileno())
