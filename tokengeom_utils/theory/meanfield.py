r"""Self-attention as interacting particles on the sphere: the mean-field picture of a transformer.

Tokens are unit vectors and depth is time. In the simplest model (queries, keys and values all the
identity, no feed-forward layers, no mask) a token moves, along the sphere, toward an average of
the tokens, weighted by attention at inverse temperature :math:`\beta`:

.. math:: \dot x_i = P_{x_i} \frac1{Z_i} \sum_j e^{\beta \langle x_i, x_j \rangle} x_j ,
          \qquad P_x y = y - \langle x, y \rangle x .

``"SA"`` is softmax attention, :math:`Z_i = \sum_j e^{\beta \langle x_i, x_j \rangle}`; ``"USA"`` is
the unnormalized variant, :math:`Z_i = n`, which is a gradient flow. Everything here computes in
float64, and the leading dimensions of a cloud are a batch.

>>> import torch, tokengeom_utils as tg
>>> start = torch.eye(8)  # eight orthogonal tokens
>>> path = tg.meanfield.simulate(start, beta=1.0, times=[0, 2, 8])
>>> path.shape  # (time, token, feature)
torch.Size([3, 8, 8])
>>> tg.meanfield.count_clusters(path)
tensor([8, 8, 1])

References
----------
Geshkovski, Letrouit, Polyanskiy, Rigollet, *A mathematical perspective on Transformers*, Bulletin
of the AMS 62, 427-479 (2025), arXiv:2312.10794; called GLPR below.
"""

from contextlib import contextmanager

import numpy as np
import torch
from scipy.integrate import solve_ivp
from scipy.optimize import nnls
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.special import iv, ive
from scipy.stats import binom

from ..clouds.cosine import directions
from ..errors import InputError

KINDS = ("SA", "USA")


def to_sphere(cloud):
    """Every token divided by its length: the radial projection to the unit sphere.

    Parameters
    ----------
    cloud : array_like, shape (..., token, feature)

    Returns
    -------
    torch.Tensor, shape (..., token, feature), float64

    Raises
    ------
    InputError
        If a token lies at the origin.

    Examples
    --------
    >>> to_sphere([[3.0, 4.0]])
    tensor([[0.6000, 0.8000]], dtype=torch.float64)
    """
    return directions(cloud)


def uniform_tokens(n_tokens, n_features, batch=(), seed=0):
    """Independent tokens, uniform on the unit sphere of ``n_features`` dimensions.

    Parameters
    ----------
    n_tokens, n_features : int
    batch : tuple of int
        Leading dimensions.
    seed : int

    Returns
    -------
    torch.Tensor, shape (*batch, n_tokens, n_features), float64

    Examples
    --------
    >>> uniform_tokens(5, 3, batch=(2,)).norm(dim=-1).allclose(torch.ones(2, 5, dtype=torch.float64))
    True
    """
    generator = np.random.default_rng(seed)
    return to_sphere(generator.standard_normal((*batch, n_tokens, n_features)))


def velocity(tokens, beta, kind="SA", causal=False):
    r"""Velocity of every token: the right-hand side of the self-attention dynamics.

    .. math:: X_i = P_{x_i} \frac1{Z_i} \sum_j e^{\beta \langle x_i, x_j \rangle} x_j

    The sum runs over all tokens or, with a causal mask, over :math:`j \le i`. For USA,
    :math:`Z_i` is the number of tokens in the sum.

    Parameters
    ----------
    tokens : torch.Tensor, shape (..., token, feature), float64
        On the unit sphere.
    beta : float or array_like, shape (...)
        Inverse temperature; an array gives each cloud of the batch its own.
    kind : {"SA", "USA"}
    causal : bool
        Whether token ``i`` sees only itself and the tokens before it.

    Returns
    -------
    torch.Tensor, shape (..., token, feature), float64, orthogonal to ``tokens``

    References
    ----------
    GLPR, equations for SA and USA; the mask: Karagodin, Polyanskiy, Rigollet, arXiv:2411.04990.

    Examples
    --------
    >>> pair = torch.eye(2, dtype=torch.float64)
    >>> velocity(pair, beta=0.0)  # each moves toward the other
    tensor([[0.0000, 0.5000],
            [0.5000, 0.0000]], dtype=torch.float64)
    """
    _check(kind)
    n = tokens.shape[-2]
    scores = _per_pair(beta) * (tokens @ tokens.mT)
    if causal:
        hidden = torch.ones(n, n, dtype=torch.bool, device=tokens.device).triu(1)
        scores = scores.masked_fill(hidden, -torch.inf)
    if kind == "SA":
        weights = scores.softmax(-1)
    else:
        seen = torch.arange(1, n + 1, device=tokens.device) if causal else torch.full((n,), n, device=tokens.device)
        weights = scores.exp() / seen[:, None]
    pull = weights @ tokens
    return pull - (tokens * pull).sum(-1, keepdim=True) * tokens


