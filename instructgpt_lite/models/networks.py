"""Policy (any causal language model) and ScalarModel (the reward model, and the value function).

Both hold a Hugging Face model (`.model`) and its tokenizer, and save folders that transformers opens as
they are. Dropout is off wherever a log-prob, a sample, a score or a value is computed.

Shapes: B sequences, S tokens of whole rows, T response tokens, K responses, V vocabulary, D width,
M places that count, over all rows.
"""

import copy
from pathlib import Path

import torch
from torch import Tensor, nn

from instructgpt_lite.config import Architecture
from instructgpt_lite.models import sampling, trunk
from instructgpt_lite.models.folders import folded, give_pad, quiet, refuse_pickle, special_ids
from instructgpt_lite.models.gpt2 import new_gpt2
from instructgpt_lite.models.prefix import shared_prefix_scores
from instructgpt_lite.models.sampling import Rollout
from instructgpt_lite.theory.objective import token_logp


class Policy(nn.Module):
    """pi(y|x): a Hugging Face causal language model, `.model`, and its `.tokenizer`."""

    def __init__(self, model: nn.Module, tokenizer) -> None:
        super().__init__()
        self.model, self.tokenizer = model.eval(), tokenizer
        self.eos, self.pad = special_ids(tokenizer)

    @classmethod
    def new(cls, architecture: Architecture, tokenizer, seed: int) -> "Policy":
        """A GPT-2 of that size with random weights, no dropout and the vocabulary of the tokenizer."""
        eos, pad = special_ids(tokenizer)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return cls(new_gpt2(architecture, len(tokenizer), eos, pad), tokenizer)

    @classmethod
    def load(cls, folder: str | Path) -> "Policy":
        """From a folder with safetensors weights, or a name on the Hugging Face Hub."""
        from transformers import AutoModelForCausalLM, AutoTokenizer
        refuse_pickle(folder)
        with quiet():
            model = AutoModelForCausalLM.from_pretrained(folder, use_safetensors=True, dtype=torch.float32)
            tokenizer = AutoTokenizer.from_pretrained(folder)
        give_pad(model, tokenizer)
        return cls(model, tokenizer)

    def save(self, folder: str | Path) -> None:
        """A folder for AutoModelForCausalLM and AutoTokenizer."""
        with quiet():
            self.model.save_pretrained(folder)
        self.tokenizer.save_pretrained(folder)

    @property
    def context(self) -> int:
        """The longest row in tokens."""
        return self.model.config.max_position_embeddings

    def frozen(self) -> "Policy":
        """A copy that no gradient reaches: what KL is measured from."""
        return copy.deepcopy(self).requires_grad_(False)

    def encode(self, prompts: list[str]) -> list[list[int]]:
        """Token ids of each prompt and the line break after which the response begins."""
        return self.tokenizer([prompt + "\n" for prompt in prompts], add_special_tokens=False)["input_ids"]

    def texts(self, rollout: Rollout) -> list[str]:
        """The responses as text, special tokens left out."""
        tokens = [row[mask].tolist() for row, mask in zip(rollout.response_BT, rollout.mask_BT)]
        return self.tokenizer.batch_decode(tokens, skip_special_tokens=True)

    def logits(self, token_BS: Tensor, dropout: float = 0.0,
               generator: torch.Generator | None = None) -> Tensor:
        """Next-token logits (B, S, V) of whole rows; right padding needs no mask."""
        keep_M = torch.arange(token_BS.numel(), device=token_BS.device)
        rows = trunk.Rows(token_BS, torch.ones_like(token_BS, dtype=torch.bool))
        logits_MV = trunk.logits(self.model, rows, keep_M, trunk.dropout(dropout, generator))
        return logits_MV.view(*token_BS.shape, -1)

    def logp(self, rollout: Rollout, temperature: float = 1.0, dropout: float = 0.0,
             generator: torch.Generator | None = None) -> Tensor:
        """logp_BT: log pi of each response token, 0 where the mask is False.

        dropout: residual dropout for supervised training, drawn from `generator`; GPT-2 only.
        """
        rollout = rollout.to(self.model.device)
        row_M, column_M, before_M = _before(rollout)
        logits_MV = trunk.logits(self.model, rollout.rows, before_M, trunk.dropout(dropout, generator))
        token_M = rollout.token_BS.flatten()[before_M + 1]
        logp_M = token_logp(logits_MV[None], token_M[None], temperature)[0]
        return logp_M.new_zeros(rollout.mask_BT.shape).index_put((row_M, column_M), logp_M)

    def sample(self, prompts: list[str] | list[list[int]], **options) -> Rollout:
        """Draw responses; options are those of `sampling.sample`."""
        if prompts and isinstance(prompts[0], str):
            prompts = self.encode(prompts)
        return sampling.sample(self.model, prompts, **{"eos": self.eos, "pad": self.pad} | options)


