// A batch of PPO, stage by stage. Comes after surprise.js, ppo.js and elements.js and calls their functions.

const RESPONSES = 4, VALUE_LR = 1, BATCHES = 30, ROWS = 6;
const ROWNAMES = ["start", ...WORDS.slice(1)];                   // what may come before a token
const number = (x, digits = 2) => x.toFixed(digits).replace(/^-(0\.0+)$/, "$1").replace("-", "\u2212");
const signed = (x) => (number(x).startsWith("\u2212") ? "" : "+") + number(x);
const exponential = (x) => x.map((row) => row.map(Math.exp));
const sums = (x) => x.map((row) => row.reduce((a, b) => a + b, 0));

// 2 digits with the operation before it: what a sum or a product is written with.
const plus = (x) => `${number(x).startsWith("\u2212") ? "\u2212" : "+"} ${number(x).replace("\u2212", "")}`;
const minus = (x) => plus(-x);
const factor = (x) => (number(x).startsWith("\u2212") ? `(${number(x)})` : number(x));

// What every stage is: its name, one sentence, its formula, how it is worked out for one token, and lines of numbers by
// token of which the last is new. it: the iteration; n: which of its updates; b, t: the token; s: the settings.
export const ONCE = [
  { name: "Sample", formula: "y_t ~ \u03c0( \u00b7 | y_{t\u22121} )",
    says: () => "The policy draws each word from the row of its table that belongs to the word before, and keeps how " +
      "likely the word was.",
    works: ({ it, b, t }) => `\u03c0( ${WORDS[it.token[b][t]]} | after ${ROWNAMES[it.place[b][t]]} ) = ` +
      number(Math.exp(it.old[b][t])),
    lines: (it) => [["\u03c0 of the word", exponential(it.old), "plain"]] },
  { name: "Score", formula: "r = score of y, \u2212 1 if y has no end", side: (it) => ["score r", it.r],
    says: (s) => `The reward model reads a whole response and gives it one number${s.sign < 0
      ? ", here with its sign turned" : ""}; nothing says yet which word earned it.`,
    works: ({ it, b }) => `r = ${number(it.r[b] + missing(it, b))} \u2212 ${missing(it, b)} = ${number(it.r[b])}`,
    lines: () => [] },
  { name: "KL penalty", formula: "penalty_t = \u2212\u03b2 ( log \u03c0(y_t) \u2212 log \u03c0_{ref}(y_t) )",
    side: (it) => ["sum", sums(it.penalty)],
    says: () => "A word that the policy finds likelier than the reference does costs reward, and one that it finds " +
      "less likely earns some, so that the policy stays near where it began.",
    works: ({ it, b, t, s }) => `\u2212${number(s.beta)} \u00d7 ( ${number(it.old[b][t])} ${minus(it.ref[b][t])} ) = ` +
      number(it.penalty[b][t]),
    lines: (it) => [["log \u03c0", it.old], ["log \u03c0 ref", it.ref], ["penalty", it.penalty]] },
  { name: "Token reward", formula: "reward_t = penalty_t + ( r at the last token )",
    side: (it) => ["sum", sums(it.reward)],
    says: () => "The score joins the penalty of the last token, because only there is it known; every other token " +
      "gets its penalty alone.",
    works: ({ it, b, t }) => `${number(it.penalty[b][t])} ${plus(last(it, b, t) ? it.r[b] : 0)} = ` +
      number(it.reward[b][t]),
    lines: (it) => [["penalty", it.penalty], ["reward", it.reward]] },
  { name: "Value", formula: "V_t = V( y_{t\u22121} )",
    says: () => "Before each token the value function forecasts all rewards still to come; this small one knows only " +
      "the word before.",
    works: ({ it, b, t }) => `V( after ${ROWNAMES[it.place[b][t]]} ) = ${number(it.value[b][t])}`,
    lines: (it) => [["V", it.value]] },
  { name: "One-step error", formula: "\u03b4_t = reward_t + V_{t+1} \u2212 V_t  (V after the last token: 0)",
    says: () => "Once a token is drawn there is a new forecast: the reward paid plus the change of the forecast says " +
      "whether the token went better than expected.",
    works: ({ it, b, t }) => `${number(it.reward[b][t])} ${plus(last(it, b, t) ? 0 : it.value[b][t + 1])} ` +
      `${minus(it.value[b][t])} = ${number(it.delta[b][t])}`,
    lines: (it) => [["reward", it.reward], ["V", it.value], ["\u03b4", it.delta]] },
  { name: "Advantage", formula: "A_t = \u03b4_t + \u03bb A_{t+1}, from the last token back",
    says: (s) => "Read from right to left: each token gets its own error and " +
      `\u03bb = ${number(s.lam)} of the advantage after it, its share in what came later.`,
    works: ({ it, b, t, s }) => `${number(it.delta[b][t])} + ${number(s.lam)} \u00d7 ` +
      `${last(it, b, t) ? "0" : factor(it.advantage[b][t + 1])} = ${number(it.advantage[b][t])}`,
    lines: (it) => [["\u03b4", it.delta], ["A", it.advantage]] },
  { name: "Return", formula: "R_t = A_t + V_t",
    says: () => "Advantage plus forecast is what the forecast should have been: the target of the value function.",
    works: ({ it, b, t }) => `${number(it.advantage[b][t])} ${plus(it.value[b][t])} = ${number(it.returns[b][t])}`,
    lines: (it) => [["A", it.advantage], ["V", it.value], ["R", it.returns]] },
  { name: "Whitening", formula: "\u00c2_t = ( A_t \u2212 mean ) / deviation",
    says: () => "Over all tokens of the batch the advantages get mean 0 and deviation 1, so that one learning rate " +
      "suits scores of any size.",
    works: ({ it, b, t }) => {
      const mean = maskedMean(it.advantage, it.mask);
      const spread = Math.sqrt(maskedMean(it.advantage.map((row) => row.map((x) => (x - mean) ** 2)), it.mask));
      return `( ${number(it.advantage[b][t])} ${minus(mean)} ) / ${number(spread)} = ${number(it.white[b][t])}`;
    },
    lines: (it) => [["A", it.advantage], ["\u00c2", it.white]] },
];
export const UPDATE = [
  { name: "Ratio", formula: "ratio_t = \u03c0_{now}(y_t) / \u03c0_{drawn}(y_t)", around: 1,
    says: (_, it, n) => (n ? "The weights have moved since the words were drawn, so each word is now likelier " +
      `(above 1) or less likely (below 1) than then; the furthest ratio is ${number(furthest(it, n))}.`
      : "Nothing has moved since the words were drawn, so every ratio is 1, and the first update is a plain policy " +
        "gradient."),
    works: ({ it, b, t, n }) => [it.steps[n].logp, it.old].map((x) => number(Math.exp(x[b][t]), 3)).join(" / ") +
      ` = ${number(it.steps[n].ratio[b][t])}`,
    lines: (it, n) => [["\u03c0 drawn", exponential(it.old)], ["\u03c0 now", exponential(it.steps[n].logp)],
      ["ratio", it.steps[n].ratio]] },
  { name: "Clip", formula: "gain_t = min( ratio_t \u00c2_t , clip( ratio_t , 1 \u2212 c, 1 + c ) \u00c2_t )",
    says: (s, it, n) => `A token whose ratio is past ${number(1 - s.clip)} or ${number(1 + s.clip)} on the side that ` +
      `its advantage wants can gain no more, so it is stopped: ${Math.round(100 * it.steps[n].share)} % of tokens now.`,
    works: ({ it, b, t, n, s }) => {
      const { ratio, smaller } = it.steps[n], inside = Math.min(Math.max(ratio[b][t], 1 - s.clip), 1 + s.clip);
      return `min( ${number(ratio[b][t])} \u00d7 ${factor(it.white[b][t])}, ${number(inside)} \u00d7 ` +
        `${factor(it.white[b][t])} ) = ${number(smaller[b][t])}`;
    },
    lines: (it, n) => [["ratio", it.steps[n].ratio], ["ratio \u00d7 \u00c2", it.steps[n].gain],
      ["clip \u00d7 \u00c2", it.steps[n].clipped], ["gain", it.steps[n].smaller]],
    stopped: (it, n) => it.steps[n].stopped },
  { name: "New weights", formula: "logit of y_t + learning rate \u00d7 gain_t / tokens \u00d7 ( 1 \u2212 \u03c0(y_t) )",
    says: () => "Each token that is not stopped moves its word in the row that it was drawn from and the other words " +
      "the other way, and the values move towards the returns.",
    works: ({ it, b, t, n, s }) => {
      const { gain, logp, stopped } = it.steps[n], p = Math.exp(logp[b][t]);
      const count = it.mask.flat().filter(Boolean).length;
      return stopped[b][t] ? "stopped, so it moves nothing: 0.00" : `its logit moves by ${number(s.lr, 1)} \u00d7 ` +
        `${factor(gain[b][t])} / ${count} \u00d7 ( 1 \u2212 ${number(p)} ) = ` +
        number(s.lr * gain[b][t] / count * (1 - p));
    } },
];

