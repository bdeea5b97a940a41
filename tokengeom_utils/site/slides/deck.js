// Starts the deck once its formulas are set: the caption of a tall picture goes beside it, and a slide whose content is
// too tall or too wide becomes smaller.
(async () => {
  const WIDTH = 1280, HEIGHT = 720, SMALLEST = 0.5, STEP = 0.05, TALL = 1.3;
  const sections = [...document.querySelectorAll(".slides > section")];
  if (window.MathJax && MathJax.startup) {
    await MathJax.startup.promise;
    await MathJax.typesetPromise();
  }
  await document.fonts.ready;
  await Promise.all([...document.images].map((image) => image.decode().catch(() => {})));
  document.querySelectorAll("figure img").forEach((image) => {
    if (image.naturalWidth < TALL * image.naturalHeight) image.parentElement.classList.add("tall");
  });
  const deck = new Reveal(document.querySelector(".reveal"), {
    width: WIDTH, height: HEIGHT, margin: 0.06, center: true, hash: true, slideNumber: "c/t", transition: "none",
    viewDistance: sections.length, mobileViewDistance: sections.length, pdfMaxPagesPerSlide: 1,
  });
  await deck.initialize();
  for (const section of sections) {
    const box = section.querySelector(".fit");
    const tooLarge = () => box.scrollHeight > HEIGHT || box.scrollWidth > box.clientWidth + 1;
    for (let size = 1; tooLarge() && size > SMALLEST; size -= STEP) box.style.fontSize = `${size - STEP}em`;
  }
  deck.layout();
  document.documentElement.dataset.ready = "yes";
})();
