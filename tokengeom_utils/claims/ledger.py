"""The ledger: all claims of the paper, judged by one survey.

>>> import tokengeom_utils as tg
>>> len(tg.claims.CLAIMS), tg.claims.VERDICTS
(16, ('reproduced', 'partly', 'not at this scale', 'not testable here'))
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from .claim import Claim, ClaimFunction
from .judging import VERDICTS, after_holm
from .loss import chain_to_the_loss, correlates_with_loss, larger_scales_correlate, top_logits
from .shape import early_peak, overlap_grows, range_scaling
from .shuffle import (
    cosine_rises,
    graded_in_degree,
    neighbor_angle,
    order_turns_late,
    overlap_lower,
    shuffle_raises_peak,
    shuffle_severity,
)
from .untestable import token_against_dataset, training_data

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

#: the functions that judge one claim each, in the order of the ledger
CLAIMS: tuple[ClaimFunction, ...] = (
    early_peak,
    shuffle_raises_peak,
    graded_in_degree,
    order_turns_late,
    range_scaling,
    cosine_rises,
    overlap_lower,
    overlap_grows,
    neighbor_angle,
    correlates_with_loss,
    larger_scales_correlate,
    token_against_dataset,
    chain_to_the_loss,
    top_logits,
    shuffle_severity,
    training_data,
)


def evaluate(results: "xr.Dataset", n_bootstrap: int = 2000, seed: int = 42) -> list[Claim]:
    """Judge every claim of the paper by a survey.

    Parameters
    ----------
    results : xarray.Dataset
        From :func:`tokengeom_utils.open_results` or :func:`tokengeom_utils.survey`.
    n_bootstrap : int
        Number of resamples of the prompts.
    seed : int
        Seed of everything random.

    Returns
    -------
    list of Claim
        In the order of their numbers, each with its verdict and with the verdict after Holm's correction over all
        claims.

    See Also
    --------
    tokengeom_utils.open_results : a survey to judge by.
    tokengeom_utils.claims.table, tokengeom_utils.claims.cards : present the ledger.
    tokengeom_utils.claims.verdict, tokengeom_utils.claims.after_holm : the rule.

    Notes
    -----
    Introduced in the chapter *The reproduction report*.

    References
    ----------
    Viswanathan et al., arXiv:2501.10573.

    Examples
    --------
    >>> import tokengeom_utils as tg
    >>> ledger = tg.evaluate(tg.open_results("standard"), n_bootstrap=200)
    >>> print(len(ledger), ledger[1].statement)
    16 A full shuffle raises the peak of the intrinsic dimension.
    >>> ledger[1].verdict
    'reproduced'
    """
    claims = [claim(results, n_bootstrap, seed) for claim in CLAIMS]
    corrected = after_holm([claim.parts for claim in claims])
    return [claim._replace(corrected=left) for claim, left in zip(claims, corrected, strict=True)]


def table(claims: Sequence[Claim]) -> "pd.DataFrame":
    """Collect the ledger in a table, one row for each claim.

    Parameters
    ----------
    claims : sequence of Claim
        From :func:`tokengeom_utils.evaluate`.

    Returns
    -------
    pandas.DataFrame
        Indexed by number, with a column for every other field of :class:`Claim` except its parts.

    See Also
    --------
    cards : the ledger as text.

    Notes
    -----
    The chapter *The reproduction report* shows the same content as cards.

    Examples
    --------
    >>> import tokengeom_utils as tg
    >>> claim = tg.claims.early_peak(tg.open_results("standard"), n_bootstrap=200)
    >>> list(tg.claims.table([claim]).columns)
    ['statement', 'paper', 'source', 'ours', 'test', 'verdict', 'corrected', 'reason']
    """
    import pandas

    return pandas.DataFrame([claim._asdict() for claim in claims]).drop(columns="parts").set_index("number")


def count(claims: Sequence[Claim]) -> dict[str, int]:
    """Count the claims by verdict.

    Parameters
    ----------
    claims : sequence of Claim
        From :func:`tokengeom_utils.evaluate`.

    Returns
    -------
    dict of str to int
        Every verdict, in the order of :data:`VERDICTS`.

    See Also
    --------
    table : the whole ledger.

    Notes
    -----
    Used in the chapter *The paper in one page*.

    Examples
    --------
    >>> import tokengeom_utils as tg
    >>> survey = tg.open_results("standard")
    >>> judged = [tg.claims.cosine_rises(survey), tg.claims.overlap_lower(survey), tg.claims.training_data(survey)]
    >>> tg.claims.count(judged)
    {'reproduced': 2, 'partly': 0, 'not at this scale': 0, 'not testable here': 1}
    """
    return {name: sum(claim.verdict == name for claim in claims) for name in VERDICTS}
