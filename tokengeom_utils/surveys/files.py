"""Files that are whole or absent: each is written under another name, synced to the disk, and then renamed.

>>> import tempfile
>>> file = Path(tempfile.mkdtemp()) / "answer"
>>> write(file, b"42")
>>> file.read_bytes()
b'42'
"""

import errno
import os
import shutil
import time
from collections.abc import Iterable
from pathlib import Path

#: errors of a file system that cannot sync a folder, as on some network drives; Windows does not even open a folder
NO_SYNC = {
    getattr(errno, name)
    for name in ("EINVAL", "ENOTSUP", "EOPNOTSUPP", "ENOSYS", "EBADF", "EACCES", "EPERM", "EISDIR")
    if hasattr(errno, name)
}
PATIENCE = (0.01, 0.04, 0.15, 0.5)  #: seconds between the attempts to change a file that another program has open


def write(file: Path, data: bytes) -> None:
    """Write a file as a whole, and wait until it is on the disk."""
    write_parts(file, [data])


def write_parts(file: Path, parts: Iterable[bytes]) -> None:
    """Write a file as a whole, of parts that need not fit into memory together; see :func:`write`."""
    partial = file.with_name(f"{file.name}.partial")
    with open(partial, "wb") as out:
        out.writelines(parts)
        out.flush()
        os.fsync(out.fileno())
    replace(partial, file)
    sync(file.parent)  # which holds the name


def replace(old: Path, new: Path) -> None:
    """Rename a file or a folder.

    On Windows this fails while another program, such as a reader of the survey or a virus scanner, has the file open;
    it is tried again for a moment.
    """
    _patiently(lambda: os.replace(old, new))


def remove(file: Path) -> None:
    """Remove a file, if it is there, and wait until its name is gone from the disk."""
    _patiently(lambda: file.unlink(missing_ok=True))
    sync(file.parent)


def _patiently(act):
    """Call a function, again for a moment where Windows refuses it because of a file that is open elsewhere."""
    for seconds in PATIENCE:
        try:
            return act()
        except PermissionError:
            time.sleep(seconds)
    return act()


def sync(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk.

    A folder that its file system cannot sync is left to that file system; any other error, such as a full disk or a
    failing one, is raised.
    """
    is_folder = path.is_dir()
    try:
        # Windows syncs a file only through a descriptor that may write.
        descriptor = os.open(path, os.O_RDONLY if is_folder else os.O_RDWR)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        if not is_folder or error.errno not in NO_SYNC:
            raise


def sync_tree(folder: Path) -> None:
    """Wait until a folder and everything in it are on the disk."""
    for path in (*folder.rglob("*"), folder):
        sync(path)


def scratch(path: Path) -> Path:
    """Return the name under which this process prepares a store, beside its final place."""
    return path.with_name(f".{path.name}.making-{os.getpid()}")


def sweep(path: Path) -> None:
    """Remove what a killed writer of a store left behind; only the holder of its lock may."""
    for leftover in [*path.parent.glob(f".{path.name}.making-*"), *path.rglob("*.partial")]:
        shutil.rmtree(leftover) if leftover.is_dir() else leftover.unlink()


def put_in_place(fresh: Path, path: Path) -> None:
    """Give a prepared store its final name, once all of it is on the disk."""
    sync_tree(fresh)
    if path.is_dir():
        path.rmdir()  # an empty folder, which Windows would not replace
    replace(fresh, path)
    sync(path.parent)
