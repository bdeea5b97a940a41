"""The three stages of a build, in order."""

import os
import time
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ...console import say
from ...errors import InputError
from ...paths import data_path
from ...surveys.profiles import load_profile
from ...surveys.request import check_request
from ...surveys.results import COMMITTED, open_results
from .contents import chapters, read_chapter
from .execute import Execution
from .local import whole_paths
from .place import building
from .staleness import remove_leftovers, stale_runs
from .website import EXPLORER, build_site


def build_book(
    profile: str | Path = "quick",
    project: str | Path = ".",
    out: str | Path | None = None,
    results: str | Path | None = None,
    solutions: bool = True,
    **overrides: Any,
) -> Path:
    """Build the whole book and return the path of its first page.

    Parameters
    ----------
    profile : str or path
        A name in ``notebooks/profiles``, or the path of a YAML file like those.
    project : path
        The checkout.
    out : path, optional
        Where everything is written; ``_build/PROFILE`` in the project by default.
    results : str or path, optional
        A complete survey to show instead of measuring one: a path, or ``"standard"`` for the bundled one.
    solutions : bool
        Whether the site shows the solutions of the exercises. Without them, the site is for a class; the executed
        chapters, in ``chapters`` beside it, keep them.
    **overrides
        Parameters that replace those of the profile.

    Returns
    -------
    pathlib.Path
        ``index.html`` of the site.

    Raises
    ------
    InputError
        For invalid input, before anything is written, and if another build is at work in the folder.
    BuildError
        If a chapter or the site fails, or the disk is full; the site of an earlier build stays as it was.

    See Also
    --------
    chapters : the chapters in their order.

    Examples
    --------
    The whole book takes minutes:

    >>> build_book("quick")  # doctest: +SKIP
    """
    started = time.perf_counter()
    project = Path(project).resolve()
    if not (project / "_toc.yml").is_file():
        raise InputError(f"{project} is not a checkout of the book: it has no _toc.yml")
    parameters = _parameters(profile, project, overrides)
    out = (Path(out) if out else project / "_build" / parameters["profile"]).resolve()
    survey = _committed(results) if results else out / "survey.zarr"
    times: dict[str, float] = {}
    with _timed(times, "survey"):
        if results:
            check_survey(survey, parameters)
    with building(out):
        _stages(project, out, survey, parameters, bool(results), times)
        with _timed(times, "site"):
            build_site(project, out, solutions)
    say(
        "  ".join(f"{name} {seconds:.0f} s" for name, seconds in times.items())
        + f"  total {time.perf_counter() - started:.0f} s"
    )
    page = out / "html" / "index.html"
    if not solutions:
        say(f"the site is without solutions; publish nothing of {os.path.relpath(out)} but the folder html")
    say(f"open {os.path.relpath(page)}")
    return page


def _stages(project, out, survey, parameters, is_measured, times):
    """Measure and execute whatever is stale, and add the seconds that each stage takes to ``times``."""
    contents = [read_chapter(path) for path in chapters(project)]
    with Execution(project, out, survey) as execution:

        def execute(takes_survey):
            """Start the stale chapters that take the survey, or those that do not."""
            chosen = [chapter for chapter in contents if ("results" in chapter.parameters) == takes_survey]
            execution.add(stale_runs(chosen, project, out / "chapters", whole_paths(parameters) | {"results": survey}))

        with _timed(times, "survey"):
            fetch_inputs(parameters)
        execute(takes_survey=False)
        with _timed(times, "survey"):
            if not is_measured:
                run_survey(survey, parameters, out / EXPLORER)
        with _timed(times, "explorer"):
            explore(out / EXPLORER, parameters, survey)
        with _timed(times, "chapters"):
            execution.hurry()
            remove_leftovers(contents, out / "chapters")
            execute(takes_survey=True)
            execution.wait()


@contextmanager
def _timed(times, name):
    """Add the seconds that something takes to a stage."""
    before = time.perf_counter()
    yield
    times[name] = times.get(name, 0) + time.perf_counter() - before


def _parameters(profile, project, overrides):
    """The parameters of a profile, checked for a book."""
    parameters = load_profile(profile, project, **overrides)
    if not isinstance(parameters["model"], str):
        raise InputError(
            f"a book shows one model, but the profile {parameters['profile']} has several: choose one with "
            "--model, out of " + ", ".join(parameters["model"])
        )
    check_request(parameters["n_tokens"], parameters["shuffles"], parameters["scale_max"], parameters["k_max"])
    return parameters


def _committed(results):
    """The path of a survey that exists already, given by path or by name."""
    return (data_path("results", f"{results}.zarr") if str(results) in COMMITTED else Path(results)).resolve()


def fetch_inputs(parameters: dict[str, Any]) -> None:
    """Fetch the model and the texts that the chapters take.

    Parameters
    ----------
    parameters : dict
        From :func:`tokengeom_utils.surveys.profiles.load_profile`.
    """
    from ...surveys.run import fetch  # imports torch

    fetch(parameters)


def run_survey(survey: Path, parameters: dict[str, Any], clouds: Path) -> None:
    """Measure whatever the survey of a profile still lacks.

    Parameters
    ----------
    survey : path
        The Zarr store.
    parameters : dict
        From :func:`tokengeom_utils.surveys.profiles.load_profile`.
    clouds : path
        The folder of the explorer's scripts, which are written in the same passes.
    """
    from ...surveys.run import run_profile
    from ..explorer.stage import watching

    results = run_profile(parameters, survey, onlookers=watching(clouds))
    say(f"survey: {results.sizes['prompt']} prompts, complete")


def explore(folder: Path, parameters: dict[str, Any], survey: Path) -> None:
    """Write whatever the explorer still lacks.

    Parameters
    ----------
    folder : path
        Of the explorer's scripts.
    parameters : dict
        From :func:`tokengeom_utils.surveys.profiles.load_profile`.
    survey : path
        A complete survey.
    """
    from ..explorer.stage import write_explorer  # imports torch

    write_explorer(folder, parameters, survey)


def check_survey(survey: Path, parameters: dict[str, Any]) -> None:
    """Check that an existing survey has the model and the sizes of a profile.

    Parameters
    ----------
    survey : path
        The Zarr store.
    parameters : dict
        From :func:`tokengeom_utils.surveys.profiles.load_profile`.

    Raises
    ------
    InputError
        If the two differ.
    """
    results = open_results(survey)
    for name in ("model", "n_tokens", "seed"):
        if results.attrs[name] != parameters[name]:
            raise InputError(
                f"{survey} has {name} {results.attrs[name]}, the profile {parameters['profile']} has "
                f"{parameters[name]}: choose the profile that the survey was made with"
            )
    say(f"survey: {results.sizes['prompt']} prompts, measured before")
