r"""The rule of judging: a claim's parts, their tests, the verdict, and a correction for many tests.

Every claim is divided into parts. A part is a direction that the paper reports (the peak is higher, the correlation is
positive), and it is judged separately:

``holds``
    the survey shows the paper's direction, at the level :data:`LEVEL`;
``opposite``
    it shows the other direction, at the same level;
``undecided``
    neither;
``untested``
    the survey lacks the data for a test.

Differences between degrees of one prompt are judged by a sign-flip test over prompts
(:func:`~tokengeom_utils.statistics.sign_flip_p_value`), which needs :data:`MIN_PAIRED` prompts; correlations over
prompts by Student's t, with :data:`MIN_CORRELATED` prompts or more; quantities of an average profile by a bootstrap
over prompts. The verdict follows from the outcomes of the parts alone (:func:`verdict`). Among many parts, chance would
decide some, so :func:`after_holm` judges all of them together once more.

>>> verdict([Part("peak", 1.0, 0.03, "holds"), Part("fall", 0.5, 0.8, "undecided")])
'partly'
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from ..theory.statistics import (
    bootstrap_correlations,
    correlation_p_value,
    holm,
    p_text,
    sign_flip_p_value,
    spearman,
)

LEVEL = 0.05  #: significance level of one part of a claim; intervals have the level 1 - LEVEL
MIN_PAIRED = 6  #: fewest prompts with which a two-sided sign-flip test can reach LEVEL (2 / 2**6 = 0.031)
MIN_CORRELATED = 10  #: fewest prompts for a correlation over prompts: below it an interval covers most of [-1, 1]
VERDICTS = ("reproduced", "partly", "not at this scale", "not testable here")  #: the verdicts on a claim
OUTCOMES = ("holds", "opposite", "undecided", "untested")  #: the outcomes of a part


class Part(NamedTuple):
    """One direction that a claim asserts, with the outcome of its test.

    See Also
    --------
    verdict : the verdict on the claim.

    Notes
    -----
    Introduced in the chapter *The reproduction report*.

    Examples
    --------
    >>> import tokengeom_utils as tg
    >>> tg.claims.Part("peak", agree=1.0, p_value=0.03, outcome="holds").outcome
    'holds'
    """

    name: str
    agree: float  #: share of prompts, resamples, layers or steps on the paper's side; NaN if untested
    p_value: float  #: two-sided; NaN where a count decides
    outcome: str  #: one of :data:`OUTCOMES`
    test: str = ""  #: the test in words, with its numbers


def verdict(parts: Sequence[Part]) -> str:
    """Derive the verdict on a claim from the outcomes of its parts.

    Parameters
    ----------
    parts : sequence of Part

    Returns
    -------
    str
        ``"reproduced"`` if every part was tested and holds; ``"partly"`` if some hold; ``"not at this scale"`` if none
        holds and some show the opposite; otherwise ``"not testable here"``: no part was tested, or the prompts are too
        few to decide any, and the absence of evidence is not evidence of absence.

    See Also
    --------
    after_holm : the verdicts after a correction for many tests.

    Notes
    -----
    Introduced in the chapter *The reproduction report*.

    Examples
    --------
    >>> import tokengeom_utils as tg
    >>> rise, fall = tg.claims.Part("rise", 1.0, 0.03, "holds"), tg.claims.Part("fall", 0.9, 0.04, "holds")
    >>> tg.claims.verdict([rise, fall]), tg.claims.verdict([rise, fall._replace(outcome="opposite")])
    ('reproduced', 'partly')
    """
    outcomes = [part.outcome for part in parts]
    if "holds" in outcomes:
        return "reproduced" if set(outcomes) == {"holds"} else "partly"
    return "not at this scale" if "opposite" in outcomes else "not testable here"


def after_holm(groups: Sequence[Sequence[Part]], level: float = LEVEL) -> list[str]:
    """Derive the verdicts once more, with all parts of all claims taken as one family of tests.

    Parameters
    ----------
    groups : sequence of sequence of Part
        The parts of every claim.
    level : float
        Significance level of the family.

    Returns
    -------
    list of str
        For every claim the verdict that remains when each part whose p-value is not below ``level`` after Holm's
        correction counts as undecided. Counts have no p-value: they keep their outcome next to a part that still holds,
        and cannot carry a verdict alone.

    See Also
    --------
    verdict : the rule without correction.
    tokengeom_utils.statistics.holm : the correction.

    Notes
    -----
    Introduced in the chapter *The reproduction report*.

    References
    ----------
    Holm, *A simple sequentially rejective multiple test procedure*, Scandinavian Journal of Statistics 6 (1979).

    Examples
    --------
    >>> import tokengeom_utils as tg
    >>> weak, strong = tg.claims.Part("rise", 1.0, 0.03, "holds"), tg.claims.Part("rise", 1.0, 0.001, "holds")
    >>> tg.claims.after_holm([[weak], [strong]]), tg.claims.after_holm([[weak], [weak]])
    (['reproduced', 'reproduced'], ['not testable here', 'not testable here'])
    """
    adjusted = iter(holm([part.p_value for parts in groups for part in parts]))
    verdicts = []
    for parts in groups:
        lost = [next(adjusted) >= level for _ in parts]  # false for NaN
        judged = list(zip(parts, lost, strict=True))
        carried = any(part.outcome == "holds" and part.p_value < level and not gone for part, gone in judged)
        verdicts.append(
            verdict(
                [
                    part._replace(outcome="undecided")
                    if gone or (part.outcome == "holds" and np.isnan(part.p_value) and not carried)
                    else part
                    for part, gone in judged
                ]
            )
        )
    return verdicts


# How one part is judged. The claims use these functions; the chapters do not.


def paired(name: str, differences: ArrayLike, seed: int) -> Part:
    """Judge a part from one difference per prompt, positive on the paper's side, by a sign-flip test."""
    values = np.asarray(differences, float)
    values = values[np.isfinite(values)]
    n = len(values)
    if n < MIN_PAIRED:
        return untested(name, f"{n} prompts, at least {MIN_PAIRED} are needed")
    p = sign_flip_p_value(values, seed)
    agree = float(np.mean(values > 0))
    return Part(
        name, agree, p, _outcome(p, values.mean()), f"sign-flip test, {n} prompts, {p_text(p)}, {agree:.0%} agree"
    )


