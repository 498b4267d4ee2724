"""People's demonstrations and rankings as a source: files, folders, or the Hub.

    demonstrations    databricks/databricks-dolly-15k, or any {prompt, completion}
    rankings          OpenAssistant/oasst1, openbmb/UltraFeedback, berkeley-nest/Nectar,
                      Anthropic/hh-rlhf, or any {prompt, completions, ranks}
    text              plain text; or a dataset with a column `text`, streamed

What is left out (personal data, prompts alike, rows too long) is counted in `known`.
"""

import gzip
import itertools
import lzma
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

from instructgpt_lite.config import Run
from instructgpt_lite.data import curation, hub
from instructgpt_lite.data.given import END, Given
from instructgpt_lite.data.jsonl import read_jsonl
from instructgpt_lite.data.records import DataError, Demonstration, Prompt, Ranking

STREAMED = 20_000                     # documents of a dataset on the Hub
R = TypeVar("R", Demonstration, Ranking)


def instructions(config: Run, tokenizer: Any) -> Given:
    """The source of a run whose `data` names files, read by a model's tokenizer."""
    data, known = config.data, {}
    shown = tidy(read(Demonstration, data.demonstrations, data.drop_bad),
                 "demonstrations", config, tokenizer, known)
    ranked = tidy(read(Ranking, data.rankings, data.drop_bad),
                  "rankings", config, tokenizer, known)
    (shown, asked), (ranked, heldout) = (by_prompt(each, data.heldout, "heldout")
                                         for each in (shown, ranked))
    ranked, aside = by_prompt(ranked, data.judge, "judge")
    known["kept"] = {"demonstrations": len(shown), "rankings": len(ranked),
                     "put aside": len(aside), "held-out rankings": len(heldout),
                     "held-out prompts": len(asked)}
    return Given(
        shown, ranked, aside, [Prompt(each.prompt, each.category) for each in asked],
        {"held-out prompts": heldout}, plain_text(data.text),
        max(config.sft.demonstrations, config.rl_init.demonstrations),
        config.collect.prompts, known=known)


def read(kind: type[R], name: str, drop_bad: bool) -> list[R]:
    """Records of a file, of a folder, or of NAME@COMMIT on the Hub."""
    if not name:
        raise ValueError(f"no {kind.__name__.lower()}s are named: give "
                         f"--data.{kind.__name__.lower()}s FILE, a folder or a name")
    if Path(name).is_file():
        return read_jsonl(name, kind, drop_bad=drop_bad)
    name, _, commit = name.partition("@")
    return hub.read_hub(name, kind, commit, drop_bad=drop_bad)


def tidy(records: Sequence[R], name: str, config: Run, tokenizer: Any,
         known: dict) -> list[R]:
    """Without personal data, prompts alike and rows too long; known gets the counts."""
    def length(text: str) -> int:
        return len(tokenizer.encode(text, add_special_tokens=False))

    def fits(record: R) -> bool:
        asked = length(config.template.replace("{prompt}", record.prompt))
        longest = max(config.collect.max_new_tokens,
                      *(length(text) + 1 for text in record.responses))
        return asked + longest <= config.data.tokens

    left = curation.drop_pii(records)
    alone = (curation.drop_long_common_prefix(left) if name == "demonstrations"
             else left)
    kept = [record for record in alone if fits(record)]
    known[name] = {"read": len(records), "personal data": len(records) - len(left),
                   "prompts alike": len(left) - len(alone),
                   "too long": len(alone) - len(kept)}
    if not kept:
        raise DataError(f"{name}: none of {len(records)} is left ({known[name]}); "
                        "raise data.tokens, or give others")
    return kept


def by_prompt(records: Sequence[R], share: float, what: str) -> tuple[list[R], list[R]]:
    """Two parts, the second of about that share; writings of one prompt in one."""
    sides: tuple[list[R], list[R]] = [], []
    for each in records:
        draw = curation.uniform(what, curation.normalised(each.prompt))
        sides[draw < share].append(each)
    return sides


def plain_text(name: str) -> str:
    """A file's text (also xz and gzip), or documents of a dataset on the Hub."""
    if Path(name).is_file():
        opener = {".xz": lzma.open, ".gz": gzip.open}.get(Path(name).suffix, open)
        try:
            with opener(name, "rt", encoding="utf-8") as file:
                return file.read()
        except (UnicodeDecodeError, lzma.LZMAError, gzip.BadGzipFile) as error:
            raise DataError(f"{name}: got no text ({error}), expected UTF-8, plain or "
                            "packed by gzip or xz; save it so") from None
    if not name:
        raise ValueError("no pretraining text is named: give --data.text FILE, or the "
                         "name of a dataset with a column `text`")
    name, _, commit = name.partition("@")
    streamed = hub.rows(name, commit, "train", None, streaming=True)
    documents = [row["text"] for row in itertools.islice(streamed, STREAMED)]
    return END.join(documents)
