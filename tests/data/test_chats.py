"""Chats: every spelling of a message is read, and what a prompt and its answers share is read once."""

import pytest

from instructgpt_lite.data.chats import prompt_and_answers


def user(text):
    return {"role": "user", "content": text}


def assistant(text):
    return {"role": "assistant", "content": text}


SYSTEM = {"role": "system", "content": "Be kind."}
LONG = [SYSTEM, user("Hi"), assistant("Hello."), user("Sky?")]
TEXT = "system: Be kind.\nuser: Hi\nassistant: Hello.\nuser: Sky?"
A, B = [assistant("Blue.")], [assistant("Green.")]


@pytest.mark.parametrize("message", [
    user("Sky?"), {"role": " USER ", "content": "Sky?"}, {"role": "human", "content": "Sky?"},
    {"from": "human", "value": "Sky?"}, {"role": "user", "content": "Sky?", "name": None, "tool_calls": None},
    {"role": "user", "content": [{"type": "text", "text": "Sky"}, {"type": "text", "text": "?", "image": None}]}])
def test_every_spelling_of_a_message_is_read_alone_or_in_a_list(message):
    assert prompt_and_answers(message, {}) == prompt_and_answers([message], {}) == ("Sky?", [])


@pytest.mark.parametrize("prompt, before, text", [
    ([user("Sky?")], [], "Sky?"), (LONG, [], TEXT), (None, LONG, TEXT), (LONG, LONG, TEXT),
    ("Sky?", LONG, TEXT), ("Hi", LONG, TEXT), ("Sky? ", [user("Sky?")], "Sky? "),
    (LONG, [user("Sky?")], TEXT), ("Sky?", [], "Sky?"), (None, [], None)])
def test_what_prompt_and_answers_share_is_read_once(prompt, before, text):
    pair = {"chosen": before + A, "rejected": before + B}
    assert prompt_and_answers(prompt, pair) == (text, ["Blue.", "Green."])


def test_a_chat_with_one_answer_ends_in_it():
    assert prompt_and_answers(None, {"completion": LONG + A}) == (TEXT, ["Blue."])


@pytest.mark.parametrize("message, text", [(SYSTEM, "system: Be kind."), (assistant("Hello."), "assistant: Hello.")])
def test_a_lone_message_keeps_its_role_where_no_user_said_it(message, text):
    assert prompt_and_answers([message], {"completion": "Blue."}) == (text, ["Blue."])


def test_text_answers_a_chat_too():
    assert prompt_and_answers("Sky?", {"chosen": "Blue.", "rejected": B}) == ("Sky?", ["Blue.", "Green."])
    assert prompt_and_answers(LONG, {"completion": "Blue."}) == (TEXT, ["Blue."])


FAULTS = [
    ([], {}, r"prompt: got \[\] .*a list of messages"),
    (["Q"], {}, r"prompt\[0\]: got 'Q'"),
    ([user("a"), {"role": "user"}], {}, r"prompt\[1\].content: got None"),
    ([user("a"), {"role": None, "content": "a"}], {}, r"prompt\[1\].role: got None"),
    ([{"from": "human"}], {}, r"prompt\[0\].value: got None"),
    ([{"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "image"}]}], {},
     r"prompt\[0\].content\[1\]: got \{'type': 'image'\}"),
    ("Q", {"completions[0]": [user("a")]}, r"completions\[0\]: got 1 messages of its own, the first by 'user'"),
    ("Q", {"chosen": [user("Q"), *A, user("R"), *A], "rejected": [user("Q"), *B, user("R"), *A]},
     "chosen: got 3 messages of its own"),
    ("Q", {"chosen": "a", "rejected": [user("Q"), *B]}, "rejected: got 2 messages of its own, the first by 'user'"),
    ("Q", {"chosen": A, "rejected": None}, "rejected: got None"),
    ("Other", {"chosen": LONG + A, "rejected": LONG + B}, r"chosen\[0\].content: got 'Be kind.'"),
]


@pytest.mark.parametrize("prompt, answers, message", FAULTS, ids=range(len(FAULTS)))
def test_a_fault_names_the_message_and_its_key(prompt, answers, message):
    with pytest.raises(ValueError, match="^" + message):
        prompt_and_answers(prompt, answers)
