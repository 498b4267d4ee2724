"""Our sampler against `generate` of transformers: tokens per CPU-second, same weights, same prompts.

The policy is the tiny preset's at the start of RL, which ends its responses; prompts are held out.
`generate` runs with its dynamic cache on the whole batch and in chunks of 64, prompts sorted by length so
that chunks have little padding, and the better one counts.
Ours also records the log-probabilities it drew with, which `generate` is spared.
"""

import torch
from common import Row, arguments, finish, must_agree, ratios, speeds
from workloads import ragged, random_smollm2, tiny, words

from instructgpt_lite import Policy, presets
from instructgpt_lite.training.loop import generator


def generate(policy: Policy, prompts: list[list[int]], chunk: int, longest: int, **how) -> list[list[int]]:
    """Responses by transformers, EOS included where there is one; prompts are padded on the left."""
    responses = []
    for start in range(0, len(prompts), chunk):
        part = prompts[start:start + chunk]
        width = max(map(len, part))
        token_BS = torch.tensor([[policy.pad] * (width - len(prompt)) + prompt for prompt in part])
        with torch.no_grad():
            token_BS = policy.model.generate(
                token_BS, attention_mask=(token_BS != policy.pad).long(), pad_token_id=policy.pad,
                eos_token_id=policy.eos, max_new_tokens=longest, **how)
        for row in token_BS[:, width:].tolist():
            responses.append(row[:row.index(policy.eos) + 1] if policy.eos in row else row)
    return responses


def agree(policy: Policy, prompts: list[list[int]], longest: int) -> None:
    """The likeliest responses are the same, and recorded log-probs are those of the model's own forward."""
    greedy = policy.sample(prompts, max_new_tokens=longest, top_k=1)
    ours = [row[mask].tolist() for row, mask in zip(greedy.response_BT, greedy.mask_BT)]
    theirs = generate(policy, prompts, 64, longest, do_sample=False)
    different = sum(a != b for a, b in zip(ours, theirs, strict=True)) / len(prompts)
    must_agree("sampler, share of greedy responses that differ", different, 0.01)
    drawn = policy.sample(prompts, max_new_tokens=longest, generator=generator(0, "agree"))
    with torch.no_grad():
        logp_BSV = policy.model(drawn.token_BS, attention_mask=drawn.real_BS.long()).logits.log_softmax(-1)
    before_BT = (drawn.prompt_B[:, None] - 1 + torch.arange(drawn.mask_BT.size(1))).clamp(max=logp_BSV.size(1) - 1)
    said_BTV = logp_BSV.gather(1, before_BT[:, :, None].expand(-1, -1, logp_BSV.size(2)))
    logp_BT = said_BTV.gather(2, drawn.response_BT[:, :, None])[:, :, 0]
    apart = (logp_BT - drawn.logp_BT)[drawn.mask_BT].abs().max().item()
    must_agree("sampler, largest difference of a recorded log-prob", apart, 1e-4)


def main() -> None:
    parser = arguments(__doc__, rounds=15)
    parser.add_argument("--base", help="Hugging Face folder of another base model")
    parser.add_argument("--model", choices=("gpt2", "smollm2"), default="gpt2")
    parser.add_argument("--prompts", type=int, default=presets.tiny.ppo.batch_size)
    options = parser.parse_args()
    draw, length, goal = generator(0, "sampler"), presets.tiny.ppo.max_new_tokens, 3
    chunk = 16 if options.model == "smollm2" else 64
    if options.model == "smollm2":
        policy, prompts, length, goal = random_smollm2(1 / 16), words(ragged(64), draw), 32, 2
    else:
        world, policy = tiny(options.base)
        prompts = policy.encode([prompt.prompt for prompt in world.test[:options.prompts]])
    prompts = sorted(prompts, key=len)
    agree(policy, prompts, length)

    def theirs(chunk: int) -> int:
        return sum(map(len, generate(policy, prompts, chunk, length, do_sample=True, top_k=0)))

    found = speeds({
        "ours": lambda: int(policy.sample(prompts, max_new_tokens=length, generator=draw).mask_BT.sum()),
        "generate, whole batch": lambda: theirs(len(prompts)),
        f"generate, chunks of {chunk}": lambda: theirs(chunk),
    }, options.rounds)
    best = max(found, key=lambda name: 0 if name == "ours" else sorted(found[name])[options.rounds // 2])
    finish([Row(f"sampler against {best}", "x", ratios(found["ours"], found[best]), goal=goal),
            *(Row(f"  {name}", "tokens/CPU-s", each) for name, each in found.items())],
           options, {"prompts": len(prompts), "max_new_tokens": length, "model": policy.model.config.to_dict()})


if __name__ == "__main__":
    main()