const missing = (it, b) => (it.token[b][it.mask[b].lastIndexOf(true)] ? 1 : 0);
const last = (it, b, t) => t === it.mask[b].lastIndexOf(true);

function furthest(it, n) {
  const ratios = it.steps[n].ratio.flat().filter((x) => x);
  return ratios.reduce((a, b) => (Math.abs(Math.log(b)) > Math.abs(Math.log(a)) ? b : a));
}

// "V_{t+1}" with its index below the line.
function formula(text) {
  const parts = text.split(/_(\w|\{[^}]*\})/)
    .map((part, i) => (i % 2 ? make("sub", {}, part.replace(/[{}]/g, "")) : part));
  return make("p", { class: "formula" }, ...parts);
}

// A number that is new: blue above the middle, orange below, stronger where it is further away.
function tinted(x, most, middle = 0) {
  const share = 10 + Math.round(32 * Math.min(1, Math.abs(x - middle) / (most || 1)));
  const color = Math.abs(x - middle) < 0.005 ? "currentColor 10" : `var(--${x > middle ? "blue" : "orange"}) ${share}`;
  return `background: color-mix(in srgb, ${color}%, transparent)`;
}

const header = (first, texts) => make("thead", {}, make("tr", {}, make("th", { scope: "col" }, first),
  ...texts.map((text) => make("th", { scope: "col" }, text))));

