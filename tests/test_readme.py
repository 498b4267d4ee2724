import re
import runpy
from pathlib import Path

import pytest
import yaml

import instructgpt_lite
from instructgpt_lite.__main__ import main

ROOT = Path(__file__).parent.parent
TOOL = runpy.run_path(str(ROOT / "tools" / "readme.py"), run_name="readme")


@pytest.mark.parametrize("page", TOOL["PAGES"])
def test_what_a_page_says_between_its_markers_is_what_the_project_says_now(page):
    text = (ROOT / page).read_text()
    assert TOOL["filled"](text, page) == text, "run python tools/readme.py"


def test_the_picture_for_a_phone_says_what_the_wide_one_says():
    wide, tall = ((ROOT / "images" / f"three-steps{name}.svg").read_text() for name in ("", "-tall"))
    words = [sorted(re.findall(r"<(?:text|title|desc)[^>]*>([^<]+)", drawing)) for drawing in (wide, tall)]
    assert words[0] == words[1] and len(words[0]) > 20


def measured(model, what, which="mean"):
    return TOOL["results"]("tiny")["summary"][f"policies / {model} / {what}"][which]


def test_what_the_front_page_says_about_its_table_is_so():
    """Prose of index.md, "What came out": each comparison holds between the worst and the best seed."""
    gold = [[measured(model, "gold", which) for which in ("lowest", "highest")]
            for model in ("base", "few-shot", "sft", "ppo")]
    assert all(worse[1] < better[0] for worse, better in zip(gold, gold[1:]))
    assert measured("few-shot", "gold") > 0.7 * measured("ppo_ptx", "gold")
    assert 0.55 < measured("ppo_ptx", "labeler_win", "lowest") < measured("ppo_ptx", "labeler_win", "highest") < 0.66
    base, sft, start, ppo, ptx = (measured(model, "pretraining_loss") for model in
                                  ("base", "sft", "rl_init", "ppo", "ppo_ptx"))
    assert sft == max(base, sft, start, ppo, ptx) and start - base < (sft - base) / 5
    assert measured("ppo", "pretraining_loss", "lowest") - start > 0.02 and abs(ptx - start) < 0.02


def test_every_command_of_the_readme_exists(capsys):
    with pytest.raises(SystemExit):
        main(["--help"])
    commands = re.search(r"\{([\w,]+)\}", capsys.readouterr().out)[1].split(",")
    page = (ROOT / "README.md").read_text()
    told = re.findall(r"-m instructgpt_lite (\w+)", page) + re.findall(r"`(run|evaluate) --", page)
    assert len(told) > 4 and set(told) <= set(commands)
    targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert set(re.findall(r"(?:`|    )make ([\w-]+)", page)) <= set(targets)


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md"])
def test_every_file_that_a_page_names_exists(page):
    told = re.findall(r"`([\w.]+(?:/[\w.]+)+/?)`", (ROOT / page).read_text())
    made = re.compile("runs/|vendor/|_build/|chapters/NN|.venv")
    assert told and [path for path in told if not made.match(path) and not (ROOT / path).exists()] == []


def test_the_use_cases_have_the_shares_that_the_glossary_says():
    prompts = instructgpt_lite.World(instructgpt_lite.presets.tiny.world).train
    share = {case: sum(each.category == case for each in prompts) / len(prompts) for case in ("generation", "open QA")}
    said = re.search(r"(\d+) % of its prompts are generation.*?(\d+) % open questions",
                     (ROOT / "chapters/glossary.md").read_text(), re.DOTALL)
    assert [float(each) for each in said.groups()] == [round(100 * each) for each in share.values()]


def test_the_citation_has_the_version_of_the_package_and_the_authors_of_the_paper():
    found = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert found["version"] == instructgpt_lite.__version__
    paper = (ROOT / "references.bib").read_text().partition("@inproceedings{ouyang2022training,")[2].partition("\n}")[0]
    authors = " ".join(re.search(r"author = \{(.*?)\},\n", paper, re.DOTALL)[1].split()).split(" and ")
    assert [f"{each['family-names']}, {each['given-names']}" for each in found["references"][0]["authors"]] == authors
    assert found["references"][0]["title"] in paper and len(authors) == 20
