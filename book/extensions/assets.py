"""Sphinx extension: a page loads the scripts and style sheets that its front matter names, and no other page does.

The front matter says ``assets: a.css b.js``; the files are in ``_static``, and scripts run in this order. A script that
comes with a Python package is copied from there.
"""

import shutil
from importlib.resources import files
from pathlib import Path

#: scripts of packages: the package, and the place in it
PACKAGED = {"plotly.min.js": ("plotly", "package_data/plotly.min.js")}


def load(app, name, template, context, doctree):
    """Give a page its own files."""
    for asset in app.env.metadata.get(name, {}).get("assets", "").split():
        if asset.endswith(".css"):
            app.add_css_file(asset)
        else:
            app.add_js_file(asset, defer="defer")


def copy(app, exception):
    """Copy the scripts of packages that some page names."""
    if exception or app.builder.format != "html":
        return
    named = {asset for page in app.env.metadata.values() for asset in page.get("assets", "").split()}
    for asset in named & set(PACKAGED):
        package, place = PACKAGED[asset]
        shutil.copyfile(files(package) / place, Path(app.outdir, "_static", asset))


def setup(app):
    """Register the handlers; ``lean`` chooses the scripts of a page after the first."""
    app.connect("html-page-context", load, priority=800)
    app.connect("build-finished", copy)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
