"""All the observables of a stack of clouds: against their definitions written out, and what must leave them alone."""

import itertools
import os
import warnings
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers as hf
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq
from scipy.spatial.distance import cdist
from torch.multiprocessing.reductions import StorageWeakRef

import tokengeom_utils as tg
from tokengeom_utils import processor
from tokengeom_utils.clouds.kernels import products
from tokengeom_utils.clouds.kernels.reference import overlap as reference_overlap
from tokengeom_utils.clouds.kernels.reference import pairs
from tokengeom_utils.clouds.observer import Observer
from tokengeom_utils.models.extract import stream_clouds
from tokengeom_utils.models.load import LanguageModel
from tokengeom_utils.schema import OBSERVABLES
from tokengeom_utils.surveys.measure import measure_tokens

OF_LAYERS = {name for name, row in OBSERVABLES.items() if "layer" in row.dims}
COSINES = {"cosine_similarity", "cosine_similarity_std", "cosine_similarity_distinct"}
derandomized = settings(max_examples=20, deadline=None, derandomize=True)


# Clouds


def gaussian(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def random_stack(rng, n_layers, n, d):
    """Layers that change little by little, off the origin and with unequal axes, as a model's do."""
    first = rng.normal(size=(n, d)) * np.logspace(0, -1, d) + rng.normal(size=d)
    steps = 0.3 * rng.normal(size=(n_layers - 1, n, d))
    return np.concatenate([first[None], first + steps.cumsum(0)])


def rotation(rng, d):
    return np.linalg.qr(rng.normal(size=(d, d)))[0]


def sphere(rng, n, d):
    points = rng.normal(size=(n, d + 1))
    return points / np.linalg.norm(points, axis=1, keepdims=True)


def ball(rng, n, d):
    return sphere(rng, n, d - 1) * rng.random((n, 1)) ** (1 / d)


def lattice(side):
    return np.stack(np.meshgrid(*[np.arange(side) - (side - 1) / 2] * 2), -1).reshape(-1, 2) + 100.0


# (random numbers, tokens, features) of a cloud
shapes = st.tuples(st.integers(0, 10**6).map(np.random.default_rng), st.integers(20, 80), st.integers(2, 8))


# What the package finds


def measure(clouds, scale_max=16, k_max=8):
    """The observables as a dict of arrays."""
    found = tg.observables(clouds, scale_max, k_max)
    assert set(found.data_vars) == OF_LAYERS
    return {name: found[name].values for name in OF_LAYERS}


def assert_same(found, expected, rtol, names=OF_LAYERS):
    for name in names:
        # On a CPU these come from products in float32, all the others are exact.
        tolerance = max(rtol, 1e-6) if name in ("cosine_similarity_std", "effective_rank") else rtol
        np.testing.assert_allclose(found[name], expected[name], rtol=tolerance, err_msg=name)


def assert_identical(found, expected):
    for name in OF_LAYERS:
        np.testing.assert_array_equal(found[name], expected[name], err_msg=name)


# What the paper defines, written out


def sorted_neighbors(cloud):
    """Distances and indices of the other tokens, nearest first, ties in the order of their index."""
    distances = cdist(cloud, cloud)
    np.fill_diagonal(distances, -1)  # the token itself comes first and is left out
    order = distances.argsort(1, kind="stable")[:, 1:]
    return np.take_along_axis(distances, order, 1), order


def plain_gride(distances, n2):
    """Dimension and standard error from the likelihood equation."""
    n1 = n2 // 2
    mu = distances[:, n2 - 1] / distances[:, n1 - 1]
    mu[mu == 1] = 1 + 10 * np.finfo(float).eps
    q50, q95 = np.percentile(mu, [50, 95])
    log_mu = np.log(mu[mu < q50 + 20 * (q95 - q50)])
    n = len(log_mu)

    def score(d):
        term = log_mu / -np.expm1(-d * log_mu)  # 1 - mu^-d, which a ratio just above one would round away
        return (n - 1) / d + (n2 - n1 - 1) * term.sum() - (n2 - 1) * log_mu.sum()

    d = brentq(score, 1e-3, 1e4, xtol=1e-13, rtol=1e-14)
    term = log_mu / -np.expm1(-d * log_mu)
    return d, 1 / np.sqrt(n / d**2 + (n2 - n1 - 1) * np.sum(term**2 * np.exp(-d * log_mu)))


def plain_overlap(a, b, k):
    """One token after the other."""
    return sum(len(set(x) & set(y)) for x, y in zip(a[:, :k].tolist(), b[:, :k].tolist(), strict=True)) / (len(a) * k)


def plain_angle(cloud, order):
    """Mean angle between the directions to the first and the second neighbor, over tokens without a copy."""
    u, v = cloud[order[:, 0]] - cloud, cloud[order[:, 1]] - cloud
    single = u.any(1)
    u, v = u[single], v[single]
    cosine = (u * v).sum(1) / (np.linalg.norm(u, axis=1) * np.linalg.norm(v, axis=1))
    return np.degrees(np.arccos(np.clip(cosine, -1, 1))).mean() if single.any() else np.nan


def plain_rank(cloud):
    """Participation ratio of the eigenvalues of the covariance matrix."""
    eigenvalues = np.linalg.eigvalsh(np.atleast_2d(np.cov(cloud.T)))
    return eigenvalues.sum() ** 2 / (eigenvalues**2).sum()


def plain_observables(stack, scale_max, k_max):
    found = {name: [] for name in OF_LAYERS}
    orders = []
    for cloud in np.asarray(stack, np.float64):
        distances, order = sorted_neighbors(cloud)
        orders.append(order)
        n = len(cloud)
        directions = cloud / np.linalg.norm(cloud, axis=1, keepdims=True)
        cosine = directions @ directions.T
        of_distinct = sorted_neighbors(np.unique(cloud, axis=0))[0]
        dimension, error = zip(
            *(plain_gride(of_distinct, 2**i) for i in range(1, 20) if 2**i <= scale_max), strict=True
        )
        near = distances[:, : k_max + 1]
        for name, value in {
            "intrinsic_dimension": dimension,
            "intrinsic_dimension_error": error,
            "duplicate_tokens": n - len(of_distinct),
            "tied_tokens": (near[:, 1:] == near[:, :-1]).any(1).sum(),
            "cosine_similarity": cosine.mean(),
            "cosine_similarity_std": cosine.std(),
            "cosine_similarity_distinct": cosine[~np.eye(n, dtype=bool)].mean(),
            "neighbor_angle": plain_angle(cloud, order),
            "effective_rank": plain_rank(cloud),
        }.items():
            found[name].append(value)
    for a, b in itertools.pairwise(orders):
        found["neighborhood_overlap"].append([plain_overlap(a, b, k) for k in range(1, k_max + 1)])
    found["neighborhood_overlap"].append([np.nan] * k_max)  # the last layer has no next one
    return {name: np.array(value) for name, value in found.items()}


def assert_agrees(stack, scale_max, k_max):
    found, expected = measure(stack, scale_max, k_max), plain_observables(stack, scale_max, k_max)
    for name in OF_LAYERS:
        assert found[name].shape == expected[name].shape, name
    for name in ("neighborhood_overlap", "duplicate_tokens", "tied_tokens"):
        np.testing.assert_array_equal(found[name], expected[name], err_msg=name)
    assert_same(found, expected, 1e-9, {"intrinsic_dimension", "intrinsic_dimension_error", "neighbor_angle"})
    np.testing.assert_allclose(found["cosine_similarity_std"], expected["cosine_similarity_std"], rtol=1e-6)
    for name in COSINES - {"cosine_similarity_std"}:
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-9, atol=1e-13, err_msg=name)


