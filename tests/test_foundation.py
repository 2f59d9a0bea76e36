"""Lesson 04: counting weights, memory, computation; the catalogue; scaling laws."""

import pytest

from labs_support import calculators, families, model_catalogue, parameters, scaling
from labs_support.model_shape import Shape


def llama(**other):
    return {"model_type": "llama", **other}


SMALL = {"vocab_size": 1000, "num_hidden_layers": 2}
BUILT = {
    "gpt2": {"model_type": "gpt2", "n_embd": 96, "n_layer": 3, "n_head": 4},
    "gpt2, own MLP": {"model_type": "gpt2", "n_inner": 100, "n_positions": 32},
    "gptj": {"model_type": "gptj", "n_embd": 256, "n_layer": 2, "n_head": 4},
    "gpt_neo": {"model_type": "gpt_neo"},
    "pythia 70m": {
        "model_type": "gpt_neox", "hidden_size": 512, "num_hidden_layers": 6,
        "num_attention_heads": 8, "intermediate_size": 2048, "vocab_size": 50304,
    },
    "neox without bias": {"model_type": "gpt_neox", "attention_bias": False},
    "opt": {"model_type": "opt"},
    "opt 350m": {
        "model_type": "opt", "hidden_size": 1024, "num_hidden_layers": 24,
        "num_attention_heads": 16, "ffn_dim": 4096, "word_embed_proj_dim": 512,
        "do_layer_norm_before": False,
    },
    "opt without bias": {"model_type": "opt", "enable_bias": False},
    "bloom": {"model_type": "bloom", "hidden_size": 1024, "n_layer": 24, "n_head": 16},
    "ctrl": {"model_type": "ctrl"},
    "bert": {"model_type": "bert"},
    "roberta": {
        "model_type": "roberta", "max_position_embeddings": 514, "type_vocab_size": 1,
    },
    "distilbert": {"model_type": "distilbert"},
    "t5": {"model_type": "t5"},
    "t5, few decoder blocks": {"model_type": "t5", "num_decoder_layers": 2, "d_kv": 48},
    "t5, gated": {"model_type": "t5", "feed_forward_proj": "gated-gelu"},
    "bart": {"model_type": "bart"},
    "bart, uneven": {"model_type": "bart", "decoder_layers": 3, **SMALL},
    "llama": llama(),
    "llama, grouped, tied": llama(num_key_value_heads=8, tie_word_embeddings=True),
    "llama, biases": llama(attention_bias=True, mlp_bias=True, **SMALL),
    "llama, own heads": llama(head_dim=64, **SMALL),
    "mistral": {"model_type": "mistral"},
    "mixtral": {"model_type": "mixtral"},
    "mixtral, 4 of 6": {
        "model_type": "mixtral", "num_local_experts": 6, "num_experts_per_tok": 4,
        **SMALL,
    },
    "qwen2": {"model_type": "qwen2"},
    "qwen3": {"model_type": "qwen3"},
    "gemma": {"model_type": "gemma"},
    "gemma2": {"model_type": "gemma2"},
    "olmo": {"model_type": "olmo"},
    "phi": {"model_type": "phi"},
    "phi, norms of heads": {"model_type": "phi", "qk_layernorm": True},
    "phi3": {"model_type": "phi3"},
    "falcon 7b": {"model_type": "falcon"},
    "falcon 40b": {
        "model_type": "falcon", "new_decoder_architecture": True, "hidden_size": 8192,
        "num_attention_heads": 128, "num_kv_heads": 8, "num_hidden_layers": 60,
    },
    "falcon 11b": {
        "model_type": "falcon", "new_decoder_architecture": True, "hidden_size": 4096,
        "num_attention_heads": 32, "num_kv_heads": 8, "num_hidden_layers": 60,
        "num_ln_in_parallel_attn": 1, "tie_word_embeddings": False,
    },
    "falcon rw": {
        "model_type": "falcon", "hidden_size": 2048, "num_attention_heads": 32,
        "num_hidden_layers": 24, "vocab_size": 50304, "multi_query": False,
        "parallel_attn": False, "bias": True, "alibi": True,
    },
}  # fmt: skip


@pytest.mark.parametrize("name", BUILT)
def test_the_formula_counts_what_transformers_builds(name):
    counted = parameters.count(BUILT[name])
    assert counted.total == parameters.built(BUILT[name])
    assert counted.active <= counted.total


def test_every_family_with_a_reader_is_compared():
    assert {config["model_type"] for config in BUILT.values()} == set(families.READERS)


def test_a_live_configuration_counts_like_its_dict():
    from transformers import GPT2Config, GPT2LMHeadModel

    config = GPT2Config(n_embd=32, n_layer=2, n_head=2, vocab_size=100)
    n_weights = sum(p.numel() for p in GPT2LMHeadModel(config).parameters())
    assert parameters.count(config).total == n_weights


