"""Messages {role, content}, as chat models and TRL's conversational formats have them, to text and back.

A lone user message is its content. A longer conversation becomes the text "role: content", line by line;
its turns stay beside it in the field `conversation`, so that writing gives back what was read.
"""

from instructgpt_lite.data.records import Fault, kind_of


def flat(row: dict) -> dict:
    """Messages to text: the fields of a conversational row that change."""
    turns = messages("prompt", row["prompt"])
    text = turns[0]["content"] if is_question(turns) else transcript(turns)
    changed = {"prompt": text} if is_question(turns) else {"prompt": text, "conversation": turns}
    if "completion" in row:
        changed["completion"] = answer("completion", row["completion"])
    if isinstance(row.get("completions"), list):
        changed["completions"] = [answer(f"completions[{place}]", said)
                                  for place, said in enumerate(row["completions"])]
    return changed


def messages(name: str, value: object) -> list[dict]:
    """`value`, if it is a list of {role, content} with text in both."""
    if not isinstance(value, list) or not value or not all(
            isinstance(turn, dict) and turn.keys() == {"role", "content"}
            and all(isinstance(text, str) for text in turn.values()) for turn in value):
        raise Fault(name, kind_of(value), "a list of messages {role, content}, as in the prompt",
                    "write text in every field of a row, or messages in every field")
    return value


def answer(name: str, value: object) -> str:
    turns = messages(name, value)
    if len(turns) > 1 or turns[0]["role"] != "assistant":
        raise Fault(name, f"{len(turns)} messages, the first by {turns[0]['role']!r}",
                    "one message by 'assistant'", "move the turns before it to the prompt")
    return turns[0]["content"]


def is_question(turns: list[dict]) -> bool:
    return len(turns) == 1 and turns[0]["role"] == "user"


def transcript(turns: list[dict]) -> str:
    return "\n".join(f"{turn['role']}: {turn['content']}" for turn in turns)


def is_conversation_of(value: object, prompt: str) -> bool:
    """Was `prompt` made from this conversation? A prompt edited since then goes out as it now reads."""
    try:
        turns = messages("conversation", value)
    except Fault:
        return False
    return not is_question(turns) and transcript(turns) == prompt
