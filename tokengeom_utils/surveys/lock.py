"""One writer per store: a lock beside it, and the check that a store can be written at all."""

import errno
import os
import tempfile
import warnings
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import InputError
from .files import sync

if TYPE_CHECKING:
    from filelock import BaseFileLock

#: errors of a file system without locks, as NFS without its lock daemon
NO_LOCKS = {
    getattr(errno, name)
    for name in ("ENOLCK", "ENOSYS", "ENOTSUP", "EOPNOTSUPP", "EINVAL", "EPROTO")
    if hasattr(errno, name)
}


def check_writable(path: Path, remedy: str = "choose another --out", folder: Path | None = None) -> None:
    """Raise ``InputError`` unless a store can be made or changed at ``path``; nothing is left behind.

    Parameters
    ----------
    path : pathlib.Path
        It need not exist, nor the folders above it.
    remedy : str
        The end of the error.
    folder : pathlib.Path, optional
        Where files will be written, if not in ``path``: the folder of a file.

    Raises
    ------
    InputError
    """
    place = folder or path
    try:
        there = next(above for above in (place, *place.parents) if above.exists())
        if not there.is_dir():
            why = f"{there} is a file, not a folder"
        elif not os.access(there, os.W_OK | os.X_OK):
            why = f"no permission to write in the folder {there}"
        else:
            _try_to_write(there)
            return
    except OSError as error:  # a name too long, or a folder that may not be entered
        why = error.strerror or str(error)
    raise InputError(f"{path} cannot be written ({why}): {remedy}")


def _try_to_write(folder):
    """Raise ``OSError`` unless a file can be made in a folder: permission is not enough, as in /proc."""
    try:
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        why = "its file system takes no new files" if error.errno == errno.ENOENT else error.strerror
        raise OSError(error.errno, f"no file can be made in the folder {folder}: {why}") from None


class StoreLock:
    """The lock of a store, held until :meth:`release`.

    Parameters
    ----------
    path : pathlib.Path
        The store; missing folders above it are made.

    Raises
    ------
    InputError
        If another process holds the lock, or nothing can be written there.
    """

    def __init__(self, path: Path):
        check_writable(path)
        self.file = path.with_name(f".{path.name}.lock")
        self._made = [folder for folder in path.parents if not folder.exists()]
        self._is_new = not self.file.exists()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            for folder in self._made:
                sync(folder.parent)
            self._lock = self._acquire(path)
        except OSError as error:
            self._clear()
            raise InputError(f"{path} cannot be written ({error.strerror or error}): choose another --out") from None

    def _acquire(self, path):
        """The lock; where the file system has none, a file that exists as long as the lock is held."""
        from filelock import FileLock, SoftFileLock, Timeout

        lock: BaseFileLock = FileLock(self.file)
        try:
            lock.acquire(timeout=0)
            return lock
        except Timeout:
            raise InputError(f"another run is writing to {path}: wait until it has ended, or stop it") from None
        except OSError as error:
            if error.errno not in NO_LOCKS:
                raise
        if self._is_new:
            self.file.unlink(missing_ok=True)
        marker = SoftFileLock(self.file.with_suffix(".held"))
        try:
            marker.acquire(timeout=0)
        except Timeout:
            raise InputError(
                f"another run is writing to {path}, or was killed: wait until it has ended; if none is running, "
                f"delete {marker.lock_file}"
            ) from None
        warnings.warn(
            f"the file system of {path} has no locks: {marker.lock_file} keeps other runs out; "
            "if this run is killed, delete that file",
            stacklevel=5,
        )
        return marker

    def release(self, keep: bool = True) -> None:
        """Release the lock.

        Parameters
        ----------
        keep : bool
            False to remove the file of the lock, and the folders that were made for it.
        """
        if not keep:
            with suppress(PermissionError):  # on Windows, as long as the file is open
                self.file.unlink(missing_ok=True)
        self._lock.release()
        if not keep:
            self._clear()

    def _clear(self):
        """Leave nothing behind."""
        with suppress(OSError):
            if self._is_new:
                self.file.unlink(missing_ok=True)
        for folder in self._made:
            with suppress(OSError):
                folder.rmdir()