function tokens(it, stage, n, picked) {
  const lines = stage.lines(it, n), [label, whole] = stage.side ? stage.side(it, n) : [], middle = stage.around ?? 0;
  const fresh = lines.length ? it.mask.flatMap((row, b) => lines.at(-1)[1][b].filter((_, t) => row[t])) : [];
  const most = Math.max(...fresh.map((x) => Math.abs(x - middle))), stopped = stage.stopped?.(it, n);
  const grid = make("table", { class: "tokens" }, header(make("span", { class: "unseen" }, "quantity"),
    [...it.mask[0].map((_, t) => `token ${t + 1}`), ...(label ? [label] : [])]));
  const ofWhole = (b) => make("td", { class: "new", style: tinted(whole[b], Math.max(...whole.map(Math.abs))) },
    number(whole[b]));
  const numbered = (b, t, [, x, plain], isNew) => {
    const halted = isNew && stopped?.[b][t];
    return make("td", !isNew ? {} : { class: `new${halted ? " stopped" : ""}`,
      style: plain ? tinted(0, 1) : tinted(x[b][t], most, middle) },
    number(x[b][t]), ...(halted ? [make("small", {}, "stopped")] : []));
  };
  it.mask.forEach((mask, b) => {
    const body = grid.appendChild(make("tbody")), rows = [[`response ${b + 1}`], ...lines];
    rows.forEach((line, i) => {
      const isNew = i === rows.length - 1, row = make("tr", {}, make("th", { scope: "row" }, line[0]));
      mask.forEach((counts, t) => {
        const cell = !counts ? make("td") : i ? numbered(b, t, line, isNew)
          : make("td", { class: "word" }, WORDS[it.token[b][t]]);
        if (counts) cell.dataset.token = [b, t];
        if (b === picked[0] && t === picked[1]) cell.classList.add("picked");
        row.append(cell);
      });
      if (label) row.append(isNew ? ofWhole(b) : make("td"));
      body.append(row);
    });
  });
  return grid;
}

