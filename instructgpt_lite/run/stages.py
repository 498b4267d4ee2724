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
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch
from filelock import FileLock, Timeout

from instructgpt_lite.config import SFT, Run
from instructgpt_lite.data.given import check_lengths
from instructgpt_lite.data.jsonl import read_jsonl, write_jsonl
from instructgpt_lite.data.protocols import Source
from instructgpt_lite.data.records import Demonstration, Prompt, Ranking
from instructgpt_lite.files import Metrics, digests, write_json
from instructgpt_lite.judging import table
from instructgpt_lite.models import ranks
from instructgpt_lite.models.hardware import N, placed, sparing
from instructgpt_lite.models.networks import Policy, ScalarModel
from instructgpt_lite.run.card import write_cards
from instructgpt_lite.run.folder import RunFolder, shipped_base
from instructgpt_lite.run.mirror import Mirror
from instructgpt_lite.run.sources import located, open_source
from instructgpt_lite.training.best_of_n import best_of_n
from instructgpt_lite.training.loop import generator
from instructgpt_lite.training.ppo_ptx import ppo_ptx
from instructgpt_lite.training.pretrain import pretrain
from instructgpt_lite.training.resume import ResumeState
from instructgpt_lite.training.reward import center, to_rank, train_reward
from instructgpt_lite.training.sft import finetune

Rows = Iterator[dict]


def loaded(kind: type[N], folder: RunFolder, stage: str) -> N:
    """The policy or reward model that a stage has made, where this run computes."""
    return placed(kind.load(folder.model(stage)), folder.hardware)


def save(folder: RunFolder, stage: str, model: Policy | ScalarModel) -> None:
    """Put what a stage has made in its place; process 0 does, the others copy it."""
    if ranks.rank() == 0:
        folder.save(stage, model)
    ranks.meet()
    if ranks.rank():
        shutil.copytree(folder.shared / "models" / stage,
                        folder.path / "models" / stage, dirs_exist_ok=True)


def base(config: Run, source: Source, folder: RunFolder, resume: ResumeState) -> Rows:
    """Next-token prediction. The paper has GPT-3; we have any model, or our own."""
    ready = config.base_model or shipped_base(config)
    if ready:
        policy = Policy.load(located(ready))
    else:
        words = source.tokenizer()
        policy = Policy.new(config.architecture, words, config.pretrain.seed)
        placed(policy, folder.hardware)
        corpus = source.corpus(policy.tokenizer)
        yield from pretrain(policy, corpus, config.pretrain, resume)
    policy.speak(config.template, config.fixed_length)
    check_lengths(config, policy.context)
    save(folder, "base", policy)


def supervised(name: str, config: Run, source: Source, folder: RunFolder,
               resume: ResumeState) -> Rows:
    """Step 1: labelers show what to say, and the base model learns it (§3.5).

    "sft"; and "rl_init", where RL starts: pretraining text is mixed in (App. C.3).
    """
    stage: SFT = getattr(config, name)
    shown = source.demonstrations(stage.demonstrations, stage.seed)
    yield from finetuned(name, "base", shown, stage, source, folder, resume)


def finetuned(name: str, start: str, shown: list[Demonstration], config: SFT,
              source: Source, folder: RunFolder, resume: ResumeState) -> Rows:
    """The policy `start`, trained to say what is shown."""
    policy = loaded(Policy, folder, start)
    corpus = source.corpus(policy.tokenizer)
    yield from finetune(policy, shown, config, corpus, resume)
    save(folder, name, policy)


def rankings(config: Run, source: Source, folder: RunFolder,
             resume: ResumeState) -> Rows:
    """Step 2, first half: labelers rank what the RL start says, K answers a prompt."""
    policy = loaded(Policy, folder, "rl_init")
    prompts, _ = unseen_prompts(config, source)
    known = table.calibrate(source, policy, config.collect)
    write_json(folder.path / "labelers.json", known)

    def make(batch: int) -> list[Ranking]:
        return source.rank(*to_rank(policy, prompts, config.collect, batch))

    batches = kept(folder, "collect", Ranking, make, len(prompts),
                   config.collect.batch_size)
    for row, ranked in batches:
        pairs = sum(len(each.pairs) for each in ranked)
        yield row | {"rankings": len(ranked), "pairs": pairs}


def reward_model(config: Run, source: Source, folder: RunFolder,
                 resume: ResumeState) -> Rows:
    """Step 2, second half: a model learns what labelers prefer, eq. (1)."""
    policy = loaded(Policy, folder, "rl_init")
    reward = ScalarModel.on(policy, config.reward.seed)
    ranked = folder.records("collect", Ranking)
    yield from train_reward(reward, ranked, config.reward, resume)
    center(reward, policy, source.demonstrations(config.rl_init.demonstrations))
    save(folder, "reward", reward)


def judge_model(config: Run, source: Source, folder: RunFolder,
                resume: ResumeState) -> Rows:
    """A second reward model, from texts and people that the first has not seen."""
    policy = loaded(Policy, folder, "rl_init")
    judge = ScalarModel.on(policy, config.reward.seed)
    yield from train_reward(judge, source.second(), config.reward, resume)
    save(folder, "judge", judge)


def rejection_sampled(config: Run, source: Source, folder: RunFolder,
                      resume: ResumeState) -> Rows:
    """A baseline for PPO: learn the best of n answers, by the reward model, at once."""
    policy = loaded(Policy, folder, "rl_init")
    reward = loaded(ScalarModel, folder, "reward").frozen()
    prompts = unseen_prompts(config, source)[1][:config.best_of_n.demonstrations]
    size, n = config.collect.batch_size, config.best_of_n.n

    def make(batch: int) -> list[Demonstration]:
        random = generator(config.best_of_n.seed, "best of n", batch)
        return best_of_n(policy, reward, prompts[batch * size:(batch + 1) * size], n,
                         config.ppo.max_new_tokens, random)

    batches = kept(folder, "best_of_n", Demonstration, make, len(prompts), size)
    best = [shown for _, batch in batches for shown in batch]
    yield from finetuned("best_of_n", "rl_init", best, config.best_of_n, source, folder,
                         resume)


