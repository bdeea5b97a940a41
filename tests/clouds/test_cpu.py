"""The screening on a CPU against the float64 table, where its bound is put to the test."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from conftest import UNMEASURED
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist

from tokengeom_utils.clouds.kernels import products
from tokengeom_utils.clouds.kernels.cpu.pairs import layer as screened_layer
from tokengeom_utils.clouds.kernels.participation import participation
from tokengeom_utils.clouds.kernels.reference.pairs import layer as exact_layer


def gaussian(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def ranks_up_to(n):
    return 2 ** torch.arange(int(n).bit_length())


def assert_same_layer(cloud, k=20, scale_max=64, rtol=1e-11):
    """Both ways give the same, the order of equally distant neighbors apart."""
    cloud = torch.as_tensor(cloud)
    n = cloud.shape[-2]
    k, ranks = min(k, n - 1), ranks_up_to(min(scale_max, n - 1))
    found, expected = screened_layer(cloud, ranks, k), exact_layer(cloud, ranks, k)
    np.testing.assert_allclose(found.radii, expected.radii, rtol=rtol)
    np.testing.assert_array_equal(found.is_duplicate, expected.is_duplicate)
    for name in ("indices", "is_duplicate", "is_tied", "angle", "radii"):
        assert getattr(found, name).dtype == getattr(expected, name).dtype, name
        assert getattr(found, name).shape == getattr(expected, name).shape, name
    clear = ~(found.is_tied | expected.is_tied)
    np.testing.assert_array_equal(found.indices[clear], expected.indices[clear])
    for row in found.indices[~clear].tolist():
        assert len(set(row)) == k
    np.testing.assert_allclose(found.cosine.mean, expected.cosine.mean, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(found.cosine.mean_distinct, expected.cosine.mean_distinct, rtol=1e-9, atol=1e-12)
    # The other way loses the deviation below 1e-8, as a difference of squares; this one feels float32 where a token
    # lies much closer to the origin than to the center, as some do on a line.
    tolerance = 1e-5 if cloud.shape[-1] == 1 else 1e-6
    np.testing.assert_allclose(found.cosine.std, expected.cosine.std, rtol=1e-6, atol=tolerance)
    np.testing.assert_allclose(found.participation, participation(cloud.double()), rtol=2e-6)
    return found


@settings(deadline=None, derandomize=True, max_examples=60)
@given(st.integers(0, 10**6), st.integers(3, 200), st.integers(1, 40), st.integers(-8, 8), st.floats(0, 4))
def test_generic_clouds_of_any_size(seed, n, d, exponent, offset):
    cloud = (gaussian(n, d, seed=seed) + offset) * 10.0**exponent
    assert_same_layer(cloud, rtol=1e-10 if d == 1 else 1e-11)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
def test_every_dtype(dtype):
    assert_same_layer(torch.tensor(gaussian(150, 24), dtype=dtype))


@pytest.mark.parametrize("copies", [2, 3, 40, 148])
def test_copies(copies):
    cloud = gaussian(150, 12)
    cloud[:copies] = cloud[0]  # with 40, more than the neighbors that are asked for
    found = assert_same_layer(cloud[np.random.default_rng(1).permutation(150)])
    assert found.is_duplicate.sum() == copies - 1
    assert found.angle.isnan().sum() >= copies


def test_constant_cloud():
    found = assert_same_layer(np.full((20, 3), 0.1))
    assert found.is_duplicate.sum() == 19 and found.radii.isnan().all() and found.is_tied.all()


@pytest.mark.parametrize("offset", [1e2, 1e4, 1e6])
def test_far_from_the_origin(offset):
    assert_same_layer(gaussian(150, 12) + offset)


@pytest.mark.parametrize("separation", [1e2, 1e4, 1e6])
def test_distant_clusters_whose_inner_distances_float32_cannot_see(separation):
    cloud = gaussian(200, 8)
    cloud[::2] += separation
    assert_same_layer(cloud, scale_max=64, rtol=1e-9)  # the float64 table itself is no better here


@pytest.mark.parametrize("factor", [1e2, 1e4, 1e8])
def test_massive_activations(factor):
    cloud = gaussian(200, 30)
    cloud[0] *= factor
    cloud[7, 3] = -factor
    assert_same_layer(cloud, rtol=1e-9 if factor > 1e4 else 1e-11)


@pytest.mark.parametrize("d", [2, 12])
def test_units_of_the_keys_that_are_coarse_beside_the_distances(d):
    """Neighbors far away are asked for too, which leaves few bits for the distances of those nearby."""
    cloud = 1e-3 * gaussian(1500, d)
    cloud[:600] += 1
    assert_same_layer(cloud, k=31, scale_max=1024, rtol=1e-9)


def test_neighbors_that_differ_less_than_float32_can_tell():
    # All tokens on a sphere about token 0, at distances that differ by parts in 1e9.
    directions = gaussian(120, 10)
    radii = 1 + 1e-9 * np.random.default_rng(1).permutation(120)
    directions *= radii[:, None] / np.linalg.norm(directions, axis=1, keepdims=True)
    cloud = np.vstack([np.zeros(10), directions]) + 3
    found = screened_layer(torch.tensor(cloud), ranks_up_to(64), 30)
    assert found.indices[0].tolist() == (1 + np.argsort(radii)[:30]).tolist()
    np.testing.assert_allclose(found.radii[0], np.sort(radii)[ranks_up_to(64) - 1], rtol=1e-13)


def test_ties():
    side = np.arange(12.0)
    lattice = np.stack(np.meshgrid(side, side), -1).reshape(-1, 2) + 100
    found = screened_layer(torch.tensor(lattice), ranks_up_to(8), 8)
    assert found.is_tied.all()
    expected = np.sort(cdist(lattice, lattice), 1)[:, 1:]
    np.testing.assert_allclose(found.radii, expected[:, ranks_up_to(8) - 1], rtol=1e-12)
    # Ties go to the lower index.
    order = np.lexsort((np.broadcast_to(np.arange(144), (144, 144)), cdist(lattice, lattice, "sqeuclidean")))
    np.testing.assert_array_equal(found.indices, order[:, 1:9])


def test_without_the_whole_gram_matrix(monkeypatch):
    cloud = torch.tensor(gaussian(150, products.WIDE), dtype=torch.float32)
    whole = screened_layer(cloud, ranks_up_to(64), 20)
    monkeypatch.setattr(products, "WHOLE", 0)
    parts = screened_layer(cloud, ranks_up_to(64), 20)
    np.testing.assert_array_equal(parts.indices, whole.indices)
    np.testing.assert_array_equal(parts.radii, whole.radii)


def test_a_batch_is_its_clouds():
    stack = torch.tensor(gaussian(2, 3, 60, 7))
    stack[1, 2, 5] = stack[1, 2, 4]
    found = screened_layer(stack, ranks_up_to(32), 9)
    for i in range(2):
        for j in range(3):
            one = screened_layer(stack[i, j], ranks_up_to(32), 9)
            flat = [(*part[:-2], *part.cosine, part.participation) for part in (found, one)]
            for whole, single in zip(*flat, strict=True):
                np.testing.assert_array_equal(whole[i, j], single)


def test_every_layer_of_the_model(model):
    import tokengeom_utils as tg

    ids = model.tokenize(tg.load_prompts("pocket", n=1)[0].text, 300)
    for cloud in tg.token_clouds(model, ids).hidden:
        assert_same_layer(cloud, k=31, scale_max=128, rtol=1e-10)


def test_the_process_that_compiles_finds_the_same_as_those_that_come_after(tmp_path):
    code = (
        "import sys, numpy, torch, tokengeom_utils as tg; "
        "found = tg.observables(torch.randn(2, 61, 300, generator=torch.Generator().manual_seed(0)), 16, 8); "
        "sys.stdout.buffer.write(b''.join(found[name].values.tobytes() for name in sorted(found)))"
    )
    said = [
        subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            check=True,
            env={**UNMEASURED, "NUMBA_CACHE_DIR": str(tmp_path)},
        ).stdout
        for _ in range(2)
    ]
    assert said[0] == said[1] and len(said[0]) > 300


@pytest.mark.parametrize(("n", "shift"), [(300, 30), (1000, 300)])
def test_participation_where_the_center_of_the_screening_is_far_from_the_mean(n, shift):
    """One token beside the origin has nearly all the weight: products about it hide those about the mean."""
    cloud = gaussian(n, 30)
    cloud[:, 0] += shift
    cloud[0] *= 1e-9
    cloud = torch.tensor(cloud, dtype=torch.float32)
    found = screened_layer(cloud, ranks_up_to(8), 5).participation
    np.testing.assert_allclose(found, participation(cloud.double()), rtol=2e-6)