def resampled(name: str, draws: np.ndarray, n: int, low: float = 0.0, high: float = np.inf) -> Part:
    """Judge a part from bootstrap draws of a quantity that the paper puts between ``low`` and ``high``.

    It holds if the interval of the draws lies inside, that is if less than half of :data:`LEVEL` of them lie beyond
    either end; twice the larger of these two shares is the p-value.
    """
    draws = draws[np.isfinite(draws)]
    if not len(draws):
        return untested(name, "undefined for these prompts")
    ends = percentile_interval(draws)
    beyond = float(max(np.mean(draws < low), np.mean(draws > high)))
    p = min(1.0, 2 * (min(beyond, 1 - beyond) + 1 / (len(draws) + 1)))
    inside = low <= ends[0] and ends[1] <= high
    outside = ends[1] < low or ends[0] > high
    agree = float(np.mean((draws >= low) & (draws <= high)))
    outcome = "holds" if inside else "opposite" if outside else "undecided"
    return Part(
        name, agree, p, outcome, f"bootstrap over {n} prompts, {1 - LEVEL:.0%} interval {ends[0]:.2f} to {ends[1]:.2f}"
    )


def correlated(name: str, x: np.ndarray, y: np.ndarray, sign: int = 1, n_bootstrap: int = 2000, seed: int = 42) -> Part:
    """Judge a part from Spearman's rank correlation over prompts, with the paper's sign."""
    n = len(x)
    if n < MIN_CORRELATED:
        return untested(name, f"{n} prompts, a correlation over prompts needs {MIN_CORRELATED}")
    r = float(spearman(x, y))
    if not np.isfinite(r):
        return untested(name, "undefined for these prompts")
    draws = bootstrap_correlations(x, y, rank=True, n_bootstrap=n_bootstrap, seed=seed)
    low, high = percentile_interval(draws)
    p = float(correlation_p_value(r, n))
    return Part(
        name,
        float(np.mean(sign * draws > 0)),
        p,
        _outcome(p, sign * r),
        f"Spearman correlation {r:.2f}, {n} prompts, {p_text(p)}, bootstrap interval {low:.2f} to {high:.2f}",
    )


def counted(name: str, agree: float, needed: float) -> Part:
    """Judge a part that holds if the share of layers or steps that agree reaches ``needed``, without a test."""
    outcome = "holds" if agree >= needed else "undecided" if agree > 1 - needed else "opposite"
    return Part(name, float(agree), np.nan, outcome, f"a count, {agree:.0%}, {needed:.0%} needed")


def untested(name: str, why: str) -> Part:
    """Return a part that could not be tested, with the reason."""
    return Part(name, np.nan, np.nan, "untested", f"untested: {why}")


def percentile_interval(draws: np.ndarray) -> np.ndarray:
    """Return the two percentiles of bootstrap draws between which the share 1 - LEVEL lies."""
    return np.nanpercentile(draws, [50 * LEVEL, 100 - 50 * LEVEL])


def _outcome(p, direction):
    return "undecided" if p >= LEVEL else "holds" if direction > 0 else "opposite"
