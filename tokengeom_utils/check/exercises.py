"""Checkers for the book's exercises: each tries your function where the answer is known, and says what to look at.

>>> import tokengeom_utils as tg
>>> tg.check.chance_overlap(lambda k, n: k / n)
not yet: a token is never its own neighbor, so its k neighbors are drawn from n - 1 others, not from n
>>> tg.check.chance_overlap(lambda k, n: k / (n - 1))
correct
"""

from functools import wraps
from typing import NamedTuple

import numpy as np
import torch  # noqa: F401  (for the checkers below)


class Answer(NamedTuple):
    """What a checker says: whether the attempt is right, and if not, a hint."""

    passed: bool
    hint: str = ""

    def __repr__(self):
        return "correct" if self.passed else f"not yet: {self.hint}"


class _Hint(Exception):
    pass


def expect(condition, hint):
    """Inside a checker: stop with ``hint`` unless ``condition`` is true."""
    if not condition:
        raise _Hint(hint)


def close(found, wanted, rtol=1e-6, atol=1e-9):
    """Whether ``found`` is a number or array that equals ``wanted``, in shape too."""
    try:
        found, wanted = np.asarray(found, float), np.asarray(wanted, float)
    except (TypeError, ValueError):
        return False
    return found.shape == wanted.shape and bool(np.allclose(found, wanted, rtol, atol))


def checker(check):
    """Turn a function that raises hints into one that returns an :class:`Answer`."""

    @wraps(check)
    def run(attempt):
        def tried(*args):
            value = attempt(*args)
            if value is None:
                raise _Hint(f"{getattr(attempt, '__name__', 'your function')} returns nothing: write its body, "
                            "and end it with a return statement")
            return value

        try:
            check(tried)
        except _Hint as hint:
            return Answer(False, str(hint))
        except Exception as error:  # the student's code may fail in any way
            return Answer(False, f"it stops with {type(error).__name__}: {error}")
        return Answer(True)

    return run


# --- chapter 02 ---


@checker
def same_measure(attempt):
    """Whether two clouds have one empirical measure."""
    rng = np.random.default_rng(20)
    a, (x, y) = rng.normal(size=(6, 3)), rng.normal(size=(2, 3))
    columns = np.stack([rng.permutation(column) for column in a.T], axis=1)
    expect(attempt(a, a[rng.permutation(6)]), "the second cloud holds the same tokens in another order: one measure")
    expect(not attempt(a, a + 1e-3), "these clouds have no token in common")
    expect(not attempt(a, columns), "each feature takes the same values in both clouds, but no token does: keep the "
           "rows whole when you sort")
    expect(not attempt(np.stack([x, x, y]), np.stack([x, y, y])), "the same places, but not the same masses: two of "
           "three tokens share a place in one cloud, the other place in the other")
    expect(attempt(np.stack([x, y]), np.stack([x, y, x, y])), "twice as many tokens in the same places, each with half "
           "the mass: the measure is the same")


@checker
def w2_line(attempt):
    """The Wasserstein distance of two sets of numbers."""
    a, b = np.random.default_rng(21).normal(size=(2, 15))
    gap = np.sort(a) - np.sort(b)
    found, wanted = attempt(a, b), np.sqrt(np.mean(gap**2))
    expect(not close(found, np.sqrt(np.mean((a - b) ** 2))), "you pair the tokens by name: sort both first")
    expect(not close(found, wanted**2), "this is the square of the distance")
    expect(not close(found, np.sqrt(np.sum(gap**2))), "each token has the mass 1/n: take the mean, not the sum")
    expect(not close(found, np.abs(gap).mean()), "this is W1, the mean path; W2 is the root of the mean square")
    expect(close(found, wanted), "sort both, take the differences, and their root-mean-square")


@checker
def w2_gaussians(attempt):
    """The Wasserstein distance of two normal laws with independent coordinates."""
    args = np.array([[0.0, 1, 2], [1, 2, 3], [0.5, 1, -1], [2, 2, 1]])
    shift, scale = args[0] - args[2], args[1] - args[3]
    found, wanted = attempt(*args), np.sqrt((shift**2 + scale**2).sum())
    expect(np.ndim(found) == 0, "one distance is asked for: the squares of the coordinates add up")
    expect(not close(found, wanted**2), "this is the square of the distance")
    expect(not close(found, np.sqrt((shift**2).sum())), "two laws with one mean and different widths are not the same")
    expect(not close(found, np.sqrt((shift**2 + (args[1] ** 2 - args[3] ** 2) ** 2).sum())), "the standard deviations "
           "enter, not the variances: check the units")
    expect(close(found, wanted), "the sorted samples differ by m1 - m2 + (s1 - s2) q_i; square, average, and add up the "
           "coordinates")


# --- chapter 03 ---


def _on_sphere(n=7, d=3, seed=30):
    x = np.random.default_rng(seed).normal(size=(n, d))
    return x / np.linalg.norm(x, axis=1, keepdims=True)


@checker
def sa_velocity(attempt):
    """The velocity of every token under softmax attention."""
    x, beta = _on_sphere(), 2.5
    weight = np.exp(beta * x @ x.T)

    def tangent(pull):
        return pull - (pull * x).sum(1, keepdims=True) * x

    found, pull = attempt(x, beta), weight @ x / weight.sum(1, keepdims=True)
    expect(np.shape(found) == x.shape, "one velocity for every token: an array of the shape of x")
    expect(not close(found, pull), "this pulls the tokens off the sphere: take away the part along x_i")
    expect(not close(found, tangent(weight @ x / len(x))), "this is USA: in SA the weights of each token sum to one")
    expect(not close(found, tangent(weight @ x)), "the weights of each token must sum to one: divide by Z_i")
    expect(not close(found, tangent(weight / weight.sum(0) @ x)), "you normalize over the wrong index: the weights that "
           "token i gives to all j sum to one")
    expect(not close(found, tangent(x.mean(0) + 0 * x)), "the attention is missing: the weights depend on the cosines")
    expect(close(found, tangent(pull)), "softmax over j of beta <x_i, x_j>, the weighted mean of the x_j, and then "
           "P_x y = y - <x, y> x")


