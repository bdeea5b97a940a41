"""Sphinx extension: figures have colors for the dark too.

A picture on a page follows the color scheme of the page. So every figure gets a style sheet for the dark, in which its
ground has the color of the page and each other color is as light as it was dark. What shows values in colors has one
treatment with its color bar: points get lighter, so that each can be seen; a map on which some value is white turns
its lightness over, so that this value is the ground; another map keeps its colors, and so does what is written on it.
"""

import base64
import io
import re
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
from PIL import Image
from seaborn.external import husl

from tokengeom_utils.site.contrast import label_color

GROUND = "#121212"  #: of a page in the dark
GRAY = 0.06  #: a color whose red, green, and blue differ by less is a gray
MAPPED = 8  #: points in more colors than these are colored by a quantity
SVG, XLINK = "{http://www.w3.org/2000/svg}", "{http://www.w3.org/1999/xlink}"
COLOR = re.compile(r"(fill|stroke): (#[0-9a-f]{6})")
NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
LABEL = re.compile(r'<g id="(on-([0-9a-f]{6})-\d+)"')  #: of a cell, with its color (tg.figures.color_labels)
WHITE = 235  #: the least of red, green, and blue in a color that glares in the dark
TREATED = KEPT, LIFTED, TURNED = "kept", "lifted", "turned"
MARK = "kept-mark"  #: the shape of a kept mark, whose copies have no ancestor but the one that copies it
OTHERS = ", ".join([*(f".{name}, .{name} *" for name in TREATED), f".{MARK}"])

# Two fifths of the way to white; and the opposite lightness with the same hue, where white becomes the ground and black
# a medium gray, so that the ends of a map stay colorful.
FILTERS = {
    LIFTED: "0.6 0 0 0 0.4  0 0.6 0 0 0.4  0 0 0.6 0 0.4  0 0 0 1 0",
    TURNED: "0.734 -1.23 -0.124 0 0.69  -0.366 -0.13 -0.124 0 0.69  -0.366 -1.23 0.976 0 0.69  0 0 0 1 0",
}

for prefix, name in (("", SVG[1:-1]), ("xlink", "http://www.w3.org/1999/xlink")):
    ET.register_namespace(prefix, name)


