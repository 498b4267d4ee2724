"""Files as a source: what is read is kept or counted with its reason, and no prompt is on two sides."""

import gzip
import json
import lzma
from dataclasses import replace

import pandas as pd
import pytest

from instructgpt_lite.config import Files
from instructgpt_lite.data.curation import normalised
from instructgpt_lite.data.instructions import check_named, instructions, parts_of, plain_text
from instructgpt_lite.data.records import DataError
from instructgpt_lite.data.tokenizers import word_tokenizer
from instructgpt_lite.presets import offline

WORDS = word_tokenizer([*"\n Question Answer : ask say better worse long".split(" "), *map(str, range(300))])


def written(path, rows) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


@pytest.fixture
def config(tmp_path):
    """Demonstrations of which two are alike, one is too long and one tells a number; rankings of two; a text."""
    shown = [{"prompt": f"ask {n}", "completion": f"say {n}"} for n in range(100)]
    shown += [{"prompt": "Ask  7", "completion": "say"}, {"prompt": "ask long", "completion": "long " * 70},
              {"prompt": "ask 202-555-0123", "completion": "say"}]
    ranked = [{"prompt": f"ask {n}", "completions": ["better", "worse", f"say {n}"], "ranks": [1, 2, 2]}
              for n in range(50, 150)]
    (tmp_path / "text.txt").write_text("ask say ask say", encoding="utf-8")
    data = Files(written(tmp_path / "shown.jsonl", shown), written(tmp_path / "ranked.jsonl", ranked),
                 str(tmp_path / "text.txt"), tokens=75)
    return replace(offline, data=data,
                   sft=replace(offline.sft, demonstrations=20), rl_init=replace(offline.rl_init, demonstrations=20),
                   collect=replace(offline.collect, prompts=10, max_new_tokens=8))


def test_what_was_read_is_kept_or_counted_with_its_reason(config):
    source = instructions(config, WORDS)
    reasons = ("personal data", "prompts alike", "prompts cut, not left out", "too long",
               "answers that read alike to the model")
    none = dict.fromkeys(reasons, 0)
    assert source.known["demonstrations"] == none | {"read": 103, "personal data": 1, "prompts alike": 1, "too long": 1}
    assert source.known["rankings"] == none | {"read": 100}
    kept = source.known["kept"]
    ranked_too = source.known["not for RL, since people ranked answers to it"]
    assert kept["demonstrations"] + kept["prompts for RL"] + ranked_too + kept["held-out prompts"] == 100
    assert kept["rankings"] + kept["put aside"] + kept["held-out rankings"] == 100 and min(kept.values()) > 2
    assert len(source.shown) == kept["demonstrations"] + kept["prompts for RL"] and ranked_too > 2


def test_what_is_no_record_counts_as_read_and_left_out(config, tmp_path):
    tie = {"prompt": "ask", "output_1": "say", "output_2": "better", "preference": "tie"}
    good = [tie | {"prompt": f"ask {n}", "preference": "1"} for n in range(60)]
    path = written(tmp_path / "pairs.jsonl", [*good, tie, tie, tie | {"preference": "7"}])
    with pytest.warns(UserWarning, match="all responses tie: left out in 2 rows"):
        found = instructions(replace(config, data=replace(config.data, rankings=path, drop_bad=True)), WORDS)
    counts = found.known["rankings"]
    assert (counts["read"], counts["all responses tie"], counts["bad"]) == (63, 2, 1)


def test_rankings_of_answers_that_the_model_cannot_tell_apart_are_counted_and_left_out(config, tmp_path):
    """Words that a tokenizer has not are one token: to it "quick" is "slow"; two that tie may be alike."""
    rows = [{"prompt": f"ask {n}", "completions": ["better", "worse"], "ranks": [1, 2]} for n in range(60)]
    rows += [{"prompt": "ask", "completions": ["better", "quick", "slow"], "ranks": [1, 2, 3]},
             {"prompt": "say", "completions": ["better", "quick", "slow"], "ranks": [1, 2, 2]}]
    path = written(tmp_path / "alike.jsonl", rows)
    found = instructions(replace(config, data=replace(config.data, rankings=path)), WORDS)
    assert found.known["rankings"]["answers that read alike to the model"] == 1
    assert sum(found.known["kept"][side] for side in ("rankings", "put aside", "held-out rankings")) == 61


