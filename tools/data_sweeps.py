"""What labels of the tiny world teach, by who gave them and how they were drawn: results/data_sweeps.json, chapter 4.

    python tools/data_sweeps.py runs/nano-0 runs/nano-1 runs/nano-2

Reward models start from the RL start of each run and differ in their rankings alone. What is known of a run is kept in
runs/data_sweeps/, so that a second call goes on. `--toy` tries it all in a minute.
"""

import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cached_property
from random import Random

import numpy as np
import torch
from trial import ROOT, Trial, write_results

from instructgpt_lite.data import curation
from instructgpt_lite.data.records import Prompt, Ranking
from instructgpt_lite.files import write_json
from instructgpt_lite.judging.intervals import bootstrap
from instructgpt_lite.judging.pairs import rewards_of
from instructgpt_lite.models.networks import ScalarModel
from instructgpt_lite.theory.bradley_terry import outcome
from instructgpt_lite.training.loop import generator
from instructgpt_lite.training.reward import train_reward
from instructgpt_lite.world.labelers import Labelers, order_chances

PREDICTIONS = "5157d2f"              # the commit of results/predictions.md
K, FOLDS = 6, 3
SIZES = {"held out": 400, "pool": 1_200, "noise": 1_200, "labels": 1_200, "rounds": 4, "left out": 1_000, "people": 8}
TOY = {"held out": 20, "pool": 60, "noise": 40, "labels": 40, "rounds": 2, "left out": 40, "people": 2}
AGAIN = ("I asked before. ", "Once more, please. ", "Another time: ", "As I said: ")


