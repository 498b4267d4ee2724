// Rank answers by hand and see their strengths. Stands behind bradley_terry.js and elements.js and calls their functions.

const NAMES = "ABCDEFGHIJ";
const signed = (x) => (x < 0 ? "\u2212" : "+") + Math.abs(x).toFixed(2);
const percent = (p) => `${Math.round(100 * p)} %`;
const listed = (items) => items.map((i) => NAMES[i]).join(", ").replace(/, (?=[^,]*$)/, " and ");

function chart(s, before) {
  const reach = Math.max(2, Math.ceil(Math.max(...s.map(Math.abs), ...before.map(Math.abs)))), row = 26;
  const x = (value) => 190 + 128 * value / reach, bottom = row * s.length + 8;
  const svg = make("svg", { viewBox: `0 0 380 ${bottom + 36}`, "aria-hidden": "true", "font-size": 13 });
  for (const value of [-reach, -reach / 2, 0, reach / 2, reach]) svg.append(
    make("line", { x1: x(value), x2: x(value), y1: 4, y2: bottom, stroke: "currentColor", opacity: value ? 0.2 : 0.6 }),
    make("text", { x: x(value), y: bottom + 15, "text-anchor": "middle", "font-size": 11 },
      value < 0 ? `\u2212${-value}` : `${value}`));
  svg.append(make("text", { x: 190, y: bottom + 32, "text-anchor": "middle", "font-size": 12 },
    "strength s (nats, mean 0)"));
  s.forEach((value, i) => {
    const y = row * i + 18;
    svg.append(make("text", { x: 12, y: y + 4, "font-weight": "bold" }, NAMES[i]),
      make("line", { x1: x(before[i]), x2: x(value), y1: y, y2: y, stroke: "var(--orange)", "stroke-width": 4 }),
      make("circle", { cx: x(before[i]), cy: y, r: 4, fill: "none", stroke: "currentColor" }),
      make("circle", { cx: x(value), cy: y, r: 7, fill: "var(--blue)" }),
      make("text", { x: 376, y: y + 4, "text-anchor": "end" }, signed(value)));
  });
  return svg;
}

function table(s) {
  const head = make("tr", {}, make("th", { scope: "col" }, make("span", { class: "unseen" }, "preferred")));
  s.forEach((_, j) => head.append(make("th", { scope: "col" }, `over ${NAMES[j]}`)));
  const grid = make("table", {}, make("caption", {}, "Chance that the row is preferred"), make("thead", {}, head));
  const body = grid.appendChild(make("tbody"));
  s.forEach((mine, i) => {
    const line = body.appendChild(make("tr", {}, make("th", { scope: "row" }, NAMES[i])));
    s.forEach((other, j) => {
      const p = probability(mine, other), share = Math.round(55 * p);
      const style = `background: color-mix(in srgb, var(--blue) ${share}%, transparent)`;
      line.append(i === j ? make("td", {}, "\u2013") : make("td", { style }, percent(p)));
    });
  });
  return grid;
}

function told(act, s, after) {
  if (!act) return "Nothing chosen yet: all strengths are 0, every chance is one half.";
  const [[winner, loser, share]] = act, seen = surprises(act, s), chance = probability(s[winner], s[loser]);
  const moved = after.map((x, i) => [x - s[i], i]).filter(([d]) => Math.abs(d) >= 0.005)
    .sort((a, b) => Math.abs(b[0]) - Math.abs(a[0])).slice(0, 3).map(([d, i]) => `${NAMES[i]} ${signed(d)}`);
  const moves = moved.length ? `Now ${moved.join(", ")}.` : "Nothing moves.";
  if (share < 1) return `${NAMES[winner]} and ${NAMES[loser]} count as equal, half a win each. ${moves}`;
  if (act.length > 1) return `Added ${act.length} comparisons from one ranking; mean surprise ` +
    `${(seen.reduce((a, b) => a + b) / seen.length).toFixed(2)} nats. ${moves}`;
  return `${NAMES[winner]} over ${NAMES[loser]}: expected with ${percent(chance)}, so a surprise of ` +
    `${seen[0].toFixed(2)} nats. ${moves}`;
}

