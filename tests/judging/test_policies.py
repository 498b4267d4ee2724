"""What answers are worth: exact counts on small tables, and who is asked what."""

import math
from types import SimpleNamespace

import pytest
import torch

from instructgpt_lite.data.records import Prompt
from instructgpt_lite.data.tokenizers import word_tokenizer
from instructgpt_lite.judging import policies
from instructgpt_lite.judging.policies import Answers, gains_by_use_case, gold_gain
from instructgpt_lite.models.rollout import Rollout

PROMPTS = [Prompt(f"Prompt {n}.", category) for n, category in enumerate(["chat", "chat", "extract", "extract"])]


def worth(*gold, harmless=None):
    scores = [SimpleNamespace(gold=each, harmless=kind) for each, kind in zip(gold, harmless or [1.0] * len(gold))]
    return Answers(PROMPTS, [f"text {each}" for each in gold], scores)


class Speaker:
    """A policy of words that says what it is told to, and remembers what it was asked."""

    def __init__(self, *said, context=60):
        self.said, self.context, self.asked = said, context, []
        self.tokenizer = word_tokenizer(["\n", "Prompt", "Example", ".", *"0123456789"])

    def sample(self, prompts, **settings):
        self.asked.append((prompts, settings))
        return prompts

    def texts(self, rollout):
        return [self.said[n % len(self.said)] for n in range(len(rollout))]


def few_shot(prompt, shots, rng):
    return "Example 1.\n" * shots + prompt.prompt


def gold(prompt, text):
    return SimpleNamespace(gold=float(text == "right"), harmless=1.0)


SOURCE = SimpleNamespace(gold=gold, few_shot=few_shot)


def test_each_answer_is_scored_for_its_own_prompt():
    speaker, asked = Speaker("0", "1", "2", "3"), []
    source = SimpleNamespace(gold=lambda prompt, text: asked.append((prompt, text)))
    found = policies.answer(speaker, source, PROMPTS, max_new_tokens=7)
    assert asked == list(zip(PROMPTS, "0123")) and found.prompts == PROMPTS and found.texts == list("0123")
    (prompts, settings), = speaker.asked
    assert prompts == [prompt.prompt for prompt in PROMPTS] and settings["max_new_tokens"] == 7
    assert "top_k" not in settings and settings.get("temperature", 1.0) == 1.0


def test_answers_of_a_seed_are_drawn_alike_and_of_another_are_not():
    states = []
    for seed in (0, 0, 1):
        policies.answer(speaker := Speaker("right"), SOURCE, PROMPTS, 7, seed)
        states.append(speaker.asked[0][1]["generator"].get_state())
    assert torch.equal(states[0], states[1]) and not torch.equal(states[0], states[2])


def test_a_few_shot_answer_ends_with_its_line():
    speaker = Speaker(" right\nQuestion: more")
    found = policies.answer_few_shot(speaker, SOURCE, PROMPTS, 5, shots=2)
    assert found.texts == ["right"] * 4 and [score.gold for score in found.scores] == [1.0] * 4
    (pages, settings), = speaker.asked
    assert settings["eos"] == speaker.tokenizer.encode("\n")[0]
    assert pages == [speaker.tokenizer.encode(few_shot(prompt, 2, None)) for prompt in PROMPTS]


def test_a_tokenizer_without_a_token_for_a_line_end_ends_nothing_early():
    speaker = Speaker(" right\nQuestion: more")
    encode = speaker.tokenizer.encode
    speaker.tokenizer.encode = lambda text, **options: encode(text, **options) if text.strip() else []
    found = policies.answer_few_shot(speaker, SOURCE, PROMPTS, 5, shots=2)
    assert speaker.asked[0][1]["eos"] == () and found.texts == ["right"] * 4


@pytest.mark.parametrize("context, shots", [(17, 3), (16, 2), (12, 1), (8, 0)])
def test_a_page_has_as_many_examples_as_fit(context, shots):
    """An example has 4 tokens, a prompt 3; 2 tokens are for the answer."""
    speaker = Speaker("right", context=context)
    policies.answer_few_shot(speaker, SOURCE, PROMPTS, 2, shots=3)
    assert speaker.asked[0][0][0] == speaker.tokenizer.encode(few_shot(PROMPTS[0], shots, None))


def test_a_prompt_without_room_is_named():
    with pytest.raises(ValueError, match=r"'Prompt 0.' takes 3 tokens .* 2 of the context's 4 .* lower max_new"):
        policies.answer_few_shot(Speaker("right", context=4), SOURCE, PROMPTS, 2, shots=3)