class Seed:
    """One run: its RL start, its people, and answers to rank."""

    def __init__(self, folder: str, sizes: dict) -> None:
        self.trial, self.sizes = Trial(folder, sizes["held out"]), sizes
        self.people: Labelers = self.trial.world.labelers
        self.people.noise = self.trial.run.json("labelers.json")["noise"]["training"]
        self.rankings = self.trial.run.records("collect", Ranking)

    def answers(self, prompts: Sequence[Prompt], name: str) -> list[list[str]]:
        """K answers of the RL start to each prompt."""
        start, texts = self.trial.start, []
        for n in range(0, len(prompts), 128):
            rollout = start.sample([each.prompt for each in prompts[n:n + 128]], copies=K,
                                   max_new_tokens=self.trial.config.ppo.max_new_tokens,
                                   generator=generator(self.trial.config.seed, name, n))
            texts += start.texts(rollout)
        return [texts[K * n:K * n + K] for n in range(len(prompts))]

    def ranked(self, prompts: Sequence[Prompt], answers: list[list[str]], name: str) -> list[Ranking | None]:
        """The same luck for a prompt, whatever the noise; None where nothing differs."""
        return [self.people.rank(prompt, texts, Random(f"{name} {n}"))
                for n, (prompt, texts) in enumerate(zip(prompts, answers))]

    @cached_property
    def asked(self) -> tuple[list[Prompt], list[list[str]]]:
        """Held-out prompts and their answers."""
        prompts = self.trial.held_out
        return prompts, self.answers(prompts, "held out")

    @cached_property
    def held_out(self) -> list[Ranking]:
        return [each for each in self.ranked(*self.asked, "held out") if each]

    def reward_model(self, rankings: list[Ranking], seed: int = 0, batch: int = 8) -> ScalarModel:
        """seed: of another head and order of training."""
        config = replace(self.trial.config.reward, seed=self.trial.config.reward.seed + 1_000 * seed, batch_size=batch)
        reward = ScalarModel.on(self.trial.start, config.seed)
        for _ in train_reward(reward, rankings, config):
            pass
        return reward.frozen()

    # ---- D1: what a split lets through

    def leakage(self) -> dict:
        """Every prompt of a pool is held out once, by prompt and by author."""
        raw = self.trial.world.train[-self.sizes["pool"]:]
        return {"cleaned": self.split_both_ways(raw, "cleaned"),
                "customers who come back": self.split_both_ways(self.coming_back(raw), "coming back")}

    def coming_back(self, prompts: list[Prompt]) -> list[Prompt]:
        """Half of them ask again, with other words in front: no long common prefix sees it."""
        rng, half = Random("coming back"), prompts[:len(prompts) // 2]
        again = [replace(each, prompt=rng.choice(AGAIN) + each.prompt) for each in half]
        kept = curation.drop_long_common_prefix([*half, *again])
        assert len(kept) == 2 * len(half)
        return kept

    def split_both_ways(self, prompts: list[Prompt], name: str) -> dict:
        ranked = self.ranked(prompts, self.answers(prompts, name), name)
        kept = [(prompt, each) for prompt, each in zip(prompts, ranked) if each]
        rng = Random("folds")
        ways = {"by prompt": [rng.randrange(FOLDS) for _ in kept],
                "by author": [int(FOLDS * curation.uniform(0, prompt.author)) for prompt, _ in kept]}
        found = {}
        for way, fold in ways.items():
            shares, twins, same = [0.0] * len(kept), 0, 0
            for out in range(FOLDS):
                inside = [each for each, at in zip(kept, fold) if at != out]
                tasks = {task_of(prompt) for prompt, _ in inside}
                own = {(prompt.author, task_of(prompt)) for prompt, _ in inside}
                reward = self.reward_model([ranking for _, ranking in inside])
                places = [n for n, at in enumerate(fold) if at == out]
                rewards = rewards_of(reward, [kept[n][1] for n in places])
                for n, r in zip(places, rewards):
                    shares[n] = right(r, kept[n][1])
                    twins += (kept[n][0].author, task_of(kept[n][0])) in own
                    same += task_of(kept[n][0]) in tasks
            found[way] = {"accuracy": shares, "asked by the same author": twins / len(kept),
                          "asked by anyone": same / len(kept)}
        return found | {"pairs": [len(each.pairs) for _, each in kept]}

    # ---- D2: noise

    def noise(self) -> dict:
        """Reward models of rankings with less and more noise in them."""
        usual, found = self.people.noise, {}
        prompts = self.trial.world.train[-self.sizes["noise"]:]
        answers = self.answers(prompts, "noise")
        for times in (0.5, 1.0, 2.0):
            self.people.noise = times * usual
            rankings = [each for each in self.ranked(prompts, answers, "noise") if each]
            judged = self.ranked(*self.asked, "held out")
            reward = self.reward_model(rankings)
            rows = [self.against(r, each) for r, each in zip(rewards_of(reward, [e for e in judged if e]),
                                                             [e for e in judged if e])]
            found[f"noise times {times:g}"] = {what: [row[what] for row in rows] for what in rows[0]}
        self.people.noise = usual
        return found

    def against(self, r: Sequence[float], ranking: Ranking) -> dict:
        """Sums over the pairs of one ranking: right by the label and by gold; of who knows the labelers' chances."""
        scores = [self.trial.world.gold(ranking, text) for text in ranking.completions]
        gap_IP = np.array([[person.utility(scores[w]) - person.utility(scores[l]) for w, l in ranking.pairs]
                           for person in self.people.people])
        up_IP, down_IP = order_chances(gap_IP, self.people.noise)
        q_P = up_IP.mean(0) / (up_IP.mean(0) + down_IP.mean(0))
        gold = [round(each.gold, 9) for each in scores]
        clear = [(a, b) for a in range(len(gold)) for b in range(len(gold)) if gold[a] > gold[b]]
        return {"right": right(r, ranking) * len(ranking.pairs), "pairs": len(ranking.pairs),
                "ceiling": float(np.maximum(q_P, 1 - q_P).sum()),
                "gold right": sum(outcome(r[a], r[b]) for a, b in clear), "gold pairs": len(clear)}

    # ---- D3: which comparison next

    def next_comparison(self) -> dict:
        """As many labels for random pairs, for the most uncertain pairs, and for whole rankings."""
        count, found = self.sizes["labels"], {}
        prompts = self.trial.world.train[-2 * count:]
        answers = self.answers(prompts, "which next")
        label = {place: self.pair(*place, prompts, answers) for place in self.places(answers)}
        order = Random("pairs").sample([*label], len(label))
        one_each = [*{place[0]: place for place in order}.values()]
        found["random pairs"] = self.worth([label[place] for place in one_each if label[place]][:count])
        whole, spent, rankings = self.ranked(prompts, answers, "whole"), 0, []
        for each in whole:
            if each and spent < count:
                rankings.append(each)
                spent += len(each.pairs)
        updates = -(-count // 8)
        found["whole rankings"] = self.worth(rankings, batch=max(1, round(len(rankings) / updates)))
        found["most uncertain pairs"] = self.worth(self.uncertain(prompts, answers, label, one_each))
        return found

    def places(self, answers: list[list[str]]) -> list[tuple[int, int, int]]:
        return [(n, a, b) for n, texts in enumerate(answers) for a in range(K) for b in range(a)
                if texts[a] != texts[b]]

    def pair(self, n: int, a: int, b: int, prompts: Sequence[Prompt], answers: list[list[str]]) -> Ranking | None:
        return self.people.rank(prompts[n], [answers[n][a], answers[n][b]], Random(f"pair {n} {a} {b}"))

    def uncertain(self, prompts: Sequence[Prompt], answers: list[list[str]],
                  label: dict, one_each: list[tuple[int, int, int]]) -> list[Ranking]:
        """Random pairs first; then, round by round, of each new prompt the pair of the smallest margin, those first."""
        count, rounds = self.sizes["labels"], self.sizes["rounds"]
        each_round, used = count // rounds, set()
        chosen = [place for place in one_each if label[place]][:each_round]
        while True:
            used |= {n for n, *_ in chosen}
            have = [label[place] for place in chosen if label[place]]
            if len(have) >= count:
                return have[:count]
            reward = self.reward_model(have)
            left = [n for n in range(len(prompts)) if n not in used]
            asked = [Ranking(prompts[n].prompt, texts, [*range(1, len(texts) + 1)]) for n in left
                     if len(texts := [*dict.fromkeys(answers[n])]) > 1]
            rows = {n: dict(zip(each.completions, r)) for n, each, r in
                    zip([n for n in left if len(set(answers[n])) > 1], asked, rewards_of(reward, asked))}
            margin = {(n, a, b): abs(row[answers[n][a]] - row[answers[n][b]]) for n, row in rows.items()
                      for a in range(K) for b in range(a) if answers[n][a] != answers[n][b] and label[n, a, b]}
            best = {}
            for place in sorted(margin, key=margin.get):
                best.setdefault(place[0], place)
            chosen += [*best.values()][:min(each_round, count - len(have))]

    def worth(self, rankings: list[Ranking], batch: int = 8) -> dict:
        """A reward model of these, on held-out rankings; labels paid, answers read, the accuracy its labels allow."""
        reward = self.reward_model(rankings, batch=batch)
        sure = [self.against([0.0] * len(each.completions), each) for each in rankings]
        return {"accuracy": [right(r, each) for r, each in zip(rewards_of(reward, self.held_out), self.held_out)],
                "pairs": [len(each.pairs) for each in self.held_out],
                "labels": sum(len(each.pairs) for each in rankings),
                "answers read": sum(len(each.completions) for each in rankings),
                "ceiling of its labels": sum(row["ceiling"] for row in sure) / sum(row["pairs"] for row in sure)}

    # ---- D4: a labeler left out

    def left_out(self) -> dict:
        """Whose rankings are gone, those of others take their places, so that all else is equal."""
        count = self.sizes["left out"]
        usual, reserve = self.rankings[:count], self.rankings[count:]
        names = sorted({each.labeler for each in self.rankings})[:self.sizes["people"]]
        full = rewards_of(self.reward_model(usual), self.held_out)

        def flipped(reward: ScalarModel) -> list[float]:
            return [changed(a, b, each) for a, b, each in zip(full, rewards_of(reward, self.held_out), self.held_out)]

        found = {}
        for name in names:
            others = iter([each for each in reserve if each.labeler != name])
            found[f"without {name}"] = flipped(self.reward_model(
                [next(others) if each.labeler == name else each for each in usual]))
        for n in range(3):
            gone, others = set(Random(f"gone {n}").sample(range(count), round(count / 8))), iter(reserve[200 * n:])
            found[f"without a random eighth, {n}"] = flipped(self.reward_model(
                [next(others) if place in gone else each for place, each in enumerate(usual)]))
        for n in (1, 2):
            found[f"another order of training, {n}"] = flipped(self.reward_model(usual, seed=n))
        return {"flipped": found, "pairs": [len(each.pairs) for each in self.held_out],
                "example": self.example(usual, reserve, names[0])}

    def example(self, usual: list[Ranking], reserve: list[Ranking], name: str) -> list[dict]:
        """The first held-out prompts whose best answer changes without one labeler."""
        others = iter([each for each in reserve if each.labeler != name])
        less = self.reward_model([next(others) if each.labeler == name else each for each in usual])
        both = [rewards_of(model, self.held_out) for model in (self.reward_model(usual), less)]
        shown = [{"prompt": each.prompt, "with": each.completions[int(np.argmax(a))],
                  "without": each.completions[int(np.argmax(b))]}
                 for each, a, b in zip(self.held_out, *both) if np.argmax(a) != np.argmax(b)]
        return [{"labeler": name, "changed": len(shown) / len(self.held_out)}, *shown[:3]]


def task_of(prompt: Prompt) -> str:
    """What is asked, whatever stands in front of it."""
    return json.dumps([prompt.category, prompt.key], sort_keys=True)


def right(r: Sequence[float], ranking: Ranking) -> float:
    return sum(outcome(r[w], r[l]) for w, l in ranking.pairs) / len(ranking.pairs)


def changed(one: Sequence[float], other: Sequence[float], ranking: Ranking) -> float:
    """The share of ranked pairs that two models order in different ways."""
    return float(np.mean([(one[w] > one[l]) != (other[w] > other[l]) for w, l in ranking.pairs]))


def mean_of(by_seed: Sequence[tuple[Sequence[float], Sequence[float]]]) -> dict:
    """Of values and weights by prompt: all seeds' prompts together with their interval, and each seed's own."""
    values, weights = ([x for each in by_seed for x in each[place]] for place in (0, 1))
    return {"all": [round(x, 5) for x in bootstrap(values, weights)],
            "of seeds": [round(float(np.average(value, weights=weight)), 5) for value, weight in by_seed]}


def ratio(by_seed: Sequence[tuple[Sequence[float], Sequence[float]]]) -> dict:
    """As `mean_of`, from sums by prompt."""
    return mean_of([(np.divide(top, np.maximum(under, 1)), under) for top, under in by_seed])


def less(one: Sequence[dict], other: Sequence[dict], pairs: Sequence[list[int]]) -> dict:
    return mean_of([(np.subtract(a["accuracy"], b["accuracy"]), weight) for a, b, weight in zip(one, other, pairs)])


def told(found: list[dict]) -> dict:
    """All parts over the runs."""
    leak = {}
    for pool in found[0]["leakage"]:
        runs = [run["leakage"][pool] for run in found]
        pairs, ways = [run["pairs"] for run in runs], ("by prompt", "by author")
        leak[pool] = {way: {"accuracy": mean_of([(run[way]["accuracy"], run["pairs"]) for run in runs]),
                            **{what: [round(run[way][what], 4) for run in runs]
                               for what in ("asked by the same author", "asked by anyone")}} for way in ways}
        leak[pool]["by prompt less by author"] = less(*([run[way] for run in runs] for way in ways), pairs)
    noise = {name: {what: ratio([(run["noise"][name][top], run["noise"][name][under]) for run in found])
                    for what, top, under in (("accuracy", "right", "pairs"), ("ceiling", "ceiling", "pairs"),
                                             ("gold order", "gold right", "gold pairs"))}
             for name in found[0]["noise"]}
    which = {}
    for name in found[0]["which next"]:
        runs = [run["which next"][name] for run in found]
        which[name] = {"accuracy": mean_of([(run["accuracy"], run["pairs"]) for run in runs]),
                       "less random pairs": less(runs, [run["which next"]["random pairs"] for run in found],
                                                 [run["pairs"] for run in runs]),
                       **{what: [run[what] for run in runs]
                          for what in ("labels", "answers read", "ceiling of its labels")}}
    groups = {"without one labeler": "without training", "without a random eighth": "without a random",
              "another order of training": "another order"}
    flips = {}
    for name, begins in groups.items():
        some = [([each for arm, each in run["flipped"].items() if arm.startswith(begins)], run["pairs"])
                for run in (each["left out"] for each in found)]
        flips[name] = mean_of([(np.mean(arms, axis=0), pairs) for arms, pairs in some])
    each = {arm: mean_of([(run["left out"]["flipped"][arm], run["left out"]["pairs"]) for run in found])
            for arm in found[0]["left out"]["flipped"]}
    return {"leakage": leak, "noise": noise, "which next": which,
            "left out": {"groups": flips, "arms": each, "example": [run["left out"]["example"] for run in found]}}


def main(folders: list[str], toy: bool) -> None:
    torch.set_num_threads(1)
    sizes, home, found = TOY if toy else SIZES, ROOT / "runs" / ("data_sweeps_toy" if toy else "data_sweeps"), []
    home.mkdir(parents=True, exist_ok=True)
    for folder in folders:
        kept = home / f"{folder.rpartition('-')[2]}.json"
        known = json.loads(kept.read_text()) if kept.exists() else {}
        seed = Seed(folder, sizes)
        parts: dict[str, Callable[[], dict]] = {"leakage": seed.leakage, "noise": seed.noise,
                                                "which next": seed.next_comparison, "left out": seed.left_out}
        for name, part in parts.items():
            if name not in known:
                known[name] = part()
                write_json(kept, known)
                print(folder, name, round(time.process_time()), "s", flush=True)
        found.append(known)
    write_results((home if toy else ROOT / "results") / "data_sweeps.json", {
        "command": f"python tools/data_sweeps.py {' '.join(folders)}", "predictions": PREDICTIONS, "sizes": sizes,
        "intervals": "95 %, over held-out prompts, those of all runs together", **told(found)})


if __name__ == "__main__":
    main([each for each in sys.argv[1:] if each != "--toy"], "--toy" in sys.argv)
