"""The book: survey, chapters run by papermill, site built by jupyter-book.

Each stage is keyed on everything it depends on, so a second build does only what has become
stale, and says why. A chapter that fails stops the build before the site is touched.
"""

import hashlib
import json
import logging
import os
import platform
import shlex
import shutil
import subprocess
import sys
import time
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from multiprocessing import get_context
from pathlib import Path

from .. import processor
from ..console import say, track
from ..errors import BuildError, InputError
from ..paths import data_path
from ..surveys.profiles import load_profile
from ..surveys.results import COMMITTED, open_results
from ..surveys.request import check_request

# No library's bars or advice on a page.
KERNEL_ENVIRONMENT = {"TQDM_DISABLE": "1", "TRANSFORMERS_VERBOSITY": "error", "TOKENIZERS_PARALLELISM": "false",
                      "PYTHONWARNINGS": "default", **processor.settings()}
STATIC = ("_config.yml", "_toc.yml", "book")
# Chapters that run at once, where there are as many cores: a kernel takes up to 2 GB, and draws with one core.
AT_ONCE = 2


def build_book(profile="quick", project=".", out=None, results=None, **overrides):
    """Build the whole book and return the path of its first page.

    Parameters
    ----------
    profile : str or path
        See :func:`tokengeom_utils.surveys.profiles.load_profile`.
    project : path
        The checkout.
    out : path, optional
        Where everything goes; ``_build/PROFILE`` in the project unless given.
    results : str or path, optional
        A complete survey to show, a path or ``"standard"``, the one that ships, instead of measuring one.
    **overrides
        Parameters that replace the profile's.

    Raises
    ------
    InputError
        For bad input, before anything is written.
    BuildError
        If a chapter or the site fails; the site of an earlier build stays as it was.
    """
    started = time.perf_counter()
    project = Path(project).resolve()
    if not (project / "_toc.yml").is_file():
        raise InputError(f"{project} is not a checkout of the book: there is no _toc.yml")
    parameters = load_profile(profile, project, **overrides)
    if not isinstance(parameters["model"], str):
        raise InputError(f"a book shows one model, the profile {parameters['profile']} has several: choose by --model one of "
                         + ", ".join(parameters["model"]))
    check_request(parameters["n_tokens"], parameters["shuffles"], parameters["scale_max"], parameters["k_max"])
    out = (Path(out) if out else project / "_build" / parameters["profile"]).resolve()
    survey = out / "survey.zarr"
    if results:
        survey = (data_path("results", f"{results}.zarr") if str(results) in COMMITTED else Path(results)).resolve()
    stages = {
        "survey": lambda: check_survey(survey, parameters) if results else run_survey(survey, parameters),
        "chapters": lambda: run_chapters(project, out, parameters, survey),
        "site": lambda: build_site(project, out),
    }
    times = {}
    for name, stage in stages.items():
        before = time.perf_counter()
        stage()
        times[name] = time.perf_counter() - before
    say("  ".join(f"{name} {seconds:.0f} s" for name, seconds in times.items())
        + f"  in all {time.perf_counter() - started:.0f} s")
    page = out / "html" / "index.html"
    say(f"open {os.path.relpath(page)}")
    return page


def run_survey(survey, parameters):
    """Measure what the survey of this profile still lacks."""
    from ..surveys.run import run_profile  # torch, which the processes that run chapters do without

    results = run_profile(parameters, survey)
    say(f"survey: {results.sizes['prompt']} prompts measured")


def check_survey(survey, parameters):
    """Raise ``InputError`` if a survey that is to be shown is not of the profile's model and sizes."""
    results = open_results(survey)
    for name in ("model", "n_tokens", "seed"):
        if results.attrs[name] != parameters[name]:
            raise InputError(f"{survey} has {name} {results.attrs[name]}, the profile {parameters['profile']} "
                             f"{parameters[name]}: choose the profile that the survey was made with")
    say(f"survey: {results.sizes['prompt']} prompts, measured before")