@checker
def cosine_speed(attempt):
    """The speed of the common cosine of tokens that all make one angle."""
    cases = [(0.0, 2, 0.0), (0.3, 5, 2.0), (0.8, 32, 4.0)]
    found = [attempt(*case) for case in cases]
    top = np.array([(1 - g) * ((n - 1) * g + 1) for g, n, _ in cases])
    rest = np.array([np.exp(b * (1 - g)) + n - 1 for g, n, b in cases])
    expect(not close(found, top / rest), "both tokens of a pair move: their cosine changes twice as fast")
    expect(not close(found, [2 * t * np.exp(b * g) / n for t, (g, n, b) in zip(top, cases)]), "this is USA: in SA divide "
           "by Z = e^beta + (n - 1) e^(beta gamma)")
    expect(not close(found, 2 * top / [n for _, n, _ in cases]), "the attention is missing: this is beta = 0")
    expect(close(found, 2 * top / rest), "d/dt <x_i, x_k> is 2 <v_i, x_k>; in the sum over j, treat j = i, j = k and the "
           "n - 2 others apart")


@checker
def hemisphere(attempt):
    """Wendel's probability."""
    from math import comb

    cases = [(3, 2), (4, 2), (6, 3), (9, 4)]

    def total(up_to, m):
        return np.array([sum(comb(n - m, k) for k in range(d + up_to)) for n, d in cases], float)

    found, power = np.array([attempt(*case) for case in cases], float), 2.0 ** np.array([n - 1 for n, _ in cases])
    expect((found <= 1).all(), "a probability is at most 1: of the 2^(n-1) sign patterns only some count")
    expect(not close(found, total(1, 1) / power), "the sum ends at k = d - 1")
    expect(not close(found, total(0, 0) / power / 2), "the binomials are those of n - 1")
    expect(close(found, total(0, 1) / power), "three points on a circle share a half of it with probability 3/4, four "
           "with 1/2: does yours?")
    expect(close(attempt(5, 9), 1.0), "with no more points than dimensions it is certain")


@checker
def fastest_wave(attempt):
    """The number of crests that grows fastest."""
    from scipy.special import iv

    betas = [0.5, 1.0, 4.0, 5.0, 9.0, 25.0]
    found, k = [attempt(beta) for beta in betas], np.arange(1, 30)
    wanted = [int(k[np.argmax(k**2 * iv(k, beta))]) for beta in betas]
    expect(not close(found, np.array(wanted) - 1), "the waves are counted from k = 1, an index from 0")
    expect(not close(found, np.ones(6)), "I_k alone is largest at k = 1: the factor k^2 is missing")
    expect(not close(found, [k[np.argmax(k * iv(k, beta))] for beta in betas]), "k enters twice, once in the velocity "
           "and once in its divergence: the rate is k^2 I_k")
    expect(close(found, wanted), "compute k^2 I_k(beta) for k = 1, 2, 3, ... and return the k of the largest")


# --- chapter 04 ---


@checker
def effective_groups(attempt):
    """The effective number of groups of a cloud on the sphere."""
    x, beta = _on_sphere(9, 4, seed=40), 3.0
    similar = np.exp(beta * (x @ x.T - 1))
    found, wanted = attempt(x, beta), 1 / similar.mean()
    expect(not close(found, similar.mean()), "upside down: the more alike the tokens, the fewer the groups")
    expect(not close(found, 1 / (similar.sum() - 9) * 72), "the pairs of a token with itself belong to the mean")
    expect(not close(found, 1 / np.exp(beta * (x @ x.T)).mean()), "similarity 1 must mean the same place: the exponent "
           "is beta (cosine - 1)")
    expect(close(attempt(x[[0] * 5], beta), 1.0), "five tokens in one place are one group: does your function say 1?")
    expect(close(found, wanted), "one over the mean, over all n^2 pairs, of exp(beta (cosine - 1))")


@checker
def energy_change(attempt):
    """The first-order change of the energy when the tokens move."""
    x, beta = _on_sphere(6, 4, seed=41), 2.0
    move = np.random.default_rng(42).normal(size=x.shape)
    tangent = move - (move * x).sum(1, keepdims=True) * x
    weight = np.exp(beta * x @ x.T)
    found, wanted, off = attempt(x, move, beta), *(((weight @ x) * m).sum() / 36 for m in (tangent, move))
    expect(not close(found, off), "the tokens stay on the sphere: only the part of the move that is tangent counts")
    expect(not close(found, wanted / 2), "in each pair both tokens move, which cancels the 2 of 1 / (2 beta)")
    expect(not close(found, wanted * beta), "the derivative brings down beta, which cancels the one in 1 / (2 beta)")
    expect(not close(found, wanted * 6) and not close(found, wanted * 36), "the energy is a mean over n^2 pairs")
    expect(close(found, wanted), "differentiate (1 / 2 beta n^2) sum_ij exp(beta <x_i, x_j>) along the tangent part")


# --- chapter 05 ---


@checker
def next_token_loss(attempt):
    """The loss of predicting every token from the logits of the position before it."""
    rng = np.random.default_rng(0)
    logits, ids = torch.tensor(rng.normal(size=(6, 5))), torch.tensor([4, 1, 0, 3, 1, 2])
    surprise = -torch.log_softmax(logits, -1)
    found, wanted = attempt(logits, ids), surprise[torch.arange(5), ids[1:]]
    unshifted = surprise[torch.arange(6), ids]
    expect(np.shape(found) != (), "one loss for every predicted token is asked for, not their mean")
    expect(not close(found, unshifted) and not close(found, unshifted[:5]), "the logits at position i do not predict "
           "token i, which the model has seen, but token i + 1")
    expect(np.shape(found) != (6,), "the last position predicts a token that is not there: 6 tokens have 5 losses")
    expect(not close(found, -wanted), "the loss is minus the logarithm of a probability, so it cannot be negative")
    expect(not close(found, wanted / np.log(2)), "this is in bits; the book takes natural logarithms")
    expect(close(found, wanted), "turn each row of logits into log-probabilities, and take the entry of the next token")


