"""Checkers for the chapter "Your own text"."""

import numpy as np

from .answer import Attempt, checker, close, expect


@checker
def percentile_rank(attempt: Attempt) -> None:
    """Check ``percentile_rank(x, others)``: the share of smaller values plus half the share of equal ones.

    ``x`` is a float, ``others`` an array of shape (value,); returns a float between 0 and 1.
    """
    others = np.array([1.0, 2, 2, 3, 5, 5, 5, 8])
    found, wanted = [attempt(x, others) for x in (5.0, 4.0, 0.0)], np.array([5.5, 4, 0]) / 8
    expect(not close(found, [4 / 8, 4 / 8, 0]), "equal values count half: you leave them out")
    expect(not close(found, [7 / 8, 4 / 8, 0]), "equal values count half: you count them in full")
    expect(not close(found, 8 * wanted), "this is a count: divide it by the number of values")
    expect(not close(found, 100 * wanted), "this is a percentage: return a share between 0 and 1")
    expect(not close(found, 1 - wanted), "this is the share of larger values")
    expect(close(found, wanted), "add the mean of others < x and half the mean of others == x")


@checker
def unusual(attempt: Attempt) -> None:
    """Check ``unusual(x, y, x0, y0)``: how many standard deviations a new point lies above a fitted line.

    ``x`` and ``y`` are arrays of shape (point,), to which the line is fitted; the new point (``x0``, ``y0``) is two
    floats. Returns a float in standard deviations of a new point.
    """
    rng = np.random.default_rng(14)
    x = rng.normal(3, 1, 12)
    y, x0, y0 = 2 * x + rng.normal(size=12), 5.0, 12.0
    slope, intercept = np.polyfit(x, y, 1)
    squares = ((y - slope * x - intercept) ** 2).sum()
    line = 1 / 12 + (x0 - x.mean()) ** 2 / ((x - x.mean()) ** 2).sum()
    above, root = y0 - slope * x0 - intercept, np.sqrt(1 + line)
    found, wanted = attempt(x, y, x0, y0), above / np.sqrt(squares / 10) / root
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
        not any(close(found, wanted * np.sqrt(n / 10)) for n in (11, 12)),
        "the line takes two parameters from the data, so divide the sum of the squared residuals by n - 2",
    )
    expect(not close(found, -wanted), "check the sign: a point above the line has a positive distance")
    expect(close(found, wanted), "divide the residual of the new point by s times the root in the text")
