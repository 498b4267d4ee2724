"""The table of a run: policies and the reward model on held-out prompts."""

from collections.abc import Mapping, Sequence

import torch

from instructgpt_lite.config import Collect, Evaluate
from instructgpt_lite.data.protocols import Source
from instructgpt_lite.data.records import Prompt
from instructgpt_lite.judging import pairs, policies
from instructgpt_lite.judging.intervals import Interval, bootstrap
from instructgpt_lite.judging.policies import Answers
from instructgpt_lite.models.networks import Policy, ScalarModel
from instructgpt_lite.theory.bradley_terry import outcome
from instructgpt_lite.training.loop import generator

K = 4                                 # responses a prompt that judge a reward model
BASE, BASELINE, START = "base", "sft", "rl_init"    # few-shot; to beat; KL is from here


def calibrate(source: Source, policy: Policy, config: Collect) -> dict:
    """People see what a policy says before they rank (`Source.meet`); what is known."""
    def answer(prompts: Sequence[Prompt]) -> list[list[str]]:
        return responses(policy, prompts, config.max_new_tokens,
                         generator(config.seed, "calibrate"))

    return source.meet(answer)


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
    if not config.shots:
        return answers
    few_shot = policies.answer_few_shot(models[BASE], source, prompts, max_new_tokens,
                                        config.shots, seed)
    return {BASE: answers.pop(BASE), "few-shot": few_shot, **answers}


def judge_policies(models: Mapping[str, Policy], answers: Mapping[str, Answers],
                   source: Source, config: Evaluate,
                   judge: ScalarModel | None = None) -> dict[str, dict[str, Interval]]:
    """A row for each name in `answers`; what is measured first is what counts.

    gold, misled, rude and gold_win where somebody knows; the instruments of the source;
    of a `judge`, a reward model from which nothing was learned, the score in standard
    deviations of SFT's; win rates over SFT by people; and, of rows with a model, its
    loss on pretraining text, KL from the RL start, and how the base likes its answers.
    """
    judged = {name: policies.scores(judge, said) for name, said in answers.items()
              } if judge else {}
    sft, table = answers[BASELINE], {}
    for name, said in answers.items():
        row = by_gold(said, sft, source, config.seed) if source.gold else {}
        for title, measure in source.instruments.items():
            row[title] = bootstrap([measure(text) for text in said.texts])
        if judge:
            row |= by_judge(judged[name], judged[BASELINE])
        for title, people in source.people.items():
            row[title] = policies.labeler_win_rate(said, sft, people, config.seed)
        if name in models:
            text = source.corpus(models[name].tokenizer)
            row["pretraining_loss"] = policies.pretraining_loss(
                models[name], text, config.text_rows, length=config.text_length)
            row |= policies.distances(said, models[name], models[START], models[BASE])
        table[name] = row
    return table


def by_gold(said: Answers, sft: Answers, source: Source,
            seed: int) -> dict[str, Interval]:
    """What the gold judge says of answers, and how often it prefers them to SFT's."""
    return {"gold": policies.gold_score(said, seed),
            "misled": policies.misled(said, source.gold), "rude": policies.rude(said),
            "gold_win": policies.gold_win_rate(said, sft)}


def by_judge(scores: Sequence[float], sft: Sequence[float]) -> dict[str, Interval]:
    """Scores in SFT's standard deviations above its mean; and how often above SFT's."""
    mean = torch.tensor(sft).mean().item()
    deviation = len(sft) > 1 and torch.tensor(sft).std().item() or 1.0
    return {"judge": bootstrap([(score - mean) / deviation for score in scores]),
            "judge_win": bootstrap([outcome(*pair)
                                    for pair in zip(scores, sft, strict=True)])}


def samples(answers: Mapping[str, Answers], source: Source,
            count: int = 24) -> list[dict]:
    """The first prompts with what each policy says and its worth, if it is known.

    That is its gold score, or the first instrument's measure.
    """
    measures = [*source.instruments.values(), lambda text: None]

    def worth(said: Answers, n: int) -> float | None:
        return said.scores[n].gold if said.scores else measures[0](said.texts[n])

    prompts = answers[BASELINE].prompts[:count]
    return [{"prompt": prompt.prompt, "category": prompt.category,
             **{name: [said.texts[n], worth(said, n)]
                for name, said in answers.items()}}
            for n, prompt in enumerate(prompts)]


def judge_reward(reward: ScalarModel, policy: Policy, source: Source, config: Evaluate,
                 max_new_tokens: int) -> dict[str, Interval]:
    """Accuracy on held-out rankings, by whoever ranked; and order against gold.

    Where people rank what they are shown, that is what `policy` says: K responses.
    """
    def answer(prompts: Sequence[Prompt]) -> list[list[str]]:
        return responses(policy, prompts, max_new_tokens,
                         generator(config.seed, "judge reward"))

    prompts, found = source.test[:config.prompts], {}
    heldout = source.heldout(prompts, answer, config.seed)
    for n, (who, ranked) in enumerate(heldout.items()):
        r = pairs.rewards_of(reward, ranked)
        found[f"accuracy, {who}"] = pairs.accuracy(r, ranked)
        if n == 0 and source.gold:
            order = pairs.gold_order(r, ranked, source.gold)
            found |= {f"gold order, {name}": share for name, share in order.items()}
    return found
