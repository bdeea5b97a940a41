"""Time and peak memory of each chapter, executed alone as a reader would, on the bundled survey.

Processor time is that of papermill, its kernel, and everything these two start; unlike the time on the wall, it hardly
depends on what else the machine does. With two cores, the wall shows between a half of it and all of it.

Memory is the resident memory of the same processes, added up and looked at ten
times a second. Pages that processes share count once for each of them, so the sum is an upper bound.
"""

import common  # first: it sets the environment that numpy and torch read

# isort: split
import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import jupytext
import psutil  # ipykernel brings it along
from common import PROJECT, say

from tokengeom_utils.paths import data_path
from tokengeom_utils.site.build.contents import chapters, read_chapter
from tokengeom_utils.surveys.profiles import load_profile

MIB = 2**20
INTERVAL = 0.1  # seconds


def looked_at(root, processor):
    """Return the resident memory in bytes of a process and all its descendants; note the processor time of each."""
    total = 0
    for process in [root, *root.children(recursive=True)]:
        try:
            total += process.memory_info().rss
            used = process.cpu_times()
        except psutil.NoSuchProcess:  # it ended in between
            continue
        processor[process.pid] = used.user + used.system
    return total


def executed(path, parameters, folder):
    """Execute one chapter; return the seconds of the wall and of the processor, and the peak memory in bytes."""
    chapter = read_chapter(path)
    source, target = folder / f"{chapter.name}.in.ipynb", folder / f"{chapter.name}.ipynb"
    jupytext.write(chapter.notebook, source)
    command = [sys.executable, "-m", "papermill", source, target, "--engine", "inline", "-k", "python3"]
    command += ["--cwd", path.parent, "--no-progress-bar", "-y", _yaml(chapter.values(parameters))]
    started, peak, processor = time.perf_counter(), 0, {}
    with subprocess.Popen(
        [str(word) for word in command], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as process:
        root = psutil.Process(process.pid)
        while process.poll() is None:
            try:
                peak = max(peak, looked_at(root, processor))
            except psutil.NoSuchProcess:
                break
            time.sleep(INTERVAL)
        errors = process.stderr.read()
    if process.returncode:
        sys.exit(f"{chapter.name} failed:\n{errors}")
    seconds = time.perf_counter() - started
    return {"seconds": seconds, "processor seconds": sum(processor.values()), "bytes": peak}


def row(name, one):
    """Return a row of the table."""
    return [name, f"{one['seconds']:.0f}", f"{one['processor seconds']:.0f}", f"{one['bytes'] / MIB:.0f}"]


def _yaml(given):
    """Parameters in YAML, as papermill takes them."""
    import yaml

    return yaml.safe_dump(given)


def warm_up(folder):
    """Compile what is compiled once, so that no chapter pays for it, and fetch the model."""
    text = folder / "text.txt"
    text.write_text("".join(f"Line {number} of a text that nobody reads.\n" for number in range(60)), encoding="utf-8")
    subprocess.run(
        [sys.executable, "-m", "tokengeom_utils.cli", "measure", text], check=True, stdout=subprocess.DEVNULL
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="two chapters on short prompts, for a trial run")
    parser.add_argument("only", nargs="*", metavar="CHAPTER", help="measure these again, and keep the other results")
    options = parser.parse_args()
    profile = PROJECT / "tests" / "tiny.yml" if options.quick else "quick"
    parameters = load_profile(profile, PROJECT) | {"results": data_path("results", "standard.zarr")}
    paths = chapters(PROJECT)
    about = common.provenance()
    kept = json.loads((common.RESULTS / "chapters.json").read_text())["chapters"] if options.only else {}
    chosen = [path for path in paths if path.stem in options.only] or (paths[:2] if options.quick else paths)
    found = {path.stem: kept[path.stem] for path in paths if path.stem in kept}
    with tempfile.TemporaryDirectory() as folder:
        warm_up(Path(folder))
        for path in chosen:
            found[path.stem] = executed(path, parameters, Path(folder))
            say("  ".join(row(path.stem, found[path.stem])))
    rows = [row(name, one) for name, one in found.items()]
    common.write(
        "chapters",
        options.quick,
        {"provenance": about, "profile": parameters["profile"], "chapters": found},
        [
            (
                "Each chapter executed alone, on the bundled survey",
                ["chapter", "seconds", "processor seconds", "MiB"],
                rows,
            )
        ],
    )


if __name__ == "__main__":
    main()
