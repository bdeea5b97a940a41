"""The time limit: it ends what takes too long, and leaves nothing behind."""

import subprocess
import sys
import threading
import time
from contextlib import suppress

import pytest

from tokengeom_utils.check import limit
from tokengeom_utils.check.limit import TooLong, within


def endless():
    while True:
        pass


def test_it_returns_and_raises_as_the_function_does():
    assert within(60, lambda: 3) == 3
    with pytest.raises(ZeroDivisionError):
        within(60, lambda: 1 / 0)


def test_it_ends_a_function_also_in_another_thread():
    found = []

    def timed():
        started = time.monotonic()
        with pytest.raises(TooLong):
            within(0.1, endless)
        found.append(time.monotonic() - started)

    timed()
    thread = threading.Thread(target=timed)
    thread.start()
    thread.join()
    assert len(found) == 2 and min(found) >= 0.1


def test_a_function_that_catches_the_error_is_asked_again(monkeypatch):
    monkeypatch.setattr(limit, "EVERY", 0.1)
    caught = []

    def stubborn():
        while len(caught) < 3:
            try:
                endless()
            except TooLong:
                caught.append(True)
        endless()

    with pytest.raises(TooLong):
        within(0.1, stubborn)
    assert len(caught) == 3


def test_no_error_arrives_after_the_end(monkeypatch):
    """Functions that end just when the error is sent, many times; then a while in which one could still arrive."""
    monkeypatch.setattr(limit, "EVERY", 0.001)
    for _ in range(200):
        with suppress(TooLong):
            within(0.002, lambda: time.sleep(0.002))
    until = time.monotonic() + 0.1
    while time.monotonic() < until:
        pass


def test_a_debugger_or_coverage_goes_on_after_it():
    """Python 3.11 loops for ever in a generator that is traced when an error was taken back."""
    code = (
        "import sys, time\n"
        "from tokengeom_utils.check.limit import TooLong, within\n"
        "within(60, int)\n"
        "for _ in range(20):\n"
        "    try:\n"
        "        within(0.001, lambda: time.sleep(0.001))\n"
        "    except TooLong:\n"
        "        pass\n"
        "sys.settrace(lambda *args: lambda *args: None)\n"
        "def double(x):\n"
        "    return x, 2 * x\n"
        "print(dict(double(x) for x in range(3)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.stdout.strip() == "{0: 0, 1: 2, 2: 4}", done.stderr
