// The explorer, its page: settings, playing, and words. explorer_data.js has the clouds, explorer_pictures.js the
// pictures, explorer_text.js the text of the prompt, and laboratory.js the controls.
(async () => {
  const { HAS_DEPTH, drawCloud, drawCurve, layersAt, look, mix, palette, stillOf, tokenAt, unlabel, viewOf } = globalThis.ExplorerPictures;
  const { Text, visible } = globalThis.ExplorerText;
  const { Settings, button, make } = globalThis.Laboratory;
  const root = document.getElementById("laboratory");
  if (!root) return;

  const [REST, GLIDE] = [350, 450]; // milliseconds at each layer while playing, and from one to the next
  const GLIDES = !window.matchMedia("(prefers-reduced-motion: reduce)").matches;
  const STILL = 5; // pixels that a finger may move in a tap

  let index;
  try {
    index = await globalThis.ExplorerData.index;
  } catch {
    root.querySelector("p").textContent = "This site was built without token clouds.";
    return;
  }
  if (!index.prompts.length) {
    root.querySelector("p").textContent = "The texts of this survey were not at hand when the site was built, so there is "
      + "no cloud to show.";
    return;
  }
  const last = index.layers - 1;
  const prompts = Object.fromEntries(index.prompts.map((prompt) => [prompt.id, prompt]));
  const count = (value) => value.toLocaleString("en-US");

  // --- Settings ---

  const COLORS = {
    times: "frequency in the prompt",
    position: "position",
    origin: "position before shuffling",
    loss: "loss",
    local: "local dimension",
    rank: "rank as a neighbor",
  };
  const order = (degree) => {
    const blocks = 4 ** degree;
    if (degree === 0) return "in order";
    return blocks === index.tokens ? `all shuffled (S = ${degree})` : `${blocks} blocks shuffled (S = ${degree})`;
  };
  const named = (values, name) => Object.fromEntries(values.map((value) => [value, name(value)]));
  const CONTROLS = {
    prompt: {
      label: "Prompt",
      usual: index.prompts[0].id,
      values: named(Object.keys(prompts), (id) => `${prompts[id].kind} (${id})`),
    },
    degree: { label: "Order of the tokens", usual: 0, values: named(index.degrees, order) },
    color: { label: "Color", usual: "times", values: COLORS },
    k: { label: "Neighbors", usual: 4, values: named([1, 2, 4, 8].filter((k) => k <= index.k), String) },
    token: { label: "Token (0 for none)", usual: 0, range: [0, index.tokens, 1], typed: true },
    layer: { label: "Layer", usual: 0, range: [0, last, 1] },
    turn: { label: "Turn", usual: 30, range: [-180, 180, 2], unit: "°" },
    tilt: { label: "Tilt", usual: 20, range: [-88, 88, 2], unit: "°" },
    zoom: { label: "Zoom", usual: 1, range: [0.5, 6, 0.1], unit: "×" },
  };
  const VIEW = ["turn", "tilt", "zoom"];
  const SAME_LAYER = [...VIEW, "color", "k", "token", "find", "play"];

  // Not every prompt is there at every degree; what is not cannot be chosen.
  function agree(values, latest) {
    if (latest === "prompt") values.token = 0; // another text has another token there
    if (!prompts[values.prompt].degrees.includes(values.degree)) values.degree = 0;
    return values;
  }

  const cloudName = ({ prompt, degree }) => `${prompts[prompt].place}-${degree}`;
  const curveOf = (name, values) => index.curves[name].own[cloudName(values)];

  // A link may ask for the layer of the peak, and for the last layer or degree, which differ between models.
  function resolve(shown) {
    if (!window.location.hash.includes("=")) return; // a section of the page
    const asked = new URLSearchParams(window.location.hash.slice(1));
    if (asked.get("degree") === "last") asked.set("degree", Math.max(...index.degrees));
    if (asked.get("layer") === "last") asked.set("layer", last);
    if (asked.get("layer") === "peak") {
      const prompt = Object.hasOwn(prompts, asked.get("prompt")) ? asked.get("prompt") : shown.prompt;
      const degree = asked.has("degree") ? Number(asked.get("degree")) || 0 : shown.degree;
      const curve = curveOf("intrinsic_dimension", agree({ prompt, degree }));
      const inner = curve.map((value, layer) => (layer > 0 && value !== null ? value : -Infinity));
      asked.set("layer", inner.indexOf(Math.max(...inner)));
    }
    window.history.replaceState(window.history.state, "", `#${asked}`);
  }
  resolve({ prompt: CONTROLS.prompt.usual, degree: CONTROLS.degree.usual });

  let [playing, stepping] = [false, false];
  let settings = null;
  window.addEventListener("hashchange", () => resolve(settings.values)); // before the settings follow
  settings = new Settings(CONTROLS, agree, (name) => {
    if (playing && !stepping && !SAME_LAYER.includes(name)) stop();
    if (VIEW.includes(name) && HAS_DEPTH) turn();
    else show(name);
    if (!name) root.scrollIntoView({ block: "start" });
  }, { keeps: true });

  // --- Elements ---

  const scene = make("div", { class: "explorer-scene", role: "img", "aria-describedby": "explorer-about" });
  const legend = make("div", { class: "explorer-legend", "aria-hidden": "true" });
  const play = button("Play", () => (playing ? stop() : start()));
  const back = button("Back", () => step(-1), { "aria-label": "One layer back" });
  const forth = button("Forward", () => step(1), { "aria-label": "One layer forward" });
  const reset = button("Reset view", () => settings.set({ turn: 30, tilt: 20, zoom: 1 }));
  const about = make("p", { class: "explorer-about", id: "explorer-about" });
  const CURVES = Object.keys(index.curves);
  const curves = Object.fromEntries(CURVES.map((name) => [name, make("div", { class: "explorer-plot", role: "img" })]));
  const values = Object.fromEntries(CURVES.map((name) => [name, make("span")]));
  const search = make("input", { type: "search", id: "lab-find", autocomplete: "off", spellcheck: "false" });
  const matches = make("span", { class: "explorer-count" });
  const next = button("Next", () => choose(following(found)), { "aria-label": "Choose the next token found" });
  const panel = make("section", { class: "explorer-token", tabindex: "-1", "aria-label": "The chosen token" });
  const text = new Text((i) => choose(i));
  const only = make("span", { class: "explorer-count" });
  const source = make("p", { class: "explorer-note" });
  const status = make("p", { class: "visually-hidden", role: "status" });
  const box = (...names) => names.map((name) => settings.boxes[name]);
  settings.boxes.degree.append(only);
  const form = make("form", { class: "lab-controls", "aria-label": "What is shown" },
    ...box("prompt", "degree", "color", "k", "token"),
    make("div", { class: "lab-control" }, make("label", { for: "lab-find" }, "Find a token"),
      make("div", { class: "lab-row" }, search, next), matches));
  form.addEventListener("submit", (event) => event.preventDefault());

  // --- Tokens ---

  let [cloud, colors, found] = [null, [], []];
  let drawn = {}; // the cloud, the layer, and the coordinates in the picture

  const quoted = (i) => `“${visible(cloud.text[i])}”`;
  const chosen = () => (cloud && settings.values.token ? settings.values.token - 1 : null);
  const number = (value, digits = 2) => value.toFixed(digits).replace("-", "\u2212");
  const percent = (value) => `${Math.round(100 * value)}%`;
  const most = 0.999 * (index.steps.none - 1) * index.steps.local; // a larger dimension is stored as this
  const choose = (i) => { if (i !== undefined) settings.set({ token: i === null ? 0 : i + 1 }); };

  function following(places) {
    const from = chosen() ?? -1;
    return places.find((i) => i > from) ?? places[0];
  }

  // The tokens that a phrase covers, wherever it stands in the text.
  function covered(phrase) {
    const parts = cloud.text.map((part) => part.toLowerCase());
    const [whole, hit] = [parts.join(""), new Set()];
    for (let from = whole.indexOf(phrase); from >= 0; from = whole.indexOf(phrase, from + 1)) {
      let end = 0;
      parts.forEach((part, i) => {
        end += part.length;
        if (end > from && end - part.length < from + phrase.length) hit.add(i);
      });
    }
    return [...hit].sort((a, b) => a - b);
  }

  // Whole tokens, or parts of tokens if there is none, or what reaches over several.
  function lookFor() {
    const word = search.value.trim().toLowerCase();
    const all = word && cloud ? cloud.text.map((_, i) => i) : [];
    const having = (test) => all.filter((i) => test(cloud.text[i].toLowerCase()));
    const whole = having((part) => part.trim() === word);
    found = whole.length ? whole : having((part) => part.includes(word));
    if (!found.length && word && cloud) found = covered(word);
    matches.textContent = word && cloud ? `${count(found.length)} of ${count(cloud.n)} tokens` : "";
    next.disabled = !found.length;
  }

  // Numbers behind the colors, their range, and how to say them.
  function scale() {
    const { color, layer } = settings.values;
    const token = chosen();
    const place = (value) => count(Math.round(value) + 1);
    return {
      local: () => { // a ratio between two dimensions counts, not their difference
        const [low, high] = cloud.range("local", 0.02, 0.98).map(Math.log);
        return [cloud.localIn(layer).map(Math.log), [low, high], (value) => number(Math.exp(value), 0)];
      },
      loss: () => [cloud.loss, [0, cloud.range("loss", 0, 0.98)[1]], (value) => `${number(value, 1)} nats`],
      position: () => [cloud.text.map((_, i) => i), [0, cloud.n - 1], place],
      origin: () => [cloud.origin, [0, cloud.n - 1], place],
      times: () => [cloud.times.map(Math.log), [0, Math.log(Math.max(...cloud.times, 2))],
        (value) => `${Math.round(Math.exp(value))}×`],
      rank: () => {
        const rank = new Map(token === null ? [] : cloud.neighbors(layer, token, index.k).map((i, at) => [i, at + 1]));
        return [cloud.text.map((_, i) => rank.get(i) ?? NaN), [1, index.k], (value) => number(value, 0)];
      },
    }[color]();
  }

  // --- Showing ---

  let latest = 0; // what was asked for last, since clouds load while a reader goes on
  let inCurves = ""; // what the curves show

  async function show(name) {
    latest += 1;
    const mine = latest;
    delete root.dataset.ready;
    if (name === "theme") inCurves = "";
    await new Promise(requestAnimationFrame); // many changes at once are drawn once
    if (mine !== latest) return;
    const wanted = cloudName(settings.values);
    const slow = window.setTimeout(() => { if (mine === latest) about.textContent = "Loading …"; }, 150);
    let loaded = null;
    try {
      loaded = await globalThis.ExplorerData.cloud(index, wanted);
    } catch (error) {
      if (mine === latest) fail(error);
      return;
    } finally {
      window.clearTimeout(slow);
    }
    if (mine !== latest) return;
    root.classList.remove("explorer-failed");
    if (loaded !== cloud) {
      const before = name === "degree" && chosen() !== null ? cloud.origin[chosen()] : null;
      cloud = loaded;
      layText();
      lookFor();
      // A chosen token stays chosen where the shuffle has put it.
      if (before !== null) settings.set({ token: cloud.origin.indexOf(before) + 1 });
      if (mine !== latest) return;
    }
    await draw(name);
    if (mine !== latest) return;
    root.dataset.shown = `${wanted} ${settings.values.layer}`; // for tests
    if (inCurves !== root.dataset.shown) await drawCurves(mine);
    if (mine === latest) root.dataset.ready = "yes"; // for tests, too
  }

  function fail(error) {
    stop();
    [cloud, drawn] = [null, {}];
    text.lay([]);
    lookFor();
    panel.replaceChildren();
    root.classList.add("explorer-failed");
    about.textContent = `This cloud cannot be shown: ${error.message}.`;
  }

  async function draw(name) {
    const { layer, color, k, prompt, degree } = settings.values;
    const token = chosen();
    const style = palette(root);
    const [numbers, [low, high], say] = scale();
    const nothing = color === "rank" ? style.faint : style.none;
    colors = Array.from(numbers, (value) =>
      (Number.isNaN(value) ? nothing : mix(style.ramp, (value - low) / (high - low || 1))));
    const here = token === null ? [] : cloud.neighbors(layer, token, k);
    const later = token === null || layer === last ? [] : cloud.neighbors(layer + 1, token, k);
    legend.style.setProperty("--ramp", style.ramp.join(","));
    legend.replaceChildren(make("span", {}, COLORS[color]), ...(color === "rank" && token === null
      ? [make("span", {}, "(choose a token)")]
      : [make("span", {}, say(low)), make("span", { class: "ramp" }), make("span", {}, say(high))]));
    text.paint(numbers.length && color === "rank"
      ? colors.map((one) => (one === nothing ? "transparent" : one)) : colors, token, found);
    Object.values(settings.boxes.degree.querySelectorAll("option")).forEach((option) => {
      option.disabled = !prompts[prompt].degrees.includes(Number(option.value));
    });
    const shuffled = index.prompts.filter(({ degrees }) => degrees.length > 1).map(({ kind }) => kind);
    only.textContent = prompts[prompt].degrees.length > 1 || !shuffled.length ? ""
      : `This prompt is here in order only; shuffled are ${shuffled.join(", ")}.`;
    scene.setAttribute("aria-label", `The ${count(cloud.n)} tokens of ${prompt}, ${order(degree)}, in layer ${layer}`);
    describe(token, here, later);
    CURVES.forEach((curve) => {
      const value = curveOf(curve, settings.values)[layer];
      values[curve].textContent = value === null ? "none: there is no next layer" : number(value);
      curves[curve].setAttribute("aria-label",
        `${index.curves[curve].label} by layer; in layer ${layer} it is ${values[curve].textContent}`);
    });
    announce(name, token);
    await move({
      axes: cloud.axes(layer),
      rim: index.rim,
      atRim: cloud.rim[layer],
      colors,
      names: cloud.text.map((_, i) => hover(i, layer)),
      marks: { token, here, next: later, found },
    }, layer);
  }

  // From layer to layer the tokens glide, so that a reader can follow them.
  async function move(picture, layer) {
    const [mine, began] = [latest, performance.now()];
    const from = GLIDES && drawn.cloud === cloud && Math.abs(drawn.layer - layer) === 1 ? drawn.axes : null;
    const at = (axes) => {
      drawn = { cloud, layer, axes };
      return drawCloud(scene, { ...picture, axes, held: Boolean(grip), view: settings.values });
    };
    for (let share = 0; from && share < 1; share = (performance.now() - began) / GLIDE) {
      const eased = share * share * (3 - 2 * share);
      await at(picture.axes.map((axis, which) => axis.map((end, i) => from[which][i] + eased * (end - from[which][i]))));
      await new Promise(requestAnimationFrame);
      if (mine !== latest) return; // something else is wanted by now
    }
    await at(picture.axes);
    listen();
  }

  // One curve after the other, so that the page answers in between.
  async function drawCurves(mine) {
    const { layer, degree, prompt } = settings.values;
    inCurves = "";
    for (const name of CURVES) {
      if (mine !== latest) return;
      const own = curveOf(name, settings.values);
      const plain = degree ? curveOf(name, { prompt, degree: 0 }) : null;
      await drawCurve(curves[name], { curve: index.curves[name], own, plain, degree, layer, last });
      await new Promise(requestAnimationFrame);
    }
    if (mine === latest) inCurves = root.dataset.shown;
  }

  // --- Words ---

  function dimension(i, layer) {
    const local = cloud.localIn(layer)[i];
    if (Number.isNaN(local)) return "no local dimension, because another token is equal";
    if (local >= most) return "no meaningful local dimension: all others are about equally far";
    return `local dimension ${number(local, 1)} ± ${number(local / Math.sqrt(index.local - 2), 1)}`;
  }

  function hover(i, layer) {
    const loss = Number.isNaN(cloud.loss[i]) ? "not predicted" : `loss ${number(cloud.loss[i])} nats`;
    const out = i in cloud.rim[layer] ? `<br>${number(cloud.rim[layer][i], 1)} times as far out as usual` : "";
    const word = visible(cloud.text[i]).replaceAll("&", "&amp;").replaceAll("<", "&lt;");
    return `<b>${word}</b>  token ${i + 1}<br>${loss}<br>${dimension(i, layer)}${out}`;
  }

  // What changed, and nothing else.
  function announce(name, token) {
    const { layer, prompt, degree } = settings.values;
    if (playing && layer !== last) return;
    if (VIEW.includes(name) || name === "play") return;
    if (name === "color" || name === "k") return;
    const parts = [];
    if (name === "find") parts.push(matches.textContent);
    else if (name === "token") parts.push(token === null ? "No token is chosen" : `Token ${token + 1}, ${quoted(token)}, ${dimension(token, layer)}`);
    else {
      if (name !== "layer") parts.push(`${prompt}, ${order(degree)}`);
      const [id, overlap, cosine] = CURVES.map((curve) => values[curve].textContent);
      const kept = layer === last ? "" : `overlap with the next layer ${overlap}, `;
      parts.push(`Layer ${layer}: dimension ${id}, ${kept}cosine similarity ${cosine}`);
    }
    status.textContent = `${parts.join(". ")}.`;
  }

  function describe(token, here, later) {
    const { layer, k } = settings.values;
    const [share, kept, left] = [cloud.share[layer], cloud.kept[layer], cloud.left[layer].length];
    const far = Object.entries(cloud.rim[layer]).sort((a, b) => b[1] - a[1]);
    const tokens = (n) => (n === 1 ? "one token" : `${count(n)} tokens`);
    const parts = [
      `Layer ${layer} of ${last}.`,
      `The picture holds ${share === null ? "none" : percent(share)} of the variance`
        + (kept === null ? "." : `; of the nearest neighbors that you see, ${percent(kept)} are nearest neighbors in the cloud.`),
    ];
    if (left) parts.push(`${tokens(left)[0].toUpperCase()}${tokens(left).slice(1)}, far from all others, did not count for center, directions, and scale.`);
    if (far.length) {
      const [i, times] = far[0];
      const other = far.length > 1 ? `, and ${tokens(far.length - 1)} more` : "";
      parts.push(`Too far out for the box and drawn at its edge: ${quoted(Number(i))}, `
        + `${number(times, 1)} times as far as usual${other}.`);
    }
    about.textContent = parts.join(" ");
    [back, forth].forEach((one, at) => one.setAttribute("aria-disabled", String(layer === [0, last][at])));
    const all = cloud.overlap(layer, k);
    const mean = Number.isNaN(all) ? "" : `Over all tokens, ${percent(all)} of the ${k} nearest neighbors stay.`;
    if (token === null) {
      panel.replaceChildren(make("p", {}, `Choose a token: in the cloud, in the text, or by a search. ${mean}`));
      return;
    }
    const facts = [
      Number.isNaN(cloud.loss[token]) ? "it comes first, so it is not predicted" : `loss ${number(cloud.loss[token])} nats`,
      cloud.times[token] > 1 ? `${cloud.times[token]} times in this prompt` : "once in this prompt",
      dimension(token, layer),
    ];
    const list = (title, places, other) => make("div", {}, make("p", { class: "explorer-title" }, title),
      make("ol", {}, ...places.map((i) => make("li", {}, button(visible(cloud.text[i]), () => {
        choose(i);
        panel.focus({ preventScroll: true }); // the button is gone
      }, {
        class: other.includes(i) ? "btn btn-sm stays" : "btn btn-sm",
        "aria-label": `Choose token ${i + 1}, ${visible(cloud.text[i])}${other.includes(i) ? ", a neighbor in both layers" : ""}`,
      }), ` ${count(i + 1)}`))));
    const stay = here.filter((i) => later.includes(i)).length;
    const clear = button("Clear", () => {
      choose(null);
      panel.focus({ preventScroll: true });
    }, { "aria-label": "Clear the chosen token" });
    panel.replaceChildren(
      make("p", {}, make("strong", {}, quoted(token)), ` is token ${count(token + 1)}: ${facts.join("; ")}. `, clear),
      make("div", { class: "explorer-lists" }, list(`Nearest in layer ${layer}`, here, later),
        ...(layer === last ? [] : [list(`Nearest in layer ${layer + 1}`, later, here)])),
      make("p", {}, layer === last ? "" : `${stay} of ${here.length} stay in the next layer (bold), an overlap of `
        + `${number(stay / here.length)} at this token. ${mean}`),
    );
  }

  function layText() {
    text.lay(cloud.text);
    const { source: from, id } = prompts[settings.values.prompt];
    source.textContent = `Model: ${index.model}. ${from ? `Text of ${id}: ${from}.` : ""}`;
  }

  search.addEventListener("input", () => {
    lookFor();
    if (cloud) show("find");
  });
  search.addEventListener("keydown", (event) => { if (event.key === "Enter") choose(following(found)); });

  // --- Mouse and touch ---

  let grip = null; // where a hand took hold of the cloud
  let [still, turning] = [true, false];
  const touches = new Map();

  // The picture follows the sliders, and takes no more steps than a screen can show.
  function turn() {
    if (turning) return;
    turning = true;
    requestAnimationFrame(() => {
      turning = false;
      if (cloud) look(scene, settings.values);
    });
  }

  // Plotly can be listened to once it has drawn.
  let labeled = null;
  let listening = false;
  function listen() {
    if (listening || !scene.on) return;
    listening = true;
    scene.on("plotly_hover", ({ points }) => { labeled = points[0].customdata ?? null; });
    scene.on("plotly_unhover", () => { labeled = null; });
  }

  scene.addEventListener("pointerdown", (event) => {
    still = true;
    grip = { x: event.clientX, y: event.clientY, ...settings.values };
    if (event.pointerType === "touch") touches.set(event.pointerId, [event.clientX, event.clientY]);
  }, true);

  const spread = () => {
    const [[ax, ay], [bx, by]] = [...touches.values()];
    return Math.hypot(ax - bx, ay - by);
  };

  // A finger to the side turns, two fingers zoom, and a finger up or down scrolls the page.
  window.addEventListener("pointermove", (event) => {
    if (!grip) return;
    if (Math.hypot(event.clientX - grip.x, event.clientY - grip.y) > STILL) still = false;
    if (!touches.has(event.pointerId)) return;
    const before = touches.size === 2 ? spread() : null;
    touches.set(event.pointerId, [event.clientX, event.clientY]);
    if (before) settings.set({ zoom: settings.values.zoom * (spread() / before) }, false);
    else if (!still && touches.size === 1) {
      const turned = grip.turn - (event.clientX - grip.x) / 2 + 180;
      settings.set({ turn: turned - 360 * Math.floor(turned / 360) - 180 }, false);
    }
  });

  function letGo(event) {
    touches.delete(event.pointerId);
    if (!grip || touches.size) return;
    const byMouse = event.pointerType !== "touch";
    grip = null;
    const within = byMouse ? 8 : 20; // a finger is wider than an arrow
    if (still && event.type === "pointerup" && drawn.axes) {
      const picture = { axes: drawn.axes, rim: index.rim, view: settings.values };
      // The token whose label is shown, if there is one; a finger sees none before it taps.
      choose((byMouse ? labeled : null) ?? tokenAt(scene, picture, event.clientX, event.clientY, within) ?? undefined);
      if (!byMouse) window.setTimeout(() => unlabel(scene), 400); // after the mouse that a browser makes of a tap
    } else if (byMouse && HAS_DEPTH) settings.set(viewOf(scene));
    else settings.remember();
  }
  window.addEventListener("pointerup", letGo);
  window.addEventListener("pointercancel", letGo);
  // Fingers are followed above; plotly would keep the page from scrolling.
  ["touchstart", "touchmove", "touchend"].forEach((kind) =>
    scene.addEventListener(kind, (event) => event.stopPropagation(), { capture: true, passive: true }));
  // A wheel scrolls the page, and zooms with Ctrl, as it does where two fingers pinch a touchpad.
  scene.addEventListener("wheel", (event) => {
    event.stopPropagation();
    if (!event.ctrlKey) return;
    event.preventDefault();
    settings.set({ zoom: settings.values.zoom * Math.exp(-event.deltaY / 200) });
  }, { capture: true, passive: false });

  // Plotly lays something over the page while a button is down, so that a click ends outside the curve.
  CURVES.forEach((name) => curves[name].addEventListener("pointerdown", (event) => {
    const up = (end) => {
      if (Math.hypot(end.clientX - event.clientX, end.clientY - event.clientY) > STILL) return;
      const [left, right] = layersAt(curves[name]);
      settings.set({ layer: Math.round(((end.clientX - left) / (right - left)) * (last + 1) - 0.5) });
    };
    window.addEventListener("pointerup", up, { once: true });
    window.addEventListener("pointercancel", () => window.removeEventListener("pointerup", up), { once: true });
  }, true));

  // --- Paper ---

  // What WebGL has drawn is gone when a page is printed, so a picture takes its place.
  window.addEventListener("beforeprint", () => {
    const source = stillOf(scene);
    if (source) scene.after(make("img", { class: "explorer-still", src: source, alt: scene.getAttribute("aria-label") }));
  });
  window.addEventListener("afterprint", () => root.querySelectorAll(".explorer-still").forEach((one) => one.remove()));

  // --- Playing ---

  function step(by) {
    stop();
    settings.set({ layer: settings.values.layer + by });
  }

  const toLayer = (layer) => {
    stepping = true;
    settings.set({ layer }, false);
    stepping = false;
  };

  async function start() {
    playing = true;
    play.textContent = "Pause";
    if (settings.values.layer === last) toLayer(0);
    const isThere = () => drawn.layer === settings.values.layer && root.dataset.shown?.endsWith(` ${drawn.layer}`);
    while (playing) {
      await new Promise((done) => { window.setTimeout(done, REST); });
      if (!playing) return;
      if (settings.values.layer === last) stop();
      else if (isThere()) toLayer(settings.values.layer + 1); // a slow machine takes its time
    }
  }

  function stop() {
    if (!playing) return;
    playing = false;
    play.textContent = "Play";
    if (window.location.hash.includes("=") || !window.location.hash) settings.remember();
  }

  // --- The page ---

  const caption = {
    intrinsic_dimension: "Intrinsic dimension (range scaling 2)",
    neighborhood_overlap: "Neighborhood overlap with the next layer (k = 2)",
    cosine_similarity: "Mean cosine similarity",
  };
  root.replaceChildren(
    make("div", { class: "explorer-page" },
      make("div", { class: "explorer-picture" }, scene, legend,
        make("div", { class: "explorer-bar" }, settings.boxes.layer, make("div", { class: "lab-buttons" }, play, back, forth)),
        make("div", { class: "lab-view" }, ...box(...VIEW)), reset, about),
      make("div", { class: "explorer-words" }, text.box, source),
      make("div", { class: "explorer-side" }, form, panel),
      make("div", { class: "explorer-curves" }, ...CURVES.map((name) => make("figure", {}, curves[name],
        make("figcaption", {}, `${caption[name]}: `, values[name]))),
      make("p", { class: "explorer-note" }, "Thick blue: this prompt; dashed blue, if it is shuffled: the same in order. Band: all prompts of "
        + "the survey in this order, mean ± one standard deviation. Gray: the paper's models (dotted Llama-3-8B, dashed Mistral-7B, "
        + "dash-dotted Pythia-6.9B), with their layers stretched to this depth. A click on a curve chooses the layer."))),
    status);
  if (window.location.hash.includes("=")) root.scrollIntoView({ block: "start" });
  await show();

  new MutationObserver(() => show("theme")).observe(document.documentElement, { attributeFilter: ["data-theme"] });
})();
