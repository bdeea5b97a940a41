"""The look of all figures: colors that color-blind readers can tell apart, each with one meaning.

Shuffle degrees run from dark to light along one ramp; models and domains have fixed colors. In a notebook, each picture
is stored together with the numbers behind it (:mod:`tokengeom_utils.site.plotted`).
"""

from collections.abc import Iterable, Sequence
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from numpy.typing import ArrayLike

from ..surveys.paper import open_paper
from ..theory.statistics import mean_interval
from .contrast import label_color
from .plotted import figure_csv, note

Color = tuple[float, float, float]

_CB = sns.color_palette("colorblind")
OURS: Color = _CB[0]  #: the model of the survey
ACCENT: Color = _CB[3]  #: whatever a figure contrasts with it
NEUTRAL = "0.45"  #: references and expectations
PAPER_MODELS: dict[str, Color] = {"Llama-3-8B": _CB[1], "Mistral-7B": _CB[2], "Pythia-6.9B": _CB[4]}
_EIGHT: list[Color] = [_CB[i] for i in (0, 3, 2, 4, 9, 5, 7, 1)]
DOMAIN_COLORS: list[Color] = _EIGHT + [(0.65 * r, 0.65 * g, 0.65 * b) for r, g, b in _EIGHT]  #: eight, then darker
MIN_PROMPTS = 4  #: with fewer prompts, a confidence band would fill the panel


def set_theme() -> None:
    """Set the style of the book's figures; call it once, at the top of a chapter.

    In a notebook, figures become SVG from then on, and the table behind each one is stored beside it as ``text/csv``.

    See Also
    --------
    tokengeom_utils.site.plotted.figure_table : the table behind a figure.

    Notes
    -----
    First used in the chapter *The paper in one page*.

    Examples
    --------
    >>> import matplotlib as mpl
    >>> import tokengeom_utils as tg
    >>> with mpl.rc_context():
    ...     tg.figures.set_theme()
    ...     mpl.rcParams["figure.figsize"]
    [6.2, 3.9]
    """
    mpl.rcdefaults()  # without the settings of a user's matplotlibrc
    sns.set_theme(style="ticks", context="notebook", palette="colorblind")
    mpl.rcParams.update(
        {
            # Narrow, with large type: a phone shows the page 360 pixels wide.
            "figure.figsize": (6.2, 3.9),
            "figure.dpi": 100,
            "font.size": 12,
            "axes.labelsize": 12,
            "xtick.labelsize": 11,
            "ytick.labelsize": 11,
            "axes.titlesize": 12,
            "legend.fontsize": 10.5,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.titlelocation": "left",
            "axes.grid": True,
            "grid.alpha": 0.25,
            "legend.frameon": False,
            "lines.linewidth": 1.8,
            "figure.constrained_layout.use": True,
            "savefig.bbox": "tight",
            "svg.hashsalt": "tokengeom",
        }
    )
    try:
        from IPython import get_ipython
        from matplotlib_inline.backend_inline import set_matplotlib_formats
    except ImportError:
        return
    if shell := get_ipython():
        set_matplotlib_formats("svg")  # crisp at any zoom
        _keep_tables(shell)


def _keep_tables(shell):
    """Make a notebook store the table behind every picture beside it, as text/csv."""
    from IPython.core.formatters import BaseFormatter
    from traitlets import ObjectName, Unicode

    class TableFormatter(BaseFormatter):
        format_type = Unicode("text/csv")
        print_method = ObjectName("_repr_csv_")

    formatter = shell.display_formatter.formatters["text/csv"] = TableFormatter(parent=shell.display_formatter)
    formatter.for_type(mpl.figure.Figure, figure_csv)


class ShippedTable:
    """A table that the page of a chapter offers as a file, without showing it.

    The cell that ends with it names the file in its metadata: ``tokengeom: {table: NAME}``.

    Parameters
    ----------
    table : pandas.DataFrame
        Its index is written too.

    See Also
    --------
    set_theme : makes notebooks store tables; the one behind a figure needs no such cell.

    Notes
    -----
    Used in the chapter *The reproduction report*.

    Examples
    --------
    >>> import pandas as pd
    >>> import tokengeom_utils as tg
    >>> tg.figures.ShippedTable(pd.DataFrame({"d": [0.1]}))
    A table of 1 rows and 1 columns, for the file that this cell names
    """

    def __init__(self, table: pd.DataFrame) -> None:
        self._table = table

    def __repr__(self) -> str:
        rows, columns = self._table.shape
        return f"A table of {rows} rows and {columns} columns, for the file that this cell names"

    def _repr_csv_(self) -> str:
        return self._table.to_csv(lineterminator="\n")


