"""The table of a run: every policy and the reward model on held-out prompts, with intervals."""

import json
from pathlib import Path
from random import Random

from instructgpt_lite.files import write_json
from instructgpt_lite.judging import policies, rewards
from instructgpt_lite.models.networks import Policy, ScalarModel
from instructgpt_lite.training.optim import generator
from instructgpt_lite.world.labelers import agree

SHOWN = 24                            # prompts whose answers go to samples.json
K = 4                                 # responses ranked to each prompt that judges the reward model


def calibrated(world, policy: Policy, config) -> dict:
    """Set the noise of both populations so that two labelers agree on 72.6 % of pairs of what `policy` says (§3.4).

    Returns the noise of each population, and how often two labelers agree: of the first, and one of each.
    """
    prompts = world.valid[:256]
    rollout = policy.sample([prompt.prompt for prompt in prompts], copies=K, max_new_tokens=config.max_new_tokens,
                            generator=generator(config.seed, "calibrate"))
    texts = iter(policy.texts(rollout))
    judged = []
    for prompt in prompts:
        judged.append([world.gold(prompt, text) for text in dict.fromkeys(next(texts) for _ in range(K))])
    noise = {people.population: people.calibrate(judged) for people in (world.labelers, world.heldout_labelers)}
    ours, theirs = world.labelers.utilities(judged), world.heldout_labelers.utilities(judged)
    return {"noise": noise, "agreement": agree(ours, ours, noise["training"]),
            "agreement with held-out": agree(ours, theirs, noise["training"])}


def calibrate(path: Path, world, policy: Policy, config) -> dict:
    """`calibrated`, kept in a file: the labelers of a run stay the same people."""
    if not path.exists():
        write_json(path, calibrated(world, policy, config))
    found = json.loads(path.read_text())
    world.labelers.noise, world.heldout_labelers.noise = found["noise"]["training"], found["noise"]["held-out"]
    return found


def judge_policies(shop, memory) -> dict:
    """Gold score, win rates, harm and pretraining loss of every policy; and some of their answers."""
    world, config = shop.world, shop.config.evaluate
    prompts, room = world.test[:config.prompts], shop.config.collect.max_new_tokens
    found = {name: policies.answer(shop.policy(name), world, prompts, room, config.seed)
             for name in ("base", "sft", "rl_init", "ppo", "ppo_ptx")}
    few = policies.answer_few_shot(shop.base, world, prompts, room, config.shots, config.seed)
    found = {"base": found.pop("base"), "few-shot": few, **found}
    table = {}
    for name, answers in found.items():
        table[name] = {
            "gold": policies.gold_score(answers), "misled": policies.misled(answers, world),
            "rude": policies.rude(answers), "gold_win": policies.gold_win_rate(answers, found["sft"]),
            "labeler_win": policies.labeler_win_rate(answers, found["sft"], world.heldout_labelers, config.seed),
            "own_labeler_win": policies.labeler_win_rate(answers, found["sft"], world.labelers, config.seed)}
        if name != "few-shot":
            table[name]["pretraining_loss"] = policies.pretraining_loss(shop.policy(name), shop.corpus)
    samples = [{"prompt": prompt.prompt, "category": prompt.category,
                **{name: [answers.texts[n], answers.scores[n].gold] for name, answers in found.items()}}
               for n, prompt in enumerate(prompts[:SHOWN])]
    write_json(shop.folder / "samples.json", samples)
    return table


def judge_reward(shop) -> dict:
    """Accuracy against both populations on prompts never trained on, and order against gold by use case."""
    world, config = shop.world, shop.config.evaluate
    policy, reward = shop.policy("rl_init"), ScalarModel.load(shop.model("reward"))
    prompts = world.test[:config.prompts]
    rollout = policy.sample([prompt.prompt for prompt in prompts], copies=K,
                            max_new_tokens=shop.config.collect.max_new_tokens,
                            generator=generator(config.seed, "judge reward"))
    texts = iter(policy.texts(rollout))
    responses = [[next(texts) for _ in range(K)] for _ in prompts]
    found = {}
    for people in (world.labelers, world.heldout_labelers):
        rng = Random(f"judge reward {config.seed}")
        ranked = [people.rank(prompt, texts, rng) for prompt, texts in zip(prompts, responses)]
        ranked = [ranking for ranking in ranked if ranking]
        r = rewards.rewards_of(reward, ranked)
        found[f"accuracy, {people.population} labelers"] = rewards.accuracy(r, ranked)
        if people is world.labelers:
            found |= {f"gold order, {name}": interval for name, interval in
                      rewards.gold_order(r, ranked, world).items()}
    return found


def evaluate(shop, memory):
    """Write evaluation.json; yields one row of means for each part."""
    table = judge_policies(shop, memory)
    yield {"step": 1, "steps": 2, **{f"{name} {what}": value.mean
                                     for name, row in table.items() for what, value in row.items()}}
    reward = judge_reward(shop)
    yield {"step": 2, "steps": 2, **{name: value.mean for name, value in reward.items()}}
    people = json.loads((shop.folder / "labelers.json").read_text())
    write_json(shop.folder / "evaluation.json", {"policies": table, "reward": reward, "labelers": people})
