"""Claims: what the paper says, what a survey says, and a verdict by a written rule.

Each of the sixteen functions here takes a survey and answers with a :class:`Claim`: what the paper reports and where,
what the survey shows, and the parts into which the claim was cut. How a part is judged, and how the verdict follows,
stands in :mod:`tokengeom_utils.claims.judging`; :func:`evaluate` makes the whole ledger, with Holm's correction over it.

>>> from tokengeom_utils.claims.ledger import CLAIMS, VERDICTS
>>> len(CLAIMS), VERDICTS
(16, ('reproduced', 'partly', 'not at this scale', 'not testable here'))

References
----------
Viswanathan et al., arXiv:2501.10573, and the arrays and notes in the authors' repository
(github.com/RitAreaSciencePark/token_geometry). Layers here are numbered as there, 1 to L; the last is taken after the
final norm.
"""

from functools import lru_cache, wraps
from typing import NamedTuple

import numpy as np

from .judging import (LEVEL, MIN_CORRELATED, MIN_PAIRED, OUTCOMES, VERDICTS, Part, after_holm, correlated, counted,
                      paired, resampled, sign_flip_p_value, untested, verdict)
from ..models.predictions import TOP
from ..surveys.paper import PAPER_LAYERS, open_paper
from ..surveys.results import relative_depth, shuffled_prompts
from ..theory.statistics import (bootstrap_correlations, bootstrap_draws, correlation_p_value, holm, p_text,
                         partial_correlation, pearson, spearman)

_MODELS = ("Llama-3-8B", "Mistral-7B", "Pythia-6.9B")
_ARRAYS = "the authors' arrays, 50 prompts"


class Claim(NamedTuple):
    """One claim of the paper, and what a survey says about it."""

    number: int
    statement: str
    paper: str  #: what the paper reports
    source: str  #: where
    ours: str
    test: str
    verdict: str  #: one of :data:`VERDICTS`
    corrected: str  #: the verdict after Holm's correction over all claims; empty if judged alone
    reason: str
    parts: tuple = ()


class _NotTestable(Exception):
    """The survey, or any survey, lacks what a claim needs."""


# --- what the claims read from a survey -------------------------------------------------------


class _Survey:
    """A survey with the embeddings dropped, and the questions that the claims ask of it."""

    def __init__(self, results, n_bootstrap, seed):
        self.last = int(results.layer.max())
        self.n_tokens = results.attrs.get("n_tokens")
        self.every = results.isel(layer=results.layer.values >= 1)
        self.n_bootstrap, self.seed = n_bootstrap, seed

    @property
    def layers(self):
        return self.every.layer.values

    @property
    def depth(self):
        return relative_depth(self.layers, self.last)

    @property
    def degrees(self):
        return self.every.shuffle.values

    @property
    def full(self):
        """The degree at which every block is one token."""
        degree = int(self.degrees.max())
        if degree == 0:
            raise _NotTestable("the survey holds no shuffled prompts")
        if self.n_tokens != 4**degree:
            block = f"{self.n_tokens // 4**degree} tokens" if self.n_tokens else "unknown length"
            raise _NotTestable(
                f"the survey has no full shuffle: its strongest, degree {degree}, keeps blocks of {block}"
            )
        return degree

    def need_depth(self, n=8):
        if self.last < n:
            raise _NotTestable(f"a profile over depth needs at least {n} layers, the model has {self.last}")

    def need_scale(self, scale):
        if scale not in self.every.scale.values:
            raise _NotTestable(f"the survey holds no range scaling {scale}")

    def ordered(self, variable, **select):
        """(prompt, layer) of a variable at degree 0, over every prompt."""
        chosen = self.every.sel(shuffle=0)
        chosen = chosen.isel(prompt=chosen.loss.notnull().values)
        values = chosen[variable].sel(select)
        return values.transpose("prompt", ...).values

    def by_degree(self, variable, need=MIN_PAIRED, **select):
        """(prompt, shuffle, layer) of a variable, over the prompts measured at every degree."""
        chosen = shuffled_prompts(self.every)
        n = chosen.sizes["prompt"]
        if n < need:
            raise _NotTestable(f"{n} prompts were measured at every degree, the test needs {need}")
        return chosen[variable].sel(select).transpose("prompt", "shuffle", ...).values

    def contrast(self, variable, **select):
        """(prompt, layer): full shuffle minus ordered prompt."""
        full = self.full
        values = self.by_degree(variable, **select)
        return values[:, self.at(full)] - values[:, self.at(0)]

    def peak(self, scale=2):
        """Position in ``layers`` of the maximum of the mean profile of the ordered prompts."""
        self.need_depth()
        self.need_scale(scale)
        profile = self.ordered("intrinsic_dimension", scale=scale)
        if len(profile) < MIN_PAIRED:
            raise _NotTestable(f"the survey holds {len(profile)} prompts, the test needs {MIN_PAIRED}")
        mean = profile.mean(0)
        if not np.isfinite(mean).any():
            raise _NotTestable("the intrinsic dimension is undefined at every layer")
        return int(np.nanargmax(mean))

    def peaks(self, scale):
        """(prompt, shuffle): each prompt's highest intrinsic dimension; undefined layers are passed over."""
        return np.fmax.reduce(self.by_degree("intrinsic_dimension", scale=scale), axis=-1)

    def at(self, degree):
        """Position of a degree."""
        return list(self.degrees).index(degree)

    def nearest(self, depth):
        """Position in ``layers`` of the layer nearest to a relative depth."""
        return int(np.argmin(np.abs(self.depth - depth)))

    def draws(self, statistic, *samples):
        return bootstrap_draws(statistic, *samples, n_bootstrap=self.n_bootstrap, seed=self.seed)

    def correlations(self, x, y):
        return bootstrap_correlations(x, y, n_bootstrap=self.n_bootstrap, seed=self.seed)

    def paired(self, name, differences):
        return paired(name, differences, self.seed)

    def correlated(self, name, x, y, sign=1):
        return correlated(name, x, y, sign, self.n_bootstrap, self.seed)


