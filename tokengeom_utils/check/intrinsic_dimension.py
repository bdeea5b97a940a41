"""Checkers for the chapter "Intrinsic dimension: how many directions does a cloud have?"."""

import numpy as np

from ..clouds import dimension
from .answer import Attempt, checker, close, expect, reached, shaped


def _sphere_distances(rng: np.random.Generator, k: int = 8) -> np.ndarray:
    """Return the sorted distances of points on a sphere of dimension 2 to 5 to their k neighbors, shape (n, k)."""
    points = rng.normal(size=(rng.integers(120, 180), rng.integers(3, 7)))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    distances = np.linalg.norm(points[:, None] - points, axis=-1)
    return np.sort(distances, axis=1)[:, 1 : k + 1]


@checker
def volume_fraction(attempt: Attempt, rng: np.random.Generator) -> None:
    """Check ``volume_fraction(distances, n1, n2, d)``: the share mu^-d of the volume within n2 that n1 encloses.

    ``distances`` is a sorted numpy array of shape (token, k), ``n1`` and ``n2`` are ranks of neighbors, ``d`` is a
    float; returns a numpy array of shape (token,).
    """
    r, d = _sphere_distances(rng), rng.uniform(2, 9)
    for n1, n2 in ((2, 5), (3, 6), (1, 2), (4, 8)):
        near, far = r[:, n1 - 1], r[:, n2 - 1]
        found, wanted = shaped(attempt(r, n1, n2, d), len(r)), (near / far) ** d
        expect(not close(found, 1 / wanted), "a share of the volume is at most 1: you divide the wrong way round")
        expect(not close(found, near / far), "this compares distances: a volume grows as their d-th power")
        expect(
            not close(found, 1 - wanted),
            "this is the share between the two neighbors: return the share within the nearer one",
        )
        expect(
            close(found, wanted),
            "the neighbor of rank n is in column n - 1 of the table; the volume within a distance r is proportional "
            "to r^d",
        )


@checker
def two_nn(attempt: Attempt, rng: np.random.Generator) -> None:
    """Check ``two_nn(distances)``: the unbiased TwoNN estimate of the intrinsic dimension.

    ``distances`` is a sorted numpy array of shape (token, k); returns a float.
    """
    r = _sphere_distances(rng, int(rng.integers(4, 9)))
    n, found, total = len(r), shaped(attempt(r)), np.log(r[:, 1] / r[:, 0]).sum()
    expect(
        not close(found, n / total),
        "your estimate is off by the factor N / (N - 1): this is the maximum of the likelihood, which is too high on "
        "average",
    )
    expect(
        not close(found, total / (n - 1)) and not close(found, total / n),
        "this is the mean of ln mu, which estimates 1 / d",
    )
    expect(not close(found, (1 - n) / total), "check the sign: mu is the larger distance over the smaller one")
    expect(
        not any(close(found, ((len(far) - 1) / np.log(far).sum())) for far in (r[:, -1] / r[:, 0], r[:, 2] / r[:, 1])),
        "use the first two columns only, the distances to the two nearest neighbors",
    )
    expect(
        close(found, (n - 1) / total) and close(attempt(r[:, :2]), (n - 1) / total),
        "ln mu is exponential with mean 1 / d, so d = (N - 1) / (sum of ln mu)",
    )


@checker
def gride_error(attempt: Attempt, rng: np.random.Generator) -> None:
    """Check ``gride_error(d, log_mu, scale)``: the standard error of GRIDE, from the curvature of its log-likelihood.

    ``d`` is a float, ``log_mu`` a numpy array of shape (token,), ``scale`` an even int; returns a float.
    """
    for scale in (8, 4, 2, 12):
        n, d = int(rng.integers(100, 200)), rng.uniform(2, 9)
        log_mu = -np.log(rng.beta(scale // 2, scale // 2, n)) / d
        y = np.exp(-d * log_mu)
        terms = (scale // 2 - 1) * (log_mu**2 * y / (1 - y) ** 2)
        found, wanted = shaped(attempt(d, log_mu, scale)), (n / d**2 + terms.sum()) ** -0.5
        expect(
            not close(found, wanted**-2),
            "this is the information: the standard error is one over its square root",
        )
        expect(not close(found, wanted**2), "this is the variance: the standard error is its square root")
        expect(
            scale == 2 or not close(found, d / n**0.5),
            "d / sqrt(N) is the error at scale 2: larger scales carry more information",
        )
        expect(
            not close(found, (1 / d**2 + terms.mean()) ** -0.5),
            "this is the error from one token: the information of all N tokens adds up",
        )
        expect(
            close(found, wanted),
            "the information is N / d^2 plus (n2 - n1 - 1) times the sum of (ln mu)^2 mu^-d / (1 - mu^-d)^2",
        )


@checker
def gride_one_scale(attempt: Attempt, rng: np.random.Generator) -> None:
    """Check ``gride_one_scale(distances, scale)``: GRIDE at one range scaling, with n2 = scale and n1 = scale / 2.

    ``distances`` is a sorted numpy array of shape (token, k), ``scale`` an even int; returns a float, right to five
    digits.
    """
    scales, r = (2, 4, 8, 12), _sphere_distances(rng, 12)
    while (right := dimension.gride_scales(r, 8)).n_points.min() < len(r):  # the package leaves out near duplicates
        r = _sphere_distances(rng, 12)
    wanted = [*right.dimension.tolist(), float(dimension.gride(r, 12).dimension)]
    n, found = len(r), [shaped(attempt(r, scale)) for scale in scales]
    expect(
        np.ptp(found) > 0 or close(found[0], wanted[0]),
        "you return the same number for every scale: use the columns of ranks scale / 2 and scale",
    )
    expect(
        not close(found[0], wanted[0] * n / (n - 1)),
        "your estimate at scale 2 is off by the factor N / (N - 1)",
    )
    expect(
        close(found, wanted, 2e-5) or not close(found, wanted, 0.02),
        "nearly right: search more finely around the root, until five digits of d are settled",
        share=0.5,
    )
    expect(
        close(found[0], wanted[0], 2e-5),
        "at scale 2 the equation is (N - 1) / d = sum of ln mu, which is TwoNN",
    )
    reached(0.25)
    expect(
        close(found, wanted, 2e-5),
        "scale 2 is right, but larger scales are not: there the factor n2 - n1 - 1 is no longer zero. Is the score "
        "zero at your d? It falls with d, so its one root is where it changes sign",
    )
