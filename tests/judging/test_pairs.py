"""What a reward model orders right: exact counts on small tables."""

from instructgpt_lite.data.records import Ranking
from instructgpt_lite.judging.pairs import lead


def ranking(*texts):
    """These texts from best to worst."""
    return Ranking("Q", texts, tuple(range(1, len(texts) + 1)))


def test_a_lead_is_counted_pair_by_pair_on_the_same_rankings():
    rankings = [ranking("a", "b", "c"), ranking("d", "e")]
    first, second = [[3.0, 2.0, 2.0], [0.0, 1.0]], [[1.0, 2.0, 3.0], [1.0, 1.0]]      # right: 2.5, 0; 0, 0.5
    assert lead(first, second, rankings).mean == (2.5 - 0.5) / 4
    assert lead(second, first, rankings).mean == -(2.5 - 0.5) / 4
    assert lead(first, first, rankings) == (0, 0, 0)
