"""Stores of surveys: the cost of a prompt, what harm and refusals leave, and a rehearsal of large surveys."""

import common  # first: it sets the environment that numpy and torch read

# isort: split
import argparse
import json
import math
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
from candidates import CANDIDATES, Surveys, mend
from common import number, say

import tokengeom_utils as tg
from tokengeom_utils.surveys.chunks import PROMPTS
from tokengeom_utils.surveys.doctor import examine
from tokengeom_utils.surveys.journal import NAME
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
    start = time.perf_counter()
    store.finish()
    finish = 1e3 * (time.perf_counter() - start) / n
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
        "milliseconds to finish": finish,
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
    """Flip a random bit of a store of ``n`` of ``of`` prompts, or remove a random file: prompts lost or wrong.

    The metadata of Zarr are left alone: without them no store can be opened until they are restored.
    """
    store = CANDIDATES[kind](folder, of, table[0])
    for i in range(n):
        store.write(i, table[i % len(table)])
    if n == of:
        store.finish()
    store.close()
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.name != "zarr.json"]
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


def refusals(kind, folder, rows_file):
    """What a store does where locks or syncs of folders are refused, and where nothing can be written."""
    library = folder / "refuse.so"
    if not library.exists():
        if not shutil.which("cc"):
            return None
        subprocess.run(
            ["cc", "-shared", "-fPIC", "-o", library, Path(__file__).with_name("refuse.c"), "-ldl"], check=True
        )
    found = {}
    for what in ("locks", "folders"):
        done = subprocess.run(
            writer(kind, folder / f"{kind}-{what}", rows_file, 3),
            capture_output=True,
            text=True,
            env={**os.environ, "LD_PRELOAD": str(library), "REFUSE": what},
        )
        found[f"no {what}"] = "works" if not done.returncode else done.stderr.strip().splitlines()[-1]
    if kind in READERS:
        subprocess.run(writer(kind, folder / f"{kind}-closed", rows_file, 3), capture_output=True, check=True)
        found["read-only, closed"] = read_only(kind, folder / f"{kind}-closed")
        command = writer(kind, folder / f"{kind}-stopped", rows_file, 1000)
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
            while child.stdout.readline().strip() not in ("2", ""):
                pass
            child.kill()
        found["read-only, killed"] = read_only(kind, folder / f"{kind}-stopped")
    return found


def read_only(kind, folder):
    """Read a copy of a store whose files and folder cannot be written, as a user who may not."""
    with tempfile.TemporaryDirectory() as place:
        os.chmod(place, 0o755)
        copy = Path(shutil.copytree(folder, Path(place, "copy"), ignore=shutil.ignore_patterns("*-shm")))
        for path in (copy, *copy.rglob("*")):
            path.chmod(0o555 if path.is_dir() else 0o444)
        before, read = READERS[kind]  # imports come before the user changes, who may not read everything
        program = f"{before}; import os; os.getuid() or os.setuid(65534); copy = {str(copy)!r}; {read}"
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
        return "works" if not done.returncode else done.stderr.strip().splitlines()[-1]


SQLITE = (
    "import sqlite3",
    "base = sqlite3.connect(f'file:{copy}/journal.sqlite?mode=ro', uri=True); "
    "assert base.execute('select count(*) from prompt').fetchone()[0]",
)
#: how a store is read where nothing can be written
READERS = {
    "Sqlite": SQLITE,
    "SqliteAhead": SQLITE,
    "Surveys": (
        "import tokengeom_utils as tg; tg.open_results('untrained')",
        "assert tg.open_results(copy + '/survey.zarr').sizes['prompt']",
    ),
}


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
        found[f"seconds to {name}"] = time.perf_counter() - start
        return value

    store = timed("begin", lambda: Surveys(folder, n, table[0]))
    path, half = folder / "survey.zarr", n // 2 + 50
    timed("write half", lambda: [store.write(i, row(i)) for i in range(half)])
    store.close()
    assert timed("count half", lambda: count(path)) == half
    found["megabytes, writing"] = peak()
    store = timed("resume: open and look for damage", lambda: resume(folder, n, table[0]))
    assert timed("resume: find what is done", store.store.done).sum() == half
    timed("write the rest", lambda: [store.write(i, row(i)) for i in range(half, n)])
    found["gigabytes of the journal"] = (path / NAME).stat().st_size / 1e9
    timed("fold", store.finish)
    store.close()
    found["megabytes, folding"] = peak()
    files = [file for file in path.rglob("*") if file.is_file()]
    found |= {"files": len(files), "gigabytes of the store": sum(file.stat().st_size for file in files) / 1e9}
    found["megabytes of zarr.json"] = (path / "zarr.json").stat().st_size / 1e6
    (report,) = timed("examine", lambda: examine(path))
    assert report.is_sound and not report.missing
    found["megabytes, examining"] = peak()
    results = timed("open", lambda: tg.open_results(path))
    assert results.sizes["prompt"] == n
    found["megabytes of the results"] = results.nbytes / 1e6
    found["megabytes, opening"] = peak()
    return found


