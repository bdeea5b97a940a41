"""The machinery of the checkers: try a function where the answer is known, and return a verdict with a hint."""

from collections.abc import Callable
from functools import wraps
from inspect import signature
from typing import Any, NamedTuple

import numpy as np

#: A function written for an exercise; each checker documents its arguments and its result.
Attempt = Callable[..., Any]


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


def close(found: Any, wanted: Any, rtol: float = 1e-6, atol: float = 1e-9) -> bool:
    """Compare a result with the expected one, in shape and up to rounding.

    Parameters
    ----------
    found : array_like of any shape, or anything else
        The result of an attempt. Anything that is not a number or an array of numbers is not close.
    wanted : array_like, any shape
        The expected result.
    rtol, atol : float
        Largest relative and absolute difference; both are compared in float64 as by :func:`numpy.allclose`.

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
    try:
        found, wanted = np.asarray(found, float), np.asarray(wanted, float)
    except (TypeError, ValueError):
        return False
    return found.shape == wanted.shape and bool(np.allclose(found, wanted, rtol, atol))


def checker(check: Callable[[Attempt], None]) -> Callable[[Attempt], Answer]:
    """Turn a check, which ends with a hint or reaches its end, into a function that returns an answer.

    Parameters
    ----------
    check : callable
        Takes the attempt, calls it with arguments for which the result is known, and passes what it finds to
        :func:`expect`. The attempt can be called with positional arguments only.

    Returns
    -------
    callable
        A checker: a function of one argument, the attempt, that returns an :class:`Answer` and never raises. An attempt
        that returns None, as the stub of an exercise does, or that raises an error gets a hint of its own.

    See Also
    --------
    Answer : What a checker returns.
    expect : Ends a check with a hint.
    close : Whether a result equals the expected one up to rounding.

    Notes
    -----
    Every exercise with code ends with a call of a checker, in every chapter from "The paper in one page" on.

    Examples
    --------
    >>> @checker
    ... def area(attempt):
    ...     found = attempt(3.0)
    ...     expect(not close(found, 6 * np.pi), "this is the circumference of the disk, not its area")
    ...     expect(close(found, 9 * np.pi), "cut the disk into thin rings, and add up their areas")
    >>> area(lambda r: 2 * np.pi * r)
    not yet: this is the circumference of the disk, not its area
    >>> area(lambda r: np.pi * r**2)
    correct
    >>> area(lambda r: 1 / 0)
    not yet: your function stops with ZeroDivisionError: division by zero
    """

    @wraps(check)
    def run(attempt: Attempt) -> Answer:
        def tried(*args: Any) -> Any:
            value = attempt(*args)
            if value is None:
                name = getattr(attempt, "__name__", "your function")
                raise _Hint(f"{name} returns nothing: write its body and end it with a return statement")
            return value

        try:
            check(tried)
        except _Hint as hint:
            return Answer(False, str(hint))
        except Exception as error:  # a function in the making may fail in any way
            return Answer(False, f"your function stops with {type(error).__name__}: {error}")
        return Answer(True)

    # help() and editors then show what a checker returns; the check itself returns nothing.
    vars(run)["__signature__"] = signature(check).replace(return_annotation=Answer)
    return run
