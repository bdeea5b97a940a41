"""Claims on the shape of a profile: over the layers, and over the range scalings."""

from collections.abc import Iterator

import numpy as np

from ..surveys.paper import PAPER_LAYERS
from ..theory.statistics import spearman
from ..theory.statistics.deals import Dealt
from . import published
from .claim import Measured, Reported, claim
from .judging import mean, untested
from .view import ELSEWHERE, SurveyView
from .wording import listed


@claim(
    1,
    "The intrinsic dimension rises to a peak in the first half of the layers and falls after it.",
    chapter="Intrinsic dimension: how many directions does a cloud have?",
)
def early_peak(survey: SurveyView) -> Iterator[Reported | Measured]:
    """Judge the profile of the ordered prompts at scaling 2: its rise, its fall, and the depth of its maximum.

    A maximum found by searching lies above its neighbors by definition. So each kind of text is judged at the layer
    where *other* kinds peak, over all deals of the kinds into two halves. No layer is compared with itself: the rise is
    from the first layer to the highest of the others, and each fall from the highest of the layers before. Where a
    profile falls from the first layer on, or rises to the last, the difference is negative. The place compares the
    highest layer of the first half of the depth with the highest of the second.
    """
    peaks = published.peaks()
    final = published.profile("intrinsic_dimension", 2).loc[PAPER_LAYERS]
    yield Reported(
        published.each(
            lambda m: f"{peaks[m].height:.2f} at layer {peaks[m].layer} of {PAPER_LAYERS}, {final[m]:.2f} at the last"
        )
        + ".",
        f"scaling 2, mean profiles; {published.ARRAYS}",
    )
    peak = survey.peak()
    profile = survey.ordered("intrinsic_dimension", scale=2)
    depth, ours = survey.depth, mean(profile, 0)
    kinds = survey.by_kind(profile)
    place = np.arange(len(depth))
    early, late = (survey.highest(kinds, half) for half in (depth <= 0.5, depth > 0.5))
    theirs = [peaks[m].height - published.profile("intrinsic_dimension", 2)[m] for m in published.MODELS]
    drop = np.mean([one.loc[[1, PAPER_LAYERS, PAPER_LAYERS - 1]] for one in theirs], axis=0)
    ends = {"the first layer": (0, place > 0), "the last layer": (-1, place < place[-1])}
    ends["the layer before it"] = -2, place < place[-2]

    def above(end: int, among: np.ndarray) -> Dealt:
        return survey.elsewhere(survey.highest(kinds, among), lambda layers: kinds[:, layers] - kinds[:, [end]])

    yield Measured(
        f"peak of the mean profile over all prompts {ours[peak]:.2f} at layer {survey.layers[peak]} of {survey.last} "
        f"(relative depth {depth[peak]:.2f}); "
        f"{ours[0]:.2f} at the first, {ours[-1]:.2f} at the last.",
        [
            *(
                survey.scored(f"higher than in {name}", above(*end), words=ELSEWHERE, theirs=wanted)
                for (name, end), wanted in zip(ends.items(), drop, strict=True)
            ),
            survey.scored(
                "peak in the first half",
                survey.elsewhere(np.stack([early, late], 1), lambda at: kinds[:, at[:, 0]] - kinds[:, at[:, 1]]),
                words="height of each kind at the others' highest layer of the first half of the depth, against that "
                "of the second",
            ),
        ],
        f"The last layer is taken after the final norm, as in the paper; before it, in layer {survey.layers[-2]}, the "
        f"mean is {ours[-2]:.2f}.",
    )


