r"""Rows of JSON to records and back: our own form and those of TRL ("Dataset formats" in its manual).

    form          a row of it
    ours          {prompt}   {prompt, completion}   {prompt, completions: [...], ranks: [...]}
    preference    {prompt, chosen, rejected}: one row a pair
    implicit      {chosen, rejected}: both begin with the prompt

The first two rows of `ours` are TRL's prompt-only and prompt-completion. Every form has a conversational
edition, where a text is a list of {role, content}. category, author, labeler, key and fields no one knows
are further columns; those that are empty are not written.

Nothing is lost on the way. A ranking other than (best, worse) becomes several pairs, each with the column
`ranking` = {id, pair, ranks}: the two places in the list, and the ranks of all K. As some response is better
or worse than each, the pairs together hold every response. A conversation of several turns becomes the text
"role: content" line by line, and the field `conversation` keeps the turns themselves.
"""

import os
import re
from dataclasses import fields
from difflib import get_close_matches

from instructgpt_lite.data.dialogue import flat, is_conversation_of
from instructgpt_lite.data.records import Demonstration, Fault, Prompt, Ranking, Record, kind_of, untied_pairs

FORMS = ("ours", "preference", "implicit")
SHAPES = {Prompt: ("prompt",), Demonstration: ("prompt", "completion"),
          Ranking: ("prompt", "completions", "ranks")}
ANSWER = "\n\nAssistant:"          # what ends the prompt in dialogues such as Anthropic's HH-RLHF


def known(kind: type) -> list[str]:
    """The fields of a `kind` of record that a row may name."""
    return [part.name for part in fields(kind) if part.name != "extra"]


def to_rows(record: Record, form: str = "ours", conversational: bool = False, number: int = 0) -> list[dict]:
    """The rows that hold one record: one, or one a pair. `number` tells a file's rankings apart."""
    if form not in FORMS or (form != "ours" and not isinstance(record, Ranking)):
        raise ValueError(f"form: got {form!r} for a {type(record).__name__}, expected 'ours'"
                         " (or, for a Ranking, 'preference' or 'implicit'); change form")
    rest = {name: getattr(record, name) for name in known(type(record)) if name not in SHAPES[type(record)]}
    rest = {name: value for name, value in rest.items() if value} | record.extra
    asked = record.prompt
    if conversational:
        asked = [{"role": "user", "content": record.prompt}]
        if is_conversation_of(rest.get("conversation"), record.prompt):
            asked = rest.pop("conversation")
    said = [[{"role": "assistant", "content": text}] if conversational else text for text in record.responses]
    if form != "ours":
        return pair_rows(record, asked, said, rest, form == "implicit", number)
    row = {"prompt": asked}
    if isinstance(record, Demonstration):
        row["completion"] = said[0]
    if isinstance(record, Ranking):
        row |= {"completions": said, "ranks": list(record.ranks)}
    return [row | rest]


def pair_rows(record: Ranking, asked, said: list, rest: dict, implicit: bool, number: int) -> list[dict]:
    """One row for each untied pair; `asked` and `said` are both text or both messages."""
    head = {} if implicit else {"prompt": asked}
    before = asked if implicit else type(asked)()
    rows = [head | {"chosen": before + said[better], "rejected": before + said[worse]} | rest
            for better, worse in record.pairs]
    if record.ranks != (1, 2):
        for row, pair in zip(rows, record.pairs):
            row["ranking"] = {"id": number, "pair": list(pair), "ranks": list(record.ranks)}
    if implicit and not reads_back(rows, record):
        raise Fault("prompt", "responses that share their first words, or a prompt that ends in a space",
                    "a prompt that can be found again in chosen and rejected", "write form='preference'")
    return rows


def reads_back(rows: list[dict], record: Record) -> bool:
    try:
        return from_rows(type(record), rows) == record
    except Fault:
        return False


def from_rows(kind: type, rows: list[dict]) -> Record:
    """The record that `rows` hold; several rows are the pairs of one ranking. Faults name the field."""
    if kind is Ranking and is_preference(rows[0]):
        row = joined([with_prompt(row) for row in rows])
    else:
        row = dict(rows[0])
    for name in SHAPES[kind]:
        need(row, name, known(kind))
    if isinstance(row["prompt"], list):
        changed = flat(row)
        if "conversation" in changed and "conversation" in row:
            raise Fault("conversation", "one beside that of the prompt", "one alone", "rename that column")
        row |= changed
    ours = {name: row.pop(name) for name in known(kind) if name in row}
    return kind(**ours, extra=row)


def is_preference(row: dict) -> bool:
    """Does the row mean chosen and rejected, be it misspelt?"""
    names = [name for name in row if name not in known(Ranking)]
    return not {"completions", "ranks"} & row.keys() and any(
        get_close_matches(name, names, n=1) for name in ("chosen", "rejected"))


