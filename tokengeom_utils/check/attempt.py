"""One call of an attempt: its result as numbers, or a hint about what no answer may do."""

import inspect
import sysconfig
from collections.abc import Callable
from copy import deepcopy
from linecache import getline
from pathlib import Path
from traceback import extract_tb
from typing import Any

import numpy as np
import torch

from .limit import TooLong

#: A function written for an exercise; each checker documents its arguments and its result.
Attempt = Callable[..., Any]

#: Folders whose code no student wrote.
_FOLDERS = {
    *(sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")),
    str(Path(__file__).parents[1]),
}
_INSTALLED = (*_FOLDERS, *(str(Path(folder).resolve()) for folder in _FOLDERS), "<frozen ", "<__array_function__")


class Hint(Exception):
    """Ends a check; its text becomes the hint, and its share is how much of the exercise is right."""

    def __init__(self, text: str, share: float = 0.0) -> None:
        super().__init__(text)
        self.share = share


class Elsewhere:
    """An attempt that lives in another process, where its calls are guarded as :func:`call` guards those here."""

    def __call__(self, *args: Any) -> Any:
        """Return the result as a float64 number or array, or raise a :class:`Hint`."""
        raise NotImplementedError


def as_numbers(value: Any) -> np.ndarray | None:
    """Return a number, an array, a tensor, or a nested list of them as a float64 array, anything else as None."""
    if isinstance(value, list | tuple):
        parts = [as_numbers(part) for part in value]
        shapes = {None if part is None else part.shape for part in parts}
        return None if None in shapes or len(shapes) > 1 else np.array(parts, float)
    if torch.is_tensor(value):
        return None if value.is_complex() else value.detach().to("cpu", torch.float64, copy=True).numpy()
    try:
        array = np.asarray(value)
        if array.dtype.kind == "O" and not isinstance(value, str):  # such as fractions
            array = np.array([float(entry) for entry in array.flat if not isinstance(entry, str)]).reshape(array.shape)
        return array.astype(float) if array.dtype.kind in "biuf" else None
    except (TypeError, ValueError, OverflowError):
        return None


def call(attempt: Attempt | Elsewhere, args: tuple[Any, ...]) -> Any:
    """Call an attempt once.

    Parameters
    ----------
    attempt : callable or Elsewhere
    args : tuple
        Positional arguments; the attempt gets copies.

    Returns
    -------
    float or array
        In float64, whatever kind of array or list the attempt made.

    Raises
    ------
    Hint
        If the attempt fails, returns nothing or no numbers, or changes its arguments.
    """
    if isinstance(attempt, Elsewhere):
        return attempt(*args)
    given = [value if callable(value) else deepcopy(value) for value in args]
    try:
        value = attempt(*given)
    except (Exception, SystemExit) as error:  # a function in the making may fail in any way
        raise Hint(f"your function stops with {described(error)}{_kinds(attempt, args, error)}") from None
    if value is None:
        name = getattr(attempt, "__name__", "your function")
        raise Hint(f"{name} returns nothing: write its body and end it with a return statement")
    for number, (before, after) in enumerate(zip(args, given, strict=True), 1):
        if not _unchanged(before, after):
            raise Hint(
                f"your function changes its argument number {number}: work on a copy, for the caller may still need it"
            )
    found = as_numbers(value)
    if found is None:
        raise Hint(f"your function returns something that is no array of numbers, a {type(value).__name__}")
    return found if found.ndim else found[()]


def described(error: BaseException) -> str:
    """Return the kind and the message of an error, with the line of the student's code at which it happened.

    Parameters
    ----------
    error : exception
        As caught.

    Returns
    -------
    str
    """
    text = "" if isinstance(error, TooLong) else f"{type(error).__name__}: {_message(error)}"
    own = [frame for frame in extract_tb(error.__traceback__) if not frame.filename.startswith(_INSTALLED)]
    if not own:
        return text
    at = own[-1]
    line = getline(at.filename, at.lineno or 0).strip()
    return f"{text} (in line {at.lineno}{': ' + line if line else ''})".lstrip()


def _message(error):
    """The message of an error; a student's own kind of error may fail to give one."""
    try:
        return str(error)
    except Exception:
        return "(no message)"


def _kinds(attempt: Attempt, args: tuple[Any, ...], error: BaseException) -> str:
    """Return which arguments are arrays, and of which kind, if an error may come from taking one kind for the other."""
    if not isinstance(error, AttributeError | TypeError):
        return ""
    try:
        names = list(inspect.signature(attempt).parameters)
    except (TypeError, ValueError):
        names = []
    kinds = []
    for number, value in enumerate(args):
        name = names[number] if number < len(names) else f"argument {number + 1}"
        if torch.is_tensor(value) or isinstance(value, np.ndarray):
            kind = "torch tensor" if torch.is_tensor(value) else "numpy array"
            kinds.append(f"{name} is a {kind} of shape {tuple(value.shape)}")
    return "; here " + ", ".join(kinds) if kinds else ""


def _unchanged(before: Any, after: Any) -> bool:
    """Whether an argument, if it holds numbers, still holds the same ones."""
    old, new = (as_numbers(value) for value in (before, after))
    return old is None or (new is not None and np.array_equal(old, new))