# Agreement with the definitions


@derandomized
@given(
    st.integers(0, 10**6).map(np.random.default_rng), st.integers(150, 300), st.integers(5, 40),
    st.sampled_from([np.float64, np.float32]),
)  # fmt: skip
def test_observables_are_those_of_the_definitions(rng, n, d, dtype):
    assert_agrees(random_stack(rng, 3, n, d).astype(dtype), scale_max=128, k_max=20)


@derandomized
@given(st.integers(0, 10**6).map(np.random.default_rng), st.integers(3, 5), st.sampled_from([64, 128]))
def test_ties_and_duplicates_as_in_the_definitions(rng, d, n):
    # Small integers, and a number of tokens that divides them exactly: distances that are equal stay equal.
    stack = rng.integers(-4, 5, size=(2, n, d)) + 10
    assert plain_observables(stack, 16, 8)["tied_tokens"].min() > n / 2
    assert_agrees(stack, scale_max=16, k_max=8)


def test_a_massive_activation_does_not_blur_the_rest():
    stack = random_stack(np.random.default_rng(0), 2, 200, 20)
    stack[:, 0] *= 1e6
    assert_agrees(stack, scale_max=64, k_max=15)


@pytest.mark.parametrize("offset", [0, 3])
def test_one_feature(offset):
    stack = gaussian(2, 150, 1) + offset
    found, expected = measure(stack), plain_observables(stack, 16, 8)
    np.testing.assert_array_equal(found["neighborhood_overlap"], expected["neighborhood_overlap"])
    assert_same(found, expected, 1e-7, {"intrinsic_dimension", "intrinsic_dimension_error"})
    # On a line an angle is 0 or 180 degrees and a cosine 1 or -1.
    np.testing.assert_allclose(found["neighbor_angle"], expected["neighbor_angle"], atol=1e-4)
    for name in COSINES:
        np.testing.assert_allclose(found[name], expected[name], rtol=0, atol=1e-6, err_msg=name)