@lru_cache(maxsize=None)
def _paper(observable, scale=None, shuffle=0):
    """The paper's mean profile: a frame of layers by models."""
    table = open_paper("profiles")
    rows = table[(table.observable == observable) & (table.shuffle == shuffle)]
    rows = rows if scale is None else rows[rows.scale == scale]
    return rows.pivot(index="layer", columns="model", values="mean")[list(_MODELS)]


def _paper_peak(scale=2, shuffle=0):
    """For each of the paper's models its highest mean intrinsic dimension and the layer of it."""
    profile = _paper("intrinsic_dimension", scale, shuffle)
    return {model: (profile[model].max(), int(profile[model].idxmax())) for model in _MODELS}


def _each(text):
    """The same sentence fragment for each of the paper's models: ``text(model)``."""
    return "; ".join(f"{model} {text(model)}" for model in _MODELS)


def runs(layers):
    """Layer numbers as text.

    >>> runs([3, 6, 12, 13, 14])
    '3, 6, 12-14'
    """
    spans = []
    for layer in map(int, layers):
        if spans and layer == spans[-1][1] + 1:
            spans[-1][1] = layer
        else:
            spans.append([layer, layer])
    return ", ".join(f"{a}" if a == b else f"{a}-{b}" for a, b in spans) or "none"


def _list(values, digits=2):
    return ", ".join(f"{value:.{digits}f}" for value in values)


def _claim(number, statement):
    """Turn a judge into a public function ``(results, n_bootstrap=2000, seed=42) -> Claim``.

    A judge is a generator: it yields ``(paper, source)``, then ``(ours, parts, note)``. In that order
    the paper's figures stand in the ledger even where ``_NotTestable`` ends the judging.
    """

    def decorate(judge):
        @wraps(judge)
        def claim(results, n_bootstrap=2000, seed=42):
            steps = judge(_Survey(results, n_bootstrap, seed))
            paper, source = next(steps)
            try:
                ours, parts, note = next(steps)
            except _NotTestable as limit:
                return Claim(number, statement, paper, source, "not measured", "none", VERDICTS[-1], "", f"{limit}.")
            decided = verdict(parts)
            by = {o: [p.name for p in parts if p.outcome == o] for o in OUTCOMES}
            words = {"holds": "holds", "opposite": "the opposite is seen", "undecided": "undecided",
                     "untested": "untested"}
            reason = "; ".join(f"{words[o]}: {', '.join(names)}" for o, names in by.items() if names)
            reason = f"{reason[0].upper()}{reason[1:]}.{' ' + note if note else ''}"
            test = "; ".join(f"{part.name}: {part.test}" for part in parts)
            return Claim(number, statement, paper, source, ours, test, decided, "", reason, tuple(parts))

        del claim.__wrapped__  # so that help() shows the signature of the claim, not of the judge
        return claim

    return decorate


# --- the claims ------------------------------------------------------------------------------


