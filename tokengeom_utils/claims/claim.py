"""A claim of the paper, and the decorator that turns the judging of one into a public function."""

from collections.abc import Callable, Iterator, Sequence
from inspect import cleandoc
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from .judging import OUTCOMES, Part, Question, judge, verdict
from .view import NotTestable, SurveyView

if TYPE_CHECKING:
    import xarray as xr


class Claim(NamedTuple):
    """One claim of the paper, with the verdict on it by a survey.

    See Also
    --------
    tokengeom_utils.evaluate : judges all claims.
    table, cards : present them.

    Notes
    -----
    Introduced in the chapter *The reproduction report*.

    Examples
    --------
    >>> import tokengeom_utils as tg
    >>> claim = tg.claims.early_peak(tg.open_results("standard"))
    >>> claim.number, [part.name for part in claim.parts][-1]
    (1, 'peak in the first half')
    """

    number: int
    statement: str
    paper: str  #: what the paper reports
    source: str  #: where it reports that
    ours: str  #: what the survey shows
    test: str  #: the test of each part, in words
    verdict: str  #: one of :data:`VERDICTS`, corrected for all parts that were judged together
    uncorrected: str  #: the verdict if each part were judged alone
    reason: str  #: the outcome of each part, or why the claim is not testable
    parts: tuple[Part, ...] = ()
    twin: str = ""  #: the verdict by a survey of the untrained twin; empty without one
    twin_parts: tuple[Part, ...] = ()  #: the parts as the twin shows them
    note: str = ""  #: what a reader should know beside the verdict


class Reported(NamedTuple):
    """What the paper reports on a claim, and where."""

    figures: str
    source: str


class Measured(NamedTuple):
    """What a survey shows, and the parts into which the claim is divided."""

    ours: str
    parts: list[Question]
    note: str = ""


class Draft(NamedTuple):
    """A claim before it is judged."""

    number: int
    statement: str
    reported: Reported
    measured: Measured | None
    limit: str = ""  #: why nothing was measured

    @property
    def questions(self) -> list[Question]:
        """The parts to judge."""
        return self.measured.parts if self.measured else []


class Judge(Protocol):
    """Judges a claim: a generator that yields :class:`Reported`, then :class:`Measured`.

    In that order the paper's figures stand in the ledger even where ``NotTestable`` ends the judging.
    """

    __name__: str

    def __call__(self, survey: SurveyView, /) -> Iterator[Reported | Measured]: ...


class ClaimFunction(Protocol):
    """A public function that judges one claim by a survey."""

    __name__: str
    draft: Callable[[SurveyView], Draft]  #: measures without judging, so that many claims can be judged together

    def __call__(self, results: "xr.Dataset", seed: int = 42) -> Claim: ...


def claim(number: int, statement: str, chapter: str) -> Callable[[Judge], ClaimFunction]:
    """Turn a judge into a public function ``(results, seed=42) -> Claim``.

    Parameters
    ----------
    number : int
        Place in the ledger.
    statement : str
        The claim, as a sentence.
    chapter : str
        Title of the chapter that treats it.

    Returns
    -------
    callable
        A decorator. The function has the name of the judge, and its docstring with the sections that all claims share.
    """

    def decorate(judge: Judge) -> ClaimFunction:
        def draft(survey: SurveyView) -> Draft:
            steps: Iterator[Any] = judge(survey)
            reported: Reported = next(steps)
            try:
                return Draft(number, statement, reported, next(steps))
            except NotTestable as limit:
                return Draft(number, statement, reported, None, f"{limit}.")

        def judged(results: "xr.Dataset", seed: int = 42) -> Claim:
            return judge_together([draft(SurveyView(results))], seed)[0]

        # Not functools.wraps: it would show the annotations and the signature of the judge in help().
        judged.__module__, judged.__name__, judged.__qualname__ = judge.__module__, judge.__name__, judge.__name__
        judged.__doc__ = _docstring(judge, number, statement, chapter)
        judged.draft = draft  # type: ignore[attr-defined]
        return judged  # type: ignore[return-value]

    return decorate


def judge_together(drafts: Sequence[Draft], seed: int) -> list[Claim]:
    """Judge measured claims as one family of tests."""
    return [_claim(one, parts) for one, parts in zip(drafts, judge([d.questions for d in drafts], seed), strict=True)]


def _claim(draft, parts):
    """Complete a draft with its judged parts."""
    if draft.measured is None:
        nothing = verdict([])
        return Claim(
            draft.number, draft.statement, *draft.reported, "not measured", "none", nothing, nothing, draft.limit
        )
    return Claim(
        draft.number,
        draft.statement,
        *draft.reported,
        draft.measured.ours,
        "; ".join(f"{part.name}: {part.test}" for part in parts),
        verdict(part.outcome for part in parts),
        verdict(part.uncorrected for part in parts),
        _reason(parts),
        parts,
        note=draft.measured.note,
    )


def _reason(parts):
    """Write the outcome of each part as a sentence."""
    words = {"opposite": "the opposite is seen"}
    by_outcome = {outcome: [part.name for part in parts if part.outcome == outcome] for outcome in OUTCOMES}
    reason = "; ".join(f"{words.get(key, key)}: {', '.join(names)}" for key, names in by_outcome.items() if names)
    return f"{reason[0].upper()}{reason[1:]}."


_DOCSTRING = """{summary}

Claim {number} of the paper: *{statement}*

Parameters
----------
results : xarray.Dataset
    From :func:`tokengeom_utils.open_results` or :func:`tokengeom_utils.survey`.
seed : int
    Seed of the random patterns of signs, which a survey of more than 15 kinds needs.

Returns
-------
Claim
    Corrected for its own parts only.

See Also
--------
tokengeom_utils.evaluate : judges all claims, and corrects for all their parts.
verdict : the rule that leads from the parts to the verdict.

Notes
-----
{details}Discussed in the chapter *{chapter}*{stop}

References
----------
Viswanathan et al., arXiv:2501.10573.

Examples
--------
>>> import tokengeom_utils as tg
>>> claim = tg.claims.{name}(tg.open_results("standard"))
>>> print(claim.number, claim.statement)
{number} {statement}
>>> claim.verdict in tg.claims.VERDICTS
True
"""


def _docstring(judge, number, statement, chapter):
    """Complete the docstring of a judge: its first paragraph is the summary, the others go to the notes."""
    summary, *details = cleandoc(judge.__doc__).split("\n\n")
    return _DOCSTRING.format(
        summary=summary,
        number=number,
        statement=statement,
        chapter=chapter,
        name=judge.__name__,
        stop="" if chapter.endswith("?") else ".",
        details="".join(f"{paragraph}\n\n" for paragraph in details),
    )
