"""The ledger: all claims of the paper, judged by one survey.

>>> import tokengeom_utils as tg
>>> len(tg.claims.CLAIMS), tg.claims.VERDICTS
(16, ('reproduced', 'partly', 'undecided', 'not seen here', 'not testable here'))
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from .beyond import beyond_the_twin
from .claim import Claim, ClaimFunction, judge_together
from .judging import VERDICTS
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
from .view import SurveyView
from .wording import between

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


def evaluate(results: "xr.Dataset", twin: "xr.Dataset | None" = None, seed: int = 42) -> list[Claim]:
    """Judge every claim of the paper by a survey.

    Parameters
    ----------
    results : xarray.Dataset
        From :func:`tokengeom_utils.open_results` or :func:`tokengeom_utils.survey`.
    twin : xarray.Dataset, optional
        A survey of the untrained twin: a model of the same architecture with random weights. A claim that it
        reproduces is no evidence of what the paper means.
    seed : int
        Seed of the random patterns of signs, which a survey of more than 15 kinds needs.

    Returns
    -------
    list of Claim
        In the order of their numbers. All parts of all claims are corrected together. With a twin, each claim also has
        the verdict by the twin, and each part says whether it is stronger in the trained model, prompt for prompt.

    See Also
    --------
    tokengeom_utils.open_results : a survey to judge by.
    tokengeom_utils.claims.table, tokengeom_utils.claims.parts_table, tokengeom_utils.claims.cards : present the ledger.
    tokengeom_utils.claims.verdict : the rule.
    tokengeom_utils.statistics.joint_p_values : the test.

    Notes
    -----
    Introduced in the chapter *The reproduction report*.

    References
    ----------
    Viswanathan et al., arXiv:2501.10573.

    Examples
    --------
    >>> import tokengeom_utils as tg
    >>> ledger = tg.evaluate(tg.open_results("standard"), tg.open_results("untrained"))
    >>> print(len(ledger), ledger[1].statement)
    16 A full shuffle raises the peak of the intrinsic dimension.
    >>> {ledger[1].verdict, ledger[1].twin} <= set(tg.claims.VERDICTS)
    True
    """
    claims = _judged(results, seed)
    if twin is None:
        return claims
    beyond = beyond_the_twin(CLAIMS, results, twin, seed)
    return [
        ours._replace(
            twin=theirs.verdict,
            twin_parts=theirs.parts,
            parts=tuple(part._replace(beyond=beyond.get((ours.number, part.name), "")) for part in ours.parts),
        )
        for ours, theirs in zip(claims, _judged(twin, seed), strict=True)
    ]


def _judged(results, seed):
    """Judge every claim by one survey."""
    view = SurveyView(results)
    return judge_together([claim.draft(view) for claim in CLAIMS], seed)


def table(claims: Sequence[Claim]) -> "pd.DataFrame":
    """Collect the ledger in a table, one row for each claim.

    Parameters
    ----------
    claims : sequence of Claim
        From :func:`tokengeom_utils.evaluate`.

    Returns
    -------
    pandas.DataFrame
        Indexed by number, with a column for every other field of :class:`Claim` except its parts, and of these a
        summary: ``kinds``, how many kinds of text agree, from part to part, out of how many; and ``size``, the effects
        over the paper's, from part to part. Both are empty where there is nothing.

    See Also
    --------
    parts_table : one row for each part.
    cards : the ledger as text.

    Notes
    -----
    The chapter *The reproduction report* shows the same content as cards.

    Examples
    --------
    >>> import tokengeom_utils as tg
    >>> claim = tg.claims.early_peak(tg.open_results("standard"))
    >>> columns = list(tg.claims.table([claim]).columns)
    >>> columns[:7], columns[-2:]
    (['statement', 'paper', 'source', 'ours', 'test', 'verdict', 'uncorrected'], ['kinds', 'size'])
    """
    import pandas

    rows = pandas.DataFrame([claim._asdict() | _summary(claim) for claim in claims])
    return rows.drop(columns=["parts", "twin_parts"]).set_index("number")


def _summary(claim):
    """The kinds that agree and the sizes of the effects, as text, from part to part."""
    tested = [part for part in claim.parts if part.outcome != "untested"]
    agree, sizes = [part.agree for part in tested], [part.size for part in tested if part.size == part.size]
    kinds = f"{between(min(agree), max(agree), 0)} of {max(part.kinds for part in tested)}" if tested else ""
    size = between(min(sizes), max(sizes)).replace("-", "\N{MINUS SIGN}") if sizes else ""
    return {"kinds": kinds, "size": size}


def parts_table(claims: Sequence[Claim]) -> "pd.DataFrame":
    """Collect the parts of the claims in a table, one row for each.

    Parameters
    ----------
    claims : sequence of Claim
        From :func:`tokengeom_utils.evaluate`.

    Returns
    -------
    pandas.DataFrame
        Indexed by the number of the claim and the name of the part. Columns: ``outcome``; ``uncorrected``; ``p_value``
        and ``adjusted``; ``kinds``, those that agree, as text; ``size``, the effect over the paper's; ``twin``, the
        outcome in the untrained twin; ``beyond``, whether the trained model shows more of it; ``remark``, why a test
        is of little severity.

    See Also
    --------
    table : one row for each claim.

    Notes
    -----
    Introduced in the chapter *The reproduction report*.

    Examples
    --------
    >>> import tokengeom_utils as tg
    >>> parts = tg.claims.parts_table(tg.evaluate(tg.open_results("standard")))
    >>> parts.loc[(2, "higher at scaling 2")].index.tolist()
    ['outcome', 'uncorrected', 'p_value', 'adjusted', 'kinds', 'size', 'twin', 'beyond', 'remark']
    """
    import pandas

    rows = []
    for claim in claims:
        twin = {part.name: part.outcome for part in claim.twin_parts}
        for part in claim.parts:
            shown = part._asdict() | {"kinds": part.agreement, "twin": twin.get(part.name, "")}
            rows.append({"claim": claim.number, "part": part.name} | shown)
    columns = ["outcome", "uncorrected", "p_value", "adjusted", "kinds", "size", "twin", "beyond", "remark"]
    return pandas.DataFrame(rows, columns=["claim", "part", *columns]).set_index(["claim", "part"])


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
    >>> tg.claims.count([tg.claims.training_data(survey), tg.claims.token_against_dataset(survey)])
    {'reproduced': 0, 'partly': 0, 'undecided': 0, 'not seen here': 0, 'not testable here': 2}
    """
    return {name: sum(claim.verdict == name for claim in claims) for name in VERDICTS}


