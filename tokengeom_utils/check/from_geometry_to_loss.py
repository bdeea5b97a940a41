"""Checkers for the chapter "From geometry to loss"."""

import numpy as np
import torch

from ..theory import logits
from .answer import Attempt, checker, close, expect


@checker
def logit_factor(attempt: Attempt) -> None:
    """Check ``logit_factor(weight)``: a small matrix R with the lengths of a large one, ``|R u| = |W u|``.

    ``weight`` is a tensor of shape (vocabulary, feature); returns a tensor of shape (feature, feature).
    """
    weight = torch.tensor(np.random.default_rng(9).normal(size=(40, 5)))
    found, wanted = torch.as_tensor(attempt(weight), dtype=torch.float64), weight.T @ weight
    expect(
        found.shape != weight.shape,
        "this is the factor with the orthonormal columns, or the weight itself: it still has one row for every "
        "token of the vocabulary",
    )
    expect(
        found.shape == (5, 5),
        "the factor must have as many rows and columns as a hidden state has features",
    )
    expect(not close(found, wanted), "this is W'W, which gives the squares of the lengths: take a root of it")
    expect(
        not close(found @ found.T, wanted) or close(found.T @ found, wanted),
        "your R has R R' = W'W, but lengths need R'R = W'W: transpose it",
    )
    expect(close(found.T @ found, wanted), "|R u| = |W u| for all u means R'R = W'W: see torch.linalg.qr")


@checker
def dirichlet_entropy_of(attempt: Attempt) -> None:
    """Check ``dirichlet_entropy_of(d)``: the mean entropy in nats of a cloud of dimension d that fills the simplex.

    ``d`` is a float or an array of any shape; returns a float or an array of that shape.
    """
    d = np.array([0.0, 1, 6.5, 20])
    found, wanted = attempt(d), logits.dirichlet_entropy(d + 1)
    expect(
        not close(found, logits.dirichlet_entropy(d)),
        "this is for d entries: vectors of n entries that sum to one have n - 1 dimensions",
    )
    expect(
        not close(found, np.log(d + 1) + np.euler_gamma - 1),
        "this is the limit for many entries: use the digamma function",
    )
    expect(not close(found, wanted / np.log(2)), "this is in bits: the book uses natural logarithms")
    expect(close(found, wanted), "psi(n + 1) - psi(2) with n entries: what is n for a cloud of dimension d?")


@checker
def box_entropy(attempt: Attempt) -> None:
    """Check ``box_entropy(n, L)``: the entropy in nats of many logits spread evenly over an interval, also a wide one.

    ``n`` is the number of tokens, an int, ``L`` > 0 the width of the interval, a float; returns a float.
    """
    with np.errstate(all="ignore"):
        found, far = attempt(50, 5.0), attempt(50, 1000.0)
    wanted, deficit = logits.box_entropy(50, 5.0), logits.box_deficit(5.0)
    expect(not close(found, -deficit), "the logarithm of the number of tokens is missing")
    expect(not close(found, np.log(50) + deficit), "check the sign of the deficit: a box has less entropy than ln n")
    expect(
        not close(found, wanted - 1),
        "the last bracket contains a minus one and is itself subtracted, so the one is added",
    )
    expect(close(found, wanted), "the entropy is ln n + ln((e^L - 1) / L) - (L e^L / (e^L - 1) - 1)")
    expect(
        np.isfinite(far),
        "right for L = 5, but e^1000 is too large for a number: take e^L out of every fraction, so that only e^-L is "
        "left",
    )
    expect(
        close(far, logits.box_entropy(50, 1000.0)),
        "right for L = 5, but wrong for L = 1000: what is ln(e^L - 1) for large L?",
    )
