"""What a run will need of a card, stage by stage, before anything is downloaded.

Memory: weights, gradients and Adam's two averages in float32 (4 bytes each a weight),
what a backward pass keeps of a micro-batch, logits, the cache of sampling, and what is
scored at once. Time: a roofline. Held against tensors (tests) and processes (results).
"""

import json
import re
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from instructgpt_lite.config import READ, SFT, Hardware, Run
from instructgpt_lite.run.folder import FACTS

GB = 1e9
STEP = 2e-3                           # seconds that a step of decoding takes a GPU
ROWS = 128                            # decoded at once (models/sampling.py)
SHORT, LONG = 24, 128                 # tokens of a prompt: a few words, instructions
SPARE = 0.875                         # of the memory: the rest is for the allocator
CORES = 2                             # of the card that is called cpu
TINY = 310                            # words of the tiny world
LLAMAS = ("llama", "mistral", "qwen2", "qwen3", "smollm3")      # a gated mlp, RMS norms


@dataclass(frozen=True)
class Card:
    """Memory in GB, peaks in TFLOP/s of 16 and of 32 bits, GB/s of its memory."""

    memory: float
    tflops: float
    fp32: float
    bandwidth: float
    used: float = 0.4                 # share of its peak that training reaches
    gpu: bool = True

    def rate(self, half: bool) -> float:
        """Sums a second, of 16 or of 32 bits."""
        return (self.tflops if half else self.fp32) * 1e12 * self.used

    def decoding(self, weights: int, tokens: float, half: bool) -> float:
        """Seconds: of steps of ROWS tokens, each reading the weights; and of sums."""
        read = weights * (2 if half else 4) / (self.bandwidth * GB)
        sums = 2 * weights / self.rate(half)
        return tokens * (max(STEP * self.gpu, read) / ROWS + sums)


@dataclass(frozen=True)
class Shape:
    """A decoder: its size, and what its weights and activations follow from."""

    layers: int
    width: int
    mlp: int                          # width inside
    kv: int                           # width of keys, and of values
    vocabulary: int
    positions: int = 0                # learned ones
    gated: bool = False               # a Llama: three matrices in the mlp, RMS norms
    tied: bool = True                 # the unembedding is the embedding

    @property
    def weights(self) -> int:
        """All weights but biases and norms."""
        block = 2 * self.width * (self.width + self.kv)
        block += (3 if self.gated else 2) * self.width * self.mlp
        words = self.vocabulary * (1 if self.tied else 2)
        return self.layers * block + (words + self.positions) * self.width


# Cards as their makers state them; the CPU is two cores of a server, measured.
CARDS = {name: Card(**each) for name, each in FACTS["cards"].items()}
KNOWN = {name: Shape(**each) for name, each in FACTS["shapes"].items()}


def shape_of(config: Run) -> Shape:
    """Of the base model: a folder's config.json, a known name, or our own architecture.

    ValueError where none of them tells.
    """
    name, own = config.base_model.partition("@")[0], config.architecture
    if not name:
        return Shape(own.layers, own.width, 4 * own.width, own.width, TINY, own.context)
    if Path(name, "config.json").is_file():
        return of_json(json.loads(Path(name, "config.json").read_text("utf-8")))
    if name.rpartition("/")[2] in KNOWN:
        return KNOWN[name.rpartition("/")[2]]
    raise ValueError(f"base_model {name}: its size is not known before it is there; "
                     f"known are {', '.join(KNOWN)}, or name a folder")


def of_json(said: dict) -> Shape:
    """From the config.json of a GPT-2 or of a model like Llama. ValueError for others.

    What it leaves out is as transformers has it: GPT-2 is tied, a Llama is not.
    """
    kind = said.get("model_type", "gpt2" if "n_embd" in said else "of no type")
    if kind == "gpt2":
        width = said["n_embd"]
        return Shape(said["n_layer"], width, said.get("n_inner") or 4 * width, width,
                     said["vocab_size"], said["n_positions"],
                     tied=said.get("tie_word_embeddings", True))
    if kind not in LLAMAS:
        raise ValueError(f"config.json is of {kind}: sizes are known of gpt2, "
                         f"{', '.join(LLAMAS)}; take one of these to plan with")
    width, heads = said["hidden_size"], said["num_attention_heads"]
    kv = said.get("num_key_value_heads") or heads
    kv *= said.get("head_dim") or width // heads
    return Shape(said["num_hidden_layers"], width, said["intermediate_size"], kv,
                 said["vocab_size"], gated=True,
                 tied=said.get("tie_word_embeddings", False))


@dataclass(frozen=True)
class Need:
    """Bytes and seconds of a stage."""

    stage: str
    weights: float                    # of all networks, gradients, Adam's averages
    learning: float                   # activations and logits of one micro-batch
    reading: float                    # cache of sampling, logits of what is scored
    seconds: float

    @property
    def total(self) -> float:
        """The peak: reading and learning take turns."""
        return self.weights + max(self.learning, self.reading)


