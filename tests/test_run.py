"""The whole, on the smallest preset: end to end, killed in every stage, and what it leaves behind."""

import json
import os
import resource
import shutil
import signal
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import save_file

from instructgpt_lite import presets
from instructgpt_lite.files import read_metrics
from instructgpt_lite.models.networks import Policy, ScalarModel
from instructgpt_lite.models.rollout import Rollout
from instructgpt_lite.run import stages
from instructgpt_lite.run.folder import Damaged, RunFolder, check_model
from instructgpt_lite.run.mirror import Mirror
from instructgpt_lite.run.plan import planned
from instructgpt_lite.run.stages import Stopped, run
from instructgpt_lite.training.resume import ResumeState
from instructgpt_lite.training.sft import demonstrated
from instructgpt_lite.world.world import World

MICRO = replace(presets.micro, checkpoint_every=0.0,            # a checkpoint after every step
                best_of_n=replace(presets.micro.best_of_n, n=2))
NAMES = [stage.name for stage in stages.stages_of(MICRO)]


@pytest.fixture(scope="module")
def calm(tmp_path_factory) -> Path:
    """A run that nothing interrupted."""
    folder = tmp_path_factory.mktemp("calm") / "run"
    rows = list(run(MICRO, folder))
    assert rows == read_metrics(folder / "metrics.jsonl")
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    """Every file of a run but those that tell the time."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*"))
            if path.is_file() and path.name not in ("stages.json", ".lock", "README.md")}


def killed(folder: Path, stage: str, at: int) -> bool:
    """Run in a process of its own that kills itself after row `at` of a stage; whether it came to that."""
    child = os.fork()
    if not child:
        for row in run(MICRO, folder):
            if (row["stage"], row["step"]) == (stage, at):
                os.kill(os.getpid(), signal.SIGKILL)
        os._exit(0)
    return os.waitpid(child, 0)[1] == signal.SIGKILL


def test_out_of_memory_loses_nothing_and_another_micro_batch_goes_on(tmp_path, monkeypatch):
    """In the reward model, at its second step: one is in its checkpoint."""
    scores, read = ScalarModel.scores, []

    def full(self, *rows):
        read.append(len(rows[0]))
        if len(read) == 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return scores(self, *rows)

    monkeypatch.setattr(ScalarModel, "scores", full)
    with pytest.raises(MemoryError, match="--hardware.micro-batch 16"):
        list(run(MICRO, tmp_path / "run"))
    less = replace(MICRO, hardware=replace(MICRO.hardware, micro_batch=2, checkpointing=True))
    row = next(run(less, tmp_path / "run"))
    assert (row["stage"], row["step"]) == ("reward", 2) and read[0] > max(read[2:]) == 2


def test_a_run_killed_in_every_stage_ends_bit_for_bit_where_a_calm_one_does(calm, tmp_path):
    last = {row["stage"]: row["step"] for row in read_metrics(calm / "metrics.jsonl")}
    for stage in NAMES:
        assert killed(tmp_path / "run", stage, (last[stage] + 1) // 2), stage
    list(run(MICRO, tmp_path / "run"))
    ended, wanted = contents(tmp_path / "run"), contents(calm)
    assert ended.keys() == wanted.keys()
    assert [name for name in wanted if ended[name] != wanted[name]] == []


def test_every_stage_leaves_its_rows_and_its_time(calm):
    rows = read_metrics(calm / "metrics.jsonl")
    assert list(dict.fromkeys(row["stage"] for row in rows)) == NAMES
    assert list(RunFolder(calm).seconds) == NAMES and RunFolder(calm).missing == []
    for stage in NAMES:
        mine = [row["step"] for row in rows if row["stage"] == stage]
        assert mine == list(range(1, len(mine) + 1))


def test_each_stage_has_on_record_the_memory_it_took_and_what_was_planned(calm):
    records, most = RunFolder(calm).stages, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    taken = [record["memory"] for record in records.values()]
    assert 10**8 < taken[0] and taken == sorted(taken) and taken[-1] <= most
    there = planned(MICRO, "cpu")
    assert {name: record["planned"] for name, record in records.items()} == {
        name: there.get(name) for name in NAMES} and {"sft", "ppo_ptx"} <= set(there)


def test_policies_open_in_transformers_with_equal_logits(calm):
    from transformers import AutoModelForCausalLM, AutoTokenizer
    for name in ("base", "sft", "rl_init", "best_of_n", "ppo", "ppo_ptx"):
        ours = Policy.load(calm / "models" / name)
        theirs = AutoModelForCausalLM.from_pretrained(calm / "models" / name)
        token_BS = torch.tensor([AutoTokenizer.from_pretrained(calm / "models" / name).encode("Where does Ada live?")])
        with torch.no_grad():
            assert torch.allclose(ours.logits(token_BS), theirs(token_BS).logits, atol=1e-5)


def test_the_reward_model_opens_in_transformers_with_equal_scores(calm):
    from transformers import AutoModelForSequenceClassification
    ours = ScalarModel.load(calm / "models" / "reward")
    theirs = AutoModelForSequenceClassification.from_pretrained(calm / "models" / "reward")
    rollout = Rollout.of([[5, 6, 7], [8]], [[9, 10, ours.eos], [11, ours.eos]], ours.pad, ours.eos)
    with torch.no_grad():
        score_B = theirs(rollout.token_BS, attention_mask=(rollout.token_BS != ours.pad).long()).logits[:, 0]
        assert torch.allclose(ours(rollout), score_B, atol=1e-5)


def test_demonstrations_score_zero_and_the_policy_has_moved(calm):
    policy = Policy.load(calm / "models" / "rl_init")
    shown = demonstrated(policy, World(0).demonstrations(MICRO.rl_init.demonstrations))
    with torch.no_grad():
        assert abs(ScalarModel.load(calm / "models" / "reward")(shown).mean()) < 1e-5
    init, ptx = (Policy.load(calm / "models" / name).state_dict() for name in ("rl_init", "ppo_ptx"))
    assert any(not torch.equal(init[name], ptx[name]) for name in init)


def test_the_evaluation_has_an_interval_around_every_mean(calm):
    found = json.loads((calm / "evaluation.json").read_text())
    assert set(found["policies"]) == {"base", "few-shot", "sft", "rl_init", "best_of_n", "ppo", "ppo_ptx"}
    for row in [*found["policies"].values(), found["reward"]]:
        assert all(low - 1e-9 <= mean <= high + 1e-9 for mean, low, high in row.values())


def test_without_an_n_a_run_has_no_best_of_n_and_all_else_is_the_same(calm, tmp_path):
    list(run(replace(MICRO, best_of_n=replace(MICRO.best_of_n, n=0)), tmp_path))
    less, all_of_it = contents(tmp_path), contents(calm)
    assert not [name for name in less if "best" in name]
    models = [name for name in all_of_it if name.startswith("models") and "best" not in name]
    assert models and all(less[name] == all_of_it[name] for name in models)
    found, more = (json.loads(each["evaluation.json"])["policies"] for each in (less, all_of_it))
    assert found == {name: row for name, row in more.items() if name != "best_of_n"}


def test_another_configuration_is_refused_field_by_field(calm):
    with pytest.raises(ValueError, match=r"ppo.beta is 0.5 here and 0.1 there"):
        next(run(replace(MICRO, ppo=replace(MICRO.ppo, beta=0.5)), calm))


def test_a_field_that_is_off_and_has_lost_its_name_is_written_again(tmp_path):
    folder = RunFolder(tmp_path)
    folder.settle(MICRO, {"sft": "SFT"})
    folder.record("sft", {"title": "SFT", "seconds": 1.0, "files": {}, "made_of": ""})
    whole = (tmp_path / "config.json").read_bytes()
    (tmp_path / "config.json").write_bytes(whole.replace(b'"data": null', b'"dsta": null'))
    assert (tmp_path / "config.json").read_bytes() != whole
    folder.settle(MICRO, {"sft": "SFT"})
    assert (tmp_path / "config.json").read_bytes() == whole


def test_a_finished_run_has_nothing_left_to_do(calm):
    before = contents(calm)
    assert list(run(MICRO, calm)) == [] and contents(calm) == before


def test_a_second_process_is_refused(tmp_path):
    first = run(MICRO, tmp_path)
    next(first)
    with pytest.raises(BlockingIOError, match="another process"):
        next(run(MICRO, tmp_path))
    first.close()


def test_asked_to_stop_it_saves_and_goes_on(calm, tmp_path):
    seen = []
    with pytest.raises(Stopped, match="stopped in sft after step 1"):
        for row in run(MICRO, tmp_path, stopping=lambda: bool(seen) and seen[-1] == "base done"):
            seen.append("base done" if (row["stage"], row["step"], row["steps"]) == ("base", row["steps"], row["steps"])
                        else row["stage"])
    list(run(MICRO, tmp_path))
    assert contents(tmp_path) == contents(calm)


def test_too_many_prompts_are_refused_with_the_sum(tmp_path):
    greedy = replace(MICRO, collect=replace(MICRO.collect, prompts=10**6))
    with pytest.raises(ValueError, match=r"= 1000096, but there are \d+ training prompts"):
        list(run(greedy, tmp_path))


@pytest.mark.parametrize("baseline, rl_start", [(9, 4), (4, 9)])
def test_no_training_prompt_serves_twice(baseline, rl_start):
    config, world = presets.micro, World(0)
    config = replace(config, sft=replace(config.sft, demonstrations=baseline),
                     rl_init=replace(config.rl_init, demonstrations=rl_start))
    ranked, reinforced = stages.unseen_prompts(config, world)
    assert (len(ranked), len(reinforced)) == (config.collect.prompts, config.ppo.prompts)
    assert world.train[:9] + ranked + reinforced == world.train[:9 + len(ranked) + len(reinforced)]


def test_rl_begins_at_the_rl_start_on_prompts_that_were_not_ranked(calm, tmp_path, monkeypatch):
    given = []
    monkeypatch.setattr(stages, "ppo_ptx", lambda *these: given.extend(these) or iter(()))
    shutil.copytree(calm, tmp_path / "run")
    folder, world = RunFolder(tmp_path / "run"), World(0)
    list(stages.reinforced(stages.Work("ppo", MICRO, world, folder, ResumeState())))
    start = Policy.load(calm / "models" / "rl_init").state_dict()
    for policy in given[:2]:
        assert all(torch.equal(w, start[name]) for name, w in policy.state_dict().items())
    used = max(MICRO.sft.demonstrations, MICRO.rl_init.demonstrations) + MICRO.collect.prompts
    assert given[3] == [each.prompt for each in world.train[used:used + MICRO.ppo.prompts]]


def work(stage: str, config, calm: Path, tmp_path: Path) -> stages.Work:
    """A stage of a copy of a finished run, by another configuration."""
    shutil.copytree(calm, tmp_path / "run")
    return stages.Work(stage, config, World(0), RunFolder(tmp_path / "run"), ResumeState())


def is_of(calm: Path, name: str, policy: Policy) -> bool:
    wanted = Policy.load(calm / "models" / name).state_dict()
    return all(torch.equal(weight, wanted[key]) for key, weight in policy.state_dict().items())


def test_everybody_answers_as_long_as_was_ranked_and_people_rank_what_the_rl_start_says(calm, tmp_path, monkeypatch):
    """Not as long as RL may answer, and not the baseline."""
    told = {}
    config = replace(MICRO, collect=replace(MICRO.collect, max_new_tokens=7))
    monkeypatch.setattr(stages, "table", SimpleNamespace(
        answers_of=lambda models, source, config, longest: told.update(models=models, longest=longest) or {},
        judge_policies=lambda *_: {}, samples=lambda *_: [],
        judge_reward=lambda reward, policy, source, config, length: told.update(policy=policy, length=length) or {}))
    list(stages.evaluation(work("evaluate", config, calm, tmp_path)))
    assert told["longest"] == told["length"] == 7 and is_of(calm, "rl_init", told["policy"])
    assert all(is_of(calm, name, policy) for name, policy in told["models"].items()) and len(told["models"]) == 6


def test_the_best_of_n_are_learned_by_the_rl_start(calm, tmp_path, monkeypatch):
    learned = []
    monkeypatch.setattr(stages, "finetune", lambda policy, *_: learned.append(is_of(calm, "rl_init", policy)) or ())
    list(stages.rejection_sampled(work("best_of_n", MICRO, calm, tmp_path)))
    assert learned == [True]


def test_a_reward_model_begins_with_the_head_of_its_seed(calm, tmp_path, monkeypatch):
    heads = []
    monkeypatch.setattr(stages, "train_reward", lambda reward, *_: heads.append(reward.model.score.weight) or ())
    config = replace(MICRO, reward=replace(MICRO.reward, seed=3))
    list(stages.reward_model(work("reward", config, calm, tmp_path)))
    start = Policy.load(calm / "models" / "rl_init")
    of_seed = [torch.equal(heads[0], ScalarModel.on(start, seed).model.score.weight) for seed in (0, 3)]
    assert of_seed == [False, True]


def test_a_checkpoint_is_written_every_so_often_and_seconds_go_on_from_it(tmp_path, monkeypatch):
    """Steps of 3 seconds, a checkpoint after more than 10; stopped after six steps, it goes on in another process."""
    now, saved, save = [100.0], [], ResumeState.save
    monkeypatch.setattr(stages, "time", SimpleNamespace(monotonic=lambda: now[0], process_time=lambda: now[0]))
    monkeypatch.setattr(ResumeState, "save", lambda self, folder: (
        saved.append((self.step, self.seconds)), save(self, folder)))

    def make(work):
        for step in range(work.resume.step, 10):
            now[0] += 3
            work.resume.step = step + 1
            yield {"step": step + 1, "steps": 10}

    folder, config = RunFolder(tmp_path), replace(MICRO, checkpoint_every=10.0)
    folder.settle(config, {"sft": "SFT"})
    given = stages.Stage("sft", "SFT", make), config, None, folder, Mirror(None)
    with pytest.raises(Stopped):
        list(stages.advance(*given, lambda: now[0] >= 118))
    now[0] = 1_000.0
    list(stages.advance(*given, lambda: False))
    assert saved == [(4, 12.0), (6, 18.0), (10, 30.0)] and folder.seconds == {"sft": 30.0}
    assert not (tmp_path / "checkpoints" / "sft").exists()


def test_weights_of_the_base_are_counted_by_the_size_of_its_file(tmp_path):
    assert RunFolder(tmp_path).parameters() == 0
    (tmp_path / "models" / "base").mkdir(parents=True)
    save_file({"a": torch.zeros(5, 3), "b": torch.zeros(2)}, tmp_path / "models" / "base" / "model.safetensors")
    assert RunFolder(tmp_path).parameters() == 17


def flip(path: Path) -> None:
    """Change one bit in the middle of a file."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


