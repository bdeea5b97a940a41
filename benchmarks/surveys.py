"""Surveys: overhead of the store and of the scheduler, gain from a second worker, loss from a killed one."""

import common  # first: it sets the environment that numpy and torch read

# isort: split
import argparse
import os
import signal
import statistics
import tempfile
import time
from functools import partial
from pathlib import Path

import numpy as np
from common import number, say, spread

import tokengeom_utils as tg
from tokengeom_utils.surveys import cluster, store
from tokengeom_utils.surveys.doctor import examine
from tokengeom_utils.surveys.provenance import provenance

MODEL = "smollm2-135m"


def survey(out, prompts, request, **options):
    """Return the seconds from the first measurement to the last, and the end of each."""
    ends = []
    tg.survey(
        options.pop("model", MODEL),
        prompts,
        (0,),
        out,
        **request,
        **options,
        progress=lambda *step: ends.append((time.perf_counter(), step[0])),
    )
    return ends[-1][0] - ends[0][0], ends


def overhead(folder, model, prompts, request):
    """Return the time per prompt that a survey adds to its measurements, and the part of it spent on the store."""
    ids = [model.tokenize(prompt.text, request["n_tokens"]) for prompt in prompts]
    sizes = {name: request[name] for name in ("scale_max", "k_max")}
    tg.measure_tokens(model, ids[0], **sizes)  # compile, and load the model
    alone = []
    for row in ids:
        start = time.perf_counter()
        tg.measure_tokens(model, row, **sizes)
        alone.append(time.perf_counter() - start)
    in_all, _ = survey(folder / "overhead.zarr", prompts, request, model=model)

    row = {name: found.values[None] for name, found in tg.measure(model, prompts[0], **request).items()}
    made, writes, copies = (
        provenance(model),
        [],
        [tg.Prompt(f"{number:04d}", "copy", prompts[0].text) for number in range(100)],
    )
    request = {**request, "n_shuffled": 0, "prompts": [[copy.id, copy.sha256] for copy in copies], "shuffles": [0]}
    with store.Store(
        folder / "writes.zarr", {"schema": tg.schema.SCHEMA, "model": MODEL, "seed": 42, **request}, copies
    ) as out:
        for i in range(len(copies)):
            start = time.perf_counter()
            out.write(i, row, made)
            writes.append(time.perf_counter() - start)
        out.fold()
    files = [p for p in (folder / "writes.zarr").rglob("*") if p.is_file()]
    size = sum(p.stat().st_size for p in files) / len(copies)
    start = time.perf_counter()
    assert examine(folder / "writes.zarr")[0].is_sound
    return {
        "seconds of a measurement": spread(alone),
        "seconds of a survey beyond its measurements": (in_all - sum(alone)) / len(prompts),
        "seconds of a write": spread(writes[1:]),
        "bytes of a prompt": size,
        "files": len(files),
        "seconds of a check": (time.perf_counter() - start) / len(copies),
    }


def scheduling(client, n=200):
    """Return the seconds per task that Dask takes for empty tasks with realistic arguments and results."""
    prompt, row = tg.Prompt("x", "x", "x" * 5000), np.zeros(6000)
    client.submit(_nothing, prompt, row, pure=False).result()
    start = time.perf_counter()
    client.gather([client.submit(_nothing, prompt, row, pure=False) for _ in range(n)])
    return (time.perf_counter() - start) / n


def _nothing(prompt, row):
    return row


def scaling(folder, prompts, request, rounds):
    """Return the times on one worker and on two, with one thread each, and the parallel efficiency."""
    found = {"one worker": [], "two workers": [], "seconds of a task": []}
    for attempt in range(rounds):
        for n, name in ((1, "one worker"), (2, "two workers")):
            with cluster.local_cluster(2) as workers, cluster._import("distributed").Client(workers) as client:
                workers.scale(n)
                client.wait_for_workers(n)
                warm = tg.load_prompts("pocket", n=len(prompts) + 4)[len(prompts) :]
                survey(folder / f"warm-{attempt}-{n}.zarr", warm, request, client=client)
                seconds, _ = survey(folder / f"{attempt}-{n}.zarr", prompts, request, client=client)
                found[name].append(seconds)
                if n == 2:
                    found["seconds of a task"].append(scheduling(client))
    found["efficiency"] = spread(
        [one / two / 2 for one, two in zip(found["one worker"], found["two workers"], strict=True)]
    )
    return found


