"""What makes a reward model good, one choice at a time, from the same answers and rankings: results/reward_sweeps.json.

    python tools/reward_sweeps.py 0 1 2

Every seed has its own RL start (preset tiny), answers, rankings and held-out rankings; every arm of a seed shares
them. An arm leaves its scores of the held-out answers in runs/reward_sweeps/, so that a second call goes on where the
first stopped and every comparison is paired by held-out prompt. `--toy` tries it all at a size that learns nothing.
"""

import json
import math
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from random import Random

import numpy as np
import torch
from scipy.special import entr
from trial import ROOT, write_results

from instructgpt_lite.config import Run
from instructgpt_lite.data.records import Prompt, Ranking
from instructgpt_lite.files import write_json
from instructgpt_lite.judging import baselines, table
from instructgpt_lite.judging.intervals import Interval, bootstrap
from instructgpt_lite.judging.pairs import rewards_of
from instructgpt_lite.models.networks import Policy, ScalarModel
from instructgpt_lite.presets import nano, tiny
from instructgpt_lite.run.stages import seeded, unseen_prompts
from instructgpt_lite.theory.bradley_terry import outcome
from instructgpt_lite.training.loop import generator
from instructgpt_lite.training.reward import center, train_reward
from instructgpt_lite.training.sft import finetune
from instructgpt_lite.world.labelers import GRAIN, Labelers, order_chances
from instructgpt_lite.world.world import World

BASES = ROOT / "instructgpt_lite" / "bases"
PREDICTIONS = "9e9fd3b"              # the commit of results/predictions.md
K = 9                                # answers to a training prompt
SIZES = {"prompts": 2_700, "held out": 1_000, "few": 300, "usual": 900, "K": 600, "updates": 75, "grouping": 300,
         "demonstrations": 3_500}
TOY = {"prompts": 60, "held out": 40, "few": 10, "usual": 30, "K": 16, "updates": 4, "grouping": 16,
       "demonstrations": 64}
FIRST, WORD = 0.25, 0.03             # extra utility of what is shown first, and of a word
GROUPED, SHUFFLED, SMALL = "grouped", "shuffled, as many updates", "shuffled, 8 pairs an update"


class Swayed(Labelers):
    """The same people with the same luck, who also like what is shown first, or what is long."""

    def __init__(self, people: Labelers, first: float = 0.0, word: float = 0.0) -> None:
        vars(self).update(vars(people))
        self.first, self.word = first, word

    def judge(self, prompt: Prompt, responses: Sequence[str], rng: Random) -> tuple[str, list[int]]:
        person = rng.choice(self.people)
        felt = [person.utility(self.gold(prompt, text)) + rng.gauss(0, self.noise) for text in responses]
        felt = [utility + self.first * (n == 0) + self.word * len(text.split())
                for n, (utility, text) in enumerate(zip(felt, responses))]
        felt = [round(utility / GRAIN) for utility in felt]
        return person.name, [1 + sum(other > mine for other in felt) for mine in felt]


@dataclass(frozen=True)
class Arm:
    """A reward model to be trained, and the name of the arm with which it is compared."""

    train: Callable[[], dict]
    than: str | None


