"""Ratings as a source: each text on one side, beginnings as prompts, whole texts ranked."""

from dataclasses import replace

import pytest

from instructgpt_lite.data import reviews as module
from instructgpt_lite.data.curation import normalised
from instructgpt_lite.data.ratings import Rated, read_ratings
from instructgpt_lite.data.reviews import beginning, lexicon_score, long_enough, reviews, split
from instructgpt_lite.presets import reviews as preset

CONFIG = replace(preset, sft=replace(preset.sft, demonstrations=20), rl_init=replace(preset.rl_init, demonstrations=20),
                 collect=replace(preset.collect, prompts=10))


@pytest.fixture(scope="module")
def source(study, tmp_path_factory):
    text = tmp_path_factory.mktemp("text") / "text.txt"
    text.write_text("to be or not to be")
    return reviews(CONFIG, study, text)


def whole(record, lead: str = "Comment:") -> str:
    return normalised((record.prompt + record.completion).removeprefix(lead))


def sides(source) -> dict[str, set[str]]:
    """The texts on each side."""
    def of(rankings):
        return {normalised(text) for each in rankings for text in each.completions}

    return {"held out": of(source.heldout_rankings["held-out texts"]), "ranked": of(source.ranked),
            "put aside": of(source.put_aside), "shown": {whole(each) for each in source.shown}}


def test_no_text_is_on_two_sides(source):
    found = sides(source)
    assert all(len(each) > 20 for each in found.values())
    for name, texts in found.items():
        for other, others in found.items():
            assert name == other or not texts & others, (name, other)


def test_equal_texts_are_on_one_side_however_they_are_written():
    rated = [Rated(text, (1, 2)) for n in range(50) for text in (f"good film {n}", f" Good  FILM {n}")]
    for part in split(rated, CONFIG.data):
        assert len(part) % 2 == 0
    assert sum(map(len, split(rated, CONFIG.data))) == 100


def test_a_prompt_and_what_is_shown_of_it_are_the_text_again():
    one = Rated("so  this was a fine\tday out", (1, 2), "tweets")
    shown = beginning(one, CONFIG.data)
    assert (shown.prompt, shown.completion, shown.category) == ("Comment: so this was a", " fine day out", "tweets")
    assert long_enough(one, CONFIG.data) and not long_enough(Rated("so this was a day out", (1,)), CONFIG.data)


def test_a_ranking_reads_as_a_text_and_its_continuation_do(source):
    """Lead, then text: the same letters as a prompt with its completion."""
    text = "what a great film and nothing else"
    shown = beginning(Rated(text, (1,)), CONFIG.data)
    assert all(each.prompt == "Comment:" for each in (*source.ranked, *source.put_aside))
    assert shown.prompt + shown.completion == f"Comment: {text}"
    assert all(text.startswith(" ") and not text.startswith("  ")
               for each in source.ranked for text in each.completions)


def test_rankings_are_by_one_rating_of_each_text(source, study):
    """Each text's level is one of its ratings, so an order that no ratings allow is impossible."""
    ratings = {f" {' '.join(one.text.split())}": one.ratings for one in read_ratings(study)}
    for each in source.ranked:
        for better, worse in each.comparisons():
            assert max(ratings[better]) > min(ratings[worse])
        assert CONFIG.collect.K_min <= len(each.completions) <= CONFIG.collect.K_max


def test_what_is_known_adds_up(source, study):
    texts = source.known["texts"]
    assert sum(texts.values()) == len(read_ratings(study))
    left_out = source.known["left out (too short, alike, personal data)"]
    assert texts["shown"] == len(source.shown) + left_out


def test_what_reveals_a_person_is_neither_shown_nor_a_prompt_for_rl(study, tmp_path, monkeypatch):
    told = [Rated(f"write to ann{n}@mail.org about the film and the book", (1, 2)) for n in range(60)]
    rated = read_ratings(study) + told
    monkeypatch.setattr(module, "read_ratings", lambda path: rated)
    (tmp_path / "text").write_text("to be")
    found = reviews(CONFIG, study, tmp_path / "text")
    rest = {one.text for one in split(rated, CONFIG.data)[3]}
    assert any(one.text in rest for one in told) and not any("@" in whole(each) for each in found.shown)


def test_rl_has_prompts_that_nothing_was_shown_for(source):
    shown = {each.prompt for each in source.demonstrations(20)}
    asked = [each.prompt for each in source.train[30:]]
    assert asked and not shown & set(asked) and len({each.prompt for each in source.shown}) == len(source.shown)


def test_another_seed_draws_other_rankings_of_the_same_texts(study, source, tmp_path):
    (tmp_path / "text").write_text("to be")
    other = reviews(replace(CONFIG, seed=1), study, tmp_path / "text")
    assert other.ranked != source.ranked and sides(other)["shown"] == sides(source)["shown"]
    assert other.heldout_rankings == source.heldout_rankings and other.test == source.test


@pytest.mark.parametrize("shares", [{"heldout": 0.0}, {"judge": 0.6}, {"ranked": 0.0}])
def test_shares_that_leave_a_side_empty_are_refused(shares):
    with pytest.raises(ValueError, match="give shares above 0 of less than 1 in all"):
        split([], replace(CONFIG.data, **shares))


def test_the_lexicon_likes_what_people_like(source):
    lexicon = lexicon_score()
    assert lexicon("a great and lovely film") > 0.5 > -0.5 > lexicon("a dreadful, poor film")
    assert source.instruments["positive"]("great") == 1.0 and source.instruments["positive"]("table") == 0.0
    assert source.known["correlation of lexicon and people"] > 0.5
