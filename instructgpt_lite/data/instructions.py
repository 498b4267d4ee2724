"""People's demonstrations and rankings as a source: files, folders, or the Hub.

    demonstrations    databricks/databricks-dolly-15k, or any {prompt, completion}
    rankings          OpenAssistant/oasst1, openbmb/UltraFeedback, berkeley-nest/Nectar,
                      Anthropic/hh-rlhf, or any {prompt, completions, ranks}
    text              plain text; or a dataset with a column `text`, streamed

What is left out, and why, is counted in `known`; SOURCES.md has licences and counts.
"""

import gzip
import itertools
import lzma
import re
import zlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from instructgpt_lite.config import Files, Run
from instructgpt_lite.data import curation, hub
from instructgpt_lite.data.given import END, Given
from instructgpt_lite.data.jsonl import read_jsonl
from instructgpt_lite.data.records import DataError, Demonstration, Prompt, Ranking
from instructgpt_lite.data.rows import refuse_foreign, rows_of

STREAMED = 20_000                     # documents of a dataset on the Hub
CUT, TOO_LONG = "prompts cut, not left out", "too long"
ALIKE = "answers that read alike to the model"
SPECIAL = "the model's end or padding in the text"
R = TypeVar("R", Demonstration, Ranking)


def instructions(config: Run, tokenizer: Any) -> Given:
    """The source of a run whose `data` names files, read by a model's tokenizer."""
    data, known, text = config.data, {}, plain_text(config.data.text)
    shown, ranked = (tidy(kind, config, tokenizer, known)
                     for kind in (Demonstration, Ranking))
    (shown, asked), (ranked, heldout) = (by_prompt(each, data.heldout, "heldout")
                                         for each in (shown, ranked))
    demonstrated = max(config.sft.demonstrations, config.rl_init.demonstrations)
    compared = {curation.normalised(each.prompt) for each in ranked}
    fresh = [each for each in shown[demonstrated:]
             if curation.normalised(each.prompt) not in compared]
    ranked, aside = by_prompt(ranked, data.judge, "judge")
    known["kept"] = {"demonstrations": len(shown[:demonstrated]),
                     "prompts for RL": len(fresh), "rankings": len(ranked),
                     "put aside": len(aside), "held-out rankings": len(heldout),
                     "held-out prompts": len(asked)}
    bare = [name for name, count in known["kept"].items() if not count
            and name != "prompts for RL" and (name != "put aside" or data.judge)]
    if bare:
        raise DataError(f"nothing is left for {' and '.join(bare)} ({known}): give "
                        "more, or other shares as data.heldout and data.judge")
    known["not for RL, since people ranked answers to it"] = (
        len(shown[demonstrated:]) - len(fresh))
    return Given(
        [*shown[:demonstrated], *fresh], ranked, aside,
        [Prompt(each.prompt, each.category) for each in asked],
        {"held-out prompts": heldout}, text, demonstrated,
        config.collect.prompts, known=known)


def check_named(data: Files) -> None:
    """ValueError with all flags that are still to be given."""
    flags = [f"--data.{name}" for name in ("demonstrations", "rankings", "text")
             if not getattr(data, name)]
    if flags:
        raise ValueError(f"nothing is named by {' and '.join(flags)}: give each a file,"
                         " a folder with a dataset, or NAME@COMMIT of one on the Hub")


def read(kind: type[R], name: str, drop_bad: bool, notes: Counter[str]) -> list[R]:
    """Records of a file, a folder, or NAME@COMMIT or NAME:SUBSET@COMMIT on the Hub."""
    if Path(name).is_file():
        return read_jsonl(name, kind, drop_bad=drop_bad, notes=notes)
    name, subset, commit = parts_of(name)
    return hub.read_hub(name, kind, commit, subset=subset, drop_bad=drop_bad,
                        notes=notes)


def parts_of(name: str) -> tuple[str, str | None, str]:
    """Name, subset and commit of a dataset; FileNotFoundError where it can be none."""
    if Path(name).is_dir():
        return name, None, ""
    if "@" not in name:
        raise FileNotFoundError(f"{name}: no such file or folder; of a dataset on the "
                                "Hub, expected the 40 signs of a commit, too: "
                                "NAME@COMMIT, or NAME:SUBSET@COMMIT")
    name, _, commit = name.partition("@")
    name, _, subset = name.partition(":")
    return name, subset or None, commit


