"""A micro GPT-2 in float64, data made of letters, and what the tests watch stages by.

The oracles read one row at a time, without padding, by the forward of transformers: no cache, no mask,
no flat rows, nothing of ours.
"""

import hashlib

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file

from instructgpt_lite.config import Architecture
from instructgpt_lite.data.records import Demonstration, Ranking
from instructgpt_lite.data.tokenizers import word_tokenizer
from instructgpt_lite.models.networks import Policy, ScalarModel
from instructgpt_lite.training.resume import ResumeState

EOS, PAD, LINE_END = 0, 1, 3
LETTERS = "abcdefgh"
REL = {"rtol": 1e-9, "atol": 1e-12}


def new_policy(seed: int = 0) -> Policy:
    """Weights large enough that no symmetry hides a slip."""
    architecture = Architecture(layers=2, width=16, heads=2, context=32)
    return stirred(Policy.new(architecture, word_tokenizer(["\n", *LETTERS]), seed), seed)


def new_reward(seed: int = 5) -> ScalarModel:
    """A reward model of other weights than any policy's."""
    reward = ScalarModel.on(new_policy(seed), seed).double()
    reward.bias += 0.25
    return reward


def stirred(module, seed: int):
    """In float64, every weight redrawn from N(0, 0.3), around 1 where a norm scales."""
    random = torch.Generator().manual_seed(seed)
    module.double()
    with torch.no_grad():
        for name, weight in module.named_parameters():
            around = 1.0 if "ln_" in name and name.endswith("weight") else 0.0
            weight.copy_(around + 0.3 * torch.randn(weight.shape, generator=random, dtype=torch.float64))
    return module


def with_dropout(module):
    """The module with a dropout of one half in all of its transformers layers."""
    for part in module.modules():
        if isinstance(part, torch.nn.Dropout):
            part.p = 0.5
    return module


class Corpus:
    """Random rows; remembers what it was asked for and gave."""

    def __init__(self) -> None:
        self.given: list[torch.Tensor] = []

    def rows(self, count: int, length: int, generator: torch.Generator) -> torch.Tensor:
        self.given.append(torch.randint(2, len(LETTERS) + 4, (count, length), generator=generator))
        return self.given[-1]


class Ranker:
    """Ranks by the alphabet; nothing to rank where all texts are one. Remembers what it was asked."""

    def __init__(self) -> None:
        self.asked = []

    def rank(self, prompt, texts: list[str], rng) -> Ranking | None:
        self.asked.append((prompt.prompt, texts, rng.random()))
        texts = list(dict.fromkeys(texts))
        ranks = tuple(1 + sum(other < text for other in texts) for text in texts)
        return Ranking(prompt.prompt, tuple(texts), ranks) if len(texts) > 1 else None


def letters(count: int, seed: int) -> list[str]:
    """Texts of 1 to 5 letters."""
    random = torch.Generator().manual_seed(seed)
    length = torch.randint(1, 6, (count,), generator=random).tolist()
    return [" ".join(LETTERS[n] for n in torch.randint(8, (each,), generator=random)) for each in length]


def demonstrations(count: int) -> list[Demonstration]:
    return [Demonstration(prompt, text) for prompt, text in zip(letters(count, 1), letters(count, 2))]


def rankings(sizes: list[int]) -> list[Ranking]:
    """One ranking for each K in `sizes`; every third ties its first two."""
    random, texts = torch.Generator().manual_seed(3), iter(dict.fromkeys(letters(2_000, 4)))
    made = []
    for n, (prompt, K) in enumerate(zip(letters(len(sizes), 5), sizes)):
        likes = torch.randperm(K, generator=random).tolist()
        if n % 3 == 0:
            likes[0] = likes[1]
        ranks = [1 + sum(other > like for other in likes) for like in likes]
        made.append(Ranking(prompt, tuple(next(texts) for _ in range(K)), tuple(ranks)))
    return made


def ids(text: str) -> list[int]:
    """Token ids by hand: EOS, PAD, UNKNOWN, line end, then the letters."""
    return [4 + LETTERS.index(letter) for letter in text.split()]


# Oracles

def row_logp(policy: Policy, prompt: list[int], response: list[int],
             temperature: float = 1.0) -> torch.Tensor:
    """log pi of each response token (T), by transformers, one row."""
    logits = policy.model(torch.tensor([[*prompt, *response]])).logits[0] / temperature
    logp = logits.log_softmax(-1)[len(prompt) - 1:-1]
    return torch.stack([row[token] for row, token in zip(logp, response)])


