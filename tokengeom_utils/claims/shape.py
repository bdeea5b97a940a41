"""Claims on the shape of a profile: over the layers, and over the range scalings."""

from collections.abc import Iterator

import numpy as np

from ..surveys.paper import PAPER_LAYERS
from ..theory.statistics import holm, sign_flip_p_value, spearman
from . import published
from .claim import Measured, Reported, claim
from .judging import LEVEL, MIN_PAIRED, Part, resampled, untested
from .view import SurveyView
from .wording import listed


@claim(
    1,
    "The intrinsic dimension rises to a peak in the first half of the layers and falls after it.",
    chapter="Intrinsic dimension: how many directions does a cloud have?",
)
def early_peak(survey: SurveyView) -> Iterator[Reported | Measured]:
    """Judge the mean profile of the ordered prompts at scale 2: its rise, its fall, and the depth of its maximum.

    The height of a prompt is taken at the layer where the *other* prompts peak: a maximum found by searching lies above
    its neighbors by definition.
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
    depth = survey.depth
    draws = survey.draws(lambda x: depth[np.nanargmax(x.mean(-1))], profile.T)
    mean = profile.mean(0)
    elsewhere = np.nanargmax(mean * len(profile) - profile, axis=1)
    height = profile[np.arange(len(profile)), elsewhere]
    yield Measured(
        f"{mean[peak]:.2f} at layer {survey.layers[peak]} of {survey.last} (relative depth {depth[peak]:.2f}); "
        f"{mean[0]:.2f} at the first, {mean[-1]:.2f} at the last.",
        [
            survey.paired("higher than in the first layer", height - profile[:, 0]),
            survey.paired("higher than in the last layer", height - profile[:, -1]),
            survey.paired("higher than in the layer before it", height - profile[:, -2]),
            resampled("peak in the first half", draws, len(profile), 0, 0.5),
        ],
        f"The last layer is taken after the final norm, as in the paper; before it, in layer {survey.layers[-2]}, the "
        f"mean is {mean[-2]:.2f}.",
    )


@claim(
    5,
    "The intrinsic dimension is nearly flat over small range scalings, then rises; the order of the degrees breaks at "
    "larger ones.",
    chapter="Intrinsic dimension: how many directions does a cloud have?",
)
def range_scaling(survey: SurveyView) -> Iterator[Reported | Measured]:
    """Judge the dependence on the scale at the layer of the scale-2 peak, and the order of the degrees.

    The parts are the ratio of scale 8 to scale 2, the rise from 8 to 64, and a break in the order of the degrees at any
    larger scaling.
    """
    scales = (2, 4, 8, 16, 32, 64)
    model = "Llama-3-8B"
    layer = published.peaks()[model].layer
    values = [published.profile("intrinsic_dimension", s).loc[layer, model] for s in scales]
    peaks = [published.peaks(16, s)[model].height for s in (4, 5)]
    first = next(s for s in scales if published.peaks(s, 4)[model].height > published.peaks(s, 5)[model].height)
    yield Reported(
        f"{model}, layer {layer}, scalings 2 to 64: {listed(values, 1)}; at scaling 16 its peak is {peaks[0]:.1f} at "
        f"degree 4 and {peaks[1]:.1f} at degree 5; the order first breaks at scaling {first}.",
        f"mean profiles; {published.ARRAYS}",
    )
    peak = survey.peak()
    survey.need_scale(8)
    at = {s: survey.ordered("intrinsic_dimension", scale=s)[:, peak] for s in scales if s in survey.every.scale.values}
    ratio = survey.draws(lambda x, y: y.mean(-1) / x.mean(-1), at[2], at[8])
    rise, (order, where) = "rise from 8 to 64", _broken_order(survey)
    ours = f"layer {survey.layers[peak]}, scalings {min(at)} to {max(at)}: {listed((v.mean() for v in at.values()), 1)}"
    yield Measured(
        "; ".join([ours, *where]) + ".",
        [
            resampled("flat from 2 to 8, ratio within 0.8 to 1.25", ratio, len(at[2]), 0.8, 1.25),
            survey.paired(rise, at[64] - at[8]) if 64 in at else untested(rise, "not in the survey"),
            order,
        ],
    )


def _broken_order(survey):
    """Judge whether at a scaling above 2 some degree has a lower peak than the one before; return a part, and words."""
    name = "order breaks at a larger scaling"
    if len(survey.degrees) < 3:
        return untested(name, "an order of degrees needs at least three of them"), []
    steps = {}
    for scale in survey.every.scale.values[survey.every.scale.values > 2]:
        change = np.diff(survey.peaks(scale), axis=1)  # (prompt, step)
        for degree, values in zip(survey.degrees[1:], change.T, strict=True):
            steps[int(scale), int(degree)] = values[np.isfinite(values)]
    if min(map(len, steps.values())) < MIN_PAIRED:
        return untested(name, f"fewer than {MIN_PAIRED} prompts"), []
    p = holm([sign_flip_p_value(values, survey.seed) for values in steps.values()])
    adjusted = dict(zip(steps, p, strict=True))
    certain = [place for place, q in adjusted.items() if q < LEVEL]
    down = [place for place in certain if steps[place].mean() < 0]
    up = [place for place in certain if steps[place].mean() > 0]
    where = "the peak falls with certainty " + (
        ", ".join(f"from degree {s - 1} to {s} at scaling {scale}" for scale, s in down) or "at no step"
    )
    smallest = float(min(adjusted[place] for place in down or steps))
    part = Part(
        name,
        len(down) / len(steps),
        smallest if down else max(LEVEL, smallest),
        "holds" if down else "opposite" if len(up) == len(steps) else "undecided",
        f"sign-flip test of each of {len(steps)} steps, Holm's correction over them, "
        f"{len(down)} certainly down, {len(up)} certainly up",
    )
    return part, [where]


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
    survey.need_paired(len(values))
    mean = values.mean(0)
    top = int(np.nanargmax(mean[:-1]))
    trend = spearman(values[:, :-1], np.broadcast_to(survey.layers[:-2], values[:, :-1].shape))
    yield Measured(
        f"k = {k}: {mean[0]:.2f} at the first pair, {mean[top]:.2f} from layer {survey.layers[top]}, "
        f"{mean[-1]:.2f} at the last.",
        [
            survey.paired("rank correlation with depth", trend),
            survey.paired("last pair below the one before", values[:, -2] - values[:, -1]),
        ],
        "The last pair ends after the final norm, as in the paper, so a part of the drop may be the norm's.",
    )
