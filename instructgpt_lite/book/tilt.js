// Two distributions by hand: KL both ways and its estimators. Comes after surprise.js and elements.js and calls their functions.

const STARTS = {
  "the pair of this chapter": [[0.5, 0.3, 0.2, 1e-3, 1e-3], [0.25, 0.25, 0.5, 1e-3, 1e-3]],
  "a policy that learned to stop": [[0.1, 0.1, 0.1, 0.1, 0.6], [0.2, 0.2, 0.2, 0.2, 0.2]],
  "one answer for everything": [[0.96, 0.01, 0.01, 0.01, 0.01], [0.2, 0.2, 0.2, 0.2, 0.2]],
  "equal distributions": [[0.2, 0.2, 0.2, 0.2, 0.2], [0.2, 0.2, 0.2, 0.2, 0.2]],
};
const number = (x, digits = 3) => (Number.isFinite(x)
  ? x.toFixed(digits).replace(/^-(0\.0+)$/, "$1").replace("-", "\u2212") : "\u2013");
const rounded = (logp) => `${Math.round(100 * Math.exp(logp))} %`;
const percent = (x) => (x >= 0.0995 || x === 0 ? `${Math.round(100 * x)} %` : `${(100 * x).toFixed(1)} %`);

function table(caption, head, rows) {
  const cells = (texts) => texts.map((text, i) => (i ? make("td", {}, text) : make("th", { scope: "row" }, text)));
  return make("table", {}, make("caption", {}, caption),
    make("thead", {}, make("tr", {}, ...head.map((text) => make("th", { scope: "col" }, text)))),
    make("tbody", {}, ...rows.map((texts) => make("tr", {}, ...cells(texts)))));
}

function bars(words, p, q) {
  const svg = make("svg", { viewBox: "0 0 380 140", "aria-hidden": "true" });
  const high = 96 / Math.exp(Math.max(...p, ...q));
  words.forEach((word, i) => {
    const x = 10 + 74 * i, [mine, other] = [high * Math.exp(p[i]), high * Math.exp(q[i])];
    svg.append(
      make("rect", { x, y: 118 - mine, width: 30, height: mine, fill: "var(--blue)" }),
      make("rect", { x: x + 33, y: 118 - other, width: 28, height: other,
        fill: "none", stroke: "var(--orange)", "stroke-width": 2.5 }),
      make("text", { x: x + 15, y: 114 - mine, "text-anchor": "middle", "font-size": 11 }, rounded(p[i])),
      make("text", { x: x + 47, y: 114 - other, "text-anchor": "middle", "font-size": 11 }, rounded(q[i])),
      make("text", { x: x + 31, y: 135, "text-anchor": "middle", "font-size": 13 }, word));
  });
  svg.append(make("line", { x1: 4, x2: 376, y1: 118, y2: 118, stroke: "currentColor", opacity: 0.6 }));
  return svg;
}

function estimates(words, values, found, stats, kl) {
  const n = found.reduce((a, b) => a + b, 0), names = Object.keys(values);
  const seen = names.flatMap((name) => values[name].filter((_, i) => found[i]));
  const low = Math.min(0, kl, ...seen) - 0.1, high = Math.max(0.2, kl, ...seen) * 1.08 + 0.05;
  const x = (value) => 40 + 325 * (value - low) / (high - low);
  const svg = make("svg", { viewBox: "0 0 380 182", "aria-hidden": "true", "font-size": 12 }), taken = [];
  const rule = (value, style) => make("line",
    { x1: x(value), x2: x(value), y1: 14, y2: 146, stroke: "currentColor", ...style });
  svg.append(rule(0, { opacity: 0.35 }), rule(kl, { "stroke-dasharray": "5 4" }),
    make("text", { x: x(kl), y: 10, "text-anchor": "middle" }, `KL ${number(kl, 2)}`),
    make("text", { x: x(0), y: 160, "text-anchor": "middle" }, "0"),
    make("text", { x: x(high), y: 160, "text-anchor": "end" }, number(high, 1)),
    make("text", { x: 202, y: 177, "text-anchor": "middle" }, "estimate (nats); area of a disc: share of samples"));
  names.forEach((name, row) => {
    const y = 36 + 44 * row, { mean, error } = stats[name];
    svg.append(make("text", { x: 4, y: y + 4, "font-weight": "bold" }, name));
    values[name].forEach((value, i) => found[i] && svg.append(make("circle",
      { cx: x(value), cy: y, r: 2 + 15 * Math.sqrt(found[i] / n), fill: "var(--blue)", opacity: 0.45 })));
    if (name === "k1") found.forEach((times, i) => {             // whose discs these are, where there is room
      if (!times || taken.some((place) => Math.abs(place - x(values.k1[i])) < 42)) return;
      taken.push(x(values.k1[i]));
      svg.append(make("text", { x: x(values.k1[i]), y: y + 25, "text-anchor": "middle", "font-size": 11 }, words[i]));
    });
    if (Number.isFinite(error)) svg.append(make("line",
      { x1: x(mean - 2 * error), x2: x(mean + 2 * error), y1: y, y2: y, stroke: "var(--orange)", "stroke-width": 4 }));
    svg.append(make("path", { d: `M${x(mean)} ${y - 8}l6 8l-6 8l-6 -8z`, fill: "var(--orange)" }));
  });
  return svg;
}

