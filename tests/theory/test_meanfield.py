"""The particle picture: proven statements, published numbers, and symmetries."""

import numpy as np
import pytest
import torch
from scipy.optimize import linprog
from scipy.special import iv

import tokengeom_utils as tg
from tokengeom_utils.theory.meanfield import (
    clustering_time,
    cosine_ode,
    cosine_speed,
    count_clusters,
    effective_groups,
    hemisphere_margin,
    hemisphere_probability,
    interaction_energy,
    simulate,
    to_sphere,
    uniform_tokens,
    velocity,
    wave_rate,
)

KINDS = ("SA", "USA")


def common_cosine(tokens):
    return tg.mean_cosine_similarity(tokens, include_self=False).numpy()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("method", ["rk4", "euler"])
def test_tokens_stay_on_the_sphere(kind, causal, method):
    path = simulate(uniform_tokens(10, 4), 2.0, np.linspace(0, 3, 7), kind, causal, 0.1, method)
    assert path.shape == (7, 10, 4)
    torch.testing.assert_close(path.norm(dim=-1), torch.ones(7, 10, dtype=torch.float64))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("causal", [False, True])
def test_velocity_is_tangent_and_scales_as_defined(kind, causal):
    x, beta = uniform_tokens(6, 3, seed=3), 1.7
    speed = velocity(x, beta, kind, causal)
    torch.testing.assert_close((speed * x).sum(-1), torch.zeros(6, dtype=torch.float64))
    i = 4
    seen = x[: i + 1] if causal else x
    weight = (beta * seen @ x[i]).exp()
    pull = (weight[:, None] * seen).sum(0) / (weight.sum() if kind == "SA" else len(seen))
    torch.testing.assert_close(speed[i], pull - (pull @ x[i]) * x[i])


@pytest.mark.parametrize("kind, beta, dt", [("SA", 0.5, 0.1), ("SA", 9.0, 0.1), ("USA", 4.0, 0.005)])
def test_energy_never_decreases(kind, beta, dt):
    path = simulate(uniform_tokens(24, 3, batch=(4,)), beta, np.linspace(0, 40 * dt, 41), kind, dt=dt)
    energy = interaction_energy(path, beta)
    rise = energy.diff(dim=-1) / energy[..., 1:]
    assert rise.min() > -1e-12 and rise.max() > 1e-6


def test_energy_grows_at_the_theoretical_rate():
    x, beta, h = uniform_tokens(12, 4, seed=1), 3.0, 1e-4
    ahead = simulate(x, beta, [0, h])
    rate = interaction_energy(ahead, beta).diff() / h
    z = (beta * x @ x.T).exp().mean(-1)
    torch.testing.assert_close(rate[0], (velocity(x, beta).square().sum(-1) * z).mean(), rtol=1e-3, atol=0)


def test_energy_is_largest_for_a_single_point():
    beta = torch.tensor([0.5, 4.0])
    point = interaction_energy(torch.ones(5, 3), beta)
    torch.testing.assert_close(point, beta.double().exp() / (2 * beta.double()))
    assert (interaction_energy(uniform_tokens(5, 3), beta) < point).all()


def test_clustering_times_agree_with_published_ones():
    sa = clustering_time(32, [1, 4, 6, 9, 12], "SA")
    usa = clustering_time(32, [1, 4, 9], "USA")
    np.testing.assert_allclose(sa, [5.3, 6.9, 16, 179, 2952], rtol=0.01)
    np.testing.assert_allclose(usa, [2.9, 1.1, 0.69], rtol=0.03)
    assert (np.diff(sa) > 0).all() and (np.diff(usa) < 0).all()


