from instructgpt_lite.book.tables import first_of_each, side_by_side
from instructgpt_lite.data.records import Prompt
from instructgpt_lite.judging.policies import Answers
from instructgpt_lite.world.gold import Score

PROMPTS = [Prompt("Say <b>hello</b>.", "chat"), Prompt("Name two towns.", "brainstorming"), Prompt("Hi.", "chat")]


def said(*texts, helpful=1.0):
    return Answers(PROMPTS, list(texts), [Score(helpful, 1.0, 1.0, 1.0, 0, 1)] * len(texts))


def test_each_answer_stands_beside_its_policy_and_its_worth():
    html = side_by_side({"base": said("No.", "What?", "", helpful=0.0), "SFT": said("Hello.", "Oak and Elm.", "Hi.")},
                        rows=[1]).data
    order = ["Name two towns.", "brainstorming", "base", "0.20", "What?", "SFT", "1.00", "Oak and Elm."]
    places = [html.index(part) for part in order]
    assert places == sorted(places)
    assert "No." not in html and "Hello." not in html


def test_what_a_policy_wrote_is_text_and_nothing_of_it_is_lost():
    html = side_by_side({"base": said("<script>\nand", "", "")}, rows=[0, 1]).data
    assert "Say &lt;b&gt;hello&lt;/b&gt;." in html
    assert "&lt;script&gt; \u23ce and" in html
    assert "(nothing)" in html


def test_the_first_prompt_of_each_use_case_is_shown():
    assert first_of_each(PROMPTS) == [0, 1]
