"""Statistics over prompts: correlations with their uncertainty, and bands for averages.

Everything here takes arrays whose *last* axis runs over prompts; leading axes are a batch.

>>> import numpy as np
>>> x = np.arange(10.0)
>>> round(float(pearson(x, -2 * x)), 6)
-1.0
>>> rng = np.random.default_rng(0)
>>> low, high = correlation_interval(x, x + rng.normal(0, 3, 10), n_bootstrap=500)
>>> bool(0 < low < high < 1)
True
"""

import warnings

import numpy as np

from ..errors import InputError

#: Numbers held at once while the bootstrap goes through its resamples: 2**22 float64 are 34 MB.
CHUNK = 2**22


def pearson(x, y):
    """Pearson correlation over the last axis; the leading axes broadcast. NaN for a constant."""
    return partial_correlation(x, y)


def spearman(x, y):
    """Spearman rank correlation over the last axis (ties get their mean rank)."""
    from scipy.stats import rankdata

    return pearson(rankdata(x, axis=-1), rankdata(y, axis=-1))


def partial_correlation(x, y, *controls):
    r"""Pearson correlation of what is left of x and y once a linear function of the controls is taken out of each.

    With one control this is :math:`(r_{xy} - r_{xc} r_{yc}) / \sqrt{(1 - r_{xc}^2)(1 - r_{yc}^2)}`; with none it is
    Pearson's correlation. Controls that say the same thing twice count once.

    Parameters
    ----------
    x, y : array_like, shape (..., prompt)
        The leading axes broadcast.
    *controls : array_like, shape (prompt,)

    Returns
    -------
    numpy.ndarray, shape (...)
        NaN where nothing but rounding is left of x or y.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> c, noise = rng.normal(size=(2, 1000))
    >>> bool(pearson(c + 0.1 * noise, c) > 0.9), bool(abs(partial_correlation(c + noise, c - noise, c)) > 0.99)
    (True, True)
    """
    return np.clip((_left(x, controls) * _left(y, controls)).sum(-1), -1, 1)


def _left(x, controls):
    """What the mean and the controls do not explain of x, scaled to length 1."""
    x = np.asarray(x, float)
    left = x - x.mean(-1, keepdims=True)
    if controls:
        design = np.stack([np.asarray(c, float) for c in controls])
        design = design - design.mean(-1, keepdims=True)
        design /= np.maximum(np.linalg.norm(design, axis=-1, keepdims=True), 1e-300)
        basis, size, _ = np.linalg.svd(design.T, full_matrices=False)
        basis = basis[:, size > 1e-10 * max(size.max(), 1e-300)]
        left = left - left @ basis @ basis.T
    length = np.linalg.norm(left, axis=-1, keepdims=True)
    return left / np.where(length > 1e-12 * np.linalg.norm(x, axis=-1, keepdims=True), length, np.nan)


def correlation_p_value(r, n, n_controls=0):
    """Two-sided p-value of a correlation of n pairs, by Student's t with n - 2 - n_controls degrees."""
    from scipy.stats import t as student

    free = n - 2 - n_controls
    with np.errstate(divide="ignore"):
        statistic = np.abs(r) * np.sqrt(max(free, 0) / np.maximum(1 - np.asarray(r) ** 2, 1e-300))
    return 2 * student.sf(statistic, free)


def fisher_interval(r, n, n_controls=0, level=0.95):
    r"""Confidence interval of a correlation by Fisher's transformation.

    :math:`\tanh(\operatorname{artanh} r \pm q / \sqrt{n - 3 - n_{controls}})` with the normal quantile :math:`q`
    (Fisher 1921; 1924 for partial correlations). It assumes that x and y are jointly normal.

    Parameters
    ----------
    r : array_like, shape (...)
    n, n_controls : int
        Pairs, and variables held fixed.
    level : float

    Returns
    -------
    low, high : numpy.ndarray, shape (...)
        -1 and 1 if n - 3 - n_controls is not positive: such a correlation says nothing.

    Examples
    --------
    >>> [round(float(end), 3) for end in fisher_interval(0.5, 28)]
    [0.156, 0.736]
    """
    from scipy.stats import norm

    r = np.asarray(r, float)
    free = n - 3 - n_controls
    if free <= 0:
        return np.where(np.isnan(r), np.nan, -1.0), np.where(np.isnan(r), np.nan, 1.0)
    with np.errstate(divide="ignore"):
        z, half = np.arctanh(r), norm.ppf((1 + level) / 2) / np.sqrt(free)
    return np.tanh(z - half), np.tanh(z + half)


