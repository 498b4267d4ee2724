// Do an exercise in the page, in Chromium, as a reader would: node tools/check_in_page.js _build/html
//
// Nothing of the editor or of Python is asked for before a button is pressed. A wrong answer reads its message, the
// right one passes, a slip is named with its line, a loop without end ends in a sentence, and Run works after it. No
// request goes to another server; every exercise of the book opens and is told that it is open; from a file a sentence
// says how to serve the book. axe finds nothing in the field, in light and dark. The first Run and later ones are
// measured: what counts is the processor's time where that is less, so that other work is no fault of the page.
"use strict";
const fs = require("fs");
const path = require("path");
const { pathToFileURL } = require("url");
const { launch, serve, pages } = require("./browser.js");

const AXE = require.resolve("axe-core/axe.min.js");
const CHAPTER = "chapters/08_ppo.html", EXERCISE = "my_slope";
const FIRST = 10, LATER = 0.5;                                         // seconds at most
const OURS = /pyodide|codemirror|in_page[_.](editor|worker|json)/;
const ANSWERS = {
  wrong: "stopped = abs(ratio - 1) > clip\nreturn 0.0 if stopped else -ratio * advantage",
  right: "stopped = ratio > 1 + clip if advantage > 0 else ratio < 1 - clip\n"
    + "return 0.0 if stopped else -ratio * advantage",
  slip: "return torch.tensor(ratio)",
  markup: "print('<img src=x onerror=alert(1)>')\nassert False, '<b>bold</b>'",
  endless: "while True: pass",
};
const SAID = {
  wrong: "Not yet. my_slope: clips on both sides: who moved the wrong way keeps the full slope.",
  right: "Right. my_slope passes every case of check_clip_slopes.",
  slip: "Error in line 2. NameError: name 'torch' is not defined.",
  markup: "Not yet. <b>bold</b>",
  endless: "Stopped after 10 seconds. Is there a loop that does not end?",
  open: "Replace ... and run the cell.",
};

const wrong = [];
const complain = (what) => { wrong.push(what); console.log(what); };

// Seconds that the processors have worked for this process and all it started; where Linux does not tell, the time.
function worked() {
  if (!fs.existsSync("/proc/self/stat")) return performance.now() / 1000;
  const all = fs.readdirSync("/proc").filter((name) => /^\d+$/.test(name)).flatMap((pid) => {
    try {
      const said = fs.readFileSync(`/proc/${pid}/stat`, "utf8");
      const parts = said.slice(said.lastIndexOf(")") + 2).split(" ");
      return [{ pid: +pid, parent: +parts[1], ticks: +parts[11] + +parts[12] }];
    } catch { return []; }                                             // it has ended meanwhile
  });
  const ours = new Set([process.pid]);
  for (let before = 0; before < ours.size;) {
    before = ours.size;
    for (const { pid, parent } of all) if (ours.has(parent)) ours.add(pid);
  }
  return all.filter(({ pid }) => ours.has(pid)).reduce((sum, { ticks }) => sum + ticks, 0) / 100;
}

// The parts of one exercise on the page.
function exercise(page, name) {
  const label = `Python code of the exercise ${name}`;
  const inside = page.locator(`[aria-label="Try it here: ${name}"], [aria-label="${label}"]`);
  const cell = page.locator("div.cell").filter({ has: inside });
  const button = (text) => cell.locator("button.in-page-button", { hasText: text });
  return { cell, label, button, field: cell.locator(`[aria-label="${label}"]`), said: cell.locator(".in-page-said") };
}

// Type an answer in the place of `...`, by the keyboard alone.
async function type(page, at, answer) {
  await at.button("Reset").click();
  const [first, ...others] = answer.split("\n");
  await page.keyboard.type(first);
  for (const line of others) {
    await page.keyboard.press("Enter");                                // goes on below, indented
    await page.keyboard.type(line);
  }
}

// Press Run, by the button or the keys; what is said, and after how long.
async function run(page, at, keys) {
  const clock = performance.now(), work = worked();
  await (keys ? page.keyboard.press(keys) : at.button("Run").click());
  await page.waitForFunction(([label]) => {
    const cell = document.querySelector(`[aria-label="${label}"]`).closest("div.cell");
    return !cell.querySelector(".in-page-bar [aria-disabled]") && cell.querySelector(".in-page-said").textContent;
  }, [at.label], { timeout: 120000, polling: 20 });
  return { said: await at.said.innerText(), took: [(performance.now() - clock) / 1000, worked() - work] };
}

async function expect(page, at, kind, keys) {
  if (ANSWERS[kind]) await type(page, at, ANSWERS[kind]);
  const { said, took } = await run(page, at, keys);
  if (!said.startsWith(SAID[kind])) complain(`${kind}: said "${said}", not "${SAID[kind]}"`);
  console.log(`${took[0].toFixed(2)} s, processor ${took[1].toFixed(2)} s  ${kind}: ${said}`);
  return Math.min(...took);
}

