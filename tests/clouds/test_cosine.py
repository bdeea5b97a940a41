"""Cosine similarity against the explicit N x N matrix."""

import numpy as np
import pytest
import torch

from tokengeom_utils import InputError, cosine_similarity, mean_cosine_similarity


def matrix(cloud):
    u = cloud / np.linalg.norm(cloud, axis=1, keepdims=True)
    return u @ u.T


@pytest.mark.parametrize("shape", [(2, 1), (2, 7), (60, 3), (40, 200), (30, 30)])
@pytest.mark.parametrize("offset", [0, 3])
def test_equals_the_explicit_matrix(shape, offset):
    cloud = np.random.default_rng(0).normal(size=shape) + offset
    c = matrix(cloud)
    n = len(c)
    off_diagonal = c[~np.eye(n, dtype=bool)]
    result = cosine_similarity(cloud)
    assert all(part.dtype == torch.float64 and part.shape == () for part in result)
    np.testing.assert_allclose(result.mean, c.mean(), rtol=0, atol=1e-12)
    # A spread below 1e-8 drowns in the rounding of a difference of squares.
    np.testing.assert_allclose(result.std, c.std(), rtol=1e-9, atol=2e-8)
    np.testing.assert_allclose(result.mean_distinct, off_diagonal.mean(), rtol=0, atol=1e-12)
    np.testing.assert_allclose(mean_cosine_similarity(cloud), c.mean(), rtol=0, atol=1e-12)
    np.testing.assert_allclose(mean_cosine_similarity(cloud, include_self=False), off_diagonal.mean(), atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_reduced_precision_clouds_are_measured_in_float64(dtype):
    cloud = torch.randn(50, 20, generator=torch.Generator().manual_seed(1)).to(dtype)
    c = matrix(cloud.double().numpy())
    result = cosine_similarity(cloud)
    assert result.mean.item() == pytest.approx(c.mean(), abs=1e-13)
    assert result.std.item() == pytest.approx(c.std(), rel=1e-10)


def test_only_directions_matter():
    rng = np.random.default_rng(2)
    cloud = rng.normal(size=(50, 8)) + 1
    lengths = 10 ** rng.uniform(-3, 3, size=(50, 1))
    for before, after in zip(cosine_similarity(cloud), cosine_similarity(cloud * lengths), strict=True):
        assert after.item() == pytest.approx(before.item(), rel=1e-12)


def test_stack_equals_one_layer_at_a_time():
    stack = np.random.default_rng(3).normal(size=(2, 3, 25, 6))
    result = cosine_similarity(stack)
    assert result.mean.shape == (2, 3)
    for i in np.ndindex(2, 3):
        for whole, single in zip(result, cosine_similarity(stack[i]), strict=True):
            np.testing.assert_allclose(whole[i], single, rtol=1e-12)


@pytest.mark.parametrize(
    "cloud, mean, std, distinct",
    [
        ([[1.0, 2.0]] * 5, 1, 0, 1),
        ([[1.0, 0.0], [-4.0, 0.0]], 0, 1, -1),
        ([[3.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 9.0]], 1 / 3, 2**0.5 / 3, 0),
    ],
    ids=["parallel", "opposite", "orthogonal"],
)
def test_known_values(cloud, mean, std, distinct):
    result = cosine_similarity(cloud)
    assert [part.item() for part in result] == pytest.approx([mean, std, distinct], abs=3e-8)


@pytest.mark.parametrize("measure", [cosine_similarity, mean_cosine_similarity])
def test_a_token_at_the_origin_has_no_direction(measure):
    cloud = np.ones((2, 5, 3))
    cloud[1, 4] = 0
    with pytest.raises(InputError, match="origin"):
        measure(cloud)


def test_not_finite_is_refused():
    with pytest.raises(InputError, match="token 1"):
        cosine_similarity([[1.0, 2.0], [np.nan, 1.0]])
