"""Submissions: whose they are, and the student's own code out of a notebook.

Moodle, Canvas and nbgrader name files and folders each in their way; Colab adds "Copy
of" and numbers.
"""

import json
import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from instructgpt_lite.desk.assignments import ASSIGNMENTS, Assignment
from instructgpt_lite.desk.cells import defines, definitions, is_open

MOODLE = re.compile(r"(?P<student>.+?)_(?P<id>\d+)_assignsubmission_file_?.*")
CANVAS = re.compile(r"(?P<student>[^_]+?)(?:_LATE)?_(?P<id>\d{2,})_\d{2,}_.+")
COPY = re.compile(r"^(Copy of |Kopie von )+")
AGAIN = re.compile(r"(?:-(\d+)|\s*\((\d+)\))$")          # name-1, name (1)
LARGEST = 20 * 2 ** 20                                   # bytes of a notebook
CODE = 200_000                                           # characters in its cells
CELLS = 1_000
NOTEBOOK = re.compile(r"\.ipynb(\.txt|\.json)?$", re.IGNORECASE)


@dataclass
class Submission:
    """A notebook: whose, where, its attempt, and what had to be mended."""

    student: str
    path: Path
    attempt: int = 0
    variant: int = 0
    notes: list[str] = field(default_factory=list)
    assignment: Assignment | None = None
    cells: dict[str, str] = field(default_factory=dict)


def find(folder: Path) -> list[Submission]:
    """The last notebook of each student and assignment, in the order of names.

    ValueError if there is none.
    """
    if not folder.is_dir():
        raise ValueError(f"{folder} is no folder: name the one with the notebooks")
    paths = [path for path in sorted(folder.rglob("*")) if NOTEBOOK.search(path.name)
             and not any(part.startswith((".", "__MACOSX"))
                         for part in path.relative_to(folder).parts)]
    if not paths:
        raise ValueError(f"{folder} has no notebook (.ipynb): unpack the archive first")
    latest: dict[tuple, Submission] = {}
    for each in (_read(path, folder) for path in paths):
        key = (each.student, each.assignment and each.assignment.name, each.path.parent)
        before = latest.get(key)
        if before:
            first, last = sorted((before, each), key=lambda one: one.attempt)
            last.notes.append(f"{shown(first.path.name)} is an earlier attempt: "
                              "not graded")
            each = last
        latest[key] = each
    once = Counter(key[:2] for key in latest)
    for (*who, parent), each in latest.items():
        if once[tuple(who)] > 1:                         # nobody's replaces another's
            each.student += f" ({shown(parent.relative_to(folder).as_posix())})"
            each.notes.append("another folder has one of this name: whose is it?")
    return [latest[key] for key in sorted(latest, key=str)]


def named(path: Path, folder: Path) -> tuple[str, int]:
    """Whose a notebook is and which attempt, by the names of its file and folders."""
    *folders, last = path.relative_to(folder).parts
    parts = [*folders, NOTEBOOK.sub("", last)]
    again = AGAIN.search(parts[-1])
    attempt = int(again[1] or again[2]) if again else 0
    for part in parts:
        found = MOODLE.fullmatch(part) or CANVAS.fullmatch(part)
        if found:
            return f"{found['student'].strip()} {found['id']}", attempt
    beside = [_plain(each.name) for each in path.parent.glob("*")
              if NOTEBOOK.search(each.name)]
    if folders and (len(beside) < 2 or any(
            name.startswith(each) for name in beside for each in ASSIGNMENTS)):
        return parts[0], attempt                         # a folder for each student
    return _plain(last), attempt


def _plain(name: str) -> str:
    """The name of a notebook without what Colab, a browser or an attempt adds."""
    return COPY.sub("", AGAIN.sub("", NOTEBOOK.sub("", name))) or name


def shown(text: str) -> str:
    """It, with escapes for all that cannot be printed or written as UTF-8."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode()
                   for c in text)


def _read(path: Path, folder: Path) -> Submission:
    student, attempt = named(path, folder)
    found = Submission(shown(student), path, attempt)
    try:
        if (path.is_symlink() or not path.is_file()
                or path.stat().st_size > LARGEST):
            raise ValueError("a link, no file, or larger than 20 MB: not read")
        notebook = json.loads(path.read_text(encoding="utf-8-sig"))
        if "worksheets" in notebook:
            raise ValueError("of an old format: open it in Jupyter and save it")
        if len(notebook["cells"]) > CELLS:
            raise ValueError(f"more than {CELLS:,} cells")
        sources = [(_grade_id(cell), "".join(cell["source"]))
                   for cell in notebook["cells"] if cell["cell_type"] == "code"]
        if sum(len(source) for _, source in sources) > CODE:
            raise ValueError(f"more than {CODE:,} characters of code")
    except (ValueError, KeyError, TypeError, AttributeError, OSError,
            RecursionError) as error:
        found.notes.append(f"no notebook that can be read ({str(error):.80})")
        return found
    given = notebook.get("metadata", {})
    given = given.get("instructgpt_lite") if isinstance(given, dict) else {}
    given = given if isinstance(given, dict) else {}
    name, variant = given.get("assignment"), given.get("variant")
    found.variant = variant if type(variant) is int else 0
    found.assignment = ASSIGNMENTS.get(str(name)) or _likeliest(sources, found.notes)
    if found.assignment:
        take_cells(found, sources)
    return found


def _grade_id(cell: dict) -> str:
    about = cell.get("metadata")
    about = about.get("nbgrader") if isinstance(about, dict) else None
    return str(about.get("grade_id", "")) if isinstance(about, dict) else ""


def _likeliest(sources: list[tuple[str, str]], notes: list[str]) -> Assignment | None:
    """The assignment most of whose functions are defined."""
    defined = {name for _, source in sources for name in defines(source)}
    best = max(ASSIGNMENTS.values(), key=lambda each: len(
        defined & {exercise.name for exercise in each.exercises}))
    if not defined & {exercise.name for exercise in best.exercises}:
        notes.append("defines no function of any assignment")
        return None
    notes.append(f"its metadata is lost: taken for {best.name} by its functions")
    return best


def take_cells(found: Submission, sources: list[tuple[str, str]]) -> None:
    """The student's code by name: definitions of other cells, then the exercises."""
    names = [exercise.name for exercise in found.assignment.exercises]
    by_id = {name: [s for grade_id, s in sources if grade_id == name] for name in names}
    for name in names:
        defining = [s for _, s in sources if name in defines(s)]
        marked = [s for s in by_id[name] if name in defines(s)]
        if len(by_id[name]) > 1:
            found.notes.append(f"the cell of {name} is there {len(by_id[name])} times: "
                               "the last that defines it counts")
        elif defining and not marked:
            found.notes.append(f"the mark of {name}'s cell is lost: found by its name")
        chosen = marked or defining or by_id[name]
        solved = [s for s in defining if not is_open(s, name)]
        if marked and solved and is_open(marked[-1], name):
            found.notes.append(f"the cell of {name} is as it was given: another that "
                               "defines it counts")
            chosen = solved
        found.cells[name] = definitions(chosen[-1], whole=True) if chosen else ""
    ours = {*names, *(f"test_{name}" for name in names)}
    others = [definitions(s) for grade_id, s in sources if grade_id not in ours
              and not defines(s) & set(names)]
    found.cells = {f"cell {n}": s for n, s in enumerate(others) if s} | found.cells
