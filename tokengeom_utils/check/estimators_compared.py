"""Checkers for the chapter "Estimators compared: does the answer depend on the method?"."""

import numpy as np

from .answer import Attempt, checker, close, expect, reached, shaped


@checker
def correlation_dimension(attempt: Attempt, rng: np.random.Generator) -> None:
    """Check ``correlation_dimension(cloud, r1, r2)``: how fast the number of close pairs grows between two radii.

    ``cloud`` is a numpy array of shape (point, feature), ``r1`` < ``r2`` are floats; returns a float.
    """
    n = int(rng.integers(50, 80))
    cloud = rng.normal(size=(n, rng.integers(2, 5)))
    pairs = np.linalg.norm(cloud[:, None] - cloud, axis=-1)[np.triu_indices(n, 1)]
    r1, r2 = np.quantile(pairs, rng.uniform([0.1, 0.4], [0.2, 0.7]))
    near, far = (pairs < r1).sum(), (pairs < r2).sum()
    found, wanted = shaped(attempt(cloud, r1, r2)), np.log(far / near) / np.log(r2 / r1)
    expect(
        not close(found, np.log((2 * far + n) / (2 * near + n)) / np.log(r2 / r1))
        and not close(found, np.log((far + n) / (near + n)) / np.log(r2 / r1)),
        "you count each point as a pair with itself: those pairs are closer than any radius",
    )
    expect(
        not any(close(found, log(far / near)) for log in (np.log, np.log2, np.log10)),
        "this is the growth of the logarithm of the count: divide it by the growth of the logarithm of the radius",
    )
    expect(
        not close(found, (far - near) / (r2 - r1)) and not close(found, (far / near) / (r2 / r1)),
        "a dimension is an exponent: take the logarithms of the counts and of the radii",
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
def participation_ratio(attempt: Attempt, rng: np.random.Generator) -> None:
    """Check ``participation_ratio(cloud)``: how many directions carry the variance of a cloud.

    ``cloud`` is a numpy array of shape (point, feature); returns a float between 1 and the number of features.
    """
    d = int(rng.integers(3, 7))
    cloud = rng.normal(1, rng.uniform(0.5, 5, d), size=(rng.integers(30, 60), d)) @ rng.normal(size=(d, d))
    values = np.linalg.svd(cloud - cloud.mean(0), compute_uv=False)
    raw = np.linalg.svd(cloud, compute_uv=False)

    def ratio(v: np.ndarray) -> float:
        return v.sum() ** 2 / (v**2).sum()

    found, wanted = shaped(attempt(cloud)), ratio(values**2)
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
        not close(found, ratio(cloud.var(0))),
        "these are the variances of the features: the directions are the eigenvectors of the covariance",
    )
    share = values**2 / (values**2).sum()
    expect(
        not close(found, np.exp(-(share * np.log(share)).sum())) and not close(found, ratio(values**4)),
        "this is another effective rank: the ratio needs the sum of the eigenvalues and the sum of their squares",
    )
    expect(
        close(found, wanted),
        "center the cloud, take the eigenvalues of its covariance, and divide the square of their sum by the sum of "
        "their squares",
    )


@checker
def three_averages(attempt: Attempt, rng: np.random.Generator) -> None:
    """Check ``three_averages(inverse, k)``: three ways to average local dimensions.

    ``inverse`` is a numpy array of shape (point,) of local inverse dimensions, each from ``k`` neighbors; returns three
    floats: the mean of the local dimensions, the same corrected for bias, and one over the mean inverse.
    """
    inverse, k = rng.uniform(0.1, 0.5, rng.integers(4, 9)), int(rng.integers(5, 30))
    plain, pooled = (1 / inverse).mean(), 1 / inverse.mean()
    found = attempt(inverse, k)
    expect(
        np.shape(found) == (3,),
        "return three numbers: the mean, the corrected mean, and one over the mean inverse",
    )
    expect(close(found[0], plain), "the first number: invert each entry, then average")
    reached(0.25)
    expect(
        not close(found[1], plain * (k - 1) / (k - 2)),
        "the second number: the mean is too high, so the correction makes it smaller",
    )
    expect(
        not close(found[1], plain * (k - 1) / k),
        "the second number: the factor is that of a mean of k - 1 logarithms, not of k",
    )
    expect(
        close(found[1], plain * (k - 2) / (k - 1)),
        "the second number: by the proposition, the mean is (k - 1) / (k - 2) times too high",
    )
    reached(0.5)
    expect(not close(found[2], plain), "the third number: here the average comes first and the inverse last")
    expect(close(found[2], pooled), "the third number: one over the mean of the table")
