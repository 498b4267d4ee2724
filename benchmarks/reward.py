"""Reward comparisons per CPU-second: ours against TRL's RewardTrainer on exploded pairs.

One update on the same rankings each: K responses to a prompt, which TRL sees as K(K-1)/2 pairs and we as
one row [prompt | y_1 | ... | y_K]. A round is one `next(train_reward(...))` and one optimizer step of TRL's.
"""

import copy
import itertools
import logging
import tempfile
import warnings
from dataclasses import asdict, dataclass, replace

import torch
from common import Row, arguments, difference, finish, must_agree, ratios, weights
from datasets import Dataset
from transformers import PrinterCallback
from trl import RewardConfig, RewardTrainer
from turns import PLAIN, Turns
from workloads import RANDOM, tiny, uniform, words

from instructgpt_lite import Policy, Reward, ScalarModel, presets, train_reward
from instructgpt_lite.data.records import Ranking
from instructgpt_lite.training.loop import generator
from instructgpt_lite.training.reward import tokens

LR = 1e-4


@dataclass(frozen=True)
class Workload:
    """Rankings of one update. micro: pairs in a forward pass of TRL's, which then accumulates gradients."""

    name: str
    K: int
    prompts: int
    micro: int
    goal: float | None = None
    model: str = "gpt2"


SMALL = (Workload("4 layers of 128, K=4", K=4, prompts=16, micro=8, goal=8),
         Workload("4 layers of 128, K=9", K=9, prompts=16, micro=8, goal=25))
TINY = (Workload("tiny preset, K=4", K=4, prompts=16, micro=8),
        Workload("tiny preset, K=9", K=9, prompts=16, micro=8))
LARGE = (Workload("SmolLM2-135M, K=4", K=4, prompts=2, micro=6, goal=4, model="smollm2"),
         Workload("SmolLM2-135M, K=9", K=9, prompts=1, micro=6, goal=10, model="smollm2"))
WORKLOADS = {"gpt2": (*SMALL, *TINY), "smollm2": LARGE}


def random_rankings(policy: Policy, work: Workload) -> list[Ranking]:
    """Prompts of 24-64 words and K responses of 48, the last token EOS, in a random order of merit."""
    draw = generator(0, work.name)
    prompts = policy.tokenizer.batch_decode(words(uniform(work.prompts, 23, 63, draw), draw))
    return [Ranking(prompt, policy.tokenizer.batch_decode(words(torch.full((work.K,), 47), draw)),
                    (torch.randperm(work.K, generator=draw) + 1).tolist()) for prompt in prompts]


def world_rankings(world, policy: Policy, work: Workload) -> list[Ranking]:
    """Prompts of the world with K different responses of the policy, in a random order of merit."""
    draw, rankings = generator(0, work.name), []
    for prompt in world.train:
        texts = policy.texts(policy.sample([prompt.prompt], copies=2 * work.K, generator=draw,
                                           max_new_tokens=presets.tiny.collect.max_new_tokens))
        texts = list(dict.fromkeys(texts))[:work.K]
        if len(texts) == work.K:
            ranks = (torch.randperm(work.K, generator=draw) + 1).tolist()
            rankings.append(Ranking(prompt.prompt, texts, ranks))
        if len(rankings) == work.prompts:
            return rankings
    raise SystemExit(f"{work.name}: too few prompts with {work.K} different responses")


def exploded(reward: ScalarModel, rankings: list[Ranking]) -> Dataset:
    """All pairs of all rankings as TRL wants them: token ids of prompt and response, preferred and not."""
    pairs = []
    for ranking, prompt, responses in zip(rankings, *tokens(reward, rankings), strict=True):
        best_first = [y for _, y in sorted(zip(ranking.ranks, responses))]
        pairs += [{"chosen_ids": prompt + w, "rejected_ids": prompt + l}
                  for w, l in itertools.combinations(best_first, 2)]
    return Dataset.from_list(pairs)


def compare(work: Workload, policy: Policy, rankings: list[Ranking], rounds: int) -> list[Row]:
    """Interleaved updates from the same weights; the first must be equal, and does not count."""
    reward = ScalarModel.on(policy)
    start, theirs, pairs = weights(reward.model), copy.deepcopy(reward.model), exploded(reward, rankings)
    stage = train_reward(reward, rankings, Reward(epochs=rounds + 1, batch_size=work.prompts, lr=LR))
    agreed = []

    def ours() -> None:
        next(stage)
        if not agreed:
            agreed.append(difference(start, weights(reward.model), weights(theirs)))
            must_agree(f"{work.name}, first update", agreed[0], 0.01)

    turns = Turns(ours)
    with tempfile.TemporaryDirectory() as folder:
        config = RewardConfig(folder, **PLAIN, learning_rate=LR, num_train_epochs=rounds + 1, max_length=None,
                              per_device_train_batch_size=work.micro,
                              gradient_accumulation_steps=len(pairs) // work.micro)
        trainer = RewardTrainer(theirs, config, train_dataset=pairs, processing_class=policy.tokenizer,
                                callbacks=[turns])
        trainer.remove_callback(PrinterCallback)
        trainer.train()
    speed = {name: [len(pairs) / seconds for seconds in each[1:]]
             for name, each in (("ours", turns.ours), ("TRL", turns.trl))}
    return [Row(f"reward model, {work.name}", "x", ratios(speed["ours"], speed["TRL"]), work.goal),
            *(Row(f"  {name}", "comparisons/CPU-s", each) for name, each in speed.items())]


def main() -> None:
    warnings.filterwarnings("ignore")
    logging.disable(logging.WARNING)
    parser = arguments(__doc__, rounds=9)
    parser.add_argument("--base", help="Hugging Face folder of another base model of the tiny preset")
    parser.add_argument("--model", choices=WORKLOADS, default="gpt2")
    parser.add_argument("--micro", type=int, help="pairs in a forward pass of TRL's")
    parser.add_argument("--only", default="", help="workloads with this in their name")
    options = parser.parse_args()
    world, policy = tiny(options.base) if options.model == "gpt2" else (None, None)
    rows = []
    for work in [work for work in WORKLOADS[options.model] if options.only in work.name]:
        start = policy if work in TINY else RANDOM[work.model]()
        rankings = world_rankings(world, policy, work) if work in TINY else random_rankings(start, work)
        work = replace(work, micro=options.micro or work.micro)
        rows += compare(work, start, rankings, options.rounds)
    finish(rows, options, {work.name: asdict(work) for work in WORKLOADS[options.model]})


if __name__ == "__main__":
    main()
