"""The machinery of the checkers: try a function where the answer is known, and return a verdict with a hint."""

import threading
from collections.abc import Callable
from contextlib import redirect_stderr
from functools import wraps
from inspect import Parameter, signature
from io import StringIO
from typing import Any, NamedTuple, Protocol, overload

import numpy as np

from .attempt import Attempt as Attempt
from .attempt import Elsewhere, Hint, as_numbers, call, described
from .limit import TooLong, within

#: How often a check that draws its inputs is run, each time on other inputs; the draws are the same every time.
DRAWS, SEED = 3, 250110573
#: Seconds that one check of an attempt may take.
LIMIT = 10.0
#: The hint for what is no function.
UNCALLED = "pass the function itself, without calling it: its name and no parentheses"
#: The share of the points that the check in this thread has secured.
_progress = threading.local()


class Answer(NamedTuple):
    """The verdict of a checker on one attempt.

    Parameters
    ----------
    passed : bool
        Whether the function gave the right result in every case that was tried.
    hint : str
        What to look at; empty if ``passed``.
    share : float
        How much of the exercise is right although ``passed`` is false, from 0 to 1: of checkers that first try the
        main case and then the others.

    See Also
    --------
    checker : The decorator whose functions return answers.
    NotYet : What a checker raises instead when it is asked for points and there are none.

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
    share: float = 0.0

    def __repr__(self) -> str:
        """Return the verdict as a sentence."""
        return "correct" if self.passed else f"not yet: {self.hint}"


class NotYet(AssertionError):
    """A wrong answer in a graded cell: the verdict with its hint.

    See Also
    --------
    Answer : What a checker returns when it is not asked for points.
    checker : The decorator whose functions raise it.

    Notes
    -----
    nbgrader gives no points to a cell that raises an error. In a notebook the error is one line. The exercises of every
    chapter, beginning with "The paper in one page", can be graded this way.

    Examples
    --------
    >>> import tokengeom_utils as tg
    >>> tg.check.chance_overlap(lambda k, n: k / (n - 1), points=3)
    correct
    3.0
    >>> tg.check.chance_overlap(lambda k, n: k / n, points=3)
    Traceback (most recent call last):
    ...
    tokengeom_utils.check.answer.NotYet: not yet: a token is never its own neighbor, so its k neighbors are drawn from n - 1 others, not from n
    """  # noqa: E501

    def _render_traceback_(self) -> list[str]:
        """Return what Jupyter shows in place of the frames of the package."""
        return [str(self)]


def expect(condition: Any, hint: str, share: float = 0.0) -> None:
    """End a check with a hint unless a condition holds.

    Parameters
    ----------
    condition : bool
        What must be true of a right answer, or untrue of a particular mistake.
    hint : str
        A sentence that points at the mistake without giving the answer away.
    share : float
        How much of the exercise is right all the same, from 0 to 1; the share of the points in a graded cell. At least
        what the check has :func:`reached`.

    Raises
    ------
    Exception
        If ``condition`` is false: a private exception, which :func:`checker` turns into an answer with the hint.

    See Also
    --------
    close : Whether a result equals the expected one up to rounding.
    reached : Secures a share of the points for what follows.
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
        raise Hint(hint, share)


def reached(share: float) -> None:
    """Secure a share of the points, whatever happens in the rest of a check.

    Parameters
    ----------
    share : float
        From 0 to 1.

    See Also
    --------
    expect : Ends a check with a hint.
    checker : Turns a function that calls ``reached`` into a checker.

    Notes
    -----
    A check calls it when the main case is right and the special cases are left. The chapters use it only through the
    checkers of their exercises.

    Examples
    --------
    >>> @checker
    ... def mean_of(attempt):
    ...     expect(close(attempt([1, 2, 6]), 3), "add up the numbers, and divide by how many there are")
    ...     reached(0.5)
    ...     expect(close(attempt([]), 0), "right, but let the mean of no number be 0")
    >>> mean_of(lambda values: sum(values) / len(values), points=4)
    not yet: your function stops with ZeroDivisionError: division by zero (in line 1: mean_of(lambda values: sum(values) / len(values), points=4))
    2.0
    """  # noqa: E501
    _progress.share = share


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
    a, b = as_numbers(found), as_numbers(wanted)
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


