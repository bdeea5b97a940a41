"""Checkers for the chapter "The mean-field picture in a real model"."""

import numpy as np

from .answer import Attempt, checker, close, expect, shaped
from .mean_field import on_sphere, tangent


@checker
def effective_groups(attempt: Attempt, rng: np.random.Generator) -> None:
    """Check ``effective_groups(x, beta)``: the effective number of groups of a cloud on the sphere.

    ``x`` is a numpy array of unit vectors of shape (token, feature), ``beta`` a float; returns a float between 1 and
    the number of tokens.
    """
    n, beta = int(rng.integers(6, 12)), rng.uniform(2, 5)
    x = on_sphere(n, int(rng.integers(3, 6)), rng)
    similar = np.exp(beta * (x @ x.T - 1))
    found, wanted = shaped(attempt(x, beta)), 1 / similar.mean()
    expect(not close(found, similar.mean()), "upside down: the more alike the tokens, the fewer the groups")
    expect(
        not close(found, n * (n - 1) / (similar.sum() - n)),
        "the pairs of a token with itself belong in the mean",
    )
    expect(
        not close(found, 1 / np.exp(beta * (x @ x.T)).mean()),
        "a similarity of 1 must mean the same place: the exponent is beta (cosine - 1)",
    )
    expect(
        not close(found, (1 / similar.mean(1)).mean()) and not close(found, (1 / similar).mean()),
        "average first, over all pairs, and invert last",
    )
    expect(
        close(attempt(x[[0] * 5], beta), 1.0),
        "five tokens in one place are one group: your function should return 1 for them",
    )
    expect(close(found, wanted), "divide one by the mean of exp(beta (cosine - 1)) over all n^2 pairs")


@checker
def energy_change(attempt: Attempt, rng: np.random.Generator) -> None:
    """Check ``energy_change(x, move, beta)``: the first-order change of the energy when a layer moves the tokens.

    ``x``, unit vectors, and ``move``, in any direction, are numpy arrays of shape (token, feature), ``beta`` is a
    float; returns a float.
    """
    n, beta = int(rng.integers(4, 9)), rng.uniform(1.5, 3)
    x = on_sphere(n, int(rng.integers(3, 6)), rng)
    move = rng.normal(size=x.shape)
    pull = np.exp(beta * x @ x.T) @ x / n**2
    found, wanted = shaped(attempt(x, move, beta)), (pull * tangent(x, move)).sum()
    expect(
        not close(found, (pull * move).sum()),
        "the tokens stay on the sphere: only the tangent part of the move counts",
    )
    expect(not close(found, wanted / 2), "both tokens of a pair move, which cancels the 2 in 1 / (2 beta)")
    expect(not close(found, wanted * beta), "the derivative brings down a beta, which cancels the one in 1 / (2 beta)")
    expect(
        not close(found, wanted * n) and not close(found, wanted * n**2),
        "the energy is a mean over n^2 pairs",
    )
    expect(not close(found, -wanted), "check the sign: a move that gathers the tokens raises the energy")
    expect(
        close(found, wanted),
        "differentiate sum_ij exp(beta <x_i, x_j>) / (2 beta n^2) along the tangent part of the move",
    )