@checker
def loss_in_chunks(attempt):
    """The same losses with the logits of a few positions at a time."""
    rng = np.random.default_rng(1)
    states, weight, ids = (torch.tensor(rng.normal(size=size)) for size in ((11, 3), (3, 7), (11,)))
    ids, most = (5 * ids).long() % 7, 4

    def head(rows):
        expect(len(rows) <= most, f"you asked the head for {len(rows)} positions at once, with chunk = {most}")
        return rows @ weight

    found = attempt(states, ids, head, most)
    wanted = -torch.log_softmax(states @ weight, -1)[torch.arange(10), ids[1:]]
    expect(np.shape(found) != (11,), "the last position has nothing to predict: cut it off before you split")
    expect(np.shape(found) != (8,), "10 positions do not split evenly into chunks of 4: the last two are lost")
    expect(close(found, wanted), "each chunk of states needs the tokens that follow its positions: split both alike")


@checker
def block_inputs(attempt):
    """What every block of a network receives, collected by hooks."""
    torch_rng = torch.Generator().manual_seed(2)
    network = torch.nn.Sequential(*(torch.nn.Linear(3, 3) for _ in range(4))).requires_grad_(False)
    x = torch.randn(5, 3, generator=torch_rng)
    found = attempt(network, x)
    states = [x]
    for block in network:
        states.append(block(states[-1]))
    expect(not any(block._forward_hooks or block._forward_pre_hooks for block in network), "your hooks are still in "
           "place: call .remove() on the handle of each, or the next forward pass will fill your list too")
    expect(len(found) == 4, f"4 blocks receive 4 inputs, you return {len(found)}")
    expect(not close(torch.stack(list(found)), torch.stack(states[1:])), "these are the outputs of the blocks: "
           "a hook before the block is set by register_forward_pre_hook")
    expect(close(torch.stack(list(found)), torch.stack(states[:-1])), "each entry should be the tensor that the block "
           "was called with; a pre-hook gets the positional arguments as a tuple")


# --- chapter 06 ---


class _NoPairs(torch.overrides.TorchFunctionMode):
    """Lets torch make no tensor of more than ``limit`` numbers."""

    def __init__(self, limit):
        super().__init__()
        self.limit = limit

    def __torch_function__(self, function, types, args=(), kwargs=None):
        value = function(*args, **(kwargs or {}))
        expect(not torch.is_tensor(value) or value.numel() <= self.limit, "you form all pairs: with 1,024 tokens a "
               "million numbers. Sum first, square afterwards")
        return value


@checker
def mean_cosine(attempt):
    """Mean cosine similarity over all pairs, self included, without forming them."""
    cloud = torch.tensor(np.random.default_rng(3).normal(1, 1, size=(40, 3)))
    u = cloud / cloud.norm(dim=1, keepdim=True)
    cosines = u @ u.T
    with _NoPairs(40 * 3):
        found = attempt(cloud)
    expect(not close(found, cosines.mean() ** 0.5), "this is the length of the mean direction: square it")
    expect(not close(found, (cloud @ cloud.T).mean()), "a cosine is a product of directions: divide each token by its "
           "length first")
    expect(not close(found, (cosines.sum() - 40) / (40 * 39)), "the paper counts the pairs of a token with itself too")
    expect(close(found, cosines.mean()), "average the directions of the tokens, then take the squared length")


@checker
def leave_one_out(attempt):
    """Mean cosine similarity with each token left out in turn."""
    cloud = torch.tensor(np.random.default_rng(4).normal(1, 1, size=(12, 3)))
    u = cloud / cloud.norm(dim=1, keepdim=True)
    left = ((u.sum(0) - u) ** 2).sum(1)
    found = attempt(cloud)
    expect(np.shape(found) == (12,), "12 tokens can be left out in 12 ways: return one mean for each")
    expect(not close(found, left / 12**2), "without one token 11 are left, so there are 11 x 11 pairs")
    expect(not close(found, ((cloud.sum(0) - cloud) ** 2).sum(1) / 11**2), "divide each token by its length first")
    expect(close(found, left / 11**2), "take the sum of all directions, subtract each direction from it, and square")


@checker
def neighbor_angle(attempt):
    """The angle at a token between its first two neighbors, from three distances."""
    r1, r2, between = np.array([3.0, 1.0, 1.0]), np.array([4.0, 1.0, 2.0]), np.array([5.0, 1.0, 3.0])
    wanted = np.array([90.0, 60.0, 180.0])
    found = attempt(r1, r2, between)
    expect(not close(found, np.radians(wanted)), "this is in radians: the book gives angles in degrees")
    expect(not close(found, np.cos(np.radians(wanted))), "this is the cosine: the angle is its arccos")
    expect(close(found, wanted), "by the law of cosines, between^2 = r1^2 + r2^2 - 2 r1 r2 cos(angle); sides 3, 4, 5 "
           "make a right angle at the token")


# --- chapter 07 ---


def _sphere_distances(n=200, k=8):
    points = np.random.default_rng(5).normal(size=(n, 4))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    distances = np.linalg.norm(points[:, None] - points, axis=-1)
    return np.sort(distances, axis=1)[:, 1 : k + 1]


@checker
def volume_fraction(attempt):
    """The share of the volume up to the outer neighbor that the inner one encloses."""
    r = _sphere_distances()
    found, wanted = attempt(r, 4, 8, 3.0), (r[:, 3] / r[:, 7]) ** 3
    expect(not close(found, 1 / wanted), "a part of the volume is at most 1: you have divided the wrong way round")
    expect(not close(found, r[:, 3] / r[:, 7]), "this compares distances: a volume grows as the d-th power")
    expect(close(found, wanted), "the neighbor of rank n stands in column n - 1 of the table; the volume within a "
           "distance r is proportional to r^d")


@checker
def two_nn(attempt):
    """TwoNN from a sorted table of distances."""
    r = _sphere_distances()
    found, total = attempt(r), np.log(r[:, 1] / r[:, 0]).sum()
    expect(not close(found, 200 / total), "your estimate is off by N / (N - 1): this is the maximum of the likelihood, "
           "which is too high on average")
    expect(not close(found, total / 199) and not close(found, total / 200), "this is the mean of ln mu, which is 1 / d")
    expect(not close(found, -199 / total), "the sign: mu is the larger distance over the smaller one")
    expect(close(found, 199 / total), "ln mu is exponential with mean 1 / d, so that d = (N - 1) / (sum of ln mu)")


