"""What a model says about the next token: entropy, and how much of it the likeliest tokens carry.

>>> import math, torch
>>> from tokengeom_utils.models.predictions import Predictions
>>> flat = Predictions()
>>> flat.update(torch.full((3, 100), -math.log(100)))  # three positions, a hundred tokens equally likely
>>> entropy, mass = flat.compute()["entropy"].item(), flat.compute()["top_mass"].item()
>>> abs(entropy - math.log(100)) < 1e-5, abs(mass - 0.07) < 1e-6
(True, True)
"""

import torch

TOP = 7  #: the likeliest tokens that are looked at: the paper's mean number of dimensions of the logits


def _largest(a, k, width=64):
    """The k largest entries of each row, descending. They lie in those k runs of columns whose maxima are largest."""
    whole = a.shape[-1] // width
    if whole <= k:
        return a.topk(k).values
    runs = a[:, : whole * width].unflatten(-1, (whole, width))
    best = runs.amax(-1).topk(k).indices
    few = runs.gather(1, best[..., None].expand(-1, -1, width)).flatten(1)
    return torch.cat([few, a[:, whole * width :]], -1).topk(k).values


class Predictions:
    """Gathers what the probabilities say, a chunk of positions at a time."""

    def __init__(self):
        self._seen = []

    def update(self, log_p):
        r"""Look at the next positions.

        The entropy is :math:`S = -\sum_\alpha p_\alpha \ln p_\alpha` with :math:`p = \mathrm{softmax}(z)` of the logits;
        for the :data:`TOP` likeliest tokens ``top_mass`` is their part of :math:`\sum_\alpha p_\alpha = 1`, ``top_entropy``
        their part of :math:`S`, and ``top_width`` the difference of the largest and the smallest of their logits.

        Parameters
        ----------
        log_p : torch.Tensor, shape (position, vocabulary), float32
            Logarithms of the probabilities.
        """
        entropy = -torch.linalg.vecdot(log_p.exp(), log_p).double()
        top = _largest(log_p, min(TOP, log_p.shape[-1])).double()
        p = top.exp()
        self._seen.append(torch.stack([entropy, p.sum(-1), -(p * top).sum(-1), top[:, 0] - top[:, -1]]))

    def each(self):
        """What was seen, as a dict of tensors (position,), float64: entropy in nats, top_mass, top_entropy, top_width."""
        return dict(zip(("entropy", "top_mass", "top_entropy", "top_width"), torch.cat(self._seen, -1)))

    def compute(self, n_prompts=1):
        """The mean over positions, of each prompt if several were seen one after the other: tensors (), or (prompt,)."""
        means = {name: value.reshape(n_prompts, -1).mean(-1) for name, value in self.each().items()}
        return means if n_prompts > 1 else {name: value[0] for name, value in means.items()}