def row_score(reward: ScalarModel, row: list[int]) -> torch.Tensor:
    """The scalar at the row's last token, by transformers' trunk (its head skips a PAD that was drawn)."""
    state = reward.model.transformer(torch.tensor([row])).last_hidden_state[0, -1]
    return reward.model.score(state)[0] + reward.bias


def row_values(value: ScalarModel, prompt: list[int], response: list[int]) -> torch.Tensor:
    """The scalar at the token before each response token (T), by transformers' trunk."""
    state = value.model.transformer(torch.tensor([[*prompt, *response]])).last_hidden_state[0]
    return value.model.score(state)[len(prompt) - 1:-1, 0] + value.bias


def ptx(policy: Policy, rows: torch.Tensor) -> torch.Tensor:
    """Mean of -log p over all tokens after the first of each row."""
    logp = torch.cat([row_logp(policy, row[:1].tolist(), row[1:].tolist()) for row in rows])
    return -logp.mean()


def halves(rollout) -> list[tuple[list[int], list[int]]]:
    """Prompt and response of each row."""
    ends = rollout.prompt_B + rollout.mask_BT.sum(dim=1)
    return [(row[:start].tolist(), row[start:end].tolist())
            for row, start, end in zip(rollout.token_BS, rollout.prompt_B, ends)]


def ragged(rows: list, like: torch.Tensor) -> torch.Tensor:
    """Rows of different lengths, zeros after them, in the shape of `like`."""
    return torch.stack([F.pad(row, (0, like.size(1) - len(row))) for row in rows])


# What tests watch

def weights(module) -> dict[str, torch.Tensor]:
    return {name: p.detach().clone() for name, p in module.named_parameters()}


def gradients(module) -> dict[str, torch.Tensor]:
    return {name: p.grad.clone() for name, p in module.named_parameters() if p.grad is not None}


def backward(loss: torch.Tensor, module) -> dict[str, torch.Tensor]:
    """Gradients of a loss, leaving none behind."""
    module.zero_grad()
    loss.backward()
    found = gradients(module)
    module.zero_grad()
    return found


def same(found: dict, expected: dict, rtol: float = 1e-9, atol: float = 1e-12) -> None:
    torch.testing.assert_close(found, expected, rtol=rtol, atol=atol)


def digest(module) -> str:
    """A hash of all weights and buffers."""
    state = module.state_dict()
    return hashlib.sha256(b"".join(state[name].numpy().tobytes() for name in sorted(state))).hexdigest()


def reopened(resume: ResumeState, folder) -> ResumeState:
    """What a new process finds of it on the disk."""
    resume.save(folder)
    return ResumeState.newest(folder)


def tensors_of(resume: ResumeState, folder) -> dict[str, torch.Tensor]:
    """All that it saves, weights as name:weight, the state of optimizers as name.0:number.kind."""
    resume.save(folder)
    return load_file(folder / f"{resume.step}.safetensors")


def first_gradient(resume: ResumeState, folder) -> float:
    """The norm of the gradient after one step, when Adam's first moment is a tenth of what it was given."""
    moments = [tensor.flatten() for name, tensor in tensors_of(resume, folder).items() if name.endswith("exp_avg")]
    return 10 * torch.cat(moments).norm().item()


class Updates:
    """Stands in for a stage's `update`: the real one, with gradients, rates and weights written down."""

    def __init__(self, monkeypatch, stage) -> None:
        place = getattr(stage, "loop", stage)
        self.real, self.seen = place.update, []
        monkeypatch.setattr(place, "update", self)

    def __call__(self, stage, step, networks, clip_norm=0.0, **losses):
        entries = [{"module": module, "step": step, "before": weights(module), "gradient": gradients(module),
                    "lr": [group["lr"] for each in optimizers for group in each.param_groups]}
                   for module, optimizers in networks.items()]
        self.real(stage, step, networks, clip_norm, **losses)
        self.seen += [entry | {"after": weights(entry["module"])} for entry in entries]

    def of(self, module) -> list[dict]:
        return [entry for entry in self.seen if entry["module"] is module]


@pytest.fixture
def policy() -> Policy:
    return new_policy()


@pytest.fixture
def reward() -> ScalarModel:
    return new_reward()


@pytest.fixture
def corpus() -> Corpus:
    return Corpus()
