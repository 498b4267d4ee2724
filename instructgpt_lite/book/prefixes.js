// A response word by word, and a score after each. Stands behind elements.js and calls its function.

const signed = (x) => (x < 0 ? "\u2212" : "+") + Math.abs(x).toFixed(2);

export function told(words, scores, place) {
  const moved = scores[place] - (place ? scores[place - 1] : 0), last = place === words.length - 1;
  if (!place) return `Before the first word: ${signed(scores[0])}. The model was never trained here.`;
  return `After \u201c${words[place]}\u201d: ${signed(scores[place])}; the word moved it by ${signed(moved)}.` +
    (last ? " This is the score: the only place where training looked." : "");
}

function chart(words, scores, place) {
  const reach = Math.max(1, ...scores.map(Math.abs)), row = 24, x = (value) => 230 + 85 * value / reach;
  const svg = make("svg", { viewBox: `0 0 380 ${row * words.length + 8}`, "aria-hidden": "true", "font-size": 13 });
  const bottom = row * words.length + 4;
  svg.append(make("line", { x1: x(0), x2: x(0), y1: 2, y2: bottom, stroke: "currentColor", opacity: 0.5 }));
  words.forEach((word, i) => {
    const y = row * i + 16, score = scores[i], opacity = i > place ? 0.25 : 1;
    svg.append(make("text", { x: 4, y: y + 4, opacity, "font-weight": i === place ? "bold" : "normal" }, word),
      make("rect", { x: Math.min(x(0), x(score)), y: y - 7, width: Math.abs(x(score) - x(0)), height: 14, opacity,
        fill: score < 0 ? "var(--orange)" : "var(--blue)" }),
      make("text", { x: 376, y: y + 4, "text-anchor": "end", opacity }, signed(score)));
  });
  return svg;
}

function render({ model, el }) {
  const shown = make("div"), said = make("p", { role: "status" }), asked = make("p");
  const which = make("select", { onchange: () => { model.set("chosen", Number(which.value)); model.save_changes(); } });
  const upto = make("input", { type: "range", min: 0, step: 1, oninput: () => draw(Number(upto.value)) });
  const prompt = make("input", { type: "text" }), answer = make("input", { type: "text" });
  const score = make("button", { type: "button", onclick: () => {
    const before = model.get("examples").length;
    model.set("asked", [prompt.value, answer.value]);
    model.save_changes();
    setTimeout(() => { if (model.get("examples").length === before)
      said.textContent = "No kernel answers: open this page as a notebook to score words of your own."; }, 2000);
  } }, "Score it");
  el.classList.add("figure-by-hand");
  el.append(make("label", {}, "Answer", which), asked, make("label", {}, "Read up to word", upto), said, shown,
    make("details", {}, make("summary", {}, "Words of your own (needs a kernel)"),
      make("label", {}, "Prompt", prompt), make("label", {}, "Answer", answer), score));

  function draw(place) {
    const [, words, scores] = model.get("examples")[model.get("chosen")];
    said.textContent = told(words, scores, place);
    upto.setAttribute("aria-valuetext", words[place]);
    shown.replaceChildren(chart(words, scores, place));
  }
  function begin() {
    const examples = model.get("examples"), [question, words] = examples[model.get("chosen")];
    which.replaceChildren(...examples.map(([, each], i) =>
      make("option", { value: i }, each.slice(1, -1).join(" ").slice(0, 60))));
    which.value = model.get("chosen");
    asked.replaceChildren(make("b", {}, "Prompt: "), question);
    prompt.value ||= question;
    upto.max = upto.value = words.length - 1;
    draw(words.length - 1);
  }
  for (const name of ["examples", "chosen"]) model.on(`change:${name}`, begin);
  begin();
}

export default { render };