function warned(wins, history) {
  const round = cycle(wins), open = history.length ? unbounded(wins) : null, lines = [];
  if (round) lines.push(`Cycle: ${round.map((i, n) => `${NAMES[i]} over ${NAMES[round[(n + 1) % round.length]]}`)
    .join(", ")}. No strengths agree with all of these; the fit is a compromise.`);
  if (open) {
    const lone = open.unbeaten.filter((i) => open.winless.includes(i));
    const rest = (items) => items.filter((i) => !lone.includes(i));
    const why = [[rest(open.unbeaten), "never lost"], [rest(open.winless), "never won"], [lone, "never met anyone"]]
      .filter(([items]) => items.length).map(([items, words]) => `${listed(items)} ${words}`);
    lines.push("Only the prior keeps the strengths finite: " +
      `${why.join(", ") || "between two groups all wins go one way, if there are any"}.`);
  }
  return lines.join(" ");
}

// Several prompts, one after the other, each with a history of its own.
function render({ model, el }) {
  const sheets = model.get("sheets"), body = make("div"), where = make("p", { role: "status" });
  if (!sheets.length) return one({ model, el });
  const kept = () => sheets.map((_, n) =>
    (n === model.get("sheet") ? model.get("history") : model.get("histories")[n] ?? []));
  const turn = (step) => {
    const histories = kept(), sheet = (model.get("sheet") + step + sheets.length) % sheets.length;
    const [prompt, answers, gold] = sheets[sheet];
    for (const [name, value] of Object.entries({ histories, sheet, prompt, answers, gold, history: histories[sheet] }))
      model.set(name, value);
    model.save_changes();
    show();
  };
  const save = make("button", { type: "button", onclick: () => {
    const lines = linesOf(sheets, kept(), model.get("prior")), link = make("a", { download: "my_rankings.jsonl",
      href: URL.createObjectURL(new Blob(lines, { type: "application/jsonl" })) });
    if (lines.length) link.click();
    where.textContent = `${lines.length} of ${sheets.length} prompts are ranked` +
      (lines.length ? "; they are in my_rankings.jsonl." : ": choose between two answers first.");
  } }, "Save as JSONL");
  const show = () => {
    body.replaceChildren();
    one({ model, el: body });
    where.textContent = `Prompt ${model.get("sheet") + 1} of ${sheets.length}; ` +
      `${linesOf(sheets, kept(), model.get("prior")).length} ranked before this one was opened.`;
  };
  el.classList.add("figure-by-hand");
  el.append(make("p", { class: "buttons" },
    make("button", { type: "button", onclick: () => turn(-1) }, "Previous prompt"),
    make("button", { type: "button", onclick: () => turn(1) }, "Next prompt"), save), where, body);
  show();
}