@pytest.mark.parametrize("n", [3, 4, 9, 40, 65])
def test_the_largest_scale_and_the_most_neighbors_there_are(n):
    stack = gaussian(3, n, 5, seed=n)
    assert_agrees(stack, scale_max=n - 1, k_max=n - 1)
    assert (measure(stack, n - 1, n - 1)["neighborhood_overlap"][:-1, -1] == 1).all()  # all tokens are neighbors


# What leaves the observables as they are


@derandomized
@given(shapes, st.integers(-12, 12))
def test_rotation_scaling_and_empty_features_change_nothing(shape, exponent):
    rng, n, d = shape
    stack = random_stack(rng, 2, n, d)
    expected = measure(stack)
    padded = np.pad(stack, ((0, 0), (0, 0), (0, 3)))
    assert_same(measure(padded), expected, 1e-9)
    assert_same(measure(stack * 10.0**exponent), expected, 1e-9)
    assert_same(measure(stack * [[[1.0]], [[10.0**exponent]]]), expected, 1e-9)  # each layer has its own unit
    assert_same(measure(padded @ rotation(rng, d + 3)), expected, 1e-8)


@derandomized
@given(shapes, st.floats(0.1, 1e3))
def test_translation_changes_the_cosine_alone(shape, shift):
    rng, n, d = shape
    stack = random_stack(rng, 2, n, d)
    found, expected = measure(stack + shift * rng.normal(size=(2, 1, d))), measure(stack)
    assert_same(found, expected, 1e-6, OF_LAYERS - COSINES)
    for name in COSINES:
        assert (abs(found[name] - expected[name]) > 1e-6).all(), name


@derandomized
@given(shapes)
def test_order_of_the_tokens_changes_nothing(shape):
    rng, n, d = shape
    stack = random_stack(rng, 2, n, d)
    order = rng.permutation(n)
    expected = measure(stack)
    assert_same(measure(stack[:, order]), expected, 1e-9)
    # Renamed in one layer alone, all but the overlap stays.
    found = measure([stack[0], stack[1, order]])
    assert_same(found, expected, 1e-9, OF_LAYERS - {"neighborhood_overlap"})
    if n > 40:
        assert found["neighborhood_overlap"][0, -1] < expected["neighborhood_overlap"][0, -1]


@derandomized
@given(shapes)
def test_overlap_is_symmetric_and_one_with_itself(shape):
    rng, n, d = shape
    a, b = random_stack(rng, 2, n, d)
    there_and_back = measure([a, b, a, a])["neighborhood_overlap"]
    np.testing.assert_array_equal(there_and_back[0], there_and_back[1])
    assert (there_and_back[0] < 1).any() and (there_and_back[2] == 1).all()
    tables = [tg.nearest_neighbors(cloud, 8).indices for cloud in (a, b)]
    np.testing.assert_array_equal(tg.neighborhood_overlap(*tables), there_and_back[0])
    np.testing.assert_array_equal(tg.neighborhood_overlap(*reversed(tables)), there_and_back[0])


@derandomized
@given(st.integers(0, 10**6).map(np.random.default_rng), st.integers(80, 200), st.integers(2, 8))
def test_unrelated_layers_overlap_by_chance(rng, n, d):
    k_max, n_layers = 16, 5
    chi = measure(rng.normal(size=(n_layers, n, d)), 2, k_max)["neighborhood_overlap"][:-1].mean(0)
    k = np.arange(1, k_max + 1)
    p = k / (n - 1)
    # The common neighbors of a token follow a hypergeometric law. Neighbors are often mutual, so the counts of
    # two tokens may be one and the same: at most twice the variance of independent counts.
    variance = 2 * p * (1 - p) * (n - 1 - k) / (n - 2) / (k * n * (n_layers - 1))
    assert (abs(chi - p) < 5 * variance**0.5).all()


