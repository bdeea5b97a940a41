"""Every observable of every layer's token cloud, in one pass over the pairs of each.

>>> import torch, tokengeom_utils as tg
>>> clouds = torch.randn(3, 200, 10, generator=torch.Generator().manual_seed(0))
>>> measured = tg.observables(clouds, scale_max=16, k_max=5)
>>> measured.intrinsic_dimension.sizes
Frozen({'layer': 3, 'scale': 4})
"""

import warnings
from contextlib import contextmanager
from functools import lru_cache
from importlib import import_module
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import ArrayLike

from ..errors import InputError
from ..schema import K_MAX, OBSERVABLES, SCALE_MAX, check_scales
from . import kernels
from .dimension import gride_from_radii
from .overlap import common_neighbors
from .records import CosineSimilarity, DimensionScales, Layer
from .threads import each
from .validate import as_clouds, refuse_infinite, refuse_origin

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import xarray as xr

# Up to this many tokens each core measures a layer of its own; for larger clouds all cores work on one layer.
SMALL = 2048
# On a GPU, clouds are measured together up to this many entries or pairs: a GiB in float64.
ENTRIES = 2**27


class Observer:
    """Measure the layers of a model one after the other, as the forward pass hands them out.

    Between two layers it keeps the first ``k_max`` neighbors of the last one, and of every layer the few
    distances that GRIDE needs; no cloud is kept.

    Parameters
    ----------
    scale_max : int
        Largest range scaling of the intrinsic dimension.
    k_max : int
        Largest number of neighbors of the overlap.

    See Also
    --------
    stream_clouds : hands out the clouds, one layer at a time.
    observables : the same for clouds that are already there.

    Notes
    -----
    Used in the chapter *What a survey costs*.

    Examples
    --------
    >>> import torch, tokengeom_utils as tg
    >>> observer = tg.Observer(scale_max=4, k_max=3)
    >>> for cloud in torch.randn(2, 30, 5, generator=torch.Generator().manual_seed(0)):
    ...     observer.update(cloud)
    >>> observer.compute().neighborhood_overlap.shape
    (2, 3)
    """

    def __init__(self, scale_max: int = SCALE_MAX, k_max: int = K_MAX):
        self.scale_max, self.k_max = scale_max, k_max
        self._ranks = _ranks(scale_max)
        self._layers: list[tuple[Layer, dict[str, torch.Tensor]]] = []
        self._overlap: list[torch.Tensor] = []
        self._last: torch.Tensor | None = None

    def update(self, cloud: ArrayLike | torch.Tensor) -> None:
        """Measure the next layer.

        Parameters
        ----------
        cloud : array_like, shape (token, feature), or (prompt, token, feature) for several prompts at once
            Any float dtype, any device.

        Raises
        ------
        InputError
            If the cloud is not finite (names layer and token), or a scale or ``k_max`` exceeds N - 1. On a GPU
            :meth:`compute` raises the error for values that are not finite, so that nothing waits for the device.
        """
        self.append(self.measure(cloud, len(self._layers)))

    def measure(self, cloud: "ArrayLike | torch.Tensor", place: int) -> "tuple[Layer, dict[str, torch.Tensor]]":
        """Measure the cloud of layer ``place`` without keeping the result, for :meth:`append`."""
        with _naming_layer(place):
            on_gpu = torch.is_tensor(cloud) and cloud.is_cuda
            cloud = as_clouds(cloud, leading="prompt", wait=not on_gpu).detach()
            if cloud.ndim > 3:
                raise InputError(
                    f"a layer has shape (token, feature) or (prompt, token, feature), got {cloud.ndim} axes"
                )
            check_scales(cloud.shape[-2], self.scale_max, self.k_max)
            layer, values = kernels.layer(cloud, self._ranks, self.k_max), {}
            for name, (function, field) in _per_cloud().items():
                known = getattr(layer, field) if field else None
                values[name] = function(cloud) if known is None else known
            return layer, values

    def append(self, measured: "tuple[Layer, dict[str, torch.Tensor]]") -> None:
        """Keep what :meth:`measure` returned for the next layer."""
        layer, values = measured
        if self._last is not None:
            if layer.indices.shape[:-2] != self._last.shape[:-2]:
                raise InputError(
                    f"layer {len(self._layers)} has shape {tuple(layer.norm2.shape)} of prompts and tokens, the layer "
                    f"before it {tuple(self._last.shape[:-1])}: all layers must be of the same prompts"
                )
            self._overlap.append(common_neighbors(self._last, layer.indices))
        self._last = layer.indices
        self._layers.append((layer._replace(indices=layer.indices.new_empty(0)), values))  # not kept

    def values(self) -> dict[str, torch.Tensor]:
        """Return every observable as a tensor (layer, ...), or (prompt, layer, ...) for several prompts.

        Raises
        ------
        InputError
            If no layer was seen, or a token is not finite or lies at the origin (names layer and token).
        """
        if self._last is None:
            raise InputError("no layer to measure")
        place = self._last.ndim - 2  # of the axis of layers

        def stack(parts):
            return torch.stack(list(parts), place)

        def field(name):
            return stack(getattr(layer, name) for layer, _ in self._layers)

        _refuse_undefined(field("norm2").movedim(place, 0))
        nothing = torch.full((*self._last.shape[:-2], self.k_max), torch.nan, dtype=torch.float64)
        with warnings.catch_warnings():  # layer 0 of a repetitive prompt; duplicate_tokens tells why
            warnings.filterwarnings("ignore", "intrinsic dimension is NaN", RuntimeWarning)
            dimension = gride_from_radii(field("radii"))
        cosine = CosineSimilarity(*map(stack, zip(*(layer.cosine for layer, _ in self._layers), strict=True)))
        return {
            "intrinsic_dimension": dimension.dimension,
            "intrinsic_dimension_error": dimension.standard_error,
            "neighborhood_overlap": stack([*self._overlap, nothing.to(self._last.device)]),  # the last has no next one
            "duplicate_tokens": field("is_duplicate").sum(-1),
            "tied_tokens": field("is_tied").sum(-1),
            "cosine_similarity": cosine.mean,
            "cosine_similarity_std": cosine.std,
            "cosine_similarity_distinct": cosine.mean_distinct,
            "neighbor_angle": field("angle").nanmean(-1),
            **{name: stack(values[name] for _, values in self._layers) for name in _per_cloud()},
        }

    def compute(self) -> "xr.Dataset":
        """Return every observable as a labeled Dataset.

        Returns
        -------
        xarray.Dataset
            float64, with dimensions ``layer``, ``scale`` and ``k``; ``prompt`` first if there are several. Units and
            names are those of :data:`tokengeom_utils.schema.OBSERVABLES`.

        Raises
        ------
        InputError
            As :meth:`values`.
        """
        return labeled({name: value.cpu().numpy() for name, value in self.values().items()})


