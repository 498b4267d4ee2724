"""Rows and records: every known shape is read as it is meant, every other row refused by field."""

import json
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from instructgpt_lite.data.formats import could_ask, from_row, to_row
from instructgpt_lite.data.records import Demonstration, Prompt, Ranking


def user(text):
    return {"role": "user", "content": text}


def assistant(text):
    return {"role": "assistant", "content": text}


HUMAN = "\n\nHuman: Hi\n\nAssistant: Ho\n\nHuman: Who?\n\nAssistant:"
SYSTEM = {"role": "system", "content": "Be kind."}
SKY = Ranking("The sky", (" is blue.", " was green."), (1, 2))
BLUE = Ranking("Sky?", ("Blue.", "Green."), (1, 2))

ROWS = [
    # TRL's manual
    (Prompt, {"prompt": "The sky is"}, Prompt("The sky is")),
    (Prompt, {"prompt": [user("Sky?")]}, Prompt("Sky?")),
    (Demonstration, {"prompt": "The sky", "completion": " is blue."}, Demonstration("The sky", " is blue.")),
    (Demonstration, {"prompt": [user("Sky?")], "completion": [assistant("Blue.")]}, Demonstration("Sky?", "Blue.")),
    (Ranking, {"prompt": "The sky", "chosen": " is blue.", "rejected": " was green."}, SKY),
    (Ranking, {"chosen": "The sky is blue.", "rejected": "The sky was green."}, SKY),
    (Ranking, {"chosen": "The sky is blue.", "rejected": "The sky is black."},
     Ranking("The sky is", (" blue.", " black."), (1, 2))),
    (Ranking, {"chosen": f"{HUMAN} I am Bo.", "rejected": f"{HUMAN} I go."},
     Ranking(HUMAN, (" I am Bo.", " I go."), (1, 2))),
    (Ranking, {"prompt": [user("Sky?")], "chosen": [assistant("Blue.")], "rejected": [assistant("Green.")]}, BLUE),
    (Ranking, {"chosen": [user("Sky?"), assistant("Blue.")], "rejected": [user("Sky?"), assistant("Green.")]}, BLUE),
    (Ranking, {"prompt": "Q", "completions": ["a", "b", "c"], "ranks": [2, 1, 2], "labeler": "L"},
     Ranking("Q", ("a", "b", "c"), (2, 1, 2), "L")),
    # what is empty is not there
    (Ranking, {"prompt": "Q", "completions": ["a", "b"], "ranks": [1, 2], "labeler": None, "key": None},
     Ranking("Q", ("a", "b"), (1, 2))),
    # a system column, and the prompt said again
    (Ranking, {"system": "Be kind.", "prompt": "Sky?", "chosen": "Blue.", "rejected": "Green."},
     Ranking("system: Be kind.\nuser: Sky?", ("Blue.", "Green."), (1, 2))),
    (Demonstration, {"system": " ", "prompt": "Sky?", "completion": "Blue."}, Demonstration("Sky?", "Blue.")),
    (Ranking, {"prompt": "The sky", "chosen": "The sky is blue.", "rejected": "The sky was green."}, SKY),
    (Ranking, {"prompt": "The sky", "chosen": "The sky is blue.", "rejected": "It was green."},
     Ranking("The sky", ("The sky is blue.", "It was green."), (1, 2))),
    (Ranking, {"prompt": "No", "chosen": "Now.", "rejected": "None."}, Ranking("No", ("Now.", "None."), (1, 2))),
    (Ranking, {"prompt": "Say it", "completions": ["Say it a", "Say it b"], "ranks": [1, 2]},
     Ranking("Say it", ("Say it a", "Say it b"), (1, 2))),              # ours is read as it stands
    # data sets by their columns
    (Demonstration, {"instruction": "Q", "input": "in full", "output": "A"}, Demonstration("Q\n\nin full", "A")),
    (Demonstration, {"instruction": "Q", "input": "", "output": "A"}, Demonstration("Q", "A")),
    (Demonstration, {"instruction": "Q", "context": "c", "response": "A"}, Demonstration("Q\n\nc", "A")),
    (Demonstration, {"prompt": "Q", "label": "A"}, Demonstration("Q", "A")),
    (Demonstration, {"messages": [user("Q"), assistant("A")]}, Demonstration("Q", "A")),
    (Demonstration, {"conversations": [{"from": "human", "value": "Q"}, {"from": "gpt", "value": "A"}]},
     Demonstration("Q", "A")),
    (Ranking, {"instruction": "Q", "input": "i", "chosen": "a", "rejected": "b"},
     Ranking("Q\n\ni", ("a", "b"), (1, 2))),
    (Ranking, {"prompt": "Q", "answers": [{"answer": "a", "rank": 2.0}, {"answer": "b", "rank": 1.0},
                                          {"answer": "c", "rank": 2.0}, {"answer": "d", "rank": 7.0}]},
     Ranking("Q", ("a", "b", "c", "d"), (2, 1, 2, 3))),
    (Ranking, {"instruction": "Q", "completions": [{"response": "a", "overall_score": 3.0},
                                                   {"response": "b", "overall_score": 8.5}]},
     Ranking("Q", ("a", "b"), (2, 1))),
    (Ranking, {"history": "Q", "human_ref_A": "a", "human_ref_B": "b", "labels": 1},
     Ranking("Q", ("a", "b"), (1, 2))),
    (Ranking, {"history": "Q", "human_ref_A": "a", "human_ref_B": "b", "labels": "0"},
     Ranking("Q", ("a", "b"), (2, 1))),
    (Ranking, {"history": "Q", "human_ref_A": "a", "human_ref_B": "b", "labels": 0.0},      # where one is missing
     Ranking("Q", ("a", "b"), (2, 1))),
    (Ranking, {"question": "Q", "preference": [1, 0, 2, 2, 2, 2]} | {f"prediction {n}": t for n, t in
                                                                      zip((1, 2, 3, 4), "acbd")},
     Ranking("Q", ("a", "c", "b", "d"), (2, 3, 2, 1))),
    (Ranking, {"info": {"id": "x", "title": "T", "subreddit": "s", "post": "P", "article": None}, "choice": 1,
               "summaries": [{"text": " a", "policy": "sup"}, {"text": " b", "policy": "ref"}], "worker": "W"},
     Ranking("SUBREDDIT: s\n\nTITLE: T\n\nPOST: P\n\nTL;DR:", (" a", " b"), (2, 1), "W")),
    (Ranking, {"info": {"article": "A", "post": None}, "choice": 0, "summaries": [{"text": "a"}, {"text": "b"}]},
     Ranking("ARTICLE: A\n\nTL;DR:", ("a", "b"), (1, 2))),
    (Ranking, {"instruction": "Q", "input": "i", "output_1": "a", "output_2": "b", "preference": 2},
     Ranking("Q\n\ni", ("a", "b"), (2, 1))),
]