async function watched(context, allowed) {
  const page = await context.newPage(), asked = [];
  page.setDefaultTimeout(60000);
  context.on("request", (request) => {
    const url = request.url();
    asked.push(url);
    if (!/^(data|blob):/.test(url) && !url.startsWith(allowed)) complain(`asks for ${url}`);
  });
  page.on("pageerror", (error) => complain(`error: ${error.message}`));
  page.on("console", (said) => { if (said.type() === "error") complain(`console: ${said.text().slice(0, 200)}`); });
  page.on("dialog", (dialog) => { complain(`dialog: ${dialog.message()}`); dialog.dismiss(); });
  return { page, asked };
}

async function barriers(page, where) {
  await page.addScriptTag({ path: AXE });
  const { violations } = await page.evaluate(() => window.axe.run("div.cell:has(.in-page-field)"));
  for (const { id, nodes } of violations)
    complain(`${where}: axe: ${id}, first ${nodes[0].html.slice(0, 120)} ${nodes[0].failureSummary}`);
  const wide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
  if (wide > 0) complain(`${where}: ${wide} pixels wider than the window`);
}

// One exercise from the first press on.
async function one(browser, base) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 } });
  const { page, asked } = await watched(context, base);
  await page.goto(base + CHAPTER);
  const at = exercise(page, EXERCISE);
  if (asked.some((url) => OURS.test(url))) complain("something is loaded before a button is pressed");
  await at.button("Try it here").click();
  await at.field.waitFor();
  if (asked.some((url) => /pyodide/.test(url))) complain("Python is loaded before Run is pressed");
  const first = await expect(page, at, "open");
  const later = [await expect(page, at, "wrong", "Control+Enter"), await expect(page, at, "slip"),
    await expect(page, at, "markup"), await expect(page, at, "right", "Shift+Enter")];
  if (await at.cell.locator(".in-page-said b, .in-page-printed img").count()) complain("a message is read as markup");
  await expect(page, at, "endless");
  await expect(page, at, "right");
  if (first > FIRST) complain(`the first Run takes ${first.toFixed(1)} s, at most ${FIRST}`);
  if (Math.max(...later) > LATER) complain(`a later Run takes ${Math.max(...later).toFixed(2)} s, at most ${LATER}`);
  if (!asked.some((url) => url.endsWith("pyodide.asm.wasm"))) complain("no request of Python was seen");
  for (const scheme of ["light", "dark"]) for (const width of [1280, 390]) {
    await page.setViewportSize({ width, height: 900 });
    await page.evaluate((theme) => { document.documentElement.dataset.theme = theme; }, scheme);
    await barriers(page, `${scheme}, ${width}`);
    if (process.env.SHOTS) {
      await at.cell.scrollIntoViewIfNeeded();
      await page.screenshot({ path: path.join(process.env.SHOTS, `${scheme}-${width}.png`) });
    }
  }
  await context.close();
}

// Every exercise of the book: it opens, and hears that nothing is there yet.
async function all(browser, base, names) {
  const context = await browser.newContext(), { page } = await watched(context, base);
  let count = 0;
  for (const name of names) {
    await page.goto(base + name);
    const buttons = page.locator("button[aria-label^='Try it here']");
    const labels = await buttons.evaluateAll((all) => all.map((each) => each.ariaLabel));
    if (new Set(labels).size < labels.length) complain(`${name}: two exercises of one name`);
    for (const label of labels) {
      const at = exercise(page, label.replace("Try it here: ", ""));
      await at.button("Try it here").click();
      await at.field.waitFor();
      const { said } = await run(page, at);
      if (said !== SAID.open) complain(`${name}, ${label}: ${said}`);
      count++;
    }
  }
  await context.close();
  return count;
}

// From a file: a sentence, and nothing else.
async function fromFile(browser, folder) {
  const { page } = await watched(await browser.newContext(), "file://");
  await page.goto(pathToFileURL(path.join(folder, CHAPTER)).href);
  const at = exercise(page, EXERCISE);
  await at.button("Try it here").click();
  const said = await at.said.innerText();
  for (const part of [`python -m http.server -d "${folder}/"`, `http://localhost:8000/${CHAPTER}`])
    if (!said.includes(part)) complain(`from a file: ${said}`);
}

async function main() {
  const folder = path.resolve(process.argv[2] || "_build/html");
  const { server, base } = await serve(folder);
  const browser = await launch();
  await one(browser, base);
  await fromFile(browser, folder);
  const count = await all(browser, base, pages(folder));
  await browser.close();
  server.close();
  console.log(`${count} exercises in the page, ${wrong.length} faults`);
  process.exit(wrong.length ? 1 : 0);
}

main().catch((error) => { console.error(error); process.exit(2); });
