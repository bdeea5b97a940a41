"""Sums that round the same wherever the values lie."""

import math
import random

import numpy as np
import pytest
import torch

from tokengeom_utils.models.predictions import Predictions
from tokengeom_utils.models.sums import fold, mean


@pytest.mark.parametrize("n", [1, 2, 7, 8, 1023])
def test_the_sum_is_that_of_exact_arithmetic_up_to_rounding(n):
    values = np.random.default_rng(n).lognormal(sigma=3, size=(4, n))
    found = fold(torch.tensor(values))
    assert found.tolist() == pytest.approx([math.fsum(row) for row in values], rel=1e-15)
    assert torch.equal(mean(torch.tensor(values)), found / n)


def by_halves(row):
    """The order of the additions, in Python's own arithmetic."""
    if len(row) == 1:
        return row[0]
    middle = len(row) // 2
    return by_halves([a + b for a, b in zip(row[:middle], row[middle:], strict=True)])


@pytest.mark.parametrize("n", [3, 7, 100, 1023])
def test_the_order_of_the_additions_is_fixed(n):
    values = np.random.default_rng(n).lognormal(sigma=3, size=(20, n))
    width = 1 << (n - 1).bit_length()
    assert fold(torch.tensor(values)).tolist() == [by_halves([*row, *[0.0] * (width - n)]) for row in values.tolist()]


def test_the_sum_does_not_depend_on_where_the_values_lie():
    """Rows at every offset from the borders of a vector register, in tables of any shape, contiguous or not."""
    row = torch.tensor(np.random.default_rng(0).lognormal(sigma=3, size=1023))
    alone = fold(row)
    for offset in range(9):
        memory = torch.zeros(offset + 3 * 1023, dtype=torch.float64)
        table = memory[offset:].reshape(3, 1023)
        table[:] = row
        assert torch.equal(fold(table), alone.expand(3))
        assert torch.equal(fold(table.T.contiguous().T), alone.expand(3))


def test_summaries_do_not_depend_on_the_place_of_a_prompt():
    log_p = torch.randn(5, 61, 203, generator=torch.Generator().manual_seed(0)).log_softmax(-1)
    alone = [summaries([prompt]) for prompt in log_p]
    for seed in range(5):
        order = random.Random(seed).sample(range(5), 5)
        found = summaries([log_p[i] for i in order])
        for name, values in found.items():
            assert values.tolist() == [alone[i][name].item() for i in order], name


def summaries(prompts):
    predictions = Predictions()
    for prompt in prompts:
        predictions.update(prompt.clone())
    return predictions.compute(len(prompts))
