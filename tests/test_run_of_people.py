"""The whole on what people made: a micro model, a made-up study and files; to the end, resumed, and its page."""

import json
from dataclasses import replace
from random import Random

import pytest

from instructgpt_lite import presets
from instructgpt_lite.config import Architecture
from instructgpt_lite.data.tokenizers import word_tokenizer
from instructgpt_lite.models.networks import Policy
from instructgpt_lite.report import report
from instructgpt_lite.run.folder import RunFolder
from instructgpt_lite.run.stages import Stopped, run
from tests.data.conftest import study, texts  # noqa: F401
from tests.data.test_instructions import written

SMALL = {"sft": {"demonstrations": 24, "batch_size": 8}, "rl_init": {"demonstrations": 24, "batch_size": 8,
         "mix_length": 8}, "collect": {"prompts": 12, "max_new_tokens": 6}, "reward": {"batch_size": 6},
         "ppo": {"prompts": 12, "episodes": 16, "batch_size": 8, "minibatch_size": 4, "ptx_length": 8,
                 "max_new_tokens": 6}, "evaluate": {"prompts": 12, "text_rows": 4, "text_length": 8}}


def small(preset, base: str, **data):
    """A preset with little of everything."""
    parts = {name: replace(getattr(preset, name), **fields) for name, fields in SMALL.items()}
    return replace(preset, base_model=base, data=replace(preset.data, **data), checkpoint_every=0.0, **parts)


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """A random model that has the words of all texts here."""
    said = {word for text, _ in texts() for word in text.split()}
    others = "\n Comment : Question Answer . ask say better worse".split(" ")
    words = word_tokenizer([*dict.fromkeys([*others, *sorted(said), *map(str, range(800))])])
    path = tmp_path_factory.mktemp("base") / "model"
    Policy.new(Architecture(layers=1, width=16, heads=2, context=96), words, seed=0).save(path)
    return str(path)


@pytest.fixture(scope="module")
def configs(base, study, tmp_path_factory):  # noqa: F811
    place, rng = tmp_path_factory.mktemp("files"), Random(0)
    (place / "text.txt").write_text(" ".join(rng.choice("ask say better worse".split()) for _ in range(300)))
    shown = written(place / "shown.jsonl", [{"prompt": f"ask {n}", "completion": f"say {n}"} for n in range(120)])
    ranked = written(place / "ranked.jsonl", [{"prompt": f"ask {n}", "completions": ["better", "worse", f"say {n}"],
                                               "ranks": [1, 3, 2]} for n in range(200, 300)])
    text = str(place / "text.txt")
    return {"reviews": small(presets.reviews, base, ratings=str(study), text=text),
            "offline": small(presets.offline, base, demonstrations=shown, rankings=ranked, text=text, tokens=60)}


@pytest.fixture(scope="module", params=["reviews", "offline"])
def calm(request, configs, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param) / "run"
    return configs[request.param], folder, list(run(configs[request.param], folder))


def test_every_stage_ends_and_what_its_source_can_say_is_measured(calm):
    config, folder, rows = calm
    assert list(dict.fromkeys(row["stage"] for row in rows)) == [
        "sft", "rl_init", "collect", "reward", "judge", "ppo", "ppo_ptx", "evaluate"]
    found = json.loads((folder / "evaluation.json").read_text())
    names = {"judge", "judge_win", "pretraining_loss", "kl", "base_loss", "length"}
    instruments = {"lexicon", "positive"} if config.preset == "reviews" else set()
    assert set(found["policies"]["ppo_ptx"]) == names | instruments
    assert found["policies"]["rl_init"]["kl"] == [0, 0, 0] and found["policies"]["sft"]["judge_win"][0] == 0.5
    assert len(found["reward"]) == 1


def test_a_run_stopped_in_every_stage_ends_where_a_calm_one_does(calm, tmp_path):
    config, folder, rows = calm
    stops, flags = 0, iter([True] * 10)
    while True:
        try:
            again = list(run(config, tmp_path / "run", stopping=lambda: next(flags, False)))
        except Stopped:
            stops += 1
            continue
        break
    assert stops == 10 and again[-1]["stage"] == "evaluate"
    for name in ("models/ppo_ptx/model.safetensors", "models/judge/model.safetensors", "evaluation.json",
                 "metrics.jsonl"):
        assert (tmp_path / "run" / name).read_bytes() == (folder / name).read_bytes(), name


def test_the_page_and_the_table_show_it(calm):
    config, folder, _ = calm
    page, told = report.write(folder).read_text(encoding="utf-8"), report.table(folder)
    assert "Second reward model" in page and "What the gold score rewards" not in page and "The data" in page
    assert "by a reward model that learned from other texts" in page
    assert "win, judge" in told and "gold" not in told
    assert max(map(len, told.splitlines())) <= 80
    command = report.command(RunFolder(folder))
    assert f"--base-model {config.base_model}" in command and "--data." in command


@pytest.mark.parametrize("stage, asked, said", [
    ("collect", {"prompts": 5_000}, "collect.prompts is 5,000, but of what was given .* are left"),
    ("rl_init", {"demonstrations": 5_000}, "demonstrations is 5,000, but of what was given .* are left"),
    ("ppo", {"prompts": 5_000}, "but there are .* training prompts: ask for fewer")])
def test_too_few_for_a_stage_is_refused_before_the_first_one(configs, tmp_path, stage, asked, said):
    config = configs["offline"]
    greedy = replace(config, **{stage: replace(getattr(config, stage), **asked)})
    with pytest.raises(ValueError, match=said):
        next(run(greedy, tmp_path / "run"))
    assert not [*(tmp_path / "run").glob("models/*")]
