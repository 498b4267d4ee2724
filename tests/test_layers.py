"""How the package is built: who imports whom, where heavy imports live, and how long things may be."""

import ast
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import instructgpt_lite

PACKAGE = Path(instructgpt_lite.__file__).parent
FILES = {str(path.relative_to(PACKAGE)): path for path in sorted(PACKAGE.rglob("*.py"))}
TREES = {name: ast.parse(path.read_text()) for name, path in FILES.items()}

# A part imports only from parts before its row, or from itself. A new part needs a place here.
LAYERS = [
    {"config", "theory", "files", "checks"},
    {"data", "desk"},
    {"world"},
    {"models"},
    {"presets"},
    {"training"},
    {"judging"},
    {"run"},
    {"report"},
    {"book", "cli"},
    {"__main__", "__init__"},
]
COMMAND_LINE = {"cli", "__main__.py"}

# Where each heavy library may be imported: files, or folders with everything below them.
HOMES = {
    "matplotlib": {"book", "report"},
    "jinja2": {"report"},
    "IPython": {"book"},
    "ipywidgets": {"book"},
    "anywidget": {"book"},
    "traitlets": {"book"},
    "datasets": {"data/hub.py"},
    "transformers": {"models", "data/tokenizers.py"},
    "tokenizers": {"data/tokenizers.py", "models/smollm2.py"},
    "safetensors": {"models", "training/resume.py"},
    "sklearn": {"judging"},
    "accelerate": {"models/ranks.py"},
    "tqdm": {"cli"},
    "sandlock": {"desk"},
    "tyro": COMMAND_LINE,
}


def imported(tree: ast.AST, lazily: bool = True) -> list[str]:
    """Full names of the modules that a file imports; without `lazily` only what runs on import."""
    found = []
    for node in ast.walk(tree) if lazily else at_once(tree):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: write the whole name of the module"
            found += [f"{node.module}.{alias.name}" for alias in node.names]
    return found


def at_once(node: ast.AST):
    """All nodes but those inside functions."""
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, ast.FunctionDef | ast.Lambda):
            yield child
            yield from at_once(child)


def libraries(tree: ast.AST) -> set[str]:
    return {name.split(".")[0] for name in imported(tree)}


def part_of(name: str) -> str:
    return name.split("/")[0].removesuffix(".py")


def ours(tree: ast.AST, lazily: bool = True) -> list[str]:
    """Files of the package that a file imports."""
    found = []
    for name in imported(tree, lazily):
        first, *steps = name.split(".")
        if first == "instructgpt_lite":
            paths = ["/".join(steps[:n]) for n in range(len(steps), 0, -1)]
            files = [file for path in paths for file in (f"{path}.py", f"{path}/__init__.py")]
            found += [file for file in files if file in FILES][:1] or ["__init__.py"]
    return found


def fresh(code: str) -> list[str]:
    """What a fresh interpreter prints, as words."""
    command = [sys.executable, "-W", "error", "-c", code]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()


# Direction

@pytest.mark.parametrize("name", FILES)
def test_imports_go_one_way(name):
    rank = {part: n for n, layer in enumerate(LAYERS) for part in layer}
    mine = part_of(name)
    assert mine in rank, f"{name} has no place in LAYERS"
    for other in map(part_of, ours(TREES[name])):
        assert other == mine or rank[other] < rank[mine], f"{name} imports {other}, which comes later"


def test_no_two_files_import_each_other_not_even_inside_functions():
    graph = {name: set(ours(tree)) - {name} for name, tree in TREES.items()}
    assert set(TopologicalSorter(graph).static_order()) == set(FILES)


def test_theory_imports_torch_and_of_ours_only_the_masked_mean():
    for name in FILES:
        if part_of(name) == "theory":
            assert set(ours(TREES[name])) <= {"theory/masked.py"}
            assert libraries(TREES[name]) <= {"torch", "math", "instructgpt_lite"}


def test_checks_import_nothing_of_ours():
    files = [name for name in FILES if part_of(name) == "checks"]
    assert {part_of(other) for name in files for other in ours(TREES[name])} <= {"checks"}


# Heavy imports

@pytest.mark.parametrize("library", HOMES)
def test_a_heavy_library_is_imported_at_home_only(library):
    users = {name for name, tree in TREES.items() if library in libraries(tree)}
    assert {name for name in users if not {name, part_of(name)} & HOMES[library]} == set()


