// A form for curves against the range scaling, one for each layer: a layer is chosen, another one pinned, and plateaus
// are marked by the rule of the chapter. The table holds one line for each layer, with its band.
(() => {
  const { Chart, announcer, controlsOf, follow, grouped, key, number, numeric, ticks } = globalThis.Forms;
  const { Settings, button, make } = globalThis.Laboratory;
  const FEWEST = 3; // consecutive scalings of a plateau
  const KINDS = ["mine", "pinned"]; // of the curves that are chosen, in the style sheet
  const TOLERANCE = 1.1; // of the largest estimate over the smallest

  // The longest plateau of a curve, the first of several as long; none if there is no run of enough scalings.
  function plateau(points) {
    let best = null;
    for (let start = 0; start < points.length; start += 1) {
      for (let end = start + FEWEST; end <= points.length; end += 1) {
        const run = points.slice(start, end).map(({ value }) => value);
        if ((!best || run.length > best.end - best.start + 1) && Math.max(...run) <= TOLERANCE * Math.min(...run)) {
          best = { start, end: end - 1, level: run.reduce((sum, value) => sum + value, 0) / run.length };
        }
      }
    }
    return best;
  }

  function curvesOf(table, panel) {
    const rows = table.filter((row) => Number(row.panel) === panel);
    const bands = new Map(grouped(rows.filter(({ kind }) => kind === "band"), "label"));
    const found = grouped(rows.filter(({ kind }) => kind === "line"), "label").map(([label, line]) => ({
      layer: Number(label.match(/\d+/)[0]),
      n: numeric(line[0].n),
      points: line.map((point, k) => {
        const band = bands.get(label);
        return {
          at: k, scale: numeric(point.x), value: numeric(point.y),
          low: band ? numeric(band[k].y_low) : NaN, high: band ? numeric(band[k].y_high) : NaN,
        };
      }),
    }));
    found.forEach((curve) => { curve.plateau = plateau(curve.points); });
    return found.sort((one, other) => one.layer - other.layer);
  }

  function build(body, table, options, name) {
    const curves = curvesOf(table, options.panel);
    const scales = curves[0].points.map(({ scale }) => scale);
    const layers = curves.map(({ layer }) => layer);
    const curveOf = (layer) => curves.find((curve) => curve.layer === layer);
    const { status, say } = announcer();
    const settings = new Settings({
      layer: {
        label: "Layer",
        usual: layers[Math.floor((2 * layers.length) / 3)],
        range: [layers[0], layers[layers.length - 1], 1],
      },
      pin: {
        label: "Compare with",
        usual: 0,
        values: { 0: "no other layer", ...Object.fromEntries(layers.map((layer) => [layer, `layer ${layer}`])) },
      },
    }, (chosen) => chosen, () => {
      show();
      say(shown().map(sentence).join(" "));
    }, { name });
    const shown = () => [settings.values.layer, settings.values.pin].map(curveOf)
      .filter((curve, place, both) => curve && both.indexOf(curve) === place);

    // --- Words ---

    const sentence = ({ layer, plateau: found }) => `Layer ${layer}: ${found
      ? `plateau from scaling ${scales[found.start]} to ${scales[found.end]}, at ${found.level.toFixed(1)}` : "no plateau"}.`;

    // --- The page ---

    const chart = new Chart(330);
    const words = make("p", { class: "scales-words" });
    const caption = make("figcaption");
    const rows = make("tbody");
    const heads = make("tr");
    const pin = button("", () => {
      const { layer, pin: pinned } = settings.values;
      settings.set({ pin: pinned === layer ? 0 : layer });
    });
    function draw() {
      const all = curves.flatMap(({ points }) => points.flatMap(({ value, high }) => [value, high]));
      const top = 1.05 * Math.max(...all.filter(Number.isFinite));
      const mine = shown();
      const names = mine.map(({ layer }) => `layer ${layer}`).join(" and ");
      chart.begin(`Intrinsic dimension against range scaling, ${names}; the table has the numbers.`,
        { low: -0.5, high: scales.length - 0.5, ticks: [...scales.entries()], name: "range scaling" },
        { low: 0, high: top, ticks: ticks(top), name: "intrinsic dimension" });
      curves.filter((curve) => !mine.includes(curve)).forEach(({ points }) => {
        chart.line("form-curve rest", points.map(({ at, value }) => [at, value]));
      });
      [...mine.keys()].reverse().forEach((place) => {
        const [{ points, plateau: found }, kind] = [mine[place], KINDS[place]];
        if (found) {
          const [from, to] = [found.start - 0.3, found.end + 0.3];
          chart.line(`form-plateau ${kind}`, [[from, found.level], [to, found.level]]);
        }
        chart.curve(points, kind);
        points.forEach(({ at, value }) => chart.dot(at, value, 3, kind));
      });
    }

    function fillTable() {
      const mine = shown();
      heads.replaceChildren(make("th", { scope: "col" }, "scaling"), ...mine.map(({ layer }, place) =>
        make("th", { scope: "col" }, key(KINDS[place], `layer ${layer}`))));
      rows.replaceChildren(...scales.map((scale, k) => make("tr", {}, make("th", { scope: "row" }, `${scale}`),
        ...mine.map(({ points, plateau: found }) => {
          const { value, low, high } = points[k];
          const inside = found && k >= found.start && k <= found.end;
          const band = Number.isFinite(low) ? [" ", make("small", {}, `${number(low)} to ${number(high)}`)] : [];
          return make("td", inside ? { class: "inside" } : {}, make("b", {}, number(value)), ...band);
        }))));
    }

    function show() {
      const { layer, pin: pinned } = settings.values;
      pin.textContent = pinned === layer ? `Unpin layer ${layer}` : `Pin layer ${layer}`;
      words.replaceChildren(...shown().map((curve, place) => make("span", {}, key(KINDS[place], ""), sentence(curve))));
      const { n, points } = curveOf(layer);
      const banded = points.some(({ low }) => Number.isFinite(low)) ? ", with 95% bands" : "";
      caption.replaceChildren(`Means${n ? ` over ${n} prompts` : ""}${banded}. `,
        "Gray: the other layers; click a curve to choose its layer. Thick: plateau, bold in the table.");
      draw();
      fillTable();
    }

    // The curve nearest to a place of the chart.
    follow(chart.svg, (event) => {
      const [at, value] = chart.at(event);
      const near = Math.min(scales.length - 1, Math.max(0, Math.round(at)));
      const off = ({ points }) => Math.abs(points[near].value - value);
      settings.set({ layer: curves.reduce((best, curve) => (off(curve) < off(best) ? curve : best)).layer }, false);
    }, () => settings.remember());

    body.append(controlsOf(settings, make("div", { class: "lab-control" }, pin)), words,
      make("div", { class: "scales-views" },
        make("figure", {}, chart.svg, caption),
        make("table", { class: "table" }, make("thead", {}, heads), rows)),
      status);
    show();
    new ResizeObserver(draw).observe(body);
  }

  globalThis.Forms.define("scales", build);
  globalThis.Forms.plateau = plateau; // for tests
})();
