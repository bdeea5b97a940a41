"""Every observable of every layer, for one prompt or a few.

:func:`measure` runs one prompt through the model once and returns a labeled Dataset. Hidden states are measured while
they are in memory and never kept.
"""

import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from ..clouds.observer import Observer, intrinsic_dimension, labeled, observables
from ..errors import InputError
from ..models.extract import logit_cloud, stream_clouds
from ..models.language_model import LanguageModel
from ..models.predictions import Predictions
from ..models.sums import mean
from ..prompts.load import Prompt
from ..prompts.shuffle import bleu, prompt_seed, shuffle_blocks
from ..schema import K_MAX, OBSERVABLES, SCALE_MAX
from .request import check_request

if TYPE_CHECKING:
    import torch
    import xarray as xr


class Onlooker(Protocol):
    """Sees the clouds of one measurement while they are in memory."""

    def update(self, cloud: "torch.Tensor") -> None:
        """Take the next layer (token, feature)."""

    def finish(self, model: LanguageModel, token_ids: np.ndarray, loss: "torch.Tensor") -> None:
        """Take the tokens, and their losses (token - 1,)."""


#: chooses who sees the clouds of a prompt at a degree of shuffling, if anybody
Watch: TypeAlias = Callable[[Prompt, int], Onlooker | None]


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
    row = OBSERVABLES["bleu"]
    return found.assign({row.name: (row.dims, np.asarray(bleu(ids, order)), row.attributes)})


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
    return labeled(measure_arrays(model, token_ids, scale_max, k_max, skip)[0])


def measure_arrays(
    model: LanguageModel,
    token_ids: ArrayLike,
    scale_max: int,
    k_max: int,
    skip: int = 0,
    on_cloud: "Callable[[torch.Tensor], object] | None" = None,
) -> "tuple[dict[str, np.ndarray], torch.Tensor]":
    """Return what :func:`measure_tokens` returns as plain arrays, and the loss of each token.

    Parameters
    ----------
    model : LanguageModel
    token_ids, scale_max, k_max, skip
        As for :func:`measure_tokens`.
    on_cloud : callable, optional
        Sees every layer as well.

    Returns
    -------
    dict of str to numpy.ndarray
        float64 except for counts, with the dimensions of :data:`tokengeom_utils.schema.OBSERVABLES`; for several
        prompts with one more in front.
    torch.Tensor, shape (..., token - 1)

    Raises
    ------
    InputError
        As :func:`measure_tokens`.
    """
    observer, predictions, last = Observer(scale_max, k_max), Predictions(), None

    def hand_over(cloud):
        nonlocal last
        last = cloud[..., skip:, :]
        observer.update(last)
        if on_cloud:
            on_cloud(cloud)

    loss = stream_clouds(model, token_ids, hand_over, predictions.update)
    ids = np.asarray(token_ids)
    summary = predictions.compute(len(np.atleast_2d(ids)))
    found = {
        **_logit_dimension(model, last, scale_max),
        "loss": mean(loss.double()),
        **{name: value.reshape(ids.shape[:-1]) for name, value in summary.items()},
        **observer.values(),  # it waits for a GPU
    }
    distinct = np.apply_along_axis(lambda row: len(np.unique(row)), -1, ids)
    return _on_host(found) | {"distinct_tokens": distinct}, loss


def _on_host(tensors):
    """Tensors by name as arrays, fetched from a GPU all at once: each copy alone would wait for the device."""
    if not any(tensor.is_cuda for tensor in tensors.values()):
        return {name: tensor.numpy() for name, tensor in tensors.items()}
    import torch

    flat = torch.cat([tensor.double().flatten() for tensor in tensors.values()]).cpu()  # counts are exact in float64
    pieces = flat.split([tensor.numel() for tensor in tensors.values()])
    return {
        name: piece.reshape(tensor.shape).to(tensor.dtype).numpy()
        for (name, tensor), piece in zip(tensors.items(), pieces, strict=True)
    }


def _logit_dimension(model, last, scale_max):
    """Intrinsic dimension of the logits; NaN where they are not a linear map of the hidden states."""
    import torch

    cloud = logit_cloud(model, last)
    if cloud is None:
        shape = *last.shape[:-2], int(scale_max).bit_length() - 1
        nothing = torch.full(shape, torch.nan, dtype=torch.float64, device=last.device)
        return {"logit_dimension": nothing, "logit_dimension_error": nothing}
    with warnings.catch_warnings():  # a prompt of few distinct tokens
        warnings.filterwarnings("ignore", "intrinsic dimension is NaN", RuntimeWarning)
        found = intrinsic_dimension(cloud, scale_max)
    return {"logit_dimension": found.dimension, "logit_dimension_error": found.standard_error}


def _token_ids(model, prompt, shuffle, n_tokens, seed):
    """Token ids of a prompt, shuffled and in order."""
    ids = model.tokenize(prompt.text, n_tokens, name=f"prompt {prompt.id}")
    return shuffle_blocks(ids, shuffle, prompt_seed(seed, prompt.id, shuffle)), ids


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
