"""Items of an iterator, made in a thread before they are needed.

>>> with ahead(iter("abc"), most=2) as letters:
...     list(letters)
['a', 'b', 'c']
"""

from collections.abc import Iterator
from contextlib import contextmanager
from queue import SimpleQueue
from threading import Thread
from typing import Any, TypeVar

_Item = TypeVar("_Item")


@contextmanager
def ahead(items: Iterator[_Item], most: int) -> Iterator[Iterator[_Item]]:
    """Make the items of an iterator in a thread; at most ``most`` of them wait, and the thread ends with the block.

    Parameters
    ----------
    items : iterator
        An exception that it raises reaches the caller in its turn, after the items before it.
    most : int

    Yields
    ------
    iterator
        Of the same items in the same order.
    """
    # Of C, unlike Queue: an interrupt between two lines of Python cannot leave them locked.
    room: SimpleQueue[bool] = SimpleQueue()
    made: SimpleQueue[tuple[str, Any]] = SimpleQueue()

    def make():
        try:
            for item in items:
                if not room.get():
                    return
                made.put(("item", item))
            made.put(("end", None))
        except BaseException as error:
            made.put(("error", error))

    def take():
        while True:
            what, value = made.get()
            if what == "error":
                raise value
            if what == "end":
                return
            yield value
            room.put(True)

    thread = Thread(target=make, name="ahead", daemon=True)
    thread.start()
    for _ in range(most):
        room.put(True)
    try:
        yield take()
    finally:
        while not room.empty():
            room.get()
        room.put(False)
        thread.join()
