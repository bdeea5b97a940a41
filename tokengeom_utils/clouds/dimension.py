r"""Intrinsic dimension from ratios of neighbor distances: TwoNN, GRIDE and range scaling.

Take a token, its ``n1``-th and its ``n2``-th neighbor, and the ratio of the two distances
:math:`\mu = r_{n_2} / r_{n_1} > 1`. If the density is constant over the few neighbors around
each token, the law of :math:`\mu` depends on the dimension :math:`d` of the cloud alone:
:math:`\mu^{-d}` follows a Beta(:math:`n_1, n_2 - n_1`) distribution. GRIDE is the most likely
:math:`d`; TwoNN is its case ``n1 = 1, n2 = 2``. The paper's *range scaling* is ``n2 = 2 n1``.

>>> import torch, tokengeom_utils as tg
>>> plane = torch.rand(2000, 2, generator=torch.Generator().manual_seed(1)) @ torch.randn(2, 50)
>>> d = tg.gride(tg.nearest_neighbors(plane, 4).distances, scale=4)
>>> bool(abs(d.dimension - 2) < 4 * d.standard_error)
True
"""

import warnings

import numpy as np
import torch

from ..errors import InputError
from .kernels import fit_gride
from .kernels.reference.gride import apart
from .records import Dimension, DimensionScales

MIN_POINTS = 3


