"""Checkers for the chapter "Empirical measures"."""

import numpy as np

from .answer import Attempt, checker, close, expect


@checker
def same_measure(attempt: Attempt) -> None:
    """Check ``same_measure(a, b)``: whether two clouds have the same empirical measure.

    ``a`` and ``b`` are arrays of shape (token, feature), possibly with different numbers of tokens; returns a bool.
    """
    rng = np.random.default_rng(20)
    a, (x, y) = rng.normal(size=(6, 3)), rng.normal(size=(2, 3))
    columns = np.stack([rng.permutation(column) for column in a.T], axis=1)
    expect(
        attempt(a, a[rng.permutation(6)]),
        "the second cloud holds the same tokens in another order, so the measure is the same",
    )
    expect(not attempt(a, a + 1e-3), "these two clouds have no token in common, so their measures differ")
    expect(
        not attempt(a, columns),
        "each feature takes the same values in both clouds, but no token occurs in both: keep the rows whole when you "
        "sort",
    )
    expect(
        not attempt(np.stack([x, x, y]), np.stack([x, y, y])),
        "the places are the same, but not their masses: of three tokens, two share one place in the first cloud and "
        "the other place in the second",
    )
    expect(
        attempt(np.stack([x, y]), np.stack([x, y, x, y])),
        "the second cloud has twice as many tokens in the same places, each with half the mass, so the measure is the "
        "same",
    )


@checker
def w2_line(attempt: Attempt) -> None:
    """Check ``w2_line(a, b)``: the Wasserstein distance W2 of two sets of n numbers.

    ``a`` and ``b`` are arrays of shape (token,); returns a float.
    """
    a, b = np.random.default_rng(21).normal(size=(2, 15))
    gap = np.sort(a) - np.sort(b)
    found, wanted = attempt(a, b), np.sqrt(np.mean(gap**2))
    expect(not close(found, np.sqrt(np.mean((a - b) ** 2))), "you pair the tokens by name: sort both sets first")
    expect(not close(found, wanted**2), "this is the square of the distance")
    expect(not close(found, np.sqrt(np.sum(gap**2))), "each token has mass 1/n: take the mean, not the sum")
    expect(
        not close(found, np.abs(gap).mean()),
        "this is W1, the mean length of the paths; W2 is the root of their mean square",
    )
    expect(close(found, wanted), "sort both sets, take the differences, and return their root mean square")


@checker
def w2_gaussians(attempt: Attempt) -> None:
    """Check ``w2_gaussians(mean_a, sd_a, mean_b, sd_b)``: W2 of two normal laws with independent coordinates.

    The four arguments, means and standard deviations, are arrays of shape (feature,); returns a float.
    """
    args = np.array([[0.0, 1, 2], [1, 2, 3], [0.5, 1, -1], [2, 2, 1]])
    shift, scale = args[0] - args[2], args[1] - args[3]
    found, wanted = attempt(*args), np.sqrt((shift**2 + scale**2).sum())
    expect(np.ndim(found) == 0, "return a single distance: the squared distances of the coordinates add up")
    expect(not close(found, wanted**2), "this is the square of the distance")
    expect(
        not close(found, np.sqrt((shift**2).sum())),
        "two laws with the same mean but different widths are not the same",
    )
    expect(
        not close(found, np.sqrt((shift**2 + (args[1] ** 2 - args[3] ** 2) ** 2).sum())),
        "compare the standard deviations, not the variances: check the units",
    )
    expect(
        close(found, wanted),
        "the sorted samples differ by m1 - m2 + (s1 - s2) q_i: square this, average it, and add up the coordinates",
    )