# Published: the paper's or the released file's number, with the digits given there
PUBLISHED = [
    ({"model_type": "gpt2"}, 124_439_808),
    ({"model_type": "gpt2", "n_embd": 1024, "n_layer": 24, "n_head": 16}, 354_823_168),
    ({"model_type": "gpt2", "n_embd": 1280, "n_layer": 36, "n_head": 20}, 774_030_080),
    (
        {"model_type": "gpt2", "n_embd": 1600, "n_layer": 48, "n_head": 25},
        1_557_611_200,
    ),
    ({"model_type": "bert"}, 109_482_240),
    ({"model_type": "gptj"}, 6_050_882_784),
    ({"model_type": "t5"}, 60_506_624),
    (llama(), 6_738_415_616),
    (llama(hidden_size=5120, intermediate_size=13824, num_hidden_layers=40,
           num_attention_heads=40), 13_015_864_320),
    (llama(hidden_size=8192, intermediate_size=28672, num_hidden_layers=80,
           num_attention_heads=64, num_key_value_heads=8), 68_976_648_192),
    (llama(vocab_size=128256, intermediate_size=14336, num_key_value_heads=8),
     8_030_261_248),
    ({"model_type": "mistral"}, 7_241_732_096),
    ({"model_type": "mixtral"}, 46_702_792_704),
    ({"model_type": "gemma"}, 8_537_680_896),
    ({"model_type": "gemma", "hidden_size": 2048, "intermediate_size": 16384,
      "num_hidden_layers": 18, "num_attention_heads": 8, "num_key_value_heads": 1},
     2_506_172_416),
    ({"model_type": "qwen2", "hidden_size": 896, "intermediate_size": 4864,
      "num_hidden_layers": 24, "num_attention_heads": 14, "num_key_value_heads": 2,
      "tie_word_embeddings": True}, 494_032_768),
    ({"model_type": "t5", "d_model": 768, "d_ff": 2048, "num_heads": 12,
      "num_layers": 12, "feed_forward_proj": "gated-gelu",
      "tie_word_embeddings": False}, 247_577_856),
]  # fmt: skip


@pytest.mark.parametrize(("config", "wanted"), PUBLISHED)
def test_published_counts(config, wanted):
    assert parameters.count(config).total == wanted


def test_mixtral_uses_two_of_its_experts():
    counted = parameters.count({"model_type": "mixtral"})
    assert counted.active == 12_879_925_248
    assert counted.router == 32 * 8 * 4096


def test_parts_of_gpt2_by_hand():
    counted = parameters.count({"model_type": "gpt2"})
    assert counted.embeddings == (50257 + 1024) * 768
    assert counted.attention == 12 * (4 * 768 * 768 + 4 * 768)
    assert counted.mlp == 12 * (8 * 768 * 768 + 5 * 768)
    assert counted.norms == 25 * 2 * 768
    assert counted.head == counted.router == counted.other == counted.idle == 0


TABLE_D1 = [  # millions of weights, petaFLOP/s-days; 300 billion tokens each
    ("GPT-3 Small", 125, 2.60),
    ("GPT-3 Medium", 356, 7.42),
    ("GPT-3 Large", 760, 15.8),
    ("GPT-3 XL", 1320, 27.5),
    ("GPT-3 2.7B", 2650, 55.2),
    ("GPT-3 6.7B", 6660, 139),
    ("GPT-3 13B", 12850, 268),
    ("GPT-3 175B", 174600, 3640),
]


@pytest.mark.parametrize(("name", "millions", "days"), TABLE_D1)
def test_table_of_the_paper_on_gpt3(name, millions, days):
    row = next(r for r in model_catalogue.rows() if r["name"] == name)
    n_weights = parameters.count(row["config"]).total
    assert n_weights == pytest.approx(millions * 1e6, rel=5e-3)
    flops = calculators.training_flops(n_weights, row["training_tokens"])
    assert calculators.petaflop_s_days(flops) == pytest.approx(days, rel=5e-3)


# --- memory and computation


def test_memory_by_hand():
    assert calculators.inference_bytes(7e9) == 14e9
    sizes = {"float32": 4, "float16": 2, "bfloat16": 2, "int8": 1, "int4": 0.5}
    assert {n: calculators.inference_bytes(8, n) / 8 for n in sizes} == sizes
    assert calculators.inference_bytes(7e9, "int4") == 3.5e9
    assert calculators.training_bytes(1000) == (4000, 4000, 8000)
    assert calculators.training_bytes(1000, "bfloat16") == (6000, 2000, 8000)
    assert sum(calculators.training_bytes(1000, "float16")) == 16_000
    assert calculators.training_bytes(1000, n_moments=0) == (4000, 4000, 0)
    tuned = calculators.training_bytes(1000, "bfloat16", n_trained=10)
    assert tuned == (2040, 20, 80)


