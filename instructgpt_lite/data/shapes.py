"""Rows of public data sets, known by their columns, as rows of ours or of TRL's."""

from itertools import combinations
from math import isnan
from typing import Any

from instructgpt_lite.data.records import Demonstration, Fault, Ranking, kind_of

Row = dict[str, Any]
PAIRS = (    # prompt, first, second, verdict, its values for the first and the second
    ("history", "human_ref_A", "human_ref_B", "labels", "1", "0"),          # SHP
    ("prompt", "output_1", "output_2", "preference", "1", "2"))             # AlpacaFarm
LISTS = (    # the column of answers; of each its text, its score, 1 if more is better
    ("answers", "answer", "rank", -1),                          # Nectar, by GPT-4
    ("completions", "response", "overall_score", 1))     # UltraFeedback, by GPT-4
PREDICTIONS = [f"prediction {n}" for n in (1, 2, 3, 4)]         # FineGrainedRLHF
ANSWERS = ("output", "response", "label", "messages", "conversations")


def shaped(kind: type, row: Row) -> Row | None:
    """A row of a known data set as one of ours or TRL's; None where all tie."""
    if "prompt" not in row and isinstance(row.get("instruction"), str):
        context = row.pop("input", None) or row.pop("context", None) or ""
        row["prompt"] = f"{row.pop('instruction')}\n\n{context}".strip()
    if kind is Demonstration and "completion" not in row:
        for name in ANSWERS:
            if name in row and ("prompt" in row or name in ANSWERS[3:]):
                return row | {"completion": row.pop(name)}
    return ordered(row) if kind is Ranking else row


def ordered(row: Row) -> Row | None:
    """A row of a data set of comparisons, scores or ranks as one with `ranks`."""
    for prompt, first, second, verdict, *wins in PAIRS:
        if {prompt, first, second, verdict} <= row.keys():
            said = str(row[verdict]).lower().removesuffix(".0")
            if said not in wins and not said.startswith("tie"):
                raise Fault(verdict, kind_of(row[verdict]),
                            f"{wins[0]}, {wins[1]} or tie", "mend it, or drop the row")
            return by_score(row[prompt], [row[first], row[second]],
                            [float(said == win) for win in wins])
    if {"question", "preference", *PREDICTIONS} <= row.keys():
        return by_comparisons(row["question"], [row[name] for name in PREDICTIONS],
                              row["preference"])
    if isinstance(row.get("info"), dict) and {"summaries", "choice"} <= row.keys():
        return of_summaries(row)
    for name, answer, score, sign in LISTS:
        entries = row.get(name)
        if isinstance(entries, list) and entries and all(
                isinstance(entry, dict) and score in entry for entry in entries):
            for place, entry in enumerate(entries):
                if not isinstance(entry[score], int | float) or isnan(entry[score]):
                    raise Fault(f"{name}[{place}].{score}", kind_of(entry[score]),
                                "a number", "write it, or leave the row out")
            return by_score(row.get("prompt"), [entry.get(answer) for entry in entries],
                            [sign * entry[score] for entry in entries])
    return row


def by_score(prompt: Any, completions: list, scores: list[float]) -> Row | None:
    """A row of ours in which the higher score ranks first and equal scores tie."""
    levels = sorted(set(scores), reverse=True)
    ranks = [levels.index(score) + 1 for score in scores]
    row = {"prompt": prompt, "completions": completions, "ranks": ranks}
    return row if len(levels) > 1 else None


def by_comparisons(prompt: Any, completions: list, verdicts: Any) -> Row | None:
    """A row of ours from all comparisons of two: 1 and 2 name the better, 0 a tie."""
    pairs = [*combinations(range(len(completions)), 2)]
    wins = [0] * len(completions)
    if not isinstance(verdicts, list) or len(verdicts) != len(pairs):
        raise Fault("preference", kind_of(verdicts), f"{len(pairs)} comparisons",
                    "drop the row")
    for pair, verdict in zip(pairs, verdicts):
        for place, number in zip(pair, (1, 2)):
            wins[place] += (verdict == number) - (verdict == 3 - number)
    ordered = [0 if wins[a] == wins[b] else 1 if wins[a] > wins[b] else 2
               for a, b in pairs]
    if ordered != verdicts:
        raise Fault("preference", kind_of(verdicts), "comparisons that make a ranking",
                    "drop the row (drop_bad)")
    return by_score(prompt, completions, wins)


def of_summaries(row: Row) -> Row | None:
    """A comparison of two summaries of a post or an article (Stiennon et al., 2020)."""
    texts = [each["text"] for each in row["summaries"]
             if isinstance(each, dict) and "text" in each]
    parts = ("subreddit", "title", "post", "article")
    asked = [f"{name.upper()}: {row['info'][name]}" for name in parts
             if row["info"].get(name)]
    if row["choice"] not in (0, 1) or len(texts) != 2 or not asked:
        raise Fault("choice", f"{kind_of(row['choice'])} of {len(texts)} summaries",
                    "0 or 1, of two, of a post or an article", "drop the row")
    scores = [float(place == row["choice"]) for place in (0, 1)]
    found = by_score("\n\n".join([*asked, "TL;DR:"]), texts, scores)
    return found and found | {"labeler": row.get("worker") or ""}
