"""One world with its people: who asks, who demonstrates, who ranks, and what is true."""

from random import Random

from instructgpt_lite.data import curation
from instructgpt_lite.data.records import Demonstration, Prompt
from instructgpt_lite.data.tokenizers import word_tokenizer, words_of
from instructgpt_lite.world import documents
from instructgpt_lite.world.corpus import Corpus
from instructgpt_lite.world.facts import draw_facts
from instructgpt_lite.world.gold import Gold
from instructgpt_lite.world.labelers import Labelers
from instructgpt_lite.world.prompts import ask, demonstrate
from instructgpt_lite.world.tasks import TASKS
from instructgpt_lite.world.words import SLOTS

AUTHORS = 240
SHARES = {"train": 0.86, "valid": 0.04, "test": 0.10}


class World:
    """The tiny world of a seed: facts, `gold`, two populations of labelers, prompts split by author."""

    def __init__(self, seed: int = 0, prompts: int = 30_000):
        self.seed = seed
        self.facts = draw_facts(seed)
        self.gold = Gold(self.facts)
        self.labelers = Labelers(self.gold, "training", count=8, seed=seed)
        self.heldout_labelers = Labelers(self.gold, "held-out", count=4, seed=seed)
        self.raw = self.customers(prompts)
        kept, _ = curation.drop_pii(self.raw)
        kept, _ = curation.drop_long_common_prefix(kept)
        kept, _ = curation.cap_per_author(kept)
        split = curation.split_by_author(kept, SHARES, seed)
        # A third of the facts is never asked about in training: what is known of them is not learned there.
        self.train = [prompt for prompt in split["train"] if prompt.key.get("asked", True)]
        self.valid, self.test = split["valid"], split["test"]

    def customers(self, count: int) -> list[Prompt]:
        """Raw prompts as they come in: each author has favourite tasks, and some reveal too much."""
        rng = Random(f"customers {self.seed}")
        authors = [(f"customer {n:03}", rng.sample(list(TASKS), 5)) for n in range(AUTHORS)]
        prompts = []
        for _ in range(count):
            author, favourites = rng.choice(authors)
            prompt = ask(self.facts, rng, author=author, aside=0.8)
            if prompt.category not in favourites and rng.random() < 0.5:
                prompt = ask(self.facts, rng, author=author, aside=0.8)
            if rng.random() < 0.01:
                told = f"My number is 202-555-01{rng.randrange(100):02}. " + prompt.prompt
                prompt = Prompt(told, prompt.category, author, prompt.key)
            prompts.append(prompt)
        return prompts

    def demonstrations(self, count: int, seed: int = 0) -> list[Demonstration]:
        """What labelers write for the first `count` training prompts, mistakes included."""
        rng = Random(f"demonstrations {self.seed} {seed}")
        return [demonstrate(prompt, self.facts, rng) for prompt in self.train[:count]]

    def few_shot(self, prompt: Prompt, shots: int, rng: Random) -> str:
        """The prompt as the last question of a help page, after demonstrations of answers to others of its kind."""
        shown = [demonstrate(ask(self.facts, rng, prompt.category), self.facts, rng) for _ in range(shots)]
        page = [f"Question: {other.prompt}\nAnswer: {other.completion}\n" for other in shown]
        return "".join(page) + f"Question: {prompt.prompt}\nAnswer:"

    def corpus(self, tokenizer) -> Corpus:
        """Endless pretraining text in these token ids."""
        return Corpus(self.facts, tokenizer)

    def tokenizer(self):
        """A word-level tokenizer that knows every word this world says."""
        rng = Random("words")
        said = [word for words in SLOTS.values() for word in words]
        for _ in range(2_000):
            said += [text for kind in documents.DOCUMENTS for text in kind(self.facts, rng)]
            said.append(demonstrate(ask(self.facts, rng), self.facts, rng).completion)
        return word_tokenizer(words_of(said))
