"""Exercises that run in the reader's browser: which these are, and that they say there what a notebook says."""

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import in_page
import in_page_run
import nbformat
import pytest

from instructgpt_lite import checks
from instructgpt_lite.checks.grading import lists, tensor
from instructgpt_lite.checks.verdict import OPEN, verdict

ROOT = Path(__file__).resolve().parents[2]
PAGE = """
import json, sys
sys.path[:0] = [sys.argv[1]]
for name in ("torch", "numpy", "IPython"):
    sys.modules[name] = None
from in_page_run import run
print(json.dumps([json.loads(run(cell)) for cell in json.load(sys.stdin)]))
"""


def cells() -> dict[str, tuple[str, str]]:
    """Of each exercise in the page: its chapter and its cell, by the name of its check."""
    found = {}
    for path in sorted(ROOT.glob("chapters/*.ipynb")):
        for cell in nbformat.read(path, as_version=4).cells:
            if cell.cell_type == "code" and (check := in_page.check_of(cell.source)):
                found[check] = path.name[:2], cell.source
    return found


CELLS = cells()

# For lists: the right body of the function, and a wrong one.
ANSWERS = {
    "check_comparisons": ("return sum(a < b for a in ranks for b in ranks)", "return len(ranks)"),
    "check_chosen": ("return gold_K[rewards_K.index(max(rewards_K))]", "return max(gold_K)"),
    "check_expected_comparisons": ("return n * sum(K * (K - 1) / 2 for K in range(4, 10)) / 6", "return n"),
    "check_updates_until": ("return math.log(left) / math.log(a)", "return left / a"),
    "check_agreement_and_best": ("return clear + (1 - clear) / 2, clear + (1 - clear) / 2", "return clear, clear"),
    "check_labeling_day": ("return day / (prompt + K) * 3 / (K + 1) * K * (K - 1) / 2",
                           "return day / (prompt + K) * K * (K - 1) / 2"),
    "check_two_labelers": ("""
        q_P = [1 / (1 + math.exp(-x)) for x in margin_P]
        same = [q ** 2 + (1 - q) ** 2 for q in q_P]
        return sum(same) / len(q_P), sum(max(q, 1 - q) for q in q_P) / len(q_P)""", """
        q_P = [1 / (1 + math.exp(-x)) for x in margin_P]
        return sum(q ** 2 for q in q_P) / len(q_P), sum(max(q, 1 - q) for q in q_P) / len(q_P)"""),
    "check_relative_surprise": ("return sum(math.exp(p) * (p - q) for p, q in zip(logp, logq) if p > -math.inf)",
                                "return sum(math.exp(q) * (q - p) for p, q in zip(logp, logq) if q > -math.inf)"),
    "check_collapse": ("return [math.log(n), math.inf]", "return [math.inf, math.log(n)]"),
    "check_charge": ("""
        rows = zip(logp, ref_logp, mask)
        return [beta * sum(p - q for p, q, counts in zip(*row) if counts) for row in rows]""", """
        rows = zip(logp, ref_logp, mask)
        return [sum(p - q for p, q, counts in zip(*row) if counts) for row in rows]"""),
    "check_optimum": ("""
        tilted = [p + x / beta for p, x in zip(ref_logp, r)]
        log_z = max(tilted) + math.log(sum(math.exp(x - max(tilted)) for x in tilted))
        return [x - log_z for x in tilted]""", "return [p + x / beta for p, x in zip(ref_logp, r)]"),
    "check_shift": ("return {'missing end', 'value start'}", "return {'missing end', 'loss'}"),
    "check_responses_read": ("return K, K * (K - 1)", "return K * (K - 1), K"),
    "check_reward_gradient": ("""
        def wrong(margin):
            return 1 / (1 + math.exp(margin)) if margin < 700 else 0.0
        slope, K = [0.0 for _ in r_K], len(r_K)
        pairs = [(w, l) for w in range(K) for l in range(K) if rank_K[w] < rank_K[l]]
        for w, l in pairs:
            slope[w] -= wrong(r_K[w] - r_K[l]) / len(pairs)
            slope[l] += wrong(r_K[w] - r_K[l]) / len(pairs)
        return slope""", "return r_K"),
    "check_floor": ("return sum(-x * math.log(x) for q in q_P for x in (q, 1 - q) if x) / len(q_P)",
                    "return sum(-x * math.log2(x) for q in q_P for x in (q, 1 - q) if x) / len(q_P)"),
    "check_brier": ("return sum((p - won) ** 2 for p, won in zip(p_P, won_P)) / len(p_P)",
                    "return sum((p - won) ** 2 for p, won in zip(p_P, won_P))"),
    "check_center": ("return [[x - sum(demo_N) / len(demo_N) for x in row] for row in r_BK]",
                     "return [[x - sum(row) / len(row) for x in row] for row in r_BK]"),
    "check_longer_share": ("""
        shares = [(long[w] > long[l]) + 0.5 * (long[w] == long[l]) for long, rank in zip(lengths, ranks)
                  for w in range(len(rank)) for l in range(len(rank)) if rank[w] < rank[l]]
        return sum(shares) / len(shares)""", """
        shares = [long[w] > long[l] for long, rank in zip(lengths, ranks)
                  for w in range(len(rank)) for l in range(len(rank)) if rank[w] < rank[l]]
        return sum(shares) / len(shares)"""),
    "check_clip_slopes": ("""
        stopped = ratio > 1 + clip if advantage > 0 else ratio < 1 - clip
        return 0.0 if stopped else -ratio * advantage""", "return -ratio * advantage"),
    "check_token_rewards": ("""
        rewards = []
        for score, p_T, q_T, mask in zip(r_B, logp_BT, ref_logp_BT, mask_BT):
            row = [-beta * (p - q) if counts else 0.0 for p, q, counts in zip(p_T, q_T, mask)]
            counted = [t for t, counts in enumerate(mask) if counts]
            if counted:
                row[counted[-1]] += score
            rewards.append(row)
        return rewards""", """
        return [[-beta * (p - q) if counts else 0.0 for p, q, counts in zip(*row)]
                for row in zip(logp_BT, ref_logp_BT, mask_BT)]"""),
    "check_gae": ("""
        advantage_BT = []
        for reward, value, mask in zip(reward_BT, value_BT, mask_BT):
            row, later, after = [0.0] * len(mask), 0.0, 0.0
            for t in reversed(range(len(mask))):
                if mask[t]:
                    later = reward[t] + after - value[t] + lam * later
                    row[t], after = later, value[t]
            advantage_BT.append(row)
        return advantage_BT""", """
        advantage_BT = []
        for reward, value, mask in zip(reward_BT, value_BT, mask_BT):
            row, later = [0.0] * len(mask), 0.0
            for t in reversed(range(len(mask))):
                if mask[t]:
                    row[t] = later = reward[t] - value[t] + lam * later
            advantage_BT.append(row)
        return advantage_BT"""),
    "check_leave_one_out": ("return [[x - (sum(row) - x) / (len(row) - 1) for x in row] for row in r_GK]",
                            "return [[x - sum(row) / len(row) for x in row] for row in r_GK]"),
    "check_adapted_beta": ("return beta * (1 + max(-0.2, min(0.2, kl / target - 1)) * episodes / horizon)",
                           "return beta * (1 + (kl / target - 1) * episodes / horizon)"),
}


