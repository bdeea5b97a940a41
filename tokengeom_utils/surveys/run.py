"""Surveys: every observable of many prompts at many degrees of shuffling, in one Zarr store.

:func:`survey` measures in this process or on a cluster. An interrupted survey resumes where it stopped.
"""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..console import say, track
from ..errors import InputError, PartialSurvey
from ..models.language_model import LanguageModel
from ..models.load import device_and_dtype, fetch_model, load_tokenizer
from ..paths import local_path
from ..prompts.load import Prompt, load_prompts
from ..prompts.pocket import fetch_texts
from ..schema import K_MAX, SCALE_MAX
from .complete import complete
from .fit import check_free
from .layout import create_group
from .lock import check_writable
from .metadata import exists
from .plan import LazyModel, Plan, as_plan_model
from .request import check_whole, group_name, make_request
from .store import count

if TYPE_CHECKING:
    import xarray as xr
    from distributed import Client

    from .measure import Watch


def survey(
    model: LanguageModel | LazyModel | str | Path,
    prompts: Sequence[Prompt],
    shuffles: Iterable[int] = (0,),
    out: str | Path | None = None,
    *,
    n_shuffled: int | None = None,
    n_tokens: int = 1024,
    seed: int = 42,
    scale_max: int = SCALE_MAX,
    k_max: int = K_MAX,
    batch: int | None = None,
    client: "Client | None" = None,
    progress: Callable[[int, int, float], object] | None = None,
) -> "xr.Dataset":
    """Measure many prompts at many degrees of shuffling into one Zarr store, resuming what the store already holds.

    Prompts are written in their order, at most 16 behind the measurements; when a survey is interrupted, those first.
    Once all are there, they are moved into the chunks of the store. Missing or damaged chunks are measured again.
    Whatever stops a survey, a second run ends with the same store as a run that was never stopped.

    Parameters
    ----------
    model : LanguageModel, str, path, or LazyModel
        The model, or the name of one for :func:`load_model`, which is loaded only if something is left to measure. A
        :class:`~tokengeom_utils.surveys.plan.LazyModel` is a name with a device, a dtype, and a rule for the beginning
        of a sequence, which is recorded.
    prompts : sequence of Prompt
    shuffles : iterable of int
        Degrees of shuffling; 0 is always included. Degrees above 0 are measured for the first ``n_shuffled`` prompts.
    out : path
        The Zarr store. If it holds another survey, it is refused, and the message names the difference.
    n_shuffled : int, optional
        All prompts by default.
    n_tokens : int
        Every prompt is cut to this many tokens.
    seed : int
        Seed of the shuffles, which also depend on the prompt and the degree.
    scale_max, k_max : int
        Largest range scaling, and largest number of neighbors for the overlap.
    batch : int, optional
        Measurements per forward pass. By default that of the store; for a new store 1 on a CPU, and on a GPU the
        largest of 16, 8, 4, 2, and 1 that fits in its memory, which the first pass finds out. A store begun with
        another number is refused, because passes of different sizes round differently.
    client : dask.distributed.Client, optional
        Measure on its workers: each loads the model once, by its name. See :mod:`tokengeom_utils.surveys.cluster`.
    progress : callable, optional
        Called as ``progress(done, total, seconds_each)``, in measurements, before the first and after each.

    Returns
    -------
    xarray.Dataset
        The complete store, from :func:`open_results`.

    Raises
    ------
    InputError
        If a parameter is invalid, a prompt is too short, the store holds another survey, or another run is writing to
        it.
    PartialSurvey
        If some prompts could not be measured; all others are stored.

    See Also
    --------
    measure : measures one prompt, and stores nothing.
    open_results : opens a store.
    export : writes the results for other programs.
    loss_correlation : relates them to the loss.

    Notes
    -----
    Introduced in the chapter *What a survey costs*.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import tokengeom_utils as tg
    >>> prompts = [tg.Prompt(str(i), "counting", f"{i}, " + "and one more, " * 10) for i in range(3)]
    >>> out = Path(tempfile.mkdtemp(), "survey.zarr")
    >>> results = tg.survey(tg.tiny_model(), prompts, (0, 2), out=out, n_tokens=64, scale_max=16, k_max=8)
    >>> results.intrinsic_dimension.sizes
    Frozen({'prompt': 3, 'shuffle': 2, 'layer': 3, 'scale': 4})
    """
    if out is None:
        raise InputError("a survey needs a store: pass its path, such as out='survey.zarr'")
    out = local_path(out, "out")
    check_writable(out)
    if batch is not None:
        check_whole(1, batch=batch)
    model = as_plan_model(model)
    request = make_request(
        model.name,
        prompts,
        shuffles,
        n_shuffled=n_shuffled,
        n_tokens=n_tokens,
        seed=seed,
        scale_max=scale_max,
        k_max=k_max,
        bos=model.bos,
    )
    return complete(Plan(model, prompts, request, batch), out, client, progress)


