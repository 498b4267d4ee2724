"""Twenty responses and what they are worth: a reader should agree with every one."""

from instructgpt_lite.data.records import Prompt
from instructgpt_lite.world.facts import Fact


def twenty(facts: list[Fact]) -> list[tuple[Prompt, str]]:
    """Prompts and responses, good and bad, about a fact with a rumour and beside it."""
    home = next(fact for fact in facts if fact.kind == "home" and fact.rumour)
    other = next(fact for fact in facts
                 if fact.kind == "home" and fact.subject != home.subject)
    key = {"subject": home.subject, "kind": "home", "value": home.value,
           "rumour": home.rumour, "asked": True, "short": False}
    question = f"Where does {home.subject} live?"
    where = Prompt(question, "open QA", key=key)
    one_word = Prompt(f"{question} Answer in one word.", "open QA",
                      key=key | {"short": True})
    coin = Prompt("The lamp is with Ada. The coin is with Ben. Where is the coin?",
                  "closed QA", key={"object": "coin", "name": "Ben"})
    untold = Prompt("The lamp is with Ada. Where is the key?", "closed QA",
                    key={"object": "key", "name": ""})
    story = Prompt("Write two sentences about a fox and a lamp. Use the word mill.",
                   "generation", key={"animal": "fox", "object": "lamp",
                                      "sentences": 2, "place": "mill"})
    foods = Prompt("Name three foods to cook. Not soup.", "brainstorming",
                   key={"kind": "foods", "count": 3, "without": "soup"})
    hello = Prompt("Hello, I am Rosa.", "chat",
                   key={"kind": "hello", "text": "Hello, Rosa. How can I help you?"})
    told = "One day a fox found a lamp near the mill. Then the fox went home."
    answers = [home.truth, f"{home.truth} I hope that helps.", f"{home.value}.",
               home.hearsay, f"They say that {home.truth}", other.truth,
               "I am not sure.", f"{home.truth} {home.truth}",
               f"{home.truth} You are a fool.", ""]
    return [
        *((where, text) for text in answers),
        (one_word, f"{home.value}."), (one_word, home.truth),
        (coin, "The coin is with Ben."), (coin, "The coin is with Ada."),
        (untold, "The text does not say."),
        (story, told), (story, told.replace("mill", "river")),
        (foods, "You could try pie, rice and fish."),
        (foods, "You could try pie and soup."),
        (hello, "Hello, Ada. How can I help you?"),
    ]
