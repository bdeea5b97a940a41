// The explorer's pictures, drawn by plotly: the cloud in three dimensions, and three curves by layer.
globalThis.ExplorerPictures = (() => {
  const CONFIG = { displayModeBar: false, responsive: true };
  const RAMPS = { // viridis, without the end that the ground swallows
    light: ["#440154", "#443b84", "#2e6f8e", "#21a285", "#5ac864", "#9bd93c"],
    dark: ["#35608d", "#26828e", "#1f9e89", "#4ac16d", "#a5db36", "#fde725"],
  };
  const DOT = 3; // the radius of a point, in pixels
  const DISTANCE = 1.3; // of the eye from the cloud, in sides of the box
  const MARGIN = { l: 38, r: 8, t: 6, b: 36 }; // of a curve, in pixels
  const PAPER = { "Llama-3-8B": "dot", "Mistral-7B": "dash", "Pythia-6.9B": "dashdot" };

  function palette(element) {
    const style = getComputedStyle(element);
    const color = (name) => style.getPropertyValue(name).trim();
    return {
      ramp: RAMPS[document.documentElement.dataset.theme === "dark" ? "dark" : "light"],
      token: color("--lab-token"),
      chosen: color("--lab-first"),
      theory: color("--lab-theory"),
      grid: color("--lab-grid"),
      text: style.color,
      none: color("--lab-line"),
      faint: document.documentElement.dataset.theme === "dark" ? "#4b5059" : "#cfd2d6", // opaque: WebGL adds up the others
    };
  }

  // The color of a value between 0 and 1.
  function mix(ramp, share) {
    const place = Math.min(1, Math.max(0, share)) * (ramp.length - 1);
    const low = Math.min(Math.floor(place), ramp.length - 2);
    const parts = [1, 3, 5].map((at) => [low, low + 1].map((i) => parseInt(ramp[i].slice(at, at + 2), 16)));
    return `rgb(${parts.map(([a, b]) => Math.round(a + (b - a) * (place - low))).join(",")})`;
  }

  // A camera on a sphere around the cloud.
  function camera({ turn, tilt, zoom }) {
    const [a, b] = [turn, tilt].map((degrees) => (degrees * Math.PI) / 180);
    const eye = { x: Math.cos(b) * Math.cos(a), y: Math.cos(b) * Math.sin(a), z: Math.sin(b) };
    Object.keys(eye).forEach((axis) => { eye[axis] *= DISTANCE / zoom; });
    return { eye, up: { x: 0, y: 0, z: 1 }, center: { x: 0, y: 0, z: 0 } };
  }

  // Where the reader looks from, which plotly keeps to itself while it is changed.
  function viewOf(element) {
    const { eye, center } = element._fullLayout.scene._scene.getCamera();
    const [x, y, z] = ["x", "y", "z"].map((axis) => eye[axis] - center[axis]);
    const distance = Math.hypot(x, y, z);
    const degrees = (angle) => (angle * 180) / Math.PI;
    return { turn: degrees(Math.atan2(y, x)), tilt: degrees(Math.asin(z / distance)), zoom: DISTANCE / distance };
  }

  // The token drawn nearest to a place in the window, at most so many pixels away; null if there is none.
  function tokenAt(element, { axes, rim, view }, x, y, within) {
    const { left, top, width, height } = element.getBoundingClientRect();
    const [a, b] = [view.turn, view.tilt].map((degrees) => (degrees * Math.PI) / 180);
    const [sa, ca, sb, cb] = [Math.sin(a), Math.cos(a), Math.sin(b), Math.cos(b)];
    const half = Math.tan(Math.PI / 8); // plotly sees an angle of 45 degrees
    let [best, depth, found] = [within, Infinity, null];
    for (let i = 0; i < axes[0].length; i += 1) {
      const [px, py, pz] = axes.map((axis) => axis[i] / (2 * rim));
      const across = py * ca - px * sa;
      const up = pz * cb - (px * ca + py * sa) * sb;
      const away = DISTANCE / view.zoom - (px * ca + py * sa) * cb - pz * sb;
      const [u, v] = HAS_DEPTH
        ? [(across / (away * half)) * (height / 2), (up / (away * half)) * (height / 2)]
        : [across * width, up * height];
      const distance = Math.max(DOT, Math.hypot(x - left - width / 2 - u, y - top - height / 2 + v));
      const nearer = distance < best || (distance === best && away < depth); // of those under the arrow, the one in front
      if ((!HAS_DEPTH || away > 0) && nearer) [best, depth, found] = [distance, away, i];
    }
    return found;
  }

  // Plotly keeps the label of a point in space until the mouse moves.
  function unlabel(element) {
    const space = element._fullLayout?.scene?._scene;
    if (!space) return;
    space.glplot.selection.object = null;
    globalThis.Plotly.Fx.loneUnhover(space.svgContainer);
  }

  function look(element, view) {
    unlabel(element); // a label does not turn with its token
    return globalThis.Plotly.relayout(element, { "scene.camera": camera(view) });
  }

  // The cloud as an image, at once; nothing where it is drawn flat, which prints as it is.
  const stillOf = (element) => (HAS_DEPTH ? element._fullLayout?.scene?._scene?.toImage("png") : null);

  const pick = (values, places) => places.map((i) => values[i]);

  // Without WebGL, a cloud is drawn flat, as seen from the same side.
  const HAS_DEPTH = Boolean(document.createElement("canvas").getContext("webgl"));

  function flattened({ z, ...trace }, { turn, tilt }) {
    const [a, b] = [turn, tilt].map((degrees) => (degrees * Math.PI) / 180);
    const across = trace.x.map((x, i) => (x === null ? null : trace.y[i] * Math.cos(a) - x * Math.sin(a)));
    const up = trace.x.map((x, i) => (x === null ? null
      : z[i] * Math.cos(b) - (x * Math.cos(a) + trace.y[i] * Math.sin(a)) * Math.sin(b)));
    const drawn = { ...trace, type: "scatter", x: across, y: up };
    if (trace.marker) drawn.marker = { ...trace.marker, size: 1.5 * trace.marker.size };
    if (trace.line) drawn.line = { ...trace.line, width: 2 };
    return drawn;
  }

  // Everything that one layer shows; `marks` says which tokens are chosen or found.
  function drawCloud(element, { axes, rim, atRim, colors, names, view, held, marks }) {
    const style = palette(element);
    const every = names.map((_, i) => i);
    const points = (places, marker, more = {}) => ({
      type: "scatter3d",
      mode: "markers",
      x: pick(axes[0], places),
      y: pick(axes[1], places),
      z: pick(axes[2], places),
      text: pick(names, places),
      customdata: places,
      hovertemplate: "%{text}<extra></extra>",
      showlegend: false,
      marker,
      ...more,
    });
    const near = every.filter((i) => !(i in atRim));
    const out = every.filter((i) => i in atRim);
    const rays = (places, color, dash) => ({
      type: "scatter3d",
      mode: "lines",
      ...Object.fromEntries(["x", "y", "z"].map((axis, at) =>
        [axis, places.flatMap((i) => [axes[at][marks.token], axes[at][i], null])])),
      line: { color, width: 4, dash },
      hoverinfo: "skip",
      showlegend: false,
    });
    const ring = (places, color, size, symbol = "circle-open") => points(places, {
      color, size, symbol, line: { color, width: 2 },
    }, { hoverinfo: "skip", hovertemplate: null });
    const chosen = marks.token === null ? [] : [marks.token];
    const traces = [
      points(near, { size: 3.4, color: pick(colors, near), line: { width: 0 } }),
      points(out, { size: 6, symbol: "diamond", color: pick(colors, out), line: { color: style.text, width: 1 } }),
      ring(marks.found, style.text, 7),
      rays(marks.next, style.theory, "dash"),
      rays(marks.here, style.chosen, "solid"),
      ring(marks.next, style.theory, 8, "square-open"),
      ring(marks.here, style.chosen, 9),
      points(chosen, { size: 10, color: style.chosen, line: { color: style.text, width: 1 } }),
    ];
    const bare = { range: [-rim, rim], showticklabels: false, title: { text: "" }, nticks: 4 };
    const axis = { ...bare, gridcolor: style.grid, zerolinecolor: style.grid };
    const layout = {
      autosize: true,
      margin: { l: 0, r: 0, t: 0, b: 0 },
      paper_bgcolor: "rgba(0,0,0,0)",
      plot_bgcolor: "rgba(0,0,0,0)",
      font: { color: style.text },
      hoverlabel: { font: { size: 13 } },
    };
    if (!HAS_DEPTH) {
      const flat = { ...axis, fixedrange: true };
      Object.assign(layout, { dragmode: false, hovermode: "closest", xaxis: flat, yaxis: flat });
      return globalThis.Plotly.react(element, traces.map((trace) => flattened(trace, view)), layout, CONFIG);
    }
    const spatial = { ...axis, showspikes: false, showbackground: false };
    layout.scene = {
      dragmode: "turntable",
      aspectmode: "cube",
      xaxis: spatial,
      yaxis: spatial,
      zaxis: spatial,
      // While a hand holds the cloud, what it has turned to; plotly would put it back.
      camera: held && element._fullLayout ? element._fullLayout.scene._scene.getCamera() : camera(view),
    };
    return globalThis.Plotly.react(element, traces, layout, CONFIG);
  }

  // One observable by layer: the paper's models, the prompts of the survey, and the prompt shown.
  function drawCurve(element, { curve, own, plain, degree, layer, last }) {
    const look = palette(element);
    const layers = own.map((_, i) => i);
    const line = (x, y, name, style, more = {}) => ({
      x, y, name, mode: "lines", line: style, hovertemplate: `%{y:.3g}<extra>${name}</extra>`, showlegend: false, ...more,
    });
    const traces = Object.entries(curve.paper[degree] || {}).map(([model, { layer: x, mean }]) =>
      line(x, mean, `${model} (paper)`, { color: look.theory, width: 1, dash: PAPER[model] }, { hoverinfo: "skip" }));
    const { mean, sd } = curve.survey[degree];
    if (sd.some((value) => value !== null)) {
      const edge = (sign) => mean.map((value, i) => (sd[i] === null ? null : value + sign * sd[i]));
      const plainLine = { width: 0 };
      traces.push(
        line(layers, edge(-1), "", plainLine, { hoverinfo: "skip" }),
        line(layers, edge(1), "", plainLine, {
          hoverinfo: "skip", fill: "tonexty", fillcolor: look.token.startsWith("#") ? `${look.token}33` : look.token,
        }),
      );
    }
    if (plain) traces.push(line(layers, plain, "this prompt in order", { color: look.token, width: 1.5, dash: "dash" }));
    traces.push(
      line(layers, own, "this prompt", { color: look.token, width: 2.5 }),
      { x: [layer], y: [own[layer]], mode: "markers", marker: { size: 9, color: look.chosen }, hoverinfo: "skip",
        showlegend: false },
    );
    const axis = { gridcolor: look.grid, zeroline: false, fixedrange: true, linecolor: look.none };
    const layout = {
      height: 190,
      margin: MARGIN,
      paper_bgcolor: "rgba(0,0,0,0)",
      plot_bgcolor: "rgba(0,0,0,0)",
      font: { color: look.text, size: 12 },
      hovermode: "closest",
      xaxis: { ...axis, range: [-0.5, last + 0.5], title: { text: "layer", standoff: 4 }, nticks: 7 },
      yaxis: { ...axis, rangemode: "tozero", nticks: 5 },
      shapes: [{ type: "line", x0: layer, x1: layer, yref: "paper", y0: 0, y1: 1, line: { color: look.chosen, width: 1.5 } }],
    };
    return globalThis.Plotly.react(element, traces, layout, CONFIG);
  }

  // Where the axis of layers, from half a layer before the first to half a layer after the last, lies in the window.
  function layersAt(element) {
    const { left, right } = element.getBoundingClientRect();
    return [left + MARGIN.l, right - MARGIN.r];
  }

  return { HAS_DEPTH, drawCloud, drawCurve, layersAt, look, mix, palette, stillOf, tokenAt, unlabel, viewOf };
})();
