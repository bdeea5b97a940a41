"""Surveys: every observable of every layer, for one prompt or for many.

``measure`` takes one prompt through the model once and returns a labelled Dataset; ``survey`` does
so for many prompts and shuffle degrees, here or on a cluster, and keeps what it finds in a Zarr store. Hidden states
are measured while they are in memory and dropped; what is stored is small. A survey that was
interrupted goes on where it stopped.
"""

import json
import platform
import re
import subprocess
import time
import warnings
from functools import lru_cache
from importlib import metadata
from pathlib import Path

import numpy as np

from . import __version__, store
from .errors import InputError, PartialSurvey
from .results import K_MAX, SCALE_MAX, SCHEMA, VARIABLES, check_scales, open_results
from .shuffle import bleu, check_divisible, prompt_seed, shuffle_blocks

GPU_BATCH = 16  #: measurements per forward pass on a GPU, which waits for Python where there are fewer


def measure(model, prompt, shuffle=0, n_tokens=1024, seed=42, scale_max=SCALE_MAX, k_max=K_MAX, skip=0):
    """Every observable of one prompt, in one forward pass.

    Parameters
    ----------
    model : LanguageModel
    prompt : Prompt or str
    shuffle : int
        Shuffle degree; ``n_tokens`` must be divisible by ``4**shuffle``.
    n_tokens : int
        The prompt is cut to this many tokens.
    seed : int
        Seed of the shuffle, which also depends on the prompt and the degree.
    scale_max, k_max : int
        Largest range scaling and largest number of neighbors for the overlap.
    skip : int
        Leading tokens left out of the clouds. Token 0 often carries a massive activation; the
        paper keeps it.

    Returns
    -------
    xarray.Dataset
        The variables of :data:`tokengeom_utils.results.VARIABLES`, without the prompt and shuffle
        dimensions.

    Raises
    ------
    InputError
        If the prompt is too short, a scale exceeds N - 1, or the shuffle does not divide.
    """
    from .corpus import Prompt

    if isinstance(prompt, str):
        prompt = Prompt("text", "text", prompt)
    check_request(n_tokens - skip, (shuffle,), scale_max, k_max, n_tokens)
    ids, order = _token_ids(model, prompt, shuffle, n_tokens, seed)
    return measure_tokens(model, ids, scale_max, k_max, skip).assign(bleu=_variable("bleu", bleu(ids, order)))


def measure_tokens(model, token_ids, scale_max=SCALE_MAX, k_max=K_MAX, skip=0):
    """Every observable of one prompt, or of several at once, given as token ids.

    The layers are measured while the model runs and never kept.

    Parameters
    ----------
    model : LanguageModel
    token_ids : array_like of int, shape (token,) or (prompt, token)
        Several prompts at once are for a GPU; a CPU gains nothing by it.
    scale_max, k_max, skip : int
        As in :func:`measure`.

    Returns
    -------
    xarray.Dataset
        As from :func:`measure`, but for ``bleu``, which takes the prompt in order too; for several prompts with
        ``prompt`` as the first dimension.
    """
    from .extract import stream_clouds
    from .geometry import Observer
    from .predictions import Predictions

    observer, predictions, last = Observer(scale_max, k_max), Predictions(), None

    def hand_over(cloud):
        nonlocal last
        last = cloud[..., skip:, :]
        observer.see(last)

    loss = stream_clouds(model, token_ids, hand_over, predictions.see)
    ids = np.asarray(token_ids)
    summary = {
        **_logit_dimension(model, last, scale_max),
        "loss": loss.double().mean(-1).cpu(),
        **{name: value.reshape(ids.shape[:-1]).cpu()
           for name, value in predictions.means(len(np.atleast_2d(ids))).items()},
        "distinct_tokens": np.apply_along_axis(lambda row: len(np.unique(row)), -1, ids),
    }
    return observer.dataset().assign(
        {name: _variable(name, value, ("prompt",) * (ids.ndim - 1)) for name, value in summary.items()}
    )


def _variable(name, value, batch=()):
    dims, attributes = VARIABLES[name]
    return batch + dims, np.asarray(value), attributes


def _logit_dimension(model, last, scale_max):
    """Intrinsic dimension of the logits; NaN where they are no linear map of the hidden states."""
    from .extract import logit_cloud
    from .geometry import intrinsic_dimension

    cloud = logit_cloud(model, last)
    if cloud is None:
        nothing = np.full((*last.shape[:-2], int(scale_max).bit_length() - 1), np.nan)
        return {"logit_dimension": nothing, "logit_dimension_error": nothing}
    with warnings.catch_warnings():  # a prompt of few distinct tokens
        warnings.filterwarnings("ignore", "intrinsic dimension is NaN", RuntimeWarning)
        found = intrinsic_dimension(cloud, scale_max)
    return {"logit_dimension": found.dimension.cpu(), "logit_dimension_error": found.standard_error.cpu()}


