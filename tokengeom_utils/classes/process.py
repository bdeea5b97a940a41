"""The grader's side of a student's process: start it, ask it, and end it when it does not answer."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from queue import Empty, Full, Queue
from typing import Any

import psutil
import torch

from ..check import answer as checking
from ..check.attempt import Elsewhere, Hint
from ..check.cosine_similarity import Work
from ..paths import cache_path
from .sandbox import PROCESSES, has_namespaces, isolated_command
from .wire import LONGEST, Broken, answered, ask, receive
from .worker import Function

#: Seconds for the start of a process, and those beyond its limit in which it must answer.
START, GRACE = 120.0, 5.0
#: Seconds between two looks at the memory of a process.
EVERY = 0.3
#: How many answers are read before they are asked for; there should be none.
AHEAD = 4
#: The environment that it gets; anything else, such as a token, stays with the teacher.
KEPT = ("PATH", "SYSTEMROOT", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "COMSPEC", "PATHEXT")
CODE = "import json, sys; sys.path[:] = json.loads(sys.argv.pop(1)); from tokengeom_utils.classes import worker; "


class Process:
    """One notebook's process."""

    def __init__(self, memory: int) -> None:
        self.memory = memory
        self.folder = tempfile.TemporaryDirectory(prefix="tokengeom-", ignore_cleanup_errors=True)
        self.answers: Queue[bytes | None] = Queue(AHEAD)
        self.ended = False
        self._start()

    def _start(self) -> None:
        """Start the process, and the thread that reads its answers."""
        folder = self.folder.name
        own = ("HOME", "USERPROFILE", "TMPDIR", "TEMP", "TMP", "IPYTHONDIR", "MPLCONFIGDIR", "NUMBA_CACHE_DIR")
        environment = {name: os.environ[name] for name in KEPT if name in os.environ} | dict.fromkeys(own, folder)
        environment |= {"MPLBACKEND": "Agg", "OMP_NUM_THREADS": "1", "TOKENGEOM_CACHE": str(cache_path().absolute())}
        command = [sys.executable, "-I", "-B", "-c", f"{CODE}worker.main(*sys.argv[1:])", json.dumps(_search_path())]
        command = isolated_command([*command, folder, str(self.memory), str(int(has_namespaces()))])
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=folder,
            env=environment,
            start_new_session=True,
        )
        threading.Thread(target=self._read, daemon=True).start()
        threading.Thread(target=self._watch, daemon=True).start()
        if not self._answer(START).get("ready"):
            self.end()
            raise RuntimeError("a process for a notebook did not start")

    def _read(self) -> None:
        """Put the answers of the process into a queue, unread, and None when there will be no more."""
        assert self.process.stdout
        found: bytes | None = b""
        while found is not None and not self.ended:
            try:
                found = receive(self.process.stdout, LONGEST)
            except (Broken, OSError, ValueError):
                found = None
            while not self.ended:
                with suppress(Full):
                    self.answers.put(found, timeout=1)
                    break

    def _watch(self) -> None:
        """Kill the process when it takes too much memory together with all that it has started, or starts too many."""
        while not self.ended and self.process.poll() is None:
            with suppress(psutil.Error):
                root = psutil.Process(self.process.pid)
                family = [root, *root.children(recursive=True)]
                if len(family) > PROCESSES or sum(map(_memory, family)) > self.memory:
                    self._kill()
            time.sleep(EVERY)

    def _answer(self, seconds: float) -> dict[str, Any]:
        """The next answer; without one the process is ended."""
        try:
            found = self.answers.get(timeout=max(seconds, 0))
        except Empty:
            found = None
        try:
            if found is None:
                raise Broken("no answer")
            return answered(found)
        except Broken:
            self.end()
            raise

    def _ask(self, *request: Any) -> None:
        assert self.process.stdin
        ask(self.process.stdin, request)

    def run(self, source: str, seconds: float) -> str:
        """Run a cell, and return what stopped it; nothing if it ran through."""
        self._ask("run", source, seconds)
        return str(self._answer(seconds + GRACE).get("error", ""))

    def get(self, name: str, seconds: float) -> dict[str, Any]:
        """Return what is known of a variable: its ``value``, its ``type``, or that it is ``missing``."""
        self._ask("get", name)
        return self._answer(seconds + GRACE)

    def function(self, name: str) -> "Remote":
        """Return a function of the notebook, as an attempt for a checker."""
        return Remote(self, name)

    def call(self, name: str, args: tuple[Any, ...], seconds: float) -> Any:
        """Call a function of the notebook once.

        Parameters
        ----------
        name : str
        args : tuple
        seconds : float

        Returns
        -------
        array or float

        Raises
        ------
        Hint
            What the process says is wrong with it, or that it took too long.
        Broken
            If it does not answer.
        """
        functions = [value for value in args if callable(value) and not isinstance(value, torch.nn.Module)]
        numbers = {id(value): Function(number) for number, value in enumerate(functions)}
        work = getattr(Work.open, "work", None)
        until = time.monotonic() + seconds + GRACE
        self._ask("call", name, [numbers.get(id(value), value) for value in args], seconds, work is not None)
        while "calls" in (found := self._answer(until - time.monotonic())):
            if time.monotonic() > until:
                self.end()
                raise Broken("it calls back without an end")
            self._ask(*_called_back(functions, found))
        if "hint" in found:
            raise Hint(str(found["hint"]))
        try:
            return self._result(found, args, work)
        except (ArithmeticError, LookupError, TypeError, ValueError, AttributeError) as error:
            raise Broken(f"no result: {error}") from None

    def _result(self, found: dict[str, Any], args: tuple[Any, ...], work: Work | None) -> Any:
        """The result in an answer; what it did to a network is done to the one here, too."""
        for number, state in found["networks"].items():
            _repeat(args[int(number)], state)
        if work is not None:
            largest, total = found["work"]
            work.add(int(largest), int(total))
        value = found["value"]
        return value if value.ndim else value[()]

    def end(self) -> None:
        """End the process, and with it all that it has started as far as the system can tell."""
        self.ended = True
        self._kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            with suppress(OSError):
                if stream:
                    stream.close()

    def _kill(self) -> None:
        """Kill the process, its group, and all that it has started."""
        below = []
        with suppress(psutil.Error):
            below = psutil.Process(self.process.pid).children(recursive=True)
        with suppress(OSError):
            if hasattr(os, "killpg"):
                os.killpg(self.process.pid, signal.SIGKILL)
        with suppress(OSError):
            self.process.kill()
        for one in below:
            with suppress(psutil.Error):
                one.kill()

    def close(self) -> None:
        """End the process, and remove its folder."""
        self.end()
        self.folder.cleanup()


