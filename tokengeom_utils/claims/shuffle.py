"""Claims on the shuffle control: shuffled against ordered prompts, and one degree against the next."""

from collections.abc import Iterator
from functools import partial

import numpy as np

from ..surveys.paper import PAPER_LAYERS, open_paper
from ..theory.statistics import spearman
from . import published
from .claim import Measured, Reported, claim
from .judging import counted, untested
from .view import NotTestable, SurveyView
from .wording import listed, runs

CHAPTER = "The shuffle control"


@claim(2, "A full shuffle raises the peak of the intrinsic dimension.", CHAPTER)
def shuffle_raises_peak(survey: SurveyView) -> Iterator[Reported | Measured]:
    """Judge the maximum over layers, full shuffle against ordered prompt, at scales 2, 4, and 8."""
    ordered, shuffled = published.peaks(), published.peaks(shuffle=5)
    yield Reported(
        published.each(lambda m: f"{ordered[m].height:.2f} to {shuffled[m].height:.2f}")
        + " at scale 2; higher in every one of 50 prompts (in 88% or more at scale 8).",
        f"mean profiles, and single prompts for the shares; {published.ARRAYS}",
    )
    full = survey.full
    parts, ours = [], []
    for scale in (2, 4, 8):
        if scale not in survey.every.scale.values:
            parts.append(untested(f"scale {scale}", "not in the survey"))
            continue
        peaks = survey.peaks(scale)
        first, last = peaks[:, survey.at(0)], peaks[:, survey.at(full)]
        parts.append(survey.paired(f"scale {scale}", last - first))
        ours.append(f"{first.mean():.2f} to {last.mean():.2f} at scale {scale}")
    yield Measured("; ".join(ours) + " (means of each prompt's highest layer).", parts)


@claim(3, "The peak rises step by step with the degree of shuffling.", CHAPTER)
def graded_in_degree(survey: SurveyView) -> Iterator[Reported | Measured]:
    """Judge the highest layer of each prompt at scale 2 against the degree."""
    peaks = {m: [published.peaks(shuffle=s)[m].height for s in range(6)] for m in published.MODELS}
    yield Reported(
        "at degrees 0 to 5: " + published.each(lambda m: listed(peaks[m])) + ".",
        f"scaling 2, mean profiles; {published.ARRAYS}",
    )
    survey.need_scale(2)
    survey.need_degrees()
    values = survey.by_degree("intrinsic_dimension", scale=2)
    means = np.fmax.reduce(values.mean(0), axis=-1)
    ranks = spearman(survey.peaks(2), np.broadcast_to(survey.degrees, values.shape[:2]))
    yield Measured(
        f"at degrees {survey.degrees[0]} to {survey.degrees[-1]}: {listed(means)}.",
        [
            survey.paired("rank correlation of peak and degree", ranks),
            counted("steps upward in the mean", float(np.mean(np.diff(means) > 0)), 1),
        ],
    )


