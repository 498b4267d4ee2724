"""The page and the table of a run, against the files they are made of."""

import json
import math
import re
import shlex
from dataclasses import asdict, replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from matplotlib.figure import Figure

from instructgpt_lite.__main__ import parse
from instructgpt_lite.config import Run
from instructgpt_lite.files import digests
from instructgpt_lite.presets import micro
from instructgpt_lite.report import figures, report
from instructgpt_lite.report.text import with_margin
from instructgpt_lite.run.folder import Damaged, RunFolder

VOID = {"meta", "br", "link", "img", "input", "hr"}
TITLES = {"gold": "Gold score", "misled": "Misled", "rude": "Rude", "pretraining_loss": "Pretraining loss",
          "gold_win": "Win rate over SFT, by gold score",
          "labeler_win": "Win rate over SFT, by held-out labelers",
          "own_labeler_win": "Win rate over SFT, by training labelers"}
POLICIES = {"base": "Base", "few-shot": "Few-shot", "sft": "SFT", "rl_init": "RL start", "ppo": "PPO",
            "ppo_ptx": "PPO-ptx"}
STAGES = {"base": "Base", "sft": "SFT", "rl_init": "RL start", "collect": "Rankings",
          "reward": "Reward model", "ppo": "PPO", "ppo_ptx": "PPO-ptx", "evaluate": "Evaluation"}
CONFIG = replace(micro, ppo=replace(micro.ppo, beta=0.25, whiten=False, adam_betas=(0.5, 0.75)), seed=7)


class Page(HTMLParser):
    """What a page consists of; AssertionError where a tag is closed that is not open."""

    def __init__(self, text: str):
        super().__init__()
        self.open, self.tags, self.words, self.tables = [], [], [], {}
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "tr":
            self.row = []
        if tag in ("td", "th"):
            self.row.append("")
        if tag == "caption":
            self.caption = ""

    def handle_startendtag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, f"</{tag}> closes nothing"
        if tag == "tr":
            self.tables.setdefault(self.caption, []).append(self.row)

    def handle_data(self, data):
        self.words.append(data)
        if "caption" in self.open:
            self.caption += data
        elif {"td", "th"} & set(self.open) and "svg" not in self.open:
            self.row[-1] += data

    @property
    def text(self) -> str:
        return " ".join("".join(self.words).split())


def measured() -> dict:
    """An evaluation in which every number is another one."""
    means = (n / 1000 for n in range(100, 1000, 3))
    policies = {policy: {metric: [mean, mean - 0.011, mean + 0.013] for metric, mean in zip(TITLES, means)}
                for policy in POLICIES}
    del policies["few-shot"]["pretraining_loss"]
    names = ("accuracy, training labelers", "accuracy, held-out labelers", "gold order, all",
             "gold order, chat")
    reward = {name: [mean, mean - 0.02, mean + 0.01] for name, mean in zip(names, means)}
    return {"policies": policies, "reward": reward,
            "labelers": {"noise": {"training": 0.2}, "agreement": 0.7261, "agreement with held-out": 0.6883}}


def rows() -> list[dict]:
    found = [{"stage": "sft", "step": n, "steps": 200, "loss": 3 - n / 100} for n in range(1, 201)]
    found += [{"stage": stage, "step": n, "steps": 4, "score": n / 4, "kl": n * 1.5, "ended": 1.0}
              for stage in ("ppo", "ppo_ptx") for n in range(1, 5)]
    return found + [{"stage": "reward", "step": 1, "steps": 1, "loss": math.nan, "accuracy": 0.5}]


@pytest.fixture
def folder(tmp_path):
    """A finished run of which everything is made up."""
    answers = {name: ["Kai lives in Elmdale.", 0.25] for name in POLICIES}
    sample = {"prompt": "Where does Kai live?", "category": "open QA", **answers}
    hostile = sample | {"prompt": "<img src=x> & \x1b[31m", "sft": ["<script>alert(1)</script>\x07", 0.0]}
    files = {"config.json": asdict(CONFIG),
             "samples.json": [sample, hostile, sample | {"category": "chat", "base": ["", 0.0]}],
             "evaluation.json": measured()}
    for name, content in files.items():
        (tmp_path / name).write_text(json.dumps(content))
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows()))
    record = {name: {"title": title, "seconds": 12.5, "files": {}} for name, title in STAGES.items()}
    for name in ("samples.json", "evaluation.json"):
        record["evaluate"]["files"] |= digests(tmp_path / name, tmp_path)
    (tmp_path / "stages.json").write_text(json.dumps(record))
    return tmp_path


def page_of(folder) -> Page:
    return Page(report.write(folder).read_text(encoding="utf-8"))


def test_every_tag_of_the_page_is_closed(folder):
    assert page_of(folder).open == []


def test_the_page_asks_for_no_other_file_and_no_network(folder):
    text = report.write(folder).read_text(encoding="utf-8")
    assert not re.search(r"://|url\((?!#)|@import|\bsrc=", text.replace("&lt;img src=x&gt;", ""))
    assert not {"script", "link", "img", "iframe", "a"} & {tag for tag, _ in Page(text).tags}


