"""What may be concluded about a text, in sentences that follow the numbers. All of it is plain text, without markup."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ..claims.wording import runs
from ..site.words import MINUS, count, listed, typeset
from .findings import COSTLIEST, PERCENT, Change, Findings, Placed, dimension
from .placing import ENOUGH, Share

AGREES = 0.2  #: nats between loss and entropy that count as agreement
STILL = 0.05  #: nats that count as no change of a loss
FAR = 3  #: times the median length: a first token that lies far from the others
MOVED = 0.02  #: of a dimension, relative: less is hardly a change
TURNED = 0.05  #: of a cosine similarity: less is hardly a change


class Paragraph(NamedTuple):
    """Some sentences under a short heading."""

    heading: str
    sentences: tuple[str, ...]


def paragraphs(found: Findings) -> list[Paragraph]:
    """Return what may be concluded about one text.

    Parameters
    ----------
    found : Findings

    Returns
    -------
    list of Paragraph
    """
    parts = (
        ("How hard it is", (_loss(found), _calibration(found), _where_loss(found), _costliest(found))),
        ("How many dimensions it has", (_dimension(found), _where_dimension(found), _band(found))),
        ("Unusual for its difficulty?", (_by_loss(found), _by_both(found), _beyond(found))),
        ("What the order of its tokens does", (_shuffled_loss(found), _shuffled_dimension(found), _order(found))),
        (
            "What else could explain these numbers",
            (_repetition(found), _first_token(found), _page(found), _length(found)),
        ),
    )
    found_parts = [Paragraph(heading, tuple(filter(None, sentences))) for heading, sentences in parts]
    return [part for part in found_parts if part.sentences]


#: What no number of a report can show.
LIMITS = (
    "A text is hard for this model, not hard as such: a rare language, spelling, or format is hard, and a text that "
    "the model has often seen may be easy, whatever it says.",
    "The standard errors answer for tokens drawn again from the same cloud, not for another page of the same text; "
    "for a claim about an author or a genre, measure many pages, each as one observation.",
    "No number here tells whether a text is good, true, or written by a person, and none shows that the geometry "
    "causes the loss.",
)


# --- how hard it is ---


def _loss(found):
    loss = found.placed["loss"].value
    said = f"The model pays {_number(loss)} nats per token, a perplexity of {perplexity(loss)}"
    if loss >= found.chance - STILL:
        return (
            f"{said}: no better than taking all {found.vocabulary:,} tokens of its vocabulary as equally likely "
            f"({_number(found.chance)} nats). Where a model predicts nothing, its loss says nothing about a text."
        )
    return f"{said}: as if each token were one of {perplexity(loss)} equally likely ones."


def _calibration(found):
    gap, entropy = found.placed["loss"].value - found.placed["entropy"].value, found.placed["entropy"].value
    if abs(gap) <= AGREES:
        return f"By its own predictions it expected to pay about as much, {_number(entropy)} nats."
    return f"By its own predictions it expected to pay {'less' if gap > 0 else 'more'}, {_number(entropy)} nats."


def _where_loss(found):
    if not found.n_prompts:
        return "No survey of this model at this length is at hand, so nothing here shows whether that is much."
    return _where(found, "loss", "The loss")


def _costliest(found):
    return f"The costliest tenth of the tokens makes up {_percent(found.costliest)} of the loss." + (
        " So the mean says little about most tokens." if found.costliest > 4 * COSTLIEST else ""
    )


# --- how many dimensions it has ---


def _dimension(found):
    place = (
        f"At layer {found.layer} of {found.n_layers}, where the average dimension of the prompts is highest before the "
        "last layer,"
        if found.n_prompts
        else f"At layer {found.layer} of {found.n_layers}, halfway through the model,"
    )
    placed = found.placed["dimension"]
    if not math.isfinite(placed.value):
        return f"{place} the dimension of the cloud is not defined: too few of its tokens are distinct."
    return (
        f"{place} the cloud has dimension {_number(placed.value)} ± {_number(2 * placed.error)} (two standard errors)."
    )


def _where_dimension(found):
    return _where(found, "dimension", "The dimension")


def _band(found):
    outside = found.curves[0].outside
    if outside is None:
        return ""
    few = f"the range of the {found.n_prompts} prompts"
    band = f"the middle {100 - 2 * PERCENT}% of the prompts" if found.n_prompts >= ENOUGH else few
    if not len(outside):
        return f"In every layer the dimension lies within {band}."
    return (
        f"The dimension lies outside {band} in {'layer' if len(outside) == 1 else 'layers'} {_runs(outside)}; "
        "neighboring layers are nearly one measurement, so several in a row are one departure."
    )


# --- unusual for its difficulty? ---


def _by_loss(found):
    line = found.by_loss
    if line is None:
        return ""
    y = found.placed["dimension"].value
    said = (
        f"A line through the prompts predicts dimension {_number(line.value)} at this loss; 95% of the prompts lie "
        f"within {_number(line.half)} of the line of {_others(found)}. With {_number(y)}, the text lies "
        f"{_number(abs(line.above))} {'above' if line.above > 0 else 'below'}, farther than {_percent(line.closer)} of "
        "the prompts:"
    )
    if line.is_ordinary:
        return f"{said} an ordinary dimension for a text of its difficulty."
    return f"{said} {'many' if line.above > 0 else 'few'} dimensions for a text of its difficulty."


def _by_both(found):
    line, plane = found.by_loss, found.by_both
    if line is None or plane is None:
        return ""
    said = (
        f"With the number of distinct tokens held fixed too, {_number(plane.value)} is expected, give or take "
        f"{_number(plane.half)}"
    )
    if line.is_ordinary and plane.is_ordinary:
        return f"{said}: still ordinary."
    if plane.is_ordinary:
        return f"{said}: ordinary, so its number of distinct tokens is enough to account for it."
    side = "many" if plane.above > 0 else "few"
    if line.is_ordinary:
        return f"{said}: {side} dimensions for its repetitions, which its loss alone does not show."
    return (
        f"{said}: still {side}. About one text in twenty lies this far away by chance, and with {_kinds(found)} this "
        "share is itself uncertain."
    )


def _beyond(found):
    if found.by_loss is None:
        return ""
    beyond = []
    for name, (low, high) in found.ranges.items():
        value = found.placed[name].value
        words = {
            "loss": ("so low a loss", "so high a loss"),
            "distinct": ("so few distinct tokens", "so many distinct tokens"),
        }
        beyond += [words[name][value > high]] if not low <= value <= high else []
    return f"No prompt has {' or '.join(beyond)}, so no prompt supports these predictions." if beyond else ""


def _others(found):
    return "the other kinds of text" if found.n_kinds > 1 else "the other prompts"


def _kinds(found):
    return count(found.n_kinds, "kind") + " of text"


# --- what the order of its tokens does ---


def _shuffled_loss(found):
    change = found.changes.get("loss")
    if change is None:
        return "Its number of tokens allows no shuffle."
    moved = change.after - change.before
    how = _shuffle(found)
    if abs(moved) <= STILL:
        return f"{how}, the loss stays at {_number(change.before)} nats: the model makes no use of their order here."
    return f"{how}, the loss {_goes(change)} nats{_usual(change)}."


def _shuffled_dimension(found):
    change = found.changes.get("dimension")
    if change is None or not np.isfinite([change.before, change.after]).all():
        return ""
    moves = _goes(change)
    if not _is_clear(change) and not moves.startswith("stays"):
        moves += ", by less than twice the standard error of the difference"
    return f"At layer {found.layer} the dimension {moves}{_usual(change)}."


def _order(found):
    loss, cloud = found.changes.get("loss"), found.changes.get("dimension")
    if loss is None or cloud is None or not np.isfinite([cloud.before, cloud.after]).all():
        return ""
    same = "The tokens are the same, only their order differs:"
    by_order = abs(loss.after - loss.before) > STILL
    if by_order and _is_clear(cloud):
        return f"{same} both numbers depend on it."
    if by_order:
        return f"{same} the loss depends on it, and this dimension hardly does."
    if _is_clear(cloud):
        return f"{same} this dimension depends on it, although the loss does not."
    return f"{same} neither number depends on it."


def _shuffle(found):
    block = found.text.n_tokens // 4**found.text.degree
    return "With its tokens in random order" if block == 1 else f"With blocks of {block} tokens in random order"


def _is_clear(change):
    return abs(change.after - change.before) > 2 * change.error


def _goes(change: Change) -> str:
    before, after = _number(change.before), _number(change.after)
    if before == after:
        return f"stays at {before}"
    return f"{'rises' if change.after > change.before else 'falls'} from {before} to {after}"


def _usual(change):
    """How the prompts of the survey change, in parentheses."""
    if not math.isfinite(change.usual):
        return ""
    prompts = f"the {change.share.n} shuffled prompts" if change.share else "the shuffled prompts"
    average = f"for {prompts} it moves by {_number(change.usual, sign=True)} on average"
    return f" ({average}; {_percent(change.share.below)} of them move by less)" if change.share else f" ({average})"


# --- what else could explain these numbers ---


def _repetition(found):
    distinct = found.placed["distinct"].value
    said = f"Of its {found.text.n_tokens:,} tokens, {distinct:,.0f} {'is' if distinct == 1 else 'are'} distinct."
    where = _where(found, "distinct", "This number")
    why = (
        "Fewer distinct tokens often mean a lower loss and a lower dimension, even in a model that has learned nothing."
    )
    return " ".join(filter(None, (said, where, why)))


def _first_token(found):
    first, placed = found.text.first, found.placed
    far = (
        f"The first token's vector is {first.length:.0f} times as long as the median one"
        if first.length > FAR
        else "The first token's vector has an ordinary length"
    )
    before, cosine = placed["dimension"].value, placed["cosine"].value
    moved, turned = abs(first.dimension / before - 1) if before else math.nan, abs(first.cosine - cosine)
    parts = []
    if math.isfinite(moved):
        parts.append(f"the dimension {'hardly changes' if moved <= MOVED else f'changes by {_percent(moved)}'}")
    parts.append(
        "the cosine similarity hardly changes"
        if turned <= TURNED
        else f"the cosine similarity goes from {_number(cosine)} to {_number(first.cosine)}"
    )
    said = f"{far}; without it, at layer {found.layer}, {' and '.join(parts)}."
    return f"{said} It is kept, as in the paper{' and in the survey' if found.n_prompts else ''}."


def _page(found):
    page, n = found.text.next_page, found.text.n_tokens
    if page is None:
        return f"There are no {n:,} tokens more, so nothing shows how much one page of this text differs from the next."
    loss, other = float(page.loss), float(dimension(page, found.layer))
    said = f"Its next {n:,} tokens have a loss of {_number(loss)} nats"
    placed = found.placed["dimension"]
    if not np.isfinite([placed.value, other]).all():
        return f"{said}."
    apart = _apart(
        other - placed.value, placed.error, float(page.intrinsic_dimension_error.sel(scale=2, layer=found.layer))
    )
    return f"{said} and dimension {_number(other)}: " + (
        f"the two pages differ by {apart:.1f} standard errors of the difference, more than chance within a cloud "
        "allows, so the ± above is not the uncertainty about the text."
        if apart > 2
        else f"the two pages agree within {apart:.1f} standard errors of the difference; others need not."
    )


def _length(found):
    text = found.text
    part = "All" if text.n_available == text.n_tokens else f"The first {text.n_tokens:,} of"
    return (
        f"{part} {count(text.n_available, 'token')} are measured. A text cut shorter has another loss and another "
        "dimension, so compare only texts of equal length."
    )


# --- several texts ---


def comparison(found: Sequence[Findings]) -> list[str]:
    """Return what may be concluded from several texts side by side; nothing from one.

    Parameters
    ----------
    found : sequence of Findings

    Returns
    -------
    list of str
    """
    if len(found) < 2:
        return []
    loss = [one.placed["loss"].value for one in found]
    cloud = [one.placed["dimension"].value for one in found]
    said = ["From the lowest to the highest loss: " + _ranked(found, loss, " nats") + "."]
    if not np.isfinite(cloud).all():
        return said
    said.append(f"By their dimension at layer {found[0].layer}: " + _ranked(found, cloud, "") + ".")
    same = np.array_equal(np.argsort(loss, kind="stable"), np.argsort(cloud, kind="stable"))
    said.append(
        f"The two orders {'agree' if same else 'differ'}; {len(found)} texts are too few to show a link between loss "
        "and dimension, or its absence."
    )
    if len(found) == 2:
        apart = _apart(cloud[0] - cloud[1], *(one.placed["dimension"].error for one in found))
        said.append(
            f"Their dimensions differ by {apart:.1f} standard errors of the difference"
            + (", which chance within the clouds does not explain." if apart > 2 else ": they cannot be told apart.")
        )
    return said


def _apart(difference, *errors):
    """A difference in units of its standard error."""
    error = math.hypot(*errors)
    return abs(difference) / error if error else math.inf


def _ranked(found, values, unit):
    """The texts by ascending value, with the values."""
    order = np.argsort(values, kind="stable")
    return listed(
        f"{found[i].name} ({_number(values[i])}{unit if place == 0 else ''})" for place, i in enumerate(order)
    )


# --- places and numbers ---


def _where(found, name, subject):
    """Where a number lies among the prompts."""
    if not found.n_prompts:
        return ""
    placed: Placed = found.placed[name]
    if placed.share is None:
        few = math.isfinite(placed.value) and found.n_prompts < ENOUGH
        return (
            f"{subject} has no percentile: {count(found.n_prompts, 'prompt')} are too few to place it." if few else ""
        )
    said = f"{subject} is {_among(placed.share, f'the {placed.share.n} prompts')}"
    interval = f" (95% interval {_percent(placed.share.low)} to {_percent(placed.share.high)}"
    said += interval + (", drawing kinds of text)" if placed.share.by_kinds else ", for independent prompts)")
    if placed.share_of_kind is not None:
        share = placed.share_of_kind
        said += (
            f", and {_among(share, f'the {share.n} of the nearest kind, {found.nearest.kind}')}"
            f" ({_percent(share.low)} to {_percent(share.high)})"
        )
    return f"{said}."


def _among(share: Share, prompts: str) -> str:
    """Where a number lies among some prompts, in words."""
    if share.below <= 0:
        return f"lower than that of each of {prompts}"
    if share.below >= 1:
        return f"higher than that of each of {prompts}"
    return f"higher than that of {_percent(share.below)} of {prompts}"


def _percent(share):
    """A share as whole percent; never 0% or 100% for a part."""
    if 0 < share < 0.005:
        return "less than 1%"
    if 0.995 <= share < 1:
        return "more than 99%"
    return f"{share:.0%}"


def _number(value, sign=False):
    """A number with two decimals, or fewer where it is large."""
    if not math.isfinite(value):
        return "undefined"
    text = f"{value:{'+' if sign else ''}z.{2 if abs(value) < 99.995 else 0}f}"
    return text.replace("-", MINUS)


def perplexity(loss: float) -> str:
    """Write the exponential of a loss with about two digits.

    Examples
    --------
    >>> perplexity(1.5), perplexity(3.55), perplexity(900.0)
    ('4.5', '35', '1.0 × 10³⁰⁰')
    """
    value = math.exp(min(loss, math.log(1e300)))
    return f"{value:.1f}" if value < 9.95 else f"{value:,.0f}" if value < 1e6 else typeset(f"{value:.1e}")


def _runs(layers):
    """Numbers of layers, with consecutive ones joined."""
    return listed(runs(layers).replace("\N{EN DASH}", " to ").split(", "))
