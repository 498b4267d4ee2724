"""What a list of records must satisfy: what each check catches, and what it is known to miss."""

import os.path
import time
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from instructgpt_lite.data.curation import (
    cap_per_author,
    check_leakage,
    contradictions,
    drop_long_common_prefix,
    drop_pii,
    find_pii,
    fit,
    luhn,
    split_by_author,
    split_by_text,
)
from instructgpt_lite.data.records import DataError, Demonstration, Prompt, Ranking


def prompts(*texts):
    return [Prompt(text) for text in texts]


@given(st.lists(st.text("ab", min_size=1, max_size=6), max_size=8), st.integers(1, 6))
def test_of_two_prompts_with_a_long_common_prefix_the_later_goes(texts, length):
    """Against every earlier prompt, by the definition."""
    gone = [any(earlier == text or len(os.path.commonprefix([earlier, text])) >= length
                for earlier in texts[:place]) for place, text in enumerate(texts)]
    kept = drop_long_common_prefix(prompts(*texts), length)
    assert [record.prompt for record in kept] == [text for text, drop in zip(texts, gone) if not drop]


def test_case_and_spacing_do_not_hide_a_common_prefix():
    kept = drop_long_common_prefix(prompts("Write a poem.", "x", "write  A poem, please"), length=10)
    assert [record.prompt for record in kept] == ["Write a poem.", "x"]


def test_a_paraphrase_passes_the_prefix_heuristic():
    assert len(drop_long_common_prefix(prompts("Please write a poem.", "Write a poem."), length=5)) == 2


def test_each_author_keeps_the_first_200_prompts():
    records = [Prompt(f"{row}", author="ab"[row % 2]) for row in range(450)] + [Prompt("last", author="c")]
    kept = cap_per_author(records)
    assert Counter(record.author for record in kept) == {"a": 200, "b": 200, "c": 1}
    assert kept == records[:400] + records[450:]


@pytest.mark.parametrize("curate", [cap_per_author, lambda rows: split_by_author(rows, {"train": 1}, 0)])
def test_a_prompt_without_an_author_is_named(curate):
    with pytest.raises(ValueError, match="^row 2: author: got none, expected who wrote the prompt"):
        curate([Prompt("a", author="x"), Prompt("b")])


SHARES = {"train": 0.7, "valid": 0.2, "test": 0.1}


def test_no_author_is_in_two_splits_and_no_prompt_is_lost():
    records = [Prompt(f"{row}", author=f"user {row % 300}") for row in range(900)]
    splits = split_by_author(records, SHARES, seed=1)
    authors = {name: {record.author for record in part} for name, part in splits.items()}
    assert list(splits) == ["train", "valid", "test"]
    assert sum(map(len, authors.values())) == len(set.union(*authors.values())) == 300
    assert Counter(record for part in splits.values() for record in part) == Counter(records)


def test_the_shares_are_those_of_the_authors_on_average():
    splits = split_by_author([Prompt("Q", author=str(number)) for number in range(10_000)], SHARES, seed=0)
    for name, share in SHARES.items():                     # five standard deviations of a binomial
        assert abs(len(splits[name]) - 10_000 * share) < 5 * (10_000 * share * (1 - share)) ** 0.5


def test_an_author_stays_in_a_split_when_others_come_and_moves_with_the_seed():
    few = [Prompt("Q", author=f"{number}") for number in range(100)]
    more = [Prompt("Q", author=f"new {number}") for number in range(100)] + few[::-1]
    first, second = (split_by_author(records, SHARES, seed=0) for records in (few, more))
    for name in SHARES:
        assert {r.author for r in first[name]} <= {r.author for r in second[name]}
    assert split_by_author(few, SHARES, seed=1) != first


def test_the_split_of_an_author_is_the_same_on_every_machine():
    """SHA-256 of '[0, "ann"]' is 0.74346 of the way, worked out with sha256sum."""
    for share, name in [(0.7434, "b"), (0.7435, "a")]:
        assert [key for key, part in split_by_author([Prompt("Q", author="ann")],
                {"a": share, "b": 1 - share}, seed=0).items() if part] == [name]


