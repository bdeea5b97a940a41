"""Sphinx extension: figures and claims whose subject the explorer can show lead to it, set accordingly.

``layer=peak`` stands for the layer with the highest dimension, and ``last`` for the last layer or degree.
"""

import re

from docutils import nodes
from sphinx.transforms.post_transforms import SphinxPostTransform

PAGE = "book/explorer"
TEXT = "See one prompt in the explorer"
FIGURES = {
    "fig-one-page": "layer=peak&color=local",
    "fig-clouds": "layer=12&color=position",
    "fig-steps": "layer=0&color=position",
    "fig-real": "layer=last&color=position",
    "fig-cosines": "layer=last&color=position",
    "fig-first": "layer=peak&token=1",
    "fig-token-norms": "layer=peak&token=1",
    "fig-token-loss": "layer=1&color=loss",
    "fig-cosine-depth": "layer=last&color=position",
    "fig-cosine-features": "layer=peak&token=1",
    "fig-id-depth": "layer=peak&color=local",
    "fig-id-repeats": "layer=0&color=times",
    "fig-est-layers": "layer=peak&color=local",
    "fig-overlap-ranks": "layer=peak&token=100&color=rank&k=8",
    "fig-overlap-depth": "layer=1&token=100&color=rank&k=8",
    "fig-shuffle-strip": "degree=2&layer=1&color=origin",
    "fig-shuffle-loss": "degree=last&layer=1&color=loss",
    "fig-shuffle-one-prompt": "degree=last&layer=peak&color=local",
    "fig-shuffle-mean": "degree=last&layer=peak&color=local",
    "fig-shuffle-paper": "degree=last&layer=peak&color=local",
    "fig-shuffle-peaks": "degree=last&layer=peak&color=local",
    "fig-shuffle-order": "degree=1&layer=peak&color=local",
    "fig-shuffle-map": "degree=last&layer=peak&color=local",
    "fig-shuffle-cosine": "degree=last&layer=last&color=position",
    "fig-shuffle-overlap": "degree=last&layer=peak&token=100&color=rank&k=2",
    "fig-loss-scatter": "layer=peak&color=local",
    "fig-loss-depth": "layer=peak&color=local",
    "fig-loss-distinct": "layer=0&color=times",
    "fig-chain-tokens": "layer=last&color=loss",
}
#: by the number of the claim; the others are about models, or about what a single prompt cannot show
CLAIMS = {
    1: "layer=peak&color=local",
    2: "degree=last&layer=peak&color=local",
    3: "degree=1&layer=peak&color=local",
    4: "degree=last&layer=last&color=local",
    6: "degree=last&layer=last&color=position",
    7: "degree=last&layer=peak&token=100&color=rank&k=2",
    8: "layer=1&token=100&color=rank&k=2",
    10: "layer=peak&color=local",
    15: "degree=last&layer=1&color=loss",
}
NUMBERED = re.compile(r"(\d+)\. ")  #: how the term of a claim begins
REPORT = "notebooks/reproduction_report"


class LinkExplorer(SphinxPostTransform):
    """Put the links behind captions and into cards of claims."""

    default_priority = 9
    formats = ("html",)

    def run(self, **_):
        if PAGE not in self.env.found_docs:
            return
        for figure in self.document.findall(nodes.figure):
            if settings := next((FIGURES[name] for name in figure["ids"] if name in FIGURES), None):
                figure.parent.insert(figure.parent.index(figure) + 1, self._link(settings))
        if self.env.docname == REPORT:
            for item in self.document.findall(nodes.definition_list_item):
                number = NUMBERED.match(item.astext())
                if number and (settings := CLAIMS.get(int(number[1]))):
                    item += nodes.definition("", self._link(settings))

    def _link(self, settings):
        address = self.app.builder.get_relative_uri(self.env.docname, PAGE)
        link = nodes.reference("", TEXT, internal=True, refuri=f"{address}#{settings}", classes=["explorer-link"])
        return nodes.paragraph("", "", link)


def setup(app):
    """Register the transform."""
    app.add_post_transform(LinkExplorer)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
