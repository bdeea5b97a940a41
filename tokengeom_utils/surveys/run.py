"""Surveys: every observable of many prompts at many degrees of shuffling, in one Zarr store.

``survey`` measures here or on a cluster. An interrupted survey resumes where it stopped.
"""

import time
import warnings
from pathlib import Path

import numpy as np

from . import store
from ..console import say, track
from ..errors import InputError, PartialSurvey
from ..models.load import fetch_model, known_fingerprint, load_model, load_tokenizer
from ..prompts.load import load_prompts
from ..schema import K_MAX, SCALE_MAX, SCHEMA
from .measure import GPU_BATCH, check_lengths, measure_prompts, parts
from .provenance import provenance
from .request import check_request, group_name
from .results import open_results


def survey(
    model, prompts, shuffles=(0,), out=None, *, n_shuffled=None, n_tokens=1024, seed=42, scale_max=SCALE_MAX,
    k_max=K_MAX, batch=None, profile="", model_name=None, device="auto", dtype="auto", client=None, progress=None,
):
    """Measure many prompts at many shuffle degrees into one Zarr store; resumes what it finds there.

    Every finished prompt is on the disk at once, and chunks that are damaged or missing are measured again: whatever
    stops a survey, a second run ends with the same store as one that was never stopped.

    Parameters
    ----------
    model : LanguageModel, callable, str or path
        The model; or a function that loads it, called only if something is left to measure, and then
        ``model_name`` says which model that is; or the name for :func:`load_model`.
    prompts : list of Prompt
    shuffles : sequence of int
        Degrees; those above 0 are measured for the first ``n_shuffled`` prompts only.
    out : path
        The Zarr store. One that holds another survey is refused, with the difference named.
    n_shuffled : int, optional
        All the prompts unless given.
    n_tokens, seed, scale_max, k_max
        As in :func:`measure`.
    batch : int, optional
        Measurements per forward pass: unless given, that of the store, or else 1 on a CPU and 16 on a GPU. A store
        that was begun with another is refused, because a pass of another size rounds otherwise.
    profile : str
        Recorded in the attributes.
    model_name : str, optional
    device, dtype : str
        For :func:`load_model`, where the model is given by name.
    client : dask.distributed.Client, optional
        Measure on its workers: each loads the model once, by its name. See :mod:`tokengeom_utils.surveys.cluster`.
    progress : callable, optional
        Called as ``progress(done, total, seconds_each)``, in measurements, before the first and after each.

    Returns
    -------
    xarray.Dataset
        The complete store, opened by :func:`open_results`.

    Raises
    ------
    InputError
        For bad parameters, a prompt that is too short, a store of another survey, or one that another run writes to.
    PartialSurvey
        If some prompts could not be measured; all the others are.
    """
    shuffles = tuple(sorted({0, *shuffles})) if n_shuffled != 0 else (0,)
    check_request(n_tokens, shuffles, scale_max, k_max)
    if not prompts:
        raise InputError("a survey needs at least one prompt")
    if len({p.id for p in prompts}) < len(prompts):
        raise InputError("two prompts of the survey share an id")
    n_shuffled = len(prompts) if n_shuffled is None else min(n_shuffled, len(prompts))
    by_name = isinstance(model, (str, Path))
    name = model_name or (str(model) if by_name else model.name)
    request = {
        "schema": SCHEMA, "model": name, "prompts": [[p.id, p.sha256] for p in prompts], "shuffles": list(shuffles),
        "n_shuffled": n_shuffled, "n_tokens": n_tokens, "seed": seed, "scale_max": scale_max, "k_max": k_max,
    }
    with store.Store(out, request, prompts) as results:
        results.match({**_foreseen(model, name if callable(model) else model, dtype), "batch": batch})
        batch = batch or results.batch
        if store.exists(out):
            _mend(results)
        todo = np.flatnonzero(~results.done())
        plan = {int(i): shuffles if i < n_shuffled else (0,) for i in todo}
        if not plan:
            return open_results(out)
        count, started, failed = 0, time.perf_counter(), {}

        def advance(steps):
            nonlocal count, started
            if not steps:  # the model is loaded, the first measurement begins
                started = time.perf_counter()
            count += steps
            if progress:
                progress(count, sum(map(len, plan.values())), (time.perf_counter() - started) / max(count, 1))

        if client is not None:
            from .cluster import measure_on_workers

            source = str(model) if by_name else name, device, dtype
            measured = measure_on_workers(client, source, prompts, plan, request, profile, batch, advance)
        else:
            model = load_model(model, device, dtype) if by_name else model() if callable(model) else model
            measured = _measure_here(model, prompts, plan, request, profile, batch, advance)
        for group, rows, made in measured:
            for i, row in zip(group, rows):
                if isinstance(row, InputError):
                    failed[i] = row
                else:
                    results.write(i, row, made)
    if failed:
        i, why = next(iter(failed.items()))
        raise PartialSurvey(f"{len(failed)} of {len(prompts)} prompts could not be measured, the others are in {out}; "
                            f"the first is prompt {prompts[i].id}: {why}")
    return open_results(out)


