"""The dimension at each token: by hand, against its law, and beside the estimate of the whole cloud."""

import numpy as np
import pytest
import torch
from scipy import stats

from tokengeom_utils import InputError, levina_bickel, local_dimension, nearest_neighbors, shapes


def table(cloud, k, drop_duplicates=False):
    return nearest_neighbors(cloud, k, drop_duplicates).distances


def gaussian(n, d, seed=0):
    return np.random.default_rng(seed).normal(size=(n, d))


def test_four_points_by_hand():
    """On the line at 0, 1, 3, 7: the first sees 1, 3, 7, and the second 1, 2, 6."""
    local = local_dimension(table([[0.0], [1.0], [3.0], [7.0]], 3), k=3)
    expected = [1 / np.log(7 * 7 / 3), 1 / np.log(6 * 6 / 2), 1 / np.log(4 * 4 / (2 * 3)), 1 / np.log(7 * 7 / (4 * 6))]
    np.testing.assert_allclose(local.dimension, expected, rtol=1e-12)
    assert local.standard_error.isinf().all()  # three neighbors: the variance is infinite


def test_the_table_may_hold_more_neighbors_and_lists_will_do():
    row = [1.0, 2.0, 4.0, 8.0, 100.0]
    for given in ([row], torch.tensor([row], dtype=torch.float32)):
        dimension, error = local_dimension(given, k=4)
        assert dimension.dtype == error.dtype == torch.float64 and dimension.shape == error.shape == (1,)
        assert dimension.item() == pytest.approx(2 / np.log(8 * 4 * 2), rel=1e-12)
        assert error.item() == pytest.approx(dimension.item() / np.sqrt(2), rel=1e-12)


@pytest.mark.parametrize("k", [3, 5, 20])
@pytest.mark.parametrize("d", [1, 4, 30])
def test_in_a_poisson_process_the_estimate_is_inverse_gamma(k, d):
    """20,000 independent observers: a numerator of k - 1, or a shape of k, would fail by far."""
    dimension = local_dimension(shapes.poisson_radii(20_000, d, range(1, k + 1), seed=(k, d)), k).dimension
    assert stats.kstest(dimension, stats.invgamma(k - 1, scale=(k - 2) * d).cdf).pvalue > 1e-3


@pytest.mark.parametrize("k", [8, 20])
def test_mean_and_standard_error_are_those_of_the_theory(k):
    """Over 40 seeds of 2,000 independent observers, to within four standard errors of the mean over seeds."""
    d = 6
    found = [local_dimension(shapes.poisson_radii(2000, d, range(1, k + 1), seed=seed), k) for seed in range(40)]

    def four_errors_from(values, truth):
        values = np.array(values)
        error = values.std(ddof=1) / len(values) ** 0.5
        assert 4 * error < 0.05 * truth  # else the test could not fail
        return abs(values.mean() - truth) < 4 * error

    assert four_errors_from([one.dimension.mean() for one in found], d)
    variance = d**2 / (k - 3)
    assert four_errors_from([((one.dimension - d) ** 2).mean() for one in found], variance)
    assert four_errors_from([one.standard_error.square().mean() for one in found], variance)


@pytest.mark.parametrize("k", [3, 20])
def test_the_average_of_the_inverses_is_the_estimate_of_the_cloud(k):
    distances = table(gaussian(300, 6), 20)
    mean = (1 / local_dimension(distances, k).dimension).mean()
    assert levina_bickel(distances, k).dimension.item() == pytest.approx((k - 1) / (k - 2) / mean.item(), rel=1e-12)


def test_scaling_and_rotation_change_nothing_and_a_stack_is_its_layers():
    cloud = gaussian(150, 5)
    rotation = np.linalg.qr(gaussian(8, 8, seed=1))[0]
    moved = 1e3 * (np.pad(cloud, ((0, 0), (0, 3))) @ rotation + 7)
    stacked = local_dimension(torch.stack([table(cloud, 20), table(moved, 20)])[:, None])
    assert stacked.dimension.shape == (2, 1, 150)
    for both, alone in zip(stacked, local_dimension(table(cloud, 20)), strict=True):
        np.testing.assert_allclose(both[:, 0], [alone, alone], rtol=1e-6)
    order = np.random.default_rng(2).permutation(150)
    in_order = local_dimension(table(cloud, 20)).dimension[order]
    np.testing.assert_allclose(local_dimension(table(cloud[order], 20)).dimension, in_order, rtol=1e-8)


@pytest.mark.parametrize("drop", [False, True])
def test_tokens_that_the_estimate_of_the_cloud_leaves_out_have_none(drop):
    cloud = np.concatenate([gaussian(60, 4), gaussian(60, 4)[:25]])
    distances = table(cloud, 20, drop)
    local = local_dimension(distances)
    assert (~local.dimension.isnan()).sum() == levina_bickel(distances).n_points == (60 if drop else 35)
    assert torch.equal(local.dimension.isnan(), local.standard_error.isnan())
    if drop:
        alone = local_dimension(table(gaussian(60, 4), 20)).dimension
        np.testing.assert_allclose(local.dimension[:60], alone, rtol=1e-8)


def test_neighbors_that_do_not_exist_give_nan_without_a_word(recwarn):
    few = gaussian(10, 3)[np.arange(40) % 10]
    assert local_dimension(table(few, 20, drop_duplicates=True)).dimension.isnan().all()
    assert not recwarn.list


def test_equal_distances_count_as_they_are():
    """All equal: the likelihood has no maximum. Some equal: their logarithm is zero."""
    dimension, error = local_dimension([[2.0, 2.0, 2.0, 2.0], [1.0, 1.0, 2.0, 2.0]], k=4)
    assert dimension.tolist() == [np.inf, pytest.approx(1 / np.log(2), rel=1e-12)]
    assert error[0] == np.inf and error[1].item() == pytest.approx(1 / np.log(2) / np.sqrt(2), rel=1e-12)


@pytest.mark.parametrize("k, words", [(10, "k = 10.*holds 9"), (2, "k = 2.*at least 3"), (-1, "k = -1.*at least 3")])
def test_a_number_of_neighbors_that_cannot_be(k, words):
    with pytest.raises(InputError, match=words):
        local_dimension(table(gaussian(10, 3), 9), k)


def test_gradients_pass():
    distances = table(gaussian(30, 3), 9).requires_grad_()
    local_dimension(distances, 9).dimension.sum().backward()
    assert distances.grad.isfinite().all() and distances.grad.abs().sum() > 0
