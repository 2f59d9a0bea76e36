"""A GPT: one stack of causal blocks that gives a distribution over the next token.

Built in lesson 02: the cache, the block, the model, training, generation. Its logits
equal those of `transformers`' GPT2LMHeadModel with the same weights.
"""

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim.lr_scheduler import LambdaLR


@dataclass(frozen=True)
class GPTConfig:
    """Sizes of a GPT.

    Attributes:
        vocabulary: number of token ids, V.
        context: largest number of tokens the model can see.
        width: channels per token, C; a multiple of n_heads.
        n_layers: number of blocks.
        n_heads: attention heads per block, H.
        gelu: "none" for the exact GELU (twice as fast on a CPU), "tanh" as in GPT-2.
    """

    vocabulary: int
    context: int
    width: int
    n_layers: int
    n_heads: int
    gelu: str = "none"

    def __post_init__(self):
        if self.width % self.n_heads:
            raise ValueError(
                f"width {self.width} is no multiple of {self.n_heads} heads; make it one"
            )


class KVCache:
    """Keys and values of the tokens read so far, so that none is computed twice.

    The memory is taken once: growing a tensor by one token copies all of it.

    Args:
        config: sizes of the model.
        n_sequences: sequences generated side by side, B.
        device: where the model is.
    """

    def __init__(self, config, n_sequences=1, device="cpu"):
        head_width = config.width // config.n_heads
        shape = (n_sequences, config.n_heads, config.context, head_width)
        layers = range(config.n_layers)
        self.keys = [torch.empty(shape, device=device) for _ in layers]
        self.values = [torch.empty(shape, device=device) for _ in layers]
        self.length = 0

    def extend(self, layer, k, v):
        """Return all keys and values of a layer, (B, H, length + T, D), with T new.

        Raises:
            ValueError: for several new tokens after the first call; the block masks
                the future only among the tokens of one call.
        """
        end = self.length + k.shape[2]
        if self.length and k.shape[2] > 1:
            raise ValueError(f"give one new token at a time, not {k.shape[2]}")
        self.keys[layer][:, :, self.length : end] = k
        self.values[layer][:, :, self.length : end] = v
        return self.keys[layer][:, :, :end], self.values[layer][:, :, :end]


class Block(nn.Module):
    """Pre-norm block: every token reads the earlier ones, then thinks by itself.

    Args:
        layer: number of this block, its place in the cache.

    Source: Radford et al. (2019), GPT-2.
    """

    def __init__(self, config: GPTConfig, layer):
        super().__init__()
        C = config.width
        self.layer, self.n_heads, self.gelu = layer, config.n_heads, config.gelu
        self.norm_attention, self.norm_mlp = nn.LayerNorm(C), nn.LayerNorm(C)
        self.qkv, self.out = nn.Linear(C, 3 * C), nn.Linear(C, C)
        self.up, self.down = nn.Linear(C, 4 * C), nn.Linear(4 * C, C)

    def attend(self, x, cache):
        """Return what each token gathers from itself and those before, (B, T, C)."""
        B, T, C = x.shape
        qkv = self.qkv(x).view(B, T, 3, self.n_heads, -1)
        q, k, v = (part.transpose(1, 2) for part in qkv.unbind(2))  # (B, H, T, D)
        if cache is not None:
            k, v = cache.extend(self.layer, k, v)
        y = F.scaled_dot_product_attention(q, k, v, is_causal=T > 1)
        return self.out(y.transpose(1, 2).reshape(B, T, C))

    def forward(self, x, cache=None):
        """Return the residual stream after this block, (B, T, C)."""
        x = x + self.attend(self.norm_attention(x), cache)
        hidden = F.gelu(self.up(self.norm_mlp(x)), approximate=self.gelu)
        return x + self.down(hidden)  # hidden: (B, T, 4C)


