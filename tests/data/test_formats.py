"""Rows and records: TRL's forms are understood, and nothing is lost."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from instructgpt_lite.data.formats import from_rows, grouped, to_rows
from instructgpt_lite.data.records import Demonstration, Prompt, Ranking


def user(text):
    return {"role": "user", "content": text}


def assistant(text):
    return {"role": "assistant", "content": text}


HUMAN = "\n\nHuman: Hi\n\nAssistant: Ho\n\nHuman: Who?\n\nAssistant:"
SYSTEM = {"role": "system", "content": "Be kind."}

MANUAL = [  # the examples of TRL's manual, and what they say
    (Prompt, {"prompt": "The sky is"}, Prompt("The sky is")),
    (Prompt, {"prompt": [user("What color is the sky?")]}, Prompt("What color is the sky?")),
    (Demonstration, {"prompt": "The sky is", "completion": " blue."}, Demonstration("The sky is", " blue.")),
    (Demonstration, {"prompt": [user("Sky?")], "completion": [assistant("Blue.")]},
     Demonstration("Sky?", "Blue.")),
    (Ranking, {"prompt": "The sky is", "chosen": " blue.", "rejected": " green."},
     Ranking("The sky is", (" blue.", " green."), (1, 2))),
    (Ranking, {"chosen": "The sky is blue.", "rejected": "The sky is green."},
     Ranking("The sky is", (" blue.", " green."), (1, 2))),
    (Ranking, {"chosen": "The sky is blue.", "rejected": "The sky is black."},
     Ranking("The sky is", (" blue.", " black."), (1, 2))),
    (Ranking, {"chosen": f"{HUMAN} I am Bo.", "rejected": f"{HUMAN} I go."},
     Ranking(HUMAN, (" I am Bo.", " I go."), (1, 2))),
    (Ranking, {"prompt": [user("Sky?")], "chosen": [assistant("Blue.")], "rejected": [assistant("Green.")]},
     Ranking("Sky?", ("Blue.", "Green."), (1, 2))),
    (Ranking, {"chosen": [user("Sky?"), assistant("Blue.")], "rejected": [user("Sky?"), assistant("Green.")]},
     Ranking("Sky?", ("Blue.", "Green."), (1, 2))),
    (Ranking, {"prompt": "Q", "completions": ["a", "b", "c"], "ranks": [2, 1, 2], "labeler": "L"},
     Ranking("Q", ("a", "b", "c"), (2, 1, 2), "L")),
]


@pytest.mark.parametrize("kind, row, record", MANUAL)
def test_a_row_of_the_manual_is_read_as_it_is_meant(kind, row, record):
    before = json.dumps(row)
    assert from_rows(kind, [row]) == record
    assert json.dumps(row) == before


def test_a_conversation_becomes_text_and_keeps_its_turns():
    turns = [SYSTEM, user("Hi"), assistant("Hello."), user("Sky?")]
    row = {"prompt": turns, "chosen": [assistant("Blue.")], "rejected": [assistant("Green.")]}
    record = from_rows(Ranking, [row])
    assert record.prompt == "system: Be kind.\nuser: Hi\nassistant: Hello.\nuser: Sky?"
    assert to_rows(record, "preference", conversational=True) == [row]
    implicit = {"chosen": turns + row["chosen"], "rejected": turns + row["rejected"]}
    assert from_rows(Ranking, [implicit]) == record
    assert to_rows(record, "implicit", conversational=True) == [implicit]


def test_an_edited_prompt_goes_out_as_it_now_reads():
    record = Prompt("new", extra={"conversation": [user("old"), assistant("so"), user("older")]})
    assert to_rows(record, conversational=True)[0]["prompt"] == [user("new")]


def test_a_plain_pair_is_a_plain_row():
    assert to_rows(Ranking("Q", ("a", "b"), (1, 2)), "preference") == [
        {"prompt": "Q", "chosen": "a", "rejected": "b"}]


def test_three_responses_make_three_rows_that_know_their_places():
    rows = to_rows(Ranking("Q", ("a", "b", "c"), (3, 1, 2), "L"), "preference", number=5)
    assert [(row["chosen"], row["rejected"]) for row in rows] == [("b", "a"), ("b", "c"), ("c", "a")]
    assert rows[0] == {"prompt": "Q", "chosen": "b", "rejected": "a", "labeler": "L",
                       "ranking": {"id": 5, "pair": [1, 0], "ranks": [3, 1, 2]}}


def test_pairs_of_two_rankings_may_be_shuffled_together():
    records = [Ranking("Q", ("a", "b", "c"), (3, 1, 2)), Ranking("R", ("a", "b", "c"), (1, 1, 2))]
    rows = [row for number in (0, 1) for row in to_rows(records[number], "preference", number=number)]
    mixed = dict(enumerate([rows[3], rows[1], rows[4], rows[0], rows[2]], start=1))
    groups = grouped(mixed)
    assert list(groups) == [1, 2]
    assert [from_rows(Ranking, group) for group in groups.values()] == records[::-1]


LETTERS = st.text(st.characters(blacklist_characters="\0", blacklist_categories=["Cs"]), max_size=12)
WORDS = LETTERS.filter(lambda text: text.strip())
FINITE = st.floats(allow_nan=False, allow_infinity=False)
JSON = st.recursive(st.none() | st.booleans() | st.integers() | FINITE | LETTERS,
                    lambda part: st.lists(part, max_size=2) | st.dictionaries(LETTERS, part, max_size=2),
                    max_leaves=4)
RESERVED = {"prompt", "completion", "completions", "ranks", "chosen", "rejected", "ranking",
            "category", "author", "labeler", "key"}
REST = {"category": LETTERS, "key": st.dictionaries(LETTERS, JSON, max_size=2),
        "extra": st.dictionaries(LETTERS.filter(lambda name: name not in RESERVED), JSON, max_size=2)}


@st.composite
def rankings(draw):
    texts = draw(st.lists(LETTERS, min_size=2, max_size=5, unique=True))
    scores = draw(st.lists(st.integers(0, 3), min_size=len(texts), max_size=len(texts)).filter(
        lambda numbers: len(set(numbers)) > 1))
    ranks = [1 + sum(other > score for other in scores) for score in scores]
    return Ranking(draw(WORDS), texts, ranks, draw(LETTERS), **{name: draw(REST[name]) for name in REST})


RECORDS = (st.builds(Prompt, WORDS, author=LETTERS, **REST)
           | st.builds(Demonstration, WORDS, LETTERS, author=LETTERS, **REST) | rankings())


@given(RECORDS, st.booleans(), st.booleans())
def test_reading_gives_back_what_was_written(record, pairs, conversational):
    form = "preference" if pairs and isinstance(record, Ranking) else "ours"
    rows = json.loads(json.dumps(to_rows(record, form, conversational)))
    assert from_rows(type(record), rows) == record


@given(rankings(), st.booleans())
def test_an_implicit_prompt_is_written_only_if_it_can_be_read_again(record, conversational):
    try:
        rows = to_rows(record, "implicit", conversational)
    except ValueError as fault:
        assert "form='preference'" in str(fault)
    else:
        assert not any("prompt" in row for row in rows)
        assert from_rows(Ranking, json.loads(json.dumps(rows))) == record


MARK = {"id": 0, "pair": [0, 1], "ranks": [1, 2, 2]}
PAIR = {"prompt": "Q", "chosen": "a", "rejected": "b", "ranking": MARK}
OTHER = {"prompt": "Q", "chosen": "a", "rejected": "c", "ranking": MARK | {"pair": [0, 2]}}
FAULTS = [
    (Prompt, [{"promt": "Q"}], "prompt: got only the fields 'promt', .*did you mean 'prompt' by 'promt'"),
    (Prompt, [{}], r"prompt: got only the fields \(none\), expected this one too; add it"),
    (Prompt, [{"prompt": "Q", "completion": "a"}], "completion: got a field that a Prompt has not"),
    (Prompt, [{"prompt": []}], "prompt: got .*a list of messages"),
    (Prompt, [{"prompt": [{"role": "user"}]}], "prompt: got .*a list of messages"),
    (Prompt, [{"prompt": [{"role": "user", "content": None}]}], "prompt: got .*a list of messages"),
    (Prompt, [{"prompt": [user("a"), user("b")], "conversation": 1}], "conversation: got one beside"),
    (Demonstration, [{"prompt": "Q", "Completion": "a"}], "completion: .*by 'Completion'"),
    (Demonstration, [{"prompt": "Q", "completion": ["a"]}], "completion: got .*expected text"),
    (Demonstration, [{"prompt": [user("Q")], "completion": "a"}], "completion: got 'a' .*messages"),
    (Demonstration, [{"prompt": [user("Q")], "completion": [user("a")]}], "completion: got 1 messages.*user"),
    (Demonstration, [{"prompt": [user("Q")], "completion": [assistant("a")] * 2}], "completion: got 2 mess"),
    (Demonstration, [{"prompt": "Q", "completion": "a", "author": None}], "author: got None"),
    (Ranking, [{"prompt": "Q", "completions": ["a", "b"]}], "ranks: got only the fields"),
    (Ranking, [{"prompt": "Q", "completions": ["a", "b"], "rank": [1, 2]}], "ranks: .*by 'rank'"),
    (Ranking, [{"prompt": "Q", "completions": ["a", "b"], "ranks": [1, 2], "chosen": "a"}], "chosen: got a "),
    (Ranking, [{"prompt": "Q", "chosen": "a", "rejcted": "b"}], "rejected: .*by 'rejcted'"),
    (Ranking, [{"prompt": "Q", "chosen": "a", "rejected": "a"}], "rejected: got the same as chosen"),
    (Ranking, [{"prompt": "Q", "chosen": "a", "rejected": [user("a")]}], "rejected: got .*both text"),
    (Ranking, [{"promt": "It", "chosen": "It is", "rejected": "It was"}], "prompt: .*by 'promt'"),
    (Ranking, [{"chosen": "Yes it is", "rejected": "No"}], "prompt: got no such field, and chosen"),
    (Ranking, [{"chosen": [assistant("a")], "rejected": [assistant("b")]}], "prompt: got no such field, and"),
    (Ranking, [{"chosen": [user("Q")], "rejected": [user("Q"), assistant("b")]}], "prompt: got no such"),
    (Ranking, [PAIR | {"ranking": 3}], "ranking: got 3"),
    (Ranking, [PAIR | {"ranking": MARK | {"pair": [0, 3]}}], "ranking: got {"),
    (Ranking, [PAIR | {"ranking": MARK | {"pair": [0, "1"]}}], "ranking: got {"),
    (Ranking, [PAIR], r"ranking: got pairs \[\(0, 1\)\] of ranking 0, expected each"),
    (Ranking, [PAIR, PAIR, OTHER], r"ranking: got pairs \[\(0, 1\), \(0, 1\), \(0, 2\)\]"),
    (Ranking, [PAIR, OTHER | {"chosen": "x"}], "ranking: got a pair 0, 2 unlike"),
    (Ranking, [PAIR, OTHER | {"prompt": "x"}], "ranking: got a pair 0, 2 unlike"),
    (Ranking, [PAIR, OTHER | {"labeler": "x"}], "ranking: got a pair 0, 2 unlike"),
    (Ranking, [PAIR, OTHER | {"ranking": MARK | {"pair": [0, 2], "ranks": [1, 2, 3]}}], "ranking: got a p"),
]


@pytest.mark.parametrize("kind, rows, message", FAULTS)
def test_a_fault_names_its_field_and_the_fix(kind, rows, message):
    with pytest.raises(ValueError, match="^" + message):
        from_rows(kind, rows)


@pytest.mark.parametrize("record, form", [(Prompt("Q"), "preference"), (Prompt("Q"), "csv"),
                                          (Ranking("Q", ("a", "b"), (1, 2)), "trl")])
def test_an_unknown_form_is_refused(record, form):
    with pytest.raises(ValueError, match=f"form: got '{form}' for a {type(record).__name__}"):
        to_rows(record, form)
