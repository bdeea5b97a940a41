// Under each result of the search, a sentence of the book that holds the words that were sought.
(() => {
  const ROOM = 240;
  const query = new URLSearchParams(window.location.search).get("q") || "";
  const words = query.toLowerCase().match(/[\p{L}\p{N}_]+/gu) || [];
  const end = DOCUMENTATION_OPTIONS.LINK_SUFFIX;

  // The sentences of the section that a result links to; of the whole page where it links to no section.
  function prose(link) {
    const [page, anchor] = link.getAttribute("href").split("#");
    const parts = window.EXCERPTS[page.slice(0, -end.length)] || [];
    const chosen = anchor && parts.filter(([ids]) => ids.includes(decodeURIComponent(anchor)));
    return (chosen && chosen.length ? chosen : parts).map(([, text]) => text).join(" ");
  }

  // The stretch that holds most of the words; a word may go on, as the search finds "shuffles" for "shuffle".
  function stretch(text) {
    const low = text.toLowerCase();
    let [best, most] = [0, 0];
    for (const word of words) {
      for (let at = low.indexOf(word); at >= 0; at = low.indexOf(word, at + 1)) {
        const from = Math.max(0, at - ROOM / 4);
        const here = words.filter((other) => low.slice(from, from + ROOM).includes(other)).length;
        if (here > most) [best, most] = [from, here];
      }
    }
    if (best > 0) best = text.indexOf(" ", best) + 1;
    let until = Math.min(text.length, best + ROOM);
    if (until < text.length) until = Math.max(best, text.lastIndexOf(" ", until));
    return `${best > 0 ? "… " : ""}${text.slice(best, until)}${until < text.length ? " …" : ""}`;
  }

  function summary(item) {
    const link = item.querySelector("a");
    const text = link && !item.querySelector(":scope > span") && stretch(prose(link));
    if (!text) return;
    const paragraph = document.createElement("p");
    paragraph.className = "context";
    const pattern = words.map((word) => word.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")).join("|");
    text.split(new RegExp(`(${pattern})`, "i")).forEach((part, place) => {
      if (place % 2 === 0) return paragraph.append(part);
      const mark = document.createElement("mark");
      mark.textContent = part;
      return paragraph.append(mark);
    });
    item.append(paragraph);
  }

  const results = document.getElementById("search-results");
  if (!results || !words.length) return;
  new MutationObserver((changes) => changes.forEach(({ addedNodes }) => addedNodes.forEach((node) => {
    if (node.matches && node.matches("li")) summary(node);
  }))).observe(results, { childList: true, subtree: true });
})();
