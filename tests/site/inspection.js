// What a reader of the open page would see or meet: runs in the page, and returns {topic: [finding, ...]}.
() => {
  const all = (selector) => [...document.querySelectorAll(selector)];
  const name = (element) => {
    const section = element.closest("section[id]");
    const text = (element.textContent || element.getAttribute("src") || "").trim().replace(/\s+/g, " ").slice(0, 60);
    return `${section ? "#" + section.id + ": " : ""}${element.tagName.toLowerCase()} "${text}"`;
  };
  const isShown = (element) => element.getClientRects().length > 0;
  const reaches = (box) => ["auto", "scroll"].includes(getComputedStyle(box).overflowX);

  const images = all("img").filter((image) => isShown(image) && !image.naturalWidth).map(name);

  const formulas = all("mjx-merror").map(name);
  const walker = document.createTreeWalker(document.querySelector("main") || document.body, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const inside = node.parentElement.closest("pre, code, script, style, mjx-container, .linenos");
    if (!inside && /\\\(|\\\[|\$\$|\\(frac|begin|sum|mathbb|text|operatorname)\b/.test(node.data)) {
      formulas.push(node.data.trim().slice(0, 80));
    }
  }

  const wide = document.documentElement.scrollWidth > window.innerWidth
    ? [`the page is ${document.documentElement.scrollWidth} px wide`] : [];

  // Code that scrolls sideways is read through a slit; output of a program may.
  const code = all("div.highlight pre, div.cell_input pre")
    .filter((pre) => isShown(pre) && pre.scrollWidth > pre.clientWidth + 1).map(name);

  const isForScreenReaders = (box) => box.closest("thead") && getComputedStyle(box.closest("thead")).clipPath !== "none";
  const clipped = all("span.math, div.math").filter((box) => {
    const drawn = box.querySelector("mjx-container");
    if (!drawn || !isShown(box) || isForScreenReaders(box) || getComputedStyle(box).overflowX === "visible") return false;
    const inner = box.matches(".wide, div") ? box : box.parentElement;
    const over = drawn.scrollWidth > inner.clientWidth + 2 && getComputedStyle(inner).display !== "inline";
    return over && !reaches(box) && !reaches(drawn);
  }).map(name);
  const isCut = (box) => box.scrollWidth - box.clientWidth > 2;
  const display = all("div.math mjx-container, span.math.wide mjx-container").filter((drawn) => isShown(drawn)
    && (isCut(drawn) || isCut(drawn.parentElement))).map(name);
  const tables = all("main table").filter((table) => isShown(table)
    && table.getBoundingClientRect().width > table.parentElement.clientWidth + 1).map(name);

  // Whatever scrolls must be reached by keyboard.
  const unreachable = all("main pre, main .math, main div").filter((box) => isShown(box) && reaches(box)
    && box.scrollWidth > box.clientWidth + 2 && box.tabIndex < 0
    && !box.querySelector("a[href], button, summary, [tabindex='0']")).map(name);

  const ids = all("[id]").map((element) => element.id);
  const anchors = [
    ...ids.filter((id, place) => ids.indexOf(id) !== place).map((id) => `the id ${id} is not unique`),
    ...all("main a[href^='#']").map((link) => decodeURIComponent(link.hash.slice(1)))
      .filter((target) => target && !document.getElementById(target)).map((target) => `#${target} does not exist`),
  ];

  const labels = all("summary, button").filter((element) => isShown(element)
    && !(element.textContent.trim() || element.getAttribute("aria-label") || element.title)).map(name);

  const stops = all("mjx-container[tabindex='0'], .math[tabindex='0']")
    .filter((formula) => formula.scrollWidth <= formula.clientWidth + 1 || !reaches(formula)).map(name);

  return { images, formulas, wide, code, clipped, display, tables, unreachable, anchors, labels, stops };
}
