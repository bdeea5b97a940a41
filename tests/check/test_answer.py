"""The machinery of the checkers: verdicts, hints and what happens to a function that fails."""

import inspect
import itertools
from fractions import Fraction

import numpy as np
import pytest
import torch

from tokengeom_utils import check


@check.checker
def double(attempt):
    """Check ``double(x)``: twice a number."""
    found = attempt(3)
    check.expect(found != 9, "this is the square of the number, not its double")
    check.expect(check.close(found, 6), "add the number to itself")


@pytest.mark.parametrize(
    "attempt, answer",
    [
        (lambda x: 2 * x, "correct"),
        (lambda x: x**2, "not yet: this is the square of the number, not its double"),
        (lambda x: x, "not yet: add the number to itself"),
        (lambda x: [x, x], "not yet: the result does not have the shape that the docstring of the exercise states"),
        (lambda x: "six", "not yet: your function returns something that is no array of numbers, a str"),
        (lambda x: "6", "not yet: your function returns something that is no array of numbers, a str"),
        (lambda x: [6, [6]], "not yet: your function returns something that is no array of numbers, a list"),
        (lambda x: torch.tensor(6.0, requires_grad=True), "correct"),
        (lambda x: torch.tensor(6, dtype=torch.bfloat16), "correct"),
        (lambda x: Fraction(12, 2), "correct"),
        (lambda x: exit(), "not yet: your function stops with SystemExit: None"),
        (lambda x: 1 / 0, "not yet: your function stops with ZeroDivisionError: division by zero (in the line: "),
        (6, "not yet: pass the function itself"),
        (lambda: 6, "not yet: your function stops with TypeError: "),
        (lambda x: None, "not yet: <lambda> returns nothing: write its body and end it with a return statement"),
    ],
)
def test_a_checker_answers_and_never_raises(attempt, answer):
    assert repr(double(attempt)).startswith(answer)
    assert double(attempt).passed == (answer == "correct")


def test_a_stub_is_named_in_its_hint():
    def double_of(x): ...

    assert double(double_of).hint.startswith("double_of returns nothing")


def test_a_checker_keeps_its_name_and_shows_what_it_returns():
    assert double.__name__ == "double" and "twice a number" in double.__doc__
    assert inspect.signature(double).return_annotation is check.Answer


@pytest.mark.parametrize(
    "found, wanted, same",
    [
        (1 + 1e-8, 1, True),
        (1 + 1e-4, 1, False),
        (np.float32(1 / 3), 1 / 3, True),
        (torch.ones(2), np.ones(2), True),
        ([1, 1], 1, False),
        ([1], 1, False),
        ("1.0", 1, False),
        (["1.0"], [1], False),
        (1 + 0j, 1, False),
        (Fraction(1, 3), 1 / 3, True),
        ([torch.ones(2), np.ones(2)], [[1, 1], [1, 1]], True),
        ("one", 1, False),
        ([[1, 2], [3]], 1, False),
        (np.nan, np.nan, False),
        (None, 1, False),
    ],
)
def test_close_compares_values_and_shapes(found, wanted, same):
    assert check.close(found, wanted) is same


def test_an_interrupt_is_not_a_mistake():
    def interrupted(x):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        double(interrupted)


@check.checker
def doubles(attempt, rng):
    """Check ``doubles(x)``: twice each of an array of numbers."""
    x = rng.normal(size=3)
    check.expect(check.close(attempt(x), 2 * x), "add each number to itself")


CALLS = itertools.count(1)


def in_place(x):
    x *= 2
    return x


def test_a_check_that_draws_its_inputs_is_run_on_several_draws():
    seen = []
    assert doubles(lambda x: (seen.append(x.tolist()), 2 * x)[1]).passed
    assert len({tuple(x) for x in seen}) == 3
    before = [*seen]
    assert doubles(lambda x: (seen.append(x.tolist()), 2 * x)[1]).passed
    assert seen == before * 2  # the same draws every time
    assert not doubles(lambda x: {tuple(before[0]): 2 * x}.get(tuple(x), 0 * x)).passed


@pytest.mark.parametrize(
    "attempt, hint",
    [
        (in_place, "changes its argument number 1"),
        (lambda x: x * next(CALLS), "called again"),
        (lambda x: x * np.random.default_rng().uniform(), "called again"),
        (lambda x: x + undefined, "NameError: name 'undefined' is not defined (in the line: (lambda x: x + undefined"),  # noqa: F821
    ],
)
def test_side_effects_and_errors_are_named(attempt, hint):
    assert hint in doubles(attempt).hint


def test_a_result_of_another_shape_is_no_error_of_the_function():
    @check.checker
    def first(attempt):
        """Check ``first(x)``: the first of three."""
        check.expect(attempt(3)[2] == 1, "return three numbers")

    assert first(lambda x: 1.0).hint == first(lambda x: [1]).hint
    assert "shape" in first(lambda x: 1.0).hint