function afterwards(it, n) {
  const { before, after, loss, valueLoss: error } = it.steps[n];
  const most = Math.max(...ROWNAMES.flatMap((_, i) => [after.values[i] - before.values[i],
    ...WORDS.map((_, j) => after.logits[i][j] - before.logits[i][j])]).map(Math.abs));
  const cell = (old, now) => make("td", Math.abs(now - old) < 0.005 ? {}
    : { class: "new", style: tinted(now - old, most) }, number(now), make("small", {}, signed(now - old)));
  return [make("p", {}, "The policy\u2019s logits, and V with its learning rate of 1, each with its change. " +
    `Policy loss ${number(loss, 3)}, value loss ${number(error, 3)}.`),
  make("table", { class: "weights" }, header("after", [...WORDS, "V"]),
    make("tbody", {}, ...ROWNAMES.map((name, i) => make("tr", {}, make("th", { scope: "row" }, name),
      ...WORDS.map((_, j) => cell(before.logits[i][j], after.logits[i][j])),
      cell(before.values[i], after.values[i])))))];
}

function progress(found, reference, start, sign) {
  const line = (name, { score, kl }, drawn, share) => make("tr", {}, make("th", { scope: "row" }, name),
    ...[drawn, number(score), number(kl), share].map((text) => make("td", {}, text)));
  const rows = found.map((it, n) => line(`${n + 1} batch${n ? "es" : ""}`, exactly(it.weights.logits, reference, sign),
    number(it.r.reduce((a, b) => a + b) / it.r.length), `${Math.round(100 * it.steps.at(-1).share)} %`));
  return [make("p", {}, "Mean score of the four responses drawn, and of all 341 that the policy may draw; its KL " +
    "from the reference; tokens stopped in the last update."),
  make("table", {}, header("after", ["four drawn", "all 341", "KL (nats)", "stopped"]),
    make("tbody", {}, line("0 batches", exactly(start, reference, sign), "", ""), ...rows.slice(-ROWS)))];
}

