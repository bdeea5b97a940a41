"""Progress output: a bar on a terminal, an occasional line in a log."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

console = Console(soft_wrap=True, highlight=False)
LOG_EVERY = 20.0  #: seconds between two lines of progress in a log


def say(text: str) -> None:
    """Print one plain line.

    Parameters
    ----------
    text : str
        Printed as it is, without markup. A character that the output cannot encode becomes a question mark.

    Examples
    --------
    >>> say("3 prompts")
    3 prompts
    """
    encoding = console.encoding
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        text = text.encode(encoding, "replace").decode(encoding)
    console.print(text, markup=False)


def note(text: str) -> None:
    """Print one plain line on standard error, for commands whose standard output is their result.

    Parameters
    ----------
    text : str
        Printed as it is, without markup.
    """
    print(text, file=sys.stderr, flush=True)


def never_fail_to_print() -> None:
    """Let standard output and standard error replace characters that they cannot encode.

    Outputs of Windows and of the locale ``C`` lack many: a name of a file, or the lines around a table.
    """
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # not one that a test or a notebook has put in its place
            stream.reconfigure(errors="replace")


@contextmanager
def track(description: str, total: int, quiet: bool = False) -> Iterator[Callable[..., None]]:
    """Show progress over a number of steps.

    Parameters
    ----------
    description : str
    total : int
        Number of steps.
    quiet : bool
        Show nothing.

    Yields
    ------
    callable
        To be called as ``advance(done, note="")`` with the number of steps done so far. Nothing is shown before the
        first call.

    Examples
    --------
    >>> with track("copying", total=2, quiet=True) as advance:
    ...     advance(1)
    """
    if quiet:
        yield lambda done, note="": None
    elif console.is_terminal:
        with _bar(description, total) as advance:
            yield advance
    else:
        yield _lines(description, total)


@contextmanager
def _bar(description, total):
    """Progress as a bar."""
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )
    bar = Progress(*columns, console=console)
    task = bar.add_task(description, total=total, note="")

    def advance(done, note=""):
        bar.start()
        bar.update(task, completed=done, note=note)

    try:
        yield advance
    finally:
        bar.stop()


def _lines(description, total):
    """Progress as a line every ``LOG_EVERY`` seconds."""
    started = last = first = None

    def advance(done, note=""):
        nonlocal started, last, first
        now = time.perf_counter()
        if started is None:
            started, last, first = now, now, done
            say(f"{description}: {total - done} to do")
        elif now - last >= LOG_EVERY and done > first:
            left = (now - started) / (done - first) * (total - done)
            say(f"{description}: {done}/{total}, about {left:.0f} s left {note}".rstrip())
            last = now

    return advance