@claim(
    5,
    "The intrinsic dimension is nearly flat over small range scalings, then rises; the order of the degrees breaks at "
    "larger ones.",
    chapter="Intrinsic dimension: how many directions does a cloud have?",
)
def range_scaling(survey: SurveyView) -> Iterator[Reported | Measured]:
    """Judge the dependence on the scaling at the layer of its peak at 2, and the order of the degrees at scaling 16.

    Flat means that the ratio of scaling 8 to scaling 2 lies certainly above 0.8 and certainly below 1.25; it says
    something only where the dimension rises afterwards. The order is broken if the strongest degree has a lower peak
    than the degree before it, as at scaling 16 in each of the paper's models.
    """
    scales = (2, 4, 8, 16, 32, 64)
    model = "Llama-3-8B"
    layer = published.peaks()[model].layer
    values = [published.profile("intrinsic_dimension", s).loc[layer, model] for s in scales]
    peaks = [published.peaks(BREAK, s)[model].height for s in (4, 5)]
    first = next(s for s in scales if published.peaks(s, 4)[model].height > published.peaks(s, 5)[model].height)
    yield Reported(
        f"{model}, layer {layer}, scalings 2 to 64: {listed(values, 1)}; at scaling {BREAK} its peak is {peaks[0]:.1f} "
        f"at degree 4 and {peaks[1]:.1f} at degree 5; the order first breaks at scaling {first}.",
        f"mean profiles; {published.ARRAYS}",
    )
    peak = survey.peak()
    survey.need_scale(8)
    at = {
        s: survey.by_kind(survey.ordered("intrinsic_dimension", scale=s))
        for s in scales
        if s in survey.every.scale.values
    }
    layers = survey.highest(at[2])
    rise, flat = "rise from 8 to 64", "flat from 2 to 8, ratio within 0.8 to 1.25"
    parts = [untested(rise, "not in the survey"), untested(flat, "it means something only beside the rise")]
    if 64 in at:
        growth = survey.elsewhere(layers, lambda layer: (at[64] - at[8])[:, layer])
        ratio = survey.elsewhere(layers, lambda layer: (at[8] / at[2])[:, layer]).each
        parts = [
            survey.scored(rise, growth, words=ELSEWHERE, theirs=values[-1] - values[2]),
            survey.scored(
                flat,
                Dealt(ratio - 0.8),
                Dealt(1.25 - ratio),
                words=f"{ELSEWHERE}, two one-sided tests",
                given=rise,
                against=1,
            ),
        ]
    broken, where = _broken_order(survey)
    means = (mean(survey.ordered("intrinsic_dimension", scale=s)[:, peak]) for s in at)
    ours = f"layer {survey.layers[peak]}, scalings {min(at)} to {max(at)}: {listed(means, 1)}"
    yield Measured("; ".join([ours, *where]) + ".", [*parts, broken])


BREAK = 16  #: the range scaling at which the order of the degrees is judged: it is broken in all of the paper's models


def _broken_order(survey):
    """Return a part, whether the strongest degree has a lower peak than the one before at scaling 16, and words."""
    name = f"at scaling {BREAK} the strongest shuffle has a lower peak than the one before"
    if len(survey.degrees) < 3:
        return untested(name, "an order of degrees needs at least three of them"), []
    down = []
    for scale in survey.every.scale.values[survey.every.scale.values > 2]:
        means = np.fmax.reduce(mean(survey.by_degree("intrinsic_dimension", scale=scale), 0), axis=-1)
        down += [
            f"from degree {s - 1} to {s} at scaling {scale}"
            for s, change in zip(survey.degrees[1:], np.diff(means), strict=True)
            if change < 0
        ]
    where = ["the peak of the mean profile falls " + (", ".join(down) or "at no step of any scaling above 2")]
    if BREAK not in survey.every.scale.values:
        return untested(name, "not in the survey"), where
    fall = survey.peaks("intrinsic_dimension", scale=BREAK).rise(-1, -2)
    return survey.scored(name, fall, words=ELSEWHERE, theirs=published.rise(BREAK, 5, 4)), where


@claim(
    8,
    "The neighborhood overlap of adjacent layers grows with depth and drops at the end.",
    chapter="Neighborhood overlap: does a token keep its neighbors?",
)
def overlap_grows(survey: SurveyView) -> Iterator[Reported | Measured]:
    """Judge the overlap of the ordered prompts at k = 2 against depth.

    The parts are its rank correlation with depth, and the last pair of layers against the pair before it.
    """
    profile = published.profile("neighborhood_overlap", 2)
    inner = profile.iloc[:-1]
    yield Reported(
        "k = 2: "
        + published.each(
            lambda m: (
                f"{profile[m].iloc[0]:.2f} at the first pair, {inner[m].max():.2f} from layer "
                f"{int(inner[m].idxmax())}, {profile[m].iloc[-1]:.2f} at the last"
            )
        )
        + ".",
        f"figure 5 of the first version; {published.ARRAYS}",
    )
    survey.need_depth()
    k = 2 if 2 in survey.every.k.values else 1
    values = survey.ordered("neighborhood_overlap", k=k)[:, :-1]  # pair l -> l + 1; the last layer starts none
    ours = mean(values, 0)
    top = int(np.nanargmax(ours[:-1]))
    trend = spearman(values[:, :-1], np.broadcast_to(survey.layers[:-2], values[:, :-1].shape))
    theirs = np.mean([spearman(inner[m].loc[1:], inner.loc[1:].index) for m in published.MODELS])
    drop = float((inner.iloc[-1] - profile.iloc[-1]).mean())
    yield Measured(
        f"k = {k}: {ours[0]:.2f} at the first pair, {ours[top]:.2f} from layer {survey.layers[top]}, "
        f"{ours[-1]:.2f} at the last.",
        [
            survey.paired("rank correlation with depth", trend, theirs=theirs),
            survey.paired(
                "last pair below the one before",
                values[:, -2] - values[:, -1],
                theirs=drop if k == 2 else np.nan,
            ),
        ],
        "The last pair ends after the final norm, as in the paper, so a part of the drop may be the norm's.",
    )
