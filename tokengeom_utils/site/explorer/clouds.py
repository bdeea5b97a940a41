"""The file of one cloud: all layers of one prompt at one degree of shuffling, as a script that hands over its data.

A page that is opened as a file may load scripts, but fetch nothing else. Arrays are base64 of little-endian 16-bit
integers, ``(layer, token, ...)`` in C order.
"""

import base64
import json
from collections import Counter

import numpy as np
import torch
from numpy.typing import ArrayLike

from ...clouds.dimension import local_dimension
from ...clouds.neighbors import nearest_neighbors
from ...models.language_model import LanguageModel
from .projection import Picture, neighbors_kept, project

K = 8  #: neighbors of each token that are stored
K_LOCAL = 20  #: neighbors that the dimension at a token is estimated from
RIM = 2.5  #: tokens farther out in a picture are drawn at this distance from its center
LOCAL_STEP, LOSS_STEP = 0.02, 0.001  #: of one unit of the stored integers
NONE = 65535  #: no value


class CloudFile:
    """Collects the layers of one prompt as they come out of a model, and writes them as a script.

    Examples
    --------
    >>> import tokengeom_utils as tg
    >>> model, file = tg.tiny_model(), CloudFile()
    >>> ids = model.tokenize("To be, or not to be, that is the question. " * 4)
    >>> loss = tg.stream_clouds(model, ids, file.update)
    >>> file.script("0-0", model, ids, loss, range(len(ids)))[:28]
    'tokengeomCloud("0-0", {"text'
    """

    def __init__(self) -> None:
        self._pictures: list[Picture] = []
        self._near: list[np.ndarray] = []
        self._local: list[np.ndarray] = []
        self._kept: list[float] = []

    def update(self, cloud: torch.Tensor) -> None:
        """Take the next layer.

        Parameters
        ----------
        cloud : torch.Tensor of shape (token, feature)
        """
        table = nearest_neighbors(cloud, min(K_LOCAL, len(cloud) - 1))
        near = table.indices[..., :K].cpu()
        picture = project(cloud, self._pictures[-1] if self._pictures else None)
        self._pictures.append(picture)
        self._near.append(near.numpy())
        self._local.append(local_dimension(table.distances, table.distances.shape[-1]).dimension.cpu().numpy())
        self._kept.append(neighbors_kept(picture.points, cloud, table, min(K, len(near[0]))))

    def script(
        self, name: str, model: LanguageModel, token_ids: ArrayLike, loss: torch.Tensor, origin: ArrayLike
    ) -> str:
        """Return the script.

        Parameters
        ----------
        name : str
            What the page calls this cloud.
        model : LanguageModel
        token_ids : array_like of int, shape (token,)
        loss : torch.Tensor of shape (token - 1,)
            In nats; the first token is not predicted.
        origin : array_like of int, shape (token,)
            The place of each token in the text in order.

        Returns
        -------
        str
        """
        ids, tokenizer = np.asarray(token_ids).tolist(), model.tokenizer
        times = Counter(ids)
        losses = np.concatenate([[np.nan], loss.double().cpu().numpy()])
        data = {
            "text": [tokenizer.decode([i]) if tokenizer else str(i) for i in ids],
            "times": [times[i] for i in ids],
            "origin": np.asarray(origin).tolist(),
            "loss": _packed(_steps(losses, LOSS_STEP)),
            "points": _packed(np.stack([_within_rim(picture.points) for picture in self._pictures]).astype("<i2")),
            "local": _packed(_steps(np.stack(self._local), LOCAL_STEP)),
            "near": _packed(np.stack(self._near).astype("<u2")),
            "rim": [
                {int(i): round(float(picture.distance[i]), 1) for i in np.flatnonzero(_radius(picture.points) > RIM)}
                for picture in self._pictures
            ],
            "left": [np.flatnonzero(picture.is_far).tolist() for picture in self._pictures],
            "share": [_rounded(picture.share) for picture in self._pictures],
            "kept": [_rounded(value) for value in self._kept],
        }
        return f"tokengeomCloud({json.dumps(name)}, {json.dumps(data, ensure_ascii=False, separators=(',', ': '))});\n"


def _radius(points):
    return np.linalg.norm(points, axis=1)


def _within_rim(points):
    """Points as integers, those outside the rim moved to it along their direction."""
    nearer = np.minimum(1, RIM / np.maximum(_radius(points), RIM))
    return np.rint(points * nearer[:, None] / RIM * 32767)


def _steps(values, step):
    """Values as multiples of a step; NaN and infinity become ``NONE``."""
    with np.errstate(invalid="ignore"):
        steps = np.minimum(np.rint(values / step), NONE - 1)
    return np.where(np.isfinite(values), steps, NONE).astype("<u2")


def _packed(array):
    return base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()


def _rounded(value):
    return None if np.isnan(value) else round(float(value), 4)
