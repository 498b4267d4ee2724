"""Micro models with random weights, one for each family of causal decoders that transformers has.

Windows are 8 tokens, shorter than the rows of the tests. Each entry: the configuration's model_type
and what it needs beyond SIZES; the name tells variants apart.
"""

import copy
from functools import cache

import torch

from tests.models.conftest import EOS, PAD, WORDS

SIZES = dict(
    vocab_size=WORDS, hidden_size=32, d_model=32, n_embd=32, word_embed_proj_dim=32, embedding_size=32,
    intermediate_size=48, ffn_dim=48, n_inner=48, decoder_ffn_dim=48, d_inner=48, dff=48,
    num_hidden_layers=2, n_layer=2, n_layers=2, num_layers=2, decoder_layers=2, encoder_layers=2,
    num_attention_heads=4, n_head=4, n_heads=4, num_heads=4, attention_heads=4, head_dim=8, d_head=8,
    decoder_attention_heads=4, encoder_attention_heads=4, num_key_value_heads=2,
    max_position_embeddings=64, n_positions=64, max_seq_len=64, n_ctx=64,
    num_experts=4, num_local_experts=4, n_routed_experts=4, num_experts_per_tok=2,
    moe_intermediate_size=16, shared_expert_intermediate_size=16,
    bos_token_id=EOS, eos_token_id=EOS, pad_token_id=PAD)
MIXED = dict(sliding_window=8, layer_types=["sliding_attention", "full_attention"])
LATENT = dict(q_lora_rank=16, kv_lora_rank=8, qk_rope_head_dim=4, qk_nope_head_dim=4, v_head_dim=8,
              num_key_value_heads=4, head_dim=4)
MAMBA = dict(mamba_d_state=8, mamba_n_heads=8, mamba_d_head=8, mamba_n_groups=1)
LINEAR = dict(layer_types=["linear_attention", "full_attention"], linear_num_key_heads=2,
              linear_num_value_heads=4, linear_key_head_dim=8, linear_value_head_dim=8)
ROPE = dict(rope_theta=10_000.0)
LONG = dict(rope_type="longrope", short_factor=[1.0] * 4, long_factor=[4.0] * 4,
            original_max_position_embeddings=40, **ROPE)

FAST = {                             # the cache and the shared prefix of models/fast.py are right
    "gpt2": {}, "gpt2 scaled by layer": dict(scale_attn_by_inverse_layer_idx=True),
    "gpt2 with relu": dict(activation_function="relu"),
    "llama": {}, "llama with dynamic rope": dict(rope_parameters=dict(rope_type="dynamic", factor=2.0, **ROPE)),
    "llama with yarn": dict(rope_parameters=dict(rope_type="yarn", factor=4.0, original_max_position_embeddings=16,
                                                 **ROPE)),
    "mistral without window": dict(sliding_window=None), "mixtral": {}, "qwen2": {}, "qwen3": {}, "qwen3_moe": {},
    "gemma": {}, "phi": {}, "phi3 with longrope": dict(rope_parameters=LONG, original_max_position_embeddings=40),
    "gpt_neox": {}, "gptj": dict(rotary_dim=4), "codegen": dict(rotary_dim=4), "gpt_bigcode": {}, "falcon": {},
    "opt": {}, "xglm": {}, "biogpt": {}, "olmo": {}, "olmo2": {}, "olmoe": {}, "smollm3": {}, "glm": {}, "glm4": {},
    "nemotron": {}, "persimmon": {}, "stablelm": {}, "starcoder2": {}, "cohere": {}, "granite": {},
    "granitemoe": {}, "ctrl": {}, "helium": {}, "diffllama": {}, "jetmoe": {}, "apertus": {}, "arcee": {},
    "ernie4_5": {}, "seed_oss": {}, "nanochat": {}, "bert as a decoder": dict(is_decoder=True)}