def run_profile(
    parameters: Mapping[str, Any],
    out: str | Path,
    client: "Client | None" = None,
    quiet: bool = False,
    onlookers: "Callable[[Plan], Watch] | None" = None,
) -> "xr.Dataset":
    """Run or complete the survey that a profile describes, with progress on the console.

    Parameters
    ----------
    parameters : dict
        From :func:`tokengeom_utils.surveys.profiles.load_profile`.
    out : path
        The Zarr store. With several models, each has a group in it, named by the last part of the model's name.
    client : dask.distributed.Client, optional
        As in :func:`survey`.
    quiet : bool
        Print nothing unless something goes wrong.
    onlookers : callable, optional
        Given the plan, returns a :data:`~tokengeom_utils.surveys.measure.Watch` for what is measured in this process.

    Returns
    -------
    xarray.Dataset
        Of the last model, if there are several.

    Raises
    ------
    InputError
        As :func:`survey`; also if two models would share a group.
    PartialSurvey
        As :func:`survey`; also if the survey is interrupted, or its disk is full.
    """
    out = local_path(out, "--out")
    check_free(out)
    check_writable(out)
    if client is None:  # the workers of a client have devices of their own
        device_and_dtype(parameters.get("device", "auto"), parameters.get("dtype", "auto"))
    fetch(parameters, quiet)
    names = parameters["model"]
    models = [names] if isinstance(names, str) else names
    if isinstance(names, str):
        return _run_model(parameters, out, client, quiet, onlookers)
    groups = [group_name(model) for model in models]
    if len(set(groups)) < len(groups):
        raise InputError(
            f"two of the models {', '.join(models)} have the same last part of their names: measure them "
            "into separate stores"
        )
    create_group(out, models)
    for model, group in zip(models, groups, strict=True):
        results = _run_model({**parameters, "model": model}, Path(out, group), client, quiet, onlookers)
    return results


def fetch(parameters: Mapping[str, Any], quiet: bool = False) -> None:
    """Fetch the models of a profile, and the pocket texts if it takes them.

    If the last of several models is not available, this fails before the first is measured.

    Parameters
    ----------
    parameters : dict
        From :func:`tokengeom_utils.surveys.profiles.load_profile`.
    quiet : bool
        Print nothing.

    Raises
    ------
    InputError
        If one is not available.
    """
    names = parameters["model"]
    for model in [names] if isinstance(names, str) else names:
        fetch_model(model, _printer(quiet))
    if parameters["prompts"] == "pocket":
        fetch_texts(_printer(quiet))


def _printer(quiet):
    """The function that prints a line, or ignores it."""
    return (lambda text: None) if quiet else say


def profile_plan(parameters: Mapping[str, Any], report: Callable[[str], object] = say) -> Plan:
    """Return the plan of a profile with one model.

    Parameters
    ----------
    parameters : dict
        From :func:`tokengeom_utils.surveys.profiles.load_profile`.
    report : callable
        Called with a line of text where something takes long.

    Returns
    -------
    Plan
    """
    model = LazyModel(
        parameters["model"],
        parameters.get("device", "auto"),
        parameters.get("dtype", "auto"),
        bos=parameters.get("bos", "never"),
        say=report,
    )
    # The pocket prompts are known to be long enough for the bundled model; other texts are selected by their length.
    rule = parameters.get("tokenizers") or ([] if parameters["prompts"] == "pocket" else [parameters["model"]])
    prompts = load_prompts(
        parameters["prompts"],
        parameters["n_prompts"],
        parameters["n_tokens"],
        [load_tokenizer(name) for name in rule],
        seed=parameters["seed"],
        say=report,
    )
    request = make_request(
        model.name,
        prompts,
        parameters["shuffles"],
        **{name: parameters[name] for name in ("n_shuffled", "n_tokens", "seed", "scale_max", "k_max")},
        bos=model.bos,
    )
    return Plan(model, prompts, request, parameters.get("batch"), parameters["profile"])


def _run_model(parameters, out, client, quiet, onlookers):
    """Run the survey of one model; an interrupt and a full disk end it with one line."""
    plan = profile_plan(parameters, _printer(quiet))
    plan = plan._replace(watch=onlookers and onlookers(plan))
    n_prompts, n_shuffled = len(plan.prompts), plan.request["n_shuffled"]
    total = n_prompts + n_shuffled * len({*plan.request["shuffles"]} - {0})

    held, look = 0, 0.0

    def progress(done, left, each):
        nonlocal held, look
        now = time.monotonic()
        if now >= look or done == left:
            held = count(out)
            look = now + 100 * (time.monotonic() - now)  # of a large store this takes seconds
        note = f"({each:.2g} s each, prompts done: {held})" if done else ""
        advance(total - left + done, note)

    def moved(prompts):
        advance(total, f"(prompts moved into chunks: {prompts})")

    with track(f"survey: {n_prompts} prompts, {n_shuffled} of them shuffled", total, quiet) as advance:
        try:
            return complete(plan, out, client, progress, moved)
        except KeyboardInterrupt:
            if not exists(out):  # stopped before the first prompt was stored
                raise
            why = "interrupted"
        except OSError as error:
            why = f"{error.strerror or error} ({error.filename or out})"
    raise PartialSurvey(f"{why}: {count(out)} of {n_prompts} prompts are in {out}; rerun the same command to resume")
