"""The table behind a figure holds what was drawn, to the last digit."""

import io

import matplotlib

matplotlib.use("agg")
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from tokengeom_utils.site.plotted import figure_csv, figure_table
from tokengeom_utils.theory.statistics import mean_interval


@pytest.fixture
def panel():
    fig, ax = plt.subplots()
    yield fig, ax
    plt.close(fig)


rng = np.random.default_rng(0)
X, Y, E = np.sort(rng.random(7)), rng.random(7), 0.1 * rng.random(7)


def rows(fig, kind):
    table = pd.read_csv(io.StringIO(figure_csv(fig)))
    return table[table.kind == kind].reset_index()


def same(found, **wanted):
    for name, values in wanted.items():
        np.testing.assert_array_equal(found[name].to_numpy(float), np.broadcast_to(values, len(found)), err_msg=name)


def test_lines_and_points_read_back_exactly(panel):
    fig, ax = panel
    ax.plot(X, Y, label="a line")
    ax.plot(X, Y + 1, "o")
    ax.set_xlabel("depth\nof layer")
    ax.set_title("left", loc="left")
    line, points = rows(fig, "line"), rows(fig, "points")
    same(line, x=X, y=Y, panel=1, series=1)
    same(points, x=X, y=Y + 1, series=2)
    assert set(line.label) == {"a line"} and points.label.isna().all()
    assert set(line.x_axis) == {"depth of layer"} and set(line.title) == {"left"}


def test_points_that_are_missing_stay_missing(panel):
    fig, ax = panel
    ax.plot(X, np.where(X > 0.5, np.nan, Y))
    ax.errorbar(X, np.where(X > 0.5, np.nan, Y), E)
    ax.scatter(np.ma.masked_greater(X, 0.5), Y)
    for kind in ("line", "error bars"):
        same(rows(fig, kind), x=X, y=np.where(X > 0.5, np.nan, Y))
    same(rows(fig, "points"), x=np.where(X > 0.5, np.nan, X), y=np.where(X > 0.5, np.nan, Y))


@pytest.mark.parametrize("scale", ["linear", "log"])
def test_lines_across_the_panel_end_at_its_limits(panel, scale):
    fig, ax = panel
    ax.plot([1, 10], [2, 3])
    ax.set_xscale(scale)
    ax.axhline(0.1 + 0.2)
    ax.axvline(np.pi)
    horizontal, vertical = rows(fig, "line")[2:4], rows(fig, "line")[4:]
    same(horizontal, y=0.1 + 0.2)
    np.testing.assert_allclose(horizontal.x, ax.get_xlim())
    same(vertical, x=np.pi)
    np.testing.assert_allclose(vertical.y, ax.get_ylim())


def test_bars_and_histograms(panel):
    fig, ax = panel
    ax.bar(X, -Y, 0.01, label="down")
    ax.barh(["one", "two"], [3, 4])
    counts, edges, _ = ax.hist(Y, 5, histtype="bar")
    ax.stairs(counts, edges)
    table = rows(fig, "bars")
    down, across, hist, stairs = (table[table.series == n].reset_index(drop=True) for n in (1, 2, 3, 4))
    np.testing.assert_allclose(down.x, X, rtol=1e-14)
    same(down, y=-Y, y_low=-Y, y_high=0)
    same(across, x=[3, 4], x_low=0)
    assert list(across.y_name) == ["one", "two"]
    for found in (hist, stairs):
        same(found, y=counts)
        np.testing.assert_allclose(found.x_low, edges[:-1])
        np.testing.assert_allclose(found.x_high, edges[1:])


def test_step_histograms_keep_their_outline(panel):
    fig, ax = panel
    counts, edges, _ = ax.hist(Y, 5, histtype="step")
    outline = rows(fig, "outline")
    assert set(counts) <= set(outline.y) and set(edges) <= set(outline.x)


def test_error_bars_in_both_directions(panel):
    fig, ax = panel
    ax.errorbar(X, Y, [E, 2 * E], 3 * E, fmt="none", label="both")
    table = rows(fig, "error bars")
    same(table, y_low=Y - E, y_high=Y + 2 * E, x_low=X - 3 * E, x_high=X + 3 * E)
    assert set(table.label) == {"both"}
    ax.clear()
    ax.errorbar(X, Y, E, capsize=2)
    same(rows(fig, "error bars"), x=X, y=Y, y_low=Y - E, y_high=Y + E)
    assert len(rows(fig, "line")) == len(rows(fig, "segments")) == 0


