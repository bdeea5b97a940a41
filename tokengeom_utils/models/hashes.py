"""SHA-256 hashes of files."""

import hashlib
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path


def sha256(path: str | Path) -> str:
    """Return the SHA-256 hash of a file, in hexadecimal.

    The hash is remembered as long as the size and the times of the file stay the same.

    Parameters
    ----------
    path : str or path

    Returns
    -------
    str

    Examples
    --------
    >>> import tempfile
    >>> file = Path(tempfile.mkdtemp(), "empty")
    >>> file.touch()
    >>> sha256(file)[:8]
    'e3b0c442'
    """
    path = Path(path).resolve()
    stat = path.stat()
    return _sha256(path, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)


@lru_cache(256)
def _sha256(path, *stat):
    """Hash of a file; its status is part of the key of the cache."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def fingerprint(paths: Iterable[Path]) -> str:
    """Return one hash for a set of files, which covers their names and their contents.

    Parameters
    ----------
    paths : iterable of pathlib.Path

    Returns
    -------
    str

    Examples
    --------
    >>> fingerprint([])[:15]
    'sha256:e3b0c442'
    """
    parts = "".join(f"{path.name}:{sha256(path)}" for path in sorted(set(paths)))
    return "sha256:" + hashlib.sha256(parts.encode()).hexdigest()