def need(row: dict, name: str, others: list[str]) -> None:
    """Refuse a row without the field `name`, with the likely misspelling."""
    if name not in row:
        near = get_close_matches(name, [other for other in row if other not in others], n=1)
        fix = f"did you mean {name!r} by {near[0]!r}?" if near else "add it, or read another kind of record"
        raise Fault(name, f"only the fields {', '.join(map(repr, row)) or '(none)'}", "this one too", fix)


def with_prompt(row: dict) -> dict:
    """A preference row whose prompt is a field of its own."""
    others = [*known(Ranking), "chosen", "rejected"]
    need(row, "chosen", others)
    need(row, "rejected", others)
    chosen, rejected = row["chosen"], row["rejected"]
    if chosen == rejected:
        raise Fault("rejected", "the same as chosen", "two different responses",
                    "drop the row: its loss would stay at ln 2")
    if type(chosen) is not type(rejected) or not isinstance(chosen, (str, list)):
        raise Fault("rejected", f"{kind_of(rejected)} beside chosen {kind_of(chosen)}",
                    "both text, or both a list of messages", "write them alike")
    if "prompt" in row:
        return row
    cut = shared_words(chosen, rejected) if isinstance(chosen, str) else shared_turns(chosen, rejected)
    if get_close_matches("prompt", [name for name in row if name not in others]):
        need(row, "prompt", others)
    if not cut:
        raise Fault("prompt", "no such field, and chosen and rejected begin differently",
                    "a prompt, or one that both begin with", "add the field `prompt`")
    return row | {"prompt": chosen[:cut], "chosen": chosen[cut:], "rejected": rejected[cut:]}


def shared_words(chosen: str, rejected: str) -> int:
    """Length of the common beginning: up to the last "Assistant:" in it, else without its last, cut, word."""
    shared = os.path.commonprefix([chosen, rejected])
    if ANSWER in shared:
        return shared.rindex(ANSWER) + len(ANSWER)
    whole = re.match(r"(.*)\s", shared, re.DOTALL)
    return whole.end(1) if whole else 0


def shared_turns(chosen: list, rejected: list) -> int:
    """How many messages are the same before the two part."""
    alike = [first == second for first, second in zip(chosen, rejected)]
    return alike.index(False) if False in alike else 0


def is_mark(value: object) -> bool:
    """Is it a `ranking` column as `pair_rows` writes it?"""
    if not isinstance(value, dict) or value.keys() != {"id", "pair", "ranks"}:
        return False
    lists = isinstance(value["pair"], list) and isinstance(value["ranks"], list) and len(value["pair"]) == 2
    numbers = lists and all(type(number) is int for number in [value["id"], *value["pair"], *value["ranks"]])
    return numbers and all(0 <= place < len(value["ranks"]) for place in value["pair"])


def grouped(rows: dict[int, dict]) -> dict[int, list[dict]]:
    """Rows by line number to the rows of each record, by its first line; they need not be neighbours."""
    groups, first_line = {}, {}
    for line, row in rows.items():
        mark = row.get("ranking")
        owner = first_line.setdefault(mark["id"], line) if is_mark(mark) else line
        groups.setdefault(owner, []).append(row)
    return groups


def joined(rows: list[dict]) -> dict:
    """The row of ours that pairs were made from; a pair on its own is its own ranking."""
    row = dict(rows[0])
    chosen, rejected, mark = row.pop("chosen"), row.pop("rejected"), row.pop("ranking", None)
    if mark is None and "ranking" not in rows[0]:
        return row | {"completions": [chosen, rejected], "ranks": [1, 2]}
    if not is_mark(mark):
        raise Fault("ranking", kind_of(mark), "{id, pair: [better, worse], ranks: [...]}",
                    "drop or rename that column, and each row is a ranking of two")
    ranks, said = mark["ranks"], {}
    for pair in rows:
        better, worse = pair["ranking"]["pair"]
        said.setdefault(better, pair["chosen"])
        said.setdefault(worse, pair["rejected"])
        if pair != row | {"chosen": said[better], "rejected": said[worse],
                          "ranking": mark | {"pair": [better, worse]}}:
            raise Fault("ranking", f"a pair {better}, {worse} unlike an earlier pair of ranking {mark['id']}",
                        "one prompt, one list of responses and ranks", "write the ranking again")
    found, pairs = sorted(tuple(pair["ranking"]["pair"]) for pair in rows), list(untied_pairs(ranks))
    if found != pairs:
        raise Fault("ranking", f"pairs {found} of ranking {mark['id']}", f"each of {pairs} once",
                    "keep the pairs of a ranking in one file, or drop the column `ranking`")
    return row | {"completions": [said.get(place) for place in range(len(ranks))], "ranks": ranks}
