"""One frozen dataclass per stage. The defaults are the paper's, for its 1.3B model.

Ouyang et al. (2022), cited by section; "paper silent": the paper does not say, with the
source of our number. A preset states its departures; nothing else holds a default.
"""

from dataclasses import dataclass, field

READ = 2**27                         # numbers side by side, if nothing is learned


@dataclass(frozen=True)
class Architecture:
    """A GPT-2. The paper has GPT-3; ours is GPT-2 small (Radford et al., 2019)."""

    layers: int = 12                 # transformer blocks
    width: int = 768                 # of the residual stream
    heads: int = 12                  # of attention, a block
    context: int = 1024              # longest row of tokens


@dataclass(frozen=True)
class Pretrain:
    """The base model. The paper starts from GPT-3, so these numbers are ours."""

    tokens: int = 300_000_000        # of text, in all
    batch_size: int = 512            # rows a step
    length: int = 1024               # tokens a row
    lr: float = 6e-4                 # peak; cosine
    matrix_lr: float = 0.0           # above 0: Muon for the hidden matrices; ours
    warmup: float = 0.02             # share of all steps
    final_lr: float = 0.1            # cosine ends at this share of the peak
    clip_norm: float = 1.0           # largest norm of the gradient, 0 is off
    seed: int = 0                    # of the weights and the text


@dataclass(frozen=True)
class SFT:
    """The supervised baseline (§3.5, App. C.1)."""

    demonstrations: int = 12_725     # training prompts with a response (Table 6)
    epochs: int = 16                 # passes over the demonstrations
    batch_size: int = 32             # demonstrations a step
    lr: float = 9.65e-6              # peak; cosine, no warm-up
    matrix_lr: float = 0.0           # above 0: Muon for the hidden matrices; ours
    warmup: float = 0.0              # share of all steps
    final_lr: float = 0.1            # cosine to 10 % of the peak
    dropout: float = 0.2             # residual
    pretraining_mix: float = 0.0     # pretraining rows as a share of all rows
    mix_length: int = 1024           # tokens a pretraining row; paper silent
    clip_norm: float = 0.0           # largest norm of the gradient; paper silent: off
    seed: int = 0                    # of order and dropout; ours


@dataclass(frozen=True)
class RLInit(SFT):
    """Where RL starts and what KL is measured from: not the baseline (App. C.3)."""

    epochs: int = 2                  # passes over the demonstrations
    lr: float = 5e-6                 # peak; cosine, no warm-up
    dropout: float = 0.0             # residual; paper silent
    pretraining_mix: float = 0.1     # pretraining rows as a share of all rows


@dataclass(frozen=True)
class Collect:
    """Responses for labelers to rank (§3.5, App. C.2)."""

    prompts: int = 33_207            # training prompts (Table 6)
    K_min: int = 4                   # fewest responses to a prompt
    K_max: int = 9                   # most responses to a prompt
    batch_size: int = 512            # prompts sampled together; ours
    temperature: float = 1.0         # of sampling; paper silent
    max_new_tokens: int = 1024       # longest response (App. C)
    seed: int = 0                    # of responses and rankings; ours


@dataclass(frozen=True)
class Reward:
    """The reward model (§3.5, App. C.2). A batch is of prompts, each with its pairs."""

    epochs: int = 1                  # more than one overfits (App. C.2)
    batch_size: int = 64             # prompts a step
    lr: float = 9e-6                 # peak; cosine
    matrix_lr: float = 0.0           # above 0: Muon for the hidden matrices; ours
    warmup: float = 0.0              # share of all steps
    final_lr: float = 0.1            # cosine to 10 % of the peak
    clip_norm: float = 0.0           # largest norm of the gradient; paper silent: off
    seed: int = 0                    # of order and the new head; ours


@dataclass(frozen=True)
class BestOfN(RLInit):
    """Fine-tuning on the best of n responses, from the RL start: a baseline, ours."""

    n: int = 0                       # responses to choose from; 0: no such policy
    demonstrations: int = 31_144     # of PPO's prompts, each with its best response


