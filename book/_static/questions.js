// Questions that are answered on the page: a check shows the explanations of the chosen answers, and whether they are
// right. Each explanation is a fold below its answer, which opens without this script too. Nothing is stored or sent.
(() => {
  const SAID = {
    none: "Choose an answer first.",
    right: "Right.",
    several: "Right: these are all.",
    more: "Right so far, but not complete: find every right answer.",
    wrong: "Not yet. Read why below your answer, then try again.",
  };
  const [SHOW, HIDE] = ["Show all explanations", "Hide all explanations"];

  function serve(question) {
    const inputs = [...question.querySelectorAll("input")];
    const folds = [...question.querySelectorAll(".feedback > details")];
    const [check, show, status] = ["button.check", "button.show", ".status"].map((part) => question.querySelector(part));

    function name() {
      const all = folds.every((fold) => fold.open);
      show.textContent = all ? HIDE : SHOW;
      show.setAttribute("aria-expanded", all);
    }

    function answer() {
      const chosen = inputs.filter((input) => input.checked);
      const missed = inputs.some((input) => "right" in input.dataset && !input.checked);
      inputs.forEach((input, place) => { if (input.checked) folds[place].open = true; });
      const result = !chosen.length ? "none"
        : !chosen.every((input) => "right" in input.dataset) ? "wrong"
          : missed ? "more" : chosen.length > 1 ? "several" : "right";
      status.textContent = SAID[result];
      status.dataset.result = result;
      name();
    }

    // All at once are read in their place, not aloud one after the other.
    function toggle() {
      const open = !folds.every((fold) => fold.open);
      const places = folds.map((fold) => fold.parentElement);
      places.forEach((place) => place.setAttribute("aria-live", "off"));
      folds.forEach((fold) => { fold.open = open; });
      setTimeout(() => places.forEach((place) => place.setAttribute("aria-live", "polite")), 500);
      status.textContent = "";
      name();
    }

    check.addEventListener("click", answer);
    show.addEventListener("click", toggle);
    question.addEventListener("change", () => { status.textContent = ""; });
    question.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && event.target.matches("input")) answer();
    });
    question.classList.add("served");
    question.querySelector(".actions").hidden = false;
  }

  document.querySelectorAll("div.question").forEach(serve);
})();
