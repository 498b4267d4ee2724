"""Notebooks as students hand them in, and one exercise that attacks are tried on."""

import json
from pathlib import Path

from instructgpt_lite.checks import oracles
from instructgpt_lite.checks.draw import Draw
from instructgpt_lite.checks.grading import hold, tensor
from instructgpt_lite.desk.assignments import Assignment, Exercise
from instructgpt_lite.desk.submissions import Submission, take_cells

RIGHT = {
    "my_text_loss": "def my_text_loss(logits, token):\n"
                    "    logp = logits[:, :-1].log_softmax(-1)\n"
                    "    return -logp.gather(-1, token[:, 1:, None]).mean()",
    "my_mixed_step": "def my_mixed_step(x, ppo, ptx, gamma, lr):\n    return x - lr * (ppo + gamma * ptx)",
    "my_tax": "def my_tax(before, after):\n    rise = after - before\n"
              "    return rise.mean(), rise.std() / len(rise) ** 0.5",
    "my_choose_gamma": "def my_choose_gamma(gamma, reward, tax, budget):\n"
                       "    ok = tax.mean(1) + 2 * tax.std(1) / tax.size(1) ** 0.5 <= budget\n"
                       "    return gamma[ok][reward[ok].mean(1).argmax()].item() if ok.any() else None"}


def cell(source: str, grade_id: str = "") -> dict:
    marked = {"nbgrader": {"grade_id": grade_id}} if grade_id else {}
    return {"cell_type": "code", "source": source, "metadata": marked, "outputs": [], "execution_count": None}


def notebook(cells: list[dict], assignment: str | None = "a6_ptx") -> str:
    about = {"instructgpt_lite": {"assignment": assignment}} if assignment else {}
    return json.dumps({"cells": cells, "metadata": about, "nbformat": 4, "nbformat_minor": 5})


def answered(**other: str) -> list[dict]:
    """The cells of assignment 6 with right answers, but for those given."""
    return [cell("import math\nimport torch\nfrom instructgpt_lite import checks\nVARIANT = 0"),
            *[cell(source, name) for name, source in (RIGHT | other).items() if source is not None]]


def check_token_logp(student, seed=0):
    """log softmax(logits_BTV) at token_BT."""
    draw = Draw(seed)
    hold(student, lambda logits, token: tensor(oracles.token_logp(logits, token)), [
        ("log softmax at the token.", *[(draw.tensor(n, 3, 4), draw.tokens(n, 3, words=4)) for n in (2, 1)])])


ATTACKED = Assignment("attacked", "", "", 1, (Exercise("my_token_logp", check_token_logp, 10),))


def handed_in(source: str, path: Path = Path("no such file")) -> Submission:
    """A submission of one cell for `my_token_logp`."""
    found = Submission("student", path, assignment=ATTACKED)
    take_cells(found, [("my_token_logp", source)])
    return found