@pytest.mark.parametrize("kind", KINDS)
def test_clustering_time_agrees_with_the_cosine_curve(kind):
    beta = np.array([0.5, 3.0])
    times = clustering_time(20, beta, kind, level=0.9)
    for b, t in zip(beta, times, strict=True):
        assert cosine_ode([0, t], 20, b, kind)[1] == pytest.approx(0.9, abs=1e-7)
    assert cosine_ode([0.0, 1.0], 20, beta, kind).shape == (2, 2)
    assert cosine_ode([0.0], 20, 3.0, kind, start=0.4)[0] == pytest.approx(0.4)
    assert cosine_speed(1.0, 20, beta, kind).tolist() == [0, 0]


@pytest.mark.parametrize("kind, beta, dt", [("SA", 1.0, 0.1), ("SA", 6.0, 0.1), ("USA", 4.0, 0.005)])
def test_orthogonal_start_follows_the_ode_exactly(kind, beta, dt):
    times = np.linspace(0, clustering_time(16, beta, kind, level=0.99), 9)
    path = simulate(torch.eye(16), beta, times, kind, dt=dt)
    np.testing.assert_allclose(common_cosine(path), cosine_ode(times, 16, beta, kind), atol=2e-5)
    cosines = path @ path.mT  # and all pairs share one cosine
    assert (cosines[:, 0, 1:] - cosines[:, 0, 1:2]).abs().max() < 1e-10


def test_the_cosine_equation_at_known_times():
    np.testing.assert_allclose(cosine_ode([2, 4, 6], 32, 4.0), [0.118, 0.739, 0.993], atol=0.001)


def test_all_pairs_of_random_starts_follow_the_ode_the_better_the_larger_d():
    times = np.linspace(0, 10, 21)
    theory, pairs = torch.from_numpy(cosine_ode(times, 32, 4.0))[:, None], ~torch.eye(32, dtype=torch.bool)
    worst = []  # pair and time of a start, in the median over 24 starts
    for d in (64, 256, 1024):
        start = torch.linalg.qr(uniform_tokens(32, d, batch=(24,)).mT)[1].mT  # their cosines, in 32 dimensions
        path = simulate(start, 4.0, times, dt=0.25)
        worst.append(float(((path @ path.mT)[..., pairs] - theory).abs().amax((-1, -2)).median()))
    # The theorem's bound falls like sqrt(ln d / d), by factors of 1.73 and 1.79; in seven seeds: 1.83 to 2.16.
    assert worst[0] > 1.6 * worst[1] > 1.6**2 * worst[2]
    assert worst[2] < 0.2


def test_euler_converges_to_rk4():
    start, times = uniform_tokens(8, 3), [1.0]
    exact = simulate(start, 2.0, times, dt=0.01)
    errors = [(simulate(start, 2.0, times, dt=dt, method="euler") - exact).norm() for dt in (0.1, 0.05)]
    assert 1.7 < errors[0] / errors[1] < 2.4  # first order
    coarse = [(simulate(start, 2.0, times, dt=dt) - exact).norm() for dt in (0.2, 0.1)]
    assert coarse[0] / coarse[1] > 12  # fourth order


@pytest.mark.parametrize("causal", [False, True])
def test_token_order_matters_only_with_a_mask(causal):
    start = uniform_tokens(12, 3, seed=5)
    order = torch.from_numpy(np.random.default_rng(0).permutation(12))
    plain = simulate(start, 3.0, [2.0], causal=causal)[:, order]
    permuted = simulate(start[order], 3.0, [2.0], causal=causal)
    apart = (plain - permuted).abs().max()
    assert apart > 0.01 if causal else apart < 1e-12


def test_rotating_the_start_rotates_the_path():
    start = uniform_tokens(9, 4)
    rotation = torch.linalg.qr(torch.randn(4, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0)))[0]
    torch.testing.assert_close(simulate(start @ rotation, 2.0, [3.0]), simulate(start, 2.0, [3.0]) @ rotation)


def test_with_a_mask_the_first_token_stays_and_the_others_move_to_it():
    path = simulate(uniform_tokens(6, 3), 1.0, [0, 400], causal=True, dt=0.2)
    torch.testing.assert_close(path[1, 0], path[0, 0])
    assert count_clusters(path[1]) == 1


