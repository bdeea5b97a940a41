"""Surveys made of random numbers, in which nothing that the paper reports is real, or a known part of it.

The mean of every quantity is put where the claims have the boundary between both sides: equal layers, equal degrees,
half of the mass, an entropy of nine tenths of the loss.
"""

from dataclasses import dataclass, field

import numpy as np
import xarray as xr

#: the dimensions of a variable beyond prompt and shuffle
INNER = {
    "intrinsic_dimension": ("layer", "scale"),
    "neighborhood_overlap": ("layer", "k"),
    "cosine_similarity": ("layer",),
    "neighbor_angle": ("layer",),
    "logit_dimension": ("scale",),
}
LAYERS, DEGREES, SCALES, KS = 30, 6, (2, 4, 8, 16, 32, 64), (1, 2)


@dataclass(frozen=True)
class World:
    """What is real in a synthetic survey, and how its prompts scatter."""

    kinds: int = 15
    prompts: int = 8  #: of each kind
    shuffled: int = 3  #: of each kind, measured at every degree
    smooth: int = 1  #: number of neighboring layers that share their noise
    kind_effect: float = 0.0  #: standard deviation of the effects of the kind, that of prompts being 1
    profile: float = 0.0  #: standard deviation over layers of one random profile that all prompts share
    peaks: tuple[tuple[int, float], ...] = ()  #: layer and height of peaks of the dimension in all prompts
    scatter: float = 1.0  #: of shuffled prompts, that of ordered ones being 1
    r: float = 0.0  #: true correlation of dimension and loss, in every layer
    first_r: float | None = None  #: the same in layer 1, if another
    raised: float = 0.0  #: rise of the dimension and the cosine from one degree to the next
    attributes: dict[str, object] = field(default_factory=dict)


def survey(world: World, seed: int) -> xr.Dataset:
    """Draw a survey."""
    rng = np.random.default_rng(seed)
    n = world.kinds * world.prompts
    kind = np.repeat(np.arange(world.kinds), world.prompts)
    layers = LAYERS + 1

    def noise(*shape: int, layer: int | None = None) -> np.ndarray:
        """Effects of kinds and of prompts (prompt, *shape), shared by neighbors along the axis ``layer``."""
        drawn = rng.normal(size=(n, *shape))
        if world.kind_effect:
            drawn += world.kind_effect * rng.normal(size=(world.kinds, *shape))[kind]
        return drawn if layer is None or world.smooth == 1 else _smoothed(drawn, world.smooth, layer)

    def shared(*shape: int) -> np.ndarray:
        """A profile over layers (1, layer, *shape) that all prompts share."""
        drawn = rng.normal(size=(1, layers, *shape))
        return world.profile * _smoothed(drawn, 8, 1)

    spread = np.where(np.arange(DEGREES) > 0, world.scatter, 1.0)[:, None]
    degree = np.arange(DEGREES)[:, None]
    loss = noise(DEGREES)
    dimension = noise(DEGREES, layers, len(SCALES), layer=2) * spread[..., None]
    if world.r:
        z = (loss[:, 0] - loss[:, 0].mean()) / loss[:, 0].std()
        r = np.full((layers, 1), world.r)
        r[1] = world.r if world.first_r is None else world.first_r
        dimension[:, 0] = r * z[:, None, None] + np.sqrt(1 - r**2) * dimension[:, 0]
    dimension += shared(len(SCALES))[:, None] + world.raised * degree[..., None]
    for layer, height in world.peaks:
        dimension += height * np.exp(-(((np.arange(layers) - layer) / 3) ** 2))[:, None]
    cosine = noise(DEGREES, layers, layer=2) * spread + shared()[:, None] + world.raised * degree
    overlap = noise(DEGREES, layers, len(KS), layer=2) * spread[..., None] + shared(len(KS))[:, None]
    overlap[:, :, -1] = np.nan
    entropy = 2.7 + 0.2 * noise(DEGREES)
    values = {
        "intrinsic_dimension": 8 + dimension,
        "neighborhood_overlap": 0.5 + 0.05 * overlap,
        "cosine_similarity": 0.5 + 0.05 * cosine,
        "neighbor_angle": 64 + noise(DEGREES, layers, layer=2) * spread + shared()[:, None],
        "logit_dimension": 8 + noise(DEGREES, len(SCALES)),
        "loss": 3 + 0.2 * loss,
        "entropy": entropy,
        "top_entropy": (0.5 + 0.05 * noise(DEGREES)) * entropy,
        "top_mass": 0.5 + 0.05 * noise(DEGREES),
        "top_width": 5 + noise(DEGREES),
        "bleu": 0.5 + 0.05 * noise(DEGREES),
        "distinct_tokens": 400 + 50 * noise(DEGREES),
    }
    partly = np.tile(np.arange(world.prompts), world.kinds) >= world.shuffled
    for array in values.values():
        array[partly, 1:] = np.nan
    return _labeled(values, kind, world)


