"""The page of a report: one file of HTML that asks for nothing else.

Whatever comes from a text, a file name, or a model is escaped, and the page's own policy allows only its one script.
"""

import base64
import hashlib
import json
import math
from collections.abc import Callable, Iterable, Sequence
from html import escape
from importlib import resources
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from ..site.words import count, listed
from ..version import __version__
from .charts import chart, common_span
from .findings import PERCENT, SCALE, Curve, Findings
from .measuring import NEIGHBORS
from .placing import ENOUGH, Share
from .reference import Reference, made_of
from .sentences import LIMITS, comparison, paragraphs, perplexity

SURPRISAL = (0.5, 1.0, 2.0, 4.0, 8.0)  #: ends of the steps of color, in nats
DIMENSION = (2.0, 4.0, 8.0, 16.0, 32.0)
NAMED = 3  #: texts in the title; more are counted
COSTLY = 8  #: tokens in the table of the costliest
BEFORE = 6  #: tokens shown before each of them
NONE = "-"  #: in a table, where a number is not defined
HINT = "Point at a token, or tap it, for its numbers. With the keyboard: arrow keys, Home, and End."
ERROR = 1 / math.sqrt(NEIGHBORS - 2)  #: of the dimension at a token, relative


class Page(NamedTuple):
    """What a page is made of."""

    findings: Sequence[Findings]
    reference: Reference | None
    absent: str  #: why there is no reference; empty if there is one
    model: str  #: name of the model
    fingerprint: str
    dtype: str  #: of its weights
    bos: str
    notes: Sequence[str]  #: advice on the model


def render(page: Page) -> str:
    """Return the page.

    Parameters
    ----------
    page : Page

    Returns
    -------
    str
        A whole HTML document.
    """
    names = [one.name for one in page.findings]
    title = f"Report on {listed(names) if len(names) <= NAMED else f'{len(names)} texts'}"
    script, style = _file("page.js"), _file("page.css")
    policy = (
        f"default-src 'none'; style-src '{_hash(style)}'; script-src '{_hash(script)}'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
    sections = [
        _section("The text, token by token", _texts(page)),
        _section("Through the layers", _layers(page)),
        _section("Where it stands" if len(page.findings) == 1 else "Where they stand", _places(page)),
        _section("What may be concluded", _conclusions(page)),
        _section("What no number here shows", f'<ul class="limits">{_items(LIMITS)}</ul>'),
    ]
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{escape(policy)}">\n'
        f'<title>{escape(title)}</title>\n<link rel="icon" href="data:,">\n<style>{style}</style>\n</head>\n<body>\n'
        f"<header>\n<h1>{escape(title)}</h1>\n{_summary(page)}\n"
        '<button type="button" class="alone" hidden>Open this report by itself</button>\n</header>\n'
        f"<main>\n{''.join(sections)}</main>\n{_footer(page)}\n"
        f'<script type="application/json" id="data">{_data(page)}</script>\n<script>{script}</script>\n'
        "</body>\n</html>\n"
    )


def _file(name):
    """A file of this folder."""
    return (resources.files(__package__) / name).read_text(encoding="utf-8")