@derandomized
@given(shapes)
def test_at_scale_two_the_squared_relative_error_counts_the_tokens(shape):
    rng, n, d = shape
    stack = random_stack(rng, 2, n, d)
    stack[1, 5:9] = stack[1, 4]  # four of them leave
    found = measure(stack)
    kept = tg.gride_scales(tg.nearest_neighbors(stack, 2, drop_duplicates=True).distances, 2).n_points[:, 0]
    ratio = found["intrinsic_dimension"][:, 0] / found["intrinsic_dimension_error"][:, 0]
    np.testing.assert_allclose(ratio**2, kept, rtol=1e-9)
    # In two dimensions and more, the cut for outliers takes at most a few tokens, and of most clouds none.
    assert (kept <= torch.tensor([n, n - 4])).all() and (kept >= torch.tensor([n - 3, n - 7])).all()


# The rim of a ball and the curvature of a sphere lower the estimate, the more the fewer the tokens and the higher
# the dimension; no bias in one dimension, where the cut for outliers takes real ratios away, but too few to matter.
@pytest.mark.parametrize("d", range(1, 11))
@pytest.mark.parametrize("make, bias", [(sphere, 0.007), (ball, 0.015)])
def test_dimension_of_balls_and_spheres(make, bias, d):
    rng = np.random.default_rng(d)
    cloud = make(rng, 1000, d)
    cloud = np.pad(cloud, ((0, 0), (0, 20 - cloud.shape[1]))) @ rotation(rng, 20) + rng.normal(size=20)
    found = measure([cloud], scale_max=2)
    dimension, error = found["intrinsic_dimension"].item(), found["intrinsic_dimension_error"].item()
    assert d * (1 - bias * (d - 1)) - 4 * error < dimension < d + 4 * error


# Nothing outside a cloud enters


@pytest.fixture(scope="module")
def stack():
    """Three layers, the first with duplicates, that float32 holds exactly."""
    stack = random_stack(np.random.default_rng(7), 3, 100, 12).astype(np.float32).astype(np.float64)
    stack[0, 60:80] = stack[0, :20]
    return stack


def test_two_runs_are_bit_identical(stack):
    assert_identical(measure(stack), measure(stack))


@pytest.mark.parametrize(
    "convert",
    [
        list,
        lambda stack: (layer for layer in stack),
        lambda stack: stack.astype(np.float32),
        lambda stack: stack.tolist(),
        torch.tensor,
        lambda stack: torch.nn.Parameter(torch.tensor(stack)),
        lambda stack: torch.tensor(stack, dtype=torch.float32),
        lambda stack: torch.tensor(stack.swapaxes(1, 2).copy()).swapaxes(1, 2),
        lambda stack: torch.tensor(stack).repeat(1, 2, 1)[:, :100],
    ],
    ids=[
        "list",
        "generator",
        "float32",
        "nested lists",
        "tensor",
        "parameter",
        "float32 tensor",
        "transposed",
        "part",
    ],
)
def test_what_holds_the_layers_does_not_matter(stack, convert):
    assert_same(measure(convert(stack)), measure(stack), 1e-10)


def test_layers_one_at_a_time(stack):
    whole = measure(stack)
    for i, layer in enumerate(stack):
        alone = measure([layer])
        for name in OF_LAYERS - {"neighborhood_overlap"}:
            np.testing.assert_array_equal(whole[name][i], alone[name][0], err_msg=name)
    for i in range(len(stack) - 1):
        pair = measure(stack[i : i + 2])["neighborhood_overlap"]
        np.testing.assert_array_equal(whole["neighborhood_overlap"][i], pair[0])
        assert np.isnan(pair[1]).all()


def test_observer_gives_what_observables_gives(stack):
    observer = Observer(16, 8)
    for layer in stack:
        observer.update(layer)
    values = observer.values()
    assert all(value.shape[0] == len(stack) for value in values.values())
    assert_identical({name: value.numpy() for name, value in values.items()}, measure(stack))


