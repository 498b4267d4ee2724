"""Independent oracles, and checks of a student's function against them.

    from instructgpt_lite import checks
    checks.check_reward_loss(my_reward_loss)

Silent if it is right, else a sentence that helps. Nothing else of ours is imported.
"""

from instructgpt_lite.checks import oracles
from instructgpt_lite.checks.objective import (
    check_gae,
    check_masked_mean,
    check_policy_loss,
    check_ptx_loss,
    check_token_rewards,
    check_value_loss,
)
from instructgpt_lite.checks.preferences import (
    check_elo_update,
    check_plackett_luce_logp,
    check_preference_probability,
    check_reward_loss,
)
from instructgpt_lite.checks.pretraining import (
    check_gamma_for_sums,
    check_gamma_of_mix,
    check_ptx_step,
    check_weight_of_start,
)
from instructgpt_lite.checks.surprise import (
    check_k3,
    check_optimum,
    check_relative_surprise,
)
