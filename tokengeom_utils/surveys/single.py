"""One text of any length: the sizes that fit it, its measurement as a survey of one, and a survey at its length."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import InputError
from ..prompts.load import load_prompts
from ..prompts.prompt import Prompt
from ..schema import K_MAX, SCALE_MAX, check_bound
from .request import UNRECORDED

if TYPE_CHECKING:
    import xarray as xr

    from ..models.language_model import LanguageModel

N_TOKENS = 1024  #: tokens that are measured of a long text, as in the paper
FEWEST = 4  #: tokens; a dimension needs three points, and BLEU counts runs of four
N_PROMPTS = 24  #: prompts of a survey that are measured again; enough for a percentile


def fit_sizes(
    n_available: int,
    n_tokens: int = N_TOKENS,
    scale_max: int = SCALE_MAX,
    k_max: int = K_MAX,
    shuffle: int = 0,
    name: str = "the text",
    fewest: int = FEWEST,
) -> dict[str, int]:
    """Reduce the sizes of a measurement to those that a text can fill.

    Parameters
    ----------
    n_available : int
        Tokens of the text.
    n_tokens, scale_max, k_max : int
        The largest sizes wanted.
    shuffle : int
        The tokens are cut into ``4**shuffle`` blocks of equal length.
    name : str
        What the error calls the text.
    fewest : int
        The fewest tokens that are worth measuring.

    Returns
    -------
    dict of str to int
        ``n_tokens``, ``scale_max`` (a power of two), and ``k_max``, as :func:`tokengeom_utils.measure` takes them.

    Raises
    ------
    InputError
        If the text has fewer than ``fewest`` tokens.

    See Also
    --------
    measure : takes the sizes.
    comparable : measures a survey's prompts with them.

    Notes
    -----
    Introduced in the chapter *Your own text*.

    Examples
    --------
    >>> import tokengeom_utils as tg
    >>> tg.fit_sizes(408)
    {'n_tokens': 408, 'scale_max': 256, 'k_max': 31}
    >>> tg.fit_sizes(100, shuffle=2)
    {'n_tokens': 96, 'scale_max': 64, 'k_max': 31}
    """
    block = 4**shuffle
    fitting = min(n_available, n_tokens) // block * block
    if fitting < fewest:
        need = f"shuffling of degree {shuffle} needs {block:,}" if shuffle > 1 else f"at least {fewest} are needed"
        raise InputError(f"{name} has {min(n_available, n_tokens):,} tokens, but {need}: use a longer text")
    most = min(scale_max, fitting - 1)
    return {"n_tokens": fitting, "scale_max": 1 << (most.bit_length() - 1), "k_max": min(k_max, fitting - 1)}


def check_options(n_tokens: int | None, scale_max: int | None, shuffle: int) -> None:
    """Check the options of ``tokengeom measure`` against each other, before the text is read.

    Parameters
    ----------
    n_tokens, scale_max : int or None
        None for an option that was not given.
    shuffle : int

    Raises
    ------
    InputError
        If one does not fit; it names the option.

    Examples
    --------
    >>> check_options(None, None, shuffle=5)
    """
    most = n_tokens or N_TOKENS
    if most % 4**shuffle:
        raise InputError(
            f"--shuffle {shuffle}: {most} tokens cannot be cut into 4^{shuffle} = {4**shuffle} equal blocks: "
            f"give --n-tokens a multiple of {4**shuffle}, or lower --shuffle"
        )
    _check_scale(scale_max, most)


def fit_options(
    n_available: int, n_tokens: int | None, scale_max: int | None, shuffle: int, name: str
) -> dict[str, int]:
    """Return the sizes for a text as :func:`fit_sizes` does, but refuse what was asked for and does not fit.

    Parameters
    ----------
    n_available : int
        Tokens of the text.
    n_tokens, scale_max : int or None
        None for an option that was not given.
    shuffle : int
    name : str
        What the error calls the text.

    Returns
    -------
    dict of str to int

    Raises
    ------
    InputError
        If the text is too short; it names the option.

    Examples
    --------
    >>> fit_options(100, None, None, 0, "essay.txt")
    {'n_tokens': 100, 'scale_max': 64, 'k_max': 31}
    """
    if n_tokens and n_available < n_tokens:
        raise InputError(
            f"--n-tokens {n_tokens}: {name} has only {n_available} tokens: leave the option out to measure as many as "
            "fit, or use a longer text"
        )
    sizes = fit_sizes(n_available, n_tokens or N_TOKENS, scale_max or SCALE_MAX, K_MAX, shuffle, name)
    _check_scale(scale_max, sizes["n_tokens"])
    return sizes


def _check_scale(scale_max, n_tokens):
    """Refuse an explicit scale that a number of tokens does not have."""
    if scale_max:
        check_bound("--scale-max", scale_max, n_tokens, f"{n_tokens} tokens are measured; leave it out, or lower it")


def as_survey(found: "xr.Dataset", prompt: Prompt, shuffle: int = 0) -> "xr.Dataset":
    """Return the measurement of one text as a survey of one prompt, which :func:`tokengeom_utils.export` writes.

    Parameters
    ----------
    found : xarray.Dataset
        From :func:`tokengeom_utils.measure`.
    prompt : Prompt
    shuffle : int
        The degree it was measured at.

    Returns
    -------
    xarray.Dataset
    """
    return found.expand_dims(prompt=[prompt.id], shuffle=[shuffle]).assign_coords(domain=("prompt", [prompt.domain]))


def differences(model: "LanguageModel", results: "xr.Dataset", sizes: Mapping[str, int]) -> list[str]:
    """List why a text measured with a model and some sizes cannot stand beside the prompts of a survey.

    Parameters
    ----------
    model : LanguageModel
        The model that measured the text.
    results : xarray.Dataset
        From :func:`tokengeom_utils.open_results`.
    sizes : mapping
        From :func:`fit_sizes`.

    Returns
    -------
    list of str
        Empty for the same weights, the same beginning of a sequence, and the same number of tokens.
    """
    held = results.attrs
    found = []
    if held["n_tokens"] != sizes["n_tokens"]:
        found.append(f"with {held['n_tokens']:,} tokens instead of {sizes['n_tokens']:,}")
    if held["model_fingerprint"] != model.fingerprint:
        found.append(f"with the model {held['model']}")
    if held.get("bos", UNRECORDED["bos"]) != model.bos:
        found.append(f"with bos = {held.get('bos', UNRECORDED['bos'])}")
    return found


def comparable(
    model: "LanguageModel",
    results: "xr.Dataset",
    sizes: Mapping[str, int],
    prompts: str | Path = "pocket",
    n: int = N_PROMPTS,
) -> "xr.Dataset":
    """Return prompts of a survey, in order, with which a text may be compared: measured again if need be.

    Clouds of different sizes are not comparable, and neither are losses behind contexts of different lengths: the same
    text has other numbers at another length. Where the survey was made with another number of tokens or another model,
    its first prompts are measured again.

    Parameters
    ----------
    model : LanguageModel
        The model that measured the text.
    results : xarray.Dataset
        From :func:`tokengeom_utils.open_results`.
    sizes : mapping
        Those of the text, from :func:`fit_sizes`.
    prompts : str or path
        The survey's texts, as :func:`tokengeom_utils.load_prompts` takes them; read only to measure again.
    n : int
        Measure at most this many.

    Returns
    -------
    xarray.Dataset
        With the dimension ``prompt`` and without shuffles. The attribute ``measured_again`` states what differed, and
        is empty for the survey as it is.

    Raises
    ------
    InputError
        If none of the survey's texts is there, or none is long enough.

    See Also
    --------
    fit_sizes : the sizes that fit a text.
    open_results : opens a survey.

    Notes
    -----
    Introduced in the chapter *Your own text*.

    Examples
    --------
    >>> import tokengeom_utils as tg
    >>> sizes = tg.fit_sizes(64, scale_max=16, k_max=4)
    >>> found = tg.comparable(tg.tiny_model(), tg.open_results("untrained"), sizes, n=3)
    >>> found.loss.sizes, found.attrs["n_tokens"]
    (Frozen({'prompt': 3}), 64)
    """
    different = differences(model, results, sizes)
    if not different:
        return results.sel(shuffle=0).assign_attrs(measured_again="")
    found = _measure_again(model, _long_enough(model, results, load_prompts(prompts, n_tokens=1), sizes, n), sizes)
    made = {"model": model.name, "model_fingerprint": model.fingerprint, "bos": model.bos}
    return found.assign_attrs(n_tokens=sizes["n_tokens"], measured_again=" and ".join(different), **made)


def _long_enough(model, results, prompts, sizes, n):
    """The first prompts of a survey that are long enough."""
    measured = dict(json.loads(results.attrs["request"])["prompts"])
    known = [prompt for prompt in prompts if measured.get(prompt.id) == prompt.sha256]
    if not known:
        raise InputError(
            "none of these prompts is among those of the survey, which must be measured again to be compared with the "
            "text: give the prompts that the survey was made from"
        )
    lengths = model.lengths([prompt.text for prompt in known])
    chosen = [prompt for prompt, length in zip(known, lengths, strict=True) if length >= sizes["n_tokens"]]
    if not chosen:
        raise InputError(
            f"no prompt of the survey has the {sizes['n_tokens']:,} tokens of the text; the longest has "
            f"{max(lengths):,}: use a smaller n_tokens"
        )
    return chosen[:n]


def _measure_again(model, prompts, sizes):
    """Prompts measured one by one."""
    import xarray as xr

    from .measure import measure_tokens

    found = [
        measure_tokens(model, model.tokenize(prompt.text, sizes["n_tokens"]), sizes["scale_max"], sizes["k_max"])
        for prompt in prompts
    ]
    return xr.concat(found, "prompt").assign_coords(
        prompt=[prompt.id for prompt in prompts], domain=("prompt", [prompt.domain for prompt in prompts])
    )
