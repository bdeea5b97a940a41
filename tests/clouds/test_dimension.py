"""Intrinsic dimension: numbers of other implementations, the likelihood itself, and known dimensions."""

import subprocess
import sys
import warnings

import numpy as np
import pytest
import skdim
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tokengeom_utils import InputError, gride, gride_scales, levina_bickel, nearest_neighbors, two_nn
from tokengeom_utils.clouds import kernels
from tokengeom_utils.clouds.dimension import LOST, gride_from_radii


def gaussian(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def table(cloud, k, drop_duplicates=False):
    return nearest_neighbors(cloud, k, drop_duplicates).distances


def ball(n, d, seed=0):
    return sphere(n, d - 1, seed) * np.random.default_rng(seed + 1).random((n, 1)) ** (1 / d)


def sphere(n, d, seed=0):
    points = gaussian(n, d + 1, seed=seed)
    return points / np.linalg.norm(points, axis=1, keepdims=True)


# Golden numbers. Points: skdim.datasets.hyperBall(300, 5, random_state=0), zero-padded to 10 features.
# GRIDE and TwoNN: DADApy (return_id_scaling_gride and compute_id_2NN, "base" and "ml") and scikit-dimension
# 0.5; MLE: scikit-dimension 0.5, 20 neighbors. Recorded in the project's notes on numerics, to hold to 1e-6.
GOLDEN_GRIDE = [
    4.113138928258821, 4.66693391842823, 4.312444553888434, 4.398278299744852, 4.27531095553466, 3.8384687761954552,
]  # fmt: skip
GOLDEN = {"linear": 4.362176532655348, "mle": 4.113138917297787, "levina_bickel": 4.43582345694338}


@pytest.fixture(scope="module")
def golden_table():
    points = skdim.datasets.hyperBall(300, 5, random_state=0)
    return table(np.pad(points, ((0, 0), (0, 5))), 64)


def test_golden_gride(golden_table):
    result = gride_scales(golden_table, 64)
    assert result.scales.tolist() == [2, 4, 8, 16, 32, 64]
    assert result.n_points.tolist() == [300] * 6
    np.testing.assert_allclose(result.dimension, GOLDEN_GRIDE, rtol=1e-6)


@pytest.mark.parametrize("method", ["linear", "mle"])
def test_golden_two_nn(golden_table, method):
    assert two_nn(golden_table, method).dimension.item() == pytest.approx(GOLDEN[method], rel=1e-6)


def test_golden_levina_bickel(golden_table):
    assert levina_bickel(golden_table, 20).dimension.item() == pytest.approx(GOLDEN["levina_bickel"], rel=1e-6)


# scikit-dimension 0.5, run beside ours

CLOUDS = {
    "ball": ball(400, 4),
    "sphere, far away": sphere(500, 6) + 50,
    "gaussian": gaussian(300, 12),
    "plane in many features": gaussian(256, 2) @ gaussian(2, 60, seed=1),
    "heavy tails": np.random.default_rng(2).standard_t(2, size=(350, 5)),
    "float32": gaussian(200, 8).astype(np.float32),
    "unequal axes": gaussian(400, 10) * np.logspace(0, -3, 10),
}
each_cloud = pytest.mark.parametrize("cloud", CLOUDS.values(), ids=CLOUDS)


@each_cloud
def test_gride_agrees_with_scikit_dimension(cloud):
    theirs = skdim.id.GRIDE(multiscale=True, range_max=128).fit(cloud)
    ours = gride_scales(table(cloud, 128), 128)
    assert ours.scales.tolist() == (2 * theirs.scales_).tolist()
    np.testing.assert_allclose(ours.dimension, theirs.dimension_scales_, rtol=1e-6)
    np.testing.assert_allclose(ours.standard_error, theirs.error_scales_, rtol=1e-6)


@pytest.mark.filterwarnings("ignore:divide by zero:RuntimeWarning:skdim")
@each_cloud
@pytest.mark.parametrize(
    "method, fraction, options",
    [
        ("linear", 0.9, {"method": "linear"}),
        ("linear", 0.75, {"method": "linear", "discard_fraction": 0.25}),
        ("mle", 0.9, {"method": "mle", "discard_fraction": 0}),  # ours discards nothing, as DADApy's "ml"
    ],
)
def test_two_nn_agrees_with_scikit_dimension(cloud, method, fraction, options):
    theirs = skdim.id.TwoNN(**options).fit(cloud).dimension_
    ours = two_nn(table(cloud, 2), method, fraction)
    assert ours.dimension.item() == pytest.approx(theirs, rel=1e-6)
    assert ours.standard_error.item() == pytest.approx(theirs / len(cloud) ** 0.5, rel=1e-6)


@each_cloud
@pytest.mark.parametrize("k", [5, 20])
def test_levina_bickel_agrees_with_scikit_dimension(cloud, k):
    theirs = skdim.id.MLE().fit(cloud, n_neighbors=k).dimension_
    assert levina_bickel(table(cloud, 30), k).dimension.item() == pytest.approx(theirs, rel=1e-6)


def test_outliers_are_cut_as_scikit_dimension_cuts_them():
    cloud = gaussian(400, 3)
    cloud[:12:2] = cloud[1:12:2] + 1e-5  # six pairs all but coincide: their ratios are huge
    theirs = skdim.id.GRIDE(multiscale=True, range_max=8).fit(cloud)
    ours = gride_scales(table(cloud, 8), 8)
    assert ours.n_points.tolist() == [400 - 12, 400, 400]
    np.testing.assert_allclose(ours.dimension, theirs.dimension_scales_, rtol=1e-6)


# The likelihood


def log_likelihood(d, log_mu, n2, n):
    """Of mu^-d ~ Beta(n2/2, n2/2), with n log d for the factor that normally counts the tokens."""
    n1 = n2 // 2
    return n * np.log(d) + np.sum((n2 - n1 - 1) * np.log(np.expm1(d * log_mu)) - ((n2 - 1) * d + 1) * log_mu)


@pytest.mark.parametrize("cloud", [CLOUDS["ball"], CLOUDS["gaussian"], CLOUDS["unequal axes"]], ids=["4", "12", "axes"])
@pytest.mark.parametrize("n2", [2, 4, 6, 8, 16, 64, 256])
def test_the_estimate_solves_the_likelihood_equation(cloud, n2):
    distances = table(cloud, 256).numpy()
    result = gride(distances, n2)
    d, n, n1 = result.dimension.item(), len(cloud), n2 // 2
    log_mu = np.log(distances[:, n2 - 1] / distances[:, n1 - 1])
    assert result.n_points == n

    def score(d):
        return (n - 1) / d + (n2 - n1 - 1) * np.sum(log_mu / (1 - np.exp(-d * log_mu))) - (n2 - 1) * np.sum(log_mu)

    assert abs(score(d)) < 1e-11 * (n2 - 1) * np.sum(log_mu)
    assert score(d * (1 - 1e-8)) > 0 > score(d * (1 + 1e-8))
    # The standard error is the curvature of the log-likelihood, here by finite differences.
    step = 1e-3 * d
    low, middle, high = (log_likelihood(x, log_mu, n2, n) for x in (d - step, d, d + step))
    curvature = -(low - 2 * middle + high) / step**2
    assert result.standard_error.item() == pytest.approx(curvature**-0.5, rel=1e-4)


def from_the_law(d, n2, shape, seed=0):
    """A neighbor table whose ratios follow the law of dimension ``d`` exactly."""
    n1 = n2 // 2
    ratio = np.random.default_rng(seed).beta(n1, n2 - n1, size=shape) ** (-1 / d)
    return np.concatenate([np.ones((*shape, n1)), np.repeat(ratio[..., None], n2 - n1, -1)], -1)


# From d = 2 up: in lower dimension the tail of the ratios is so heavy that the outlier cut removes real ones.
@pytest.mark.parametrize("d", [2, 3.7, 10, 60])
@pytest.mark.parametrize("n2", [2, 4, 16, 64])
def test_ratios_drawn_from_the_law_give_back_its_dimension(d, n2):
    result = gride(from_the_law(d, n2, (50, 400)), n2)
    z = ((result.dimension - d) / result.standard_error).numpy()
    assert abs(z.mean()) < 4 / 50**0.5
    assert 0.6 < z.std() < 1.4  # chi squared with 49 degrees of freedom, 4 sigma


@pytest.mark.parametrize("factor, n_points", [(0.999, 300), (1.001, 299)])
@pytest.mark.parametrize("n2", [2, 8])
def test_the_cut_for_outliers_is_where_dadapy_puts_it(n2, factor, n_points):
    distances = from_the_law(4, n2, (300,))
    ratios = distances[:, -1]
    q50, q95 = np.percentile(ratios, [50, 95])  # moving the largest ratio further out moves neither
    cut = q50 + 20 * (q95 - q50)
    assert ratios.max() < 0.9 * cut
    distances[ratios.argmax(), n2 // 2 :] = factor * cut
    assert gride(distances, n2).n_points == n_points


def test_scale_two_is_unbiased_however_few_the_tokens():
    d = gride(from_the_law(5, 2, (20_000, 10)), 2).dimension
    assert abs(d.mean() - 5) < 4 * d.std() / 20_000**0.5  # N in place of N - 1 would be off by 30 of these


def test_relative_errors_at_1024_tokens():
    result = gride_scales(table(gaussian(1024, 16), 16), 16)
    np.testing.assert_allclose(result.standard_error / result.dimension, [0.031, 0.0225, 0.016, 0.011], rtol=0.04)


@pytest.mark.parametrize("n", [3, 50, 700])
def test_at_scale_two_the_squared_relative_error_counts_the_tokens(n):
    result = gride(table(gaussian(n, 5), 2))
    assert result.n_points == n
    assert (result.dimension / result.standard_error).item() ** 2 == pytest.approx(n, rel=1e-12)


def test_one_scale_of_many_is_that_scale():
    distances = table(gaussian(200, 6), 100)
    scales = gride_scales(distances, 100)
    assert scales.scales.tolist() == [2, 4, 8, 16, 32, 64]
    for i, scale in enumerate(scales.scales.tolist()):
        for all_scales, alone in zip(scales[:3], gride(distances, scale), strict=True):
            assert all_scales[i].item() == pytest.approx(alone.item(), rel=1e-12)
    assert two_nn(distances).dimension.item() == pytest.approx(scales.dimension[0].item(), rel=1e-12)


# Compiled code on a CPU, tensors elsewhere


def with_tensors(estimate):
    """What ``estimate()`` gives where compiled code does not go."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kernels, "path", lambda tensor: "reference")
        return estimate()


def some_rows(rng, r):
    return rng.random(len(r)) < rng.choice([0.02, 0.1, 0.3, 0.7])


def change(kind, rng, r):
    """What can befall a table of neighbors r (token, k)."""
    rows = some_rows(rng, r)
    if kind == "dropped":
        r[rows] = np.nan
    elif kind == "duplicates":
        r[rows, : rng.integers(1, r.shape[1])] *= rng.choice([0, 1e-9, 1e-7])
    elif kind == "ties":
        r[rows] = r[rows, -1:]
    elif kind == "rounded":
        r[:] = np.ceil(r * 4)
    elif kind == "no such neighbors":
        r[:, rng.integers(1, r.shape[1]) :] = np.nan
    elif kind == "far out":  # where many are, nothing is cut
        r[rows, rng.integers(1, r.shape[1]) :] *= 10 ** rng.uniform(0, 12)
    elif kind == "all the same":
        r[:] = r[0]
    r.sort(1)


KINDS = ("dropped", "duplicates", "ties", "rounded", "no such neighbors", "far out", "all the same")


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.integers(0, 10**6), st.integers(7, 200), st.floats(-0.5, 2.5), st.lists(st.sampled_from(KINDS), max_size=2))
@pytest.mark.filterwarnings("ignore:intrinsic dimension is NaN")
def test_compiled_code_and_tensors_give_the_same(seed, n, magnitude, kinds):
    rng = np.random.default_rng(seed)
    # In a Poisson process of dimension d, r^d grows by independent exponentials from one neighbor to the next.
    tables = rng.exponential(size=(2, n, 40)).cumsum(-1) ** 10**-magnitude
    for kind in kinds:
        for r in tables:
            change(kind, rng, r)
    for estimate in (lambda: gride_scales(tables, min(n - 1, 32)), lambda: gride(tables, 6)):
        found, expected = estimate(), with_tensors(estimate)
        np.testing.assert_array_equal(found.n_points, expected.n_points)
        np.testing.assert_allclose(found.dimension, expected.dimension, rtol=1e-12)
        np.testing.assert_allclose(found.standard_error, expected.standard_error, rtol=1e-12)
        assert (found.dimension.isnan() == (found.n_points < 3)).all()


@pytest.mark.parametrize("d", [0.7, 1, 5, 100])
def test_the_cut_keeps_what_it_should_however_the_tail_falls(d):
    distances = np.random.default_rng(0).exponential(size=(500, 101, 64)).cumsum(-1) ** (1 / d)
    for i, n_points in enumerate(gride_scales(distances, 64).n_points.T.numpy()):
        mu = distances[..., 2 * 2**i - 1] / distances[..., 2**i - 1]
        q50, q95 = np.percentile(mu, [50, 95], axis=-1, keepdims=True)
        np.testing.assert_array_equal(n_points, (mu < q50 + 20 * (q95 - q50)).sum(-1))


def test_number_of_threads_and_way_of_passing_change_no_bit():
    distances = torch.tensor(np.random.default_rng(0).exponential(size=(2, 4, 150, 80)).cumsum(-1) ** 0.2)
    radii = distances[..., 2 ** torch.arange(7) - 1]
    ways = [lambda: gride_scales(distances, 64), lambda: gride_from_radii(radii),
            lambda: gride_scales(distances.mT.contiguous().mT, 64),
            lambda: gride_scales(torch.cat([distances, distances], -1)[..., :80], 64)]  # fmt: skip
    before = torch.get_num_threads()
    expected = ways[0]()
    try:
        for threads in (1, 2, 3, 16):
            torch.set_num_threads(threads)
            for way in ways:
                for found, value in zip(way(), expected, strict=True):
                    assert torch.equal(found, value)
    finally:
        torch.set_num_threads(before)


def test_gradients_pass():
    distances = torch.tensor(np.random.default_rng(0).exponential(size=(30, 9)).cumsum(-1) ** 0.2, requires_grad=True)
    gride_scales(distances, 8).dimension.sum().backward()
    step = torch.zeros_like(distances).detach()
    step[4, 3] = 1e-6
    with torch.no_grad():
        ahead, behind = (gride_scales(r, 8).dimension.sum() for r in (distances + step, distances - step))
    assert distances.grad[4, 3].item() == pytest.approx((ahead - behind).item() / 2e-6, rel=1e-6)


def test_what_needs_no_compiled_code_does_not_load_it():
    code = "import sys; from tokengeom_utils import gride, two_nn; two_nn([[1, 2]] * 3); print('numba' in sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert loaded.strip() == "False"


# Known dimensions. N = 2000; the curvature of the sphere and the rim of the ball lower the estimate, noticeably
# from five dimensions on: the third number is the relative bias allowed beside four standard errors.


@pytest.mark.parametrize(
    "make, d, bias",
    [
        (sphere, 1, 0), (sphere, 2, 0), (sphere, 3, 0), (sphere, 5, 0.02), (sphere, 7, 0.04), (sphere, 10, 0.08),
        (ball, 1, 0), (ball, 2, 0), (ball, 3, 0.01), (ball, 5, 0.06), (ball, 7, 0.1), (ball, 10, 0.17),
    ],
)  # fmt: skip
def test_balls_and_spheres(make, d, bias):
    result = gride(table(make(2000, d, seed=d), 2))
    low, high = d * (1 - bias) - 4 * result.standard_error, d + 4 * result.standard_error
    assert low < result.dimension < high


def test_noise_is_seen_at_small_scales_only():
    sheet = np.pad(np.random.default_rng(0).random((2000, 2)), ((0, 0), (0, 18))) + 0.004 * gaussian(2000, 20)
    d = gride_scales(table(sheet, 128), 128).dimension
    assert d[0] > 4 and abs(d[-1] - 2) < 0.4


# What leaves a dimension as it is

clouds = st.tuples(st.integers(0, 10**6).map(np.random.default_rng), st.integers(20, 120), st.integers(1, 8))
derandomized = settings(max_examples=25, deadline=None, derandomize=True)


def estimates(cloud):
    distances = table(cloud, 16)
    scales = gride_scales(distances, 16)
    return np.array([*scales.dimension, *scales.standard_error, *two_nn(distances)[:2],
                     *two_nn(distances, "linear")[:2], *levina_bickel(distances, 10)[:2]])  # fmt: skip


@derandomized
@given(clouds, st.integers(-12, 12), st.floats(-1e3, 1e3))
def test_rotation_translation_and_scaling_change_nothing(shape, exponent, shift):
    rng, n, d = shape
    cloud = rng.normal(size=(n, d))
    rotation = np.linalg.qr(rng.normal(size=(d + 3, d + 3)))[0]
    moved = (np.pad(cloud, ((0, 0), (0, 3))) @ rotation + shift * rng.normal(size=d + 3)) * 10.0**exponent
    np.testing.assert_allclose(estimates(moved), estimates(cloud), rtol=1e-6)


@derandomized
@given(clouds)
def test_order_of_the_tokens_changes_nothing(shape):
    rng, n, d = shape
    cloud = rng.normal(size=(n, d))
    np.testing.assert_allclose(estimates(rng.permutation(cloud)), estimates(cloud), rtol=1e-8)


def test_a_stack_equals_one_layer_at_a_time():
    stack = np.stack([gaussian(150, 7, seed=s) * np.logspace(0, -s, 7) for s in range(6)]).reshape(2, 3, 150, 7)
    stack[1, 1, 40:60] = stack[1, 1, 0]  # one layer with duplicates, one degenerate
    stack[1, 2] = stack[1, 2, [0, 1] * 75]
    distances = table(stack, 32, drop_duplicates=True)
    estimators = (lambda r: gride_scales(r, 32), gride, two_nn, lambda r: two_nn(r, "linear"), levina_bickel)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        for estimator in estimators:
            whole = estimator(distances)
            for layer in np.ndindex(2, 3):
                for stacked, alone in zip(whole[:3], estimator(distances[layer]), strict=False):
                    np.testing.assert_allclose(stacked[layer], alone, rtol=1e-12)


def test_thread_count_changes_nothing():
    cloud = gaussian(300, 20)
    before = torch.get_num_threads()
    try:
        results = []
        for n in (1, 2):
            torch.set_num_threads(n)
            results.append(estimates(cloud))
    finally:
        torch.set_num_threads(before)
    np.testing.assert_allclose(*results, rtol=1e-12)


def test_matmul_precision_of_the_caller_does_not_leak_in():
    cloud = torch.tensor(gaussian(400, 64) + 10, dtype=torch.float32)
    expected = estimates(cloud)
    before = torch.get_float32_matmul_precision()
    try:
        for precision in ("high", "medium"):
            torch.set_float32_matmul_precision(precision)
            np.testing.assert_allclose(estimates(cloud), expected, rtol=1e-11)
            assert torch.get_float32_matmul_precision() == precision
    finally:
        torch.set_float32_matmul_precision(before)


# Duplicates, ties, and too few


def with_copies():
    unique = gaussian(120, 6)
    copies = np.random.default_rng(1).integers(0, 120, 80)
    order = np.random.default_rng(2).permutation(200)
    return unique, np.concatenate([unique, unique[copies]])[order]


def test_dropped_duplicates_leave_the_estimate_of_the_unique_tokens():
    unique, cloud = with_copies()
    found = nearest_neighbors(cloud, 64, drop_duplicates=True)
    assert found.is_duplicate.sum() == 80
    with_drop, of_unique = gride_scales(found.distances, 64), gride_scales(table(unique, 64), 64)
    assert with_drop.n_points.tolist() == [120] * 6
    for ours, expected in zip(with_drop, of_unique, strict=True):
        np.testing.assert_allclose(ours, expected, rtol=1e-8)
    for estimator in (two_nn, lambda r: two_nn(r, "linear"), levina_bickel):
        for ours, expected in zip(estimator(found.distances), estimator(table(unique, 64)), strict=True):
            np.testing.assert_allclose(ours, expected, rtol=1e-8)


def test_duplicates_that_were_kept_do_not_enter():
    _, cloud = with_copies()
    single = (cloud[:, None] == cloud).all(-1).sum(1) == 1
    distances = table(cloud, 8)
    for result in (gride(distances), two_nn(distances), levina_bickel(distances, 8)):
        assert result.n_points == single.sum()
        assert 3 < result.dimension < 12
    assert gride(distances).dimension.item() == pytest.approx(gride(distances[single]).dimension.item(), rel=1e-12)


@pytest.mark.parametrize("distinct", [1, 2])
@pytest.mark.parametrize("drop", [False, True])
def test_fewer_than_three_tokens_give_nan_and_say_why(distinct, drop):
    cloud = gaussian(distinct, 4)[[0, distinct - 1] * 10]
    distances = table(cloud, 4, drop)
    with pytest.warns(RuntimeWarning, match="fewer than 3 tokens have a usable ratio"):
        result = gride_scales(distances, 4)
    assert result.dimension.isnan().all() and result.standard_error.isnan().all()
    assert (result.n_points < 3).all()


@pytest.mark.parametrize("distinct", [1, 2])
@pytest.mark.parametrize("estimator", [two_nn, lambda r: two_nn(r, "linear"), lambda r: levina_bickel(r, 2)],
                         ids=["mle", "linear", "levina_bickel"])  # fmt: skip
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_degenerate_cloud_has_no_dimension(estimator, distinct):
    cloud = gaussian(distinct, 4)[[0, distinct - 1] * 10]
    result = estimator(table(cloud, 4, drop_duplicates=True))
    assert result.dimension.isnan() and result.standard_error.isnan()


LINE = np.arange(400.0)[:, None]
REASONS = {
    "one token": (0 * LINE, True, [0]),
    "two tokens": (LINE % 2, True, [0]),
    "copies": (LINE % 2, False, [1]),
    "few tokens": (np.maximum(LINE, 393) ** 2, True, [2]),
    "line": (LINE, True, [3]),
    "copies and a line": (np.stack([0 * LINE, LINE]), False, [1, 3]),
}


@pytest.mark.parametrize("cloud, drop, reasons", REASONS.values(), ids=REASONS)
def test_the_warning_names_the_reason(cloud, drop, reasons):
    distances = table(cloud, 8, drop)
    estimators = [lambda: gride_scales(distances, 8), lambda: gride(distances, 8),
                  lambda: with_tensors(lambda: gride_scales(distances, 8))]  # fmt: skip
    if 3 not in reasons:  # which GRIDE alone has
        estimators.append(lambda: levina_bickel(distances, 8))
    if not {2, 3} & set(reasons):
        estimators.append(lambda: two_nn(distances))
    for estimator in estimators:
        with pytest.warns(RuntimeWarning, match="intrinsic dimension is NaN") as caught:
            estimator()
        assert len(caught) == 1 and caught[0].filename == __file__
        assert [i for i, words in enumerate(LOST) if words in str(caught[0].message)] == reasons


def test_a_degenerate_layer_does_not_spoil_the_others():
    stack = gaussian(3, 60, 5)
    stack[1] = stack[1, 0]
    with pytest.warns(RuntimeWarning, match="as few as 0 of 60"):
        d = gride(table(stack, 2)).dimension
    assert d.isnan().tolist() == [False, True, False]
    for i in (0, 2):
        assert d[i].item() == pytest.approx(gride(table(stack[i], 2)).dimension.item(), rel=1e-12)


def test_three_tokens_are_enough():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = gride(table([[0.0], [1.0], [3.0]], 2))
    assert result.dimension.item() == pytest.approx(2 / np.log(3 * 2 * 1.5), rel=1e-12)


def test_a_scale_beyond_the_distinct_tokens_is_nan_and_the_others_are_not():
    cloud = gaussian(40, 3)[np.arange(80) % 20]  # 20 distinct tokens: 19 neighbors
    with pytest.warns(RuntimeWarning, match="NaN"):
        result = gride_scales(table(cloud, 32, drop_duplicates=True), 32)
    assert result.dimension.isnan().tolist() == [False, False, False, False, True]
    assert result.n_points.tolist() == [20, 20, 20, 20, 0]


@pytest.mark.parametrize("n2", [2, 8])
def test_ties_count_as_a_ratio_just_above_one(n2):
    distances = from_the_law(4, n2, (300,))
    distances[:6] = 1.0
    nudged = distances.copy()
    nudged[:6, n2 // 2 :] = 1 + 1e-13
    tied, almost = gride(distances, n2), gride(nudged, n2)
    assert tied.n_points == 300
    assert tied.dimension.item() == pytest.approx(almost.dimension.item(), rel=1e-9)
    assert tied.standard_error.item() == pytest.approx(almost.standard_error.item(), rel=1e-9)


def test_a_crystal_full_of_ties_stays_finite():
    grid = np.stack(np.meshgrid(*[np.arange(8.0)] * 3), -1).reshape(-1, 3)
    distances = table(grid + 1e-3 * gaussian(512, 3), 64)
    assert gride_scales(distances, 64).dimension.isfinite().all()
    assert abs(gride_scales(distances, 64).dimension[-1] - 3) < 0.6


# Errors


@pytest.mark.parametrize(
    "estimate, words",
    [
        (lambda r: gride(r, 10), "scale 10 exceeds N - 1 = 9"),
        (lambda r: gride_scales(r, 16), "scale 16 exceeds N - 1 = 9"),
        (lambda r: gride(r[:, :6], 8), "scale 8 needs 8 neighbors, the table holds 6"),
        (lambda r: gride(r, 3), "n2 = 3 must be an even number"),
        (lambda r: gride(r, 0), "n2 = 0"),
        (lambda r: gride_scales(r, 1), "scale_max = 1"),
        (lambda r: two_nn(r[:, :1]), r"2 neighbors.*\(10, 1\)"),
        (lambda r: two_nn(r[:2]), r"3 tokens.*\(2, 9\)"),
        (lambda r: two_nn(r, "base"), "'base'.*'mle' or 'linear'"),
        (lambda r: two_nn(r, "linear", fraction=1.0), "fraction = 1.0"),
        (lambda r: levina_bickel(r, 10), "k = 10.*holds 9"),
        (lambda r: levina_bickel(r, 1), "k = 1"),
    ],
)
def test_what_cannot_be_estimated_says_so(estimate, words):
    with pytest.raises(InputError, match=words):
        estimate(table(gaussian(10, 3), 9))
