// Settings of a laboratory: a control for each, and all in the fragment of the address, so that a link opens them.
// A control is described by its label, its usual value, and what it allows: named `values` (with `check`, two of them as
// a box to tick; with `open`, all of them side by side) or a `range` of low, high, and step (with `typed`, as a field
// with a button for the next value). Where a page has several sets of settings, each has a name, with which its fragment
// begins, and the address holds the set that was changed last.
globalThis.Laboratory = (() => {
  const make = (tag, attributes = {}, ...children) => {
    const element = document.createElement(tag);
    Object.entries(attributes).forEach(([name, value]) => element.setAttribute(name, value));
    element.append(...children);
    return element;
  };

  const button = (text, act, attributes = {}) => {
    const made = make("button", { type: "button", class: "btn btn-sm", ...attributes }, text);
    made.addEventListener("click", act);
    return made;
  };

  // The allowed value nearest to the one that a link or a reader asks for.
  function allowed({ usual, values, range }, asked) {
    if (values) return Object.hasOwn(values, asked) ? (typeof usual === "number" ? Number(asked) : asked) : usual;
    const value = asked === "" ? NaN : Number(asked);
    const [low, high, by] = range;
    return Number.isFinite(value) ? Math.min(high, Math.max(low, Number((Math.round(value / by) * by).toPrecision(12)))) : usual;
  }

  // Whether the address holds settings, of the set with this name.
  const asksFor = (name) => (name ? window.location.hash.startsWith(`#${name}&`) : window.location.hash.includes("="));

  // `agree` changes settings that exclude each other, given the name of the latest change, which wins; `changed` is told
  // the name of what a reader changed, or nothing when a link was followed. With `keeps`, a link leaves as it is what it
  // does not name; otherwise that takes its usual value.
  class Settings {
    constructor(controls, agree, changed, { name = "", keeps = false } = {}) {
      Object.assign(this, { name, keeps, controls, agree, changed, names: Object.keys(controls), inputs: {}, boxes: {} });
      this.names.forEach((name) => this.build(name));
      this.values = this.asked({});
      this.follow();
      window.addEventListener("hashchange", () => { if (this.follow()) changed(); });
    }

    asked(values) {
      const known = this.names.map((name) => [name, allowed(this.controls[name], values[name] ?? "")]);
      return this.agree(Object.fromEntries(known));
    }

    // Take over the address, if it holds settings; a section of the page is none.
    follow() {
      const found = asksFor(this.name);
      if (found) {
        const wanted = Object.fromEntries(new URLSearchParams(window.location.hash.slice(1)));
        this.values = this.asked(this.keeps ? { ...this.values, ...wanted } : wanted);
        const refused = this.names.some((name) => Object.hasOwn(wanted, name) && wanted[name] !== `${this.values[name]}`);
        if (refused || this.keeps) this.remember(); // the address says what is shown
      }
      this.write();
      return found;
    }

    remember() {
      const own = new URLSearchParams(this.names.map((name) => [name, this.values[name]]));
      window.history.replaceState(window.history.state, "", `#${this.name && `${this.name}&`}${own}`);
    }

    // A change that is not over, such as a slider that moves, is not in the address yet.
    set(values, over = true) {
      const before = { ...this.values };
      const [latest] = Object.keys(values);
      Object.keys(values).forEach((name) => { this.values[name] = allowed(this.controls[name], values[name]); });
      this.agree(this.values, latest);
      this.write(over);
      if (over) this.remember();
      if (this.names.some((name) => this.values[name] !== before[name])) this.changed(latest);
    }

    write(over = true) {
      const ready = this.names.filter((name) => over || !this.controls[name].typed);
      ready.forEach((name) => this.inputs[name](this.values[name]));
    }

    build(name) {
      const { label, values, range, typed, check, open, unit = "" } = this.controls[name];
      const id = `${this.name || "lab"}-${name}`;
      if (open) return this.buildOpen(name, id);
      const head = make("label", { for: id }, label);
      const [min, max, step] = range || [];
      const input = values && !check
        ? make("select", { id }, ...Object.entries(values).map(([value, text]) => make("option", { value }, text)))
        : make("input", check ? { id, type: "checkbox" } : { id, type: typed ? "number" : "range", min, max, step });
      const shown = make("span", { "aria-hidden": "true" }); // a slider says it too
      this.inputs[name] = (value) => {
        if (check) input.checked = value;
        else input.value = value;
        shown.textContent = `${value}${unit}`.replace("-", "\u2212");
      };
      const row = [input];
      if (typed) {
        const next = { "aria-label": `Next ${label.toLowerCase()}` };
        row.push(button("Next", () => this.set({ [name]: this.values[name] + 1 }), next));
      } else if (range) row.push(shown);
      this.boxes[name] = check
        ? make("div", { class: "lab-control lab-check" }, input, head)
        : make("div", { class: "lab-control" }, head, make("div", { class: "lab-row" }, ...row));
      const read = () => (check ? Number(input.checked) : input.value);
      input.addEventListener("input", () => { if (read() !== "") this.set({ [name]: read() }, false); });
      input.addEventListener("change", () => this.set({ [name]: read() }));
      return input;
    }

    // All values side by side, one of which is chosen.
    buildOpen(name, id) {
      const { label, values } = this.controls[name];
      const choices = Object.entries(values).map(([value, text]) => {
        const input = make("input", { type: "radio", name: id, id: `${id}-${value.replace(/\W+/g, "-")}`, value });
        input.addEventListener("change", () => this.set({ [name]: value }));
        return make("label", { "data-value": value }, input, make("span", {}, text));
      });
      this.boxes[name] = make("fieldset", { class: "lab-open" }, make("legend", {}, label), ...choices);
      const inputs = choices.map(({ firstChild }) => firstChild);
      this.inputs[name] = (value) => inputs.forEach((input) => { input.checked = input.value === value; });
    }
  }

  return { Settings, asksFor, button, make };
})();
