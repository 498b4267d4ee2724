"""The usual mistakes about a judge's unit and the memory of PPO hear the sentence they deserve."""

import pytest

from instructgpt_lite import checks

DEVIATIONS = {
    "of the scores themselves": lambda x, sft: (x - sft.mean()) / x.std(),
    "makes every policy 0": lambda x, sft: (x - x.mean()) / sft.std(),
    "says nothing of SFT": lambda x, sft: (x - x.mean()) / x.std(),
    "no zero of its own": lambda x, sft: x / sft.std(),
    "means nothing": lambda x, sft: x - sft.mean(),
    "not by its square": lambda x, sft: (x - sft.mean()) / sft.var(),
    "wrong way round": lambda x, sft: (sft.mean() - x) / sft.std(),
    "not their median": lambda x, sft: (x - sft.median()) / sft.std(),
    "one for each score": lambda x, sft: ((x - sft.mean()) / sft.std()).mean().expand(len(x)),
}
BYTES = {
    "at rest": 20, "held, 4 bytes": 32, "not all at 16": 80, "average of the policy": 40, "two averages": 36,
    "policy alone": 16, "network of its own": 28, "in weights": 11, "16 bits": 22,
}


@pytest.mark.parametrize("sentence", DEVIATIONS)
def test_a_score_in_another_unit_hears_which(sentence):
    with pytest.raises(AssertionError, match=sentence):
        checks.check_in_deviations(DEVIATIONS[sentence])


@pytest.mark.parametrize("sentence", BYTES)
def test_bytes_of_other_networks_hear_which(sentence):
    with pytest.raises(AssertionError, match=sentence):
        checks.check_training_bytes(lambda weights: BYTES[sentence] * weights)


def test_right_answers_pass_in_silence():
    def by_hand(x, sft):
        return (x - sft.mean()) / ((sft - sft.mean()).square().sum() / (len(sft) - 1)) ** 0.5

    checks.check_in_deviations(by_hand)
    checks.check_training_bytes(lambda weights: weights * (4 + 4 + 8) * 2 + 3 * weights * 4)
