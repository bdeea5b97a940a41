"""The estimator laboratory: its numbers and shapes are those of the package, and every reader can use it."""

import re
import subprocess
import sys
from urllib.parse import parse_qs

import browsing
import numpy as np
import pytest
from bs4 import BeautifulSoup
from conftest import PROJECT
from scipy import stats

import tokengeom_utils as tg

PAGE = PROJECT / "book" / "estimator_laboratory.md"
SOURCE = PAGE.read_text(encoding="utf-8")
NAME = "estimator_laboratory.html"
ASSETS = ("estimator_laboratory.css", "gride.js", "estimator_laboratory.js")
#: a phone in the hand
HAND = {"viewport": browsing.PHONE, "is_mobile": True, "has_touch": True}
#: two frames: one measures and draws, the next comes after it
DRAWN = "() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"
CHANGED = """(setting) => new Promise((done) => {
  addEventListener("hashchange", () => requestAnimationFrame(() => requestAnimationFrame(done)), { once: true });
  location.hash = setting;
})"""
TABLE = """() => [...document.querySelectorAll(".laboratory tbody tr")].map((row) =>
  [...row.querySelectorAll("data")].map(({ value }) => Number(value)))"""


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A site of the laboratory and one other page, with the theme, the styles, and the extensions of the book."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("html")
    (source / PAGE.name).write_text(SOURCE, encoding="utf-8")
    (source / "index.md").write_text("# Another page\n\n```{toctree}\nestimator_laboratory\n```\n")
    (source / "conf.py").write_text(
        f"import sys\nsys.dont_write_bytecode = True\nsys.path.insert(0, {str(PROJECT / 'book' / 'extensions')!r})\n"
        "extensions = ['myst_parser', 'markup', 'assets', 'lean']\n"
        f"templates_path = [{str(PROJECT / 'book' / 'templates')!r}]\n"
        f"html_static_path = [{str(PROJECT / 'book' / '_static')!r}]\n"
        "html_theme, html_context = 'sphinx_book_theme', {'default_mode': 'auto'}\n"
        "html_css_files, html_js_files = ['book.css'], [['book.js', {'defer': 'defer'}]]\n"
    )
    subprocess.run([sys.executable, "-m", "sphinx", "-q", str(source), str(out)], check=True, capture_output=True)
    return out


@pytest.fixture(scope="module")
def started():
    with browsing.browser() as found:
        yield found


@pytest.fixture(scope="module")
def visits(site, started):
    """Opens the laboratory from its file; what is wrong with any of the pages fails the test that asks."""
    contexts = []

    def visit(setting="", **options):
        contexts.append(started.new_context(**{"viewport": browsing.DESKTOP, "reduced_motion": "reduce", **options}))
        return browsing.Visit(contexts[-1], site.resolve().as_uri(), f"{NAME}{setting}")

    yield visit
    for context in contexts:
        context.close()


@pytest.fixture(scope="module")
def shared(visits):
    """One open page for many settings."""
    return visits()


def set_to(visit, setting):
    """Change the address, as a link does, and wait for the pictures."""
    visit.page.evaluate(CHANGED, setting)
    return np.array(visit.page.evaluate(TABLE))


def control(visit, label):
    """A control of the laboratory."""
    return visit.page.get_by_label(label, exact=True)


def address(visit):
    """The setting in the address, once it is there."""
    visit.page.wait_for_timeout(300)
    return {name: value for name, (value,) in parse_qs(visit.page.url.partition("#")[2]).items()}


def saved(visit, folder):
    """The points that a reader can save."""
    with visit.page.expect_download() as download:
        visit.page.get_by_role("button", name="Save the points").click()
    download.value.save_as(folder / "points.csv")
    return np.loadtxt(folder / "points.csv", delimiter=",", ndmin=2)


# --- the numbers are those of the package ---

SETTINGS = {
    "cube": ["d=1&n=300", "d=2&n=1000&noise=0.01&ambient=10", "d=20&n=50&scale=32", "d=5&n=500&noise=0.1&ambient=50"],
    "sphere": ["d=1&n=1000", "d=2&n=800&noise=0.02&ambient=3", "d=20&n=1000"],
    "torus": ["d=1&n=150", "d=2&n=1000", "d=10&n=250&noise=0.004&ambient=40"],
    "roll": ["n=1000", "n=600&noise=0.1&ambient=50&seed=7"],
}


