"""Summaries of the next-token distribution, against their definitions in float64."""

import numpy as np
import pytest
import torch

from tokengeom_utils.models.predictions import TOP, Predictions, _largest


@pytest.mark.parametrize("vocabulary", [3, 7, 200, 448, 512, 513, 5000])
def test_the_summaries_equal_their_definitions(vocabulary):
    logits = torch.tensor(np.random.default_rng(vocabulary).normal(size=(11, vocabulary)) * 3, dtype=torch.float32)
    predictions = Predictions()
    for chunk in logits.log_softmax(-1).split(4):
        predictions.update(chunk)
    found = predictions.each()
    p = -np.sort(-torch.softmax(logits.double(), -1).numpy())
    top = p[:, :TOP]
    np.testing.assert_allclose(found["entropy"], -(p * np.log(p)).sum(-1), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(found["top_mass"], top.sum(-1), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(found["top_entropy"], -(top * np.log(top)).sum(-1), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(found["top_width"], np.log(top[:, 0] / top[:, -1]), rtol=1e-5, atol=1e-5)


def test_the_means_are_taken_per_prompt():
    log_p = torch.randn(12, 50, generator=torch.Generator().manual_seed(0)).log_softmax(-1)
    predictions, single = Predictions(), Predictions()
    for chunk in log_p.split(5):  # a chunk may hold the end of one prompt and the beginning of the next
        predictions.update(chunk)
    single.update(log_p[4:8])
    found, alone = predictions.compute(n_prompts=3), single.compute()
    for name, value in found.items():
        assert value.shape == (3,) and value.dtype == torch.float64 and alone[name].shape == ()
        torch.testing.assert_close(value[1], alone[name])
        torch.testing.assert_close(value.mean(), predictions.compute()[name])


@pytest.mark.parametrize("columns", [448, 449, 3000])
def test_the_largest_entries_are_found_anywhere_in_a_row(columns):
    """In one run of columns, at the borders of runs, in the columns after the last run, with equal values."""
    rows = torch.zeros(5, columns)
    rows[0, 64:71] = torch.arange(7.0) + 1
    rows[1, 63:447:64] = torch.arange(6.0) + 1
    rows[2, -3:] = torch.tensor([3.0, 1, 2])
    rows[3, ::9] = 1
    rows[4] = torch.tensor(np.random.default_rng(0).normal(size=columns))
    assert torch.equal(_largest(rows, 7), rows.topk(7).values)
