// Open every page of the built book in Chromium and name what is wrong: node tools/check_pages.js _build/html
//
// A request to another server or one that fails, an error in the console, mathematics or a widget that does not
// show, a control that moves nothing, a page wider than its window, a slide higher than a projector, whatever axe finds
// beyond the theme's own two findings: in light and dark, at the width of a desktop and of a phone, and from a file. A
// search that finds nothing, a key of the slides that does not. At last what pages weigh.
"use strict";
const path = require("path");
const { pathToFileURL } = require("url");
const { launch, serve, pages } = require("./browser.js");

const AXE = require.resolve("axe-core/axe.min.js");
const KNOWN = new Set(["label-content-name-mismatch", "region"]);      // sphinx-book-theme's; seen on an empty book
const WINDOWS = [[1280, "light"], [1280, "dark"], [390, "light"], [390, "dark"]];
const SLIDES = "slides/", DECK = "slides/08_ppo.html";                 // decks are alike: one of them is seen in all windows
const HIGH = (name) => name.startsWith(SLIDES) ? 720 : 900;
const MOST = { rest: 1.2e6, plain: 1e6, widgets: 4.5e6 };              // bytes: all but scripts; scripts, by kind of page
const WIDGETS = 'script[type="application/vnd.jupyter.widget-view+json"]', VIEWS = ".widget-subarea > .lm-Widget";
const AT_ONCE = 2;                                                     // pages open side by side

const wrong = [];
const complain = (where, what) => { wrong.push(`${where}: ${what}`); console.log(`${where}: ${what}`); };

// A page whose requests and errors are written down.
async function watched(context, where, allowed) {
  const page = await context.newPage();
  page.setDefaultNavigationTimeout(120000);                            // a busy machine is no fault of the page
  page.on("request", (request) => {
    if (!/^(data|blob):/.test(request.url()) && !request.url().startsWith(allowed)) complain(where, `asks for ${request.url()}`);
  });
  page.on("requestfailed", (request) => complain(where, `did not get ${request.url()}`));
  page.on("response", (answer) => { if (answer.status() >= 400) complain(where, `${answer.status()} for ${answer.url()}`); });
  page.on("pageerror", (error) => complain(where, `error: ${error.message.split("\n")[0]}`));
  page.on("console", (said) => { if (said.type() === "error") complain(where, `console: ${said.text().slice(0, 200)}`); });
  return page;
}

// The page with its mathematics, its widgets and its fonts; null when it takes more than ten seconds.
async function settled(page, url) {
  await page.goto(url, { waitUntil: "load" });
  await page.evaluate(() => window.MathJax && window.MathJax.startup && window.MathJax.startup.promise);
  const shown = ([scripts, views]) => document.querySelectorAll(views).length >= document.querySelectorAll(scripts).length;
  await page.waitForFunction(shown, [WIDGETS, VIEWS], { timeout: 10000 }).catch(() => null);
  await page.evaluate(() => document.fonts.ready);
  await page.waitForTimeout(200);
}

// What has to be seen on the page, and is not.
function unseen([scripts, shown]) {
  const found = [];
  const formulas = [...document.querySelectorAll("article .math")].filter((node) => !node.querySelector(".math"));
  const bare = formulas.filter((node) => !node.querySelector("mjx-container"));
  if (bare.length) found.push(`${bare.length} of ${formulas.length} formulas not rendered: ${bare[0].textContent.slice(0, 60)}`);
  for (const node of document.querySelectorAll("mjx-merror, [data-mjx-error]"))
    found.push(`formula with an error: ${node.textContent.slice(0, 60)}`);
  const widgets = document.querySelectorAll(scripts).length, views = document.querySelectorAll(shown).length;
  if (views < widgets) found.push(`${views} of ${widgets} widgets shown`);
  for (const image of document.querySelectorAll("article img"))
    if (image.complete && !image.naturalWidth) found.push(`picture not shown: ${image.src}`);
  for (const slide of innerWidth > 600 ? document.querySelectorAll(".slides section") : [])
    if (slide.offsetHeight > innerHeight) found.push(`slide ${slide.id} is ${slide.offsetHeight} pixels high, at most ${innerHeight}`);
  const wide = document.documentElement;
  if (wide.scrollWidth > wide.clientWidth) {
    const boxed = (node) => node && node !== document.body && (["auto", "scroll", "hidden"].includes(getComputedStyle(node).overflowX)
      || boxed(node.parentElement));
    const culprits = [...document.querySelectorAll("article *")].filter((node) =>
      node.getBoundingClientRect().right > wide.clientWidth + 1 && !boxed(node.parentElement));
    const names = culprits.slice(0, 3).map((node) => `${node.tagName.toLowerCase()}.${node.className}`);
    found.push(`${wide.scrollWidth} pixels wide in a window of ${wide.clientWidth}: ${names.join(", ")}`);
  }
  return found;
}

