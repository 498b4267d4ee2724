"""What of a notebook's cell counts: code that defines something.

A cell with an exercise runs whole, but for bare calls; of the others only imports,
functions, classes and constants do. Lines that only notebooks understand are left out.
"""

import ast
import re
from functools import lru_cache

TIMED = ("%%time", "%%timeit", "%%capture", "%%prun")    # above code that runs
# Whose calls make constants: they return at once, and no results of the notebook.
HARMLESS = {"torch", "math", "np", "numpy", "F", "nn", "float", "int", "bool", "str",
            "list", "tuple", "dict", "set", "range", "len", "partial", "functools"}


def _parsed(source: str) -> ast.Module | None:
    """A cell, if need be without what only notebooks understand; None if broken."""
    first, *rest = re.split(r"\r\n|\r|\n", source.lstrip())
    if first.startswith("%%"):
        source = "\n".join(rest) if first.split()[0] in TIMED else ""
    plain = ["" if line.lstrip().startswith(("%", "!", "?")) or line.endswith("?")
             else line for line in re.split(r"\r\n|\r|\n", source)]
    for text in (source, "\n".join(plain)):
        try:
            return ast.parse(text)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            continue
    return None


@lru_cache(1_000)
def defines(source: str) -> frozenset[str]:
    """Names that a cell binds at its top level."""
    tree = _parsed(source)
    if tree is None:                                     # it tells nothing but its text
        return frozenset(re.findall(r"^(?:def|class)\s+(\w+)", source, re.MULTILINE))
    names: set[str] = set()
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        for target in getattr(node, "targets", [getattr(node, "target", None)]):
            names |= {target.id} if isinstance(target, ast.Name) else set()
    return frozenset(names)


def definitions(source: str, whole: bool = False) -> str:
    """The imports, functions, classes and constants of a cell; broken code as it is.

    whole: everything but bare calls, for a cell that holds an exercise.
    """
    tree = _parsed(source)
    if tree is None:
        return source if whole else ""
    kept = ast.Import | ast.ImportFrom | ast.FunctionDef | ast.ClassDef
    tree.body = [node for node in tree.body if not _ours(node) and (
        isinstance(node, kept) or whole and not isinstance(node, ast.Expr)
        or isinstance(node, ast.Assign | ast.AnnAssign) and _constant(node.value)
        or isinstance(node, ast.Try) and _imports(node.body))]
    try:
        return ast.unparse(tree)
    except (ValueError, RecursionError):                 # parsed, but too long or deep
        return source if whole else ""


def is_open(source: str, name: str) -> bool:
    """Whether the function there is still `...`, perhaps under its docstring."""
    tree = _parsed(source)
    for node in tree.body if tree else []:
        if isinstance(node, ast.FunctionDef) and node.name == name:
            body = [each for each in node.body if not isinstance(each, ast.Expr)
                    or not isinstance(each.value, ast.Constant)]
            return not body
    return False


def _constant(node: ast.expr | None) -> bool:
    """Whether it calls nothing, or only what makes constants."""
    return isinstance(node, ast.Lambda) or node is not None and all(
        _root(each.func) in HARMLESS for each in ast.walk(node)
        if isinstance(each, ast.Call))


def _root(node: ast.expr) -> str:
    """torch of torch.nn.Linear(3, 4).weight, "" where no name begins it."""
    while isinstance(node, ast.Attribute | ast.Call):
        node = node.func if isinstance(node, ast.Call) else node.value
    return node.id if isinstance(node, ast.Name) else ""


def _imports(nodes: list[ast.stmt]) -> bool:
    return all(isinstance(node, ast.Import | ast.ImportFrom) and not _ours(node)
               for node in nodes)


def _ours(node: ast.stmt) -> bool:
    """Whether it imports this package, which is not there when graded."""
    names = [node.module] if isinstance(node, ast.ImportFrom) else [
        each.name for each in getattr(node, "names", []) if isinstance(each, ast.alias)]
    return any(str(name).split(".")[0] == "instructgpt_lite" for name in names)
