r"""The rule of judging: the parts of a claim, their joint test, and the verdict.

Every claim is divided into parts. A part is a direction that the paper reports (the peak is higher, the correlation is
positive), and it is judged separately:

``holds``
    the survey shows the paper's direction, at the level :data:`LEVEL`;
``opposite``
    it shows the other direction, at the same level;
``undecided``
    neither: to see nothing is not to see that there is nothing;
``untested``
    the survey lacks the data for a test.

Prompts of one kind of text resemble each other, so the *kinds* are the units: each part is reduced to one score per
kind, positive on the paper's side, and tested by flipping the signs of whole kinds
(:func:`~tokengeom_utils.statistics.joint_p_values`). All parts of all claims are tested together, so that a survey in
which nothing is real decides any part of the ledger in about 5% of cases. :data:`MIN_UNITS` kinds are the fewest with
which such a test can reach the level. In a survey of a single kind the prompts are the units, and the verdict is about
that kind.

A part that needs a layer is judged where *other* kinds choose it, over every deal of the kinds into two halves
(:func:`~tokengeom_utils.statistics.scores_elsewhere`), so that no verdict depends on the names of the kinds.

>>> verdict(["holds", "undecided"])
'partly'
"""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..theory.statistics import p_text
from ..theory.statistics.deals import Dealt, rows
from ..theory.statistics.joint import flip_statistics, own_p_values, step_down

LEVEL = 0.05  #: the chance of even one wrong decision in a whole ledger
MIN_UNITS = 6  #: fewest kinds of text with which a two-sided sign-flip test can reach LEVEL (2 / 2**6 = 0.031)
MIN_CORRELATED = 10  #: fewest prompts for a correlation over prompts
#: the verdicts on a claim
VERDICTS = ("reproduced", "partly", "undecided", "not seen here", "not testable here")
OUTCOMES = ("holds", "opposite", "undecided", "untested")  #: the outcomes of a part


class Part(NamedTuple):
    """One direction that a claim asserts, with the outcome of its test.

    See Also
    --------
    verdict : the verdict on the claim.
    parts_table : all parts of a ledger.

    Notes
    -----
    Introduced in the chapter *The reproduction report*.

    Examples
    --------
    >>> import tokengeom_utils as tg
    >>> part = tg.claims.Part("peak", "holds", "holds", 0.001, 0.02, agree=12, kinds=15)
    >>> part.outcome, part.agreement
    ('holds', '12 of 15')
    """

    name: str
    outcome: str  #: one of :data:`OUTCOMES`, after the correction for all parts that were judged together
    uncorrected: str  #: the same without the correction
    p_value: float = np.nan  #: two-sided, of this part alone; NaN if untested
    adjusted: float = np.nan  #: after the correction
    agree: int = 0  #: number of kinds on the paper's side
    kinds: int = 0  #: number of kinds with a score
    size: float = np.nan  #: the effect over the paper's; NaN where the paper gives none
    remark: str = ""  #: why the test is of little severity; empty if it is severe
    beyond: str = ""  #: trained minus untrained: "more", "less", or "undecided"; empty without a twin
    test: str = ""  #: the test in words, with its numbers

    @property
    def agreement(self) -> str:
        """Kinds on the paper's side out of all, as text; empty if untested."""
        return f"{self.agree} of {self.kinds}" if self.kinds else ""


class Question(NamedTuple):
    """A part before it is judged: the scores of each kind of text, and the rule that leads to the outcome.

    Most parts are a single test. A part may also hold only if several tests do, each at the level of the ledger.
    """

    name: str
    unit: str = "kinds"  #: what the scores belong to: kinds of text, or the prompts of a single kind
    #: one for each test: an array (kind,), or (option, kind) if it searches; or :class:`Dealt`, if its place is chosen
    scores: Sequence[np.ndarray | Dealt] = ()
    words: str = ""  #: the test, without its numbers
    why: str = ""  #: why it is not tested
    size: float = np.nan
    remark: str = ""
    given: str = ""  #: another part of the claim, without which this one means nothing
    needed: int = 1  #: number of tests that must be positive
    against: int = 1  #: number of tests that must be negative for the opposite

    @property
    def tested(self) -> bool:
        """Whether there is anything to test."""
        return not self.why


