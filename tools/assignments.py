"""Editions of the assignments, from one source each: `python tools/assignments.py OUT [--variant 7]`.

    OUT/student/        for students: no solution and no hidden test is left in them
    OUT/solutions/      the same with solutions
    OUT/nbgrader/       a course for those who have nbgrader: nbgrader generate_assignment, autograde, ...

A variant has other numbers in its cases and other seeds in its experiments; students of another variant cannot copy
outputs. `--secret` is a word of yours that nbgrader's hidden cases are drawn from.
"""

import argparse
import copy
import json
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SOURCES = ROOT / "assignments"
SOLUTION = re.compile(r"^( *)### BEGIN SOLUTION\n.*?^ *### END SOLUTION", re.MULTILINE | re.DOTALL)
HIDDEN = re.compile(r"\n*^ *### BEGIN HIDDEN TESTS\n.*?^ *### END HIDDEN TESTS", re.MULTILINE | re.DOTALL)
MARKER = re.compile(r"^ *### (BEGIN|END) SOLUTION\n?", re.MULTILINE)
CONFIG = """c = get_config()
c.CourseDirectory.course_id = "instructgpt_lite"
c.ClearSolutions.code_stub = {"python": "..."}
c.Execute.timeout = 120
"""


def varied(notebook: dict, variant: int) -> dict:
    """A copy with the numbers of `variant`, without outputs."""
    made = copy.deepcopy(notebook)
    made["metadata"]["instructgpt_lite"]["variant"] = variant
    for cell in made["cells"]:
        cell["source"] = re.sub(r"^VARIANT = \d+$", f"VARIANT = {variant}", text(cell), flags=re.MULTILINE)
        if cell["cell_type"] == "code":
            cell |= {"outputs": [], "execution_count": None}
    return made


def text(cell: dict) -> str:
    return "".join(cell["source"])


def student(notebook: dict, variant: int = 0) -> dict:
    """Without solutions and hidden tests."""
    made = varied(notebook, variant)
    for cell in made["cells"]:
        cell["source"] = HIDDEN.sub("", SOLUTION.sub(r"\1...", cell["source"])).rstrip("\n")
    return made


def solved(notebook: dict, variant: int = 0) -> dict:
    """With solutions, without hidden tests."""
    made = varied(notebook, variant)
    for cell in made["cells"]:
        cell["source"] = MARKER.sub("", HIDDEN.sub("", cell["source"])).rstrip("\n")
    return made


def for_nbgrader(notebook: dict, variant: int = 0, secret: str = "") -> dict:
    """With every mark, and a secret of the teacher's for hidden cases."""
    made = varied(notebook, variant)
    for cell in made["cells"]:
        cell["source"] = re.sub(r"^SECRET = .*$", lambda _: f"SECRET = {secret!r}", cell["source"], flags=re.MULTILINE)
    return made


def write(path: Path, notebook: dict) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(notebook, indent=1, ensure_ascii=False, sort_keys=True) + "\n", encoding="utf-8")


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--variant", type=int, default=0, help="other numbers for another class")
    parser.add_argument("--secret", default="change me", help="what nbgrader's hidden cases are drawn from")
    parser.add_argument("--student-only", action="store_true", help="for a place that students see")
    given = parser.parse_args(arguments)
    for path in sorted(SOURCES.glob("*.ipynb")):
        notebook = json.loads(path.read_text(encoding="utf-8"))
        write(given.out / "student" / path.name, student(notebook, given.variant))
        if not given.student_only:
            write(given.out / "solutions" / path.name, solved(notebook, given.variant))
            write(given.out / "nbgrader/source" / path.stem / path.name,
                  for_nbgrader(notebook, given.variant, given.secret))
    if not given.student_only:
        (given.out / "nbgrader/nbgrader_config.py").write_text(CONFIG)
    return 0


if __name__ == "__main__":
    sys.exit(main())
