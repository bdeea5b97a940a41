"""The machinery of the checkers: try a function where the answer is known, and return a verdict with a hint."""

from collections.abc import Callable
from copy import deepcopy
from functools import wraps
from inspect import signature
from linecache import getline
from traceback import extract_tb
from typing import Any, NamedTuple

import numpy as np
import torch

#: A function written for an exercise; each checker documents its arguments and its result.
Attempt = Callable[..., Any]

#: How often a check that draws its inputs is run, each time on other inputs; the draws are the same every time.
DRAWS, SEED = 3, 250110573


class Answer(NamedTuple):
    """The verdict of a checker on one attempt.

    Parameters
    ----------
    passed : bool
        Whether the function gave the right result in every case that was tried.
    hint : str
        What to look at; empty if ``passed``.

    See Also
    --------
    checker : The decorator whose functions return answers.

    Notes
    -----
    An answer prints as a sentence. The exercises of every chapter end with one, beginning with "The paper in one page".

    Examples
    --------
    >>> Answer(True)
    correct
    >>> Answer(False, "this is the square of the distance")
    not yet: this is the square of the distance
    """

    passed: bool
    hint: str = ""

    def __repr__(self) -> str:
        """Return the verdict as a sentence."""
        return "correct" if self.passed else f"not yet: {self.hint}"


class _Hint(Exception):
    """Ends a check; its text becomes the hint."""


def expect(condition: Any, hint: str) -> None:
    """End a check with a hint unless a condition holds.

    Parameters
    ----------
    condition : bool
        What must be true of a right answer, or untrue of a particular mistake.
    hint : str
        A sentence that points at the mistake without giving the answer away.

    Raises
    ------
    Exception
        If ``condition`` is false: a private exception, which :func:`checker` turns into an answer with the hint.

    See Also
    --------
    close : Whether a result equals the expected one up to rounding.
    checker : Turns a function that calls ``expect`` into a checker.

    Notes
    -----
    A check calls ``expect`` once for each likely mistake, and last for the right answer. The first call that fails
    gives the hint. The chapters use it only through the checkers of their exercises.

    Examples
    --------
    >>> @checker
    ... def chance_of_heads(attempt):
    ...     found = attempt(3)
    ...     expect(found <= 1, "a probability is at most 1")
    ...     expect(close(found, 1 / 8), "the tosses are independent: multiply their probabilities")
    >>> chance_of_heads(lambda n: n / 2)
    not yet: a probability is at most 1
    >>> chance_of_heads(lambda n: 1 / n)
    not yet: the tosses are independent: multiply their probabilities
    >>> chance_of_heads(lambda n: 2**-n)
    correct
    """
    if not condition:
        raise _Hint(hint)


def _numbers(value: Any) -> np.ndarray | None:
    """Return a number, an array, a tensor, or a nested list of them as a float64 array, anything else as None."""
    if isinstance(value, list | tuple):
        parts = [_numbers(part) for part in value]
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


def close(found: Any, wanted: Any, rtol: float = 1e-5, atol: float = 1e-6) -> bool:
    """Compare a result with the expected one, in shape and up to rounding.

    Parameters
    ----------
    found : array_like of any shape, or anything else
        The result of an attempt. Anything that is not a number or an array of numbers is not close.
    wanted : array_like, any shape
        The expected result.
    rtol, atol : float
        Largest relative and absolute difference; both are compared in float64 as by :func:`numpy.allclose`. By default,
        results computed in float32 are close enough.

    Returns
    -------
    bool
        False if the shapes differ: nothing is broadcast. NaN is close to nothing.

    See Also
    --------
    expect : Ends a check with a hint.

    Notes
    -----
    The chapters use it only through the checkers of their exercises.

    Examples
    --------
    >>> close(0.1 + 0.2, 0.3)
    True
    >>> close([1.0, 1.0], 1.0)
    False
    >>> close("one", 1.0)
    False
    """
    a, b = _numbers(found), _numbers(wanted)
    return a is not None and b is not None and a.shape == b.shape and bool(np.allclose(a, b, rtol, atol))


def shaped(found: Any, *shape: int) -> Any:
    """End a check with a hint unless a result has a shape; no shape stands for a single number; returns the result."""

    def words(sizes: tuple[int, ...]) -> str:
        return f"an array of shape {sizes}" if sizes else "a single number"

    expect(np.shape(found) == shape, f"return {words(shape)}: your function returns {words(np.shape(found))}")
    return found


def truth(found: Any) -> bool:
    """Return a result as a bool; end the check with a hint if it is something else."""
    expect(np.shape(found) == () and found in (0, 1), "return True or False: your function returns something else")
    return bool(found)