def test_importing_the_package_costs_no_heavy_library():
    heavy = {"torch", "numpy", *HOMES}
    loaded = fresh("import sys, instructgpt_lite; instructgpt_lite.__version__; print(*sys.modules)")
    assert {name.split(".")[0] for name in loaded} & heavy == set()


def test_the_overview_of_commands_costs_no_torch():
    loaded = fresh("import sys\nfrom instructgpt_lite.__main__ import main\ntry: main(['--help'])\n"
                   "except SystemExit: print(*sys.modules)")
    assert "tyro" in loaded
    assert {"torch", "numpy", "transformers"} & {name.split(".")[0] for name in loaded} == set()


def test_the_formulas_cost_torch_and_no_transformers():
    loaded = fresh("import sys, instructgpt_lite.theory.objective, instructgpt_lite.theory.bradley_terry; "
                   "print(*sys.modules)")
    assert "torch" in loaded and "transformers" not in loaded


def test_every_exported_name_is_there_and_others_are_refused_by_name():
    assert instructgpt_lite.__all__ == sorted(instructgpt_lite.__all__)
    for name in instructgpt_lite.__all__:
        found = getattr(instructgpt_lite, name)
        assert getattr(found, "__name__", name).rpartition(".")[2] == name and found.__doc__
    assert set(instructgpt_lite.__all__) <= set(dir(instructgpt_lite))
    with pytest.raises(AttributeError, match="no 'nonsense'"):
        _ = instructgpt_lite.nonsense


# Budgets

def functions(tree: ast.AST) -> list[ast.FunctionDef]:
    return [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]


def test_a_function_has_at_most_45_lines():
    lengths = {f"{name}:{node.name}": node.end_lineno - node.lineno + 1
               for name, tree in TREES.items() for node in functions(tree)}
    assert {name: length for name, length in lengths.items() if length > 45} == {}


CORE = {"config", "presets", "files", "theory", "models", "training", "run"}
MOST = {"core": 5087, "package": 17697}       # lines of Python; to reach: 2,500 and 6,800


def test_the_core_and_the_package_are_small():
    lines = {name: len(path.read_text().splitlines()) for name, path in FILES.items()}
    core = sum(count for name, count in lines.items() if part_of(name) in CORE)
    assert core <= MOST["core"] and sum(lines.values()) <= MOST["package"]


def too_wide(paths: list[Path], columns: int) -> list[str]:
    return [f"{path.relative_to(PACKAGE.parent)}:{n}" for path in paths
            for n, line in enumerate(path.read_text().splitlines(), 1) if len(line) > columns]


def test_a_line_of_the_package_fits_a_page():
    assert too_wide(list(FILES.values()), 88) == []


def test_a_line_elsewhere_has_at_most_120_characters():
    others = [path for each in ("tests/**/*.py", "tools/*.py", "benchmarks/*.py") for path in PACKAGE.parent.glob(each)]
    assert too_wide(others, 120) == []


# Manners

def public(tree: ast.AST) -> list[ast.FunctionDef]:
    """Functions and methods that a reader may call: none inside a function, none that begins with _."""
    def inside(node):
        for child in getattr(node, "body", []):
            if isinstance(child, ast.FunctionDef) and not child.name.startswith("_"):
                yield child
            elif isinstance(child, ast.ClassDef):
                yield from inside(child)

    return list(inside(tree))


@pytest.mark.parametrize("name", FILES)
def test_every_public_function_is_typed_and_described(name):
    lacking = []
    for node in public(TREES[name]):
        arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
        untyped = [each.arg for each in arguments if each.annotation is None and each.arg not in ("self", "cls")]
        lacking += [f"{node.name}: type of {each}" for each in untyped]
        lacking += [f"{node.name}: type of what it returns"] * (node.returns is None)
        lacking += [f"{node.name}: docstring"] * (ast.get_docstring(node) is None)
    assert lacking == []


def test_only_the_command_line_prints():
    printing = {name for name, tree in TREES.items() for node in ast.walk(tree)
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"}
    homes = COMMAND_LINE
    assert {name for name in printing if not {name, part_of(name)} & homes} == set()


def test_every_file_says_what_it_is():
    silent = [name for name, tree in TREES.items() if not ast.get_docstring(tree)]
    assert silent == []


def test_nothing_is_ever_unpickled():
    banned = {"pickle.load", "pickle.loads", "torch.load", "joblib.load", "numpy.load"}
    used = [f"{name}:{node.lineno}" for name, tree in TREES.items() for node in ast.walk(tree)
            if isinstance(node, ast.Call) and ast.unparse(node.func) in banned]
    assert used == []
