"""Surveys: every observable of every layer, for one prompt or for many.

``measure`` takes one prompt through the model once and returns a labelled Dataset; ``survey`` does
so for many prompts and shuffle degrees and keeps what it finds in a Zarr store. Hidden states are
measured while they are in memory and dropped; what is stored is small. A survey that was
interrupted goes on where it stopped.
"""

import json
import os
import platform
import time
from importlib import metadata
from pathlib import Path

import numpy as np

from . import __version__
from .errors import InputError
from .results import K_MAX, SCALE_MAX, SCHEMA, VARIABLES, check_scales
from .shuffle import DEGREES, check_divisible, prompt_seed, shuffle_blocks


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
    ids = _token_ids(model, prompt, shuffle, n_tokens, seed)
    return measure_tokens(model, ids, scale_max, k_max, skip)


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
        As from :func:`measure`; for several prompts with ``prompt`` as the first dimension.
    """
    from .extract import stream_clouds
    from .geometry import Observer, aside

    observer = Observer(scale_max, k_max)
    with aside(observer.see) as see:
        loss = stream_clouds(model, token_ids, lambda cloud: see(cloud[..., skip:, :]))
    loss = loss.double().mean(-1).cpu().numpy()
    distinct = np.apply_along_axis(lambda ids: len(np.unique(ids)), -1, np.asarray(token_ids))
    batch = ("prompt",) * loss.ndim
    return observer.dataset().assign(
        loss=(batch, loss, VARIABLES["loss"][1]), distinct_tokens=(batch, distinct, VARIABLES["distinct_tokens"][1])
    )


def _token_ids(model, prompt, shuffle, n_tokens, seed):
    ids = model.tokenize(prompt.text, n_tokens, name=f"prompt {prompt.id}")
    return shuffle_blocks(ids, shuffle, prompt_seed(seed, prompt.id, shuffle))


def check_request(n_points, shuffles, scale_max, k_max, n_tokens=None):
    """Raise ``InputError`` if clouds of ``n_points`` cannot be measured as asked."""
    for degree in shuffles:
        check_divisible(n_tokens or n_points, degree)
    check_scales(n_points, scale_max, k_max)


def survey(
    model, prompts, shuffles=(0,), out=None, *, n_shuffled=None, n_tokens=1024, seed=42,
    scale_max=SCALE_MAX, k_max=K_MAX, batch=None, profile="", model_name=None, progress=None,
):
    """Measure many prompts at many shuffle degrees into one Zarr store; resumes what it finds there.

    Parameters
    ----------
    model : LanguageModel or callable
        The model, or a function that loads it, called only if something is left to measure; then
        ``model_name`` says which model that is.
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
        Measurements per forward pass: unless given, 1 on a CPU and 8 on a GPU.
    profile : str
        Recorded in the attributes.
    model_name : str, optional
    progress : callable, optional
        Called as ``progress(done, total, seconds_each)`` before the first measurement and after each.

    Returns
    -------
    xarray.Dataset
        The complete store, opened by :func:`open_results`.

    Raises
    ------
    InputError
        For bad parameters, a prompt that is too short, or a store of another survey.
    """
    import xarray as xr

    from .results import open_results

    shuffles = tuple(sorted({0, *shuffles}))
    check_request(n_tokens, shuffles, scale_max, k_max)
    n_shuffled = len(prompts) if n_shuffled is None else min(n_shuffled, len(prompts))
    if not prompts:
        raise InputError("a survey needs at least one prompt")
    if len({p.id for p in prompts}) < len(prompts):
        raise InputError("two prompts of the survey share an id")
    out = Path(out)
    name = model_name or model.name
    request = {
        "schema": SCHEMA, "model": name, "prompts": [[p.id, p.sha256] for p in prompts], "shuffles": list(shuffles),
        "n_shuffled": n_shuffled, "n_tokens": n_tokens, "seed": seed, "scale_max": scale_max, "k_max": k_max,
    }
    done = _completed(out, request)
    plan = {i: shuffles if i < n_shuffled else (0,) for i in range(len(prompts)) if not done[i]}
    total, count = sum(map(len, plan.values())), 0
    if not total:
        return open_results(out)

    model = model() if callable(model) else model
    for i in plan:  # every prompt is checked before the first is measured
        model.tokenize(prompts[i].text, n_tokens, name=f"prompt {prompts[i].id}")
    if progress:
        progress(0, total, 0.0)
    started = time.perf_counter()
    batch = batch or (1 if model.device.type == "cpu" else 8)
    for group in _parts(list(plan), batch):
        rows = {}
        for jobs in _parts([(i, degree) for i in group for degree in plan[i]], batch):
            ids = [_token_ids(model, prompts[i], degree, n_tokens, seed) for i, degree in jobs]
            measured = measure_tokens(model, np.stack(ids), scale_max, k_max)
            rows |= {job: measured.isel(prompt=place) for place, job in enumerate(jobs)}
            count += len(jobs)
            if progress:
                progress(count, total, (time.perf_counter() - started) / count)
        for i in group:
            row = xr.concat([rows[i, degree] for degree in plan[i]], "shuffle").assign_coords(shuffle=list(plan[i]))
            _write(out, i, row.reindex(shuffle=list(shuffles)), prompts, request, model, profile)
    return open_results(out)


def _parts(items, size):
    return [items[i : i + size] for i in range(0, len(items), size)]


def _write(out, i, row, prompts, request, model, profile):
    """Put the measurements of prompt ``i`` into the store, made at the first one."""
    import xarray as xr

    row = row.expand_dims(prompt=1)
    if not (out / "zarr.json").exists():
        _create(out, row, prompts, request, model, profile)
    _check_model(out, model)
    region = {"prompt": slice(i, i + 1)}
    row.drop_vars(["shuffle", "layer", "scale", "k"]).to_zarr(out, region=region, consolidated=False)
    # Written last: a prompt whose flag is set is complete.
    flag = xr.Dataset({"complete": ("prompt", np.ones(1, np.int8))})
    flag.to_zarr(out, region=region, consolidated=False)


def _completed(out, request):
    """Which prompts the store holds already; refuses a store that another request made."""
    import zarr

    if not (out / "zarr.json").exists():
        if out.exists() and any(out.iterdir()):
            raise InputError(f"{out} exists and is not a survey store")
        return np.zeros(len(request["prompts"]), bool)
    group = zarr.open_group(out, mode="r")
    made = json.loads(group.attrs["request"])
    for name, wanted in request.items():
        if made.get(name) != wanted:
            found = made.get(name)
            if isinstance(wanted, list) and len(str(wanted)) > 80:
                found, wanted = "another list", "the one asked for"
            raise InputError(
                f"{out} holds another survey: its {name} is {found}, not {wanted}; delete it or choose another --out"
            )
    return group["complete"][:].astype(bool)


def _check_model(out, model):
    import zarr

    made = zarr.open_group(out, mode="r").attrs["model_fingerprint"]
    if made != model.fingerprint:
        raise InputError(f"{out} was made with a model of fingerprint {made}, not {model.fingerprint}")


def _create(out, row, prompts, request, model, profile):
    """An empty store of the full size, put in place at once."""
    import xarray as xr

    n = len(prompts)
    empty = xr.Dataset(
        {
            name: (variable.dims, np.full((n, *variable.shape[1:]), np.nan, np.float64), variable.attrs)
            for name, variable in row.data_vars.items()
        },
        coords={
            **{name: row[name] for name in ("shuffle", "layer", "scale", "k")},
            "prompt": ("prompt", np.array([p.id for p in prompts], np.dtypes.StringDType())),
            "domain": ("prompt", np.array([p.domain for p in prompts], np.dtypes.StringDType())),
        },
        attrs={
            "title": "Token geometry survey", "schema": SCHEMA, "request": json.dumps(request),
            "model": model.name, "model_fingerprint": model.fingerprint, "n_tokens": request["n_tokens"],
            "seed": request["seed"], "dtype": str(model.network.dtype), "device": str(model.device),
            "profile": profile, "versions": json.dumps(versions()),
        },
    )
    empty["complete"] = ("prompt", np.zeros(n, np.int8))
    encoding = {name: {"chunks": (1, *v.shape[1:])} for name, v in empty.data_vars.items()}
    temporary = out.with_name(f".{out.name}.{os.getpid()}")
    empty.to_zarr(temporary, mode="w", encoding=encoding, consolidated=False)
    out.parent.mkdir(parents=True, exist_ok=True)
    temporary.rename(out)


def run_profile(parameters, out):
    """Run or complete the survey that a profile describes, with progress on the console.

    Parameters
    ----------
    parameters : dict
        From :func:`tokengeom_utils.profiles.load_profile`.
    out : path
        The Zarr store.

    Returns
    -------
    xarray.Dataset
    """
    from .console import say, track
    from .corpus import load_prompts
    from .models import BUNDLED, fetch_bundled_model, load_model

    def load():
        if parameters["model"] == BUNDLED:
            fetch_bundled_model(say)
        say(f"loading {parameters['model']} ...")
        return load_model(parameters["model"])

    model, tokenizers = load, ()
    if parameters["prompts"] == "pile-10k":  # chosen, as in the paper, by their length in tokens
        model = load()
        tokenizers = (model.tokenize,)
    prompts = load_prompts(parameters["prompts"], parameters["n_prompts"], parameters["n_tokens"], tokenizers)
    n_shuffled = min(parameters["n_shuffled"], len(prompts))
    total = len(prompts) + n_shuffled * (len({0, *parameters["shuffles"]}) - 1)
    with track(f"survey: {len(prompts)} prompts, {n_shuffled} of them shuffled", total) as advance:
        return survey(
            model, prompts, parameters["shuffles"], out, n_shuffled=n_shuffled, model_name=parameters["model"],
            **{name: parameters[name] for name in ("n_tokens", "seed", "scale_max", "k_max", "profile")},
            progress=lambda done, left, each: advance(total - left + done, f"({each:.1f} s each)" if done else ""),
        )


def versions():
    """Versions of what the numbers depend on."""
    names = ("torch", "transformers", "numpy", "tokenizers")
    return {"tokengeom-utils": __version__, "python": platform.python_version(),
            **{name: metadata.version(name) for name in names}}
