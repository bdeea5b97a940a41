"""The request of a survey, which its store records, and the shapes that follow from it."""

import re
from collections.abc import Iterable, Sequence
from numbers import Integral
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from ..errors import InputError
from ..prompts.load import Prompt
from ..prompts.shuffle import check_divisible
from ..schema import SCHEMA, check_scales

UNRECORDED = {"bos": "never"}  #: values of what the requests of older stores leave out
Request: TypeAlias = dict[str, Any]  #: JSON values by name


def check_request(
    n_points: int, shuffles: Iterable[int], scale_max: int, k_max: int, n_tokens: int | None = None
) -> None:
    """Raise ``InputError`` if clouds of a given size cannot be measured as requested.

    Parameters
    ----------
    n_points : int
        Tokens in a cloud.
    shuffles : iterable of int
        Degrees of shuffling.
    scale_max, k_max : int
        Largest range scaling and largest number of neighbors.
    n_tokens : int, optional
        Tokens that are shuffled, if some of them are left out of the clouds.

    Raises
    ------
    InputError
        If a scale exceeds N - 1, or the tokens cannot be cut into equal blocks.

    Examples
    --------
    >>> check_request(1024, shuffles=(0, 5), scale_max=256, k_max=31)
    """
    for degree in shuffles:
        check_divisible(n_tokens or n_points, degree)
    check_scales(n_points, scale_max, k_max)


def fitting_options(n_tokens: int) -> str:
    """Say in words which options of ``tokengeom survey`` fit a number of tokens.

    Parameters
    ----------
    n_tokens : int

    Returns
    -------
    str

    Examples
    --------
    >>> fitting_options(256)
    '256 tokens fit --scale-max 128, --k-max 255, and --shuffles 0,4, or lower ones'
    >>> fitting_options(1000)
    '1000 tokens fit --scale-max 512, --k-max 999, and --shuffles 0,1, or lower ones'
    """
    if n_tokens < 4:
        return "a survey needs at least 4 tokens"
    most, degree = n_tokens - 1, 0
    while n_tokens % 4 ** (degree + 1) == 0:
        degree += 1
    shuffles = f"0,{degree}" if degree else "0"
    scale = 1 << (most.bit_length() - 1)
    return f"{n_tokens} tokens fit --scale-max {scale}, --k-max {most}, and --shuffles {shuffles}, or lower ones"


def make_request(
    model: str,
    prompts: Sequence[Prompt],
    shuffles: Iterable[int] = (0,),
    *,
    n_shuffled: int | None = None,
    n_tokens: int,
    seed: int,
    scale_max: int,
    k_max: int,
    bos: str = "never",
) -> Request:
    """Return the request of a survey; a store made for another request is refused.

    Parameters
    ----------
    model : str
        The name to record.
    prompts : sequence of Prompt
    shuffles, n_shuffled, n_tokens, seed, scale_max, k_max
        See :func:`tokengeom_utils.survey`.
    bos : {"never", "auto", "always"}
        The model's rule for the beginning of a sequence.

    Returns
    -------
    dict

    Raises
    ------
    InputError
        If there are no prompts, two share an id, or clouds cannot be measured as requested.

    Examples
    --------
    >>> import tokengeom_utils as tg
    >>> request = make_request("model", [tg.Prompt("a", "essay", "Text")], n_tokens=64, seed=42, scale_max=16, k_max=8)
    >>> request["shuffles"], request["n_shuffled"]
    ([0], 1)
    """
    check_prompts(prompts)
    check_degrees(shuffles)
    check_whole(0, n_tokens=n_tokens, seed=seed, scale_max=scale_max, k_max=k_max)
    if n_shuffled is not None:
        check_whole(0, n_shuffled=n_shuffled)
    degrees = sorted({0, *shuffles}) if n_shuffled != 0 else [0]
    check_request(n_tokens, degrees, scale_max, k_max)
    return {
        "schema": SCHEMA,
        "model": model,
        "prompts": [[prompt.id, prompt.sha256] for prompt in prompts],
        "shuffles": degrees,
        "n_shuffled": len(prompts) if n_shuffled is None else min(n_shuffled, len(prompts)),
        "n_tokens": n_tokens,
        "seed": seed,
        "scale_max": scale_max,
        "k_max": k_max,
        "bos": bos,
    }


def check_prompts(prompts: Any) -> None:
    """Raise ``InputError`` unless these are prompts with an id each."""
    if not isinstance(prompts, Sequence) or not all(isinstance(prompt, Prompt) for prompt in prompts):
        raise InputError("prompts must be a list of Prompt: make one with tg.load_prompts")
    if not prompts:
        raise InputError("a survey needs at least one prompt")
    if len({prompt.id for prompt in prompts}) < len(prompts):
        raise InputError("two prompts of the survey share an id: give each its own")


def check_degrees(shuffles: Any) -> None:
    """Raise ``InputError`` unless this is a sequence of degrees."""
    if isinstance(shuffles, str) or not isinstance(shuffles, Iterable):
        raise InputError(f"shuffles = {shuffles!r} is not a sequence of degrees such as (0, 5)")


def check_whole(least: int, **values: Any) -> None:
    """Raise ``InputError`` unless every value is a whole number of at least ``least``."""
    for name, value in values.items():
        if not isinstance(value, Integral) or int(value) < least:
            raise InputError(f"{name} = {value!r} is not a whole number of at least {least}")


def group_name(model: str | Path) -> str:
    """Return the name of a model's group in a store of several models.

    Parameters
    ----------
    model : str or path

    Returns
    -------
    str

    Examples
    --------
    >>> group_name("mistralai/Mistral-7B-v0.1")
    'Mistral-7B-v0.1'
    """
    return re.sub(r"[^\w.-]", "-", str(model).rstrip("/").split("/")[-1])


def coordinates(request: Request, domains: Sequence[str], n_layers: int) -> dict[str, tuple[str, np.ndarray]]:
    """Return the coordinates of a survey; all but the domains follow from the request.

    Parameters
    ----------
    request : dict
        From :func:`make_request`.
    domains : sequence of str
        The domain of each prompt.
    n_layers : int
        Number of clouds of a prompt.

    Returns
    -------
    dict of str to (str, numpy.ndarray)
        Dimension and values of each coordinate.
    """

    def text(values):
        return "prompt", np.array(values, np.dtypes.StringDType())

    return {
        "shuffle": ("shuffle", np.array(request["shuffles"])),
        "layer": ("layer", np.arange(n_layers)),
        "scale": ("scale", 2 ** np.arange(1, request["scale_max"].bit_length())),
        "k": ("k", np.arange(1, request["k_max"] + 1)),
        "prompt": text([name for name, _ in request["prompts"]]),
        "domain": text(domains),
        "sha256": text([hash_ for _, hash_ in request["prompts"]]),
    }
