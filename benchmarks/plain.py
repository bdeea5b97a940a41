"""The estimators as they are defined, in float64 and one cloud at a time: what the tools are compared with.

Nothing here is fast. Distances come from differences of coordinates, so no digit is lost to cancellation.
"""

import numpy as np
from scipy.optimize import brentq
from scipy.spatial.distance import cdist


def distances(cloud):
    """Return the distances of all pairs (token, token), with infinity between a token and itself."""
    found = cdist(cloud.astype(np.float64), cloud.astype(np.float64))
    np.fill_diagonal(found, np.inf)
    return found


def gride(ordered, scale):
    """Return GRIDE's dimension at one range scaling, and its standard error, from distances sorted in each row."""
    n1, n2 = scale // 2, scale
    mu = ordered[:, n2 - 1] / ordered[:, n1 - 1]
    q50, q95 = np.percentile(mu, [50, 95])
    log_mu = np.log(mu[mu < q50 + 20 * (q95 - q50)])  # the cut of DADApy, which the other tools adopted
    n = len(log_mu)

    def score(d):
        return (n - 1) / d + (n2 - n1 - 1) * np.sum(log_mu / -np.expm1(-d * log_mu)) - (n2 - 1) * np.sum(log_mu)

    d = brentq(score, 1e-3, 1e3, xtol=1e-14, rtol=1e-14)
    information = n / d**2 + (n2 - n1 - 1) * np.sum((log_mu / (2 * np.sinh(d * log_mu / 2))) ** 2)
    return d, information**-0.5


def two_nn(ordered):
    """Return TwoNN's dimension of highest likelihood, and its standard error."""
    log_mu = np.log(ordered[:, 1] / ordered[:, 0])
    d = (len(log_mu) - 1) / log_mu.sum()
    return d, d / len(log_mu) ** 0.5


def two_nn_line(ordered, first=1, fraction=0.9):
    """Return TwoNN's dimension by the line through the lowest ratios, and its standard error.

    The i-th lowest of N ratios has F = i / N, from i = 1 on as in Facco et al., or from ``first``.
    """
    log_mu = np.sort(np.log(ordered[:, 1] / ordered[:, 0]))
    n = len(log_mu)
    x = log_mu[: int(n * fraction)]
    y = -np.log(1 - (np.arange(len(x)) + first) / n)
    d = (x @ y) / (x @ x)
    return d, d / n**0.5


def levina_bickel(ordered, k):
    """Return the inverse of the mean inverse of Levina and Bickel's local dimensions, and its standard error."""
    inverse = np.log(ordered[:, k - 1 : k] / ordered[:, : k - 1]).mean(axis=1)
    d = 1 / inverse.mean()
    return d, inverse.std(ddof=1) / len(inverse) ** 0.5 * d**2


def overlap(a, b, k_max):
    """Return chi_1 ... chi_k_max of two tables of distances."""
    a, b = (np.argsort(table, axis=1, kind="stable")[:, :k_max].tolist() for table in (a, b))
    return [
        np.mean([len(set(one[:k]) & set(two[:k])) / k for one, two in zip(a, b, strict=True)])
        for k in range(1, k_max + 1)
    ]
