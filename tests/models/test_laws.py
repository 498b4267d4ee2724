"""Laws at every place against the Hugging Face forward on one unpadded row, and against Policy.logp."""

import torch

from instructgpt_lite.models.laws import laws
from instructgpt_lite.models.sampling import Rollout
from tests.models.conftest import EOS, PAD, WORDS

ROLLOUT = Rollout.of([[5, 6, 7], [8, 2]], [[9, EOS], [10, 11, 12, 13, EOS]], pad=PAD, eos=EOS)


def test_each_place_has_the_law_that_the_words_before_it_give(gpt2):
    table = laws(gpt2, ROLLOUT)
    assert table.shape == (2, 5, WORDS)
    for row, (whole, start) in enumerate([([5, 6, 7, 9, EOS], 3), ([8, 2, 10, 11, 12, 13, EOS], 2)]):
        with torch.no_grad():
            logits = gpt2.model(torch.tensor([whole])).logits[0, start - 1:-1]
        torch.testing.assert_close(table[row, :len(logits)], logits.log_softmax(-1), rtol=1e-10, atol=1e-10)


def test_padding_gets_zeros_whatever_it_contains(gpt2):
    table = laws(gpt2, ROLLOUT)
    assert table[0, 2:].eq(0).all() and table[1].ne(0).all()
    odd = ROLLOUT.token_BS.masked_fill(~ROLLOUT.rows.real_BS, 10 ** 6)
    other = Rollout(odd, ROLLOUT.prompt_B, ROLLOUT.mask_BT, ROLLOUT.logp_BT, PAD, EOS)
    assert torch.equal(laws(gpt2, other), table)


def test_the_words_that_were_written_have_the_log_prob_that_the_policy_says(gpt2):
    written = laws(gpt2, ROLLOUT).gather(-1, ROLLOUT.response_BT[:, :, None])[:, :, 0]
    with torch.no_grad():
        logp = gpt2.logp(ROLLOUT)
    torch.testing.assert_close(torch.where(ROLLOUT.mask_BT, written, 0), logp, rtol=1e-10, atol=1e-10)