def test_every_shape_is_tried():
    assert list(SETTINGS) == re.findall(r'<option value="(\w+)"', SOURCE)


@pytest.mark.parametrize("setting", [f"shape={shape}&{rest}" for shape, some in SETTINGS.items() for rest in some])
def test_estimates_and_errors_are_those_of_the_package(shared, setting, tmp_path, monkeypatch):
    """By the code that the page shows, on the points that it saves."""
    table = set_to(shared, setting)
    points = saved(shared, tmp_path)
    wanted = {name: value for name, (value,) in parse_qs(setting).items()}
    assert len(points) == int(wanted["n"]) and points.shape[1] >= int(wanted.get("ambient", 1))
    monkeypatch.chdir(tmp_path)
    names = {}
    exec(re.search(r"^```python\n(.*?)^```$", SOURCE, re.M | re.S)[1], names)
    found = names["found"]
    assert table[:, 0].tolist() == found.scales.tolist() and table[:, 3].tolist() == found.n_points.tolist()
    np.testing.assert_allclose(table[:, 1], found.dimension, rtol=1e-6)
    np.testing.assert_allclose(table[:, 2], found.standard_error, rtol=1e-6)


@pytest.mark.parametrize("kind", ["ties and copies", "ties", "nearly copies", "outliers"])
def test_ties_copies_and_outliers_are_treated_as_in_the_package(shared, kind):
    rng = np.random.default_rng(0)
    points = rng.normal(size=(400, 3))
    if kind == "ties and copies":
        points = np.round(4 * points)
    elif kind == "ties":
        points = np.stack(np.meshgrid(*[np.arange(9.0)] * 3), -1).reshape(-1, 3) + 0.3 * (rng.random((729, 1)) < 0.3)
    else:
        points[:12:2] = points[1:12:2] + (1e-12 if kind == "nearly copies" else 1e-5)
    rows = shared.page.evaluate(
        "points => Gride.gride(Float64Array.from(points), 3).map((one) => [one.dimension, one.error, one.count])",
        points.ravel().tolist(),
    )
    found = tg.gride_scales(tg.nearest_neighbors(points, 256).distances, 256)
    assert [row[2] for row in rows] == found.n_points.tolist() and min(found.n_points) < len(points)
    np.testing.assert_allclose([row[0] for row in rows], found.dimension, rtol=1e-6)
    np.testing.assert_allclose([row[1] for row in rows], found.standard_error, rtol=1e-6)


@pytest.mark.parametrize(
    "shape, d", [("cube", 1), ("cube", 4), ("sphere", 2), ("sphere", 7), ("torus", 3), ("roll", 2)]
)
def test_shapes_are_those_of_the_package(shared, shape, d, tmp_path):
    """Each coordinate has the same distribution, and the points lie on the same surface."""
    set_to(shared, f"shape={shape}&d={d}&n=1000&seed=5")
    points = saved(shared, tmp_path)
    theirs = tg.shapes.swiss_roll(1000) if shape == "roll" else getattr(tg.shapes, shape)(1000, d)
    assert points.shape == theirs.shape
    for ours, expected in zip(points.T, theirs.numpy().T, strict=True):
        assert stats.ks_2samp(ours, expected).pvalue > 1e-3
    if shape == "sphere":
        np.testing.assert_allclose(np.linalg.norm(points, axis=1), 1)
    if shape == "torus":
        np.testing.assert_allclose(points[:, :d] ** 2 + points[:, d:] ** 2, 1)
    if shape == "roll":
        radius = np.hypot(points[:, 0], points[:, 1])
        np.testing.assert_allclose(points[:, 0], radius * np.cos(2 * np.pi * radius), atol=1e-9)
        assert stats.ks_2samp(radius, theirs[:, :2].norm(dim=1)).pvalue > 1e-3


def test_noise_is_normal_and_moves_the_same_points(shared, tmp_path):
    clouds = {}
    for noise in (0, 0.02, 0.04):
        set_to(shared, f"shape=sphere&d=2&n=1000&ambient=8&noise={noise}")
        clouds[noise] = saved(shared, tmp_path)
    moved = (clouds[0.02] - np.pad(clouds[0][:, :3], ((0, 0), (0, 5)))) / 0.02
    assert moved.shape == (1000, 8) and stats.kstest(moved.ravel(), "norm").pvalue > 1e-3
    np.testing.assert_allclose(clouds[0.04][:, 3:], 2 * clouds[0.02][:, 3:], atol=1e-12)