SAVED = [f"models/{name}/{file}" for name in ("base", "sft", "rl_init", "reward", "best_of_n", "ppo", "ppo_ptx")
         for file in ("model.safetensors", "config.json", "tokenizer.json")]
SAVED += ["data/best_of_n/00000.jsonl", "data/collect/00000.jsonl", "labelers.json", "evaluation.json", "samples.json"]


@pytest.mark.parametrize("name", SAVED)
def test_a_flipped_bit_in_what_a_stage_saved_is_found_and_named(calm, name):
    folder, path = RunFolder(calm), calm / name
    stage = next(stage for stage in NAMES if name in folder.stages[stage]["files"])
    before = path.read_bytes()
    folder.check(stage)
    flip(path)
    try:
        with pytest.raises(Damaged, match=f"{name} is not what was saved"):
            folder.check(stage)
        if name.startswith("models"):
            with pytest.raises(Damaged, match=name):
                check_model(path.parent)
    finally:
        path.write_bytes(before)


def test_a_file_that_is_missing_or_too_many_in_a_model_is_found(calm, tmp_path):
    shutil.copytree(calm, tmp_path / "run")
    folder, model = RunFolder(tmp_path / "run"), tmp_path / "run" / "models" / "sft"
    (model / "adapter_config.json").write_text("{}")
    with pytest.raises(Damaged, match="adapter_config.json is not what was saved"):
        folder.model("sft")
    (model / "adapter_config.json").unlink()
    assert folder.model("sft") == model
    (model / "tokenizer.json").unlink()
    with pytest.raises(Damaged, match="sft/tokenizer.json is not what was saved"):
        folder.model("sft")


