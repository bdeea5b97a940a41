"""A claim of the paper, and the decorator that turns the judging of one into a public function."""

from collections.abc import Callable, Iterator
from inspect import cleandoc
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from .judging import OUTCOMES, VERDICTS, Part, verdict
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
    >>> claim = tg.claims.early_peak(tg.open_results("standard"), n_bootstrap=200)
    >>> claim.number, [part.name for part in claim.parts][-1]
    (1, 'peak in the first half')
    """

    number: int
    statement: str
    paper: str  #: what the paper reports
    source: str  #: where it reports that
    ours: str  #: what the survey shows
    test: str  #: the test of each part, in words
    verdict: str  #: one of :data:`VERDICTS`
    corrected: str  #: the verdict after Holm's correction over all claims; empty if judged alone
    reason: str  #: the outcome of each part, or why the claim is not testable
    parts: tuple[Part, ...] = ()


class Reported(NamedTuple):
    """What the paper reports on a claim, and where."""

    figures: str
    source: str


class Measured(NamedTuple):
    """What a survey shows, and the parts into which the claim is divided."""

    ours: str
    parts: list[Part]
    note: str = ""


class Judge(Protocol):
    """Judges a claim: a generator that yields :class:`Reported`, then :class:`Measured`.

    In that order the paper's figures stand in the ledger even where ``NotTestable`` ends the judging.
    """

    __name__: str

    def __call__(self, survey: SurveyView, /) -> Iterator[Reported | Measured]: ...


class ClaimFunction(Protocol):
    """A public function that judges one claim by a survey."""

    __name__: str

    def __call__(self, results: "xr.Dataset", n_bootstrap: int = 2000, seed: int = 42) -> Claim: ...


def claim(number: int, statement: str, chapter: str) -> Callable[[Judge], ClaimFunction]:
    """Turn a judge into a public function ``(results, n_bootstrap=2000, seed=42) -> Claim``.

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
        def judged(results: "xr.Dataset", n_bootstrap: int = 2000, seed: int = 42) -> Claim:
            steps: Iterator[Any] = judge(SurveyView(results, n_bootstrap, seed))
            reported: Reported = next(steps)
            try:
                measured: Measured = next(steps)
            except NotTestable as limit:
                return Claim(number, statement, *reported, "not measured", "none", VERDICTS[-1], "", f"{limit}.")
            parts = measured.parts
            test = "; ".join(f"{part.name}: {part.test}" for part in parts)
            return Claim(
                number, statement, *reported, measured.ours, test, verdict(parts), "", _reason(measured), tuple(parts)
            )

        # Not functools.wraps: it would show the annotations and the signature of the judge in help().
        judged.__module__, judged.__name__, judged.__qualname__ = judge.__module__, judge.__name__, judge.__name__
        judged.__doc__ = _docstring(judge, number, statement, chapter)
        return judged

    return decorate


def _reason(measured):
    """Write the outcome of each part as a sentence, with the note of the judge."""
    words = {"opposite": "the opposite is seen"}
    by_outcome = {outcome: [part.name for part in measured.parts if part.outcome == outcome] for outcome in OUTCOMES}
    reason = "; ".join(f"{words.get(key, key)}: {', '.join(names)}" for key, names in by_outcome.items() if names)
    return f"{reason[0].upper()}{reason[1:]}.{' ' + measured.note if measured.note else ''}"


_DOCSTRING = """{summary}

Claim {number} of the paper: *{statement}*

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
Claim
    With an empty ``corrected``: Holm's correction needs all claims.

See Also
--------
tokengeom_utils.evaluate : judges all claims, with Holm's correction.
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
>>> claim = tg.claims.{name}(tg.open_results("standard"), n_bootstrap=200)
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