def value(
    found: Any, wanted: Any = None, *, points: float = 1.0, rtol: float = 1e-4, atol: float = 1e-6
) -> float | None:
    """Give points for a number in a graded cell if it is the one in the key.

    Parameters
    ----------
    found : array_like of any shape, or anything else
        What the exercise asks for.
    wanted : array_like, optional
        The expected result. Without one, only the kind of ``found`` is checked.
    points : float
        The points of the cell.
    rtol, atol : float
        Largest relative and absolute difference, as in :func:`close`.

    Returns
    -------
    float or None
        ``points``; None without ``wanted``.

    Raises
    ------
    NotYet
        If ``found`` holds no finite numbers, or not those that are wanted.

    See Also
    --------
    close : Compares the two.
    checker : Gives points for a function.

    Notes
    -----
    Notebooks made by ``tokengeom handout`` end every exercise with a result of the student's own numbers. The student
    sees the call without ``wanted``; nbgrader adds the one with it. The chapters do not use it.

    Examples
    --------
    >>> value(3.14159, np.pi, points=1)
    correct
    1.0
    >>> value(3.14159)
    a number: it is compared with the key when your notebook is graded
    >>> value("about three")
    Traceback (most recent call last):
    ...
    tokengeom_utils.check.answer.NotYet: not yet: this is no number and no array of numbers, but a str
    """
    if wrong := difference(found, wanted, rtol, atol):
        raise NotYet(f"not yet: {wrong}")
    if wanted is not None:
        print("correct")
        return float(points)
    kind = f"an array of shape {np.shape(found)}" if np.shape(found) else "a number"
    print(f"{kind}: it is compared with the key when your notebook is graded")
    return None


def difference(found: Any, wanted: Any, rtol: float, atol: float) -> str:
    """Return in words what is wrong with a result; empty if it is close to ``wanted``, or finite without one."""
    numbers = as_numbers(found)
    if found is ...:
        return "put your result in place of the dots"
    if numbers is None:
        return f"this is no number and no array of numbers, but a {type(found).__name__}"
    if not np.isfinite(numbers).all():
        return "some numbers are infinite or not defined (NaN)"
    if wanted is None or close(numbers, wanted, rtol, atol):
        return ""
    if numbers.shape != np.shape(wanted):
        return f"this has the shape {numbers.shape}, not {np.shape(wanted)}"
    return "this is another number than the one in the key"


class Checker(Protocol):
    """A checker: returns an answer, or with ``points`` a part of them."""

    __name__: str

    @overload
    def __call__(self, attempt: Any, *, points: None = None, seed: int | None = None) -> Answer: ...

    @overload
    def __call__(self, attempt: Any, *, points: float, seed: int | None = None) -> float: ...


