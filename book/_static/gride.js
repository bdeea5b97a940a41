// Points of known dimension, the distances to their neighbors, and GRIDE: numbers alone, without a page.
// The shapes are those of tokengeom_utils/theory/shapes.py, and the estimate is that of
// tokengeom_utils/clouds/dimension.py; tests/site/test_estimator_laboratory.py holds both against the package.
globalThis.Gride = (() => {
  const DUPLICATE = 1e-8;                // of the median first distance, as in clouds/kernels/limits.py
  const TIED = 1 + 10 * Number.EPSILON;  // the ratio of two equal distances
  const SCALE_MAX = 256;

  // --- random numbers ---

  // sfc32 (Doty-Humphrey, PractRand): the same numbers for the same seed and stream, with 53 bits each.
  function uniforms(seed, stream) {
    let [a, b, c, counter] = [seed, stream, 0x9e3779b9, 1];
    const next = () => {
      const sum = (a + b + counter) | 0;
      counter = (counter + 1) | 0;
      a = b ^ (b >>> 9);
      b = (c + (c << 3)) | 0;
      c = (((c << 21) | (c >>> 11)) + sum) | 0;
      return sum >>> 0;
    };
    for (let i = 0; i < 15; i += 1) next();
    return () => ((next() >>> 5) * 2 ** 26 + (next() >>> 6)) / 2 ** 53;
  }

  // Box and Muller: the normal law from two uniform numbers.
  const normals = (uniform) => () => Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform());

  // --- shapes ---

  const several = (count, draw) => Array.from({ length: count }, draw);

  // Of each: the dimensions that it may have, its number of coordinates, and one random point.
  const SHAPES = {
    cube: {
      least: 1, most: 20,
      features: (d) => d,
      point: (d, uniform) => several(d, uniform),
    },
    sphere: {
      least: 1, most: 20,
      features: (d) => d + 1,
      point: (d, uniform) => {
        const x = several(d + 1, normals(uniform));
        const length = Math.hypot(...x);
        return x.map((coordinate) => coordinate / length);
      },
    },
    torus: {
      least: 1, most: 10,
      features: (d) => 2 * d,
      point: (d, uniform) => {
        const angles = several(d, () => 2 * Math.PI * uniform());
        return [...angles.map(Math.cos), ...angles.map(Math.sin)];
      },
    },
    roll: {
      least: 2, most: 2,
      features: () => 3,
      point: (d, uniform) => {
        const [low, high] = [2 * Math.PI, 8 * Math.PI];
        const angle = Math.sqrt(low ** 2 + uniform() * (high ** 2 - low ** 2));
        const radius = angle / (2 * Math.PI);
        return [radius * Math.cos(angle), radius * Math.sin(angle), 3 * uniform()];
      },
    },
  };

  // n points of a shape of dimension d, one after the other; all their `ambient` coordinates have normal noise.
  // Shape and noise have random numbers of their own: more noise moves the same points farther.
  function draw({ shape, d, n, noise, ambient, seed }) {
    const uniform = uniforms(seed, 1);
    const normal = normals(uniforms(seed, 2));
    const points = new Float64Array(n * ambient);
    for (let i = 0; i < n; i += 1) {
      points.set(SHAPES[shape].point(d, uniform), i * ambient);
      if (noise) for (let j = 0; j < ambient; j += 1) points[i * ambient + j] += noise * normal();
    }
    return points;
  }

  // --- neighbors ---

  function squaredDistance(points, features, i, j) {
    let sum = 0;
    for (let k = 0; k < features; k += 1) sum += (points[i * features + k] - points[j * features + k]) ** 2;
    return sum;
  }

  // The other points in order of their distance from point i.
  function neighbors(points, features, i) {
    const squared = Float64Array.from({ length: points.length / features },
      (_, j) => squaredDistance(points, features, i, j));
    return [...squared.keys()].filter((j) => j !== i).sort((j, k) => squared[j] - squared[k]);
  }

  // The entry that sorting the first `size` entries would put at place k, by Hoare's method; no entry before it is
  // larger then.
  function select(values, size, k) {
    let [low, high] = [0, size - 1];
    while (low < high) {
      const pivot = values[k];
      let [i, j] = [low, high];
      while (i <= j) {
        while (values[i] < pivot) i += 1;
        while (values[j] > pivot) j -= 1;
        if (i <= j) {
          const held = values[i];
          values[i] = values[j];
          values[j] = held;
          i += 1;
          j -= 1;
        }
      }
      if (j < k) low = i;
      if (i > k) high = j;
    }
    return values[k];
  }

  // Distances from every point to its neighbors of rank 1, 2, 4, ..., one array for each rank.
  function radii(points, features) {
    const n = points.length / features;
    const ranks = [];
    for (let rank = 1; rank <= Math.min(SCALE_MAX, n - 1); rank *= 2) ranks.push(rank);
    const squared = new Float64Array(n * n);
    for (let i = 0; i < n; i += 1) {
      for (let j = 0; j < i; j += 1) {
        squared[i * n + j] = squared[j * n + i] = squaredDistance(points, features, i, j);
      }
    }
    const found = ranks.map(() => new Float64Array(n));
    for (let i = 0; i < n; i += 1) {
      const row = squared.subarray(i * n, (i + 1) * n); // the point itself has rank 0
      for (let column = ranks.length - 1, size = n; column >= 0; size = ranks[column], column -= 1) {
        found[column][i] = Math.sqrt(select(row, size, ranks[column]));
      }
    }
    return found;
  }

  // --- GRIDE ---

  const total = (values) => values.reduce((sum, value) => sum + value, 0);

  // As numpy.percentile interpolates, of sorted numbers.
  function quantile(sorted, q) {
    const position = q * (sorted.length - 1);
    const below = Math.floor(position);
    return sorted[below] + (position - below) * (sorted[Math.min(below + 1, sorted.length - 1)] - sorted[below]);
  }

  // Logarithms of the ratios far / near: without points that coincide with another, nor outliers.
  function logRatios(first, near, far) {
    const sorted = Float64Array.from(first).sort();
    const apart = DUPLICATE * sorted[(first.length - 1) >> 1];
    const ratios = [...far].map((r, i) => (r === near[i] ? TIED : r / near[i])).filter((_, i) => first[i] > apart);
    const ordered = Float64Array.from(ratios).sort();
    const [q50, q95] = [0.5, 0.95].map((q) => quantile(ordered, q));
    return ratios.filter((ratio) => ratio < q50 + 20 * (q95 - q50)).map(Math.log);
  }

  // The root of the likelihood equation at range scaling n2 = 2 n1, by Newton's method; the formulas, and why the steps
  // never leave the right side, are in tokengeom_utils/clouds/kernels/reference/gride.py.
  function solve(logs, n2) {
    const n = logs.length;
    const weight = n2 / 2 - 1;
    const start = n - 1 + weight * n;
    const fall = (1 + 1.5 * weight) * total(logs);
    const squares = total(logs.map((log) => log ** 2));
    let d = (2 * start) / (fall + Math.sqrt(Math.max(0, fall ** 2 - (weight * start * squares) / 3)));
    let curvature;
    for (let step = 0; step < 100; step += 1) {
      const ys = logs.map((log) => (d / 2) * log);
      const cs = ys.map((y) => y / Math.tanh(y));
      curvature = total(cs.map((c, i) => c ** 2 - ys[i] ** 2));
      const before = d;
      d *= (n - 1 + weight * curvature) / (d * fall + weight * (curvature - total(cs)));
      if (Math.abs(d - before) <= 1e-12 * d) break;
    }
    return { scale: n2, dimension: d, error: d / Math.sqrt(n + weight * curvature), count: n };
  }

  // GRIDE at range scalings 2, 4, 8, ..., up to 256 or as far as there are neighbors.
  function gride(points, features) {
    const r = radii(points, features);
    return r.slice(1).map((far, column) => solve(logRatios(r[0], r[column], far), 2 ** (column + 1)));
  }

  return { SHAPES, draw, neighbors, gride };
})();