def test_bands_have_both_borders_and_the_color_of_their_line(panel):
    fig, ax = panel
    ax.plot(X, Y, color="#336699")
    ax.fill_between(X, Y - E, Y + E, color="#336699", alpha=0.2, linewidth=0)
    band = rows(fig, "band")
    same(band, x=X, y_low=Y - E, y_high=Y + E)
    assert set(band.color) == set(rows(fig, "line").color) == {"#336699"}
    ax.clear()
    ax.fill_between(X, Y, where=[1, 1, 1, 0, 1, 1, 1])
    ax.fill_betweenx(X, Y - E, Y + E)
    upright, sideways = (rows(fig, "band").query("series == @n") for n in (1, 2))
    same(upright, x=X[[0, 1, 2, 4, 5, 6]], y_low=0, y_high=Y[[0, 1, 2, 4, 5, 6]])
    same(sideways, y=X, x_low=Y - E, x_high=Y + E)


def test_a_mean_and_its_band_have_one_label_and_the_number_of_prompts(panel):
    from tokengeom_utils.site.figures import NEUTRAL, mean_band

    fig, ax = panel
    samples = rng.random((2, 7, 5))  # of the same color, so only the labels tell the bands apart
    for name, values in zip("ab", samples, strict=True):
        mean_band(ax, X, values, NEUTRAL, name)
    mean_band(ax, X, rng.random((7, 3)), NEUTRAL, "few")
    line, band = rows(fig, "line"), rows(fig, "band")
    assert list(dict.fromkeys(line.label)) == ["a", "b", "few"] and list(dict.fromkeys(band.label)) == ["a", "b"]
    assert set(line.n[line.label != "few"]) == set(band.n) == {5} and set(line.n[line.label == "few"]) == {3}
    ax.axhline(0)
    assert ",5\n" in figure_csv(fig) and ",5.0\n" not in figure_csv(fig)  # also beside a line that is no mean
    for name, values in zip("ab", samples, strict=True):
        mean, low, high = mean_interval(values)
        same(line[line.label == name], y=mean)
        same(band[band.label == name], y_low=low, y_high=high)
    assert [text.get_text() for text in ax.legend().get_texts()] == ["a", "b", "few"]  # none for a band


def test_images_give_every_pixel_its_place(panel):
    fig, ax = panel
    pixels = rng.random((2, 3))
    ax.imshow(pixels, extent=(0, 3, 20, 0))
    table = rows(fig, "image")
    same(table, x=[0.5, 1.5, 2.5] * 2, y=[5] * 3 + [15] * 3, value=pixels.ravel())
    ax.clear()
    ax.imshow(pixels, origin="lower")
    same(rows(fig, "image"), x=[0, 1, 2] * 2, y=[0] * 3 + [1] * 3, value=pixels.ravel())
    ax.clear()
    ax.pcolormesh([0, 1, 2, 4], [0, 2, 3], pixels)
    same(rows(fig, "image"), x=[0.5, 1.5, 3] * 2, y=[1] * 3 + [2.5] * 3, value=pixels.ravel())
    ax.clear()
    ax.imshow(np.array([[[1.0, 0, 0], [0, 0, 1]]]))
    assert list(rows(fig, "image").color) == ["#ff0000", "#0000ff"]


def test_words_on_an_axis_name_the_rows(panel):
    fig, ax = panel
    ax.pcolormesh([[1.0, 2.0]])
    ax.set_xticks([0.5, 1.5], ["first word", "2"])
    ax.set_yticks([0.5], ["row"])
    table = rows(fig, "image")
    assert list(table.x_name.fillna("")) == ["first word", ""] and list(table.y_name) == ["row", "row"]
    ax.set_xscale("log")
    assert "x_name" not in figure_table(fig)


def test_rows_that_are_labeled_with_numbers_have_them_as_coordinates(panel):
    fig, ax = panel
    pixels = rng.random((3, 2))
    ax.imshow(pixels, origin="lower", aspect="auto", extent=(0, 1, -0.5, 2.5))
    ax.plot([0.25, 0.75], [0, 2], "x")
    ax.set_yticks([0, 1, 2], [2, 4, 16])
    same(rows(fig, "image"), x=[0.25, 0.75] * 3, y=[2, 2, 4, 4, 16, 16], value=pixels.ravel())
    same(rows(fig, "points"), y=[2, 16])


