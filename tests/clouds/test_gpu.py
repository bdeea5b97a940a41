"""The programs for a GPU against the float64 table: compiled where there is one, else run by Triton's interpreter."""

import os

import numpy as np
import pytest
import torch

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
if DEVICE == "cpu":
    os.environ["TRITON_INTERPRET"] = "1"  # read when the programs are defined

pytest.importorskip("triton", reason="Triton is there for Linux alone")

from tokengeom_utils import InputError
from tokengeom_utils.clouds import kernels, rank
from tokengeom_utils.clouds import observer as geometry
from tokengeom_utils.clouds.kernels.gpu.overlap import count_shared
from tokengeom_utils.clouds.kernels.gpu.pairs import layer as fused_layer
from tokengeom_utils.clouds.kernels.participation import participation
from tokengeom_utils.clouds.kernels.reference.overlap import count_shared as count_plainly
from tokengeom_utils.clouds.kernels.reference.pairs import layer as exact_layer

# Division by zero is how a program says that a token has no direction.
pytestmark = pytest.mark.filterwarnings("ignore:(divide by zero|invalid value):RuntimeWarning")
N, D = 20, 16


def gaussian(*shape, dtype=torch.float32, seed=0):
    return torch.tensor(np.random.default_rng(seed).normal(size=shape), dtype=dtype, device=DEVICE)


def assert_same_layer(cloud, scale_max=16, k=7, rtol=1e-11):
    ranks = 2 ** torch.arange(scale_max.bit_length())
    found, expected = fused_layer(cloud, ranks, k), exact_layer(cloud, ranks, k)
    np.testing.assert_allclose(found.participation.cpu(), participation(cloud.double()).cpu(), rtol=1e-10)
    for name, a, b in zip(found._fields, found, expected, strict=True):
        if name not in ("cosine", "participation"):
            assert (a.dtype, a.shape) == (b.dtype, b.shape), name
            np.testing.assert_allclose(a.cpu().double(), b.cpu().double(), rtol=rtol, atol=1e-12, err_msg=name)
    for name, a, b in zip(found.cosine._fields, found.cosine, expected.cosine, strict=True):
        np.testing.assert_allclose(a.cpu(), b.cpu(), rtol=0, atol=1e-7 if name == "std" else 1e-12, err_msg=name)
    return found


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64])
def test_generic_clouds(dtype):
    assert_same_layer(gaussian(N, D, dtype=dtype))


def test_sizes_that_fill_no_power_of_two():
    assert_same_layer(gaussian(19, 1100), k=18)  # two blocks of features


def test_the_smallest_cloud():
    assert_same_layer(gaussian(3, 2), scale_max=2, k=1)


def test_several_prompts_of_which_one_has_copies():
    """Among them copies of a copy, more than the neighbors asked for, and a cloud with none."""
    clouds = gaussian(2, N, D, dtype=torch.bfloat16)
    clouds[0, 5:14] = clouds[0, 3]
    clouds[0, 17] = clouds[0, 16]
    found = assert_same_layer(clouds)
    assert found.is_duplicate.sum(-1).tolist() == [10, 0]
    assert found.radii[0].isnan().all(-1).sum() == 10 and found.radii[0, 0, 3].isfinite()
    assert found.radii[0, 0, 4].isnan()  # there is no sixteenth neighbor among ten tokens


def test_equally_distant_neighbors_are_tied_and_ordered_by_column():
    square = torch.tensor([[1.0, 0], [0, 1], [-1, 0], [0, -1]], device=DEVICE) + 3
    assert assert_same_layer(square, scale_max=2, k=3).is_tied.all()


def test_neighbors_that_cancellation_would_hide():
    """Two massive tokens, almost the same, far away from the others."""
    cloud = gaussian(N, D)
    cloud[:2] = 1e4
    cloud[1] += 0.1 * gaussian(D, seed=1)
    found = assert_same_layer(cloud, rtol=1e-9)  # an angle between distances of 0.3 and 40,000
    np.testing.assert_allclose(found.radii[0, 0].item(), (cloud[0] - cloud[1]).double().norm().item(), rtol=1e-12)


@pytest.mark.parametrize(
    "value, words", [(float("nan"), "NaN or infinity at prompt 1, token 4"), (0.0, "token 4 lies at the origin")]
)
def test_what_is_undefined_is_named_in_the_end(value, words, monkeypatch):
    if DEVICE == "cpu":
        monkeypatch.setattr(kernels, "path", lambda tensor: "gpu")
        for module in (geometry, rank):
            monkeypatch.setattr(module, "as_clouds", lambda cloud, leading="layer", wait=True: cloud)
    clouds = gaussian(2, 6, 4)
    observer = geometry.Observer(scale_max=4, k_max=2)
    observer.update(clouds)
    clouds = clouds.clone()
    clouds[1, 4] = value
    observer.update(clouds)
    with pytest.raises(InputError, match=f"layer 1: .*{words}"):
        observer.values()


@pytest.mark.parametrize("k", [1, 5, 8])
def test_common_neighbors(k):
    tables = np.argsort(np.random.default_rng(k).random((2, 2, 12, 12)), -1)[..., :k].astype(np.int32)
    tables[0, :, ::5, -1] = tables[1, :, ::3, 0] = -1  # empty places
    a, b = torch.tensor(tables, device=DEVICE)
    np.testing.assert_array_equal(count_shared(a, b).cpu(), count_plainly(a, b).cpu())


@pytest.mark.skipif(DEVICE == "cpu", reason="needs a GPU")
def test_a_stack_on_a_gpu_is_that_on_the_cpu():
    clouds = gaussian(3, 2, 300, 64)
    found, expected = geometry.observables(clouds, 64, 31), geometry.observables(clouds.cpu(), 64, 31)
    for name in expected:
        rtol = 1e-6 if name == "effective_rank" else 1e-9  # from products in float32 on the CPU
        np.testing.assert_allclose(found[name], expected[name], rtol=rtol, atol=1e-7, err_msg=name)
    dimension = geometry.intrinsic_dimension(clouds, 64).dimension.cpu().transpose(0, 1)
    np.testing.assert_allclose(dimension, expected.intrinsic_dimension, rtol=1e-9)


def test_clouds_too_large_for_a_program_are_left_to_the_table():
    class Large:
        is_cuda, shape = True, (kernels.ROW + 1, 2)

    class Fits:
        is_cuda, shape = True, (kernels.ROW, 2)

    assert [kernels._pairs(cloud).__name__.split(".")[-2] for cloud in (Large, Fits)] == ["reference", "gpu"]
