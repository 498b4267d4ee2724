"""Rows of public data sets, known by their columns, as rows of ours or of TRL's."""

from typing import Any

from instructgpt_lite.data.records import Demonstration, Fault, Ranking, kind_of

Row = dict[str, Any]
PAIRS = (    # prompt, first, second, verdict, its values for the first and the second
    ("history", "human_ref_A", "human_ref_B", "labels", "1", "0"),          # SHP
    ("prompt", "output_1", "output_2", "preference", "1", "2"),             # AlpacaFarm
    ("prompt", "response_0", "response_1", "better_response_id", "0", "1"), # PKU
    ("prompt", "response_a", "response_b", "winner", "model_a", "model_b"),    # arena
    ("", "conversation_a", "conversation_b", "winner", "model_a", "model_b"))


def shaped(kind: type, row: Row) -> Row | None:
    """A row of a known data set as one of ours or TRL's; None where all tie."""
    if "prompt" not in row and isinstance(row.get("instruction"), str):
        context = row.pop("input", None) or row.pop("context", None) or ""
        row["prompt"] = f"{row.pop('instruction')}\n\n{context}".strip()
    if kind is Ranking:
        return ordered(row)
    if kind is Demonstration and "completion" not in row:
        for name in ("output", "response", "label", "messages", "conversations"):
            chat = name in ("messages", "conversations")
            if name in row and ("prompt" in row or chat):
                return row | {"completion": row.pop(name)}
    return row


def ordered(row: Row) -> Row | None:
    """A row of a data set of comparisons, scores or ranks as one with `ranks`."""
    if "summaries" in row:                                     # openai/summarize
        post = row["info"]
        labels = {"subreddit": "SUBREDDIT: r/", "title": "TITLE: "}
        head = [labels[name] + post[name] for name in labels if post.get(name)]
        asked = f"POST: {post.get('post') or post.get('article') or ''}"
        texts = texts_of(row["summaries"], "text")
        scores = [float(place == row["choice"]) for place in range(len(texts))]
        return by_score("\n\n".join([*head, asked, "TL;DR:"]), texts, scores,
                        row.get("worker", ""))
    if {"answer_0", "answer_1", "score_0", "score_1"} <= row.keys():     # WebGPT
        question = row["question"]
        asked = question["full_text"] if isinstance(question, dict) else question
        return by_score(asked, [row["answer_0"], row["answer_1"]],
                        [float(row["score_0"]), float(row["score_1"])])
    for name, answer, score, sign in (("answers", "answer", "rank", -1),       # Nectar
                                      ("completions", "response", "overall_score", 1)):
        if isinstance(row.get(name), list) and row[name] and all(
                isinstance(entry, dict) and score in entry for entry in row[name]):
            return by_score(row["prompt"], texts_of(row[name], answer),
                            [sign * each for each in texts_of(row[name], score)])
    for prompt, first, second, verdict, *wins in PAIRS:
        if {first, second, verdict} <= row.keys() and (prompt in row or not prompt):
            said = str(row[verdict]).lower().removesuffix(".0")
            if said not in wins and not said.startswith("tie"):
                raise Fault(verdict, kind_of(row[verdict]),
                            f"{wins[0]}, {wins[1]} or tie", "mend it, or drop the row")
            asked = row[prompt] if prompt else None
            return by_score(asked, [row[first], row[second]],
                            [float(said == win) for win in wins])
    return row


def by_score(prompt: Any, completions: list, scores: list[float],
             labeler: str = "") -> Row | None:
    """A row of ours in which the higher score ranks first and equal scores tie."""
    levels = sorted(set(scores), reverse=True)
    if len(levels) < 2:
        return None
    ranks = [levels.index(score) + 1 for score in scores]
    row = {"completions": completions, "ranks": ranks, "labeler": labeler}
    return row if prompt is None else {"prompt": prompt, **row}


def texts_of(entries: list[Row], name: str) -> list:
    """One field of each entry of a list."""
    for place, entry in enumerate(entries):
        if entry.get(name) is None:
            raise Fault(f"[{place}].{name}", "none", "one in each", "leave the row out")
    return [entry[name] for entry in entries]