def checker(check: Callable[..., None]) -> Checker:
    """Turn a check, which ends with a hint or reaches its end, into a function that returns an answer or points.

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
        that returns None, as the stub of an exercise does, that raises an error, changes its arguments, returns
        something else when it is called again with the same arguments, or is not ready after 10 seconds, gets a hint of
        its own. With ``points=4`` the checker returns points instead, a part of them if only the main case is right,
        and raises :class:`NotYet` if there are none; it also keeps warnings from the output, which nbgrader takes for
        errors. With ``seed=7`` it draws other arguments.

    See Also
    --------
    Answer : What a checker returns.
    NotYet : What it raises in place of 0 points.
    expect : Ends a check with a hint.
    close : Whether a result equals the expected one up to rounding.

    Notes
    -----
    Every exercise with code ends with a call of a checker, in every chapter from "The paper in one page" on. The draws
    are the same every time, so an answer does not depend on chance; a table of a few results does not pass. Python
    cannot stop a single call of compiled code, such as a product of large matrices: the attempt ends when it returns.

    Examples
    --------
    >>> @checker
    ... def area(attempt, rng):
    ...     r = rng.uniform(1, 3)
    ...     found = attempt(r)
    ...     expect(not close(found, 2 * np.pi * r), "this is the circumference of the disk, not its area")
    ...     expect(close(found, np.pi * r**2), "cut the disk into thin rings, and add up their areas")
    ...     expect(close(attempt(0.0), 0.0), "right, but not for a disk of radius 0", share=0.5)
    >>> area(lambda r: 2 * np.pi * r)
    not yet: this is the circumference of the disk, not its area
    >>> area(lambda r: np.pi * r**2)
    correct
    >>> area(lambda r: r / 0)
    not yet: your function stops with ZeroDivisionError: float division by zero (in line 1: area(lambda r: r / 0))
    >>> area(lambda r: np.pi * r**2 or 1.0, points=4)
    not yet: right, but not for a disk of radius 0
    2.0
    """
    drawn = len(signature(check).parameters) > 1

    @wraps(check)
    def run(attempt: Any, *, points: float | None = None, seed: int | None = None) -> Answer | float:
        draws = [np.random.default_rng((SEED if seed is None else seed, draw)) for draw in range(DRAWS)]
        if points is None:
            return _answer(check, attempt, draws if drawn else [])
        with redirect_stderr(StringIO()):
            answer = _answer(check, attempt, draws if drawn else [])
        if not answer.passed and not answer.share:
            raise NotYet(repr(answer))
        print(answer)
        return float(points if answer.passed else points * answer.share)

    # help() and editors then show what a checker takes and returns.
    shown = signature(check)
    given = [
        next(iter(shown.parameters.values())),
        Parameter("points", Parameter.KEYWORD_ONLY, default=None, annotation=float | None),
        Parameter("seed", Parameter.KEYWORD_ONLY, default=None, annotation=int | None),
    ]
    vars(run)["__signature__"] = shown.replace(parameters=given, return_annotation=Answer | float)
    return run  # type: ignore[return-value]


def _answer(check: Callable[..., None], attempt: Any, draws: list[np.random.Generator]) -> Answer:
    """Return the answer of a check on an attempt: of several draws, the one that leaves least right."""
    if not callable(attempt):  # an attempt elsewhere is
        return Answer(False, UNCALLED)

    def tried() -> Answer:
        least = Answer(True, share=1.0)
        for draw in [[rng] for rng in draws] or [[]]:
            answer = _on_one_draw(check, attempt, draw)
            if not answer.passed and answer.share < least.share:
                least = answer
            if not least.share:
                break
        return Answer(True) if least.passed else least

    if isinstance(attempt, Elsewhere):  # which keeps the time itself
        return tried()
    try:
        return within(LIMIT, tried)
    except TooLong as error:
        return Answer(False, too_long(error))


def too_long(error: TooLong | None = None) -> str:
    """Return the hint about an attempt that was stopped, with its line if that is known."""
    line = f" {described(error)}" if error else ""
    return f"your function is not ready after {LIMIT:g} seconds{line}".rstrip()


def _on_one_draw(check: Callable[..., None], attempt: Any, draw: list[np.random.Generator]) -> Answer:
    """Return the answer of a check on an attempt that is tried with the arguments of one draw."""

    def tried(*args: Any) -> Any:
        found, again = call(attempt, args), call(attempt, args)
        expect(
            np.array_equal(found, again, equal_nan=True) or close(again, found),
            "called again with the same arguments, your function returns something else: use nothing but the arguments",
        )
        return found

    reached(0.0)
    try:
        check(tried, *draw)
    except Hint as hint:
        return Answer(False, str(hint), max(hint.share, _progress.share))
    except (IndexError, TypeError, ValueError):  # a check that meets an array of an unexpected shape
        text = "the result does not have the shape that the docstring of the exercise states"
        return Answer(False, text, _progress.share)
    return Answer(True)
