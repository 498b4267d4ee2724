// Bradley-Terry for ranking.js: pure functions, which the tests run beside Python's. history is a list of what the
// reader did, each a list of [winner, loser, share of a win].

const sum = (numbers) => numbers.reduce((a, b) => a + b, 0);

export const probability = (first, second) => 1 / (1 + Math.exp(second - first));

export function winsOf(history, size) {
  const wins = Array.from({ length: size }, () => Array(size).fill(0));
  for (const act of history) for (const [winner, loser, share] of act) wins[winner][loser] += share;
  return wins;
}

// theory/bradley_terry.py, strengths: Newman's sweeps, with `prior` imaginary wins and losses against s = 0.
export function strengths(wins, prior, sweeps = 10000, tolerance = 1e-12) {
  let p = wins.map(() => 1), moved = Infinity;
  for (let sweep = 0; sweep < sweeps && moved > tolerance; sweep++) {
    const before = p;
    p = [...p];
    p.forEach((_, i) => {
      let won = prior / (p[i] + 1), lost = won;
      p.forEach((other, j) => {
        won += wins[i][j] * other / (p[i] + other);
        lost += wins[j][i] / (p[i] + other);
      });
      p[i] = won / lost;
    });
    const level = prior ? sum(p.map((x) => 1 / (x + 1))) / sum(p.map((x) => x / (x + 1)))
      : Math.exp(-sum(p.map(Math.log)) / p.length);
    p = p.map((x) => x * level);
    moved = Math.max(...p.map((x, i) => Math.abs(Math.log(x / before[i]))));
  }
  const s = p.map(Math.log);
  return s.map((x) => x - sum(s) / s.length);
}

// Items i, j, ..., back to i, each preferred to the next more often than not; the shortest round, or null.
export function cycle(wins) {
  const over = (i, j) => wins[i][j] > wins[j][i];
  let best = null;
  wins.forEach((_, start) => {
    for (let paths = [[start]]; paths.length && paths[0].length < (best ? best.length : wins.length + 1);) {
      const closed = paths.find((path) => over(path.at(-1), start));
      if (closed) { best = closed; break; }
      paths = paths.flatMap((path) => wins.map((_, j) => j)
        .filter((j) => j > start && !path.includes(j) && over(path.at(-1), j)).map((j) => [...path, j]));
    }
  });
  return best;
}

// What leaves the strengths without a finite answer when there is no prior: as the error of `strengths` says it.
export function unbounded(wins) {
  const items = [...wins.keys()], reach = wins.map((row, i) => row.map((w, j) => i === j || w > 0));
  for (const k of items) for (const i of items) for (const j of items)
    reach[i][j] = reach[i][j] || (reach[i][k] && reach[k][j]);
  if (reach.every((row) => row.every(Boolean))) return null;
  return { unbeaten: items.filter((i) => items.every((j) => !wins[j][i])),
           winless: items.filter((i) => items.every((j) => !wins[i][j])) };
}

// The pair to ask about: compared least often; among those the one whose outcome is the most open.
export function nextPair(wins, s) {
  const pairs = wins.flatMap((_, i) => wins.map((_, j) => [i, j])).filter(([i, j]) => i < j);
  const order = ([i, j]) => [wins[i][j] + wins[j][i], Math.abs(s[i] - s[j])];
  return pairs.reduce((a, b) => {
    const [m, x] = order(a), [n, y] = order(b);
    return n < m || (n === m && y < x - 1e-9) ? b : a;
  });
}

export function pairsOf(order) {
  return order.flatMap((winner, n) => order.slice(n + 1).map((loser) => [winner, loser, 1]));
}

// The surprise at an act, pair by pair, from the strengths before it; half a win each way is no surprise to count.
export function surprises(act, s) {
  return act.filter(([, , share]) => share === 1).map(([w, l]) => -Math.log(probability(s[w], s[l])));
}

// What a history says of answers that were compared at all: their places, and ranks by strength; null if all are equal.
export function rankingOf(history, size, prior) {
  const wins = winsOf(history, size), s = strengths(wins, prior).map((x) => Math.round(x * 1e6));
  const places = [...s.keys()].filter((i) => wins.some((row, j) => row[i] || wins[i][j]));
  const ranks = places.map((i) => 1 + places.filter((j) => s[j] > s[i]).length);
  return ranks.some((rank) => rank > 1) ? { places, ranks } : null;
}

// Lines of a file that `python -m instructgpt_lite reward --rankings` reads, one for each sheet on which something differs.
export function linesOf(sheets, histories, prior) {
  return sheets.flatMap(([prompt, answers], n) => {
    const found = rankingOf(histories[n] ?? [], answers.length, prior);
    return found ? [JSON.stringify({ prompt, completions: found.places.map((i) => answers[i]), ranks: found.ranks,
      labeler: "you" }) + "\n"] : [];
  });
}