def question(
    name: str,
    *scores: np.ndarray | Dealt,
    words: str = "mean over each kind",
    unit: str = "kinds",
    theirs: float = np.nan,
    effect: float | None = None,
    remark: str = "",
    given: str = "",
    needed: float = 1.0,
    against: int | None = None,
    without: str = "",
) -> Question:
    """Return a part with its scores, or untested if too few units have one.

    Parameters
    ----------
    name : str
    *scores : numpy.ndarray, shape (kind,) or (option, kind), or Dealt
        Positive on the paper's side, NaN where a kind has none; one for each test.
    words, unit : str
        The score and the units, for the reader.
    theirs : float
        The paper's effect; NaN if it gives none.
    effect : float, optional
        Ours, to compare with it; the mean of the first scores by default.
    remark, given
        As in :class:`Question`.
    needed : float
        Share of the tests that must be positive.
    against : int, optional
        Number of negative tests that make the opposite; as many as are needed by default.
    without : str
        Why too few kinds have a score, if not because the survey holds too few.

    Returns
    -------
    Question
    """
    ours = mean(rows(scores[0])) if effect is None else effect
    size = float(ours / theirs) if np.isfinite(ours) and theirs else np.nan
    number = max(1, int(np.ceil(needed * len(scores) - 1e-9)))
    asked = Question(name, unit, scores, words, "", size, remark, given, number, number if against is None else against)
    have = min(int(np.isfinite(rows(one)).any(0).sum()) for one in scores)
    if have >= MIN_UNITS:
        return asked
    few = f"{have} {unit}, at least {MIN_UNITS} are needed" if have else f"no {unit} have a value"
    return asked._replace(scores=(), why=without or few)


def mean(values: np.ndarray, axis: int | None = None) -> Any:
    """Average over what is not NaN; NaN, without a warning, where nothing is left."""
    have = np.isfinite(values)
    count = np.asarray(have.sum(axis), float)
    return np.where(have, values, 0).sum(axis) / np.where(count > 0, count, np.nan)


def untested(name: str, why: str) -> Question:
    """Return a part that cannot be tested, with the reason."""
    return Question(name, why=why)


def verdict(outcomes: Iterable[str]) -> str:
    """Derive the verdict on a claim from the outcomes of its parts.

    Parameters
    ----------
    outcomes : iterable of str
        Of :data:`OUTCOMES`.

    Returns
    -------
    str
        ``"reproduced"`` if every part was tested and holds; ``"partly"`` if some hold; ``"not seen here"`` if none
        holds and some show the opposite; ``"undecided"`` if parts were tested and none is decided;
        ``"not testable here"`` if no part was tested.

    See Also
    --------
    judge : the outcomes of the parts.

    Notes
    -----
    Introduced in the chapter *The reproduction report*.

    Examples
    --------
    >>> import tokengeom_utils as tg
    >>> tg.claims.verdict(["holds", "holds"]), tg.claims.verdict(["holds", "opposite"])
    ('reproduced', 'partly')
    """
    found = set(outcomes)
    if "holds" in found:
        return "reproduced" if found == {"holds"} else "partly"
    if "opposite" in found:
        return "not seen here"
    return "undecided" if "undecided" in found else "not testable here"


