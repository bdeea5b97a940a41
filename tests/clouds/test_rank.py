"""Effective rank: against its definition, exact cases and what must leave it alone."""

import numpy as np
import pytest
import torch

from tokengeom_utils import InputError, effective_rank


def gaussian(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def plain(cloud):
    """Participation ratio of the eigenvalues of the covariance matrix."""
    eigenvalues = np.linalg.eigvalsh(np.cov(np.asarray(cloud, float).T))
    return eigenvalues.sum() ** 2 / (eigenvalues**2).sum()


@pytest.mark.parametrize("shape", [(50, 7), (7, 50), (300, 200), (200, 300), (1024, 64)])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_it_is_the_participation_ratio(shape, dtype):
    cloud = torch.tensor(gaussian(*shape) * np.logspace(0, -1, shape[1]) + 3, dtype=dtype)
    assert effective_rank(cloud).item() == pytest.approx(plain(cloud), rel=1e-12)


def test_exact_cases():
    cross = torch.cat([torch.eye(5), -torch.eye(5)]).double()
    assert effective_rank(cross).item() == pytest.approx(5, rel=1e-12)
    assert effective_rank(cross[:, :1] * torch.ones(4, dtype=torch.float64)).item() == pytest.approx(1, rel=1e-12)
    assert effective_rank(torch.eye(8)).item() == pytest.approx(7, rel=1e-12)  # a simplex of 8 points


def test_one_massive_token_brings_it_close_to_one():
    cloud = gaussian(200, 50)
    assert effective_rank(cloud).item() > 35
    cloud[0] *= 1e3
    assert 1 <= effective_rank(cloud).item() < 1.1
    cloud[0] *= 1e5
    assert 1 <= effective_rank(torch.tensor(cloud, dtype=torch.float32)).item() < 1 + 1e-12


@pytest.mark.parametrize("dtype, rtol", [(np.float64, 1e-9), (np.float32, 1e-5)])
def test_rotation_translation_and_scale_change_nothing(dtype, rtol):
    cloud = gaussian(80, 6) * np.logspace(0, -1, 6)
    rotation = np.linalg.qr(gaussian(6, 6, seed=1))[0]
    expected = effective_rank(cloud).item()
    for other in (cloud @ rotation, cloud + 10 * gaussian(6, seed=2), cloud * 1e-15, cloud * 1e15, cloud[::-1].copy()):
        assert effective_rank(other.astype(dtype)).item() == pytest.approx(expected, rel=rtol)


def test_a_huge_cloud_and_one_far_from_the_origin():
    cloud = torch.tensor(gaussian(300, 40), dtype=torch.float32)
    expected = effective_rank(cloud.double()).item()
    assert effective_rank(cloud * 1e36).item() == pytest.approx(expected, rel=1e-6)
    shifted = cloud + 1e6
    assert effective_rank(shifted).item() == pytest.approx(effective_rank(shifted.double()).item(), rel=1e-6)


def test_a_stack_is_measured_layer_by_layer():
    stack = torch.tensor(gaussian(3, 2, 40, 5))
    found = effective_rank(stack)
    assert found.shape == (3, 2) and found.dtype == torch.float64
    for i, j in np.ndindex(3, 2):
        assert found[i, j].item() == pytest.approx(effective_rank(stack[i, j]).item(), rel=1e-12)


@pytest.mark.parametrize("value", [0.0, 0.1, -3e5])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_tokens_that_all_coincide_have_none(value, dtype):
    assert effective_rank(torch.full((20, 3), value, dtype=dtype)).isnan()


def test_a_cloud_that_is_not_finite_is_refused():
    with pytest.raises(InputError, match="NaN or infinity at layer 1, token 4"):
        cloud = gaussian(2, 9, 3)
        cloud[1, 4] = np.nan
        effective_rank(cloud)
