"""A sentence with a number under each word: what a reader sees without color, and what nobody may inject."""

import re

from instructgpt_lite.book.sentence import sentence


def test_every_word_stands_with_its_number_and_every_row_with_its_name():
    html = sentence({"base": [("You", 2.17), ("\n", 0.04)], "reference": [("<|endoftext|>", 8.2)]}).data
    text = re.sub(r"<[^>]+>", " ", html).split()
    assert text == ["base", "(nats)", "You", "2.2", "[line]", "0.0", "reference", "(nats)", "[end]", "8.2"]
    assert html.count('role="list"') == 2 and html.count('role="listitem"') == 3


def test_the_largest_number_has_the_full_tint_and_the_full_bar():
    html = sentence({"a": [("x", 1.0), ("y", 4.0)]}).data
    assert re.findall(r"rgba\(213, 94, 0, ([\d.]+)\)", html) == ["0.11", "0.45"]
    assert re.findall(r"width:(\d+)%", html) == ["25", "100"]


def test_words_are_text_and_not_markup():
    assert "&lt;b&gt;" in sentence({"<i>": [("<b>", 1.0)]}).data and "<i>" not in sentence({"<i>": [("b", 1.0)]}).data


def test_the_strip_brings_no_ground_and_no_colour_of_text_of_its_own():
    html = sentence({"a": [("x", 1.0)]}).data
    assert "color" not in re.sub(r"background:(rgba\(213, 94, 0, [\d.]+\)|currentColor)", "", html) and "#" not in html


def test_a_rounded_nothing_has_no_sign():
    assert ">0.0<" in (html := sentence({"a": [("x", -1e-7), ("y", 1.0)]}).data) and "-0.0" not in html
