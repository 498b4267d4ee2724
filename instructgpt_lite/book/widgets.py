"""Interactive figures: JavaScript draws and computes, so a page needs no kernel.

A script builds native controls with labels into an element of class `figure-by-hand`
(widgets.css) and exports { render } and the arithmetic as pure functions, which the
tests run beside Python's.
"""

import inspect
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anywidget
import torch
from traitlets import Bool, Float, Int, List, Unicode, observe

from instructgpt_lite.data.records import Ranking
from instructgpt_lite.theory.bradley_terry import strengths

HERE = Path(__file__).parent
PROMPT = "What does Ada like to eat?"
ANSWERS = ["Ada likes salad.", "Ada likes salad. I hope that helps.",
           "They say that Ada likes soup.", "I am not sure.",
           "That is a silly question."]
# Chances of [end], good, bad, not, very: of the first token, then after each of these.
SAID = ((0.05, 0.30, 0.25, 0.20, 0.20), (0.50, 0.15, 0.10, 0.15, 0.10),
        (0.50, 0.10, 0.15, 0.15, 0.10), (0.10, 0.40, 0.25, 0.05, 0.20),
        (0.10, 0.40, 0.35, 0.10, 0.05))
TRAINED = ((0.05, 0.40, 0.15, 0.20, 0.20), (0.40, 0.25, 0.10, 0.10, 0.15),
           (0.50, 0.20, 0.10, 0.10, 0.10), (0.10, 0.30, 0.40, 0.05, 0.15),
           (0.05, 0.60, 0.20, 0.10, 0.05))
POLICY, REFERENCE = (0.40, 0.25, 0.15, 0.10, 0.10), (0.15, 0.20, 0.30, 0.25, 0.10)


def written(names: str) -> str:
    """The text of files of this folder, in their order; spaces between the names."""
    paths = [HERE / name for name in names.split()]
    return "\n".join(path.read_text(encoding="utf-8") for path in paths)


class Widget(anywidget.AnyWidget):
    """An interactive figure whose code and style are files of this folder."""

    script = ""                                  # names of the files of its code
    styles = "widgets.css"                       # and of its style

    def __init_subclass__(cls, **options) -> None:
        if "script" in vars(cls):                # traitlets derives again for each one
            cls._esm, cls._css = written(cls.script), written(cls.styles)
        super().__init_subclass__(**options)

    def __repr__(self) -> str:
        """What is shown where the figure cannot be drawn; no address in it."""
        about = inspect.getdoc(type(self)).partition("\n")[0]
        return f"{type(self).__name__}: an interactive figure. {about}"


class RankByHand(Widget):
    """Choose the better of two answers, or order them all; their strengths follow.

    `gold` is what each is worth to the world's judge, `history` one list for each act,
    of [winner, loser, share]: a tie is half a win for each. With `sheets`, a list of
    [prompt, answers, gold], the reader turns from one to the next; `histories` keeps
    what was done on those that are not open.
    """

    script = "bradley_terry.js elements.js ranking.js"
    prompt = Unicode(PROMPT).tag(sync=True)
    answers = List(Unicode(), ANSWERS, minlen=2, maxlen=10).tag(sync=True)
    gold = List(Float(), []).tag(sync=True)
    prior = Float(0.5).tag(sync=True)
    history = List([]).tag(sync=True)
    sheets = List([]).tag(sync=True)
    sheet = Int(0).tag(sync=True)
    histories = List([]).tag(sync=True)

    def __init__(self, **options: Any) -> None:
        if options.get("sheets"):
            first = zip(("prompt", "answers", "gold"), options["sheets"][0])
            options = dict(first) | options
        super().__init__(**options)

    @property
    def wins(self) -> torch.Tensor:
        """wins_NN as `strengths` takes them: what was chosen so far."""
        count = len(self.answers)
        wins_NN = torch.zeros(count, count, dtype=torch.float64)
        for act in self.history:
            for winner, loser, share in act:
                wins_NN[winner, loser] += share
        return wins_NN

    def rankings(self, labeler: str = "you") -> list[Ranking]:
        """Of every sheet the answers that were compared, ranked by strength.

        Answers of equal strength tie; a sheet on which all do is left out.
        """
        found = []
        for n, (prompt, answers, _) in enumerate(self.sheets):
            kept = self.histories[n] if n < len(self.histories) else []
            history = self.history if n == self.sheet else kept
            wins_NN = RankByHand(answers=answers, history=history).wins
            s_N = (strengths(wins_NN, self.prior) * 1e6).round()
            met = (wins_NN + wins_NN.T).any(dim=1).nonzero().flatten().tolist()
            ranks = [1 + sum(bool(s_N[j] > s_N[i]) for j in met) for i in met]
            if max(ranks, default=1) > 1:
                found.append(Ranking(prompt, [answers[i] for i in met], ranks, labeler))
        return found


