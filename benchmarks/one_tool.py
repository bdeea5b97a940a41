"""One tool, in a process and an environment of its own: tools.py starts this script and asks for one estimate a line.

The script applies every estimator once to both stacks of clouds in a folder, which compiles and warms up what there is
to compile and warm up, writes what it found to a .npz file, and prints its versions and warnings as JSON. It then
reads lines such as ``["GRIDE", "float32"]`` and prints the seconds of each. It imports nothing but the tool.
"""

import argparse
import contextlib
import json
import platform
import sys
import time
import warnings
from importlib import metadata
from itertools import pairwise
from pathlib import Path

import numpy as np

GRIDE, TWO_NN, LINE = "GRIDE", "TwoNN, maximum likelihood", "TwoNN, line"
LINE_FROM_0, LEVINA_BICKEL, OVERLAP = "TwoNN, line from F = 0", "Levina-Bickel", "overlap"
DTYPES, FAILS = ("float32", "float64"), "fails: "
PACKAGES = {  # what decides the numbers and the speed of each tool
    "tokengeom-utils": ("tokengeom-utils", "torch", "numpy", "numba"),
    "scikit-dimension": ("scikit-dimension", "scikit-learn", "numpy", "scipy"),
    "DADApy": ("dadapy", "scikit-learn", "numpy", "scipy"),
    "torchid": ("torchid", "torch", "faiss-cpu", "numpy"),
}


def tokengeom_utils(options):
    import tokengeom_utils as tg

    def parts(found):
        return found.dimension.numpy(), found.standard_error.numpy()

    def apart(stack, k):
        return tg.nearest_neighbors(stack, k, drop_duplicates=True).distances

    def overlap(stack):
        indices = tg.nearest_neighbors(stack, options.k_max).indices
        return tg.neighborhood_overlap(indices[:-1], indices[1:], options.k_max).numpy(), None

    return {
        GRIDE: lambda stack: parts(tg.intrinsic_dimension(stack, options.scale_max)),
        TWO_NN: lambda stack: parts(tg.two_nn(apart(stack, 2))),
        LINE: lambda stack: parts(tg.two_nn(apart(stack, 2), "linear")),
        LEVINA_BICKEL: lambda stack: parts(tg.levina_bickel(apart(stack, options.k), options.k)),
        OVERLAP: overlap,
    }


def scikit_dimension(options):
    from skdim.id import GRIDE as Gride
    from skdim.id import MLE, TwoNN

    def gride(cloud):
        found = Gride(multiscale=True, range_max=options.scale_max).fit(cloud)
        return found.dimension_scales_, found.error_scales_

    return {
        GRIDE: per_layer(gride),
        TWO_NN: per_layer(lambda cloud: (TwoNN(method="mle", discard_fraction=0).fit(cloud).dimension_, None)),
        LINE: per_layer(lambda cloud: (TwoNN().fit(cloud).dimension_, None)),
        LEVINA_BICKEL: per_layer(lambda cloud: (MLE().fit(cloud, n_neighbors=options.k).dimension_, None)),
    }


def dadapy(options):
    from dadapy import Data

    def data(cloud, **settings):
        return Data(coordinates=cloud, n_jobs=options.threads, **settings)

    def neighbors(cloud, k):
        found = data(cloud, maxk=k)
        found.compute_distances()
        return found

    def two_nn(cloud, **settings):
        return data(cloud, maxk=2).compute_id_2NN(**settings)[0], None  # the error that it returns is 0

    def overlap(stack):
        tables = [neighbors(cloud, options.k_max) for cloud in stack]
        return np.array(
            [
                [a.return_data_overlap(dist_indices=b.dist_indices, k=k) for k in range(1, options.k_max + 1)]
                for a, b in pairwise(tables)
            ]
        ), None

    return {
        GRIDE: per_layer(lambda cloud: data(cloud).return_id_scaling_gride(range_max=options.scale_max)[:2]),
        f"{GRIDE} after compute_distances": per_layer(
            lambda cloud: neighbors(cloud, options.scale_max).return_id_scaling_gride(range_max=options.scale_max)[:2]
        ),
        TWO_NN: per_layer(lambda cloud: two_nn(cloud, algorithm="ml", mu_fraction=1)),
        LINE: per_layer(two_nn),
        OVERLAP: overlap,
    }


