r"""The likelihood equation of GRIDE, by Newton's method on tensors of any device."""

import torch

from ...records import Dimension
from ..limits import DUPLICATE, TIED


def fit(r, near, far, n2):
    r"""Estimate the dimension at each scale from a few columns of a neighbor table.

    Parameters
    ----------
    r : torch.Tensor, shape (..., token, column), float64
        Distances; column 0 belongs to the nearest neighbor.
    near, far : array_like of int, shape (scale,)
        The columns whose ratio is taken at each range scaling.
    n2 : numpy.ndarray of int, shape (scale,)
        The range scalings, twice the rank of ``near``.

    Returns
    -------
    Dimension
        Shapes (..., scale).

    Notes
    -----
    With :math:`y_i = \frac d2 \ln\mu_i`, :math:`c_i = y_i \coth y_i` and :math:`w = n_2 - n_1 - 1`, the score times
    :math:`d` is

    .. math:: F(d) = N - 1 + w \sum_i c_i - (1 + \tfrac32 w)\, d \sum_i \ln\mu_i ,

    as :math:`1 / (1 - e^{-2 y}) = (1 + \coth y) / 2`. It falls and is convex, so the first step of Newton's method
    never ends right of the root, nor left of zero, and the others climb to it. From :math:`y c' = c - c^2 + y^2`,
    the derivative needs only :math:`\sum_i (c_i^2 - y_i^2)`, which the standard error contains too. The start is
    :math:`c = 1 + y^2 / 3`; at scale 2, where :math:`w = 0`, one step suffices.
    """
    log_mu = _log_ratios(r[..., 0], r[..., near], r[..., far])  # (..., scale, token), NaN where left out
    used = ~log_mu.isnan()
    count = used.sum(-1)
    log_mu = torch.where(used, log_mu, 0.0)
    n, w = count.double(), torch.from_numpy(n2 / 2 - 1).to(r.device)
    fall = (1 + 1.5 * w) * log_mu.sum(-1)
    start = n - 1 + w * n
    d = 2 * start / (fall + (fall**2 - w * start * log_mu.square().sum(-1) / 3).clamp(min=0).sqrt())
    for _ in range(100):
        y = d[..., None] / 2 * log_mu
        c = torch.where(used, y / y.tanh(), 0.0)
        a, b = c.sum(-1), (c**2 - y**2).sum(-1)
        before, d = d, d * (n - 1 + w * b) / (d * fall + w * (b - a))
        if not ((d - before).abs() > 1e-12 * d).any():
            break
    return Dimension(d, d * (n + w * b).rsqrt(), count)


def apart(first):
    """Tell which tokens have no duplicate, from their first distances (..., token)."""
    return first > DUPLICATE * first.nanmedian(-1, keepdim=True).values


def _log_ratios(first, near, far):
    """log(far / near) as (..., scale, token), with NaN for tokens that do not enter.

    Left out are rows of NaN, tokens with a duplicate, and, as in DADApy, ratios above
    q50 + 20 (q95 - q50), which usually removes nothing. Ties count as a ratio just above one.
    """
    mu = torch.where(apart(first)[..., None], far / near, torch.nan).mT
    mu = torch.where(mu == 1, TIED, mu)
    q50, q95 = _quantiles(mu, (0.5, 0.95))
    return torch.where(mu < q50 + 20 * (q95 - q50), mu, torch.nan).log()


def _quantiles(a, qs):
    """Quantiles over the last axis ignoring NaN, interpolated linearly as numpy.percentile does."""
    ordered = a.sort(-1).values  # NaN sort last
    last = ((~a.isnan()).sum(-1, keepdim=True) - 1).clamp(min=0)
    result = []
    for q in qs:
        position = q * last.double()
        below = position.floor().long()
        above = torch.minimum(below + 1, last)
        low, high = ordered.gather(-1, below), ordered.gather(-1, above)
        result.append(low + (position - below) * (high - low))
    return result