function one({ model, el }) {
  const answers = model.get("answers"), gold = model.get("gold"), size = answers.length;
  let pair = [0, 1], order = answers.map((_, i) => i);

  const act = (comparisons) => change([...model.get("history"), comparisons]);
  const change = (history) => { model.set("history", history); model.save_changes(); draw(); };
  const choice = (side) => make("button", { type: "button", class: "choice",
    onclick: () => act([[pair[side], pair[1 - side], 1]]) });
  const choices = [choice(0), choice(1)];
  const equal = make("button", { type: "button",
    onclick: () => act([[...pair, 0.5], [pair[1], pair[0], 0.5]]) }, "Equally good");

  const move = (item, step) => {
    const place = order.indexOf(item), other = order[place + step];
    [order[place], order[place + step]] = [other, item];
    arrange(item, step);
  };
  const rows = answers.map((text, i) => make("li", {}, make("span", {}, make("b", {}, NAMES[i]), ` ${text}`),
    ...[[-1, "\u2191", "up"], [1, "\u2193", "down"]].map(([step, arrow, word]) =>
      make("button", { type: "button", "aria-label": `Move ${NAMES[i]} ${word}`,
        onclick: () => move(i, step) }, arrow))));
  const list = make("ol", {}, ...rows);
  function arrange(item, step) {
    list.append(...order.map((i) => rows[i]));
    order.forEach((i, n) => {
      const [up, down] = rows[i].querySelectorAll("button");
      up.disabled = n === 0;
      down.disabled = n === size - 1;
    });
    if (item === undefined) return;
    const [up, down] = rows[item].querySelectorAll("button"), pressed = step < 0 ? up : down;
    (pressed.disabled ? (step < 0 ? down : up) : pressed).focus();
    said.textContent = `${NAMES[item]} is now ${order.indexOf(item) + 1} of ${size}.`;
  }

  const prior = make("input", { type: "range", min: 0.1, max: 2, step: 0.1, value: model.get("prior"),
    oninput: () => { model.set("prior", Number(prior.value)); model.save_changes(); draw(); } });
  const priorText = make("output"), said = make("p", { role: "status" });
  const warning = make("p", { role: "status", class: "warning" });
  const seen = make("div", { class: "seen" }), count = make("p"), judged = make("p");
  const undo = make("button", { type: "button", onclick: () => change(model.get("history").slice(0, -1)) }, "Undo");
  const again = make("button", { type: "button", onclick: () => change([]) }, "Start again");

  el.classList.add("figure-by-hand", "ranking");
  el.append(
    make("p", {}, make("b", {}, "Prompt: "), model.get("prompt")),
    make("fieldset", {}, make("legend", {}, "Which answer is better?"), ...choices, equal),
    make("details", {}, make("summary", {}, `Or put all ${size} in order, best on top`), list,
      make("button", { type: "button", onclick: () => act(pairsOf(order)) },
        `Add this ranking: ${size * (size - 1) / 2} comparisons`)),
    said, warning, seen, count,
    make("p", { class: "buttons" }, undo, again),
    make("label", {}, "Prior: imaginary wins and losses", prior, priorText),
    ...(gold.length ? [make("details", {}, make("summary", {}, "What the gold score says"), judged)] : []));

  function draw() {
    const history = model.get("history"), strength = Number(prior.value);
    const fits = [history.slice(0, -1), history].map((acts) => strengths(winsOf(acts, size), strength));
    const wins = winsOf(history, size), [before, s] = fits;
    pair = nextPair(wins, s);
    choices.forEach((button, side) =>
      button.replaceChildren(make("b", {}, NAMES[pair[side]]), ` ${answers[pair[side]]}`));
    said.textContent = told(history.at(-1), before, s);
    warning.textContent = warned(wins, history);
    warning.hidden = !warning.textContent;
    seen.replaceChildren(chart(s, before), table(s));
    const all = history.flatMap((acts, n) => surprises(acts, strengths(winsOf(history.slice(0, n), size), strength)));
    count.textContent = all.length ? `Mean surprise at your ${all.length} choices, each predicted from those before: ` +
      `${(all.reduce((a, b) => a + b) / all.length).toFixed(2)} nats; a coin scores 0.69.` : "";
    undo.disabled = again.disabled = !history.length;
    priorText.textContent = strength.toFixed(1);
    const decided = history.flat().filter(([w, l, share]) => share === 1 && gold[w] !== gold[l]);
    judged.textContent = answers.map((_, i) => `${NAMES[i]} ${Number(gold[i]).toFixed(2)}`).join(", ") + ". " +
      (decided.length ? `It agrees with ${decided.filter(([w, l]) => gold[w] > gold[l]).length} of your ` +
        `${decided.length} choices between answers that it scores differently.` : "");
  }
  arrange();
  draw();
}

export default { render };
