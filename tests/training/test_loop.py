"""Randomness by name, the order of rows, Adam and Muon against their formulas, guarded updates."""

import math

import pytest
import torch
from torch import Tensor, nn
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM
from transformers.pytorch_utils import Conv1D

from instructgpt_lite.config import SFT
from instructgpt_lite.training.loop import (
    check_finite,
    clip_grad,
    generator,
    lr_scale,
    make_optimizers,
    passes,
    pieces,
    schedule,
    set_lr,
    stream,
    update,
    update_average,
    warm_up,
)
from instructgpt_lite.training.muon import orthogonal


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


class Blocks(nn.Module):
    """One weight in a numbered block, one before it."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.embed, self.blocks = nn.Embedding(5, 4), nn.ModuleList([inner])


# Randomness

def test_a_stream_depends_on_each_argument_and_their_order_and_type() -> None:
    names = [(0,), (1,), (0, "sft"), (0, "sft", 1), (0, "sft", 2), (0, "sft", "1"), (0, 1, "sft"),
             (0, "sf", "t"), (0, "sft,1"), (10, "sft"), (1, "0", "sft")]
    drawn = {tuple(torch.rand(2, generator=generator(*each)).tolist()) for each in names}
    assert len(drawn) == len(names)


def test_a_stream_is_the_same_in_every_process_and_release() -> None:
    """The seed is the first 32 bits of sha256('[0, "sft", 7]'), by sha256sum."""
    assert generator(0, "sft", 7).initial_seed() == 0x5356FA0A


def test_a_thousand_steps_draw_a_thousand_streams() -> None:
    assert len({generator(0, "ppo", step).initial_seed() for step in range(1000)}) == 1000


def test_drawing_leaves_the_global_stream_alone() -> None:
    before = torch.get_rng_state()
    torch.rand(3, generator=generator(0, "sft"))
    assert torch.equal(torch.get_rng_state(), before)


# Optimizers

def test_adam_takes_the_step_of_its_formula() -> None:
    """Three steps of Kingma and Ba (2015), Algorithm 1, in float64, without weight decay."""
    module = nn.Linear(3, 2, bias=False).double()
    weight, first, second = module.weight.detach().clone(), torch.zeros(2, 3), torch.zeros(2, 3)
    [adam] = make_optimizers(module, 0.1, betas=(0.8, 0.95), eps=1e-3)
    for t in (1, 2, 3):
        grad = noise(2, 3, seed=t).double()
        first, second = 0.8 * first + 0.2 * grad, 0.95 * second + 0.05 * grad**2
        weight -= 0.1 * (first / (1 - 0.8**t)) / ((second / (1 - 0.95**t)).sqrt() + 1e-3)
        module.weight.grad = grad
        adam.step()
    torch.testing.assert_close(module.weight.detach(), weight, rtol=1e-12, atol=0)


def test_without_a_matrix_lr_one_adam_has_all_weights_that_train() -> None:
    module = Blocks(nn.Linear(4, 4))
    module.blocks[0].bias.requires_grad_(False)
    [adam] = make_optimizers(module, 0.1)
    [group] = adam.param_groups
    assert {id(p) for p in group["params"]} == {id(module.embed.weight), id(module.blocks[0].weight)}
    assert group["weight_decay"] == 0 and group["betas"] == (0.9, 0.95)


def test_muon_has_the_matrices_of_the_blocks_and_adam_the_rest() -> None:
    tiny = dict(vocab_size=11, bos_token_id=0, eos_token_id=0)
    gpt2 = GPT2LMHeadModel(GPT2Config(n_positions=8, n_embd=8, n_layer=2, n_head=2, **tiny))
    llama = LlamaForCausalLM(LlamaConfig(hidden_size=8, intermediate_size=12, num_hidden_layers=2,
                                         num_attention_heads=2, **tiny))
    for module, blocks, matrices in ((gpt2, gpt2.transformer.h, 4), (llama, llama.model.layers, 7)):
        adam, muon = make_optimizers(module, 0.1, 0.2)
        [rest], [hidden] = adam.param_groups, muon.param_groups
        expected = {id(p) for p in blocks.parameters() if p.ndim == 2}
        assert {id(p) for p in hidden["params"]} == expected and len(expected) == 2 * matrices
        assert {id(p) for p in rest["params"]} == {id(p) for p in module.parameters()} - expected
        assert rest["lr"] == 0.1 and hidden["lr"] == 0.2


def test_muon_moves_along_the_gradient_with_all_singular_values_about_one() -> None:
    module = Blocks(nn.Linear(16, 6, bias=False))
    weight = module.blocks[0].weight
    before, weight.grad = weight.detach().clone(), noise(6, 16)
    make_optimizers(module, 0.1, 0.01)[1].step()
    U, _, Vh = torch.linalg.svd(weight.grad, full_matrices=False)
    along = U.T @ ((before - weight.detach()) / (0.01 * 0.2 * math.sqrt(16))) @ Vh.T
    assert (0.6 < along.diag()).all() and (along.diag() < 1.4).all()
    assert (along - along.diag().diag()).abs().max() < 1e-5


def test_muon_moves_as_far_as_the_rate_that_was_set_not_as_its_peak() -> None:
    moved = []
    for scale in (1.0, 0.25):
        module = Blocks(nn.Linear(16, 6, bias=False))
        nn.init.zeros_(module.blocks[0].weight)
        module.blocks[0].weight.grad = noise(6, 16)
        optimizers = make_optimizers(module, 0.1, 0.01)
        set_lr(optimizers, scale)
        optimizers[1].step()
        moved.append(module.blocks[0].weight.detach().clone())
    torch.testing.assert_close(moved[1], 0.25 * moved[0])


def test_orthogonal_maps_each_singular_value_by_five_rounds_of_the_polynomial() -> None:
    for shape in ((3, 7), (7, 3), (5, 5)):
        matrix = noise(*shape).double()
        U, s, Vh = torch.linalg.svd(matrix, full_matrices=False)
        s = s / s.square().sum().sqrt()
        for _ in range(5):
            s = 3.4445 * s - 4.7750 * s ** 3 + 2.0315 * s ** 5
        torch.testing.assert_close(orthogonal(matrix), U @ s.diag() @ Vh, rtol=1e-10, atol=1e-12)


def test_muon_takes_the_steps_of_torchs_muon_up_to_its_rounding_to_bfloat16() -> None:
    ours, theirs = (Blocks(nn.Linear(12, 4, bias=False)) for _ in range(2))
    theirs.load_state_dict(ours.state_dict())
    before = ours.blocks[0].weight.detach().clone()
    muon = make_optimizers(ours, 0.1, 0.02)[1]
    torchs = torch.optim.Muon([theirs.blocks[0].weight], lr=0.02, weight_decay=0.0, adjust_lr_fn="match_rms_adamw")
    for step in range(6):
        gradient = noise(4, 12, seed=step)
        for module, optimizer in ((ours, muon), (theirs, torchs)):
            module.blocks[0].weight.grad = gradient.clone()
            optimizer.step()
    moved = (theirs.blocks[0].weight - before).norm()
    assert (ours.blocks[0].weight - theirs.blocks[0].weight).norm() < 0.02 * moved


def test_muon_moves_a_conv1d_as_it_moves_a_linear_layer() -> None:
    """GPT-2 stores its matrices transposed, (in, out); a step must not depend on that."""
    linear, conv = Blocks(nn.Linear(4, 12, bias=False)), Blocks(Conv1D(12, 4))
    conv.blocks[0].weight.data = linear.blocks[0].weight.data.T.clone()
    linear.blocks[0].weight.grad = noise(12, 4)
    conv.blocks[0].weight.grad = noise(12, 4).T.clone()
    for module in (linear, conv):
        make_optimizers(module, 0.1, 0.02)[1].step()
    torch.testing.assert_close(conv.blocks[0].weight.T, linear.blocks[0].weight, rtol=0, atol=1e-7)


def test_muon_does_not_pull_weights_to_zero() -> None:
    module = Blocks(nn.Linear(4, 4, bias=False))
    before, module.blocks[0].weight.grad = module.blocks[0].weight.detach().clone(), torch.zeros(4, 4)
    make_optimizers(module, 0.1, 0.5)[1].step()
    assert torch.equal(module.blocks[0].weight.detach(), before)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_float16_is_not_trained_and_bfloat16_is(dtype) -> None:
    module = nn.Linear(3, 3).to(dtype)
    if dtype == torch.bfloat16:
        assert make_optimizers(module, lr=0.1)
    else:
        with pytest.raises(ValueError, match="weights of Linear are float16, in which"):
            make_optimizers(module, lr=0.1)


def test_a_matrix_lr_needs_blocks() -> None:
    with pytest.raises(ValueError, match="matrix_lr is 0.1, but Linear has no blocks: set it to 0"):
        make_optimizers(nn.Linear(2, 2), 0.1, 0.1)


# Learning rates

def test_the_rate_rises_in_a_line_and_falls_in_a_cosine_to_its_final_share() -> None:
    """10 steps, 2 of warm-up, 7 intervals of cosine from 1 to 0.1."""
    expected = [1 / 3, 2 / 3] + [0.55 + 0.45 * math.cos(math.pi * k / 7) for k in range(8)]
    assert [lr_scale(step, 10, 0.2, 0.1) for step in range(10)] == pytest.approx(expected, rel=1e-12)
    assert lr_scale(2, 10, 0.2, 0.1) == 1.0 and lr_scale(9, 10, 0.2, 0.1) == pytest.approx(0.1, rel=1e-12)


def test_without_warm_up_the_first_step_has_the_peak() -> None:
    assert lr_scale(0, 100, 0.0, 0.1) == 1.0 and lr_scale(0, 1, 0.0, 0.1) == 1.0


@pytest.mark.parametrize("steps", [1, 2, 3, 10, 101])
@pytest.mark.parametrize("warmup", [0.0, 0.02, 0.5, 1.0])
def test_no_step_has_a_rate_of_zero_or_above_the_peak(steps: int, warmup: float) -> None:
    assert all(0 < lr_scale(step, steps, warmup, 0.1) <= 1 for step in range(steps))


@pytest.mark.parametrize("step", [-1, 10])
def test_a_step_outside_the_schedule_is_refused(step: int) -> None:
    with pytest.raises(ValueError, match=rf"step {step} is outside 0 .. 9"):
        lr_scale(step, 10, 0.0, 0.1)


def test_ppo_warms_up_from_a_tenth_over_its_first_iterations() -> None:
    """App. C.4: ten iterations, from a tenth of the peak."""
    expected = [0.1, 0.19, 0.28, 0.37, 0.46, 0.55, 0.64, 0.73, 0.82, 0.91, 1.0, 1.0]
    assert [warm_up(iteration, 10) for iteration in range(12)] == pytest.approx(expected, rel=1e-12)
    assert warm_up(0, 0) == 1.0


def test_rates_are_shares_of_their_own_peaks_however_often_they_are_set() -> None:
    made = make_optimizers(Blocks(nn.Linear(4, 4)), 0.5, 0.25)
    for scale in (0.1, 0.5, 1.0, 0.5):
        set_lr(made, scale)
        assert [each.param_groups[0]["lr"] for each in made] == [0.5 * scale, 0.25 * scale]


# Guards

@pytest.mark.parametrize("max_norm, scale", [(0.0, 1.0), (26.0, 1.0), (6.5, 0.5)])
def test_gradients_are_scaled_to_the_norm_and_the_norm_before_is_told(max_norm: float, scale: float) -> None:
    module = nn.Linear(2, 1).double()
    module.weight.grad, module.bias.grad = torch.tensor([[3.0, 4.0]]).double(), torch.tensor([12.0]).double()
    assert clip_grad(module, max_norm) == pytest.approx(13.0, rel=1e-12)
    grads = torch.cat([module.weight.grad.flatten(), module.bias.grad])
    assert grads.tolist() == pytest.approx([3 * scale, 4 * scale, 12 * scale], rel=1e-6)


def test_weights_without_gradients_are_no_obstacle() -> None:
    module = nn.Linear(2, 1)
    module.weight.grad = torch.tensor([[3.0, 4.0]])
    assert clip_grad(module, 1.0) == 5.0 and module.bias.grad is None
    assert clip_grad(nn.Linear(2, 1), 1.0) == 0.0


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
def test_what_is_not_finite_is_named_with_stage_step_and_place(bad: float) -> None:
    logp_BT = torch.zeros(3, 4)
    logp_BT[1, 2] = logp_BT[2, 0] = bad
    told = rf"^ppo, step 17: logp_BT\[1, 2\] is {bad}, with 2 of 12 entries"
    with pytest.raises(FloatingPointError, match=told):
        check_finite("ppo", 17, loss=0.5, reward=torch.ones(3), logp_BT=logp_BT)
    for value in (bad, torch.tensor(bad)):
        with pytest.raises(FloatingPointError, match=rf"^sft, step 0: loss is {bad}, with 1 of 1 entries"):
            check_finite("sft", 0, loss=value)


def test_what_is_finite_passes() -> None:
    check_finite("sft", 0, loss=1e308, count=3, mask=torch.tensor([True]), empty=torch.empty(0),
                 weight=torch.ones(2, requires_grad=True), big=torch.tensor(1e30))


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
@pytest.mark.parametrize("max_norm", [0.0, 1.0])
def test_a_gradient_that_is_not_finite_stops_a_step_before_weights_move(bad: float, max_norm: float) -> None:
    module = Blocks(nn.Linear(4, 4))
    made = make_optimizers(module, 0.1, 0.1)
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    for p in module.parameters():
        p.grad = torch.ones_like(p)
    module.embed.weight.grad[2, 1] = bad
    with pytest.raises(FloatingPointError, match="sft, step 3: grad_norm is"):
        check_finite("sft", 3, grad_norm=clip_grad(module, max_norm))
        for each in made:
            each.step()
    assert all(torch.equal(before[name], tensor) for name, tensor in module.state_dict().items())


# The average of weights

def test_the_average_is_the_weighted_sum_of_all_weights_so_far() -> None:
    """After n updates: d^n w_0 + (1 - d) sum over k of d^(n - k) w_k."""
    module, average = nn.Linear(3, 2).double(), nn.Linear(3, 2).double().requires_grad_(False)
    history = [noise(2, 3, seed=k).double() for k in range(5)]
    average.weight.data = history[0].clone()
    for weight in history[1:]:
        module.weight.data = weight.clone()
        update_average(average, module, 0.992)
    expected = 0.992**4 * history[0] + sum(0.008 * 0.992 ** (4 - k) * history[k] for k in range(1, 5))
    torch.testing.assert_close(average.weight, expected, rtol=1e-12, atol=1e-15)
    assert torch.equal(module.weight, history[-1]) and not average.weight.requires_grad


def test_two_modules_of_other_sizes_have_no_average() -> None:
    with pytest.raises(ValueError):
        update_average(nn.Linear(2, 2), nn.Linear(2, 2, bias=False), 0.9)


# Rows and updates

@pytest.mark.parametrize("count, batch_size", [(12, 4), (10, 4), (3, 8), (1, 1), (7, 7)])
def test_every_pass_takes_every_row_once(count, batch_size):
    each = -(-count // batch_size)
    for epoch in range(3):
        taken = [passes(step, count, batch_size, 0, "sft") for step in range(epoch * each, (epoch + 1) * each)]
        assert sorted(torch.cat(taken).tolist()) == list(range(count))
        assert [len(part) for part in taken[:-1]] == [batch_size] * (each - 1)


def test_every_pass_stage_and_seed_has_an_order_of_its_own():
    orders = {tuple(passes(*where).tolist()) for where in
              [(0, 50, 50, 0, "sft"), (1, 50, 50, 0, "sft"), (0, 50, 50, 1, "sft"), (0, 50, 50, 0, "ppo")]}
    assert len(orders) == 4 and tuple(range(50)) not in orders


def test_passes_depend_on_the_step_alone():
    """A resumed run asks for step 5 first; it must get what an uninterrupted one got."""
    assert torch.equal(passes(5, 10, 4, 0, "sft"), [passes(step, 10, 4, 0, "sft") for step in range(6)][5])


def linear():
    module = nn.Linear(2, 1, bias=False).double()
    module.weight.data = torch.tensor([[1.0, 2.0]]).double()
    module.weight.grad = torch.tensor([[3.0, -4.0]]).double()
    return module, make_optimizers(module, lr=0.5)


def test_an_update_is_one_step_and_leaves_no_gradient():
    """The first step of Adam moves every weight by its rate against the sign."""
    module, optimizers = linear()
    update("sft", 0, {module: optimizers})
    assert module.weight.tolist() == [pytest.approx([0.5, 2.5], rel=1e-8)]
    assert module.weight.grad.tolist() == [[0.0, 0.0]]
    assert [int(state["step"]) for each in optimizers for state in each.state.values()] == [1]


@pytest.mark.parametrize("clip_norm, norm", [(0.0, 5.0), (1.0, 1.0), (9.0, 5.0)])
def test_an_update_clips_first(clip_norm, norm):
    module, _ = linear()
    update("sft", 0, {module: [torch.optim.SGD(module.parameters(), lr=1.0)]}, clip_norm)
    moved = module.weight.detach() - torch.tensor([[1.0, 2.0]])
    assert moved.norm().item() == pytest.approx(norm, rel=1e-6)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
@pytest.mark.parametrize("where", ["gradient", "value"])
def test_what_is_not_finite_stops_before_a_weight_moves(bad, where):
    module, optimizers = linear()
    if where == "gradient":
        module.weight.grad[0, 0] = bad
    with pytest.raises(FloatingPointError, match=r"^rm, step 7: (gradient_norm of Linear|loss) is (nan|inf)"):
        update("rm", 7, {module: optimizers}, 1.0, loss=bad if where == "value" else 0.5)
    assert module.weight.tolist() == [[1.0, 2.0]]


def test_the_schedule_of_a_stage_is_its_own():
    module, optimizers = linear()
    for step, share in enumerate([0.5, 1.0, 0.625, 0.25]):
        schedule(optimizers, step, 4, SFT(warmup=0.25, final_lr=0.25))
        assert optimizers[0].param_groups[0]["lr"] == pytest.approx(0.5 * share, rel=1e-12)


def test_a_stream_takes_full_batches_and_every_row_once_a_pass():
    """Seven rows in batches of three: three passes are seven batches, none of them short."""
    taken = torch.cat([stream(step, 7, 3, 0, "ppo") for step in range(7)])
    assert len(taken) == 21
    for one_pass in taken.split(7):
        assert sorted(one_pass.tolist()) == list(range(7))
    assert not torch.equal(taken[:7], taken[7:14])


def test_shares_of_micro_batches_are_of_their_weight_and_add_up():
    network, weight_B = nn.Linear(1, 1), torch.tensor([1.0, 9.0, 3.0, 9.0, 4.0])
    network.micro_batch = 2
    found = list(pieces(torch.tensor([4, 0, 2]), weight_B, network))
    assert [(rows.tolist(), share) for rows, share in found] == [([4, 0], 5 / 8), ([2], 3 / 8)]
    network.micro_batch = 0
    assert [(rows.tolist(), share) for rows, share in pieces(torch.tensor([4, 0]), weight_B, network)] == [([4, 0], 1)]
