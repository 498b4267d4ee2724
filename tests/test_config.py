"""Defaults are the paper's numbers, presets state departures only, and every field does something."""

import ast
import dataclasses
import json
import math
from dataclasses import FrozenInstanceError, fields, is_dataclass, replace
from functools import cache
from pathlib import Path

import pytest
import torch

from instructgpt_lite import config, presets
from instructgpt_lite.config import (
    PPO,
    SFT,
    Architecture,
    BestOfN,
    Collect,
    Evaluate,
    Hardware,
    Pretrain,
    Reviews,
    Reward,
    RLInit,
    Run,
)
from instructgpt_lite.data.records import Prompt, Ranking
from instructgpt_lite.data.tokenizers import word_tokenizer
from instructgpt_lite.models.networks import Policy, ScalarModel
from instructgpt_lite.run import folder as folders
from instructgpt_lite.run import stages
from instructgpt_lite.run.folder import RunFolder, made_by, shipped_base
from instructgpt_lite.training.resume import ResumeState
from instructgpt_lite.world.world import World, ranked_by
from tests.training.conftest import (
    LETTERS,
    Corpus,
    Ranker,
    demonstrations,
    digest,
    letters,
    new_policy,
    new_reward,
    rankings,
    stirred,
)

SECTIONS = {each.name: type(getattr(presets.tiny, each.name)) for each in fields(Run)
            if is_dataclass(getattr(presets.tiny, each.name)) and each.name != "hardware"}


# The paper

PAPER = [                                        # paper.md, section 2: Tables 6 and 9, App. C
    (SFT, {"demonstrations": 12_725, "epochs": 16, "batch_size": 32, "lr": 9.65e-6, "warmup": 0,
           "final_lr": 0.1, "dropout": 0.2, "pretraining_mix": 0}),
    (RLInit, {"demonstrations": 12_725, "epochs": 2, "batch_size": 32, "lr": 5e-6, "warmup": 0,
              "final_lr": 0.1, "pretraining_mix": 0.1}),
    (Collect, {"prompts": 33_207, "K_min": 4, "K_max": 9, "temperature": 1}),
    (Reward, {"epochs": 1, "batch_size": 64, "lr": 9e-6, "warmup": 0, "final_lr": 0.1}),
    (PPO, {"prompts": 31_144, "episodes": 256_000, "batch_size": 512, "minibatch_size": 64, "inner_epochs": 1,
           "lr": 1.18e-5, "value_lr": 9e-6, "adam_betas": (0.9, 0.95), "warmup": 10, "beta": 0.02,
           "gamma": 27.8, "ptx_ratio": 8, "clip": 0.2, "lam": 0.95, "temperature": 1, "ema": 0.992}),
    (Evaluate, {"prompts": 3_196}),
]


@pytest.mark.parametrize("kind, numbers", PAPER, ids=lambda each: getattr(each, "__name__", ""))
def test_defaults_are_the_papers_numbers(kind, numbers):
    assert {name: getattr(kind(), name) for name in numbers} == numbers


def test_derived_numbers_are_the_papers():
    """256,000 / 512 iterations of 8 updates; 512 pretraining rows each; EMA halves in 86.3 updates."""
    ppo, reward, sft = PPO(), Reward(), SFT()
    assert ppo.iterations == 500 and ppo.minibatches == 8 and ppo.iterations * ppo.minibatches == 4_000
    assert ppo.ptx_ratio * ppo.minibatch_size == 512 and ppo.ptx_ratio * ppo.episodes == 2_048_000
    assert math.log(0.5) / math.log(ppo.ema) == pytest.approx(86.2964, abs=1e-4)
    assert ppo.episodes / ppo.prompts == pytest.approx(8.22, abs=0.01)
    assert sft.demonstrations * sft.epochs // sft.batch_size == 6_362
    assert math.ceil(Collect().prompts / reward.batch_size) == 519
    assert reward.batch_size * math.comb(Collect().K_max, 2) == 2_304


def test_the_start_of_rl_differs_from_the_baseline_in_four_numbers():
    """App. C.3; trap T2: the baseline is not the reference."""
    baseline, start = SFT(), RLInit()
    differ = {each.name for each in fields(SFT) if getattr(baseline, each.name) != getattr(start, each.name)}
    assert differ == {"epochs", "lr", "dropout", "pretraining_mix"}


