"""Claims on the next-token loss: its correlation with the intrinsic dimension, and the chain that links the two."""

from collections.abc import Iterator

import numpy as np

from ..schema import TOP
from ..surveys.paper import PAPER_LAYERS
from ..theory.statistics import p_text, partial_correlation, pearson, sign_flip_p_value, spearman
from ..theory.statistics.correlation import residual
from ..theory.statistics.joint import standardized
from . import published
from .claim import Measured, Reported, claim
from .judging import mean
from .view import NotTestable, SurveyView
from .wording import listed

COVARIANCE = "contribution of each kind to the covariance"  #: how a correlation is tested
DIFFERENCE = "contribution of each kind to the difference of the correlations"  #: and how two are compared


@claim(
    10,
    "Over prompts, the intrinsic dimension correlates with the next-token loss, most of all in the first half of the "
    "layers.",
    chapter="Intrinsic dimension and loss",
)
def correlates_with_loss(survey: SurveyView) -> Iterator[Reported | Measured]:
    """Judge the Pearson correlation of dimension and loss at scaling 2.

    The parts are the strongest layer in either direction, with the search counted in; nine layers in ten, each with a
    test of its own; and the place. The place compares the strongest layer of the first half of the depth with the
    strongest of the second, for each kind of text as *other* kinds choose them, over all deals of the kinds into two
    halves.
    """
    theirs = published.correlations()
    yield Reported(
        published.each(
            lambda m: (
                f"highest {theirs[m].max():.2f} at layer {int(theirs[m].idxmax())}, "
                f"{theirs.loc[PAPER_LAYERS, m]:.2f} at the last"
            )
        )
        + "; p < 0.01 in every layer but Pythia's last, where p = 0.26.",
        "2,244 prompts; read off the authors' published figure, good to about 0.015 (figure 6 of the first version "
        "takes the logarithm of the dimension)",
    )
    survey.need_depth()
    loss, (dimension,) = _losses_and_dimensions(survey, (2,))
    n, r = len(loss), pearson(dimension, loss)
    if not np.isfinite(r).any():
        raise NotTestable("the correlation is undefined: the loss or the dimension is the same for all prompts")
    best = int(np.nanargmax(np.abs(r)))
    scores = survey.covariances(dimension, loss)
    strongest = "positive at the strongest layer"
    lead = _lead_of_first_half(survey, dimension, loss, scores)
    yield Measured(
        f"strongest {r[best]:.2f} at layer {survey.layers[best]} of {survey.last}, {r[-1]:.2f} at the last "
        f"({n} prompts).",
        [
            survey.scored(strongest, scores, words=COVARIANCE, theirs=theirs.max().mean(), effect=r[best]),
            survey.scored("positive in nine layers of ten", *scores, words=COVARIANCE, needed=0.9),
            survey.scored(
                "strongest in the first half",
                lead,
                words=f"{DIFFERENCE}, the others' strongest layer of the first half of the depth against that of the "
                "second, over all deals into halves",
                given=strongest,
            ),
        ],
        _with_tokens_fixed(survey, "r is", dimension[best], loss, survey.ordered("distinct_tokens"), " at that layer"),
    )


def _losses_and_dimensions(survey, scales):
    """Return loss (prompt,) and intrinsic dimension (scale, layer, prompt) of the ordered prompts."""
    for scale in scales:
        survey.need_scale(scale)
    survey.need_correlated()
    dimension = [survey.ordered("intrinsic_dimension", scale=scale).T for scale in scales]
    return survey.ordered("loss"), np.stack(dimension)


def _lead_of_first_half(survey, dimension, loss, scores):
    """Return how much more each kind adds to the correlation at the best layer of the first half than after.

    ``dimension`` is (layer, prompt), ``scores`` (layer, kind); other kinds choose the layers. The best layer has the
    largest correlation of one sign, that of the strongest layer of all: a layer with the other sign, as the first one
    can have, is no rival.
    """
    whole = mean(scores, 1)
    sign = np.sign(whole[np.nanargmax(np.abs(whole))])
    early = survey.depth <= 0.5
    places = np.stack([survey.highest(sign * scores.T, half) for half in (early, ~early)], 1)
    return survey.elsewhere(
        places, lambda at: sign * _difference(survey, dimension[at[:, 0]], dimension[at[:, 1]], loss).T
    )


def _difference(survey, x, other, y):
    """Return each kind's contribution to the difference of two correlations, of x and of another variable with y.

    Both are (..., prompt), and the contributions (..., kind). Their sum is the difference. The second term adds nothing
    to it, but takes from each kind what its scatter alone adds to one correlation, by the derivative of a correlation
    with respect to the weight of a prompt.
    """
    r = (pearson(x, y) + pearson(other, y)) / 2
    kind = survey.kind[survey.measured_in_order]
    scatter = (standardized(x) ** 2 - standardized(other) ** 2) @ (kind[:, None] == np.arange(survey.n_kinds))
    return survey.covariances(x, y) - survey.covariances(other, y) - r[..., None] / 2 * scatter / len(kind)


def _with_tokens_fixed(survey, subject, x, y, tokens, where=""):
    """Write the partial correlation of x and y, given the number of distinct tokens; empty if it is undefined."""
    with np.errstate(invalid="ignore", divide="ignore"):
        partial = partial_correlation(x, y, tokens)
    if not np.isfinite(partial):
        return ""
    scores = survey.covariances(residual(x, [tokens]), residual(y, [tokens]))
    p = sign_flip_p_value(scores[np.isfinite(scores)])
    return (
        f"With the number of distinct tokens held fixed {subject} {partial:.2f} "
        f"({p_text(p)} by itself, with kinds as units){where}."
    )


