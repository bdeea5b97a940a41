"""Clusters: the wave on the circle that grows fastest into them, and their number in a cloud."""

import numpy as np
import torch
from numpy.typing import ArrayLike
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.special import iv, ive

from .dynamics import Kind, check_kind
from .sphere import to_sphere


def wave_rate(k: ArrayLike, beta: ArrayLike, kind: Kind = "SA") -> np.ndarray:
    r"""Compute the growth rate of a small wave with ``k`` crests on the uniform distribution on the circle.

    .. math:: \lambda_k = \frac{k^2 I_k(\beta)}{\beta} \ \text{(USA)} , \qquad
              \frac{k^2 I_k(\beta)}{\beta I_0(\beta)} \ \text{(SA)}

    with the modified Bessel functions :math:`I_k`. The fastest wave is the same for both variants.

    Parameters
    ----------
    k : array_like of int
        Number of crests; broadcasts with ``beta``.
    beta : array_like
        Inverse temperature, positive.
    kind : {"SA", "USA"}

    Returns
    -------
    numpy.ndarray, of the broadcast shape, float64, per unit of time

    Raises
    ------
    InputError
        If ``kind`` is unknown.

    See Also
    --------
    count_clusters : the clusters into which the waves grow.

    Notes
    -----
    Introduced in the chapter *Lasting groups*.

    References
    ----------
    Bruno, Pasqualotto, Agazzi, arXiv:2410.23228, for the role of the fastest wave.

    Examples
    --------
    >>> import numpy as np, tokengeom_utils as tg
    >>> int(np.argmax(tg.meanfield.wave_rate(np.arange(10), beta=5.0)))
    3
    """
    check_kind(kind)
    k, beta = np.asarray(k, dtype=float), np.asarray(beta, dtype=float)
    size = ive(k, beta) / ive(0, beta) if kind == "SA" else iv(k, beta)
    return k**2 * size / beta


def count_clusters(tokens: ArrayLike | torch.Tensor, cosine: float = 0.999) -> torch.Tensor:
    """Count the clusters of a cloud: groups of tokens that are linked by cosines above a threshold.

    Two tokens are in one cluster if a chain of tokens leads from one to the other, each within the threshold of the
    next.

    Parameters
    ----------
    tokens : array_like, shape (..., token, feature)
        Projected to the unit sphere.
    cosine : float
        Threshold; 0.999 is an angle of 2.6 degrees.

    Returns
    -------
    torch.Tensor, shape (...), int64

    Raises
    ------
    InputError
        If a token lies at the origin.

    See Also
    --------
    effective_groups : a number of groups without a threshold.
    simulate : the dynamics that forms the clusters.

    Notes
    -----
    Introduced in the chapter *The mean-field picture*.

    Examples
    --------
    >>> import tokengeom_utils as tg
    >>> tg.meanfield.count_clusters([[1.0, 0.0], [1.0, 0.01], [0.0, 1.0]])
    tensor(2)
    """
    x = to_sphere(tokens)
    *batch, n, _ = x.shape
    x = x.reshape(-1, n, x.shape[-1])
    cloud, i, j = torch.nonzero(x @ x.mT > cosine, as_tuple=True)
    rows, columns = (cloud * n + i).cpu().numpy(), (cloud * n + j).cpu().numpy()
    graph = coo_array((np.ones(len(rows), np.int8), (rows, columns)), shape=(len(x) * n,) * 2)
    _, label = connected_components(graph, directed=False)
    first = np.unique(label, return_index=True)[1]  # each cluster is counted at its first token
    return torch.from_numpy(np.bincount(first // n, minlength=len(x))).reshape(batch)
