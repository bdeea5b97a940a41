"""Distances between clouds: brute force, inequalities, symmetries, and closed forms."""

from itertools import permutations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

import tokengeom_utils as tg
from tokengeom_utils.theory import shapes
from tokengeom_utils.theory.transport import radius, sliced_distances, sliced_wasserstein, standardize, wasserstein


def clouds(n=40, d=5, seed=0, batch=(2,)):
    return torch.from_numpy(np.random.default_rng(seed).normal(size=(*batch, n, d)))


def path(a, b):
    return (a - b).square().sum(-1).mean(-1).sqrt()


def test_exact_distance_is_that_of_the_cheapest_pairing():
    a, b = clouds(6, 3)
    best = min(float(path(a, b[list(order)])) for order in permutations(range(6)))
    found = wasserstein(a, b)
    assert found.distance == pytest.approx(best, rel=1e-12)
    assert float(path(a, b[found.pairing])) == pytest.approx(best, rel=1e-12)


@pytest.mark.parametrize("scale, shift", [(1.0, 0.0), (1e-6, 0.0), (1e6, 0.0), (1.0, 1e5)])
def test_exact_distance_agrees_with_an_assignment_solver(scale, shift):
    a, b = scale * clouds(120, 8, seed=1) + shift
    i, j = linear_sum_assignment(torch.cdist(a, b).square().numpy())
    assert wasserstein(a, b).distance == pytest.approx(float(path(a[i], b[j])), rel=1e-9)


def test_token_order_does_not_matter_but_copies_do():
    a, b = clouds()
    order = torch.from_numpy(np.random.default_rng(0).permutation(len(a)))
    assert wasserstein(a[order], b).distance == pytest.approx(wasserstein(a, b).distance, rel=1e-12)
    assert wasserstein(a, a[order]).distance == 0 and (wasserstein(a[order], a).pairing == order).all()
    assert wasserstein(a, torch.cat([a, a])).distance == pytest.approx(0, abs=1e-9)  # the same measure
    assert wasserstein(a, torch.cat([a, a[:1]])).distance > 0


@settings(max_examples=25, deadline=None)
@given(st.integers(2, 30), st.integers(1, 6), st.integers(0, 10**6), st.floats(0, 3))
def test_inequalities_between_the_distances(n, d, seed, shift):
    a, b = clouds(n, d, seed)
    b = 0.5 * b + shift
    mean_shift = float((a.mean(0) - b.mean(0)).norm())
    sliced, exact = sliced_wasserstein(a, b, 4000), wasserstein(a, b).distance
    assert mean_shift <= float(sliced.distance) + 1e-9
    assert float(sliced.distance) <= exact + 5 * float(sliced.standard_error) + 1e-9
    assert exact <= float(path(a, b)) + 1e-9


def test_squared_distance_splits_into_shift_and_rest():
    a, b = clouds()
    v = torch.tensor([3.0, 0, -4, 0, 0], dtype=torch.float64)
    assert wasserstein(a, a + v).distance == pytest.approx(5, rel=1e-12)
    assert float(sliced_wasserstein(a, a + v).distance) == pytest.approx(5, rel=1e-12)
    squared = wasserstein(a - a.mean(0), b - b.mean(0)).distance ** 2 + float((a.mean(0) - b.mean(0)).square().sum())
    assert wasserstein(a, b).distance ** 2 == pytest.approx(squared, rel=1e-12)


def test_standardized_clouds_are_closer_than_the_root_of_two():
    a, b = standardize(clouds(30, 4) * torch.tensor([1.0, 5, 0.1, 2]) + 7)
    torch.testing.assert_close(radius(a), torch.tensor(1.0, dtype=torch.float64))
    torch.testing.assert_close(a.mean(0), torch.zeros(4, dtype=torch.float64))
    assert 0 < wasserstein(a, b).distance < 2**0.5
    torch.testing.assert_close(standardize(3 * a + 5), a)


def test_one_dimensional_distance_is_that_of_sorted_tokens():
    a, b = clouds(50, 1)
    sorted_path = float((a[:, 0].sort().values - b[:, 0].sort().values).square().mean().sqrt())
    assert wasserstein(a, b).distance == pytest.approx(sorted_path, rel=1e-12)
    assert float(sliced_wasserstein(a, b, 3).distance) == pytest.approx(sorted_path, rel=1e-12)


def test_distance_of_two_samples_of_a_segment_agrees_with_theory():
    a, b = shapes.cube(64, 2, batch=(4000,), seed=0).sort(dim=-2).values.unbind(-1)
    assert (a - b).square().mean().item() == pytest.approx(1 / (3 * 65), rel=0.03)


def test_sliced_distance_of_normal_clouds():
    a, b = clouds(4000, 3, seed=2)
    found = sliced_wasserstein(a, 2 * b, 500)  # projections are normal with standard deviations 1 and 2
    assert float(found.distance) == pytest.approx(3**0.5, abs=0.05)
    assert 0 < found.standard_error < 0.05


def test_distances_of_all_pairs_equal_single_pairs_and_are_euclidean():
    stack = clouds(25, 6, batch=(5,))
    table = sliced_distances(stack, 64, seed=3)
    single = torch.stack([sliced_wasserstein(stack, cloud, 64, seed=3).distance for cloud in stack])
    torch.testing.assert_close(table, single, atol=1e-9, rtol=1e-9)
    centering = torch.eye(5, dtype=torch.float64) - 0.2
    assert torch.linalg.eigvalsh(-centering @ table**2 @ centering).min() > -1e-9


def test_distance_is_invariant_under_a_common_rotation():
    a, b = clouds(20, 4)
    rotation = torch.linalg.qr(clouds(4, 4, seed=9, batch=()))[0]
    assert wasserstein(a @ rotation, b @ rotation).distance == pytest.approx(wasserstein(a, b).distance, rel=1e-12)


def test_bad_input_raises():
    a = clouds(5, 3, batch=())
    for bad in (
        lambda: wasserstein(a, a[:, :2]),
        lambda: wasserstein(a[None], a[None]),
        lambda: wasserstein(a, torch.full_like(a, torch.nan)),
        lambda: sliced_wasserstein(a, a[:4]),
        lambda: standardize(torch.ones(4, 2)),
    ):
        with pytest.raises(tg.InputError):
            bad()
