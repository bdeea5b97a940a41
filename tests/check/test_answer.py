"""The machinery of the checkers: verdicts, hints and what happens to a function that fails."""

import inspect
import itertools
import sys
import threading
import time
from fractions import Fraction

import numpy as np
import pytest
import torch

from tokengeom_utils import check
from tokengeom_utils.check import answer as machinery
from tokengeom_utils.check.limit import TooLong, within


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
        (lambda x: 1 / 0, "not yet: your function stops with ZeroDivisionError: division by zero (in line "),
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
    assert inspect.signature(double).return_annotation == check.Answer | float


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
        (lambda x: x + undefined, "is not defined (in line 121: (lambda x: x + undefined"),  # noqa: F821
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


# --- errors with their line ---


def two_lines(x):
    y = x.mean(dim=0)
    return y


def helper(x):
    return x["no such"]


def by_a_helper(x):
    return helper(x)


def test_an_error_comes_with_the_line_of_the_student_even_in_a_helper_or_deep_in_a_library():
    first = two_lines.__code__.co_firstlineno
    assert f"(in line {first + 1}: y = x.mean(dim=0))" in doubles(two_lines).hint
    assert f'(in line {helper.__code__.co_firstlineno + 1}: return x["no such"])' in doubles(by_a_helper).hint
    assert "(in line" in doubles(lambda x: np.linalg.inv(x)).hint and "linalg.py" not in doubles(np.linalg.inv).hint


def test_an_array_of_the_wrong_kind_is_named():
    assert doubles(two_lines).hint.endswith("; here x is a numpy array of shape (3,)")
    assert "; here" not in doubles(by_a_helper).hint  # an IndexError has another cause

    @check.checker
    def total(attempt):
        """Check ``total(x)``: the sum of a tensor."""
        attempt(torch.ones(2, 3))

    hint = total(lambda cloud: cloud.astype(float)).hint
    assert "has no attribute 'astype'" in hint and hint.endswith("; here cloud is a torch tensor of shape (2, 3)")


def test_an_error_without_a_message_is_no_error_of_the_checker():
    class Odd(Exception):
        def __str__(self):
            raise ValueError

    def fails(x):
        raise Odd

    assert "Odd: (no message)" in doubles(fails).hint


# --- a time limit ---


def endless(x):
    while True:
        x = x + 0


def stubborn(x):
    while True:
        try:
            while True:
                pass
        except Exception:
            pass


@pytest.mark.parametrize("attempt", [endless, stubborn])
def test_an_endless_loop_is_stopped_and_named(attempt, monkeypatch):
    monkeypatch.setattr(machinery, "LIMIT", 0.3)
    started = time.monotonic()
    hint = doubles(attempt).hint
    assert hint.startswith("your function is not ready after 0.3 seconds (in line ")
    assert time.monotonic() - started < 30  # a busy machine
    assert doubles(lambda x: 2 * x).passed


def test_an_endless_loop_is_stopped_in_another_thread(monkeypatch):
    monkeypatch.setattr(machinery, "LIMIT", 0.3)
    found = []
    thread = threading.Thread(target=lambda: found.append(doubles(endless)))
    thread.start()
    thread.join(60)
    assert "not ready after 0.3 seconds" in found[0].hint


def test_no_error_arrives_after_the_end():
    """The time is up before, while, and after the code ends, in some of many tries."""
    interval, late = sys.getswitchinterval(), 0
    sys.setswitchinterval(1e-5)

    def count(length):
        for _ in range(length):
            pass

    try:
        for length in range(0, 60_000, 100):
            try:
                within(0.0003, lambda length=length: count(length))
            except TooLong:
                late += 1
        for _ in range(100):
            time.sleep(0.001)
    finally:
        sys.setswitchinterval(interval)
    assert 0 < late < 600


# --- points ---


