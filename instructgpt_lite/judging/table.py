"""The table of a run: policies and the reward model on held-out prompts."""

from collections.abc import Mapping, Sequence
from random import Random

import torch

from instructgpt_lite.config import Collect, Evaluate
from instructgpt_lite.data.protocols import Source
from instructgpt_lite.data.records import Prompt
from instructgpt_lite.judging import pairs, policies
from instructgpt_lite.judging.intervals import Interval
from instructgpt_lite.judging.policies import Answers
from instructgpt_lite.models.networks import Policy, ScalarModel
from instructgpt_lite.training.loop import generator
from instructgpt_lite.world.labelers import agree
from instructgpt_lite.world.world import World

K = 4                                 # responses a prompt that judge a reward model
BASE, BASELINE = "base", "sft"        # who answers few-shot as well; whom to beat


def calibrate(world: World, policy: Policy, config: Collect) -> dict:
    """Set the noise of both populations of labelers by what `policy` says.

    Two labelers then agree on 72.6 % of the pairs in which neither sees a tie (§3.4).
    Returns the noise of each population, and how often two labelers agree: two of the
    first, and one of each.
    """
    prompts = world.valid[:256]
    texts = responses(policy, prompts, config.max_new_tokens,
                      generator(config.seed, "calibrate"))
    scores = [[world.gold(prompt, text) for text in dict.fromkeys(each)]
              for prompt, each in zip(prompts, texts)]
    ours, theirs = world.labelers, world.heldout_labelers
    noise = {people.population: people.calibrate(scores) for people in (ours, theirs)}
    return {"noise": noise, "agreement": agree(ours, ours, scores),
            "agreement with held-out": agree(ours, theirs, scores)}


def responses(policy: Policy, prompts: Sequence[Prompt], max_new_tokens: int,
              random: torch.Generator) -> list[list[str]]:
    """K texts to each prompt, sampled at temperature 1."""
    rollout = policy.sample([prompt.prompt for prompt in prompts], copies=K,
                            max_new_tokens=max_new_tokens, generator=random)
    texts = iter(policy.texts(rollout))
    return [[next(texts) for _ in range(K)] for _ in prompts]


def answers_of(models: Mapping[str, Policy], source: Source, config: Evaluate,
               max_new_tokens: int) -> dict[str, Answers]:
    """What each policy says to held-out prompts; "few-shot" is the base on a page."""
    prompts, seed = source.test[:config.prompts], config.seed
    answers = {name: policies.answer(model, source, prompts, max_new_tokens, seed)
               for name, model in models.items()}
    few_shot = policies.answer_few_shot(models[BASE], source, prompts, max_new_tokens,
                                        config.shots, seed)
    return {BASE: answers.pop(BASE), "few-shot": few_shot, **answers}


def judge_policies(models: Mapping[str, Policy], answers: Mapping[str, Answers],
                   source: Source, seed: int = 0) -> dict[str, dict[str, Interval]]:
    """A row for each name in `answers`: gold, harm, wins over "sft", pretraining loss.

    "labeler_win" is judged by people from whom nothing was learned, "own_labeler_win"
    by those who ranked for the reward model (§5.3). Rows with a model have a loss.
    """
    sft, win_rate, table = answers[BASELINE], policies.labeler_win_rate, {}
    for name, said in answers.items():
        table[name] = {
            "gold": policies.gold_score(said),
            "misled": policies.misled(said, source.gold),
            "rude": policies.rude(said),
            "gold_win": policies.gold_win_rate(said, sft),
            "labeler_win": win_rate(said, sft, source.heldout_labelers, seed),
            "own_labeler_win": win_rate(said, sft, source.labelers, seed),
        }
        if name in models:
            model, text = models[name], source.corpus(models[name].tokenizer)
            table[name]["pretraining_loss"] = policies.pretraining_loss(model, text)
    return table


def samples(answers: Mapping[str, Answers], count: int = 24) -> list[dict]:
    """The first prompts with what each policy says and its gold score."""
    prompts = answers[BASELINE].prompts[:count]
    return [{"prompt": prompt.prompt, "category": prompt.category,
             **{name: [said.texts[n], said.scores[n].gold]
                for name, said in answers.items()}}
            for n, prompt in enumerate(prompts)]


def judge_reward(reward: ScalarModel, policy: Policy, source: Source, config: Evaluate,
                 max_new_tokens: int) -> dict[str, Interval]:
    """Accuracy against both populations on held-out prompts, and order against gold.

    They rank what `policy` says: of each prompt K responses.
    """
    prompts = source.test[:config.prompts]
    texts = responses(policy, prompts, max_new_tokens,
                      generator(config.seed, "judge reward"))
    found = {}
    for people in (source.labelers, source.heldout_labelers):
        rng = Random(f"judge reward {config.seed}")
        ranked = [people.rank(*each, rng) for each in zip(prompts, texts)]
        ranked = [ranking for ranking in ranked if ranking]
        r = pairs.rewards_of(reward, ranked)
        found[f"accuracy, {people.population} labelers"] = pairs.accuracy(r, ranked)
        if people is source.labelers:
            order = pairs.gold_order(r, ranked, source.gold)
            found |= {f"gold order, {name}": share for name, share in order.items()}
    return found