function told(kl, stats, drawn, p, limit) {
  if (Math.abs(kl) < 1e-9) return "The distributions are equal: every estimate of every sample is 0, whatever the sampler.";
  const { mean, error } = stats.k1, far = Math.abs(mean - kl) > 2 * error;
  if (relativeSurprise(drawn, p) > 1e-9) return `The sampler is not the policy. KL is ${number(kl)}, but with more ` +
    `and more samples k1 goes to ${number(limit)}, not to KL.`;
  return `KL is ${number(kl)} nats. The mean of k1 is ${number(mean)}, ` +
    (Number.isFinite(error) ? `${far ? "more" : "less"} than two standard errors away.` : "from a single sample.");
}

function slider(label, attributes, changed) {
  const input = make("input", { type: "range", ...attributes, oninput: () => changed(Number(input.value)) });
  const text = make("output");
  return { input, text, label: make("label", {}, make("span", { class: "name" }, label), input, text) };
}

function render({ model, el }) {
  const words = model.get("words"), said = make("p", { role: "status" });
  const [shown, exact, drawing, sampled] = ["", "side", "", ""].map((name) => make("div", { class: name }));
  const numbers = make("details", {}, make("summary", {}, "The numbers"), exact, sampled);
  const set = (changes) => {
    for (const [name, value] of Object.entries(changes)) model.set(name, value);      // each draws: see below
    model.save_changes();
  };
  const which = make("select", { onchange: () => draw() },
    make("option", { value: "policy" }, "the policy"), make("option", { value: "reference" }, "the reference"));
  const sliders = words.map((word, i) => slider(word, { min: -BOUND, max: BOUND, step: 0.05 },
    (value) => set({ [which.value]: model.get(which.value).map((old, j) => (i === j ? value : old)) })));
  const size = slider("Samples", { min: 0, max: 12, step: 1 }, (value) => set({ samples: 2 ** value }));
  const heat = slider("Temperature of the sampler", { min: 0.3, max: 2, step: 0.1 },
    (value) => set({ temperature: value }));
  const forbid = make("input", { type: "checkbox", onchange: () => set({ forbid: forbid.checked }) });
  const start = make("select", { onchange: () => {
    const [p, q] = STARTS[start.value] ?? [];
    if (p) set({ policy: weights(p), reference: weights(q), temperature: 1, forbid: false });
  } }, ...["as they are", ...Object.keys(STARTS)].map((name) => make("option", {}, name)));

  el.classList.add("figure-by-hand", "two-distributions");
  el.append(                                                    // controls and what they change on one screen
    make("div", { class: "side" },
      make("div", { class: "controls" },
        make("fieldset", {}, make("legend", {}, "The distributions"), make("label", {}, "Begin with", start),
          make("label", {}, "The sliders move", which),
          ...sliders.map((each) => each.label)),
        make("fieldset", {}, make("legend", {}, "What is drawn"), size.label, heat.label,
          make("label", { class: "check" }, forbid, `Never draw \u201c${words.at(-1)}\u201d, as a minimum length does`),
          make("button", { type: "button", onclick: () => set({ seed: model.get("seed") + 1 }) }, "Draw again"))),
      make("div", { class: "effect" }, shown, drawing, said)),
    numbers);

  function draw() {
    const [p, q] = [logSoftmax(model.get("policy")), logSoftmax(model.get("reference"))];
    const n = model.get("samples"), temperature = model.get("temperature"), moved = which.value === "policy" ? p : q;
    const drawn = sampler(p, temperature, model.get("forbid"));
    const found = counts(drawn, n, model.get("seed")), kl = relativeSurprise(p, q);
    const values = {}, stats = {}, limits = {};
    for (const [name, k] of Object.entries(ESTIMATORS)) {
      values[name] = k(p, q);
      stats[name] = summary(values[name], found);
      limits[name] = expectation(drawn, values[name]);
    }
    sliders.forEach(({ input, text }, i) => {
      input.value = model.get(which.value)[i];
      text.textContent = percent(Math.exp(moved[i]));
      input.setAttribute("aria-valuetext", `${percent(Math.exp(moved[i]))} in ${which.value}`);
    });
    [size.input.value, size.text.textContent] = [Math.log2(n), n];
    size.input.setAttribute("aria-valuetext", `${n} samples`);
    [heat.input.value, heat.text.textContent] = [temperature, temperature.toFixed(1)];
    forbid.checked = model.get("forbid");
    shown.replaceChildren(make("p", { class: "key" }, make("span", { class: "full" }), "policy",
      make("span", { class: "hollow" }), "reference"), bars(words, p, q));
    exact.replaceChildren(
      table("Relative surprise, word by word", ["word", "policy", "reference", "nats"], words.map((word, i) =>
        [word, percent(Math.exp(p[i])), percent(Math.exp(q[i])), number(p[i] - q[i], 2)])),
      table("Exact, in nats", ["quantity", "value"], [["KL(policy \u2016 reference)", number(kl)],
        ["KL(reference \u2016 policy)", number(relativeSurprise(q, p))], ["entropy of the policy", number(entropy(p))],
        ["cross-entropy", number(crossEntropy(p, q))]]));
    said.textContent = told(kl, stats, drawn, p, limits.k1);
    drawing.replaceChildren(estimates(words, values, found, stats, kl));
    sampled.replaceChildren(
      table(`From ${n} sample${n > 1 ? "s" : ""}`, ["estimate", "mean", "\u00b12 s.e.", "spread", "negative", "goes to"],
        Object.entries(stats).map(([name, { mean, error, spread, negative }]) =>
          [name, number(mean), number(2 * error), number(spread), percent(negative), number(limits[name])])));
  }
  for (const name of ["policy", "reference", "samples", "seed", "temperature", "forbid"])
    model.on(`change:${name}`, draw);
  draw();
}

export default { render };