def test_several_prompts_at_once_equal_one_at_a_time():
    prompts = np.stack([random_stack(np.random.default_rng(seed), 3, 80, 9) for seed in range(4)])
    prompts[1, 0, 30:50] = prompts[1, 0, :20]  # duplicates in one layer of one prompt
    prompts[2, 2] = prompts[2, 2, 0]  # and nothing else in another
    found = tg.observables(prompts.swapaxes(0, 1), 16, 8)
    assert found.sizes == {"prompt": 4, "layer": 3, "scale": 4, "k": 8}
    for i, prompt in enumerate(prompts):
        assert_same(found.isel(prompt=i), tg.observables(prompt, 16, 8), 1e-9)
    assert found.duplicate_tokens.values.tolist() == [[0, 0, 0], [20, 0, 0], [0, 0, 79], [0, 0, 0]]
    assert found.intrinsic_dimension.isnull().all("scale").values.nonzero()[0].tolist() == [2]


@contextmanager
def set_to(get, put, value):
    """A global setting of torch, for a while."""
    before = get()
    put(value)
    try:
        yield
        assert get() == value  # and nobody has touched it
    finally:
        put(before)


def test_thread_count_does_not_show(stack):
    found = []
    for n in (1, 2):
        with set_to(torch.get_num_threads, torch.set_num_threads, n):
            found.append(measure(stack))
    assert_same(*found, 1e-9)


@pytest.mark.parametrize("whole", [0, products.WHOLE])
@pytest.mark.parametrize("block", [400, 3000])
def test_blocks_do_not_show(stack, block, whole, monkeypatch):
    expected = measure(stack)
    monkeypatch.setattr(pairs, "BLOCK", block)
    monkeypatch.setattr(pairs, "WHOLE", whole)
    monkeypatch.setattr(reference_overlap, "BLOCK", block)
    assert_same(measure(stack), expected, 1e-9)


@pytest.mark.parametrize("precision", ["high", "medium"])
def test_matmul_precision_of_the_caller_does_not_leak_in(stack, precision):
    single = stack.astype(np.float32)
    expected = measure(single)
    with set_to(torch.get_float32_matmul_precision, torch.set_float32_matmul_precision, precision):
        assert_same(measure(single), expected, 1e-7)  # the angle between copies: see below


@pytest.mark.parametrize("dtype", [torch.float16, torch.float64])
def test_default_dtype_of_the_caller_does_not_leak_in(stack, dtype):
    expected = measure(stack)
    with set_to(torch.get_default_dtype, torch.set_default_dtype, dtype):
        assert_identical(measure(stack), expected)


def test_settings_and_random_numbers_of_the_caller_are_left_alone(stack):
    def everything():
        return (
            torch.get_num_threads(), torch.get_float32_matmul_precision(), torch.get_default_dtype(),
            torch.is_grad_enabled(), torch.is_inference_mode_enabled(), torch.are_deterministic_algorithms_enabled(),
            torch.get_rng_state().numpy().tobytes(), np.random.get_state()[1].tobytes(), np.geterr(),
            [*warnings.filters], dict(os.environ),
        )  # fmt: skip

    degenerate = np.concatenate([stack, stack[:1, [0] * stack.shape[1]]])
    model = tiny_llama()
    before, input_before = everything(), degenerate.copy()
    measure(degenerate)
    measure_tokens(model, torch.arange(20), 4, 3)
    with pytest.raises(tg.InputError):
        measure(degenerate * np.nan)
    assert everything() == before
    np.testing.assert_array_equal(degenerate, input_before)


# Degenerate clouds


@pytest.fixture
def no_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def test_duplicates_leave_the_dimension_and_stay_in_the_rest(no_warnings):
    unique = gaussian(2, 120, 6) + 0.5
    copies = np.random.default_rng(1).integers(0, 120, 60)
    order = np.random.default_rng(2).permutation(180)
    cloud = np.concatenate([unique, unique[:, copies]], 1)[:, order]
    found, of_unique = measure(cloud, 64), measure(unique, 64)
    assert found["duplicate_tokens"].tolist() == [60, 60]
    assert_same(found, of_unique, 1e-9, {"intrinsic_dimension", "intrinsic_dimension_error"})
    # A token with a copy keeps it as its first neighbor, in both layers, and its weight in the mean.
    single = (cloud[0][:, None] == cloud[0]).all(-1).sum(1) == 1
    assert found["neighborhood_overlap"][0, 0] > 1 - single.mean() > 0.5
    assert found["neighborhood_overlap"][0, 0] > of_unique["neighborhood_overlap"][0, 0] + 0.3
    assert_same(found, plain_observables(cloud, 2, 8), 1e-9, COSINES)
    assert (abs(found["cosine_similarity"] - of_unique["cosine_similarity"]) > 1e-4).all()