function render({ model, el }) {
  const get = (name) => model.get(name);
  let picked = [0, 1], setting = false;
  const set = (changes) => {                                           // several at once, drawn once
    setting = true;
    for (const [name, value] of Object.entries(changes)) model.set(name, value);
    setting = false;
    model.save_changes();
    draw();
  };
  const stages = () => [...ONCE.map((stage) => ({ stage, n: 0 })),
    ...Array.from({ length: get("updates") }, (_, n) => UPDATE.map((stage) => ({ stage, n, update: n + 1 }))).flat()];
  const here = () => [Math.min(get("batch"), BATCHES - 1), Math.min(get("stage"), stages().length - 1)];
  const go = (step) => {
    const [batch, stage] = here(), count = stages().length, next = batch * count + stage + step;
    if (next >= 0 && next < BATCHES * count) set({ batch: Math.floor(next / count), stage: next % count });
  };
  const button = (text, onclick) => make("button", { type: "button", onclick }, text);
  const back = button("\u2190 Back", () => go(-1)), forth = button("Next \u2192", () => go(1));
  const later = button("Next batch", () => set({ batch: here()[0] + 1, stage: 0 }));
  const first = button("Start again", () => set({ batch: 0, stage: 0 }));
  const which = make("select", { onchange: () => set({ stage: Number(which.value) }) });
  const said = make("p", { role: "status", class: "said" }), worked = make("output");
  const token = make("select", { onchange: () => { picked = token.value.split(",").map(Number); draw(); } });
  const box = () => make("div", { class: "box", tabindex: 0, role: "region" });
  const rule = make("div"), shown = box(), done = box();
  const sliders = [["beta", "Price of KL, \u03b2", 0, 1, 0.05], ["lam", "\u03bb of GAE", 0, 1, 0.05],
    ["clip", "Clip, c", 0.1, 0.5, 0.05], ["lr", "Learning rate", 0, 8, 0.5], ["updates", "Updates a batch", 1, 4, 1]]
    .map(([name, label, min, max, step]) => {
      const moved = () => set({ [name]: Number(input.value) });
      const input = make("input", { type: "range", min, max, step, oninput: moved });
      const text = make("output");
      return { name, input, text, step, label: make("label", {}, make("span", { class: "name" }, label), input, text) };
    });
  const turned = make("input", { type: "checkbox", onchange: () => set({ turned: turned.checked }) });

  el.classList.add("figure-by-hand", "step-ppo");
  const stepper = make("div", { role: "group", "aria-label": "Stages of a batch: left and right arrow keys step" },
    make("p", { class: "buttons" }, back, forth, later), make("label", { class: "which" }, "Stage", which), said, rule,
    make("label", { class: "which" }, "By hand", token), make("p", { class: "works" }, worked), shown,
    make("p", { class: "note" }, "Coloured: new at this stage, blue above 0 (a ratio: above 1), orange below."));
  stepper.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!step || event.ctrlKey || event.altKey || event.metaKey || event.target.matches("select")) return;
    if (event.target === shown && shown.scrollWidth > shown.clientWidth) return;       // there they move the table
    event.preventDefault();
    event.stopPropagation();
    go(step);
  });
  shown.addEventListener("click", ({ target }) => {
    const cell = target.closest("[data-token]");
    if (!cell) return;
    picked = cell.dataset.token.split(",").map(Number);
    draw();
  });
  done.setAttribute("aria-label", "The policy after each batch");
  el.append(stepper,
    make("fieldset", {}, make("legend", {}, "Change it"),
      make("div", { class: "sliders" }, ...sliders.map((each) => each.label),
        make("label", { class: "check" }, turned, "Turn the sign of the score")),
      make("p", { class: "buttons" }, first, button("Other responses", () => set({ seed: get("seed") + 1 })))), done);

  function draw() {
    const [batch, place] = here(), all = stages(), { stage, n, update } = all[place];
    const start = get("policy"), reference = get("reference");
    const s = { ...Object.fromEntries(sliders.map(({ name }) => [name, get(name)])), sign: get("turned") ? -1 : 1,
      valueLr: VALUE_LR, responses: RESPONSES };
    const found = iterations({ logits: start, values: get("values") }, reference, s, batch + 1, get("seed"));
    const it = found[batch];
    if (!it.mask[picked[0]][picked[1]]) picked = [picked[0], it.mask[picked[0]].lastIndexOf(true)];
    which.replaceChildren(...all.map((each, i) => make("option", { value: i },
      `${i + 1}. ${each.stage.name}${each.update ? `, update ${each.update}` : ""}`)));
    which.value = place;
    said.replaceChildren(make("b", {}, `Batch ${batch + 1}${update ? `, update ${update}` : ""}: ${stage.name}. `),
      stage.says(s, it, n));
    rule.replaceChildren(formula(stage.formula));
    token.replaceChildren(...it.mask.flatMap((row, b) => row.flatMap((counts, t) => (counts ? [make("option",
      { value: [b, t] }, `response ${b + 1}, token ${t + 1}: ${WORDS[it.token[b][t]]}`)] : []))));
    token.value = picked.join();
    worked.textContent = stage.works({ it, n, s, b: picked[0], t: picked[1] });
    shown.setAttribute("aria-label", `Numbers of the stage: ${stage.name}`);
    shown.replaceChildren(...(stage.lines ? [tokens(it, stage, n, picked)] : afterwards(it, n)));
    done.replaceChildren(...progress(found, reference, start, s.sign));
    for (const { name, input, text, step } of sliders) {
      input.value = get(name);
      text.textContent = step < 1 ? get(name).toFixed(step < 0.1 ? 2 : 1) : get(name);
    }
    turned.checked = get("turned");
    const held = document.activeElement;
    back.disabled = first.disabled = !batch && !place;
    later.disabled = batch === BATCHES - 1;
    forth.disabled = later.disabled && place === all.length - 1;
    if (held?.disabled && el.contains(held)) (forth.disabled ? back : forth).focus();
  }
  const inputs = sliders.map((each) => each.name);
  for (const name of [...inputs, "turned", "seed", "batch", "stage", "policy", "reference", "values"])
    model.on(`change:${name}`, () => setting || draw());
  draw();
}

export default { render };