def test_seeds_give_independent_points(shared, tmp_path):
    clouds = []
    for seed in (1, 2):
        set_to(shared, f"shape=cube&d=2&n=1000&seed={seed}")
        clouds.append(saved(shared, tmp_path))
    together = np.concatenate(clouds, 1)
    assert np.abs(np.corrcoef(together.T) - np.eye(4)).max() < 4 / 1000**0.5


# --- what the page says can be seen on it ---

LINKS = [href.replace("&amp;", "&") for href in re.findall(rf'<a href="{NAME}#([^"]+)"', SOURCE)]


def over_seeds(visit, setting, seeds=8, **other):
    """Dimensions and errors (seed, scale) of a setting that the page links to."""
    wanted = {name: value for name, (value,) in parse_qs(setting).items()} | other
    wanted = {name: value if name == "shape" else float(value) for name, value in wanted.items()}
    rows = visit.page.evaluate(
        "({ wanted, seeds }) => Array.from({ length: seeds }, (_, i) => Gride.gride("
        "Gride.draw({ ...wanted, seed: i + 1 }), wanted.ambient).map((one) => [one.dimension, one.error]))",
        {"wanted": wanted, "seeds": seeds},
    )
    return np.moveaxis(np.array(rows), -1, 0)


def test_a_link_opens_its_setting(shared):
    assert len(LINKS) == 5
    for number, link in enumerate(LINKS):
        shared.page.locator(f"article a[href^='{NAME}#']").nth(number).click()
        shared.page.evaluate(DRAWN)
        assert address(shared).items() >= {name: value for name, (value,) in parse_qs(link).items()}.items()
        assert shared.page.locator("canvas").bounding_box()["y"] > 0
        d, _ = over_seeds(shared, link, 1)
        np.testing.assert_allclose(np.array(shared.page.evaluate(TABLE))[:, 1], d[0])


def test_what_is_said_of_the_links_holds_for_all_seeds(shared):
    line, cube, roll, square, torus = (over_seeds(shared, link) for link in LINKS)
    assert (line[0][:, 0] > 2.5).all() and (abs(line[0][:, -1] - 1) < 0.1).all()
    few = over_seeds(shared, LINKS[1], n=100)
    assert (cube[0] + 2 * cube[1] < 20).all() and (few[0] + 2 * few[1] < 20)[:, 2:].all()
    assert (few[0].mean(0) < cube[0].mean(0)[: few[0].shape[1]]).all()
    assert (abs(roll[0][:, :2] - 2) < 0.3).all() and (roll[0][:, 5] > 2.7).all()
    assert (square[0] + 2 * square[1] < 2)[:, -1].all() and (torus[0] - 2 * torus[1] > 2)[:, -1].all()


def test_the_numbers_stand_in_words_and_in_the_picture(shared):
    table = set_to(shared, "shape=torus&d=2&n=1000&scale=64&noise=0.02&ambient=4")
    (row,) = table[table[:, 0] == 64]
    assert shared.page.locator(".result").inner_text() == (
        f"At range scaling 64: dimension {row[1]:.2f}, standard error {row[2]:.2f}. The shape has 2: the estimate is "
        f"{abs(row[1] - 2):.2f} too {'high' if row[1] > 2 else 'low'}, {abs(row[1] - 2) / row[2]:.1f} standard errors."
    )
    texts = [cells.split("\t") for cells in shared.page.locator("tbody tr").all_inner_texts()]
    assert texts[5] == ["64", f"{row[1]:.3f}", f"{row[2]:.3f}", f"{int(row[3]):,}"]
    soup = BeautifulSoup(shared.page.locator(".laboratory svg").evaluate("svg => svg.outerHTML"), "html.parser")
    height = {float(dot["cx"]): float(dot["cy"]) for dot in soup("circle", class_="estimate")}
    truth = float(soup.find("line", class_="truth")["y1"])
    ground = max(float(line["y1"]) for line in soup("line", class_="axis"))
    # The height above the axis is in proportion to the dimension; the bars are four standard errors long.
    np.testing.assert_allclose([(ground - y) / (ground - truth) * 2 for y in height.values()], table[:, 1], rtol=1e-9)
    bars = [line for line in soup("line", class_="estimate") if line["x1"] == line["x2"]]
    lengths = [(float(bar["y1"]) - float(bar["y2"])) / (ground - truth) * 2 for bar in bars]
    np.testing.assert_allclose(lengths, 4 * table[:, 2], rtol=1e-6)
    assert float(soup.find(class_="current")["cx"]) == sorted(height)[5]