@pytest.mark.parametrize("name", ["models/rl_init/model.safetensors", "data/collect/00000.jsonl"])
def test_what_is_damaged_is_made_again_to_the_bit_and_the_rest_is_left(calm, tmp_path, name):
    shutil.copytree(calm, tmp_path / "run")
    flip(tmp_path / "run" / name)
    with pytest.warns(UserWarning, match=f"{name} is not what was saved: .* is made again"):
        made = {row["stage"] for row in run(MICRO, tmp_path / "run")}
    assert made == {"collect" if "collect" in name else "rl_init"}
    ended, wanted = contents(tmp_path / "run"), contents(calm)
    for files in (ended, wanted):
        files["metrics.jsonl"] = sorted(files["metrics.jsonl"].splitlines())
    assert ended == wanted


def test_a_batch_that_is_damaged_while_its_stage_is_interrupted_is_made_again(calm, tmp_path):
    small = replace(MICRO, collect=replace(MICRO.collect, batch_size=32))
    for row in run(small, tmp_path / "calm"):
        if row["stage"] == "reward":
            break
    for row in run(small, tmp_path / "run"):
        if row["stage"] == "collect":
            break
    batch = "data/collect/00000.jsonl"
    flip(tmp_path / "run" / batch)
    for row in run(small, tmp_path / "run"):
        if row["stage"] == "reward":
            break
    assert (tmp_path / "run" / batch).read_bytes() == (tmp_path / "calm" / batch).read_bytes()