def test_a_token_with_a_copy_has_no_angle():
    unique = gaussian(100, 6)
    cloud = np.concatenate([unique, unique[:40]])  # at distance zero there is no direction
    angles = tg.neighbor_angles(cloud, tg.nearest_neighbors(cloud, 2))
    assert angles.isnan().tolist() == [True] * 40 + [False] * 60 + [True] * 40
    # (Between a neighbor and its copy the angle is 0, and the arc cosine of 1 - 1e-16 is 1e-8.)
    np.testing.assert_allclose(measure([cloud])["neighbor_angle"], angles[40:100].mean(), rtol=1e-7)


@pytest.mark.parametrize(
    "cloud, tied",
    [
        (lattice(7), 49),
        (lattice(8), 64),
        (np.eye(16), 16),  # a power of two: the mean is exact
        (gaussian(100, 3) + 1, 0),
        # ten far-off triples 0, 1, 2 on a line: the one in the middle has two neighbors at distance 1
        (np.concatenate([1000 * gaussian(10, 4) + [i, 0, 0, 0] for i in range(3)]).round(), 10),
    ],
    ids=["square lattice", "even lattice", "simplex", "generic", "triples"],
)
def test_tied_tokens_have_equally_distant_neighbors(cloud, tied):
    assert measure([cloud], 2, 1)["tied_tokens"].tolist() == [tied]
    assert measure([cloud], 2, 12)["tied_tokens"].tolist() == [tied]


@pytest.mark.parametrize("distinct", [1, 2])
def test_fewer_than_three_distinct_tokens_have_no_dimension(distinct, no_warnings):
    layer = (gaussian(distinct, 4) + 1)[np.arange(20) % distinct]
    found = measure([layer, gaussian(20, 4), layer, layer])
    for name in ("intrinsic_dimension", "intrinsic_dimension_error"):
        assert np.isnan(found[name]).all(1).tolist() == [True, False, True, True]
    assert np.isnan(found["neighbor_angle"]).tolist() == [True, False, True, True]
    assert np.isnan(found["effective_rank"]).tolist() == [distinct == 1, False, distinct == 1, distinct == 1]
    for name in OF_LAYERS - {"intrinsic_dimension", "intrinsic_dimension_error", "neighbor_angle", "effective_rank"}:
        assert np.isfinite(found[name][:3]).all(), name
    assert found["duplicate_tokens"].tolist() == [20 - distinct, 0, 20 - distinct, 20 - distinct]
    np.testing.assert_array_equal(found["neighborhood_overlap"][2], 1)


def test_three_distinct_tokens_have_a_dimension(no_warnings):
    found = measure([(gaussian(3, 4) + 1)[np.arange(20) % 3]])
    assert np.isfinite(found["intrinsic_dimension"]).tolist() == [[True, False, False, False]]


@pytest.mark.parametrize("value", [1.0, 0.1, -3e5])
def test_a_constant_cloud(value, no_warnings):
    found = measure(np.full((2, 20, 3), value))
    assert found["duplicate_tokens"].tolist() == [19, 19] and found["tied_tokens"].tolist() == [20, 20]
    assert np.isnan(found["intrinsic_dimension"]).all()
    np.testing.assert_allclose(found["cosine_similarity"], 1, rtol=1e-12)
    np.testing.assert_allclose(found["cosine_similarity_std"], 0, atol=3e-8)
    np.testing.assert_array_equal(found["neighborhood_overlap"][0], 1)


def test_the_smallest_cloud(no_warnings):
    found = measure([[[1.0], [2.0], [4.0]], [[1.0], [5.0], [4.0]]], 2, 2)
    ratios = [3, 2, 1.5], [4 / 3, 4, 3]
    np.testing.assert_allclose(found["intrinsic_dimension"][:, 0], [2 / np.log(r).sum() for r in ratios], rtol=1e-9)
    np.testing.assert_allclose(found["neighborhood_overlap"][0], [1 / 3, 1])


