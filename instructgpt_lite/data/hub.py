"""Rankings and demonstrations from the Hugging Face Hub as our records; only this module imports `datasets`.

A dataset is named with the commit it is read at, so the same call gives the same rows next year; a folder
with Parquet or JSON files in the Hub's own layout needs none. What is understood, by the columns:

    chosen, rejected (and prompt)             TRL's forms; Anthropic/hh-rlhf, trl-lib/ultrafeedback_binarized
    info, summaries, choice                   openai/summarize_from_feedback, subset "comparisons"
    question, answer_0, answer_1, score_0..   openai/webgpt_comparisons
    prompt, answers [{answer, rank}]          berkeley-nest/Nectar, K = 7
    instruction, completions [{response, overall_score}]         openbmb/UltraFeedback, K = 4
    prompt, completion | prompt, label | messages                demonstrations
    instruction (input, context), output or response             Alpaca, databricks-dolly-15k
"""

import re
import urllib.error
import urllib.request
import warnings
from collections.abc import Callable
from pathlib import Path

from instructgpt_lite.data.formats import from_rows
from instructgpt_lite.data.records import DataError, Demonstration, Fault, Ranking

KEPT = ("prompt", "chosen", "rejected", "completion", "completions", "ranks", "labeler")
PATIENCE = 5                          # seconds until the Hub counts as out of reach


def hub_rankings(name: str, revision: str = "", split: str = "train", subset: str | None = None,
                 drop_bad: bool = False) -> list[Ranking]:
    """The rankings of one split; a row in which all responses tie is left out, with one warning for all.

    revision: the 40 signs of a commit. drop_bad: rows that are no ranking are left out with a warning, else
    DataError names them all. ConnectionError within seconds when the Hub cannot be reached.
    """
    return records(Ranking, ranking_row, name, revision, split, subset, drop_bad)


def hub_demonstrations(name: str, revision: str = "", split: str = "train", subset: str | None = None,
                       drop_bad: bool = False) -> list[Demonstration]:
    """The demonstrations of one split; arguments and errors as in `hub_rankings`."""
    return records(Demonstration, demonstration_row, name, revision, split, subset, drop_bad)


def records(kind: type, shaped: Callable[[dict], dict | None], name: str, revision: str, split: str,
            subset: str | None, drop_bad: bool) -> list:
    """The rows as records of one kind; `shaped` makes them ours, and None of a row without order."""
    found, faults, ties = [], [], 0
    for number, row in enumerate(rows(name, revision, split, subset), start=1):
        try:
            ours = shaped({column: value for column, value in row.items() if value is not None})
            if ours is None:
                ties += 1
            else:
                found.append(from_rows(kind, [{column: ours[column] for column in KEPT if column in ours}]))
        except Fault as fault:
            faults.append(f"{name}, {split} row {number}: {fault}")
    total = len(found) + len(faults) + ties
    if not found or (faults and not drop_bad):
        raise DataError(f"{name}: {len(faults)} of {total} rows are bad, {ties} tie as a whole; nothing was "
                        "read (drop_bad leaves bad rows out)", faults)
    if faults or ties:
        warnings.warn(f"{name}: of {total} rows left out {ties} that tie and {len(faults)} that are bad"
                      + "".join(f"; {fault}" for fault in faults[:3]), stacklevel=3)
    return found


def rows(name: str, revision: str, split: str, subset: str | None):
    """The dataset itself, from a folder or from the Hub."""
    import datasets

    if not Path(name).is_dir():
        if not re.fullmatch("[0-9a-f]{40}", revision):
            raise ValueError(f"revision: got {revision!r} for {name}, expected the 40 signs of a commit, so "
                             "that the data cannot change; copy one from "
                             f"https://huggingface.co/datasets/{name}/commits/main")
        if not datasets.config.HF_HUB_OFFLINE:
            check_reachable(datasets.config.HF_ENDPOINT)
    try:
        return datasets.load_dataset(name, subset, split=split, revision=revision or None)
    except ConnectionError as error:
        raise ConnectionError(f"{name} at {revision} is not in the cache and the Hub is out of reach "
                              f"({error}); unset HF_HUB_OFFLINE, or give a folder with its files") from error
    except datasets.exceptions.DatasetsError as error:
        raise DataError(f"{name}: no dataset could be read ({error.__cause__ or error}); check name, revision"
                        " and subset, or log in with `hf auth login` if it is gated") from error


def check_reachable(endpoint: str) -> None:
    """ConnectionError, within seconds, unless something answers at the address."""
    try:
        urllib.request.urlopen(endpoint, timeout=PATIENCE).close()
    except urllib.error.HTTPError:
        return                                     # a refusal is an answer
    except OSError as error:
        raise ConnectionError(f"{endpoint} cannot be reached ({getattr(error, 'reason', error)}): check the "
                              "network; or set HF_HUB_OFFLINE=1 to take what an earlier call has downloaded; "
                              "or give a folder with the files") from error


def ranking_row(row: dict) -> dict | None:
    """A row of a known dataset as one of ours or of TRL's; None where all responses tie."""
    if "summaries" in row:
        post = row["info"]
        asked = post.get("post") or post.get("article") or ""
        head = f"SUBREDDIT: r/{post['subreddit']}\n\n" if post.get("subreddit") else ""
        head += f"TITLE: {post['title']}\n\n" if post.get("title") else ""
        scores = [float(place == row["choice"]) for place in range(len(row["summaries"]))]
        return by_score(f"{head}POST: {asked}\n\nTL;DR:", texts_of(row["summaries"], "text"), scores,
                        row.get("worker", ""))
    if "answer_0" in row:
        question = row["question"]
        asked = question["full_text"] if isinstance(question, dict) else question
        return by_score(asked, [row["answer_0"], row["answer_1"]], [row["score_0"], row["score_1"]])
    if "answers" in row:
        return by_score(row["prompt"], texts_of(row["answers"], "answer"),
                        [-rank for rank in texts_of(row["answers"], "rank")])
    if "instruction" in row and "completions" in row:
        return by_score(row["instruction"], texts_of(row["completions"], "response"),
                        texts_of(row["completions"], "overall_score"))
    return row


def by_score(prompt: str, completions: list[str], scores: list[float], labeler: str = "") -> dict | None:
    """A row of ours in which the higher score ranks first and equal scores tie."""
    levels = sorted(set(scores), reverse=True)
    if len(levels) < 2:
        return None
    ranks = [levels.index(score) + 1 for score in scores]
    return {"prompt": prompt, "completions": completions, "ranks": ranks, "labeler": labeler}


def texts_of(entries: list[dict], name: str) -> list:
    """One field of each entry of a list."""
    for place, entry in enumerate(entries):
        if entry.get(name) is None:
            raise Fault(f"[{place}].{name}", "none", "one in each", "leave the row out")
    return [entry[name] for entry in entries]


def demonstration_row(row: dict) -> dict:
    """A row of a known dataset as {prompt, completion}."""
    if "messages" in row:
        return {"prompt": row["messages"][:-1], "completion": row["messages"][-1:]}
    if "instruction" in row:
        context = row.get("input") or row.get("context") or ""
        shaped = {"prompt": f"{row['instruction']}\n\n{context}".strip()}
        said = row.get("output", row.get("response"))
        return shaped if said is None else shaped | {"completion": said}
    if "label" in row and "completion" not in row:
        return {"prompt": row.get("prompt"), "completion": row["label"]}
    return row
