"""The ledger as text."""

from collections.abc import Sequence

import numpy as np

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
    >>> claim = tg.claims.early_peak(tg.open_results("standard"))
    >>> print(tg.claims.cards([claim]).splitlines()[0])
    **1. The intrinsic dimension rises to a peak in the first half of the layers and falls after it.**
    """
    return "\n\n".join(
        f"**{c.number}. {c.statement}**\n"
        f": **{sentence(c.verdict)}** {sentence(c.reason)}{_beside(c)}\n"
        f": *Paper.* {sentence(c.paper)} *Source:* {sentence(c.source, start='')}\n"
        f": *Ours.* {sentence(c.ours)}{' ' + c.note if c.note else ''}\n: *Test.* {sentence(c.test)}"
        for c in claims
    )


def _beside(claim):
    """Write what stands beside the verdict: the verdict without correction, the twin, sizes, and severity."""
    found = []
    if claim.uncorrected != claim.verdict:
        found.append(f"Judged one by one, without the correction: *{claim.uncorrected}*")
    if claim.twin:
        found.append(f"The untrained twin: *{claim.twin}*")
    sizes = [f"{part.name} {part.size:z.2f}" for part in claim.parts if np.isfinite(part.size)]
    if sizes:
        found.append(f"Size over the paper's: {', '.join(sizes)}")
    reasons = list(dict.fromkeys(part.remark for part in claim.parts if part.remark))
    little = [
        f"{', '.join(part.name for part in claim.parts if part.remark == reason)} ({reason})" for reason in reasons
    ]
    if little:
        found.append(f"Of little severity: {'; '.join(little)}")
    return "".join(f" {sentence(one)}" for one in found)
