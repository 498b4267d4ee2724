// The whole book as one PDF, with working links and bookmarks: node tools/print_book.js _build/html _build/book.pdf
//
// The articles of all pages are put one after the other into the front page, in the order of the side bar. An
// identifier gets the name of its page before it, and links between pages become links within the document.
"use strict";
const path = require("path");
const { launch, serve } = require("./browser.js");

const PAPER = { format: "A4", printBackground: true, displayHeaderFooter: true, outline: true, tagged: true,
  margin: { top: "16mm", bottom: "18mm", left: "17mm", right: "17mm" }, headerTemplate: "<span></span>",
  footerTemplate: '<div style="width: 100%; font: 8pt sans-serif; color: #555; text-align: center">' +
    '<span class="pageNumber"></span></div>' };

// In the browser: every page of the book inside this one. Returns the titles.
async function gather() {
  const plain = (url) => url.split("#")[0].replace(/\/$/, "/index.html");
  const listed = [...document.querySelectorAll("nav.bd-links a.reference.internal")].map((link) => plain(link.href));
  const urls = [...new Set(listed)];
  const name = (url, id) => `page${urls.indexOf(plain(url))}${id ? "-" + id : ""}`;
  const home = document.querySelector("link[rel=canonical]").href.replace(/index\.html$/, "");
  const here = plain(location.href).replace(/index\.html$/, "");
  const articles = [];
  for (const url of urls) {
    const page = new DOMParser().parseFromString(await (await fetch(url)).text(), "text/html");
    const article = page.querySelector("article");
    for (const node of article.querySelectorAll("[id]")) node.id = name(url, node.id);
    article.id = name(url);
    for (const image of article.querySelectorAll("img")) image.src = new URL(image.getAttribute("src"), url).href;
    for (const link of article.querySelectorAll("a[href]")) {
      const target = new URL(link.getAttribute("href"), url);
      if (urls.includes(plain(target.href))) link.href = "#" + name(target.href, decodeURIComponent(target.hash.slice(1)));
      else link.href = target.href.replace(here, home);          // a file of the book, on its site
    }
    articles.push(document.adoptNode(article));
  }
  document.querySelector("article").replaceWith(...articles);
  await window.MathJax.typesetPromise();
  for (const box of document.querySelectorAll("details")) box.open = true;
  for (const box of document.querySelectorAll(".toggle-hidden")) box.classList.remove("toggle-hidden");
  await Promise.all([...document.images].map((image) => image.decode().catch(() => null)));
  await document.fonts.ready;
  return articles.map((article) => article.querySelector("h1").textContent.replace(/#$/, "").trim());
}

async function main() {
  const [folder, file] = process.argv.slice(2).map((name) => path.resolve(name));
  const { server, base } = await serve(folder);
  const browser = await launch();
  const page = await (await browser.newContext({ colorScheme: "light", viewport: { width: 900, height: 1200 } })).newPage();
  await page.goto(base + "index.html");
  await page.evaluate(() => window.MathJax.startup.promise);
  await page.emulateMedia({ media: "print" });
  const titles = await page.evaluate(gather);
  await page.pdf({ ...PAPER, path: file });
  await browser.close();
  server.close();
  console.log(`${file}: ${titles.join("; ")}`);
}

main().catch((error) => { console.error(error); process.exit(1); });
