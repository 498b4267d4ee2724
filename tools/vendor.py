"""Copy what the pages load into vendor/ (21 MB), from node_modules and from the anywidget package: `make vendor`.

    vendor/mathjax/     MathJax with its fonts and the extensions that it loads on demand
    vendor/widgets/     require.js, the widget manager with its fonts, anywidget; they show widgets without a kernel
    vendor/codemirror/  the editor of an exercise in the page
    vendor/pyodide/     the Python that runs it

Nothing of it is committed: package-lock.json and requirements.txt pin what it is made from.
"""

import json
import re
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
    "codemirror/LICENSE": NPM / "@codemirror/state/LICENSE",
    **{f"pyodide/{name}": NPM / "pyodide" / name
       for name in ("pyodide.asm.wasm", "python_stdlib.zip", "pyodide-lock.json")},
}
EDITOR = ("@codemirror/commands", "@codemirror/lang-python", "@lezer/highlight")     # for in_page_editor.js
IMPORT = re.compile(r"""^((?:import|export) [^;"']*from )["']([@\w/-]+)["']""", re.MULTILINE)


def copy(source: Path, target: Path) -> None:
    """A file or a folder, with the folders above it."""
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copytree(source, target) if source.is_dir() else shutil.copy(source, target)


def plain(package: str) -> str:
    """The file of a package among the others."""
    return package.removeprefix("@").replace("/", "-") + ".js"


def copy_modules(asked: tuple[str, ...]) -> None:
    """Packages and all that they import, each as one module that names the others by their files: no bundler."""
    waiting, copied = [*asked], set()
    while waiting:
        package = waiting.pop()
        if package in copied:
            continue
        copied.add(package)
        about = json.loads((NPM / package / "package.json").read_text())
        text = (NPM / package / about["exports"]["import"]).read_text()
        waiting += [name for _, name in IMPORT.findall(text)]
        text = IMPORT.sub(lambda found: f'{found[1]}"./{plain(found[2])}"', text)
        (OUT / "codemirror" / plain(package)).write_text(text)


def copy_python() -> None:
    """Its two modules under names that every server knows as JavaScript."""
    for name in ("pyodide", "pyodide.asm"):
        text = (NPM / "pyodide" / f"{name}.mjs").read_text().replace("pyodide.asm.mjs", "pyodide.asm.js")
        (OUT / "pyodide" / f"{name}.js").write_text(text.replace("//# sourceMappingURL=pyodide.mjs.map", ""))


def main() -> None:
    shutil.rmtree(OUT, ignore_errors=True)
    for name, source in FILES.items():
        copy(source, OUT / name)
    for font in MANAGER.glob("*.woff2"):                # asked for beside both modules of the widget manager
        for folder in ("amd/@jupyter-widgets", "amd/@jupyter-widgets/html-manager/dist"):
            copy(font, OUT / "widgets" / folder / font.name)
    copy_modules(EDITOR)
    copy_python()
    size = sum(file.stat().st_size for file in OUT.rglob("*") if file.is_file())
    print(f"vendor/: {size / 1e6:.1f} MB for pages that ask no other server")


if __name__ == "__main__":
    main()
