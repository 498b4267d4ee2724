"""Independent oracles, and checks of a student's function against them.

    from instructgpt_lite import checks
    checks.check_reward_loss(my_reward_loss)

Silent if it is right, else a sentence that helps. Nothing else of ours is imported.
"""

from instructgpt_lite.checks import oracles
from instructgpt_lite.checks.at_scale import (
    check_in_deviations,
    check_training_bytes,
)
from instructgpt_lite.checks.bandit import (
    check_gradient_variance,
    check_returns,
    check_surrogate,
)
from instructgpt_lite.checks.objective import (
    check_masked_mean,
    check_ptx_loss,
    check_value_loss,
)
from instructgpt_lite.checks.ppo import (
    check_adapted_beta,
    check_clip_slopes,
    check_gae,
    check_leave_one_out,
    check_policy_loss,
    check_token_rewards,
)
from instructgpt_lite.checks.preferences import (
    check_elo_update,
    check_goes_round,
    check_labeling_day,
    check_plackett_luce_logp,
    check_preference_probability,
    check_push,
    check_reward_loss,
    check_two_labelers,
)
from instructgpt_lite.checks.pretraining import (
    check_gamma_for_sums,
    check_gamma_of_mix,
    check_ptx_step,
    check_weight_of_start,
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
    check_charge,
    check_clamped_mean,
    check_collapse,
    check_full_kl,
    check_home,
    check_k3,
    check_optimum,
    check_relative_surprise,
)
from instructgpt_lite.checks.tour import (
    check_agreement_and_best,
    check_chosen,
    check_comparisons,
    check_expected_comparisons,
    check_updates_until,
)
