"""The claims of the paper, judged by a written rule on the numbers of a survey.

Each of the sixteen functions in :data:`CLAIMS` takes a survey and returns a :class:`Claim`: what the paper reports and
where, what the survey shows, and the verdict. :func:`tokengeom_utils.evaluate` judges all of them together, with one
correction for all tests, and puts the untrained twin beside them.

>>> import tokengeom_utils as tg
>>> survey = tg.open_results("standard")
>>> claim = tg.claims.shuffle_raises_peak(survey)
>>> print(claim.number, claim.statement)
2 A full shuffle raises the peak of the intrinsic dimension.
>>> claim.verdict in tg.claims.VERDICTS
True

References
----------
Viswanathan et al., arXiv:2501.10573, and the arrays and notes in the authors' repository
(github.com/RitAreaSciencePark/token_geometry). Layers are numbered as there, 1 to L; the last is taken after the final
norm.
"""

from .beyond import twin_of
from .claim import Claim
from .judging import LEVEL, MIN_CORRELATED, MIN_UNITS, OUTCOMES, VERDICTS, Part, verdict
from .ledger import CLAIMS, count, evaluate, parts_table, table, worth
from .loss import chain_to_the_loss, correlates_with_loss, larger_scales_correlate, top_logits
from .rendering import cards
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
from .stress import stress_table
from .untestable import token_against_dataset, training_data
from .wording import runs, sentence

__all__ = [
    "CLAIMS",
    "LEVEL",
    "MIN_CORRELATED",
    "MIN_UNITS",
    "OUTCOMES",
    "VERDICTS",
    "Claim",
    "Part",
    "cards",
    "chain_to_the_loss",
    "correlates_with_loss",
    "cosine_rises",
    "count",
    "early_peak",
    "evaluate",
    "graded_in_degree",
    "larger_scales_correlate",
    "neighbor_angle",
    "order_turns_late",
    "overlap_grows",
    "overlap_lower",
    "parts_table",
    "range_scaling",
    "runs",
    "sentence",
    "shuffle_raises_peak",
    "shuffle_severity",
    "stress_table",
    "table",
    "token_against_dataset",
    "top_logits",
    "training_data",
    "twin_of",
    "verdict",
    "worth",
]