@claim(4, "Late in depth the order turns: shuffled clouds have the lower intrinsic dimension.", CHAPTER)
def order_turns_late(survey: SurveyView) -> Iterator[Reported | Measured]:
    """Judge the mean over the layers from relative depth 0.6 to the last but one, at scales 2 and 4."""
    turned = {
        s: published.profile("intrinsic_dimension", s, 5) < published.profile("intrinsic_dimension", s, 0)
        for s in (2, 4)
    }
    yield Reported(
        "; ".join(
            f"at scale {s} in layers " + ", ".join(f"{runs(t.index[t[m]])} ({m})" for m in published.MODELS)
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
            parts.append(untested(f"scale {scale}", "not in the survey"))
            continue
        contrast = survey.contrast("intrinsic_dimension", scale=scale)
        parts.append(survey.paired(f"scale {scale}", -contrast[:, late].mean(-1)))
        lower = survey.layers[contrast.mean(0) < 0]
        ours.append(
            f"scale {scale}: shuffled minus ordered {contrast[:, late].mean():+.2f} over layers "
            f"{runs(survey.layers[late])}, lower in layers {runs(lower)}"
        )
    yield Measured(
        "; ".join(ours) + ".",
        parts,
        "Pythia-6.9B shows no such turn at either scale and Mistral-7B only at 4: the size of a model does not decide "
        "it.",
    )


@claim(6, "A full shuffle raises the mean cosine similarity.", CHAPTER)
def cosine_rises(survey: SurveyView) -> Iterator[Reported | Measured]:
    """Judge the mean cosine similarity half-way and in the last layer, full shuffle against ordered prompt."""
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
    places = {"half-way": survey.nearest(0.5), "last layer": -1}
    theirs = (shuffled - ordered).loc[[PAPER_LAYERS // 2, PAPER_LAYERS]].mean(axis=1).values
    sizes = [contrast[:, at].mean() / change for at, change in zip(places.values(), theirs, strict=True)]
    steps = np.diff(values.mean((0, 2)))
    yield Measured(
        "; ".join(
            f"layer {survey.layers[at]}: {first[:, at].mean():.2f} to {(first + contrast)[:, at].mean():.2f}"
            for at in places.values()
        )
        + ".",
        [survey.paired(name, contrast[:, at]) for name, at in places.items()],
        f"Over all layers the mean rises at {np.mean(steps > 0):.0%} of the steps between degrees. The rise is "
        f"{sizes[0]:.0%} half-way and {sizes[1]:.0%} in the last layer of what the paper's models show on average; "
        "only its sign is judged.",
    )


@claim(
    7,
    "A full shuffle lowers the neighborhood overlap of adjacent layers near the peak of the intrinsic dimension.",
    CHAPTER,
)
def overlap_lower(survey: SurveyView) -> Iterator[Reported | Measured]:
    """Judge the overlap at k = 2 and k = 1, averaged over the pairs of layers next to the scale-2 peak.

    These are the pairs that start at the peak, one layer before it, and one layer after it.
    """
    ordered, shuffled = published.profile("neighborhood_overlap", 2), published.profile("neighborhood_overlap", 2, 5)
    higher = {m: ordered.index[shuffled[m] > ordered[m]] for m in published.MODELS}
    yield Reported(
        f"Llama-3-8B, k = 2, layers 14 to 15: {ordered.loc[14, 'Llama-3-8B']:.2f} ordered, "
        f"{shuffled.loc[14, 'Llama-3-8B']:.2f} shuffled; but shuffled is higher from layers "
        + ", ".join(f"{runs(higher[m])} ({m})" for m in published.MODELS)
        + ".",
        f"figure 5 of the first version; {published.ARRAYS}",
    )
    peak = survey.peak()
    near = [i for i in (peak - 1, peak, peak + 1) if 0 <= i < len(survey.layers) - 2]
    if not near:
        raise NotTestable("the peak is at the last layer, which has no ordinary neighbor")
    parts, ours = [], []
    for k in (2, 1):
        if k not in survey.every.k.values:
            parts.append(untested(f"k = {k}", "not in the survey"))
            continue
        contrast = survey.contrast("neighborhood_overlap", k=k)
        first = survey.by_degree("neighborhood_overlap", k=k)[:, survey.at(0)]
        parts.append(survey.paired(f"k = {k}", -contrast[:, near].mean(-1)))
        mean = contrast.mean(0)
        ours.append(
            f"k = {k}, pairs from layers {runs(survey.layers[near])}: {first[:, near].mean():.2f} ordered, "
            f"{(first + contrast)[:, near].mean():.2f} shuffled; shuffled is higher from layers "
            f"{runs(survey.layers[mean > 0])}"
        )
    yield Measured("; ".join(ours) + ".", parts)


@claim(
    9, "The angle between the directions to a token's two nearest neighbors is smaller after a full shuffle.", CHAPTER
)
def neighbor_angle(survey: SurveyView) -> Iterator[Reported | Measured]:
    """Judge the mean angle at the layer nearest in relative depth to the paper's layer 10 of 32."""
    yield Reported(
        "Llama-3-8B, layer 10 of 32: about 62 degrees shuffled and 68 ordered.",
        "read off the histogram in the first version",
    )
    survey.need_depth()
    at = survey.nearest(10 / PAPER_LAYERS)
    contrast = survey.contrast("neighbor_angle")[:, at]
    first = survey.by_degree("neighbor_angle")[:, survey.at(0), at]
    yield Measured(
        f"layer {survey.layers[at]} of {survey.last}: {np.nanmean(first + contrast):.1f} degrees shuffled, "
        f"{np.nanmean(first):.1f} ordered.",
        [survey.paired("smaller when shuffled", -contrast)],
        f"The difference is {abs(np.nanmean(contrast)):.1f} degrees here, against about 6 in the paper; only its sign "
        "is judged, since a survey stores the mean angle and not the histogram.",
    )


@claim(15, "Each degree of shuffling damages the text more than the one before.", CHAPTER)
def shuffle_severity(survey: SurveyView) -> Iterator[Reported | Measured]:
    """Judge the next-token loss from degree to degree; BLEU against the ordered prompt is reported, not judged."""
    table = open_paper("profiles")
    losses = table[(table.observable == "loss") & (table.model == "Llama-3-8B")].sort_values("shuffle")["mean"]
    yield Reported(
        "degrees 0 to 5: BLEU against the ordered text 1, 0.99, 0.97, 0.86, 0.42, 0.03; BERTScore F1 1, 0.90, 0.88, "
        f"0.86, 0.81, 0.76; loss of Llama-3-8B {listed(losses)}.",
        "the authors' repository, notes to the referees (rebuttal.md), 50 prompts; the loss from their arrays",
    )
    survey.need_degrees()
    loss = survey.by_degree("loss")
    bleu = survey.by_degree("bleu").mean(0)
    with np.errstate(invalid="ignore", divide="ignore"):
        ranks = spearman(loss, np.broadcast_to(survey.degrees, loss.shape))
    means = loss.mean(0)
    yield Measured(
        f"at degrees {survey.degrees[0]} to {survey.degrees[-1]}: loss {listed(means)}; BLEU {listed(bleu)}.",
        [
            survey.paired("loss rises with the degree", ranks),
            counted("loss rises at every step of the mean", float(np.mean(np.diff(means) > 0)), 1),
        ],
        "Judged by the loss. BLEU falls by construction, since smaller blocks keep fewer runs of tokens; ours compares "
        "tokens and not words. BERTScore needs a second language model, which a survey does not run.",
    )