def _foreseen(model, name, dtype):
    """What is known of a run's provenance without loading the model."""
    if hasattr(model, "network"):
        return {"model_fingerprint": model.fingerprint, "dtype": str(model.network.dtype)}
    dtype = {} if dtype == "auto" else {"dtype": f"torch.{str(dtype).removeprefix('torch.')}"}
    return {"model_fingerprint": known_fingerprint(name), **dtype}


def _mend(results):
    """Write damaged coordinates again, and have prompts with a damaged or missing chunk measured again."""
    for file, prompts, what in store.faults(results.path):
        if prompts is None:
            warnings.warn(f"{results.path}: {file} is {what}; it follows from what was asked for and is written again",
                          stacklevel=3)
            results.mend(file.split("/")[0])
            continue
        warnings.warn(f"{results.path}: {file} is {what}; prompt "
                      f"{', '.join(p.id for p in results.prompts[prompts])} is measured again", stacklevel=3)
        results.forget(range(prompts.start, prompts.stop))


def _measure_here(model, prompts, plan, request, profile, batch, advance):
    """Measure in this process; yields (places of prompts, their rows, provenance)."""
    check_lengths(model, [prompts[i] for i in plan], request["n_tokens"])  # before the first is measured
    batch = batch or (1 if model.device.type == "cpu" else GPU_BATCH)
    made = provenance(model, profile, batch)
    advance(0)
    for group in parts(list(plan), batch):
        rows = measure_prompts(model, [prompts[i] for i in group], [plan[i] for i in group], request, batch, advance)
        yield group, rows, made


def run_profile(parameters, out, client=None, quiet=False):
    """Run or complete the survey that a profile describes, with progress on the console.

    Parameters
    ----------
    parameters : dict
        From :func:`tokengeom_utils.surveys.profiles.load_profile`.
    out : path
        The Zarr store. With several models, each has a group of it, by the last part of its name.
    client : dask.distributed.Client, optional
        As in :func:`survey`.
    quiet : bool
        Say nothing while it goes well.

    Returns
    -------
    xarray.Dataset
        Of the last model, if there are several.
    """
    names = parameters["model"]
    models = [names] if isinstance(names, str) else names
    for model in models:  # what is missing for the last shows before the first is measured
        fetch_model(model, _tell(quiet))
    if isinstance(names, str):
        return _run_model(parameters, Path(out), client, quiet)
    groups = [group_name(model) for model in models]
    if len(set(groups)) < len(groups):
        raise InputError(f"two of the models {', '.join(models)} have the same last part of their names: measure them "
                         "into stores of their own")
    store.create_group(out, models)
    for model in models:
        results = _run_model({**parameters, "model": model}, Path(out, group_name(model)), client, quiet)
    return results


def _tell(quiet):
    return (lambda text: None) if quiet else say


def _run_model(parameters, out, client, quiet):
    tell = _tell(quiet)
    options = {name: parameters[name] for name in ("device", "dtype") if name in parameters}

    def load():
        tell(f"loading {parameters['model']} ...")
        return load_model(parameters["model"], **options)

    # The pocket set is known to be long enough for the bundled model; other texts are chosen by their length.
    rule = parameters.get("tokenizers") or ([] if parameters["prompts"] == "pocket" else [parameters["model"]])
    prompts = load_prompts(parameters["prompts"], parameters["n_prompts"], parameters["n_tokens"],
                           [load_tokenizer(name) for name in rule], seed=parameters["seed"], say=tell)
    n_shuffled = min(parameters["n_shuffled"], len(prompts))
    total = len(prompts) + n_shuffled * len({*parameters["shuffles"]} - {0})
    left_over = total

    def progress(done, left, each):
        nonlocal left_over
        left_over = left - done
        advance(total - left_over, f"({each:.2g} s each, prompts done: {store.count(out)})" if done else "")

    with track(f"survey: {len(prompts)} prompts, {n_shuffled} of them shuffled", total, quiet) as advance:
        try:
            return survey(
                parameters["model"] if client else load, prompts, parameters["shuffles"], out,
                n_shuffled=n_shuffled, model_name=parameters["model"],
                **{name: parameters[name] for name in ("n_tokens", "seed", "scale_max", "k_max", "profile")},
                **options, batch=parameters.get("batch"), client=client, progress=progress,
            )
        except KeyboardInterrupt:
            why = "interrupted"
        except OSError as error:
            why = f"{error.strerror or error} ({error.filename or out})"
    raise PartialSurvey(f"{why}: {store.count(out)} of {len(prompts)} prompts are in {out}; "
                        "the same command goes on from there")


