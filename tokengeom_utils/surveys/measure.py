"""Every observable of every layer, for one prompt or a few.

``measure`` takes one prompt through the model once and returns a labeled Dataset. Hidden states are measured while they
are in memory and dropped.
"""

import warnings

import numpy as np

from ..clouds.observer import Observer, intrinsic_dimension
from ..errors import InputError
from ..models.extract import logit_cloud, stream_clouds
from ..models.predictions import Predictions
from ..prompts.load import Prompt
from ..prompts.shuffle import bleu, prompt_seed, shuffle_blocks
from ..schema import K_MAX, OBSERVABLES, SCALE_MAX
from .request import check_request

GPU_BATCH = 16  #: measurements per forward pass on a GPU; with fewer it waits for Python


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
        The variables of :data:`tokengeom_utils.schema.OBSERVABLES`, without the prompt and shuffle
        dimensions.

    Raises
    ------
    InputError
        If the prompt is too short, a scale exceeds N - 1, or the shuffle does not divide.
    """
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
    observer, predictions, last = Observer(scale_max, k_max), Predictions(), None

    def hand_over(cloud):
        nonlocal last
        last = cloud[..., skip:, :]
        observer.update(last)

    loss = stream_clouds(model, token_ids, hand_over, predictions.update)
    ids = np.asarray(token_ids)
    summary = {
        **_logit_dimension(model, last, scale_max),
        "loss": loss.double().mean(-1).cpu(),
        **{name: value.reshape(ids.shape[:-1]).cpu()
           for name, value in predictions.compute(len(np.atleast_2d(ids))).items()},
        "distinct_tokens": np.apply_along_axis(lambda row: len(np.unique(row)), -1, ids),
    }
    return observer.compute().assign(
        {name: _variable(name, value, ("prompt",) * (ids.ndim - 1)) for name, value in summary.items()}
    )


def _variable(name, value, batch=()):
    row = OBSERVABLES[name]
    return batch + row.dims, np.asarray(value), row.attributes


def _logit_dimension(model, last, scale_max):
    """Intrinsic dimension of the logits; NaN where they are no linear map of the hidden states."""
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


def check_lengths(model, prompts, n_tokens):
    """Raise ``InputError`` if a prompt is too short."""
    for prompt in prompts:
        model.tokenize(prompt.text, n_tokens, name=f"prompt {prompt.id}")


def parts(items, size):
    """A list in lists of at most ``size``."""
    return [items[i : i + size] for i in range(0, len(items), size)]


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
