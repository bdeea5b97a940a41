// The mean-field laboratory, its numbers: starts, motion, measurements, and predictions; drawing is in another script.
// Formulas, definitions, and steps in time are those of tokengeom_utils.theory.meanfield, and a test compares the two.
// A cloud is one Float64Array: token by token, d coordinates each.
globalThis.MeanField = (() => {
  const MET = 0.999; // a chain of tokens, each within this cosine of the next, is a group

  // --- Starts. Only + - * / and square roots make them: all browsers round these alike, but not logarithms or sines. ---

  // Uniform numbers between 0 and 1 (Tommy Ettinger's generator mulberry32).
  function uniform(seed) {
    let state = seed >>> 0;
    return () => {
      state = (state + 0x6d2b79f5) >>> 0;
      let mixed = Math.imul(state ^ (state >>> 15), state | 1);
      mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
      return (((mixed ^ (mixed >>> 14)) >>> 0) + 0.5) / 2 ** 32;
    };
  }

  // The logarithm of 0 < x < 1, by the series of atanh.
  function log(x) {
    let halvings = 0;
    for (; x < 0.5; x *= 2) halvings += 1;
    const z = (x - 1) / (x + 1);
    let sum = 0;
    for (let power = z, k = 1; k < 40; k += 2, power *= z * z) sum += power / k;
    return 2 * sum - halvings * 0.6931471805599453;
  }

  // Normal numbers, by Marsaglia's polar method.
  function normal(draw) {
    for (;;) {
      const [u, v] = [2 * draw() - 1, 2 * draw() - 1];
      const square = u * u + v * v;
      if (square < 1) return u * Math.sqrt(-2 * log(square) / square);
    }
  }

  // Cosine and sine of an angle between -pi and pi, by their series.
  function direction(angle) {
    const sums = [0, 0];
    for (let term = 1, k = 0; k < 40; k += 1, term *= angle / k) sums[k % 2] += k % 4 < 2 ? term : -term;
    return sums;
  }

  function toSphere(x, d) {
    for (let i = 0; i < x.length; i += d) {
      let square = 0;
      for (let a = i; a < i + d; a += 1) square += x[a] * x[a];
      const length = Math.sqrt(square);
      for (let a = i; a < i + d; a += 1) x[a] /= length;
    }
    return x;
  }

  function dot(x, i, y, j, d) {
    let sum = 0;
    for (let a = 0; a < d; a += 1) sum += x[i * d + a] * y[j * d + a];
    return sum;
  }

  const STARTS = {
    random({ n, d, seed }) {
      const draw = uniform(seed);
      return toSphere(Float64Array.from({ length: n * d }, () => normal(draw)), d);
    },

    // All tokens in one hemisphere.
    half(settings) {
      const x = STARTS.random(settings);
      for (let i = 0; i < x.length; i += settings.d) x[i] = Math.abs(x[i]);
      return x;
    },

    // Evenly on the circle, each token moved by about 0.001.
    ring({ n, seed }) {
      const draw = uniform(seed);
      const x = new Float64Array(2 * n);
      for (let i = 0; i < n; i += 1) x.set(direction(((2 * i) / n - 1) * Math.PI + 1e-3 * normal(draw)), 2 * i);
      return toSphere(x, 2);
    },

    // All at right angles: a random start by Gram and Schmidt, twice, since once leaves rounding behind.
    orthogonal(settings) {
      const { n, d } = settings;
      const x = STARTS.random(settings);
      for (let i = 0; i < n; i += 1) {
        for (let pass = 0; pass < 2; pass += 1) {
          for (let j = 0; j < i; j += 1) {
            const shadow = dot(x, i, x, j, d);
            for (let a = 0; a < d; a += 1) x[i * d + a] -= shadow * x[j * d + a];
          }
          toSphere(x.subarray(i * d, (i + 1) * d), d);
        }
      }
      return x;
    },
  };

  // --- Motion ---

  // The velocity of every token. The sum runs over all tokens or, with a mask, over those up to the token itself. All
  // weights are divided by e^beta, the largest possible, so that none overflows; each pair is computed once.
  function velocity(x, { beta, kind, mask, n, d }, out) {
    const total = new Float64Array(n);
    const pull = (i, weight, j) => {
      total[i] += weight;
      for (let a = 0; a < d; a += 1) out[i * d + a] += weight * x[j * d + a];
    };
    out.fill(0);
    for (let i = 0; i < n; i += 1) {
      for (let j = 0; j <= i; j += 1) {
        const weight = Math.exp(beta * (dot(x, i, x, j, d) - 1));
        pull(i, weight, j);
        if (j < i && !mask) pull(j, weight, i);
      }
    }
    for (let i = 0; i < n; i += 1) {
      const share = kind === "USA" ? Math.exp(beta) / (mask ? i + 1 : n) : 1 / total[i];
      const along = dot(out, i, x, i, d);
      for (let a = i * d; a < i * d + d; a += 1) out[a] = share * (out[a] - along * x[a]);
    }
    return out;
  }

  // One step of the classical Runge-Kutta method, then back to the sphere.
  function step(x, settings, h) {
    const slopes = [0, 1, 2, 3].map(() => new Float64Array(x.length));
    const ahead = (by, slope) => x.map((value, a) => value + by * slope[a]);
    velocity(x, settings, slopes[0]);
    velocity(ahead(h / 2, slopes[0]), settings, slopes[1]);
    velocity(ahead(h / 2, slopes[1]), settings, slopes[2]);
    velocity(ahead(h, slopes[2]), settings, slopes[3]);
    const [k1, k2, k3, k4] = slopes;
    return toSphere(x.map((value, a) => value + (h / 6) * (k1[a] + 2 * k2[a] + 2 * k3[a] + k4[a])), settings.d);
  }

  // The longest step; USA is faster by about e^beta.
  const longest = ({ kind, beta }) => (kind === "USA" ? Math.min(0.1, 0.5 * Math.exp(-beta)) : 0.1);

  const STORED = 180; // times after the start, three powers of ten, as even on a logarithmic axis as the figures' are

  function storedTimes(until) {
    return [0, ...Array.from({ length: STORED }, (_, k) => until * 10 ** (3 * ((k + 1) / STORED - 1)))];
  }

  // A run that can stop after any step: `next` makes one, and says whether it has reached a stored time.
  class Run {
    constructor(settings) {
      this.settings = { ...settings };
      this.times = storedTimes(settings.until);
      this.path = [];
      this.seen = { energy: [], groups: [], cosine: [], second: [] };
      this.x = STARTS[settings.start](settings);
      this.store();
    }

    get done() { return this.path.length === this.times.length; }

    store() {
      const { beta, n, d } = this.settings;
      this.path.push(this.x);
      this.seen.energy.push(energy(this.x, beta, n, d));
      this.seen.groups.push(1 + Math.max(...groups(this.x, n, d)));
      this.seen.cosine.push(meanCosine(this.x, n, d));
      this.seen.second.push(dot(this.x, 0, this.x, 1, d));
      this.left = 0;
    }

    next() {
      if (this.done) return true;
      if (!this.left) {
        const k = this.path.length;
        const gap = this.times[k] - this.times[k - 1];
        this.left = Math.ceil(gap / longest(this.settings) - 1e-9);
        this.h = gap / this.left;
      }
      this.x = step(this.x, this.settings, this.h);
      this.left -= 1;
      if (!this.left) this.store();
      return !this.left;
    }
  }

  // --- Measurements ---

  function energy(x, beta, n, d) {
    let sum = 0;
    for (let i = 0; i < n; i += 1) for (let j = 0; j < n; j += 1) sum += Math.exp(beta * dot(x, i, x, j, d));
    return sum / (n * n) / (2 * beta);
  }

  const largestEnergy = (beta) => Math.exp(beta) / (2 * beta);

  // The number, from 0, of the group of every token.
  function groups(x, n, d) {
    const label = new Array(n).fill(-1);
    let count = 0;
    for (let first = 0; first < n; first += 1) {
      if (label[first] >= 0) continue;
      const waiting = [first];
      label[first] = count;
      while (waiting.length) {
        const i = waiting.pop();
        for (let j = 0; j < n; j += 1) {
          if (label[j] < 0 && dot(x, i, x, j, d) > MET) {
            label[j] = count;
            waiting.push(j);
          }
        }
      }
      count += 1;
    }
    return label;
  }

  // Over pairs of distinct tokens.
  function meanCosine(x, n, d) {
    let square = 0;
    for (let a = 0; a < d; a += 1) {
      let sum = 0;
      for (let i = a; i < x.length; i += d) sum += x[i];
      square += sum * sum;
    }
    return (square - n) / (n * (n - 1));
  }

  // --- Predictions ---

  // The times at which a cosine that obeys an equation passes the values up to MET, as [time, cosine]: the integral of
  // `pace`, which is dt/da, over a = atanh(cosine), in which it is smooth, by Simpson's rule.
  function passage(start, pace) {
    if (start >= MET) return [[0, start]];
    const [parts, from] = [2000, Math.atanh(start)];
    const width = (Math.atanh(MET) - from) / parts;
    const at = (k) => Math.tanh(from + k * width);
    const curve = [[0, start]];
    for (let k = 1, time = 0; k <= parts; k += 1) {
      time += (width / 6) * (pace(at(k - 1)) + 4 * pace(at(k - 0.5)) + pace(at(k)));
      curve.push([time, at(k)]);
    }
    return curve;
  }

  // The common cosine of an orthogonal start.
  function commonCosine({ beta, kind, n }) {
    const total = (cosine) => (kind === "SA" ? Math.exp(beta * (1 - cosine)) + n - 1 : n * Math.exp(-beta * cosine));
    return passage(0, (cosine) => ((1 + cosine) * total(cosine)) / (2 * ((n - 1) * cosine + 1)));
  }

  // The cosine of the second token with the first, under SA with a mask.
  const secondCosine = (start, beta) => passage(start, (cosine) => 1 + Math.exp(beta * (1 - cosine)));

  // The number of crests of the wave on the circle that grows fastest, from k^2 I_k(beta), the same for SA and USA. The
  // mean of e^(beta cos s) cos(k s) over even angles is the Bessel function up to rounding.
  function fastestWave(beta) {
    if (!beta) return 1;
    const angles = Array.from({ length: 256 }, (_, a) => (2 * Math.PI * a) / 256);
    const rate = (k) => k * k * angles.reduce((sum, s) => sum + Math.exp(beta * (Math.cos(s) - 1)) * Math.cos(k * s), 0);
    let best = 1;
    for (let k = 2; k < 20; k += 1) if (rate(k) > rate(best)) best = k;
    return best;
  }

  // What the book says of a run: `about` names the statement; there may be a `curve` and its `time`, or the `crests` of a
  // wave and as many `groups`, if two tokens or more are left for each.
  function prediction(run) {
    const { settings } = run;
    const { kind, mask, start, beta } = settings;
    if (mask) {
      if (kind === "USA") return { about: "mask" };
      const curve = secondCosine(run.seen.second[0], beta);
      return { about: "second", curve, time: curve[curve.length - 1][0] };
    }
    if (start === "ring") {
      const crests = fastestWave(beta);
      return { about: "ring", crests, ...(2 * crests <= settings.n ? { groups: crests } : {}) };
    }
    if (start === "half") return { about: "half" };
    const curve = commonCosine(settings);
    return { about: start, curve, time: curve[curve.length - 1][0] };
  }

  return {
    MET, Run, STARTS, commonCosine, energy, fastestWave, groups, largestEnergy, longest, meanCosine, prediction,
    secondCosine, storedTimes, velocity,
  };
})();
