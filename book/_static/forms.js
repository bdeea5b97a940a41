// Interactive forms of figures: what they share. forms.py marks their places on a page, and writes the table of each as
// a script; a script for each kind, such as form_map.js, makes a form out of the rows of its table.
globalThis.Forms = (() => {
  const { asksFor, make } = globalThis.Laboratory;
  const [kinds, tables, waiting] = [{}, {}, {}];

  // --- Tables ---

  // The rows of a CSV file, which ends with a line break: their fields, as text, by the names in its first line.
  function parse(csv) {
    const field = /(?:"((?:[^"]|"")*)"|([^",\n]*))(,|\n|$)/y;
    const rows = [[]];
    while (field.lastIndex < csv.length) {
      const [, quoted, plain, end] = field.exec(csv);
      rows[rows.length - 1].push(quoted === undefined ? plain : quoted.replace(/""/g, '"'));
      if (end === "\n") rows.push([]);
    }
    const [names, ...fields] = rows.slice(0, -1);
    return fields.map((row) => Object.fromEntries(names.map((name, place) => [name, row[place]])));
  }

  // The file comes compressed by zlib, in base 64.
  async function unpack(packed) {
    const bytes = Uint8Array.from(atob(packed), (letter) => letter.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
    return parse(await new Response(stream).text());
  }

  window.tokengeomTable = (name, packed) => { tables[name] = unpack(packed); };

  const load = (name) => waiting[name] ||= new Promise((done, failed) => {
    const root = new URL(document.documentElement.dataset.content_root || "./", document.baseURI).href;
    const script = make("script", { src: `${root}_static/tables/${name}.js` });
    script.onload = () => done(tables[name]);
    script.onerror = failed;
    document.head.append(script);
  });

  const numeric = (text) => (text ? Number(text) : NaN); // an empty field is no zero

  // Rows by the value of a key, in the order in which the values appear.
  function grouped(rows, key) {
    const found = new Map();
    rows.forEach((row) => found.set(row[key], [...(found.get(row[key]) || []), row]));
    return [...found];
  }

  // --- Words ---

  function number(value) {
    const three = { minimumSignificantDigits: 3, maximumSignificantDigits: 3 };
    const options = Math.abs(value) < 1000 ? three : { maximumFractionDigits: 0 };
    return value.toLocaleString("en-US", options).replace("-", "\u2212");
  }

  // Not at every step of a slider: whoever listens hears where it stops.
  function announcer() {
    const status = make("p", { class: "visually-hidden", role: "status" });
    let timer = 0;
    return {
      status,
      say: (text) => {
        clearTimeout(timer);
        timer = setTimeout(() => { status.textContent = text; }, 500);
      },
    };
  }

  // A color with what it stands for.
  const key = (kind, text) => make("span", { class: "pair" }, make("span", { class: `key ${kind}` }), ` ${text}`);

  // The controls of a form, with more behind them.
  function controlsOf(settings, ...more) {
    const form = make("form", { class: "lab-controls", autocomplete: "off" },
      ...settings.names.map((name) => settings.boxes[name]), ...more);
    form.addEventListener("submit", (event) => event.preventDefault());
    return form;
  }

  // --- Charts ---

  const [LEFT, RIGHT, TOP, BOTTOM] = [44, 8, 10, 42];

  const ticks = (top) => {
    const step = [0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50].find((one) => top / one <= 6) || top / 5;
    const values = Array.from({ length: Math.floor(top / step + 1e-9) + 1 }, (_, k) => k * step);
    return values.map((value) => [value, `${Number(value.toFixed(1))}`]);
  };

  // Axes with ticks, and what is drawn in them. An axis has a lowest and a highest value, ticks with their texts, and a
  // name.
  class Chart {
    constructor(height) {
      this.height = height;
      this.svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
      this.svg.setAttribute("class", "form-chart");
      this.svg.setAttribute("role", "img");
      this.svg.setAttribute("height", height);
    }

    begin(label, x, y) {
      const width = this.svg.clientWidth || 300;
      const [right, bottom] = [width - RIGHT, this.height - BOTTOM];
      this.svg.setAttribute("aria-label", label);
      this.svg.setAttribute("viewBox", `0 0 ${width} ${this.height}`);
      this.svg.replaceChildren();
      this.x = (value) => LEFT + ((value - x.low) / (x.high - x.low)) * (right - LEFT);
      this.y = (value) => bottom - ((value - y.low) / (y.high - y.low)) * (bottom - TOP);
      this.at = (event) => { // the values at a place of the page
        const box = this.svg.getBoundingClientRect();
        const [across, down] = [event.clientX - box.left - LEFT, bottom - (event.clientY - box.top)];
        return [
          x.low + (across / (right - LEFT)) * (x.high - x.low),
          y.low + (down / (bottom - TOP)) * (y.high - y.low),
        ];
      };
      y.ticks.forEach(([value, text]) => {
        this.add("path", { class: "form-grid", d: `M${LEFT} ${this.y(value)}H${right}` });
        this.add("text", { class: "form-end", x: LEFT - 6, y: this.y(value) + 4 }, text);
      });
      this.add("path", { class: "form-axis", d: `M${LEFT} ${TOP}V${bottom}H${right}` });
      x.ticks.forEach(([value, text]) => {
        this.add("path", { class: "form-axis", d: `M${this.x(value)} ${bottom}v4` });
        this.add("text", { class: "form-middle", x: this.x(value), y: bottom + 17 }, text);
      });
      this.add("text", { class: "form-middle", x: (LEFT + right) / 2, y: this.height - 6 }, x.name);
      const middle = (TOP + bottom) / 2;
      this.add("text", { class: "form-middle", transform: `translate(11 ${middle}) rotate(-90)` }, y.name);
    }

    add(tag, attributes, text = "") {
      const made = document.createElementNS(this.svg.namespaceURI, tag);
      Object.entries(attributes).forEach(([name, value]) => made.setAttribute(name, value));
      made.textContent = text;
      this.svg.append(made);
    }

    path(points) {
      return points.map(([x, y], k) => `${k ? "L" : "M"}${this.x(x).toFixed(1)} ${this.y(y).toFixed(1)}`).join("");
    }

    line(name, points) {
      this.add("path", { class: name, d: this.path(points) });
    }

    // A curve through points {at, value, low, high}, with its band where they have one.
    curve(points, name) {
      const known = points.filter(({ value }) => Number.isFinite(value));
      if (known.length && known.every(({ low, high }) => Number.isFinite(low + high))) {
        const there = known.map(({ at, low }) => [at, low]);
        const back = known.map(({ at, high }) => [at, high]).reverse();
        this.line(`form-band ${name}`, [...there, ...back]);
      }
      this.line(`form-curve ${name}`, known.map(({ at, value }) => [at, value]));
    }

    dot(at, value, radius, name) {
      const place = { cx: this.x(at), cy: this.y(value), r: radius };
      if (Number.isFinite(value)) this.add("circle", { class: `form-dot ${name}`, ...place });
    }
  }

  // A press, and a drag across, on something that a finger may scroll up and down.
  function follow(target, act, done) {
    let held = false;
    target.addEventListener("pointerdown", (event) => {
      if (event.button) return;
      held = true;
      act(event);
    });
    target.addEventListener("pointermove", (event) => { if (held) act(event); });
    ["pointerup", "pointercancel"].forEach((name) => window.addEventListener(name, () => {
      if (held) done();
      held = false;
    }));
  }

  // --- Places ---

  // A form under a figure is a fold; its table is loaded, and the form is made, when it is opened for the first time.
  function fold(place, name) {
    const number = document.querySelector(`#${name} .caption-number`);
    const label = `Explore figure ${number ? number.textContent.match(/\d[\d.]*/)[0] : ""}`.trim();
    const body = make("div", { class: "form-body", role: "group", "aria-label": label });
    const details = make("details", { class: "fold form-fold" }, make("summary", { class: "fold-label" }, label), body);
    place.append(details);
    return [details, body];
  }

  function settle(place) {
    const { form, table: name, options } = place.dataset;
    const { build, folded } = kinds[form];
    const [details, body] = folded ? fold(place, name) : [null, place];
    place.hidden = false;
    let made = null;
    const show = () => {
      if (details) details.open = true;
      made ||= load(name).then(
        (rows) => build(body, rows, JSON.parse(options), name),
        () => { body.textContent = `The table ${name} could not be loaded.`; },
      );
      return made;
    };
    // Whoever follows a link to a form wants to see it.
    const arrive = async () => {
      if (!asksFor(name)) return;
      await show();
      place.scrollIntoView({ block: "start" });
    };
    if (details) details.addEventListener("toggle", () => { if (details.open) show(); });
    else show();
    arrive();
    window.addEventListener("hashchange", arrive);
  }

  const start = () => document.querySelectorAll(".figure-form").forEach(settle);
  document.addEventListener("DOMContentLoaded", start);

  return {
    Chart, announcer, controlsOf, follow, grouped, key, load, number, numeric, parse, ticks,
    define: (name, build, { folded = true } = {}) => { kinds[name] = { build, folded }; },
  };
})();
