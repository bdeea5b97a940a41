// The contents beside a page mark the section that is read; whatever scrolls can be reached by keyboard.
(() => {
  const SCROLLS = "pre, .math, div.math mjx-container, .cell_output > .output, .pst-scrollable-table-container";
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];

  // The theme marks sections in a list of another name than its pages have, and none between two short sections.
  document.body.removeAttribute("data-bs-spy");

  function contents() {
    const nav = document.querySelector("#pst-page-toc-nav, .bd-toc-nav");
    if (!nav) return () => {};
    const places = all("a.nav-link[href^='#']", nav).map((link) => ({
      link,
      section: document.getElementById(decodeURIComponent(link.hash.slice(1))),
    })).filter(({ section }) => section);
    let current;
    return () => {
      const limit = 0.3 * window.innerHeight;
      const atEnd = window.innerHeight + window.scrollY >= document.documentElement.scrollHeight - 2;
      const begun = places.filter(({ section }) => atEnd
        ? section.getBoundingClientRect().top < window.innerHeight
        : section.getBoundingClientRect().top <= limit);
      const place = begun[begun.length - 1] || places[0];
      if (!place || place === current) return;
      current = place;
      all(".active, [aria-current]", nav).forEach((old) => {
        old.classList.remove("active");
        old.removeAttribute("aria-current");
      });
      place.link.setAttribute("aria-current", "true");
      for (let item = place.link.closest("li"); item; item = item.parentElement.closest("li")) {
        item.classList.add("active");
        const link = item.querySelector(":scope > a.nav-link");
        if (link) link.classList.add("active");
      }
      const column = nav.closest(".bd-sidebar-secondary");
      if (column && column.scrollHeight > column.clientHeight) {
        const [inner, outer] = [place.link, column].map((box) => box.getBoundingClientRect());
        if (inner.top < outer.top || inner.bottom > outer.bottom) {
          column.scrollTop += inner.top - outer.top - column.clientHeight / 2;
        }
      }
    };
  }

  // A display formula that is a little too wide becomes smaller, down to four fifths; a wider one scrolls. A formula in
  // a line of text that is wider than the line becomes a line of its own, which scrolls.
  function measure() {
    all("div.math").forEach((box) => {
      const drawn = box.querySelector("mjx-container");
      if (!drawn || !drawn.clientWidth) return;
      box.style.fontSize = "";
      const fits = drawn.clientWidth / drawn.scrollWidth;
      if (fits < 1) box.style.fontSize = `${Math.max(0.98 * fits, 0.8)}em`;
    });
    all("span.math:not(.wide)").forEach((formula) => {
      const drawn = formula.querySelector("mjx-container");
      const line = formula.closest("p, li, td, th, dd, dt, figcaption, summary, h1, h2, h3, h4");
      if (drawn && line && drawn.scrollWidth > line.clientWidth + 1) formula.classList.add("wide");
    });
    all(SCROLLS).forEach((box) => {
      const scrolls = box.scrollWidth > box.clientWidth + 1 && getComputedStyle(box).overflowX !== "visible";
      if (scrolls) box.tabIndex = 0;
      else if (box.tabIndex >= 0 || box.hasAttribute("tabindex")) box.removeAttribute("tabindex");
    });
  }

  // What is said is what is shown: arrows have no text of their own, and the button for the search shows its keys too.
  function nameControls() {
    all(".search-button-field").forEach((button) => button.removeAttribute("aria-label"));
    all(".bd-sidebar-primary summary").forEach((arrow) => {
      const link = arrow.closest("li").querySelector("a");
      if (link) arrow.setAttribute("aria-label", `Pages below ${link.textContent.trim()}`);
    });
  }

  function start() {
    nameControls();
    const mark = contents();
    let waiting = false;
    const soon = (task) => () => {
      if (waiting) return;
      waiting = true;
      requestAnimationFrame(() => { waiting = false; task(); });
    };
    mark();
    measure();
    window.addEventListener("scroll", soon(mark), { passive: true });
    window.addEventListener("resize", () => setTimeout(() => { mark(); measure(); }, 400)); // after the theme
    document.addEventListener("toggle", () => { mark(); measure(); }, true);
    const drawn = window.MathJax && window.MathJax.startup && window.MathJax.startup.promise;
    if (drawn) drawn.then(() => { mark(); measure(); });
  }

  if (document.readyState === "complete") start();
  else window.addEventListener("load", start);
})();
