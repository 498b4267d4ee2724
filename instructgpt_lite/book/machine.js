// A run, checkpoint by checkpoint: its measures and its answers. Stands behind elements.js and calls its function.

const shown = (value, digits) => value.toFixed(digits).replace("-", "\u2212");

// What the slider says at a place: the iteration, and each measure with its change since the start.
export function told(steps, measures, place) {
  const parts = measures.map(([name, values, digits]) => {
    const moved = values[place] - values[0];
    return `${name} ${shown(values[place], digits)}` +
      (place ? ` (${moved < 0 ? "" : "+"}${shown(moved, digits)})` : "");
  });
  return `Iteration ${steps[place]}: ${parts.join(", ")}.`;
}

// The place of the highest value, the first of equals.
export const peak = (values) => values.indexOf(Math.max(...values));

function chart(steps, measures, place) {
  const left = 8, right = 300, top = 12, bottom = 130, last = steps.at(-1);
  const x = (step) => left + (right - left) * step / last;
  const svg = make("svg", { viewBox: "0 0 380 160", "aria-hidden": "true", "font-size": 12 });
  svg.append(make("line", { x1: left, x2: right, y1: bottom, y2: bottom, stroke: "currentColor", opacity: 0.5 }),
    make("line", { x1: x(steps[place]), x2: x(steps[place]), y1: top - 6, y2: bottom, stroke: "currentColor",
      "stroke-width": 2 }),
    make("text", { x: left, y: bottom + 16 }, "0"),
    make("text", { x: right, y: bottom + 16, "text-anchor": "end" }, `${last} iterations`));
  ["var(--blue)", "var(--orange)"].forEach((colour, n) => {
    const [name, values] = measures[n], low = Math.min(...values), high = Math.max(...values);
    const y = (value) => bottom - 4 - (bottom - top - 4) * (value - low) / (high - low || 1);
    const path = values.map((value, i) => `${i ? "L" : "M"}${x(steps[i]).toFixed(1)},${y(value).toFixed(1)}`).join("");
    svg.append(make("path", { d: path, fill: "none", stroke: colour, "stroke-width": 2.5,
      "stroke-dasharray": n ? "6 3" : "none" }),
    make("circle", { cx: x(steps[place]), cy: y(values[place]), r: 5, fill: colour }),
    make("text", { x: right + 6, y: y(values.at(-1)) + (n ? 4 : 4) }, name));
  });
  return svg;
}

function render({ model, el }) {
  const steps = model.get("steps"), measures = model.get("measures"), answers = model.get("answers");
  const said = make("p", { role: "status" }), drawn = make("div"), list = make("div");
  const upto = make("input", { type: "range", min: 0, max: steps.length - 1, step: 1,
    oninput: () => { model.set("place", Number(upto.value)); model.save_changes(); } });
  const to = (name, place) => make("button", { type: "button", onclick: () => {
    model.set("place", place); model.save_changes(); } }, name);
  el.classList.add("figure-by-hand");
  el.append(make("label", {}, "Iteration", upto),
    make("div", { class: "buttons" }, to("Start", 0), to(`Peak of ${measures[1][0]}`, peak(measures[1][1])),
      to("End", steps.length - 1)), said, drawn, list);

  function draw() {
    const place = model.get("place");
    upto.value = place;
    upto.setAttribute("aria-valuetext", `iteration ${steps[place]}`);
    said.textContent = told(steps, measures, place);
    drawn.replaceChildren(chart(steps, measures, place));
    list.replaceChildren(...answers.map(([prompt, texts, gold]) => make("p", {}, make("b", {}, prompt),
      ` ${texts[place] || "(nothing)"} `, make("i", {}, `gold ${shown(gold[place], 2)}`))));
  }
  model.on("change:place", draw);
  draw();
}

export default { render };
