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
from instructgpt_lite.checks.reward import (
    check_brier,
    check_center,
    check_floor,
    check_longer_share,
    check_responses_read,
    check_reward_gradient,
    check_shift,
)
from instructgpt_lite.checks.surprise import (
    check_k3,
    check_optimum,
    check_relative_surprise,
)
