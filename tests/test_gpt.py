"""The GPT equals transformers' GPT-2, its cache changes nothing, its filters neither."""

import pytest
import torch
from torch.nn import functional as F

from labs_support import gpt, recurrent, sampling

SMALL = gpt.GPTConfig(vocabulary=50, context=24, width=32, n_layers=3, n_heads=4)


def small_gpt(seed=0):
    torch.manual_seed(seed)
    return gpt.GPT(SMALL).eval()


def reference(gelu):
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(1)
    config = GPT2Config(
        vocab_size=50, n_positions=24, n_embd=32, n_layer=3, n_head=4,
        activation_function=gelu, bos_token_id=0, eos_token_id=None, pad_token_id=0,
    )  # fmt: skip
    model = GPT2LMHeadModel(config).eval()
    with torch.no_grad():
        for weight in model.parameters():  # else all biases 0 and all norms 1
            weight.add_(0.1 * torch.randn_like(weight))
    return model


def copy_from_gpt2(source, gelu):
    model = gpt.GPT(gpt.GPTConfig(50, 24, 32, 3, 4, gelu=gelu)).eval()
    names = {
        "ln_1": "norm_attention", "attn.c_attn": "qkv", "attn.c_proj": "out",
        "ln_2": "norm_mlp", "mlp.c_fc": "up", "mlp.c_proj": "down",
    }  # fmt: skip
    theirs = source.transformer.state_dict()
    state = {"tokens.weight": theirs["wte.weight"]}
    state["positions.weight"] = theirs["wpe.weight"]
    for kind in ("weight", "bias"):
        state[f"norm.{kind}"] = theirs[f"ln_f.{kind}"]
        for i in range(3):
            for old, new in names.items():
                weight = theirs[f"h.{i}.{old}.{kind}"]
                state[f"blocks.{i}.{new}.{kind}"] = (
                    weight.T if weight.dim() == 2 else weight
                )
    model.load_state_dict(state)  # strict: nothing missing, nothing left over
    return model


@pytest.mark.parametrize(
    "gelu, theirs", [("tanh", "gelu_new"), ("none", "gelu")], ids=["tanh", "exact"]
)
def test_logits_loss_and_greedy_tokens_are_those_of_transformers(gelu, theirs):
    source = reference(theirs)
    model = copy_from_gpt2(source, gelu)
    ids = torch.randint(50, (3, 20))
    with torch.no_grad():
        expected = source(ids, labels=ids)
        assert torch.allclose(model(ids), expected.logits, atol=1e-5, rtol=0)
        loss = model.loss(ids[:, :-1], ids[:, 1:])
    assert loss.item() == pytest.approx(expected.loss.item(), abs=1e-5)
    prompt = ids[:, :5]
    mask = torch.ones_like(prompt)
    written = source.generate(
        prompt, attention_mask=mask, max_new_tokens=19, do_sample=False
    )
    assert torch.equal(gpt.generate(model, prompt, 19), written)


def test_gradients_are_those_of_transformers():
    source = reference("gelu")
    model = copy_from_gpt2(source, "none")
    ids = torch.randint(50, (3, 20))
    source(ids, labels=ids).loss.backward()
    model.loss(ids[:, :-1], ids[:, 1:]).backward()
    theirs = source.transformer
    for own, other in [
        (model.tokens.weight, theirs.wte.weight),
        (model.blocks[0].qkv.weight, theirs.h[0].attn.c_attn.weight.T),
        (model.blocks[0].qkv.weight.grad, theirs.h[0].attn.c_attn.weight.grad.T),
        (model.tokens.weight.grad, theirs.wte.weight.grad),
    ]:
        assert torch.allclose(own, other, atol=1e-5, rtol=0)


def test_a_token_changes_no_earlier_logit_and_its_own():
    model = small_gpt()
    ids = torch.randint(50, (1, 24))
    changed = ids.clone()
    changed[0, 12] = (ids[0, 12] + 1) % 50
    with torch.no_grad():
        difference = (model(ids) - model(changed)).abs().amax(-1)[0]  # (T,)
    assert difference[:12].max() == 0
    assert difference[12:].min() > 0


def test_the_cache_gives_the_same_logits_in_any_step():
    model, ids = small_gpt(), torch.randint(50, (2, 24))
    cache = gpt.KVCache(SMALL, 2)
    with torch.inference_mode():
        whole = model(ids)
        parts = [model.read(ids[:, :7], cache)]
        parts += [model.read(ids[:, t : t + 1], cache) for t in range(7, 24)]
        stepwise = model.predict(torch.cat(parts, dim=1))
    assert cache.length == 24
    assert torch.allclose(whole, stepwise, atol=1e-5, rtol=0)


def test_the_cache_refuses_what_it_would_mask_wrongly():
    model, cache = small_gpt(), gpt.KVCache(SMALL)
    with torch.inference_mode():
        model.read(torch.zeros(1, 3, dtype=torch.long), cache)
        with pytest.raises(ValueError, match="one new token at a time, not 2"):
            model.read(torch.zeros(1, 2, dtype=torch.long), cache)


