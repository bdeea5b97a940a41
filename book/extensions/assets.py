"""Sphinx extension: a page loads the scripts and style sheets that its front matter names, and no other page does.

The front matter says ``assets: a.css b.js``; the files are in ``_static``, and scripts run in this order.
"""


def load(app, name, template, context, doctree):
    """Give a page its own files."""
    for asset in app.env.metadata.get(name, {}).get("assets", "").split():
        if asset.endswith(".css"):
            app.add_css_file(asset)
        else:
            app.add_js_file(asset, defer="defer")


def setup(app):
    """Register the handler; ``lean`` chooses the scripts of a page after it."""
    app.connect("html-page-context", load, priority=800)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
