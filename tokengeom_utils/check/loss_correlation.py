"""Checkers for the chapter "Intrinsic dimension and loss"."""

import numpy as np

from ..theory import statistics
from .answer import Attempt, checker, close, expect, reached, shaped


@checker
def fisher_interval(attempt: Attempt, rng: np.random.Generator) -> None:
    """Check ``fisher_interval(r, n, n_controls=0, level=0.95)``: Fisher's interval of a correlation.

    ``r`` is a correlation of ``n`` pairs with ``n_controls`` variables held fixed, ``level`` a float between 0 and 1;
    returns two floats, the low and the high end.
    """
    r, n = rng.uniform(0.4, 0.9), int(rng.integers(12, 40))
    found, wanted = attempt(r, n), statistics.fisher_interval(r, n)
    expect(np.shape(found) == (2,), "return two numbers: the low end and the high end")
    z, q = np.arctanh(r), 1.95996
    expect(
        not close(found, (z - q / (n - 3) ** 0.5, z + q / (n - 3) ** 0.5), 1e-3),
        "these are the ends for artanh r: go back to r with tanh",
    )
    expect(
        not close(np.add(*found), 2 * r),
        "your interval is symmetric around r, so it may extend beyond 1: it is artanh r that scatters symmetrically",
    )
    expect(
        not any(close(found, np.tanh([z - q / m**0.5, z + q / m**0.5]), 1e-4) for m in (n, n - 1, n - 2)),
        "the variance of artanh r is 1 / (n - 3), not 1 / n",
    )
    expect(
        not close(found, np.tanh([z - 1.64485 / (n - 3) ** 0.5, z + 1.64485 / (n - 3) ** 0.5]), 1e-4),
        "at a level of 95%, 2.5% of a normal law lies above the interval and 2.5% below it",
    )
    expect(
        close(found, wanted, 1e-3),
        "return tanh(artanh r -+ q / sqrt(n - 3)), where 2.5% of a normal law lies above q",
    )
    reached(0.5)
    controls = int(rng.integers(1, 5))
    expect(
        close(attempt(r, n + controls, controls), wanted, 1e-3), "every variable held fixed takes one more off n - 3"
    )
    levels = 0.5, rng.uniform(0.6, 0.99)
    expect(
        all(close(attempt(r, n, 0, level), statistics.fisher_interval(r, n, level=level)) for level in levels),
        "the level 95% is right, but other levels are not: the quantile is that of (1 + level) / 2",
    )
    reached(0.75)
    expect(
        close(attempt(r, n, controls, 0.9), statistics.fisher_interval(r, n, controls, 0.9)),
        "right with controls and right at other levels, but not with both",
    )
    expect(
        close(attempt(-r, n), statistics.fisher_interval(-r, n), 1e-3),
        "right for positive correlations only: for a negative one, the low end still comes first",
    )


def _residual(v: np.ndarray, *columns: np.ndarray) -> np.ndarray:
    """Return what a least-squares fit of the columns leaves of v."""
    design = np.stack(columns, 1)
    return v - design @ np.linalg.lstsq(design, v, rcond=None)[0]


@checker
def partial_correlation(attempt: Attempt, rng: np.random.Generator) -> None:
    """Check ``partial_correlation(x, y, controls)``: the correlation with several variables held fixed.

    ``x`` and ``y`` are numpy arrays of shape (prompt,), ``controls`` is one of shape (control, prompt); returns a
    float.
    """
    n = int(rng.integers(20, 40))
    x, y, a, b, c = rng.normal(size=(5, n))
    a, b = a + 5, b + 0.8 * a
    x, y = x + a + b + c, y + a - b - 2 * c + 3
    one, pearson, partial = np.ones(n), statistics.pearson, statistics.partial_correlation
    found, wanted = shaped(attempt(x, y, np.stack([a, b]))), partial(x, y, a, b)
    expect(not close(found, pearson(x, y)), "this is the plain correlation: take the controls out of both first")
    expect(not close(found, partial(x, y, a)), "you hold only the first control fixed")
    u, v = _residual(x, a, b), _residual(y, a, b)
    expect(
        not close(found, pearson(u, v)) and not close(found, u @ v / np.sqrt((u @ u) * (v @ v))),
        "the fit needs a constant too: add a column of ones",
    )
    expect(
        not close(found, pearson(*(_residual(_residual(v, a, one), b, one) for v in (x, y)))),
        "you take the controls out one after the other, but they are correlated, so the second puts some of the first "
        "back: fit them together",
    )
    expect(
        not close(found, pearson(x, _residual(y, a, b, one))) and not close(found, pearson(_residual(x, a, b, one), y)),
        "take the controls out of both x and y",
    )
    expect(close(found, wanted), "fit a constant and all controls to x and to y, and correlate the two residuals")
    reached(0.5)
    expect(
        close(attempt(x, y, np.stack([a])), partial(x, y, a))
        and close(attempt(x, y, np.stack([a, b, c])), partial(x, y, a, b, c)),
        "right for two controls, but wrong for one or three",
    )


