"""Rows of any known shape to records, and records to rows.

    ours           {prompt}, {prompt, completion}, {prompt, completions: [], ranks: []}
    TRL            {prompt, chosen, rejected}; without a prompt both begin with it
    chats          any text may be one (chats.py); a column `system` goes before it
    data sets      the columns of public ones (shapes.py)

A column that is None in a row is not there, but for those that make its shape. An
implicit prompt is taken only where no other column of the file could hold one.
"""

import os
import re
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import asdict, fields
from difflib import get_close_matches
from functools import lru_cache
from typing import Any

from instructgpt_lite.data.chats import prompt_and_answers
from instructgpt_lite.data.records import Demonstration, Fault, Prompt, Ranking, Record
from instructgpt_lite.data.shapes import Row, shaped

SHAPES = {Prompt: ("prompt",), Demonstration: ("prompt", "completion"),
          Ranking: ("prompt", "completions", "ranks")}
STRUCTURE = {"prompt", "completion", "completions", "ranks", "chosen", "rejected"}
ANSWER = "\n\nAssistant:"     # ends the prompt in dialogues such as Anthropic's HH-RLHF
# What other files call a field; a column with such a name in its own may hold it.
ALIASES = {
    "prompt": ("question", "instruction", "query", "input", "history", "conversation",
               "context", "problem"),
    "completion": ("response", "answer", "output", "reply"),
    "completions": ("response", "answer", "output", "generation", "candidate"),
    "ranks": ("rank", "scores", "ratings", "order"),
    "chosen": ("selected", "preferred", "winner", "better", "accepted"),
    "rejected": ("discarded", "dispreferred", "loser", "worse")}


def known(kind: type) -> list[str]:
    """The fields of a `kind` of record."""
    return [part.name for part in fields(kind)]


def to_row(record: Record) -> Row:
    """The row that `from_row` reads as this record, without empty optional fields."""
    return {name: value for name, value in asdict(record).items()
            if value or name in SHAPES[type(record)]}


def from_row(kind: type, row: Row, prompt_column: str = "", rivals: Sequence[str] = (),
             notes: Counter[str] | None = None) -> Record | None:
    """The record that a row holds; None where a known data set tells of no order.

    rivals: other columns that could hold the prompt. notes: what is worth a word is
    counted here. Faults name the field.
    """
    notes = Counter() if notes is None else notes
    row = {name: value for name, value in row.items()
           if value is not None or name in STRUCTURE}
    if prompt_column not in ("", "chosen"):
        if "prompt" not in row:
            need(kind, row, prompt_column)
        row["prompt"] = row.pop(prompt_column, row.get("prompt"))
    row = shaped(kind, row)
    if row is None:
        notes["all responses tie: left out"] += 1
        return None
    if "prompt" in row and not str(row["prompt"] or "").strip():
        got = "None" if row["prompt"] is None else "no words"
        raise Fault("prompt", got, "a prompt", "write one, or drop the row")
    row = as_text(kind, row, () if prompt_column == "chosen" else rivals, notes)
    for name in SHAPES[kind]:
        need(kind, row, name)
    ours = {name: row.pop(name) for name in known(kind) if name in row}
    for name in row:
        if name in STRUCTURE:
            raise Fault(name, f"a field that a {kind.__name__} has not",
                        "rows of one form", "read the file as what it is, or rename it")
        notes[unread(kind, name)] += 1
    return kind(**ours)


@lru_cache(1_000)
def unread(kind: type, name: str) -> str:
    """What is said of a column that no one reads."""
    meant = "".join(get_close_matches(name, known(kind), n=1))
    return f"not read: {name!r}" + f" (did you mean {meant!r}?)" * bool(meant)


def as_text(kind: type, row: Row, rivals: Sequence[str], notes: Counter[str]) -> Row:
    """The row with chats as text, and {chosen, rejected} as {completions, ranks}."""
    pair = kind is Ranking and is_preference(row)
    if pair:
        check_pair(row, rivals)
        answers = {name: row.pop(name) for name in ("chosen", "rejected")}
    elif kind is Ranking and isinstance(row.get("completions"), list):
        answers = {f"completions[{n}]": text
                   for n, text in enumerate(row["completions"])}
    else:
        answers = {name: text for name, text in row.items()
                   if kind is Demonstration and name == "completion"}
    prompt, texts = prompt_and_answers(row.get("prompt"), answers, row.get("system"))
    if prompt is not None:
        row.pop("system", None)
    if pair:
        prompt, texts = parted(prompt, texts, notes)
        row |= {"completions": texts, "ranks": [1, 2]}
    elif answers:
        row |= {"completions": texts} if kind is Ranking else {"completion": texts[0]}
    return row if prompt is None else row | {"prompt": prompt}


