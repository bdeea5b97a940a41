"""All that a report says about one text: its tokens, its clouds, its shuffle, its next page."""

import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch

from ..clouds.cosine import mean_cosine_similarity
from ..clouds.dimension import local_dimension
from ..clouds.neighbors import nearest_neighbors
from ..clouds.observer import intrinsic_dimension
from ..models.extract import stream_clouds
from ..models.language_model import LanguageModel
from ..models.pieces import pieces
from ..prompts.prompt import Prompt
from ..surveys.measure import measure, measure_tokens

if TYPE_CHECKING:
    import xarray as xr

NEIGHBORS = 20  #: of each token, for the dimension at the token


class Tokens(NamedTuple):
    """The tokens of a text, and one value for each."""

    pieces: list[str]  #: the characters that each stands for
    surprisal: np.ndarray  #: (token,) in nats; NaN for the first, which nothing predicts
    likeliest: list[
        tuple[str, float]
    ]  #: the token that the model took for likeliest in each place, and its probability
    local: np.ndarray  #: (layer, token): the dimension at each token; NaN where it is not defined


class FirstToken(NamedTuple):
    """What the first token does to one layer."""

    length: float  #: relative to the median length of a token
    dimension: float  #: without it, at range scaling 2
    cosine: float  #: without it


class MeasuredText(NamedTuple):
    """A measured text."""

    name: str
    n_available: int  #: its tokens, measured or not
    tokens: Tokens
    found: "xr.Dataset"  #: every observable, in order
    degree: int  #: of the strongest shuffle that its number of tokens allows
    shuffled: "xr.Dataset | None"  #: every observable, shuffled; None if nothing can be shuffled
    first: FirstToken
    next_page: "xr.Dataset | None"  #: every observable of as many tokens after these; None if there are not as many

    @property
    def n_tokens(self) -> int:
        """Number of tokens that are measured."""
        return len(self.tokens.pieces)


def measure_text(model: LanguageModel, prompt: Prompt, sizes: Mapping[str, int], layer: int, seed: int) -> MeasuredText:
    """Measure a text for a report.

    Parameters
    ----------
    model : LanguageModel
    prompt : Prompt
        At least as long as ``sizes``.
    sizes : mapping
        From :func:`tokengeom_utils.fit_sizes`.
    layer : int
        The layer at which the first token is left out.
    seed : int
        Of the shuffle.

    Returns
    -------
    MeasuredText

    Examples
    --------
    >>> import tokengeom_utils as tg
    >>> prompt = tg.Prompt("note", "letters", "To be, or not to be, that is the question. " * 4)
    >>> found = measure_text(tg.tiny_model(), prompt, tg.fit_sizes(64), layer=1, seed=42)
    >>> found.n_tokens, found.degree, found.tokens.local.shape
    (64, 3, (3, 64))
    """
    n = sizes["n_tokens"]
    ids = model.tokenize(prompt.text)
    with warnings.catch_warnings():  # the page says where a dimension is not defined
        warnings.filterwarnings("ignore", "intrinsic dimension is NaN", RuntimeWarning)
        tokens, first = _each_token(model, prompt, n, layer)
        degree = full_shuffle(n)
        return MeasuredText(
            prompt.id,
            len(ids),
            tokens,
            measure(model, prompt, seed=seed, **sizes),
            degree,
            measure(model, prompt, degree, seed=seed, **sizes) if degree else None,
            first,
            measure_tokens(model, ids[n : 2 * n], sizes["scale_max"], sizes["k_max"]) if len(ids) >= 2 * n else None,
        )


def full_shuffle(n_tokens: int) -> int:
    """Return the strongest degree of shuffling that a number of tokens allows.

    Parameters
    ----------
    n_tokens : int

    Returns
    -------
    int
        The largest S for which ``4**S`` divides it.

    Examples
    --------
    >>> [full_shuffle(n) for n in (1024, 256, 160, 99)]
    [5, 4, 2, 0]
    """
    degree = 0
    while n_tokens % 4 ** (degree + 1) == 0:
        degree += 1
    return degree


def _each_token(model, prompt, n, layer):
    """The values of single tokens, in a pass of their own, and what the first one does."""
    local, likeliest, first = [], [], []
    k = min(NEIGHBORS, n - 1)

    def on_cloud(cloud):
        local.append(local_dimension(nearest_neighbors(cloud, k).distances, k).dimension.cpu().numpy())
        if len(local) == layer + 1:
            first.append(_first_token(cloud))

    def on_log_p(log_p):
        top = log_p.max(-1)
        likeliest.extend(zip(top.indices.tolist(), top.values.exp().tolist(), strict=True))

    loss = stream_clouds(model, model.tokenize(prompt.text, n), on_cloud, on_log_p)
    dimensions = np.stack(local)
    tokens = Tokens(
        pieces(model, prompt.text, n),
        np.concatenate([[np.nan], loss.double().cpu().numpy()]),
        [("", np.nan), *((model.tokenizer.decode([token]), p) for token, p in likeliest)],
        np.where(np.isfinite(dimensions), dimensions, np.nan),
    )
    return tokens, first[0]


def _first_token(cloud):
    """What the first token does to a cloud."""
    length = torch.linalg.vector_norm(cloud.double(), dim=-1)
    rest = cloud[1:]
    return FirstToken(
        float(length[0] / length.median()),
        float(intrinsic_dimension(rest, 2).dimension[0]),
        float(mean_cosine_similarity(rest)),
    )