@pytest.mark.parametrize("shares", [{}, {"a": 0.5}, {"a": 1.5, "b": -0.5}, {"a": 0.9, "b": 0.2}])
def test_shares_that_are_no_shares_are_refused(shares):
    with pytest.raises(ValueError, match="^shares: got"):
        split_by_author([], shares, seed=0)


@pytest.mark.parametrize("curate", [lambda: drop_long_common_prefix([], 0), lambda: cap_per_author([], 0)])
def test_a_limit_below_one_is_refused(curate):
    with pytest.raises(ValueError, match="got 0, expected at least 1"):
        curate()


PERSONAL = [
    ("write to ann.smith+x@mail.example.org today", ["email"]),
    ("card 4111 1111 1111 1111 expires soon", ["card"]), ("4111-1111-1111-1111", ["card"]),
    ("amex 378282246310005", ["card"]),
    ("server 192.168.0.12.", ["ip"]), ("at 2001:db8::ff00:42:8329 now", ["ip"]),
    ("SSN 078-05-1120", ["ssn"]),
    ("call +44 20 7946 0958", ["phone"]), ("call (555) 123-4567", ["phone"]), ("555-123-4567", ["phone"]),
    ("I live at 12 Baker Street", ["address"]), ("1600 Pennsylvania Ave", ["address"]),
    ("a@b.co or 10.0.0.1", ["email", "ip"]),
    ("order 4111 1111 1111 1112, card 4111 1111 1111 1111", ["card"]), ("not 300.1.1.1, 10.0.0.1", ["ip"]),
]
INNOCENT = [
    "ann at example dot org", "look @ this", "4111 1111 1111 1112", "12345", "pi is 3.14159265358979",
    "300.1.1.1", "version 1.2.3", "1.2.3.4.5", "at 12:30:45", "std::vector", "in 1990-2000", "555 1234",
    "the year 2024", "12 angry men on Baker Street", "2 + 2 = 4", "ISBN 978-3-16-148410-0 is a book",
]


@pytest.mark.parametrize("text, kinds", PERSONAL)
def test_personal_data_with_a_shape_is_found(text, kinds):
    assert find_pii(text) == kinds


@pytest.mark.parametrize("text", INNOCENT)
def test_text_without_that_shape_passes(text):
    assert find_pii(text) == []


def test_a_record_goes_for_its_prompt_or_its_response():
    records = [Prompt("Q"), Prompt("I am a@b.co, 10.0.0.1"), Demonstration("Mail?", "a@b.co")]
    assert drop_pii(records) == records[:1]


@given(st.text("0123456789", min_size=12, max_size=18))
def test_one_digit_of_ten_completes_a_card_number_and_one_wrong_digit_breaks_it(digits):
    complete = [digits + check for check in "0123456789" if luhn(digits + check)]
    assert len(complete) == 1
    wrong = complete[0][:5] + str((int(complete[0][5]) + 1) % 10) + complete[0][6:]
    assert not luhn(wrong)


@pytest.mark.parametrize("text", ["a" * 50_000, "1" * 50_000, "1 " * 25_000, ":" * 50_000, "a@" * 25_000,
                                  "+1" * 25_000, "1 Aa " * 10_000, "1." * 25_000, "a." * 25_000])
def test_no_text_makes_the_search_slow(text):
    """Milliseconds; a quadratic search of 50,000 characters takes minutes."""
    start = time.process_time()
    find_pii(text)
    assert time.process_time() - start < 5


def pair(better, worse, prompt="Q", labeler=""):
    return Ranking(prompt, (better, worse), (1, 2), labeler)


def test_both_orders_of_one_pair_contradict():
    faults = contradictions({4: pair("a", "b"), 7: pair("b", "c"), 9: pair("b", "a")})
    assert list(faults) == [9] and "'b' over 'a'" in str(faults[9]) and "in row 4" in str(faults[9])