def losses(folder, prompts, request, rounds):
    """Kill one of two workers, and count the measurements that are started a second time."""
    from distributed import WorkerPlugin

    class Log(WorkerPlugin):
        """Logs each measurement that a worker starts."""

        def __init__(self, log):
            self.log = str(log)

        def transition(self, key, start, finish, **_):
            if finish == "executing" and key.startswith("_measure"):
                with open(self.log, "a") as log:
                    log.write(f"{key}\n")

    found = {"prompts": len(prompts), "killed after": [], "begun again": [], "seconds": []}
    for attempt in range(rounds):
        out, log, killed = folder / f"killed-{attempt}.zarr", folder / f"begun-{attempt}", []
        with cluster.local_cluster(2) as workers, cluster._import("distributed").Client(workers) as client:
            client.wait_for_workers(2)
            client.register_plugin(Log(log))

            kill = partial(kill_one_worker, client, len(prompts) // 2, killed)
            start = time.perf_counter()
            tg.survey(MODEL, prompts, (0,), out, **request, client=client, progress=kill)
            found["seconds"].append(time.perf_counter() - start)
        (report,) = examine(out)
        assert report.is_sound and not report.missing
        begun = log.read_text().split()
        found["killed after"] += killed
        found["begun again"].append(len(begun) - len(set(begun)))
    return found


def kill_one_worker(client, after, killed, done, *_):
    """Kill a worker once ``after`` measurements are done, and append their number to ``killed``."""
    if done >= after and not killed:
        name = next(iter(client.nthreads()))
        os.kill(client.run(os.getpid, workers=[name])[name], signal.SIGKILL)
        killed.append(done)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a few short prompts, for a trial run")
    options = parser.parse_args()
    n, rounds, request = 8, 3, {"n_tokens": 1024, "scale_max": 256, "k_max": 31}
    if options.quick:
        n, rounds, request = 4, 1, {"n_tokens": 64, "scale_max": 16, "k_max": 8}
    about = common.provenance()
    prompts = tg.load_prompts("pocket", n=n)
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        folder = Path(folder)
        say("one process: measurements, store ...")
        single = overhead(folder, tg.load_model(MODEL), prompts, request)
        say("one worker and two, in alternation ...")
        scaled = scaling(folder, prompts, request, rounds)
        say("two workers, one of them killed ...")
        lost = losses(folder, prompts, request, rounds)
    results = {
        "provenance": about,
        "request": {**request, "model": MODEL, "prompts": n},
        "one process": single,
        "workers": scaled,
        "a lost worker": lost,
    }
    milliseconds = [
        ("writing to the disk", single["seconds of a write"]["median"]),
        ("everything except the measurement", single["seconds of a survey beyond its measurements"]),
        ("checking a prompt when a survey is resumed", single["seconds of a check"]),
        ("an empty task in Dask", statistics.median(scaled["seconds of a task"])),
    ]
    efficiency = scaled["efficiency"]
    typical = number(single["seconds of a measurement"]["median"])
    tables = [
        (
            f"One prompt of {request['n_tokens']} tokens takes {typical} s; overhead in ms",
            ["", "ms"],
            [[name, number(1e3 * value)] for name, value in milliseconds],
        ),
        (
            "Two workers compared with one, one thread each",
            ["", "median", "lowest", "highest"],
            [["parallel efficiency", *(number(efficiency[name]) for name in ("median", "lowest", "highest"))]],
        ),
        (
            f"One of two workers killed, {lost['prompts']} prompts",
            ["killed after", "repeated", "total seconds"],
            [
                [str(after), str(again), number(s)]
                for after, again, s in zip(lost["killed after"], lost["begun again"], lost["seconds"], strict=True)
            ],
        ),
    ]
    common.write("surveys", options.quick, results, tables)


if __name__ == "__main__":
    main()