class Seed:
    """What the arms of one seed share."""

    def __init__(self, seed: int, sizes: dict[str, int]) -> None:
        self.seed, self.sizes = seed, sizes
        rl_init = replace(tiny.rl_init, demonstrations=sizes["demonstrations"])
        self.config: Run = seeded(replace(tiny, seed=seed, rl_init=rl_init))
        self.world = World(self.config.world)
        self.start = self.rl_start("tiny", self.config)
        self.agreement = table.calibrate(self.world, self.start, self.config.collect)
        people = self.world.labelers
        prompts = unseen_prompts(self.config, self.world)[0][:sizes["prompts"]]
        self.asked = [*zip(prompts, self.answers(prompts))]
        self.rankings = {"as they are": self.ranked(people),
                         "position": self.ranked(Swayed(people, first=FIRST)),
                         "length": self.ranked(Swayed(people, word=WORD))}
        self.held_out, self.by_others = self.held_out_rankings()

    def rl_start(self, preset: str, config: Run) -> Policy:
        policy = Policy.load(BASES / preset)
        shown = self.world.demonstrations(config.rl_init.demonstrations, config.rl_init.seed)
        for _ in finetune(policy, shown, config.rl_init, self.world.corpus(policy.tokenizer)):
            pass
        return policy.frozen()

    @cached_property
    def small(self) -> Policy:
        """The RL start of preset nano, from the same demonstrations."""
        config = seeded(replace(nano, seed=self.seed))
        return self.rl_start("nano", replace(config, rl_init=replace(
            config.rl_init, demonstrations=self.sizes["demonstrations"])))

    def answers(self, prompts: Sequence[Prompt]) -> list[list[str]]:
        """K texts to each prompt."""
        texts, config = [], self.config.collect
        for n in range(0, len(prompts), 128):
            rollout = self.start.sample([each.prompt for each in prompts[n:n + 128]], copies=K,
                                        max_new_tokens=config.max_new_tokens,
                                        generator=generator(config.seed, "collect", n))
            texts += self.start.texts(rollout)
        return [texts[n:n + K] for n in range(0, len(texts), K)]

    def ranked(self, people: Labelers) -> list[Ranking]:
        """By each prompt's own random numbers; a ranking is missing where nothing differs."""
        ranked = [people.rank(*asked, Random(f"{self.seed} rank {n}")) for n, asked in enumerate(self.asked)]
        return [ranking for ranking in ranked if ranking]

    def held_out_rankings(self) -> tuple[dict[int, Ranking], dict[int, Ranking]]:
        """By training labelers and by others, of the same answers to prompts of other authors."""
        prompts = self.world.test[:self.sizes["held out"]]
        texts = table.responses(self.start, prompts, self.config.collect.max_new_tokens,
                                generator(self.config.evaluate.seed, "judge reward"))
        both = [[people.rank(*asked, Random(f"{self.seed} held out {n}"))
                 for people in (self.world.labelers, self.world.heldout_labelers)]
                for n, asked in enumerate(zip(prompts, texts))]
        kept = {n: pair for n, pair in enumerate(both) if all(pair)}
        return {n: one for n, (one, _) in kept.items()}, {n: other for n, (_, other) in kept.items()}

    def arms(self) -> dict[str, Arm]:
        """Every arm by name, cheap ones first. ValueError: one is compared with what is no arm."""
        sizes, rankings = self.sizes, self.rankings["as they are"]
        few, groups, usual = rankings[:sizes["usual"]], rankings[:sizes["grouping"]], f"{sizes['usual']} prompts"
        small_batches = f"{usual}, 2 an update"

        def random_weights() -> Policy:
            return Policy.new(tiny.architecture, self.start.tokenizer, self.seed)

        arms = {usual: self.arm(few, level=True)}
        for size in ("few", "prompts"):
            arms[f"{sizes[size]} prompts"] = self.arm(rankings[:sizes[size]], than=usual, level=True)
        arms["from the base"] = self.arm(few, than=usual, start=lambda: Policy.load(BASES / "tiny"), level=True)
        arms["from random weights"] = self.arm(few, than=usual, start=random_weights, level=True)
        arms["nano"] = self.arm(few, than=usual, start=lambda: self.small, level=True)
        for taste in ("position", "length"):
            arms[taste] = self.arm(self.rankings[taste][:sizes["usual"]], than=usual)
        arms |= self.arms_of_order(groups, 1)
        arms |= self.arms_of_K(rankings, "equal cost", 4 * sizes["updates"], ", more updates")
        arms |= self.arms_of_K(rankings, "equal comparisons", sizes["updates"])
        arms[small_batches] = self.arm(few, than=usual, batch_size=2)
        arms["from random weights, 2 an update"] = self.arm(few, than=small_batches, start=random_weights,
                                                            batch_size=2)
        arms |= self.arms_of_order(groups, 4)
        for name, arm in arms.items():
            if arm.than not in (None, *arms):
                raise ValueError(f"{name!r} is compared with {arm.than!r}, which is no arm; there are {[*arms]}")
        return arms

    def arms_of_order(self, groups: list[Ranking], epochs: int) -> dict[str, Arm]:
        """Whole rankings, two an update, against their pairs in any order: as many updates, and many more."""
        pairs = [Ranking(each.prompt, pair, (1, 2)) for each in groups for pair in each.comparisons()]
        many = math.ceil(len(pairs) / math.ceil(len(groups) / 2))
        whole = f"{GROUPED}, {epochs}"
        fewer = None if epochs == 1 else f"{GROUPED}, 1"
        return {whole: self.arm(groups, than=fewer, epochs=epochs, batch_size=2),
                f"{SHUFFLED}, {epochs}": self.arm(pairs, groups, than=whole, epochs=epochs, batch_size=many),
                f"{SMALL}, {epochs}": self.arm(pairs, groups, than=whole, epochs=epochs, batch_size=8)}

    def arms_of_K(self, usual: list[Ranking], what: str, updates: int, more: str = "") -> dict[str, Arm]:
        """The first k of the answers, at equal cost to the labelers or equal comparisons, in as many updates."""
        cost = sum(len(each.completions) for each in usual[:self.sizes["K"]])
        fewest, arms = sum(len(each.pairs) for each in usual[:self.sizes["updates"]]), {}
        for k in (2, 4, K):
            read = first(k, upto(usual, cost, [min(k, len(each.completions)) for each in usual]))
            short = first(k, usual)
            compared = upto(short, fewest, [len(each.pairs) for each in short])
            rankings = {"equal cost": read, "equal comparisons": compared}
            size = max(1, round(len(rankings[what]) / updates))
            than = None if k == K else f"K {K}, {what}{more}"
            arms[f"K {k}, {what}{more}"] = self.arm(rankings[what], than=than, batch_size=size)
        return arms

    def arm(self, rankings: list[Ranking], seen: Sequence[Ranking] = (), than: str | None = None,
            start: Callable[[], Policy] | None = None, level: bool = False, **changes) -> Arm:
        """A reward model from `rankings`; `seen` are the same in whole rankings, if `rankings` are pairs.

        level: also the mean score before and after, and that of demonstrations after.
        """
        def train() -> dict:
            config = replace(self.config.reward, **changes)
            policy = start() if start else self.start
            reward, held_out = ScalarModel.on(policy, config.seed), list(self.held_out.values())
            steps, losses, seconds = math.ceil(len(rankings) / config.batch_size), [], 0.0
            epochs, before = [], rewards_of(reward, held_out) if level else []
            stage, began = train_reward(reward, rankings, config), time.process_time()
            for row in stage:
                losses.append(row["loss"])
                if row["step"] % steps == 0:
                    seconds += time.process_time() - began
                    epochs.append({"scores": rounded(rewards_of(reward, held_out)),
                                   "seen": rounded(rewards_of(reward, (seen or rankings)[:200])),
                                   "loss": statistics.mean(losses), "seconds": seconds})
                    losses, began = [], time.process_time()
            where = {}
            if level:
                shown = self.world.demonstrations(self.config.rl_init.demonstrations)
                where["level"] = [statistics.mean(sum(scores, [])) for scores in (before, epochs[-1]["scores"])]
                where["level of demonstrations"] = -center(reward, policy, shown)
            return {"prompts": len(seen or rankings), "rankings": len(rankings), "updates": steps * config.epochs,
                    "responses": sum(len(each.completions) for each in rankings),
                    "pairs": sum(len(each.pairs) for each in rankings), "batch": config.batch_size,
                    **where, "epochs": epochs,
                    "ranks": [each.ranks for each in (seen or rankings)[:200]]}

        return Arm(train, than)


