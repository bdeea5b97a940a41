"""The explorer in a browser: by mouse, touch, and keyboard, in light and dark, and with nothing from elsewhere.

Its page is built by Sphinx with the extensions of the book, beside stand-ins for chapters that have figures and claims,
from a survey of a tiny model.
"""

import dataclasses
import re
import subprocess
import sys
from urllib.parse import parse_qsl

import browsing
import numpy as np
import pytest
import tiny_survey
from bs4 import BeautifulSoup
from conftest import PROJECT
from test_comfort import contrast

import tokengeom_utils as tg
from tokengeom_utils.site.explorer.folder import Folder
from tokengeom_utils.site.explorer.index import index_script
from tokengeom_utils.surveys.complete import complete
from tokengeom_utils.surveys.plan import LazyModel, Plan
from tokengeom_utils.surveys.request import make_request

sys.path.insert(0, str(PROJECT / "book" / "extensions"))
import explorer_links

NAME = "book/explorer.html"
PAGE = (PROJECT / "book" / "explorer.md").read_text(encoding="utf-8")
STATIC = PROJECT / "book" / "_static"
SHOWN = "() => document.getElementById('laboratory').dataset.shown"
#: where a token is drawn, in pixels of the window; plotly keeps the camera to itself
PIXEL = """(token) => {
  const element = document.querySelector(".explorer-scene");
  const { glplot: { cameraParams: camera }, dataScale } = element._fullLayout.scene._scene;
  const times = (m, v) => [0, 1, 2, 3].map((row) => v.reduce((sum, value, i) => sum + m[4 * i + row] * value, 0));
  const trace = element.data.find(({ customdata }) => customdata && customdata.includes(token));
  const at = trace.customdata.indexOf(token);
  const point = ["x", "y", "z"].map((axis, i) => trace[axis][at] * dataScale[i]).concat(1);
  const [x, y, , w] = times(camera.projection, times(camera.view, times(camera.model, point)));
  const box = element.getBoundingClientRect();
  return [box.left + (box.width * (x / w + 1)) / 2, box.top + (box.height * (1 - y / w)) / 2];
}"""

#: where a curve passes a layer, in pixels of the window
CURVE = """([i, layer]) => {
  const plot = document.querySelectorAll(".explorer-plot")[i];
  plot.scrollIntoView({ block: "center" });
  const { xaxis, yaxis, _size: size } = plot._fullLayout;
  const box = plot.getBoundingClientRect();
  return [box.left + size.l + xaxis.d2p(layer), box.top + size.t + yaxis.d2p(0.3)];
}"""


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """A survey of eight prompts of as many kinds, two of them shuffled, and the folder of the explorer's files."""
    model = LazyModel(tiny_survey.save_model(tmp_path_factory.mktemp("model")), name="tiny")
    prompts = [dataclasses.replace(prompt, domain=f"kind {i}") for i, prompt in enumerate(tiny_survey.prompts(8))]
    prompts[1] = tg.Prompt("a & b=1 #<i>", "<b>kind</b>", prompts[1].text)  # must stay text
    request = make_request("tiny", prompts, (0, 1, 3), **{**tiny_survey.REQUEST, "n_shuffled": 2, "seed": 42})
    plan, path = Plan(model, prompts, request), tmp_path_factory.mktemp("explorer")
    folder = Folder(path, plan)
    results = complete(plan._replace(watch=folder.watch), tmp_path_factory.mktemp("survey") / "x.zarr")
    (path / "index.js").write_text(index_script(results, prompts, folder.chosen), encoding="utf-8")
    return path, results


