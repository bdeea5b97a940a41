"""Every observable of every layer, for one prompt or a few.

:func:`measure` runs one prompt through the model once and returns a labeled Dataset. Hidden states are measured while
they are in memory and never kept.
"""

import warnings
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol, TypeAlias, TypeVar

import numpy as np
from numpy.typing import ArrayLike

from ..clouds.observer import Observer, intrinsic_dimension, observables
from ..errors import InputError
from ..models.advice import advice
from ..models.extract import logit_cloud, stream_clouds
from ..models.language_model import LanguageModel
from ..models.predictions import Predictions
from ..models.vocabulary import check_ids
from ..prompts.load import Prompt
from ..prompts.shuffle import bleu, prompt_seed, shuffle_blocks
from ..schema import K_MAX, OBSERVABLES, SCALE_MAX
from .request import Request, check_request

if TYPE_CHECKING:
    import torch
    import xarray as xr

GPU_BATCH = 16  #: measurements per forward pass on a GPU; with fewer it waits for Python


class Onlooker(Protocol):
    """Sees the clouds of one measurement while they are in memory."""

    def update(self, cloud: "torch.Tensor") -> None:
        """Take the next layer (token, feature)."""

    def finish(self, model: LanguageModel, token_ids: np.ndarray, loss: "torch.Tensor") -> None:
        """Take the tokens, and their losses (token - 1,)."""


#: chooses who sees the clouds of a prompt at a degree of shuffling, if anybody
Watch: TypeAlias = Callable[[Prompt, int], Onlooker | None]
_Item = TypeVar("_Item")


def measure(
    model: LanguageModel,
    prompt: Prompt | str,
    shuffle: int = 0,
    n_tokens: int = 1024,
    seed: int = 42,
    scale_max: int = SCALE_MAX,
    k_max: int = K_MAX,
    skip: int = 0,
) -> "xr.Dataset":
    """Measure every observable of one prompt, in one forward pass.

    Parameters
    ----------
    model : LanguageModel
    prompt : Prompt or str
    shuffle : int
        Degree of shuffling; ``n_tokens`` must be divisible by ``4**shuffle``.
    n_tokens : int
        The prompt is cut to this many tokens.
    seed : int
        Seed of the shuffle, which also depends on the prompt and the degree.
    scale_max, k_max : int
        Largest range scaling, and largest number of neighbors for the overlap.
    skip : int
        Leading tokens left out of the clouds. Token 0 often carries a massive activation; the paper keeps it.

    Returns
    -------
    xarray.Dataset
        The variables of :data:`tokengeom_utils.schema.OBSERVABLES`, float64 except for counts, with dimensions
        ``layer``, ``scale`` and ``k``.

    Raises
    ------
    InputError
        If the prompt is too short, a scale exceeds N - 1, or the tokens cannot be cut into ``4**shuffle`` blocks.

    See Also
    --------
    measure_tokens : the same for token ids.
    survey : measures many prompts into a store.
    observables : measures clouds that are already there.

    Notes
    -----
    Introduced in the chapter *From text to token clouds*.

    Examples
    --------
    >>> import tokengeom_utils as tg
    >>> found = tg.measure(tg.tiny_model(), "To be, or not to be. " * 4, n_tokens=64, scale_max=16, k_max=8)
    >>> found.intrinsic_dimension.sizes
    Frozen({'layer': 3, 'scale': 4})
    """
    if isinstance(prompt, str):
        prompt = Prompt("text", "text", prompt)
    if not isinstance(prompt, Prompt):
        raise InputError(f"a prompt is a text or a Prompt, not {type(prompt).__name__}; tg.survey measures several")
    check_request(n_tokens - skip, (shuffle,), scale_max, k_max, n_tokens)
    ids, order = _token_ids(model, prompt, shuffle, n_tokens, seed)
    try:
        found = measure_tokens(model, ids, scale_max, k_max, skip)
    except InputError as error:  # above all, a token without a direction
        raise InputError(f"prompt {prompt.id}: {error}") from error
    return found.assign(bleu=_variable("bleu", bleu(ids, order)))


