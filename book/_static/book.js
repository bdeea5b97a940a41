// What pages do for a reader: the contents mark the section that is read, whatever scrolls can be reached by keyboard,
// figures can be enlarged, links show what they lead to, and whoever comes back finds the place that they left.
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
    all("span.math.wide").forEach((formula) => formula.classList.remove("wide"));
    all("span.math").forEach((formula) => {
      const drawn = formula.querySelector("mjx-container");
      const line = formula.closest("p, li, td, th, dd, dt, figcaption, summary, h1, h2, h3, h4");
      // A cell is as wide as its formula, unless the table has become a list of cards.
      const cell = formula.closest("td, th");
      const holds = cell && getComputedStyle(cell).display === "table-cell";
      if (drawn && line && !holds && drawn.scrollWidth > line.clientWidth + 1) formula.classList.add("wide");
    });
    all(SCROLLS).forEach((box) => {
      // What is hidden does not scroll: the theme hides the overflow of a formula in a line, where MathJax has a copy
      // for screen readers.
      const scrolls = box.scrollWidth > box.clientWidth + 1
        && ["auto", "scroll"].includes(getComputedStyle(box).overflowX);
      if (scrolls) box.tabIndex = 0;
      else if (box.tabIndex >= 0 || box.hasAttribute("tabindex")) box.removeAttribute("tabindex");
      showMore(box, scrolls);
    });
  }

  // A box that scrolls shows at which of its sides there is more.
  function showMore(box, scrolls = true) {
    box.classList.toggle("more-before", scrolls && box.scrollLeft > 1);
    box.classList.toggle("more-after", scrolls && box.scrollLeft + box.clientWidth < box.scrollWidth - 1);
  }

  // What is said is what is shown: arrows have no text of their own, and the button for the search shows its keys too.
  function nameControls() {
    all(".search-button-field").forEach((button) => button.removeAttribute("aria-label"));
    all(".bd-sidebar-primary summary").forEach((arrow) => {
      const link = arrow.closest("li").querySelector("a");
      if (link) arrow.setAttribute("aria-label", `Pages below ${link.textContent.trim()}`);
    });
  }

  // A click on a figure shows it as large as its words need, in a box that scrolls; without this, the link opens it.
  function enlarge() {
    const dialog = document.createElement("dialog");
    dialog.className = "enlarged";
    dialog.setAttribute("aria-label", "Figure, enlarged");
    dialog.innerHTML = '<button type="button" class="btn-close" aria-label="Close"></button>'
      + '<div tabindex="0" role="group" aria-label="Figure; scrolls"><img alt=""></div>';
    const [close, picture] = ["button", "img"].map((name) => dialog.querySelector(name));
    close.addEventListener("click", () => dialog.close());
    dialog.addEventListener("click", ({ target }) => { if (target === dialog) dialog.close(); });
    document.body.append(dialog);
    all("a.enlarge").forEach((link) => link.addEventListener("click", (event) => {
      if (event.ctrlKey || event.metaKey || event.shiftKey) return;
      event.preventDefault();
      picture.src = link.href;
      picture.alt = link.querySelector("img").alt;
      dialog.showModal();
    }));
  }

  // A pause at a link shows what it leads to: a term, a statement, a formula, a figure, a work, or a function. The card
  // stays while the pointer is on it, and Escape closes it (WCAG 1.4.13). previews.py writes what it shows.
  function previews() {
    if (!window.bootstrap || !window.matchMedia("(hover: hover)").matches) return;
    const root = new URL(document.documentElement.dataset.content_root || "./", document.baseURI).href;
    const [ready, waiting] = [{}, {}];
    window.tokengeomPreviews = (page, cards) => { ready[page] = cards; };
    const load = (page) => ready[page] ? Promise.resolve() : waiting[page] ||= new Promise((done) => {
      const script = document.createElement("script");
      script.src = `${root}_static/previews/${page}.js`;
      script.onload = script.onerror = done;
      document.head.append(script);
    });

    let [shown, timer] = [null, 0];
    const hide = () => {
      clearTimeout(timer);
      if (shown) shown.dispose();
      shown = null;
    };
    const later = (task, delay) => { clearTimeout(timer); timer = setTimeout(task, delay); };

    async function show(link) {
      const url = new URL(link.href);
      const page = url.href.split("#")[0].replace(root, "").replace(/\.html$/, "");
      const anchor = decodeURIComponent(url.hash.slice(1));
      await load(page);
      const html = ready[page] && Object.hasOwn(ready[page], anchor) && ready[page][anchor];
      if (!html || !link.matches(":hover, :focus-visible")) return;
      const card = document.createElement("div");
      card.innerHTML = html;
      const formulas = all(".math", card);
      if (formulas.length && !(window.MathJax && window.MathJax.typesetPromise)) return;
      for (const [selector, name] of [["[src]", "src"], ["[href]", "href"]]) {
        all(selector, card).forEach((part) => part.setAttribute(name, new URL(part.getAttribute(name), url).href));
      }
      if (formulas.length) await window.MathJax.typesetPromise([card]);
      hide();
      shown = new window.bootstrap.Popover(link, {
        content: card, html: true, trigger: "manual", placement: "auto", container: "body", customClass: "preview",
        animation: false,
      });
      shown.show();
      const tip = document.querySelector(".popover.preview");
      tip.addEventListener("mouseenter", () => clearTimeout(timer));
      tip.addEventListener("mouseleave", () => later(hide, 200));
    }

    all("article a.internal[href*='#'], article a.sphinx-codeautolink-a").forEach((link) => {
      if (link.closest("nav, .headerlink")) return;
      link.removeAttribute("title"); // a second, shorter card of the browser's own
      link.addEventListener("mouseenter", () => later(() => show(link), 350));
      link.addEventListener("focus", () => later(() => show(link), 350));
      link.addEventListener("mouseleave", () => later(hide, 200));
      link.addEventListener("blur", hide);
    });
    document.addEventListener("keydown", ({ key }) => { if (key === "Escape") hide(); });
  }

  // Formulas, and forms such as that of the claims, take their room when the page is there, after the browser has
  // scrolled. So whoever comes back, or follows a link into a page, is held at the place until they move on.
  function keepPlace() {
    const blocks = all("article :is(p, h1, h2, h3, h4, li, dt, figure, pre, tr)")
      .filter((block) => !block.closest(".figure-form, #laboratory"));
    const storage = () => { try { return window.sessionStorage; } catch { return null; } }; // it may be forbidden
    const entry = window.navigation && window.navigation.currentEntry;
    const key = `tokengeom ${entry ? entry.key : window.location.pathname}`;
    window.addEventListener("pagehide", () => {
      const number = blocks.findIndex((block) =>
        block.getClientRects().length && block.getBoundingClientRect().bottom > 0);
      if (number < 0 || !storage()) return;
      storage().setItem(key, JSON.stringify([number, blocks[number].getBoundingClientRect().top]));
    });

    const [how] = performance.getEntriesByType("navigation");
    const isBack = how && ["back_forward", "reload"].includes(how.type);
    const [number, top] = (isBack && storage() && JSON.parse(storage().getItem(key))) || [];
    const named = document.querySelector(":target");
    const align = () => {
      if (blocks[number]) {
        window.scrollBy({ top: blocks[number].getBoundingClientRect().top - top, behavior: "instant" });
      } else if (named && !isBack) named.scrollIntoView({ behavior: "instant" });
    };
    if (!blocks[number] && (!named || isBack)) return;
    const watch = new ResizeObserver(align);
    watch.observe(document.querySelector("article"));
    const leave = () => watch.disconnect();
    ["wheel", "touchstart", "keydown", "pointerdown", "hashchange"].forEach((event) =>
      window.addEventListener(event, leave, { once: true, passive: true }));
    setTimeout(leave, 4000);
  }

  // The button that leads to the top lies over the page; it stays away from what is used with a finger.
  function clearView() {
    const button = document.querySelector("#pst-back-to-top");
    if (!button) return;
    const below = new Set();
    const watch = new IntersectionObserver((changes) => {
      changes.forEach(({ target, isIntersecting }) => below[isIntersecting ? "add" : "delete"](target));
      button.classList.toggle("out-of-the-way", below.size > 0);
    }, { rootMargin: "-75% 0px 0px 0px" });
    all("#laboratory, .figure-form, .question").forEach((place) => watch.observe(place));
  }

  // Paper is white: what is printed from a dark page is printed as from a light one.
  function print() {
    const theme = document.documentElement.dataset;
    let before;
    window.addEventListener("beforeprint", () => { before = theme.theme; theme.theme = "light"; });
    window.addEventListener("afterprint", () => { theme.theme = before; });
  }

  function start() {
    nameControls();
    print();
    keepPlace();
    clearView();
    enlarge();
    previews();
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
    document.addEventListener("scroll", ({ target }) => {
      if (target instanceof Element && target.matches(SCROLLS)) showMore(target);
    }, { capture: true, passive: true });
    document.addEventListener("toggle", () => { mark(); measure(); }, true);
    const drawn = window.MathJax && window.MathJax.startup && window.MathJax.startup.promise;
    if (drawn) drawn.then(() => { mark(); measure(); });
  }

  if (document.readyState === "complete") start();
  else window.addEventListener("load", start);
})();
