"""The command line: tokengeom book, survey, doctor, export, measure, fetch-model."""

import os
import sys
import warnings
from pathlib import Path
from typing import Annotated, Optional

import typer

from .version import __version__

from . import processor
from .errors import BuildError, InputError, PartialSurvey

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False,
                  help="Measure the geometry of token clouds, and build the book about it.")
Model = Annotated[Optional[str], typer.Option(help="smollm2-135m, a folder, or a Hub id.")]
Profile = Annotated[str, typer.Option(help="quick, standard, paper, or a .yml file.")]


@app.command()
def book(
    profile: Profile = "quick",
    model: Model = None,
    out: Annotated[Optional[Path], typer.Option(help="Where to build; _build/PROFILE unless given.")] = None,
    results: Annotated[Optional[str], typer.Option(help="Show this survey, a path or standard; measure none.")] = None,
):
    """Survey, execute every chapter, build the site; only what has become stale."""
    from .site.build import build_book

    build_book(profile, out=out, results=results, model=model)


@app.command()
def survey(
    out: Annotated[Path, typer.Option(help="The Zarr store to write or to complete.")],
    profile: Profile = "quick",
    model: Model = None,
    prompts: Annotated[Optional[str], typer.Option(help="pocket, pile-10k, or a path.")] = None,
    n_prompts: Annotated[Optional[int], typer.Option(min=1, help="All those of --prompts unless given.")] = None,
    n_shuffled: Annotated[Optional[int], typer.Option(min=0)] = None,
    shuffles: Annotated[Optional[str], typer.Option(help="Shuffle degrees, such as 0,1,5.")] = None,
    n_tokens: Annotated[Optional[int], typer.Option(min=4)] = None,
    seed: Annotated[Optional[int], typer.Option(min=0, help="Of the shuffles.")] = None,
    scale_max: Annotated[Optional[int], typer.Option(min=2)] = None,
    k_max: Annotated[Optional[int], typer.Option(min=1)] = None,
    device: Annotated[Optional[str], typer.Option(help="auto, cpu, cuda, ...")] = None,
    dtype: Annotated[Optional[str], typer.Option(help="auto, float32, bfloat16, ...")] = None,
    batch: Annotated[Optional[int], typer.Option(min=1, help="Measurements per forward pass.")] = None,
    workers: Annotated[Optional[int], typer.Option(min=1, help="Processes on this machine.")] = None,
    scheduler: Annotated[Optional[str], typer.Option(help="A running Dask scheduler: tcp://HOST:PORT.")] = None,
    jobqueue: Annotated[Optional[Path], typer.Option(help="A .yml file that describes jobs of a batch system.")] = None,
    show_job: Annotated[bool, typer.Option("--show-job", help="Print the job's script, and submit nothing.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing unless something is wrong.")] = False,
):
    """Measure many prompts into one store; a second run continues where the first stopped.

    Exit code 0: complete. 3: stopped before its end; what is measured is safe. 2: bad input.
    """
    from .surveys.cluster import job_script, open_client, read_jobs
    from .console import say
    from .surveys.profiles import load_profile
    from .surveys.run import run_profile

    if show_job:
        if jobqueue is None:
            raise InputError("--show-job needs --jobqueue FILE.yml")
        say(job_script(read_jobs(jobqueue)).rstrip())
        return
    try:
        degrees = shuffles and [int(degree) for degree in shuffles.split(",")]
    except ValueError:
        raise InputError(f"--shuffles {shuffles} is not a list of degrees such as 0,1,5") from None
    parameters = load_profile(profile, model=model, prompts=prompts, n_prompts=n_prompts, n_shuffled=n_shuffled,
                              shuffles=degrees, n_tokens=n_tokens, seed=seed, scale_max=scale_max, k_max=k_max,
                              device=device, dtype=dtype, batch=batch)
    if prompts and n_prompts is None:  # the profile's number is that of its own prompts
        parameters["n_prompts"] = None
    with open_client(workers, scheduler, jobqueue) as client:
        results = run_profile(parameters, out, client, quiet)
    if not quiet:
        say(f"{results.sizes['prompt']} prompts in {out}")


