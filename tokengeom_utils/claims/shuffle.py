"""Claims on the shuffle control: shuffled against ordered prompts, and one degree against the next."""

from collections.abc import Iterator
from functools import partial

import numpy as np

from ..surveys.paper import PAPER_LAYERS
from ..theory.statistics import spearman
from . import published
from .claim import Measured, Reported, claim
from .judging import mean, untested
from .view import ELSEWHERE, SurveyView
from .wording import listed, runs

CHAPTER = "The shuffle control"


@claim(2, "A full shuffle raises the peak of the intrinsic dimension.", CHAPTER)
def shuffle_raises_peak(survey: SurveyView) -> Iterator[Reported | Measured]:
    """Judge the peak, full shuffle against ordered prompt, at scalings 2, 4, and 8.

    The maximum of a profile that scatters more is higher even where the mean is not. So each kind of text is judged
    where *other* kinds peak, over all deals of the kinds into two halves: both degrees at the peak of their mean, or at
    peaks of their own where these are clearly higher.
    """
    ordered, shuffled = published.peaks(), published.peaks(shuffle=5)
    yield Reported(
        published.each(lambda m: f"{ordered[m].height:.2f} to {shuffled[m].height:.2f}")
        + " at scaling 2; the own peak is higher in every one of 50 prompts (in 88% or more at scaling 8).",
        f"mean profiles, and single prompts for the shares; {published.ARRAYS}",
    )
    full = survey.full
    parts, ours = [], []
    for scale in (2, 4, 8):
        if scale not in survey.every.scale.values:
            parts.append(untested(f"higher at scaling {scale}", "not in the survey"))
            continue
        degrees = survey.at(0), survey.at(full)
        rise = survey.peaks("intrinsic_dimension", scale=scale).rise(*degrees)
        parts.append(survey.scored(f"higher at scaling {scale}", rise, words=ELSEWHERE, theirs=published.rise(scale)))
        values = survey.by_degree("intrinsic_dimension", scale=scale)[:, degrees]
        highest = np.fmax.reduce(mean(values, 0), axis=-1)
        ours.append(f"{highest[0]:.2f} to {highest[1]:.2f} at scaling {scale}")
    yield Measured("; ".join(ours) + " (peaks of the mean profiles over the prompts measured at every degree).", parts)


@claim(3, "The peak rises step by step with the degree of shuffling.", CHAPTER)
def graded_in_degree(survey: SurveyView) -> Iterator[Reported | Measured]:
    """Judge the peak at scaling 2 against the degree: in rank over all degrees, and at every step.

    A peak is measured as in the claim that a full shuffle raises it.
    """
    peaks = {m: [published.peaks(shuffle=s)[m].height for s in range(6)] for m in published.MODELS}
    yield Reported(
        "at degrees 0 to 5: " + published.each(lambda m: listed(peaks[m])) + ".",
        f"scaling 2, mean profiles; {published.ARRAYS}",
    )
    survey.need_scale(2)
    survey.need_degrees()
    values = survey.by_degree("intrinsic_dimension", scale=2)
    means = np.fmax.reduce(mean(values, 0), axis=-1)
    peak, n = survey.peaks("intrinsic_dimension", scale=2), len(survey.degrees)
    steps = [peak.rise(i, i + 1) for i in range(n - 1)]
    ranks = peak.judged(range(n), lambda heights: _ranks(heights, survey.degrees))
    theirs = np.mean([spearman(peaks[m], range(6)) for m in published.MODELS])
    yield Measured(
        f"at degrees {survey.degrees[0]} to {survey.degrees[-1]}: {listed(means)} (peaks of the mean "
        "profiles over the prompts measured at every degree).",
        [
            survey.scored("rank correlation of peak and degree", ranks, words=ELSEWHERE, theirs=theirs),
            survey.scored("upward at every step", *steps, words=ELSEWHERE),
        ],
    )


