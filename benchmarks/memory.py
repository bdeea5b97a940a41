"""Peak memory beyond the input, for one large cloud and for a stream of layers."""

import common  # first: it sets the environment that numpy and torch read

# isort: split
import argparse
import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import torch
from common import number, say

import tokengeom_utils as tg

LARGE, SMALL, LAYERS, K = (16384, 4096), (4096, 576), (1, 2, 8, 32), 256
GIB, MIB = 2**30, 2**20
# glibc keeps some freed memory for later, more with every layer. With this setting it returns each array to the system
# at once, so that only the memory held by the program stays resident.
HELD = {"MALLOC_MMAP_THRESHOLD_": "65536"}


def resident():
    """Return the memory of this process in bytes, now and at its peak.

    Without /proc, both values are the peak, so the memory used before the input hides a part of the memory used after
    it. On Linux, getrusage is not used, because a process inherits its peak from the process that started it.
    """
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
        return peak, peak
    facts = dict(line.split(":", 1) for line in lines if line.startswith(("VmRSS", "VmHWM")))
    return tuple(int(facts[name].split()[0]) * 1024 for name in ("VmRSS", "VmHWM"))


def measured(function, n, d, layers):
    """Return the peak memory beyond the input, in bytes; call it in a fresh process."""
    tg.observables(torch.randn(2, 300, 8))  # load everything, start all threads
    cloud = torch.randn(n, d)

    def stream():
        for _ in range(layers):
            yield cloud.normal_()

    before, _ = resident()
    kept = tg.nearest_neighbors(cloud, K) if function == "nearest_neighbors" else tg.observables(stream(), K)
    _, peak = resident()
    del kept
    return peak - before


def in_a_fresh_process(function, n, d, layers=1, **settings):
    say(f"{function}, {layers} x {n} x {d} {' '.join(settings)} ...")
    command = [sys.executable, __file__, "--measure", function, *map(str, (n, d, layers))]
    done = subprocess.run(command, env={**os.environ, **settings}, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        sys.exit(f"{function} of {layers} x {n} x {d} failed; see its message above")
    return json.loads(done.stdout)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small clouds, for a trial run")
    parser.add_argument("--measure", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        function, *sizes = options.measure
        return print(json.dumps(measured(function, *map(int, sizes))))

    large, small = ((2048, 256), (1024, 64)) if options.quick else (LARGE, SMALL)
    about = common.provenance()
    single = {name: in_a_fresh_process(name, *large) for name in ("nearest_neighbors", "observables")}
    stack = {layers: in_a_fresh_process("observables", *small, layers) for layers in LAYERS}
    held = {layers: in_a_fresh_process("observables", *small, layers, **HELD) for layers in LAYERS}
    table = small[0] * K * 16  # bytes: a float64 and an int64 for each neighbor
    # Beyond two layers, another layer should add only its few numbers, not a table.
    growth = (held[LAYERS[-1]] - held[LAYERS[1]]) / (LAYERS[-1] - LAYERS[1])
    results = {
        "provenance": about,
        "k": K,
        "clouds": {"large": large, "stack": small},
        "bytes beyond the input": single,
        "bytes beyond one layer by number of layers": {"held": held, "resident": stack},
        "bytes of one neighbor table": table,
        "bytes held per layer from the second on": growth,
    }
    tables = [
        (
            f"One float32 cloud of {large[0]} x {large[1]}, k = {K}: GiB beyond the input",
            ["function", "GiB", "target", "met"],
            [[name, number(size / GIB), "under 3", "yes" if size < 3 * GIB else "no"] for name, size in single.items()],
        ),
        (
            f"Layers of {small[0]} x {small[1]} streamed: MiB beyond one layer",
            ["layers", "held", "resident"],
            [[str(layers), number(held[layers] / MIB), number(stack[layers] / MIB)] for layers in LAYERS],
        ),
        (
            "Increase per layer beyond two, relative to one neighbor table",
            ["held", "target", "met"],
            [[number(growth / table), "under 0.1", "yes" if growth < table / 10 else "no"]],
        ),
    ]
    common.write("memory", options.quick, results, tables)


if __name__ == "__main__":
    main()
