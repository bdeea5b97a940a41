"""Numbers of each student's own: different, reproducible, and with a result that the solution computes."""

import dataclasses
import random

import numpy as np
import pytest
from conftest import PROJECT

from tokengeom_utils import check
from tokengeom_utils.classes import numbers
from tokengeom_utils.classes.exercises import read_exercises
from tokengeom_utils.classes.key import ATOL
from tokengeom_utils.classes.sheet import SETUP
from tokengeom_utils.errors import BuildError

CODED = {exercise.id: exercise for exercise in read_exercises(PROJECT) if exercise.own}


def draws(exercise, seed, students=30):
    taken = set()
    return [numbers.drawn(exercise, f"student-{i}", seed, taken) for i in range(students)]


@pytest.mark.parametrize("label", CODED)
def test_thirty_students_have_different_numbers_and_most_have_different_results(label):
    exercise = CODED[label]
    mine = draws(exercise, 1)
    assert len({tuple(one.values()) for one in mine}) == 30
    assert all(one[name] in exercise.own.draw[name] for one in mine for name in one)
    assert mine == draws(exercise, 1) and mine != draws(exercise, 2)
    results = [numbers.result(exercise, one) for one in mine[:8]]
    assert len(set(map(str, results))) >= 6
    shapes = {np.shape(one) for one in results}
    assert len(shapes) == 1 and np.prod(shapes.pop()) <= 12
    assert all(np.abs(one).max() > 100 * ATOL for one in results)  # else a wrong result could be close enough


def test_numbers_run_out_before_students_do():
    few = dataclasses.replace(CODED["ex-percentile-rank"].own, draw={"prompt": [1, 2]})
    exercise = dataclasses.replace(CODED["ex-percentile-rank"], own=few)
    assert len(draws(exercise, 1, 5)) == 5


@pytest.mark.parametrize("label", CODED)
def test_the_numbers_stand_in_the_first_line_of_the_code(label):
    own = CODED[label].own
    (mine,) = draws(CODED[label], 3, 1)
    code = numbers.given_code(own, mine)
    assert code.splitlines()[0] == f"{', '.join(mine)} = {', '.join(map(str, mine.values()))}"
    assert code.endswith(own.given) and code == code.strip()


def test_a_hidden_seed_is_one_at_which_the_solution_passes():
    exercise, draws = CODED["ex-log-frequency"], random.Random("a")
    seeds = [numbers.hidden_seed(exercise, draws) for _ in range(5)]
    names = {}
    exec(f"{SETUP}\n{exercise.answer}", names)
    assert len(set(seeds)) == 5
    assert all(check.mean_log_frequency(names[exercise.function], seed=seed).passed for seed in seeds)
    with pytest.raises(BuildError, match="ex-log-frequency: its solution does not pass: mean_log_frequency returns"):
        numbers.hidden_seed(dataclasses.replace(exercise, answer=exercise.stub), draws)


@pytest.mark.parametrize(
    "wanted, words", [("1 / 0", "stops at"), ("np.nan", "no finite numbers"), ("'one'", "no finite numbers")]
)
def test_a_solution_that_fails_stops_the_handout(wanted, words):
    exercise = CODED["ex-two-nn"]
    broken = dataclasses.replace(exercise, own=dataclasses.replace(exercise.own, wanted=wanted))
    with pytest.raises(BuildError, match=f"ex-two-nn: .*{words}"):
        numbers.result(broken, draws(exercise, 1, 1)[0])