def test_minibatches_count_every_inner_epoch():
    assert PPO(batch_size=12, minibatch_size=4, inner_epochs=3).minibatches == 9
    assert PPO(episodes=100, batch_size=30, minibatch_size=15).iterations == 3


# Presets

def test_configurations_are_frozen_and_hashable():
    for preset in presets.PRESETS.values():
        assert isinstance(hash(preset), int)
        with pytest.raises(FrozenInstanceError):
            preset.ppo.beta = 1.0
        with pytest.raises(FrozenInstanceError):
            preset.seed = 1
    assert len(set(presets.PRESETS.values())) == len(presets.PRESETS)


def test_presets_are_runs_that_know_their_name():
    assert all(name == preset.preset and type(preset) is Run for name, preset in presets.PRESETS.items())
    for preset in presets.PRESETS.values():
        assert all(type(getattr(preset, name)) is kind for name, kind in SECTIONS.items())


def test_a_preset_writes_nothing_that_is_the_paper_s_already():
    """Each keyword of presets.py is a departure."""
    kinds = {kind.__name__: kind for kind in SECTIONS.values()}
    for call in ast.walk(ast.parse(Path(presets.__file__).read_text())):
        if isinstance(call, ast.Call) and getattr(call.func, "id", "") in kinds:
            default = kinds[call.func.id]()
            for keyword in call.keywords:
                if isinstance(keyword.value, ast.Constant) and kinds[call.func.id] is not Architecture:
                    assert keyword.value.value != getattr(default, keyword.arg), ast.unparse(keyword)


def test_no_code_asks_for_the_name_of_a_preset():
    """The tracks differ in numbers only."""
    for path in Path(config.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Compare):
                sides = [ast.unparse(side) for side in (node.left, *node.comparators)]
                assert not any(side.endswith(".preset") for side in sides), path


def test_every_configuration_survives_json():
    for preset in presets.PRESETS.values():
        assert json.loads(json.dumps(dataclasses.asdict(preset)))["ppo"]["adam_betas"] == [0.9, 0.95]


# Every field has an effect: each is changed, and its stage must end elsewhere. So a new one is tested.

MICRO = Run(
    preset="micro",
    architecture=Architecture(layers=1, width=8, heads=2, context=64),
    pretrain=Pretrain(tokens=160, batch_size=4, length=8, lr=1e-2, matrix_lr=1e-2, warmup=0.4, final_lr=0.2,
                      clip_norm=0.05),
    sft=SFT(demonstrations=10, epochs=2, batch_size=4, lr=1e-2, matrix_lr=1e-2, warmup=0.4, dropout=0.2,
            pretraining_mix=0.5, mix_length=6, clip_norm=0.05),
    rl_init=RLInit(demonstrations=10, epochs=2, batch_size=4, lr=1e-2, matrix_lr=1e-2, warmup=0.4,
                   dropout=0.2, pretraining_mix=0.5, mix_length=6, clip_norm=0.05),
    collect=Collect(prompts=10, batch_size=4, temperature=0.8, max_new_tokens=4),
    reward=Reward(epochs=2, batch_size=2, lr=1e-2, matrix_lr=1e-2, warmup=0.4, clip_norm=0.05),
    best_of_n=BestOfN(n=2, demonstrations=10, epochs=2, batch_size=4, lr=1e-2, matrix_lr=1e-2, warmup=0.4,
                      dropout=0.2, pretraining_mix=0.5, mix_length=6, clip_norm=0.05),
    ppo=PPO(prompts=12, episodes=36, batch_size=12, minibatch_size=3, inner_epochs=2, lr=3e-2, value_lr=3e-2,
            warmup=1, beta=0.3, kl_target=0.6, kl_horizon=60, gamma=0.5, ptx_ratio=0.5, ptx_length=6, clip=0.1,
            value_clip=0.1, temperature=0.8, max_new_tokens=4, ema=0.8, clip_norm=0.5),
    evaluate=Evaluate(prompts=4, shots=1, text_length=32),
    checkpoint_every=1e9,
)
OTHER = {"checkpoint_every": 0.0, "hardware": Hardware(micro_batch=3), "preset": "other", "data": Reviews(),
         "base_model": "another", "template": "Q: {prompt}"}


def changed(name: str, value):
    """Another value of the same kind: twice an int, half a float."""
    if name in OTHER:
        return OTHER[name]
    if isinstance(value, bool):
        return not value
    if isinstance(value, tuple):
        return (value[0] / 2, *value[1:])
    return 2 * value or 1 if isinstance(value, int) else value / 2


