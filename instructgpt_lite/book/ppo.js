// One batch of PPO and its updates, as theory/objective.py has them: the arithmetic of step.js, run by the tests beside
// Python's. Comes after surprise.js and calls its functions. x[b][t]: response b, token t; mask[b][t]: it counts.
// A policy is a table of logits, a value function a list of values: a row and a value for each word that may have been
// said last. Word 0 is the end, and as nothing follows the end, row 0 is that of the first token.

const each = (mask, f) => mask.map((row, b) => row.map((counts, t) => (counts ? f(b, t) : 0)));
const total = (x) => x.flat().reduce((a, b) => a + b, 0);

export const maskedMean = (x, mask) => total(each(mask, (b, t) => x[b][t])) / total(each(mask, () => 1));

export function maskedWhiten(x, mask) {
  const mean = maskedMean(x, mask), centred = each(mask, (b, t) => x[b][t] - mean);
  const scale = Math.sqrt(maskedMean(each(mask, (b, t) => centred[b][t] ** 2), mask) + 1e-8);
  return each(mask, (b, t) => centred[b][t] / scale);
}

export const klPenalty = (logp, ref, mask, beta) => each(mask, (b, t) => -beta * (logp[b][t] - ref[b][t]));

export function tokenRewards(r, logp, ref, mask, beta) {
  const penalty = klPenalty(logp, ref, mask, beta);
  return each(mask, (b, t) => penalty[b][t] + (t === mask[b].lastIndexOf(true) ? r[b] : 0));
}

export function gae(reward, value, mask, lam) {
  const advantage = each(mask, () => 0);
  mask.forEach((row, b) => {
    let nextValue = 0, nextAdvantage = 0;
    for (let t = row.length - 1; t >= 0; t--) {
      if (!row[t]) continue;
      nextAdvantage = reward[b][t] + nextValue - value[b][t] + lam * nextAdvantage;
      nextValue = value[b][t];
      advantage[b][t] = nextAdvantage;
    }
  });
  return advantage;
}

// Ratio, gain and clipped gain of each token, and whether the clip stops it.
export function surrogate(logp, old, advantage, mask, clip) {
  const ratio = each(mask, (b, t) => Math.exp(logp[b][t] - old[b][t]));
  const gain = each(mask, (b, t) => ratio[b][t] * advantage[b][t]);
  const clipped = each(mask, (b, t) => Math.min(Math.max(ratio[b][t], 1 - clip), 1 + clip) * advantage[b][t]);
  const stopped = each(mask, (b, t) => (clipped[b][t] < gain[b][t] ? 1 : 0));
  const smaller = each(mask, (b, t) => Math.min(gain[b][t], clipped[b][t]));
  return { ratio, gain, clipped, stopped, smaller, loss: -maskedMean(smaller, mask), share: maskedMean(stopped, mask) };
}

export const valueLoss = (value, returns, mask) =>
  0.5 * maskedMean(each(mask, (b, t) => (value[b][t] - returns[b][t]) ** 2), mask);

// What the tables say of tokens.
export const tableLogp = (logits, place, token, mask) => {
  const rows = logits.map(logSoftmax);
  return each(mask, (b, t) => rows[place[b][t]][token[b][t]]);
};
export const tableValue = (values, place, mask) => each(mask, (b, t) => values[place[b][t]]);

// Gradient of the policy loss: each token that is not stopped pulls at the logits of its row.
export function policyGradient(logits, place, token, mask, { gain, stopped }) {
  const gradient = logits.map((row) => row.map(() => 0)), n = total(each(mask, () => 1));
  const p = logits.map((row) => logSoftmax(row).map(Math.exp));
  each(mask, (b, t) => stopped[b][t] || gradient[place[b][t]].forEach((_, word, row) => {
    row[word] -= gain[b][t] / n * ((word === token[b][t]) - p[place[b][t]][word]);
  }));
  return gradient;
}

export function valueGradient(values, place, mask, returns) {
  const gradient = values.map(() => 0), n = total(each(mask, () => 1));
  each(mask, (b, t) => { gradient[place[b][t]] += (values[place[b][t]] - returns[b][t]) / n; });
  return gradient;
}

