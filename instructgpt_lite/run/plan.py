"""What a run will need of a card, stage by stage, before anything is downloaded.

Memory: weights, gradients and Adam's two averages in float32 (4 bytes each a weight),
what a backward pass keeps of a micro-batch, logits, and the cache of sampling. Time: a
roofline, of what a card can compute and what it can read. Estimates, which
results/memory.json holds against measurements.
"""

import json
from dataclasses import dataclass, replace
from pathlib import Path

from instructgpt_lite.config import Architecture, Hardware, Run

GB = 1e9
USED = 0.4                            # share of a card's peak that training reaches
STEP = 2e-3                           # seconds that a step of decoding takes at least
ROWS = 128                            # decoded at once (models/fast.py)
SHORT, LONG = 24, 128                 # tokens of a prompt: a beginning, an instruction
SPARE = 0.875                         # of the memory: the rest is for the allocator


@dataclass(frozen=True)
class Card:
    """Memory in GB, peak in TFLOP/s of 16-bit products, and GB/s of its memory."""

    memory: float
    tflops: float
    bandwidth: float


CARDS = {"t4": Card(16, 65, 320), "l4": Card(24, 121, 300), "a100": Card(40, 312, 1555),
         "h100": Card(80, 989, 3350), "h200": Card(141, 989, 4800),
         "rtx4090": Card(24, 165, 1008), "cpu": Card(16, 0.1, 20)}


@dataclass(frozen=True)
class Shape:
    """A decoder: its size, and what its weights and activations follow from."""

    layers: int
    width: int
    mlp: int                          # width inside
    kv: int                           # width of keys, and of values
    vocabulary: int
    positions: int = 0                # learned ones
    gated: bool = False               # three matrices in the mlp, as Llama's

    @property
    def block(self) -> int:
        """Weights of a block, biases and norms aside."""
        attention = 2 * self.width * (self.width + self.kv)
        return attention + (3 if self.gated else 2) * self.width * self.mlp

    @property
    def trunk(self) -> int:
        """Weights of all blocks."""
        return self.layers * self.block

    @property
    def weights(self) -> int:
        """All weights; the unembedding is the embedding."""
        return self.trunk + (self.vocabulary + self.positions) * self.width


KNOWN = {"gpt2": Shape(12, 768, 3072, 768, 50_258, 1024),
         "gpt2-medium": Shape(24, 1024, 4096, 1024, 50_258, 1024),
         "smollm2": Shape(30, 576, 1536, 192, 49_152, gated=True)}


def shape_of(config: Run) -> Shape:
    """Of the base model: a known name, a folder's config.json, or our own architecture.

    ValueError where none of them tells.
    """
    name = config.base_model.partition("@")[0]
    known = KNOWN.get(name.rpartition("/")[2])
    if known:
        return known
    if name and not Path(name, "config.json").is_file():
        raise ValueError(f"base_model {name}: its size is not known before it is "
                         f"there; known are {', '.join(KNOWN)}, or name a folder")
    if name:
        return of_json(json.loads(Path(name, "config.json").read_text("utf-8")))
    own: Architecture = config.architecture
    return Shape(own.layers, own.width, 4 * own.width, own.width, 2_000, own.context)