def simulate(tokens, beta, times, kind="SA", causal=False, dt=0.1, method="rk4"):
    r"""Follow the self-attention dynamics from a start, and report the tokens at given times.

    Solves :math:`\dot x_i = X_i` (:func:`velocity`) in steps of at most ``dt``, putting the tokens
    back on the sphere after each. ``"euler"`` is one projected step of Euler's method, which is a
    residual attention layer followed by a normalization.

    Parameters
    ----------
    tokens : array_like, shape (..., token, feature)
        The start, at time 0; projected to the unit sphere.
    beta : float or array_like, shape (...)
        Inverse temperature; broadcasts with the leading dimensions of ``tokens``.
    times : array_like, shape (time,)
        Ascending, not negative.
    kind : {"SA", "USA"}
        USA is faster by about :math:`e^\beta`: take ``dt`` well below :math:`e^{-\beta}`.
    causal : bool
    dt : float
        Largest step.
    method : {"rk4", "euler"}

    Returns
    -------
    torch.Tensor, shape (..., time, token, feature), float64

    Raises
    ------
    InputError
        For an unknown kind or method, times that descend, a step that is not positive, or a token
        at the origin.

    Examples
    --------
    >>> path = simulate([[1.0, 0.0], [0.0, 1.0]], beta=1.0, times=[0, 20])
    >>> path[-1].round(decimals=3)  # they meet half-way
    tensor([[0.7070, 0.7070],
            [0.7070, 0.7070]], dtype=torch.float64)
    """
    _check(kind)
    if method not in ("rk4", "euler"):
        raise InputError(f"method = {method!r}: choose 'rk4' or 'euler'")
    times = np.asarray(times, dtype=float)
    if times.ndim != 1 or (np.diff(times, prepend=0) < 0).any() or not np.isfinite(times).all():
        raise InputError("times must be a list that ascends from 0 or later")
    if not dt > 0:
        raise InputError(f"dt = {dt}: the step must be positive")
    x = to_sphere(tokens)
    beta = torch.as_tensor(beta, dtype=torch.float64, device=x.device)
    x = x.expand(*torch.broadcast_shapes(beta.shape, x.shape[:-2]), *x.shape[-2:])

    def slope(y):
        return velocity(y, beta, kind, causal)

    path = []
    with _one_thread(when=x.numel() * x.shape[-2] < 2**24):
        for gap in np.diff(times, prepend=0):
            steps = int(np.ceil(gap / dt - 1e-9))
            h = gap / max(steps, 1)
            for _ in range(steps):
                k1 = slope(x)
                if method == "euler":
                    x = to_sphere(x + h * k1)
                    continue
                k2 = slope(x + h / 2 * k1)
                k3 = slope(x + h / 2 * k2)
                k4 = slope(x + h * k3)
                x = to_sphere(x + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4))
            path.append(x)
    return torch.stack(path, -3)


