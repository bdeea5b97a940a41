// A form for a heat map over depth: a cell is chosen by mouse, touch, or keyboard, and two charts show its row and its
// column. The table holds one panel or several, each an image, or one line for each row of the map, with its band.
// Options: `panels`, `rows`, and `value` name what they hold; `against` is a row to compare with; with a `limit` the
// colors have two sides; with a `power` the values of the table are its exponents.
(() => {
  const { Chart, announcer, controlsOf, follow, grouped, key, number, numeric, ticks } = globalThis.Forms;
  const { Settings, make } = globalThis.Laboratory;

  // --- Colors: those of the figures, viridis and RdBu_r of matplotlib ---

  const VIRIDIS = ["#440154", "#481a6c", "#472f7d", "#414487", "#39568c", "#31688e", "#2a788e", "#23888e", "#1f988b",
    "#22a884", "#35b779", "#54c568", "#7ad151", "#a5db36", "#d2e21b", "#fde725"];
  const TWO_SIDES = ["#053061", "#2166ac", "#4393c3", "#92c5de", "#d1e5f0", "#f7f7f7", "#fddbc7", "#f4a582", "#d6604d",
    "#b2182b", "#67001f"];
  // In the dark, the middle of two sides is the ground and not white, as in the figure (dark.py).
  const TWO_SIDES_DARK = ["#6d9cd2", "#3581ce", "#146ca1", "#0d4561", "#122834", "#171717", "#441e08", "#88310b", "#cd4c37",
    "#ff667b", "#f886a9"];

  function shade(colors, share) {
    const place = Math.min(1, Math.max(0, share)) * (colors.length - 1);
    const low = Math.min(Math.floor(place), colors.length - 2);
    const [from, to] = [colors[low], colors[low + 1]]
      .map((color) => [1, 3, 5].map((start) => parseInt(color.slice(start, start + 2), 16)));
    return `rgb(${from.map((part, k) => Math.round(part + (place - low) * (to[k] - part))).join(" ")})`;
  }

  // --- The table as maps ---

  const UNKNOWN = { value: NaN, low: NaN, high: NaN, n: NaN };

  // The layers are evenly spaced in relative depth, the last one at 1; the pixel of a layer ends there.
  function byLayer(cells) {
    const layers = Math.round((cells.length - 1) / (cells[cells.length - 1].depth - cells[0].depth));
    const found = Array(layers).fill(UNKNOWN);
    cells.forEach((cell) => { found[Math.ceil(cell.depth * layers - 1e-6) - 1] = cell; });
    return found;
  }

  function rowOf(line, band, isImage) {
    return byLayer(line.map((point, k) => ({
      depth: numeric(point.x),
      value: numeric(isImage ? point.value : point.y),
      low: band ? numeric(band[k].y_low) : NaN,
      high: band ? numeric(band[k].y_high) : NaN,
      n: numeric(point.n),
    })));
  }

  function mapOf(rows) {
    const of = (kind) => rows.filter((row) => row.kind === kind);
    const isImage = of("image").length > 0;
    const bands = new Map(grouped(of("band"), "label"));
    const lines = isImage ? grouped(of("image"), "y") : grouped(of("line"), "label");
    const cells = lines.map(([name, line]) => rowOf(line, bands.get(name), isImage));
    return {
      title: rows[0].title || rows[0].y_axis,
      rows: lines.map(([name]) => (isImage ? `${Number(name)}` : name)),
      cells,
      layers: cells[0].length,
    };
  }

  // What tells titles apart: their last words, if all others are the same.
  function briefly(titles) {
    const split = titles.map((title) => title.match(/^(.* )?(\S+)$/));
    const same = split.every(([, start]) => start && start === split[0][1]);
    return same ? split.map(([, , end]) => end) : titles;
  }

  const short = (row) => row.split(" ").pop(); // "S = 3" is 3 in an address and on an axis
  const within = (value, count) => Math.min(count - 1, Math.max(0, value));
  const numbered = (count) => Array.from({ length: count }, (_, k) => k + 1);
  const someLayers = (count) => numbered(count).filter((layer) => layer === 1 || layer % (count > 40 ? 10 : 5) === 0);

  // --- The grid of cells, one of which can have the focus ---

  class Grid {
    constructor() {
      this.element = make("div", { class: "map-grid", role: "grid" });
      this.frames = ["row", "column"].map((side) =>
        make("div", { class: `map-frame map-${side}`, "aria-hidden": "true" }));
      this.axis = make("div", { class: "map-axis", "aria-hidden": "true" });
    }

    // `colorOf` and `labelOf` are told a row and a column, and row 0 is at the bottom, as in the figure.
    paint(label, { rows, layers }, colorOf, labelOf) {
      this.cells = rows.map((_, row) => numbered(layers).map((layer) => {
        const place = { row, column: layer - 1 };
        const cell = make("span", { role: "gridcell", tabindex: "-1", "aria-label": labelOf(place) });
        const [light, dark] = colorOf(place);
        cell.style.setProperty("--light", light);
        cell.style.setProperty("--dark", dark);
        return cell;
      }));
      const lines = rows.map((name, row) => make("div", { role: "row" },
        make("span", { role: "rowheader" }, name), ...this.cells[row]));
      this.element.setAttribute("aria-label", label);
      this.element.replaceChildren(...lines.reverse(), ...this.frames);
      const named = someLayers(layers).map((layer) => make("span", { style: `--column: ${layer}` }, `${layer}`));
      this.axis.replaceChildren(...named, make("b", {}, "layer"));
      [this.element, this.axis].forEach(({ style }) => style.setProperty("--columns", layers));
      this.element.style.setProperty("--rows", rows.length);
      this.reached = null;
    }

    // The tab key reaches the cell that is chosen; frames mark the row and the column that are shown.
    mark(chosen, shown) {
      if (this.reached) {
        this.reached.tabIndex = -1;
        this.reached.removeAttribute("aria-selected");
      }
      this.reached = this.cells[chosen.row][chosen.column];
      this.reached.tabIndex = 0;
      this.reached.setAttribute("aria-selected", "true");
      this.element.style.setProperty("--row", this.cells.length - 1 - shown.row);
      this.element.style.setProperty("--column", shown.column);
    }

    placeOf({ clientX, clientY }) {
      const [rows, columns] = [this.cells.length, this.cells[0].length];
      const { left, top } = this.cells[rows - 1][0].getBoundingClientRect();
      const { right, bottom } = this.cells[0][columns - 1].getBoundingClientRect();
      const down = Math.floor(((clientY - top) / (bottom - top)) * rows);
      const across = Math.floor(((clientX - left) / (right - left)) * columns);
      return { row: rows - 1 - within(down, rows), column: within(across, columns) };
    }

    // Where a key leads; nothing for a key that is none of the grid's.
    next({ row, column }, { key: pressed, ctrlKey, metaKey, altKey }) {
      const [rows, columns] = [this.cells.length, this.cells[0].length];
      const to = {
        ArrowLeft: [row, column - 1],
        ArrowRight: [row, column + 1],
        ArrowUp: [row + 1, column],
        ArrowDown: [row - 1, column],
        Home: [row, 0],
        End: [row, columns - 1],
        PageUp: [rows - 1, column],
        PageDown: [0, column],
      }[pressed];
      if (!to || ctrlKey || metaKey || altKey) return null;
      return { row: within(to[0], rows), column: within(to[1], columns) };
    }
  }

  // --- The form ---

  function build(body, table, options, name) {
    const maps = grouped(table, "panel").map(([, rows]) => mapOf(rows));
    const titles = briefly(maps.map(({ title }) => title));
    const keys = [...new Set(maps.flatMap(({ rows }) => rows))];
    const most = Math.max(...maps.map(({ layers }) => layers));

    // Panels need not have the same rows and layers.
    const agree = (values) => {
      const { rows, layers } = maps[values.panel - 1];
      if (!rows.some((row) => short(row) === values.row)) values.row = short(rows[rows.length - 1]);
      values.layer = Math.min(values.layer, layers);
      return values;
    };
    const settings = new Settings({
      panel: { label: options.panels, usual: 1, values: Object.fromEntries(titles.map((text, k) => [k + 1, text])) },
      row: {
        label: options.rows,
        usual: short(options.against ? keys[keys.length - 1] : keys[0]),
        values: Object.fromEntries(keys.map((row) => [short(row), row])),
      },
      layer: { label: "Layer", usual: Math.round((2 * most) / 3), range: [1, most, 1] },
    }, agree, (changed) => {
      if (changed === "panel" || !changed) paint();
      show();
      if (!grid.element.contains(document.activeElement)) say(sentence(chosen())); // a cell with the focus is read out
    }, { name });

    let hovered = null;
    const map = () => maps[settings.values.panel - 1];
    const chosen = () => ({
      row: map().rows.findIndex((row) => short(row) === settings.values.row), column: settings.values.layer - 1,
    });
    const choose = ({ row, column }, over) => {
      hovered = null;
      settings.set({ row: short(map().rows[row]), layer: column + 1 }, over);
    };

    // --- Words ---

    const power = (value) => (options.power ? options.power ** value : value);
    const cellAt = ({ row, column }) => map().cells[row][column];
    const valueOf = ({ value }) => (Number.isFinite(value) ? number(power(value)) : "none");
    const bandOf = ({ low, high }) => (Number.isFinite(low) ? `${number(power(low))} to ${number(power(high))}` : "");
    const rowName = (row) => (Number.isNaN(Number(row)) ? row : `${options.rows} ${row}`);
    const placeName = ({ row, column }) => `${rowName(map().rows[row])}, layer ${column + 1}`;
    const base = ({ row }) => { // the row to compare with, unless it is this one
      const found = map().rows.indexOf(options.against);
      return found === row ? -1 : found;
    };

    function facts(place) {
      const cell = cellAt(place);
      const other = base(place);
      const found = [[options.value, valueOf(cell)]];
      if (bandOf(cell)) found.push(["95% band", bandOf(cell)]);
      if (cell.n) found.push(["prompts", `${cell.n}`]);
      if (other >= 0) {
        const against = cellAt({ ...place, row: other });
        const difference = cell.value - against.value;
        found.push([`at ${options.against}`, valueOf(against)]);
        found.push(["difference", `${difference > 0 ? "+" : ""}${number(difference)}`]);
      }
      found.push(["relative depth", ((place.column + 1) / map().layers).toFixed(2)]);
      return found;
    }

    const sentence = (place) =>
      `${map().title}. ${placeName(place)}: ${facts(place).map((pair) => pair.join(" ")).join(", ")}.`;

    // --- Pictures ---

    const { status, say } = announcer();
    const grid = new Grid();
    const legend = make("div", { class: "map-legend", "aria-hidden": "true" });
    const [across, down] = [new Chart(230), new Chart(230)];
    const [underAcross, underDown] = [make("figcaption"), make("figcaption")];
    const where = make("p", { class: "map-where" });
    const reading = make("dl", { class: "form-reading" });

    function paint() {
      const colors = options.limit ? TWO_SIDES : VIRIDIS;
      const inTheDark = options.limit ? TWO_SIDES_DARK : VIRIDIS;
      const ramp = (list) => `linear-gradient(to right, ${list.join(", ")})`;
      const own = map().cells.flat().map(({ value }) => value).filter(Number.isFinite);
      const ends = options.limit ? [-options.limit, 0, options.limit] : [Math.min(...own), Math.max(...own)];
      const [low, high] = [ends[0], ends[ends.length - 1]];
      const colorOf = (place) => {
        const { value } = cellAt(place);
        return [colors, inTheDark].map((list) =>
          Number.isFinite(value) ? shade(list, (value - low) / (high - low)) : "none");
      };
      const labelOf = (place) => {
        const band = bandOf(cellAt(place));
        return `${placeName(place)}: ${valueOf(cellAt(place))}${band && `, 95% band ${band}`}`;
      };
      const about = `${map().title}: ${options.rows.toLowerCase()} by layer. The arrow keys choose a cell.`;
      grid.paint(about, map(), colorOf, labelOf);
      legend.replaceChildren(make("span", {}, options.value),
        make("i", { style: `--light: ${ramp(colors)}; --dark: ${ramp(inTheDark)}` }),
        make("em", {}, ...ends.map((end) => make("span", {}, `${Number(power(end).toFixed(1))}`))));
    }

    // The same for all rows and columns of a map, so that only the curves move.
    function axisOfValues() {
      const own = (options.power ? maps : [map()]).flatMap(({ cells }) => cells.flat())
        .flatMap(({ value, high }) => [value, high]).filter(Number.isFinite);
      const top = 1.05 * Math.max(...own.map(Math.abs));
      if (!options.power) return { low: 0, high: top, ticks: ticks(top), name: options.value };
      const whole = [-3, -2, -1, 0, 1, 2, 3].filter((end) => Math.abs(end) <= top);
      return { low: -top, high: top, ticks: whole.map((end) => [end, `${power(end)}`]), name: options.value };
    }

    function draw() {
      const place = hovered || chosen();
      const [{ rows, cells, layers }, y, other] = [map(), axisOfValues(), base(place)];
      const [x, z] = [
        { low: 0.5, high: layers + 0.5, ticks: someLayers(layers).map((layer) => [layer, layer]), name: "layer" },
        {
          low: -0.5,
          high: rows.length - 0.5,
          ticks: rows.map((row, k) => [k, short(row)]).filter((_, k) => rows.length < 7 || k % 2 === 0),
          name: options.rows.toLowerCase(),
        },
      ];
      const [what, numbers] = [options.value, "the cells of the map have the numbers"];
      across.begin(`${what} by layer, ${rowName(rows[place.row])}; ${numbers}.`, x, y);
      down.begin(`${what} by ${z.name} at layer ${place.column + 1}; ${numbers}.`, z, y);
      across.line("form-mark", [[place.column + 1, y.low], [place.column + 1, y.high]]);
      down.line("form-mark", [[place.row, y.low], [place.row, y.high]]);

      // What the row is compared with: another row of its panel, or the same row of the others.
      const level = options.power ? 0 : other >= 0 ? cells[other][place.column].value : NaN;
      if (Number.isFinite(level)) down.line("form-level", [[z.low, level], [z.high, level]]);
      if (options.power) across.line("form-level", [[x.low, level], [x.high, level]]);
      const alike = options.against ? [] : maps.filter((one) => one !== map() && one.rows.includes(rows[place.row]));
      alike.forEach((one) => across.curve(one.cells[one.rows.indexOf(rows[place.row])]
        .map((cell, k) => ({ ...cell, at: 0.5 + ((k + 0.5) * layers) / one.layers })), "other"));
      if (other >= 0) across.curve(cells[other].map((cell, k) => ({ ...cell, at: k + 1 })), "other");

      across.curve(cells[place.row].map((cell, k) => ({ ...cell, at: k + 1 })), "mine");
      across.dot(place.column + 1, cellAt(place).value, 4.5, "mine");
      const column = cells.map((row, k) => ({ ...row[place.column], at: k }));
      down.curve(column, "mine");
      column.forEach(({ at, value }) => down.dot(at, value, at === place.row ? 4.5 : 2.5, "mine"));
      underAcross.replaceChildren(key("mine", rowName(rows[place.row])),
        ...(other >= 0 ? [key("other", options.against)] : []),
        ...(alike.length ? [key("other", `other ${options.panels.toLowerCase()}s, by relative depth`)] : []));
      const dashed = options.power ? `; dashed: ${power(0)}` : other >= 0 ? `; dashed: ${options.against}` : "";
      underDown.textContent = `Layer ${place.column + 1}${dashed}`;
    }

    function show() {
      const place = hovered || chosen();
      grid.mark(chosen(), place);
      where.textContent = `${placeName(place)} of ${map().layers}`;
      reading.replaceChildren(...facts(place).map(([fact, text]) =>
        make("div", {}, make("dt", {}, fact), make("dd", {}, text))));
      draw();
    }

    // --- What a reader does ---

    const hover = (place) => {
      hovered = place;
      show();
    };
    const done = () => settings.remember();
    follow(grid.element, (event) => choose(grid.placeOf(event), false), done);
    grid.element.addEventListener("pointermove", (event) => {
      if (event.pointerType === "mouse" && !event.buttons) hover(grid.placeOf(event));
    });
    grid.element.addEventListener("pointerleave", () => { if (hovered) hover(null); });
    grid.element.addEventListener("keydown", (event) => {
      const to = grid.next(chosen(), event);
      if (!to) return;
      event.preventDefault();
      choose(to);
      grid.reached.focus({ preventScroll: true });
    });
    follow(across.svg, (event) => {
      choose({ ...chosen(), column: within(Math.round(across.at(event)[0]) - 1, map().layers) }, false);
    }, done);
    follow(down.svg, (event) => {
      choose({ ...chosen(), row: within(Math.round(down.at(event)[0]), map().rows.length) }, false);
    }, done);

    body.append(controlsOf(settings),
      make("div", { class: "map-views" },
        make("div", {}, grid.element, grid.axis, legend),
        make("div", {}, where, reading),
        make("figure", {}, across.svg, underAcross),
        make("figure", {}, down.svg, underDown)),
      status);
    paint();
    show();
    new ResizeObserver(draw).observe(body);
  }

  globalThis.Forms.define("map", build);
})();
