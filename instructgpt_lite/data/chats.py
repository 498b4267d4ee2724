"""Chats, as lists of messages, to the text that models here read.

A message is {role, content}, as with TRL and most APIs, or {from, value} (ShareGPT);
its content is text, or parts {type: text, text}. A lone user message is its content, a
longer chat becomes "role: content", line by line.
"""

from typing import Any

from instructgpt_lite.data.records import Fault, check_text, kind_of

ROLES = {"human": "user", "prompter": "user", "gpt": "assistant",
         "chatgpt": "assistant", "bot": "assistant", "model": "assistant"}
Turn = tuple[str, str]                # role, text


def turns_of(name: str, chat: Any) -> list[Turn]:
    """The turns of a chat, or of one message alone; Faults name message and key."""
    messages = [chat] if isinstance(chat, dict) else chat
    if not isinstance(messages, list) or not messages:
        raise Fault(name, kind_of(chat), "text, or a list of messages {role, content}",
                    "write it so, or drop the row")
    return [turn_of(f"{name}[{n}]", message) for n, message in enumerate(messages)]


def turn_of(name: str, message: Any) -> Turn:
    """Role and text of one message, however it is spelt."""
    if not isinstance(message, dict):
        raise Fault(name, kind_of(message), "a message {role, content}", "write it so")
    who, what = ("from", "value") if "from" in message else ("role", "content")
    role, content = message.get(who), message.get(what)
    if not isinstance(role, str):
        raise Fault(f"{name}.{who}", kind_of(role), "user, assistant or system",
                    "name the speaker of every message")
    if isinstance(content, list):
        for place, part in enumerate(content):
            if not isinstance(part, dict) or not isinstance(part.get("text"), str):
                raise Fault(f"{name}.{what}[{place}]", kind_of(part),
                            "a part {type: text, text}",
                            "drop the row: models here read text alone")
        content = "".join(part["text"] for part in content)
    if not isinstance(content, str):
        raise Fault(f"{name}.{what}", kind_of(content), "text",
                    "write it, or drop the row")
    role = role.strip().lower()
    return ROLES.get(role, role), content


def text_of_chat(turns: list[Turn]) -> str:
    """A question alone as it is, a longer chat with the names of who speaks."""
    if len(turns) == 1 and turns[0][0] == "user":
        return turns[0][1]
    return "\n".join(f"{role}: {text}" for role, text in turns)


def prompt_and_answers(prompt: Any, answers: dict[str, Any]) -> tuple[Any, list[str]]:
    """A prompt and its answers as text, whichever of them are chats; None: no prompt.

    Turns that all answers begin with are the prompt's (of one answer: all but its
    last).
    """
    asked = prompt
    if not isinstance(prompt, str | None):
        asked = turns_of("prompt", prompt)
    texts = [name for name, answer in answers.items() if isinstance(answer, str)]
    if answers and not texts:
        chats = {name: turns_of(name, chat) for name, chat in answers.items()}
        shared = shared_turns(list(chats.values()))
        asked = joined(asked, shared, next(iter(chats)))
        answers = {name: answer_of(name, chat[len(shared):])
                   for name, chat in chats.items()}
    elif len(texts) < len(answers):
        name = next(name for name in answers if name not in texts)
        turns_of(name, answers[name])
        raise Fault(name, f"a chat beside text in {texts[0]}",
                    "both text, or both a list of messages", "write them alike")
    for name, text in answers.items():
        check_text(name, text)
    if isinstance(asked, list):
        asked = text_of_chat(asked)
    return asked, list(answers.values())


def shared_turns(chats: list[list[Turn]]) -> list[Turn]:
    """The turns that all chats begin with; each keeps its last."""
    shared = []
    for turns in zip(*(chat[:-1] for chat in chats)):
        if len(set(turns)) > 1:
            break
        shared.append(turns[0])
    return shared


def joined(asked: str | list[Turn] | None, shared: list[Turn],
           name: str) -> str | list[Turn] | None:
    """The whole prompt, of which `asked` and what the answers share may be parts."""
    if asked is None:
        return shared or None
    if not asked or not shared:
        return asked
    turns = [("user", asked)] if isinstance(asked, str) else asked
    if turns[-1][1].strip() not in [text.strip() for _, text in shared]:
        raise Fault(f"{name}[0].content", kind_of(shared[0][1]),
                    "the prompt again, or the answer alone",
                    "drop the turns that are not in the prompt")
    return max(turns, shared, key=len)


def answer_of(name: str, turns: list[Turn]) -> str:
    """The text of a chat that is one message by the assistant."""
    if len(turns) > 1 or turns[0][0] != "assistant":
        got = f"{len(turns)} messages of its own, the first by {turns[0][0]!r}"
        raise Fault(name, got, "one, by 'assistant'", "cut it after its first answer, "
                    "or move what comes before the last one to the prompt")
    return turns[0][1]