PLAIN = {                            # no mask, cache or position of ours can be right; transformers' own are
    "mistral": dict(sliding_window=8), "mixtral with window": dict(sliding_window=8),
    "qwen2 with window": dict(use_sliding_window=True, sliding_window=8, max_window_layers=1),
    "gemma2": dict(sliding_window=8), "gemma3_text": MIXED, "phi3 with window": dict(sliding_window=8),
    "starcoder2 with window": dict(sliding_window=8), "ministral": dict(sliding_window=8), "cohere2": MIXED,
    "olmo3": MIXED, "exaone4": MIXED, "gpt_oss": dict(sliding_window=8),
    "gpt_neo": dict(attention_types=[[["global", "local"], 1]], window_size=8),
    "llama4_text": dict(attention_chunk_size=8, layer_types=["chunked_attention", "full_attention"]),
    "modernbert-decoder": dict(local_attention=8),
    "bloom": {}, "falcon with alibi": dict(alibi=True), "bart": {}, "mbart": {}, "openai-gpt": {},
    "mamba": {}, "falcon_mamba": {}, "mamba2": dict(num_heads=8, head_dim=8, state_size=8, n_groups=1, chunk_size=8),
    "rwkv without cache": dict(use_cache=False),
    "recurrent_gemma": dict(attention_window_size=8, block_types=["recurrent", "attention"]),
    "jamba": dict(attn_layer_offset=1, attn_layer_period=2, expert_layer_offset=1, mamba_d_state=8),
    "bamba": dict(mamba_expand=2, attn_layer_indices=[1], **MAMBA),
    "granitemoehybrid": dict(layer_types=["mamba", "attention"], **MAMBA),
    "falcon_h1": dict(MAMBA, mamba_d_ssm=32, mamba_n_heads=4),
    "zamba2 without cache": dict(
        use_cache=False, num_hidden_layers=3, layers_block_type=["mamba", "hybrid", "mamba"],
        attention_head_dim=16, mamba_d_state=8, mamba_headdim=8, n_mamba_heads=8, mamba_ngroups=1, chunk_size=8,
        num_mem_blocks=1, hybrid_layer_ids=[1]),
    "qwen3_next": LINEAR, "olmo_hybrid": LINEAR, "minimax": dict(layer_types=["linear_attention", "full_attention"]),
    "lfm2": dict(layer_types=["conv", "full_attention"])}
MIXTURE = {                          # fast where the prefix is shared, plain where a cache is asked for, or inversely
    "mpt": {}, "deepseek_v3": dict(LATENT, n_group=1, topk_group=1, first_k_dense_replace=1),
    "deepseek_v2": dict(LATENT, n_group=1, topk_group=1, first_k_dense_replace=1), "minicpm3": LATENT}
REFUSED = {                          # no road is right; what the sentence says
    "t5": ({}, "encoder-decoder"), "bert": ({}, "see those after it"), "roberta": ({}, "see those after it"),
    "electra": ({}, "see those after it"), "xlnet": ({}, "see those after it"), "xlm": ({}, "see those after it"),
    "big_bird": ({}, "see those after it"), "rwkv": ({}, "config.use_cache = False"),
    "zamba2": (PLAIN["zamba2 without cache"] | dict(use_cache=True), "config.use_cache = False"),
    "reformer": (dict(is_decoder=True, axial_pos_embds=False, attn_layers=["local", "lsh"], num_buckets=2,
                      local_attn_chunk_length=4, lsh_attn_chunk_length=4), "reads the same again")}
SETTINGS = FAST | PLAIN | MIXTURE | {name: settings for name, (settings, _) in REFUSED.items()}


@cache
def model(name: str):
    """The micro model of a family, weights N(0, 0.3), large enough that no symmetry hides a slip."""
    from transformers import CONFIG_MAPPING, AutoModelForCausalLM, AutoModelForSeq2SeqLM
    kind = CONFIG_MAPPING[name.split()[0]]
    known = set(kind.__dataclass_fields__) | set(kind.attribute_map)
    config = kind(**{key: size for key, size in SIZES.items() if key in known} | SETTINGS[name])
    auto = AutoModelForSeq2SeqLM if config.is_encoder_decoder and name == "t5" else AutoModelForCausalLM
    made, random = auto.from_config(config).eval(), torch.Generator().manual_seed(1)
    with torch.no_grad():
        for weight in made.parameters():
            if weight.ndim > 1:
                weight.copy_(0.3 * torch.randn(weight.shape, generator=random))
    return made


def mistral(**settings):
    """A copy of the micro Mistral, as if its configuration said something else."""
    changed = copy.deepcopy(model("mistral"))
    for name, value in settings.items():
        setattr(changed.config, name, value)
    return changed