def degree_colors(degrees: Sequence[int]) -> dict[int, Color]:
    """Assign a color to each degree of shuffling: the prompt in order is darkest, the full shuffle lightest.

    Parameters
    ----------
    degrees : sequence of int
        In ascending order.

    Returns
    -------
    dict of int to (float, float, float)
        Red, green and blue between 0 and 1, by degree.

    See Also
    --------
    shuffle_blocks : shuffles to a degree.

    Notes
    -----
    First used in the chapter *Cosine similarity: do the tokens point one way?*

    Examples
    --------
    >>> import tokengeom_utils as tg
    >>> colors = tg.figures.degree_colors([0, 2, 5])
    >>> list(colors), sum(colors[0]) < sum(colors[5])
    ([0, 2, 5], True)
    """
    return dict(zip(degrees, sns.color_palette("viridis", len(degrees)), strict=True))


def domain_colors(domains: Iterable[object]) -> dict[str, Color]:
    """Assign a color to each domain of prompts, in order of first appearance.

    Parameters
    ----------
    domains : iterable of str
        The domain of every prompt; repetitions are ignored.

    Returns
    -------
    dict of str to (float, float, float)
        Red, green and blue between 0 and 1, by domain. The ninth to sixteenth are darker; then colors repeat.

    Notes
    -----
    First used in the chapter *The paper in one page*.

    Examples
    --------
    >>> import tokengeom_utils as tg
    >>> colors = tg.figures.domain_colors(["code", "speech", "code"])
    >>> list(colors), colors["code"] == tg.figures.DOMAIN_COLORS[0]
    (['code', 'speech'], True)
    """
    return {domain: DOMAIN_COLORS[i % len(DOMAIN_COLORS)] for i, domain in enumerate(dict.fromkeys(map(str, domains)))}