class ScoreByToken(Widget):
    """Read a response word by word, and see what a reward model says after each.

    `examples` are lists of [prompt, words, scores]. `score(prompt, response)` gives
    words and scores; with a kernel, the reader asks for words of their own.
    """

    script = "elements.js prefixes.js"
    examples = List([]).tag(sync=True)
    chosen = Int(0).tag(sync=True)
    asked = List([]).tag(sync=True)

    def __init__(self, score: Callable, asked: list[tuple[str, str]]) -> None:
        examples = [[prompt, *score(prompt, response)] for prompt, response in asked]
        super().__init__(examples=examples)
        self.score = score

    @observe("asked")
    def _add(self, change: dict) -> None:
        prompt, response = change["new"]
        example = [prompt, *self.score(prompt, response)]
        self.examples = [*self.examples, example]
        self.chosen = len(self.examples) - 1


class TimeMachine(Widget):
    """Slide over the checkpoints of a run: its measures and its answers move together.

    `steps` are iterations; `measures` lists of [name, values, digits], the first two of
    which are drawn; `answers` lists of [prompt, texts, gold scores]. Every list has one
    entry for each step; `place` is the step that is shown.
    """

    script = "elements.js machine.js"
    steps = List(Int(), [0]).tag(sync=True)
    measures = List([]).tag(sync=True)
    answers = List([]).tag(sync=True)
    place = Int(0, min=0).tag(sync=True)

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        for name, *columns in [*self.measures, *self.answers]:
            counts = {len(each) for each in columns if isinstance(each, list)}
            if counts != {len(self.steps)}:
                raise ValueError(f"{name!r} has {sorted(counts)} entries for "
                                 f"{len(self.steps)} steps: give one for each")


class TwoDistributions(Widget):
    """Move a policy and a reference over five words; KL and its estimators follow.

    `policy` and `reference` are logits. `temperature` and `forbid` (never the last
    word) change what is drawn, not what is scored, as sampling options do.
    """

    script = "surprise.js elements.js tilt.js"
    words = List(["yes", "no", "maybe", "sorry", "end"]).tag(sync=True)
    policy = List([math.log(p) for p in POLICY]).tag(sync=True)
    reference = List([math.log(p) for p in REFERENCE]).tag(sync=True)
    samples = Int(256, min=1, max=4096).tag(sync=True)
    seed = Int(1).tag(sync=True)
    temperature = Float(1.0, min=0.3, max=2.0).tag(sync=True)
    forbid = Bool(False).tag(sync=True)


class StepPPO(Widget):
    """Go through a batch of PPO and its updates forward and back, token by token.

    Four responses of at most four tokens; `policy` and `reference` are tables of logits
    and `values` the value function, a row or value for each word said last. Both take
    plain gradient steps. `batch` and `stage` are what is shown, counted from 0.
    """

    script = "surprise.js ppo.js elements.js step.js"
    styles = "widgets.css step.css"
    policy = List([[math.log(p) for p in row] for row in TRAINED]).tag(sync=True)
    reference = List([[math.log(p) for p in row] for row in SAID]).tag(sync=True)
    values = List([0.4, 0.8, -0.5, 0.0, 0.7]).tag(sync=True)
    beta = Float(0.3, min=0.0, max=2.0).tag(sync=True)
    lam = Float(0.95, min=0.0, max=1.0).tag(sync=True)
    clip = Float(0.2, min=0.1, max=0.5).tag(sync=True)
    lr = Float(3.0, min=0.0, max=8.0).tag(sync=True)
    updates = Int(2, min=1, max=4).tag(sync=True)
    turned = Bool(False).tag(sync=True)
    seed = Int(2).tag(sync=True)
    batch = Int(0, min=0).tag(sync=True)
    stage = Int(0, min=0).tag(sync=True)
