"""Statistics over prompts: correlations with their uncertainty, and bands for averages.

Everything here takes arrays whose *last* axis runs over prompts; leading axes are a batch.

>>> import numpy as np
>>> x = np.arange(10.0)
>>> round(float(pearson(x, -2 * x)), 6)
-1.0
"""

import warnings

import numpy as np

from .errors import InputError


def pearson(x, y):
    """Pearson correlation over the last axis; the leading axes broadcast. NaN for a constant."""
    x = np.asarray(x, float) - np.mean(x, -1, keepdims=True)
    y = np.asarray(y, float) - np.mean(y, -1, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        return (x * y).sum(-1) / np.sqrt((x * x).sum(-1) * (y * y).sum(-1))


def spearman(x, y):
    """Spearman rank correlation over the last axis (ties get their mean rank)."""
    from scipy.stats import rankdata

    return pearson(rankdata(x, axis=-1), rankdata(y, axis=-1))


def partial_correlation(x, y, control):
    """Pearson correlation of what is left of x and y once a line in ``control`` is taken out of each."""
    rxy, rxc, ryc = pearson(x, y), pearson(x, control), pearson(y, control)
    return (rxy - rxc * ryc) / np.sqrt((1 - rxc**2) * (1 - ryc**2))


def correlation_p_value(r, n, n_controls=0):
    """Two-sided p-value of a correlation of n pairs, by Student's t with n - 2 - n_controls degrees."""
    from scipy.stats import t as student

    free = n - 2 - n_controls
    with np.errstate(divide="ignore"):
        statistic = np.abs(r) * np.sqrt(free / np.maximum(1 - np.asarray(r) ** 2, 1e-300))
    return 2 * student.sf(statistic, free)


def bootstrap_draws(statistic, *samples, n_bootstrap=2000, seed=0):
    """A statistic of prompts drawn again with replacement, ``n_bootstrap`` times.

    Parameters
    ----------
    statistic : callable
        Takes the resampled arrays and reduces their last axis.
    *samples : array_like, shape (..., prompt)
        Resampled together: one draw takes the same prompts from each.
    n_bootstrap, seed : int

    Returns
    -------
    numpy.ndarray, shape (n_bootstrap, ...)
    """
    samples = [np.asarray(s, float) for s in samples]
    n = samples[0].shape[-1]
    picks = np.random.default_rng(seed).integers(0, n, (n_bootstrap, n))
    return np.stack([statistic(*(s[..., pick] for s in samples)) for pick in picks])


def bootstrap_interval(statistic, *samples, n_bootstrap=2000, level=0.95, seed=0):
    """Percentile bootstrap interval of a statistic of prompts that are resampled together.

    Parameters
    ----------
    statistic : callable
        Takes the resampled arrays and reduces their last axis.
    *samples : array_like, shape (..., prompt)
    n_bootstrap, level, seed
        Number of resamples, confidence level, seed of the resampling.

    Returns
    -------
    low, high : numpy.ndarray
        Of the shape that ``statistic`` returns.
    """
    draws = bootstrap_draws(statistic, *samples, n_bootstrap=n_bootstrap, seed=seed)
    tail = 50 * (1 - level)
    with warnings.catch_warnings():  # a statistic that is undefined for every resample has no interval
        warnings.filterwarnings("ignore", "All-NaN slice", RuntimeWarning)
        return tuple(np.nanpercentile(draws, [tail, 100 - tail], axis=0))


def mean_interval(values, level=0.95):
    """Mean over the last axis and its Student-t confidence interval: (mean, low, high)."""
    from scipy.stats import t as student

    values = np.asarray(values, float)
    n = values.shape[-1]
    mean = values.mean(-1)
    half = student.ppf((1 + level) / 2, max(n - 1, 1)) * values.std(-1, ddof=1) / np.sqrt(n) if n > 1 else np.nan
    return mean, mean - half, mean + half


def loss_correlation(results, shuffle=0, control="distinct_tokens", n_bootstrap=2000, seed=0):
    """Correlation over prompts of intrinsic dimension and next-token loss, per layer and scale.

    Parameters
    ----------
    results : xarray.Dataset
        From :func:`survey` or :func:`open_results`.
    shuffle : int
        Shuffle degree whose clouds are used.
    control : str or None
        Variable per prompt that the partial correlation holds fixed.
    n_bootstrap, seed : int
        For the 95 % bootstrap interval of Pearson's r; prompts are resampled.

    Returns
    -------
    xarray.Dataset
        Dimensions ``layer, scale``: ``pearson``, ``pearson_low``, ``pearson_high``, ``p_value``,
        ``spearman`` and, with a control, ``partial`` and ``partial_p_value``; attribute ``n_prompts``.

    Raises
    ------
    InputError
        If fewer than four prompts were measured at this degree.
    """
    import xarray as xr

    chosen = results.sel(shuffle=shuffle)
    chosen = chosen.isel(prompt=chosen.loss.notnull().values)
    n = chosen.sizes["prompt"]
    if n < 4:
        raise InputError(f"a correlation with the loss needs at least 4 prompts, the survey holds {n}")
    dimension = chosen.intrinsic_dimension.transpose("layer", "scale", "prompt").values
    loss = chosen.loss.values
    low, high = bootstrap_interval(pearson, dimension, loss, n_bootstrap=n_bootstrap, seed=seed)
    r = pearson(dimension, loss)
    values = {"pearson": r, "pearson_low": low, "pearson_high": high,
              "p_value": correlation_p_value(r, n), "spearman": spearman(dimension, loss)}
    if control is not None:
        partial = partial_correlation(dimension, loss, chosen[control].values)
        values |= {"partial": partial, "partial_p_value": correlation_p_value(partial, n, 1)}
    return xr.Dataset(
        {name: (("layer", "scale"), value) for name, value in values.items()},
        coords={"layer": chosen.layer, "scale": chosen.scale},
        attrs={"n_prompts": n, "shuffle": shuffle, "control": control or "none"},
    )