def measure_tokens(
    model: LanguageModel, token_ids: ArrayLike, scale_max: int = SCALE_MAX, k_max: int = K_MAX, skip: int = 0
) -> "xr.Dataset":
    """Measure every observable of one prompt, or of several at once, given as token ids.

    The layers are measured while the model runs and never kept.

    Parameters
    ----------
    model : LanguageModel
    token_ids : array_like of int, shape (token,) or (prompt, token)
        Several prompts at once are for a GPU; a CPU gains nothing from them.
    scale_max, k_max, skip : int
        As in :func:`measure`.

    Returns
    -------
    xarray.Dataset
        As from :func:`measure`, except ``bleu``, which compares the prompt with its original order; for several
        prompts with ``prompt`` as the first dimension.

    Raises
    ------
    InputError
        If a scale exceeds N - 1, or a cloud is not finite (names the layer).

    See Also
    --------
    measure : the same for a text, shuffled.
    Observer : measures the layers.
    stream_clouds : hands them out.

    Notes
    -----
    Introduced in the chapter *Your own text*.

    Examples
    --------
    >>> import tokengeom_utils as tg
    >>> found = tg.measure_tokens(tg.tiny_model(), [list(range(50)), list(range(50, 100))], scale_max=8, k_max=5)
    >>> found.neighborhood_overlap.sizes
    Frozen({'prompt': 2, 'layer': 3, 'k': 5})
    >>> found.distinct_tokens.values
    array([50, 50])
    """
    return _measure(model, token_ids, scale_max, k_max, skip)[0]


def _measure(model, token_ids, scale_max, k_max, skip=0, on_cloud=None):
    """What :func:`measure_tokens` returns, and the loss of each token; ``on_cloud`` sees every layer as well."""
    observer, predictions, last = Observer(scale_max, k_max), Predictions(), None

    def hand_over(cloud):
        nonlocal last
        last = cloud[..., skip:, :]
        observer.update(last)
        if on_cloud:
            on_cloud(cloud)

    loss = stream_clouds(model, token_ids, hand_over, predictions.update)
    ids = np.asarray(token_ids)
    summary = {
        **_logit_dimension(model, last, scale_max),
        "loss": loss.double().mean(-1).cpu(),
        **{
            name: value.reshape(ids.shape[:-1]).cpu()
            for name, value in predictions.compute(len(np.atleast_2d(ids))).items()
        },
        "distinct_tokens": np.apply_along_axis(lambda row: len(np.unique(row)), -1, ids),
    }
    found = observer.compute().assign(
        {name: _variable(name, value, ("prompt",) * (ids.ndim - 1)) for name, value in summary.items()}
    )
    return found, loss


def _variable(name, value, batch=()):
    """An observable as xarray takes it: dimensions, values, attributes."""
    row = OBSERVABLES[name]
    return batch + row.dims, np.asarray(value), row.attributes


def _logit_dimension(model, last, scale_max):
    """Intrinsic dimension of the logits; NaN where they are not a linear map of the hidden states."""
    cloud = logit_cloud(model, last)
    if cloud is None:
        nothing = np.full((*last.shape[:-2], int(scale_max).bit_length() - 1), np.nan)
        return {"logit_dimension": nothing, "logit_dimension_error": nothing}
    with warnings.catch_warnings():  # a prompt of few distinct tokens
        warnings.filterwarnings("ignore", "intrinsic dimension is NaN", RuntimeWarning)
        found = intrinsic_dimension(cloud, scale_max)
    return {"logit_dimension": found.dimension.cpu(), "logit_dimension_error": found.standard_error.cpu()}


def _token_ids(model, prompt, shuffle, n_tokens, seed):
    """Token ids of a prompt, shuffled and in order."""
    ids = model.tokenize(prompt.text, n_tokens, name=f"prompt {prompt.id}")
    return shuffle_blocks(ids, shuffle, prompt_seed(seed, prompt.id, shuffle)), ids


def check_lengths(model: LanguageModel, prompts: Sequence[Prompt], n_tokens: int) -> None:
    """Raise ``InputError`` if a prompt has fewer than ``n_tokens`` tokens, or one without an embedding."""
    for prompt in prompts:
        name = f"prompt {prompt.id}"
        check_ids(model, model.tokenize(prompt.text, n_tokens, name=name), name)


