"""The exercises of lesson 02: the parts of attention, and two silent errors."""

import math

import torch
from torch import nn
from torch.nn import functional as F

from labs_support.checks import Exercise, expect
from labs_support.tensor_checks import expect_tensor, random_tensor


def _expect_close(got, wanted, message):
    expect(torch.allclose(got.float(), wanted.float(), atol=1e-5), message)


# --- 02.1 softmax


def _verify_softmax(attempt):
    scores = torch.tensor([1.0, 2.0, 4.0])
    got = attempt(scores)
    expect_tensor(got, (3,), "scores [1, 2, 4]")
    wanted = scores.softmax(-1)
    _expect_close(
        got,
        wanted,
        f"for [1, 2, 4] the first share should be {wanted[0]:.3f}, not {got[0]:.3f}",
    )
    scores = torch.tensor([[1.0, 2.0, 4.0], [0.0, 0.0, 3.0]])
    got = attempt(scores)
    expect_tensor(got, (2, 3), "two rows of scores")
    _expect_close(
        got.sum(-1), torch.ones(2), "with two rows of scores each row should sum to 1"
    )
    _expect_close(
        got, scores.softmax(-1), "with two rows of scores the shares are wrong"
    )
    scores = torch.tensor([1000.0, 1001.0])
    got = attempt(scores)
    expect(
        bool(torch.isfinite(got).all()),
        "for [1000, 1001] you get nan: exp(1000) is too large for a float",
    )
    _expect_close(got, scores.softmax(-1), "for [1000, 1001] the shares are wrong")


def _softmax(scores):
    largest = scores.max(dim=-1, keepdim=True).values
    powers = torch.exp(scores - largest)
    return powers / powers.sum(dim=-1, keepdim=True)


def _softmax_naive(scores):
    powers = torch.exp(scores)
    return powers / powers.sum(dim=-1, keepdim=True)


def _softmax_over_everything(scores):
    powers = torch.exp(scores - scores.max())
    return powers / powers.sum()


def _softmax_without_exp(scores):
    return scores / scores.sum(dim=-1, keepdim=True)


softmax = Exercise(
    id="02.1",
    title="A softmax that survives large scores",
    stars=1,
    minutes=4,
    verify=_verify_softmax,
    answer=_softmax,
    hints=(
        "Adding the same number to all scores changes no share.",
        "Subtract the largest score of each row first; keepdim=True keeps the shape.",
        "torch.exp(scores - scores.max(dim=-1, keepdim=True).values), then divide by "
        "its sum over the last dimension.",
    ),
    wrong={
        "exp of the raw scores overflows": _softmax_naive,
        "all rows share one sum": _softmax_over_everything,
        "divides scores instead of their exponentials": _softmax_without_exp,
    },
)


# --- 02.2 attention that ignores padding


def _slow_padded(q, k, v, lengths):
    """Return the specification: one query of one sentence at a time."""
    out = torch.zeros(*q.shape[:-1], v.shape[-1])
    for b in range(len(q)):
        n = int(lengths[b])
        for t in range(q.shape[1]):
            scores = torch.stack([q[b, t] @ k[b, s] for s in range(n)])
            weights = (scores / math.sqrt(q.shape[-1])).softmax(-1)
            out[b, t] = sum(weights[s] * v[b, s] for s in range(n))
    return out


def _verify_padded(attempt):
    q, k, v = (random_tensor(2, 4, 8, seed=s) for s in range(3))
    full, short = torch.tensor([4, 4]), torch.tensor([4, 2])
    got = attempt(q, k, v, full)
    expect_tensor(got, (2, 4, 8), "q, k, v of shape (2, 4, 8)")
    wanted = _slow_padded(q, k, v, full)
    error = (got - wanted).abs().max()
    expect(
        error < 1e-5,
        f"with lengths [4, 4] you are off by {error:.2f}: is it q kᵀ / √8, then a softmax "
        "over the keys, then times v?",
    )
    got = attempt(q, k, v, short)
    expect(bool(torch.isfinite(got).all()), "with lengths [4, 2] you get nan")
    moved = k.clone(), v.clone()
    for changed in moved:
        changed[1, 2:] += 5.0
    gap = (attempt(q, *moved, short) - got).abs().max()
    expect(
        gap < 1e-5,
        f"with lengths [4, 2] the padding of sentence 1 still counts: changing it moves "
        f"the result by {gap:.2f}",
    )
    error = (got - _slow_padded(q, k, v, short)).abs().max()
    expect(
        error < 1e-5,
        f"with lengths [4, 2] you are off by {error:.2f}: the weights of the words that "
        "are there should sum to 1",
    )


