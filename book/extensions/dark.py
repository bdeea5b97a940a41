"""Sphinx extension: figures have colors for the dark too.

A picture on a page follows the color scheme of the page. So every figure gets a style sheet for the dark, in which its
ground has the color of the page and each other color is as light as it was dark. What shows values in colors (a heat
map, a point cloud colored by a third quantity) keeps them, and so does whatever is written on it.
"""

import re
import xml.etree.ElementTree as ET
from pathlib import Path

from seaborn.external import husl

GROUND = "#121212"  #: of a page in the dark
GRAY = 0.06  #: a color whose red, green, and blue differ by less is a gray
MAPPED = 8  #: points in more colors than these are colored by a quantity
SVG, XLINK = "{http://www.w3.org/2000/svg}", "{http://www.w3.org/1999/xlink}"
COLOR = re.compile(r"(fill|stroke): (#[0-9a-f]{6})")
NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
KEPT = "kept"
MARK = "kept-mark"  #: the shape of a kept mark, whose copies have no ancestor but the one that copies it

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
    '#41adff'
    """
    if color == "#ffffff":
        return GROUND
    parts = [int(color[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    hue, saturation, lightness = husl.hex_to_husl(color)
    if max(parts) - min(parts) < GRAY:
        return husl.husl_to_hex(0, 0, 93 - 0.8 * lightness)
    return husl.husl_to_hex(hue, saturation, 45 + 0.5 * lightness)


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


def shows_values(group):
    """Whether a part of a panel shows values in colors."""
    name = group.get("id", "")
    if group.tag == f"{SVG}image":  # of a map that is stored in pixels
        return True
    if name.startswith("PathCollection"):
        return len({element.get("style") for element in group.iter() if element.get("style")}) > MAPPED
    return name.startswith("QuadMesh") or group.find(f".//{SVG}image") is not None


def keep_values(figure):
    """Mark what keeps its colors.

    Parameters
    ----------
    figure : xml.etree.ElementTree.Element
        The root of an SVG from matplotlib.
    """
    for axes in figure.iter(f"{SVG}g"):
        if not axes.get("id", "").startswith("axes_"):
            continue
        maps = [group for group in axes if shows_values(group)]
        for group in maps:
            group.set("class", KEPT)
        if any(not group.get("id", "").startswith("PathCollection") for group in maps):
            box = _box(axes)
            for group in axes:
                name = group.get("id", "")
                if name.startswith(("line2d", "LineCollection")) or (name.startswith("text") and _inside(group, box)):
                    group.set("class", KEPT)
    kept = [part for group in figure.iter() if group.get("class") == KEPT for part in group.iter(f"{SVG}use")]
    shapes = {use.get(f"{XLINK}href", "")[1:] for use in kept}
    for path in figure.iter(f"{SVG}path"):
        if path.get("id") in shapes:
            path.set("class", MARK)


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
    keep_values(figure)
    rules = [f"svg {{ fill: {dark('#000000')}; }}", f".{KEPT} {{ fill: #000000; }}"]
    for kind, color in sorted(set(COLOR.findall(svg))):
        chosen = f'[style*="{kind}: {color}"]:not(.{KEPT}, .{KEPT} *, .{MARK})'
        rules.append(f"{chosen} {{ {kind}: {dark(color)} !important; }}")
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
