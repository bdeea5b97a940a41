"""The command line: tokengeom book, survey, measure, fetch-model."""

import os
import sys
from pathlib import Path
from typing import Annotated, Optional

import typer

from . import __version__, processor
from .errors import BuildError, InputError

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False,
                  help="Measure the geometry of token clouds, and build the book about it.")
Model = Annotated[Optional[str], typer.Option(help="smollm2-135m, a folder, or a Hub id.")]
Profile = Annotated[str, typer.Option(help="quick, standard, paper, or a .yml file.")]


@app.command()
def book(
    profile: Profile = "quick",
    model: Model = None,
    out: Annotated[Optional[Path], typer.Option(help="Where to build; _build/PROFILE unless given.")] = None,
):
    """Survey, execute every chapter, build the site; only what has become stale."""
    from .book import build_book

    build_book(profile, out=out, model=model)


@app.command()
def survey(
    out: Annotated[Path, typer.Option(help="The Zarr store to write or to complete.")],
    profile: Profile = "quick",
    model: Model = None,
    prompts: Annotated[Optional[str], typer.Option(help="pocket, pile-10k, or a path.")] = None,
    n_prompts: Annotated[Optional[int], typer.Option(min=1)] = None,
    n_shuffled: Annotated[Optional[int], typer.Option(min=0)] = None,
    n_tokens: Annotated[Optional[int], typer.Option(min=4)] = None,
    scale_max: Annotated[Optional[int], typer.Option(min=2)] = None,
):
    """Measure many prompts into one store; a second run continues where the first stopped."""
    from .console import say
    from .profiles import load_profile
    from .surveys import run_profile

    parameters = load_profile(profile, model=model, prompts=prompts, n_prompts=n_prompts, n_shuffled=n_shuffled,
                              n_tokens=n_tokens, scale_max=scale_max)
    results = run_profile(parameters, out)
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
    from .corpus import load_prompts
    from .models import load_model
    from .surveys import check_request
    from .surveys import measure as measure_prompt

    k_max = min(31, n_tokens - 1)
    check_request(n_tokens, (shuffle,), scale_max, k_max)
    if text.suffix in (".jsonl", ".parquet") or not text.is_file():
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
def fetch_model():
    """Bring the bundled model into the user's cache: 93 MB, once; its hash is checked."""
    from .console import say
    from .models import fetch_bundled_model

    say(f"the bundled model is in {fetch_bundled_model(say)}")


def _version(value: bool):
    if value:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _root(version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True)] = False):
    """Measure the geometry of token clouds, and build the book about it."""


def main():
    """Entry point: bad input is one line and exit code 2, a failed build exit code 1."""
    processor.apply()
    if not sys.stderr.isatty():  # the bars of libraries belong on a terminal, not in a log
        os.environ.setdefault("TQDM_DISABLE", "1")
    try:
        app()
    except InputError as error:
        print(f"tokengeom: {error}", file=sys.stderr)
        sys.exit(2)
    except BuildError as error:
        print(f"tokengeom: {error}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