def reinforced(name: str, config: Run, source: Source, folder: RunFolder,
               resume: ResumeState) -> Rows:
    """Step 3, eq. (2): answer, be scored, improve; the reference is where it starts.

    "ppo_ptx" is what the paper calls InstructGPT, "ppo" the same with gamma = 0.
    """
    gamma = config.ppo.gamma if name == "ppo_ptx" else 0.0
    policy = loaded(Policy, folder, "rl_init")
    reward = loaded(ScalarModel, folder, "reward").frozen()
    prompts = [prompt.prompt for prompt in unseen_prompts(config, source)[1]]
    corpus = source.corpus(policy.tokenizer)
    yield from ppo_ptx(policy, policy.frozen(), reward, prompts,
                       replace(config.ppo, gamma=gamma), corpus, resume)
    save(folder, name, policy)


def evaluation(config: Run, source: Source, folder: RunFolder,
               resume: ResumeState) -> Rows:
    """Everyone on held-out prompts, judged by people and by the gold score (§3.6)."""
    folder.check("collect")
    known = folder.json("labelers.json")
    source.recall(known)
    policies = {stage.name: loaded(Policy, folder, stage.name)
                for stage in stages_of(config) if stage.is_policy}
    longest = config.collect.max_new_tokens
    answers = table.answers_of(policies, source, config.evaluate, longest)
    judge = loaded(ScalarModel, folder, "judge") if "judge" in folder.stages else None
    judged = table.judge_policies(policies, answers, source, config.evaluate, judge)
    write_json(folder.path / "samples.json", table.samples(answers, source))
    yield {"step": 1, "steps": 2} | {f"{name} {what}": interval.mean
                                     for name, row in judged.items()
                                     for what, interval in row.items()}
    reward = loaded(ScalarModel, folder, "reward")
    found = table.judge_reward(reward, policies["rl_init"], source, config.evaluate,
                               longest)
    yield {"step": 2, "steps": 2} | {name: share.mean for name, share in found.items()}
    evaluated = {"policies": judged, "reward": found, "labelers": known}
    write_json(folder.path / "evaluation.json", evaluated)
    write_cards(folder, evaluated)


@dataclass(frozen=True)
class Stage:
    """A row of the table below."""

    name: str
    title: str
    make: Callable[[Run, Source, RunFolder, ResumeState], Rows]
    needs: tuple[str, ...] = ()        # stages of whose files it is made
    watch: tuple[str, ...] = ()        # what of a row is worth watching
    is_policy: bool = True             # what it makes: a policy, or something else


STAGES = (
    Stage("base", "Base", base, watch=("loss",)),
    Stage("sft", "SFT", partial(supervised, "sft"), ("base",), ("loss",)),
    Stage("rl_init", "RL start", partial(supervised, "rl_init"), ("base",),
          ("loss", "ptx_loss")),
    Stage("collect", "Rankings", rankings, ("rl_init",), ("rankings", "pairs"), False),
    Stage("reward", "Reward model", reward_model, ("rl_init", "collect"),
          ("loss", "accuracy"), False),
    Stage("judge", "Judge", judge_model, ("rl_init",), ("loss", "accuracy"), False),
    Stage("best_of_n", "BoN SFT", rejection_sampled, ("rl_init", "reward"),
          ("loss", "ptx_loss")),
    Stage("ppo", "PPO", partial(reinforced, "ppo"), ("rl_init", "reward"),
          ("score", "kl", "length")),
    Stage("ppo_ptx", "PPO-ptx", partial(reinforced, "ppo_ptx"),
          ("rl_init", "reward"), ("score", "kl", "ptx_loss")),
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


def kept(folder: RunFolder, stage: str, kind: type, make: Callable[[int], list],
         count: int, batch_size: int) -> Iterator[tuple[dict, list]]:
    """Records made from `count` prompts in batches; those that are there are read.

    Yields the row of a step, and its records. A batch is there if its sha256 is beside
    it and right.
    """
    steps = math.ceil(count / batch_size)
    for batch in range(steps):
        path = folder.path / "data" / stage / f"{batch:05}.jsonl"
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
        if first:
            second.restore(RunFolder(folder))
        with ranks.own_folder(Path(folder)) as path, sparing(config.hardware):
            place, source, stages = RunFolder(path), None, stages_of(config)
            place.hardware, place.shared = config.hardware, Path(folder)
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


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Within, no other process can run there. BlockingIOError where one does."""
    lock = FileLock(path / ".lock")
    path.mkdir(parents=True, exist_ok=True)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise BlockingIOError(f"{path}: another process is running in it; wait for it, "
                              "or name another folder") from None
    try:
        yield
    finally:
        lock.release()


def advance(stage: Stage, config: Run, source: Source, folder: RunFolder,
            mirror: Mirror, stopping: Callable[[], bool]) -> Rows:
    """One stage, from its newest whole checkpoint to its end."""
    log = Metrics(folder.path / "metrics.jsonl")
    checkpoints = folder.path / "checkpoints" / stage.name
    resume = ResumeState.newest(checkpoints)
    log.keep(stage.name, resume.step)
    began, saved = time.process_time() - resume.seconds, time.monotonic()
    for row in stage.make(config, source, folder, resume):
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
    folder.finish(stage.name, time.process_time() - began, stage.needs)
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
