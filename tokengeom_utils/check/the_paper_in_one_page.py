"""Checkers for the chapter "The paper in one page"."""

import numpy as np
import torch
from torch.nn.functional import normalize

from .answer import Attempt, checker, close, expect, reached, shaped


@checker
def relative_peak(attempt: Attempt, rng: np.random.Generator) -> None:
    """Check ``relative_peak(profile)``: the relative depth at which a profile over layers is highest.

    ``profile`` is a numpy array of shape (layer,); layer 0, the embeddings, is left out. Returns a float in (0, 1].
    """
    profiles = [rng.permutation(n) - shift for n, shift in zip(rng.integers(8, 30, 4), (0.5, 0, 40, -7), strict=True)]
    profiles = [np.append(np.max(p) + 1, p) for p in profiles] + [np.append(np.min(p) - 1, p) for p in profiles]
    n, peak = np.array([(len(p) - 1, 1 + np.argmax(p[1:])) for p in profiles]).T  # the layers, and the highest of them
    found, highest = [shaped(attempt(p)) for p in profiles], np.array([np.argmax(p) for p in profiles])
    expect(
        not close(found[:4], np.zeros(4)) and not close(found, highest / n),
        "leave out layer 0, the embeddings: look for the highest of the other layers",
    )
    expect(not close(found, peak), "this is the number of the layer: divide it by the number of layers")
    expect(not close(found, (peak - 1) / n), "once the embeddings are cut off, position 0 of the rest is layer 1")
    expect(not close(found, peak / (n + 1)), "the profile has one more entry than the model has layers: the embeddings")
    expect(
        close(found, peak / n),
        "five entries are layers 0 to 4; if layer 3 is the highest of layers 1 to 4, the answer is 3 / 4, even if all "
        "values are negative",
    )
    reached(0.5)
    expect(
        close(attempt(np.array([9.0, 1, 2, 3])), 1) and close(attempt(np.array([9.0, 3, 2, 1])), 1 / 3),
        "right inside the network, but wrong if the peak is at the first or at the last layer",
    )


@checker
def align(attempt: Attempt, rng: np.random.Generator) -> None:
    """Check ``align(cloud)``: a cloud with the same distances between its tokens and a mean cosine above 0.9.

    ``cloud`` is a torch tensor of shape (token, feature), which may be large; returns a torch tensor of the same shape.
    """
    size = 10.0 ** rng.integers(1, 5)
    cloud = torch.tensor(size * rng.normal(size=(30, rng.integers(3, 9))))
    found = torch.as_tensor(np.array(attempt(cloud)))
    expect(found.shape == cloud.shape, "return a cloud of the same tokens with the same number of features")
    before, after = torch.pdist(cloud).numpy(), torch.pdist(found).numpy()
    kept, ratio = close(after, before, 1e-4, 1e-4 * before.mean()), after / before
    expect(
        kept or not ratio.mean() or not close(ratio, np.full(len(ratio), ratio.mean()), 1e-4),
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
        f"the distances are right, but the mean cosine is {cosine:.2f} for a cloud of size {size:g}: seen from the "
        "origin, the cloud must be small and far away",
    )