def gride(distances, scale=2):
    r"""GRIDE estimate at one range scaling (``n2 = scale``, ``n1 = scale / 2``).

    Solves for :math:`d`, with :math:`N` ratios :math:`\mu_i`,

    .. math:: \frac{N-1}{d} + (n_2 - n_1 - 1) \sum_i \frac{\ln\mu_i}{1 - \mu_i^{-d}}
              - (n_2 - 1) \sum_i \ln\mu_i = 0 .

    The factor is :math:`N - 1` and not :math:`N`: at scale 2 this makes the estimate unbiased. The
    standard error takes the tokens as independent. Neighborhoods that share points are not, so the
    true spread is larger, the more so the larger the scale.

    Parameters
    ----------
    distances : array_like, shape (..., token, k)
        Sorted neighbor distances, self excluded, ``k >= scale``. Rows of NaN (dropped
        duplicates) and tokens whose nearest neighbor sits at distance zero are left out.
    scale : int
        Range scaling, an even number >= 2.

    Returns
    -------
    Dimension
        ``.dimension``, ``.standard_error`` and ``.n_points``, each of shape (...). NaN, with a
        warning that says why, where fewer than 3 tokens are left.

    Raises
    ------
    InputError
        If the table holds fewer than ``scale`` neighbors.

    References
    ----------
    Denti, Doimo, Laio, Mira, Scientific Reports 12, 20005 (2022), equations 9-11.
    """
    r = _checked(distances, [scale])
    n2 = np.array([scale])
    return Dimension(*(part[..., 0] for part in _enough(fit_gride(r, n2 // 2 - 1, n2 - 1, n2), r, n2 - 1)))


def gride_scales(distances, scale_max=256):
    """GRIDE at every range scaling 2, 4, 8, ..., ``scale_max``: see :func:`gride`.

    Parameters
    ----------
    distances : array_like, shape (..., token, k >= scale_max)
    scale_max : int

    Returns
    -------
    DimensionScales
        Shapes (..., scale), and ``.scales``.

    Raises
    ------
    InputError
        If ``scale_max`` exceeds the number of neighbors in the table, at most N - 1.
    """
    if scale_max < 2:
        raise InputError(f"scale_max = {scale_max}: the smallest range scaling is 2")
    n2 = 2 ** np.arange(1, int(scale_max).bit_length())
    r = _checked(distances, n2.tolist())
    return DimensionScales(*_enough(fit_gride(r, n2 // 2 - 1, n2 - 1, n2), r, n2 - 1), torch.from_numpy(n2))


def _checked(distances, scales):
    """The table, if it has what these range scalings take."""
    r = torch.as_tensor(distances, dtype=torch.float64)
    n, k = r.shape[-2:]
    for scale in scales:
        if scale < 2 or scale % 2:
            raise InputError(f"range scaling n2 = {scale} must be an even number >= 2")
        if scale > n - 1:
            raise InputError(f"scale {scale} exceeds N - 1 = {n - 1}: use more tokens or a lower scale_max")
        if scale > k:
            raise InputError(f"scale {scale} needs {scale} neighbors, the table holds {k}")
    return r


def gride_from_radii(radii):
    """GRIDE at range scalings 2, 4, 8, ... from the few distances it takes: see :func:`gride_scales`.

    Parameters
    ----------
    radii : torch.Tensor, shape (..., token, 1 + scale), float64
        Distances to the neighbors of rank 1, 2, 4, 8, ...

    Returns
    -------
    DimensionScales
    """
    column = np.arange(radii.shape[-1])
    n2 = 2 ** column[1:]
    return DimensionScales(
        *_enough(fit_gride(radii, column[:-1], column[1:], n2), radii, column[1:]), torch.from_numpy(n2)
    )


# Why too few tokens are left, in the order in which they leave.
LOST = (
    f"fewer than {MIN_POINTS} tokens are distinct",
    "nearly all tokens coincide with another",
    "more neighbors are asked for than there are distinct tokens",
    "half of the ratios or more are equal, as on a lattice, so that the cut for outliers removes them",
)


def _enough(estimate, r, far):
    """``estimate`` with NaN, and a warning that says why, where too few tokens are left.

    It took the columns 0 to ``far`` of r (..., token, column); ``far`` is one column, or one for each scale.
    """
    dimension, error, count = estimate
    enough = count >= MIN_POINTS
    if enough.all():
        return estimate
    first, far = r[..., 0], r[..., far]
    if far.ndim > first.ndim:
        first, far = first[..., None, :], far.mT
    distinct = apart(first)
    passed = sum((left.sum(-1) >= MIN_POINTS).long() for left in (~first.isnan(), distinct, distinct & ~far.isnan()))
    warnings.warn(
        f"intrinsic dimension is NaN where fewer than {MIN_POINTS} tokens have a ratio to go by "
        f"(as few as {int(count.min())} of {r.shape[-2]}): "
        + "; ".join(LOST[i] for i in passed.expand(count.shape)[~enough].unique().tolist()),
        RuntimeWarning,
        stacklevel=3,
    )
    return Dimension(torch.where(enough, dimension, torch.nan), torch.where(enough, error, torch.nan), count)


def two_nn(distances, method="mle", fraction=0.9):
    r"""TwoNN estimate from the first two neighbor distances.

    Parameters
    ----------
    distances : array_like, shape (..., token, k >= 2)
    method : {"mle", "linear"}
        ``"mle"``: :math:`(N-1) / \sum\ln\mu`. ``"linear"``: the slope through the origin of
        :math:`-\ln(1 - F(\mu))` on :math:`\ln\mu`, over the lowest ``fraction`` of the ratios.
    fraction : float
        Used by ``"linear"`` alone.

    Returns
    -------
    Dimension
        Shapes (...). The standard error is :math:`d / \sqrt N` for both.

    References
    ----------
    Facco, d'Errico, Rodriguez, Laio, Scientific Reports 7, 12140 (2017).
    """
    r = torch.as_tensor(distances, dtype=torch.float64)
    if r.shape[-1] < 2 or r.shape[-2] < 3:
        raise InputError(f"TwoNN needs 3 tokens and 2 neighbors each, the table is {tuple(r.shape)}")
    if method not in ("mle", "linear"):
        raise InputError(f"method = {method!r}: choose 'mle' or 'linear'")
    if not 0 < fraction < 1:
        raise InputError(f"fraction = {fraction}: the fit needs a part of the ratios, between 0 and 1")
    usable = apart(r[..., 0])
    log_mu = torch.where(usable, (r[..., 1] / r[..., 0]).log(), torch.nan).sort(-1).values
    count = usable.sum(-1)
    if method == "mle":
        d = (count - 1) / log_mu.nansum(-1)
    else:
        rank = torch.arange(1, r.shape[-2] + 1, device=r.device)
        kept = rank <= (count[..., None] * fraction).floor()
        minus_log_survival = -torch.log1p(-rank / count[..., None].double())
        x, y = torch.where(kept, log_mu, 0.0), torch.where(kept, minus_log_survival, 0.0)
        d = (x * y).sum(-1) / (x * x).sum(-1)
    return _enough(Dimension(d, d / count.double().sqrt(), count), r, 1)


def levina_bickel(distances, k=20):
    r"""Levina-Bickel estimate, averaged over tokens as MacKay and Ghahramani advise.

    .. math:: \frac1{\hat d} = \frac1N \sum_i \frac1{k-1} \sum_{j<k} \ln \frac{r_k(i)}{r_j(i)}

    Averaging the inverses, and not the local dimensions themselves, is what the likelihood of
    all tokens together asks for, and it is less biased.

    Parameters
    ----------
    distances : array_like, shape (..., token, >= k)
    k : int

    Returns
    -------
    Dimension
        Shapes (...); the standard error follows from the spread of the local inverses.

    References
    ----------
    Levina, Bickel, *Maximum likelihood estimation of intrinsic dimension*, NIPS 2004.
    """
    r = torch.as_tensor(distances, dtype=torch.float64)
    if not 2 <= k <= r.shape[-1]:
        raise InputError(f"k = {k} neighbors asked of a table that holds {r.shape[-1]}")
    inverse = (r[..., k - 1, None] / r[..., : k - 1]).log().mean(-1)
    inverse = torch.where(inverse.isfinite(), inverse, torch.nan)
    count = (~inverse.isnan()).sum(-1)
    mean = inverse.nanmean(-1)
    spread = ((inverse - mean[..., None]) ** 2).nansum(-1) / (count - 1)
    return _enough(Dimension(1 / mean, (spread / count).sqrt() / mean**2, count), r, k - 1)