@pytest.mark.parametrize("kind, row, record", ROWS, ids=range(len(ROWS)))
def test_a_row_of_a_known_shape_is_read_as_it_is_meant(kind, row, record):
    before = json.dumps(row)
    assert from_row(kind, row) == record
    assert json.dumps(row) == before


def test_a_prompt_in_a_column_of_another_name_is_read_by_that_name():
    row = {"system": "Be kind.", "question": "Sky?", "chosen": "It is blue.", "rejected": "It is green."}
    assert from_row(Ranking, row, "question") == Ranking(
        "system: Be kind.\nuser: Sky?", ("It is blue.", "It is green."), (1, 2))
    chats = {"conversations": [{"from": "human", "value": "Sky?"}], "chosen": {"from": "gpt", "value": "Blue."},
             "rejected": {"from": "gpt", "value": "Green."}}
    assert from_row(Ranking, chats, "conversations") == BLUE


def test_a_column_named_for_the_prompt_must_be_there_unless_the_prompt_is():
    row = {"chosen": "It is blue.", "rejected": "It is green.", "question": None}
    with pytest.raises(ValueError, match="^question: got only the fields 'chosen', 'rejected'"):
        from_row(Ranking, row, "question")
    assert from_row(Ranking, row | {"prompt": "Sky?"}, "question").prompt == "Sky?"
    assert from_row(Ranking, row | {"prompt": "Sky?", "question": "Why?"}, "question").prompt == "Why?"


def test_a_prompt_is_never_made_up_beside_a_column_that_may_hold_one():
    row = {"question": "Sky?", "chosen": "It is blue.", "rejected": "It is green."}
    assert could_ask([row]) == ["question"]
    with pytest.raises(ValueError, match="^prompt: got no such field, and 'question' may hold it.*"
                                         "--prompt-column question;.*--prompt-column chosen"):
        from_row(Ranking, row, rivals=["question"])
    assert from_row(Ranking, row, "chosen", rivals=["question"]) == Ranking("It is", (" blue.", " green."), (1, 2))


@pytest.mark.parametrize("column, could", [
    ({"frage": "Was ist das?"}, True), ({"query": "Why"}, True), ({"promt": "It"}, True),
    ({"messages": [user("Q")]}, True),
    ({"source": "web"}, False), ({"score_chosen": 9.5}, False), ({"tags": ["a"]}, False), ({"query": " "}, False),
    ({"labeler": "Ann Smith"}, False), ({"chosen": "Yes it is"}, False), ({"id": None}, False)])
def test_a_column_of_words_or_chats_may_hold_the_prompt(column, could):
    assert could_ask([{"id": 1}, column, {}]) == list(column) * could


