// The estimator laboratory: controls, pictures, and numbers as text. gride.js draws the points and measures them.
(() => {
  const { SHAPES, draw, neighbors, gride } = window.Gride;
  const lab = document.getElementById("estimator-laboratory");
  const [canvas, svg, form, rows] = ["canvas", "svg", "form", "tbody"].map((name) => lab.querySelector(name));
  const controls = form.elements;
  const NAMES = {
    cube: ["line", "square"], sphere: ["circle", "sphere"], torus: ["circle", "torus"], roll: ["", "rolled sheet"],
  };
  const START = { shape: "roll", d: 2, n: 1000, noise: 0, ambient: 3, scale: 8, seed: 1, yaw: 20, tilt: 75 };

  let state = START;
  let [points, found, near] = [];

  // --- state ---

  const between = (low, value, high) => Math.min(Math.max(value, low), high);
  const topScale = ({ n }) => 2 ** Math.floor(Math.log2(Math.min(256, n - 1)));

  // The nearest setting that exists: controls limit each other.
  function possible(wanted) {
    const number = (name, low, high, step = 1) => {
      const value = Number.isFinite(Number(wanted[name])) && wanted[name] !== "" ? Number(wanted[name]) : START[name];
      return between(low, Number((Math.round(value / step) * step).toFixed(4)), high);
    };
    const shape = Object.hasOwn(SHAPES, wanted.shape) ? wanted.shape : START.shape;
    const d = number("d", SHAPES[shape].least, SHAPES[shape].most);
    const n = number("n", 50, 1000, 50);
    const noise = number("noise", 0, 0.1, 0.002);
    const own = SHAPES[shape].features(d);
    return {
      shape, d, n, noise,
      scale: 2 ** Math.round(Math.log2(number("scale", 2, topScale({ n })))),
      ambient: noise ? number("ambient", own, 50) : own,
      seed: number("seed", 1, 999999),
      yaw: ((number("yaw", -1e6, 1e6) % 360) + 360) % 360,
      tilt: number("tilt", -90, 90),
    };
  }

  // The setting in an address; none if it names a section.
  function settingOf(address) {
    const { hash } = new URL(address);
    return hash.includes("=") && { ...START, ...Object.fromEntries(new URLSearchParams(hash.slice(1))) };
  }

  // Not at every step of a drag: browsers limit how often an address may change.
  const later = (task, delay) => {
    let timer = 0;
    return () => { clearTimeout(timer); timer = setTimeout(task, delay); };
  };
  const remember = later(() => history.replaceState(null, "", `#${new URLSearchParams(state)}`), 200);
  const announce = later(() => { lab.querySelector("[role=status]").textContent = sentence(); }, 1000);

  // One frame draws whatever was asked for since the last one.
  let asked = "";
  function refresh(what) {
    if (!asked) requestAnimationFrame(() => {
      const all = asked === "all";
      asked = "";
      if (all) measure();
      write();
      drawPoints();
      drawCurve();
    });
    if (asked !== "all") asked = what;
  }

  function change(some) {
    const before = state;
    state = possible({ ...state, ...some });
    const moved = ["shape", "d", "n", "noise", "ambient", "seed"].some((name) => state[name] !== before[name]);
    setControls();
    refresh(moved ? "all" : "view");
    remember();
    announce();
  }

  function measure() {
    points = draw(state);
    found = gride(points, state.ambient);
    near = neighbors(points, state.ambient, 0);
  }

  // --- words ---

  const fine = (number) => number.toFixed(3);
  const whole = (number) => number.toLocaleString("en-US");
  const isTorus = () => state.shape === "torus" && state.d > 1;
  const shapeName = () => (state.d > 2 ? `${state.shape} of ${state.d} dimensions` : NAMES[state.shape][state.d - 1]);
  const current = () => found.find(({ scale }) => scale === state.scale);

  function sentence() {
    const { dimension, error } = current();
    const off = Math.abs(dimension - state.d);
    return `At range scaling ${state.scale}: dimension ${dimension.toFixed(2)}, standard error ${error.toFixed(2)}. `
      + `The shape has ${state.d}: the estimate is ${off.toFixed(2)} too ${dimension < state.d ? "low" : "high"}, `
      + `${(off / error).toFixed(1)} standard errors.`;
  }

  // What the picture leaves out.
  function left() {
    if (isTorus()) return "Two of its circles are drawn, the second one smaller.";
    return state.ambient > 3 ? `Three of their ${state.ambient} coordinates are drawn.` : "";
  }

  function write() {
    const half = state.scale / 2;
    const texts = {
      view: left(),
      near: half > 1 ? `nearest ${half} neighbors` : "nearest neighbor",
      far: half > 1 ? `next ${half}` : "second",
      compared: `${half} and ${state.scale}`,
      space: hasSpace() ? `. Dotted: the ${state.ambient} dimensions of the noise` : "",
      result: sentence(),
    };
    Object.entries(texts).forEach(([name, text]) => { lab.querySelector(`[data-text=${name}]`).textContent = text; });
    canvas.setAttribute("aria-label",
      `${whole(state.n)} points of a ${shapeName()}${state.noise ? ", with noise" : ""}; the arrow keys turn them.`);
    rows.replaceChildren(...found.map(({ scale, dimension, error, count }) => {
      const row = document.createElement("tr");
      row.className = scale === state.scale ? "current" : "";
      [[scale, whole], [dimension, fine], [error, fine], [count, whole]].forEach(([value, words], place) => {
        const cell = document.createElement(place ? "td" : "th");
        if (!place) cell.scope = "row";
        const data = document.createElement("data");
        data.value = value;
        data.textContent = words(value);
        cell.append(data);
        row.append(cell);
      });
      return row;
    }));
  }

  function setControls() {
    const { least, most, features } = SHAPES[state.shape];
    const own = features(state.d);
    Object.assign(controls.d, { min: least, max: most, disabled: least === most });
    Object.assign(controls.ambient, { min: own, disabled: !state.noise });
    controls.scale.max = Math.log2(topScale(state));
    for (const name of ["shape", "d", "n", "noise", "ambient"]) controls[name].value = state[name];
    controls.scale.value = Math.log2(state.scale);
    controls.scale.setAttribute("aria-valuetext", state.scale);
    if (document.activeElement !== controls.seed) controls.seed.value = state.seed;
    lab.querySelectorAll("output").forEach((output) => {
      const { name } = document.getElementById(output.htmlFor);
      output.value = name === "noise" ? fine(state.noise) : whole(state[name]);
    });
  }

  // --- the points ---

  // Three coordinates to look at: the first three, or of a torus two of its circles, one around the other.
  function seen(i) {
    const at = (j) => (j < state.ambient ? points[i * state.ambient + j] : 0);
    if (!isTorus()) return [at(0), at(1), at(2)];
    return [at(0) + 0.4 * at(1), at(state.d), 0.4 * at(state.d + 1)];
  }

  function turned() {
    const places = Array.from({ length: state.n }, (_, i) => seen(i));
    const middle = [0, 1, 2].map((axis) => places.reduce((sum, place) => sum + place[axis], 0) / state.n);
    const centered = places.map((place) => place.map((value, axis) => value - middle[axis]));
    const size = Math.max(...centered.map((place) => Math.hypot(...place)));
    const [yaw, tilt] = [state.yaw, state.tilt].map((degrees) => (degrees * Math.PI) / 180);
    return centered.map(([x, y, z]) => {
      const [across, along] = [x * Math.cos(yaw) - y * Math.sin(yaw), x * Math.sin(yaw) + y * Math.cos(yaw)];
      return [across, along * Math.sin(tilt) + z * Math.cos(tilt), z * Math.sin(tilt) - along * Math.cos(tilt)]
        .map((value) => value / size);
    });
  }

  function drawPoints() {
    const { clientWidth: width, clientHeight: height } = canvas;
    const sharp = window.devicePixelRatio || 1;
    Object.assign(canvas, { width: width * sharp, height: height * sharp });
    const pen = canvas.getContext("2d");
    pen.scale(sharp, sharp);
    const style = getComputedStyle(lab);
    const color = (name) => style.getPropertyValue(`--${name}`);
    const places = turned(); // to the right, up, and toward the reader, at most 1 from the middle
    const unit = Math.min(width, height) / 2 - 8;
    const dot = (i, radius, ring) => {
      pen.beginPath();
      pen.arc(width / 2 + unit * places[i][0], height / 2 - unit * places[i][1], radius, 0, 2 * Math.PI);
      if (ring) pen.stroke();
      else pen.fill();
    };
    pen.fillStyle = color("points");
    [...places.keys()].sort((i, j) => places[i][2] - places[j][2]).forEach((i) => {
      pen.globalAlpha = 0.65 + 0.3 * places[i][2]; // what is behind is paler
      dot(i, 1.8 + 0.5 * places[i][2]);
    });
    pen.globalAlpha = 1;
    pen.strokeStyle = color("far");
    pen.lineWidth = 1.5;
    near.slice(state.scale / 2, state.scale).forEach((i) => dot(i, 3.2, true));
    pen.fillStyle = color("near");
    near.slice(0, state.scale / 2).forEach((i) => dot(i, 3.2));
    const [x, y] = [width / 2 + unit * places[0][0], height / 2 - unit * places[0][1]];
    pen.strokeStyle = style.color;
    pen.lineWidth = 2;
    pen.beginPath();
    pen.moveTo(x - 6, y);
    pen.lineTo(x + 6, y);
    pen.moveTo(x, y - 6);
    pen.lineTo(x, y + 6);
    pen.stroke();
  }

  // --- the curve ---

  function part(name, attributes, text) {
    const made = document.createElementNS("http://www.w3.org/2000/svg", name);
    Object.entries(attributes).forEach(([key, value]) => made.setAttribute(key, value));
    if (text !== undefined) made.textContent = text;
    return made;
  }

  const MARGIN = { left: 40, right: 14, top: 12, bottom: 44 };
  const highest = () => 1.1 * Math.max(state.d, ...found.map(({ dimension, error }) => dimension + 2 * error));
  const hasSpace = () => state.noise > 0 && state.ambient <= highest();
  const frame = () => {
    const { clientWidth: width, clientHeight: height } = svg;
    const top = highest();
    const step = (width - MARGIN.left - MARGIN.right) / found.length;
    return {
      width, height, top,
      x: (scale) => MARGIN.left + (Math.log2(scale) - 0.5) * step,
      y: (dimension) => height - MARGIN.bottom - (dimension / top) * (height - MARGIN.top - MARGIN.bottom),
    };
  };

  // Round numbers, at most six of them.
  function ticks(top) {
    const step = [0.5, 1, 2, 5, 10, 20].find((one) => top / one <= 6);
    return Array.from({ length: Math.floor(top / step) + 1 }, (_, i) => i * step);
  }

  function drawCurve() {
    const { width, height, top, x, y } = frame();
    const [left, right, bottom] = [MARGIN.left, width - MARGIN.right, height - MARGIN.bottom];
    const line = (name, x1, y1, x2, y2) => part("line", { class: name, x1, y1, x2, y2 });
    const drawn = [line("axis", left, bottom, right, bottom), line("axis", left, bottom, left, MARGIN.top)];
    for (const tick of ticks(top)) {
      drawn.push(part("text", { x: left - 8, y: y(tick) + 4, "text-anchor": "end" }, tick));
      drawn.push(line("axis", left - 4, y(tick), left, y(tick)));
    }
    for (const { scale } of found) {
      drawn.push(part("text", { x: x(scale), y: bottom + 18, "text-anchor": "middle" }, scale));
    }
    drawn.push(part("text", { x: (left + right) / 2, y: height - 6, "text-anchor": "middle" }, "range scaling"));
    const beside = `translate(11 ${(MARGIN.top + bottom) / 2}) rotate(-90)`;
    drawn.push(part("text", { transform: beside, "text-anchor": "middle" }, "dimension"));
    if (hasSpace()) drawn.push(line("space", left, y(state.ambient), right, y(state.ambient)));
    drawn.push(line("truth", left, y(state.d), right, y(state.d)));
    const curve = found.map(({ scale, dimension }) => `${x(scale)},${y(dimension)}`).join(" ");
    drawn.push(part("polyline", { class: "estimate", points: curve }));
    for (const { scale, dimension, error } of found) {
      const [low, high] = [y(dimension - 2 * error), y(dimension + 2 * error)];
      drawn.push(line("estimate", x(scale), low, x(scale), high));
      for (const end of [low, high]) drawn.push(line("estimate", x(scale) - 4, end, x(scale) + 4, end));
      drawn.push(part("circle", { class: "estimate", cx: x(scale), cy: y(dimension), r: 3 }));
      if (scale === state.scale) drawn.push(part("circle", { class: "current", cx: x(scale), cy: y(dimension), r: 9 }));
    }
    svg.replaceChildren(...drawn);
  }

  // --- what a reader does ---

  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("input", ({ target }) => {
    if (target.name === "seed" && !target.validity.valid) return;
    change({ [target.name]: target.name === "scale" ? 2 ** target.value : target.value });
  });
  controls.seed.addEventListener("blur", setControls);
  controls.again.addEventListener("click", () => change({ seed: (state.seed % 999999) + 1 }));
  controls.save.addEventListener("click", () => {
    const { n, ambient } = state;
    const numbers = draw(state);
    const lines = Array.from({ length: n }, (_, i) => numbers.slice(i * ambient, (i + 1) * ambient).join(","));
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([`${lines.join("\n")}\n`], { type: "text/csv" }));
    link.download = "points.csv";
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  });

  let held = null;
  canvas.addEventListener("pointerdown", ({ pointerId, clientX, clientY }) => {
    canvas.setPointerCapture(pointerId);
    held = { yaw: state.yaw - clientX / 2, tilt: state.tilt - clientY / 2 };
  });
  canvas.addEventListener("pointermove", ({ clientX, clientY }) => {
    if (held) change({ yaw: held.yaw + clientX / 2, tilt: held.tilt + clientY / 2 });
  });
  canvas.addEventListener("lostpointercapture", () => { held = null; });
  canvas.addEventListener("keydown", (event) => {
    const turn = { ArrowLeft: [-5, 0], ArrowRight: [5, 0], ArrowUp: [0, -5], ArrowDown: [0, 5] }[event.key];
    if (!turn || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    change({ yaw: state.yaw + turn[0], tilt: state.tilt + turn[1] });
  });
  svg.addEventListener("click", ({ clientX }) => {
    const { x } = frame();
    const place = clientX - svg.getBoundingClientRect().left;
    const far = ({ scale }) => Math.abs(x(scale) - place);
    change({ scale: found.reduce((best, one) => (far(one) < far(best) ? one : best)).scale });
  });

  window.addEventListener("hashchange", ({ newURL }) => {
    const setting = settingOf(newURL);
    if (!setting) return;
    change(setting);
    lab.querySelector(".pictures").scrollIntoView({ block: "nearest" });
  });
  // At once, not in the next frame: a page that is printed has become light a moment before.
  new MutationObserver(() => { if (!asked) drawPoints(); })
    .observe(document.documentElement, { attributeFilter: ["data-theme"] });
  new ResizeObserver(() => refresh("view")).observe(lab);
  state = possible(settingOf(location.href) || START);
  setControls();
  lab.classList.add("ready");
  refresh("all");
})();
