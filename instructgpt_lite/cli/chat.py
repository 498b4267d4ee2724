"""python -m instructgpt_lite chat: the models of a run answer, side by side."""

import sys
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from instructgpt_lite.cli.terminal import side_by_side, terminal_width
from instructgpt_lite.data.records import check_text
from instructgpt_lite.data.tokenizers import unknown_words
from instructgpt_lite.report.text import printable
from instructgpt_lite.run.folder import RunFolder, starting


@dataclass
class ChatCommand:
    """Answers of the base model, SFT and PPO-ptx to your prompts, side by side."""

    run: Path = Path("runs/tiny")
    """Run directory whose models answer."""
    prompt: str = ""
    """One prompt to answer; without it, prompts are read line by line until Ctrl-D."""
    temperature: float = 1.0
    """Below 1 the likely words become likelier, above 1 the unlikely ones."""
    samples: int = 1
    """Answers of each model to each prompt."""
    seed: int = 0
    """Another seed gives other answers."""

    def __call__(self) -> int:
        """Answer one prompt, or one a line; what cannot be answered is explained."""
        folder = RunFolder(self.run)
        policies = speakers(folder)
        longest = folder.config["collect"]["max_new_tokens"]
        if self.prompt:
            print(replies(policies, self.prompt, self, longest, turn=0))
            return 0
        asking = partial(input, "> " if sys.stdin.isatty() else "")
        with suppress(EOFError):
            for turn, prompt in enumerate(filter(str.strip, iter(asking, None))):
                try:
                    print(replies(policies, prompt, self, longest, turn), end="\n\n")
                except ValueError as error:
                    print(f"{printable(str(error))}\n")
        return 0


def speakers(folder: RunFolder) -> dict[str, Any]:
    """The policies of a run that answer, by name; ValueError says what makes them."""
    names = [name for name in folder.speakers if name in folder.seconds]
    if not names:
        raise ValueError(f"{folder.path}: no run with models. Make one with\n"
                         f"  {starting(folder.path)}")
    from instructgpt_lite.models.networks import Policy
    return {name: Policy.load(folder.model(name)) for name in names}


def replies(policies: dict[str, Any], prompt: str, flags: ChatCommand, longest: int,
            turn: int) -> str:
    """The answers in columns, after the words of the prompt that no model knows."""
    from instructgpt_lite.training.loop import generator
    check_text("prompt", prompt)
    said = []
    for policy in policies.values():
        rollout = policy.sample([prompt], copies=flags.samples, max_new_tokens=longest,
                                temperature=flags.temperature,
                                generator=generator(flags.seed, "chat", turn))
        said.append(policy.texts(rollout))
    strange, _ = unknown_words(next(iter(policies.values())).tokenizer, [prompt])
    words = printable(", ".join(strange))
    note = f"The models do not know: {words}\n\n" if strange else ""
    return note + side_by_side(list(policies), list(zip(*said)), terminal_width())