def test_of_several_such_columns_the_one_with_a_telling_name_is_named():
    assert could_ask([{"system": "Be very kind.", "question": "Why?"}]) == ["question", "system"]


PREDICTIONS = {f"prediction {n}": text for n, text in zip((1, 2, 3, 4), "abcd")}


@pytest.mark.parametrize("preference, expected", [
    ([1, 1, 1, 0, 1, 0], "make a ranking"),             # 2 is as good as 3, 3 as 4, but 2 is better than 4
    ([1, 2, 1, 1, 1, 1], "make a ranking"),             # 1 before 2 before 3 before 1
    ([1, 1, 1], "6 comparisons"), (7, "6 comparisons")])
def test_comparisons_that_make_no_ranking_are_a_fault(preference, expected):
    with pytest.raises(ValueError, match=f"^preference: got .*{expected}"):
        from_row(Ranking, {"question": "Q", "preference": preference} | PREDICTIONS)


def test_comparisons_that_all_tie_are_left_out():
    assert from_row(Ranking, {"question": "Q", "preference": [0] * 6} | PREDICTIONS) is None


@pytest.mark.parametrize("change", [{"choice": 2}, {"summaries": ["a", "b"]}, {"summaries": []}])
def test_a_choice_of_no_summary_is_a_fault(change):
    row = {"info": {"post": "P"}, "choice": 0, "summaries": [{"text": "a"}, {"text": "b"}]}
    with pytest.raises(ValueError, match="^choice: got"):
        from_row(Ranking, row | change)


def test_what_is_left_out_or_mended_is_counted():
    notes = Counter()
    tie = {"history": "Q", "human_ref_A": "a", "human_ref_B": "b", "labels": "tie"}
    again = {"prompt": "Is it", "chosen": "Is it so", "rejected": "Is it not", "auther": "Ann"}
    assert from_row(Ranking, tie, notes=notes) is None
    from_row(Ranking, again, notes=notes)
    from_row(Demonstration, {"prompt": "Q", "completion": "a", "auther": "Ann"}, notes=notes)
    assert notes == {"all responses tie: left out": 1, "not read: 'auther'": 1,
                     "chosen and rejected repeat the prompt, which is read once": 1,
                     "not read: 'auther' (did you mean 'author'?)": 1}


LETTERS = st.text(st.characters(blacklist_characters="\0", blacklist_categories=["Cs"]), max_size=12)
WORDS = LETTERS.filter(lambda text: text.strip())
FINITE = st.floats(allow_nan=False, allow_infinity=False)
JSON = st.recursive(st.none() | st.booleans() | st.integers() | FINITE | LETTERS,
                    lambda part: st.lists(part, max_size=2) | st.dictionaries(LETTERS, part, max_size=2),
                    max_leaves=4)
REST = {"category": LETTERS, "key": st.dictionaries(LETTERS, JSON, max_size=2)}


@st.composite
def rankings(draw):
    texts = draw(st.lists(LETTERS, min_size=2, max_size=5, unique=True))
    scores = draw(st.lists(st.integers(0, 3), min_size=len(texts), max_size=len(texts)).filter(
        lambda numbers: len(set(numbers)) > 1))
    ranks = [1 + sum(other > score for other in scores) for score in scores]
    return Ranking(draw(WORDS), texts, ranks, draw(LETTERS), **{name: draw(REST[name]) for name in REST})


@given(st.builds(Prompt, WORDS, author=LETTERS, **REST)
       | st.builds(Demonstration, WORDS, LETTERS, author=LETTERS, **REST) | rankings())
def test_reading_gives_back_what_was_written(record):
    assert from_row(type(record), json.loads(json.dumps(to_row(record)))) == record


