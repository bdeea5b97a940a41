"""One look for all figures: colors that color-blind readers can tell apart, one meaning each.

Shuffle degrees run from dark to light along one ramp; models and domains have fixed colors. In a notebook each picture
is stored with the numbers behind it.
"""

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns

from .plotted import figure_csv
from ..surveys.paper import open_paper
from ..theory.statistics import mean_interval

_CB = sns.color_palette("colorblind")
OURS = _CB[0]
ACCENT = _CB[3]
NEUTRAL = "0.45"
PAPER_MODELS = {"Llama-3-8B": _CB[1], "Mistral-7B": _CB[2], "Pythia-6.9B": _CB[4]}
DOMAIN_COLORS = [_CB[i] for i in (0, 3, 2, 4, 9, 5, 7, 1)]


def set_theme():
    """Set the book's figure style; call once at the top of a chapter."""
    sns.set_theme(style="ticks", context="notebook", palette="colorblind")
    mpl.rcParams.update({
        # Narrow, with large type: a phone shows the page 360 pixels wide.
        "figure.figsize": (6.2, 3.9), "figure.dpi": 100, "font.size": 12, "axes.labelsize": 12,
        "xtick.labelsize": 11, "ytick.labelsize": 11, "axes.titlesize": 12, "legend.fontsize": 10.5,
        "axes.spines.top": False, "axes.spines.right": False, "axes.titlelocation": "left",
        "axes.grid": True, "grid.alpha": 0.25, "legend.frameon": False, "lines.linewidth": 1.8,
        "figure.constrained_layout.use": True, "savefig.bbox": "tight", "svg.hashsalt": "tokengeom",
    })
    try:
        from IPython import get_ipython
        from matplotlib_inline.backend_inline import set_matplotlib_formats
    except ImportError:
        return
    if shell := get_ipython():
        set_matplotlib_formats("svg")  # crisp at any zoom
        _keep_tables(shell)


def _keep_tables(shell):
    """Have a notebook store, beside every picture, the table behind it (text/csv)."""
    from IPython.core.formatters import BaseFormatter
    from traitlets import ObjectName, Unicode

    class TableFormatter(BaseFormatter):
        format_type = Unicode("text/csv")
        print_method = ObjectName("_repr_csv_")

    formatter = shell.display_formatter.formatters["text/csv"] = TableFormatter(parent=shell.display_formatter)
    formatter.for_type(mpl.figure.Figure, figure_csv)


def degree_colors(degrees):
    """{degree: color}: the ordered prompt darkest, the full shuffle lightest."""
    return dict(zip(degrees, sns.color_palette("viridis", len(degrees))))


def domain_colors(domains):
    """{domain: color} for the distinct domains, in order of first appearance."""
    return {domain: DOMAIN_COLORS[i % len(DOMAIN_COLORS)] for i, domain in enumerate(dict.fromkeys(map(str, domains)))}


def mean_band(ax, x, values, color, label=None, **style):
    """Mean over prompts (last axis) against ``x`` with its 95% confidence band.

    With fewer than four prompts the band would fill the panel and say nothing; it is left out.
    """
    mean, low, high = mean_interval(values)
    ax.plot(x, mean, color=color, label=label, **style)
    if np.shape(values)[-1] >= 4:
        ax.fill_between(x, low, high, color=color, alpha=0.2, linewidth=0)


def paper_curves(ax, observable, shuffle=0, scale=2, models=tuple(PAPER_MODELS), **style):
    """The paper's mean curves on relative depth (layer / 32), thin and behind ours."""
    table = open_paper("profiles").query("observable == @observable and shuffle == @shuffle")
    if observable != "cosine_similarity":
        table = table[table.scale == scale]
    style = {"linewidth": 1.1, "alpha": 0.8, "linestyle": "--", "zorder": 1, **style}
    for model in models:
        rows = table[table.model == model]
        if len(rows):
            ax.plot(rows.depth, rows["mean"], color=PAPER_MODELS[model], label=f"{model} (paper)", **style)


def depth_axis(ax, label="relative depth (layer / number of layers)"):
    """A horizontal axis from the embeddings (0) to the last layer (1)."""
    ax.set_xlim(-0.02, 1.02)
    ax.set_xticks(np.linspace(0, 1, 6))
    ax.set_xlabel(label)


__all__ = [
    "ACCENT", "DOMAIN_COLORS", "NEUTRAL", "OURS", "PAPER_MODELS", "degree_colors", "depth_axis", "domain_colors",
    "mean_band", "paper_curves", "plt", "set_theme",
]