@pytest.mark.parametrize("n_prompt", [1, 5])
def test_generation_with_and_without_cache_is_argmax_of_the_whole(n_prompt):
    model, prompt = small_gpt(), torch.randint(50, (4, n_prompt))
    text = gpt.generate(model, prompt, 24 - n_prompt)
    assert torch.equal(
        text, gpt.generate(model, prompt, 24 - n_prompt, use_cache=False)
    )
    assert torch.equal(text[:, :n_prompt], prompt)
    with torch.no_grad():
        best = model(text).argmax(-1)
    assert torch.equal(best[:, n_prompt - 1 : -1], text[:, n_prompt:])


def test_sampled_generation_follows_the_chooser():
    model, prompt = small_gpt(), torch.randint(50, (2, 3))

    def choose(logits):
        probs = sampling.probabilities(logits, temperature=2.0, top_k=5)
        return sampling.sample(probs, generator)

    texts = []
    for seed in (0, 0, 1):
        generator = torch.Generator().manual_seed(seed)
        texts.append(gpt.generate(model, prompt, 20, choose))
    assert torch.equal(texts[0], texts[1])
    assert not torch.equal(texts[0], texts[2])


def test_text_longer_than_the_context_is_refused():
    with pytest.raises(ValueError, match="20 \\+ 5 tokens exceed a context of 24"):
        gpt.generate(small_gpt(), torch.zeros(1, 20, dtype=torch.long), 5)


def test_windows_are_shifted_by_one_and_cover_both_ends():
    batches = gpt.windows(torch.arange(12), length=4, size=16, seed=3)
    first = set()
    for _ in range(10):
        x, y = next(batches)
        assert x.shape == y.shape == (16, 4)
        assert torch.equal(y, x + 1)
        first |= set(x[:, 0].tolist())
    assert first == set(range(8))


def test_rate_rises_to_one_and_falls_to_zero():
    factors = [gpt.warm_cosine(step, 100, 5) for step in range(101)]
    assert factors[:5] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    assert factors[5] == 1 and factors[100] == pytest.approx(0)
    assert all(a > b for a, b in zip(factors[5:], factors[6:], strict=False))


def test_training_learns_a_sequence_that_repeats():
    model = small_gpt()
    ids = torch.arange(2000) % 7 + 10
    losses = list(gpt.train_gpt(model, gpt.windows(ids, 12, 8), 60, rate=1e-2))
    assert len(losses) == 60
    assert losses[0] == pytest.approx(torch.log(torch.tensor(50.0)).item(), abs=0.7)
    assert losses[-1] < 0.1
    written = gpt.generate(model, ids[None, :3], 10)
    assert torch.equal(written[0], ids[:13])


@pytest.mark.parametrize(
    "temperature, top_k, top_p",
    [(1.0, None, 1.0), (0.3, None, 1.0), (1.7, 5, 1.0), (1.0, 1, 1.0), (1.0, 99, 1.0),
     (1.0, None, 0.9), (1.0, None, 0.05), (0.7, 20, 0.5), (2.0, 10, 0.95)],
)  # fmt: skip
def test_filters_are_the_warpers_of_transformers(temperature, top_k, top_p):
    from transformers import (
        TemperatureLogitsWarper,
        TopKLogitsWarper,
        TopPLogitsWarper,
    )

    logits = torch.randn(6, 40, generator=torch.Generator().manual_seed(4)) * 3
    expected = TemperatureLogitsWarper(temperature)(None, logits)
    if top_k:
        expected = TopKLogitsWarper(top_k)(None, expected)
    if top_p < 1:
        expected = TopPLogitsWarper(top_p)(None, expected)
    probs = sampling.probabilities(logits, temperature, top_k, top_p)
    assert torch.equal(probs, F.softmax(expected, -1))
    assert torch.equal(
        probs[0], sampling.probabilities(logits[0], temperature, top_k, top_p)
    )


def test_filters_keep_what_they_promise():
    logits = torch.tensor([0.5, 0.3, 0.1, 0.1]).log()
    kept = sampling.keep_p(logits, 0.7).softmax(-1)
    assert kept.tolist() == pytest.approx([0.625, 0.375, 0, 0])
    assert sampling.keep_p(logits, 0.0).softmax(-1).tolist() == [1, 0, 0, 0]
    assert torch.equal(sampling.keep_p(logits, 1.0), logits)
    assert sampling.keep_k(logits, 3).isfinite().sum() == 4  # a tie stays whole


def test_draws_are_as_frequent_as_their_probabilities():
    probs = torch.tensor([0.5, 0.3, 0.2, 0.0]).expand(20_000, 4)
    ids = sampling.sample(probs, torch.Generator().manual_seed(0))
    assert ids.shape == (20_000,)
    share = torch.bincount(ids, minlength=4) / 20_000
    assert torch.allclose(share, probs[0], atol=0.015)
    assert share[3] == 0


