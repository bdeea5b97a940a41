"""Four tools on one stack of clouds: seconds beside exactness, each tool in a process of its own."""

import common  # first: it sets the environment that numpy and torch read

# isort: split
import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import plain
import torch
from common import number, say, spread
from one_tool import DTYPES, FAILS, GRIDE, LEVINA_BICKEL, LINE, LINE_FROM_0, OVERLAP, TWO_NN

import tokengeom_utils as tg

N_TOKENS, ROUNDS, K, K_MAX = 1024, 5, 20, 31
ORDER = [GRIDE, TWO_NN, LINE, LINE_FROM_0, LEVINA_BICKEL, OVERLAP]
OURS, PLAIN = "tokengeom-utils", "plain definitions, each distinct token once"
PYTHONS = {
    OURS: Path(sys.executable),
    "scikit-dimension": Path(sys.executable),
    "DADApy": common.PROJECT / ".venv-dadapy" / "bin" / "python",
    "torchid": common.PROJECT / ".venv-torchid" / "bin" / "python",
}
TOLERANCE = 1e-6  # of our dimensions and standard errors, relative; our overlaps are equal
SCALES_SHOWN = (2, 16, 256)  # of GRIDE in layer 0


class Worker:
    """A process that runs one tool; see one_tool.py."""

    def __init__(self, tool, folder, scale_max, threads):
        environment = {**os.environ, **{f"{name}_NUM_THREADS": str(threads) for name in ("OMP", "OPENBLAS", "MKL")}}
        command = [PYTHONS[tool], Path(__file__).with_name("one_tool.py"), tool, folder, "--scale-max", scale_max]
        command += ["--k", K, "--k-max", K_MAX, "--threads", threads]
        self.tool = tool
        self.process = subprocess.Popen(
            list(map(str, command)), env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.about = json.loads(self.answer())
        with np.load(folder / f"{tool}.npz") as found:
            self.found = dict(found)

    def answer(self):
        line = self.process.stdout.readline()
        if not line:
            sys.exit(f"{self.tool} failed; see its message above")
        return line

    def seconds(self, estimator, dtype):
        """Return the seconds of one estimator on the whole stack."""
        self.process.stdin.write(json.dumps([estimator, dtype]) + "\n")
        self.process.stdin.flush()
        return float(self.answer())

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def definition(estimator):
    """Return the name of what a tool's way to an estimate computes: ``GRIDE after ...`` is one way to GRIDE."""
    return estimator.split(" after ")[0]


def references(stack, scale_max):
    """Return {estimator: (values, errors or None)} by the plain definitions, on the distinct tokens of each layer.

    The dimensions have the shape (layer, ...); the overlap, of all tokens, (layer - 1, k).
    """
    scales = [2**i for i in range(1, scale_max.bit_length())]
    ways = {
        GRIDE: lambda r: tuple(np.array([plain.gride(r, s) if s < len(r) else (np.nan,) * 2 for s in scales]).T),
        TWO_NN: plain.two_nn,
        LINE: plain.two_nn_line,
        LINE_FROM_0: lambda r: plain.two_nn_line(r, first=0),
        LEVINA_BICKEL: lambda r: plain.levina_bickel(r, K),
    }
    found, overlaps, before = {name: [] for name in ways}, [], None
    for cloud in stack:
        table = plain.distances(cloud)
        distinct = np.unique(cloud, axis=0, return_index=True)[1]
        ordered = np.sort(table[np.ix_(distinct, distinct)], axis=1)
        for name, estimate in ways.items():
            found[name].append(estimate(ordered))
        if before is not None:
            overlaps.append(plain.overlap(before, table, K_MAX))
        before = table
    pairs = {name: tuple(map(np.array, zip(*values, strict=True))) for name, values in found.items()}
    return {**pairs, OVERLAP: (np.array(overlaps), None)}


def difference(values, reference, estimator):
    """Return the largest difference of each layer, relative for dimensions, and absolute for overlaps."""
    apart = np.abs(values - reference) if definition(estimator) == OVERLAP else np.abs(values / reference - 1)
    return apart.reshape(len(apart), -1).max(axis=1).tolist()


def compared(worker, plainly, kept):
    """Return, by estimator and dtype, the differences of every layer and the largest over the layers without copies."""
    rows = {}
    for estimator in worker.about["estimators"]:
        name = definition(estimator)
        layers = kept[1:] & kept[:-1] if name == OVERLAP else kept
        for dtype in DTYPES:
            row = {}
            for part, reference in zip(("values", "errors"), plainly[name], strict=True):
                if (values := worker.found.get(f"{estimator}/{dtype}/{part}")) is not None:
                    apart = difference(values, reference, estimator)
                    row[part] = {"by layer": apart, "largest": float(np.array(apart)[layers].max())}
            rows.setdefault(estimator, {})[dtype] = row
    return rows


def first_layer(who, found, scale_max):
    """Return {who: {column: value}}, the table of layer 0, from estimates by name; each way has a row of its own."""
    rows = {}
    for estimator, values in found.items():
        name, _, after = estimator.partition(" after ")
        row = rows.setdefault(f"{who} after {after}" if after else who, {})
        if name == GRIDE:
            scales = [scale for scale in SCALES_SHOWN if scale <= scale_max]
            row.update({f"{GRIDE}, scale {scale}": float(values[0][scale.bit_length() - 2]) for scale in scales})
        else:
            row[name] = float(values[0][-1] if name == OVERLAP else values[0])
    return rows


def tables(results):
    """Return the tables of the page, from the results as they are in the JSON file."""
    versions = results["provenance"]["tools"]
    package = {tool: f"{tool} {list(found.values())[1]}" for tool, found in versions.items()}

    def shown(found):
        return [number(found[key]) for key in ("median", "lowest", "highest")]

    main = []
    for row in results["rows"]:
        single, double = (row[dtype] for dtype in DTYPES)
        errors = single.get("difference of the standard error")
        main.append(
            [
                f"{row['estimator']}: {package[row['tool']]}",
                *shown(single["seconds"]),
                *shown(single["times ours"]),
                number(single["difference"]),
                number(double["seconds"]["median"]),
                number(double["times ours"]["median"]),
                number(double["difference"]),
                "none" if errors is None else number(errors),
            ]
        )
    copies = results["layer 0"]
    columns = list(copies[PLAIN])
    layer_0 = [
        [who, *(_value(row[column]) if column in row else "" for column in columns)] for who, row in copies.items()
    ]
    return [
        (
            f"Seconds for {' x '.join(map(str, results['shape']))} beside exactness, "
            f"{results['threads']} threads, {results['layers compared']} layers without copies",
            [
                "estimator and tool",
                "seconds",
                "lowest",
                "highest",
                "times ours",
                "lowest",
                "highest",
                "difference",
                "seconds, float64",
                "times ours, float64",
                "difference, float64",
                "standard error, difference",
            ],
            main,
        ),
        (
            f"Layer 0: {results['shape'][1]} tokens, {results['distinct tokens by layer'][0]} of them distinct",
            ["tool", *columns],
            layer_0,
        ),
        (
            "Warnings and failures in layer 0",
            ["tool and estimator", "message"],
            [
                [f"{tool}: {estimator}", _first(messages)]
                for tool, estimators in results["warnings"].items()
                for estimator, messages in estimators.items()
            ],
        ),
        (
            "Versions",
            ["tool", "versions"],
            [
                [tool, ", ".join(f"{name} {version}" for name, version in found.items())]
                for tool, found in versions.items()
            ],
        ),
    ]


def _value(value):
    return "NaN" if value is None else number(value)


def _first(messages):
    """Return a failure if there is one, else the first message, and how many more there are."""
    if not messages:
        return "none"
    first = next((message for message in messages if message.startswith(FAILS)), messages[0])
    return first.rstrip(";") + (f" (and {len(messages) - 1} more)" if len(messages) > 1 else "")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n-tokens", type=int, default=N_TOKENS)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--tools", nargs="+", choices=PYTHONS, default=list(PYTHONS), help="ours is always among them")
    options = parser.parse_args()
    n, rounds = options.n_tokens, options.rounds
    if n < K_MAX + 3 or rounds < 1:
        parser.error(f"at least {K_MAX + 3} tokens and one round are needed")
    tools = [OURS, *(tool for tool in PYTHONS if tool in options.tools and tool != OURS)]
    for tool in tools:
        if not PYTHONS[tool].exists():
            sys.exit(f"no environment with {tool} at {PYTHONS[tool]}: create it with  make bench")
    scale_max = min(256, 2 ** ((n - 1).bit_length() - 1))

    about = common.provenance()
    threads = torch.get_num_threads()
    say("loading the model ...")
    model, prompt = tg.load_model(), tg.load_prompts("pocket", n=1)[0]
    stack = tg.token_clouds(model, model.tokenize(prompt.text, n)).hidden.numpy()
    say("the plain definitions: half a minute for 1024 tokens ...")
    plainly = references(stack, scale_max)
    distinct = np.array([len(np.unique(cloud, axis=0)) for cloud in stack])
    kept = distinct == n

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for dtype in DTYPES:
            np.save(folder / f"{dtype}.npy", stack.astype(dtype))
        workers = []
        for tool in tools:
            say(f"{tool}: warming up ...")
            workers.append(Worker(tool, folder, scale_max, threads))
        apart = {worker.tool: compared(worker, plainly, kept) for worker in workers}
        check(apart[OURS])
        seconds = measure(workers, rounds)
        for worker in workers:
            worker.close()
    about["load after"] = round(os.getloadavg()[0], 2)
    about["tools"] = {worker.tool: worker.about["versions"] for worker in workers}

    copies = first_layer(PLAIN, {name: values for name, (values, _) in plainly.items()}, scale_max)
    for worker in workers:
        found = {name: worker.found[f"{name}/float32/values"] for name in worker.about["estimators"]}
        copies |= first_layer(worker.tool, found, scale_max)
    results = {
        "provenance": about,
        "prompt": prompt.id,
        "shape": list(stack.shape),
        "threads": threads,
        "scale_max": scale_max,
        "k": K,
        "k_max": K_MAX,
        "layers compared": int(kept.sum()),
        "rows": list(rows(seconds, apart)),
        "line from F = 0 instead of 1 / N, largest relative change": float(
            np.abs(plainly[LINE_FROM_0][0] / plainly[LINE][0] - 1)[kept].max()
        ),
        "distinct tokens by layer": distinct.tolist(),
        "layer 0": copies,
        "warnings": {worker.tool: worker.about["warnings"] for worker in workers},
        "differences by layer": {
            tool: {
                estimator: {
                    dtype: {part: row["by layer"] for part, row in found.items()} for dtype, found in by.items()
                }
                for estimator, by in estimators.items()
            }
            for tool, estimators in apart.items()
        },
    }
    results = common.rounded(results)  # as in the file, since the page is made from it
    reduced = (n, rounds, tools) != (N_TOKENS, ROUNDS, list(PYTHONS))
    common.write("tools", reduced, results, tables(results))


