"""Claims on the next-token loss: its correlation with the intrinsic dimension, and the chain that links the two."""

from collections.abc import Iterator

import numpy as np

from ..models.predictions import TOP
from ..surveys.paper import PAPER_LAYERS, open_paper
from ..theory.statistics import correlation_p_value, p_text, partial_correlation, pearson, spearman
from . import published
from .claim import Measured, Reported, claim
from .judging import LEVEL, Part, counted, percentile_interval, resampled
from .view import NotTestable, SurveyView
from .wording import listed


@claim(
    10,
    "Over prompts, the intrinsic dimension correlates with the next-token loss, most of all in the first half of the "
    "layers.",
    chapter="Intrinsic dimension and loss",
)
def correlates_with_loss(survey: SurveyView) -> Iterator[Reported | Measured]:
    """Judge the Pearson correlation of dimension and loss at scale 2.

    The parts are the strongest layer, with a Bonferroni correction for the search, all layers, and the depth of the
    strongest.
    """
    table = open_paper("loss_correlation_2244")
    theirs = table[table.scale == 2].pivot(index="layer", columns="model", values="pearson")
    yield Reported(
        published.each(
            lambda m: (
                f"{theirs[m].max():.2f} at layer {int(theirs[m].idxmax())}, "
                f"{theirs.loc[PAPER_LAYERS, m]:.2f} at the last"
            )
        )
        + "; p < 0.01 in every layer but Pythia's last, where p = 0.26.",
        "2,244 prompts; read off the authors' published figure, good to about 0.015 (figure 6 of the first version "
        "takes the logarithm of the dimension)",
    )
    survey.need_depth()
    loss, (dimension,) = survey.losses_and_dimensions((2,))
    n, r = len(loss), pearson(dimension, loss)
    if not np.isfinite(r).any():
        raise NotTestable("the correlation is undefined: the loss or the dimension is the same for all prompts")
    best = int(np.nanargmax(r))
    draws = survey.correlations(dimension, loss)
    significant = np.mean((r > 0) & (correlation_p_value(r, n) < 0.01))
    depths = survey.depth[np.nanargmax(np.where(np.isfinite(draws), draws, -1), axis=1)]
    yield Measured(
        f"{r[best]:.2f} at layer {survey.layers[best]} of {survey.last}, {r[-1]:.2f} at the last ({n} prompts).",
        [
            _strongest(r, n, draws),
            counted("p < 0.01 and positive in nine layers of ten", float(significant), 0.9),
            resampled("strongest in the first half", depths, n, 0, 0.5),
        ],
        _with_tokens_fixed("r is", dimension[best], loss, survey.ordered("distinct_tokens"), " at that layer"),
    )


def _strongest(r, n, draws):
    """Judge the sign of the largest of the correlations r (layer,); draws (n_bootstrap, layer) are its resamples."""
    best = int(np.nanargmax(r))
    p = min(1.0, len(r) * float(correlation_p_value(r[best], n)))
    low, high = percentile_interval(draws[:, best])
    return Part(
        "positive at the strongest layer",
        float(np.mean(draws[:, best] > 0)),
        p,
        "undecided" if p >= LEVEL else "holds" if r[best] > 0 else "opposite",
        f"Pearson r = {r[best]:.2f}, {n} prompts, {p_text(p)} after Bonferroni over {len(r)} layers, "
        f"bootstrap interval {low:.2f} to {high:.2f}",
    )


def _with_tokens_fixed(subject, x, y, tokens, where=""):
    """Write the partial correlation of x and y, given the number of distinct tokens; empty if it is undefined."""
    with np.errstate(invalid="ignore", divide="ignore"):
        partial = partial_correlation(x, y, tokens)
    if not np.isfinite(partial):
        return ""
    return (
        f"With the number of distinct tokens held fixed {subject} {partial:.2f} "
        f"({p_text(float(correlation_p_value(partial, len(y), 1)))}){where}."
    )


@claim(
    11,
    "In the last layer the correlation with the loss is stronger at range scalings 4 and 8 than at 2.",
    chapter="Intrinsic dimension and loss",
)
def larger_scales_correlate(survey: SurveyView) -> Iterator[Reported | Measured]:
    """Judge the difference of the correlations in the last layer, with prompts resampled together."""
    yield Reported(
        "last layer, scalings 2, 4, 8: Llama-3-8B 0.22, 0.46, 0.50; Mistral-7B 0.40, 0.62, 0.63; Pythia-6.9B 0.02, "
        "0.36, 0.40.",
        "2,244 prompts; read off the authors' published figures",
    )
    loss, dimension = survey.losses_and_dimensions((2, 4, 8))
    last = dimension[:, -1]
    draws = survey.correlations(last, loss)
    yield Measured(
        f"last layer, scalings 2, 4, 8: {listed(pearson(last, loss))} ({len(loss)} prompts).",
        [resampled(f"scaling {s} above 2", draws[:, i] - draws[:, 0], len(loss)) for i, s in ((1, 4), (2, 8))],
    )