@check.checker
def staged(attempt, rng):
    """Check ``staged(x)``: the root of a number, and 0 for a negative one."""
    x = rng.uniform(1, 9)
    check.expect(check.close(attempt(x), x**0.5, 1e-3), "take the root")
    check.expect(check.close(attempt(x), x**0.5), "nearly right: five digits", share=0.25)
    check.reached(0.5)
    check.expect(check.close(attempt(-x), 0), "right, but not for negative numbers")


@pytest.mark.parametrize(
    "attempt, points",
    [
        (lambda x: max(x, 0) ** 0.5, 8),
        (lambda x: abs(x) ** 0.5, 4),
        (lambda x: 1 / 0 if x < 0 else x**0.5, 4),
        (lambda x: "nothing" if x < 0 else x**0.5, 4),
        (lambda x: x**0.5 + 1e-4, 2),
        (lambda x: x**0.5 if x > 5 else 0, None),  # wrong in some draws
        (lambda x: x, None),
        (lambda x: 1 / 0, None),
        (lambda x: None, None),
        (3, None),
    ],
)
def test_points_go_with_what_is_right(attempt, points, capsys):
    answer = staged(attempt)
    if points is None:
        with pytest.raises(check.NotYet) as error:
            staged(attempt, points=8)
        assert str(error.value) == repr(answer) and error.value._render_traceback_() == [repr(answer)]
        assert not answer.passed and answer.share == 0
    else:
        assert staged(attempt, points=8) == points and isinstance(staged(attempt, points=8), float)
        assert capsys.readouterr().out == 2 * f"{answer}\n"


def test_the_draw_that_leaves_least_decides():
    """Of three draws, the main case is right in all and the special case in some."""
    lucky = itertools.cycle([True, True, False])  # two calls for each draw of one special case

    @check.checker
    def pair(attempt, rng):
        """Check ``pair(x)``."""
        check.reached(0.5)
        check.expect(next(lucky), "right, but not always")

    assert pair(lambda x: x).share == 0.5 and not pair(lambda x: x).passed


def test_another_seed_draws_other_inputs():
    seen = []
    for seed in (None, 7, 7, 8):
        assert doubles(lambda x: (seen.append(x.tolist()), 2 * x)[1], seed=seed).passed
    rounds = [tuple(map(tuple, seen[i : i + 6])) for i in range(0, 24, 6)]
    assert rounds[1] == rounds[2] and len({*rounds}) == 3


def test_what_goes_to_standard_error_stays_out_of_a_graded_cell(capsys):
    def tells(x):
        print("a warning", file=sys.stderr)
        return 2 * x

    assert doubles(tells, points=2) == 2 and capsys.readouterr().err == ""
    assert doubles(tells).passed and "a warning" in capsys.readouterr().err


@pytest.mark.parametrize("found, wanted", [(2.00001, 2), (np.array([1, 2]), [1, 2]), (torch.tensor(2.0), 2), (0, 0)])
def test_a_result_that_is_in_the_key_earns_its_points(found, wanted, capsys):
    assert check.value(found, wanted, points=3) == 3.0
    assert capsys.readouterr().out == "correct\n"


@pytest.mark.parametrize(
    "found, text",
    [
        (2.1, "another number"),
        ([2, 2], "the shape (2,), not ()"),
        (..., "in place of the dots"),
        (None, "but a NoneType"),
        (np.nan, "not defined"),
        (np.inf, "infinite"),
    ],
)
def test_another_result_earns_nothing(found, text):
    with pytest.raises(check.NotYet) as error:
        check.value(found, 2, points=3)
    assert text in str(error.value)


@pytest.mark.parametrize("found, text", [(2, "a number: it is"), ([2, 2], "an array of shape (2,): it is")])
def test_a_result_without_a_key_is_only_looked_at(found, text, capsys):
    assert check.value(found) is None
    assert text in capsys.readouterr().out


def test_a_misspelled_checker_is_named():
    with pytest.raises(AttributeError, match="there is no checker twonn: did you mean two_nn?"):
        _ = check.twonn
    with pytest.raises(AttributeError, match="there is no checker zzz$"):
        _ = check.zzz