def labeled(values: "Mapping[str, np.ndarray]") -> "xr.Dataset":
    """Return observables, arrays by name, as a Dataset with the dimensions and attributes of the schema.

    Parameters
    ----------
    values : mapping of str to numpy.ndarray
        Those of the layers, with ``prompt`` as the first dimension of all if there are several, and any others.

    Returns
    -------
    xarray.Dataset
    """
    import xarray as xr

    *prompts, n_layers, n_scales = values["intrinsic_dimension"].shape
    return xr.Dataset(
        {
            name: (("prompt",) * len(prompts) + row.dims, values[name], row.attributes)
            for name, row in OBSERVABLES.items()
            if name in values
        },
        coords={
            "layer": np.arange(n_layers),
            "scale": ("scale", 2 ** np.arange(1, n_scales + 1), {"long_name": "range scaling n2 = 2 n1"}),
            "k": np.arange(1, values["neighborhood_overlap"].shape[-1] + 1),
        },
    )


@lru_cache(1)
def _per_cloud():
    """The observables that are functions of one cloud: the function, and the field of a Layer that may hold it."""
    found = {}
    for row in OBSERVABLES.values():
        if row.per_cloud:
            module, function = row.function.rsplit(".", 1)
            found[row.name] = getattr(import_module(f"{__name__.split('.')[0]}.{module}"), function), row.of_layer
    return found


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


def intrinsic_dimension(cloud: ArrayLike | torch.Tensor, scale_max: int = SCALE_MAX) -> DimensionScales:
    """Estimate the intrinsic dimension of a token cloud at every range scaling 2, 4, 8, ..., ``scale_max``, by GRIDE.

    The result is that of :func:`tokengeom_utils.gride_scales` on the table of :func:`tokengeom_utils.nearest_neighbors`
    without duplicates, in less time: only the distances of rank 1, 2, 4, ... of each token are computed.

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

    See Also
    --------
    gride_scales : the same from a neighbor table, with its equation.
    effective_rank : the dimension of the whole cloud.

    Notes
    -----
    Introduced in the chapter *Intrinsic dimension: how many directions does a cloud have?*

    Examples
    --------
    >>> import torch, tokengeom_utils as tg
    >>> plane = torch.rand(1000, 2, generator=torch.Generator().manual_seed(1)) @ torch.ones(2, 50).triu()
    >>> tg.intrinsic_dimension(plane, scale_max=8).dimension.round()
    tensor([2., 2., 2.], dtype=torch.float64)
    """
    x = as_clouds(cloud).detach()
    *batch, n, d = x.shape
    check_scales(n, scale_max, 1)
    ranks, flat = _ranks(scale_max), x.reshape(-1, n, d)

    def measure(some):
        return kernels.radii(some, ranks)

    if x.device.type == "cpu":
        clouds = flat.split(1)
        radii = each(measure, clouds) if n <= SMALL else [measure(one) for one in clouds]
    else:
        radii = [measure(some) for some in flat.split(max(1, ENTRIES // (n * max(n, d))))]
    return gride_from_radii(torch.cat(radii).reshape(*batch, n, len(ranks)))


def _ranks(scale_max):
    return 2 ** torch.arange(int(scale_max).bit_length())  # 1, 2, 4, ..., scale_max


def observables(
    clouds: "torch.Tensor | np.ndarray | Iterable", scale_max: int = SCALE_MAX, k_max: int = K_MAX
) -> "xr.Dataset":
    """Measure every geometric observable of a stack of token clouds.

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
        The variables of :data:`tokengeom_utils.schema.OBSERVABLES` that belong to layers, in float64.

    Raises
    ------
    InputError
        If a cloud is not finite (names layer and token), a token lies at the origin, or ``scale_max`` or
        ``k_max`` exceeds N - 1.

    See Also
    --------
    Observer : for layers that come one after the other.
    measure : from a prompt, in one forward pass.

    Notes
    -----
    Used in the chapter *What a survey costs*.

    Examples
    --------
    >>> import torch, tokengeom_utils as tg
    >>> clouds = torch.randn(3, 40, 6, generator=torch.Generator().manual_seed(0))
    >>> tg.observables(clouds, scale_max=4, k_max=5).sizes
    Frozen({'layer': 3, 'scale': 2, 'k': 5})
    """
    observer = Observer(scale_max, k_max)
    if isinstance(clouds, (torch.Tensor, np.ndarray)) and clouds.ndim > 2 and clouds.shape[-2] <= SMALL:
        for layer in each(lambda place: observer.measure(clouds[place], place), range(len(clouds))):
            observer.append(layer)
    else:
        for cloud in clouds:
            observer.update(cloud)
    return observer.compute()