def judge(groups: Sequence[Sequence[Question]], seed: int = 42) -> list[tuple[Part, ...]]:
    """Judge the parts of several claims together, as one family of tests.

    Parameters
    ----------
    groups : sequence of sequence of Question
        The parts of every claim.
    seed : int
        Seed of the random patterns of signs, which a survey of more than 15 kinds needs.

    Returns
    -------
    list of tuple of Part
        One tuple for each claim.

    See Also
    --------
    tokengeom_utils.statistics.joint_p_values : the test and the correction.
    verdict : the verdict on the outcomes.

    Notes
    -----
    Introduced in the chapter *The reproduction report*.

    Examples
    --------
    >>> import numpy as np
    >>> rise, noise = np.arange(1.0, 9), np.array([1.0, -1, 2, -2, 3, -3, 1, -1])
    >>> ((part,), (other,)) = judge([[question("rise", rise)], [question("noise", noise)]])
    >>> part.outcome, part.agreement, other.outcome
    ('holds', '8 of 8', 'undecided')
    """
    asked = [one for group in groups for one in group if one.tested]
    statistics, sign = flip_statistics([scores for one in asked for scores in one.scores], seed=seed)
    stops = np.cumsum([len(one.scores) for one in asked])[:-1]
    each = zip(asked, np.split(statistics, stops), np.split(sign, stops), strict=False)  # of nothing, nothing
    decisive = [_decisive(*one) for one in each]
    family = np.stack([row for row, _ in decisive]) if decisive else statistics
    judged = zip(own_p_values(family), step_down(family), (side for _, side in decisive), strict=True)
    parts = [[_part(one, *next(judged)) if one.tested else _untested(one) for one in group] for group in groups]
    return [_with_conditions(*both) for both in zip(parts, groups, strict=True)]


def _decisive(asked, statistics, sign):
    """Return the statistics (flip,) of the test that decides a part, and the side on which it decides.

    If a part requires several tests on one side, the least significant of those required decides. So the part
    enters the family as one test, and its p-value is valid whichever of its tests is the false one.
    """
    p = own_p_values(statistics)
    ranked = {side: np.where(sign == side, p, 2.0) for side in (1, -1)}  # 2: on the other side
    number = {1: asked.needed, -1: asked.against}
    side = min(ranked, key=lambda which: np.sort(ranked[which])[number[which] - 1])
    place = int(np.argsort(ranked[side], kind="stable")[number[side] - 1])
    on_this_side = ranked[side][place] <= 1
    return np.concatenate([[statistics[place, 0] if on_this_side else 0.0], statistics[place, 1:]]), side


def _part(asked, p_value, adjusted, side):
    """Return the part that follows from the p-values of the test that decides a question."""
    outcome, uncorrected = (
        "undecided" if p >= LEVEL else "holds" if side > 0 else "opposite" for p in (adjusted, p_value)
    )
    signs = np.stack([_agreeing(one) for one in asked.scores])
    has = ~np.isnan(signs).all(0)
    agree = np.nansum(signs, axis=0)[has] >= asked.needed
    part = Part(asked.name, outcome, uncorrected, float(p_value), float(adjusted), int(agree.sum()), int(has.sum()))
    part = part._replace(size=asked.size, remark=asked.remark)
    counted = len(asked.scores) == 1 or asked.words.endswith("tests")  # a method that names its tests
    several = "" if counted else f"{len(asked.scores)} tests, "
    numbers = f"{p_text(part.p_value)}, corrected {p_text(part.adjusted)}, {part.agreement} {asked.unit} agree"
    words = asked.words.replace("kind", asked.unit.removesuffix("s"))  # where the prompts are the units
    return part._replace(test=f"{words}, {several}{numbers}")


def _untested(asked):
    """Return the part of a question that cannot be tested."""
    return Part(asked.name, "untested", "untested", remark=asked.remark, test=f"untested: {asked.why}")


def _agreeing(scores):
    """Return for each kind 1 if its score is on the paper's side, else 0; in a search, at the strongest option."""
    options = rows(scores)
    filled = np.nan_to_num(options)
    size = np.sqrt((filled**2).sum(1))
    best = int(np.argmax(np.abs(filled.sum(1)) / np.where(size > 0, size, 1)))
    return np.where(np.isfinite(options[best]), options[best] > 0, np.nan)


def _with_conditions(parts, group):
    """Replace by untested every part whose condition, another part, does not hold."""
    by_name = {part.name: part for part in parts}
    judged = []
    for part, asked in zip(parts, group, strict=True):
        if asked.given and asked.tested:
            condition = by_name[asked.given]
            if condition.outcome != "holds":
                why = f"untested: it means something only if '{asked.given}' holds"
                part = part._replace(outcome="untested", adjusted=np.nan, test=why)
            if condition.uncorrected != "holds":
                part = part._replace(uncorrected="untested", p_value=np.nan)
        judged.append(part)
    return tuple(judged)