FAULTS = [
    (Prompt, {"promt": "Q"}, "prompt: got only the fields 'promt', .*'prompt' by 'promt'.*--prompt-column"),
    (Prompt, {}, r"prompt: got only the fields \(none\), expected this one too; add it"),
    (Prompt, {"prompt": "Q", "completion": "a"}, "completion: got a field that a Prompt has not"),
    (Prompt, {"prompt": None}, "prompt: got None"),
    (Prompt, {"prompt": 42}, "prompt: got 42 "),
    (Demonstration, {"prompt": "Q", "Completion": "a"}, "completion: .*by 'Completion'"),
    (Demonstration, {"prompt": "Q", "completion": ["a"]}, r"completion\[0\]: got 'a' \(str\), expected a message"),
    (Demonstration, {"prompt": "Q", "completion": None}, "completion: got None"),
    (Demonstration, {"prompt": "Q", "completion": "a", "author": 3}, "author: got 3"),
    (Demonstration, {"instruction": "Q", "input": "i"}, "completion: got only the fields 'prompt'"),
    (Ranking, {"prompt": "Q", "completions": ["a", "b"]}, "ranks: got only the fields"),
    (Ranking, {"prompt": "Q", "completions": ["a", "b"], "rank": [1, 2]}, "ranks: .*by 'rank'"),
    (Ranking, {"prompt": "Q", "completions": ["a", "b"], "ranks": [1, 2], "chosen": "a"}, "chosen: got a "),
    (Ranking, {"prompt": "Q", "completions": "ab", "ranks": [1, 2]}, "completions: got 'ab'"),
    (Ranking, {"prompt": "Q", "completions": ["a", 3], "ranks": [1, 2]}, r"completions\[1\]: got 3"),
    (Ranking, {"prompt": "Q", "chosen": "a", "rejcted": "b"}, "rejected: .*by 'rejcted'"),
    (Ranking, {"prompt": "Q", "chosen": "a", "rejected": "a"}, "rejected: got the same as chosen"),
    (Ranking, {"prompt": "Q", "chosen": "a", "rejected": None}, "rejected: got None"),
    (Ranking, {"prompt": None, "chosen": "a b", "rejected": "a c"}, "prompt: got None"),
    (Ranking, {"prompt": " ", "chosen": "a b", "rejected": "a c"}, "prompt: got no words"),
    (Ranking, {"prompt": "Q", "chosen": "a\ud83d", "rejected": "b"}, r"chosen: got U\+D83D at character 1"),
    (Ranking, {"prompt": "Q", "chosen": "a", "rejected": [user("Q"), assistant("a")]}, "rejected: got 2 messages"),
    (Ranking, {"chosen": "Yes it is", "rejected": "No"}, "prompt: got no such field, and chosen"),
    (Ranking, {"chosen": [assistant("a")], "rejected": [assistant("b")]}, "prompt: got no such field, and"),
    (Ranking, {"prompt": "Q", "chosen_response": "a", "rejected_response": "b"},
     "chosen: .*'chosen' by 'chosen_response'"),
    (Ranking, {"prompt": "Q", "selected": "a", "discarded": "b"}, "chosen: .*'chosen' by 'selected'"),
    (Ranking, {"prompt": "Q", "responses": ["a", "b"], "ranks": [1, 2]}, "completions: .*by 'responses'"),
    (Ranking, {"prompt": "Q", "response_0": "a", "response_1": "b"}, "completions: .*by 'response_0'"),
    (Ranking, {"prompt": "Q", "completion": "a", "label": True}, "completions: .*one answer a row"),
    (Ranking, {"prompt": "Q", "response": "a", "helpfulness": 3}, "completions: .*one answer a row"),
    (Ranking, {"history": "Q", "human_ref_A": "a", "human_ref_B": "b", "labels": 2}, "labels: got 2 .*1, 0 or tie"),
    (Ranking, {"instruction": "Q", "completions": [{"response": "a", "overall_score": 1.0},
                                                   {"response": "b", "overall_score": None}]},
     r"completions\[1\].overall_score: got None"),
    (Ranking, {"instruction": "Q", "completions": [{"response": "a", "overall_score": float("nan")},
                                                   {"response": "b", "overall_score": 1.0}]},
     r"completions\[0\].overall_score: got nan"),
    (Ranking, {"prompt": "Q", "answers": [{"answer": "a", "rank": "1"}, {"answer": "b", "rank": "2"}]},
     r"answers\[0\].rank: got '1' \(str\), expected a number"),
    (Ranking, {"prompt": "Q", "answers": [{"answer": "a", "rank": 1}, {"rank": 2}]}, r"completions\[1\]: got None"),
    (Ranking, {"answers": [{"answer": "a", "rank": 1}, {"answer": "b", "rank": 2}]}, "prompt: got None"),
    (Ranking, {"question": "Q", "answer_0": "a", "answer_1": "b", "score_0": 0.5, "score_1": -0.5},
     "prompt: .*'prompt' by 'question'"),
    (Ranking, {"prompt": "Q", "response_a": "a", "response_b": "b", "winner": "model_a"},
     "completions: .*'completions' by 'response_a'"),
    (Ranking, {"conversation_a": [user("Q")], "conversation_b": [user("Q")], "winner": "model_b"},
     "prompt: .*'prompt' by 'conversation_a'"),
    (Ranking, {name: "x" for name in "abcdefghij"}, "prompt: got only the fields 'a', .*'h', ..., expected"),
]


@pytest.mark.parametrize("kind, row, message", FAULTS, ids=range(len(FAULTS)))
def test_a_fault_names_its_field_and_the_fix(kind, row, message):
    with pytest.raises(ValueError, match="^" + message) as caught:
        from_row(kind, row)
    assert ", expected " in str(caught.value) and "; " in str(caught.value)