// What axe finds. Colours depend on the scheme and not on the width: their contrast, the slowest of its rules, is
// measured once in each. A formula is no empty heading: axe does not read its MathML, screen readers do.
async function barriers(contrast) {
  const { violations } = await window.axe.run({ exclude: [["mjx-container"]] },
    { rules: { "color-contrast": { enabled: contrast } } });
  const formula = ({ target }) => document.querySelector(target[0]).querySelector("mjx-container");
  return violations.map(({ id, nodes }) => ({ id, nodes: nodes
    .filter((node) => id !== "empty-table-header" || !formula(node)).map((node) => node.html) }))
    .filter(({ nodes }) => nodes.length);
}

// Use every control of every widget: what the widget shows has to change.
async function operate(page, where) {
  const views = page.locator(VIEWS).filter({ has: page.locator("input, button, select") });
  for (let n = 0; n < await views.count(); n++) {
    const view = views.nth(n);
    const sliders = view.locator("input[type=range]");
    const looks = () => view.evaluate((node) => node.innerHTML);
    for (let k = 0; k < await sliders.count(); k++) {
      const before = await looks();
      await sliders.nth(k).focus();
      for (const key of ["Home", "ArrowRight", "ArrowRight", "ArrowRight"]) await sliders.nth(k).press(key);
      await page.waitForTimeout(100);
      const name = await sliders.nth(k).getAttribute("aria-label");
      if (await looks() === before) complain(where, `slider ${name || k + 1} of widget ${n + 1} moves nothing`);
    }
    const buttons = view.locator("button:enabled:visible"), shown = await looks();
    const count = await buttons.count();
    for (let k = 0; k < count; k++) if (await buttons.nth(k).isEnabled().catch(() => false)) await buttons.nth(k).click();
    await page.waitForTimeout(100);
    if (count && await looks() === shown) complain(where, `no button of widget ${n + 1} does anything`);
  }
  return views.count();
}

const mega = (bytes) => (bytes / 1e6).toFixed(2);

// One page in one window, as one sees it who comes for the first time.
async function look(browser, name, base, width, scheme) {
  const where = `${name} (${width}, ${scheme})`;
  const context = await browser.newContext({ viewport: { width, height: HIGH(name) }, colorScheme: scheme, reducedMotion: "reduce" });
  const page = await watched(context, where, base);
  const loaded = [];
  page.on("requestfinished", (request) => loaded.push(request.sizes().then((sizes) =>
    [request.resourceType() === "script", sizes.responseBodySize])));
  await settled(page, base + name);
  const sizes = await Promise.all(loaded);
  const weight = (script) => sizes.filter(([is]) => is === script).reduce((sum, [, size]) => sum + size, 0);
  const scripts = weight(true), rest = weight(false);
  for (const what of await page.evaluate(unseen, [WIDGETS, VIEWS])) complain(where, what);
  await page.addScriptTag({ path: AXE });
  for (const { id, nodes } of await page.evaluate(barriers, width > 600))
    if (!KNOWN.has(id)) complain(where, `axe: ${id}, ${nodes.length} times, first ${nodes[0].slice(0, 120)}`);
  const kind = await page.locator(WIDGETS).count() ? "widgets" : "plain";
  if (rest > MOST.rest) complain(where, `weighs ${mega(rest)} MB without scripts, at most ${MOST.rest / 1e6}`);
  if (scripts > MOST[kind]) complain(where, `has ${mega(scripts)} MB of scripts, at most ${MOST[kind] / 1e6}`);
  const operated = await operate(page, where);
  await context.close();
  return { name, scripts, rest, kind, operated };
}

