"""Claims that no single survey can test: they stand in the ledger with the reason."""

from collections.abc import Iterator

from . import published
from .claim import Measured, Reported, claim
from .view import NotTestable, SurveyView


@claim(
    12,
    "Token by token the intrinsic dimension tracks the loss better than the dimension of a data set with one point per "
    "prompt does.",
    chapter="Intrinsic dimension and loss",
)
def token_against_dataset(survey: SurveyView) -> Iterator[Reported | Measured]:
    """Report the comparison of token clouds with clouds that have one point per prompt.

    A test needs the dimension of many sets of prompts.
    """
    yield Reported(
        "OPT-6.7B, Spearman correlation with the loss: 0.69 (scaling 2) and 0.73 (scaling 8) for token clouds, both "
        "p < 0.01; for data sets 0.51 (ESS, p = 0.01), 0.13 (TwoNN, p = 0.5) and -0.46 (a large scaling, p = 0.09).",
        "table 1 of the replies to the referees, in the authors' repository",
    )
    raise NotTestable(
        "a survey measures clouds of tokens; the other side of the comparison needs the dimension of "
        "many data sets, each a cloud with one point per prompt"
    )


@claim(
    16,
    "A model that was trained on the prompts' own corpus has a lower peak and a higher overlap.",
    chapter="The reproduction report",
)
def training_data(survey: SurveyView) -> Iterator[Reported | Measured]:
    """Report the comparison of models that differ in their training data.

    A test needs several models whose training data are known.
    """
    peaks = published.peaks()
    overlap = published.profile("neighborhood_overlap", 1).loc[14:16].mean()
    yield Reported(
        "Pythia-6.9B was trained on the Pile. "
        + published.each(lambda m: f"peak {peaks[m].height:.2f}, overlap (k = 1, layers 14 to 16) {overlap[m]:.2f}")
        + ".",
        published.ARRAYS,
    )
    raise NotTestable(
        "a survey holds one model, and the claim compares several, which differ in much beside their "
        "training data; those of two are undisclosed, so that even the paper can only suggest it"
    )
