"""Numbers of each student's own, of equal difficulty, and the results that follow from them."""

import random
from collections.abc import Mapping
from typing import Any

import numpy as np

from .. import check
from ..check.attempt import as_numbers
from ..errors import BuildError
from .exercises import Exercise, Own
from .sheet import SETUP

#: How often numbers and seeds are drawn before none is left.
TRIES = 1000


def drawn(exercise: Exercise, student: str, seed: int, taken: set[tuple[int, ...]]) -> dict[str, int]:
    """Draw the numbers of a student for an exercise.

    Parameters
    ----------
    exercise : Exercise
    student : str
        The id.
    seed : int
        Of the whole handout.
    taken : set of tuple
        Numbers of other students, which are avoided as long as there are others; the new ones are added.

    Returns
    -------
    dict of str to int
    """
    assert exercise.own
    rng = random.Random(f"{seed}/{exercise.id}/{student}")
    for _ in range(TRIES):
        numbers = {name: rng.choice(choices) for name, choices in exercise.own.draw.items()}
        if tuple(numbers.values()) not in taken:
            break
    taken.add(tuple(numbers.values()))
    return numbers


def hidden_seed(exercise: Exercise, draws: random.Random) -> int:
    """Draw a seed for the draws that students do not see, at which the solution of the chapter is right.

    For a few seeds in a thousand, a common mistake gives the right result by chance, and the checker rejects both.

    Parameters
    ----------
    exercise : Exercise
    draws : random.Random

    Returns
    -------
    int

    Raises
    ------
    BuildError
        If the solution is right at no seed.
    """
    names: dict[str, Any] = {}
    exec(f"{SETUP}\n{exercise.answer}", names)
    for _ in range(TRIES):
        seed = draws.randrange(2**31)
        answer = getattr(check, exercise.checker)(names[exercise.function], seed=seed)
        if answer.passed:
            return seed
    raise BuildError(f"{exercise.id}: its solution does not pass: {answer.hint}")


def given_code(own: Own, numbers: Mapping[str, int]) -> str:
    """Return the code that makes the input of an exercise, with the numbers of a student in its first line."""
    return f"{', '.join(numbers)} = {', '.join(map(str, numbers.values()))}\n{own.given}".rstrip()


def result(exercise: Exercise, numbers: Mapping[str, int]) -> Any:
    """Compute what the solution of the chapter makes of a student's numbers.

    Parameters
    ----------
    exercise : Exercise
    numbers : dict of str to int

    Returns
    -------
    float or nested list of float

    Raises
    ------
    BuildError
        If the solution fails, or gives no finite numbers.
    """
    assert exercise.own
    names: dict[str, Any] = {}
    try:
        for code in (SETUP, exercise.answer, given_code(exercise.own, numbers)):
            exec(code, names)
        found = as_numbers(eval(exercise.own.wanted, names))
    except Exception as error:
        raise BuildError(f"{exercise.id}: its solution stops at {dict(numbers)}: {error!r}") from error
    if found is None or not np.isfinite(found).all():
        raise BuildError(f"{exercise.id}: its solution gives no finite numbers at {dict(numbers)}")
    return found.tolist()
