"""Named runs: the paper's configuration (config.py) with departures, and why.

tiny  about 0.4M parameters: the whole of InstructGPT in some minutes on a laptop
nano  about 0.1M parameters: the same in half the time, for tests and assignments
micro a few thousand parameters: seconds, and too small to learn; for unit tests

presets_at_scale.py has those of GPT-2's size: reviews, gpt2, offline.
"""

from dataclasses import replace

from instructgpt_lite import config
from instructgpt_lite.presets_at_scale import gpt2, offline, reviews

# Learning rates grow as width shrinks, from 1e-5 at 1.3B parameters to 1e-3 at 0.4M.
# Muon takes the hidden matrices (matrix_lr) because it learns to copy from the context
# in a third of Adam's tokens. Rows, prompts and responses are short because the world's
# texts are. One KL nat buys more on short responses, hence a larger beta; gamma weighs
# a mean over tokens, so 27.8 does not carry over.
tiny = config.Run(
    preset="tiny",
    architecture=config.Architecture(layers=3, width=104, heads=4, context=96),
    pretrain=config.Pretrain(tokens=12_000_000, batch_size=11, length=96, lr=4e-3,
                             matrix_lr=0.01, final_lr=0.05),
    sft=config.SFT(demonstrations=2_300, epochs=2, lr=2e-3, matrix_lr=4e-3),
    rl_init=config.RLInit(demonstrations=3_500, lr=2e-3, matrix_lr=4e-3, mix_length=64),
    collect=config.Collect(prompts=9_000, max_new_tokens=40),
    reward=config.Reward(batch_size=8, lr=1e-3, matrix_lr=2e-3, warmup=0.05),
    best_of_n=config.BestOfN(demonstrations=5_000, lr=2e-3, matrix_lr=4e-3,
                             mix_length=64),
    ppo=config.PPO(
        prompts=7_000, episodes=5_120, batch_size=256, lr=5e-4, value_lr=1e-3, warmup=2,
        beta=0.1, gamma=0.2, ptx_ratio=0.25, ptx_length=64, max_new_tokens=40, ema=0.9,
        clip_norm=1.0),
    evaluate=config.Evaluate(prompts=1_000),
)

nano = replace(
    tiny,
    preset="nano",
    architecture=replace(tiny.architecture, width=48, context=128),
    pretrain=replace(tiny.pretrain, tokens=8_000_000, batch_size=8, length=128),
    sft=replace(tiny.sft, epochs=3, batch_size=16, lr=4e-3, matrix_lr=8e-3),
    rl_init=replace(tiny.rl_init, lr=4e-3, matrix_lr=8e-3),
    collect=replace(tiny.collect, prompts=2_000),
    best_of_n=replace(tiny.best_of_n, lr=4e-3, matrix_lr=8e-3),
    ppo=replace(tiny.ppo, episodes=3_072),
    evaluate=replace(tiny.evaluate, prompts=500),
)

micro = replace(
    tiny,
    preset="micro",
    architecture=config.Architecture(layers=2, width=16, heads=2, context=128),
    pretrain=replace(tiny.pretrain, tokens=20_000),
    sft=replace(tiny.sft, demonstrations=64, epochs=1),
    rl_init=replace(tiny.rl_init, demonstrations=64, epochs=1),
    collect=replace(tiny.collect, prompts=64, max_new_tokens=12),
    best_of_n=replace(tiny.best_of_n, demonstrations=32, epochs=1),
    ppo=replace(tiny.ppo, prompts=32, episodes=64, batch_size=16, minibatch_size=8,
                warmup=1, max_new_tokens=12),
    evaluate=replace(tiny.evaluate, prompts=24, shots=1),
    checkpoint_every=0.2,
)

PRESETS = {preset.preset: preset
           for preset in (tiny, nano, micro, reviews, gpt2, offline)}