def answered(check: str, body: str) -> str:
    """The cell with a body in the place of `...`."""
    return CELLS[check][1].replace("    ...\n", textwrap.indent(textwrap.dedent(body).strip(), "    ") + "\n")


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """Runs cells as the page does: with its files alone, and without torch, numpy or IPython."""
    folder = tmp_path_factory.mktemp("page")
    for path, text in in_page.files().items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)

    def run(*given: str) -> list[dict]:
        environment = {name: text for name, text in os.environ.items() if name != "PYTHONPATH"}
        command = [sys.executable, "-I", "-W", "error", "-c", PAGE, folder]
        result = subprocess.run(command, input=json.dumps(given), capture_output=True, text=True, cwd=folder,
                                env=environment)
        assert result.returncode == 0, result.stderr
        return json.loads(result.stdout)
    return run


def in_notebook(check: str, cell: str) -> str:
    """The verdict with torch: the same function, its lists made tensors."""
    names = {}
    exec(cell.rpartition("\n\nattempt")[0], {"math": __import__("math")}, names)
    answer = next(each for name, each in names.items() if name != "attempt")

    def student(*case):
        said = answer(*lists(*case))
        return tensor(said) if isinstance(said, list) or check == "check_relative_surprise" else said
    student.__name__ = answer.__name__
    return verdict(getattr(checks, check), student)


