"""All observables of one prompt, compared with common tools, the model's forward pass, and the lower bound."""

import common  # first: it sets the environment that numpy and torch read

# isort: split
import argparse
import json
import os
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

import numpy as np
import torch
from common import console, number, say, seconds, spread

import tokengeom_utils as tg
from tokengeom_utils import processor
from tokengeom_utils.clouds.kernels.products import gram

N_TOKENS, ROUNDS, USUAL = 1024, 7, 4
USUAL_PYTHON = common.PROJECT / ".venv-dadapy" / "bin" / "python"
# DADApy's search for the dimension stops at a width of 1e-7; the usual way computes distances in float64.
TOLERANCE = {"dimension, relative": 1e-6, "overlap": 1e-12, "cosine similarity": 1e-9, "its deviation": 1e-6}


def steps(model, ids, hidden, scale_max, k_max):
    """Return the functions that each round times, by name."""
    indices = tg.nearest_neighbors(hidden, k_max).indices
    distances = tg.nearest_neighbors(hidden, scale_max, drop_duplicates=True).distances
    centered = hidden.double()
    centered -= centered.mean(-2, keepdim=True)
    single = centered.float()
    product = torch.empty(hidden.shape[1], hidden.shape[1], dtype=torch.float64)

    def streamed():
        observer = tg.Observer(scale_max, k_max)
        tg.stream_clouds(model, ids, observer.update)
        return observer.compute()

    return {
        "forward pass": lambda: tg.stream_clouds(model, ids, lambda cloud: None),
        "observables": lambda: tg.observables(hidden, scale_max, k_max),
        "forward pass with observables": streamed,
        "forward pass with all survey measurements": lambda: tg.measure_tokens(model, ids, scale_max, k_max),
        "Gram products": lambda: [torch.mm(x, x.T, out=product) for x in centered],
        "Gram products, one half": lambda: [gram(x[None]) for x in centered],
        "Gram products in float32, one half": lambda: [gram(x[None]) for x in single],
        "neighbors": lambda: tg.nearest_neighbors(hidden, scale_max),
        "GRIDE from coordinates": lambda: tg.intrinsic_dimension(hidden, scale_max),
        "GRIDE from distances": lambda: tg.gride_scales(distances, scale_max),
        "overlap": lambda: tg.neighborhood_overlap(indices[:-1], indices[1:], k_max),
        "cosine similarity": lambda: tg.cosine_similarity(hidden),
    }


