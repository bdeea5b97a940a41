"""Sphinx extension: pages load only the scripts that they use, and the site holds only the files that pages load."""

import shutil
from pathlib import Path

#: the parts of MathJax that the book uses; its menu, a third of its usual bundle, makes every formula a tab stop
MATHJAX = ("input/tex", "output/chtml", "a11y/assistive-mml")
MATHJAX_FILES = ("startup.js", "core.js", "input/tex.js", "input/tex/extensions", "output/chtml.js",
                 "output/chtml/fonts", "a11y/assistive-mml.js")  # fmt: skip
#: scripts and styles that come with Jupyter Book or the theme: cells that run on a server, boxes that folds.py folds
UNUSED = ("sphinx-thebe.js", "sphinx-thebe.css", "togglebutton.js", "togglebutton.css")
UNUSED_CODE = ("const THEBE_JS_URL", "let toggle", "var toggle")
#: icons as a script of 1.5 MB; the theme's style sheet has the same icons as a font
ICONS = "scripts/fontawesome.js"


def is_used(asset):
    """Whether a page needs a script or a style sheet, as Sphinx lists them."""
    name = Path(str(asset.filename or "")).name
    return name not in UNUSED and not str(asset.attributes.get("body") or "").startswith(UNUSED_CODE)


def page(app, name, template, context, doctree):
    """Drop what a page does not use."""
    for kind in ("script_files", "css_files"):
        context[kind] = [asset for asset in context[kind] if is_used(asset)]
    if "sd-tab-set" not in context.get("body", ""):
        context["script_files"] = [js for js in context["script_files"] if "design-tabs" not in str(js.filename)]


def choose_mathjax(app, config):
    """Load the parts of MathJax one by one instead of its bundle."""
    config.mathjax_path = "mathjax/startup.js"
    config.mathjax3_config = {"loader": {"load": list(MATHJAX)}, **(config.mathjax3_config or {})}


def prune(app, exception):
    """Delete the files that no page loads."""
    if exception or app.builder.format != "html":
        return
    static = Path(app.outdir) / "_static"
    mathjax = static / "mathjax"
    kept = [mathjax / name for name in MATHJAX_FILES]
    for path in [path for path in mathjax.rglob("*") if path.is_file()]:
        if not any(path == keep or keep in path.parents for keep in kept):
            path.unlink()
    for path in (static / ICONS, *(static / name for name in UNUSED), *static.rglob("*.map")):
        path.unlink(missing_ok=True)
    for folder in sorted((path for path in mathjax.rglob("*") if path.is_dir()), reverse=True):
        if not any(folder.iterdir()):
            shutil.rmtree(folder)


def setup(app):
    """Register the handlers; MathJax is copied when the build ends, and pruned after that."""
    app.connect("config-inited", choose_mathjax, priority=900)
    app.connect("html-page-context", page, priority=900)
    app.connect("build-finished", prune, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