# --- controls ---


def test_the_keyboard_sets_everything_and_the_address_follows(visits):
    visit = visits()
    press = visit.page.keyboard.press
    control(visit, "Number of points").focus()
    press("Home")
    control(visit, "Range scaling").focus()
    press("End")
    control(visit, "Shape").select_option("sphere")
    control(visit, "True dimension").focus()
    press("ArrowRight")
    control(visit, "Noise in every coordinate").focus()
    press("ArrowRight")
    control(visit, "Number of coordinates").focus()
    press("ArrowRight")
    control(visit, "Seed").fill("12")
    visit.page.get_by_role("button", name="Draw again").press("Enter")
    setting = address(visit)
    assert setting.items() >= {
        "shape": "sphere", "d": "3", "n": "50", "noise": "0.002", "ambient": "5", "scale": "32", "seed": "13",
    }.items()  # fmt: skip
    table = visit.page.evaluate(TABLE)
    assert [row[0] for row in table] == [2, 4, 8, 16, 32]
    assert visits(f"#{visit.page.url.partition('#')[2]}").page.evaluate(TABLE) == table  # the link opens the same
    assert not visit.findings


def test_controls_that_mean_nothing_are_off(shared):
    set_to(shared, "shape=roll")
    some = [control(shared, name) for name in ("True dimension", "Number of coordinates")]
    assert all(control.is_disabled() for control in some)
    set_to(shared, "shape=cube&noise=0.01&ambient=4")
    assert not any(control.is_disabled() for control in some)


def test_another_draw_and_back(shared):
    first = set_to(shared, "shape=cube&d=3&n=200&seed=1")
    shared.page.get_by_role("button", name="Draw again").click()
    shared.page.evaluate(DRAWN)
    assert not np.allclose(shared.page.evaluate(TABLE), first, rtol=1e-3)
    control(shared, "Seed").fill("1")
    shared.page.evaluate(DRAWN)
    np.testing.assert_array_equal(shared.page.evaluate(TABLE), first)


@pytest.mark.parametrize(
    "setting, expected",
    [
        ("#shape=pyramid&d=1e9&n=x&noise=-1&ambient=&scale=7&seed=0&yaw=nan", {"Range scaling": "3", "Seed": "1"}),
        ("#shape=torus&d=99&n=1e9&scale=1e9&ambient=1e9", {"True dimension": "10", "Range scaling": "8"}),
        (
            "#shape=cube&d=7&ambient=2&noise=1&n=51",
            {"Number of coordinates": "7", "Seed": "1", "Number of points": "50"},
        ),
        ("#the-same-numbers-from-the-package", {"Shape": "roll", "Number of points": "1000"}),
    ],
)
def test_an_address_that_cannot_be_becomes_the_nearest_that_can(visits, setting, expected):
    visit = visits(setting)
    values = {name: control(visit, name).input_value() for name in expected}
    assert values == expected and len(visit.page.evaluate(TABLE)) >= 5 and not visit.findings


# --- pictures ---

PICTURE = "() => document.querySelector('.laboratory canvas').toDataURL()"


def test_dragging_and_arrow_keys_turn_the_points_and_change_no_number(visits):
    visit = visits()
    seen, table = [visit.page.evaluate(PICTURE)], visit.page.evaluate(TABLE)

    def look():
        visit.page.evaluate(DRAWN)
        seen.append(visit.page.evaluate(PICTURE))

    box = visit.page.locator(".laboratory canvas").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    visit.page.mouse.move(x, y)
    visit.page.mouse.down()
    visit.page.mouse.move(x + 60, y, steps=30)  # two pixels to a degree, in steps of either
    look()
    visit.page.mouse.up()
    visit.page.mouse.move(x - 60, y)  # without the button nothing turns
    visit.page.evaluate(DRAWN)
    assert visit.page.evaluate(PICTURE) == seen[-1]
    assert address(visit)["yaw"] == "50"
    visit.page.locator(".laboratory canvas").focus()
    for key in ("ArrowRight", "ArrowUp"):
        visit.page.keyboard.press(key)
        look()
    assert len(set(seen)) == 4 and visit.page.evaluate(TABLE) == table
    assert address(visit).items() >= {"yaw": "55", "tilt": "70"}.items() and not visit.findings
    visit.page.keyboard.press("Tab")
    assert visit.page.evaluate("() => document.activeElement.name") == "scale"


