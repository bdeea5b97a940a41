"""The folder of a build: one build at a time, and one line if its disk fails."""

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ...errors import BuildError
from ...surveys.lock import StoreLock

#: What a full disk, and a full quota, are called.
FULL = {errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)}
#: What a failing disk is called, or a folder that cannot be written any more.
FAILING = {errno.EIO, errno.EROFS, errno.EACCES, errno.EPERM, getattr(errno, "ESTALE", errno.EIO)}
SITE = "html"  #: the folder of the site in the folder of a build
#: A disk with fewer bytes left counts as full, where a program did not report why it failed.
NOTHING_LEFT = 2**20


@contextmanager
def building(out: Path) -> Iterator[None]:
    """Keep other builds out of a folder, and explain a disk that fails.

    Parameters
    ----------
    out : path
        The folder of the build; it is made. If the build puts nothing into it, it is removed again.

    Raises
    ------
    InputError
        Before anything else, if another build is at work in the folder, or nothing can be written there.
    BuildError
        If the disk fills up or fails during the build.
    """
    lock = StoreLock(out / SITE)
    try:
        yield
    except OSError as error:
        if not (cause := disk_failure(error, out)):
            raise
        raise BuildError(cause) from None
    finally:
        lock.release(keep=any(path != lock.file for path in out.iterdir()))


def disk_failure(error: OSError | None, out: Path) -> str | None:
    """Explain an error by the disk, if the disk is its cause.

    Parameters
    ----------
    error : OSError or None
        None if a program has failed without a reason.
    out : path
        The folder of the build.

    Returns
    -------
    str or None
        What was wrong, where, and what to do next; None if the disk is all right.
    """
    again = "and rerun the same command; finished chapters are kept"
    number = error.errno if error else None
    if number in FULL or (number is None and shutil.disk_usage(out).free < NOTHING_LEFT):
        return f"no space is left on the disk of {_folder(error, out)}: free some {again}"
    if error and number in FAILING:
        return f"{_folder(error, out)} cannot be written ({_reason(error)}): repair this {again}"
    return None


def _folder(error, out):
    """The folder that could not be written."""
    named = error and error.filename
    return Path(os.fsdecode(named)).parent if isinstance(named, str | bytes) else out


def _reason(error):
    return getattr(error, "strerror", None) or error
