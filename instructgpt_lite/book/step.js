// A batch of PPO, stage by stage. Stands behind surprise.js, ppo.js and elements.js and calls their functions.

const RESPONSES = 4, VALUE_LR = 1, BATCHES = 30, ROWS = 6;
const NAMES = ["first", ...WORDS.slice(1)];
const number = (x, digits = 2) => x.toFixed(digits).replace(/^-(0\.0+)$/, "$1").replace("-", "\u2212");
const signed = (x) => (number(x).startsWith("\u2212") ? "" : "+") + number(x);
const exponential = (x) => x.map((row) => row.map(Math.exp));
const sums = (x) => x.map((row) => row.reduce((a, b) => a + b, 0));

// What every stage is: its name, one sentence, its formula, and lines of numbers by token of which the last is new.
const ONCE = [
  { name: "Sample", formula: "y_t ~ \u03c0( \u00b7 | y_{t\u22121} )",
    says: () => "The policy draws each word from the row of its table that belongs to the word before, and keeps how " +
      "likely the word was.",
    lines: (it) => [["\u03c0 of the word", exponential(it.old), "plain"]] },
  { name: "Score", formula: "r = score of y, \u2212 1 if y has no end", side: (it) => ["score r", it.r],
    says: ({ sign }) => `The reward model reads a whole response and gives it one number${sign < 0
      ? ", here with its sign turned" : ""}; nothing says yet which word earned it.`,
    lines: () => [] },
  { name: "KL penalty", formula: "penalty_t = \u2212\u03b2 ( log \u03c0(y_t) \u2212 log \u03c0_{ref}(y_t) )",
    side: (it) => ["sum", sums(it.penalty)],
    says: () => "A word that the policy finds likelier than the reference does costs reward, and one that it finds " +
      "less likely earns some, so that the policy stays near where it began.",
    lines: (it) => [["log \u03c0", it.old], ["log \u03c0 ref", it.ref], ["penalty", it.penalty]] },
  { name: "Token reward", formula: "reward_t = penalty_t + ( r at the last token )",
    side: (it) => ["sum", sums(it.reward)],
    says: () => "The score joins the penalty of the last token, because only there is it known; before, a token earns " +
      "its penalty alone.",
    lines: (it) => [["penalty", it.penalty], ["reward", it.reward]] },
  { name: "Value", formula: "V_t = V( y_{t\u22121} )",
    says: () => "Before each token the value function forecasts all rewards still to come; this small one knows only " +
      "the word before.",
    lines: (it) => [["V", it.value]] },
  { name: "One-step error", formula: "\u03b4_t = reward_t + V_{t+1} \u2212 V_t,  V after the last token: 0",
    says: () => "Once the token is drawn there is a new forecast: the reward paid plus the change of the forecast says " +
      "whether the token went better than expected.",
    lines: (it) => [["reward", it.reward], ["V", it.value], ["\u03b4", it.delta]] },
  { name: "Advantage", formula: "A_t = \u03b4_t + \u03bb A_{t+1}, from the last token back",
    says: ({ lam }) => "Read from right to left: each token gets its own error and " +
      `\u03bb = ${number(lam)} of the advantage after it, its share in what came later.`,
    lines: (it) => [["\u03b4", it.delta], ["A", it.advantage]] },
  { name: "Return", formula: "R_t = A_t + V_t",
    says: () => "Advantage plus forecast is what the forecast should have been: the target of the value function.",
    lines: (it) => [["A", it.advantage], ["V", it.value], ["R", it.returns]] },
  { name: "Whitening", formula: "\u00c2_t = ( A_t \u2212 mean ) / deviation",
    says: () => "Over all tokens of the batch the advantages get mean 0 and deviation 1, so that one learning rate " +
      "suits scores of any size.",
    lines: (it) => [["A", it.advantage], ["\u00c2", it.white]] },
];
const UPDATE = [
  { name: "Ratio", formula: "ratio_t = \u03c0_{now}(y_t) / \u03c0_{drawn}(y_t)", around: 1,
    says: (_, it, n) => (n ? "The weights have moved since the words were drawn, so each word is now likelier " +
      `(above 1) or less likely (below 1) than then; the furthest ratio is ${number(furthest(it, n))}.`
      : "Nothing has moved since the words were drawn, so every ratio is 1: the first update is a plain policy gradient."),
    lines: (it, n) => [["\u03c0 drawn", exponential(it.old)], ["\u03c0 now", exponential(it.steps[n].logp)],
      ["ratio", it.steps[n].ratio]] },
  { name: "Clip", formula: "gain_t = min( ratio_t \u00c2_t , clip( ratio_t , 1 \u2212 c, 1 + c ) \u00c2_t )",
    says: ({ clip }, it, n) => `A token whose ratio is past ${number(1 - clip)} or ${number(1 + clip)} on the side that ` +
      `its advantage wants can gain no more, so it is stopped: ${Math.round(100 * it.steps[n].share)} % of tokens now.`,
    lines: (it, n) => [["ratio", it.steps[n].ratio], ["ratio \u00d7 \u00c2", it.steps[n].gain],
      ["clip \u00d7 \u00c2", it.steps[n].clipped], ["gain", it.steps[n].smaller]],
    stopped: (it, n) => it.steps[n].stopped },
  { name: "New weights", formula: "logits \u2212 learning rate \u00d7 gradient of the loss",
    says: (_, it, n) => "Each token that is not stopped moves its word in the row that it was drawn from, the other " +
      "words the other way, and the values move towards the returns " +
      `(policy loss ${number(it.steps[n].loss, 3)}, value loss ${number(it.steps[n].valueLoss, 3)}).`,
    weights: true },
];