def chapters(project):
    """The notebooks of the table of contents, in order."""
    import yaml

    def entries(node):
        if isinstance(node, dict):
            yield from [node["file"]] if "file" in node else []
            node = list(node.values())
        for child in node if isinstance(node, list) else []:
            yield from entries(child)

    toc = yaml.safe_load((project / "_toc.yml").read_text(encoding="utf-8"))
    return [project / f"{name}.md" for name in entries(toc) if name.startswith("notebooks/")]


def run_chapters(project, out, parameters, survey):
    """Execute every chapter whose source, parameters, code, data, survey or versions changed."""
    import nbformat

    executed = out / "chapters"
    executed.mkdir(parents=True, exist_ok=True)
    shared = {
        "package": _hash_tree(Path(__file__).parents[1], "*.py"),
        "data": _hash(*(_hash_tree(project / name, "*") for name in ("data", "benchmarks/results")),
                      *(_read(project / name) for name in ("README.md", "CONTRIBUTING.md"))),  # texts of a chapter
        "survey": _hash_tree(survey, "*"),
        "versions": _hash(platform.python_version(), _read(project / "constraints.txt")),
    }
    stale = []
    for source in chapters(project):
        given = _parameters_of(source, parameters | {"results": survey})
        key = {"source": _sha256(source.read_bytes()), "parameters": _hash(json.dumps(given, sort_keys=True)), **shared}
        target = executed / f"{source.stem}.ipynb"
        made = nbformat.read(target, 4).metadata.get("tokengeom", {}).get("key", {}) if target.exists() else None
        if made != key:
            changed = [name for name in key if made and made.get(name) != key[name]]
            stale.append((source, target, given, key, ", ".join(changed) or "not run yet"))
    for leftover in set(executed.glob("*.ipynb")) - {executed / f"{s.stem}.ipynb" for s in chapters(project)}:
        leftover.unlink()
    if not stale:
        say("chapters: nothing has changed")
        return
    with track("chapters", len(stale)) as advance:
        advance(0)
        for source, *_, why in stale:
            say(f"  {source.stem} ({why})")
        workers = min(AT_ONCE, os.cpu_count() or 1, len(stale))
        with ProcessPoolExecutor(workers, get_context("spawn"), initializer=_no_tracebacks) as pool:
            waiting, running = stale[::-1], set()
            while waiting or running:
                while waiting and len(running) < workers:  # not more, so that nothing begins after a failure
                    *chapter, _ = waiting.pop()
                    running.add(pool.submit(execute_chapter, *chapter, out))
                done, running = wait(running, return_when=FIRST_COMPLETED)
                for chapter in done:
                    chapter.result()
                advance(len(stale) - len(waiting) - len(running))


def _no_tracebacks():
    """Stopped by Ctrl-C, a kernel's client leaves tasks behind whose ends say nothing."""
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)


def _parameters_of(source, parameters):
    """What a chapter gets: the profile's parameters that its own parameters cell declares."""
    import ast

    import jupytext

    tagged = [c for c in jupytext.read(source).cells if "parameters" in c.metadata.get("tags", [])]
    if len(tagged) != 1:
        raise BuildError(f"{source.name} needs exactly one cell tagged parameters, it has {len(tagged)}")
    names = [t.id for node in ast.parse(tagged[0].source).body if isinstance(node, ast.Assign) for t in node.targets]
    if unknown := [name for name in names if name not in parameters]:
        raise BuildError(f"{source.name} declares unknown parameters: {', '.join(unknown)}")
    given = {name: parameters[name] for name in names}
    if "results" in given:  # relative, so that a page never shows where it was built
        given["results"] = os.path.relpath(given["results"], source.parent)
    return given


