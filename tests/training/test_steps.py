"""Which rows a step takes, one guarded update, and the schedule of a step."""

import pytest
import torch
from torch import nn

from instructgpt_lite.config import SFT
from instructgpt_lite.training.optim import optimizers
from instructgpt_lite.training.steps import picks, schedule, stream, update


@pytest.mark.parametrize("count, batch_size", [(12, 4), (10, 4), (3, 8), (1, 1), (7, 7)])
def test_every_pass_takes_every_row_once(count, batch_size):
    each = -(-count // batch_size)
    for epoch in range(3):
        taken = [picks(step, count, batch_size, 0, "sft") for step in range(epoch * each, (epoch + 1) * each)]
        assert sorted(torch.cat(taken).tolist()) == list(range(count))
        assert [len(part) for part in taken[:-1]] == [batch_size] * (each - 1)


def test_every_pass_stage_and_seed_has_an_order_of_its_own():
    orders = {tuple(picks(*where).tolist()) for where in
              [(0, 50, 50, 0, "sft"), (1, 50, 50, 0, "sft"), (0, 50, 50, 1, "sft"), (0, 50, 50, 0, "ppo")]}
    assert len(orders) == 4 and tuple(range(50)) not in orders


def test_picks_depend_on_the_step_alone():
    """A resumed run asks for step 5 first; it must get what an uninterrupted one got."""
    assert torch.equal(picks(5, 10, 4, 0, "sft"), [picks(step, 10, 4, 0, "sft") for step in range(6)][5])


def linear():
    module = nn.Linear(2, 1, bias=False).double()
    module.weight.data = torch.tensor([[1.0, 2.0]]).double()
    module.weight.grad = torch.tensor([[3.0, -4.0]]).double()
    return module, optimizers(module, lr=0.5)


def test_an_update_is_one_step_and_leaves_no_gradient():
    """The first step of Adam moves every weight by its rate against the sign."""
    module, adams = linear()
    update("sft", 0, module, adams)
    assert module.weight.tolist() == [pytest.approx([0.5, 2.5], rel=1e-8)]
    assert module.weight.grad is None
    assert [int(state["step"]) for adam in adams for state in adam.state.values()] == [1]


@pytest.mark.parametrize("clip_norm, norm", [(0.0, 5.0), (1.0, 1.0), (9.0, 5.0)])
def test_an_update_clips_first(clip_norm, norm):
    module, _ = linear()
    update("sft", 0, module, [torch.optim.SGD(module.parameters(), lr=1.0)], clip_norm)
    moved = module.weight.detach() - torch.tensor([[1.0, 2.0]])
    assert moved.norm().item() == pytest.approx(norm, rel=1e-6)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
@pytest.mark.parametrize("where", ["gradient", "value"])
def test_what_is_not_finite_stops_before_a_weight_moves(bad, where):
    module, adams = linear()
    if where == "gradient":
        module.weight.grad[0, 0] = bad
    with pytest.raises(FloatingPointError, match=r"^rm, step 7: (gradient_norm|loss) is (nan|inf)"):
        update("rm", 7, module, adams, 1.0, loss=bad if where == "value" else 0.5)
    assert module.weight.tolist() == [[1.0, 2.0]]


def test_the_schedule_of_a_stage_is_its_own():
    module, adams = linear()
    for step, share in enumerate([0.5, 1.0, 0.625, 0.25]):
        schedule(adams, step, 4, SFT(warmup=0.25, final_lr=0.25))
        assert adams[0].param_groups[0]["lr"] == pytest.approx(0.5 * share, rel=1e-12)


def test_a_stream_takes_full_batches_and_every_row_once_a_pass():
    """Seven rows in batches of three: three passes are seven batches, none of them short."""
    taken = torch.cat([stream(step, 7, 3, 0, "ppo") for step in range(7)])
    assert len(taken) == 21
    for one_pass in taken.split(7):
        assert sorted(one_pass.tolist()) == list(range(7))
    assert not torch.equal(taken[:7], taken[7:14])
