"""python -m instructgpt_lite chat: the models of a run answer, side by side."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from instructgpt_lite.cli.terminal import side_by_side, terminal_width
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
        asking, turn = "> " if sys.stdin.isatty() else "", 0
        while True:
            try:
                prompt = input(asking)
            except EOFError:
                return 0
            if prompt.strip():
                try:
                    print(replies(policies, prompt, self, longest, turn), end="\n\n")
                except ValueError as error:
                    print(f"{printable(str(error))}\n")
                turn += 1


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
    said = []
    for policy in policies.values():
        rollout = policy.sample([prompt], copies=flags.samples, max_new_tokens=longest,
                                temperature=flags.temperature,
                                generator=generator(flags.seed, "chat", turn))
        said.append(policy.texts(rollout))
    strange = unknown(next(iter(policies.values())).tokenizer, prompt)
    words = printable(", ".join(strange))
    note = f"The models do not know: {words}\n\n" if strange else ""
    return note + side_by_side(list(policies), list(zip(*said)), terminal_width())


def unknown(tokenizer: Any, prompt: str) -> list[str]:
    """Words of the prompt outside the vocabulary, each once."""
    read = tokenizer(prompt, add_special_tokens=False, return_offsets_mapping=True)
    tokens = zip(read["input_ids"], read["offset_mapping"])
    found = (prompt[start:end] for token, (start, end) in tokens
             if token == tokenizer.unk_token_id and token != tokenizer.eos_token_id)
    return list(dict.fromkeys(found))
