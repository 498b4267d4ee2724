"""Rows of any known shape to records, and records to rows.

    ours           {prompt}, {prompt, completion}, {prompt, completions: [], ranks: []}
    TRL            {prompt, chosen, rejected}; without a prompt both begin with it
    chats          any text may be one (chats.py); a column `system` goes before it
    data sets      the columns of public ones (shapes.py)

None is no value: a column that is empty in a row is not there, but for those that make
its shape. An implicit prompt is taken only where no other column of the file could hold
one.
"""

import os
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, fields
from difflib import get_close_matches
from typing import Any

from instructgpt_lite.data.chats import prompt_and_answers
from instructgpt_lite.data.records import (
    Demonstration,
    Fault,
    Prompt,
    Ranking,
    Record,
    check_text,
)
from instructgpt_lite.data.shapes import Row, shaped

SHAPES = {Prompt: ("prompt",), Demonstration: ("prompt", "completion"),
          Ranking: ("prompt", "completions", "ranks")}
STRUCTURE = {"prompt", "completion", "completions", "ranks", "chosen", "rejected"}
ANSWER = "\n\nAssistant:"     # ends the prompt in dialogues such as Anthropic's HH-RLHF
# What other files call a field; a column with such a name may hold it.
ALIASES = {
    "prompt": ("question", "instruction", "query", "input", "history", "conversation",
               "context", "problem"),
    "completion": ("response", "answer", "output", "reply"),
    "completions": ("responses", "answers", "outputs", "generations", "candidates",
                    "response_", "answer_", "output_"),
    "ranks": ("rank", "scores", "ratings", "order"),
    "chosen": ("selected", "preferred", "winner", "better", "accepted"),
    "rejected": ("discarded", "dispreferred", "loser", "worse")}
ONE_ANSWER = ("there is one answer a row, and a ranking compares: put a better and a "
              "worse answer of one prompt into `chosen` and `rejected`")
FOREIGN = {     # a column that tells what the file is, and the way out
    "annotations": ("an export of Label Studio", "take prompt, chosen, rejected of it"),
    "message_tree_id": ("a tree of OpenAssistant",
                        "make a row of each message whose replies are ranked")}


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
    if prompt_column in row and prompt_column != "chosen":
        row["prompt"] = row.pop(prompt_column)
    row = shaped(kind, row)
    if row is None:
        notes["all responses tie: left out"] += 1
        return None
    for column in FOREIGN.keys() & row.keys():
        what, way = FOREIGN[column]
        raise Fault(column, what, "rows of prompts and responses", way)
    if "prompt" in row and not str(row["prompt"] or "").strip():
        got = "None" if row["prompt"] is None else "no words"
        raise Fault("prompt", got, "a prompt", "write one, or drop the row")
    if kind is Ranking and is_preference(row):
        row = paired(row, () if prompt_column == "chosen" else rivals, notes)
    else:
        row = flat(kind, row)
    for name in SHAPES[kind]:
        need(kind, row, name)
    ours = {name: row.pop(name) for name in known(kind) if name in row}
    for name in row:
        if name in STRUCTURE:
            raise Fault(name, f"a field that a {kind.__name__} has not",
                        "rows of one form", "read the file as what it is, or rename it")
        meant = "".join(get_close_matches(name, known(kind), n=1))
        notes[f"not read: {name!r}" + f" (did you mean {meant!r}?)" * bool(meant)] += 1
    return kind(**ours)


def flat(kind: type, row: Row) -> Row:
    """The row with its chats as text."""
    answers = {}
    if kind is Ranking and isinstance(row.get("completions"), list):
        answers = {f"completions[{n}]": text
                   for n, text in enumerate(row["completions"])}
    elif kind is Demonstration and "completion" in row:
        answers = {"completion": row["completion"]}
    prompt, texts = prompt_and_answers(system_first(row), answers)
    row = row if prompt is None else row | {"prompt": prompt}
    if kind is Ranking and answers:
        return row | {"completions": texts}
    return row | {"completion": texts[0]} if answers else row