def _ranks(values, degrees):
    """Return the rank correlation with the degree of values (..., shuffle)."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return spearman(values, np.broadcast_to(degrees, values.shape))


@claim(4, "In late layers the effect reverses: shuffled clouds have the lower intrinsic dimension.", CHAPTER)
def order_turns_late(survey: SurveyView) -> Iterator[Reported | Measured]:
    """Judge the mean over the layers from relative depth 0.6 to the last but one, at scalings 2 and 4."""
    turned = {
        s: published.profile("intrinsic_dimension", s, 5) < published.profile("intrinsic_dimension", s, 0)
        for s in (2, 4)
    }
    yield Reported(
        "; ".join(
            f"at scaling {s} in layers " + ", ".join(f"{runs(t.index[t[m]])} ({m})" for m in published.MODELS)
            for s, t in turned.items()
        )
        + ": the paper's own models disagree.",
        f"mean profiles; {published.ARRAYS}",
    )
    survey.need_depth()
    late = (survey.depth >= 0.6) & (survey.layers < survey.last)
    parts, ours = [], []
    for scale in (2, 4):
        if scale not in survey.every.scale.values:
            parts.append(untested(f"lower at scaling {scale}", "not in the survey"))
            continue
        contrast = survey.contrast("intrinsic_dimension", scale=scale)
        theirs = published.profile("intrinsic_dimension", scale, 0) - published.profile("intrinsic_dimension", scale, 5)
        parts.append(
            survey.paired(
                f"lower at scaling {scale}",
                mean(-contrast[:, late], -1),
                theirs=theirs.loc[int(np.ceil(0.6 * PAPER_LAYERS)) : PAPER_LAYERS - 1, "Llama-3-8B"].mean(),
            )
        )
        lower = survey.layers[mean(contrast, 0) < 0]
        ours.append(
            f"scaling {scale}: shuffled minus ordered {mean(contrast[:, late]):+.2f} over layers "
            f"{runs(survey.layers[late])}, lower in {f'layers {runs(lower)}' if len(lower) else 'no layer'}"
        )
    yield Measured(
        "; ".join(ours) + ".",
        parts,
        "Pythia-6.9B shows no such reversal at either scaling and Mistral-7B only at 4: models of nearly equal "
        "size disagree. The sizes of the effects are relative to Llama-3-8B.",
    )


@claim(6, "A full shuffle raises the mean cosine similarity.", CHAPTER)
def cosine_rises(survey: SurveyView) -> Iterator[Reported | Measured]:
    """Judge the mean cosine similarity halfway and in the last layer, full shuffle against ordered prompt."""
    ordered, shuffled = published.profile("cosine_similarity"), published.profile("cosine_similarity", shuffle=5)
    small = [published.profile("cosine_similarity", shuffle=s).loc[16, "Llama-3-8B"] for s in range(4)]

    def change(model: str, layer: int) -> str:
        return f"{ordered.loc[layer, model]:.2f} to {shuffled.loc[layer, model]:.2f}"

    yield Reported(
        "; ".join(f"layer {layer}: " + published.each(partial(change, layer=layer)) for layer in (16, PAPER_LAYERS))
        + f". Small degrees can lower it: in Llama-3-8B, layer 16, it is {listed(small, 3)} at degrees 0 to 3.",
        published.ARRAYS,
    )
    survey.need_depth()
    values = survey.by_degree("cosine_similarity")
    first = values[:, survey.at(0)]
    contrast = survey.contrast("cosine_similarity")
    places = {"halfway": survey.nearest(0.5), "last layer": -1}
    theirs = (shuffled - ordered).loc[[PAPER_LAYERS // 2, PAPER_LAYERS]].mean(axis=1).values
    steps = np.diff(mean(mean(values, 0), -1))
    yield Measured(
        "; ".join(
            f"layer {survey.layers[at]}: {mean(first[:, at]):.2f} to {mean((first + contrast)[:, at]):.2f}"
            for at in places.values()
        )
        + ".",
        [
            survey.paired(name, contrast[:, at], theirs=wanted)
            for (name, at), wanted in zip(places.items(), theirs, strict=True)
        ],
        f"The average over all layers rises at {np.mean(steps > 0):.0%} of the steps between degrees; single layers "
        "can fall.",
    )


@claim(
    7,
    "A full shuffle lowers the neighborhood overlap of adjacent layers near the peak of the intrinsic dimension.",
    CHAPTER,
)
def overlap_lower(survey: SurveyView) -> Iterator[Reported | Measured]:
    """Judge the overlap at k = 2 for three pairs of layers separately.

    These are the pairs that start at the peak at scaling 2, one layer before it, and one layer after it. Each kind of
    text is judged at the pairs beside the peak of *other* kinds, over all deals of the kinds into two halves. Both
    layers of a pair lie before the final norm, so the peak is sought there.
    """
    ordered, shuffled = published.profile("neighborhood_overlap", 2), published.profile("neighborhood_overlap", 2, 5)
    higher = {m: ordered.index[shuffled[m] > ordered[m]] for m in published.MODELS}
    yield Reported(
        f"Llama-3-8B, k = 2, layers 14 to 15: {ordered.loc[14, 'Llama-3-8B']:.2f} ordered, "
        f"{shuffled.loc[14, 'Llama-3-8B']:.2f} shuffled; but shuffled is higher for pairs that begin at layers "
        + ", ".join(f"{runs(higher[m])} ({m})" for m in published.MODELS)
        + ".",
        f"figure 5 of the first version; {published.ARRAYS}",
    )
    before = survey.layers < survey.last
    peak = survey.peak(among=before)
    places = survey.highest(survey.by_kind(survey.ordered("intrinsic_dimension", scale=2)), before)
    k = 2 if 2 in survey.every.k.values else 1
    contrast = survey.contrast("neighborhood_overlap", k=k)
    first = mean(survey.by_degree("neighborhood_overlap", k=k)[:, survey.at(0)], 0)
    change = mean(contrast, 0)
    kinds = np.full((survey.n_kinds, len(survey.layers) + 2), np.nan)  # one place more on either side
    n_pairs = len(survey.layers) - 2  # without the last pair, which ends after the final norm
    kinds[:, 1 : n_pairs + 1] = -survey.by_kind(contrast)[:, :n_pairs]
    nowhere = (
        f"the dimension peaks at layer {survey.layers[peak]} of {survey.last}, and there is no such pair of layers "
        "before the final norm"
    )
    steps, parts, where = {"pair before the peak": -1, "pair at the peak": 0, "pair after the peak": 1}, [], []
    for name, step in steps.items():
        theirs = [
            (ordered - shuffled).loc[published.peaks()[m].layer + step, m] if k == 2 else np.nan
            for m in published.MODELS
        ]
        parts.append(
            survey.scored(
                name,
                survey.elsewhere(places, partial(_beside, kinds, step)),
                words="overlap of each kind beside the peak of other kinds, over all deals into halves",
                theirs=float(np.mean(theirs)),
                without="" if 0 <= peak + step < n_pairs else nowhere,
            )
        )
        where += [peak + step] if 0 <= peak + step < n_pairs else []
    turned = runs(survey.layers[change > 0])
    yield Measured(
        f"k = {k}, pairs from layers {runs(survey.layers[where])}: {listed(first[where])} ordered, "
        f"{listed((first + change)[where])} shuffled."
        if where
        else "no pair beside the peak ends before the last layer.",
        parts,
        "Sizes are relative to the mean of the three models, each at its own peak (for Llama-3-8B, layers 14 to "
        "15 are the pair after it)."
        + (
            f" The sign depends on the layer: shuffled, the overlap is higher for pairs that begin at layers {turned}."
            if (change > 0).any()
            else ""
        ),
    )


def _beside(kinds, step, places):
    """Return the scores of kinds (kind, pair), with one more pair on either side, a step from places."""
    return kinds[:, places + step + 1]


@claim(
    9, "The angle between the directions to a token's two nearest neighbors is smaller after a full shuffle.", CHAPTER
)
def neighbor_angle(survey: SurveyView) -> Iterator[Reported | Measured]:
    """Judge the mean angle at the layer nearest in relative depth to the paper's layer 10 of 32: its sign and its size.

    The size is judged only if the sign holds.
    """
    yield Reported(
        "Llama-3-8B, layer 10 of 32: about 62 degrees shuffled and 68 ordered.",
        "read off the histogram in the first version",
    )
    survey.need_depth()
    at = survey.nearest(10 / PAPER_LAYERS)
    contrast = survey.contrast("neighbor_angle")[:, at]
    first = survey.by_degree("neighbor_angle")[:, survey.at(0), at]
    smaller = "smaller when shuffled"
    yield Measured(
        f"layer {survey.layers[at]} of {survey.last}: {mean(first + contrast):.1f} degrees shuffled, "
        f"{mean(first):.1f} ordered.",
        [
            survey.paired(smaller, -contrast, theirs=PAPER_ANGLE),
            survey.paired(
                f"by half of the paper's {PAPER_ANGLE:.0f} degrees or more", -contrast - PAPER_ANGLE / 2, given=smaller
            ),
        ],
        f"The difference is {abs(mean(contrast)):.1f} degrees here, compared with about {PAPER_ANGLE:.0f} in the "
        "paper. A survey stores the mean angle and not the histogram.",
    )


PAPER_ANGLE = 6.0  #: degrees by which the angle falls in the paper, read off its histogram


@claim(15, "Each degree of shuffling damages the text more than the one before.", CHAPTER)
def shuffle_severity(survey: SurveyView) -> Iterator[Reported | Measured]:
    """Judge the next-token loss from degree to degree; BLEU against the ordered prompt is reported, not judged."""
    yield Reported(
        "degrees 0 to 5: BLEU against the ordered text 1, 0.99, 0.97, 0.86, 0.42, 0.03; BERTScore F1 1, 0.90, 0.88, "
        f"0.86, 0.81, 0.76; loss of Llama-3-8B {listed(published.losses())}.",
        "the authors' repository, notes to the referees (rebuttal.md), 50 prompts; the loss from their arrays",
    )
    survey.need_degrees()
    loss = survey.by_degree("loss")
    bleu = mean(survey.by_degree("bleu"), 0)
    ranks = _ranks(loss, survey.degrees)
    remark = "any model that uses the order of words passes"
    yield Measured(
        f"at degrees {survey.degrees[0]} to {survey.degrees[-1]}: loss {listed(mean(loss, 0))}; BLEU {listed(bleu)}.",
        [
            survey.paired("loss rises with the degree", ranks, theirs=1.0, remark=remark),
            survey.scored("upward at every step", *survey.by_kind(np.diff(loss)).T, remark=remark),
        ],
        "Judged by the loss. BLEU falls by construction, since smaller blocks keep fewer runs of tokens; ours compares "
        "tokens and not words. BERTScore needs a second language model, which a survey does not run.",
    )
