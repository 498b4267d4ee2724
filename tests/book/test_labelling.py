"""The reader as labeler: rankings of several prompts, the same from the page and from Python, and a score by word."""

import pytest

from instructgpt_lite.book.widgets import RankByHand, ScoreByToken
from instructgpt_lite.data.jsonl import read_jsonl
from instructgpt_lite.data.records import Ranking

SHEETS = [["Name a town.", ["Oakford.", "No.", "Oakford. Oakford."], [1.0, 0.0, 0.5]],
          ["Say \"hello\".", ["Hello.", "Hi."], []],
          ["Name two foods.", ["Pie and rice.", "Pie.", "Soup.", ""], []],
          ["What is 2 + 2?", ["4", "5"], []]]
WHOLE = [[2, 0, 1], [2, 1, 1], [0, 1, 1]]                # C before A before B
TIE = [[0, 1, 0.5], [1, 0, 0.5]]


def labelled(sheet: int) -> RankByHand:
    """Four sheets: all three ranked; two level; two of four compared; none touched."""
    done = [[WHOLE], [TIE], [[[2, 0, 1]], [[2, 0, 1]]], []]
    open_one = done[sheet]
    done[sheet] = [["what was open before does not count"]]
    return RankByHand(sheets=SHEETS, sheet=sheet, history=open_one, histories=done)


WANT = [Ranking("Name a town.", ["Oakford.", "No.", "Oakford. Oakford."], [2, 3, 1], "you"),
        Ranking("Name two foods.", ["Pie and rice.", "Soup."], [2, 1], "you")]


@pytest.mark.parametrize("sheet", range(4))
def test_every_sheet_on_which_something_differs_is_a_ranking_of_what_was_compared(sheet):
    assert labelled(sheet).rankings() == WANT


def test_before_anything_is_chosen_there_is_no_ranking():
    assert RankByHand(sheets=SHEETS).rankings() == []


def test_the_first_sheet_is_open_at_first():
    figure = RankByHand(sheets=SHEETS)
    assert (figure.prompt, figure.answers, figure.gold) == tuple(SHEETS[0])


def test_the_page_saves_a_file_that_the_reward_command_reads_and_that_says_the_same(javascript, tmp_path):
    done = [[WHOLE], [TIE], [[[2, 0, 1]], [[2, 0, 1]]]]
    lines = javascript("bradley_terry.js", "m.linesOf(given[0], given[1], 0.5)", [SHEETS, done])
    path = tmp_path / "my_rankings.jsonl"
    path.write_text("".join(lines), encoding="utf-8")
    assert read_jsonl(path, Ranking) == WANT


def counted(prompt: str, response: str) -> tuple[list[str], list[float]]:
    words = ["(prompt)", *response.split(), "[end]"]
    return words, [float(len(word)) for word in words]


def test_a_figure_of_scores_has_its_examples_and_adds_what_the_reader_asks():
    figure = ScoreByToken(counted, [("Say hi.", "Hi there."), ("Say hi.", "No.")])
    assert [prompt for prompt, *_ in figure.examples] == ["Say hi."] * 2
    figure.asked = ["Name a town.", "Oakford."]
    assert figure.examples[figure.chosen] == ["Name a town.", ["(prompt)", "Oakford.", "[end]"], [8.0, 8.0, 5.0]]


def test_the_sentence_says_where_training_looked(javascript, tmp_path, monkeypatch):
    words, scores = ["(prompt)", "Hi", "[end]"], [0.5, -0.25, 1]
    said = [javascript("prefixes.js", f"m.told(given[0], given[1], {place})", [words, scores]) for place in range(3)]
    assert said[0].startswith("Before the first word: +0.50") and "never trained" in said[0]
    assert said[1] == "After \u201cHi\u201d: \u22120.25; the word moved it by \u22120.75."
    assert "only place where training looked" in said[2]
