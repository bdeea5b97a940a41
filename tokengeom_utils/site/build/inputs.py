"""The project files a chapter reads: which they are, and whether it declares them.

A kernel writes down every file it opens (:mod:`.server`). What subprocesses open, and what compiled libraries open
without Python, is not seen.
"""

import os
import re
from collections.abc import Iterable
from pathlib import Path

from ...paths import data_path
from .contents import Chapter

#: Folders of a checkout that are not inputs: results of builds, and the package, which every chapter depends on.
NOT_INPUTS = ("_build", "dist", "tokengeom_utils")


def locations(name: str, project: Path) -> list[Path]:
    """Where the file or folder of a declaration lies.

    Parameters
    ----------
    name : str
        Relative to the project.
    project : path
        The checkout.

    Returns
    -------
    list of pathlib.Path
        Without duplicates: ``data`` is read from the package that runs, which may come from another place.
    """
    first, *rest = Path(name).parts
    found = [project / name] + ([data_path(*rest)] if first == "data" else [])
    return list(dict.fromkeys(Path(os.path.realpath(path)) for path in found))


def undeclared(opened: Iterable[str], chapter: Chapter, project: Path, out: Path, survey: Path) -> list[str]:
    """Name the project files that a chapter opened without declaring them.

    Parameters
    ----------
    opened : iterable of str
        Absolute paths.
    chapter : Chapter
    project, out, survey : path
        The checkout, the folder of the build, and the survey.

    Returns
    -------
    list of str
        Relative to the project, sorted. The survey is called ``the survey``; other Zarr stores are named by their
        folder.
    """
    roots = [(Path(os.path.realpath(root)), prefix) for root, prefix in ((data_path(), "data"), (project, ""))]
    allowed = [path for name in chapter.inputs for path in locations(name, project)]
    survey, out = Path(os.path.realpath(survey)), Path(os.path.realpath(out))
    found = set()
    for path in {Path(os.path.realpath(name)) for name in opened}:
        if any(path.is_relative_to(place) for place in allowed):
            continue
        if path.is_relative_to(survey):  # which may be one of the bundled surveys, and then an input like any
            found |= set() if "results" in chapter.parameters else {"the survey"}
        elif not path.is_relative_to(out) and path.is_file():
            names = [
                Path(prefix, path.relative_to(root)).as_posix() for root, prefix in roots if path.is_relative_to(root)
            ]
            found |= {re.sub(r"(\.zarr)/.*", r"\1", name) for name in names if _is_input(name)}
    return sorted(found)


def _is_input(name):
    """Whether a file of the project can be an input: not a cache, an environment or a result of a build."""
    parts = Path(name).parts
    return parts[0] not in NOT_INPUTS and not any(part.startswith(".") or part == "__pycache__" for part in parts)