def first(k: int, rankings: Sequence[Ranking]) -> list[Ranking]:
    """The first k answers of each, ranked as they were; those that all tie are read, and teach nothing."""
    short = []
    for each in rankings:
        ranks = [1 + sum(other < rank for other in each.ranks[:k]) for rank in each.ranks[:k]]
        if max(ranks) > 1:
            short.append(replace(each, completions=each.completions[:k], ranks=ranks))
    return short


def upto(rankings: Sequence[Ranking], budget: int, costs: Sequence[int]) -> list[Ranking]:
    """As many of the first as the budget pays for."""
    spent, kept = 0, []
    for each, cost in zip(rankings, costs):
        spent += cost
        if spent > budget:
            break
        kept.append(each)
    return kept


def rounded(rewards: list[list[float]]) -> list[list[float]]:
    return [[round(r, 4) for r in r_K] for r_K in rewards]


# ---- what the scores are worth

Sums = dict[int, np.ndarray]         # of a held-out prompt: each measure summed over its pairs, and their count
MEASURES = ("accuracy", "log loss", "brier")


def pair_sums(rewards: Sequence[Sequence[float]], rankings: dict[int, Ranking]) -> Sums:
    """Accuracy, surprise and Brier score of every ranked pair, summed over each prompt."""
    sums = {}
    for (n, ranking), r in zip(rankings.items(), rewards, strict=True):
        margin_P = np.array([r[w] - r[l] for w, l in ranking.pairs])
        right_P, wrong_P = outcome(margin_P, 0), 1 / (1 + np.exp(margin_P))
        sums[n] = np.array([right_P.sum(), np.logaddexp(0, -margin_P).sum(), (wrong_P ** 2).sum(), len(margin_P)])
    return sums