#: what a reproduced claim is worth, from nothing to most
WORTH = ("random weights too", "little severity", "not compared", "beyond the twin")


def worth(claims: Sequence[Claim]) -> dict[str, list[int]]:
    """Sort the reproduced claims by what they say about the trained model.

    Parameters
    ----------
    claims : sequence of Claim
        From :func:`tokengeom_utils.evaluate`, best with a twin.

    Returns
    -------
    dict of str to list of int
        The numbers of the reproduced claims: those that ``"random weights too"`` reproduce; of ``"little severity"``,
        since nearly any language model would pass; ``"beyond the twin"``, of which a severe part is certainly stronger
        in the trained model than in its untrained twin; and the others, ``"not compared"`` or not with certainty. That
        the twin fails a test is not enough.

    See Also
    --------
    count : claims by verdict.

    Notes
    -----
    Used in the chapters *The paper in one page* and *The reproduction report*.

    Examples
    --------
    >>> import tokengeom_utils as tg
    >>> tg.claims.worth([tg.claims.training_data(tg.open_results("standard"))])
    {'random weights too': [], 'little severity': [], 'not compared': [], 'beyond the twin': []}
    """
    sorted_claims: dict[str, list[int]] = {name: [] for name in WORTH}
    for claim in claims:
        if claim.verdict == "reproduced":
            severe = [part for part in claim.parts if not part.remark]
            beyond = any(part.beyond == "more" for part in severe)
            name = WORTH[0] if claim.twin == "reproduced" else WORTH[3] if beyond else WORTH[2] if severe else WORTH[1]
            sorted_claims[name].append(claim.number)
    return sorted_claims
