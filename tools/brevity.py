"""Why answers shrink: a finished run of reviews, and PPO again with answers that may end.

    python tools/brevity.py runs/reviews-0 --episodes 640

Writes results/brevity.json:

    by length    held-out texts cut after n tokens and ended there: what both reward models and the lexicon say
    arms         PPO from a start that has learned to end, and from the run's own, which never ends; same reward model,
                 prompts, episodes and random numbers: score, lexicon, second reward model and length, before and after
"""

import argparse
import json
import subprocess
from dataclasses import replace
from pathlib import Path

import torch

from instructgpt_lite.config import Run
from instructgpt_lite.data.given import Given
from instructgpt_lite.data.ratings import read_ratings
from instructgpt_lite.data.records import Demonstration
from instructgpt_lite.data.reviews import beginning, long_enough, split
from instructgpt_lite.files import write_json
from instructgpt_lite.judging import policies
from instructgpt_lite.judging.intervals import bootstrap
from instructgpt_lite.judging.policies import Answers
from instructgpt_lite.models.networks import Policy, ScalarModel
from instructgpt_lite.presets import PRESETS
from instructgpt_lite.run.folder import RunFolder
from instructgpt_lite.run.sources import located, open_source
from instructgpt_lite.run.stages import seeded, unseen_prompts
from instructgpt_lite.training.ppo_ptx import ppo_ptx
from instructgpt_lite.training.sft import finetune

ROOT = Path(__file__).resolve().parent.parent
CUTS = (2, 4, 8, 12, 16)              # tokens of a text's own continuation that are kept


def asked(folder: RunFolder) -> Run:
    """The configuration of a run, as the object it was, with the seeds of its stages."""
    preset, parts = PRESETS[folder.config["preset"]], {}
    for name, value in folder.config.items():
        if isinstance(value, dict):
            value = {key: tuple(each) if isinstance(each, list) else each for key, each in value.items()}
            value = replace(getattr(preset, name), **value)
        parts[name] = value
    return seeded(replace(preset, **parts))


def measured(answers: Answers, source: Given, reward: ScalarModel, judge: ScalarModel) -> dict:
    """What the reward model, the second one and the lexicon give, and the length in tokens; means with intervals."""
    counts = answers.rollout.mask_BT.sum(dim=1).tolist() if answers.rollout else [0] * len(answers.texts)
    return {"score": bootstrap(policies.scores(reward, answers)),
            "judge": bootstrap(policies.scores(judge, answers)),
            "lexicon": bootstrap([source.instruments["lexicon"](text) for text in answers.texts]),
            "length": bootstrap(counts)}


def cut(shown: list[Demonstration], policy: Policy, tokens: int) -> Answers:
    """Texts that are longer than all CUTS, cut after so many tokens."""
    found = []
    for each in shown:
        ids = policy.tokenizer.encode(each.completion, add_special_tokens=False)
        if len(ids) > CUTS[-1]:
            found.append((each, policy.tokenizer.decode(ids[:tokens])))
    return Answers([each for each, _ in found], [text for _, text in found], [])


def arm(config: Run, policy: Policy, source: Given, reward: ScalarModel, judge: ScalarModel) -> dict:
    """PPO of a policy, measured before and after on held-out prompts."""
    prompts, test = [each.prompt for each in unseen_prompts(config, source)[1]], source.test[:config.evaluate.prompts]
    start, found = policy.frozen(), {}

    def look(name: str) -> None:
        said = policies.answer(policy, source, test, config.collect.max_new_tokens, config.evaluate.seed)
        found[name] = measured(said, source, reward, judge)
        found[name]["samples"] = [[each.prompt, text] for each, text in zip(test[:8], said.texts)]

    look("before")
    corpus = source.corpus(policy.tokenizer)
    found["rows"] = [{name: round(row[name], 4) for name in ("step", "score", "kl", "length", "ended")}
                     for row in ppo_ptx(policy, start, reward, prompts, config.ppo, corpus)]
    look("after")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--episodes", type=int, default=640)
    parser.add_argument("--prompts", type=int, default=300, help="held-out prompts and texts")
    flags = parser.parse_args()
    folder = RunFolder.read(flags.run)
    config = asked(folder)
    torch.set_num_threads(config.threads)
    config = replace(config, ppo=replace(config.ppo, episodes=flags.episodes),
                     evaluate=replace(config.evaluate, prompts=flags.prompts))
    source = open_source(replace(config, seed=folder.config["seed"]))
    reward, judge = (ScalarModel.load(folder.model(name)).frozen() for name in ("reward", "judge"))
    base = Policy.load(folder.model("base"))
    heldout = split(read_ratings(located(config.data.ratings)), config.data)[0]
    texts = [beginning(one, config.data) for one in heldout if long_enough(one, config.data)][:flags.prompts]
    by_length = {n: measured(cut(texts, base, n), source, reward, judge) for n in CUTS}
    base.speak(config.template, fixed_length=False)
    shown = source.demonstrations(config.rl_init.demonstrations, config.rl_init.seed)
    for _ in finetune(base, shown, config.rl_init, source.corpus(base.tokenizer)):
        pass
    ending = replace(config, ppo=replace(config.ppo, missing_eos=1.0))
    arms = {"may end": arm(ending, base, source, reward, judge),
            "never ends": arm(config, Policy.load(folder.model("rl_init")), source, reward, judge)}
    commit = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, cwd=ROOT).stdout.strip()
    write_json(ROOT / "results" / "brevity.json", {
        "command": f"python tools/brevity.py {flags.run} --episodes {flags.episodes} --prompts {flags.prompts}",
        "commit": commit, "config": folder.config, "by length": by_length, "arms": arms})
    print(json.dumps({name: {when: found[when]["lexicon"] for when in ("before", "after")}
                      for name, found in arms.items()}, indent=1))


if __name__ == "__main__":
    main()