def test_samples_are_shown_as_text_whatever_they_contain(folder):
    page = page_of(folder)
    assert "<script>alert(1)</script>" in page.text and "<img src=x> & \ufffd[31m" in page.text
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f]", (folder / "report.html").read_text(encoding="utf-8"))


def test_every_number_of_the_evaluation_stands_in_the_page(folder):
    page, found = page_of(folder), measured()
    shown = {row[1] for table in page.tables.values() for row in table if len(row) == 2}
    intervals = [interval for row in found["policies"].values() for interval in row.values()]
    for mean, low, high in intervals + list(found["reward"].values()):
        assert f"{mean:.3f} ({low:.3f} to {high:.3f})" in shown
    assert "0.726" in shown and "0.688" in shown


def test_numbers_stand_beside_the_right_policy_and_measure(folder):
    tables = page_of(folder).tables
    for metric, title in TITLES.items():
        assert [(row[0], row[1].split()[0]) for row in tables[title][1:]] == [
            (name, f"{measured()['policies'][policy][metric][0]:.3f}") for policy, name in POLICIES.items()
            if metric in measured()["policies"][policy]]


def test_every_picture_has_a_text(folder):
    pictures = [attributes for tag, attributes in page_of(folder).tags if tag == "svg"]
    assert pictures and all(each["aria-label"] and each["role"] == "img" for each in pictures)
    told = [each["aria-label"] for each in pictures]
    assert "KL from the RL start, nats per answer: PPO from 1.5 to 6 after 4 iterations; " \
           "PPO-ptx from 1.5 to 6 after 4 iterations" in told
    gold = [measured()["policies"][name]["gold"][0] for name in ("base", "sft", "ppo_ptx")]
    assert told[0] == "Gold score, before and after: Base {:.3f}; SFT {:.3f}; PPO-ptx {:.3f}".format(*gold)


def test_pictures_have_no_colour_of_their_own_and_the_same_numbers_give_the_same_page(folder):
    text = report.write(folder).read_text(encoding="utf-8")
    drawn = "".join(re.findall("<svg.*?</svg>", text, re.S))
    assert re.findall(r"#[0-9a-f]{6}\b|white|black", drawn) == []
    assert report.write(folder).read_text(encoding="utf-8") == text


def test_a_dot_lies_within_its_interval_in_proportion(folder):
    """Of a mean a quarter of the way between its ends."""
    drawn = figures.whiskers({"one": (0.25, 0.0, 1.0)}, "")
    line = re.search(r'd="M ([\d.]+) [\d.]+ ?\n?L ([\d.]+)[^"]*" [^>]*var\(--first\)', drawn)
    low, high = map(float, line.groups())
    (dot,) = re.findall(r'<use xlink:href="#m\w+" x="([\d.]+)" y="[\d.]+" style="fill: var\(--first\)', drawn)
    assert (float(dot) - low) / (high - low) == pytest.approx(0.25, abs=1e-3)


def test_every_header_of_a_table_says_what_it_heads(folder):
    heads = [attributes for tag, attributes in page_of(folder).tags if tag == "th"]
    assert heads and all(head["scope"] in ("row", "col") for head in heads)


def test_text_and_lines_stand_out_from_the_page_in_light_and_dark():
    """Contrast of at least 4.5 to 1 (WCAG 2.2, 1.4.3)."""
    style = Path(report.__file__).with_name("page.css").read_text(encoding="utf-8")
    blocks = re.findall(r":root \{.*?\}", style, re.S)
    schemes = [dict(re.findall(r"--(\w+): #(\w{6})", block)) for block in blocks]

    def light(colour: str) -> float:
        parts = [int(colour[i:i + 2], 16) / 255 for i in (0, 2, 4)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.05 + sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear))

    assert len(schemes) == 2
    for scheme in schemes:
        for name in ("ink", "quiet", "first", "second"):
            one, other = sorted((light(scheme["paper"]), light(scheme[name])))
            assert other / one >= 4.5, name


@pytest.mark.parametrize("count", [1, 47, 48, 49, 97, 1000])
def test_a_long_stage_is_drawn_as_means_of_at_most_48_neighbours(count):
    axes = Figure().add_subplot()
    figures.draw(axes, [(float(n), n % 2 + 0.0) for n in range(1, count + 1)], "", figures.FIRST)
    step, value = axes.lines[0].get_data()
    each = math.ceil(count / 48)
    assert len(step) == math.ceil(count / each) and step[-1] == count
    means = [[n % 2 for n in range(1, count + 1)][i:i + each] for i in range(0, count, each)]
    assert list(value) == [sum(part) / len(part) for part in means]
    bands = [set(band.get_paths()[0].vertices[:, 1]) for band in axes.collections]
    assert bands == [{0.0, 1.0}] * (count > 48)                     # from the least neighbour to the largest


