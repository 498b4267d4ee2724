"""Conversations that branch, as a row for each question: OpenAssistant's oasst1.

    messages    {message_id, parent_id, role, text, lang, rank, ...}: a row a message
    trees       {prompt: {role, text, replies: [{role, text, rank, replies}]}}: a tree

What a prompter says is a question: all that was said so far is its prompt, the replies
are its answers, which people have ranked from 0. The n-th message of the tree in row 3
has the number 3 + n / 10,000.
"""

from collections import Counter, defaultdict

from instructgpt_lite.data.records import Demonstration, Fault, Prompt
from instructgpt_lite.data.rows import Rows
from instructgpt_lite.data.shapes import Row, by_score

LANGUAGE = "en"                       # others are left out
MESSAGE = {"message_id", "role", "text"}


def unfolded(kind: type, found: Rows, notes: Counter[str]) -> Rows:
    """Rows for records of a kind, one for each question; rows of other form unchanged.

    Notes count the questions that are left out, by reason. Faults name messages without
    role or text, and those that are there twice.
    """
    rows = found.rows
    if rows and all(isinstance(row.get("prompt"), dict) and "replies" in row["prompt"]
                    for row in rows.values()):         # first messages, with replies
        rows = messages_of(rows)
    elif not any(MESSAGE <= row.keys() and "prompt" not in row
                 for row in rows.values()):
        return found
    of_id, replies, asked, bad = {}, defaultdict(list), {}, dict(found.bad)
    for number, row in rows.items():
        name = str(row.get("message_id"))
        if not MESSAGE <= row.keys() or name in of_id:
            bad[number] = Fault("message_id", f"{name} with {len(row)} fields",
                                "each once, with role and text", "drop the row")
        else:
            of_id[name] = row
            replies[str(row.get("parent_id"))].append(row)
    for number, row in rows.items():
        if number not in bad and row["role"] == "prompter":
            said = so_far(row, of_id)
            answers = unusable(said) or answered(kind, replies[str(row["message_id"])])
            if isinstance(answers, str):
                notes[f"{answers}: left out"] += 1
            else:
                asked[number] = {"prompt": [{"role": each["role"], "content":
                                             each["text"]} for each in said]} | answers
    return Rows(asked, bad, found.mark)


def messages_of(trees: dict[int, Row]) -> dict[float, Row]:
    """The messages of trees, as rows that name the one they reply to."""
    rows = {}
    for number, tree in trees.items():
        waiting, count = [(tree["prompt"], None)], 0
        while waiting:
            message, parent = waiting.pop()
            message, count = message if isinstance(message, dict) else {}, count + 1
            name = number + count / 10_000
            rows[name] = message | {"message_id": name, "parent_id": parent}
            waiting += [(reply, name)
                        for reply in reversed(message.get("replies") or [])]
    return rows


def so_far(message: Row, of_id: dict) -> list[Row]:
    """What was said up to a message, from the first one; [] where that is missing."""
    said = [message]
    while parent := said[0].get("parent_id"):
        if str(parent) not in of_id or len(said) > len(of_id):
            return []
        said.insert(0, of_id[str(parent)])
    return said


def unusable(said: list[Row]) -> str:
    """Why a question is left out, whatever its answers; "" if it is not."""
    if not said:
        return "what came before is missing"
    if any(each.get("deleted") for each in said):
        return "deleted"
    if any((each.get("lang") or LANGUAGE) != LANGUAGE for each in said):
        return f"not in the language {LANGUAGE!r}"
    return ""


def answered(kind: type, replies: list[Row]) -> Row | str:
    """The answers of a question as fields of a record, or why there are none."""
    if kind is Prompt:
        return {}
    alive = [each for each in replies if not each.get("deleted")]
    ranked = [each for each in alive if isinstance(each.get("rank"), int | float)
              and each["rank"] >= 0]
    if kind is Demonstration:
        best = min(ranked, key=lambda each: each["rank"],
                   default=alive[0] if len(alive) == 1 else None)
        return {"completion": best["text"]} if best else "no best reply"
    row = by_score(None, [each["text"] for each in ranked],
                   [-each["rank"] for each in ranked])
    if row is None:
        return "fewer than two ranked replies"
    return {"completions": row["completions"], "ranks": row["ranks"]}
