"""Checkers for the chapter "Lasting groups"."""

import numpy as np

from .answer import Attempt, checker, close, expect, shaped


@checker
def fastest_wave(attempt: Attempt, rng: np.random.Generator) -> None:
    """Check ``fastest_wave(beta)``: the number of crests of the wave on the circle that grows fastest.

    ``beta`` is a float up to a few hundred; returns an int, at least 1.
    """
    from scipy.special import iv

    k = np.arange(1, 100)
    # The limit round(sqrt(2 beta)) is wrong at the values with a decimal.
    betas = np.array([0.2, 1.1, 4, 6.2, 9, 10.2, 15.2, 21.2, 28.2, 250, *rng.uniform(2, 150, 4).round(2)])
    found = [shaped(attempt(float(beta))) for beta in betas]
    rates = k**2 * iv(k, betas[:, None])
    wanted = k[np.argmax(rates, 1)]
    expect(not close(found, wanted - 1), "the waves are counted from k = 1, the positions in an array from 0")
    expect(not close(found, np.ones(len(betas))), "I_k alone is largest at k = 1: the factor k^2 is missing")
    expect(
        not close(found, k[np.argmax(k * iv(k, betas[:, None]), 1)]),
        "k enters twice, once in the velocity and once in its divergence: the rate is k^2 I_k",
    )
    limit = np.sqrt(2 * betas)
    expect(
        not any(
            close(found, near) or close(found, np.maximum(1, near))
            for near in (limit, np.round(limit), np.floor(limit), np.ceil(limit))
        ),
        "the root of 2 beta is the limit for large beta, and no whole number: compare the rates themselves",
    )
    expect(
        not close(np.array(found)[betas < 30], wanted[betas < 30]) or close(found, wanted),
        "right for small beta, but you do not try enough k: the number of crests grows like the root of 2 beta",
        share=0.5,
    )
    expect(close(found, wanted), "compute k^2 I_k(beta) for k = 1, 2, 3, ... and return the k of the largest value")
