"""The paper's path, from top to bottom: pretrained, shown, ranked, reinforced, judged.

Section 3 of Ouyang et al. (2022) in one file. A stage is a generator: it makes its
model, yields a row for each step, and saves. `run` does every stage that is not done
yet; stopped anywhere, even killed, and called again, it goes on from the newest whole
checkpoint and ends bit for bit where it would have ended (same machine, same threads).
"""

import math
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch
from filelock import FileLock, Timeout

from instructgpt_lite.config import Run
from instructgpt_lite.data.given import check_lengths
from instructgpt_lite.data.jsonl import read_jsonl, write_jsonl
from instructgpt_lite.data.protocols import Source
from instructgpt_lite.data.records import Demonstration, Prompt, Ranking
from instructgpt_lite.files import Metrics, digests, write_json
from instructgpt_lite.judging import table
from instructgpt_lite.models import ranks
from instructgpt_lite.models.hardware import device_of, placed, sparing, used
from instructgpt_lite.models.networks import Policy, ScalarModel
from instructgpt_lite.run.card import write_cards
from instructgpt_lite.run.folder import RunFolder, shipped_base
from instructgpt_lite.run.mirror import Mirror
from instructgpt_lite.run.plan import planned
from instructgpt_lite.run.sources import located, open_source
from instructgpt_lite.training.best_of_n import best_of_n
from instructgpt_lite.training.loop import generator
from instructgpt_lite.training.ppo_ptx import ppo_ptx
from instructgpt_lite.training.pretrain import pretrain
from instructgpt_lite.training.resume import ResumeState
from instructgpt_lite.training.reward import center, to_rank, train_reward
from instructgpt_lite.training.sft import finetune

Rows = Iterator[dict]


@dataclass(frozen=True)
class Work:
    """What a stage of a run goes by, and where it finds and puts models."""

    stage: str
    config: Run
    source: Source
    folder: RunFolder
    resume: ResumeState

    def policy(self, stage: str) -> Policy:
        """The policy that a stage has made, where this run computes."""
        return placed(Policy.load(self.folder.model(stage)), self.config.hardware)

    def scores(self, stage: str) -> ScalarModel:
        """The reward model that a stage has made, where this run computes."""
        return placed(ScalarModel.load(self.folder.model(stage)), self.config.hardware)

    def save(self, model: Policy | ScalarModel) -> None:
        """Put what this stage has made in its place; process 0 does, others copy it."""
        if ranks.rank() == 0:
            self.folder.save(self.stage, model)
        ranks.meet()
        if ranks.rank():
            shutil.copytree(self.folder.shared / "models" / self.stage,
                            self.folder.path / "models" / self.stage,
                            dirs_exist_ok=True)


def base(work: Work) -> Rows:
    """Next-token prediction. The paper has GPT-3; we have any model, or our own."""
    config, source = work.config, work.source
    ready = config.base_model or shipped_base(config)
    if ready:
        policy = Policy.load(located(ready))
    else:
        words = source.tokenizer()
        policy = Policy.new(config.architecture, words, config.pretrain.seed)
        placed(policy, config.hardware)
    policy.speak(config.template, config.fixed_length)
    check_lengths(config, policy.context)                  # refused before training
    if not ready:
        corpus = source.corpus(policy.tokenizer)
        yield from pretrain(policy, corpus, config.pretrain, work.resume)
    work.save(policy)


def supervised(work: Work) -> Rows:
    """Step 1: labelers show what to say, and the base model learns it (§3.5).

    Where RL starts: in fewer passes, and with pretraining text mixed in (App. C.3).
    """
    config = getattr(work.config, work.stage)
    shown = work.source.demonstrations(config.demonstrations, config.seed)
    yield from finetuned(work, "base", shown)


def finetuned(work: Work, start: str, shown: list[Demonstration]) -> Rows:
    """The policy `start`, trained to say what is shown."""
    policy, config = work.policy(start), getattr(work.config, work.stage)
    corpus = work.source.corpus(policy.tokenizer)
    yield from finetune(policy, shown, config, corpus, work.resume)
    work.save(policy)


def rankings(work: Work) -> Rows:
    """Step 2, first half: labelers rank what the RL start says, K answers a prompt."""
    policy, source, config = work.policy("rl_init"), work.source, work.config.collect
    prompts, _ = unseen_prompts(work.config, source)
    known = table.calibrate(source, policy, config)
    write_json(work.folder.path / "labelers.json", known)

    def make(batch: int) -> list[Ranking]:
        return source.rank(*to_rank(policy, prompts, config, batch))

    for row, ranked in kept(work, Ranking, make, len(prompts)):
        pairs = sum(len(each.pairs) for each in ranked)
        yield row | {"rankings": len(ranked), "pairs": pairs}


def reward_model(work: Work) -> Rows:
    """Step 2, second half: a model learns what labelers prefer, eq. (1)."""
    policy, config = work.policy("rl_init"), work.config
    reward = ScalarModel.on(policy, config.reward.seed)
    ranked = work.folder.records("collect", Ranking)
    yield from train_reward(reward, ranked, config.reward, work.resume)
    center(reward, policy, work.source.demonstrations(config.rl_init.demonstrations))
    work.save(reward)


