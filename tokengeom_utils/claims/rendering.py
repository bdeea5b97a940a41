"""The ledger as text."""

from collections.abc import Sequence

from .claim import Claim
from .wording import sentence


def cards(claims: Sequence[Claim]) -> str:
    """Write the ledger as Markdown that reads well on a narrow screen: one definition list for each claim.

    Parameters
    ----------
    claims : sequence of Claim
        From :func:`tokengeom_utils.evaluate`.

    Returns
    -------
    str

    See Also
    --------
    table : the ledger as a table.

    Notes
    -----
    Used in the chapter *The reproduction report*.

    Examples
    --------
    >>> import tokengeom_utils as tg
    >>> claim = tg.claims.early_peak(tg.open_results("standard"), n_bootstrap=200)
    >>> print(tg.claims.cards([claim]).splitlines()[0])
    **1. The intrinsic dimension rises to a peak in the first half of the layers and falls after it.**
    """
    return "\n\n".join(
        f"**{c.number}. {c.statement}**\n"
        f": **{sentence(c.verdict)}** {sentence(c.reason)}{_after_correction(c)}\n"
        f": *Paper.* {sentence(c.paper)} *Source:* {sentence(c.source, start='')}\n"
        f": *Ours.* {sentence(c.ours)}\n: *Test.* {sentence(c.test)}"
        for c in claims
    )


def _after_correction(claim):
    """Write the sentence on Holm's correction; empty where it can take nothing away."""
    if not claim.corrected or claim.verdict not in ("reproduced", "partly"):
        return ""
    if claim.corrected == claim.verdict:
        return " The verdict survives Holm's correction."
    return f" Holm's correction leaves of it: *{claim.corrected}*."
