"""What a rollout says of its rows."""

from dataclasses import replace

import pytest
import torch

from instructgpt_lite.models.rollout import Rollout
from tests.models.conftest import EOS, PAD


def test_a_rollout_of_given_responses_has_no_hole():
    rollout = Rollout.of([[5, 6, 7], [8]], [[9, EOS], [4, 5, 6, 7]], pad=PAD, eos=EOS)
    assert rollout.token_BS.tolist() == [[5, 6, 7, 9, EOS], [8, 4, 5, 6, 7]]
    assert rollout.mask_BT.tolist() == [[True, True, False, False], [True] * 4]
    assert rollout.response_BT.tolist() == [[9, EOS, PAD, PAD], [4, 5, 6, 7]]
    assert rollout.length_B.tolist() == [5, 5] and rollout.ended_B.tolist() == [True, False]
    assert rollout.logp_BT.tolist() == [[0.0] * 4] * 2 and len(rollout) == 2


def test_rows_of_a_rollout_are_picked_by_tensor_list_or_slice():
    rollout = Rollout.of([[5], [6], [7]], [[2], [3, 4], [EOS]], pad=PAD, eos=EOS)
    for pick in (torch.tensor([2, 1]), [2, 1]):
        assert rollout[pick].token_BS.tolist() == [[7, EOS, PAD], [6, 3, 4]]
    assert rollout[1:].prompt_B.tolist() == [1, 1]


def test_a_prompt_without_tokens_is_refused():
    with pytest.raises(ValueError, match="prompt 1 has no tokens"):
        Rollout.of([[5], []], [[6], [7]], pad=PAD, eos=EOS)


@pytest.mark.parametrize("eos, ended", [(EOS, [True, False, False]), ((EOS, 9), [True, True, False])])
def test_any_of_several_ends_ends_a_response(eos, ended):
    rollout = Rollout.of([[5]] * 3, [[2, EOS], [9], [3]], pad=PAD, eos=eos)
    assert rollout.ended_B.tolist() == ended


def test_a_response_without_tokens_has_not_ended():
    assert Rollout.of([[EOS]], [[]], pad=PAD, eos=EOS).ended_B.tolist() == [False]


def test_a_row_ends_with_its_last_counted_token_whatever_counts_before_it():
    rollout = Rollout.of([[5, 6], [7]], [[8, 9, EOS], [3]], pad=PAD, eos=EOS)
    rollout = replace(rollout, mask_BT=torch.tensor([[True, False, True], [True, False, False]]))
    assert rollout.length_B.tolist() == [5, 2] and rollout.last_B.tolist() == [4, 6]
    assert rollout.ended_B.tolist() == [True, False] and rollout.before_M.tolist() == [1, 3, 5]


def test_each_counted_token_is_predicted_one_place_before_it():
    rollout = Rollout.of([[5, 6, 7], [8]], [[9, EOS], [4, 3]], pad=PAD, eos=EOS)
    assert rollout.before_M.tolist() == [2, 3, 5, 6]
    assert rollout.real_BS.tolist() == [[True] * 5, [True] * 3 + [False] * 2]


def test_padding_is_told_by_lengths_not_by_values():
    """With one token for padding and end, an end counts, and a prompt may contain it."""
    rollout = Rollout.of([[5, EOS, 6], [7]], [[8, EOS], [9, EOS]], pad=EOS, eos=EOS)
    assert rollout.real_BS.tolist() == [[True] * 5, [True] * 3 + [False] * 2]
    assert rollout.mask_BT.tolist() == [[True, True]] * 2 and rollout.ended_B.tolist() == [True, True]
