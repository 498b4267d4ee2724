"""Who is judged on which prompts by whom, and how often labelers agree."""

from random import Random
from types import SimpleNamespace

import pytest
import torch

from instructgpt_lite.config import Evaluate
from instructgpt_lite.data.records import Prompt, Ranking
from instructgpt_lite.data.tokenizers import word_tokenizer
from instructgpt_lite.judging import policies
from instructgpt_lite.judging.policies import Answers
from instructgpt_lite.judging.table import (
    K,
    answers_of,
    by_judge,
    calibrate,
    judge_policies,
    judge_reward,
    samples,
)
from instructgpt_lite.world.labelers import agree
from instructgpt_lite.world.prompts import demonstrate
from instructgpt_lite.world.world import World, ranked_by

CONFIG = SimpleNamespace(seed=0, max_new_tokens=40)
WORTH = {"base": 0.0, "sft": 0.5, "ppo": 1.0, "best of 4": 0.5, "few": 0.2, "rl_init": 0.4}


class Writer:
    """Says what noisy demonstrators would say."""

    def __init__(self, world):
        self.world, self.asked = world, {prompt.prompt: prompt for prompt in world.valid}

    def sample(self, prompts, copies, max_new_tokens, generator):
        return [self.asked[prompt] for prompt in prompts for _ in range(copies)]

    def texts(self, rollout):
        rng = Random(0)
        return [demonstrate(prompt, self.world.facts, rng, noise=0.6).completion for prompt in rollout]


@pytest.fixture(scope="module")
def world():
    return World(0, prompts=8_000)


def judged(world):
    texts = iter(Writer(world).texts(Writer(world).sample([p.prompt for p in world.valid[:256]], K, 40, None)))
    return [[world.gold(prompt, text) for text in dict.fromkeys(next(texts) for _ in range(K))]
            for prompt in world.valid[:256]]


def test_both_populations_agree_among_themselves_as_often_as_the_papers_labelers(world):
    found = calibrate(world, Writer(world), CONFIG)
    for people in (world.labelers, world.heldout_labelers):
        assert agree(people, people, judged(world)) == pytest.approx(0.726, abs=1e-6)
        assert found["noise"][people.population] == people.noise
    assert found["agreement"] == pytest.approx(0.726, abs=1e-6)
    assert 0.5 < found["agreement with held-out"] < found["agreement"]
    assert found["agreement with held-out"] == agree(world.labelers, world.heldout_labelers, judged(world))


class Texts(list):
    """A rollout of texts, each of two tokens."""

    @property
    def mask_BT(self):
        return torch.ones(len(self), 2, dtype=torch.bool)

    def __getitem__(self, rows):
        return Texts([list(self)[row] for row in rows])


class Named:
    """A policy that says its name and predicts token 2 as surely as its name is worth."""

    context, device = 40, "cpu"

    def __init__(self, name):
        self.name, self.asked = name, []
        self.tokenizer = word_tokenizer(["\n", "Page", *WORTH, "test", "train"])

    def sample(self, prompts, copies=1, **settings):
        self.asked.append(prompts)
        return Texts(["few" if "eos" in settings else self.name] * (len(prompts) * copies))

    def texts(self, rollout):
        return list(rollout)

    def logp(self, rollout):
        return torch.full((len(rollout), 2), -WORTH[self.name])

    def logits(self, token_BT):
        return torch.tensor([0.0, 0.0, WORTH[self.name]]).expand(*token_BT.shape, 3)


class Crowd:
    """Likes the longer text, or the shorter: a ranking and a preference that tell who was asked."""

    def __init__(self, population, sign):
        self.population, self.sign, self.asked = population, sign, []

    def prefers(self, prompt, first, second, rng):
        return 0.5 + 0.5 * self.sign * ((len(first) > len(second)) - (len(first) < len(second)))

    def rank(self, prompt, responses, rng):
        self.asked.append((prompt, responses))
        order = sorted(dict.fromkeys(responses), key=lambda text: -self.sign * len(text))
        return Ranking(prompt.prompt, order, [*range(1, len(order) + 1)])


@pytest.fixture
def source():
    """Twelve held-out prompts and twelve others; pretraining text that says 2 alone."""
    def gold(prompt, text):
        return SimpleNamespace(gold=WORTH[text], harmless=float(text != "base"))

    gold.misled = lambda text: text == "ppo"
    text = SimpleNamespace(rows=lambda count, length, generator: torch.full((count, length), 2))
    own, heldout = Crowd("training", 1), Crowd("held-out", -1)

    def by_both(prompts, texts):
        return {f"{people.population} labelers": ranked_by(people, prompts, texts, Random(0))
                for people in (own, heldout)}

    train, test = [Prompt(f"train {n}") for n in range(12)], [Prompt(f"test {n}", "chat") for n in range(12)]
    return SimpleNamespace(
        train=train, valid=train, test=test, gold=gold,
        instruments={}, people={"labeler_win": heldout, "own_labeler_win": own},
        heldout=lambda prompts, answer, seed: by_both(prompts, answer(prompts)),
        few_shot=lambda prompt, shots, rng: "Page\n" * shots + prompt.prompt, corpus=lambda tokenizer: text)


def test_every_policy_answers_the_same_held_out_prompts_and_only_the_base_a_page(source):
    models = {name: Named(name) for name in ("sft", "base", "ppo")}
    answers = answers_of(models, source, Evaluate(prompts=10, shots=2), max_new_tokens=5)
    assert list(answers) == ["base", "few-shot", "sft", "ppo"]
    asked = [prompt.prompt for prompt in source.test[:10]]
    assert all(said.prompts == source.test[:10] for said in answers.values())
    assert all(model.asked[0] == asked for model in models.values())
    assert [len(model.asked) for model in models.values()] == [1, 2, 1]
    assert answers["few-shot"].texts == ["few"] * 10 and answers["ppo"].texts == ["ppo"] * 10


