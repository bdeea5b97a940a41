"""The mean-field laboratory: its runs are those of the package, and everybody can use its page.

The page is built by Sphinx with the extensions of the book, beside stand-ins for the chapters that hold their links to
it, and opened from its file in a browser.
"""

import re
import subprocess
import sys
from urllib.parse import parse_qsl

import browsing
import numpy as np
import pytest
import torch
from bs4 import BeautifulSoup
from conftest import PROJECT
from scipy.integrate import quad
from scipy.stats import kstest
from test_comfort import contrast, take_along

import tokengeom_utils as tg
from tokengeom_utils.theory import meanfield as mf

NAME = "book/mean_field_laboratory.html"
PAGE = (PROJECT / "book" / "mean_field_laboratory.md").read_text(encoding="utf-8")
LINK = re.compile(r"\[([^\]]+)\]\((?:\.\./book/)?mean_field_laboratory\.md#([^)]+)\)")
CHAPTERS = {
    stem: [line for line in (PROJECT / "notebooks" / f"{stem}.md").read_text("utf-8").splitlines() if LINK.search(line)]
    for stem in ("mean_field", "lasting_groups")
}
FINISH = "() => { while (!laboratoryRun.done) laboratoryRun.next(); }"
RUN = """() => ({
  settings: laboratoryRun.settings, times: laboratoryRun.times, seen: laboratoryRun.seen,
  path: laboratoryRun.path.map((cloud) => [...cloud]),
  longest: MeanField.longest(laboratoryRun.settings), prediction: MeanField.prediction(laboratoryRun),
})"""
STILL = {"reduced_motion": "reduce"}  # nothing moves before a reader asks for it


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A site of the laboratory, two chapters of nothing but links to it, and a first page."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("site")
    (source / "book").mkdir()
    (source / "book" / "mean_field_laboratory.md").write_text(PAGE, encoding="utf-8")
    (source / "notebooks").mkdir()
    for stem, lines in CHAPTERS.items():
        text = "\n\n".join([f"# {stem}", *lines, "(fig-circle)=\n## Place of a figure"])
        (source / "notebooks" / f"{stem}.md").write_text(text, encoding="utf-8")
    (source / "index.md").write_text("# Index\n\n```{toctree}\n:glob:\n\nbook/*\nnotebooks/*\n```\n", encoding="utf-8")
    (source / "conf.py").write_text(
        f"import sys\nsys.path.insert(0, {str(PROJECT / 'book' / 'extensions')!r})\nsys.dont_write_bytecode = True\n"
        "extensions = ['myst_parser', 'sphinx_proof', 'sphinx-mathjax-offline']\n"
        "extensions += ['assets', 'laboratories', 'markup', 'lean']\n"
        "myst_enable_extensions = ['dollarmath']\nhtml_theme = 'sphinx_book_theme'\nhtml_title = 'Book'\n"
        f"templates_path = [{str(PROJECT / 'book' / 'templates')!r}]\n"
        f"html_static_path = [{str(PROJECT / 'book' / '_static')!r}]\nhtml_css_files = ['book.css']\n"
        "html_js_files = [['book.js', {'defer': 'defer'}]]\nhtml_context = {'default_mode': 'auto'}\n"
    )
    command = [sys.executable, "-m", "sphinx", "-q", str(source), str(out)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return out


@pytest.fixture(scope="module")
def started():
    with browsing.browser() as found:
        yield found


@pytest.fixture
def opened(site, started):
    """Opens a page of the site, by default the laboratory, for a mouse in the light unless told otherwise."""
    visits = []

    def visit(settings="", name=NAME, **options):
        context = started.new_context(**{"viewport": browsing.DESKTOP, **STILL, **options})
        visits.append(browsing.Visit(context, site.resolve().as_uri(), name + (f"#{settings}" if settings else "")))
        return visits[-1]

    yield visit
    for one in visits:
        one.page.context.close()
        assert not one.findings, one.findings


def finished(visit, settings):
    """The run that a link to settings opens, from its start to its end."""
    visit.page.evaluate("settings => { window.location.hash = settings; }", settings)
    wanted = {name: value for name, value in parse_qsl(settings) if name not in ("mask", "kind", "start")}
    for name, value in wanted.items():
        visit.page.wait_for_function(f"() => laboratoryRun.settings.{name} === {value}")
    visit.page.evaluate(FINISH)
    return visit.page.evaluate(RUN)


def shape(run):
    """The path of a run as an array: time, token, feature."""
    return np.reshape(run["path"], (len(run["times"]), run["settings"]["n"], run["settings"]["d"]))


# --- its runs are those of the package ---

RUNS = [
    *(
        f"kind={kind}&mask={mask}&d={d}&n=24&beta=3&seed={1 + d}&until={until}"
        for kind, until in (("SA", 30), ("USA", 3))
        for mask in (0, 1)
        for d in (2, 3)
    ),
    "start=orthogonal&d=32&n=20&beta=4&until=30",
    "start=orthogonal&d=8&n=8&beta=5.5&until=3&kind=USA",
    "start=ring&d=2&n=48&beta=5&until=3&kind=USA",
    "start=half&d=2&n=32&beta=9&until=100",
    "d=8&n=2&beta=25&until=10",
]


@pytest.fixture(scope="module")
def runs(site, started):
    """Every run of the list, opened by its link in one page and followed to its end."""
    context = started.new_context(**STILL)
    visit = browsing.Visit(context, site.resolve().as_uri(), NAME)
    found = {settings: finished(visit, settings) for settings in RUNS}
    context.close()
    assert not visit.findings
    return found


@pytest.mark.parametrize("settings", RUNS)
def test_a_run_is_that_of_the_package(runs, settings):
    run = runs[settings]
    path, own = shape(run), run["settings"]
    assert np.abs(np.linalg.norm(path, axis=-1) - 1).max() < 1e-12
    theirs = mf.simulate(path[0], own["beta"], run["times"], own["kind"], own["mask"], dt=run["longest"])
    assert np.abs(path - theirs.numpy()).max() < 1e-6
    assert len(run["times"]) == 181 and run["times"][0] == 0 and run["times"][-1] == own["until"]


@pytest.mark.parametrize("settings", RUNS)
def test_curves_are_those_of_the_package(runs, settings):
    run = runs[settings]
    path, seen = shape(run), run["seen"]
    np.testing.assert_allclose(seen["energy"], mf.interaction_energy(path, run["settings"]["beta"]), rtol=1e-9)
    np.testing.assert_allclose(seen["cosine"], tg.mean_cosine_similarity(path, include_self=False), atol=1e-9)
    np.testing.assert_allclose(seen["second"], (path[:, 0] * path[:, 1]).sum(-1), atol=1e-9)
    assert seen["groups"] == mf.count_clusters(path).tolist()


@pytest.mark.parametrize("settings", RUNS)
def test_predictions_are_those_of_the_book(runs, settings):
    run = runs[settings]
    own, predicted = run["settings"], run["prediction"]
    n, beta, kind = own["n"], own["beta"], own["kind"]
    if own["mask"]:
        assert predicted["about"] == ("second" if kind == "SA" else "mask")
        if kind == "SA":  # the proposition on the second token
            time, _ = quad(lambda c: (1 + np.exp(beta * (1 - c))) / (1 - c * c), run["seen"]["second"][0], 0.999)
            assert predicted["time"] == pytest.approx(time, rel=1e-6)
            times, cosines = np.transpose(predicted["curve"])
            seen = np.interp(run["times"], times, cosines, right=np.nan)
            known = ~np.isnan(seen)
            np.testing.assert_allclose(np.array(run["seen"]["second"])[known], seen[known], atol=1e-4)
    elif own["start"] == "ring":
        crests = int(np.argmax(mf.wave_rate(np.arange(20), beta)))
        assert predicted == {"about": "ring", "crests": crests, "groups": crests}
    elif own["start"] == "half":
        assert predicted == {"about": "half"}
    else:
        assert predicted["time"] == pytest.approx(float(mf.clustering_time(n, beta, kind)), rel=1e-6)
        for time, cosine in predicted["curve"][200::200]:
            assert time == pytest.approx(float(mf.clustering_time(n, beta, kind, level=cosine)), rel=1e-6)
        if beta < 10:  # at larger ones the last digit of a time decides
            times, cosines = np.transpose(predicted["curve"][::100])
            np.testing.assert_allclose(cosines, mf.cosine_ode(times, n, beta, kind), atol=1e-6)


@pytest.mark.parametrize("beta", [0.5, 1, 4, 9, 25])
def test_the_fastest_wave_is_that_of_the_package(opened, beta):
    crests = opened().page.evaluate("beta => MeanField.fastestWave(beta)", beta)
    assert crests == np.argmax(mf.wave_rate(np.arange(20), beta))


# --- its starts ---

BLIND = "for (const name of ['exp', 'expm1', 'log', 'log1p', 'sin', 'cos', 'pow', 'hypot']) Math[name] = () => NaN;"
KNOWN = [
    [0.9394600776391837, -0.3426583758237628, 0.6336919934577118, -0.7735854558014852],
    [0.9394600776391837, -0.3426583758237628, 0.6336919934577118, -0.7735854558014852],
    [-0.999999839176354, -0.0005671395472205259, 0.9999999786048194, -0.00020685831125068034],
    [0.9394600776391837, -0.3426583758237628, -0.3426583758237628, -0.9394600776391837],
]
STARTS = """() => ["random", "half", "ring", "orthogonal"].map((start) =>
  [...MeanField.STARTS[start]({ n: 2, d: 2, seed: 7 })])"""


def test_a_seed_gives_the_same_start_in_every_browser(opened):
    """Starts need no function whose last digit a browser may choose, and these have not changed."""
    page = opened().page
    starts = page.evaluate(STARTS)
    page.evaluate(BLIND)
    assert page.evaluate(STARTS) == starts
    assert starts == KNOWN


def test_starts_follow_their_laws(opened):
    page = opened().page
    draw = "([start, settings]) => [...MeanField.STARTS[start](settings)]"
    x = np.reshape(page.evaluate(draw, ["random", {"n": 4000, "d": 3, "seed": 5}]), (-1, 3))
    assert min(kstest(x[:, axis], "uniform", args=(-1, 2)).pvalue for axis in range(3)) > 0.001  # Archimedes
    assert np.abs(np.cov(x.T) - np.eye(3) / 3).max() < 0.03
    half = np.reshape(page.evaluate(draw, ["half", {"n": 4000, "d": 3, "seed": 5}]), (-1, 3))
    assert (half == np.abs(x[:, :1] * [1, 0, 0]) + x * [0, 1, 1]).all()
    ring = np.reshape(page.evaluate(draw, ["ring", {"n": 100, "seed": 5}]), (-1, 2)) @ [1, 1j]
    off = np.angle(ring / np.exp(1j * (2 * np.pi * np.arange(100) / 100 - np.pi)))
    assert 0.0008 < off.std() < 0.0012
    axes = np.reshape(page.evaluate(draw, ["orthogonal", {"n": 100, "d": 128, "seed": 5}]), (-1, 128))
    np.testing.assert_allclose(axes @ axes.T, np.eye(100), atol=1e-14)


# --- what its page says of its links ---

CLAIMS = {
    "Weak attention": lambda run: run["seen"]["groups"][-1] == 1,
    "Sharp attention": lambda run: run["seen"]["groups"][-60:] == [3] * 60,
    "An energy that only grows": lambda run: never_falls(run) and waits(run),
    "Two groups that wait": lambda run: on_time(run, 0.05),
    "SA": lambda run: follows(run, 0.002),
    "USA": lambda run: follows(run, 0.002),
    "64 dimensions": lambda run: follows(run, 0.1),
    "two": lambda run: not follows(run, 0.5),
    "A ring that breaks": lambda run: run["seen"]["groups"][-30:] == [run["prediction"]["groups"]] * 30,
    "A causal mask": lambda run: (
        (shape(run)[:, 0] == shape(run)[0, 0]).all()
        and (shape(run)[-1] @ shape(run)[0, 0]).min() > 0.999
        and not never_falls(run)
    ),
}


def never_falls(run):
    energy = np.array(run["seen"]["energy"])
    return (np.diff(energy) / energy[1:]).min() > -1e-12


def waits(run):
    """Whether two groups stand apart for a third of the (logarithmic) axis, and then meet."""
    return run["seen"]["groups"].count(2) >= 60 and run["seen"]["groups"][-1] == 1


def follows(run, within):
    """Whether the mean cosine stays within a distance of the predicted one."""
    times, cosines = np.transpose(run["prediction"]["curve"])
    return np.abs(np.interp(run["times"], times, cosines) - run["seen"]["cosine"]).max() < within


def on_time(run, within):
    """Whether the tokens are nearly where they were at half of the predicted time, and meet close to it."""
    time, cosines = run["prediction"]["time"], run["seen"]["cosine"]
    met = run["times"][next(k for k, cosine in enumerate(cosines) if cosine > 0.999)]
    return np.interp(time / 2, run["times"], cosines) < cosines[0] + 0.1 and abs(met / time - 1) < within


def test_the_page_claims_nothing_that_is_not_tested():
    assert [text for text, _ in LINK.findall(PAGE)] == list(CLAIMS)


@pytest.mark.parametrize("text, settings", LINK.findall(PAGE), ids=lambda value: value.split("=")[0])
def test_a_reader_sees_what_the_page_says(opened, text, settings):
    assert CLAIMS[text](finished(opened(), settings))


def test_other_seeds_show_it_too(opened):
    """As many as the page says, and all where it says nothing; more than twice the wait for one more beta."""
    visit, links = opened(), dict(LINK.findall(PAGE))
    seeds = range(2, 8)
    ends = {
        text: [finished(visit, f"{links[text]}&seed={seed}")["seen"]["groups"][-1] for seed in seeds]
        for text in ("Weak attention", "Sharp attention", "A ring that breaks")
    }
    assert set(ends["Weak attention"]) == {1}
    assert ends["Sharp attention"].count(3) > 3 and set(ends["Sharp attention"]) <= {2, 3}
    assert ends["A ring that breaks"].count(3) > 3 and set(ends["A ring that breaks"]) <= {2, 3}
    wide, flat = (
        [finished(visit, f"{links[text]}&seed={seed}") for seed in seeds] for text in ("64 dimensions", "two")
    )
    assert all(follows(run, 0.2) for run in wide) and not any(follows(run, 0.5) for run in flat)
    sharper = [finished(visit, f"{links['64 dimensions'].replace('beta=3', 'beta=5')}&seed={seed}") for seed in seeds]
    assert sum(follows(run, 0.1) for run in sharper) <= len(seeds) / 2
    ends = [
        finished(visit, f"{links['An energy that only grows']}&seed={seed}")["seen"]["groups"][-1] for seed in seeds
    ]
    assert set(ends) == {1, 2}
    assert mf.clustering_time(2, 9.0) > 2 * mf.clustering_time(2, 8.0)


# --- links from chapters ---


def test_chapters_link_to_runs(opened):
    links = [(stem, *link) for stem, lines in CHAPTERS.items() for line in lines for link in LINK.findall(line)]
    assert 6 <= len(links) <= 8
    for stem in CHAPTERS:
        visit = opened(name=f"notebooks/{stem}.html")
        for text, settings in [(text, settings) for of, text, settings in links if of == stem]:
            visit.page.get_by_role("link", name=text, exact=True).click()
            visit.page.wait_for_url(f"**/{NAME}#*")
            shown = visit.page.evaluate("() => ({ ...laboratoryRun.settings, mask: +laboratoryRun.settings.mask })")
            assert {name: str(shown[name]) for name, _ in parse_qsl(settings)} == dict(parse_qsl(settings))
            visit.page.go_back()


def test_only_the_laboratory_loads_its_scripts(site):
    pages = {path.stem: path.read_text(encoding="utf-8") for path in site.rglob("*.html")}
    own = ("laboratory.js", "mean_field.js", "mean_field_laboratory.css")
    with_script = {stem for stem, text in pages.items() if any(name in text for name in own)}
    assert with_script == {"mean_field_laboratory"}
    soup = BeautifulSoup(pages["mean_field_laboratory"], "html.parser")
    assert all("#" not in link["href"][:1] for link in soup.select("article a[href*='beta=']"))


def test_notebooks_to_take_along_lead_to_the_published_laboratory_or_leave_it_out():
    text = "Groups form.\n[See it](../book/mean_field_laboratory.md#beta=4&n=32).\n[Other](https://arxiv.org).\n"
    assert take_along.outward(text, "") == "Groups form.\n[Other](https://arxiv.org).\n"
    assert "(https://a.org/book/mean_field_laboratory.html#beta=4&n=32)" in take_along.outward(text, "https://a.org/")


# --- the page: settings ---


def settings_in(page):
    """The settings in the address of a page."""
    return dict(parse_qsl(page.evaluate("() => window.location.hash.slice(1)")))


def test_every_control_is_in_the_address_and_in_the_run(opened):
    page = opened().page
    page.get_by_label("Start", exact=True).select_option("in one hemisphere")
    page.get_by_label("Attention").select_option("USA")
    page.get_by_label("Dimension d").select_option("2 (circle)")
    page.get_by_label("End of the run").select_option("3")
    page.get_by_label("Inverse temperature").press("ArrowRight")
    page.get_by_label("Number of tokens").press("ArrowLeft")
    page.get_by_label("Seed", exact=True).fill("41")
    page.get_by_role("button", name="Next seed").press("Enter")
    page.get_by_label("Causal mask").press("Space")
    run = page.evaluate("() => laboratoryRun.settings")
    wanted = {"start": "half", "kind": "USA", "d": 2, "until": 3, "beta": 4.5, "n": 63, "seed": 42, "mask": True}
    assert run == wanted
    shown = settings_in(page)
    assert shown == {**{name: str(value) for name, value in wanted.items()}, "mask": "1", "turn": "30", "tilt": "20"}
    page.reload()
    assert page.evaluate("() => laboratoryRun.settings") == wanted


@pytest.mark.parametrize(
    "asked, shown",
    [
        ("beta=-3&n=1&seed=x&d=7&kind=XA&mask=2&until=5", {"beta": 0, "n": 2, "seed": 1, "d": 3, "kind": "SA"}),
        ("beta=99&n=1e9&seed=&start=toString", {"beta": 25, "n": 128, "seed": 1, "start": "random"}),
        ("start=ring&d=3", {"start": "ring", "d": 2}),
        ("start=orthogonal&n=33&d=2", {"start": "orthogonal", "n": 33, "d": 64}),
        ("what-to-try", {"beta": 4, "n": 64}),
    ],
)
def test_an_address_that_asks_for_too_much_opens_what_is_nearest(opened, asked, shown):
    found = opened(asked).page.evaluate("() => laboratoryRun.settings")
    assert {name: found[name] for name in shown} == shown


def test_settings_that_exclude_each_other_follow_the_latest_change(opened):
    page = opened().page
    start, dimension, tokens = (
        page.get_by_label(name, exact=True) for name in ("Start", "Dimension d", "Number of tokens n")
    )
    start.select_option("nearly even ring")
    assert dimension.input_value() == "2" and page.get_by_label("Turn").is_hidden()
    dimension.select_option("3 (sphere)")
    assert start.input_value() == "random" and page.get_by_label("Turn").is_visible()
    start.select_option("at right angles")
    assert dimension.input_value() == "64"
    dimension.select_option("8")
    assert tokens.input_value() == "8"


def test_a_ring_of_too_few_tokens_promises_no_groups(opened):
    page = opened("start=ring&beta=25&n=12").page
    assert "has 7 crests; there are too few tokens for it." in page.locator("figcaption").inner_text()
    assert page.locator(".lab-theory").count() == 0


def test_without_energy_there_is_no_curve(opened):
    page = opened("beta=0&n=8&until=3").page
    page.get_by_role("button", name="Step").click()
    assert "none at β = 0" in page.locator(".lab-reading").inner_text()
    assert page.locator(".lab-energy").get_attribute("d") == "" != page.locator(".lab-cosine").get_attribute("d")


# --- the page: motion ---


def position(page):
    return page.evaluate("() => laboratoryRun.path.length")


def test_a_run_starts_by_itself_unless_motion_is_unwelcome(opened):
    short = "n=4&until=1"
    moving, still = opened(short, reduced_motion="no-preference").page, opened(short).page
    moving.wait_for_function("() => laboratoryRun.path.length > 5")
    assert position(still) == 1 and still.get_by_role("button", name="Play").is_visible()


def test_play_pause_step_and_reset_by_keyboard(opened):
    page = opened("n=4&until=3").page
    status = page.get_by_role("status")
    assert status.inner_text() == ""
    page.get_by_role("button", name="Play").press("Enter")
    page.wait_for_function("() => laboratoryRun.path.length > 5")
    assert status.inner_text() == ""  # nothing is read out while tokens move
    page.get_by_role("button", name="Pause").press("Space")
    there = position(page)
    page.wait_for_timeout(200)
    assert position(page) == there and re.match(r"Paused at time [\d.]+: \d groups?, mean cosine", status.inner_text())
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert position(page) == there + 1 and status.inner_text().startswith("Now at time")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert position(page) == 1 and page.get_by_role("button", name="Play").is_visible()
    page.get_by_role("button", name="Play").press("Enter")
    page.get_by_role("button", name="Reset").press("Enter")
    page.wait_for_timeout(200)
    assert position(page) == 1 and status.inner_text().startswith("Back at time 0: 4 groups")


def test_a_run_that_is_played_is_the_one_that_is_computed(opened):
    page = opened("n=3&d=3&until=1&seed=9").page
    page.get_by_role("button", name="Play").click()
    page.wait_for_function("() => laboratoryRun.path.length > 30")
    page.evaluate(FINISH)
    page.get_by_role("button", name="Replay").wait_for()
    run = page.evaluate(RUN)
    theirs = mf.simulate(shape(run)[0], 4.0, run["times"], dt=0.1)
    torch.testing.assert_close(torch.from_numpy(shape(run)), theirs, atol=1e-12, rtol=0)
    assert page.get_by_role("status").inner_text().startswith("End at time 1:")
    assert page.get_by_role("button", name="Step").is_disabled()
    page.get_by_role("button", name="Replay").click()
    page.wait_for_function("() => laboratoryRun.path.length < 100")


def test_a_change_while_it_plays_starts_the_new_run(opened):
    page = opened("n=4&until=100000&d=2").page
    page.get_by_role("button", name="Play").click()
    page.get_by_label("Inverse temperature").press("ArrowRight")
    assert page.evaluate("() => laboratoryRun.settings.beta") == 4.5
    page.wait_for_function("() => laboratoryRun.path.length > 3")
    page.get_by_role("button", name="Pause").click()
    page.get_by_label("Inverse temperature").press("ArrowRight")
    page.wait_for_timeout(100)
    assert position(page) == 1


def test_a_link_to_a_section_leaves_the_run_alone(opened):
    page = opened("n=4").page
    page.get_by_role("button", name="Step").click()
    page.evaluate("() => { window.location.hash = 'what-is-shown'; }")
    page.wait_for_timeout(100)
    assert position(page) == 2 and page.evaluate("() => laboratoryRun.settings.n") == 4


def test_a_long_run_leaves_the_page_responsive(opened):
    page = opened("n=128&d=2&beta=12&until=100&kind=USA").page
    assert "very many steps" in page.locator("figcaption").inner_text()
    page.get_by_role("button", name="Play").click()
    page.wait_for_timeout(200)
    page.get_by_role("button", name="Pause").click(timeout=3000)
    assert position(page) < 20


# --- the page: picture and curves ---

INK = """(at) => {
  const canvas = document.querySelector("#laboratory canvas");
  const scale = canvas.width / canvas.clientWidth;
  const { data } = canvas.getContext("2d").getImageData(at[0] * scale, at[1] * scale, 1, 1);
  return [...data];
}"""


@pytest.mark.parametrize("d", [2, 3])
def test_the_picture_shows_every_token_where_it_is(opened, d):
    page = opened(f"n=5&d={d}&seed=4&turn=40&tilt=-30").page
    page.get_by_role("button", name="Step").click()
    size = page.locator("#laboratory canvas").bounding_box()["width"]
    x = np.reshape(page.evaluate("() => [...laboratoryRun.path[laboratoryRun.path.length - 1]]"), (5, d))
    if d == 3:  # turn about the vertical axis, then tilt the upper end toward the reader
        turn, tilt = np.radians([40, -30])
        x = x @ np.array([[np.cos(turn), -np.sin(turn), 0], [np.sin(turn), np.cos(turn), 0], [0, 0, 1]]).T
        near = np.sin(tilt) * x[:, 2] - np.cos(tilt) * x[:, 1] > 0
        x = np.stack([x[:, 0], np.cos(tilt) * x[:, 2] + np.sin(tilt) * x[:, 1]], 1)
        assert 0 < near.sum() < 5
    ink = np.array([page.evaluate(INK, place) for place in (size / 2 + (size / 2 - 22) * x * [1, -1]).tolist()])
    assert (ink[:, 2] > ink[:, 0] + 50).all() and (ink[:, 3] > 90).all()
    if d == 3:  # tokens behind are pale
        assert ((ink[:, 0] < 100) == near).all()


def test_the_mark_is_at_the_predicted_time(opened):
    page = opened("start=orthogonal&d=8&n=8&beta=4&until=30").page
    drawn = "(name) => [...document.querySelectorAll(name)].map((path) => path.getAttribute('d'))"
    (mark,) = [path for path in page.evaluate(drawn, ".lab-theory") if "V" in path]
    left, _, _, right = re.findall(r"[\d.]+", page.evaluate(drawn, ".lab-axis")[0])
    time = float(mf.clustering_time(8, 4.0))
    share = (float(re.match(r"M([\d.]+)", mark)[1]) - float(left)) / (float(right) - float(left))
    assert 30 * 10 ** (3 * (share - 1)) == pytest.approx(time, rel=1e-6)
    assert f"at time {time:.3g}." in page.locator("figcaption").inner_text()
    assert f"equation: {time:.3g}" in page.locator("#laboratory svg").text_content()


@pytest.mark.parametrize("mask", [0, 1])
def test_the_second_token_has_a_curve_under_a_mask(opened, mask):
    page = opened(f"n=4&mask={mask}").page
    assert ("second token with first" in page.locator("#laboratory svg").text_content()) == bool(mask)
    assert page.locator(".lab-second").count() == mask


def test_a_drag_and_the_keys_turn_the_sphere(opened):
    page = opened("n=8&turn=0&tilt=0").page
    page.get_by_role("button", name="Step").click()
    picture = page.evaluate("() => document.querySelector('#laboratory canvas').toDataURL()")
    box = page.locator("#laboratory canvas").bounding_box()
    middle = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(*middle)
    page.mouse.down()
    page.mouse.move(middle[0] + 60, middle[1] + 20, steps=4)
    page.mouse.up()
    assert (settings_in(page)["turn"], settings_in(page)["tilt"]) == ("30", "10")
    assert page.evaluate("() => document.querySelector('#laboratory canvas').toDataURL()") != picture
    page.get_by_label("Turn").press("ArrowRight")
    page.get_by_label("Tilt").press("ArrowLeft")
    assert (settings_in(page)["turn"], settings_in(page)["tilt"]) == ("32", "8")
    assert position(page) == 2  # to turn is to look, and starts nothing


def test_a_finger_turns_the_sphere_and_scrolls_the_page(opened):
    visit = opened("n=8&turn=0&tilt=0", viewport=browsing.PHONE, has_touch=True, is_mobile=True)
    page = visit.page
    page.locator("#laboratory canvas").scroll_into_view_if_needed()
    touch = page.context.new_cdp_session(page)

    def swipe(across, down):
        box = page.locator("#laboratory canvas").bounding_box()
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        touch.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": [{"x": x, "y": y}]})
        for part in range(1, 9):
            point = {"x": x + across * part / 8, "y": y + down * part / 8}
            touch.send("Input.dispatchTouchEvent", {"type": "touchMove", "touchPoints": [point]})
        touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
        page.wait_for_timeout(300)

    before = page.evaluate("() => window.scrollY")
    swipe(100, 0)
    assert 30 <= int(settings_in(page)["turn"]) <= 50 and page.evaluate("() => window.scrollY") == before
    turned = settings_in(page)["turn"]
    swipe(0, -150)
    assert page.evaluate("() => window.scrollY") > before + 50 and settings_in(page)["turn"] == turned


# --- the page: everyone ---


@pytest.mark.parametrize("settings", ["n=8&d=3&mask=1", "n=8&d=2&until=3", "n=8&d=64"])
def test_the_page_can_be_read_by_everyone(opened, settings):
    visit = opened(settings)
    visit.page.get_by_role("button", name="Step").click()
    visit.inspect("1280 px")
    visit.axe("light")
    visit.page.emulate_media(color_scheme="dark")
    visit.settle(200)
    visit.axe("dark")
    visit.page.set_viewport_size(browsing.PHONE)
    visit.settle(700)
    visit.axe("phone")
    visit.inspect("390 px")
    if "d=64" in settings:
        visit.use()


def test_colors_can_be_told_from_their_ground():
    style = (PROJECT / "book" / "_static" / "mean_field_laboratory.css").read_text(encoding="utf-8")
    light, dark = (dict(re.findall(r"--lab-(\w+): (#\w{6})", part)) for part in style.split("html[data-theme=", 1))
    for colors, ground in ((light, "#ffffff"), (dark, "#121212")):
        for name in ("token", "first", "theory"):
            assert contrast(colors[name], ground) >= 4.5, name
        assert contrast(colors["line"], ground) >= 3


def test_paper_shows_the_end_of_the_run_without_controls(opened):
    page = opened("n=8&until=3&d=2", color_scheme="dark").page
    page.emulate_media(media="print")
    page.pdf()  # fires what printing fires
    assert page.evaluate("() => laboratoryRun.done")
    assert page.locator("#laboratory canvas").is_visible() and page.locator("figcaption").is_visible()
    for hidden in (".lab-controls", ".lab-buttons", ".lab-view"):
        assert page.locator(hidden).is_hidden()


def test_without_scripts_a_sentence_says_what_is_missing(site, started):
    context = started.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{site.resolve().as_uri()}/{NAME}")
    assert "a browser that runs scripts" in page.locator("#laboratory").inner_text()
    context.close()
