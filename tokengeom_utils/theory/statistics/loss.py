"""Intrinsic dimension against next-token loss over the prompts of a survey, and a control for word frequency."""

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from ...errors import InputError
from .bootstrap import correlation_interval
from .correlation import partial_correlation, pearson, spearman
from .intervals import fisher_interval
from .p_values import correlation_p_value, holm

if TYPE_CHECKING:
    import xarray as xr


def loss_correlation(
    results: "xr.Dataset",
    shuffle: int = 0,
    control: str | Sequence[str] | None = "distinct_tokens",
    n_bootstrap: int = 2000,
    seed: int = 0,
    rank_interval: bool = False,
    groups: str | None = None,
) -> "xr.Dataset":
    """Correlate intrinsic dimension and next-token loss over prompts, per layer and scale.

    Parameters
    ----------
    results : xarray.Dataset
        From :func:`~tokengeom_utils.survey` or :func:`~tokengeom_utils.open_results`. The layers and scales it holds
        form one family for Holm's correction, so select those of interest first.
    shuffle : int
        Degree of shuffling.
    control : str, sequence of str or None
        Variables of the survey, one value per prompt, that the partial correlation holds fixed, all together.
    n_bootstrap : int
        Number of resamples of the prompts for the 95% bootstrap intervals.
    seed : int
        Seed of the resampling.
    rank_interval : bool
        Whether to compute an interval of Spearman's coefficient too, which takes longer than all the others together.
    groups : str, optional
        A coordinate of the prompts, such as ``"domain"``: the bootstrap then draws whole groups instead of prompts.
        The p-values and Fisher's interval still treat the prompts as independent.

    Returns
    -------
    xarray.Dataset
        Dimensions ``layer, scale``, float64: ``pearson`` with its bootstrap interval ``pearson_low``,
        ``pearson_high`` and Fisher's ``fisher_low``, ``fisher_high``; ``p_value`` and ``p_holm``; ``spearman`` and,
        if requested, ``spearman_low``, ``spearman_high``; with a control also ``partial``, its bootstrap interval
        ``partial_low``, ``partial_high``, and ``partial_p_value``. Attributes ``n_prompts``, ``shuffle``, ``control``.

    Raises
    ------
    InputError
        If fewer than four prompts were measured at this degree.

    See Also
    --------
    tokengeom_utils.open_results : a survey to apply this to.
    tokengeom_utils.statistics.pearson : the equation.
    tokengeom_utils.statistics.partial_correlation : the same with controls held fixed.
    tokengeom_utils.statistics.holm : the correction for many tests.

    Notes
    -----
    Introduced in the chapter *Intrinsic dimension and loss*.

    References
    ----------
    Viswanathan et al., arXiv:2501.10573, for the correlation of the two.

    Examples
    --------
    >>> import tokengeom_utils as tg
    >>> survey = tg.open_results("standard").sel(layer=[10, 30], scale=[2, 8])
    >>> found = tg.loss_correlation(survey, n_bootstrap=200)
    >>> found.sizes, found.attrs["n_prompts"]
    (Frozen({'layer': 2, 'scale': 2}), 300)
    >>> found.pearson.sel(scale=2).round(1).values.tolist(), bool((found.p_holm < 0.001).all())
    ([0.4, 0.5], True)
    """
    import xarray as xr

    chosen = results.sel(shuffle=shuffle)
    chosen = chosen.isel(prompt=chosen.loss.notnull().values)
    n = chosen.sizes["prompt"]
    if n < 4:
        raise InputError(
            f"a correlation with the loss needs at least 4 prompts, the survey holds {n}: "
            "measure more prompts at this degree of shuffling"
        )
    dimension = chosen.intrinsic_dimension.transpose("layer", "scale", "prompt").values
    loss = chosen.loss.values
    names = [control] if isinstance(control, str) else list(control or ())
    group = None if groups is None else list(chosen[groups].values)
    resample = partial(correlation_interval, dimension, loss, n_bootstrap=n_bootstrap, seed=seed, groups=group)
    r = pearson(dimension, loss)
    p_value = correlation_p_value(r, n)
    values = {"pearson": r, "p_value": p_value, "p_holm": holm(p_value), "spearman": spearman(dimension, loss)}
    values |= _ends("pearson", resample()) | _ends("fisher", fisher_interval(r, n))
    if rank_interval:
        values |= _ends("spearman", resample(rank=True))
    if names:
        fixed = [chosen[name].values for name in names]
        values["partial"] = partial_correlation(dimension, loss, *fixed)
        values["partial_p_value"] = correlation_p_value(values["partial"], n, len(fixed))
        values |= _ends("partial", resample(*fixed))
    return xr.Dataset(
        {name: (("layer", "scale"), value) for name, value in values.items()},
        coords={"layer": chosen.layer, "scale": chosen.scale},
        attrs={"n_prompts": n, "shuffle": shuffle, "control": ", ".join(names) or "none"},
    )


def _ends(name, interval):
    """Name the two ends of an interval."""
    return {f"{name}_low": interval[0], f"{name}_high": interval[1]}


def mean_log_frequency(token_ids: ArrayLike, n_vocabulary: int) -> np.ndarray:
    r"""Average over each prompt how frequent its tokens are in all the *other* prompts, as logarithms.

    .. math:: \frac1N \sum_i \ln f(t_i), \qquad
              f(t) = \frac{\text{count of } t \text{ elsewhere} + 1}{\text{tokens elsewhere} + \text{vocabulary}} .

    Add-one smoothing gives a frequency to tokens that occur nowhere else, too. Minus this average is the loss of a
    model that predicts every token from the frequencies alone, ignoring order.

    Parameters
    ----------
    token_ids : array_like of int, shape (prompt, token)
    n_vocabulary : int
        Number of tokens in the vocabulary.

    Returns
    -------
    numpy.ndarray, shape (prompt,), float64, nats per token

    See Also
    --------
    partial_correlation : holds such a variable fixed.

    Notes
    -----
    Introduced in the chapter *Intrinsic dimension and loss*.

    Examples
    --------
    >>> import numpy as np, tokengeom_utils as tg
    >>> np.exp(tg.statistics.mean_log_frequency([[0, 0], [0, 1]], n_vocabulary=2)).round(3).tolist()
    [0.5, 0.433]
    """
    ids = np.asarray(token_ids)
    everywhere = np.bincount(ids.ravel(), minlength=n_vocabulary)
    prompt = np.arange(len(ids))[:, None]
    _, place, count = np.unique(prompt * n_vocabulary + ids, return_inverse=True, return_counts=True)
    here = count[place].reshape(ids.shape)
    return np.log((everywhere[ids] - here + 1) / (ids.size - ids.shape[1] + n_vocabulary)).mean(-1)