def interaction_energy(tokens, beta):
    r"""Interaction energy of a cloud of unit vectors.

    .. math:: E_\beta[\mu] = \frac1{2\beta} \iint e^{\beta \langle x, y \rangle} d\mu(x)\, d\mu(y)
              = \frac1{2 \beta n^2} \sum_{i,j} e^{\beta \langle x_i, x_j \rangle}

    It never decreases along SA or USA; the uniform measure has the least, a single point the most,
    :math:`e^\beta / 2 \beta`.

    Parameters
    ----------
    tokens : array_like, shape (..., token, feature)
        Projected to the unit sphere.
    beta : float or array_like, shape (...)
        Positive.

    Returns
    -------
    torch.Tensor, shape (...), float64

    Raises
    ------
    InputError
        If ``beta`` is not positive.

    References
    ----------
    GLPR, the section on the interaction energy.

    Examples
    --------
    >>> interaction_energy([[0.0, 2.0], [0.0, 1.0]], beta=1.0)  # one point: e / 2
    tensor(1.3591, dtype=torch.float64)
    """
    mean, beta = _mean_over_pairs(tokens, beta, 0, "the interaction energy")
    return mean / (2 * beta)


def effective_groups(tokens, beta):
    r"""Effective number of groups of a cloud of unit vectors, at resolution :math:`1 / \sqrt\beta`.

    .. math:: G_\beta[\mu] = \Big( \iint e^{\beta (\langle x, y \rangle - 1)} d\mu(x)\, d\mu(y) \Big)^{-1}
              = \frac{e^\beta}{2 \beta E_\beta[\mu]}

    It is 1 if all tokens are in one place, m for m equal groups that are far apart on the scale of
    the resolution, and at most the number of tokens. It is the interaction energy in other units:
    where the energy grows, this number falls.

    Parameters
    ----------
    tokens : array_like, shape (..., token, feature)
        Projected to the unit sphere.
    beta : float or array_like, shape (...)
        Positive.

    Returns
    -------
    torch.Tensor, shape (...), float64

    References
    ----------
    The diversity of order 2 of Leinster and Cobbold, *Measuring diversity: the importance of species
    similarity*, Ecology 93 (2012), with the similarity :math:`e^{\beta (\langle x, y \rangle - 1)}`.

    Examples
    --------
    >>> effective_groups([[1.0, 0.0], [-1.0, 0.0], [-1.0, 0.0], [1.0, 0.0]], beta=50.0)
    tensor(2., dtype=torch.float64)
    """
    # Not from the energy: e^beta alone would overflow where this does not.
    return 1 / _mean_over_pairs(tokens, beta, 1, "the effective number of groups")[0]


def _mean_over_pairs(tokens, beta, shift, what):
    """Mean of exp(beta (<x, y> - shift)) over all pairs, shape (...), and ``beta`` as a tensor."""
    x = to_sphere(tokens)
    beta = torch.as_tensor(beta, dtype=torch.float64, device=x.device)
    if not (beta > 0).all():
        raise InputError(f"{what} needs beta > 0")
    return (_per_pair(beta) * (x @ x.mT - shift)).exp_().mean((-1, -2)), beta


def cosine_speed(gamma, n_tokens, beta, kind="SA"):
    r"""Time derivative of the common cosine of tokens that all make the same angle with each other.

    .. math:: \dot\gamma_{SA} = \frac{2 (1 - \gamma) ((n-1) \gamma + 1)}{e^{\beta (1 - \gamma)} + n - 1} ,
              \qquad
              \dot\gamma_{USA} = \frac2n e^{\beta\gamma} (1 - \gamma) ((n-1) \gamma + 1)

    Parameters
    ----------
    gamma, n_tokens, beta : array_like
        They broadcast.
    kind : {"SA", "USA"}

    Returns
    -------
    numpy.ndarray

    References
    ----------
    GLPR, Section 6 (orthogonal start).

    Examples
    --------
    >>> float(cosine_speed(0.0, n_tokens=2, beta=0.0))  # two orthogonal tokens
    1.0
    """
    gamma = np.asarray(gamma, dtype=float)
    return (1 - gamma) * _log_gap_speed(gamma, n_tokens, beta, kind)


