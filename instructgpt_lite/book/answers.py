"""What several policies say to the same prompts, each answer with its gold score in front."""

from collections.abc import Sequence
from html import escape

from IPython.display import HTML

from instructgpt_lite.data.records import Prompt
from instructgpt_lite.judging.policies import Answers

GRID = "display:grid;grid-template-columns:max-content max-content 1fr;gap:0.1em 0.8em;text-align:left;line-height:1.35"
CARD = "border-left:3px solid #8896a5;padding-left:0.8em;margin:0 0 1.1em;text-align:left"
BREAK = "\u23ce"                      # a line break that the policy wrote, made visible


def side_by_side(answers: dict[str, Answers], rows: Sequence[int]) -> HTML:
    """A card for each of the rows: its prompt, then a line a policy with the answer's worth and the answer."""
    cards = []
    for row in rows:
        prompt = next(iter(answers.values())).prompts[row]
        lines = "".join(_line(name, said.scores[row].gold, said.texts[row]) for name, said in answers.items())
        cards.append(f'<div style="{CARD}"><strong>{_visible(prompt.prompt)}</strong> '
                     f'<em>({escape(prompt.category)})</em><div style="{GRID}">{lines}</div></div>')
    return HTML("".join(cards))


def first_of_each(prompts: Sequence[Prompt]) -> list[int]:
    """The first prompt of each use case, in the order met: a choice that nobody made."""
    first = {}
    for row, prompt in enumerate(prompts):
        first.setdefault(prompt.category, row)
    return list(first.values())


def _line(name: str, gold: float, text: str) -> str:
    return f"<span>{escape(name)}</span><span>{gold:.2f}</span><span>{_visible(text) or '(nothing)'}</span>"


def _visible(text: str) -> str:
    return escape(text.strip()).replace("\n", f" {BREAK} ")
