"""Time of the intrinsic dimension compared with scikit-dimension, for N tokens with D features."""

import common  # first: it sets the environment that numpy and torch read

# isort: split
import argparse
import os
import sys
import time
import warnings

import numpy as np
import torch
from common import number, say, spread

import tokengeom_utils as tg

try:
    import skdim
except ImportError:
    sys.exit("scikit-dimension is missing: install it with  make bench")

TOKENS, FEATURES, ROUNDS = (1024, 2048, 4096, 8192, 16384), (64, 256, 1024, 4096), 5
ENOUGH = 20.0  # seconds after which a comparison is not repeated
INTRINSIC = 16  # dimension of the clouds: Gaussian, in a random subspace
SCALE_MAX = 256
TOLERANCE = 1e-4  # relative; on a float32 cloud, TwoNN of scikit-dimension keeps float32 distances
OURS, THEIRS = "tokengeom-utils", "scikit-dimension"


def gride(cloud):
    return tg.intrinsic_dimension(cloud, SCALE_MAX).dimension.numpy()


def their_gride(cloud):
    return skdim.id.GRIDE(multiscale=True, range_max=SCALE_MAX).fit(cloud.numpy()).dimension_scales_


def two_nn(cloud):
    return tg.two_nn(tg.nearest_neighbors(cloud, 2).distances).dimension.numpy()


def their_two_nn(cloud):
    return skdim.id.TwoNN(method="mle", discard_fraction=0).fit(cloud.numpy()).dimension_


ESTIMATORS = {"GRIDE": (gride, their_gride), "TwoNN": (two_nn, their_two_nn)}


def compare(name, cloud, rounds):
    """Return the seconds of both tools, in alternation, and the largest relative difference of their results."""
    values, found = {OURS: [], THEIRS: []}, {}
    for _ in range(rounds):
        for tool, estimate in zip(values, ESTIMATORS[name], strict=True):
            start = time.perf_counter()
            found[tool] = estimate(cloud)
            values[tool].append(time.perf_counter() - start)
        if sum(map(sum, values.values())) > ENOUGH:
            break
    apart = float(np.abs(found[OURS] / found[THEIRS] - 1).max())
    if not apart <= TOLERANCE:
        sys.exit(f"{name} of {tuple(cloud.shape)}: the two differ by {apart:.1e}")
    return values, apart


def exponents(cells, tool):
    """Return a, b of time ~ N^a D^b, fitted to the cells with the two largest N and D, where overheads are small."""
    largest = {name: sorted({cell[name] for cell in cells})[-2:] for name in "ND"}
    cells = [cell for cell in cells if all(cell[name] in largest[name] for name in "ND")]
    log = np.log([[np.e, cell["N"], cell["D"]] for cell in cells])
    return np.linalg.lstsq(log, np.log([min(cell["seconds"][tool]) for cell in cells]), rcond=None)[0][1:]