def _padded(q, k, v, lengths):
    scores = q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])  # (B, T, S)
    is_word = torch.arange(k.shape[1]) < lengths[:, None]  # (B, S)
    scores = scores.masked_fill(~is_word[:, None], -torch.inf)
    return scores.softmax(-1) @ v


def _padded_unscaled(q, k, v, lengths):
    is_word = torch.arange(k.shape[1]) < lengths[:, None]
    scores = (q @ k.transpose(-2, -1)).masked_fill(~is_word[:, None], -torch.inf)
    return scores.softmax(-1) @ v


def _padded_after_softmax(q, k, v, lengths):
    is_word = torch.arange(k.shape[1]) < lengths[:, None]
    weights = (q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])).softmax(-1)
    return (weights * is_word[:, None]) @ v


def _padded_with_zero_scores(q, k, v, lengths):
    is_word = torch.arange(k.shape[1]) < lengths[:, None]
    scores = q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])
    return (scores * is_word[:, None]).softmax(-1) @ v


def _padded_queries(q, k, v, lengths):
    is_word = torch.arange(q.shape[1]) < lengths[:, None]
    scores = q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])
    return scores.masked_fill(~is_word[:, :, None], -torch.inf).softmax(-1) @ v


padded_attention = Exercise(
    id="02.2",
    title="Attention that ignores padding",
    stars=2,
    minutes=8,
    verify=_verify_padded,
    answer=_padded,
    hints=(
        "Which key positions are words? Compare torch.arange(S) with each length.",
        "lengths[:, None] has shape (B, 1), so the comparison has shape (B, S).",
        "Put -inf where the key is padding, before the softmax; the mask needs a "
        "dimension for the queries: is_word[:, None] is (B, 1, S).",
    ),
    wrong={
        "no scale": _padded_unscaled,
        "weights set to zero after the softmax": _padded_after_softmax,
        "scores set to zero, which is not minus infinity": _padded_with_zero_scores,
        "masks queries instead of keys": _padded_queries,
    },
)


# --- 02.3 a window


def _verify_window(attempt):
    for T, width in ((4, 4), (5, 2), (6, 3), (3, 1)):
        got = attempt(T, width)
        expect_tensor(got, (T, T), f"T = {T}, width = {width}")
        for t in range(T):
            seen = [s for s in range(T) if got[t, s]]
            wanted = list(range(max(0, t - width + 1), t + 1))
            expect(
                seen == wanted,
                f"T = {T}, width = {width}: token {t} should see {wanted}, not {seen}",
            )
    expect(got.dtype == torch.bool, f"the mask should be of bool, not {got.dtype}")


def _window(T, width):
    t = torch.arange(T)
    distance = t[:, None] - t  # (T, T)
    return (distance >= 0) & (distance < width)


def _window_one_too_wide(T, width):
    t = torch.arange(T)
    distance = t[:, None] - t
    return (distance >= 0) & (distance <= width)


def _window_sees_the_future(T, width):
    t = torch.arange(T)
    return (t[:, None] - t).abs() < width


def _window_transposed(T, width):
    t = torch.arange(T)
    distance = t - t[:, None]
    return (distance >= 0) & (distance < width)


window_mask = Exercise(
    id="02.3",
    title="A mask with a short memory",
    stars=1,
    minutes=5,
    verify=_verify_window,
    answer=_window,
    hints=(
        "Row t is the token that looks, column s the token that is looked at.",
        "t - s is 0 for the token itself and grows to the past.",
        "torch.arange(T)[:, None] - torch.arange(T) is the table of all t - s.",
    ),
    wrong={
        "one token too many": _window_one_too_wide,
        "looks both ways": _window_sees_the_future,
        "rows and columns exchanged": _window_transposed,
    },
)


# --- 02.4 shared heads