@dataclass(frozen=True)
class PPO:
    """Reinforcement learning (§3.5, App. C.4); gamma = 0 is PPO, above it PPO-ptx."""

    prompts: int = 31_144            # training prompts (Table 6)
    episodes: int = 256_000          # responses, in all
    batch_size: int = 512            # episodes an iteration
    minibatch_size: int = 64         # episodes an update
    inner_epochs: int = 1            # passes over an iteration's episodes
    lr: float = 1.18e-5              # constant; paper silent: read off Fig. 38
    value_lr: float = 9e-6           # of the value function, constant
    adam_betas: tuple[float, float] = (0.9, 0.95)  # decay of Adam's two averages
    adam_eps: float = 1e-8           # in the denominator of Adam; paper silent
    warmup: int = 10                 # iterations, from a tenth of the peak
    beta: float = 0.02               # KL reward coefficient, eq. (2)
    kl_target: float = 0.0           # KL, nats a response, that beta follows; 0: fixed
    kl_horizon: float = 10_000       # episodes for a fifth of beta; paper silent
    gamma: float = 27.8              # pretraining coefficient, eq. (2), of a token mean
    ptx_ratio: float = 8             # pretraining rows per episode
    ptx_length: int = 1024           # tokens a pretraining row; paper silent
    clip: float = 0.2                # of the probability ratio
    value_clip: float = 0.2          # of its move; paper silent (lm-human-preferences)
    lam: float = 0.95                # of GAE; paper silent (Stiennon et al., 2020)
    whiten: bool = True              # advantages; paper silent (lm-human-preferences)
    missing_eos: float = 1.0         # off the score of what never ends; paper silent
    temperature: float = 1.0         # of sampling and of log-probabilities
    max_new_tokens: int = 1024       # longest response (App. C)
    ema: float = 0.992               # of averaged weights; each update is our choice
    clip_norm: float = 0.0           # largest norm of the gradient; paper silent: off
    seed: int = 0                    # of prompts and responses; ours

    def __post_init__(self) -> None:
        """ValueError where a minibatch would be short, or beta might turn negative."""
        if self.minibatch_size < 1 or self.batch_size % self.minibatch_size:
            raise ValueError(f"minibatch_size is {self.minibatch_size}, which does not "
                             f"divide batch_size, {self.batch_size}: take another")
        if self.kl_target and self.batch_size >= 5 * self.kl_horizon:
            raise ValueError(f"kl_horizon is {self.kl_horizon}: take more than a fifth "
                             f"of batch_size, {self.batch_size}: beta would be < 0")
        if self.kl_target < 0:
            raise ValueError(f"kl_target is {self.kl_target}: take 0 or more")

    @property
    def iterations(self) -> int:
        """Rounds of sampling; 500 with the paper's numbers."""
        return self.episodes // self.batch_size

    @property
    def minibatches(self) -> int:
        """Optimizer steps an iteration; 8 with the paper's numbers."""
        return self.inner_epochs * (self.batch_size // self.minibatch_size)


@dataclass(frozen=True)
class Evaluate:
    """How the finished models are judged."""

    prompts: int = 3_196             # held-out prompts (Table 9)
    shots: int = 3                   # examples in the few-shot prompt; paper silent
    text_rows: int = 256             # of fresh text, for the loss on it; ours
    text_length: int = 1024          # tokens of such a row, or the context
    seed: int = 0                    # of the answers; ours


@dataclass(frozen=True)
class Hardware:
    """Where stages compute, and how. Numbers stay the same, up to rounding; ours."""

    device: str = "auto"             # cuda where there is one, else cpu
    precision: str = "auto"          # bf16 or fp16 on a GPU; fp32, bf16, fp16
    micro_batch: int = 0             # most rows read at once in an update; 0: all
    checkpointing: bool = False      # of activations: half the memory, a third slower


@dataclass(frozen=True)
class Reviews:
    """People's ratings of short texts (data/ratings.py): write what they like."""

    ratings: str = "ratings"         # fetched, or the archive
    text: str = "shakespeare"        # pretraining text: fetched, or a file
    lead: str = "Comment:"           # before every text
    words: int = 4                   # of a text, that make a prompt
    passes: int = 1                  # times that each text is in a ranking
    heldout: float = 0.1             # share of texts that nothing is learned from
    judge: float = 0.35              # share of texts ranked for the second reward model
    ranked: float = 0.35             # share of texts ranked; the rest are prompts


@dataclass(frozen=True)
class Files:
    """People's records (data/instructions.py): files, folders, or NAME@COMMIT (Hub)."""

    demonstrations: str = ""         # prompt, completion
    rankings: str = ""               # prompt, completions, ranks; or chosen, rejected
    text: str = ""                   # pretraining text: a file, or a column `text`
    tokens: int = 1024               # longest prompt with a response; longer: left out
    cut_prompts: bool = False        # or without its beginning, as much as fits
    drop_bad: bool = False           # leave out rows that are no record
    heldout: float = 0.1             # share of prompts that nothing is learned from
    judge: float = 0.5               # share of rankings for the second reward model


@dataclass(frozen=True)
class Run:
    """The whole, stage by stage. What stands beside the stages is ours."""

    preset: str                      # whose numbers it has (presets.py)
    architecture: Architecture = field(default_factory=Architecture)
    pretrain: Pretrain = field(default_factory=Pretrain)
    sft: SFT = field(default_factory=SFT)
    rl_init: RLInit = field(default_factory=RLInit)
    collect: Collect = field(default_factory=Collect)
    reward: Reward = field(default_factory=Reward)
    best_of_n: BestOfN = field(default_factory=BestOfN)
    ppo: PPO = field(default_factory=PPO)
    evaluate: Evaluate = field(default_factory=Evaluate)
    hardware: Hardware = field(default_factory=Hardware)
    data: Reviews | Files | None = None    # people's; None: the tiny world's
    world: int = 0                   # which tiny world: facts, people, prompts
    base_model: str = ""             # fetched, folder, NAME@COMMIT (Hub); "": our own
    template: str = "{prompt}\n"     # a prompt as the model reads it
    fixed_length: bool = False       # responses of max_new_tokens, none ends sooner
    without_ptx: bool = True         # PPO without pretraining gradients, to compare
    seed: int = 0                    # added to that of each stage after the base
    threads: int = 1                 # of torch: bits are equal for an equal number
    checkpoint_every: float = 10.0   # seconds; an interruption loses at most so much
