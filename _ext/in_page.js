// Exercises that run in the page: a button below each open cell whose check needs no torch (in_page.py marks them).
// Pressed, it fetches an editor; the first Run fetches Python, from the book itself. Nothing is loaded before.
(function () {
  "use strict";
  const base = new URL(".", document.currentScript.src).href, book = new URL("..", base).href;
  const LIMIT = 10;                                                    // seconds for a cell
  const LOADING = "Loading Python: 6 MB where the server packs them, else 13, once.", RUNNING = "Running.";
  const ENDLESS = `**Stopped after ${LIMIT} seconds.** Is there a loop that does not end?`;
  const MISSED = "**Python did not load.** Is the network there? Run tries again.";
  const NOTE = "Here Python runs in your browser, without torch: where the notebook gives tensors come lists, and a "
    + "list is wanted back. Shift and Enter run it; Escape, then Tab leaves the field.";
  const FILE = "A browser loads no Python from a file. Serve the book's folder: "
    + `\`python -m http.server -d "${decodeURIComponent(new URL(book).pathname)}"\`, then open `
    + `\`http://localhost:8000/${location.href.slice(book.length).replace(/#.*/, "")}\`.`;

  function make(tag, name, text, ...children) {
    const node = Object.assign(document.createElement(tag), { className: name });
    node.append(...(text ? [text] : []), ...children);
    return node;
  }

  // The little Markdown of a verdict, as nodes: nothing in it can be markup of the page.
  function marked(text) {
    return text.split(/(\*\*.+?\*\*|`[^`]+`)/).map((part, n) => n % 2 === 0 ? part
      : part.startsWith("`") ? make("code", "", part.slice(1, -1)) : make("strong", "", part.slice(2, -2)));
  }

  let python = null, before = Promise.resolve();                       // one for the page; cells wait for each other

  function start() {
    const worker = new Worker(base + "in_page_worker.js", { type: "module" });
    const ready = new Promise((resolve, reject) => { worker.onmessage = resolve; worker.onerror = reject; });
    python = { worker, ready, loaded: false };
    return ready.then(() => { python.loaded = true; });
  }

  function stop() {
    python.worker.terminate();
    python = null;
  }

  async function answer(code, tell) {
    if (!python) tell(LOADING);
    try {
      await (python ? python.ready : start());
    } catch {
      stop();
      return { printed: "", said: MISSED };
    }
    return new Promise((resolve) => {
      const clocks = [setTimeout(() => tell(RUNNING), 500), setTimeout(() => fail(ENDLESS), 1000 * LIMIT)];
      const ended = (what) => { clocks.forEach(clearTimeout); resolve(what); };
      const fail = (said) => { stop(); ended({ printed: "", said }); };
      python.worker.onmessage = ({ data }) => ended(data);
      python.worker.onerror = ({ message }) => fail(`**Python stopped.** ${message || ""}`);
      python.worker.postMessage(code);
    });
  }

  async function open(block, bar, code, name, said) {
    const { edit } = await import(base + "in_page_editor.js");
    const field = make("div", "in-page-field highlight");
    const printed = make("pre", "in-page-printed"), note = make("p", "in-page-note", NOTE);
    const tell = (text) => said.replaceChildren(...marked(text));
    const again = make("button", "in-page-button", "Reset"), go = make("button", "in-page-button", "Run");
    go.type = again.type = "button";
    const run = () => {
      if (go.ariaDisabled) return;                                     // a disabled button would lose the focus
      go.ariaDisabled = "true";
      said.replaceChildren();
      before = before.then(() => answer(editor.text(), tell)).then((what) => {
        printed.textContent = what.printed;
        tell(what.said);
        go.ariaDisabled = null;
      });
    };
    go.addEventListener("click", run);
    block.hidden = true;
    block.after(field);
    for (const stored of block.closest("div.cell").querySelectorAll(".cell_output")) stored.hidden = true;
    bar.replaceChildren(go, again);
    bar.after(printed, said, note);
    // The page has keys of its own: a stroke looks for the search bar, an arrow turns the page.
    field.addEventListener("keydown", (event) => event.stopPropagation());
    const editor = edit(field, code, `Python code of the exercise ${name}`, run);
    again.addEventListener("click", () => { editor.begin(code); said.replaceChildren(); printed.textContent = ""; });
    editor.begin();
  }

  for (const block of document.querySelectorAll("div.in-page")) {
    const code = block.querySelector("pre").textContent.trimEnd(), name = code.match(/def (\w+)/)[1];
    const button = make("button", "in-page-button", "Try it here"), bar = make("div", "in-page-bar", "", button);
    const said = make("div", "in-page-said");
    button.type = "button";
    button.setAttribute("aria-label", `Try it here: ${name}`);
    said.setAttribute("role", "status");
    block.closest("div.cell_input").after(bar, said);
    button.addEventListener("click", () => {
      if (location.protocol === "file:") return said.replaceChildren(...marked(FILE));
      button.disabled = true;
      open(block, bar, code, name, said).catch(() => {
        button.disabled = false;
        said.replaceChildren(...marked("**The editor did not load.** Is the network there?"));
      });
    });
  }
})();