def test_keys_and_values_as_published():
    # 0.5 MB a token in 16 bits for a model of 7 B without groups, 4,096 tokens: 2 GiB
    assert calculators.kv_cache_bytes(llama(), 4096) == 2 * 2**30
    grouped = llama(num_key_value_heads=8)
    assert calculators.kv_cache_bytes(grouped, 4096) == 2 * 2**30 / 4
    one = {"model_type": "falcon"}  # 71 query heads, one key head
    assert calculators.kv_cache_bytes(one, 1) == 2 * 32 * 64 * 2
    assert calculators.kv_cache_bytes(one, 1, 3, "float32") == 2 * 32 * 64 * 4 * 3
    two_stacks = {"model_type": "t5", "num_layers": 6, "num_decoder_layers": 2}
    assert calculators.kv_cache_bytes(two_stacks, 1) == 2 * 2 * 512 * 2


def test_keys_and_values_are_those_of_a_live_cache():
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        hidden_size=32, intermediate_size=64, num_hidden_layers=3, vocab_size=50,
        num_attention_heads=4, num_key_value_heads=2,
    )  # fmt: skip
    out = LlamaForCausalLM(config)(torch.ones(5, 7, dtype=torch.long), use_cache=True)
    kept = [
        t for layer in out.past_key_values.layers for t in (layer.keys, layer.values)
    ]
    n_bytes = sum(t.numel() * t.element_size() for t in kept)
    assert calculators.kv_cache_bytes(config, 7, 5, "float32") == n_bytes


def test_activations_by_hand():
    shape = Shape(
        n_layers=2, width=8, vocabulary=10, n_heads=2, n_kv_heads=2, head_size=4,
        hidden=32,
    )  # fmt: skip
    assert calculators.activation_bytes(shape, 3, 5) == 5 * 3 * 8 * 2 * (
        34 + 5 * 2 * 3 / 8
    )


def test_attention_adds_what_palm_says():
    plain = calculators.training_flops(1e9, 1e6)
    assert plain == 6e15
    with_attention = calculators.training_flops(1e9, 1e6, model=llama(), context=2048)
    assert with_attention - plain == 12 * 32 * 4096 * 2048 * 1e6


def test_flops_are_those_that_torch_counts():
    import torch
    from torch.utils.flop_counter import FlopCounterMode
    from transformers import GPT2Config, GPT2LMHeadModel

    config = GPT2Config(
        n_embd=64, n_layer=2, n_head=2, vocab_size=100, n_positions=32,
        attn_implementation="eager",
    )  # fmt: skip
    model, ids = GPT2LMHeadModel(config), torch.ones(3, 32, dtype=torch.long)
    with FlopCounterMode(display=False) as counter:
        model(ids, labels=ids).loss.backward()
    counted = parameters.count(config)
    matrices = counted.attention + counted.mlp + 100 * 64
    wanted = calculators.training_flops(matrices, ids.numel(), model=config, context=32)
    assert counter.get_total_flops() == pytest.approx(wanted, rel=0.02)


def test_bill_by_hand():
    bill = calculators.bill(
        312e12 * 3600, peak=312e12, utilisation=0.5, hourly=2, n_devices=4
    )
    assert bill == pytest.approx((2, 2 / 4 / 24, 4))


def test_chinchilla_is_chinchilla():
    budget = scaling.chinchilla(n_weights=70e9)
    assert budget.n_tokens == 1.4e12
    assert budget.flops == pytest.approx(5.88e23)
    again = scaling.chinchilla(flops=budget.flops)
    assert again == pytest.approx(budget)
    # the paper's own prediction for Chinchilla lies near 1.94 nats
    assert scaling.chinchilla_loss(70e9, 1.4e12) == pytest.approx(1.94, abs=0.01)


# --- scaling laws


def test_power_law_finds_the_law_and_says_how_well():
    x = [1e3, 1e4, 1e5, 1e6]
    fit = scaling.power_law(x, [7 * v**-0.2 for v in x])
    assert fit == pytest.approx((7, -0.2, 1))
    assert fit(1e7) == pytest.approx(7 * 1e7**-0.2)
    bent = scaling.power_law(x, [2.0, 1.0, 1.0, 2.0])
    assert bent.r2 == pytest.approx(0, abs=1e-9)


def test_bottom_of_an_isoflop_curve():
    import math

    sizes = [1e5, 2e5, 4e5, 8e5]
    losses = [3 + (math.log(n) - math.log(3e5)) ** 2 for n in sizes]
    assert scaling.best_size(sizes, losses) == pytest.approx(3e5)
    for curve in ([4, 3, 2, 1], [1, 2, 2, 1]):
        with pytest.raises(ValueError, match="no lowest point within these sizes"):
            scaling.best_size(sizes, curve)