def cosine_ode(times, n_tokens, beta, kind="SA", start=0.0):
    r"""Common cosine :math:`\gamma(t)` of an orthogonal start: :func:`cosine_speed`, integrated.

    By symmetry, tokens that start orthogonal keep one common cosine, so the whole system is this
    one equation. It is solved for :math:`-\log(1 - \gamma)`, which grows without getting stiff.

    Parameters
    ----------
    times : array_like, shape (time,)
        Ascending, from 0 or later.
    n_tokens : int
    beta : float or array_like, shape (...)
    kind : {"SA", "USA"}
    start : float
        :math:`\gamma(0)`; 0 for an orthogonal start.

    Returns
    -------
    numpy.ndarray, shape (..., time)

    Examples
    --------
    >>> cosine_ode([0, 5, 10], n_tokens=32, beta=1.0).round(3).tolist()
    [0.0, 0.998, 1.0]
    """
    times = np.atleast_1d(np.asarray(times, dtype=float))
    beta = np.asarray(beta, dtype=float)

    def slope(_, u):
        return _log_gap_speed(-np.expm1(-u), n_tokens, beta.ravel(), kind)

    u = np.full(beta.size, -np.log1p(-start))
    solution = solve_ivp(slope, (0, max(times[-1], 1e-12)), u, t_eval=times, rtol=1e-9, atol=1e-10)
    return -np.expm1(-solution.y.reshape(*beta.shape, len(times)))


def clustering_time(n_tokens, beta, kind="SA", level=0.999, start=0.0):
    r"""Time until the common cosine of an orthogonal start reaches ``level``.

    .. math:: T = \int_{\gamma(0)}^{\text{level}} \frac{d\gamma}{\dot\gamma(\gamma)} ,

    by quadrature in :math:`u = -\log(1 - \gamma)`, where the integrand is smooth.

    Parameters
    ----------
    n_tokens : int
    beta : float or array_like, shape (...)
    kind : {"SA", "USA"}
    level, start : float
        ``start < level < 1``.

    Returns
    -------
    numpy.ndarray, shape (...)

    Examples
    --------
    >>> clustering_time(32, [1.0, 9.0], "SA").round(1).tolist()
    [5.3, 178.7]
    >>> clustering_time(32, [1.0, 9.0], "USA").round(1).tolist()
    [2.9, 0.7]
    """
    nodes, weights = np.polynomial.legendre.leggauss(400)
    low, high = -np.log1p(-start), -np.log1p(-level)
    u = (low + high) / 2 + (high - low) / 2 * nodes
    beta = np.asarray(beta, dtype=float)[..., None]
    return (weights / _log_gap_speed(-np.expm1(-u), n_tokens, beta, kind)).sum(-1) * (high - low) / 2


def hemisphere_probability(n_tokens, n_features):
    r"""Probability that independent uniform tokens all lie in one open hemisphere.

    .. math:: P = 2^{-(n-1)} \sum_{k=0}^{d-1} \binom{n-1}{k}

    Such a start is known to end in one cluster, exponentially fast. For :math:`n \le d` it is
    certain.

    Parameters
    ----------
    n_tokens, n_features : array_like of int
        They broadcast.

    Returns
    -------
    numpy.ndarray

    References
    ----------
    Wendel, *A problem in geometric probability*, Mathematica Scandinavica 11 (1962); GLPR,
    Section 6.

    Examples
    --------
    >>> float(hemisphere_probability(3, 2))  # three points on a circle
    0.75
    """
    return binom.cdf(np.asarray(n_features) - 1, np.asarray(n_tokens) - 1, 0.5)


def hemisphere_margin(tokens):
    r"""Largest margin with which the tokens lie in one hemisphere; 0 if there is no open one.

    .. math:: \max_{|w| = 1} \min_i \langle w, x_i \rangle ,

    if that is positive: the distance from the origin to the convex hull of the tokens. Found by
    non-negative least squares, which either proves that the origin lies in the hull or finds w.

    Parameters
    ----------
    tokens : array_like, shape (token, feature)
        Projected to the unit sphere.

    Returns
    -------
    float
        0 up to rounding means below 1e-9.

    References
    ----------
    Lawson and Hanson, *Solving least squares problems* (1974), Chapter 23: least-distance programming.

    Examples
    --------
    >>> round(hemisphere_margin([[1.0, 0.0], [0.0, 1.0]]), 4)
    0.7071
    >>> hemisphere_margin([[1.0, 0.0], [-1.0, 1.0], [-1.0, -1.0]])
    0.0
    """
    x = to_sphere(tokens).cpu().numpy()
    a = np.vstack([x.T, np.ones(len(x))])
    weights, _ = nnls(a, np.eye(len(a))[-1], maxiter=30 * len(x))
    rest = np.eye(len(a))[-1] - a @ weights  # the side that no mixture of tokens can reach
    length = np.linalg.norm(rest[:-1])
    margin = rest[-1] / length if length > 1e-9 else 0.0
    return float(margin) if margin > 1e-9 else 0.0