def plan(config: Run, card: Card, hardware: Hardware | None = None,
         text: int = 0) -> list[Need]:
    """Stages that learn, and collect: others hold less. text: tokens of a prompt."""
    how, shape = hardware or config.hardware, shape_of(config)
    N, K = shape.weights, (config.collect.K_min + config.collect.K_max) / 2
    text = text or (SHORT if config.fixed_length or not config.data else LONG)
    ppo, collect, T = config.ppo, config.collect, config.collect.max_new_tokens
    half = how.precision != "fp32" and (card.gpu or how.precision != "auto")
    read_s = 2 * N / card.rate(half)                       # a token, forward
    learn_s = (4 if how.checkpointing else 3) * read_s
    learning = partial(activations, shape, how, half)
    group = round(K * text if config.fixed_length else text + K * T)
    asked = 0 if config.data else collect.prompts * K
    cache = 2 * shape.layers * shape.kv * (4 if shape.gated or not half else 2)

    def cached(rows: float, new: int) -> float:
        return min(ROWS, rows) * ((text + new) * cache + 24 * shape.vocabulary)

    def shown(name: str, stage: SFT) -> Need:
        mixed = stage.batch_size * stage.pretraining_mix / (1 - stage.pretraining_mix)
        most = max(learning(stage.batch_size, text + T, T, stage.dropout),
                   learning(mixed, stage.mix_length, stage.mix_length))
        each = text + T + mixed / stage.batch_size * stage.mix_length
        each *= stage.epochs * stage.demonstrations
        return Need(name, 16 * N, most, 0, learn_s * each)

    def rl(name: str, gamma: float, new: int = ppo.max_new_tokens) -> Need:
        n = max(1, round(ppo.ptx_ratio * ppo.minibatch_size)) if gamma else 0
        most = max(learning(ppo.minibatch_size, text + new, new),
                   learning(n, ppo.ptx_length, ppo.ptx_length))
        read = max(cached(ppo.batch_size, new),
                   scored(shape, how, ppo.batch_size, text + new, new))
        each = 2 * (text + new) + n * ppo.ptx_length / ppo.minibatch_size
        each = learn_s * ppo.inner_epochs * each + 3 * read_s * (text + new)
        return Need(name, 44 * N, most, read,
                    ppo.episodes * (each + card.decoding(N, new, half)))

    reward = Need("reward", 20 * N, learning(config.reward.batch_size, group, 0),
                  scored(shape, how, config.rl_init.demonstrations, text + T, 0),
                  learn_s * group * config.reward.epochs * collect.prompts)
    judge = [replace(reward, stage="judge")] * bool(config.data and config.data.judge)
    return [shown("sft", config.sft), shown("rl_init", config.rl_init),
            Need("collect", 4 * N, 0, cached(asked, T),
                 card.decoding(N, asked * T, half)), reward, *judge,
            *[rl("ppo", 0)] * config.without_ptx, rl("ppo_ptx", ppo.gamma)]


def scored(shape: Shape, how: Hardware, rows: int, length: int, logits: int) -> float:
    """Bytes of what a block makes, or of logits, of rows read without a gradient."""
    each = max(logits * shape.vocabulary, length * 4 * shape.width)
    return 8 * min(max(READ, each), min(rows, how.micro_batch or rows) * each)


def activations(shape: Shape, how: Hardware, half: bool, rows: float, length: int,
                logits: int, dropout: float = 0.0) -> float:
    """Bytes that a backward pass needs of rows of tokens, of which some have logits.

    A block keeps what its norms and products read: between blocks and into norms in
    float32, the rest in the bytes of a product; dropout keeps two masks more, autocast
    its copies of the weights. Logits are float32 three times: a log-softmax, its
    gradient, and theirs. Checkpointing keeps a block's input, and meanwhile the rest.
    """
    width, number, again = shape.width, 2 if half else 4, how.checkpointing
    rows = min(rows, how.micro_batch or rows)
    between, inner, inside = 2, 5, 6 if again else 2
    if shape.gated:
        between, inner, inside = 4, 8 if half else 5, 4
    inner += 2 * bool(dropout)
    block = 4 * between * width + number * (
        inner * width + 2 * shape.kv + inside * shape.mlp)
    wanted = 12 * rows * logits * shape.vocabulary
    if again:
        wanted = max(wanted, rows * length * (block + number * (width + shape.mlp)))
        block = 4 * width
    return half * 2 * shape.weights + shape.layers * rows * length * block + wanted


def planned(config: Run, called: str) -> dict[str, list[float]]:
    """Bytes and CPU-seconds of each stage on a card that torch calls so, or the "cpu".

    Nothing where the card is not in the list, or the size of the model not known. A
    CPU's seconds are those of CORES; a GPU's host waits busily.
    """
    cores = CORES if called == "cpu" else 1
    words = re.split("[ -]", called.lower().replace("rtx ", "rtx"))
    cards = [CARDS[word] for word in words if word in CARDS]
    try:
        return {need.stage: [round(need.total), round(cores * need.seconds, 1)]
                for card in cards[:1] for need in plan(config, card)}
    except ValueError:
        return {}


def fitting(config: Run, card: Card) -> Hardware | None:
    """The cheapest change that fits the card; None if none does."""
    now = config.hardware
    less = [2**n for n in range(6, -1, -1) if 2**n < (now.micro_batch or 65)]
    for checkpointing in dict.fromkeys((now.checkpointing, True)):
        for micro_batch in (now.micro_batch, *less):
            how = replace(now, micro_batch=micro_batch, checkpointing=checkpointing)
            most = max(need.total for need in plan(config, card, how))
            if most <= SPARE * card.memory * GB:
                return how
    return None