def test_a_longer_ranking_contradicts_through_any_of_its_pairs():
    four = Ranking("Q", ("a", "b", "c", "d"), (1, 2, 3, 4))
    assert list(contradictions({1: four, 2: pair("d", "b")})) == [2]


@pytest.mark.parametrize("other", [pair("b", "a", prompt="R"), pair("b", "a", labeler="M"), pair("a", "b"),
                                   pair("b", "c"), Ranking("Q", ("a", "b", "c"), (1, 1, 2))])
def test_another_prompt_labeler_pair_or_a_tie_does_not_contradict(other):
    assert contradictions({1: pair("a", "b"), 2: other}) == {}


def test_a_prompt_on_both_sides_leaks_in_any_case_width_and_spacing():
    train = [Prompt("Who is Ann?"), Prompt("Where?"), Prompt("who is ann?")]
    test = [Prompt("When?"), pair("a", "b", prompt="  WHO  is\nＡnn? ")]
    with pytest.raises(DataError, match="1 held-out texts of 2 rows leak from the 3 of training") as caught:
        check_leakage(train, test)
    assert len(caught.value.faults) == 1
    assert "held-out row 2: got '  WHO" in caught.value.faults[0] and "(row 1)" in caught.value.faults[0]


def test_other_prompts_do_not_leak():
    check_leakage([Prompt("Who is Ann?")], [Prompt("Who is Bo?")])
    check_leakage([], [Prompt("a")])
    check_leakage([Prompt("a")], [])


def test_a_response_on_both_sides_is_found_under_another_prompt_and_in_other_letters():
    train = [Ranking("Q", ("a b", "c"), (1, 2))]
    heldout = [Ranking("R", ("d", "e"), (1, 2)), Ranking("R", ("A  b", "f"), (2, 1))]
    with pytest.raises(DataError, match="1 held-out texts of 2 rows leak") as caught:
        check_leakage(train, heldout, responses=True)
    assert caught.value.faults[0].startswith("held-out row 2: got 'A  b', which training has too (row 1)")
    check_leakage(train, heldout[:1], responses=True)
    check_leakage(train, heldout)


LINE = "{}\n".format


def test_a_row_is_prompt_newline_response_and_end_of_text():
    """Tokens are characters here, so every length can be counted by eye."""
    record = Demonstration("12345", "123")
    assert fit([record], LINE, str, 10) == [record]
    with pytest.raises(DataError, match="none of 1 rows fits: the shortest has 10 tokens, expected at most 9"):
        fit([record], LINE, str, 9)


def test_a_ranking_counts_its_longest_response():
    record = Ranking("12345", ("1", "123", "12"), (1, 2, 3))
    assert fit([record], LINE, str, 10) == [record]
    with pytest.raises(DataError, match="the shortest has 10 tokens"):
        fit([record], LINE, str, 9)


def test_what_is_too_long_is_left_out_and_the_shortest_shown_where_nothing_stays():
    short, long = Demonstration("Q", "a"), Demonstration("Q" * 9, "a")
    assert fit([long, short, long], LINE, str, 5) == [short]
    with pytest.raises(DataError, match="none of 2 rows fits: the shortest has 9 tokens"):
        fit([Prompt("x" * 9), Prompt("x" * 8)], LINE, str, 5)
    with pytest.raises(DataError, match="none of 0 rows"):
        fit([], LINE, str, 5)


@pytest.mark.parametrize("share", [0, 1])
def test_a_side_without_texts_is_refused(share):
    with pytest.raises(ValueError, match=f"heldout_share: got {share}, which puts all 2 rows on one side; change it"):
        split_by_text(["a", "b"], str, share)


def test_where_all_have_one_prompt_no_share_is_said_to_help():
    with pytest.raises(ValueError, match="all are equal, so no share helps, or give .*--heldout"):
        split_by_text(["Same?", "same? "], str, 0.5)
