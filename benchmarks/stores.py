"""Stores of surveys: time, files, and syncs of a prompt, what harm leaves, and a rehearsal of large surveys."""

import common  # first: it sets the environment that numpy and torch read

# isort: split
import argparse
import os
import random
import re
import resource
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from candidates import CANDIDATES, Surveys
from common import number, say

import tokengeom_utils as tg
from tokengeom_utils.surveys.doctor import examine
from tokengeom_utils.surveys.store import count

SYNCS = re.compile(r"\b(?:fsync|fdatasync|msync|sync_file_range)\(")
BULK = ("intrinsic_dimension", "intrinsic_dimension_error", "neighborhood_overlap")  # most of the values of a row
WRITER = Path(__file__).with_name("stores_writer.py")


def rows():
    """The rows of the bundled survey that are measured at every degree."""
    results = tg.results.shuffled_prompts(tg.open_results("standard"))
    names = results.attrs["variables"]
    return [{name: results[name].values[i] for name in names} for i in range(results.sizes["prompt"])]


def same(a, b):
    """Whether two rows hold the same numbers."""
    return all(np.array_equal(a[name], b[name], equal_nan=True) for name in b)


def speed(kind, folder, table, n):
    """Milliseconds, files, and bytes of a prompt; milliseconds to open a store again and read and check a prompt."""
    store, times = CANDIDATES[kind](folder, n, table[0]), []
    for i in range(n):
        start = time.perf_counter()
        store.write(i, table[i % len(table)])
        times.append(1e3 * (time.perf_counter() - start))
    files = [path for path in folder.rglob("*") if path.is_file()]
    size = sum(path.stat().st_size for path in files)
    store.close()
    start = time.perf_counter()
    store = CANDIDATES[kind](folder, n, table[0])
    found = store.read()
    check = 1e3 * (time.perf_counter() - start) / n
    assert len(found) == n and all(same(found[i], table[i % len(table)]) for i in found)
    store.close()
    return {
        "prompts": n,
        "milliseconds of a write": {**common.spread(times), "mean": statistics.mean(times)},
        "files": len(files),
        "bytes of a prompt": size / n,
        "milliseconds of a check": check,
    }


def syncs(kind, folder, rows_file, n):
    """Calls that wait for the disk, per prompt; None where strace is missing."""
    if not shutil.which("strace"):
        return None
    counts = []
    for prompts in (n, 2 * n):  # the difference leaves out what opening costs
        trace = folder / f"{kind}.{prompts}.trace"
        command = ["strace", "-f", "-o", trace, "-e", "trace=fsync,fdatasync,msync,sync_file_range"]
        subprocess.run(
            [*command, *writer(kind, folder / f"{kind}-{prompts}", rows_file, prompts)], check=True, capture_output=True
        )
        counts.append(len(SYNCS.findall(trace.read_text())))
        shutil.rmtree(folder / f"{kind}-{prompts}")
    return (counts[1] - counts[0]) / n


def writer(kind, folder, rows_file, n):
    """The command of a process that writes."""
    return [sys.executable, WRITER, kind, folder, rows_file, str(n)]


def kill(kind, folder, rows_file, table, n, kills):
    """Kill a writer at random moments, and let the next resume; prompts that were lost or changed."""
    generator, lost, wrong, done = random.Random(0), 0, 0, set()
    for _ in range(kills):
        command = writer(kind, folder, rows_file, n)
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as child:
            for _ in range(generator.randrange(1, 40)):
                done |= {int(line) for line in [child.stdout.readline().strip()] if line.isdecimal()}
            time.sleep(generator.uniform(0, 0.02))
            child.send_signal(signal.SIGKILL)
            done |= {int(line) for line in child.stdout.read().split("\n")[:-1] if line.isdecimal()}
        store = CANDIDATES[kind](folder, n, table[0])
        found = store.read()
        store.close()
        lost += len(done - set(found))
        wrong += sum(not same(found[i], table[i % len(table)]) for i in found)
    return {"kills": kills, "written": len(done), "lost": lost, "wrong": wrong}