# --- bad input: one sentence each

REFUSED = {
    "There is no number format 'fp8'": lambda: calculators.inference_bytes(1, "fp8"),
    "n_weights is -3; it must be a number above 0": (
        lambda: calculators.inference_bytes(-3)
    ),
    "n_weights is nan": lambda: calculators.training_flops(float("nan"), 1),
    "n_tokens is 'many'": lambda: calculators.training_flops(1, "many"),
    "n_tokens is 0; it must be a whole number": (
        lambda: calculators.kv_cache_bytes(llama(), 0)
    ),
    "context is 0": lambda: calculators.training_flops(1, 1, model=llama()),
    "no more weights can be trained": lambda: calculators.training_bytes(
        10, n_trained=11
    ),
    "moments are 0-2": lambda: calculators.training_bytes(10, n_moments=3),
    "it is a share, 1 at the most": lambda: calculators.bill(
        1, peak=1, utilisation=40, hourly=1
    ),
    "Give either n_weights or flops": lambda: scaling.chinchilla(),
    "at least three pairs of numbers": lambda: scaling.power_law([1, 2], [1, 2]),
    "at least four sizes, not 2": lambda: scaling.best_size([1, 2], [1, 2]),
    "There is no formula for 'mamba'": lambda: parameters.count(
        {"model_type": "mamba"}
    ),
    "A model is described by a configuration": lambda: parameters.count("gpt2"),
    "A model is described by a configuration of": lambda: parameters.count({"n": 1}),
    "A width of 100 does not divide into 12 heads": lambda: parameters.count(
        {"model_type": "gpt2", "n_embd": 100}
    ),
    "8 query heads cannot share 3 key heads": lambda: parameters.count(
        llama(num_attention_heads=8, num_key_value_heads=3)
    ),
    "9 active experts are more than the 8": lambda: parameters.count(
        {"model_type": "mixtral", "num_experts_per_tok": 9}
    ),
    "the catalogue has no 'GPT-9'; it has BERT": lambda: model_catalogue.model("GPT-9"),
}


@pytest.mark.parametrize("sentence", REFUSED)
def test_bad_input_is_one_sentence(sentence):
    with pytest.raises(ValueError) as error:
        REFUSED[sentence]()
    assert sentence in str(error.value)
    assert "\n" not in str(error.value) and len(str(error.value)) < 300


# --- the catalogue

FIELDS = {"name", "maker", "year", "reads", "writes", "sizes", "context"}
FIELDS |= {"training_tokens", "licence", "reach", "source"}
TALK = {"GPT-3", "GPT-3.5-turbo", "GPT-4", "BERT", "LLaMA 2", "Falcon", "Claude 2.1"}
TALK |= {"Gemini Ultra", "DALL-E 3", "SDXL Turbo", "Midjourney", "CTRL", "Mixtral 8x7B"}


def test_every_model_of_the_talk_is_complete_and_has_its_source():
    models = model_catalogue.read()
    assert {m["name"] for m in models} >= TALK
    for m in models:
        assert m.keys() - {"talk"} == FIELDS, m["name"]
        assert len(m["source"]) > 20 and str(m["year"])[:2] == "20"
        assert set(m["reads"] + m["writes"]) <= {"text", "image", "audio", "video"}
        for value in (m["context"], m["training_tokens"]):
            assert value == "unknown" or value > 0
        for size in m["sizes"]:
            assert size.keys() <= {
                "name",
                "weights",
                "active",
                "config",
                "training_tokens",
            }
            assert size["weights"] == "unknown" or isinstance(size["weights"], float)


def test_sizes_agree_with_the_calculator():
    rows = [row for row in model_catalogue.rows() if row["config"]]
    assert len(rows) >= 20
    for row in rows:
        counted = parameters.count(row["config"])
        assert counted.total == pytest.approx(row["weights"], rel=0.02), row["name"]
        assert counted.active == pytest.approx(row["active"], rel=0.02), row["name"]


def test_unknown_stays_unknown():
    rows = {row["name"]: row for row in model_catalogue.rows()}
    assert len(rows) == len(model_catalogue.rows())
    for name in ("GPT-3.5-turbo", "GPT-4", "Claude 2.1", "Gemini Ultra", "Midjourney"):
        assert rows[name]["weights"] is None and rows[name]["config"] is None
    assert rows["Mixtral 8x7B"]["active"] == 12.9e9
    assert rows["Falcon 40B"]["training_tokens"] == 1e12
    assert rows["Falcon 180B"]["training_tokens"] == 3.5e12
    assert rows["Falcon 180B"]["active"] == rows["Falcon 180B"]["weights"] == 180e9
    assert model_catalogue.model("CTRL")["maker"] == "Salesforce"