@checker
def gride_one_scale(attempt):
    """GRIDE at one range scaling from a sorted table of distances."""
    from ..clouds.dimension import gride, two_nn

    r = _sphere_distances()
    found, wanted = [attempt(r, scale) for scale in (2, 4, 8)], [gride(r, scale).dimension for scale in (2, 4, 8)]
    expect(np.ptp(found) > 0 or close(found[0], wanted[0]), "you return one number for every scale: use the columns of "
           "the ranks scale / 2 and scale")
    expect(not close(found[0], two_nn(r).dimension * 200 / 199, 1e-5), "your estimate at scale 2 is off by N / (N - 1)")
    expect(close(found[0], wanted[0], 1e-5), "at scale 2 the equation is (N - 1) / d = sum of ln mu, which is TwoNN")
    expect(close(found, wanted, 1e-5), "scale 2 is right, the larger ones are not: there the factor n2 - n1 - 1 is no "
           "longer zero. Is the score zero at your d? It falls with d, so one root lies where it changes sign")


@checker
def gride_error(attempt):
    """The standard error from the curvature of the log-likelihood."""
    r = _sphere_distances()
    log_mu, d = np.log(r[:, 7] / r[:, 3]), 3.0
    y = np.exp(-d * log_mu)
    terms = 3 * (log_mu**2 * y / (1 - y) ** 2)
    found, wanted = attempt(d, log_mu, 8), (200 / d**2 + terms.sum()) ** -0.5
    expect(not close(found, wanted**-2), "this is the information: the standard error is one over its square root")
    expect(not close(found, d / 200**0.5), "d / sqrt(N) is the error at scale 2; larger scales carry more information")
    expect(not close(found, (1 / d**2 + terms.mean()) ** -0.5), "this is the error from one token: the information of N "
           "tokens adds up")
    expect(close(found, wanted), "the information is N / d^2 plus (n2 - n1 - 1) times the sum of "
           "(ln mu)^2 mu^-d / (1 - mu^-d)^2")


# --- chapter 08 ---


@checker
def correlation_dimension(attempt):
    """How fast the number of close pairs grows with the radius."""
    cloud = np.random.default_rng(8).normal(size=(60, 3))
    pairs = np.linalg.norm(cloud[:, None] - cloud, axis=-1)[np.triu_indices(60, 1)]
    near, far = (pairs < 0.7).sum(), (pairs < 1.4).sum()
    found, wanted = attempt(cloud, 0.7, 1.4), np.log2(far / near)
    expect(not close(found, np.log2((2 * far + 60) / (2 * near + 60))), "you count each point as a pair with itself: "
           "those 60 pairs are closer than any radius")
    expect(not close(found, np.log(far / near)), "this is the growth of the logarithm of the count: divide it by the "
           "growth of the logarithm of the radius")
    expect(not close(found, -wanted) and not close(found, 1 / wanted), "right numbers, wrong place: more pairs over a "
           "larger radius, both as logarithms")
    expect(close(found, wanted), "count the distinct pairs closer than r1 and closer than r2; the estimate is "
           "log(count2 / count1) / log(r2 / r1)")


@checker
def participation_ratio(attempt):
    """How many directions carry the variance."""
    cloud = np.random.default_rng(9).normal(1, [1, 2, 3, 4], size=(50, 4))
    values = np.linalg.svd(cloud - cloud.mean(0), compute_uv=False)
    raw = np.linalg.svd(cloud, compute_uv=False) ** 2
    found, wanted = attempt(cloud), (values**2).sum() ** 2 / (values**4).sum()
    expect(not close(found, raw.sum() ** 2 / (raw**2).sum()), "subtract the mean of the cloud first: a variance is "
           "measured from there")
    expect(not close(found, values.sum() ** 2 / (values**2).sum()), "the eigenvalues of the covariance are the squares "
           "of the singular values")
    expect(not close(found, 1 / wanted), "upside down: the square of the sum goes over the sum of the squares")
    expect(close(found, wanted), "center the cloud, take the eigenvalues of its covariance, and divide the square of "
           "their sum by the sum of their squares")


@checker
def three_averages(attempt):
    """Three ways to average local dimensions."""
    inverse, k = np.array([0.5, 0.1, 0.2, 0.4]), 12
    plain, pooled = (1 / inverse).mean(), 1 / inverse.mean()
    found = attempt(inverse, k)
    expect(np.shape(found) == (3,), "return three numbers: the mean, the corrected mean, one over the mean inverse")
    expect(close(found[0], plain), "first: invert each entry, then average")
    expect(not close(found[1], plain * 11 / 10), "second: the mean is too high, so the correction makes it smaller")
    expect(close(found[1], plain * 10 / 11), "second: by the proposition the mean is (k - 1) / (k - 2) times too high")
    expect(not close(found[2], plain), "third: here the average comes first and the inverse last")
    expect(close(found[2], pooled), "third: one over the mean of the table")


# --- chapter 09 ---


@checker
def chance_overlap(attempt):
    """The overlap of two clouds whose neighborhoods have nothing to do with each other."""
    expect(not close(attempt(2, 1024), 2 / 1024), "a token is never its own neighbor, so its k neighbors are drawn "
           "from n - 1 others, not from n")
    expect(close(attempt(2, 1024), 2 / 1023) and close(attempt(5, 11), 0.5), "a given neighbor in one cloud is one of "
           "n - 1 tokens, of which k are neighbors in the other: what is the chance that it is among them?")


@checker
def overlap(attempt):
    """The share of neighbors in common, by sets."""
    rng = np.random.default_rng(6)
    a, b = (np.array([rng.permutation([j for j in range(9) if j != i])[:5] for i in range(9)]) for _ in range(2))

    def shared(k):
        return np.mean([len(set(x[:k]) & set(y[:k])) for x, y in zip(a.tolist(), b.tolist())])

    found = [attempt(a, b, k) for k in (1, 3, 5)]
    expect(not close(found, [(a[:, :k] == b[:, :k]).mean() for k in (1, 3, 5)]), "you compare place by place: a neighbor "
           "that changed its rank within the first k is still a neighbor")
    expect(not close(found, [shared(k) for k in (1, 3, 5)]), "this is the number in common: the overlap is a share of k")
    expect(not close(found, [shared(5) / 5] * 3), "only the first k columns count, whatever the table holds")
    expect(close(found, [shared(k) / k for k in (1, 3, 5)]), "for every token, how many of the first k entries of its "
           "row in one table are among the first k in the other?")


