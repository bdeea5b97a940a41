// The mean-field laboratory, its page: settings, playing, and words. mean_field.js has the numbers,
// mean_field_pictures.js the pictures, and laboratory.js the controls.
(() => {
  const { Run, largestEnergy, longest, prediction } = globalThis.MeanField;
  const { drawTokens, layCurves } = globalThis.MeanFieldPictures;
  const { Settings, button, make } = globalThis.Laboratory;
  const root = document.getElementById("laboratory");
  if (!root) return;

  const SPEED = 30; // stored times shown in a second
  const PATIENCE = 16; // milliseconds of computing between two pictures
  const SLOW = 2e10; // operations, roughly, of a run that takes long

  // --- Settings ---

  const counts = (...values) => Object.fromEntries(values.map((value) => [value, value.toLocaleString("en-US")]));
  const CONTROLS = {
    start: {
      label: "Start",
      usual: "random",
      values: { random: "random", half: "in one hemisphere", ring: "nearly even ring", orthogonal: "at right angles" },
    },
    kind: { label: "Attention", usual: "SA", values: { SA: "SA (softmax)", USA: "USA" } },
    d: { label: "Dimension d", usual: 3, values: { 2: "2 (circle)", 3: "3 (sphere)", ...counts(8, 32, 64, 128) } },
    until: { label: "End of the run", usual: 300, values: counts(1, 3, 10, 30, 100, 300, 1000, 3000, 10000, 100000) },
    beta: { label: "Inverse temperature β", usual: 4, range: [0, 25, 0.5] },
    n: { label: "Number of tokens n", usual: 64, range: [2, 128, 1] },
    seed: { label: "Seed", usual: 1, range: [0, 999999, 1], typed: true },
    mask: { label: "Causal mask", usual: 0, values: { 0: "no", 1: "yes" }, check: true },
    turn: { label: "Turn", usual: 30, range: [-180, 180, 2], unit: "°" },
    tilt: { label: "Tilt", usual: 20, range: [-90, 90, 2], unit: "°" },
  };
  const VIEW = ["turn", "tilt"]; // they change what is seen of a run, not the run

  // A ring lies on the circle, and right angles need a dimension for every token.
  function agree(values, latest) {
    if (values.start === "ring" && values.d !== 2) {
      if (latest === "d") values.start = "random";
      else values.d = 2;
    }
    if (values.start === "orthogonal" && values.d < values.n) {
      if (latest === "d") values.n = values.d;
      else values.d = Object.keys(CONTROLS.d.values).map(Number).find((d) => d >= values.n);
    }
    return values;
  }

  const settings = new Settings(CONTROLS, agree, (name) => {
    if (VIEW.includes(name)) drawPicture();
    else {
      status.textContent = ""; // it spoke of another run
      restart();
    }
    if (!name) arrive();
  });

  // --- Elements ---

  const canvas = make("canvas", { role: "img" });
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("role", "img");
  const play = button("Play", () => (playing ? pause() : start()));
  const stepOnce = button("Step", () => {
    pause(false);
    const known = run.path.length;
    while (!run.done && run.path.length === known) run.next();
    show();
    say("Now");
  });
  const reset = button("Reset", () => {
    wanted = false;
    restart();
    say("Back");
  });
  const reading = make("dl", { class: "lab-reading" });
  const caption = make("figcaption");
  const status = make("p", { class: "visually-hidden", role: "status" });
  const view = make("div", { class: "lab-view" }, ...VIEW.map((name) => settings.boxes[name]));
  const form = make("form", { class: "lab-controls", "aria-label": "Settings of the run" },
    ...settings.names.filter((name) => !VIEW.includes(name)).map((name) => settings.boxes[name]));
  form.addEventListener("submit", (event) => event.preventDefault());

  // --- Playing ---

  let [run, expected, drawCurves] = [null, null, null];
  let wanted = !window.matchMedia("(prefers-reduced-motion: reduce)").matches; // whether a new run starts by itself
  let [playing, last, owed] = [false, 0, 0];

  function restart() {
    const { turn, tilt, ...own } = settings.values;
    run = new Run({ ...own, mask: Boolean(own.mask) });
    window.laboratoryRun = run; // for readers with a console, and for tests
    expected = prediction(run);
    drawCurves = layCurves(svg, run, expected);
    view.hidden = own.d === 2;
    canvas.classList.toggle("lab-turns", own.d > 2);
    playing = false;
    describe();
    if (wanted) start();
    else show();
  }

  function start() {
    wanted = true;
    if (run.done) return restart();
    playing = true;
    [last, owed] = [performance.now(), 1];
    show();
    return requestAnimationFrame(tick);
  }

  function pause(spoken = true) {
    [wanted, playing] = [false, false];
    show();
    if (spoken) say("Paused");
  }

  function tick(now) {
    if (!playing) return;
    owed = Math.min(4, owed + ((now - last) * SPEED) / 1000);
    last = now;
    const deadline = performance.now() + PATIENCE;
    let moved = false;
    while (owed >= 1 && !run.done && performance.now() < deadline) {
      if (run.next()) [owed, moved] = [owed - 1, true];
    }
    if (run.done) {
      playing = false;
      say("End");
    }
    if (moved || run.done) show();
    if (playing) requestAnimationFrame(tick);
  }

  // --- Words ---

  const number = (value) => value.toLocaleString("en-US", { maximumSignificantDigits: 3 });
  const fixed = (value) => value.toFixed(2).replace("-", "\u2212");
  const plural = (count, name) => `${count} ${name}${count === 1 ? "" : "s"}`;

  function now() {
    const k = run.path.length - 1;
    const { energy, groups, cosine } = run.seen;
    return [run.times[k], groups[k], cosine[k], energy[k] / largestEnergy(run.settings.beta)];
  }

  function say(what) {
    const [time, groups, cosine, energy] = now();
    const share = run.settings.beta ? `, energy ${Math.round(100 * energy)}% of the largest` : "";
    const measured = `${plural(groups, "group")}, mean cosine ${fixed(cosine)}${share}`;
    status.textContent = `${what} at time ${number(time)}: ${measured}.`;
  }

  function when(time) {
    if (time > run.settings.until) return `${number(time)}, after the end of this run`;
    return time < run.times[1] ? `${number(time)}, before the first time shown` : number(time);
  }

  function predicted() {
    const { about, time, crests } = expected;
    return {
      mask: () => "For USA with a mask the book gives no time.",
      second: () => "Dashed: the equation for the cosine of the second token (triangle) with the first (square), "
        + `which reaches 0.999 at time ${when(time)}.`,
      ring: () => `The wave that grows fastest has ${plural(crests, "crest")}; `
        + (expected.groups ? "dashed: as many groups, expected for a while." : "there are too few tokens for it."),
      half: () => "From one hemisphere all tokens converge to one point; the book gives no time.",
      random: () => `Dashed: the equation for an orthogonal start, which reaches 0.999 at time ${when(time)}; `
        + "a random start comes near it in high dimension only.",
      orthogonal: () => `Dashed: the equation for the common cosine, which reaches 0.999 at time ${when(time)}.`,
    }[about]();
  }

  function describe() {
    const { start: from, n, d, kind, mask, beta, seed, until } = run.settings;
    const place = { 2: "the circle", 3: "the sphere" }[d] || `the unit sphere of ${d} dimensions`;
    const origin = {
      half: "a random start in one hemisphere",
      ring: "a nearly even ring",
      orthogonal: "a start at right angles",
    };
    const about = `${n} tokens on ${place} under ${kind}${mask ? " with a causal mask" : ""}, β = ${beta}, `
      + `from ${origin[from] || "a random start"} (seed ${seed}).`;
    const part = d > 3 ? " The picture shows the first three coordinates, enlarged." : "";
    const slow = (until / longest(run.settings)) * n ** 2 * (30 + 3 * d) > SLOW
      ? " This run has very many steps and may take minutes; end it earlier to see it sooner." : "";
    caption.textContent = `${about} ${predicted()}${part}${slow}`;
    canvas.setAttribute("aria-label", `Picture of ${about} A number at a group counts its tokens.`);
    svg.setAttribute("aria-label", `Curves of energy, number of groups, and mean cosine over time, for ${about}`);
  }

  const drawPicture = () => drawTokens(canvas, run, settings.values);

  function show() {
    const [time, groups, cosine, energy] = now();
    play.textContent = playing ? "Pause" : run.done ? "Replay" : "Play";
    stepOnce.disabled = run.done;
    const rows = {
      time: `${number(time)} of ${number(run.settings.until)}`,
      groups: `${groups}`,
      "mean cosine": fixed(cosine),
      energy: run.settings.beta ? `${(100 * energy).toFixed(1)}%` : "none at β = 0",
    };
    reading.replaceChildren(...Object.entries(rows).map(([name, value]) =>
      make("div", {}, make("dt", {}, name), make("dd", {}, value))));
    drawPicture();
    drawCurves();
  }

  // --- The page ---

  // A drag turns the sphere; the sliders do the same for the keyboard.
  let grip = null;
  canvas.addEventListener("pointerdown", (event) => {
    if (run.settings.d === 2) return;
    grip = { x: event.clientX, y: event.clientY, ...settings.values };
    canvas.setPointerCapture(event.pointerId);
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!grip) return;
    const turn = grip.turn + (event.clientX - grip.x) / 2 + 180;
    const tilt = grip.tilt + (event.clientY - grip.y) / 2;
    settings.set({ turn: turn - 360 * Math.floor(turn / 360) - 180, tilt }, false);
  });
  ["pointerup", "pointercancel"].forEach((name) => canvas.addEventListener(name, () => {
    if (grip) settings.remember();
    grip = null;
  }));

  // Whoever follows a link to a run wants to see it.
  function arrive() {
    root.scrollIntoView({ block: "start" });
    play.focus({ preventScroll: true });
  }

  root.replaceChildren(
    make("figure", { class: "lab-figure" },
      make("div", { class: "lab-picture" }, canvas, view, make("div", { class: "lab-buttons" }, play, stepOnce, reset)),
      make("div", { class: "lab-curves" }, svg, reading),
      caption),
    form, status);
  restart();
  if (window.location.hash.includes("=")) root.scrollIntoView({ block: "start" });

  new ResizeObserver(() => {
    drawCurves = layCurves(svg, run, expected);
    show();
  }).observe(svg.parentElement);
  new MutationObserver(drawPicture).observe(document.documentElement, { attributeFilter: ["data-theme"] });
  // Paper shows the end of a run that is quick to compute.
  window.addEventListener("beforeprint", () => {
    playing = false;
    const deadline = performance.now() + 2000;
    while (!run.done && performance.now() < deadline) run.next();
    show();
  });
})();