// A word of the front page is found, and one that is written in two ways where it is explained.
async function search(browser, base, names) {
  if (!names.includes("search.html")) return;
  for (const [word, where] of [["model", ""], ["overoptimization", "glossary"]]) {
    const asked = `search.html?q=${word}`, page = await watched(await browser.newContext(), asked, base);
    await page.goto(base + asked);
    const hit = await page.waitForSelector(`#search-results li a${where && `[href*="${where}"]`}`, { timeout: 10000 }).catch(() => null);
    if (!hit) complain(asked, `does not find ${where || "anything"}`);
  }
}

// The keys of a deck: each leads to the slide that it should, which the address names.
async function turn(browser, base, names, name) {
  if (!names.includes(name)) return;
  const page = await watched(await browser.newContext({ viewport: { width: 1280, height: 720 } }), `${name} (keys)`, base);
  await settled(page, `${base}${name}#3`);
  const last = await page.locator("section").count();
  for (const [key, slide] of [["", 3], ["ArrowRight", 4], [" ", 5], ["Shift+ ", 4], ["ArrowUp", 3], ["End", last],
    ["ArrowDown", last], ["Home", 1], ["ArrowLeft", 1]]) {
    if (key) await page.keyboard.press(key);
    await page.waitForTimeout(100);
    const at = await page.evaluate(() => [location.hash, Math.round(document.getElementById(location.hash.slice(1) || "1").getBoundingClientRect().top)]);
    if (at[0] !== `#${slide}` || at[1]) complain(`${name} (keys)`, `${key || "the address"} leads to ${at}, not to #${slide}`);
  }
}

// A book handed over as a folder: no server at all.
async function fromFile(browser, folder, name) {
  const where = `${name} (from a file)`, context = await browser.newContext();
  const page = await watched(context, where, "file://");
  await settled(page, pathToFileURL(path.join(folder, name)).href);
  for (const what of await page.evaluate(unseen, [WIDGETS, VIEWS])) complain(where, what);
  await operate(page, where);
  await context.close();
}

// Do all jobs, a few at a time; their answers in order.
async function all(jobs) {
  const answers = [], waiting = [...jobs.entries()];
  const worker = async () => { for (let next; (next = waiting.shift());) answers[next[0]] = await next[1](); };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
  return answers;
}

async function main() {
  const folder = path.resolve(process.argv[2] || "_build/html"), names = pages(folder);
  const { server, base } = await serve(folder);
  const browser = await launch();
  const inWindow = (place) => names.filter((name) => !place || name === DECK || !name.startsWith(SLIDES));
  const seen = await all(WINDOWS.flatMap(([width, scheme], place) =>
    inWindow(place).map((name) => () => look(browser, name, base, width, scheme))));
  const first = seen.slice(0, names.length);
  const apart = first.filter((page) => page.name === "index.html" || page.name === DECK || page.kind === "widgets");
  await all(apart.map((page) => () => fromFile(browser, folder, page.name)));
  await search(browser, base, names);
  await turn(browser, base, names, DECK);
  await browser.close();
  server.close();
  for (const { name, scripts, rest, kind } of first)
    console.log(`${mega(rest)} MB and ${mega(scripts)} MB of scripts  ${name}${kind === "widgets" ? ", widgets" : ""}`);
  const operated = first.reduce((sum, page) => sum + page.operated, 0);
  console.log(`${names.length} pages in ${WINDOWS.length} windows, ${operated} widgets operated, ${wrong.length} faults`);
  process.exit(wrong.length ? 1 : 0);
}

main().catch((error) => { console.error(error); process.exit(2); });