def run(command, environment, who):
    """Return the JSON that a command prints last; its progress goes to the console."""
    done = subprocess.run(list(map(str, command)), env=environment, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        sys.exit(f"{who} failed; see its message above")
    return json.loads(done.stdout.splitlines()[-1])


def differences(ours, theirs):
    """Return the largest differences from the usual way, over the layers without duplicates.

    In a layer with duplicates, such as layer 0, DADApy's numbers are meaningless.
    """
    kept = ours.duplicate_tokens.values == 0
    pairs = kept[:-1] & kept[1:]
    apart = {
        "dimension, relative": ours.intrinsic_dimension.values[kept] / theirs["dimension"][kept] - 1,
        "overlap": ours.neighborhood_overlap.values[:-1][pairs] - theirs["overlap"][pairs],
        "cosine similarity": ours.cosine_similarity.values - theirs["cosine_mean"],
        "its deviation": ours.cosine_similarity_std.values - theirs["cosine_std"],
    }
    return {"layers compared": int(kept.sum()), **{name: float(abs(value).max()) for name, value in apart.items()}}


def only_observables(states, scale_max, k_max):
    """Print the seconds of five calls in this process, whose environment decides what numpy uses."""
    hidden = torch.from_numpy(np.load(states))
    tg.observables(hidden, scale_max, k_max)
    print(json.dumps([seconds(lambda: tg.observables(hidden, scale_max, k_max)) for _ in range(5)]))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n-tokens", type=int, default=N_TOKENS)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--usual", type=int, default=USUAL, help="rounds that include the usual way")
    parser.add_argument("--usual-python", type=Path, default=USUAL_PYTHON, help="python of the environment with DADApy")
    parser.add_argument("--only-observables", help=argparse.SUPPRESS)
    options = parser.parse_args()
    n, rounds, usual = options.n_tokens, options.rounds, min(options.usual, options.rounds)
    if n < 34 or rounds < 1:
        parser.error("at least 34 tokens and one round are needed")
    scale_max, k_max = min(256, 2 ** ((n - 1).bit_length() - 1)), 31
    if options.only_observables:
        return only_observables(options.only_observables, scale_max, k_max)
    if usual and not options.usual_python.exists():
        sys.exit(f"no environment with DADApy at {options.usual_python}: create it with  make bench")

    # Layer 0 has few distinct tokens, so every call would warn.
    warnings.filterwarnings("ignore", "intrinsic dimension", RuntimeWarning)
    about = common.provenance()
    say("loading the model ...")
    model, prompt = tg.load_model(), tg.load_prompts("pocket", n=1)[0]
    ids = model.tokenize(prompt.text, n)
    say("warming up ...")
    hidden = tg.token_clouds(model, ids).hidden.clone()
    timed = steps(model, ids, hidden, scale_max, k_max)
    for function in timed.values():
        function()
    ours = tg.observables(hidden, scale_max, k_max)
    unset = {**os.environ, "NPY_DISABLE_CPU_FEATURES": ""}
    sized = ["--n-tokens", n]
    record = {name: [] for name in timed}
    usual_runs, apart, selection = [], None, {}

    with tempfile.TemporaryDirectory() as folder:
        states, found = Path(folder) / "states.npy", Path(folder) / "found.npz"
        np.save(states, hidden.numpy())
        for i in range(rounds):
            console.print(f"round {i + 1} of {rounds}:", end="")
            for name, function in timed.items():
                record[name].append(seconds(function))
                console.print(f" {name} {record[name][-1]:.2f} s", end=";")
            console.print()
            if i >= usual:
                continue
            # Alternate between the unchanged environment and waiting threads that sleep, as ours do.
            sleeping = i % 2 == 1
            environment = {**common.FOUND, **({"OMP_WAIT_POLICY": "PASSIVE"} if sleeping else {})}
            say(f"the usual way{', with sleeping threads' if sleeping else ''}: about a minute for 1024 tokens ...")
            script = Path(__file__).with_name("usual_way.py")
            command = [options.usual_python, script, states, found, "--scale-max", scale_max, "--k-max", k_max]
            usual_runs.append({"round": i, "sleeping": sleeping, **run(command, environment, "the usual way")})
            say("  " + "; ".join(f"{name} {s:.2f} s" for name, s in usual_runs[-1]["seconds"].items()))
            apart = differences(ours, np.load(found))
            wrong = [name for name, limit in TOLERANCE.items() if not apart[name] <= limit]
            if wrong:
                sys.exit(
                    f"our results and the usual way differ: {', '.join(f'{name} {apart[name]:.1e}' for name in wrong)}"
                )
        if "NPY_DISABLE_CPU_FEATURES" in processor.settings():
            say("observables with and without the setting for numpy ...")
            command = [sys.executable, __file__, "--only-observables", states, *sized]
            for name, environment in {"with": os.environ, "without": unset}.items():
                selection[name] = run(command, environment, "the benchmark of the setting")

    about["load after"] = round(os.getloadavg()[0], 2)
    ratios = list(ratio_rows(record, usual_runs, selection))
    flop = 2 * hidden.numel() * n
    results = {
        "provenance": {**about, "usual way": usual_runs[0]["versions"] if usual_runs else None},
        "prompt": prompt.id,
        "shape": list(hidden.shape),
        "scale_max": scale_max,
        "k_max": k_max,
        "seconds": record,
        "usual way": usual_runs,
        "observables by numpy setting": selection,
        "gigaflop of the Gram products": flop / 1e9,
        "ratios": ratios,
        "largest differences": apart,
    }
    asked = [
        [row["what"], *map(number, row["spread"].values()), row["target"], row["met"]]
        for row in ratios
        if row["target"]
    ]
    others = [[row["what"], *map(number, row["spread"].values())] for row in ratios if not row["target"]]
    tables = [
        (
            f"Targets, {' x '.join(map(str, hidden.shape))}",
            ["ratio", "median", "lowest", "highest", "target", "met"],
            asked,
        ),
        ("More ratios", ["ratio", "median", "lowest", "highest"], others),
        (
            "Seconds",
            ["part", "median", "lowest", "highest"],
            [
                [name, *map(number, spread(values).values())]
                for name, values in {**record, **usual_seconds(usual_runs)}.items()
            ],
        ),
    ]
    if apart:
        tables.append(
            (
                f"Differences from the usual way, {apart['layers compared']} layers without duplicates",
                ["quantity", "largest", "tolerance"],
                [[name, number(apart[name]), number(limit)] for name, limit in TOLERANCE.items()],
            )
        )
    reduced = (n, rounds, usual) != (N_TOKENS, ROUNDS, USUAL)
    common.write("observables", reduced, results, tables)