def harm(kind, folder, table, n, of, trials):
    """Flip a random bit of a store of ``n`` of ``of`` prompts, or remove a random file: prompts lost or wrong."""
    store = CANDIDATES[kind](folder, of, table[0])
    for i in range(n):
        store.write(i, table[i % len(table)])
    store.close()
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    sizes, generator = [path.stat().st_size for path in files], random.Random(1)
    found = {"prompts": n, "of": of, "trials": trials}
    for what in ("flipped bit", "lost file"):
        lost, wrong = [], 0
        for _ in range(trials):
            copy = folder.with_name(f"{folder.name}-copy")
            shutil.copytree(folder, copy)
            (file,) = generator.choices(files, sizes if what == "flipped bit" else None)
            file = copy / file.relative_to(folder)
            if what == "flipped bit":
                flip(file, generator)
            else:
                file.unlink()
            try:
                store = CANDIDATES[kind](copy, of, table[0])
                try:
                    left = store.read()
                finally:
                    store.close()
            except Exception:  # whatever a store raises that cannot be opened
                left = {}
            shutil.rmtree(copy)
            lost.append(n - len(left))
            wrong += sum(not same(left[i], table[i % len(table)]) for i in left)
        found[what] = {"lost": lost, "wrong": wrong}
    shutil.rmtree(folder)
    return found


def flip(file, generator):
    """Flip a random bit of a file."""
    data = bytearray(file.read_bytes())
    data[generator.randrange(len(data))] ^= 1 << generator.randrange(8)
    file.write_bytes(data)


def rehearse(folder, n):
    """A survey of many prompts whose measurements cost nothing: one degree, rows of the real shape."""
    table = [{name: values[:1] for name, values in row.items()} for row in rows()]
    found = {"prompts": n, "degrees": 1}

    def row(i):
        """One of the rows, with other last digits, so that no two compress as one."""
        values = table[i % len(table)]
        return {**values, **{name: values[name] * (1 - 1e-9 * i) for name in BULK}}

    def timed(name, function):
        start = time.perf_counter()
        value = function()
        found[name] = time.perf_counter() - start
        return value

    store = timed("seconds to begin", lambda: Surveys(folder, n, table[0]))
    path = folder / "survey.zarr"
    half = n // 2 + 50  # not at the end of a chunk
    timed("seconds to write half", lambda: [store.write(i, row(i)) for i in range(half)])
    store.close()
    found["megabytes after writing"] = peak()
    timed("seconds to count", lambda: count(path))
    store = timed("seconds to resume", lambda: resume(folder, n, table[0]))
    assert store.store.done().sum() == half
    timed("seconds to write the rest", lambda: [store.write(i, row(i)) for i in range(half, n)])
    store.close()
    found["megabytes of the writer"] = peak()
    files = [file for file in path.rglob("*") if file.is_file()]
    found |= {"files": len(files), "bytes": sum(file.stat().st_size for file in files)}
    found["bytes of zarr.json"] = (path / "zarr.json").stat().st_size
    (report,) = timed("seconds of the doctor", lambda: examine(path))
    assert report.is_sound and not report.missing
    found["megabytes of the doctor"] = peak()
    results = timed("seconds to open", lambda: tg.open_results(path))
    assert results.sizes["prompt"] == n
    found["megabytes of the results"] = results.nbytes / 1e6
    found["megabytes after opening"] = peak()
    return found


def resume(folder, n, example):
    """Open a store as a survey does: with a look at every chunk."""
    from tokengeom_utils.surveys.checks import faults

    store = Surveys(folder, n, example)
    assert not faults(store.store.path)
    return store


