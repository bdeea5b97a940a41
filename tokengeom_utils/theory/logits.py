r"""From many possible next tokens to an entropy: two models of the logits whose answer is known.

Both draw the logits of ``n`` tokens independently from one law, :math:`z_v \sim q`, and look at the entropy of
:math:`p = \mathrm{softmax}(z)`. For many tokens it tends to

.. math:: S = \ln n - \mathrm{KL}(\tilde q \,\|\, q), \qquad \tilde q(z) \propto e^z q(z),

because sums over tokens become expectations under q. A uniform law on an interval of width L is the *box model*;
logarithms of exponential variables give a distribution that is even over all probability vectors, the *flat Dirichlet
model*, and there the mean is known for every n.

>>> import numpy as np
>>> rng = np.random.default_rng(0)
>>> box = softmax_entropy(rng.uniform(0, 5, (500, 1000))).mean()
>>> bool(abs(box - box_entropy(1000, 5)) < 0.01)
True
>>> flat = softmax_entropy(np.log(rng.exponential(size=(20000, 7)))).mean()
>>> bool(abs(flat - dirichlet_entropy(7)) < 0.01)
True
"""

import numpy as np


def softmax_entropy(logits):
    """Entropy in nats of softmax(logits) over the last axis.

    Parameters
    ----------
    logits : array_like, shape (..., token)

    Returns
    -------
    numpy.ndarray, shape (...)
    """
    z = np.asarray(logits, float)
    z = z - z.max(-1, keepdims=True)
    weight = np.exp(z)
    total = weight.sum(-1)
    return np.log(total) - (weight * z).sum(-1) / total


def dirichlet_entropy(n):
    r"""Mean entropy of a probability vector drawn evenly from all those of ``n`` entries (a flat Dirichlet law).

    :math:`\langle S \rangle = \psi(n + 1) - \psi(2)` with the digamma function, which tends to
    :math:`\ln n + \gamma - 1`. The vectors have n - 1 dimensions, since their entries sum to one.

    Parameters
    ----------
    n : array_like, shape (...)
        Number of entries; a fractional one interpolates.

    Returns
    -------
    numpy.ndarray, shape (...), nats

    Examples
    --------
    >>> dirichlet_entropy([1, 2, 100]).round(3).tolist()
    [0.0, 0.5, 4.187]
    """
    from scipy.special import digamma

    return digamma(np.asarray(n, float) + 1) - digamma(2)


def box_deficit(width):
    r"""By how much the entropy of the box model falls short of ln n: KL of the tilted law to the uniform one.

    With L the width, :math:`L e^L / (e^L - 1) - 1 - \ln((e^L - 1) / L)`: zero at L = 0, close to
    :math:`L^2 / 24` for small and to :math:`\ln L - 1` for large L, and increasing.

    Parameters
    ----------
    width : array_like, shape (...)
        Largest minus smallest possible logit; positive or zero.

    Returns
    -------
    numpy.ndarray, shape (...), nats

    Examples
    --------
    >>> box_deficit([0, 0.1, 5, 1000]).round(6).tolist()
    [0.0, 0.000417, 0.650117, 5.907755]
    """
    L = np.asarray(width, float)
    few = np.minimum(L, 0.05)  # the terms below cancel there: take the series
    large = np.maximum(L, 0.05)
    share = -np.expm1(-large)  # 1 - e^-L
    # ln((e^L - 1) / L) = L + ln((1 - e^-L) / L), written so that e^L never appears
    return np.where(L < 0.05, few**2 / 24 - few**4 / 960, large / share - 1 - large - np.log(share / large))


def box_entropy(n, width):
    r"""Entropy of softmax logits drawn evenly from [0, width], for many tokens.

    :math:`\ln n + \ln((e^L - 1) / L) - (L e^L / (e^L - 1) - 1)`; see :func:`box_deficit`. The mean over draws of few
    tokens differs by about (the effective number of tokens)^-1.

    Parameters
    ----------
    n, width : array_like, broadcast
        Number of tokens and width of the box.

    Returns
    -------
    numpy.ndarray, nats
    """
    return np.log(n) - box_deficit(width)
