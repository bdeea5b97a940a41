"""Threads of one core each: what they leave as it was, and work within work."""

import threading
import time

import pytest
import torch

from tokengeom_utils import observables
from tokengeom_utils.clouds.threads import KEPT, each, scratch


@pytest.fixture
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def in_a_new_thread(function):
    found = []
    thread = threading.Thread(target=lambda: found.append(function()))
    thread.start()
    thread.join()
    return found[0]


def test_one_core_inside_and_as_many_as_before_outside(two_threads):
    matrix = torch.randn(300, 300)

    def inside(_):
        return (matrix @ matrix).sum() and torch.get_num_threads()

    assert each(inside, range(4)) == [1] * 4
    assert torch.get_num_threads() == 2 and in_a_new_thread(torch.get_num_threads) == 2


def test_order_errors_and_work_within_work(two_threads):
    assert each(lambda i: each(lambda j: 10 * i + j, range(3)), range(3)) == [[0, 1, 2], [10, 11, 12], [20, 21, 22]]
    with pytest.raises(ZeroDivisionError):
        each(lambda i: 1 / i, [1, 0])


def test_the_first_of_several_errors_and_nothing_begun_after_it(two_threads):
    begun = []

    def work(i):
        begun.append(i)
        time.sleep(0.02 * (i == 1))
        if i in (1, 2):
            raise ValueError(i)

    with pytest.raises(ValueError, match="1"):  # though 2 is the first to fail
        each(work, range(50))
    assert set(begun) <= {0, 1, 2, 3}
    assert each(abs, range(3)) == [0, 1, 2]


def test_scratch_is_of_this_thread():
    mine, square = scratch((3,), (2, 2))
    mine[:], square[:] = 1, 2
    assert mine.dtype == torch.float32 and square.shape == (2, 2) and mine.tolist() == [1, 1, 1]
    theirs = in_a_new_thread(lambda: scratch((3,))[0].fill_(5))
    assert mine.tolist() == [1, 1, 1] and theirs.tolist() == [5, 5, 5]
    (large,) = scratch((KEPT + 1,))
    assert large.shape == (KEPT + 1,) and mine.tolist() == [1, 1, 1]


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_layers_at_once_and_layers_in_turn(threads, two_threads):
    clouds = torch.randn(5, 200, 300, generator=torch.Generator().manual_seed(0))
    in_turn = observables(iter(clouds), 16, 8)
    torch.set_num_threads(threads)
    assert observables(clouds, 16, 8).identical(in_turn)  # bit for bit