def draw(cells, path):
    """Plot the shortest times against N^2 D, one panel per estimator; noise only ever makes a run longer."""
    import matplotlib.pyplot as plt

    from tokengeom_utils.site.figures import ACCENT, NEUTRAL, set_theme
    from tokengeom_utils.site.figures import OURS as BLUE

    set_theme()
    figure, panels = plt.subplots(2, 1, figsize=(6.2, 7.6), sharex=True, sharey=True)
    markers = dict(zip(sorted({cell["D"] for cell in cells}), "osD^v<>", strict=False))  # more markers than needed
    for panel, name in zip(panels, ESTIMATORS, strict=True):
        for tool, color, fill in ((OURS, BLUE, BLUE), (THEIRS, ACCENT, "white")):
            for features, marker in markers.items():
                shown = [c for c in cells if (c["estimator"], c["D"]) == (name, features)]
                panel.plot(
                    [c["N"] ** 2 * c["D"] for c in shown],
                    [min(c["seconds"][tool]) for c in shown],
                    color=color,
                    marker=marker,
                    markerfacecolor=fill,
                    markersize=6,
                    linewidth=1,
                    alpha=0.9,
                )
        work = np.array([min(c["N"] ** 2 * c["D"] for c in cells), max(c["N"] ** 2 * c["D"] for c in cells)], float)
        largest = max((c for c in cells if c["estimator"] == name), key=lambda c: c["N"] ** 2 * c["D"])
        panel.plot(work, min(largest["seconds"][OURS]) * work / work[1], color=NEUTRAL, linestyle=":", zorder=1)
        panel.set(xscale="log", yscale="log", title=name, ylabel="seconds")
    panels[-1].set_xlabel("$N^2 D$")
    keys = [
        plt.Line2D([], [], color=BLUE, marker="o", label=OURS),
        plt.Line2D([], [], color=ACCENT, marker="o", markerfacecolor="white", label=THEIRS),
        plt.Line2D([], [], color=NEUTRAL, linestyle=":", label="growth with $N^2 D$"),
    ]
    panels[0].legend(handles=keys, loc="upper left")
    keys = [plt.Line2D([], [], color=NEUTRAL, marker=m, linestyle="none", label=f"D = {d}") for d, m in markers.items()]
    panels[1].legend(handles=keys, loc="upper left")
    figure.savefig(path, metadata={"Date": None})
    say(f"plot written to {path.relative_to(common.PROJECT)}")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n-max", type=int, default=TOKENS[-1], help="largest number of tokens")
    parser.add_argument("--d-max", type=int, default=FEATURES[-1], help="largest number of features")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    options = parser.parse_args()
    grid = [(n, d) for n in TOKENS for d in FEATURES if n <= options.n_max and d <= options.d_max]
    if options.n_max < TOKENS[1] or options.d_max < FEATURES[1] or options.rounds < 1:
        parser.error(f"--n-max is at least {TOKENS[1]}, --d-max at least {FEATURES[1]}, --rounds at least 1")

    warnings.filterwarnings("ignore", category=UserWarning, module="skdim")
    about = common.provenance()
    generator = torch.Generator().manual_seed(0)
    cells = []
    for warm_up, (n, d) in enumerate([grid[0], *grid]):
        inside = torch.randn(n, INTRINSIC, generator=generator)
        cloud = inside @ torch.randn(INTRINSIC, d, generator=generator)
        for name in ESTIMATORS:
            values, apart = compare(name, cloud, options.rounds if warm_up else 1)
            if not warm_up:
                continue
            ratio = spread([b / a for a, b in zip(values[OURS], values[THEIRS], strict=True)])
            cells.append({"estimator": name, "N": n, "D": d, "seconds": values, "ratio": ratio, "difference": apart})
            say(
                f"{warm_up} of {len(grid)}: {name}, N = {n}, D = {d}: ours {number(np.median(values[OURS]))} s, "
                f"theirs {number(np.median(values[THEIRS]))} s, ratio {number(ratio['median'])}"
            )

    about["load after"] = round(os.getloadavg()[0], 2)
    growth = {
        name: {
            tool: dict(zip("ND", exponents([c for c in cells if c["estimator"] == name], tool).tolist(), strict=True))
            for tool in (OURS, THEIRS)
        }
        for name in ESTIMATORS
    }
    slowest = {name: min(c["ratio"]["median"] for c in cells if c["estimator"] == name) for name in ESTIMATORS}
    tables = [
        (
            "Speed relative to scikit-dimension",
            ["estimator", "smallest ratio theirs / ours", "target", "met"],
            [[name, number(ratio), "at least 1", "yes" if ratio >= 1 else "no"] for name, ratio in slowest.items()],
        ),
        (
            "Growth with N and D: time ~ N^a D^b",
            ["estimator", "a", "b"],
            [
                [f"{name}, {tool}", number(powers["N"]), number(powers["D"])]
                for name, tools in growth.items()
                for tool, powers in tools.items()
            ],
        ),
        *(
            (
                f"{name}: seconds, float32 clouds",
                ["N x D", "ours", "theirs", "ratio", "lowest", "highest", "difference"],
                [
                    [
                        f"{c['N']} x {c['D']}",
                        *(number(np.median(c["seconds"][tool])) for tool in (OURS, THEIRS)),
                        *(number(c["ratio"][key]) for key in ("median", "lowest", "highest")),
                        number(c["difference"]),
                    ]
                    for c in cells
                    if c["estimator"] == name
                ],
            )
            for name in ESTIMATORS
        ),
    ]
    results = {
        "provenance": about,
        "intrinsic dimension": INTRINSIC,
        "scale_max": SCALE_MAX,
        "smallest ratio": slowest,
        "growth": growth,
        "cells": cells,
    }
    reduced = (options.n_max, options.d_max, options.rounds) != (TOKENS[-1], FEATURES[-1], ROUNDS)
    draw(cells, common.write("scaling", reduced, results, tables) / "scaling.svg")


if __name__ == "__main__":
    main()
