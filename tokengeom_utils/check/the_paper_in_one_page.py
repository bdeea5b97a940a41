"""Checkers for the chapter "The paper in one page"."""

import numpy as np
import torch
from torch.nn.functional import normalize

from .answer import Attempt, checker, close, expect


@checker
def relative_peak(attempt: Attempt) -> None:
    """Check ``relative_peak(profile)``: the relative depth at which a profile over layers is highest.

    ``profile`` is an array of shape (layer,); layer 0, the embeddings, is left out. Returns a float in (0, 1].
    """
    found = attempt(np.array([9.0, 1.0, 4.0, 6.0, 5.0]))  # layers 0 to 4
    expect(not close(found, 0), "leave out layer 0, the embeddings: look for the highest of the other layers")
    expect(not close(found, 3), "this is the number of the layer: divide it by the number of layers")
    expect(not close(found, 2 / 4), "once the embeddings are cut off, position 0 of the rest is layer 1")
    expect(not close(found, 3 / 5), "the profile has one more entry than the model has layers: the embeddings")
    expect(
        close(found, 3 / 4) and close(attempt(np.array([9.0, 1, 2, 3])), 1),
        "five entries are layers 0 to 4; if layer 3 is the highest of layers 1 to 4, the answer is 3 / 4",
    )


@checker
def align(attempt: Attempt) -> None:
    """Check ``align(cloud)``: a cloud with the same distances between its tokens and a mean cosine above 0.9.

    ``cloud`` is a tensor of shape (token, feature); returns a tensor of the same shape.
    """
    cloud = torch.tensor(np.random.default_rng(8).normal(size=(30, 4)))
    found = torch.as_tensor(attempt(cloud.clone()))
    expect(found.shape == cloud.shape, "return a cloud of the same tokens with the same number of features")
    ratio = torch.pdist(found.to(cloud)) / torch.pdist(cloud)
    kept = close(ratio, np.ones(len(ratio)), 1e-4)
    expect(
        kept or not close(ratio, np.full(len(ratio), ratio.mean()), 1e-4),
        "you changed all distances by the same factor: that changes neither the dimension nor any direction",
    )
    expect(
        kept,
        "you changed the distances between the tokens, from which the dimension is read: what moves every token but "
        "keeps all distances?",
    )
    u = normalize(found, dim=1)
    cosine = (u @ u.T).mean().item()
    expect(
        cosine > 0.9,
        f"the distances are right, but the mean cosine is {cosine:.2f}: seen from the origin, the cloud must be small "
        "and far away",
    )
