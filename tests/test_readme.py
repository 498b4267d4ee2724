import runpy
from pathlib import Path

ROOT = Path(__file__).parent.parent


def test_the_table_and_the_tree_of_the_readme_are_what_the_project_says_now():
    tool = runpy.run_path(str(ROOT / "tools" / "readme.py"), run_name="readme")
    text = (ROOT / "README.md").read_text()
    assert tool["filled"](text) == text


def test_every_command_of_the_readme_exists():
    from instructgpt_lite.__main__ import COMMANDS
    told = [line.split("instructgpt_lite ")[1].split()[0] for line in (ROOT / "README.md").read_text().splitlines()
            if line.strip().startswith(".venv/bin/python -m instructgpt_lite ")]
    assert told and set(told) <= set(COMMANDS)
