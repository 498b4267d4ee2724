"""Checks of a student's own function against an oracle: silent if it is right, AssertionError if not.

    from instructgpt_lite import checks
    checks.check_reward_loss(my_reward_loss)

A function under check has the signature of the package's function of that name. Every case has a
sentence that says what it is about; the sentence of the first case that fails is what the student reads.
Padding holds nan, so a product with the mask shows. Gradients are compared with finite differences of
the oracle, one number of the input at a time.
"""

import math

import torch

from instructgpt_lite.checks import oracles

NAN = math.nan


def tensor(numbers):
    """float64, where a finite difference still has nine digits."""
    return torch.tensor(numbers, dtype=torch.float64)


def _agree(student, oracle, cases, gradient_in=None):
    """cases: (sentence, arguments). gradient_in: which argument the loss is differentiated by."""
    for sentence, arguments in cases:
        inputs = [x.clone() if torch.is_tensor(x) else x for x in arguments]
        if gradient_in is not None:
            inputs[gradient_in].requires_grad_()
        got, want = student(*inputs), tensor(oracle(*arguments))
        name = getattr(student, "__name__", "your function")
        assert torch.is_tensor(got), f"{name} returned {type(got).__name__}; a tensor is wanted. {sentence}"
        assert got.shape == want.shape, \
            f"{name} returned shape {tuple(got.shape)}; {tuple(want.shape)} is wanted. {sentence}"
        assert torch.allclose(got.detach().double(), want, rtol=1e-6, atol=1e-9), \
            f"{name} returned {got.tolist()}; {want.tolist()} is right. {sentence}"
        if gradient_in is not None:
            _same_gradient(name, got, inputs[gradient_in], oracle, arguments, gradient_in, sentence)


def _same_gradient(name, loss, leaf, oracle, arguments, position, sentence):
    assert loss.requires_grad, f"{name} lost its gradient: is there a detach, item or tolist? {sentence}"
    loss.backward()
    want = finite_difference(oracle, arguments, position)
    assert torch.allclose(leaf.grad, want, rtol=1e-5, atol=1e-7), \
        f"{name} has the gradient {leaf.grad.tolist()}; {want.tolist()} is right. {sentence}"


def finite_difference(oracle, arguments, position, step=1e-5):
    """Central differences of a scalar oracle in every number of one argument; 0 in padding."""
    slope = torch.zeros_like(arguments[position])
    for i in range(slope.numel()):
        ends = []
        for sign in (1, -1):
            moved = arguments[position].clone()
            moved.view(-1)[i] += sign * step
            ends.append(oracle(*arguments[:position], moved, *arguments[position + 1:]))
        slope.view(-1)[i] = (ends[0] - ends[1]) / (2 * step)
    return slope


def check_preference_probability(student):
    """P(first > second) from two rewards of equal shape."""
    def oracle(first, second):
        return [oracles.sigmoid(a - b) for a, b in zip(first.tolist(), second.tolist(), strict=True)]
    _agree(student, oracle, [
        ("Equal rewards: nobody knows.", (tensor([2.0]), tensor([2.0]))),
        ("Only the difference counts: 3:1 odds at log 3.", (tensor([math.log(3), 5.0]), tensor([0.0, 7.0]))),
        ("Far apart, exp overflows: use sigmoid.", (tensor([800.0, -800.0]), tensor([-800.0, 800.0])))])


def check_relative_surprise(student):
    """KL(p || q) from two vectors of log-probabilities."""
    p, q = tensor([0.5, 0.25, 0.25]).log(), tensor([0.1, 0.6, 0.3]).log()
    _agree(student, oracles.kl_oracle, [
        ("A law is not surprised by itself.", (p, p)),
        ("The expectation is under p, the first argument, in nats.", (p, q)),
        ("KL is not symmetric.", (q, p)),
        ("What p excludes costs nothing: 0 log 0 is 0.", (tensor([1.0, 0.0, 0.0]).log(), p))])


def check_k3(student):
    """k3, an estimate of KL(pi || ref) from samples of pi: ref / pi - 1 - log(ref / pi), elementwise."""
    pi, ref = tensor([0.5, 0.25, 0.2]).log(), tensor([0.25, 0.5, 0.2]).log()
    _agree(student, oracles.k3_oracle, [
        ("Where both give the same, nothing is surprising: 0.", (pi[2:], ref[2:])),
        ("The ratio is ref / pi, because the samples are those of pi.", (pi[:1], ref[:1])),
        ("It is never negative, nor clamped: elementwise, no mean.", (pi, ref))])


def check_optimum(student):
    """log pi* of the policy of highest E[r] - beta KL(pi || ref)."""
    ref, r = tensor([0.5, 0.3, 0.2]).log(), tensor([0.0, 1.0, 2.0])
    _agree(student, lambda *arguments: oracles.optimum_oracle(*arguments)[0], [
        ("Equal rewards: nothing is worth leaving the reference for.", (ref, tensor([3.0, 3.0, 3.0]), 1.0)),
        ("ref times exp(r / beta), made to sum to 1, as log-probabilities.", (ref, r, 1.0)),
        ("beta is the price of a nat: a dear one keeps close to the reference.", (ref, r, 10.0)),
        ("A cheap one overflows exp: subtract in logarithms.", (ref, 1000 * r, 0.5))])


