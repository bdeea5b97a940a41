// A form for the cards of the claims, which chooses them by their verdict, by that on the untrained twin, by subject,
// and by what the tests of their parts show. The table holds one row for each part, and one for a claim without parts.
(() => {
  const { controlsOf, grouped } = globalThis.Forms;
  const { Settings, make } = globalThis.Laboratory;
  const ANY = "any";
  const VERDICTS = ["reproduced", "partly", "undecided", "not seen here", "not testable here"];

  const EVIDENCE = {
    beyond: ["certainly more than in the twin", ({ remark, beyond }) => !remark && beyond === "more"],
    agree: ["all kinds of text agree", ({ kinds }) => kinds && new Set(kinds.split(" of ")).size === 1],
    opposite: ["the opposite in some part", ({ outcome }) => outcome === "opposite"],
    little: ["of little severity in some part", ({ remark }) => remark],
  };

  // Each claim is a term and its definitions; a box around them can be hidden.
  function cardsBelow(place) {
    const found = new Map();
    const lists = [...place.parentElement.querySelectorAll("dl")];
    lists.flatMap((list) => [...list.children]).forEach((part) => {
      if (part.matches("dt")) {
        const box = make("div", { class: "claim" });
        part.before(box);
        found.set(part.textContent.match(/^\d+/)[0], box);
      }
      [...found.values()].pop().append(part);
    });
    return found;
  }

  function build(place, table, options, name) {
    const cards = cardsBelow(place);
    const claims = grouped(table, "claim").map(([number, parts]) => ({
      card: cards.get(number), parts: parts.filter(({ part }) => part),
      verdict: parts[0].claim_verdict, twin: parts[0].claim_twin, subject: parts[0].subject,
    })).filter(({ card }) => card);
    const some = (names) => Object.fromEntries([...new Set(names)].filter(Boolean).map((text) => [text, text]));
    const inOrder = (names) => some(VERDICTS.filter((verdict) => names.includes(verdict)));
    const evidence = Object.entries(EVIDENCE).filter(([, [, test]]) => claims.some(({ parts }) => parts.some(test)));
    const any = { [ANY]: "any" };

    const filters = {
      verdict: { label: "Trained model", open: true, values: { [ANY]: "all", ...inOrder(VERDICTS) } },
      twin: { label: "Untrained twin", values: { ...any, ...inOrder(claims.map(({ twin }) => twin)) } },
      subject: { label: "Subject", values: { ...any, ...some(claims.map(({ subject }) => subject)) } },
      evidence: {
        label: "Evidence",
        values: { ...any, ...Object.fromEntries(evidence.map(([key, [text]]) => [key, text])) },
      },
    };
    // A survey without a twin, or without any test, has nothing to choose there.
    const used = Object.fromEntries(Object.entries(filters).filter(([, { values }]) => Object.keys(values).length > 1)
      .map(([key, control]) => [key, { ...control, usual: ANY }]));

    const passes = (claim, key, wanted) => wanted === ANY || (key === "evidence"
      ? claim.parts.some(EVIDENCE[wanted][1]) : claim[key] === wanted);
    const left = (values) => claims.filter((claim) =>
      Object.entries(values).every(([key, wanted]) => passes(claim, key, wanted)));

    const settings = new Settings(used, (chosen) => chosen, () => show(), { name });
    const count = make("p", { class: "claims-count", role: "status" });
    const reset = make("button", { type: "button", class: "btn btn-sm" }, "Show all");
    reset.addEventListener("click", () => {
      settings.set(Object.fromEntries(settings.names.map((key) => [key, ANY])));
      form.querySelector("input:checked, select")?.focus(); // the button is gone
    });

    function show() {
      const shown = left(settings.values);
      claims.forEach((claim) => claim.card.classList.toggle("left-out", !shown.includes(claim)));
      count.textContent = `${shown.length} of ${claims.length} claims shown.`;
      reset.hidden = shown.length === claims.length;
      // How many there are of each verdict, with the other filters as they are.
      settings.boxes.verdict.querySelectorAll("label").forEach((label) => {
        const number = left({ ...settings.values, verdict: label.dataset.value }).length;
        label.querySelector("b").textContent = number;
      });
    }

    settings.boxes.verdict.querySelectorAll("label").forEach((label) => label.append(" ", make("b", {}, "")));
    const form = controlsOf(settings);
    form.classList.add("claims-form");
    form.setAttribute("aria-label", "Which claims are shown");
    place.append(form, make("div", { class: "claims-foot" }, count, reset));
    show();
  }

  globalThis.Forms.define("claims", build, { folded: false });
})();