def paired(row: Row, rivals: Sequence[str], notes: Counter[str]) -> Row:
    """A row of {chosen, rejected} as {prompt, completions, ranks}."""
    need(Ranking, row, "chosen")
    need(Ranking, row, "rejected")
    pair = {name: row.pop(name) for name in ("chosen", "rejected")}
    if pair["chosen"] == pair["rejected"]:
        raise Fault("rejected", "the same as chosen", "two different responses",
                    "drop the row: its loss would stay at ln 2")
    if "prompt" not in row:
        if get_close_matches("prompt", row):
            need(Ranking, row, "prompt")
        if rivals:
            raise Fault("prompt", f"no such field, and {rivals[0]!r} may hold it",
                        "a prompt", f"read with --prompt-column {rivals[0]}; where "
                        "both responses begin with the prompt, --prompt-column chosen")
    prompt, texts = prompt_and_answers(system_first(row), pair)
    for name, text in zip(pair, texts):
        check_text(name, text)
    if prompt is None:
        cut = shared_words(*texts)
        prompt, texts = texts[0][:cut], [text[cut:] for text in texts]
    elif len(prompt.split()) > 1 and all(text.startswith(prompt) for text in texts):
        texts = [text[len(prompt):] for text in texts]
        notes["chosen and rejected repeat the prompt, which is read once"] += 1
    if not prompt.strip() and "prompt" not in row:
        raise Fault("prompt", "no such field, and chosen and rejected part at once",
                    "one, or one that both begin with", "add the field `prompt`")
    return row | {"prompt": prompt, "completions": texts, "ranks": [1, 2]}


def system_first(row: Row) -> Any:
    """The prompt, with a text in the column `system` as its first turn."""
    prompt, system = row.get("prompt"), row.pop("system", "")
    if prompt is None or not isinstance(system, str) or not system.strip():
        return prompt
    if isinstance(prompt, str):
        prompt = [{"role": "user", "content": prompt}]
    return [{"role": "system", "content": system}, *prompt]


def shared_words(chosen: str, rejected: str) -> int:
    """Length of what both begin with: to the last "Assistant:", or to a whole word."""
    shared = os.path.commonprefix([chosen, rejected])
    if ANSWER in shared:
        return shared.rindex(ANSWER) + len(ANSWER)
    whole = re.match(r"(.*)\s", shared, re.DOTALL)
    return whole.end(1) if whole else 0


def is_preference(row: Row) -> bool:
    """Does the row mean chosen and rejected, be they spelt otherwise?"""
    named = {"chosen", "rejected"} & row.keys()
    meant = near("chosen", row) and near("rejected", row)
    return not {"completions", "ranks"} & row.keys() and bool(named or meant)


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
    answers = [column for column in row if column in ("completion",
                                                      *ALIASES["completion"])]
    if kind is Ranking and len(answers) == 1 and name != "prompt":
        fix = ONE_ANSWER
    elif other:
        fix = f"did you mean {name!r} by {other!r}? Rename it"
        fix += ", or read with --prompt-column " + other if name == "prompt" else ""
    columns = ", ".join(map(repr, [*row][:8])) + ", ..." * (len(row) > 8)
    raise Fault(name, f"only the fields {columns or '(none)'}", "this one too", fix)


def could_ask(rows: Iterable[Row]) -> list[str]:
    """Columns that no one reads and that may hold prompts; those with a name first."""
    found = {}
    for row in rows:
        for name, value in row.items():
            named = name.lower() in ALIASES["prompt"]
            words = isinstance(value, str) and len(value.split()) > (0 if named else 1)
            chat = isinstance(value, list) and value and isinstance(value[0], dict)
            if (words or chat) and name not in {*STRUCTURE, *known(Ranking)}:
                found[name] = named
    return sorted(found, key=lambda name: not found[name])