def test_a_finger_turns_the_points_across_and_scrolls_the_page_down(visits):
    visit = visits(**HAND)
    visit.page.locator(".laboratory canvas").scroll_into_view_if_needed()
    box = visit.page.locator(".laboratory canvas").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    before = visit.page.evaluate("() => scrollY")
    finger = visit.page.context.new_cdp_session(visit.page)

    def swipe(right, down):
        for kind, part in (("touchStart", 0), *(("touchMove", i / 10) for i in range(1, 11)), ("touchEnd", None)):
            points = [] if part is None else [{"x": x + part * right, "y": y + part * down}]
            finger.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
        visit.settle(300)

    swipe(80, 0)
    assert visit.page.evaluate("() => scrollY") == before and 45 <= int(address(visit)["yaw"]) <= 60
    swipe(0, -200)
    assert visit.page.evaluate("() => scrollY") > before + 50 and not visit.findings


def test_a_click_on_the_curve_chooses_the_scaling(shared):
    set_to(shared, "shape=roll&n=1000&scale=2")
    shared.page.locator(".laboratory svg circle.estimate").nth(6).click()
    assert address(shared)["scale"] == "128"
    assert "At range scaling 128" in shared.page.locator(".result").inner_text()


# --- every reader ---


@pytest.mark.parametrize("options", [{}, HAND], ids=["desktop", "phone"])
def test_the_page_is_fit_for_everyone(visits, options):
    visit = visits("#shape=torus&d=2&n=300&noise=0.02&ambient=4", color_scheme="light", **options)
    light = visit.page.evaluate(PICTURE)
    for mode in ("light", "dark"):
        visit.page.evaluate("mode => { document.documentElement.dataset.theme = mode; }", mode)
        visit.settle(300)
        visit.inspect(mode)
        visit.axe(mode)
    assert visit.page.evaluate(PICTURE) != light
    assert not visit.findings


def test_a_screen_reader_hears_the_result_once_and_only_after_a_change(visits):
    visit = visits()
    status = visit.page.locator("[role=status]")
    visit.page.wait_for_timeout(1200)
    assert status.inner_text() == ""
    visit.page.evaluate("""() => {
      window.heard = [];
      new MutationObserver(() => heard.push(document.querySelector("[role=status]").textContent))
        .observe(document.querySelector("[role=status]"), { childList: true });
    }""")
    control(visit, "Range scaling").focus()
    for _ in range(4):
        visit.page.keyboard.press("ArrowRight")
    visit.page.wait_for_timeout(1300)
    assert visit.page.evaluate("heard") == [visit.page.locator(".result").inner_text()]
    label = visit.page.locator(".laboratory canvas").get_attribute("aria-label")
    assert label == "1,000 points of a rolled sheet; the arrow keys turn them."


def test_paper_has_the_pictures_in_the_colors_of_light_and_the_numbers_and_no_controls(visits):
    pictures = []
    for scheme in ("light", "dark"):
        visit = visits(color_scheme=scheme)
        pictures.append(visit.page.evaluate(PICTURE))
    assert pictures[0] != pictures[1]
    visit.page.evaluate("() => dispatchEvent(new Event('beforeprint'))")
    assert visit.page.evaluate(PICTURE) == pictures[0]
    visit.page.evaluate("() => dispatchEvent(new Event('afterprint'))")
    assert visit.page.evaluate(PICTURE) == pictures[1]
    visit.print()
    assert (
        visit.page.locator(".laboratory canvas").is_visible() and visit.page.locator(".laboratory table").is_visible()
    )
    assert not visit.page.locator(".laboratory form").is_visible() and not visit.findings


def test_without_scripts_a_sentence_says_so(site, started):
    context = started.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{site.resolve().as_uri()}/{NAME}")
    assert page.get_by_text("The laboratory needs JavaScript.").is_visible()
    assert not page.locator(".laboratory form").is_visible()
    context.close()


def test_only_the_laboratory_loads_its_files(site):
    pages = {name: (site / name).read_text(encoding="utf-8") for name in (NAME, "index.html", "search.html")}
    for name, page in pages.items():
        loaded = [asset for asset in ASSETS if re.search(rf'(src|href)="_static/{asset}', page)]
        assert loaded == (list(ASSETS) if name == NAME else []), name
