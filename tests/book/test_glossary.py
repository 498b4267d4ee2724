"""What the glossary says of the tiny world in numbers is measured, and words are where one looks for them."""

import re
from pathlib import Path

from instructgpt_lite import presets
from instructgpt_lite.book.recorded import recorded
from instructgpt_lite.world.world import World

TEXT = (Path(__file__).parent.parent.parent / "chapters/glossary.md").read_text()


def entry(word: str) -> str:
    return " ".join(re.search(rf"^{word}\n((?:  .*\n)+)", TEXT, re.M)[1].split())


def test_the_shares_of_use_cases_are_those_of_the_world_and_of_the_paper():
    prompts = World(presets.tiny.world).train
    paper = recorded("paper")["table 1"]["percent"]
    for kind, name, word in (("generation", "Generation", "generation"), ("open QA", "Open QA", "open questions")):
        share = 100 * sum(prompt.category == kind for prompt in prompts) / len(prompts)
        assert re.search(rf"{share:.0f} %[\w ]* {word} \(paper {paper[name]:.0f} %\)", entry("use case"))


def test_words_are_in_alphabetical_order():
    words = re.findall(r"^(\w[\w -]*)$", TEXT.partition("```{glossary}\n")[2].partition("\n```")[0], re.M)
    letters = [word.lower().replace("-", " ") for word in words]
    assert len(words) > 50 and letters == sorted(letters)