function furthest(it, n) {
  const ratios = it.steps[n].ratio.flat().filter((x) => x);
  return ratios.reduce((a, b) => (Math.abs(Math.log(b)) > Math.abs(Math.log(a)) ? b : a));
}

// "V_{t+1}" with its index below the line.
function formula(text) {
  const parts = text.split(/_(\w|\{[^}]*\})/).map((part, i) => (i % 2 ? make("sub", {}, part.replace(/[{}]/g, "")) : part));
  return make("p", { class: "formula" }, ...parts);
}

// A number that is new: blue above the middle, orange below, stronger where it is further away.
function tinted(x, most, middle = 0) {
  const share = 10 + Math.round(32 * Math.min(1, Math.abs(x - middle) / (most || 1)));
  const color = Math.abs(x - middle) < 0.005 ? "currentColor 10" : `var(--${x > middle ? "blue" : "orange"}) ${share}`;
  return `background: color-mix(in srgb, ${color}%, transparent)`;
}

function header(texts) {
  return make("thead", {}, make("tr", {}, ...texts.map((text, i) =>
    make("th", { scope: "col" }, ...(i ? [text] : [make("span", { class: "unseen" }, text)])))));
}

function tokens(it, stage, n) {
  const lines = stage.lines(it, n), [label, whole] = stage.side ? stage.side(it, n) : [], middle = stage.around ?? 0;
  const fresh = (lines.at(-1)?.[1] ?? [whole]).flatMap((row, b) => row.filter((_, t) => !lines.length || it.mask[b][t]));
  const most = Math.max(...fresh.map((x) => Math.abs(x - middle))), stopped = stage.stopped?.(it, n);
  const grid = make("table", { class: "tokens" }, header(["quantity", ...it.mask[0].map((_, t) => `token ${t + 1}`),
    ...(label ? [label] : [])]));
  it.mask.forEach((mask, b) => {
    const body = grid.appendChild(make("tbody"));
    const add = (name, cell, last) => body.append(make("tr", {}, make("th", { scope: "row" }, name),
      ...mask.map((counts, t) => (counts ? cell(t) : make("td"))),
      ...(!label ? [] : [last ? make("td", { class: "new", style: tinted(whole[b], Math.max(...whole.map(Math.abs))) },
        number(whole[b])) : make("td")])));
    add(`response ${b + 1}`, (t) => make("td", { class: "word" }, WORDS[it.token[b][t]]), !lines.length);
    lines.forEach(([name, x, plain], i) => {
      const last = i === lines.length - 1;
      add(name, (t) => {
        if (!last) return make("td", {}, number(x[b][t]));
        const halted = stopped?.[b][t];
        return make("td", { class: `new${halted ? " stopped" : ""}`, style: plain ? tinted(0, 1) : tinted(x[b][t], most, middle) },
          number(x[b][t]), ...(halted ? [make("small", {}, "stopped")] : []));
      }, last);
    });
  });
  return grid;
}

function moved(it, n) {
  const { before, after } = it.steps[n];
  const cell = (old, now) => make("td", Math.abs(now - old) < 0.005 ? {}
    : { class: "new", style: tinted(now - old, 1) }, number(now), make("small", {}, signed(now - old)));
  return make("table", { class: "weights" },
    make("caption", {}, "Logits of the policy and V after the update, with the change; a row for each word said last"),
    header(["said last", ...WORDS, "V"]),
    make("tbody", {}, ...NAMES.map((name, i) => make("tr", {}, make("th", { scope: "row" }, name),
      ...WORDS.map((_, j) => cell(before.logits[i][j], after.logits[i][j])), cell(before.values[i], after.values[i])))));
}

