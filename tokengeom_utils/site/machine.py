"""Whether this machine can run the project: one line for each thing that matters, and what to change.

>>> check_python((3, 12, 1)).line()
'ok       Python: 3.12.1'
"""

import os
import platform
import shutil
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterable, Sequence
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

from ..errors import InputError
from ..models.bundled import BUNDLED, check_bundled
from ..paths import cache_path, make_folder
from ..prompts.load import load_prompts
from .build.memory import FOR_TWO, free_memory

PROJECT = "tokengeom-utils"
OLDEST, NEWEST = (3, 11), (3, 13)  #: versions of Python that are tested
GB = 2**30
LEAST_MEMORY = int(2.5 * GB)  #: for one chapter
BOOK_SPACE = int(3.2 * GB)  #: environment, model, and book
LEAST_SPACE = GB  #: for the model in the cache
OK, NOTE, CHANGE, MISSING = "ok", "note", "change", "missing"
EXIT = {MISSING: 1, CHANGE: 3, NOTE: 0, OK: 0}  #: exit codes by the worst verdict
LANGUAGES = {"zh": "Chinese", "ar": "Arabic", "hi": "Hindi"}  #: examples of scripts that a browser needs a font for


class Check(NamedTuple):
    """One thing that matters."""

    topic: str
    verdict: str  #: OK; NOTE: good to know; CHANGE: it works, but not as it should; MISSING: something will not work
    found: str
    remedy: str = ""

    def line(self) -> str:
        """Return it as one line."""
        return f"{self.verdict:8} {self.topic}: {self.found}" + (f": {self.remedy}" if self.remedy else "")


def examine() -> Iterable[Check]:
    """Yield every check of this machine, the quick ones first.

    Yields
    ------
    Check
    """
    yield check_python(sys.version_info[:3])
    yield check_system(sys.platform, platform.machine())
    yield check_cores(available_cores())
    yield check_memory(free_memory())
    yield from check_packages(requirements(), installed)
    yield check_cache(cache_path())
    yield check_space(cache_path())
    yield check_model()
    yield check_texts()
    yield check_figures()
    yield from check_scripts(shutil.which("fc-list"))


def worst(checks: Iterable[Check]) -> int:
    """Return the exit code: 0 if all is well, 3 if something should be changed, 1 if something will not work.

    Examples
    --------
    >>> worst([Check("a", OK, ""), Check("b", CHANGE, "")])
    3
    """
    verdicts = {check.verdict for check in checks}
    return next((code for verdict, code in EXIT.items() if verdict in verdicts), 0)


def check_python(version: Sequence[int]) -> Check:
    """Check the version of Python."""
    found = ".".join(map(str, version))
    if tuple(version[:2]) < OLDEST:
        return Check("Python", MISSING, found, f"install Python {OLDEST[0]}.{OLDEST[1]} or newer")
    if tuple(version[:2]) > NEWEST:
        return Check("Python", CHANGE, found, f"not tested; if packages fail to install, use {NEWEST[0]}.{NEWEST[1]}")
    return Check("Python", OK, found)


def check_system(system: str, processor: str) -> Check:
    """Check the operating system and the kind of processor."""
    found = f"{system}, {processor}"
    if system == "darwin" and processor == "x86_64":
        return Check("system", MISSING, found, "Intel Macs are not supported, as packages have no wheels for them")
    if sys.maxsize < 2**32:
        return Check("system", MISSING, f"{found}, 32 bits", "install a Python of 64 bits")
    return Check("system", OK, found)


