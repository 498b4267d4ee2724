"""Move the book to another repository, a fork for instance: python tools/move.py URL [--branch B]

The address stands in _config.yml (`repository`). From there it goes to the installation cell of every notebook,
to README.md, the set-up page and CITATION.cff; canonical links, the sitemap and the social cards follow by
themselves. Without a URL it says which files name another repository as ours, and exits with 1 if one does.
"""

import argparse
import json
import re
import sys
from pathlib import Path

import yaml
from check_notebooks import GUARD

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "_ext"))
from addresses import pages_of  # noqa: E402

WORDS = ("README.md", "CITATION.cff", "CONTRIBUTING.md", "index.md", "chapters/*.md")
OURS = re.compile(r"(?:git\+|git clone |repository-code: |colab\.research\.google\.com/github/|badge\S*?)"
                  r"(?:https://github\.com/)?([\w.-]+/[\w.-]+?)(?=\.git\b|[@/\s)\"]|$)", re.M)


def address(root: Path) -> tuple[str, str]:
    """The repository and its branch, as _config.yml has them."""
    given = yaml.safe_load((root / "_config.yml").read_text())["repository"]
    return given["url"], given["branch"]


def moved(text: str, old: tuple[str, str], new: tuple[str, str]) -> str:
    """A text with every address of the repository, of its branch and of the published book changed."""
    (url, branch), (new_url, new_branch) = old, new
    path, new_path = (each.removeprefix("https://github.com/") for each in (url, new_url))
    for form in ("github.com/{}/blob/{}/", "colab.research.google.com/github/{}/blob/{}/", "github.com/{}/tree/{}/",
                 "git+https://github.com/{}@{}", "github.com/{}/actions/workflows/ci.yml/badge.svg?branch={}"):
        text = text.replace(form.format(path, branch), form.format(new_path, new_branch))
    here = rf"(github\.com/|colab\.research\.google\.com/github/){re.escape(path)}(?![\w-])"
    text = re.sub(here, rf"\1{new_path}", text)
    return text.replace(pages_of(url), pages_of(new_url))


def strangers(root: Path) -> list[str]:
    """Files with an address that ought to be this repository's and is not."""
    ours, found = address(root)[0].removeprefix("https://github.com/"), []
    for pattern in (*WORDS, "chapters/*.ipynb"):
        for path in sorted(root.glob(pattern)):
            found += [f"{path.relative_to(root)}: {name}" for name in OURS.findall(path.read_text()) if name != ours]
    return found


def changes(root: Path, old: tuple[str, str], new: tuple[str, str]) -> dict[Path, str]:
    """Files that have to change, and what they become."""
    found = {path: moved(path.read_text(), old, new) for pattern in WORDS for path in sorted(root.glob(pattern))}
    for path in sorted(root.glob("chapters/*.ipynb")):
        text = path.read_text()
        notebook, guard = json.loads(text), GUARD.format(url=new[0], branch=new[1])
        cell = next(cell for cell in notebook["cells"] if cell["cell_type"] == "code")
        if "".join(cell["source"]) != guard:
            cell["source"] = guard
            text = json.dumps(notebook, sort_keys=True, indent=1, ensure_ascii=False) + "\n"
        found[path] = moved(text, old, new)
    config = (root / "_config.yml").read_text()
    found[root / "_config.yml"] = config.replace(f"url: {old[0]}\n", f"url: {new[0]}\n").replace(
        f"branch: {old[1]}\n", f"branch: {new[1]}\n")
    return {path: text for path, text in found.items() if text != path.read_text()}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url", nargs="?", help="https://github.com/NAME/REPOSITORY")
    parser.add_argument("--branch", help="as before, when not given")
    args = parser.parse_args()
    old = address(ROOT)
    new = ((args.url or old[0]).removesuffix("/").removesuffix(".git"), args.branch or old[1])
    if not re.fullmatch(r"https://github\.com/[\w.-]+/[\w.-]+", new[0]):
        parser.error(f"want https://github.com/NAME/REPOSITORY, got {new[0]}")
    if new == old:
        found = [*strangers(ROOT), *(f"{path.relative_to(ROOT)}: its first cell" for path in changes(ROOT, old, old))]
        print("\n".join(found or [f"everything names {old[0]}, branch {old[1]}"]))
        return int(bool(found))
    for path, text in changes(ROOT, old, new).items():
        path.write_text(text)
        print(path.relative_to(ROOT))
    return 0


if __name__ == "__main__":
    sys.exit(main())
