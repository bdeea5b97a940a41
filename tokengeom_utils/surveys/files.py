"""Files that are whole or absent: each is written under another name, synced to the disk, and then renamed.

>>> import tempfile
>>> file = Path(tempfile.mkdtemp()) / "answer"
>>> write(file, b"42")
>>> file.read_bytes()
b'42'
"""

import os
from pathlib import Path


def write(file: Path, data: bytes) -> None:
    """Write a file as a whole, and wait until it is on the disk."""
    partial = file.with_name(f"{file.name}.partial")
    with open(partial, "wb") as out:
        out.write(data)
        out.flush()
        os.fsync(out.fileno())
    os.replace(partial, file)
    sync(file.parent)  # which holds the name


def sync(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_tree(folder: Path) -> None:
    """Wait until a folder and everything in it are on the disk."""
    for path in (*folder.rglob("*"), folder):
        sync(path)


def scratch(path: Path) -> Path:
    """Return the name under which this process prepares a store, beside its final place."""
    return path.with_name(f".{path.name}.making-{os.getpid()}")


def put_in_place(fresh: Path, path: Path) -> None:
    """Give a prepared store its final name, once all of it is on the disk."""
    sync_tree(fresh)
    os.replace(fresh, path)
    sync(path.parent)
