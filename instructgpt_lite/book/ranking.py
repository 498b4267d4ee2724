"""Rank five answers by hand: an interactive figure with live Bradley-Terry strengths."""

import torch
import traitlets

from instructgpt_lite.book.widgets import Widget

PROMPT = "What does Ada like to eat?"
ANSWERS = ["Ada likes salad.", "Ada likes salad. I hope that helps.", "They say that Ada likes soup.", "I am not sure.",
           "That is a silly question."]


class Ranking(Widget):
    """Choose the better of two answers, or order them all; each choice moves their strengths."""

    script = "bradley_terry.js elements.js ranking.js"
    prompt = traitlets.Unicode(PROMPT).tag(sync=True)
    answers = traitlets.List(traitlets.Unicode(), ANSWERS, minlen=2, maxlen=10).tag(sync=True)
    gold = traitlets.List(traitlets.Float(), []).tag(sync=True)       # what each is worth to the world's judge
    prior = traitlets.Float(0.5).tag(sync=True)
    history = traitlets.List([]).tag(sync=True)                       # each act a list of [winner, loser, share]

    @property
    def wins(self) -> torch.Tensor:
        """wins_NN as `strengths` takes them: what was chosen so far, a tie as half a win for each."""
        wins_NN = torch.zeros(len(self.answers), len(self.answers), dtype=torch.float64)
        for act in self.history:
            for winner, loser, share in act:
                wins_NN[winner, loser] += share
        return wins_NN