@pytest.fixture(scope="module")
def site(measured, tmp_path_factory):
    """The explorer, and two chapters with a figure each, one of them with the claims."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("site")
    claims = tg.claims.cards(tg.evaluate(tg.open_results("standard")))
    pages = {
        "index": "# Index\n\n```{toctree}\n:glob:\n\nbook/*\nnotebooks/*\n```\n",
        "book/explorer": PAGE,
        "notebooks/chapter": "# Chapter\n\n```{figure} x.png\n:name: fig-id-depth\n\nA caption.\n```\n\n"
        "```{figure} x.png\n:name: fig-of-a-shape\n\nA caption.\n```\n",
        "notebooks/reproduction_report": f"# Report\n\n{claims}\n",
    }
    for name, text in pages.items():
        (source / f"{name}.md").parent.mkdir(exist_ok=True)
        (source / f"{name}.md").write_text(text, encoding="utf-8")
    (source / "notebooks" / "x.png").write_bytes((STATIC / "card.png").read_bytes())
    (source / "conf.py").write_text(
        f"import sys\nsys.path.insert(0, {str(PROJECT / 'book' / 'extensions')!r})\nsys.dont_write_bytecode = True\n"
        "extensions = ['myst_parser', 'sphinx_proof', 'sphinx-mathjax-offline']\n"
        "extensions += ['assets', 'laboratories', 'explorer_links', 'markup', 'lean']\n"
        "myst_enable_extensions = ['dollarmath', 'deflist']\nhtml_theme = 'sphinx_book_theme'\nhtml_title = 'Book'\n"
        f"html_favicon = {str(STATIC / 'favicon.svg')!r}\n"
        f"templates_path = [{str(PROJECT / 'book' / 'templates')!r}]\n"
        f"html_static_path = [{str(STATIC)!r}]\nhtml_css_files = ['book.css']\n"
        "html_js_files = [['book.js', {'defer': 'defer'}]]\nhtml_context = {'default_mode': 'auto'}\n"
    )
    done = subprocess.run([sys.executable, "-m", "sphinx", "-q", str(source), str(out)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (out / "_static" / "explorer").symlink_to(measured[0])
    return out


@pytest.fixture(scope="module")
def started():
    with browsing.browser() as found:
        yield found


@pytest.fixture
def opened(site, started):
    """Opens the explorer from its file, for a mouse in the light unless told otherwise."""
    visits = []

    def visit(settings="", base=None, **options):
        context = started.new_context(**{"viewport": browsing.DESKTOP, "reduced_motion": "reduce", **options})
        address = NAME + (f"#{settings}" if settings else "")
        visits.append(browsing.Visit(context, base or site.resolve().as_uri(), address))
        visits[-1].page.wait_for_function(SHOWN)
        return visits[-1]

    yield visit
    for one in visits:
        one.page.context.close()
        assert not one.findings, one.findings


def settings_in(page):
    return dict(parse_qsl(page.evaluate("() => window.location.hash.slice(1)")))


def wait_for(page, **settings):
    """Wait until the address holds settings and the page shows them, and return all of them."""
    for name, value in settings.items():
        page.wait_for_function(
            "([name, value]) => new URLSearchParams(location.hash.slice(1)).get(name) === value", arg=[name, str(value)]
        )
    page.wait_for_function("() => document.getElementById('laboratory').dataset.ready")
    return settings_in(page)


def layer_shown(page, cloud, layer):
    page.wait_for_function(f"() => document.getElementById('laboratory').dataset.shown === '{cloud} {layer}'")


def free_token(page):
    """A token that stands apart from the others on the screen, and where."""
    places = np.array([page.evaluate(PIXEL, token) for token in range(64)])
    gaps = np.linalg.norm(places[:, None] - places[None], axis=-1) + 1e3 * np.eye(64)
    token = int(gaps.min(1).argmax())
    return token, *places[token]


# --- every way to choose ---


def test_it_opens_with_a_cloud_and_its_words(opened, measured):
    page = opened().page
    assert page.evaluate(SHOWN) == "0-0 0"
    dimension = float(measured[1].intrinsic_dimension.isel(prompt=0).sel(shuffle=0, scale=2, layer=0))
    page.get_by_text(f"range scaling 2): {dimension:.2f}").wait_for()
    assert page.get_by_text("Model: tiny.").is_visible()
    assert page.locator(".explorer-text [role=option]").count() == 64
    about = page.locator(".explorer-about").text_content()
    assert re.search(r"Layer 0 of 2\. The picture holds \d+% of the variance", about)


def test_a_mouse_chooses_everything(opened):
    page = opened("layer=1").page
    orders = page.get_by_label("Order of the tokens", exact=True)
    orders.select_option("all shuffled (S = 3)")
    assert wait_for(page, degree=3)["prompt"] == "text-0"
    layer_shown(page, "0-3", 1)
    page.get_by_label("Prompt", exact=True).select_option("kind 5 (text-5)")  # never shuffled
    assert wait_for(page, prompt="text-5")["degree"] == "0"
    layer_shown(page, "5-0", 1)
    page.get_by_text("This prompt is here in order only; shuffled are kind 0, <b>kind</b>.").wait_for()
    enabled = orders.locator("option").evaluate_all("all => all.filter((one) => !one.disabled).map((one) => one.value)")
    assert enabled == ["0"]
    page.get_by_label("Color", exact=True).select_option("loss")
    page.get_by_text("nats").first.wait_for()
    page.get_by_role("button", name="One layer forward").click()
    layer_shown(page, "5-0", 2)
    forward = page.get_by_role("button", name="One layer forward")
    assert forward.get_attribute("aria-disabled") == "true"
    forward.focus()
    page.keyboard.press("Enter")
    assert forward.evaluate("(one) => one === document.activeElement")  # the focus is not lost
    page.get_by_text("none: there is no next layer", exact=True).wait_for()


def test_a_click_on_a_point_chooses_its_token(opened):
    page = opened().page
    token, x, y = free_token(page)
    page.mouse.move(x - 2, y - 2)
    page.mouse.move(x, y)
    page.locator(".hovertext").get_by_text(f"token {token + 1}").wait_for()
    page.mouse.click(x, y)
    wait_for(page, token=token + 1)
    page.get_by_text(f"is token {token + 1}:").wait_for()


def test_a_click_chooses_the_token_whose_label_is_shown(opened):
    """Also where tokens lie behind one another."""
    page = opened("layer=2").page
    box = page.locator(".explorer-scene").bounding_box()
    seen = 0
    for across, down in np.random.default_rng(0).uniform(0.35, 0.65, (40, 2)):
        x, y = box["x"] + across * box["width"], box["y"] + down * box["height"]
        page.mouse.move(x - 1, y - 1)
        page.mouse.move(x, y)
        page.wait_for_timeout(120)
        label = page.locator(".hovertext").all_text_contents()
        if not label:
            continue
        page.mouse.click(x, y)
        wait_for(page, token=int(re.search(r"token (\d+)", label[0])[1]))
        seen += 1
        if seen == 4:
            return
    assert seen  # otherwise nothing was tried


def test_a_label_goes_when_the_cloud_turns(opened):
    page = opened().page
    _, x, y = free_token(page)
    page.mouse.move(x - 2, y - 2)
    page.mouse.move(x, y)
    page.locator(".hovertext").first.wait_for()
    page.get_by_label("Turn", exact=True).focus()
    page.keyboard.press("ArrowRight")
    wait_for(page, turn=32)
    page.locator(".hovertext").first.wait_for(state="detached")


def test_a_tap_on_a_point_chooses_its_token(opened):
    page = opened(viewport=browsing.PHONE, has_touch=True, is_mobile=True).page
    page.locator(".explorer-scene").scroll_into_view_if_needed()
    token, x, y = free_token(page)
    page.touchscreen.tap(x, y)
    wait_for(page, token=token + 1)


def test_a_drag_that_starts_on_a_point_chooses_nothing(opened):
    page = opened().page
    _, x, y = free_token(page)
    page.mouse.move(x, y)
    page.mouse.down()
    page.wait_for_timeout(150)
    page.mouse.move(x + 60, y + 10, steps=8)
    page.mouse.up()
    page.wait_for_timeout(300)
    settings = settings_in(page)
    assert settings["token"] == "0" and settings["turn"] != "30"


def test_fingers_turn_and_zoom_and_leave_scrolling_to_the_page(opened):
    page = opened(viewport=browsing.PHONE, has_touch=True, is_mobile=True).page
    send = page.context.new_cdp_session(page).send

    def swipe(*steps):
        """Move fingers; places are relative to the middle of the picture."""
        page.locator(".explorer-scene").evaluate("(one) => one.scrollIntoView({ block: 'center' })")
        box = page.locator(".explorer-scene").bounding_box()
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        for kind, points in zip(("touchStart", *["touchMove"] * (len(steps) - 1)), steps, strict=True):
            send(
                "Input.dispatchTouchEvent", {"type": kind, "touchPoints": [{"x": x + a, "y": y + b} for a, b in points]}
            )
            page.wait_for_timeout(40)
        send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})

    swipe(*([(shift, 0)] for shift in range(0, 90, 10)))
    page.wait_for_function("() => /turn=(?!30&)/.test(location.hash)")
    turned = settings_in(page)["turn"]
    page.get_by_role("button", name="One layer forward").tap()
    assert wait_for(page, layer=1)["turn"] == turned
    swipe(*([(-shift, 0), (shift, 0)] for shift in range(20, 80, 10)))
    page.wait_for_function("() => Number(new URLSearchParams(location.hash.slice(1)).get('zoom')) > 1.5")
    swipe(*([(0, 80 - shift)] for shift in range(0, 160, 20)))
    middle = "document.querySelector('.explorer-scene').getBoundingClientRect()"
    page.wait_for_function(f"() => {middle}.top + {middle}.height / 2 < window.innerHeight / 2 - 50")  # it has scrolled
    assert settings_in(page)["turn"] == turned


def test_a_wheel_scrolls_and_zooms_with_ctrl(opened):
    page = opened().page
    box = page.locator(".explorer-scene").bounding_box()
    page.mouse.move(box["x"] + 50, box["y"] + 50)
    page.mouse.wheel(0, 200)
    page.wait_for_function("() => window.scrollY > 100")
    page.keyboard.down("Control")
    page.mouse.wheel(0, -100)
    page.keyboard.up("Control")
    page.wait_for_function("() => Number(new URLSearchParams(location.hash.slice(1)).get('zoom')) > 1.2")
    page.get_by_role("button", name="Reset view").click()
    wait_for(page, zoom=1)


def test_a_drag_turns_the_cloud_and_the_address_knows_it(opened):
    page = opened().page
    box = page.locator(".explorer-scene").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 80, y, steps=8)
    page.mouse.move(x, 5, steps=4)  # and outside the picture
    page.mouse.up()
    page.wait_for_function("() => /turn=(?!30&)/.test(location.hash)")
    turned = int(settings_in(page)["turn"])
    page.get_by_role("button", name="One layer forward").click()
    wait_for(page, layer=1)
    assert int(settings_in(page)["turn"]) == turned


@pytest.mark.parametrize("touch", [False, True], ids=["mouse", "touch"])
def test_a_click_on_a_curve_chooses_the_layer(opened, touch):
    page = opened(**({"viewport": browsing.PHONE, "has_touch": True, "is_mobile": True} if touch else {})).page
    page.locator(".explorer-plot .nsewdrag").nth(2).wait_for()
    for i in range(3):
        for layer in (2, 1):
            place = page.evaluate(CURVE, [i, layer])
            page.touchscreen.tap(*place) if touch else page.mouse.click(*place)
            wait_for(page, layer=layer)


def test_the_keyboard_reaches_everything(opened):
    page = opened().page
    page.get_by_label("Layer", exact=True).focus()
    page.keyboard.press("ArrowRight")
    wait_for(page, layer=1)
    text = page.get_by_role("listbox")
    text.focus()
    page.keyboard.press("ArrowRight")
    wait_for(page, token=1)
    page.keyboard.press("End")
    wait_for(page, token=64)
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowUp")
    wait_for(page, token=54)
    assert text.get_attribute("aria-activedescendant") == "token-53"
    assert page.locator("#token-53").get_attribute("aria-selected") == "true"
    assert page.locator("[role=option][aria-selected=true]").count() == 1
    page.get_by_role("button", name=re.compile("^Choose token")).first.focus()
    page.keyboard.press("Enter")
    page.wait_for_function("() => !location.hash.includes('token=54&')")
    assert page.evaluate("() => document.activeElement.className") == "explorer-token"
    text.focus()
    page.keyboard.press("Escape")
    wait_for(page, token=0)
    page.keyboard.press("Home")
    page.get_by_role("button", name="Clear the chosen token").focus()
    page.keyboard.press("Enter")
    wait_for(page, token=0)
    assert not text.get_attribute("aria-activedescendant")
    # One stop for the whole text, not one for each token.
    assert page.evaluate("() => [...document.querySelectorAll('.explorer-text [tabindex]')].length") == 0


def test_a_search_finds_tokens_one_after_the_other(opened):
    page = opened().page
    letters = page.locator(".explorer-text [role=option]").all_text_contents()
    places = [i for i, letter in enumerate(letters) if letter == "e"]
    page.get_by_label("Find a token").fill("E ")
    page.get_by_text(f"{len(places)} of 64 tokens", exact=True).wait_for()
    assert page.locator(".explorer-text .found").count() == len(places)
    for place in [*places, places[0]]:
        page.keyboard.press("Enter")
        wait_for(page, token=place + 1)
    page.get_by_label("Find a token").fill("<i>")
    page.get_by_text("0 of 64 tokens", exact=True).wait_for()
    assert page.get_by_role("button", name="Choose the next token found").is_disabled()


def test_a_search_finds_a_phrase_over_several_tokens(opened):
    page = opened().page
    letters = page.locator(".explorer-text [role=option]").all_text_contents()
    place = next(i for i in range(64) if all(letter.isalpha() for letter in letters[i : i + 3]))
    page.get_by_label("Find a token").fill("".join(letters[place : place + 3]))
    page.keyboard.press("Enter")
    token = int(settings_in(page)["token"]) - 1
    assert "".join(letters[token : token + 3]) == "".join(letters[place : place + 3])
    assert page.locator(".explorer-text .found").count() >= 3


def test_a_chosen_token_is_followed_into_the_shuffled_text_and_left_with_its_prompt(opened):
    page = opened("token=11&prompt=text-0").page
    letter = page.locator("#token-10").text_content()
    page.get_by_label("Order of the tokens", exact=True).select_option("all shuffled (S = 3)")
    layer_shown(page, "0-3", 0)
    page.wait_for_function("() => document.getElementById('laboratory').dataset.ready")
    place = int(settings_in(page)["token"]) - 1
    origin = page.evaluate("async () => (await ExplorerData.cloud(await ExplorerData.index, '0-3')).origin")
    assert origin[place] == 10 and page.locator(f"#token-{place}").text_content() == letter
    page.get_by_label("Prompt", exact=True).select_option("kind 3 (text-3)")
    wait_for(page, prompt="text-3", token=0)


def test_a_link_of_the_page_leaves_what_it_does_not_name(opened):
    page = opened("prompt=text-3&layer=2").page
    page.evaluate("() => { window.location.hash = '#layer=1&color=loss'; }")
    layer_shown(page, "3-0", 1)
    page.evaluate("() => { window.location.hash = '#layer=peak'; }")
    wait_for(page, prompt="text-3", color="loss")


def test_an_address_with_something_impossible_says_what_is_shown(opened):
    page = opened("prompt=text-5&degree=3&layer=99").page
    assert wait_for(page, layer=2, degree=0)["prompt"] == "text-5"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_tokens_that_are_no_neighbors_are_drawn_opaque(opened, scheme):
    """WebGL adds the colors of points that let others through."""
    page = opened("layer=1&color=rank&token=11", color_scheme=scheme).page
    colors = page.evaluate("() => document.querySelector('.explorer-scene').data[0].marker.color")
    assert not any("rgba" in color for color in colors) and len(set(colors)) > 2
    page.get_by_role("button", name="Clear the chosen token").click()
    page.get_by_text("(choose a token)").wait_for()


def test_a_zoom_is_a_short_number(opened):
    page = opened().page
    zoom = page.get_by_label("Zoom", exact=True)
    zoom.focus()
    for _ in range(8):
        page.keyboard.press("ArrowRight")
    assert re.fullmatch(r"\d(\.\d)?", wait_for(page, layer=0)["zoom"])
    shown = page.locator(".lab-view .lab-row span").all_text_contents()
    assert all(len(text) < 6 for text in shown), shown


def test_paper_gets_a_picture_of_the_cloud(opened):
    page = opened("layer=2").page
    page.evaluate("() => window.dispatchEvent(new Event('beforeprint'))")
    colors = page.evaluate("""async () => {
      const image = document.querySelector(".explorer-still");
      await image.decode();
      const canvas = document.createElement("canvas");
      [canvas.width, canvas.height] = [image.naturalWidth, image.naturalHeight];
      const context = canvas.getContext("2d");
      context.drawImage(image, 0, 0);
      const { data } = context.getImageData(0, 0, canvas.width, canvas.height);
      const found = new Set();
      for (let i = 0; i < data.length; i += 4) if (data[i + 3] > 200) found.add(data.slice(i, i + 3).join());
      return found.size;
    }""")
    assert colors > 20  # points of many colors, and not an empty box
    page.emulate_media(media="print")
    assert page.locator(".explorer-still").is_visible() and not page.locator(".explorer-scene").is_visible()
    assert not page.get_by_role("button", name="Reset view").is_visible()
    page.evaluate("() => window.dispatchEvent(new Event('afterprint'))")
    assert page.locator(".explorer-still").count() == 0


def test_neighbors_are_those_of_the_cloud_and_lead_on(opened):
    page = opened("token=11&layer=0&k=8").page
    lists = page.locator(".explorer-lists ol")
    label = "all => all.map((one) => one.getAttribute('aria-label'))"
    names = [lists.nth(i).get_by_role("button").evaluate_all(label) for i in (0, 1)]
    numbers = [[int(re.search(r"token (\d+)", name)[1]) for name in some] for some in names]
    data = page.evaluate("""async () => {
      const index = await ExplorerData.index;
      const cloud = await ExplorerData.cloud(index, "0-0");
      return [cloud.neighbors(0, 10, 8), cloud.neighbors(1, 10, 8), cloud.overlap(0, 8, 10), cloud.overlap(0, 8)];
    }""")
    assert numbers == [[i + 1 for i in some] for some in data[:2]]
    stay = {*data[0]} & {*data[1]}
    assert data[2] == len(stay) / 8
    assert sum("both layers" in name for name in names[0]) == len(stay)
    page.get_by_text(f"{len(stay)} of 8 stay").wait_for()
    page.get_by_text(f"{round(100 * data[3])}% of the 8 nearest neighbors stay").wait_for()
    lists.nth(0).get_by_role("button").first.click()
    wait_for(page, token=numbers[0][0])


def test_the_overlap_is_that_of_the_survey(opened, measured):
    found = opened().page.evaluate("""async () => {
      const cloud = await ExplorerData.cloud(await ExplorerData.index, "1-3");
      return [1, 2, 4, 8].map((k) => [0, 1].map((layer) => cloud.overlap(layer, k)));
    }""")
    wanted = measured[1].neighborhood_overlap.isel(prompt=1).sel(shuffle=3, k=[1, 2, 4, 8], layer=[0, 1])
    np.testing.assert_allclose(found, wanted.transpose("k", "layer"), atol=1e-12)


def test_it_plays_to_the_last_layer_and_stops(opened):
    page = opened("layer=0").page
    page.get_by_role("button", name="Play").click()
    page.get_by_role("button", name="Pause").wait_for()
    layer_shown(page, "0-0", 2)
    page.get_by_role("button", name="Play").wait_for()
    assert settings_in(page)["layer"] == "2"
    page.get_by_role("button", name="Play").click()  # from the start again
    layer_shown(page, "0-0", 0)
    page.get_by_role("button", name="Pause").click()
    page.get_by_role("button", name="Play").wait_for()


# --- links ---


@pytest.mark.parametrize(
    "settings, shown",
    [
        ("layer=last", "0-0 2"),
        ("degree=last&layer=0", "0-3 0"),
        ("prompt=text-5&degree=1&layer=1", "5-0 1"),
        ("prompt=nobody&layer=99&degree=7&token=-4&color=<b>", "0-0 2"),
        ("prompt=constructor&layer=peak", None),
        ("prompt=a%20%26%20b%3D1%20%23%3Ci%3E&layer=0", "1-0 0"),
        ("what-to-try", "0-0 0"),
    ],
)
def test_links_open_what_they_say_or_something_near(opened, measured, settings, shown):
    page = opened(settings).page
    if shown is None:  # the peak, after layer 0
        profile = measured[1].intrinsic_dimension.isel(prompt=0).sel(shuffle=0, scale=2)[1:]
        shown = f"0-0 {int(profile.idxmax('layer'))}"
    layer_shown(page, *shown.split())
    if "=" not in settings:
        assert page.evaluate("() => location.hash") == f"#{settings}"


def test_a_prompt_with_odd_signs_stays_text_and_keeps_its_link(opened):
    visit = opened()
    page = visit.page
    page.get_by_label("Prompt", exact=True).select_option("<b>kind</b> (a & b=1 #<i>)")
    layer_shown(page, "1-0", 0)
    settings = page.url.split("#")[1]
    again = opened(settings).page
    assert again.evaluate(SHOWN) == "1-0 0" and again.locator("main b").count() == 0


def test_chapters_and_claims_lead_to_the_explorer(site, opened):
    chapter = BeautifulSoup((site / "notebooks" / "chapter.html").read_text("utf-8"), "html.parser")
    links = chapter.select("a.explorer-link")
    assert [link["href"] for link in links] == ["../book/explorer.html#layer=peak&color=local"]
    assert links[0].find_previous("figure")["id"] == "fig-id-depth"
    report = BeautifulSoup((site / "notebooks" / "reproduction_report.html").read_text("utf-8"), "html.parser")
    found = {int(term.get_text().split(".")[0]): [] for term in report.select("article dt")}
    assert set(found) == set(range(1, 17))
    for link in report.select("a.explorer-link"):
        found[int(link.find_previous("dt").get_text().split(".")[0])].append(link["href"].split("#")[1])
    assert {number: links for number, links in found.items() if links} == {
        number: [settings] for number, settings in explorer_links.CLAIMS.items()
    }


def test_figures_with_a_link_exist():
    chapters = "".join(path.read_text(encoding="utf-8") for path in (PROJECT / "notebooks").glob("*.md"))
    assert set(explorer_links.FIGURES) <= set(re.findall(r"name: (fig-[\w-]+)", chapters))


# --- everybody ---


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [browsing.DESKTOP, browsing.PHONE], ids=["desktop", "phone"])
def test_nothing_is_cut_and_axe_is_content(opened, size, scheme):
    visit = opened("token=11&layer=1&color=rank", viewport=size, color_scheme=scheme)
    visit.page.get_by_label("Find a token").fill("e")
    visit.inspect(scheme)
    visit.axe(scheme)


def test_tokens_can_be_read_on_every_color(opened):
    page = opened("color=position").page
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        page.wait_for_timeout(300)
        found = page.locator(".explorer-text [role=option]").evaluate_all(
            "all => all.map(one => [one.style.color, one.style.background].map(c => c.match(/\\d+/g).map(Number)))"
        )
        assert (
            min(contrast(*("#" + "".join(f"{part:02x}" for part in color) for color in pair)) for pair in found) >= 4.5
        )


def test_it_works_over_http_too(site, opened):
    with browsing.served(site) as base:
        page = opened("layer=2", base=base).page
        assert page.evaluate(SHOWN) == "0-0 2"
        page.context.close()


def test_without_webgl_the_cloud_is_drawn_flat(site, started):
    context = started.new_context(viewport=browsing.DESKTOP)
    context.add_init_script(
        "const get = HTMLCanvasElement.prototype.getContext;"
        "HTMLCanvasElement.prototype.getContext = function (kind, ...rest) {"
        "  return kind.includes('webgl') ? null : get.call(this, kind, ...rest); };"
    )
    visit = browsing.Visit(context, site.resolve().as_uri(), f"{NAME}#token=5")
    visit.page.wait_for_function(SHOWN)
    assert visit.page.locator(".explorer-scene .scatterlayer .point").count() > 60
    visit.page.get_by_label("Turn", exact=True).focus()
    visit.page.keyboard.press("ArrowRight")
    wait_for(visit.page, turn=32)
    context.close()
    assert not visit.findings


def test_without_javascript_the_page_says_what_is_missing(site, started):
    context = started.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{site.resolve().as_uri()}/{NAME}")
    assert page.get_by_text("needs a browser that runs scripts").is_visible()
    context.close()


def test_a_site_without_clouds_says_so(site, started, tmp_path):
    page = started.new_page()
    page.route("**/explorer/index.js", lambda route: route.abort())
    page.goto(f"{site.resolve().as_uri()}/{NAME}")
    page.get_by_text("This site was built without token clouds.").wait_for()
    page.close()


def test_a_cloud_that_is_missing_is_named_and_the_page_goes_on(site, started):
    page = started.new_page()
    page.route("**/explorer/2-0.js", lambda route: route.abort())
    page.goto(f"{site.resolve().as_uri()}/{NAME}")
    page.wait_for_function(SHOWN)
    errors = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.get_by_label("Prompt", exact=True).select_option("kind 2 (text-2)")
    page.wait_for_timeout(500)  # longer than until a page says that it loads
    page.get_by_text("This cloud cannot be shown: 2-0.js is missing.").wait_for()
    page.get_by_label("Find a token").fill("e")
    page.get_by_role("listbox").press("ArrowRight")
    page.get_by_label("Prompt", exact=True).select_option("kind 3 (text-3)")
    layer_shown(page, "3-0", 0)
    assert not errors
    page.close()


def test_a_slow_cloud_that_is_not_wanted_any_more_says_nothing(site, started):
    page = started.new_page()
    page.goto(f"{site.resolve().as_uri()}/{NAME}")
    page.wait_for_function(SHOWN)
    page.route("**/explorer/2-0.js", lambda route: (page.wait_for_timeout(600), route.continue_()))
    page.get_by_label("Prompt", exact=True).select_option("kind 2 (text-2)")
    page.get_by_label("Prompt", exact=True).select_option("kind 0 (text-0)")
    page.wait_for_timeout(1200)
    assert page.evaluate(SHOWN) == "0-0 0"
    assert page.locator(".explorer-about").text_content().startswith("Layer 0 of 2.")
    page.close()


def test_only_what_changed_is_announced(opened):
    page = opened("layer=0").page
    status = page.locator("#laboratory [role=status]")
    page.get_by_label("Find a token").fill("e")
    page.wait_for_function(
        "() => /^\\d+ of 64 tokens\\.$/.test(document.querySelector('#laboratory [role=status]').textContent)"
    )
    page.get_by_label("Color", exact=True).select_option("loss")
    page.wait_for_timeout(300)
    assert "of 64 tokens" in status.text_content()
    page.get_by_label("Prompt", exact=True).select_option("kind 3 (text-3)")
    page.wait_for_function(
        "() => document.querySelector('#laboratory [role=status]').textContent.startsWith('text-3, in order. Layer 0')"
    )


def test_the_cloud_can_be_turned_while_it_plays(opened):
    page = opened("layer=0", reduced_motion="no-preference").page
    page.get_by_role("button", name="Play").click()
    page.get_by_label("Turn", exact=True).focus()
    page.keyboard.press("ArrowRight")
    page.get_by_role("button", name="Pause").wait_for()
    layer_shown(page, "0-0", 2)
    page.get_by_role("button", name="Play").wait_for()
    assert wait_for(page, layer=2)["turn"] == "32"
    eye = page.evaluate("() => document.querySelector('.explorer-scene')._fullLayout.scene._scene.getCamera().eye")
    assert np.degrees(np.arctan2(eye["y"], eye["x"])) == pytest.approx(32, abs=0.5)


def test_curves_follow_when_one_change_overtakes_another(opened):
    page = opened("layer=0").page
    wait_for(page, layer=0)
    page.evaluate("""() => {
      for (const [id, value] of [["lab-layer", 2], ["lab-color", "loss"]]) {
        const control = document.getElementById(id);
        control.value = value;
        control.dispatchEvent(new Event("input", { bubbles: true }));
        control.dispatchEvent(new Event("change", { bubbles: true }));
      }
    }""")
    wait_for(page, layer=2, color="loss")
    lines = page.locator(".explorer-plot").evaluate_all("all => all.map((one) => one.layout.shapes.map((s) => s.x0))")
    assert all(2 in line for line in lines), lines


def test_only_the_explorer_loads_its_scripts(site):
    pages = {path.stem: path.read_text(encoding="utf-8") for path in site.rglob("*.html")}
    assert {stem for stem, text in pages.items() if "plotly" in text or "explorer.js" in text} == {"explorer"}
    assert (site / "_static" / "plotly.min.js").stat().st_size > 1e6


FRAMES = """() => {
  window.frames_seen = [];
  const { react } = Plotly;
  Plotly.react = (element, traces, ...rest) => {
    if (element.className.includes("explorer-scene")) {
      window.frames_seen.push([0, 1].map((at) => [traces[at].customdata, traces[at].x]));
    }
    return react(element, traces, ...rest);
  };
}"""


@pytest.mark.parametrize("motion", ["no-preference", "reduce"])
def test_tokens_glide_between_layers_unless_a_reader_wants_no_motion(opened, motion):
    page = opened("layer=0", reduced_motion=motion).page
    page.evaluate(FRAMES)
    page.get_by_role("button", name="One layer forward").click()
    layer_shown(page, "0-0", 1)
    found = page.evaluate("() => window.frames_seen")  # tokens inside the box, and at its rim
    frames = np.array(
        [[x for _, x in sorted(zip(*map(sum, zip(*frame, strict=True), ([], [])), strict=True))] for frame in found]
    )
    wanted = page.evaluate("async () => (await ExplorerData.cloud(await ExplorerData.index, '0-0')).axes(1)[0]")
    np.testing.assert_allclose(frames[-1], wanted, atol=1e-6)
    if motion == "reduce":
        assert len(frames) == 1
    else:
        assert len(frames) > 2
        left = np.abs(frames - frames[-1]).sum(1)
        assert (np.diff(left) <= 1e-9).all() and left[0] > 0
