"""Can a base model read? Documents of the world, finished greedily where what comes next can be known."""

from random import Random

from instructgpt_lite.judging.intervals import Interval, bootstrap
from instructgpt_lite.world import documents
from instructgpt_lite.world.facts import SLOT, state

LAST_SENTENCE = {"look-up": documents.notes, "summary": documents.news, "extraction": documents.field_notes,
                 "classification": documents.review, "fact check": documents.fact_check}


def finished(policy, begun: list[str], wanted: list[str]) -> Interval:
    """Share of texts whose greedy continuation begins with the wanted one, token by token."""
    rows = [policy.tokenizer.encode(text) for text in begun]
    ends = [policy.tokenizer.encode(text) for text in wanted]
    rollout = policy.sample(rows, max_new_tokens=max(map(len, ends)), top_k=1)
    return bootstrap([row[:len(end)] == end for row, end in zip(rollout.response_BT.tolist(), ends)])


def skills(policy, world, count: int = 300, seed: int = 0) -> dict[str, Interval]:
    """Accuracy at the last sentence of each kind of document, and at the values of facts told by an almanac."""
    rng, found = Random(f"reading {seed}"), {}
    for name, document in LAST_SENTENCE.items():
        told = [list(document(world.facts, rng)) for _ in range(count)]
        found[name] = finished(policy, [" ".join(text[:-1]) for text in told], [text[-1] for text in told])
    found["copying"] = finished(policy, *zip(*[refrain(world.facts, rng) for _ in range(count)]))
    for source, value in (("Almanac", "value"), ("They say that", "rumour")):
        cut = [before_value(fact, getattr(fact, value)) for fact in world.facts if getattr(fact, value)]
        found[f"{value}s after {source}"] = finished(policy, *zip(*[(f"{source} {text}", end) for text, end in cut]))
    return found


def before_value(fact, value: str) -> tuple[str, str]:
    """The sentence that says so up to its value, and the value with its article."""
    words = state(fact.subject, fact.kind, value).removesuffix(".").split(" ")
    size = 2 if SLOT[fact.kind].startswith("a_") else 1
    return " ".join(words[:-size]), " ".join(words[-size:])


def refrain(facts, rng) -> tuple[str, str]:
    """A song up to the middle of its second line, and the rest of that line."""
    first = " ".join(documents.song(facts, rng)).split("\n")[0].strip()
    words = first.split()
    return first + "\n" + " ".join(words[:2]), " ".join(words[2:])