def chances(people: Labelers, rankings: dict[int, Ranking]) -> dict[int, np.ndarray]:
    """Of every ranked pair (winner, loser): how probable it is that some labeler, seeing an order, sees this one."""
    found = {}
    for n, ranking in rankings.items():
        scores = [people.gold(ranking, text) for text in ranking.completions]
        gap_IP = np.array([[person.utility(scores[w]) - person.utility(scores[l]) for w, l in ranking.pairs]
                           for person in people.people])
        up_IP, down_IP = order_chances(gap_IP, people.noise)
        found[n] = up_IP.mean(0) / (up_IP.mean(0) + down_IP.mean(0))
    return found


def floor_sums(chance: dict[int, np.ndarray]) -> Sums:
    """The same measures of somebody who knows the labelers' chances, and as expected before they choose."""
    return {n: np.array([outcome(q_P, 0.5).sum(), -np.log(q_P).sum(), ((1 - q_P) ** 2).sum(), len(q_P)])
            for n, q_P in chance.items()}


def pooled(of_seeds: Sequence[Sums]) -> Sums:
    """Sums of a prompt over seeds."""
    total: Sums = defaultdict(lambda: np.zeros(4))
    for sums in of_seeds:
        for n, values in sums.items():
            total[n] = total[n] + values
    return total


def means(sums: Sums) -> dict[str, Interval]:
    """Of a pair, with an interval over prompts."""
    values = np.array(list(sums.values()))
    return {name: bootstrap(values[:, place] / values[:, -1], values[:, -1]) for place, name in enumerate(MEASURES)}


def less(one: Sequence[Sums], other: Sequence[Sums]) -> dict[str, Interval]:
    """Means of the first less those of the second, paired by prompt, in the mean over seeds."""
    both = zip(pooled(one).items(), pooled(other).values(), strict=True)
    return means({n: np.array([*(a - b)[:3], a[3]]) for (n, a), b in both})


