"""Threads that use one core each.

The matrix product of one layer is too small to be shared: BLAS on all cores is hardly faster than on one. Several
products at once, each on its own core, keep all cores busy, and round the same way whatever their number.

>>> each(abs, [-1, 2])
[1, 2]
"""

import math
import os
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from itertools import accumulate
from threading import Barrier, local
from typing import TypeVar

import numpy as np
import torch

KEPT = 2**22  # entries of scratch memory that each thread keeps: 16 MiB, touched only as far as needed

T = TypeVar("T")
R = TypeVar("R")
_this_thread = local()


def each(function: Callable[[T], R], items: Iterable[T]) -> list[R]:
    """Return ``list(map(function, items))``, worked on in as many threads as torch uses cores in this one.

    Within ``function`` torch uses one core, and a call of :func:`each` runs its items one by one.
    """
    n = torch.get_num_threads()
    if n == 1 or getattr(_this_thread, "has_one_core", False):
        return list(map(function, items))
    items = list(items)
    results: list = [None] * len(items)
    failed, places = {}, iter(range(len(items)))

    def work(_):
        for place in places:  # a free thread takes the next one: handing out one task per item would take longer
            try:
                results[place] = function(items[place])
            except BaseException as error:
                failed[place] = error
                deque(places, 0)  # begin no other

    try:
        list(_pool(n, os.getpid()).map(work, range(n)))
    finally:
        deque(places, 0)
    if failed:
        raise failed[min(failed)]
    return results


@lru_cache(8)
def _pool(n, _process):  # threads do not live on in a forked process
    pool = ThreadPoolExecutor(n, initializer=_take_one_core)
    started = Barrier(n)
    list(pool.map(lambda _: started.wait(), range(n)))
    torch.set_num_threads(n)  # each thread has its own setting, but new threads start with the last one made
    return pool


def _take_one_core():
    torch.get_num_threads()  # the first call adopts the default; only what is set after it lasts
    torch.set_num_threads(1)
    _this_thread.has_one_core = True


def scratch(*shapes: tuple[int, ...]) -> list[torch.Tensor]:
    """Return uninitialized float32 tensors, valid until this thread calls the function again.

    Fresh pages of memory for each layer would take a tenth of the time of its observables. Large tensors are fresh.
    """
    sizes = [math.prod(shape) for shape in shapes]
    if sum(sizes) > KEPT:
        return [torch.empty(shape) for shape in shapes]
    if not hasattr(_this_thread, "kept"):
        _this_thread.kept = np.empty(KEPT, np.float32)  # in huge pages, which torch does not ask for
    ends = accumulate(sizes)
    return [
        torch.from_numpy(_this_thread.kept[end - size : end].reshape(shape))
        for end, size, shape in zip(ends, sizes, shapes, strict=True)
    ]