def of_json(said: dict) -> Shape:
    """From the config.json of a GPT-2 or of a model like Llama."""
    if "n_embd" in said:
        width = said["n_embd"]
        return Shape(said["n_layer"], width, said.get("n_inner") or 4 * width, width,
                     said["vocab_size"], said["n_positions"])
    width, heads = said["hidden_size"], said["num_attention_heads"]
    kv = said.get("num_key_value_heads", heads) * said.get("head_dim", width // heads)
    return Shape(said["num_hidden_layers"], width, said["intermediate_size"], kv,
                 said["vocab_size"], gated=True)


@dataclass(frozen=True)
class Need:
    """Bytes and seconds of a stage."""

    stage: str
    weights: float                    # of all networks, gradients, Adam's averages
    learning: float                   # activations and logits of one micro-batch
    cache: float                      # keys and values of sampling
    seconds: float

    @property
    def total(self) -> float:
        """The peak: sampling and learning take turns."""
        return self.weights + max(self.learning, self.cache)


def plan(config: Run, card: Card, hardware: Hardware | None = None,
         text: int = 0) -> list[Need]:
    """Each stage that trains or samples; text: tokens of a prompt, if known."""
    how, shape = hardware or config.hardware, shape_of(config)
    N, text = shape.weights, text or (SHORT if config.fixed_length else LONG)
    T, ppo = config.collect.max_new_tokens, config.ppo
    half = card.memory > 0 and how.precision != "fp32" and card is not CARDS["cpu"]
    rate = card.tflops * 1e12 * USED * (1 if half else 0.5)

    def learning(rows: int, tokens: int, logits: int) -> float:
        rows = min(rows, how.micro_batch or rows)
        return activations(shape, rows * tokens, rows * logits, half, how.checkpointing)

    def decoding(responses: float) -> float:
        steps = T * responses / ROWS
        read = N * (2 if half else 4) / (card.bandwidth * GB)
        return steps * max(STEP if half else 0.0, read) + 2 * N * responses * T / rate

    def sft(name: str, stage: object) -> Need:
        mixed = stage.batch_size * stage.pretraining_mix / (1 - stage.pretraining_mix)
        most = max(learning(stage.batch_size, text + T, T),
                   learning(round(mixed), stage.mix_length, stage.mix_length))
        tokens = stage.epochs * (stage.demonstrations * (text + T)
                                 + stage.demonstrations / stage.batch_size * mixed
                                 * stage.mix_length)
        return Need(name, 16 * N, most, 0, 6 * N * tokens / rate)

    K = (config.collect.K_min + config.collect.K_max) / 2
    cached = ROWS * (text + T) * 2 * shape.layers * shape.kv * (2 if half else 4)
    asked = 0 if config.data else config.collect.prompts * K
    tokens_of_group = round(K * text if config.fixed_length else text + K * T)
    ranked = tokens_of_group * config.reward.epochs * config.collect.prompts
    n = max(1, round(ppo.ptx_ratio * ppo.minibatch_size)) if ppo.gamma else 0
    reads = ppo.episodes * (text + T) * (2 * N * 3 + ppo.inner_epochs * 6 * 2 * N)
    reads += 6 * N * n * ppo.ptx_length * ppo.episodes / ppo.minibatch_size
    return [
        sft("sft", config.sft), sft("rl_init", config.rl_init),
        Need("collect", 4 * N, 0, cached if asked else 0, decoding(asked)),
        Need("reward", 16 * N, learning(config.reward.batch_size, tokens_of_group, 0),
             0, 6 * N * ranked / rate),
        Need("ppo_ptx", 44 * N, max(learning(ppo.minibatch_size, text + T, T),
                                    learning(n, ppo.ptx_length, ppo.ptx_length)),
             cached, reads / rate + decoding(ppo.episodes))]


def activations(shape: Shape, tokens: int, logits: int, half: bool,
                checkpointing: bool) -> float:
    """Bytes that a backward pass keeps of so many tokens, of which some have logits.

    A block keeps nine of its widths (what goes into and comes out of norms, attention
    and products), keys, values, and what is inside the mlp. Logits are float32 three
    times: themselves, their softmax, and their gradient.
    """
    kept = 9 * shape.width + 2 * shape.kv + (4 if shape.gated else 2) * shape.mlp
    block = kept * (2 if half else 4)
    blocks = block + shape.layers * 4 * shape.width if checkpointing else (
        shape.layers * block)
    return tokens * blocks + logits * shape.vocabulary * (4 * 3 + (2 if half else 0))


def fitting(config: Run, card: Card) -> Hardware | None:
    """The cheapest change that fits the card; None if none does."""
    now = config.hardware
    sizes = [now.micro_batch, *(each for each in (64, 32, 16, 8, 4, 2, 1)
                                if each < (now.micro_batch or 65))]
    for checkpointing in dict.fromkeys((now.checkpointing, True)):
        for micro_batch in sizes:
            how = replace(now, micro_batch=micro_batch, checkpointing=checkpointing)
            most = max(need.total for need in plan(config, card, how))
            if most <= SPARE * card.memory * GB:
                return how
    return None
