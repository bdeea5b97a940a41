"""Checkers for the chapter "Your own text"."""

import numpy as np

from .answer import Attempt, checker, close, expect, shaped


@checker
def percentile_rank(attempt: Attempt, rng: np.random.Generator) -> None:
    """Check ``percentile_rank(x, others)``: the share of smaller values plus half the share of equal ones.

    ``x`` is a float, ``others`` a numpy array of shape (value,); returns a float between 0 and 1.
    """
    others = rng.integers(-4, 5, rng.integers(9, 15)).astype(float)
    others[:3] = 2, 2, 1
    n, tried = len(others), np.array([2.0, 1.0, *rng.uniform(-4, 4, 3), others.min() - 1, others.max() + 1])
    below, equal = (others < tried[:, None]).sum(1), (others == tried[:, None]).sum(1)
    found, wanted = [shaped(attempt(float(x), others)) for x in tried], (below + equal / 2) / n
    expect(not close(found, below / n), "equal values count half: you leave them out")
    expect(not close(found, (below + equal) / n), "equal values count half: you count them in full")
    expect(not close(found, n * wanted), "this is a count: divide it by the number of values")
    expect(not close(found, 100 * wanted), "this is a percentage: return a share between 0 and 1")
    expect(not close(found, 1 - wanted), "this is the share of larger values")
    expect(
        not close(found, (below + equal / 2) / (n - 1)) and not close(found, (below + equal / 2 + 0.5) / (n + 1)),
        "divide by the number of the others: the new value is not one of them",
    )
    expect(
        close(found, wanted) and close(attempt(3.0, np.full(4, 3.0)), 0.5),
        "add the mean of others < x and half the mean of others == x; among equals the rank is one half",
    )


@checker
def unusual(attempt: Attempt, rng: np.random.Generator) -> None:
    """Check ``unusual(x, y, x0, y0)``: how many standard deviations a new point lies above a fitted line.

    ``x`` and ``y`` are numpy arrays of shape (point,), to which the line is fitted; the new point (``x0``, ``y0``) is
    two floats. Returns a float in standard deviations of a new point, negative below the line.
    """
    n = int(rng.integers(9, 16))
    x = rng.normal(3, 1, n)
    y = rng.uniform(-3, 3) * x + rng.normal(1, 1, n)
    slope, intercept = np.polyfit(x, y, 1)
    squares = ((y - slope * x - intercept) ** 2).sum()
    x0 = rng.uniform([4, 0], [6, 2])
    above = np.array([1, -1]) * rng.uniform(1, 3, 2)  # one point lies above the line, the other below
    line = 1 / n + (x0 - x.mean()) ** 2 / ((x - x.mean()) ** 2).sum()
    y0, root = slope * x0 + intercept + above, np.sqrt(1 + line)
    found = [shaped(attempt(x, y, float(a), float(b))) for a, b in zip(x0, y0, strict=True)]
    wanted = above / np.sqrt(squares / (n - 2)) / root
    expect(
        not close(found, above),
        "this is the distance itself: divide it by the standard deviation of a new point",
    )
    expect(
        not close(found, wanted * root),
        "the root is missing: the line itself is uncertain, and more so away from the middle",
    )
    expect(
        not close(found, wanted * root / np.sqrt(line)),
        "this is the uncertainty of the line alone: a new point scatters around it, which is the 1 under the root",
    )
    expect(
        not any(close(found, wanted * np.sqrt(m / (n - 2))) for m in (n, n - 1)),
        "the line takes two parameters from the data, so divide the sum of the squared residuals by n - 2",
    )
    expect(
        not close(found, (y0 - y.mean()) / y.std()) and not close(found, (y0 - y.mean()) / y.std(ddof=1)),
        "this compares the point with the mean of y: compare it with the line at x0",
    )
    expect(
        not close(found, -wanted) and not close(found, np.abs(wanted)),
        "check the sign: a point above the line has a positive distance, a point below it a negative one",
    )
    expect(close(found, wanted), "divide the residual of the new point by s times the root in the text")
