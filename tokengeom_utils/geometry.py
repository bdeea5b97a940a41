"""Every observable of every layer's token cloud, in one pass over the pairs of each.

>>> import torch, tokengeom_utils as tg
>>> clouds = torch.randn(3, 200, 10, generator=torch.Generator().manual_seed(0))
>>> measured = tg.observables(clouds, scale_max=16, k_max=5)
>>> measured.intrinsic_dimension.sizes
Frozen({'layer': 3, 'scale': 4})
"""

import warnings
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import numpy as np
import torch

from .dimension import gride_from_radii
from .errors import InputError
from .layer import exact_layer
from .neighbors import as_clouds, can_screen
from .overlap import neighborhood_overlap
from .results import K_MAX, SCALE_MAX, VARIABLES, check_scales
from .threads import each

# Up to this many tokens a core measures a layer of its own; of more, the cores share one, to bound the memory.
SMALL = 2048


class Observer:
    """Measures the layers of a model one after the other, as the forward pass hands them out.

    Between two layers it keeps the first ``k_max`` neighbors of the last one, and of every layer the few
    distances that GRIDE takes.

    Parameters
    ----------
    scale_max : int
        Largest range scaling of the intrinsic dimension.
    k_max : int
        Largest number of neighbors of the overlap.

    Examples
    --------
    >>> import torch
    >>> observer = Observer(scale_max=4, k_max=3)
    >>> for layer in torch.randn(2, 30, 5, generator=torch.Generator().manual_seed(0)):
    ...     observer.see(layer)
    >>> observer.dataset().neighborhood_overlap.shape
    (2, 3)
    """

    def __init__(self, scale_max=SCALE_MAX, k_max=K_MAX):
        self.scale_max, self.k_max = scale_max, k_max
        self._ranks = 2 ** torch.arange(int(scale_max).bit_length())  # 1, 2, 4, ..., scale_max
        self._seen, self._radii, self._overlap, self._last = {}, [], [], None

    def see(self, cloud):
        """Measure the next layer.

        Parameters
        ----------
        cloud : array_like, shape (token, feature), or (prompt, token, feature) for several prompts at once

        Raises
        ------
        InputError
            If the cloud is not finite (names layer and token), or a scale or ``k_max`` exceeds N - 1.
        """
        self.keep(self.measure(cloud, len(self._radii)))

    def measure(self, cloud, place):
        """The :class:`~tokengeom_utils.layer.Layer` of the cloud of layer ``place``, which changes nothing here."""
        try:
            cloud = as_clouds(cloud, leading="prompt").detach()
            check_scales(cloud.shape[-2], self.scale_max, self.k_max)
            return _layer(cloud, self._ranks, self.k_max)
        except InputError as error:
            raise InputError(f"layer {place}: {error}") from None

    def keep(self, layer):
        """Take in what :meth:`measure` found in the next layer."""
        for name, value in {
            "duplicate_tokens": layer.is_duplicate.sum(-1),
            "tied_tokens": layer.is_tied.sum(-1),
            "cosine_similarity": layer.cosine.mean,
            "cosine_similarity_std": layer.cosine.std,
            "cosine_similarity_distinct": layer.cosine.mean_distinct,
            "neighbor_angle": layer.angle.nanmean(-1),
        }.items():
            self._seen.setdefault(name, []).append(value)
        self._radii.append(layer.radii)
        if self._last is not None:
            self._overlap.append(neighborhood_overlap(self._last, layer.indices))
        self._last = layer.indices

    def values(self):
        """What was seen, as a dict of tensors (layer, ...), or (prompt, layer, ...) for several prompts."""
        if self._last is None:
            raise InputError("no layer to measure")
        layer = self._last.ndim - 2  # the axis
        nothing = torch.full((*self._last.shape[:-2], self.k_max), torch.nan, dtype=torch.float64)
        overlap = [*self._overlap, nothing.to(self._last.device)]  # the last layer has no next one
        with warnings.catch_warnings():  # layer 0 of a repetitive prompt; duplicate_tokens says why
            warnings.filterwarnings("ignore", "intrinsic dimension is NaN", RuntimeWarning)
            dimension = gride_from_radii(torch.stack(self._radii, layer))
        return {
            "intrinsic_dimension": dimension.dimension,
            "intrinsic_dimension_error": dimension.standard_error,
            "neighborhood_overlap": torch.stack(overlap, layer),
            **{name: torch.stack(values, layer) for name, values in self._seen.items()},
        }

    def dataset(self):
        """The same as a Dataset with dimensions layer, scale and k; prompt first if there are several."""
        import xarray as xr

        values = self.values()
        prompt = ("prompt",) * (self._last.ndim - 2)
        return xr.Dataset(
            {
                name: (prompt + dims, values[name].cpu().numpy(), attributes)
                for name, (dims, attributes) in VARIABLES.items()
                if name in values
            },
            coords={
                "layer": np.arange(len(self._radii)),
                "scale": ("scale", 2 * self._ranks[:-1].numpy(), {"long_name": "range scaling n2 = 2 n1"}),
                "k": np.arange(1, self.k_max + 1),
            },
        )


@contextmanager
def aside(see):
    """``see`` in a second thread: a layer is measured while the model computes the next.

    That fills the idle moments of the cores. Never more than two layers wait.
    """
    with ThreadPoolExecutor(1) as thread:
        measuring = None

        def hand_over(cloud):
            nonlocal measuring
            if measuring:
                measuring.result()
            measuring = thread.submit(see, cloud)

        yield hand_over
        measuring.result()


def _layer(cloud, ranks, k):
    if can_screen(cloud):
        from .screened import screened_layer  # compiled code, not needed on a GPU

        return screened_layer(cloud, ranks, k)
    return exact_layer(cloud, ranks, k)


def observables(clouds, scale_max=SCALE_MAX, k_max=K_MAX):
    """Every geometric observable of a stack of token clouds.

    Intrinsic dimension leaves duplicate tokens out and counts them; overlap and cosine similarity
    keep them, as the paper does.

    Parameters
    ----------
    clouds : array_like, shape (layer, token, feature), or an iterable of (token, feature)
        An iterable is read one layer at a time. On any device; several prompts at once if the layers have
        shape (prompt, token, feature).
    scale_max : int
        Largest range scaling.
    k_max : int
        Largest number of neighbors of the overlap.

    Returns
    -------
    xarray.Dataset
        The variables of :data:`tokengeom_utils.results.VARIABLES` that belong to layers, in float64.

    Raises
    ------
    InputError
        If a cloud is not finite (names layer and token), a token lies at the origin, or ``scale_max`` or
        ``k_max`` exceeds N - 1.
    """
    observer = Observer(scale_max, k_max)
    if isinstance(clouds, (torch.Tensor, np.ndarray)) and clouds.ndim > 2 and clouds.shape[-2] <= SMALL:
        for layer in each(lambda place: observer.measure(clouds[place], place), range(len(clouds))):
            observer.keep(layer)
    else:
        for cloud in clouds:
            observer.see(cloud)
    return observer.dataset()
