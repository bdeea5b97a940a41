"""Checkers for the chapter "Intrinsic dimension and loss"."""

import numpy as np

from ..theory import statistics
from .answer import Attempt, checker, close, expect


@checker
def fisher_interval(attempt: Attempt) -> None:
    """Check ``fisher_interval(r, n, n_controls=0, level=0.95)``: Fisher's interval of a correlation.

    ``r`` is a correlation of ``n`` pairs with ``n_controls`` variables held fixed, ``level`` a float between 0 and 1;
    returns two floats, the low and the high end.
    """
    found, wanted = attempt(0.8, 20), statistics.fisher_interval(0.8, 20)
    expect(np.shape(found) == (2,), "return two numbers: the low end and the high end")
    z, q = np.arctanh(0.8), 1.95996
    expect(
        not close(found, (z - q / 17**0.5, z + q / 17**0.5), 1e-3),
        "these are the ends for artanh r: go back to r with tanh",
    )
    expect(
        not close(np.add(*found), 1.6),
        "your interval is symmetric around r, so it may extend beyond 1: it is artanh r that scatters symmetrically",
    )
    expect(
        not close(found, np.tanh([z - q / 20**0.5, z + q / 20**0.5]), 1e-4),
        "the variance of artanh r is 1 / (n - 3), not 1 / n",
    )
    expect(
        close(found, wanted, 1e-3),
        "return tanh(artanh r -+ q / sqrt(n - 3)), where 2.5% of a normal law lies above q",
    )
    expect(close(attempt(0.8, 22, 2), wanted, 1e-3), "every variable held fixed takes one more off n - 3")
    expect(
        close(attempt(0.8, 20, 0, 0.5), statistics.fisher_interval(0.8, 20, level=0.5), 1e-6),
        "the level 95% is right, but other levels are not: the quantile is that of (1 + level) / 2",
    )


def _residual(v: np.ndarray, *columns: np.ndarray) -> np.ndarray:
    """Return what a least-squares fit of the columns leaves of v."""
    design = np.stack(columns, 1)
    return v - design @ np.linalg.lstsq(design, v, rcond=None)[0]


@checker
def partial_correlation(attempt: Attempt) -> None:
    """Check ``partial_correlation(x, y, controls)``: the correlation with several variables held fixed.

    ``x`` and ``y`` are arrays of shape (prompt,), ``controls`` is one of shape (control, prompt); returns a float.
    """
    x, y, a, b = np.random.default_rng(8).normal(size=(4, 30))
    a, b = a + 5, b + 0.8 * a
    x, y = x + a + b, y + a - b
    one, pearson = np.ones(30), statistics.pearson
    found, wanted = attempt(x, y, np.stack([a, b])), statistics.partial_correlation(x, y, a, b)
    expect(not close(found, pearson(x, y)), "this is the plain correlation: take the controls out of both first")
    expect(not close(found, statistics.partial_correlation(x, y, a)), "you hold only the first control fixed")
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
    expect(not close(found, pearson(x, _residual(y, a, b, one))), "take the controls out of both x and y")
    expect(close(found, wanted), "fit a constant and all controls to x and to y, and correlate the two residuals")


@checker
def resampled_correlations(attempt: Attempt) -> None:
    """Check ``resampled_correlations(x, y, counts)``: Pearson's correlation in every resample of the prompts at once.

    ``x`` and ``y`` are arrays of shape (prompt,), ``counts`` is one of shape (resample, prompt), how often each
    resample holds each prompt; returns an array of shape (resample,).
    """
    rng = np.random.default_rng(10)
    x, y = rng.normal(size=(2, 12)) + np.array([[3], [-1]])
    y, picks = y + 0.5 * x, rng.integers(0, 12, (6, 12))
    counts = np.stack([np.bincount(pick, minlength=12) for pick in picks])
    found, wanted = attempt(x, y, counts), statistics.pearson(x[picks], y[picks])
    expect(np.shape(found) == (6,), "return one correlation for each row of counts")
    expect(
        not close(found, statistics.pearson(counts * x, counts * y)),
        "a count does not stretch a value, it repeats the prompt: it belongs in the means, once",
    )
    first, second, product, xx, yy = (counts @ v / 12 for v in (x, y, x * y, x * x, y * y))
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
def mean_log_frequency(attempt: Attempt) -> None:
    """Check ``mean_log_frequency(token_ids, n_vocabulary)``: how common each prompt's tokens are in the other prompts.

    ``token_ids`` is an integer array of shape (prompt, token), ``n_vocabulary`` an int; returns the mean logarithm of
    the frequencies, with one added to every count, an array of shape (prompt,).
    """
    ids = np.array([[0, 0, 0, 2], [1, 0, 1, 3], [1, 1, 3, 4]])
    with np.errstate(divide="ignore", invalid="ignore"):
        found, wanted = attempt(ids, 6), statistics.mean_log_frequency(ids, 6)
    counts = np.bincount(ids.ravel(), minlength=6)
    expect(np.shape(found) == (3,), "return one number for each prompt")
    expect(
        np.isfinite(found).all(),
        "a token that occurs in no other prompt has frequency 0, whose logarithm is minus infinity: add one to every "
        "count",
    )
    expect(
        not any(close(found, np.log((counts + 1) / n)[ids].mean(1)) for n in (12, 18, 8, 14)),
        "a prompt counts its own tokens here: subtract its counts from the sum",
    )
    expect(
        not close(found, wanted + np.log(14 / 8)),
        "with one added to every count, the frequencies must still sum to one: add the size of the vocabulary to the "
        "denominator",
    )
    expect(
        close(found, wanted),
        "for every token of a prompt, divide its count in the other prompts plus one by their length plus the size of "
        "the vocabulary; then take the logarithm, and the mean over the tokens",
    )
