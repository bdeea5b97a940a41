"""A student's process: it runs the cells of one notebook, and calls the functions that they define.

It knows nothing of points, and of the tests only the arguments that it is handed. Whatever it answers can be forged by
the student's code that runs in it; so it is asked for results alone, and the grader compares them.
"""

import os
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import IO, Any

import torch

from ..check import answer as checking
from ..check.attempt import Hint, as_numbers, call, described
from ..check.cosine_similarity import Work
from ..check.extraction import hooks_of
from ..check.limit import TooLong, within
from .wire import Broken, answer, asked

#: Characters of an error or a hint that are handed on.
WORDS = 2000


def main(folder: str, memory: str, isolated: str) -> None:
    """Serve requests from standard input until it ends; the arguments are those of :mod:`.sandbox`."""
    from .sandbox import confine, enter

    requests, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nothing, stream)
    own = enter(Path(folder), bool(int(isolated)))
    shell = _shell()
    confine(own, int(memory), bool(int(isolated)))
    answer(answers, ready=True)
    try:
        serve(shell, requests, answers)
    except Broken:
        os._exit(0)  # the grader has seen enough


def _shell() -> Any:
    """What runs cells as a kernel does, without its history."""
    from IPython.core.interactiveshell import InteractiveShell
    from traitlets.config import Config

    class Shell(InteractiveShell):
        """A shell for ``%matplotlib`` and for ``!command`` where there is no window and no terminal."""

        def enable_matplotlib(self, gui: str | None = None) -> tuple[None, str]:
            return None, "agg"

        def system(self, command: str) -> None:
            self.user_ns["_exit_code"] = subprocess.call(self.var_expand(command, depth=1), shell=True)

    config = Config()
    config.HistoryManager.enabled = False
    config.InteractiveShell.colors = "nocolor"
    return Shell.instance(config=config)


def serve(shell: Any, requests: IO[bytes], answers: IO[bytes]) -> None:
    """Answer requests, one after the other.

    Parameters
    ----------
    shell : IPython.core.interactiveshell.InteractiveShell
    requests, answers : binary files

    Raises
    ------
    Broken
        At the end of the requests.
    """
    while True:
        kind, *given = asked(requests)
        if kind == "run":
            answer(answers, error=run(shell, *given))
        elif kind == "get":
            answer(answers, **get(shell, *given))
        else:
            name, args, seconds, watched = given
            call_once(shell, name, args, seconds, watched, requests, answers)


def run(shell: Any, source: str, seconds: float) -> str:
    """Run a cell; return what stopped it, with the line, or nothing."""

    def ran() -> Any:
        return shell.run_cell(source, store_history=False)

    try:
        found = within(seconds, ran)
        stopped: BaseException | None = found.error_before_exec or found.error_in_exec
    except TooLong as error:
        stopped = error
    if stopped is None:
        return ""
    if isinstance(stopped, TooLong):
        return f"the limit of {seconds:.3g} seconds {described(stopped)}".rstrip()[:WORDS]
    if isinstance(stopped, SyntaxError):
        return f"{type(stopped).__name__}: {stopped.msg} (in line {stopped.lineno})"[:WORDS]
    return described(stopped)[:WORDS]


def get(shell: Any, name: str) -> dict[str, Any]:
    """Return the numbers in a variable, or what else it is."""
    if name not in shell.user_ns:
        return {"missing": True}
    value = shell.user_ns[name]
    if value is ...:
        return {"dots": True}
    numbers = as_numbers(value)
    return {"value": numbers} if numbers is not None else {"type": type(value).__name__[:WORDS]}


class _Asking:
    """A function of the grader, such as the head of a model: it calls back."""

    def __init__(self, number: int, requests: IO[bytes], answers: IO[bytes]) -> None:
        self.number, self.requests, self.answers = number, requests, answers

    def __call__(self, *args: Any) -> Any:
        answer(self.answers, calls=self.number, given=[as_numbers(value) for value in args])
        kind, value = asked(self.requests)
        if kind == "error":
            raise RuntimeError(value)
        return value


class Function(int):
    """In place of a function among the arguments of a call: its number."""


def call_once(
    shell: Any, name: str, args: list[Any], seconds: float, watched: bool, requests: IO[bytes], answers: IO[bytes]
) -> None:
    """Call a function of the student once, and answer with its result or a hint."""
    if name not in shell.user_ns:
        answer(answers, hint=f"{name} is not defined")
        return
    function = shell.user_ns[name]
    if not callable(function):
        answer(answers, hint=checking.UNCALLED)
        return
    given = tuple(_Asking(value, requests, answers) if isinstance(value, Function) else value for value in args)
    networks = {str(i): (value, _state(value)) for i, value in enumerate(given) if isinstance(value, torch.nn.Module)}
    work = Work() if watched else None
    try:

        def called() -> Any:
            with work or nullcontext():
                return call(function, given)

        value = within(seconds, called)
    except TooLong as error:
        answer(answers, hint=checking.too_long(error)[:WORDS])
    except Hint as hint:
        answer(answers, hint=str(hint)[:WORDS])
    else:
        after = {number: _change(network, before) for number, (network, before) in networks.items()}
        answer(answers, value=as_numbers(value), networks=after, work=[work.largest, work.total] if work else [0, 0])


def _change(network: torch.nn.Module, before: list[torch.Tensor]) -> dict[str, Any]:
    """What a call has left behind in a network."""
    same = all(torch.equal(old, new) for old, new in zip(before, _state(network), strict=False))
    return {"hooks": hooks_of(network), "training": network.training, "changed": not same}


def _state(network: torch.nn.Module) -> list[torch.Tensor]:
    """Copies of the weights of a network."""
    return [value.clone() for value in network.state_dict().values()]


if __name__ == "__main__":
    main(*sys.argv[1:])