def test_batches_equal_single_runs():
    starts, betas = uniform_tokens(7, 3, batch=(2,)), torch.tensor([1.0, 5.0])
    together = simulate(starts, betas, [0, 1, 2])
    apart = torch.stack([simulate(s, float(b), [0, 1, 2]) for s, b in zip(starts, betas, strict=True)])
    torch.testing.assert_close(together, apart)
    assert simulate(starts[0], betas, [1.0]).shape == (2, 1, 7, 3)


def test_on_the_circle_the_number_of_clusters_grows_with_beta():
    starts = uniform_tokens(32, 2, batch=(8,))
    counts = [count_clusters(simulate(starts, beta, [30.0], dt=0.2)).double().mean() for beta in (1.0, 4.0, 9.0)]
    assert counts[0] == 1 and counts[0] < counts[1] < counts[2]


def test_hemisphere_probability_is_wendels_formula():
    assert (hemisphere_probability(np.arange(1, 9), 8) == 1).all()  # n <= d
    np.testing.assert_allclose(hemisphere_probability([3, 4, 5], 2), [3 / 4, 4 / 8, 5 / 16])  # n / 2^(n-1)
    np.testing.assert_allclose(hemisphere_probability(2 * np.arange(1, 6), np.arange(1, 6)), 0.5)
    x = uniform_tokens(4, 2, batch=(4000,), seed=7)  # on a circle: one gap of more than half a turn
    angle = torch.atan2(x[..., 1], x[..., 0]).sort(-1).values
    gaps = torch.cat([angle.diff(dim=-1), angle[:, :1] + 2 * torch.pi - angle[:, -1:]], -1)
    assert (gaps > torch.pi).any(-1).double().mean() == pytest.approx(0.5, abs=0.03)


def test_hemisphere_margin_agrees_with_a_linear_program_and_with_the_probability():
    clouds = uniform_tokens(10, 4, batch=(300,), seed=3)
    margins = np.array([hemisphere_margin(x) for x in clouds])
    for x, margin in zip(clouds[:40].numpy(), margins[:40], strict=True):
        found = linprog([0, 0, 0, 0, -1], np.c_[-x, np.ones(10)], np.zeros(10), bounds=[(-1, 1)] * 4 + [(None, 1)])
        assert (found.x[-1] > 1e-9) == (margin > 0)
    probability = hemisphere_probability(10, 4)
    assert (margins > 0).mean() == pytest.approx(probability, abs=4 * np.sqrt(probability * (1 - probability) / 300))


def test_hemisphere_margin_is_the_distance_to_the_convex_hull():
    cap = to_sphere([[1.0, 1, 0], [1, -1, 0], [1, 0, 1], [1, 0, -1]])
    assert hemisphere_margin(cap) == pytest.approx(0.5**0.5)
    assert hemisphere_margin(torch.eye(5)) == pytest.approx(5**-0.5)
    assert hemisphere_margin(torch.cat([torch.eye(3), -torch.eye(3)])) == 0
    centered = uniform_tokens(50, 40, seed=1)
    assert hemisphere_margin(centered - centered.mean(0)) == 0
    assert hemisphere_margin(centered[:30]) > 0  # fewer tokens than dimensions


@pytest.mark.parametrize("kind, span", [("SA", 0.4), ("USA", 0.02)])
def test_waves_on_the_circle_grow_at_their_rate(kind, span):
    beta, k, even = 5.0, np.arange(1, 7), 2 * np.pi * np.arange(64) / 64
    angle = even + 1e-4 * np.sin(k[:, None] * even)
    path = simulate(np.stack([np.cos(angle), np.sin(angle)], -1), beta, [0, span], kind, dt=span / 20)
    angle = torch.atan2(path[..., 1], path[..., 0]).numpy()
    height = abs(np.exp(1j * k[:, None, None] * angle).mean(-1))
    np.testing.assert_allclose(np.log(height[:, 1] / height[:, 0]) / span, wave_rate(k, beta, kind), rtol=1e-4)
    assert wave_rate(3, 2.0, kind) == pytest.approx(9 * iv(3, 2.0) / 2 / (iv(0, 2.0) if kind == "SA" else 1))
    assert np.isfinite(wave_rate(3, 1e4, "SA"))


