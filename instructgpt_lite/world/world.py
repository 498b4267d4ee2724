"""One world with its people: who asks, demonstrates and ranks, and what is true."""

from collections.abc import Sequence
from random import Random
from typing import Any

from instructgpt_lite.data import curation
from instructgpt_lite.data.protocols import Answer
from instructgpt_lite.data.records import Demonstration, Prompt, Ranking
from instructgpt_lite.data.tokenizers import word_tokenizer, words_of
from instructgpt_lite.world import documents
from instructgpt_lite.world.corpus import Corpus
from instructgpt_lite.world.facts import draw_facts
from instructgpt_lite.world.gold import Gold
from instructgpt_lite.world.labelers import Labelers, agree
from instructgpt_lite.world.prompts import ask, demonstrate
from instructgpt_lite.world.tasks import TASKS
from instructgpt_lite.world.words import SLOTS

AUTHORS = 240
SHARES = {"train": 0.86, "valid": 0.04, "test": 0.10}


class World:
    """The tiny world of a seed, a `Source`: prompts are split by author."""

    instruments = {}                  # nothing is measured where all is known

    def __init__(self, seed: int = 0, prompts: int = 30_000):
        self.seed = seed
        self.facts = draw_facts(seed)
        self.gold = Gold(self.facts)
        self.labelers = Labelers(self.gold, "training", count=8, seed=seed)
        self.heldout_labelers = Labelers(self.gold, "held-out", count=4, seed=seed)
        self.people = {"labeler_win": self.heldout_labelers,
                       "own_labeler_win": self.labelers}
        self.raw = self.customers(prompts)
        kept = curation.drop_pii(self.raw)
        kept = curation.drop_long_common_prefix(kept)
        kept = curation.cap_per_author(kept)
        split = curation.split_by_author(kept, SHARES, seed)
        # A third of the facts is never asked about in training: what is known of them
        # is not learned there.
        self.train = [each for each in split["train"] if each.key.get("asked", True)]
        self.valid, self.test = split["valid"], split["test"]

    def customers(self, count: int) -> list[Prompt]:
        """Raw prompts: each author has favourite tasks, and some reveal too much."""
        rng = Random(f"customers {self.seed}")
        authors = [(f"customer {n:03}", rng.sample(list(TASKS), 5))
                   for n in range(AUTHORS)]
        prompts = []
        for _ in range(count):
            author, favourites = rng.choice(authors)
            prompt = ask(self.facts, rng, author=author, aside=0.8)
            if prompt.category not in favourites and rng.random() < 0.5:
                prompt = ask(self.facts, rng, author=author, aside=0.8)
            if rng.random() < 0.01:
                number = f"202-555-01{rng.randrange(100):02}"
                told = f"My number is {number}. {prompt.prompt}"
                prompt = Prompt(told, prompt.category, author, prompt.key)
            prompts.append(prompt)
        return prompts

    def demonstrations(self, count: int, seed: int = 0) -> list[Demonstration]:
        """What labelers write for the first `count` training prompts, with mistakes."""
        rng = Random(f"demonstrations {self.seed} {seed}")
        return [demonstrate(prompt, self.facts, rng) for prompt in self.train[:count]]

    def meet(self, answer: Answer) -> dict:
        """Set the noise of both populations by what a policy says.

        Two labelers then agree on 72.6 % of the pairs in which neither sees a tie
        (§3.4). Returns the noise of each population, and how often two labelers agree:
        two of the first, and one of each.
        """
        prompts = self.valid[:256]
        scores = [[self.gold(prompt, text) for text in dict.fromkeys(each)]
                  for prompt, each in zip(prompts, answer(prompts))]
        ours, theirs = self.labelers, self.heldout_labelers
        noise = {each.population: each.calibrate(scores) for each in (ours, theirs)}
        return {"noise": noise, "agreement": agree(ours, ours, scores),
                "agreement with held-out": agree(ours, theirs, scores)}

    def recall(self, known: dict) -> None:
        """Give both populations the noise that `meet` found."""
        for people in self.people.values():
            people.noise = known["noise"][people.population]

    def rank(self, prompts: Sequence[Prompt], answer: Answer,
             rng: Random) -> list[Ranking]:
        """What is answered, ranked by training labelers."""
        return ranked_by(self.labelers, prompts, answer(prompts), rng)

    def heldout(self, prompts: Sequence[Prompt], answer: Answer,
                seed: int) -> dict[str, list[Ranking]]:
        """The same answers, ranked by each population."""
        texts = answer(prompts)
        return {f"{people.population} labelers":
                ranked_by(people, prompts, texts, Random(f"judge reward {seed}"))
                for people in (self.labelers, self.heldout_labelers)}

    def second(self) -> list[Ranking]:
        """None: gold judges here."""
        return []

    def few_shot(self, prompt: Prompt, shots: int, rng: Random) -> str:
        """The prompt at the end of a help page, after answered ones of its use case."""
        page = ""
        for _ in range(shots):
            asked = ask(self.facts, rng, prompt.category)
            answer = demonstrate(asked, self.facts, rng).completion
            page += f"Question: {asked.prompt}\nAnswer: {answer}\n"
        return page + f"Question: {prompt.prompt}\nAnswer:"

    def corpus(self, tokenizer: Any) -> Corpus:
        """Endless pretraining text in these token ids."""
        return Corpus(self.facts, tokenizer)

    def tokenizer(self) -> Any:
        """A word-level tokenizer that knows every word this world says."""
        rng = Random("words")
        said = [word for words in SLOTS.values() for word in words]
        for _ in range(2_000):
            for kind in documents.DOCUMENTS:
                said += kind(self.facts, rng)
            said.append(demonstrate(ask(self.facts, rng), self.facts, rng).completion)
        return word_tokenizer(words_of(said))


def ranked_by(people: Labelers, prompts: Sequence[Prompt], texts: list[list[str]],
              rng: Random) -> list[Ranking]:
    """Of each prompt the texts, ranked; left out where nothing differs."""
    ranked = [people.rank(*each, rng) for each in zip(prompts, texts, strict=True)]
    return [ranking for ranking in ranked if ranking]
