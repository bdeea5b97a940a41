"""Neighbors at equal distances: one order in all three paths, whatever the processor rounds."""

import os

import numpy as np
import pytest
import torch

if not torch.cuda.is_available():
    os.environ["TRITON_INTERPRET"] = "1"  # read when the programs are defined

from tokengeom_utils import neighborhood_overlap
from tokengeom_utils.clouds.kernels.cpu import pairs as cpu_pairs
from tokengeom_utils.clouds.kernels.reference import pairs as reference_pairs

# Division by zero is how a program reports that a token has no direction.
pytestmark = pytest.mark.filterwarnings("ignore:(divide by zero|invalid value):RuntimeWarning")
RANKS = 2 ** torch.arange(5)


def vocabulary(n_tokens, n_words, n_features, dtype=torch.float32, seed=0, scale=1.0, offset=0.0):
    """A cloud as in layer 0: every token is one of a few words."""
    rng = np.random.default_rng(seed)
    words = torch.tensor(rng.normal(size=(n_words, n_features)) * scale + offset, dtype=dtype)
    return words[torch.tensor(rng.integers(0, n_words, n_tokens))]


CLOUDS = {
    "words": vocabulary(120, 40, 24),
    "few words": vocabulary(120, 4, 8),
    "bfloat16": vocabulary(120, 30, 24, torch.bfloat16),
    "float64": vocabulary(120, 30, 24, torch.float64),
    "far from the origin": vocabulary(120, 30, 24, offset=300.0),
    "many features": vocabulary(140, 50, 300),
    "one massive word": torch.cat([vocabulary(110, 30, 24), vocabulary(10, 1, 24, scale=1e3, seed=1)]),
    "signed zeros": torch.cat([vocabulary(60, 20, 6), torch.tensor([[0.0] * 5 + [1], [-0.0] * 5 + [1]]).repeat(5, 1)]),
}


#: 24 tokens of each, many of them copies, for the interpreter of GPU programs, which takes long
SOME = torch.tensor([0, 1, 2, 3, 0, 0, 1, *range(12, 20), 12, 13, 2, *range(20, 24), 3, 12])
FEW_TOKENS = {name: torch.cat([cloud[:12], cloud[-12:]])[SOME] for name, cloud in CLOUDS.items()}


def in_definition_order(cloud, k):
    """The k nearest of every token: distances between distinct points, then the index."""
    points, point = np.unique(cloud.double().numpy() + 0.0, axis=0, return_inverse=True)
    between = np.linalg.norm(points[:, None] - points[None], axis=-1)[point.ravel()][:, point.ravel()]
    np.fill_diagonal(between, -1)
    return between.argsort(1, kind="stable")[:, 1 : k + 1]


@pytest.mark.parametrize("name", CLOUDS)
@pytest.mark.parametrize("path", [reference_pairs, cpu_pairs], ids=["reference", "cpu"])
def test_copies_are_ordered_by_index(path, name):
    found = path.layer(CLOUDS[name], RANKS, 20)
    np.testing.assert_array_equal(found.indices, in_definition_order(CLOUDS[name], 20))


@pytest.mark.parametrize("name", ["words", "bfloat16", "far from the origin", "one massive word", "signed zeros"])
def test_copies_are_ordered_by_index_on_a_gpu(name):
    """By Triton's interpreter where there is no GPU."""
    pairs = pytest.importorskip("tokengeom_utils.clouds.kernels.gpu.pairs")
    cloud = FEW_TOKENS[name]
    found = pairs.layer(cloud.to("cuda" if torch.cuda.is_available() else "cpu"), RANKS, 7)
    np.testing.assert_array_equal(found.indices.cpu(), in_definition_order(cloud, 7))


def rounded_otherwise(gram):
    """Products as another processor may round them, within the bound D eps |x| |y|, and copies not alike."""
    generator = torch.Generator().manual_seed(0)

    def products(x, out=None):
        g = gram(x, out)
        off = torch.rand(g.shape, generator=generator, dtype=g.dtype).to(g.device) - 0.5
        return g.mul_(1 + off * x.shape[-1] / 4 * torch.finfo(g.dtype).eps)

    return products


@pytest.mark.parametrize("path", ["reference", "cpu", "gpu"])
def test_rounding_never_orders_copies(path, monkeypatch):
    pairs = pytest.importorskip(f"tokengeom_utils.clouds.kernels.{path}.pairs")
    monkeypatch.setattr(pairs, "gram", rounded_otherwise(pairs.gram))
    cloud, k = (FEW_TOKENS["words"], 7) if path == "gpu" else (CLOUDS["many features"], 20)
    found = pairs.layer(cloud.to("cuda" if path == "gpu" and torch.cuda.is_available() else "cpu"), RANKS, k)
    np.testing.assert_array_equal(found.indices.cpu(), in_definition_order(cloud, k))


@pytest.mark.parametrize("k", [3, 20, 100])
def test_the_table_has_one_distance_for_all_copies(k):
    cloud = CLOUDS["words"]
    table = reference_pairs.table(cloud, k)
    np.testing.assert_array_equal(table.indices, in_definition_order(cloud, k))
    same = torch.take_along_dim(
        (cloud[:, None] == cloud[None]).all(-1)[table.indices[:, :-1]], table.indices[:, 1:, None], -1
    )
    assert (table.distances[:, 1:] == table.distances[:, :-1])[same[..., 0]].all() and same.any()


def test_blocks_without_copies_order_the_copies_of_others(monkeypatch):
    """Rows that hold no copy of their own still see the copies of other tokens at one distance."""
    cloud = torch.cat([vocabulary(50, 50, 24, seed=2), vocabulary(70, 10, 24, seed=3)])
    monkeypatch.setattr(reference_pairs, "BLOCK", 10 * len(cloud))
    monkeypatch.setattr(reference_pairs, "WHOLE", 0)
    np.testing.assert_array_equal(reference_pairs.table(cloud, 30).indices, in_definition_order(cloud, 30))


def test_the_overlap_of_clouds_with_copies_is_the_same_to_the_last_digit():
    a, b = CLOUDS["words"], vocabulary(120, 60, 24, seed=5)
    overlaps = {
        name: neighborhood_overlap(module.layer(a, RANKS, 20).indices, module.layer(b, RANKS, 20).indices)
        for name, module in (("reference", reference_pairs), ("cpu", cpu_pairs))
    }
    np.testing.assert_array_equal(overlaps["cpu"], overlaps["reference"])