def dark(color):
    """The color that stands for another one in the dark.

    Parameters
    ----------
    color : str
        Such as ``"#0173b2"``.

    Returns
    -------
    str
        White becomes the ground, and grays change places; other colors keep their hue and their order in lightness.

    Examples
    --------
    >>> dark("#ffffff"), dark("#000000")
    ('#121212', '#ebebeb')
    >>> dark("#0173b2")
    '#02a5fc'
    """
    if color == "#ffffff":
        return GROUND
    parts = [int(color[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    hue, saturation, lightness = husl.hex_to_husl(color)
    if max(parts) - min(parts) < GRAY:
        return husl.husl_to_hex(0, 0, 93 - 0.72 * lightness)
    return husl.husl_to_hex(hue, saturation, 38 + 0.58 * lightness)


def _box(axes):
    """The rectangle of a panel, from the path of its ground."""
    path = axes.find(f"{SVG}g/{SVG}path")
    found = [float(number) for number in NUMBER.findall(path.get("d", ""))] if path is not None else []
    xs, ys = found[::2], found[1::2]
    return min(xs, default=0), max(xs, default=0), min(ys, default=0), max(ys, default=0)


def _inside(text, box):
    """Whether a text is written on a panel, not around it."""
    moved = next((g.get("transform") for g in text.iter(f"{SVG}g") if "translate" in g.get("transform", "")), "")
    x, y = ([float(number) for number in NUMBER.findall(moved)] + [-1, -1])[:2]
    return box[0] < x < box[1] and box[2] < y < box[3]


def _pixels(group):
    """The pixels of a part that is stored as a picture, (height, width, 4), or None."""
    image = group if group.tag == f"{SVG}image" else group.find(f".//{SVG}image")
    if image is None:
        return None
    data = base64.b64decode(image.get(f"{XLINK}href").partition("base64,")[2])
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGBA"))


def treatment(group):
    """How a part of a panel that shows values in colors appears in the dark.

    Parameters
    ----------
    group : xml.etree.ElementTree.Element
        What matplotlib drew with one call.

    Returns
    -------
    str or None
        ``"lifted"`` for points, ``"turned"`` for a map with white in it or between its cells, ``"kept"`` for another
        map; None for anything else.
    """
    name, pixels = group.get("id", ""), _pixels(group)
    if name.startswith("PathCollection"):
        many = len({element.get("style") for element in group.iter() if element.get("style")}) > MAPPED
        return LIFTED if many else None
    if pixels is not None:
        seen = pixels[..., 3] > 0
        if seen.mean() < 0.5:  # points that are stored as a picture
            return LIFTED
        return TURNED if (pixels[seen, :3].min(-1) >= WHITE).any() else KEPT
    if name.startswith("QuadMesh"):
        cells = [element.get("style", "") for element in group.iter(f"{SVG}path")]
        colors = [bytes.fromhex(color[1:]) for style in cells for _, color in COLOR.findall(style)]
        return TURNED if any(min(color) >= WHITE for color in colors) else KEPT
    return None


def treat_values(figure):
    """Mark what shows values in colors by its treatment, and what is drawn on a map that keeps its colors.

    Parameters
    ----------
    figure : xml.etree.ElementTree.Element
        The root of an SVG from matplotlib.

    Returns
    -------
    str
        The treatment of all its maps.
    """
    panels = [axes for axes in figure.iter(f"{SVG}g") if axes.get("id", "").startswith("axes_")]
    shown = [(axes, group, how) for axes in panels for group in axes if (how := treatment(group))]
    # A color bar is a map of its own, and has to look like what it explains.
    chosen = next((one for one in FILTERS if one in {how for *_, how in shown}), KEPT)
    for axes, group, _ in shown:
        group.set("class", chosen)
        if chosen == KEPT:
            box = _box(axes)
            for other in axes:
                name = other.get("id", "")
                is_label = name.startswith("on-") or (name.startswith("text") and _inside(other, box))
                if is_label or name.startswith(("line2d", "LineCollection")):
                    other.set("class", KEPT)
    kept = [part for group in figure.iter() if group.get("class") in TREATED for part in group.iter(f"{SVG}use")]
    shapes = {use.get(f"{XLINK}href", "")[1:] for use in kept}
    for path in figure.iter(f"{SVG}path"):
        if path.get("id") in shapes:
            path.set("class", MARK)
    return chosen


def on_cell(cell, rows):
    """The color of a label on a cell of a map that a filter shows in the dark.

    Parameters
    ----------
    cell : str
        The color of the cell in the light, such as ``"67001f"``.
    rows : str
        The matrix of the filter, as in ``FILTERS``.

    Returns
    -------
    str
        White or black, whichever has more contrast.

    Examples
    --------
    >>> on_cell("67001f", FILTERS[TURNED]), on_cell("f7f7f7", FILTERS[TURNED])
    ('black', 'white')
    """
    matrix = np.array(rows.split(), float).reshape(4, 5)[:3]
    shown = (matrix[:, :3] @ [part / 255 for part in bytes.fromhex(cell)] + matrix[:, 4]).clip(0, 1)
    return label_color(shown)


def for_the_dark(svg):
    """Give a figure a style sheet for the dark.

    Parameters
    ----------
    svg : str
        As matplotlib writes it.

    Returns
    -------
    str
        In the light it looks the same.
    """
    figure = ET.fromstring(svg)
    treatment_of_maps = treat_values(figure)
    rules = [f"svg {{ fill: {dark('#000000')}; }}", f".{KEPT} {{ fill: #000000; }}"]
    rules += [f".{name} {{ filter: url(#{name}); }}" for name in FILTERS]
    if rows := FILTERS.get(treatment_of_maps):
        rules += [f"#{label} * {{ fill: {on_cell(cell, rows)} !important; }}" for label, cell in LABEL.findall(svg)]
    for kind, color in sorted(set(COLOR.findall(svg))):
        chosen = f'[style*="{kind}: {color}"]:not({OTHERS})'
        rules.append(f"{chosen} {{ {kind}: {dark(color)} !important; }}")
    for name, values in FILTERS.items():
        place = {"id": name, "filterUnits": "userSpaceOnUse", "color-interpolation-filters": "sRGB"}
        made = ET.Element(f"{SVG}filter", place, x="-100%", y="-100%", width="300%", height="300%")
        ET.SubElement(made, f"{SVG}feColorMatrix", values=values)
        figure.insert(0, made)
    style = ET.Element(f"{SVG}style")
    style.text = "@media (prefers-color-scheme: dark) {\n" + "\n".join(rules) + "\n}"
    figure.insert(0, style)
    return ET.tostring(figure, encoding="unicode")


def finish(app, exception):
    """Rewrite the figures of the site."""
    if exception or app.builder.format != "html":
        return
    for path in sorted(Path(app.outdir).rglob("*.svg")):
        svg = path.read_text(encoding="utf-8")
        if "Matplotlib" in svg and "prefers-color-scheme" not in svg:
            path.write_text(for_the_dark(svg), encoding="utf-8")


def setup(app):
    """Register the handler."""
    app.connect("build-finished", finish, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