@pytest.mark.parametrize(
    ("labels", "rows_are"), [((2, 8, 32), (2, 4, 8, 16, 32, 64)), ((1, 5, 9), (1, 3, 5, 7, 9, 11))]
)
def test_rows_between_labels_follow_their_progression(panel, labels, rows_are):
    fig, ax = panel
    ax.imshow(rng.random((6, 1)), origin="lower", aspect="auto", extent=(0, 1, -0.5, 5.5))
    ax.set_yticks(range(0, 6, 2), labels)
    same(rows(fig, "image"), y=rows_are)


@pytest.mark.parametrize("change", ["a label is missing", "a label is a share", "a line lies between", "rounding"])
def test_places_stay_where_a_label_is_not_the_coordinate(panel, change):
    fig, ax = panel
    ax.imshow(rng.random((3, 1)), origin="lower")
    ax.set_yticks([0, 1, 2], [2, "" if "missing" in change else "40%" if "share" in change else 4, 16])
    if "between" in change:
        ax.axhline(0.5)
    if change == "rounding":
        ax.set_yticks([0, 1, 2], ["0.0", "1.01", "2.0"])
    same(rows(fig, "image"), y=[0, 1, 2])


def test_a_color_bar_is_no_panel_and_colored_points_have_values(panel):
    fig, ax = panel
    fig.colorbar(ax.scatter(X, Y, c=E))
    same(rows(fig, "points"), x=X, y=Y, value=E, panel=1)


def test_spans_outlines_segments_arrows_and_contours(panel):
    fig, ax = panel
    ax.set(xlim=(0, 2), ylim=(0, 4))
    ax.axhspan(0.1, 0.3)
    ax.add_patch(plt.Circle((1, 2), 0.5))
    ax.vlines([0.5, 1.5], [0, 1], [2, 3])
    ax.quiver(X, Y, E, -E)
    ax.contour(np.arange(12.0).reshape(3, 4) ** 2, [5, 30])
    same(rows(fig, "box"), y_low=0.1, y_high=0.3)
    np.testing.assert_allclose(rows(fig, "box")[["x_low", "x_high"]].to_numpy(), [ax.get_xlim()])
    same(rows(fig, "ellipse"), x_low=0.5, x_high=1.5, y_low=1.5, y_high=2.5)
    same(rows(fig, "segments"), x=[0.5, 0.5, 1.5, 1.5], y=[0, 2, 1, 3], part=[1, 1, 2, 2])
    same(rows(fig, "arrows"), x=X, y=Y, u=E, v=-E)
    assert set(rows(fig, "outline").value) == {5, 30}


def test_points_in_space_have_three_coordinates():
    fig, ax = plt.subplots(subplot_kw={"projection": "3d"})
    ax.plot(X, Y, E)
    ax.scatter(X, Y, E)
    same(rows(fig, "line"), x=X, y=Y, z=E)
    same(rows(fig, "points"), x=X, y=Y, z=E)
    plt.close(fig)


def test_panels_share_the_label_of_their_axis():
    fig, axes = plt.subplots(2, 2, sharex=True)
    for ax in axes.flat:
        ax.plot(X, Y)
    axes[1, 0].set_xlabel("layer")
    fig.supylabel("dimension")
    table = figure_table(fig)
    assert set(table.x_axis) == {"layer"} and set(table.y_axis) == {"dimension"} and set(table.panel) == {1, 2, 3, 4}
    plt.close(fig)


def test_what_is_hidden_is_left_out_and_nothing_is_changed(panel):
    fig, ax = panel
    ax.plot(X, Y)[0].set_visible(False)
    ax.text(0, 0, "a word")
    before = len(ax.get_children())
    assert figure_table(fig).empty and len(ax.get_children()) == before
    fig.add_subplot().set_visible(False)
    assert figure_csv(fig).strip().startswith("panel")


def test_a_notebook_gets_the_table_beside_the_picture(panel):
    from IPython.core.interactiveshell import InteractiveShell

    from tokengeom_utils.site import figures

    shell = InteractiveShell.instance()
    try:
        figures.set_theme()
        fig, ax = panel
        ax.plot(X, Y)
        data, _ = shell.display_formatter.format(fig)
        assert data["image/svg+xml"].startswith("<?xml") and data["text/csv"] == figure_csv(fig)
        table = pd.DataFrame({"d": Y}, index=pd.Index(X, name="x"))
        data, _ = shell.display_formatter.format(figures.ShippedTable(table))
        shipped = pd.read_csv(io.StringIO(data["text/csv"]), index_col="x")
        pd.testing.assert_frame_equal(shipped, table, check_exact=True)
        assert "text/csv" not in shell.display_formatter.format(table)[0]  # only what is meant to ship
    finally:
        InteractiveShell.clear_instance()
