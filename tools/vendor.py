"""Copy what the pages load into vendor/ (6 MB), from node_modules and from the anywidget package: `make vendor`.

    vendor/mathjax/     MathJax with its fonts and the extensions that it loads on demand
    vendor/widgets/     require.js, the widget manager with its fonts, anywidget; they show widgets without a kernel

Nothing of it is committed: package-lock.json and requirements.txt pin what it is made from.
"""

import shutil
import sysconfig
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
NPM, OUT = ROOT / "node_modules", ROOT / "vendor"
MANAGER = NPM / "@jupyter-widgets" / "html-manager" / "dist"
ANYWIDGET = Path(sysconfig.get_path("data")) / "share/jupyter/nbextensions/anywidget/index.js"
FILES = {                                               # the copy, and what it is a copy of
    "mathjax/tex-mml-chtml.js": NPM / "mathjax/es5/tex-mml-chtml.js",
    "mathjax/output/chtml/fonts": NPM / "mathjax/es5/output/chtml/fonts",
    "mathjax/input/tex/extensions": NPM / "mathjax/es5/input/tex/extensions",
    "widgets/require.js": NPM / "requirejs/require.js",
    "widgets/local.js": ROOT / "_ext/widgets-local.js",
    "widgets/embed-amd.js": MANAGER / "embed-amd.js",
    "widgets/amd/anywidget.js": ANYWIDGET,
}


def copy(source: Path, target: Path) -> None:
    """A file or a folder, with the folders above it."""
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copytree(source, target) if source.is_dir() else shutil.copy(source, target)


def main() -> None:
    shutil.rmtree(OUT, ignore_errors=True)
    for name, source in FILES.items():
        copy(source, OUT / name)
    for font in MANAGER.glob("*.woff2"):                # asked for beside both modules of the widget manager
        for folder in ("amd/@jupyter-widgets", "amd/@jupyter-widgets/html-manager/dist"):
            copy(font, OUT / "widgets" / folder / font.name)
    size = sum(file.stat().st_size for file in OUT.rglob("*") if file.is_file())
    print(f"vendor/: {size / 1e6:.1f} MB for pages that ask no other server")


if __name__ == "__main__":
    main()
