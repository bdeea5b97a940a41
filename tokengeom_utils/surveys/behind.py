"""Writing in a thread, at most a few prompts behind the measurements.

Measured prompts wait in memory until they are on the disk. A killed process loses those that wait; any other end,
Ctrl-C included, writes them first.

>>> written = []
>>> with WriteBehind(written.append, most=2) as writer:
...     for number in range(5):
...         writer.put(number)
>>> written
[0, 1, 2, 3, 4]
"""

from collections.abc import Callable
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any

_POLL = 0.1  # seconds between two looks at whether the writer has failed, while nothing can be handed over


class WriteBehind:
    """Call a function in a thread, in the order of the calls of :meth:`put`.

    Parameters
    ----------
    write : callable
        Called with the arguments of :meth:`put`. What it raises ends the writing, and the caller gets it: at the next
        :meth:`put`, or at the end of the block.
    most : int
        Calls that may wait; :meth:`put` waits for room.
    """

    def __init__(self, write: Callable[..., object], most: int):
        self._write = write
        # Of C, unlike Queue: an interrupt between two lines of Python cannot leave them locked.
        self._room: SimpleQueue[None] = SimpleQueue()
        self._waiting: SimpleQueue[tuple[Any, ...] | None] = SimpleQueue()
        self._ended: SimpleQueue[None] = SimpleQueue()
        self._error: BaseException | None = None
        self._given_up = False
        for _ in range(most):
            self._room.put(None)
        self._thread = Thread(target=self._work, name="write behind")  # no daemon: Python itself waits for it

    def _work(self):
        while (arguments := self._waiting.get()) is not None:
            if self._error is None and not self._given_up:
                try:
                    self._write(*arguments)
                except BaseException as error:
                    self._error = error
            self._room.put(None)
        self._ended.put(None)

    def put(self, *arguments: Any) -> None:
        """Have ``write(*arguments)`` called, after those before it.

        Raises
        ------
        Exception
            What an earlier call raised; nothing is written any more.
        """
        self._raise()
        while True:
            try:
                self._room.get(timeout=_POLL)
                break
            except Empty:
                self._raise()
        self._waiting.put(arguments)

    def _raise(self):
        if self._error is not None:
            raise self._error

    def __enter__(self) -> "WriteBehind":
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Write what waits; another Ctrl-C leaves it, and waits for the call in progress alone."""
        self._waiting.put(None)
        interrupted = False
        while True:
            try:
                self._ended.get()  # not `join`: an interrupted one takes the thread for ended
                break
            except KeyboardInterrupt:
                self._given_up = interrupted = True
        self._thread.join()
        if interrupted:
            raise KeyboardInterrupt
        if kind is None:
            self._raise()
