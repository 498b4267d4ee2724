"""Progress bars on a terminal, and lines elsewhere."""

import io
import re

from instructgpt_lite.cli import progress
from instructgpt_lite.cli.progress import Bars

WATCH = {"sft": ("loss",), "reward": ("loss", "accuracy"), "ppo": ("score", "kl"),
         "evaluate": ("sft gold", "ppo_ptx gold")}


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def rows(stage: str, first: int, last: int, steps: int, **values):
    return [{"stage": stage, "step": step, "steps": steps, **values} for step in range(first, last + 1)]


def shown(file, *parts) -> str:
    with Bars(WATCH, file) as bars:
        for part in parts:
            for row in part:
                bars.show(row)
    return file.getvalue()


def test_each_stage_leaves_one_line_where_there_is_no_terminal():
    lines = shown(io.StringIO(), rows("sft", 1, 8, 8, loss=0.98765),
                  rows("ppo", 1, 2, 4, score=-1.23456, kl=12.0))
    assert re.fullmatch(r" +sft: 8 of 8 steps in \d+\.\d s  loss 0\.988\n"
                        r" +ppo: 2 of 4 steps in \d+\.\d s  score -1\.23, kl 12\n", lines)


def test_a_bar_shows_the_steps_and_the_watched_numbers_in_three_digits():
    last = shown(Terminal(), rows("reward", 1, 5, 5, loss=0.612345, accuracy=0.5, prompts=7)).split("\r")[-1]
    assert "5/5" in last and "loss 0.612, accuracy 0.5" in last and "prompts" not in last


def test_the_last_row_is_on_the_bar_even_when_steps_are_fast():
    steps = [{"stage": "sft", "step": n, "steps": 500, "loss": float(n)} for n in range(1, 501)]
    last = shown(Terminal(), steps).split("\r")[-1]
    assert "500/500" in last and "loss 500" in last


def test_a_stage_that_goes_on_from_a_checkpoint_begins_there():
    first = shown(Terminal(), rows("ppo", 31, 40, 40)).split("\r")[1]
    assert "30/40" in first


def test_stages_follow_one_another_on_lines_of_their_own():
    text = shown(Terminal(), rows("sft", 1, 3, 3), rows("rl_init", 1, 2, 2))
    assert [re.search(r"(\w+): 100%.*?(\d+/\d+)", line.split("\r")[-1]).groups()
            for line in text.split("\n") if line] == [("sft", "3/3"), ("rl_init", "2/2")]


def test_numbers_of_an_earlier_step_stay_until_there_are_new_ones():
    evaluation = [{"stage": "evaluate", "step": 1, "steps": 2, "ppo_ptx gold": 0.751},
                  {"stage": "evaluate", "step": 2, "steps": 2, "accuracy, training labelers": 0.6}]
    assert "ppo_ptx gold 0.751" in shown(io.StringIO(), evaluation)


def test_the_time_of_a_stage_begins_where_the_one_before_ended(monkeypatch):
    now, file = [10.0], io.StringIO()
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    with Bars(WATCH, file) as bars:
        for stage, time in (("sft", 15.0), ("ppo", 17.5)):
            bars.show({"stage": stage, "step": 1, "steps": 1})
            now[0] = time
    assert re.findall(r"in (\S+) s", file.getvalue()) == ["5.0", "2.5"]


def test_an_unknown_stage_is_shown_without_numbers():
    line = shown(io.StringIO(), rows("polish", 1, 1, 1, loss=1.0))
    assert re.fullmatch(r" +polish: 1 of 1 steps in \d+\.\d s\n", line)


def test_a_run_that_yields_nothing_shows_nothing():
    assert shown(io.StringIO()) == "" and shown(Terminal()) == ""