def _hash(text):
    """The hash by which a policy allows a script or a style sheet."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _section(heading, body):
    return f"<section>\n<h2>{escape(heading)}</h2>\n{body}\n</section>\n"


def _items(sentences):
    return "".join(f"<li>{escape(one)}</li>" for one in sentences)


def _side_by_side(page: Page, part: Callable[[int, Findings], str]) -> str:
    """The same part for each text; with a heading where there are several."""
    several = len(page.findings) > 1
    columns = "".join(
        f"<div>{f'<h3>{escape(one.name)}</h3>' if several else ''}{part(place, one)}</div>\n"
        for place, one in enumerate(page.findings)
    )
    return f'<div class="texts">\n{columns}</div>'


# --- the beginning ---


def _summary(page):
    """The main numbers in one sentence per text, and what they are compared with."""
    lines = []
    for one in page.findings:
        loss, cloud = one.placed["loss"].value, one.placed["dimension"].value
        size = f"a cloud of dimension {cloud:.1f}" if math.isfinite(cloud) else "a cloud whose dimension is not defined"
        lines.append(
            f"<strong>{escape(one.name)}</strong>: loss {loss:.2f} nats per token, {size} at layer {one.layer}."
        )
    return "".join(f'<p class="lead">{line}</p>' for line in lines) + f'<p class="note">{_compared(page)}</p>'


def _compared(page):
    """How many tokens are measured, and what they are compared with."""
    n = page.findings[0].text.n_tokens
    several = len(page.findings) > 1
    measured = f"{count(n, 'token')} {'of each text ' if several else ''}measured with {page.model}"
    if page.reference is None:
        return escape(f"{measured}; no band and no percentiles: {page.absent}.")
    kinds = sorted(set(page.reference.kinds))
    of = f" of {count(len(kinds), 'kind')} of text" if len(kinds) > 1 else ""
    return escape(
        f"{measured}, and compared with {count(page.reference.n_prompts, 'prompt')}{of} of the same length "
        f"({page.reference.name})."
    )


# --- the text ---


def _texts(page):
    """The colored texts, with the controls and the legend above them."""
    layers = page.findings[0].n_layers
    controls = (
        '<form class="controls" hidden>\n<fieldset><legend>Color by</legend>\n'
        '<label><input type="radio" name="color" value="surprisal" checked> surprisal</label>\n'
        '<label><input type="radio" name="color" value="dimension"> local dimension</label>\n</fieldset>\n'
        f'<label>Layer <input type="range" name="layer" min="1" max="{layers}" value="{page.findings[0].layer}" '
        f"disabled> <output>{page.findings[0].layer}</output></label>\n</form>\n"
    )
    about = (
        "<p>The surprisal of a token is its loss, in nats: how unlikely the model took it for, given the tokens before "
        f"it. The local dimension of a token is estimated from its {NEIGHBORS} nearest neighbors in the cloud of a "
        f"layer. One estimate is off by about {ERROR:.0%}, so look at regions, not at single tokens.</p>\n"
    )
    without = (
        "<noscript><p>Without scripts, the text is colored by surprisal, and the numbers of single tokens are left "
        "out.</p></noscript>\n"
    )
    legends = _legend("surprisal", SURPRISAL, "nats") + _legend("dimension", DIMENSION, "")
    return about + controls + legends + without + _side_by_side(page, _text)


def _legend(quantity, edges, unit):
    """The steps of color."""
    unit = unit and f" {unit}"
    names = [f"below {edges[0]:g}", *(f"{a:g} to {b:g}" for a, b in pairwise(edges))]
    names.append(f"{edges[-1]:g} and more{unit}")
    steps = [f'<li><span class="t b{i}">Aa</span> {name}</li>' for i, name in enumerate(names)]
    steps.append('<li><span class="t u">Aa</span> not defined</li>')
    hidden = "" if quantity == "surprisal" else " hidden"
    label = "surprisal" if quantity == "surprisal" else "local dimension"
    about = f'class="legend {quantity}" data-of="{quantity}" aria-label="Colors: {label}"'
    return f"<ul {about}{hidden}>{''.join(steps)}</ul>\n"


def _text(place, found):
    """One colored text, and the table of its costliest tokens."""
    tokens = found.text.tokens
    spans = "".join(
        _token(place, i, piece, value)
        for i, (piece, value) in enumerate(zip(tokens.pieces, tokens.surprisal, strict=True))
    )
    name = escape(found.name)
    return (
        f'<div class="tokens surprisal" id="tokens-{place}" role="listbox" tabindex="0" dir="auto" '
        f'aria-label="Tokens of {name}" aria-describedby="readout-{place}">{spans}</div>'
        f'<div class="readout" id="readout-{place}" role="status" hidden>{HINT}</div>\n{_costliest(found)}'
    )


def _token(place, i, piece, value):
    """One token; a blank one is named for readers who do not see it."""
    step = "u" if math.isnan(value) else f"b{int(np.searchsorted(SURPRISAL, value, side='right'))}"
    label = ""
    if not piece.strip():
        label = f' aria-label="{"line break" if chr(10) in piece else "blank" if piece else "rest of a character"}"'
    line = " n" if "\n" in piece else ""
    return f'<span class="t {step}{line}" role="option" id="t{place}-{i}"{label}>{escape(piece)}</span>'


def _costliest(found):
    """The tokens of the highest surprisal, with what the model took for likeliest instead."""
    tokens = found.text.tokens
    rows = []
    for i in np.argsort(-np.nan_to_num(tokens.surprisal, nan=-1), kind="stable")[:COSTLY]:
        likeliest, p = tokens.likeliest[i]
        before = "".join(tokens.pieces[max(0, i - BEFORE) : i])
        rows.append(
            f"<tr><td>{_code(before)}</td><td>{_code(tokens.pieces[i])}</td>"
            f'<td class="number">{tokens.surprisal[i]:.1f}</td><td>{_code(likeliest)} {p:.0%}</td></tr>'
        )
    head = '<tr><th>after</th><th>token</th><th class="number">nats</th><th>likeliest instead</th></tr>'
    return _table("The costliest tokens", head, rows)


def _code(piece):
    """Some characters of a text, with its line breaks and tabs as marks."""
    return f"<code>{escape(piece.replace(chr(10), '↵').replace(chr(9), '⇥')) or '·'}</code>"


def _table(caption, head, rows):
    """A table that scrolls in itself where it is wide; the keyboard reaches it."""
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(caption)}"><table>'
        f"<caption>{escape(caption)}</caption><thead>{head}</thead><tbody>{''.join(rows)}</tbody></table></div>\n"
    )


# --- through the layers ---


def _layers(page):
    """Three charts for each text, on common axes."""
    spans = [common_span([one.curves[i] for one in page.findings]) for i in range(3)]
    return _key(page) + _side_by_side(page, lambda place, one: _charts(one, spans) + _numbers(one))


def _key(page):
    """What the lines and areas of the charts mean."""
    found = page.findings[0]
    entries = [("text", "line", "the text" + (" (shade: two standard errors)" if page.findings else ""))]
    if any(one.text.shuffled is not None for one in page.findings):
        entries.append(("shuffled", "line", "its tokens shuffled"))
    if page.reference:
        n = count(found.n_prompts, "prompt")
        middle = f"middle {100 - 2 * PERCENT}% of the {n}" if found.n_prompts >= ENOUGH else f"range of the {n}"
        entries += [("band", "area", middle), ("median", "line", "their median")]
    if any(one.nearest for one in page.findings):
        entries.append(("of-kind", "line", "median of the nearest kind"))
    shapes = {"line": '<path class="{}" d="M1 7H39"/>', "area": '<path class="{}" d="M1 2H39V12H1Z"/>'}
    return (
        '<ul class="legend key" aria-label="Lines of the charts">'
        + "".join(
            f'<li><svg viewBox="0 0 40 14" aria-hidden="true">{shapes[shape].format(name)}</svg> {escape(words)}</li>'
            for name, shape, words in entries
        )
        + "</ul>\n"
    )


def _charts(found, spans):
    """The charts of one text."""
    figures = "".join(
        f"<figure><figcaption>{escape(_headline(curve))}</figcaption>"
        f"{chart(curve, span, _described(found, curve))}</figure>\n"
        for curve, span in zip(found.curves, spans, strict=True)
    )
    return f'<div class="charts">{figures}</div>'


def _headline(curve):
    details = {
        "intrinsic dimension": f" (range scaling {SCALE})",
        "neighborhood overlap": " of a layer and the next (k = 2)",
        "cosine similarity": ", mean over all pairs of tokens",
    }
    return curve.name.capitalize() + details[curve.name]


def _described(found: Findings, curve: Curve) -> str:
    """A chart in words."""
    defined = np.isfinite(curve.text)
    said = f"{_headline(curve)}: {found.name}"
    if not defined.any():
        return f"{said}, not defined."
    values = curve.text[defined]
    highest = curve.layers[defined][int(np.argmax(values))]
    said += f", {values[0]:.2f} at first, {values[-1]:.2f} at last, highest in layer {highest}, {values.max():.2f}"
    if curve.outside is not None:
        said += f"; outside the band of the prompts in {len(curve.outside)} of {len(curve.layers)} layers"
    return f"{said}."


def _numbers(found):
    """The numbers behind the charts, folded."""
    heads, columns = ["layer"], [[str(layer) for layer in found.curves[0].layers]]
    for curve in found.curves:
        series = ((curve.name, curve.text), ("shuffled", curve.shuffled), ("prompts, low", curve.low))
        for name, values in (*series, ("median", curve.median), ("high", curve.high)):
            if values is not None:
                heads.append(name)
                shown = [f"{v:.3f}" if math.isfinite(v) else NONE for v in values]
                columns.append(shown + [NONE] * (len(columns[0]) - len(shown)))
    head = "<tr>" + "".join(f'<th class="number">{escape(name)}</th>' for name in heads) + "</tr>"
    rows = [
        "<tr>" + "".join(f'<td class="number">{value}</td>' for value in row) + "</tr>"
        for row in zip(*columns, strict=True)
    ]
    table = _table(f"By layer: {found.name}", head, rows)
    return f"<details><summary>The numbers of these charts</summary>{table}</details>"


# --- where it stands ---


def _places(page):
    """The table of the numbers and their percentiles, and how to read it."""
    about = ""
    if page.reference:
        about = f"<p>A percentile is the share of the prompts with a smaller number. {escape(_rule(page))}</p>\n"
    return about + _side_by_side(page, lambda place, one: _place_table(one))


def _rule(page):
    """How the nearest kind is found, and how good the rule is; nothing where there is one kind only."""
    rates = [one.nearest.found for one in page.findings if one.nearest]
    if not rates:
        return ""
    return (
        "The nearest kind is the one whose prompts are on average nearest in loss, entropy, and number of distinct "
        "tokens; the geometry has no say. It is a kind of like difficulty and repetition, not a guess at the subject: "
        f"the same rule finds the kind of {rates[0]:.0%} of the prompts themselves, where chance would find "
        f"{1 / page.findings[0].n_kinds:.0%}."
    )


def _place_table(found):
    """The numbers of one text."""
    heads = ["", "text"]
    with_prompts = found.n_prompts > 0
    if with_prompts:
        heads += ["median prompt", f"percentile, {found.n_prompts} prompts"]
    if found.nearest:
        heads.append(f"percentile, {int(found.nearest.members.sum())} of {found.nearest.kind}")
    rows = []
    for name, one in found.placed.items():
        digits = 0 if name == "distinct" else 2
        cells = [_value(one.value, one.error, digits)]
        cells += [_value(one.median, digits=digits), _share(one.share)] if with_prompts else []
        cells += [_share(one.share_of_kind)] if found.nearest else []
        unit = f" ({one.unit})" if one.unit else ""
        rows.append(_row(f"{one.label}{unit}", cells))
        if name == "loss":
            median = [perplexity(one.median)] if with_prompts else []
            rows.append(_row("perplexity", [perplexity(one.value), *median]))
    head = "<tr>" + "".join(f'<th class="number">{escape(h)}</th>' if h else "<td></td>" for h in heads) + "</tr>"
    return _table(f"Numbers of {found.name}", head, rows)


def _row(label, cells):
    return (
        f'<tr><th scope="row">{escape(label)}</th>'
        + "".join(f'<td class="number">{cell}</td>' for cell in cells)
        + "</tr>"
    )


def _value(value: float, error: float = math.nan, digits: int = 2) -> str:
    """A number, with twice its standard error if it has one."""
    if not math.isfinite(value):
        return NONE
    return f"{value:.{digits}f}" + (f" ± {2 * error:.2f}" if math.isfinite(error) else "")


def _share(share: Share | None) -> str:
    """A percentile above its 95% interval."""
    return f"{share.below:.0%}<small>{share.low:.0%} to {share.high:.0%}</small>" if share else NONE


# --- conclusions ---


def _conclusions(page):
    """The sentences that follow the numbers."""
    together = "".join(f"<p>{escape(one)}</p>" for one in comparison(page.findings))
    return together + _side_by_side(page, lambda place, one: _paragraphs(one))


def _paragraphs(found):
    parts = "".join(
        f"<div><h4>{escape(one.heading)}</h4><p>{escape(' '.join(one.sentences))}</p></div>\n"
        for one in paragraphs(found)
    )
    return f'<div class="conclusions">{parts}</div>'


# --- the end ---


def _footer(page):
    """How all this was measured."""
    found = page.findings[0]
    lines = [
        f"Model {page.model} ({page.fingerprint}) in {page.dtype}, bos = {page.bos}; "
        f"{count(found.text.n_tokens, 'token')} of each text, special tokens read as characters.",
        "Dimension: GRIDE, with standard errors for tokens drawn again from the same cloud. Local dimension: "
        f"Levina and Bickel's estimate from {NEIGHBORS} neighbors.",
    ]
    if page.reference:
        made = made_of(page.reference)
        by = f", measured by version {made['version']}" if made["version"] else ""
        lines.append(f"Compared with {page.reference.name}: the same model and number of tokens{by}.")
        if made["dtype"] not in ("", page.dtype):
            lines.append(f"The survey was measured in {made['dtype']}: small differences may be due to rounding.")
    lines += page.notes
    lines.append(f"Made by tokengeom-utils {__version__}; this file asks for nothing from any other place.")
    return f'<footer class="note">\n<h2>How this was measured</h2>\n<ul class="limits">{_items(lines)}</ul>\n</footer>'


def _data(page):
    """The numbers of every token, for the script; nothing in them can end the element that holds them."""
    texts = []
    for one in page.findings:
        tokens = one.text.tokens
        texts.append(
            {
                "surprisal": _numbers_or_null(tokens.surprisal, 2),
                "likeliest": [[piece, None if math.isnan(p) else round(p, 4)] for piece, p in tokens.likeliest],
                "dimension": [_numbers_or_null(layer, 1) for layer in tokens.local[1:]],
            }
        )
    data: dict[str, Any] = {
        "layer": page.findings[0].layer,
        "edges": {"surprisal": SURPRISAL, "dimension": DIMENSION, "error": round(ERROR, 3)},
        "texts": texts,
    }
    written = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    return written.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _numbers_or_null(values: Iterable[float], digits: int) -> list[float | None]:
    """Rounded numbers; null where one is not defined."""
    return [None if math.isnan(value) else round(float(value), digits) for value in values]
