"""Every observable of every layer's token cloud, in one pass over the pairs of each.

>>> import torch, tokengeom_utils as tg
>>> clouds = torch.randn(3, 200, 10, generator=torch.Generator().manual_seed(0))
>>> measured = tg.observables(clouds, scale_max=16, k_max=5)
>>> measured.intrinsic_dimension.sizes
Frozen({'layer': 3, 'scale': 4})
"""

import warnings
from contextlib import contextmanager

import numpy as np
import torch

from .cosine import refuse_origin
from .dimension import gride_from_radii
from .errors import InputError
from .layer import exact_layer, exact_radii
from .neighbors import as_clouds, can_fuse, can_screen, refuse_infinite
from .overlap import common_neighbors
from .results import K_MAX, SCALE_MAX, VARIABLES, check_scales
from .threads import each

# Up to this many tokens a core measures a layer of its own; of more, the cores share one, to bound the memory.
SMALL = 2048
# Of several clouds on a GPU, as many are measured at once as have this many entries or pairs: a GiB in float64.
ENTRIES = 2**27


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
        self._ranks = _ranks(scale_max)
        self._layers, self._overlap, self._last = [], [], None

    def see(self, cloud):
        """Measure the next layer.

        Parameters
        ----------
        cloud : array_like, shape (token, feature), or (prompt, token, feature) for several prompts at once

        Raises
        ------
        InputError
            If the cloud is not finite (names layer and token), or a scale or ``k_max`` exceeds N - 1. What is not
            finite on a GPU is found by :meth:`values`, so that nothing waits for the device until then.
        """
        self.keep(self.measure(cloud, len(self._layers)))

    def measure(self, cloud, place):
        """The :class:`~tokengeom_utils.layer.Layer` of the cloud of layer ``place``, which changes nothing here."""
        with _naming_layer(place):
            on_gpu = torch.is_tensor(cloud) and cloud.is_cuda
            cloud = as_clouds(cloud, leading="prompt", wait=not on_gpu).detach()
            check_scales(cloud.shape[-2], self.scale_max, self.k_max)
            return _layer(cloud, self._ranks, self.k_max)

    def keep(self, layer):
        """Take in what :meth:`measure` found in the next layer."""
        if self._last is not None:
            self._overlap.append(common_neighbors(self._last, layer.indices))
        self._last = layer.indices
        self._layers.append(layer._replace(indices=None))

    def values(self):
        """What was seen, as a dict of tensors (layer, ...), or (prompt, layer, ...) for several prompts."""
        if self._last is None:
            raise InputError("no layer to measure")
        place = self._last.ndim - 2  # of the axis of layers

        def stack(parts):
            return torch.stack(list(parts), place)

        radii, is_duplicate, is_tied, angle, norm2 = (
            stack(getattr(layer, name) for layer in self._layers)
            for name in ("radii", "is_duplicate", "is_tied", "angle", "norm2")
        )
        _refuse_undefined(norm2.movedim(place, 0))
        nothing = torch.full((*self._last.shape[:-2], self.k_max), torch.nan, dtype=torch.float64)
        overlap = stack([*self._overlap, nothing.to(self._last.device)])  # the last layer has no next one
        cosine = map(stack, zip(*(layer.cosine for layer in self._layers)))
        with warnings.catch_warnings():  # layer 0 of a repetitive prompt; duplicate_tokens says why
            warnings.filterwarnings("ignore", "intrinsic dimension is NaN", RuntimeWarning)
            dimension = gride_from_radii(radii)
        return {
            "intrinsic_dimension": dimension.dimension,
            "intrinsic_dimension_error": dimension.standard_error,
            "neighborhood_overlap": overlap,
            "duplicate_tokens": is_duplicate.sum(-1),
            "tied_tokens": is_tied.sum(-1),
            **dict(zip(("cosine_similarity", "cosine_similarity_std", "cosine_similarity_distinct"), cosine)),
            "neighbor_angle": angle.nanmean(-1),
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
                "layer": np.arange(len(self._layers)),
                "scale": ("scale", 2 * self._ranks[:-1].numpy(), {"long_name": "range scaling n2 = 2 n1"}),
                "k": np.arange(1, self.k_max + 1),
            },
        )


@contextmanager
def _naming_layer(place):
    try:
        yield
    except InputError as error:
        raise InputError(f"layer {place}: {error}") from None


def _refuse_undefined(norm2):
    """Raise ``InputError`` for squared lengths (layer, ..., token) that are not finite, or zero."""
    if not (norm2.isfinite() & (norm2 > 0)).all():
        for place, layer in enumerate(norm2):
            with _naming_layer(place):
                refuse_infinite(layer.isfinite(), "prompt")
                refuse_origin(layer)


def _layer(cloud, ranks, k):
    if can_screen(cloud):
        from .screened import screened_layer  # compiled code, not needed on a GPU

        return screened_layer(cloud, ranks, k)
    if can_fuse(cloud):
        from .fused import fused_layer  # compiled code, not needed on a CPU

        return fused_layer(cloud, ranks, k)
    return exact_layer(cloud, ranks, k)


def _radii(cloud, ranks):
    if can_screen(cloud):
        from .screened import screened_radii

        return screened_radii(cloud, ranks)
    if can_fuse(cloud):
        from .fused import fused_layer

        return fused_layer(cloud, ranks, 1).radii
    return exact_radii(cloud, ranks)


def intrinsic_dimension(cloud, scale_max=SCALE_MAX):
    """Intrinsic dimension of a token cloud at every range scaling 2, 4, 8, ..., ``scale_max``, by GRIDE.

    What :func:`tokengeom_utils.gride_scales` gives for the table of :func:`tokengeom_utils.nearest_neighbors`
    without duplicates, in less time: of each token only the distances of rank 1, 2, 4, ... are computed.

    Parameters
    ----------
    cloud : array_like, shape (..., token, feature)
        Any float dtype, any device; leading dimensions are a batch, such as layers.
    scale_max : int
        Largest range scaling, ``2 <= scale_max <= N - 1``.

    Returns
    -------
    DimensionScales
        ``.dimension``, ``.standard_error`` and ``.n_points`` of shape (..., scale), and ``.scales``. NaN, with a
        warning that says why, where fewer than 3 tokens are left.

    Raises
    ------
    InputError
        If the cloud is not finite (names layer and token), or ``scale_max`` exceeds N - 1.

    Examples
    --------
    >>> import torch, tokengeom_utils as tg
    >>> plane = torch.rand(1000, 2, generator=torch.Generator().manual_seed(1)) @ torch.ones(2, 50).triu()
    >>> tg.intrinsic_dimension(plane, scale_max=8).dimension.round()
    tensor([2., 2., 2.], dtype=torch.float64)
    """
    cloud = as_clouds(cloud).detach()
    *batch, n, d = cloud.shape
    check_scales(n, scale_max, 1)
    ranks, flat = _ranks(scale_max), cloud.reshape(-1, n, d)
    if cloud.device.type == "cpu":
        radii = (each if n <= SMALL else map)(lambda one: _radii(one, ranks), flat.split(1))
    else:
        radii = map(lambda some: _radii(some, ranks), flat.split(max(1, ENTRIES // (n * max(n, d)))))
    return gride_from_radii(torch.cat(list(radii)).reshape(*batch, n, len(ranks)))


def _ranks(scale_max):
    return 2 ** torch.arange(int(scale_max).bit_length())  # 1, 2, 4, ..., scale_max


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