def usual_seconds(runs):
    """Return the seconds of each run of the usual way by name, for both kinds of threads."""
    found = {}
    for run_ in runs:
        for name, value in run_["seconds"].items():
            found.setdefault(f"usual way{', sleeping threads' * run_['sleeping']}: {name}", []).append(value)
    return found


def ratio_rows(record, usual_runs, selection):
    """Yield ratios, each taken within a round, with their targets."""

    def row(what, values, target=None):
        found = spread(values)
        at_least = target is None or target > 1
        met = "" if target is None else "yes" if (found["median"] >= target) == at_least else "no"
        text = "" if target is None else f"at least {target}" if at_least else f"at most {target}"
        return {"what": what, "spread": found, "target": text, "met": met}

    compared = {  # name: (the usual way's part, ours, target)
        "all observables": ("all", "observables", 60),
        "GRIDE, from coordinates": ("gride from coordinates", "GRIDE from coordinates", 8),
        "GRIDE, from distances": ("gride", "GRIDE from distances", 8),
        "all but the overlap, against all observables": (("distances", "gride", "cosine"), "observables", None),
        "all, overlap by Python's sets": (("distances", "gride", "cosine", "overlap of sets"), "observables", None),
        "neighbors": ("distances", "neighbors", None),
        "overlap": ("overlap", "overlap", None),
        "cosine similarity": ("cosine", "cosine similarity", None),
    }
    for sleeping in (False, True):
        runs = [run_ for run_ in usual_runs if run_["sleeping"] == sleeping]
        for what, (parts, mine, target) in compared.items() if runs else ():
            parts = (parts,) if isinstance(parts, str) else parts
            values = [sum(map(run_["seconds"].get, parts)) / record[mine][run_["round"]] for run_ in runs]
            yield row(f"usual way{', sleeping threads' * sleeping} / ours: {what}", values, target)

    def within(above, below):
        return [above(i) / record[below][i] for i in range(len(record[below]))]

    yield row("observables / forward pass", within(record["observables"].__getitem__, "forward pass"), 0.2)
    parts = ("observables", 0.2), ("all survey measurements", None)
    for part, target in parts:
        alone = record["forward pass"]
        added = [a / b - 1 for a, b in zip(record[f"forward pass with {part}"], alone, strict=True)]
        yield row(f"time that {part} add to a forward pass / forward pass", added, target)
    yield row(
        "observables / lower bound (the Gram products)", within(record["observables"].__getitem__, "Gram products")
    )
    yield row(
        "observables / half the lower bound (the Gram matrix is symmetric)",
        within(lambda i: 2 * record["observables"][i], "Gram products"),
    )
    yield row(
        "one half of the Gram products, as computed / the Gram products",
        within(record["Gram products, one half"].__getitem__, "Gram products"),
    )
    yield row(
        "observables / one half of the Gram products in float32, as computed",
        within(record["observables"].__getitem__, "Gram products in float32, one half"),
    )
    if selection:
        yield row(
            "observables without the setting for numpy / with it",
            [a / b for a, b in zip(sorted(selection["without"]), sorted(selection["with"]), strict=True)],
        )


if __name__ == "__main__":
    main()
