"""The paper's definitions with common tools: scikit-learn, DADApy, and a loop over tokens.

This script runs in its own environment, because DADApy requires numpy < 2 (``usual_way.txt``; ``make bench`` creates
it). It reads hidden states (layer, token, feature) from a .npy file, writes its results to a .npz file, and prints the
seconds of each part as JSON.
"""

import argparse
import json
import platform
import sys
import time
import warnings
from importlib import metadata

import numpy as np
from dadapy import Data
from sklearn.metrics.pairwise import cosine_similarity, euclidean_distances


def neighbors(cloud, k):
    """Return distances and indices of the k nearest tokens, with the token itself in column 0, as DADApy requires."""
    distances = euclidean_distances(cloud)
    indices = np.argsort(distances, axis=1)[:, : k + 1]
    return np.take_along_axis(distances, indices, axis=1), indices


def gride(table, scale_max):
    """Run DADApy's GRIDE on a table of neighbors."""
    return Data(distances=table, maxk=scale_max).return_id_scaling_gride(range_max=scale_max)[0]


def gride_from_coordinates(cloud, scale_max):
    """Run DADApy's GRIDE on coordinates, as in its quick start."""
    return Data(coordinates=cloud, maxk=scale_max).return_id_scaling_gride(range_max=scale_max)[0]


def overlap(a, b, k_max):
    """Return chi_1 ... chi_k_max of two layers, token by token."""
    found = []
    for k in range(1, k_max + 1):
        common = [len(np.intersect1d(a[i, :k], b[i, :k])) for i in range(len(a))]
        found.append(np.mean(common) / k)
    return found


def overlap_of_sets(a, b, k_max):
    """Return the same with Python's sets, which are faster than small arrays."""
    a, b, found = a.tolist(), b.tolist(), []
    for k in range(1, k_max + 1):
        common = [len(set(a[i][:k]) & set(b[i][:k])) for i in range(len(a))]
        found.append(np.mean(common) / k)
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("states")
    parser.add_argument("out")
    parser.add_argument("--scale-max", type=int, default=256)
    parser.add_argument("--k-max", type=int, default=31)
    options = parser.parse_args()
    warnings.simplefilter("ignore")  # layer 0 repeats tokens, and DADApy divides by their distance

    states = np.load(options.states).astype(np.float64)  # DADApy would convert them anyway
    spent, found = {}, {}
    last_said = time.perf_counter()

    def part(name, function, *arguments):
        start = time.perf_counter()
        result = function(*arguments)
        spent[name] = spent.get(name, 0.0) + time.perf_counter() - start
        return result

    def keep(name, value):
        found.setdefault(name, []).append(value)

    before = None
    for layer, cloud in enumerate(states):
        table = part("distances", neighbors, cloud, max(options.scale_max, options.k_max))
        keep("dimension", part("gride", gride, table, options.scale_max))
        part("gride from coordinates", gride_from_coordinates, cloud, options.scale_max)
        cosine = part("cosine", cosine_similarity, cloud)
        keep("cosine_mean", part("cosine", np.mean, cosine))
        keep("cosine_std", part("cosine", np.std, cosine))
        nearest = table[1][:, 1 : options.k_max + 1]
        if before is not None:
            keep("overlap", part("overlap", overlap, before, nearest, options.k_max))
            sets = part("overlap of sets", overlap_of_sets, before, nearest, options.k_max)
            assert np.allclose(sets, found["overlap"][-1])
        before = nearest
        if time.perf_counter() - last_said > 5:
            last_said = time.perf_counter()
            print(f"  the usual way: layer {layer} of {len(states) - 1}", file=sys.stderr, flush=True)
    np.savez(options.out, **{name: np.array(value) for name, value in found.items()})
    packages = ("dadapy", "scikit-learn", "numpy", "scipy")
    print(
        json.dumps(
            {
                "seconds": {**spent, "all": sum(spent[name] for name in ("distances", "gride", "cosine", "overlap"))},
                "versions": {
                    "python": platform.python_version(),
                    **{name: metadata.version(name) for name in packages},
                },
            }
        )
    )


if __name__ == "__main__":
    main()
