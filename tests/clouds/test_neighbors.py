"""The neighbor table against all pairwise differences, one by one, in float64."""

from contextlib import contextmanager

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist

from tokengeom_utils import InputError, nearest_neighbors, neighbor_angles
from tokengeom_utils.clouds.kernels.reference import pairs
from tokengeom_utils.clouds.records import Neighbors

DEVICES = ["cpu"] + ["cuda"] * torch.cuda.is_available()


def gaussian(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def reference(cloud, k):
    """Sorted distances and indices from differences; cdist never forms a Gram matrix."""
    distances = cdist(cloud, cloud)
    np.fill_diagonal(distances, np.inf)
    order = distances.argsort(1, kind="stable")[:, :k]
    return np.take_along_axis(distances, order, 1), order


def assert_table(table, cloud, k, rtol=1e-12):
    distances, indices = reference(cloud, k)
    assert table.distances.dtype == torch.float64 and table.indices.dtype == torch.int64
    np.testing.assert_array_equal(table.indices.cpu(), indices)
    np.testing.assert_allclose(table.distances.cpu(), distances, rtol=rtol, atol=0)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("shape, k", [((3, 2), 2), ((2, 5), 1), ((50, 3), 49), ((257, 16), 20), ((128, 576), 127)])
def test_equals_all_pairwise_differences(shape, k, device):
    cloud = gaussian(*shape)
    table = nearest_neighbors(torch.tensor(cloud, device=device), k)
    assert table.distances.device.type == device
    assert_table(table, cloud, k)
    assert not table.is_duplicate.any()


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
def test_reduced_precision_clouds_are_measured_in_float64(dtype, device):
    cloud = torch.tensor(gaussian(100, 40), dtype=dtype, device=device)
    assert_table(nearest_neighbors(cloud, 30), cloud.double().cpu().numpy(), 30)


@pytest.mark.parametrize(
    "convert",
    [
        lambda x: x,
        lambda x: x.astype(np.float32).astype(np.float64),
        lambda x: x.tolist(),
        lambda x: np.asfortranarray(x),
        lambda x: torch.tensor(x.T.copy()).T,
        lambda x: torch.nn.Parameter(torch.tensor(x)),
    ],
    ids=["numpy", "rounded", "list", "fortran", "transposed", "parameter"],
)
def test_takes_any_array(convert):
    cloud = convert(gaussian(60, 9))
    plain = cloud.detach().numpy() if torch.is_tensor(cloud) else np.array(cloud)
    assert_table(nearest_neighbors(cloud, 10), plain, 10)


def test_takes_whole_numbers():
    cloud = np.random.default_rng(3).integers(-1000, 1000, (40, 12))
    assert_table(nearest_neighbors(cloud, 5), cloud, 5)


def test_finite_cloud_whose_sum_overflows_its_dtype_is_accepted():
    cloud = torch.tensor(gaussian(50, 24) * 5000 + 30_000, dtype=torch.float16)
    assert cloud.isfinite().all() and not cloud.sum().isfinite()
    assert_table(nearest_neighbors(cloud, 3), cloud.double().numpy(), 3)


@pytest.mark.parametrize("offset", [1e4, -1e6])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_far_from_the_origin(offset, dtype):
    cloud = (gaussian(200, 24) * 30 + offset).astype(dtype)
    assert_table(nearest_neighbors(cloud, 40), cloud.astype(np.float64), 40)


@pytest.mark.parametrize("separation", [10, 1e2, 1e3, 1e4, 1e6])
def test_two_distant_clusters_keep_their_inner_distances(separation):
    cloud = gaussian(80, 8)
    cloud[40:] += separation
    # The Gram matrix loses up to 1 / CANCELLATION = 1e6 roundings of 1e-16 before differences take over.
    assert_table(nearest_neighbors(cloud, 60), cloud, 60, rtol=3e-10)


def test_points_on_a_line():
    cloud = gaussian(300, 1)
    assert_table(nearest_neighbors(cloud, 50), cloud, 50, rtol=3e-10)


def test_a_massive_activation_does_not_blur_the_rest():
    cloud = gaussian(300, 64)
    cloud[0] *= 190  # what token 0 of the bundled model does
    cloud[0, 0] += 1e5
    # The outlier moves the mean by 1e5 / 300, some 40 radii of the rest: 40^2 roundings of 1e-16, and a few.
    assert_table(nearest_neighbors(cloud, 64), cloud, 64, rtol=5e-12)


def test_stack_equals_one_cloud_at_a_time():
    stack = torch.tensor(gaussian(2, 3, 40, 7))
    stack[1, 2, 5] = stack[1, 2, 4]  # a duplicate in one layer alone
    for drop in (False, True):
        table = nearest_neighbors(stack, 6, drop_duplicates=drop)
        assert table.distances.shape == table.indices.shape == (2, 3, 40, 6)
        assert table.is_duplicate.shape == (2, 3, 40)
        for i in range(2):
            for j in range(3):
                for whole, single in zip(table, nearest_neighbors(stack[i, j], 6, drop_duplicates=drop), strict=True):
                    np.testing.assert_array_equal(whole[i, j], single)
    assert table.is_duplicate.nonzero().tolist() == [[1, 2, 5]]


@pytest.mark.parametrize("block", [1, 700, 2000, 10**4])
@pytest.mark.parametrize("drop", [False, True])
def test_blocks_do_not_show(block, drop, monkeypatch):
    cloud = gaussian(150, 5)
    cloud[[3, 100, 149]] = cloud[40]
    cloud[70] = cloud[10] + 1e-5  # close enough for the difference, far enough to be two points
    whole = nearest_neighbors(cloud, 30, drop_duplicates=drop)
    monkeypatch.setattr(pairs, "BLOCK", block)
    parts = nearest_neighbors(cloud, 30, drop_duplicates=drop)
    np.testing.assert_array_equal(parts.indices, whole.indices)
    np.testing.assert_array_equal(parts.is_duplicate, whole.is_duplicate)
    np.testing.assert_allclose(parts.distances, whole.distances, rtol=1e-12)


@contextmanager
def threads(n):
    before = torch.get_num_threads()
    torch.set_num_threads(n)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def test_thread_count_does_not_show():
    cloud = gaussian(301, 20)
    with threads(1):
        one = nearest_neighbors(cloud, 30)
    with threads(3):
        three = nearest_neighbors(cloud, 30)
    np.testing.assert_array_equal(one.indices, three.indices)
    np.testing.assert_allclose(one.distances, three.distances, rtol=1e-13)


def test_input_is_left_untouched():
    cloud = torch.tensor(gaussian(30, 4) + 5)
    before = cloud.clone()
    nearest_neighbors(cloud, 3, drop_duplicates=True)
    assert torch.equal(cloud, before)


def test_ties_go_to_the_lower_index():
    square = [[1, 1], [-1, 1], [-1, -1], [1, -1]]
    table = nearest_neighbors(square, 3)
    assert table.indices.tolist() == [[1, 3, 2], [0, 2, 3], [1, 3, 0], [0, 2, 1]]
    np.testing.assert_allclose(table.distances, [[2, 2, 8**0.5]] * 4, rtol=1e-12)


def test_self_is_never_a_neighbor_even_among_duplicates():
    cloud = gaussian(40, 6)
    cloud[20:] = cloud[:20]
    table = nearest_neighbors(cloud, 39)
    for i, row in enumerate(table.indices.tolist()):
        assert sorted(row) == [j for j in range(40) if j != i]
    assert (table.distances[:, 0] == 0).all() and (table.distances[:, 1] > 0).all()
    assert table.indices[:, 0].tolist() == [*range(20, 40), *range(20)]


# Duplicates


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
@pytest.mark.parametrize("offset", [0.0, 1e3])
def test_every_copy_but_the_first_is_a_duplicate(dtype, offset):
    cloud = torch.tensor(gaussian(60, 24) * 100 + offset, dtype=dtype)
    cloud[[7, 30, 59]] = cloud[2].clone()
    cloud[50] = cloud[49].clone()
    assert nearest_neighbors(cloud, 1).is_duplicate.nonzero().flatten().tolist() == [7, 30, 50, 59]


@pytest.mark.parametrize("scale", [1e-9, 1.0, 1e9])
@pytest.mark.parametrize("gap, same", [(1e-11, True), (1e-6, False)])
def test_coincidence_is_relative_to_the_size_of_the_cloud(gap, same, scale):
    cloud = gaussian(50, 4)
    cloud[9] = cloud[8] + [gap, 0, 0, 0]
    assert nearest_neighbors(cloud * scale, 1).is_duplicate.nonzero().flatten().tolist() == [9] * same


@pytest.mark.parametrize("value", [0.0, 1.0, 0.1, -3e5])
def test_constant_cloud_is_one_token_and_its_copies(value):
    table = nearest_neighbors(torch.full((6, 3), value), 2)
    assert (table.distances == 0).all()
    assert table.is_duplicate.tolist() == [False] + [True] * 5


def test_duplicates_at_the_very_centre_are_seen():
    assert nearest_neighbors([[0.0], [0.0], [1.0], [-1.0]], 1).is_duplicate.tolist() == [False, True, False, False]


def test_dropped_duplicates_leave_the_table_of_the_unique_tokens():
    cloud = gaussian(50, 5)
    cloud[[11, 33]] = cloud[4]
    cloud[49] = cloud[48]
    table = nearest_neighbors(cloud, 20, drop_duplicates=True)
    dropped = table.is_duplicate.numpy()
    kept = np.flatnonzero(~dropped)
    assert np.flatnonzero(dropped).tolist() == [11, 33, 49]
    assert table.distances[dropped].isnan().all() and (table.indices[dropped] == -1).all()
    distances, indices = reference(cloud[kept], 20)
    np.testing.assert_allclose(table.distances[kept], distances, rtol=1e-12)
    np.testing.assert_array_equal(table.indices[kept], kept[indices])


def test_columns_that_no_longer_exist_are_empty():
    cloud = gaussian(10, 3)
    cloud[4:] = cloud[3]  # four distinct tokens are left: three neighbors each
    table = nearest_neighbors(cloud, 5, drop_duplicates=True)
    assert table.indices[:4, :3].min() >= 0 and table.distances[:4, :3].isfinite().all()
    assert (table.indices[:4, 3:] == -1).all() and table.distances[:4, 3:].isnan().all()
    assert (table.indices[4:] == -1).all() and table.distances[4:].isnan().all()


def test_two_identical_tokens_have_no_distinct_neighbor():
    table = nearest_neighbors([[1.0, 2.0], [1.0, 2.0], [1.0, 2.0]], 2, drop_duplicates=True)
    assert (table.indices == -1).all() and table.distances.isnan().all()


def test_dropping_changes_nothing_without_duplicates():
    cloud = gaussian(40, 5)
    for plain, dropped in zip(
        nearest_neighbors(cloud, 9), nearest_neighbors(cloud, 9, drop_duplicates=True), strict=True
    ):
        np.testing.assert_array_equal(plain, dropped)


# Errors


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize(
    "where, words",
    [((2, 7, 1), ["layer 2", "token 7"]), ((0, 0, 0), ["layer 0", "token 0"]), ((7, 1), ["token 7"])],
)
def test_not_finite_names_layer_and_token(bad, where, words):
    cloud = gaussian(*(4, 10, 3)[-len(where) :])
    cloud[where] = bad
    with pytest.raises(InputError) as error:
        nearest_neighbors(cloud, 2)
    assert all(word in str(error.value) for word in words)
    assert ("layer" in str(error.value)) == (len(where) == 3)


@pytest.mark.parametrize("k", [-1, 0, 10, 11])
def test_k_out_of_range_says_so(k):
    with pytest.raises(InputError, match=rf"k = {k}\b.*N = 10\b"):
        nearest_neighbors(gaussian(10, 3), k)


@pytest.mark.parametrize("k", [2.0, "3", True, None])
def test_k_must_be_a_whole_number(k):
    with pytest.raises(InputError, match="whole number"):
        nearest_neighbors(gaussian(10, 3), k)


@pytest.mark.parametrize("shape", [(5,), (0, 3), (5, 0), (0, 5, 3)])
def test_what_is_no_cloud_is_refused(shape):
    with pytest.raises(InputError, match="shape"):
        nearest_neighbors(np.zeros(shape), 1)


@pytest.mark.parametrize("values", ["text", None, [[1.0], [1.0, 2.0]], np.zeros((3, 2), complex)], ids=str)
def test_what_holds_no_real_numbers_is_refused(values):
    with pytest.raises(InputError, match="token cloud"):
        nearest_neighbors(values, 1)


def reversed_view(cloud):
    return cloud[::-1, ::-1]


def read_only(cloud):
    cloud = cloud.copy()
    cloud.flags.writeable = False
    return cloud


@pytest.mark.parametrize(
    "convert", [reversed_view, read_only, lambda c: c.astype(">f8"), lambda c: c.astype("longdouble")]
)
def test_any_array_of_numbers_is_a_cloud(convert):
    cloud = gaussian(20, 3)
    expected = nearest_neighbors(np.ascontiguousarray(convert(cloud), dtype="f8"), 4)
    np.testing.assert_array_equal(nearest_neighbors(convert(cloud), 4).indices, expected.indices)


# Angles


def table_of(cloud, indices):
    """A table that says what a test wants it to say."""
    cloud, indices = torch.as_tensor(cloud), torch.as_tensor(indices)
    distances = torch.where(indices < 0, torch.nan, (cloud[indices] - cloud[:, None]).norm(dim=-1))
    return Neighbors(distances, indices, torch.zeros(len(cloud), dtype=torch.bool))


@pytest.mark.parametrize(
    "first, second, angle",
    [
        ([1, 0], [0, 2], 90),
        ([1, 0], [-2, 0], 180),
        ([1, 0], [2, 0], 0),
        ([1, 0], [1, 1], 45),
        ([1, 0], [-0.5, 0.75**0.5], 120),
        ([1, 0], [0.5, 0.75**0.5], 60),
    ],
)
def test_known_angles(first, second, angle):
    cloud = torch.tensor([[0, 0], first, second], dtype=torch.float64) * 3 + 7
    assert neighbor_angles(cloud, table_of(cloud, [[1, 2]] * 3))[0].item() == pytest.approx(angle, abs=1e-5)


def test_angles_of_a_stack_equal_the_scalar_product():
    stack = gaussian(3, 60, 10)
    table = nearest_neighbors(stack, 4)
    angles = neighbor_angles(torch.tensor(stack), table)
    assert angles.shape == (3, 60) and angles.dtype == torch.float64
    for cloud, indices, result in zip(stack, table.indices, angles, strict=True):
        u, v = cloud[indices[:, 0]] - cloud, cloud[indices[:, 1]] - cloud
        cosine = (u * v).sum(1) / (np.linalg.norm(u, axis=1) * np.linalg.norm(v, axis=1))
        expected = np.degrees(np.arccos(cosine))
        np.testing.assert_allclose(result, expected, rtol=1e-9)


def test_no_angle_without_two_distinct_neighbors():
    cloud = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 2.0], [0.0, 0.0]])
    angles = neighbor_angles(cloud, table_of(cloud, [[1, -1], [-1, -1], [0, 1], [0, 1]]))
    assert angles.isnan().tolist() == [True, True, False, True]  # token 3 coincides with token 0


def test_angle_needs_two_neighbors():
    with pytest.raises(InputError, match="k >= 2"):
        neighbor_angles(gaussian(5, 3), nearest_neighbors(gaussian(5, 3), 1))