def _token_ids(model, prompt, shuffle, n_tokens, seed):
    """Token ids of a prompt shuffled, and in order."""
    ids = model.tokenize(prompt.text, n_tokens, name=f"prompt {prompt.id}")
    return shuffle_blocks(ids, shuffle, prompt_seed(seed, prompt.id, shuffle)), ids


def check_request(n_points, shuffles, scale_max, k_max, n_tokens=None):
    """Raise ``InputError`` if clouds of ``n_points`` cannot be measured as asked."""
    for degree in shuffles:
        check_divisible(n_tokens or n_points, degree)
    check_scales(n_points, scale_max, k_max)


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
        Measure on its workers: each loads the model once, by its name. See :mod:`tokengeom_utils.cluster`.
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
    from .models import load_model

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
    from .models import known_fingerprint

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


def parts(items, size):
    """A list in lists of at most ``size``."""
    return [items[i : i + size] for i in range(0, len(items), size)]


def check_lengths(model, prompts, n_tokens):
    """Raise ``InputError`` if a prompt is too short."""
    for prompt in prompts:
        model.tokenize(prompt.text, n_tokens, name=f"prompt {prompt.id}")


def measure_prompts(model, prompts, degrees, request, batch=1, advance=None):
    """The rows of a survey that belong to some prompts.

    Parameters
    ----------
    model : LanguageModel
    prompts : list of Prompt
    degrees : list of tuple of int
        The shuffle degrees of each prompt.
    request : dict
        What the survey was asked for.
    batch : int
        Measurements per forward pass, always as many: the last pass repeats one, and drops what it finds. A pass of
        another size would round otherwise, and a survey that was interrupted would not end the same.
    advance : callable, optional
        Called as ``advance(steps)`` after each forward pass.

    Returns
    -------
    list of xarray.Dataset or InputError
        For each prompt its measurements, with NaN at degrees that were not asked for, or why there are none.
    """
    import xarray as xr

    jobs = [(i, degree) for i in range(len(prompts)) for degree in degrees[i]]
    measured = {}
    for group in parts(jobs, batch):
        ids = [_token_ids(model, prompts[i], degree, request["n_tokens"], request["seed"]) for i, degree in group]
        full = np.stack([shuffled for shuffled, _ in ids])[np.minimum(np.arange(batch), len(group) - 1)]
        try:
            found = measure_tokens(model, full, request["scale_max"], request["k_max"]).isel(prompt=slice(len(group)))
        except InputError as error:
            if len(prompts) == 1:
                return [error]
            return [row for prompt, its in zip(prompts, degrees)  # one by one, to know whose fault it is
                    for row in measure_prompts(model, [prompt], [its], request, batch)]
        found["bleu"] = _variable("bleu", [bleu(*pair) for pair in ids], ("prompt",))
        measured |= {job: found.isel(prompt=place) for place, job in enumerate(group)}
        if advance:
            advance(len(group))
    return [
        xr.concat([measured[i, degree] for degree in its], "shuffle").assign_coords(shuffle=list(its))
        .reindex(shuffle=request["shuffles"]) for i, its in enumerate(degrees)
    ]


def run_profile(parameters, out, client=None, quiet=False):
    """Run or complete the survey that a profile describes, with progress on the console.

    Parameters
    ----------
    parameters : dict
        From :func:`tokengeom_utils.profiles.load_profile`.
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
    from .models import fetch_model

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


def group_name(model):
    """The name of a model as a group of a store with several.

    >>> group_name("mistralai/Mistral-7B-v0.1")
    'Mistral-7B-v0.1'
    """
    return re.sub(r"[^\w.-]", "-", str(model).rstrip("/").split("/")[-1])


def _tell(quiet):
    from .console import say

    return (lambda text: None) if quiet else say


def _run_model(parameters, out, client, quiet):
    from .console import track
    from .corpus import load_prompts
    from .models import load_model, load_tokenizer

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


def provenance(model, profile="", batch=1):
    """How the numbers of a run are made, as a dict of JSON values."""
    return {
        "model_fingerprint": model.fingerprint, "dtype": str(model.network.dtype), "batch": batch,
        "device": _device_name(model.device), "profile": profile, "commit": _commit(), "versions": versions(),
    }


def _device_name(device):
    import torch

    from .processor import facts

    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return facts().get("model name", platform.processor()) or device.type


@lru_cache
def _commit():
    """The commit of the checkout, with a plus if it was changed since; empty outside a checkout."""
    here = Path(__file__).parent

    def git(*words):
        return subprocess.run(["git", "-C", str(here), *words], capture_output=True, text=True, check=True).stdout

    try:
        if Path(git("rev-parse", "--show-toplevel").strip()) != here.parent:
            return ""
        changed = git("status", "--porcelain", "--untracked-files=no", "--", str(here))
        return git("rev-parse", "HEAD").strip() + ("+" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return ""


def versions():
    """Versions of what the numbers depend on."""
    names = ("torch", "transformers", "tokenizers", "numpy", "numba", "scipy")
    return {"tokengeom-utils": __version__, "python": platform.python_version(),
            **{name: metadata.version(name) for name in names}}