def reliability(scores: Sequence[Sequence[float]], rankings: dict[int, Ranking],
                chance: dict[int, np.ndarray]) -> list[list[float]]:
    """By the probability that the model gives its own favourite (10 bins from 1/2 to 1): sums over pairs.

    Pairs, predicted, as the labeler chose, as labelers choose on average.
    """
    bins = np.zeros((10, 4))
    for (n, ranking), r in zip(rankings.items(), scores, strict=True):
        for (w, l), q in zip(ranking.pairs, chance[n]):
            p = 1 / (1 + math.exp(r[l] - r[w]))
            row = min(9, int(20 * (max(p, 1 - p) - 0.5)))
            bins[row] += [1, max(p, 1 - p), outcome(p, 0.5), q if p >= 0.5 else 1 - q]
    return bins.round(4).tolist()


def by_clarity(scores: Sequence[Sequence[float]], rankings: dict[int, Ranking],
               chance: dict[int, np.ndarray]) -> list[list[float]]:
    """By how sure labelers are of a pair, 5 bins from 1/2 to 1, sums over pairs.

    Pairs, max(q, 1 - q), right by the labeler, right by most labelers.
    """
    bins = np.zeros((5, 4))
    for (n, ranking), r in zip(rankings.items(), scores, strict=True):
        for (w, l), q in zip(ranking.pairs, chance[n]):
            right = outcome(r[w], r[l])
            row = min(4, int(10 * (max(q, 1 - q) - 0.5)))
            bins[row] += [1, max(q, 1 - q), right, right if q >= 0.5 else 1 - right]
    return bins.round(4).tolist()


def swayed(scores: Sequence[Sequence[float]], rankings: dict[int, Ranking]) -> dict[str, Sums]:
    """How often what was shown first, and what is longer, has the higher of two scores."""
    first_one, longer = {}, {}
    for (n, ranking), r in zip(rankings.items(), scores, strict=True):
        words = [len(text.split()) for text in ranking.completions]
        places = range(len(r))
        ahead = [outcome(r[0], r[k]) for k in places if k]
        long = [outcome(r[a], r[b]) for a in places for b in places if words[a] > words[b]]
        first_one[n] = np.array([sum(ahead), 0, 0, len(ahead)])
        if long:
            longer[n] = np.array([sum(long), 0, 0, len(long)])
    return {"first": first_one, "longer": longer}


def by_use_case(scores: Sequence[Sequence[float]], rankings: dict[int, Ranking]) -> dict[str, Sums]:
    """The sums of each use case."""
    cases: dict[str, Sums] = defaultdict(dict)
    for n, values in pair_sums(scores, rankings).items():
        cases[rankings[n].category][n] = values
    return cases


def gold_sums(scores: Sequence[Sequence[float]], rankings: dict[int, Ranking], gold) -> Sums:
    """Pairs of different gold scores in the order of their gold."""
    sums = {}
    for (n, ranking), r in zip(rankings.items(), scores, strict=True):
        g = [round(gold(ranking, text).gold, 9) for text in ranking.completions]
        right = [outcome(r[a], r[b]) for a in range(len(g)) for b in range(len(g)) if g[a] > g[b]]
        if right:
            sums[n] = np.array([sum(right), 0, 0, len(right)])
    return sums


def ends(intervals: dict[str, Interval]) -> dict[str, list[float]]:
    return {name: [round(x, 5) for x in each] for name, each in intervals.items()}


