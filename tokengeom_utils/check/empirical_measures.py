"""Checkers for the chapter "Empirical measures"."""

import numpy as np

from .answer import Attempt, checker, close, expect, reached, shaped, truth


def _lookalikes(cloud: np.ndarray, rng: np.random.Generator) -> list[np.ndarray]:
    """Return a cloud mirrored in its mean, one turned about it, and other tokens with the same mean and covariance."""
    mean, (turn, _) = cloud.mean(0), np.linalg.qr(rng.normal(size=(cloud.shape[1],) * 2))
    v = rng.normal(size=len(cloud))
    v = (v - v.mean()) / np.linalg.norm(v - v.mean())
    return [2 * mean - cloud, mean + (cloud - mean) @ turn, cloud - 2 * np.outer(v, v @ cloud)]


@checker
def w2_line(attempt: Attempt, rng: np.random.Generator) -> None:
    """Check ``w2_line(a, b)``: the Wasserstein distance W2 of two sets of n numbers.

    ``a`` and ``b`` are numpy arrays of shape (token,); returns a float.
    """
    a, b = rng.normal(size=(2, rng.integers(8, 20))) * rng.uniform(1, 3, (2, 1)) + rng.uniform(0, 0.3, (2, 1))
    gap = np.sort(a) - np.sort(b)
    found, wanted = shaped(attempt(a, b)), np.sqrt(np.mean(gap**2))
    expect(not close(found, np.sqrt(np.mean((a - b) ** 2))), "you pair the tokens by name: sort both sets first")
    expect(not close(found, wanted**2), "this is the square of the distance")
    expect(not close(found, np.sqrt(np.sum(gap**2))), "each token has mass 1/n: take the mean, not the sum")
    expect(
        not close(found, np.abs(gap).mean()),
        "this is W1, the mean length of the paths; W2 is the root of their mean square",
    )
    expect(
        not close(found, np.hypot(a.mean() - b.mean(), a.std() - b.std()))
        and not close(found, abs(a.mean() - b.mean())),
        "means and widths determine W2 of normal laws only: pair the numbers themselves",
    )
    expect(close(found, wanted), "sort both sets, take the differences, and return their root mean square")


@checker
def same_measure(attempt: Attempt, rng: np.random.Generator) -> None:
    """Check ``same_measure(a, b)``: whether two clouds have the same empirical measure.

    ``a`` and ``b`` are numpy arrays of shape (token, feature), possibly with different numbers of tokens; returns a
    bool.
    """
    n, d = rng.integers(5, 9), rng.integers(2, 5)
    a, (x, y) = rng.normal(size=(n, d)), rng.normal(size=(2, d))

    def same(first: np.ndarray, second: np.ndarray) -> bool:
        return truth(attempt(first, second)) and truth(attempt(second, first))

    def ever(first: np.ndarray, second: np.ndarray) -> bool:
        return truth(attempt(first, second)) or truth(attempt(second, first))

    order, columns = rng.permutation(n), np.stack([np.roll(column, i) for i, column in enumerate(a.T)], axis=1)
    expect(same(a, a[order]), "the second cloud holds the same tokens in another order, so the measure is the same")
    expect(not ever(a, a + 1e-3), "these two clouds have no token in common, so their measures differ")
    expect(
        not ever(a, columns),
        "each feature takes the same values in both clouds, but no token occurs in both: keep the rows whole when you "
        "sort",
    )
    expect(
        not ever(np.stack([x, x, y]), np.stack([x, y, y])),
        "the places are the same, but not their masses: of three tokens, two share one place in the first cloud and "
        "the other place in the second",
    )
    expect(
        same(np.stack([x, y]), np.stack([x, y, x, y]))
        and same(np.tile(a, (2, 1)), np.tile(a, (3, 1))[rng.permutation(3 * n)]),
        "the second cloud has more tokens in the same places, but each place has the same share of them, so the "
        "measure is the same",
    )
    expect(
        not ever(a, a[:-1]) and not ever(np.vstack([a[:-1], x]), a),
        "only one token differs or is missing, but the measures are not the same",
    )
    reached(0.5)
    expect(
        not any(ever(a, other) for other in _lookalikes(a, rng)),
        "two clouds with the same mean, covariance, or distances may have no token in common: compare the tokens",
    )
    # Prouhet's two halves of 0 to 15: their sums of powers agree up to the third.
    halves = np.outer([0, 3, 5, 6, 9, 10, 12, 15], y) + x, np.outer([1, 2, 4, 7, 8, 11, 13, 14], y) + x
    expect(
        not ever(*halves),
        "these clouds have equal moments up to the third, and no token in common: compare the tokens",
    )


@checker
def w2_gaussians(attempt: Attempt, rng: np.random.Generator) -> None:
    """Check ``w2_gaussians(mean_a, sd_a, mean_b, sd_b)``: W2 of two normal laws with independent coordinates.

    The four arguments, means and standard deviations, are numpy arrays of shape (feature,); returns a float.
    """
    d = rng.integers(2, 7)
    (mean_a, mean_b), (sd_a, sd_b) = rng.normal(size=(2, d)), rng.uniform(0.5, 3, (2, d))
    shift, scale = mean_a - mean_b, sd_a - sd_b
    found, wanted = attempt(mean_a, sd_a, mean_b, sd_b), np.sqrt((shift**2 + scale**2).sum())
    expect(np.shape(found) == (), "return a single distance: the squared distances of the coordinates add up")
    expect(not close(found, wanted**2), "this is the square of the distance")
    expect(
        not close(found, np.sqrt((shift**2).sum())),
        "two laws with the same mean but different widths are not the same",
    )
    expect(
        not close(found, np.sqrt((shift**2 + (sd_a**2 - sd_b**2) ** 2).sum())),
        "compare the standard deviations, not the variances: check the units",
    )
    expect(
        not close(found, wanted / np.sqrt(d)) and not close(found, np.hypot(shift, scale).sum()),
        "the squared distances of the coordinates add up: take no mean, and the root only at the end",
    )
    expect(
        close(found, wanted),
        "the sorted samples differ by m1 - m2 + (s1 - s2) q_i: square this, average it, and add up the coordinates",
    )