def test_every_row_is_of_its_own_policy_and_wins_are_over_sft(source):
    """A further row needs a name only; "sft" wins half of the time against itself."""
    models = {name: Named(name) for name in ("base", "sft", "rl_init", "ppo", "best of 4")}
    answers = answers_of(models, source, Evaluate(prompts=12), max_new_tokens=5)
    table = judge_policies(models, answers, source, Evaluate())
    mean = {name: {what: each.mean for what, each in row.items()} for name, row in table.items()}
    assert [mean[name]["gold"] for name in table] == pytest.approx([0, 0.2, 0.5, 0.4, 1, 0.5])
    assert [mean[name]["gold_win"] for name in table] == [0, 0, 0.5, 0, 1, 0.5]
    assert [mean[name]["rude"] for name in table] == [1, 0, 0, 0, 0, 0]
    assert [mean[name]["misled"] for name in table] == [0, 0, 0, 0, 1, 0]
    assert [mean[name]["own_labeler_win"] for name in table] == [1, 0.5, 0.5, 1, 0.5, 1]  # the longer name
    assert [mean[name]["labeler_win"] for name in table] == [0, 0.5, 0.5, 0, 0.5, 0]
    assert not {"pretraining_loss", "kl", "base_loss", "length"} & table["few-shot"].keys()
    assert [mean[name]["kl"] for name in models] == pytest.approx([2 * (0.4 - WORTH[name]) for name in models])
    assert {mean[name]["base_loss"] for name in models} == {0} and {mean[name]["length"] for name in models} == {2}
    for name in models:
        loss = -torch.tensor([0.0, 0.0, WORTH[name]]).log_softmax(0)[2].item()
        assert mean[name]["pretraining_loss"] == pytest.approx(loss, rel=1e-5)


def test_samples_are_the_first_prompts_with_what_everybody_said(source):
    answers = answers_of({name: Named(name) for name in ("base", "sft")}, source, Evaluate(prompts=12), 5)
    rows = samples(answers, source, count=3)
    assert [row["prompt"] for row in rows] == ["test 0", "test 1", "test 2"]
    assert rows[0] == {"prompt": "test 0", "category": "chat", "base": ["base", 0.0], "few-shot": ["few", 0.2],
                       "sft": ["sft", 0.5]}


class Lengths:
    """A reward model for which a word is worth its number in the vocabulary."""

    eos = 0

    def __init__(self):
        self.vocabulary, self.asked = {}, []

    def tokenizer(self, texts, add_special_tokens):
        return {"input_ids": [[self.vocabulary.setdefault(text, len(text))] for text in texts]}

    def encode(self, prompts):
        return self.tokenizer([prompt + "\n" for prompt in prompts], add_special_tokens=False)["input_ids"]

    def scores(self, prompts, responses):
        self.asked += prompts
        return torch.tensor([[float(row[0]) for row in group] for group in responses]), None


class Varied(Named):
    """Says names in turn: K different ones to a prompt."""

    def sample(self, prompts, copies=1, **settings):
        self.asked.append((prompts, copies))
        return [*WORTH][:copies] * len(prompts)


def test_a_reward_model_is_judged_on_held_out_prompts_by_each_population(source):
    """It likes long texts, as the training labelers do and the held-out ones do not. By gold of base 0, sft .5, ppo 1
    and "best of 4" .5 (4, 3, 3, 9 letters): sft-base wrong, ppo-base wrong, best-base right, ppo-sft equal, ppo-best
    wrong."""
    policy = Varied("sft")
    found = judge_reward(Lengths(), policy, source, Evaluate(prompts=10), max_new_tokens=5)
    assert policy.asked == [([prompt.prompt for prompt in source.test[:10]], K)]
    for people in source.people.values():
        assert [prompt for prompt, _ in people.asked] == source.test[:10]
        assert all(texts == [*WORTH][:K] for _, texts in people.asked)
    order = (0 + 0 + 1 + 0.5 + 0) / 5
    assert {name: each.mean for name, each in found.items()} == pytest.approx({
        "accuracy, training labelers": 5.5 / 6, "accuracy, held-out labelers": 0.5 / 6, "gold order, all": order,
        "gold order, ": order})


def test_without_gold_instruments_and_a_second_reward_model_judge(source):
    """Scores of Lengths are the numbers of letters: of SFT's answers 3 and 5, mean 4, deviation sqrt(2)."""
    source.gold, source.people, source.instruments = None, {}, {"capitals": lambda text: float(text.isupper())}
    answers = {"sft": Answers(source.test[:2], ["abc", "abcde"], []),
               "ppo": Answers(source.test[:2], ["ABCDEFG", "abc"], [])}
    judge = SimpleNamespace(seen=[])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(policies, "scores", lambda judge, said: [float(len(text)) for text in said.texts])
        table = judge_policies({}, answers, source, Evaluate(), judge)
    mean = {name: {what: each.mean for what, each in row.items()} for name, row in table.items()}
    assert mean == {"sft": {"capitals": 0, "judge": pytest.approx(0), "judge_win": 0.5},
                    "ppo": {"capitals": 0.5, "judge": pytest.approx(1 / 2**0.5), "judge_win": 0.5}}
    assert samples(answers, source, 1)[0]["ppo"] == ["ABCDEFG", 1.0]


@pytest.mark.parametrize("sft", [[0.5], [0.5, 0.5]])
def test_scores_of_sft_that_do_not_differ_are_no_unit(sft):
    assert by_judge([value + 2 for value in sft], sft) == {"judge": (2, 2, 2), "judge_win": (1, 1, 1)}