function progress(found, reference, start, sign) {
  const line = (name, { score, kl }, drawn, share) => make("tr", {}, make("th", { scope: "row" }, name),
    ...[drawn, number(score), number(kl), share].map((text) => make("td", {}, text)));
  const rows = found.map((it, n) => line(`batch ${n + 1}`, exactly(it.weights.logits, reference, sign),
    number(it.r.reduce((a, b) => a + b) / it.r.length), `${Math.round(100 * it.steps.at(-1).share)} %`));
  return make("table", {}, make("caption", {}, "What the batches did; score and KL of the policy are sums over all 341 responses"),
    header(["after", "mean score drawn", "score", "KL (nats)", "stopped at last"]),
    make("tbody", {}, line("start", exactly(start, reference, sign), "", ""), ...rows.slice(-ROWS)));
}

function render({ model, el }) {
  const get = (name) => model.get(name), reference = get("reference");
  const set = (changes) => {
    for (const [name, value] of Object.entries(changes)) model.set(name, value);
    model.save_changes();
    draw();
  };
  const stages = () => [...ONCE.map((stage) => ({ stage, n: 0 })),
    ...Array.from({ length: get("updates") }, (_, n) => UPDATE.map((stage) => ({ stage, n, update: n + 1 }))).flat()];
  const title = ({ stage, update }) => stage.name + (update ? ` (update ${update})` : "");
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
  const said = make("p", { role: "status", class: "said" }), shown = make("div", { class: "stage" });
  const done = make("div", { class: "box", tabindex: 0, role: "region", "aria-label": "What the batches did" });
  const sliders = [["beta", "Price of KL, \u03b2", 0, 1, 0.05], ["lam", "\u03bb of the advantages", 0, 1, 0.05],
    ["clip", "Clip c", 0.05, 0.5, 0.05], ["lr", "Learning rate", 0, 8, 0.5], ["updates", "Updates with a batch", 1, 4, 1]]
    .map(([name, label, min, max, step]) => {
      const input = make("input", { type: "range", min, max, step, oninput: () => set({ [name]: Number(input.value) }) });
      const text = make("output");
      return { name, input, text, step, label: make("label", {}, make("span", { class: "name" }, label), input, text) };
    });
  const turned = make("input", { type: "checkbox", onchange: () => set({ turned: turned.checked }) });

  el.classList.add("figure-by-hand", "step-ppo");
  const stepper = make("div", { role: "group", "aria-label": "Stages of a batch; arrow keys go back and forward" },
    make("p", { class: "buttons" }, back, forth), make("label", { class: "which" }, "Stage", which), said, shown);
  stepper.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key], box = event.target.closest(".box");
    if (!step || event.target === which || (box && box.scrollWidth > box.clientWidth)) return;
    event.preventDefault();
    event.stopPropagation();
    go(step);
  });
  el.append(stepper,
    make("fieldset", {}, make("legend", {}, "Change it"), make("div", { class: "sliders" },
      ...sliders.map((each) => each.label)),
    make("label", { class: "check" }, turned, "Turn the sign of the score"),
    make("p", { class: "buttons" }, later, first, button("Other responses", () => set({ seed: get("seed") + 1 })))), done);

  function draw() {
    const [batch, place] = here(), all = stages(), { stage, n, update } = all[place], start = get("policy");
    const settings = { ...Object.fromEntries(sliders.map(({ name }) => [name, get(name)])), sign: get("turned") ? -1 : 1,
      valueLr: VALUE_LR, responses: RESPONSES };
    const found = iterations({ logits: start, values: get("values") }, reference, settings, batch + 1, get("seed"));
    const it = found[batch];
    which.replaceChildren(...all.map((each, i) => make("option", { value: i }, `${i + 1}. ${title(each)}`)));
    which.value = place;
    said.replaceChildren(make("b", {}, `Batch ${batch + 1}${update ? `, update ${update}` : ""}: ${stage.name}. `),
      stage.says(settings, it, n));
    shown.replaceChildren(formula(stage.formula), make("div", { class: "box", tabindex: 0, role: "region",
      "aria-label": `Numbers of the stage: ${stage.name}` }, stage.weights ? moved(it, n) : tokens(it, stage, n)));
    done.replaceChildren(progress(found, reference, start, settings.sign));
    for (const { name, input, text, step } of sliders) {
      input.value = get(name);
      text.textContent = step < 1 ? get(name).toFixed(step < 0.1 ? 2 : 1) : get(name);
    }
    turned.checked = get("turned");
    if ((back.disabled = !batch && !place) && back.contains(document.activeElement)) forth.focus();
    forth.disabled = batch === BATCHES - 1 && place === all.length - 1;
    later.disabled = batch === BATCHES - 1;
    first.disabled = !batch && !place;
  }
  draw();
}

export default { render };