def _labeled(values, kind, world):
    """Return the arrays as a survey."""
    return xr.Dataset(
        {name: (("prompt", "shuffle", *INNER.get(name, ())), array) for name, array in values.items()},
        coords={
            "prompt": [f"prompt-{i}" for i in range(len(kind))],
            "domain": ("prompt", [f"kind-{k:02}" for k in kind]),
            "shuffle": np.arange(DEGREES),
            "layer": np.arange(LAYERS + 1),
            "scale": list(SCALES),
            "k": list(KS),
        },
        attrs={"n_tokens": 4 ** (DEGREES - 1), "model": "synthetic"} | world.attributes,
    )


def _smoothed(noise, width, axis):
    """Average over a window along an axis, with the variance of a single value restored."""
    wide = np.concatenate([noise, np.take(noise, range(width - 1), axis)], axis)  # around, so that all are alike
    sums = np.cumsum(np.concatenate([np.zeros_like(np.take(wide, [0], axis)), wide], axis), axis)
    count = noise.shape[axis]
    upper, lower = np.take(sums, range(width, width + count), axis), np.take(sums, range(count), axis)
    return (upper - lower) / np.sqrt(width)


# Alterations of a survey that was measured.


def resampled(results: xr.Dataset, seed: int) -> xr.Dataset:
    """Draw the prompts of each kind again, with replacement, those measured at all degrees among themselves."""
    rng = np.random.default_rng(seed)
    full = np.isfinite(results.loss.transpose("prompt", "shuffle").values).all(1)
    _, group = np.unique([f"{d} {f}" for d, f in zip(results.domain.values, full, strict=True)], return_inverse=True)
    picks = [rng.choice(np.flatnonzero(group == g), (group == g).sum()) for g in range(group.max() + 1)]
    return results.isel(prompt=np.concatenate(picks))


def mirrored_loss(results: xr.Dataset, seed: int) -> xr.Dataset:
    """Mirror the losses of the ordered prompts about their mean: what correlated now correlates inversely."""
    drawn = resampled(results, seed)
    first = drawn.loss.sel(shuffle=0)
    loss = drawn.loss.copy()
    loss.loc[{"shuffle": 0}] = 2 * first.mean() - first
    return drawn.assign(loss=loss)


def permuted_degrees(results: xr.Dataset, seed: int) -> xr.Dataset:
    """Permute the degrees of every prompt that was measured at all of them."""
    rng = np.random.default_rng(seed)
    drawn = resampled(results, seed)
    full = np.isfinite(drawn.loss.transpose("prompt", "shuffle").values).all(1)
    n = drawn.sizes["shuffle"]
    order = np.array([rng.permutation(n) if all_of_them else np.arange(n) for all_of_them in full])
    return _with_degrees(drawn, order)


def reversed_degrees(results: xr.Dataset, seed: int) -> xr.Dataset:
    """Reverse the degrees of every prompt that was measured at all of them, and leave out the others."""
    drawn = resampled(results, seed)
    full = np.isfinite(drawn.loss.transpose("prompt", "shuffle").values).all(1)
    drawn = drawn.isel(prompt=full)
    n = drawn.sizes["shuffle"]
    return _with_degrees(drawn, np.tile(np.arange(n)[::-1], (drawn.sizes["prompt"], 1)))


def _with_degrees(results, order):
    """Take the degrees of each prompt in an order (prompt, shuffle)."""
    place = xr.DataArray(order, dims=("prompt", "shuffle"))
    moved = {
        name: array.drop_vars("shuffle").isel(shuffle=place, prompt=xr.DataArray(np.arange(len(order)), dims="prompt"))
        for name, array in results.data_vars.items()
        if "shuffle" in array.dims
    }
    return results.assign({name: array.assign_coords(shuffle=results.shuffle) for name, array in moved.items()})
