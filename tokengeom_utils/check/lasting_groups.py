"""Checkers for the chapter "Lasting groups"."""

import numpy as np

from .answer import Attempt, checker, close, expect


@checker
def fastest_wave(attempt: Attempt) -> None:
    """Check ``fastest_wave(beta)``: the number of crests of the wave on the circle that grows fastest.

    ``beta`` is a float; returns an int, at least 1.
    """
    from scipy.special import iv

    betas = [0.5, 1.0, 4.0, 5.0, 9.0, 25.0]
    found, k = [attempt(beta) for beta in betas], np.arange(1, 30)
    wanted = np.array([k[np.argmax(k**2 * iv(k, beta))] for beta in betas])
    expect(not close(found, wanted - 1), "the waves are counted from k = 1, the positions in an array from 0")
    expect(not close(found, np.ones(6)), "I_k alone is largest at k = 1: the factor k^2 is missing")
    expect(
        not close(found, [k[np.argmax(k * iv(k, beta))] for beta in betas]),
        "k enters twice, once in the velocity and once in its divergence: the rate is k^2 I_k",
    )
    expect(close(found, wanted), "compute k^2 I_k(beta) for k = 1, 2, 3, ... and return the k of the largest value")