def test_no_prompt_for_rl_was_shown_or_has_a_ranking(config):
    source = instructions(config, WORDS)
    shown, asked = ({normalised(each.prompt) for each in side} for side in (source.shown[:20], source.shown[20:]))
    ranked = {normalised(each.prompt) for each in (*source.ranked, *source.put_aside)}
    assert asked and not asked & shown and not asked & ranked


def test_no_prompt_is_on_two_sides_of_what_is_held_out(config):
    source = instructions(config, WORDS)
    learned = {normalised(each.prompt) for each in (*source.shown, *source.ranked, *source.put_aside)}
    held = {normalised(each.prompt) for each in (*source.test, *source.heldout_rankings["held-out prompts"])}
    assert learned and held and not learned & held
    first, second = ({normalised(each.prompt) for each in side} for side in (source.ranked, source.put_aside))
    assert not first & second


def test_room_is_kept_for_a_response_as_long_as_may_be_sampled(config):
    """A prompt alone is as long as with the longest response: of 75 tokens 70 are left for it here, and then none."""
    assert len(instructions(config, WORDS).shown) > 20
    with pytest.raises(DataError, match="demonstrations: none of 103 is left .* raise data.tokens"):
        instructions(replace(config, collect=replace(config.collect, max_new_tokens=75)), WORDS)


@pytest.mark.parametrize("shares, lacking", [
    ({"heldout": 0.0}, "held-out rankings and held-out prompts"), ({"judge": 1.0}, "rankings")])
def test_a_side_without_records_is_refused(config, shares, lacking):
    with pytest.raises(DataError, match=f"nothing is left for {lacking} .*data.heldout and data.judge"):
        instructions(replace(config, data=replace(config.data, **shares)), WORDS)


def test_without_a_second_reward_model_nothing_need_be_put_aside(config):
    source = instructions(replace(config, data=replace(config.data, judge=0.0)), WORDS)
    assert source.second() == [] and len(source.ranked) + len(source.heldout([], None, 0)["held-out prompts"]) == 100


def test_a_prompt_too_long_is_left_out_or_cut_at_its_beginning_as_the_flag_says(config, tmp_path):
    rows = [{"prompt": f"ask {n}", "completion": "say"} for n in range(60)]
    rows += [{"prompt": "worse " * 90 + "ask better", "completion": "say"}]
    data = replace(config.data, demonstrations=written(tmp_path / "long.jsonl", rows))
    counts = instructions(replace(config, data=data), WORDS).known["demonstrations"]
    assert (counts["too long"], counts["prompts cut, not left out"]) == (1, 0)
    source = instructions(replace(config, data=replace(data, cut_prompts=True)), WORDS)
    counts = source.known["demonstrations"]
    assert (counts["too long"], counts["prompts cut, not left out"]) == (0, 1)
    cut, = [each.prompt.split() for each in (*source.shown, *source.test) if "better" in each.prompt]
    template = len(WORDS.encode("Question: \nAnswer:\n", add_special_tokens=False))
    assert cut == ["worse"] * (75 - 8 - template - 2) + ["ask", "better"]


@pytest.mark.parametrize("missing", [["demonstrations"], ["rankings", "text"]])
def test_all_that_is_not_named_is_asked_for_by_its_flags(config, missing):
    check_named(config.data)
    with pytest.raises(ValueError, match=f"by --data.{' and --data.'.join(missing)}: give each a file"):
        check_named(replace(config.data, **dict.fromkeys(missing, "")))


@pytest.mark.parametrize("name, said", [
    ("people/rankings", "no such file or folder; .* the 40 signs of a commit, too: NAME@COMMIT"),
    ("missing.jsonl", "missing.jsonl: no such file or folder"), ("people/rankings@main", "the 40 signs of a commit")])
@pytest.mark.parametrize("what", ["rankings", "text"])
def test_a_name_without_a_commit_is_refused(config, what, name, said):
    with pytest.raises((ValueError, FileNotFoundError), match=said):
        instructions(replace(config, data=replace(config.data, **{what: name})), WORDS)


def test_a_subset_of_a_dataset_is_named_before_its_commit():
    assert parts_of(f"openai/summarize_from_feedback:comparisons@{'0' * 40}") == (
        "openai/summarize_from_feedback", "comparisons", "0" * 40)
    assert parts_of(f"people/rankings@{'0' * 40}") == ("people/rankings", None, "0" * 40)


def test_a_folder_is_never_taken_apart(tmp_path):
    (tmp_path / "a:b@c").mkdir()
    assert parts_of(str(tmp_path / "a:b@c")) == (str(tmp_path / "a:b@c"), None, "")


