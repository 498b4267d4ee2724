"""Independent oracles, and checks of a student's function against them.

    from instructgpt_lite import checks
    checks.check_reward_loss(my_reward_loss)

Silent if it is right, else a sentence that helps. Nothing else of ours is imported.
Every function check_... of the modules here is found under its name.
"""

from instructgpt_lite.checks import (
    at_scale,
    bandit,
    credit,
    estimators,
    objective,
    oracles,
    preferences,
    pretraining,
    rankings,
    reward,
    surprise,
    tour,
)

for _module in (at_scale, bandit, credit, estimators, objective, preferences,
                pretraining, rankings, reward, surprise, tour):
    globals().update({name: check for name, check in vars(_module).items()
                      if name.startswith("check_")})
