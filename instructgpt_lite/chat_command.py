"""Talk to the models of a run: their answers to one prompt, side by side."""

import json
import sys
from dataclasses import dataclass
from pathlib import Path

from instructgpt_lite.commands import parse
from instructgpt_lite.story import SPEAKERS, starting
from instructgpt_lite.terminal import printable, side_by_side, terminal_width


@dataclass
class ChatFlags:
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


def chat(arguments: list[str]) -> int:
    """Answer one prompt, or one a line; a prompt that cannot be answered is explained and passed over."""
    flags = parse(ChatFlags, arguments, "chat")
    policies = speakers(flags.run)
    longest = json.loads((flags.run / "config.json").read_text())["collect"]["max_new_tokens"]
    if flags.prompt:
        print(replies(policies, flags.prompt, flags, longest, turn=0))
        return 0
    asking, turn = "> " if sys.stdin.isatty() else "", 0
    while True:
        try:
            prompt = input(asking)
        except EOFError:
            return 0
        if prompt.strip():
            try:
                print(replies(policies, prompt, flags, longest, turn), end="\n\n")
            except ValueError as error:
                print(f"{printable(str(error))}\n")
            turn += 1


def speakers(folder: Path) -> dict:
    """The models of a run that answer prompts; ValueError says which command makes them."""
    there = [name for name in SPEAKERS if (folder / "models" / name / "config.json").exists()]
    if not there or not (folder / "config.json").exists():
        raise ValueError(f"{folder}: no run with models. Make one with\n  {starting(folder)}")
    from instructgpt_lite.models.networks import Policy
    return {name: Policy.load(folder / "models" / name) for name in there}


def replies(policies: dict, prompt: str, flags: ChatFlags, longest: int, turn: int) -> str:
    """The answers in columns, after the words of the prompt that no model knows."""
    from instructgpt_lite.training.loop import generator
    said = []
    for policy in policies.values():
        rollout = policy.sample([prompt], max_new_tokens=longest, temperature=flags.temperature,
                                copies=flags.samples, generator=generator(flags.seed, "chat", turn))
        said.append(policy.texts(rollout))
    strange = unknown(next(iter(policies.values())).tokenizer, prompt)
    note = f"The models do not know: {printable(', '.join(strange))}\n\n" if strange else ""
    return note + side_by_side(list(policies), list(zip(*said)), terminal_width())


def unknown(tokenizer, prompt: str) -> list[str]:
    """Words of the prompt outside the vocabulary, each once."""
    read = tokenizer(prompt, add_special_tokens=False, return_offsets_mapping=True)
    found = (prompt[start:end] for token, (start, end) in zip(read["input_ids"], read["offset_mapping"])
             if token == tokenizer.unk_token_id and token != tokenizer.eos_token_id)
    return list(dict.fromkeys(found))
