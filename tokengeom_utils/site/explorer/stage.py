"""The stage of a build that writes the explorer's scripts."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ...console import track
from ...surveys.measure import Watch
from ...surveys.plan import Plan
from ...surveys.results import open_results
from ...surveys.run import profile_plan
from .folder import Folder
from .index import index_script


def watching(path: Path) -> Callable[[Plan], Watch]:
    """Have the explorer's clouds written by the passes that a survey makes anyway.

    Parameters
    ----------
    path : path
        The folder of the scripts.

    Returns
    -------
    callable
        For :func:`tokengeom_utils.surveys.run.run_profile`.
    """
    return lambda plan: Folder(path, plan).watch


def write_explorer(path: Path, parameters: Mapping[str, Any], survey: Path) -> None:
    """Write the scripts that are missing, with progress on the console.

    Parameters
    ----------
    path : path
        Their folder.
    parameters : dict
        From :func:`tokengeom_utils.surveys.profiles.load_profile`.
    survey : path
        A complete survey, made with these parameters.
    """
    plan = profile_plan(parameters)
    folder = Folder(path, plan)
    folder.remove_leftovers()
    if total := len(folder.missing()):
        with track("explorer", total) as advance:
            for done in folder.write_missing():
                advance(done)
    results = open_results(survey)
    index = path / "index.js"
    script = index_script(results, plan.prompts, folder.chosen)
    if not index.is_file() or index.read_text(encoding="utf-8") != script:
        index.write_text(script, encoding="utf-8", newline="\n")