@app.command()
def doctor(store: Annotated[Path, typer.Argument(help="A survey store.")]):
    """Check every chunk of a survey against its checksum, and every value against what it can be.

    Exit code 0: sound and complete. 3: sound, but not complete. 1: something is damaged.
    """
    from .console import console, say
    from .surveys.doctor import examine

    with console.status(f"checking every chunk of {store} ..."):
        reports = examine(store)
    for report in reports:
        for line in report.lines():
            say(line)
    if not all(report.is_sound for report in reports):
        raise typer.Exit(1)
    if any(report.missing for report in reports):
        raise typer.Exit(3)


@app.command()
def export(
    store: Annotated[Path, typer.Argument(help="A survey store.")],
    out: Annotated[Path, typer.Argument(help="A name that ends in .parquet, .nc or .zarr.")],
):
    """Write a survey as a tidy Parquet table, as NetCDF, or as a compact store."""
    from .console import say
    from .surveys.export import export as write
    from .surveys.results import open_results

    results = open_results(store)
    write(results, out)
    say(f"{results.sizes['prompt']} prompts in {out}")


@app.command()
def measure(
    text: Annotated[Path, typer.Argument(help="A text file.")],
    model: Model = "smollm2-135m",
    n_tokens: Annotated[int, typer.Option(min=4)] = 1024,
    shuffle: Annotated[int, typer.Option(min=0)] = 0,
    seed: int = 42,
    scale_max: Annotated[int, typer.Option(min=2)] = 256,
    out: Annotated[Optional[Path], typer.Option(help="Write everything to this .csv file as well.")] = None,
):
    """Measure one text and print what every layer's cloud looks like."""
    from rich.table import Table

    from .console import console, say
    from .prompts.load import load_prompts
    from .models.load import load_model
    from .surveys.measure import measure as measure_prompt
    from .surveys.request import check_request

    k_max = min(31, n_tokens - 1)
    check_request(n_tokens, (shuffle,), scale_max, k_max)
    if text.suffix in (".jsonl", ".json", ".csv", ".parquet") or not text.is_file():
        raise InputError(f"{text} is not a text file")
    prompt = load_prompts(text)[0]
    with console.status(f"measuring {n_tokens} tokens of {text.name} ..."):
        found = measure_prompt(load_model(model), prompt, shuffle, n_tokens, seed, scale_max, k_max)
    distinct = found.distinct_tokens.item()
    table = Table(title=f"{text.name}: loss {found.loss.item():.3f} nats, {distinct} distinct tokens")
    for heading in ("layer", "dimension, scale 2", "overlap, k = 2", "cosine similarity", "angle"):
        table.add_column(heading, justify="right")
    for layer in found.layer.values:
        row = found.sel(layer=layer)
        d, e = row.intrinsic_dimension[0].item(), row.intrinsic_dimension_error[0].item()
        table.add_row(str(layer), f"{d:.2f} ± {e:.2f}", f"{row.neighborhood_overlap[1].item():.3f}",
                      f"{row.cosine_similarity.item():.3f}", f"{row.neighbor_angle.item():.1f}°")
    console.print(table)
    if out:
        found.to_dataframe().to_csv(out)
        say(f"everything is in {out}")


@app.command("fetch-model")
def fetch_model(
    model: Annotated[str, typer.Argument(help="smollm2-135m, a Hub id, or a folder.")] = "smollm2-135m",
):
    """Bring a model onto this machine: the bundled one is 93 MB, once; its hash is checked."""
    from .console import say
    from .models.load import fetch_model as fetch

    say(f"the model is in {fetch(model, say)}")


def _version(value: bool):
    if value:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _root(version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True)] = False):
    """Measure the geometry of token clouds, and build the book about it."""


def main():
    """Entry point: bad input is one line and exit code 2, a survey in part exit code 3, a failed build exit code 1."""
    processor.apply()
    warnings.formatwarning = lambda message, *_: f"tokengeom: {message}\n"
    if not sys.stderr.isatty():  # the bars of libraries belong on a terminal, not in a log
        os.environ.setdefault("TQDM_DISABLE", "1")
    try:
        app()
    except InputError as error:
        print(f"tokengeom: {error}", file=sys.stderr)
        sys.exit(2)
    except PartialSurvey as error:
        print(f"tokengeom: {error}", file=sys.stderr)
        sys.exit(3)
    except BuildError as error:
        print(f"tokengeom: {error}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