def tidy(kind: type[R], config: Run, tokenizer: Any, known: dict) -> list[R]:
    """The records that are fit to learn from; known counts why others are not."""
    name, notes = f"{kind.__name__.lower()}s", Counter()
    records = read(kind, getattr(config.data, name), config.data.drop_bad, notes)
    counts = known[name] = {"read": len(records)}
    for note, count in notes.items():
        if note.endswith(": left out"):
            counts["read"] += count
            counts[note.removesuffix(": left out")] = count
    left = curation.drop_pii(records)
    alone = curation.drop_long_common_prefix(left) if kind is Demonstration else left
    counts |= {"personal data": len(records) - len(left),
               "prompts alike": len(left) - len(alone), TOO_LONG: 0, ALIKE: 0}
    asked = ([shortened(record, config, tokenizer) for record in alone]
             if config.data.cut_prompts else alone)
    counts[CUT] = sum(new is not old for new, old in zip(asked, alone))
    kept = []
    for record in asked:
        if why := unfit(record, config, tokenizer):
            counts[why] = counts.get(why, 0) + 1
        else:
            kept.append(record)
    if not kept:
        raise DataError(f"{name}: none of {counts['read']} is left ({counts}); "
                        "raise data.tokens, or give others")
    return kept


def shortened(record: R, config: Run, tokenizer: Any) -> R:
    """The record, its prompt without as much of its beginning as is too long."""
    asked, frame, *said = tokenizer([record.prompt, config.template.replace(
        "{prompt}", ""), *record.responses], add_special_tokens=False)["input_ids"]
    longest = max(config.collect.max_new_tokens, *(len(ids) + 1 for ids in said))
    room = config.data.tokens - longest - len(frame)
    if len(asked) <= room or room < 1:
        return record
    end = tokenizer.decode(asked[len(asked) - room:])
    return replace(record, prompt=end.strip("\ufffd ") or record.prompt)


def unfit(record: R, config: Run, tokenizer: Any) -> str:
    """Why a model cannot learn from a record; "" if it can."""
    asked, *said = tokenizer([config.template.replace("{prompt}", record.prompt),
                              *record.responses], add_special_tokens=False)["input_ids"]
    longest = max(config.collect.max_new_tokens, *(len(ids) + 1 for ids in said))
    if len(asked) + longest > config.data.tokens:
        return TOO_LONG
    ends = {tokenizer.eos_token_id, tokenizer.pad_token_id}
    if any(ends & {*ids} for ids in (asked, *said)):
        return SPECIAL
    pairs = record.pairs if isinstance(record, Ranking) else ()
    return ALIKE if any(said[better] == said[worse] for better, worse in pairs) else ""


def by_prompt(records: Sequence[R], share: float, what: str) -> tuple[list[R], list[R]]:
    """Two parts, the second of about that share; writings of one prompt in one."""
    sides: tuple[list[R], list[R]] = [], []
    for each in records:
        draw = curation.uniform(what, curation.normalised(each.prompt))
        sides[draw < share].append(each)
    return sides


def plain_text(name: str) -> str:
    """A file's text, or the column `text` of its rows or of a dataset on the Hub."""
    if Path(name).is_file():
        opener = {".xz": lzma.open, ".gz": gzip.open}.get(Path(name).suffix, open)
        try:
            with opener(name, "rt", encoding="utf-8-sig") as file:
                text = file.read()
        except (ValueError, EOFError, OSError, lzma.LZMAError, zlib.error) as error:
            raise DataError(f"{name}: got no text ({error}), expected UTF-8, plain or "
                            "packed by gzip or xz; save it so") from None
        refuse_foreign(text[:1000].encode(), name)
        if not re.match(r'\s*(\[\s*)?\{\s*"', text):
            return text
        found = rows_of(name).rows.values()
    else:
        name, subset, commit = parts_of(name)
        streamed = hub.rows(name, commit, "train", subset, streaming=True)
        found = itertools.islice(streamed, STREAMED)
    documents = [row.get("text") for row in found]
    if not documents or not all(isinstance(each, str) for each in documents):
        raise DataError(f"{name}: got no column `text` with text in every row, "
                        "expected one; name another dataset, or a file")
    return END.join(documents)
