"""The machinery of the checkers: verdicts, hints and what happens to a function that fails."""

import inspect

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
        (lambda x: [x, x], "not yet: add the number to itself"),
        (lambda x: "six", "not yet: add the number to itself"),
        (lambda x: 1 / 0, "not yet: your function stops with ZeroDivisionError: division by zero"),
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
        (1 + 1e-5, 1, False),
        (torch.ones(2), np.ones(2), True),
        ([1, 1], 1, False),
        ([1], 1, False),
        ("1.0", 1, True),
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