@pytest.mark.parametrize("chapter", ["02", "03", "06", "08"])
def test_a_chapter_has_exercises_in_the_page(chapter):
    assert sum(place == chapter for place, _ in CELLS.values()) >= 2


def test_every_exercise_in_the_page_has_an_answer_here():
    assert set(ANSWERS) == set(CELLS)


def test_the_page_says_what_the_notebook_says_of_right_and_of_wrong_answers(page):
    given = [(check, answered(check, body)) for check, bodies in ANSWERS.items() for body in bodies]
    said = [each["said"] for each in page(*(cell for _, cell in given))]
    assert said == [in_notebook(*each) for each in given]
    assert all(each.startswith("**Right.** ") for each in said[::2])
    assert all(each.startswith("**Not yet.** ") for each in said[1::2])


def test_what_nobody_has_begun_is_told_so(page):
    assert {each["said"] for each in page(*(cell for _, cell in CELLS.values()))} == {OPEN}


def test_where_lists_take_the_place_of_tensors_a_list_is_wanted(page):
    wrong = {"check_leave_one_out": ("return 0.5", "returned float; a list of numbers is wanted."),
             "check_collapse": ("return [[1], [1, 2]]", "returned parts of shapes (1,), (2,); () of each is wanted."),
             "check_charge": ("return [0.5]", "returned shape (1,); (2,) is wanted."),
             "check_brier": ("return 'half'", "returned str; a number is wanted."),
             "check_floor": ("return q_P", "returned shape (2,); () is wanted.")}
    said = page(*(answered(check, body) for check, (body, _) in wrong.items()))
    assert [want in each["said"] for each, (_, want) in zip(said, wrong.values())] == [True] * len(wrong)
    assert page(answered("check_collapse", "return math.log(n), math.inf"))[0]["said"].startswith("**Right.**")


@pytest.mark.parametrize("cell, said, printed", [
    ("print(1)\nmath.no", "**Error in line 2.** `AttributeError: module 'math' has no attribute 'no'`.", "1\n"),
    ("def f(:\n    ...", "**Error in line 1.** `SyntaxError: invalid syntax`.", ""),
    ("def f():\n    return 1 / 0\n\nf()", "**Error in line 2.** `ZeroDivisionError: division by zero`.", ""),
    ("import torch", "**Error in line 1.** `ModuleNotFoundError: ", ""),
    ("raise SystemExit", "**Error in line 1.** `SystemExit: `.", ""),
    ("", "**No verdict.** ", ""), ("x = 1", "**No verdict.** ", ""), ("1 + 1", "**No verdict.** ", "")])
def test_a_slip_is_named_with_its_line(page, cell, said, printed):
    got = page(cell)[0]
    assert got["said"].startswith(said) and got["printed"] == printed
    assert ("numbers come as lists" in got["said"]) == ("torch" in cell)


def test_of_what_is_printed_the_end_is_kept():
    assert len(json.loads(in_page_run.run("print('x' * 20_000)"))["printed"]) == 10_000


def test_only_an_open_cell_whose_check_needs_no_torch_is_one_for_the_page():
    open_cell = 'def f(x):\n    """What."""\n    ...\n\nattempt(checks.check_brier, f)'
    assert in_page.check_of(open_cell) == "check_brier"
    assert in_page.check_of(open_cell.replace("brier", "policy_loss")) is None
    assert in_page.check_of(open_cell.replace("    ...", "    return x")) is None
    assert in_page.check_of(open_cell.replace(", f)", ", g)")) is None
