"""The charts: axes that hold what is drawn, gaps where nothing is defined, and lines that differ without color."""

import re
from pathlib import Path

import numpy as np
import pytest
from bs4 import BeautifulSoup
from made_up import curve, without_band

from tokengeom_utils.reports import charts
from tokengeom_utils.reports.charts import (
    BOTTOM,
    HEIGHT,
    LEFT,
    RIGHT,
    TOP,
    WIDTH,
    chart,
    common_span,
    layer_ticks,
    ticks,
)


def drawn(of, span=(0, 10)):
    return BeautifulSoup(chart(of, span, "a label"), "html.parser").svg


def points(path):
    return np.array(re.findall(r"-?[\d.]+", path["d"]), float).reshape(-1, 2)


def test_values_are_drawn_to_scale():
    found = drawn(curve((True, False, True)))
    text = points(found.find("path", class_="text"))
    np.testing.assert_allclose(text[:, 0], np.linspace(LEFT, WIDTH - RIGHT, 3), atol=0.06)
    panel = HEIGHT - TOP - BOTTOM
    np.testing.assert_allclose(text[:, 1], [TOP + panel * (1 - v / 10) for v in (5, 9, 5)], atol=0.06)
    assert len(points(found.find("path", class_="band"))) == 6 and found["role"] == "img"


def test_a_gap_divides_a_line_and_one_point_is_still_seen():
    values = np.array([5.0, np.nan, 7.0])
    paths = drawn(curve()._replace(text=values)).find_all("path", class_="text")
    assert [len(points(path)) for path in paths] == [2, 2]
    assert not drawn(curve()._replace(text=values * np.nan)).find_all("path", class_="text")


def test_without_prompts_there_is_no_band_and_without_an_error_no_shade():
    found = drawn(without_band())
    assert not found.find("path", class_="band") and not found.find("path", class_="error")
    assert drawn(curve()._replace(error=np.full(3, 0.5))).find("path", class_="error")


def test_the_label_is_escaped():
    svg = chart(curve(), (0, 10), '"><script>alert(1)</script>')
    assert "<script" not in svg and BeautifulSoup(svg, "html.parser").svg["aria-label"].startswith('"><script>')


@pytest.mark.parametrize("low, high", [(0, 1), (0, 9.3), (-0.2, 0.9), (0, 0.004), (0, 5100), (2, 2)])
def test_the_axis_holds_everything_between_round_ticks(low, high):
    values = np.array([low, high, (low + high) / 2])
    a, b = common_span([without_band()._replace(text=values)])
    assert a <= min(low, 0) and b >= high and b > a
    found = ticks(a, b)
    assert 2 <= len(found) <= 7 and found[0] == pytest.approx(a) and found[-1] == pytest.approx(b)


def test_nothing_defined_still_has_an_axis():
    assert common_span([without_band()._replace(text=np.full(3, np.nan))])[1] > 0


@pytest.mark.parametrize("n", [2, 3, 12, 16, 30, 32, 80, 126])
def test_layers_are_named_from_the_first_to_the_last_without_crowding(n):
    found = layer_ticks(n)
    assert found[0] == 1 and found[-1] == n and len(found) <= 6
    gaps = np.diff(found)
    assert (gaps > 0).all() and (gaps[1:] >= 0.5 * gaps[1:].max()).all() if len(gaps) > 1 else True


def test_lines_differ_in_dash_or_width():
    css = (Path(charts.__file__).parent / "page.css").read_text()
    names = ("text", "shuffled", "median", "of-kind")
    rules = [re.search(rf"^\.{name} \{{ (stroke:.*) \}}$", css, re.M)[1] for name in names]
    assert len({tuple(re.findall(r"stroke-(?:width|dasharray): ([^;]+)", rule)) for rule in rules}) == 4