def test_a_finished_run_says_how_to_talk_to_its_models_and_to_make_it_again(folder):
    page = page_of(folder)
    assert f"chat --run {folder}" in page.text and f"evaluate --model {folder}/models/ppo_ptx" in page.text
    assert report.command(RunFolder(folder)) in page.text and "not finished" not in page.text


def test_values_that_are_no_numbers_are_left_out(folder):
    text = report.write(folder).read_text(encoding="utf-8")
    assert "nan" not in text and "Pairs ordered as the labeler did" in text and "Loss, eq. (1)" not in text


def test_the_seconds_of_every_stage_are_shown(folder):
    table = page_of(folder).tables["CPU-seconds 100 in all"]
    assert table[1:] == [[title, "12.5", "", "", ""] for title in STAGES.values()]


def test_memory_and_what_was_planned_stand_beside_the_seconds(folder):
    record = json.loads((folder / "stages.json").read_text())
    record["sft"] |= {"memory": 2_340_000_000, "planned": [1_200_000_000, 0.0]}
    record["ppo"] |= {"memory": 2_340_000_000, "planned": None}
    (folder / "stages.json").write_text(json.dumps(record))
    rows = {row[0]: row[1:] for row in page_of(folder).tables["CPU-seconds 100 in all"]}
    assert rows[STAGES["sft"]] == ["12.5", "0.0", "2.34", "1.20"]
    assert rows[STAGES["ppo"]] == ["12.5", "", "2.34", ""]


def test_a_damaged_evaluation_is_not_shown_but_named(folder):
    content = (folder / "evaluation.json").read_text()
    (folder / "evaluation.json").write_text(content.replace("0.1", "0.9", 1))
    for make in (report.write, report.table):
        with pytest.raises(Damaged, match=r"evaluation\.json is not what was saved"):
            make(folder)


def test_exactly_the_departures_from_the_defaults_are_listed(folder):
    tables, paper = page_of(folder).tables, asdict(Run(""))
    for stage, fields in asdict(CONFIG).items():
        if isinstance(fields, dict):
            departed = [name for name, value in fields.items() if value != paper[stage][name]]
            assert [row[0] for row in tables.get(stage, [["field"]])[1:]] == departed
    assert ["beta", "0.02", f"0.25 (preset: {micro.ppo.beta:g})"] in tables["ppo"]
    assert tables["ppo"][0] == ["field", "default", "this run"]      # not "paper": some of them are ours
    assert {row[0] for row in tables["ppo"] if "(preset: " in row[2]} == {"beta", "whiten", "adam_betas"}


def test_the_first_screen_has_one_picture_of_gold_before_and_after(folder):
    header = report.write(folder).read_text(encoding="utf-8").partition("<header>")[2].partition("</header>")[0]
    assert header.count("<svg") == 1 and "Gold score, before and after" in header


def test_the_command_of_a_run_makes_its_configuration_again(folder):
    words = shlex.split(report.command(RunFolder(folder)))
    assert words[:4] == ["python", "-m", "instructgpt_lite", "run"]
    flags = parse(words[3:])
    assert flags.config == CONFIG and flags.out == folder


@pytest.mark.parametrize("there", [("config.json",), ("config.json", "metrics.jsonl"),
                                   ("config.json", "metrics.jsonl", "stages.json")])
def test_an_unfinished_run_has_a_page_that_says_so(folder, there):
    for name in {"metrics.jsonl", "stages.json", "samples.json", "evaluation.json"} - set(there):
        (folder / name).unlink()
    if "stages.json" in there:
        record = {name: {"title": title} for name, title in STAGES.items()}
        record["base"] |= {"seconds": 3.0, "files": {}}
        (folder / "stages.json").write_text(json.dumps(record))
    page = page_of(folder)
    assert page.open == [] and "This run is not finished." in page.text
    assert report.command(RunFolder(folder)) in page.text
    assert "no evaluation yet" in report.table(folder)


def test_a_folder_without_a_run_is_refused_with_the_command_that_makes_one(tmp_path):
    with pytest.raises(ValueError, match=r"no config\.json(.|\n)*run --preset tiny --out"):
        report.write(tmp_path)


def test_the_table_fits_eighty_columns_and_has_the_means_of_every_policy(folder):
    lines = report.table(folder).splitlines()
    assert max(map(len, lines)) <= 80
    for name, line in zip(POLICIES, lines[1:]):
        row = measured()["policies"][name]
        shown = [row[metric] for metric in ("gold", "gold_win", "labeler_win", "misled", "rude")]
        assert line[8:].split()[:10] == [part for mean, _, _ in shown for part in (f"{mean:.3f}", "±.012")]


@pytest.mark.parametrize("mean, low, high", [(0.5, 0.4, 0.6), (-0.06, -0.15, 0.03), (17.58, 17.05, 18.11),
                                             (9.999, 9, 11), (-9.99, -10.3, -9.7), (123.4, 123, 124)])
def test_a_number_and_its_margin_leave_a_space_in_a_column_of_twelve(mean, low, high):
    assert len(with_margin((mean, low, high))) < 12
