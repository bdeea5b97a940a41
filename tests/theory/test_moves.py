"""Moves in place of a layer's own, and the counterexamples that the chapters rest on."""

import numpy as np
import pytest
import torch

import tokengeom_utils as tg
from tokengeom_utils.theory import meanfield as mf
from tokengeom_utils.theory.statistics import partial_correlation, pearson


@pytest.fixture
def cloud():
    return 5 * mf.uniform_tokens(12, 6, seed=1) + 1


@pytest.fixture
def moves():
    return mf.uniform_tokens(12, 6, seed=2) + 0.3


def test_dealt_moves_are_the_same_moves_at_other_tokens(moves):
    dealt = mf.dealt_moves(moves, draws=3, seed=4)
    assert dealt.shape == (3, 12, 6)
    for deal in dealt:
        assert sorted(map(tuple, deal.tolist())) == sorted(map(tuple, moves.tolist()))
        assert not torch.equal(deal, moves)
    assert not torch.equal(dealt[0], dealt[1])
    assert torch.equal(dealt, mf.dealt_moves(moves, draws=3, seed=4))


def test_a_common_push_is_as_long_as_the_mean_move_and_points_anywhere(moves):
    pushes = mf.common_push(moves, draws=2000)
    assert pushes.shape == (2000, 1, 6)
    torch.testing.assert_close(pushes.norm(dim=-1), moves.mean(0).norm().expand(2000, 1))
    cosines = torch.cosine_similarity(pushes[:, 0], moves.mean(0)[None])
    assert abs(cosines.mean()) < 0.05 and float(cosines.var()) == pytest.approx(1 / 6, abs=0.03)


def test_random_moves_keep_the_lengths_and_share_no_direction(moves):
    drawn = mf.random_moves(moves, draws=2000)
    torch.testing.assert_close(drawn.norm(dim=-1), moves.norm(dim=-1).expand(2000, 12))
    assert drawn.mean(0).abs().max() < 0.05
    assert abs(torch.cosine_similarity(drawn[:, 0], drawn[:, 1]).mean()) < 0.05


def test_theory_moves_turn_each_token_as_far_as_its_own_move(cloud, moves):
    theory = mf.theory_moves(cloud, moves)

    def angles(some):
        return torch.cosine_similarity(cloud + some, cloud)

    torch.testing.assert_close(angles(theory)[1:], angles(moves)[1:])
    torch.testing.assert_close((cloud + theory).norm(dim=-1)[1:], (cloud + moves).norm(dim=-1)[1:])
    x = mf.to_sphere(cloud)
    turned = theory - (theory * x).sum(-1, keepdim=True) * x
    speed = mf.velocity(x, 1.0, causal=True)
    torch.testing.assert_close(torch.cosine_similarity(turned, speed)[1:], torch.ones(11, dtype=torch.float64))
    assert turned[0].norm() < 1e-12  # a mask holds the first token


def test_a_push_along_the_mean_raises_the_energy_and_one_against_it_lowers_it(cloud):
    center = mf.to_sphere(cloud).mean(0)
    along, against = (mf.effective_groups(cloud + sign * center, 4.0) for sign in (1, -1))
    assert along < mf.effective_groups(cloud, 4.0) < against


def test_a_random_common_push_raises_the_energy_of_scattered_tokens():
    cloud = 10 * mf.uniform_tokens(40, 64, batch=(20,), seed=3)
    pushes = torch.stack([mf.common_push(torch.full((40, 64), 1.0), seed=seed) for seed in range(20)])
    assert (mf.effective_groups(cloud + pushes, 4.0) < mf.effective_groups(cloud, 4.0)).all()


@pytest.mark.parametrize("beta, other", [(1.0, 4.0), (1.0, 16.0)])
def test_the_energy_can_fall_at_another_beta_than_that_of_the_dynamics(beta, other):
    path = simulate_two_caps(beta)
    at_own, at_other = (mf.effective_groups(path, b) for b in (beta, other))
    assert at_own.diff().max() < 1e-12  # proved
    assert at_other.max() > at_other[0] + 1e-4  # the number of groups rises, so the energy falls
    assert at_other[-1] < at_other[0]  # for a while


def simulate_two_caps(beta, times=(0, 0.5, 1, 2, 3, 4, 6, 8, 12)):
    """92 tokens at a pole and 8 in a tight cap on the other side."""
    start = torch.zeros(100, 3, dtype=torch.float64)
    start[:92, 2] = 1.0
    start[92:, 2] = -1.0
    angle = torch.arange(8) * torch.pi / 4
    start[92:, :2] = 0.3 * torch.stack([angle.cos(), angle.sin()], -1) + torch.tensor([0.02, 0.0])
    return mf.simulate(start, beta, times)


def test_a_chain_can_correlate_more_at_a_distance_than_nearby():
    x, noise, error = np.random.default_rng(0).normal(size=(3, 100_000))
    middle = x**3
    end = np.cbrt(middle) + 0.3 * noise  # depends on the middle alone
    assert pearson(x, end) > 0.95 > 0.8 > pearson(middle, end)
    end = x + 0.3 * noise
    assert pearson(x, end) > 0.95 > 0.85 > pearson(x + 0.6 * error, end)
    middle = x + 0.5 * error  # linear, and seen as it is: now it cannot happen
    end = middle + 0.3 * noise
    assert abs(partial_correlation(x, end, middle)) < 0.01
    assert pearson(x, end) < pearson(middle, end)


def test_the_best_scale_of_the_logits_makes_entropy_equal_to_loss():
    rng = np.random.default_rng(0)
    law, logits = rng.dirichlet(np.full(20, 0.3), 500), rng.normal(size=(500, 20))
    logits += 0.3 * np.log(law + 1e-3)

    def loss(scale):
        z = scale * logits
        return -(law * (z - np.log(np.exp(z).sum(1, keepdims=True)))).sum(1).mean()

    scales = np.linspace(0.01, 2, 2000)
    best = scales[np.argmin([loss(scale) for scale in scales])]
    assert loss(best) == pytest.approx(tg.logits.softmax_entropy(best * logits).mean(), abs=2e-3)
    assert abs(loss(1.0) - tg.logits.softmax_entropy(logits).mean()) > 0.1