@checker
def resampled_correlations(attempt: Attempt, rng: np.random.Generator) -> None:
    """Check ``resampled_correlations(x, y, counts)``: Pearson's correlation in every resample of the prompts at once.

    ``x`` and ``y`` are numpy arrays of shape (prompt,), ``counts`` is one of shape (resample, prompt), how often each
    resample holds each prompt; returns a numpy array of shape (resample,).
    """
    n, m = int(rng.integers(10, 16)), int(rng.integers(5, 9))
    x, y = rng.normal(size=(2, n)) + np.array([[3], [-1]])
    y, picks = y + rng.uniform(-1, 1) * x, rng.integers(0, n, (m, n))
    counts = np.stack([np.bincount(pick, minlength=n) for pick in picks])
    found, wanted = attempt(x, y, counts), statistics.pearson(x[picks], y[picks])
    expect(np.shape(found) == (m,), "return one correlation for each row of counts")
    expect(
        not close(found, statistics.pearson(counts * x, counts * y)),
        "a count does not stretch a value, it repeats the prompt: it belongs in the means, once",
    )
    drawn = counts > 0
    expect(
        not close(found, [statistics.pearson(x[row], y[row]) for row in drawn]),
        "a prompt that is drawn twice counts twice",
    )
    first, second, product, xx, yy = (counts @ v / n for v in (x, y, x * y, x * x, y * y))
    expect(not close(found, product / np.sqrt(xx * yy)), "subtract the products of the means")
    u, v = x - x.mean(), y - y.mean()
    expect(
        not close(found, counts @ (u * v) / np.sqrt((counts @ u**2) * (counts @ v**2))),
        "close, but subtract the means of each resample, not those of the whole sample",
    )
    expect(
        not close(found, (product - first * second) / ((xx - first**2) * (yy - second**2))),
        "the square root is missing in the denominator",
    )
    expect(
        close(found, wanted),
        "counts @ v / n is the mean of v over every resample: you need it for x, y, xy, x^2, and y^2",
    )


@checker
def mean_log_frequency(attempt: Attempt, rng: np.random.Generator) -> None:
    """Check ``mean_log_frequency(token_ids, n_vocabulary)``: how common each prompt's tokens are in the other prompts.

    ``token_ids`` is a numpy array of ints, of shape (prompt, token), ``n_vocabulary`` an int; returns the mean
    logarithm of the frequencies, with one added to every count, a numpy array of shape (prompt,).
    """
    (p, t), v = rng.integers(3, 7, 2), int(rng.integers(8, 12))  # the vocabulary is larger than the largest token
    repeats = False
    while not repeats:  # a prompt has to repeat some of its tokens, else a mean over different tokens is right
        ids = rng.integers(0, v - 2, (p, t))
        ids[:, 0] = np.arange(p)  # some tokens may occur in one prompt only
        ids[0, 1] = v - 2
        counts, others = np.bincount(ids.ravel(), minlength=v), (p - 1) * t
        rows = [np.log((counts - np.bincount(row, minlength=v) + 1) / (others + v)) for row in ids]
        different = [row[np.unique(i)].mean() for row, i in zip(rows, ids, strict=True)]
        repeats = not close(different, [row[i].mean() for row, i in zip(rows, ids, strict=True)], 1e-3)
    with np.errstate(divide="ignore", invalid="ignore"):
        found, wanted = attempt(ids, v), statistics.mean_log_frequency(ids, v)
    expect(np.shape(found) == (p,), "return one number for each prompt")
    expect(
        np.isfinite(found).all(),
        "a token that occurs in no other prompt has frequency 0, whose logarithm is minus infinity: add one to every "
        "count",
    )
    expect(
        not any(close(found, np.log((counts + 1) / n)[ids].mean(1)) for n in (p * t, p * t + v, others, others + v)),
        "a prompt counts its own tokens here: subtract its counts from the sum",
    )
    expect(
        not any(close(found, wanted + np.log((others + v) / n)) for n in (others, others + 1, others + ids.max() + 1)),
        "with one added to every count, the frequencies must still sum to one: add the size of the vocabulary to the "
        "denominator",
    )
    expect(
        not close(found, [row.mean() for row in rows]) and not close(found, different),
        "the mean is over the tokens of the prompt, each as often as it occurs, not over a list of different tokens",
    )
    expect(
        not close(found, [np.log(np.exp(row[i]).mean()) for row, i in zip(rows, ids, strict=True)]),
        "take the logarithm of each frequency first, and then the mean",
    )
    expect(
        close(found, wanted),
        "for every token of a prompt, divide its count in the other prompts plus one by their length plus the size of "
        "the vocabulary; then take the logarithm, and the mean over the tokens",
    )