def judge_model(work: Work) -> Rows:
    """A second reward model, from texts and people that the first has not seen."""
    config = work.config.reward
    judge = ScalarModel.on(work.policy("rl_init"), config.seed)
    yield from train_reward(judge, work.source.second(), config, work.resume)
    work.save(judge)


def rejection_sampled(work: Work) -> Rows:
    """A baseline for PPO: learn the best of n answers, by the reward model, at once."""
    policy, reward = work.policy("rl_init"), work.scores("reward").frozen()
    config, size = work.config.best_of_n, work.config.collect.batch_size
    prompts = unseen_prompts(work.config, work.source)[1][:config.demonstrations]

    def make(batch: int) -> list[Demonstration]:
        random = generator(config.seed, "best of n", batch)
        return best_of_n(policy, reward, prompts[batch * size:(batch + 1) * size],
                         config.n, work.config.ppo.max_new_tokens, random)

    batches = kept(work, Demonstration, make, len(prompts))
    best = [shown for _, batch in batches for shown in batch]
    yield from finetuned(work, "rl_init", best)


def reinforced(work: Work, **changed: float) -> Rows:
    """Step 3, eq. (2): the model that the paper calls InstructGPT; or, changed, PPO.

    Answer, be scored, improve; the reference is where it starts.
    """
    policy, reward = work.policy("rl_init"), work.scores("reward").frozen()
    config = replace(work.config.ppo, **changed)
    asked = unseen_prompts(work.config, work.source)[1]
    corpus = work.source.corpus(policy.tokenizer)
    yield from ppo_ptx(policy, policy.frozen(), reward, [each.prompt for each in asked],
                       config, corpus, work.resume)
    work.save(policy)


def evaluation(work: Work) -> Rows:
    """Everyone on held-out prompts, judged by people and by the gold score (§3.6)."""
    folder, source, config = work.folder, work.source, work.config.evaluate
    folder.check("collect")
    known = folder.json("labelers.json")
    source.recall(known)
    policies = {stage.name: work.policy(stage.name)
                for stage in stages_of(work.config) if stage.is_policy}
    longest = work.config.collect.max_new_tokens
    answers = table.answers_of(policies, source, config, longest)
    judge = work.scores("judge") if "judge" in folder.stages else None
    judged = table.judge_policies(policies, answers, source, config, judge)
    write_json(folder.path / "samples.json", table.samples(answers, source))
    yield {"step": 1, "steps": 2} | {f"{name} {what}": interval.mean
                                     for name, row in judged.items()
                                     for what, interval in row.items()}
    reward = work.scores("reward")
    found = table.judge_reward(reward, policies["rl_init"], source, config, longest)
    yield {"step": 2, "steps": 2} | {name: share.mean for name, share in found.items()}
    evaluated = {"policies": judged, "reward": found, "labelers": known}
    write_json(folder.path / "evaluation.json", evaluated)
    write_cards(folder, evaluated)


@dataclass(frozen=True)
class Stage:
    """A row of the table below."""

    name: str
    title: str
    make: Callable[[Work], Rows]
    needs: tuple[str, ...] = ()        # stages of whose files it is made
    watch: tuple[str, ...] = ()        # what of a row is worth watching
    is_policy: bool = True             # what it makes: a policy, or something else


STAGES = (
    Stage("base", "Base", base, watch=("loss",)),
    Stage("sft", "SFT", supervised, ("base",), ("loss",)),
    Stage("rl_init", "RL start", supervised, ("base",), ("loss", "ptx_loss")),
    Stage("collect", "Rankings", rankings, ("rl_init",), ("rankings", "pairs"), False),
    Stage("reward", "Reward model", reward_model, ("rl_init", "collect"),
          ("loss", "accuracy"), False),
    Stage("judge", "Judge", judge_model, ("rl_init",), ("loss", "accuracy"), False),
    Stage("best_of_n", "BoN SFT", rejection_sampled, ("rl_init", "reward"),
          ("loss", "ptx_loss")),
    Stage("ppo", "PPO", partial(reinforced, gamma=0.0),          # no pretraining
          ("rl_init", "reward"), ("score", "kl", "length")),
    Stage("ppo_ptx", "PPO-ptx", reinforced, ("rl_init", "reward"),
          ("score", "kl", "ptx_loss")),
    Stage("evaluate", "Evaluation", evaluation,
          ("base", "sft", "rl_init", "collect", "reward", "judge", "best_of_n", "ppo",
           "ppo_ptx"), ("sft gold", "ppo_ptx gold", "sft judge", "ppo_ptx judge"),
          False),
)


def stages_of(config: Run) -> list[Stage]:
    """The stages that a run has; some only where they are asked for."""
    asked = {"best_of_n": config.best_of_n.n, "ppo": config.without_ptx,
             "judge": config.data and config.data.judge}
    off = {name for name, number in asked.items() if not number}
    return [replace(stage, needs=tuple(name for name in stage.needs if name not in off))
            for stage in STAGES if stage.name not in off]


