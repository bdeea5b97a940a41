// The text of a prompt, token by token: one stop of the keyboard, in which arrow keys go from token to token.
globalThis.ExplorerText = (() => {
  const { make } = globalThis.Laboratory;

  // White space that a reader could not see.
  const visible = (word) => word.replaceAll("\n", "⏎").replaceAll("\t", "⇥")
    .replace(/^ +| +$/g, (gap) => "␣".repeat(gap.length)) || "∅";

  // Black or white, whichever is easier to read on a color "rgb(r,g,b)".
  function ink(ground) {
    const [r, g, b] = (ground.match(/\d+/g) || []).map((part) => (part / 255) ** 2.2);
    return ground.startsWith("rgb(") && 0.2126 * r + 0.7152 * g + 0.0722 * b < 0.18 ? "#fff" : "#000";
  }

  class Text {
    // `choose` is told the place of a token, or null for none.
    constructor(choose) {
      this.box = make("div", {
        class: "explorer-text", tabindex: "0", role: "listbox", "aria-label": "Text of the prompt, token by token",
      });
      this.options = [];
      this.chosen = null;
      this.box.addEventListener("click", (event) => {
        const option = event.target.closest("[role=option]");
        if (option) choose(this.options.indexOf(option));
      });
      this.box.addEventListener("keydown", (event) => {
        const [from, last] = [this.chosen ?? -1, this.options.length - 1];
        const to = {
          ArrowRight: from + 1, ArrowDown: from + 10, ArrowLeft: from - 1, ArrowUp: from - 10, Home: 0, End: last,
        }[event.key];
        if (event.key === "Escape") choose(null);
        if (to === undefined || last < 0) return;
        event.preventDefault();
        choose(Math.max(0, Math.min(last, to)));
      });
    }

    lay(words) {
      this.options = words.map((word, i) => make("span", { id: `token-${i}`, role: "option", "aria-selected": "false" },
        word.includes("\n") ? word.replaceAll("\n", "⏎\n") : word || "∅"));
      this.box.replaceChildren(...this.options);
    }

    paint(colors, chosen, found) {
      this.chosen = chosen;
      const isFound = new Set(found);
      this.options.forEach((option, i) => {
        option.style.background = colors[i];
        option.style.color = colors[i] === "transparent" ? "inherit" : ink(colors[i]);
        option.className = [isFound.has(i) && "found", i === chosen && "chosen"].filter(Boolean).join(" ");
        option.setAttribute("aria-selected", String(i === chosen));
      });
      if (chosen === null) {
        this.box.removeAttribute("aria-activedescendant");
        return;
      }
      this.box.setAttribute("aria-activedescendant", this.options[chosen].id);
      const [at, high] = [this.options[chosen].offsetTop, this.box.clientHeight];
      if (at < this.box.scrollTop || at > this.box.scrollTop + high - 30) this.box.scrollTop = at - high / 2; // not the page
    }
  }

  return { Text, visible };
})();
