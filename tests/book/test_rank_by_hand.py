"""The interactive ranking: its arithmetic in JavaScript beside Python's, and what Python keeps of it."""

import math
from functools import partial
from random import Random

import pytest
import torch

from instructgpt_lite.book.widgets import HERE, RankByHand
from instructgpt_lite.theory.bradley_terry import preference_probability, strengths
from instructgpt_lite.theory.choices import circular_triads


@pytest.fixture
def run(javascript):
    return partial(javascript, "bradley_terry.js")


def table(rng: Random, N: int) -> list[list[float]]:
    return [[0 if i == j else rng.choice([0, 1, 2.5, 7]) for j in range(N)] for i in range(N)]


def test_strengths_in_javascript_are_those_of_python(run):
    rng = Random(0)
    given = [(table(rng, N), prior) for N in (2, 3, 5) for prior in (0.1, 0.5, 2.0) for _ in range(5)]
    ring = [[0, 3, 0.5], [1, 0, 4], [2, 1, 0]]
    given.append((ring, 0))                                                # connected: no prior needed
    got = run("given.map(([wins, prior]) => m.strengths(wins, prior))", given)
    for (wins, prior), s in zip(given, got, strict=True):
        assert s == pytest.approx(strengths(wins, prior).tolist(), abs=1e-9)


def test_probabilities_and_surprises_are_those_of_python(run):
    s = [0.3, -1.2, 2.0]
    p, seen = run("[m.probability(given[0], given[1]), m.surprises([[0, 1, 1], [1, 2, 1], [0, 2, 0.5]], given)]",
                  s)
    want = [preference_probability(*torch.tensor(pair, dtype=torch.float64)).item() for pair in
            ((0.3, -1.2), (-1.2, 2.0))]
    assert [p, *seen] == pytest.approx([want[0], *(-math.log(each) for each in want)], rel=1e-12)


def test_a_cycle_is_found_just_where_there_is_one(run):
    rng, tables = Random(1), []
    for _ in range(40):
        upper = {(i, j): rng.random() < 0.75 for i in range(5) for j in range(i)}
        tables.append([[0 if i == j else int(upper[i, j]) if i > j else int(not upper[j, i]) for j in range(5)]
                       for i in range(5)])
    rounds = run("given.map(m.cycle)", tables)
    for wins, path in zip(tables, rounds, strict=True):
        assert (path is None) == (circular_triads(torch.tensor(wins)) == 0)
        assert path is None or len(path) == 3 and all(wins[i][j] for i, j in zip(path, path[1:] + path[:1]))
    square = [[0, 2, 1, 0], [1, 0, 1, 1], [1, 0, 0, 1], [1, 1, 0, 0]]        # A over B over C over D over A
    assert run("m.cycle(given)", square) == [0, 1, 2, 3]
    assert run("m.cycle(given)", [[0, 1, 1], [1, 0, 1], [1, 1, 0]]) is None    # all level


def test_what_no_finite_strength_fits_is_seen_just_where_python_refuses(run):
    rng = Random(2)
    tables = [[[0 if i == j else int(rng.random() < 0.35) for j in range(4)] for i in range(4)] for _ in range(40)]
    found = run("given.map(m.unbounded)", tables)
    refused = []
    for wins, open_ in zip(tables, found, strict=True):
        try:
            strengths(wins)
        except ValueError as error:
            refused.append(str(error))
            assert open_ is not None
            for items, words in ((open_["unbeaten"], "never lose"), (open_["winless"], "never win")):
                assert (f"items {items} {words}" in str(error)) == bool(items)
        else:
            assert open_ is None
    assert 5 < len(refused) < 40


def test_the_next_pair_is_the_least_compared_and_then_the_closest(run):
    wins = [[0, 1, 0], [0, 0, 0], [0, 0, 0]]
    assert run("m.nextPair(given, [1, 0.2, -1])", wins) == [1, 2]
    assert run("m.nextPair(given, [0, 0, 0])", [[0] * 3] * 3) == [0, 1]


def test_a_ranking_is_all_its_pairs_the_better_first(run):
    pairs = run("m.pairsOf(given)", [2, 0, 1])
    assert pairs == [[2, 0, 1], [2, 1, 1], [0, 1, 1]]
    assert run("m.winsOf([given, [[0, 2, 0.5], [2, 0, 0.5]]], 3)", pairs) == [
        [0, 1, 0.5], [0, 0, 0], [1.5, 1, 0]]


def test_python_counts_the_wins_that_the_reader_gave():
    figure = RankByHand(history=[[[0, 1, 1]], [[0, 2, 0.5], [2, 0, 0.5]]])
    assert figure.wins[:3, :3].tolist() == [[0, 1, 0.5], [0, 0, 0], [0.5, 0, 0]]
    assert strengths(figure.wins, figure.prior)[1] < 0


def test_a_figure_carries_its_code_and_style_and_says_the_same_each_time():
    figure, again = RankByHand(), RankByHand()
    state = figure.get_state()
    assert "export default { render }" in state["_esm"] and ".figure-by-hand" in state["_css"]
    assert repr(figure) == repr(again) and "0x" not in repr(figure) and "better of two" in repr(figure)


def test_no_script_asks_a_third_party():
    for script in HERE.glob("*.js"):
        told = script.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
        assert "http" not in told and "import " not in told and "fetch(" not in told, script.name
