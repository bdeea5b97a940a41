"""Checkers for the chapter "Estimators compared: does the answer depend on who is asked?"."""

import numpy as np

from .answer import Attempt, checker, close, expect


@checker
def correlation_dimension(attempt: Attempt) -> None:
    """Check ``correlation_dimension(cloud, r1, r2)``: how fast the number of close pairs grows between two radii.

    ``cloud`` is an array of shape (point, feature), ``r1`` < ``r2`` are floats; returns a float.
    """
    cloud = np.random.default_rng(8).normal(size=(60, 3))
    pairs = np.linalg.norm(cloud[:, None] - cloud, axis=-1)[np.triu_indices(60, 1)]
    near, far = (pairs < 0.7).sum(), (pairs < 1.4).sum()
    found, wanted = attempt(cloud, 0.7, 1.4), np.log2(far / near)
    expect(
        not close(found, np.log2((2 * far + 60) / (2 * near + 60))),
        "you count each point as a pair with itself: those 60 pairs are closer than any radius",
    )
    expect(
        not close(found, np.log(far / near)),
        "this is the growth of the logarithm of the count: divide it by the growth of the logarithm of the radius",
    )
    expect(
        not close(found, -wanted) and not close(found, 1 / wanted),
        "right numbers, wrong places: the growth in pairs goes over the growth in radius, both as logarithms",
    )
    expect(
        close(found, wanted),
        "count the distinct pairs closer than r1 and closer than r2: the estimate is "
        "log(count2 / count1) / log(r2 / r1)",
    )


@checker
def participation_ratio(attempt: Attempt) -> None:
    """Check ``participation_ratio(cloud)``: how many directions carry the variance of a cloud.

    ``cloud`` is an array of shape (point, feature); returns a float between 1 and the number of features.
    """
    cloud = np.random.default_rng(9).normal(1, [1, 2, 3, 4], size=(50, 4))
    values = np.linalg.svd(cloud - cloud.mean(0), compute_uv=False)
    raw = np.linalg.svd(cloud, compute_uv=False)

    def ratio(v: np.ndarray) -> float:
        return v.sum() ** 2 / (v**2).sum()

    found, wanted = attempt(cloud), ratio(values**2)
    expect(
        not close(found, ratio(raw**2)),
        "subtract the mean of the cloud first: a variance is measured from there",
    )
    expect(
        not close(found, ratio(values)),
        "the eigenvalues of the covariance are proportional to the squares of the singular values",
    )
    expect(not close(found, 1 / wanted), "upside down: the square of the sum goes over the sum of the squares")
    expect(
        close(found, wanted),
        "center the cloud, take the eigenvalues of its covariance, and divide the square of their sum by the sum of "
        "their squares",
    )


@checker
def three_averages(attempt: Attempt) -> None:
    """Check ``three_averages(inverse, k)``: three ways to average local dimensions.

    ``inverse`` is an array of shape (point,) of local inverse dimensions, each from ``k`` neighbors; returns three
    floats: the mean of the local dimensions, the same corrected for bias, and one over the mean inverse.
    """
    inverse, k = np.array([0.5, 0.1, 0.2, 0.4]), 12
    plain, pooled = (1 / inverse).mean(), 1 / inverse.mean()
    found = attempt(inverse, k)
    expect(
        np.shape(found) == (3,),
        "return three numbers: the mean, the corrected mean, and one over the mean inverse",
    )
    expect(close(found[0], plain), "the first number: invert each entry, then average")
    expect(
        not close(found[1], plain * 11 / 10),
        "the second number: the mean is too high, so the correction makes it smaller",
    )
    expect(
        close(found[1], plain * 10 / 11),
        "the second number: by the proposition, the mean is (k - 1) / (k - 2) times too high",
    )
    expect(not close(found[2], plain), "the third number: here the average comes first and the inverse last")
    expect(close(found[2], pooled), "the third number: one over the mean of the table")