class World7:
    """What the stages ask of a world, in seven lines."""

    train = [Prompt(text) for text in letters(100, 1)]

    def __init__(self, seed: int = 0) -> None:
        self.seed, self.labelers = seed, Ranker()

    def tokenizer(self):
        return word_tokenizer(["\n", *LETTERS])

    def corpus(self, tokenizer):
        return Corpus()

    def demonstrations(self, count: int, seed: int = 0):
        return demonstrations(count)

    def rank(self, prompts, answer, rng):
        return ranked_by(self.labelers, prompts, answer(prompts), rng)


class MicroFolder(RunFolder):
    """A run folder whose models are random; what a stage makes of them is kept in memory."""

    made = None

    def model(self, name: str) -> str:
        return name

    def check(self, stage: str) -> None:
        pass

    def records(self, stage: str, kind: type):
        return rankings([4, 5, 2, 3, 6]) if kind is Ranking else demonstrations(10)

    def save(self, stage: str, model) -> None:
        self.made = digest(model)


@pytest.fixture(autouse=True)
def micro_world(monkeypatch):
    monkeypatch.setattr(stages, "open_source", lambda config: World7(config.world))
    monkeypatch.setattr(stages.table, "calibrate", lambda *_: {})
    monkeypatch.setattr(Policy, "load", lambda name: new_policy())
    monkeypatch.setattr(ScalarModel, "load", lambda name: new_reward())


def made(name: str, run: Run, folder: Path, world):
    """Rows, weights and files of one stage."""
    folder.mkdir(exist_ok=True)
    place, stage = MicroFolder(folder), next(each for each in stages.STAGES if each.name == name)
    place.settle(run, {name: stage.title})
    if name == "evaluate":
        noise = {"noise": {"training": 0.2, "held-out": 0.3}}
        (folder / "labelers.json").write_text(json.dumps(noise))
    rows = list(stage.make(stages.Work(name, run, world, place, ResumeState())))
    files = [path.read_text() for path in sorted(folder.rglob("*")) if path.suffix in (".json", ".jsonl")
             and path.name not in ("config.json", "stages.json")]
    return rows, place.made, files


@cache
def english() -> World:
    return World(prompts=600)


@cache
def words():
    return english().tokenizer()


@cache
def speaker(seed: int) -> Policy:
    architecture = Architecture(layers=1, width=8, heads=2, context=128)
    return stirred(Policy.new(architecture, words(), seed), seed).float()


STAGE = {"architecture": "base", "pretrain": "base", "sft": "sft", "rl_init": "rl_init", "collect": "collect",
         "reward": "reward", "best_of_n": "best_of_n", "ppo": "ppo_ptx"}


@cache
def outcome(section: str, run: Run, folder: Path):
    if section == "evaluate":
        return made(section, run, folder, english())
    return made(STAGE[section], run, folder, World7())


@pytest.fixture(scope="module")
def base_folder(tmp_path_factory):
    return lambda section, made={}: made.setdefault(section, tmp_path_factory.mktemp(section))


@pytest.mark.parametrize("section, name", [(section, each.name) for section, kind in SECTIONS.items()
                                           for each in fields(kind)])
def test_every_field_of_a_stage_has_an_effect(section, name, tmp_path, base_folder, monkeypatch):
    if section == "evaluate":
        names = [stage.name for stage in stages.STAGES]
        monkeypatch.setattr(Policy, "load", lambda name: speaker(names.index(name)))
        monkeypatch.setattr(ScalarModel, "load", lambda name: ScalarModel.on(speaker(0)))
    part = getattr(MICRO, section)
    run = replace(MICRO, **{section: replace(part, **{name: changed(name, getattr(part, name))})})
    assert outcome(section, run, tmp_path) != outcome(section, MICRO, base_folder(section))


# Fields of a run as a whole

def whether_the_shipped_base_is_taken(run: Run, folder: Path, monkeypatch) -> bool:
    (folder / "micro").mkdir(parents=True)
    said = made_by(replace(run, preset="micro")) | {"files": {}}
    (folder / "micro" / "made_by.json").write_text(json.dumps(said))
    monkeypatch.setattr(folders, "BASES", folder)
    return shipped_base(run) is not None


def threads(run: Run, folder: Path, monkeypatch) -> int:
    before = torch.get_num_threads()
    monkeypatch.setattr(stages, "STAGES", ())
    try:
        assert list(stages.run(run, folder)) == []
        return torch.get_num_threads()
    finally:
        torch.set_num_threads(before)


