"""Read every page of the built book and name what is wrong with it: `python tools/check_html.py _build/html`.

A link or an anchor that leads nowhere, an asset of another server, a picture without words, a page without exactly
one first-level heading or with a level skipped, an identifier given twice, markup that was not rendered.
Needs the standard library only; exits with 1 when something is wrong.
"""

import re
import sys
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

ASSETS = {"script": "src", "link": "href", "img": "src", "iframe": "src", "source": "src", "video": "src"}
LINKS_OUT = {"canonical", "search", "index", "next", "prev", "author"}       # <link>s that load nothing
UNREAD = {"script", "style", "pre", "code", "math", "svg"}   # odd characters there are no markup of ours
RAW = re.compile(r"\{[a-z:]+\}`|:::+\s*\{|```|\^\^\^|\(ch-[a-z-]+\)=|\*\*\w|\]\(https?:")


class Page(HTMLParser):
    """What the checks need to know of one page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.links: list[str] = []          # anything that must exist
        self.assets: list[str] = []         # of those, what the browser loads by itself
        self.headings: list[int] = []
        self.without_alt: list[str] = []
        self.raw: list[str] = []
        self.inside: list[str] = []
        self.place = "before"               # the article: outside of it stands what the theme brings
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        given = dict(attributes)
        if tag in UNREAD or "math" in (given.get("class") or "").split():
            self.inside.append(tag)
        elif self.inside and tag == self.inside[-1]:
            self.inside.append(tag)         # the same tag nested, so that ends pair up
        self.ids += [given["id"]] if given.get("id") else []
        if tag == "article":
            self.place = "article"
            self.headings.clear()           # the theme's title for print
        if re.fullmatch("h[1-6]", tag) and self.place != "after":
            self.headings.append(int(tag[1]))
        if tag == "img" and self.place == "article" and not (given.get("alt") or "").strip():
            self.without_alt.append(given.get("src") or "?")
        if tag == "link" and LINKS_OUT & set((given.get("rel") or "").split()):
            return
        self.links += [given[key] for key in ("href", "src") if given.get(key)]
        if tag in ASSETS and given.get(ASSETS[tag]):
            self.assets.append(given[ASSETS[tag]])

    def handle_endtag(self, tag: str) -> None:
        self.place = "after" if tag == "article" else self.place
        if self.inside and tag == self.inside[-1]:
            self.inside.pop()

    def handle_data(self, data: str) -> None:
        if not self.inside:
            self.raw += [data[found.start():][:40].split("\n")[0] for found in RAW.finditer(data)]


def faults(folder: Path) -> list[str]:
    """Everything that is wrong with the pages below a folder, one sentence each."""
    paths = [path for path in sorted(folder.rglob("*.html")) if "_static" not in path.relative_to(folder).parts]
    pages = {path.resolve(): Page(path.read_text(encoding="utf8")) for path in paths}
    return [f"{path.relative_to(folder.resolve())}: {what}" for path, page in pages.items()
            for what in [*in_page(page), *broken(path, page, pages)]]


def in_page(page: Page) -> list[str]:
    """What can be seen without looking at another page."""
    found = [f"loads {asset}" for asset in page.assets if urlsplit(asset).netloc]
    found += [f"no alternative text: {image[:80]}" for image in page.without_alt]
    found += [f"the identifier {name} is given twice" for name, count in Counter(page.ids).items() if count > 1]
    found += [f"not rendered: {text}" for text in page.raw]
    if page.headings.count(1) != 1:
        found.append(f"{page.headings.count(1)} headings of the first level, want 1")
    found += [f"a heading of level {after} follows one of level {before}"
              for before, after in zip(page.headings, page.headings[1:]) if after > before + 1]
    return found


def broken(path: Path, page: Page, pages: dict[Path, Page]) -> list[str]:
    """Links of one page to files or anchors that are not there."""
    found = []
    for link in page.links:
        parts = urlsplit(link)
        if parts.scheme or parts.netloc:
            continue
        target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
        target = target / "index.html" if target.is_dir() else target
        if not target.exists():
            found.append(f"leads nowhere: {link}")
        elif parts.fragment and target in pages and unquote(parts.fragment) not in pages[target].ids:
            found.append(f"no such anchor: {link}")
    return found


def main() -> int:
    folder = Path(sys.argv[1])
    found = faults(folder)
    print(*found, sep="\n", end="\n" if found else "")
    count = len(list(folder.rglob("*.html")))
    print(f"{count} pages, {len(found)} faults")
    return int(bool(found) or not count)


if __name__ == "__main__":
    sys.exit(main())
