"""Can a base model read? Documents, greedily finished where only one end is right."""

from random import Random

from instructgpt_lite.judging.intervals import Interval, bootstrap
from instructgpt_lite.models.networks import Policy
from instructgpt_lite.world import documents
from instructgpt_lite.world.facts import SLOT, Fact, state
from instructgpt_lite.world.world import World

LAST_SENTENCE = {
    "look-up": documents.notes,
    "summary": documents.news,
    "extraction": documents.field_notes,
    "classification": documents.review,
    "fact check": documents.fact_check,
}


def base_skills(policy: Policy, world: World, count: int = 300,
                seed: int = 0) -> dict[str, Interval]:
    """Accuracy at the last sentence of each kind of document, and at told facts.

    "copying" is the rest of a song's second line. Facts are asked for after the word
    that almanacs begin with, and rumours after the words that hearsay begins with.
    """
    rng, skills = Random(f"reading {seed}"), {}
    for name, document in LAST_SENTENCE.items():
        told = [list(document(world.facts, rng)) for _ in range(count)]
        begun = [(" ".join(text[:-1]), text[-1]) for text in told]
        skills[name] = finished(policy, begun)
    songs = [refrain(world.facts, rng) for _ in range(count)]
    skills["copying"] = finished(policy, songs)
    for source, value in (("Almanac", "value"), ("They say that", "rumour")):
        cut = [before_value(fact, getattr(fact, value))
               for fact in world.facts if getattr(fact, value)]
        skills[f"{value}s after {source}"] = finished(
            policy, [(f"{source} {text}", end) for text, end in cut])
    return skills


def finished(policy: Policy, begun: list[tuple[str, str]]) -> Interval:
    """Of (text, end), the share whose greedy continuation begins with the end."""
    rows = [policy.tokenizer.encode(text) for text, _ in begun]
    ends = [policy.tokenizer.encode(end) for _, end in begun]
    rollout = policy.sample(rows, max_new_tokens=max(map(len, ends)), top_k=1)
    responses = rollout.response_BT.tolist()
    return bootstrap([row[:len(end)] == end for row, end in zip(responses, ends)])


def before_value(fact: Fact, value: str) -> tuple[str, str]:
    """The sentence that says so up to its value, and the value with its article."""
    words = state(fact.subject, fact.kind, value).removesuffix(".").split(" ")
    size = 2 if SLOT[fact.kind].startswith("a_") else 1
    return " ".join(words[:-size]), " ".join(words[-size:])


def refrain(facts: list[Fact], rng: Random) -> tuple[str, str]:
    """A song up to the middle of its second line, and the rest of that line."""
    first = " ".join(documents.song(facts, rng)).split("\n")[0].strip()
    words = first.split()
    return first + "\n" + " ".join(words[:2]), " ".join(words[2:])