class ScalarModel(nn.Module):
    """r(x, y) or V(x, y_<t): a trunk with one linear output in place of the unembedding (§3.5).

    `.model` is an AutoModelForSequenceClassification with one label; `.bias` is added to its output.
    """

    def __init__(self, model: nn.Module, tokenizer, bias: float = 0.0) -> None:
        super().__init__()
        self.model, self.tokenizer = model.eval(), tokenizer
        self.eos, self.pad = special_ids(tokenizer)
        self.register_buffer("bias", torch.tensor(bias))

    @classmethod
    def on(cls, source: "Policy | ScalarModel", seed: int = 0) -> "ScalarModel":
        """Starts as the trunk of a policy under a new head, or as a copy of another scalar model.

        A new head is N(0, 1 / (D + 1)), so that scores start near unit size (lm-human-preferences).
        """
        if isinstance(source, ScalarModel):
            return copy.deepcopy(source).requires_grad_(True)
        from transformers import AutoModelForSequenceClassification
        config = copy.deepcopy(source.model.config)
        config.num_labels, config.pad_token_id = 1, source.pad
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model = AutoModelForSequenceClassification.from_config(config)
            nn.init.normal_(model.score.weight, std=(model.score.in_features + 1) ** -0.5)
        model.to(device=source.model.device, dtype=source.model.dtype)
        model.base_model.load_state_dict(source.model.base_model.state_dict())
        return cls(model, source.tokenizer)

    @classmethod
    def load(cls, folder: str | Path) -> "ScalarModel":
        """From a folder that `save` wrote. ValueError where there is no trained head for one score."""
        from transformers import AutoModelForSequenceClassification, AutoTokenizer
        refuse_pickle(folder)
        with quiet():
            model, info = AutoModelForSequenceClassification.from_pretrained(
                folder, use_safetensors=True, dtype=torch.float32, output_loading_info=True)
            tokenizer = AutoTokenizer.from_pretrained(folder)
        if info["missing_keys"] or model.config.num_labels != 1:
            raise ValueError(f"{folder}: no trained head for one score ({model.config.num_labels} labels, "
                             f"missing {sorted(info['missing_keys'])}); start one by ScalarModel.on(policy)")
        return cls(model, tokenizer, getattr(model.config, "score_bias", 0.0))

    def save(self, folder: str | Path) -> None:
        """A folder for AutoModelForSequenceClassification, which gives equal scores.

        Where the trunk's final norm has no bias to fold ours into (not GPT-2), ours stands in config.json
        as `score_bias`, and the scores of transformers are lower by that constant.
        """
        weights, self.model.config.score_bias = folded(self.model, self.bias)
        with quiet():
            self.model.save_pretrained(folder, state_dict=weights)
        self.tokenizer.save_pretrained(folder)

    def frozen(self) -> "ScalarModel":
        """A copy that no gradient reaches."""
        return copy.deepcopy(self).requires_grad_(False)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.model.device

    def at(self, rows: trunk.Rows, keep_M: Tensor) -> Tensor:
        """The scalar (M,) at flat positions keep_M."""
        return self.model.score(trunk.states(self.model, rows, keep_M))[:, 0] + self.bias

    def forward(self, rollout: Rollout) -> Tensor:
        """r_B: read at each row's last counted token."""
        rollout = rollout.to(self.device)
        start_B = torch.arange(len(rollout), device=rollout.token_BS.device) * rollout.token_BS.size(1)
        return self.at(rollout.rows, start_B + rollout.length_B - 1)

    def values(self, rollout: Rollout) -> Tensor:
        """value_BT: read before each response token is drawn; 0 where the mask is False."""
        rollout = rollout.to(self.model.device)
        row_M, column_M, before_M = _before(rollout)
        value_M = self.at(rollout.rows, before_M)
        return value_M.new_zeros(rollout.mask_BT.shape).index_put((row_M, column_M), value_M)

    def scores(self, prompts: list[list[int]], responses: list[list[list[int]]]) -> tuple[Tensor, Tensor]:
        """r_BK and mask_BK of each prompt's responses (B lists of up to K), every prompt read once."""
        return shared_prefix_scores(self, prompts, responses)


def _before(rollout: Rollout) -> tuple[Tensor, Tensor, Tensor]:
    """Row, column in T, and the flat position in (B, S) before, of every counted response token."""
    row_M, column_M = rollout.mask_BT.nonzero(as_tuple=True)
    before_M = row_M * rollout.token_BS.size(1) + rollout.prompt_B[row_M] + column_M - 1
    return row_M, column_M, before_M
