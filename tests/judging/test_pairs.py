"""What a reward model orders right: exact counts on small tables."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from instructgpt_lite.config import Architecture
from instructgpt_lite.data.records import Ranking
from instructgpt_lite.data.tokenizers import word_tokenizer
from instructgpt_lite.judging.pairs import accuracy, gold_order, lead, rewards_of
from instructgpt_lite.models.networks import Policy, ScalarModel
from instructgpt_lite.theory.bradley_terry import outcome


def ranking(*texts, category="", **key):
    """These texts from best to worst."""
    return Ranking("Q", texts, tuple(range(1, len(texts) + 1)), category=category, key=key)


def gold_of(**worth):
    """A judge that knows each text by name."""
    return lambda prompt, text: SimpleNamespace(gold=worth[text])


def test_an_outcome_is_a_whole_a_half_or_nothing():
    assert [outcome(2, 1), outcome(1, 1), outcome(1, 2)] == [1, 0.5, 0]
    first, second = [2.0, 1.0, 1.0], [1.0, 1.0, 2.0]
    assert outcome(np.array(first), np.array(second)).tolist() == [1, 0.5, 0]
    assert outcome(torch.tensor(first), torch.tensor(second)).tolist() == [1, 0.5, 0]


def test_accuracy_pools_pairs_counts_equal_rewards_half_and_leaves_out_ties():
    """Of a > b > c: two right, one equal. Of d = e > f: one right, one wrong, d with e not asked."""
    rankings = [ranking("a", "b", "c"), Ranking("Q", ("d", "e", "f"), (1, 1, 2))]
    assert accuracy([[3.0, 1.0, 1.0], [5.0, -1.0, 0.0]], rankings).mean == (2.5 + 1) / 5
    assert accuracy([[1.0, 1.0, 1.0], [1.0, 1.0, 1.0]], rankings).mean == 0.5
    assert accuracy([[0.0, 1.0, 2.0], [0.0, 9.0, 10.0]], rankings).mean == 0


def test_accuracy_is_of_pairs_and_not_of_prompts():
    """Six pairs right and one wrong are 6 of 7, not a half."""
    rankings = [ranking("a", "b", "c", "d"), ranking("e", "f")]
    found = accuracy([[4.0, 3.0, 2.0, 1.0], [0.0, 1.0]], rankings)
    assert found.mean == pytest.approx(6 / 7, rel=1e-12)
    assert (found.low, found.high) == (0, 1)                    # a prompt is drawn whole


def test_rewards_and_rankings_must_be_as_many():
    with pytest.raises(ValueError):
        accuracy([[1.0, 2.0]], [ranking("a", "b")] * 2)


def test_a_lead_is_counted_pair_by_pair_on_the_same_rankings():
    rankings = [ranking("a", "b", "c"), ranking("d", "e")]
    first, second = [[3.0, 2.0, 2.0], [0.0, 1.0]], [[1.0, 2.0, 3.0], [1.0, 1.0]]      # right: 2.5, 0; 0, 0.5
    assert lead(first, second, rankings).mean == (2.5 - 0.5) / 4
    assert lead(second, first, rankings).mean == -(2.5 - 0.5) / 4
    assert lead(first, first, rankings) == (0, 0, 0)


def test_gold_order_counts_pairs_of_different_gold_whatever_the_labeler_said():
    """a and c are worth the same: no pair, although the labeler ranks them. b > a, b > c: right, equal."""
    found = gold_order([[1.0, 2.0, 2.0]], [ranking("a", "b", "c", category="chat")], gold_of(a=0.2, b=1.0, c=0.2))
    assert {name: each.mean for name, each in found.items()} == {"all": 0.75, "chat": 0.75}


def test_gold_order_tells_use_cases_and_facts_never_asked_apart():
    gold = gold_of(a=1.0, b=0.0, c=0.0)
    rankings = [ranking("a", "b", category="open QA", asked=True), ranking("b", "a", category="open QA", asked=False),
                ranking("a", "b", "c", category="chat"), ranking("b", "c", category="extract")]
    found = gold_order([[1.0, 0.0], [1.0, 0.0], [1.0, 1.0, 0.0], [0.0, 1.0]], rankings, gold)
    assert {name: each.mean for name, each in found.items()} == {
        "all": (1 + 0 + 1.5) / 4, "chat": 0.75, "open QA, asked": 1, "open QA, unasked": 0}


def test_gold_that_differs_by_rounding_alone_is_a_tie():
    found = gold_order([[0.0, 1.0, 2.0]], [ranking("a", "b", "c")], gold_of(a=0.3, b=0.1 + 0.2, c=0.0))
    assert found["all"].mean == 0 and gold_order([[1.0, 0.0]], [ranking("a", "b")], gold_of(a=1, b=1)) == {}


def test_every_response_has_its_own_reward_in_any_batch():
    """Against one response at a time; K is 2, 3 and 4, and batches hold two rankings."""
    letters = word_tokenizer(["\n", "Q", *"abcdef"])
    reward = ScalarModel.on(Policy.new(Architecture(layers=1, width=16, heads=2, context=32), letters, 0), 0).double()
    rankings = [ranking("a", "b c"), ranking("d", "e a f", "b"), ranking("c", "a", "f f f f", "e d")]
    prompt = letters.encode("Q\n")
    alone = [[reward.scores([prompt], [[[*letters.encode(text), reward.eos]]])[0].item()
              for text in each.completions] for each in rankings]
    for batch in (1, 2, 64):
        found = rewards_of(reward, rankings, batch)
        assert [len(each) for each in found] == [2, 3, 4]
        for one, other in zip(found, alone, strict=True):
            assert one == pytest.approx(other, rel=1e-9)