@_claim(1, "The intrinsic dimension rises to a peak in the first half of the layers and falls after it.")
def early_peak(survey):
    """Mean profile of the ordered prompts at scale 2: rise, fall, and depth of the maximum.

    The height of a prompt is taken where the *other* prompts peak: a maximum that has been searched for is above its
    neighbors by definition.
    """
    peaks = _paper_peak()
    final = _paper("intrinsic_dimension", 2).loc[PAPER_LAYERS]
    yield _each(lambda m: f"{peaks[m][0]:.2f} at layer {peaks[m][1]} of {PAPER_LAYERS}, "
                          f"{final[m]:.2f} at the last") + ".", f"scaling 2, mean profiles; {_ARRAYS}"
    peak = survey.peak()
    profile = survey.ordered("intrinsic_dimension", scale=2)
    depth = survey.depth
    draws = survey.draws(lambda x: depth[np.nanargmax(x.mean(-1))], profile.T)
    mean = profile.mean(0)
    elsewhere = np.nanargmax(mean * len(profile) - profile, axis=1)
    height = profile[np.arange(len(profile)), elsewhere]
    yield (
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


@_claim(2, "A full shuffle raises the peak of the intrinsic dimension.")
def shuffle_raises_peak(survey):
    """Maximum over layers, full shuffle against ordered prompt, at scales 2, 4 and 8."""
    ordered, shuffled = _paper_peak(), _paper_peak(shuffle=5)
    yield (_each(lambda m: f"{ordered[m][0]:.2f} to {shuffled[m][0]:.2f}") + " at scale 2; higher in every one of 50 "
           "prompts (in 88% or more at scale 8).", f"mean profiles, and single prompts for the shares; {_ARRAYS}")
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
    yield "; ".join(ours) + " (means of each prompt's highest layer).", parts, ""


@_claim(3, "The peak rises step by step with the degree of shuffling.")
def graded_in_degree(survey):
    """Highest layer of each prompt at scale 2, against the degree."""
    peaks = {m: [_paper_peak(shuffle=s)[m][0] for s in range(6)] for m in _MODELS}
    yield "at degrees 0 to 5: " + _each(lambda m: _list(peaks[m])) + ".", f"scaling 2, mean profiles; {_ARRAYS}"
    survey.need_scale(2)
    if len(survey.degrees) < 3:
        raise _NotTestable("an order of degrees needs at least three of them")
    values = survey.by_degree("intrinsic_dimension", scale=2)
    means = np.fmax.reduce(values.mean(0), axis=-1)
    ranks = spearman(survey.peaks(2), np.broadcast_to(survey.degrees, values.shape[:2]))
    yield (
        f"at degrees {survey.degrees[0]} to {survey.degrees[-1]}: {_list(means)}.",
        [
            survey.paired("rank correlation of peak and degree", ranks),
            counted("steps upward in the mean", float(np.mean(np.diff(means) > 0)), 1),
        ],
        "",
    )


@_claim(4, "Late in depth the order turns: shuffled clouds have the lower intrinsic dimension.")
def order_turns_late(survey):
    """Mean over the layers from relative depth 0.6 to the one before the last, at scales 2 and 4."""
    turned = {s: _paper("intrinsic_dimension", s, 5) < _paper("intrinsic_dimension", s, 0) for s in (2, 4)}
    yield "; ".join(
        f"at scale {s} in layers " + ", ".join(f"{runs(t.index[t[m]])} ({m})" for m in _MODELS)
        for s, t in turned.items()
    ) + ": the paper's own models disagree.", f"mean profiles; {_ARRAYS}"
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
        ours.append(f"scale {scale}: shuffled minus ordered {contrast[:, late].mean():+.2f} over layers "
                    f"{runs(survey.layers[late])}, lower in layers {runs(lower)}")
    yield "; ".join(ours) + ".", parts, ("Pythia-6.9B shows no such turn at either scale and Mistral-7B only at 4: the "
                                         "size of a model does not decide it.")


@_claim(5, "The intrinsic dimension is nearly flat over small range scalings, then rises; the order of the "
           "degrees breaks at larger ones.")
def range_scaling(survey):
    """At the layer of the scale-2 peak: ratio of scale 8 to 2, rise to 64; order of the degrees at larger scalings."""
    scales = (2, 4, 8, 16, 32, 64)
    at = _paper_peak()["Llama-3-8B"][1]
    values = [_paper("intrinsic_dimension", s).loc[at, "Llama-3-8B"] for s in scales]
    peaks = [_paper_peak(16, s)["Llama-3-8B"][0] for s in (4, 5)]
    first = next(s for s in scales if _paper_peak(s, 4)["Llama-3-8B"][0] > _paper_peak(s, 5)["Llama-3-8B"][0])
    yield (f"Llama-3-8B, layer {at}, scalings 2 to 64: {_list(values, 1)}; at scaling 16 its peak is {peaks[0]:.1f} at "
           f"degree 4 and {peaks[1]:.1f} at degree 5; the order first breaks at scaling {first}.",
           f"mean profiles; {_ARRAYS}")
    peak = survey.peak()
    survey.need_scale(8)
    at = {s: survey.ordered("intrinsic_dimension", scale=s)[:, peak] for s in scales if s in survey.every.scale.values}
    ratio = survey.draws(lambda x, y: y.mean(-1) / x.mean(-1), at[2], at[8])
    parts = [resampled("flat from 2 to 8, ratio within 0.8 to 1.25", ratio, len(at[2]), 0.8, 1.25)]
    ours = [f"layer {survey.layers[peak]}, scalings {min(at)} to {max(at)}: "
            f"{_list((v.mean() for v in at.values()), 1)}"]
    parts.append(survey.paired("rise from 8 to 64", at[64] - at[8]) if 64 in at
                 else untested("rise from 8 to 64", "not in the survey"))
    parts.append(_broken_order(survey, ours))
    yield "; ".join(ours) + ".", parts, ""


def _broken_order(survey, ours):
    """A part for claim 5: at a scaling above 2 some degree has a lower peak than the one before; told to ``ours``."""
    name = "order breaks at a larger scaling"
    if len(survey.degrees) < 3:
        return untested(name, "an order of degrees needs at least three of them")
    steps = {}
    for scale in survey.every.scale.values[survey.every.scale.values > 2]:
        change = np.diff(survey.peaks(scale), axis=1)  # (prompt, step)
        for degree, values in zip(survey.degrees[1:], change.T):
            steps[int(scale), int(degree)] = values[np.isfinite(values)]
    if min(map(len, steps.values())) < MIN_PAIRED:
        return untested(name, f"fewer than {MIN_PAIRED} prompts")
    p = holm([sign_flip_p_value(values, survey.seed) for values in steps.values()])
    down = [place for place, (values, q) in zip(steps, zip(steps.values(), p)) if values.mean() < 0 and q < LEVEL]
    up = [place for place, (values, q) in zip(steps, zip(steps.values(), p)) if values.mean() > 0 and q < LEVEL]
    ours.append("the peak falls with certainty "
                + (", ".join(f"from degree {s - 1} to {s} at scaling {scale}" for scale, s in down) or "at no step"))
    smallest = float(min([q for place, q in zip(steps, p) if not down or place in down]))
    return Part(name, len(down) / len(steps), smallest if down else max(LEVEL, smallest),
                "holds" if down else "opposite" if len(up) == len(steps) else "undecided",
                f"sign-flip test of each of {len(steps)} steps, Holm's correction over them, "
                f"{len(down)} certainly down, {len(up)} certainly up")


@_claim(6, "A full shuffle raises the mean cosine similarity.")
def cosine_rises(survey):
    """Half-way and in the last layer, full shuffle against ordered prompt."""
    ordered, shuffled = _paper("cosine_similarity"), _paper("cosine_similarity", shuffle=5)
    small = [_paper("cosine_similarity", shuffle=s).loc[16, "Llama-3-8B"] for s in range(4)]
    yield "; ".join(
        f"layer {layer}: " + _each(lambda m: f"{ordered.loc[layer, m]:.2f} to {shuffled.loc[layer, m]:.2f}")
        for layer in (16, PAPER_LAYERS)
    ) + f". Small degrees can lower it: in Llama-3-8B, layer 16, it is {_list(small, 3)} at degrees 0 to 3.", _ARRAYS
    survey.need_depth()
    values = survey.by_degree("cosine_similarity")
    first = values[:, survey.at(0)]
    contrast = survey.contrast("cosine_similarity")
    parts, ours = [], []
    for name, position in (("half-way", survey.nearest(0.5)), ("last layer", -1)):
        parts.append(survey.paired(name, contrast[:, position]))
        ours.append(f"layer {survey.layers[position]}: {first[:, position].mean():.2f} to "
                    f"{(first + contrast)[:, position].mean():.2f}")
    small = np.diff(values.mean((0, 2)))
    theirs = (shuffled - ordered).loc[[PAPER_LAYERS // 2, PAPER_LAYERS]].mean(axis=1).values
    sizes = [contrast[:, position].mean() / change for position, change in zip((survey.nearest(0.5), -1), theirs)]
    note = (f"Over all layers the mean rises at {np.mean(small > 0):.0%} of the steps between degrees. The rise is "
            f"{sizes[0]:.0%} half-way and {sizes[1]:.0%} in the last layer of what the paper's models show on average; "
            "only its sign is judged.")
    yield "; ".join(ours) + ".", parts, note


@_claim(7, "A full shuffle lowers the neighborhood overlap of adjacent layers near the peak of the intrinsic "
           "dimension.")
def overlap_lower(survey):
    """Mean over the pairs that start at the scale-2 peak and one layer either side; k = 2 and k = 1."""
    ordered, shuffled = _paper("neighborhood_overlap", 2), _paper("neighborhood_overlap", 2, 5)
    higher = {m: ordered.index[shuffled[m] > ordered[m]] for m in _MODELS}
    yield (f"Llama-3-8B, k = 2, layers 14 to 15: {ordered.loc[14, 'Llama-3-8B']:.2f} ordered, "
           f"{shuffled.loc[14, 'Llama-3-8B']:.2f} shuffled; but shuffled is higher from layers "
           + ", ".join(f"{runs(higher[m])} ({m})" for m in _MODELS) + ".", f"figure 5 of the first version; {_ARRAYS}")
    peak = survey.peak()
    near = [i for i in (peak - 1, peak, peak + 1) if 0 <= i < len(survey.layers) - 2]
    if not near:
        raise _NotTestable("the peak is at the last layer, which has no ordinary neighbor")
    parts, ours = [], []
    for k in (2, 1):
        if k not in survey.every.k.values:
            parts.append(untested(f"k = {k}", "not in the survey"))
            continue
        contrast = survey.contrast("neighborhood_overlap", k=k)
        first = survey.by_degree("neighborhood_overlap", k=k)[:, survey.at(0)]
        parts.append(survey.paired(f"k = {k}", -contrast[:, near].mean(-1)))
        mean = contrast.mean(0)
        ours.append(f"k = {k}, pairs from layers {runs(survey.layers[near])}: {first[:, near].mean():.2f} ordered, "
                    f"{(first + contrast)[:, near].mean():.2f} shuffled; shuffled is higher from layers "
                    f"{runs(survey.layers[mean > 0])}")
    yield "; ".join(ours) + ".", parts, ""


@_claim(8, "The neighborhood overlap of adjacent layers grows with depth and drops at the end.")
def overlap_grows(survey):
    """Ordered prompts, k = 2: rank correlation with depth, and the last pair against the one before."""
    profile = _paper("neighborhood_overlap", 2)
    inner = profile.iloc[:-1]
    yield "k = 2: " + _each(lambda m: f"{profile[m].iloc[0]:.2f} at the first pair, {inner[m].max():.2f} from layer "
                            f"{int(inner[m].idxmax())}, {profile[m].iloc[-1]:.2f} at the last") + ".", \
        f"figure 5 of the first version; {_ARRAYS}"
    survey.need_depth()
    k = 2 if 2 in survey.every.k.values else 1
    values = survey.ordered("neighborhood_overlap", k=k)[:, :-1]  # pair l -> l + 1; the last layer starts none
    if len(values) < MIN_PAIRED:
        raise _NotTestable(f"the survey holds {len(values)} prompts, the test needs {MIN_PAIRED}")
    mean = values.mean(0)
    top = int(np.nanargmax(mean[:-1]))
    trend = spearman(values[:, :-1], np.broadcast_to(survey.layers[:-2], values[:, :-1].shape))
    yield (
        f"k = {k}: {mean[0]:.2f} at the first pair, {mean[top]:.2f} from layer {survey.layers[top]}, "
        f"{mean[-1]:.2f} at the last.",
        [
            survey.paired("rank correlation with depth", trend),
            survey.paired("last pair below the one before", values[:, -2] - values[:, -1]),
        ],
        "The last pair ends after the final norm, as in the paper, so a part of the drop may be the norm's.",
    )


@_claim(9, "The angle between the directions to a token's two nearest neighbors is smaller after a full shuffle.")
def neighbor_angle(survey):
    """Mean angle at the layer nearest to the paper's layer 10 of 32."""
    yield ("Llama-3-8B, layer 10 of 32: about 62 degrees shuffled and 68 ordered.",
           "read off the histogram in the first version")
    survey.need_depth()
    at = survey.nearest(10 / PAPER_LAYERS)
    contrast = survey.contrast("neighbor_angle")[:, at]
    first = survey.by_degree("neighbor_angle")[:, survey.at(0), at]
    yield (
        f"layer {survey.layers[at]} of {survey.last}: {np.nanmean(first + contrast):.1f} degrees shuffled, "
        f"{np.nanmean(first):.1f} ordered.",
        [survey.paired("smaller when shuffled", -contrast)],
        f"The difference is {abs(np.nanmean(contrast)):.1f} degrees here, against about 6 in the paper; only its sign is "
        "judged, since a survey stores the mean angle and not the histogram.",
    )


def _loss_and_dimension(survey, scales):
    """Loss (prompt,) and intrinsic dimension (scale, layer, prompt) of the ordered prompts."""
    for scale in scales:
        survey.need_scale(scale)
    loss = survey.ordered("loss")
    if len(loss) < MIN_CORRELATED:
        raise _NotTestable(f"the survey holds {len(loss)} prompts, a correlation over prompts needs {MIN_CORRELATED}")
    return loss, np.stack([survey.ordered("intrinsic_dimension", scale=s).T for s in scales])


@_claim(10, "Over prompts, the intrinsic dimension correlates with the next-token loss, most of all in the first half "
            "of the layers.")
def correlates_with_loss(survey):
    """Pearson correlation at scale 2: strongest layer (adjusted for the search), all layers, depth of the maximum."""
    table = open_paper("loss_correlation_2244")
    rows = table[table.scale == 2].pivot(index="layer", columns="model", values="pearson")
    yield _each(lambda m: f"{rows[m].max():.2f} at layer {int(rows[m].idxmax())}, {rows.loc[PAPER_LAYERS, m]:.2f} at "
                "the last") + "; p < 0.01 in every layer but Pythia's last, where p = 0.26.", ("2,244 prompts; read off the authors' published figure, good to about 0.015 "
                                    "(figure 6 of the first version takes the logarithm of the dimension)")
    survey.need_depth()
    loss, (dimension,) = _loss_and_dimension(survey, (2,))
    n, r = len(loss), pearson(dimension, loss)
    if not np.isfinite(r).any():
        raise _NotTestable("the correlation is undefined: the loss or the dimension is the same for all prompts")
    best = int(np.nanargmax(r))
    p = min(1.0, len(r) * float(correlation_p_value(r[best], n)))
    draws = survey.correlations(dimension, loss)
    low, high = np.nanpercentile(draws[:, best], [50 * LEVEL, 100 - 50 * LEVEL])
    strongest = Part(
        "positive at the strongest layer", float(np.mean(draws[:, best] > 0)), p,
        "undecided" if p >= LEVEL else "holds" if r[best] > 0 else "opposite",
        f"Pearson r = {r[best]:.2f}, {n} prompts, {p_text(p)} after Bonferroni over {len(r)} layers, "
        f"bootstrap interval {low:.2f} to {high:.2f}",
    )
    significant = np.mean((r > 0) & (correlation_p_value(r, n) < 0.01))
    depths = survey.depth[np.nanargmax(np.where(np.isfinite(draws), draws, -1), axis=1)]
    control = survey.ordered("distinct_tokens")
    with np.errstate(invalid="ignore", divide="ignore"):
        partial = partial_correlation(dimension[best], loss, control)
    note = ""
    if np.isfinite(partial):
        note = (f"With the number of distinct tokens held fixed r is {partial:.2f} "
                f"({p_text(float(correlation_p_value(partial, n, 1)))}) at that layer.")
    yield (
        f"{r[best]:.2f} at layer {survey.layers[best]} of {survey.last}, {r[-1]:.2f} at the last ({n} prompts).",
        [
            strongest,
            counted("p < 0.01 and positive in nine layers of ten", significant, 0.9),
            resampled("strongest in the first half", depths, n, 0, 0.5),
        ],
        note,
    )


@_claim(11, "In the last layer the correlation with the loss is stronger at range scalings 4 and 8 than at 2.")
def larger_scales_correlate(survey):
    """Difference of the correlations in the last layer, prompts resampled together."""
    yield ("last layer, scalings 2, 4, 8: Llama-3-8B 0.22, 0.46, 0.50; Mistral-7B 0.40, 0.62, 0.63; Pythia-6.9B 0.02, "
           "0.36, 0.40.", "2,244 prompts; read off the authors' published figures")
    loss, dimension = _loss_and_dimension(survey, (2, 4, 8))
    last = dimension[:, -1]
    draws = survey.correlations(last, loss)
    yield (
        f"last layer, scalings 2, 4, 8: {_list(pearson(last, loss))} ({len(loss)} prompts).",
        [resampled(f"scaling {s} above 2", draws[:, i] - draws[:, 0], len(loss)) for i, s in ((1, 4), (2, 8))],
        "",
    )


@_claim(12, "Token by token the intrinsic dimension tracks the loss better than the dimension of a data set with one "
            "point per prompt does.")
def token_against_dataset(survey):
    """Needs clouds with one point per prompt, for many sets of prompts."""
    yield ("OPT-6.7B, Spearman correlation with the loss: 0.69 (scaling 2) and 0.73 (scaling 8) for token clouds, both "
           "p < 0.01; for data sets 0.51 (ESS, p = 0.01), 0.13 (TwoNN, p = 0.5) and -0.46 (a large scaling, p = 0.09).",
           "table 1 of the second version")
    raise _NotTestable("a survey measures clouds of tokens; the other side of the comparison needs the dimension of "
                       "many data sets, each a cloud with one point per prompt")


@_claim(13, "The dimension of the last layer, that of the logits, the entropy of the next token and the loss form a "
            "chain of correlations.")
def chain_to_the_loss(survey):
    """Link by link over the ordered prompts at scale 2; mean entropy against mean loss."""
    from scipy.stats import rankdata

    yield ("Llama-3-8B, rank correlations: 0.98 between the first two, 0.60 between the next; entropy and loss lie "
           "close to the diagonal.", "a secondary source, not checked against the paper itself")
    survey.need_scale(2)
    loss, entropy, tokens = (survey.ordered(name) for name in ("loss", "entropy", "distinct_tokens"))
    if len(loss) < MIN_CORRELATED:
        raise _NotTestable(f"the survey holds {len(loss)} prompts, a correlation over prompts needs {MIN_CORRELATED}")
    last, logits = (survey.ordered(name, scale=2) for name in ("intrinsic_dimension", "logit_dimension"))
    last = last[:, -1]
    ratio = survey.draws(lambda x, y: x.mean(-1) / y.mean(-1), entropy, loss)
    with np.errstate(invalid="ignore", divide="ignore"):
        links = spearman(last, logits), spearman(logits, entropy), spearman(entropy, loss), spearman(last, loss)
        partial = partial_correlation(*(rankdata(x) for x in (logits, entropy, tokens)))
    note = "The last layer is taken after the final norm, as in the paper, so that the logits are a linear map of it."
    if np.isfinite(partial):
        note += (f" With the number of distinct tokens held fixed the middle link is {partial:.2f} "
                 f"({p_text(float(correlation_p_value(partial, len(loss), 1)))}).")
    yield (
        f"scaling 2: {_list(links[:3])} from link to link, {links[3]:.2f} from end to end; mean dimension "
        f"{last.mean():.2f} in the last layer and {logits.mean():.2f} of the logits, mean entropy {entropy.mean():.2f} "
        f"and mean loss {loss.mean():.2f} nats ({len(loss)} prompts).",
        [
            survey.correlated("last layer and logits", last, logits),
            survey.correlated("logits and entropy", logits, entropy),
            survey.correlated("entropy and loss", entropy, loss),
            resampled("mean entropy within a tenth of the mean loss", ratio, len(loss), 0.9, 1.1),
        ],
        note,
    )


@_claim(14, "As many top logits as the logits have dimensions carry most of the probability but not most of the "
            "entropy, and where they spread wider the entropy is lower.")
def top_logits(survey):
    """Ordered prompts: shares against one half; the width of the top logits against the entropy."""
    yield ("Llama-3-8B, as many top logits as the prompt's logit dimension, 7 on average: 84.0% of the mass and "
           "45.8% of the entropy; their mean width is 5.13, its rank correlation with the entropy -0.91.",
           "the authors' repository, notes to the referees (analysis.md), 50 prompts")
    mass, share, width, entropy = (survey.ordered(name) for name in (
        "top_mass", "top_entropy", "top_width", "entropy"))
    if len(mass) < MIN_PAIRED:
        raise _NotTestable(f"the survey holds {len(mass)} prompts, the test needs {MIN_PAIRED}")
    share = share / entropy
    note = f"A survey looks at the top {TOP} for every prompt, where the paper takes each prompt's own dimension"
    if 2 in survey.every.scale.values:
        logits = survey.ordered("logit_dimension", scale=2)
        note += f" (ours is {logits.mean():.1f} on average, {logits.min():.1f} to {logits.max():.1f}, at scaling 2)"
    yield (
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


@_claim(15, "Each degree of shuffling damages the text more than the one before.")
def shuffle_severity(survey):
    """From degree to degree: the next-token loss; BLEU against the ordered prompt is told, not judged."""
    table = open_paper("profiles")
    losses = table[(table.observable == "loss") & (table.model == "Llama-3-8B")].sort_values("shuffle")["mean"]
    yield ("degrees 0 to 5: BLEU against the ordered text 1, 0.99, 0.97, 0.86, 0.42, 0.03; BERTScore F1 1, 0.90, 0.88, "
           f"0.86, 0.81, 0.76; loss of Llama-3-8B {_list(losses)}.",
           "the authors' repository, notes to the referees (rebuttal.md), 50 prompts; the loss from their arrays")
    if len(survey.degrees) < 3:
        raise _NotTestable("an order of degrees needs at least three of them")
    loss = survey.by_degree("loss")
    bleu = survey.by_degree("bleu").mean(0)
    with np.errstate(invalid="ignore", divide="ignore"):
        ranks = spearman(loss, np.broadcast_to(survey.degrees, loss.shape))
    means = loss.mean(0)
    yield (
        f"at degrees {survey.degrees[0]} to {survey.degrees[-1]}: loss {_list(means)}; BLEU {_list(bleu)}.",
        [survey.paired("loss rises with the degree", ranks),
         counted("loss rises at every step of the mean", np.mean(np.diff(means) > 0), 1)],
        "Judged by the loss. BLEU falls by construction, since smaller blocks keep fewer runs of tokens; ours compares "
        "tokens and not words. BERTScore needs a second language model, which a survey does not run.",
    )


@_claim(16, "A model that was trained on the prompts' own corpus has a lower peak and a higher overlap.")
def training_data(survey):
    """Needs several models, and knowledge of what they were trained on."""
    peaks = _paper_peak()
    overlap = _paper("neighborhood_overlap", 1).loc[14:16].mean()
    yield "Pythia-6.9B was trained on the Pile. " + _each(
        lambda m: f"peak {peaks[m][0]:.2f}, overlap (k = 1, layers 14 to 16) {overlap[m]:.2f}") + ".", _ARRAYS
    raise _NotTestable("a survey holds one model, and the claim compares several, which differ in much beside their "
                       "training data; those of two are undisclosed, so that even the paper can only suggest it")


CLAIMS = (
    early_peak, shuffle_raises_peak, graded_in_degree, order_turns_late, range_scaling, cosine_rises, overlap_lower,
    overlap_grows, neighbor_angle, correlates_with_loss, larger_scales_correlate, token_against_dataset,
    chain_to_the_loss, top_logits, shuffle_severity, training_data,
)


def evaluate(results, n_bootstrap=2000, seed=42):
    """Judge every claim of the paper by a survey.

    Parameters
    ----------
    results : xarray.Dataset
        From :func:`tokengeom_utils.open_results`.
    n_bootstrap, seed : int
        Number of resamples of the prompts, and the seed of all that is random.

    Returns
    -------
    list of Claim
        In the order of their numbers, each with its verdict and with the one that Holm's correction leaves.
    """
    claims = [claim(results, n_bootstrap, seed) for claim in CLAIMS]
    corrected = after_holm([claim.parts for claim in claims])
    return [claim._replace(corrected=left) for claim, left in zip(claims, corrected)]


def table(claims):
    """The ledger as a pandas.DataFrame, one row for each claim, indexed by number."""
    import pandas

    return pandas.DataFrame([claim._asdict() for claim in claims]).drop(columns="parts").set_index("number")


def count(claims):
    """{verdict: number of claims}, every verdict present, in the order of :data:`VERDICTS`."""
    return {name: sum(claim.verdict == name for claim in claims) for name in VERDICTS}


def cards(claims):
    """The ledger as Markdown that reads well on a narrow screen: one definition list per claim."""
    return "\n\n".join(
        f"**{c.number}. {c.statement}**\n"
        f": **{sentence(c.verdict)}** {sentence(c.reason)}{_after_correction(c)}\n"
        f": *Paper.* {sentence(c.paper)} *Source:* {sentence(c.source, start='')}\n"
        f": *Ours.* {sentence(c.ours)}\n: *Test.* {sentence(c.test)}"
        for c in claims
    )


def _after_correction(claim):
    if not claim.corrected or claim.verdict not in ("reproduced", "partly"):
        return ""
    if claim.corrected == claim.verdict:
        return " The verdict survives Holm's correction."
    return f" Holm's correction leaves of it: *{claim.corrected}*."


def sentence(text, start="upper"):
    """A capital at the start, unless the symbol k stands there, and a period at the end."""
    first = text[0] if not start or text.startswith("k ") else text[0].upper()
    return f"{first}{text[1:].rstrip('.')}."