def holm(p):
    """P-values adjusted for having been searched through, by Holm's step-down rule (Holm 1979).

    Declaring everything with an adjusted p-value below a level makes even one false claim with at most that
    probability, however the tests depend on each other.

    Parameters
    ----------
    p : array_like, any shape
        All of it is one family; NaN belongs to no family and stays.

    Returns
    -------
    numpy.ndarray, of the same shape

    Examples
    --------
    >>> holm([0.01, 0.04, 0.02]).tolist()
    [0.03, 0.04, 0.04]
    """
    p = np.array(p, float)
    tested = np.isfinite(p)
    family = p[tested]
    order = np.argsort(family)
    steps = np.arange(len(family), 0, -1) * family[order]
    family[order] = np.minimum(np.maximum.accumulate(steps), 1)
    p[tested] = family
    return p


def p_text(p):
    """A p-value in words for a sentence: ``p < 0.001``, or two digits."""
    return "p < 0.001" if p < 0.001 else f"p = {p:.2g}"


def mean_log_frequency(token_ids, n_vocabulary):
    """How common the tokens of each prompt are in all the *other* prompts.

    The mean over a prompt's tokens of ln f, with the frequency f = (count elsewhere + 1) / (tokens elsewhere +
    vocabulary): add-one smoothing, so that a token seen nowhere else has one too. Minus this number is the loss of a
    model that knows how often words occur, and nothing of their order.

    Parameters
    ----------
    token_ids : array_like of int, shape (prompt, token)
    n_vocabulary : int

    Returns
    -------
    numpy.ndarray, shape (prompt,), nats

    Examples
    --------
    >>> np.exp(mean_log_frequency([[0, 0], [0, 1]], 2)).round(3).tolist()
    [0.5, 0.433]
    """
    ids = np.asarray(token_ids)
    everywhere = np.bincount(ids.ravel(), minlength=n_vocabulary)
    prompt = np.arange(len(ids))[:, None]
    _, place, count = np.unique(prompt * n_vocabulary + ids, return_inverse=True, return_counts=True)
    here = count[place].reshape(ids.shape)
    return np.log((everywhere[ids] - here + 1) / (ids.size - ids.shape[1] + n_vocabulary)).mean(-1)


