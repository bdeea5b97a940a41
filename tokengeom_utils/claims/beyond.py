"""What the trained model shows beyond its untrained twin, on the prompts that both processed."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ..surveys.results import open_results
from ..theory.statistics import Dealt, joint_p_values
from ..theory.statistics.deals import rows
from .claim import ClaimFunction
from .judging import LEVEL, MIN_UNITS
from .view import SurveyView

if TYPE_CHECKING:
    import xarray as xr


def twin_of(results: "xr.Dataset") -> "xr.Dataset | None":
    """Return the survey of the untrained twin that this repository holds, if it is the twin of a survey's model.

    Parameters
    ----------
    results : xarray.Dataset
        From :func:`tokengeom_utils.open_results`.

    Returns
    -------
    xarray.Dataset or None
        None if the survey is of another model, or of prompts of another length.

    See Also
    --------
    tokengeom_utils.evaluate : judges both side by side.

    Notes
    -----
    Used in the chapters *The shuffle control*, *The paper in one page*, and *The reproduction report*.

    Examples
    --------
    >>> import tokengeom_utils as tg
    >>> tg.claims.twin_of(tg.open_results("standard")).attrs["model"]
    'untrained:smollm2-135m'
    >>> tg.claims.twin_of(tg.open_results("untrained")) is None
    True
    """
    twin = open_results("untrained")
    same = twin.attrs["model"] == f"untrained:{results.attrs['model']}"
    return twin if same and twin.attrs["n_tokens"] == results.attrs["n_tokens"] else None


def beyond_the_twin(
    claims: Sequence[ClaimFunction], results: "xr.Dataset", twin: "xr.Dataset", seed: int = 42
) -> dict[tuple[int, str], str]:
    """Compare each part of each claim in the trained model and in its untrained twin, kind by kind.

    Each part is measured in both models on the prompts that both processed, and the difference of the scores is tested
    by the same sign flips as the claims. That the twin fails a test is no evidence for learning; this difference is.

    Parameters
    ----------
    claims : sequence of callable
        The functions that judge one claim each.
    results, twin : xarray.Dataset
        Surveys of the trained model and of the twin.
    seed : int
        Seed of the random patterns of signs.

    Returns
    -------
    dict of (int, str) to str
        By the number of the claim and the name of the part: ``"more"`` if the trained model shows certainly more of
        what the paper reports, ``"less"``, or ``"undecided"``. Parts of several tests, and parts for which the common
        prompts are too few, are absent.
    """
    both, same = common_prompts(results, twin)
    if not both.sizes["prompt"]:
        return {}
    pairs = {}
    ours, theirs = SurveyView(both), SurveyView(same)
    for claim in claims:
        drafts = claim.draft(ours), claim.draft(theirs)
        for trained in drafts[0].questions:
            for untrained in drafts[1].questions:
                if trained.name == untrained.name and _comparable(trained, untrained):
                    pairs[drafts[0].number, trained.name] = _difference(trained.scores[0], untrained.scores[0])
    _, adjusted, sign = joint_p_values(list(pairs.values()), seed=seed)
    words = {1: "more", -1: "less"}
    return {
        key: words[int(side)] if p < LEVEL else "undecided" for key, p, side in zip(pairs, adjusted, sign, strict=True)
    }


def common_prompts(results: "xr.Dataset", twin: "xr.Dataset") -> tuple["xr.Dataset", "xr.Dataset"]:
    """Return both surveys on the prompts, texts, and degrees that both hold; without any, two empty surveys."""
    have, want = ({(p, h): i for i, (p, h) in enumerate(_texts(survey))} for survey in (results, twin))
    alike = results.attrs.get("n_tokens") == twin.attrs.get("n_tokens")
    shared = [text for text in have if alike and text in want]  # of other lengths, the same texts are other prompts
    degrees = [s for s in results.shuffle.values if s in twin.shuffle.values]
    first = results.isel(prompt=[have[text] for text in shared]).sel(shuffle=degrees)
    second = twin.isel(prompt=[want[text] for text in shared]).sel(shuffle=degrees)
    measured = np.isfinite(first.loss.values) & np.isfinite(second.loss.transpose(*first.loss.dims).values)
    # A prompt counts as measured at a degree where its loss is a number.
    return first.assign(loss=first.loss.where(measured)), second.assign(loss=second.loss.where(measured))


def _texts(survey):
    """Return the name and the hash of every prompt."""
    names = survey.prompt.values if "prompt" in survey.coords else range(survey.sizes["prompt"])
    hashes = survey.sha256.values if "sha256" in survey.coords else [""] * len(names)
    return list(zip(map(str, names), map(str, hashes), strict=True))


def _comparable(trained, untrained):
    """Whether two questions are one test each, without a search, with enough kinds in common."""
    if not (trained.tested and untrained.tested and len(trained.scores) == len(untrained.scores) == 1):
        return False
    x, y = rows(trained.scores[0]), rows(untrained.scores[0])
    return len(x) == 1 and x.shape == y.shape and int(np.isfinite(x - y).sum()) >= MIN_UNITS


def _difference(x, y):
    """Return the difference of the scores of two tests, deal by deal if other kinds choose their places."""
    return x.minus(y) if isinstance(x, Dealt) else x - y