def check(ours):
    """End the benchmark if our results are not those of the plain definitions."""
    for estimator, by in ours.items():
        for dtype, row in by.items():
            for part, found in row.items():
                limit = 1e-12 if estimator == OVERLAP else TOLERANCE
                if not found["largest"] <= limit:
                    sys.exit(f"{estimator} from {dtype}: our {part} differ by {found['largest']:.1e}")


def measure(workers, rounds):
    """Return {tool: {estimator: {dtype: seconds of each round}}}; the tools take turns."""
    seconds = {worker.tool: {} for worker in workers}
    for i in range(rounds):
        start = time.perf_counter()
        turn = workers[i % len(workers) :] + workers[: i % len(workers)]
        for name in ORDER:
            for dtype in DTYPES:
                for worker in turn:
                    for estimator in worker.about["estimators"]:
                        if definition(estimator) == name:
                            found = seconds[worker.tool].setdefault(estimator, {}).setdefault(dtype, [])
                            found.append(worker.seconds(estimator, dtype))
        say(f"round {i + 1} of {rounds}: {time.perf_counter() - start:.0f} s")
    return seconds


def rows(seconds, apart):
    """Yield a row for each way of each tool, sorted by what it computes; ratios are taken within a round."""
    ways = [(tool, estimator) for tool, estimators in seconds.items() for estimator in estimators]
    for tool, estimator in sorted(ways, key=lambda way: ORDER.index(definition(way[1]))):
        row = {"tool": tool, "estimator": estimator}
        same = LINE if definition(estimator) == LINE_FROM_0 else definition(estimator)
        for dtype in DTYPES:
            values, found = seconds[tool][estimator][dtype], apart[tool][estimator][dtype]
            ratios = [theirs / ours for theirs, ours in zip(values, seconds[OURS][same][dtype], strict=True)]
            row[dtype] = {
                "seconds": spread(values),
                "times ours": spread(ratios),
                "difference": found["values"]["largest"],
                "seconds of each round": values,
            }
            if "errors" in found:
                row[dtype]["difference of the standard error"] = found["errors"]["largest"]
        yield row


if __name__ == "__main__":
    main()
