"""Chunks: the files that hold the values of an array, cut along the prompts; each ends with its CRC-32C checksum."""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import google_crc32c
import numpy as np
from numcodecs import Zstd

from .files import write

if TYPE_CHECKING:
    import zarr

LEVEL = 9  #: compression level
PROMPTS = 128  #: prompts in a chunk of a new store
#: a chunk's file inside its array's folder: "c.NUMBER.0.0"
KEYS = {"name": "default", "separator": "."}


def chunk_name(number: int, array: "zarr.Array") -> str:
    """Return the file name of a chunk; only the first axis is ever cut."""
    return array.metadata.encode_chunk_key((number, *[0] * (array.ndim - 1)))


def each_chunk(array: "zarr.Array") -> Iterator[tuple[str, slice]]:
    """Yield the file name of every chunk and the part of the first axis that it holds."""
    length, step = array.shape[0], array.chunks[0]
    for start in range(0, length, step):
        yield chunk_name(start // step, array), slice(start, min(start + step, length))


def write_chunk(path: Path, array: "zarr.Array", start: int, values: np.ndarray) -> None:
    """Write the chunk of an array of the store at ``path`` that begins at ``start``, and wait until it is on the disk.

    The bytes are those of Zarr's codecs: bytes (little endian), zstd, and crc32c. Zarr itself does not wait for the
    disk.
    """
    whole = np.full(array.chunks, array.fill_value, array.dtype.newbyteorder("<"))  # the last one is padded
    whole[: len(values)] = values
    data = bytes(Zstd(LEVEL).encode(whole))
    file = path / array.basename / chunk_name(start // array.chunks[0], array)
    write(file, seal(data))


def seal(data: bytes, start: int = 0) -> bytes:
    """Return bytes with their CRC-32C behind them; ``start`` is the checksum of what is imagined before them."""
    return data + google_crc32c.extend(start, data).to_bytes(4, "little")


def fault(file: Path) -> str | None:
    """Return what is wrong with a chunk's file: None, ``"missing"``, ``"damaged"`` (wrong checksum) or unreadable."""
    try:
        data = file.read_bytes()
    except FileNotFoundError:
        return "missing"
    except OSError as error:
        return f"unreadable ({error.strerror})"
    return None if len(data) > 4 and seal(data[:-4]) == data else "damaged"


def codecs() -> tuple[Any, ...]:
    """Return Zarr's codecs for the bytes that :func:`write_chunk` writes."""
    from zarr.codecs import Crc32cCodec, ZstdCodec

    return ZstdCodec(level=LEVEL), Crc32cCodec()


def every_chunk() -> AbstractContextManager:
    """Make Zarr write chunks that hold only the fill value too; by default it omits them, and here that is a fault."""
    import zarr

    return zarr.config.set({"array.write_empty_chunks": True})