def execute_chapter(source, target, given, key, out):
    """Run one chapter with papermill into a temporary file; move it into place when it is whole."""
    import jupytext
    import nbformat
    import papermill

    notebook = jupytext.read(source)
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    notebook.metadata["language_info"] = {"name": "python"}
    for number, cell in enumerate(notebook.cells):
        cell["id"] = _hash(source.stem, str(number), cell.source)[:12]
    scratch = out / ".scratch"
    scratch.mkdir(exist_ok=True)
    plain, ran = scratch / f"{source.stem}.in.ipynb", scratch / f"{source.stem}.ipynb"
    nbformat.write(notebook, plain)
    started = time.perf_counter()
    before = {name: os.environ.get(name) for name in KERNEL_ENVIRONMENT}
    os.environ.update(KERNEL_ENVIRONMENT)
    try:
        papermill.execute_notebook(
            plain, ran, parameters=given, kernel_name="python3", cwd=str(source.parent), progress_bar=False,
            extra_arguments=["--IPKernelApp.log_level=CRITICAL"],  # silent about its transport and its end
        )
    except papermill.PapermillExecutionError as error:
        code = "\n".join(f"    {line}" for line in error.source.strip().splitlines()[:12])
        raise BuildError(
            f"{source.name}, cell {error.exec_count}: {error.ename}: {error.evalue}\n{code}\n"
            f"  the whole notebook, up to the error: {os.path.relpath(ran)}"
        ) from None
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})
    seconds = time.perf_counter() - started
    page = nbformat.read(ran, 4)
    for number, cell in enumerate(page.cells):
        for output in cell.get("outputs", []):
            if output.get("name") == "stderr":
                raise BuildError(f"{source.name}, cell {cell.execution_count} wrote to stderr:\n{output.text.strip()}")
    nbformat.write(_page(page, source, given, key, seconds), ran)
    os.replace(ran, target)
    plain.unlink()


def _page(notebook, source, given, key, seconds):
    """The executed notebook as the site shows it: one parameters cell, and how to run it again."""
    import nbformat

    cells = []
    for cell in notebook.cells:
        tags = cell.metadata.get("tags", [])
        if "parameters" in tags and given:
            continue  # the injected cell right after it holds the values that counted
        if "injected-parameters" in tags:
            cell.metadata["tags"] = [*tags, "hide-input"]
        for name in ("papermill", "execution"):
            cell.metadata.pop(name, None)
        cells.append(cell)
    options = " \\\n    ".join(f"-y {shlex.quote(json.dumps({name: value}))}" for name, value in given.items())
    rerun = (
        f"```{{admonition}} Rerun this chapter\n:class: dropdown\n\n"
        f"Executed with profile `{given.get('profile', '')}` in {seconds:.0f} s. From the folder `notebooks`:\n\n"
        f"~~~bash\njupytext --to ipynb {source.name}\n"
        f"papermill {source.stem}.ipynb executed.ipynb -k python3 \\\n    {options}\n~~~\n```\n"
    )
    cells.append(nbformat.v4.new_markdown_cell(rerun, id=_hash(source.stem, "rerun")[:12]))
    notebook.cells = cells
    notebook.metadata.pop("papermill", None)
    notebook.metadata["tokengeom"] = {"key": key, "parameters": given, "seconds": round(seconds, 1)}
    return notebook


def _stage(path):
    """An executed chapter as files of the site: the notebook with a box under each figure, and its tables as CSV.

    Parameters
    ----------
    path : Path
        What :func:`execute_chapter` has written.

    Returns
    -------
    dict of str to bytes
        By file name.
    """
    import nbformat

    notebook = nbformat.read(path, 4)
    about = notebook.metadata["tokengeom"]
    cells, tables = [], {}
    for cell in notebook.cells:
        cells.append(cell)
        found = [output.data.pop("text/csv") for output in cell.get("outputs", []) if "text/csv" in output.get("data", {})]
        name = cell.metadata.get("mystnb", {}).get("figure", {}).get("name")
        if found and (not name or len(found) > 1):
            raise BuildError(f"{path.stem}: a cell that draws must draw one figure, with a name:\n{cell.source[:200]}")
        if found:
            tables[f"{name}.csv"] = table = found[0].encode()
            box = _figure_box(path.stem, f"{name}.csv", table, about)
            cells.append(nbformat.v4.new_markdown_cell(box, id=_hash(name, "box")[:12]))
    notebook.cells = cells
    return {path.name: nbformat.writes(notebook).encode(), **tables}


