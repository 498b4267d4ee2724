"""What a list of records must satisfy. Tokens are characters here, so every length can be counted by eye."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from instructgpt_lite.data.audit import check_leakage, contradictions, fit, length_baseline
from instructgpt_lite.data.records import DataError, Demonstration, Prompt, Ranking


def pair(better, worse, prompt="Q", labeler=""):
    return Ranking(prompt, (better, worse), (1, 2), labeler)


def test_both_orders_of_one_pair_contradict():
    faults = contradictions({4: pair("a", "b"), 7: pair("b", "c"), 9: pair("b", "a")})
    assert list(faults) == [9] and "'b' over 'a'" in str(faults[9]) and "in line 4" in str(faults[9])


def test_a_longer_ranking_contradicts_through_any_of_its_pairs():
    four = Ranking("Q", ("a", "b", "c", "d"), (1, 2, 3, 4))
    assert list(contradictions({1: four, 2: pair("d", "b")})) == [2]


@pytest.mark.parametrize("other", [pair("b", "a", prompt="R"), pair("b", "a", labeler="M"), pair("a", "b"),
                                   pair("b", "c"), Ranking("Q", ("a", "b", "c"), (1, 1, 2))])
def test_another_prompt_labeler_pair_or_a_tie_does_not_contradict(other):
    assert contradictions({1: pair("a", "b"), 2: other}) == {}


def test_the_length_baseline_takes_the_better_direction_and_counts_equal_lengths_against_it():
    longer, shorter, equal = pair("aaa", "b"), pair("a", "bb"), pair("a", "b")
    assert length_baseline([longer, shorter, shorter, equal]) == (0.5, 4)
    assert length_baseline([longer, longer, equal, equal, equal]) == (0.4, 5)
    assert length_baseline([Ranking("Q", ("a", "aa", "aaa"), (3, 2, 1))]) == (1.0, 3)
    assert length_baseline([]) == (0.0, 0)


def test_a_prompt_on_both_sides_leaks_in_any_case_width_and_spacing():
    train = [Prompt("Who is Ann?"), Prompt("Where?"), Prompt("who is ann?")]
    test = [Prompt("When?"), pair("a", "b", prompt="  WHO  is\nＡnn? ")]
    with pytest.raises(DataError, match="1 of 2 test prompts leak from the 3 of training") as caught:
        check_leakage(train, test)
    assert len(caught.value.faults) == 1
    assert "test row 2: prompt:" in caught.value.faults[0] and "(train row 1)" in caught.value.faults[0]


def test_other_prompts_do_not_leak():
    check_leakage([Prompt("Who is Ann?")], [Prompt("Who is Bo?")])
    check_leakage([], [Prompt("a")])
    check_leakage([Prompt("a")], [])


def test_a_row_is_prompt_newline_response_and_end_of_text():
    record = Demonstration("12345", "123")
    assert fit([record], list, 10)[1] == {"kept": 1, "truncated": 0, "dropped": 0}
    with pytest.raises(DataError, match=r"got 6 \+ 4 for the response = 10 tokens, expected at most 9"):
        fit([record], list, 9)


def test_a_ranking_counts_its_longest_response():
    record = Ranking("12345", ("1", "123", "12"), (1, 2, 3))
    assert fit([record], list, 10)[0] == [record]
    with pytest.raises(DataError, match=r"6 \+ 4"):
        fit([record], list, 9)


def test_a_prompt_leaves_room_for_new_tokens():
    with pytest.raises(DataError, match=r"got 60 \+ 20 for the response = 80 tokens, expected at most 64; "
                                        "shorten it by 16"):
        fit([Prompt("x" * 59)], list, 64, new_tokens=20)
    assert fit([Prompt("x" * 43)], list, 64, new_tokens=20)[1]["kept"] == 1


def test_what_is_too_long_is_dropped_and_counted():
    short, long = Demonstration("Q", "a"), Demonstration("Q" * 9, "a")
    assert fit([long, short, long], list, 5) == ([short], {"kept": 1, "truncated": 0, "dropped": 2})


def test_policy_error_names_every_long_row():
    with pytest.raises(DataError, match="2 of 3 records are too long") as caught:
        fit([Prompt("x" * 9), Prompt("x"), Prompt("x" * 8)], list, 5, policy="error")
    assert [fault[:6] for fault in caught.value.faults] == ["row 1:", "row 3:"]


def test_truncation_keeps_the_end_of_the_prompt_from_the_start_of_a_word():
    kept, counts = fit([Demonstration("one two three", "ab", author="L")], list, 13, policy="truncate-left")
    assert kept == [Demonstration("two three", "ab", author="L")]
    assert counts == {"kept": 1, "truncated": 1, "dropped": 0}


def test_a_row_is_dropped_when_not_even_one_word_can_stay():
    records = [Demonstration("one two", "a" * 20), Demonstration("elephants", "a"), Demonstration("b", "a")]
    kept, counts = fit(records, list, 8, policy="truncate-left")
    assert kept == records[2:] and counts == {"kept": 1, "truncated": 0, "dropped": 2}


def test_no_usable_record_is_an_error_that_shows_the_shortest():
    with pytest.raises(DataError, match=r"0 usable records of 2: 2 too long; the shortest: .* got 9 \+ 0"):
        fit([Prompt("x" * 9), Prompt("x" * 8)], list, 5)
    with pytest.raises(DataError, match="0 usable records of 0: 0 too long$"):
        fit([], list, 5)


def test_an_unknown_policy_is_refused():
    with pytest.raises(ValueError, match="policy: got 'cut', expected 'drop', 'error' or 'truncate-left'"):
        fit([Prompt("x")], list, 5, policy="cut")


@given(st.lists(st.text("ab \n", min_size=1, max_size=30).filter(str.strip), min_size=1),
       st.integers(1, 30), st.sampled_from(["drop", "truncate-left"]))
def test_everything_kept_fits_and_ends_as_it_did(prompts, context, policy):
    try:
        kept, counts = fit([Demonstration(prompt, "c") for prompt in prompts], list, context, policy)
    except DataError:
        kept, counts = [], {"kept": 0, "dropped": len(prompts)}
    assert all(len(record.prompt) + 1 + 2 <= context for record in kept)
    assert all(any(prompt.endswith(record.prompt) for prompt in prompts) for record in kept)
    words_fit = [len(prompt.split()[-1]) + len(prompt) - len(prompt.rstrip()) + 3 <= context
                 if policy == "truncate-left" else len(prompt) + 3 <= context for prompt in prompts]
    assert counts["kept"] == len(kept) == sum(words_fit)
    assert counts["dropped"] == len(prompts) - len(kept)
