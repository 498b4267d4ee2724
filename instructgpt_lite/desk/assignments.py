"""The assignments: what each asks, for how many points, after which chapters."""

from collections.abc import Callable
from dataclasses import dataclass

from instructgpt_lite import checks


@dataclass(frozen=True)
class Exercise:
    """A function that a student writes, its check, and its points."""

    name: str
    check: Callable
    points: int


@dataclass(frozen=True)
class Assignment:
    """Four exercises of ten points in all."""

    name: str
    title: str
    chapters: str
    minutes: int
    exercises: tuple[Exercise, ...]


def _assignment(name: str, title: str, chapters: str, minutes: int,
                **points: int) -> Assignment:
    exercises = tuple(Exercise(f"my_{each}", getattr(checks, f"check_{each}"), n)
                      for each, n in points.items())
    return Assignment(name, title, chapters, minutes, exercises)


ASSIGNMENTS = {each.name: each for each in (
    _assignment("a1_preferences", "Preferences and the loss of a reward model",
                "2, 2b and 6", 100, chances=2, mean_surprise=2, fit=3, ranking_loss=3),
    _assignment("a2_surprise", "Relative surprise and its estimators", "3 and 3b", 90,
                kl_rows=2, estimates=2, kl_slope=3, sample_weights=3),
    _assignment("a3_sft", "Fine-tuning: what is learned, and where it ends", "5", 80,
                example=3, sft_loss=3, response_length=2, accumulated=2),
    _assignment("a4_reward_model", "A reward model: grouped, centred, calibrated", "6",
                100, grouped_loss=3, centred_bias=2, reliability=3, pair_accuracy=2),
    _assignment("a5_ppo", "PPO: reward, credit, clip, and KL by enumeration", "8", 120,
                charged_rewards=2, advantage_and_return=3, clipped_loss=3,
                sequence_kl=2),
    _assignment("a6_ptx", "PPO-ptx: a gamma under a tax budget", "9", 110,
                text_loss=2, mixed_step=2, tax=3, choose_gamma=3))}
