"""The limit of many tokens: bounds that hold, rates that are reached, and observables that have no limit."""

import numpy as np
import pytest
import torch

import tokengeom_utils as tg
from tokengeom_utils.theory import shapes
from tokengeom_utils.theory.meanfield import (
    part_error,
    simulate,
    stability_rate,
    to_sphere,
    uniform_tokens,
    velocity,
    wave_rate,
)
from tokengeom_utils.theory.transport import radius, wasserstein

KINDS = ("SA", "USA")
STEP = {"SA": 0.05, "USA": 0.01}


def jump(tokens, size, seed=0):
    """Tokens moved by ``size`` in random directions, back on the sphere."""
    generator = torch.Generator().manual_seed(seed)
    return to_sphere(tokens + size * torch.randn(tokens.shape, generator=generator, dtype=torch.float64))


def rms(a, b):
    return (a - b).square().sum(-1).mean(-1).sqrt()


# --- two measures ---


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("beta", [0.0, 1.0, 3.0])
def test_no_two_clouds_part_faster_than_the_rate(kind, beta):
    """Random pairs; and one token opposite all the others, moved alone, which falls at a rate near one."""
    alone, rates = torch.tensor([[1.0, 0.0]] * 31 + [[-1.0, 0.0]], dtype=torch.float64), []
    tilted = alone.clone()
    tilted[-1, 1] = 1e-5
    pairs = [(alone, tilted)]
    for start in (uniform_tokens(8, 3, seed=1), uniform_tokens(8, 2, seed=2), torch.eye(8)):
        pairs += [(start, jump(start, size)) for size in (1e-4, 0.5)]
    for pair in pairs:
        a, b = (simulate(x, beta, [0, 1e-3], kind, dt=1e-3) for x in pair)
        rates.append(float(torch.log(rms(a, b)).diff()[0] / 1e-3))
    assert max(rates) <= stability_rate(beta, kind)
    if kind == "SA" and beta <= 1:
        assert rates[0] > 0.8  # so no constant below this would do


def test_the_rate_has_its_formula_and_is_not_below_that_of_a_wave():
    for kind in KINDS:
        beta = np.array([0.5, 2.0, 6.0])
        fastest = wave_rate(np.arange(1, 12)[:, None], beta, kind).max(0)
        assert (stability_rate(beta, kind) > fastest).all() and stability_rate(0.0, kind) == pytest.approx(2)
    assert stability_rate(1.0) == pytest.approx(2 + 3 * np.e)
    with pytest.raises(tg.InputError):
        stability_rate(1.0, "softmax")


@pytest.mark.parametrize("kind", KINDS)
def test_the_velocity_depends_on_the_measure_with_the_stated_constants(kind):
    """The two steps of the proof: the same token in two clouds, and two tokens in one cloud."""
    for seed, beta in enumerate((0.5, 2.0, 4.0)):
        cloud, place = uniform_tokens(12, 3, seed=seed), uniform_tokens(1, 3, seed=50 + seed)
        moved = jump(cloud, 0.3, seed)

        def pull(x, others, beta=beta):
            weight = (beta * x @ others.T).exp()
            return weight @ others / (weight.sum(-1, keepdim=True) if kind == "SA" else len(others))

        by_measure = (1 + 2 * beta if kind == "SA" else 1 + beta) * np.exp(beta)
        by_place = beta if kind == "SA" else beta * np.exp(beta)
        assert float(rms(pull(place, cloud), pull(place, moved))) <= by_measure * float(rms(cloud, moved))
        near = jump(place, 0.1, seed)
        assert float(rms(pull(place, cloud), pull(near, cloud))) <= by_place * float(rms(place, near))


# --- a part and the whole ---


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("d", [3, 60])
def test_a_part_moves_like_the_whole(kind, d):
    """The error is below the bound and falls like the root of the size of the part, in any dimension."""
    parts, times, beta = np.array([8, 128]), [0.1], 1.0
    whole = uniform_tokens(512, d, seed=4)
    path, error = simulate(whole, beta, times, kind, dt=STEP[kind]), []
    for m in parts:
        drawn = torch.rand(24, 512, generator=torch.Generator().manual_seed(5)).argsort(1)[:, :m]
        alone = simulate(whole[drawn], beta, times, kind, dt=STEP[kind])[:, 0]
        error.append(float(rms(alone, path[0][drawn]).square().mean().sqrt()))
    assert (np.array(error) < part_error(times[0], parts, beta, kind)).all()
    slope = np.log(error[1] / error[0]) / np.log(parts[1] / parts[0])
    assert -0.75 < slope < -0.4, slope