def judged(name: str, other: str | None, seeds: Sequence[Seed], arms: Sequence[dict[str, dict]]) -> dict:
    """An arm over the seeds that have it, and against another where there is one."""
    there = [(seed, found[name]) for seed, found in zip(seeds, arms) if name in found]
    last = [(seed, arm["epochs"][-1]["scores"]) for seed, arm in there]
    sums = [pair_sums(scores, seed.held_out) for seed, scores in last]
    counts = ("prompts", "rankings", "updates", "responses", "pairs", "batch", "level", "level of demonstrations")
    result = {"seeds": [seed.seed for seed, _ in there],
              **ends(means(pooled(sums))),
              "of seeds": {measure: [round(means(each)[measure].mean, 5) for each in sums] for measure in MEASURES},
              "held-out labelers": ends(means(pooled([pair_sums(scores, seed.by_others) for seed, scores in last]))),
              "gold order": ends(means(pooled([gold_sums(scores, seed.held_out, seed.world.gold)
                                               for seed, scores in last])))["accuracy"],
              "epochs": [epoch(place, there) for place in range(len(there[0][1]["epochs"]))],
              "deviation": [round(float(np.std(sum(scores, []))), 4) for _, scores in last],
              **{count: [arm[count] for _, arm in there] for count in counts if count in there[0][1]}}
    ways = [swayed(scores, seed.held_out) for seed, scores in last]
    result["prefers"] = {what: ends(means(pooled([each[what] for each in ways])))["accuracy"] for what in ways[0]}
    both = [(seed, found) for seed, found in zip(seeds, arms) if name in found and other in found]
    if both:
        result["less"] = {"than": other, **difference(name, other, both)}
    return result


def difference(name: str, other: str, both: Sequence[tuple[Seed, dict]]) -> dict:
    """Of measures on training labelers and of what is preferred, paired by prompt; and of each seed alone."""
    one, two = [[pair_sums(found[arm]["epochs"][-1]["scores"], seed.held_out) for seed, found in both]
                for arm in (name, other)]
    ways = [[swayed(found[arm]["epochs"][-1]["scores"], seed.held_out) for seed, found in both]
            for arm in (name, other)]
    return {**ends(less(one, two)),
            "of seeds": {measure: [round(less([a], [b])[measure].mean, 5) for a, b in zip(one, two)]
                         for measure in MEASURES},
            "prefers": {what: ends(less(*[[each[what] for each in way] for way in ways]))["accuracy"]
                        for what in ways[0][0]}}


def epoch(place: int, there: Sequence[tuple[Seed, dict]]) -> dict:
    """Measures after an epoch: held out, and on rankings that were learned from."""
    at = [(seed, arm, arm["epochs"][place]) for seed, arm in there]
    held_out = [pair_sums(found["scores"], seed.held_out) for seed, _, found in at]
    seen = []
    for _, arm, found in at:
        rankings = {n: Ranking("?", [str(k) for k in range(len(ranks))], ranks) for n, ranks in enumerate(arm["ranks"])}
        seen.append(means(pair_sums(found["seen"], rankings)))
    return {**ends(means(pooled(held_out))),
            "of seeds": {measure: [round(means(each)[measure].mean, 5) for each in held_out] for measure in MEASURES},
            "seen": {measure: [round(each[measure].mean, 5) for each in seen] for measure in MEASURES},
            "loss": [round(found["loss"], 5) for _, _, found in at],
            "seconds": [round(found["seconds"], 2) for _, _, found in at]}


def yardsticks(seeds: Sequence[Seed], usual: int) -> dict:
    """What a reward model is compared with: the labelers' own chances, rulers, other people."""
    found: dict[str, list[Sums]] = defaultdict(list)
    floors = {"training": [], "held-out": []}
    expected, prefers = [], defaultdict(list)
    for seed in seeds:
        held_out, people = seed.held_out, seed.world.labelers
        train, rankings = seed.rankings["as they are"][:usual], list(held_out.values())
        scores = {"length": baselines.by_length(train, rankings), "words": baselines.by_words(train, rankings),
                  "another labeler": baselines.by_another_labeler(people, rankings, seed.seed),
                  "gold": baselines.by_gold(seed.world.gold, rankings)}
        for name, r in scores.items():
            found[name].append(pair_sums(r, held_out))
        q = chances(people, held_out)
        floors["training"].append(floor_sums(q))
        floors["held-out"].append(floor_sums(chances(seed.world.heldout_labelers, seed.by_others)))
        expected.append({n: np.array([np.maximum(q_P, 1 - q_P).sum(), (entr(q_P) + entr(1 - q_P)).sum(),
                                      (q_P * (1 - q_P)).sum(), len(q_P)]) for n, q_P in q.items()})
        for taste, ranked in seed.rankings.items():
            kept = dict(enumerate(ranked[:usual]))
            ranks = [[-rank for rank in each.ranks] for each in kept.values()]
            for what, sums in swayed(ranks, kept).items():
                prefers[taste, what].append(sums)
    return {**{name: ends(means(pooled(sums))) for name, sums in found.items()},
            "floor": {name: ends(means(pooled(sums))) for name, sums in floors.items()},
            "expected floor": ends(means(pooled(expected))),
            "labelers prefer": {f"{taste}, {what}": ends(means(pooled(sums)))["accuracy"]
                                for (taste, what), sums in prefers.items()},
            "agreement": [seed.agreement for seed in seeds]}


