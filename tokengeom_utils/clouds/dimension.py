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
from numpy.typing import ArrayLike

from ..errors import InputError
from .kernels import fit_gride
from .kernels.reference.gride import apart
from .records import Dimension, DimensionScales, LocalDimension

MIN_POINTS = 3  #: tokens needed for an estimate


def gride(distances: ArrayLike | torch.Tensor, scale: int = 2) -> Dimension:
    r"""Estimate the intrinsic dimension by GRIDE at one range scaling (``n2 = scale``, ``n1 = scale / 2``).

    The estimate is the root :math:`d` of, with :math:`N` ratios :math:`\mu_i`,

    .. math:: \frac{N-1}{d} + (n_2 - n_1 - 1) \sum_i \frac{\ln\mu_i}{1 - \mu_i^{-d}}
              - (n_2 - 1) \sum_i \ln\mu_i = 0 .

    The factor :math:`N - 1`, instead of :math:`N`, makes the estimate unbiased at scale 2. The
    standard error assumes that tokens are independent. Neighborhoods that share points are not, so the
    true spread is larger, and more so at larger scales.

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
        ``.dimension``, ``.standard_error`` and ``.n_points``, each of shape (...), float64 and int64. NaN, with a
        warning that gives the reason, where fewer than 3 tokens are left.

    Raises
    ------
    InputError
        If ``scale`` is odd or below 2, or the table holds fewer than ``scale`` neighbors.

    See Also
    --------
    gride_scales : all range scalings at once.
    intrinsic_dimension : the same from a cloud, in less time.

    Notes
    -----
    Introduced in the chapter *Intrinsic dimension: how many directions does a cloud have?*

    References
    ----------
    Denti, Doimo, Laio, Mira, Scientific Reports 12, 20005 (2022), equations 9-11.

    Examples
    --------
    >>> import torch, tokengeom_utils as tg
    >>> square = torch.rand(1000, 2, generator=torch.Generator().manual_seed(0))
    >>> found = tg.gride(tg.nearest_neighbors(square, 8).distances, scale=8)
    >>> round(found.dimension.item(), 1)  # a little low: the square has edges
    1.9
    """
    r = _checked(distances, [scale])
    n2 = np.array([scale])
    return Dimension(*(part[..., 0] for part in _enough(fit_gride(r, n2 // 2 - 1, n2 - 1, n2), r, n2 - 1)))


def gride_scales(distances: ArrayLike | torch.Tensor, scale_max: int = 256) -> DimensionScales:
    r"""Estimate the intrinsic dimension by GRIDE at every range scaling 2, 4, 8, ..., ``scale_max``.

    Each scale solves the equation of :func:`gride` with :math:`n_2 = 2 n_1`.

    Parameters
    ----------
    distances : array_like, shape (..., token, k >= scale_max)
        Sorted neighbor distances, as for :func:`gride`.
    scale_max : int
        Largest range scaling.

    Returns
    -------
    DimensionScales
        ``.dimension``, ``.standard_error`` and ``.n_points`` of shape (..., scale), and ``.scales`` (scale,).

    Raises
    ------
    InputError
        If ``scale_max`` is below 2 or exceeds the number of neighbors in the table, at most N - 1.

    See Also
    --------
    gride, intrinsic_dimension

    Notes
    -----
    Introduced in the chapter *Intrinsic dimension: how many directions does a cloud have?*

    References
    ----------
    Denti, Doimo, Laio, Mira, Scientific Reports 12, 20005 (2022).

    Examples
    --------
    >>> import torch, tokengeom_utils as tg
    >>> square = torch.rand(1000, 2, generator=torch.Generator().manual_seed(0))
    >>> tg.gride_scales(tg.nearest_neighbors(square, 8).distances, scale_max=8).scales
    tensor([2, 4, 8])
    """
    if scale_max < 2:
        raise InputError(f"scale_max = {scale_max}: the smallest range scaling is 2")
    n2 = 2 ** np.arange(1, int(scale_max).bit_length())
    r = _checked(distances, n2.tolist())
    found = _enough(fit_gride(r, n2 // 2 - 1, n2 - 1, n2), r, n2 - 1)
    return DimensionScales(found.dimension, found.standard_error, found.n_points, torch.from_numpy(n2))


def _checked(distances, scales):
    """Return the table as float64 if it holds the neighbors that these range scalings need."""
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


def gride_from_radii(radii: torch.Tensor) -> DimensionScales:
    """Estimate the dimension at range scalings 2, 4, 8, ... from the few distances needed: see :func:`gride_scales`.

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
    found = _enough(fit_gride(radii, column[:-1], column[1:], n2), radii, column[1:])
    return DimensionScales(found.dimension, found.standard_error, found.n_points, torch.from_numpy(n2))


# Why too few tokens are left, in the order in which they leave.
LOST = (
    f"fewer than {MIN_POINTS} tokens are distinct",
    "nearly all tokens coincide with another",
    "more neighbors are asked for than there are distinct tokens",
    "half of the ratios or more are equal, as on a lattice, so that the cut for outliers removes them",
)


def _enough(estimate, r, far):
    """Replace the estimate by NaN where too few tokens are left, with a warning that gives the reason.

    The estimate used the columns 0 to ``far`` of r (..., token, column); ``far`` is one column, or one per scale.
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
        f"intrinsic dimension is NaN where fewer than {MIN_POINTS} tokens have a usable ratio "
        f"(as few as {int(count.min())} of {r.shape[-2]}): "
        + "; ".join(LOST[i] for i in passed.expand(count.shape)[~enough].unique().tolist()),
        RuntimeWarning,
        stacklevel=3,
    )
    return Dimension(torch.where(enough, dimension, torch.nan), torch.where(enough, error, torch.nan), count)


def two_nn(distances: ArrayLike | torch.Tensor, method: str = "mle", fraction: float = 0.9) -> Dimension:
    r"""Estimate the intrinsic dimension by TwoNN from the first two neighbor distances.

    The ratio :math:`\mu = r_2 / r_1` follows the Pareto law :math:`F(\mu) = 1 - \mu^{-d}`.

    Parameters
    ----------
    distances : array_like, shape (..., token, k >= 2)
        Sorted neighbor distances, as for :func:`gride`.
    method : {"mle", "linear"}
        ``"mle"``: :math:`(N-1) / \sum\ln\mu`. ``"linear"``: the slope through the origin of
        :math:`-\ln(1 - F(\mu))` on :math:`\ln\mu`, over the lowest ``fraction`` of the ratios.
    fraction : float
        Only used by ``"linear"``.

    Returns
    -------
    Dimension
        Shapes (...). The standard error is :math:`d / \sqrt N` for both methods.

    Raises
    ------
    InputError
        If the table holds fewer than 3 tokens or 2 neighbors, or an option is unknown or out of range.

    See Also
    --------
    gride : the same at larger scales.

    Notes
    -----
    Introduced in the chapter *Intrinsic dimension: how many directions does a cloud have?*

    References
    ----------
    Facco, d'Errico, Rodriguez, Laio, Scientific Reports 7, 12140 (2017).

    Examples
    --------
    >>> import torch, tokengeom_utils as tg
    >>> square = torch.rand(1000, 2, generator=torch.Generator().manual_seed(0))
    >>> found = tg.two_nn(tg.nearest_neighbors(square, 2).distances)
    >>> bool(abs(found.dimension - 2) < 3 * found.standard_error)
    True
    """
    r = torch.as_tensor(distances, dtype=torch.float64)
    if r.shape[-1] < 2 or r.shape[-2] < 3:
        raise InputError(f"TwoNN needs 3 tokens and 2 neighbors each, the table is {tuple(r.shape)}")
    if method not in ("mle", "linear"):
        raise InputError(f"method = {method!r}: choose 'mle' or 'linear'")
    if not 0 < fraction < 1:
        raise InputError(f"fraction = {fraction}: choose the share of the ratios that is fitted, between 0 and 1")
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


def levina_bickel(distances: ArrayLike | torch.Tensor, k: int = 20) -> Dimension:
    r"""Estimate the intrinsic dimension by Levina and Bickel, averaged over tokens as MacKay and Ghahramani advise.

    .. math:: \frac1{\hat d} = \frac1N \sum_i \frac1{k-1} \sum_{j<k} \ln \frac{r_k(i)}{r_j(i)}

    The joint likelihood of all tokens leads to this average of the inverses, which is less biased than an average of
    the local dimensions.

    Parameters
    ----------
    distances : array_like, shape (..., token, >= k)
        Sorted neighbor distances, as for :func:`gride`.
    k : int
        Neighbors used, at least 2.

    Returns
    -------
    Dimension
        Shapes (...); the standard error follows from the spread of the local inverses.

    Raises
    ------
    InputError
        If the table holds fewer than ``k`` neighbors, or ``k`` is below 2.

    See Also
    --------
    gride, two_nn
    local_dimension : the estimate of every token.

    Notes
    -----
    Introduced in the chapter *Estimators compared: does the answer depend on the method?*

    References
    ----------
    Levina, Bickel, *Maximum likelihood estimation of intrinsic dimension*, NIPS 2004. MacKay, Ghahramani, *Comments
    on "Maximum likelihood estimation of intrinsic dimension"* (2005).

    Examples
    --------
    >>> import torch, tokengeom_utils as tg
    >>> square = torch.rand(1000, 2, generator=torch.Generator().manual_seed(0))
    >>> round(tg.levina_bickel(tg.nearest_neighbors(square, 20).distances).dimension.item(), 1)
    1.9
    """
    r, inverse = _local_inverse(distances, k)
    count = (~inverse.isnan()).sum(-1)
    mean = inverse.nanmean(-1)
    spread = ((inverse - mean[..., None]) ** 2).nansum(-1) / (count - 1)
    return _enough(Dimension(1 / mean, (spread / count).sqrt() / mean**2, count), r, k - 1)


def local_dimension(distances: ArrayLike | torch.Tensor, k: int = 20) -> LocalDimension:
    r"""Estimate the intrinsic dimension at each token from its ``k`` nearest neighbors, by Levina and Bickel.

    .. math:: \hat d_i = \frac{k - 2}{S_i} , \qquad S_i = \sum_{j<k} \ln \frac{r_k(i)}{r_j(i)} , \qquad
              \mathrm{se}(\hat d_i) = \frac{\hat d_i}{\sqrt{k - 2}} .

    If the neighbors lie as in a Poisson process of constant intensity in :math:`d` dimensions, :math:`S_i` is a sum of
    :math:`k - 1` exponential variables of rate :math:`d`. So :math:`\hat d_i` follows an inverse gamma distribution of
    shape :math:`k - 1` and scale :math:`(k - 2)\, d`. The numerator of the maximum of the likelihood is :math:`k - 1`;
    :math:`k - 2` makes the mean :math:`d`, for every :math:`k \ge 3`. The variance, :math:`d^2 / (k - 3)`, is finite
    for :math:`k \ge 4`; the square of the standard error is an unbiased estimate of it.

    One token's estimate is noisy: its relative error is about :math:`1 / \sqrt{k - 2}`, 24% for 20 neighbors, and
    tokens that share neighbors have similar errors. A map of many tokens can show where a cloud has more dimensions,
    at the scale of ``k`` neighbors; another ``k`` is another scale and may give another answer. It is the dimension of
    a manifold at a token only if the density is constant and the manifold flat as far as the ``k``-th neighbor.

    Parameters
    ----------
    distances : array_like, shape (..., token, >= k)
        Sorted neighbor distances, as for :func:`gride`.
    k : int
        Neighbors used, at least 3.

    Returns
    -------
    LocalDimension
        ``.dimension`` and ``.standard_error``, each of shape (..., token), float64, on the device of the table. Both
        are NaN for tokens that :func:`levina_bickel` leaves out: those at distance zero from another, dropped
        duplicates, and those without a ``k``-th neighbor. Both are infinite if all ``k`` neighbors are equally far. The
        standard error is infinite for ``k = 3``.

    Raises
    ------
    InputError
        If the table holds fewer than ``k`` neighbors, or ``k`` is below 3.

    See Also
    --------
    levina_bickel : one estimate for the cloud, from the same sums.
    gride, two_nn

    Notes
    -----
    Introduced in the chapter *Estimators compared: does the answer depend on the method?*

    A mean over tokens runs high where their dimensions differ. MacKay and Ghahramani average the inverses instead, as
    :func:`levina_bickel` does: :math:`(k - 1) / \bar S` with the mean :math:`\bar S` over tokens. Their numerator is
    :math:`k - 1`, because the inverses :math:`S_i / (k - 1)` are unbiased as they are.

    References
    ----------
    Levina, Bickel, *Maximum likelihood estimation of intrinsic dimension*, NIPS 2004, equation 8.
    MacKay, Ghahramani, *Comments on "Maximum likelihood estimation of intrinsic dimension"* (2005).

    Examples
    --------
    >>> import torch, tokengeom_utils as tg
    >>> thread, room = tg.shapes.cube(500, 1), tg.shapes.cube(500, 3)  # far apart, in one cloud
    >>> cloud = torch.cat([torch.nn.functional.pad(thread, (0, 2)) + 9, room])
    >>> local = tg.local_dimension(tg.nearest_neighbors(cloud, 20).distances)
    >>> [round(part.median().item()) for part in local.dimension.split(500)]
    [1, 3]
    """
    if k < 3:
        raise InputError(f"k = {k}: the dimension at a token needs at least 3 neighbors")
    dimension = (k - 2) / ((k - 1) * _local_inverse(distances, k)[1])
    return LocalDimension(dimension, dimension / (k - 2) ** 0.5 if k > 3 else dimension * torch.inf)


def _local_inverse(distances, k):
    """Return the table in float64, and the mean of ln(r_k / r_j) over j < k at each token, NaN for those left out."""
    r = torch.as_tensor(distances, dtype=torch.float64)
    if not 2 <= k <= r.shape[-1]:
        raise InputError(f"k = {k} neighbors asked of a table that holds {r.shape[-1]}")
    inverse = (r[..., k - 1, None] / r[..., : k - 1]).log().mean(-1)
    return r, torch.where(inverse.isfinite(), inverse, torch.nan)
