"""The shapes have the documented dimension, size, and density."""

import numpy as np
import pytest
import torch
from scipy.stats import kstest

from tokengeom_utils import InputError, gride, nearest_neighbors
from tokengeom_utils.theory import shapes

SHAPES = [shapes.cube, shapes.gaussian, shapes.sphere, shapes.ball, shapes.torus]
FEATURES = {"sphere": 4, "torus": 6}


@pytest.mark.parametrize("shape", SHAPES, ids=lambda s: s.__name__)
def test_shape_dtype_and_seed(shape):
    cloud = shape(50, 3, batch=(2, 4), seed=7)
    assert cloud.shape == (2, 4, 50, FEATURES.get(shape.__name__, 3)) and cloud.dtype == torch.float64
    assert torch.equal(cloud, shape(50, 3, batch=(2, 4), seed=7)) and not torch.equal(cloud[0], cloud[1])
    rng = np.random.default_rng(0)
    assert not torch.equal(shape(5, 1, seed=rng), shape(5, 1, seed=rng))  # a generator continues its stream


@pytest.mark.parametrize("shape", SHAPES, ids=lambda s: s.__name__)
@pytest.mark.parametrize("d", [1, 2, 4])
def test_gride_recovers_the_dimension(shape, d):
    # The error bars ignore the overlap of neighborhoods, which makes them up to 1.5 times too short at scale 2.
    found = gride(nearest_neighbors(shape(2000, d, seed=d), 2).distances)
    assert abs(found.dimension - d) < 4 * 1.5 * found.standard_error


@pytest.mark.parametrize("shape", SHAPES, ids=lambda s: s.__name__)
def test_empty_shapes_raise(shape):
    for wrong in ((0, 2), (5, 0)):
        with pytest.raises(InputError, match="at least 1"):
            shape(*wrong)


def test_radii():
    assert shapes.sphere(1000, 3).norm(dim=-1).allclose(torch.ones(1000, dtype=torch.float64))
    radius = shapes.ball(2000, 3, seed=1).norm(dim=-1).numpy()
    assert radius.max() < 1 and kstest(radius**3, "uniform").pvalue > 0.001
    circles = shapes.torus(100, 2)[:, [0, 2]].norm(dim=-1)  # cosine and sine of the first angle
    assert circles.allclose(torch.ones(100, dtype=torch.float64))


def test_swiss_roll_is_a_uniform_sheet():
    roll = shapes.swiss_roll(3000, seed=2).numpy()
    radius = np.hypot(roll[:, 0], roll[:, 1])
    assert roll.shape == (3000, 3) and radius.min() >= 1 and radius.max() <= 4
    angle = 2 * np.pi * radius
    np.testing.assert_allclose(np.stack([np.cos(angle), np.sin(angle)], -1) * radius[:, None], roll[:, :2], atol=1e-12)
    length = 0.5 * (angle * np.sqrt(1 + angle**2) + np.arcsinh(angle))  # of the spiral, up to a factor
    low, high = (0.5 * (t * np.sqrt(1 + t**2) + np.arcsinh(t)) for t in (2 * np.pi, 8 * np.pi))
    assert kstest((length - low) / (high - low), "uniform").pvalue > 0.001
    assert kstest(roll[:, 2] / 3, "uniform").pvalue > 0.001


def test_noise_is_appended_to_the_cloud():
    square = shapes.cube(4000, 2, seed=3)
    rough = shapes.with_noise(square, 0.1, 20, seed=4)
    assert rough.shape == (4000, 22) and torch.equal(rough[:, :2], square)
    assert abs(rough[:, 2:].std() - 0.1) < 0.002
    assert torch.equal(shapes.with_noise(square, 0.1), square)


def test_embedding_preserves_distances():
    cloud = shapes.gaussian(40, 3, batch=(2,), seed=5)
    turned = shapes.embed(cloud, 30, seed=6)
    assert turned.shape == (2, 40, 30)
    np.testing.assert_allclose(*((x[:, :, None] - x[:, None]).norm(dim=-1) for x in (turned, cloud)), atol=1e-12)
    with pytest.raises(InputError, match="3 features does not fit into 2"):
        shapes.embed(cloud, 2)


def test_poisson_radii_follow_their_laws():
    d, ranks = 3, [1, 4, 8]
    r = shapes.poisson_radii(20_000, d, ranks, seed=8).numpy()
    assert r.shape == (20_000, 3) and (np.diff(r) > 0).all()
    assert kstest(r[:, 0] ** d, "expon").pvalue > 0.001
    assert kstest(r[:, 2] ** d, "gamma", (8,)).pvalue > 0.001
    assert kstest((r[:, 1] / r[:, 2]) ** d, "beta", (4, 4)).pvalue > 0.001
    assert shapes.poisson_radii(5, 2, [1], batch=(3,)).shape == (3, 5, 1)


@pytest.mark.parametrize("ranks", [[], [0, 1], [2, 2], [2, 1]])
def test_ranks_that_do_not_ascend_raise(ranks):
    with pytest.raises(InputError, match="must ascend"):
        shapes.poisson_radii(5, 2, ranks)