def _verify_shared(attempt):
    k = torch.tensor([[10.0], [20.0]])[None, :, :, None]  # (1, 2, 1, 1)
    got = attempt(k, 4)
    expect_tensor(got, (1, 4, 1, 1), "2 key heads for 4 query heads")
    heads = [int(h) for h in got.flatten()]
    expect(
        heads == [10, 10, 20, 20],
        f"key heads [10, 20] for 4 query heads should be [10, 10, 20, 20], not {heads}",
    )
    k = random_tensor(2, 3, 5, 4)
    got = attempt(k, 6)
    expect_tensor(got, (2, 6, 5, 4), "3 key heads of shape (5, 4) for 6 query heads")
    for head in range(6):
        _expect_close(
            got[:, head],
            k[:, head // 2],
            f"query head {head} of 6 got the wrong key head",
        )


def _shared(k, n_heads):
    return k.repeat_interleave(n_heads // k.shape[1], dim=1)


def _shared_tiled(k, n_heads):
    return k.repeat(1, n_heads // k.shape[1], 1, 1)


def _shared_over_tokens(k, n_heads):
    return k.repeat_interleave(n_heads // k.shape[1], dim=2)


def _shared_by_reshape(k, n_heads):
    B, _, T, C = k.shape
    both = torch.cat([k] * (n_heads // k.shape[1]), dim=-1)
    return both.reshape(B, n_heads, T, C)


share_heads = Exercise(
    id="02.4",
    title="Fewer keys than queries",
    stars=2,
    minutes=4,
    verify=_verify_shared,
    answer=_shared,
    hints=(
        "Every key head has to appear n_heads / G times, G = k.shape[1].",
        "The copies of one head stand next to each other: 0, 0, 1, 1.",
        "torch has repeat (the whole again) and repeat_interleave (each one again).",
    ),
    wrong={
        "repeats the whole row of heads: 0, 1, 0, 1": _shared_tiled,
        "repeats the tokens": _shared_over_tokens,
        "right shape by reshape, heads torn apart": _shared_by_reshape,
    },
)


# --- 02.5 rotary positions


def _verify_rotate(attempt):
    x = torch.tensor([[1.0, 0.0], [1.0, 0.0]])
    got = attempt(x)
    expect_tensor(got, (2, 2), "x of shape (2, 2)")
    _expect_close(
        got[0], x[0], f"at position 0 nothing turns; you return {got[0].tolist()}"
    )
    wanted = torch.tensor([math.cos(1), math.sin(1)])
    _expect_close(
        got[1],
        wanted,
        "at position 1 the pair (1, 0) should turn to (cos 1, sin 1) = "
        f"({wanted[0]:.3f}, {wanted[1]:.3f}), not ({got[1, 0]:.3f}, {got[1, 1]:.3f})",
    )
    x = random_tensor(16, 8)
    got = attempt(x)
    expect_tensor(got, (16, 8), "x of shape (16, 8)")
    _expect_close(
        got.norm(dim=-1), x.norm(dim=-1), "turning should change no length, yours does"
    )
    q, k = (random_tensor(8, seed=s).repeat(16, 1) for s in (1, 2))
    scores = attempt(q) @ attempt(k).T  # (16, 16)
    gap = (scores[3, 1] - scores[12, 10]).abs()
    expect(
        gap < 1e-4,
        f"the same pair two places apart should score the same anywhere; from place 3 "
        f"to place 12 it changes by {gap:.2f}",
    )
    _expect_close(
        got,
        _rotate(x),
        "pair i = 1 of 4 should turn by t / 10000^(2i/8): check the frequencies",
    )


def _rotate(x):
    T, C = x.shape
    frequency = 10_000 ** (-torch.arange(0, C, 2) / C)  # (C / 2)
    angle = torch.arange(T)[:, None] * frequency  # (T, C / 2)
    a, b = x[:, 0::2], x[:, 1::2]
    turned = [a * angle.cos() - b * angle.sin(), a * angle.sin() + b * angle.cos()]
    return torch.stack(turned, dim=-1).flatten(1)  # (T, C)


def _rotate_as_addition(x):
    T, C = x.shape
    angle = torch.arange(T)[:, None] * 10_000 ** (-torch.arange(0, C, 2) / C)
    return x + torch.stack([angle.sin(), angle.cos()], dim=-1).flatten(1)


def _rotate_one_frequency(x):
    angle = torch.arange(len(x))[:, None] * torch.ones(x.shape[1] // 2)
    a, b = x[:, 0::2], x[:, 1::2]
    turned = [a * angle.cos() - b * angle.sin(), a * angle.sin() + b * angle.cos()]
    return torch.stack(turned, dim=-1).flatten(1)


def _rotate_wrong_sign(x):
    T, C = x.shape
    angle = torch.arange(T)[:, None] * 10_000 ** (-torch.arange(0, C, 2) / C)
    a, b = x[:, 0::2], x[:, 1::2]
    turned = [a * angle.cos() + b * angle.sin(), a * angle.sin() + b * angle.cos()]
    return torch.stack(turned, dim=-1).flatten(1)


rotate = Exercise(
    id="02.5",
    title="Rotary positions",
    stars=3,
    minutes=10,
    verify=_verify_rotate,
    answer=_rotate,
    hints=(
        "The angles are those of `positions`; now they turn pairs, nothing is added.",
        "A pair (a, b) turned by an angle is (a cos - b sin, a sin + b cos).",
        "Take a = x[:, 0::2] and b = x[:, 1::2]; put the results back side by side with "
        "torch.stack([...], dim=-1).flatten(1).",
    ),
    wrong={
        "adds sinusoids instead of turning": _rotate_as_addition,
        "turns every pair at the same speed": _rotate_one_frequency,
        "a sign is wrong, so lengths change": _rotate_wrong_sign,
    },
)


# --- 02.6 a cache


def _verify_cache(attempt):
    T, C = 5, 8
    q, k, v = (random_tensor(T, C, seed=s) for s in range(3))
    wanted = F.scaled_dot_product_attention(q[None], k[None], v[None], is_causal=True)[
        0
    ]
    cache = {"k": torch.empty(0, C), "v": torch.empty(0, C)}
    for t in range(T):
        got = attempt(q[t : t + 1], k[t : t + 1], v[t : t + 1], cache)
        expect_tensor(got, (1, C), f"token {t}")
        for name in "kv":
            n = len(cache[name])
            expect(
                n == t + 1,
                f"after token {t} cache[{name!r}] should hold {t + 1} rows, not {n}",
            )
        error = (got[0] - wanted[t]).abs().max()
        expect(
            error < 1e-5,
            f"token {t} is off by {error:.2f} from attention over all tokens at once",
        )


def _cached(q, k, v, cache):
    cache["k"] = torch.cat([cache["k"], k])
    cache["v"] = torch.cat([cache["v"], v])
    scores = q @ cache["k"].T / math.sqrt(q.shape[-1])  # (1, t + 1)
    return scores.softmax(-1) @ cache["v"]


def _cached_without_itself(q, k, v, cache):
    old_k, old_v = cache["k"], cache["v"]
    cache["k"], cache["v"] = torch.cat([old_k, k]), torch.cat([old_v, v])
    return (q @ old_k.T / math.sqrt(q.shape[-1])).softmax(-1) @ old_v


def _cached_only_locally(q, k, v, cache):
    keys, values = torch.cat([cache["k"], k]), torch.cat([cache["v"], v])
    return (q @ keys.T / math.sqrt(q.shape[-1])).softmax(-1) @ values


def _cached_in_front(q, k, v, cache):
    cache["k"] = torch.cat([k, cache["k"]])
    cache["v"] = torch.cat([cache["v"], v])
    return (q @ cache["k"].T / math.sqrt(q.shape[-1])).softmax(-1) @ cache["v"]


cached_attention = Exercise(
    id="02.6",
    title="Attention with a memory",
    stars=2,
    minutes=6,
    verify=_verify_cache,
    answer=_cached,
    hints=(
        "The new token also looks at itself: store its key and value first.",
        "cache['k'] = torch.cat([cache['k'], k]), and the same for v.",
        "Then it is ordinary attention of one query over all rows; no mask is needed.",
    ),
    wrong={
        "the token does not see itself": _cached_without_itself,
        "the cache is never written": _cached_only_locally,
        "keys and values in different order": _cached_in_front,
    },
)


# --- 02.7 bug museum: dropout at evaluation


class _Small(nn.Module):
    """A small model with dropout, called as model(x, y) like the translator."""

    def __init__(self):
        super().__init__()
        self.embedding, self.dropout = nn.Embedding(20, 16), nn.Dropout(0.5)
        self.head = nn.Linear(16, 20)
        with torch.no_grad():
            for i, weight in enumerate(self.parameters()):
                weight.copy_(random_tensor(*weight.shape, seed=i))

    def forward(self, x, y):
        z = self.embedding(x).mean(1, keepdim=True) + self.embedding(y)
        return self.head(self.dropout(z))


def _verify_score(attempt):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        _score_is_steady(attempt)


def _score_is_steady(attempt):
    generator = torch.Generator().manual_seed(0)
    x, y = (torch.randint(20, (64, 9), generator=generator) for _ in range(2))
    model = _Small().eval()
    with torch.no_grad():
        y[:, 1:] = torch.where(y[:, 1:] < 12, model(x, y[:, :-1]).argmax(-1), y[:, 1:])
        wanted = (model(x, y[:, :-1]).argmax(-1) == y[:, 1:]).float().mean().item()
    model.train()
    first, is_training = float(attempt(model, x, y)), model.training
    second = float(attempt(model.train(), x, y))
    expect(
        abs(first - wanted) < 1e-6,
        f"a model that just trained scores {first:.3f} here; without the noise of dropout "
        f"the same weights score {wanted:.3f}",
    )
    expect(first == second, f"asked twice it says {first:.3f}, then {second:.3f}")
    expect(is_training, "after scoring, the model should be training again")
    attempt(model.eval(), x, y)
    expect(not model.training, "a model that was not training should stay so")


def _score_with_dropout(model, x, y):
    """Return the share of next tokens that the model gets right."""
    with torch.no_grad():
        guesses = model(x, y[:, :-1]).argmax(-1)  # (B, T - 1)
    return (guesses == y[:, 1:]).float().mean().item()


def _score(model, x, y):
    was_training = model.training
    model.eval()
    with torch.no_grad():
        guesses = model(x, y[:, :-1]).argmax(-1)  # (B, T - 1)
    model.train(was_training)
    return (guesses == y[:, 1:]).float().mean().item()


def _score_stays_in_eval(model, x, y):
    model.eval()
    with torch.no_grad():
        guesses = model(x, y[:, :-1]).argmax(-1)
    return (guesses == y[:, 1:]).float().mean().item()


def _score_inference_mode(model, x, y):
    with torch.inference_mode():
        guesses = model(x, y[:, :-1]).argmax(-1)
    return (guesses == y[:, 1:]).float().mean().item()


def _score_eval_too_late(model, x, y):
    with torch.no_grad():
        guesses = model(x, y[:, :-1]).argmax(-1)
    model.eval()
    return (guesses == y[:, 1:]).float().mean().item()


def _score_seeded(model, x, y):
    torch.manual_seed(0)
    with torch.no_grad():
        guesses = model(x, y[:, :-1]).argmax(-1)
    return (guesses == y[:, 1:]).float().mean().item()


dropout_at_evaluation = Exercise(
    id="02.7",
    title="Bug museum: the score that changes",
    stars=1,
    minutes=3,
    verify=_verify_score,
    answer=_score,
    hints=(
        "Asked twice, the function gives two scores. What in a model is random?",
        "no_grad only switches off gradients. Which call switches off dropout?",
        "model.eval() switches dropout off, model.train() on.",
    ),
    wrong={
        "inference_mode instead of no_grad": _score_inference_mode,
        "eval only after the model was used": _score_eval_too_late,
        "leaves the model in eval mode": _score_stays_in_eval,
        "a fixed seed hides the noise, and keeps it": _score_seeded,
    },
    starter=_score_with_dropout,
)


# --- 02.8 bug museum: a mask one step off


def _verify_mask(attempt):
    for T, past in ((4, 0), (1, 3), (3, 2)):
        got = attempt(T, past)
        expect_tensor(got, (T, past + T), f"T = {T}, past = {past}")
        for t in range(T):
            n = int(got[t].sum())
            last = max((s for s in range(past + T) if got[t, s]), default=-1)
            expect(
                last <= past + t,
                f"T = {T}, past = {past}: the new token {t} stands at place {past + t} "
                f"and can see place {last}, which is the future",
            )
            expect(
                n == past + t + 1,
                f"T = {T}, past = {past}: the new token {t} should see {past + t + 1} "
                f"places (itself and all before); it sees {n}",
            )


def _mask_one_off(T, past):
    """Return who may see whom: T new tokens after `past` earlier ones."""
    everyone = torch.ones(T, past + T, dtype=torch.bool)
    return everyone.tril(diagonal=past + 1)


def _mask(T, past):
    everyone = torch.ones(T, past + T, dtype=torch.bool)
    return everyone.tril(diagonal=past)


def _mask_without_itself(T, past):
    return torch.ones(T, past + T, dtype=torch.bool).tril(diagonal=past - 1)


def _mask_forgets_the_past(T, past):
    return torch.ones(T, past + T, dtype=torch.bool).tril()


mask_one_off = Exercise(
    id="02.8",
    title="Bug museum: too good to be true",
    stars=2,
    minutes=5,
    verify=_verify_mask,
    answer=_mask,
    hints=(
        "Print the mask for T = 4 and past = 0. What does the first row allow?",
        "tril(diagonal=d) keeps column s of row t where s <= t + d.",
        "The new token t stands at place past + t: it may see s <= past + t.",
    ),
    wrong={
        "one step off the other way": _mask_without_itself,
        "right without a past, wrong with one": _mask_forgets_the_past,
    },
    starter=_mask_one_off,
)

ALL: tuple[Exercise, ...] = (
    softmax,
    padded_attention,
    window_mask,
    share_heads,
    rotate,
    cached_attention,
    dropout_at_evaluation,
    mask_one_off,
)