def check_pair(row: Row, rivals: Sequence[str]) -> None:
    """Refuse a pair of one response, or beside a column that may hold its prompt."""
    need(Ranking, row, "chosen")
    need(Ranking, row, "rejected")
    if row["chosen"] == row["rejected"]:
        raise Fault("rejected", "the same as chosen", "two different responses",
                    "drop the row: its loss would stay at ln 2")
    if "prompt" not in row and rivals:
        raise Fault("prompt", f"no such field, and {rivals[0]!r} may hold it",
                    "a prompt", f"read with --prompt-column {rivals[0]}; where "
                    "both responses begin with the prompt, --prompt-column chosen")


def parted(prompt: str | None, texts: list[str],
           notes: Counter[str]) -> tuple[str, list[str]]:
    """The prompt, read once where both responses begin with it, and the responses."""
    if prompt is None:
        cut = shared_words(*texts)
        if not texts[0][:cut].strip():
            raise Fault("prompt", "no such field, and chosen and rejected part at once",
                        "one, or one that both begin with", "add the field `prompt`")
        return texts[0][:cut], [text[cut:] for text in texts]
    if len(prompt.split()) > 1 and all(text.startswith(prompt) for text in texts):
        notes["chosen and rejected repeat the prompt, which is read once"] += 1
        texts = [text[len(prompt):] for text in texts]
    return prompt, texts


def shared_words(chosen: str, rejected: str) -> int:
    """Length of what both begin with: to the last "Assistant:", or to a whole word."""
    shared = os.path.commonprefix([chosen, rejected])
    if ANSWER in shared:
        return shared.rindex(ANSWER) + len(ANSWER)
    whole = re.match(r"(.*)\s", shared, re.DOTALL)
    return whole.end(1) if whole else 0


def is_preference(row: Row) -> bool:
    """Does the row mean chosen and rejected, be they spelt otherwise?"""
    return not {"completions", "ranks"} & row.keys() and bool(
        {"chosen", "rejected"} & row.keys()
        or near("chosen", row) and near("rejected", row))


def near(name: str, row: Row) -> str:
    """The column that may mean `name`; "" if none does."""
    others = [column for column in row if column not in STRUCTURE]
    close = get_close_matches(name, others, n=1) or [
        column for column in others for word in (name, *ALIASES.get(name, ()))
        if word in column.lower()]
    return close[0] if close else ""


def need(kind: type, row: Row, name: str) -> None:
    """Refuse a row without the field `name`, with what may be meant."""
    if name in row:
        return
    fix, other = "add it, or read another kind of record", near(name, row)
    answers = row.keys() & {"completion", *ALIASES["completion"]}
    if kind is Ranking and len(answers) == 1 and name != "prompt":
        fix = ("there is one answer a row, and a ranking compares: put a better and a "
               "worse answer of one prompt into `chosen` and `rejected`")
    elif other:
        fix = f"did you mean {name!r} by {other!r}? Rename it"
        fix += ", or read with --prompt-column " + other if name == "prompt" else ""
    columns = ", ".join(map(repr, [*row][:8])) + ", ..." * (len(row) > 8)
    raise Fault(name, f"only the fields {columns or '(none)'}", "this one too", fix)


def could_ask(rows: Collection[Row]) -> list[str]:
    """Columns that no one reads and that may hold prompts; those with a name first."""
    names = dict.fromkeys(name for row in rows for name in row)
    others = [name for name in names if name not in {*STRUCTURE, *known(Ranking)}]
    telling = [name for name in others if name.lower() in ALIASES["prompt"]
               or get_close_matches("prompt", [name])]
    least = {name: 2 for name in others} | {name: 1 for name in telling}     # words
    found = [name for name in others
             if any(may_ask(row.get(name), least[name]) for row in rows)]
    return sorted(found, key=least.get)


def may_ask(value: Any, least: int) -> bool:
    """Is it a chat, or a text of at least so many words?"""
    if isinstance(value, list):
        return bool(value) and isinstance(value[0], dict)
    return isinstance(value, str) and len(value.split()) >= least
