"""Checks of a student's own functions about PPO: rewards of tokens, their credit."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import pad

from instructgpt_lite.checks import oracles
from instructgpt_lite.checks.grading import hold, tensor
from instructgpt_lite.checks.objective import LOGP, MASK, NAN, OTHER_LOGP, VALUE

REWARD = tensor([[0.1, -0.2, 0.9, NAN], [0.6, NAN, NAN, NAN], [-0.3, 0.4, 0.8, 0.5]])
SCORE = tensor([1.0, -0.5, 2.0])


def check_token_rewards(student: Callable) -> None:
    """Per-token KL penalty and the score at the last counted token."""
    right = oracles.token_rewards

    def charged(kl: Callable) -> Callable:
        return lambda r, logp, ref, mask, beta: right(r, kl(logp - ref), 0 * ref, mask,
                                                      beta)

    def paid(share: Callable) -> Callable:
        return lambda r, *case: (
            tensor(right(0 * r, *case)) + r[:, None] * share(case[2]))

    none, case = torch.zeros_like(MASK[:1]), (SCORE, LOGP, OTHER_LOGP, MASK, 0.5)
    hold(student, right, [
        ("-beta (logp - ref_logp) at each counted token, and the score at the last.",
         case),
        ("beta = 0: the score alone, at the last token.", (*case[:4], 0.0)),
        ("A row without counted tokens gets nothing.",
         (SCORE[:1], LOGP[:1], LOGP[:1], none, 0.02))], {
        "rewards what it should charge: a token likelier than under the reference is "
        "penalised, -beta (logp - ref_logp).": charged(torch.neg),
        "charges no KL: only the score is there.": charged(torch.zeros_like),
        "forgets beta.": lambda *case: right(*case[:4], 1.0),
        "takes the absolute log-ratio: a token that became rarer gets a bonus.":
            charged(torch.abs),
        "clamps the log-ratio at 0: a token that became rarer gets a bonus.":
            charged(torch.relu),
        "charges the ratio of probabilities: the charge is its logarithm.":
            charged(torch.exp),
        "puts the score into the last column: the last token is the last *counted* "
        "one.": paid(lambda mask: torch.eye(4)[-1]),
        "puts the score on the first token: it is known when the text has ended.":
            paid(lambda mask: torch.eye(4)[0]),
        "gives the score to every token: then a long response is paid often.":
            paid(lambda mask: mask),
        "spreads the score over the tokens: it is paid once, at the last.":
            paid(lambda mask: mask / mask.sum(dim=1, keepdim=True).clamp(min=1)),
        "drops the charge of the last token: it pays for its KL, too.":
            lambda r, logp, ref, mask, beta: right(
                r, torch.where(_goes_on(mask), logp, ref), ref, mask, beta),
        "forgets the score.": lambda r, *case: right(0 * r, *case)})


def _goes_on(mask_BT: Tensor) -> Tensor:
    """Where another counted token follows."""
    return pad(mask_BT[:, 1:], (0, 1))


def check_gae(student: Callable) -> None:
    """Advantages without discount."""
    right = oracles.gae

    def ahead(value: Tensor, mask: Tensor, end: Tensor | float = 0.0) -> Tensor:
        return torch.where(_goes_on(mask), value.roll(-1, dims=1), end)

    hold(student, right, [
        ("In between, later errors count lam, lam^2, ...; a response ends at its own "
         "last counted token, and padding gets 0.", (REWARD, VALUE, MASK, 0.5)),
        ("lam = 0: one-step errors reward_t + V_{t+1} - V_t, "
         "and no value after the last token.", (REWARD[2:], VALUE[2:], MASK[2:], 0.0)),
        ("lam = 1: all later rewards minus V_t.",
         (REWARD[2:], VALUE[2:], MASK[2:], 1.0))], {
        "has a discount: in the paper there is none.": lambda reward, v, mask, lam:
            right(reward - 0.01 * ahead(v, mask), v, mask, 0.99 * lam),
        "reads a value after the last token: the response is over, and it is 0.":
            lambda reward, v, mask, lam: right(reward + ahead(0 * v, mask, v), v, mask,
                                               lam),
        "looks one token ahead only: later errors count lam, lam^2, ...":
            lambda *case: right(*case[:3], 0.0),
        "ignores lam: this is return minus value, whatever lam is.":
            lambda *case: right(*case[:3], 1.0),
        "weighs by 1 - lam: lam = 1 is the one that looks to the end.":
            lambda *case: right(*case[:3], 1 - case[3]),
        "runs from the first token on: a token is credited with what comes later.":
            lambda reward, v, mask, lam: tensor(right(
                tensor(right(reward, v, mask, 0.0)).flip(1), 0 * reward.flip(1),
                mask.flip(1), lam)).flip(1),
        "has the value's sign turned round: reward + V_{t+1} - V_t.":
            lambda reward, v, *case: right(reward, -v, *case),
        "does not subtract V_t: what was expected anyway is no merit.":
            lambda reward, v, *case: right(reward + v, v, *case),
        "leaves out V_{t+1}: the error is reward + V_{t+1} - V_t.":
            lambda reward, v, mask, lam: right(reward - ahead(v, mask), v, mask, lam),
        "gives returns, not advantages: V_t is added again.": lambda *case:
            tensor(right(*case)) + torch.where(case[2], case[1], 0),
        "sums the rewards alone: where are the values?":
            lambda reward, v, *case: right(reward, 0 * v, *case)})