def test_the_hubs_own_columns_are_read(config, tmp_path):
    """Dolly's demonstrations and UltraFeedback's scores, in folders of Parquet."""
    for name, rows in {
        "dolly": [{"instruction": f"ask {n}", "context": "", "response": f"say {n}", "category": "open_qa"}
                  for n in range(60)],
        "ultra": [{"source": "x", "instruction": f"ask {n}", "completions": [
            {"response": "better", "overall_score": 8.0}, {"response": "worse", "overall_score": 3.0},
            {"response": f"say {n}", "overall_score": 3.0}]} for n in range(60)]}.items():
        (tmp_path / name / "data").mkdir(parents=True)
        pd.DataFrame(rows).to_parquet(tmp_path / name / "data" / "train-00000-of-00001.parquet")
    data = replace(config.data, demonstrations=str(tmp_path / "dolly"), rankings=str(tmp_path / "ultra"))
    source = instructions(replace(config, data=data), WORDS)
    assert source.known["demonstrations"]["read"] == source.known["rankings"]["read"] == 60
    assert source.shown[0].category == "open_qa" and source.shown[0].completion.startswith("say")
    assert all(each.ranks == (1, 2, 2) for each in source.ranked)


@pytest.mark.parametrize("pack, ending", [(lambda data: data, ".txt"), (lzma.compress, ".txt.xz"),
                                          (gzip.compress, ".txt.gz")])
def test_text_is_read_plain_or_packed(tmp_path, pack, ending):
    path = tmp_path / f"text{ending}"
    path.write_bytes(pack("na\u00efve text".encode()))
    assert plain_text(str(path)) == "na\u00efve text"


@pytest.mark.parametrize("data, ending", [(b"\xff\xfe", ".txt"), (b"not packed", ".xz"), (b"not packed", ".gz")])
def test_what_is_no_text_is_named(tmp_path, data, ending):
    path = tmp_path / f"text{ending}"
    path.write_bytes(data)
    with pytest.raises(DataError, match="got no text .* expected UTF-8, plain or packed by gzip or xz"):
        plain_text(str(path))


def test_text_may_be_a_dataset_whose_documents_are_parted(tmp_path):
    pd.DataFrame({"text": ["one text", "another"], "url": ["x", "y"]}).to_parquet(tmp_path / "train.parquet")
    assert plain_text(str(tmp_path)) == "one text<|endoftext|>another"


def test_a_dataset_without_text_is_named(tmp_path):
    pd.DataFrame({"words": ["one text", "another"]}).to_parquet(tmp_path / "train.parquet")
    with pytest.raises(DataError, match="got no column `text` with text in every row"):
        plain_text(str(tmp_path))


@pytest.mark.parametrize("pack, ending", [(gzip.compress, ".gz"), (lzma.compress, ".xz")])
def test_a_packed_text_that_is_cut_short_is_refused(tmp_path, pack, ending):
    path = tmp_path / f"text{ending}"
    path.write_bytes(pack(b"some words " * 900)[:-9])
    with pytest.raises(DataError, match=f"text{ending}: got no text .* save it so"):
        plain_text(str(path))


def test_a_text_in_rows_is_their_column_and_no_json(tmp_path):
    rows = written(tmp_path / "rows.jsonl", [{"text": "ask say"}, {"text": "better"}])
    assert plain_text(rows) == "ask say<|endoftext|>better"
    with pytest.raises(DataError, match="other.jsonl: got no column `text`"):
        plain_text(written(tmp_path / "other.jsonl", [{"prompt": "ask"}]))


def test_a_pointer_in_place_of_a_text_is_refused(tmp_path):
    (tmp_path / "text.txt").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 5\n")
    with pytest.raises(DataError, match="text.txt: got a pointer of Git LFS"):
        plain_text(str(tmp_path / "text.txt"))


def test_records_that_spell_the_models_end_are_counted_and_left_out(config, tmp_path):
    """`<|endoftext|>` in a text is the end itself to the tokenizer: a response would end twice."""
    rows = [{"prompt": f"ask {n}", "completion": "say <|endoftext|>" if n % 3 == 0 else "say"} for n in range(60)]
    data = replace(config.data, demonstrations=written(tmp_path / "ends.jsonl", rows))
    counts = instructions(replace(config, data=data), WORDS).known["demonstrations"]
    assert counts["the model's end or padding in the text"] == 20