class GPT(nn.Module):
    """A language model: token ids in, logits of the next token out.

    The head is the token embedding again (tied): a row is the vector of a token, both
    when it is read and when it is predicted.

    Source: Radford et al. (2019), GPT-2.
    """

    def __init__(self, config: GPTConfig):
        super().__init__()
        self.config = config
        self.tokens = nn.Embedding(config.vocabulary, config.width)
        self.positions = nn.Embedding(config.context, config.width)
        self.blocks = nn.ModuleList(Block(config, i) for i in range(config.n_layers))
        self.norm = nn.LayerNorm(config.width)
        std = 0.02 * math.sqrt(768 / config.width)  # GPT-2's 0.02, at any width
        for name, weight in self.named_parameters():
            if weight.dim() == 2:
                is_branch = name.endswith(("out.weight", "down.weight"))
                n_added = 2 * config.n_layers if is_branch else 1  # into the sum x
                nn.init.normal_(weight, std=std / math.sqrt(n_added))

    def read(self, ids, cache=None):
        """Return a vector per token, (B, T) -> (B, T, C); ValueError if T is too long."""
        start = cache.length if cache else 0
        end = start + ids.shape[1]
        if end > self.config.context:
            raise ValueError(
                f"{end} tokens exceed the context of {self.config.context}; give fewer"
            )
        x = self.tokens(ids) + self.positions.weight[start:end]  # (B, T, C)
        for block in self.blocks:
            x = block(x, cache)
        if cache:
            cache.length = end
        return x

    def predict(self, x):
        """Return the logits of the token after each vector, (..., C) -> (..., V)."""
        return F.linear(self.norm(x), self.tokens.weight)

    def forward(self, ids):
        """Return the logits of every next token, (B, T) -> (B, T, V)."""
        return self.predict(self.read(ids))

    def loss(self, ids, targets):
        """Return the mean cross-entropy of the targets in nats."""
        return F.cross_entropy(self(ids).flatten(0, 1), targets.flatten())


def windows(ids: Tensor, length: int, size: int, seed: int = 0) -> Iterator:
    """Yield batches (x, y) of random windows, each (B, T); y is x one token later.

    Args:
        ids: the text as one row of token ids, (N,); ValueError unless N > length.
        length: tokens per window, T.
        size: windows per batch, B.
        seed: seed of the places drawn.
    """
    if len(ids) <= length:
        raise ValueError(f"{len(ids)} tokens hold no window of {length} + 1; give more")
    generator = torch.Generator().manual_seed(seed)
    while True:
        starts = torch.randint(len(ids) - length, (size, 1), generator=generator)
        window = ids[starts + torch.arange(length + 1)]  # (B, T + 1)
        yield window[:, :-1], window[:, 1:]


def warm_cosine(step: int, n_steps: int, n_warm: int) -> float:
    """Return the factor of the learning rate: up in a line, down in half a cosine."""
    if step < n_warm:
        return (step + 1) / n_warm
    share = (step - n_warm) / max(1, n_steps - n_warm)
    return 0.5 * (1 + math.cos(math.pi * share))


def train_gpt(
    model: nn.Module, batches: Iterable, n_steps: int, rate: float = 1e-3
) -> Iterator[float]:
    """Train a model on batches, and yield the loss of every step in nats.

    Args:
        model: a module with loss(x, y).
        batches: pairs of ids (x, y), each (B, T), on any device; at least n_steps.
        n_steps: steps to take.
        rate: largest learning rate, reached after a twentieth of the steps.
    """
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=rate, betas=(0.9, 0.95), weight_decay=0.1, fused=True
    )
    n_warm = 1 + n_steps // 20
    schedule = LambdaLR(optimizer, lambda step: warm_cosine(step, n_steps, n_warm))
    device = next(model.parameters()).device
    model.train()
    for x, y in islice(batches, n_steps):
        loss = model.loss(x.to(device), y.to(device))
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        yield loss.item()


def greedy(logits: Tensor) -> Tensor:
    """Return the most probable id of every row of logits, (B, V) -> (B,)."""
    return logits.argmax(-1)


@torch.inference_mode()
def generate(
    model: GPT,
    ids: Tensor,
    n_new: int,
    choose: Callable[[Tensor], Tensor] = greedy,
    use_cache: bool = True,
) -> Tensor:
    """Return ids with n_new more, each chosen after all before it, (B, T + n_new).

    Args:
        model: a GPT.
        ids: what has been read, (B, T), T >= 1, on any device.
        n_new: tokens to add; ValueError if the text would outgrow the context.
        choose: picks an id per row from logits (B, V).
        use_cache: read only the newest token in each step, not all again.
    """
    ids = ids.to(model.tokens.weight.device)
    (B, T), limit = ids.shape, model.config.context
    if T + n_new > limit:
        raise ValueError(f"{T} + {n_new} tokens exceed a context of {limit}; use fewer")
    cache = KVCache(model.config, B, ids.device) if use_cache else None
    start, text = 0, torch.cat([ids, ids.new_empty(B, n_new)], dim=1)
    for end in range(T, T + n_new):
        x = model.read(text[:, start:end], cache)  # (B, T or 1, C)
        text[:, end] = choose(model.predict(x[:, -1]))  # (B, V) -> (B,)
        start = end if use_cache else 0
    return text
