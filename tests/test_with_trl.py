"""TRL takes what a run leaves as it is: the reward model as a reward function, rankings as preferences."""

import pytest
import torch
from safetensors.torch import load_file

from instructgpt_lite.config import Architecture
from instructgpt_lite.data.records import Ranking
from instructgpt_lite.data.tokenizers import word_tokenizer
from instructgpt_lite.models.networks import Policy, ScalarModel
from instructgpt_lite.models.rollout import Rollout

trl = pytest.importorskip("trl")
datasets = pytest.importorskip("datasets")
pytestmark = pytest.mark.filterwarnings("default")       # what TRL warns of is TRL's

PROMPTS = ["Ada lives", "Kai lives"] * 4
USUAL = dict(per_device_train_batch_size=4, max_steps=1, use_cpu=True, report_to=[], save_strategy="no", bf16=False,
             gradient_checkpointing=False, logging_steps=1)


@pytest.fixture
def folders(tmp_path):
    """A policy and a reward model as a run saves them."""
    policy = Policy.new(Architecture(layers=1, width=8, heads=1, context=64),
                        word_tokenizer(["Ada", "Kai", "Elmdale", "lives", "in", "rain", "\n"]), 0)
    (tmp_path / "policy").mkdir()
    (tmp_path / "reward").mkdir()
    policy.save(tmp_path / "policy")
    ScalarModel.on(policy, 1).save(tmp_path / "reward")
    return tmp_path


@pytest.mark.parametrize("name", ["GRPO", "RLOO"])
def test_the_reward_folder_is_a_reward_function_and_its_score_is_ours(name, folders):
    config = getattr(trl, f"{name}Config")(str(folders / "out"), num_generations=2, max_completion_length=4, **USUAL)
    trainer = getattr(trl, f"{name}Trainer")(
        str(folders / "policy"), reward_funcs=str(folders / "reward"), args=config,
        train_dataset=datasets.Dataset.from_dict({"prompt": PROMPTS}))
    trainer.train()
    ours, theirs = ScalarModel.load(folders / "reward"), trainer.reward_funcs[0].cpu().eval()
    rollout = Rollout.of([[5, 6, 7], [8]], [[9, 4, ours.eos], [5, ours.eos]], ours.pad, ours.eos)
    with torch.no_grad():
        score_B = theirs(rollout.token_BS, attention_mask=(rollout.token_BS != ours.pad).long()).logits[:, 0]
        assert torch.allclose(ours(rollout), score_B, atol=1e-5)
    assert any("reward" in row for row in trainer.state.log_history)


def test_rankings_written_as_pairs_train_a_reward_trainer_for_a_step(folders):
    ranking = Ranking("Ada lives", (" in Elmdale", " in rain", " rain"), (1, 2, 3))
    pairs = [{"prompt": ranking.prompt, "chosen": ranking.completions[a], "rejected": ranking.completions[b]}
             for a, b in ranking.pairs]
    before = load_file(folders / "reward" / "model.safetensors")
    trainer = trl.RewardTrainer(str(folders / "reward"), train_dataset=datasets.Dataset.from_list(pairs * 4),
                                args=trl.RewardConfig(str(folders / "out"), learning_rate=0.1, **USUAL))
    trainer.train()
    trainer.save_model(str(folders / "trained"))
    after = load_file(folders / "trained" / "model.safetensors")
    assert trainer.state.global_step == 1
    assert before.keys() == after.keys()
    assert any(not torch.equal(after[name], weight) for name, weight in before.items())
