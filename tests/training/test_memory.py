"""A stage that stops at any step and goes on from its memory ends with the bits of one that never stopped."""

import pytest
import torch
from torch import Tensor, nn
from transformers import GPT2Config, GPT2LMHeadModel

from instructgpt_lite.models import checkpoint
from instructgpt_lite.training.memory import Memory
from instructgpt_lite.training.optim import generator, lr_scale, optimizers, set_lr, update_average

SMALL = GPT2Config(vocab_size=11, n_positions=8, n_embd=8, n_layer=1, n_head=2,
                   bos_token_id=0, eos_token_id=0, embd_pdrop=0.0, resid_pdrop=0.0, attn_pdrop=0.0)


def gpt2(seed: int) -> GPT2LMHeadModel:
    torch.manual_seed(seed)
    return GPT2LMHeadModel(SMALL)


def stage(module: nn.Module, average: nn.Module, matrix_lr: float, memory: Memory, steps: int = 6):
    """A stage in small: yields after every step."""
    adams = optimizers(module, 0.01, matrix_lr)
    memory.track(module=module, average=average, adams=adams)
    for step in range(memory.step, steps):
        tokens = torch.randint(11, (2, 8), generator=generator(0, "stage", step))
        loss = module(tokens, labels=tokens).loss
        loss.backward()
        set_lr(adams, lr_scale(step, steps, 0.2, 0.1))
        for adam in adams:
            adam.step()
            adam.zero_grad()
        update_average(average, module, 0.9)
        memory.step = step + 1
        yield loss.item()


def bits(tensors: dict[str, Tensor]) -> dict[str, bytes]:
    return {name: tensor.detach().contiguous().numpy().tobytes() for name, tensor in tensors.items()}


@pytest.mark.parametrize("matrix_lr", [0.0, 0.02])
@pytest.mark.parametrize("stop", [0, 1, 3, 6])
def test_stopped_at_any_step_and_gone_on_equals_never_stopped(tmp_path, matrix_lr: float, stop: int) -> None:
    calm = Memory()
    losses = list(stage(gpt2(0), gpt2(0), matrix_lr, calm))

    first = Memory()
    begun = stage(gpt2(0), gpt2(0), matrix_lr, first)
    before = [next(begun) for _ in range(stop)]
    if not stop:
        first.track(module=gpt2(0), average=gpt2(0), adams=optimizers(gpt2(0), 0.01, matrix_lr))
    checkpoint.save(tmp_path / "one", *first.state())
    second = Memory.of(*checkpoint.load(tmp_path / "one"))
    after = list(stage(gpt2(1), gpt2(2), matrix_lr, second))

    assert before + after == losses
    (calm_tensors, calm_info), (tensors, info) = calm.state(), second.state()
    assert bits(tensors) == bits(calm_tensors) and info == calm_info and info["step"] == 6


@pytest.mark.parametrize("matrix_lr", [0.0, 0.02])
def test_the_memory_holds_weights_moments_counters_and_rates(matrix_lr: float) -> None:
    module, memory = gpt2(0), Memory()
    list(stage(module, gpt2(0), matrix_lr, memory, steps=3))
    tensors, info = memory.state()
    weights, matrices = len(list(module.parameters())), 4 if matrix_lr else 0
    kinds = [name.rpartition(".")[2] for name in tensors if name.startswith("adams.")]
    assert {kind: kinds.count(kind) for kind in kinds} == {
        "exp_avg": weights - matrices, "exp_avg_sq": weights - matrices, "step": weights - matrices,
        **({"momentum_buffer": 4} if matrix_lr else {})}
    assert all(tensor.item() == 3 for name, tensor in tensors.items() if name.endswith(".step"))
    assert info["tracked"]["adams"]["lr"] == pytest.approx([0.001, 0.002][:1 + bool(matrix_lr)], rel=1e-12)


def test_a_restored_optimizer_has_the_rate_of_the_saved(tmp_path) -> None:
    module, memory = gpt2(0), Memory()
    adam = torch.optim.AdamW(module.parameters(), lr=0.1 + 0.2)
    memory.track(adam=adam)
    again = torch.optim.AdamW(module.parameters(), lr=1.0)
    checkpoint.save(tmp_path / "one", *memory.state())
    Memory.of(*checkpoint.load(tmp_path / "one")).track(adam=again)
    assert again.param_groups[0]["lr"] == 0.1 + 0.2