def resume(folder, n, example):
    """Open a store as a survey does: with a look at every chunk."""
    store = Surveys(folder, n, example)
    mend(store.store)
    return store


def growth(rehearsals):
    """What follows for a million prompts: the line through the last two rehearsals.

    The exponent p of ``prompts ** p`` between them shows whether a line may be drawn: it is 1 at most.
    """
    if len(rehearsals) < 2:
        return {}
    small, large = rehearsals[-2:]
    found = {}
    for name in small:
        if name not in ("prompts", "degrees"):
            power = math.log(large[name] / small[name]) / math.log(large["prompts"] / small["prompts"])
            slope = (large[name] - small[name]) / (large["prompts"] - small["prompts"])
            found[name] = {"exponent": power, "at a million": large[name] + slope * (1e6 - large["prompts"])}
    return found


def peak():
    """Largest memory of this process so far, in megabytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


def scheduler(folder, n):
    """Hand ``n`` tasks that cost nothing to two workers, as a survey does: memory of the scheduler, seconds of a task.

    The tasks and what they return have the size of a prompt at one degree.
    """
    import psutil
    from distributed import Client

    from tokengeom_utils.surveys.crowd import Crowd

    file, row = folder / "scheduler.json", np.zeros(sum(values[:1].size for values in rows()[0].values()))
    commands = (
        ["dask_scheduler", "--port", "0", "--no-dashboard"],
        ["dask_worker", "--nworkers", "2", "--nthreads", "1", "--no-dashboard", "--local-directory", str(folder)],
    )
    started = [
        subprocess.Popen(
            [sys.executable, "-m", f"distributed.cli.{name}", *options, "--scheduler-file", str(file)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for name, *options in commands
    ]
    try:
        while not file.exists():
            time.sleep(0.1)
        with Client(scheduler_file=str(file)) as client:
            client.wait_for_workers(2)
            crowd, memory = Crowd(client), psutil.Process(started[0].pid)
            crowd.wait()
            list(crowd.map(np.copy, ((row,) for _ in range(100))))
            before, start = memory.memory_info().rss / 1e6, time.perf_counter()
            assert sum(len(copy) == len(row) for _, copy in crowd.map(np.copy, ((row,) for _ in range(n)))) == n
            each = (time.perf_counter() - start) / n
            return {
                "tasks": n,
                "megabytes of the scheduler, before": before,
                "megabytes of the scheduler, after": memory.memory_info().rss / 1e6,
                "seconds of a task": each,
            }
    finally:
        for process in reversed(started):
            process.terminate()
        for process in started:
            process.wait()


def in_a_process(n, folder):
    """Rehearse in a process of its own, whose memory is measured."""
    command = [sys.executable, __file__, "--rehearse", str(n), str(folder)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def lines_of_code():
    """Lines of the modules that store a prompt and check it, comments and docstrings included."""
    folder = Path(tg.__file__).parent / "surveys"
    return sum(len((folder / f"{name}.py").read_text().splitlines()) for name in MODULES)


MODULES = ("store", "chunks", "files", "checks", "journal")
LINES_BEFORE = 463  #: of these modules with a chunk file per array and prompt, in version 0.2.0


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer prompts and trials")
    parser.add_argument("--prompts", type=int, nargs="*", default=[10_000, 100_000], help="of the rehearsals")
    parser.add_argument("--rehearse", nargs=2, metavar=("PROMPTS", "FOLDER"), help=argparse.SUPPRESS)
    parser.add_argument("--stores", nargs="*", default=list(CANDIDATES), choices=list(CANDIDATES), help="to compare")
    options = parser.parse_args()
    if options.rehearse:
        print(json.dumps(rehearse(Path(options.rehearse[1]), int(options.rehearse[0]))))
        return
    n, kills, trials = (16, 2, 4) if options.quick else (256, 16, 40)
    table, results = rows(), {"provenance": common.provenance()}
    results["row"] = {"bytes": sum(values.nbytes for values in table[0].values()), "arrays": len(table[0])}
    results["prompts of a chunk"] = PROMPTS
    results["lines of code"] = {"ChunkFiles": LINES_BEFORE, "Surveys": lines_of_code()}
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
            if kind == "Icechunk" and find_spec("icechunk") is None:
                continue
            say(f"{kind} ...")
            slow = 8 if kind in ("Icechunk", "Shards") and not options.quick else 1
            found = {"about": CANDIDATES[kind].about, **speed(kind, folder / kind, table, n // slow)}
            found["syncs of a prompt"] = syncs(kind, quickly, rows_file, n // (2 * slow))
            found["refused"] = refusals(kind, quickly, rows_file)
            if kind != "Icechunk":
                some = max(trials // slow, 1)
                found["kill"] = kill(
                    kind, quickly / f"{kind}-killed", rows_file, table, 40 * kills // slow, max(kills // slow, 1)
                )
                found["harmed while it runs"] = harm(kind, quickly / f"{kind}-half", table, 60, 160, some)
                found["harmed when complete"] = harm(kind, quickly / f"{kind}-all", table, 160, 160, some)
            results["stores"][kind] = found
            for used in (folder / kind, *quickly.glob(f"{kind}-*")):
                shutil.rmtree(used, ignore_errors=True)
        for prompts in [200, 400] if options.quick else options.prompts:
            say(f"rehearsing {prompts} prompts ...")
            results["rehearsals"].append(in_a_process(prompts, quickly / str(prompts)))
            shutil.rmtree(quickly / str(prompts))
        say("handing out tasks ...")
        results["scheduler"] = scheduler(quickly, 200 if options.quick else 20_000)
    results["growth"] = growth(results["rehearsals"])
    results["provenance"]["load after"] = round(os.getloadavg()[0], 2)
    common.write("stores", options.quick, results, tables(common.rounded(results)))


def tables(results):
    """The tables of the page."""
    headings = [
        "store", "ms, median", "lowest to highest", "syncs", "files", "ms to read and check", "lost to kills",
        "lost to a flipped bit, running", "complete", "wrong unnoticed", "lines of code",
    ]  # fmt: skip
    lines, refused = [], []
    for kind, one in results["stores"].items():
        harms = [one[name] for name in ("harmed while it runs", "harmed when complete") if name in one]
        flips = [f"{max(found['flipped bit']['lost'])} of {found['prompts']}" for found in harms] or ["", ""]
        wrong = sum(found[what]["wrong"] for found in harms for what in ("flipped bit", "lost file"))
        spread = one["milliseconds of a write"]
        lines.append(
            [
                one["about"],
                number(spread["median"]),
                f"{number(spread['lowest'])} to {number(spread['highest'])}",
                "" if one["syncs of a prompt"] is None else number(one["syncs of a prompt"]),
                number(one["files"] / one["prompts"]),
                number(one["milliseconds of a check"]),
                f"{one['kill']['lost']} of {one['kill']['written']}" if "kill" in one else "",
                *flips,
                str(wrong + one["kill"]["wrong"]) if harms else "",
                str(results["lines of code"].get(kind, "")),
            ]
        )
        if one["refused"]:
            names = ("no locks", "no folders", "read-only, closed", "read-only, killed")
            refused.append([one["about"], *(one["refused"].get(name, "") for name in names)])
    rehearsals, grown = results["rehearsals"], results["growth"]
    names = [name for name in rehearsals[0] if name not in ("prompts", "degrees")]
    return [
        ("One prompt of 31 layers at 6 degrees; the most that one flipped bit cost", headings, lines),
        (
            "Where something is refused",
            ["store", "locks", "syncs of folders", "writing, after it was closed", "writing, after it was killed"],
            refused,
        ),
        (
            "Rehearsals at one degree, in memory",
            ["", *(f"{one['prompts']:,} prompts" for one in rehearsals), "exponent", "1,000,000 prompts, by a line"],
            [
                [
                    name,
                    *(number(one[name]) for one in rehearsals),
                    *(number(grown[name][what]) if grown else "" for what in ("exponent", "at a million")),
                ]
                for name in names
            ],
        ),
        (
            "Dask: tasks that cost nothing, on two workers",
            list(results["scheduler"]),
            [[number(value) for value in results["scheduler"].values()]],
        ),
    ]


if __name__ == "__main__":
    main()
