"""The whole law of the next word at every place of a rollout, where `Policy.logp` gives one number of it.

With two such tables KL is exact at every prefix that was visited: a sum over V words instead of one sampled ratio.
B sequences, T response tokens, V vocabulary, M places that count.
"""

import torch
from torch import Tensor

from instructgpt_lite.models import trunk
from instructgpt_lite.models.networks import Policy
from instructgpt_lite.models.sampling import Rollout


@torch.no_grad()
def laws(policy: Policy, rollout: Rollout) -> Tensor:
    """logp_BTV: log pi of every word at each response place; 0 where the mask is False.

    B x T x V floats: for reading and logging, not for a step of training.
    """
    rollout = rollout.to(policy.model.device)
    row_M, column_M = rollout.mask_BT.nonzero(as_tuple=True)
    before_M = row_M * rollout.token_BS.size(1) + rollout.prompt_B[row_M] + column_M - 1
    logp_MV = trunk.logits(policy.model, rollout.rows, before_M, trunk.dropout(0.0, None)).log_softmax(dim=-1)
    logp_BTV = logp_MV.new_zeros(*rollout.mask_BT.shape, logp_MV.size(-1))
    return logp_BTV.index_put((row_M, column_M), logp_MV)