def available_cores() -> int:
    """Return the number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def check_cores(n: int) -> Check:
    """Check the number of cores."""
    return Check("cores", OK, str(n)) if n > 1 else Check("cores", CHANGE, "1", "allow two, or expect twice the time")


def check_memory(free: int | None) -> Check:
    """Check the free memory, in bytes; None if the system does not report it."""
    if free is None:
        return Check("free memory", CHANGE, "not known", "chapters run one at a time; each needs up to 2.4 GB")
    found = f"{free / GB:.1f} GB"
    if free < LEAST_MEMORY:
        return Check("free memory", MISSING, found, "a chapter needs up to 2.4 GB: close other programs")
    if free < FOR_TWO:
        return Check("free memory", CHANGE, found, f"chapters run one at a time below {FOR_TWO / GB:.0f} GB")
    return Check("free memory", OK, found)


def requirements() -> dict[str, list[str]] | None:
    """Return the requirements of this project by the extra that asks for them; None if it is not installed."""
    from packaging.requirements import Requirement

    try:
        lines = metadata.requires(PROJECT) or []
    except metadata.PackageNotFoundError:
        return None
    found: dict[str, list[str]] = {"": [], "book": []}
    for line in lines:
        wanted = Requirement(line)
        for extra in found:
            applies = wanted.marker is None or wanted.marker.evaluate({"extra": extra})
            if applies and (not extra or not (wanted.marker is None or wanted.marker.evaluate({"extra": ""}))):
                found[extra].append(f"{wanted.name}{wanted.specifier}")
    return found


def installed(package: str) -> str | None:
    """Return the installed version of a package, or None."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def check_packages(wanted: dict[str, list[str]] | None, version: Callable[[str], str | None]) -> Iterable[Check]:
    """Yield one check for the packages of the library, and one for those of the book."""
    from packaging.requirements import Requirement

    if wanted is None:
        yield Check("packages", CHANGE, f"{PROJECT} is not installed", "pip install -c constraints.txt -e .")
        return
    for extra, lines in wanted.items():
        name = f"packages of the {extra}" if extra else "packages"
        wrong = []
        for requirement in map(Requirement, lines):
            found = version(requirement.name)
            if found is None:
                wrong.append(f"{requirement.name} is missing")
            elif not requirement.specifier.contains(found, prereleases=True):
                wrong.append(f"{requirement.name} is {found}, not {requirement.specifier}")
        remedy = f'pip install -c constraints.txt -e "{f".[{extra}]" if extra else "."}"'
        if wrong:
            yield Check(name, CHANGE if extra else MISSING, "; ".join(wrong), remedy)
        else:
            yield Check(name, OK, f"all {len(lines)} are there")


def check_cache(folder: Path) -> Check:
    """Check that the cache can be written."""
    try:
        return Check("cache", OK, str(make_folder(folder)))
    except InputError as error:
        return Check("cache", MISSING, str(error))


def check_space(folder: Path) -> Check:
    """Check the free space on the disks of the cache and of the current folder."""
    there = next(place for place in (folder, *folder.parents) if place.exists())
    cache, here = (shutil.disk_usage(place).free for place in (there, Path.cwd()))
    found = f"{cache / GB:.1f} GB for the cache, {here / GB:.1f} GB here"
    if cache < LEAST_SPACE:
        return Check("disk", MISSING, found, "the model needs 1 GB: free some, or set TOKENGEOM_CACHE to another disk")
    if here < BOOK_SPACE:
        return Check("disk", CHANGE, found, f"environment and book take {BOOK_SPACE / GB:.1f} GB: free some")
    return Check("disk", OK, found)


def check_model() -> Check:
    """Check that the bundled model is in the cache, and whole."""
    try:
        check_bundled()
    except InputError as error:
        return Check("model", CHANGE, *str(error).split(": ", 1))
    return Check("model", OK, f"{BUNDLED} is in the cache and whole")


def check_texts() -> Check:
    """Check that the pocket prompts are in the cache, and whole."""
    try:
        n = len(load_prompts("pocket"))
    except InputError as error:
        return Check("texts", CHANGE, *str(error).rsplit(": ", 1))
    return Check("texts", OK, f"all {n} pocket prompts are in the cache and whole")


def check_figures() -> Check:
    """Check the font of the figures, which matplotlib brings along."""
    from matplotlib import font_manager

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            font = font_manager.findfont("DejaVu Sans", fallback_to_default=False)
    except ValueError:
        return Check(
            "figures", CHANGE, "matplotlib has no font DejaVu Sans", "pip install --force-reinstall matplotlib"
        )
    return Check("figures", OK, f"drawn with {Path(font).stem}")


def check_scripts(fc_list: str | None) -> Iterable[Check]:
    """Yield whether a browser has fonts for texts in other scripts, where fontconfig can tell."""
    if fc_list is None:
        return
    without = [
        name
        for code, name in LANGUAGES.items()
        if not subprocess.run([fc_list, f":lang={code}"], capture_output=True, check=False).stdout.strip()
    ]
    if without:
        what = f"no font for {', '.join(without)}"
        yield Check("fonts", NOTE, what, "such texts appear as boxes in reports; install the fonts of Noto")
    else:
        yield Check("fonts", OK, f"there are some for {', '.join(LANGUAGES.values())}")
