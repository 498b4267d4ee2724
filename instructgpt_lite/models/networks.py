"""Policy (any causal language model) and ScalarModel (the reward model and the value).

Both hold a Hugging Face model (`.model`) and its tokenizer, and save folders that
transformers opens as they are. Dropout is off wherever a log-prob, a sample, a score or
a value is computed.

Shapes: B sequences, S tokens of whole rows, T response tokens, K responses, V
vocabulary, D width, M places that count, over all rows.
"""

import copy
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from types import ModuleType
from typing import Any, Self

import torch
from torch import Tensor, nn

from instructgpt_lite.config import READ, Architecture
from instructgpt_lite.models import forward, loading, ranks, sampling, self_test
from instructgpt_lite.models.hardware import LossScale
from instructgpt_lite.models.new_gpt2 import new_gpt2
from instructgpt_lite.models.rollout import Rollout
from instructgpt_lite.theory.objective import tempered, token_logp

try:                                 # the one place that knows of it
    import instructgpt_lite.models.fast as fast
except ModuleNotFoundError:
    fast = None


class Network(nn.Module):
    """A Hugging Face model and its tokenizer: what Policy and ScalarModel share."""

    fast: int                        # tokens: the longest row that `fast` reads right
    autocast: torch.dtype | None = None      # of large products; `placed` sets
    micro_batch = 0                  # rows read at once; 0: all
    checkpointing = False            # of activations
    loss_scale: LossScale | None = None      # of fp16

    def __init__(self, model: nn.Module, tokenizer: Any) -> None:
        super().__init__()
        self.model, self.tokenizer = model.eval(), tokenizer
        self.eos, self.pad = loading.special_ids(tokenizer)

    @property
    def context(self) -> int:
        """The longest row in tokens."""
        return forward.context(self.model)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.model.device

    def frozen(self) -> Self:
        """A copy that no gradient reaches: what KL is measured from."""
        return copy.deepcopy(self).requires_grad_(False)

    def placed_as(self, other: "Network") -> Self:
        """Told to read as another network does, beside it."""
        for name in ("autocast", "micro_batch", "checkpointing", "loss_scale"):
            setattr(self, name, copy.deepcopy(getattr(other, name)))
        if self.checkpointing:
            forward.checkpoint_blocks(self.model)
        return self

    def encode(self, prompts: list[str]) -> list[list[int]]:
        """Token ids of each prompt in `template`, after which the response begins.

        A tokenizer that begins texts with BOS shows that its model was trained so.
        """
        bos, read = self.tokenizer.bos_token_id, self.tokenizer
        begin = [bos] if bos is not None and read("")["input_ids"][:1] == [bos] else []
        asked = [self.template.replace("{prompt}", prompt) for prompt in prompts]
        texts = read(asked, add_special_tokens=False)
        return [begin + ids for ids in texts["input_ids"]]

    @property
    def template(self) -> str:
        """How a prompt is read: "{prompt}" with what stands before and after it."""
        return getattr(self.model.config, "prompt_template", "{prompt}\n")

    def reading(self) -> AbstractContextManager:
        """Within, the model reads in its precision."""
        if self.autocast is None:
            return nullcontext()
        return torch.autocast(self.device.type, self.autocast)

    def _out(self, output: Tensor) -> Tensor:
        """What leaves the network: float32 at least, its gradient scaled for fp16."""
        output = output.to(torch.promote_types(output.dtype, torch.float32))
        return self.loss_scale.apply(output) if self.loss_scale else output

    def _in_pieces(self, read: Callable[[Rollout], Tensor], rollout: Rollout) -> Tensor:
        """What `read` gives; without a gradient by micro-batches and by processes.

        At most so many rows that logits, and what a block makes, are READ numbers.
        """
        if torch.is_grad_enabled():
            return read(rollout)
        every = torch.arange(len(rollout))
        rows = ranks.mine(every)
        some = rows if len(rows) else every[:1]
        words = self.model.get_input_embeddings()
        most = max(rollout.mask_BT.size(1) * words.num_embeddings,
                   rollout.token_BS.size(1) * 4 * words.embedding_dim)
        pieces = some.split(max(1, min(self.micro_batch or READ, READ // most)))
        read_R = torch.cat([read(rollout[each]) for each in pieces])[:len(rows)]
        return ranks.together(read_R, rows, len(every))

    def _road(self) -> ModuleType:
        """What reads rows: `fast` for a GPT-2 that nobody has changed, or `forward`."""
        return fast if self.fast and fast.is_plain(self.model) else forward

    def save(self, folder: str | Path, weights: dict | None = None) -> None:
        """A folder for transformers' Auto classes; weights: others than its own."""
        with loading.quiet():
            self.model.save_pretrained(folder, state_dict=weights)
        self.tokenizer.save_pretrained(folder)


class Policy(Network):
    """pi(y|x): a Hugging Face causal language model, `.model`, and its `.tokenizer`."""

    def __init__(self, model: nn.Module, tokenizer: Any) -> None:
        super().__init__(model, tokenizer)
        self.speak(self.template, getattr(model.config, "fixed_length", False))
        self.fast = self_test.policy_road(model, fast)

    @classmethod
    def new(cls, architecture: Architecture, tokenizer: Any, seed: int) -> "Policy":
        """A GPT-2 of that size and the tokenizer's vocabulary, its weights random."""
        eos, pad = loading.special_ids(tokenizer)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return cls(new_gpt2(architecture, len(tokenizer), eos, pad), tokenizer)

    @classmethod
    def load(cls, folder: str | Path) -> "Policy":
        """From a folder with safetensors weights, or a name on the Hugging Face Hub."""
        model = loading.open_language_model(folder)
        tokenizer = loading.open_tokenizer(folder)
        loading.give_pad(model, tokenizer)
        return cls(model, tokenizer)

    def speak(self, template: str, fixed_length: bool) -> None:
        """How it is asked, and whether an end ends its responses; saved with it.

        fixed_length: every response has max_new_tokens (Ziegler et al., 2019).
        ValueError where the template has no place for the prompt.
        """
        if type(template) is not str or template.count("{prompt}") != 1:
            raise ValueError(f"template is {template!r}: write {{prompt}} where the "
                             "prompt goes, once")
        config = self.model.config
        config.prompt_template, config.fixed_length = template, fixed_length
        self.ends = () if fixed_length else loading.end_ids(self.model, self.tokenizer)

    def texts(self, rollout: Rollout) -> list[str]:
        """The responses as text, special tokens left out."""
        responses = zip(rollout.response_BT, rollout.mask_BT)
        tokens = [row[mask].tolist() for row, mask in responses]
        texts = self.tokenizer.batch_decode(tokens, skip_special_tokens=True)
        return [text.replace("\0", "\ufffd") for text in texts]    # as other bytes

    def logits(self, token_BS: Tensor) -> Tensor:
        """Next-token logits (B, S, V) of whole rows; right padding needs no mask."""
        token_BS = token_BS.to(self.device)
        keep_M = torch.arange(token_BS.numel(), device=self.device)
        real_BS = torch.ones_like(token_BS, dtype=torch.bool)
        return self._read(token_BS, real_BS, keep_M).view(*token_BS.shape, -1)

    def logp(self, rollout: Rollout, temperature: float = 1.0, dropout: float = 0.0,
             generator: torch.Generator | None = None) -> Tensor:
        """logp_BT: log pi of each response token, 0 where the mask is False.

        dropout: residual dropout of supervised training, by `generator`; GPT-2 only.
        """
        drop = forward.dropout(dropout, generator, self.device)

        def read(rollout: Rollout) -> Tensor:
            logits_MV = self._read(rollout.token_BS, rollout.real_BS, rollout.before_M,
                                   drop)
            token_M = rollout.token_BS.flatten()[rollout.before_M + 1]
            logp_M = token_logp(logits_MV[None], token_M[None], temperature)[0]
            return _spread(logp_M, rollout.mask_BT)

        return self._in_pieces(read, rollout.to(self.device))

    @torch.no_grad()
    def next_token_logp(self, rollout: Rollout) -> Tensor:
        """logp_BTV: log pi of every token at each response place; `logp` has one each.

        With two such tables KL is exact at every prefix that was visited: a sum over V
        tokens instead of one sampled ratio. B x T x V floats: to read, not to train.
        """
        rollout = rollout.to(self.device)
        logits_MV = self._read(rollout.token_BS, rollout.real_BS, rollout.before_M)
        logp_MV = tempered(logits_MV, 1.0).log_softmax(dim=-1)
        return _spread(logp_MV, rollout.mask_BT)

    def _read(self, *rows: Tensor | forward.Dropout | None) -> Tensor:
        """Logits (M, V) of rows, as `forward.logits` has them."""
        with self.reading():
            return self._out(self._road().logits(self.model, *rows))

    def sample(self, prompts: list[str] | list[list[int]], **options) -> Rollout:
        """Draw responses; options are those of `sampling.sample`."""
        if prompts and isinstance(prompts[0], str):
            prompts = self.encode(prompts)
        longest = max(map(len, prompts), default=0) + options["max_new_tokens"]
        decode = fast.decode if longest <= self.fast else sampling.decode
        ours = {"eos": self.ends, "pad": self.pad, "decode": decode}
        with self.reading():
            return sampling.sample(self.model, prompts, **ours | options)


class ScalarModel(Network):
    """r(x, y) or V(x, y_<t): a trunk under one linear output, no unembedding (§3.5).

    `.model` is what `loading.scored` says; `.bias` is added to its output.
    """

    def __init__(self, model: nn.Module, tokenizer: Any, bias: float = 0.0) -> None:
        super().__init__(model, tokenizer)
        self.fast = self_test.scalar_road(model, fast)
        self.register_buffer("bias", torch.tensor(bias))

    @classmethod
    def on(cls, source: "Policy | ScalarModel", seed: int = 0) -> "ScalarModel":
        """Starts as the trunk of a policy under a new head, or as a copy of another.

        A new head is N(0, 1 / (D + 1)), so that scores start near unit size
        (lm-human-preferences). ValueError for what has no trunk.
        """
        if isinstance(source, ScalarModel):
            return copy.deepcopy(source).requires_grad_(True)
        if not isinstance(source, Policy):
            raise ValueError(f"a {type(source).__name__} has no trunk to start from: "
                             "hand in value=ScalarModel.on(policy), or a ScalarModel "
                             "as reward")
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model = loading.scored(source.model, source.pad)
            std = (model.score.in_features + 1) ** -0.5
            nn.init.normal_(model.score.weight, std=std)
        return cls(model, source.tokenizer).placed_as(source)

    @classmethod
    def load(cls, folder: str | Path) -> "ScalarModel":
        """From a folder that `save` wrote. ValueError without a head for one score."""
        model, tokenizer = loading.open_scored(folder), loading.open_tokenizer(folder)
        return cls(model, tokenizer, getattr(model.config, "score_bias", 0.0))

    def save(self, folder: str | Path) -> None:
        """A folder for AutoModelForSequenceClassification, which gives equal scores.

        Where the trunk's final norm has no bias to fold ours into (not GPT-2), ours
        stands in config.json as `score_bias`, and transformers' scores lack it.
        """
        weights, self.model.config.score_bias = loading.folded(self.model, self.bias)
        super().save(folder, weights)

    def forward(self, rollout: Rollout) -> Tensor:
        """r_B: read at each row's last counted token.

        Of responses that nothing ends (`Policy.speak`), at an EOS put after each.
        """
        rollout = rollout.to(self.device)
        if rollout.eos == ():
            rollout = rollout.with_end(self.eos)
        return self._in_pieces(lambda part: self._at(part, part.last_B), rollout)

    def values(self, rollout: Rollout) -> Tensor:
        """value_BT: read before each response token is drawn; 0 where mask is False."""
        def read(part: Rollout) -> Tensor:
            return _spread(self._at(part, part.before_M), part.mask_BT)

        return self._in_pieces(read, rollout.to(self.device))

    def scores(self, prompts: list[list[int]],
               responses: list[list[list[int]]]) -> tuple[Tensor, Tensor]:
        """r_BK and mask_BK of B prompts with up to K responses each; r is 0 elsewhere.

        ValueError where a prompt or a response has no token, or a prompt no response.
        """
        for index, (prompt, group) in enumerate(zip(prompts, responses, strict=True)):
            if not len(prompt) or not group or not all(map(len, group)):
                raise ValueError(
                    f"prompt {index} has {len(prompt)} tokens, its responses "
                    f"{[*map(len, group)]}: each needs one at least "
                    "(a response ends with EOS)")
        pairs = [*zip(prompts, responses)]
        if max(len(x) + sum(map(len, group)) for x, group in pairs) <= self.fast:
            with self.reading():
                state_MD = fast.prefix_states(self.model, prompts, responses)
            r_M = self._read(state_MD)
        else:
            each = [(x, y) for x, group in pairs for y in group]
            r_M = self(Rollout.of(*zip(*each), self.pad, self.eos))
        count_B = torch.tensor([len(group) for group in responses], device=r_M.device)
        mask_BK = torch.arange(int(count_B.max()), device=r_M.device) < count_B[:, None]
        return _spread(r_M, mask_BK), mask_BK

    def _at(self, rollout: Rollout, keep_M: Tensor) -> Tensor:
        """The scalar (M,) at flat places keep_M."""
        with self.reading():
            state_MD = self._road().states(self.model, rollout.token_BS,
                                           rollout.real_BS, keep_M)
        return self._read(state_MD)

    def _read(self, state_MD: Tensor) -> Tensor:
        """The scalar (M,) of final states."""
        state_MD = state_MD.to(self.model.score.weight.dtype)
        return self._out(self.model.score(state_MD)[:, 0] + self.bias)


def _spread(x_M: Tensor, mask_BT: Tensor) -> Tensor:
    """x, and its further dimensions, at the places that count; 0 at the others."""
    x_BT = x_M.new_zeros(*mask_BT.shape, *x_M.shape[1:])
    return x_BT.index_put(mask_BT.nonzero(as_tuple=True), x_M)
