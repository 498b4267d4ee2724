"""Read notebooks and name what is wrong with them: `python tools/check_notebooks.py [chapters/...]`.

nbval passes a notebook in silence when its outputs were stripped; this does not. What a chapter owes its reader is
in CONTRIBUTING.md, "How a chapter is written". Executes nothing; exits with 1 when something is wrong.
"""

import ast
import json
import re
import statistics
import sys
from pathlib import Path

import nbformat
import yaml
from execute import regular

ROOT = Path(__file__).resolve().parent.parent
LINES, USUAL, BYTES = 25, 7, 100_000        # of a cell at most, of the median cell, of an output at most
COLUMNS = 88                                # what fits beside both side bars of a laptop; more has to be scrolled
WORDS, FIGURES = 4_000, 10                  # of a chapter at most
SMALLER = {"02_": (3_500, 8)}               # of the core, which an optional chapter continues
GUARD = (
    'import importlib.util\n'
    'if importlib.util.find_spec("instructgpt_lite") is None:'
    '      # on Colab: brings the package, leaves what is installed alone\n'
    '    %pip install -q "instructgpt-lite @ git+{url}@{branch}"')
SHOWS = {"print", "display", "show_source", "glue"}
CLOCK = re.compile(r"\b(perf_counter|monotonic|process_time|time\.time|datetime\.now|timeit|tqdm)\b|^%%?time", re.M)
PLACE = re.compile(r"\b(getcwd|Path\.cwd|gettempdir|mkdtemp|__file__|expanduser|Path\.home)\b")
TIME = re.compile(r"\b\d{1,2}:\d{2}:\d{2}\b|\b\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}|\bit/s\b|"
                  r"\b\d+(\.\d+)? ?(ms|µs|us|ns|s|sec|secs|seconds|min|minutes)\b(?!\w)")
PATH = re.compile(r"(?<![\w.:/<-])/(home|root|usr|tmp|var|opt|mnt|work|content|Users|private)/|[A-Z]:\\|site-packages|"
                  r"\bat 0x[0-9a-f]{2,}")


def guard() -> str:
    """The cell that every chapter begins with, for the repository of _config.yml."""
    return GUARD.format(**yaml.safe_load((ROOT / "_config.yml").read_text())["repository"])


def faults(notebook, name: str, text: str | None = None) -> list[str]:
    """What is wrong, one sentence each; `text` is the file, which has to be as tools/execute.py writes it."""
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    found = []
    if not code or code[0].source != guard() or not {"hide-input", "nbval-skip"} <= set(tags(code[0])):
        found.append("the first code cell is not the installation guard, tagged hide-input and nbval-skip")
    if not any(cell.outputs for cell in code):
        found.append("not one cell has an output: were they stripped?")
    if [cell.execution_count for cell in code] != list(range(1, len(code) + 1)):
        found.append("cells are not numbered 1, 2, 3...: execute it with tools/execute.py")
    found += over_budget(notebook, name)
    for number, cell in enumerate(code, 1):
        found += [f"code cell {number} {what}" for what in (*of_source(cell), *of_outputs(cell))]
    if text is not None and not found and text != regular(nbformat.reads(text, 4), name):
        found.append("the file is not as tools/execute.py writes it")
    return found


def over_budget(notebook, name: str) -> list[str]:
    """Whether a chapter, a page with a number, is longer than anybody reads at once."""
    if not re.match(r"\d\d[a-z]?_", name):
        return []
    smaller = [most for start, most in SMALLER.items() if name.startswith(start)]
    most_words, most_figures = smaller[0] if smaller else (WORDS, FIGURES)
    found = []
    if (count := words(notebook)) > most_words:
        found.append(f"it has {count:,} words, at most {most_words:,} are allowed")
    if (count := figures(notebook)) > most_figures:
        found.append(f"it has {count} figures, at most {most_figures} are allowed")
    return found


def words(notebook) -> int:
    """Words of the Markdown: no code, no directive's options, a formula in the text for one."""
    text = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    text = re.sub(r"^(`{3,}).*?^\1$", "", text, flags=re.M | re.S)
    text = re.sub(r"^\$\$.*?\$\$", "", text, flags=re.M | re.S)
    text = re.sub(r"^:{3,}(\{[\w-]+\})?|^:[\w-]+:.*$|^\([\w-]+\)=$", "", text, flags=re.M)
    text = re.sub(r"\$[^$]+\$", "x", text)
    return sum(bool(re.search(r"\w", word)) for word in text.split())


def figures(notebook) -> int:
    """Pictures that cells draw, and figures that the text includes."""
    drawn = sum(any(kind.startswith("image/") for kind in output.get("data", {}))
                for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs)
    return drawn + sum(cell.source.count("```{figure}") for cell in notebook.cells if cell.cell_type == "markdown")


