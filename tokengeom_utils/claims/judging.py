r"""How a claim is judged: parts, their tests, a verdict by a written rule, and a correction for many tests.

Every claim is broken into parts. A part is a direction that the paper reports (the peak is higher,
the correlation is positive), and it is judged on its own:

``holds``
    the survey shows the paper's direction, at the level :data:`LEVEL`;
``opposite``
    it shows the other direction, at the same level;
``undecided``
    neither;
``untested``
    the survey holds too little to ask.

Differences between degrees of one prompt are judged by a sign-flip test over prompts (:func:`sign_flip_p_value`),
which needs :data:`MIN_PAIRED` prompts; correlations over prompts by Student's t, with :data:`MIN_CORRELATED` prompts
or more; quantities of an average profile by a bootstrap over prompts. The verdict follows from the parts and from
nothing else (:func:`verdict`). With many parts some would be decided by chance, so :func:`after_holm` judges them all
together once more.

>>> verdict([Part("peak", 1.0, 0.03, "holds"), Part("fall", 0.5, 0.8, "undecided")])
'partly'
"""

from typing import NamedTuple

import numpy as np

from ..theory.statistics import bootstrap_correlations, correlation_p_value, holm, p_text, spearman

#: Significance level of one part of a claim; intervals have the level 1 - LEVEL.
LEVEL = 0.05
#: Fewest prompts with which a two-sided sign-flip test can reach LEVEL (2 / 2**6 = 0.031).
MIN_PAIRED = 6
#: Fewest prompts for a correlation over prompts: below it an interval covers most of [-1, 1].
MIN_CORRELATED = 10
VERDICTS = ("reproduced", "partly", "not at this scale", "not testable here")
OUTCOMES = ("holds", "opposite", "undecided", "untested")


class Part(NamedTuple):
    """One direction that a claim asserts."""

    name: str
    agree: float  #: share of prompts, resamples, layers or steps on the paper's side; NaN if untested
    p_value: float  #: two-sided; NaN where a count decides
    outcome: str  #: one of :data:`OUTCOMES`
    test: str = ""  #: the test in words, with its numbers


def verdict(parts):
    """The verdict on a claim from the outcomes of its parts.

    Parameters
    ----------
    parts : sequence of Part

    Returns
    -------
    str
        ``"reproduced"`` if every part was tested and holds, ``"partly"`` if some hold, ``"not at this scale"`` if
        none holds and some show the opposite. Otherwise, where no part was tested or these prompts decide none,
        ``"not testable here"``: to see nothing is not to see that there is nothing.

    Examples
    --------
    >>> verdict([Part("rise", 1.0, 0.03, "holds"), Part("fall", 0.9, 0.04, "holds")])
    'reproduced'
    """
    outcomes = [part.outcome for part in parts]
    if "holds" in outcomes:
        return "reproduced" if set(outcomes) == {"holds"} else "partly"
    return "not at this scale" if "opposite" in outcomes else "not testable here"


def sign_flip_p_value(differences, seed=42, n_random=9999):
    """Two-sided p-value of the hypothesis that paired differences are symmetric about zero.

    The mean difference is compared with the means after every pattern of sign flips, or after
    ``n_random`` random patterns and the identity when there are more than 12 differences.

    Parameters
    ----------
    differences : array_like, shape (prompt,)
    seed, n_random : int
        For the random patterns.

    Returns
    -------
    float
        At least ``2 / 2**n``, or ``1 / (n_random + 1)`` if the patterns are random.

    Examples
    --------
    >>> sign_flip_p_value([1.0, 2.0, 1.5, 0.5, 1.0, 3.0])
    0.03125
    """
    differences = np.asarray(differences, float)
    n = len(differences)
    if n <= 12:
        signs = 1 - 2 * ((np.arange(2**n)[:, None] >> np.arange(n)) & 1)
    else:
        signs = 2 * np.random.default_rng(seed).integers(0, 2, (n_random + 1, n), dtype=np.int8) - 1
        signs[0] = 1
    means = np.abs(signs @ differences)
    return float(np.mean(means >= means[0] * (1 - 1e-12)))