@pytest.mark.parametrize("factor", [1e-150, 1e-30, 1e30, 1e100, 1e150])
def test_tiny_and_huge_clouds(factor, no_warnings):
    stack = random_stack(np.random.default_rng(0), 2, 100, 6)
    assert_same(measure(stack * factor), measure(stack), 1e-9)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_not_finite_names_layer_prompt_and_token(bad, dtype):
    layers = gaussian(4, 3, 30, 5).astype(dtype)
    layers[2, 1, 17, 4] = bad
    with pytest.raises(tg.InputError, match=r"layer 2\b.*token 17\b") as error:
        tg.observables(layers[:, 1], 4, 3)
    assert "prompt" not in str(error.value)
    with pytest.raises(tg.InputError, match=r"layer 2\b.*prompt 1, token 17\b"):
        tg.observables(layers, 4, 3)


@pytest.mark.parametrize("scale_max, k_max, words", [(30, 3, "scale 30"), (4, 30, "k_max 30")])
def test_more_neighbors_than_tokens_are_refused(scale_max, k_max, words):
    with pytest.raises(tg.InputError, match=f"{words} exceeds N - 1 = 29"):
        tg.observables(gaussian(2, 30, 5), scale_max, k_max)
    tg.observables(gaussian(2, 31, 5), scale_max, k_max)


@pytest.mark.parametrize(
    "clouds, words",
    [
        ([], "no layer"),
        ([gaussian(30, 4) * (np.arange(30) != 8)[:, None]], "origin"),
        ([np.zeros((30, 4))], "origin"),
        (gaussian(30, 4), r"shape \(\.\.\., token, feature\)"),
        ([gaussian(30, 4), gaussian(31, 4)], "30 tokens with 31"),
    ],
    ids=["no layers", "a token at the origin", "all of them", "one cloud, no stack", "layers of different lengths"],
)
def test_what_cannot_be_measured_says_so(clouds, words):
    with pytest.raises(tg.InputError, match=words):
        tg.observables(clouds, 4, 3)


# Layers measured while the model runs


def tiny_llama(n_layers=2):
    torch.manual_seed(0)
    config = hf.LlamaConfig(vocab_size=97, hidden_size=32, intermediate_size=48, num_hidden_layers=n_layers,
                            num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=512)  # fmt: skip
    network = hf.AutoModelForCausalLM.from_config(config).eval()
    with torch.no_grad():  # larger weights than at initialization: layers that differ
        for weight in network.parameters():
            weight.mul_(3)
    return LanguageModel("tiny", network, None, "test")


def token_ids(*shape):
    return torch.randint(0, 97, shape, generator=torch.Generator().manual_seed(0))


def test_stream_hands_out_the_token_clouds_layer_by_layer():
    model, ids = tiny_llama(), token_ids(40)
    clouds, seen = tg.token_clouds(model, ids), []
    loss = stream_clouds(model, ids, seen.append)
    assert len(seen) == model.n_layers + 1
    assert torch.equal(torch.stack(seen), clouds.hidden) and torch.equal(loss, clouds.loss)


