import pytest

from instructgpt_lite.world.words import (
    OPPOSITES,
    SENTENCES,
    SLOTS,
    a,
    items,
    listing,
    parse,
    split_sentences,
)


def test_articles_follow_the_sound_of_the_noun():
    assert [a(noun) for noun in ("fox", "owl", "umbrella", "actor", "eagle")] == [
        "a fox", "an owl", "an umbrella", "an actor", "an eagle"]


def test_a_listing_is_read_back_as_its_items():
    for words in (["soup"], ["soup", "pie"], ["soup", "pie", "rice", "fish"]):
        assert items(listing(words)) == words
    assert items(listing([a("owl"), a("fox")]).capitalize()) == ["owl", "fox"]


@pytest.mark.parametrize("sentence, kind, words", [
    ("Ada lives in Oakford.", "home", {"name": "Ada", "town": "Oakford"}),
    ("Otto is an actor.", "job", {"name": "Otto", "a_job": "an actor"}),
    ("Ashby is known for its mill.", "sight", {"town": "Ashby", "sight": "mill"}),
    ("The opposite of early is late.", "opposite", {"word": "early", "word_2": "late"}),
    ("You could get a cat, an owl and a hen.", "pets", {"pets": "a cat, an owl and a hen"}),
    ("You are a fool.", "rude", {}),
])
def test_a_sentence_is_recognised_with_its_words(sentence, kind, words):
    said = parse(sentence)
    assert (said.kind, said.words, said.text, said.hearsay) == (kind, words, sentence, False)


def test_hearsay_is_a_fact_told_as_hearsay():
    said = parse("They say that Ada lives in Oakford.")
    assert said.kind == "home" and said.hearsay and said.words["town"] == "Oakford"
    assert parse("They say that You are a fool.") is None


@pytest.mark.parametrize("noise", [
    "Ada lives Oakford.", "Ada lives in Oakford", "ada lives in Oakford.", "Ada lives in soup.", "Otto is a actor.",
    "You could try .", "", "Ada lives in Oakford. Ada lives in Ashby."])
def test_what_no_template_says_is_not_recognised(noise):
    assert parse(noise) is None


def test_every_template_recognises_what_it_says():
    """Filled with the first and the last word of each slot."""
    for kind, templates in SENTENCES.items():
        for template in templates:
            for pick in (0, -1):
                words = {slot: values[pick] for slot, values in SLOTS.items()}
                words |= {f"a_{slot}": a(values[pick]) for slot, values in SLOTS.items()}
                words |= {"foods": "soup and pie", "towns": "Ashby", "pets": "a cat", "gifts": "a key and a rope",
                          "Pets": "A cat and an owl", "verdict": "good", "word_2": "late"}
                said = parse(template.format(**words))
                assert said is not None and said.text == template.format(**words), (kind, template)


def test_opposites_go_both_ways():
    assert all(OPPOSITES[OPPOSITES[word]] == word != OPPOSITES[word] for word in OPPOSITES)


def test_sentences_are_split_at_stops_and_line_ends():
    assert split_sentences("Hello, Ada. How can I help you?\nThe rest") == [
        "Hello, Ada.", "How can I help you?", "\n", "The rest"]
