"""What is kept of the probabilities of all next tokens, against its definition in float64."""

import numpy as np
import pytest
import torch
from tokengeom_utils.models.predictions import TOP, Predictions, _largest


@pytest.mark.parametrize("vocabulary", [3, 7, 200, 448, 512, 513, 5000])
def test_equals_the_definitions(vocabulary):
    logits = torch.tensor(np.random.default_rng(vocabulary).normal(size=(11, vocabulary)) * 3, dtype=torch.float32)
    seen = Predictions()
    for chunk in logits.log_softmax(-1).split(4):
        seen.update(chunk)
    found = seen.each()
    p = -np.sort(-torch.softmax(logits.double(), -1).numpy())
    top = p[:, :TOP]
    np.testing.assert_allclose(found["entropy"], -(p * np.log(p)).sum(-1), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(found["top_mass"], top.sum(-1), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(found["top_entropy"], -(top * np.log(top)).sum(-1), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(found["top_width"], np.log(top[:, 0] / top[:, -1]), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("columns", [448, 449, 3000])
def test_the_largest_are_found_wherever_they_are(columns):
    """All in one run of columns, at the borders of runs, in the rest behind them, equal ones among them."""
    rows = torch.zeros(5, columns)
    rows[0, 64:71] = torch.arange(7.0) + 1
    rows[1, 63:447:64] = torch.arange(6.0) + 1
    rows[2, -3:] = torch.tensor([3.0, 1, 2])
    rows[3, ::9] = 1
    rows[4] = torch.tensor(np.random.default_rng(0).normal(size=columns))
    assert torch.equal(_largest(rows, 7), rows.topk(7).values)
