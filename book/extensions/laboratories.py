"""Sphinx extension: links that open a laboratory as set.

A laboratory keeps its settings in the fragment of its address. So ``[See it move](../book/PAGE.md#beta=4&n=32)`` opens
a run; elsewhere, as on GitHub, the same link opens the page. A laboratory is a page with scripts of its own
(``assets.py``).
"""

from pathlib import PurePosixPath

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.transforms.post_transforms import SphinxPostTransform


class OpenAsSet(SphinxPostTransform):
    """Make links out of settings, which are no place in a page; before MyST looks for one."""

    default_priority = 8
    formats = ("html",)

    def run(self, **_):
        for link in list(self.document.findall(pending_xref)):
            page, settings = link["reftarget"], link.get("reftargetid") or ""
            if "=" in settings and "assets" in self.env.metadata.get(page, ()):
                # A laboratory names its own file too: in "#beta=4" alone, checks would look for a place of that name.
                file = self.app.builder.get_target_uri(page)
                uri = self.app.builder.get_relative_uri(self.env.docname, page) or PurePosixPath(file).name
                made = nodes.reference("", "", *link.children, internal=True, refuri=f"{uri}#{settings}")
                link.replace_self(made)


def setup(app):
    """Register the transform."""
    app.add_post_transform(OpenAsSet)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
