"""Results are found in a checkout and in an installed package."""

import json
import tomllib
from pathlib import Path

import pytest

from instructgpt_lite.book import recorded as module
from instructgpt_lite.book.recorded import across_seeds, clear, recorded
from instructgpt_lite.judging.raters import accuracy_bounds

ROOT = Path(__file__).parents[2]


def test_a_checkout_reads_its_own_results():
    assert recorded("tiny") == json.loads((ROOT / "results" / "tiny.json").read_text())
    assert "command" in recorded("tiny")


def test_an_installed_package_reads_the_copy_that_came_with_it(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "CHECKOUT", tmp_path / "none")
    monkeypatch.setattr(module, "INSTALLED", tmp_path)
    (tmp_path / "x.json").write_text('{"command": "é"}', encoding="utf-8")
    assert recorded("x") == {"command": "é"}
    with pytest.raises(FileNotFoundError, match="no results/y.json; there are x"):
        recorded("y")


def test_every_result_is_installed_where_it_is_looked_for():
    shipped = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["data-files"]
    assert shipped == {"share/instructgpt_lite/results": ["results/*.json"]}
    assert module.INSTALLED.parts[-3:] == ("share", "instructgpt_lite", "results")


def test_a_measure_is_summarized_over_its_seeds():
    measured = ([0.5, 0.4, 0.6], 0.9)                    # with an interval, and without
    results = {"seeds": {str(n): {"policies": {"ppo": {"gold": gold}}} for n, gold in enumerate(measured)}}
    found = across_seeds(results, "policies", "ppo", "gold")
    assert (round(found.mean, 9), found.low, found.high) == (0.7, 0.5, 0.9)
    assert across_seeds(results, "policies", "few-shot", "gold") is None


def test_the_mean_of_equal_seeds_is_inside_their_range():
    """0.1 + 0.1 + 0.1 is above 0.3 in floating point; a whisker of negative length cannot be drawn."""
    found = across_seeds({"seeds": {seed: {"gold": 0.1} for seed in "012"}}, "gold")
    assert found.low <= found.mean <= found.high


def test_ratings_by_people_come_with_their_license_and_enough_raters_for_a_crowd_of_sixteen():
    raters = recorded("raters")
    assert "Copyright (c) 2014 cjhutto" in raters["licence"] and raters["sha256"]
    counts = [*raters["reviews"].values(), *raters["sample"]]
    assert len(counts) == 612 and all(len(count.split()) == 9 for count in counts)
    assert min(sum(map(int, count.split())) for count in counts) >= 18
    everything, genres = raters["all"], raters["genres"].values()
    assert everything["texts"] == 23_703 == sum(genre["texts"] for genre in genres)
    for found in (everything, *genres):
        low, high = accuracy_bounds(found["two raters agree"][0])
        fair = found["accuracy where a second rater sees a difference too"][-1]
        assert low < fair[0] < high and sorted(found["accuracy"]) == found["accuracy"]


@pytest.mark.parametrize("interval, seeds, side", [
    ([0.2, 0.1, 0.3], [0.1, 0.2, 0.3], 1), ([0.2, 0.1, 0.3], [0.4, 0.4, -0.2], 1),
    ([0.2, 0.1, 0.3], [0.9, -0.1, -0.2], 0),
    ([-0.2, -0.3, -0.1], [-0.1, -0.2, -0.3], -1), ([-0.2, -0.3, -0.1], [0.1, 0.1, -0.8], 0),
    ([0.1, -0.1, 0.3], [0.1, 0.1, 0.1], 0), ([0.1, 0.0, 0.2], [0.1, 0.1, 0.1], 0), ([-0.1, -0.2, 0.0], [-0.1] * 3, 0)])
def test_a_difference_is_clear_if_its_interval_leaves_out_0_and_all_seeds_but_one_agree(interval, seeds, side):
    assert clear({"all": interval, "of seeds": seeds}) == side
