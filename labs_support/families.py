"""Reads the shape of a model from its configuration in `transformers`.

One reader per family says where it differs from the common part: positions, biases,
norms, gates, shared heads, experts.
"""

from labs_support.model_shape import Shape, whole


def as_config(config):
    """Return a configuration of `transformers`, made from a dict where it is one.

    Raises:
        ValueError: for anything else, or a dict without a known "model_type".
    """
    from transformers import AutoConfig, PretrainedConfig

    if isinstance(config, PretrainedConfig):
        return config
    if not isinstance(config, dict) or "model_type" not in config:
        raise ValueError(
            "A model is described by a configuration of transformers, or by a dict such "
            f"as {{'model_type': 'gpt2', 'n_layer': 12}}, not by {config!r:.60}."
        )
    return AutoConfig.for_model(**config)


def shape(model) -> Shape:
    """Return the shape of a configuration of `transformers`.

    Args:
        model: a configuration, a dict that makes one, or a `Shape`, returned as it is.

    Raises:
        ValueError: for a family without a reader; the message names those with one.
    """
    if isinstance(model, Shape):
        return model
    config = as_config(model)
    if config.model_type not in READERS:
        raise ValueError(
            f"There is no formula for {config.model_type!r}, only for "
            f"{', '.join(sorted(READERS))}; parameters.built counts any model."
        )
    width, n_heads = config.hidden_size, config.num_attention_heads
    whole(hidden_size=width, num_attention_heads=n_heads)
    size = getattr(config, "head_dim", None)
    if not size and width % n_heads:
        raise ValueError(f"A width of {width} does not divide into {n_heads} heads.")
    common = {
        "n_layers": config.num_hidden_layers,
        "width": width,
        "vocabulary": config.vocab_size,
        "n_heads": n_heads,
        "n_kv_heads": getattr(config, "num_key_value_heads", None) or n_heads,
        "head_size": size or width // n_heads,
        "is_tied": config.tie_word_embeddings,
    }
    return Shape(**common | READERS[config.model_type](config))


# --- one reader per family: where it differs from the common part

BIASES = {"qkv_bias": True, "out_bias": True, "mlp_bias": True, "norm": 2}


def _gpt2(c) -> dict:
    return BIASES | {"hidden": c.n_inner or 4 * c.n_embd, "rows": c.n_positions}


def _gptj(c) -> dict:
    own = {"qkv_bias": False, "out_bias": False, "n_norms": 1, "other": c.vocab_size}
    return BIASES | own | {"hidden": c.n_inner or 4 * c.n_embd}


def _gpt_neo(c) -> dict:
    hidden = c.intermediate_size or 4 * c.hidden_size
    own = {"hidden": hidden, "rows": c.max_position_embeddings}
    return BIASES | own | {"qkv_bias": False}


def _gpt_neox(c) -> dict:
    has = {"qkv_bias": c.attention_bias, "out_bias": c.attention_bias}
    return BIASES | has | {"hidden": c.intermediate_size}


def _opt(c) -> dict:
    small = c.word_embed_proj_dim or c.hidden_size
    table = c.vocab_size * (small - c.hidden_size)  # a narrower table of tokens
    into = 2 * small * c.hidden_size if small != c.hidden_size else 0
    ends = c.do_layer_norm_before and not c._remove_final_layer_norm
    has = {"qkv_bias": c.enable_bias, "out_bias": c.enable_bias}
    own = {"hidden": c.ffn_dim, "rows": c.max_position_embeddings + 2}
    own |= {"n_outer_norms": int(ends), "other": table + into}
    return BIASES | has | own | {"mlp_bias": c.enable_bias}


def _bloom(c) -> dict:
    return BIASES | {"hidden": 4 * c.hidden_size, "n_outer_norms": 2}


def _ctrl(c) -> dict:
    return BIASES | {"hidden": c.dff, "other": c.vocab_size}


def _bert(c) -> dict:
    rows = c.max_position_embeddings + c.type_vocab_size
    pooler = c.hidden_size * (c.hidden_size + 1)
    return BIASES | {"hidden": c.intermediate_size, "rows": rows, "other": pooler}


def _distilbert(c) -> dict:
    return BIASES | {"hidden": c.hidden_dim, "rows": c.max_position_embeddings}


def _t5(c) -> dict:
    decoder = c.num_layers if c.num_decoder_layers is None else c.num_decoder_layers
    table = 2 * c.relative_attention_num_buckets * c.num_heads
    own = {"hidden": c.d_ff, "n_matrices": 3 if c.is_gated_act else 2}
    own |= {"n_decoder_layers": decoder, "n_outer_norms": 2, "other": table}
    return own | {"is_tied": c.scale_decoder_outputs}  # T5 1.1 was trained untied


def _bart(c) -> dict:
    own = {"hidden": c.encoder_ffn_dim, "n_decoder_layers": c.decoder_layers}
    rows = 2 * (c.max_position_embeddings + 2)
    return BIASES | own | {"rows": rows, "n_outer_norms": 2}


def _llama(c) -> dict:
    has_bias = getattr(c, "attention_bias", False)
    own = {"hidden": c.intermediate_size, "n_matrices": 3}
    own |= {"qkv_bias": has_bias, "out_bias": has_bias}
    return own | {"mlp_bias": getattr(c, "mlp_bias", False)}


def _qwen2(c) -> dict:
    return _llama(c) | {"qkv_bias": True, "out_bias": False}


def _qwen3(c) -> dict:
    return _llama(c) | {"head_norms": 2 * c.head_dim}


def _gemma2(c) -> dict:
    return _llama(c) | {"n_norms": 4}


def _olmo(c) -> dict:
    return _llama(c) | {"norm": 0}


def _mixtral(c) -> dict:
    experts = {"n_experts": c.num_local_experts, "n_active": c.num_experts_per_tok}
    return _llama(c) | experts


def _phi(c) -> dict:
    return BIASES | {
        "hidden": c.intermediate_size,
        "n_norms": 1,
        "other": c.vocab_size,
        "head_norms": 4 * (c.hidden_size // c.num_attention_heads) * c.qk_layernorm,
    }


def _falcon(c) -> dict:
    n_kv = 1 if c.multi_query else c.num_attention_heads
    n_norms = 1 if c.parallel_attn else 2
    if c.new_decoder_architecture:
        n_kv, n_norms = c.num_kv_heads, c.num_ln_in_parallel_attn or 2
    has = dict.fromkeys(("qkv_bias", "out_bias", "mlp_bias"), c.bias)
    own = {"n_kv_heads": n_kv, "n_norms": n_norms, "norm": 2}
    return own | has | {"hidden": c.ffn_hidden_size}


ENCODERS = ("bert", "roberta", "distilbert")
READERS = {
    "gpt2": _gpt2,
    "gptj": _gptj,
    "gpt_neo": _gpt_neo,
    "gpt_neox": _gpt_neox,
    "opt": _opt,
    "bloom": _bloom,
    "ctrl": _ctrl,
    "bert": _bert,
    "roberta": _bert,
    "distilbert": _distilbert,
    "t5": _t5,
    "bart": _bart,
    "llama": _llama,
    "mistral": _llama,
    "mixtral": _mixtral,
    "qwen2": _qwen2,
    "qwen3": _qwen3,
    "gemma": _llama,
    "gemma2": _gemma2,
    "olmo": _olmo,
    "phi": _phi,
    "phi3": _llama,
    "falcon": _falcon,
}