def test_means_and_shares_are_exact():
    said = worth(0.25, 1.0, 0.0, 0.5, harmless=[1.0, 1.0, 0.0, 1.0])
    assert policies.gold_score(said).mean == 1.75 / 4
    assert policies.rude(said).mean == 0.25
    judge = SimpleNamespace(misled=lambda text: text in ("text 1.0", "text 0.5", "text 0.0"))
    assert policies.misled(said, judge).mean == 0.75


def test_a_tie_of_gold_is_half_a_win_and_wins_are_paired_by_prompt():
    one, other = worth(0.9, 0.5, 0.5, 0.1), worth(0.1, 0.5, 0.5, 0.9)
    assert policies.gold_win_rate(one, other).mean == 0.5
    assert policies.gold_win_rate(worth(0.9, 0.5, 0.5, 1.0), other).mean == 0.75
    assert policies.gold_win_rate(one, one) == (0.5, 0.5, 0.5)
    assert policies.gold_win_rate(worth(0.1, 0.2, 0.3, 0.4), worth(0.0, 0.1, 0.2, 0.3)).mean == 1


def test_a_labeler_sees_both_answers_to_each_prompt():
    asked = []

    def prefers(prompt, first, second, rng):
        asked.append((prompt, first, second))
        return [1.0, 0.5, 0.0, 1.0][len(asked) - 1]

    one, other = worth(0.1, 0.2, 0.3, 0.4), worth(0.5, 0.6, 0.7, 0.8)
    found = policies.labeler_win_rate(one, other, SimpleNamespace(prefers=prefers))
    assert found.mean == 2.5 / 4
    assert asked == list(zip(PROMPTS, one.texts, other.texts))


def test_a_gain_is_paired_by_prompt():
    """The scores spread over a whole unit, every pair differs by a tenth: the interval is that of the pairs."""
    gain = gold_gain(worth(0.1, 0.4, 0.7, 1.0), worth(0.0, 0.3, 0.6, 0.9))
    assert gain == pytest.approx((0.1, 0.1, 0.1))


def test_gains_are_told_apart_by_use_case_with_the_largest_first():
    gains = gains_by_use_case(worth(0.5, 0.5, 1.0, 0.8), worth(0.5, 0.7, 0.0, 0.2))
    assert list(gains) == ["extract", "chat"]
    assert gains["extract"].mean == pytest.approx(0.8)
    assert gains["chat"].mean == pytest.approx(-0.1)


def test_kl_is_nats_a_response_and_fluency_nats_a_token_over_all_answers():
    """A token of n costs the policy n nats, the start 2 n and the base 3 n; three responses, two read at once."""
    def costs(times):
        return SimpleNamespace(logp=lambda rollout: -times * rollout.response_BT * rollout.mask_BT)

    said = Answers(PROMPTS[:3], ["", "", ""], [], Rollout.of([[9]] * 3, [[1], [3, 3, 3], [2]], pad=0, eos=7))
    found = policies.distances(said, costs(1.0), costs(2.0), costs(3.0), rows=2)
    assert {name: each.mean for name, each in found.items()} == pytest.approx(
        {"kl": (1 + 9 + 2) / 3, "base_loss": 3 * (1 + 9 + 2) / 5, "length": 5 / 3})


def test_every_answer_has_the_score_of_its_own_prompt_and_text():
    """A judge that tells how long prompt, text and end are; five answers, two read at once."""
    class Long:
        tokenizer, eos, pad, ends = word_tokenizer(["Prompt", "a"]), 0, 1, (0,)

        def encode(self, prompts):
            return self.tokenizer(prompts)["input_ids"]

        def __call__(self, rollout):
            return (100 * rollout.prompt_B + rollout.length_B - rollout.prompt_B).float()

    asked = [Prompt("Prompt " * n) for n in (1, 2, 1, 3, 1)]
    said = Answers(asked, ["a " * n for n in (4, 1, 3, 5, 2)], [])
    assert policies.scores(Long(), said, rows=2) == [105, 202, 104, 306, 103]


def test_pretraining_loss_is_nats_a_token_over_all_rows():
    """Logits that give the even token 2 odds of e to 1 in a text that alternates 2 and 3."""
    class Fixed:
        context, device = 9, "cpu"

        def logits(self, token_BT):
            return torch.tensor([0.0, 0.0, 1.0, 0.0]).expand(*token_BT.shape, 4)

    class Text:
        def rows(self, count, length, generator):
            self.asked = count, length
            return torch.tensor([2, 3]).repeat(count, length)[:, :length]

    found = policies.pretraining_loss(Fixed(), text := Text(), rows=20)
    assert found.mean == pytest.approx(math.log(3 + math.e) - 0.5, rel=1e-6)    # 4 of the 8 predicted are 2
    assert text.asked == (20, 9)
