"""Every number that a chapter's sentences quote is proved, and a number that was tampered with is not."""

import json
from pathlib import Path

import pytest
import quoted

ROOT = Path(__file__).resolve().parents[2]
PAPER = quoted.papers()
LISTED = json.loads((ROOT / "tools" / "quoted.json").read_text())
CHAPTERS = sorted((ROOT / "chapters").glob("[0-9r]*.ipynb"))
TAMPERED = {                                     # a sentence of each chapter with one digit changed
    "00_tour": ("83.6 %", "87.1 %"),
    "15_gpt2": ("23,703", "23,704"),
    "01_paper": ("1.006", "1.066"),
    "02_bradley_terry": ("11.74", "11.47"),
    "02b_rankings": ("0.381", "0.831"),
    "03_surprise": ("2.08 nats", "2.18 nats"),
    "rl": ("0.128", "0.138"),
    "03b_estimators": ("0.833", "0.843"),
    "04_world": ("77.6 %", "76.6 %"),
    "05_sft": ("2.47", "2.74"),
    "06_reward": ("72.4", "79.4"),
    "07_best_of_n": ("0.685", "0.658"),
    "08_ppo": ("0.202048", "0.203048"),
    "09_ptx": ("1.386", "1.396"),
    "10_overoptimization": ("0.625", "0.652"),
}


def lost(cells: list[dict], chapter: str) -> list[str]:
    return [number.text for number, how in quoted.traced(cells, PAPER, LISTED.get(chapter, {})) if not how]


def cells_of(path: Path) -> list[dict]:
    return json.loads(path.read_text())["cells"]


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_every_quoted_number_is_proved(path):
    assert lost(cells_of(path), path.stem) == [], f"python tools/quoted.py -v chapters/{path.name}"


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_a_tampered_number_comes_from_nowhere(path):
    old, new = TAMPERED[path.stem]
    cells = cells_of(path)
    words = [cell for cell in cells if cell["cell_type"] == "markdown" and old in "".join(cell["source"])]
    words[0]["source"] = ["".join(words[0]["source"]).replace(old, new, 1)]
    assert lost(cells, path.stem) == [quoted.quoted(new)[0].text]


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_no_exception_is_left_over(path):
    used = {number.text for number, how in quoted.traced(cells_of(path), PAPER, LISTED.get(path.stem, {}))
            if how in ("worked", "listed")}
    assert set(LISTED.get(path.stem, {})) - used == set()


def notebook(words: str, code: str, output: str, *tags: str) -> list[dict]:
    told = {"output_type": "stream", "name": "stdout", "text": [output]}
    return [{"cell_type": "code", "source": [code], "outputs": [told], "metadata": {"tags": list(tags)}},
            {"cell_type": "markdown", "source": [words], "metadata": {}}]


@pytest.mark.parametrize("code, output, tags, how", [
    ("print(x)", "0.447", (), "shown"), ("print(x)", "0.457", (), ""),
    ("print(x)", "0.447", ("nbval-ignore-output",), ""),
    ("assert abs(x - 0.45) < 0.1", "0.447", ("nbval-ignore-output",), "asserted"),
    ("assert 0.4 < x < 0.5", "0.447", ("nbval-ignore-output",), "asserted"), ("assert 0.5 < x < 0.6", "", (), ""),
    ("assert 0 < x < 1", "", (), ""), ("x = 0.45", "", (), "set")])
def test_what_proves_a_number(code, output, tags, how):
    (number, found), = quoted.traced(notebook("It is 0.45 nats.", code, output, *tags), [], {})
    assert (number.text, found) == ("0.45", how)


@pytest.mark.parametrize("words, texts", [
    ("In 2022, §3.5, Figure 4 and Table 14, equation (2), chapter 12: 73.4 % of 1,000", ["73.4 %", "1,000"]),
    ("three of 4 seeds, `beta=0.02`, GPT-3.5, {cite:p}`x2020`, [a](b0.5.md)", []),
    ("a 1.3B model, 175B, 9e-6 and $\\beta = 0.3$", ["9e-6", "0.3"])])
def test_names_are_no_numbers(words, texts):
    assert [number.text for number in quoted.quoted(words)] == texts
