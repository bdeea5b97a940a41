"""What an executed chapter depends on, as hashes; a chapter is stale when one of them changed.

The source, the parameters, the survey if the chapter takes ``results``, the inputs it declares, the part of the
package that chapters can reach, and the versions of Python and of all pinned packages.
"""

import hashlib
import json
import platform
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...errors import BuildError
from .contents import Chapter
from .inputs import locations

PACKAGE = Path(__file__).parents[2]
#: Parts of the package that no chapter reaches.
UNREACHED = ("cli.py", "site/build", "site/explorer", "site/slides")


@dataclass(frozen=True)
class Run:
    """A chapter to execute."""

    chapter: Chapter
    given: dict[str, Any]  #: the values of its parameters
    key: dict[str, str]  #: hashes of what it depends on
    target: Path  #: the executed notebook
    reason: str  #: what changed
    expected: float  #: seconds it took the last time; infinite for a chapter that never ran


def stale_runs(contents: list[Chapter], project: Path, executed: Path, parameters: Mapping[str, Any]) -> list[Run]:
    """Find the chapters to execute.

    Parameters
    ----------
    contents : list of Chapter
    project, executed : path
        The checkout and the folder of the executed notebooks.
    parameters : mapping
        Those of the profile, and ``results``, the path of the survey.

    Returns
    -------
    list of Run
        In the order of the book.

    Raises
    ------
    BuildError
        If a chapter declares a parameter or an input that does not exist.
    """
    import nbformat

    shared, runs = shared_key(project), []
    survey = {"survey": hash_path(parameters["results"])} if any("results" in c.parameters for c in contents) else {}
    for chapter in contents:
        given = chapter.values(parameters)
        key = chapter_key(chapter, given, project, shared | (survey if "results" in given else {}))
        target = executed / f"{chapter.name}.ipynb"
        made = nbformat.read(target, 4).metadata.get("tokengeom", {}) if target.exists() else {}
        old = made.get("key", {})
        if old != key:
            changed = [name for name in {**key, **old} if old.get(name) != key.get(name)]
            reason = "changed: " + ", ".join(changed) if old else "not run yet"
            runs.append(Run(chapter, given, key, target, reason, made.get("seconds", float("inf"))))
    return runs


def remove_leftovers(contents: list[Chapter], executed: Path) -> None:
    """Remove executed chapters that the book no longer has.

    Parameters
    ----------
    contents : list of Chapter
        All chapters.
    executed : path
        The folder of the executed notebooks.
    """
    for leftover in set(executed.glob("*.ipynb")) - {executed / f"{chapter.name}.ipynb" for chapter in contents}:
        leftover.unlink()


def chapter_key(chapter: Chapter, given: Mapping[str, Any], project: Path, shared: Mapping[str, str]) -> dict[str, str]:
    """Hash everything a chapter's outputs depend on.

    Parameters
    ----------
    chapter : Chapter
    given : mapping
        The values of its parameters.
    project : path
        The checkout.
    shared : mapping
        Hashes that it shares with other chapters: :func:`shared_key`, and ``survey`` if the chapter takes ``results``.

    Returns
    -------
    dict of str to str
        SHA-256 by what was hashed; a declared input goes by its name.

    Raises
    ------
    BuildError
        If a declared input does not exist.
    """
    inputs = {}
    for name in chapter.inputs:
        places = [place for place in locations(name, project) if place.exists()]
        if not places:
            raise BuildError(f"{chapter.path.name} declares the input {name}, which does not exist")
        inputs[name] = combine(*(hash_path(place) for place in places))
    return {
        "source": sha256(chapter.path.read_bytes()),
        "parameters": combine(json.dumps(given, sort_keys=True)),
        **inputs,
        **shared,
    }


def shared_key(project: Path) -> dict[str, str]:
    """Hash what all chapters depend on.

    Parameters
    ----------
    project : path
        The checkout.

    Returns
    -------
    dict of str to str
        ``package`` and ``versions``.
    """
    pins = project / "constraints.txt"
    return {
        "package": hash_files(PACKAGE, package_files()),
        "versions": combine(platform.python_version(), pins.read_bytes() if pins.is_file() else b""),
    }


def package_files() -> list[Path]:
    """List the source files of the package that chapters can reach.

    Returns
    -------
    list of pathlib.Path
    """
    unreached = [PACKAGE / name for name in UNREACHED]
    return [
        path
        for path in files(PACKAGE)
        if path.suffix in (".py", ".pyi") and not any(path.is_relative_to(place) for place in unreached)
    ]


def files(path: Path) -> list[Path]:
    """List the files at or below a path in order, without hidden ones and compiled Python.

    Parameters
    ----------
    path : path
        A file or a folder; it may be missing.

    Returns
    -------
    list of pathlib.Path
    """
    if path.is_file():
        return [path]
    return sorted(
        p for p in path.rglob("*") if p.is_file() and not p.name.startswith(".") and p.parent.name != "__pycache__"
    )


def hash_path(path: Path) -> str:
    """Hash the contents of a file, or the names and contents of the files in a folder.

    Parameters
    ----------
    path : path

    Returns
    -------
    str
        SHA-256 in hexadecimal.
    """
    return sha256(path.read_bytes()) if path.is_file() else hash_files(path, files(path))


def hash_files(folder: Path, paths: Iterable[Path]) -> str:
    """Hash the names, relative to a folder, and the contents of files.

    Parameters
    ----------
    folder : path
    paths : iterable of path

    Returns
    -------
    str
        SHA-256 in hexadecimal.
    """
    return combine(*(part for path in paths for part in (path.relative_to(folder).as_posix(), path.read_bytes())))


def combine(*parts: str | bytes) -> str:
    """Hash several parts, so that moving text from one to the next changes the result.

    Parameters
    ----------
    *parts : str or bytes

    Returns
    -------
    str
        SHA-256 in hexadecimal.

    Examples
    --------
    >>> combine("ab", "c") == combine("a", "bc")
    False
    """
    digest = hashlib.sha256()
    for part in parts:
        content = part if isinstance(part, bytes) else part.encode()
        digest.update(f"{len(content)} ".encode())
        digest.update(content)
    return digest.hexdigest()


def sha256(content: bytes) -> str:
    """Hash bytes.

    Parameters
    ----------
    content : bytes

    Returns
    -------
    str
        SHA-256 in hexadecimal.
    """
    return hashlib.sha256(content).hexdigest()
