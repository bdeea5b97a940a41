"""Checkers for the chapter "From geometry to loss"."""

import numpy as np
import torch

from ..theory import logits
from .answer import Attempt, checker, close, expect, reached, shaped


@checker
def logit_factor(attempt: Attempt, rng: np.random.Generator) -> None:
    """Check ``logit_factor(weight)``: a small matrix R with the lengths of a large one, ``|R u| = |W u|``.

    ``weight`` is a torch tensor of shape (vocabulary, feature); returns a torch tensor of shape (feature, feature).
    """
    v, d = int(rng.integers(30, 50)), int(rng.integers(4, 8))
    weight = rng.normal(size=(v, d)) @ rng.normal(size=(d, d))
    found, wanted = attempt(torch.tensor(weight)), weight.T @ weight
    expect(
        np.shape(found) != (v, d),
        "this is the factor with the orthonormal columns, or the weight itself: it still has one row for every "
        "token of the vocabulary",
    )
    expect(np.shape(found) == (d, d), "the factor must have as many rows and columns as a hidden state has features")

    def same(left: np.ndarray, right: np.ndarray) -> bool:
        return close(left, right, 1e-5, 1e-5 * np.abs(wanted).max())

    expect(not same(found, wanted), "this is W'W, which gives the squares of the lengths: take a root of it")
    expect(
        not same(found @ found.T, wanted) or same(found.T @ found, wanted),
        "your R has R R' = W'W, but lengths need R'R = W'W: transpose it",
    )
    values, product = np.linalg.eigvalsh(wanted), found.T @ found
    expect(
        same(product, wanted) or not close(np.linalg.eigvalsh(product), values, 1e-4, 1e-5 * values.max()),
        "the stretches are right, but not their directions: the right singular vectors are missing",
    )
    expect(same(product, wanted), "|R u| = |W u| for all u means R'R = W'W: see torch.linalg.qr")


@checker
def dirichlet_entropy_of(attempt: Attempt, rng: np.random.Generator) -> None:
    """Check ``dirichlet_entropy_of(d)``: the mean entropy in nats of a cloud of dimension d that fills the simplex.

    ``d`` is a float or a numpy array of any shape; returns a float or a numpy array of that shape.
    """
    d = np.append([0.0, 1.0], rng.uniform(0, 40, 6))
    found, wanted = shaped(attempt(d), len(d)), logits.dirichlet_entropy(d + 1)
    with np.errstate(all="ignore"):
        mistaken = logits.dirichlet_entropy(d[1:]), logits.dirichlet_entropy(d + 2)
    expect(
        not close(found[1:], mistaken[0]) and not close(found, mistaken[1]),
        "this is for another number of entries: vectors of n entries that sum to one have n - 1 dimensions",
    )
    expect(
        not close(found, np.log(d + 1) + np.euler_gamma - 1),
        "this is the limit for many entries: use the digamma function",
    )
    expect(not close(found, np.log(d + 1)), "this is the entropy of equal probabilities, the largest one, not the mean")
    expect(not close(found, wanted / np.log(2)), "this is in bits: the book uses natural logarithms")
    expect(close(found, wanted), "psi(n + 1) - psi(2) with n entries: what is n for a cloud of dimension d?")
    reached(0.5)
    grid, one = d[:6].reshape(2, 3), float(d[3])
    expect(
        close(attempt(grid), wanted[:6].reshape(2, 3)) and close(attempt(one), wanted[3]),
        "right for an array of shape (n,), but a single number gives a number, and any other array one of its shape",
    )


@checker
def box_entropy(attempt: Attempt, rng: np.random.Generator) -> None:
    """Check ``box_entropy(n, L)``: the entropy in nats of many logits spread evenly over an interval, also a wide one.

    ``n`` is the number of tokens, an int, ``L`` > 0 the width of the interval, a float; returns a float.
    """
    n, L = int(rng.integers(20, 50_000)), rng.uniform(3, 8)
    with np.errstate(all="ignore"):
        found = shaped(attempt(n, L))
    wanted, deficit = logits.box_entropy(n, L), logits.box_deficit(L)
    expect(not close(found, -deficit), "the logarithm of the number of tokens is missing")
    expect(not close(found, np.log(n) + deficit), "check the sign of the deficit: a box has less entropy than ln n")
    expect(
        not close(found, wanted - 1) and not close(found, wanted - 2),
        "the last bracket contains a minus one and is itself subtracted, so the one is added",
    )
    expect(not close(found, wanted / np.log(2)), "this is in bits: the book uses natural logarithms")
    expect(
        not close(found, np.log(n) - L**2 / 24),
        "this is the limit for a narrow box: use the whole formula",
    )
    expect(
        not close(found, np.log(n) - np.log(L) + 1),
        "this is the limit for a wide box: use the whole formula",
    )
    expect(close(found, wanted), "the entropy is ln n + ln((e^L - 1) / L) - (L e^L / (e^L - 1) - 1)")
    reached(0.5)
    with np.errstate(all="ignore"):
        far, beyond = shaped(attempt(n, 1000.0)), attempt(n, 10_000.0)
        between = [attempt(n, width) for width in (0.3, 1.0, 11.0, 20.0, 60.0, 700.0)]
    expect(
        np.isfinite(far),
        "right for small L, but e^1000 is too large for a number: take e^L out of every fraction, so that only e^-L is "
        "left",
    )
    expect(
        close(far, logits.box_entropy(n, 1000.0)) and close(beyond, logits.box_entropy(n, 10_000.0)),
        "right for small L, but wrong for L = 1000: what is ln(e^L - 1) for large L?",
    )
    reached(0.75)
    expect(
        close(between, [logits.box_entropy(n, width) for width in (0.3, 1.0, 11.0, 20.0, 60.0, 700.0)]),
        "right for some widths, but not for those between 0.3 and 700: switch to no limit before it is exact",
    )