def peak():
    """Largest memory of this process so far, in megabytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


def in_a_process(n, folder):
    """Rehearse in a process of its own, whose memory is measured."""
    import json

    command = [sys.executable, __file__, "--rehearse", str(n), str(folder)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, env={**os.environ})
    return json.loads(done.stdout.splitlines()[-1])


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer prompts and trials")
    parser.add_argument("--prompts", type=int, nargs="*", default=[10_000, 100_000], help="of the rehearsals")
    parser.add_argument("--rehearse", nargs=2, metavar=("PROMPTS", "FOLDER"), help=argparse.SUPPRESS)
    parser.add_argument("--stores", nargs="*", default=list(CANDIDATES), choices=list(CANDIDATES), help="to compare")
    options = parser.parse_args()
    if options.rehearse:
        import json

        print(json.dumps(rehearse(Path(options.rehearse[1]), int(options.rehearse[0]))))
        return
    n, kills, trials = (32, 8, 8) if options.quick else (256, 16, 40)
    table, results = rows(), {"provenance": common.provenance()}
    results["row"] = {"bytes": sum(values.nbytes for values in table[0].values()), "arrays": len(table[0])}
    results["stores"], results["rehearsals"] = {}, []
    memory = "/dev/shm" if Path("/dev/shm").is_dir() else None  # for what needs no disk
    with (
        tempfile.TemporaryDirectory(dir=common.PROJECT) as folder,
        tempfile.TemporaryDirectory(dir=memory) as quickly,
    ):
        folder, quickly = Path(folder), Path(quickly)
        rows_file = quickly / "rows.npy"
        np.save(rows_file, np.array(table, dtype=object), allow_pickle=True)
        for kind in options.stores:
            candidate = CANDIDATES[kind]
            if kind == "Icechunk" and find_spec("icechunk") is None:
                continue
            slow = 8 if kind in ("Icechunk", "Shards") else 1
            found = {"about": candidate.about, **speed(kind, folder / kind, table, n // slow)}
            found["syncs of a prompt"] = syncs(kind, quickly, rows_file, 128 // slow)
            if kind != "Icechunk":
                found["kill"] = kill(
                    kind, quickly / f"{kind}-killed", rows_file, table, 40 * kills // slow, kills // slow
                )
                found["harmed while it runs"] = harm(kind, quickly / f"{kind}-half", table, 60, 160, trials // slow)
                found["harmed when complete"] = harm(kind, quickly / f"{kind}-all", table, 160, 160, trials // slow)
            results["stores"][kind] = found
            say(f"{kind}: {found['milliseconds of a write']['median']:.1f} ms, {found['syncs of a prompt']} syncs")
            for used in (folder / kind, quickly / f"{kind}-killed"):
                shutil.rmtree(used, ignore_errors=True)
        for prompts in [100] if options.quick else options.prompts:
            results["rehearsals"].append(in_a_process(prompts, folder / str(prompts)))
            shutil.rmtree(folder / str(prompts))
            say(f"rehearsed {prompts} prompts")
    results["provenance"]["load after"] = round(os.getloadavg()[0], 2)
    common.write("stores", options.quick, results, [table_of(results["stores"]), rehearsed(results["rehearsals"])])


def table_of(stores):
    """The table of the stores."""
    headings = ["store", "ms", "syncs", "files", "ms of a check", "lost to kills", "lost to a flipped bit", "unnoticed"]
    lines = []
    for one in stores.values():
        harms = [one[name] for name in ("harmed while it runs", "harmed when complete") if name in one]
        flips = [f"{max(found['flipped bit']['lost'])} of {found['prompts']}" for found in harms]
        wrong = sum(found[what]["wrong"] for found in harms for what in ("flipped bit", "lost file"))
        lines.append(
            [
                one["about"],
                number(one["milliseconds of a write"]["median"]),
                "" if one["syncs of a prompt"] is None else number(one["syncs of a prompt"]),
                number(one["files"] / one["prompts"]),
                number(one["milliseconds of a check"]),
                f"{one['kill']['lost']} of {one['kill']['written']}" if "kill" in one else "",
                f"{flips[0]} while it runs, {flips[1]} when complete" if flips else "",
                str(wrong + one["kill"]["wrong"]) if flips else "",
            ]
        )
    return "One prompt of 31 layers at 6 degrees; most lost to one flipped bit", headings, lines


def rehearsed(rehearsals):
    """The table of the rehearsals."""
    names = [name for name in rehearsals[0] if name not in ("prompts", "degrees")]
    headings = ["", *(f"{one['prompts']:,} prompts" for one in rehearsals)]
    lines = [[name, *(number(one[name]) for one in rehearsals)] for name in names]
    return "Rehearsals at one degree", headings, lines


if __name__ == "__main__":
    main()