def warn_of_beginning(model: LanguageModel, prompt: Prompt, n_tokens: int) -> None:
    """Warn, with the losses of one prompt, if the model's usual beginning of a sequence is left out."""
    line = advice(model, model.tokenize(prompt.text, n_tokens), f"prompt {prompt.id}")
    if line:
        warnings.warn(line, stacklevel=4)


def warm_up(model: LanguageModel) -> None:
    """Compile what measuring on a CPU needs, or load it, so that no estimate of the time counts this.

    Parameters
    ----------
    model : LanguageModel
        Its dtype decides which versions of the loops are needed.
    """
    import torch

    if model.device.type == "cpu":
        clouds = torch.randn(2, 64, 8, generator=torch.Generator().manual_seed(0)).to(model.network.dtype)
        observables(clouds, scale_max=4, k_max=3)
        intrinsic_dimension(clouds[-1].double(), scale_max=4)  # as of the logits


def parts(items: Sequence[_Item], size: int) -> list[Sequence[_Item]]:
    """Cut a sequence into parts of at most ``size``.

    >>> parts([1, 2, 3], 2)
    [[1, 2], [3]]
    """
    return [items[i : i + size] for i in range(0, len(items), size)]


def measure_prompts(
    model: LanguageModel,
    prompts: Sequence[Prompt],
    degrees: Sequence[Sequence[int]],
    request: Request,
    batch: int = 1,
    advance: Callable[[int], object] | None = None,
    watch: Watch | None = None,
) -> list[dict[str, np.ndarray] | InputError]:
    """Measure the rows of a survey that belong to some prompts.

    Parameters
    ----------
    model : LanguageModel
    prompts : sequence of Prompt
    degrees : sequence of sequences of int
        The degrees of shuffling to measure of each prompt.
    request : dict
        From :func:`tokengeom_utils.surveys.request.make_request`.
    batch : int
        Measurements per forward pass. Every pass has this many: the last one repeats a measurement and drops the
        copies, because passes of different sizes round differently, and an interrupted survey must end the same.
    advance : callable, optional
        Called as ``advance(steps)`` after each forward pass.
    watch : callable, optional
        See :data:`Watch`.

    Returns
    -------
    list of (dict of str to numpy.ndarray) or InputError
        For each prompt its observables by name, float64, shape (shuffle, ...) over all degrees of the survey, with NaN
        at degrees that were not requested; or why there are none.
    """
    jobs = [(i, degree) for i in range(len(prompts)) for degree in degrees[i]]
    measured: dict[tuple[int, int], xr.Dataset] = {}
    for group in parts(jobs, batch):
        ids = [_token_ids(model, prompts[i], degree, request["n_tokens"], request["seed"]) for i, degree in group]
        full = np.stack([shuffled for shuffled, _ in ids])[np.minimum(np.arange(batch), len(group) - 1)]
        onlookers = [watch(prompts[i], degree) if watch else None for i, degree in group]

        def show(clouds, onlookers=onlookers):
            for onlooker, cloud in zip(onlookers, clouds, strict=False):  # the copies at the end have none
                if onlooker:
                    onlooker.update(cloud)

        try:
            found, loss = _measure(model, full, request["scale_max"], request["k_max"], on_cloud=show)
        except InputError as error:
            if len(prompts) == 1:
                return [error]
            return [
                row
                for prompt, its in zip(prompts, degrees, strict=True)  # one by one, to find the faulty one
                for row in measure_prompts(model, [prompt], [its], request, batch, watch=watch)
            ]
        for onlooker, (shuffled, _), losses in zip(onlookers, ids, loss, strict=False):
            if onlooker:
                onlooker.finish(model, shuffled, losses)
        found = found.isel(prompt=slice(len(group)))
        found["bleu"] = _variable("bleu", [bleu(*pair) for pair in ids], ("prompt",))
        measured |= {job: found.isel(prompt=place) for place, job in enumerate(group)}
        if advance:
            advance(len(group))
    return [_row([measured[i, degree] for degree in its], its, request["shuffles"]) for i, its in enumerate(degrees)]


def _row(measured, degrees, shuffles):
    """The measurements of one prompt as arrays over all degrees of the survey."""
    row = {name: np.full((len(shuffles), *measured[0][name].shape), np.nan) for name in OBSERVABLES}
    for found, degree in zip(measured, degrees, strict=True):
        for name, values in row.items():
            values[shuffles.index(degree)] = found[name]
    return row
