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


def prompt_and_answers(prompt: Any, answers: dict[str, Any],
                       system: Any = "") -> tuple[str | None, list[str]]:
    """A prompt and its answers as text, whichever of them are chats; None: no prompt.

    Turns that all answers begin with are the prompt's (of one answer: all but its
    last). system: text that comes before all. Faults name the answer, message and key.
    """
    asked = [] if prompt is None else turns_of("prompt", prompt, "user")
    chats = {name: turns_of(name, chat, "assistant") for name, chat in answers.items()}
    shared = shared_turns(list(chats.values()))
    if asked and shared and asked[-1][1].strip() not in [
            text.strip() for _, text in shared]:
        raise Fault(f"{next(iter(chats))}[0].content", kind_of(shared[0][1]),
                    "the prompt again, or the answer alone",
                    "drop the turns that are not in the prompt")
    asked = max(asked, shared, key=len)
    if asked and isinstance(system, str) and system.strip():
        asked = [("system", system), *asked]
    return text_of_chat(asked) if asked else None, [
        answer_of(name, chat[len(shared):]) for name, chat in chats.items()]


def turns_of(name: str, chat: Any, role: str) -> list[Turn]:
    """The turns of a chat, of one message, or of a text that `role` says."""
    if isinstance(chat, str):
        return [(role, chat)]
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


def shared_turns(chats: list[list[Turn]]) -> list[Turn]:
    """The turns that all chats begin with; each keeps its last."""
    shared = []
    for turns in zip(*(chat[:-1] for chat in chats)):
        if len(set(turns)) > 1:
            break
        shared.append(turns[0])
    return shared


def answer_of(name: str, turns: list[Turn]) -> str:
    """The text of a chat that is one message by the assistant."""
    if len(turns) > 1 or turns[0][0] != "assistant":
        got = f"{len(turns)} messages of its own, the first by {turns[0][0]!r}"
        raise Fault(name, got, "one, by 'assistant'", "cut it after its first answer, "
                    "or move what comes before the last one to the prompt")
    check_text(name, turns[0][1])
    return turns[0][1]