def test_the_part_of_a_cloud_pulls_with_the_stated_error():
    """The mean square error of the velocity is at most G^2 / m, the source term of the bound."""
    whole, m, beta = uniform_tokens(200, 3, seed=6), 20, 1.0
    drawn = torch.rand(400, 200, generator=torch.Generator().manual_seed(7)).argsort(1)[:, :m]
    for kind, pull in (("SA", 2 * np.exp(2 * beta)), ("USA", np.exp(beta))):
        off = velocity(whole[drawn], beta, kind) - velocity(whole, beta, kind)[drawn]
        assert 0 < float(off.square().sum(-1).mean()) < pull**2 / m
    assert part_error(1e-6, 25, 2.0, "USA") == pytest.approx(1e-6 * np.exp(2) / 5, rel=1e-3)


# --- observables and the measure ---


def neighbors(cloud, k=8):
    return tg.nearest_neighbors(cloud, k)


def tripled(cloud, ratio, size):
    """Every token as a triangle of three: two sides of length ``size``, the third shorter by ``ratio``."""
    a, b = torch.zeros(2, cloud.shape[-1], dtype=torch.float64)
    a[0], b[1] = size * (1 - ratio**2 / 4) ** 0.5, size * ratio / 2
    return torch.cat([cloud, cloud + a + b, cloud + a - b])


@pytest.mark.parametrize("dimension", [0.5, 3.0, 40.0])
@pytest.mark.parametrize("size", [1e-2, 1e-6])
def test_near_every_measure_two_nn_takes_every_value(dimension, size):
    cloud = shapes.cube(200, 4, seed=1)
    other = tripled(cloud, np.exp(-3 / (2 * dimension)), size * float(neighbors(cloud).distances[:, 0].min()))
    ratio = neighbors(other, 2).distances
    assert float(1 / (ratio[:, 1] / ratio[:, 0]).log().mean()) == pytest.approx(dimension, rel=1e-5)
    assert wasserstein(cloud, other).distance < 1e-2 * size * float(radius(cloud)) + size


@pytest.mark.parametrize("kept", [True, False])
def test_near_every_pair_of_measures_the_overlap_is_one_and_zero(kept):
    k, here, there = 3, shapes.cube(30, 2, seed=1), shapes.cube(30, 2, seed=2)
    size = 1e-3 * min(float(neighbors(x).distances[:, 0].min()) for x in (here, there))
    row, column = torch.meshgrid(torch.arange(k + 1.0), torch.arange(k + 1.0), indexing="ij")

    def spread(cloud, major, minor):
        step = size * (major + 1e-3 * minor).double().flatten()
        return (cloud[:, None] + step[:, None] * torch.tensor([1.0, 0.0], dtype=torch.float64)).flatten(0, 1)

    a = neighbors(spread(here, row, column), k).indices
    b = neighbors(spread(there, row, column) if kept else spread(there, column, row), k).indices
    assert tg.neighborhood_overlap(a, b)[-1] == (1 if kept else 0)


def test_the_cosine_is_continuous_in_the_measure():
    """With the constant of the proposition; and the inequality is no formality: a tenth of it is broken."""
    ratio = []
    for seed in range(20):
        cloud = shapes.cube(50, 3, seed=seed) + 0.4
        other = cloud + 0.2 * torch.randn(cloud.shape, generator=torch.Generator().manual_seed(seed)).double()
        shortest = min(float(x.norm(dim=-1).min()) for x in (cloud, other))
        change = abs(float(tg.mean_cosine_similarity(cloud) - tg.mean_cosine_similarity(other)))
        ratio.append(change / (2 / shortest * wasserstein(cloud, other).distance))
    assert max(ratio) <= 1 and max(ratio) > 0.02


def test_neighbors_change_on_the_scale_of_the_gaps():
    """In the plane, four times as many points stand half as much noise."""
    noise = []
    for n in (256, 1024):
        cloud = shapes.cube(n, 2, seed=(3, n))
        near, sizes = neighbors(cloud).indices, np.geomspace(0.01, 1, 15)
        random = torch.randn(cloud.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
        random *= radius(cloud) / random.norm(dim=-1, keepdim=True)
        kept = [float(tg.neighborhood_overlap(near, neighbors(cloud + s * random).indices)[-1]) for s in sizes]
        noise.append(np.exp(np.interp(-0.5, -np.array(kept), np.log(sizes))))
    assert noise[0] / noise[1] == pytest.approx(2, rel=0.25)
