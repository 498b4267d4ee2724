"""Every stage on another device: nothing of the CPU meets what lives there, and the numbers are the CPU's."""

import copy
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from instructgpt_lite.config import PPO, SFT, Collect, Pretrain, Reward
from instructgpt_lite.data.records import Prompt
from instructgpt_lite.judging import pairs, policies
from instructgpt_lite.models.networks import Policy, ScalarModel
from instructgpt_lite.training.best_of_n import best_of_n
from instructgpt_lite.training.ppo_ptx import ppo_ptx
from instructgpt_lite.training.pretrain import pretrain
from instructgpt_lite.training.resume import ResumeState
from instructgpt_lite.training.reward import center, collect, train_reward
from instructgpt_lite.training.sft import finetune
from tests.pretend import DEVICE, Pretend, pretending
from tests.training.conftest import (
    Corpus,
    Ranker,
    demonstrations,
    letters,
    new_policy,
    new_reward,
    rankings,
)
from tests.training.test_reward import PROMPTS as ASKED

SHOWN, RANKED, PROMPTS = demonstrations(10), rankings([4, 5, 2, 3, 6]), letters(24, 1)
SMALL = PPO(episodes=24, batch_size=12, minibatch_size=6, lr=1e-2, value_lr=1e-2, warmup=1, beta=0.3, gamma=0.0,
            ptx_ratio=0.5, ptx_length=6, max_new_tokens=5, clip_norm=0.5)


@pytest.fixture(autouse=True)
def device():
    with pretending():
        yield


def moved(module, place):
    """A copy there. What `to` parts, being handed tensors of another class, is tied again."""
    module = copy.deepcopy(module).to(place)
    module.model.tie_weights()
    return module


# Each gives its numbers and the networks that it has changed.

def pretraining(policy, reward):
    yield from pretrain(policy, Corpus(), Pretrain(tokens=48, batch_size=4, length=6, lr=1e-2, matrix_lr=1e-2))


def supervised_with_a_mix(policy, reward):
    yield from finetune(policy, SHOWN, SFT(epochs=1, batch_size=4, dropout=0.0, pretraining_mix=0.5, mix_length=7),
                        Corpus())


def reward_training_and_centring(policy, reward):
    yield from train_reward(reward, RANKED, Reward(batch_size=2, lr=1e-2))
    yield {"bias": center(reward, policy, SHOWN)}


def collecting(policy, reward):
    for ranking in collect(policy, ASKED, Ranker(), Collect(batch_size=12, max_new_tokens=5), 0):
        yield {"ranking": (ranking.prompt, ranking.completions, ranking.ranks)}


def ppo(policy, reward):
    yield from ppo_ptx(policy, policy.frozen(), reward, PROMPTS, SMALL)


def ppo_with_ptx(policy, reward):
    yield from ppo_ptx(policy, policy.frozen(), reward, PROMPTS, replace(SMALL, gamma=0.5), Corpus())


def sampling_and_scoring(policy, reward):
    rollout = policy.sample(PROMPTS, max_new_tokens=6, temperature=0.7, generator=torch.Generator().manual_seed(0))
    greedy = policy.sample(PROMPTS, max_new_tokens=4, top_k=1)
    with torch.no_grad():
        numbers = (policy.logp(rollout), rollout.logp_BT, reward(rollout), reward.values(rollout))
    yield {"texts": (policy.texts(rollout), policy.texts(greedy)), "ended": rollout.ended_B.tolist()}
    yield from ({"number": number} for tensor in numbers for number in tensor.flatten().tolist())


def best_of_three(policy, reward):
    for best in best_of_n(policy, reward, [Prompt(text) for text in PROMPTS], 3, 6, torch.Generator().manual_seed(0)):
        yield {"texts": (best.prompt, best.completion)}


def judging(policy, reward):
    said = policies.answer(policy, SimpleNamespace(gold=lambda *_: None), ASKED, 5)
    yield {"texts": said.texts}
    yield {"loss": policies.pretraining_loss(policy, Corpus(), rows=8).mean}
    r = pairs.rewards_of(reward, RANKED)
    yield from ({"reward": each} for row in r for each in row)
    yield {"accuracy": pairs.accuracy(r, RANKED).mean}


STAGES = [best_of_three, judging, pretraining, supervised_with_a_mix, reward_training_and_centring, collecting, ppo,
          ppo_with_ptx, sampling_and_scoring]