def test_rows_of_a_batch_are_the_single_prompts():
    model, ids, seen = tiny_llama(), token_ids(3, 40), []
    loss = stream_clouds(model, ids, seen.append)
    assert loss.shape == (3, 39) and loss.dtype == torch.float32
    assert [layer.shape for layer in seen] == [(3, 40, 32)] * 3
    for i, row in enumerate(ids):
        alone = tg.token_clouds(model, row)
        torch.testing.assert_close(torch.stack(seen)[:, i], alone.hidden, rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(loss[i], alone.loss, rtol=1e-5, atol=1e-5)


def count_hooks(model):
    return [len(module._forward_pre_hooks) + len(module._forward_hooks) for module in model.network.modules()]


@pytest.mark.parametrize("fail_at", [0, 1, 2])
def test_an_error_while_seeing_leaves_no_hook_behind(fail_at):
    model, seen = tiny_llama(), []

    def see(cloud):
        seen.append(cloud)
        if len(seen) > fail_at:
            raise RuntimeError("seen enough")

    tg.token_clouds(model, token_ids(20))  # transformers installs hooks of its own at the first call
    before = count_hooks(model)
    with pytest.raises(RuntimeError, match="seen enough"):
        stream_clouds(model, token_ids(20), see)
    assert len(seen) == fail_at + 1 and count_hooks(model) == before


def test_a_refused_measurement_leaves_no_hook_behind():
    model = tiny_llama()
    expected = measure_tokens(model, token_ids(20), 4, 3)
    before = count_hooks(model)
    with pytest.raises(tg.InputError, match="k_max 20 exceeds N - 1 = 19"):
        measure_tokens(model, token_ids(20), 4, 20)
    assert count_hooks(model) == before
    assert_same(measure_tokens(model, token_ids(20), 4, 3), expected, 1e-9)


@pytest.mark.parametrize("shape", [(30,), (2, 30)])
def test_no_layer_outlives_its_turn(shape):
    observer, storages, alive = Observer(4, 3), [], []

    def see(cloud):
        observer.update(cloud)
        # By the memory itself: the tensor that is handed out may be one view of many.
        storages.append(StorageWeakRef(cloud.untyped_storage()))
        alive.append(sum(not storage.expired() for storage in storages))

    stream_clouds(tiny_llama(6), token_ids(*shape), see)
    assert len(alive) == 7
    assert max(alive) <= 2  # the layer at work, and the embeddings, which the model itself holds on to
    assert all(storage.expired() for storage in storages)


@pytest.mark.parametrize("skip", [0, 2])
def test_measured_batch_equals_the_single_prompts(skip):
    model, ids = tiny_llama(), token_ids(3, 60)
    model.network.double()  # so that the rounding of a batched product decides no neighbor
    found = measure_tokens(model, ids, 16, 8, skip)
    assert set(found.data_vars) == set(OBSERVABLES) - {"bleu"}  # which compares two orders of the tokens
    assert found.sizes == {"prompt": 3, "layer": 3, "scale": 4, "k": 8}
    for i, row in enumerate(ids):
        alone = measure_tokens(model, row, 16, 8, skip)
        expected = tg.observables(tg.token_clouds(model, row).hidden[:, skip:], 16, 8)
        assert_same(alone, expected, 1e-9)
        assert_same(found.isel(prompt=i), alone, 1e-9)
        assert found.loss[i].item() == pytest.approx(alone.loss.item(), rel=1e-5)
        assert found.distinct_tokens[i] == alone.distinct_tokens == len(set(row.tolist()))
        assert found.duplicate_tokens[i, 0] == 60 - skip - len(set(row[skip:].tolist()))  # the embeddings are a table


# The processor

ZEN_4 = """\
processor\t: 0
vendor_id\t: AuthenticAMD
cpu family\t: 25
flags\t\t: fpu avx2 avx512f avx512_vbmi2
"""
PROCESSORS = {
    "Zen 4": (ZEN_4, True),
    "Zen 4, many": ("\n".join(ZEN_4.replace(": 0", f": {i}") for i in range(8)), True),
    "Zen 3": (ZEN_4.replace(" avx512f avx512_vbmi2", ""), False),
    "Zen 5": (ZEN_4.replace("25", "26"), False),
    "Intel": (ZEN_4.replace("AuthenticAMD", "GenuineIntel").replace("25", "6"), False),
    "ARM": ("processor\t: 0\nBogoMIPS\t: 48.00\nFeatures\t: fp asimd\n", False),
    "empty": ("", False),
}


@pytest.mark.parametrize("text, expected", PROCESSORS.values(), ids=PROCESSORS)
def test_zen_4_is_known_by_its_cpuinfo(text, expected, tmp_path):
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text(text)
    assert processor._is_zen4(cpuinfo) is expected


def test_without_cpuinfo_it_is_not_zen_4(tmp_path):
    assert processor._is_zen4(tmp_path / "missing") is False


def test_settings_follow_the_processor():
    chosen = processor.settings()
    assert chosen["OMP_WAIT_POLICY"] == "PASSIVE"
    # Older versions of numpy do not know the features by these names.
    named = np.lib.NumpyVersion(np.__version__) >= "2.4.0"
    assert ("NPY_DISABLE_CPU_FEATURES" in chosen) == (processor._is_zen4(Path("/proc/cpuinfo")) and named)


def test_apply_sets_what_is_not_set(monkeypatch):
    monkeypatch.setattr(os, "environ", {"OTHER": "1"})
    processor.apply()
    assert os.environ == {"OTHER": "1", **processor.settings()}
    theirs = dict.fromkeys([*processor.settings(), "OTHER"], "theirs")
    monkeypatch.setattr(os, "environ", dict(theirs))
    processor.apply()
    assert os.environ == theirs


def test_layers_of_other_prompts_are_refused():
    observer = Observer(scale_max=4, k_max=3)
    observer.update(gaussian(20, 4))
    with pytest.raises(tg.InputError, match="layer 1 .*the same prompts"):
        observer.update(gaussian(2, 20, 4))
    with pytest.raises(tg.InputError, match="4 axes"):
        observer.update(gaussian(1, 1, 20, 4))
