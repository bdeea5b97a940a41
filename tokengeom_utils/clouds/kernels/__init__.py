"""Three ways to the same numbers, and the one place that chooses between them.

``reference`` is the specification, float64 tensors on any device; ``cpu`` is compiled by numba, ``gpu`` by Triton. The
two fast paths are tested against the reference. Each path is imported when it is first used, because a CPU needs no
Triton and a GPU no numba.
"""

from importlib import import_module
from importlib.util import find_spec
from types import ModuleType

import numpy as np
import torch

from ..records import Dimension, Layer, Neighbors

# Where at most one token in this many is kept, screening in float32 is faster than the whole table in float64.
FEW = 16
# Up to this many tokens a program on a GPU holds a row of the pairs.
ROW = 4096
# Up to this many neighbors a program on a GPU compares all of a token with all.
ALL_WITH_ALL = 64


def path(tensor: torch.Tensor) -> str:
    """Choose the path for a tensor: ``"cpu"``, ``"gpu"`` or ``"reference"``.

    The path for CPUs screens pairs with products in true float32; other settings of torch let them be bfloat16.
    """
    if tensor.is_cuda and find_spec("triton") is not None:
        return "gpu"
    if tensor.device.type == "cpu" and torch.get_float32_matmul_precision() == "highest":
        return "cpu"
    return "reference"


def _kernel(chosen: str, module: str) -> ModuleType:
    return import_module(f".{chosen}.{module}", __name__)


def _pairs(cloud):
    chosen = path(cloud)
    return _kernel("reference" if chosen == "gpu" and cloud.shape[-2] > ROW else chosen, "pairs")


def layer(cloud: torch.Tensor, ranks: torch.Tensor, k: int) -> Layer:
    """Measure a cloud in one pass over its pairs: see :func:`.reference.pairs.layer`."""
    return _pairs(cloud).layer(cloud, ranks, k)


def radii(cloud: torch.Tensor, ranks: torch.Tensor) -> torch.Tensor:
    """Measure the distances of some ranks alone: see :func:`.reference.pairs.radii`."""
    return _pairs(cloud).radii(cloud, ranks)


def table(cloud: torch.Tensor, k: int) -> Neighbors:
    """Return the neighbor table of a cloud: see :func:`.reference.pairs.table`."""
    screens = path(cloud) == "cpu" and FEW * k <= cloud.shape[-2] > 2
    return _kernel("cpu" if screens else "reference", "pairs").table(cloud, k)


def distinct_table(cloud: torch.Tensor, k: int) -> Neighbors:
    """Return the neighbor table of a cloud without its duplicates: see :func:`.reference.pairs.without_duplicates`."""
    return _kernel("reference", "pairs").without_duplicates(cloud, table(cloud, k), table)


def fit_gride(r: torch.Tensor, near: np.ndarray, far: np.ndarray, n2: np.ndarray) -> Dimension:
    """Solve the likelihood equation of GRIDE: see :func:`.reference.gride.fit`."""
    compiled = path(r) == "cpu" and not r.requires_grad
    return _kernel("cpu" if compiled else "reference", "gride").fit(r, near, far, n2)


def count_shared(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Count the neighbors that two tables share: see :func:`.reference.overlap.count_shared`."""
    chosen = path(a)
    if chosen == "gpu" and a.shape[-1] > ALL_WITH_ALL:
        chosen = "reference"
    return _kernel(chosen, "overlap").count_shared(a, b)
