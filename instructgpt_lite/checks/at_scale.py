"""Checks of a student's own functions about runs at scale: a judge's unit, memory."""

from collections.abc import Callable

from torch import Tensor

from instructgpt_lite.checks.grading import hold, tensor


def check_in_deviations(student: Callable) -> None:
    """Scores in standard deviations of SFT's scores above SFT's mean score."""
    def right(scores: Tensor, sft: Tensor) -> Tensor:
        return (scores - sft.mean()) / sft.std()

    hold(student, right, [
        ("The unit is the spread of SFT's scores, and SFT's mean is 0.",
         (tensor([2.0, 4.0]), tensor([1.0, 3.0, 5.0])),
         (tensor([0.5, -1.0, 1.5]), tensor([-2.0, 0.0, 1.0, 3.0])))], {
        "that is in deviations of the scores themselves: SFT's are the unit.":
            lambda x, sft: (x - sft.mean()) / x.std(),
        "that is above the scores' own mean, which makes every policy 0.":
            lambda x, sft: (x - x.mean()) / sft.std(),
        "that says nothing of SFT: its mean and its deviation are the scale.":
            lambda x, sft: (x - x.mean()) / x.std(),
        "subtract SFT's mean first: a reward has no zero of its own.":
            lambda x, sft: x / sft.std(),
        "divide by the deviation: the unit of a reward means nothing.":
            lambda x, sft: x - sft.mean(),
        "divide by the deviation, not by its square.":
            lambda x, sft: (x - sft.mean()) / sft.var(),
        "the wrong way round: what is better than SFT is above 0.":
            lambda x, sft: (sft.mean() - x) / sft.std(),
        "subtract the mean of SFT's scores, not their median.":
            lambda x, sft: (x - sft.median()) / sft.std(),
        "that is one number, the mean: give one for each score.":
            lambda x, sft: ((x - sft.mean()) / sft.std()).mean().expand(len(x))})


def check_training_bytes(student: Callable) -> None:
    """Bytes for the networks of PPO from weights a network, all in float32 with Adam.

    Policy and value function learn; average, reference and reward model do not.
    """
    hold(student, lambda weights: 44 * weights, [
        ("4 bytes for a weight, a gradient and each of Adam's two averages.",
         (124_000_000,), (1,), (10,))], {
        "that is the five networks at rest: two of them learn.":
            lambda n: 20 * n,
        "that is what learns: three more networks are held, 4 bytes a weight.":
            lambda n: 32 * n,
        "three networks only are held beside the two that learn, not all at 16 bytes.":
            lambda n: 80 * n,
        "the average of the policy is a network too.": lambda n: 40 * n,
        "Adam keeps two averages of each gradient.": lambda n: 36 * n,
        "that is the policy alone.": lambda n: 16 * n,
        "the value function is a network of its own here, as in the paper.":
            lambda n: 28 * n,
        "that is in weights; float32 takes 4 bytes.": lambda n: 11 * n,
        "that is for 16 bits: weights here stay float32.": lambda n: 22 * n})