def torchid(options):
    import torch
    from torchid.estimators import MLE, TwoNN
    from torchid.primitives import pairwise_sqdist

    def from_distances(cloud):
        """The same line on distances in float64: the estimator's own search for neighbors is in float32 on a CPU."""
        squared = pairwise_sqdist(cloud.double()).fill_diagonal_(torch.inf)
        return TwoNN(dist=True).fit(squared.topk(2, largest=False).values.sqrt()).dimension_, None

    found = {
        LINE_FROM_0: lambda cloud: (TwoNN().fit(cloud).dimension_, None),
        f"{LINE_FROM_0} after pairwise_sqdist": from_distances,
        LEVINA_BICKEL: lambda cloud: (MLE().fit(cloud, n_neighbors=options.k).dimension_, None),
    }
    return {name: per_layer(lambda cloud, f=f: f(torch.from_numpy(cloud))) for name, f in found.items()}


TOOLS = {
    "tokengeom-utils": tokengeom_utils,
    "scikit-dimension": scikit_dimension,
    "DADApy": dadapy,
    "torchid": torchid,
}


def per_layer(estimate):
    """Return a function of a stack from one of a cloud; a layer where it fails is NaN, with a warning that says why."""

    def estimates(stack):
        found = []
        for cloud in stack:
            try:
                found.append(estimate(cloud))
            except (ValueError, ArithmeticError) as error:
                warnings.warn(f"{FAILS}{error}", stacklevel=1)
                found.append(None)
        some = next(one for one in found if one is not None)

        def column(i):
            return np.array([np.full_like(some[i], np.nan, dtype=float) if one is None else one[i] for one in found])

        return column(0), None if some[1] is None else column(1)

    return estimates


def said(caught):
    """Return the first line of every different warning."""
    return list(dict.fromkeys(str(one.message).strip().split("\n")[0] for one in caught))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("tool", choices=TOOLS)
    parser.add_argument("folder", type=Path, help="with float32.npy and float64.npy; TOOL.npz is written there")
    parser.add_argument("--scale-max", type=int, default=256, help="largest range scaling of GRIDE")
    parser.add_argument("--k", type=int, default=20, help="neighbors of Levina and Bickel's estimator")
    parser.add_argument("--k-max", type=int, default=31, help="neighbors of the overlap")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()

    answer, sys.stdout = sys.stdout, sys.stderr  # some tools print
    stacks = {dtype: np.load(options.folder / f"{dtype}.npy") for dtype in DTYPES}
    estimators, found, warned = TOOLS[options.tool](options), {}, {}
    for name, estimate in estimators.items():
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            for dtype, stack in stacks.items():
                values, errors = estimate(stack)
                found[f"{name}/{dtype}/values"] = values
                if errors is not None:
                    found[f"{name}/{dtype}/errors"] = errors
        warned[name] = said(caught)
    np.savez(options.folder / f"{options.tool}.npz", **found)
    versions = {"python": platform.python_version()}
    for package in PACKAGES[options.tool]:
        with contextlib.suppress(metadata.PackageNotFoundError):
            versions[package] = metadata.version(package)
    print(
        json.dumps({"estimators": list(estimators), "warnings": warned, "versions": versions}), file=answer, flush=True
    )

    warnings.simplefilter("ignore")
    for line in sys.stdin:
        name, dtype = json.loads(line)
        start = time.perf_counter()
        estimators[name](stacks[dtype])
        print(time.perf_counter() - start, file=answer, flush=True)


if __name__ == "__main__":
    main()
