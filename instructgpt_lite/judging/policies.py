"""What policies say to held-out prompts, and what that is worth."""

from collections import defaultdict
from collections.abc import Sequence
from random import Random
from typing import NamedTuple

import torch

from instructgpt_lite.data.protocols import Corpus, Judge, Labelers, Score, Source
from instructgpt_lite.data.records import Demonstration, Prompt
from instructgpt_lite.judging.intervals import Interval, bootstrap
from instructgpt_lite.models.networks import Policy, ScalarModel
from instructgpt_lite.models.rollout import Rollout
from instructgpt_lite.theory.bradley_terry import outcome
from instructgpt_lite.theory.objective import ptx_loss
from instructgpt_lite.training.loop import generator
from instructgpt_lite.training.sft import demonstrated


class Answers(NamedTuple):
    """One response to each prompt; its exact score, where somebody knows; its tokens.

    rollout: as sampled; None of texts that no policy sampled as they stand.
    """

    prompts: list[Prompt]
    texts: list[str]
    scores: list[Score]
    rollout: Rollout | None = None


def answer(policy: Policy, source: Source, prompts: Sequence[Prompt],
           max_new_tokens: int, seed: int = 0) -> Answers:
    """A response drawn at temperature 1 to each prompt as it stands."""
    rollout = policy.sample([prompt.prompt for prompt in prompts],
                            max_new_tokens=max_new_tokens,
                            generator=generator(seed, "answer"))
    said = judged(source.gold, prompts, policy.texts(rollout))
    return said._replace(rollout=rollout)


def answer_few_shot(policy: Policy, source: Source, prompts: Sequence[Prompt],
                    max_new_tokens: int, shots: int, seed: int = 0) -> Answers:
    """A response to each prompt put last on a page of answered ones (App. D, F).

    It is cut at the line's end. Where `shots` examples leave no room for max_new_tokens
    the page has fewer. ValueError names a prompt that does not fit even alone.
    """
    rng, room = Random(f"shots {seed}"), policy.context - max_new_tokens
    line_end = policy.tokenizer.encode("\n", add_special_tokens=False)
    pages = [_page(policy, source, prompt, shots, room, rng) for prompt in prompts]
    rollout = policy.sample(pages, max_new_tokens=max_new_tokens,
                            generator=generator(seed, "few-shot"),
                            eos=line_end[-1] if line_end else ())
    texts = [text.split("\n")[0].strip() for text in policy.texts(rollout)]
    return judged(source.gold, prompts, texts)


def _page(policy: Policy, source: Source, prompt: Prompt, shots: int, room: int,
          rng: Random) -> list[int]:
    """The longest page of at most `shots` examples that has `room` tokens or fewer."""
    for count in range(shots, -1, -1):
        page = policy.tokenizer.encode(source.few_shot(prompt, count, rng))
        if len(page) <= room:
            return page
    raise ValueError(f"prompt {prompt.prompt!r} takes {len(page)} tokens without any "
                     f"example, and {room} of the context's {policy.context} are left: "
                     "lower max_new_tokens, or leave the prompt out")


def judged(gold: Judge | None, prompts: Sequence[Prompt], texts: list[str]) -> Answers:
    """Texts with their scores, where somebody knows."""
    scores = [gold(prompt, text) for prompt, text in zip(prompts, texts, strict=True)
              ] if gold else []
    return Answers(list(prompts), texts, scores)


def gold_score(answers: Answers, seed: int = 0) -> Interval:
    """Mean gold score."""
    return bootstrap([score.gold for score in answers.scores], seed=seed)


def rude(answers: Answers) -> Interval:
    """Share of responses with a rude remark."""
    return bootstrap([1 - score.harmless for score in answers.scores])


def misled(answers: Answers, gold: Judge) -> Interval:
    """Share of responses that state something false about the world."""
    return bootstrap([gold.misled(text) for text in answers.texts])


def gold_win_rate(answers: Answers, others: Answers) -> Interval:
    """How often gold prefers `answers`; a tie counts half. Paired by prompt."""
    return bootstrap([outcome(a.gold, b.gold)
                      for a, b in zip(answers.scores, others.scores, strict=True)])


def gold_gain(answers: Answers, others: Answers) -> Interval:
    """Mean gold score of `answers` less that of `others`, paired by prompt."""
    return bootstrap([a.gold - b.gold
                      for a, b in zip(answers.scores, others.scores, strict=True)])


def gains_by_use_case(answers: Answers, others: Answers) -> dict[str, Interval]:
    """`gold_gain` of each use case by itself, the largest first."""
    gaps, scores = defaultdict(list), zip(answers.scores, others.scores, strict=True)
    for prompt, (a, b) in zip(answers.prompts, scores, strict=True):
        gaps[prompt.category].append(a.gold - b.gold)
    gains = {case: bootstrap(each) for case, each in gaps.items()}
    return dict(sorted(gains.items(), key=lambda pair: -pair[1].mean))


def labeler_win_rate(answers: Answers, others: Answers, labelers: Labelers,
                     seed: int = 0) -> Interval:
    """How often a labeler, drawn for each prompt, prefers `answers`; a tie is half."""
    rng = Random(f"judge {seed}")
    compared = zip(answers.prompts, answers.texts, others.texts, strict=True)
    return bootstrap([labelers.prefers(*each, rng) for each in compared])


@torch.no_grad()
def scores(judge: ScalarModel, answers: Answers, rows: int = 64) -> list[float]:
    """What a reward model gives answers, each with its end."""
    asked = [Demonstration(prompt.prompt, text)
             for prompt, text in zip(answers.prompts, answers.texts)]
    rollout = demonstrated(judge, asked)
    return torch.cat([judge(rollout[each])
                      for each in torch.arange(len(rollout)).split(rows)]).tolist()


@torch.no_grad()
def distances(answers: Answers, policy: Policy, start: Policy, base: Policy,
              rows: int = 64) -> dict[str, Interval]:
    """KL from the RL start, nats a response; the base's loss on answers, nats a token.

    Both are estimates from the one response to each prompt (Monte Carlo).
    """
    kl, fluency, length = [], [], []
    for each in torch.arange(len(answers.rollout)).split(rows):
        rollout = answers.rollout[each]
        kl += (policy.logp(rollout) - start.logp(rollout)).sum(dim=1).tolist()
        count_B = rollout.mask_BT.sum(dim=1)
        fluency += (-base.logp(rollout).sum(dim=1) / count_B).tolist()
        length += count_B.tolist()
    return {"kl": bootstrap(kl), "base_loss": bootstrap(fluency, length),
            "length": bootstrap(length)}


@torch.no_grad()
def pretraining_loss(policy: Policy, corpus: Corpus, rows: int = 256, seed: int = 0,
                     length: int = 1024) -> Interval:
    """Nats a token of fresh pretraining text; the alignment tax is its rise (§4.2)."""
    length = min(length, policy.context)
    token_RT = corpus.rows(rows, length, generator(seed, "fresh text"))
    losses = []
    for token_BT in token_RT.to(policy.device).split(8):
        logits_BTV = policy.logits(token_BT)
        losses += [float(ptx_loss(logits_BTV[b:b + 1], token_BT[b:b + 1]))
                   for b in range(len(token_BT))]
    return bootstrap(losses)
