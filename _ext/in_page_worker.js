// Python, beside the page so that a loop without end does not stop it. Says that it is ready, then answers each cell.
import { loadPyodide } from "./pyodide/pyodide.js";

const base = new URL(".", self.location.href).href;
const [python, files] = await Promise.all([
  loadPyodide({ indexURL: base + "pyodide/" }),
  fetch(base + "in_page.json").then((answer) => answer.json()),
]);
for (const [path, text] of Object.entries(files)) {
  const folder = path.replace(/[^/]*$/, "");
  if (folder) python.FS.mkdirTree(folder);
  python.FS.writeFile(path, text);
}
const { run } = python.pyimport("in_page_run");
self.onmessage = ({ data }) => self.postMessage(JSON.parse(run(data)));
self.postMessage("ready");