@checker
def reciprocity(attempt):
    """The share of neighbors that are returned."""
    from ..clouds.overlap import reciprocity

    rng = np.random.default_rng(7)
    table = np.array([rng.permutation([j for j in range(9) if j != i])[:5] for i in range(9)])
    found, wanted = [attempt(table, k) for k in (1, 3, 5)], reciprocity(table)[[0, 2, 4]].numpy()
    expect(not close(found, wanted * [9, 27, 45]), "this is the number of returned links: divide by all of them, k N")
    expect(not close(found, wanted / 2), "a mutual pair makes two links, one each way, and both are returned")
    lists = [attempt(table, k) for k in (1, 3)]
    loose = [np.mean([i in table[j] for i in range(9) for j in table[i, :k]]) for k in (1, 3)]
    expect(not close(lists, loose), "both must be near: i has to be among the first k of j, not anywhere in its row")
    expect(close(found, wanted), "a link goes from i to each of its first k neighbors j; it is returned if i is among "
           "the first k of j")


# --- chapter 01 ---


@checker
def relative_peak(attempt):
    """The relative depth at which a profile over layers is highest, the embeddings left out."""
    profile = np.array([9.0, 1.0, 4.0, 6.0, 5.0])  # layers 0 to 4
    found = attempt(profile)
    expect(not close(found, 0), "layer 0, the embeddings, is left out: look for the highest of the others")
    expect(not close(found, 3), "this is the number of the layer: divide it by the number of layers")
    expect(not close(found, 2 / 4), "once the embeddings are cut off, position 0 of what is left is layer 1")
    expect(not close(found, 3 / 5), "the profile has one entry more than the model has layers: the embeddings")
    expect(close(found, 3 / 4) and close(attempt(np.array([9.0, 1, 2, 3])), 1), "five entries are layers 0 to 4; if "
           "layer 3 is the highest of 1 to 4, the answer is 3 / 4")


@checker
def align(attempt):
    """A cloud whose tokens point the same way and whose distances are what they were."""
    cloud = torch.tensor(np.random.default_rng(8).normal(size=(30, 4)))
    found = torch.as_tensor(attempt(cloud.clone()))
    expect(found.shape == cloud.shape, "return a cloud of the same tokens, with as many features")
    before, after = torch.pdist(cloud), torch.pdist(found.to(cloud))
    ratio = after / before
    expect(close(ratio, np.ones(len(ratio)), 1e-4) or not close(ratio, np.full(len(ratio), ratio.mean()), 1e-4), "all "
           "distances have changed by one factor: that alters no dimension, but no direction either")
    expect(close(ratio, np.ones(len(ratio)), 1e-4), "the distances between the tokens have changed, and the dimension "
           "is read off them: what moves every token and keeps all distances?")
    u = found / found.norm(dim=1, keepdim=True)
    cosine = (u @ u.T).mean().item()
    expect(cosine > 0.9, f"the distances are kept, and the mean cosine is {cosine:.2f}: seen from the origin, the "
           "cloud has to be small and far away")


# --- chapter 10 ---


