// What the checks of the pages and the PDF share: Chromium, and a server of the built book on this machine.
"use strict";
const { execFileSync } = require("child_process");
const fs = require("fs");
const http = require("http");
const path = require("path");
const zlib = require("zlib");
const { chromium } = require("playwright-core");

const TYPES = { ".html": "text/html; charset=utf-8", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml",
  ".png": "image/png", ".json": "application/json", ".woff": "font/woff", ".woff2": "font/woff2", ".xml": "text/xml",
  ".ico": "image/x-icon", ".wasm": "application/wasm" };
const SMALL = new Set([".png", ".woff", ".woff2", ".ico", ".zip", ".wasm"]);     // compressed already, or beforehand
const PREFIX = "/book";

// The path of a Chromium or a Chrome.
function found() {
  const names = [process.env.CHROMIUM, "chromium", "chromium-browser", "google-chrome", "google-chrome-stable",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"].filter(Boolean);
  for (const name of names) {
    if (name.includes("/") && fs.existsSync(name)) return name;
    try { return execFileSync("/bin/sh", ["-c", `command -v ${name}`], { encoding: "utf8" }).trim(); } catch {}
  }
  throw new Error("no Chromium: install one (apt-get install chromium), or name it in CHROMIUM");
}

// A browser that asks for nothing by itself.
async function launch() {
  return chromium.launch({ executablePath: found(), args: ["--no-sandbox", "--disable-gpu", "--disable-quic"] });
}

// Serve a folder as a web host does: compressed, and not at the root.
async function serve(folder) {
  const server = http.createServer((request, response) => {
    const name = decodeURIComponent(new URL(request.url, "http://localhost").pathname);
    let file = path.join(folder, name.slice(PREFIX.length));
    if (name.startsWith(PREFIX) && fs.existsSync(file) && fs.statSync(file).isDirectory()) file = path.join(file, "index.html");
    if (!name.startsWith(PREFIX) || !fs.existsSync(file)) {
      response.writeHead(404);
      return response.end();
    }
    const kind = path.extname(file), small = SMALL.has(kind);
    const body = small ? fs.readFileSync(file) : zlib.gzipSync(fs.readFileSync(file));
    response.writeHead(200, { "Content-Type": TYPES[kind] || "application/octet-stream",
      ...(small ? {} : { "Content-Encoding": "gzip" }) });
    response.end(body);
  });
  await new Promise((ready) => server.listen(0, "127.0.0.1", ready));
  return { server, base: `http://127.0.0.1:${server.address().port}${PREFIX}/` };
}

// Every page below a folder, the front page first.
function pages(folder) {
  const all = fs.readdirSync(folder, { recursive: true }).filter((name) => name.endsWith(".html"))
    .map((name) => name.split(path.sep).join("/")).filter((name) => !name.startsWith("_static/"));
  return all.sort((a, b) => (b === "index.html") - (a === "index.html") || a.localeCompare(b));
}

module.exports = { launch, serve, pages };
