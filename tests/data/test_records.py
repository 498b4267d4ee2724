"""A record that exists is sound."""

from contextlib import suppress
from itertools import product
from math import comb

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from instructgpt_lite.data.records import Demonstration, Prompt, Ranking


def ranking(*ranks, texts="abcdefghi"):
    return Ranking("Q", tuple(texts[:len(ranks)]), ranks)


FAULTS = [
    (lambda: Prompt(""), "prompt: got no words"),
    (lambda: Prompt(" \n\t"), "prompt: got no words"),
    (lambda: Prompt(["Q"]), r"prompt: got \['Q'\] \(list\), expected text"),
    (lambda: Prompt(None), r"prompt: got None \(NoneType\)"),
    (lambda: Prompt("a\0b"), r"prompt: got U\+0000 at character 1"),
    (lambda: Prompt("ab\ud800"), r"prompt: got U\+D800 at character 2"),
    (lambda: Prompt("Q", category=3), "category: got 3"),
    (lambda: Prompt("Q", author=None), "author: got None"),
    (lambda: Prompt("Q", key=[1]), r"key: got \[1\] \(list\), expected a dict"),
    (lambda: Prompt("Q", key={"a": (1, 2)}), "key: got .*expected values that JSON gives back"),
    (lambda: Prompt("Q", key={1: "a"}), "key: got .*expected values that JSON gives back"),
    (lambda: Prompt("Q", key={"a": float("nan")}), "key: got .*finite numbers"),
    (lambda: Prompt("Q", key={"a": "\udc00"}), "key: got .*expected values that JSON"),
    (lambda: Prompt("Q", key={"a": {1, 2}}), "key: got .*expected values that JSON"),
    (lambda: Demonstration("Q", 7), "completion: got 7"),
    (lambda: Demonstration("Q", "a\0"), r"completion: got U\+0000 at character 1"),
    (lambda: Demonstration("Q", "a", author=1), "author: got 1"),
    (lambda: Ranking("Q", "ab", (1, 2)), r"completions: got 'ab' \(str\), expected a list"),
    (lambda: Ranking("Q", ("a", "b"), "12"), r"ranks: got '12' \(str\), expected a list"),
    (lambda: Ranking("Q", ("a",), (1,)), "completions: got 1 of them, expected at least 2"),
    (lambda: Ranking("Q", (), ()), "completions: got 0 of them"),
    (lambda: Ranking("Q", ("a", 2), (1, 2)), r"completions\[1\]: got 2"),
    (lambda: Ranking("Q", ("a", "b"), (1, 2, 3)), "ranks: got 3 ranks, expected 2"),
    (lambda: Ranking("Q", ("a", "b"), (1, 2.0)), r"ranks\[1\]: got 2.0 \(float\)"),
    (lambda: Ranking("Q", ("a", "b"), (1, "2")), r"ranks\[1\]: got '2' \(str\)"),
    (lambda: Ranking("Q", ("a", "b"), (True, 2)), r"ranks\[0\]: got True \(bool\)"),
    (lambda: Ranking("Q", ("a", "a"), (1, 2)), "ranks: got one text ranked 1 and 2"),
    (lambda: Ranking("Q", ("a", "b"), (1, 2), labeler=4), "labeler: got 4"),
    (lambda: ranking(0, 1), r"ranks: got \[0, 1\], expected 1 to 2"),
    (lambda: ranking(2, 3), r"ranks: got \[2, 3\]"),
    (lambda: ranking(1, 3), r"ranks: got \[1, 3\]"),
    (lambda: ranking(1, 2, 4), r"ranks: got \[1, 2, 4\]"),
    (lambda: ranking(1, 1, 4), r"ranks: got \[1, 1, 4\]"),
    (lambda: ranking(2, 2, 3), r"ranks: got \[2, 2, 3\]"),
    (lambda: ranking(1, 1), "ranks: got a tie of all 2"),
    (lambda: ranking(1, 1, 1), "ranks: got a tie of all 3"),
]


@pytest.mark.parametrize("make, message", FAULTS)
def test_a_fault_names_its_field_what_stood_there_and_the_fix(make, message):
    with pytest.raises(ValueError, match="^" + message) as caught:
        make()
    said = str(caught.value)
    assert ", expected " in said and "; " in said and len(said) < 300


def test_an_empty_response_is_a_response():
    assert Demonstration("Q", "").completion == ""
    assert Ranking("Q", ("", "a"), (2, 1)).comparisons() == (("a", ""),)


def test_lists_and_numpy_ranks_become_tuples_of_ints():
    made = Ranking("Q", ["a", "b"], np.array([2, 1]).tolist())
    made_of_numpy = Ranking("Q", ["a", "b"], list(np.array([2, 1])))
    assert made == made_of_numpy == Ranking("Q", ("a", "b"), (2, 1))
    assert all(type(rank) is int for rank in made_of_numpy.ranks)


def test_both_ways_to_count_after_a_tie_are_understood():
    assert ranking(1, 1, 2).pairs == ranking(1, 1, 3).pairs == ((0, 2), (1, 2))


def test_equal_responses_may_tie():
    assert Ranking("Q", ("a", "a", "b"), (1, 1, 2)).comparisons() == (("a", "b"), ("a", "b"))


@pytest.mark.parametrize("K", range(2, 10))
def test_k_untied_responses_make_k_choose_2_pairs(K):
    assert len(ranking(*range(1, K + 1)).pairs) == comb(K, 2)


def test_the_better_response_comes_first_in_every_comparison():
    assert ranking(3, 1, 2).comparisons() == (("b", "a"), ("b", "c"), ("c", "a"))


@pytest.mark.parametrize("K", [2, 3, 4])
def test_the_accepted_ranks_are_those_that_some_scores_give(K):
    """Dense ranks (1 1 2) and competition ranks (1 1 3) of every list of K scores, and no others."""
    legal = set()
    for scores in product(range(K), repeat=K):
        if len(set(scores)) == 1:
            continue
        dense = {score: 1 + len({s for s in scores if s > score}) for score in scores}
        place = {score: 1 + sum(s > score for s in scores) for score in scores}
        legal |= {tuple(dense[s] for s in scores), tuple(place[s] for s in scores)}
    accepted = set()
    for ranks in product(range(-1, K + 2), repeat=K):
        with suppress(ValueError):
            accepted.add(ranking(*ranks).ranks)
    assert accepted == legal


@given(st.text(st.characters(blacklist_characters="\0", blacklist_categories=["Cs"])))
def test_any_other_text_is_kept_as_it_is(text):
    assert Demonstration("Q", text).completion == text


def test_a_record_can_be_a_key_of_a_dict():
    assert len({Prompt("Q", key={"a": 1}), Prompt("Q", key={"a": 1}), Prompt("R")}) == 2