def after_holm(groups, level=LEVEL):
    """Verdicts once more, with all parts of all claims taken as one family of tests.

    Parameters
    ----------
    groups : sequence of sequence of Part
        The parts of every claim.
    level : float

    Returns
    -------
    list of str
        For every claim the verdict that is left when each part whose p-value is not below ``level`` after
        :func:`~tokengeom_utils.theory.statistics.holm` counts as undecided. Counts have no p-value; they stay as they are
        beside a part that still holds, and cannot carry a verdict alone.
    """
    adjusted = iter(holm([part.p_value for parts in groups for part in parts]))
    verdicts = []
    for parts in groups:
        lost = [next(adjusted) >= level for _ in parts]  # NaN is not
        carried = any(part.outcome == "holds" and part.p_value < level and not gone for part, gone in zip(parts, lost))
        verdicts.append(verdict([
            part._replace(outcome="undecided")
            if gone or (part.outcome == "holds" and np.isnan(part.p_value) and not carried) else part
            for part, gone in zip(parts, lost)
        ]))
    return verdicts


# --- how a part is judged ---------------------------------------------------------------------


def paired(name, differences, seed):
    """A part from one difference per prompt, positive on the paper's side."""
    differences = np.asarray(differences, float)
    differences = differences[np.isfinite(differences)]
    n = len(differences)
    if n < MIN_PAIRED:
        return untested(name, f"{n} prompts, at least {MIN_PAIRED} are needed")
    p = sign_flip_p_value(differences, seed)
    agree = float(np.mean(differences > 0))
    return Part(name, agree, p, _outcome(p, differences.mean()),
                f"sign-flip test, {n} prompts, {p_text(p)}, {agree:.0%} agree")


def resampled(name, draws, n, low=0.0, high=np.inf):
    """A part from bootstrap draws of a quantity that the paper puts between ``low`` and ``high``.

    It holds if the interval of the draws lies inside, that is if less than half of :data:`LEVEL` of them lie beyond
    either end; twice the larger of these two shares is the p-value.
    """
    draws = draws[np.isfinite(draws)]
    if not len(draws):
        return untested(name, "undefined for these prompts")
    ends = np.percentile(draws, [50 * LEVEL, 100 - 50 * LEVEL])
    beyond = max(np.mean(draws < low), np.mean(draws > high))
    p = min(1.0, 2 * (min(beyond, 1 - beyond) + 1 / (len(draws) + 1)))
    inside = low <= ends[0] and ends[1] <= high
    outside = ends[1] < low or ends[0] > high
    agree = float(np.mean((draws >= low) & (draws <= high)))
    outcome = "holds" if inside else "opposite" if outside else "undecided"
    return Part(name, agree, p, outcome,
                f"bootstrap over {n} prompts, {1 - LEVEL:.0%} interval {ends[0]:.2f} to {ends[1]:.2f}")


def correlated(name, x, y, sign=1, n_bootstrap=2000, seed=42):
    """A part from Spearman's rank correlation over prompts, with the paper's sign."""
    n = len(x)
    if n < MIN_CORRELATED:
        return untested(name, f"{n} prompts, a correlation over prompts needs {MIN_CORRELATED}")
    r = float(spearman(x, y))
    if not np.isfinite(r):
        return untested(name, "undefined for these prompts")
    draws = bootstrap_correlations(x, y, rank=True, n_bootstrap=n_bootstrap, seed=seed)
    low, high = np.nanpercentile(draws, [50 * LEVEL, 100 - 50 * LEVEL])
    p = float(correlation_p_value(r, n))
    return Part(name, float(np.mean(sign * draws > 0)), p, _outcome(p, sign * r),
                f"Spearman correlation {r:.2f}, {n} prompts, {p_text(p)}, bootstrap interval {low:.2f} to {high:.2f}")


def counted(name, agree, needed):
    """A part that holds if a share of layers or steps reaches what is needed; no test stands behind it."""
    outcome = "holds" if agree >= needed else "undecided" if agree > 1 - needed else "opposite"
    return Part(name, float(agree), np.nan, outcome, f"a count, {agree:.0%}, {needed:.0%} needed")


def untested(name, why):
    """A part that could not be asked, and why."""
    return Part(name, np.nan, np.nan, "untested", f"untested: {why}")


def _outcome(p, direction):
    return "undecided" if p >= LEVEL else "holds" if direction > 0 else "opposite"