def test_effective_groups_count_groups_and_follow_from_the_energy():
    places = torch.eye(4)
    assert effective_groups(places[[0] * 7], 9.0) == pytest.approx(1)
    assert effective_groups(places[[0, 0, 1, 1, 2, 2]], 60.0) == pytest.approx(3)
    assert effective_groups(places[[0, 0, 0, 1]], 60.0) == pytest.approx(1 / (9 / 16 + 1 / 16))
    cloud, beta = uniform_tokens(30, 3, batch=(2,)), torch.tensor([1.0, 8.0])
    top = beta.double().exp() / (2 * beta.double())
    torch.testing.assert_close(effective_groups(cloud, beta), top / interaction_energy(cloud, beta))
    path = simulate(cloud[0], 8.0, np.linspace(0, 10, 21))
    assert effective_groups(path, 8.0).diff().max() < 1e-9


@pytest.mark.parametrize("causal, falls", [(False, False), (True, True)])
def test_only_a_mask_can_lower_the_energy(causal, falls):
    path = simulate(uniform_tokens(32, 3, batch=(16,), seed=42), 2.0, np.linspace(0, 40, 81), causal=causal)
    energy = interaction_energy(path, 2.0)
    assert ((energy.diff(dim=-1) / energy[..., 1:]).min() < -1e-6) == falls


def test_the_second_token_of_a_masked_cloud_follows_its_equation():
    beta, angle, h = 2.0, 2.0, 1e-4
    pair = torch.tensor([[1.0, 0.0], [np.cos(angle), np.sin(angle)]])
    c = (simulate(pair, beta, [0, h], causal=True)[:, 1] @ pair[0].double()).numpy()
    assert np.diff(c)[0] / h == pytest.approx((1 - c[0] ** 2) / (1 + np.exp(beta * (1 - c[0]))), rel=1e-3)


def test_tokens_never_leave_a_hemisphere():
    start = uniform_tokens(20, 3, batch=(6,), seed=8).clone()
    start[..., 0].abs_()
    for kind, beta, dt in (("SA", 9.0, 0.1), ("USA", 2.0, 0.02)):
        lowest = simulate(start, beta, np.linspace(0, 5, 26), kind, dt=dt)[..., 0].amin(-1)
        assert lowest.diff(dim=-1).min() > -1e-9


def test_clusters_are_linked_by_chains_and_counted_per_cloud():
    angle = torch.deg2rad(torch.tensor([[0.0, 2, 4, 6], [0, 90, 180, 270], [10, 11, 90, 91]]))
    cloud = torch.stack([angle.cos(), angle.sin()], -1)
    assert count_clusters(cloud).tolist() == [1, 4, 2]
    assert count_clusters(5 * cloud[0], cosine=0.99999) == 4


def test_bad_input_raises():
    start = torch.eye(3)
    for bad in (
        lambda: simulate(start, 1.0, [1], kind="softmax"),
        lambda: simulate(start, 1.0, [1], method="heun"),
        lambda: simulate(start, 1.0, [2, 1]),
        lambda: simulate(start, 1.0, [1], dt=0),
        lambda: interaction_energy(start, 0.0),
        lambda: to_sphere(torch.zeros(2, 3)),
        lambda: cosine_speed(0.0, 3, 1.0, "usa"),
        lambda: wave_rate(1, 1.0, "usa"),
        lambda: effective_groups(start, 0.0),
    ):
        with pytest.raises(tg.InputError):
            bad()
