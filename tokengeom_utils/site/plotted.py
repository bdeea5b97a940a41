"""The data of a figure as a table: its lines, points, bars, bands and images, at the precision they were drawn from.

A notebook that has called :func:`tokengeom_utils.site.figures.set_theme` stores this table beside every picture.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import numpy as np
import pandas as pd
from matplotlib import collections, patches
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.category import StrCategoryFormatter
from matplotlib.colors import to_hex, to_rgba_array
from matplotlib.container import BarContainer, ErrorbarContainer
from matplotlib.figure import Figure
from matplotlib.quiver import Quiver
from matplotlib.ticker import FixedFormatter, FixedLocator, FuncFormatter
from matplotlib.transforms import BlendedAffine2D, BlendedGenericTransform

COLUMNS = (
    "panel",
    "title",
    "x_axis",
    "y_axis",
    "kind",
    "series",
    "part",
    "label",
    "color",
    "x_name",
    "y_name",
    "x",
    "y",
    "z",
    "x_low",
    "x_high",
    "y_low",
    "y_high",
    "u",
    "v",
    "value",
    "n",
)
#: what is known of a mark beyond its picture, by the artist that is drawn
_NOTES: WeakKeyDictionary[Artist, dict[str, Any]] = WeakKeyDictionary()


class Mark(NamedTuple):
    """Something drawn in a panel."""

    kind: str
    artist: Any
    label: str
    columns: dict[str, Any]  #: arrays of one length, by the name of the column


def figure_table(fig: Figure) -> pd.DataFrame:
    """Tabulate everything drawn in a figure, except its text.

    Parameters
    ----------
    fig : matplotlib.figure.Figure
        Drawn or not; it is not changed.

    Returns
    -------
    pandas.DataFrame
        One row per point, bar or pixel. ``panel`` numbers the axes from 1, ``series`` the marks of a panel, and
        ``part`` the pieces of a mark that has several. ``kind`` is line, points, error bars, bars, band, segments,
        image, arrows, box, ellipse or outline. Coordinates are in the units of the axes; bars, bands, error bars have
        ``x_low`` to ``y_high``, images and colored points a ``value``. ``x_name`` and ``y_name`` hold the tick label at
        the place of a row, if it is not a number. Where the rows or columns of a heat map are labeled with numbers, or
        lie between labels in progression, those numbers are its coordinates. The band of a mean has the label of its
        line, and both have ``n``, the number of prompts. Columns without entries are left out.

    See Also
    --------
    figure_csv : the table as text.

    Notes
    -----
    The box *Reproduce this figure* offers this table from the chapter *The paper in one page* on.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> fig, ax = plt.subplots()
    >>> _ = ax.plot([1, 2], [0.1, 0.3], label="ours")
    >>> figure_table(fig)[["kind", "label", "x", "y"]].values.tolist()
    [['line', 'ours', 1.0, 0.1], ['line', 'ours', 2.0, 0.3]]
    >>> plt.close(fig)
    """
    panels = [ax for parent in fig.axes for ax in (parent, *parent.child_axes) if isinstance(ax, Axes)]
    shown = [ax for ax in dict.fromkeys(panels) if ax.get_visible() and ax.get_label() != "<colorbar>"]
    tables = []
    for panel, ax in enumerate(shown, 1):
        about = {
            "panel": panel,
            "title": _text(" ".join(ax.get_title(loc) for loc in ("left", "center", "right"))),
            "x_axis": _axis_label(ax, "x"),
            "y_axis": _axis_label(ax, "y"),
        }
        tables += _named([_mark_table(mark, about, series) for series, mark in enumerate(_marks(ax), 1)], ax)
    if not tables:
        return pd.DataFrame(columns=COLUMNS)
    table = pd.concat(tables, ignore_index=True)
    table = table[[name for name in COLUMNS if name in table and not (table[name].isna() | (table[name] == "")).all()]]
    return table.astype({"n": "Int64"}) if "n" in table else table  # whole numbers beside rows without one


def note(artist: Artist, **columns: Any) -> None:
    """Add to the rows of a mark what its picture does not show.

    Parameters
    ----------
    artist : matplotlib.artist.Artist
        A line, a band, or whatever else is drawn.
    **columns
        Values by column: ``label`` of a band, which a legend names only once, by its line; ``n``, the number of prompts
        behind a mean.

    See Also
    --------
    tokengeom_utils.site.figures.mean_band : notes both.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> fig, ax = plt.subplots()
    >>> note(ax.plot([1], [0.1])[0], n=45)
    >>> int(figure_table(fig).n[0])
    45
    >>> plt.close(fig)
    """
    _NOTES[artist] = columns


def figure_csv(fig: Figure) -> str:
    """Write :func:`figure_table` as CSV; every number reads back exactly.

    Parameters
    ----------
    fig : matplotlib.figure.Figure

    Returns
    -------
    str

    See Also
    --------
    figure_table : describes the columns.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> fig, ax = plt.subplots()
    >>> _ = ax.plot([1], [0.1], "o", color="black")
    >>> print(figure_csv(fig), end="")
    panel,kind,series,color,x,y
    1,points,1,#000000,1.0,0.1
    >>> plt.close(fig)
    """
    return figure_table(fig).to_csv(index=False, lineterminator="\n")


def _mark_table(mark, about, series):
    """The rows of one mark."""
    has_color = "color" in mark.columns or "value" in mark.columns
    row = {
        **about,
        "kind": mark.kind,
        "series": series,
        "label": _label(mark.label),
        **({} if has_color else {"color": _color(mark.artist)}),
        **_NOTES.get(mark.artist, {}),
    }
    return pd.DataFrame({**row, **mark.columns}, index=range(_length(mark.columns)))


def _named(tables, ax):
    """The tables of a panel, with the tick labels that tell more than the places on the axis do."""
    for axis in "xy":
        ticks = getattr(ax, f"{axis}axis")
        drawn = [table for table in tables if axis in table]
        names, numbers = _tick_names(ticks), _tick_numbers(ticks, {place for t in drawn for place in t[axis].dropna()})
        # Only as a whole: a line at 0.5 between two rows would be lost among rows that have numbers of their own.
        are_rows = any((table.kind == "image").any() for table in drawn) and all(
            set(table[axis].dropna()) <= numbers.keys() and f"{axis}_low" not in table for table in drawn
        )
        for table in drawn:
            if names:
                table[f"{axis}_name"] = [names.get(place, "") for place in table[axis]]
            elif are_rows:
                table[axis] = table[axis].map(numbers)
    return tables


def _marks(ax: Any) -> Iterator[Mark]:
    """Everything drawn in a panel: first bars and error bars, which consist of several artists."""
    taken = set()
    for container in ax.containers:
        label = container.get_label()
        if isinstance(container, ErrorbarContainer):
            line, caps, bars = container
            yield Mark("error bars", line or bars[0], label, _error_bars(ax, container))
            taken |= {line, *caps, *bars}
        elif isinstance(container, BarContainer) and len(container):
            yield Mark("bars", container[0], label, _bars(ax, container))
            taken |= set(container)
    for artist in (*ax.lines, *ax.collections, *ax.patches, *ax.images):
        if artist not in taken and artist.get_visible():
            kind, columns = _mark(ax, artist)
            if columns and _length(columns):
                yield Mark(kind, artist, artist.get_label(), columns)


def _length(columns):
    """Number of rows of columns; some may be scalars."""
    return max(np.size(values) for values in columns.values())


def _mark(ax, artist):
    """Kind and columns of an artist that belongs to no container."""
    if artist in ax.lines:
        kind = "points" if artist.get_linestyle() in ("None", "none", " ", "") else "line"
        if hasattr(artist, "get_data_3d"):
            return kind, dict(zip("xyz", map(np.asarray, artist.get_data_3d()), strict=True))
        return kind, _xy(_in_data(ax, artist.get_transform(), artist.get_xydata()))
    if artist in ax.images:
        return "image", _image(artist)
    if artist in ax.patches:
        return _patch(ax, artist)
    return _collection(ax, artist)


def _collection(ax, artist):
    """Kind and columns of a collection: points, arrows, segments, bands, a mesh, or other outlines."""
    values = artist.get_array()
    colored = {} if values is None else {"value": _plain(values).ravel()}
    if isinstance(artist, collections.QuadMesh):
        corners = artist.get_coordinates()
        if np.shape(values)[:2] != corners.shape[:2]:
            corners = (corners[1:, 1:] + corners[1:, :-1] + corners[:-1, 1:] + corners[:-1, :-1]) / 4
        return "image", {**_xy(corners.reshape(-1, 2)), **colored}
    if hasattr(artist, "_offsets3d"):
        return "points", {**dict(zip("xyz", map(_plain, artist._offsets3d), strict=True)), **colored}
    if ax.name == "3d":  # a surface or a grid, there to guide the eye
        return "surface", {}
    offsets = artist.get_offsets()
    if isinstance(artist, Quiver):
        return "arrows", {**_xy(_plain(offsets)), "u": _plain(artist.U), "v": _plain(artist.V)}
    if isinstance(artist, collections.PathCollection) or len(offsets) > 1:
        points = _in_data(ax, artist.get_offset_transform(), offsets)
        return "points", {**_xy(points), **(colored if len(points) == np.size(values) else {})}
    pieces = [_in_data(ax, artist.get_transform(), path.vertices) for path in artist.get_paths()]
    if isinstance(artist, collections.LineCollection):
        return "segments", _pieces(pieces, colored.get("value"))
    bands = [_band(piece) for piece in pieces]
    if pieces and all(bands):
        return "band", {name: np.concatenate([band[name] for band in bands]) for name in bands[0]}
    return "outline", _pieces(pieces, colored.get("value"))


def _bars(ax, container):
    """The ends of bars, and their extents."""
    box = _boxes(ax, container)
    x, y = (box["x_low"] + box["x_high"]) / 2, (box["y_low"] + box["y_high"]) / 2
    ends = np.array([[bar.get_x() + bar.get_width(), bar.get_y() + bar.get_height()] for bar in container])
    if container.orientation == "horizontal":
        return {"x": ends[:, 0], "y": y, **box}
    return {"x": x, "y": ends[:, 1], **box}


def _error_bars(ax, container):
    """Points with the ends of their bars; without a line, the points themselves are unknown."""
    line, _, bars = container
    columns = _xy(_in_data(ax, line.get_transform(), line.get_xydata())) if line else {}
    for axis, bar in zip([*("x" * container.has_xerr), *("y" * container.has_yerr)], bars, strict=True):
        ends = np.array([_in_data(ax, bar.get_transform(), path.vertices) for path in bar.get_paths()])
        along = "xy".index(axis)
        columns.setdefault("yx"[along], ends[:, 0, 1 - along])
        columns |= {f"{axis}_low": ends[:, 0, along], f"{axis}_high": ends[:, 1, along]}
    return columns


def _patch(ax, patch):
    """Kind and columns of a patch: steps, a box, an ellipse, or another outline."""
    if isinstance(patch, patches.StepPatch):
        values, edges, baseline = patch.get_data()
        names = ("x", "y") if patch.orientation == "vertical" else ("y", "x")
        return "bars", {
            names[0]: (edges[1:] + edges[:-1]) / 2,
            names[1]: values,
            f"{names[0]}_low": edges[:-1],
            f"{names[0]}_high": edges[1:],
            f"{names[1]}_low": np.broadcast_to(baseline or 0, values.shape),
        }
    if isinstance(patch, patches.Rectangle) and not patch.get_angle():
        return "box", _boxes(ax, [patch])
    if isinstance(patch, patches.Ellipse):
        (x, y), half = patch.get_center(), np.array([-0.5, 0.5])
        points = _in_data(
            ax, patch.get_data_transform(), np.stack([x + half * patch.get_width(), y + half * patch.get_height()], 1)
        )
        return "ellipse", {"x_low": points[0, 0], "x_high": points[1, 0], "y_low": points[0, 1], "y_high": points[1, 1]}
    if isinstance(patch, patches.Polygon):
        return "outline", _xy(_in_data(ax, patch.get_data_transform(), patch.get_xy()))
    curves = patch.get_path().to_polygons(patch.get_transform(), closed_only=False)
    return "outline", _pieces([ax.transData.inverted().transform(curve) for curve in curves])


def _boxes(ax, rectangles):
    """The extents of rectangles, in data coordinates."""
    corners = np.array(
        [[r.get_x(), r.get_y(), r.get_x() + r.get_width(), r.get_y() + r.get_height()] for r in rectangles], float
    )
    first, second = (
        _in_data(ax, rectangles[0].get_data_transform(), part) for part in (corners[:, :2], corners[:, 2:])
    )
    low, high = np.minimum(first, second), np.maximum(first, second)
    return {"x_low": low[:, 0], "x_high": high[:, 0], "y_low": low[:, 1], "y_high": high[:, 1]}


def _band(points):
    """The two borders of a band drawn by fill_between, or None for an outline of another shape."""
    n = len(points) // 2 - 1  # a corner, n points, a corner, n points back, and the first corner again
    there, back = points[1 : n + 1], points[n + 2 : 2 * n + 2][::-1]
    if n < 1 or there.shape != back.shape:
        return None
    for along, (a, b) in enumerate(("xy", "yx")):
        if np.array_equal(there[:, along], back[:, along]):
            sides = there[:, 1 - along], back[:, 1 - along]
            return {a: there[:, along], f"{b}_low": np.minimum(*sides), f"{b}_high": np.maximum(*sides)}
    return None


def _image(image):
    """The centers of the pixels, with their values or colors."""
    pixels = image.get_array()
    rows, columns = pixels.shape[:2]
    left, right, bottom, top = image.get_extent()
    first, last = (bottom, top) if image.origin == "lower" else (top, bottom)
    y, x = np.meshgrid(
        first + (np.arange(rows) + 0.5) * (last - first) / rows,
        left + (np.arange(columns) + 0.5) * (right - left) / columns,
        indexing="ij",
    )
    if pixels.ndim == 3:
        flat = _plain(pixels).reshape(rows * columns, -1) / (255 if pixels.dtype.kind in "iu" else 1)
        return {"x": x.ravel(), "y": y.ravel(), "color": [to_hex(pixel) for pixel in flat]}
    return {"x": x.ravel(), "y": y.ravel(), "value": _plain(pixels).ravel()}


def _pieces(pieces, values=None):
    """The points of several curves, numbered by ``part``, with the value of each curve if there is one."""
    if not pieces:
        return {}
    columns = _xy(np.concatenate(pieces))
    lengths = [len(piece) for piece in pieces]
    if len(pieces) > 1:
        columns["part"] = np.repeat(np.arange(1, len(pieces) + 1), lengths)
    if np.size(values) == len(pieces):
        columns["value"] = np.repeat(values, lengths)
    return columns


def _in_data(ax, transform, points):
    """Points in data coordinates; a coordinate that is already one keeps all its digits."""
    points = _plain(points)
    if isinstance(transform, (BlendedAffine2D, BlendedGenericTransform)):
        exact = transform.contains_branch_seperately(ax.transData)
    else:
        exact = (transform == ax.transData,) * 2
    if all(exact):
        return points
    ax.get_xlim(), ax.get_ylim()  # this settles limits that are still open
    return np.where(exact, points, (transform - ax.transData).transform(points))


def _xy(points):
    """Two columns of points (point, 2)."""
    return {"x": points[:, 0], "y": points[:, 1]}


def _plain(values):
    """A float64 array; masked values become NaN."""
    return np.asarray(np.ma.filled(np.ma.asarray(values, float), np.nan))


def _axis_label(ax, axis):
    """The label of an axis, from the panels that share the axis or from the figure if the panel itself has none."""
    group = getattr(ax, f"get_shared_{axis}_axes")().get_siblings(ax)
    labels = [getattr(one, f"get_{axis}label")() for one in (ax, *group)]
    labels.append(getattr(ax.get_figure(root=True), f"get_sup{axis}label")())
    return _text(next(filter(None, labels), ""))


def _tick_names(axis):
    """{place: text} of an axis that has words in place of numbers."""
    formatter = axis.get_major_formatter()
    if not isinstance(formatter, (FixedFormatter, FuncFormatter, StrCategoryFormatter)):
        return {}
    places = axis.get_majorticklocs()
    names = dict(zip(map(float, places), map(_text, formatter.format_ticks(places)), strict=True))
    return {place: name for place, name in names.items() if name and not _is_number(name)}


def _tick_numbers(axis, drawn):
    """{place: number} of an axis whose ticks somebody chose, with numbers that are no rounded places as labels.

    Where only some rows are labeled, those between are known if the labels are a progression, such as 2, 8, 32.
    """
    formatter = axis.get_major_formatter()
    if not isinstance(axis.get_major_locator(), FixedLocator):
        return {}
    places = axis.get_majorticklocs()
    found = {}
    for place, text in zip(map(float, places), formatter.format_ticks(places), strict=True):
        try:
            found[place] = float(str(text).replace("\N{MINUS SIGN}", "-"))
        except ValueError:
            continue
    if np.allclose(list(found), list(found.values()), rtol=0.05):
        return {}
    steps = np.diff(list(found))
    if len(found) < 3 or not np.allclose(steps, steps[0]) or not all(float(place).is_integer() for place in drawn):
        return found
    start, labels = min(found), np.array([found[place] for place in sorted(found)])
    rows = {place: (place - start) / steps[0] for place in drawn}
    if np.allclose(np.diff(labels), labels[1] - labels[0]):
        found |= {place: labels[0] + row * (labels[1] - labels[0]) for place, row in rows.items()}
    elif (labels > 0).all() and np.allclose(labels[1:] / labels[:-1], labels[1] / labels[0]):
        found |= {place: float(f"{labels[0] * (labels[1] / labels[0]) ** row:.12g}") for place, row in rows.items()}
    return found


def _is_number(text):
    """Whether a tick label is a number as matplotlib formats them."""
    try:
        float(text.replace("\N{MINUS SIGN}", "-").replace(",", "").rstrip("%"))
    except ValueError:
        return False
    return True


def _label(label):
    """The label of a mark; matplotlib's automatic labels start with an underscore."""
    return "" if str(label).startswith("_") else _text(label)


def _text(text):
    """Text on one line."""
    return " ".join(str(text).split())


def _color(artist):
    """The color of a mark, which a line and its band share; empty for several colors."""
    for name in ("get_color", "get_facecolor", "get_edgecolor"):
        colors = to_rgba_array(getattr(artist, name, list)())
        if len(colors) == 1 and colors[0, 3]:
            return to_hex(colors[0])
    return ""
