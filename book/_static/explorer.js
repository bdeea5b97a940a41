// The explorer, its page: settings, tokens, and words. explorer_data.js has the clouds, explorer_pictures.js the
// pictures, and laboratory.js the controls.
(async () => {
  const { angles, drawCloud, drawCurve, layersAt, mix, palette } = globalThis.ExplorerPictures;
  const { Settings, button, make } = globalThis.Laboratory;
  const root = document.getElementById("laboratory");
  if (!root) return;

  const [PACE, GLIDE] = [900, 450]; // milliseconds for each layer while playing, and of them for the way there
  const GLIDES = !window.matchMedia("(prefers-reduced-motion: reduce)").matches;
  let distance = 1.45; // of the eye, in sides of the box

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

  // --- Settings ---

  const COLORS = {
    local: "local dimension",
    loss: "loss",
    position: "position in the prompt",
    times: "frequency in the prompt",
    rank: "rank as a neighbor of the chosen token",
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
    degree: { label: "Tokens", usual: 0, values: named(index.degrees, order) },
    color: { label: "Color", usual: "local", values: COLORS },
    k: { label: "Neighbors", usual: 4, values: named([1, 2, 4, 8].filter((k) => k <= index.k), String) },
    token: { label: "Chosen token (0: none)", usual: 0, range: [0, index.tokens, 1], typed: true },
    layer: { label: "Layer", usual: Math.round(last / 3), range: [0, last, 1] },
    turn: { label: "Turn", usual: 30, range: [-180, 180, 2], unit: "°" },
    tilt: { label: "Tilt", usual: 20, range: [-88, 88, 2], unit: "°" },
  };

  // Not every prompt is there at every degree.
  function agree(values, latest) {
    const has = ({ degrees }) => degrees.includes(values.degree);
    if (!has(prompts[values.prompt])) {
      if (latest === "degree") values.prompt = index.prompts.find(has).id;
      else values.degree = 0;
    }
    return values;
  }

  const cloudName = ({ prompt, degree }) => `${prompts[prompt].place}-${degree}`;
  const curveOf = (name, values) => index.curves[name].own[cloudName(values)];

  // A link may ask for the layer of the peak, and for the last layer or degree, which differ between models.
  function resolve() {
    if (!window.location.hash.includes("=")) return; // a section of the page
    const asked = new URLSearchParams(window.location.hash.slice(1));
    if (asked.get("degree") === "last") asked.set("degree", Math.max(...index.degrees));
    if (asked.get("layer") === "last") asked.set("layer", last);
    if (asked.get("layer") === "peak") {
      const prompt = Object.hasOwn(prompts, asked.get("prompt")) ? asked.get("prompt") : CONTROLS.prompt.usual;
      const curve = curveOf("intrinsic_dimension", agree({ prompt, degree: Number(asked.get("degree")) || 0 }));
      const inner = curve.map((value, layer) => (layer > 0 && value !== null ? value : -Infinity));
      asked.set("layer", inner.indexOf(Math.max(...inner)));
    }
    window.history.replaceState(window.history.state, "", `#${asked}`);
  }
  resolve();
  window.addEventListener("hashchange", resolve); // before the settings follow

  const settings = new Settings(CONTROLS, agree, (name) => {
    if (playing && name !== "layer") stop();
    show(name);
    if (!name) root.scrollIntoView({ block: "start" });
  });

  // --- Elements ---

  const scene = make("div", { class: "explorer-scene" });
  const legend = make("div", { class: "explorer-legend", "aria-hidden": "true" });
  const play = button("Play", () => (playing ? stop() : start()));
  const back = button("Back", () => step(-1), { "aria-label": "One layer back" });
  const forth = button("Forward", () => step(1), { "aria-label": "One layer forward" });
  const about = make("p", { class: "explorer-about" });
  const CURVES = Object.keys(index.curves);
  const curves = Object.fromEntries(CURVES.map((name) => [name, make("div", { class: "explorer-plot", role: "img" })]));
  const values = Object.fromEntries(CURVES.map((name) => [name, make("span")]));
  const search = make("input", { type: "search", id: "lab-find", autocomplete: "off", spellcheck: "false" });
  const matches = make("span", { class: "explorer-count" });
  const next = button("Next", () => choose(following(found)), { "aria-label": "Choose the next token found" });
  const panel = make("section", { class: "explorer-token", "aria-label": "The chosen token" });
  const text = make("div", { class: "explorer-text", tabindex: "0", role: "listbox", "aria-label": "Text of the prompt, token by token" });
  const source = make("p", { class: "explorer-source" });
  const status = make("p", { class: "visually-hidden", role: "status" });
  const box = (...names) => names.map((name) => settings.boxes[name]);
  const form = make("form", { class: "lab-controls", "aria-label": "What is shown" }, ...box("prompt", "degree", "color", "k", "token"),
    make("div", { class: "lab-control" }, make("label", { for: "lab-find" }, "Find a token"),
      make("div", { class: "lab-row" }, search, next), matches));
  form.addEventListener("submit", (event) => event.preventDefault());

  // --- Tokens ---

  let [cloud, looks, found, options] = [null, [], [], []];
  let drawn = {}; // the cloud, the layer, and the coordinates in the picture

  // White space that a reader could not see.
  const visible = (word) => word.replaceAll("\n", "⏎").replaceAll("\t", "⇥").replace(/^ +| +$/g, (gap) => "␣".repeat(gap.length)) || "∅";
  const most = (index.steps.none - 1) * index.steps.local; // a larger dimension is stored as this
  const ofDimension = (value, digits = 1) => (value >= 0.999 * most ? `above ${number(0.999 * most, 0)}` : number(value, digits));
  const quoted = (i) => `“${visible(cloud.text[i])}”`;
  const chosen = () => (settings.values.token ? settings.values.token - 1 : null);
  const number = (value, digits = 2) => value.toFixed(digits).replace("-", "\u2212");
  const choose = (i) => { if (i !== undefined) settings.set({ token: i + 1 }); };

  function following(places) {
    const from = chosen() ?? -1;
    return places.find((i) => i > from) ?? places[0];
  }

  function lookFor() {
    const word = search.value.trim().toLowerCase();
    found = word ? cloud.text.flatMap((part, i) => (part.toLowerCase().includes(word) ? [i] : [])) : [];
    matches.textContent = word ? `${found.length} of ${cloud.n.toLocaleString("en-US")} tokens` : "";
    next.disabled = !found.length;
  }

  // Numbers behind the colors, their range, and how to say them.
  function scale() {
    const { color, layer } = settings.values;
    const token = chosen();
    return {
      local: () => { // a ratio between two dimensions counts, not their difference
        const [low, high] = cloud.range("local", 0.02, 0.98).map(Math.log);
        return [cloud.localIn(layer).map(Math.log), [low, high], (value) => number(Math.exp(value), 0)];
      },
      loss: () => [cloud.loss, [0, cloud.range("loss", 0, 0.98)[1]], (value) => `${number(value, 1)} nats`],
      position: () => [cloud.text.map((_, i) => i), [0, cloud.n - 1], (value) => (value + 1).toLocaleString("en-US")],
      times: () => [cloud.times.map(Math.log), [0, Math.log(Math.max(...cloud.times, 2))], (value) => `${Math.round(Math.exp(value))}×`],
      rank: () => {
        const rank = new Map(token === null ? [] : cloud.neighbors(layer, token, index.k).map((i, at) => [i, at + 1]));
        return [cloud.text.map((_, i) => rank.get(i) ?? NaN), [1, index.k], (value) => number(value, 0)];
      },
    }[color]();
  }

  // --- Showing ---

  const DRAWN = ["color", "k", "token", "turn", "tilt", "find"]; // settings that leave the curves as they are
  let latest = 0; // what was asked for last, since clouds load while a reader goes on

  async function show(name) {
    latest += 1;
    const mine = latest;
    const wanted = cloudName(settings.values);
    let loaded;
    try {
      const slow = window.setTimeout(() => { about.textContent = "Loading …"; }, 150);
      loaded = await globalThis.ExplorerData.cloud(index, wanted);
      window.clearTimeout(slow);
    } catch (error) {
      about.textContent = `This cloud cannot be shown: ${error.message}.`;
      return;
    }
    if (mine !== latest) return;
    if (loaded !== cloud) {
      cloud = loaded;
      layText();
      lookFor();
    }
    await draw(name);
    if (mine !== latest) return;
    root.dataset.shown = `${wanted} ${settings.values.layer}`; // for tests
    if (!DRAWN.includes(name)) await drawCurves(mine);
  }

  async function draw(name) {
    const { layer, color, k } = settings.values;
    const token = chosen();
    const colors = palette(root);
    const [numbers, [low, high], say] = scale();
    looks = Array.from(numbers, (value) =>
      (Number.isNaN(value) ? colors.none : mix(colors.ramp, (value - low) / (high - low || 1))));
    const here = token === null ? [] : cloud.neighbors(layer, token, k);
    const later = token === null || layer === last ? [] : cloud.neighbors(layer + 1, token, k);
    const view = { turn: settings.values.turn, tilt: settings.values.tilt, distance };
    const picture = {
      axes: cloud.axes(layer),
      rim: index.rim,
      far: cloud.far[layer],
      colors: looks,
      names: cloud.text.map((_, i) => hover(i, layer)),
      view,
      marks: { token, here, next: later, found },
    };
    legend.style.setProperty("--ramp", colors.ramp.join(","));
    legend.replaceChildren(make("span", {}, COLORS[color]), make("span", {}, say(low)), make("span", { class: "ramp" }), make("span", {}, say(high)));
    paintText();
    describe(token, here, later);
    CURVES.forEach((curve) => {
      const value = curveOf(curve, settings.values)[layer];
      values[curve].textContent = value === null ? "none: there is no next layer" : number(value);
      curves[curve].setAttribute("aria-label",
        `${index.curves[curve].label} by layer; in layer ${layer} it is ${values[curve].textContent}`);
    });
    if (!playing || layer === last) {
      status.textContent = `Layer ${layer}: dimension ${values[CURVES[0]].textContent}, overlap ${values[CURVES[1]].textContent}, `
        + `cosine similarity ${values[CURVES[2]].textContent}.${name === "token" && token !== null ? ` Token ${token + 1}, ${quoted(token)}.` : ""}`;
    }
    await move(picture, layer);
    listen();
  }

  // From layer to layer the tokens glide, so that a reader can follow them.
  async function move(picture, layer) {
    const [mine, began] = [latest, performance.now()];
    const from = GLIDES && drawn.cloud === cloud && Math.abs(drawn.layer - layer) === 1 ? drawn.axes : null;
    const draw = (axes) => {
      drawn = { cloud, layer, axes };
      return drawCloud(scene, { ...picture, axes });
    };
    for (let share = 0; from && share < 1; share = (performance.now() - began) / GLIDE) {
      const eased = share * share * (3 - 2 * share);
      await draw(picture.axes.map((axis, at) => axis.map((end, i) => from[at][i] + eased * (end - from[at][i]))));
      await new Promise(requestAnimationFrame);
      if (mine !== latest) return; // something else is wanted by now
    }
    await draw(picture.axes);
  }

  // One curve after the other, so that the page answers in between.
  async function drawCurves(mine) {
    const { layer, degree, prompt } = settings.values;
    for (const name of CURVES) {
      if (mine !== latest) return;
      const own = curveOf(name, settings.values);
      const plain = degree ? curveOf(name, { prompt, degree: 0 }) : null;
      await drawCurve(curves[name], { curve: index.curves[name], own, plain, degree, layer, last });
      await new Promise(requestAnimationFrame);
    }
  }

  function hover(i, layer) {
    const loss = Number.isNaN(cloud.loss[i]) ? "not predicted" : `loss ${number(cloud.loss[i])} nats`;
    const local = cloud.localIn(layer)[i];
    const dimension = Number.isNaN(local) ? "no local dimension: equal tokens" : `local dimension ${ofDimension(local)}`;
    const out = i in cloud.far[layer] ? `<br>${number(cloud.far[layer][i], 1)} times as far out as usual` : "";
    const word = visible(cloud.text[i]).replaceAll("&", "&amp;").replaceAll("<", "&lt;");
    return `<b>${word}</b>  token ${i + 1}<br>${loss}<br>${dimension}${out}`;
  }

  function describe(token, here, later) {
    const { layer, k } = settings.values;
    const [share, kept] = [cloud.share[layer], cloud.kept[layer]];
    const far = Object.entries(cloud.far[layer]).sort((a, b) => b[1] - a[1]);
    const percent = (value) => `${Math.round(100 * value)}%`;
    const outside = far.length
      ? ` Too far out for the box, so drawn nearer, as ${far.length === 1 ? "a diamond" : "diamonds"}: `
        + far.slice(0, 3).map(([i, times]) => `${quoted(Number(i))}, ${number(times, 1)} times as far as usual`).join("; ")
        + (far.length > 3 ? `; and ${far.length - 3} more.` : ".") : "";
    about.textContent = `Layer ${layer} of ${last}. The picture holds ${share === null ? "none" : percent(share)} of the variance; `
      + `of the nearest neighbors that you see, ${percent(kept)} are nearest neighbors in the cloud.${outside}`;
    play.textContent = playing ? "Pause" : "Play";
    [back.disabled, forth.disabled] = [layer === 0, layer === last];
    const all = cloud.overlap(layer, k);
    const mean = Number.isNaN(all) ? "" : `Over all tokens, ${percent(all)} of the ${k} nearest neighbors stay.`;
    if (token === null) {
      panel.replaceChildren(make("p", {}, `Choose a token: in the cloud, in the text, or by a search. ${mean}`));
      return;
    }
    const local = cloud.localIn(layer)[token];
    const error = local / Math.sqrt(index.local - 2);
    const facts = [
      Number.isNaN(cloud.loss[token]) ? "it comes first, so it is not predicted" : `loss ${number(cloud.loss[token])} nats`,
      cloud.times[token] > 1 ? `${cloud.times[token]} times in this prompt` : "once in this prompt",
      Number.isNaN(local) ? "no local dimension, because another token is equal" : `local dimension ${ofDimension(local)} ± ${number(error, 1)}`,
    ];
    const list = (title, places, other) => make("div", {}, make("p", { class: "explorer-title" }, title),
      make("ol", {}, ...places.map((i) => make("li", {}, button(visible(cloud.text[i]), () => choose(i), {
        class: other.includes(i) ? "btn btn-sm stays" : "btn btn-sm",
        "aria-label": `Choose token ${i + 1}, ${visible(cloud.text[i])}${other.includes(i) ? ", a neighbor in both layers" : ""}`,
      }), ` ${(i + 1).toLocaleString("en-US")}`))));
    const stay = here.filter((i) => later.includes(i)).length;
    panel.replaceChildren(
      make("p", {}, make("strong", {}, quoted(token)), ` is token ${(token + 1).toLocaleString("en-US")}: ${facts.join("; ")}.`),
      make("div", { class: "explorer-lists" }, list(`Nearest in layer ${layer}`, here, later),
        ...(layer === last ? [] : [list(`Nearest in layer ${layer + 1}`, later, here)])),
      make("p", {}, layer === last ? "" : `${stay} of ${here.length} stay (bold), an overlap of ${number(stay / here.length)} at this token. ${mean}`),
    );
  }

  // --- The text ---

  function layText() {
    options = cloud.text.map((word, i) => make("span", { id: `token-${i}`, role: "option", "aria-selected": "false" },
      word.includes("\n") ? word.replaceAll("\n", "⏎\n") : word || "∅"));
    text.replaceChildren(...options);
    const { source: from, id } = prompts[settings.values.prompt];
    source.textContent = from ? `The text of ${id}: ${from}.` : "";
  }

  function paintText() {
    const token = chosen();
    const isFound = new Set(found);
    options.forEach((option, i) => {
      const [r, g, b] = looks[i].match(/\d+/g)?.map(Number) || [];
      option.style.background = looks[i];
      // Black or white, whichever is easier to read there.
      option.style.color = looks[i].startsWith("rgb") && 0.2126 * r ** 2.2 + 0.7152 * g ** 2.2 + 0.0722 * b ** 2.2 < 0.18 * 255 ** 2.2 ? "#fff" : "#000";
      option.className = [isFound.has(i) && "found", i === token && "chosen"].filter(Boolean).join(" ");
      option.setAttribute("aria-selected", String(i === token));
    });
    if (token === null) text.removeAttribute("aria-activedescendant");
    else {
      text.setAttribute("aria-activedescendant", options[token].id);
      const [at, high] = [options[token].offsetTop, text.clientHeight];
      if (at < text.scrollTop || at > text.scrollTop + high - 30) text.scrollTop = at - high / 2; // not the page
    }
  }

  text.addEventListener("click", (event) => {
    const option = event.target.closest("[role=option]");
    if (option) choose(options.indexOf(option));
  });
  text.addEventListener("keydown", (event) => {
    const from = chosen() ?? -1;
    const to = {
      ArrowRight: from + 1, ArrowDown: from + 10, ArrowLeft: from - 1, ArrowUp: from - 10, Home: 0, End: cloud.n - 1,
    }[event.key];
    if (event.key === "Escape") settings.set({ token: 0 });
    if (to === undefined) return;
    event.preventDefault();
    choose(Math.max(0, Math.min(cloud.n - 1, to)));
  });
  search.addEventListener("input", () => {
    lookFor();
    show("find");
  });
  search.addEventListener("keydown", (event) => { if (event.key === "Enter") choose(following(found)); });

  // --- Mouse and touch ---

  function listen() {
    if (scene.dataset.listens) return;
    scene.dataset.listens = "yes";
    scene.on("plotly_click", ({ points: [point] }) => {
      if (point.customdata !== undefined) choose(Number(point.customdata));
    });
    scene.on("plotly_relayout", (change) => {
      if (!change["scene.camera"]) return;
      const { turn, tilt, ...rest } = angles(change["scene.camera"]);
      distance = rest.distance;
      settings.values = { ...settings.values, turn: Math.round(turn), tilt: Math.round(tilt) };
      settings.write();
      settings.remember();
    });
  }

  CURVES.forEach((name) => curves[name].addEventListener("click", (event) => {
    const [left, right] = layersAt(curves[name]);
    const share = (event.clientX - left) / (right - left);
    settings.set({ layer: Math.round(share * (last + 1) - 0.5) });
  }));

  // --- Playing ---

  let playing = null;

  function step(by) {
    stop();
    settings.set({ layer: settings.values.layer + by });
  }

  function start() {
    if (settings.values.layer === last) settings.set({ layer: 0 }, false);
    playing = window.setInterval(() => {
      if (settings.values.layer === last) stop();
      else settings.set({ layer: settings.values.layer + 1 }, false);
    }, PACE);
    play.textContent = "Pause";
  }

  function stop() {
    if (!playing) return;
    window.clearInterval(playing);
    playing = null;
    play.textContent = "Play";
    settings.remember();
    show("play");
  }

  // --- The page ---

  const caption = {
    intrinsic_dimension: "Intrinsic dimension, at range scaling 2",
    neighborhood_overlap: "Neighborhood overlap with the next layer, k = 2",
    cosine_similarity: "Mean cosine similarity",
  };
  root.replaceChildren(
    make("div", { class: "explorer-top" },
      make("div", {}, scene, legend,
        make("div", { class: "explorer-bar" }, settings.boxes.layer, make("div", { class: "lab-buttons" }, play, back, forth)),
        make("div", { class: "lab-view" }, ...box("turn", "tilt")), about),
      make("div", { class: "explorer-side" }, form, panel)),
    make("div", { class: "explorer-curves" }, ...CURVES.map((name) => make("figure", {}, curves[name],
      make("figcaption", {}, `${caption[name]}: `, values[name])))),
    make("p", { class: "explorer-source" }, "Thick: this prompt; dashed: the same in order. Band: all prompts of the survey at this degree, mean and "
      + "standard deviation. Thin: the paper's models (means over its prompts), their layers stretched to this depth. "
      + "Choose a layer by a click on a curve."),
    text, source, status);
  if (window.location.hash.includes("=")) root.scrollIntoView({ block: "start" });
  await show();

  new MutationObserver(() => show()).observe(document.documentElement, { attributeFilter: ["data-theme"] });
})();