def closer_look(name: str, seeds: Sequence[Seed], arms: Sequence[dict[str, dict]]) -> dict:
    """Reliability, accuracy by clarity and by use case of one arm, over seeds."""
    there = [(seed, found[name]["epochs"][-1]["scores"], chances(seed.world.labelers, seed.held_out))
             for seed, found in zip(seeds, arms) if name in found]
    cases: dict[str, list[Sums]] = defaultdict(list)
    for seed, scores, _ in there:
        for case, sums in by_use_case(scores, seed.held_out).items():
            cases[case].append(sums)
    at = [(scores, seed.held_out, q) for seed, scores, q in there]
    return {"reliability": np.sum([reliability(*each) for each in at], axis=0).tolist(),
            "by clarity": np.sum([by_clarity(*each) for each in at], axis=0).tolist(),
            "use cases": {case: ends(means(pooled(sums))) for case, sums in sorted(cases.items())}}


class Sweep:
    """All seeds, their arms so far, and the file of results."""

    def __init__(self, numbers: list[int], toy: bool) -> None:
        self.sizes, self.numbers, self.toy = TOY if toy else SIZES, numbers, toy
        self.folder = ROOT / "runs" / ("reward_sweeps_toy" if toy else "reward_sweeps")
        self.seeds = [Seed(number, self.sizes) for number in numbers]
        self.plans = [seed.arms() for seed in self.seeds]
        self.arms: list[dict[str, dict]] = [{} for _ in numbers]
        self.yardsticks = yardsticks(self.seeds, self.sizes["usual"])

    def run(self) -> None:
        """Every arm of every seed, those of one name after each other; results are written after what is new."""
        for name in self.plans[0]:
            new = False
            for number, plan, found in zip(self.numbers, self.plans, self.arms):
                path = self.folder / f"{number} {name}.json"
                if not path.exists():
                    path.parent.mkdir(parents=True, exist_ok=True)
                    write_json(path, plan[name].train())
                    new = True
                found[name] = json.loads(path.read_text())
                print(number, name, f"{time.process_time():.0f} s", flush=True)
            if new:
                self.write()
        if not new:
            self.write()

    def write(self) -> None:
        """What is known so far."""
        usual, plan = f"{self.sizes['usual']} prompts", self.plans[0]
        write_results(self.folder / "reward_sweeps.json" if self.toy else ROOT / "results" / "reward_sweeps.json", {
            "command": f"python tools/reward_sweeps.py {' '.join(map(str, self.numbers))}",
            "predictions": PREDICTIONS, "sizes": self.sizes, "tastes": {"first": FIRST, "word": WORD},
            "intervals": "over held-out prompts, all seeds of a prompt together",
            "yardsticks": self.yardsticks, "closer look": closer_look(usual, self.seeds, self.arms),
            "arms": {name: judged(name, arm.than, self.seeds, self.arms)
                     for name, arm in plan.items() if name in self.arms[-1]}})


def main(arguments: list[str]) -> None:
    torch.set_num_threads(1)
    toy = "--toy" in arguments
    Sweep([int(each) for each in arguments if each != "--toy"] or [0, 1, 2], toy).run()


if __name__ == "__main__":
    main(sys.argv[1:])