@claim(
    11,
    "In the last layer the correlation with the loss is stronger at range scalings 4 and 8 than at 2.",
    chapter="Intrinsic dimension and loss",
)
def larger_scales_correlate(survey: SurveyView) -> Iterator[Reported | Measured]:
    """Judge the difference of the correlations in the last layer by what each kind of text adds to it."""
    paper = published.last_correlations()
    yield Reported(
        "last layer, scalings 2, 4, 8: " + published.each(lambda model: listed(paper[model])) + ".",
        "2,244 prompts; read off the authors' published figures, good to about 0.015",
    )
    loss, dimension = _losses_and_dimensions(survey, (2, 4, 8))
    last = dimension[:, -1]
    r = pearson(last, loss)
    theirs = np.mean(list(paper.values()), axis=0)
    yield Measured(
        f"last layer, scalings 2, 4, 8: {listed(r)} ({len(loss)} prompts).",
        [
            survey.scored(
                f"scaling {s} above 2",
                _difference(survey, last[i], last[0], loss),
                words=DIFFERENCE,
                theirs=theirs[i] - theirs[0],
                effect=r[i] - r[0],
            )
            for i, s in ((1, 4), (2, 8))
        ],
    )


@claim(
    13,
    "The dimension of the last layer, that of the logits, the entropy of the next token and the loss form a chain of "
    "correlations.",
    chapter="From geometry to loss",
)
def chain_to_the_loss(survey: SurveyView) -> Iterator[Reported | Measured]:
    """Judge the chain link by link over the ordered prompts at scaling 2, and the mean entropy against the mean loss.

    The entropy lies within a tenth of the loss if it is certainly above nine tenths and certainly below eleven tenths.
    """
    from scipy.stats import rankdata

    yield Reported(
        "Llama-3-8B, rank correlations: 0.98 between the first two, 0.60 between the next; entropy and loss lie "
        "close to the diagonal.",
        "a secondary source, not checked against the paper itself",
    )
    survey.need_scale(2)
    loss, entropy, tokens = (survey.ordered(name) for name in ("loss", "entropy", "distinct_tokens"))
    survey.need_correlated()
    last, logits = (survey.ordered(name, scale=2) for name in ("intrinsic_dimension", "logit_dimension"))
    last = last[:, -1]
    with np.errstate(invalid="ignore", divide="ignore"):
        pairs = (last, logits), (logits, entropy), (entropy, loss), (last, loss)
        links = [float(spearman(x, y)) for x, y in pairs]
    e, loss_of = survey.by_kind(entropy), survey.by_kind(loss)
    partial = _with_tokens_fixed(survey, "the middle link is", *(rankdata(x) for x in (logits, entropy, tokens)))
    yield Measured(
        f"rank correlations at scaling 2: "
        f"{listed(links[:3])} from link to link, {links[3]:.2f} from end to end; mean dimension "
        f"{mean(last):.2f} in the last layer and {mean(logits):.2f} of the logits, mean entropy {mean(entropy):.2f} "
        f"and mean loss {mean(loss):.2f} nats ({len(loss)} prompts).",
        [
            _rank_correlated(survey, "last layer and logits", last, logits, remark="one is a linear map of the other"),
            _rank_correlated(survey, "logits and entropy", logits, entropy),
            _rank_correlated(survey, "entropy and loss", entropy, loss, remark="any calibrated model passes"),
            survey.scored(
                "mean entropy within a tenth of the mean loss",
                e - 0.9 * loss_of,
                1.1 * loss_of - e,
                words="two one-sided tests",
                against=1,
                remark="any calibrated model passes",
            ),
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


def _rank_correlated(survey, name, x, y, sign=1, **about):
    """Return a part from Spearman's rank correlation over prompts, with the paper's sign."""
    from scipy.stats import rankdata

    scores = survey.covariances(rankdata(x), rankdata(y))
    return survey.scored(
        name, sign * scores, words=f"{COVARIANCE} of the ranks", effect=sign * np.nansum(scores), **about
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
    share = share / entropy
    remark = "passed by any distribution with a peak and a tail"
    note = f"A survey looks at the top {TOP} for every prompt, where the paper takes each prompt's own dimension"
    if 2 in survey.every.scale.values:
        logits = survey.ordered("logit_dimension", scale=2)
        note += f" (ours is {logits.mean():.1f} on average, {logits.min():.1f} to {logits.max():.1f}, at scaling 2)"
    yield Measured(
        f"top {TOP}: {mean(mass):.1%} of the mass and {mean(share):.1%} of the entropy; mean width "
        f"{mean(width):.2f}, its rank correlation with the entropy {spearman(width, entropy):.2f} "
        f"({len(mass)} prompts).",
        [
            survey.paired("more than half of the mass", mass - 0.5, theirs=0.84 - 0.5, remark=remark),
            survey.paired("less than half of the entropy", 0.5 - share, theirs=0.5 - 0.458, remark=remark),
            _rank_correlated(
                survey,
                "wider with less entropy",
                width,
                entropy,
                sign=-1,
                theirs=0.91,
                remark="both are read off the same logits",
            ),
        ],
        note + ", and shares are means over prompts where the paper's run over all tokens. Width and entropy are read "
        "off the same logits, so that a strong relation between them is no surprise.",
    )
