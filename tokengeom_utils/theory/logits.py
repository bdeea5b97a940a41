r"""From many possible next tokens to an entropy: two models of the logits whose entropy is known.

Both models draw the logits of ``n`` tokens independently from one law, :math:`z_v \sim q`, and consider the entropy of
:math:`p = \mathrm{softmax}(z)`. For many tokens sums over tokens become expectations under q, and the entropy tends to

.. math:: S = \ln n - \mathrm{KL}(\tilde q \,\|\, q), \qquad \tilde q(z) \propto e^z q(z) .

A uniform law on an interval of width L is the *box model*. Logarithms of exponential variables give the uniform
distribution over all probability vectors, the *flat Dirichlet model*, whose mean entropy is known for every n.

>>> import numpy as np, tokengeom_utils as tg
>>> rng = np.random.default_rng(0)
>>> box = tg.logits.softmax_entropy(rng.uniform(0, 5, (500, 1000))).mean()
>>> bool(abs(box - tg.logits.box_entropy(1000, 5)) < 0.01)
True
>>> flat = tg.logits.softmax_entropy(np.log(rng.exponential(size=(20000, 7)))).mean()
>>> bool(abs(flat - tg.logits.dirichlet_entropy(7)) < 0.01)
True
"""

import numpy as np
from numpy.typing import ArrayLike


def softmax_entropy(logits: ArrayLike) -> np.ndarray:
    r"""Compute the entropy of softmax(logits) over the last axis.

    .. math:: S = -\sum_v p_v \ln p_v , \qquad p_v = \frac{e^{z_v}}{\sum_w e^{z_w}}

    Parameters
    ----------
    logits : array_like, shape (..., token)

    Returns
    -------
    numpy.ndarray, shape (...), float64, nats, between 0 and the logarithm of the number of tokens

    See Also
    --------
    box_entropy, dirichlet_entropy : its value for random logits.

    Notes
    -----
    Introduced in the chapter *From geometry to loss*.

    Examples
    --------
    >>> import tokengeom_utils as tg
    >>> tg.logits.softmax_entropy([[1, 1], [0, 1000]]).round(3).tolist()  # ln 2, and certainty
    [0.693, 0.0]
    """
    z = np.asarray(logits, float)
    z = z - z.max(-1, keepdims=True)
    weight = np.exp(z)
    total = weight.sum(-1)
    return np.log(total) - (weight * z).sum(-1) / total


def dirichlet_entropy(n: ArrayLike) -> np.ndarray:
    r"""Compute the mean entropy of a uniformly random probability vector of ``n`` entries (flat Dirichlet model).

    .. math:: \langle S \rangle = \psi(n + 1) - \psi(2)

    with the digamma function :math:`\psi`. It tends to :math:`\ln n + \gamma - 1`, with Euler's constant
    :math:`\gamma`. The vectors have n - 1 dimensions, since their entries sum to one.

    Parameters
    ----------
    n : array_like, shape (...)
        Number of entries; a fractional number interpolates.

    Returns
    -------
    numpy.ndarray, shape (...), float64, nats

    See Also
    --------
    box_entropy : the other model.
    softmax_entropy : the entropy of given logits.

    Notes
    -----
    Introduced in the chapter *From geometry to loss*.

    Examples
    --------
    >>> import tokengeom_utils as tg
    >>> tg.logits.dirichlet_entropy([1, 2, 100]).round(3).tolist()
    [0.0, 0.5, 4.187]
    """
    from scipy.special import digamma

    return digamma(np.asarray(n, float) + 1) - digamma(2)


def box_deficit(width: ArrayLike) -> np.ndarray:
    r"""Compute the amount by which the entropy of the box model falls short of ln n.

    With L the width, it is the divergence of the tilted law from the uniform one,

    .. math:: \mathrm{KL}(\tilde q \,\|\, q) = \frac{L e^L}{e^L - 1} - 1 - \ln \frac{e^L - 1}{L} ,

    which increases with L: zero at L = 0, close to :math:`L^2 / 24` for small and to :math:`\ln L - 1` for large L.

    Parameters
    ----------
    width : array_like, shape (...)
        Difference of the largest and the smallest possible logit; positive or zero.

    Returns
    -------
    numpy.ndarray, shape (...), float64, nats

    See Also
    --------
    box_entropy : the entropy itself.

    Notes
    -----
    Introduced in the chapter *From geometry to loss*.

    Examples
    --------
    >>> import tokengeom_utils as tg
    >>> tg.logits.box_deficit([0, 0.1, 5, 1000]).round(6).tolist()
    [0.0, 0.000417, 0.650117, 5.907755]
    """
    L = np.asarray(width, float)
    few = np.minimum(L, 0.05)  # here the terms of the closed form cancel: use the series
    large = np.maximum(L, 0.05)
    share = -np.expm1(-large)  # 1 - e^-L
    # ln((e^L - 1) / L) = L + ln((1 - e^-L) / L), written so that e^L never appears
    return np.where(L < 0.05, few**2 / 24 - few**4 / 960, large / share - 1 - large - np.log(share / large))


def box_entropy(n: ArrayLike, width: ArrayLike) -> np.ndarray:
    r"""Compute the entropy of softmax logits drawn uniformly from [0, width], for many tokens (box model).

    .. math:: S = \ln n + \ln \frac{e^L - 1}{L} - \Big( \frac{L e^L}{e^L - 1} - 1 \Big)

    With few tokens the mean over draws differs by about the inverse of the effective number of tokens.

    Parameters
    ----------
    n : array_like
        Number of tokens; broadcasts with ``width``.
    width : array_like
        Width L of the box: the difference of the largest and the smallest possible logit.

    Returns
    -------
    numpy.ndarray, of the broadcast shape, float64, nats

    See Also
    --------
    box_deficit : the difference from ln n.
    dirichlet_entropy : the other model.

    Notes
    -----
    Introduced in the chapter *From geometry to loss*.

    Examples
    --------
    >>> import tokengeom_utils as tg
    >>> tg.logits.box_entropy(1000, [0, 5]).round(3).tolist()  # ln 1000 = 6.908
    [6.908, 6.258]
    """
    return np.log(n) - box_deficit(width)
