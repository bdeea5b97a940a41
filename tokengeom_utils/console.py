"""What long commands say while they work: a bar on a terminal, a line now and then in a log."""

import time
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.progress import TimeRemainingColumn

console = Console(soft_wrap=True, highlight=False)
LOG_EVERY = 20.0  # seconds


def say(text):
    """One plain line."""
    console.print(text, markup=False)


@contextmanager
def track(description, total, quiet=False):
    """Progress over ``total`` steps; yields ``advance(done, note="")``, silent until its first call."""
    if quiet:
        yield lambda done, note="": None
        return
    if console.is_terminal:
        columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(),
                   TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn(), TextColumn("{task.fields[note]}"))
        bar = Progress(*columns, console=console)
        task = bar.add_task(description, total=total, note="")

        def advance(done, note=""):
            bar.start()
            bar.update(task, completed=done, note=note)

        try:
            yield advance
        finally:
            bar.stop()
        return

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

    yield advance