// The world: "good" adds 1, "bad" takes 1, "very" before makes it 1.5 times that, "not" the opposite. No end costs 1.
export const WORDS = ["[end]", "good", "bad", "not", "very"], LONGEST = 4;
const FORCE = [1, 1, 1, -1, 1.5], WORTH = [0, 1, -1, 0, 0];
export function taste(words) {
  let score = 0, force = 1;
  for (const word of words) {
    score += force * WORTH[word];
    force = FORCE[word] * (WORTH[word] ? 1 : force);
  }
  return score;
}
export const paid = (words, sign = 1) => sign * taste(words) - (words.at(-1) === 0 ? 0 : 1);

// Responses, each from the same number of uniforms whatever it says.
export function sample(logits, count, next) {
  const rows = logits.map((row) => logSoftmax(row).map(Math.exp));
  const batch = { token: [], place: [], mask: [] };
  for (let b = 0; b < count; b++) {
    const token = [], place = [], mask = [];
    for (let t = 0, last = 0, open = true; t < LONGEST; t++) {
      let left = next(), word = 0;
      while (word < WORDS.length - 1 && (left -= rows[last][word]) >= 0) word++;
      mask.push(open);
      place.push(last);
      token.push(open ? word : 0);
      if (open) [last, open] = [word, word !== 0];
    }
    batch.token.push(token);
    batch.place.push(place);
    batch.mask.push(mask);
  }
  return batch;
}

// Mean score of the policy and its KL from the reference, in nats a response: sums over all responses.
export function exactly(logits, reference, sign = 1) {
  const p = logits.map(logSoftmax), q = reference.map(logSoftmax), found = { score: 0, kl: 0 };
  const go = (words, logp, logq) => {
    if (words.length === LONGEST || words.at(-1) === 0) {
      found.score += Math.exp(logp) * paid(words, sign);
      found.kl += Math.exp(logp) * (logp - logq);
    } else p[0].forEach((_, w) => go([...words, w], logp + p[words.at(-1) ?? 0][w], logq + q[words.at(-1) ?? 0][w]));
  };
  go([], 0, 0);
  return found;
}

// All that an iteration computes, in its order. Its weights are those after the last update.
export function iteration(start, reference, settings, drawn) {
  const { beta, lam, clip, lr, valueLr, sign, updates } = settings, { token, place, mask } = drawn;
  const r = token.map((row, b) => paid(row.filter((_, t) => mask[b][t]), sign));
  const old = tableLogp(start.logits, place, token, mask), ref = tableLogp(reference, place, token, mask);
  const penalty = klPenalty(old, ref, mask, beta), reward = tokenRewards(r, old, ref, mask, beta);
  const value = tableValue(start.values, place, mask), delta = gae(reward, value, mask, 0);
  const advantage = gae(reward, value, mask, lam), white = maskedWhiten(advantage, mask);
  const returns = each(mask, (b, t) => advantage[b][t] + value[b][t]), steps = [];
  let weights = start;
  for (let n = 0; n < updates; n++) {
    const { logits, values } = weights, logp = tableLogp(logits, place, token, mask);
    const gains = surrogate(logp, old, white, mask, clip);
    const pull = policyGradient(logits, place, token, mask, gains);
    const valuePull = valueGradient(values, place, mask, returns);
    const after = { logits: logits.map((row, i) => row.map((x, j) => x - lr * pull[i][j])),
      values: values.map((x, i) => x - valueLr * valuePull[i]) };
    steps.push({ ...gains, logp, before: weights, after,
      valueLoss: valueLoss(tableValue(values, place, mask), returns, mask) });
    weights = after;
  }
  return { ...drawn, r, old, ref, penalty, reward, value, delta, advantage, white, returns, steps, weights };
}

// The first iterations of a run, each with its own uniforms, so that a setting changes no draw by itself.
export function iterations(start, reference, settings, count, seed) {
  const found = [];
  for (let n = 0, weights = start; n < count; n++) {
    const drawn = sample(weights.logits, settings.responses, uniforms(1000 * seed + n));
    found.push(iteration(weights, reference, settings, drawn));
    weights = found[n].weights;
  }
  return found;
}
