"""Threads that take one core each.

A matrix product of one layer is too small for the cores to share: BLAS on all of them is hardly faster than on one.
Several products at once, each on a core of its own, take all the cores, and round alike however many there are.

>>> each(abs, [-1, 2])
[1, 2]
"""

import math
import os
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from itertools import accumulate
from threading import Barrier, local

import numpy as np
import torch

KEPT = 2**22  # entries that a thread keeps at hand: 16 MiB, of which it touches what it needs

_this_thread = local()


def each(function, items):
    """``list(map(function, items))``, several items at once: one for each core that torch uses in this thread.

    While it works on an item, torch uses one core; so what is called within ``function`` runs there, one by one.
    """
    n = torch.get_num_threads()
    if n == 1 or getattr(_this_thread, "has_one_core", False):
        return list(map(function, items))
    items = list(items)
    results, failed, places = [None] * len(items), {}, iter(range(len(items)))

    def work(_):
        for place in places:  # who is free takes the next: one task for each item would take longer to hand out
            try:
                results[place] = function(items[place])
            except BaseException as error:
                failed[place] = error
                deque(places, 0)  # no other is begun

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
    torch.set_num_threads(n)  # it is a setting of each thread, but the last one made is that of threads to come
    return pool


def _take_one_core():
    torch.get_num_threads()  # a new thread takes over the default at its first question, and keeps what is set after it
    torch.set_num_threads(1)
    _this_thread.has_one_core = True


def scratch(*shapes):
    """Tensors of float32 with anything in them, valid until this thread asks for the next ones.

    Fresh pages of memory for each layer would take a tenth of the time of its observables. Large tensors are fresh.
    """
    sizes = [math.prod(shape) for shape in shapes]
    if sum(sizes) > KEPT:
        return [torch.empty(shape) for shape in shapes]
    if not hasattr(_this_thread, "kept"):
        _this_thread.kept = np.empty(KEPT, np.float32)  # in huge pages, which torch does not ask for
    ends = accumulate(sizes)
    return [torch.from_numpy(_this_thread.kept[end - size : end].reshape(shape))
            for end, size, shape in zip(ends, sizes, shapes)]
