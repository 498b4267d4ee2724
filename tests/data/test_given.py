"""A source of what people have made: who gets which record, and text as rows of tokens."""

from dataclasses import replace
from random import Random

import pytest
import torch

from instructgpt_lite import presets
from instructgpt_lite.data.given import Given, Text, check_lengths
from instructgpt_lite.data.protocols import Source
from instructgpt_lite.data.records import DataError, Demonstration, Prompt, Ranking
from instructgpt_lite.data.tokenizers import word_tokenizer
from instructgpt_lite.world.world import World

SHOWN = [Demonstration(f"ask {n}", f"say {n}", category="chat") for n in range(6)]
RANKED = [Ranking(f"rank {n}", ("better", "worse"), (1, 2)) for n in range(4)]


def given(**changes) -> Given:
    parts = {"shown": SHOWN, "ranked": RANKED, "put_aside": RANKED[:1], "test": [Prompt("held out")],
             "heldout_rankings": {"people": RANKED[1:2]}, "text": "one two three", "demonstrated": 2,
             "ranking_prompts": 3}
    return Given(**parts | changes)


def test_prompts_come_shown_then_ranked_then_for_rl():
    assert [each.prompt for each in given().train] == [
        "ask 0", "ask 1", "rank 0", "rank 1", "rank 2", "ask 2", "ask 3", "ask 4", "ask 5"]


def test_no_prompt_of_rl_is_one_that_was_shown_or_ranked():
    train = [each.prompt for each in given().train]
    assert not set(train[5:]) & (set(train[:5]) | {each.prompt for each in given().demonstrations(2)})


def test_people_who_have_ranked_give_what_they_ranked_and_nothing_is_answered():
    source = given()
    assert source.rank(source.train[2:5], None, Random(0)) == RANKED[:3]
    assert source.rank([source.train[4]], None, Random(0)) == [RANKED[2]]


def test_more_demonstrations_than_there_are_is_refused():
    assert given().demonstrations(3, seed=9) == SHOWN[:3]
    with pytest.raises(ValueError, match="7 demonstrations are asked for, but there are 6: ask for fewer"):
        given().demonstrations(7)


@pytest.mark.parametrize("asked, said", [({"ranking_prompts": 5}, "collect.prompts is 5, but .* 4 are left"),
                                         ({"demonstrated": 7}, "demonstrations is 7, but .* 6 are left")])
def test_more_than_is_left_is_refused_before_anything_is_trained(asked, said):
    with pytest.raises(ValueError, match=f"{said} to learn from .*: ask for fewer"):
        given(**asked)


def test_held_out_rankings_and_the_second_models_are_those_given():
    assert given().heldout([], None, 0) == {"people": [RANKED[1]]} and given().second() == [RANKED[0]]


def test_a_page_shows_answered_prompts_and_ends_with_the_question():
    page = given().few_shot(Prompt("held out"), 2, Random(0)).split("\n")
    assert page[-2:] == ["Question: held out", "Answer:"] and len(page) == 6
    assert {page[0], page[2]} == {"Question: ask 0", "Question: ask 1"}


@pytest.mark.parametrize("source", [given(), World(prompts=600)], ids=["given", "world"])
def test_every_source_has_what_stages_ask_for(source):
    wanted = {name for name in vars(Source) if not name.startswith("_")} | set(Source.__annotations__)
    assert wanted and {name for name in wanted if not hasattr(source, name)} == set()


# Text

WORDS = word_tokenizer([*"abcdefgh", "."])


def rows(text: str, count: int = 50, length: int = 7, seed: int = 0):
    found = Text(text, WORDS).rows(count, length, torch.Generator().manual_seed(seed))
    assert found.shape == (count, length) and found.dtype == torch.long
    return [WORDS.convert_ids_to_tokens(row) for row in found.tolist()]


def test_rows_are_words_in_their_order_and_the_text_is_a_circle_with_an_end():
    circle = [*"abcdefgh", WORDS.eos_token]
    for row in rows("a b c d e f g h"):
        start = circle.index(row[0])
        assert row == [(circle + circle)[start + n] for n in range(7)]


def test_every_word_begins_a_row_sometimes():
    assert {row[0] for row in rows("a b c d e f g h", count=200)} == set("abcdefgh")


def test_a_text_shorter_than_a_row_goes_round_more_than_once():
    circle = ["a", "b", WORDS.eos_token] * 8
    assert all(row in (circle[:20], circle[1:21]) for row in rows("a b", length=20))


def test_the_end_of_a_document_is_the_tokenizers_own():
    eos = WORDS.eos_token
    found = {token for row in rows("a b <|endoftext|> c d", count=20) for token in row}
    assert eos in found and found <= {"a", "b", "c", "d", eos}


def test_rows_depend_on_the_generator_alone():
    assert rows("a b c d e f g h") == rows("a b c d e f g h")
    assert rows("a b c d e f g h") != rows("a b c d e f g h", seed=1)


@pytest.mark.parametrize("text", ["", "  \n", "word"])
def test_a_text_without_words_is_refused(text):
    with pytest.raises(DataError, match="data.text: got no words, expected pretraining text"):
        given(text=text)


def test_rows_longer_than_the_models_context_are_refused_with_the_flags_to_lower():
    check_lengths(presets.offline, 2_000)
    with pytest.raises(ValueError, match="ppo.ptx_length asks for 1024 tokens, the model's context is 1000: lower it"):
        check_lengths(presets.offline, 1_000)


def test_a_page_shows_no_more_examples_than_there_are():
    shown = given().few_shot(Prompt("asked"), 50, Random(0))
    assert shown.count("Question: ") == given().demonstrated + 1


def test_a_row_of_text_may_begin_in_a_long_gap():
    words = word_tokenizer(["ask", "say"])
    text = Text("ask" + " " * 5_000 + "say", words)
    assert len(text.row(100, 4)) == 4


def test_a_run_goes_on_with_the_same_data_only(tmp_path):
    given().settle(tmp_path)
    given().settle(tmp_path)
    other = replace(given(), shown=SHOWN[1:] + SHOWN[:1])
    with pytest.raises(ValueError, match="has learned from other data than is given now"):
        other.settle(tmp_path)