@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.__name__)
def test_every_stage_runs_there_with_the_numbers_of_the_cpu(stage):
    here = new_policy(), new_reward()
    there = [moved(module, DEVICE) for module in here]
    assert all(isinstance(p, Pretend) for module in there for p in module.parameters())
    expected, found = list(stage(*here)), list(stage(*there))
    assert len(found) == len(expected) > 0
    for one, other in zip(found, expected):
        assert one == pytest.approx(other, rel=1e-9, abs=1e-12) if "ranking" not in one and "texts" not in one \
            else one == other
    for mine, theirs in zip(there, here):
        for p, q in zip(mine.parameters(), theirs.parameters()):
            assert isinstance(p, Pretend)
            torch.testing.assert_close(p.detach().cpu(), q.detach(), rtol=1e-7, atol=1e-10)


def test_dropout_there_is_drawn_there_and_repeats_itself():
    """By a generator of the device: its numbers are not the CPU's, as a card's are not."""
    config = SFT(epochs=1, batch_size=4, dropout=0.3)
    losses = [[row["loss"] for row in finetune(moved(new_policy(), DEVICE), SHOWN, replace(config, dropout=rate))]
              for rate in (0.3, 0.3, 0.0)]
    assert losses[0] == losses[1] != losses[2] and len(losses[0]) == 3


@pytest.mark.parametrize("stage", ["sft", "ppo"])
def test_a_stage_stopped_there_goes_on_there_or_here(stage, tmp_path):
    """A checkpoint knows of no device."""
    def begin(place, resume=None):
        policy, reward = moved(new_policy(), place), moved(new_reward(), place)
        if stage == "sft":
            return policy, finetune(policy, SHOWN, SFT(epochs=1, batch_size=4, dropout=0.0, lr=1e-2), resume=resume)
        return policy, ppo_ptx(policy, policy.frozen(), reward, PROMPTS, SMALL, resume=resume)

    whole, rows = begin("cpu")
    expected, resume = list(rows), ResumeState()
    seen = [next(begin(DEVICE, resume)[1])]
    resume.save(tmp_path)
    for place in ("cpu", DEVICE):
        policy, rest = begin(place, ResumeState.newest(tmp_path))
        for one, other in zip(seen + list(rest), expected, strict=True):
            assert one == pytest.approx(other, rel=1e-9, abs=1e-12)
        for p, q in zip(policy.parameters(), whole.parameters()):
            torch.testing.assert_close(p.detach().cpu(), q.detach(), rtol=1e-7, atol=1e-10)


def test_what_is_saved_there_is_loaded_here(tmp_path):
    policy, reward = moved(new_policy().float(), DEVICE), moved(new_reward().float(), DEVICE)
    policy.save(tmp_path / "policy")
    reward.save(tmp_path / "reward")
    for kind, module, name in ((Policy, policy, "policy"), (ScalarModel, reward, "reward")):
        again = kind.load(tmp_path / name)
        rollout = policy.sample(PROMPTS, max_new_tokens=4, generator=torch.Generator().manual_seed(1))
        with torch.no_grad():
            found = (again.logp if kind is Policy else again)(rollout)
            expected = (module.logp if kind is Policy else module)(rollout)
        torch.testing.assert_close(found, expected.cpu(), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("mistake", [
    lambda x: x + torch.ones(3), lambda x: torch.cat([x, torch.ones(3)]), lambda x: torch.ones(3)[x.long()],
    lambda x: torch.where(torch.ones(3, dtype=torch.bool), x, 0), lambda x: torch.ones(3, 3) @ x,
    lambda x: torch.rand(3, device=x.device, generator=torch.Generator()),
    lambda x: torch.nn.functional.embedding(torch.zeros(3, dtype=torch.long), x[:, None]),
    lambda x: x.index_put((torch.arange(3),), torch.ones(3)), lambda x: torch.zeros(3).add_(x),
])
def test_the_device_refuses_what_a_card_refuses(mistake):
    x = torch.zeros(3).to(DEVICE)
    with pytest.raises(RuntimeError, match="same device|for generator"):
        mistake(x)


def test_the_device_allows_what_a_card_allows():
    x = torch.tensor([1.0, 2.0, 3.0], device=DEVICE)
    assert (x + torch.tensor(1.0))[torch.tensor([2, 0])].tolist() == [4.0, 2.0]
    x[torch.tensor([1])] = 5.0
    assert x.tolist() == [1.0, 5.0, 3.0] and torch.zeros_like(x).device == DEVICE
    assert torch.zeros(3).copy_(x).tolist() == x.tolist()