def _stopped(attempt: Attempt, error: BaseException) -> _Hint:
    """Return the hint for an error inside an attempt, with the line of the attempt at which it stopped."""
    text = f"your function stops with {type(error).__name__}: {error}"
    file = getattr(getattr(attempt, "__code__", None), "co_filename", None)
    lines = [
        getline(file, at.lineno or 0).strip()
        for at in extract_tb(error.__traceback__)
        if at.filename == file != __file__
    ]
    return _Hint(f"{text} (in the line: {lines[-1]})" if lines and lines[-1] else text)


def _copied(value: Any) -> Any:
    """Return a copy that an attempt may spoil; functions and networks are passed on as they are."""
    return value if callable(value) else deepcopy(value)


def _unchanged(before: Any, after: Any) -> bool:
    """Whether an argument, if it holds numbers, still holds the same ones."""
    old, new = (_numbers(value) for value in (before, after))
    return old is None or (new is not None and np.array_equal(old, new))


def _called(attempt: Attempt, args: tuple[Any, ...]) -> Any:
    """Return what an attempt returns as an array of numbers; silence, errors, and side effects end the check."""
    given = [_copied(value) for value in args]
    try:
        value = attempt(*given)
    except (Exception, SystemExit) as error:  # a function in the making may fail in any way
        raise _stopped(attempt, error) from None
    if value is None:
        name = getattr(attempt, "__name__", "your function")
        raise _Hint(f"{name} returns nothing: write its body and end it with a return statement")
    for number, (before, after) in enumerate(zip(args, given, strict=True), 1):
        expect(
            _unchanged(before, after),
            f"your function changes its argument number {number}: work on a copy, for the caller may still need it",
        )
    found = _numbers(value)
    if found is None:
        raise _Hint(f"your function returns something that is no array of numbers, a {type(value).__name__}")
    return found if found.ndim else found[()]


def checker(check: Callable[..., None]) -> Callable[[Attempt], Answer]:
    """Turn a check, which ends with a hint or reaches its end, into a function that returns an answer.

    Parameters
    ----------
    check : callable
        Takes the attempt, calls it with arguments for which the result is known, and passes what it finds to
        :func:`expect`. The attempt can be called with positional arguments only, and returns a float64 number or array,
        whatever kind of array or list it made. A check with a second parameter receives a
        :class:`numpy.random.Generator` from which to draw the arguments, and is run on several draws.

    Returns
    -------
    callable
        A checker: a function of one argument, the attempt, that returns an :class:`Answer` and never raises. An attempt
        that returns None, as the stub of an exercise does, that raises an error, changes its arguments, or returns
        something else when it is called again with the same arguments, gets a hint of its own.

    See Also
    --------
    Answer : What a checker returns.
    expect : Ends a check with a hint.
    close : Whether a result equals the expected one up to rounding.

    Notes
    -----
    Every exercise with code ends with a call of a checker, in every chapter from "The paper in one page" on. The draws
    are the same every time, so an answer does not depend on chance; a table of a few results does not pass.

    Examples
    --------
    >>> @checker
    ... def area(attempt, rng):
    ...     r = rng.uniform(1, 3)
    ...     found = attempt(r)
    ...     expect(not close(found, 2 * np.pi * r), "this is the circumference of the disk, not its area")
    ...     expect(close(found, np.pi * r**2), "cut the disk into thin rings, and add up their areas")
    >>> area(lambda r: 2 * np.pi * r)
    not yet: this is the circumference of the disk, not its area
    >>> area(lambda r: np.pi * r**2)
    correct
    >>> area(lambda r: r / 0)
    not yet: your function stops with ZeroDivisionError: float division by zero (in the line: area(lambda r: r / 0))
    """
    drawn = len(signature(check).parameters) > 1

    @wraps(check)
    def run(attempt: Any) -> Answer:
        if not callable(attempt):
            return Answer(False, "pass the function itself, without calling it: its name and no parentheses")

        def tried(*args: Any) -> Any:
            found, again = _called(attempt, args), _called(attempt, args)
            expect(
                np.array_equal(found, again, equal_nan=True) or close(again, found),
                "called again with the same arguments, your function returns something else: use nothing but the "
                "arguments",
            )
            return found

        try:
            for draw in range(DRAWS if drawn else 1):
                check(tried, *([np.random.default_rng((SEED, draw))] if drawn else []))
        except _Hint as hint:
            return Answer(False, str(hint))
        except (IndexError, TypeError, ValueError):  # a check that meets an array of an unexpected shape
            return Answer(False, "the result does not have the shape that the docstring of the exercise states")
        return Answer(True)

    # help() and editors then show what a checker takes and returns.
    shown = signature(check)
    vars(run)["__signature__"] = shown.replace(parameters=list(shown.parameters.values())[:1], return_annotation=Answer)
    return run
