"""Ctrl-C while Dask works: one process responds to it, and only between two calls."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from threading import current_thread, main_thread


@contextmanager
def postpone_interrupt() -> Iterator[None]:
    """Let Ctrl-C take effect at the end of this block; a second Ctrl-C takes effect at once.

    Dask cancels the call that an interrupt reaches, and fails with a traceback if that call had not started yet.
    """
    if current_thread() is not main_thread():  # only that one receives signals
        yield
        return
    came = []

    def note(number, frame):
        came.append(number)
        signal.signal(signal.SIGINT, before)

    before = signal.signal(signal.SIGINT, note)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if came:
        signal.raise_signal(signal.SIGINT)


@contextmanager
def block_interrupt_in_children() -> Iterator[None]:
    """Start threads and processes that never receive Ctrl-C.

    A terminal sends Ctrl-C to all of its processes, but only the calling one should respond. Threads started in this
    block, which start the workers now and later, block the signal, and so do their children. For the calling thread it
    takes effect at the end of the block.

    Windows cannot block signals. There Ctrl-C also ends the workers, and the survey stops with what it has stored.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    from multiprocessing import resource_tracker

    resource_tracker.ensure_running()  # it would unblock the signal
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