@pytest.mark.parametrize(
    "name, value", [("temperature", 0.0), ("top_k", 0), ("top_p", 1.2), ("top_p", -0.1)]
)
def test_a_setting_out_of_range_is_named(name, value):
    tool = {"temperature": sampling.heat, "top_k": sampling.keep_k}
    with pytest.raises(ValueError, match=f"{name} is {value}"):
        tool.get(name, sampling.keep_p)(torch.zeros(3), value)


# --- found by the planted faults of `make mutants`


def test_layers_that_join_the_residual_stream_start_smaller():
    torch.manual_seed(0)
    config = gpt.GPTConfig(vocabulary=99, context=8, width=96, n_layers=8, n_heads=4)
    block = gpt.GPT(config).blocks[5]
    for branch in (block.out, block.down):
        ratio = branch.weight.std() / block.qkv.weight.std()
        assert ratio.item() == pytest.approx(1 / (2 * 8) ** 0.5, rel=0.05)


def test_gradients_of_a_step_are_those_of_its_batch_alone():
    model, batches = (
        small_gpt(),
        list(zip(*torch.randint(50, (2, 3, 4, 8)), strict=True)),
    )
    losses = list(gpt.train_gpt(model, batches, 3, rate=0.0))  # weights stay
    assert len(losses) == 3
    found = [weight.grad.clone() for weight in model.parameters()]
    model.zero_grad()
    model.loss(*batches[-1]).backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    for weight, grad in zip(model.parameters(), found, strict=True):
        assert torch.allclose(weight.grad, grad, atol=1e-6)


def test_training_follows_the_schedule(monkeypatch):
    monkeypatch.setattr(gpt, "warm_cosine", lambda step, *_: 1.0 if step == 0 else 0.0)
    model, batches = small_gpt(), gpt.windows(torch.arange(40), 8, 4)
    seen = [model.tokens.weight.detach().clone()]
    for _ in gpt.train_gpt(model, batches, 3):
        seen.append(model.tokens.weight.detach().clone())
    assert not torch.equal(seen[0], seen[1])
    assert torch.equal(seen[1], seen[2]) and torch.equal(seen[2], seen[3])


# --- found by the review


@pytest.mark.parametrize("top_p", [1.5, -0.1, float("nan")])
def test_the_whole_chain_refuses_a_mass_out_of_range(top_p):
    with pytest.raises(ValueError, match="top_p is"):
        sampling.probabilities(torch.zeros(3), top_p=top_p)


def test_more_tokens_than_the_context_are_refused():
    model = small_gpt()
    assert model(torch.zeros(1, 24, dtype=torch.long)).shape == (1, 24, 50)
    with pytest.raises(ValueError, match="25 tokens exceed the context of 24"):
        model(torch.zeros(1, 25, dtype=torch.long))
    cache = gpt.KVCache(SMALL)
    with torch.inference_mode():
        model.read(torch.zeros(1, 24, dtype=torch.long), cache)
        with pytest.raises(ValueError, match="25 tokens exceed the context of 24"):
            model.read(torch.zeros(1, 1, dtype=torch.long), cache)


def test_width_that_heads_cannot_share_is_refused():
    with pytest.raises(ValueError, match="width 30 is no multiple of 4 heads"):
        gpt.GPTConfig(vocabulary=50, context=24, width=30, n_layers=3, n_heads=4)


def test_text_without_a_window_is_refused():
    x, y = next(gpt.windows(torch.arange(5), length=4, size=2))
    assert x.shape == y.shape == (2, 4)
    with pytest.raises(ValueError, match="4 tokens hold no window of 4 \\+ 1"):
        next(gpt.windows(torch.arange(4), length=4, size=2))


def test_gpt_runs_where_its_weights_are():
    model = small_gpt().to("meta")
    assert model(torch.zeros(2, 9, dtype=torch.long, device="meta")).is_meta
    text = gpt.generate(model, torch.zeros(2, 9, dtype=torch.long), 3)
    assert text.is_meta and text.shape == (2, 12)


class Asked(Exception):
    """Ends a training: the loss of tensors without numbers cannot be read."""


def test_batches_move_to_the_model():
    class Notes(torch.nn.Linear):
        def loss(self, x, y):
            assert x.is_meta and y.is_meta
            raise Asked

    model = Notes(1, 1).to("meta")
    with pytest.raises(Asked):
        next(gpt.train_gpt(model, gpt.windows(torch.arange(40), 8, 4), 3))


@pytest.mark.parametrize("kind", [recurrent.RNN, recurrent.GatedRNN])
def test_recurrent_helpers_move_to_the_model(kind):
    seen = []

    class Notes(kind):
        def forward(self, x):
            seen.append(x.is_meta)
            raise Asked

    model = Notes(recurrent.RECALL_VOCABULARY, 8).to("meta")
    generator = torch.Generator().manual_seed(0)
    for call in (
        lambda: recurrent.train_rnn(model, list(range(9)) * 9, 1),
        lambda: recurrent.train_recall(model, 4, generator, 1),
        lambda: recurrent.recall_accuracy(model, 4, generator, 5),
    ):
        with pytest.raises(Asked):
            call()
    assert seen == [True, True, True]
