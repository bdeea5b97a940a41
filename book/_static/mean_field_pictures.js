// The mean-field laboratory, its pictures: the tokens as they are now, on a canvas, and three curves over time, as SVG.
globalThis.MeanFieldPictures = (() => {
  const { groups, largestEnergy } = globalThis.MeanField;

  // --- Tokens ---

  const MARGIN = 22; // pixels around the sphere, for the numbers of groups
  const TRAIL = 12; // stored times for which a token leaves a trace
  const NAMED = 8; // so many groups, or fewer, have numbers
  const GREAT = Array.from({ length: 97 }, (_, k) => [Math.cos((k * Math.PI) / 48), Math.sin((k * Math.PI) / 48)]);
  const TRIANGLE = [[0, -1.3], [1.2, 0.9], [-1.2, 0.9]];
  const GRID = [([u, v]) => [u, v, 0], ([u, v]) => [u, 0, v], ([u, v]) => [0, u, v]];

  // Where a point appears, given its place in an array: to the right, up, and toward the reader.
  function seenFrom({ d }, { turn, tilt }) {
    if (d === 2) return (x, i) => [x[i], x[i + 1], 1];
    const [c, s, e, f] = [turn, tilt].map((angle) => (angle * Math.PI) / 180).flatMap((a) => [Math.cos(a), Math.sin(a)]);
    return (x, i) => {
      const [right, away, up] = [c * x[i] - s * x[i + 1], s * x[i] + c * x[i + 1], x[i + 2]];
      return [right, e * up + f * away, f * up - e * away];
    };
  }

  // The clouds of the past that are drawn, and how far from the middle. A token leaves a short trace; on the circle the
  // past sinks to the middle, so that each line is the angle of a token against time.
  function past({ settings, path, times }) {
    if (settings.d > 2) return path.slice(-TRAIL).map((cloud) => [cloud, 1]);
    return path.map((cloud, k) => [cloud, 1 - (0.9 * (path.length - 1 - k)) / (times.length - 1)]);
  }

  function drawTokens(canvas, run, view) {
    const size = canvas.clientWidth;
    if (!size) return;
    const dots = window.devicePixelRatio || 1;
    if (canvas.width !== Math.round(size * dots)) canvas.width = canvas.height = Math.round(size * dots);
    const pen = canvas.getContext("2d");
    pen.setTransform(dots, 0, 0, dots, 0, 0);
    pen.clearRect(0, 0, size, size);
    const style = getComputedStyle(canvas);
    const color = (name) => style.getPropertyValue(`--lab-${name}`).trim();

    const { n, d, mask } = run.settings;
    const x = run.path[run.path.length - 1];
    // In more dimensions the first three coordinates are small; the start, and what has grown since, fill the picture.
    const lengths = (cloud) => Array.from({ length: n }, (_, i) => Math.hypot(...cloud.subarray(i * d, i * d + 3)));
    const zoom = d > 3 ? 1 / Math.max(...lengths(run.path[0]), ...lengths(x)) : 1;
    const [middle, radius] = [size / 2, size / 2 - MARGIN];
    const project = seenFrom(run.settings, view);
    const at = (cloud, i) => {
      const [right, up, near] = project(cloud, i);
      return [middle + radius * zoom * right, middle - radius * zoom * up, near];
    };

    drawSpace(pen, color, d, middle, radius, (point) => at(point.map((value) => value / zoom), 0));

    const before = past(run);
    pen.lineWidth = 1.5;
    pen.globalAlpha = 0.3;
    for (let i = 0; i < n; i += 1) {
      pen.strokeStyle = color(mask && i < 2 ? "first" : "token");
      pen.beginPath();
      before.forEach(([cloud, part]) => {
        const [right, down] = at(cloud, i * d);
        pen.lineTo(middle + part * (right - middle), middle + part * (down - middle));
      });
      pen.stroke();
    }

    const front = ([, , near, i]) => (mask && i < 2 ? 2 - i / 2 : near); // the marked tokens are on top
    const places = Array.from({ length: n }, (_, i) => [...at(x, i * d), i]).sort((a, b) => front(a) - front(b));
    places.forEach(([right, down, near, i]) => {
      const back = d === 3 && near < 0;
      const marked = mask && i < 2;
      const half = (marked ? 6 : 4.5) * (back ? 0.8 : 1);
      pen.globalAlpha = back ? 0.4 : 0.8;
      pen.fillStyle = color(marked ? "first" : "token");
      pen.beginPath();
      if (marked && i === 0) pen.rect(right - half, down - half, 2 * half, 2 * half);
      else if (marked) TRIANGLE.forEach(([a, b]) => pen.lineTo(right + a * half, down + b * half));
      else pen.arc(right, down, half, 0, 2 * Math.PI);
      pen.fill();
    });

    // How many tokens each group has, beside it, away from the middle.
    const label = groups(x, n, d);
    const many = 1 + Math.max(...label);
    pen.globalAlpha = 1;
    pen.font = `600 13px ${style.fontFamily}`;
    [pen.textAlign, pen.textBaseline] = ["center", "middle"];
    for (let group = 0; group < many && many <= NAMED; group += 1) {
      const members = label.flatMap((own, i) => (own === group ? [i] : []));
      if (members.length < 2) continue;
      const [right, down, near] = at(x, members[members.length >> 1] * d);
      const length = Math.hypot(right - middle, down - middle) || 1;
      pen.fillStyle = color(d === 3 && near < 0 ? "muted" : "text");
      pen.fillText(members.length, right + (14 * (right - middle)) / length, down + (14 * (down - middle)) / length);
    }
  }

  // The circle, the sphere with three great circles, or three axes.
  function drawSpace(pen, color, d, middle, radius, at) {
    pen.lineWidth = 1;
    pen.strokeStyle = color("line");
    pen.fillStyle = color("ground");
    if (d > 3) {
      pen.globalAlpha = 0.6;
      [[1, 0, 0], [0, 1, 0], [0, 0, 1]].forEach((axis) => {
        pen.beginPath();
        [1, -1].forEach((sign) => pen.lineTo(...at(axis.map((value) => sign * value)).slice(0, 2)));
        pen.stroke();
      });
      return;
    }
    pen.globalAlpha = 1;
    pen.beginPath();
    pen.arc(middle, middle, radius, 0, 2 * Math.PI);
    if (d === 3) pen.fill();
    pen.stroke();
    if (d < 3) return;
    GRID.forEach((circle) => [true, false].forEach((front) => {
      pen.globalAlpha = front ? 0.9 : 0.25;
      pen.beginPath();
      GREAT.map((angle) => at(circle(angle))).forEach(([right, down, near], k) => {
        if (k && near >= 0 === front) pen.lineTo(right, down);
        else pen.moveTo(right, down);
      });
      pen.stroke();
    }));
  }

  // --- Curves ---

  const [LEFT, RIGHT, TOP, PANEL, GAP, FOOT] = [38, 10, 20, 84, 28, 38];
  const HEIGHT = TOP + 3 * PANEL + 2 * GAP + FOOT;
  const BOTTOM = HEIGHT - FOOT;

  const line = (points) => points.map(([x, y], k) => `${k ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`).join("");

  // Draw everything that stays during a run (axes, names, and predictions), and return what draws the curves so far.
  function layCurves(svg, run, expected) {
    const shape = (tag, attributes, text = "") => {
      const made = document.createElementNS(svg.namespaceURI, tag);
      Object.entries(attributes).forEach(([name, value]) => made.setAttribute(name, value));
      made.textContent = text;
      svg.append(made);
      return made;
    };
    const width = svg.parentElement.clientWidth || 400;
    const right = width - RIGHT;
    svg.replaceChildren();
    svg.setAttribute("viewBox", `0 0 ${width} ${HEIGHT}`);

    const { n, mask, until, beta } = run.settings;
    const across = (time) => LEFT + (right - LEFT) * (1 + Math.log10(time / until) / 3);
    const low = mask ? -1 : -1 / (n - 1); // the least possible mean cosine
    const powers = Array.from({ length: 8 }, (_, k) => 2 ** k).filter((value) => value <= n);
    const panels = [
      { name: "energy / largest energy", ticks: [0, 0.5, 1], share: (value) => value },
      {
        name: "number of groups",
        ticks: powers.filter((_, k) => powers.length < 5 || k % 2 === 0),
        share: (value) => Math.log2(value) / Math.log2(n),
      },
      { name: "mean cosine", ticks: low < -0.3 ? [-1, 0, 1] : [0, 0.5, 1], share: (value) => (value - low) / (1 - low) },
    ];
    panels.forEach((panel, k) => {
      const top = TOP + k * (PANEL + GAP);
      panel.down = (value) => top + PANEL * (1 - panel.share(value));
      shape("path", { class: "lab-axis", d: `M${LEFT} ${top}V${top + PANEL}H${right}` });
      shape("text", { x: LEFT, y: top - 7, class: "lab-name" }, panel.name);
      panel.ticks.forEach((tick) => {
        const y = panel.down(tick);
        shape("path", { class: "lab-grid", d: `M${LEFT} ${y}H${right}` });
        shape("text", { x: LEFT - 5, y: y + 4, class: "lab-end" }, `${tick}`.replace("-", "\u2212"));
      });
    });
    for (let power = Math.ceil(Math.log10(until / 1000) - 1e-9); 10 ** power <= until * 1.001; power += 1) {
      const x = across(10 ** power);
      shape("path", { class: "lab-axis", d: `M${x} ${BOTTOM}v4` });
      const text = (10 ** power).toLocaleString("en-US", { maximumFractionDigits: 4 });
      shape("text", { x, y: BOTTOM + 17, class: "lab-middle" }, text);
    }
    shape("text", { x: LEFT, y: BOTTOM + 33, class: "lab-name" }, "time");

    const [, , cosines] = panels;
    const { curve, time, groups: crests } = expected;
    const shown = (t) => t >= run.times[1] && t <= until;
    if (curve) {
      const points = curve.filter(([t]) => shown(t)).map(([t, cosine]) => [across(t), cosines.down(cosine)]);
      shape("path", { class: "lab-theory", d: line(points) });
    }
    if (shown(time)) {
      const x = across(time);
      shape("path", { class: "lab-theory", d: `M${x} ${TOP}V${BOTTOM + 5}` });
      const text = `equation: ${time.toLocaleString("en-US", { maximumSignificantDigits: 3 })}`;
      shape("text", { x: Math.min(right - 45, Math.max(LEFT + 80, x)), y: BOTTOM + 33, class: "lab-middle" }, text);
    }
    if (crests) shape("path", { class: "lab-theory", d: `M${LEFT} ${panels[1].down(crests)}H${right}` });
    if (mask) {
      const place = { x: right, y: cosines.down(1) - 7, class: "lab-name lab-end lab-first" };
      shape("text", place, "second token with first");
    }

    const curves = [
      ["energy", panels[0], (energy) => energy / largestEnergy(beta)],
      ["groups", panels[1], (count) => count],
      ["cosine", cosines, (cosine) => cosine],
      ...(mask ? [["second", cosines, (cosine) => cosine]] : []),
    ].map(([name, { down }, value]) => {
      const path = shape("path", { class: `lab-curve lab-${name}` });
      return () => {
        const points = run.seen[name].slice(1).map((seen, k) => [across(run.times[k + 1]), down(value(seen))]);
        path.setAttribute("d", points.every(([, y]) => Number.isFinite(y)) ? line(points) : "");
      };
    });
    return () => curves.forEach((draw) => draw());
  }

  return { drawTokens, layCurves };
})();
