"""The site: Jupyter Book on the executed chapters and the prose pages."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from ...console import say, track
from ...errors import BuildError
from ..plain import without_solutions
from .pages import page_files
from .place import disk_failure
from .staleness import combine, files, sha256, shared_key

EXPLORER = "explorer"  #: the folder of the explorer's scripts in the folder of a build
STATIC = ("_config.yml", "_toc.yml", "CITATION.cff", "book")
#: what the folder of the site opens with; Jupyter Book writes a page without a title or a language
FRONT = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>The Geometry of Tokens</title>
<meta http-equiv="refresh" content="0; url={page}">
</head>
<body><main><a href="{page}">The Geometry of Tokens</a></main></body>
</html>
"""


def build_site(project: Path, out: Path, solutions: bool = True) -> None:
    """Build the site beside the old one, and replace the old one only when the new one is complete.

    Parameters
    ----------
    project : path
        The checkout, with the prose pages.
    out : path
        The folder of the build, with the executed chapters; the site goes into ``html``.
    solutions : bool
        Whether the site shows the solutions of the exercises; without, no file of it holds them.

    Raises
    ------
    BuildError
        If Jupyter Book reports a warning or an error, or the disk is full.
    """
    sources = {path.relative_to(project): path.read_bytes() for name in STATIC for path in files(project / name)}
    if not solutions:  # the teachers' page holds rubrics
        pages = [path for path in sources if path.parts[0] == "book" and path.suffix == ".md"]
        sources |= {path: without_solutions(sources[path].decode()).encode() for path in pages}
    for path in sorted((out / "chapters").glob("*.ipynb")):
        sources |= {Path("notebooks", name): content for name, content in page_files(path, solutions).items()}
    for path in sorted((out / EXPLORER).glob("*.js")):
        sources[Path("book/_static/explorer", path.name)] = path.read_bytes()
    # The package counts too: the API reference is made of its docstrings.
    key = combine(
        *(f"{name} {sha256(content)}" for name, content in sorted(sources.items())), *shared_key(project).values()
    )
    html, stamp = out / "html", out / "html.key"
    if html.is_dir() and stamp.is_file() and stamp.read_text() == key:
        say("site: up to date")
        return
    stage = out / "source"
    _write(sources, stage)
    with track("site", 1) as advance:
        advance(0)
        _jupyter_book(stage, out / "site.log")
        advance(1)
    (stage / "_build" / "html" / "index.html").write_text(FRONT.format(page="book/index.html"), encoding="utf-8")
    old = out / "html.old"
    shutil.rmtree(old, ignore_errors=True)
    if html.exists():
        html.rename(old)
    (stage / "_build" / "html").rename(html)  # a copy could end halfway, and doubles the space
    shutil.rmtree(old, ignore_errors=True)
    stamp.write_text(key)


def _write(sources, stage):
    """Make a folder hold exactly these files; Sphinx keeps its own there, under ``_build``."""
    for old in files(stage):
        relative = old.relative_to(stage)
        if relative.parts[0] != "_build" and relative not in sources:
            old.unlink()
    for relative, content in sources.items():
        copy = stage / relative
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(content)


def _jupyter_book(stage, log):
    """Run Jupyter Book on a folder; its messages go into a log."""
    # --all: every page shows the titles of all the others, and only this copies changed static files.
    command = [
        sys.executable,
        "-c",
        "from jupyter_book.cli.main import main; main()",
        "build",
        str(stage),
        "--all",
        "-W",
        "--keep-going",
        "-q",
    ]
    with open(log, "w") as file:
        code = subprocess.run(command, stdout=file, stderr=subprocess.STDOUT).returncode
    if code:
        if full := disk_failure(None, log.parent):
            raise BuildError(full)
        wrong = [
            line
            for line in log.read_text(encoding="utf-8", errors="replace").splitlines()
            if "WARNING" in line or "ERROR" in line
        ]
        lines = "\n".join(f"  {line.replace(str(stage) + os.sep, '')}" for line in wrong[-12:] or ["no message"])
        raise BuildError(f"jupyter-book failed; its log is {os.path.relpath(log)}\n{lines}")