def wave_rate(k, beta, kind="SA"):
    r"""Growth rate of a small wave with ``k`` crests on top of the uniform distribution on the circle.

    .. math:: \lambda_k = \frac{k^2 I_k(\beta)}{\beta} \ \text{(USA)} , \qquad
              \frac{k^2 I_k(\beta)}{\beta I_0(\beta)} \ \text{(SA)}

    with the modified Bessel functions :math:`I_k`. The fastest wave is the same for both variants.

    Parameters
    ----------
    k, beta : array_like
        They broadcast; ``beta`` positive.
    kind : {"SA", "USA"}

    Returns
    -------
    numpy.ndarray

    References
    ----------
    Bruno, Pasqualotto, Agazzi, arXiv:2410.23228, for the role of the fastest wave.

    Examples
    --------
    >>> int(np.argmax(wave_rate(np.arange(10), beta=5.0)))
    3
    """
    _check(kind)
    k, beta = np.asarray(k, dtype=float), np.asarray(beta, dtype=float)
    size = ive(k, beta) / ive(0, beta) if kind == "SA" else iv(k, beta)
    return k**2 * size / beta


def count_clusters(tokens, cosine=0.999):
    """Number of clusters: groups of tokens that are linked by cosines above a threshold.

    Two tokens are in one cluster if a chain of tokens leads from one to the other, each within the
    threshold of the next.

    Parameters
    ----------
    tokens : array_like, shape (..., token, feature)
        Projected to the unit sphere.
    cosine : float
        Threshold; 0.999 is an angle of 2.6 degrees.

    Returns
    -------
    torch.Tensor, shape (...), int64

    Examples
    --------
    >>> count_clusters([[1.0, 0.0], [1.0, 0.01], [0.0, 1.0]])
    tensor(2)
    """
    x = to_sphere(tokens)
    *batch, n, _ = x.shape
    x = x.reshape(-1, n, x.shape[-1])
    cloud, i, j = torch.nonzero(x @ x.mT > cosine, as_tuple=True)
    rows, columns = (cloud * n + i).cpu().numpy(), (cloud * n + j).cpu().numpy()
    graph = coo_array((np.ones(len(rows), np.int8), (rows, columns)), shape=(len(x) * n,) * 2)
    _, label = connected_components(graph, directed=False)
    first = np.unique(label, return_index=True)[1]  # every cluster is counted at its first token
    return torch.from_numpy(np.bincount(first // n, minlength=len(x))).reshape(batch)


def _log_gap_speed(gamma, n, beta, kind):
    """d/dt of -log(1 - gamma), which is the speed of the cosine over 1 - gamma."""
    _check(kind)
    n, beta = np.asarray(n, dtype=float), np.asarray(beta, dtype=float)
    spread = (n - 1) * gamma + 1
    if kind == "SA":
        return 2 * spread / (np.exp(beta * (1 - gamma)) + n - 1)
    return 2 * spread * np.exp(beta * gamma) / n


@contextmanager
def _one_thread(when):
    """Keep small products on one thread: waiting for each other costs threads more than it saves."""
    threads = torch.get_num_threads()
    if when:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _per_pair(beta):
    """Inverse temperatures (...) shaped to multiply scores (..., token, token)."""
    return torch.as_tensor(beta, dtype=torch.float64)[..., None, None]


def _check(kind):
    if kind not in KINDS:
        raise InputError(f"kind = {kind!r}: choose 'SA' or 'USA'")