def saves(run: Run, folder: Path, monkeypatch) -> int:
    before, steps = torch.get_num_threads(), stages.run(run, folder)
    for _ in range(2):
        next(steps)
    torch.set_num_threads(before)
    return len(list((folder / "checkpoints" / "base").glob("*")))


def world_of(run: Run, folder: Path, monkeypatch) -> int:
    """The seed of the world that the first stage is given."""
    found = []
    stage = replace(stages.STAGES[0], make=lambda work: found.append(work.source.seed) or ())
    monkeypatch.setattr(stages, "STAGES", (stage,))
    monkeypatch.setattr(RunFolder, "finish", lambda *_: None)
    list(stages.run(run, folder))
    return found[0]


def seeds(run: Run, *_) -> list[int]:
    seeded = stages.seeded(run)
    return [getattr(seeded, name).seed for name in SECTIONS if name != "architecture"]


def base_of(run: Run, folder: Path, monkeypatch) -> tuple:
    """Which model the first stage opens, how that is asked, and whether an end ends what it says."""
    opened, saved = [], []
    monkeypatch.setattr(stages, "located", lambda name: name)
    monkeypatch.setattr(Policy, "load", lambda name: opened.append(name) or new_policy())
    monkeypatch.setattr(RunFolder, "save", lambda self, stage, policy: saved.append(policy))
    run = replace(run, base_model=run.base_model or "one")
    assert list(stages.base(stages.Work("base", run, World7(), RunFolder(folder), None))) == []
    return opened[0], saved[0].template, saved[0].ends


def names_of_stages(run: Run, *_) -> list[str]:
    return [stage.name for stage in stages.stages_of(run)]


def micro_batch_of(run: Run, folder: Path, monkeypatch) -> int:
    """What the first stage's network is told."""
    told = []
    monkeypatch.setattr(stages, "placed", lambda network, hardware: told.append(hardware.micro_batch) or network)
    monkeypatch.setattr(RunFolder, "is_done", lambda *_: False)
    monkeypatch.setattr(stages, "STAGES", tuple(each for each in stages.STAGES if each.name == "sft"))
    monkeypatch.setattr(RunFolder, "model", lambda self, name: name)
    monkeypatch.setattr(RunFolder, "finish", lambda *_: None)
    monkeypatch.setattr(RunFolder, "save", lambda *_: None)
    list(stages.run(run, folder))
    return told[0]


RUN_FIELDS = {
    "hardware": micro_batch_of,
    "data": names_of_stages,
    "without_ptx": names_of_stages,
    "base_model": base_of,
    "template": base_of,
    "fixed_length": base_of,
    "preset": whether_the_shipped_base_is_taken,
    "world": world_of,
    "seed": seeds,
    "threads": threads,
    "checkpoint_every": saves,
}


@pytest.mark.parametrize("name", [each.name for each in fields(Run) if each.name not in SECTIONS])
def test_every_field_of_a_run_has_an_effect(name, tmp_path, monkeypatch):
    assert name in RUN_FIELDS, f"Run.{name} is new: say in RUN_FIELDS what it does"
    run = replace(MICRO, **{name: changed(name, getattr(MICRO, name))})
    found = [RUN_FIELDS[name](each, tmp_path / str(n), monkeypatch) for n, each in enumerate((MICRO, run))]
    assert found[0] != found[1]


def test_the_seed_of_a_run_moves_every_stage_after_the_base():
    before, after = (stages.seeded(replace(MICRO, seed=seed)) for seed in (0, 1))
    moved = {name: getattr(after, name).seed - getattr(before, name).seed
             for name in SECTIONS if name != "architecture"}
    assert moved.pop("pretrain") == 0 and set(moved.values()) == {1}


@pytest.mark.parametrize("name", ["tiny", "nano"])
def test_a_run_with_any_seed_starts_from_the_shipped_base(name):
    """To pretrain anew takes twenty minutes."""
    assert shipped_base(stages.seeded(replace(presets.PRESETS[name], seed=5))) is not None


def test_only_ppo_has_no_pretraining_gradient(tmp_path, monkeypatch):
    gammas = {}
    for name in ("ppo", "ppo_ptx"):
        monkeypatch.setattr(stages, "ppo_ptx", lambda *given: gammas.update({name: given[4].gamma}) or ())
        made(name, MICRO, tmp_path / name, World7())
    assert gammas == {"ppo": 0.0, "ppo_ptx": 0.5}