@checker
def shuffle_blocks(attempt):
    """Algorithm 1: 4^S blocks in a random order."""
    ids = 100 + np.arange(64)

    def made(degree):
        found = [np.asarray(attempt(ids.copy(), degree, np.random.default_rng(seed))) for seed in range(6)]
        expect(all(np.array_equal(np.sort(x), ids) for x in found), "a shuffle returns the same tokens, each once: "
               "yours drops or repeats some")
        return found

    expect(all(np.array_equal(x, ids) for x in made(0)), "degree 0 is one block, so that nothing moves: 4**0 = 1")
    for degree, length in ((1, 16), (2, 4), (3, 1)):
        found = made(degree)
        expect(any((x != ids).any() for x in found), f"at degree {degree} nothing moves: there are 4**degree blocks")
        expect(any((x != found[0]).any() for x in found), "the order is the same for every generator: draw it from rng")
        whole = all(np.ptp((x.reshape(-1, length) - 100) // length, axis=1).max() == 0 for x in found)
        apart = np.concatenate([np.flatnonzero(np.diff(x) != 1) + 1 for x in found])
        size = int(np.gcd.reduce(np.append(apart, 64)))  # the length of your blocks
        expect(not (whole and size < length), "the tokens inside a block keep their order: permute whole blocks")
        expect(size == length, f"at degree {degree} your blocks have {size} tokens: 64 tokens in 4**{degree} blocks "
               f"are {length} each")


@checker
def ngram_precision(attempt):
    """The share of runs of n tokens that the reference has too, none counted more often than it occurs there."""
    from collections import Counter

    ids, reference = [1, 2, 1, 2, 1, 2, 5, 6], [1, 2, 3, 1, 2, 4, 5, 6]
    runs = {n: [[tuple(x[i : i + n]) for i in range(8 - n + 1)] for x in (ids, reference)] for n in (1, 2, 3)}
    common = {n: (Counter(a) & Counter(b)).total() for n, (a, b) in runs.items()}
    found = [attempt(ids, reference, n) for n in runs]
    expect(not close(found, list(common.values())), "this is how many runs are found: divide by how many there are")
    expect(not close(found, [np.mean([run in b for run in a]) for a, b in runs.values()]), "the run 1 2 occurs three "
           "times in ids and twice in the reference: only two of them count")
    expect(not close(found, [len({*a} & {*b}) / len({*a}) for a, b in runs.values()]), "a set forgets how often a run "
           "occurs: count with collections.Counter")
    expect(not close(found, [c / 8 for c in common.values()]), "8 tokens hold 8 - n + 1 runs of n, not 8")
    expect(not close(found, [np.mean([x == y for x, y in zip(a, b)]) for a, b in runs.values()]), "a run counts "
           "wherever it stands in the reference, not only at the same place")
    expect(close(found, [common[n] / len(a) for n, (a, b) in runs.items()]), "list the runs of n of both texts, count "
           "each, and take the smaller count of the two: Counter(a) & Counter(b) does it")


@checker
def sign_flip(attempt):
    """The exact two-sided sign-flip test."""
    from ..claims.judging import sign_flip_p_value

    cases = [np.array(d) for d in ([1, 2, 1.5, 0.5, 1, 3], [-1, -0.4, 0.3, -2], [0.2, 1.1, -0.5, 0.9, 0.3])]
    found, wanted = [attempt(d) for d in cases], [sign_flip_p_value(d) for d in cases]
    patterns = [1 - 2 * ((np.arange(2 ** len(d))[:, None] >> np.arange(len(d))) & 1) for d in cases]
    sums = [(p @ d, d.sum()) for p, d in zip(patterns, cases)]
    expect(not close(found, [np.mean(s >= t - 1e-9) for s, t in sums]), "this counts the patterns on one side: a mean "
           "as far below zero would have been as surprising, so compare absolute values")
    expect(not close(found, [np.mean(np.abs(s) > abs(t) + 1e-9) for s, t in sums]), "count the patterns that are as "
           "extreme, too: the one that was seen is among them, so a p-value is never zero")
    expect(not close(found, [np.sum(np.abs(s) >= abs(t) - 1e-9) for s, t in sums]), "this is a number of patterns: "
           "divide by all of them, 2**n")
    expect(close(found, wanted), "for each of the 2**n patterns of signs take the mean of signs * differences; which "
           "share is at least as far from zero as the mean that was seen? (Rounding: allow a difference of 1e-12)")


# --- chapter 11 ---


@checker
def fisher_interval(attempt):
    """The interval of a correlation by Fisher's transformation."""
    from ..theory.statistics import fisher_interval

    found, wanted = attempt(0.8, 20), fisher_interval(0.8, 20)
    expect(np.shape(found) == (2,), "return two numbers: the low end and the high end")
    z = np.arctanh(0.8)
    expect(not close(found, (z - 1.95996 / 17**0.5, z + 1.95996 / 17**0.5), 1e-3), "these are the ends for artanh r: go "
           "back to r with tanh")
    expect(not close(np.add(*found), 1.6), "your interval is symmetric around r, which may put its end beyond 1: it is "
           "artanh r that scatters symmetrically")
    expect(not close(found, np.tanh([z - 1.95996 / 20**0.5, z + 1.95996 / 20**0.5]), 1e-4), "the variance of artanh r is "
           "1 / (n - 3), not 1 / n")
    expect(close(found, wanted, 1e-3), "tanh(artanh r -+ q / sqrt(n - 3)), where 2.5% of a normal law lie above q")
    expect(close(attempt(0.8, 22, 2), wanted, 1e-3), "every variable held fixed takes one more off n - 3")
    expect(close(attempt(0.8, 20, 0, 0.5), fisher_interval(0.8, 20, level=0.5), 1e-6), "95% is right, other levels are "
           "not: the quantile is that of (1 + level) / 2")


@checker
def partial_correlation(attempt):
    """Correlation with several variables held fixed."""
    from ..theory.statistics import partial_correlation, pearson

    x, y, a, b = np.random.default_rng(8).normal(size=(4, 30))
    a, b = a + 5, b + 0.8 * a
    x, y = x + a + b, y + a - b
    one = np.ones(30)

    def left(v, *columns):
        design = np.stack(columns, 1)
        return v - design @ np.linalg.lstsq(design, v, rcond=None)[0]

    found, wanted = attempt(x, y, np.stack([a, b])), partial_correlation(x, y, a, b)
    expect(not close(found, pearson(x, y)), "this is the correlation itself: take the controls out of both first")
    expect(not close(found, partial_correlation(x, y, a)), "you hold only the first control fixed")
    u, v = left(x, a, b), left(y, a, b)
    expect(not close(found, pearson(u, v)) and not close(found, u @ v / np.sqrt((u @ u) * (v @ v))), "the fit needs a "
           "constant too: add a column of ones")
    expect(not close(found, pearson(*(left(left(v, a, one), b, one) for v in (x, y)))), "you take the controls out one "
           "after the other; these two are correlated, so the second puts some of the first back: fit them together")
    expect(not close(found, pearson(x, left(y, a, b, one))), "take the controls out of both x and y")
    expect(close(found, wanted), "fit a constant and all controls to x and to y, and correlate the two residuals")


@checker
def resampled_correlations(attempt):
    """Correlations of all resamples at once, from how often each holds a prompt."""
    from ..theory.statistics import pearson

    rng = np.random.default_rng(10)
    x, y = rng.normal(size=(2, 12)) + [[3], [-1]]
    y, picks = y + 0.5 * x, rng.integers(0, 12, (6, 12))
    counts = np.stack([np.bincount(pick, minlength=12) for pick in picks])
    found, wanted = attempt(x, y, counts), pearson(x[picks], y[picks])
    expect(np.shape(found) == (6,), "return one correlation for each row of the counts")
    expect(not close(found, pearson(counts * x, counts * y)), "a count does not stretch a value, it repeats the prompt: "
           "it belongs into the means, once")
    first, second, product, xx, yy = (counts @ v / 12 for v in (x, y, x * y, x * x, y * y))
    expect(not close(found, product / np.sqrt(xx * yy)), "take the products of the means off")
    u, v = x - x.mean(), y - y.mean()
    expect(not close(found, counts @ (u * v) / np.sqrt((counts @ u**2) * (counts @ v**2))), "close: but the means to take "
           "off are those of each resample, not those of the sample")
    expect(not close(found, (product - first * second) / ((xx - first**2) * (yy - second**2))), "the root is missing below")
    expect(close(found, wanted), "counts @ v / n is the mean of v over every resample; you need it for x, y, xy, x^2, y^2")


@checker
def mean_log_frequency(attempt):
    """How common the tokens of a prompt are in the other prompts."""
    from ..theory.statistics import mean_log_frequency

    ids = np.array([[0, 0, 0, 2], [1, 0, 1, 3], [1, 1, 3, 4]])
    with np.errstate(divide="ignore", invalid="ignore"):
        found, wanted = attempt(ids, 6), mean_log_frequency(ids, 6)
    counts = np.bincount(ids.ravel(), minlength=6)
    expect(np.shape(found) == (3,), "return one number for each prompt")
    expect(np.isfinite(found).all(), "a token that is in no other prompt gets the frequency 0, whose logarithm is minus "
           "infinity: add one to every count")
    expect(not any(close(found, np.log((counts + 1) / n)[ids].mean(1)) for n in (12, 18, 8, 14)), "a prompt counts its own "
           "tokens here: take its counts off the sum")
    expect(not close(found, wanted + np.log(14 / 8)), "with one added to every count, the frequencies must still sum to "
           "one: add the size of the vocabulary below")
    expect(close(found, wanted), "for every token of a prompt: its count in the other prompts plus one, over their length "
           "plus the vocabulary; then the logarithm; then the mean over tokens")


# --- chapter 12 ---


@checker
def logit_factor(attempt):
    """A small matrix with the lengths of a large one."""
    weight = torch.tensor(np.random.default_rng(9).normal(size=(40, 5)))
    found = torch.as_tensor(attempt(weight), dtype=torch.float64)
    expect(found.shape != weight.shape, "this is the factor with the orthonormal columns, or the weight itself: it still "
           "has a row for each word")
    expect(found.shape == (5, 5), "the factor must have as many rows and columns as a hidden state has features")
    expect(not close(found, weight.T @ weight), "this is W'W, which has the square of the lengths: take a root of it")
    expect(not close(found @ found.T, weight.T @ weight) or close(found.T @ found, weight.T @ weight), "R R' = W'W, but "
           "lengths need R'R = W'W: transpose")
    expect(close(found.T @ found, weight.T @ weight), "|R u| = |W u| for all u means R'R = W'W: see torch.linalg.qr")


@checker
def dirichlet_entropy_of(attempt):
    """The mean entropy of a cloud that fills the simplex."""
    from ..theory.logits import dirichlet_entropy

    d = np.array([0.0, 1, 6.5, 20])
    found, wanted = attempt(d), dirichlet_entropy(d + 1)
    expect(not close(found, dirichlet_entropy(d)), "this is for d entries: vectors of n entries that sum to one have n - 1 "
           "dimensions")
    expect(not close(found, np.log(d + 1) + np.euler_gamma - 1), "this is the limit for many entries; use digamma")
    expect(not close(found, wanted / np.log(2)), "this is in bits; the book takes natural logarithms")
    expect(close(found, wanted), "psi(n + 1) - psi(2) with n entries; what is n for a cloud of dimension d?")


@checker
def box_entropy(attempt):
    """The entropy of logits in a box, for many tokens."""
    from ..theory.logits import box_deficit, box_entropy

    with np.errstate(all="ignore"):
        found, far = attempt(50, 5.0), attempt(50, 1000.0)
    expect(not close(found, -box_deficit(5.0)), "the logarithm of the number of tokens is missing")
    expect(not close(found, np.log(50) + box_deficit(5.0)), "the sign of the deficit: a box has less entropy than ln n")
    expect(not close(found, box_entropy(50, 5.0) - 1), "the last bracket has a minus one inside: it is subtracted twice")
    expect(close(found, box_entropy(50, 5.0)), "ln n + ln((e^L - 1) / L) - (L e^L / (e^L - 1) - 1)")
    expect(np.isfinite(far), "right for L = 5, but e^1000 is too large for a number: take e^L out of every fraction, so "
           "that only e^-L is left")
    expect(close(far, box_entropy(50, 1000.0)), "right for L = 5, wrong for L = 1000: what is ln(e^L - 1) for large L?")


# --- chapter 16 ---


@checker
def holm(attempt):
    """Holm's adjusted p-values."""
    from ..theory.statistics import holm as wanted

    p = np.array([0.035, 0.001, 0.03, 0.9, 0.012, 0.6])
    found, m, order = attempt(p), len(p), np.argsort(p)
    steps = np.empty(m)
    steps[order] = np.arange(m, 0, -1) * p[order]
    rising = np.maximum.accumulate(steps[order])
    expect(np.shape(found) == (m,), f"return one adjusted p-value for each of the {m}")
    expect(not (np.asarray(found) > 1).any(), "a p-value is at most 1: cut off what is above")
    expect(not close(found, np.minimum(1, m * p)), "this is Bonferroni's rule, which multiplies each by m: Holm's "
           "factor falls from m for the smallest to 1 for the largest")
    expect(not close(found, np.minimum(1, rising)), "the values are right, in rising order: put each back in its place")
    expect(not close(found, np.minimum(1, steps)), "a larger p-value must not get a smaller adjusted one: go through "
           "them in rising order and carry the largest so far along")
    expect(close(found, wanted(p)), "sort; multiply the smallest by m, the next by m - 1, and so on; running maximum; "
           "at most 1; back into the old order")


@checker
def prompts_needed(attempt):
    """The fewest prompts with which a sign-flip test can survive a correction for many."""
    found = [attempt(tests, 0.05) for tests in (1, 8, 40)]
    expect(not close(found, [5, 8, 10]), "this is for one-sided tests: seen from both sides, all signs alike are two "
           "of the 2**n patterns")
    expect(not close(found, [6, 6, 6]), "you leave out the number of tests: the smallest p-value is multiplied by it")
    expect(not close(found, [7, 10, 12]), "off by one: it is the first n that is enough")
    expect(not close(found, [np.log2(40), np.log2(320), np.log2(1600)], 1e-3), "prompts come whole: round up")
    expect(close(found, [6, 9, 11]), "the smallest p-value of n prompts is 2 / 2**n; times the number of tests it has "
           "to be below the level")


# --- chapter 15 ---


@checker
def count_measurements(attempt):
    """Forward passes of a survey."""
    expect(attempt(10, 4, [1, 2]) == 18, "every prompt once in order, and the shuffled ones once more for each degree")
    expect(attempt(10, 4, [0, 1, 2]) == 18, "degree 0 is the prompt in order, which is counted already")
    expect(attempt(10, 4, [1, 1]) == 14, "a degree that is named twice is measured once")
    expect(attempt(3, 50, [5]) == 6, "no more prompts can be shuffled than there are")


@checker
def enough_workers(attempt):
    """Workers that keep the writer busy."""
    found = attempt(1.0, 0.3)
    expect(found > 1, "it is the other way round: how many writes fit into one measurement?")
    expect(found == 4, "workers come whole, and three would leave the writer waiting: round up")
    expect(attempt(1.0, 0.3, 0.5) == 7, "workers that are half as efficient are needed twice as often")


@checker
def is_whole(attempt):
    """Whether a chunk agrees with its checksum."""
    import google_crc32c

    body = b"token geometry"
    sum_ = google_crc32c.value(body)
    expect(attempt(body + sum_.to_bytes(4, "little")), "a chunk that is whole is called damaged: the last four bytes are "
           "the checksum of all the others, least significant byte first")
    expect(not attempt(b"Token geometry" + sum_.to_bytes(4, "little")), "a changed byte goes unnoticed: compare")
    expect(not attempt(b"\0\0\0\0"), "four zero bytes pass: the checksum of nothing is 0, so look at the length too")


# --- chapter 13 ---


@checker
def untrained_loss(attempt):
    """Loss and entropy of a network whose logits are normal numbers."""
    found = attempt(1000, 64, 0.1)
    expect(np.shape(found) == (2,), "return two numbers, the loss and the entropy")
    middle, half = np.log(1000), 0.32
    expect(not close(found, [middle, middle]), "that is a network whose logits are all equal: random logits make some "
           "tokens likely for no reason, which costs loss and lowers the entropy")
    expect(not close(found, [middle - half, middle + half]), "the signs: the loss is above log V, the entropy below")
    expect(not close(found, np.divide([middle + half, middle - half], np.log(2))),
           "this is in bits; the book uses nats")
    expect(not close(found, [middle + 0.4, middle - 0.4]) and not close(found, [middle + 0.05, middle - 0.05]),
           "the variance of a logit is the number of features times the square of the standard deviation")
    expect(close(found, [middle + half, middle - half]), "log V plus and minus half the variance of a logit, in nats")


@checker
def twin_held_fixed(attempt):
    """Correlation of dimension and loss with the twin's dimension held fixed, for every layer at once."""
    from ..theory.statistics import partial_correlation, pearson

    own, twin = np.random.default_rng(13).normal(size=(2, 4, 20))
    loss = np.random.default_rng(14).normal(size=20)
    twin, own = twin + 0.5 * loss, own + 0.8 * twin + loss
    xy, cy, xc = pearson(own, loss), pearson(twin, loss), pearson(own, twin)
    top, wanted = xy - xc * cy, np.array([partial_correlation(x, loss, c) for x, c in zip(own, twin)])
    found = attempt(own, twin, loss)
    expect(np.shape(found) == (4,), "return one number for each layer")
    expect(not close(found, xy), "this is the correlation itself: nothing is held fixed")
    expect(not close(found, pearson(own - twin, loss)), "a difference takes out the twin with a slope of one, which need "
           "not be the best: use the formula")
    expect(not close(found, top), "this is the numerator: divide it by the root of (1 - r_xc^2)(1 - r_yc^2)")
    expect(not close(found, top / ((1 - xc**2) * (1 - cy**2))), "the root is missing below")
    expect(not close(found, top / np.sqrt(1 - xc**2)) and not close(found, top / np.sqrt(1 - cy**2)), "the twin is taken "
           "out of the dimension and out of the loss: both have a factor below the root")
    one = [partial_correlation(own, loss, c) for c in (*twin, twin.mean(0))]
    expect(not any(close(found, r) for r in one), "you hold the same control fixed in all layers: each layer has its own")
    expect(close(found, wanted), "three correlations for each layer, of dimension and loss, twin and loss, dimension and "
           "twin; then the formula for one control")


@checker
def causal_mean(attempt):
    """Mean of each row and all rows before it."""
    values = np.random.default_rng(13).normal(size=(7, 2))
    found, wanted = attempt(values), np.array([values[: i + 1].mean(0) for i in range(7)])
    expect(not close(found, np.cumsum(values, 0)), "this is the sum: divide row i by the number of rows up to it")
    expect(not close(found, np.cumsum(values, 0) / 7), "the first row averages over one row, not over all")
    expect(not close(found, np.tile(values.mean(0), (7, 1))), "a causal mean does not see the rows that follow")
    expect(not close(found[1:], wanted[:-1]), "each row takes part in its own mean")
    expect(close(found, wanted), "np.cumsum over the tokens, divided by 1, 2, 3, ...")


# --- chapter 14 ---


@checker
def percentile_rank(attempt):
    """Share of smaller values plus half the share of equal ones."""
    others = np.array([1.0, 2, 2, 3, 5, 5, 5, 8])
    found = [attempt(x, others) for x in (5.0, 4.0, 0.0)]
    expect(not close(found, [0.5, 0.5, 0]), "equal values count half: you leave them out")
    expect(not close(found, [7 / 8, 0.5, 0]), "equal values count half: you count them in full")
    expect(not close(found, np.array([5.5, 4, 0])), "this is a count: divide by how many there are")
    expect(not close(found, np.array([68.75, 50, 0])), "a share between 0 and 1, please, not a percentage")
    expect(not close(found, [1 - 5.5 / 8, 0.5, 1]), "this is the share above")
    expect(close(found, [5.5 / 8, 0.5, 0]), "the mean of others < x, plus half the mean of others == x")


@checker
def unusual(attempt):
    """How far a new point lies from a fitted line."""
    rng = np.random.default_rng(14)
    x = rng.normal(3, 1, 12)
    y, x0, y0 = 2 * x + rng.normal(size=12), 5.0, 12.0
    slope, intercept = np.polyfit(x, y, 1)
    left, far = ((y - slope * x - intercept) ** 2).sum(), (x0 - x.mean()) ** 2 / ((x - x.mean()) ** 2).sum()
    above, wide = y0 - slope * x0 - intercept, np.sqrt(1 + 1 / 12 + far)
    found, wanted = attempt(x, y, x0, y0), above / np.sqrt(left / 10) / wide
    expect(not close(found, above), "this is the distance itself: divide it by the standard deviation of a new point")
    expect(not close(found, wanted * wide), "the line itself is uncertain, the more so away from the middle: the root "
           "is missing")
    expect(not close(found, wanted * wide / np.sqrt(1 / 12 + far)), "this is the uncertainty of the line alone: a new "
           "point scatters around it, which is the 1 under the root")
    expect(not any(close(found, wanted * np.sqrt(n / 10)) for n in (11, 12)), "the line has taken two parameters from "
           "the data, so divide the squared residuals by n - 2")
    expect(not close(found, -wanted), "the sign: above the line is positive")
    expect(close(found, wanted), "the residual of the new point, over s times the root in the text")
