"""Small charts over the layers, as SVG that takes its colors and its type from the page."""

import math
from collections.abc import Sequence
from html import escape

import numpy as np

from .findings import Curve

WIDTH, HEIGHT = 360, 210  #: of the drawing, in units that a browser scales
LEFT, RIGHT, TOP, BOTTOM = 38, 8, 10, 34  #: margins around the panel
TICKS = 4  #: about as many on the vertical axis


def chart(curve: Curve, span: tuple[float, float], label: str) -> str:
    """Draw an observable over the layers: the band of the prompts, the text, and its shuffle.

    Parameters
    ----------
    curve : Curve
    span : tuple of float
        Ends of the vertical axis; the same for all texts of a page.
    label : str
        What the picture shows, for readers who do not see it.

    Returns
    -------
    str
        An ``<svg>`` element. Lines differ in dash and width, not only in color.
    """
    low, high = span
    n_layers = max(2, int(curve.layers[-1]))

    def x(layer):
        return LEFT + (WIDTH - LEFT - RIGHT) * (layer - 1) / (n_layers - 1)

    def y(value):
        return TOP + (HEIGHT - TOP - BOTTOM) * (1 - (value - low) / (high - low))

    def line(values, name):
        return "".join(
            f'<path class="{name}" d="{run}"/>' for run in _paths([x(a) for a in curve.layers], [y(v) for v in values])
        )

    parts = []
    for value in ticks(low, high):
        parts.append(f'<path class="grid" d="M{LEFT} {y(value):.1f}H{WIDTH - RIGHT}"/>')
        parts.append(f'<text x="{LEFT - 5}" y="{y(value) + 4:.1f}" text-anchor="end">{_plain(value)}</text>')
    for layer in layer_ticks(n_layers):
        parts.append(f'<text x="{x(layer):.1f}" y="{HEIGHT - BOTTOM + 16}" text-anchor="middle">{layer}</text>')
    parts.append(f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 3}" text-anchor="middle">layer</text>')
    if curve.low is not None and curve.high is not None and curve.median is not None:
        parts.append(_band("band", [x(a) for a in curve.layers], [y(v) for v in curve.low], [y(v) for v in curve.high]))
        parts.append(line(curve.median, "median"))
    if curve.of_kind is not None:
        parts.append(line(curve.of_kind, "of-kind"))
    if np.isfinite(curve.error).any():
        ends = [[y(v) for v in curve.text + sign * 2 * curve.error] for sign in (-1, 1)]
        parts.append(_band("error", [x(a) for a in curve.layers], *ends))
    if curve.shuffled is not None:
        parts.append(line(curve.shuffled, "shuffled"))
    parts.append(line(curve.text, "text"))
    parts.append(f'<path class="axis" d="M{LEFT} {TOP}V{HEIGHT - BOTTOM}H{WIDTH - RIGHT}"/>')
    return f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(label)}">{"".join(parts)}</svg>'


def common_span(curves: Sequence[Curve], floor: float | None = 0) -> tuple[float, float]:
    """Return the ends of a vertical axis that holds everything drawn in some charts.

    Parameters
    ----------
    curves : sequence of Curve
    floor : float or None
        A value that the axis includes.

    Returns
    -------
    tuple of float

    Examples
    --------
    >>> nothing = np.full(2, np.nan)
    >>> curve = Curve("dimension", np.array([1, 2]), np.array([2.0, 9.6]), nothing, None, None, None, None, None)
    >>> common_span([curve])
    (0.0, 10.0)
    """
    drawn = [floor] if floor is not None else []
    for curve in curves:
        for values in (curve.text, curve.shuffled, curve.low, curve.high, curve.of_kind):
            drawn += [] if values is None else [v for v in values if np.isfinite(v)]
    low, high = (min(drawn), max(drawn)) if drawn else (0.0, 1.0)
    step = _step(low, high)
    return math.floor(low / step) * step, max(
        math.ceil(high / step - 1e-9) * step, math.floor(low / step) * step + step
    )


def ticks(low: float, high: float) -> list[float]:
    """Return round values between the ends of an axis.

    Examples
    --------
    >>> ticks(0, 10), ticks(0.0, 0.6)
    ([0.0, 2.5, 5.0, 7.5, 10.0], [0.0, 0.2, 0.4, 0.6])
    """
    step = _step(low, high)
    first = math.ceil(low / step - 1e-9)
    return [round((first + i) * step, 10) for i in range(math.floor(high / step + 1e-9) - first + 1)]


def layer_ticks(n_layers: int) -> list[int]:
    """Return the layers that the horizontal axis names: the first, the last, and round ones between.

    Examples
    --------
    >>> layer_ticks(30), layer_ticks(2), layer_ticks(12)
    ([1, 10, 20, 30], [1, 2], [1, 5, 12])
    """
    step = next(step for step in (1, 2, 5, 10, 20, 50, 100, 1000) if n_layers / step <= TICKS)
    return [1, *(layer for layer in range(step, n_layers, step) if 1 < layer <= n_layers - step * 0.6), n_layers]


def _step(low, high):
    """A round distance of ticks."""
    rough = max(high - low, 1e-9) / TICKS
    power = 10 ** math.floor(math.log10(rough))
    return next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= rough * 0.999)


def _plain(value):
    """A tick's value, without zeros at its end."""
    return f"{value:g}".replace("-", "\N{MINUS SIGN}")


def _paths(xs, ys):
    """Yield the path of each run of values that are defined; a single one becomes a short stroke."""
    run: list[str] = []
    for a, b in [*zip(xs, ys, strict=True), (0.0, math.nan)]:
        if math.isfinite(b):
            run.append(f"{a:.1f} {b:.1f}")
        elif run:
            yield "M" + "L".join(run if len(run) > 1 else [run[0], run[0]])
            run = []


def _band(name, xs, low, high):
    """An area between two curves, where both are defined."""
    kept = [(a, b, c) for a, b, c in zip(xs, low, high, strict=True) if math.isfinite(b) and math.isfinite(c)]
    there = [f"{a:.1f} {c:.1f}" for a, _, c in kept]
    back = [f"{a:.1f} {b:.1f}" for a, b, _ in reversed(kept)]
    return f'<path class="{name}" d="M{"L".join([*there, *back])}Z"/>' if kept else ""
