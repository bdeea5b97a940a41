"""The self-attention dynamics: the velocity of every token, and the path that follows from it."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal, get_args

import numpy as np
import torch
from numpy.typing import ArrayLike

from ...errors import InputError
from .sphere import to_sphere

Kind = Literal["SA", "USA"]
KINDS: tuple[Kind, ...] = get_args(Kind)  #: softmax attention, and its unnormalized variant


def velocity(
    tokens: torch.Tensor, beta: ArrayLike | torch.Tensor, kind: Kind = "SA", causal: bool = False
) -> torch.Tensor:
    r"""Compute the velocity of every token: the right-hand side of the self-attention dynamics.

    .. math:: X_i = P_{x_i} \frac1{Z_i} \sum_j e^{\beta \langle x_i, x_j \rangle} x_j , \qquad
              P_x y = y - \langle x, y \rangle x

    The sum runs over all tokens or, with a causal mask, over :math:`j \le i`. For SA,
    :math:`Z_i = \sum_j e^{\beta \langle x_i, x_j \rangle}`; for USA, :math:`Z_i` is the number of tokens in the sum.

    Parameters
    ----------
    tokens : torch.Tensor, shape (..., token, feature), float64
        On the unit sphere.
    beta : float or array_like, shape (...)
        Inverse temperature; an array assigns one to each cloud of the batch.
    kind : {"SA", "USA"}
    causal : bool
        Whether token ``i`` attends only to itself and the tokens before it.

    Returns
    -------
    torch.Tensor, shape (..., token, feature), float64, orthogonal to ``tokens``

    Raises
    ------
    InputError
        If ``kind`` is unknown.

    See Also
    --------
    simulate : the path that follows from the velocity.
    cosine_speed : the same for an orthogonal start.

    Notes
    -----
    Introduced in the chapter *The mean-field picture*.

    References
    ----------
    Geshkovski et al., arXiv:2312.10794, equations (SA) and (USA); the mask: Karagodin, Polyanskiy, Rigollet,
    arXiv:2411.04990.

    Examples
    --------
    >>> import torch, tokengeom_utils as tg
    >>> pair = torch.eye(2, dtype=torch.float64)
    >>> tg.meanfield.velocity(pair, beta=0.0)  # each moves toward the other
    tensor([[0.0000, 0.5000],
            [0.5000, 0.0000]], dtype=torch.float64)
    """
    check_kind(kind)
    n = tokens.shape[-2]
    scores = per_pair(beta) * (tokens @ tokens.mT)
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


def simulate(
    tokens: ArrayLike | torch.Tensor,
    beta: ArrayLike | torch.Tensor,
    times: ArrayLike,
    kind: Kind = "SA",
    causal: bool = False,
    dt: float = 0.1,
    method: Literal["rk4", "euler"] = "rk4",
) -> torch.Tensor:
    r"""Follow the self-attention dynamics from a start, and return the tokens at given times.

    Solves :math:`\dot x_i = X_i(x)` (:func:`velocity`) in steps of at most ``dt``, and projects the tokens back to the
    sphere after each. ``"rk4"`` is the classical Runge-Kutta method of fourth order; ``"euler"`` is Euler's method,
    whose step is a residual attention layer followed by a normalization.

    Parameters
    ----------
    tokens : array_like, shape (..., token, feature)
        The start, at time 0; projected to the unit sphere.
    beta : float or array_like, shape (...)
        Inverse temperature; broadcasts with the leading dimensions of ``tokens``.
    times : array_like, shape (time,)
        In ascending order, from 0 or later.
    kind : {"SA", "USA"}
        USA is faster by about :math:`e^\beta`: choose ``dt`` well below :math:`e^{-\beta}`.
    causal : bool
        Whether token ``i`` attends only to itself and the tokens before it.
    dt : float
        Largest step, in units of time.
    method : {"rk4", "euler"}

    Returns
    -------
    torch.Tensor, shape (..., time, token, feature), float64

    Raises
    ------
    InputError
        If the kind or the method is unknown, the times descend, the step is not positive, or a token lies at the
        origin.

    See Also
    --------
    velocity : the right-hand side.
    cosine_ode : the solution for an orthogonal start.
    count_clusters, interaction_energy : measure the path.

    Notes
    -----
    Introduced in the chapter *The mean-field picture*.

    References
    ----------
    Geshkovski et al., arXiv:2312.10794, equations (SA) and (USA).

    Examples
    --------
    >>> import tokengeom_utils as tg
    >>> path = tg.meanfield.simulate([[1.0, 0.0], [0.0, 1.0]], beta=1.0, times=[0, 20])
    >>> path[-1].round(decimals=3)  # they meet halfway
    tensor([[0.7070, 0.7070],
            [0.7070, 0.7070]], dtype=torch.float64)
    """
    check_kind(kind)
    if method not in ("rk4", "euler"):
        raise InputError(f"method = {method!r} is unknown: choose 'rk4' or 'euler'")
    times = np.asarray(times, dtype=float)
    if times.ndim != 1 or (np.diff(times, prepend=0) < 0).any() or not np.isfinite(times).all():
        raise InputError("times must be finite numbers in ascending order, from 0 or later: sort the list of times")
    if not dt > 0:
        raise InputError(f"dt = {dt} is not positive: choose a step such as 0.1")
    x = to_sphere(tokens)
    beta = torch.as_tensor(beta, dtype=torch.float64, device=x.device)
    x = x.expand(*torch.broadcast_shapes(beta.shape, x.shape[:-2]), *x.shape[-2:])

    def slope(y: torch.Tensor) -> torch.Tensor:
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


def check_kind(kind: str) -> None:
    """Raise ``InputError`` unless ``kind`` is one of :data:`KINDS`."""
    if kind not in KINDS:
        raise InputError(f"kind = {kind!r} is unknown: choose 'SA' or 'USA'")


def per_pair(beta: ArrayLike | torch.Tensor) -> torch.Tensor:
    """Reshape inverse temperatures (...) so that they multiply scores (..., token, token)."""
    return torch.as_tensor(beta, dtype=torch.float64)[..., None, None]


@contextmanager
def _one_thread(when: bool) -> Iterator[None]:
    """Keep small matrix products on one thread: synchronizing threads costs more time than it saves."""
    threads = torch.get_num_threads()
    if when:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
