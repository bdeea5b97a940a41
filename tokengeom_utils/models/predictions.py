"""Summaries of the next-token distribution: its entropy, and the share of the likeliest tokens.

>>> import math, torch, tokengeom_utils as tg
>>> flat = tg.Predictions()
>>> flat.update(torch.full((3, 100), -math.log(100)))  # three positions, a hundred equally likely tokens
>>> entropy, mass = flat.compute()["entropy"].item(), flat.compute()["top_mass"].item()
>>> abs(entropy - math.log(100)) < 1e-5, abs(mass - 0.07) < 1e-6
(True, True)
"""

import torch

from ..schema import TOP
from .sums import fold, mean

_NAMES = ("entropy", "top_mass", "top_entropy", "top_width")


def _largest(a, k, width=64):
    """The k largest entries of each row, in descending order.

    They lie in the k runs of columns with the largest maxima, so only those runs are sorted.
    """
    whole = a.shape[-1] // width
    if whole <= k:
        return a.topk(k).values
    runs = a[:, : whole * width].unflatten(-1, (whole, width))
    best = runs.amax(-1).topk(k).indices
    few = runs.gather(1, best[..., None].expand(-1, -1, width)).flatten(1)
    return torch.cat([few, a[:, whole * width :]], -1).topk(k).values


class Predictions:
    r"""Summaries of next-token distributions, gathered a chunk of positions at a time.

    With :math:`p = \mathrm{softmax}(z)` of the logits :math:`z` at one position, and sums over the :data:`TOP`
    likeliest tokens written :math:`\sum_{\mathrm{top}}`, the summaries are

    .. math::

        \begin{aligned}
        \mathtt{entropy} &= -\sum_\alpha p_\alpha \ln p_\alpha, &
        \mathtt{top\_entropy} &= -\sum_{\mathrm{top}} p_\alpha \ln p_\alpha, \\
        \mathtt{top\_mass} &= \sum_{\mathrm{top}} p_\alpha, &
        \mathtt{top\_width} &= \max_{\mathrm{top}} z_\alpha - \min_{\mathrm{top}} z_\alpha .
        \end{aligned}

    Entropies are in nats; the vocabulary-sized input is not kept.

    See Also
    --------
    stream_clouds : hands out the log-probabilities; pass :meth:`update` as its ``on_log_p``.
    Observer : the same idea for the token clouds.

    Notes
    -----
    Introduced in the chapter *From geometry to loss*.

    References
    ----------
    Viswanathan et al., arXiv:2501.10573, on the entropy of the logits and its relation to the loss.

    Examples
    --------
    >>> import torch, tokengeom_utils as tg
    >>> predictions = tg.Predictions()
    >>> logits = torch.zeros(4, 14)  # four positions, fourteen equally likely tokens
    >>> predictions.update(logits.log_softmax(-1))
    >>> round(predictions.compute()["top_mass"].item(), 6)
    0.5
    """

    def __init__(self) -> None:
        self._entropy: list[torch.Tensor] = []
        self._top: list[torch.Tensor] = []

    def update(self, log_p: torch.Tensor) -> None:
        """Summarize the next positions.

        Parameters
        ----------
        log_p : torch.Tensor, shape (position, vocabulary), float32
            Natural logarithms of the probabilities of the next token, on any device.
        """
        self._entropy.append(-torch.linalg.vecdot(log_p.exp(), log_p))
        self._top.append(_largest(log_p, min(TOP, log_p.shape[-1])))

    def each(self) -> dict[str, torch.Tensor]:
        """Return the summaries of every position.

        Returns
        -------
        dict of str to torch.Tensor, shape (position,), float64
            Keys ``entropy`` and ``top_entropy`` in nats, ``top_mass`` and ``top_width`` without a unit.
        """
        entropy, top = torch.cat(self._entropy).double(), torch.cat(self._top).double()
        p = top.exp()
        summaries = entropy, fold(p), -fold(p * top), top[:, 0] - top[:, -1]
        return dict(zip(_NAMES, summaries, strict=True))

    def compute(self, n_prompts: int = 1) -> dict[str, torch.Tensor]:
        """Return the mean of each summary over the positions.

        Parameters
        ----------
        n_prompts : int
            Number of prompts, all of the same length, whose positions came one prompt after the other.

        Returns
        -------
        dict of str to torch.Tensor, shape () for one prompt, (prompt,) for several, float64
            The keys of :meth:`each`.
        """
        means = mean(torch.stack(list(self.each().values())).unflatten(-1, (n_prompts, -1)))
        return dict(zip(_NAMES, means if n_prompts > 1 else means[:, 0], strict=True))
