"""Checkers for the chapter "The untrained twin: what does learning add?"."""

import numpy as np

from ..theory import statistics
from .answer import Attempt, checker, close, expect, shaped


@checker
def untrained_loss(attempt: Attempt, rng: np.random.Generator) -> None:
    """Check ``untrained_loss(n_vocabulary, n_features, weight_std)``: loss and entropy of an untrained model.

    Two ints and the standard deviation of the initial weights, a float; returns two floats, the loss and the entropy in
    nats.
    """
    v, d, std = int(rng.integers(500, 50_000)), int(rng.integers(50, 5000)), rng.uniform(0.02, 0.05)
    found, variance = attempt(v, d, std), d * std**2
    expect(np.shape(found) == (2,), "return two numbers, the loss and the entropy")

    def around(half: float) -> np.ndarray:
        return np.log(v) + np.array([half, -half])

    expect(
        not close(found, around(0)),
        "these are the values for a network whose logits are all equal: random logits make some tokens likely for no "
        "reason, which raises the loss and lowers the entropy",
    )
    expect(not close(found, around(-variance / 2)), "check the signs: the loss is above log V, the entropy below it")
    expect(
        not any(close(found, around(variance / 2) / np.log(base)) for base in (2, 10)),
        "this is in bits or in another unit: the book uses natural logarithms",
    )
    expect(not close(found, around(variance)), "the loss and the entropy differ by the variance, so each by half of it")
    expect(
        not any(close(found, around(half)) for half in (d**0.5 * std / 2, d * std / 2, std**2 / 2)),
        "the variance of a logit is the number of features times the square of the standard deviation",
    )
    expect(
        close(found, around(variance / 2)),
        "the two are log V plus and log V minus half the variance of a logit, in nats",
    )


@checker
def causal_mean(attempt: Attempt, rng: np.random.Generator) -> None:
    """Check ``causal_mean(values)``: the mean of each row and all rows before it.

    ``values`` is a numpy array of shape (token, feature); returns a numpy array of the same shape.
    """
    n, d = int(rng.integers(5, 10)), int(rng.integers(2, 5))
    values = rng.normal(size=(n, d))
    found, wanted = shaped(attempt(values), n, d), np.array([values[: i + 1].mean(0) for i in range(n)])
    sums = np.cumsum(values, 0)
    expect(not close(found, sums), "this is the sum: divide each row by the number of rows up to it")
    expect(not close(found, sums / n), "the first row averages over one row, not over all")
    expect(not close(found, np.tile(values.mean(0), (n, 1))), "a causal mean does not include the rows that follow")
    expect(
        not close(found, np.cumsum(values[::-1], 0)[::-1] / np.arange(n, 0, -1)[:, None]),
        "these are the rows that follow",
    )
    expect(not close(found[1:], wanted[:-1]), "each row is included in its own mean")
    expect(
        close(found, wanted) and close(attempt(values[:1]), values[:1]),
        "divide np.cumsum over the tokens by 1, 2, 3, ...; the mean of a single row is that row",
    )


@checker
def twin_held_fixed(attempt: Attempt, rng: np.random.Generator) -> None:
    """Check ``twin_held_fixed(own, twin, loss)``: the correlation of dimension and loss with the twin held fixed.

    ``own`` and ``twin``, the dimensions in a model and in its twin, are numpy arrays of shape (layer, prompt), ``loss``
    has shape (prompt,); returns a numpy array of shape (layer,).
    """
    pearson, partial = statistics.pearson, statistics.partial_correlation
    layers, prompts = int(rng.integers(3, 6)), int(rng.integers(15, 25))
    own, twin = rng.normal(size=(2, layers, prompts))
    loss = rng.normal(size=prompts)
    twin, own, loss = twin + 0.5 * loss, own + 0.8 * twin + (-1) ** np.arange(layers)[:, None] * loss + 9, loss + 3
    xy, cy, xc = pearson(own, loss), pearson(twin, loss), pearson(own, twin)
    top, wanted = xy - xc * cy, np.array([partial(x, loss, c) for x, c in zip(own, twin, strict=True)])
    found = attempt(own, twin, loss)
    expect(np.shape(found) == (layers,), "return one number for each layer")
    expect(not close(found, xy), "this is the plain correlation: nothing is held fixed")
    expect(
        not close(found, pearson(own - twin, loss)),
        "a difference takes out the twin with a slope of one, which need not be the best: use the formula",
    )
    expect(not close(found, top), "this is the numerator: divide it by the root of (1 - r_xc^2)(1 - r_yc^2)")
    expect(
        not close(found, top / ((1 - xc**2) * (1 - cy**2))),
        "the square root is missing in the denominator",
    )
    expect(
        not close(found, top / np.sqrt(1 - xc**2)) and not close(found, top / np.sqrt(1 - cy**2)),
        "the twin is taken out of the dimension and out of the loss: both contribute a factor under the root",
    )
    expect(
        not any(close(found, partial(own, loss, c)) for c in (*twin, twin.mean(0))),
        "you hold the same control fixed in all layers: each layer has its own",
    )
    expect(
        close(found, wanted) and close(attempt(own[:1], twin[:1], loss), wanted[:1]),
        "for each layer, take three correlations, those of dimension and loss, twin and loss, and dimension and twin; "
        "then use the formula for one control",
    )