def domain_dots(ax: Axes, x: ArrayLike, y: ArrayLike, domains: Iterable[object], **style: Any) -> None:
    """Draw one dot for each prompt, in the color of its domain; from the ninth domain on, a triangle.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
    x, y : array_like, shape (prompt,)
    domains : iterable of str
        The domain of every prompt. Each becomes one entry of a legend.
    **style
        Options of :meth:`matplotlib.axes.Axes.scatter`.

    See Also
    --------
    tokengeom_utils.figures.domain_colors : the colors alone.

    Notes
    -----
    First used in the chapter *The shuffle control*.

    Examples
    --------
    >>> import tokengeom_utils as tg
    >>> fig, ax = tg.figures.plt.subplots()
    >>> tg.figures.domain_dots(ax, [1, 2, 3], [4, 5, 6], ["code", "speech", "code"])
    >>> [(dots.get_label(), len(dots.get_offsets())) for dots in ax.collections]
    [('code', 2), ('speech', 1)]
    >>> tg.figures.plt.close(fig)
    """
    x, y, kinds = np.asarray(x), np.asarray(y), np.array([str(domain) for domain in domains])
    style = {"s": 26, "edgecolor": "white", "linewidth": 0.4, **style}
    for i, (domain, color) in enumerate(domain_colors(kinds).items()):
        rows = kinds == domain
        ax.scatter(x[rows], y[rows], color=color, marker="o^"[i // len(_EIGHT) % 2], label=domain, **style)


def mean_band(ax: Axes, x: ArrayLike, values: ArrayLike, color: Any, label: str | None = None, **style: Any) -> None:
    """Draw the mean over prompts with its 95% confidence band.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
    x : array_like, shape (layer,)
        Horizontal positions.
    values : array_like, shape (layer, prompt)
        The band is left out if there are fewer than four prompts: it would fill the panel.
    color : color
        Of the line; the band is a lighter shade.
    label : str, optional
        For the legend.
    **style
        Options of :meth:`matplotlib.axes.Axes.plot` for the line.

    See Also
    --------
    tokengeom_utils.statistics.mean_interval : the interval.

    Notes
    -----
    First used in the chapter *The paper in one page*.

    Examples
    --------
    >>> import tokengeom_utils as tg
    >>> fig, ax = tg.figures.plt.subplots()
    >>> tg.figures.mean_band(ax, [0, 1], [[1, 2, 3, 4], [5, 6, 7, 8]], tg.figures.OURS)
    >>> ax.lines[0].get_ydata().tolist(), len(ax.collections)
    ([2.5, 6.5], 1)
    >>> tg.figures.plt.close(fig)
    """
    mean, low, high = mean_interval(values)
    n = np.shape(values)[-1]
    (line,) = ax.plot(x, mean, color=color, label=label, **style)
    note(line, n=n)
    if n >= MIN_PROMPTS:
        note(ax.fill_between(x, low, high, color=color, alpha=0.2, linewidth=0), n=n, label=label or "")


def paper_curves(
    ax: Axes,
    observable: str,
    shuffle: int = 0,
    scale: int = 2,
    models: Iterable[str] = tuple(PAPER_MODELS),
    **style: Any,
) -> None:
    """Draw the paper's mean curves over relative depth, thin and behind ours.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
    observable : str
        ``"intrinsic_dimension"``, ``"neighborhood_overlap"`` or ``"cosine_similarity"``.
    shuffle : int
        Degree of shuffling.
    scale : int
        Range scaling of the intrinsic dimension, or number of neighbors of the overlap.
    models : iterable of str
        Keys of :data:`PAPER_MODELS`.
    **style
        Options of :meth:`matplotlib.axes.Axes.plot`.

    See Also
    --------
    open_paper : the numbers.

    Notes
    -----
    First used in the chapter *The paper in one page*.

    References
    ----------
    *The Geometry of Tokens in Internal Representations of Large Language Models*, arXiv:2501.10573.

    Examples
    --------
    >>> import tokengeom_utils as tg
    >>> fig, ax = tg.figures.plt.subplots()
    >>> tg.figures.paper_curves(ax, "cosine_similarity")
    >>> [line.get_label() for line in ax.lines]
    ['Llama-3-8B (paper)', 'Mistral-7B (paper)', 'Pythia-6.9B (paper)']
    >>> tg.figures.plt.close(fig)
    """
    table = open_paper("profiles").query("observable == @observable and shuffle == @shuffle")
    if observable != "cosine_similarity":
        table = table[table.scale == scale]
    style = {"linewidth": 1.1, "alpha": 0.8, "linestyle": "--", "zorder": 1, **style}
    for model in models:
        rows = table[table.model == model]
        if len(rows):
            ax.plot(rows.depth, rows["mean"], color=PAPER_MODELS[model], label=f"{model} (paper)", **style)


def depth_axis(ax: Axes, label: str = "relative depth (layer / number of layers)") -> None:
    """Make the horizontal axis run from the embeddings, 0, to the last layer, 1.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
    label : str
        Of the axis.

    Notes
    -----
    First used in the chapter *The paper in one page*.

    Examples
    --------
    >>> import tokengeom_utils as tg
    >>> fig, ax = tg.figures.plt.subplots()
    >>> tg.figures.depth_axis(ax)
    >>> ax.get_xticks().round(1).tolist()
    [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
    >>> tg.figures.plt.close(fig)
    """
    ax.set_xlim(-0.02, 1.02)
    ax.set_xticks(np.linspace(0, 1, 6))
    ax.set_xlabel(label)


def color_labels(ax: Axes) -> None:
    """Write each number on a heat map in black or white, whichever has more contrast with its cell.

    Each label is marked with the color of its cell, so that a page in the dark can choose again.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
        With one map, from :func:`seaborn.heatmap` or :meth:`matplotlib.axes.Axes.imshow`, and texts on its cells.

    Notes
    -----
    First used in the chapter *Estimators compared*.

    Examples
    --------
    >>> import tokengeom_utils as tg
    >>> fig, ax = tg.figures.plt.subplots()
    >>> image = ax.imshow([[0.0, 1.0]], cmap="Blues")
    >>> labels = ax.text(0, 0, "none"), ax.text(1, 0, "all")
    >>> tg.figures.color_labels(ax)
    >>> [label.get_color() for label in labels]
    ['black', 'white']
    >>> tg.figures.plt.close(fig)
    """
    shown: Any = ax.images[0] if ax.images else ax.collections[0]
    colors = shown.to_rgba(np.ma.masked_invalid(np.ma.asarray(shown.get_array())))
    height, width = colors.shape[:2]
    left, right, bottom, top = shown.get_extent() if ax.images else (0, width, height, 0)
    if ax.images and shown.origin == "lower":
        bottom, top = top, bottom
    for number, label in enumerate(ax.texts):
        x, y = label.get_position()
        row, column = int((y - top) / (bottom - top) * height), int((x - left) / (right - left) * width)
        *seen, alpha = map(float, colors[row, column])
        red, green, blue = (part * alpha + 1 - alpha for part in seen)  # on a white page
        label.set_color(label_color((red, green, blue)))
        label.set_gid(f"on-{mpl.colors.to_hex((red, green, blue))[1:]}-{number}")


__all__ = [
    "ACCENT",
    "DOMAIN_COLORS",
    "NEUTRAL",
    "OURS",
    "PAPER_MODELS",
    "ShippedTable",
    "color_labels",
    "degree_colors",
    "depth_axis",
    "domain_colors",
    "domain_dots",
    "mean_band",
    "paper_curves",
    "plt",
    "set_theme",
]
