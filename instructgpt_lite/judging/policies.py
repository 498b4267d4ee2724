"""What policies say to held-out prompts, and what it is worth: gold score, win rates, harm, alignment tax."""

from collections import defaultdict
from random import Random
from typing import NamedTuple

import torch

from instructgpt_lite.data.records import Prompt
from instructgpt_lite.judging.intervals import Interval, bootstrap
from instructgpt_lite.models.networks import Policy
from instructgpt_lite.theory.objective import ptx_loss
from instructgpt_lite.training.optim import generator
from instructgpt_lite.world.gold import Score
from instructgpt_lite.world.world import World


class Answers(NamedTuple):
    """One response to each prompt, and its exact score."""

    prompts: list[Prompt]
    texts: list[str]
    scores: list[Score]


def answer(policy: Policy, world: World, prompts: list[Prompt], max_new_tokens: int, seed: int = 0) -> Answers:
    """A response drawn at temperature 1 to each prompt as it stands."""
    rollout = policy.sample([prompt.prompt for prompt in prompts], max_new_tokens=max_new_tokens,
                            generator=generator(seed, "answer"))
    return judged(world, prompts, policy.texts(rollout))


def answer_few_shot(policy: Policy, world: World, prompts: list[Prompt], max_new_tokens: int, shots: int,
                    seed: int = 0) -> Answers:
    """A response to each prompt put last on a page of answered ones, cut at the line's end (App. D, F)."""
    rng, room = Random(f"shots {seed}"), policy.context - max_new_tokens
    pages = []
    for prompt in prompts:
        tries = (policy.tokenizer.encode(world.few_shot(prompt, count, rng)) for count in range(shots, -1, -1))
        pages.append(next(page for page in tries if len(page) <= room))
    line_end = policy.tokenizer.encode("\n")[0]
    rollout = policy.sample(pages, max_new_tokens=max_new_tokens, generator=generator(seed, "few-shot"), eos=line_end)
    return judged(world, prompts, [text.split("\n")[0].strip() for text in policy.texts(rollout)])


def judged(world: World, prompts: list[Prompt], texts: list[str]) -> Answers:
    return Answers(prompts, texts, [world.gold(prompt, text) for prompt, text in zip(prompts, texts)])


def gold_score(answers: Answers, seed: int = 0) -> Interval:
    """Mean gold score."""
    return bootstrap([score.gold for score in answers.scores], seed=seed)


def rude(answers: Answers) -> Interval:
    """Share of responses with a rude remark."""
    return bootstrap([1 - score.harmless for score in answers.scores])


def misled(answers: Answers, world: World) -> Interval:
    """Share of responses that state something false about the world."""
    return bootstrap([world.gold.misled(text) for text in answers.texts])


def gold_win_rate(answers: Answers, others: Answers) -> Interval:
    """How often the gold score prefers `answers`; a tie counts half. Paired by prompt."""
    return bootstrap([0.5 + 0.5 * ((a.gold > b.gold) - (a.gold < b.gold))
                      for a, b in zip(answers.scores, others.scores, strict=True)])


def gold_gain(answers: Answers, others: Answers) -> Interval:
    """Mean gold score of `answers` less that of `others`, paired by prompt."""
    return bootstrap([a.gold - b.gold for a, b in zip(answers.scores, others.scores, strict=True)])


def gains_by_use_case(answers: Answers, others: Answers) -> dict[str, Interval]:
    """`gold_gain` of each use case by itself, the largest first."""
    gaps = defaultdict(list)
    for prompt, a, b in zip(answers.prompts, answers.scores, others.scores, strict=True):
        gaps[prompt.category].append(a.gold - b.gold)
    found = {case: bootstrap(each) for case, each in gaps.items()}
    return dict(sorted(found.items(), key=lambda pair: -pair[1].mean))


def labeler_win_rate(answers: Answers, others: Answers, labelers, seed: int = 0) -> Interval:
    """How often one labeler, drawn for each prompt, prefers `answers`; equal texts and ties count half."""
    rng = Random(f"judge {seed}")
    return bootstrap([labelers.prefers(*three, rng) for three in
                      zip(answers.prompts, answers.texts, others.texts, strict=True)])


@torch.no_grad()
def pretraining_loss(policy: Policy, corpus, rows: int = 256, seed: int = 0) -> Interval:
    """Nats per token of pretraining text never seen before; the alignment tax is its rise (§4.2)."""
    text = corpus.rows(rows, policy.context, generator(seed, "fresh text"))
    return bootstrap([float(ptx_loss(policy.logits(part), part)) for part in text.split(8)])
