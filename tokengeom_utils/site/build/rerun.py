"""The commands with which a reader executes a chapter again, with the same or with other parameters."""

import re
import shlex
from collections.abc import Mapping
from typing import Any

import yaml

RERUN = "_build/rerun"  #: folder of a checkout for the chapters that readers execute, one file each

#: How to activate the environment, said once a page.
ACTIVATE = (
    "In a terminal in the folder of the checkout, activate the environment once: `. .venv/bin/activate` on Linux and "
    "macOS, `.venv\\Scripts\\Activate.ps1` in PowerShell on Windows, `conda activate tokengeom` with conda."
)


def rerun_commands(name: str, given: Mapping[str, Any]) -> str:
    """Write the commands that execute a chapter, from the root of a checkout, in any shell.

    Parameters
    ----------
    name : str
        The chapter's file name without its extension.
    given : mapping
        The values of its parameters.

    Returns
    -------
    str
        Two lines. They write one file, outside the sources.

    Examples
    --------
    >>> print(rerun_commands("extraction", {"n_tokens": 256}))  # doctest: +NORMALIZE_WHITESPACE
    jupytext --to ../_build/rerun//ipynb notebooks/extraction.md
    papermill _build/rerun/extraction.ipynb _build/rerun/extraction.ipynb --engine inline -k python3 --cwd notebooks
    -p n_tokens 256
    """
    notebook = f"{RERUN}/{name}.ipynb"
    return (  # jupytext creates a folder only where it is given as a prefix
        f"jupytext --to ../{RERUN}//ipynb notebooks/{name}.md\n"
        f"papermill {notebook} {notebook} --engine inline -k python3 --cwd notebooks"
        + "".join(f" {_option(*item)}" for item in sorted(given.items()))
    )


def needs_survey(given: Mapping[str, Any]) -> str:
    """Say what must exist before the commands run; empty for a chapter that needs nothing.

    Parameters
    ----------
    given : mapping
        The values of its parameters.

    Returns
    -------
    str

    Examples
    --------
    >>> needs_survey({"results": "../_build/quick/survey.zarr"})
    ', once `tokengeom book` has measured the survey'
    >>> needs_survey({"results": "standard"})
    ''
    """
    measured = str(given.get("results", "")).endswith("survey.zarr")
    return ", once `tokengeom book` has measured the survey" if measured else ""


def _option(name, value):
    """A parameter as an option of papermill."""
    if isinstance(value, (list, dict)):
        flow = yaml.safe_dump({name: value}, default_flow_style=True, width=float("inf"), allow_unicode=True)
        return f"-y {_quoted(flow.strip()[1:-1])}"
    kind = "r" if isinstance(value, str) and _looks_like_another_type(value) else "p"
    return f"-{kind} {name} {_quoted(str(value))}"


def _looks_like_another_type(text):
    """Whether papermill would convert a text given with ``-p``; it takes a text with ``-r`` as it is."""
    try:
        float(text)
    except ValueError:
        return text in ("True", "False", "None")
    return True


def _quoted(text):
    """A word for sh, cmd, and PowerShell alike: as it is, or in double quotes; else for sh alone."""
    if re.fullmatch(r"[\w./:+-]+", text, re.ASCII):
        return text
    return f'"{text}"' if not re.search(r'["$`\\!%]', text) else shlex.quote(text)
