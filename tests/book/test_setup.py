"""chapters/setup.md: its Python runs, its commands exist, and what it quotes is what is said."""

import ast
import re
from pathlib import Path

import pytest

from instructgpt_lite.__main__ import main

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "chapters" / "setup.md").read_text()
BLOCKS = {kind: re.findall(rf"```{kind}\n(.*?)```", PAGE, re.DOTALL) for kind in ("bash", "python")}


def test_the_example_of_an_assignment_fails_with_the_sentence_on_the_page():
    quoted = re.search(r"fails, with the sentence \*(.*?)\*", PAGE, re.DOTALL)[1]
    with pytest.raises(AssertionError) as said:
        exec(BLOCKS["python"][0], {})
    assert str(said.value).endswith(quoted)


def test_the_example_with_a_device_prints_four_answers(capsys):
    exec(BLOCKS["python"][1], {})
    assert len(ast.literal_eval(capsys.readouterr().out)) == 4


def test_every_command_of_the_page_exists(capsys):
    targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    named = re.findall(r"(?:^|`)make (?!PYTHON)([\w-]+)", PAGE, re.MULTILINE)
    assert len(named) > 4 and set(named) <= set(targets)
    used = re.findall(r"-m instructgpt_lite (\w+)", "".join(BLOCKS["bash"]))
    with pytest.raises(SystemExit):
        main(["--help"])
    there = re.search(r"\{([\w,]+)\}", capsys.readouterr().out)[1].split(",")
    assert used and set(used) <= set(there)


@pytest.mark.parametrize("words, place", [
    ("Python 3.11, 3.12 or 3.13 is needed", "Makefile"),
    ("another process is running in it", "instructgpt_lite/run/stages.py"),
    ("holds a run of another configuration", "instructgpt_lite/run/folder.py")])
def test_what_a_reader_sees_when_it_fails_is_what_is_said(words, place):
    assert f"`{words}`" in PAGE and words in (ROOT / place).read_text()
