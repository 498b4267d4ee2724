"""Where each number in a chapter's sentences comes from: python tools/quoted.py [-v] [chapters/...]

A number counts as proved if, rounded as it is quoted, it is

    shown      in a stored output of the chapter that every run compares (nbval), or in a formula worked beside it
    asserted   a number in an assertion of the chapter, or between the two bounds of one (a < x < b, at most
               ROOM of the number apart)
    set        a number in the chapter's code: a setting, a seed, a count
    paper      one of results/paper.json, or a default or preset of ours (config.py, presets.py)
    worked     in tools/quoted.json with the expression ("= log(3)") that gives it
    listed     there with the reason why nothing computes it: the paper's page, a question of somebody's

An output that nbval does not compare (tag nbval-ignore-output) proves nothing. What rounds to a number counts under
its own heading; elsewhere in the chapter only its very digits do. Numbers up to SMALL without a decimal point are words
("three policies", "step 2", "1 - p"), as are years, sections, figures and powers. Executes nothing; exits with 1 if a
number comes from nowhere.
"""

import ast
import json
import math
import re
import sys
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
SMALL, ROOM = 12, 0.5
NUMBER = re.compile(r"(?<![\w.^{\\,])(\d{1,3}(?:,\d{3})+|\d+)(\.\d+)?(e-?\d+)?(?![\w^]|,\d{3})( ?\\?%)?")
NAMES = (
    r"```.*?```", r"`[^`\n]*`", r"\{[\w:]+\}", r"^:::+.*$", r"^:\w[\w-]*:.*$", r"^\(.*?\)=$", r"<!--.*?-->",
    r"\]\([^)]*\)", r"https?://\S+", r"\b(1[89]|20)\d\d\b", r"^\s*\d+\.\s", r"^#+ +\d+(\.\d+)*\b",
    r"(?i)\b(eqs?\.|equations?|figs?\.|figures?|tables?|sections?|chapters?|steps?|notes?|exercises?|appendix|app\.|"
    r"seeds?|version|python|page|cell|§+)[~ ]*[A-Z]?\.?\(?\d+(\.\d+)*\)?((, | and | to |-|–)\d+(\.\d+)*)*",
    r"§ ?\d[\d.]*", r"\b[A-Z]\.\d+(\.\d+)*", r"\bGPT-?\d(\.\d)?", r"\\(text|mathrm|operatorname|tfrac|frac|sqrt)\b")


class Quoted(NamedTuple):
    """A number of a sentence as it stands there, its value, half a unit of its last digit, and the words around it."""

    text: str
    value: float
    half: float
    around: str


def quoted(words: str) -> list[Quoted]:
    """The numbers of a Markdown cell, less those that name something."""
    for name in NAMES:
        words = re.sub(name, " ", words, flags=re.MULTILINE | re.DOTALL if "```" in name else re.MULTILINE)
    found = []
    for match in NUMBER.finditer(words):
        whole, decimals, power, percent = match.groups()
        value = float(whole.replace(",", "") + (decimals or "") + (power or ""))
        if not decimals and not power and not percent and value <= SMALL:
            continue
        half = 0.5 * 10.0 ** (int((power or "e0")[1:]) - len((decimals or ".")[1:]))
        around = " ".join(words[max(0, match.start() - 40):match.end() + 30].split())
        found.append(Quoted(match.group().strip(), value, half, around))
    return found


def numbers(text: str) -> list[float]:
    """All numbers of an output."""
    text = text.replace("\u2212", "-").replace("\u2011", "-")
    return [float(each.replace(",", "")) for each in
            re.findall(r"(?<![\w.])\d{1,3}(?:,\d{3})+(?:\.\d+)?|(?<![\w.])\d+\.?\d*(?:e[+-]?\d+)?", text)]


def literals(node: ast.AST) -> list[float]:
    return [abs(float(each.value)) for each in ast.walk(node)
            if isinstance(each, ast.Constant) and isinstance(each.value, int | float)]