def tags(cell) -> list[str]:
    return cell.metadata.get("tags", [])


def tree_of(cell) -> ast.Module:
    """The cell's syntax, without the lines that only notebooks understand."""
    return ast.parse(re.sub(r"^(\s*)[%!].*", r"\1pass", cell.source, flags=re.M))


def of_source(cell) -> list[str]:
    """What the code of a cell does wrong."""
    tree, found = tree_of(cell), []
    if len(cell.source.split("\n")) > LINES:
        found.append(f"has {len(cell.source.split(chr(10)))} lines, at most {LINES} are allowed")
    if cell.source != guard() and (widest := max(map(len, cell.source.split("\n")))) > COLUMNS:
        found.append(f"has a line of {widest} columns, at most {COLUMNS} are allowed")
    if (fold := to_fold(tree)) and not {fold, "hide-cell"} & set(tags(cell)):
        found.append(f"is to be folded: give it the tag {fold}")
    if cell.source.rstrip().endswith(";"):
        found.append("ends in a semicolon, which nbval does not see: write `_ = ...`")
    if where := CLOCK.search(cell.source):
        found.append(f"reads a clock: {where.group()}")
    if where := PLACE.search(cell.source):
        found.append(f"asks where it runs: {where.group()}")
    asserts = any(isinstance(node, ast.Assert) for node in ast.walk(tree))
    only_imports = all(isinstance(node, ast.Import | ast.ImportFrom) for node in tree.body)
    if "nbval-skip" not in tags(cell) and not cell.outputs and not only_imports:
        if not asserts:
            found.append("has neither output nor assertion")
        elif shows(tree):
            found.append("shows something, but its output is not stored")
    return found


def to_fold(tree: ast.Module) -> str:
    """hide-input for what is mostly imports, hide-output for what shows source and does nothing else."""
    imports = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
    rest = [node for node in tree.body if node not in imports]
    if rest and all(called(node) == "show_source" for node in rest):
        return "hide-output"
    return "hide-input" if imports and (not rest or len(imports) > max(2, len(rest))) else ""


def called(node: ast.stmt) -> str:
    """The name of the function that a line calls; "" where it does something else."""
    call = node.value if isinstance(node, ast.Expr) else None
    return call.func.id if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) else ""


def shows(tree: ast.Module) -> bool:
    """Whether a cell must have an output: it ends in a value, or calls what prints."""
    last = tree.body[-1].value if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    if {called(node) for node in tree.body} & SHOWS:
        return True
    return last is not None and not isinstance(last, ast.Call | ast.Constant)


def of_outputs(cell) -> list[str]:
    """What is wrong with what a cell has left."""
    found = []
    for output in cell.outputs:
        data = output.get("data", {})
        words = "\n".join([output.get("text", ""), *(text for kind, text in data.items() if kind.startswith("text/"))])
        if output.output_type == "error" and "raises-exception" not in tags(cell):
            found.append(f"failed: {output.ename}")
        if output.get("name") == "stderr":
            found.append(f"writes to stderr: {output.text[:60]!r}")
        if (size := len(json.dumps(output))) > BYTES:
            found.append(f"has an output of {size // 1000} kB, at most {BYTES // 1000} are allowed")
        if where := TIME.search(words):
            found.append(f"prints a time: {where.group()}")
        if where := PATH.search(words):
            found.append(f"prints a path or an address: {where.group()}")
        if any(kind.startswith("image/") for kind in data) and not alternative(cell):
            found.append("shows a picture without words: metadata mystnb.image.alt")
    return found


def alternative(cell) -> str:
    """The words for a cell's picture."""
    return cell.metadata.get("mystnb", {}).get("image", {}).get("alt", "").strip()


def usual(notebook) -> float:
    """The lines of the median code cell that a page shows open."""
    shown = [cell for cell in notebook.cells
             if cell.cell_type == "code" and not {"hide-input", "hide-cell"} & set(tags(cell))]
    return statistics.median(len(cell.source.split("\n")) for cell in shown)


def main() -> int:
    paths = [Path(name) for name in sys.argv[1:]] or sorted((ROOT / "chapters").glob("*.ipynb"))
    wrong = 0
    for path in paths:
        text = path.read_text()
        notebook = nbformat.reads(text, 4)
        found = faults(notebook, path.stem, text)
        wrong += len(found)
        print(f"{path.name}: {words(notebook):,} words, {figures(notebook)} figures, {len(notebook.cells)} cells; "
              f"the median code cell has {usual(notebook):g} lines (usual: {USUAL})")
        print(*[f"    {what}" for what in found], sep="\n", end="\n" if found else "")
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
