r"""Effective rank of a token cloud: how many directions share its variance.

>>> import torch, tokengeom_utils as tg
>>> cross = torch.cat([torch.eye(3), -torch.eye(3)])  # the same variance along each of three axes
>>> round(tg.effective_rank(cross).item(), 6)
3.0
"""

import torch
from numpy.typing import ArrayLike

from .kernels.participation import participation
from .validate import as_clouds


def effective_rank(cloud: ArrayLike | torch.Tensor) -> torch.Tensor:
    r"""Measure the effective rank of a cloud, the participation ratio of its principal components.

    With the eigenvalues :math:`\lambda_a` of the covariance matrix :math:`C` of the tokens,

    .. math:: R = \frac{\left(\sum_a \lambda_a\right)^2}{\sum_a \lambda_a^2}
              = \frac{(\operatorname{tr} C)^2}{\operatorname{tr} C^2} .

    It is 1 if all tokens lie on a line and :math:`D` if the variance is the same in every direction. Unlike the
    intrinsic dimension it looks at the whole cloud, so one token far away from all others can bring it close to 1.

    Parameters
    ----------
    cloud : array_like, shape (..., token, feature)
        Any float dtype, any device; leading dimensions are a batch, such as layers.

    Returns
    -------
    torch.Tensor, shape (...), float64, in [1, min(N - 1, D)]
        NaN if all tokens coincide up to rounding. In surveys and from :class:`Observer` it is accurate to 1e-6 on a
        CPU, where products in float32 serve.

    Raises
    ------
    InputError
        If the cloud is not finite.

    See Also
    --------
    intrinsic_dimension : the number of directions around each token.

    Notes
    -----
    Introduced in the chapter *Estimators compared: does the answer depend on the method?*

    References
    ----------
    The participation ratio as a dimension: Gao et al., *A theory of multineuronal dimensionality, dynamics and
    measurement*, bioRxiv 214262 (2017).

    Examples
    --------
    >>> import torch, tokengeom_utils as tg
    >>> line = torch.arange(10.0)[:, None] * torch.ones(3)
    >>> round(tg.effective_rank(line).item(), 6)
    1.0
    """
    return participation(as_clouds(cloud, wait=not (torch.is_tensor(cloud) and cloud.is_cuda)).detach())
