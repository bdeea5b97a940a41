"""A time limit for code that may never end, on every system and in every thread: an exception from outside."""

import _thread
import ctypes
import threading
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Any

#: How often the exception is sent to code that catches everything, and the seconds between two of them.
TIMES, EVERY = 10, 1.0


class TooLong(BaseException):
    """Ends code at its time limit; no ``Exception``, so that an attempt does not catch it by accident."""


def within(seconds: float, function: Callable[[], Any]) -> Any:
    """Call a function, and raise an error in it if it takes too long; a second thread keeps the time.

    Python delivers the error between two of its instructions. So a single call of compiled code, such as one product of
    two large matrices, a wait, or a loop that catches every error, runs on.

    Parameters
    ----------
    seconds : float
        Wall time.
    function : callable
        Without arguments.

    Returns
    -------
    object
        What ``function`` returns.

    Raises
    ------
    TooLong
        At the time limit.

    Examples
    --------
    >>> def endless():
    ...     while True:
    ...         pass
    >>> try:
    ...     within(0.1, endless)
    ... except TooLong:
    ...     print("stopped")
    stopped
    """
    thread = ctypes.c_ulong(threading.get_ident())
    # The error can arrive between any two instructions here, where a lock would stay locked; a SimpleQueue has none.
    stop: SimpleQueue[None] = SimpleQueue()
    stopped: SimpleQueue[bool] = SimpleQueue()

    def send() -> None:
        ctypes.pythonapi.PyThreadState_SetAsyncExc(thread, ctypes.py_object(TooLong))

    def keep_time() -> None:
        late = False
        for number in range(TIMES):
            try:
                stop.get(timeout=EVERY if number else seconds)
                break
            except Empty:
                late = True
                send()
        for _ in range(2):  # the end is reached once more if the error arrives in it
            stopped.put(late)

    def end() -> None:
        stop.put(None)
        if not stopped.get():
            return
        # An error may be on its way. Python 3.11 hangs in the next traced generator when one is taken back.
        try:
            send()
            while True:
                pass
        except TooLong:
            return

    try:
        try:
            _thread.start_new_thread(keep_time, ())  # a threading.Thread takes a lock when it starts
            return function()
        finally:
            end()
    except TooLong:
        end()
        raise