class Remote(Elsewhere):
    """A function in a student's process, for one check."""

    def __init__(self, process: Process, name: str) -> None:
        self.process, self.name = process, name
        self.until = time.monotonic() + checking.LIMIT

    def __call__(self, *args: Any) -> Any:
        left = self.until - time.monotonic()
        if left <= 0:
            raise Hint(checking.too_long())
        return self.process.call(self.name, args, left)


def _memory(process: psutil.Process) -> int:
    """The bytes of a process, where of what several share each counts a part, on Linux; 0 if it has just ended."""
    with suppress(psutil.NoSuchProcess):
        try:
            found = process.memory_full_info()
            return int(getattr(found, "pss", found.uss))
        except psutil.AccessDenied:  # a process can hide its pages from all but root, but not how many they are
            return int(process.memory_info().rss)
    return 0


def _search_path() -> list[str]:
    """Where installed modules are; not the folder of a script, nor the one in which a command was called."""
    package, installed = (
        Path(__file__).resolve().parents[2],
        (Path(sys.prefix).resolve(), Path(sys.base_prefix).resolve()),
    )
    found = [Path(entry).resolve() for entry in sys.path if entry]
    kept = (
        place
        for place in found
        if {"site-packages", "dist-packages"} & {*place.parts} or any(map(place.is_relative_to, installed))
    )
    return list(map(str, dict.fromkeys((package, *kept))))


def _called_back(functions: list[Callable[..., Any]], found: dict[str, Any]) -> tuple[str, Any]:
    """What a function of the grader makes of arguments that a student's process sends."""
    try:
        args = [torch.as_tensor(value) for value in found["given"]]
        return "value", functions[int(found["calls"])](*args)
    except Exception as error:
        return "error", str(error)


def _no_hook(*args: Any) -> None:
    """Stand for a hook that a student has left behind."""


def _repeat(network: torch.nn.Module, state: dict[str, Any]) -> None:
    """Do to a network what was done to its copy."""
    from ..check.extraction import hooks_of

    for _ in range(min(int(state["hooks"]), 100) - hooks_of(network)):
        network.register_forward_hook(_no_hook)
    network.train(bool(state["training"]))
    if state["changed"]:
        with torch.no_grad():
            for weight in network.parameters():
                weight.add_(1)
