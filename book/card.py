"""Draw the card that other sites show when someone links to the book: its title, its sentence, and its main result.

.venv/bin/python book/card.py    renews _static/card.png from the bundled survey
"""

from pathlib import Path

import matplotlib.pyplot as plt

import tokengeom_utils as tg

CARD = Path(__file__).parent / "_static" / "card.png"
PIXELS, DPI = (1200, 630), 100  # the size that social networks ask for


def draw(path):
    """Draw the card into a file."""
    tg.figures.set_theme()
    plt.rcParams["savefig.bbox"] = None
    survey = tg.open_results("standard").sel(shuffle=0, scale=2)
    r = [
        tg.statistics.pearson(survey.intrinsic_dimension.sel(layer=layer).values, survey.loss.values)
        for layer in survey.layer.values
    ]
    best = int(survey.layer.values[max(range(len(r)), key=lambda place: r[place])])
    fig = plt.figure(figsize=[side / DPI for side in PIXELS], dpi=DPI, layout="none")
    fig.text(0.05, 0.78, "The Geometry\nof Tokens", size=42, weight="bold", linespacing=1.15, va="center")
    fig.text(
        0.05, 0.44, "Harder texts live in\nhigher-dimensional clouds:\nhow far does that hold?", size=23, va="center"
    )
    fig.text(
        0.05, 0.14, "A reproducible companion to\narXiv:2501.10573", size=17, color=tg.figures.NEUTRAL, va="center"
    )
    ax = fig.add_axes((0.53, 0.14, 0.43, 0.76))
    tg.figures.domain_dots(ax, survey.intrinsic_dimension.sel(layer=best), survey.loss, survey.domain.values)
    ax.set_xlabel(f"intrinsic dimension, layer {best} of {int(survey.layer.max())}", size=15)
    ax.set_ylabel("next-token loss (nat)", size=15)
    fig.savefig(path, dpi=DPI)
    plt.close(fig)


if __name__ == "__main__":
    draw(CARD)