def bootstrap_correlations(x, y, *controls, rank=False, n_bootstrap=2000, seed=0):
    r"""Correlations of prompts drawn again with replacement, of many x with one y at once.

    A resample is known by how often it holds each prompt. With :math:`C` these counts, (resample, prompt), the sums of
    :math:`x`, :math:`x^2`, :math:`xy`, ... over every resample are one matrix product :math:`C\,[x, x^2, xy, \dots]`,
    and the correlations follow from the sums: 10,000 resamples of 2,244 prompts for 31 layers and 8 scales are
    60 GFLOP in blocks of 34 MB. Ranks change with the resample, so Spearman's coefficient has no such
    product; the mean rank of a value is a running sum of the counts instead.

    Parameters
    ----------
    x : array_like, shape (..., prompt)
    y : array_like, shape (prompt,)
    *controls : array_like, shape (prompt,)
        Held fixed: see :func:`partial_correlation`.
    rank : bool
        Spearman's correlation in place of Pearson's; takes no controls.
    n_bootstrap, seed : int
        The resamples are those of :func:`bootstrap_draws`.

    Returns
    -------
    numpy.ndarray, shape (n_bootstrap, ...)
        NaN in a resample that has no correlation, because only one prompt is in it for example.
    """
    if rank and controls:
        raise InputError("a rank correlation with controls is not implemented")
    x, y = np.asarray(x, float), np.asarray(y, float)
    flat = x.reshape(-1, x.shape[-1])
    others = np.stack([np.asarray(v, float) for v in (y, *controls)])
    n, width = len(y), len(flat) * (3 + len(controls))
    statistic = _rank_correlations(flat, y) if rank else _moment_correlations(flat, others)
    rng = np.random.default_rng(seed)
    rows = max(1, CHUNK // (n + (4 * n if rank else width)))
    draws = np.empty((n_bootstrap, len(flat)))
    for start in range(0, n_bootstrap, rows):
        part = draws[start : start + rows]
        pick = rng.integers(0, n, (len(part), n)) + n * np.arange(len(part))[:, None]
        part[:] = statistic(np.bincount(pick.ravel(), minlength=pick.size).reshape(pick.shape).astype(float))
    return draws.reshape(n_bootstrap, *x.shape[:-1])


def _moment_correlations(x, others):
    """A function from counts to correlations of the rows of x with others[0], with the rest of others held fixed."""

    def standard(v):  # centered, so that the differences of moments below lose no digits
        v = v - v.mean(-1, keepdims=True)
        return v / np.maximum(v.std(-1, keepdims=True), 1e-300)

    n, m, q = x.shape[-1], len(x), len(others)
    x, others = standard(x), standard(others)
    columns = np.concatenate([x, x * x, *(x * v for v in others), others,
                              (others[:, None] * others).reshape(q * q, n)]).T / n
    cuts = np.cumsum([m, m, q * m, q])

    def correlations(counts):
        mean, square, product, other, outer = np.split(counts @ columns, cuts, axis=1)
        var = square - mean**2
        cov = product.reshape(-1, q, m) - other[:, :, None] * mean[:, None]  # of x with each of the others
        among = outer.reshape(-1, q, q) - other[:, :, None] * other[:, None]
        if q > 1:  # take the controls out: Schur complement
            slope = np.linalg.pinv(among[:, 1:, 1:], rcond=1e-10, hermitian=True)
            on_y = (slope @ among[:, 1:, :1])[:, :, 0]
            var = var - np.einsum("bim,bim->bm", cov[:, 1:], slope @ cov[:, 1:])
            left = among[:, 0, 0] - np.einsum("bi,bi->b", among[:, 0, 1:], on_y)
            cov = cov[:, 0] - np.einsum("bi,bim->bm", on_y, cov[:, 1:])
        else:
            cov, left = cov[:, 0], among[:, 0, 0]
        scale = var * left[:, None]
        return np.clip(cov / np.sqrt(np.where(scale > 1e-20, scale, np.nan)), -1, 1)

    return correlations


def _rank_correlations(x, y):
    """A function from counts to Spearman's correlations of the rows of x with y."""

    def ranks_of(v):
        order = np.argsort(v)
        first = np.flatnonzero(np.r_[True, np.diff(v[order]) > 0])  # of each group of ties
        place = np.empty(len(v), int)
        place[order] = np.repeat(np.arange(len(first)), np.diff(np.r_[first, len(v)]))

        def ranks(counts):
            group = counts[:, order] if len(first) == len(v) else np.add.reduceat(counts[:, order], first, axis=1)
            return (np.cumsum(group, 1) - group / 2 - len(v) / 2)[:, place]  # their mean is zero

        return ranks

    n, of_x, of_y = len(y), [None if np.isnan(v).any() else ranks_of(v) for v in x], ranks_of(y)

    def correlations(counts):
        found = np.full((len(counts), len(x)), np.nan)
        ry = of_y(counts)
        weighted, left = ry * counts, np.einsum("bp,bp,bp->b", counts, ry, ry)
        for column, ranks in zip(found.T, of_x):
            if ranks:
                rx = ranks(counts)
                scale = np.einsum("bp,bp,bp->b", counts, rx, rx) * left
                column[:] = np.einsum("bp,bp->b", weighted, rx) / np.sqrt(np.where(scale > 1e-9 * n, scale, np.nan))
        return np.clip(found, -1, 1)

    return correlations


def correlation_interval(x, y, *controls, rank=False, n_bootstrap=2000, level=0.95, seed=0):
    """Percentile bootstrap interval of :func:`pearson`, :func:`spearman` or :func:`partial_correlation`.

    Parameters
    ----------
    x, y, *controls, rank, n_bootstrap, seed
        As in :func:`bootstrap_correlations`.
    level : float

    Returns
    -------
    low, high : numpy.ndarray, shape (...)
        NaN where no resample has a correlation.
    """
    draws = bootstrap_correlations(x, y, *controls, rank=rank, n_bootstrap=n_bootstrap, seed=seed)
    return _percentile_interval(draws, level)


def _percentile_interval(draws, level):
    tail = 50 * (1 - level)
    with warnings.catch_warnings():  # a statistic that is undefined for every resample has no interval
        warnings.filterwarnings("ignore", "All-NaN slice", RuntimeWarning)
        percentile = np.nanpercentile if np.isnan(draws).any() else np.percentile
        return tuple(percentile(draws, [tail, 100 - tail], axis=0))


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
    return _percentile_interval(bootstrap_draws(statistic, *samples, n_bootstrap=n_bootstrap, seed=seed), level)


def mean_interval(values, level=0.95):
    """Mean over the last axis and its Student-t confidence interval: (mean, low, high)."""
    from scipy.stats import t as student

    values = np.asarray(values, float)
    n = values.shape[-1]
    mean = values.mean(-1)
    half = student.ppf((1 + level) / 2, max(n - 1, 1)) * values.std(-1, ddof=1) / np.sqrt(n) if n > 1 else np.nan
    return mean, mean - half, mean + half


def loss_correlation(results, shuffle=0, control="distinct_tokens", n_bootstrap=2000, seed=0, rank_interval=False):
    """Correlation over prompts of intrinsic dimension and next-token loss, per layer and scale.

    Parameters
    ----------
    results : xarray.Dataset
        From :func:`survey` or :func:`open_results`. The layers and scales it holds are one family for Holm's
        correction, so select those you look at.
    shuffle : int
        Shuffle degree whose clouds are used.
    control : str, sequence of str or None
        Variables per prompt that the partial correlation holds fixed, all together.
    n_bootstrap, seed : int
        For the 95% bootstrap intervals; prompts are resampled.
    rank_interval : bool
        Whether to give Spearman's coefficient an interval too, which takes longer than all the others together.

    Returns
    -------
    xarray.Dataset
        Dimensions ``layer, scale``: ``pearson``, its bootstrap interval ``pearson_low``, ``pearson_high``, Fisher's
        ``fisher_low``, ``fisher_high``, ``p_value``, ``p_holm``, ``spearman``, if asked for ``spearman_low``,
        ``spearman_high``, and with a control ``partial``, ``partial_low``, ``partial_high`` (bootstrap),
        ``partial_p_value``; attribute ``n_prompts``.

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
    names = [control] if isinstance(control, str) else list(control or ())
    draw = {"n_bootstrap": n_bootstrap, "seed": seed}
    r = pearson(dimension, loss)
    p_value = correlation_p_value(r, n)
    values = {"pearson": r, "p_value": p_value, "p_holm": holm(p_value), "spearman": spearman(dimension, loss)}
    values["pearson_low"], values["pearson_high"] = correlation_interval(dimension, loss, **draw)
    values["fisher_low"], values["fisher_high"] = fisher_interval(r, n)
    if rank_interval:
        values["spearman_low"], values["spearman_high"] = correlation_interval(dimension, loss, rank=True, **draw)
    if names:
        fixed = [chosen[name].values for name in names]
        partial = partial_correlation(dimension, loss, *fixed)
        values |= {"partial": partial, "partial_p_value": correlation_p_value(partial, n, len(fixed))}
        values["partial_low"], values["partial_high"] = correlation_interval(dimension, loss, *fixed, **draw)
    return xr.Dataset(
        {name: (("layer", "scale"), value) for name, value in values.items()},
        coords={"layer": chosen.layer, "scale": chosen.scale},
        attrs={"n_prompts": n, "shuffle": shuffle, "control": ", ".join(names) or "none"},
    )
