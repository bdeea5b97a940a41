"""Every checker, attacked with the solution of its exercise: altered so that it is wrong, and in other right forms.

Each function below makes another attempt from the solution. The files ``test_check_*`` hold the mistakes and the other
solutions that belong to one exercise.
"""

import copy
import itertools

import numpy as np
import pytest
import torch
from test_exercises import CALL, CODING, run

from tokengeom_utils import check


def solved(chapter, label, exercise, solution):
    """Return the name of an exercise's checker and the function of its solution."""
    call = exercise["code"][0].strip().split("\n")[-1]
    names, _ = run(f"{solution['code'][0]}\n{call}")
    return CALL.search(call)[1], names[call.split("(")[1].rstrip(")")]


SOLVED = dict(solved(*pair.values) for pair in CODING)
#: (checker, alteration) that leaves a solution right: another shift, or no array to spoil
STILL_RIGHT = {("align", "half off"), ("align", "minus one minus it")} | {
    (name, "spoils its input")
    for name in [
        "cosine_speed",
        "hemisphere",
        "fastest_wave",
        "chance_overlap",
        "fisher_interval",
        "box_entropy",
        "untrained_loss",
        "enough_workers",
        "is_whole",
        "kinds_needed",
    ]
}
#: (checker, alteration) that passes because the inputs of the checker are not drawn
FIXED: set[tuple[str, str]] = set()
#: (checker, alteration) that is nearly right, and earns a part of the points
PARTIAL = {("gride_one_scale", "one percent off")}
#: whose network has its own precision
DOUBLE = {("block_inputs", "computed in float32")}


def numbers(value):
    """Return a result as an array, or as a number."""
    if isinstance(value, list | tuple):
        return np.array([numbers(part) for part in value])
    return np.asarray(value.detach() if torch.is_tensor(value) else value, float)[()]


def returning(value):
    return lambda solution: lambda *given: value


def altered(change):
    return lambda solution: lambda *given: change(numbers(solution(*given)))


def first_argument(solution):
    return lambda *given: copy.deepcopy(given[0])


def pieces(solution):
    return lambda *given: (part for part in given)


def stops(solution):
    return lambda *given: [][len(given)]


def leaves(solution):
    return lambda *given: exit(0)


def remembers_the_first(solution):
    kept = []
    return lambda *given: (kept.append(solution(*given)) or kept[0]) if not kept else kept[0]


def right_at_first(solution):
    calls = itertools.count()
    return lambda *given: solution(*given) if next(calls) < 2 else 0 * numbers(solution(*given))


def differs_when_called_again(solution):
    calls = itertools.count(1)
    return lambda *given: numbers(solution(*given)) * (next(calls) % 2)


def spoils_its_input(solution):
    def attempt(*given):
        found = copy.deepcopy(solution(*given))
        for value in given:
            if isinstance(value, list):
                value.append(1)
            elif isinstance(value, np.ndarray | torch.Tensor):
                value[...] = value[:1]
        return found

    return attempt


class Equal:
    """Compares as equal to everything, and as larger and smaller."""

    __eq__ = __ge__ = __le__ = __lt__ = __gt__ = lambda self, other: True
    __hash__ = None


WRONG = {
    "none": returning(None),
    "zero": returning(0),
    "one": returning(1.0),
    "true": returning(True),
    "false": returning(False),
    "empty": returning([]),
    "ragged": returning([[1.0], [1.0, 2.0]]),
    "equal to everything": returning(Equal()),
    "the first argument": first_argument,
    "pieces": pieces,
    "in words": altered(lambda found: str(found.tolist())),
    "in words, one by one": altered(lambda found: np.vectorize(str)(found).tolist()),
    "one axis more": altered(lambda found: [found]),
    "one entry more": altered(lambda found: np.append(found, 0.5)),
    "complex": altered(lambda found: found + 0j),
    "not a number": altered(lambda found: found * np.nan),
    "minus one minus it": altered(lambda found: -1 - found),
    "one percent off": altered(lambda found: found * 1.01),
    "half off": altered(lambda found: found + 0.5),
    "stops": stops,
    "leaves": leaves,
    "remembers the first": remembers_the_first,
    "right at first": right_at_first,
    "differs when called again": differs_when_called_again,
    "spoils its input": spoils_its_input,
}


def in_float32(solution):
    """Compute with inputs of half the digits."""

    def half(value):
        if torch.is_tensor(value):
            return value.float() if value.is_floating_point() else value
        return value.astype(np.float32) if isinstance(value, np.ndarray) and value.dtype == float else value

    return lambda *given: solution(*map(half, given))


RIGHT = {
    "a list": altered(lambda found: found.tolist()),
    "a tuple": altered(lambda found: tuple(found.tolist()) if np.ndim(found) else found.item()),
    "a tensor": altered(torch.tensor),
    "a tensor with a gradient": altered(lambda found: torch.tensor(found).requires_grad_()),
    "float32": altered(np.float32),
    "an array of objects": altered(lambda found: np.asarray(found).astype(object)),
    "computed in float32": in_float32,
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", SOLVED)
def test_no_alteration_of_a_solution_passes(name):
    tried = {kind: getattr(check, name)(alter(SOLVED[name])) for kind, alter in WRONG.items()}
    excused = {kind for checker, kind in STILL_RIGHT | FIXED if checker == name}
    assert not {kind for kind, answer in tried.items() if answer.passed} - excused
    assert {(name, kind) for kind, answer in tried.items() if answer.share} == {
        (checker, kind) for checker, kind in PARTIAL if checker == name
    }
    assert all(len(answer.hint) > 20 for answer in tried.values() if not answer.passed)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", SOLVED)
def test_a_solution_in_another_form_passes(name):
    tried = {
        kind: getattr(check, name)(form(SOLVED[name])) for kind, form in RIGHT.items() if (name, kind) not in DOUBLE
    }
    assert not {kind: answer for kind, answer in tried.items() if not answer.passed}


@pytest.mark.parametrize(
    "kind, hint",
    [
        ("none", "returns nothing"),
        ("ragged", "no array of numbers, a list"),
        ("in words", "no array of numbers, a str"),
        ("one axis more", "return a single number: your function returns an array of shape (1,)"),
        ("stops", "stops with IndexError: list index out of range (in line "),
        ("leaves", "stops with SystemExit: 0"),
        ("differs when called again", "called again with the same arguments"),
        ("spoils its input", "changes its argument number 1"),
    ],
)
def test_what_no_answer_may_do_is_named(kind, hint):
    assert hint in check.two_nn(WRONG[kind](SOLVED["two_nn"])).hint


def test_a_result_in_place_of_the_function_is_named():
    assert "pass the function itself" in check.two_nn(2.0).hint