class Evidence:
    """What a chapter shows, asserts and sets; and what the paper and the package say."""

    def __init__(self, cells: list[dict]):
        self.shown, self.asserted, self.bounds, self.set = [], [], [], []
        for cell in cells:
            source = "".join(cell["source"])
            if cell["cell_type"] == "code":
                self.read_code(re.sub(r"^(\s*)[%!].*", r"\1pass", source, flags=re.MULTILINE))
                tags = cell["metadata"].get("tags", [])
                if not {"nbval-ignore-output", "nbval-skip"} & set(tags):
                    self.shown += [x for each in cell["outputs"] for x in numbers(as_text(each))]

    def read_code(self, source: str) -> None:
        tree = ast.parse(source)
        self.set += literals(tree)
        for node in ast.walk(tree):
            if isinstance(node, ast.Assert):
                self.asserted += literals(node)
                for each in ast.walk(node):
                    if isinstance(each, ast.Compare) and len(each.ops) == 2:
                        ends = [literals(end) for end in (each.left, each.comparators[1])]
                        if all(len(end) == 1 for end in ends):
                            self.bounds.append(tuple(sorted(end[0] for end in ends)))

    def of(self, number: Quoted) -> str:
        """How a number is proved by what rounds to it here; "" if it is not."""
        return ("shown" if among(number, self.shown) else
                "asserted" if among(number, self.asserted) or self.between(number) else
                "set" if among(number, self.set, 0) else "")

    def exactly(self, number: Quoted) -> str:
        """How a number of another section is proved: by the same digits."""
        return ("shown" if among(number, self.shown, 0) else "asserted" if among(number, self.asserted, 0) else
                "set" if among(number, self.set, 0) else "")

    def between(self, number: Quoted) -> bool:
        return any(low <= value <= high and high - low <= ROOM * value for low, high in self.bounds
                   for value in (number.value, number.value / 100)[:1 + ("%" in number.text)])


def excepted(number: Quoted, reason: str) -> str:
    """How an entry of quoted.json proves a number: by its expression, or by its reason."""
    if not reason.startswith("="):
        return "listed" if reason else ""
    value = eval(reason[1:], {"__builtins__": {}, "log": math.log, "exp": math.exp, "sqrt": math.sqrt})
    return "worked" if among(number, [value]) else ""


def among(number: Quoted, values: list[float], room: float = 1.0) -> bool:
    """Whether one of the values is the number, as quoted (room 1) or to the last digit (room 0), per cent or not."""
    near = room * number.half + 1e-9 * max(1.0, number.value)
    return any(abs(value * scale - number.value) <= near for value in values
               for scale in ((1, 100) if "%" in number.text else (1,)))


def as_text(output: dict) -> str:
    """What an output says, without its pictures."""
    data = output.get("data", {})
    words = [output.get("text", []), *(text for kind, text in data.items() if kind.startswith("text/"))]
    return "\n".join("".join(each) for each in words)


def papers() -> list[float]:
    """Numbers of the paper, and of our configuration."""
    sources = [(ROOT / "instructgpt_lite" / name).read_text() for name in ("config.py", "presets.py")]
    sources[1] = sources[1].partition("\nreviews = ")[0]        # presets that chapters run, not those at scale
    return [*numbers((ROOT / "results" / "paper.json").read_text()),
            *(x for source in sources for x in [*literals(ast.parse(source)), *numbers(source)])]


def sections(cells: list[dict]) -> list[list[dict]]:
    """The cells of a chapter under each of its headings; a cell of words with several is cut before each."""
    found = [[]]
    for cell in cells:
        source = "".join(cell["source"])
        for piece in re.split(r"(?m)^(?=##+ )", source) if cell["cell_type"] == "markdown" else [source]:
            if piece.startswith("##") and cell["cell_type"] == "markdown":
                found.append([])
            found[-1].append({**cell, "source": [piece]})
    return found


def traced(cells: list[dict], paper: list[float], listed: dict[str, str]) -> list[tuple[Quoted, str]]:
    """Every number in the Markdown of a chapter, and how it is proved."""
    whole, found = Evidence(cells), []
    for section in sections(cells):
        here = Evidence(section)
        for cell in section:
            for number in quoted("".join(cell["source"])) if cell["cell_type"] == "markdown" else []:
                found.append((number, here.of(number) or whole.exactly(number) or
                              ("paper" if among(number, paper, 0) else excepted(number, listed.get(number.text, "")))))
    return found


def main() -> int:
    names = [name for name in sys.argv[1:] if name != "-v"]
    paper, listed = papers(), json.loads((ROOT / "tools" / "quoted.json").read_text())
    wrong = 0
    for path in map(Path, names) if names else sorted((ROOT / "chapters").glob("[0-9r]*.ipynb")):
        found = traced(json.loads(path.read_text())["cells"], paper, listed.get(path.stem, {}))
        lost = [number for number, how in found if not how]
        print(f"{path.stem}: {len(found)} numbers, {len(lost)} of them come from nowhere")
        for number, how in found:
            if "-v" in sys.argv or not how:
                print(f"  {number.text:>10} {how or 'NOWHERE':9} {number.around}")
        wrong += len(lost)
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