def test_any_torch_optimizer_goes_on_without_names() -> None:
    """Two groups, no parameter names, foreach instead of fused: AdamW as users make it."""
    def make(seed: int) -> tuple[nn.Module, torch.optim.Optimizer]:
        torch.manual_seed(seed)
        module = nn.Linear(3, 2)
        groups = [{"params": [module.weight], "lr": 0.1}, {"params": [module.bias], "lr": 0.3}]
        return module, torch.optim.AdamW(groups, foreach=True)

    def work(module: nn.Module, adam: torch.optim.Optimizer) -> None:
        module(torch.ones(1, 3)).square().sum().backward()
        adam.step()
        adam.zero_grad()
    (module, adam), (other, other_adam) = make(0), make(1)
    memory = Memory()
    memory.track(module=module, adam=adam)
    work(module, adam)
    Memory.of(*memory.state()).track(module=other, adam=other_adam)
    work(module, adam), work(other, other_adam)
    assert bits(module.state_dict()) == bits(other.state_dict())


def test_what_was_remembered_does_not_change_when_training_goes_on() -> None:
    memory = Memory()
    run = stage(gpt2(0), gpt2(0), 0.02, memory)
    next(run)
    state = memory.state()
    before = bits(state[0])
    next(run)
    resumed = stage(gpt2(1), gpt2(1), 0.02, Memory.of(*state))
    next(resumed)
    assert bits(state[0]) == before and state[1]["step"] == 1


def test_tied_weights_are_saved_once_and_stay_tied(tmp_path) -> None:
    memory = Memory()
    memory.track(module=gpt2(0))
    checkpoint.save(tmp_path / "one", *memory.state())
    tensors, _ = checkpoint.load(tmp_path / "one")
    assert tensors["module.lm_head.weight"] is tensors["module.transformer.wte.weight"]
    size = (tmp_path / "one" / "tensors.safetensors").stat().st_size
    assert size < 4 * sum(p.numel() for p in gpt2(0).parameters()) + 4000
    again = gpt2(1)
    Memory.of(*checkpoint.load(tmp_path / "one")).track(module=again)
    assert again.lm_head.weight is again.transformer.wte.weight
    assert bits(again.state_dict()) == bits(gpt2(0).state_dict())


def saved(**named) -> Memory:
    memory = Memory()
    memory.track(**named)
    return Memory.of(*memory.state())


def test_what_is_missing_or_of_another_shape_or_type_is_named() -> None:
    small, wide = nn.Linear(2, 3), nn.Linear(4, 3)
    with pytest.raises(ValueError, match=r"value is not in the checkpoint, which has policy, adam"):
        saved(policy=small, adam=optimizers(small, 0.1)).track(value=small)
    with pytest.raises(ValueError, match=r"policy.weight is float32\[3, 2\] .* and float32\[3, 4\] here"):
        saved(policy=small).track(policy=wide)
    with pytest.raises(ValueError, match=r"policy.bias is float32\[3\] in the checkpoint and missing here"):
        saved(policy=small).track(policy=nn.Linear(2, 3, bias=False))
    with pytest.raises(ValueError, match=r"policy.bias is missing in the checkpoint and float32\[3\] here"):
        saved(policy=nn.Linear(2, 3, bias=False)).track(policy=small)
    with pytest.raises(ValueError, match=r"policy.weight is float32.* and float64\[3, 2\] here"):
        saved(policy=small).track(policy=nn.Linear(2, 3).double())
    with pytest.raises(ValueError, match=r"adam.0.0.weight is float32\[3, 2\] in the checkpoint"):
        saved(adam=optimizers(small, 0.1)).track(adam=optimizers(wide, 0.1))
    with pytest.raises(ValueError, match=r"c_attn.weight is float32\[8, 24\] .* and missing here"):
        saved(adams=optimizers(gpt2(0), 0.1)).track(adams=optimizers(gpt2(0), 0.1, 0.1))


def test_a_module_that_does_not_fit_is_left_as_it_was() -> None:
    module = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 3))
    before = bits(module.state_dict())
    with pytest.raises(ValueError):
        saved(module=nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))).track(module=module)
    assert bits(module.state_dict()) == before


def test_nothing_is_tracked_twice() -> None:
    memory = Memory()
    memory.track(module=nn.Linear(1, 1))
    with pytest.raises(ValueError, match=r"module is tracked already: go on with Memory.of"):
        memory.track(module=nn.Linear(1, 1))
