"""Threads that take one core each.

A matrix product of one layer is too small for the cores to share: BLAS on all of them is hardly faster than on one.
Several products at once, each on a core of its own, take all the cores, and round alike however many there are.

>>> list(one_core_each().map(abs, [-1, 2]))
[1, 2]
"""

import os
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from threading import Barrier

import torch


def one_core_each():
    """As many threads as torch uses in the calling one, kept for the next call; torch uses one core in each.

    Returns
    -------
    concurrent.futures.ThreadPoolExecutor
    """
    return _pool(torch.get_num_threads(), os.getpid())  # threads do not live on in a forked process


@lru_cache(8)
def _pool(n, _process):
    pool = ThreadPoolExecutor(n, initializer=torch.set_num_threads, initargs=(1,))
    started = Barrier(n)
    list(pool.map(lambda _: started.wait(), range(n)))
    torch.set_num_threads(n)  # it is a setting of each thread, but the last one made is that of threads to come
    return pool