def _figure_box(stem, name, table, about):
    """Where a figure comes from, and how to make it again."""
    given, key = about["parameters"], about["key"]
    measured = str(given.get("results", "")).endswith("survey.zarr")
    needs = ", once `make book` has measured the survey" if measured else ""
    seed = f"seed {given['seed']}" if "seed" in given else "no seed of its own"
    return (
        f"````{{dropdown}} Reproduce this figure\n:class-container: reproduce\n\n"
        f"- Its data: {{download}}`{name}`, {table.count(bytes([10])) - 1:,} rows, sha256 `{_sha256(table)[:16]}`.\n"
        f"- The notebook as executed: {{download}}`{stem}.ipynb`. Profile `{given.get('profile', '')}`, {seed}; "
        f"the whole chapter took {about['seconds']:.0f} s.\n"
        f"- To make it again, in the folder `notebooks`{needs}:\n\n"
        f"  ~~~bash\n  jupytext --to ipynb {stem}.md\n"
        f"  papermill {stem}.ipynb executed.ipynb -k python3 -y {shlex.quote(json.dumps(given))}\n  ~~~\n\n"
        f"- sha256 of the chapter's text `{key['source'][:16]}`, of the package `{key['package'][:16]}`, "
        f"of the survey `{key['survey'][:16]}`, of the data `{key['data'][:16]}`.\n````\n"
    )


def build_site(project, out):
    """Build the site beside the old one, and put it in its place only when it is whole."""
    stage = out / "source"
    files = {path.relative_to(project): path.read_bytes() for name in STATIC for path in _files(project / name)}
    for path in sorted((out / "chapters").glob("*.ipynb")):
        files |= {Path("notebooks", name): content for name, content in _stage(path).items()}
    key = _hash(*(f"{name} {_sha256(content)}" for name, content in sorted(files.items())),
                _read(project / "constraints.txt"))
    html, stamp = out / "html", out / "html.key"
    if html.is_dir() and stamp.is_file() and stamp.read_text() == key:
        say("site: nothing has changed")
        return
    for old in _files(stage):
        relative = old.relative_to(stage)
        if relative.parts[0] != "_build" and relative not in files:
            old.unlink()
    for relative, content in files.items():
        copy = stage / relative
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(content)
    # --all: each page shows the titles of all the others, and static files are only copied with it.
    command = [sys.executable, "-c", "from jupyter_book.cli.main import main; main()",
               "build", str(stage), "--all", "-W", "--keep-going", "-q"]
    log = out / "site.log"
    with track("site", 1) as advance:
        advance(0)
        with open(log, "w") as file:
            code = subprocess.run(command, stdout=file, stderr=subprocess.STDOUT).returncode
        advance(1)
    if code:
        wrong = [line for line in log.read_text().splitlines() if "WARNING" in line or "ERROR" in line]
        tail = "\n".join(f"  {line.replace(str(stage) + os.sep, '')}" for line in wrong[-12:] or ["no message"])
        raise BuildError(f"jupyter-book failed; its log is {os.path.relpath(log)}\n{tail}")
    fresh, old = out / "html.new", out / "html.old"
    for leftover in (fresh, old):
        shutil.rmtree(leftover, ignore_errors=True)
    shutil.copytree(stage / "_build" / "html", fresh)
    if html.exists():
        html.rename(old)
    fresh.rename(html)
    shutil.rmtree(old, ignore_errors=True)
    stamp.write_text(key)


def _files(path):
    """The files at or below a path, without hidden ones, in order."""
    if path.is_file():
        return [path]
    return sorted(p for p in path.rglob("*") if p.is_file() and not p.name.startswith("."))


def _read(path):
    return path.read_text(encoding="utf-8") if path.is_file() else ""


def _sha256(content):
    return hashlib.sha256(content).hexdigest()


def _hash(*parts):
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part if isinstance(part, bytes) else part.encode())
        digest.update(b"\0")
    return digest.hexdigest()


def _hash_tree(folder, pattern):
    return _hash(*(part for p in sorted(folder.rglob(pattern)) if p.is_file()
                   for part in (str(p.relative_to(folder)), p.read_bytes())))
