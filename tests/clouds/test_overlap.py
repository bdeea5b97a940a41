"""Neighborhood overlap and reciprocity against plain Python sets."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial import cKDTree

from tokengeom_utils import InputError, nearest_neighbors, neighborhood_overlap
from tokengeom_utils.clouds.kernels.cpu.overlap import count_shared
from tokengeom_utils.clouds.kernels.reference.overlap import count_shared as count_plainly
from tokengeom_utils.clouds.overlap import poisson_reciprocity, reciprocity


def neighbors(*shape, k, seed=0):
    return nearest_neighbors(np.random.default_rng(seed).normal(size=shape), k).indices


def by_sets(a, b, k):
    a, b = a.tolist(), b.tolist()
    return sum(len(set(x[:k]) & set(y[:k])) for x, y in zip(a, b, strict=True)) / (len(a) * k)


@pytest.mark.parametrize("n, k_max", [(2, 1), (3, 2), (30, 29), (200, 31)])
def test_equals_set_intersections_for_every_k(n, k_max):
    cloud = np.random.default_rng(n).normal(size=(n, 4))
    moved = cloud + np.random.default_rng(n + 1).normal(size=cloud.shape) * 0.5
    a, b = (nearest_neighbors(c, k_max).indices for c in (cloud, moved))
    overlap = neighborhood_overlap(a, b, k_max)
    assert overlap.dtype == torch.float64 and overlap.shape == (k_max,)
    np.testing.assert_allclose(overlap, [by_sets(a, b, k) for k in range(1, k_max + 1)], rtol=1e-14)
    np.testing.assert_array_equal(overlap, neighborhood_overlap(b, a, k_max))


def test_all_tokens_are_neighbors_at_the_largest_k():
    overlap = neighborhood_overlap(neighbors(20, 3, k=19), neighbors(20, 3, k=19, seed=1))
    assert overlap[-1] == 1 and (overlap[:-1] < 1).all() and (overlap >= 0).all()


def test_overlap_with_itself_is_one():
    stack = neighbors(3, 50, 6, k=12)
    assert (neighborhood_overlap(stack, stack) == 1).all()


def test_adjacent_layers_of_a_stack_and_broadcasting():
    stack = neighbors(4, 40, 5, k=8)
    adjacent = neighborhood_overlap(stack[:-1], stack[1:], 8)
    with_first = neighborhood_overlap(stack[0], stack, 8)
    assert adjacent.shape == (3, 8) and with_first.shape == (4, 8)
    for i in range(3):
        np.testing.assert_array_equal(adjacent[i], neighborhood_overlap(stack[i], stack[i + 1], 8))
        np.testing.assert_array_equal(with_first[i], neighborhood_overlap(stack[0], stack[i], 8))


def test_fewer_columns_are_the_beginning_of_more():
    a, b = neighbors(60, 5, k=20), neighbors(60, 5, k=15, seed=1)
    np.testing.assert_array_equal(neighborhood_overlap(a, b, 7), neighborhood_overlap(a, b)[:7])
    assert neighborhood_overlap(a, b).shape == (15,)


def test_arrays_and_lists_will_do():
    assert neighborhood_overlap(np.array([[1, 2], [2, 0], [0, 1]]), [[2, 1], [0, 2], [1, 0]]).tolist() == [0, 1]


def test_unrelated_clouds_overlap_by_chance():
    n, k_max = 1000, 50
    overlap = neighborhood_overlap(neighbors(n, 4, k=k_max), neighbors(n, 4, k=k_max, seed=1), k_max).numpy()
    # n k chi is a sum of n hypergeometric counts, each of mean k^2 / (n - 1): chi scatters by about 1 / n.
    np.testing.assert_allclose(overlap, np.arange(1, k_max + 1) / (n - 1), rtol=0, atol=5 / n)


def test_renaming_the_tokens_of_both_clouds_changes_nothing():
    rng = np.random.default_rng(5)
    a, b, order = rng.normal(size=(80, 6)), rng.normal(size=(80, 6)), rng.permutation(80)
    b = a + 0.4 * b
    before, after = (
        neighborhood_overlap(nearest_neighbors(x, 10).indices, nearest_neighbors(y, 10).indices)
        for x, y in ((a, b), (a[order], b[order]))
    )
    np.testing.assert_array_equal(before, after)
    assert 0.1 < before[-1] < 0.9
    one_alone = neighborhood_overlap(nearest_neighbors(a[order], 10).indices, nearest_neighbors(b, 10).indices)
    assert one_alone[-1] < 0.5 * before[-1]


def test_an_empty_place_is_no_common_neighbor():
    a, b = torch.tensor([[1], [-1], [0]]), torch.tensor([[2], [-1], [1]])
    assert neighborhood_overlap(a, b).tolist() == [0]


@pytest.mark.parametrize("table", [[[1.0], [0.0]], [1, 0]])
def test_what_is_no_table_is_refused(table):
    with pytest.raises(InputError, match="whole numbers"):
        neighborhood_overlap(table, [[1], [0]])


@pytest.mark.parametrize("bad", [-2, 3])
def test_tokens_that_do_not_exist_are_refused(bad):
    good = torch.tensor([[1], [2], [0]])
    with pytest.raises(InputError, match=f"3 tokens contains indices from .*{bad}"):
        neighborhood_overlap(good, torch.tensor([[1], [bad], [0]]))


@settings(deadline=None, derandomize=True, max_examples=40)
@given(st.integers(0, 10**6), st.integers(2, 60), st.floats(0, 0.5))
def test_what_a_gpu_counts_with_gives_the_same(seed, n, empty):
    rng = np.random.default_rng(seed)
    k = int(rng.integers(1, n))
    tables = torch.from_numpy(np.argsort(rng.random((2, 3, n, n)), -1)[..., :k].astype(np.int32))
    tables[torch.from_numpy(rng.random(tables.shape) < empty)] = -1
    np.testing.assert_array_equal(count_shared(*tables), count_plainly(*tables))


def test_different_numbers_of_tokens_are_refused():
    with pytest.raises(InputError, match="30 tokens with 31"):
        neighborhood_overlap(neighbors(30, 3, k=5), neighbors(31, 3, k=5))


@pytest.mark.parametrize("k_max", [-1, 0, 6])
def test_k_beyond_the_tables_is_refused(k_max):
    with pytest.raises(InputError, match=rf"k_max = {k_max}\b.*5 and 9"):
        neighborhood_overlap(neighbors(30, 3, k=5), neighbors(30, 3, k=9), k_max)


def returned(table, k):
    """Share of the links of the k nearest that are returned, pair by pair."""
    near = [set(row[:k]) for row in table.tolist()]
    links = [(i, j) for i, row in enumerate(near) for j in row]
    return sum(i in near[j] for i, j in links) / len(links)


@pytest.mark.parametrize("n, k_max", [(2, 1), (3, 2), (30, 29), (200, 31)])
def test_reciprocity_equals_a_count_of_links_for_every_k(n, k_max):
    table = neighbors(n, 6, k=k_max, seed=n)
    shares = reciprocity(table)
    assert shares.dtype == torch.float64 and shares.shape == (k_max,)
    np.testing.assert_allclose(shares, [returned(table, k) for k in range(1, k_max + 1)], rtol=1e-14)
    np.testing.assert_array_equal(reciprocity(table, 1), shares[:1])


def test_reciprocity_of_a_stack_is_that_of_its_layers():
    stack = neighbors(2, 3, 40, 5, k=8)
    together = reciprocity(stack, 5)
    assert together.shape == (2, 3, 5)
    for i, j in np.ndindex(2, 3):
        np.testing.assert_array_equal(together[i, j], reciprocity(stack[i, j], 5))


def test_all_links_are_returned_where_everyone_is_a_neighbor():
    assert reciprocity(neighbors(20, 3, k=19))[-1] == 1


def test_reciprocity_of_random_links_is_chance():
    n, k = 500, 20
    rng = np.random.default_rng(0)
    links = rng.permuted(np.tile(np.arange(n - 1), (n, 1)), axis=1)[:, :k]
    links += links >= np.arange(n)[:, None]  # nobody links to itself
    np.testing.assert_allclose(reciprocity(links), np.arange(1, k + 1) / (n - 1), rtol=0, atol=5 / n)


def test_an_empty_place_is_no_link():
    # 0 and 1 choose each other, 2 was dropped as a duplicate, 3 chooses 1: its one link is not returned.
    table = torch.tensor([[1, -1], [0, 3], [-1, -1], [1, -1]])
    np.testing.assert_allclose(reciprocity(table), [2 / 3, 4 / 4])
    assert reciprocity(torch.full((3, 2), -1)).isnan().all()


def test_reciprocity_of_renamed_tokens_is_the_same():
    cloud = np.random.default_rng(0).normal(size=(90, 5))
    order = np.random.default_rng(1).permutation(90)
    a, b = (reciprocity(nearest_neighbors(x, 9).indices) for x in (cloud, cloud[order]))
    np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("k_max", [0, 6])
def test_reciprocity_beyond_the_table_is_refused(k_max):
    with pytest.raises(InputError, match=f"k_max = {k_max}.*holds 5"):
        reciprocity(neighbors(30, 3, k=5), k_max)


@pytest.mark.parametrize("d", [1, 2, 3])
def test_reciprocity_of_an_even_scatter_is_the_formula(d):
    # On a torus of side 1 nothing has a border: differences are taken around it.
    points = np.random.default_rng(d).random((20, 1500, d))
    nearest = np.stack([cKDTree(cloud, boxsize=1).query(cloud, k=2)[1][:, 1] for cloud in points])
    shares = reciprocity(nearest[..., None])[:, 0].numpy()
    error = shares.std(ddof=1) / len(shares) ** 0.5
    assert abs(shares.mean() - poisson_reciprocity(d)) < 4 * error < 0.02


def test_reciprocity_of_an_even_scatter_in_many_dimensions():
    exact = [2 / 3, 6 * np.pi / (8 * np.pi + 3 * np.sqrt(3)), 16 / 27]
    np.testing.assert_allclose(poisson_reciprocity(np.array([1, 2, 3])), exact, rtol=1e-12)
    assert 0.5 < poisson_reciprocity(200) < 0.5 + 1e-9
