// The explorer's data: scripts that the build wrote (tokengeom_utils/site/explorer), loaded when they are wanted. A page
// opened as a file may load scripts, but not fetch.
globalThis.ExplorerData = (() => {
  const folder = new URL("explorer/", document.currentScript.src);
  const waiting = {}; // by file, what to do with its data
  globalThis.tokengeomIndex = (data) => waiting.index(data);
  globalThis.tokengeomCloud = (name, data) => waiting[name](data);

  const load = (name) => new Promise((resolve, reject) => {
    waiting[name] = resolve;
    const script = document.createElement("script");
    script.src = new URL(`${name}.js`, folder);
    script.onload = () => script.remove();
    script.onerror = () => {
      script.remove();
      reject(new Error(`${name}.js is missing`));
    };
    document.head.append(script);
  });

  // Little-endian integers of 16 bits, whatever the order of bytes here.
  function integers(text, signed) {
    const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
    const view = new DataView(bytes.buffer);
    const values = new (signed ? Int16Array : Uint16Array)(bytes.length / 2);
    for (let i = 0; i < values.length; i += 1) {
      values[i] = signed ? view.getInt16(2 * i, true) : view.getUint16(2 * i, true);
    }
    return values;
  }

  class Cloud {
    constructor(index, data) {
      const real = (text, step) => Float32Array.from(integers(text, false),
        (value) => (value === index.steps.none ? NaN : value * step));
      Object.assign(this, data, { n: data.text.length, layers: data.share.length, sorted: {} });
      this.loss = real(data.loss, index.steps.loss);
      this.local = real(data.local, index.steps.local);
      this.near = integers(data.near, false);
      this.points = Float32Array.from(integers(data.points, true), (value) => (value * index.rim) / 32767);
      this.stored = this.near.length / (this.n * this.layers); // neighbors of each token
    }

    // Two quantiles of all values of a kind; sorting them once is enough.
    range(kind, ...levels) {
      this.sorted[kind] ??= this[kind].filter((value) => !Number.isNaN(value)).sort();
      const values = this.sorted[kind];
      return levels.map((level) => values[Math.round(level * (values.length - 1))] ?? 1);
    }

    // The coordinates of all tokens in a layer, one array for each axis.
    axes(layer) {
      const part = this.points.subarray(3 * layer * this.n, 3 * (layer + 1) * this.n);
      return [0, 1, 2].map((axis) => Array.from({ length: this.n }, (_, i) => part[3 * i + axis]));
    }

    localIn(layer) {
      return this.local.subarray(layer * this.n, (layer + 1) * this.n);
    }

    neighbors(layer, token, k) {
      const from = (layer * this.n + token) * this.stored;
      return Array.from(this.near.subarray(from, from + Math.min(k, this.stored)));
    }

    // The share of a token's k neighbors that are its neighbors in the next layer as well; without a token, the mean.
    overlap(layer, k, token) {
      if (layer + 1 >= this.layers) return NaN;
      const tokens = token === undefined ? Array.from({ length: this.n }, (_, i) => i) : [token];
      const shares = tokens.map((i) => {
        const next = new Set(this.neighbors(layer + 1, i, k));
        return this.neighbors(layer, i, k).filter((j) => next.has(j)).length / Math.min(k, this.stored);
      });
      return shares.reduce((sum, share) => sum + share, 0) / shares.length;
    }
  }

  const KEPT = 8; // clouds in memory; a reader goes back and forth between a few
  const clouds = new Map();

  async function cloud(index, name) {
    if (!clouds.has(name)) {
      clouds.set(name, load(name).then((data) => new Cloud(index, data)));
      if (clouds.size > KEPT) clouds.delete(clouds.keys().next().value);
    }
    try {
      return await clouds.get(name);
    } catch (error) {
      clouds.delete(name); // a reader may try again
      throw error;
    }
  }

  const index = load("index"); // at once, while the other scripts are read
  index.catch(() => {}); // the page says so
  return { cloud, index };
})();