def test_where_a_model_comes_out_otherwise_all_that_was_made_of_it_is_made_again(calm, tmp_path):
    shutil.copytree(calm, tmp_path / "run")
    stages = json.loads((tmp_path / "run" / "stages.json").read_text())
    flip(tmp_path / "run" / "models" / "reward" / "model.safetensors")
    other = RunFolder(tmp_path / "run")
    stages["reward"]["files"] |= other.files("reward")
    (other.path / "stages.json").write_text(json.dumps(stages))
    with pytest.warns(UserWarning, match="made of") as told:
        made = list(dict.fromkeys(row["stage"] for row in run(MICRO, tmp_path / "run")))
    assert made == ["best_of_n", "ppo", "ppo_ptx", "evaluate"]
    assert [str(each.message).rpartition(": ")[2] for each in told] == [
        "BoN SFT is made again", "PPO is made again", "PPO-ptx is made again", "Evaluation is made again"]


def test_a_disk_that_fills_while_a_model_is_saved_is_told_with_the_bytes(calm, tmp_path, monkeypatch):
    folder, policy = RunFolder(tmp_path), Policy.load(calm / "models" / "sft")
    folder.settle(MICRO, {"sft": "SFT"})
    folder.save("sft", policy)
    folder.finish("sft", 1.0, ())
    before, size = contents(tmp_path), sum(p.nbytes for p in policy.parameters())
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size // 2, limit[1]))
    try:
        with pytest.raises(OSError, match=rf"could not save .*models/sft .*needs {size:,} bytes"):
            folder.save("sft", policy)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    assert contents(tmp_path) == before
    folder.check("sft")


def test_a_name_that_was_mistyped_may_be_mended_in_the_same_folder(tmp_path):
    """Nothing was made yet, so nothing is mixed; what somebody else has there stays."""
    with pytest.raises(ValueError, match="no-such-model"):
        list(run(replace(presets.micro, base_model="no-such-model"), tmp_path / "run"))
    assert next(run(presets.micro, tmp_path / "run"))["step"] == 1
    assert RunFolder(tmp_path / "run").config["base_model"] == ""
    with pytest.raises(ValueError, match="base_model is 'another' here"):
        next(run(replace(presets.micro, base_model="another"), tmp_path / "run"))
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text('{"model_type": "gpt2"}')
    with pytest.raises(ValueError, match="another configuration"):
        next(run(presets.micro, tmp_path / "model"))
    assert (tmp_path / "model" / "config.json").read_text() == '{"model_type": "gpt2"}'
