"""The world that can be listed: its tree, its policy and its values, against loops over what they mean."""

import pytest
import torch

from instructgpt_lite.book.enumerable import EOS, TablePolicy, TableValue, Tree, exact_value
from instructgpt_lite.models.rollout import Rollout

TREE = Tree(tokens=3, longest=3)


def normal(*shape: int, seed: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


POLICY = TablePolicy(TREE, normal(2, 7, 3, seed=0))


def probability(prompt: int, response: tuple[int, ...]) -> float:
    """Product of softmaxes, each at the prefix that was read, looked up by what it is."""
    p, table = 1.0, POLICY.logits_PNV[prompt].softmax(dim=-1)
    for t, token in enumerate(response):
        p *= table[TREE.prefixes.index(response[:t]), token].item()
    return p


def test_the_tree_lists_every_response_once():
    assert TREE.prefixes == [(), (1,), (2,), (1, 1), (1, 2), (2, 1), (2, 2)]
    assert len(set(TREE.responses)) == len(TREE.responses) == 7 + 8
    assert all(EOS not in y[:-1] and (y[-1] == EOS or len(y) == 3) for y in TREE.responses)


def test_places_are_numbers_of_prefixes_and_the_prompt_is_read():
    rollout = TREE.everything(2)
    prompt_BT, place_BT = TREE.place_BT(rollout)
    for row, y in enumerate(TREE.responses * 2):
        assert place_BT[row, :len(y)].tolist() == [TREE.prefixes.index(y[:t]) for t in range(len(y))]
        assert set(prompt_BT[row].tolist()) == {row // 15} and not place_BT[row, len(y):].any()


def test_a_response_has_the_number_of_its_place_in_the_list():
    assert TREE.number_B(TREE.everything(2)).tolist() == [*range(15)] * 2


def test_the_policy_multiplies_its_softmaxes_and_sums_to_one():
    p_PY = POLICY.responses().exp()
    assert p_PY.flatten().tolist() == pytest.approx([probability(x, y) for x in (0, 1) for y in TREE.responses])
    assert p_PY.sum(dim=1).tolist() == pytest.approx([1, 1])


def test_samples_have_the_probabilities_that_the_policy_says():
    count, generator = 60_000, torch.Generator().manual_seed(0)
    rollout = POLICY.sample(TREE.prompts(2, count), temperature=1.0, max_new_tokens=3, generator=generator)
    torch.testing.assert_close(rollout.logp_BT, POLICY.logp(rollout))
    drawn = [tuple(y[m].tolist()) for y, m in zip(rollout.response_BT, rollout.mask_BT)]
    for x in (0, 1):
        for y in TREE.responses:
            p, share = probability(x, y), drawn[x * count:][:count].count(y) / count
            assert abs(share - p) < 5 * (p * (1 - p) / count) ** 0.5 + 1e-9
    ended = torch.tensor([y[-1] == EOS for y in drawn])
    assert torch.equal(rollout.ended_B, ended) and 0 < ended.sum() < 2 * count


def test_the_exact_value_is_the_mean_of_what_follows():
    reward_BT = normal(30, 3, seed=1) * TREE.everything(2).mask_BT
    value_PN = exact_value(POLICY, reward_BT)
    for x in (0, 1):
        for n, prefix in enumerate(TREE.prefixes):
            ways = [(probability(x, y), reward_BT[x * 15 + row, len(prefix):].sum().item())
                    for row, y in enumerate(TREE.responses) if y[:len(prefix)] == prefix and len(y) > len(prefix)]
            mean = sum(p * r for p, r in ways) / sum(p for p, _ in ways)
            assert value_PN[x, n].item() == pytest.approx(mean, rel=1e-9)


def test_the_value_is_read_before_each_token_and_is_a_network_of_its_own():
    value = TableValue(TREE, normal(2, 7, seed=2))
    rollout = Rollout.of([[4], [5]], [[1, 2, EOS], [EOS]], 3, EOS)
    table = value.value_PN.detach()
    assert value.values(rollout).tolist() == [[table[0, 0], table[0, 1], table[0, 4]], [table[1, 0], 0, 0]]
    assert value.on(value) is not value and torch.equal(value.on(value).value_PN, value.value_PN)


def test_a_frozen_policy_stays():
    assert not POLICY.frozen().logits_PNV.requires_grad and POLICY.logits_PNV.requires_grad
