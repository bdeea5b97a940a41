"""Entropies of the two models of logits against random draws, quadrature, and limits."""

import numpy as np
import pytest
import scipy.integrate
from hypothesis import given
from hypothesis import strategies as st

from tokengeom_utils.theory.logits import box_deficit, box_entropy, dirichlet_entropy, softmax_entropy


@pytest.mark.parametrize("shift", [0.0, 1e4, -1e4])
def test_softmax_entropy_agrees_with_its_definition(shift):
    z = np.random.default_rng(0).normal(0, 3, (2, 5, 9))
    p = np.exp(z) / np.exp(z).sum(-1, keepdims=True)
    np.testing.assert_allclose(softmax_entropy(z + shift), -(p * np.log(p)).sum(-1), rtol=1e-9)


def test_softmax_entropy_at_its_limits():
    assert softmax_entropy(np.zeros(8)) == pytest.approx(np.log(8))
    assert softmax_entropy([0, -1e5]) == 0


@pytest.mark.parametrize("n", [2, 3, 7, 40])
def test_dirichlet_entropy_agrees_with_random_draws(n):
    rng = np.random.default_rng(n)
    p = rng.dirichlet(np.ones(n), 20000)
    entropy = -(p * np.log(np.maximum(p, 1e-300))).sum(-1)
    error = entropy.std() / np.sqrt(len(entropy))
    assert abs(entropy.mean() - dirichlet_entropy(n)) < 4 * error
    same = softmax_entropy(np.log(rng.exponential(size=(20000, n))))  # the logits whose softmax has this law
    assert abs(same.mean() - dirichlet_entropy(n)) < 4 * error


def test_dirichlet_entropy_is_a_harmonic_sum():
    wanted = [sum(1 / k for k in range(2, n + 1)) for n in range(1, 30)]
    np.testing.assert_allclose(dirichlet_entropy(np.arange(1, 30)), wanted, rtol=1e-12, atol=1e-14)
    assert dirichlet_entropy(1e6) == pytest.approx(np.log(1e6) + np.euler_gamma - 1, abs=1e-5)


@pytest.mark.parametrize("width", [0.3, 2.0, 5.0, 12.0])
def test_box_deficit_is_the_divergence_of_the_tilted_law(width):
    total = np.expm1(width) / width  # of e^z under the uniform law
    integral = scipy.integrate.quad(lambda z: np.exp(z) / total / width * (z - np.log(total)), 0, width)[0]
    assert box_deficit(width) == pytest.approx(integral, rel=1e-9)


@pytest.mark.parametrize("width", [1.0, 5.0, 10.0])
def test_box_entropy_agrees_with_random_draws(width):
    z = np.random.default_rng(3).uniform(0, width, (400, 4000))
    assert softmax_entropy(z).mean() == pytest.approx(box_entropy(4000, width), abs=3e-3)


def test_box_deficit_at_its_limits_and_where_the_series_takes_over():
    assert box_deficit(0) == 0
    assert box_deficit(0.01) == pytest.approx(0.01**2 / 24, rel=1e-4)
    assert box_deficit(1e5) == pytest.approx(np.log(1e5) - 1, rel=1e-6)
    below, above = box_deficit(0.05 * (1 - 1e-9)), box_deficit(0.05 * (1 + 1e-9))
    assert above == pytest.approx(below, rel=1e-7)


@given(st.floats(0, 1e3), st.floats(1e-3, 10))
def test_entropy_falls_with_the_width_of_the_box(width, more):
    assert box_entropy(50, width + more) < box_entropy(50, width)


@given(st.integers(0, 2**31), st.floats(0, 30), st.floats(0.01, 10))
def test_stretching_any_logits_lowers_their_entropy(seed, width, more):
    u = np.random.default_rng(seed).random(12)
    assert softmax_entropy((width + more) * u) <= softmax_entropy(width * u) + 1e-12