@claim(
    13,
    "The dimension of the last layer, that of the logits, the entropy of the next token and the loss form a chain of "
    "correlations.",
    chapter="From geometry to loss",
)
def chain_to_the_loss(survey: SurveyView) -> Iterator[Reported | Measured]:
    """Judge the chain link by link over the ordered prompts at scale 2, and the mean entropy against the mean loss."""
    from scipy.stats import rankdata

    yield Reported(
        "Llama-3-8B, rank correlations: 0.98 between the first two, 0.60 between the next; entropy and loss lie "
        "close to the diagonal.",
        "a secondary source, not checked against the paper itself",
    )
    survey.need_scale(2)
    loss, entropy, tokens = (survey.ordered(name) for name in ("loss", "entropy", "distinct_tokens"))
    survey.need_correlated(len(loss))
    last, logits = (survey.ordered(name, scale=2) for name in ("intrinsic_dimension", "logit_dimension"))
    last = last[:, -1]
    ratio = survey.draws(lambda x, y: x.mean(-1) / y.mean(-1), entropy, loss)
    with np.errstate(invalid="ignore", divide="ignore"):
        pairs = (last, logits), (logits, entropy), (entropy, loss), (last, loss)
        links = [float(spearman(x, y)) for x, y in pairs]
    partial = _with_tokens_fixed("the middle link is", *(rankdata(x) for x in (logits, entropy, tokens)))
    yield Measured(
        f"scaling 2: {listed(links[:3])} from link to link, {links[3]:.2f} from end to end; mean dimension "
        f"{last.mean():.2f} in the last layer and {logits.mean():.2f} of the logits, mean entropy {entropy.mean():.2f} "
        f"and mean loss {loss.mean():.2f} nats ({len(loss)} prompts).",
        [
            survey.correlated("last layer and logits", last, logits),
            survey.correlated("logits and entropy", logits, entropy),
            survey.correlated("entropy and loss", entropy, loss),
            resampled("mean entropy within a tenth of the mean loss", ratio, len(loss), 0.9, 1.1),
        ],
        " ".join(
            filter(
                None,
                [
                    "The last layer is taken after the final norm, as in the paper, "
                    "so that the logits are a linear map of it.",
                    partial,
                ],
            )
        ),
    )


@claim(
    14,
    "As many top logits as the logits have dimensions carry most of the probability but not most of the entropy, and "
    "where they spread wider the entropy is lower.",
    chapter="From geometry to loss",
)
def top_logits(survey: SurveyView) -> Iterator[Reported | Measured]:
    """Judge the shares of the top logits against one half, and their width against the entropy.

    The prompts are the ordered ones.
    """
    yield Reported(
        "Llama-3-8B, as many top logits as the prompt's logit dimension, 7 on average: 84.0% of the mass and "
        "45.8% of the entropy; their mean width is 5.13, its rank correlation with the entropy -0.91.",
        "the authors' repository, notes to the referees (analysis.md), 50 prompts",
    )
    mass, share, width, entropy = (survey.ordered(name) for name in ("top_mass", "top_entropy", "top_width", "entropy"))
    survey.need_paired(len(mass))
    share = share / entropy
    note = f"A survey looks at the top {TOP} for every prompt, where the paper takes each prompt's own dimension"
    if 2 in survey.every.scale.values:
        logits = survey.ordered("logit_dimension", scale=2)
        note += f" (ours is {logits.mean():.1f} on average, {logits.min():.1f} to {logits.max():.1f}, at scaling 2)"
    yield Measured(
        f"top {TOP}: {mass.mean():.1%} of the mass and {share.mean():.1%} of the entropy; mean width "
        f"{width.mean():.2f}, its rank correlation with the entropy {spearman(width, entropy):.2f} "
        f"({len(mass)} prompts).",
        [
            survey.paired("more than half of the mass", mass - 0.5),
            survey.paired("less than half of the entropy", 0.5 - share),
            survey.correlated("wider with less entropy", width, entropy, sign=-1),
        ],
        note + ", and shares are means over prompts where the paper's run over all tokens. Width and entropy are read "
        "off the same logits, so that a strong relation between them is no surprise.",
    )
