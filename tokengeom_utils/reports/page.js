"use strict";
// The page works without this script: the text is then colored by surprisal, and the numbers of single tokens are left out.
(() => {
  const { texts, edges, layer: start } = JSON.parse(document.getElementById("data").textContent);
  const controls = document.querySelector(".controls");
  const range = controls.querySelector("input[type=range]");
  const shown = controls.querySelector("output");
  let quantity = "surprisal";
  let layer = start;

  const step = (value, of) => of.filter((edge) => value >= edge).length;
  const nats = (value) => `${value.toFixed(2)} nats`;
  const percent = (p) => (p >= 0.1 ? `${(100 * p).toFixed(0)}%` : `${Number((100 * p).toPrecision(2))}%`);
  const visible = (piece) => piece.replace(/\n/g, "↵").replace(/\t/g, "⇥") || "·";

  function quote(piece) {
    const code = document.createElement("code");
    code.textContent = visible(piece);
    return code;
  }

  // --- colors ---
  function paint() {
    texts.forEach((text, place) => {
      const box = document.getElementById(`tokens-${place}`);
      box.classList.toggle("surprisal", quantity === "surprisal");
      box.classList.toggle("dimension", quantity === "dimension");
      const values = quantity === "surprisal" ? text.surprisal : text.dimension[layer - 1];
      [...box.children].forEach((token, i) => {
        const value = values[i];
        const name = value === null ? "u" : `b${step(value, edges[quantity])}`;
        token.className = token.className.replace(/\b(b\d|u)\b/, name);
      });
    });
    document.querySelectorAll(".legend[data-of]").forEach((one) => { one.hidden = one.dataset.of !== quantity; });
    range.disabled = quantity !== "dimension";
    shown.textContent = layer;
  }

  // --- one token ---
  function tell(place, i) {
    const text = texts[place];
    const box = document.getElementById(`tokens-${place}`);
    const token = box.children[i];
    box.querySelectorAll(".here").forEach((one) => { one.classList.remove("here"); one.removeAttribute("aria-selected"); });
    token.classList.add("here");
    token.setAttribute("aria-selected", "true");
    box.setAttribute("aria-activedescendant", token.id);
    const surprisal = text.surprisal[i];
    const dimension = text.dimension[layer - 1][i];
    const [likeliest, p] = text.likeliest[i];
    const parts = [["token ", quote(token.textContent), ` ${i + 1} of ${text.surprisal.length}`]];
    if (surprisal === null) {
      parts.push(["surprisal: none, as nothing predicts the first token"]);
    } else {
      parts.push([`surprisal ${nats(surprisal)} (probability ${percent(Math.exp(-surprisal))})`]);
      parts.push(["likeliest here: ", quote(likeliest), ` ${percent(p)}`]);
    }
    parts.push([dimension === null
      ? `local dimension at layer ${layer}: not defined, as another token has the same vector`
      : `local dimension at layer ${layer}: ${dimension.toFixed(1)} ± ${(dimension * edges.error).toFixed(1)}`]);
    const readout = document.getElementById(`readout-${place}`);
    readout.replaceChildren(...parts.map((words) => {
      const part = document.createElement("span");
      part.append(...words);
      return part;
    }));
  }

  /** The token nearest to another one, a line of the text above or below it. */
  function otherLine(tokens, i, down) {
    const { left, top, bottom } = tokens[i].getClientRects()[0] || tokens[i].getBoundingClientRect();
    let best = i;
    let line = null;
    for (let j = i + (down ? 1 : -1); j >= 0 && j < tokens.length; j += down ? 1 : -1) {
      const rect = tokens[j].getClientRects()[0];
      const middle = rect && (rect.top + rect.bottom) / 2;
      if (!rect || (middle > top && middle < bottom)) continue;
      line = line || rect;
      if (middle < line.top || middle > line.bottom) break;
      const near = tokens[best].getClientRects()[0];
      if (best === i || Math.abs(rect.left - left) < Math.abs(near.left - left)) best = j;
    }
    return best;
  }

  const moves = {
    ArrowRight: (tokens, i) => i + 1,
    ArrowLeft: (tokens, i) => i - 1,
    ArrowDown: (tokens, i) => otherLine(tokens, i, true),
    ArrowUp: (tokens, i) => otherLine(tokens, i, false),
    PageDown: (tokens, i) => i + 50,
    PageUp: (tokens, i) => i - 50,
    Home: () => 0,
    End: (tokens) => tokens.length - 1,
  };

  texts.forEach((text, place) => {
    const box = document.getElementById(`tokens-${place}`);
    const tokens = [...box.children];
    let at = 0;
    const go = (i) => {
      at = Math.max(0, Math.min(tokens.length - 1, i));
      tell(place, at);
    };
    box.addEventListener("keydown", (event) => {
      const move = moves[event.key];
      if (!move || event.ctrlKey || event.altKey || event.metaKey) return;
      event.preventDefault();
      go(move(tokens, at));
      tokens[at].scrollIntoView({ block: "nearest" });
    });
    box.addEventListener("focus", () => { if (box.matches(":focus-visible")) go(at); });
    ["pointerover", "click"].forEach((kind) => box.addEventListener(kind, (event) => {
      const i = tokens.indexOf(event.target.closest(".t"));
      if (i >= 0) go(i);
    }));
    text.again = () => { if (box.querySelector(".here")) tell(place, at); };
  });

  controls.addEventListener("input", () => {
    quantity = controls.querySelector("input[name=color]:checked").value;
    layer = Number(range.value);
    paint();
    texts.forEach((text) => text.again());
  });
  controls.addEventListener("submit", (event) => event.preventDefault());
  controls.hidden = false;
  document.querySelectorAll(".readout").forEach((box) => { box.hidden = false; });
  paint();

  // Inside another page, such as a notebook, the colors are those of that page, light or dark, ...
  const forTheDark = [...document.styleSheets[0].cssRules].find((rule) => rule.media && /color-scheme/.test(rule.media.mediaText));
  const follow = (root) => {
    const scheme = getComputedStyle(root).colorScheme;
    if (scheme !== "dark" && scheme !== "light") return;
    forTheDark.media.mediaText = scheme === "dark" ? "all" : "not all";
    document.documentElement.style.colorScheme = scheme;
  };
  try {
    const root = window.parent.document.documentElement;
    if (window.parent !== window.self) {
      follow(root);
      new MutationObserver(() => follow(root)).observe(root, { attributes: true });
    }
  } catch { /* a page of another origin, which may not be asked */ }

  // ... and the report can also be opened by itself.
  const alone = document.querySelector(".alone");
  alone.hidden = window.self === window.top;
  document.documentElement.classList.toggle("framed", !alone.hidden);
  alone.addEventListener("click", () => {
    const whole = new Blob([`<!DOCTYPE html>\n${document.documentElement.outerHTML}`], { type: "text/html" });
    window.open(URL.createObjectURL(whole));
  });
})();