def check_reward_loss(student):
    """Eq. (1) from r_BK and rank_BK."""
    _agree(student, oracles.reward_loss_oracle, [
        ("One pair: -log sigmoid(r_w - r_l), and rank 1 is the best.",
         (tensor([[1.0, 0.0]]), torch.tensor([[1, 2]]))),
        ("The better response may stand second.", (tensor([[1.0, 0.0]]), torch.tensor([[2, 1]]))),
        ("K = 4 makes six pairs; take their mean.",
         (tensor([[2.0, 1.0, 0.0, -1.0]]), torch.tensor([[1, 2, 3, 4]]))),
        ("A tie makes no pair and does not count in the mean.",
         (tensor([[2.0, 1.0, 0.5]]), torch.tensor([[1, 1, 2]]))),
        ("Average inside each prompt first, then over prompts, however many pairs each has.",
         (tensor([[2.0, 1.0, 0.5], [0.0, 3.0, 1.0]]), torch.tensor([[1, 1, 2], [1, 2, 3]]))),
        ("Far apart, log(sigmoid) is -inf: use logsigmoid.",
         (tensor([[-1000.0, 1000.0]]), torch.tensor([[1, 2]])))], gradient_in=0)


MASK = torch.tensor([[True, True, True, False], [True, False, False, False], [True, True, True, True]])
LOGP = tensor([[-1.0, -2.0, -0.5, NAN], [-0.3, NAN, NAN, NAN], [-1.5, -0.2, -0.9, -2.5]])
OTHER_LOGP = tensor([[-1.2, -1.5, -0.5, NAN], [-0.7, NAN, NAN, NAN], [-1.1, -0.3, -1.9, -2.4]])
ADVANTAGE = tensor([[0.5, -0.3, 1.2, NAN], [0.8, NAN, NAN, NAN], [-0.7, 0.0, -0.4, 0.9]])
VALUE = tensor([[0.5, 0.6, 0.7, NAN], [0.2, NAN, NAN, NAN], [0.9, -0.4, 0.1, 0.6]])
OLD_VALUE = tensor([[0.5, 0.1, 0.75, NAN], [0.9, NAN, NAN, NAN], [0.2, -0.3, 0.0, 1.0]])
RETURN = tensor([[1.0, 0.2, 0.9, NAN], [0.6, NAN, NAN, NAN], [-0.3, 0.4, 0.8, 0.5]])


def check_masked_mean(student):
    """Mean over the True places of a mask."""
    _agree(student, oracles.masked_mean_oracle, [
        ("Without padding it is the mean.", (VALUE[2:], MASK[2:])),
        ("Over all counted tokens at once, not row by row; nan in padding must not leak.", (VALUE, MASK))],
        gradient_in=0)


def check_token_rewards(student):
    """Per-token KL penalty and the score at the last counted token."""
    score = tensor([1.0, -0.5, 2.0])
    full, ragged, empty = MASK[2:], MASK[:2], torch.zeros_like(MASK[:1])
    _agree(student, oracles.token_rewards_oracle, [
        ("beta = 0: the score alone, at the last token.", (score[2:], LOGP[2:], OTHER_LOGP[2:], full, 0.0)),
        ("A token likelier than under the reference is penalised: -beta (logp - ref_logp).",
         (score[2:], LOGP[2:], OTHER_LOGP[2:], full, 0.5)),
        ("The last token is the last *counted* one; padding gets 0, though it holds nan.",
         (score[:2], LOGP[:2], OTHER_LOGP[:2], ragged, 0.02)),
        ("A row without counted tokens gets nothing.", (score[:1], LOGP[:1], LOGP[:1], empty, 0.02))])


def check_gae(student):
    """Advantages without discount."""
    _agree(student, oracles.gae_oracle, [
        ("lam = 0: one-step errors reward_t + V_{t+1} - V_t, and no value after the last token.",
         (RETURN[2:], VALUE[2:], MASK[2:], 0.0)),
        ("lam = 1: all later rewards minus V_t.", (RETURN[2:], VALUE[2:], MASK[2:], 1.0)),
        ("In between, later errors count lam, lam^2, ...", (RETURN[2:], VALUE[2:], MASK[2:], 0.95)),
        ("A response ends at its own last counted token; padding gets 0.", (RETURN, VALUE, MASK, 0.95))])


def check_policy_loss(student):
    """PPO's clipped surrogate, to be minimised."""
    one, zero = torch.tensor([[True]]), tensor([[0.0]])
    cases = [(f"Ratio {ratio}, advantage {a:+}, clip 0.2: look at which side the clip acts.",
              (tensor([[math.log(ratio)]]), zero, tensor([[a]]), one, 0.2))
             for ratio in (0.7, 0.9, 1.1, 1.3) for a in (1.0, -1.0)]
    _agree(student, oracles.policy_loss_oracle, cases + [
        ("Mean over counted tokens; nan in padding must not leak, nor into the gradient.",
         (LOGP, OTHER_LOGP, ADVANTAGE, MASK, 0.2))], gradient_in=0)


def check_value_loss(student):
    """Half the squared error, clipped or not."""
    _agree(student, oracles.value_loss_oracle, [
        ("clip = 0: half the mean squared error.", (VALUE, OLD_VALUE, RETURN, MASK, 0.0)),
        ("clip = 0.2: the larger of the two errors, token by token.", (VALUE, OLD_VALUE, RETURN, MASK, 0.2))],
        gradient_in=0)


def check_ptx_loss(student):
    """The language-model loss: place t predicts token t + 1."""
    logits = tensor([[[0.1, 2.0, -1.0], [1.5, 0.3, 0.2], [9.0, 0.0, 0.0]]])
    _agree(student, oracles.ptx_loss_oracle, [
        ("Logits at place t are about token t + 1, so the last ones have nothing to predict.",
         (logits, torch.tensor([[0, 1, 2]])))], gradient_in=0)