def kept(work: Work, kind: type, make: Callable[[int], list],
         count: int) -> Iterator[tuple[dict, list]]:
    """Records made from `count` prompts in batches; those that are there are read.

    Yields the row of a step, and its records. A batch is there if its sha256 is beside
    it and right.
    """
    folder, steps = work.folder, math.ceil(count / work.config.collect.batch_size)
    for batch in range(steps):
        path = folder.path / "data" / work.stage / f"{batch:05}.jsonl"
        beside = path.with_suffix(".sha256.json")
        path.parent.mkdir(parents=True, exist_ok=True)
        if digests(path, folder.path) != folder.json(beside):
            write_jsonl(path, make(batch))
            write_json(beside, digests(path, folder.path))
        records = read_jsonl(path, kind, allow_empty=True)
        yield {"step": batch + 1, "steps": steps}, records


class Stopped(Exception):
    """Asked to stop, the run has saved where it is, and goes on when called again."""


def run(config: Run, folder: str | Path,
        stopping: Callable[[], bool] = lambda: False,
        mirror: str | Path | None = None) -> Rows:
    """Every stage that is not done yet; yields its rows as they are logged.

    stopping: asked after each step; when true, the state is saved and `Stopped` raised.
    mirror: a second place (run/mirror.py), from which an empty folder goes on.
    ValueError when the folder holds a run of another configuration, BlockingIOError
    when another process is at it, OSError or MemoryError when disk or memory is full.
    """
    torch.set_num_threads(config.threads)
    ranks.join(cpu=config.hardware.device == "cpu")
    first = ranks.rank() == 0
    second = Mirror(mirror if first else None)
    with locked(Path(folder)) if first else nullcontext():
        second.restore(RunFolder(folder))
        with ranks.own_folder(Path(folder)) as path, sparing(config.hardware):
            place, source, stages = RunFolder(path), None, stages_of(config)
            place.shared = Path(folder)
            place.settle(config, {stage.name: stage.title for stage in stages})
            for stage in stages:
                if not place.is_done(stage.name, stage.needs):
                    if source is None:
                        source = open_source(config)
                        unseen_prompts(config, source)     # refused before training
                        if config.data:
                            source.settle(place.path)
                    yield from advance(stage, seeded(config), source, place, second,
                                       stopping)


def locked(path: Path) -> AbstractContextManager:
    """Within, no other process can run there; OSError where one does, or none can."""
    try:
        path.mkdir(parents=True, exist_ok=True)
        return FileLock(path / ".lock").acquire(timeout=0)
    except Timeout:
        raise BlockingIOError(f"{path}: another process is running in it; wait for it, "
                              "or name another folder") from None
    except OSError as error:
        raise type(error)(f"{path} cannot hold a run ({error.strerror}): name another "
                          "folder with --out") from None


def advance(stage: Stage, config: Run, source: Source, folder: RunFolder,
            mirror: Mirror, stopping: Callable[[], bool]) -> Rows:
    """One stage, from its newest whole checkpoint to its end."""
    log = Metrics(folder.path / "metrics.jsonl")
    checkpoints = folder.path / "checkpoints" / stage.name
    resume = ResumeState.newest(checkpoints)
    log.keep(stage.name, resume.step)
    began, saved = time.process_time() - resume.seconds, time.monotonic()
    for row in stage.make(Work(stage.name, config, source, folder, resume)):
        row = {"stage": stage.name, **row}
        log.append(row)
        stop = ranks.any_of(stopping())
        late = time.monotonic() - saved > config.checkpoint_every
        if ranks.rank() == 0 and resume.step and (stop or late):
            resume.seconds = time.process_time() - began
            resume.save(checkpoints)
            mirror.keep(folder)
            saved = time.monotonic()
        yield row
        if stop:
            raise Stopped(f"stopped in {stage.name} after step {row['step']}; the same "
                          "command goes on from there")
    called, memory = used(device_of(config.hardware))
    folder.finish(stage.name, time.process_time() - began, stage.needs, memory,
                  planned(config, called).get(stage.name))
    mirror.keep(folder)


def seeded(config: Run) -> Run:
    """The configuration with the seed of the run added to the seed of its stages.

    Not of pretraining: runs that differ in their seed start from the same base model.
    """
    return replace(config, **{name: replace(stage, seed=stage.seed + config.seed)
                              for name, stage in vars(config).items()
                              if hasattr(stage, "seed") and name != "pretrain"})


def unseen_prompts(config: Run, source: Source) -> tuple[list[Prompt], list[Prompt]]:
    """Training prompts to rank answers to, and for RL: none serves twice (Table 6).

    ValueError when there are fewer than are asked for.
    """
    shown = max(config.sft.demonstrations, config.rl_init.demonstrations)
    ranked = shown + config.collect.prompts
    end = ranked + config.ppo.prompts
    if end > len(source.train):
        raise ValueError(f"sft.demonstrations + collect.prompts + ppo.prompts = {end}, "
                         f"but there are {len(source.train)} training prompts: ask "
                         "for fewer")
    return source.train[shown:ranked], source.train[ranked:end]
