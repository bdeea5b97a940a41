"""Checkers for the chapter "The mean-field picture"."""

from math import comb

import numpy as np

from .answer import Attempt, checker, close, expect, reached, shaped


def on_sphere(n: int, d: int, rng: np.random.Generator) -> np.ndarray:
    """Return n random tokens on the unit sphere in d dimensions, shape (n, d)."""
    x = rng.normal(size=(n, d))
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def tangent(x: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Remove from each v_i its part along the unit vector x_i; arrays (token, feature)."""
    return v - (v * x).sum(1, keepdims=True) * x


@checker
def sa_velocity(attempt: Attempt, rng: np.random.Generator) -> None:
    """Check ``sa_velocity(x, beta)``: the velocity of every token on the sphere under softmax attention (SA).

    ``x`` is a numpy array of unit vectors of shape (token, feature), ``beta`` a float; returns a numpy array of the
    shape of ``x``.
    """
    x, beta = on_sphere(int(rng.integers(4, 9)), int(rng.integers(2, 6)), rng), rng.uniform(1, 4)
    weight = np.exp(beta * x @ x.T)
    found, pull = attempt(x, beta), weight @ x / weight.sum(1, keepdims=True)
    expect(np.shape(found) == x.shape, "return one velocity for every token: an array of the shape of x")
    expect(not close(found, pull), "this pulls the tokens off the sphere: subtract the part along x_i")
    expect(
        not close(found, tangent(x, weight @ x / len(x))),
        "this is USA: in SA the weights of each token sum to one",
    )
    expect(not close(found, tangent(x, weight @ x)), "the weights of each token must sum to one: divide by Z_i")
    expect(
        not close(found, tangent(x, weight / weight.sum(0) @ x)),
        "you normalize over the wrong index: the weights that token i gives to all tokens j must sum to one",
    )
    expect(
        not close(found, tangent(x, x.mean(0) + 0 * x)),
        "the attention is missing: the weights depend on the cosines",
    )
    others = weight - np.diag(np.diag(weight))
    expect(
        not close(found, tangent(x, others @ x / others.sum(1, keepdims=True))),
        "a token attends to itself, too: its own weight belongs in Z_i",
    )
    expect(
        close(found, tangent(x, pull)),
        "take the softmax over j of beta <x_i, x_j>, the weighted mean of the x_j, and then P_x y = y - <x, y> x",
    )


@checker
def hemisphere(attempt: Attempt, rng: np.random.Generator) -> None:
    """Check ``hemisphere(n, d)``: Wendel's probability that n uniform points on the sphere share a hemisphere.

    ``n`` and ``d``, the number of dimensions, are ints; returns a float.
    """
    few = [(int(d + rng.integers(1, 8)), int(d)) for d in rng.integers(2, 7, 4)]
    cases = [(3, 2), (4, 2), (6, 3), (9, 4), *few]

    def total(up_to: int, m: int) -> np.ndarray:
        return np.array([sum(comb(n - m, k) for k in range(d + up_to)) for n, d in cases], float)

    found, power = np.array([attempt(*case) for case in cases]), 2.0 ** np.array([n - 1 for n, _ in cases])
    expect((found <= 1).all(), "a probability is at most 1: only some of the 2^(n-1) sign patterns count")
    expect(not close(found, total(1, 1) / power), "the sum ends at k = d - 1")
    expect(not close(found, total(0, 0) / power / 2), "the binomial coefficients are those of n - 1")
    expect(
        close(found, total(0, 1) / power),
        "three points on a circle lie in a common half of it with probability 3/4, four with 1/2: does your function "
        "agree?",
    )
    reached(0.5)
    certain = [(5, 9), (4, 4), (1, 1), (1, 3), *((d, d) for _, d in few)]
    expect(
        close([attempt(*case) for case in certain], np.ones(len(certain))),
        "with no more points than dimensions, a common hemisphere is certain",
    )
    reached(0.75)
    expect(
        close([attempt(n, 1) for n in (2, 3, 6)], [1 / 2, 1 / 4, 1 / 32]),
        "right, but not for d = 1, where every point is +1 or -1 and all have to be alike",
    )


@checker
def cosine_speed(attempt: Attempt, rng: np.random.Generator) -> None:
    """Check ``cosine_speed(gamma, n, beta)``: d gamma / dt of n tokens that all have the cosine gamma, under SA.

    ``gamma`` and ``beta`` are floats, ``n`` is an int; returns a float.
    """
    random = [(rng.uniform(0, 0.9), int(rng.integers(3, 40)), rng.uniform(0.5, 4)) for _ in range(4)]
    cases = [(0.0, 2, 0.0), (1.0, 5, 1.0), (-0.2, 4, 2.0), *random]
    found = [shaped(attempt(*case)) for case in cases]
    gamma, n, beta = np.array(cases).T
    top, z = 2 * (1 - gamma) * ((n - 1) * gamma + 1), np.exp(beta * (1 - gamma)) + n - 1
    expect(not close(found, top / 2 / z), "both tokens of a pair move, so their cosine changes twice as fast")
    expect(
        not close(found, top * np.exp(beta * gamma) / n),
        "this is USA: in SA, divide by Z = e^beta + (n - 1) e^(beta gamma)",
    )
    expect(not close(found, top / n), "the attention is missing: this is the speed at beta = 0")
    expect(
        close(found, top / z),
        "d/dt <x_i, x_k> is 2 <v_i, x_k>: in the sum over j, treat j = i, j = k, and the n - 2 others separately",
    )
