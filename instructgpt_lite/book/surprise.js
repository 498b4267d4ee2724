// Surprise, KL and its estimators, as theory/surprise.py has them: the arithmetic of tilt.js, run by the tests beside
// Python's. A distribution is an array of log-probabilities, one number a word.

export function logSoftmax(logits) {
  const most = Math.max(...logits), sum = logits.reduce((a, x) => a + Math.exp(x - most), 0);
  return logits.map((x) => x - most - Math.log(sum));
}

// Where the distribution gives 0, x may be anything (theory/surprise.py, expectation).
export const expectation = (logp, x) => logp.reduce((a, lp, i) => a + (lp > -Infinity ? Math.exp(lp) * x[i] : 0), 0);
export const entropy = (p) => expectation(p, p.map((x) => -x));
export const crossEntropy = (p, q) => expectation(p, q.map((x) => -x));
export const relativeSurprise = (p, q) => expectation(p, p.map((x, i) => x - q[i]));

export const ESTIMATORS = {
  k1: (p, q) => p.map((x, i) => x - q[i]),
  k2: (p, q) => p.map((x, i) => (x - q[i]) ** 2 / 2),
  k3: (p, q) => p.map((x, i) => Math.expm1(q[i] - x) - (q[i] - x)),
};

// What is really drawn from: the policy at a temperature, without the last word if that is forbidden.
export function sampler(p, temperature, forbid) {
  return logSoftmax(p.map((x, i) => (forbid && i === p.length - 1 ? -Infinity : x / temperature)));
}

// Uniforms in [0, 1) from a seed (mulberry32): the same in every browser.
export function uniforms(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let x = Math.imul(state ^ (state >>> 15), state | 1);
    x ^= x + Math.imul(x ^ (x >>> 7), x | 61);
    return ((x ^ (x >>> 14)) >>> 0) / 2 ** 32;
  };
}

// How often each word comes up in n draws.
export function counts(logp, n, seed) {
  const next = uniforms(seed), found = logp.map(() => 0), last = logp.findLastIndex((x) => x > -Infinity);
  for (let draw = 0; draw < n; draw++) {
    let left = next(), word = 0;
    while (word < last && (left -= Math.exp(logp[word])) >= 0) word++;
    found[word]++;
  }
  return found;
}

// Of one value a word, each as often as counted: mean, its standard error, spread, share of negatives.
export function summary(values, found) {
  const n = found.reduce((a, b) => a + b, 0);
  const over = (f) => found.reduce((a, m, i) => a + (m ? m * f(values[i]) : 0), 0) / n;
  const mean = over((x) => x), spread = Math.sqrt(over((x) => (x - mean) ** 2));
  return { mean, spread, error: n > 1 ? spread / Math.sqrt(n - 1) : NaN, negative: over((x) => (x < 0 ? 1 : 0)) };
}

// Slider places of a distribution: its logits around their middle, as far as the slider goes.
export const BOUND = 4;
export const weights = (p) => {
  const logits = p.map(Math.log), middle = (Math.max(...logits) + Math.min(...logits)) / 2;
  return logits.map((x) => Math.max(-BOUND, Math.min(BOUND, x - middle)));
};
